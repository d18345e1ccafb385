"""What a run says while it works, and how it hears that it should stop."""
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vaebench.files import one_line

WARNINGS = signal.SIGUSR1, signal.SIGUSR2
"""Signals by which schedulers say that they will end a process soon."""
SIGNALS = signal.SIGTERM, signal.SIGINT, *WARNINGS
QUIET = 300.       # seconds without a line after which a row that trains says how far it is


class Speed:
    """How fast work of one kind goes: the seconds that some cells took, and the cells left."""

    def __init__(self, left: int = 0):
        self.left, self._cells, self._seconds = float(left), 0., 0.

    def add(self, seconds: float, cells: float, found: float = 0.) -> None:
        """Adds what was done; arguments as for `Progress.spent`."""
        self._seconds, self._cells = self._seconds + seconds, self._cells + cells
        self.left = max(0., self.left - cells - found)

    @property
    def seconds(self) -> float | None:
        """What the cells left will take at the mean speed so far; None where none was measured.

        >>> speed = Speed(left=5)
        >>> speed.add(60., 2.)
        >>> speed.seconds
        90.0
        """
        if not self.left:
            return 0.
        return self.left * self._seconds / self._cells if self._cells > 0 else None


class Progress:
    """Bars on a terminal; elsewhere a log line on stderr when training begins and for every
    phase and cell that is done.

    A line says how many cells are done, of how many, and how long the others will take: the
    cells left to train times the mean seconds that training a cell has taken in this run, parts
    of cells counted and compilation among them, and the same of evaluation. What was not
    measured yet is called so.

    Attributes:
      total: cells that are missing when this run begins.
      left: counts those that still are, whoever makes them; None: all but those that this run
        finished.
      silent: whether it says nothing.
    """

    def __init__(self, silent: bool = False):
        self.total, self._done, self.silent = 0, 0, silent
        self.left: Callable[[], int] | None = None
        self._speeds = {'training': Speed(), 'evaluation': Speed()}
        self._last, self._said = time.monotonic(), None
        self._bar: Any = None
        self._log: Any = None
        if sys.stderr.isatty() and not silent:
            from rich import progress as bars
            from rich.console import Console

            def text(field: str) -> bars.TextColumn:
                return bars.TextColumn(field, markup=False)      # labels may hold brackets

            self._bar = bars.Progress(
                text('{task.description}'), bars.BarColumn(), bars.TaskProgressColumn(),
                bars.TimeRemainingColumn(), text('{task.fields[text]}'),
                console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task, self._label = None, None
        else:
            self._log = _logger()

    def expect(self, untrained: int, unfinished: int) -> None:
        """Hears what is to be done.

        Args:
          untrained: cells to train.
          unfinished: cells to evaluate; so many this run has to make.
        """
        self.total = unfinished
        self._speeds = {'training': Speed(untrained), 'evaluation': Speed(unfinished)}
        self._last = time.monotonic()

    def __call__(self, label: str, fraction: float, text: str) -> None:
        """Shows how far a row is."""
        if self._bar is None:
            if self._said is None or time.monotonic() - self._said > QUIET:
                # what little the first line knows is mostly compilation
                self._say(f'{label}: {100 * fraction:.0f}%, {text}', self._said is not None)
            return
        if self._task is None or label != self._label:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._label = self._bar.add_task(label, total=1., text=text), label
        self._bar.update(self._task, completed=fraction, text=text)

    def spent(self, kind: str, cells: float, found: float = 0.) -> None:
        """Counts the time since the last call as spent on some cells.

        Args:
          kind: 'training' or 'evaluation'.
          cells: how many were done in that time, parts of them counted.
          found: how many more are done, by whoever was there before.
        """
        now = time.monotonic()
        self._speeds[kind].add(now - self._last, cells, found)
        self._last = now

    def finished(self, text: str, cells: int = 0) -> None:
        """Says what is done.

        Args:
          text: what.
          cells: how many cells it completes.
        """
        self._done += cells
        if self._bar is None:
            self._say(text)

    def _say(self, text, estimate=True):
        if self.silent:
            return
        self._said, done = time.monotonic(), self._done
        if self.left is not None:
            done = max(done, self.total - self.left())
        self._log.info('%s (%d of %d cells%s)', one_line(text), done, self.total,
                       self._left(self._share(done)) if estimate and done < self.total else '')

    def _share(self, done):
        """What this run will make of the cells that it expects, if others go on as they did."""
        if not self._done:
            return 1.
        return self._done / done * (self.total - done) / max(1, self.total - self._done)

    def _left(self, share):
        """', about 12 min left', or what of it is known."""
        found = {kind: speed.seconds for kind, speed in self._speeds.items()}
        unknown = [kind for kind, seconds in found.items() if seconds is None]
        known = share * sum(seconds for seconds in found.values() if seconds is not None)
        if not unknown:
            return f', about {duration(known)} left'
        if not known:
            return ', time left not measured yet'
        kinds = ' and '.join(kind for kind, seconds in found.items() if seconds)
        return f', about {duration(known)} of {kinds} left, {unknown[0]} not measured yet'

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()


def _logger():
    """A logger of absl's, with its prefix of level, date and time; it is nobody else's, so that
    what libraries log stays unsaid and their settings stay theirs.
    """
    from absl import logging as absl_logging
    log = absl_logging.ABSLLogger('vaebench', logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(absl_logging.PythonFormatter())
    log.addHandler(handler)
    return log


def duration(seconds: float) -> str:
    """Says a time in few letters.

    >>> duration(40), duration(720), duration(12600)
    ('40 s', '12 min', '3.5 h')
    """
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def _exit(number: int) -> None:
    os._exit(128 + number)


def _quiet(hook):
    """A hook that says nothing of an interrupt that fell into a callback of the collector:
    nobody can catch it there, and the signal is remembered.
    """
    def quiet(unraisable):
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)

    return quiet


class Stopped(list):
    """The signals that came: one and those that only warned before it, since a second ends the
    process, unless `again` says what it does.

    Attributes:
      silent: whether nothing is said of them.
    """

    def __init__(self, again: Callable[[int], None] = _exit):
        super().__init__()
        self._again, self._at_once, self.silent = again, False, False

    def __call__(self, number: int, frame: object) -> None:
        """Hears a signal.

        Raises:
          KeyboardInterrupt: the work under way looks nowhere whether it should stop.
        """
        if set(self) - set(WARNINGS):
            self._again(number)
        self.append(number)
        if len(self) > 1:              # it was warned, and is at it
            return
        if not self.silent:
            os.write(2, b'vaebench: stopping; once more stops at once\n')
        if self._at_once:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Lets a signal break off what is done inside, in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before, self._at_once = self._at_once, True
        hook, sys.unraisablehook = sys.unraisablehook, _quiet(sys.unraisablehook)
        try:
            if self:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once, sys.unraisablehook = before, hook


@contextlib.contextmanager
def signals(numbers: Sequence[int] = SIGNALS,
            again: Callable[[int], None] = _exit) -> Iterator[Stopped]:
    """Catches signals; afterwards their handlers are as before, however the block ends.

    Args:
      numbers: of the signals.
      again: called with the number of a signal that follows another; it ends the process, or
        raises.

    Yields:
      A list that the first signal is put into.
    """
    stopped = Stopped(again)
    if threading.current_thread() is not threading.main_thread():     # which alone has signals
        yield stopped
        return
    before = {number: signal.signal(number, stopped) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            # None is one that Python has not set
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
