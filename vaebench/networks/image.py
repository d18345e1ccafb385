"""The image kits: fully connected and convolutional encoders and decoders, and the decoders'
likelihoods.
"""
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Decoder, Kit, Net, StatNet, derive
from vaebench.errors import UserError
from vaebench.networks import common
from vaebench.schema import field


class Norm(nn.Module):
    """Batch normalisation over all axes but the last; empty slots do not count."""
    train: bool = False
    decay: float = .9
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x, weight=None):
        size = x.shape[-1:]
        mean = self.variable('stats', 'mean', jnp.zeros, size)
        var = self.variable('stats', 'var', jnp.ones, size)
        gain, shift = self.param('gain', common.zeros, size), self.param(
            'shift', common.zeros, size)
        if not self.train:
            return (x - mean.value) * jax.lax.rsqrt(var.value + self.eps) * (1 + gain) + shift
        share = jnp.ones(len(x), x.dtype) if weight is None else weight
        share = (share / jnp.maximum(share.sum(), 1.)).reshape(
            -1,
            *(1,) * (x.ndim - 1)) / math.prod(x.shape[1:-1])
        axes = tuple(range(x.ndim - 1))
        m = (share * x).sum(axes)
        v = (share * (x - m)**2).sum(axes)
        if not self.is_initializing():
            mean.value, var.value = (self.decay * old.value +
                                     (1 - self.decay) * jax.lax.stop_gradient(new)
                                     for old, new in ((mean, m), (var, v)))
        return (x - m) * jax.lax.rsqrt(v + self.eps) * (1 + gain) + shift


def unit(path, shapes):
    """Rule: `common.torch_linear`, but a `Norm` starts as plain normalisation."""
    return 0. if path[-1] in ('gain', 'shift') else common.torch_linear(path, shapes)


class MlpEncoder(nn.Module):
    """Flattens [B, H, W, C] into a stack of linear layers, each with its activation."""
    hidden: tuple
    activation: str
    n_out: int = 0                       # width of one more, linear layer
    # whether hidden layers but the first are batch-normalised, in train mode
    norm: bool = False

    @nn.compact
    def __call__(self, x, weight=None):
        x = x.reshape(x.shape[0], -1)
        if not self.norm:
            x = common.Mlp(self.hidden, self.activation, final=True, name='body')(x)
        for i, size in enumerate(self.hidden if self.norm else ()):
            x = nn.Dense(size, name=f'layer{i}')(x)
            x = common.activation(
                self.activation)(Norm(True, name=f'norm{i}')(x, weight) if i else x)
        return nn.Dense(self.n_out, name='out')(x) if self.n_out else x


class MlpDecoder(nn.Module):
    """[B, Z] to [B, *shape] through linear layers."""
    hidden: tuple
    activation: str
    shape: tuple
    norm: bool = False                   # whether all hidden layers are batch-normalised
    train: bool = False

    @nn.compact
    def __call__(self, z, weight=None):
        sizes = (*self.hidden, math.prod(self.shape))
        if not self.norm:
            return common.Mlp(sizes, self.activation, name='body')(z).reshape(-1, *self.shape)
        for i, size in enumerate(self.hidden):
            z = Norm(self.train, name=f'norm{i}')(nn.Dense(size, name=f'layer{i}')(z), weight)
            z = common.activation(self.activation)(z)
        return nn.Dense(sizes[-1], name='out')(z).reshape(-1, *self.shape)


