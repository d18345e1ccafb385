"""Tables for a terminal."""
import io
from collections.abc import Sequence

from vaebench.report.formats.grid import LEFT, Piece, below, grid
from vaebench.report.tables import Table


def to_terminal(tables: Sequence[Table], color: bool = False, width: int | None = None) -> str:
    """Writes tables for a screen.

    Args:
      tables: the tables.
      color: whether to use the attributes of the terminal, such as bold.
      width: columns to wrap at; None for as many as a table needs.
    """
    from rich.console import Console
    out = io.StringIO()
    console = Console(file=out, force_terminal=color, width=width or 10_000, highlight=False,
                      color_system='standard' if color else None, markup=False, emoji=False,
                      legacy_windows=False)
    for i, table in enumerate(tables):
        console.print('\n' * (i > 0) + table.title)
        console.print(_rich_table(table))
        for line in below(table, '*'):
            console.print(line)
        for n, note in enumerate(table.notes, 1):
            console.print(f'[{n}] {note}')
    return ''.join(line.rstrip() + '\n' for line in out.getvalue().splitlines())


def _rich_table(table):
    """A table as rich's."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    # A space before what is aligned to the right takes half the time of rich's own padding.
    def text(piece: str | Piece, left: bool) -> Text:
        if isinstance(piece, str):
            return Text(piece if left else f' {piece}')
        main = Text(f' {piece.main}' + '*' * piece.best + '†' * piece.dagger,
                    style='bold' if piece.best else '')
        return main + Text(f'\n {piece.beside}', style='dim') if piece.beside else main

    headers, rows = grid(table)
    out = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    lefts = [header.name in LEFT for header in headers]
    for (name, unit, arrow), left in zip(headers, lefts, strict=True):
        head = [f'{name} {arrow}'.rstrip(), *filter(None, [unit])]
        out.add_column(Text('\n'.join(head if left else [f' {h}' for h in head])),
                       overflow='fold', max_width=44, justify='left' if left else 'right')
    for row in rows:
        out.add_row(*map(text, row, lefts))
    return out
