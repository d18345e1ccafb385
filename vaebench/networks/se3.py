"""The SE(3)-Transformer: attention between points of space that turns with them.

A fiber is what is known of every point: degree l -> [B, P, m, 2 l + 1], m features that a
rotation R multiplies by D_l(R). Edges are dense [P, P], so that memory grows with P^2: for at
most some twenty points.
"""
from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vaebench.networks import common
from vaebench.ops import harmonics

Fiber = Mapping[int, jax.Array]
"""Degree -> features [B, P, m, 2 l + 1]."""
DEGREES = 3
"""Degrees that a fiber may have, from 0: kernels between two are of harmonics of their sum."""


class Edges(NamedTuple):
    """What is known of every pair of points (i, j).

    Attributes:
      scalars: [B, P, P, E], what no motion changes: the distance first.
      kernels: (degree out, degree in) -> [B, P, P, 2 l + 1, 2 k + 1, J], see
        `harmonics.kernel_bases`; x_j - x_i is their direction.
    """
    scalars: jax.Array
    kernels: Mapping[tuple[int, int], jax.Array]


def length(x: jax.Array, eps: float = 1e-12) -> jax.Array:
    """Computes the norm along the last axis, kept, whose gradient is finite at 0 too.

    >>> float(length(jnp.array([3., 4.]))[0])
    5.0
    """
    return jnp.sqrt((x**2).sum(-1, keepdims=True) + eps)


def edges(position: jax.Array, scalars: jax.Array, out: int, into: int) -> Edges:
    """Computes what layers read of pairs of points; layers share it.

    Args:
      position: [B, P, 3].
      scalars: [B, P, P, E - 1] beside the distance.
      out, into: numbers of degrees from 0 of what kernels make and read.

    Returns:
      `Edges`; of a point and itself the direction is 0.
    """
    apart = position[:, None] - position[:, :, None]            # [b, i, j] is x_j - x_i
    away = length(apart)
    pairs = [(l, k) for l in range(out) for k in range(into)]
    return Edges(jnp.concatenate([away, scalars], -1),
                 harmonics.kernel_bases(pairs, apart / away))


def others(points: int) -> np.ndarray:
    """Gives the mask [P, P] of pairs of different points."""
    return ~np.eye(points, dtype=bool)


class FiberLinear(nn.Module):
    """Mixes the features of each degree.

    Attributes:
      features: degree -> how many it makes; degrees that the fiber lacks are left out.
    """
    features: Mapping[int, int]

    @nn.compact
    def __call__(self, fiber: Fiber) -> dict[int, jax.Array]:
        out = {}
        for l, count in self.features.items():
            if l in fiber:
                kernel = self.param(f'kernel_{l}', common.zeros, (fiber[l].shape[2], count))
                out[l] = jnp.einsum('bncp,cd->bndp', fiber[l], kernel)
        return out


class Radial(nn.Module):
    """Reads the scalars of edges: two layers, each normalized and rectified, then a linear one.

    Attributes:
      hidden: width of the layers.
      n_out: numbers that it makes.
    """
    hidden: int
    n_out: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(2):
            x = nn.Dense(self.hidden, name=f'layer{i}')(x)
            x = x - x.mean(-1, keepdims=True)
            x = x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-5)
            x = jax.nn.relu(x * (1 + self.param(f'gain{i}', common.zeros, (self.hidden,)))
                            + self.param(f'shift{i}', common.zeros, (self.hidden,)))
        return nn.Dense(self.n_out, name='last')(x)


class Messages(nn.Module):
    """What every point sends to every other: W(x_j - x_i) f_j, W a sum of kernels that commute
    with rotations, each weighed by a function of the edge's scalars.

    Attributes:
      features: degree -> how many features a message has.
      hidden: see `Radial`.
    """
    features: Mapping[int, int]
    hidden: int

    @nn.compact
    def __call__(self, fiber: Fiber, pairs: Edges) -> dict[int, jax.Array]:
        """[B, P, P, m, 2 l + 1] of every degree, from point j to point i at [b, i, j]."""
        shapes = {(l, k): (count, fiber[k].shape[2] * pairs.kernels[l, k].shape[-1])
                  for l, count in self.features.items() for k in fiber}
        sizes = [count * width for count, width in shapes.values()]
        flat = Radial(self.hidden, sum(sizes), name='radial')(pairs.scalars)
        parts = jnp.split(flat, np.cumsum(sizes)[:-1], -1)
        weights = {pair: part.reshape(*part.shape[:-1], *shapes[pair])
                   for pair, part in zip(shapes, parts, strict=True)}
        out = {}
        for l in self.features:
            width = sum(shapes[l, k][1] for k in fiber)          # keeps the variance
            seen = [jnp.einsum('bijpqu,bjcq->bijcup', pairs.kernels[l, k], f)
                    for k, f in fiber.items()]
            seen = jnp.concatenate([s.reshape(*s.shape[:3], -1, s.shape[-1]) for s in seen], -2)
            weight = jnp.concatenate([weights[l, k] for k in fiber], -1)
            out[l] = jnp.einsum('bijac,bijcp->bijap', weight, seen) / width**.5
        return out


