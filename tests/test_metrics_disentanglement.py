"""Scores of disentanglement: closed values on a full grid of factors, quadrature, and what draws and seeds change."""
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import integrate, linalg
from scipy.stats import norm
from test_metrics import fixed
from test_metrics import quick as quick  # the fixture

from vaebench import metrics, schema
from vaebench.metrics import (
    METRICS,
    Settings,
    decomposition,
    defined,
    disentanglement,
    ground_truth,
    measure,
    unsupervised,
)
from vaebench.metrics import factor_learners as learners
from vaebench.metrics import factor_scores as scores

KEY = jax.random.key(3)
LEVELS = 4, 5, 6
GRID = np.array(list(itertools.product(*map(range, LEVELS))))
Z = GRID.astype(float)
F = len(LEVELS)
RNG = np.random.default_rng


def told(codes, factors=GRID):
    return scores.information(scores.discretized(codes), factors)


def drawn(n, levels=(3, 6, 10)):
    """[n, 3] factors, uniform."""
    rng = RNG(0)
    return np.stack([rng.integers(0, size, n) for size in levels], 1)


def mig(codes, factors=GRID):
    return scores.mig(told(codes, factors), scores.entropy(factors))


def dead(codes, columns=1):
    return np.hstack([codes, np.zeros((len(codes), columns))])


# ---- closed values on the full grid ----------------------------------------------------------

def test_mutual_information_against_its_definition():
    rng = RNG(0)
    a = rng.integers(0, 3, (50, 2))
    b = np.stack([(a[:, 0] + rng.integers(0, 2, 50)) % 4, a[:, 1]], 1)
    for i, j in itertools.product(range(2), range(2)):
        p = np.array([[np.mean((a[:, i] == x) & (b[:, j] == y)) for y in range(4)] for x in range(3)])
        apart = p.sum(1)[:, None] * p.sum(0)
        np.testing.assert_allclose(scores.information(a, b)[i, j],
                                   (p[p > 0] * np.log(p[p > 0] / apart[p > 0])).sum(), rtol=1e-12)
    np.testing.assert_allclose(scores.entropy(GRID), np.log(LEVELS), rtol=1e-12)


def test_mig_on_the_grid():
    assert mig(Z) == pytest.approx(1, abs=1e-12)
    assert mig(np.hstack([Z, Z])) == mig(0 * Z) == 0
    assert mig(Z * [-3.3, .1, 7] + [1, 0, -5]) == pytest.approx(1, abs=1e-12)
    assert mig(Z[:, [2, 0, 1]]) == pytest.approx(1, abs=1e-12)
    assert mig(dead(Z, 4)) == pytest.approx(1, abs=1e-12)          # dead dimensions take nothing
    pair = np.array(list(itertools.product(range(10), range(10))))
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    assert mig(pair - 4.5, pair) == pytest.approx(1, abs=1e-12)
    assert mig((pair - 4.5) @ turn, pair) == pytest.approx(0, abs=1e-12)


def test_mig_of_ten_thousand_draws():
    factors = drawn(10_000)
    assert mig(factors.astype(float), factors) == pytest.approx(.999, abs=1e-3)
    assert mig(factors.astype(float), factors) < 1                  # the second dimension has chance's


def test_bins_are_of_the_sample():
    """20 of equal width over its range: one outlier puts all others into one or two."""
    assert scores.discretized(Z).max(0).tolist() == [19, 19, 19] and scores.discretized(Z).min() == 0
    assert len(np.unique(scores.discretized(dead(Z))[:, 3])) == 1
    far = np.concatenate([Z, [[1e4, 1e4, 1e4]]])
    assert mig(far, np.concatenate([GRID, GRID[:1]])) < .05
    many = np.arange(40)[:, None]                                   # more levels than bins
    assert told(many.astype(float), many)[0, 0] == pytest.approx(np.log(20))


def test_modularity_on_the_grid():
    assert scores.modularity(told(Z)) == pytest.approx(1)
    assert scores.modularity(told(np.hstack([Z, Z]))) == pytest.approx(1)
    assert scores.modularity(told(0 * Z)) == 0
    assert scores.modularity(told(dead(Z))) == pytest.approx(.75)
    twice = np.hstack([GRID, GRID])                                 # every code tells of two factors
    assert scores.modularity(told(Z, twice)) == pytest.approx(1 - 1 / (2 * F - 1))


def fitted(codes, factors=GRID):
    return learners.trees(codes, factors, codes, factors).importance


