"""A convolutional network that reads sentences: what classifiers of sentences see of them."""
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Batch, Features, Kit, Net
from vaebench.networks import common
from vaebench.schema import Schema, field

EMBEDDED = .25         # bound of the first embeddings


class Windows(nn.Module):
    """A convolution over the words of a sentence and as many zeros around it that a window may
    touch one word alone.

    One product of matrices and sums of its shifted parts: on a processor several times as fast
    as the convolution and its gradient.

    Attributes:
      width: of a window, in words.
      channels: C.
    """
    width: int
    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = self.width, x.shape[-1], self.channels
        kernel = jnp.asarray(self.param('kernel', common.zeros, shape))
        parts = jnp.einsum('bte,wec->wbtc', x, kernel)
        shifted = [jnp.pad(part, ((0, 0), (self.width - 1 - i, i), (0, 0)))
                   for i, part in enumerate(parts)]
        return sum(shifted) + self.param('bias', common.zeros, (self.channels,))


class TextCnn(nn.Module):
    """Convolutions over the words of a sentence, each followed by ReLU and the maximum over
    time.

    `<s>`, `</s>` and what follows are not read, and padding changes nothing: a window counts
    that touches a word.

    Attributes:
      vocab: V.
      embed: E, size of an embedding.
      widths: of the windows, in words.
      channels: C of each width.
    """
    vocab: int
    embed: int
    widths: tuple[int, ...]
    channels: int

    @nn.compact
    def __call__(self, batch: Batch) -> jax.Array:
        table = self.param('embedding', common.zeros, (self.vocab, self.embed))
        words, count = batch['tokens'][:, 1:], batch['length'][:, None] - 1
        inside = jnp.arange(words.shape[1]) < count
        x = jnp.where(inside[..., None], jnp.asarray(table)[words], 0.)
        out = []
        for width in self.widths:
            seen = nn.relu(Windows(width, self.channels, name=f'width{width}')(x))
            touched = jnp.arange(seen.shape[1]) < count + width - 1
            out.append(jnp.where(touched[..., None], seen, 0.).max(1))
        return jnp.concatenate(out, -1)


def text_cnn(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of a classifier of sentences: it has `encoder` and `head` alone.

    Args:
      schema: 'tokens', whose size is V, and what the head is to say.
      config: embed, widths and channels of `TextCnn`, and dropout, on what the head reads.

    Returns:
      A `Kit` with H = widths x channels features.

    References:
      Kim, "Convolutional Neural Networks for Sentence Classification", 2014, arXiv:1408.5882.
    """
    vocab: Any = field(schema, 'tokens').size
    module = TextCnn(vocab, config['embed'], tuple(config['widths']), config['channels'])
    features = len(module.widths) * module.channels

    def rule(path, shapes):
        return EMBEDDED if path[-1] == 'embedding' else common.torch_linear(path, shapes)

    def encoder(init=None):
        def apply(params, batch, key=None):
            seen: Any = module.apply({'params': params}, batch)
            return Features(common.dropout(key, seen, config['dropout']))

        sentence = {'tokens': jnp.zeros((1, 2), jnp.int32), 'length': jnp.ones(1, jnp.int32)}
        return Net(common.initializer(module, rule, sentence), apply)

    def head(n_out, init=None, bias=None):
        return common.linear(features, n_out, common.torch_linear, True)

    return Kit(1, features, schema, {'encoder': encoder, 'head': head})
