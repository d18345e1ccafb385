"""The weight of the KL and the KL it leads to, of rows that move or steer it."""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vaebench.report.figures import style
from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    axes_at,
    draw_heading,
    pixel_figure,
    text_at,
)
from vaebench.report.figures.cells import Cell
from vaebench.report.figures.curves import Run, Trace, unit_of
from vaebench.report.figures.style import BLACK, BLUE, GREEN, RED, RenderedFigure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLUMNS = 6        # panels beside each other


class Weights(NamedTuple):
    """The weight of the KL in one run, and the KL; each array [E]."""
    seed: int
    step: np.ndarray
    beta: np.ndarray            # NaN where no player has it
    kl: np.ndarray              # in training
    valid: np.ndarray | None    # on validation
    goal: np.ndarray | None     # the set point

    def moves(self) -> bool:
        """Tells whether the weight changes."""
        beta = self.beta[np.isfinite(self.beta)]
        return bool(len(beta)) and np.ptp(beta) > 1e-6


def merge_players(curves: Mapping[str, np.ndarray], term: str) -> np.ndarray | None:
    """Returns a term of training, whichever player trains in an epoch.

    Returns:
      [E], NaN where no player has the term; None where none ever has it.
    """
    own = [x for name, x in sorted(curves.items())
           if name.startswith('train/') and name.split('/', 2)[2] == term]
    if not own:
        return None
    out = np.array(own[0], np.float64)
    for x in own[1:]:
        out = np.where(np.isfinite(out), out, x)
    return out


def _weights(run: Run, target: float | None) -> Weights | None:
    """The `Weights` of a run, or None where it has no weight or no KL."""
    beta, kl, goal = (merge_players(run.curves, k) for k in ('beta', 'kl', 'capacity'))
    if beta is None or kl is None:
        return None
    step = run.curves['step']
    if target is not None:
        goal = np.full(len(step), float(target))
    return Weights(run.seed, step, beta, kl, run.curves.get('valid/kl'), goal)


def select(found: Sequence[Trace]) -> list[tuple[Trace, list[Weights]]]:
    """Chooses the rows whose weight moves or whose KL has a set point.

    Returns:
      (row, the weights of its seeds), rows with a set point first.
    """
    rows = [(t, [w for run in t.runs if (w := _weights(run, t.target))]) for t in found]
    aimed = lambda runs: any(w.goal is not None for w in runs)
    rows = [(t, runs) for t, runs in rows if aimed(runs) or any(w.moves() for w in runs)]
    return sorted(rows, key=lambda row: not aimed(row[1]))


def numbers(rows: Sequence[tuple[Trace, list[Weights]]], table: str
            ) -> tuple[tuple, list[tuple]]:
    """Returns the header and the lines of the figure's numbers, a line for each epoch."""
    header = ('table', 'number', 'row', 'label', 'seed', 'step', 'beta', 'kl_train', 'kl_valid',
              'set_point')
    return header, [(table, trace.number, trace.row, trace.label, run.seed, *epoch)
                    for trace, runs in rows for run in runs for epoch in _epochs(run)]


def _epochs(run):
    """Step, weight, KL in training and on validation, set point of each epoch, or None."""
    arrays = (run.step, run.beta, run.kl, run.valid, run.goal)
    columns = [[None] * len(run.step) if x is None else x for x in arrays]
    for epoch in zip(*columns, strict=True):
        yield [None if v is None or not np.isfinite(v) else float(v) for v in epoch]


