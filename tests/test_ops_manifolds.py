"""The sphere and the Poincare ball against quadrature, brute force and Euclidean limits."""
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import integrate, special, stats

from vaebench.ops import poincare, vmf

C = .7


@pytest.fixture(autouse=True)
def double():
    """Float64, but for the tests that leave it."""
    with jax.enable_x64(True):
        yield


# The sphere.

@pytest.mark.parametrize('kappa, kl', [
    (13., 2.172591), (25., 5.755404), (50., 12.253369), (100., 20.758528), (200., 30.373301)])
def test_vmf_kl_at_32(kappa, kl):
    assert vmf.kl(kappa, 32) == pytest.approx(kl, abs=1e-6)


def test_the_published_formula_is_that_of_two_more_dimensions():
    assert vmf.kl(13., 34) == pytest.approx(2.083557, abs=1e-6)


def bessel_kl(kappa, d):
    """The catalogue's formula, by scaled Bessel functions."""
    ln_i = np.log(special.ive(d / 2 - 1, kappa)) + kappa
    cosine = special.ive(d / 2, kappa) / special.ive(d / 2 - 1, kappa)
    ln_area = np.log(2) + d / 2 * np.log(np.pi) - special.gammaln(d / 2)
    ln_constant = (d / 2 - 1) * np.log(kappa) - d / 2 * np.log(2 * np.pi) - ln_i
    return kappa * cosine + ln_constant + ln_area


@pytest.mark.parametrize('d', [2, 3, 8, 32])
@pytest.mark.parametrize('kappa', [.5, 13., 300.])
def test_vmf_constants_are_those_of_bessel_functions_and_of_quadrature(d, kappa):
    assert vmf.kl(kappa, d) == pytest.approx(bessel_kl(kappa, d), rel=1e-9)
    law = lambda a: np.exp(kappa * (np.cos(a) - 1)) * np.sin(a)**(d - 2)
    ring = [integrate.quad(lambda a, p=p: np.cos(a)**p * law(a), 0, np.pi, epsabs=0,
                           points=[.1, .3])[0] for p in (0, 1)]
    assert vmf.mean_cosine(kappa, d) == pytest.approx(ring[1] / ring[0], rel=1e-7)
    area = 2 if d == 2 else math.exp(vmf.log_area(d - 1))      # of the sphere within the sphere
    want = -kappa - np.log(area * ring[0])
    assert vmf.log_normalizer(kappa, d) == pytest.approx(want, rel=1e-7)


def test_vmf_becomes_uniform():
    assert vmf.kl(0., 32) == 0 and vmf.mean_cosine(0., 5) == 0
    for d in (2, 32):
        values = [vmf.kl(k, d) for k in (1., .1, .01, 1e-4)]
        assert all(np.diff(values) < 0)
        assert values[-1] == pytest.approx(1e-8 / (2 * d), rel=1e-3)
    assert vmf.log_area(3) == pytest.approx(math.log(4 * math.pi))
    z = vmf.uniform(jax.random.key(0), 20000, 3)
    np.testing.assert_allclose((z**2).sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3) / 3, atol=.01)


def test_vmf_density_on_the_sphere_integrates_to_one():
    t, f = np.meshgrid((np.arange(400) + .5) * np.pi / 400, np.arange(400) * np.pi / 200,
                       indexing='ij')
    z = np.stack([np.sin(t) * np.cos(f), np.sin(t) * np.sin(f), np.cos(t)], -1)
    mean = vmf.unit(jnp.array([1., -2., .5]))
    density = np.exp(vmf.log_prob(jnp.asarray(z), mean, 13.))
    mass = (density * np.sin(t)).sum() * (np.pi / 400) * (np.pi / 200)
    assert mass == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize('d, kappa', [(2, 4.), (3, .1), (8, 13.), (50, 80.)])
