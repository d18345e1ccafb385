"""What a model makes: samples, reconstructions, interpolations and traversals."""
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    Title,
    axes_at,
    data_limits,
    draw_heading,
    pixel_figure,
    text_at,
)
from vaebench.report.figures.cells import Cell
from vaebench.report.figures.factor_code import answers
from vaebench.report.figures.image_grid import (
    TILE,
    enlarge,
    fold_rows,
    interleave_rows,
    show_pixels,
    tile_images,
    tile_starts,
    to_rgb,
)
from vaebench.report.figures.scatter import decoded_lines, draw_points, projector
from vaebench.report.figures.style import BLACK, BLUE, GREY, LEGEND_WIDTH, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = Mapping[str, np.ndarray]

IMAGES_PER_ROW = 8             # in a grid of samples
SMALL, STRIP = 50, 12          # of the overview: pixels of an image, and images of a row
ROWS_PER_BLOCK = 24            # of the overview
DEAD = .05                     # nats, or variance, of a dimension that tells of nothing


# Pictures of a cell.

def _are_images(arrays, *keys):
    """Whether all of these arrays are there and are images."""
    return all(k in arrays and arrays[k].ndim >= 4 for k in keys)


def samples(arrays: Arrays, title: Title) -> 'Figure | None':
    """Draws a grid of samples from the prior."""
    if not _are_images(arrays, 'sample/x'):
        return None
    tiles = fold_rows(enlarge(to_rgb(arrays['sample/x'])), IMAGES_PER_ROW)
    return show_pixels(tile_images(tiles), title, 'Samples')


def reconstructions(arrays: Arrays, title: Title) -> 'Figure | None':
    """Draws test images, and below each its reconstruction."""
    if not _are_images(arrays, 'real/x', 'decoded/x'):
        return None
    real, decoded = (enlarge(to_rgb(arrays[k]), .75 * TILE) for k in ('real/x', 'decoded/x'))
    tiles = interleave_rows(real, decoded)
    return show_pixels(tile_images(tiles, rows=range(2, len(tiles), 2)), title,
                       'Test images, and below each its reconstruction')


def interpolations(arrays: Arrays, title: Title) -> 'Figure | None':
    """Draws decoded straight lines between codes.

    Where the codes are of images, these stand at the ends.
    """
    x = arrays.get('interpolation/x')
    if x is None:
        return None
    coded = 'codes' in arrays
    between = 'codes of test examples' if coded else 'draws from the prior'
    if not _are_images(arrays, 'interpolation/x'):
        caption = f'Decoded straight lines between {between}'
        return decoded_lines(arrays, x, title, caption)
    tiles = to_rgb(x)
    if coded and len(arrays.get('real/x', ())) >= 2 * len(x):
        ends = to_rgb(arrays['real/x'])[:2 * len(x)]
        tiles = np.concatenate([ends[0::2, None], tiles, ends[1::2, None]], 1)
        between += ', whose originals are outside'
    tiles = enlarge(tiles, .75 * TILE)
    apart = (1, tiles.shape[1] - 1) if tiles.shape[1] > x.shape[1] else ()
    picture = tile_images(tiles, columns=apart)
    return show_pixels(picture, title, f'Straight lines between {between}')


def traversals(arrays: Arrays, title: Title) -> 'Figure | None':
    """Draws what a code decodes to as one dimension after the other moves from -3 to 3.

    The dimensions are in the order of what they carry; where factors are known, each that
    carries more than `DEAD` has the name of the one that it tells most of.
    """
    x = arrays.get('traversal/x')
    if x is None:
        return None
    kind, unit, text = (('kl', ' nats', 'mean KL') if 'traversal/kl' in arrays else
                        ('variance', '', 'variance over codes'))
    each = zip(arrays['traversal/dim'], arrays[f'traversal/{kind}'], strict=True)
    factors = answers(arrays)            # what each dimension knows most of
    labels = [f'z{d + 1}: {rate:.3g}{unit}'
              + (f', {factors[d]}' if factors and factors[d] and rate > DEAD else '')
              for d, rate in each]
    caption = f'Dimensions of one code from −3 to 3, by their {text}'
    if not _are_images(arrays, 'traversal/x'):
        return decoded_lines(arrays, x, title, caption, labels)
    tiles, left = enlarge(to_rgb(x), .75 * TILE), 11 * max(map(len, labels)) + 10
    (rows, columns, height, width), picture = tiles.shape[:4], tile_images(tiles)
    fig = show_pixels(picture, title, caption, left, below=34)
    for label, y in zip(labels, tile_starts(rows, height), strict=True):
        text_at(fig, EDGE, HEAD + y + height / 2, label)
    values = np.linspace(-3, 3, columns)
    for value, at in zip(values, tile_starts(columns, width), strict=True):
        text = f'{value:.1f}'.replace('-', '−').removesuffix('.0')
        text_at(fig, EDGE + left + at + width / 2, HEAD + len(picture) + 18, text, ha='center',
                fontsize=6.5)
    return fig


