"""A posterior at every step of the encoder, its rate averaged over the steps."""
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from vaebench.core import (
    Batch,
    Key,
    Kit,
    Method,
    Params,
    Recipe,
    StepInfo,
    couples,
    derive,
    mean,
)
from vaebench.errors import UserError
from vaebench.methods import models, objectives, posteriors
from vaebench.methods.autoencoders import autoencoder
from vaebench.ops import divergences, lengths

# of the number of steps: the decoder reads steps**power * u
POWERS = {'mean': -.5, 'sum': .5}


def stepwise(kit: Kit, reads: str = 'last', share: float = 1.) -> posteriors.Posterior:
    """Independent Gaussians of all steps, seen through what the decoder reads of them.

    'last': z = z_T. 'mean' and 'sum': given T, u = sum_t z_t / sqrt(T) is Gaussian under q, and
    N(0, I) under the prior; it tells the mean (u / sqrt(T)) and the sum (u sqrt(T)). u is the
    code, drawn from its own law, which is that of drawing all steps.

    Args:
      kit: `head` is used.
      reads: 'last', 'mean' or 'sum'.
      share: of the steps, the last ones, over which the rate is averaged, rounded; 0 is the
        last step alone.

    Returns:
      A `Posterior`; q is {'mean', 'log_var': [B, Z] of the code, 'rate': [B] mean KL of the
      steps}. For 'mean' and 'sum' its carry counts lengths.
    """
    base, head = posteriors.gaussian(kit), kit.head(2 * kit.latent)

    def init(key):
        carry = {} if reads == 'last' else {'lengths': jnp.zeros(kit.size('length'))}
        return base.init(key)[0], carry

    def apply(params, carry, features, weight=None, hp=None):
        mask = features.mask
        steps = mask.sum(-1, keepdims=True)                                    # [B, 1]
        m, v = jnp.split(head.apply(params['head'], features.states), 2, -1)   # [B, L, Z]
        used = jnp.maximum(jnp.round(share * steps), 1)
        late = mask & (jnp.arange(mask.shape[1]) >= steps - used)
        rate = jnp.where(late, divergences.normal_kl(m, v), 0).sum(-1) / used[:, 0]
        if reads == 'last':
            m, v = (jnp.take_along_axis(x, steps[..., None] - 1, 1)[:, 0] for x in (m, v))
        else:
            m = jnp.where(mask[..., None], m, 0).sum(1) / jnp.sqrt(steps)
            v = jax.nn.logsumexp(jnp.where(mask[..., None], v, -jnp.inf), 1) - jnp.log(steps)
            if hp is not None and weight is not None:
                carry = {'lengths': lengths.count(carry['lengths'], steps[:, 0] - 1, weight)}
        return {'mean': m, 'log_var': v, 'rate': rate}, carry

    def of_code(f):
        def own(params, q, *args):
            return f(params, {k: q[k] for k in ('mean', 'log_var')}, *args)

        return f and own

    functions = 'mean', 'sample', 'log_q', 'log_q_dims', 'kl', 'kl_dims'
    couples(apply, reads != 'last')                   # the carry counts lengths
    return base._replace(init=init, apply=apply,
                         **{k: of_code(getattr(base, k)) for k in functions})


def mean_step_kl(params: Params, terms: models.Terms, batch: Batch, ctx: StepInfo,
                 key: Key) -> tuple[jax.Array, Mapping]:
    """Adds the mean KL of the steps, which is less than the KL that a bound needs."""
    rate = mean(terms.q['rate'], batch)
    return rate, {'rate': rate}


def twr_vae(kit: Kit, recipe: Recipe, *, reads: str = 'last', share: float = 1.) -> Method:
    """VAE with a posterior at every step of the encoder, `<s>` and `</s>` included, and their
    mean KL as its rate.

    The paper has beta 1 from the start. A code of `encode` is the mean of what the decoder
    reads, in units of its deviation under the prior at the mean length; `decode` takes that
    length.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      reads: what the decoder reads, 'last', 'mean' or 'sum' of the steps.
      share: of the steps, the last ones, that the rate averages; 0 is the last step alone.

    Returns:
      A `Method`.

    Equation:
      minimize rec(x, z) + w (1/T) sum_t KL(N(mu_t, sigma_t^2) || N(0, I))
      mu_t and sigma_t from the encoder's state t
      z = z_T ('last'), mean_t z_t ('mean') or sum_t z_t ('sum')

    Deviations:
      The encoder never runs over padding, and has no dropout. Parameters are chosen by the
      objective with a drawn code, those of the code by `replica`. What is reported is a bound:
      KL of what the decoder reads from its prior (see `stepwise`) and, for 'mean' and 'sum',
      whose scale tells the length, minus log p(length), from a histogram of the training
      sentences. The code's own figure is the eval `replica`: decoded from the mean, mean KL of
      the steps, `<s>` counted as a word.

    References:
      Li et al., "Improving Variational Autoencoder for Text Modelling with Timestep-Wise
      Regularisation", 2020, arXiv:2011.01136.
    """
    if reads != 'last' and reads not in POWERS:
        raise UserError(f"reads={reads!r} is unknown: choose one of last, {', '.join(POWERS)}")
    posterior, weight = stepwise(kit, reads, share), objectives.scheduled_weight(recipe)
    select, measured = objectives.weighted('rate'), objectives.penalties(mean_step_kl)
    if reads == 'last':
        method = autoencoder(kit, recipe, posterior, mean_step_kl, weight, select=select)
        return method._replace(evals={**method.evals, **measured,
                                      'replica': replica(method.evals)})

    dec = kit.decoder()

    def scale(length):
        """[..., 1]: the decoder reads scale(length) * u; there is one step more than predicted
        tokens.
        """
        return (length[..., None] + 1.)**POWERS[reads]

    def log_prob(params, z, batch, key=None):
        return dec.log_prob(params, scale(batch['length']) * z, batch, key)

    scaled = dec._replace(log_prob=log_prob)
    method = autoencoder(kit, recipe, posterior, mean_step_kl, weight, select=select,
                         decoder=scaled)
    evals = method.evals

    def typical(carry):
        return scale(lengths.mean(carry['posterior']['lengths']))

    def encode(params, carry, batch):
        return evals['encode'](params, carry, batch) * scale(batch['length']) / typical(carry)

    def decode(params, carry, z, key, mode):
        return dec.generate(params['dec'], typical(carry) * z, key, mode)

    def sample(params, carry, key, n, mode):
        length = lengths.sample(derive(key, 2), carry['posterior']['lengths'], n)
        z = evals['sample_prior'](params, carry, derive(key, 0), n)
        return dec.generate(params['dec'], scale(length) * z, derive(key, 1), mode)

    def log_length(params, carry, batch):
        return lengths.log_prob(carry['posterior']['lengths'], batch['length'])

    return method._replace(evals={**evals, **measured, 'encode': encode, 'decode': decode,
                                  'sample': sample, 'log_length': log_length,
                                  'replica': replica(evals)})


def replica(evals: Mapping[str, Callable]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Builds the eval of the released code's figure: rec at the posterior mean plus the mean KL
    of the steps; words with `<s>`.
    """
    def figure(params, carry, batch, key):
        q = evals['posterior'](params, carry, batch)
        nats = q['rate'] - evals['log_lik'](params, carry, q['mean'], batch)
        return nats, batch['length'] + 1.

    return figure
