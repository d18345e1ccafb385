"""Curves of every row of a table: quality against time, terms against steps, and rates with their set points."""
from typing import NamedTuple

import numpy as np

from vaebench.report import drawing
from vaebench.report.drawing import Drawn, Entry
from vaebench.report.sheets import EDGE, HEAD, axes_in, canvas, heading, write_at

BEST = 8               # rows in bold, the better the earlier
SET_POINT = 'target'   # hyperparameter: the KL in nats that a row steers to
SHARE = 'training seconds without compilation; an epoch has the share of its steps'
MEASURED = 'training seconds without compilation'
ACROSS = 6             # rows with a weight beside each other


class Line(NamedTuple):
    """What of the curves is drawn against what."""
    name: str
    term: str               # of validation
    against: str            # 'step' or 'seconds'
    words: tuple[str, str]  # of the title and of the axis
    metric: str             # whose unit the term has
    lower: bool = False     # whether low is good: the best rows are in bold then


LINES = (
    Line('elbo-seconds', 'elbo', 'seconds', ('bound against training time', '−ELBO on validation'), 'elbo', True),
    Line('rec-seconds', 'rec', 'seconds', ('reconstruction against training time', 'Rec on validation'), 'rec', True),
    Line('kl-steps', 'kl', 'step', ('KL against steps', 'KL on validation'), 'kl'),
    Line('mi-steps', 'mi', 'step', ('mutual information against steps', 'MI on validation'), 'mi_full'),
    Line('au-steps', 'au', 'step', ('active units against steps', 'AU on validation'), 'au'),
)


class Trace(NamedTuple):
    """The curves of one row."""
    number: int             # of the row in the table, from 1
    row: str
    label: str
    runs: tuple             # of each seed: {'seed', 'measured', and [E] 'step', 'seconds', 'valid/kl' and so on}
    reason: str             # why there is none
    target: float | None    # nats


def traces(cells):
    """The curves of a table's rows.

    Args:
      cells: list of `pictures.Cell` of one table.

    Returns:
      List of `Trace`, one a row, in the table's order.
    """
    rows = {}
    for cell in cells:
        rows.setdefault(cell.number, []).append(cell)
    out = []
    for number, own in sorted(rows.items()):
        runs, first = [], own[0].result
        for cell in own:
            curves = {k.removeprefix('curve/'): v for k, v in cell.arrays('curve').items()}
            if cell.result.status == 'done' and len(curves.get('step', ())):
                whole, share = cell.result.times.train, curves['step'] / max(curves['step'][-1], 1)
                seconds = {} if whole is None else {'seconds': whole * share}      # unless they were measured
                runs.append({'seed': cell.result.seed, 'measured': 'seconds' in curves, **seconds, **curves})
        failed = sorted({c.result.reason for c in own if c.result.status != 'done'})
        target = (first.config.get('hp') or {}).get(SET_POINT)
        out.append(Trace(number, first.row, first.label, tuple(runs), 'failed: ' + failed[0] if failed else '',
                         target if isinstance(target, (int, float)) else None))
    return out


def mean(runs, *keys):
    """Means over seeds of some curves, as far as every seed goes.

    Args:
      runs: list of {key: [E]}.
      keys: of the curves.

    Returns:
      float [K, E'] without the epochs where one is not finite; [K, 0] where a curve is missing.

    >>> mean([{'a': [1., 2., 3.]}, {'a': [3., np.nan]}], 'a').tolist()
    [[2.0]]
    """
    if not runs or any(k not in run for run in runs for k in keys):
        return np.zeros((len(keys), 0))
    length = min(len(run[k]) for run in runs for k in keys)
    many = np.array([[run[k][:length] for k in keys] for run in runs], np.float64)
    both = many.mean(0)
    return both[:, np.isfinite(both).all(0)]


def _unit(cells, metric):
    return next((c.result.metrics[metric].unit for c in cells if metric in c.result.metrics), '')


def _number(x):
    return f'{x:,.0f}' if x >= 100 else f'{x:.3g}'


