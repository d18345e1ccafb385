"""Objectives of players against each other, per example."""
import math

import chex
import jax
import jax.numpy as jnp
import optax

from vaebench.ops.types import Number

NU_MAX = 20.
"""Ceiling of a dual function.

Its exponential stays finite, and a clipped dual function still gives a bound.
"""


def critic_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """Computes the cross-entropy of a critic that should call `real` true and `fake` false.

    Args:
      real: [...] logits of data.
      fake: [...] logits of samples.

    Returns:
      [...], nats; 2 log 2 for a critic that cannot tell.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.

    >>> round(float(critic_loss(jnp.zeros(()), jnp.zeros(()))), 4)
    1.3863
    """
    chex.assert_equal_shape([real, fake])
    chex.assert_type([real, fake], float)
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def generator_loss(fake: jax.Array, form: str = 'nonsaturating') -> jax.Array:
    """Computes what a generator minimizes against the critic's logits.

    Args:
      fake: [...] logits of samples.
      form: 'nonsaturating', or 'minmax', whose gradient vanishes where the critic is sure.

    Returns:
      [...], nats.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.

    >>> [round(float(generator_loss(jnp.zeros(()), f)), 4) for f in ('nonsaturating', 'minmax')]
    [0.6931, -0.6931]
    """
    chex.assert_type(fake, float)
    forms = {'nonsaturating': lambda a: jax.nn.softplus(-a),
             'minmax': lambda a: -jax.nn.softplus(a)}
    return forms[form](fake)


def relativistic_loss(more: jax.Array, less: jax.Array, weight: jax.Array) -> jax.Array:
    """Computes the cross-entropy of scores that should be above the average of the others: the
    critic's of (data, samples), the generator's of (samples, data). Couples the batch.

    Args:
      more: [B] scores that should be larger.
      less: [B] scores that should be smaller.
      weight: [B], 0 for a row that does not count.

    Returns:
      [B], nats; 2 log 2 where all scores are alike.

    Equation:
      softplus(mean(less) - more) + softplus(less - mean(more))

    References:
      Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard
      GAN", 2019, arXiv:1807.00734 (its relativistic average).

    >>> loss = relativistic_loss(jnp.array([3., 9.]), jnp.array([3., 0.]), jnp.array([1., 0.]))
    >>> round(float(loss[0]), 4)
    1.3863
    """
    chex.assert_rank([more, less, weight], 1)
    chex.assert_equal_shape([more, less, weight])
    chex.assert_type([more, less, weight], float)
    share = weight / jnp.maximum(weight.sum(), 1)
    return jax.nn.softplus(share @ less - more) + jax.nn.softplus(less - share @ more)


def entropy(logits: jax.Array) -> jax.Array:
    """Computes how undecided a classifier is, which an encoder maximizes to hide a class.

    Args:
      logits: [..., K].

    Returns:
      [...], nats, from 0 to log K.

    >>> round(float(entropy(jnp.zeros(2))), 4)
    0.6931
    """
    chex.assert_shape(logits, (..., None))
    chex.assert_type(logits, float)
    log_p = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_p) * log_p).sum(-1)


def least_squares(score: jax.Array, target: Number) -> jax.Array:
    """Computes half the squared distance of a score from its target.

    Args:
      score: [...].
      target: [], or [...] one for every score.

    Returns:
      [...].

    References:
      Mao et al., "Least Squares Generative Adversarial Networks", 2017, arXiv:1611.04076.

    >>> float(least_squares(jnp.array(3.), 1.))
    2.0
    """
    chex.assert_is_broadcastable(jnp.shape(target), jnp.shape(score))
    chex.assert_type([score, target], float)
    return optax.l2_loss(score - target)


def margin_loss(real: jax.Array, fake: jax.Array, margin: Number) -> jax.Array:
    """Computes what an energy minimizes: low on data, at least `margin` on samples.

    Its gradient is exactly 0 for samples at the margin and above.

    Args:
      real: [...] energies of data, at least 0.
      fake: [...] energies of samples.
      margin: [] > 0.

    Returns:
      [...], in the energy's unit.

    References:
      Zhao et al., "Energy-based Generative Adversarial Network", 2017, arXiv:1609.03126.

    >>> margin_loss(jnp.array([.5, .5]), jnp.array([.25, 2.]), 1.).tolist()
    [1.25, 0.5]
    """
    chex.assert_equal_shape([real, fake])
    chex.assert_rank(margin, 0)
    chex.assert_type([real, fake, margin], float)
    return real + jax.nn.relu(margin - fake)


def code_information(logits: jax.Array, code: jax.Array) -> jax.Array:
    """Bounds the mutual information between a uniform code and its sample from below.

    Args:
      logits: [B, K] of the recognition network.
      code: [B, K], one-hot.

    Returns:
      [B] log K + log q(code | sample), nats; its mean is at most log K.

    References:
      Chen et al., "InfoGAN", 2016, arXiv:1606.03657.

    >>> code_information(jnp.zeros((1, 4)), jnp.eye(4)[:1]).tolist()
    [0.0]
    """
    chex.assert_rank([logits, code], 2)
    chex.assert_equal_shape([logits, code])
    chex.assert_type([logits, code], float)
    return math.log(logits.shape[-1]) - optax.softmax_cross_entropy(logits, code)


def dual_kl(nu_q: jax.Array, nu_p: jax.Array) -> jax.Array:
    """Computes the Fenchel lower bound of KL(q || p): a mean of at most the KL for any nu.

    The paper omits the + 1, without which the best value is KL - 1.

    Args:
      nu_q: [...] nu at draws of q.
      nu_p: [...] nu at draws of p.

    Returns:
      [...], nats.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527.

    >>> float(dual_kl(jnp.zeros(()), jnp.zeros(())))
    0.0
    """
    chex.assert_equal_shape([nu_q, nu_p])
    chex.assert_type([nu_q, nu_p], float)
    return jnp.minimum(nu_q, NU_MAX) - jnp.exp(jnp.minimum(nu_p, NU_MAX)) + 1
