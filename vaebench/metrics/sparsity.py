"""How few dimensions of a code are on for an example."""
import functools
from typing import Any

import numpy as np

from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import average
from vaebench.metrics.types import SHARE, Estimator, Metric, Value


def hoyer_sparsity(y: np.ndarray) -> np.ndarray:
    """Computes (sqrt(d) - |y|_1 / |y|_2) / (sqrt(d) - 1) of vectors.

    Args:
      y: [..., d] with d > 1.

    Returns:
      [...]: 1 where one number alone is not 0, 0 where all have the same size; NaN of zeros.

    References:
      Hoyer, "Non-negative Matrix Factorization with Sparseness Constraints", 2004.

    >>> hoyer_sparsity(np.array([[0., 3., 0., 0.], [2., -2., 2., 2.]])).tolist()
    [1.0, 0.0]
    """
    y = np.asarray(y, np.float64)
    root = np.sqrt(y.shape[-1])
    with np.errstate(divide='ignore', invalid='ignore'):
        return (root - np.abs(y).sum(-1) / np.sqrt((y**2).sum(-1))) / (root - 1)


def scaled_sparsity(codes: np.ndarray) -> np.ndarray:
    """Computes the sparsity of codes, each dimension divided by its standard deviation.

    Without that a collapsed dimension would look like one that is off. One that does not vary
    at all says nothing and is left out.

    Args:
      codes: [N, Z].

    Returns:
      [N]; NaN where fewer than two dimensions vary.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833.
    """
    codes = np.asarray(codes, np.float64)
    with np.errstate(invalid='ignore'):
        std = codes.std(0, ddof=1)
    kept = std != 0                      # what is not finite stays, and is seen in the result
    if kept.sum() < 2:
        return np.full(len(codes), np.nan)
    return hoyer_sparsity(codes[:, kept] / std[kept])


def hoyer(view: Evaluator, drawn: bool) -> Value | None:
    """Measures the mean Hoyer sparsity of codes: see `scaled_sparsity`.

    Args:
      view: the `Evaluator`.
      drawn: whether of one draw per example, or of posterior means as in the paper.

    Returns:
      A `Value`; None of codes that are no vectors of two numbers or more.
    """
    codes: Any = view.draws if drawn else view.codes
    if getattr(codes, 'ndim', 0) != 3 or codes.shape[-1] < 2 or view.n < 2:
        return None
    what, id = ('one draw of each', 'draws') if drawn else ('posterior means', 'means')
    estimator = Estimator(f'Hoyer sparsity of {what}, dimensions over their standard deviation',
                          f'hoyer:{id}')
    return average(np.stack([scaled_sparsity(z) for z in codes]), estimator,
                   1 if drawn else None)


METRICS = {
    'hoyer': Metric(functools.partial(hoyer, drawn=False), (('encode',),), 'Hoyer', None,
                    bounds=SHARE),
    'hoyer_drawn': Metric(functools.partial(hoyer, drawn=True), (('posterior', 'sample_q'),),
                          'Hoyer', None, bounds=SHARE),
}
