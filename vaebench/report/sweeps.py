"""Sweeps of a table: how much of a score is method, strength and seed.

A sweep is rows of one method that differ in its traced numbers alone, such as beta-VAE at six
weights. Where a table has several of them, the spread of a score splits into what the methods
explain, what their strengths explain beyond, and what is left to the seeds.
"""
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.errors import UserError
from vaebench.files import canonical
from vaebench.report.tables import Row, Table

LEAST = 3
"""Rows that make a sweep."""
INSTALL = "pip install 'vaebench[study]'"


class Sweep(NamedTuple):
    """Rows of one method, weakest first."""
    label: str                  # of the method
    number: str                 # what is swept: the first number in which the rows differ
    values: tuple[float, ...]   # of that number, rising
    rows: tuple[Row, ...]

    def scores(self, metric: str) -> list[dict[int, float]]:
        """{seed: value} of a metric, for each strength."""
        return [row.cells[metric].seeds if metric in row.cells else {} for row in self.rows]


class Shares(NamedTuple):
    """Where the variance of a score comes from. Shares are at least zero and add up to one."""
    metric: str
    method: float               # omega squared of the methods
    strength: float             # of the strengths within a method
    seed: float                 # the rest
    explained: tuple[float, float]      # R^2 of the methods, and of methods and strengths
    p: tuple[float, float]      # of the F tests that methods, that strengths make no difference
    models: int


class Trend(NamedTuple):
    """How a score moves with the strength of one method."""
    metric: str
    label: str
    rho: float                  # Spearman's
    p: float                    # two-sided, NaN where it is not defined
    models: int


def find(table: Table) -> list[Sweep]:
    """Finds the sweeps of a table, in its order.

    Rows belong together if they have one method and the same static options; at least three
    of them with different numbers are a sweep.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(table.rows, key=lambda r: r.order):
        if row.hp:
            groups[canonical([row.method, row.options, sorted(row.hp)])].append(row)
    found = (_sweep(rows) for rows in groups.values() if len(rows) >= LEAST)
    return [sweep for sweep in found if sweep]


def _sweep(rows: Sequence[Row]) -> Sweep | None:
    """Rows of one method as a sweep; None where fewer than three settings differ."""
    names = sorted(rows[0].hp)
    varied = [name for name in names if len({row.hp[name] for row in rows}) > 1]
    if not varied:
        return None
    # where several numbers move together, that with the most values stands for them
    number = max(varied, key=lambda name: len({row.hp[name] for row in rows}))
    if len({row.hp[number] for row in rows}) < len(rows):
        return None
    rows = sorted(rows, key=lambda row: row.hp[number])
    return Sweep(rows[0].label.split(' (')[0], number, tuple(row.hp[number] for row in rows),
                 tuple(rows))


def _models(sweeps: Iterable[Sweep], metric: str) -> list[tuple[int, int, float]]:
    """(number of the sweep, place of the strength, score) of every model that has the metric.
    """
    return [(i, j, value) for i, sweep in enumerate(sweeps)
            for j, seeds in enumerate(sweep.scores(metric))
            for value in seeds.values() if np.isfinite(value)]


def shares(sweeps: Sequence[Sweep], metric: str) -> Shares | None:
    """Splits the variance of a score into methods, strengths within methods, and seeds.

    A two-way analysis of variance with strengths nested in methods, sums of squares in that
    order. R^2 grows with the number of groups even where nothing but the seed differs, so the
    shares are omega squared, which is unbiased to first order; a negative one is zero.

    Args:
      sweeps: of `find`.
      metric: its name.

    Returns:
      None with fewer than two methods, without two seeds anywhere, or where all scores agree.

    Raises:
      UserError: statsmodels is not installed.

    References:
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
      Disentangled Representations", ICML 2019, section 5.3, which reports R^2.
    """
    models = _models(sweeps, metric)
    groups, kinds = {m[:2] for m in models}, {m[0] for m in models}
    if len(kinds) < 2 or len(models) <= len(groups) or len(groups) == len(kinds) or not np.ptp(
            [score for *_, score in models]):
        return None
    try:
        import pandas
        from scipy import stats
        from statsmodels.formula.api import ols
        from statsmodels.stats.anova import anova_lm
    except ImportError:
        raise UserError(f'the analysis of variance needs statsmodels: {INSTALL}') from None
    frame = pandas.DataFrame(models, columns=['method', 'strength', 'score'])
    frame['cell'] = [f'{i}.{j}' for i, j, _ in models]
    fits = [ols(f'score ~ {terms}', frame).fit() for terms in ('1', 'C(method)', 'C(cell)')]
    table: Any = anova_lm(*fits)
    error, left = fits[-1].mse_resid, fits[-1].df_resid
    total = fits[0].ssr + error
    method, strength = (
        max(0., float((table['ss_diff'][i] - table['df_diff'][i] * error) / total))
        for i in (1, 2))
    # anova_lm takes the degrees of freedom of each model for those of the error
    p = [float(stats.f.sf(table['F'][i], table['df_diff'][i], left)) for i in (1, 2)]
    return Shares(metric, method, strength, 1 - method - strength,
                  (float(fits[1].rsquared), float(fits[2].rsquared)), (p[0], p[1]),
                  len(models))


def trends(sweeps: Iterable[Sweep], metric: str) -> list[Trend]:
    """Gives Spearman's correlation of the strength and a score, for each method that has it."""
    from scipy import stats
    out = []
    for sweep in sweeps:
        models = _models([sweep], metric)
        strength, score = (np.array([m[k] for m in models]) for k in (1, 2))
        if len(models) < LEAST or not np.ptp(strength):
            continue
        if not np.ptp(score):
            out.append(Trend(metric, sweep.label, 0., float('nan'), len(models)))
            continue
        test: Any = stats.spearmanr(strength, score)
        out.append(Trend(metric, sweep.label, float(test.statistic), float(test.pvalue),
                         len(models)))
    return out