def _taps(x, axis, kernel):
    """Windows of 3 or 4 along an axis [n], two pixels apart, zeros beyond the border: [ceil(n /
    2), kernel].

    Of contiguous halves: a gradient that is scattered with strides costs a CPU twice as much.
    """
    n = x.shape[axis]
    half, border = -(-n // 2), [(0, 0)] * x.ndim
    border[axis] = (1, 2 * half + 1 - n)
    pairs = jnp.pad(x, border).reshape(*x.shape[:axis], half + 1, 2, *x.shape[axis + 1:])
    even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    return jnp.stack([jax.lax.slice_in_dim(v, at, at + half, axis=axis) for v, at in (
        (even, 0), (odd, 0), (even, 1), (odd, 1))[:kernel]], axis + 1)


def patches(x, kernel=3):
    """Overlapping square patches, two pixels apart, zeros beyond the border.

    A strided convolution is a linear layer over these: on a CPU, and for several seeds at once,
    that is an order of magnitude faster than convolution operations and their gradients.

    Args:
      x: [B, H, W, C].
      kernel: K, 3 or 4 pixels.

    Returns:
      [B, ceil(H / 2), ceil(W / 2), K K C].

    >>> patches(jnp.arange(9.).reshape(1, 3, 3, 1))[0, 1, 1].tolist()
    [4.0, 5.0, 0.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0]
    """
    # [B, H / 2, W / 2, K, K, C]
    taps = _taps(_taps(x, 1, kernel), 3, kernel).swapaxes(2, 3)
    return taps.reshape(*taps.shape[:3], -1)


def unpatch(y, shape, kernel=3):
    """The transpose of `patches`: overlapping patches are added up, of 4 pixels equally many
    everywhere.

    Args:
      y: [B, ceil(H / 2), ceil(W / 2), K K C].
      shape: (H, W, C).
      kernel: K.

    Returns:
      [B, H, W, C].

    >>> unpatch(jnp.ones((1, 1, 1, 9)), (2, 2, 1)).sum().item()
    4.0
    """
    cut = functools.partial(patches, kernel=kernel)
    return jax.linear_transpose(cut, jax.ShapeDtypeStruct((y.shape[0], *shape), y.dtype))(y)[0]


def halves(shape, n):
    """(H, W) of an image and of its n halvings, rounding up.

    >>> halves((28, 7, 1), 2)
    [(28, 7), (14, 4), (7, 2)]
    """
    sizes = [tuple(shape[:2])]
    for _ in range(n):
        sizes.append(tuple(-(-size // 2) for size in sizes[-1]))
    return sizes


class ConvEncoder(nn.Module):
    """Strided convolutions, then one linear layer."""
    channels: tuple
    kernel: int
    hidden: int
    activation: str
    n_out: int = 0
    norm: bool = False                   # as in `MlpEncoder`; of the convolutions

    @nn.compact
    def __call__(self, x, weight=None):
        act = common.activation(self.activation)
        for i, c in enumerate(self.channels):
            x = nn.Dense(c, name=f'conv{i}')(patches(x, self.kernel))
            x = act(Norm(True, name=f'norm{i}')(x, weight) if self.norm and i else x)
        x = act(nn.Dense(self.hidden, name='dense')(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.n_out, name='out')(x) if self.n_out else x


class ConvDecoder(nn.Module):
    """The encoder's mirror image, with transposed convolutions."""
    channels: tuple
    kernel: int
    hidden: int
    activation: str
    shape: tuple
    norm: bool = False                   # whether all layers but the last are batch-normalised
    train: bool = False

    @nn.compact
    def __call__(self, z, weight=None):
        def act(x, name):
            x = Norm(self.train, name=f'norm_{name}')(x, weight) if self.norm else x
            return common.activation(self.activation)(x)

        *sizes, last = halves(self.shape, len(self.channels))
        x = act(nn.Dense(self.hidden, name='dense')(z), 'dense')
        x = nn.Dense(math.prod(last) * self.channels[-1], name='seed')(x)
        x = act(x.reshape(-1, *last, self.channels[-1]), 'seed')
        widths = (self.shape[-1], *self.channels[:-1])
        for i in reversed(range(len(sizes))):
            x = nn.Dense(self.kernel**2 * widths[i], name=f'conv{i}')(x)
            x = unpatch(x, (*sizes[i], widths[i]), self.kernel)
            x = act(x, f'conv{i}') if i else x
        return x


class Observed(nn.Module):
    """A decoder body and its likelihood: Bernoulli logits, or a Gaussian's mean and log
    variance.
    """
    body: nn.Module
    likelihood: str
    sigma: float

    @nn.compact
    def __call__(self, z):
        out = self.body(z)
        if self.likelihood == 'gaussian_full':
            mean, log_var = jnp.split(out, 2, -1)
            return mean, jnp.maximum(log_var, -6.)
        if self.likelihood == 'gaussian_shared':
            return out, jnp.broadcast_to(self.param('log_var', common.zeros, ()), out.shape)
        return out, jnp.full(out.shape, 2 * math.log(self.sigma))


LIKELIHOODS = {'bernoulli': 1, 'gaussian_fixed': 1, 'gaussian_shared': 1, 'gaussian_full': 2}
"""Outputs per pixel of every likelihood."""


def _flat(x):
    """[B, ...] to [B, P], before the arithmetic: a fused loop over one channel costs XLA's CPU
    backend milliseconds.
    """
    return x.reshape(x.shape[0], -1)


@jax.custom_jvp
def _softplus(a):
    """log(1 + e^a); four times as fast on a CPU as jax.nn.softplus, which a small net's step
    would feel.
    """
    return jnp.maximum(a, 0) + jnp.log1p(jnp.exp(-jnp.abs(a)))


_softplus.defjvps(lambda tangent, out, a: tangent * jax.nn.sigmoid(a))


def bernoulli(x, logits):
    """log p(x) of independent pixels, summed over all but the first axis; a density only for x
    in {0, 1}.

    >>> round(float(bernoulli(jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 2, 2, 1)))[0]), 4)
    -2.7726
    """
    x, logits = _flat(x), _flat(logits)
    return (x * logits - _softplus(logits)).sum(-1)


def gaussian(x, mean, log_var):
    """log N(x; mean, exp(log_var)), summed over all but the first axis.

    >>> round(float(gaussian(jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.zeros((1, 2)))[0]), 4)
    -1.8379
    """
    x, mean, log_var = _flat(x), _flat(mean), _flat(log_var)
    return -.5 * (log_var + (x - mean)**2 * jnp.exp(-log_var) + math.log(2 * math.pi)).sum(-1)


def observe(body, likelihood, sigma, latent):
    """A `Decoder` of images.

    Args:
      body: linen module [B, Z] -> [B, H, W, C * outputs per pixel].
      likelihood: one of `LIKELIHOODS`; 'gaussian_full' keeps its log variance at or above -6.
      sigma: standard deviation of 'gaussian_fixed'.
      latent: Z.

    Returns:
      A `Decoder`; generate's modes are 'mean' and 'sample'. Gaussian means are not forced into
      [0, 1].
    """
    module = Observed(body, likelihood, sigma)

    def rule(path, shapes):
        return 0. if path[-1] == 'log_var' else common.torch_linear(path, shapes)

    def log_prob(params, z, batch, key=None):
        out, log_var = module.apply({'params': params}, z)
        return bernoulli(batch['x'], out) if likelihood == 'bernoulli' else gaussian(
            batch['x'], out, log_var)

    def generate(params, z, key=None, mode='mean'):
        out, log_var = module.apply({'params': params}, z)
        mean = jax.nn.sigmoid(out) if likelihood == 'bernoulli' else out
        if mode == 'mean':
            return {'x': mean}
        if likelihood == 'bernoulli':
            return {'x': jax.random.bernoulli(key, mean).astype(mean.dtype)}
        return {'x': mean + jnp.exp(log_var / 2) * jax.random.normal(key, mean.shape)}

    return Decoder(common.initialiser(module, rule, jnp.zeros((1, latent))), log_prob, generate)


def corrupt(key, batch, rate):
    """The batch with a share of its pixels, all channels of them, set to zero.

    Args:
      key: [].
      batch: 'x' [B, H, W, C].
      rate: probability, also traced.

    Returns:
      The batch.

    >>> abs(corrupt(jax.random.key(0), {'x': jnp.ones((1, 200, 200, 1))}, .25)['x'].mean() - .75).item() < .01
    True
    """
    keep = jax.random.uniform(key, (*batch['x'].shape[:-1], 1)) >= rate
    return {**batch, 'x': jnp.where(keep, batch['x'], 0)}


def pseudo(params, batch, key, k):
    """{'x': [k, H, W, C]}: images of the batch, as inputs that can be trained; see
    `common.rows`, `common.apart`.
    """
    rows, again = common.rows(derive(key, 0), batch, k)
    return {'x': common.apart(derive(key, 1), batch['x'][rows], again)}


def generator(make, latent, bounded):
    """A `StatNet` (z [B, Z]) -> x.

    Args:
      make: (train) -> linen module of latents.
      latent: Z.
      bounded: whether x lies in [0, 1], or anywhere.

    Returns:
      A `StatNet`; its stats are {} where nothing is normalised.
    """
    init = common.initialiser(make(False), unit, jnp.zeros((1, latent)))

    def start(key):
        stats = jax.eval_shape(lambda: make(False).init(jax.random.key(0), jnp.zeros(
            (1, latent)))).get('stats', {})
        full = jax.tree_util.tree_map_with_path(
            lambda path, x: jnp.full(x.shape, float(path[-1].key == 'var'), x.dtype), stats)
        return init(key), full

    def apply(params, stats, z, weight=None, train=False):
        x, new = make(train).apply({'params': params, 'stats': stats}, z, weight,
                                   mutable=['stats'])
        return (jax.nn.sigmoid(x) if bounded else x), (new.get('stats', {}) if train else stats)

    return StatNet(start, apply)


def scorer(module, blank, flat):
    """A critic `Net` (x [B, ...], weight=None) -> [B] if `flat`, else [B, n_out]; what it
    normalises by is the batch's.

    Args:
      module: linen module of images.
      blank: [1, ...] for its shapes.
      flat: whether its one output is a number.
    """
    def apply(params, x, weight=None, key=None):
        out = module.apply({'params': params}, x, weight, mutable=['stats'])[0]
        return out[..., 0] if flat else out

    return Net(common.initialiser(module, unit, blank), apply)


def image_kit(schema, config, down, up, features):
    """What the image kits share.

    Args:
      schema: 'x' is a `Field` of shape (H, W, C), or (D,) of points.
      config: latent (Z), likelihood 'bernoulli', sigma 1.
      down: (activation, n_out, norm=False) -> linen module of images.
      up: (shape, norm=False, train=False) -> linen module of latents.
      features: H, width of `down` with n_out=0.

    Returns:
      A `Kit`; every layer has PyTorch's default for linear layers unless a head asks otherwise.
    """
    x, latent, likelihood = field(schema, 'x'), config['latent'], config.get(
        'likelihood', 'bernoulli')
    if likelihood not in LIKELIHOODS:
        raise UserError(
            f'kit.likelihood={likelihood!r} is unknown: choose one of {", ".join(LIKELIHOODS)}')
    blank = jnp.zeros((1, *x.shape))

    def decoder(latent=latent):
        wide = (*x.shape[:-1], x.shape[-1] * LIKELIHOODS[likelihood])
        return observe(up(wide), likelihood, config.get('sigma', 1.), latent)

    def gen(latent=latent, norm=False):
        return generator(lambda train: up(x.shape, norm=norm, train=train), latent, x.bounds
                         is not None)

    def critic(n_out=None, norm=False):
        return scorer(down('leaky_relu', n_out or 1, norm=norm), blank, n_out is None)

    def head(n_out, init=None, bias=None):
        rule = common.torch_linear if init in (None, 'torch') else common.constant(init)
        return common.linear(features, n_out, rule, bias is None or bias)

    def encoder(init=None):          # these keep PyTorch's law anyway
        return common.image_encoder(down(config.get('activation', 'relu'), 0), x.shape)

    nets = {
        'encoder': encoder, 'head': head, 'decoder': decoder, 'mlp': common.mlp, 'gen': gen,
        'critic': critic, 'corrupt': corrupt, 'pseudo': pseudo, **common.contexts(schema)
    }
    return Kit(latent, features, schema, nets)


def mlp(schema, config):
    """The fully connected kit; the decoder mirrors the encoder.

    Args:
      schema: see `image_kit`.
      config: latent (Z), hidden, the encoder's widths; activation 'relu', likelihood, sigma:
        see `image_kit`.

    Returns:
      A `Kit`.
    """
    hidden, act = tuple(config['hidden']), config.get('activation', 'relu')
    return image_kit(
        schema, config, lambda act, n_out, **norm: MlpEncoder(hidden, act, n_out, **norm),
        lambda shape, **norm: MlpDecoder(hidden[::-1], act, shape, **norm), hidden[-1])


def conv(schema, config):
    """The small convolutional kit: every stage halves the size, rounding up.

    Args:
      schema: see `image_kit`.
      config: latent (Z), channels (32, 64), one stage each; kernel 3 or 4, pixels a side: of 4
        the transposed convolution has no checkerboard, from which a critic would know it;
        hidden 128, the linear layer's width; activation 'relu', likelihood, sigma: see
        `image_kit`.

    Returns:
      A `Kit`.
    """
    channels, kernel = tuple(config.get('channels', (32, 64))), config.get('kernel', 3)
    hidden, act = config.get('hidden', 128), config.get('activation', 'relu')
    if kernel not in (3, 4):
        raise UserError(f'kernel={kernel}: convolutions have 3 or 4 pixels a side')
    return image_kit(
        schema, config,
        lambda act, n_out, **norm: ConvEncoder(channels, kernel, hidden, act, n_out, **norm),
        lambda shape, **norm: ConvDecoder(channels, kernel, hidden, act, shape, **norm), hidden)
