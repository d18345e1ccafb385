"""Maths on arrays against closed forms, quadrature and Monte Carlo."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from vaebench.losses import adversarial, elbo, penalties
from vaebench.ops import control, distributions, divergences, kernels, schedules


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def within(draws, exact, errors=4):
    """The mean of the draws lies within so many standard errors."""
    draws = np.asarray(draws)
    assert abs(draws.mean() - exact) < errors * draws.std(ddof=1) / np.sqrt(len(draws))


def test_normal_kl_is_its_monte_carlo_estimate():
    mean, log_var = jnp.array([.5, -1., 0.]), jnp.array([-1., .3, 0.])
    keys = jax.random.split(jax.random.key(0), 40000)
    z = jax.vmap(lambda key: distributions.normal_sample(key, mean, log_var))(keys)
    draws = distributions.normal_log_prob(z, mean, log_var) - distributions.normal_log_prob(z)
    within(draws, float(divergences.normal_kl(mean, log_var)))


def test_normal_kl_is_zero_only_at_the_prior():
    assert float(divergences.normal_kl(jnp.zeros(3), jnp.zeros(3))) == 0
    axis = np.linspace(-2, 2, 9)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    kl = divergences.normal_kl_dims(grid[:, 0], grid[:, 1])
    assert (np.asarray(kl)[np.abs(grid).max(-1) > 0] > 1e-3).all()


@pytest.mark.parametrize('noise', [3, 5])
def test_linear_normal_is_the_full_gaussian(noise):
    rng = np.random.default_rng(1)
    mean, factor = rng.normal(size=(4, 3)), rng.normal(size=(noise, 3))
    z = rng.normal(size=(4, 3))
    cov = factor.T @ factor
    want = [stats.multivariate_normal(m, cov).logpdf(x) for m, x in zip(mean, z, strict=True)]
    got = distributions.linear_normal_log_prob(z, mean, factor)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    kl = .5 * (np.trace(cov) + (mean**2).sum(-1) - 3 - np.linalg.slogdet(cov)[1])
    np.testing.assert_allclose(divergences.linear_normal_kl(mean, factor), kl, rtol=1e-9)


def test_linear_normal_kl_is_its_monte_carlo_estimate():
    rng = np.random.default_rng(2)
    mean, factor = jnp.asarray(rng.normal(size=3)), jnp.asarray(.5 * rng.normal(size=(4, 3)))
    z = mean + jnp.asarray(rng.normal(size=(40000, 4))) @ factor
    log_q = distributions.linear_normal_log_prob(z, mean, factor)
    draws = log_q - distributions.normal_log_prob(z)
    within(draws, float(divergences.linear_normal_kl(mean, factor)))


def test_ramp_is_every_schedule():
    t = jnp.arange(0, 40, .5)
    np.testing.assert_array_equal(schedules.ramp(t, 0., .4), np.full(80, .4))
    got = schedules.ramp(t, .1, 1., length=10.)
    np.testing.assert_allclose(got, np.minimum(1, .1 + .9 * t / 10))


def test_cyclical_starts_at_zero_and_rests_at_one():
    t = jnp.arange(0, 40, .5)
    w = np.asarray(schedules.ramp(t, 0., 1., length=5., period=10.)).reshape(4, 20)
    np.testing.assert_array_equal(w[:, 0], 0)
    np.testing.assert_array_equal(w[:, 10:], 1)
    np.testing.assert_allclose(w[:, :10], np.broadcast_to(np.arange(10) / 10, (4, 10)))
    start = schedules.ramp(t, .1, 1., length=5., period=10.)
    np.testing.assert_allclose(start[::20], .1)
    np.testing.assert_array_equal(schedules.ramp(t, 0., 1., length=0., period=40.), 1)


def test_sigmoid_ramp():
    t = np.array([0., 2., 5., 9.9, 10., 30.])
    want = [1 / (1 + np.exp(-(x - 5))) if x < 10 else 1. for x in t]
    np.testing.assert_allclose(schedules.sigmoid_ramp(t, 0., 1., length=10.), want, rtol=1e-6)


def test_schedule_numbers_may_be_traced():
    f = jax.jit(jax.vmap(schedules.ramp, (None, 0, 0, 0, 0, 0)))
    length, period = jnp.array([0., 20., 5.]), jnp.array([0., 0., 10.])
    got = f(12., jnp.zeros(3), jnp.ones(3), jnp.zeros(3), length, period)
    np.testing.assert_allclose(got, [1, .6, .4])


KL = [0., 0., 1., 3., 5., 8.]
TRACE = [.00017426, 0., .00059203, .0044, .00840797, .01003307]


def trace(step, kl, target=3., **limits):
    state, out = control.PI(0., 0.), []
    for k in kl:
        state, beta = step(state, target - k, **limits)
        out.append(float(beta))
    return out


def pi(state, error, low=0., high=1., kp=.01, ki=1e-4):
    return control.pi_step(state, error, kp, ki, low, high)


def test_pi_golden_trace():
    np.testing.assert_allclose(trace(pi, KL), TRACE, atol=5e-9)


def test_pi_reads_the_unclipped_control():
    def literal(state, error):
        """The formula as printed: its test reads the clipped weight, and always passes."""
        state, beta = pi(control.PI(0., state.integral), error)
        return state, beta

    got = trace(literal, KL)
    assert got[2] == pytest.approx(.00039203, abs=5e-9)
    assert abs(got[2] - TRACE[2]) > 1e-4


@pytest.mark.parametrize('ki, target', [(1e-3, 25.), (1e-3, 35.), (2e-3, 5.), (1e-3, 10.1)])
def test_pi_comes_back_from_a_limit_that_its_first_step_overshoots(ki, target):
    """Without any KL at first the integral falls by ki * target, which is kp or more."""
    weights = trace(functools.partial(pi, ki=ki), [0.] * 3 + [200.] * 20, target)
    assert weights[:3] == [0.] * 3 and weights[-1] == 1
    back = trace(functools.partial(pi, ki=ki), [0.] + [200.] * 20 + [0.] * 40, target)
    assert max(back) == 1 and back[-1] < .9


def test_pi_holds_its_integral_only_outwards():
    for before, error, moves in ((-.1, 1., False), (-.1, -1., True), (1.1, -1., False),
                                  (1.1, 1., True), (.5, 1., True), (.5, -1., True)):
        state, _ = pi(control.PI(before, .2), error)
        assert (float(state.integral) != .2) == moves, (before, error)


def test_pi_is_monotone_and_finite():
    assert (np.diff(trace(pi, [5.] * 50)) >= 0).all()
    assert np.isfinite(trace(pi, [303., -297., 303.])).all()


def test_pi_starts_inside_any_limits():
    np.testing.assert_allclose(trace(pi, [5., 5.], low=1., high=9.),
                               np.add(trace(pi, [5., 5.], low=0., high=8.), 1), rtol=1e-12)


IMQ = lambda x, y: kernels.imq(x, y, 6.)
RBF = lambda x, y: kernels.rbf(x, y, 2.)


@pytest.mark.parametrize('kernel', [IMQ, RBF])
def test_mmd_of_equal_laws_is_zero_on_average(kernel):
    x, y = jax.random.normal(jax.random.key(0), (2, 400, 16, 3))
    draws = jax.jit(jax.vmap(lambda a, b: kernels.mmd(a, b, kernel)))(x, y)
    within(draws, 0., 3)
    assert float(draws.min()) < 0


def test_mmd_is_the_double_sum_and_negative_for_identical_sets():
    x, y = np.random.default_rng(3).normal(size=(2, 6, 3))
    k = lambda a, b: float(IMQ(a[None], b[None])[0, 0])
    pairs = [(i, j) for i in range(6) for j in range(6)]
    own = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j)
    want = own / 30 - sum(k(x[i], y[j]) for i, j in pairs) / 18
    assert float(kernels.mmd(x, y, IMQ)) == pytest.approx(want, rel=1e-10)
    assert float(kernels.mmd(x, x, IMQ)) < -.01


def test_mmd_of_gaussians_has_its_closed_form():
    mean, s2, v = jnp.array([.5, -1.]), 2., .6
    k1, k2 = jax.random.split(jax.random.key(1))
    x = mean + np.sqrt(v) * jax.random.normal(k1, (400, 32, 2))
    y = jax.random.normal(k2, (400, 32, 2))

    def expected(v1, v2, shift):
        return s2 / (s2 + v1 + v2) * np.exp(-shift / (2 * (s2 + v1 + v2)))

    exact = expected(v, v, 0) + expected(1, 1, 0) - 2 * expected(v, 1, 1.25)
    within(jax.jit(jax.vmap(lambda a, b: kernels.mmd(a, b, RBF)))(x, y), exact)


def test_mmd_ignores_order_translation_and_empty_slots():
    x, y = jnp.asarray(np.random.default_rng(4).normal(size=(2, 6, 3)))
    want = float(kernels.mmd(x, y, IMQ))
    other = float(kernels.mmd(x[::-1], y[jnp.array([2, 0, 1, 5, 3, 4])], IMQ))
    assert other == pytest.approx(want, rel=1e-10)
    assert float(kernels.mmd(x + 3., y + 3., IMQ)) == pytest.approx(want, rel=1e-8)
    pad = lambda a: jnp.concatenate([a, jnp.full((2, 3), 7.)])
    weight = jnp.array([1.] * 6 + [0.] * 2)
    padded = float(kernels.mmd(pad(x), pad(y), IMQ, weight, weight))
    assert padded == pytest.approx(want, rel=1e-10)
    alone = jnp.array([1.] + [0.] * 7)
    assert np.isfinite(float(kernels.mmd(pad(x), pad(y), IMQ, alone, alone)))


TARGET = .5
MEAN = np.array([[.1, 2., .0], [1.5, .2, -.3]])
LOG_VAR = np.array([[.0, -1., .1], [.2, .0, -.4]])


@pytest.mark.parametrize('form', ['mask', 'max'])
def test_free_bits_do_not_pull_below_the_target(form):
    def value(mean, log_var):
        kl = divergences.normal_kl_dims(mean, log_var)
        return elbo.free_bits(kl, kl, TARGET, form).sum()

    kl = divergences.normal_kl_dims(MEAN, LOG_VAR)
    below = np.asarray(kl < TARGET)
    assert below.any() and not below.all()
    plain = jax.grad(lambda *q: divergences.normal_kl(*q).sum(), (0, 1))(MEAN, LOG_VAR)
    for got, want in zip(jax.grad(value, (0, 1))(MEAN, LOG_VAR), plain, strict=True):
        assert (np.asarray(got)[below] == 0).all()
        np.testing.assert_array_equal(np.asarray(got)[~below], np.asarray(want)[~below])


def test_free_bits_forms_differ_by_the_targets_of_the_inactive():
    kl = divergences.normal_kl_dims(MEAN, LOG_VAR)
    mask, top = (elbo.free_bits(kl, kl, TARGET, form) for form in ('mask', 'max'))
    np.testing.assert_allclose(top, mask + TARGET * (kl < TARGET).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(top, jnp.maximum(kl, TARGET).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(elbo.free_bits(kl, kl, 0.), kl.sum(-1), rtol=1e-12)


def test_critic_that_cannot_tell():
    zero = jnp.zeros(())
    assert float(adversarial.critic_loss(zero, zero)) == pytest.approx(2 * np.log(2))
    assert float(adversarial.generator_loss(zero)) == pytest.approx(np.log(2))


@pytest.mark.parametrize('logit', [-6., -1., 0., 2.])
def test_nonsaturating_gradient_is_exp_minus_a_times_minmax(logit):
    grad = lambda form: float(jax.grad(lambda a: adversarial.generator_loss(a, form))(logit))
    assert grad('nonsaturating') / grad('minmax') == pytest.approx(np.exp(-logit))


GRID = np.linspace(-12, 14, 20001)
Q, P = stats.norm(1, .5), stats.norm(0, 1)


def dual(nu):
    """E_q nu - E_p exp nu + 1 by quadrature, q = N(1, 0.25)."""
    values, none = nu(GRID), jnp.zeros(len(GRID))
    of_q = Q.pdf(GRID) * adversarial.dual_kl(values, none - jnp.inf)
    of_p = P.pdf(GRID) * adversarial.dual_kl(none, values)
    return integrate.simpson(of_q, x=GRID) + integrate.simpson(of_p, x=GRID) - 1


def test_dual_kl_golden():
    ratio = lambda x: jnp.asarray(Q.logpdf(x) - P.logpdf(x))
    exact = float(divergences.normal_kl_dims(jnp.float64(1), jnp.log(.25)))
    assert exact == pytest.approx(.81815, abs=5e-6)
    assert dual(ratio) == pytest.approx(exact, abs=1e-6)
    assert dual(ratio) - 1 == pytest.approx(-.18185, abs=5e-6)


@pytest.mark.parametrize('nu', [
    lambda x: 0 * x, lambda x: .3 * x, jnp.sin, lambda x: 1.5 - (x - 1)**2, lambda x: 10. * x,
    lambda x: 1e4 * x])
def test_dual_kl_is_a_bound_for_any_function(nu):
    value = dual(lambda x: jnp.asarray(nu(jnp.asarray(x))))
    assert np.isfinite(value) and value <= .81815


def test_gradient_at_the_optimal_dual_function_is_that_of_the_kl():
    mean, scale = 1., .5
    e, w = np.polynomial.hermite_e.hermegauss(20)
    w = w / w.sum()

    def through_samples(mean_, scale_):
        x = mean_ + scale_ * e
        nu = -.5 * ((x - mean) / scale)**2 - jnp.log(scale) + .5 * x**2      # ln q/p, q held
        return (w * nu).sum()

    got = jax.grad(through_samples, (0, 1))(mean, scale)
    kl = lambda m, s: divergences.normal_kl_dims(m, 2 * jnp.log(s))
    want = jax.grad(kl, (0, 1))(mean, scale)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    np.testing.assert_allclose(got, [1., .5 - 2.], rtol=1e-9)


@pytest.mark.parametrize('norm', [1., 3., 0.])
def test_gradient_penalty_of_a_linear_critic(norm):
    direction = norm * jnp.array([.6, 0., .8, 0.])
    x = jax.random.normal(jax.random.key(0), (5, 2, 2, 1))

    def penalty(w):
        return penalties.gradient_penalty(lambda x: x.reshape(len(x), -1) @ w, x)

    np.testing.assert_allclose(penalty(direction), (norm - 1)**2, atol=3e-6)
    grads = jax.grad(lambda w: penalty(w).mean())(direction)
    assert np.isfinite(grads).all()
    if norm:
        np.testing.assert_allclose(grads, 2 * (norm - 1) * direction / norm, atol=1e-5)
