"""Both estimators of a kernel's discrepancy; the unbiased one's own tests are in test_ops."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

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
    """E k(x, y) of isotropic Gaussians of these variances, their means sqrt(shift2) apart."""
    s = S2 + v1 + v2
    return (S2 / s)**(dims / 2) * np.exp(-shift2 / (2 * s))


def test_median_is_numpys_for_odd_counts():
    x = normal(2, 4, 4)
    where = np.ones((4, 4), bool)
    where[0] = where[1, 1] = False
    assert float(kernels.median(x, where)) == np.median(x[where])
    assert float(kernels.median(x, ~where & where)) == 0


def test_mean_kernel_of_gaussians_has_its_closed_form():
    """By quadrature on a grid, for other laws than any test of the discrepancy has."""
    t = np.linspace(-9, 9, 400)
    weight = lambda mean, v: stats.norm(mean, v**.5).pdf(t) * (t[1] - t[0])
    k = np.asarray(RBF(t[:, None], t[:, None]))
    one = weight(.3, .8) @ k @ weight(-.9, 1.4)
    assert one == pytest.approx(expected(.8, 1.4, 1.44, 1), rel=1e-10)
    other = weight(0, .8) @ k @ weight(.5, 1.4)
    assert one * other == pytest.approx(expected(.8, 1.4, 1.69, 2), rel=1e-10)


def test_biased_exceeds_unbiased_by_its_known_bias():
    """In expectation over Gaussian batches, and exactly over all batches of a discrete law."""
    n, m, v = 6, 9, .6
    k1, k2 = jax.random.split(jax.random.key(1))
    x = .4 + np.sqrt(v) * jax.random.normal(k1, (4000, n, 2))
    y = jax.random.normal(k2, (4000, m, 2))
    draws = jax.jit(jax.vmap(lambda a, b: kernels.mmd(a, b, RBF, biased=True)))(x, y)
    exact = expected(v, v, 0, 2) + expected(1, 1, 0, 2) - 2 * expected(v, 1, .32, 2)
    bias = (1 - expected(v, v, 0, 2)) / n + (1 - expected(1, 1, 0, 2)) / m
    assert abs(draws.mean() - exact - bias) < 4 * draws.std() / np.sqrt(4000)
    assert bias > 30 * draws.std() / np.sqrt(4000) and float(draws.min()) >= 0


def test_enumeration_of_a_discrete_law():
    """Over all batches of 2 and 3: the means are the population's, and that and the bias."""
    p, q = np.array([0., 1., 3.]), np.array([0., 2., 2.5])
    a, b = (np.array(list(itertools.product(v, repeat=n)))[..., None]
            for v, n in ((p, 2), (q, 3)))

    def both(x, y):
        return jnp.stack([kernels.mmd(x, y, RBF), kernels.mmd(x, y, RBF, biased=True)])

    every = jax.jit(jax.vmap(jax.vmap(both, (None, 0)), (0, None)))
    unbiased, biased = every(a, b).mean((0, 1))
    k = lambda x, y: float(RBF(x[:, None], y[:, None]).mean())
    population = k(p, p) + k(q, q) - 2 * k(p, q)
    assert float(unbiased) == pytest.approx(population, rel=1e-12)
    bias = (1 - k(p, p)) / 2 + (1 - k(q, q)) / 3
    assert float(biased) == pytest.approx(population + bias, rel=1e-12)


def test_biased_is_a_squared_norm():
    """Zero only for equal multisets, the squared distance of means for a linear kernel."""
    x, y = normal(3, 5, 2), normal(4, 7, 2)
    value = lambda a, b, kernel=RBF: float(kernels.mmd(a, b, kernel, biased=True))
    assert value(x, x[::-1]) == pytest.approx(0, abs=1e-15)
    assert value(np.concatenate([x, x]), x) == pytest.approx(0, abs=1e-15)     # equal laws
    assert value(x, y) > .01
    gap = ((x.mean(0) - y.mean(0))**2).sum()
    assert value(x, y, kernels.linear) == pytest.approx(gap, rel=1e-12)
    a = np.array([[0., 0.], [0., 0.], [1., 1.], [-1., -1.]])
    b = a * [1, -1]                                                # other in covariance alone
    moments = lambda degree: lambda a, b: (kernels.linear(a, b) / 2 + 1)**degree
    assert value(a, b, moments(1)) == pytest.approx(0, abs=1e-12)
    assert min(value(a, b, moments(2)), value(a, b, moments(3))) > .01


def test_a_constant_in_the_kernel_changes_nothing():
    x, y, weight = normal(5, 6, 3), normal(6, 6, 3), jnp.array([1., 1., 0., 1., 1., 1.])
    full, less = (lambda a, b, less=less: kernels.rbf_mixture(a, b, (1., 4.), less)
                  for less in (False, True))
    for biased in (False, True):
        value = lambda kernel, biased=biased: float(
            kernels.mmd(x, y, kernel, weight, weight, biased))
        assert value(full) == pytest.approx(value(less), abs=1e-14)


def test_close_points_keep_their_digits_in_single_precision():
    x, y = 1e-4 * normal(7, 30, 4), 1e-4 * normal(8, 30, 4) + 5e-5

    def value(a, b, less):
        kernel = lambda u, v: kernels.rbf_mixture(u, v, (1., 16.), less)
        return float(kernels.mmd(a, b, kernel, biased=True))

    exact = value(x, y, False)
    x, y = np.float32(x), np.float32(y)
    assert value(x, y, True) == pytest.approx(exact, rel=1e-3)
    assert abs(value(x, y, False) / exact - 1) > .1


def test_biased_leaves_out_empty_slots():
    x, y = normal(9, 6, 3), normal(10, 6, 3)
    want = float(kernels.mmd(x[:4], y[:4], RBF, biased=True))
    weight = jnp.array([1.] * 4 + [0.] * 2)
    f = lambda a: kernels.mmd(a, y, RBF, weight, weight, biased=True)
    value, grads = jax.value_and_grad(f)(jnp.asarray(x))
    assert float(value) == pytest.approx(want, rel=1e-12)
    assert (grads[4:] == 0).all() and (grads[:4] != 0).all()
    assert float(kernels.mmd(x, y, RBF, 0 * weight, 0 * weight, biased=True)) == 0
