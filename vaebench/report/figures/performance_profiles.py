"""Figures over several tables: performance profiles, and probabilities of improvement."""
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report import aggregates
from vaebench.report.aggregates import Pool
from vaebench.report.figures import style
from vaebench.report.figures.labels import label_points
from vaebench.report.figures.style import (
    BLACK,
    BLUE,
    GREY,
    RED,
    LegendEntry,
    RenderedFigure,
    shorten,
)
from vaebench.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP = 7                 # rows with a color of their own: the eighth color is grey
PER_COLUMN = 40         # rows in a column of dots
REST = '#cfcfcf'        # color of the other rows
BETTER, WORSE, EVEN, PART = (BLUE, '^'), (RED, 'v'), (BLACK, 'o'), ('#8c8c8c', 's')
"""Color and marker of a dot, see `verdict`."""
WORDS = ('up: interval above 1/2, down: below, dot: 1/2 is inside, hollow: none; grey squares: '
         'missing runs count')


def profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Returns a performance profile: the share of runs whose score is above a threshold.

    Args:
      scores: [..., runs], nan where a run is missing. It is above no threshold.
      thresholds: [T].

    Returns:
      [..., T].

    References:
      Dolan and Moré, "Benchmarking optimization software with performance profiles", 2002.
      Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
      NeurIPS 2021.

    >>> profile(np.array([1., 2., 3., np.nan]), np.array([0., 2.])).tolist()
    [0.75, 0.25]
    """
    return (np.asarray(scores)[..., None] > np.asarray(thresholds)).mean(-2)


# Performance profiles.

def top_rows(pool: Pool, table: Table) -> list[int]:
    """Returns places in the pool of the rows with the highest interquartile means.

    Ties are in the order of their Borda points. The baseline is always among the rows.
    """
    summary = lambda row: row.cells['iqm'].summary
    rows = sorted(table.rows, key=lambda r: -summary(r).mean if summary(r) else np.inf)
    names, base = [r.row for r in rows], pool.rows[pool.baseline]
    best = names[:TOP] if base in names[:TOP] else [*names[:TOP - 1], base]
    return [pool.rows.index(row) for row in best]


def _mean(cell: Cell) -> float:
    """The number of a cell that every row has."""
    assert cell.summary is not None
    return cell.summary.mean


def _profile_legend(pool, table, top):
    """Entries of the rows in `top`, with their interquartile means."""
    cells = {r.row: r.cells for r in table.rows}

    def value(row: str) -> str:
        if iqm := cells[row]['iqm'].summary:
            return f': {iqm.mean:.2f}'
        return f': {_mean(cells[row]["missing"]):.0f} runs missing'

    entries = []
    for i, r in enumerate(top, 1):
        text = shorten(pool.labels[r], style.LEGEND_WIDTH, value(pool.rows[r]))
        entries.append(LegendEntry(i, text, 'full'))
    others = len(pool.rows) - len(top)
    return [LegendEntry(None, 'highest interquartile means of the score (%)'), *entries] + (
        [LegendEntry(None, ''), LegendEntry(None, f'grey: the {others} other rows')]
        if others else [])


def _draw_steps(axes, scores, number=None):
    """Draws the profile of a row: in grey, or with a number in its color and marks at its runs.

    Returns:
      Where the number goes, or None.
    """
    own = np.sort(scores[~np.isnan(scores)])
    low, high = axes.get_xlim()
    x = np.concatenate([[low], own[(own > low) & (own < high)], [high]])
    if number is None:
        axes.step(x, profile(scores, x), where='post', color=REST, lw=.6, zorder=1)
        return None
    color = style.color_and_marker(number)[0]
    axes.step(x, profile(scores, x), where='post', color=color, lw=1.5, zorder=2)
    share = lambda at: (own >= at).sum() / len(scores)      # the upper end of a step
    for at in np.unique(own):
        style.draw_marker(axes, at, share(at), number)
    if not len(own):
        return None
    middle = own[len(own) // 2]
    return middle, share(middle)


def _draw_profiles(axes: 'Axes', scores: np.ndarray, top: Sequence[int]) -> None:
    """Draws the profiles of every row; far outliers of the top rows are outside of the axes."""
    seen = scores[top][~np.isnan(scores[top])]
    low, high = style.tukey_fences(seen.tolist(), 0.)
    seen = seen[(seen >= low) & (seen <= high)]
    margin = .08 * np.ptp(seen) or 1.
    left, right = seen.min() - 2 * margin, seen.max() + margin
    axes.set(xlim=(left, right), ylim=(0, 1.03))
    axes.axvline(0, color='#a0a0a0', lw=.7, zorder=0)
    for r in sorted(set(range(len(scores))) - set(top)):
        _draw_steps(axes, scores[r])
    at = {i: _draw_steps(axes, scores[r], i) for i, r in reversed(list(enumerate(top, 1)))}
    inside = {i: point for i, point in at.items() if point and left < point[0] < right}
    label_points(axes, list(inside), list(inside.values()))


def _metrics(pool):
    """Which metric of which table counts, in words."""
    return '; '.join(f'{part.table} by {part.metric}' for part in pool.parts)


def render_profiles(pool: Pool, table: Table) -> RenderedFigure:
    """Renders the performance profiles; see `render`."""
    scores, top = aggregates.scores(pool), top_rows(pool, table)
    base, tables = pool.labels[pool.baseline], len(pool.parts)
    fig, axes = style.page_with_legend(
        f'Performance profiles over {tables} table{"s" * (tables > 1)}',
        f'{pool.runs} runs a row (table and seed), a mark each, far ones outside; a missing '
        'run is above no score', _profile_legend(pool, table, top), False,
        (f'score τ: better than the mean of {base} by (% of it)',
         'share of runs with a score above τ'), (_metrics(pool), ''))
    _draw_profiles(axes, scores, top)
    runs = [(part.table, part.metric, seed) for part in pool.parts for seed in part.seeds]
    lines = [(row, label, *run, None if np.isnan(score) else float(score))
             for row, label, own in zip(pool.rows, pool.labels, scores, strict=True)
             for run, score in zip(runs, own, strict=True)]
    alt = ('Share of runs with a score above a threshold, a falling line for each of '
           f'{len(pool.rows)} rows. First in the legend is {pool.labels[top[0]]}.')
    header = 'row', 'label', 'table', 'metric', 'seed', 'score'
    return RenderedFigure('performance-profiles', 'Performance profiles', alt,
                          style.encode_all(fig, header, lines))


# Probability of improvement.

def verdict(row: Row) -> tuple[str, str]:
    """Returns color and marker of a dot: `BETTER`, `WORSE` or `EVEN` by its interval.

    `PART` stands for a row that lacks runs.
    """
    summary = row.cells['improved'].summary
    if _mean(row.cells['missing']):
        return PART
    if summary is None or summary.interval is None:
        return EVEN
    low, high = summary.interval
    return EVEN if low <= .5 <= high else BETTER if low > .5 else WORSE


def _draw_dots(axes: 'Axes', rows: Sequence[Row], tables: int) -> None:
    """Draws a dot with its interval for each row, below each other, beside their labels."""
    labels = []
    for y, row in enumerate(rows):
        there = _mean(row.cells['tables'])
        end = f' [{there:.0f} of {tables}]' if there < tables else ''
        labels.append(shorten(row.label, 40, end))
        axes.axhline(y, color='#eeeeee', lw=.5, zorder=0)
        _draw_dot(axes, y, row)
    axes.set(xlim=(-.03, 1.03), ylim=(len(rows) - .5, -.5))
    axes.axvline(.5, color='#a0a0a0', lw=.7, zorder=0)
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.set_xticks([0, .25, .5, .75, 1], ['0', '1/4', '1/2', '3/4', '1'], fontsize=7)
    axes.set_xlabel('probability', fontsize=8)
    axes.tick_params(axis='y', length=0)
    axes.spines[['top', 'right', 'left']].set_visible(False)


def _draw_dot(axes, y, row):
    """Draws the dot of a row, or why it has none."""
    cell = row.cells['improved']
    if cell.summary is None:
        axes.text(.5, y, cell.text, fontsize=6.5, color=GREY, ha='center', va='center',
                  style='italic', bbox=style.WHITE_BOX)
        return
    (color, marker), (mean, low, high, _) = verdict(row), cell.summary
    if low is not None:
        axes.plot([low, high], [y, y], color=color, lw=1.2, alpha=.7, zorder=2)
    axes.plot([mean], [y], marker, ms=4.5, color=color, mfc='white' if low is None else color,
              zorder=3)


def improvement_figure(pool: Pool, rows: Sequence[Row]) -> 'Figure':
    """Returns the figure of probabilities of improvement, with a line for each row."""
    columns, deep = -(-len(rows) // PER_COLUMN), min(len(rows), PER_COLUMN)
    label, plot, gap, line = 2.7, 1.9, .25, .17        # inches
    width, height = max(columns * (label + plot + gap), 7.), deep * line + 1.5
    fig = style.new_figure(width, height)
    title = f'Probability of improvement over {pool.labels[pool.baseline]}'
    fig.text(.15 / width, 1 - .25 / height, shorten(title, int(width * 10)), va='center',
             fontsize=10, weight='bold')
    bars = f'{_metrics(pool)}; bars: 95% stratified bootstrap intervals over seeds'
    for i, text in enumerate((bars, WORDS)):
        fig.text(.15 / width, 1 - (.45 + .16 * i) / height, shorten(text, int(width * 18)),
                 va='center', fontsize=7 if columns > 1 else 6, color=GREY)
    for column in range(columns):
        part = rows[column * PER_COLUMN:(column + 1) * PER_COLUMN]
        left, bottom = column * (label + plot + gap) + label, .55 + (deep - len(part)) * line
        axes = fig.add_axes((left / width, bottom / height, plot / width,
                             len(part) * line / height))
        _draw_dots(axes, part, len(pool.parts))
    return fig


def render_improvement(pool: Pool, table: Table) -> RenderedFigure:
    """Renders the probabilities of improvement over the baseline; see `render`."""
    base = pool.labels[pool.baseline]
    summary = lambda row: row.cells['improved'].summary
    rows = sorted((r for r in table.rows if r.row != pool.rows[pool.baseline]),
                  key=lambda r: (-summary(r).mean if summary(r) else 1, r.order))
    header = 'row', 'label', 'improved', 'low', 'high', 'tables', 'missing'
    lines = [(r.row, r.label, *(summary(r)[:3] if summary(r) else (None,) * 3),
              *(int(_mean(r.cells[m])) for m in ('tables', 'missing'))) for r in rows]
    better = sum(verdict(r) is BETTER for r in rows)
    alt = (f'Probability that a run beats a run of {base}, a dot with its interval for each of '
           f'{len(rows)} rows. {better} have an interval above one half.')
    return RenderedFigure('improvement', f'Probability of improvement over {base}', alt,
                          style.encode_all(improvement_figure(pool, rows), header, lines))


def render(pool: Pool, table: Table) -> list[RenderedFigure]:
    """Renders the figures over several tables.

    Args:
      pool: the cells that count.
      table: what `aggregates.tabulate` made of them.

    Returns:
      Performance profiles and probabilities of improvement.
    """
    with style.context():
        return [render_profiles(pool, table), render_improvement(pool, table)]
