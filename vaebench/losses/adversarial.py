"""Objectives of players against each other, per example."""
import math

import jax
import jax.numpy as jnp

NU_MAX = 20.
"""Ceiling of a dual function: its exponential stays finite, and a clipped dual function is still a bound."""


def critic_loss(real, fake):
    """Binary cross-entropy of a critic that should call `real` true and `fake` false.

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
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def generator_loss(fake, form='nonsaturating'):
    """What a generator minimises against the critic's logits.

    Args:
      fake: [...] logits of samples.
      form: 'nonsaturating', or 'minmax', whose gradient vanishes where the critic is sure.

    Returns:
      [...], nats.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.

    >>> round(float(generator_loss(jnp.zeros(()))), 4), round(float(generator_loss(jnp.zeros(()), 'minmax')), 4)
    (0.6931, -0.6931)
    """
    return {'nonsaturating': lambda a: jax.nn.softplus(-a), 'minmax': lambda a: -jax.nn.softplus(a)}[form](fake)


def least_squares(score, target):
    """Half the squared distance of a score from its target.

    Args:
      score: [...].
      target: a number.

    Returns:
      [...].

    References:
      Mao et al., "Least Squares Generative Adversarial Networks", 2017, arXiv:1611.04076.

    >>> float(least_squares(jnp.array(3.), 1.))
    2.0
    """
    return .5 * (score - target)**2


def margin_loss(real, fake, margin):
    """What an energy minimises: low on data, at least `margin` on samples.

    Its gradient is exactly 0 for samples at the margin and above.

    Args:
      real: [...] energies of data, at least 0.
      fake: [...] energies of samples.
      margin: number > 0.

    Returns:
      [...], in the energy's unit.

    References:
      Zhao et al., "Energy-based Generative Adversarial Network", 2017, arXiv:1609.03126.

    >>> margin_loss(jnp.array([.5, .5]), jnp.array([.25, 2.]), 1.).tolist()
    [1.25, 0.5]
    """
    return real + jax.nn.relu(margin - fake)


def code_information(logits, code):
    """Lower bound of the mutual information between a uniform code and the sample made from it.

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
    return math.log(logits.shape[-1]) + (code * jax.nn.log_softmax(logits)).sum(-1)


def dual_kl(nu_q, nu_p):
    """Fenchel lower bound of KL(q || p): its mean is at most the KL for any function nu.

    The paper omits the + 1, without which the best value is KL - 1.

    Args:
      nu_q: [...] nu at draws of q.
      nu_p: [...] nu at draws of p.

    Returns:
      [...], nats.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019, arXiv:1908.11527.

    >>> float(dual_kl(jnp.zeros(()), jnp.zeros(())))
    0.0
    """
    return jnp.minimum(nu_q, NU_MAX) - jnp.exp(jnp.minimum(nu_p, NU_MAX)) + 1
