"""Aggregates over tables: brute force, SciPy, what is missing, coverage, figures."""
import csv
import io
import pathlib
import time
import xml.etree.ElementTree

import numpy as np
import pytest
from scipy import stats
from test_results import fake, metric

from vaebench.errors import UserError
from vaebench.experiment import records, results
from vaebench.report import aggregates, formats, statistics, tables
from vaebench.report.figures import performance_profiles as profiles
from vaebench.report.figures import style


def build(many, better='lower', own=None, primary='m', baseline='vae'):
    """Tables of {table: {row: values by seed}}, where None is a failed seed.

    `own` is {(table, row): {metric: record}}; the manifest of each table names `primary` and
    `baseline`.
    """
    out = []
    for table, rows in many.items():
        found = []
        for order, (row, values) in enumerate(rows.items()):
            for seed, x in enumerate(values):
                metrics = (own or {}).get((table, row), {'m': metric(x, better=better)})
                failed = {'status': 'failed', 'reason': 'kl is nan'} if x is None else {}
                result = results.checked(fake(row, seed, table=table, order=order,
                                              metrics={} if failed else metrics, **failed))
                found.append(tables.Found(pathlib.Path(results.filename(result)), result))
        listed = tuple(
            records.ManifestRow(row=row, label=row.upper(), order=order, hash='0' * 10)
            for order, row in enumerate(rows))
        plan = records.ManifestTable(table=table, title=table, primary=primary,
                                    baseline=baseline, rows=listed)
        out.append(tables.build(table, found, plan))
    return out


def random(rows=6, seeds=4, names=('a', 'b', 'c'), seed=0):
    rng = np.random.default_rng(seed)
    ids = ['vae', *(f'r{i}' for i in range(1, rows))]
    return {
        t: {r: (50 + 10 * rng.normal(size=seeds) + 3 * i).tolist()
            for i, r in enumerate(ids)}
        for t in names
    }


def column(table, name):
    """{row: mean, None where missing}."""
    return {r.row: r.cells[name].summary and r.cells[name].summary.mean for r in table.rows}


def brute(many, sign=-1.):
    """The three numbers of each row by loops over plain lists."""
    rows = dict.fromkeys(r for own in many.values() for r in own)
    out = {}
    for row in rows:
        points, wins, scores, total = [], [], [], 0
        for own in many.values():
            seeds = max(len(v) for v in own.values())
            total += seeds
            x, b = ([sign * v for v in own.get(r, []) if v is not None] for r in (row, 'vae'))
            if not x:
                points.append(0.)
                wins.append(0.)
                continue
            beaten = 0.
            for other, values in own.items():
                y = [sign * v for v in values if v is not None]
                if other != row and len(x) == len(y) == seeds:
                    beaten += (np.mean(x) > np.mean(y)) + .5 * (np.mean(x) == np.mean(y))
            points.append(beaten / (len(own) - 1))
            wins.append(stats.mannwhitneyu(x, b).statistic / (len(x) * len(b)) * len(x) / seeds)
            scores += [100 * (v - np.mean(b)) / abs(np.mean(b)) for v in x]
        padded = [-1e12] * (total - len(scores)) + scores
        iqm = None if len(padded) - len(scores) > total // 4 else stats.trim_mean(padded, .25)
        out[row] = (100 * np.mean(points), iqm,
                    np.mean(wins)) if any(points) or any(wins) or scores else (None,) * 3
    return out


