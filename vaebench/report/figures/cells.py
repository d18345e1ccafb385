"""Cells of tables with the files that their runs left: what pictures are made from."""
import math
import pathlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.errors import UserError, unknown
from vaebench.experiment.records import ManifestRow, Result
from vaebench.files import one_line
from vaebench.report import tables

NO_PICTURE = 'nll', 'ess', 'listing'
"""Kinds of arrays that no picture shows."""


class Cell(NamedTuple):
    """One run of a row of a table."""
    table: str
    title: str                     # of the table
    row: str
    label: str                     # of the row
    number: int                    # of the row in the table, from 1
    seed: int
    failure: str = ''              # why the run failed, '' where it did not
    train_seconds: float | None = None
    hp: Mapping[str, Any] = {}     # hyperparameters
    units: Mapping[str, str] = {}  # of its metrics
    values: Mapping[str, float] = {}       # of its metrics that are finite
    path: pathlib.Path | None = None       # of its arrays
    listing: pathlib.Path | None = None    # of its sentences

    def arrays(self, *kinds: str) -> dict[str, np.ndarray]:
        """Reads the arrays of the run.

        Args:
          *kinds: first parts of the names of arrays; none for all that pictures show.

        Returns:
          {name: array}, empty where the run left none.

        Raises:
          UserError: the file is damaged.
        """
        if self.path is None:
            return {}
        try:
            with np.load(self.path) as kept:
                return {name: kept[name] for name in kept.files
                        if (kind := name.split('/')[0]) in kinds
                        or not kinds and kind not in NO_PICTURE}
        except (OSError, ValueError, EOFError, KeyError, MemoryError, NotImplementedError,
                zipfile.BadZipFile, zlib.error):
            raise UserError(f'{self.path}: not readable as arrays; move it and the .json of '
                            'that name away, and run the table again') from None


    def sentences(self) -> str:
        """Reads the listing: lines that a terminal would not obey; '' where there is none."""
        if self.listing is None:
            return ''
        text = self.listing.read_text(encoding='utf-8', errors='replace')
        return ''.join(''.join(c if c.isprintable() else ' ' for c in line) + '\n'
                       for line in text.split('\n')).removesuffix('\n')


def collect_cells(folders: Sequence[str | pathlib.Path], names: Sequence[str] = ()
                  ) -> tuple[dict[str, list[Cell]], list[str]]:
    """Collects the cells of every table of some folders.

    Args:
      folders: workdirs, or folders of result files with their arrays.
      names: ids of tables; () for all.

    Returns:
      ({table id: cells in the table's order}, problems: a line for each file left out).

    Raises:
      UserError: a folder is missing, there is no such table, or no result has arrays beside it.
    """
    found, plans, problems = tables.gather(folders)
    by_table = {}
    for one in found:
        by_table.setdefault(one.result.table, []).append(one)
    for name in names if found else ():
        if name not in by_table:
            raise unknown('table', name, list(by_table))
    out = {}
    for name in names or by_table:
        own = tables.one_dataset(by_table.get(name, []), problems)
        listed = plans[name].rows if name in plans else [f.result for f in own]
        own, _ = tables.one_setting(own, problems)
        out[name] = _cells(own, listed)
        lost = sum(cell.path is None for cell in out[name])
        if 0 < lost < len(own):
            problems.append(f'table {name!r}: {lost} of {len(own)} results have no .npz beside '
                            'them, so no pictures')
    every = [cell for cells in out.values() for cell in cells]
    if every and not any(cell.path for cell in every):
        raise UserError(f'no .npz beside the results of {", ".join(map(str, folders))}: '
                        'pictures need the workdir of the run, not copies of its .json files')
    return out, problems


def _cells(found: Iterable[tables.Found], listed: Iterable[ManifestRow | Result]
           ) -> list[Cell]:
    """The results of a table as cells; rows are numbered in the order of `listed`."""
    order = dict.fromkeys(row for _, row in sorted({(r.order, r.row) for r in listed}))
    numbers = {row: i for i, row in enumerate(order, 1)}      # the same as in `tables.Table`
    return [_cell(f, numbers.get(f.result.row, len(numbers) + 1)) for f in found]


def _cell(found: tables.Found, number: int) -> Cell:
    result, folder = found.result, found.path.resolve().parent.parent
    return Cell(
        table=result.table, title=one_line(result.title), row=result.row,
        label=one_line(result.label), number=number, seed=result.seed,
        failure=one_line(result.reason or '') if result.status != 'done' else '',
        train_seconds=result.times.train, hp=result.config.get('hp') or {},
        units={name: one_line(metric.unit) for name, metric in result.metrics.items()},
        values={name: metric.value for name, metric in result.metrics.items()
                if metric.value is not None and math.isfinite(metric.value)},
        path=_existing(found.path.with_suffix('.npz')),
        listing=_existing(folder / 'listings' / f'{found.path.stem}.txt'))


def _existing(path: pathlib.Path) -> pathlib.Path | None:
    return path if path.exists() else None
