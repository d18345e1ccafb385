"""Autoencoders that are given a context c of every example, such as its label.

The condition lives inside the code, z = {'z': [B, Z], 'context': [B, C]}: densities, bounds,
importance weights and information read it there, and nothing outside this file knows of it.
"""
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import (
    Context,
    Decoder,
    Key,
    Kit,
    Method,
    Net,
    Recipe,
    coupled,
    couples,
    derive,
)
from vaebench.errors import unknown
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.ops import distributions, divergences


def conditioned(kit: Kit, context: Context) -> Kit:
    """Returns a kit whose encoder gives [h; c], and whose heads read both: W h + V c."""
    def encoder(init=None):
        enc = kit.encoder(init=init)

        def apply(params, batch, key=None):
            features = enc.apply(params['enc'], batch, key)
            c = context.apply(params['context'], batch, key)
            return features._replace(last=jnp.concatenate([features.last, c], -1))

        return Net(lambda key: {'enc': enc.init(derive(key, 0)),
                                'context': context.init(derive(key, 1))}, apply)

    def head(n_out, init=None, bias=None):
        own = kit.head(n_out, init=init, bias=bias)
        told = kit.mlp((context.width, n_out))

        def apply(params, last, key=None):
            h, c = jnp.split(last, [kit.features], -1)
            return own.apply(params['own'], h) + told.apply(params['context'], c)

        return Net(lambda key: {'own': own.init(derive(key, 0)),
                                'context': told.init(derive(key, 1))}, apply)

    return kit.replace(encoder=encoder, head=head)


def given(posterior: posteriors.Posterior, width: int) -> posteriors.Posterior:
    """Makes q(z|x, c) of a posterior over [B, Z] on a `conditioned` kit: its codes carry c.

    Args:
      posterior: over [B, Z]; its KL stays that from its own family of priors.
      width: C; the context is the last C features.

    Returns:
      A `Posterior`; q is {'q': the posterior's, 'context': [B, C]}.
    """
    def apply(params, carry, features, weight=None, hp=None):
        q, carry = posterior.apply(params, carry, features, weight, hp)
        return {'q': q, 'context': features.last[..., -width:]}, carry

    def own(f):
        return f and (lambda params, q, *z: f(params, q['q'], *(code['z'] for code in z)))

    def sample(params, q, key):
        return {'z': posterior.sample(params, q['q'], key), 'context': q['context']}

    functions = 'mean', 'log_q', 'log_q_dims', 'kl', 'kl_dims'
    return posterior._replace(apply=couples(apply, coupled(posterior.apply)), sample=sample,
                              **{k: own(getattr(posterior, k)) for k in functions})


def _drawn(context: Context, key: Key, n: int) -> jax.Array:
    """Draws contexts [n, C] from their law; a context without a law has no eval that draws."""
    assert context.draw is not None
    return context.draw(key, n)


def standard_prior(kit: Kit, context: Context,
                   hidden: int = 0) -> tuple[models.Prior, None]:
    """p(z|c) = N(0, I), whatever c: no hidden layer, and no moments of its own."""
    base = models.standard_normal(kit.latent)

    def sample(params, key, n):
        return {'z': base.sample(params, derive(key, 0), n),
                'context': _drawn(context, derive(key, 1), n)}

    return base._replace(log_prob=lambda params, z: distributions.normal_log_prob(z['z']),
                         sample=sample), None


def learned_prior(kit: Kit, context: Context,
                  hidden: int = 100) -> tuple[models.Prior, Callable]:
    """p(z|c) = N(m(c), diag s(c)^2), one hidden layer.

    Returns:
      The `models.Prior` with params 'prior', and (params, c [B, C]) -> (mean, log_var), [B, Z].
    """
    net = kit.mlp((context.width, hidden, 2 * kit.latent), activation='tanh')

    def moments(params, c):
        return jnp.split(net.apply(params['prior'], c), 2, -1)

    def log_prob(params, z):
        return distributions.normal_log_prob(z['z'], *moments(params, z['context']))

    def sample(params, key, n):
        c = _drawn(context, derive(key, 1), n)
        return {'z': distributions.normal_sample(derive(key, 0), *moments(params, c)),
                'context': c}

    prior = models.Prior(('prior',), lambda key, data, params: {'prior': net.init(key)},
                         log_prob, sample, family='given normal')
    return prior, moments


PRIORS = {'standard': standard_prior, 'learned': learned_prior}
"""p(z|c) by name: (kit, context, hidden) -> (`models.Prior`, its moments or None)."""


def kl_from(posterior: posteriors.Posterior, moments: Callable | None) -> posteriors.Posterior:
    """Gives a diagonal Gaussian `given` posterior its closed-form KL from N(m(c), diag s(c)^2).

    Args:
      posterior: its q['q'] holds 'mean' and 'log_var'.
      moments: (params, c) -> (mean, log_var); None leaves the KL from N(0, I).
    """
    if moments is None:
        return posterior

    def kl_dims(params, q):
        mean, log_var = moments(params, q['context'])
        shift = (q['q']['mean'] - mean) * jnp.exp(-log_var / 2)
        return divergences.normal_kl_dims(shift, q['q']['log_var'] - log_var)

    return posterior._replace(kl=lambda params, q: kl_dims(params, q).sum(-1), kl_dims=kl_dims,
                              kl_from='given normal')


