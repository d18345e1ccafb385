"""Rows drawn from a batch of which some slots are empty."""
import chex
import jax
import jax.numpy as jnp


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