def test_dci_on_the_grid():
    of = scores.concentration
    alone = fitted(dead(Z))
    assert (alone[3] == 0).all()
    assert of(alone) == pytest.approx(1, abs=1e-4) and of(alone.T) == pytest.approx(1, abs=1e-4)
    copies = fitted(np.hstack([Z, -2 * Z + 1]))                     # one turned round: the same to trees
    assert of(copies) == pytest.approx(1, abs=1e-4)
    assert of(copies.T) == pytest.approx(1 - np.log(2) / np.log(2 * F), abs=1e-4)
    twice = fitted(Z, np.hstack([GRID, GRID]))
    assert of(twice) == pytest.approx(1 - np.log(2) / np.log(2 * F), abs=1e-4)
    assert of(twice.T) == pytest.approx(1, abs=1e-4)


def test_dci_of_importance_that_is_not_there():
    assert scores.concentration(np.zeros((4, 3))) < 1e-12           # alike rows, each alike over columns
    assert np.isfinite(scores.concentration(np.eye(4)[:, :3]))      # a row of zeros has an entropy
    nothing = learners.trees(0 * Z, GRID, 0 * Z, GRID)
    assert (nothing.importance == 0).all()
    np.testing.assert_allclose(nothing.accuracy, 1 / np.array(LEVELS))


def test_rows_count_by_their_share():
    r = np.array([[3., 0.], [.5, .5]])
    assert scores.concentration(r) == pytest.approx(.75, abs=1e-6)


def test_sap_by_correlation():
    gap = lambda codes: scores.gap(scores.squared_correlation(codes, GRID)).mean()
    assert gap(Z) == pytest.approx(1) and gap(dead(-3 * Z[:, [1, 2, 0]] + 1)) == pytest.approx(1)
    assert gap(np.hstack([Z, Z])) == pytest.approx(0) and gap(0 * Z) == 0
    codes = RNG(0).normal(size=(len(Z), 2))
    np.testing.assert_allclose(scores.squared_correlation(codes, GRID),
                               np.corrcoef(codes.T, GRID.T)[:2, 2:]**2, rtol=1e-10)


def test_sap_by_support_vectors_is_low_for_factors_of_many_levels():
    factors = drawn(10_000)
    codes = (factors - factors.mean(0)) / factors.std(0)
    out = learners.svm_accuracy(codes[:7000], factors[:7000], codes[7000:], factors[7000:])
    np.testing.assert_allclose(np.diag(out), [1, .66, .21], atol=.03)
    assert scores.gap(out).mean() == pytest.approx(.42, abs=.02)


def test_linear_classifiers_of_the_grid():
    of = learners.linear(Z, GRID, Z, GRID)
    np.testing.assert_allclose(of.auc, 1, atol=1e-9)
    assert (of.accuracy == 1).all()
    noise = RNG(0).normal(size=(2000, 3))
    factors = drawn(2000, LEVELS)
    of = learners.linear(noise[:1000], factors[:1000], noise[1000:], factors[1000:])
    np.testing.assert_allclose(of.auc, .5, atol=.05)
    np.testing.assert_allclose(of.accuracy, 1 / np.array(LEVELS), atol=.06)


def test_area_against_every_pair_and_levels_that_lack():
    rng = RNG(0)
    factors = rng.integers(0, 3, (60, 1))
    codes = factors + rng.normal(size=(60, 1))
    rest = factors > 0                                              # the test has no level 0
    got = learners.linear(codes, factors, codes[rest[:, 0]], factors[rest[:, 0]])

    def pairs(said, true):
        over = said[true][:, None] - said[~true]
        return (over > 0).mean() + .5 * (over == 0).mean()

    from sklearn.linear_model import LogisticRegression
    z = (codes - codes.mean(0)) / codes.std(0)
    said = LogisticRegression(max_iter=1000).fit(z, factors[:, 0]).predict_proba(z)[rest[:, 0]]
    y = factors[rest]
    np.testing.assert_allclose(got.auc, np.mean([pairs(said[:, c], y == c) for c in (1, 2)]), rtol=1e-6)
    same = learners.linear(codes, 0 * factors, codes, factors)      # one level in training: it alone is said
    np.testing.assert_allclose(same.accuracy, (factors == 0).mean())


def test_a_vote_goes_to_the_steadiest_active_dimension():
    overall = np.array([4., 1e-6, 1.])
    local = np.array([[.4, 0., .2], [4., 0., .5]])
    assert scores.steadiest(local, overall).tolist() == [0, 2]
    assert scores.steadiest(local, 0 * overall).tolist() == [-1, -1]
    held = np.array([0, 1])
    assert scores.majority(np.array([-1, -1]), held, np.array([-1]), held[:1]) == 0
    assert scores.majority(np.array([0, 2]), held, np.array([0, 2, 2]), np.array([0, 1, 0])) == pytest.approx(2 / 3)
    assert scores.majority(np.array([0, 0]), held, np.array([5]), np.array([0])) == 1      # no votes: the first


# ---- an evaluator whose data can observe any combination -------------------------------------

