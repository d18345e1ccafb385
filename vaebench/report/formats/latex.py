"""Tables as LaTeX."""
from collections.abc import Sequence

from vaebench.report import latex
from vaebench.report.formats.grid import below, grid
from vaebench.report.tables import Table


def to_latex(tables: Sequence[Table]) -> str:
    """Writes each table as a `table` environment, or as `longtable`s where it needs pages.

    The first line names the packages that the tables need.
    """
    out = [f'% \\usepackage{{{",".join(latex.PACKAGES)}}}\n']
    for table in tables:
        notes = [*below(table, 'Bold'), *(f'[{i}] {n}.' for i, n in enumerate(table.notes, 1))]
        out.append(latex.table(table.table, table.title, *grid(table), notes, ('published',)))
    return '\n'.join(out)
