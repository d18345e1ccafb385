"""One table over many: Borda points, interquartile mean of scores, probability of improvement.

A cell counts where it has a number without a warning, by the estimator that the baseline has in that table. Every
other one is missing: it is named, and it counts as the worst. Denominators are the same for every row: all tables, and
in each all its rows and all its seeds. So no row gains by its own missing cells, nor by those of others.
"""
from typing import NamedTuple

import numpy as np

from vaebench.errors import UserError
from vaebench.report import statistics
from vaebench.report.tables import FACTS, GAP, Cell, Column, Row, Table

BASELINE = 'vae'
METRICS = 'nll_iw', 'frechet', 'w2', 'trust', 'mse'
"""Of these, in each table the one that most of its rows have; the first of equals."""


class Part(NamedTuple):
    """What one table gives."""
    table: str
    metric: str
    better: str
    count: int                  # of the table's own rows, with and without a number
    seeds: tuple                # of the cells that count
    values: np.ndarray          # [rows of the pool, seeds], nan where missing; larger is better


class Pool(NamedTuple):
    """The cells of several tables, row by row."""
    rows: tuple[str, ...]
    labels: tuple[str, ...]
    baseline: int               # its place among the rows
    parts: tuple[Part, ...]
    missing: tuple              # of each row the lines that name its missing cells
    left_out: tuple             # lines: tables that do not count, and why

    @property
    def runs(self):
        """How many runs each row should have."""
        return sum(len(p.seeds) for p in self.parts)

    def present(self):
        """How many it has: [rows, tables]."""
        return np.stack([(~np.isnan(p.values)).sum(1) for p in self.parts], 1)


def _counts(table, metric, baseline):
    """{row: Cell} of the cells that count."""
    cells = {r.row: r.cells[metric] for r in table.rows if metric in r.cells}
    if baseline not in cells:
        return {}
    return {r: c for r, c in cells.items()
            if c.seeds and c.summary and not c.warned and c.estimator == cells[baseline].estimator}


def _choose(table, metrics, baseline):
    """(Column, {row: Cell}) of the metric that counts in a table, or the reason why there is none."""
    if baseline not in [r.row for r in table.rows]:
        return None, f'no row {baseline!r}'
    named = [c for m in metrics or METRICS for c in table.columns if c.name == m and c.better]
    found = [(c, cells) for c in named if baseline in (cells := _counts(table, c.name, baseline)) and len(cells) > 1
             and cells[baseline].summary.mean]      # scores are relative to it
    if not found:
        return None, f'no {" or ".join(metrics or METRICS)} that {baseline!r} (not 0) and another row have'
    return found[0] if metrics else max(found, key=lambda f: len(f[1]))


def _reason(row, column, main):
    """Why a cell of a table does not count."""
    if row is None:
        return 'not a row of this table'
    cell = row.cells[column.name]
    if cell.summary is None:
        texts = [c.text for c in row.cells.values() if c.text not in ('', GAP)]
        return (cell.text if cell.text == 'mixed' else texts[0]) if cell.text != GAP else f'no {column.name}'
    return f'{column.name} by {cell.estimator}' if cell.estimator != main else f'{column.name} with a warning'


def pool(tables, metrics=(), baseline=BASELINE):
    """The cells that count, of one metric a table.

    Args:
      tables: list of `tables.Table`, with all their columns.
      metrics: names in order of preference: the first that the baseline and another row have; () for that of
        `METRICS` that most rows have.
      baseline: id of the row that the others are compared with.

    Returns:
      A `Pool`.

    Raises:
      UserError: no table has such a metric and the baseline.
    """
    parts, left_out, chosen = [], [], []
    for table in tables:
        column, cells = _choose(table, metrics, baseline)
        if column is None:
            left_out.append(f'{table.table}: {cells}')
        else:
            chosen.append((table, column, cells))
    if not chosen:
        raise UserError(f'nothing to aggregate ({"; ".join(left_out) or "no table"}); name another baseline or metric')
    labels = {r.row: r.label for table, _, _ in reversed(chosen) for r in reversed(table.rows)}
    rows = tuple(dict.fromkeys(r.row for table, _, _ in chosen for r in table.rows))
    missing = {r: [] for r in rows}
    for table, column, cells in chosen:
        seeds = tuple(sorted({s for c in cells.values() for s in c.seeds}))
        sign = {'lower': -1., 'higher': 1.}[column.better]
        values = np.array([[sign * cells[r].seeds.get(s, np.nan) if r in cells else np.nan for s in seeds]
                           for r in rows])
        parts.append(Part(table.table, column.name, column.better, len(table.rows), seeds, values))
        own = {r.row: r for r in table.rows}
        for r in rows:
            if r not in cells:
                missing[r].append(f'{table.table}: {_reason(own.get(r), column, cells[baseline].estimator)}')
            elif len(cells[r].seeds) < len(seeds):
                missing[r].append(f'{table.table}: {len(cells[r].seeds)} of {len(seeds)} seeds')
    return Pool(rows, tuple(labels[r] for r in rows), rows.index(baseline), tuple(parts),
                tuple(map(tuple, missing.values())), tuple(left_out))


