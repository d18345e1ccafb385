"""Several processes as one run: how they start, agree, and notice that one is gone.

Every process takes the same steps. What depends on files, clocks or signals is decided by one
of them, or by all together, and each learns of it: `led`, `together` and `either`. In one
process these are plain calls.
"""
import contextlib
import contextvars
import itertools
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from vaebench.errors import LostError, UserError

T = TypeVar('T')
MODES = 'auto', 'on', 'off'
GONE = re.compile(r'gloo|nccl|connection|unavailable|heartbeat|socket', re.IGNORECASE)
"""What JAX says when another process does not answer."""
WAIT = 60          # seconds that `meet` waits
_alone = contextvars.ContextVar('alone', default=False)
_met, _joined = itertools.count(), []


# ---- start -----------------------------------------------------------------------------------

class Start(NamedTuple):
    """How the processes of a run find one another."""
    distributed: str = 'auto'          # one of MODES
    coordinator: str | None = None     # HOST:PORT of process 0
    processes: int | None = None
    process: int | None = None         # which of them this one is, from 0
    lost_after: int = 60               # seconds without a sign of life


def start(how: Start) -> None:
    """Joins the processes of a run, before anything else asks JAX for devices.

    'auto' joins what JAX itself detects (SLURM, TPU pods, Kubernetes, Open MPI), and stays one
    process where it detects nothing or a single process; 'on' refuses to stay alone.

    Args:
      how: the flags.

    Raises:
      UserError: the flags contradict one another, or the processes cannot be joined.
    """
    given = how.coordinator, how.processes, how.process
    if how.distributed not in MODES:
        raise UserError(f'distributed={how.distributed}: choose one of {", ".join(MODES)}')
    if how.distributed == 'off':
        return
    if None in given and given != (None,) * 3:
        raise UserError('--coordinator, --processes and --process belong together: give all '
                        'three, or none')
    try:
        found = _detected() if None in given else (*given, None)
        if found[0] is not None and (found[1] != 1 or how.distributed == 'on'):
            jax.distributed.initialize(
                *found, cluster_detection_method='deactivate',
                heartbeat_timeout_seconds=how.lost_after,
                shutdown_timeout_seconds=how.lost_after)
            _joined.append(True)
            return
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f'the processes of the run cannot be joined: {said}; check '
                        '--coordinator, --processes and --process, or give '
                        '--distributed=off') from error
    if how.distributed == 'on':
        raise UserError('distributed=on, and JAX detects no SLURM, TPU pod, Kubernetes or Open '
                        'MPI here: give --coordinator, --processes and --process')


def _detected():
    """(coordinator, processes, process, devices) as JAX detects them; Nones where it does not.

    Its own start would do the same, but narrow a single process to one of its GPUs.
    """
    from jax._src import clusters
    return clusters.ClusterEnv.auto_detect_unset_distributed_params(
        None, None, None, None, None, 300)


def stop() -> None:
    """Leaves a run that `start` joined, when all processes have come to its end."""
    if _joined:
        _joined.clear()
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()


def count() -> int:
    """How many processes the run has."""
    return jax.process_count()


def leader() -> bool:
    """Whether this process is the one that writes and prints."""
    return jax.process_index() == 0


# ---- agreement -------------------------------------------------------------------------------

@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Lets this process work without the others: nothing inside waits for them."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def _single():
    return _alone.get() or count() == 1


def led(fn: Callable[..., T], *args: Any) -> T:
    """Lets process 0 call fn(*args), and gives its value, or its error, to every process.

    Args:
      fn: reads or writes files, or asks the clock; it may call what is here, which then waits
        for nobody.
      *args: its arguments.

    Returns:
      What it gives; trees of arrays come as arrays of this process.

    >>> led(max, 1, 2)
    2
    """
    if _single():
        return fn(*args)
    value: Any = None
    error: BaseException | None = None
    if leader():
        value, error = _tried(fn, args)
    said = _spread(pickle.dumps((_plain(value), _portable(error))) if leader() else b'')
    if not leader():
        value, error = pickle.loads(said)
        value = _whole(value)
    if error is not None:
        raise error
    return value


def together(fn: Callable[..., T], *args: Any) -> T:
    """Lets every process call fn(*args) by itself; where it fails in one, it fails in all.

    Args:
      fn: reads what each host has, such as its data.
      *args: its arguments.

    Returns:
      What it gives in this process.
    """
    if _single():
        return fn(*args)
    value, error = _tried(fn, args)
    failed = _gathered(np.array([error is not None]))[:, 0]
    if not failed.any():
        return value
    first = int(np.argmax(failed))
    mine = first == jax.process_index()
    said = _spread(pickle.dumps(_portable(error)) if mine else b'', mine)
    raise error or pickle.loads(said)


def either(*flags: bool) -> tuple[bool, ...]:
    """Says of each flag whether it is true in any process.

    >>> either(False, True)
    (False, True)
    """
    if _single():
        return tuple(map(bool, flags))
    return tuple(_gathered(np.array(flags, bool)).any(0).tolist())


def check_same(value: Any, what: str) -> None:
    """Refuses a value that differs between processes.

    Args:
      value: that can be compared.
      what: it is, for the message.

    Raises:
      UserError: it differs.
    """
    if any(either(led(lambda: value) != value)):
        raise UserError(f'{what} of the processes differ: give all of them the same')


def meet(error: BaseException) -> None:
    """Waits until every process has met an error, as all do that take the same steps.

    Args:
      error: what was raised.

    Raises:
      LostError: the others do not come, or are gone.
    """
    if _single():
        return
    if isinstance(error, jax.errors.JaxRuntimeError) and GONE.search(str(error)):
        raise LostError from error
    from jax._src import distributed  # the one barrier that needs no devices
    client = distributed.global_state.client
    try:
        if client is not None:
            client.wait_at_barrier(f'vaebench-error-{next(_met)}', 1000 * WAIT)
    except Exception as late:
        raise LostError from late


def _tried(fn, args) -> tuple[Any, BaseException | None]:
    """(value, error) of a call without the others."""
    try:
        with alone():
            return fn(*args), None
    except BaseException as error:
        return None, error


def _portable(error):
    """An error that can be sent, without its cause and traceback."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f'{type(error).__name__}: {error}')


class _Key(NamedTuple):
    """A typed key on its way."""
    data: np.ndarray


def _plain(tree):
    def one(x):
        if not isinstance(x, jax.Array):
            return x
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return _Key(np.asarray(jax.random.key_data(x)))
        return np.asarray(x)

    return jax.tree.map(one, tree)


def _whole(tree):
    def one(x):
        return jax.random.wrap_key_data(jnp.asarray(x.data)) if isinstance(x, _Key) else x

    return jax.tree.map(one, tree, is_leaf=lambda x: isinstance(x, _Key))


def _gathered(flags) -> Any:
    """[processes, ...] of everyone's."""
    try:
        return np.asarray(multihost_utils.process_allgather(flags))
    except Exception as error:
        raise LostError from error


def _spread(data: bytes, source: bool | None = None) -> bytes:
    """The bytes that one process has, process 0 if None says it, in every process."""
    source = leader() if source is None else source
    try:
        size = int(multihost_utils.broadcast_one_to_all(np.uint32(len(data)), source))
        block = np.zeros(1 << max(size - 1, 1).bit_length(), np.uint8)   # few programs for all
        if source:
            block[:size] = np.frombuffer(data, np.uint8)
        return np.asarray(multihost_utils.broadcast_one_to_all(block, source))[:size].tobytes()
    except Exception as error:
        raise LostError from error
