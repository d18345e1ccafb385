"""Scores against the strength of each method, every seed a point."""
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report import sweeps
from vaebench.report.figures import style
from vaebench.report.figures.canvas import EDGE, HEAD, axes_at, draw_heading, pixel_figure
from vaebench.report.figures.style import RenderedFigure, color_and_marker
from vaebench.report.sweeps import Sweep
from vaebench.report.tables import Column, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, MOST = 3, 9       # panels beside each other, and in all
WIDTH, TALL = 330, 230    # pixels of a panel
GAP = .7                  # of a place between two strengths, that the methods share


def metrics(table: Table, found: Sequence[Sweep]) -> list[Column]:
    """Chooses the columns that at least one sweep has, those shown first."""
    rows = [row for sweep in found for row in sweep.rows]
    has = [c for c in table.columns
           if any(c.name in row.cells and row.cells[c.name].seeds for row in rows)]
    return sorted(has, key=lambda c: (c.name != table.primary, not c.shown))[:MOST]


def numbers(table: Table, found: Sequence[Sweep], shown: Sequence[Column]
            ) -> tuple[tuple, list[tuple]]:
    """Returns the header and the lines of the figure's numbers, a line for each point."""
    header = 'table', 'metric', 'method', 'number', 'value', 'place', 'row', 'seed', 'score'
    return header, [
        (table.table, column.name, sweep.label, sweep.number, value, place, row.row, seed, x)
        for column in shown for sweep in found
        for place, (value, row, seeds) in enumerate(
            zip(sweep.values, sweep.rows, sweep.scores(column.name), strict=True), 1)
        for seed, x in sorted(seeds.items())]


def figure(table: Table, found: Sequence[Sweep], shown: Sequence[Column]) -> 'Figure':
    """Draws a panel for each metric: places of the strengths, weakest first, a color a method.
    """
    across = min(ACROSS, len(shown))
    down = -(-len(shown) // across)
    legend = 24 * -(-len(found) // 3)
    fig = pixel_figure(max(across * (WIDTH + 75) + 2 * EDGE, 1180),
                       HEAD + down * (TALL + 70) + legend + 30)
    for i, column in enumerate(shown):
        at = (EDGE + 50 + i % across * (WIDTH + 75), HEAD + 20 + i // across * (TALL + 70))
        axes = axes_at(fig, (*at, WIDTH, TALL))
        _draw(axes, found, column)
    _draw_legend(fig, found, HEAD + down * (TALL + 70) + 10)
    draw_heading(fig, f'{table.title}: scores and strengths',
                 'Strengths from the weakest; a point is a model, a line joins their means')
    return fig


def _draw(axes: 'Axes', found: Sequence[Sweep], column: Column) -> None:
    for i, sweep in enumerate(found):
        color, marker = color_and_marker(i + 1)
        shift = GAP * ((i + .5) / len(found) - .5)
        means = []
        for place, seeds in enumerate(sweep.scores(column.name), 1):
            values = [v for v in seeds.values() if np.isfinite(v)]
            axes.plot([place + shift] * len(values), values, marker, color=color, ms=2.6, mew=0,
                      alpha=.75, ls='none')
            if values:
                means.append((place + shift, np.mean(values)))
        axes.plot(*np.transpose(means or [(np.nan, np.nan)]), color=color, lw=.8, alpha=.8)
    most = max(len(sweep.rows) for sweep in found)
    axes.set_xticks(range(1, most + 1))
    axes.set_xlim(.4, most + .6)
    arrow = {'higher': ' ↑', 'lower': ' ↓'}.get(column.better or '', '')
    axes.set_title(f'{column.name} ({column.unit}){arrow}', fontsize=7.5, pad=4)
    axes.tick_params(labelsize=6)
    axes.spines[['top', 'right']].set_visible(False)


def _draw_legend(fig: 'Figure', found: Sequence[Sweep], top: float) -> None:
    """A mark and the strengths of each method, three beside each other."""
    axes = axes_at(fig, (0, top, fig.bbox.width, fig.bbox.height - top), ticks=False)
    axes.set(xlim=(0, fig.bbox.width), ylim=(fig.bbox.height - top, 0))
    axes.set_axis_off()
    room = (fig.bbox.width - 2 * EDGE) / 3
    for i, sweep in enumerate(found):
        x, y = EDGE + room * (i % 3), 12 + 24 * (i // 3)
        color, marker = color_and_marker(i + 1)
        axes.plot([x + 10], [y], marker, color=color, ms=4)
        values = ', '.join(f'{v:g}' for v in sweep.values)
        text = style.shorten(f'{sweep.label}: {sweep.number} {values}', int(room / 7.4))
        axes.text(x + 22, y, text, fontsize=7, va='center', color=color)


def render(table: Table, forms: Sequence[str] = style.FILE_FORMATS) -> RenderedFigure | None:
    """Draws and encodes the figure; None where the table has no sweep.

    Args:
      table: the table.
      forms: see `style.encode_all`.
    """
    found = sweeps.find(table)
    shown = metrics(table, found)
    if not found or not shown:
        return None
    with style.context():
        files = style.encode_all(figure(table, found, shown), *numbers(table, found, shown),
                                 forms)
    alt = (f'Scores of {", ".join(s.label for s in found)} against their strengths, every seed '
           f'a point: {", ".join(c.name for c in shown)}.')
    return RenderedFigure('strength', f'{table.title} – scores and strengths', alt, files)
