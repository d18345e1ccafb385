"""How the seeds of a group run: side by side or one by one, and on devices of their own."""
from collections.abc import Callable, Sequence

import jax
from jax.sharding import Mesh, PartitionSpec

from vaebench.engine.placement import SEED


def over_seeds(fn: Callable, in_axes: Sequence[int | None], how: str = 'vmap') -> Callable:
    """Makes `fn` of one seed a function of a group of seeds.

    Args:
      fn: function of one seed's arguments.
      in_axes: per argument, 0 where it has a leading seed axis and None where all seeds share
        it.
      how: 'vmap' runs the seeds side by side, which accelerators like; 'map' runs them one
        after the other in one dispatch, which is faster where batched products are slow (see
        benchmarks/throughput.py).

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
            return fn(*(next(own) if axis == 0 else arg
                        for arg, axis in zip(args, in_axes, strict=True)))

        own = tuple(arg for arg, axis in zip(args, in_axes, strict=True) if axis == 0)
        return jax.lax.map(one, own)

    return mapped


def over_devices(fn: Callable, in_axes: Sequence[int | None], where: Mesh | None) -> Callable:
    """Makes `fn` of some seeds a function of a group whose seeds lie on devices of their own.

    Each device sees its own seeds, so that nothing runs over an axis that is cut. What is
    inside a seed, such as its batch, stays for the compiler to place.

    Args:
      fn: function of a group's arguments, of any number of seeds: see `over_seeds`.
      in_axes: see `over_seeds`.
      where: a `Mesh` with the axis 'seed'; None changes nothing.

    Returns:
      Function of the whole group's arguments.
    """
    if where is None or where.shape[SEED] == 1:
        return fn
    own, shared = PartitionSpec(SEED), PartitionSpec()
    return jax.shard_map(fn, mesh=where, axis_names={SEED}, check_vma=False, out_specs=own,
                         in_specs=tuple(own if axis == 0 else shared for axis in in_axes))


def resolve(choice: str = 'auto') -> str:
    """The setting `seeds_by` as 'vmap' or 'map'; 'auto' is map on a CPU and vmap elsewhere.

    >>> resolve('vmap')
    'vmap'
    """
    if choice != 'auto':
        return choice
    return 'map' if jax.default_backend() == 'cpu' else 'vmap'
