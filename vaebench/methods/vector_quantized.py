"""Latents at every position that the decoder attends to: codes of a codebook, or Gaussians."""
import jax
import jax.numpy as jnp

from vaebench.core import Fold, Method, Phase, Player, derive, mean
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.ops import distributions, lengths, quantize


def fit(x, width, value=0):
    """Pads or cuts the second axis, so that no batch's width shows: [B, M, ...] -> [B, width,
    ...].

    >>> fit(jnp.ones((1, 1)), 3).tolist()
    [[1.0, 0.0, 0.0]]
    """
    x = x[:, :width]
    return jnp.pad(x, [(0, 0), (0, width - x.shape[1])] + [(0, 0)] * (x.ndim - 2),
                   constant_values=value)


def ancestral(key, draw, z):
    """Fills z [n, M, ...] from the left: draw(key, z, t) -> [n, ...] reads what is left of t.

    Every position runs the whole of its conditional again: quadratic in M.
    """
    return jax.lax.fori_loop(0, z.shape[1],
                             lambda t, z: z.at[:, t].set(draw(derive(key, t), z, t)), z)


def per_position(evals):
    """What the paper seems to print: rec plus the KL averaged over positions, over words with
    `</s>`.
    """
    def figure(params, carry, batch, key):
        q = evals['posterior'](params, carry, batch)
        z = evals['sample_q'](params, carry, q, key)
        kl = evals['log_q'](params, carry, q, z) - evals['log_prior'](params, carry, z)
        return kl / batch['length'] - evals['log_lik'](params, carry, z,
                                                       batch), batch['length'].astype(kl.dtype)

    return figure


