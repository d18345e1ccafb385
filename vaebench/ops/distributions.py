"""Densities and draws of normal laws; every function reduces the last axis only."""
import math

import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


def normal_log_prob_dims(z: Number, mean: Number,
                         log_var: Number) -> jax.Array:
    """Computes the log density of each coordinate of N(mean, diag exp(log_var)).

    Args:
      z: [..., Z].
      mean: broadcast against z.
      log_var: broadcast against z.

    Returns:
      [..., Z], nats.

    >>> round(float(normal_log_prob_dims(jnp.zeros(1), 0., 0.)[0]), 4)
    -0.9189
    """
    chex.assert_type([z, mean, log_var], float)
    return -.5 * (math.log(2 * math.pi) + log_var + (z - mean)**2 * jnp.exp(-log_var))


def normal_log_prob(z: jax.Array, mean: Number = 0.,
                    log_var: Number = 0.) -> jax.Array:
    """Computes the log density of N(mean, diag exp(log_var)), standard normal by default.

    Args:
      z: [..., Z].
      mean: broadcast against z.
      log_var: broadcast against z.

    Returns:
      [...], nats.

    >>> round(float(normal_log_prob(jnp.zeros((2, 3)))[0]), 4)
    -2.7568
    """
    chex.assert_shape(z, (..., None))
    return normal_log_prob_dims(z, mean, log_var).sum(-1)


def normal_sample(key: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Draws from N(mean, diag exp(log_var)); gradients reach both parameters.

    Args:
      key: [] typed key.
      mean: [..., Z].
      log_var: [..., Z].

    Returns:
      [..., Z].

    >>> normal_sample(jax.random.key(0), jnp.ones(2), jnp.full(2, -jnp.inf)).tolist()
    [1.0, 1.0]
    """
    chex.assert_rank(key, 0)
    chex.assert_equal_shape([mean, log_var])
    chex.assert_type([mean, log_var], float)
    return mean + jnp.exp(.5 * log_var) * jax.random.normal(key, mean.shape, mean.dtype)


def linear_normal_log_prob(z: jax.Array, mean: jax.Array, factor: jax.Array) -> jax.Array:
    """Computes the log density of z = mean + e @ factor with e ~ N(0, I).

    It works on the triangular part of `factor`, whose square would lose half the digits.

    Args:
      z: [..., Z].
      mean: [..., Z], broadcast against z.
      factor: [E, Z] of rank Z.

    Returns:
      [...], nats.

    >>> round(float(linear_normal_log_prob(jnp.zeros(1), jnp.zeros(1), jnp.eye(1))), 4)
    -0.9189
    """
    chex.assert_rank(factor, 2)
    chex.assert_axis_dimension_gteq(factor, 0, factor.shape[1])
    chex.assert_shape([z, mean], (..., factor.shape[1]))
    chex.assert_type([z, mean, factor], float)
    r = jnp.linalg.qr(factor, mode='r')
    gap = jnp.broadcast_to(z - mean, jnp.broadcast_shapes(z.shape, mean.shape))
    rows = gap.reshape(-1, gap.shape[-1])
    e = jax.scipy.linalg.solve_triangular(r.T, rows.T, lower=True).T.reshape(gap.shape)
    return normal_log_prob(e) - jnp.log(jnp.abs(jnp.diagonal(r))).sum()
