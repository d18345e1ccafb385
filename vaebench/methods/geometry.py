"""Codes on the sphere and in the Poincare ball: posteriors, priors and the methods made of
them.
"""
from collections.abc import Callable

import jax
import jax.numpy as jnp

from vaebench.core import Decoder, Kit, Method, Net, Recipe, derive, mean
from vaebench.errors import UserError, unknown
from vaebench.methods import models, objectives, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.methods.posteriors import Posterior
from vaebench.ops import poincare
from vaebench.ops import vmf as sphere


def uniform_sphere(size: int) -> models.Prior:
    """The uniform prior on the unit sphere of R^size; its KL is that of `vmf`."""
    def log_prob(params, z):
        return jnp.full(z.shape[:-1], -sphere.log_area(size), z.dtype)

    return models.Prior((), lambda key, data, params: {}, log_prob,
                        lambda params, key, n: sphere.uniform(key, n, size), family='sphere')


def vmf(kit: Kit, kappa: float = 13., head_init: str | None = None) -> Posterior:
    """Von Mises-Fisher on the unit sphere: direction linear in the features, concentration
    fixed.

    Its KL is that from `uniform_sphere`, a constant of kappa and Z.

    Args:
      kit: `head` is used; Z at least 2.
      kappa: concentration, a Python number of at least 0.
      head_init: initialization of the head; None is the kit's.

    Returns:
      A `Posterior`; q is {'mean': [B, Z]}, unit vectors: `mean` is the direction, not the
      shorter E[z].

    References:
      Xu and Durrett, "Spherical Latent Spaces for Stable Variational Autoencoders", 2018,
      arXiv:1808.10805.
    """
    if kit.latent < 2 or kappa < 0:
        raise UserError(f'a sphere in {kit.latent} dimensions with kappa={kappa}: choose a '
                        'latent size of at least 2 and kappa of at least 0')
    head, table = kit.head(kit.latent, init=head_init), sphere.angles(kappa, kit.latent)

    def apply(params, carry, features, weight=None, hp=None):
        return {'mean': sphere.unit(head.apply(params['head'], features.last))}, carry

    def kl(params, q):
        m = q['mean']
        return jnp.full(m.shape[:-1], sphere.kl(kappa, kit.latent), m.dtype)

    return Posterior(('head',), lambda key: ({'head': head.init(key)}, {}), apply,
                     mean=lambda params, q: q['mean'],
                     sample=lambda params, q, key: sphere.sample(key, q['mean'], table),
                     log_q=lambda params, q, z: sphere.log_prob(z, q['mean'], kappa),
                     kl=kl, kl_from='sphere')


def vmf_vae(kit: Kit, recipe: Recipe, *, kappa: float = 13., pretrain: bool = False) -> Method:
    """VAE on the sphere: its rate is a constant, so it cannot collapse.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      kappa: concentration: the paper's text runs have 80 at Z = 50, later tables 13 at Z = 32.
      pretrain: whether an autoencoder comes first: see `autoencoders.autoencoder`.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t KL(vMF(mu(x), kappa) || uniform on the sphere), mu = W h(x) / |W h(x)|
      KL = kappa E[z.mu] + ln C(kappa) + ln area, the same for every x

    Deviations:
      The KL is exact; published codes print that of a sphere two dimensions larger. Draws come
      from a table of the inverse distribution function, not from rejection. A fixed kappa
      bounds what a code can say: 13 is a rate of 3.2 nats at Z = 8, 3.1 at 16 and 1.8 at 40,
      where images have use for 20; later work learns it.

    References:
      Xu and Durrett, "Spherical Latent Spaces for Stable Variational Autoencoders", 2018,
      arXiv:1808.10805.
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585 (pretrain).
    """
    return autoencoder(kit, recipe, vmf(kit, kappa), regularizers.kl,
                       objectives.scheduled_weight(recipe), prior=uniform_sphere(kit.latent),
                       pretrain=pretrain)


# most sqrt(c) |u| of a posterior's mean exp_0(u): beyond, float32 loses the noise around it
REACH = 1.5
THIN = 1e-3        # least scale of a wrapped normal, for the same reason


def check_curvature(c: float, convention: str) -> None:
    """Refuses a curvature or a convention of which `ops.poincare` knows nothing."""
    if convention not in poincare.UNIT:
        raise unknown('wrapped normal', convention, poincare.UNIT)
    if c < 0:
        raise UserError(
            f'c={c} is minus the curvature of the ball: choose a number of at least 0')


def wrapped_normal(kit: Kit, c: float = .1, convention: str = 'pvae',
                   head_init: str | None = None) -> Posterior:
    """Wrapped normal in the Poincare ball: mean exp_0 of a linear map, scale softplus + 1e-3 of
    another.

    Codes are points of the ball; densities are with respect to the hyperbolic volume, like
    those of `wrapped_prior`. Means stay within a hyperbolic distance of 3 / sqrt(c) and scales
    above 1e-3 (the published code: 1e-5): nearer the rim the density of a draw is rounding, and
    a weak dual estimate of the KL drives posteriors there.

    Args:
      kit: `head` is used.
      c: minus the curvature, a Python number; at 0 everything is Euclidean.
      convention: 'pvae', where a unit of noise is a unit of distance, or 'apo', where it is
        two.
      head_init: initialization of the head; None is the kit's.

    Returns:
      A `Posterior`; q is {'mean': [B, Z] in the ball, 'scale': [B, Z]}.

    References:
      Mathieu et al., "Continuous Hierarchical Representations with Poincare Variational
      Auto-Encoders", 2019, arXiv:1901.06033.
    """
    check_curvature(c, convention)
    head = kit.head(2 * kit.latent, init=head_init)

    def apply(params, carry, features, weight=None, hp=None):
        center, raw = jnp.split(head.apply(params['head'], features.last), 2, -1)
        center = poincare.shorten(center, c, REACH)
        return {'mean': poincare.exp0(center, c), 'scale': jax.nn.softplus(raw) + THIN}, carry

    def sample(params, q, key):
        return poincare.wrapped_sample(key, q['mean'], q['scale'], c, convention)

    def log_q(params, q, z):
        return poincare.wrapped_log_prob(z, q['mean'], q['scale'], c, convention)

    return Posterior(('head',), lambda key: ({'head': head.init(key)}, {}), apply,
                     mean=lambda params, q: q['mean'], sample=sample, log_q=log_q)


