"""Where work runs: a mesh of devices whose axes are a group's seeds and their batches."""
import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vaebench.errors import UserError

SEED, DATA = 'seed', 'data'
PART = re.compile(rf'({SEED}|{DATA}):([1-9]\d*)')
FORM = f'write it like {SEED}:2,{DATA}:4, or auto for all devices'


def read(text: str) -> dict[str, int]:
    """Reads the text of a mesh.

    Args:
      text: such as 'seed:2,data:4'; an axis that it does not name has size 1.

    Returns:
      {axis: size} of both axes.

    Raises:
      UserError: it is no such text.

    >>> read('data:4')
    {'seed': 1, 'data': 4}
    """
    parts = [PART.fullmatch(part.strip()) for part in text.split(',')]
    found = [(part[1], int(part[2])) for part in parts if part]
    if len(found) < len(parts) or len(dict(found)) < len(found):
        raise UserError(f'mesh={text}: {FORM}')
    return {SEED: 1, DATA: 1, **dict(found)}


def sizes(text: str, devices: int, seeds: int, batch: int) -> tuple[int, int] | None:
    """Gives the sizes of the axes that a group of seeds trains on.

    As many of the devices as divide the seeds are for seeds, up to the size that the text names
    for them, and the others share each batch.

    Args:
      text: see `read`; or 'auto', all devices or, where the seeds and the batch do not divide
        so, the most that they divide; '' is no mesh.
      devices: how many there are.
      seeds: G, of the group.
      batch: B, examples of a train step; 0 where nothing has to divide it.

    Returns:
      (size of 'seed', size of 'data'), None for no mesh.

    Raises:
      UserError: it is no such text, there are fewer devices, or the batch cannot be shared so.

    >>> sizes('seed:2,data:4', 8, 4, 64), sizes('seed:2,data:4', 8, 5, 64)
    ((2, 4), (1, 8))
    >>> sizes('auto', 8, 4, 64), sizes('auto', 8, 5, 64), sizes('auto', 8, 5, 3)
    ((4, 2), (1, 8), (5, 1))
    """
    if not text:
        return None
    if text == 'auto':
        every = (_split(total, total, seeds, batch) for total in range(devices, 0, -1))
        return next(found for found in every if found)
    asked = read(text)
    total = asked[SEED] * asked[DATA]
    if total > devices:
        raise UserError(f'mesh={text} takes {total} devices, and there are {devices}: name '
                        'fewer, or auto')
    found = _split(total, asked[SEED], seeds, batch)
    if found is None:
        share = total // math.gcd(asked[SEED], seeds)
        raise UserError(f'mesh={text}: {share} devices would share a batch of {batch}, which '
                        f'they do not divide ({seeds} seeds train together); choose another '
                        'batch, group or mesh')
    return found


def _split(total, most, seeds, batch):
    """(for seeds, for the batch) of so many devices, None where the batch does not divide."""
    across = math.gcd(most, seeds)
    return (across, total // across) if batch % (total // across) == 0 else None


def lay(text: str, seeds: int, batch: int, devices: Sequence[Any] | None = None) -> Mesh | None:
    """Lays devices out for a group of seeds.

    The axes are of type Auto: an LSTM's scans fail on Explicit ones.

    Args:
      text, seeds, batch: see `sizes`.
      devices: the devices; None means all of all processes.

    Returns:
      A `Mesh` of the axes 'seed' and 'data', None where one device is all.

    Raises:
      UserError: see `sizes`; or the devices of a process have no part in the mesh.
    """
    every = jax.devices() if devices is None else devices
    found = sizes(text, len(every), seeds, batch)
    if found is None or found == (1, 1):
        return None
    used = every[:math.prod(found)]
    owners = {device.process_index for device in used}
    if owners != {device.process_index for device in every}:
        raise UserError(f'mesh={text}: {seeds} seeds that train together and a batch of '
                        f'{batch} take {len(used)} of {len(every)} devices, and some process '
                        f'would have none; choose a batch that {len(every)} divides')
    return Mesh(np.array(used).reshape(found), (SEED, DATA), axis_types=(AxisType.Auto,) * 2)


def sharding(where: Mesh, *axes: str | None) -> NamedSharding:
    """Names the axes of the mesh that the leading axes of arrays lie on; the rest lie whole."""
    return NamedSharding(where, PartitionSpec(*axes))


def put(tree: Any, where: Mesh | None, *axes: str | None) -> Any:
    """Puts arrays that every process has alike on a mesh; those that lie there stay.

    Args:
      tree: pytree of arrays, typed keys among them.
      where: a `Mesh`; None leaves the tree as it is.
      *axes: see `sharding`; without any, every device has them whole.

    Returns:
      The same tree on the mesh's devices.
    """
    return tree if where is None else jax.tree.map(lambda x: _put(x, where, axes), tree)


def _put(x, where, axes):
    if isinstance(x, jax.Array) and getattr(x.sharding, 'mesh', None) == where:
        return x
    axes = axes[:np.ndim(x)]
    if _is_key(x):                    # whose data has an axis more, which is never cut
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), where, axes))
    placed = sharding(where, *axes)
    if jax.process_count() == 1:
        return jax.device_put(x, placed)
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, placed, lambda part: host[part])


def divide(tree: Any, where: Mesh | None, axis: int,
           before: Sequence[str | None] = ()) -> Any:
    """Puts arrays of a batch on a mesh, cut along the axis of examples, or whole where the
    devices do not divide it.

    Args:
      tree: pytree of arrays.
      where: a `Mesh`; None leaves the tree as it is.
      axis: number of the axis of examples.
      before: axes of the mesh that the axes before it lie on, see `put`.
    """
    if where is None:
        return tree
    sizes = {x.shape[axis] for x in jax.tree.leaves(tree)}
    ahead = [*before, *(None,) * (axis - len(before))]
    whole = any(size % where.shape[DATA] for size in sizes)
    return put(tree, where, *ahead, *(() if whole else (DATA,)))


def fetch(tree: Any) -> Any:
    """Brings arrays that lie on devices of other processes here, whole; every process calls it.

    Args:
      tree: pytree of arrays, typed keys among them.

    Returns:
      The same tree, of arrays that this process can read.
    """
    return jax.tree.map(_fetch, tree)


def _fetch(x):
    if not isinstance(x, jax.Array) or x.is_fully_addressable:
        return x
    if _is_key(x):
        return jax.random.wrap_key_data(_fetch(jax.random.key_data(x)))
    if x.is_fully_replicated:
        return np.asarray(x)
    return multihost_utils.process_allgather(x, tiled=True)


def _is_key(x):
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
