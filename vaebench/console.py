"""What a run says while it works, and how it hears that it should stop."""
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from vaebench.files import one_line

SIGNALS = signal.SIGTERM, signal.SIGINT
QUIET = 300.       # seconds without a line after which a row that trains says how far it is


class Progress:
    """Bars on a terminal; elsewhere a line on stderr for every phase and cell that is done.

    Attributes:
      total: cells that this run has to make.
      silent: whether it says nothing.
    """

    def __init__(self, silent: bool = False):
        self.total, self._done, self.silent = 0, 0, silent
        self._begun = self._said = time.monotonic()
        self._bar = None
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

    def __call__(self, label: str, fraction: float, text: str) -> None:
        """Shows how far a row is."""
        if self._bar is None:
            if time.monotonic() - self._said > QUIET:
                self._say(f'{label}: {100 * fraction:.0f}%, {text}')
            return
        if self._task is None or label != self._label:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._label = self._bar.add_task(label, total=1., text=text), label
        self._bar.update(self._task, completed=fraction, text=text)

    def finished(self, text: str, cells: int = 0) -> None:
        """Says what is done.

        Args:
          text: what.
          cells: how many cells it completes.
        """
        self._done += cells
        if self._bar is None:
            self._say(text)

    def _say(self, text):
        if self.silent:
            return
        self._said = time.monotonic()
        left = ''
        if 0 < self._done < self.total:
            each = (self._said - self._begun) / self._done
            left = f', about {_duration(each * (self.total - self._done))} left'
        print(f'vaebench: {one_line(text)} ({self._done} of {self.total} cells{left})',
              file=sys.stderr, flush=True)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()


def _duration(seconds):
    """'40 s', '12 min' or '3.5 h'."""
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
    """The signals that came: one, since a second ends the process, unless `again` says what it
    does.

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
        if self:
            self._again(number)
        self.append(number)
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
