"""The kits of particles: networks that answer for every point of a set, turned or not.

Each has one network, `predictor() -> Net`: (params, batch, key=None) -> vectors like those of
batch['target'].
"""
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Codec, Kit, Net
from vaebench.errors import UserError
from vaebench.networks import common
from vaebench.networks.egnn import Egnn
from vaebench.networks.se3 import DEGREES, SE3Transformer
from vaebench.schema import Schema, leaves

INPUTS, TARGETS = ('position', 'velocity', 'charge'), ('position', 'velocity')
"""Columns nested in 'x' that the networks read, and in 'target' that they answer with."""


def law(path: common.Path, shapes: common.Shapes) -> float:
    """Rule: kernels are U(-b, b) with b = sqrt(3 / fan in), which keeps the variance, of linear
    layers `common.torch_linear`; gains and shifts start from 0.
    """
    name = path[-1]
    if name.startswith(('gain', 'shift')):
        return 0.
    if name in ('kernel', 'bias'):
        return common.torch_linear(path, shapes)
    return (3 / shapes[path][0])**.5


def invariants(x: Mapping[str, jax.Array]) -> jax.Array:
    """What networks without a symmetry of rotations read of every particle, [B, P, 7]: its
    position from the mean of all, so that shifts change nothing, its velocity and its charge.
    """
    position = x['position'] - x['position'].mean(1, keepdims=True)
    return jnp.concatenate([position, x['velocity'], x['charge'][..., None]], -1)


class Multiples(nn.Module):
    """Two multiples of its velocity for every particle: it goes straight on."""

    @nn.compact
    def __call__(self, x: Mapping[str, jax.Array]) -> jax.Array:
        gain = self.param('gain', common.zeros, (2, 1))
        return x['velocity'][:, :, None] * gain


class DeepSet(nn.Module):
    """Layers that read a particle and the mean of all.

    Attributes:
      layers: how many.
      hidden: their width.

    References:
      Zaheer et al., "Deep Sets", 2017, arXiv:1703.06114 (its equivariant layers).
    """
    layers: int
    hidden: int

    @nn.compact
    def __call__(self, x: Mapping[str, jax.Array]) -> jax.Array:
        """[B, P, 2, 3]."""
        h = invariants(x)
        for i in range(self.layers):
            every = nn.Dense(self.hidden, use_bias=False, name=f'every{i}')
            own = nn.Dense(self.hidden, name=f'own{i}')(h)
            h = jax.nn.relu(own + every(h.mean(1, keepdims=True)))
        out = nn.Dense(6, name='last')(h)
        return out.reshape(*out.shape[:2], 2, 3)


