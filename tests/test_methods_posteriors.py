"""Posteriors: closed forms, bounds and statistics."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core
from vaebench.errors import UserError
from vaebench.methods import posteriors
from vaebench.ops import divergences


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def normalised(gamma, weight=None, size=64, z=32, hp=True, carry=None, extra=0., shift=0.):
    """A batch-normalised posterior of random features: q, carry, the raw means."""
    kit = toys.kit(z)
    posterior = posteriors.batch_norm(kit)
    params, start = posterior.init(jax.random.key(1))
    params = {**params, 'shift': params['shift'] + shift}
    features = jax.random.normal(jax.random.key(2), (size, toys.HIDDEN)) + extra
    weight = jnp.ones(size) if weight is None else weight
    carry = start if carry is None else carry
    q, new = posterior.apply(params, carry, core.Features(features), weight, {'gamma': gamma} if hp else None)
    raw, _ = posteriors.gaussian(kit).apply(params, {}, core.Features(features))
    return q, new, raw['mean'], carry


@pytest.mark.parametrize('gamma, bound', [(.6, 5.76), (.7, 7.84), (1.2, 23.04), (1.8, 51.84)])
def test_bn_bound_holds_in_train_mode(gamma, bound):
    q, _, raw, _ = normalised(gamma)
    v = raw.var(0)
    kl = float(divergences.normal_kl(**q).mean())
    exact = float(.5 * (gamma**2 * v / (v + 1e-5)).sum())
    assert exact == pytest.approx(bound, rel=1e-3)
    assert kl >= exact


def test_bn_bound_is_met_by_the_prior_variance():
    q, _, _, _ = normalised(.6)
    assert float(divergences.normal_kl(q['mean'], 0 * q['mean']).mean()) == pytest.approx(5.76, rel=1e-3)


def test_bn_moments():
    shift = jnp.arange(32.) / 10
    q, carry, raw, start = normalised(.6, shift=shift)
    v = raw.var(0)
    np.testing.assert_allclose(q['mean'].mean(0), shift, atol=1e-7)
    np.testing.assert_allclose(q['mean'].var(0), .36 * v / (v + 1e-5), rtol=1e-6)
    np.testing.assert_allclose(carry['mean'], .1 * raw.mean(0), rtol=1e-6)
    np.testing.assert_allclose(carry['var'], .9 + .1 * raw.var(0, ddof=1), rtol=1e-6)
    later, same, _, _ = normalised(.6, hp=False, carry=carry, shift=shift)
    toys.close(same, carry, atol=0)
    np.testing.assert_allclose(later['mean'], .6 * (raw - carry['mean']) / jnp.sqrt(carry['var'] + 1e-5) + shift,
                               rtol=1e-6)
    assert start['gamma'] == 1 and carry['gamma'] == .6


def test_bn_does_not_count_empty_slots():
    weight = (jnp.arange(64) < 40).astype(jnp.float64)
    q, carry, raw, _ = normalised(.6, weight)
    v, m = raw[:40].var(0), raw[:40].mean(0)
    np.testing.assert_allclose(q['mean'][:40], .6 * (raw[:40] - m) / jnp.sqrt(v + 1e-5), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(carry['var'], .9 + .1 * raw[:40].var(0, ddof=1), rtol=1e-6)


def test_bn_of_a_single_slot_is_its_evaluation():
    carry = {'mean': jnp.arange(32.), 'var': jnp.full(32, 4.), 'gamma': jnp.ones(())}
    q, _, raw, _ = normalised(.6, (jnp.arange(64) == 3).astype(jnp.float64), carry=carry)
    np.testing.assert_allclose(q['mean'][3], .6 * (raw[3] - jnp.arange(32.)) / 2, rtol=1e-5)


def test_bn_gradient_reaches_the_head_through_the_statistics():
    """Adding a constant to every raw mean changes nothing."""
    q, _, _, _ = normalised(.6)
    kit = toys.kit(32)
    posterior = posteriors.batch_norm(kit)
    params, carry = posterior.init(jax.random.key(1))
    features = core.Features(jax.random.normal(jax.random.key(2), (64, toys.HIDDEN)))

    def total(b):
        p = {**params, 'head': {**params['head'], 'b': b}}
        q, _ = posterior.apply(p, carry, features, jnp.ones(64), {'gamma': .6})
        return (q['mean']**3).sum()

    np.testing.assert_allclose(jax.grad(total)(params['head']['b'])[:32], 0, atol=1e-7)


def learnable(theta, tau=.5, weight=None, hp=True, carry=None, size=64, z=4, scale=1.):
    """A batch-normalised posterior with a learnt scale: q, carry, the raw pairs [B, 2Z]."""
    kit = toys.kit(z)
    posterior = posteriors.batch_norm_learnable(kit, tau)
    params, start = posterior.init(jax.random.key(1))
    params = {**params, 'theta': params['theta'] + theta}
    features = core.Features(scale * jax.random.normal(jax.random.key(2), (size, toys.HIDDEN)))
    weight = jnp.ones(size) if weight is None else weight
    q, new = posterior.apply(params, start if carry is None else carry, features, weight, {} if hp else None)
    raw, _ = posteriors.gaussian(kit).apply(params, {}, features)
    return q, new, jnp.concatenate([raw['mean'], raw['log_var']], -1)


@pytest.mark.parametrize('theta', [-30., -2., 0., .7, 30.])
@pytest.mark.parametrize('tau', [.1, .5])
@pytest.mark.parametrize('scale', [1., 1e-2])
def test_learnable_bn_shares_one_second_moment(theta, tau, scale):
    """E[mean^2] + E[std^2] = 1 but for the epsilons, and the means have at least tau of it."""
    theta = theta + jnp.array([0., .1, -.1, .5])
    q, _, raw = learnable(theta, tau, scale=scale)
    v = raw.var(0)
    kept = v / (v + 1e-5)
    share = tau + (1 - tau) / (1 + np.exp(-theta))
    means, noise = (q['mean']**2).mean(0), jnp.exp(q['log_var']).mean(0) - 1e-8
    np.testing.assert_allclose(means, share * kept[:4], rtol=1e-9)
    np.testing.assert_allclose(noise, (1 - share) * kept[4:], rtol=1e-9, atol=1e-15)
    assert (means >= tau * kept[:4] * (1 - 1e-12)).all()
    np.testing.assert_allclose(means + noise, 1, rtol=1e-4 if scale == 1 else .2)
    np.testing.assert_allclose(q['mean'].mean(0), 0, atol=1e-12)


def test_learnable_bn_noise_is_the_square_of_what_was_normalised():
    """Normalised standard deviations have both signs; the variance does not know which."""
    q, _, raw = learnable(0.)
    s = .5 * (raw[:, 4:] - raw[:, 4:].mean(0)) / jnp.sqrt(raw[:, 4:].var(0) + 1e-5)
    assert (s < 0).any() and (s > 0).any()
    np.testing.assert_allclose(jnp.exp(q['log_var']), s**2 + 1e-8, rtol=1e-9)


def test_learnable_bn_keeps_what_evaluation_needs():
    q, carry, raw = learnable(.3)
    np.testing.assert_allclose(carry['mean'], .1 * raw.mean(0), rtol=1e-9)
    np.testing.assert_allclose(carry['var'], .9 + .1 * raw.var(0, ddof=1), rtol=1e-9)
    later, same, _ = learnable(.3, hp=False, carry=carry)
    toys.close(same, carry, atol=0)
    scale = .5 + .5 / (1 + np.exp(-.3))
    want = np.sqrt(scale) * (raw - carry['mean'])[:, :4] / jnp.sqrt(carry['var'] + 1e-5)[:4]
    np.testing.assert_allclose(later['mean'], want, rtol=1e-9)
    first, _, _ = learnable(.3, hp=False, carry=carry, size=64)
    toys.close(first, later, atol=0)


def test_learnable_bn_does_not_count_empty_slots():
    weight = (jnp.arange(64) < 40).astype(jnp.float64)
    q, carry, raw = learnable(0., weight=weight)
    np.testing.assert_allclose((q['mean'][:40]**2).mean(0), .75 * raw[:40, :4].var(0) / (raw[:40, :4].var(0) + 1e-5),
                               rtol=1e-9)
    np.testing.assert_allclose(carry['var'], .9 + .1 * raw[:40].var(0, ddof=1), rtol=1e-9)


def test_learnable_bn_gradient_is_finite_in_single_precision():
    with jax.enable_x64(False):
        posterior = posteriors.batch_norm_learnable(toys.kit())
        params, carry = posterior.init(jax.random.key(0))
        features = core.Features(jnp.ones((6, toys.HIDDEN)))            # no variance: every standard deviation is 0

        def kl(params):
            return posterior.kl(params, posterior.apply(params, carry, features, jnp.ones(6), {})[0]).sum()

        value, grads = jax.value_and_grad(kl)(params)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((value, grads)))


@pytest.mark.parametrize('tau', [0., 1., -.5])
def test_learnable_bn_refuses_a_share_that_leaves_nothing(tau):
    with pytest.raises(UserError, match='between 0 and 1'):
        posteriors.batch_norm_learnable(toys.kit(), tau)


@pytest.mark.parametrize('rate, low, high', [(.1, .702310, 1.331259), (.15, .641181, 1.409343)])
def test_committed_bounds(rate, low, high):
    found = posteriors.variance_bounds(rate)
    np.testing.assert_allclose(np.sqrt(found), [low, high], atol=5e-7)
    np.testing.assert_allclose([.5 * (s - np.log(s) - 1) for s in found], rate, rtol=1e-13)


@pytest.mark.parametrize('rate', [1e-4, .02, 3., 20.])
def test_committed_bounds_of_any_rate(rate):
    low, high = posteriors.variance_bounds(rate)
    assert low < 1 < high
    np.testing.assert_allclose([.5 * (s - np.log(s) - 1) for s in (low, high)], rate, rtol=1e-9)


def spent(m, a, rate=.1):
    """q of a committed posterior whose head's outputs are m and a [B, Z]."""
    kit = toys.kit(m.shape[-1]).replace(head=lambda n_out, init=None, bias=None: core.Net(
        lambda key: {}, lambda params, x, key=None: x))
    posterior = posteriors.committed(kit, rate)
    q, _ = posterior.apply({'head': {}}, {}, core.Features(jnp.concatenate([m, a], -1)))
    return posterior, q