def once(n, stratum):
    """Weights of the estimate itself: every seed once."""
    return np.ones((1, n))


def _groups(values):
    """(rows, their seeds) for every set of seeds that some rows have."""
    have = ~np.isnan(values)
    for pattern in np.unique(have, axis=0):
        if pattern.any():
            yield np.flatnonzero((have == pattern).all(1)), np.flatnonzero(pattern)


def _mixed(weights, values):
    """weights [B, n] times values [n, ...]: term by term, so that the last bits do not depend on a machine's BLAS."""
    return sum(np.multiply.outer(v, w) for w, v in zip(weights.T, values, strict=True))


def _means(part, stratum, draw):
    """Mean over the seeds that a row has: [rows, B], nan for none."""
    out = None
    for rows, seeds in _groups(part.values):
        weights = draw(len(seeds), stratum)
        out = np.full((len(part.values), len(weights)), np.nan) if out is None else out
        out[rows] = _mixed(weights / len(seeds), part.values[np.ix_(rows, seeds)].T)
    return out


def borda(found, draw=once):
    """Borda points: the share of a table's other rows that a row beats, mean over all tables.

    In each table a row beats those of which the mean over seeds is worse; equal means share. A row that lacks a seed of
    the table has no points there and is beaten by none. The divisor is the number of the table's rows less one, with
    and without a number.

    Args:
      found: a `Pool`.
      draw: (n, table) -> [B, n], how much each seed weighs: `once`, or `statistics.resamples`.

    Returns:
      [rows, B], percent.
    """
    from scipy.stats import rankdata
    total = 0.
    for i, part in enumerate(found.parts):
        means = _means(part, i, draw)
        whole = ~np.isnan(part.values).any(1)
        points = np.zeros_like(means)
        points[whole] = (rankdata(means[whole], axis=0) - 1) / (part.count - 1)
        total = total + points
    return 100 * total / len(found.parts)


def scores(found):
    """By what percentage of the baseline's mean each run is better than that mean.

    Args:
      found: a `Pool`.

    Returns:
      [rows, runs], nan where missing: ±(value − b) / |b| · 100, b the baseline's mean over its seeds.
    """
    means = [np.nanmean(p.values[found.baseline]) for p in found.parts]
    return np.concatenate([100 * (p.values - b) / abs(b) for p, b in zip(found.parts, means, strict=True)], 1)


