"""Saves and restores pytrees of arrays beside a JSON of plain values, through Orbax.

A tree is stored as its list of leaves: the reader knows the structure, and any NamedTuple,
empty or nested, survives. The hashes of all files are stored with them, and compared before
anything is read: a damaged checkpoint is passed over for the one before it.
"""
import contextlib
import errno
import json
import logging
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import files
from vaebench.errors import UserError

T = TypeVar('T')
MANIFEST = 'sha256.json'
OVERHEAD = 2**18       # bytes of a checkpoint's files besides its arrays, roughly
LATE = .1              # seconds in which they end that were under way when one failed


class DamagedError(UserError):
    """No checkpoint of a folder is as it was written: deleting the folder is the way on."""


def _is_key(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _orbax():
    import orbax.checkpoint as ocp
    for name in ('absl', 'asyncio'):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ocp


def _checkpointer():
    """What writes and reads here, without waiting for other processes: see `hosts.led`."""
    ocp, here = _orbax(), jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=here, active_processes={here})
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=alone),
        leaves=ocp.StandardCheckpointHandler(multiprocessing_options=alone),
        host=ocp.JsonCheckpointHandler(multiprocessing_options=alone))
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _line(error):
    """The first line of what a library had to say, or else the name of its error."""
    full = os.strerror(errno.ENOSPC)
    if full in str(error):                  # behind names of temporary files
        return full
    text = getattr(error, 'strerror', None) or str(error).strip().split('\n')[0][:200]
    return text or type(error).__name__


# ---- writing ---------------------------------------------------------------------------------

def save(folder: str | os.PathLike, tree: Any, host: dict[str, Any]) -> None:
    """Writes the next checkpoint under `folder`; the one before is kept beside it.

    Args:
      folder: path of this run's checkpoints.
      tree: pytree of arrays; typed keys are stored as their data.
      host: JSON-serializable dict.

    Raises:
      UserError: the disk is full or not writable.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder, {'w': jnp.ones(2)}, {'step': 7})
    ...     tree, host = restore(folder, lambda host: {'w': jnp.zeros(2)})
    >>> tree['w'].tolist(), host['step']
    ([1.0, 1.0], 7)
    """
    leaves = [np.asarray(jax.random.key_data(x) if _is_key(x) else x)
              for x in jax.tree.leaves(tree)]
    folder = pathlib.Path(folder).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, sum(x.nbytes for x in leaves) + OVERHEAD)
        number = max(numbers(folder), default=0) + 1
        new = folder / f'tmp-{number}'          # moved into place when its hashes are in it
        shutil.rmtree(new, ignore_errors=True)
        _write(new, leaves, host)
        files.write_bytes(new / MANIFEST, json.dumps(files.hashes(new, MANIFEST)).encode())
        new.rename(folder / str(number))
        for old in numbers(folder)[:-2]:
            shutil.rmtree(folder / str(old), ignore_errors=True)
    except Exception as error:          # a full disk: OSError, or ValueError of a library below
        raise UserError(f'cannot write the checkpoint {folder}: {_line(error)}; free some '
                        'space or choose another --workdir, then run the same command '
                        'again') from error
    finally:
        for rest in folder.glob('*tmp*') if folder.is_dir() else ():
            shutil.rmtree(rest, ignore_errors=True)


def _check_room(folder, wanted):
    """Refuses what cannot fit: a library below that meets a full disk says so in many words."""
    total, _, free = shutil.disk_usage(folder)
    if total and free < wanted:             # some network drives know neither
        raise OSError(errno.ENOSPC, f'no room: {wanted / 2**20:.1f} MiB are needed, '
                      f'{free / 2**20:.1f} are free')


@contextlib.contextmanager
def _quiet():
    """Keeps tracebacks off stderr when one of many reads or writes fails: each of the others
    finds that the loop which waited for it is closed.
    """
    before = sys.unraisablehook

    def hook(unraisable):
        if str(unraisable.exc_value) != 'Event loop is closed':
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    except Exception:
        time.sleep(LATE)
        raise
    finally:
        sys.unraisablehook = before


def _write(path, leaves, host):
    ocp = _orbax()
    named = {f'{i:05d}': x for i, x in enumerate(leaves)}
    with _quiet(), _checkpointer() as checkpointer:
        checkpointer.save(path, args=ocp.args.Composite(             # an empty tree is refused
            leaves=ocp.args.StandardSave({'count': np.array([len(leaves)]), **named}),
            host=ocp.args.JsonSave({**host, 'leaves': len(leaves)})))


# ---- reading ---------------------------------------------------------------------------------

def numbers(folder: str | os.PathLike) -> list[int]:
    """Lists the complete checkpoints in a folder, rising."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())


def peek(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Reads the JSON beside the newest checkpoint, without its arrays.

    Args:
      folder: path of this run's checkpoints.

    Returns:
      dict, or None where there is no checkpoint.

    Raises:
      DamagedError: there are checkpoints and all are damaged.
      UserError: one is as it was written, and yet cannot be read here.
    """
    return _newest(folder, _host, ignored='leaves/')


