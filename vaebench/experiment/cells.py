"""The cells of a table in a folder: where their files are, which are there, which missing."""
import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vaebench.engine import checkpoint
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.experiment.records import Manifest
from vaebench.experiment.spelling import seeds_of, spelled
from vaebench.experiment.table import Row, Table
from vaebench.files import user_path

PATTERN = re.compile(r'[][*?\\]')      # what Orbax would glob
GROUP = re.compile(r'\d+(\.\.\d+)?(-\d+(\.\.\d+)?)*')
LONGEST, FEW = 120, 20     # letters of a group's name; seeds that always fit


def usable(workdir: str | os.PathLike) -> pathlib.Path:
    """Reads the path of a workdir as a user writes it.

    Raises:
      UserError: checkpoints could not be read back from there.
    """
    path = user_path(workdir)
    if odd := PATTERN.search(str(path.absolute())):
        raise UserError(f'--workdir={workdir}: the path holds {odd[0]}, which a library below '
                        'takes for a pattern; choose one without []*?\\')
    return path


def cut(seeds: Iterable[int], width: int) -> list[tuple[int, ...]]:
    """Cuts seeds into groups of a width, or narrower ones where their name would be too long.

    >>> cut(range(5), 2)
    [(0, 1), (2, 3), (4,)]
    """
    rest = sorted(seeds)
    if len(spelled(rest)) > LONGEST:             # the name of a folder has its limits
        width = min(width, FEW)
    return [tuple(rest[i:i + width]) for i in range(0, len(rest), width)]


