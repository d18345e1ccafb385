"""Decomposition of what a VAE asks of its codes: their overlap, and the law of their aggregate.

The weight of the KL decides how far posteriors overlap; the prior, and a divergence of the
aggregate posterior from it, decide how codes are laid out.
"""
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import Criterion, Fold, Hp, Kit, Method, Phase, Recipe, couples
from vaebench.errors import UserError, unknown
from vaebench.methods import fixed_priors, models, objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.methods.models import Regularizer
from vaebench.ops import density_gap, kernels
from vaebench.schema import field

SMALLEST = 1e-6        # added to standard deviations
LEAST = 1e-6           # of the largest principal variance: less counts as so much
WIDTHS = .1, .2, .5, 1., 2., 5.
"""Multiples of the kernel's base 2 in each dimension; the usual 10 is left out, as there."""


# How far the aggregate posterior is from the prior.

def inclusive(prior: models.Prior, posterior: posteriors.Posterior) -> Regularizer:
    """KL(p || aggregate of the batch), at as many draws of the prior; couples the batch.

    A finite batch has a narrower aggregate than all data, so that the value is too large.

    Args:
      prior: a `models.Prior` with a density.
      posterior: a `posteriors.Posterior` with `log_q`.

    Returns:
      A regularizer, in nats; aux 'inclusive'.
    """
    log_p, log_q = prior.log_prob, posterior.log_q
    assert log_p is not None and log_q is not None

    def regularizer(params, terms, batch, ctx, key):
        weight = batch['weight']
        z = prior.sample(params, key, len(weight))
        aggregate = jax.vmap(
            lambda z: density_gap.log_mixture(log_q(params, terms.q, z), weight))(z)
        value = (log_p(params, z) - aggregate).mean()
        return value, {'inclusive': value}

    return couples(regularizer)


def dimensions(prior: models.Prior, posterior: posteriors.Posterior) -> Regularizer:
    """Unbiased squared MMD of every dimension's codes from as many draws of the prior, summed;
    couples the batch.

    Args:
      prior: a `models.Prior`.
      posterior: not needed.

    Returns:
      A regularizer, without unit; aux 'dimensions'.
    """
    def regularizer(params, terms, batch, ctx, key):
        weight = batch['weight']
        drawn = prior.sample(params, key, len(weight))

        def one(x, y):
            return kernels.mmd(x[:, None], y[:, None],
                               lambda x, y: kernels.imq(x, y, 2., WIDTHS), weight, weight)

        value = jax.vmap(one, 1)(terms.z, drawn).sum()
        return value, {'dimensions': value}

    return couples(regularizer)


DIVERGENCES = {'inclusive': inclusive, 'dimensions': dimensions}
"""Divergences of the aggregate posterior from the prior: (prior, posterior) -> regularizer."""


# Standard deviations of the posterior.

def softplus(kit: Kit) -> posteriors.Posterior:
    """`posteriors.gaussian` whose standard deviation is softplus(a) + 1e-6."""
    base = posteriors.gaussian(kit)

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features, weight, hp)
        return {**q, 'log_var': 2 * jnp.log(jax.nn.softplus(q['log_var']) + SMALLEST)}, carry

    return base._replace(apply=apply)


POSTERIORS = {'exp': posteriors.gaussian, 'softplus': softplus}
"""Gaussian posteriors by what makes their standard deviations."""


# Numbers of a prior that are measured or given, not learned.

def _number(name):
    """hp -> its number of that name."""
    def of(hp):
        if name not in hp:
            raise UserError(f'this prior or divergence has a number {name}, which the method '
                            'lacks: choose one that has it, such as sparse_vae')
        return hp[name]

    return of


def held(method: Method, name: str,
         renew: Callable[[Hp], jax.Array] | None = None) -> Method:
    """Makes an entry of a method's params carry, which no gradient moves.

    Args:
      method: its losses and evals read params[name].
      name: of the entry.
      renew: hp -> the value in a train step, which evaluation keeps; None leaves it.

    Returns:
      The `Method` with carry[name] in place of params[name].
    """
    def whole(params, carry):
        return {**params, name: carry[name]}

    def init(key, data):
        params, carry = method.init(key, data)
        return {k: v for k, v in params.items() if k != name}, {**carry, name: params[name]}

    def holding(player):
        def loss(params, carry, batch, ctx):
            if renew is not None:
                carry = {**carry, name: jnp.asarray(renew(ctx.hp), carry[name].dtype)}
            return player.loss(whole(params, carry), carry, batch, ctx)

        return player._replace(loss=couples(loss, player.couples),
                               trains=tuple(n for n in player.trains if n != name))

    def reading(f):
        return lambda params, carry, *rest: f(whole(params, carry), carry, *rest)

    phases = tuple(p._replace(players=tuple(map(holding, p.players))) for p in method.phases)
    return Method(init, phases, {k: reading(f) for k, f in method.evals.items()})


def principal_variances(kit: Kit) -> Fold:
    """Finds the variances of the data's first Z principal components: carry['axes'] is their
    logarithms, the largest first.

    They are the largest eigenvalues of the covariance: squared singular values of the centered
    data over their number. The covariance of D values has D^2 numbers and needs time in
    proportion to D^3.

    Args:
      kit: the latent size Z and the schema are used.

    Returns:
      A `Fold` over batches with 'x'.

    Raises:
      UserError: an example has less values than the code dimensions.
    """
    shape: tuple[Any, ...] = field(kit.schema, 'x').shape
    width = math.prod(shape)
    if width < kit.latent:
        raise UserError(f'data of {width} values have no {kit.latent} principal components: '
                        f'choose kit.latent of at most {width}, or another prior')

    def update(sums, params, carry, batch):
        n, total, squares = sums
        x, weight = batch['x'].reshape(-1, width), batch['weight']
        outer = jnp.matmul((weight[:, None] * x).T, x, precision='highest')
        return n + weight.sum(), total + weight @ x, squares + outer

    def finish(sums, params, carry):
        n, total, squares = sums
        mean = total / n
        found = jnp.linalg.eigvalsh(squares / n - jnp.outer(mean, mean))[::-1][:kit.latent]
        return {**carry, 'axes': jnp.log(jnp.maximum(found, LEAST * found[0]))}

    return Fold(lambda: (jnp.zeros(()), jnp.zeros(width), jnp.zeros((width, width))), update,
                finish)


