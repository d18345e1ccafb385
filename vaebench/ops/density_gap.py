"""How far the aggregate of some posteriors lies from the prior, by draws."""
import jax
import jax.numpy as jnp


def log_mixture(log_p, weight):
    """Log density of a weighted mean of components, in log space.

    Args:
      log_p: [K, ...] nats, of every component.
      weight: [K], not negative; a component of weight 0 does not count. All zero counts as all one.

    Returns:
      [...], nats.

    >>> round(float(jnp.exp(log_mixture(jnp.log(jnp.array([.1, .3, .9])), jnp.array([1., 1., 0.])))), 4)
    0.2
    """
    weight = jnp.where(weight.sum() > 0, weight, 1.)
    shaped = weight.reshape(-1, *[1] * (log_p.ndim - 1))
    return jax.nn.logsumexp(log_p, 0, b=shaped) - jnp.log(weight.sum())


def density_gap(q, z, log_q, log_p, weight, chunk=None):
    """Estimate of KL(aggregate of a chunk || prior) at draws of its members; couples the members of a chunk.

    With log densities per dimension (`log_q` and `log_p` give [..., Z]) the sum over dimensions of the marginals'
    gaps, otherwise the joint one. In expectation it is at most the mean KL, which it is for chunks of one, and for
    chunks of b at least the mean KL less ln b, or Z ln b for the marginals. The paper writes a sum over chunks, and
    q(z) where its own code has q(z_i); the released code leaves log space, where densities vanish.

    Args:
      q: posteriors, leaves [B, ...].
      z: [B, M, Z], M draws of each posterior.
      log_q: (q with leaves [b, ...], z [Z]) -> [b], or [b, Z], nats.
      log_p: (z [..., Z]) -> [...], or [..., Z], nats.
      weight: [B], 0 for an empty slot.
      chunk: how many consecutive slots make a chunk; all where that does not divide B, or None.

    Returns:
      [B], nats: the mean over its draws of each slot, to be averaged over the filled slots.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization", 2022.

    >>> normal = lambda mean, z: -0.5 * ((z - mean)**2).sum(-1)
    >>> density_gap(jnp.zeros((4, 2)), jnp.ones((4, 1, 2)), normal, lambda z: normal(0., z), jnp.ones(4)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    n = len(weight)
    size = chunk if chunk and n % chunk == 0 else n
    q, z, weight = jax.tree.map(lambda x: x.reshape(n // size, size, *x.shape[1:]), (q, z, weight))

    def gap(q, z, weight):
        flat = z.reshape(-1, z.shape[-1])
        log_mix = jax.vmap(lambda z: log_mixture(log_q(q, z), weight))(flat)
        values = log_mix - log_p(flat)
        return values.reshape(*z.shape[:2], -1).sum(-1).mean(-1)

    return jax.vmap(gap)(q, z, weight).reshape(n)
