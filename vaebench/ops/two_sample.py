"""Kernel tests: do two samples share a law, are variables independent."""
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from vaebench.ops.kernels import Kernel
from vaebench.ops.types import Number


class Outcome(NamedTuple):
    """Result of a permutation test."""
    statistic: jax.Array      # []
    p_value: jax.Array        # [] share of the null, itself included, that is at least as large
    null: jax.Array           # [B] what permuted data give


def p_value(statistic: Number, null: jax.Array) -> jax.Array:
    """Computes (1 + how many of the null are at least the statistic) / (1 + B), never 0.

    Args:
      statistic: [].
      null: [B].

    Returns:
      [].

    >>> float(p_value(2., jnp.array([1., 2., 3.])))
    0.75
    """
    chex.assert_rank([statistic, null], [0, 1])
    chex.assert_type([statistic, null], float)
    slack = 1e-6 * jnp.abs(null).max()               # rounding parts what is equal
    return (1 + (null >= statistic - slack).sum()) / (1 + len(null))


def hollow(k: jax.Array) -> jax.Array:
    """Sets the diagonal of a matrix to zero.

    Args:
      k: [N, N].

    Returns:
      [N, N].

    >>> hollow(jnp.ones((2, 2))).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    chex.assert_shape(k, (len(k), len(k)))
    chex.assert_type(k, float)
    return k * (1 - jnp.eye(len(k), dtype=k.dtype))


def split_mmd(k: jax.Array, members: jax.Array) -> jax.Array:
    """Estimates the squared MMD of many ways to cut one pooled sample in two, without bias.

    All of them together cost one product of matrices.

    Args:
      k: [N, N] kernel of the pooled rows; its diagonal must be 0, see `hollow`.
      members: [B, N], 1 for rows of the first sample and 0 for those of the second.

    Returns:
      [B].

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> x = jnp.array([[0.], [1.], [0.], [1.]])
    >>> split_mmd(hollow(x @ x.T), jnp.array([[1., 1., 0., 0.], [1., 0., 1., 0.]])).tolist()
    [-0.5, 1.0]
    """
    chex.assert_shape([k, members], [(len(k), len(k)), (None, len(k))])
    chex.assert_type([k, members], float)
    n = members.sum(1)
    m = members.shape[1] - n
    reached = jnp.matmul(members, k, precision='highest')
    first, either = (reached * members).sum(1), reached.sum(1)
    second = k.sum() - 2 * either + first
    return first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * (either - first) / (n * m)


def mmd_test(key: jax.Array, x: jax.Array, y: jax.Array, kernel: Kernel,
             permutations: int = 500) -> Outcome:
    """Tests by permutation whether two samples share a law, with the unbiased squared MMD.

    The kernel is evaluated once, on the pooled rows, and is the same for all permutations.

    Args:
      key: [] typed key.
      x: [N, Z].
      y: [M, Z].
      kernel: maps two samples to [N, M].
      permutations: B.

    Returns:
      An `Outcome`.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> from vaebench.ops import kernels
    >>> x, kernel = jnp.arange(20.)[:, None], lambda a, b: kernels.rbf(a, b, 100.)
    >>> round(float(mmd_test(jax.random.key(0), x, x + 30, kernel, 99).p_value), 6)
    0.01
    """
    chex.assert_rank([key, x, y], [0, 2, 2])
    chex.assert_equal_shape_suffix([x, y], 1)
    chex.assert_type([x, y], float)
    pooled = jnp.concatenate([x, y])
    own = (jnp.arange(len(pooled)) < len(x)).astype(pooled.dtype)
    members = jnp.broadcast_to(own, (permutations, len(pooled)))
    members = jax.random.permutation(key, members, axis=1, independent=True)
    k = hollow(kernel(pooled, pooled))
    values = split_mmd(k, jnp.concatenate([own[None], members]))
    return Outcome(values[0], p_value(values[0], values[1:]), values[1:])


def hsic(kernels: np.ndarray) -> np.ndarray:
    """Estimates the Hilbert-Schmidt independence criterion of every two variables.

    It is the squared MMD between the joint law of two variables and the product of their
    marginals; the estimate is unbiased. NumPy holds the sums, which cancel, in float64.

    Args:
      kernels: [Z, n, n] kernel of every variable at the same n > 3 examples; their diagonals
        must be 0.

    Returns:
      float64 [Z, Z]; the diagonal is each variable's with itself.

    References:
      Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", 2005.
      Song et al., "Feature Selection via Dependence Maximization", JMLR 2012 (unbiased).

    >>> k = np.float32(1 - np.eye(5))[None]
    >>> np.abs(hsic(np.concatenate([k, k]))).max().round(6).item()
    0.0
    """
    chex.assert_rank(kernels, 3)
    chex.assert_shape(kernels, (None, kernels.shape[1], kernels.shape[1]))
    chex.assert_type(kernels, float)
    z, n, _ = kernels.shape
    flat, rows = kernels.reshape(z, -1), kernels.sum(2, dtype=np.float64)
    total = rows.sum(1)
    both = np.float64(flat @ flat.T)
    apart = np.outer(total, total) / ((n - 1) * (n - 2))
    return (both + apart - 2 / (n - 2) * rows @ rows.T) / (n * (n - 3))
