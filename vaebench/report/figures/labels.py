"""Where labels go, so that few of them overlap.

The adjustText package does the same. On 70 labels it takes 2 s instead of 0.3 s, leaves more of
them on top of each other, and its results differ from run to run.
"""
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.style import DPI, color_and_marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PIXELS = DPI / 100     # figure pixels in a pixel of this module, which is 1/100 inch
_ANGLES = np.deg2rad([30, 150, 330, 210, 90, 270, 0, 180, 60, 120, 300, 240])
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1).round(9)
_RADII = np.array([6., 10., 15., 21., 28., 36., 46., 58., 72., 88., 106.])[:, None, None]


def place_labels(anchors: np.ndarray, sizes: Sequence[tuple[float, float]],
                 box: Sequence[float] | np.ndarray, obstacles: np.ndarray) -> np.ndarray:
    """Places each label at the free place that is nearest to its anchor.

    Labels are placed one after the other, each at the cheapest of a fixed list of candidates.

    Args:
      anchors: points in pixels, [N, 2].
      sizes: N times (width, height) in pixels.
      box: (left, bottom, right, top) that labels should stay in.
      obstacles: rectangles (left, bottom, right, top) to keep clear of, [M, 4].

    Returns:
      The centers of the labels, [N, 2].

    >>> place_labels(np.array([[50., 50.]]), [(10., 10.)], (0, 0, 100, 100),
    ...              np.zeros((0, 4))).round().tolist()
    [[60.0, 56.0]]
    """
    taken, centers = [tuple(o) for o in obstacles], []
    for anchor, (width, height) in zip(anchors, sizes, strict=True):
        half = np.array([width / 2, height / 2])
        # The label's near edge keeps its distance, however wide the label is.
        middle = anchor + (_RADII * _DIRECTIONS + _DIRECTIONS * half).reshape(-1, 2)
        rect = np.concatenate([middle - half, middle + half], -1)
        cost = .05 * np.repeat(_RADII, len(_DIRECTIONS))     # in square pixels of overlap
        if taken:
            cost = cost + _overlaps(rect, np.array(taken)).sum(1)
        out = np.maximum(box[:2] - rect[:, :2], 0) + np.maximum(rect[:, 2:] - box[2:], 0)
        # Rounded, so that the first of equals is the best on every machine.
        best = int(np.argmin((cost + 10 * out.sum(1)).round(6)))
        taken.append(tuple(rect[best]))
        centers.append(middle[best])
    return np.array(centers).reshape(-1, 2)


def _overlaps(a, b):
    """Areas [N, M] that rectangles [N, 4] and [M, 4] share."""
    wide = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    tall = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    return np.maximum(wide, 0) * np.maximum(tall, 0)


def to_pixels(axes: 'Axes', points: Sequence | np.ndarray) -> np.ndarray:
    """Converts points [N, 2] from the numbers of the axes to the pixels of this module."""
    return axes.transData.transform(np.reshape(points, (-1, 2))) / PIXELS


def boxes_around(axes: 'Axes', ends: Sequence | np.ndarray, margin: float) -> np.ndarray:
    """Returns boxes around points or lines of a plot.

    Args:
      axes: of the plot.
      ends: points [M, 2], or lines [M, 2, 2] from a point to another, in the axes' numbers.
      margin: pixels that a box reaches further.

    Returns:
      (left, bottom, right, top) of each, in pixels, [M, 4].
    """
    at = to_pixels(axes, ends)
    at = at.reshape(-1, 2, 2) if np.ndim(ends) == 3 else np.stack([at, at], 1)
    return np.concatenate([at.min(1) - margin, at.max(1) + margin], -1)


def label_points(axes: 'Axes', numbers: Sequence[int], points: Sequence | np.ndarray,
                 obstacles: Iterable[np.ndarray] = ()) -> None:
    """Writes the numbers of rows beside their points, with a thin line where one is far off.

    Args:
      axes: of the plot; their limits must be final.
      numbers: N of them.
      points: in the axes' numbers, [N, 2].
      obstacles: arrays [M, 4] from `boxes_around`.
    """
    from matplotlib import patheffects
    points = np.reshape(points, (-1, 2))
    anchors = to_pixels(axes, points)
    sizes = [(5.2 * len(str(n)) + 1., 8.) for n in numbers]
    blocked = np.concatenate([boxes_around(axes, points, 3.5), *obstacles])
    centers = place_labels(anchors, sizes, np.array(axes.bbox.extents) / PIXELS, blocked)
    to_data = axes.transData.inverted()
    for number, point, anchor, center in zip(numbers, points, anchors, centers, strict=True):
        x, y = to_data.transform(center * PIXELS)
        if np.hypot(*(center - anchor)) > 20:
            axes.plot([point[0], x], [point[1], y], color='#b0b0b0', lw=.4, zorder=1.5)
        axes.text(x, y, f'{number}', fontsize=6.5, color=color_and_marker(number)[0],
                  ha='center', va='center', zorder=4,
                  path_effects=[patheffects.withStroke(linewidth=1.6, foreground='white')])
