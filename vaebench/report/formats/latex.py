"""Tables as LaTeX."""
from collections.abc import Sequence

from vaebench.report import latex
from vaebench.report.formats.footnotes import thinned
from vaebench.report.formats.grid import Piece, below, grid
from vaebench.report.tables import Table


def to_latex(tables: Sequence[Table], noise: bool = False) -> str:
    """Writes each table as a `table` environment, or as `longtable`s where it needs pages.

    The first line names the packages that the tables need.

    Args:
      tables: the tables.
      noise: whether cells show the standard error over test examples.
    """
    out = [f'% \\usepackage{{{",".join(latex.PACKAGES)}}}\n']
    for table, elsewhere in map(thinned, tables):
        headers, rows = grid(table, noise)
        named = [[f'{name.main} ({name.small})' if isinstance(name, Piece) else name, *cells]
                 for name, *cells in rows]
        notes = [*below(table, 'Bold', noise), *elsewhere,
                 *(f'[{i}] {n}.' for i, n in enumerate(table.notes, 1))]
        out.append(latex.table(table.table, table.title, headers, named, notes, ('published',),
                               ('family',)))
    return '\n'.join(out)
