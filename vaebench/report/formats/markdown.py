"""Tables as GitHub's Markdown."""
import re
from collections.abc import Sequence

from vaebench.report.formats.grid import LEFT, Piece, below, grid, legend
from vaebench.report.tables import Table

# Signs that begin something in GitHub's Markdown; _ between letters, [ and & alone do not.
_INLINE = re.compile(r'[\\|*<>`~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[:]|&(?=#?\w+;)'
                     r'|://')
_BLOCK = re.compile(r'^(\d*)([#+=.)-])')


def _escape(text):
    return _INLINE.sub(r'\\\g<0>', ' '.join(text.split()))


def _cell(piece: str | Piece) -> str:
    if isinstance(piece, str):
        return _escape(piece)
    main = f'**{piece.main}**' if piece.best else _escape(piece.main)
    small = f' <sub>{piece.beside}</sub>' if piece.beside else ''
    return main + '†' * piece.dagger + small


def to_markdown(tables: Sequence[Table], noise: bool = False, notes: bool = True) -> str:
    """Writes tables as Markdown: a bold title, the table, and notes.

    Args:
      tables: the tables.
      noise: whether cells show the standard error over test examples.
      notes: whether the data, the estimators and footnotes stand below.
    """
    return '\n'.join(_table(table, noise, notes) for table in tables)


def _table(table: Table, noise: bool, notes: bool) -> str:
    headers, rows = grid(table, noise)
    rule = ['---' if header.name in LEFT else '---:' for header in headers]
    lines = [[_escape(str(header)) for header in headers], rule,
             *([_cell(piece if notes or isinstance(piece, str) else piece._replace(marks=''))
                for piece in row] for row in rows)]
    out = [f'**{_escape(table.title or table.table)}**', '']
    out += [f'| {" | ".join(line)} |' for line in lines]
    for line in below(table, 'Bold', noise) if notes else [legend(table, 'Bold', noise)]:
        out += ['', _BLOCK.sub(r'\1\\\2', _escape(line))]
    if table.notes and notes:
        out += ['', *(f'- [{i}] {_escape(note)}' for i, note in enumerate(table.notes, 1))]
    return '\n'.join(out) + '\n'
