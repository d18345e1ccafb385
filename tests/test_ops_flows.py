"""Coupling flows and the density gap against Jacobians, quadrature and closed forms."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vaebench.networks import common
from vaebench.ops import density_gap, distributions, divergences, flows


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def flow(size, layers=4, scale=.4):
    """A flow and parameters away from the identity."""
    net = flows.coupling(size, layers, common.mlp, 5)
    leaves, tree = jax.tree.flatten(net.init(jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [x + scale * jax.random.normal(k, x.shape)
             for x, k in zip(leaves, keys, strict=True)]
    compiled = net._replace(forward=jax.jit(net.forward), inverse=jax.jit(net.inverse))
    return compiled, tree.unflatten(moved)


@pytest.mark.parametrize('size', [2, 5, 6])
def test_flow_starts_as_the_identity(size):
    net = flows.coupling(size, 3, common.mlp)
    params, x = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (7, size))
    for f in (net.forward, net.inverse):
        y, log_det = f(params, x)
        np.testing.assert_array_equal(y, x)
        assert log_det.shape == (7,) and not log_det.any()


@pytest.mark.parametrize('size', [2, 5, 6])
def test_flow_inverts_and_its_log_det_is_the_jacobians(size):
    net, params = flow(size)
    x = 2 * jax.random.normal(jax.random.key(2), (3, 4, size))
    y, log_det = net.forward(params, x)
    back, inverse = net.inverse(params, y)
    assert jnp.abs(y - x).max() > .5
    np.testing.assert_allclose(back, x, atol=1e-10)
    np.testing.assert_allclose(inverse, -log_det, atol=1e-10)
    jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda x: net.forward(params, x)[0])))(
        x.reshape(-1, size))
    np.testing.assert_allclose(log_det.reshape(-1), np.linalg.slogdet(jacobian)[1], atol=1e-9)
    assert jnp.abs(log_det).max() > .1


def test_flow_layers_copy_the_halves_in_turn():
    """One layer moves the second half only, two move both; a half's map is of the other."""
    x = jax.random.normal(jax.random.key(2), (5,))
    for layers, kept in ((1, [0, 1]), (2, [])):
        net, params = flow(5, layers)
        y = net.forward(params, x)[0]
        assert [i for i in range(5) if y[i] == x[i]] == kept
    net, params = flow(5, 1)
    jacobian = jax.jit(jax.jacfwd(lambda x: net.forward(params, x)[0]))(x)
    np.testing.assert_array_equal(jacobian[:2], np.eye(2, 5))
    np.testing.assert_array_equal(jacobian[2:, 2:], np.diag(np.diag(jacobian[2:, 2:])))
    assert (jnp.abs(jacobian[2:, :2]) > 1e-3).all()


def test_a_layers_scale_is_bounded():
    net, params = flow(4, 1)
    params = [{**params[0], 'w': 1e6 * params[0]['w']}]
    log_det = net.forward(params, jax.random.normal(jax.random.key(2), (50, 4)))[1]
    assert float(jnp.abs(log_det).max()) == pytest.approx(4)
    got = flows.bounded(jnp.array([-1., .3]))
    np.testing.assert_allclose(got, 2 * np.tanh([-.5, .15]), rtol=1e-12)


def test_flow_density_integrates_to_one():
    net, params = flow(2, 3)
    axis = jnp.linspace(-20, 20, 1201)
    grid = jnp.stack(jnp.meshgrid(axis, axis), -1)
    x, log_det = net.inverse(params, grid)
    mass = jnp.exp(distributions.normal_log_prob(x) + log_det).sum() * (axis[1] - axis[0])**2
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_flow_density_is_that_of_its_draws():
    """The mean of 1 / p over draws inside a box, where p is above 0, is the box's area."""
    net, params = flow(2, 3)
    z = net.forward(params, jax.random.normal(jax.random.key(3), (200000, 2)))[0]
    x, log_det = net.inverse(params, z)
    centre = jnp.median(z, 0)
    inside = (jnp.abs(z - centre) < .4).all(-1)
    terms = jnp.where(inside, jnp.exp(-distributions.normal_log_prob(x) - log_det), 0.)
    assert abs(float(terms.mean()) - .64) < 4 * float(terms.std()) / 200000**.5
    assert float(terms.std()) / 200000**.5 < .02


