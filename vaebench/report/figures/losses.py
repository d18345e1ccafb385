"""Losses of a run: every term of every player, and validation beside it."""
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
from vaebench.report.figures.style import BLUE, GREY, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Term = tuple[str, np.ndarray | None, np.ndarray | None]
"""(name, values in training, values on validation), each [epochs] or None."""

MAX_COLUMNS = 5                # panels beside each other


def terms_by_player(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, list[Term]]]:
    """Groups the curves of a run by player.

    Args:
      arrays: with 'curve/train/<player>/<term>' and 'curve/valid/<quantity>', each [epochs].

    Returns:
      (player, its terms, the loss first) of every player, then ('validation', what only
      validation measures). A player's number of updates is left out where it never changes.
    """
    valid = {name.split('/', 2)[2]: values for name, values in sorted(arrays.items())
             if name.startswith('curve/valid/')}
    train, met = {}, set()
    for name, values in sorted(arrays.items()):
        if not name.startswith('curve/train/'):
            continue
        player, term = name.removeprefix('curve/train/').split('/', 1)
        if term != 'updates' or len(np.unique(values[np.isfinite(values)])) > 1:
            train.setdefault(player, []).append((term, values, valid.get(term)))
            met.add(term)
    rest = [(term, None, values) for term, values in valid.items() if term not in met]
    out = [(player, sorted(terms, key=lambda term: term[0] != 'loss'))
           for player, terms in train.items()]
    return out + ([('validation', rest)] if rest else [])


def losses(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws a panel for each term of each player, against train steps."""
    players, step = terms_by_player(arrays), arrays.get('curve/step')
    if step is None or not players:
        return None
    columns = min(MAX_COLUMNS, max(len(terms) for _, terms in players))
    width, height, across, down = 290, 170, 390, 265
    rows = sum(-(-len(terms) // columns) for _, terms in players)
    fig = pixel_figure(max(across * columns + 2 * EDGE, 720), HEAD + down * rows + 40)
    top = HEAD + 60
    for player, terms in players:
        text_at(fig, EDGE, top - 36, player, fontsize=8.5, weight='bold')
        for i, (name, train, valid) in enumerate(terms):
            left, y = EDGE + 75 + across * (i % columns), top + down * (i // columns)
            _draw_term(axes_at(fig, (left, y, width, height)), step, train, valid)
            text_at(fig, left, y - 10, name)
        top += down * -(-len(terms) // columns)
    text_at(fig, EDGE + 75, HEAD + down * rows + 15, 'train steps', color=GREY)
    validated = any(valid is not None for _, terms in players for *_, valid in terms)
    captions = ('training, mean of an epoch', BLUE), ('validation (dashed)', RED)
    draw_heading(fig, title, *captions[:1 + validated])
    return fig


def _draw_term(axes: 'Axes', step: np.ndarray, train: np.ndarray | None,
               valid: np.ndarray | None) -> None:
    """Draws a term's curves; logarithmic where they are positive over three decades."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
    for values, color, style in ((train, BLUE, '-'), (valid, RED, '--')):
        if values is not None:
            axes.plot(step, values, style, color=color, lw=1.,
                      marker='.' if len(step) <= 50 else '', ms=3)
    both = np.concatenate([v[np.isfinite(v)] for v in (train, valid) if v is not None])
    if len(both) and both.min() > 0 and both.max() > 1000 * both.min():
        axes.set_yscale('log')
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:.5g}'.replace('-', '−')))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:,.0f}'))
    axes.grid(color='#e4e4e4', lw=.5)
    axes.spines[['top', 'right']].set_visible(False)
