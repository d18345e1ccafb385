"""The cache of prepared files: complete or absent, checked on use, shared by all processes."""
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from vaebench import files
from vaebench.datasets.base import Folder
from vaebench.errors import UserError
from vaebench.files import hashes

MANIFEST = 'manifest.json'


def cache_folder(cache_dir: Folder = None) -> pathlib.Path:
    """`cache_dir`, or the default folder for prepared files."""
    if cache_dir is not None:
        return files.user_path(cache_dir)
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return files.user_path(home) / 'vaebench' / 'data'


def key(*what: Any) -> str:
    """Name of a cache folder for content that these values decide.

    >>> key('text_dir', False)
    '318cae2501ff8524'
    """
    return hashlib.sha256(repr(('1', *what)).encode()).hexdigest()[:16]


def array_sha256(a: np.ndarray) -> str:
    """Hash of an array's values as bytes, in hex."""
    return hashlib.sha256(np.ascontiguousarray(a, np.uint8).data).hexdigest()


def intact(folder: pathlib.Path) -> bool:
    """Whether every file of a prepared folder is as it was written."""
    try:
        return json.loads((folder / MANIFEST).read_text()) == hashes(folder, MANIFEST)
    except (OSError, ValueError):
        return False


def prepared(folder: pathlib.Path, write: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Makes sure of a prepared folder: an intact one stays, any other is written anew.

    The folder is written under another name and moved into place whole, one process at a time.
    Damaged files are replaced, never read.

    Args:
      folder: path of the prepared files; its last part should name the content it is made from.
      write: function of an empty folder, which it fills.

    Returns:
      `folder`.

    Raises:
      UserError: it cannot be written.
    """
    if intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with files.lock(folder.parent / '.lock', wait=True):
            if intact(folder):   # another process was quicker
                return folder
            for left in folder.parent.glob('.new-*'):       # of a process that died
                shutil.rmtree(left)
            new = folder.parent / f'.new-{os.getpid()}'
            new.mkdir()
            try:
                write(new)
                (new / MANIFEST).write_text(json.dumps(hashes(new, MANIFEST)))
                if folder.exists():
                    shutil.rmtree(folder)
                new.rename(folder)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
    except (OSError, RuntimeError) as e:    # array_record reports a full disk by the latter
        raise UserError(f'cannot prepare data in {folder.parent} ({str(e).splitlines()[0]}): '
                        'make room there, or set XDG_CACHE_HOME to another folder') from e
    return folder
