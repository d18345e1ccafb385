"""What the spread of a score comes from: sums of squares by hand, chance, trends, words."""
import numpy as np
import pytest
from scipy import stats
from test_report import call
from test_results import fake, metric

from vaebench import files, report
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import splice, sweeps, tables
from vaebench.report.figures import rank_correlation, strength

METHODS = {'beta_vae': 'beta', 'fb': 'target', 'dip': 'od'}
STRENGTHS = 1., 2., 4., 8.


def write(folder, score, seeds=3, methods=METHODS, strengths=STRENGTHS):
    """Results of every method at every strength; score(method, strength, seed) -> {metric: value}.
    """
    for i, (method, number) in enumerate(methods.items()):
        for j, value in enumerate(strengths):
            config = {'method': method, 'options': {}, 'hp': {number: value, 'lr': .1}}
            for seed in range(seeds):
                own = {m: metric(float(x), better='higher') for m, x in score(i, j, seed).items()}
                results.write(folder, fake(
                    f'{method}_{j}', seed, order=9 * i - j, metrics=own, method=method,
                    label=f'{method} ({value:g})', config=config,
                    config_hash=files.config_hash(config)))
    (table,), problems = tables.collect([folder])
    assert problems == []
    return table


@pytest.fixture(scope='module')
def scores():
    return np.random.default_rng(0).normal(size=(3, 4, 3)) + np.arange(3)[:, None, None]


@pytest.fixture(scope='module')
def table(scores, tmp_path_factory):
    return write(tmp_path_factory.mktemp('sweeps') / 'r', lambda *at: {
        'mig': scores[at], 'twice': 2 * scores[at], 'less': -scores[at], 'flat': 1.})


def test_rows_of_one_method_are_a_sweep_from_its_weakest(table):
    found = sweeps.find(table)
    assert [(s.label, s.number, s.values) for s in found] == [
        (method, number, STRENGTHS) for method, number in METHODS.items()]
    assert [row.row for row in found[0].rows] == [f'beta_vae_{j}' for j in range(4)]


def test_two_rows_or_rows_alike_are_none(tmp_path):
    assert sweeps.find(write(tmp_path / 'a', lambda *at: {'m': 1.}, strengths=(1., 2.))) == []
    alike = write(tmp_path / 'b', lambda *at: {'m': 1.}, strengths=(1., 2., 2.))
    assert sweeps.find(alike) == []


def test_shares_are_sums_of_squares_by_hand(table, scores):
    """Balanced and nested: the sums of squares have closed forms."""
    found = sweeps.shares(sweeps.find(table), 'mig')
    cell, method, all_ = scores.mean(2), scores.mean((1, 2)), scores.mean()
    within = ((scores - cell[..., None]) ** 2).sum()
    nested = 3 * ((cell - method[:, None]) ** 2).sum()
    between = 12 * ((method - all_) ** 2).sum()
    total, error = within + nested + between, within / 24
    by_hand = (between - 2 * error) / (total + error), (nested - 9 * error) / (total + error)
    np.testing.assert_allclose((found.method, found.strength), np.maximum(by_hand, 0), atol=1e-12)
    assert found.method + found.strength + found.seed == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found.explained, (between / total, (between + nested) / total))
    assert found.p == pytest.approx((stats.f.sf(between / 2 / error, 2, 24),
                                     stats.f.sf(nested / 9 / error, 9, 24)))
    assert found.models == 36


def test_noise_alone_is_the_seeds_though_r_squared_is_not_zero(tmp_path):
    rng = np.random.default_rng(1)
    found = [sweeps.shares(sweeps.find(write(tmp_path / f'{i}', lambda *at: {'m': rng.normal()})),
                           'm') for i in range(20)]
    assert np.mean([s.explained[1] for s in found]) == pytest.approx(11 / 35, abs=.08)
    assert np.mean([s.seed for s in found]) > .88


def test_scores_that_strength_decides_are_strength(tmp_path):
    table = write(tmp_path, lambda i, j, seed: {'m': j + 1e-3 * seed})
    found = sweeps.shares(sweeps.find(table), 'm')
    assert found.strength > .999 and found.method == 0
    assert [t.rho for t in sweeps.trends(sweeps.find(table), 'm')] == pytest.approx(
        [stats.spearmanr(np.repeat(range(4), 3), np.ravel([[j + 1e-3 * s for s in range(3)]
                                                           for j in range(4)]))[0]] * 3)


def test_what_has_no_spread_or_one_seed_has_no_shares(table, tmp_path):
    found = sweeps.find(table)
    assert sweeps.shares(found, 'flat') is None and sweeps.shares(found, 'none') is None
    assert sweeps.shares(found[:1], 'mig') is None
    alone = write(tmp_path, lambda i, j, seed: {'m': i + j * j}, seeds=1)
    assert sweeps.shares(sweeps.find(alone), 'm') is None
    assert {t.rho for t in sweeps.trends(found, 'flat')} == {0.}


def test_rank_correlations(table, scores):
    r = sweeps.rank_correlations(table, ['mig', 'twice', 'less', 'flat'])
    np.testing.assert_allclose(r[:3, :3], [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-12)
    assert np.isnan(r[3]).all() and np.isnan(r[:, 3]).all()
    assert rank_correlation.metrics(table) == ['mig', 'twice', 'less']


def test_figures_have_every_seed(table, scores):
    files = strength.render(table, ('csv', 'svg')).files
    lines = files['csv'].decode().splitlines()[1:]
    mig = [line.split(',') for line in lines if ',mig,' in line]
    assert len(mig) == 36
    assert sorted(float(line[-1]) for line in mig) == pytest.approx(sorted(scores.ravel()))
    assert rank_correlation.render(table, ('csv',)).files['csv'].decode().count('\n') == 4


def test_words(table, tmp_path, capsys):
    text = sweeps.markdown(table, ['mig', 'flat'])
    assert '3 sweeps: beta_vae (beta 1, 2, 4, 8); fb' in text
    assert sum(line.startswith('| mig |') for line in text.splitlines()) == 2
    write(tmp_path / 'r', lambda i, j, seed: {'m': i + j + .1 * seed})
    assert call(capsys, f'--results={tmp_path / "r"}', '--sweeps')[1].count('| m |') == 2
    page = tmp_path / 'page.md'
    page.write_text('<!-- vaebench:sweeps results=r columns=m -->\n<!-- vaebench:end -->\n')
    assert splice.splice(page) == (False, []) and splice.splice(page) == (True, [])
    assert page.read_text().count('| m |') == 2
    toy = report.render([tmp_path / 'r'], 'json')[0]
    assert '"m"' in toy


def test_a_table_without_sweeps_says_so(tmp_path, capsys):
    write(tmp_path, lambda *at: {'m': 1.}, strengths=(1.,))
    code, out, err = call(capsys, f'--results={tmp_path}', '--sweeps')
    assert (code, out) == (2, '') and '0 sweeps: two methods are needed' in err
    with pytest.raises(UserError, match='two methods'):
        sweeps.markdown(tables.collect([tmp_path])[0][0])
