"""A table as a grid of texts, before any format's signs."""
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vaebench.experiment.columns import IDEAL
from vaebench.report import ranks
from vaebench.report.statistics import FEW, LEVEL
from vaebench.report.tables import GAP, Cell, Column, Row, Table

ARROWS = {'lower': '↓', 'higher': '↑', None: ''}
FACT_UNITS = {'steps': '', 'parameters': '', 'train': 's', 'epoch': 's'}
_FORMS = {'steps': ',.0f', 'parameters': ',.0f', 'train': '.1f', 'epoch': '.2g'}
LEFT = 'method', 'family', 'published'
"""Columns of words, aligned to the left."""


class Piece(NamedTuple):
    """A cell as texts."""
    main: str               # '101.23', or why there is no number
    dagger: bool            # whether it is of one seed only
    marks: str              # '[1,2]'
    small: str              # '101.1–101.4'; of a method what is to be said of it
    best: bool

    @property
    def beside(self) -> str:
        """What stands beside the number in small letters."""
        return join(self.small, self.marks)


class Header(NamedTuple):
    """A column's header."""
    name: str
    unit: str = ''
    arrow: str = ''

    def __str__(self) -> str:
        """'kl (nats) ↓'."""
        return join(self.name, f'({self.unit})' if self.unit else '', self.arrow)


def join(*texts: str) -> str:
    """Joins the texts that are not empty by spaces."""
    return ' '.join(filter(None, texts))


def number(x: float, digits: int) -> str:
    """Formats a number with so many decimals; a large one with three significant digits.

    >>> number(-.001, 2), number(12.345, 1), number(123456.7, 2), number(1234567., 2)
    ('0.00', '12.3', '123457', '1.23e+06')
    """
    if abs(x) >= 1e6:
        return f'{x:.3g}'
    text = f'{x:.{digits if abs(x) < 1e5 else 0}f}'
    minus_zero = text.startswith('-') and not text.strip('-0.')
    return text[1:] if minus_zero else text


def arrow(column: Column) -> str:
    """Which way a metric is better: '↓', '↑', '→ 0.5', or '' where neither is."""
    return f'→ {IDEAL[column.name]:g}' if column.name in IDEAL else ARROWS[column.better]


def marks(notes: Sequence[int]) -> str:
    """Refers to footnotes, such as '[1,2]'; '' where there is none."""
    return f'[{",".join(map(str, notes))}]' if notes else ''


def spread(cell: Cell, digits: int) -> str:
    """Says how far the seeds of a cell differ, '' where there is nothing to say.

    Returns:
      The range of few seeds, '11.5–11.6' ('-1.0 to 2.0'), '' where its ends look alike; half an
      interval of more, '±0.05'; or an interval, '[0.90, 1.00]'.
    """
    summary = cell.summary
    if summary is None or summary.n == 1 or summary.interval is None:
        return ''
    low, high = summary.interval
    ends = [number(x, digits) for x in (low, high)]
    if cell.spread == 'range':
        dash = ' to ' if ends[0].startswith('-') else '–'
        return '' if ends[0] == ends[1] else dash.join(ends)
    if cell.spread == 'half':
        return f'±{number(high / 2 - low / 2, digits)}'
    return f'[{", ".join(ends)}]'


def piece(cell: Cell, column: Column, noise: bool = False) -> Piece:
    """Returns a cell as texts.

    Args:
      cell: the cell.
      column: its column.
      noise: whether to add the standard error over test examples.
    """
    summary, digits, noted = cell.summary, column.digits, marks(cell.notes)
    if summary is None:
        return Piece(cell.text, False, noted, '', False)
    error = ''
    if noise and cell.stderr is not None:
        error = f'se {number(cell.stderr, max(digits, 2))}'
    return Piece(number(summary.mean, digits), summary.n == 1, noted,
                 join(spread(cell, digits), error, cell.text), cell.best)


def said(row: Row) -> str:
    """Returns what stands beside a row's name."""
    return '; '.join(filter(None, (row.remark, row.tuned)))


def facts(table: Table) -> list[str]:
    """Returns the facts that any row has; rows of a comparison have none."""
    return [name for name in FACT_UNITS
            if any(row.facts.get(name) is not None for row in table.rows)]


def fact(row: Row, name: str) -> str:
    """Returns a fact of a row as text."""
    value = row.facts.get(name)
    if value is None:
        return GAP
    return f'{value:{_FORMS[name]}}'


def published(row: Row) -> str:
    """Returns the published numbers of a row as text, with their sources and verdicts.

    Such as 'Rec 98.52, KL 2.95 (A9, same setting); PPL 99.62 (A9, not comparable [2])'.
    """
    groups = {}
    for value, verdict, note in row.published:
        source = f'{value.table}, {verdict}' + (f' [{note}]' if note else '')
        groups.setdefault(source, []).append(f'{value.name} {value.text}')
    return '; '.join(f'{", ".join(texts)} ({source})' for source, texts in groups.items())


