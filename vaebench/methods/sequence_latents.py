"""Latents at every position of a sentence, which the decoder attends to: Gaussians."""
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from vaebench.core import Key, Kit, Method, Recipe, couples, derive
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.ops import distributions, lengths


def fit(x: jax.Array, width: int, value: int = 0) -> jax.Array:
    """Pads or cuts the second axis, so that no batch's width shows: [B, M, ...] -> [B, width,
    ...].

    >>> fit(jnp.ones((1, 1)), 3).tolist()
    [[1.0, 0.0, 0.0]]
    """
    x = x[:, :width]
    return jnp.pad(x, [(0, 0), (0, width - x.shape[1])] + [(0, 0)] * (x.ndim - 2),
                   constant_values=value)


def ancestral(key: Key, draw: Callable[..., jax.Array], z: jax.Array) -> jax.Array:
    """Fills z [n, M, ...] from the left: draw(key, z, t) -> [n, ...] reads what is left of t.

    Every position runs the whole of its conditional again: quadratic in M.
    """
    return jax.lax.fori_loop(0, z.shape[1],
                             lambda t, z: z.at[:, t].set(draw(derive(key, t), z, t)), z)


def shifted(first: jax.Array, x: jax.Array) -> jax.Array:
    """What a causal network reads before each position: `first` [B, 1, ...], then x [B, M, ...]
    without its last.
    """
    return jnp.concatenate([first, x[:, :-1]], 1)


def per_position(evals: Mapping[str, Callable]) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Builds the eval of the figure that the paper seems to print: rec plus the KL averaged
    over positions, divided by words with `</s>`.
    """
    def figure(params, carry, batch, key):
        q = evals['posterior'](params, carry, batch)
        z = evals['sample_q'](params, carry, q, key)
        kl = evals['log_q'](params, carry, q, z) - evals['log_prior'](params, carry, z)
        log_lik, words = evals['log_lik'](params, carry, z, batch), batch['length']
        return kl / words - log_lik, words.astype(kl.dtype)

    return figure


def positions(kit: Kit) -> posteriors.Posterior:
    """Independent Gaussians at every predicted position, linear in the encoder's states.

    Args:
      kit: `head` and `length` are used.

    Returns:
      A `Posterior`; q is {'mean', 'log_var': [B, M, Z], 'mask': [B, M]}, z {'memory': [B, M,
      Z], 'mask': [B, M]}, in evaluation with M = the longest sentence. Its carry counts
      lengths.
    """
    base, head = posteriors.gaussian(kit), kit.head(2 * kit.latent)

    def init(key):
        return base.init(key)[0], {'lengths': jnp.zeros(kit.size('length'))}

    @couples                         # the carry counts its lengths
    def apply(params, carry, features, weight=None, hp=None):
        m, v = jnp.split(head.apply(params['head'], features.states[:, 1:]), 2, -1)
        q = {'mean': m, 'log_var': v, 'mask': features.mask[:, 1:]}
        if hp is None or weight is None:
            return {k: fit(x, kit.size('length')) for k, x in q.items()}, carry
        return q, {'lengths': lengths.count(carry['lengths'], q['mask'].sum(-1), weight)}

    def center(params, q):
        on = q['mask'][..., None]
        return jnp.where(on, q['mean'], 0).sum(1) / on.sum(1)

    def sample(params, q, key):
        return {'memory': distributions.normal_sample(key, q['mean'], q['log_var']),
                'mask': q['mask']}

    def log_q(params, q, z):
        p = distributions.normal_log_prob(z['memory'], q['mean'], q['log_var'])
        return jnp.where((q['mask'] == z['mask']).all(-1),
                         jnp.where(z['mask'], p, 0).sum(-1), -jnp.inf)

    return posteriors.Posterior(base.names, init, apply, center, sample, log_q)


def autoregressive(kit: Kit) -> models.Prior:
    """Gaussian prior p(z_t | z_<t) from an LSTM, as wide as the latent code.

    Args:
      kit: `sequence` is used.

    Returns:
      A `models.Prior` of z = {'memory': [B, M, Z], 'mask': [B, M]}; its samples fill all of
      the longest sentence.
    """
    net = kit.sequence(kit.latent, 2 * kit.latent)

    def moments(params, x):
        before = shifted(jnp.zeros_like(x[:, :1]), x)
        return jnp.split(net.apply(params['prior'], before), 2, -1)

    def log_prob(params, z):
        on = z['mask']
        x = jnp.where(on[..., None], z['memory'], 0)
        p = distributions.normal_log_prob(z['memory'], *moments(params, x))
        return jnp.where(on, p, 0).sum(-1)

    def sample(params, key, n):
        def draw(key, x, t):
            return distributions.normal_sample(key, *(m[:, t] for m in moments(params, x)))

        size = kit.size('length')
        return {'memory': ancestral(key, draw, jnp.zeros((n, size, kit.latent))),
                'mask': jnp.ones((n, size), bool)}

    return models.Prior(('prior',), lambda key, data, params: {'prior': net.init(key)},
                        log_prob, sample)


def gavam(kit: Kit, recipe: Recipe) -> Method:
    """DAVAM with Gaussians in place of codes, and their prior learned with the rest: it
    collapses.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks; `sequence` makes the prior.
      recipe: the protocol.

    Returns:
      A `Method`; z is {'memory': [B, M, Z], 'mask': [B, M]}.

    Equation:
      minimize rec(x, z_1..z_T) + w_t sum_t [log q(z_t|x) - log p(z_t | z_<t)]
      one draw, q Gaussian at every position

    Deviations:
      No code was found. KL is the total over positions, and bounds add -log p(length), for the
      number of codes tells the length. The prior's network is an LSTM.

    References:
      Fang et al., "Discrete Auto-regressive Variational Attention Models for Text Modeling",
      2021, arXiv:2106.08571 (its Gaussian baseline).
    """
    dec, prior = kit.decoder(attention=True), autoregressive(kit)
    method = autoencoder(kit, recipe, positions(kit), regularizers.kl,
                         objectives.scheduled_weight(recipe), prior=prior, decoder=dec)
    evals = {k: f for k, f in method.evals.items() if k not in ('decode', 'sample_prior')}

    def counts(carry):
        return carry['posterior']['lengths']

    def sample(params, carry, key, n, mode):
        z = prior.sample(params, derive(key, 0), n)
        length = lengths.sample(derive(key, 2), counts(carry), n)
        z = {**z, 'mask': jnp.arange(kit.size('length')) < length[:, None]}
        return dec.generate(params['dec'], z, derive(key, 1), mode)

    def log_length(params, carry, batch):
        return lengths.log_prob(counts(carry), batch['length'])

    return method._replace(evals={**evals, 'sample': sample, 'log_length': log_length,
                                  'replica': per_position(evals)})
