"""One table over many: Borda points, interquartile mean of scores, probability of improvement.

What counts, and what is missing, `pools` says.
"""
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vaebench.report import statistics
from vaebench.report.pools import Part, Pool, families, pool
from vaebench.report.tables import FACTS, Cell, Column, Row, Table

__all__ = ['Draw', 'Estimate', 'Part', 'Pool', 'borda', 'estimate', 'families', 'improvement',
           'iqms', 'once', 'overall', 'pool', 'scores', 'tabulate']

Draw = Callable[[int, int], np.ndarray]
"""(n, table) -> [B, n], how much each of n seeds weighs: `once`, or `statistics.resamples`."""
_Interval = tuple[float | None, float | None, int]
"""(low, high, number of runs behind them)."""


def once(n: int, stratum: int) -> np.ndarray:
    """Gives the weights of the estimate itself, [1, n]: every seed once."""
    return np.ones((1, n))


def _groups(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows, their seeds) for every set of seeds that some rows have."""
    have = ~np.isnan(values)
    for pattern in np.unique(have, axis=0):
        if pattern.any():
            yield np.flatnonzero((have == pattern).all(1)), np.flatnonzero(pattern)


def _mixed(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """weights [B, n] times values [n, ...].

    Term by term, so that the last bits do not depend on a machine's BLAS.
    """
    terms = (np.multiply.outer(v, w) for w, v in zip(weights.T, values, strict=True))
    return sum(terms, np.zeros(()))


def _means(part: Part, stratum: int, draw: Draw) -> np.ndarray:
    """Mean over the seeds that a row has: [rows, B], nan for none."""
    out = None
    for rows, seeds in _groups(part.values):
        weights = draw(len(seeds), stratum)
        out = np.full((len(part.values), len(weights)), np.nan) if out is None else out
        out[rows] = _mixed(weights / len(seeds), part.values[np.ix_(rows, seeds)].T)
    assert out is not None      # the baseline has seeds in every part
    return out


def borda(found: Pool, draw: Draw = once) -> np.ndarray:
    """Gives Borda points: the share of a table's other rows that a row beats, mean over tables.

    In each table a row beats those of which the mean over seeds is worse; equal means share. A
    row that lacks a seed of the table has no points there and is beaten by none. The divisor is
    the number of the table's rows less one, with and without a number.

    Args:
      found: the pool.
      draw: how much each seed weighs.

    Returns:
      [rows, B], percent.
    """
    from scipy.stats import rankdata
    total = np.zeros(())
    for i, part in enumerate(found.parts):
        means = _means(part, i, draw)
        whole = ~np.isnan(part.values).any(1)
        points = np.zeros_like(means)
        points[whole] = (rankdata(means[whole], axis=0) - 1) / (part.count - 1)
        total = total + points
    return 100 * total / len(found.parts)


def scores(found: Pool) -> np.ndarray:
    """Says by what percentage of the baseline's mean each run is better than that mean.

    Args:
      found: the pool.

    Returns:
      [rows, runs], nan where missing: ±(value − b) / |b| · 100, b the baseline's mean over its
      seeds.
    """
    means = [np.nanmean(p.values[found.baseline]) for p in found.parts]
    return np.concatenate([100 * (p.values - b) / abs(b)
                           for p, b in zip(found.parts, means, strict=True)], 1)


def iqms(found: Pool, draw: Draw = once) -> np.ndarray:
    """Gives the interquartile mean of a row's `scores` over all runs.

    Missing runs count as the lowest.

    Args:
      found: the pool.
      draw: how much each seed weighs. The baseline's mean is drawn too; what it is divided by
        stays.

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
        out[r] = statistics.iqm(np.concatenate(values, 1), np.concatenate(weights, 1),
                                int(lost[r]))
    return out


def improvement(found: Pool, draw: Draw = once) -> np.ndarray:
    """Gives the probability that a run is better than one of the baseline, mean over tables.

    Equal runs count half.

    Args:
      found: the pool.
      draw: how much each seed weighs.

    Returns:
      [rows, B]; a missing run is not better.

    References:
      Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically
      Larger than the Other", 1947.
      Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
      NeurIPS 2021.
    """
    total = np.zeros(())
    for i, part in enumerate(found.parts):
        base = part.values[found.baseline]
        base = base[~np.isnan(base)]
        own = part.values[..., None]
        wins = (own > base) + .5 * (own == base)        # [rows, seeds, the baseline's seeds]
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
    best: np.ndarray            # [rows] of bool: the best, and those that tie with it


def estimate(found: Pool, function: Callable[[Pool, Draw], np.ndarray],
             least: float | np.ndarray = -np.inf,
             most: float | np.ndarray = np.inf) -> Estimate:
    """Gives a number of every row with its 95% stratified bootstrap interval.

    Seeds are drawn anew within each table. On normal data, 2 to 10 tables of 2 to 5 seeds, the
    interval of `iqms` covers 94 to 96% of the time, and that of `improvement`, where it has
    one, 92 to 100%. That of `borda` says how far the ranks move with the seeds.

    Args:
      found: the pool.
      function: `borda`, `iqms` or `improvement`.
      least, most: what the number can be, [] or [rows].

    Returns:
      The estimate; best are the highest, and those whose difference from it has an interval
      with 0.
    """
    mean, drawn = function(found, once)[:, 0], function(found, statistics.resamples)
    freedom = np.maximum(found.present() - 1, 0).sum(1)
    low, high = statistics.spread(drawn, mean, freedom)
    top = int(np.nanargmax(mean))
    both = np.minimum(freedom, freedom[top])
    gap, _ = statistics.spread(drawn[top] - drawn, mean[top] - mean, both)
    # Of few runs nearly every interval includes 0: a row must also reach the best in a draw.
    tied = (gap <= 0) & ((both > statistics.FEW) | (drawn >= drawn[top]).any(-1))
    return Estimate(mean, np.maximum(low, least), np.minimum(high, most),
                    (mean == mean[top]) | tied)