@pytest.mark.parametrize('better', ['lower', 'higher'])
def test_against_loops(better):
    many = random()
    many['b']['r1'] = [many['b']['vae'][1]] * 4          # ties with single runs of the baseline
    many['b']['r2'] = many['b']['r3']                    # and a tie of means
    many['a']['r4'][2] = None                            # a failed seed
    del many['c']['r5']
    many['a']['only'] = [40., 41., 42., 43.]
    many['a']['late'] = [None] * 4
    table = aggregates.overall(build(many, better), ['m'])
    expected = brute(many, {'lower': -1., 'higher': 1.}[better])
    for i, name in enumerate(('borda', 'iqm', 'improved')):
        got = column(table, name)
        assert set(got) == set(expected)
        for row, value in got.items():
            wanted = expected[row][i]
            assert value == (None if wanted is None else pytest.approx(wanted,
                                                                       abs=1e-9)), (row, name)
    assert column(table,
                  'tables') == {r: {'only': 1, 'late': 0, 'r5': 2}.get(r, 3)
                                for r in expected}
    assert column(table, 'missing') == {
        r: {'only': 8, 'late': 12, 'r5': 4, 'r4': 1}.get(r, 0)
        for r in expected
    }
    most = {'only': 1 / 3, 'r5': 2 / 3, 'r4': 11 / 12}
    for row in table.rows:
        s = row.cells['improved'].summary
        assert s is None or s.low is None or 0 <= s.low <= s.mean <= s.high <= most.get(
            row.row, 1) + 1e-12
    points = [p for p in column(table, 'borda').values() if p is not None]
    assert points == sorted(points, reverse=True)
    assert column(table, 'rank') == {r: 1 + sum(p > (b or 0.) for p in points) for r, b in
                                     column(table, 'borda').items()}


def test_baseline_is_the_middle():
    table = aggregates.overall(build(random(), 'higher'), ['m'], 'r2')
    row = next(r for r in table.rows if r.row == 'r2')
    assert row.cells['improved'].summary == (.5, None, None, 0)     # by definition: no interval
    assert abs(row.cells['iqm'].summary.mean) < 5.


def test_bootstrap_agrees_with_scipy():
    """With constants as the baseline and plain draws, the interval of IQM is SciPy's stratified
    bootstrap.
    """
    many = random()
    for own in many.values():
        own['vae'] = [50.] * 4
    found = aggregates.pool(build(many), ['m'])
    drawn = aggregates.iqms(found, lambda n, i: statistics.resamples(n, i, fewer=0))
    for r, row in enumerate(found.rows):
        strata = [[100 * (50. - v) / 50. for v in many[t][row]] for t in many]
        other = stats.bootstrap(
            strata, lambda *s, axis: stats.trim_mean(np.concatenate(s, axis), .25, axis=axis),
            method='percentile', n_resamples=4000, rng=np.random.default_rng(1)) if r else None
        if other:
            assert drawn[r].std(ddof=1) == pytest.approx(other.standard_error, rel=.06)
            np.testing.assert_allclose(np.quantile(drawn[r],
                                                   [.025, .975]), other.confidence_interval,
                                       atol=.2 * other.standard_error)


def simulated(strata, n, gain, seed):
    """A pool of normal runs: the baseline around 100, one row that is better by so much."""
    rng = np.random.default_rng(seed)
    parts = tuple(
        aggregates.Part(str(i), 'm', 'higher', 2, tuple(range(n)), 100 +
                        np.array([[0.], [gain]]) + rng.normal(size=(2, n)))
        for i in range(strata))
    return aggregates.Pool(('vae', 'r'), ('VAE', 'R'), 0, parts, ((), ()), ())


@pytest.mark.parametrize(('strata', 'n'), [(2, 3), (5, 2), (4, 5)])
def test_coverage(strata, n):
    """Improvement by 1 with noise 1: its IQM is 1% of 100, and a run beats one of the baseline
    with Phi(1 / sqrt 2).
    """
    runs, hits = 150, np.zeros(2)
    truths = (aggregates.iqms, 1.), (aggregates.improvement, stats.norm.cdf(.5**.5))
    for seed in range(runs):
        found = simulated(strata, n, 1., seed)
        for i, (function, truth) in enumerate(truths):
            e = aggregates.estimate(found, function)
            hits[i] += np.isnan(e.low[1]) or e.low[1] <= truth <= e.high[1]
    assert hits[0] / runs == pytest.approx(.95, abs=.055)
    assert hits[1] / runs > .87


def test_no_row_gains_by_a_missing_cell():
    many = random()
    before = aggregates.overall(build(many), ['m'])
    for t in many:
        for row in list(many[t])[1:]:
            for lost in ({0}, {1, 3}, {0, 1, 2, 3}):
                values = [None if s in lost else x for s, x in enumerate(many[t][row])]
                after = aggregates.overall(build(many | {t: many[t] | {row: values}}), ['m'])
                for name in ('borda', 'improved', 'iqm'):
                    old, new = column(before, name), column(after, name)
                    assert all(new[r] is None or new[r] <= old[r] + 1e-9
                               for r in old), (t, row, lost, name)
                    assert len(old) == len(new)


