"""Closed-form divergences from the standard normal; every function reduces the last axis only."""
import jax.numpy as jnp


def normal_kl_dims(mean, log_var):
    """KL(N(mean, exp(log_var)) || N(0, 1)) of each coordinate.

    Args:
      mean: [..., Z].
      log_var: [..., Z].

    Returns:
      [..., Z], nats.

    >>> normal_kl_dims(jnp.array([0., 2.]), jnp.zeros(2)).tolist()
    [0.0, 2.0]
    """
    return .5 * (mean**2 + jnp.exp(log_var) - log_var - 1)


def normal_kl(mean, log_var):
    """KL(N(mean, diag exp(log_var)) || N(0, I)).

    Args:
      mean: [..., Z].
      log_var: [..., Z].

    Returns:
      [...], nats.

    >>> float(normal_kl(jnp.array([1., 1.]), jnp.zeros(2)))
    1.0
    """
    return normal_kl_dims(mean, log_var).sum(-1)


def linear_normal_kl(mean, factor):
    """KL of z = mean + e @ factor, e ~ N(0, I), from N(0, I).

    Args:
      mean: [..., Z].
      factor: [E, Z] of rank Z.

    Returns:
      [...], nats.

    >>> float(linear_normal_kl(jnp.array([1., 1.]), jnp.eye(2)))
    1.0
    """
    r = jnp.linalg.qr(factor, mode='r')
    log_det = 2 * jnp.log(jnp.abs(jnp.diagonal(r))).sum()
    return .5 * ((mean**2).sum(-1) + (factor**2).sum() - mean.shape[-1] - log_det)
