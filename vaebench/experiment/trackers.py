"""Curves and results in TensorBoard or Weights & Biases; nothing else knows of these.

A cell, one row with one seed, is one run there: after each epoch it has numbers
`PHASE/train/NAME` and `PHASE/valid/NAME` at the train step of all phases, and when it is
evaluated its metrics as `metric/NAME`. A killed run that goes on repeats the epochs since its
last checkpoint, with the same numbers at the same steps.
"""
import importlib
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from vaebench import files
from vaebench.engine import loop
from vaebench.errors import UserError, unknown
from vaebench.experiment.table import Row


class Cell(NamedTuple):
    """What a run is of."""
    table: str
    row: Row
    seed: int

    @property
    def name(self) -> str:
        """The name of the run, that of the cell's log."""
        return f'{self.row.name}.s{self.seed}.{self.row.train_hash}'


class Tracker:
    """Hears of epochs and results, and tells nobody."""

    def epoch(self, table: str, row: Row, seeds: Sequence[int], epoch: loop.Epoch) -> None:
        """Hears of an epoch of a group.

        Args:
          table: the name of its table.
          row: its row.
          seeds: of the group.
          epoch: what the curves say of it.
        """

    def result(self, table: str, row: Row, result: Mapping[str, Any]) -> None:
        """Hears of a finished cell.

        Args:
          table: the name of its table.
          row: its row.
          result: the fields of its `records.Result`.
        """

    def close(self) -> None:
        """Ends; runs of cells that are not finished stay to be gone on with."""


class Writer:
    """Writes the numbers of one cell."""

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Writes numbers of a train step."""
        raise NotImplementedError

    def finish(self, metrics: Mapping[str, float], step: int) -> None:
        """Writes the metrics, after which there is nothing more, and closes."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes, for now."""
        raise NotImplementedError


class Writers(Tracker):
    """One `Writer` for each cell under way.

    Args:
      make: cell -> its `Writer`.
      say: prints one line to the user. What fails is said once, and ends the tracking, not the
        training.
    """

    def __init__(self, make: Callable[[Cell], Writer], say: Callable[[str], None] = print):
        self._make, self._say, self._open, self._failed = make, say, {}, False

    def _do(self, work, *args):
        if self._failed:
            return
        try:
            work(*args)
        except Exception as error:
            self._failed = True
            reason = files.one_line(f'{type(error).__name__}: {error}', 200)
            self._say(f'no more tracking in this run, which goes on: {reason}')

    def _writer(self, cell):
        if cell.name not in self._open:
            self._open[cell.name] = self._make(cell)
        return self._open[cell.name]

    def _epoch(self, table, row, seeds, epoch):
        for g, seed in enumerate(seeds):
            if epoch.ran[g]:
                own = epoch.of(g)
                self._writer(Cell(table, row, seed)).write(
                    {f'{epoch.phase}/{part}/{name}': value for part in ('train', 'valid')
                     for name, value in own[part].items() if value is not None}, own['step'])

    def _result(self, table, row, result):
        cell = Cell(table, row, result['seed'])
        metrics = {f'metric/{name}': entry['value'] for name, entry in result['metrics'].items()
                   if entry['value'] is not None}
        self._writer(cell).finish(metrics, result['steps'])
        del self._open[cell.name]

    def epoch(self, table: str, row: Row, seeds: Sequence[int], epoch: loop.Epoch) -> None:
        """Writes an epoch of every seed that ran in it."""
        self._do(self._epoch, table, row, seeds, epoch)

    def result(self, table: str, row: Row, result: Mapping[str, Any]) -> None:
        """Writes the metrics of a cell."""
        self._do(self._result, table, row, result)

    def close(self) -> None:
        """Closes every run that is open."""
        for writer in self._open.values():
            self._do(writer.close)
        self._open = {}