@dataclasses.dataclass
class Cells:
    """A table in a folder.

    Attributes:
      table: a `Table`.
      workdir: where everything of it is written.
    """
    table: Table
    workdir: pathlib.Path
    _together: dict[tuple[str, int], list[int]] = dataclasses.field(
        default_factory=dict, init=False, repr=False)

    def result_path(self, row: Row, seed: int) -> pathlib.Path:
        """Gives the path of a cell's result file."""
        return self.workdir / 'results' / f'{row.name}.s{seed}.{row.config_hash}.json'

    def model_path(self, row: Row, seed: int) -> pathlib.Path:
        """Gives the folder of a cell's trained parameters."""
        return self.workdir / 'models' / f'{row.name}.s{seed}.{row.train_hash}'

    def log_path(self, row: Row, seed: int) -> pathlib.Path:
        """Gives the path of a cell's curves, a JSON line an epoch."""
        return self.workdir / 'logs' / f'{row.name}.s{seed}.{row.train_hash}.jsonl'

    def listing_path(self, row: Row, seed: int) -> pathlib.Path:
        """Gives the path of the sentences to look at."""
        return self.workdir / 'listings' / f'{row.name}.s{seed}.{row.config_hash}.txt'

    def lock_path(self, row: Row, seed: int) -> pathlib.Path:
        """Gives the path of the lock that a process holds while it works on a cell."""
        return self.workdir / 'locks' / f'{row.name}.s{seed}.{row.train_hash}.lock'

    def group_path(self, row: Row, seeds: Iterable[int]) -> pathlib.Path:
        """Gives the folder of the checkpoints of seeds that train together."""
        known = self.checkpoints(row).get(tuple(seeds))      # its name may be of an older kind
        name = f'{row.name}.{row.train_hash}.s{spelled(seeds)}'
        return known or self.workdir / 'checkpoints' / name

    def partial_path(self, row: Row, seeds: Iterable[int]) -> pathlib.Path:
        """Gives the path of what an interrupted evaluation has done."""
        name = f'{row.name}.{row.config_hash}.e{spelled(seeds)}.npz'
        return self.workdir / 'checkpoints' / name

    def checkpoints(self, row: Row) -> dict[tuple[int, ...], pathlib.Path]:
        """Finds the interrupted groups of a row: {seeds: folder}."""
        found = {}
        pattern = f'{row.name}.{row.train_hash}.s*'
        for folder in sorted((self.workdir / 'checkpoints').glob(pattern)):
            text = folder.name.rsplit('.s', 1)[1]
            if GROUP.fullmatch(text):
                found[seeds_of(text)] = folder
        return found

    def is_trained(self, row: Row, seed: int) -> bool:
        """Says whether a cell's parameters are there."""
        return bool(checkpoint.numbers(self.model_path(row, seed)))

    def missing(self, row: Row) -> tuple[list[int], list[int]]:
        """Finds (seeds to train, seeds to evaluate)."""
        unfinished = [s for s in row.seeds if not self.result_path(row, s).exists()]
        return [s for s in unfinished if not self.is_trained(row, s)], unfinished

    def groups(self, row: Row, seeds: Iterable[int],
               width: int | None = None) -> list[tuple[int, ...]]:
        """Cuts seeds into groups: interrupted ones as they were, then the rest.

        Args:
          row: of the table.
          seeds: of the row.
          width: most of them at once; None asks the row.
        """
        left, out = set(seeds), []
        for group in self.checkpoints(row):
            if set(group) & left:
                out.append(group)
                left -= set(group)
        return out + cut(left, width or row.config['group'])

    def group_of(self, row: Row, seed: int) -> tuple[int, ...]:
        """Gives the seeds that trained with this one.

        They are evaluated together too, because the width changes the last bits.
        """
        if (row.name, seed) not in self._together:           # reading takes a moment
            host = checkpoint.peek(self.model_path(row, seed)) or {}
            self._together[row.name, seed] = host.get('seeds', [seed])
        return tuple(s for s in self._together[row.name, seed] if self.is_trained(row, s))

    def describe(self, everything: Table) -> dict[str, Any]:
        """Gives the table's entry in `<workdir>/table.json`: which cells make it up now.

        Args:
          everything: the same `Table` without a filter of rows; those of its rows that have a
            result here belong to the table too, so that jobs which train one row each fill one
            table.
        """
        asked = {row.name for row in self.table.rows}
        rows = [row for row in everything.rows if row.name in asked or any(
            self.result_path(row, s).exists() for s in row.seeds)]
        config = self.table.config
        read_by = {k: config[k] for k in ('primary', 'baseline') if config[k]}
        return {'table': self.table.name, 'title': self.table.title,
                'columns': list(self.table.columns), 'seeds': list(everything.seeds), **read_by,
                'rows': [{'row': r.name, 'label': r.label, 'order': r.order,
                          'hash': r.config_hash, 'published': list(r.published),
                          **({} if r.seeds == everything.seeds else {'seeds': list(r.seeds)})}
                         for r in rows]}

    def status(self) -> tuple[int, int, int]:
        """Counts (done, failed, missing) cells of the table."""
        paths = [self.result_path(row, seed) for row in self.table.rows
                 for seed in row.seeds]
        found = []
        for path in paths:
            with contextlib.suppress(UserError):         # a damaged file is no result
                found += [results.read(path).status] if path.exists() else []
        failed = found.count('failed')
        return len(found) - failed, failed, len(paths) - len(found)


def manifest(asked: Sequence[Cells], everything: Mapping[str, Table],
             before: Manifest | None) -> dict[str, Any]:
    """Gives the fields of `<workdir>/table.json`: the tables that a folder has.

    Args:
      asked: the tables that this run trains, which are of one folder.
      everything: name -> `Table` of the config, without a filter; those that have results here
        belong to the folder too.
      before: what stood there; its tables that the config does not know stay.

    Returns:
      The fields of a `records.Manifest`.
    """
    trained = {cells.table.name: cells for cells in asked}
    tables: list[Any] = []
    for name, table in everything.items():
        cells = trained.get(name) or Cells(table._replace(rows=()), asked[0].workdir)
        entry = cells.describe(table)
        tables += [entry] if name in trained or entry['rows'] else []
    kept = before.tables if before else ()
    return {'tables': [*tables, *(table for table in kept if table.table not in everything)]}