SMALL = dict(factor_train=400, factor_test=200, pairs=32, batch=128)
FIELD = schema.factors(LEVELS, ('shape', 'x', 'y'))


def evals():
    """Codes are factors times params['w'], posteriors have the log variances params['v']."""
    mean = lambda params, carry, batch: (batch['factors'] / 1.) @ params['w']

    def posterior(params, carry, batch):
        z = mean(params, carry, batch)
        return {'mean': z, 'log_var': jnp.broadcast_to(params['v'], z.shape)}

    def log_q_dims(params, carry, q, z):
        return -.5 * ((z - q['mean'])**2 / jnp.exp(q['log_var']) + q['log_var'] + jnp.log(2 * jnp.pi))

    return {
        'encode': mean, 'posterior': posterior, 'log_q_dims': log_q_dims,
        'sample_q': lambda params, carry, q, key: q['mean'] + jnp.exp(q['log_var'] / 2) * jax.random.normal(
            key, q['mean'].shape),
        'log_q': lambda *a: log_q_dims(*a).sum(-1),
        'log_prior': lambda params, carry, z: norm_dims(z).sum(-1),
        'kl': lambda params, carry, q: .5 * (q['mean']**2 + jnp.exp(q['log_var']) - 1 - q['log_var']).sum(-1)}


def norm_dims(z):
    return -.5 * (z**2 + jnp.log(2 * jnp.pi))


EVALS, PROGRAMS = evals(), {}


def view(*weights, log_var=-12., observe=True, factors=None, **settings):
    """An evaluator of a model for each matrix of weights [3, Z]."""
    w = np.float32(weights)
    params = {'w': w, 'v': np.broadcast_to(np.float32(log_var), (len(w), w.shape[2])).copy()}
    factors = np.int32(GRID[RNG(0).permutation(len(GRID))] if factors is None else factors)
    data = metrics.Data([{'factors': factors}], {'factors': FIELD}, item='image',
                        observe=(lambda f: {'factors': np.int32(f)}) if observe else None)
    trained = metrics.Trained(EVALS, params, {}, KEY, PROGRAMS)
    return metrics.Evaluator(trained, data, Settings(**{**SMALL, **settings}))


IDENTITY = np.eye(3)
NAMES = [name for name in disentanglement.SCORES if not name.startswith('downstream')]


@functools.cache
def measured():
    """Identity with a dead dimension, twice, and all dead; of means and, trees apart, of draws."""
    v = view(np.hstack([IDENTITY, np.zeros((3, 1))]), np.hstack([2 * IDENTITY[:, [2, 0, 1]], np.zeros((3, 1))]),
             np.zeros((3, 4)))
    return v, measure(v, [*NAMES, *(f'{n}_sampled' for n in NAMES if not n.startswith('dci'))])


@pytest.mark.parametrize('end', ['', '_sampled'])
def test_identity_and_its_copies(end):
    _, out = measured()
    for name in ('beta_vae_score', 'factor_vae_score', 'explicitness'):
        np.testing.assert_allclose(out[name + end].value[:2], 1, atol=.005 if end else 1e-9, err_msg=name)
    assert (out['mig' + end].value[:2] > (.9 if end else .98)).all()     # 400 draws give others some by chance
    np.testing.assert_allclose(out['sap_continuous' + end].value[:2], .99, atol=.015)
    if not end:
        np.testing.assert_allclose(out['dci_informativeness'].value[:2], 1, atol=1e-9)
        np.testing.assert_allclose(out['dci_disentanglement'].value[:2], 1, atol=.001)
        np.testing.assert_allclose(out['dci_completeness'].value[:2], 1, atol=.001)
        np.testing.assert_allclose(out['modularity'].value[:2], .75, atol=.001)


def test_a_collapsed_model_knows_nothing():
    _, out = measured()
    dead = {name: float(out[name].value[2]) for name in NAMES}
    chance = float(np.mean(1 / np.array(LEVELS)))
    for name in ('factor_vae_score', 'mig', 'modularity', 'sap', 'sap_continuous', 'dci_disentanglement',
                 'dci_completeness'):
        assert dead[name] == pytest.approx(0, abs=1e-9), name
    assert dead['beta_vae_score'] == pytest.approx(1 / F, abs=.08)
    assert dead['explicitness'] == pytest.approx(.5, abs=.01)
    assert dead['dci_informativeness'] == pytest.approx(chance, abs=.05)
    assert out['factor_vae_score_sampled'].value[2] == 0             # exp(-6) is below a standard deviation of .05


