"""Kernels and both estimators of the discrepancy they define; the unbiased one's own tests are in test_ops."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from vaebench.ops import kernels


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


S2 = 1.7
RBF = lambda x, y: kernels.rbf(x, y, S2)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def expected(v1, v2, shift2, dims):
    """E k(x, y) of two isotropic Gaussians of these variances whose means are sqrt(shift2) apart."""
    s = S2 + v1 + v2
    return (S2 / s)**(dims / 2) * np.exp(-shift2 / (2 * s))


def test_kernels_are_their_formulas():
    x, y = normal(0, 4, 3), normal(1, 5, 3)
    r2 = ((x[:, None] - y)**2).sum(-1)
    want = sum(np.exp(-r2 / (2 * v)) for v in (.5, 3.))
    np.testing.assert_allclose(kernels.rbf_mixture(x, y, (.5, 3.)), want, rtol=1e-12)
    np.testing.assert_allclose(kernels.rbf_mixture(x, y, (.5, 3.), less_one=True), want - 2, rtol=1e-12)
    np.testing.assert_allclose(kernels.rbf_mixture(x, y, (.5, 3.), mean=True), want / 2, rtol=1e-12)
    np.testing.assert_allclose(kernels.linear(x, y), x @ y.T, rtol=1e-12)
    np.testing.assert_allclose(kernels.polynomial(x, y), (x @ y.T / 3 + 1)**3, rtol=1e-12)
    np.testing.assert_allclose(kernels.polynomial(x, y, 1), x @ y.T / 3 + 1, rtol=1e-12)


def test_median_distance():
    x = normal(2, 20, 4)
    assert float(kernels.median_distance(x)) == pytest.approx(np.median(pdist(x)), rel=1e-12)
    assert float(kernels.median_distance(np.ones((5, 2)))) > 0


def test_mean_kernel_of_gaussians_has_its_closed_form():
    """By quadrature on a grid, for other means, variances and dimensions than any test of the discrepancy has."""
    t = np.linspace(-9, 9, 400)
    weight = lambda mean, v: np.exp(-(t - mean)**2 / (2 * v)) / np.sqrt(2 * np.pi * v) * (t[1] - t[0])
    k = np.asarray(RBF(t[:, None], t[:, None]))
    one = weight(.3, .8) @ k @ weight(-.9, 1.4)
    assert one == pytest.approx(expected(.8, 1.4, 1.44, 1), rel=1e-10)
    other = weight(0, .8) @ k @ weight(.5, 1.4)
    assert one * other == pytest.approx(expected(.8, 1.4, 1.69, 2), rel=1e-10)


def test_biased_exceeds_unbiased_by_its_known_bias():
    """In expectation over Gaussian batches, and exactly over all batches of a discrete law."""
    n, m, v = 6, 9, .6
    k1, k2 = jax.random.split(jax.random.key(1))
    x, y = .4 + np.sqrt(v) * jax.random.normal(k1, (4000, n, 2)), jax.random.normal(k2, (4000, m, 2))
    draws = jax.jit(jax.vmap(lambda a, b: kernels.mmd(a, b, RBF, biased=True)))(x, y)
    exact = expected(v, v, 0, 2) + expected(1, 1, 0, 2) - 2 * expected(v, 1, .32, 2)
    bias = (1 - expected(v, v, 0, 2)) / n + (1 - expected(1, 1, 0, 2)) / m
    assert abs(draws.mean() - exact - bias) < 4 * draws.std() / np.sqrt(4000)
    assert bias > 30 * draws.std() / np.sqrt(4000) and float(draws.min()) >= 0


def test_enumeration_of_a_discrete_law():
    """Over all batches of 2 and 3: the U-statistic has the population's mean, the V-statistic that and its bias."""
    p, q = np.array([0., 1., 3.]), np.array([0., 2., 2.5])
    a, b = (np.array(list(itertools.product(v, repeat=n)))[..., None] for v, n in ((p, 2), (q, 3)))
    both = jax.jit(jax.vmap(jax.vmap(lambda x, y: jnp.stack(
        [kernels.mmd(x, y, RBF), kernels.mmd(x, y, RBF, biased=True)]), (None, 0)), (0, None)))
    unbiased, biased = both(a, b).mean((0, 1))
    k = lambda x, y: float(RBF(x[:, None], y[:, None]).mean())
    population = k(p, p) + k(q, q) - 2 * k(p, q)
    assert float(unbiased) == pytest.approx(population, rel=1e-12)
    assert float(biased) == pytest.approx(population + (1 - k(p, p)) / 2 + (1 - k(q, q)) / 3, rel=1e-12)


def test_biased_is_a_squared_norm():
    """Zero only for equal multisets, the squared distance of means for a linear kernel, never negative."""
    x, y = normal(3, 5, 2), normal(4, 7, 2)
    value = lambda a, b, kernel=RBF: float(kernels.mmd(a, b, kernel, biased=True))
    assert value(x, x[::-1]) == pytest.approx(0, abs=1e-15)
    assert value(np.concatenate([x, x]), x) == pytest.approx(0, abs=1e-15)     # as laws they agree
    assert value(x, y) > .01
    assert value(x, y, kernels.linear) == pytest.approx(((x.mean(0) - y.mean(0))**2).sum(), rel=1e-12)
    turned = np.array([[0., 0.], [0., 0.], [1., 1.], [-1., -1.]]), np.array([[0., 0.], [0., 0.], [1., -1.], [-1., 1.]])
    polynomial = [value(*turned, lambda a, b, n=n: kernels.polynomial(a, b, n)) for n in (1, 2, 3)]
    assert polynomial[0] == pytest.approx(0, abs=1e-12) and min(polynomial[1:]) > .01      # they differ in covariance


def test_a_constant_in_the_kernel_changes_nothing():
    x, y, weight = normal(5, 6, 3), normal(6, 6, 3), jnp.array([1., 1., 0., 1., 1., 1.])
    for biased in (False, True):
        full, less = (kernels.mmd(x, y, lambda a, b, less=less: kernels.rbf_mixture(a, b, (1., 4.), less), weight,
                                  weight, biased) for less in (False, True))
        assert float(full) == pytest.approx(float(less), abs=1e-14)


def test_close_points_keep_their_digits_in_single_precision():
    x, y = 1e-4 * normal(7, 30, 4), 1e-4 * normal(8, 30, 4) + 5e-5
    value = lambda a, b, less: float(kernels.mmd(a, b, lambda u, v: kernels.rbf_mixture(u, v, (1., 16.), less),
                                                 biased=True))
    exact = value(x, y, False)
    x, y = np.float32(x), np.float32(y)
    assert value(x, y, True) == pytest.approx(exact, rel=1e-3)
    assert abs(value(x, y, False) / exact - 1) > .1


def test_biased_leaves_out_empty_slots():
    x, y = normal(9, 6, 3), normal(10, 6, 3)
    want = float(kernels.mmd(x[:4], y[:4], RBF, biased=True))
    weight = jnp.array([1.] * 4 + [0.] * 2)
    value, grads = jax.value_and_grad(lambda a: kernels.mmd(a, y, RBF, weight, weight, biased=True))(jnp.asarray(x))
    assert float(value) == pytest.approx(want, rel=1e-12)
    assert (grads[4:] == 0).all() and (grads[:4] != 0).all()
    assert float(kernels.mmd(x, y, RBF, 0 * weight, 0 * weight, biased=True)) == 0
