"""Saves and restores pytrees of arrays beside a JSON of plain values, through Orbax.

A tree is stored as its list of leaves: the reader knows the structure, and any NamedTuple,
empty or nested, survives.
"""
import logging
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.errors import UserError


def _is_key(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _orbax():
    import orbax.checkpoint as ocp
    for name in ('absl', 'asyncio'):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ocp


def save(folder: str | os.PathLike, tree: Any, host: dict[str, Any]) -> None:
    """Writes the next checkpoint under `folder`; the one before is kept beside it.

    Args:
      folder: path of this run's checkpoints.
      tree: pytree of arrays; typed keys are stored as their data.
      host: JSON-serialisable dict.

    Raises:
      UserError: the disk is full or not writable.
    """
    ocp = _orbax()
    leaves = [np.asarray(jax.random.key_data(x) if _is_key(x) else x)
              for x in jax.tree.leaves(tree)]
    folder = pathlib.Path(folder).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / str(max(numbers(folder), default=0) + 1)
        named = {f'{i:05d}': x for i, x in enumerate(leaves)}
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(target, args=ocp.args.Composite(       # an empty tree is refused
                leaves=ocp.args.StandardSave({'count': np.array([len(leaves)]), **named}),
                host=ocp.args.JsonSave({**host, 'leaves': len(leaves)})))
        for old in numbers(folder)[:-2]:
            shutil.rmtree(folder / str(old), ignore_errors=True)
        for rest in folder.glob('*orbax-checkpoint-tmp*'):
            shutil.rmtree(rest, ignore_errors=True)
    except Exception as error:          # a full disk: OSError, or ValueError of a library below
        for rest in folder.glob('*tmp*') if folder.is_dir() else ():
            shutil.rmtree(rest, ignore_errors=True)
        reason = getattr(error, 'strerror', None) or str(error).strip().split('\n')[0][:200]
        raise UserError(f'cannot write the checkpoint {folder}: {reason}; free some space or '
                        'choose another --workdir, then run the same command again') from error


def numbers(folder: str | os.PathLike) -> list[int]:
    """Lists the complete checkpoints in a folder, rising."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())


def _newest(folder, read):
    """`read(checkpointer, path)` of the newest checkpoint that it can read, or None."""
    ocp = _orbax()
    folder = pathlib.Path(folder).absolute()
    reason = None
    for number in reversed(numbers(folder)):
        try:
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
                return read(checkpointer, folder / str(number))
        except Exception as error:      # every library below has its own for a damaged file
            reason = str(error).strip().split('\n')[0][:200]
    if reason is not None:
        raise UserError(f'checkpoint {folder} cannot be read ({reason}); delete that folder to '
                        'train it again')
    return None


def peek(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Reads the JSON beside the newest checkpoint, without its arrays.

    Args:
      folder: path of this run's checkpoints.

    Returns:
      dict, or None where there is no checkpoint.

    Raises:
      UserError: there are checkpoints and none can be read.
    """
    return _newest(folder, _host)


def _host(checkpointer, path):
    ocp = _orbax()
    args = ocp.args.Composite(host=ocp.args.JsonRestore())
    return checkpointer.restore(path, args=args)['host']


def restore(folder: str | os.PathLike,
            like: Callable[[dict], Any]) -> tuple[Any, dict[str, Any]] | None:
    """Reads the newest readable checkpoint.

    Args:
      folder: path of this run's checkpoints.
      like: function host -> pytree of arrays or shapes with the structure that was saved.

    Returns:
      (tree, host), or None where there is no checkpoint.

    Raises:
      UserError: there are checkpoints and none can be read.
    """
    ocp = _orbax()

    def read(checkpointer, path):
        host = _host(checkpointer, path)
        shapes, structure = jax.tree.flatten(like(host))
        if len(shapes) != host['leaves']:
            raise ValueError(f"{host['leaves']} arrays where {len(shapes)} belong")
        bare = [jax.eval_shape(jax.random.key_data, x) if _dtype_is_key(x) else x
                for x in shapes]
        wanted = {f'{i:05d}': np.zeros(x.shape, x.dtype) for i, x in enumerate(bare)}
        leaves = checkpointer.restore(path, args=ocp.args.Composite(
            leaves=ocp.args.StandardRestore({'count': np.zeros(1, int), **wanted})))['leaves']
        for name, shape in wanted.items():
            if leaves[name].shape != shape.shape:
                raise ValueError(f'an array of shape {leaves[name].shape} where {shape.shape} '
                                 'belongs')
        arrays = [jnp.asarray(leaves[name]) for name in wanted]
        leaves = [jax.random.wrap_key_data(array) if _dtype_is_key(x) else array
                  for array, x in zip(arrays, shapes, strict=True)]
        return jax.tree.unflatten(structure, leaves), host

    return _newest(folder, read)


def _dtype_is_key(x):
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def remove(folder: str | os.PathLike | None) -> None:
    """Deletes a run's checkpoints."""
    if folder is not None:
        shutil.rmtree(os.fspath(folder), ignore_errors=True)
