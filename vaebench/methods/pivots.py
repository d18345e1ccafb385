"""Style transfer by way of a pivot: a code of another form of the sentence, and a generator per
style that a classifier guides.
"""
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import (
    Batch,
    Criterion,
    Decoder,
    Key,
    Kit,
    Method,
    Net,
    Phase,
    Player,
    Recipe,
    derive,
    mean,
)
from vaebench.errors import unknown
from vaebench.methods import models, objectives, posteriors
from vaebench.methods.style_decoders import by_label, decoder_evals
from vaebench.methods.style_heads import SPECIALS

Pivot = Callable[[Batch, Key | None], Batch]
"""(batch, key) -> the batch in the pivot's words; a key of None makes it a function of each
sentence alone."""
SEED = 20261128    # of the invented language


def identity(kit: Kit) -> Pivot:
    """The sentence itself: what a pivot is to be better than."""
    return lambda batch, key: batch


def denoise(kit: Kit, rate: float = .3, reach: int = 3) -> Pivot:
    """The sentence with words left out and moved.

    Without a key the noise comes from the sentence's own words, so that it has one pivot.

    Args:
      kit: `corrupt` and `shuffle` are used.
      rate: share of the words that are left out.
      reach: places that a word may move.

    Returns:
      A `Pivot`.
    """
    def one(key, row):
        short = kit.corrupt(derive(key, 0), jax.tree.map(lambda x: x[None], row), rate)
        return jax.tree.map(lambda x: x[0], kit.shuffle(derive(key, 1), short, reach))

    def pivot(batch, key=None):
        sentence = {k: batch[k] for k in ('tokens', 'length')}
        if key is None:
            keys = jax.vmap(_own_key)(batch['tokens'])
        else:
            keys = jax.vmap(lambda i: derive(key, i))(jnp.arange(len(batch['length'])))
        return {**batch, **jax.vmap(one)(keys, sentence)}

    return pivot


def _own_key(tokens: jax.Array) -> Key:
    """A key of a sentence [L], whatever the padding behind it."""
    def add(code, token):
        mixed = code * jnp.uint32(1_000_003) ^ token.astype(jnp.uint32)
        return jnp.where(token > 0, mixed, code), None

    return derive(jax.random.key(0), jax.lax.scan(add, jnp.uint32(0), tokens)[0])


