"""Figures that are laid out in pixels, from the upper left."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vaebench.report.figures.style import DPI, GREY, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE, HEAD = 30, 84    # pixels around a picture, and above it for the title

Title = str | tuple[str, str]
"""A text, or (a text that may be cut off, an end that must not be)."""


def pixel_figure(width: float, height: float) -> 'Figure':
    """Returns an empty matplotlib figure of so many pixels."""
    return new_figure((width + .01) / DPI, (height + .01) / DPI)


def draw_heading(fig: 'Figure', title: Title, *captions: str | tuple[str, str]) -> None:
    """Writes a title, and below it captions beside each other.

    Args:
      fig: from `pixel_figure`.
      title: see `Title`.
      *captions: texts, or (text, color).
    """
    room, (text, end) = fig.bbox.width - EDGE, (title, '') if isinstance(title, str) else title
    text_at(fig, EDGE, 30, shorten(text, int(room / 14), end), fontsize=10, weight='bold')
    for i, caption in enumerate(captions):
        text, color = (caption, GREY) if isinstance(caption, str) else caption
        text_at(fig, EDGE + 330 * i, 60, shorten(text, int(room / 8.8)), color=color)


def text_at(fig: 'Figure', x: float, y: float, text: str, **style: Any) -> None:
    """Writes a text at pixels from the upper left; `style` goes to matplotlib."""
    fig.text(x / fig.bbox.width, 1 - y / fig.bbox.height, text,
             **{'fontsize': 7.5, 'va': 'center', **style})


def axes_at(fig: 'Figure', box: tuple[float, float, float, float],
            limits: Sequence | np.ndarray = (), ticks: bool = True) -> 'Axes':
    """Adds axes in a box of pixels.

    Args:
      fig: from `pixel_figure`.
      box: (left, top, width, height), from the figure's upper left.
      limits: (low, high) of two axes, or of three for a view in space; () leaves them to
        matplotlib.
      ticks: whether the axes have numbers.
    """
    left, top, width, height = box
    w, h = fig.bbox.width, fig.bbox.height
    rect = left / w, 1 - (top + height) / h, width / w, height / h
    in_space = len(limits) == 3
    axes: Any = fig.add_axes(rect, projection='3d' if in_space else None)
    for which, limit in zip('xyz', limits, strict=False):
        axes.set(**{f'{which}lim': limit, **({} if ticks else {f'{which}ticks': []})})
    axes.tick_params(labelsize=6, pad=0 if in_space else 3)
    if in_space:
        axes.view_init(12, -75)
        axes.set_box_aspect(None, zoom=1.25)
    return axes


def data_limits(x: np.ndarray) -> np.ndarray:
    """Returns limits [D, 2] of axes that hold data [N, D] and a tenth of its width around it.

    >>> data_limits(np.array([[0., 5.], [10., 5.]])).round(3).tolist()
    [[-1.0, 11.0], [4.999, 5.001]]
    """
    low, high = x.min(0), x.max(0)
    margin = np.where(high > low, .1 * (high - low), 1e-3)
    return np.stack([low - margin, high + margin], 1)