# ---- as a table ------------------------------------------------------------------------------


def _columns(found: Pool) -> tuple[Column, ...]:
    """The columns, whose estimators are the formulas."""
    base, tables = found.labels[found.baseline], len(found.parts)
    return (
        Column('rank', '', 'lower', 'by borda', 0),
        Column('borda', '%', 'higher', "share of a table's other rows that the row's mean "
               f'beats, ties half; mean over all {tables} tables, 0 where a seed is missing',
               1),
        Column('iqm', f'% of {base}', 'higher', 'interquartile mean over all runs of '
               f'±(value − b) / |b|, b the mean of {base} in the table, above 0: better; '
               'missing runs are the lowest', 2),
        Column('improved', 'probability', 'higher', f'that a run beats a run of {base}, ties '
               f'half; mean over all {tables} tables, 0 where missing', 2),
        Column('tables', '', None, f'tables with a number, of {tables}', 0),
        Column('missing', 'runs', None, f'runs without a number, of {found.runs}', 0))


def _about(found: Pool) -> tuple[str, ...]:
    """What counts, the intervals, and how far to trust them."""
    base, tables = found.labels[found.baseline], len(found.parts)
    arrow = {'lower': '↓', 'higher': '↑'}
    used = (f'{p.table} by {p.metric} {arrow[p.better]} ({p.count} rows, {len(p.seeds)} '
            f'seed{"s" * (len(p.seeds) > 1)})' for p in found.parts)
    lines = [f'Over tables: {"; ".join(used)}.']
    if found.left_out:
        lines.append(f'Left out: {"; ".join(found.left_out)}.')
    lines.append(
        f'Baseline: {base}. A cell counts if it has a number without a warning by the '
        f'estimator of {base}; every other one is missing, is named and counts as the worst. '
        f'Every row is divided by the same {tables} table{"s" * (tables > 1)} and '
        f'{found.runs} runs.')
    sizes = [len(p.seeds) for p in found.parts]
    if max(sizes) > 1:
        freedom = sum(sizes) - len(sizes)
        text = (f"[{statistics.LEVEL:.0%} interval: Student's multiple, "
                f'{statistics.multiple(freedom + 1):.1f} for complete rows, of the standard '
                f'error of a stratified bootstrap, {statistics.REPLICATES} draws of seeds '
                'within each table]; none where all draws agree.')
        if freedom <= statistics.FEW:
            text += f' With {sum(sizes)} runs a row it says little.'
        lines.append(text)
    if len(set(sizes)) > 1:
        lines.append('In iqm a table with more seeds weighs more.')
    return tuple(lines)


def overall(tables: Sequence[Table], metrics: Sequence[str] = (),
            baseline: str | None = None) -> Table:
    """Makes the table over all tables, best Borda points first.

    Args:
      tables, metrics, baseline: see `pool`.

    Returns:
      See `tabulate`.

    Raises:
      UserError: no table has such a metric and the baseline.
    """
    return tabulate(pool(tables, metrics, baseline))


def tabulate(found: Pool) -> Table:
    """Turns a pool into a table.

    Args:
      found: the pool.

    Returns:
      A table with the columns rank, borda (%), iqm (%), improved, tables and missing; best
      Borda points first; notes name the missing cells. A summary's n is the number of runs
      behind an interval, 0 where there is none.
    """
    columns, present = {c.name: c for c in _columns(found)}, found.present()
    share = present / [len(p.seeds) for p in found.parts]
    results = {'borda': estimate(found, borda, 0., 100 * (share == 1).mean(1)),
               'iqm': estimate(found, iqms),
               'improved': estimate(found, improvement, 0., share.mean(1))}
    points, middle = results['borda'].mean, np.nan_to_num(results['iqm'].mean, nan=-np.inf)
    ranked = sorted(range(len(found.rows)),
                    key=lambda r: (-points[r], -middle[r], found.rows[r]))
    notes = list(dict.fromkeys(line for r in ranked for line in found.missing[r]))

    def number(name: str, value: float, interval: _Interval = (None, None, 0),
               best: bool = False, marks: tuple[int, ...] = ()) -> Cell:
        summary = statistics.Summary(float(value), *interval)
        return Cell({}, summary, None, best, '', columns[name].estimator, marks)

    def cell(name: str, r: int) -> Cell:
        e, have = results[name], int(present[r].sum())
        if np.isnan(e.mean[r]) or not have:
            return Cell({}, None, None, False, 'missing', '', ())
        sides: _Interval = (None, None, 0)
        if not np.isnan(e.low[r]):
            sides = float(e.low[r]), float(e.high[r]), have
        # What is measured against the baseline has no best.
        return number(name, e.mean[r], sides, bool(e.best[r]) and name != 'improved')

    rows = []
    for order, r in enumerate(ranked):
        have = int(present[r].sum())
        marks = tuple(sorted(notes.index(line) + 1 for line in found.missing[r]))
        cells = {'rank': number('rank', 1 + (points > points[r]).sum()),
                 **{name: cell(name, r) for name in results},
                 'tables': number('tables', (present[r] > 0).sum()),
                 'missing': number('missing', found.runs - have, marks=marks)}
        rows.append(Row(found.rows[r], found.labels[r], order, cells, dict.fromkeys(FACTS),
                        str(have) if have == found.runs else f'{have} of {found.runs}', (), ()))
    title = f'All tables: {", ".join(p.table for p in found.parts)}'
    return Table('overall', title, tuple(columns.values()), tuple(rows), _about(found),
                 tuple(notes), ())
