"""A trace of some train steps, to look at in Perfetto."""
import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from vaebench import core
from vaebench.errors import UserError

STEPS = re.compile(r'([1-9]\d*):([1-9]\d*)')
TRACE = 'perfetto_trace.json.gz'

OnBlock = Callable[[Any, float, np.ndarray], None]
"""`loop.Options.on_block`."""


def steps(text: str) -> tuple[int, int]:
    """Reads the train steps that are to be traced.

    Raises:
      UserError: it is no range of steps.

    >>> steps('100:120')
    (100, 120)
    """
    found = STEPS.fullmatch(text.strip())
    first, last = map(int, found.groups()) if found else (1, 0)
    if last < first:
        raise UserError(f'profile={text} is no range of train steps; write the first and the '
                        'last, counted from 1, like 100:120')
    return first, last


class Profile:
    """Traces steps `first` to `last` of the first group that takes them, over all its phases.

    Steps are dispatched in blocks, so the trace holds the whole blocks around them, and where
    an epoch cuts one short the block before. One that begins in the first block of a group
    holds the compilation of its programs too.

    Args:
      first, last: numbers of steps, from 1.
      folder: that the trace goes to, in one of its own.
      say: prints one line to the user.

    Attributes:
      done: whether there is nothing to do: the trace is there, or the first process of a run
        makes it.
    """

    def __init__(self, first: int, last: int, folder: str | os.PathLike,
                 say: Callable[[str], None] = print):
        self.first, self.last, self.folder, self.say = first, last, pathlib.Path(folder), say
        self.done, self._into = jax.process_index() > 0, None

    @contextlib.contextmanager
    def group(self, name: str, phases: tuple[core.Phase, ...], block: int) -> Iterator[OnBlock]:
        """Watches a group train.

        Args:
          name: of the group; it names the folder of its trace.
          phases: of its method.
          block: most steps of a dispatch.

        Yields:
          What the group calls after each block.
        """
        ends = list(itertools.accumulate(phase.steps for phase in phases))

        def next_block(taken):
            """Begins before the block that may reach `first`, ends after that with `last`."""
            reached = min([taken + block, *(end for end in ends if end > taken)])
            if self._into is not None and taken >= self.last:
                self._end()
            elif not self.done and self._into is None and (
                    taken < self.last and self.first <= reached <= ends[-1]):
                self._into = self.folder / f'{name}.{self.first}-{self.last}'
                options = jax.profiler.ProfileOptions()
                options.python_tracer_level = 0      # its own work would be most of the trace
                jax.profiler.start_trace(self._into, create_perfetto_trace=True,
                                         profiler_options=options)

        def on_block(at, fraction, loss):
            next_block((ends[at.phase - 1] if at.phase else 0) + at.steps)

        if self.first <= block:
            next_block(0)
        try:
            yield on_block
        finally:
            self._end()

    def _end(self):
        if self._into is None:
            return
        jax.profiler.stop_trace()
        path = max(self._into.rglob(TRACE), key=os.path.getmtime)
        self.done, self._into = True, None
        self.say(f'train steps {self.first} to {self.last} are traced in {path}: open it in '
                 'Perfetto')


@contextlib.contextmanager
def blocks(profile: Profile | None, name: str, trainer: Any, watch: OnBlock
           ) -> Iterator[OnBlock]:
    """Adds a profile to what hears of a group's blocks.

    Args:
      profile: where one is asked for and not done yet, else None.
      name: of the group.
      trainer: its `Trainer`.
      watch: hears of the blocks too.

    Yields:
      `loop.Options.on_block`.
    """
    if profile is None or profile.done:
        yield watch
        return
    with profile.group(name, trainer.method.phases, trainer.settings.block) as trace:
        def both(at, fraction, loss):
            watch(at, fraction, loss)
            trace(at, fraction, loss)

        yield both
