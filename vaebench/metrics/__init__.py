"""Numbers with named estimators, computed from Method.evals alone."""
from collections.abc import Iterable, Mapping
from typing import Any

from vaebench.errors import UserError
from vaebench.metrics import (
    classification,
    decomposition,
    dialogue,
    disentanglement,
    equivariance,
    independence,
    latent,
    latent_arithmetic,
    likelihood,
    mode_coverage,
    parzen,
    prediction,
    probe,
    qualitative,
    representation,
    samples,
    sparsity,
    style_codes,
    text,
    transfer,
    transfer_time,
    unsupervised,
)
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.types import Data, Estimator, Judge, Metric, Settings, Trained, Value
from vaebench.metrics.validation import validator

METRICS: dict[str, Metric] = {
    **likelihood.METRICS, **latent.METRICS, **independence.METRICS, **samples.METRICS,
    **mode_coverage.METRICS, **parzen.METRICS, **text.METRICS, **probe.METRICS,
    **classification.METRICS, **representation.METRICS, **disentanglement.METRICS,
    **decomposition.METRICS, **unsupervised.METRICS, **sparsity.METRICS,
    **transfer.METRICS, **transfer_time.METRICS, **style_codes.METRICS,
    **latent_arithmetic.METRICS, **dialogue.METRICS, **equivariance.METRICS,
    **prediction.METRICS
}
"""Every metric by the name of its column."""

__all__ = [
    'METRICS', 'Data', 'Estimator', 'Evaluator', 'Judge', 'Metric', 'Settings', 'Trained',
    'Value', 'defined', 'entries', 'qualitative', 'measure', 'validator'
]


def defined(name: str, evals: Iterable[str], fields: Iterable[str]) -> bool:
    """Says whether a metric's estimator is defined for these evals on this data.

    Args:
      name: key of METRICS.
      evals: names of the method's evals.
      fields: names of the data's leaves.

    Raises:
      UserError: there is no such metric.

    >>> sentences = {'tokens', 'length'}
    >>> defined('nll_iw', {'score'}, sentences), defined('excess', {'score'}, sentences)
    (True, False)
    """
    if name not in METRICS:
        raise UserError(f"unknown metric '{name}': choose from {', '.join(METRICS)}")
    metric = METRICS[name]
    return set(metric.fields) <= set(fields) and any(
        set(need) <= set(evals) for need in metric.needs)


def measure(view: Evaluator, names: Iterable[str]) -> dict[str, Value | None]:
    """Measures a trained group.

    Args:
      view: an `Evaluator`.
      names: keys of METRICS.

    Returns:
      name -> `Value`, or None where the estimator is not defined.
    """
    out = {}
    for name in names:
        view.pause()
        value = None
        if defined(name, view.evals, view.data.names):
            value = METRICS[name].compute(view)
        out[name] = value and value._replace(
            estimator=_of_likelihood(METRICS[name], value.estimator, view))
    return out


def _of_likelihood(metric: Metric, estimator: str, view: Evaluator) -> Estimator:
    """The estimator of a metric that reads log p(x|z), with what these nats are of: the
    decoder's likelihood and the columns that the method is told.
    """
    estimator = Estimator.of(estimator)
    if not any('log_lik' in need for need in metric.needs):
        return estimator
    if view.data.likelihood is not None:
        estimator = estimator.joined(view.data.likelihood)
    if view.given:
        estimator = estimator.joined(Estimator(f'given the {" and the ".join(view.given)}',
                                               f'given-{"-".join(view.given)}'))
    return estimator


def entries(values: Mapping[str, Value | None], view: Evaluator,
            seed: int) -> dict[str, dict[str, Any]]:
    """Gives one seed's part of `measure`, as a result file holds it.

    Args:
      values: what `measure` gave.
      view: the `Evaluator` it came from.
      seed: place in the group.

    Returns:
      name -> dict with value, estimator_id, estimator, n, samples, unit, better, least, most,
      stderr, warning, note; undefined metrics are left out.
    """
    out = {}
    for name, v in values.items():
        if v is None:
            continue
        unit = METRICS[name].unit.format(item=view.data.item, part=view.data.part)
        out[name] = {
            'value': float(v.value[seed]), 'estimator_id': Estimator.of(v.estimator).id,
            'estimator': str(v.estimator), 'n': v.n, 'samples': v.samples, 'unit': unit,
            'better': METRICS[name].better, 'least': METRICS[name].bounds[0],
            'most': METRICS[name].bounds[1],
            'stderr': None if v.stderr is None else float(v.stderr[seed]),
            'warning': None if v.warning is None else v.warning[seed], 'note': v.note
        }
    return out