def test_noise_scores_by_chance():
    """A draw that is all noise: which factor was held is guessed."""
    out = measure(view(np.zeros((3, 3)), log_var=0.), [f'{n}_sampled' for n in (
        'beta_vae_score', 'factor_vae_score', 'mig')])
    value = {k: float(v.value[0]) for k, v in out.items()}
    assert value['beta_vae_score_sampled'] == pytest.approx(1 / F, abs=.1)
    assert value['factor_vae_score_sampled'] == pytest.approx(1 / F, abs=.1)
    assert value['mig_sampled'] < .03


def test_the_two_votes_are_lenient_with_rotated_codes():
    """A rotation keeps both far from chance, while the gap is gone."""
    turned = np.linalg.qr(RNG(3).standard_normal((3, 3)))[0]
    out = measure(view(turned, pairs=64, factor_train=1500, factor_test=500),
                  ['factor_vae_score', 'beta_vae_score', 'mig'])
    assert out['factor_vae_score'].value[0] > .7
    assert out['beta_vae_score'].value[0] == pytest.approx(.99, abs=.02)
    assert out['mig'].value[0] < .2


def test_what_estimators_say():
    v, out = measured()
    assert out['mig'].estimator == ('gap of mutual information / entropy, 20 equal bins; posterior means; 3 factors, '
                                    'combinations drawn uniformly')
    assert out['mig'].estimator.id == 'mig-20:means:factors-3-drawn'
    assert out['mig_sampled'].estimator.id == 'mig-20:draws:factors-3-drawn'
    assert (out['mig'].samples, out['mig_sampled'].samples, out['mig'].n) == (None, 1, 400)
    assert out['sap'].estimator.id == 'sap-svm-0.01:test-200:means:factors-3-drawn'
    assert out['beta_vae_score'].estimator.id == 'beta-pairs-32:votes-200:means:factors-3-drawn'
    assert len({out[n].estimator.id for n in out}) == len(out)
    for name, value in out.items():
        least, most = METRICS[name].bounds
        assert (value.value >= least).all() and (value.value <= most).all() and METRICS[name].better == 'higher'
        assert value.warning is None


def test_downstream_accuracy():
    names = [f'downstream_{learner}{n}' for learner in ('', 'trees_') for n in (100, 1000, 10_000)]
    out = measure(view(IDENTITY, 0 * IDENTITY), names)
    chance = 100 * np.mean(1 / np.array(LEVELS))
    for name in ('downstream_100', 'downstream_trees_100'):
        assert out[name].value[0] > (85 if name == 'downstream_100' else 97)
        assert out[name].value[1] == pytest.approx(chance, abs=6) and out[name].n == 400
    assert out['downstream_trees_100'].estimator.id == 'trees-100:test-200:means:factors-3-drawn'
    assert all(out[n] is None for n in names if n.endswith('000'))           # there are but 400
    more = measure(view(IDENTITY, factor_train=1000), ['downstream_1000'])['downstream_1000']
    assert more.value[0] > 98


def test_needs_and_fields():
    both = {'factors', 'observe'}
    assert defined('mig', {'encode'}, both) and not defined('mig', {'encode'}, {'observe'})
    assert not defined('mig_sampled', {'encode'}, both) and defined('mig_sampled', {'posterior', 'sample_q'}, both)
    for name in ('beta_vae_score', 'factor_vae_score'):
        assert defined(name, {'encode'}, both) and not defined(name, {'encode'}, {'factors'})
    assert not defined('mig_q', {'posterior', 'sample_q'}, both)


def test_draws_do_not_depend_on_batches_and_are_new_each_time():
    names = ['mig_sampled', 'factor_vae_score_sampled']
    a, b = (view(IDENTITY, log_var=0., batch=batch) for batch in (7, 500))
    np.testing.assert_array_equal(ground_truth.known(a, 'sampled').train.codes,
                                  ground_truth.known(b, 'sampled').train.codes)
    left, right = (measure(v, names) for v in (a, b))
    assert all(left[n].value == right[n].value for n in names)
    table, places = ground_truth.grid(a), np.full(4000, 17)
    z = table.codes(places, 'sampled', 1)[0]
    np.testing.assert_allclose(z.mean(0), table.factors(places)[0], atol=.07)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=.1)      # of one combination, every draw another
    assert len(np.unique(table.places)) == len(table.places) <= len(GRID)


def test_combinations_are_drawn_uniformly_and_one_factor_is_held():
    sizes, held = np.array([3, 2, 4]), np.repeat([0, 1, 2], 200)
    at = ground_truth.held_fixed(sizes, held, 30, RNG(0))
    f = np.stack(np.unravel_index(at, sizes), -1)
    same = (f == f[:, :1]).all(1)
    np.testing.assert_array_equal(same.argmax(1), held)
    assert same.sum() == len(held)
    for k, n in enumerate(sizes):
        counts = np.bincount(f[held != k][..., k].ravel(), minlength=n)
        assert abs(counts / counts.sum() - 1 / n).max() < .02
        assert len(np.unique(f[held == k][:, 0, k])) == n