def test_vmf_density_is_scipys(d, kappa):
    rng = np.random.default_rng(0)
    mean, *z = (x / np.linalg.norm(x) for x in rng.normal(size=(6, d)))
    want = stats.vonmises_fisher(mean, kappa).logpdf(z)
    np.testing.assert_allclose(vmf.log_prob(np.array(z), mean, kappa), want, rtol=1e-9)


@pytest.mark.parametrize('d, kappa', [
    (2, 3.), (2, 0.), (3, 13.), (8, 13.), (32, 13.), (50, 80.)])
def test_vmf_draws_follow_their_law(d, kappa):
    n = 40000
    mean = vmf.unit(jnp.arange(1., d + 1))
    means = jnp.broadcast_to(mean, (n, d))
    z = toys.jit(vmf.sample)(jax.random.key(0), means, vmf.angles(kappa, d))
    np.testing.assert_allclose((z**2).sum(-1), 1, rtol=1e-9)
    w = np.asarray(z @ mean)
    assert abs(w.mean() - vmf.mean_cosine(kappa, d)) < 4 * w.std() / n**.5
    grid = np.linspace(0, np.pi, 20001)
    density = np.exp(kappa * (np.cos(grid) - 1)) * np.sin(grid)**(d - 2)
    cdf = np.r_[0, np.cumsum((density[1:] + density[:-1]) / 2)]
    law = lambda a: np.interp(a, grid, cdf / cdf[-1])
    assert stats.kstest(np.arccos(np.clip(w, -1, 1)), law).pvalue > 1e-3
    across = np.asarray(z - w[:, None] * mean)                # no direction across is favored
    cov, spread = across.T @ across / n, (1 - np.mean(w**2)) / (d - 1)
    want = spread * (np.eye(d) - np.outer(mean, mean))
    np.testing.assert_allclose(cov, want, atol=8 * spread / n**.5)
    assert np.abs(across.mean(0)).max() < 5 * (spread / n)**.5


def test_angles_are_the_quantiles_of_their_law():
    for d, kappa in ((2, 5.), (32, 13.)):
        table, places = vmf.angles(kappa, d), np.array([1024, 2048, 3072])

        def density(a, d=d, kappa=kappa):
            return np.exp(kappa * (np.cos(a) - 1)) * np.sin(a)**(d - 2)

        mass = [integrate.quad(density, 0, a, epsabs=0)[0] for a in (*table[places], np.pi)]
        normal = np.linspace(-vmf.REACH, vmf.REACH, vmf.POINTS)[places]
        shares = np.array(mass[:3]) / mass[3]
        np.testing.assert_allclose(shares, stats.norm.cdf(normal), rtol=1e-5)
        assert (np.diff(table) >= 0).all()


def test_the_mean_direction_survives_zero():
    assert vmf.unit(jnp.zeros(3)).tolist() == [1, 0, 0]
    assert np.isfinite(jax.grad(lambda x: vmf.unit(x)[1])(jnp.zeros(3))).all()


# The ball.

