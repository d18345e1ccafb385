"""The cells of several tables that an aggregate counts: one metric a table, row by row.

A cell counts where it has a number without a warning, by the estimator that the baseline has in
that table. Every other one is missing: it is named, and it counts as the worst. Denominators
are the same for every row: all tables, and in each all its rows and all its seeds. So no row
gains by its own missing cells, nor by those of others.
"""
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vaebench.errors import UserError
from vaebench.experiment.columns import merit
from vaebench.report.tables import GAP, Cell, Column, Row, Table


class Part(NamedTuple):
    """What one table gives."""
    table: str
    metric: str
    better: str
    count: int                  # of the table's own rows, with and without a number
    seeds: tuple[int, ...]      # of the cells that count
    values: np.ndarray          # [rows of the pool, seeds], nan where missing; larger is better


class Pool(NamedTuple):
    """The cells of several tables, row by row."""
    rows: tuple[str, ...]
    labels: tuple[str, ...]
    baseline: int               # its place among the rows
    parts: tuple[Part, ...]
    missing: tuple[tuple[str, ...], ...]    # of each row the lines that name its missing cells
    left_out: tuple[str, ...]   # lines: tables that do not count, and why

    @property
    def runs(self) -> int:
        """How many runs each row should have."""
        return sum(len(p.seeds) for p in self.parts)

    def present(self) -> np.ndarray:
        """How many it has: [rows, tables]."""
        return np.stack([(~np.isnan(p.values)).sum(1) for p in self.parts], 1)


class _Chosen(NamedTuple):
    """A table and the metric that counts in it."""
    table: Table
    column: Column
    cells: dict[str, Cell]      # {row: cell} of the cells that count


def _counts(table: Table, metric: str, baseline: str) -> dict[str, Cell]:
    """{row: cell} of the cells that count."""
    cells = {r.row: r.cells[metric] for r in table.rows if metric in r.cells and not r.version}
    if baseline not in cells:
        return {}
    return {r: c for r, c in cells.items() if c.seeds and c.summary and not c.warned
            and c.estimator == cells[baseline].estimator}


def _choose(table: Table, metrics: Sequence[str], baseline: str) -> _Chosen | str:
    """The first metric that counts in a table, or the reason why there is none."""
    if baseline not in [r.row for r in table.rows]:
        return f'no row {baseline!r}'
    names = metrics or ([table.primary] if table.primary else [])
    if not names:
        return 'its manifest names no primary metric'
    columns = {c.name: c for c in table.columns if c.better}
    for name in names:
        cells = _counts(table, name, baseline) if name in columns else {}
        main = cells[baseline].summary if len(cells) > 1 else None
        if main and main.mean:        # scores are relative to it
            return _Chosen(table, columns[name], cells)
    return f'no {" or ".join(names)} that {baseline!r} (not 0) and another row have'


def _reason(row: Row | None, column: Column, main: str) -> str:
    """Why a cell of a table does not count; `main` is the baseline's estimator."""
    if row is None:
        return 'not a row of this table'
    cell = row.cells[column.name]
    if row.version:
        return f'made by version {row.version}'
    if cell.summary is None:
        texts = [c.text for c in row.cells.values() if c.text not in ('', GAP)]
        if cell.text == GAP:
            return f'no {column.name}'
        return cell.text if cell.text == 'mixed' else texts[0]
    if cell.estimator != main:
        return f'{column.name} by {cell.estimator}'
    return f'{column.name} with a warning'


