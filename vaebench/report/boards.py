"""What a reader sees of a table first: its most telling columns, the best rows on top."""
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from vaebench.experiment.columns import FLOOR, MOST, SHOWN, TELLING, merit
from vaebench.experiment.records import Metric
from vaebench.report import columns
from vaebench.report.columns import Cell, Column, Notes

if TYPE_CHECKING:
    from vaebench.report.tables import Row

Records = Mapping[str, tuple[str, Mapping[int, Metric]]]
"""{row: (label, {seed: record})} of one metric."""


def telling(present: Sequence[str], planned: Sequence[str], primary: str | None) -> list[str]:
    """Chooses the columns that a reader needs.

    Args:
      present: metrics that there are, in order.
      planned: those that the table's config names.
      primary: the metric that the table is read by, None for none.

    Returns:
      What the config names, where that is few enough; else the primary metric, and the most
      telling of the others.

    >>> telling(['elbo', 'kl', 'nll_iw', 'x_floor'], [], 'elbo')
    ['elbo', 'nll_iw', 'kl']
    """
    named = [m for m in planned if m in present]
    if named and len(planned) <= MOST:
        return named
    others = (m for m in present if not m.endswith(FLOOR))
    order = dict.fromkeys([*filter(None, [primary]), *TELLING, *others])
    return [m for m in order if m in present][:SHOWN]


def floors(found: Sequence[tuple[Column, Records]]) -> dict[str, Cell]:
    """Gives what real data have of each metric that has a floor.

    Args:
      found: of each metric its column, and of its floor the records.

    Returns:
      {metric: cell}.
    """
    out = {}
    for shown, records in found:
        _, cells = columns.column(shown.name + FLOOR, records, Notes())
        filled = [c for c in cells.values() if c.summary]
        if filled:
            most = max(filled, key=lambda c: sum(c.estimator == o.estimator for o in filled))
            out[shown.name] = most._replace(best=False, notes=())
    return out


def ranked(rows: Iterable['Row'], metric: str, better: str | None, values: Mapping[str, Cell],
           unranked: Collection[str]) -> list['Row']:
    """Sorts rows: by their means, then those whose numbers are not to be ranked, then the rest.

    Args:
      rows: of a table.
      metric, better: by which.
      values: {row: cell} of that metric.
      unranked: ids of rows that are not to be ranked.

    Returns:
      The rows.
    """
    good = merit(metric, better or 'higher')

    def place(row: 'Row') -> tuple[int, float, int]:
        cell = values.get(row.row)
        if cell is None or cell.summary is None:
            return 2, 0., row.order
        return int(cell.warned or row.row in unranked), -good(cell.summary.mean), row.order

    return sorted(rows, key=place)


def lifted(columns_: Sequence[Column], rows: Sequence['Row']
           ) -> tuple[list[Column], list['Row']]:
    """Moves a footnote that every number of a column has to the column's name.

    Args:
      columns_: of a table.
      rows: its rows.

    Returns:
      (columns, rows).
    """
    made, shared = [], {}
    for column in columns_:
        marks = [set(row.cells[column.name].notes) for row in rows
                 if row.cells[column.name].seeds and row.runs]
        shared[column.name] = set.intersection(*marks) if len(marks) > 1 else set()
        made.append(column._replace(notes=tuple(sorted(shared[column.name]))))

    def kept(name: str, cell: Cell) -> Cell:
        return cell._replace(notes=tuple(n for n in cell.notes if n not in shared[name]))

    return made, [row._replace(cells={name: kept(name, cell) for name, cell in
                                      row.cells.items()}) for row in rows]


def renumbered(columns_: Sequence[Column], rows: Sequence['Row'], texts: Sequence[str]
               ) -> tuple[list[Column], list['Row'], list[str]]:
    """Numbers footnotes in the order in which a reader meets them; others are left out.

    Args:
      columns_: of a table.
      rows: its rows.
      texts: the footnotes, number 1 first.

    Returns:
      (columns, rows, texts).
    """
    order: dict[int, int] = {}
    new = lambda old: order.setdefault(old, len(order) + 1)
    marks = lambda notes: tuple(sorted(map(new, sorted(notes))))
    made = [c._replace(notes=marks(c.notes)) for c in columns_]
    out = []
    for row in rows:
        cells = {c.name: row.cells[c.name]._replace(notes=marks(row.cells[c.name].notes))
                 for c in columns_}
        seeds = re.sub(r'\[(\d+)\]', lambda m: f'[{new(int(m[1]))}]', row.seeds)
        quoted = tuple((value, verdict, note and new(note))
                       for value, verdict, note in row.published)
        out.append(row._replace(cells=cells, seeds=seeds, published=quoted))
    return made, out, [texts[old - 1] for old in order]
