"""What a head makes of features: approximate posteriors q(z|x) as pure functions."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import derive
from vaebench.errors import UserError
from vaebench.ops import distributions, divergences

MOMENTUM = .1      # PyTorch's convention: weight of the new batch in the running statistics
EPSILON = 1e-5


class Posterior(NamedTuple):
    """q(z|x). A function that the family lacks is None; KLs are those from N(0, I)."""
    parts: tuple[str, ...]                     # keys of its params
    init: Callable[..., tuple[Mapping, Any]]   # key -> (params, carry)
    apply: Callable[..., tuple[Any, Any]]   # (params, carry, features, weight, hp) -> (q, carry); no hp: evaluation
    mean: Callable[..., jax.Array]             # (params, q) -> [B, Z]
    sample: Callable[..., jax.Array]           # (params, q, key) -> [B, Z]
    log_q: Callable[..., jax.Array] | None = None        # (params, q, z) -> [B], nats
    log_q_dims: Callable[..., jax.Array] | None = None   # (params, q, z) -> [B, Z], nats
    kl: Callable[..., jax.Array] | None = None           # (params, q) -> [B], nats
    kl_dims: Callable[..., jax.Array] | None = None      # (params, q) -> [B, Z], nats


def gaussian(kit, head_init=None):
    """Diagonal Gaussian, its mean and log variance linear in the features.

    Args:
      kit: `head` is used.
      head_init: initialisation of the head; None is the kit's.

    Returns:
      A `Posterior`; q is {'mean': [B, Z], 'log_var': [B, Z]}.
    """
    head = kit.head(2 * kit.latent, init=head_init)

    def apply(params, carry, features, weight=None, hp=None):
        mean, log_var = jnp.split(head.apply(params['head'], features.last), 2, -1)
        return {'mean': mean, 'log_var': log_var}, carry

    return Posterior(
        ('head',), lambda key: ({'head': head.init(key)}, {}), apply,
        mean=lambda params, q: q['mean'],
        sample=lambda params, q, key: distributions.normal_sample(key, **q),
        log_q=lambda params, q, z: distributions.normal_log_prob(z, **q),
        log_q_dims=lambda params, q, z: distributions.normal_log_prob_dims(z, **q),
        kl=lambda params, q: divergences.normal_kl(**q),
        kl_dims=lambda params, q: divergences.normal_kl_dims(**q))


def delta(kit, head_init=None):
    """A point: z linear in the features. It has no density, hence no KL.

    Args:
      kit: `head` is used.
      head_init: initialisation of the head; None is the kit's.

    Returns:
      A `Posterior`; q is {'mean': [B, Z]}.
    """
    head = kit.head(kit.latent, init=head_init)

    def apply(params, carry, features, weight=None, hp=None):
        return {'mean': head.apply(params['head'], features.last)}, carry

    return Posterior(('head',), lambda key: ({'head': head.init(key)}, {}), apply,
                     mean=lambda params, q: q['mean'], sample=lambda params, q, key: q['mean'])


def batch_moments(x, weight):
    """Weighted mean and variance over the batch: couples the batch.

    Args:
      x: [B, Z].
      weight: [B].

    Returns:
      mean [Z], variance [Z] (biased), total weight [].

    >>> [v.tolist() for v in batch_moments(jnp.array([[1.], [3.], [9.]]), jnp.array([1., 1., 0.]))]
    [[2.0], [1.0], 2.0]
    """
    n = weight.sum()
    w = (weight / jnp.maximum(n, 1))[:, None]
    mean = (w * x).sum(0)
    return mean, (w * (x - mean)**2).sum(0), n


def batch_norm(kit, head_init='torch'):
    """Diagonal Gaussian whose means have batch mean `shift` (learnt) and standard deviation gamma (fixed).

    hp: `gamma`. The carry keeps running statistics, and the gamma in force for evaluation, which sees no hp.
    The published code skips a batch of one; here fewer than two filled slots use, and leave, the running statistics.

    Args:
      kit: `head` is used.
      head_init: initialisation of the head: the published heads keep PyTorch's while the LSTMs are small.

    Returns:
      A `Posterior`; q as for `gaussian`.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020, arXiv:2004.12585.
    """
    base = gaussian(kit, head_init)

    def init(key):
        params, _ = base.init(key)
        zeros, ones = jnp.zeros(kit.latent), jnp.ones(kit.latent)
        return {**params, 'shift': zeros}, {'mean': zeros, 'var': ones, 'gamma': jnp.ones(())}

    def apply(params, carry, features, weight=None, hp=None):
        q, _ = base.apply(params, {}, features)
        mean, var, gamma = carry['mean'], carry['var'], carry['gamma']
        if hp is not None:
            gamma = jnp.asarray(hp['gamma'], gamma.dtype)
            m, v, n = batch_moments(q['mean'], weight)
            rate = jnp.where(n > 1, MOMENTUM, 0.)
            carry = {'mean': mean + rate * (m - mean),
                     'var': var + rate * (v * n / jnp.maximum(n - 1, 1) - var),
                     'gamma': gamma}
            mean, var = jnp.where(n > 1, m, mean), jnp.where(n > 1, v, var)
        scaled = gamma * (q['mean'] - mean) / jnp.sqrt(var + EPSILON) + params['shift']
        return {**q, 'mean': scaled}, carry

    return base._replace(parts=('head', 'shift'), init=init, apply=apply)


def linear_implicit(kit, noise=None, noise_scale=.1):
    """z = W [h; e] + b with e ~ N(0, I): called implicit, yet exactly N(W_h h + b, W_e W_e^T).

    Args:
      kit: `head` is used, with a bias.
      noise: E, size of e; None for Z. At least Z, or q has no density.
      noise_scale: W_e starts as U(-noise_scale, noise_scale).

    Returns:
      A `Posterior`; q is {'mean': [B, Z]}, the covariance is in params['noise'] [E, Z].

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019, arXiv:1908.11527.
    """
    noise = kit.latent if noise is None else noise
    if noise < kit.latent:
        raise UserError(f'noise={noise} is less than the latent size {kit.latent}: choose at least {kit.latent}')
    head = kit.head(kit.latent, bias=True)

    def init(key):
        factor = jax.random.uniform(derive(key, 1), (noise, kit.latent), minval=-noise_scale, maxval=noise_scale)
        return {'head': head.init(derive(key, 0)), 'noise': factor}, {}

    def apply(params, carry, features, weight=None, hp=None):
        return {'mean': head.apply(params['head'], features.last)}, carry

    def sample(params, q, key):
        e = jax.random.normal(key, (q['mean'].shape[0], noise), q['mean'].dtype)
        return q['mean'] + e @ params['noise']

    return Posterior(
        ('head', 'noise'), init, apply, mean=lambda params, q: q['mean'], sample=sample,
        log_q=lambda params, q, z: distributions.linear_normal_log_prob(z, q['mean'], params['noise']),
        kl=lambda params, q: divergences.linear_normal_kl(q['mean'], params['noise']))
