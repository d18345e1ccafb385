"""Closed-form divergences from the standard normal; they reduce the last axis only."""
import chex
import jax
import jax.numpy as jnp


def normal_kl_dims(mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Computes KL(N(mean, exp(log_var)) || N(0, 1)) of each coordinate.

    Args:
      mean: [...].
      log_var: [...].

    Returns:
      [...], nats.

    >>> normal_kl_dims(jnp.array([0., 2.]), jnp.zeros(2)).tolist()
    [0.0, 2.0]
    """
    chex.assert_equal_shape([mean, log_var])
    chex.assert_type([mean, log_var], float)
    return .5 * (mean**2 + jnp.exp(log_var) - log_var - 1)


def normal_kl(mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Computes KL(N(mean, diag exp(log_var)) || N(0, I)).

    Args:
      mean: [..., Z].
      log_var: [..., Z].

    Returns:
      [...], nats.

    >>> float(normal_kl(jnp.array([1., 1.]), jnp.zeros(2)))
    1.0
    """
    chex.assert_shape([mean, log_var], (..., None))
    return normal_kl_dims(mean, log_var).sum(-1)


def linear_normal_kl(mean: jax.Array, factor: jax.Array) -> jax.Array:
    """Computes the KL from N(0, I) of the law of z = mean + e @ factor with e ~ N(0, I).

    Args:
      mean: [..., Z].
      factor: [E, Z] of rank Z.

    Returns:
      [...], nats.

    >>> float(linear_normal_kl(jnp.array([1., 1.]), jnp.eye(2)))
    1.0
    """
    chex.assert_rank(factor, 2)
    chex.assert_axis_dimension_gteq(factor, 0, factor.shape[1])
    chex.assert_shape(mean, (..., factor.shape[1]))
    chex.assert_type([mean, factor], float)
    r = jnp.linalg.qr(factor, mode='r')
    log_det = 2 * jnp.log(jnp.abs(jnp.diagonal(r))).sum()
    return .5 * ((mean**2).sum(-1) + (factor**2).sum() - mean.shape[-1] - log_det)