def grid(table: Table, noise: bool = False) -> tuple[list[Header], list[list[str | Piece]]]:
    """Returns headers and rows of a table: texts, and a `Piece` for each metric.

    Args:
      table: the table.
      noise: whether cells show the standard error over test examples.

    Returns:
      (headers, rows). Seeds are a column where their number is not the same for all rows of a
      board; a method of which there is something to say is a `Piece` that says it small.
    """
    names, quoted = facts(table), any(row.published for row in table.rows)
    kin = any(row.family for row in table.rows)
    counted = not table.brief or len(counts(table)) > 1
    headers = [Header('method'), *[Header('family')] * kin,
               *(Header(c.name, c.unit, join(arrow(c), marks(c.notes)))
                 for c in table.columns),
               *[Header('seeds')] * counted,
               *(Header(name, FACT_UNITS[name]) for name in names),
               *[Header('published')] * quoted]
    rows = [[Piece(row.label, False, '', said(row), False) if said(row) else row.label,
             *[row.family or GAP] * kin,
             *(piece(row.cells[c.name], c, noise) for c in table.columns),
             *[row.seeds or GAP] * counted, *(fact(row, name) for name in names),
             *[published(row) or GAP] * quoted]
            for row in table.rows]
    return headers, rows


def counts(table: Table) -> set[str]:
    """What the rows say of their seeds: '3', '1 of 3 [2]' ..."""
    return {row.seeds for row in table.rows if row.seeds}


# Words below a table.

def legend(table: Table, best: str, noise: bool = False) -> str:
    """Returns how to read the cells, as far as this table needs it.

    Args:
      table: the table.
      best: the sign of the best cells in words.
      noise: whether cells show the standard error over test examples.
    """
    cells = [c for row in table.rows for c in row.cells.values() if c.summary]
    # Cells of aggregates have no seeds: these tables say what their intervals are.
    own = [c for c in cells if len(c.seeds) > 1]
    lines = [_about_spread(table, own)] if own else []
    if any(c.summary and c.summary.n == 1 for c in cells):
        lines.append('†: one seed.')
    if noise and any(c.stderr is not None for c in cells):
        lines.append('se: standard error over test examples, apart from the seeds.')
    lines += _about_best(cells, best)
    return ' '.join([*lines, *_about_words(table)])


def _about_spread(table: Table, cells: Iterable[Cell]) -> str:
    """What stands beside a mean over several seeds."""
    kinds = {c.spread for c in cells}
    said = counts(table)
    seeds = f'{next(iter(said))} seeds' if len(said) == 1 else 'seeds'
    texts = []
    if 'range' in kinds:
        texts.append(f'the range of up to {FEW} seeds where they differ' if seeds == 'seeds'
                     else 'their range where they differ')
    if 'half' in kinds:
        texts.append(f'± half the {LEVEL:.0%} interval (Student\'s t)')
    if 'interval' in kinds:
        texts.append(f'[the {LEVEL:.0%} interval]' + (
            ', as far as the quantity reaches' if 'half' in kinds else ''))
    return f'Mean over {seeds}, {"; ".join(texts)}.'


def _about_best(cells: Iterable[Cell], best: str) -> list[str]:
    """Which cells are marked as best."""
    if any(c.best and c.seeds for c in cells):
        few = any(c.best and len(c.seeds) <= FEW for c in cells)
        also = f' and, of up to {FEW} seeds, one of them is as good' if few else ''
        return [f'{best}: best of its estimator, or tied with it: the interval of the '
                f'differences, paired by seed, is not wholly worse{also}.']
    if any(c.best for c in cells):
        return [f'{best}: best, and every row whose difference from it has a bootstrap '
                'interval that includes 0 and which, of few runs, reaches it in a draw.']
    return []


def _about_words(table: Table) -> list[str]:
    """What the words beside rows mean; rows with one are never the best."""
    rules: dict[str, dict[str, None]] = {}
    for row in table.rows:
        if row.why:
            rules.setdefault(row.remark.split(', ')[-1], {})[row.why] = None
    return [f'{word[0].upper()}{word[1:]}: {", or ".join(why)}.' for word, why in rules.items()]


def below(table: Table, best: str, noise: bool = False, units: bool = False) -> list[str]:
    """Returns the lines under a table: legend, ties, data, estimators and sources.

    Args:
      table: the table.
      best: the sign of the best cells in words.
      noise: whether cells show the standard error over test examples.
      units: whether to say the units here.
    """
    unit = lambda c: f' ({c.unit})' if units and c.unit else ''
    estimators = '; '.join(f'{c.name}{unit(c)}: {c.estimator}' for c in table.columns
                           if c.estimator)
    lines = [legend(table, best, noise), ranks.undecided(table), ' '.join(table.about),
             f'Estimators: {estimators}.' if estimators else '',
             f'Published: {"; ".join(table.sources)}.' if table.sources else '']
    return [line for line in lines if line]
