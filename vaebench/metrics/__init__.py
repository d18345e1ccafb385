"""Numbers with named estimators, computed from Method.evals alone."""
from vaebench.errors import UserError
from vaebench.metrics import (
    classification,
    independence,
    latent,
    likelihood,
    mode_coverage,
    probe,
    qualitative,
    representation,
    samples,
    text,
)
from vaebench.metrics.evaluator import Data, Evaluator, Judge, Metric, Settings, Trained, Value
from vaebench.metrics.validation import validator

METRICS = {
    **likelihood.METRICS, **latent.METRICS, **independence.METRICS, **samples.METRICS,
    **mode_coverage.METRICS, **text.METRICS, **probe.METRICS, **classification.METRICS,
    **representation.METRICS
}
"""Every metric by the name of its column."""

__all__ = [
    'METRICS', 'Data', 'Evaluator', 'Judge', 'Metric', 'Settings', 'Trained', 'Value',
    'defined', 'entries', 'qualitative', 'measure', 'validator'
]


def defined(name, evals, fields):
    """Whether a metric's estimator is defined for these evals on this data.

    Args:
      name: key of METRICS.
      evals: names of the method's evals.
      fields: names of the data's leaves.

    Returns:
      bool.

    >>> defined('nll_iw', {'score'}, {'tokens', 'length'}), defined('excess', {'score'}, {'tokens', 'length'})
    (True, False)
    """
    if name not in METRICS:
        raise UserError(f"unknown metric '{name}': choose from {', '.join(METRICS)}")
    metric = METRICS[name]
    return set(metric.fields) <= set(fields) and any(
        set(need) <= set(evals) for need in metric.needs)


def measure(view, names):
    """Metrics of a trained group.

    Args:
      view: an `Evaluator`.
      names: keys of METRICS.

    Returns:
      name -> `Value`, or None where the estimator is not defined.
    """
    out = {}
    for name in names:
        view.pause()
        out[name] = METRICS[name].compute(view) if defined(name, view.evals,
                                                           view.data.names) else None
    return out


def entries(values, view, seed):
    """One seed's part of `measure`, as a result file holds it.

    Args:
      values: what `measure` gave.
      view: the `Evaluator` it came from.
      seed: place in the group.

    Returns:
      name -> dict with value, estimator, n, samples, unit, better, stderr, warning, note;
      undefined metrics are left out.
    """
    out = {}
    for name, v in values.items():
        if v is not None:
            out[name] = {
                'value': float(v.value[seed]), 'estimator': v.estimator, 'n': v.n,
                'samples': v.samples, 'unit': METRICS[name].unit.format(
                    item=view.data.item, part=view.data.part), 'better': METRICS[name].better,
                'stderr': None if v.stderr is None else float(v.stderr[seed]),
                'warning': None if v.warning is None else v.warning[seed], 'note': v.note
            }
    return out
