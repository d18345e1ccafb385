"""From numbers per example to a `Value`: means, standard errors and warnings."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaebench.metrics.types import Value


def average(x: Any, estimator: str, samples: int | None = None,
            warning: Sequence[str | None] | None = None, note: str | None = None) -> Value:
    """Summarizes per-example numbers by their mean and its standard error.

    Args:
      x: [G, N].
      estimator: an `Estimator`; a plain text is its own id.
      samples: Monte Carlo samples per example, None if exact.
      warning: [G] texts or None.
      note: text or None.

    Returns:
      A `Value`.

    >>> v = average(np.array([[1., 3.]]), 'exact')
    >>> v.value.tolist(), v.stderr.tolist(), v.n
    ([2.0], [1.0], 2)
    """
    x = np.asarray(x, np.float64)
    n = x.shape[-1]
    return Value(x.mean(-1), estimator, n, samples,
                 deviation(x) / np.sqrt(n) if n > 1 else None, warnings(x, warning), note)


def deviation(x: np.ndarray) -> np.ndarray:
    """Returns the [G] unbiased standard deviation over the last axis; it is not finite, and
    silent, where x is not.
    """
    with np.errstate(invalid='ignore'):
        return x.std(-1, ddof=1)


def warnings(x: np.ndarray,
             warning: Sequence[str | None] | None = None) -> list[str | None] | None:
    """Adds 'not finite for k of N' to the warnings of the seeds it holds for.

    >>> warnings(np.array([[1., np.inf], [1., 2.]]))
    ['not finite for 1 of 2', None]
    """
    bad = (~np.isfinite(x)).sum(-1)
    out = [f'not finite for {b} of {x.shape[-1]}' if b else w
           for b, w in zip(bad, warning or [None] * len(x), strict=True)]
    return out if any(out) else None
