"""What a run asks of JAX and of the machine: devices, settings, compiled programs, memory."""
import contextlib
import logging
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

from vaebench.errors import UserError
from vaebench.files import user_path

UNREADABLE = 'Error reading persistent compilation cache entry'
"""How JAX's warning of a damaged program begins."""
GIB = 2**30
AHEAD = 'vaebench compiles ahead'
"""Name of the threads that do so."""


def cache_folder() -> str:
    """Gives the default folder of compiled programs; an empty XDG_CACHE_HOME counts as none."""
    return os.path.join(os.environ.get('XDG_CACHE_HOME') or '~/.cache', 'vaebench/jax')


def check_devices() -> None:
    """Asks JAX for its devices, so that a variable which names others is said in a line.

    Raises:
      UserError: JAX cannot use the platforms that are asked for.
    """
    import jax
    try:
        jax.devices()
    except Exception as error:              # an AssertionError without a word among them
        asked = _asked()
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        if not asked:
            raise UserError(f'JAX finds no device: {said}') from error
        raise UserError(f'JAX_PLATFORMS={asked} cannot be used here ({said}); JAX finds '
                        f'{_found()}: unset JAX_PLATFORMS, or install the extra for the '
                        'accelerator (cuda13, cuda12 or tpu)') from error


def _asked() -> str | None:
    """What JAX_PLATFORMS, or a program, has asked JAX for."""
    import jax
    return getattr(jax.config, 'jax_platforms', None)


def _found() -> str:
    """The platforms that JAX finds when nothing is asked for."""
    import jax
    asked = _asked()
    level = logging.getLogger('jax').level
    logging.getLogger('jax').setLevel(logging.CRITICAL)
    try:
        jax.config.update('jax_platforms', None)
        return ', '.join(sorted({device.platform for device in jax.devices()}))
    except Exception:
        return 'none'
    finally:
        jax.config.update('jax_platforms', asked)
        logging.getLogger('jax').setLevel(level)


@contextlib.contextmanager
def settings(cache: str, debug: bool) -> Iterator[None]:
    """Sets up JAX: 32 bits, also in the products of accelerators, which would round them, and a
    folder of compiled programs; afterwards it is as before.

    Args:
      cache: the folder; '' for none.
      debug: whether to stop at the first NaN.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache
    wanted: dict[str, Any] = {'jax_debug_nans': debug, 'jax_enable_x64': False}
    if jax.default_backend() != 'cpu':      # networks may ask for less: `ops.precision`
        wanted['jax_default_matmul_precision'] = 'highest'
    if cache:
        wanted |= {'jax_compilation_cache_dir': str(user_path(cache)),
                   'jax_persistent_cache_min_compile_time_secs': 0.,
                   'jax_persistent_cache_min_entry_size_bytes': 0,
                   # they put the folder's path into every key: a moved folder would miss
                   'jax_persistent_cache_enable_xla_caches': 'none'}
    before = {name: getattr(jax.config, name) for name in wanted}

    def update(values: dict[str, Any]) -> None:
        for name, value in values.items():
            jax.config.update(name, value)
        if cache:
            compilation_cache.reset_cache()      # JAX looks for the folder once

    update(wanted)
    try:
        with _healing(cache):
            yield
    finally:
        update(before)


@contextlib.contextmanager
def _healing(cache: str) -> Iterator[None]:
    """Deletes damaged programs when JAX stumbles on one, so that it writes them anew."""
    before = warnings.showwarning

    def show(message, category, *args, **more):
        if cache and str(message).startswith(UNREADABLE):
            heal(cache)
        else:
            before(message, category, *args, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def heal(cache: str | os.PathLike) -> int:
    """Deletes compiled programs that cannot be unpacked.

    Args:
      cache: their folder.

    Returns:
      How many there were.
    """
    from jax._src import compilation_cache  # it alone knows how they are packed
    damaged = 0
    for path in pathlib.Path(user_path(cache)).glob('*-cache'):
        with contextlib.suppress(OSError):
            packed = path.read_bytes()
            try:
                compilation_cache.decompress_executable(packed)
            except Exception:                   # each packer has its own
                path.unlink(missing_ok=True)
                damaged += 1
    return damaged


def free_memory() -> int | None:
    """Gives the bytes that a program can still take, of the first device or of the host; None
    where the machine does not say.
    """
    import jax
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if 'bytes_limit' in stats:
        return int(stats['bytes_limit']) - int(stats.get('bytes_in_use', 0))
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = pathlib.Path('/proc/meminfo').read_text().splitlines()
        line = next(line for line in lines if line.startswith('MemAvailable:'))
        return int(line.split()[1]) * 1024
    return None


def too_large(what: str, needed: float) -> str | None:
    """Says that something will not fit into memory; None where it may.

    Args:
      what: for the message.
      needed: bytes at least.
    """
    free = free_memory()
    if free is None or needed <= free:
        return None
    return (f'{what} needs at least {needed / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free: '
            'lower group, batch or the sizes of the kit, or the process may be killed')
