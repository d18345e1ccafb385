"""The LSTM kit: an encoder, the decoders, and what else a method of sentences may ask for."""
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import Batch, Codec, Decoder, Features, Kit, Net, Unrolled, derive
from vaebench.errors import UserError
from vaebench.networks import common, conversations, convolution, decoders
from vaebench.networks.generate import (
    END,
    MODES,
    PAD,
    START,
    UNKNOWN,
    sentences,
    soft_sentences,
)
from vaebench.schema import Schema, field

__all__ = ['END', 'PAD', 'START', 'UNKNOWN', 'corrupt', 'lstm', 'pseudo', 'sentences_codec',
           'shuffle']


class Encoder(nn.Module):
    """Reads the entire sentence, `<s>` and `</s>` included; there is no dropout.

    Padding cannot reach the last state. In place of a batch it also reads
    {'embedded': [B, L, embed]}, all of whose positions count.
    """
    vocab: int
    embed: int
    hidden: int

    def setup(self) -> None:
        self.embedding = self.param('embedding', common.zeros, (self.vocab, self.embed))
        self.lstm = decoders.Lstm(self.embed, self.hidden)

    def __call__(self, batch: Batch) -> Features:
        if 'embedded' in batch:
            states = self.lstm(batch['embedded'].swapaxes(0, 1))
            return Features(states[-1], states.swapaxes(0, 1),
                            jnp.ones(batch['embedded'].shape[:2], bool))
        tokens, last = batch['tokens'].T, batch['length']
        states = self.lstm(self.embedding[tokens])
        mask = jnp.arange(tokens.shape[0]) <= last[:, None]
        return Features(states[last, jnp.arange(last.shape[0])], states.swapaxes(0, 1), mask)


def corrupt(key: jax.Array, batch: Batch, rate: float | jax.Array) -> dict[str, jax.Array]:
    """Leaves words out: each with probability `rate`, but for one of a sentence.

    Args:
      key: [].
      batch: 'tokens' [B, L], 'length' [B].
      rate: probability, also traced.

    Returns:
      The batch with shorter sentences; `<s>` and `</s>` stay.

    References:
      Shen et al., "Educating Text Autoencoders: Latent Representation Guidance via Denoising",
      2020.

    >>> batch = {'tokens': jnp.array([[1, 7, 8, 9, 2, 0]]), 'length': jnp.array([4])}
    >>> out = corrupt(jax.random.key(0), batch, 1.)
    >>> out['length'].tolist(), out['tokens'][0, 2:].tolist()
    ([2], [2, 0, 0, 0])
    """
    tokens, length = batch['tokens'], batch['length'][:, None]
    place = jnp.arange(tokens.shape[1])
    words, draw = (place > 0) & (place < length), jax.random.uniform(key, tokens.shape)
    # the one that stays if all others go
    last = jnp.argmax(jnp.where(words, draw, -1.), 1)[:, None]
    keep = (place <= length) & (~words | (draw >= rate) | (place == last))
    target = jnp.where(keep, keep.cumsum(1) - 1, tokens.shape[1])      # beyond the end: dropped
    short = jnp.zeros_like(tokens).at[jnp.arange(len(tokens))[:, None], target].set(
        tokens, mode='drop')
    return {**batch, 'tokens': short, 'length': (keep.sum(1) - 1).astype(batch['length'].dtype)}


def shuffle(key: jax.Array, batch: Batch, reach: float | jax.Array) -> dict[str, jax.Array]:
    """Moves words by chance, each by at most `reach` places.

    Args:
      key: [].
      batch: 'tokens' [B, L], 'length' [B].
      reach: whole number, also traced; 0 changes nothing.

    Returns:
      The batch with words in another order; `<s>` and `</s>` stay.

    >>> batch = {'tokens': jnp.array([[1, 7, 8, 9, 2, 0]]), 'length': jnp.array([4])}
    >>> sorted(shuffle(jax.random.key(0), batch, 3)['tokens'][0, 1:4].tolist())
    [7, 8, 9]
    >>> shuffle(jax.random.key(0), batch, 0)['tokens'].tolist()
    [[1, 7, 8, 9, 2, 0]]
    """
    tokens, place = batch['tokens'], jnp.arange(batch['tokens'].shape[1])
    words = (place > 0) & (place < batch['length'][:, None])
    # whoever is `reach` places further back than another has the larger sum
    delay = jnp.where(words, (reach + .999) * jax.random.uniform(key, tokens.shape), 0.)
    order = jnp.argsort(jnp.where(words, place + delay, jnp.where(place > 0, 1e6 + place, -1.)))
    return {**batch, 'tokens': jnp.take_along_axis(tokens, order, 1)}