def _measured(kit, method):
    """The method after a pass over the data that sets carry['axes']."""
    main, = method.phases
    # it takes no step, but there are no phases without players
    first = Phase('principal', main.players, 0, select='', evals={},
                  summary=principal_variances(kit))
    return method._replace(phases=(first, main))


def _fixed_axes(kit, method):
    """Variances of the prior's axes are those of the data's principal components."""
    return _measured(kit, held(method, 'axes'))


def _learned_axes(kit, method):
    """They start there and are learned."""
    def init(key, data):
        params, carry = method.init(key, data)
        return params, {**carry, 'axes': params['axes']}

    def enter(key, params, carry, data):
        return {**params, 'axes': carry['axes']}, carry

    first, main = _measured(kit, method).phases
    return method._replace(init=init, phases=(first, main._replace(enter=enter)))


class _Law(NamedTuple):
    """A choice of the option `prior`."""
    make: Callable[..., models.Prior]                 # (kit, **options) -> prior
    # (kit, method that learns the prior's params) -> method
    finish: Callable[[Kit, Method], Method] = lambda kit, method: method


PRIORS = {
    'isotropic': _Law(lambda kit: models.standard_normal(kit.latent)),
    'principal': _Law(fixed_priors.axes, _fixed_axes),
    'learned': _Law(fixed_priors.axes, _learned_axes),
    'student': _Law(fixed_priors.student),
    'clusters': _Law(fixed_priors.clusters),
    'sparse': _Law(fixed_priors.sparse,
                   lambda kit, method: held(method, 'gamma', _number('gamma'))),
}
"""Choices of the option `prior`."""


# The method.

def _trained_on(divergence):
    """The criterion of an objective with that divergence, '' for none."""
    if not divergence:
        return objectives.WEIGHTED_KL
    return Criterion(
        f'rec + beta kl + alpha {divergence}',
        lambda hp, valid: (valid['rec'] + hp['beta'] * valid['kl']
                           + hp['alpha'] * valid[divergence]))


def alpha_beta(kit: Kit, recipe: Recipe, *, prior: str = 'isotropic', divergence: str = '',
               std: str = 'exp', **of_prior: Any) -> Method:
    """VAE with a prior of a chosen structure, a weight of the KL, and one of the aggregate
    posterior's divergence from the prior.

    The KL is in closed form from priors that are normal, and log q - log p at the code from the
    others. At alpha 0 and with the prior N(0, I) it is the beta-VAE.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, alpha, gamma.

    Args:
      kit: the networks.
      recipe: the protocol.
      prior: 'isotropic', N(0, I); 'principal', N(0, diag s^2) with s^2 in proportion to the
        variances of the data's principal components, and 'learned', which starts there;
        'student'; 'clusters', a mixture of Gaussians that stays; 'sparse', of which hp['gamma']
        is the share that is off. See `fixed_priors`.
      divergence: 'inclusive', 'dimensions', or '' for none: see `DIVERGENCES`.
      std: what makes standard deviations of what the head gives: 'exp' of half of it, or
        'softplus' plus 1e-6.
      **of_prior: `df` of 'student', `centers` and `variance` of 'clusters', `narrow` of
        'sparse'.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t KL(q(z|x) || p(z)) + alpha D(q(z), p(z)), w_t as for the VAE
      inclusive: D = E_p[log p(z) - log (1/B) sum_j q(z|x_j)], B draws of p, a batch of B
      dimensions: D = sum_l MMD^2(q(z_l), p(z_l)), k = sum_c 2c / (2c + r^2), c from .1 to 5
      principal, learned: s_1^2 + ... + s_Z^2 = Z

    Deviations:
      Principal components are those of the centered data, the largest first; the paper's code
      does not center and takes the eleventh to twentieth of twenty singular values, in rising
      order. Both divergences and the t prior's scale are the code's, the weight's schedule is
      this suite's. The code's optimizer is Adam with amsgrad (`optimizer.name` 'amsgrad'); its
      decoder of pinwheels has no least variance, and its networks of Fashion-MNIST are
      batch-normalized. Parameters are chosen by what is trained on, measured on validation
      data; the code keeps the last.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833.
    """
    for what, name, known in (('prior', prior, PRIORS), ('std', std, POSTERIORS)):
        if name not in known:
            raise unknown(what, name, known)
    if divergence and divergence not in DIVERGENCES:
        raise unknown('divergence', divergence, DIVERGENCES)
    law, posterior = PRIORS[prior], POSTERIORS[std](kit)
    made = law.make(kit, **of_prior)
    if made.family == fixed_priors.AXES:
        posterior = fixed_priors.from_axes(posterior)
    extra, evals = None, {}
    if divergence:
        apart = DIVERGENCES[divergence](made, posterior)
        extra = objectives.as_auxiliary(apart, _number('alpha'))
        evals = objectives.penalties(apart)
    method = autoencoder(kit, recipe, posterior, regularizers.kl,
                         objectives.scheduled_weight(recipe), extra=extra, prior=made,
                         select=_trained_on(divergence))
    return law.finish(kit, method._replace(evals={**method.evals, **evals}))