def restore(folder: str | os.PathLike, like: Callable[[dict], Any],
            say: Callable[[str], None] = lambda line: None
            ) -> tuple[Any, dict[str, Any]] | None:
    """Reads the newest checkpoint that is as it was written.

    Args:
      folder: path of this run's checkpoints.
      like: function host -> pytree of arrays or shapes with the structure that was saved.
      say: is told, in one line, of damaged checkpoints that were passed over.

    Returns:
      (tree, host), or None where there is no checkpoint.

    Raises:
      DamagedError: there are checkpoints and all are damaged.
      UserError: one is as it was written, and yet cannot be read here.
    """
    def read(path):
        host = _host(path)
        shapes, structure = jax.tree.flatten(like(host))
        if len(shapes) != host['leaves']:
            raise ValueError(f"{host['leaves']} arrays where {len(shapes)} belong")
        return jax.tree.unflatten(structure, _leaves(path, shapes)), host

    return _newest(folder, read, say=say)


def _newest(folder: str | os.PathLike, read: Callable[[pathlib.Path], T], ignored: str = '',
            say: Callable[[str], None] = lambda line: None) -> T | None:
    """`read(path)` of the newest checkpoint that is as it was written, or None."""
    folder = pathlib.Path(folder).absolute()
    damaged = []
    for number in reversed(numbers(folder)):
        path = folder / str(number)
        if reason := _damage(path, ignored):
            damaged.append(f'{number}/{reason}')
            continue
        for place in damaged:
            say(f'checkpoint {folder} is damaged ({place}): the one before it is used')
        return _readable(path, read)
    if damaged:
        raise DamagedError(f'checkpoint {folder} is damaged ({damaged[0]}); delete that folder '
                           'to train it again')
    return None


def _damage(path: pathlib.Path, ignored: str) -> str | None:
    """What of a checkpoint is not as it was written, by the hashes in it; None where all is.

    Those of earlier versions have no hashes.

    Args:
      path: of the checkpoint.
      ignored: how the paths of the files begin that are not looked at, '' for none.
    """
    name = MANIFEST
    try:
        if not (path / MANIFEST).exists():
            return None
        hashes = json.loads((path / MANIFEST).read_bytes())
        for name, digest in hashes.items():
            looked = not (ignored and name.startswith(ignored))
            if looked and files.sha256(path / name) != digest:
                return f'{name} is not as it was written'
    except PermissionError as error:
        raise UserError(f'cannot read {error.filename}: {error.strerror}') from error
    except OSError as error:
        return f'{name}: {_line(error)}'
    except (AttributeError, ValueError):      # no JSON any more, or another
        return f'{MANIFEST} is not as it was written'
    return None


def _readable(path, read):
    """`read(path)`; what it cannot read is no fault of files that are as they were written."""
    try:
        with _quiet():
            return read(path)
    except UserError:
        raise
    except Exception as error:
        name, said = type(error).__name__, _line(error)
        said = said if said.startswith(name) else f'{name}: {said}'
        whole = ', whose files are as they were written' if (path / MANIFEST).exists() else ''
        raise UserError(f'cannot read the checkpoint {path}{whole}: {said}; another version '
                        'may have written it, or a package or device is missing') from error


def _host(path):
    ocp = _orbax()
    args = ocp.args.Composite(host=ocp.args.JsonRestore())
    with _checkpointer() as checkpointer:
        return checkpointer.restore(path, args=args)['host']


def _leaves(path, shapes):
    """The arrays of a checkpoint, with the shapes and types that belong."""
    ocp = _orbax()
    bare = [jax.eval_shape(jax.random.key_data, x) if _dtype_is_key(x) else x for x in shapes]
    wanted = {f'{i:05d}': np.zeros(x.shape, x.dtype) for i, x in enumerate(bare)}
    args = ocp.args.Composite(
        leaves=ocp.args.StandardRestore({'count': np.zeros(1, int), **wanted}))
    with _checkpointer() as checkpointer:
        found = checkpointer.restore(path, args=args)['leaves']
    for name, shape in wanted.items():
        if found[name].shape != shape.shape:
            raise ValueError(f'an array of shape {found[name].shape} where {shape.shape} '
                             'belongs')
    arrays = [jnp.asarray(found[name]) for name in wanted]
    return [jax.random.wrap_key_data(array) if _dtype_is_key(x) else array
            for array, x in zip(arrays, shapes, strict=True)]


def _dtype_is_key(x):
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def remove(folder: str | os.PathLike | None) -> None:
    """Deletes a run's checkpoints."""
    if folder is not None:
        shutil.rmtree(os.fspath(folder), ignore_errors=True)
