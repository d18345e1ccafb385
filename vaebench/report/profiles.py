"""Figures over several tables: performance profiles, and the probability of improvement over the baseline."""
import numpy as np

from vaebench.report import aggregates, drawing
from vaebench.report.drawing import Drawn, Entry

TOP = 7                 # rows with a colour of their own; the eighth colour is grey
COLUMN = 40             # rows of a column of dots
REST = '#cfcfcf'
HIGH, LOW, EVEN, PART = ('#0072B2', '^'), ('#D55E00', 'v'), ('#000000', 'o'), ('#8c8c8c', 's')
WORDS = 'up: interval above 1/2, down: below, dot: 1/2 is inside, hollow: none; grey squares: missing runs count'


def profile(scores, thresholds):
    """Performance profile: the share of a row's runs with a score above a threshold; a missing run is above none.

    Args:
      scores: [..., runs], nan where missing.
      thresholds: [T].

    Returns:
      [..., T].

    References:
      Dolan and Moré, "Benchmarking optimization software with performance profiles", 2002.
      Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021.

    >>> profile(np.array([1., 2., 3., np.nan]), np.array([0., 2.])).tolist()
    [0.75, 0.25]
    """
    return (np.asarray(scores)[..., None] > np.asarray(thresholds)).mean(-2)


def _chosen(found, table):
    """Places in the pool of the rows to be seen: the highest interquartile means, then Borda points; the baseline."""
    rows = sorted(table.rows, key=lambda r: -r.cells['iqm'].summary.mean if r.cells['iqm'].summary else np.inf)
    names, base = [r.row for r in rows], found.rows[found.baseline]
    best = names[:TOP] if base in names[:TOP] else [*names[:TOP - 1], base]
    return [found.rows.index(row) for row in best]


