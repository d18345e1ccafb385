"""Monte Carlo estimate of how far an aggregate of posteriors lies from the prior."""
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp


def log_mixture(log_p: jax.Array, weight: jax.Array) -> jax.Array:
    """Computes the log density of a weighted mean of components, in log space.

    Args:
      log_p: [K, ...] log densities of the components, nats.
      weight: [K] weights, not negative. Weights that are all zero count as all one.

    Returns:
      [...] log density of the mixture, nats.

    >>> log_p = jnp.log(jnp.array([.1, .3, .9]))
    >>> round(float(jnp.exp(log_mixture(log_p, jnp.array([1., 1., 0.])))), 4)
    0.2
    """
    chex.assert_rank(weight, 1)
    chex.assert_equal_shape_prefix([log_p, weight], 1)
    chex.assert_type([log_p, weight], float)
    weight = jnp.where(weight.sum() > 0, weight, 1.)
    shaped = weight.reshape(-1, *[1] * (log_p.ndim - 1))
    return jax.nn.logsumexp(log_p, 0, b=shaped) - jnp.log(weight.sum())


def density_gap(q: chex.ArrayTree, z: jax.Array, log_q: Callable[..., jax.Array],
                log_p: Callable[..., jax.Array], weight: jax.Array,
                chunk: int | None = None) -> jax.Array:
    """Estimates KL(aggregate of a chunk || prior) at draws of the chunk's members.

    The members of a chunk are coupled. With log densities per dimension (`log_q` and `log_p`
    give [..., Z]) this is the sum over dimensions of the marginals' gaps, otherwise it is the
    joint gap. In expectation it is at most the mean KL, which it is for chunks of one. For
    chunks of b it is at least the mean KL less ln b, or less Z ln b for the marginals. The
    paper writes a sum over chunks, and q(z) where its own code has q(z_i); the released code
    leaves log space, where densities vanish.

    Args:
      q: posteriors, a tree with leaves [B, ...].
      z: [B, M, Z] M draws of each posterior.
      log_q: maps (q with leaves [b, ...], z [Z]) to [b] or [b, Z], nats.
      log_p: maps z [..., Z] to [...] or [..., Z], nats.
      weight: [B], 0 for an empty slot.
      chunk: how many consecutive slots make a chunk. All slots make one chunk where this does
        not divide B, or is None.

    Returns:
      [B] mean over the draws of each slot, nats, to be averaged over the filled slots.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based
      Regularization", 2022.

    >>> log_q = lambda mean, z: -0.5 * ((z - mean)**2).sum(-1)
    >>> log_p = lambda z: log_q(0., z)
    >>> density_gap(jnp.zeros((2, 3)), jnp.ones((2, 1, 3)), log_q, log_p, jnp.ones(2)).tolist()
    [0.0, 0.0]
    """
    chex.assert_rank([z, weight], [3, 1])
    chex.assert_tree_shape_prefix((q, z), weight.shape)
    chex.assert_type([z, weight], float)
    n = len(weight)
    size = chunk if chunk and n % chunk == 0 else n

    def split(x):
        return x.reshape(n // size, size, *x.shape[1:])

    def gap(q, z, weight):
        flat = z.reshape(-1, z.shape[-1])
        log_mix = jax.vmap(lambda z: log_mixture(log_q(q, z), weight))(flat)
        values = log_mix - log_p(flat)
        return values.reshape(*z.shape[:2], -1).sum(-1).mean(-1)

    return jax.vmap(gap)(*jax.tree.map(split, (q, z, weight))).reshape(n)
