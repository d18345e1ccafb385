"""Tables as GitHub's Markdown."""
import re
import textwrap
from collections.abc import Sequence

from vaebench.report import ranks
from vaebench.report.formats.footnotes import thinned
from vaebench.report.formats.grid import (
    LEFT,
    Piece,
    arrow,
    below,
    fact,
    grid,
    join,
    legend,
    number,
)
from vaebench.report.tables import BASELINE, Cell, Column, Row, Table

# Signs that begin something in GitHub's Markdown; _ between letters, [ and & alone do not.
_INLINE = re.compile(r'[\\|*<>`~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[:]|&(?=#?\w+;)'
                     r'|://')
WIDE = 88              # columns of a first page
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
    table, elsewhere = thinned(table)
    headers, rows = grid(table, noise)
    rule = ['---' if header.name in LEFT else '---:' for header in headers]
    lines = [[_escape(str(header)) for header in headers], rule,
             *([_cell(piece if notes or isinstance(piece, str) else piece._replace(marks=''))
                for piece in row] for row in rows)]
    out = [f'**{_escape(table.title or table.table)}**', '']
    out += [f'| {" | ".join(line)} |' for line in lines]
    lines = [*below(table, 'Bold', noise), *elsewhere] if notes else [
        legend(table, 'Bold', noise), ranks.undecided(table)]
    for line in filter(None, lines):
        out += ['', _BLOCK.sub(r'\1\\\2', _escape(line))]
    if table.notes and notes:
        out += ['', *(f'- [{i}] {_escape(note)}' for i, note in enumerate(table.notes, 1))]
    return '\n'.join(out) + '\n'


def to_compact(tables: Sequence[Table]) -> str:
    """Writes tables as Markdown for a first page: method, metrics and seconds of training.

    A cell is the mean, with half of the range or interval over seeds; units, families and
    footnotes are left out. Below it stands which of the best rows cannot be told apart.

    Args:
      tables: the tables.
    """
    return '\n'.join(map(_compact, tables))


def _compact(table: Table) -> str:
    names = [join(c.name, arrow(c)) for c in table.columns]
    lines = [['method', *names, 'seconds'], ['---', *['---:'] * (len(names) + 1)]]
    lines += [[_named(row), *(_short(row.cells[c.name], c) for c in table.columns),
               fact(row, 'train')] for row in table.rows]
    said = ranks.undecided(table)
    below = ['', *textwrap.wrap(_escape(said), WIDE)] if said else []
    return '\n'.join([*(f'| {" | ".join(line)} |' for line in lines), *below]) + '\n'


def _named(row: Row) -> str:
    """'VAE (collapsed)'."""
    said = ', '.join(word for word in row.remark.split(', ') if word != BASELINE)
    return _escape(f'{row.label} ({said})' if said else row.label)


def _short(cell: Cell, column: Column) -> str:
    """'11.6 ± 0.1', bold where it is best."""
    if cell.summary is None:
        return _escape(cell.text)
    mean, ends = number(cell.summary.mean, column.digits), cell.summary.interval
    half = number((ends[1] - ends[0]) / 2, column.digits) if ends else ''
    text = f'{mean} ± {half}' if half.strip('0.') else mean
    return f'**{text}**' if cell.best else text
