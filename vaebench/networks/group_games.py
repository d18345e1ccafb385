"""Generators and critics that are told a class: networks of games on a group."""
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Net, StatNet
from vaebench.errors import UserError
from vaebench.networks import common
from vaebench.networks.group_layers import DIRECTION, GroupConv, from_one, grow, spectral_norm
from vaebench.networks.image import generator, unit
from vaebench.networks.image_layers import Norm
from vaebench.ops.groups import Group

KERNEL = 3


class SpectralDense(nn.Module):
    """Linear layer whose weights are divided by their largest singular value.

    Attributes:
      features: outputs.
      bias: whether it has one.
    """
    features: int
    bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        w = self.param('kernel', common.zeros, (x.shape[-1], self.features))
        w = spectral_norm(w, self.param(DIRECTION, common.zeros, (self.features,)))
        y = x @ w
        return y + self.param('bias', common.zeros, (self.features,)) if self.bias else y


class ClassGenerator(nn.Module):
    """From noise and a class to a picture; it commutes with the group from its smallest map on.

    Every map is normalized, then scaled and shifted as noise and class say, a channel at a
    time, alike for all elements of the group.

    Attributes:
      group: see `ops.groups`.
      channels: C of every map, the smallest map first.
      seed: C of the picture that noise and class become; every group has as many, as it is not
        on the group.
      shape: (H, W, C) of the output.
      classes: the last so many numbers of the input are a class, one-hot.
      train: see `image_layers.Norm`.
    """
    group: Group
    channels: tuple[int, ...]
    seed: int
    shape: tuple[int, ...]
    classes: int
    train: bool

    @nn.compact
    def __call__(self, z: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        noise, label = jnp.split(z, [z.shape[-1] - self.classes], -1)
        told = nn.Dense(noise.shape[-1], use_bias=False, name='label')(label)
        code = jnp.concatenate([noise, told], -1)
        side = self.shape[0] // 2**(len(self.channels) - 1)
        x = SpectralDense(side * side * self.seed, name='seed')(code)
        x = x.reshape(len(z), side, side, 1, self.seed)
        for i, width in enumerate(self.channels):
            x = GroupConv(self.group, width, KERNEL, True, True, name=f'conv{i}')(
                grow(x) if i else x)
            x = Norm(self.train, affine=False, name=f'norm{i}')(x, weight)
            gain, shift = (SpectralDense(width, name=f'{name}{i}')(code)[:, None, None, None]
                           for name in ('gain', 'shift'))
            x = nn.relu((1 + gain) * x + shift)
        x = GroupConv(self.group, self.shape[-1], KERNEL, True, True, name='out')(x)
        return x.max(3)


def averaged(x: jax.Array) -> jax.Array:
    """Takes the mean of every square of two by two pixels; both sizes must be even.

    >>> averaged(jnp.arange(4.).reshape(1, 2, 2, 1, 1)).item()
    1.5
    """
    b, height, width, *rest = x.shape
    return x.reshape(b, height // 2, 2, width // 2, 2, *rest).mean((2, 4))


class ClassCritic(nn.Module):
    """From a picture and a class to a score, which is the same for every move of the picture.

    All maps but the last are halved by a mean; an odd size is left as it is, since a pool of it
    would not be symmetric. Then come the maximum over the group and the sum over space, and a
    score that is linear in these features, plus their product with the class's own.

    Attributes:
      group: see `ops.groups`.
      channels: C of every layer.
    """
    group: Group
    channels: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array) -> jax.Array:
        x = x[..., None, :]
        for i, width in enumerate(self.channels, 1):
            x = GroupConv(self.group, width, KERNEL, True, True, name=f'conv{i}')(x)
            x = common.activation('leaky_relu')(x)
            even = x.shape[1] % 2 == 0 and i < len(self.channels)
            x = averaged(x) if even else x
        x = x.max(3).sum((1, 2))
        own = SpectralDense(self.channels[-1], bias=False, name='label')(label)
        return SpectralDense(1, name='out')(x)[:, 0] + (x * own).sum(-1)


def class_generator(group: Group, channels: tuple[int, ...], seed: int,
                    shape: tuple[int, ...], classes: int, latent: int) -> StatNet:
    """Makes a `StatNet` ([B, Z + K] noise and a class, one-hot) -> x in [0, 1].

    Args:
      group, channels, seed, shape, classes: see `ClassGenerator`.
      latent: Z.

    Raises:
      UserError: the size cannot be halved as often as there are widths but one.
    """
    if shape[0] % 2**(len(channels) - 1):
        raise UserError(f'kit.up of {len(channels)} widths: {shape[0]} pixels cannot be halved '
                        'as often, less one; give fewer')
    net = generator(lambda train: ClassGenerator(group, channels, seed, shape, classes, train),
                    latent + classes, True)

    def init(key):
        params, stats = net.init(key)
        return from_one(params), stats

    return net._replace(init=init)


def class_critic(group: Group, channels: tuple[int, ...], shape: tuple[int, ...],
                 classes: int) -> Net:
    """Makes a `Net` (params, {'x', 'label' one-hot [B, K]}, weight=None) -> [B].

    Args:
      group, channels: see `ClassCritic`.
      shape: (H, W, C) of the pictures.
      classes: K.
    """
    module = ClassCritic(group, channels)
    drawn = common.initializer(module, unit, jnp.zeros((1, *shape)), jnp.zeros((1, classes)))

    def apply(params: Any, told: Any, weight: Any = None, key: Any = None) -> jax.Array:
        score: Any = module.apply({'params': params}, told['x'], told['label'])
        return score

    return Net(lambda key: from_one(drawn(key)), apply)