def figure(line, title, unit, found, drawn):
    """The figure of a line for every row.

    Args:
      line: a `Line`.
      title: of the figure.
      unit: of the term.
      found: list of `Trace`.
      drawn: {number: [2, E] what `mean` gave, not empty}.

    Returns:
      A matplotlib figure.
    """
    from matplotlib.ticker import NullLocator
    timed = line.against == 'seconds'
    ends = {n: v[1].min() if line.lower else v[1, -1] for n, v in drawn.items()}
    low, high = drawing.fence(list(ends.values()), .5)
    inside = [n for n, e in ends.items() if low <= e <= high]
    bold = sorted(inside, key=ends.get)[:BEST] if line.lower else []
    by_number = {t.number: t for t in found}

    def entry(n, end=''):
        return Entry(n, drawing.cut(by_number[n].label, drawing.WIDEST - len(end)) + end, 'full' if n in ends else '')

    value = lambda n: f': {ends[n]:.2f} at {_number(drawn[n][0, drawn[n][1].argmin()])} s'
    lost = [t for t in found if t.number not in drawn]
    legend = drawing.grouped([
        ('lowest (bold)', [entry(n, value(n)) for n in bold]),
        ('others' if bold else '', [entry(n) for n in inside if n not in bold]),
        ('outside the axes', [entry(n, f': {ends[n]:.1f}') for n in ends if n not in inside]),
        ('no such curve', [Entry(t.number, f'{t.label}: {t.reason}' if t.reason else t.label) for t in lost])])
    legend = legend[1:] if legend and not legend[0].text else legend
    seeds = max(len(t.runs) for t in found)
    measured = all(run.get('measured') for t in found for run in t.runs)
    texts = [f'Mean over {seeds} seeds' if seeds > 1 else 'One seed'] + [MEASURED if measured else SHARE] * timed
    fig, axes = drawing.page(title, '; '.join(texts), legend, len(found) > drawing.MANY,
                             ('training time (seconds, logarithmic)' if timed else 'train steps',
                              f'{line.words[1]} ({unit})' if unit else line.words[1]))
    xs = np.concatenate([drawn[n][0] for n in inside])
    ys = np.concatenate([drawn[n][1] for n in inside])
    if timed and xs.min() > 0:
        axes.set_xscale('log')
        axes.set_xlim(xs.min() / 1.1, xs.max() * (xs.max() / xs.min())**.06)
        axes.xaxis.set_major_formatter(lambda x, _: _number(x))
        axes.xaxis.set_minor_formatter(lambda x, _: _number(x) if f'{x:e}'[0] in '25' else '')
        axes.tick_params(which='minor', labelsize=8, length=3.5, pad=3.5)
    else:
        axes.set_xlim(min(0, xs.min()), xs.max() * 1.08)
        axes.xaxis.set_major_formatter(lambda x, _: _number(x))
    seen = [y for y in ys if low <= y <= high]
    if not line.lower and max(seen) > 5 * max(np.median(list(ends.values())), .1):
        axes.set_yscale('symlog', linthresh=1, linscale=.7)
        axes.set_ylim(min(-.05, min(seen)), max(seen) * 1.2)
        axes.set_yticks([0, .2, .5, *(k * 10**e for e in range(8) for k in (1, 2, 5) if k * 10**e <= max(seen))])
        axes.yaxis.set_major_formatter(lambda y, _: _number(y))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(drawing.limits(seen))
    for n in inside:
        axes.plot(*drawn[n], color=drawing.style(n)[0], lw=1.6 if n in bold else .7,
                  alpha=1. if n in bold or not bold else .45, zorder=2.5 if n in bold else 2)
        drawing.mark(axes, *drawn[n][:, -1], n)
    drawing.number_points(axes, inside, [drawn[n][:, -1] for n in inside])
    return fig


def _line(line, cells, found):
    """A `Drawn` of one of LINES, or None where no row has it."""
    drawn = {t.number: v for t in found if (v := mean(t.runs, line.against, f'valid/{line.term}')).size}
    if not drawn:
        return None
    first, unit = cells[0].result, _unit(cells, line.metric)
    title = f'{first.title} – {line.words[0]}'
    lines = [(first.table, t.number, t.row, t.label, len(t.runs), *map(float, at))
             for t in found if t.number in drawn for at in drawn[t.number].T]
    with drawing.settings():
        files = drawing.files(figure(line, title, unit, found, drawn),
                              ('table', 'number', 'row', 'label', 'seeds', line.against, line.term), lines)
    alt = (f'{first.title}. {line.words[1]}{f" ({unit})" if unit else ""} against '
           f'{"training seconds" if line.against == "seconds" else "train steps"}, a line for each of {len(drawn)} of '
           f'{len(found)} rows.')
    return Drawn(line.name, title, alt, files)


# Weights and rates.

def merged(run, term):
    """A term of training, whichever player trains in an epoch: [E], NaN where none has it; None without the term."""
    own = [v for k, v in sorted(run.items()) if k.startswith('train/') and k.split('/', 2)[2] == term]
    if not own:
        return None
    out = np.array(own[0], np.float64)
    for v in own[1:]:
        out = np.where(np.isfinite(out), out, v)
    return out


def steered(found):
    """The rows whose weight moves or whose KL has a set point.

    Args:
      found: list of `Trace`.

    Returns:
      List of (`Trace`, list of {'step', 'beta', 'kl', 'valid', 'goal': [E] or None} of its seeds); rows with a set
      point first.
    """
    out = []
    for t in found:
        runs = [{'seed': run['seed'], 'step': run['step'], 'beta': merged(run, 'beta'), 'kl': merged(run, 'kl'),
                 'valid': run.get('valid/kl'), 'goal': merged(run, 'capacity')} for run in t.runs]
        runs = [r for r in runs if r['beta'] is not None and r['kl'] is not None]
        moves = any(np.ptp(b[np.isfinite(b)]) > 1e-6 for r in runs if np.isfinite(b := r['beta']).any())
        aimed = t.target is not None or any(r['goal'] is not None for r in runs)
        if runs and (moves or aimed):
            if t.target is not None:
                runs = [{**r, 'goal': np.full(len(r['step']), float(t.target))} for r in runs]
            out.append((not aimed, t, runs))
    return [(t, runs) for _, t, runs in sorted(out, key=lambda x: x[0])]


