"""The modules of the image kits: batch normalization, encoders and decoders of two sorts."""
import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.networks import common


class Norm(nn.Module):
    """Batch normalization over all axes but the last; empty slots do not count.

    Attributes:
      train: whether the batch's own moments are used, else the running ones.
      decay: weight of the past in the running moments.
      eps: added to variances.
      affine: whether a gain and a shift per channel follow.
    """
    train: bool = False
    decay: float = .9
    eps: float = 1e-5
    affine: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        size = x.shape[-1:]
        mean = self.variable('stats', 'mean', jnp.zeros, size)
        var = self.variable('stats', 'var', jnp.ones, size)
        gain, shift = ((self.param(name, common.zeros, size) for name in ('gain', 'shift'))
                       if self.affine else (0., 0.))
        if not self.train:
            return (x - mean.value) * jax.lax.rsqrt(var.value + self.eps) * (1 + gain) + shift
        share = jnp.ones(len(x), x.dtype) if weight is None else weight
        share = (share / jnp.maximum(share.sum(), 1.)).reshape(-1, *(1,) * (x.ndim - 1))
        share = share / math.prod(x.shape[1:-1])
        axes = tuple(range(x.ndim - 1))
        m = (share * x).sum(axes)
        v = (share * (x - m)**2).sum(axes)
        if not self.is_initializing():
            mean.value, var.value = (
                self.decay * old.value + (1 - self.decay) * jax.lax.stop_gradient(new)
                for old, new in ((mean, m), (var, v)))
        return (x - m) * jax.lax.rsqrt(v + self.eps) * (1 + gain) + shift


class MlpEncoder(nn.Module):
    """Flattens [B, H, W, C] into a stack of linear layers, each with its activation.

    Attributes:
      hidden: widths.
      activation: see `common.activation`.
      n_out: width of one more, linear layer; 0 is none.
      norm: whether hidden layers but the first are batch-normalized, in train mode.
    """
    hidden: tuple[int, ...]
    activation: str
    n_out: int = 0
    norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        if not self.norm:
            x = common.Mlp(self.hidden, self.activation, final=True, name='body')(x)
        for i, size in enumerate(self.hidden if self.norm else ()):
            x = nn.Dense(size, name=f'layer{i}')(x)
            x = Norm(True, name=f'norm{i}')(x, weight) if i else x
            x = common.activation(self.activation)(x)
        return nn.Dense(self.n_out, name='out')(x) if self.n_out else x