def figure(title: str, unit: str, rows: Sequence[tuple[Trace, list[Weights]]]) -> 'Figure':
    """Draws KL and weight of every row below each other.

    Args:
      title: of the figure.
      unit: of the KL.
      rows: from `select`.
    """
    across, down, width, tall, low = 300, 330, 225, 165, 75
    columns = min(MAX_COLUMNS, len(rows))
    fig = pixel_figure(max(across * columns + 2 * EDGE, 1180),
                       HEAD + down * -(-len(rows) // columns) + 20)
    for i, (trace, runs) in enumerate(rows):
        left, top = EDGE + 60 + across * (i % columns), HEAD + 45 + down * (i // columns)
        text_at(fig, left - 50, top - 16, style.shorten(f'{trace.number} {trace.label}', 32),
                fontsize=7, color=style.color_and_marker(trace.number)[0])
        upper = axes_at(fig, (left, top, width, tall))
        lower = axes_at(fig, (left, top + tall + 10, width, low))
        _draw_kl(upper, runs)
        _draw_beta(lower, runs)
        if i % columns == 0:
            upper.set_ylabel(f'KL ({unit})', fontsize=6.5)
            lower.set_ylabel('beta', fontsize=6.5)
        if i >= len(rows) - columns:
            lower.set_xlabel('train steps', fontsize=6.5, labelpad=1)
    draw_heading(fig, title, ('KL in training', BLUE), ('KL on validation (dashed)', RED),
                 ('its set point (dotted)', BLACK), ('beta, weight of the KL', GREEN))
    return fig


def _draw_kl(axes: 'Axes', runs: Sequence[Weights]) -> None:
    """Draws the KL and its set point; a few large values may be outside of the axes."""
    for run in runs:
        if run.valid is not None:
            axes.plot(run.step, run.valid, '--', color=RED, lw=.9, alpha=.8)
        axes.plot(run.step, run.kl, color=BLUE, lw=1.1)
        if run.goal is not None:
            axes.plot(run.step, run.goal, ':', color=BLACK, lw=1.3, zorder=3)
    drawn = [x for run in runs for x in (run.kl, run.valid, run.goal) if x is not None]
    values = np.concatenate([x[np.isfinite(x)] for x in drawn])
    top = min(values.max(), 4 * max(np.median(values), .5)) if len(values) else 1.
    axes.set_ylim(0, 1.08 * max(top, 1e-3))
    axes.tick_params(labelbottom=False)
    _set_ticks(axes, 4)


def _draw_beta(axes: 'Axes', runs: Sequence[Weights]) -> None:
    """Draws the weight of the KL."""
    for run in runs:
        axes.plot(run.step, run.beta, color=GREEN, lw=1.1)
    betas = np.concatenate([run.beta for run in runs])
    top = np.nanmax(betas) if np.isfinite(betas).any() else 1.
    axes.set_ylim(0, 1.1 * max(top, 1e-6))
    _set_ticks(axes, 2)


def _set_ticks(axes, count):
    """At most `count` ticks of the y axis, and a grid."""
    from matplotlib.ticker import MaxNLocator
    axes.yaxis.set_major_locator(MaxNLocator(count))
    axes.yaxis.set_major_formatter(lambda y, _: f'{y:.4g}')
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
    axes.grid(color='#e4e4e4', lw=.5)
    axes.spines[['top', 'right']].set_visible(False)


def render(cells: Sequence[Cell], found: Sequence[Trace]) -> RenderedFigure | None:
    """Renders weights and KL of a table.

    Args:
      cells: of the table.
      found: their `curves.traces`.

    Returns:
      A `RenderedFigure`, or None where no row moves or steers its weight.
    """
    rows = select(found)
    if not rows:
        return None
    heading, unit = cells[0].title, unit_of(cells, 'kl')
    title = f'{heading} – weight of the KL and the KL it leads to'
    with style.context():
        files = style.encode_all(figure(title, unit, rows), *numbers(rows, cells[0].table))
    aimed = sum(any(run.goal is not None for run in runs) for _, runs in rows)
    alt = (f'{heading}. KL ({unit}) and its weight beta against train steps for {len(rows)} '
           f'rows whose weight moves or whose KL is steered; {aimed} have a set point, drawn '
           'as a dotted line.')
    return RenderedFigure('weights', title, alt, files)
