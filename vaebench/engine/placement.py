"""Where work runs: seeds over a leading axis, batches over devices."""
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def over_seeds(fn, in_axes, how='vmap'):
    """`fn` for a group of seeds.

    Args:
      fn: function of one seed's arguments.
      in_axes: per argument, 0 where it has a leading seed axis and None where all seeds share it.
      how: 'vmap' runs the seeds side by side, which accelerators like; 'map' runs them one after the other in
        one dispatch, which is faster where batched products are slow (see benchmarks/throughput.py).

    Returns:
      Function of the group's arguments; outputs have a leading seed axis.

    >>> over_seeds(lambda a, b: a + b, (0, None), 'map')(jnp.arange(3), 10).tolist()
    [10, 11, 12]
    """
    if how == 'vmap':
        return jax.vmap(fn, in_axes=in_axes)

    def mapped(*args):
        def one(own):
            own = iter(own)
            return fn(*(next(own) if axis == 0 else arg for arg, axis in zip(args, in_axes, strict=True)))

        return jax.lax.map(one, tuple(arg for arg, axis in zip(args, in_axes, strict=True) if axis == 0))

    return mapped


def seeds_how(choice='auto'):
    """Resolves the setting `seeds_by`: 'vmap', 'map', or 'auto' (map on CPU, vmap elsewhere)."""
    if choice != 'auto':
        return choice
    return 'map' if jax.default_backend() == 'cpu' else 'vmap'


def mesh(devices=None):
    """One axis 'data' over all devices, of type Auto: the scans of an LSTM fail on Explicit axes.

    Args:
      devices: list of devices; None means all.

    Returns:
      A `Mesh`.
    """
    devices = np.array(jax.devices() if devices is None else devices)
    return Mesh(devices, ('data',), axis_types=(AxisType.Auto,))


def place_batches(idx, where):
    """Shards the batch axis (the last) of an index array over the mesh, when it divides.

    Args:
      idx: int32 [..., B].
      where: a `Mesh`.

    Returns:
      The array on the mesh's devices; replicated when B does not divide.
    """
    axes = [None] * idx.ndim
    if idx.shape[-1] % where.size == 0:
        axes[-1] = 'data'
    return jax.device_put(idx, NamedSharding(where, PartitionSpec(*axes)))


def replicate(tree, where):
    """Puts every leaf on all devices of the mesh.

    Args:
      tree: pytree of arrays.
      where: a `Mesh`.

    Returns:
      The same tree, replicated.
    """
    return jax.device_put(tree, NamedSharding(where, PartitionSpec()))
