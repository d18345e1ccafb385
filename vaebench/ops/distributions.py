"""Densities and draws; every function reduces the last axis only."""
import math

import jax
import jax.numpy as jnp


def normal_log_prob_dims(z, mean, log_var):
    """Log density of each coordinate of N(mean, diag exp(log_var)).

    Args:
      z: [..., Z].
      mean: broadcast against z.
      log_var: broadcast against z.

    Returns:
      [..., Z], nats.

    >>> round(float(normal_log_prob_dims(jnp.zeros(1), 0., 0.)[0]), 4)
    -0.9189
    """
    return -.5 * (math.log(2 * math.pi) + log_var + (z - mean)**2 * jnp.exp(-log_var))


def normal_log_prob(z, mean=0., log_var=0.):
    """Log density of N(mean, diag exp(log_var)), standard normal by default.

    Args:
      z: [..., Z].
      mean: broadcast against z.
      log_var: broadcast against z.

    Returns:
      [...], nats.

    >>> round(float(normal_log_prob(jnp.zeros((2, 3)))[0]), 4)
    -2.7568
    """
    return normal_log_prob_dims(z, mean, log_var).sum(-1)


def normal_sample(key, mean, log_var):
    """A reparameterised draw of N(mean, diag exp(log_var)).

    Args:
      key: typed key.
      mean: [..., Z].
      log_var: [..., Z].

    Returns:
      [..., Z].

    >>> normal_sample(jax.random.key(0), jnp.ones(2), jnp.full(2, -jnp.inf)).tolist()
    [1.0, 1.0]
    """
    return mean + jnp.exp(.5 * log_var) * jax.random.normal(key, mean.shape, mean.dtype)


def linear_normal_log_prob(z, mean, factor):
    """Log density of z = mean + e @ factor with e ~ N(0, I).

    Works on the triangular part of `factor`: its square would lose half the digits.

    Args:
      z: [..., Z].
      mean: [..., Z].
      factor: [E, Z] of rank Z.

    Returns:
      [...], nats.

    >>> round(float(linear_normal_log_prob(jnp.zeros(1), jnp.zeros(1), jnp.eye(1))), 4)
    -0.9189
    """
    r = jnp.linalg.qr(factor, mode='r')
    flat = jnp.broadcast_to(z - mean, jnp.broadcast_shapes(z.shape, mean.shape))
    e = jax.scipy.linalg.solve_triangular(r.T, flat.reshape(-1, flat.shape[-1]).T, lower=True).T.reshape(flat.shape)
    return normal_log_prob(e) - jnp.log(jnp.abs(jnp.diagonal(r))).sum()
