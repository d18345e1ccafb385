"""A generative autoencoder as one value: encoder, posterior, prior and decoder."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from vaebench.core import (
    Batch,
    Decoder,
    Features,
    Key,
    Kit,
    Params,
    StepInfo,
    coupled,
    couples,
    derive,
)
from vaebench.methods.posteriors import Posterior
from vaebench.ops import distributions


class Prior(NamedTuple):
    """p(z) as pure functions."""
    names: tuple[str, ...]         # keys of its params
    init: Callable[..., Mapping]   # (key, data, params of encoder and posterior) -> params
    # (params, z [B, Z]) -> [B], nats; params are all of the model's; None: can only be sampled
    log_prob: Callable[..., jax.Array] | None
    sample: Callable[..., Any]     # (params, key, n) -> z [n, Z] or a pytree
    # a posterior's closed-form KL counts if it is from this family
    family: str = ''


def standard_normal(size: int) -> Prior:
    """The prior N(0, I) of `size` dimensions."""
    return Prior((), lambda key, data, params: {},
                 lambda params, z: distributions.normal_log_prob(z),
                 lambda params, key, n: jax.random.normal(key, (n, size)), family='normal')


class Terms(NamedTuple):
    """What one pass over a batch yields."""
    rec: jax.Array                     # [B], nats
    z: jax.Array                       # [B, Z]
    features: Features
    q: Any                             # the posterior's pytree, leaves [B, ...]
    kl: jax.Array | None               # [B], nats; None where q has no density
    kl_dims: jax.Array | None          # [B, Z], nats; None where q does not factorize


Regularizer = Callable[[Params, Terms, Batch, StepInfo, Key], tuple[Any, Mapping]]
"""What an objective adds to the reconstruction: (params, terms, batch, ctx, key) -> (nats [],
aux).
"""


class Model(NamedTuple):
    """Encoder, posterior, prior and decoder as one value."""
    names: tuple[str, ...]             # keys of its params
    init: Callable[..., tuple[Mapping, Any]]   # (key, data) -> (params, carry of the posterior)
    # (params, carry, batch, key, hp) -> (q, z, features, carry)
    draw: Callable[..., tuple]
    # (params, carry, batch, key, hp) -> (Terms, carry)
    terms: Callable[..., tuple[Terms, Any]]
    reset: Callable[..., Any]          # key -> fresh params['dec']
    evals: Mapping[str, Callable]      # out of core.EVALS; they read carry['posterior']


def _without_carry(f: Callable | None) -> Callable | None:
    """A function (params, ...) as an eval (params, carry, ...); None stays None."""
    return f and (lambda params, carry, *rest: f(params, *rest))


def model(kit: Kit, posterior: Posterior, prior: Prior | None = None,
          encoder_init: str | None = None, decoder: Decoder | None = None,
          corrupt: float = 0.) -> Model:
    """Binds the networks of a kit to a posterior and a prior.

    Args:
      kit: `encoder` and `decoder` are used, and what `posterior` needs.
      posterior: a `Posterior`.
      prior: a `Prior`; None is N(0, I).
      encoder_init: initialization of the encoder; None is the kit's.
      decoder: a `Decoder`; None is `kit.decoder()`.
      corrupt: share of the words or pixels that the encoder does not see in training.

    Returns:
      A `Model`.
    """
    enc, dec = kit.encoder(init=encoder_init), kit.decoder() if decoder is None else decoder
    prior = standard_normal(kit.latent) if prior is None else prior
    kl = posterior.kl if posterior.kl_from == prior.family else None
    kl_dims = posterior.kl_dims if kl else None
    log_q, log_prior = posterior.log_q, prior.log_prob

    def init(key, data):
        params, carry = posterior.init(derive(key, 1))
        params = {'enc': enc.init(derive(key, 0)), **params}
        return {**params, 'dec': dec.init(derive(key, 2)),
                **prior.init(derive(key, 3), data, params)}, carry

    def draw(params, carry, batch, key, hp):
        seen = kit.corrupt(derive(key, 3), batch, corrupt) if corrupt else batch
        features = enc.apply(params['enc'], seen, derive(key, 0))
        q, carry = posterior.apply(params, carry, features, batch['weight'], hp)
        return q, posterior.sample(params, q, derive(key, 1)), features, carry

    def rate(params, q, z):
        if kl is not None:
            return kl(params, q)
        if log_q is None or log_prior is None:
            return None
        return log_q(params, q, z) - log_prior(params, z)

    def terms(params, carry, batch, key, hp):
        q, z, features, carry = draw(params, carry, batch, key, hp)
        rec = -dec.log_prob(params['dec'], z, batch, derive(key, 2))
        dims = kl_dims and kl_dims(params, q)
        return Terms(rec, z, features, q, rate(params, q, z), dims), carry

    def infer(params, carry, batch):
        return posterior.apply(params, carry['posterior'], enc.apply(params['enc'], batch))[0]

    def encode(params, carry, batch):
        return posterior.mean(params, infer(params, carry, batch))

    def decode(params, carry, z, key, mode):
        return dec.generate(params['dec'], z, key, mode)

    def sample(params, carry, key, n, mode):
        return decode(params, carry, prior.sample(params, derive(key, 0), n), derive(key, 1),
                      mode)

    for f in (draw, terms):
        couples(f, coupled(enc.apply, posterior.apply))
    offered = {
        'posterior': infer,
        'sample_q': _without_carry(posterior.sample),
        'log_q': _without_carry(log_q),
        'log_q_dims': _without_carry(posterior.log_q_dims),
        'kl': _without_carry(kl),
        'log_prior': _without_carry(log_prior),
        'log_lik': lambda params, carry, z, batch: dec.log_prob(params['dec'], z, batch),
        'encode': encode,
        'decode': decode,
        'sample_prior': _without_carry(prior.sample),
        'sample': sample,
    }
    return Model(('enc', *posterior.names, 'dec', *prior.names), init, draw, terms, dec.init,
                 {k: f for k, f in offered.items() if f})
