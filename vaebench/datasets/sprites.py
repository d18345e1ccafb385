"""Sprites: binary images that are drawn from five whole numbers, the factors."""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaebench import schema
from vaebench.datasets.base import Dataset, Folder, make, whole
from vaebench.datasets.factors import grid, parts
from vaebench.errors import UserError

NAMES = 'shape', 'scale', 'orientation', 'x', 'y'
SHAPES = 'square', 'ellipse', 'heart'
RADIUS = .18
"""Half a side of the largest square, in sides of the image."""
REACH = 1.425
"""What lies farthest from a center, in radii: the heart 1.4247, the square's corner 1.4142."""


def inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points lie in a shape of radius 1, upright, with its center at 0.

    Args:
      shape: one of `SHAPES`.
      u, v: [...], to the right and up.

    Returns:
      bool [...].

    >>> inside('heart', np.zeros(2), np.array([-.9, 1.1])).tolist()
    [True, False]
    """
    if shape == 'square':
        return (np.abs(u) <= 1) & (np.abs(v) <= 1)
    if shape == 'ellipse':
        return u**2 + (2 * v)**2 <= 1
    return (u**2 + v**2 - 1)**3 <= u**2 * v**3


def period(shape: str) -> float:
    """The smallest turn after which a shape is the same, in radians.

    The orientation of a shape is known up to its period only, from whatever picture.

    >>> period('ellipse') == math.pi
    True
    """
    return {'square': math.pi / 2, 'ellipse': math.pi}.get(shape, 2 * math.pi)


def _levels(levels: Any) -> tuple[int, ...]:
    """The checked number of levels of every factor."""
    if not isinstance(levels, Sequence) or len(levels) != len(NAMES):
        raise UserError(f'levels={levels!r}: five numbers are wanted, of levels of '
                        f'{", ".join(NAMES)}')
    found = tuple(whole(f'levels of {name}', n, 1)
                  for name, n in zip(NAMES, levels, strict=True))
    if found[0] > len(SHAPES):
        raise UserError(f'levels of shape={found[0]}: there are {", ".join(SHAPES)}')
    if max(found) == 1:
        raise UserError(f'levels={levels!r}: some factor must have more than one level')
    return found


def _axis(name: str, count: int, size: int) -> tuple[int, int, np.ndarray]:
    """Where pictures stand along one side.

    Returns:
      (first pixel of the first picture, pixels from one place to the next, how far the centers
      of a picture's pixels are from the center of the shape [w]). Places are whole pixels
      apart, as many as fit, so that a move is a shift to the pixel.
    """
    reach = REACH * RADIUS * size
    most = int(size - 2 * reach)
    if count - 1 > most:
        raise UserError(f'levels of {name}={count}: in {size} pixels there is room for '
                        f'{most + 1} places a pixel apart; give fewer levels or a larger size')
    step = most // (count - 1) if count > 1 else 0
    center = (size - step * (count - 1)) / 2
    first, end = math.floor(center - reach) - 1, math.ceil(center + reach) + 1
    return first, step, np.arange(first, end) + .5 - center


def _pictures(levels: Sequence[int], size: int, across: np.ndarray,
              down: np.ndarray) -> np.ndarray:
    """Every shape in every scale and orientation: bool [shapes scales orientations, h, w]."""
    scales = np.linspace(.5, 1, levels[1]) if levels[1] > 1 else np.ones(1)
    angles = 2 * np.pi * np.arange(levels[2]) / levels[2]
    radius = (RADIUS * size * scales)[:, None, None, None]
    c, s = (f(angles)[:, None, None] for f in (np.cos, np.sin))
    right, up = across, -down[:, None]
    u, v = (c * right + s * up) / radius, (c * up - s * right) / radius
    drawn = np.stack([inside(shape, u, v) for shape in SHAPES[:levels[0]]])
    return drawn.reshape(-1, len(down), len(across))


def sprites(data_dir: Folder = None, cache_dir: Folder = None,
            levels: Sequence[int] = (3, 6, 40, 32, 32), size: int = 64,
            examples: int | None = None, eval_examples: int | None = None,
            seed: int = 0) -> Dataset:
    """Sprites of five known factors, drawn on the device: 737,280 binary images at 64x64.

    The factors are shape (square, ellipse, heart), scale (.5 to 1), orientation (a turn in
    equal steps, counterclockwise, the first upright), x (from the left) and y (from the top):
    those of dSprites, whose images are others. A shape's point (u, v) is the pixel's center
    less the shape's, turned back and divided by 0.18 scale size; it is in the square where |u|
    <= 1 and |v| <= 1, in the ellipse where u^2 + (2 v)^2 <= 1, in the heart where (u^2 + v^2 -
    1)^3 <= u^2 v^3. Places are whole pixels apart and keep every shape in the image.

    A square is the same after a quarter of a turn and an ellipse after half a turn (`period`),
    so that no code can tell all levels of the orientation: a score of 1 is out of reach for
    that factor, as it is on dSprites. In small images neighboring levels of scale and
    orientation may look alike, too.

    One permutation by the seed of all combinations makes a tenth valid and a tenth test. A
    factor of one level is in no column.

    Args:
      data_dir, cache_dir: not needed.
      levels: how many each factor has, in the order above; of shapes the first that many.
      size: pixels a side.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      seed: of the permutation.

    Returns:
      A `Dataset`: factors int8 or int32 [N, F], levels and names in the schema; `decode` makes
      x float32 [N, size, size, 1], zeros and ones; `observe` gives the factors' columns.

    References:
      Matthey, Higgins, Hassabis, Lerchner, dSprites: Disentanglement Testing Sprites Dataset,
      2017 (the factors).
      Locatello, Bauer, Lucic, Raetsch, Gelly, Schoelkopf, Bachem, Challenging Common
      Assumptions in the Unsupervised Learning of Disentangled Representations, 2019,
      arXiv:1811.12359.

    >>> data = sprites(levels=(3, 1, 4, 5, 5), size=16)
    >>> data.source.sizes, data.schema['factors'].names
    ({'train': 240, 'valid': 30, 'test': 30}, ('shape', 'orientation', 'x', 'y'))
    >>> data.decode(data.observe(np.zeros((1, 4))))['x'].shape
    (1, 16, 16, 1)
    """
    counts, size, seed = _levels(levels), whole('size', size, 1), whole('seed', seed, 0)
    (left, right_by, across), (top, down_by, down) = (
        _axis(name, n, size) for name, n in zip('xy', counts[3:], strict=True))
    start = np.array([0, top, left])
    steps = np.array([[counts[1] * counts[2], 0, 0], [counts[2], 0, 0], [1, 0, 0],
                      [0, 0, right_by], [0, down_by, 0]])
    kept = [i for i, n in enumerate(counts) if n > 1]
    from vaebench.datasets.transforms import pasted  # here: it imports JAX
    every = grid([counts[i] for i in kept])
    splits = {split: {'factors': every[rows]} for split, rows in
              parts(len(every), examples, eval_examples, seed).items()}
    columns = {'factors': schema.factors([counts[i] for i in kept], [NAMES[i] for i in kept]),
               'x': schema.image((size, size, 1))}
    return make('sprites', splits, columns, drawn=(counts, size), item='image', part='pixel',
                decode=pasted(_pictures(counts, size, across, down), start, steps[kept], size),
                observe=lambda factors: {'factors': np.asarray(factors, every.dtype)})