def _steps(axes, scores, number=None):
    """One row's profile; with a number in its colour, with a mark at every run. Where the number goes."""
    own = np.sort(scores[~np.isnan(scores)])
    low, high = axes.get_xlim()
    x = np.concatenate([[low], own[(own > low) & (own < high)], [high]])
    colour = REST if number is None else drawing.style(number)[0]
    axes.step(x, profile(scores, x), where='post', color=colour, lw=.6 if number is None else 1.5,
              zorder=1 if number is None else 2)
    if number is None or not len(own):
        return None
    for at in np.unique(own):       # at the upper end of its step
        drawing.mark(axes, at, (own >= at).mean() * len(own) / len(scores), number)
    middle = own[len(own) // 2]
    return middle, (own >= middle).sum() / len(scores)


def _profiles(found, table):
    """The figure of performance profiles."""
    scores, chosen = aggregates.scores(found), _chosen(found, table)
    cells, base, tables = {r.row: r.cells for r in table.rows}, found.labels[found.baseline], len(found.parts)

    def value(row):
        if iqm := cells[row]['iqm'].summary:
            return f'{iqm.mean:.2f}'
        return f'{cells[row]["missing"].summary.mean:.0f} runs missing'

    legend = [Entry(None, 'highest interquartile means of the score (%)')]
    for i, r in enumerate(chosen, 1):
        text = f': {value(found.rows[r])}'
        legend.append(Entry(i, drawing.cut(found.labels[r], drawing.WIDEST - len(text)) + text, 'full'))
    if len(found.rows) > len(chosen):
        legend += [Entry(None, ''), Entry(None, f'grey: the {len(found.rows) - len(chosen)} other rows')]
    fig, axes = drawing.page(
        f'Performance profiles over {tables} table{"s" * (tables > 1)}',
        f'{found.runs} runs a row (table and seed), a mark each, far ones outside; a missing run is above no score',
        legend, False,
        (f'score τ: better than the mean of {base} by (% of it)', 'share of runs with a score above τ'),
        ('; '.join(f'{p.table} by {p.metric}' for p in found.parts), ''))
    seen = scores[chosen][~np.isnan(scores[chosen])]
    least, most = drawing.fence(seen.tolist(), 0.)
    seen = seen[(seen >= least) & (seen <= most)]
    margin = .08 * np.ptp(seen) or 1.
    axes.set_xlim(seen.min() - 2 * margin, seen.max() + margin)
    axes.set_ylim(0, 1.03)
    axes.axvline(0, color='#a0a0a0', lw=.7, zorder=0)
    for r in set(range(len(found.rows))) - set(chosen):
        _steps(axes, scores[r])
    at = {i: _steps(axes, scores[r], i) for i, r in reversed(list(enumerate(chosen, 1)))}
    inside = {i: p for i, p in at.items() if p and axes.get_xlim()[0] < p[0] < axes.get_xlim()[1]}
    drawing.number_points(axes, list(inside), list(inside.values()))
    runs = [(p.table, p.metric, seed) for p in found.parts for seed in p.seeds]
    lines = [(row, label, *run, None if np.isnan(s) else float(s)) for row, label, own in zip(
        found.rows, found.labels, scores, strict=True) for run, s in zip(runs, own, strict=True)]
    alt = (f'Share of runs with a score above a threshold, a falling line for each of {len(found.rows)} rows. First in '
           f'the legend is {found.labels[chosen[0]]}.')
    header = 'row', 'label', 'table', 'metric', 'seed', 'score'
    return Drawn('performance-profiles', 'Performance profiles', alt, drawing.files(fig, header, lines))


def _verdict(row):
    """Colour and mark of a dot."""
    summary = row.cells['improved'].summary
    if row.cells['missing'].summary.mean:
        return PART
    if summary.low is None or summary.low <= .5 <= summary.high:
        return EVEN
    return HIGH if summary.low > .5 else LOW


def _improvement(found, table):
    """The figure of probabilities of improvement, a line for each row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    base, tables = found.labels[found.baseline], len(found.parts)
    rows = sorted((r for r in table.rows if r.row != found.rows[found.baseline]), key=lambda r: (
        -r.cells['improved'].summary.mean if r.cells['improved'].summary else 1, r.order))
    columns, deep = -(-len(rows) // COLUMN), min(len(rows), COLUMN)
    label, plot, gap = 2.7, 1.9, .25
    width, height = max(columns * (label + plot + gap), 7.), deep * .17 + 1.5
    fig = Figure(figsize=(width, height), dpi=drawing.DPI)
    FigureCanvasAgg(fig)
    fig.text(.15 / width, 1 - .25 / height, drawing.cut(f'Probability of improvement over {base}', int(width * 10)),
             va='center', fontsize=10, weight='bold')
    for i, text in enumerate(('; '.join(f'{p.table} by {p.metric}' for p in found.parts)
                              + '; bars: 95% stratified bootstrap intervals over seeds', WORDS)):
        fig.text(.15 / width, 1 - (.45 + .16 * i) / height, drawing.cut(text, int(width * 18)), va='center',
                 fontsize=7 if columns > 1 else 6, color=drawing.GREY)
    for column in range(columns):
        part = rows[column * COLUMN:(column + 1) * COLUMN]
        left = column * (label + plot + gap) + label
        axes = fig.add_axes([left / width, (.55 + (deep - len(part)) * .17) / height, plot / width,
                             (len(part) * .17) / height])
        axes.set_xlim(-.03, 1.03)
        axes.set_ylim(len(part) - .5, -.5)
        axes.axvline(.5, color='#a0a0a0', lw=.7, zorder=0)
        ends = [f' [{n:.0f} of {tables}]' if n < tables else '' for n in (r.cells['tables'].summary.mean for r in part)]
        axes.set_yticks(range(len(part)), [drawing.cut(r.label, 40 - len(end)) + end
                                           for r, end in zip(part, ends, strict=True)], fontsize=7)
        axes.set_xticks([0, .25, .5, .75, 1], ['0', '1/4', '1/2', '3/4', '1'], fontsize=7)
        axes.set_xlabel('probability', fontsize=8)
        axes.tick_params(axis='y', length=0)
        for side in ('top', 'right', 'left'):
            axes.spines[side].set_visible(False)
        for y, row in enumerate(part):
            summary = row.cells['improved'].summary
            axes.axhline(y, color='#eeeeee', lw=.5, zorder=0)
            if summary is None:
                axes.text(.5, y, row.cells['improved'].text, fontsize=6.5, color=drawing.GREY, ha='center', va='center',
                          style='italic', bbox={'boxstyle': 'square,pad=0.1', 'fc': 'white', 'ec': 'none'})
                continue
            colour, marker = _verdict(row)
            bare = summary.low is None
            if not bare:
                axes.plot([summary.low, summary.high], [y, y], color=colour, lw=1.2, alpha=.7, zorder=2)
            axes.plot([summary.mean], [y], marker, ms=4.5, color=colour, mfc='white' if bare else colour, zorder=3)
    header = 'row', 'label', 'improved', 'low', 'high', 'tables', 'missing'
    lines = []
    for row in rows:
        s = row.cells['improved'].summary
        lines.append((row.row, row.label, *((s.mean, s.low, s.high) if s else (None,) * 3),
                      *(int(row.cells[m].summary.mean) for m in ('tables', 'missing'))))
    high = sum(_verdict(r) is HIGH for r in rows)
    alt = (f'Probability that a run beats a run of {base}, a dot with its interval for each of {len(rows)} rows. '
           f'{high} have an interval above one half.')
    return Drawn('improvement', f'Probability of improvement over {base}', alt, drawing.files(fig, header, lines))


def render(found, table):
    """The figures over several tables.

    Args:
      found: an `aggregates.Pool`.
      table: what `aggregates.tabulate` made of it.

    Returns:
      List of `drawing.Drawn`, to be written by `figures.save`.
    """
    with drawing.settings():
        return [_profiles(found, table), _improvement(found, table)]