def points(n, d=3, c=C, seed=0, reach=.9):
    """[n, d] in the ball."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return jnp.asarray(unit * reach * rng.random((n, 1)) / np.sqrt(c))


def vectors(n, d=3, seed=1, scale=.5):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=(n, d)))


def test_logarithm_inverts_the_exponential():
    x, v = points(50), vectors(50)
    u, zero = v / poincare.conformal(x, C), jnp.zeros_like(x)
    y, y0 = poincare.exp_map(x, u, C), poincare.exp0(v, C)
    np.testing.assert_allclose(poincare.log_map(x, y, C), u, atol=1e-10)
    np.testing.assert_allclose(poincare.log0(y0, C), v, atol=1e-12)
    np.testing.assert_allclose(y0, poincare.exp_map(zero, v, C), atol=1e-14)
    np.testing.assert_allclose(poincare.log0(x, C), poincare.log_map(zero, x, C), atol=1e-14)


def test_exponential_goes_as_far_as_its_velocity_is_long():
    x, v = points(50), vectors(50)                    # v is as long as u is hyperbolically
    u = v / poincare.conformal(x, C)
    got = poincare.distance(x, poincare.exp_map(x, u, C), C)
    np.testing.assert_allclose(got, jnp.linalg.norm(v, axis=-1), rtol=1e-9)


def test_distance_is_the_other_closed_form_and_symmetric():
    x, y = points(50), points(50, seed=2)
    gap = ((x - y)**2).sum(-1) / ((1 - C * (x**2).sum(-1)) * (1 - C * (y**2).sum(-1)))
    got, want = poincare.distance(x, y, C), np.arccosh(1 + 2 * C * gap) / np.sqrt(C)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    np.testing.assert_allclose(got, poincare.distance(y, x, C), rtol=1e-9)


def test_addition_cancels_on_the_left():
    x, y = points(50), points(50, seed=2)
    np.testing.assert_allclose(poincare.mobius_add(-x, x, C), 0, atol=1e-15)
    back = poincare.mobius_add(-x, poincare.mobius_add(x, y, C), C)
    np.testing.assert_allclose(back, y, atol=1e-12)
    np.testing.assert_allclose(poincare.mobius_add(jnp.zeros_like(y), y, C), y, atol=1e-15)


def grid(c, n=1001):
    """Points of the disc [M, 2], and the volume element of each."""
    rim = 1 / np.sqrt(c)
    t = (np.arange(n) + .5) / n * 2 * rim - rim
    z = np.stack(np.meshgrid(t, t), -1).reshape(-1, 2)
    z = jnp.asarray(z[c * (z**2).sum(-1) < .9995])
    return z, poincare.conformal(z, c)[:, 0]**2 * (2 * rim / n)**2


@pytest.mark.parametrize('convention, scale', [('pvae', [.5, .8]), ('apo', [.25, .4])])
def test_wrapped_density_integrates_to_one(convention, scale):
    z, volume = grid(C)
    mean = jnp.array([.4, -.3])
    log_p = toys.jit(poincare.wrapped_log_prob, static_argnums=4)(
        z, mean, jnp.array(scale), C, convention)
    mass = (jnp.exp(log_p) * volume).sum()
    assert float(mass) == pytest.approx(1, abs=1e-4)


def test_wrapped_density_is_the_written_formula():
    """Both conventions as their papers write them; the same from the noise and the point."""
    mean, scale, noise, n = points(20), jnp.array([.3, .5, .2]), vectors(20, scale=.3), 3
    for convention, unit in (('pvae', 1.), ('apo', 2.)):
        # apo's lambda_0 / lambda_mu, pvae's 1 / lambda_mu
        factor = unit / poincare.conformal(mean, C)
        z = poincare.exp_map(mean, factor * noise, C)
        r = np.sqrt(C) * poincare.distance(mean, z, C)
        law = stats.norm(0, scale).logpdf(noise).sum(-1) - n * np.log(unit)
        want = law - (n - 1) * np.log(np.sinh(r) / r)
        got = poincare.wrapped_log_prob(z, mean, scale, C, convention)
        np.testing.assert_allclose(got, want, rtol=1e-9)
        got = poincare.offset_log_prob(unit * noise, unit * scale, C)
        np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize('convention, unit', [('pvae', 1.), ('apo', 2.)])
def test_wrapped_draws_follow_their_density(convention, unit):
    """Importance weights of another wrapped normal have mean 1; the radius is the noise's."""
    n, mean, scale = 40000, jnp.array([.4, -.3]), jnp.array([.3, .5])
    means = jnp.broadcast_to(mean, (n, 2))
    z = poincare.wrapped_sample(jax.random.key(0), means, scale, C, convention)
    other = poincare.wrapped_log_prob(z, jnp.array([.45, -.3]), .8 * scale, C, convention)
    w = np.exp(other - poincare.wrapped_log_prob(z, mean, scale, C, convention))
    assert abs(w.mean() - 1) < 4 * w.std() / n**.5
    t = np.asarray(poincare.conformal(mean, C) * poincare.log_map(mean, z, C))
    want, tolerance = np.diag((unit * scale)**2), 8 * (unit * .5)**2 / n**.5
    np.testing.assert_allclose(np.cov(t.T), want, atol=tolerance)


