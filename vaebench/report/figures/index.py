"""Which figures and pictures there are, and the files that they are written to."""
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench import files
from vaebench.errors import UserError
from vaebench.report.figures import (
    aggregate_posterior,
    class_density,
    curves,
    factor_code,
    kl_weights,
    losses,
    rank_correlation,
    rate_distortion,
    samples,
    scatter,
    spaces,
    sparsity,
    strength,
    style,
    symmetry,
    systems,
    texts,
)
from vaebench.report.figures.canvas import Title
from vaebench.report.figures.cells import Cell
from vaebench.report.figures.rate_distortion import Plane
from vaebench.report.figures.style import RenderedFigure
from vaebench.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES: Mapping[str, Callable[[Mapping[str, np.ndarray], Title], 'Figure | None']] = {
    'samples': samples.samples, 'reconstructions': samples.reconstructions,
    'interpolations': samples.interpolations, 'traversals': samples.traversals,
    'density': scatter.data_and_samples, 'latent': scatter.latent_codes,
    'aggregate': aggregate_posterior.aggregate_posterior, 'plane': class_density.class_density,
    'activation': sparsity.activation, 'factor_code': factor_code.factor_code,
    'spaces': spaces.style_and_content, 'filters': symmetry.filters,
    'feature_maps': symmetry.feature_maps, 'systems': systems.predicted_systems,
    'curves': losses.losses}
"""End of a file's name -> a picture of a cell's arrays; None where the cell lacks them."""


# Figures of tables.

def of_table(table: Table, forms: Sequence[str] = style.FILE_FORMATS,
             planes: Iterable[Plane] = rate_distortion.PLANES) -> list[RenderedFigure]:
    """Renders the figures of a table's numbers.

    Args:
      table: the table.
      forms: see `style.encode_all`.
      planes: of `rate_distortion.PLANES`.

    Returns:
      A figure for each plane of which a row has both metrics; of a table with sweeps also the
      scores against the strengths, and how metrics agree.
    """
    of_planes = (rate_distortion.render(table, plane, forms) for plane in planes)
    of_sweeps = (f.render(table, forms) for f in (strength, rank_correlation))
    return [drawn for drawn in (*of_planes, *of_sweeps) if drawn]


def of_cells(cells: Sequence[Cell]) -> list[RenderedFigure]:
    """Renders the figures of a table's cells: of their curves, and of their sparsity."""
    found, drawn = curves.traces(cells), []
    if any(trace.runs for trace in found):
        drawn = [curves.render(line, cells, found) for line in curves.LINES]
        drawn.append(kl_weights.render(cells, found))
    return [d for d in (*drawn, sparsity.render(cells) if cells else None) if d]


def save(name: str, drawn: Iterable[RenderedFigure], folder: str | pathlib.Path
         ) -> Iterator[pathlib.Path]:
    """Writes figures as `<folder>/<name>.<figure>.<format>`.

    Args:
      name: id of the table.
      drawn: the figures.
      folder: where.

    Yields:
      Path of every file, once it is written.
    """
    for one in drawn:
        for form, data in one.files.items():
            yield _write(pathlib.Path(folder) / f'{name}.{one.name}.{form}', data)


def write_figures(tables: Iterable[Table], folder: str | pathlib.Path) -> list[pathlib.Path]:
    """Writes the figures of the numbers of tables; see `save`.

    Returns:
      Paths of the files.

    Raises:
      UserError: no table has a row with both metrics of a figure.
    """
    paths = [path for table in tables for path in save(table.table, of_table(table), folder)]
    if not paths:
        pairs = ', '.join(f'{p.y} and {p.x}' for p in rate_distortion.PLANES)
        raise UserError(f'no row has both metrics of a figure ({pairs}): there is nothing to '
                        'draw of these results')
    return paths


# Pictures of cells.

def write_pictures(cells: Mapping[str, Sequence[Cell]], folder: str | pathlib.Path,
                   say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
                   ) -> Iterator[pathlib.Path]:
    """Writes pictures of cells and of tables.

    Of a cell these are `<folder>/<table>/<row>.s<seed>.<what>.png` for every key of `PICTURES`,
    and `.sentences.txt`; of a table `<folder>/<table>.samples.png`, `.sentences.md` and the
    figures of `of_cells`.

    Args:
      cells: {table id: cells}, of `cells.collect_cells`.
      folder: where.
      say: takes a line on every cell that is left out because its arrays cannot be drawn.

    Yields:
      Path of every file, once it is written.
    """
    folder = pathlib.Path(folder)
    for table, own in cells.items():
        kept, good = {}, []
        for cell in own:
            try:
                arrays = cell.arrays()
                pair = _pair(arrays, next(iter(kept.values()), None))
                yield from _write_cell(cell, arrays, folder / table)
            except _ODD as e:
                say(_left_out(cell, e))
                continue
            good.append(cell)
            kept |= {(cell.row, cell.seed): pair} if pair else {}
        path = folder / f'{table}.samples.png'
        yield from _write_drawn(path, samples.overview_of_cells, good, kept)
        if text := texts.overview(good):
            yield _write(folder / f'{table}.sentences.md', text.encode())
        yield from save(table, of_cells(good), folder)


_ODD = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, UserError,
        ValueError)
"""What arrays of odd shapes and types end in."""


def _pair(arrays: Mapping[str, np.ndarray], other: tuple[np.ndarray, np.ndarray] | None
          ) -> tuple[np.ndarray, np.ndarray] | None:
    """Samples and data of a cell, None without them; ValueError where no picture could have
    them beside those of another cell.
    """
    if 'real/x' not in arrays or 'sample/x' not in arrays:
        return None
    drawn, real = arrays['sample/x'], arrays['real/x']
    shapes = {x.shape[1:] for x in (drawn, real, *(other or ()))}
    if len(shapes) > 1 or real.ndim not in (2, 4) or real.dtype.kind not in 'uif':
        raise ValueError(f'samples {drawn.shape} and data {real.shape}, {real.dtype}')
    return drawn, real


def _left_out(cell: Cell, error: Exception) -> str:
    """A line on a cell that cannot be drawn."""
    if isinstance(error, UserError):
        return str(error)
    return (f'{cell.path}: cannot be drawn ({type(error).__name__}: '
            f'{files.one_line(str(error), 100)}); move it and the .json of that name away, and '
            'run the table again')


def _write_cell(cell, arrays, folder):
    """Writes the pictures and the sentences of a cell."""
    title = cell.label, f', seed {cell.seed}'
    for what, make in PICTURES.items():
        path = folder / f'{cell.row}.s{cell.seed}.{what}.png'
        yield from _write_drawn(path, make, arrays, title)
    if cell.listing:
        path = folder / f'{cell.row}.s{cell.seed}.sentences.txt'
        yield _write(path, cell.sentences().encode())


def _write_drawn(path, make, *args):
    """Writes the figure that `make(*args)` returns, unless it is None."""
    with style.context():
        fig = make(*args)
        data = None if fig is None else style.encode(fig)
    if data is not None:
        yield _write(path, data)


def _write(path, data):
    files.write_bytes(path, data)
    return path
