"""Ranks of a table's rows by the metric that it is read by, and who cannot be told apart."""
from collections.abc import Sequence

from vaebench.experiment import families
from vaebench.experiment.columns import UNRANKED
from vaebench.report import statistics
from vaebench.report.columns import Column, merit
from vaebench.report.tables import Row, Table

NAMED = 6
"""So many rows of the best are named, the others counted."""


def read_by(table: Table) -> Column | None:
    """Gives the column of the primary metric, None where the table has none or hides it."""
    return next((c for c in table.columns if c.name == table.primary), None)


def field(table: Table) -> list[Row]:
    """Gives the rows that can be the best by the primary metric.

    They are of the estimator that most rows have, with no word such as 'collapsed' beside
    them and no warning; floors are not among them, nor is a row of one seed beside several.
    """
    column = read_by(table)
    if column is None or not column.better or column.name in UNRANKED:
        return []
    rows = [row for row in table.rows if _counts(row, column)]
    return [r for r in rows if len(r.cells[column.name].seeds) > 1] or rows


def _counts(row: Row, column: Column) -> bool:
    cell, floor = row.cells[column.name], families.FLOOR
    aside = row.why or floor in (row.family, *row.remark.split(', '))
    return bool(cell.seeds and not cell.warned and not aside
                and cell.estimator == column.estimator)


def ranks(table: Table) -> dict[str, tuple[int, int]]:
    """Ranks the rows that can be the best; those that cannot be told apart share a rank.

    The best row and all that tie with it (`statistics.ties`) are ranks 1 to n; of the rows that
    are left the best and all that tie with it come next, and so on.

    Args:
      table: the table.

    Returns:
      {row: (first, last) of its ranks}, without rows that have no rank; {} where the table has
      no primary metric, or fewer than two rows to rank.
    """
    left, column, out = field(table), read_by(table), {}
    if column is None or not column.better or len(left) < 2:
        return out
    good = merit(column.name, column.better)
    while left:
        values = [{s: good(v) for s, v in row.cells[column.name].seeds.items()} for row in left]
        tied = statistics.ties(values, 'higher')
        ends = len(out) + 1, len(out) + sum(tied)
        out |= {row.row: ends for row, same in zip(left, tied, strict=True) if same}
        left = [row for row, same in zip(left, tied, strict=True) if not same]
    return out


def undecided(table: Table) -> str:
    """Says which of the best rows cannot be told apart, '' where there is a clear winner."""
    column = read_by(table)
    if column is None:
        return ''
    ranked = field(table)
    best = [row for row in ranked if row.cells[column.name].best]
    if len(best) < 2:
        return ''
    counts = sorted({len(row.cells[column.name].seeds) for row in best})
    seeds = ' to '.join(str(n) for n in (counts[0], *counts[1:][-1:]))
    few = f'seed{"s" if counts[-1] > 1 else ""}'
    return (f'By {column.name} the best {len(best)} of the {len(ranked)} ranked rows cannot be '
            f'told apart with {seeds} {few}: {_listed([row.label for row in best])}.')


def _listed(names: Sequence[str]) -> str:
    """'a, b and c', of many names 'a, b and 5 more'."""
    shown = list(names) if len(names) <= NAMED else [
        *names[:NAMED - 1], f'{len(names) - NAMED + 1} more']
    return f'{", ".join(shown[:-1])} and {shown[-1]}'
