"""Intervals over seeds, tie groups and the parts of the bootstrap, against SciPy and by
simulation.
"""
import numpy as np
import pytest
from scipy import stats

from vaebench.report import statistics


@pytest.mark.parametrize('n', [2, 3, 5, 40])
def test_interval_agrees_with_scipy(n):
    values = np.random.default_rng(3).gamma(2., size=(4, n))
    mean, low, high = statistics.interval(values)
    for row, m, a, b in zip(values, mean, low, high, strict=True):
        other = stats.ttest_1samp(row, 0.).confidence_interval(.95)
        np.testing.assert_allclose([m, a, b], [row.mean(), other.low, other.high], rtol=1e-12)


@pytest.mark.parametrize('n', [2, 3, 5, 10])
def test_coverage_is_nominal(n):
    runs = 4000
    _, low, high = statistics.interval(np.random.default_rng(n).normal(3., 2., size=(runs, n)))
    error = np.sqrt(.95 * .05 / runs)
    assert abs(np.mean((low <= 3.) & (high >= 3.)) - .95) < 3.5 * error


@pytest.mark.parametrize(('n', 'covered'), [(2, .51), (3, .75), (5, .82), (10, .90)])
def test_percentile_bootstrap_covers_less(n, covered):
    """The figures of the docstring: why the intervals over seeds are not percentiles of a
    bootstrap.
    """
    values = np.random.default_rng(n).normal(size=(1500, n))
    weights = statistics.resamples(n, replicates=1000, fewer=0) / n
    low, high = np.quantile(values @ weights.T, [.025, .975], axis=-1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(covered, abs=.035)


def test_equal_values_have_a_point():
    for value in (.1, 1e300, 0., -3.):
        assert statistics.summarise([[value] * 3]) == [(value, value, value, 3)]


@pytest.mark.parametrize('size', [1e200, 1e-200, 1.])
def test_intervals_scale_without_overflow(size):
    (mean, low, high, _), = statistics.student([[1. * size, 2. * size, 4. * size]])
    np.testing.assert_allclose(
        np.array([mean, low, high]) / size, statistics.interval([1., 2., 4.]), rtol=1e-12)
    assert all(np.isfinite(statistics.interval([1.7e308, -1.7e308])))


def test_summary_of_few_seeds():
    none, one, two = statistics.student([[], [3.], [1., 3.]])
    assert none is None and one == (3., None, None, 1)
    assert two == pytest.approx((2., 2. - 12.7062047, 2. + 12.7062047, 2))
    assert statistics.summarise([[], [3.]]) == [none, one]


@pytest.mark.parametrize('n', [2, 3, 4, 9])
def test_few_seeds_show_their_range_and_many_an_interval(n):
    values = np.random.default_rng(n).normal(size=n)
    shown, = statistics.summarise([values])
    few = n <= 3
    assert shown[1:3] == ((values.min(), values.max()) if few else
                          tuple(statistics.interval(values)[1:]))
    assert shown == statistics.student([values])[0]._replace(low=shown.low, high=shown.high)


def test_no_interval_goes_beyond_what_the_quantity_can_be():
    rng = np.random.default_rng(0)
    for n in range(2, 8):
        shares = rng.beta(.3, .3, size=(50, n))
        for values, s in zip(shares, statistics.summarise(shares, (0., 1.)), strict=True):
            free, = statistics.summarise([values])
            assert 0. <= s.low <= s.mean <= s.high <= 1.
            assert (s.low, s.high) == (max(free.low, 0.), min(free.high, 1.))
    # an unbiased estimate of 0 may lie below it: its interval then begins with it
    s, = statistics.summarise([[-.1, 0., -.2, -.1]], (0., None))
    assert s.low == s.mean < 0. < s.high


def test_ties_are_paired():
    # seeds differ much more than rows
    base = {s: float(10 * s) for s in range(6)}
    worse = {s: v + 1 + .1 * (s % 2) for s, v in base.items()}
    noisy = {s: v + (-1) ** s * 2 + 0.1 for s, v in base.items()}
    assert statistics.ties([worse, base, noisy], 'lower') == [False, True, True]
    assert statistics.ties([worse, base], 'higher') == [True, False]
    assert statistics.ties([{0: 1.}, {0: 1.1}, {0: 1.}], 'lower') == [True, False, True]
    # no seed in common
    assert statistics.ties([{0: 1., 1: 2.}, {2: 1.6, 3: 1.6}], 'lower') == [True, False]
    assert statistics.ties([{}, {0: 5.}], 'lower') == [False, True]
    assert statistics.ties([], 'lower') == []


@pytest.mark.parametrize('n', [2, 3, 6])
def test_ties_agree_with_the_paired_test(n):
    rng = np.random.default_rng(n)
    for _ in range(40):
        best, other = rng.normal(size=n), rng.normal(1.5, 1., size=n)
        if best.mean() < other.mean():
            tied = statistics.ties([dict(enumerate(best)), dict(enumerate(other))], 'lower')
            within = stats.ttest_rel(best, other).pvalue >= .05
            assert tied == [True, within and (n > 3 or (other <= best).any())]


def test_few_seeds_tie_only_where_one_of_them_is_as_good():
    best, far = {0: 65., 1: 64.}, {0: 150., 1: 90.}
    # whose interval is 55 -+ 324
    assert statistics.ties([best, far], 'lower') == [True, False]
    assert statistics.ties([best, {0: 64., 1: 66.}], 'lower') == [True, True]
    assert statistics.ties([{k: -v
                             for k, v in x.items()}
                            for x in (best, far)], 'higher') == [True, False]
    assert statistics.ties([best, {0: 66., 1: 64.}], 'lower') == [True, True]


@pytest.mark.parametrize('n', [2, 6])
def test_a_row_that_beats_the_best_on_every_common_seed_ties(n):
    best, lucky = {s: 1. + s / 10
                   for s in range(n)}, {s: .9 + s / 10
                                        for s in range(n)} | {n: 9.}
    assert statistics.ties([best, lucky], 'lower') == [True, True]
    assert statistics.ties([{k: -v
                             for k, v in x.items()}
                            for x in (best, lucky)], 'higher') == [True, True]


# Parts of the bootstrap


@pytest.mark.parametrize('size', [1, 2, 3, 4, 7, 8, 40, 50])
def test_iqm_is_scipys_trimmed_mean(size):
    values = np.random.default_rng(size).normal(size=(3, size))
    np.testing.assert_allclose(statistics.iqm(values), stats.trim_mean(values, .25, axis=-1),
                               rtol=1e-12)


def test_weights_of_iqm_are_repetitions():
    values, weights = np.array([5., 1., 9., 4., 2.]), np.array([2, 0, 3, 1, 2])
    # cuts one of five: 1.6 of eight
    assert statistics.iqm(values, weights * 5 / 8) == pytest.approx(
        (.4 * 2. + 4. + 2 * 5. + 1.4 * 9.) / 4.8)
    whole = np.array([2., 0., 1., 1.])
    assert statistics.iqm(values[:4], whole) == pytest.approx(
        stats.trim_mean([5., 5., 9., 4.], .25))


def test_missing_runs_are_the_lowest():
    values = np.array([3., 1., 2., 7., 5., 4.])
    assert statistics.iqm(values, missing=2) == pytest.approx(
        stats.trim_mean(np.concatenate([values, [-1e9, -1e9]]), .25))
    assert np.isnan(statistics.iqm(values[:5], missing=3))
    assert np.isnan(statistics.iqm(np.zeros(0), missing=4))


def test_resamples():
    for fewer, draws in ((0, 5), (1, 4)):
        weights = statistics.resamples(5, 1, 4000, fewer)
        np.testing.assert_allclose(weights.sum(1), 5.)
        assert (weights * draws / 5 % 1 < 1e-9).all()
        # variance 2.5 of n - 1, 2 of n
        mean = (weights * np.arange(5.)).mean(1)
        assert mean.var() == pytest.approx({0: 2. / 5, 1: 2.5 / 5}[fewer], rel=.08)
    assert not np.array_equal(statistics.resamples(5, 1), statistics.resamples(5, 2))
    assert statistics.resamples(1).tolist() == [[1.]] * statistics.REPLICATES


def stratified(scores, fewer, replicates):
    """IQM of scores [strata, n] and its replicates."""
    strata, n = scores.shape
    weights = np.concatenate(
        [statistics.resamples(n, i, replicates, fewer) for i in range(strata)], 1)
    return statistics.iqm(scores.ravel()), statistics.iqm(
        np.broadcast_to(scores.ravel(), weights.shape), weights)


def test_stratified_bootstrap_agrees_with_scipy():
    scores = np.random.default_rng(0).uniform(size=(8, 5)) + np.linspace(0, 1, 8)[:, None]
    mean, replicates = stratified(scores, 0, 8000)
    other = stats.bootstrap(
        tuple(scores),
        lambda *s, axis: stats.trim_mean(np.concatenate(s, axis), .25, axis=axis),
        method='percentile', n_resamples=8000, rng=np.random.default_rng(1))
    assert mean == pytest.approx(stats.trim_mean(scores.ravel(), .25))
    assert replicates.std(ddof=1) == pytest.approx(other.standard_error, rel=.04)
    np.testing.assert_allclose(np.quantile(replicates, [.025, .975]), other.confidence_interval,
                               atol=.1 * other.standard_error)


@pytest.mark.parametrize(('strata', 'n'), [(2, 2), (10, 2), (5, 3), (10, 5)])
def test_coverage_of_the_stratified_bootstrap(strata, n):
    rng, runs, hits = np.random.default_rng(strata * n), 400, 0
    # symmetric: the true IQM is 0
    centres = np.linspace(-3, 3, strata)[:, None]
    for _ in range(runs):
        scores = rng.normal(size=(strata, n)) + centres
        mean, replicates = stratified(scores, 1, 400)
        low, high = statistics.spread(replicates, mean, strata * (n - 1))
        hits += low <= 0 <= high
    assert hits / runs == pytest.approx(.95, abs=.04)


def test_spread():
    replicates = np.array([[1., 2., 3.], [4., 4., 4.], [1., 2., 3.]])
    low, high = statistics.spread(replicates, np.array([2., 4., 2.]), np.array([4, 4, 0]))
    assert high[0] - 2. == pytest.approx(stats.t.ppf(
        .975, 4)) and low[0] == pytest.approx(4. - high[0])
    assert np.isnan(low[1:]).all() and np.isnan(high[1:]).all()


def test_many_cells_are_fast():
    import time
    values = np.random.default_rng(0).normal(size=(120 * 12 * 10, 5)).tolist()
    start = time.process_time()
    assert len(statistics.summarise(values)) == len(values)
    assert time.process_time() - start < 2.