def wrapped_prior(size: int, c: float = .1, convention: str = 'pvae') -> models.Prior:
    """The wrapped normal at the origin with scale 1, in `wrapped_normal`'s convention; its KL
    has no closed form.
    """
    check_curvature(c, convention)
    def log_prob(params, z):
        return poincare.wrapped_log_prob(z, jnp.zeros_like(z), jnp.ones_like(z), c, convention)

    def sample(params, key, n):
        return poincare.wrapped_sample(key, jnp.zeros((n, size)), 1., c, convention)

    return models.Prior((), lambda key, data, params: {}, log_prob, sample)


def gyroplanes(n_in: int, n_out: int, c: float = .1) -> Net:
    """A layer of signed distances from hyperplanes of the ball: a linear layer at c = 0.

    Args:
      n_in: Z.
      n_out: K, hyperplanes.
      c: minus the curvature.

    Returns:
      A `Net` [..., Z] -> [..., K]; normals start as a linear layer's weights, U(+-1/sqrt(Z)),
      planes at the origin.
    """
    def init(key):
        bound = n_in**-.5
        return {'normal': jax.random.uniform(key, (n_out, n_in), minval=-bound, maxval=bound),
                'offset': jnp.zeros((n_out, n_in))}

    def apply(params, z, key=None):
        return poincare.gyroplane(poincare.project(z, c), **params, c=c)

    return Net(init, apply)


def with_input_layer(decoder: Decoder, lift: Net) -> Decoder:
    """Puts a layer before a decoder: it decodes lift(z).

    Args:
      decoder: a `Decoder`.
      lift: a `Net` from codes to what `decoder` reads.

    Returns:
      A `Decoder` with params {'lift', 'dec'}.
    """
    def init(key):
        return {'lift': lift.init(derive(key, 0)), 'dec': decoder.init(derive(key, 1))}

    def log_prob(params, z, batch, key=None):
        return decoder.log_prob(params['dec'], lift.apply(params['lift'], z), batch, key)

    def generate(params, z, key, mode):
        return decoder.generate(params['dec'], lift.apply(params['lift'], z), key, mode)

    return Decoder(init, log_prob, generate)


def boundary_share(c: float) -> Callable[..., dict[str, jax.Array]]:
    """Function (terms, batch) -> aux 'clipped', the share of codes that lie on the rim, where
    densities are wrong.
    """
    def share(terms, batch):
        return {'clipped': mean(poincare.clipped(terms.z, c).astype(terms.z.dtype), batch)}

    return share


def reject_boundary(method: Method, c: float) -> Method:
    """Changes the evals of a method so that codes on the rim have no prior probability: weights
    remain bounds.

    A draw that was pulled back to the rim has not the density that is computed for it: counting
    none of its share of p(x) can only raise an importance-weighted -ln p(x).
    """
    log_prior = method.evals['log_prior']

    def inside(params, carry, z):
        return jnp.where(poincare.clipped(z, c), -jnp.inf, log_prior(params, carry, z))

    return method._replace(evals={**method.evals, 'log_prior': inside})


def p_vae(kit: Kit, recipe: Recipe, *, c: float = .1, convention: str = 'pvae') -> Method:
    """VAE in the Poincare ball: wrapped normals, Monte Carlo KL, and a decoder that begins with
    gyroplanes.

    At c = 1 and Z = 32 most draws would lie on the rim; aux 'clipped' counts them.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      c: minus the curvature.
      convention: of the wrapped normals: 'pvae' or 'apo'.

    Returns:
      A `Method`; params['dec'] is {'lift', 'dec'}.

    Equation:
      z = exp_mu(e / lambda_mu), e ~ N(0, diag s^2), mu = exp_0(W h), s = softplus(W' h) + 1e-3
      minimize rec + w_t [log q(z|x) - log p(z)], p the wrapped normal at 0 with scale 1

    Deviations:
      The text runs of this row are another paper's, with unknown settings: c is this suite's.
      Means keep within 3 / sqrt(c) of the origin and scales above 1e-3 (the published code:
      1e-5), for float32. Scales have no upper limit: large ones put draws on the rim, which aux
      'clipped' counts. The offsets of gyroplanes are parameters of their own; the code ties
      them to the normals. In evaluation a draw on the rim has no prior probability. There is no
      Riemannian normal.

    References:
      Mathieu et al., "Continuous Hierarchical Representations with Poincare Variational
      Auto-Encoders", 2019, arXiv:1901.06033.
    """
    shown, z = boundary_share(c), kit.latent

    def regularizer(params, terms, batch, ctx, key):
        return mean(terms.kl, batch), shown(terms, batch)

    method = autoencoder(kit, recipe, wrapped_normal(kit, c, convention), regularizer,
                         objectives.scheduled_weight(recipe),
                         prior=wrapped_prior(z, c, convention),
                         decoder=with_input_layer(kit.decoder(), gyroplanes(z, z, c)))
    return reject_boundary(method, c)
