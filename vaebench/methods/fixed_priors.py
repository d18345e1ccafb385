"""Priors that say how dimensions of the code should lie: scaled, clustered, mostly off."""
import contextlib
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import Kit, Params, derive
from vaebench.errors import UserError
from vaebench.methods import models, posteriors, priors
from vaebench.ops import density_gap, distributions

AXES = 'normal along the axes'
"""The family of `axes`."""


def axes_log_var(params: Params) -> jax.Array:
    """Computes the log variances [Z] of `axes`; the variances add up to Z.

    >>> jnp.exp(axes_log_var({'axes': jnp.log(jnp.array([1., 3.]))})).round(4).tolist()
    [0.5, 1.5]
    """
    return jax.nn.log_softmax(params['axes']) + math.log(len(params['axes']))


def axes(kit: Kit) -> models.Prior:
    """N(0, diag s^2) with s_1^2 + ... + s_Z^2 = Z, at first N(0, I).

    Args:
      kit: the networks; only the latent size is used.

    Returns:
      A `models.Prior` of the family `AXES` with params 'axes' [Z]: logarithms of numbers that
      the variances are in proportion to.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833.
    """
    def sample(params, key, n):
        return jnp.exp(axes_log_var(params) / 2) * jax.random.normal(key, (n, kit.latent))

    return models.Prior(
        ('axes',), lambda key, data, params: {'axes': jnp.zeros(kit.latent)},
        lambda params, z: distributions.normal_log_prob(z, 0., axes_log_var(params)), sample,
        family=AXES)


def from_axes(posterior: posteriors.Posterior) -> posteriors.Posterior:
    """Gives a Gaussian posterior the closed-form KL from `axes`, in place of that from N(0, I).

    A KL does not change when both laws are divided by s.

    Args:
      posterior: a `posteriors.Posterior` whose q is {'mean', 'log_var'}, with `kl` and
        `kl_dims`.

    Returns:
      The same posterior but for `kl`, `kl_dims` and `kl_from`.
    """
    kl, kl_dims = posterior.kl, posterior.kl_dims
    assert kl is not None and kl_dims is not None

    def divided(params, q):
        log_var = axes_log_var(params)
        return {'mean': q['mean'] * jnp.exp(-log_var / 2), 'log_var': q['log_var'] - log_var}

    return posterior._replace(kl=lambda params, q: kl(params, divided(params, q)),
                              kl_dims=lambda params, q: kl_dims(params, divided(params, q)),
                              kl_from=AXES)


def student(kit: Kit, df: float = 9.) -> models.Prior:
    """Independent Student's t variables, whose product is not invariant to rotations.

    Args:
      kit: the networks; only the latent size is used.
      df: degrees of freedom, nu; the variance is nu / (nu - 2), as in the paper's code, which
        does not scale it to 1.

    Returns:
      A `models.Prior` without params.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833.
    """
    if not df > 0:
        raise UserError(f"df={df}: degrees of freedom of Student's t must be above 0")
    return models.Prior((), lambda key, data, params: {},
                        lambda params, z: jax.scipy.stats.t.logpdf(z, df).sum(-1),
                        lambda params, key, n: jax.random.t(key, df, (n, kit.latent)))


def frozen(prior: models.Prior, **constants: Any) -> models.Prior:
    """Binds all parameters of a prior to constants.

    Args:
      prior: a `models.Prior`.
      **constants: the entries of params that it reads, by name.

    Returns:
      A `models.Prior` without params.
    """
    log_prob = prior.log_prob
    return prior._replace(
        names=(), init=lambda key, data, params: {},
        log_prob=log_prob and (lambda params, z: log_prob({**params, **constants}, z)),
        sample=lambda params, key, n: prior.sample({**params, **constants}, key, n))


def clusters(kit: Kit, centers: Sequence[Sequence[float]] | None = None,
             variance: float = .03) -> models.Prior:
    """Equal mixture of round Gaussians that nothing moves.

    Args:
      kit: the networks; only the latent size is used.
      centers: of the components, each of Z numbers; None for 1 and -1 on every axis: in the
        plane the paper's four.
      variance: of a component in each dimension.

    Returns:
      A `models.Prior` without params.

    Raises:
      UserError: a center has another number of dimensions than the code, or the variance is
      not above 0.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833.
    """
    if not variance > 0:
        raise UserError(f'variance={variance}: that of a cluster must be above 0')
    at: Any = np.zeros(0)
    with contextlib.suppress(TypeError, ValueError):         # no rectangle of numbers
        at = np.array([*np.eye(kit.latent), *-np.eye(kit.latent)] if centers is None else
                      centers, np.float64)
    if at.ndim != 2 or at.shape[1] != kit.latent:
        raise UserError(f'centers={centers}: each must be {kit.latent} numbers, as many as the '
                        'code has dimensions')
    mean = jnp.asarray(at, jnp.result_type(float))
    return frozen(priors.mog(kit, len(at)),
                  mog={'mean': mean, 'log_var': jnp.full_like(mean, math.log(variance)),
                       'logits': jnp.zeros(len(at), mean.dtype)})


def sparse(kit: Kit, narrow: float = .05) -> models.Prior:
    """In every dimension (1 - gamma) N(0, 1) + gamma N(0, s_0^2): a share gamma of them is off.

    Args:
      kit: the networks; only the latent size is used.
      narrow: s_0, a standard deviation, 0.05 in the paper's code; its text writes s_0^2.

    Returns:
      A `models.Prior` with params 'gamma' [], from 0 to 1.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833.
    """
    if not narrow > 0:
        raise UserError(f'narrow={narrow}: a standard deviation must be above 0')

    def log_prob(params, z):
        parts = [distributions.normal_log_prob_dims(z, 0., 2 * math.log(s))
                 for s in (1., narrow)]
        share = jnp.stack([1 - params['gamma'], params['gamma']])
        return density_gap.log_mixture(jnp.stack(parts), share).sum(-1)

    def sample(params, key, n):
        shape = n, kit.latent
        off = jax.random.bernoulli(derive(key, 0), params['gamma'], shape)
        return jnp.where(off, narrow, 1.) * jax.random.normal(derive(key, 1), shape)

    return models.Prior(('gamma',), lambda key, data, params: {'gamma': jnp.zeros(())},
                        log_prob, sample)
