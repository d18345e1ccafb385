"""Where work runs: batches over devices."""
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Makes one axis 'data' over devices, of type Auto: an LSTM's scans fail on Explicit axes.

    Args:
      devices: the devices; None means all.

    Returns:
      A `Mesh`.
    """
    every = np.array(jax.devices() if devices is None else devices)
    return Mesh(every, ('data',), axis_types=(AxisType.Auto,))


def place_batches(idx: jax.Array, where: Mesh) -> jax.Array:
    """Shards the batch axis (the last) of an index array over the mesh, when it divides.

    Args:
      idx: int32 [..., B].
      where: a `Mesh`.

    Returns:
      The array on the mesh's devices; replicated when B does not divide.
    """
    axes: list[str | None] = [None] * idx.ndim
    if idx.shape[-1] % where.size == 0:
        axes[-1] = 'data'
    return jax.device_put(idx, NamedSharding(where, PartitionSpec(*axes)))


def replicate(tree: Any, where: Mesh) -> Any:
    """Puts every leaf on all devices of the mesh.

    Args:
      tree: pytree of arrays.
      where: a `Mesh`.

    Returns:
      The same tree, replicated.
    """
    return jax.device_put(tree, NamedSharding(where, PartitionSpec()))
