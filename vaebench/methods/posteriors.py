"""Approximate posteriors q(z|x) as pure functions of an encoder's features."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import Kit, couples, derive
from vaebench.errors import UserError
from vaebench.ops import distributions, divergences

MOMENTUM = .1      # PyTorch's convention: weight of the new batch in the running statistics
EPSILON = 1e-5
MARGIN = 1e-6      # keeps the gradient of a committed mean's square root finite
FLOOR = 1e-8       # variance added to a normalized standard deviation, which may be 0


class Posterior(NamedTuple):
    """q(z|x). A function that the family lacks is None; KLs are those from `kl_from`."""
    names: tuple[str, ...]                     # keys of its params
    init: Callable[..., tuple[Mapping, Any]]   # key -> (params, carry)
    # (params, carry, features, weight, hp) -> (q, carry); no hp: evaluation
    apply: Callable[..., tuple[Any, Any]]
    mean: Callable[..., jax.Array]             # (params, q) -> [B, Z]
    sample: Callable[..., Any]                 # (params, q, key) -> z [B, Z] or a pytree
    log_q: Callable[..., jax.Array] | None = None        # (params, q, z) -> [B], nats
    log_q_dims: Callable[..., jax.Array] | None = None   # (params, q, z) -> [B, Z], nats
    kl: Callable[..., jax.Array] | None = None           # (params, q) -> [B], nats
    kl_dims: Callable[..., jax.Array] | None = None      # (params, q) -> [B, Z], nats
    kl_from: str = 'normal'        # family of the one prior that `kl` and `kl_dims` are from


def gaussian(kit: Kit, head_init: str | None = None) -> Posterior:
    """Diagonal Gaussian, its mean and log variance linear in the features.

    Args:
      kit: `head` is used.
      head_init: initialization of the head; None is the kit's.

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


def delta(kit: Kit, head_init: str | None = None) -> Posterior:
    """A point: z linear in the features. It has no density, hence no KL.

    Args:
      kit: `head` is used.
      head_init: initialization of the head; None is the kit's.

    Returns:
      A `Posterior`; q is {'mean': [B, Z]}.
    """
    head = kit.head(kit.latent, init=head_init)

    def apply(params, carry, features, weight=None, hp=None):
        return {'mean': head.apply(params['head'], features.last)}, carry

    return Posterior(('head',), lambda key: ({'head': head.init(key)}, {}), apply,
                     mean=lambda params, q: q['mean'], sample=lambda params, q, key: q['mean'])


def variance_bounds(rate: float) -> tuple[float, float]:
    """Variances of the two zero-mean Gaussians whose KL from N(0, 1) is `rate`: the roots of ln
    s - s + 2 rate + 1.

    Args:
      rate: nats, above 0.

    Returns:
      Two floats, below and above 1.

    >>> [round(s**.5, 4) for s in variance_bounds(.1)]
    [0.7023, 1.3313]
    """
    roots = []
    # concave: Newton's method nears each root from its own side
    for s in np.exp(-1 - 2 * rate), 4 * (rate + 1):
        for _ in range(100):
            s -= (np.log(s) - s + 2 * rate + 1) / (1 / s - 1)
        roots.append(float(s))
    return tuple(roots)


def committed(kit: Kit, rate: float = .1, head_init: str | None = None) -> Posterior:
    """Diagonal Gaussian whose KL from N(0, I) is at least `rate` in every dimension, whatever
    the features.

    The head gives m and a: the standard deviation lies between the bounds that `rate` sets, by
    sigmoid(a); the mean, always positive, makes the KL rate + relu(m) / 2 + 5e-7. This is the
    text tables' independent version, without the paper's autoregressive prior over a sequence
    of codes.

    Args:
      kit: `head` is used.
      rate: committed nats per dimension.
      head_init: initialization of the head; None is the kit's.

    Returns:
      A `Posterior`; q as for `gaussian`.

    References:
      Razavi et al., "Preventing Posterior Collapse with delta-VAEs", 2019, arXiv:1901.03416.
    """
    if not rate > 0:
        raise UserError(
            f'rate={rate} commits to nothing: choose a rate above 0 nats per dimension')
    base, (low, high) = gaussian(kit, head_init), (s**.5 for s in variance_bounds(rate))

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features)
        std = low + (high - low) * jax.nn.sigmoid(q['log_var'])
        log_var = 2 * jnp.log(std)
        # rounding may fall below 0 at the bounds
        spent = jnp.maximum(2 * rate + 1 + log_var - std**2, 0)
        return {'mean': jnp.sqrt(spent + jax.nn.relu(q['mean']) + MARGIN),
                'log_var': log_var}, carry

    return base._replace(apply=apply)