def test_rows_of_the_split_serve_where_nothing_can_be_observed():
    v = view(IDENTITY, observe=False)
    out = measure(v, ['mig', 'downstream_100', 'downstream_1000', 'beta_vae_score', 'dci_informativeness'])
    assert out['mig'].n == 80 and out['mig'].estimator.id == 'mig-20:means:factors-3-rows'
    assert out['dci_informativeness'].estimator.id.split(':')[1] == 'test-40'
    assert out['downstream_100'] is None and out['downstream_1000'] is None        # 80 examples to learn from
    assert out['beta_vae_score'] is None
    train, test = ground_truth.sample_rows(v)
    assert not set(train) & set(test) and len(train) + len(test) == len(GRID)
    known = ground_truth.known(v, 'mean')
    np.testing.assert_allclose(known.train.codes[0], known.train.factors)          # of the same rows


def test_factors_of_one_value_are_left_out():
    factors = GRID * [0, 1, 1]
    v = view(IDENTITY, observe=False, factors=factors)
    value = measure(v, ['mig'])['mig']
    assert value.estimator.id == 'mig-20:means:factors-2-rows' and value.value[0] > .8
    assert ground_truth.known(v, 'mean').names == ('x', 'y')
    assert measure(view(IDENTITY, observe=False, factors=GRID * [0, 0, 1]), ['mig'])['mig'] is None
    assert measure(view(IDENTITY[:, :1]), ['mig'])['mig'] is None                  # no second dimension
    assert measure(view(IDENTITY, factor_test=5), ['mig'])['mig'] is None          # too few to tell


def test_codes_that_are_not_finite_spoil_their_own_seed_alone():
    out = measure(view(IDENTITY, np.full((3, 3), np.nan), 2 * IDENTITY), [
        'mig', 'factor_vae_score', 'beta_vae_score', 'explicitness', 'downstream_100', 'mig_q', 'tc_gaussian', 'udr'])
    assert out['udr'].value[2] == pytest.approx(1)                  # its one partner that is left
    for name, value in out.items():
        assert np.isfinite(value.value[0]) and np.isnan(value.value[1]), name
        assert value.warning[0] is None and 'not finite' in value.warning[1]


def test_what_figures_show():
    v, out = measured()
    arrays = disentanglement.matrices(v, out)
    assert {k: x.shape for k, x in arrays.items()} == {
        'factors/information': (3, 4, 3), 'factors/importance': (3, 4, 3), 'factors/name': (3, 3), 'factors/kl': (3, 4)}
    assert arrays['factors/name'][0].tolist() == ['shape', 'x', 'y']
    np.testing.assert_allclose(np.diag(arrays['factors/information'][0]), 1, atol=1e-9)
    np.testing.assert_allclose(arrays['factors/importance'][1][:3], IDENTITY[[2, 0, 1]], atol=1e-6)
    assert disentanglement.matrices(v, {}) == {}


@pytest.mark.slow
def test_trees_agree_with_those_of_the_public_code():
    """Gains of histogram boosting against scikit-learn's plain one, of codes that mix factors."""
    from sklearn.ensemble import GradientBoostingClassifier
    rng = RNG(0)
    factors = drawn(1500, LEVELS)
    codes = (factors / LEVELS) @ RNG(1).normal(size=(3, 5)) + .05 * rng.normal(size=(1500, 5))
    z, f, other, test = codes[:1000], factors[:1000], codes[1000:], factors[1000:]
    ours = learners.trees(z, f, other, test)
    plain = [GradientBoostingClassifier(random_state=0).fit(z, y) for y in f.T]
    theirs = np.stack([m.feature_importances_ for m in plain], 1)
    accuracy = np.mean([m.score(other, y) for m, y in zip(plain, test.T, strict=True)])
    for turn in (np.asarray, np.transpose):
        assert scores.concentration(turn(ours.importance)) == pytest.approx(scores.concentration(turn(theirs)), abs=.05)
    assert ours.accuracy.mean() == pytest.approx(accuracy, abs=.03)
    np.testing.assert_allclose(ours.importance, theirs, atol=.08)


# ---- without factors -------------------------------------------------------------------------

def white(n, d, seed=0):
    """Codes whose sample covariance is the identity."""
    x = RNG(seed).normal(size=(n, d))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T


def test_total_correlation_of_a_correlated_normal_law():
    sigma = np.array([[1., .9], [.9, 1.]])
    codes = white(500, 2) @ np.linalg.cholesky(sigma).T
    assert unsupervised.total_correlation(codes) == pytest.approx(.83037, abs=1e-5)
    assert unsupervised.total_correlation(dead(codes * [3, .1])) == pytest.approx(.83037, abs=1e-5)
    assert unsupervised.total_correlation(white(500, 3)) == pytest.approx(0, abs=1e-9)
    assert unsupervised.total_correlation(0 * codes) == 0
    assert unsupervised.total_correlation(np.hstack([codes, codes[:, :1]])) > 10


