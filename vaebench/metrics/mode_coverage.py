"""Samples in a space of few dimensions: how far they are from the data, and which modes of a
mixture they meet.
"""
import functools

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.samples import generated, of_samples, real_vs_real, samples_vs_data
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import NONNEGATIVE, PERCENT, Estimator, Metric, Value
from vaebench.schema import Field

ENOUGH = .2        # of the expected count: a mode with fewer samples is not captured
REACH = 3.         # standard deviations around a mode within which a sample is of high quality


def wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    """Computes the Wasserstein-2 distance of two samples of one size, exact, by optimal
    assignment.

    Args:
      x, y: [N, D].

    Returns:
      float.

    >>> wasserstein(np.array([[0.], [1.]]), np.array([[4.], [3.]]))
    3.0
    """
    cost = cdist(x, y, 'sqeuclidean')
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def nearest(x: np.ndarray, modes: np.ndarray, std: float) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest mode of every row and whether it is near.

    Args:
      x: [N, D].
      modes: [K, D] centres.
      std: standard deviation of every mode in every dimension.

    Returns:
      int [N], bool [N].

    >>> [v.tolist() for v in nearest(np.array([[.1], [2.]]), np.array([[0.], [1.]]), .1)]
    [[0, 1], [True, False]]
    """
    r = cdist(x, modes)
    return r.argmin(1), r.min(1) <= REACH * std


def scores(x: np.ndarray, modes: np.ndarray, std: float) -> dict[str, float]:
    """Computes what rows say of a mixture of equally likely modes.

    Args:
      x: [N, D].
      modes, std: see `nearest`.

    Returns:
      Dict of floats: 'modes' with at least a fifth of N / K high-quality rows, 'modes_any' with
      at least one, 'high_quality' rows in per cent, 'mode_kl' from the histogram of nearest
      modes to the uniform one, nats.
    """
    at, good = nearest(x, modes, std)
    k = len(modes)
    good_count, count = (np.bincount(rows, minlength=k) for rows in (at[good], at))
    p = count[count > 0] / len(x)
    return {
        'modes': float((good_count >= ENOUGH * len(x) / k).sum()),
        'modes_any': float((good_count > 0).sum()),
        'high_quality': 100. * float(good.mean()),
        'mode_kl': float((p * np.log(p * k)).sum()),
    }


ESTIMATORS = {
    'modes': (f'modes with >= {ENOUGH:g} of their expected samples within {REACH:g} std',
              f'modes-{{}}:share-{ENOUGH:g}:std-{REACH:g}'),
    'modes_any': (f'modes with a sample within {REACH:g} std', f'modes-{{}}:any:std-{REACH:g}'),
    'high_quality': (f'share of samples within {REACH:g} std of a mode',
                     f'near-modes-{{}}:std-{REACH:g}'),
    'mode_kl': ('KL(nearest modes || uniform)', 'kl-modes-{}'),
}
"""Name of a score -> its estimator and the estimator's id, of so many modes."""


def coverage(view: Evaluator, name: str) -> Value:
    """Computes one of `scores` of `settings.drawn` samples.

    References:
      Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational
      Learning", 2017, arXiv:1705.07761 ('modes_any' and 'high_quality').
    """
    modes = np.asarray(view.data.truth['modes'], np.float64)
    std, n = float(view.data.truth['std']), view.settings.drawn

    def every():
        nothing = dict.fromkeys(ESTIMATORS, np.nan)
        drawn = np.asarray(generated(view, n), np.float64)
        return [scores(x, modes, std) if np.isfinite(x).all() else nothing for x in drawn]

    values = np.array([s[name] for s in view.cached('modes', every)])
    data = scores(view.field('x'), modes, std)[name]
    text, own_id = ESTIMATORS[name]
    estimator = Estimator(f'{text}, of {len(modes)}', own_id.format(len(modes)))
    return Value(values, of_samples(view, estimator), n, None, None, warnings(values[:, None]),
                 f'held-out data: {data:.4g}')


def _of_points(view, compute):
    """Compares points themselves, by their coordinates; None where the data are no points."""
    x = view.schema['x']
    return compute(view) if isinstance(x, Field) and len(x.shape) == 1 else None


W2 = Estimator('Wasserstein-2 by optimal assignment of as many points', 'w2-assignment')
_FIELDS = ('x', 'truth/modes', 'truth/std')


def _w2(compare):
    """The distance as a metric of what `compare` compares."""
    measured = functools.partial(compare, f=wasserstein, estimator=W2)
    return functools.partial(_of_points, compute=measured)


_UNITS = {'modes': ('modes', 'higher', _FIELDS, NONNEGATIVE),
          'modes_any': ('modes', 'higher', _FIELDS, NONNEGATIVE),
          'high_quality': ('%', 'higher', _FIELDS, PERCENT),
          'mode_kl': ('nats', 'lower', _FIELDS, NONNEGATIVE)}

METRICS = {
    'w2': Metric(_w2(samples_vs_data), (('sample',),), 'distance', 'lower', ('x',),
                 NONNEGATIVE),
    'w2_floor': Metric(_w2(real_vs_real), ((),), 'distance', None, ('x',), NONNEGATIVE),
    **{name: Metric(functools.partial(coverage, name=name), (('sample',),), *told)
       for name, told in _UNITS.items()},
}