# A table at a glance.

def overview(rows: Sequence[tuple[str, np.ndarray]], real: np.ndarray, title: Title,
             without: Sequence[str] = ()) -> 'Figure':
    """Draws samples of every row of a table below each other, under the data.

    Args:
      rows: (label, samples [N, H, W, C] or [N, D]).
      real: test data, [N, H, W, C] or [N, D].
      title: of the table.
      without: labels of rows that have no samples.
    """
    note = f'No samples: {", ".join(without)}' if without else ''
    return (_image_strips if real.ndim == 4 else _point_panels)(rows, real, title, note)


def _image_strips(rows, real, title, note):
    """The overview of images: a row of images for each row of the table, in blocks."""
    blocks = -(-len(rows) // ROWS_PER_BLOCK)
    each = -(-len(rows) // blocks)
    longest = max(6, *(len(label) for label, _ in rows))
    room = 9 * min(LEGEND_WIDTH, longest) + 20      # pixels for labels
    own = [[('data', real), *rows[b * each:(b + 1) * each]] for b in range(blocks)]
    parts = [_strips([x for _, x in block], each + 1, min(STRIP, len(real))) for block in own]
    height, width = parts[0].shape[:2]
    gap = np.full((height, room + 40, 3), 255, np.uint8)
    picture = np.concatenate([x for part in parts for x in (gap, part)][1:], 1)
    fig = show_pixels(picture, title, 'Samples of the first seed of every row', room,
                      30 if note else 0)
    size = enlarge(to_rgb(real[:1]), SMALL).shape[1]
    top = tile_starts(each + 1, size, 3, (1,))
    for b, block in enumerate(own):
        for i, (label, _) in enumerate(block):
            text_at(fig, EDGE + b * (width + room + 40) + room - 12, HEAD + top[i] + size / 2,
                    shorten(label, LEGEND_WIDTH), ha='right',
                    weight='bold' if i == 0 else 'normal')
    text_at(fig, EDGE, HEAD + height + 30, shorten(note, int(fig.bbox.width / 9)), color=GREY)
    return fig


def _strips(images, rows, columns):
    """A picture of the first images of each array, filled with white to so many rows."""
    strips = [fold_rows(enlarge(to_rgb(x[:STRIP]), SMALL), columns)[0] for x in images]
    blank = np.full((rows - len(strips), *strips[0].shape), 255, np.uint8)
    return tile_images(np.concatenate([np.stack(strips), blank]), rows=(1,), gap=3)


def _point_panels(rows, real, title, note):
    """The overview of points: a scatter plot for each row of the table."""
    view, size, step, down = projector(np.asarray(real, np.float64)), 250, 270, 300
    limits = data_limits(view(np.asarray(real, np.float64)))
    columns = min(6, max(3, math.ceil(math.sqrt(len(rows) + 1))))
    lines = -(-(len(rows) + 1) // columns)
    fig = pixel_figure(step * columns + 2 * EDGE, HEAD + down * lines + 50)
    for i, (label, x) in enumerate([('data', real), *rows]):
        left, top = EDGE + step * (i % columns), HEAD + down * (i // columns)
        axes = axes_at(fig, (left, top + 28, size, size), limits, ticks=False)
        draw_points(axes, view(np.asarray(x, np.float64)), limits, BLUE if i else BLACK)
        text_at(fig, left, top + 12, shorten(label, 26), weight='normal' if i else 'bold')
    draw_heading(fig, title, 'Samples of the first seed of every row, axes of the data')
    text_at(fig, EDGE, HEAD + down * lines + 20, shorten(note, int(fig.bbox.width / 9)),
            color=GREY)
    return fig


def overview_of_cells(cells: Sequence[Cell],
                      kept: Mapping[tuple[str, int], tuple[np.ndarray, np.ndarray]]
                      ) -> 'Figure | None':
    """Draws the `overview` of a table.

    Args:
      cells: of the table.
      kept: {(row, seed): (samples, data)} of the cells that have samples.

    Returns:
      A matplotlib figure, or None where no cell has samples.
    """
    labels, first = {}, {}
    for cell in cells:
        labels.setdefault(cell.row, cell.label)
    for (row, _), arrays in sorted(kept.items(), key=lambda item: item[0][1]):
        first.setdefault(row, arrays)
    rows = [(label, first[row][0]) for row, label in labels.items() if row in first]
    if not rows:
        return None
    real = next(iter(first.values()))[1]
    without = [label for row, label in labels.items() if row not in first]
    return overview(rows, real, cells[0].title, without)
