"""The cells of a table in a folder: where their files are, which are there, which missing."""
import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

from vaebench.engine import checkpoint
from vaebench.experiment import results
from vaebench.experiment.table import Row, Table


@dataclasses.dataclass
class Cells:
    """A table in a folder.

    Attributes:
      table: a `Table`.
      workdir: where everything of it is written.
    """
    table: Table
    workdir: pathlib.Path

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

    def lock_path(self, row: Row) -> pathlib.Path:
        """Gives the path of the lock that a process holds while it works on a row."""
        return self.workdir / 'locks' / f'{row.name}.{row.train_hash}.lock'

    def group_path(self, row: Row, seeds: Iterable[int]) -> pathlib.Path:
        """Gives the folder of the checkpoints of seeds that train together."""
        name = f"{row.name}.{row.train_hash}.s{'-'.join(map(str, seeds))}"
        return self.workdir / 'checkpoints' / name

    def partial_path(self, row: Row, seeds: Iterable[int]) -> pathlib.Path:
        """Gives the path of what an interrupted evaluation has done."""
        name = f"{row.name}.{row.config_hash}.e{'-'.join(map(str, seeds))}.npz"
        return self.workdir / 'checkpoints' / name

    def checkpoints(self, row: Row) -> dict[tuple[int, ...], pathlib.Path]:
        """Finds the interrupted groups of a row: {seeds: folder}."""
        found = {}
        pattern = f'{row.name}.{row.train_hash}.s*'
        for folder in sorted((self.workdir / 'checkpoints').glob(pattern)):
            found[tuple(int(s) for s in folder.name.rsplit('.s', 1)[1].split('-'))] = folder
        return found

    def is_trained(self, row: Row, seed: int) -> bool:
        """Says whether a cell's parameters are there."""
        return bool(checkpoint.numbers(self.model_path(row, seed)))

    def missing(self, row: Row) -> tuple[list[int], list[int]]:
        """Finds (seeds to train, seeds to evaluate)."""
        unfinished = [s for s in self.table.seeds if not self.result_path(row, s).exists()]
        return [s for s in unfinished if not self.is_trained(row, s)], unfinished

    def groups(self, row: Row, seeds: Iterable[int]) -> list[tuple[int, ...]]:
        """Cuts seeds into groups: interrupted ones as they were, then the rest."""
        left, out = set(seeds), []
        for group in self.checkpoints(row):
            if set(group) & left:
                out.append(group)
                left -= set(group)
        rest, width = sorted(left), row.config['group']
        return out + [tuple(rest[i:i + width]) for i in range(0, len(rest), width)]

    def group_of(self, row: Row, seed: int) -> tuple[int, ...]:
        """Gives the seeds that trained with this one.

        They are evaluated together too, because the width changes the last bits.
        """
        host = checkpoint.peek(self.model_path(row, seed)) or {}
        return tuple(s for s in host.get('seeds', [seed]) if self.is_trained(row, s))

    def describe(self, everything: Table) -> dict[str, Any]:
        """Gives the table's entry in `<workdir>/table.json`: which cells make it up now.

        Args:
          everything: the same `Table` without a filter of rows; those of its rows that have a
            result here belong to the table too, so that jobs which train one row each fill one
            table.
        """
        asked = {row.name for row in self.table.rows}
        rows = [row for row in everything.rows if row.name in asked or any(
            self.result_path(row, s).exists() for s in everything.seeds)]
        config = self.table.config
        read_by = {k: config[k] for k in ('primary', 'baseline') if config[k]}
        return {'table': self.table.name, 'title': self.table.title,
                'columns': list(self.table.columns), 'seeds': list(self.table.seeds), **read_by,
                'rows': [{'row': r.name, 'label': r.label, 'order': r.order,
                          'hash': r.config_hash, 'published': list(r.published)}
                         for r in rows]}

    def status(self) -> tuple[int, int, int]:
        """Counts (done, failed, missing) cells of the table."""
        paths = [self.result_path(row, seed) for row in self.table.rows
                 for seed in self.table.seeds]
        found = [results.read(path).status for path in paths if path.exists()]
        failed = found.count('failed')
        return len(found) - failed, failed, len(paths) - len(found)
