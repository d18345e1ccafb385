"""A table as a grid of texts, before any format's signs."""
from collections.abc import Iterable
from typing import NamedTuple

from vaebench.report.statistics import FEW, LEVEL, multiple
from vaebench.report.tables import GAP, Cell, Column, Row, Table

ARROWS = {'lower': '↓', 'higher': '↑', None: ''}
FACT_UNITS = {'steps': '', 'parameters': '', 'train': 's'}
LEFT = 'method', 'published'
"""Columns of words, aligned to the left."""


class Piece(NamedTuple):
    """A cell as texts."""
    main: str               # '101.23', or why there is no number
    dagger: bool            # whether it is of one seed only
    marks: str              # '[1,2]'
    small: str              # '[101.1, 101.4] ±0.5'
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

    >>> number(-.001, 2), number(12.345, 1), number(1234567., 2)
    ('0.00', '12.3', '1.23e+06')
    """
    if abs(x) >= 1e6:
        return f'{x:.3g}'
    text = f'{x:.{digits}f}'
    minus_zero = text.startswith('-') and not text.strip('-0.')
    return text[1:] if minus_zero else text


def piece(cell: Cell, column: Column) -> Piece:
    """Returns a cell as texts."""
    marks = f'[{",".join(map(str, cell.notes))}]' if cell.notes else ''
    summary, digits = cell.summary, column.digits
    if summary is None:
        return Piece(cell.text, False, marks, '', False)
    ends = [number(x, digits) for x in summary.interval or ()]
    interval = f'[{", ".join(ends)}]' if summary.n > 1 and ends else ''
    noise = '' if cell.stderr is None else f'±{number(cell.stderr, max(digits, 2))}'
    return Piece(number(summary.mean, digits), summary.n == 1, marks,
                 join(interval, noise, cell.text), cell.best)


def facts(table: Table) -> list[str]:
    """Returns the facts that any row has; rows of a comparison have none."""
    return [name for name in FACT_UNITS
            if any(row.facts.get(name) is not None for row in table.rows)]


def fact(row: Row, name: str) -> str:
    """Returns a fact of a row as text."""
    value = row.facts.get(name)
    if value is None:
        return GAP
    return f'{value:.1f}' if FACT_UNITS[name] == 's' else f'{value:,.0f}'


def published(row: Row) -> str:
    """Returns the published numbers of a row as text, with their sources and verdicts.

    Such as 'Rec 98.52, KL 2.95 (A9, same setting); PPL 99.62 (A9, not comparable [2])'.
    """
    groups = {}
    for value, verdict, note in row.published:
        source = f'{value.table}, {verdict}' + (f' [{note}]' if note else '')
        groups.setdefault(source, []).append(f'{value.name} {value.text}')
    return '; '.join(f'{", ".join(texts)} ({source})' for source, texts in groups.items())


def grid(table: Table) -> tuple[list[Header], list[list[str | Piece]]]:
    """Returns headers and rows of a table: texts, and a `Piece` for each metric."""
    names, quoted = facts(table), any(row.published for row in table.rows)
    headers = [Header('method'), *(Header(c.name, c.unit, ARROWS[c.better])
                                   for c in table.columns),
               Header('seeds'), *(Header(name, FACT_UNITS[name]) for name in names),
               *[Header('published')] * quoted]
    rows = [[row.label, *(piece(row.cells[c.name], c) for c in table.columns), row.seeds,
             *(fact(row, name) for name in names), *[published(row) or GAP] * quoted]
            for row in table.rows]
    return headers, rows


# Words below a table.

def legend(table: Table, best: str) -> str:
    """Returns how to read the cells, as far as this table needs it.

    Args:
      table: the table.
      best: the sign of the best cells in words.
    """
    cells = [c for row in table.rows for c in row.cells.values() if c.summary]
    # Cells of aggregates have no seeds: these tables say what their intervals are.
    fewest = min((len(c.seeds) for c in cells if len(c.seeds) > 1), default=0)
    lines = [_about_intervals(fewest)] if fewest else []
    if any(c.summary and c.summary.n == 1 for c in cells):
        lines.append('†: one seed, no interval.')
    if any(c.stderr is not None for c in cells):
        lines.append('±: standard error over test examples, apart from the seeds.')
    return ' '.join([*lines, *_about_best(cells, best, fewest)])


def _about_intervals(fewest):
    """What an interval is, where the fewest seeds of a cell are so many."""
    text = f"Mean over seeds, [{LEVEL:.0%} interval over seeds, Student's t]."
    if fewest > FEW:
        return text
    return (f'{text} With {fewest} seeds it reaches {multiple(fewest):.1f} standard errors '
            'either side and says little.')


def _about_best(cells: Iterable[Cell], best: str, fewest: int) -> list[str]:
    """Which cells are marked as best."""
    if any(c.best and c.seeds for c in cells):
        few = (f'; with up to {FEW} seeds it must also be at least as good with one of them.'
               if 0 < fewest <= FEW else '.')
        return [f'{best}: best of its estimator, and every row whose differences from it, '
                f'paired by seed, have an interval that is not wholly worse{few}']
    if any(c.best for c in cells):
        return [f'{best}: best, and every row whose difference from it has a bootstrap '
                'interval that includes 0 and which, of few runs, reaches it in a draw.']
    return []


def below(table: Table, best: str) -> list[str]:
    """Returns the lines under a table: legend, data, estimators and sources."""
    estimators = '; '.join(f'{c.name}: {c.estimator}' for c in table.columns if c.estimator)
    lines = [legend(table, best), ' '.join(table.about),
             f'Estimators: {estimators}.' if estimators else '',
             f'Published: {"; ".join(table.sources)}.' if table.sources else '']
    return [line for line in lines if line]