def test_missing_cells_are_named():
    many = random(rows=6, seeds=2)
    del many['b']['r1']
    many['c']['r2'] = [None, None]
    many['a']['r5'][1] = None
    own = {('a', 'r3'): {'m': metric(1., 'exact')},
           ('a', 'r4'): {'m': metric(1.,
                                     warning='degenerate')}, ('b', 'r4'): {'other': metric(1.)}}
    table = aggregates.overall(build(many, own=own), ['m'])
    named = {r.row: [table.notes[i - 1] for i in r.cells['missing'].notes] for r in table.rows}
    assert {r: sorted(lines)
            for r, lines in named.items()} == {
                'vae': [], 'r1': ['b: not a row of this table'], 'r2': ['c: failed: kl is nan'],
                'r3': ['a: m by exact (10 examples)'], 'r4': ['a: m with a warning', 'b: no m'],
                'r5': ['a: 1 of 2 seeds']
            }
    assert {r.row: r.seeds
            for r in table.rows} == {
                'vae': '6', 'r1': '4 of 6', 'r2': '4 of 6', 'r3': '4 of 6', 'r4': '2 of 6',
                'r5': '5 of 6'
            }
    assert [r.cells['iqm'].text for r in table.rows if r.row in ('r1', 'r4')] == ['missing'] * 2
    assert all(i in range(1,
                          len(table.notes) + 1) for r in table.rows
               for i in r.cells['missing'].notes)


def test_which_metric():
    """Without names, the primary metric; with names, the first that has a direction."""
    many = {'a': {r: [0.] for r in ('vae', 'r1', 'r2')}}
    own = {('a', 'vae'): {'x': metric(1.), 'y': metric(2.), 'kl': metric(3., better=None)},
           ('a', 'r1'): {'x': metric(2.), 'y': metric(3.), 'kl': metric(4., better=None)},
           ('a', 'r2'): {'y': metric(3.)}}
    chosen = lambda primary, *names: [p.metric for p in aggregates.pool(
        build(many, own=own, primary=primary), names).parts]
    assert chosen('y') == ['y'] and chosen('x') == ['x']
    assert chosen('y', 'x', 'y') == ['x'] and chosen('y', 'none', 'y') == ['y']
    assert chosen(None, 'x') == ['x']
    with pytest.raises(UserError, match=r"nothing to aggregate \(a: no kl that 'vae'"):
        chosen('kl')
    with pytest.raises(UserError, match=r'\(a: its manifest names no primary metric\)'):
        chosen(None)


def test_a_table_without_a_primary_metric_is_left_out_by_name():
    made = build(random(names=('a', 'b')))
    table = aggregates.overall([made[0], made[1]._replace(primary=None)])
    assert table.about[1] == 'Left out: b: its manifest names no primary metric.'
    assert 'a by m ↓ (6 rows, 4 seeds).' in table.about[0]


def test_the_baseline_is_that_of_most_tables():
    made = build(random())
    one = lambda *names: [t._replace(baseline=n) for t, n in zip(made, names, strict=True)]
    base = lambda tables, *given: (p := aggregates.pool(tables, (), *given)).rows[p.baseline]
    assert base(one('r1', 'vae', 'r1')) == 'r1' and base(one(None, None, 'r2')) == 'r2'
    assert base(one('r1', 'r1', 'r1'), 'vae') == 'vae'
    with pytest.raises(UserError, match='no manifest names a baseline'):
        aggregates.pool(one(None, None, None))


def test_tables_without_the_baseline_are_left_out_by_name():
    many = random()
    del many['b']['vae']
    table = aggregates.overall(build(many), ['m'])
    assert table.about[1] == "Left out: b: no row 'vae'."
    assert 'a by m ↓ (6 rows, 4 seeds); c by m' in table.about[0]
    with pytest.raises(
            UserError,
            match=r"nothing to aggregate \(a: no row 'vea'; b: no row 'vea'; c.*name another"):
        aggregates.overall(build(many), ['m'], 'vea')
    with pytest.raises(UserError, match='nothing to aggregate'):
        aggregates.overall([])


