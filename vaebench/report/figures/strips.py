"""Samples of every row as a strip of small images, for a page that must stay small."""
import io
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.files import one_line
from vaebench.report.figures.cells import Cell
from vaebench.report.figures.image_grid import enlarge, to_rgb
from vaebench.report.tables import Row, Table

if TYPE_CHECKING:
    from PIL import Image

IMAGES, SIZE, GAP = 7, 32, 2   # of a strip: how many, pixels of the longer side and between
COLORS, WIDTH = 64, 900        # of an earlier picture: its most pixels
FOLDERS = 'figures', 'pictures'
Say = Callable[[str], None]


class Strip(NamedTuple):
    """Images beside each other, as a file."""
    png: bytes
    width: int                 # pixels
    height: int
    count: int                 # of images
    seed: int | None = None    # of the run; None of data


class Strips(NamedTuple):
    """What a page shows of a table's images."""
    rows: Mapping[str, Strip]  # {row: samples of its first seed that has some}
    data: Strip | None = None  # test data

    @property
    def size(self) -> int:
        """Bytes of all files."""
        every = (*self.rows.values(), *filter(None, [self.data]))
        return sum(len(strip.png) for strip in every)


def strip(x: np.ndarray, seed: int | None = None) -> Strip | None:
    """Draws the first images of an array.

    Args:
      x: uint8 or floats from 0 to 1, [N, H, W, C]. Small images are enlarged by a whole number,
        large ones made smaller.
      seed: of the run.

    Returns:
      The strip, None where these are no images.

    >>> made = strip(np.zeros((20, 28, 28, 1)))
    >>> made.width, made.height, made.count
    (208, 28, 7)
    """
    if x.ndim != 4 or not len(x) or x.dtype.kind not in 'uif':
        return None
    tiles = [_fitted(tile) for tile in to_rgb(x[:IMAGES])]
    # Grey between them: it is neither the ground of most images nor of the page.
    spaced = [np.pad(tile, ((0, 0), (0, GAP), (0, 0)), constant_values=128) for tile in tiles]
    picture = np.concatenate(spaced, 1)[:, :-GAP]
    from PIL import Image
    height, width = picture.shape[:2]
    return Strip(_png(Image.fromarray(picture)), width, height, len(tiles), seed)


def _fitted(image: np.ndarray) -> np.ndarray:
    """An image [H, W, 3] of about `SIZE` pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= SIZE:
        return enlarge(image, SIZE)
    from PIL import Image
    share = SIZE / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _png(picture: 'Image.Image') -> bytes:
    """A PNG of few colors."""
    from PIL import Image
    out = io.BytesIO()
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(out, 'PNG', optimize=True)
    return out.getvalue()


def of_rows(table: Table, folders: Iterable[pathlib.Path], say: Say | None = None) -> Strips:
    """Draws the strips of a table, from the arrays beside its results.

    Args:
      table: the table.
      folders: of result files.
      say: takes a line for each file of arrays that cannot be drawn; by default it goes to
        standard error.

    Returns:
      The strips, of rows that have samples which are images.
    """
    say, folders, rows, data = say or _complain, list(folders), {}, None
    for row in table.rows:
        for seed, arrays in _arrays(table, row, folders, say):
            made = strip(arrays.get('sample/x', np.zeros(0)), seed)
            if made:
                rows[row.row] = made
                data = data or strip(arrays.get('real/x', np.zeros(0)))
                break
    return Strips(rows, data)


def _complain(line: str) -> None:
    print(line, file=sys.stderr)


def _arrays(table: Table, row: Row, folders: Iterable[pathlib.Path], say: Say
            ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(seed, samples and data) of each run of a row that left arrays."""
    for run in row.runs:
        paths = ((folder / run.file).with_suffix('.npz') for folder in folders)
        path = next((p for p in paths if p.is_file() and _is_of(table, p)), None)
        if path is None:
            continue
        cell = Cell(table.table, table.title, row.row, row.label, 0, run.seed, path=path)
        try:
            yield run.seed, cell.arrays('sample', 'real')
        except UserError as e:
            say(str(e))


def _is_of(table: Table, arrays: pathlib.Path) -> bool:
    """Whether arrays lie beside a result of a table: other tables may have rows of one name."""
    try:
        return results.read(arrays.with_suffix('.json')).table == table.table
    except UserError:
        return False


def earlier(table: Table, homes: Iterable[pathlib.Path], say: Say | None = None
            ) -> tuple[str, str, bytes, str] | None:
    """Finds the samples of a table that `write_pictures` drew before, and makes them smaller.

    Args:
      table: the table.
      homes: folders; the pictures lie in `FOLDERS` of them, or beside them.
      say: as of `of_rows`.

    Returns:
      (title, what it shows in words, PNG, 'png'), None where there is no such picture.
    """
    name, say = f'{table.table}.samples.png', say or _complain
    places = [(inside, beside) for home in homes for beside in (home, home.resolve().parent)
              for inside in FOLDERS]
    for inside, beside in places:
        path = beside / inside / name
        if path.is_file():
            try:
                data = _smaller(path)
            except (OSError, ValueError, SyntaxError) as e:     # what Pillow ends in
                say(f'{path}: not readable as a picture ({one_line(str(e), 60)}); write it '
                    'anew with --pictures')
                continue
            title = f'Samples of every row, drawn before ({inside}/{name})'
            return title, f'Samples of every row of {table.title}, below test data', data, 'png'
    return None


def _smaller(path: pathlib.Path) -> bytes:
    from PIL import Image
    with Image.open(path) as picture:
        small = picture.convert('RGB')
    if small.width > WIDTH:
        size = WIDTH, max(1, round(small.height * WIDTH / small.width))
        small = small.resize(size, Image.Resampling.LANCZOS)
    return _png(small)
