"""Curves of every row of a table: quality against time, and terms against steps."""
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vaebench.report.figures import style
from vaebench.report.figures.cells import Cell
from vaebench.report.figures.labels import label_points
from vaebench.report.figures.style import LegendEntry, RenderedFigure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEST = 8               # rows that are bold
SET_POINT = 'target'   # hyperparameter: the KL in nats that a row steers to
MEASURED = 'training seconds without compilation'
SHARE = f'{MEASURED}; an epoch has the share of its steps'
X_LABELS = {'seconds': 'training time (seconds, logarithmic)', 'step': 'train steps'}


class Line(NamedTuple):
    """A kind of figure: which term is drawn against what, and on which scale."""
    name: str               # of its files
    term: str               # of validation
    against: str            # a key of `X_LABELS`; seconds are on a logarithmic scale
    title: str
    label: str              # of the y axis
    metric: str             # whose unit the term has
    lower_is_better: bool = False    # then a row's value is its lowest, and the best are bold
    symlog: bool = False    # whether a few large values may make the y axis logarithmic


LINES = (
    Line('elbo-seconds', 'elbo', 'seconds', 'bound against training time',
         '−ELBO on validation', 'elbo', lower_is_better=True),
    Line('rec-seconds', 'rec', 'seconds', 'reconstruction against training time',
         'Rec on validation', 'rec', lower_is_better=True),
    Line('kl-steps', 'kl', 'step', 'KL against steps', 'KL on validation', 'kl', symlog=True),
    Line('mi-steps', 'mi', 'step', 'mutual information against steps', 'MI on validation',
         'mi_full', symlog=True),
    Line('au-steps', 'au', 'step', 'active units against steps', 'AU on validation', 'au',
         symlog=True),
)


class Run(NamedTuple):
    """The curves of one seed."""
    seed: int
    curves: Mapping[str, np.ndarray]    # 'step', 'seconds', 'valid/kl' and so on, each [E]
    measured: bool = False              # whether the seconds are, or else are shares of a sum


class Trace(NamedTuple):
    """The curves of one row."""
    number: int             # of the row in the table, from 1
    row: str
    label: str
    runs: tuple[Run, ...]
    reason: str = ''        # why a run has no curves
    target: float | None = None     # set point of the KL, nats


class Shown(NamedTuple):
    """What a figure of one `Line` shows."""
    line: Line
    traces: tuple[Trace, ...]           # of every row of the table
    curves: dict[int, np.ndarray]       # {number: mean over seeds [2, E]} where a row has them
    values: dict[int, float]            # {number: the lowest, or the last, value of the curve}
    inside: tuple[int, ...]             # numbers of the rows within the axes
    bold: tuple[int, ...]               # those with the lowest values, the lowest first
    fences: tuple[float, float]         # outside of which a value is an outlier


# Data.

def traces(cells: Iterable[Cell]) -> tuple[Trace, ...]:
    """Returns the curves of a table's rows, in the table's order."""
    rows = {}
    for cell in cells:
        rows.setdefault(cell.number, []).append(cell)
    return tuple(_trace(own) for _, own in sorted(rows.items()))


def _trace(cells):
    """The `Trace` of the cells of one row."""
    first = cells[0]
    runs = tuple(run for cell in cells if not cell.failure and (run := _run(cell)))
    failures = sorted({cell.failure for cell in cells if cell.failure})
    target = first.hp.get(SET_POINT)
    return Trace(first.number, first.row, first.label, runs,
                 f'failed: {failures[0]}' if failures else '',
                 target if isinstance(target, (int, float)) else None)


def _run(cell):
    """The `Run` of a cell, or None where it has no curves."""
    curves = {name.removeprefix('curve/'): x for name, x in cell.arrays('curve').items()}
    step, measured = curves.get('step', ()), 'seconds' in curves
    if not len(step):
        return None
    if not measured and cell.train_seconds is not None:
        curves['seconds'] = cell.train_seconds * (step / max(step[-1], 1))
    return Run(cell.seed, curves, measured)


def mean_over_seeds(runs: Sequence[Mapping[str, Any]], *names: str) -> np.ndarray:
    """Returns means of curves over seeds, up to the end of the shortest run.

    Args:
      runs: {name: [E]} of each seed.
      names: K of the curves.

    Returns:
      float [K, E'] without the epochs where a mean is not finite; [K, 0] where a run lacks one
      of the curves.

    >>> mean_over_seeds([{'a': [1., 2., 3.]}, {'a': [3., np.nan]}], 'a').tolist()
    [[2.0]]
    """
    if not runs or any(name not in run for run in runs for name in names):
        return np.zeros((len(names), 0))
    length = min(len(run[name]) for run in runs for name in names)
    every = [[run[name][:length] for name in names] for run in runs]
    mean = np.array(every, np.float64).mean(0)
    return mean[:, np.isfinite(mean).all(0)]


def select(line: Line, found: Sequence[Trace]) -> Shown | None:
    """Chooses what a figure shows: the rows that have the curve, the outliers, and the best.

    Returns:
      A `Shown`, or None where no row has the curve.
    """
    curves = {t.number: mean_over_seeds([run.curves for run in t.runs], line.against,
                                        f'valid/{line.term}') for t in found}
    curves = {number: curve for number, curve in curves.items() if curve.size}
    if not curves:
        return None
    values = {number: float(y.min() if line.lower_is_better else y[-1])
              for number, (_, y) in curves.items()}
    low, high = fences = style.tukey_fences(list(values.values()), .5)
    inside = [number for number, value in values.items() if low <= value <= high]
    ordered = sorted(inside, key=lambda number: values[number])
    bold = ordered[:BEST] if line.lower_is_better else []
    return Shown(line, tuple(found), curves, values, tuple(inside), tuple(bold), fences)