def rank_correlations(table: Table, metrics: Sequence[str]) -> np.ndarray:
    """Gives Spearman's correlations of metrics over all models of a table's sweeps.

    Args:
      table: the table.
      metrics: M names.

    Returns:
      [M, M], of each pair over the models (row and seed) that have both; NaN with fewer than
      three, or where one of them is constant.
    """
    from scipy import stats
    rows = [row for sweep in find(table) for row in sweep.rows]
    seeds = {m: {(row.row, seed): value for row in rows if m in row.cells
                 for seed, value in row.cells[m].seeds.items() if np.isfinite(value)}
             for m in metrics}
    out = np.full((len(metrics),) * 2, np.nan)
    for i, a in enumerate(metrics):
        for j, b in enumerate(metrics[:i + 1]):
            both = sorted(seeds[a].keys() & seeds[b].keys())
            x, y = ([seeds[m][model] for model in both] for m in (a, b))
            if len(both) >= LEAST and np.ptp(x) and np.ptp(y):
                test: Any = stats.spearmanr(x, y)
                out[i, j] = out[j, i] = test.statistic
    return out


def markdown(table: Table, metrics: Sequence[str] = ()) -> str:
    """Writes what a table's sweeps say: the variance of every score, and its trends.

    Args:
      table: of `tables.build`.
      metrics: their names; () for the columns shown.

    Raises:
      UserError: the table has fewer than two sweeps, or statsmodels is missing.
    """
    sweeps = find(table)
    if len(sweeps) < 2:
        raise UserError(f'table {table.table!r} has {len(sweeps)} sweeps: two methods are '
                        f'needed, of each {LEAST} rows that differ in its numbers alone')
    metrics = metrics or [c.name for c in table.columns if c.shown]
    return '\n'.join([*_variance(table.title, sweeps, metrics), '',
                      *_trends(table.title, sweeps, metrics), ''])


def _variance(title: str, sweeps: Sequence[Sweep], metrics: Iterable[str]) -> list[str]:
    """The lines on variance."""
    swept = '; '.join(f'{s.label} ({s.number} {", ".join(f"{v:g}" for v in s.values)})'
                      for s in sweeps)
    lines = [f'**{title}: what the spread of a score comes from**', '',
             f'{len(sweeps)} sweeps: {swept}.', '',
             '| metric | method | strength | seed | R² of methods | R² of both | p, methods '
             '| p, strengths | models |',
             '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |']
    for metric in metrics:
        if s := shares(sweeps, metric):
            cells = (metric, *map(_percent, (s.method, s.strength, s.seed, *s.explained)),
                     *map(_p, s.p), str(s.models))
            lines.append(f'| {" | ".join(cells)} |')
    return [*lines, '', 'Shares are omega squared of an analysis of variance with strengths '
            'nested in methods; R² counts chance as well.']


def _trends(title: str, sweeps: Sequence[Sweep], metrics: Iterable[str]) -> list[str]:
    """The lines on trends."""
    labels = list(dict.fromkeys(s.label for s in sweeps))
    lines = [f"**{title}: Spearman's correlation of strength and score**", '',
             f'| metric | {" | ".join(labels)} |', f'| --- |{" ---: |" * len(labels)}']
    for metric in metrics:
        if own := {t.label: t for t in trends(sweeps, metric)}:
            cells = (_trend(own.get(label)) for label in labels)
            lines.append(f'| {metric} | {" | ".join(cells)} |')
    return [*lines, '', '\\* p < 0.05, \\*\\* p < 0.001, two-sided, each test by itself.']


def _percent(share: float) -> str:
    return f'{100 * share:.0f}%'


def _p(value: float) -> str:
    return '—' if np.isnan(value) else '< 0.001' if value < .001 else f'{value:.3f}'


def _trend(trend: Trend | None) -> str:
    if trend is None:
        return '—'
    stars = r'\*\*' if trend.p < .001 else r'\*' if trend.p < .05 else ''
    return f'{trend.rho:+.2f}{stars}'