def test_wasserstein_correlation_against_the_matrix_root():
    codes = RNG(0).normal(size=(300, 4)) @ RNG(1).normal(size=(4, 4))
    sigma = np.cov(codes.T)
    root = linalg.sqrtm(np.diag(np.diag(sigma)) @ sigma)
    expected = 2 * np.trace(sigma) - 2 * np.trace(root).real
    assert unsupervised.wasserstein_correlation(codes, False) == pytest.approx(expected, rel=1e-9)
    assert unsupervised.wasserstein_correlation(dead(codes), True) == pytest.approx(expected / np.trace(sigma))
    assert unsupervised.wasserstein_correlation(white(300, 3), False) == pytest.approx(0, abs=1e-9)
    assert unsupervised.wasserstein_correlation(0 * codes, True) == 0


def test_shared_information():
    assert unsupervised.shared_information(Z) == 0                   # a full grid is independent
    assert unsupervised.shared_information(Z[:, [0, 0]]) == pytest.approx(np.log(4))


def test_agreement_of_models():
    codes = white(400, 4)
    mirrored = -2 * codes[:, [3, 1, 0, 2]] + 5
    assert unsupervised.agreement(unsupervised.rank_relation(codes[:, :1], codes[:, :1]**3)) == pytest.approx(1)
    assert unsupervised.agreement(unsupervised.lasso_relation(codes, mirrored)) == pytest.approx(.9, abs=.002)
    other = white(400, 4, 1)
    assert unsupervised.agreement(unsupervised.rank_relation(codes, other)) < .1
    assert unsupervised.agreement(unsupervised.lasso_relation(codes, other)) < .05
    r = np.array([[.8, .4], [.2, .4]])
    assert unsupervised.agreement(r) == pytest.approx(
        ((.64 / 1 + .16 / .8) / 2 + (.64 / 1.2 + .16 / .6) / 2) / 2)
    assert unsupervised.agreement(np.zeros((3, 2))) == unsupervised.agreement(np.zeros((0, 2))) == 0


def test_ranking_of_seeds_that_found_the_same_dimensions():
    """Full grid: ranks of different factors are independent; the fourth model is a rotation of the others."""
    turned = np.linalg.qr(RNG(0).normal(size=(3, 3)))[0]
    weights = [dead(w) for w in (IDENTITY, -2 * IDENTITY[:, [1, 2, 0]], IDENTITY * 3, turned)]
    log_var = np.float32([-12., -12., -12., 0.])                     # the last dimension is the prior
    out = measure(view(*weights, log_var=log_var), ['udr', 'udr_lasso', 'udr_sampled'])
    np.testing.assert_allclose(out['udr'].value[:3], 1, atol=1e-6)
    np.testing.assert_allclose(out['udr_lasso'].value[:3], .9, atol=1e-4)
    assert out['udr'].value[3] < .75
    assert (out['udr_sampled'].value[:3] > .85).all()               # noise orders what has equal levels
    assert out['udr'].estimator.id == 'udr-spearman-kl-0.01:models-4:means'
    assert 'among 4 models that trained together' in out['udr'].estimator
    assert measure(view(IDENTITY), ['udr'])['udr'] is None
    dead_all = measure(view(0 * IDENTITY, 0 * IDENTITY, log_var=0.), ['udr'])['udr']
    assert dead_all.value.tolist() == [0, 0]


def test_models_share_no_noise_where_they_are_compared():
    """Common random numbers would make dimensions of noise agree."""
    v = view(.1 * IDENTITY, .1 * IDENTITY, log_var=0.)
    shared = np.diag(unsupervised.rank_relation(*(z for z in v.draws)))
    own = np.diag(unsupervised.rank_relation(*unsupervised.own_draws(v)))
    assert (shared > .9).all() and (own < .3).all()


def test_scores_without_factors_need_none():
    v = toys.evaluator({'encode': lambda params, carry, batch: batch['x'] * params['s']}, {'s': np.ones(2, np.float32)},
                       {}, [{'x': np.float32(white(50, 3))}], KEY)
    out = measure(v, unsupervised.METRICS)
    assert {k for k, x in out.items() if x is not None} == {
        'tc_gaussian', 'wasserstein', 'wasserstein_normalized', 'code_mi', 'udr', 'udr_lasso'}
    np.testing.assert_allclose(out['udr'].value, out['udr'].value[0])
    assert out['udr'].estimator.id == 'udr-spearman-variance-0.01:models-2:means'
    assert out['tc_gaussian'].value == pytest.approx([0, 0], abs=1e-6)