def transported(b, normal):
    """Parallel transport from the origin to b: (lambda_0 / lambda_b) normal."""
    return 2 / poincare.conformal(b, C) * normal


def test_transport_is_its_detour_through_the_ball():
    x, v = points(50), vectors(50)
    detour = poincare.log_map(x, poincare.mobius_add(x, poincare.exp0(v, C), C), C)
    np.testing.assert_allclose(transported(x, v), detour, atol=1e-10)


def test_gyroplane_is_a_distance_found_by_brute_force():
    """Signed by the side, times the length of the normal where the plane is."""
    normal, offset = jnp.array([[.7, .4]]), jnp.array([[.2, .1]])
    z = jnp.array([[-.3, .5], [.6, .3]])
    b = poincare.exp0(offset, C)[0]
    length = poincare.conformal(b, C)[0] * jnp.linalg.norm(transported(b, normal[0]))
    along = jnp.array([-.4, .7]) / jnp.linalg.norm(normal)

    @toys.jit
    def found():
        plane = poincare.exp_map(b, jnp.linspace(-2, 2, 20001)[:, None] * along, C)
        far = poincare.distance(z[:, None], plane, C).min(1)
        side = jnp.sign(poincare.mobius_add(-b, z, C) @ normal[0])
        return side * length * far, poincare.gyroplane(z, normal, offset, C)[:, 0]

    want, got = found()
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_gyroplane_is_the_written_formula():
    """The K hyperplanes at once are slide 8's unit for each."""
    z, normal, offset = points(20), vectors(5, seed=3), vectors(5, seed=4)
    b = poincare.exp0(offset, C)
    a = transported(b, normal)
    k = poincare.mobius_add(-b, z[:, None], C)
    length = jnp.linalg.norm(a, axis=-1)
    inside = 2 * np.sqrt(C) * (k * a).sum(-1) / ((1 - C * (k**2).sum(-1)) * length)
    want = poincare.conformal(b, C)[:, 0] * length / np.sqrt(C) * np.arcsinh(inside)
    np.testing.assert_allclose(poincare.gyroplane(z, normal, offset, C), want, rtol=1e-10)
    assert (poincare.gyroplane(z, 0 * normal, offset, C) == 0).all()


def test_flat_limits():
    """As the curvature vanishes exp -> mu + u, f -> 4 <a, z - b>, and z becomes Gaussian."""
    x, u, y = .3 * points(9), vectors(9), vectors(9, seed=5)
    normal, offset, scale = vectors(4, seed=3), vectors(4, seed=4), jnp.array([.5, 1., 2.])

    @toys.jit
    def curved(c):
        return (poincare.exp_map(x, u, c), poincare.log_map(x, y, c),
                poincare.distance(x, y, c), poincare.gyroplane(y, normal, offset, c),
                poincare.wrapped_log_prob(y, x, scale, c),
                poincare.wrapped_log_prob(y, x, scale, c, 'apo'))

    # the hyperbolic volume is 2^Z times the Euclidean one
    density = [stats.norm(x, width).logpdf(y).sum(-1) - 3 * np.log(2)
               for width in (scale / 2, scale)]
    flat = (x + u, y - x, 2 * np.linalg.norm(x - y, axis=-1),
            4 * (y @ normal.T - (offset * normal).sum(-1)), *density)
    for c, off in ((1e-6, 1e-3), (0., 1e-12)):
        chex.assert_trees_all_close(curved(c), flat, rtol=1e-7, atol=off)


def test_log_sinhc_is_precise_everywhere():
    r = np.r_[np.logspace(-6, np.log10(300), 60), .0999999, .1000001]
    got = poincare.log_sinhc(jnp.asarray(r))
    np.testing.assert_allclose(got, np.log(np.sinh(r) / r), rtol=1e-9, atol=1e-15)
    far = float(poincare.log_sinhc(jnp.asarray(1e5)))
    assert far == pytest.approx(1e5 - np.log(2e5), rel=1e-12)
    slope = toys.jit(jax.vmap(jax.grad(poincare.log_sinhc)))(jnp.asarray(r))
    np.testing.assert_allclose(slope[r > .01], (1 / np.tanh(r) - 1 / r)[r > .01], rtol=1e-8)


