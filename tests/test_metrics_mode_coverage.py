"""Points: exact transport, and the modes of a mixture."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.metrics import Settings, measure, mode_coverage, samples

SIDE = np.arange(-2, 3) * 2 / 2.828
CENTRES = np.stack(np.meshgrid(SIDE, SIDE), -1).reshape(-1, 2)
STD = .05 / 2.828
TRUTH = {'modes': CENTRES, 'std': STD}


def mixture(n, seed=0, centres=CENTRES):
    rng = np.random.default_rng(seed)
    return centres[rng.integers(0, len(centres), n)] + STD * rng.normal(size=(n, 2))


def test_transport_to_a_shifted_set_is_the_shift():
    x, rng = np.random.default_rng(0).normal(size=(80, 3)), np.random.default_rng(1)
    shift = np.array([3., -4., 12.])
    np.testing.assert_allclose(mode_coverage.wasserstein(x, rng.permutation(x + shift)), 13.,
                               rtol=1e-12)
    assert mode_coverage.wasserstein(x, rng.permutation(x)) == 0


def test_transport_on_a_line_pairs_in_order():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 1)), 2 * rng.normal(size=(60, 1)) + 1
    want = np.sqrt(((np.sort(x[:, 0]) - np.sort(y[:, 0]))**2).mean())
    np.testing.assert_allclose(mode_coverage.wasserstein(x, y), want, rtol=1e-12)


def test_real_data_meets_every_mode():
    got = mode_coverage.scores(mixture(10_000), CENTRES, STD)
    assert got['modes'] == got['modes_any'] == 25
    # P(chi^2_2 <= 9) = 98.9 %
    share = 1 - np.exp(-4.5)
    assert abs(got['high_quality'] - 100 * share) < 400 * np.sqrt(share * (1 - share) / 10_000)
    # its mean is (K - 1) / 2N
    assert 0 < got['mode_kl'] < 3 * 24 / (2 * 10_000)


def test_captured_means_a_fifth_of_what_is_expected():
    at = np.repeat(np.arange(4), [20, 19, 361, 0])                      # 400 rows, 100 expected
    got = mode_coverage.scores(np.eye(4)[at], np.eye(4), .1)
    assert (got['modes'], got['modes_any'], got['high_quality']) == (2, 3, 100)
    p = np.array([20, 19, 361]) / 400
    np.testing.assert_allclose(got['mode_kl'], (p * np.log(4 * p)).sum())


def test_rows_far_from_every_mode_capture_none():
    got = mode_coverage.scores(CENTRES.repeat(10, 0) + 4 * STD, CENTRES, STD)
    assert (got['modes'], got['modes_any'], got['high_quality']) == (0, 0, 0)
    # the histogram is of nearest modes
    assert got['mode_kl'] == pytest.approx(0, abs=1e-12)
    one = mode_coverage.scores(np.zeros((50, 2)), CENTRES, STD)
    assert one['modes'] == 1 and one['mode_kl'] == pytest.approx(np.log(25))


def view(params, n=300, **more):
    def sample(params, carry, key, n, mode):
        at, noise = jax.random.split(key)
        centre = jnp.float32(CENTRES)[jax.random.randint(at, (n,), 0, params['modes'])]
        return {'x': centre + params['shift'] + STD * jax.random.normal(noise, (n, 2))}

    return toys.evaluator({'sample': sample}, params, {}, [{'x': np.float32(mixture(n))}],
                jax.random.key(0), Settings(drawn=5000), **more)


def test_modes_of_a_view():
    params = {'modes': jnp.array([25, 5, 25]), 'shift': jnp.array([0., 0., jnp.nan])}
    v = view(params, truth=TRUTH)
    out = measure(v, ('modes', 'modes_any', 'high_quality', 'mode_kl', 'w2', 'w2_floor'))
    assert out['modes'].value.tolist()[:2] == [25, 5] and np.isnan(out['modes'].value[2])
    assert out['modes'].warning == [None, None, 'not finite for 1 of 1'
                                    ] and out['modes'].n == 5000
    np.testing.assert_allclose(out['high_quality'].value[:2], 98.9, atol=1)
    np.testing.assert_allclose(out['mode_kl'].value[:2], [0, np.log(5)], atol=.02)
    assert out['modes'].note == 'held-out data: 25' and out['modes'].estimator.id.endswith(':noise')
    floor = out['w2_floor'].value
    assert out['w2'].value[0] < floor[0] * 1.5 < 1 < out['w2'].value[1] and floor[0] == floor[1]
    assert (out['w2'].n, out['w2_floor'].n) == (300, 150)
    assert measure(view(params), ('modes',))['modes'] is None           # no mixture
    assert samples.generated(v, 5000).shape == (3, 5000, 2)


def test_transport_is_of_points_only():
    evals = {'sample': lambda params, carry, key, n, mode: {'x': jnp.zeros((n, 2, 2, 1))}}
    v = toys.evaluator(evals, {'a': jnp.zeros(1)}, {}, [{'x': np.zeros((30, 2, 2, 1), np.float32)}],
             jax.random.key(0))
    assert measure(v, ('w2', 'w2_floor')) == {'w2': None, 'w2_floor': None}
