"""What generative autoencoders are composed of: a model, and the rate and weight of its objective."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import Features, derive, mean
from vaebench.errors import unknown
from vaebench.losses import elbo
from vaebench.methods.posteriors import Posterior
from vaebench.ops import control, distributions, kernels, schedules


class Prior(NamedTuple):
    """p(z) as pure functions."""
    parts: tuple[str, ...]         # keys of its params
    init: Callable[..., Mapping]   # (key, data, params of encoder and posterior) -> params
    log_prob: Callable[..., jax.Array] | None   # (params, z [B, Z]) -> [B], nats; params are all of the model's;
    #                                             None where it can only be sampled
    sample: Callable[..., jax.Array]     # (params, key, n) -> [n, Z]
    closed: bool = False           # whether a posterior's `kl` is the KL from this prior


def standard_normal(size):
    """The prior N(0, I) of `size` dimensions."""
    return Prior((), lambda key, data, params: {}, lambda params, z: distributions.normal_log_prob(z),
                 lambda params, key, n: jax.random.normal(key, (n, size)), closed=True)


class Terms(NamedTuple):
    """What one pass over a batch yields."""
    rec: jax.Array                     # [B], nats
    z: jax.Array                       # [B, Z]
    features: Features
    q: Any                             # the posterior's pytree, leaves [B, ...]
    kl: jax.Array | None               # [B], nats; None where q has no density
    kl_dims: jax.Array | None          # [B, Z], nats; None where q does not factorise


class Model(NamedTuple):
    """Encoder, posterior, prior and decoder as one."""
    parts: tuple[str, ...]             # keys of its params
    init: Callable[..., tuple[Mapping, Any]]   # (key, data) -> (params, carry of the posterior)
    draw: Callable[..., tuple]         # (params, carry, batch, key, hp) -> (q, z, features, carry)
    terms: Callable[..., tuple[Terms, Any]]    # (params, carry, batch, key, hp) -> (Terms, carry)
    reset: Callable[..., Any]          # key -> fresh params['dec']
    evals: Mapping[str, Callable]      # out of core.EVALS; they read carry['posterior']


def model(kit, posterior: Posterior, prior: Prior | None = None, encoder_init=None, decoder=None, corrupt=0.):
    """Binds the networks of a kit to a posterior and a prior.

    Args:
      kit: `encoder` and `decoder` are used, and what `posterior` needs.
      posterior: a `Posterior`.
      prior: a `Prior`; None is N(0, I).
      encoder_init: initialisation of the encoder; None is the kit's.
      decoder: a `Decoder`; None is `kit.decoder()`.
      corrupt: share of the words or pixels that the encoder does not see in training.

    Returns:
      A `Model`.
    """
    enc, dec = kit.encoder(init=encoder_init), kit.decoder() if decoder is None else decoder
    prior = standard_normal(kit.latent) if prior is None else prior
    closed = prior.closed and posterior.kl is not None

    def init(key, data):
        params, carry = posterior.init(derive(key, 1))
        params = {'enc': enc.init(derive(key, 0)), **params}
        return {**params, 'dec': dec.init(derive(key, 2)), **prior.init(derive(key, 3), data, params)}, carry

    def draw(params, carry, batch, key, hp):
        seen = kit.corrupt(derive(key, 3), batch, corrupt) if corrupt else batch
        features = enc.apply(params['enc'], seen, derive(key, 0))
        q, carry = posterior.apply(params, carry, features, batch['weight'], hp)
        return q, posterior.sample(params, q, derive(key, 1)), features, carry

    def rate(params, q, z):
        if closed:
            return posterior.kl(params, q)
        if posterior.log_q is None or prior.log_prob is None:
            return None
        return posterior.log_q(params, q, z) - prior.log_prob(params, z)

    def terms(params, carry, batch, key, hp):
        q, z, features, carry = draw(params, carry, batch, key, hp)
        rec = -dec.log_prob(params['dec'], z, batch, derive(key, 2))
        dims = posterior.kl_dims(params, q) if prior.closed and posterior.kl_dims else None
        return Terms(rec, z, features, q, rate(params, q, z), dims), carry

    def infer(params, carry, batch):
        return posterior.apply(params, carry['posterior'], enc.apply(params['enc'], batch))[0]

    def decode(params, carry, z, key, mode):
        return dec.generate(params['dec'], z, key, mode)

    def sample(params, carry, key, n, mode):
        return decode(params, carry, prior.sample(params, derive(key, 0), n), derive(key, 1), mode)

    offered = {
        'posterior': infer,
        'sample_q': lambda params, carry, q, key: posterior.sample(params, q, key),
        'log_q': posterior.log_q and (lambda params, carry, q, z: posterior.log_q(params, q, z)),
        'log_q_dims': posterior.log_q_dims and (lambda params, carry, q, z: posterior.log_q_dims(params, q, z)),
        'kl': (lambda params, carry, q: posterior.kl(params, q)) if closed else None,
        'log_prior': prior.log_prob and (lambda params, carry, z: prior.log_prob(params, z)),
        'log_lik': lambda params, carry, z, batch: dec.log_prob(params['dec'], z, batch),
        'encode': lambda params, carry, batch: posterior.mean(params, infer(params, carry, batch)),
        'decode': decode,
        'sample_prior': lambda params, carry, key, n: prior.sample(params, key, n),
        'sample': sample,
    }
    return Model(('enc', *posterior.parts, 'dec', *prior.parts), init, draw, terms, dec.init,
                 {k: f for k, f in offered.items() if f})


# Rates: (terms, batch, ctx, key) -> (nats [], aux).

def kl_rate(terms, batch, ctx, key):
    """The KL itself."""
    return mean(terms.kl, batch), {}


def free_bits_rate(scope='dim', reduce='example', form='mask'):
    """KL without pull below hp['target'] nats: see `losses.elbo.free_bits`.

    Args:
      scope: 'dim' gives each dimension an equal share of the target, 'total' compares the sum with it.
      reduce: 'example' tests every example, 'batch' the batch mean, which couples the batch.
      form: 'mask' or 'max'.

    Returns:
      A rate.
    """
    over = {'dim': lambda kl: kl, 'total': lambda kl: kl.sum(-1, keepdims=True)}[scope]
    tested = {'example': lambda kl, batch: kl,
              'batch': lambda kl, batch: jax.vmap(mean, (1, None))(kl, batch)}[reduce]

    def rate(terms, batch, ctx, key):
        kl = over(terms.kl_dims)
        bits = elbo.free_bits(kl, tested(kl, batch), ctx.hp['target'] / kl.shape[-1], form)
        return mean(bits, batch), {}

    return rate


def capacity_rate(plan, reduce='batch'):
    """|KL - C(t)|, C(t) linear from 0 to hp['capacity'] nats over hp['capacity_epochs'].

    Args:
      plan: `epoch` is used.
      reduce: 'batch' puts the batch mean inside the bars, which couples the batch; 'example' every example.

    Returns:
      A rate.

    References:
      Burgess et al., "Understanding disentangling in beta-VAE", 2018, arXiv:1804.03599.
    """
    inside = {'batch': lambda kl, batch: mean(kl, batch), 'example': lambda kl, batch: kl}[reduce]

    def rate(terms, batch, ctx, key):
        capacity = schedules.ramp(ctx.total / plan.epoch, 0., ctx.hp['capacity'], length=ctx.hp['capacity_epochs'])
        gap = jnp.abs(inside(terms.kl, batch) - capacity)
        return mean(jnp.broadcast_to(gap, batch['weight'].shape), batch), {'capacity': capacity}

    return rate


def mmd_rate(size, width=1.):
    """Unbiased squared MMD between the batch's codes and as many prior draws; couples the batch.

    Args:
      size: Z.
      width: multiple of the kernel's base C = 2 Z; Bahuleyan's text code has 2, Tolstikhin's image code 1.

    Returns:
      A rate, without unit.
    """
    return _mmd(lambda z, noise, weight: lambda x, y: kernels.imq(x, y, 2. * size * width))


def mmd_tutorial_rate(size, width=1.):
    """`mmd_rate` with the one kernel exp(-r^2 / Z^2) of InfoVAE's published tutorial; couples the batch.

    Args:
      size: Z.
      width: multiple of the kernel's Z^2.

    Returns:
      A rate, without unit.

    References:
      Zhao et al., "InfoVAE: Information Maximizing Variational Autoencoders", 2017, arXiv:1706.02262.
    """
    return _mmd(lambda z, noise, weight: lambda x, y: kernels.rbf(x, y, width * size**2 / 2))


def median(values, counts):
    """The upper median of the values that count.

    Args:
      values: [...].
      counts: bool [...].

    Returns:
      []; 0 when nothing counts.

    >>> float(median(jnp.array([5., 1., 9., 2.]), jnp.array([True, True, False, True])))
    2.0
    """
    ranked = jnp.sort(jnp.where(counts, values, jnp.inf).reshape(-1))
    n = counts.sum()
    return jnp.where(n > 0, ranked[n // 2], 0.)


def mmd_rbf_rate(size, within='prior', width=1.):
    """`mmd_rate` with one Gaussian kernel, whose variance the batch sets; couples the batch.

    The variance is the median squared distance between codes and prior draws plus that between prior draws ('prior':
    the text code) or between codes ('codes': the image code). Both send a gradient through it; here it is a constant.

    Args:
      size: Z.
      within: 'prior' or 'codes'.
      width: multiple of the variance.

    Returns:
      A rate, without unit.

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


