"""What decoders of images and points say of a pixel: their likelihoods."""
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import RUNNING_MEAN, Batch, Decoder, Key
from vaebench.networks import common

VARIANCE = f'{RUNNING_MEAN}variance'
LEAST_VARIANCE = 1e-8


def shared_log_variance(variance: jax.Array, size: int) -> jax.Array:
    """Computes the log of the variance of all values, a running mean of their squared error.

    Of a Gaussian's negative log-likelihood, averaged over examples, the derivative in the
    variance v is here v - e with e the mean squared error: the natural gradient in v of `size`
    values. A step that takes a share of it off is a running mean of e, which is where the
    likelihood is largest (sigma-VAE's optimal variance). Differs from the paper: the mean runs
    over the last batches, so that examples do not depend on their batch, and the variance that
    training ends with is the evaluation's. A network that has learned nothing has the variance
    of the data, at which a VAE may stay collapsed: where all directions of the data vary alike,
    give its KL a warm-up.

    Args:
      variance: [].
      size: values of an example, D.

    Returns:
      [] log of the variance, at least log 1e-8.

    References:
      Rybkin et al., "Simple and Effective VAE Training with Calibrated Decoders", 2021,
      arXiv:2006.13202.

    >>> slope = jax.grad(lambda v: -gaussian(2 * jnp.ones((1, 3)), jnp.zeros((1, 3)),
    ...                                      shared_log_variance(v, 3) * jnp.ones((1, 3)))[0])
    >>> float(slope(jnp.float32(1.)))                # 1 less the squared error 4
    -3.0
    """
    fixed = jax.lax.stop_gradient(jnp.maximum(variance, LEAST_VARIANCE))
    return jnp.log(fixed) + 2 * fixed / size * (variance - jax.lax.stop_gradient(variance))


class Observed(nn.Module):
    """A decoder body and its likelihood: logits, or the mean and the log variance of a law.

    Attributes:
      body: maps [B, Z] to [B, H, W, C * outputs per pixel].
      likelihood: one of `LIKELIHOODS`.
      spread: standard deviation of 'gaussian_fixed', scale of 'laplace'.
    """
    body: nn.Module
    likelihood: str
    spread: float

    @nn.compact
    def __call__(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        out = self.body(z)
        if self.likelihood == 'gaussian_full':
            mean, log_var = jnp.split(out, 2, -1)
            return mean, jnp.maximum(log_var, -6.)
        if self.likelihood == 'gaussian_shared':
            variance = self.param(VARIANCE, common.zeros, ())
            log_var = shared_log_variance(variance, math.prod(out.shape[1:]))
            return out, jnp.broadcast_to(log_var, out.shape)
        log_var = 2 * math.log(self.spread) + (self.likelihood == 'laplace') * math.log(2)
        return out, jnp.full(out.shape, log_var)


LIKELIHOODS = {'bernoulli': 1, 'gaussian_fixed': 1, 'gaussian_shared': 1, 'gaussian_full': 2,
               'laplace': 1}
"""Outputs per pixel of every likelihood."""


def _flat(x: jax.Array) -> jax.Array:
    """[B, ...] as [B, P], before the arithmetic.

    A fused loop over one channel costs XLA's CPU backend milliseconds.
    """
    return x.reshape(x.shape[0], -1)


@jax.custom_jvp
def _softplus(a: jax.Array) -> jax.Array:
    """log(1 + e^a): on a CPU four times as fast as jax.nn.softplus, which small nets feel."""
    return jnp.maximum(a, 0) + jnp.log1p(jnp.exp(-jnp.abs(a)))


_softplus.defjvps(lambda tangent, out, a: tangent * jax.nn.sigmoid(a))


def bernoulli(x: jax.Array, logits: jax.Array) -> jax.Array:
    """Computes log p(x) of independent pixels; a density only for x in {0, 1}.

    Args:
      x: [B, ...].
      logits: [B, ...].

    Returns:
      [B], nats.

    >>> round(float(bernoulli(jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 2, 2, 1)))[0]), 4)
    -2.7726
    """
    x, logits = _flat(x), _flat(logits)
    return (x * logits - _softplus(logits)).sum(-1)


def gaussian(x: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Computes log N(x; mean, exp(log_var)) of independent pixels.

    Args:
      x: [B, ...].
      mean: [B, ...].
      log_var: [B, ...].

    Returns:
      [B], nats.

    >>> round(float(gaussian(jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.zeros((1, 2)))[0]), 4)
    -1.8379
    """
    x, mean, log_var = _flat(x), _flat(mean), _flat(log_var)
    return -.5 * (log_var + (x - mean)**2 * jnp.exp(-log_var) + math.log(2 * math.pi)).sum(-1)


def laplace(x: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Computes the log density of independent pixels about their mean, Laplace's law.

    Args:
      x: [B, ...].
      mean: [B, ...].
      log_var: [B, ...], of the variance 2 scale^2.

    Returns:
      [B], nats.

    >>> log_var = jnp.full((1, 2), math.log(2.))                 # a scale of 1
    >>> round(float(laplace(jnp.ones((1, 2)), jnp.zeros((1, 2)), log_var)[0]), 4)
    -3.3863
    """
    x, mean, log_scale = _flat(x), _flat(mean), _flat(log_var) / 2 - math.log(2) / 2
    return -(jnp.abs(x - mean) * jnp.exp(-log_scale) + log_scale + math.log(2)).sum(-1)


def observe(body: nn.Module, likelihood: str, spread: float, latent: int) -> Decoder:
    """Makes a `Decoder` of images of a module.

    Args:
      body: linen module [B, Z] -> [B, H, W, C * outputs per pixel].
      likelihood: one of `LIKELIHOODS`; 'gaussian_shared' has one variance, see
        `shared_log_variance`, and 'gaussian_full' one per pixel, of a log at or above -6.
      spread: standard deviation of 'gaussian_fixed', scale of 'laplace'.
      latent: Z.

    Returns:
      A `Decoder`; generate's modes are 'mean' and 'sample'. Only the means of 'bernoulli' are
      forced into [0, 1].
    """
    module = Observed(body, likelihood, spread)

    def rule(path, shapes):
        return 0. if path[-1] == VARIANCE else common.torch_linear(path, shapes)

    def outputs(params: Any, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        out: Any = module.apply({'params': params}, z)
        return out

    def log_prob(params, z, batch, key=None):
        out, log_var = outputs(params, z)
        if likelihood == 'bernoulli':
            return bernoulli(batch['x'], out)
        density = laplace if likelihood == 'laplace' else gaussian
        return density(batch['x'], out, log_var)

    def generate(params: Any, z: jax.Array, key: Any = None, mode: str = 'mean') -> Batch:
        out, log_var = outputs(params, z)
        mean = jax.nn.sigmoid(out) if likelihood == 'bernoulli' else out
        if mode == 'mean':
            return {'x': mean}
        if likelihood == 'bernoulli':
            return {'x': jax.random.bernoulli(key, mean).astype(mean.dtype)}
        if likelihood == 'laplace':
            noise = jax.random.laplace(key, mean.shape) / math.sqrt(2)
        else:
            noise = jax.random.normal(key, mean.shape)
        return {'x': mean + jnp.exp(log_var / 2) * noise}

    drawn = common.initializer(module, rule, jnp.zeros((1, latent)))

    def init(key: Key) -> Any:
        params = drawn(key)
        return {k: v + 1. if k == VARIANCE else v for k, v in params.items()}

    return Decoder(init, log_prob, generate)
