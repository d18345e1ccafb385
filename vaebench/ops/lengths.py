"""The law of sentences' lengths: a histogram with one more sentence of every length."""
import chex
import jax
import jax.numpy as jnp


def count(counts: jax.Array, length: jax.Array, weight: jax.Array) -> jax.Array:
    """Adds a batch to a histogram.

    Args:
      counts: [L] how many sentences have the lengths 1 to L.
      length: int [B]; a length beyond L counts as L.
      weight: [B], 0 for an empty slot.

    Returns:
      [L].

    >>> count(jnp.zeros(3), jnp.array([2, 3, 3]), jnp.array([1., 1., 0.])).tolist()
    [0.0, 1.0, 1.0]
    """
    chex.assert_rank([counts, length, weight], 1)
    chex.assert_equal_shape([length, weight])
    chex.assert_type([counts, length, weight], [float, int, float])
    own = jax.nn.one_hot(_place(counts, length), len(counts), dtype=counts.dtype)
    return counts + (weight[:, None] * own).sum(0).astype(counts.dtype)


def _place(counts, length):
    return jnp.clip(length, 1, len(counts)) - 1


def log_prob(counts: jax.Array, length: jax.Array) -> jax.Array:
    """Computes the log probability of lengths, each counted once more than it was seen.

    Args:
      counts: [L].
      length: int [...], from 1 to L.

    Returns:
      [...], nats.

    >>> jnp.exp(log_prob(jnp.array([0., 2.]), jnp.array([1, 2]))).tolist()
    [0.25, 0.75]
    """
    chex.assert_rank(counts, 1)
    chex.assert_type([counts, length], [float, int])
    return jax.nn.log_softmax(jnp.log(counts + 1))[_place(counts, length)]


def sample(key: jax.Array, counts: jax.Array, n: int) -> jax.Array:
    """Draws lengths.

    Args:
      key: [] typed key.
      counts: [L].
      n: number of draws.

    Returns:
      int32 [n], from 1 to L.
    """
    chex.assert_rank([key, counts], [0, 1])
    chex.assert_type(counts, float)
    return jax.random.categorical(key, jnp.log(counts + 1), shape=(n,)).astype(jnp.int32) + 1


def mean(counts: jax.Array) -> jax.Array:
    """Computes the mean length.

    Args:
      counts: [L].

    Returns:
      [].

    >>> float(mean(jnp.array([0., 2.])))
    1.75
    """
    chex.assert_rank(counts, 1)
    chex.assert_type(counts, float)
    return ((counts + 1) * jnp.arange(1, len(counts) + 1)).sum() / (counts + 1).sum()