def _mmd(kernel):
    """The rate of a kernel that (codes [B, Z], prior draws [B, Z], weight [B]) choose."""
    def rate(terms, batch, ctx, key):
        noise, weight = jax.random.normal(key, terms.z.shape, terms.z.dtype), batch['weight']
        value = kernels.mmd(terms.z, noise, kernel(terms.z, noise, weight), weight, weight)
        return value, {'mmd': value}

    return rate


DISCREPANCIES = {'imq': mmd_rate, 'rbf': lambda size, width: mmd_rbf_rate(size, 'codes', width),
                 'tutorial': mmd_tutorial_rate}
"""Squared MMD of the batch's codes from N(0, I), by the name of the kernel: (Z, width) -> rate."""


def discrepancy(kernel, size, width=1.):
    """The rate in `DISCREPANCIES` of that name."""
    if kernel not in DISCREPANCIES:
        raise unknown('kernel', kernel, DISCREPANCIES)
    return DISCREPANCIES[kernel](size, width)


class Weight(NamedTuple):
    """What multiplies the rate."""
    init: Callable[[], Any]            # () -> carry
    apply: Callable[..., tuple]        # (carry, kl [], ctx) -> (weight [], carry)


RAMPS = {'linear': schedules.ramp, 'sigmoid': schedules.sigmoid_ramp, 'exponential': schedules.exponential_ramp}
"""Shapes of a scheduled weight."""