class Layer(nn.Module):
    """Gathers messages, by attention or as their mean, and mixes them with what a point has.

    Attributes:
      features: degree -> how many it makes.
      keys: how many of every degree that is read the attention compares.
      heads: of the attention; they divide the features and the keys.
      hidden: see `Radial`.
      attention: whether messages are weighed by attention, else by 1 / (P - 1).
    """
    features: Mapping[int, int]
    keys: int
    heads: int
    hidden: int
    attention: bool

    @nn.compact
    def __call__(self, fiber: Fiber, pairs: Edges) -> dict[int, jax.Array]:
        keys = dict.fromkeys(fiber, self.keys) if self.attention else {}
        both = {l: self.features.get(l, 0) + keys.get(l, 0)
                for l in sorted({*self.features, *keys})}
        sent = Messages(both, self.hidden, name='messages')(fiber, pairs)
        value = {l: self._by_head(sent[l][..., keys.get(l, 0):, :]) for l in self.features}
        points = pairs.scalars.shape[1]
        mask = others(points)
        if self.attention:
            query = FiberLinear(keys, name='query')(fiber)
            logits, size = 0., 0
            for l, n in keys.items():
                key, own = self._by_head(sent[l][..., :n, :]), self._by_head(query[l])
                logits = logits + jnp.einsum('bihcp,bijhcp->bijh', own, key)
                size += key.shape[-1] * key.shape[-2]
            logits = jnp.where(mask[..., None], logits / size**.5, -jnp.inf)
            weight = jax.nn.softmax(logits, 2)
        else:
            weight = jnp.broadcast_to(jnp.asarray(mask / (points - 1), pairs.scalars.dtype)[
                ..., None], (*mask.shape, self.heads))[None]
        gathered = {l: (weight[..., None, None] * v).sum(2) for l, v in value.items()}
        gathered = {l: g.reshape(*g.shape[:2], -1, g.shape[-1]) for l, g in gathered.items()}
        joined = {l: jnp.concatenate([g, fiber[l]], 2) if l in fiber else g
                  for l, g in gathered.items()}
        return FiberLinear(self.features, name='own')(joined)

    def _by_head(self, x):
        return x.reshape(*x.shape[:-2], self.heads, -1, x.shape[-1])


class NormNonlinearity(nn.Module):
    """Changes how long features are, not where they point: f relu(|f| + b) / |f|."""

    @nn.compact
    def __call__(self, fiber: Fiber) -> dict[int, jax.Array]:
        out = {}
        for l, f in fiber.items():
            shift = self.param(f'shift_{l}', common.zeros, (f.shape[2], 1))
            size = length(f)
            out[l] = f * (jax.nn.relu(size + shift) / size)
        return out


class SE3Transformer(nn.Module):
    """Two vectors for every particle, from positions, velocities and charges.

    The first layer reads 1 and the charge (degree 0) and the velocity (degree 1); edges have
    the distance and the product of the charges. No position enters but through differences.
    Of the 1 a first message is any function of an edge times its direction, as forces are.

    Differs from the authors' code: it reads no scalars, and adds differences of positions to
    features of degree 1 instead, from the second layer on; one function of the distance gives
    the weights of all kernels of a layer, where there each kernel of the keys and of the values
    has its own; degrees end at 2; a linear layer mixes what the last attention gives with the
    velocity.

    Attributes:
      layers: how many.
      channels: features of every degree between layers.
      degrees: of these, from 0; at most `DEGREES`.
      heads: of the attention.
      hidden: see `Radial`.
      attention: see `Layer`; without it this is a tensor field network.

    References:
      Fuchs, Worrall, Fischer, Welling, "SE(3)-Transformers: 3D Roto-Translation Equivariant
      Attention Networks", 2020, arXiv:2006.10503.
      Thomas et al., "Tensor Field Networks: Rotation- and Translation-Equivariant Neural
      Networks for 3D Point Clouds", 2018, arXiv:1802.08219 (without attention).
    """
    layers: int
    channels: int
    degrees: int
    heads: int
    hidden: int
    attention: bool

    @nn.compact
    def __call__(self, x: Mapping[str, jax.Array]) -> jax.Array:
        """[B, P, 2, 3]."""
        charge, velocity = x['charge'], x['velocity'][:, :, None]
        product = (charge[:, :, None] * charge[:, None])[..., None]
        pairs = edges(x['position'], product, self.degrees, max(self.degrees, 2))
        scalars = jnp.stack([jnp.ones_like(charge), charge], 2)[..., None]
        fiber = {0: scalars, 1: velocity}
        for i in range(self.layers):
            made = range(self.degrees) if i + 1 < self.layers else (1,)     # the last reads 1
            layer = Layer(dict.fromkeys(made, self.channels), self.channels, self.heads,
                          self.hidden, self.attention, name=f'layer{i}')
            fiber = NormNonlinearity(name=f'norm{i}')(layer(fiber, pairs))
        last = {1: jnp.concatenate([fiber[1], velocity], 2)}
        return FiberLinear({1: 2}, name='last')(last)[1]