def batch_moments(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes the weighted mean and variance over the batch: couples the batch.

    Args:
      x: [B, Z].
      weight: [B].

    Returns:
      mean [Z], variance [Z] (biased), total weight [].

    >>> x, weight = jnp.array([[1.], [3.], [9.]]), jnp.array([1., 1., 0.])
    >>> [v.tolist() for v in batch_moments(x, weight)]
    [[2.0], [1.0], 2.0]
    """
    n = weight.sum()
    w = (weight / jnp.maximum(n, 1))[:, None]
    mean = (w * x).sum(0)
    return mean, (w * (x - mean)**2).sum(0), n


def _statistics(x, running, weight, training) -> tuple[jax.Array, jax.Array, dict]:
    """Mean [D] and variance [D] to normalize x [B, D] with, and the running ones as evaluation
    will see them.
    """
    mean, var = running['mean'], running['var']
    if not training:
        return mean, var, {'mean': mean, 'var': var}
    m, v, n = batch_moments(x, weight)
    rate = jnp.where(n > 1, MOMENTUM, 0.)
    running = {
        'mean': mean + rate * (m - mean),
        'var': var + rate * (v * n / jnp.maximum(n - 1, 1) - var)
    }
    return jnp.where(n > 1, m, mean), jnp.where(n > 1, v, var), running


def batch_norm(kit: Kit, head_init: str | None = 'torch') -> Posterior:
    """Diagonal Gaussian whose means have batch mean `shift` (learned) and standard deviation
    gamma (fixed).

    The carry keeps running statistics, and the gamma in force for evaluation, which sees no hp.
    Fewer than two filled slots use, and leave, the running statistics; the published code skips
    a batch of one.

    Hyperparameters:
      gamma.

    Args:
      kit: `head` is used.
      head_init: initialization of the head: the published heads keep PyTorch's while the LSTMs
        are small.

    Returns:
      A `Posterior`; q as for `gaussian`.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    base = gaussian(kit, head_init)

    def init(key):
        params, _ = base.init(key)
        zeros, ones = jnp.zeros(kit.latent), jnp.ones(kit.latent)
        return {**params, 'shift': zeros}, {'mean': zeros, 'var': ones, 'gamma': jnp.ones(())}

    @couples
    def apply(params, carry, features, weight=None, hp=None):
        q, _ = base.apply(params, {}, features)
        gamma = carry['gamma'] if hp is None else jnp.asarray(hp['gamma'], carry['gamma'].dtype)
        mean, var, running = _statistics(q['mean'], carry, weight, hp is not None)
        scaled = gamma * (q['mean'] - mean) / jnp.sqrt(var + EPSILON) + params['shift']
        return {**q, 'mean': scaled}, {**running, 'gamma': gamma}

    return base._replace(names=('head', 'shift'), init=init, apply=apply)


def batch_norm_learnable(kit: Kit, tau: float = .5,
                         head_init: str | None = 'torch') -> Posterior:
    """Diagonal Gaussian whose means and standard deviations are both batch-normalized and share
    a learned scale.

    A normalized mean is scaled by gamma_mean = sqrt(tau + (1 - tau) sigmoid(theta)), a
    normalized standard deviation by sqrt((1 - tau) sigmoid(-theta)), so that their squares'
    batch means add up to 1; neither is shifted. The paper does not print what it does to
    standard deviations. Normalized they may be negative or 0: only their square counts, plus
    1e-8. The carry keeps running statistics of the raw pairs.

    Args:
      kit: `head` is used.
      tau: least share of the means, between 0 and 1.
      head_init: initialization of the head.

    Returns:
      A `Posterior` with params['theta'] [Z]; q as for `gaussian`.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    if not 0 < tau < 1:
        raise UserError(f'tau={tau} leaves nothing to learn: choose a number between 0 and 1')
    base = gaussian(kit, head_init)

    def init(key):
        params, _ = base.init(key)
        zeros, ones = jnp.zeros(2 * kit.latent), jnp.ones(2 * kit.latent)
        return {**params, 'theta': jnp.zeros(kit.latent)}, {'mean': zeros, 'var': ones}

    @couples
    def apply(params, carry, features, weight=None, hp=None):
        raw, _ = base.apply(params, {}, features)
        raw = jnp.concatenate([raw['mean'], raw['log_var']], -1)
        mean, var, carry = _statistics(raw, carry, weight, hp is not None)
        scale = jnp.concatenate([tau + (1 - tau) * jax.nn.sigmoid(params['theta']),
                                 (1 - tau) * jax.nn.sigmoid(-params['theta'])])
        mean, std = jnp.split(jnp.sqrt(scale) * (raw - mean) / jnp.sqrt(var + EPSILON), 2, -1)
        return {'mean': mean, 'log_var': jnp.log(std**2 + FLOOR)}, carry

    return base._replace(names=('head', 'theta'), init=init, apply=apply)


def linear_implicit(kit: Kit, noise: int | None = None, noise_scale: float = .1) -> Posterior:
    """z = W [h; e] + b with e ~ N(0, I): called implicit, yet exactly N(W_h h + b, W_e W_e^T).

    Args:
      kit: `head` is used, with a bias.
      noise: E, size of e; None for Z. At least Z, or q has no density.
      noise_scale: W_e starts as U(-noise_scale, noise_scale).

    Returns:
      A `Posterior`; q is {'mean': [B, Z]}, the covariance is in params['noise'] [E, Z].

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527.
    """
    noise = kit.latent if noise is None else noise
    if noise < kit.latent:
        raise UserError(f'noise={noise} is less than the latent size {kit.latent}: choose at '
                        f'least {kit.latent}')
    head = kit.head(kit.latent, bias=True)

    def init(key):
        factor = jax.random.uniform(derive(key, 1), (noise, kit.latent), minval=-noise_scale,
                                    maxval=noise_scale)
        return {'head': head.init(derive(key, 0)), 'noise': factor}, {}

    def apply(params, carry, features, weight=None, hp=None):
        return {'mean': head.apply(params['head'], features.last)}, carry

    def sample(params, q, key):
        e = jax.random.normal(key, (q['mean'].shape[0], noise), q['mean'].dtype)
        return q['mean'] + e @ params['noise']

    def log_q(params, q, z):
        return distributions.linear_normal_log_prob(z, q['mean'], params['noise'])

    return Posterior(
        ('head', 'noise'), init, apply, mean=lambda params, q: q['mean'], sample=sample,
        log_q=log_q,
        kl=lambda params, q: divergences.linear_normal_kl(q['mean'], params['noise']))