def scheduled(plan, shape='linear'):
    """Weight from hp: beta_start to `beta` over `warmup` epochs after `delay`, again every `period`.

    With warmup 0 the weight is beta from the start; with period 0 nothing restarts.

    Args:
      plan: `epoch` is used.
      shape: 'linear', 'sigmoid' or 'exponential', which needs a beta_start above 0.

    Returns:
      A `Weight`.
    """
    ramp = RAMPS[shape]

    def apply(carry, kl, ctx):
        hp, t = ctx.hp, ctx.total / plan.epoch
        return ramp(t, hp['beta_start'], hp['beta'], hp['delay'], hp['warmup'], hp['period']), carry

    return Weight(lambda: {}, apply)


def constant(value):
    """A weight that is always `value`."""
    return Weight(lambda: {}, lambda carry, kl, ctx: (jnp.asarray(value, float), carry))


def controlled():
    """Weight from a PI controller that steers the batch's KL to hp['target']: see `ops.control.pi_step`."""
    def apply(carry, kl, ctx):
        hp = ctx.hp
        carry, beta = control.pi_step(carry, hp['target'] - jax.lax.stop_gradient(kl), hp['kp'], hp['ki'],
                                      hp['beta_min'], hp['beta_max'])
        return beta, carry

    return Weight(lambda: control.PI(jnp.zeros(()), jnp.zeros(())), apply)


class Extra(NamedTuple):
    """A further term of an objective, with parameters of its own."""
    parts: tuple[str, ...]             # keys of its params
    init: Callable[..., Mapping]       # key -> params
    apply: Callable[..., tuple]        # (params, terms, batch, ctx) -> ([], aux)


def also(rate, weight, tag=2):
    """A rate as an `Extra`: weight(hp) times it, with a key of its own.

    Args:
      rate: a rate.
      weight: hp -> [].
      tag: of its key; 0 and 1 are taken.

    Returns:
      An `Extra`.
    """
    def apply(params, terms, batch, ctx):
        value, aux = rate(terms, batch, ctx, derive(ctx.key, tag))
        return weight(ctx.hp) * value, aux

    return Extra((), lambda key: {}, apply)


def dims_rate(terms, batch, ctx, key):
    """Costs nothing and shows the KL of every dimension: aux 'kl0', 'kl1' and so on, nats."""
    kl = jax.vmap(mean, (1, None))(terms.kl_dims, batch)
    return 0., {f'kl{i}': kl[i] for i in range(len(kl))}


def objective(model, rate, weight, extra=None):
    """rec + weight * rate + extra as a player's loss.

    Args:
      model: a `Model`.
      rate: (terms, batch, ctx, key) -> ([], aux).
      weight: a `Weight`.
      extra: an `Extra` or None.

    Returns:
      Function (params, carry, batch, ctx) -> (loss, (carry, aux)); aux holds 'rec', 'beta' and, where q has a
      density, 'kl': true batch means in nats, whatever is trained on.
    """
    def loss(params, carry, batch, ctx):
        terms, posterior = model.terms(params, carry['posterior'], batch, derive(ctx.key, 0), ctx.hp)
        rec = mean(terms.rec, batch)
        kl = None if terms.kl is None else mean(terms.kl, batch)
        value, aux = rate(terms, batch, ctx, derive(ctx.key, 1))
        beta, state = weight.apply(carry['weight'], kl, ctx)
        more, shown = (0., {}) if extra is None else extra.apply(params, terms, batch, ctx)
        aux = {'rec': rec, 'beta': beta, **({} if kl is None else {'kl': kl}), **aux, **shown}
        return rec + beta * value + more, ({**carry, 'posterior': posterior, 'weight': state}, aux)

    return loss


def starter(model, weight, extra=None):
    """`Method.init` of a model whose objective has that weight and extra: (key, data) -> (params, carry)."""
    def init(key, data):
        params, carry = model.init(key, data)
        params = params if extra is None else {**params, **extra.init(derive(key, 4))}
        return params, {'posterior': carry, 'weight': weight.init()}

    return init