class MlpDecoder(nn.Module):
    """Maps [B, Z] to [B, *shape] through linear layers.

    Attributes:
      hidden: widths.
      activation: see `common.activation`.
      shape: of the output.
      norm: whether all hidden layers are batch-normalized.
      train: see `Norm`.
    """
    hidden: tuple[int, ...]
    activation: str
    shape: tuple[int, ...]
    norm: bool = False
    train: bool = False

    @nn.compact
    def __call__(self, z: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        sizes = (*self.hidden, math.prod(self.shape))
        if not self.norm:
            return common.Mlp(sizes, self.activation, name='body')(z).reshape(-1, *self.shape)
        for i, size in enumerate(self.hidden):
            z = Norm(self.train, name=f'norm{i}')(nn.Dense(size, name=f'layer{i}')(z), weight)
            z = common.activation(self.activation)(z)
        return nn.Dense(sizes[-1], name='out')(z).reshape(-1, *self.shape)


def _taps(x: jax.Array, axis: int, kernel: int) -> jax.Array:
    """Windows of 2 to 4 along an axis [n], two pixels apart, zeros beyond the border.

    The axis becomes [ceil(n / 2), kernel]. They are made of contiguous halves: a gradient that
    is scattered with strides costs a CPU twice as much.
    """
    n = x.shape[axis]
    half, border, before = -(-n // 2), [(0, 0)] * x.ndim, int(kernel > 2)
    border[axis] = (before, 2 * half + before - n)
    pairs = jnp.pad(x, border).reshape(*x.shape[:axis], half + before, 2, *x.shape[axis + 1:])
    if kernel == 2:
        return pairs
    even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    taps = ((even, 0), (odd, 0), (even, 1), (odd, 1))[:kernel]
    return jnp.stack([jax.lax.slice_in_dim(v, at, at + half, axis=axis) for v, at in taps],
                     axis + 1)


def patches(x: jax.Array, kernel: int = 3) -> jax.Array:
    """Cuts out square patches, two pixels apart, zeros beyond the border.

    A strided convolution is a linear layer over these: on a CPU, and for several seeds at once,
    that is an order of magnitude faster than convolution operations and their gradients.

    Args:
      x: [B, H, W, C].
      kernel: K, 2, 3 or 4 pixels; those of 3 and 4 overlap.

    Returns:
      [B, ceil(H / 2), ceil(W / 2), K K C].

    >>> patches(jnp.arange(9.).reshape(1, 3, 3, 1))[0, 1, 1].tolist()
    [4.0, 5.0, 0.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0]
    """
    taps = _taps(_taps(x, 1, kernel), 3, kernel).swapaxes(2, 3)   # [B, H / 2, W / 2, K, K, C]
    return taps.reshape(*taps.shape[:3], -1)


def unpatch(y: jax.Array, shape: tuple[int, ...], kernel: int = 3) -> jax.Array:
    """Adds up overlapping patches: the transpose of `patches`.

    Of patches of 4 pixels equally many meet everywhere.

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


def halves(shape: Sequence[int], n: int) -> list[tuple[int, int]]:
    """Lists (H, W) of an image and of its n halvings, rounding up.

    >>> halves((28, 7, 1), 2)
    [(28, 7), (14, 4), (7, 2)]
    """
    sizes = [(shape[0], shape[1])]
    for _ in range(n):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


class ConvEncoder(nn.Module):
    """Strided convolutions, then at most one linear layer.

    Attributes:
      channels: of every convolution.
      kernel: pixels a side of each, 2, 3 or 4.
      hidden: width of the linear layer; None is none.
      activation, n_out: see `MlpEncoder`.
      norm: whether convolutions but the first are batch-normalized, in train mode.
    """
    channels: tuple[int, ...]
    kernel: tuple[int, ...]
    hidden: int | None
    activation: str
    n_out: int = 0
    norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        act = common.activation(self.activation)
        for i, (c, k) in enumerate(zip(self.channels, self.kernel, strict=True)):
            x = nn.Dense(c, name=f'conv{i}')(patches(x, k))
            x = act(Norm(True, name=f'norm{i}')(x, weight) if self.norm and i else x)
        x = x.reshape(x.shape[0], -1)
        if self.hidden:
            x = act(nn.Dense(self.hidden, name='dense')(x))
        return nn.Dense(self.n_out, name='out')(x) if self.n_out else x


class ConvDecoder(nn.Module):
    """The mirror image of `ConvEncoder`, with transposed convolutions.

    Attributes:
      channels, kernel, hidden, activation: see `ConvEncoder`.
      shape: (H, W, C) of the output.
      norm: whether all layers but the last are batch-normalized.
      train: see `Norm`.
    """
    channels: tuple[int, ...]
    kernel: tuple[int, ...]
    hidden: int | None
    activation: str
    shape: tuple[int, ...]
    norm: bool = False
    train: bool = False

    @nn.compact
    def __call__(self, z: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        def act(x, name):
            x = Norm(self.train, name=f'norm_{name}')(x, weight) if self.norm else x
            return common.activation(self.activation)(x)

        *sizes, last = halves(self.shape, len(self.channels))
        x = act(nn.Dense(self.hidden, name='dense')(z), 'dense') if self.hidden else z
        x = nn.Dense(math.prod(last) * self.channels[-1], name='seed')(x)
        x = act(x.reshape(-1, *last, self.channels[-1]), 'seed')
        widths = (self.shape[-1], *self.channels[:-1])
        for i in reversed(range(len(sizes))):
            x = nn.Dense(self.kernel[i]**2 * widths[i], name=f'conv{i}')(x)
            x = unpatch(x, (*sizes[i], widths[i]), self.kernel[i])
            x = act(x, f'conv{i}') if i else x
        return x