# The density gap.

RNG = np.random.default_rng(1)
TOY = {'mean': RNG.normal(size=(4, 3)), 'log_var': RNG.normal(size=(4, 3)) * .5 - 1}


def gaussian(joint=False):
    """Density functions of Gaussian posteriors: (log_q, log_p)."""
    log_q = distributions.normal_log_prob_dims
    log_p = lambda z: log_q(z, 0., 0.)
    total = (lambda x: x.sum(-1)) if joint else (lambda x: x)
    return lambda q, z: total(log_q(z, **q)), lambda z: total(log_p(z))


def draws(q, m, seed=0):
    """[B, M, Z]."""
    noise = jax.random.normal(jax.random.key(seed), (len(q['mean']), m, q['mean'].shape[-1]))
    return q['mean'][:, None] + jnp.exp(q['log_var'] / 2)[:, None] * noise


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _gap(q, chunk, m, joint, seed):
    z, weight = draws(q, m, seed), jnp.ones(len(q['mean']))
    return density_gap.density_gap(q, z, *gaussian(joint), weight, chunk)


def gap(q, chunk, m=20000, joint=False, seed=0):
    """[B]."""
    return _gap(jax.tree.map(jnp.asarray, q), chunk, m, joint, seed)


def test_gap_of_single_posteriors_is_the_kl_and_so_is_its_gradient():
    q = jax.tree.map(jnp.asarray, TOY)
    value = jax.value_and_grad(lambda q, seed: _gap(q, 1, 4000, False, seed).mean())
    f = jax.jit(jax.vmap(value, (None, 0)))
    exact, want = jax.value_and_grad(lambda q: divergences.normal_kl(**q).mean())(q)
    assert float(exact) == pytest.approx(1.179, abs=5e-4)
    values, grads = f(q, jnp.arange(25))
    assert float(values.mean()) == pytest.approx(float(exact), rel=.01)
    for k in want:
        stderr = grads[k].std(0, ddof=1) / 5
        assert (jnp.abs(grads[k].mean(0) - want[k]) < 4 * stderr).all()
        assert float(stderr.max()) < .02 * float(abs(want[k]).max())


def test_gap_of_a_toy_is_its_quadrature():
    """Exact figures by Gauss-Hermite sums in another program.

    The joint gap less the marginal one is the total correlation.
    """
    cases = (4, 100000), (4, 100000, True), (2, 100000)
    marginal, joint, half = (float(gap(TOY, *a).mean()) for a in cases)
    assert (marginal, joint, half) == pytest.approx((.585701, .619834, .756012), abs=.006)
    assert joint - marginal == pytest.approx(.034134, abs=.002)
    kl = float(divergences.normal_kl(**TOY).mean())
    assert max(marginal, joint, half) < kl - .4                              # convexity
    assert joint > kl - np.log(4) and marginal > kl - 3 * np.log(4)   # what a chunk can hide


def test_gap_of_equal_posteriors_is_that_of_one():
    q = jax.tree.map(lambda x: np.tile(x[:1], (4, 1)), TOY)
    for joint in (False, True):
        np.testing.assert_allclose(gap(q, 4, 50, joint), gap(q, 1, 50, joint), rtol=1e-10)


def test_gap_of_the_prior_is_zero():
    q = {'mean': np.zeros((4, 3)), 'log_var': np.zeros((4, 3))}
    for chunk in (1, 2, 4):
        np.testing.assert_allclose(gap(q, chunk, 50), 0, atol=1e-12)


def test_far_apart_posteriors_hide_the_log_of_the_chunk():
    """Joint: ln b; marginal: Z ln b. In this place an average of densities would underflow."""
    q = {'mean': np.arange(4.)[:, None] * np.full(3, 200.), 'log_var': np.zeros((4, 3))}
    for joint, cap in ((True, np.log(4)), (False, 3 * np.log(4))):
        alone, together = gap(q, 1, 3000, joint), gap(q, 4, 3000, joint)
        np.testing.assert_allclose(alone - together, cap, rtol=1e-9)


