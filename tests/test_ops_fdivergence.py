"""The table of f-divergences against quadrature and closed forms, in float64."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from vaebench.ops.fdivergence import DIVERGENCES, bound

NAMES = pytest.mark.parametrize('name', DIVERGENCES)
P, Q = stats.norm(.3, .8), stats.norm(-.2, 1.1)
GRID = np.linspace(-10, 10, 20001)
RATIO = np.exp(P.logpdf(GRID) - Q.logpdf(GRID))
VALUES = {'kl': .186222, 'reverse_kl': .322171, 'pearson': .304613, 'hellinger': .114058,
          'js': .106140, 'gan': -1.280154}
OUTPUT = {      # ratio -> v, the output of the best critic: g(v) = f'(u)
    'kl': lambda u: 1 + jnp.log(u), 'reverse_kl': jnp.log, 'pearson': lambda u: 2 * (u - 1),
    'hellinger': lambda u: .5 * jnp.log(u), 'js': jnp.log, 'gan': jnp.log}
V = np.linspace(-6, 6, 49)
U = np.geomspace(.01, 20, 60)


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def over_q(values):
    return float(integrate.simpson(Q.pdf(GRID) * np.asarray(values), x=GRID))


def over_p(values):
    return float(integrate.simpson(P.pdf(GRID) * np.asarray(values), x=GRID))


def estimate(name, v):
    """The bound of a critic with outputs v on the grid; each side's term is taken alone."""
    d = DIVERGENCES[name]
    none = jnp.zeros_like(v)
    both = over_p(bound(d, v, none)) + over_q(bound(d, none, v))
    return both - float(bound(d, none, none)[0])


def closed(name):
    """What textbooks give for these two normals."""
    (m, s), (n, t) = (.3, .8), (-.2, 1.1)
    gap = (m - n)**2
    kl = lambda s, t: np.log(t / s) + (s**2 + gap) / (2 * t**2) - .5
    affinity = np.sqrt(2 * s * t / (s**2 + t**2)) * np.exp(-gap / (4 * (s**2 + t**2)))
    middle = lambda f: float(integrate.simpson(f.pdf(GRID) * (f.logpdf(GRID) - np.log(
        (P.pdf(GRID) + Q.pdf(GRID)) / 2)), x=GRID))
    js = middle(P) + middle(Q)
    root = 2 * t**2 - s**2
    pearson = t**2 / (s * np.sqrt(root)) * np.exp(gap / root) - 1
    return {'kl': kl(s, t), 'reverse_kl': kl(t, s), 'hellinger': 2 - 2 * affinity,
            'pearson': pearson, 'js': js, 'gan': js - np.log(4)}[name]


@NAMES
def test_divergence_is_its_closed_form(name):
    value = over_q(DIVERGENCES[name].f(RATIO))
    assert value == pytest.approx(VALUES[name], abs=1e-6)
    assert value == pytest.approx(closed(name), abs=1e-8)


@NAMES
def test_bound_is_tight_at_the_best_critic_and_below_elsewhere(name):
    d, v = DIVERGENCES[name], OUTPUT[name](RATIO)
    np.testing.assert_allclose(d.activation(v), d.slope(RATIO), rtol=1e-9)
    assert estimate(name, v) == pytest.approx(VALUES[name], abs=1e-6)
    for other in (v + .3, .5 * v, jnp.sin(3 * GRID), jnp.full(len(GRID), 12.), 0 * v):
        assert estimate(name, other) < VALUES[name] - 1e-4


@NAMES
def test_slope_is_the_derivative_and_the_threshold_its_value_at_one(name):
    d = DIVERGENCES[name]
    u = jnp.asarray(U)
    np.testing.assert_allclose(jax.vmap(jax.grad(d.f))(u), d.slope(u), rtol=1e-8, atol=1e-12)
    assert float(d.slope(jnp.ones(()))) == pytest.approx(d.threshold, abs=1e-12)
    at_one = -2 * np.log(2) if name == 'gan' else 0
    assert float(d.f(jnp.ones(()))) == pytest.approx(at_one, abs=1e-12)


@NAMES
def test_composite_is_the_conjugate_of_the_activation(name):
    d = DIVERGENCES[name]
    detour = d.conjugate(d.activation(V))
    np.testing.assert_allclose(d.composite(V), detour, rtol=1e-9, atol=1e-12)
    assert (np.diff(d.activation(V)) > 0).all()


@NAMES
def test_fenchel_young_inequality(name):
    """f(u) + f*(t) >= u t, with equality at t = f'(u) and nowhere else."""
    d = DIVERGENCES[name]
    u, t = jnp.asarray(U)[:, None], d.activation(jnp.asarray(V))[None]
    gap = np.asarray(d.f(u) + d.conjugate(t) - u * t)
    assert (gap > -1e-9 * (1 + np.abs(u * t))).all() and gap.max() > .1
    at = d.slope(u)
    np.testing.assert_allclose(d.f(u) + d.conjugate(at), u * at, rtol=1e-9, atol=1e-9)


@NAMES
def test_where_the_laws_agree_the_best_bound_is_f_of_one_at_the_threshold(name):
    d = DIVERGENCES[name]
    value = lambda v: -float(bound(d, jnp.float64(v), jnp.float64(v)))
    best = optimize.minimize_scalar(value, bounds=(-5, 5), options={'xatol': 1e-8})
    assert -best.fun == pytest.approx(float(d.f(jnp.ones(()))), abs=1e-9)
    assert float(d.activation(jnp.float64(best.x))) == pytest.approx(d.threshold, abs=1e-4)


@NAMES
def test_extreme_outputs_of_samples_stay_finite(name):
    """In the single precision that training has; g and f* do not lead to the composite."""
    with jax.enable_x64(False):
        d = DIVERGENCES[name]
        f = jax.value_and_grad(lambda v: bound(d, jnp.float32(0), v))
        value, grad = jax.vmap(f)(jnp.array([-90., 90., 1e4]))
        assert np.isfinite(value).all() and np.isfinite(grad).all()
    through = DIVERGENCES['hellinger']
    assert np.isnan(through.conjugate(through.activation(jnp.float64(-800.))))
    assert float(through.composite(jnp.float64(-800.))) == -1