def davam(kit, recipe, *, codes=512, attention=True, init='torch'):
    """Encoder states quantised at every predicted position, read by attention; then a prior
    over their codes.

    In the first phase the prior is uniform and its KL constant; in the second an autoregressive
    prior learns the codes. q is one-hot: KL(x) = -sum_t log p(z_t | z_<t).

    Without `attention` only the last state is quantised and read as the code of an ordinary
    decoder: DAVAM-q, as we understand it. Its printed rec lies 4.9, 5.4 and 6.0 nats below the
    VAE's: just under ln 512 = 6.24, all that one code can tell.

    Hyperparameters:
      commit, decay.

    Args:
      kit: the networks; `sequence` makes the prior.
      recipe: the protocol; either phase may take `recipe.steps`.
      codes: K, entries of the codebook.
      attention: whether every position has a code.
      init: of the encoder and its linear map.

    Returns:
      A `Method` of two phases: 'ae', chosen by validation rec, and 'prior'. z is int32 [B, M],
      M = the longest sentence or 1, -1 beyond the sentence; the codebook is in the carry.

    Equation:
      z_t = argmin_k |h_t - e_k|; first minimise rec(x, e_z) + commit sum_t |h_t - e_{z_t}|^2,
      straight through to h
      e_k: running means of the states that have code k; then minimise -sum_t log p(z_t | z_<t),
        all else frozen

    Deviations:
      No code was found. KL is the total over positions, and bounds add -log p(length), for the
      number of codes tells the length; the paper's figures agree with a KL averaged over
      positions: the eval `replica`. An LSTM stands for its causal convolutions. h is linear in
      the states, as wide as the latent code; codes that die start anew. Encoder and h start as
      PyTorch's layers: states as small as the LSTM family's would all have one code.

    References:
      Fang et al., "Discrete Auto-regressive Variational Attention Models for Text Modeling",
      2021, arXiv:2106.08571. van den Oord et al., "Neural Discrete Representation Learning",
      2017, arXiv:1711.00937.
    """
    enc, head = kit.encoder(init=init), kit.head(kit.latent, init=init)
    dec = kit.decoder(attention=True) if attention else kit.decoder()
    prior, size = kit.sequence(kit.latent, codes), kit.size('length') if attention else 1

    def states(params, batch, key=None):
        """h [B, M, Z] and which of them count [B, M]."""
        features = enc.apply(params['enc'], batch, key)
        if attention:
            return head.apply(params['head'], features.states[:, 1:]), features.mask[:, 1:]
        return head.apply(params['head'], features.last)[:, None], jnp.ones(
            (len(features.last), 1), bool)

    def seen(e, mask):
        """What the decoder reads of code vectors [B, M, Z]."""
        return {'memory': e, 'mask': mask} if attention else e[:, 0]

    def look(carry, z):
        return seen(carry['codes'][jnp.maximum(z, 0)], z >= 0)

    def log_odds(params, z):
        """[B, M, K] log p(z_t = k | z_<t); z may be padded."""
        before = jnp.concatenate([jnp.full_like(z[:, :1], codes), jnp.maximum(z[:, :-1], 0)], 1)
        return jax.nn.log_softmax(prior.apply(params['prior'], params['embed'][before]))

    def flat(h, mask, batch):
        return h.reshape(-1, h.shape[-1]), (mask * batch['weight'][:, None]).reshape(-1)

    def start(key, data):
        params = {
            'enc': enc.init(derive(key, 0)),
            'head': head.init(derive(key, 1)),
            'dec': dec.init(derive(key, 2)),
            'prior': prior.init(derive(key, 3)),
            # the last one: no code yet
            'embed': jax.random.normal(derive(key, 4), (codes + 1, kit.latent))
        }
        book, counts = quantize.codebook(derive(key, 5), *flat(*states(params, data), data),
                                         codes)
        return params, {
            'codes': book, 'counts': counts,
            **({'lengths': jnp.zeros(kit.size('length'))} if attention else {})
        }

    def code(params, carry, batch):
        h, mask = states(params, batch)
        return fit(jnp.where(mask, quantize.nearest(h, carry['codes']), -1), size, -1)

    def log_prior(params, carry, z):
        p = jnp.take_along_axis(log_odds(params, z), jnp.maximum(z, 0)[..., None], -1)[..., 0]
        return jnp.where(z >= 0, p, 0).sum(-1)

    def log_lik(params, carry, z, batch):
        return dec.log_prob(params['dec'], look(carry, z), batch)

    def log_length(params, carry, batch):
        return lengths.log_prob(carry['lengths'], batch['length'])

    def autoencode(params, carry, batch, ctx):
        h, mask = states(params, batch, derive(ctx.key, 0))
        z = quantize.nearest(h, carry['codes'])
        e = carry['codes'][z]
        rec = mean(
            -dec.log_prob(params['dec'], seen(quantize.straight_through(h, e), mask), batch,
                          derive(ctx.key, 1)), batch)
        commit = mean(jnp.where(mask, quantize.commitment(h, e), 0).sum(-1), batch)
        x, weight = flat(jax.lax.stop_gradient(h), mask, batch)
        book, counts = quantize.learn(carry['codes'], carry['counts'], x, z.reshape(-1), weight,
                                      ctx.hp['decay'])
        book, counts = quantize.revive(derive(ctx.key, 2), book, counts, x, weight)
        carry = {**carry, 'codes': book, 'counts': counts}
        kl = mean(mask.sum(-1) * jnp.log(codes), batch)
        return rec + ctx.hp['commit'] * commit, (carry, {
            'rec': rec, 'kl': kl, 'commit': commit
        })

    def predict(params, carry, batch, ctx):
        h, mask = states(params, batch)
        z = jnp.where(mask, quantize.nearest(h, carry['codes']), -1)
        kl = mean(-log_prior(params, carry, z), batch)
        return kl, (carry, {'rec': mean(-log_lik(params, carry, z, batch), batch), 'kl': kl})

    def encode(params, carry, batch):
        z = code(params, carry, batch)
        e = jnp.where((z >= 0)[..., None], carry['codes'][jnp.maximum(z, 0)], 0)
        return e.sum(1) / (z >= 0).sum(1, keepdims=True)

    def drawn(params, carry, key, n):
        def draw(key, z, t):
            return jax.random.categorical(key, log_odds(params, z)[:, t]).astype(z.dtype)

        z = ancestral(derive(key, 0), draw, jnp.zeros((n, size), jnp.int32))
        if not attention:
            return z
        return jnp.where(
            jnp.arange(size) < lengths.sample(derive(key, 1), carry['lengths'], n)[:, None], z,
            -1)

    evals = {
        'posterior': code, 'sample_q': lambda params, carry, q, key: q,
        'log_q': lambda params, carry, q, z: jnp.where((q == z).all(-1), 0., -jnp.inf),
        'kl': lambda params, carry, q: -log_prior(params, carry, q), 'log_prior': log_prior,
        'log_lik': log_lik, 'encode': encode, 'sample': lambda params, carry, key, n, mode: dec.
        generate(params['dec'], look(carry, drawn(params, carry, derive(key, 0), n)),
                 derive(key, 1), mode),
    }
    if attention:
        evals['log_length'] = log_length
    else:
        evals['sample_prior'] = drawn
        evals['decode'] = lambda params, carry, z, key, mode: dec.generate(
            params['dec'],
            look(carry, z) if jnp.issubdtype(z.dtype, jnp.integer) else z, key, mode)
    evals['replica'] = per_position(evals)
    first = Player('ae', autoencode, ('enc', 'head', 'dec'), recipe.optimizer)
    second = Player('prior', predict, ('prior', 'embed'), recipe.optimizer)

    def count(counts, params, carry, batch):
        return lengths.count(counts, batch['length'], batch['weight'])

    law = Fold(lambda: jnp.zeros(kit.size('length')), count,
               lambda counts, params, carry: {**carry, 'lengths': counts})
    phases = (Phase('ae', (first,), recipe.steps, select='rec',
                    summary=law if attention else None), Phase('prior', (second,), recipe.steps))
    return Method(start, phases, evals)


