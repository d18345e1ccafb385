"""Workers on one machine: processes of one command that share a table through its locks."""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from vaebench import console
from vaebench.errors import UserError

POLL = .1          # seconds between two looks at the workers
TOPOLOGY = pathlib.Path('/sys/devices/system/cpu')
OWN = re.compile(r'vaebench: |[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\] ')
"""How the lines of a worker begin: with its name, or with what absl writes before a line."""


def cores(workers: int) -> list[set[int]]:
    """Divides the cores of this process among workers, those of one socket and the threads of
    one core together.

    Args:
      workers: how many.

    Returns:
      Disjoint sets, of sizes that differ by one at most; empty ones where the system cannot
      bind a process to cores.

    Raises:
      UserError: there are fewer cores.
    """
    if not hasattr(os, 'sched_setaffinity'):
        return [set() for _ in range(workers)]
    every = sorted(os.sched_getaffinity(0), key=_place)
    if workers > len(every):
        raise UserError(f'workers={workers}, and this process may use {len(every)} cores: give '
                        'no more workers than that')
    return [set(every[len(every) * i // workers:len(every) * (i + 1) // workers])
            for i in range(workers)]


def _place(core):
    """(socket, core in it, number), as far as the system says."""
    topology = TOPOLOGY / f'cpu{core}' / 'topology'
    try:
        return (*(int((topology / name).read_text())
                  for name in ('physical_package_id', 'core_id')), core)
    except (OSError, ValueError):
        return 0, core, core


def gpus() -> list[str]:
    """Names the NVIDIA GPUs that JAX may use, without asking JAX, as CUDA_VISIBLE_DEVICES
    names them.
    """
    if os.environ.get('JAX_PLATFORMS') == 'cpu':
        return []
    if (named := os.environ.get('CUDA_VISIBLE_DEVICES')) is not None:
        return [name for name in named.split(',') if name.strip()]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, timeout=30,
                              check=True).stdout
        return [str(i) for i, line in enumerate(told.splitlines()) if line.startswith('GPU ')]
    return []


def environments(workers: int) -> list[dict[str, str]]:
    """Gives every worker variables of its own: which GPU it has, one after the other.

    Args:
      workers: how many.

    Raises:
      UserError: there are GPUs, and fewer than workers.
    """
    found = gpus()
    if not found:
        return [{} for _ in range(workers)]
    if workers > len(found):
        raise UserError(f'workers={workers}, and there are {len(found)} GPUs: give no more '
                        'workers than that, or set JAX_PLATFORMS=cpu')
    return [{'CUDA_VISIBLE_DEVICES': name} for name in found[:workers]]


@contextlib.contextmanager
def _bound(own: Iterable[int]) -> Iterator[None]:
    """Binds what this thread starts inside to some cores."""
    if not own:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, own)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(command: Sequence[str], own: Iterable[int],
          environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts a worker in a session of its own, where no key of a terminal reaches it.

    Args:
      command: its program and arguments.
      own: cores that it may use, all if there is none.
      environment: variables of its own.

    Returns:
      The process; its lines come from `stderr`.
    """
    with _bound(own):
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors='replace', start_new_session=True, env={**os.environ, **environment})


class Relay:
    """Passes on what workers say, a line at a time, each with the number of its worker.

    What several of them say alike is said once.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say, self._said, self._lock = say, {}, threading.Lock()

    def __call__(self, worker: int, lines: Iterable[str]) -> None:
        """Passes on the lines of a worker until it ends."""
        for line in lines:
            text = OWN.sub('', line.rstrip(), 1)
            with self._lock:
                if text and self._said.setdefault(text, worker) == worker:
                    self._say(f'worker {worker}: {text}')


def run(commands: Sequence[Sequence[str]], stopped: console.Stopped,
        say: Callable[[str], None]) -> list[int]:
    """Runs workers to their end; a signal that reaches this process reaches each of them.

    Args:
      commands: one a worker.
      stopped: the signals that came are added to it.
      say: prints one line to the user.

    Returns:
      Their exit codes, 128 + n of those that signal n ended.

    Raises:
      UserError: there are fewer cores or GPUs.
    """
    shares = list(zip(commands, cores(len(commands)), environments(len(commands)), strict=True))
    workers: list[subprocess.Popen[str]] = []

    def again(number: int) -> None:
        _send(workers, number)
        os._exit(128 + number)

    with console.signals(again=again) as heard:
        try:
            for share in shares:
                workers.append(start(*share))
            _follow(workers, heard, Relay(say))
        finally:
            _send(workers, signal.SIGTERM)
    stopped.extend(heard)
    return [_code(i, worker.returncode, say) for i, worker in enumerate(workers, 1)]


def _follow(workers, heard, relay):
    """Passes on lines and signals until all workers have ended."""
    threads = [threading.Thread(target=relay, args=(i, worker.stderr), daemon=True)
               for i, worker in enumerate(workers, 1)]
    for thread in threads:
        thread.start()
    sent = 0
    while any(worker.poll() is None for worker in workers):
        for number in heard[sent:]:
            _send(workers, number)
            sent += 1
        time.sleep(POLL)
    for thread in threads:
        thread.join()


def _send(workers, number):
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(number)


def _code(worker: int, code: int, say: Callable[[str], None]) -> int:
    """The exit code of a worker; the end of one that was killed is said."""
    if code >= 0:
        return code
    say(f'worker {worker}: ended by {signal.Signals(-code).name}, perhaps for want of memory; '
        'the same command goes on')
    return 128 - code


def command(argv: Sequence[str], *more: str) -> list[str]:
    """Gives the command of a process that does a part of another's work.

    Args:
      argv: arguments of the other, with its name first.
      *more: further flags, which go before those in `argv`.
    """
    return [sys.executable, '-m', 'vaebench', *argv[1:], '--launch=', '--notables', *more]
