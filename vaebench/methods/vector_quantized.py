"""Latents at every position of a sentence, which the decoder attends to: codes of a
codebook.
"""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import (
    Decoder,
    Fold,
    Key,
    Kit,
    Method,
    Params,
    Phase,
    Player,
    Recipe,
    couples,
    derive,
    mean,
)
from vaebench.methods import models
from vaebench.methods.sequence_latents import ancestral, fit, per_position, shifted
from vaebench.ops import lengths, quantize


class States(NamedTuple):
    """The network whose outputs codes replace."""
    init: Callable[[Key], Params]          # key -> params 'enc' and 'head'
    # (params, batch, key=None) -> h [B, M, Z], and which of them count [B, M]
    apply: Callable[..., tuple[jax.Array, jax.Array]]


def encoder_states(kit: Kit, attention: bool, init: str | None) -> States:
    """Linear maps of the encoder's states at every predicted position, or of the last alone.

    Args:
      kit: `encoder` and `head` are used.
      attention: whether every position counts.
      init: of both layers.

    Returns:
      The `States`.
    """
    enc, head = kit.encoder(init=init), kit.head(kit.latent, init=init)

    def start(key):
        return {'enc': enc.init(derive(key, 0)), 'head': head.init(derive(key, 1))}

    def apply(params, batch, key=None):
        features = enc.apply(params['enc'], batch, key)
        if attention:
            return head.apply(params['head'], features.states[:, 1:]), features.mask[:, 1:]
        last = features.last
        return head.apply(params['head'], last)[:, None], jnp.ones((len(last), 1), bool)

    return States(start, apply)


class Quantizer(NamedTuple):
    """A codebook that learns by running means: carry 'codes' [K, Z] and 'counts' [K]."""
    # (key, h [B, M, Z], mask [B, M], weight [B]) -> carry, codes among h
    init: Callable[..., dict[str, jax.Array]]
    apply: Callable[..., jax.Array]        # (carry, h) -> nearest codes int32 [B, M]
    # (key, carry, h, z, mask, weight, decay) -> carry
    learn: Callable[..., dict[str, jax.Array]]


def quantizer(codes: int) -> Quantizer:
    """The `Quantizer` of a codebook with that many entries; those that die start anew."""
    def rows(h, mask, weight):
        return h.reshape(-1, h.shape[-1]), (mask * weight[:, None]).reshape(-1)

    def init(key, h, mask, weight):
        book, counts = quantize.codebook(key, *rows(h, mask, weight), codes)
        return {'codes': book, 'counts': counts}

    def apply(carry, h):
        return quantize.nearest(h, carry['codes'])

    def learn(key, carry, h, z, mask, weight, decay):
        x, weight = rows(jax.lax.stop_gradient(h), mask, weight)
        book, counts = quantize.learn(carry['codes'], carry['counts'], x, z.reshape(-1), weight,
                                      decay)
        book, counts = quantize.revive(key, book, counts, x, weight)
        return {**carry, 'codes': book, 'counts': counts}

    return Quantizer(init, apply, learn)


def autoregressive_codes(kit: Kit, codes: int, size: int) -> models.Prior:
    """Prior p(z_t | z_<t) of codes from an LSTM.

    Args:
      kit: `sequence` is used.
      codes: K.
      size: M, positions of a sample.

    Returns:
      A `models.Prior` of z int32 [B, M], -1 beyond a sentence; its samples fill all of it.
    """
    net = kit.sequence(kit.latent, codes)

    def init(key, data, params):
        # the last row: no code yet
        embed = jax.random.normal(derive(key, 4), (codes + 1, kit.latent))
        return {'prior': net.init(derive(key, 3)), 'embed': embed}

    def log_odds(params, z):
        """[B, M, K] log p(z_t = k | z_<t); z may be padded."""
        before = shifted(jnp.full_like(z[:, :1], codes), jnp.maximum(z, 0))
        return jax.nn.log_softmax(net.apply(params['prior'], params['embed'][before]))

    def log_prob(params, z):
        p = jnp.take_along_axis(log_odds(params, z), jnp.maximum(z, 0)[..., None], -1)[..., 0]
        return jnp.where(z >= 0, p, 0).sum(-1)

    def sample(params, key, n):
        def draw(key, z, t):
            return jax.random.categorical(key, log_odds(params, z)[:, t]).astype(z.dtype)

        return ancestral(key, draw, jnp.zeros((n, size), jnp.int32))

    return models.Prior(('prior', 'embed'), init, log_prob, sample)


def _read(e: jax.Array, mask: jax.Array, attention: bool) -> Any:
    """What the decoder reads of code vectors [B, M, Z]."""
    return {'memory': e, 'mask': mask} if attention else e[:, 0]


def _look_up(carry: Mapping[str, jax.Array], z: jax.Array, attention: bool) -> Any:
    """What the decoder reads of codes int32 [B, M]."""
    return _read(carry['codes'][jnp.maximum(z, 0)], z >= 0, attention)


def _autoencode(states: States, book: Quantizer, dec: Decoder, codes: int,
                attention: bool) -> Callable:
    """The loss of encoder and decoder: rec + hp['commit'] times the distance to the codes."""
    @couples                    # codes are means of all that fall to them
    def loss(params, carry, batch, ctx):
        h, mask = states.apply(params, batch, derive(ctx.key, 0))
        z = book.apply(carry, h)
        e = carry['codes'][z]
        seen = _read(quantize.straight_through(h, e), mask, attention)
        rec = mean(-dec.log_prob(params['dec'], seen, batch, derive(ctx.key, 1)), batch)
        commit = mean(jnp.where(mask, quantize.commitment(h, e), 0).sum(-1), batch)
        carry = book.learn(derive(ctx.key, 2), carry, h, z, mask, batch['weight'],
                           ctx.hp['decay'])
        kl = mean(mask.sum(-1) * jnp.log(codes), batch)
        aux = {'rec': rec, 'kl': kl, 'commit': commit}
        return rec + ctx.hp['commit'] * commit, (carry, aux)

    return loss