FUNCTIONS = {
    'exp': lambda x, y: poincare.exp_map(x, y, C),
    'log': lambda x, y: poincare.log_map(x, y, C),
    'exp0': lambda x, y: poincare.exp0(y, C),
    'log0': lambda x, y: poincare.log0(y, C),
    'distance': lambda x, y: poincare.distance(x, y, C),
    'project': lambda x, y: poincare.project(y, C),
    'density': lambda x, y: poincare.wrapped_log_prob(y, x, jnp.ones(3), C),
    'gyroplane': lambda x, y: poincare.gyroplane(poincare.project(y, C), x[None], y[None], C)}


@toys.jit
def every(x, y):
    """Value and both gradients of every function at every pair of points."""
    def one(f):
        slopes = jax.grad(lambda x, y: f(x, y).sum(), (0, 1))
        return jax.vmap(lambda x, y: (f(x, y), slopes(x, y)))(x, y)

    return {name: one(f) for name, f in FUNCTIONS.items()}


@pytest.mark.parametrize('double', [False, True])
def test_gradients_are_finite_at_the_origin_on_top_and_beyond_the_rim(double):
    with jax.enable_x64(double):
        zero, far, inside = jnp.zeros(3), jnp.array([3., -4., 0.]), jnp.array([.2, .1, -.3])
        rim = far / 5 * (1 - (1e-5 if double else 4e-3)) / np.sqrt(C)
        pairs = ((zero, zero), (inside, inside), (zero, far), (rim, rim), (rim, -rim),
                 (inside, 1e-20 * inside), (inside, -inside))
        chex.assert_tree_all_finite(every(*map(jnp.stack, zip(*pairs, strict=True))))


def test_gradients_are_numeric_ones():
    x, y, h = points(1), points(1, seed=2), 1e-6 * jnp.eye(3)
    near = every(jnp.tile(x, (7, 1)), jnp.concatenate([y, y + h, y - h]))
    for name, (value, grads) in near.items():
        value = np.asarray(value).reshape(7, -1).sum(-1)
        slope = (value[1:4] - value[4:]) / 2e-6
        np.testing.assert_allclose(grads[1][0], slope, rtol=1e-5, atol=1e-8, err_msg=name)


@pytest.mark.parametrize('double, margin', [(False, 4e-3), (True, 1e-5)])
def test_points_keep_off_the_rim(double, margin):
    with jax.enable_x64(double):
        x = jnp.array([[50., 0.], [.1, .2]])
        z = poincare.exp0(x, .1)
        np.testing.assert_allclose(jnp.linalg.norm(z[0]), (1 - margin) / np.sqrt(.1), rtol=1e-6)
        assert poincare.clipped(z, .1).tolist() == [True, False]
        np.testing.assert_array_equal(poincare.project(z[1], .1), z[1])
        y = poincare.exp_map(z, jnp.full((2, 2), 90.), .1)
        assert poincare.clipped(y, .1).all() and (.1 * (y**2).sum(-1) < 1).all()
        assert not poincare.clipped(x, 0.).any()


def test_float32_draws_are_clipped_at_unit_curvature_and_not_at_a_tenth():
    """32 dimensions: apo's radius is 2 |v|, about 11."""
    with jax.enable_x64(False):
        @toys.jit
        def shares():
            key, mean = jax.random.key(0), jnp.zeros((4000, 32))
            return [poincare.clipped(poincare.wrapped_sample(key, mean, 1., c, name), c).mean()
                    for c in (1., .1) for name in ('apo', 'pvae')]

        apo, pvae, *flat = map(float, shares())
        assert apo > .999 and .15 < pvae < .25 and flat == [0, 0]