# ---- the parts of the KL, and densities of posteriors ----------------------------------------

@functools.cache
def random_posteriors(n=70):
    rng = RNG(0)
    e, bucket = fixed(rng.normal(size=(n, 3)), np.exp(rng.normal(size=(n, 3)) - 1))
    return toys.evaluator(e, {'s': np.zeros(2, np.float32)}, {}, [bucket], KEY), bucket


def test_parts_add_up():
    v, _ = random_posteriors()
    out = measure(v, ['mi_full', 'tc_full', 'dw_full', 'mi_sym', 'tc_sym', 'dw_sym'])
    total = (np.float64(v.terms['log_q']) - v.terms['log_prior']).mean(1)
    for end in ('full', 'sym'):
        np.testing.assert_allclose(sum(out[f'{part}_{end}'].value for part in ('mi', 'tc', 'dw')), total, rtol=2e-6)
    assert out['tc_sym'].estimator.id == 'tc-symmetric-70' and out['tc_full'].estimator.id == 'tc-aggregate'


def test_a_total_correlation_that_holds_what_information_cannot_is_named():
    """Independent dimensions of narrow posteriors: far more is known than ln N."""
    for std, capped in ((1e-3, True), (1., False)):
        e, bucket = fixed(white(64, 4), np.full((64, 4), std))
        v = toys.evaluator(e, {'s': np.zeros(1, np.float32)}, {}, [bucket], KEY)
        out = measure(v, ['tc_full', 'dw_full', 'tc_sym'])
        assert (out['tc_full'].value[0] > 4) == capped
        assert [out[n].warning is not None for n in out] == [capped, False, capped]
        assert not capped or 'cap ln N = 4.16' in out['tc_full'].warning[0]


def test_parts_against_all_pairs():
    v, bucket = random_posteriors()
    out = measure(v, ['tc_full', 'dw_full', 'mi_sym', 'tc_sym'])
    z = np.float64(v.draws[0])
    pairs = norm.logpdf(z[:, None], bucket['mean'], bucket['std'])
    joint, dims = np.log(np.exp(pairs.sum(-1)).mean(1)), np.log(np.exp(pairs).mean(1))
    np.testing.assert_allclose(out['tc_full'].value[0], (joint - dims.sum(-1)).mean(), rtol=1e-5)
    np.testing.assert_allclose(out['dw_full'].value[0], (dims - norm.logpdf(z)).sum(-1).mean(), rtol=1e-5)
    # a batch of everything: own posterior and all others 1 / N each
    np.testing.assert_allclose(out['tc_sym'].value, out['tc_full'].value, rtol=1e-5)


def test_batches_weigh_their_own_posterior_by_the_whole(monkeypatch):
    monkeypatch.setattr(decomposition, 'BATCH', 16)
    v, bucket = random_posteriors()
    v = toys.evaluator(v.evals, v.params, {}, [bucket], KEY)         # nothing is kept
    got = measure(v, ['mi_sym'])['mi_sym'].value[0]
    z, order, terms = np.float64(v.draws[0]), RNG(0).permutation(70), []
    for at in np.split(order, range(16, 70, 16)):
        log_q = norm.logpdf(z[at][:, None], bucket['mean'][at], bucket['std'][at]).sum(-1)
        w = np.where(np.eye(len(at), dtype=bool), 1 / 70, 69 / 70 / (len(at) - 1))
        terms += list(np.diag(log_q) - np.log((w * np.exp(log_q)).sum(1)))
    np.testing.assert_allclose(got, np.mean(terms), rtol=1e-5)


def test_blocks_change_nothing(monkeypatch):
    v, bucket = random_posteriors()
    whole = measure(v, ['tc_full'])['tc_full'].value
    monkeypatch.setattr(decomposition, 'PAIRS', 32)                  # 4 draws at once
    again = toys.evaluator(v.evals, v.params, {}, [bucket], KEY)
    np.testing.assert_allclose(measure(again, ['tc_full'])['tc_full'].value, whole, rtol=1e-6)


def test_total_correlation_of_an_aggregate_that_is_normal():
    """Means N(0, S - s^2 I) and posteriors of variance s^2 make an aggregate N(0, S)."""
    s2, n = .05, 1000
    sigma = np.array([[1., .9], [.9, 1.]])
    means = white(n, 2) @ np.linalg.cholesky(sigma - s2 * np.eye(2)).T
    e, bucket = fixed(means, np.full((n, 2), np.sqrt(s2)))
    v = toys.evaluator(e, {'s': np.zeros(1, np.float32)}, {}, [bucket], KEY)
    value = measure(v, ['tc_full'])['tc_full']
    assert abs(value.value[0] - .83037) < 4 * value.stderr[0] + .05  # .05: a mixture of 1,000 is no normal law