def _code_evals(code: Callable, prior: models.Prior, dec: Decoder,
                attention: bool) -> dict[str, Callable]:
    """Evals of a model whose code (params, carry, batch) -> int32 [B, M] is certain."""
    log_prob = prior.log_prob
    assert log_prob is not None

    def log_prior(params, carry, z):
        return log_prob(params, z)

    def log_lik(params, carry, z, batch):
        return dec.log_prob(params['dec'], _look_up(carry, z, attention), batch)

    def encode(params, carry, batch):
        z = code(params, carry, batch)
        e = jnp.where((z >= 0)[..., None], carry['codes'][jnp.maximum(z, 0)], 0)
        return e.sum(1) / (z >= 0).sum(1, keepdims=True)

    def drawn(params, carry, key, n):
        z = prior.sample(params, derive(key, 0), n)
        if not attention:
            return z
        length = lengths.sample(derive(key, 1), carry['lengths'], n)[:, None]
        return jnp.where(jnp.arange(z.shape[1]) < length, z, -1)

    def sample(params, carry, key, n, mode):
        z = drawn(params, carry, derive(key, 0), n)
        return dec.generate(params['dec'], _look_up(carry, z, attention), derive(key, 1), mode)

    def decode(params, carry, z, key, mode):
        if jnp.issubdtype(z.dtype, jnp.integer):
            z = _look_up(carry, z, attention)
        return dec.generate(params['dec'], z, key, mode)

    def log_length(params, carry, batch):
        return lengths.log_prob(carry['lengths'], batch['length'])

    evals = {
        'posterior': code,
        'sample_q': lambda params, carry, q, key: q,
        'log_q': lambda params, carry, q, z: jnp.where((q == z).all(-1), 0., -jnp.inf),
        'kl': lambda params, carry, q: -log_prior(params, carry, q),
        'log_prior': log_prior,
        'log_lik': log_lik,
        'encode': encode,
        'sample': sample,
    }
    if attention:
        evals |= {'log_length': log_length}
    else:
        evals |= {'sample_prior': drawn, 'decode': decode}
    return {**evals, 'replica': per_position(evals)}


def _length_law(kit: Kit) -> Fold:
    """A pass over the data that counts lengths: carry['lengths']."""
    def count(counts, params, carry, batch):
        return lengths.count(counts, batch['length'], batch['weight'])

    return Fold(lambda: jnp.zeros(kit.size('length')), count,
                lambda counts, params, carry: {**carry, 'lengths': counts})


def davam(kit: Kit, recipe: Recipe, *, codes: int = 512, attention: bool = True,
          init: str = 'torch') -> Method:
    """Encoder states quantized at every predicted position, read by attention; then a prior
    over their codes.

    In the first phase the prior is uniform and its KL constant; in the second an autoregressive
    prior learns the codes. q is one-hot: KL(x) = -sum_t log p(z_t | z_<t).

    Without `attention` only the last state is quantized and read as the code of an ordinary
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
      z_t = argmin_k |h_t - e_k|
      first minimize rec(x, e_z) + commit sum_t |h_t - e_{z_t}|^2, straight through to h
      e_k: running means of the states that have code k
      then minimize -sum_t log p(z_t | z_<t), all else frozen

    Deviations:
      No code was found. KL is the total over positions, and bounds add -log p(length), for the
      number of codes tells the length; the paper's figures agree with a KL averaged over
      positions: the eval `replica`. An LSTM stands for its causal convolutions. h is linear in
      the states, as wide as the latent code; codes that die start anew. Encoder and h start as
      PyTorch's layers: states as small as the LSTM family's would all have one code.

    References:
      Fang et al., "Discrete Auto-regressive Variational Attention Models for Text Modeling",
      2021, arXiv:2106.08571.
      van den Oord et al., "Neural Discrete Representation Learning", 2017, arXiv:1711.00937.
    """
    states, book = encoder_states(kit, attention, init), quantizer(codes)
    dec = kit.decoder(attention=True) if attention else kit.decoder()
    size = kit.size('length') if attention else 1
    prior = autoregressive_codes(kit, codes, size)

    def start(key, data):
        params = {**states.init(key), 'dec': dec.init(derive(key, 2)),
                  **prior.init(key, data, {})}
        carry = book.init(derive(key, 5), *states.apply(params, data), data['weight'])
        return params, {**carry, **({'lengths': jnp.zeros(size)} if attention else {})}

    def code(params, carry, batch):
        h, mask = states.apply(params, batch)
        return fit(jnp.where(mask, book.apply(carry, h), -1), size, -1)

    evals = _code_evals(code, prior, dec, attention)

    def predict(params, carry, batch, ctx):
        h, mask = states.apply(params, batch)
        z = jnp.where(mask, book.apply(carry, h), -1)
        kl = mean(-evals['log_prior'](params, carry, z), batch)
        rec = mean(-evals['log_lik'](params, carry, z, batch), batch)
        return kl, (carry, {'rec': rec, 'kl': kl})

    first = Player('ae', _autoencode(states, book, dec, codes, attention),
                   ('enc', 'head', 'dec'), recipe.optimizer)
    second = Player('prior', predict, prior.names, recipe.optimizer)
    phases = (Phase('ae', (first,), recipe.steps, select='rec',
                    summary=_length_law(kit) if attention else None),
              Phase('prior', (second,), recipe.steps))
    return Method(start, phases, evals)