def weights(title, unit, found):
    """Weight and KL of every row that `steered` gave, below each other.

    Args:
      title: of the figure.
      unit: of the KL.
      found: what `steered` gave.

    Returns:
      A matplotlib figure.
    """
    from matplotlib.ticker import MaxNLocator
    across, down, width, tall, low = 300, 330, 225, 165, 75
    columns = min(ACROSS, len(found))
    fig = canvas(max(across * columns + 2 * EDGE, 1180), HEAD + down * -(-len(found) // columns) + 20)
    blue, red, green = (drawing.COLOURS[i] for i in (1, 2, 3))
    for i, (trace, runs) in enumerate(found):
        left, top = EDGE + 60 + across * (i % columns), HEAD + 45 + down * (i // columns)
        upper = axes_in(fig, (left, top, width, tall))
        lower = axes_in(fig, (left, top + tall + 10, width, low))
        write_at(fig, left - 50, top - 16, drawing.cut(f'{trace.number} {trace.label}', 32), fontsize=7,
                 color=drawing.style(trace.number)[0])
        for run in runs:
            if run['valid'] is not None:
                upper.plot(run['step'], run['valid'], '--', color=red, lw=.9, alpha=.8)
            upper.plot(run['step'], run['kl'], color=blue, lw=1.1)
            if run['goal'] is not None:
                upper.plot(run['step'], run['goal'], ':', color='#000000', lw=1.3, zorder=3)
            lower.plot(run['step'], run['beta'], color=green, lw=1.1)
        values = np.concatenate([v[np.isfinite(v)] for r in runs for k in ('kl', 'valid', 'goal')
                                 if (v := r[k]) is not None])
        most = max((np.nanmax(r['beta']) for r in runs if np.isfinite(r['beta']).any()), default=1.)
        lower.set_ylim(0, 1.1 * max(most, 1e-6))
        top_value = min(values.max(), 4 * max(np.median(values), .5)) if len(values) else 1.
        upper.set_ylim(0, 1.08 * max(top_value, 1e-3))
        upper.tick_params(labelbottom=False)
        for axes in (upper, lower):
            axes.yaxis.set_major_locator(MaxNLocator(4 if axes is upper else 2))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
            axes.grid(color='#e4e4e4', lw=.5)
            for side in ('top', 'right'):
                axes.spines[side].set_visible(False)
        if i % columns == 0:
            for axes, text in ((upper, f'KL ({unit})'), (lower, 'beta')):
                axes.set_ylabel(text, fontsize=6.5)
        if i >= len(found) - columns:
            lower.set_xlabel('train steps', fontsize=6.5, labelpad=1)
    heading(fig, title, ('KL in training', blue), ('KL on validation (dashed)', red), ('its set point (dotted)',
            '#000000'), ('beta, weight of the KL', green))
    return fig


def _weights(cells, found):
    """A `Drawn` of weights and KL, or None where no row has a weight that moves."""
    rows = steered(found)
    if not rows:
        return None
    first, unit = cells[0].result, _unit(cells, 'kl')
    title = f'{first.title} – weight of the KL and the KL it leads to'
    lines = []
    for trace, runs in rows:
        for run in runs:
            keys = 'step', 'beta', 'kl', 'valid', 'goal'
            columns = [run[k] if run[k] is not None else [None] * len(run['step']) for k in keys]
            lines += [(first.table, trace.number, trace.row, trace.label, run['seed'], *(
                v if v is None or not np.isfinite(v) else float(v) for v in at)) for at in zip(*columns, strict=True)]
    with drawing.settings():
        files = drawing.files(weights(title, unit, rows), ('table', 'number', 'row', 'label', 'seed', 'step', 'beta',
                                                           'kl_train', 'kl_valid', 'set_point'), lines)
    aimed = sum(any(r['goal'] is not None for r in runs) for _, runs in rows)
    alt = (f'{first.title}. KL ({unit}) and its weight beta against train steps for {len(rows)} rows whose weight '
           f'moves or whose KL is steered; {aimed} have a set point, drawn as a dotted line.')
    return Drawn('weights', title, alt, files)


def render(cells):
    """The figures that the curves of a table's cells give.

    Args:
      cells: list of `pictures.Cell` of one table.

    Returns:
      List of `drawing.Drawn`; [] where no cell has curves.
    """
    found = traces(cells)
    every = [_line(line, cells, found) for line in LINES] if any(t.runs for t in found) else []
    return [d for d in (*every, _weights(cells, found) if found else None) if d]
