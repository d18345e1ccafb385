"""Files written at once or not at all, locks, and the one JSON of a config with its hash."""
import contextlib
import fcntl
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Mapping

from vaebench.errors import UserError


def plain(value):
    """`value` as JSON would give it back: mappings to dicts, sequences and arrays to lists, scalars to Python's.

    Args:
      value: nested mappings (ConfigDicts too), sequences, arrays, paths and scalars.

    Returns:
      Nested dicts with string keys, lists and scalars. A non-finite number stays one.

    >>> plain({'a': (1, np.float32(0.5)), 2: np.arange(2)})
    {'a': [1, 0.5], '2': [0, 1]}
    """
    if hasattr(value, 'to_dict'):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, 'tolist'):
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f'{type(value).__name__} cannot be written to a result file')


def finite(value, instead):
    """`value` with every non-finite float replaced by `instead(float)`."""
    if isinstance(value, dict):
        return {k: finite(v, instead) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v, instead) for v in value]
    return instead(value) if isinstance(value, float) and not math.isfinite(value) else value


def canonical(config):
    """The one JSON string of a config: sorted keys, no spaces, non-finite numbers as strings.

    Args:
      config: see `plain`.

    Returns:
      str.

    >>> canonical({'b': (1, 2.0), 'a': float('inf')})
    '{"a":"inf","b":[1,2.0]}'
    """
    return json.dumps(finite(plain(config), str), sort_keys=True, separators=(',', ':'), allow_nan=False)


def config_hash(config):
    """The first ten hex digits of the sha256 of `canonical(config)`.

    >>> config_hash({'a': 1, 'b': 2}) == config_hash({'b': 2, 'a': 1})
    True
    """
    return hashlib.sha256(canonical(config).encode()).hexdigest()[:10]


def one_line(text, most=None):
    r"""Text on one line, with nothing in it that a terminal would obey.

    Args:
      text: str.
      most: characters; a longer text is cut.

    Returns:
      str.

    >>> one_line('a\n  b\x1b[1m'), one_line('abcdefgh', 6)
    ('a b [1m', 'abc...')
    """
    if not text.isprintable():
        text = ''.join(c if c.isprintable() else ' ' for c in text)
    text = ' '.join(text.split())
    return text[:most - 3] + '...' if most and len(text) > most else text


def write_bytes(path, data):
    """Writes a file at once or not at all: temporary file, fsync, rename.

    Args:
      path: where; its folder is made if need be.
      data: bytes.
    """
    path = pathlib.Path(path)
    if not path.name:
        raise UserError(f'{path}: a folder; name a file in it')
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
        raise UserError(f'{path}: cannot be written ({e.strerror}); make room or choose another folder, '
                        'then run the same command again') from None


@contextlib.contextmanager
def lock(path):
    """Tries to take a lock that dies with its process; never waits.

    Args:
      path: lock file; made if need be and left in place.

    Yields:
      bool: whether it is ours until the block ends.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as e:
        raise UserError(f'{path}: cannot be opened ({e.strerror}); choose another folder') from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except BlockingIOError:
            ours = False
        except OSError as e:
            raise UserError(f'{path}: this file system cannot lock ({e.strerror}); use a local folder') from None
        yield ours
    finally:
        os.close(handle)
