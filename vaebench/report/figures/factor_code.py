"""Which dimension of the codes answers to which factor of the data."""
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    Title,
    axes_at,
    draw_heading,
    pixel_figure,
    text_at,
)
from vaebench.report.figures.style import shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_DIMS, WIDE, TALL = 32, 84, 34      # dimensions that are drawn, and pixels of a cell
PANELS = {'information': 'Mutual information / entropy of the factor',
          'importance': 'Importance to boosted trees'}
LITTLE = .1                            # share of a factor's entropy that chance may give
DARK = .55                             # from here on numbers are white


def ordered_dims(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Orders dimensions by what they carry, the most first.

    Args:
      arrays: 'factors/kl' [Z] nats, or 'factors/variance' [Z].

    Returns:
      (int [D] dimensions, `MAX_DIMS` at most; a label of each).
    """
    kind, unit = ('kl', ' nats') if 'factors/kl' in arrays else ('variance', '')
    rate = np.nan_to_num(arrays[f'factors/{kind}'])
    order = np.argsort(-rate, kind='stable')[:MAX_DIMS]
    return order, [f'z{d + 1}: {rate[d]:.3g}{unit}' for d in order]


def answers(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Names the factor of which each dimension knows most, '' where that is next to nothing.

    Args:
      arrays: 'factors/information' [Z, F] and 'factors/name' [F], or neither.

    Returns:
      Z names; [] without these arrays.

    >>> answers({'factors/information': np.array([[0., .2], [0., 0.]]),
    ...          'factors/name': np.array(['scale', 'x'])})
    ['x', '']
    """
    known, names = arrays.get('factors/information'), arrays.get('factors/name')
    if known is None or names is None:
        return []
    known = np.nan_to_num(known)
    return [str(names[k]) if row[k] > LITTLE else ''
            for row, k in zip(known, known.argmax(1), strict=True)]


def factor_code(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws what every dimension tells of every factor, dimensions with the largest KL first.

    Args:
      arrays: of a cell: see `metrics.disentanglement.matrices`.
      title: of the figure.
    """
    shown = [k for k in PANELS if f'factors/{k}' in arrays]
    if not shown:
        return None
    order, labels = ordered_dims(arrays)
    names = [shorten(str(name), 11) for name in arrays['factors/name']]
    width, height = WIDE * len(names), TALL * len(order)
    room = 11 * max(map(len, labels)) + 10
    step = width + 40
    fig = pixel_figure(max(EDGE + room + step * len(shown), 700) + EDGE,
                       HEAD + 60 + height + EDGE)
    draw_heading(fig, title, 'What dimensions of the posterior means tell of factors')
    top = HEAD + 50
    for y, label in enumerate(labels):
        text_at(fig, EDGE, top + TALL * (y + .5), label)
    for i, kind in enumerate(shown):
        left = EDGE + room + step * i
        text_at(fig, left, HEAD, shorten(PANELS[kind], int(step / 8.8)))
        for x, name in enumerate(names):
            text_at(fig, left + WIDE * (x + .5), HEAD + 30, name, ha='center', fontsize=6.5)
        _draw_matrix(fig, (left, top, width, height), arrays[f'factors/{kind}'][order])
    return fig


def _draw_matrix(fig, box, values):
    """Draws shares [D, F] into a box of pixels, each with its number."""
    axes = axes_at(fig, box, ticks=False)
    axes.imshow(np.nan_to_num(values), cmap='Blues', vmin=0, vmax=1, aspect='auto')
    axes.set(xticks=[], yticks=[])
    left, top, *_ = box
    for (y, x), value in np.ndenumerate(values):
        text_at(fig, left + WIDE * (x + .5), top + TALL * (y + .5), f'{value:.2f}', ha='center',
                fontsize=6.5, color='white' if value > DARK else 'black')