def pseudo(params: Mapping[str, Any], batch: Batch, key: jax.Array,
           k: int) -> dict[str, jax.Array]:
    """Takes embeddings of k sentences of the batch, as inputs that can be trained.

    Behind the end of a sentence stand random words of the batch, so that every position counts.

    Args:
      params: of the encoder.
      batch: 'tokens' [B, L], 'length' [B].
      key: [].
      k: how many; more than B take sentences again, see `common.jitter_repeats`.

    Returns:
      {'embedded': [k, L, E]}.
    """
    tokens, place = batch['tokens'], jnp.arange(batch['tokens'].shape[1])
    rows, again = common.random_rows(derive(key, 0), batch, k)
    filled = batch.get('weight', batch['length'])[:, None] > 0
    words = (place > 0) & (place < batch['length'][:, None]) & filled
    odds = jnp.where(words.any(), words, jnp.ones_like(words)).reshape(-1).astype(float)
    fill = jax.random.choice(derive(key, 1), tokens.reshape(-1), (k, len(place)),
                             p=odds / odds.sum())
    inside = place <= batch['length'][rows][:, None]
    embedded = params['embedding'][jnp.where(inside, tokens[rows], fill)]
    return {'embedded': common.jitter_repeats(derive(key, 2), embedded, again)}


def sentences_codec(vocabulary: Sequence[str]) -> Codec:
    """Makes the `Codec` of sentences: lists of strings, words between spaces.

    An unknown word is `<unk>`.

    >>> codec = sentences_codec(('<pad>', '<s>', '</s>', '<unk>', 'a', 'b'))
    >>> codec.write(codec.read(['b a', 'b c']))
    ['b a', 'b <unk>']
    """
    ids = {word: i for i, word in enumerate(vocabulary)}

    def read(sentences):
        rows = [[START, *(ids.get(w, UNKNOWN) for w in s.split()), END] for s in sentences]
        tokens = np.full((len(rows), max(map(len, rows))), PAD, np.int32)
        for row, sentence in zip(tokens, rows, strict=True):
            row[:len(sentence)] = sentence
        length = np.array([len(s) - 1 for s in rows], np.int32)
        return {'tokens': jnp.asarray(tokens), 'length': jnp.asarray(length),
                'weight': jnp.ones(len(rows))}

    def write(batch):
        rows = zip(np.asarray(batch['tokens']), np.asarray(batch['length']), strict=True)
        return [' '.join(vocabulary[int(i)] for i in row[1:n + 1] if i > END)
                for row, n in rows]

    return Codec(read, write, ('greedy', 'sample'), MODES)


def _decoder(sizes: tuple, skip: bool, dilations: Sequence[int] | None, attention: bool,
             channels: int | None) -> decoders.Sentence:
    """The decoder that options name; sizes: vocab, embed, hidden, latent, dropout, family."""
    if attention:
        if skip or dilations or not sizes[3]:
            raise UserError('a decoder with attention=True needs latent > 0 and takes neither '
                            'skip nor dilations')
        return decoders.AttentionDecoder(*sizes)
    if dilations:
        return decoders.ConvDecoder(*sizes, skip=skip, dilations=tuple(dilations),
                                    channels=channels)
    return decoders.LstmDecoder(*sizes, skip=skip)


def _as_decoder(module: decoders.Sentence, init: Any, words: int, beam: int) -> Decoder:
    """The `Decoder` of a module: sentences have at most `words` words."""
    def log_prob(params, z, batch, key=None):
        value: Any = module.apply({'params': params}, z, batch, key)
        return value

    def generate(params, z, key=None, mode='greedy'):
        call: Any = functools.partial(module.apply, {'params': params})
        return sentences(functools.partial(call, method='first'),
                         functools.partial(call, method='step'), z, words, key, mode, beam)

    def forced(params, z, batch):
        out: Any = module.apply({'params': params}, z, batch['tokens'].T[:-1], method='forced')
        return Unrolled(*(x.swapaxes(0, 1) for x in out))

    def unroll(params, z, steps, key, temperature):
        call: Any = functools.partial(module.apply, {'params': params})
        return Unrolled(*soft_sentences(functools.partial(call, method='first'),
                                        functools.partial(call, method='read'),
                                        params['embedding'], z, steps, key, temperature))

    return Decoder(init, log_prob, generate, forced, unroll)


