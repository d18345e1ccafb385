"""Means over seeds, their bootstrap intervals and tie groups."""
import functools
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
REPLICATES = 10_000


class Summary(NamedTuple):
    """Mean over seeds; low and high are None where n < 2."""
    mean: float
    low: float | None
    high: float | None
    n: int


@functools.cache
def _weights(n, replicates):
    """How often each of n seeds is drawn, per replicate, as a share: [replicates, n]."""
    rng = np.random.default_rng(0)
    return rng.multinomial(n, np.full(n, 1 / n), size=replicates) / n


def bootstrap(values, level=LEVEL, replicates=REPLICATES):
    """Percentile bootstrap interval of the mean, with a fixed seed.

    Too narrow for small n: at n = 5 a nominal 95% interval covers about 85% of the time on normal data.

    Args:
      values: [..., n], n >= 2.
      level: nominal coverage.
      replicates: number of resamples.

    Returns:
      (low [...], high [...]).

    References:
      Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.

    >>> low, high = bootstrap(np.array([1., 2., 3.]))
    >>> float(low), float(high)
    (1.0, 3.0)
    """
    values = np.asarray(values, np.float64)
    weights = _weights(values.shape[-1], replicates)
    # Term by term and not a matrix product: the last bits must not depend on the machine's BLAS.
    means = sum(values[..., i, None] * weights[:, i] for i in range(values.shape[-1]))
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=-1)
    # The mean itself is inside by definition; rounding must not push it out when all values agree.
    mean = values.mean(-1)
    return np.minimum(low, mean), np.maximum(high, mean)


def _by_length(samples):
    """(indices, array [len(indices), n]) for every length n >= 2 among the samples."""
    lengths = [len(s) for s in samples]
    for n in sorted(set(lengths) - {0, 1}):
        indices = [i for i, m in enumerate(lengths) if m == n]
        yield indices, np.array([samples[i] for i in indices], np.float64)


def summarise(samples):
    """Mean, interval and n of each sample.

    Args:
      samples: list of lists of numbers, lengths may differ.

    Returns:
      List of `Summary`, None for an empty sample.

    >>> summarise([[4.], []])
    [Summary(mean=4.0, low=None, high=None, n=1), None]
    """
    out = [Summary(float(s[0]), None, None, 1) if len(s) == 1 else None for s in samples]
    for indices, values in _by_length(samples):
        low, high = bootstrap(values)
        for i, m, a, b in zip(indices, values.mean(-1), low, high, strict=True):
            out[i] = Summary(float(m), float(a), float(b), values.shape[-1])
    return out


def ties(samples, better):
    """The best row, and every row that cannot be told from it.

    A row ties with the best when the bootstrap interval of their paired differences, seed by seed, includes 0.
    With fewer than two common seeds only an equal mean ties.

    Args:
      samples: list of {seed: value}; an empty one never wins.
      better: 'lower' or 'higher'.

    Returns:
      List of bool.

    >>> ties([{0: 1., 1: 2.}, {0: 2., 1: 1.}, {0: 9., 1: 9.}], 'lower')
    [True, True, False]
    """
    sign = {'lower': 1., 'higher': -1.}[better]
    means = [sign * float(np.mean(list(s.values()))) if s else np.inf for s in samples]
    best = int(np.argmin(means)) if samples else 0
    out = [bool(s) and m == means[best] for s, m in zip(samples, means, strict=True)]
    pairs = [[s[k] - samples[best][k] for k in sorted(s.keys() & samples[best].keys())] for s in samples]
    for indices, differences in _by_length(pairs):
        low, high = bootstrap(differences)
        for i, a, b in zip(indices, low, high, strict=True):
            out[i] |= bool(a <= 0 <= b)
    return out
