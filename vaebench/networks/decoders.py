"""Decoders of sentences: recurrent, with z beside the softmax, convolutional, attending."""
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.networks import common
from vaebench.ops import recurrent, softmax


class Lstm(nn.Module):
    """The weights of one LSTM layer. Like PyTorch's it has two bias vectors: both are drawn,
    both are trained.
    """
    inputs: int
    hidden: int

    def setup(self):
        width = 4 * self.hidden
        self.w_x = self.param('w_x', common.zeros, (self.inputs, width))
        self.w_h = self.param('w_h', common.zeros, (self.hidden, width))
        self.b_x = self.param('b_x', common.zeros, (width,))
        self.b_h = self.param('b_h', common.zeros, (width,))

    def const(self, z=None):
        """The part of the pre-activations that no word changes: [4H], or [..., 4H] with z [...,
        Z].
        """
        bias = self.b_x + self.b_h
        return bias if z is None else bias + z @ self.w_x[self.inputs - z.shape[-1]:]

    def project(self, x):
        """The part of the pre-activations that comes from x [..., E], the first E inputs: [...,
        4H].
        """
        return x @ self.w_x[:x.shape[-1]]

    def step(self, x, const, h, c):
        """One step from x [B, E] and `const`: h and c, [B, H]."""
        return recurrent.cell(self.project(x) + const + h @ self.w_h, c)

    def __call__(self, x, z=None, h0=None, c0=None):
        """Hidden states [T, B, H] over x [T, B, E] and z: None, [B, Z] or [T, B, Z]; all
        products outside the loop.
        """
        zero = jnp.zeros((x.shape[1], self.hidden), x.dtype)
        if z is not None and z.ndim == 3:
            x, z = jnp.concatenate([x, z], -1), None
        return recurrent.lstm(self.project(x), self.const(z), self.w_h,
                              zero if h0 is None else h0, zero if c0 is None else c0)


class Sequence(nn.Module):
    """[B, T, n_in] to [B, T, n_out]: an LSTM and a linear layer; output t has seen inputs 0 to
    t.
    """
    n_in: int
    hidden: int
    n_out: int

    @nn.compact
    def __call__(self, x):
        h = Lstm(self.n_in, self.hidden, name='lstm')(x.swapaxes(0, 1))
        return nn.Dense(self.n_out, name='out')(h).swapaxes(0, 1)


def _at(x, t):
    """x [B, ...], the same at every step, or its step t where it is [T, B, ...]."""
    return x if x.ndim == 2 else x[jnp.minimum(t, len(x) - 1)]


class Sentence(nn.Module):
    """p(sentence | z): what all decoders share is the words' embedding, dropout and the
    softmax.

    A decoder adds `body` (z, x [T, B, E]) -> [T, B, H], all steps at once, and the same in
    single steps: `begin` z -> (state, const) and `advance` (const, state, x [B, E], t) ->
    (state, [B, H]).
    """
    vocab: int
    embed: int
    hidden: int
    latent: int
    dropout: float
    family: str
    skip: bool = False                   # z is an input of the softmax too

    def setup(self):
        width = self.out_width() + self.latent * self.skip
        self.embedding = self.param('embedding', common.zeros, (self.vocab, self.embed))
        self.w_out = self.param('w_out', common.zeros, (width, self.vocab))
        self.b_out = self.param('b_out', common.zeros,
                                (self.vocab,)) if self.family == 'B' else None

    def out_width(self):
        """Width of what `body` returns."""
        return self.hidden

    def timed(self, z, steps=None):
        """z as the steps read it: None, [B, Z], or [B, T, Z] turned into its first steps
        [steps, B, Z].
        """
        return z if z is None or z.ndim == 2 else z.swapaxes(0, 1)[:steps]

    def beside(self, h, z):
        """[h; z]: a second path of z to the words."""
        if not self.skip or not self.latent:
            return h
        return jnp.concatenate([h, jnp.broadcast_to(z, (*h.shape[:-1], self.latent))], -1)

    def features(self, z, tokens, key=None):
        """What the softmax reads, [T, B, F], of tokens [T, B]; after dropout."""
        keys = (None, None) if key is None else jax.random.split(key)
        x = common.dropout(keys[0], self.embedding[tokens], self.dropout)
        z = self.timed(z, len(tokens)) if self.latent else None
        return self.beside(common.dropout(keys[1], self.body(z, x), self.dropout), z)

    def __call__(self, z, batch, key=None):
        tokens = batch['tokens'].T
        nll = softmax.nll(self.features(z, tokens[:-1], key), self.w_out, tokens[1:],
                          self.b_out)
        return -jnp.where(jnp.arange(len(nll))[:, None] < batch['length'], nll, 0).sum(0)

    def first(self, z):
        """(state, const) before the first word."""
        z = self.timed(z)
        state, const = self.begin(z)
        return state, (const, z if self.skip else None)

    def step(self, const, state, token, t):
        """(state, logits [B, V]) after token [B], the sentence's t-th."""
        state, h = self.advance(const[0], state, self.embedding[token], t)
        logits = self.beside(h, _at(const[1], t) if self.skip else None) @ self.w_out
        return state, logits if self.b_out is None else logits + self.b_out