class Several(Tracker):
    """Tells several trackers."""

    def __init__(self, trackers: Iterable[Tracker]):
        self._trackers = list(trackers)

    def epoch(self, table: str, row: Row, seeds: Sequence[int], epoch: loop.Epoch) -> None:
        """Tells them of an epoch."""
        for tracker in self._trackers:
            tracker.epoch(table, row, seeds, epoch)

    def result(self, table: str, row: Row, result: Mapping[str, Any]) -> None:
        """Tells them of a cell."""
        for tracker in self._trackers:
            tracker.result(table, row, result)

    def close(self) -> None:
        """Closes them."""
        for tracker in self._trackers:
            tracker.close()


# ---- the two that there are ------------------------------------------------------------------


class TensorBoard(Writer):
    """Events of a cell in `<folder>/<cell>`, for `tensorboard --logdir=<folder>`."""

    def __init__(self, library: Any, folder: pathlib.Path, cell: Cell):
        self._events = library.SummaryWriter(str(folder / cell.name))

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Writes numbers of a train step, where TensorBoard sees them at once."""
        for name, value in numbers.items():
            self._events.add_scalar(name, value, step)
        self._events.flush()

    def finish(self, metrics: Mapping[str, float], step: int) -> None:
        """Writes the metrics at the last step."""
        self.write(metrics, step)
        self.close()

    def close(self) -> None:
        """Closes the file; one that goes on has another beside it."""
        self._events.close()


class WandB(Writer):
    """A run of a cell in the project that has the name of its table.

    Where it goes, and whether it goes anywhere, is what Weights & Biases' own variables say:
    WANDB_MODE=offline keeps it in `<folder>/wandb`, to be sent by `wandb sync`.
    """

    def __init__(self, library: Any, folder: pathlib.Path, cell: Cell):
        folder.mkdir(parents=True, exist_ok=True)
        self._run = library.init(
            project=cell.table, name=cell.name, group=cell.row.name, dir=str(folder),
            id=files.config_hash([str(folder.absolute()), cell.table, cell.name]),
            config={'label': cell.row.label, 'seed': cell.seed,
                    **files.plain(cell.row.config)},
            resume='allow', reinit='create_new',
            settings=library.Settings(console='off', silent=True))      # ours is the log

    def write(self, numbers: Mapping[str, float], step: int) -> None:
        """Writes numbers of a train step."""
        self._run.log(dict(numbers), step=step)

    def finish(self, metrics: Mapping[str, float], step: int) -> None:
        """Writes the metrics into the summary."""
        self._run.summary.update(dict(metrics))
        self.close()

    def close(self) -> None:
        """Ends the run; one that goes on is resumed by its id."""
        self._run.finish()


KNOWN: Mapping[str, tuple[str, Callable[..., Writer], str]] = {
    'tensorboard': ('tensorboardX', TensorBoard, 'tensorboard'),
    'wandb': ('wandb', WandB, '.'),
}
"""Name -> the package that it needs, what writes a cell, and its folder in the workdir."""


def make(names: str, workdir: pathlib.Path, say: Callable[[str], None] = print) -> Tracker:
    """Makes what `--track` asks for; of several processes of one run the first alone tells.

    Args:
      names: 'tensorboard', 'wandb' or 'tensorboard,wandb'; '' for none.
      workdir: the folder that owns the run.
      say: prints one line to the user.

    Returns:
      A `Tracker`.

    Raises:
      UserError: there is no such tracker, or its package is not installed.
    """
    made: list[Tracker] = []
    for name in dict.fromkeys(part.strip() for part in names.split(',') if part.strip()):
        if name not in KNOWN:
            raise unknown('tracker', name, list(KNOWN))
        package, writer, folder = KNOWN[name]
        try:
            library = importlib.import_module(package)
        except ImportError as error:
            raise UserError(f'--track={name} needs the package {package}: '
                            f"pip install 'vaebench[{name}]'") from error
        made.append(_writers(library, writer, workdir / folder, say))
    return Several(made if jax.process_index() == 0 else ())


def _writers(library, writer, folder, say):
    return Writers(lambda cell: writer(library, folder, cell), say)
