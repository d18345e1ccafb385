"""The LSTM kit: the standard text VAE's encoder and decoder."""
import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Decoder, Features, Kit, Net
from vaebench.networks import common
from vaebench.ops import recurrent, softmax

PAD, START, END = 0, 1, 2


class Lstm(nn.Module):
    """The weights of one LSTM layer. Like PyTorch's it has two bias vectors: both are drawn, both are trained."""
    inputs: int
    hidden: int

    def setup(self):
        width = 4 * self.hidden
        self.w_x = self.param('w_x', common.zeros, (self.inputs, width))
        self.w_h = self.param('w_h', common.zeros, (self.hidden, width))
        self.b_x = self.param('b_x', common.zeros, (width,))
        self.b_h = self.param('b_h', common.zeros, (width,))

    def const(self, z=None):
        """The part of the pre-activations that is the same at every step: [4H], or [B, 4H] with z [B, Z]."""
        bias = self.b_x + self.b_h
        return bias if z is None else bias + z @ self.w_x[self.inputs - z.shape[-1]:]

    def project(self, x):
        """The part of the pre-activations that comes from x [..., E], the first E inputs: [..., 4H]."""
        return x @ self.w_x[:x.shape[-1]]

    def __call__(self, x, z=None, h0=None, c0=None):
        """Hidden states [T, B, H] over x [T, B, E] and z: None, [B, Z] or [T, B, Z]; all products outside the loop."""
        zero = jnp.zeros((x.shape[1], self.hidden), x.dtype)
        if z is not None and z.ndim == 3:
            x, z = jnp.concatenate([x, z], -1), None
        return recurrent.lstm(self.project(x), self.const(z), self.w_h,
                              zero if h0 is None else h0, zero if c0 is None else c0)


class Encoder(nn.Module):
    """Reads the entire sentence, `<s>` and `</s>` included; padding cannot reach the last state. No dropout."""
    vocab: int
    embed: int
    hidden: int

    def setup(self):
        self.embedding = self.param('embedding', common.zeros, (self.vocab, self.embed))
        self.lstm = Lstm(self.embed, self.hidden)

    def __call__(self, batch):
        tokens, last = batch['tokens'].T, batch['length']
        states = self.lstm(self.embedding[tokens])
        mask = jnp.arange(tokens.shape[0]) <= last[:, None]
        return Features(states[last, jnp.arange(last.shape[0])], states.swapaxes(0, 1), mask)


class LstmDecoder(nn.Module):
    """p(sentence | z): z sets the first state and is an input of every step."""
    vocab: int
    embed: int
    hidden: int
    latent: int
    dropout: float
    family: str
    max_length: int

    def setup(self):
        bias = self.family == 'B'
        self.embedding = self.param('embedding', common.zeros, (self.vocab, self.embed))
        self.lstm = Lstm(self.embed + self.latent, self.hidden)
        if self.latent:
            self.start = nn.Dense(self.hidden, use_bias=bias)
        self.w_out = self.param('w_out', common.zeros, (self.hidden, self.vocab))
        self.b_out = self.param('b_out', common.zeros, (self.vocab,)) if bias else None

    def first(self, z):
        """h0 and c0, [B, H]; of z [B, T, Z] the first step counts."""
        if not self.latent:
            return None, None
        s = self.start(z if z.ndim == 2 else z[:, 0])
        return (s, jnp.zeros_like(s)) if self.family == 'B' else (jnp.tanh(s), s)

    def states(self, z, tokens, key=None):
        """Hidden states [T, B, H] after dropout, of tokens [T, B]."""
        keys = (None, None) if key is None else jax.random.split(key)
        x = common.dropout(keys[0], self.embedding[tokens], self.dropout)
        h0, c0 = self.first(z)
        if self.latent:
            z = z if z.ndim == 2 else z.swapaxes(0, 1)
        return common.dropout(keys[1], self.lstm(x, z if self.latent else None, h0, c0), self.dropout)

    def __call__(self, z, batch, key=None):
        tokens = batch['tokens'].T
        nll = softmax.nll(self.states(z, tokens[:-1], key), self.w_out, tokens[1:], self.b_out)
        return -jnp.where(jnp.arange(len(nll))[:, None] < batch['length'], nll, 0).sum(0)

    def generate(self, z, key, mode):
        """Greedy or sampled sentences of at most max_length words, closed by `</s>`; never `<pad>` or `<s>`."""
        size, h = z.shape[0], jnp.zeros((z.shape[0], self.hidden))
        h0, c0 = self.first(z)
        s = (h, h) if h0 is None else (h0, c0)
        const = self.lstm.const(z if self.latent else None)
        w_h, table = self.lstm.w_h, self.lstm.project(self.embedding)
        outlaw = jnp.zeros(self.vocab).at[jnp.array([PAD, START])].set(-jnp.inf)

        def step(s, t):
            h, c, token, done = s
            h, c = recurrent.cell(table[token] + const + h @ w_h, c)
            logits = h @ self.w_out + outlaw + (0 if self.b_out is None else self.b_out)
            if mode == 'greedy':
                token = jnp.argmax(logits, -1)
            else:
                token = jax.random.categorical(jax.random.fold_in(key, t), logits)
            token = jnp.where(t == self.max_length, END, token)
            token = jnp.where(done, PAD, token).astype(jnp.int32)
            return (h, c, token, done | (token == END)), token

        start = jnp.full(size, START, jnp.int32)
        words = jax.lax.scan(step, (*s, start, jnp.zeros(size, bool)), jnp.arange(self.max_length + 1))[1]
        tokens = jnp.concatenate([start[:, None], words.T], 1)
        return {'tokens': tokens, 'length': (tokens != PAD).sum(1) - 1}