class LstmDecoder(Sentence):
    """z sets the first state and is an input of every step; of z [B, T, Z] the first step sets
    the state.
    """

    def setup(self):
        super().setup()
        self.lstm = Lstm(self.inputs(), self.hidden)
        if self.latent:
            self.start = nn.Dense(self.hidden, use_bias=self.family == 'B')

    def inputs(self):
        """Width of a step's inputs."""
        return self.embed + self.latent

    def states(self, z):
        """h0 and c0 [B, H] from z [B, Z]."""
        s = self.start(z)
        return (s, jnp.zeros_like(s)) if self.family == 'B' else (jnp.tanh(s), s)

    def body(self, z, x):
        h0, c0 = self.states(_at(z, 0)) if self.latent else (None, None)
        return self.lstm(x, z, h0, c0)

    def begin(self, z):
        if self.latent:
            return self.states(_at(z, 0)), self.lstm.const(z)
        zero = jnp.zeros((len(z), self.hidden), z.dtype)
        return (zero, zero), self.lstm.const(z)

    def advance(self, const, state, x, t):
        h, c = self.lstm.step(x, _at(const, t), *state)
        return (h, c), h


def shift(x, steps):
    """x [T, ...] that many steps later, zeros before.

    >>> shift(jnp.arange(1., 5.), 3).tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    return jnp.pad(x, ((steps, 0), *((0, 0),) * (x.ndim - 1)))[:len(x)]


class ConvDecoder(Sentence):
    """Causal dilated convolutions of width 3 in residual blocks; z is an input of every step.

    A step sees the last 1 + 2 sum(dilations) tokens. Every block is ReLU, 1x1 to half the
    channels, ReLU, dilated convolution, ReLU, 1x1 back, and adds to its input.
    """
    dilations: tuple = (1, 2, 4)
    channels: int | None = None          # None is `hidden`

    def out_width(self):
        return self.channels or self.hidden

    def setup(self):
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

    def layers(self, x, taps):
        """The blocks, over all steps or one; taps (i, a) yields a of steps t - 2d, t - d and t,
        concatenated.
        """
        for i in range(len(self.dilations)):
            a = nn.relu(self.narrow[i](nn.relu(x)))
            x = x + self.widen[i](nn.relu(self.conv[i](taps(i, a))))
        return x

    def body(self, z, x):
        x = self.words(x)
        x = x if z is None else x + self.codes(z)
        return self.layers(x, lambda i, a: jnp.concatenate(
            [shift(a, 2 * self.dilations[i]), shift(a, self.dilations[i]), a], -1))

    def begin(self, z):
        """The state holds every block's last 2 d inputs, oldest first."""
        past = [jnp.zeros((z.shape[-2], 2 * d, self.half), z.dtype) for d in self.dilations]
        return past, self.codes(z) if self.latent else jnp.zeros(
            (len(z), self.out_width()), z.dtype)

    def advance(self, const, state, x, t):
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

    def setup(self):
        super().setup()
        self.query = nn.Dense(self.latent, use_bias=False)

    def out_width(self):
        return self.hidden + self.latent

    def timed(self, z, steps=None):
        return z

    def inputs(self):
        return self.embed

    def attend(self, z, h):
        """[output; context], [..., B, H + Z], of outputs h [..., B, H]."""
        mask = z['mask'] > 0
        score = jnp.einsum('...bz,bmz->...bm', self.query(h), z['memory']) / math.sqrt(
            self.latent)
        # no memory at all: no context
        weight = jax.nn.softmax(jnp.where(mask, score, -1e9), -1) * mask
        context = jnp.einsum('...bm,bmz->...bz', weight, z['memory'])
        return jnp.concatenate([h, context], -1)

    def mean(self, z):
        """Masked mean of the memory, [B, Z]."""
        mask = (z['mask'] > 0).astype(z['memory'].dtype)
        return (z['memory'] * mask[..., None]).sum(1) / jnp.maximum(mask.sum(1), 1.)[:, None]

    def body(self, z, x):
        return self.attend(z, self.lstm(x, None, *self.states(self.mean(z))))

    def begin(self, z):
        return self.states(self.mean(z)), z

    def advance(self, const, state, x, t):
        h, c = self.lstm.step(x, self.lstm.const(), *state)
        return (h, c), self.attend(const, h)