def test_one_seed_has_no_interval():
    table = aggregates.overall(build(random(seeds=1)), ['m'])
    assert all(c.summary is None or c.summary[1:] == (None, None, 0) for r in table.rows
               for c in r.cells.values())
    assert sum(r.cells['borda'].best for r in table.rows) >= 1


@pytest.mark.parametrize('form', formats.FORMATS)
def test_every_format(form):
    many = random()
    many['a']['r4'] = [None] * 4
    table = aggregates.overall(build(many), ['m'])
    text = formats.FORMATS[form]([table])
    assert text == formats.FORMATS[form]([aggregates.overall(build(many), ['m'])])
    if form in ('terminal', 'markdown', 'latex'):
        assert 'Mean over seeds' not in text and 'failed: kl is nan' in text
        assert 'stratified bootstrap' in text
        # 3 tables of 4 seeds
        assert f'multiple, {statistics.multiple(10):.1f} for complete rows' in text


def test_many_rows_are_fast():
    many = random(120, 5, [f't{i}' for i in range(10)])
    found = build(many)
    start = time.process_time()
    table = aggregates.overall(found, ['m'])
    assert len(table.rows) == 120 and time.process_time() - start < 3.


# Figures


def test_profile_is_one_less_the_distribution():
    scores = np.random.default_rng(0).normal(size=(3, 9)).round(1)
    at = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(profiles.profile(scores, at),
                               [1 - stats.ecdf(s).cdf.evaluate(at) for s in scores])
    assert profiles.profile([np.nan, 1.], [-1e9]) == [.5]


@pytest.mark.parametrize('rows', [2, 45])
def test_figures(rows):
    many = random(rows, 3)
    many['a']['r1'][0] = None
    many['b']['late'] = [None] * 3
    draw = lambda: profiles.render(found := aggregates.pool(build(many), ['m']),
                                   aggregates.tabulate(found))
    first, second = draw(), draw()
    assert first == second and [d.name
                                for d in first] == ['performance-profiles', 'improvement']
    for drawn in first:
        assert drawn.files['png'].startswith(b'\x89PNG') and drawn.alt
        xml.etree.ElementTree.fromstring(drawn.files['svg'])
    scores, improved = (list(csv.DictReader(io.StringIO(d.files['csv'].decode())))
                        for d in first)
    assert len(scores) == (rows + 1) * 9 and len(improved) == rows
    base = np.mean(many['c']['vae'])
    line = next(s for s in scores if (s['row'], s['table'], s['seed']) == ('r1', 'c', '2'))
    assert float(line['score']) == pytest.approx(100 * (base - many['c']['r1'][2]) / base)
    assert [s['score'] for s in scores if s['row'] == 'late'] == [''] * 9
    assert improved[-1]['row'] == 'late' and improved[-1]['improved'] == '' and improved[-1][
        'missing'] == '9'


def test_colours_tell_what_an_interval_says():
    found = simulated(6, 4, 3., 0)
    table = aggregates.tabulate(found)
    verdict = lambda low, high, missing=0: profiles.verdict(table.rows[0]._replace(
        cells={
            'improved': table.rows[0].cells['improved']._replace(summary=statistics.Summary(
                .6, low, high, 9)), 'missing': table.rows[0].cells['missing']._replace(
                    summary=statistics.Summary(missing, None, None, 0))
        }))
    assert [
        verdict(.55, .7),
        verdict(.1, .4),
        verdict(.4, .7),
        verdict(None, None),
        verdict(.55, .7, 2)
    ] == [profiles.BETTER, profiles.WORSE, profiles.EVEN, profiles.EVEN, profiles.PART]
    assert len(
        {c
         for c, _ in (profiles.BETTER, profiles.WORSE, profiles.EVEN, profiles.PART)}) == 4
    assert {profiles.BETTER[0], profiles.WORSE[0], profiles.EVEN[0]} <= set(style.COLORS)


def test_families_share_half_of_their_rows():
    rows = {'big': 'abcdef', 'other': 'xyz', 'part': 'abx', 'far': 'aqrs', 'small': 'xy'}
    made = build({t: {r: [1.] for r in names} for t, names in rows.items()})
    groups = [[t.table for t in group] for group in aggregates.families(made)]
    assert groups == [['big', 'part'], ['far'], ['other', 'small']]
