"""Kernels and the discrepancy of two samples that they define; tests are in `two_sample`."""
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number

Kernel = Callable[[jax.Array, jax.Array], jax.Array]
"""Maps x [N, Z] and y [M, Z] to the kernel [N, M] of every pair of rows."""

SCALES = (.1, .2, .5, 1., 2., 5., 10.)
"""Multiples of the base width over which the inverse multiquadratic kernel is summed."""


def _assert_rows(x, y):
    """x [N, Z] and y [M, Z] are rows of one space."""
    chex.assert_rank([x, y], 2)
    chex.assert_equal_shape_suffix([x, y], 1)
    chex.assert_type([x, y], float)


def squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """Computes the squared Euclidean distances between the rows of x and of y.

    The product is in full precision, since large terms cancel.

    Args:
      x: [N, Z].
      y: [M, Z].

    Returns:
      [N, M], never negative.

    >>> squared_distances(jnp.zeros((1, 2)), jnp.ones((2, 2))).tolist()
    [[2.0, 2.0]]
    """
    _assert_rows(x, y)
    squares = (x**2).sum(-1)[:, None] + (y**2).sum(-1)[None]
    return jnp.maximum(squares - jnp.matmul(2 * x, y.T, precision='highest'), 0)


def rbf(x: jax.Array, y: jax.Array, variance: Number) -> jax.Array:
    """Evaluates the Gaussian kernel exp(-r^2 / (2 variance)).

    Args:
      x: [N, Z].
      y: [M, Z].
      variance: [] squared width of the kernel.

    Returns:
      [N, M] in (0, 1].

    >>> round(float(rbf(jnp.zeros((1, 2)), jnp.ones((1, 2)), 1.)[0, 0]), 4)
    0.3679
    """
    chex.assert_rank(variance, 0)
    return jnp.exp(-squared_distances(x, y) / (2 * variance))


def imq(x: jax.Array, y: jax.Array, base: Number,
        scales: Sequence[float] = SCALES) -> jax.Array:
    """Evaluates the inverse multiquadratic kernel, summed over widths: sum_s s C / (s C + r^2).

    Args:
      x: [N, Z].
      y: [M, Z].
      base: [] C; the expected squared distance of two draws of N(0, sigma^2 I) is 2 Z sigma^2.
      scales: multiples s of C.

    Returns:
      [N, M] in (0, len(scales)].

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.

    >>> float(imq(jnp.zeros((1, 2)), jnp.zeros((1, 2)), 4.)[0, 0])
    7.0
    """
    chex.assert_rank(base, 0)
    r2 = squared_distances(x, y)
    total: Any = sum(s * base / (s * base + r2) for s in scales)
    return total


def rbf_mixture(x: jax.Array, y: jax.Array, variances: Sequence[Number],
                less_one: bool = False, mean: bool = False) -> jax.Array:
    """Evaluates Gaussian kernels of several widths, summed: sum_v exp(-r^2 / (2 v)).

    Args:
      x: [N, Z].
      y: [M, Z].
      variances: squared widths v, each [].
      less_one: whether each kernel is lowered by its value at distance 0. No discrepancy
        notices a constant, and points close together keep their digits.
      mean: whether their mean is taken in place of their sum.

    Returns:
      [N, M] in (0, len(variances)], or lower by len(variances); the mean in (0, 1] or (-1, 0].

    >>> x = jnp.array([[0.], [1e-5]])
    >>> [f'{float(rbf_mixture(x, x, (1., 2.), less)[0, 1]):.2e}' for less in (False, True)]
    ['2.00e+00', '-7.50e-11']
    """
    chex.assert_rank(list(variances), 0)
    r2 = squared_distances(x, y)
    total: Any = sum((jnp.expm1 if less_one else jnp.exp)(-r2 / (2 * v)) for v in variances)
    return total / len(variances) if mean else total


def linear(x: jax.Array, y: jax.Array) -> jax.Array:
    """Computes inner products; their discrepancy is the squared distance between two means.

    Args:
      x: [N, Z].
      y: [M, Z].

    Returns:
      [N, M].

    >>> linear(jnp.ones((1, 2)), jnp.ones((2, 2))).tolist()
    [[2.0, 2.0]]
    """
    _assert_rows(x, y)
    return jnp.matmul(x, y.T, precision='highest')


def median(values: jax.Array, where: jax.Array) -> jax.Array:
    """Computes the upper median of the values that count, such as a kernel's squared width.

    Args:
      values: [...].
      where: bool [...], whether a value counts.

    Returns:
      []; 0 where nothing counts.

    >>> float(median(jnp.array([5., 1., 9., 2.]), jnp.array([True, True, False, True])))
    2.0
    """
    chex.assert_equal_shape([values, where])
    chex.assert_type([values, where], [float, bool])
    ranked = jnp.sort(jnp.where(where, values, jnp.inf).reshape(-1))
    n = where.sum()
    return jnp.where(n > 0, ranked[n // 2], 0.)


def mmd(x: jax.Array, y: jax.Array, kernel: Kernel, weight_x: jax.Array | None = None,
        weight_y: jax.Array | None = None, biased: bool = False) -> jax.Array:
    """Estimates the squared maximum mean discrepancy; couples the batch.

    The unbiased estimate may be negative. In the biased one each row also meets itself: it is
    never negative, 0 for equal sets, and for k(x, x) = 1 too large by
    (1 - E k(x, x')) / N + (1 - E k(y, y')) / M.

    Args:
      x: [N, Z].
      y: [M, Z].
      kernel: maps two samples to [N, M].
      weight_x: [N], 0 for a row that does not count; all count by default.
      weight_y: [M].
      biased: whether the V-statistic takes the place of the U-statistic.

    Returns:
      []; a side's own term is 0 where it has no pair.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> x = jnp.array([[0.], [1.]])
    >>> float(mmd(x, x, linear)), float(mmd(x, x, linear, biased=True))
    (-0.5, 0.0)
    """
    _assert_rows(x, y)
    wx = jnp.ones(x.shape[0], x.dtype) if weight_x is None else weight_x
    wy = jnp.ones(y.shape[0], y.dtype) if weight_y is None else weight_y
    chex.assert_shape([wx, wy], [(len(x),), (len(y),)])
    chex.assert_type([wx, wy], float)

    def within(a, w):
        pairs = w[:, None] * w[None]
        pairs = pairs if biased else pairs * (1 - jnp.eye(len(w), dtype=w.dtype))
        return (kernel(a, a) * pairs).sum() / jnp.maximum(pairs.sum(), 1)

    pairs = wx[:, None] * wy[None]
    across = (kernel(x, y) * pairs).sum() / jnp.maximum(pairs.sum(), 1)
    return within(x, wx) + within(y, wy) - 2 * across
