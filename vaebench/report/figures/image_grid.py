"""Grids of images: images as arrays of bytes, and figures that show these pixel by pixel."""
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.canvas import EDGE, HEAD, Title, draw_heading, pixel_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE = 84              # pixels of the longer side of an enlarged image


def to_rgb(x: np.ndarray) -> np.ndarray:
    """Converts images to bytes in red, green and blue.

    Args:
      x: uint8 [..., H, W, C], or floats from 0 (black) to 1 (white). Images of 3 or 4 channels
        are in color, of others the first channel is shown in grey.

    Returns:
      uint8 [..., H, W, 3].

    >>> to_rgb(np.array([[[0.], [.5], [2.]]]))[..., 0].tolist()
    [[0, 128, 255]]
    """
    if x.dtype != np.uint8:
        share = np.clip(np.nan_to_num(np.asarray(x, np.float64)), 0, 1)
        x = np.round(255 * share).astype(np.uint8)
    return x[..., :3] if x.shape[-1] in (3, 4) else np.repeat(x[..., :1], 3, -1)


def tile_images(tiles: np.ndarray, gap: int = 2, rows: Collection[int] = (),
                columns: Collection[int] = (), wide_gap: int = 10) -> np.ndarray:
    """Puts images into one picture, with white between them.

    Args:
      tiles: rows and columns of images, uint8 [R, K, H, W, 3].
      gap: pixels between images.
      rows, columns: numbers of the rows and columns before which the gap is wide.
      wide_gap: pixels of a wide gap.

    Returns:
      uint8 [height, width, 3].

    >>> tiles = np.zeros((1, 3, 1, 1, 3), np.uint8)
    >>> tile_images(tiles, 1, columns=(2,), wide_gap=2)[..., 0].tolist()
    [[0, 255, 0, 255, 255, 0]]
    """
    r, k, h, w, _ = tiles.shape
    top = tile_starts(r, h, gap, rows, wide_gap)
    left = tile_starts(k, w, gap, columns, wide_gap)
    out = np.full((top[-1] + h, left[-1] + w, 3), 255, np.uint8)
    for i, y in enumerate(top):
        for j, x in enumerate(left):
            out[y:y + h, x:x + w] = tiles[i, j]
    return out


def tile_starts(n: int, size: int, gap: int = 2, before: Collection[int] = (),
                wide_gap: int = 10) -> list[int]:
    """Returns the first pixel of each of n tiles in a line; see `tile_images`.

    >>> tile_starts(3, 5, 1, (2,), 4)
    [0, 6, 15]
    """
    return [i * (size + gap) + (wide_gap - gap) * sum(b <= i for b in before)
            for i in range(n)]


def fold_rows(x: np.ndarray, columns: int) -> np.ndarray:
    """Folds images [N, H, W, 3] into rows [R, columns, H, W, 3] and fills the last with white.

    >>> fold_rows(np.zeros((3, 1, 1, 3), np.uint8), 2)[..., 0, 0, 0].tolist()
    [[0, 0], [0, 255]]
    """
    rows = -(-len(x) // columns)
    blank = np.full((rows * columns - len(x), *x.shape[1:]), 255, np.uint8)
    return np.concatenate([x, blank]).reshape(rows, columns, *x.shape[1:])


def interleave_rows(real: np.ndarray, decoded: np.ndarray, columns: int = 16) -> np.ndarray:
    """Folds images and their reconstructions into rows that alternate.

    Args:
      real, decoded: uint8 [N, H, W, 3].
      columns: images in a row.

    Returns:
      uint8 [2 R, columns, H, W, 3].

    >>> tile = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 3), np.uint8)
    >>> interleave_rows(tile, 9 - tile, 2)[..., 0, 0, 0].tolist()
    [[0, 1], [9, 8], [2, 255], [7, 255]]
    """
    both = np.stack([fold_rows(real, columns), fold_rows(decoded, columns)], 1)
    return both.reshape(-1, *both.shape[2:])


def enlarge(x: np.ndarray, size: float = TILE) -> np.ndarray:
    """Enlarges images [..., H, W, 3] by a whole number, to about `size` pixels.

    >>> enlarge(np.zeros((8, 6, 3), np.uint8), 20).shape
    (24, 18, 3)
    """
    times = max(1, int(size / max(x.shape[-3:-1]) + .5))
    return x.repeat(times, -3).repeat(times, -2)


def show_pixels(picture: np.ndarray, title: Title, caption: str, left: int = 0,
                below: int = 0, min_width: int = 520) -> 'Figure':
    """Returns a figure that shows an array of pixels unchanged.

    Args:
      picture: uint8 [height, width, 3]. Its upper left corner is at (left + EDGE, HEAD).
      title, caption: see `canvas.draw_heading`.
      left, below: pixels that are kept free for labels.
      min_width: pixels that the titles need.
    """
    height, width = picture.shape[:2]
    fig = pixel_figure(max(width + left, min_width) + 2 * EDGE, height + HEAD + EDGE + below)
    fig.figimage(picture, left + EDGE, EDGE + below, origin='upper')
    draw_heading(fig, title, caption)
    return fig