def positions(kit):
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

    def apply(params, carry, features, weight=None, hp=None):
        m, v = jnp.split(head.apply(params['head'], features.states[:, 1:]), 2, -1)
        q = {'mean': m, 'log_var': v, 'mask': features.mask[:, 1:]}
        if hp is None:
            return {k: fit(x, kit.size('length')) for k, x in q.items()}, carry
        return q, {'lengths': lengths.count(carry['lengths'], q['mask'].sum(-1), weight)}

    def centre(params, q):
        on = q['mask'][..., None]
        return jnp.where(on, q['mean'], 0).sum(1) / on.sum(1)

    def sample(params, q, key):
        return {
            'memory': distributions.normal_sample(key, q['mean'], q['log_var']),
            'mask': q['mask']
        }

    def log_q(params, q, z):
        p = distributions.normal_log_prob(z['memory'], q['mean'], q['log_var'])
        return jnp.where((q['mask'] == z['mask']).all(-1),
                         jnp.where(z['mask'], p, 0).sum(-1), -jnp.inf)

    return posteriors.Posterior(base.names, init, apply, centre, sample, log_q)


def autoregressive(kit):
    """Gaussian prior p(z_t | z_<t) from an LSTM, as wide as the latent code.

    Args:
      kit: `sequence` is used.

    Returns:
      A `models.Prior` of z = {'memory': [B, M, Z], 'mask': [B, M]}; its samples fill all of
      the longest sentence.
    """
    net = kit.sequence(kit.latent, 2 * kit.latent)

    def moments(params, x):
        before = jnp.concatenate([jnp.zeros_like(x[:, :1]), x[:, :-1]], 1)
        return jnp.split(net.apply(params['prior'], before), 2, -1)

    def log_prob(params, z):
        on = z['mask']
        p = distributions.normal_log_prob(
            z['memory'], *moments(params, jnp.where(on[..., None], z['memory'], 0)))
        return jnp.where(on, p, 0).sum(-1)

    def sample(params, key, n):
        def draw(key, x, t):
            return distributions.normal_sample(key, *(m[:, t] for m in moments(params, x)))

        return {'memory': ancestral(key, draw, jnp.zeros((n, kit.size('length'), kit.latent))),
                'mask': jnp.ones((n, kit.size('length')), bool)}

    return models.Prior(('prior',), lambda key, data, params: {'prior': net.init(key)},
                        log_prob, sample)


def gavam(kit, recipe):
    """DAVAM with Gaussians in place of codes, and their prior learnt with the rest: it
    collapses.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks; `sequence` makes the prior.
      recipe: the protocol.

    Returns:
      A `Method`; z is {'memory': [B, M, Z], 'mask': [B, M]}.

    Equation:
      minimise rec(x, z_1..z_T) + w_t sum_t [log q(z_t|x) - log p(z_t | z_<t)], one draw, q
      Gaussian at every position

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

    return method._replace(
        evals={
            **evals, 'sample': sample, 'replica': per_position(evals), 'log_length': lambda
            params, carry, batch: lengths.log_prob(counts(carry), batch['length'])
        })
