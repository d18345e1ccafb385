"""Moving points: where they were, where they went, and where they were predicted to go."""
from collections.abc import Mapping
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
from vaebench.report.figures.style import BLACK, BLUE, GREY, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, GAP, ACROSS = 330, 50, 3     # pixels of a panel and between two, and panels in a row


def widest_plane(position: np.ndarray) -> np.ndarray:
    """Returns the two directions [3, 2] along which points [N, 3] spread most.

    >>> plane = widest_plane(np.array([[0., 0., 0.], [0., 2., 0.], [0., 0., 1.], [0., 2., 1.]]))
    >>> np.abs(plane).round(6).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    return np.linalg.svd(position - position.mean(0), full_matrices=True)[2][:2].T


def square_limits(x: np.ndarray) -> np.ndarray:
    """Returns limits [2, 2] as wide along both axes that hold points [N, 2].

    >>> square_limits(np.array([[0., 0.], [10., 2.]])).round(3).tolist()
    [[-1.0, 11.0], [-5.0, 7.0]]
    """
    limits = data_limits(x)
    half = (limits[:, 1] - limits[:, 0]).max() / 2
    return limits.mean(1, keepdims=True) + np.array([-half, half])


def predicted_systems(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws systems of points, each seen so that it spreads most.

    Args:
      arrays: 'systems/position' [M, P, 3], 'systems/charge' [M, P], 'systems/target' and
        'systems/predicted' [M, P, 3], the true and the predicted change of the position.
      title: see `canvas.draw_heading`.
    """
    names = 'position', 'charge', 'target', 'predicted'
    if not all(f'systems/{name}' in arrays for name in names):
        return None
    found = [np.asarray(arrays[f'systems/{name}']) for name in names]
    rows, step = -(-len(found[0]) // ACROSS), SIDE + GAP
    fig = pixel_figure(2 * EDGE + ACROSS * step, HEAD + rows * step + 30)
    for i, (position, charge, target, said) in enumerate(zip(*found, strict=True)):
        left, top = EDGE + 30 + i % ACROSS * step, HEAD + 20 + i // ACROSS * step
        plane = widest_plane(np.concatenate([position, position + target]))
        start, end, guess = (at @ plane for at in (position, position + target,
                                                   position + said))
        seen = np.concatenate([start, end, guess])
        seen = seen[np.isfinite(seen).all(1)]
        axes = axes_at(fig, (left, top, SIDE, SIDE), square_limits(seen))
        _draw(axes, charge, start, end, guess)
        error = np.mean((said - target)**2)
        text_at(fig, left, top - 10, f'mean squared error {error:.3g}', color=GREY)
    draw_heading(fig, title, ('● start, charge +', RED), ('● start, charge −', BLUE),
                 ('○ true end   × predicted end', BLACK))
    return fig


def _draw(axes: 'Axes', charge: np.ndarray, start: np.ndarray, end: np.ndarray,
          guess: np.ndarray) -> None:
    for sign, a, b, c in zip(charge, start, end, guess, strict=True):
        color = RED if sign > 0 else BLUE
        axes.plot(*np.stack([a, b], 1), '-', color=color, lw=1.2)
        axes.plot(*np.stack([a, c], 1), ':', color=BLACK, lw=.9)
        axes.plot(*a, 'o', color=color, ms=5)
        axes.plot(*b, 'o', mfc='white', mec=color, ms=5)
        axes.plot(*c, 'x', color=BLACK, ms=5)
