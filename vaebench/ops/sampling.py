"""Draws with gradients, and rows and columns drawn anew from a batch with empty slots."""
import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


def random_rows(key: jax.Array, weight: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Picks k filled slots in random order, from the start again where there are fewer.

    Args:
      key: [] typed key. With the places of the filled slots it decides alone.
      weight: [B], 0 for an empty slot.
      k: number of rows.

    Returns:
      int32 [k] numbers of the slots, and bool [k]: whether a slot was picked before.

    >>> rows, again = random_rows(jax.random.key(0), jnp.array([1., 0., 1., 1.]), 5)
    >>> sorted(rows[:3].tolist()), again.tolist()
    ([0, 2, 3], [False, False, False, True, True])
    """
    chex.assert_rank([key, weight], [0, 1])
    filled = weight > 0
    order = jnp.argsort(jnp.where(filled, jax.random.uniform(key, weight.shape), 2.))
    place, count = jnp.arange(k), jnp.maximum(filled.sum(), 1)
    return order[place % count], place >= count


def permute_columns(key: jax.Array, x: jax.Array, weight: jax.Array) -> jax.Array:
    """Shuffles every column over the filled slots by itself: draws of independent columns.

    Args:
      key: [] typed key.
      x: [B, D].
      weight: [B], 0 for an empty slot, which keeps what it holds.

    Returns:
      [B, D]; over the filled slots each column has the values that it had.

    References:
      Kim and Mnih, "Disentangling by Factorising", 2018, arXiv:1802.05983, algorithm 1.

    >>> x = jnp.array([[1, 4], [2, 5], [3, 6], [0, 0]])
    >>> y = permute_columns(jax.random.key(0), x, jnp.array([1., 1., 1., 0.]))
    >>> jnp.sort(y[:3], 0).tolist(), y[3].tolist()
    ([[1, 4], [2, 5], [3, 6]], [0, 0])
    """
    chex.assert_rank([key, x, weight], [0, 2, 1])
    chex.assert_equal_shape_prefix([x, weight], 1)
    filled = weight > 0
    order = jnp.argsort(jnp.where(filled[:, None], jax.random.uniform(key, x.shape), 2.), 0)
    slots = jnp.argsort(~filled, stable=True)            # filled ones first, as in `order`
    return x.at[slots].set(jnp.take_along_axis(x, order, 0))


def gumbel_softmax(key: jax.Array, logits: jax.Array, temperature: Number) -> jax.Array:
    """Draws classes that gradients pass through: a softmax of logits with Gumbel noise.

    Near a temperature of 0 it is the one-hot vector of a draw from softmax(logits).

    Args:
      key: [] typed key.
      logits: [..., K].
      temperature: [] above 0.

    Returns:
      [..., K] that add up to 1.

    References:
      Jang et al., "Categorical Reparameterization with Gumbel-Softmax", 2017,
      arXiv:1611.01144.

    >>> gumbel_softmax(jax.random.key(0), jnp.array([0., 99., 0.]), .1).tolist()
    [0.0, 1.0, 0.0]
    """
    chex.assert_rank([key, temperature], 0)
    chex.assert_type([logits, temperature], float)
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    return jax.nn.softmax((logits + noise) / temperature)