def synthetic(kit: Kit, merged: int = 2) -> Pivot:
    """The sentence in an invented language: words share its words, at random, and neighbors
    change places, the first with the second, the third with the fourth.

    Args:
      kit: of sentences.
      merged: words that share one.

    Returns:
      A `Pivot`, which needs no key.
    """
    vocabulary = kit.size('tokens')
    order = np.random.default_rng(SEED).permutation(np.arange(vocabulary - SPECIALS))
    table = jnp.asarray(np.concatenate([np.arange(SPECIALS), SPECIALS + order // merged]),
                        jnp.int32)

    def pivot(batch, key=None):
        tokens, length = batch['tokens'], batch['length'][:, None]
        place = jnp.arange(tokens.shape[1])
        partner = jnp.where(place % 2 == 1, place + 1, place - 1)
        inside = (place > 0) & (place < length) & (partner > 0) & (partner < length)
        moved = jnp.take_along_axis(tokens, jnp.where(inside, partner, place), 1)
        return {**batch, 'tokens': table[moved]}

    return pivot


PIVOTS = {'denoise': denoise, 'synthetic': synthetic, 'identity': identity}
"""Makers of pivots by name: kit -> `Pivot`."""


class WordClassifier:
    """A convolutional classifier of words or of mixtures of them.

    Args:
      kit: `cnn` is used.
      embed: width of its word embeddings.
      width: of its windows.
      channels: its filters.
    """

    def __init__(self, kit: Kit, embed: int, width: int, channels: int):
        self.shape = kit.size('tokens'), embed
        self.net = kit.cnn(embed, kit.size('label'), (width,), channels)

    def init(self, key: Key) -> dict[str, Any]:
        """Its first params."""
        table = jax.random.uniform(derive(key, 0), self.shape, minval=-.1, maxval=.1)
        return {'embedding': table, 'cnn': self.net.init(derive(key, 1))}

    def hard(self, params: Any, batch: Batch) -> jax.Array:
        """Log probabilities [B, K] of the labels of sentences."""
        return self._of(params, params['embedding'][batch['tokens'][:, 1:]], batch)

    def soft(self, params: Any, words: jax.Array, batch: Batch) -> jax.Array:
        """Those of mixtures of words [B, T, V] in place of the batch's, `<s>` left out."""
        return self._of(params, words @ params['embedding'], batch)

    def _of(self, params, x, batch):
        mask = jnp.arange(x.shape[1]) < batch['length'][:, None]
        return jax.nn.log_softmax(self.net.apply(params['cnn'], x, mask))


def _wrong(log_p: jax.Array, batch: Batch) -> jax.Array:
    """Cross-entropies [B] of the batch's labels, nats."""
    return -jnp.take_along_axis(log_p, batch['label'][:, None], 1)[:, 0]


def bst_lite(kit: Kit, recipe: Recipe, *, pivot: str = 'denoise', embed: int = 128,
             window: int = 5, channels: int = 100) -> Method:
    """A substitute for style transfer through back-translation that needs no translator: codes
    of a pivot, and a generator per label that a classifier guides.

    No language is translated: the pivot is made of the sentence. A sentence is rewritten by the
    generator of the other label from the code of its pivot.

    Hyperparameters:
      classifier.

    Args:
      kit: the networks, of sentences with labels; `encoder`, `head`, `decoder`, `cnn`,
        `corrupt` and `shuffle` are used.
      recipe: the protocol; every phase takes `recipe.steps`.
      pivot: what the encoder reads: 'denoise', the sentence with words left out and moved,
        'synthetic', an invented language in which words coincide, or 'identity', the sentence
        itself, the control that a pivot should beat.
      embed: width of the classifier's word embeddings.
      window: words that its filters see.
      channels: its filters.

    Returns:
      A `Method` of phases 'pivot', 'classifier' and 'main'. It has no 'decode', which takes the
      label too; its likelihoods are given the label.

    Equation:
      z = W h(p(x)), p the pivot
      first minimize -log p_0(x | z); encoder and W are then frozen
      then minimize -log q(y | x); q is then frozen
      then minimize -log p_y(x | z) - classifier log q(y | softmax(l))
      l: the logits of p_y along x, whose softmax mixes the embeddings of q
      transfer to y: decode z(x) by p_y

    Deviations:
      Named for what it stands in for: the paper translates English to French and back with
      networks trained on parallel text. Whether its pivot makes style harder to read from the
      code is to be measured, and 'identity' is the row to compare with. The code is one vector,
      the paper's all states of a two-layer encoder with attention. The slide's objectives lack
      their minus signs. The published classifier reads a second output layer that never makes
      words, and its optimizer seems to miss the generators: here one layer does both and is
      trained. Classifier and generators learn from the same split, the paper's from two. The
      main phase and evaluation see one pivot of each sentence, the first phase of 'denoise' a
      new one every time. Parameters are chosen by rec in the first phase, by the classifier's
      cross-entropy in the second and by rec + classifier times its own in the last.

    References:
      Prabhumoye et al., "Style Transfer Through Back-Translation", 2018, arXiv:1804.09000.
    """
    if pivot not in PIVOTS:
        raise unknown('pivot', pivot, PIVOTS)
    turn, base, enc = PIVOTS[pivot](kit), kit.decoder(), kit.encoder()
    told = kit.replace(encoder=lambda init=None: Net(
        enc.init, lambda params, batch, key=None: enc.apply(params, turn(batch, None), key)))
    generators = by_label(base, kit.size('label'))
    model = models.model(told, posteriors.delta(kit), decoder=generators)
    judge = WordClassifier(kit, embed, window, channels)
    start = objectives.starter(model, objectives.constant_weight(0.))

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {**params, 'translator': base.init(derive(key, 1)),
                'classifier': judge.init(derive(key, 2))}, carry

    guided, penalties = _guidance(model, generators, judge)
    chosen = Criterion('rec + classifier wrong',
                       lambda hp, valid: valid['rec'] + hp['classifier'] * valid['wrong'])
    phases = (_translation(recipe, kit, turn, model.evals, base),
              _classification(recipe, judge),
              Phase('main', (Player('generators', guided, ('dec',), recipe.optimizer),),
                    recipe.steps, select=chosen))
    return Method(init, phases, {**decoder_evals(kit, model.evals), 'penalties': penalties},
                  given=('label',))


def _translation(recipe: Recipe, kit: Kit, turn: Pivot, evals: Mapping[str, Callable],
                 decoder: Decoder) -> Phase:
    """The phase that learns to make sentences of their pivots, drawn anew every time."""
    enc, posterior = kit.encoder(), posteriors.delta(kit)

    def loss(params, carry, batch, ctx):
        features = enc.apply(params['enc'], turn(batch, derive(ctx.key, 0)))
        z = posterior.apply(params, {}, features)[0]['mean']
        log_p = decoder.log_prob(params['translator'], z, batch, derive(ctx.key, 1))
        return -mean(log_p, batch), (carry, {})

    def log_lik(params, carry, z, batch):
        return decoder.log_prob(params['translator'], z, batch)

    player = Player('translator', loss, ('enc', 'head', 'translator'), recipe.optimizer)
    measured = {'log_lik': log_lik, **{k: evals[k] for k in ('posterior', 'sample_q')}}
    return Phase('pivot', (player,), recipe.steps, select='rec', evals=measured)


def _classification(recipe: Recipe, judge: WordClassifier) -> Phase:
    """The phase of the classifier alone."""
    def errors(params, carry, batch):
        return _wrong(judge.hard(params['classifier'], batch), batch)

    def loss(params, carry, batch, ctx):
        return mean(errors(params, carry, batch), batch), (carry, {})

    player = Player('classifier', loss, ('classifier',), recipe.optimizer)
    return Phase('classifier', (player,), recipe.steps, select='error',
                 evals={'error': errors})


def _guidance(model: models.Model, generators: Decoder,
              judge: WordClassifier) -> tuple[Callable, Callable]:
    """The loss of the generators, and the eval 'penalties' of its guided part, 'wrong'."""
    def wrong(params, z, batch):
        assert generators.forced is not None
        words = jax.nn.softmax(generators.forced(params['dec'], z, batch).logits)
        return mean(_wrong(judge.soft(params['classifier'], words, batch), batch), batch)

    def loss(params, carry, batch, ctx):
        terms, _ = model.terms(params, carry['posterior'], batch, ctx.key, ctx.hp)
        rec, guided = mean(terms.rec, batch), wrong(params, terms.z, batch)
        return rec + ctx.hp['classifier'] * guided, (carry, {'rec': rec, 'wrong': guided})

    def penalties(params, carry, batch, q, z, key):
        return {'wrong': wrong(params, z, batch)}

    return loss, penalties
