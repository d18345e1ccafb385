"""What a process says of itself while it works on a folder: its last sign of life, a file."""
import contextlib
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

BEAT = 10.         # seconds between two signs
SILENT = 60.       # seconds without one after which a process counts as gone
OLD = 3600.        # seconds after which the file of such a process is deleted
JOB = 'SLURM_ARRAY_JOB_ID', 'SLURM_ARRAY_TASK_ID'


class Pulse:
    """Writes, inside a `with` block, where its process stands; others read it with `beats`.

    Nothing is written before the first `begin`, and a folder that cannot be written is no
    reason to stop.

    Args:
      workdir: folder of the run.
      speaks: whether this process writes; asked when it begins something.
    """

    def __init__(self, workdir: pathlib.Path, speaks: Callable[[], bool] = lambda: True):
        self._speaks = speaks
        host, job = socket.gethostname(), [os.environ.get(name) for name in JOB]
        self._path = workdir / 'locks' / f'{host}.{os.getpid()}.json'
        self._at: dict[str, Any] = {'process': os.getpid(), 'host': host}
        if job[0]:
            self._at['job'] = '_'.join(filter(None, job))
        self._ended, self._thread = threading.Event(), None

    def __enter__(self) -> 'Pulse':
        self._ended, self._thread = threading.Event(), None
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            with contextlib.suppress(OSError):
                self._path.unlink()

    def begin(self, **what: Any) -> None:
        """Says what the process begins with: the fields of a beat."""
        if not self._speaks():
            return
        self._at = {**self._at, 'fraction': 0., 'text': '', **what}
        self._write()
        if self._thread is None:
            _sweep(self._path.parent)
            self._thread = threading.Thread(target=self._beat, name='vaebench is alive',
                                            daemon=True)
            self._thread.start()

    def tell(self, fraction: float, text: str) -> None:
        """Says how far it is; that stands in the file with the next beat."""
        self._at = {**self._at, 'fraction': fraction, 'text': text}

    def _beat(self):
        while not self._ended.wait(BEAT):
            self._write()

    def _write(self):
        new = self._path.with_suffix('.tmp')
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({**self._at, 'seen': time.time()}))
            os.replace(new, self._path)


def _sweep(folder):
    """Deletes the files of processes that were killed long ago."""
    for path in folder.glob('*.json'):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > OLD:
                path.unlink()


def beats(workdir: pathlib.Path) -> list[Mapping[str, Any]]:
    """Reads the last sign of life of every process that has not ended properly.

    Args:
      workdir: folder of a run.

    Returns:
      Dicts with 'process', 'host', 'seen' (seconds since 1970), 'table', 'row', 'seeds', 'hash'
      (of the row's config), 'train_hash', 'fraction', 'text' and, in a job array of SLURM,
      'job'.
    """
    found = []
    for path in sorted((workdir / 'locks').glob('*.json')):
        with contextlib.suppress(OSError, ValueError):
            found.append(json.loads(path.read_text()))
    return found
