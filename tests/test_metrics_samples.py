"""Samples against data: closed forms, brute force, and what each says of good and bad
samples."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import norm, ortho_group

from vaebench.core import derive
from vaebench.metrics import (
    METRICS,
    Judge,
    Settings,
    discrepancies,
    entries,
    independence,
    measure,
    parzen,
    samples,
)
from vaebench.metrics.draws import GENERATED
from vaebench.ops.two_sample import hsic

KEY = jax.random.key(3)
S2 = {'s': jnp.array([1., .4])}          # two seeds, a good one and a bad one
DISTANCES = 'frechet', 'kmmd'


@pytest.fixture(autouse=True, scope='module')
def quick():
    """Compilation is the cost of these tests, not speed."""
    before = jax.config.read('jax_disable_most_optimizations')
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', before)


def normal(n, size, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size))


def images(n=60, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, 3, 3, 1)).astype(np.float32)


def generator(draw, shape=(3, 3, 1)):
    return {
        'sample': lambda params, carry, key, n, mode:
        {'x': params['s'] * draw(key, (n, *shape))}
    }


def view(evals, buckets, params=S2, settings=None, **more):
    return toys.evaluator(evals, params, {}, buckets, KEY, Settings(**{'batch': 50, **(settings or {})}),
                **more)


# The Frechet distance.

def spread(values, base):
    return base @ np.diag(values) @ base.T


def test_frechet_of_commuting_covariances():
    base, rng = ortho_group.rvs(5, random_state=0), np.random.default_rng(1)
    a, b, m, n = rng.uniform(.1, 3, 5), rng.uniform(.1, 3,
                                                    5), rng.normal(size=5), rng.normal(size=5)
    want = ((m - n)**2).sum() + ((np.sqrt(a) - np.sqrt(b))**2).sum()
    np.testing.assert_allclose(discrepancies.bures(m, spread(a, base), n, spread(b, base)), want,
                               rtol=1e-10)


def test_frechet_is_symmetric_and_zero_for_equal_laws():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 6)) @ rng.normal(
        size=(6, 6)), rng.normal(size=(70, 6)) @ rng.normal(size=(6, 6)) + 1
    np.testing.assert_allclose(discrepancies.frechet(x, y), discrepancies.frechet(y, x), rtol=1e-9)
    assert discrepancies.frechet(x, y) > 1 and 0 <= discrepancies.frechet(x, x[::-1]) < 1e-9


def test_frechet_where_a_feature_is_dead():
    x, y = normal(60, 3), normal(60, 3, 1) + .5
    dead = [np.concatenate([v, np.full((60, 1), 7.)], 1) for v in (x, y)]
    np.testing.assert_allclose(discrepancies.frechet(*dead), discrepancies.frechet(x, y), atol=1e-5)
    # fewer rows than dimensions
    few = discrepancies.frechet(normal(8, 20), normal(8, 20, 1))
    assert np.isfinite(few) and few > 0


def test_frechet_floor_is_its_bias():
    # Around equal covariances the distance is |difference of means|^2 + |difference of
    # covariances|^2 / 4.
    d = 6
    for n in (200, 800):
        got = np.mean(
            [discrepancies.frechet(normal(n, d, 2 * i), normal(n, d, 2 * i + 1)) for i in range(60)])
        np.testing.assert_allclose(got, (2 * d + d * (d + 1) / 2) / n, rtol=.1)


# Support.

def test_support_against_a_loop():
    x, y = 2 * normal(30, 3), normal(25, 3, 1)
    inside = 0
    for a in x:
        inside += any(
            np.linalg.norm(a - b) <= sorted(
                np.linalg.norm(c - b) for j, c in enumerate(y) if j != i)[2]
            for i, b in enumerate(y))
    assert 0 < inside < 30 and discrepancies.support(x, y) == inside / 30


def test_precision_and_recall_at_their_ends():
    x = normal(100, 4)
    assert discrepancies.support(
        x, x) == 1 and discrepancies.support(x, x + 100) == discrepancies.support(x + 100, x) == 0
    two = np.concatenate([x, x + 100])                  # the samples drop one of two modes
    assert discrepancies.support(x, two) == 1 and discrepancies.support(two, x) == .5


# Two-sample tests.

def test_kernel_discrepancy_against_brute_force():
    x, y = np.float32(normal(40, 3)), np.float32(normal(40, 3, 1) + .5)
    width = np.median([np.linalg.norm(y[i] - y[j]) for i in range(40) for j in range(i)])
    np.testing.assert_allclose(discrepancies.width(y), width, rtol=1e-6)

    def brute(x, y):
        def k(a, b):
            return np.mean([np.exp(-cdist(a, b)**2 / (2 * (c * width)**2)) for c in (.5, 1, 2)],
                           0)

        within = lambda a: k(a, a)[~np.eye(len(a), dtype=bool)].mean()
        return within(x) + within(y) - 2 * k(x, y).mean()

    value, stderr = discrepancies.kernel_discrepancy(x, y)
    np.testing.assert_allclose(value, brute(x, y), atol=1e-6)
    parts = [brute(x[i:i + 4], y[i:i + 4]) for i in range(0, 40, 4)]
    np.testing.assert_allclose(stderr,
                               np.std(parts, ddof=1) / np.sqrt(discrepancies.BLOCKS), rtol=1e-4)
    assert np.isnan(discrepancies.kernel_discrepancy(x[:19], y[:19])[1])


def test_classifier_test_guesses_where_laws_are_equal():
    got = np.array([
        discrepancies.classifier_test(normal(300, 3, 2 * i), normal(300, 3, 2 * i + 1))
        for i in range(5)
    ])
    np.testing.assert_allclose(got[:, 1], np.sqrt(.25 / 300))
    assert abs(got[:, 0].mean() - .5) < 4 * got[0, 1] / np.sqrt(5)
    assert discrepancies.classifier_test(normal(100, 3), normal(100, 3, 1) + 20)[0] == 1
    # copies are not held out: of equal laws they would be told apart, each by its twin
    x, y = normal(300, 3, 1)[:40].repeat(5, 0), normal(40, 3, 2)
    assert abs(discrepancies.classifier_test(x, y)[0] - .5) < 4 * np.sqrt(.25 / 40)
    assert np.isnan(discrepancies.classifier_test(np.ones((50, 3)), y)).all()
    # Equal means and variances, which no linear classifier tells apart.
    sign = np.sign(normal(400, 2, 5))
    assert discrepancies.classifier_test(normal(400, 2), sign + .05 * normal(400, 2, 6))[0] > .9


def test_p_values_of_equal_laws_are_uniform():
    p = np.array([
        discrepancies.permutation_p(normal(30, 2, 2 * i), normal(30, 2, 2 * i + 1)) for i in range(80)
    ])
    for level in (.25, .5, .75):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 80)
    assert discrepancies.permutation_p(normal(30, 2), normal(30, 2, 1) + 3) == pytest.approx(1 / 501)
    assert discrepancies.permutation_p(normal(30, 2), normal(30, 2, 1) * 4) < .01


# Classes and sharpness.

def test_confidence_and_classes():
    sure = np.where(np.eye(4, dtype=bool), np.log(1 - 3e-12), np.log(1e-12))
    np.testing.assert_allclose(discrepancies.confidence(np.repeat(sure, 5, 0)), 4, rtol=1e-6)
    # one class only
    np.testing.assert_allclose(discrepancies.confidence(sure[:1].repeat(9, 0)), 1, rtol=1e-9)
    np.testing.assert_allclose(discrepancies.confidence(np.full((9, 4), -np.log(4))), 1, rtol=1e-9)
    np.testing.assert_allclose(discrepancies.label_divergence(sure[[0, 0, 0, 1]], sure[[0, 1, 2, 3]]),
                               .75 * np.log(3) + .25 * np.log(1), rtol=1e-9)
    assert discrepancies.label_divergence(sure, sure[[2, 0, 3, 1]]) == 0
    assert discrepancies.label_divergence(sure, sure[:2]) == np.inf > discrepancies.label_divergence(
        sure[:2], sure)


def test_sharpness_of_a_chessboard():
    # answers are +-4
    board = (np.indices((6, 6)).sum(0) % 2).astype(float)[None, :, :, None]
    assert discrepancies.sharpness(board) == 16 and discrepancies.sharpness(board / 2 + .25) == 4
    ramp = np.broadcast_to(np.arange(6.)[:, None, None], (2, 6, 6, 3))
    assert discrepancies.sharpness(ramp) == 0


# Of a view.

def test_a_good_generator_is_told_from_a_bad_one():
    v = view(generator(jax.random.uniform), [{'x': images(250)}])
    out = measure(v, ('frechet', 'frechet_floor', 'kmmd', 'kmmd_floor', 'precision', 'recall',
                      'c2st', 'two_sample_p', 'class_score', 'class_kl', 'sharpness'))
    # pixels know no class
    assert out['class_score'] is None and out['class_kl'] is None
    for name in DISTANCES:
        (good, bad), floor = out[name].value, out[f'{name}_floor'].value
        assert (out[name].n, out[f'{name}_floor'].n) == (250, 125) and floor[0] == floor[1]
        assert abs(good) < 5 * abs(floor[0]) < bad, name
        assert 'in pixels' in out[name].estimator and 'two halves' in out[
            f'{name}_floor'].estimator
    assert abs(out['kmmd'].value[0]) < 3 * out['kmmd'].stderr[0]
    assert out['precision'].value[
        0] > .5 and out['recall'].value[0] > .5 > out['recall'].value[1]
    assert abs(out['c2st'].value[0] -
               .5) < 4 * out['c2st'].stderr[0] and out['c2st'].value[1] > .9
    assert out['two_sample_p'].value[0] > .01 > out['two_sample_p'].value[1]
    assert out['c2st'].note.startswith('z = ') and 'held-out' in out['precision'].note
    np.testing.assert_allclose(out['sharpness'].value[1], .4**2 * out['sharpness'].value[0],
                               rtol=.3)
    assert entries(out, v, 1)['frechet']['unit'] == 'squared distance'


def test_the_floor_takes_validation_data_where_the_split_is_short():
    x, valid = images(60), images(45, 1)
    settings = {'images': 50}
    v = view(generator(jax.random.uniform), [{'x': x}], settings=settings, valid={'x': valid})
    out = measure(v, ('kmmd', 'kmmd_floor'))
    assert (out['kmmd'].n,
            out['kmmd_floor'].n) == (50, 45) and 'validation' in out['kmmd_floor'].estimator
    held = view(generator(jax.random.uniform), [{'x': images(200)}], settings=settings,
                valid={'x': valid})
    assert 'two halves' in measure(held, ('kmmd_floor',))['kmmd_floor'].estimator
    data, other, _ = samples.held_out_features(held)
    both, rng = np.concatenate([data, other]), np.random.default_rng(2)
    parted = [both[rng.permutation(100)] for _ in range(samples.REDRAWS)]
    np.testing.assert_allclose(
        samples.real_vs_real(held, discrepancies.frechet, samples.FRECHET).value,
        np.mean([discrepancies.frechet(x[:50], x[50:]) for x in parted]), rtol=1e-9)
    assert data.shape == other.shape == (50, 9) and cdist(data, other).min() > 0


def test_samples_are_drawn_once_in_calls_of_a_hundred():
    calls = []

    def sample(params, carry, key, n, mode):
        jax.debug.callback(lambda: calls.append(n))
        assert mode == 'mean'
        return {'x': params['s'] * jax.random.uniform(key, (n, 3, 3, 1))}

    v = view({'sample': sample}, [{'x': images(120)}], params={'s': jnp.ones(1)})
    few, many = samples.generated(v, 30), samples.generated(v, 120)
    measure(v, ('kmmd', 'precision'))
    jax.effects_barrier()
    assert calls == [100, 100] and few.shape == (1, 30, 3, 3, 1)
    np.testing.assert_array_equal(few, many[:, :30])
    np.testing.assert_array_equal(
        many[0, 100:],
        jax.random.uniform(derive(KEY, GENERATED, 0, 1), (100, 3, 3, 1))[:20])


@pytest.mark.parametrize('shape, mode', [((3, 3, 1), 'mean'), ((2,), 'sample')])
def test_images_are_means_and_points_are_draws(shape, mode):
    """The noise of p(x|z) is part of a law of points; estimators say which it is."""
    def sample(params, carry, key, n, how):
        return {'x': params['s'] * jnp.full((n, *shape), {'mean': .25, 'sample': .75}[how])}

    v = view({'sample': sample}, [{'x': np.zeros((20, *shape), np.float32)}])
    assert (samples.generated(v, 5)[0] == {'mean': .25, 'sample': .75}[mode]).all()
    estimator = measure(v, ['precision'])['precision'].estimator
    assert estimator.endswith(samples.DECODINGS[mode])
    assert estimator.id.endswith(':noise') == (mode == 'sample')


def test_frechet_warns_of_few_rows():
    x = images(120)
    few = view(generator(jax.random.uniform), [{'x': x}], settings={'images': 89})
    enough = view(generator(jax.random.uniform), [{'x': x}], settings={'images': 90})
    warned, fine = (measure(v, ['frechet'])['frechet'].warning for v in (few, enough))
    assert warned is not None and fine is None
    assert all('9.9 rows per dimension' in w for w in warned)


def test_both_sides_are_images_of_eight_bits():
    v = view(generator(lambda key, shape: 3 * jnp.round(jax.random.uniform(key, shape))),
             [{'x': images(40).round()}])
    assert set(np.unique(samples.sample_features(v)[0])) == {0., 1.}
    # 1.2 is cut to 1
    assert set(np.unique(np.round(samples.sample_features(v)[1] * 255, 4))) == {0., 255.}
    fine = view(generator(jax.random.uniform), [{'x': images(40)}])
    assert np.abs(samples.held_out_features(fine)[0] * 255 -
                  np.round(samples.held_out_features(fine)[0] * 255)).max() < 1e-4


def test_features_and_classes_of_a_space():
    made = []

    def features():
        made.append(1)
        total = lambda x: np.stack([x.reshape(len(x), -1).sum(1), x[:, 0, 0, 0]], 1)
        classify = lambda f: np.log(np.where(f[:, :1] > 4.5, [[.1, .9]], [[.9, .1]]))
        return Judge('sums', functions={'features': total, 'classify': classify})

    v = view(generator(jax.random.uniform), [{'x': images(80)}], space=features)
    out = measure(v, ('frechet', 'precision', 'class_score', 'class_kl'))
    assert made == [
        1
    ] and samples.sample_features(v).shape == (2, 80, 2) and out['frechet'].estimator.endswith('in sums, mean decoding')
    half, one = out['class_score'].value
    p = (samples.sample_features(v)[0, :, 0] > 4.5).mean() * .8 + .1
    entropy = lambda p: -(p * np.log(p) + (1 - p) * np.log(1 - p))
    np.testing.assert_allclose(half, np.exp(entropy(p) - entropy(.1)), rtol=1e-6)
    np.testing.assert_allclose(one, 1, rtol=1e-2)
    assert out['class_kl'].value[1] > 10 * out['class_kl'].value[0]


def test_points_and_what_is_not_defined():
    v = view(generator(jax.random.normal, (2,)), [{'x': np.float32(normal(90, 2))}])
    out = measure(v, METRICS)
    assert v.data.item == 'point' and 'in coordinates' in out['frechet'].estimator
    assert {k
            for k, x in out.items() if x is not None} == {
                'frechet', 'frechet_floor', 'kmmd', 'kmmd_floor', 'precision', 'recall', 'c2st',
                'two_sample_p', 'w2', 'w2_floor'
            }
    few = measure(view(generator(jax.random.normal, (2,)), [{'x': np.float32(normal(7, 2))}]),
                  METRICS)
    assert all(x is None for x in few.values())
    text = view(generator(jax.random.uniform), [{'length': np.ones(30, np.int32)}])
    assert all(measure(text, (name,))[name] is None for name in samples.METRICS)


def test_samples_that_are_not_finite_cost_their_seed_only():
    broken = lambda key, shape: jax.random.uniform(key, shape)
    v = view(generator(broken), [{'x': images(90)}], params={'s': jnp.array([1., jnp.nan])})
    out = measure(v, ('frechet', 'c2st', 'precision', 'two_sample_p', 'kmmd'))
    for value in out.values():
        assert np.isfinite(value.value[0]) and np.isnan(value.value[1])
        assert value.warning == [None, 'not finite for 1 of 1']


def test_a_reconstruction_without_codes_has_a_squared_error():
    x = images(7)
    evals = {'reconstruct': lambda params, carry, batch: {'x': params['s'] * batch['x']}}
    v = view(evals, [{'x': x}])
    out = measure(v, ['mse'])
    np.testing.assert_allclose(out['mse'].value, [0., (.36 * x**2).mean()], rtol=1e-5)
    assert entries(out, v, 0)['mse']['unit'] == 'per pixel'
    flat = view(evals, [{'x': np.float32(normal(7, 2))}])
    assert entries(measure(flat, ['mse']), flat, 0)['mse']['unit'] == 'per coordinate'


# Parzen windows.

def test_parzen_windows_against_scipy():
    x, drawn = normal(60, 3), normal(70, 3, 1)
    got = parzen.log_density(x, drawn, np.array([.3, 1.]))
    for width, row in zip((.3, 1.), got, strict=True):
        want = norm(drawn, width).logpdf(x[:, None]).sum(-1)
        np.testing.assert_allclose(row, logsumexp(want, 1) - np.log(70), rtol=1e-4, atol=1e-4)


def test_parzen_takes_the_width_that_is_best_for_validation_data():
    x, valid = images(30), images(20, 1)
    v = view(generator(jax.random.uniform), [{'x': x}], settings={'drawn': 40},
             valid={'x': valid})
    out = measure(v, ['parzen'])['parzen']
    flat = lambda x: x.reshape(len(x), -1)
    for g, drawn in enumerate(samples.generated(v, 40)):
        means = [parzen.log_density(flat(valid), flat(drawn), np.array([w])).mean()
                 for w in parzen.WIDTHS]
        best = parzen.WIDTHS[np.argmax(means)]
        want = parzen.log_density(flat(x), flat(drawn), np.array([best])).mean()
        np.testing.assert_allclose(out.value[g], want, rtol=1e-6)
        assert f'{best:g}' in out.note
    assert out.value[0] > out.value[1] and out.n == 30


# Independence of codes.

def test_grams_are_gaussian_of_median_width():
    codes = normal(30, 3)
    codes[:, 2] = codes[:, 0]**2
    kernels = independence.grams(codes)
    r = np.abs(codes[:, 1][:, None] - codes[:, 1])
    want = np.exp(-r**2 / (2 * np.median(r[np.triu_indices(30, 1)])**2)) - np.eye(30)
    np.testing.assert_allclose(kernels[1], want, atol=1e-6)
    np.testing.assert_allclose(hsic(kernels), hsic(np.float64(kernels)), atol=2e-6)


def test_dependence_of_codes():
    p = np.array([independence.dependence(normal(40, 3, i), 49)[1] for i in range(40)])
    assert abs((p <= .5).mean() - .5) < 4 * .5 / np.sqrt(40) and (p <= .1).mean() < .3
    codes = normal(60, 4)
    # uncorrelated, and dependent
    codes[:, 3] = codes[:, 1]**2 + .1 * normal(60, 1, 9)[:, 0]
    value, p = independence.dependence(codes, 99)
    assert p == .01 and value > independence.dependence(normal(60, 4), 9)[0]


def test_dependence_of_a_view():
    x = np.float32(normal(120, 2))
    evals = {
        'encode': lambda params, carry, batch: jnp.stack([
            batch['x'][:, 0], params['s'] * batch['x'][:, 1] +
            (1 - params['s']) * 5 * batch['x'][:, 0]
        ], 1)
    }
    v = view(evals, [{'x': x}])
    out = measure(v, ['hsic', 'hsic_p'])
    assert abs(out['hsic'].value[0]) < .01 < out['hsic'].value[1]
    assert out['hsic_p'].value[0] > .005 == out['hsic_p'].value[1] and out['hsic'].n == 120
    narrow = {'encode': lambda params, carry, batch: batch['x'][:, :1]}
    assert measure(view(narrow, [{'x': x}]), ['hsic'])['hsic'] is None
