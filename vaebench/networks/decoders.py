"""Decoders of sentences: recurrent, with z beside the softmax, convolutional, attending."""
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Batch
from vaebench.networks import common
from vaebench.ops import recurrent, softmax


class Lstm(nn.Module):
    """The weights of one LSTM layer.

    Like PyTorch's it has two bias vectors: both are drawn, both are trained.
    """
    inputs: int
    hidden: int

    def setup(self) -> None:
        width = 4 * self.hidden
        self.w_x = self.param('w_x', common.zeros, (self.inputs, width))
        self.w_h = self.param('w_h', common.zeros, (self.hidden, width))
        self.b_x = self.param('b_x', common.zeros, (width,))
        self.b_h = self.param('b_h', common.zeros, (width,))

    def const(self, z: jax.Array | None = None) -> jax.Array:
        """The part of the pre-activations that no word changes.

        Args:
          z: [..., Z] or None.

        Returns:
          [..., 4H], or [4H] without z.
        """
        bias = self.b_x + self.b_h
        return bias if z is None else bias + z @ self.w_x[self.inputs - z.shape[-1]:]

    def project(self, x: jax.Array) -> jax.Array:
        """The part [..., 4H] of the pre-activations that comes from x [..., E].

        x holds the first E inputs.
        """
        return x @ self.w_x[:x.shape[-1]]

    def step(self, x: jax.Array, const: jax.Array, h: jax.Array,
             c: jax.Array) -> tuple[jax.Array, jax.Array]:
        """One step from x [B, E] and `const`: h and c, [B, H]."""
        return recurrent.cell(self.project(x) + const + h @ self.w_h, c)

    def __call__(self, x: jax.Array, z: jax.Array | None = None, h0: jax.Array | None = None,
                 c0: jax.Array | None = None) -> jax.Array:
        """Runs over a sentence; all products with inputs stand outside the loop.

        Args:
          x: [T, B, E].
          z: None, [B, Z] or [T, B, Z].
          h0: [B, H] first state; None is zero.
          c0: [B, H] first cell; None is zero.

        Returns:
          [T, B, H] hidden states.
        """
        zero = jnp.zeros((x.shape[1], self.hidden), x.dtype)
        if z is not None and z.ndim == 3:
            x, z = jnp.concatenate([x, z], -1), None
        return recurrent.lstm(self.project(x), self.const(z), self.w_h,
                              zero if h0 is None else h0, zero if c0 is None else c0)


class Sequence(nn.Module):
    """Maps [B, T, n_in] to [B, T, n_out] by an LSTM and a linear layer.

    Output t has seen inputs 0 to t.
    """
    n_in: int
    hidden: int
    n_out: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = Lstm(self.n_in, self.hidden, name='lstm')(x.swapaxes(0, 1))
        return nn.Dense(self.n_out, name='out')(h).swapaxes(0, 1)


def _at(x: jax.Array, t: int | jax.Array) -> jax.Array:
    """x [B, ...], the same at every step, or its step t where it is [T, B, ...]."""
    return x if x.ndim == 2 else x[jnp.minimum(t, len(x) - 1)]


