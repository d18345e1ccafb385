"""What an objective adds to the reconstruction: (params, terms, batch, ctx, key) -> (nats [],
aux).
"""
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from vaebench.core import Batch, Key, Params, Recipe, StepInfo, couples, mean
from vaebench.errors import UserError, unknown
from vaebench.losses import elbo
from vaebench.methods.models import Regularizer, Terms
from vaebench.ops import kernels, schedules


def none(params: Params, terms: Terms, batch: Batch, ctx: StepInfo,
         key: Key) -> tuple[float, Mapping]:
    """Adds nothing: the regularizer of a plain autoencoder."""
    return 0., {}


def kl(params: Params, terms: Terms, batch: Batch, ctx: StepInfo,
       key: Key) -> tuple[jax.Array, Mapping]:
    """Adds the KL."""
    if terms.kl is None:
        raise UserError('the KL needs a posterior with a density: use another regularizer')
    return mean(terms.kl, batch), {}


def free_bits(scope: str = 'dim', reduce: str = 'example', form: str = 'mask') -> Regularizer:
    """Adds the KL, without a gradient below hp['target'] nats: see `losses.elbo.free_bits`.

    Args:
      scope: 'dim' gives each dimension an equal share of the target, 'total' compares the sum
        with it.
      reduce: 'example' tests every example, 'batch' the batch mean, which couples the batch.
      form: 'mask' or 'max'.

    Returns:
      A regularizer.
    """
    over = {'dim': lambda kl: kl, 'total': lambda kl: kl.sum(-1, keepdims=True)}[scope]
    tested = {'example': lambda kl, batch: kl,
              'batch': lambda kl, batch: jax.vmap(mean, (1, None))(kl, batch)}[reduce]

    def regularizer(params, terms, batch, ctx, key):
        kl = over(terms.kl_dims)
        bits = elbo.free_bits(kl, tested(kl, batch), ctx.hp['target'] / kl.shape[-1], form)
        return mean(bits, batch), {}

    return couples(regularizer, reduce == 'batch')


def capacity(recipe: Recipe, reduce: str = 'batch') -> Regularizer:
    """|KL - C(t)|, C(t) linear from 0 to hp['capacity'] nats over hp['capacity_epochs'].

    Args:
      recipe: `steps_per_epoch` is used.
      reduce: 'batch' puts the batch mean inside the bars, which couples the batch; 'example'
        every example.

    Returns:
      A regularizer.

    References:
      Burgess et al., "Understanding disentangling in beta-VAE", 2018, arXiv:1804.03599.
    """
    inside = {'batch': lambda kl, batch: mean(kl, batch),
              'example': lambda kl, batch: kl}[reduce]

    def regularizer(params, terms, batch, ctx, key):
        capacity = schedules.ramp(ctx.total / recipe.steps_per_epoch, 0., ctx.hp['capacity'],
                                  length=ctx.hp['capacity_epochs'])
        gap = jnp.abs(inside(terms.kl, batch) - capacity)
        return mean(jnp.broadcast_to(gap, batch['weight'].shape), batch), {'capacity': capacity}

    return couples(regularizer, reduce == 'batch')


def mmd(size: int, width: float = 1.) -> Regularizer:
    """Unbiased squared MMD between the batch's codes and as many prior draws; couples the
    batch.

    Args:
      size: Z.
      width: multiple of the kernel's base C = 2 Z; Bahuleyan's text code has 2, Tolstikhin's
        image code 1.

    Returns:
      A regularizer, without unit.
    """
    return _mmd(lambda z, noise, weight: lambda x, y: kernels.imq(x, y, 2. * size * width))


def mmd_tutorial(size: int, width: float = 1.) -> Regularizer:
    """`mmd` with the one kernel exp(-r^2 / Z^2) of InfoVAE's published tutorial; couples
    the batch.

    Args:
      size: Z.
      width: multiple of the kernel's Z^2.

    Returns:
      A regularizer, without unit.

    References:
      Zhao et al., "InfoVAE: Information Maximizing Variational Autoencoders", 2017,
      arXiv:1706.02262.
    """
    return _mmd(lambda z, noise, weight: lambda x, y: kernels.rbf(x, y, width * size**2 / 2))


median = kernels.median


def mmd_rbf(size: int, within: str = 'prior', width: float = 1.) -> Regularizer:
    """`mmd` with one Gaussian kernel, whose variance the batch sets; couples the batch.

    The variance is the median squared distance between codes and prior draws plus that between
    prior draws ('prior': the text code) or between codes ('codes': the image code). Both send a
    gradient through it; here it is a constant.

    Args:
      size: Z.
      within: 'prior' or 'codes'.
      width: multiple of the variance.

    Returns:
      A regularizer, without unit.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
    """
    inside = {'prior': lambda z, noise: noise, 'codes': lambda z, noise: z}[within]

    def kernel(z, noise, weight):
        filled, own = weight > 0, inside(z, noise)
        pairs = filled[:, None] & filled
        apart = pairs & ~jnp.eye(len(weight), dtype=bool)
        variance = jax.lax.stop_gradient(median(kernels.squared_distances(own, own), apart)
                                         + median(kernels.squared_distances(z, noise), pairs))
        variance = width * jnp.where(variance > 0, variance, 1.)
        return lambda x, y: kernels.rbf(x, y, variance)

    return _mmd(kernel)


def _mmd(kernel: Callable[..., Callable]) -> Regularizer:
    """The regularizer of a kernel that (codes [B, Z], prior draws [B, Z], weight [B])
    choose."""
    def regularizer(params, terms, batch, ctx, key):
        noise, weight = jax.random.normal(key, terms.z.shape, terms.z.dtype), batch['weight']
        value = kernels.mmd(terms.z, noise, kernel(terms.z, noise, weight), weight, weight)
        return value, {'mmd': value}

    return couples(regularizer)


DISCREPANCIES = {'imq': mmd, 'rbf': lambda size, width: mmd_rbf(size, 'codes', width),
                 'tutorial': mmd_tutorial}
"""Squared MMD of the batch's codes from N(0, I), by the name of the kernel: (Z, width) ->
regularizer."""


def discrepancy(kernel: str, size: int, width: float = 1.) -> Regularizer:
    """The regularizer in `DISCREPANCIES` of that name."""
    if kernel not in DISCREPANCIES:
        raise unknown('kernel', kernel, DISCREPANCIES)
    return DISCREPANCIES[kernel](size, width)


def per_dimension(params: Params, terms: Terms, batch: Batch, ctx: StepInfo,
                  key: Key) -> tuple[float, Mapping]:
    """Adds nothing and shows the KL of every dimension: aux 'kl0', 'kl1' and so on, nats."""
    if terms.kl_dims is None:
        raise UserError('the KL of every dimension needs a posterior that factorizes')
    kl = jax.vmap(mean, (1, None))(terms.kl_dims, batch)
    return 0., {f'kl{i}': kl[i] for i in range(len(kl))}
