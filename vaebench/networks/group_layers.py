"""The modules of the kits of groups: correlations, normalization, encoders and decoders.

Feature maps are [B, H, W, S, C]: S is 1 of a picture and the number of elements of a group's
map. Biases and normalization are shared over that axis, so that all layers commute with the
group.
"""
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import RUNNING_MEAN, derive
from vaebench.networks import common
from vaebench.networks.image_layers import Norm
from vaebench.ops import groups
from vaebench.ops.groups import Group

MEAN, VARIANCE = f'{RUNNING_MEAN}mean', f'{RUNNING_MEAN}variance'
DIRECTION = f'{RUNNING_MEAN}direction'
FROM_ONE = VARIANCE, DIRECTION
"""Running means that start from 1."""
ITERATIONS = 3         # of the power method, in every use of a layer


def flat(x: jax.Array) -> jax.Array:
    """[..., S, C] as [..., S C]."""
    return x.reshape(*x.shape[:-2], -1)


def pool(x: jax.Array) -> jax.Array:
    """Takes the maximum of every square of two by two pixels; both sizes must be even, or the
    pool would not be symmetric.

    >>> pool(jnp.arange(16.).reshape(1, 4, 4, 1, 1))[0, :, :, 0, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    b, height, width, *rest = x.shape
    return x.reshape(b, height // 2, 2, width // 2, 2, *rest).max((2, 4))


def grow(x: jax.Array) -> jax.Array:
    """Doubles both sizes: every pixel becomes a square of two by two."""
    return x.repeat(2, 1).repeat(2, 2)


class GroupConv(nn.Module):
    """Correlation from a picture or a group's map to a group's map.

    Attributes:
      group: see `ops.groups`.
      features: C of the output.
      kernel: pixels a side.
      pad: whether zeros beyond the border keep the size; of odd kernels only.
      spectral: whether the weights, before any element moves them, are divided by their largest
        singular value: see `spectral_norm`.
    """
    group: Group
    features: int
    kernel: int
    pad: bool = False
    spectral: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, *x.shape[3:], self.features)
        w = self.param('kernel', common.zeros, shape)
        if self.spectral:
            w = spectral_norm(w, self.param(DIRECTION, common.zeros, (self.features,)))
        bank = groups.filter_bank(self.group, w)
        y = groups.correlate(_framed(flat(x), self.kernel, self.pad), bank)
        y = y.reshape(*y.shape[:3], self.group.order, self.features)
        return y + self.param('bias', common.zeros, (self.features,))


class Projection(nn.Module):
    """Correlation from a group's map to a picture [B, H, W, C]; attributes as of `GroupConv`,
    with zeros beyond the border.
    """
    group: Group
    features: int
    kernel: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        bank = groups.projection_bank(self.group, self.param('kernel', common.zeros, shape))
        # a number is of |H| times the inputs that the law of its weights counts
        bank = bank / math.sqrt(self.group.order)
        y = groups.correlate(_framed(flat(x), self.kernel, True), bank)
        return y + self.param('bias', common.zeros, (self.features,))


class GroupDense(nn.Module):
    """Linear layer from numbers on the group [B, S, C] to a group's map of some pixels a side,
    [B, K, K, S, features].

    Attributes:
      group: see `ops.groups`.
      features: C of the output.
      side: K.
    """
    group: Group
    features: int
    side: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.side, self.side, *x.shape[1:], self.features)
        bank = groups.filter_bank(self.group, self.param('kernel', common.zeros, shape))
        y = jnp.einsum('bi,uvio->buvo', flat(x), bank)
        y = y.reshape(*y.shape[:3], self.group.order, self.features)
        return y + self.param('bias', common.zeros, (self.features,))


def _framed(x, kernel, pad):
    edge = (kernel // 2,) * 2 if pad else (0, 0)
    return jnp.pad(x, ((0, 0), edge, edge, (0, 0)))


@jax.custom_vjp
def tracked(x: jax.Array, running: Any, measured: Any) -> jax.Array:
    """x as it is; the gradient of `running` is its distance from `measured`, whatever the loss:
    see `core.RUNNING_MEAN`.

    >>> jax.grad(lambda r: tracked(jnp.float32(5.), r, jnp.float32(3.)) * 100.)(4.).item()
    1.0
    """
    return x


def _distance(saved, cotangent):
    running, measured = saved
    apart = jax.tree.map(jnp.subtract, running, measured)
    return cotangent, apart, jax.tree.map(jnp.zeros_like, measured)


tracked.defvjp(lambda x, running, measured: (x, (running, measured)), _distance)


def from_one(params: Any) -> Any:
    """Sets the running means that start from 1, those of `FROM_ONE`."""
    return jax.tree_util.tree_map_with_path(
        lambda path, v: jnp.ones_like(v) if path[-1].key in FROM_ONE else v, params)


def spectral_norm(w: jax.Array, direction: jax.Array) -> jax.Array:
    """Divides weights by an estimate of their largest singular value, as a matrix of one column
    for each output.

    A few power iterations start from a direction that is carried: it is a running mean of where
    they ended. Differs from the paper: there it is where one iteration ended.

    Args:
      w: [..., O].
      direction: [O], a parameter whose name begins with `core.RUNNING_MEAN`.

    Returns:
      The same shape.

    References:
      Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018,
      arXiv:1802.05957.

    >>> w = spectral_norm(jnp.array([[4., 0.], [0., 1.]]), jnp.array([1., 0.]))
    >>> w.tolist()
    [[1.0, 0.0], [0.0, 0.25]]
    """
    def unit(x):
        return x / jnp.sqrt((x**2).sum() + 1e-12)

    matrix = w.reshape(-1, w.shape[-1])
    fixed, u = jax.lax.stop_gradient(matrix), jax.lax.stop_gradient(direction)
    v = unit(fixed @ u)
    for _ in range(ITERATIONS):
        u = unit(v @ fixed)
        v = unit(fixed @ u)
    return tracked(w / (v @ matrix @ u), direction, u)


class RunningNorm(nn.Module):
    """Batch normalization of networks without statistics of their own: evaluation reads running
    means that are parameters. Empty slots do not count.

    Attributes:
      train: whether the batch's own moments are used.
      eps: added to variances.
    """
    train: bool
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        size = x.shape[-1:]
        kept = tuple(self.param(name, common.zeros, size) for name in (MEAN, VARIANCE))
        gain = 1 + self.param('gain', common.zeros, size)
        shift = self.param('shift', common.zeros, size)
        if not self.train:
            return (x - kept[0]) * (jax.lax.rsqrt(kept[1] + self.eps) * gain) + shift
        share = jnp.ones(len(x), x.dtype) if weight is None else weight
        share = share / jnp.maximum(share.sum(), 1.)
        space = tuple(range(1, x.ndim - 1))
        mean = share @ x.mean(space)
        centered = x - mean
        variance = share @ (centered**2).mean(space)
        y = centered * (jax.lax.rsqrt(variance + self.eps) * gain) + shift
        return tracked(y, kept, (mean, variance))


class GroupEncoder(nn.Module):
    """Correlations on a group, then the maximum over space and, of invariant codes, over the
    group.

    Attributes:
      group: see `ops.groups`.
      channels: C of every layer.
      kernel: pixels a side of each.
      pools: after which layers two by two pixels become one, counted from 1.
      pad: whether zeros beyond the border keep the size, but in the last layer.
      activation: see `common.activation`.
      norm: 'running' is a `RunningNorm` after every correlation, 'batch' normalizes all but the
        first by the batch's moments, '' none.
      dropout: share of numbers dropped after every activation but the last, in training.
      rotation_pooling: whether every layer takes the maximum over the group, so that the next
        begins with a picture.
      invariant: whether the output is [B, C], the same for all moves of a picture, or numbers
        on the group, [B, C |H|].
      n_out: width of one more, linear layer; 0 is none.
    """
    group: Group
    channels: tuple[int, ...]
    kernel: tuple[int, ...]
    pools: tuple[int, ...]
    pad: bool
    activation: str
    norm: str = ''
    dropout: float = 0.
    rotation_pooling: bool = False
    invariant: bool = True
    n_out: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None,
                 key: jax.Array | None = None) -> jax.Array:
        x, last = x[..., None, :], len(self.channels)
        for i, (width, kernel) in enumerate(zip(self.channels, self.kernel, strict=True), 1):
            x = GroupConv(self.group, width, kernel, self.pad and i < last, name=f'conv{i}')(x)
            if self.norm == 'running':
                x = RunningNorm(key is not None, name=f'norm{i}')(x, weight)
            elif self.norm and i > 1:
                x = Norm(True, name=f'norm{i}')(x, weight)
            x = common.activation(self.activation)(x)
            x = x.max(3, keepdims=True) if self.rotation_pooling else x
            x = pool(x) if i in self.pools else x
            if i < last and key is not None:
                x = common.dropout(derive(key, i), x, self.dropout)
        x = x.max((1, 2))
        x = x.max(1) if self.invariant else x.swapaxes(1, 2).reshape(len(x), -1)
        return nn.Dense(self.n_out, name='out')(x) if self.n_out else x


class GroupHead(nn.Module):
    """Linear layer between numbers on the group, [B, C |H|] -> [B, n_out], that commutes with
    its moves.

    Attributes:
      group: see `ops.groups`.
      n_out: a multiple of |H|.
    """
    group: Group
    n_out: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = self.group.order
        y = GroupDense(self.group, self.n_out // size, name='layer')(_on_group(x, size))
        return y[:, 0, 0].swapaxes(1, 2).reshape(len(x), -1)


def _on_group(z, size):
    """[B, C |H|] -> [B, |H|, C]."""
    return z.reshape(len(z), -1, size).swapaxes(1, 2)


class GroupDecoder(nn.Module):
    """From codes to a picture: a small map, and correlations on maps that grow twofold.

    Attributes:
      group: see `ops.groups`.
      channels: C of every map, the smallest map first.
      hidden: C of a layer between codes on the group and the smallest map; None where codes are
        not on the group: the smallest map is then a picture that any linear layer makes.
      shape: (H, W, C) of the output.
      kernel: pixels a side.
      activation: see `common.activation`.
      norm: whether all layers but the last are batch-normalized.
      train: see `image_layers.Norm`.
    """
    group: Group
    channels: tuple[int, ...]
    hidden: int | None
    shape: tuple[int, ...]
    kernel: int
    activation: str
    norm: bool = False
    train: bool = False

    @nn.compact
    def __call__(self, z: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        def act(x, name):
            x = Norm(self.train, name=f'norm_{name}')(x, weight) if self.norm else x
            return common.activation(self.activation)(x)

        first, *rest = self.channels
        side = self.shape[0] // 2**len(self.channels)
        if self.hidden is None:
            x = nn.Dense(side * side * first, name='seed')(z)
            x = act(x.reshape(len(z), side, side, 1, -1), 'seed')
            x = GroupConv(self.group, first, self.kernel, True, name='lift')(x)
        else:
            z = _on_group(z, self.group.order)
            x = GroupDense(self.group, self.hidden, name='dense')(z)
            x = GroupDense(self.group, first, side, name='seed')(act(x, 'dense')[:, 0, 0])
        x = act(x, 'map0')
        for i, width in enumerate(rest, 1):
            x = GroupConv(self.group, width, self.kernel, True, name=f'conv{i}')(grow(x))
            x = act(x, f'map{i}')
        return Projection(self.group, self.shape[-1], self.kernel, name='out')(grow(x))
