"""From a row's config to its training: programs, shared stages, progress and logs."""
import dataclasses
import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import core, files, methods, metrics
from vaebench.datasets import Dataset
from vaebench.engine import fitting, hosts, loop, order
from vaebench.engine.optimizers import optimizer
from vaebench.engine.stages import Stage
from vaebench.engine.trainer import Settings, Trainer
from vaebench.experiment import config_keys
from vaebench.methods.build import build
from vaebench.schema import count

OWN = 'method', 'hp', 'options'    # what of `config_keys.TRAINING` a shared phase does not read
VALIDATION = 256                   # examples of the validation split at once


@dataclasses.dataclass
class Shared:
    """What rows that differ in numbers only share."""
    trainer: Trainer
    views: dict = dataclasses.field(default_factory=dict)   # compiled functions of evaluation
    reported: float = 0.           # seconds of compilation that a result says already


def programs_key(config: Mapping[str, Any]) -> str:
    """Names the programs of a row: rows with the same key share them.

    Args:
      config: a row's, resolved.

    Returns:
      A text.
    """
    factory = methods.find(config['method']).factory
    name = f'{factory.__module__}.{factory.__qualname__}'
    return files.canonical([config_keys.compiled(config), name, sorted(config['hp'])])


def make_trainer(config: Mapping[str, Any], data: Dataset, parts: Mapping[str, list],
                 width: int, stream: bool = False) -> Trainer:
    """Makes the `Trainer` of a row.

    Args:
      config: the row's, resolved.
      data: its dataset.
      parts: buckets of the splits 'train' and 'valid'.
      width: seeds that train together.
      stream: whether the training data stay on the host.

    Returns:
      A `Trainer`.
    """
    settings = Settings(config['epochs'], config['batch'], config['block'],
                        seeds_by=config['seeds_by'],
                        # every process has its part in it
                        mesh=config['mesh'] or ('auto' if hosts.count() > 1 else ''),
                        stream=stream, micro=config['micro'], precision=config['precision'],
                        **config['protocol'])
    sizes = [count(b) for b in parts['train']]
    epoch = order.epoch_steps(sizes, settings.batch)
    recipe = core.Recipe(settings.epochs * epoch, epoch, sum(sizes),
                         optimizer(config['optimizer'], epoch))
    method = build(config, data.schema, recipe)
    fitting.check_micro(method, settings.batch, settings.micro)

    def validator(evals, needs):
        return metrics.validator(evals, parts['valid'], needs, VALIDATION, data.decode)

    return Trainer(method, parts['train'], validator, settings, width, data.augment,
                   data.decode)


def stage(config: Mapping[str, Any], trainer: Trainer, seeds: Sequence[int], sha256: str,
          folder: pathlib.Path) -> Stage | None:
    """The first phases of a row, as far as they say that rows may share them.

    Args:
      config: the row's, resolved.
      trainer: its `Trainer`.
      seeds: of the group.
      sha256: of the data.
      folder: where stages are kept.

    Returns:
      A `Stage`, or None where no phase is shared.
    """
    declared = [phase.shared for phase in trainer.method.phases]
    shared = list(itertools.takewhile(lambda of: of is not None, declared))
    if not shared:
        return None
    table = {k: v for k, v in config_keys.parameters(config).items() if k not in OWN}
    name = files.config_hash({
        'phases': shared, 'table': table, 'seeds': list(seeds), 'by': trainer.how,
        'mesh': dict(trainer.mesh.shape) if trainer.mesh else {}, 'data': sha256})
    return Stage(len(shared), folder / name)


class Hooks(NamedTuple):
    """What hears how a run goes on; see `Runner`."""
    report: Callable[[str, float, str], None] = lambda label, fraction, text: None
    finished: Callable[[str, int], None] = lambda text, cells: None
    spent: Callable[[str, float, float], None] = lambda kind, cells, found: None


class Watch:
    """Follows a group's training: its loss, its speed, its phases, and its part of the work.

    Args:
      hooks: who hears of it.
      label: of the row.
      method: its `Method`.
      width: seeds that train together.
    """

    def __init__(self, hooks: Hooks, label: str, method: core.Method, width: int):
        self.hooks, self.label, self.method, self.width = hooks, label, method, width
        self._begun, self._first, self._last, self._gone = time.monotonic(), None, None, 0.

    def __call__(self, at: loop.Position, fraction: float, loss: np.ndarray) -> None:
        """Hears of a block: `loop.Options.on_block`."""
        phases, last = self.method.phases, self._last
        found = 0.
        if last is None and (at.phase, at.epoch, at.block) != (0, 0, 1):
            found = self._gone = fraction              # of a checkpoint or a shared stage
        self.hooks.spent('training', self.width * (fraction - self._gone), self.width * found)
        if last is not None and at.phase != last.phase:
            self._end(last)
        self._first, self._last, self._gone = self._first or at, at, fraction
        steps = at.steps - self._first.steps if at.phase == self._first.phase else 0
        rate = steps / max(time.monotonic() - self._begun, 1e-9)
        speed = f', {rate:.0f} steps/s' if rate > 0 else ''
        self.hooks.report(self.label, fraction,
                          f'{phases[at.phase].name} loss {np.mean(loss):.3f}{speed}')

    def _end(self, last):
        phases = self.method.phases
        self.hooks.finished(f'{self.label}: phase {phases[last.phase].name}, {last.phase + 1} '
                            f'of {len(phases)}, done after {last.steps} steps', 0)

    def close(self, seconds: float) -> None:
        """Hears that the group is trained.

        Args:
          seconds: of training, without compilation.
        """
        rest = self.width * (1 - self._gone)
        if self._last is None and any(phase.steps for phase in self.method.phases):
            self.hooks.spent('training', 0., rest)       # a checkpoint held the end
        else:
            self.hooks.spent('training', rest, 0.)
        self.hooks.finished(f'{self.label}: trained, {self.width} seeds, {seconds:.1f} s', 0)


def log(paths: Sequence[pathlib.Path], epoch: loop.Epoch) -> None:
    """Appends an epoch to the log of every seed that ran in it."""
    for g, path in enumerate(paths):
        if epoch.ran[g]:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open('a') as file:
                file.write(json.dumps(epoch.of(g)) + '\n')


def write_log(path: pathlib.Path, epochs: Sequence[Mapping[str, Any]]) -> None:
    """Writes a whole log again, so that epochs a killed run repeated stand in it once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.tmp')
    temporary.write_text(''.join(json.dumps(e) + '\n' for e in epochs))
    os.replace(temporary, path)
