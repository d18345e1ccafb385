"""What a network on a group sees: filters of its first layer, and maps of a turned image."""
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.canvas import Title
from vaebench.report.figures.image_grid import enlarge, show_pixels, tile_images, to_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL, GAP = 56, 8     # pixels of a filter, and between two
WHITE = 255


def signed(x: np.ndarray) -> np.ndarray:
    """Shows numbers as grey: 0 in the middle, the largest of either sign black or white.

    Args:
      x: [K, ..., H, W]; each of the K has a scale of its own.

    Returns:
      uint8 [K, ..., H, W, 3].

    >>> signed(np.array([[[0., 2.]], [[-1., 0.]]]))[..., 0].tolist()
    [[[128, 255]], [[0, 128]]]
    """
    x = np.nan_to_num(np.asarray(x, np.float64))
    most = np.abs(x).max(tuple(range(1, x.ndim)), keepdims=True)
    return to_rgb((.5 + x / (2 * np.where(most > 0, most, 1.)))[..., None])


def filters(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws a row for each filter of the first layer: how every element of the group moves it.

    Args:
      arrays: of a cell: see `metrics.equivariance.views`.
      title: of the figure.
    """
    if 'symmetry/filter' not in arrays:
        return None
    tiles = signed(np.moveaxis(arrays['symmetry/filter'], -1, 0))         # [C, S, K, K, 3]
    size = tiles.shape[1]
    return show_pixels(tile_images(enlarge(tiles, SMALL), GAP), title,
                       f'Filters of the first layer, moved by {size} elements of the group'
                       if size > 1 else 'Filters of the first layer')


def feature_maps(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws a row for each turn of an image: the image, then its map of every element.

    Where maps are of a group, those of a turned image are turned and change places.

    Args:
      arrays: of a cell: see `metrics.equivariance.views`.
      title: of the figure.
    """
    if 'symmetry/map' not in arrays:
        return None
    maps = np.moveaxis(arrays['symmetry/map'], -1, 1)                     # [R, S, h, w]
    maps = signed(maps[None])[0]
    image = to_rgb(arrays['symmetry/x'])[:, None]
    edge = [(n - m) // 2 for n, m in zip(image.shape[2:4], maps.shape[2:4], strict=True)]
    rest = [(e, n - m - e) for e, n, m in zip(edge, image.shape[2:4], maps.shape[2:4],
                                              strict=True)]
    maps = np.pad(maps, ((0, 0), (0, 0), *rest, (0, 0)), constant_values=WHITE)
    tiles = enlarge(np.concatenate([image, maps], 1))
    return show_pixels(tile_images(tiles, columns=(1,)), title,
                       'An image and its turns, and a first map of each')