class Sentence(nn.Module):
    """p(sentence | z): all decoders share the words' embedding, dropout and the softmax.

    A decoder adds `body`, all steps at once, and the same in single steps: `begin` and
    `advance`.

    Attributes:
      vocab: V.
      embed: E.
      hidden: H.
      latent: Z; 0 makes a language model.
      dropout: rate, of embeddings and outputs.
      family: 'A' or 'B', see `text.lstm`.
      skip: whether z is an input of the softmax too.
    """
    vocab: int
    embed: int
    hidden: int
    latent: int
    dropout: float
    family: str
    skip: bool = False

    def setup(self) -> None:
        width = self.out_width() + self.latent * self.skip
        self.embedding = self.param('embedding', common.zeros, (self.vocab, self.embed))
        self.w_out = self.param('w_out', common.zeros, (width, self.vocab))
        self.b_out: Any = None
        if self.family == 'B':
            self.b_out = self.param('b_out', common.zeros, (self.vocab,))

    def body(self, z: Any, x: jax.Array) -> jax.Array:
        """What the decoder makes of z and x [T, B, E] at all steps: [T, B, H]."""
        raise NotImplementedError

    def begin(self, z: Any) -> tuple[Any, Any]:
        """(state, const) before the first word; const is the same at every step."""
        raise NotImplementedError

    def advance(self, const: Any, state: Any, x: jax.Array,
                t: int | jax.Array) -> tuple[Any, jax.Array]:
        """One step from x [B, E]: (state, [B, H])."""
        raise NotImplementedError

    def out_width(self) -> int:
        """Width of what `body` returns."""
        return self.hidden

    def timed(self, z: Any, steps: int | None = None) -> Any:
        """z as steps read it: None, [B, Z], or the first steps [steps, B, Z] of [B, T, Z]."""
        return z if z is None or z.ndim == 2 else z.swapaxes(0, 1)[:steps]

    def concatenate(self, h: jax.Array, z: Any) -> jax.Array:
        """[h; z] where z has a second path to the words, else h."""
        if not self.skip or not self.latent:
            return h
        return jnp.concatenate([h, jnp.broadcast_to(z, (*h.shape[:-1], self.latent))], -1)

    def features(self, z: Any, tokens: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """What the softmax reads of tokens [T, B]: [T, B, F], after dropout."""
        keys = (None, None) if key is None else jax.random.split(key)
        x = common.dropout(keys[0], self.embedding[tokens], self.dropout)
        z = self.timed(z, len(tokens)) if self.latent else None
        return self.concatenate(common.dropout(keys[1], self.body(z, x), self.dropout), z)

    def __call__(self, z: Any, batch: Batch, key: jax.Array | None = None) -> jax.Array:
        """log p(sentence | z) [B], nats."""
        tokens = batch['tokens'].T
        nll = softmax.nll(self.features(z, tokens[:-1], key), self.w_out, tokens[1:],
                          self.b_out)
        return -jnp.where(jnp.arange(len(nll))[:, None] < batch['length'], nll, 0).sum(0)

    def first(self, z: Any) -> tuple[Any, Any]:
        """(state, const) before the first word."""
        z = self.timed(z)
        state, const = self.begin(z)
        return state, (const, z if self.skip else None)

    def read(self, const: Any, state: Any, x: jax.Array,
             t: int | jax.Array) -> tuple[Any, jax.Array, jax.Array]:
        """(state, output [B, H], logits [B, V]) after x [B, E], the sentence's t-th word."""
        state, h = self.advance(const[0], state, x, t)
        logits = self.concatenate(h, _at(const[1], t) if self.skip else None) @ self.w_out
        return state, h, logits if self.b_out is None else logits + self.b_out

    def step(self, const: Any, state: Any, token: jax.Array,
             t: int | jax.Array) -> tuple[Any, jax.Array]:
        """(state, logits [B, V]) after token [B], the sentence's t-th."""
        state, _, logits = self.read(const, state, self.embedding[token], t)
        return state, logits

    def forced(self, z: Any, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Outputs [T, B, H] and logits [T, B, V] after every one of tokens [T, B]."""
        z = self.timed(z, len(tokens)) if self.latent else None
        h = self.body(z, self.embedding[tokens])
        logits = self.concatenate(h, z) @ self.w_out
        return h, logits if self.b_out is None else logits + self.b_out


class LstmDecoder(Sentence):
    """An LSTM: z sets the first state and is an input of every step.

    Of z [B, T, Z] the first step sets the state.
    """

    def setup(self) -> None:
        super().setup()
        self.lstm = Lstm(self.inputs(), self.hidden)
        if self.latent:
            self.start = nn.Dense(self.hidden, use_bias=self.family == 'B')

    def inputs(self) -> int:
        """Width of a step's inputs."""
        return self.embed + self.latent

    def states(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """h0 and c0 [B, H] from z [B, Z]."""
        s = self.start(z)
        return (s, jnp.zeros_like(s)) if self.family == 'B' else (jnp.tanh(s), s)

    def body(self, z: Any, x: jax.Array) -> jax.Array:
        h0, c0 = self.states(_at(z, 0)) if self.latent else (None, None)
        return self.lstm(x, z, h0, c0)

    def begin(self, z: Any) -> tuple[Any, Any]:
        if self.latent:
            return self.states(_at(z, 0)), self.lstm.const(z)
        zero = jnp.zeros((len(z), self.hidden), z.dtype)
        return (zero, zero), self.lstm.const(z)

    def advance(self, const: Any, state: Any, x: jax.Array,
                t: int | jax.Array) -> tuple[Any, jax.Array]:
        h, c = self.lstm.step(x, _at(const, t), *state)
        return (h, c), h


def shift(x: jax.Array, steps: int) -> jax.Array:
    """Moves x [T, ...] that many steps later, with zeros before.

    >>> shift(jnp.arange(1., 5.), 3).tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    return jnp.pad(x, ((steps, 0), *((0, 0),) * (x.ndim - 1)))[:len(x)]


class ConvDecoder(Sentence):
    """Causal dilated convolutions of width 3 in residual blocks; z is an input of every step.

    A step sees the last 1 + 2 sum(dilations) tokens. Every block is ReLU, 1x1 to half the
    channels, ReLU, dilated convolution, ReLU, 1x1 back, and adds to its input.

    Attributes:
      dilations: of every block.
      channels: None is `hidden`.
    """
    dilations: tuple[int, ...] = (1, 2, 4)
    channels: int | None = None

    def out_width(self) -> int:
        return self.channels or self.hidden

    def setup(self) -> None:
        super().setup()
        width, blocks = self.out_width(), range(len(self.dilations))
        self.half = max(width // 2, 1)
        self.words = nn.Dense(width)
        # one layer of [x; z] in two parts: samples of z share the words' part
        if self.latent:
            self.codes = nn.Dense(width, use_bias=False)
        self.narrow = [nn.Dense(self.half) for _ in blocks]
        self.conv = [nn.Dense(self.half) for _ in blocks]
        self.widen = [nn.Dense(width) for _ in blocks]

    def layers(self, x: jax.Array, taps: Callable[[int, jax.Array], jax.Array]) -> jax.Array:
        """Runs the blocks, over all steps or one.

        Args:
          x: [..., C].
          taps: (i, a) -> a of steps t - 2d, t - d and t, concatenated.
        """
        for i in range(len(self.dilations)):
            a = nn.relu(self.narrow[i](nn.relu(x)))
            x = x + self.widen[i](nn.relu(self.conv[i](taps(i, a))))
        return x

    def body(self, z: Any, x: jax.Array) -> jax.Array:
        x = self.words(x)
        x = x if z is None else x + self.codes(z)
        return self.layers(x, lambda i, a: jnp.concatenate(
            [shift(a, 2 * self.dilations[i]), shift(a, self.dilations[i]), a], -1))

    def begin(self, z: Any) -> tuple[Any, Any]:
        """The state holds every block's last 2 d inputs, oldest first."""
        past = [jnp.zeros((z.shape[-2], 2 * d, self.half), z.dtype) for d in self.dilations]
        if self.latent:
            return past, self.codes(z)
        return past, jnp.zeros((len(z), self.out_width()), z.dtype)

    def advance(self, const: Any, state: Any, x: jax.Array,
                t: int | jax.Array) -> tuple[Any, jax.Array]:
        past = list(state)

        def taps(i, a):
            old, past[i] = past[i], jnp.concatenate([past[i][:, 1:], a[:, None]], 1)
            return jnp.concatenate([old[:, 0], old[:, self.dilations[i]], a], -1)

        h = self.layers(self.words(x) + _at(const, t), taps)
        return past, h


class AttentionDecoder(LstmDecoder):
    """An LSTM whose outputs attend over a memory: z is {'memory': [B, M, Z], 'mask': [B, M]}.

    The memory's masked mean sets the first state; the query is a projection of the output,
    weights are softmax of scaled dot products, and [output; context] goes to the words'
    softmax: a tanh layer before it learns worse by SGD.
    """

    def setup(self) -> None:
        super().setup()
        self.query = nn.Dense(self.latent, use_bias=False)

    def out_width(self) -> int:
        return self.hidden + self.latent

    def timed(self, z: Any, steps: int | None = None) -> Any:
        return z

    def inputs(self) -> int:
        return self.embed

    def attend(self, z: Any, h: jax.Array) -> jax.Array:
        """[output; context], [..., B, H + Z], of outputs h [..., B, H]."""
        mask = z['mask'] > 0
        score = jnp.einsum('...bz,bmz->...bm', self.query(h), z['memory'])
        score = score / math.sqrt(self.latent)
        # no memory at all: no context
        weight = jax.nn.softmax(jnp.where(mask, score, -1e9), -1) * mask
        context = jnp.einsum('...bm,bmz->...bz', weight, z['memory'])
        return jnp.concatenate([h, context], -1)

    def mean(self, z: Any) -> jax.Array:
        """Masked mean of the memory, [B, Z]."""
        mask = (z['mask'] > 0).astype(z['memory'].dtype)
        return (z['memory'] * mask[..., None]).sum(1) / jnp.maximum(mask.sum(1), 1.)[:, None]

    def body(self, z: Any, x: jax.Array) -> jax.Array:
        return self.attend(z, self.lstm(x, None, *self.states(self.mean(z))))

    def begin(self, z: Any) -> tuple[Any, Any]:
        return self.states(self.mean(z)), z

    def advance(self, const: Any, state: Any, x: jax.Array,
                t: int | jax.Array) -> tuple[Any, jax.Array]:
        h, c = self.lstm.step(x, self.lstm.const(), *state)
        return (h, c), self.attend(const, h)