@pytest.mark.parametrize('rate', [.1, .15, 1.])
def test_committed_rate_is_met_by_any_output(rate):
    m, a = 5 * jax.random.normal(jax.random.key(0), (2, 400, 3))
    m, a = m.at[0].set(-9.), a.at[0].set(jnp.array([-800., 0., 800.]))
    posterior, q = spent(m, a, rate)
    kl = posterior.kl_dims({}, q)
    assert (kl >= rate).all() and (q['mean'] > 0).all()
    np.testing.assert_allclose(kl, rate + jnp.maximum(m, 0) / 2 + 5e-7, rtol=1e-9)
    np.testing.assert_allclose(kl[m <= 0], rate, atol=6e-7)
    std = jnp.exp(q['log_var'] / 2)
    np.testing.assert_allclose(std[0, jnp.array([0, 2])], np.sqrt(posteriors.variance_bounds(rate)), rtol=1e-9)


def test_committed_gradient_is_finite_where_the_mean_nears_zero():
    with jax.enable_x64(False):
        a = jnp.array([[-200., -12., -3., 0., 3., 12., 200.]])

        def total(m, a):
            posterior, q = spent(m, a)
            return (posterior.kl({}, q) + q['mean'].sum(-1)).sum()

        for m in (-1., 0., 2.):
            value, grads = jax.value_and_grad(total, (0, 1))(jnp.full_like(a, m), a)
            assert all(np.isfinite(x).all() for x in jax.tree.leaves((value, grads)))
        posterior, q = spent(jnp.full_like(a, -1.), a)
        assert float(abs(posterior.kl_dims({}, q) - .1).max()) < 1e-6


def test_committed_rate_buys_no_information():
    """A constant encoder pays the rate, and every sentence's density is that of their mixture."""
    posterior, q = spent(jnp.full((7, 3), -1.), jnp.tile(jnp.array([[-1., 0., 4.]]), (7, 1)))
    assert (posterior.kl({}, q) >= .3).all()
    z = posterior.sample({}, q, jax.random.key(0))
    pairs = jax.vmap(lambda z: posterior.log_q({}, q, z))(z)                       # [of, at]
    mixture = jax.nn.logsumexp(pairs, 1) - np.log(7)
    np.testing.assert_allclose(posterior.log_q({}, q, z) - mixture, 0, atol=1e-12)


@pytest.mark.parametrize('rate', [0., -.1, float('nan')])
def test_committed_refuses_a_rate_of_nothing(rate):
    with pytest.raises(UserError, match='above 0'):
        posteriors.committed(toys.kit(), rate)
