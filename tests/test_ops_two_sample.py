"""Kernel tests: exact by enumeration, honest under the null, able to see what they should."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vaebench.ops import kernels, two_sample


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


RBF = lambda x, y: kernels.rbf(x, y, 1.3)
REPEATS = 200


def splits(n, m):
    """[ways, n] every choice of m rows, 1 where chosen."""
    chosen = itertools.combinations(range(n), m)
    return np.array([np.isin(np.arange(n), c) for c in chosen], float)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def levels(test, *samples):
    """p values of many repeats."""
    keys = jax.random.split(jax.random.key(0), len(samples[0]))
    return np.asarray(jax.jit(jax.vmap(lambda key, *s: test(key, *s).p_value))(keys, *samples))


def test_split_is_the_estimator_of_every_split():
    x, y = normal(0, 4, 2), normal(1, 3, 2)
    pooled = jnp.concatenate([x, y])
    members = splits(7, 4)
    values = two_sample.split_mmd(two_sample.hollow(RBF(pooled, pooled)), members)
    want = jax.jit(jax.vmap(lambda u: kernels.mmd(pooled, pooled, RBF, u, 1 - u)))(members)
    np.testing.assert_allclose(values, want, atol=1e-13)
    own, test = jax.jit(lambda x, y: (
        kernels.mmd(x, y, RBF), two_sample.mmd_test(jax.random.key(0), x, y, RBF, 9)))(x, y)
    np.testing.assert_allclose([values[0], test.statistic], own, rtol=1e-12)   # first comes x


def test_statistic_is_unbiased_by_enumeration():
    p, q = np.array([0., 1., 3.]), np.array([0., 2., 2.5])
    a, b = (np.array([*itertools.product(v, repeat=2)])[..., None] for v in (p, q))
    test = lambda x, y: two_sample.mmd_test(jax.random.key(0), x, y, RBF, 1).statistic
    mean = jax.jit(jax.vmap(jax.vmap(test, (None, 0)), (0, None)))(a, b).mean()
    k = lambda x, y: float(RBF(x[:, None], y[:, None]).mean())
    assert float(mean) == pytest.approx(k(p, p) + k(q, q) - 2 * k(p, q), rel=1e-12)


def test_null_is_that_of_all_permutations():
    """The drawn null has the exact null's mean, which is 0, and its upper quantile."""
    pooled = normal(2, 8, 1)
    test = jax.jit(lambda x, y: two_sample.mmd_test(jax.random.key(1), x, y, RBF, 20000))
    out = test(pooled[:4], pooled[4:])
    k = two_sample.hollow(RBF(pooled, pooled))
    exact = np.asarray(two_sample.split_mmd(k, splits(8, 4)))
    assert abs(float(out.null.mean())) < 4 * exact.std() / 20000**.5
    assert abs(exact.mean()) < 1e-12
    share = (exact >= float(out.statistic) - 1e-9).mean()
    assert float(out.p_value) == pytest.approx(share, abs=4 * (share / 20000)**.5)


def test_p_values_are_uniform_where_the_laws_agree():
    x, y = normal(3, REPEATS, 20, 2), normal(4, REPEATS, 15, 2)
    p = levels(lambda key, a, b: two_sample.mmd_test(key, a, b, RBF, 199), x, y)
    assert stats.kstest(p, 'uniform').pvalue > .05
    assert .01 < (p <= .05).mean() < .1 and p.min() >= 1 / 200


SHAPES = {'mean': lambda key: .5 + jax.random.normal(key, (20, 120, 1)),
          'variance': lambda key: 1.7 * jax.random.normal(key, (20, 120, 1)),
          'none': lambda key: jax.random.normal(key, (20, 120, 1))}


@pytest.mark.parametrize('shape, low, high', [
    ('mean', .8, 1), ('variance', .8, 1), ('none', 0, .2)])
def test_power(shape, low, high):
    y = SHAPES[shape](jax.random.key(6))
    test = lambda key, a, b: two_sample.mmd_test(key, a, b, RBF, 100)
    p = levels(test, normal(5, 20, 120, 1), y)
    assert low <= (p <= .05).mean() <= high


def test_gaussian_and_laplace_of_equal_mean_and_variance():
    """What no comparison of two moments sees, a Gaussian kernel sees in 600 points."""
    x = normal(7, 600, 1)
    y = jax.random.laplace(jax.random.key(8), (600, 1)) / 2**.5
    x, y = ((v - v.mean()) / v.std() for v in (x, y))
    tried = [lambda a, b: kernels.rbf(a, b, .1), lambda a, b: kernels.rbf(a, b, 1.),
             lambda a, b: (kernels.linear(a, b) + 1)**2]
    test = jax.jit(lambda x, y, key: [
        two_sample.mmd_test(key, x, y, kernel, 200).p_value for kernel in tried])
    narrow, usual, blind = test(x, y, jax.random.key(0))
    assert narrow < .02 and usual < .02 and blind > .9


def test_ties_count():
    """Equal points cannot be told apart; a split and its mirror are equal but for rounding."""
    x = jnp.ones((5, 2))
    test = jax.jit(lambda x: two_sample.mmd_test(jax.random.key(0), x, x, RBF, 50))
    assert float(test(x).p_value) == 1
    pooled = jnp.array([[0.], [1.], [0.], [1.]], jnp.float32)
    k = two_sample.hollow(kernels.rbf(pooled, pooled, .3))
    values = two_sample.split_mmd(k, np.float32(splits(4, 2)))
    assert (values == values.max()).sum() == 1        # though {0, 0} and {1, 1} are there twice
    assert float(two_sample.p_value(values.max(), values)) == pytest.approx((1 + 2) / (1 + 6))


JOINT = np.array([[.3, .1], [.2, .4]])
POINTS = np.array([(0., 0.), (0., 1.5), (1., 0.), (1., 1.5)])


def population():
    """HSIC of a law on four points, from its definition."""
    k, l = (np.asarray(RBF(POINTS[:, i:i + 1], POINTS[:, i:i + 1])) for i in (0, 1))
    p = JOINT.ravel()
    return p @ (k * l) @ p + (p @ k @ p) * (p @ l @ p) - 2 * p @ ((k @ p) * (l @ p))


def test_hsic_by_enumeration():
    """The mean over all samples of four is the population's value."""
    k = np.stack([RBF(POINTS[:, i:i + 1], POINTS[:, i:i + 1]) for i in (0, 1)])
    samples = np.array([*itertools.product(range(4), repeat=4)])
    values = [two_sample.hsic(k[:, rows][:, :, rows] * (1 - np.eye(4)))[0, 1]
              for rows in samples]
    weight = JOINT.ravel()[samples].prod(1)
    assert weight @ values == pytest.approx(population(), rel=1e-10)


def test_hsic_is_the_u_statistics_own_sum():
    x = normal(9, 8, 3)
    k = np.stack([two_sample.hollow(RBF(x[:, i:i + 1], x[:, i:i + 1])) for i in range(3)])
    got = two_sample.hsic(k)
    for a, b in itertools.combinations_with_replacement(range(3), 2):
        total = sum(k[a, i, j] * (k[b, i, j] + k[b, q, r] - 2 * k[b, i, q])
                    for i, j, q, r in itertools.permutations(range(8), 4))
        assert got[a, b] == pytest.approx(total / (8 * 7 * 6 * 5), rel=1e-10)
        assert got[a, b] == pytest.approx(got[b, a], rel=1e-12)
