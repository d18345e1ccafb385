"""Vector quantization: the nearest code, straight-through gradients, a running codebook."""
import chex
import jax
import jax.numpy as jnp

from vaebench.ops import sampling
from vaebench.ops.types import Number

Codebook = tuple[jax.Array, jax.Array]
"""(codes [K, Z], how many vectors per step each of them stands for [K])."""


def nearest(x: jax.Array, codes: jax.Array) -> jax.Array:
    """Finds the code at the least Euclidean distance, the first of equals.

    Args:
      x: [..., Z].
      codes: [K, Z].

    Returns:
      int32 [...] index of the code.

    >>> nearest(jnp.array([[.4], [2.]]), jnp.array([[0.], [1.], [3.]])).tolist()
    [0, 1]
    """
    chex.assert_rank(codes, 2)
    chex.assert_shape(x, (..., codes.shape[1]))
    chex.assert_type([x, codes], float)
    product = jnp.matmul(x, codes.T, precision='highest')        # distances cancel
    return jnp.argmin((codes**2).sum(-1) - 2 * product, -1).astype(jnp.int32)


def straight_through(x: jax.Array, e: jax.Array) -> jax.Array:
    """Returns e and hands its gradient on to x.

    Args:
      x: [..., Z] vectors that were quantized.
      e: [..., Z] their codes.

    Returns:
      [..., Z], to the last bit e.

    References:
      van den Oord et al., "Neural Discrete Representation Learning", 2017, arXiv:1711.00937.

    >>> jax.grad(lambda x: 3 * straight_through(x, jnp.round(x)))(.7).tolist()
    3.0
    """
    chex.assert_equal_shape([x, e])
    chex.assert_type([x, e], float)
    return jax.lax.stop_gradient(e) + (x - jax.lax.stop_gradient(x))


def commitment(x: jax.Array, e: jax.Array) -> jax.Array:
    """Computes the squared distance from x to its code, which only x can shorten.

    Args:
      x: [..., Z].
      e: [..., Z].

    Returns:
      [...].

    >>> float(commitment(jnp.array([1., 2.]), jnp.zeros(2)))
    5.0
    """
    chex.assert_equal_shape([x, e])
    chex.assert_shape([x, e], (..., None))
    chex.assert_type([x, e], float)
    return ((x - jax.lax.stop_gradient(e))**2).sum(-1)


def codebook(key: jax.Array, x: jax.Array, weight: jax.Array, k: int) -> Codebook:
    """Starts a codebook from rows of x, each with the same share of them.

    Args:
      key: [] typed key.
      x: [N, Z] vectors of a first batch.
      weight: [N], 0 for an empty row.
      k: K.

    Returns:
      codes [K, Z]; counts [K], how many rows per step each code stands for.
    """
    chex.assert_rank([key, x, weight], [0, 2, 1])
    chex.assert_equal_shape_prefix([x, weight], 1)
    chosen, _ = sampling.random_rows(key, weight, k)
    return x[chosen], jnp.full(k, jnp.maximum((weight > 0).sum(), 1) / k)


def _assert_codebook(codes, counts, x, weight):
    """A codebook [K, Z] with its counts [K], and vectors [N, Z] with their weights [N]."""
    chex.assert_rank([codes, counts, x, weight], [2, 1, 2, 1])
    chex.assert_equal_shape_prefix([codes, counts], 1)
    chex.assert_equal_shape_prefix([x, weight], 1)
    chex.assert_equal_shape_suffix([codes, x], 1)
    chex.assert_type([codes, counts, x, weight], float)


def learn(codes: jax.Array, counts: jax.Array, x: jax.Array, index: jax.Array,
          weight: jax.Array, decay: Number) -> Codebook:
    """Moves every code towards the mean of the vectors nearest to it: a step of running means.

    Without filled rows nothing changes.

    Args:
      codes: [K, Z].
      counts: [K], running counts of vectors per step.
      x: [N, Z].
      index: int [N], code of each vector.
      weight: [N], 0 for an empty row.
      decay: [] weight of the past.

    Returns:
      codes [K, Z], counts [K].

    References:
      van den Oord et al., "Neural Discrete Representation Learning", 2017, arXiv:1711.00937
      (appendix).

    >>> codes, x, index = jnp.array([[0.], [5.]]), jnp.array([[1.]]), jnp.array([0])
    >>> codes, counts = learn(codes, jnp.ones(2), x, index, jnp.ones(1), .5)
    >>> codes.tolist(), counts.tolist()
    ([[0.5], [5.0]], [1.0, 0.5])
    """
    _assert_codebook(codes, counts, x, weight)
    chex.assert_equal_shape([index, weight])
    chex.assert_type(index, int)
    chex.assert_rank(decay, 0)
    own = jax.nn.one_hot(index, len(codes), dtype=x.dtype) * weight[:, None]
    rate = jnp.where(weight.sum() > 0, 1. - decay, 0.).astype(counts.dtype)
    new = (1 - rate) * counts + rate * own.sum(0)
    sums = ((1 - rate) * counts)[:, None] * codes + rate * (own.T @ x)
    moves = ((new > 0) & (rate > 0))[:, None]
    return jnp.where(moves, sums / jnp.where(new > 0, new, 1.)[:, None], codes), new


def revive(key: jax.Array, codes: jax.Array, counts: jax.Array, x: jax.Array,
           weight: jax.Array, share: float = .03) -> Codebook:
    """Starts codes that hardly anything uses anew at random rows of x.

    Without filled rows nothing changes.

    Args:
      key: [] typed key.
      codes: [K, Z].
      counts: [K].
      x: [N, Z].
      weight: [N], 0 for an empty row.
      share: share of the mean count below which a code is dead.

    Returns:
      codes [K, Z], counts [K]: a revived code has the mean count.

    References:
      Dhariwal et al., "Jukebox: A Generative Model for Music", 2020, arXiv:2005.00341 (random
      restarts).

    >>> key, codes, counts = jax.random.key(0), 5 * jnp.eye(2), jnp.array([0., 4.])
    >>> codes, counts = revive(key, codes, counts, jnp.ones((1, 2)), jnp.ones(1))
    >>> codes.tolist(), counts.tolist()
    ([[1.0, 1.0], [0.0, 5.0]], [2.0, 4.0])
    """
    _assert_codebook(codes, counts, x, weight)
    dead = (counts < share * counts.mean()) & (weight.sum() > 0)
    chosen, _ = sampling.random_rows(key, weight, len(codes))
    return jnp.where(dead[:, None], x[chosen], codes), jnp.where(dead, counts.mean(), counts)
