"""Vector quantisation: the nearest code, the straight-through gradient, a codebook of running means."""
import jax
import jax.numpy as jnp


def nearest(x, codes):
    """Index of the code at the least Euclidean distance; the first of equals.

    Args:
      x: [..., Z].
      codes: [K, Z].

    Returns:
      int32 [...].

    >>> nearest(jnp.array([[.4], [2.]]), jnp.array([[0.], [1.], [3.]])).tolist()
    [0, 1]
    """
    product = jnp.matmul(x, codes.T, precision='highest')        # distances cancel
    return jnp.argmin((codes**2).sum(-1) - 2 * product, -1).astype(jnp.int32)


def straight_through(x, e):
    """e, whose gradient is handed on to x.

    Args:
      x: [..., Z] what was quantised.
      e: [..., Z] its codes.

    Returns:
      [..., Z], to the last bit e.

    References:
      van den Oord et al., "Neural Discrete Representation Learning", 2017, arXiv:1711.00937.

    >>> jax.grad(lambda x: 3 * straight_through(x, jnp.round(x)))(.7).tolist()
    3.0
    """
    return jax.lax.stop_gradient(e) + (x - jax.lax.stop_gradient(x))


def commitment(x, e):
    """Squared distance from x to its code, which only x can shorten.

    Args:
      x: [..., Z].
      e: [..., Z].

    Returns:
      [...].

    >>> float(commitment(jnp.array([1., 2.]), jnp.zeros(2)))
    5.0
    """
    return ((x - jax.lax.stop_gradient(e))**2).sum(-1)


def rows(key, x, weight, k):
    """k filled rows of x in random order; from the start again where there are fewer.

    Args:
      key: [] typed key; with the places of the filled rows it decides alone, whatever the rows hold.
      x: [N, Z].
      weight: [N], 0 for an empty row.
      k: number of rows.

    Returns:
      [k, Z].

    >>> rows(jax.random.key(0), jnp.array([[1.], [7.], [1.]]), jnp.array([1., 0., 1.]), 3).tolist()
    [[1.0], [1.0], [1.0]]
    """
    score = jnp.where(weight > 0, jax.random.uniform(key, weight.shape), 2.)
    filled = jnp.maximum((weight > 0).sum(), 1)
    return x[jnp.argsort(score)[jnp.arange(k) % filled]]


def codebook(key, x, weight, k):
    """A codebook to start with: rows of x, each with the same share of them.

    Args:
      key: [] typed key.
      x: [N, Z] vectors of a first batch.
      weight: [N], 0 for an empty row.
      k: K.

    Returns:
      codes [K, Z]; counts [K], how many rows per step each code stands for.
    """
    return rows(key, x, weight, k), jnp.full(k, jnp.maximum((weight > 0).sum(), 1) / k)


def learn(codes, counts, x, index, weight, decay):
    """One step of running means: every code moves towards the mean of the vectors nearest to it.

    Without filled rows nothing changes.

    Args:
      codes: [K, Z].
      counts: [K], running counts of vectors per step.
      x: [N, Z].
      index: int32 [N], code of each vector.
      weight: [N], 0 for an empty row.
      decay: weight of the past.

    Returns:
      codes [K, Z], counts [K].

    References:
      van den Oord et al., "Neural Discrete Representation Learning", 2017, arXiv:1711.00937 (appendix).

    >>> codes, counts = learn(jnp.array([[0.], [5.]]), jnp.ones(2), jnp.array([[1.]]), jnp.array([0]), jnp.ones(1), .5)
    >>> codes.tolist(), counts.tolist()
    ([[0.5], [5.0]], [1.0, 0.5])
    """
    own = jax.nn.one_hot(index, len(codes), dtype=x.dtype) * weight[:, None]
    rate = jnp.where(weight.sum() > 0, 1. - decay, 0.).astype(counts.dtype)
    new = (1 - rate) * counts + rate * own.sum(0)
    sums = ((1 - rate) * counts)[:, None] * codes + rate * (own.T @ x)
    moves = (new > 0) & (rate > 0)
    return jnp.where(moves[:, None], sums / jnp.where(new > 0, new, 1.)[:, None], codes), new


def revive(key, codes, counts, x, weight, share=.03):
    """Codes that hardly anything uses start anew at random rows of x.

    Without filled rows nothing changes.

    Args:
      key: [] typed key.
      codes: [K, Z].
      counts: [K].
      x: [N, Z].
      weight: [N], 0 for an empty row.
      share: of the mean count, below which a code is dead.

    Returns:
      codes [K, Z], counts [K]: a revived code has the mean count.

    References:
      Dhariwal et al., "Jukebox: A Generative Model for Music", 2020, arXiv:2005.00341 (random restarts).

    >>> codes, counts = revive(jax.random.key(0), 5 * jnp.eye(2), jnp.array([0., 4.]), jnp.ones((1, 2)), jnp.ones(1))
    >>> codes.tolist(), counts.tolist()
    ([[1.0, 1.0], [0.0, 5.0]], [2.0, 4.0])
    """
    dead = (counts < share * counts.mean()) & (weight.sum() > 0)
    fresh = rows(key, x, weight, len(codes))
    return jnp.where(dead[:, None], fresh, codes), jnp.where(dead, counts.mean(), counts)
