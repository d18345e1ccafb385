"""Files written whole or not at all, locks, and the one JSON text of a config with its hash."""
import contextlib
import contextvars
import errno
import hashlib
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import filelock

from vaebench.errors import UserError

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system answers that cannot lock."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
"""What a full disk answers."""
POLL = .1      # seconds between two tries of a lock


def plain(value: Any) -> Any:
    """Turns a value into what JSON would give back.

    Mappings become dicts, sequences and arrays lists, NumPy's scalars Python's.

    Args:
      value: nested mappings (ConfigDicts too), sequences, arrays, paths and scalars.

    Returns:
      Nested dicts with string keys, lists and scalars. A non-finite number stays one.

    Raises:
      TypeError: something in it has no JSON form that is sure to be the same every time.

    >>> plain({'a': (1, np.float32(0.5)), 2: np.arange(2)})
    {'a': [1, 0.5], '2': [0, 1]}
    """
    if hasattr(value, 'to_dict'):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, 'tolist'):        # before the scalars: NumPy's float64 is a float, too
        return plain(value.tolist())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f'{type(value).__name__} cannot be written to a result file')


def finite(value: Any, instead: Callable[[float], Any]) -> Any:
    """Replaces every non-finite float of a nested value.

    Args:
      value: nested dicts and lists, see `plain`.
      instead: gives what takes the float's place.

    Returns:
      The value with the replacements.

    >>> finite({'a': [1., float('inf')]}, str)
    {'a': [1.0, 'inf']}
    """
    if isinstance(value, dict):
        return {k: finite(v, instead) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v, instead) for v in value]
    return instead(value) if isinstance(value, float) and not math.isfinite(value) else value


def canonical(config: Any) -> str:
    """Writes a config as its one JSON text.

    Keys are sorted, there are no spaces, and non-finite numbers are strings.

    Args:
      config: see `plain`.

    Returns:
      The text.

    >>> canonical({'b': (1, 2.0), 'a': float('inf')})
    '{"a":"inf","b":[1,2.0]}'
    """
    return json.dumps(finite(plain(config), str), sort_keys=True, separators=(',', ':'),
                      allow_nan=False)


def config_hash(config: Any) -> str:
    """Gives the first ten hex digits of the sha256 of `canonical(config)`.

    >>> config_hash({'a': 1, 'b': 2}) == config_hash({'b': 2, 'a': 1})
    True
    """
    return hashlib.sha256(canonical(config).encode()).hexdigest()[:10]


def one_line(text: str, most: int | None = None) -> str:
    r"""Puts a text on one line, with nothing in it that a terminal would obey.

    Args:
      text: any text.
      most: its greatest length in characters; a longer text is cut.

    Returns:
      The line.

    >>> one_line('a\n  b\x1b[1m'), one_line('abcdefgh', 6)
    ('a b [1m', 'abc...')
    """
    if not text.isprintable():
        text = ''.join(c if c.isprintable() else ' ' for c in text)
    text = ' '.join(text.split())
    return text[:most - 3] + '...' if most and len(text) > most else text


def sha256(path: str | os.PathLike) -> str:
    """Hashes the bytes of a file, in hex."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def hashes(folder: str | os.PathLike, without: str = '') -> dict[str, str]:
    """Hashes every file of a folder, at any depth.

    Args:
      folder: where they lie.
      without: path inside the folder of the file that is left out: the one that holds these
        hashes.

    Returns:
      {path inside the folder: `sha256`}, sorted.
    """
    folder = pathlib.Path(folder)
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob('*') if p.is_file()}
    return {name: sha256(found[name]) for name in sorted(found) if name != without}


def user_path(path: str | os.PathLike) -> pathlib.Path:
    """Reads a path as a user writes it: ~ and ~name are home folders.

    Raises:
      UserError: there is no such home folder.

    >>> user_path('~/x') == pathlib.Path.home() / 'x'
    True
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(f'{path}: there is no such home folder; give the whole path') from None


def is_full(error: BaseException | None) -> bool:
    """Says whether a full disk is behind an error.

    >>> is_full(UserError('cannot write: No space left on device')), is_full(OSError(13, 'no'))
    (True, False)
    """
    while error is not None:
        said = str(error).lower()
        if getattr(error, 'errno', None) in _FULL or 'no space left' in said:
            return True
        error = error.__cause__ or error.__context__
    return False


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file whole or not at all: temporary file, fsync, rename.

    A file that holds this already is left alone, so that it may lie in a folder that cannot be
    written.

    Args:
      path: where; its folder is made if need be.
      data: the content.

    Raises:
      UserError: the file cannot be written; nothing is left of it.
    """
    path = pathlib.Path(path)
    if not path.name:
        raise UserError(f'{path}: a folder; name a file in it')
    with contextlib.suppress(OSError):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'wb') as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(f'{path}: cannot be written ({e.strerror}); make room or choose '
                        'another folder, then run the same command again') from None


_patience: contextvars.ContextVar[Callable[[], None]] = contextvars.ContextVar(
    'patience', default=lambda: None)


@contextlib.contextmanager
def patience(check: Callable[[], None]) -> Iterator[None]:
    """Lets whoever waits for a lock inside the block call `check` now and then.

    Args:
      check: raises when the wait is to end.
    """
    token = _patience.set(check)
    try:
        yield
    finally:
        _patience.reset(token)


@contextlib.contextmanager
def lock(path: str | os.PathLike, wait: bool = False) -> Iterator[bool]:
    """Takes a lock that dies with its process.

    Args:
      path: the lock file, which is made if need be and left in place.
      wait: whether to wait for another owner to let go; see `patience`.

    Yields:
      Whether the lock is ours until the block ends; always true after waiting.

    Raises:
      UserError: the file cannot be opened, or its file system cannot lock.
    """
    # A soft lock, the library's stand-in for a missing flock, would outlive a killed process.
    held = filelock.FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        while not _taken(held) and wait:
            _patience.get()()
            time.sleep(POLL)
    except OSError as e:
        if e.errno in _NO_LOCKS:
            raise UserError(f'{path}: this file system cannot lock ({e.strerror}); use a local '
                            'folder') from None
        raise UserError(f'{path}: cannot be opened ({e.strerror}); choose another '
                        'folder') from None
    try:
        yield held.is_locked
    finally:
        held.release()


def _taken(held):
    """Whether a lock could be taken at once."""
    try:
        held.acquire()
    except filelock.Timeout:
        return False
    return True