def joined(z: Mapping[str, jax.Array]) -> jax.Array:
    """[z; c], of a code that carries c: [..., Z + C]."""
    return jnp.concatenate([z['z'], z['context']], -1)


def reads(decoder: Decoder) -> Decoder:
    """Makes a decoder of codes that carry c from a decoder of [z; c]."""
    return Decoder(decoder.init,
                   lambda params, z, *rest: decoder.log_prob(params, joined(z), *rest),
                   lambda params, z, *rest: decoder.generate(params, joined(z), *rest))


def conditional_autoencoder(kit: Kit, recipe: Recipe, regularizer: models.Regularizer,
                            prior: str = 'learned', hidden: int = 100,
                            law: Callable[..., posteriors.Posterior] = posteriors.gaussian,
                            **of_method: Any) -> Method:
    """Builds an `autoencoder` that is given a context, with a scheduled weight of its KL.

    Args:
      kit: the networks; `context` is what is told.
      recipe: the protocol.
      regularizer: one of `regularizers`.
      prior: key of `PRIORS`.
      hidden: units of the hidden layer of a learned prior.
      law: kit -> diagonal Gaussian `posteriors.Posterior` over [B, Z].
      **of_method: `extra`, `select` and `encoder_init` of `autoencoder`.

    Returns:
      A `Method` with the eval 'respond'. Bounds and likelihoods are of log p(x | c).
    """
    if prior not in PRIORS:
        raise unknown('prior', prior, PRIORS)
    context = kit.context()
    told = conditioned(kit, context)
    p_z, moments = PRIORS[prior](kit, context, hidden)
    posterior = kl_from(given(law(told), context.width), moments)
    decoder = reads(kit.decoder(latent=kit.latent + context.width))
    method = autoencoder(told, recipe, posterior, regularizer,
                         objectives.scheduled_weight(recipe), prior=p_z, decoder=decoder,
                         **of_method)
    own = conditional_evals(kit, method.evals, decoder, context)
    return method._replace(evals={**own, 'respond': responder(kit, decoder, context, moments)},
                           given=context.columns)


def responder(kit: Kit, decoder: Decoder, context: Context,
              moments: Callable | None) -> Callable[..., Any]:
    """Makes the eval 'respond': a draw of p(z | c), decoded in the mode that is asked for.

    Args:
      kit: of Z dimensions.
      decoder: of codes that carry c.
      context: its parameters are those of the `conditioned` encoder.
      moments: of p(z | c), see `kl_from`.
    """
    def respond(params, carry, batch, key, mode):
        c = context.apply(params['enc']['context'], batch)
        zero = jnp.zeros((len(c), kit.latent), c.dtype)
        mean, log_var = (zero, zero) if moments is None else moments(params, c)
        z = distributions.normal_sample(derive(key, 0), mean, log_var)
        return decoder.generate(params['dec'], {'z': z, 'context': c}, derive(key, 1), mode)

    return respond


def cvae(kit: Kit, recipe: Recipe, *, prior: str = 'learned', hidden: int = 100) -> Method:
    """VAE given a context, a dialogue's history or a label: encoder, decoder and, if it is
    learned, prior see it.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks; `context` is what is told.
      recipe: the protocol.
      prior: 'learned' or 'standard', whatever the context.
      hidden: units of the hidden layer of a learned prior, 400 in Zhao et al.'s code.

    Returns:
      A `Method`. Bounds and likelihoods are of log p(x | c). A new example is of a class drawn
      from all alike, and of dialogues there is none; 'respond' draws from p(x | c) for a given
      context. Codes alone cannot be decoded, which takes the context too.

    Equation:
      minimize -E_q log p(x|z, c) + w_t KL(q(z|x, c) || p(z|c)), KL in closed form
      p(z|c): N(0, I), or N(m(c), diag s(c)^2) with m and ln s^2 of one hidden layer

    Deviations:
      A label is one-hot, added to the heads' inputs; the paper's is a dialogue's history. Of
      dialogues every utterance is read in both directions, the speaker's bit is appended, and a
      third layer reads the utterances one after the other; a topic has a vector. These are
      LSTMs of the table's width with word vectors of their own, where the code has GRUs of 300
      units (600 over turns) and one table of words; speakers have no profiles; padding is known
      by its length, in the code by a vector of zeros. The decoder is the table's LSTM, which
      sees [z; c] at every step and not at the first alone. Annealing is rows' own: the code
      raises the weight over 10,000 batches. Parameters are chosen by the bound at beta.

    References:
      Sohn et al., "Learning Structured Output Representation using Deep Conditional Generative
      Models", 2015.
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960 (learned prior).
    """
    return conditional_autoencoder(kit, recipe, regularizers.kl, prior, hidden)


def conditional_evals(kit: Kit, evals: Mapping[str, Any], decoder: Decoder,
                      context: Context) -> dict[str, Any]:
    """Selects the evals of a conditional model: codes alone cannot be decoded; examples are
    reconstructed.

    Without a law of contexts nothing is drawn from the prior either.
    """
    def reconstruct(params, carry, batch):
        q = evals['posterior'](params, carry, batch)
        z = {'z': evals['encode'](params, carry, batch), 'context': q['context']}
        return decoder.generate(params['dec'], z, jax.random.key(0), kit.codec.modes[0])

    gone = {'decode'} if context.draw else {'decode', 'sample', 'sample_prior'}
    return {**{k: f for k, f in evals.items() if k not in gone}, 'reconstruct': reconstruct}
