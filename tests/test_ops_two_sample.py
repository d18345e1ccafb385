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


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def levels(test, *samples):
    """p values of many repeats."""
    keys = jax.random.split(jax.random.key(0), len(samples[0]))
    return np.asarray(jax.jit(jax.vmap(lambda key, *s: test(key, *s).p_value))(keys, *samples))


def test_split_is_the_estimator_of_every_split():
    x, y = normal(0, 4, 2), normal(1, 3, 2)
    pooled = jnp.concatenate([x, y])
    members = np.array([[i in chosen for i in range(7)] for chosen in itertools.combinations(range(7), 4)], float)
    values = two_sample.split_mmd(two_sample.hollow(RBF(pooled, pooled)), jnp.asarray(members))
    np.testing.assert_allclose(
        values, jax.jit(jax.vmap(lambda u: kernels.mmd(pooled, pooled, RBF, u, 1 - u)))(members), atol=1e-13)
    both = jax.jit(lambda x, y: (kernels.mmd(x, y, RBF), two_sample.mmd_test(jax.random.key(0), x, y, RBF, 9)))
    own, test = both(x, y)
    np.testing.assert_allclose([values[0], test.statistic], own, rtol=1e-12)            # the first split is x itself


def test_statistic_is_unbiased_by_enumeration():
    p, q = np.array([0., 1., 3.]), np.array([0., 2., 2.5])
    a, b = (np.array(list(itertools.product(v, repeat=2)))[..., None] for v in (p, q))
    test = lambda x, y: two_sample.mmd_test(jax.random.key(0), x, y, RBF, 1).statistic
    mean = jax.jit(jax.vmap(jax.vmap(test, (None, 0)), (0, None)))(a, b).mean()
    k = lambda x, y: float(RBF(x[:, None], y[:, None]).mean())
    assert float(mean) == pytest.approx(k(p, p) + k(q, q) - 2 * k(p, q), rel=1e-12)


def test_null_is_that_of_all_permutations():
    """The drawn null has the exact null's mean, 0 after its diagonal's share, and its upper quantile."""
    pooled = normal(2, 8, 1)
    out = jax.jit(lambda x, y: two_sample.mmd_test(jax.random.key(1), x, y, RBF, 20000))(pooled[:4], pooled[4:])
    k = two_sample.hollow(RBF(pooled, pooled))
    members = np.array([[i in chosen for i in range(8)] for chosen in itertools.combinations(range(8), 4)], float)
    exact = np.asarray(two_sample.split_mmd(k, jnp.asarray(members)))
    assert abs(float(out.null.mean())) < 4 * exact.std() / 20000**.5 and abs(exact.mean()) < 1e-12
    share = (exact >= float(out.statistic) - 1e-9).mean()
    assert float(out.p_value) == pytest.approx(share, abs=4 * (share / 20000)**.5)


def test_p_values_are_uniform_where_the_laws_agree():
    x, y = normal(3, REPEATS, 20, 2), normal(4, REPEATS, 15, 2)
    p = levels(lambda key, a, b: two_sample.mmd_test(key, a, b, permutations=199), x, y)
    assert stats.kstest(p, 'uniform').pvalue > .05
    assert .01 < (p <= .05).mean() < .1 and p.min() >= 1 / 200


SHAPES = {'mean': lambda key: .5 + jax.random.normal(key, (20, 120, 1)),
          'variance': lambda key: 1.7 * jax.random.normal(key, (20, 120, 1)),
          'none': lambda key: jax.random.normal(key, (20, 120, 1))}


@pytest.mark.parametrize('shape, low, high', [('mean', .8, 1), ('variance', .8, 1), ('none', 0, .2)])
def test_power(shape, low, high):
    y = SHAPES[shape](jax.random.key(6))
    p = levels(lambda key, a, b: two_sample.mmd_test(key, a, b, permutations=100), normal(5, 20, 120, 1), y)
    assert low <= (p <= .05).mean() <= high


def test_gaussian_and_laplace_of_equal_mean_and_variance():
    """What no comparison of two moments sees, Gaussian kernels see in 600 points."""
    x = normal(7, 600, 1)
    y = jax.random.laplace(jax.random.key(8), (600, 1)) / 2**.5
    x, y = ((v - v.mean()) / v.std() for v in (x, y))
    kernel = lambda a, b: kernels.rbf(a, b, .1)
    moments = lambda a, b: kernels.polynomial(a, b, 2)
    test = jax.jit(lambda x, y, key: [two_sample.mmd_test(key, x, y, k, 200).p_value for k in (kernel, None, moments)])
    narrow, usual, blind = test(x, y, jax.random.key(0))
    assert narrow < .02 and usual < .02 and blind > .9


def test_ties_count():
    """Points that are all alike cannot be told apart, and a split and its mirror image are equal but for rounding."""
    x = jnp.ones((5, 2))
    test = jax.jit(lambda x: two_sample.mmd_test(jax.random.key(0), x, x, permutations=50))
    assert float(test(x).p_value) == 1
    pooled = jnp.array([[0.], [1.], [0.], [1.]], jnp.float32)
    members = np.array([[i in c for i in range(4)] for c in itertools.combinations(range(4), 2)], np.float32)
    values = two_sample.split_mmd(two_sample.hollow(kernels.rbf(pooled, pooled, .3)), jnp.asarray(members))
    assert (values == values.max()).sum() == 1                           # though {0, 0} against {1, 1} is there twice
    assert float(two_sample.p_value(values.max(), values)) == pytest.approx((1 + 2) / (1 + 6))


