"""Footnotes that would drown a table, left out of what people read."""
import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from vaebench.report import boards
from vaebench.report.tables import Row, Table

MANY = 12
"""More footnotes of one wording than this are left out of a column."""
_NUMBER = re.compile(r'[-+−]?\d+(\.\d+)?(e[-+]?\d+)?')


def thinned(table: Table) -> tuple[Table, list[str]]:
    """Leaves out the footnotes of a column's cells that differ in numbers alone, if many do.

    Args:
      table: the table.

    Returns:
      (table, lines: for each column that lost footnotes where they are).
    """
    rows, lines = list(table.rows), []
    for column in table.columns:
        wordings: dict[str, dict[int, None]] = defaultdict(dict)
        for row in rows:
            for note in row.cells[column.name].notes:
                wordings[_NUMBER.sub('#', table.notes[note - 1])][note] = None
        for same in wordings.values():
            if len(same) > MANY:
                rows = _without(rows, column.name, same)
                lines.append(
                    f'{column.name}: {len(same)} notes that differ in numbers alone, such as '
                    f'"{table.notes[min(same) - 1]}", are in --format=json and in the cells of '
                    '--format=html.')
    if not lines:
        return table, []
    columns, rows, notes = boards.renumbered(table.columns, rows, table.notes)
    return table._replace(columns=tuple(columns), rows=tuple(rows), notes=tuple(notes)), lines


def _without(rows: Sequence[Row], name: str, notes: Collection[int]) -> list[Row]:
    """Rows whose cells of a column lack some footnotes."""
    def kept(row: Row) -> Row:
        cell = row.cells[name]
        own = tuple(n for n in cell.notes if n not in notes)
        return row._replace(cells={**row.cells, name: cell._replace(notes=own)})

    return [kept(row) for row in rows]