class Standardize(nn.Module):
    """Layer normalization."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return (x * (1 + self.param('gain', common.zeros, x.shape[-1:]))
                + self.param('shift', common.zeros, x.shape[-1:]))


class SetTransformer(nn.Module):
    """Blocks of attention of all particles to all, without regard to their order.

    Attributes:
      layers: how many blocks.
      hidden: their width.
      heads: of the attention.

    References:
      Lee et al., "Set Transformer: A Framework for Attention-based Permutation-Invariant Neural
      Networks", 2019, arXiv:1810.00825 (its SAB).
    """
    layers: int
    hidden: int
    heads: int

    @nn.compact
    def __call__(self, x: Mapping[str, jax.Array]) -> jax.Array:
        """[B, P, 2, 3]."""
        h = nn.Dense(self.hidden, name='first')(invariants(x))
        for i in range(self.layers):
            query, key, value = jnp.split(nn.Dense(3 * self.hidden, name=f'read{i}')(h), 3, -1)
            query, key, value = (v.reshape(*v.shape[:2], self.heads, -1)
                                 for v in (query, key, value))
            logits = jnp.einsum('bihc,bjhc->bhij', query, key) / query.shape[-1]**.5
            seen = jnp.einsum('bhij,bjhc->bihc', jax.nn.softmax(logits), value)
            seen = nn.Dense(self.hidden, name=f'write{i}')(seen.reshape(h.shape))
            h = Standardize(name=f'norm{i}')(h + seen)
            own = nn.Dense(self.hidden, name=f'own{i}')(h)
            h = Standardize(name=f'again{i}')(h + jax.nn.relu(own))
        out = nn.Dense(6, name='last')(h)
        return out.reshape(*out.shape[:2], 2, 3)


def _points(schema: Schema) -> int:
    """P, after a look at whether the data are particles."""
    found = dict(leaves(schema))
    wanted = [*(f'x/{name}' for name in INPUTS), *(f'target/{name}' for name in TARGETS)]
    if missing := [name for name in wanted if name not in found]:
        raise UserError(f'these networks need the column {missing[0]!r}, which the data has '
                        'not: choose another --config.kit.name, or a dataset of particles')
    return found['x/position'].shape[0] or 0


def _read(x: Any) -> dict[str, Any]:
    """Turns nested arrays of `INPUTS` into a batch."""
    x = {name: jnp.asarray(x[name], jnp.float32) for name in INPUTS}
    return {'x': x, 'weight': jnp.ones(len(x['charge']))}


def particle_kit(schema: Schema, module: nn.Module, width: int) -> Kit:
    """Makes a kit of one network that reads particles.

    Args:
      schema: of the data, with columns of `INPUTS` in 'x' and of `TARGETS` in 'target'.
      module: a linen module of x -> [B, P, 2, 3].
      width: of its features, for the kit to tell.

    Returns:
      A `Kit` with `predictor`.

    Raises:
      UserError: the data are no particles.
    """
    points = _points(schema)
    blank = {name: jnp.zeros((1, points, 3)[:2 if name == 'charge' else 3]) for name in INPUTS}

    def predictor():
        def apply(params, batch, key=None):
            out: Any = module.apply({'params': params}, batch['x'])
            return {name: out[:, :, i] for i, name in enumerate(TARGETS)}

        return Net(common.initializer(module, law, blank), apply)

    return Kit(0, width, schema, {'predictor': predictor}, Codec(_read))


def linear(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of `Multiples`; it has no sizes.

    The linear model of Fuchs et al. (2020), arXiv:2006.10503, has the time for its multiple;
    here it is learned.
    """
    return particle_kit(schema, Multiples(), 1)


def deepset(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of `DeepSet`.

    Args:
      schema: see `particle_kit`.
      config: layers 3, hidden 64.
    """
    hidden = config.get('hidden', 64)
    return particle_kit(schema, DeepSet(config.get('layers', 3), hidden), hidden)


def set_transformer(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of `SetTransformer`.

    Args:
      schema: see `particle_kit`.
      config: layers 3, hidden 64, heads 4.

    Raises:
      UserError: the heads do not divide the width.
    """
    hidden, heads = config.get('hidden', 64), config.get('heads', 4)
    _check_heads(hidden, heads, 'hidden')
    module = SetTransformer(config.get('layers', 3), hidden, heads)
    return particle_kit(schema, module, hidden)


def egnn(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of `Egnn`.

    Args:
      schema: see `particle_kit`.
      config: layers 3, hidden 64.
    """
    hidden = config.get('hidden', 64)
    return particle_kit(schema, Egnn(config.get('layers', 3), hidden), hidden)


def _check_heads(width: int, heads: int, name: str) -> None:
    if width % heads:
        raise UserError(f'kit.heads={heads} does not divide kit.{name}={width}: choose others')


def _fibers(schema: Schema, config: Mapping[str, Any], attention: bool) -> Kit:
    channels, degrees = config.get('channels', 8), config.get('degrees', 2)
    heads = config.get('heads', 2) if attention else 1
    if not 2 <= degrees <= DEGREES:
        raise UserError(f'kit.degrees={degrees}: give 2 to {DEGREES}, for degrees from 0')
    _check_heads(channels, heads, 'channels')
    module = SE3Transformer(config.get('layers', 2), channels, degrees, heads,
                            config.get('hidden', 32), attention)
    return particle_kit(schema, module, channels)


def tfn(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of `SE3Transformer` without attention, the tensor field network.

    Args:
      schema: see `particle_kit`.
      config: layers 2, channels 8, degrees 2, of features between layers; hidden 32, of the
        functions of the distance.

    Raises:
      UserError: degrees that there are not.
    """
    return _fibers(schema, config, False)


def se3(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the kit of `SE3Transformer`.

    Args:
      schema: see `particle_kit`.
      config: as for `tfn`, and heads 2.

    Raises:
      UserError: degrees that there are not, or heads that do not divide the channels.
    """
    return _fibers(schema, config, True)
