"""Tables for a terminal: as wide as it is, and no number folded."""
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vaebench.report import boards
from vaebench.report.formats.footnotes import thinned
from vaebench.report.formats.grid import LEFT, Header, Piece, below, grid, join
from vaebench.report.published import SAME
from vaebench.report.tables import Table

GAP = '  '
NAME, NARROW, WORDS = 32, 14, 44
"""Width of the column of methods, most and least; most of other columns of words."""
BOLD, DIM, PLAIN = '\x1b[1m', '\x1b[2m', '\x1b[0m'


class _Layout(NamedTuple):
    """How much of a table is shown."""
    units: bool             # below the names of the metrics
    small: bool             # ranges over seeds, below the numbers
    family: bool            # the column of families
    least: int              # width of the column of methods, unless they are shorter


LAYOUTS = (_Layout(True, True, True, NAME), _Layout(False, True, True, NARROW),
           _Layout(False, True, False, NARROW), _Layout(False, False, True, NARROW),
           _Layout(False, False, False, NARROW))
"""From everything to numbers alone: a table has the first that fits."""


def to_terminal(tables: Sequence[Table], color: bool = False, width: int | None = None,
                noise: bool = False) -> str:
    """Writes tables for a screen.

    A table that is too wide leaves out units, families, and the ranges over seeds, in that
    order, and says so; what is wider still goes below itself in parts. Names of methods wrap
    between words, numbers never.

    Args:
      tables: the tables.
      color: whether to use the attributes of the terminal, such as bold.
      width: columns to stay within; None for as many as a table needs.
      noise: whether cells show the standard error over test examples.
    """
    text = '\n'.join(_table(table, width, noise) for table in tables)
    if not color:
        text = re.sub('\x1b\\[[0-9]m', '', text)
    return ''.join(line.rstrip() + '\n' for line in text.splitlines())


def _table(table: Table, width: int | None, noise: bool) -> str:
    quoted = not table.brief or any(verdict == SAME for row in table.rows
                                    for _, verdict, _ in row.published)
    table, elsewhere = thinned(table if quoted else _unquoted(table))
    headers, rows = grid(table, noise)
    parts, layout = _parts(headers, rows, width)
    lines = [*_wrapped(table.title, width)]
    for part in parts:
        lines += ['', *part]
    lines.append('')
    left_out = [] if layout.small else [*_missing(rows)]
    for line in (*left_out, *below(table, '*', noise, not layout.units), *elsewhere):
        lines += _wrapped(line, width)
    if table.more:
        lines += _wrapped(f'More with --columns=all: {", ".join(table.more)}.', width)
    for n, note in enumerate(table.notes, 1):
        lines += _wrapped(f'[{n}] {note}', width, ' ' * (len(str(n)) + 3))
    return '\n'.join(lines) + '\n'


def _unquoted(table: Table) -> Table:
    """A table without published numbers, none of which is comparable, and without the footnotes
    that say why.
    """
    rows = [row._replace(published=()) for row in table.rows]
    columns, rows, notes = boards.renumbered(table.columns, rows, table.notes)
    return table._replace(columns=tuple(columns), rows=tuple(rows), notes=tuple(notes),
                          sources=())


def _wrapped(text: str, width: int | None, indent: str = '') -> list[str]:
    """A text in lines."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(width, 2 * NARROW), subsequent_indent=indent,
                         break_on_hyphens=False) or ['']


# ---- columns ---------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A column as lines of text."""
    head: list[str]
    cells: list[list[str]]
    left: bool

    @property
    def width(self) -> int:
        """The longest line's."""
        return max(_len(line) for lines in (self.head, *self.cells) for line in lines or [''])


def _len(text: str) -> int:
    """How many columns of a screen a text takes."""
    from rich.cells import cell_len
    return cell_len(re.sub('\x1b\\[[0-9]m', '', text))


def _styled(text: str, style: str) -> str:
    return f'{style}{text}{PLAIN}' if text else ''


def _number(piece: Piece, small: bool) -> list[str]:
    """The lines of a number: itself, and what stands beside it in small letters."""
    main = piece.main + '*' * piece.best + '†' * piece.dagger
    main = _styled(main, BOLD) if piece.best else main
    if not small:
        return [main + piece.marks]
    beside = _styled(piece.beside, DIM)
    return [main, beside] if beside else [main]


