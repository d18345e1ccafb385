"""What the rows of a table need before anything is trained, and which of them cannot be."""
import collections
import contextlib
import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import datasets, files
from vaebench.engine import cost, fitting, hosts, loop, stream
from vaebench.engine.trainer import Trainer
from vaebench.errors import UserError
from vaebench.experiment import machine, results, training
from vaebench.experiment.cells import Cells, usable
from vaebench.experiment.table import Row, Table
from vaebench.methods.build import check


class Unusable(UserError):
    """The folder is of other data: no row may go on in it."""


def described(error: BaseException) -> str:
    """Says an error in one line.

    >>> described(ValueError('no\\nsuch thing'))
    'ValueError: no'
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        where = f' {error.filename}' if error.filename else ''
        return f'{error.strerror or error}{where}'
    first = (str(error).strip().splitlines() or [''])[0]
    text = files.one_line(f'{type(error).__name__}: {first}', 180)
    memory = isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in text
    return text + memory * ('; lower --config.evaluation.chunk, batch or group, or set '
                            'memory_gb, micro or stream')


def refuse(errors: Collection[BaseException], rows: int) -> None:
    """Ends a run that has no row left.

    Args:
      errors: why rows are refused.
      rows: how many there are in all.

    Raises:
      UserError: all of them are, for what is the user's to mend; it is the first reason.
    """
    if len(errors) == rows and all(isinstance(e, UserError | OSError) for e in errors):
        raise next(iter(errors))


@dataclasses.dataclass
class Prepared(Cells):
    """A table in a folder with the data and the programs of its rows.

    Attributes:
      data_dir: where the user's raw data lies, or None.
      deadline: `time.monotonic()` at which to have stopped, or None.
      stop: asked now and then; true ends the run like the deadline.
      interruptible: a context in which a signal may raise KeyboardInterrupt; data are read in
        it.
      say: prints one line to the user.
    """
    data_dir: str | None = None
    deadline: float | None = None
    stop: Callable[[], bool] = lambda: False
    interruptible: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    say: Callable[[str], None] = print

    def __post_init__(self):
        self.home = self.workdir = usable(self.workdir)      # judges lie in the first one
        self._data, self._made, self._making = {}, {}, threading.RLock()
        self._placed, self._large, self._widths = {}, {}, {}
        self.data_dir = None if self.data_dir is None else str(files.user_path(self.data_dir))
        self._refused, self._announced, self._waited = None, False, False

    def beside(self, table: Table, folder: str) -> Self:
        """Gives the same run of another table in a folder within this one's; they share data,
        programs and judges.
        """
        other = dataclasses.replace(self, table=table, workdir=self.workdir / folder)
        other.home, other._data = self.home, self._data
        other._made, other._making = self._made, self._making
        other._placed, other._large = self._placed, self._large
        return other

    def use(self, table: Table) -> None:
        """Goes on with rows of other settings."""
        if table != self.table:
            self.table, self._refused = table, None

    def _data_key(self, row):
        return files.canonical([row.config['dataset'], row.config['cuts']])

    def dataset(self, row: Row) -> tuple[datasets.Dataset, dict[str, list]]:
        """Loads the row's dataset, and its splits cut into length classes."""
        key = self._data_key(row)
        with self._making:
            if key not in self._data:
                try:
                    self._data[key] = hosts.together(self._load, row)
                    hosts.check_same(self._data[key][0].source.sha256, 'data')
                except (Exception, SystemExit) as error:
                    if isinstance(error, loop.OutOfTime):
                        raise
                    self._data[key] = error          # the next row of it need not try again
            found = self._data[key]
            if isinstance(found, BaseException):
                raise found
            return found

    def _load(self, row):
        options, cuts = dict(row.config['dataset']), row.config['cuts']
        name = options.pop('name')
        with self.interruptible(), files.patience(self._wait):
            data = datasets.load(name, data_dir=self.data_dir, **options)
        for split in datasets.SPLITS:
            if not data.source.sizes.get(split):
                raise UserError(f'dataset {name!r} has nothing in its split {split}')
        place = {s: {'index': np.arange(n, dtype=np.int32)}
                 for s, n in data.source.sizes.items()}
        parts = {s: datasets.buckets({**data.splits[s], **place[s]}, cuts, data.schema)
                 for s in ('valid', 'test')}
        return data, {**parts, 'train': data.buckets('train', cuts)}

    def _training_data(self, row):
        """The row's training data, length class by length class, and whether they stay on the
        host.
        """
        key, asked = self._data_key(row), row.config['stream']
        buckets = self.dataset(row)[1]['train']
        if asked == 'auto' and key not in self._large:
            self._large[key] = stream.large(cost.size(buckets), machine.free_memory())
        if asked == 'on' or (asked == 'auto' and self._large[key]):
            return buckets, True
        if key not in self._placed:          # once for all programs that read them
            self._placed[key] = [jax.tree.map(jnp.asarray, b) for b in buckets]
        return self._placed[key], False

    def trainer(self, row: Row, width: int) -> Trainer:
        """The row's `Trainer`, shared with rows that differ in numbers only."""
        return self._shared(row, width).trainer

    def _shared(self, row, width):
        key = training.programs_key(row.config), width
        with self._making:
            if key not in self._made:
                data, parts = self.dataset(row)
                buckets, on_host = self._training_data(row)
                trainer = training.make_trainer(row.config, data, {**parts, 'train': buckets},
                                                width, on_host)
                self._made[key] = training.Shared(trainer)
            return self._made[key]

    def fitting_groups(self, row: Row, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Cuts seeds into groups, narrow enough for the row's `memory_gb`, and says so.

        Raises:
          UserError: not even one seed fits.
        """
        groups, limit = self.groups(row, seeds), row.config['memory_gb'] * machine.GIB
        if not (groups and limit):
            return groups
        known = training.programs_key(row.config), row.config['group'], limit
        if known not in self._widths:
            asked = max(map(len, groups))
            self._widths[known] = self._width(row, asked, limit)
        return self.groups(row, seeds, self._widths[known])

    def _width(self, row, asked, limit):
        """How many seeds fit together; each guess is compiled."""
        width, first = asked, 0
        while (needed := fitting.need(self.trainer(row, width), self.numbers(row))) > limit:
            first = first or needed
            if width == 1:
                raise UserError(
                    f'one seed alone needs {needed / machine.GIB:.2f} GiB, and memory_gb='
                    f"{row.config['memory_gb']:g}: raise it, or set micro, remat=on, stream=on "
                    'or a smaller batch')
            width = fitting.narrower(width, needed, limit)
        if width < asked:
            self.say(f'{row.name}: {asked} seeds at once need {first / machine.GIB:.2f} GiB, '
                     f"and memory_gb={row.config['memory_gb']:g}: {width} at once train")
        return width

    def numbers(self, row: Row) -> dict[str, float]:
        """The traced numbers of a row."""
        return {**row.config['hp'], 'lr': row.config['optimizer']['lr'], 'lr_scale': 1.}

    def check_time(self) -> None:
        """Raises `loop.OutOfTime` when time is up."""
        late = self.deadline is not None and time.monotonic() + 2. > self.deadline
        if any(hosts.either(self.stop() or late)):
            raise loop.OutOfTime

    def _wait(self):
        """What is done now and then while another process prepares the same data."""
        if not self._waited:
            self.say('waiting for another process that prepares the same data')
        self._waited = True
        self.check_time()

    def check(self) -> Mapping[str, BaseException]:
        """Reads the data and builds every row as far as shapes go; nothing is written.

        Returns:
          {name of a row that is refused: why}.

        Raises:
          UserError: the cells that are there are of other data.
          loop.OutOfTime: time was up first.
        """
        if self._refused is None:
            refused = {}
            for row in self.table.rows:
                self.check_time()
                try:
                    self._check_row(row)
                except (loop.OutOfTime, Unusable):
                    raise
                except (Exception, SystemExit) as error:
                    refused[row.name] = error
            self._refused = refused
        return self._refused

    def announce(self) -> None:
        """Says once which rows are refused, those of one reason in one line."""
        alike = collections.defaultdict(list)
        for row in self.table.rows if not self._announced else ():
            if row.name in self.check():
                alike[described(self.check()[row.name])].append(row)
        for rows in alike.values():
            self.tell(rows, self.check()[rows[0].name])
        self._announced = True

    def _check_row(self, row):
        if not row.seeds:                    # of another shard
            return
        hosts.together(check, row.config)    # before any data is read
        self.dataset(row)
        hosts.led(self._check_results, row)
        for seeds in hosts.led(self.untrained, row)[:1]:
            hosts.together(self._check_shapes, row, len(seeds))

    def untrained(self, row: Row) -> list[tuple[int, ...]]:
        """Finds the groups of a row that are to be trained."""
        return self.fitting_groups(row, self.missing(row)[0])

    def _check_results(self, row):
        for path in (self.result_path(row, seed) for seed in row.seeds):
            if path.exists():
                self._same_data(row, results.read(path).dataset.sha256, path)

    def _check_shapes(self, row, width):
        """Builds a row's programs as far as shapes go, unless another row has them."""
        key = training.programs_key(row.config), width
        if key in self._made:
            return
        trainer = self.trainer(row, width)
        try:
            need = cost.size(trainer.shapes(self.numbers(row))) + cost.size(trainer.columns(0))
        except Exception:
            del self._made[key]
            raise
        if said := machine.too_large(f'{row.name}, {width} seeds at once,', need):
            self.say(said)

    def _same_data(self, row, sha256, where):
        if sha256 != self.dataset(row)[0].source.sha256:
            raise Unusable(f'{where} is of other data than the config and --data_dir name; '
                           'choose another --workdir')

    def tell(self, rows: Sequence[Row], error: BaseException) -> None:
        """Says why rows cannot be; the traceback of what nobody foresaw goes to a file."""
        names, reason = ', '.join(row.name for row in rows), described(error)
        if not isinstance(error, UserError | OSError) and hosts.leader():
            log = self.workdir / 'logs' / f'{rows[0].name}.{rows[0].train_hash}.error.txt'
            text = ''.join(traceback.format_exception(error))
            files.write_bytes(log, text.encode('utf-8', 'backslashreplace'))
            reason = f'{reason} (details in {log})'
        self.say(f'{names}: {reason}; the other rows go on')

    def plan(self) -> list[dict[str, Any]]:
        """One dict per cell: row, seed, state, seconds still to train and bytes, roughly."""
        speed, cells, needs, nothing = None, [], {}, {'seconds': 0., 'bytes': 0}
        for row in self.table.rows:
            self.check_time()
            refused, key = row.name in self.check(), training.programs_key(row.config)
            untrained, unfinished = map(set, self.missing(row))
            running = {s for group in self.checkpoints(row) for s in group}
            if untrained and not refused and key not in needs:
                speed = speed or cost.rate()
                needs[key] = cost.group(self.trainer(row, 1), self.numbers(row), speed)
            for seed in row.seeds:
                state = ('done' if seed not in unfinished else
                         'broken' if refused else
                         'trained' if seed not in untrained else
                         'running' if seed in running else 'missing')
                need = needs[key] if state in ('running', 'missing') else nothing
                cells.append({'row': row.name, 'seed': seed, 'state': state, **need})
        return cells