def test_chunks_are_consecutive_slots_and_one_where_they_do_not_fit():
    q = jax.tree.map(lambda x: np.concatenate([x, x + 1]), TOY)
    z = draws(jax.tree.map(jnp.asarray, q), 30)
    f = jax.jit(lambda q, z, chunk: density_gap.density_gap(
        q, z, *gaussian(), jnp.ones(len(z)), chunk), static_argnums=2)
    own = [f(jax.tree.map(lambda x, s=s: x[s], q), z[s], None) for s in (slice(4), slice(4, 8))]
    np.testing.assert_allclose(f(q, z, 4), np.concatenate(own), rtol=1e-12)
    assert jnp.abs(f(q, z, 8) - f(q, z, 4)).max() > .05
    for misfit in (3, 5, 16, None):
        np.testing.assert_array_equal(f(q, z, misfit), f(q, z, 8))


@pytest.mark.slow
def test_empty_slots_are_no_members():
    q, weight = jax.tree.map(jnp.asarray, TOY), jnp.array([1., 0., 1., 0.])
    few = jax.tree.map(lambda x: x[::2], q)
    z = draws(q, 30)
    want = density_gap.density_gap(few, z[::2], *gaussian(), jnp.ones(2))
    got = density_gap.density_gap(q, z, *gaussian(), weight)
    np.testing.assert_allclose(got[::2], want, rtol=1e-12)

    def filled(q, weight):
        return (density_gap.density_gap(q, z, *gaussian(), weight, 2) * weight).sum()

    far = jax.tree.map(lambda x: x.at[1].set(50.).at[3].set(-30.), q)
    grads = jax.jit(jax.grad(filled))
    for v in (weight, jnp.array([1., 1., 0., 0.]), jnp.zeros(4)):
        assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads(q, v)))
    np.testing.assert_allclose(grads(far, weight)['mean'], grads(q, weight)['mean'], atol=1e-12)


@pytest.mark.slow
def test_mean_kl_is_information_plus_the_gap():
    """E KL(q(z|x) || p) = I(x; z) + KL(q(z) || p) for three components, by quadrature."""
    mean, log_var = np.array([[-1.], [.3], [2.]]), np.array([[-1.], [0.], [-2.]])
    node, mass = np.polynomial.hermite_e.hermegauss(120)
    mass = mass / mass.sum()
    z = mean + np.exp(log_var / 2) * node                                     # [3, nodes]
    each = distributions.normal_log_prob_dims(z.ravel(), mean, log_var)
    mix = density_gap.log_mixture(each, jnp.ones(3))
    own = distributions.normal_log_prob_dims(z, mean, log_var)
    mix = mix.reshape(z.shape)
    information = float(((own - mix) * mass).sum(-1).mean())
    rest = float(((mix - distributions.normal_log_prob_dims(z, 0., 0.)) * mass).sum(-1).mean())
    kl = float(divergences.normal_kl_dims(mean, log_var).mean())
    grid = np.linspace(-12, 12, 200001)
    density = stats.norm(mean, np.exp(log_var / 2)).pdf(grid)
    with np.errstate(divide='ignore', invalid='ignore'):
        each = np.where(density > 0, density * (np.log(density) - np.log(density.mean(0))), 0.)
    assert information + rest == pytest.approx(kl, abs=1e-10)
    assert information == pytest.approx(np.trapezoid(each.mean(0), grid), abs=1e-6)
    assert information < np.log(3)
    log_q = lambda q, z: distributions.normal_log_prob(z, **q)
    q = {'mean': jnp.asarray(mean), 'log_var': jnp.asarray(log_var)}
    m = density_gap.density_gap(
        q, draws(q, 100000), log_q, distributions.normal_log_prob, jnp.ones(3))
    assert float(m.mean()) == pytest.approx(rest, abs=.01)