def _part(chosen: _Chosen, rows: Sequence[str], baseline: str,
          missing: Mapping[str, list[str]]) -> Part:
    """What a table gives to a pool of these rows; lines on missing cells go to `missing`."""
    table, column, cells = chosen
    seeds = tuple(sorted({s for c in cells.values() for s in c.seeds}))
    assert column.better is not None      # see `_choose`
    good = merit(column.name, column.better)
    own = {r.row: r for r in table.rows}
    values = np.full((len(rows), len(seeds)), np.nan)
    for at, r in enumerate(rows):
        if r not in cells:
            reason = _reason(own.get(r), column, cells[baseline].estimator)
            missing[r].append(f'{table.table}: {reason}')
            continue
        values[at] = [good(cells[r].seeds.get(s, np.nan)) for s in seeds]
        if len(cells[r].seeds) < len(seeds):
            missing[r].append(f'{table.table}: {len(cells[r].seeds)} of {len(seeds)} seeds')
    return Part(table.table, column.name, column.better, len(table.rows), seeds, values)


def _alike(chosen: Sequence[_Chosen]) -> tuple[list[_Chosen], list[str]]:
    """Those of the items and the metric that most tables have, and lines on the others."""
    kind = lambda c: (items(c.table), c.column.name)
    counts = Counter(map(kind, chosen))
    if len(counts) < 2:
        return list(chosen), []
    main = max(counts, key=lambda k: counts[k])      # the first of equals
    what = lambda k: f'{k[1]} of {k[0]}s' if k[0] else k[1]
    return ([c for c in chosen if kind(c) == main],
            [f'{c.table.table}: {what(kind(c))}, the others {what(main)}' for c in chosen
             if kind(c) != main])


def pool(tables: Sequence[Table], metrics: Sequence[str] = (),
         baseline: str | None = None) -> Pool:
    """Collects the cells that count, of one metric a table.

    Args:
      tables: with all their columns.
      metrics: names in order of preference: the first that the baseline and another row have;
        () for the `primary` metric of each table.
      baseline: id of the row that the others are compared with; None for that of most tables.

    Returns:
      The pool.

    Raises:
      UserError: no table has such a metric and the baseline.
    """
    named = Counter(t.baseline for t in tables if t.baseline).most_common(1)
    baseline = baseline or (named[0][0] if named else '')
    if tables and not baseline:
        raise UserError('nothing to aggregate (no manifest names a baseline); name one')
    left_out, chosen = [], []
    for table in tables:
        found = _choose(table, metrics, baseline)
        if isinstance(found, str):
            left_out.append(f'{table.table}: {found}')
        else:
            chosen.append(found)
    chosen, others = _alike(chosen)
    left_out += others
    if not chosen:
        why = '; '.join(left_out) or 'no table'
        raise UserError(f'nothing to aggregate ({why}); name another baseline or metric')
    labels = {r.row: r.label for c in reversed(chosen) for r in reversed(c.table.rows)}
    rows = tuple(dict.fromkeys(r.row for c in chosen for r in c.table.rows))
    missing = {r: [] for r in rows}
    parts = tuple(_part(c, rows, baseline, missing) for c in chosen)
    return Pool(rows, tuple(labels[r] for r in rows), rows.index(baseline), parts,
                tuple(map(tuple, missing.values())), tuple(left_out))


def items(table: Table) -> str:
    """Names what a table is of, as its units do: 'sentence', 'image', 'point' ...; '' for none.

    Only tables of the same items say something together.
    """
    found = (re.fullmatch('nats/(?!token)(.+)', column.unit) for column in table.columns)
    return next((match[1] for match in found if match), '')


def families(tables: Sequence[Table]) -> list[list[Table]]:
    """Groups tables that share their rows: over others an aggregate would say little.

    Args:
      tables: any tables.

    Returns:
      Groups, largest tables first: a table joins the first group whose first table has half of
      its rows, the same items and the same primary metric.
    """
    groups = []
    for table in sorted(tables, key=lambda t: -len(t.rows)):
        rows = {r.row for r in table.rows}
        for group in groups:
            alike = items(table) == items(group[0]) and table.primary == group[0].primary
            if alike and 2 * len(rows & {r.row for r in group[0].rows}) >= len(rows):
                group.append(table)
                break
        else:
            groups.append([table])
    return groups