def numbers(shown: Shown, table: str) -> tuple[tuple, list[tuple]]:
    """Returns the header and the lines of the figure's numbers, a line for each point."""
    header = 'table', 'number', 'row', 'label', 'seeds', shown.line.against, shown.line.term
    return header, [(table, t.number, t.row, t.label, len(t.runs), float(x), float(y))
                    for t in shown.traces if t.number in shown.curves
                    for x, y in shown.curves[t.number].T]


# Words.

def _short(x, _=None):
    """A number in few characters; also as a matplotlib formatter."""
    return f'{x:,.0f}' if x >= 100 else f'{x:.3g}'


def legend(shown: Shown) -> list[LegendEntry]:
    """Returns an entry for every row: the bold, the others, the outliers, and the missing."""
    labels = {t.number: t.label for t in shown.traces}

    def entry(number: int, end: str = '') -> LegendEntry:
        return LegendEntry(number, shorten(labels[number], style.LEGEND_WIDTH, end), 'full')

    def best(number: int) -> str:
        x, y = shown.curves[number]
        return f': {shown.values[number]:.2f} at {_short(x[y.argmin()])} s'

    return style.grouped_legend([
        ('lowest (bold)', [entry(n, best(n)) for n in shown.bold]),
        ('others' if shown.bold else '',
         [entry(n) for n in shown.inside if n not in shown.bold]),
        ('outside the axes', [entry(n, f': {value:.1f}') for n, value in shown.values.items()
                              if n not in shown.inside]),
        ('no such curve', [
            LegendEntry(t.number, f'{t.label}: {t.reason}' if t.reason else t.label)
            for t in shown.traces if t.number not in shown.curves])])


def caption(shown: Shown) -> str:
    """Returns how many seeds there are, and where the seconds come from."""
    seeds = max(len(t.runs) for t in shown.traces)
    texts = [f'Mean over {seeds} seeds' if seeds > 1 else 'One seed']
    if shown.line.against == 'seconds':
        measured = all(run.measured for t in shown.traces for run in t.runs)
        texts.append(MEASURED if measured else SHARE)
    return '; '.join(texts)


# Figures.

def draw(axes: 'Axes', shown: Shown) -> None:
    """Draws the curves that are inside of the axes, and the number of each at its end."""
    x, y = np.concatenate([shown.curves[n] for n in shown.inside], 1)
    low, high = shown.fences
    _scale_x(axes, x, shown.line.against == 'seconds')
    _scale_y(axes, y[(y >= low) & (y <= high)], shown)
    ends = [shown.curves[n][:, -1] for n in shown.inside]
    for n, end in zip(shown.inside, ends, strict=True):
        bold = n in shown.bold
        axes.plot(*shown.curves[n], color=style.color_and_marker(n)[0], lw=1.6 if bold else .7,
                  alpha=1. if bold or not shown.bold else .45, zorder=2.5 if bold else 2)
        style.draw_marker(axes, end[0], end[1], n)
    label_points(axes, shown.inside, ends)


def _scale_x(axes, x, log):
    """Fits the x axis to numbers."""
    from matplotlib.ticker import LogLocator, NullLocator
    if log and x.min() > 0:
        axes.set_xscale('log')
        axes.set_xlim(x.min() / 1.1, x.max() * (x.max() / x.min())**.06)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(min(0, x.min()), x.max() * 1.08)
    axes.xaxis.set_major_formatter(_short)


def _scale_y(axes, y, shown):
    """Fits the y axis to the numbers that are no outliers."""
    from matplotlib.ticker import NullLocator
    middle = np.median(list(shown.values.values()))
    if not shown.line.symlog or y.max() <= 5 * max(middle, .1):
        axes.set_ylim(style.axis_limits(y))
        return
    axes.set_yscale('symlog', linthresh=1, linscale=.7)
    axes.set_ylim(min(-.05, y.min()), y.max() * 1.2)
    ticks = [k * 10**e for e in range(8) for k in (1, 2, 5)]
    axes.set_yticks([0, .2, .5, *(tick for tick in ticks if tick <= y.max())])
    axes.yaxis.set_major_formatter(_short)
    axes.yaxis.set_minor_locator(NullLocator())


def figure(shown: Shown, title: str, unit: str) -> 'Figure':
    """Returns the figure of a `Shown`; the unit is of its term, '' for none."""
    line = shown.line
    fig, axes = style.page_with_legend(
        title, caption(shown), legend(shown), len(shown.traces) > style.MANY,
        (X_LABELS[line.against], f'{line.label} ({unit})' if unit else line.label))
    draw(axes, shown)
    return fig


def render(line: Line, cells: Sequence[Cell], found: Sequence[Trace]) -> RenderedFigure | None:
    """Renders the figure of a `Line` for a table.

    Args:
      line: one of `LINES`.
      cells: of the table.
      found: their `traces`.

    Returns:
      A `RenderedFigure`, or None where no row has the curve.
    """
    shown = select(line, found)
    if shown is None:
        return None
    heading, unit = cells[0].title, unit_of(cells, line.metric)
    title = f'{heading} – {line.title}'
    with style.context():
        files = style.encode_all(figure(shown, title, unit), *numbers(shown, cells[0].table))
    against = 'training seconds' if line.against == 'seconds' else 'train steps'
    alt = (f'{heading}. {line.label}{f" ({unit})" if unit else ""} against {against}, a line '
           f'for each of {len(shown.curves)} of {len(found)} rows.')
    return RenderedFigure(line.name, title, alt, files)


def unit_of(cells: Iterable[Cell], metric: str) -> str:
    """Returns the unit of a metric, '' where no cell has it."""
    return next((cell.units[metric] for cell in cells if metric in cell.units), '')