JOINT = np.array([[.3, .1], [.2, .4]])
POINTS = np.array([(0., 0.), (0., 1.5), (1., 0.), (1., 1.5)])


def population():
    """HSIC of a law on four points, from its definition."""
    k, l = (np.asarray(RBF(POINTS[:, i:i + 1], POINTS[:, i:i + 1])) for i in (0, 1))
    p = JOINT.ravel()
    return p @ (k * l) @ p + (p @ k @ p) * (p @ l @ p) - 2 * p @ ((k @ p) * (l @ p))


def test_hsic_by_enumeration():
    """Of all samples of four: the U-statistic has the population's mean, the V-statistic has not."""
    rows = np.array(list(itertools.product(range(4), repeat=4)))
    weight = JOINT.ravel()[rows].prod(1)

    def both(rows):
        k, l = (RBF(v, v) for v in (jnp.asarray(POINTS)[rows][:, i:i + 1] for i in (0, 1)))
        return jnp.stack([two_sample.hsic(k, l), two_sample.hsic(k, l, biased=True)])

    unbiased, biased = weight @ np.asarray(jax.jit(jax.vmap(both))(rows))
    assert unbiased == pytest.approx(population(), rel=1e-10)
    assert abs(biased / population() - 1) > .1


def test_hsic_is_its_definitions():
    x, y = normal(9, 12, 2), normal(10, 12, 1)
    k, l, h = np.asarray(RBF(x, x)), np.asarray(RBF(y, y)), np.eye(12) - 1 / 12
    assert float(two_sample.hsic(k, l, biased=True)) == pytest.approx(np.trace(k @ h @ l @ h) / 144, rel=1e-10)
    total = 0.
    for i, j, q, r in itertools.permutations(range(8), 4):               # the U-statistic's own sum
        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
    want = total / (8 * 7 * 6 * 5)
    assert float(two_sample.hsic(k[:8, :8], l[:8, :8])) == pytest.approx(want, rel=1e-10)


def test_hsic_of_a_linear_kernel_is_the_squared_covariance():
    x, y = normal(11, 50, 1), normal(12, 50, 1)
    value = two_sample.hsic(kernels.linear(x, x), kernels.linear(y, y), biased=True)
    assert float(value) == pytest.approx(float(np.cov(x[:, 0], y[:, 0], bias=True)[0, 1])**2, rel=1e-9)


def test_independence():
    """p is uniform where the variables are independent, small where one is the other's square."""
    x, y = normal(13, REPEATS, 20, 1), normal(14, REPEATS, 20, 1)
    test = lambda key, a, b: two_sample.hsic_test(key, a, b, permutations=99)
    p = levels(test, x, y)
    assert stats.kstest(p, 'uniform').pvalue > .05
    p = levels(test, x, x**2 + .3 * y)
    assert (p <= .05).mean() > .8
    rho = np.abs(np.corrcoef(np.asarray(x).ravel(), np.asarray(x**2 + .3 * y).ravel())[0, 1])
    assert rho < .1                                                      # which no correlation shows


def test_one_or_two_gaussians():
    """Data of two Gaussians: two fit better than one of the same mean and variance, and their interval says so."""
    keys = jax.random.split(jax.random.key(15), 7)
    two = lambda k1, k2: jax.random.normal(k1, (300, 1)) + 3 * jax.random.rademacher(k2, (300, 1), float)
    data, second = two(*keys[:2]), two(*keys[2:4])
    first = 10**.5 * jax.random.normal(keys[4], (300, 1))
    out = jax.jit(lambda *v: two_sample.compare(keys[5], *v, RBF, 300))(first, second, data)
    assert 0 < float(out.low) < float(out.difference) < float(out.high)
    back = jax.jit(lambda *v: two_sample.compare(keys[6], *v, RBF, 300))(second, first, data)
    assert float(back.difference) == pytest.approx(-float(out.difference), rel=1e-10) and float(back.high) < 0


def test_interval_covers_the_difference():
    """Gaussians, for which the difference is known, in 200 repeats."""
    x, y, z = normal(16, REPEATS, 60, 1) + .6, 1.5 * normal(17, REPEATS, 50, 1) - .9, normal(18, REPEATS, 70, 1)
    k = lambda v1, v2, shift: (1.3 / (1.3 + v1 + v2))**.5 * np.exp(-shift**2 / (2 * (1.3 + v1 + v2)))
    exact = k(1, 1, 0) - 2 * k(1, 1, .6) - k(2.25, 2.25, 0) + 2 * k(2.25, 1, .9)
    keys = jax.random.split(jax.random.key(0), REPEATS)
    test = lambda key, a, b, c: two_sample.compare(key, a, b, c, RBF, 200, .9)
    out = jax.jit(jax.vmap(test))(keys, x, y, z)
    differences = np.asarray(out.difference)
    assert abs(differences.mean() - exact) < 4 * differences.std() / REPEATS**.5
    covered = ((out.low < exact) & (exact < out.high)).mean()
    assert .83 < float(covered) < .97
