"""Terms that keep a critic smooth, samples apart and codes uncorrelated."""
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


def gradient_penalty(score: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Computes the squared distance of a score's gradient norm from 1, example by example.

    Args:
      score: maps [B, ...] to [B], each example on its own.
      x: [B, ...].

    Returns:
      [B].

    References:
      Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv:1704.00028.

    >>> gradient_penalty(lambda x: 3 * x[:, 0], jnp.zeros((2, 4))).tolist()
    [4.0, 4.0]
    """
    chex.assert_shape(x, (None, ...))
    chex.assert_type(x, float)
    grads = jax.vmap(jax.grad(lambda v: score(v[None])[0]))(x)
    # The constant under the root keeps the second derivative finite where the gradient is zero.
    norms = jnp.sqrt((grads.reshape(len(x), -1)**2).sum(-1) + 1e-12)
    return (norms - 1)**2


def squared_slope(score: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Computes the squared norm of a score's gradient, example by example: R1 at data.

    Args:
      score: maps [B, ...] to [B], each example on its own.
      x: [B, ...].

    Returns:
      [B].

    References:
      Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018,
      arXiv:1801.04406.

    >>> squared_slope(lambda x: 3 * x[:, 0], jnp.zeros((2, 4))).tolist()
    [9.0, 9.0]
    """
    chex.assert_shape(x, (None, ...))
    chex.assert_type(x, float)
    # examples do not meet: the gradient of the sum holds those of all
    grads = jax.grad(lambda x: score(x).sum())(x)
    return (grads.reshape(len(x), -1)**2).sum(-1)


def pulling_away(codes: jax.Array, weight: jax.Array) -> jax.Array:
    """Computes the mean squared cosine between the codes of different examples.

    It is 1 where all codes are parallel and 0 where they are orthogonal, and couples the batch.
    A public reproduction leaves out the square, and so rewards opposite codes.

    Args:
      codes: [B, Z].
      weight: [B], 0 for a row that does not count.

    Returns:
      [], in [0, 1]; 0 with fewer than two rows.

    References:
      Zhao et al., "Energy-based Generative Adversarial Network", 2017, arXiv:1609.03126.

    >>> codes = jnp.array([[1., 0.], [0., 2.], [3., 0.]])
    >>> round(float(pulling_away(codes, jnp.ones(3))), 4)
    0.3333
    """
    chex.assert_rank([codes, weight], [2, 1])
    chex.assert_equal_shape_prefix([codes, weight], 1)
    chex.assert_type([codes, weight], float)
    unit = codes / jnp.sqrt((codes**2).sum(-1, keepdims=True) + 1e-12)
    pairs = weight[:, None] * weight * (1 - jnp.eye(len(weight)))
    return (pairs * (unit @ unit.T)**2).sum() / jnp.maximum(pairs.sum(), 1.)


class Moments(NamedTuple):
    """How far a covariance is from the identity."""
    off_diagonal: jax.Array    # [] sum of its squared covariances
    diagonal: jax.Array        # [] sum of the squared distances of its variances from 1


def covariance_moments(mean: jax.Array, spread: Number, weight: jax.Array) -> Moments:
    """Measures how far the covariance of codes is from the identity; couples the batch.

    The covariance is E[mean mean^T] - E[mean] E[mean]^T + diag E[spread], E the batch's mean.

    Args:
      mean: [B, Z] of the codes' posteriors.
      spread: [B, Z] variances of the posteriors; 0. for the covariance of the means alone.
      weight: [B], 0 for an empty slot.

    Returns:
      `Moments`, without unit; of a batch of one, or whose means are all alike, (0, Z) at spread
      0.

    References:
      Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
      Observations", 2018, arXiv:1711.00848.

    >>> mean = jnp.array([[1., 1.], [-1., 1.], [1., -1.], [-1., -1.]])
    >>> [float(v) for v in covariance_moments(mean, 0., jnp.ones(4))]
    [0.0, 0.0]
    >>> [float(v) for v in covariance_moments(0 * mean, 0., jnp.ones(4))]
    [0.0, 2.0]
    """
    chex.assert_rank([mean, weight], [2, 1])
    chex.assert_equal_shape_prefix([mean, weight], 1)
    chex.assert_is_broadcastable(jnp.shape(spread), mean.shape)
    chex.assert_type([mean, spread, weight], float)
    w = (weight / jnp.maximum(weight.sum(), 1))[:, None]
    centered = mean - (w * mean).sum(0)
    covariance = (w * centered).T @ centered
    variances = jnp.diagonal(covariance)
    off = covariance - jnp.diag(variances)
    return Moments((off**2).sum(), ((variances + (w * spread).sum(0) - 1)**2).sum())