def lstm(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the LSTM kit.

    Args:
      schema: 'tokens', whose size is V, and 'length', whose size is the most predicted tokens
        of a sentence.
      config: latent (Z), embed, hidden (H); dropout 0.5, on the decoder's embeddings and
        outputs; beam 5, the sentences that mode 'beam' keeps; family 'A' or 'B'; init_scale and
        embed_scale, the bounds of the uniform laws. Family A: no biases in heads and output
        layer, c0 = W z, h0 = tanh(c0), bounds 0.01 and 0.1. Family B: with biases, h0 = W z +
        b, c0 = 0, bounds 0.1.

    Returns:
      A `Kit`. decoder(latent=0) makes a language model: z is None for log_prob, [B, 0] for
      generate. Per-step latents z [B, T, Z] are inputs of their steps, the first sets the first
      state, and those beyond the batch's width count for nothing. Options of decoder: skip=True
      gives z to the softmax too; dilations=(1, 2, 4) makes the decoder a causal convolution of
      so many blocks, with `channels` (hidden); attention=True makes it attend over z =
      {'memory': [B, M, Z], 'mask': [B, M]}. The context is the conversation where the data has
      one, of 'embed' and 'hidden' as all else, and otherwise the label.

    References:
      He et al., "Lagging Inference Networks and Posterior Collapse in Variational
      Autoencoders", 2019 (family A).
      Kim et al., "Semi-Amortized Variational Autoencoders", 2018 (family B).
      Dieng et al., "Avoiding Latent Variable Collapse With Generative Skip Models", 2019,
      arXiv:1807.04863 (skip).
      Yang et al., "Improved Variational Autoencoders for Text Modeling using Dilated
        Convolutions", 2017, arXiv:1702.08139 (dilations (1, 2, 4) are SCNN, (1, 2, 4, 8, 16)
        MCNN, those twice LCNN).
    """
    tokens: Any = field(schema, 'tokens')
    longest: Any = field(schema, 'length').size
    latent, embed, hidden = config['latent'], config['embed'], config['hidden']
    family = config.get('family', 'A')
    scale = config.get('init_scale', .01 if family == 'A' else .1)
    rule = common.by_name(scale, embedding=config.get('embed_scale', .1))
    sentence = {'tokens': jnp.zeros((1, 2), jnp.int32), 'length': jnp.ones(1, jnp.int32)}

    def encoder(init=None):
        module = Encoder(tokens.size, embed, hidden)
        # PyTorch's embeddings are N(0, 1): a uniform law of the same variance keeps one draw
        law = {None: rule, 'torch': common.by_name(hidden**-.5, embedding=3**.5)}[init]
        return Net(common.initializer(module, law, sentence),
                   lambda params, batch, key=None: module.apply({'params': params}, batch))

    def head(n_out: int, init: Any = None, bias: bool | None = None) -> Net:
        law = {None: rule, 'torch': common.torch_linear}.get(init) or common.constant(init)
        return common.linear(hidden, n_out, law, family == 'B' if bias is None else bias)

    def decoder(latent=latent, skip=False, dilations=None, attention=False, channels=None):
        sizes = tokens.size, embed, hidden, latent, config.get('dropout', .5), family
        module = _decoder(sizes, skip, dilations, attention, channels)
        z: Any = jnp.zeros((1, latent))
        if attention:
            z = {'memory': jnp.zeros((1, 1, latent)), 'mask': jnp.ones((1, 1))}
        init = common.initializer(module, rule, z, sentence)
        return _as_decoder(module, init, longest - 1, config.get('beam', 5))

    def sequence(n_in, n_out):
        return common.net(decoders.Sequence(n_in, hidden, n_out), rule, jnp.zeros((1, 1, n_in)))

    nets = {'encoder': encoder, 'head': head, 'decoder': decoder, 'mlp': common.mlp,
            'sequence': sequence, 'cnn': convolution.cnn, 'corrupt': corrupt,
            'shuffle': shuffle, 'pseudo': pseudo,
            **conversations.contexts(schema, embed, hidden, rule)}
    return Kit(latent, hidden, schema, nets, sentences_codec(tokens.names))