def _column(header: Header, cells: Iterable[str | Piece], layout: _Layout) -> _Column:
    left = header.name in LEFT
    head = [join(header.name, header.arrow), *[header.unit] * (layout.units and not left)]
    lines = []
    for cell in cells:
        if isinstance(cell, Piece):
            lines.append(_number(cell, layout.small))
        else:
            lines.append(textwrap.wrap(cell, WORDS, break_on_hyphens=False) if left else [cell])
    return _Column([h for h in head if h], lines, left)


def _methods(header: Header, cells: Iterable[str | Piece], most: int) -> _Column:
    """The column of methods, in which words wrap; what is to be said of one stands below it."""
    lines = []
    for cell in cells:
        name, said = (cell.main, cell.small) if isinstance(cell, Piece) else (cell, '')
        wrap = lambda text, indent: textwrap.wrap(text, most, subsequent_indent=indent,
                                                  initial_indent=indent, break_on_hyphens=False)
        lines.append([*wrap(name, ''), *(_styled(line, DIM) for line in wrap(said, '  '))])
    return _Column([header.name], lines, True)


# ---- what fits -------------------------------------------------------------------------------


def _parts(headers: Sequence[Header], rows: Sequence[Sequence[str | Piece]],
           width: int | None) -> tuple[list[list[str]], _Layout]:
    """(the table, or parts of it one below the other, as lines; what is in them)."""
    names = [row[0] for row in rows]
    longest, word = _longest(names)
    for layout in LAYOUTS:
        columns = _columns(headers, rows, layout)
        room = _room(columns, width)
        if room >= max(min(layout.least, longest), word):
            first = _methods(headers[0], names, min(NAME, room) if width else 10_000)
            return [_drawn([first, *columns])], layout
    layout = LAYOUTS[1]
    first = _methods(headers[0], names, min(NAME, max(NARROW, word, (width or 0) // 3)))
    room = (width or 0) - first.width
    return [_drawn([first, *part])
            for part in _cut(_columns(headers, rows, layout), room)], layout


def _columns(headers: Sequence[Header], rows: Sequence[Sequence[str | Piece]],
             layout: _Layout) -> list[_Column]:
    """Every column but that of methods."""
    return [_column(h, [row[i] for row in rows], layout) for i, h in enumerate(headers)
            if i and (layout.family or h.name != 'family')]


def _longest(names: Iterable[str | Piece]) -> tuple[int, int]:
    """How wide names of methods are, with what is to be said below them; and their words."""
    texts = [text for n in names for text in (
        (n.main, f'  {n.small}') if isinstance(n, Piece) else (n,))]
    words = [word for text in texts for word in text.replace('  ', '__').split()]
    return max(map(_len, texts), default=0), min(NAME, max(map(_len, words), default=0))


def _room(columns: Iterable[_Column], width: int | None) -> int:
    """What is left for the names of methods."""
    return (width or 10_000) - sum(c.width + len(GAP) for c in columns)


def _missing(rows: Iterable[Sequence[str | Piece]]) -> Iterator[str]:
    """What is said where numbers stand alone, if anything stood beside them."""
    if any(isinstance(p, Piece) and p.small for row in rows for p in row[1:]):
        yield 'Means alone: the screen is too narrow for their spread, which --format=csv has.'


def _cut(columns: Sequence[_Column], room: int) -> list[list[_Column]]:
    """Runs of columns that fit."""
    parts, used = [[]], 0
    for column in columns:
        wide = column.width + len(GAP)
        if parts[-1] and used + wide > room:
            parts.append([])
            used = 0
        parts[-1].append(column)
        used += wide
    return parts


def _drawn(columns: Sequence[_Column]) -> list[str]:
    """The lines of a table."""
    widths = [c.width for c in columns]
    total = sum(widths) + len(GAP) * (len(widths) - 1)

    def block(cells: Sequence[list[str]]) -> list[str]:
        high = max(map(len, cells))
        texts = [[*cell, *[''] * (high - len(cell))] for cell in cells]
        return [GAP.join(_padded(text[i], wide, c.left) for text, wide, c in zip(
            texts, widths, columns, strict=True)) for i in range(high)]

    lines = [*block([c.head for c in columns]), '─' * total]
    for i in range(len(columns[0].cells)):
        lines += block([c.cells[i] for c in columns])
    return lines


def _padded(text: str, width: int, left: bool) -> str:
    space = ' ' * (width - _len(text))
    return text + space if left else space + text
