"""The figures of a table, as files: from result files alone, or from the curves beside them."""
import pathlib

from vaebench import files
from vaebench.errors import UserError
from vaebench.report import drawing, tradeoffs


def of_table(table, forms=drawing.FORMS, planes=tradeoffs.PLANES):
    """The figures that a table's numbers give.

    Args:
      table: a `tables.Table`.
      forms: of their files.
      planes: which, of `tradeoffs.PLANES`.

    Returns:
      List of `drawing.Drawn` (name, title, alt, {form: bytes}); [] where no row has both
      metrics of any plane.
    """
    return [drawn for plane in planes if (drawn := tradeoffs.render(table, plane, forms))]


def of_cells(cells):
    """The figures that the curves of a table's cells give.

    Args:
      cells: list of `pictures.Cell` of one table.

    Returns:
      List of `drawing.Drawn`, see `of_table`; [] where no cell has curves.
    """
    from vaebench.report import progress
    return progress.render(cells)


def save(name, drawn, folder):
    """Writes figures `<folder>/<table>.<figure>.png`, .svg and .csv.

    Args:
      name: id of the table.
      drawn: list of `drawing.Drawn`.
      folder: where.

    Yields:
      Path of every file, once it is written.
    """
    for one in drawn:
        for form, data in one.files.items():
            path = pathlib.Path(folder) / f'{name}.{one.name}.{form}'
            files.write_bytes(path, data)
            yield path


def write(tables, folder):
    """Writes the figures that the numbers of tables give.

    Args:
      tables: list of `tables.Table`.
      folder: where: see `save`.

    Returns:
      List of paths.

    Raises:
      UserError: no table has a row with two metrics that a figure shows.
    """
    paths = [path for table in tables for path in save(table.table, of_table(table), folder)]
    if not paths:
        pairs = ', '.join(f'{p.y} and {p.x}' for p in tradeoffs.PLANES)
        raise UserError(f'no row has both metrics of a figure ({pairs}): there is nothing to draw of these results')
    return paths