def iqms(found, draw=once):
    """Interquartile mean of the `scores` of a row over all runs; missing runs count as the lowest.

    Args:
      found: a `Pool`.
      draw: see `borda`. The baseline's mean is drawn too; what it is divided by stays.

    Returns:
      [rows, B], percent; nan where more than a quarter of the runs is missing.
    """
    shifts, scales = [], []
    for i, part in enumerate(found.parts):
        own = part.values[[found.baseline]]
        shifts.append(_means(part._replace(values=own), i, draw)[0])
        scales.append(abs(np.nanmean(own)))
    out = np.full((len(found.rows), max(map(len, shifts))), np.nan)
    lost = found.runs - found.present().sum(1)
    for r in np.flatnonzero(lost <= found.runs // 4):
        values, weights = [], []
        for i, part in enumerate(found.parts):
            own = part.values[r][~np.isnan(part.values[r])]
            if len(own):
                values.append(100 * (own - shifts[i][:, None]) / scales[i])
                weights.append(draw(len(own), i))
        out[r] = statistics.iqm(np.concatenate(values, 1), np.concatenate(weights, 1), int(lost[r]))
    return out


def improvement(found, draw=once):
    """Probability that a run is better than a run of the baseline, mean over all tables; equal ones count half.

    Args:
      found: a `Pool`.
      draw: see `borda`.

    Returns:
      [rows, B]; a missing run is not better.

    References:
      Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger
      than the Other", 1947. Agarwal et al., "Deep Reinforcement Learning at the Edge of the
      Statistical Precipice", NeurIPS 2021.
    """
    total = 0.
    for i, part in enumerate(found.parts):
        base = part.values[found.baseline]
        base = base[~np.isnan(base)]
        own = part.values[..., None]
        wins = (own > base) + .5 * (own == base)            # [rows, seeds, the baseline's seeds]
        other = draw(len(base), i) / len(base)
        better = np.zeros((len(wins), len(other)))
        for rows, seeds in _groups(part.values):
            both = draw(len(seeds), i)[:, :, None] * other[:, None]
            pairs = wins[np.ix_(rows, seeds)].reshape(len(rows), -1)
            better[rows] = _mixed(both.reshape(len(both), -1) / len(part.seeds), pairs.T)
        total = total + better
    return total / len(found.parts)


class Estimate(NamedTuple):
    """One number a row."""
    mean: np.ndarray            # [rows], nan where there is none
    low: np.ndarray             # nan where there is no interval
    high: np.ndarray
    best: np.ndarray            # [rows] of bool: the best, and those whose difference from it has an interval with 0


def estimate(found, function, least=-np.inf, most=np.inf):
    """A number of every row with its 95% stratified bootstrap interval: seeds are drawn anew within each table.

    On normal data, 2 to 10 tables of 2 to 5 seeds, the interval of `iqms` covers 94 to 96% of the time, and that of
    `improvement`, where it has one, 92 to 100%. That of `borda` says how far the ranks move with the seeds.

    Args:
      found: a `Pool`.
      function: `borda`, `iqms` or `improvement`.
      least, most: what it can be, [] or [rows].

    Returns:
      An `Estimate`.
    """
    mean, drawn = function(found)[:, 0], function(found, statistics.resamples)
    freedom = np.maximum(found.present() - 1, 0).sum(1)
    low, high = statistics.spread(drawn, mean, freedom)
    top = int(np.nanargmax(mean))
    gap, _ = statistics.spread(drawn[top] - drawn, mean[top] - mean, np.minimum(freedom, freedom[top]))
    # Of few runs nearly every interval includes 0: there a row must also reach the best in some draw.
    few = np.minimum(freedom, freedom[top]) <= statistics.FEW
    tied = (gap <= 0) & (~few | (drawn >= drawn[top]).any(-1))
    return Estimate(mean, np.maximum(low, least), np.minimum(high, most), (mean == mean[top]) | tied)


def _columns(found):
    """The columns, whose estimators are the formulas."""
    base, tables = found.labels[found.baseline], len(found.parts)
    return (Column('rank', '', 'lower', 'by borda', 0),
            Column('borda', '%', 'higher', "share of a table's other rows that the row's mean beats, ties half; mean "
                   f'over all {tables} tables, 0 where a seed is missing', 1),
            Column('iqm', f'% of {base}', 'higher', 'interquartile mean over all runs of ±(value − b) / |b|, b the '
                   f'mean of {base} in the table, above 0: better; missing runs are the lowest', 2),
            Column('improved', 'probability', 'higher', f'that a run beats a run of {base}, ties half; mean over all '
                   f'{tables} tables, 0 where missing', 2),
            Column('tables', '', None, f'tables with a number, of {tables}', 0),
            Column('missing', 'runs', None, f'runs without a number, of {found.runs}', 0))


def _about(found):
    """What counts, the intervals, and how far to trust them."""
    base = found.labels[found.baseline]
    arrow = {'lower': '↓', 'higher': '↑'}
    lines = ['Over tables: ' + '; '.join(f'{p.table} by {p.metric} {arrow[p.better]} ({p.count} rows, {len(p.seeds)} '
                                         f'seed{"s" * (len(p.seeds) > 1)})' for p in found.parts) + '.']
    if found.left_out:
        lines.append(f'Left out: {"; ".join(found.left_out)}.')
    lines.append(f'Baseline: {base}. A cell counts if it has a number without a warning by the estimator of {base}; '
                 f'every other one is missing, is named and counts as the worst. Every row is divided by the same '
                 f'{len(found.parts)} table{"s" * (len(found.parts) > 1)} and {found.runs} runs.')
    sizes = [len(p.seeds) for p in found.parts]
    if max(sizes) > 1:
        freedom = sum(sizes) - len(sizes)
        text = (f"[{statistics.LEVEL:.0%} interval: Student's multiple, {statistics.multiple(freedom + 1):.1f} for "
                f'complete rows, of the standard error of a stratified bootstrap, {statistics.REPLICATES} draws of '
                'seeds within each table]; none where all draws agree.')
        if freedom <= statistics.FEW:
            text += f' With {sum(sizes)} runs a row it says little.'
        lines.append(text)
    if len(set(sizes)) > 1:
        lines.append('In iqm a table with more seeds weighs more.')
    return tuple(lines)


def families(tables):
    """Groups of tables that share their rows: over others an aggregate would say little.

    Args:
      tables: list of `tables.Table`.

    Returns:
      List of lists, largest tables first: a table joins the first group whose first table has half of its rows.
    """
    groups = []
    for table in sorted(tables, key=lambda t: -len(t.rows)):
        rows = {r.row for r in table.rows}
        for group in groups:
            if 2 * len(rows & {r.row for r in group[0].rows}) >= len(rows):
                group.append(table)
                break
        else:
            groups.append([table])
    return groups


def overall(tables, metrics=(), baseline=BASELINE):
    """The table over all tables, best Borda points first.

    Args:
      tables: list of `tables.Table`, with all their columns.
      metrics: see `pool`.
      baseline: id of the row that the others are compared with.

    Returns:
      See `tabulate`.

    Raises:
      UserError: no table has such a metric and the baseline.
    """
    return tabulate(pool(tables, metrics, baseline))


def tabulate(found):
    """A pool as a table.

    Args:
      found: a `Pool`.

    Returns:
      A `tables.Table` with the columns rank, borda (%), iqm (%), improved, tables and missing; best Borda points first;
      notes name the missing cells. A summary's n is the number of runs behind an interval, 0 where there is none.
    """
    columns, present = {c.name: c for c in _columns(found)}, found.present()
    share = present / [len(p.seeds) for p in found.parts]
    results = {'borda': estimate(found, borda, 0., 100 * (share == 1).mean(1)), 'iqm': estimate(found, iqms),
               'improved': estimate(found, improvement, 0., share.mean(1))}
    points, middle = results['borda'].mean, np.nan_to_num(results['iqm'].mean, nan=-np.inf)
    ranked = sorted(range(len(found.rows)), key=lambda r: (-points[r], -middle[r], found.rows[r]))
    notes = list(dict.fromkeys(line for r in ranked for line in found.missing[r]))

    def number(name, value, low=None, high=None, n=0, best=False, marks=()):
        summary = statistics.Summary(float(value), low, high, n)
        return Cell({}, summary, None, bool(best), '', columns[name].estimator, marks)

    def cell(name, r):
        e, have = results[name], int(present[r].sum())
        if np.isnan(e.mean[r]) or not have:
            return Cell({}, None, None, False, 'missing', '', ())
        sides = () if np.isnan(e.low[r]) else (float(e.low[r]), float(e.high[r]), have)
        return number(name, e.mean[r], *sides, best=e.best[r] and name != 'improved')   # measured against the baseline

    rows = []
    for order, r in enumerate(ranked):
        have = int(present[r].sum())
        marks = tuple(sorted(notes.index(line) + 1 for line in found.missing[r]))
        cells = {'rank': number('rank', 1 + (points > points[r]).sum()), **{name: cell(name, r) for name in results},
                 'tables': number('tables', (present[r] > 0).sum()),
                 'missing': number('missing', found.runs - have, marks=marks)}
        rows.append(Row(found.rows[r], found.labels[r], order, cells, dict.fromkeys(FACTS),
                        str(have) if have == found.runs else f'{have} of {found.runs}', (), ()))
    title = f'All tables: {", ".join(p.table for p in found.parts)}'
    return Table('overall', title, tuple(columns.values()), tuple(rows), _about(found), tuple(notes), ())
