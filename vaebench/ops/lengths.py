"""The law of sentences' lengths: a histogram with one more sentence of every length."""
import jax
import jax.numpy as jnp


def count(counts, length, weight):
    """Adds a batch to a histogram.

    Args:
      counts: [L], of lengths 1 to L.
      length: int [B]; beyond L counts as L.
      weight: [B], 0 for an empty slot.

    Returns:
      [L].

    >>> count(jnp.zeros(3), jnp.array([2, 3, 3]), jnp.array([1., 1., 0.])).tolist()
    [0.0, 1.0, 1.0]
    """
    own = jax.nn.one_hot(_place(counts, length), len(counts), dtype=counts.dtype)
    return counts + (weight[:, None] * own).sum(0).astype(counts.dtype)


def _place(counts, length):
    return jnp.clip(length, 1, len(counts)) - 1


def log_prob(counts, length):
    """Log probability of lengths, each length counted once more than it was seen.

    Args:
      counts: [L].
      length: int [...], from 1 to L.

    Returns:
      [...], nats.

    >>> jnp.exp(log_prob(jnp.array([0., 2.]), jnp.array([1, 2]))).tolist()
    [0.25, 0.75]
    """
    return jax.nn.log_softmax(jnp.log(counts + 1))[_place(counts, length)]


def sample(key, counts, n):
    """Draws lengths.

    Args:
      key: [] typed key.
      counts: [L].
      n: number of draws.

    Returns:
      int32 [n], from 1 to L.
    """
    return jax.random.categorical(key, jnp.log(counts + 1), shape=(n,)).astype(jnp.int32) + 1


def mean(counts):
    """Mean length.

    Args:
      counts: [L].

    Returns:
      [].

    >>> float(mean(jnp.array([0., 2.])))
    1.75
    """
    return ((counts + 1) * jnp.arange(1, len(counts) + 1)).sum() / (counts + 1).sum()
