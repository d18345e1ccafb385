"""From a row's config to its training: programs, shared stages, progress and logs."""
import dataclasses
import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vaebench import core, files, methods, metrics
from vaebench.datasets import Dataset
from vaebench.engine import hosts, loop, order
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
                 width: int) -> Trainer:
    """Makes the `Trainer` of a row.

    Args:
      config: the row's, resolved.
      data: its dataset.
      parts: buckets of the splits 'train' and 'valid'.
      width: seeds that train together.

    Returns:
      A `Trainer`.
    """
    settings = Settings(config['epochs'], config['batch'], config['block'],
                        seeds_by=config['seeds_by'],
                        # every process has its part in it
                        mesh=config['mesh'] or ('auto' if hosts.count() > 1 else ''),
                        **config['protocol'])
    sizes = [count(b) for b in parts['train']]
    epoch = order.epoch_steps(sizes, settings.batch)
    recipe = core.Recipe(settings.epochs * epoch, epoch, sum(sizes),
                         optimizer(config['optimizer'], epoch))
    method = build(config, data.schema, recipe)

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


def progress(report: Callable[[str, float, str], None], finished: Callable[[str, int], None],
             label: str, method: core.Method
             ) -> Callable[[loop.Position, float, np.ndarray], None]:
    """What a run calls after each block: it reports the loss, and the speed since the first.

    Args:
      report: called with (label, done fraction, text).
      finished: called with (text, 0) when a phase gives way to the next.
      label: of the row.
      method: its `Method`.

    Returns:
      `loop.Options.on_block`.
    """
    begun, first, last = time.monotonic(), None, None

    def on_block(at, fraction, loss):
        nonlocal first, last
        if last is not None and at.phase != last.phase:
            gone = method.phases[last.phase].name
            finished(f'{label}: phase {gone} done, {last.steps} steps', 0)
        first, last = first or at, at
        steps = at.steps - first.steps if at.phase == first.phase else 0
        rate = steps / max(time.monotonic() - begun, 1e-9)
        speed = f', {rate:.0f} steps/s' if rate > 0 else ''
        name = method.phases[at.phase].name
        report(label, fraction, f'{name} loss {np.mean(loss):.3f}{speed}')

    return on_block


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
