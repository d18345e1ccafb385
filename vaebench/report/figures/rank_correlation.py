"""Whether metrics rank the models of a table's sweeps alike: Spearman's correlations."""
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report import sweeps
from vaebench.report.figures import style
from vaebench.report.figures.canvas import EDGE, HEAD, axes_at, draw_heading, pixel_figure
from vaebench.report.figures.style import RenderedFigure
from vaebench.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 36          # pixels of a field
LETTER = 7         # pixels of a letter of a metric's name
LEAST = 3          # metrics


def metrics(table: Table) -> list[str]:
    """Chooses the metrics that differ between the models of the sweeps, in the table's order.
    """
    names = [c.name for c in table.columns]
    own = np.diag(sweeps.rank_correlations(table, names))
    return [name for name, r in zip(names, own, strict=True) if np.isfinite(r)]


def figure(table: Table, names: Sequence[str], r: np.ndarray) -> 'Figure':
    """Draws correlations [M, M] of metrics as colored fields with their hundredths."""
    side, room = SIDE * len(names), LETTER * max(map(len, names)) + 20
    fig = pixel_figure(max(room + side + 2 * EDGE, 900), HEAD + side + room)
    axes = axes_at(fig, (EDGE + room, HEAD, side, side))
    axes.imshow(r, cmap='RdBu', vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.tick_params(length=0)
    for i, line in enumerate(r):
        for j, value in enumerate(line):
            text = '' if np.isnan(value) else f'{100 * value:.0f}'
            axes.text(j, i, text, fontsize=5.5, ha='center', va='center',
                      color='white' if abs(value) > .6 else 'black')
    draw_heading(fig, f'{table.title}: do metrics agree?',
                 "Spearman's correlation (in hundredths) of two metrics over all models")
    return fig


def numbers(table: Table, names: Sequence[str], r: np.ndarray) -> tuple[tuple, list[tuple]]:
    """Returns the header and the lines of the figure's numbers, a line for each pair."""
    header = 'table', 'metric', 'other', 'spearman'
    return header, [(table.table, a, b, None if np.isnan(r[i, j]) else float(r[i, j]))
                    for i, a in enumerate(names) for j, b in enumerate(names[:i])]


def render(table: Table, forms: Sequence[str] = style.FILE_FORMATS) -> RenderedFigure | None:
    """Draws and encodes the figure; None with fewer than three metrics over two sweeps.

    Args:
      table: the table.
      forms: see `style.encode_all`.
    """
    if len(sweeps.find(table)) < 2 or len(names := metrics(table)) < LEAST:
        return None
    r = sweeps.rank_correlations(table, names)
    with style.context():
        files = style.encode_all(figure(table, names, r), *numbers(table, names, r), forms)
    return RenderedFigure('rank-correlation', f'{table.title} – do metrics agree?',
                          "Spearman's correlations of the metrics over all models of the "
                          f'sweeps: {", ".join(names)}.', files)