def lstm(info, config):
    """The LSTM kit.

    Args:
      info: 'vocab', whose length is V; 'max_length', the most words of a sentence.
      config: latent (Z), embed, hidden (H); dropout 0.5, on the decoder's embeddings and outputs; family 'A' or
        'B'; init_scale and embed_scale, the bounds of the uniform laws. Family A: no biases in heads and output
        layer, c0 = W z, h0 = tanh(c0), bounds 0.01 and 0.1. Family B: with biases, h0 = W z + b, c0 = 0, bounds 0.1.

    Returns:
      A `Kit`. decoder(latent=0) makes a language model: z is None for log_prob, [B, 0] for generate. Per-step
      latents z [B, T, Z] are inputs of their steps; the first sets the first state.

    References:
      He et al., "Lagging Inference Networks and Posterior Collapse in Variational Autoencoders", 2019 (family A).
      Kim et al., "Semi-Amortized Variational Autoencoders", 2018 (family B).
    """
    vocab, latent, embed, hidden = len(info['vocab']), config['latent'], config['embed'], config['hidden']
    family = config.get('family', 'A')
    scale = config.get('init_scale', .01 if family == 'A' else .1)
    rule = common.by_name(scale, embedding=config.get('embed_scale', .1))
    sentence = {'tokens': jnp.zeros((1, 2), jnp.int32), 'length': jnp.ones(1, jnp.int32)}

    def encoder(init=None):
        module = Encoder(vocab, embed, hidden)
        # PyTorch's embeddings are N(0, 1): a uniform law of the same variance keeps the draw one
        law = {None: rule, 'torch': common.by_name(hidden**-.5, embedding=3**.5)}[init]
        return Net(common.initialiser(module, law, sentence),
                   lambda params, batch, key=None: module.apply({'params': params}, batch))

    def head(n_out, init=None, bias=None):
        law = {None: rule, 'torch': common.torch_linear}.get(init) or common.constant(init)
        return common.linear(hidden, n_out, law, family == 'B' if bias is None else bias)

    def decoder(latent=latent):
        module = LstmDecoder(vocab, embed, hidden, latent, config.get('dropout', .5), family, info['max_length'])
        return Decoder(
            common.initialiser(module, rule, jnp.zeros((1, latent)), sentence),
            lambda params, z, batch, key=None: module.apply({'params': params}, z, batch, key),
            lambda params, z, key=None, mode='greedy': module.apply({'params': params}, z, key, mode,
                                                                    method='generate'))

    return Kit(latent, hidden, encoder, head, decoder, common.mlp)
