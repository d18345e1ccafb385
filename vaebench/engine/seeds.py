"""How the seeds of a group run: side by side, or one after the other in one dispatch."""
from collections.abc import Callable, Sequence

import jax


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


def resolve(choice: str = 'auto') -> str:
    """The setting `seeds_by` as 'vmap' or 'map'; 'auto' is map on a CPU and vmap elsewhere.

    >>> resolve('vmap')
    'vmap'
    """
    if choice != 'auto':
        return choice
    return 'map' if jax.default_backend() == 'cpu' else 'vmap'