def test_gap_of_densities_by_quadrature():
    """One dimension tells of a factor of two levels by N(+-1, .7^2), the others of nothing."""
    n, std = 1500, .7
    rng = RNG(0)
    factors = np.stack([np.arange(n) % 2, rng.integers(0, 3, n)], 1)
    sign = 2. * factors[:, 0] - 1
    e, bucket = fixed(np.stack([sign, 0 * sign, 0 * sign], 1), np.full((n, 3), std))
    data = metrics.Data([{**bucket, 'factors': np.int32(factors)}], {'factors': schema.factors((2, 3), 'ab')})
    v = metrics.Evaluator(metrics.Trained(e, {'s': np.zeros(1, np.float32)}, {}, KEY), data,
                          Settings(factor_train=1000, factor_test=500))
    value = measure(v, ['mig_q'])['mig_q']

    def density(z):
        return (norm.pdf(z, 1, std) + norm.pdf(z, -1, std)) / 2

    entropy = integrate.quad(lambda z: -density(z) * np.log(density(z)), -8, 8)[0]
    told = entropy - norm(scale=std).entropy()
    rows = ground_truth.sample_rows(v)[0]
    expected = told / np.log(2) / 2                                  # nothing tells of the second factor
    ratio = lambda z: np.log(norm.pdf(z, 1, std) / density(z))
    second = integrate.quad(lambda z: norm.pdf(z, 1, std) * ratio(z)**2, -4, 6)[0]
    stderr = np.sqrt((second - told**2) / 1000) / np.log(2) / 2
    assert abs(value.value[0] - expected) < 3 * stderr + 1e-3
    assert value.estimator.id == 'mig-densities:factors-2-rows' and value.n == len(rows) == 1000


def test_information_of_densities_against_all_pairs():
    v = view(IDENTITY + .3, log_var=-1., observe=False)
    known, rows = ground_truth.known(v, 'sampled'), ground_truth.sample_rows(v)[0]
    q = jax.tree.map(lambda x: x[:, rows], v.states)
    f, z = known.train.factors, np.float64(v.draws[0, rows])
    got = decomposition.posterior_information(v, q, np.float32(known.train.codes), f)[0]
    log_q = np.exp(norm.logpdf(z[:, None], q['mean'][0], np.exp(q['log_var'][0] / 2)))
    for k in range(3):
        same = f[:, None, k] == f[None, :, k]
        inside = (log_q * same[..., None]).sum(1) / same.sum(1)[:, None]
        np.testing.assert_allclose(got[:, k], np.log(inside / log_q.mean(1)).mean(0), rtol=1e-4, atol=1e-5)


def test_gap_of_densities_of_drawn_combinations():
    out = measure(view(IDENTITY, 0 * IDENTITY, log_var=-6.), ['mig_q'])['mig_q']
    np.testing.assert_allclose(out.value, [1, 0], atol=.02)
    assert out.estimator.id == 'mig-densities:factors-3-drawn'


# ---- a dataset that draws its pictures -------------------------------------------------------

def test_pictures_of_drawn_combinations():
    """Codes that are centers of mass tell of both places, of combinations as of the same rows of the split."""
    from vaebench.datasets.sprites import sprites
    data = sprites(levels=(2, 1, 4, 5, 5), size=16)

    def encode(params, carry, batch):
        at, x = jnp.arange(16.) - 7.5, batch['x'][..., 0]
        center = jnp.stack([(x * at).sum((1, 2)), (x * at[:, None]).sum((1, 2))], 1)
        return params['s'] * center / x.sum((1, 2))[:, None]

    v = metrics.Evaluator(
        metrics.Trained({'encode': encode}, {'s': np.float32([1.])}, {}, KEY),
        metrics.Data(data.buckets('test', 1), data.schema, decode=data.decode, observe=data.observe),
        Settings(factor_train=200, factor_test=100, batch=64))
    train = ground_truth.known(v, 'mean').train
    table = ground_truth.grid(v)
    assert len(table.places) <= 2 * 4 * 5 * 5 and table.sizes.tolist() == [2, 4, 5, 5]
    split = ground_truth.split_factors(v)
    same = (train.factors[:, None] == split).all(2)
    np.testing.assert_array_equal(split, v.field('factors'))
    assert same.any(1).sum() >= 10                                  # of both: a tenth of the grid is in the split
    for i, j in np.argwhere(same):
        np.testing.assert_allclose(train.codes[0, i], v.codes[0, j], rtol=1e-6)
    known = disentanglement.information(v, 'mean')[0] / scores.entropy(train.factors)
    assert known.argmax(1).tolist() == [2, 3] and (known[[0, 1], [2, 3]] > .8).all()
