"""Generative autoencoders: special cases, closed forms and golden steps."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core
from vaebench.methods import autoencoders, parts, posteriors
from vaebench.ops import control, distributions, divergences, kernels

DATA = toys.images(12)
RAMP = {'beta': 1., 'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0.}


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def started(name, **options):
    """Method, params and carry."""
    method = toys.make(name, **options)
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@functools.cache
def compiled(name, phase=0, **options):
    """Loss, carry, aux and gradient of the phase's only player: (params, carry, batch, ctx) -> ..."""
    player = started(name, **options)[0].phases[phase].players[0]
    return toys.jit(jax.value_and_grad(player.loss, has_aux=True))


def evaluate(name, numbers=None, total=0, batch=None, **options):
    """Loss, gradient, carry and aux on all data."""
    _, params, carry = started(name, **options)
    ctx = toys.ctx(toys.hp(name, **numbers or {}), total=total)
    (loss, (carry, aux)), grads = compiled(name, **options)(params, carry, batch or toys.all_of(DATA), ctx)
    return loss, grads, carry, aux


def test_vae_is_its_formula():
    """Parameters are simple enough to write the loss down."""
    method, p, c = started('vae')
    loss, _, _, aux = evaluate('vae')
    x = toys.flat(DATA['x'])
    mean, log_var = jnp.split(jnp.tanh(x @ p['enc']['w'] + p['enc']['b']) @ p['head']['w'] + p['head']['b'], 2, -1)
    noise = jax.random.normal(core.derive(jax.random.key(0), 0, 1), mean.shape)
    logits = (mean + jnp.exp(log_var / 2) * noise) @ p['dec']['w'] + p['dec']['b']
    rec = -jnp.where(x == 1, jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)).sum(-1).mean()
    kl = .5 * (mean**2 + jnp.exp(log_var) - log_var - 1).sum(-1).mean()
    np.testing.assert_allclose([loss, aux['rec'], aux['kl'], aux['beta']], [rec + kl, rec, kl, 1], rtol=1e-6)


def test_schedules_and_weights_share_one_program():
    def program(name, numbers=None):
        method, toy = toys.make(name), toys.all_of(DATA)
        state = core.init(method, jax.random.key(0), toy, toys.hp(name, **numbers or {}))
        step = toys.jit(core.make_step(method.phases[0]))
        return step.lower(state, DATA, jnp.zeros((1, 4), jnp.int32)).as_text()

    assert len({program(n) for n in ('vae', 'anneal', 'cyclical', 'beta_vae', 'ae')}) == 1
    assert program('fb') == program('fb', {'target': 2.})
    assert program('bn_vae') == program('bn_vae', {'gamma': .7})
    assert program('fb') != program('fbp')


def test_beta_one_is_the_vae_and_beta_zero_the_autoencoder():
    loss, grads, _, aux = evaluate('vae')
    toys.close(evaluate('beta_vae', {'beta': 1.})[:2], (loss, grads))
    one, half, none = (evaluate('beta_vae', {'beta': b}) for b in (1., .5, 0.))
    toys.close(evaluate('ae')[:2], none[:2])
    assert float(none[0]) == pytest.approx(float(aux['rec']), rel=1e-12)
    toys.close(half[1], jax.tree.map(lambda a, b: (a + b) / 2, one[1], none[1]), atol=1e-7)


@pytest.mark.parametrize('name, total, beta', [
    ('vae', 0, 1.), ('anneal', 0, 0.), ('anneal', 50, .5), ('anneal', 100, 1.), ('anneal', 999, 1.),
    ('cyclical', 0, 0.), ('cyclical', 25, .5), ('cyclical', 50, 1.), ('cyclical', 99, 1.), ('cyclical', 100, 0.),
    ('lagging', 0, .1), ('lagging', 50, .55)])
def test_weights_count_epochs(name, total, beta):
    """The toy's epoch has ten steps."""
    assert float(evaluate(name, total=total)[3]['beta']) == pytest.approx(beta, abs=1e-6)


def test_sigmoid_annealing():
    for total, beta in ((10, 1 / (1 + np.exp(4))), (50, .5), (100, 1.)):
        assert float(evaluate('anneal', total=total, shape='sigmoid')[3]['beta']) == pytest.approx(beta, abs=1e-6)


def test_capacity_pulls_towards_it():
    push = {**RAMP, 'beta': 3., 'capacity_epochs': 0.}
    low, high = (evaluate('capacity_vae', {**push, 'capacity': c}) for c in (0., 99.))
    rec, vae = evaluate('ae'), evaluate('vae')
    kl = float(vae[3]['kl'])
    assert float(low[0]) == pytest.approx(float(rec[0]) + 3 * kl, rel=1e-6)
    assert float(high[0]) == pytest.approx(float(rec[0]) + 3 * (99 - kl), rel=1e-6)
    pull = jax.tree.map(lambda a, b: 3 * (a - b), vae[1], rec[1])
    toys.close(jax.tree.map(jnp.subtract, low[1], rec[1]), pull, atol=1e-6)
    toys.close(jax.tree.map(jnp.subtract, rec[1], high[1]), pull, atol=1e-6)


def test_capacity_grows_and_its_bars_stand_outside_the_mean():
    assert [float(evaluate('capacity_vae', total=t)[3]['capacity']) for t in (0, 50, 100, 500)] == [0, 4, 8, 8]
    kl = jnp.array([1., 9.])
    terms, batch = parts.Terms(kl, kl, None, None, kl, kl[:, None]), {'weight': jnp.ones(2)}
    ctx = toys.ctx({'capacity': 5., 'capacity_epochs': 0.})
    for reduce, value in (('batch', 0.), ('example', 4.)):
        assert float(parts.capacity_rate(toys.plan(), reduce)(terms, batch, ctx, None)[0]) == value


@pytest.mark.parametrize('options', [{}, {'scope': 'total'}, {'reduce': 'batch'}, {'form': 'max'},
                                     {'scope': 'total', 'reduce': 'batch'}])
def test_no_free_bits_is_the_vae(options):
    toys.close(evaluate('fb', {**RAMP, 'target': 0.}, **options)[:2], evaluate('vae')[:2], rtol=1e-6)


def free(kl, target, **options):
    """The rate of given KLs [B, Z]."""
    kl = jnp.asarray(kl)
    terms = parts.Terms(kl[:, 0], kl, None, None, kl.sum(-1), kl)
    batch = {'weight': jnp.ones(len(kl))}
    return float(parts.free_bits_rate(**options)(terms, batch, toys.ctx({'target': target}), None)[0])


def test_free_bits_variants():
    kl = [[.2, 3.], [1.4, 1.]]        # target 2: one nat per dimension; totals 3.2 and 2.4, means .8 and 2
    assert free(kl, 2.) == pytest.approx((3 + 1.4) / 2)                    # strictly above: the last 1. is free
    assert free(kl, 2., form='max') == pytest.approx((1 + 3 + 1.4 + 1) / 2)
    assert free(kl, 2., reduce='batch') == pytest.approx((3 + 1) / 2)
    assert free(kl, 2., reduce='batch', form='max') == pytest.approx(1 + 2)
    assert free(kl, 3., scope='total') == pytest.approx(3.2 / 2)
    assert free(kl, 3., scope='total', form='max') == pytest.approx((3.2 + 3) / 2)
    assert free(kl, 2.5, scope='total', reduce='batch') == pytest.approx(2.8)
    assert free(kl, 2.9, scope='total', reduce='batch') == 0


@pytest.mark.parametrize('scope', ['dim', 'total'])
@pytest.mark.parametrize('form', ['mask', 'max'])
def test_reductions_agree_when_sentences_share_their_posterior(scope, form):
    kl = np.tile([[.2, 3., .9]], (4, 1))
    a, b = (free(kl, 3., scope=scope, form=form, reduce=r) for r in ('example', 'batch'))
    assert a == pytest.approx(b, rel=1e-12)


def test_free_bits_train_on_what_is_above_the_target_only():
    batch = toys.all_of(DATA)
    method, p, c = started('fb')
    q = method.evals['posterior'](p, c, batch)
    kl = divergences.normal_kl_dims(**q)
    target = 3 * float(jnp.median(kl))
    aux = evaluate('fb', {**RAMP, 'target': target})[3]
    loss = evaluate('fb', {**RAMP, 'target': target})[0]
    assert float(aux['kl']) == pytest.approx(float(kl.sum(-1).mean()), rel=1e-6)
    want = jnp.where(kl > target / 3, kl, 0).sum(-1).mean()
    assert float(loss - aux['rec']) == pytest.approx(float(want), rel=1e-6)


def test_pretraining_keeps_the_encoder_and_resets_the_rest():
    method = toys.make('pre_ae_fb', plan=toys.plan(tx=optax.adam))
    data, batch = DATA, toys.all_of(DATA)
    state = core.init(method, jax.random.key(0), batch, toys.hp('pre_ae_fb'))
    step = toys.jit(core.make_step(method.phases[0]))
    for _ in range(3):
        state, metrics = step(state, data, jnp.arange(12)[None])
    assert float(metrics['ae/loss']) == float(metrics['ae/rec'])
    assert method.phases[0].select == 'rec'
    new = core.enter(method.phases[1], state, batch)
    assert toys.moved(state.params, new.params) == {'dec'}
    assert abs(new.params['dec']['w']).min() > 0 and (new.params['dec']['b'] == 0).all()
    assert all((x == 0).all() for x in jax.tree.leaves(new.opt))
    metrics = toys.jit(core.make_step(method.phases[1]))(new, data, jnp.arange(12)[None])[1]
    assert int(new.total) == 3 and float(metrics['vae/beta']) == 0


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


@pytest.mark.parametrize('filled', [0, 1])
def test_bn_of_a_single_slot_uses_and_leaves_the_running_statistics(filled):
    batch = {**toys.all_of(DATA), 'weight': (jnp.arange(12) < filled).astype(jnp.float64)}
    before = started('bn_vae')[2]
    loss, grads, carry, _ = evaluate('bn_vae', batch=batch)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((loss, grads)))
    for name in ('mean', 'var'):
        np.testing.assert_array_equal(carry['posterior'][name], before['posterior'][name])
    assert (float(loss) > 0) == bool(filled)


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


def test_control_vae_follows_its_controller():
    method, data = toys.make('control_vae'), DATA
    state = core.init(method, jax.random.key(0), toys.all_of(DATA), toys.hp('control_vae', target=1., ki=1e-2))
    step, pi = toys.jit(core.make_step(method.phases[0])), control.PI(0., 0.)
    for _ in range(6):
        state, m = step(state, data, jnp.arange(12)[None])
        pi, beta = control.pi_step(pi, 1. - m['vae/kl'], .01, 1e-2, 0., 1.)
        assert float(m['vae/beta']) == pytest.approx(float(beta), rel=1e-5)
        assert float(m['vae/loss']) == pytest.approx(float(m['vae/rec'] + beta * m['vae/kl']), rel=1e-5)


def test_control_vae_does_not_differentiate_its_controller():
    _, grads, _, aux = evaluate('control_vae', {'target': 0., 'kp': .8})
    assert .3 < float(aux['beta']) < 1
    toys.close(grads, evaluate('beta_vae', {'beta': float(aux['beta'])})[1], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('target', [1., 1.5])
def test_control_vae_tracks_its_set_point(target):
    """Gains scaled to the run's length."""
    method = toys.make('control_vae')
    numbers = toys.hp('control_vae', lr=.3, target=target, ki=3e-3)
    state = core.init(method, jax.random.key(0), toys.all_of(DATA), numbers)
    idx = jnp.broadcast_to(jnp.arange(12), (1500, 1, 12))
    state, m = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx, 1500)
    assert float(m['vae/kl'][-300:].mean()) == pytest.approx(target, abs=.05)
    assert 0 < float(m['vae/beta'][-300:].mean()) < 1


def test_wae_is_its_formula():
    method, p, c = started('wae_mmd')
    loss, _, _, aux = evaluate('wae_mmd', {'beta': 7.})
    z = method.evals['encode'](p, c, toys.all_of(DATA))
    noise = jax.random.normal(core.derive(jax.random.key(0), 1), z.shape)
    mmd = kernels.mmd(z, noise, lambda a, b: kernels.imq(a, b, 2. * 3))
    rec = -method.evals['log_lik'](p, c, z, toys.all_of(DATA)).mean()
    np.testing.assert_allclose([aux['rec'], aux['mmd'], loss], [rec, mmd, rec + 7 * mmd], rtol=1e-5)
    wide = evaluate('wae_mmd', {'beta': 7.}, width=2.)[3]['mmd']
    assert float(wide) == pytest.approx(float(kernels.mmd(z, noise, lambda a, b: kernels.imq(a, b, 12.))), rel=1e-5)
    assert 'kl' not in aux and not {'kl', 'log_q'} & set(method.evals)


def test_deterministic_autoencoder_has_no_noise():
    method, p, c = started('dae')
    batch = toys.all_of(DATA)
    q = method.evals['posterior'](p, c, batch)
    np.testing.assert_array_equal(method.evals['sample_q'](p, c, q, jax.random.key(0)), q['mean'])
    loss, _, _, aux = evaluate('dae')
    assert float(loss) == float(aux['rec']) == pytest.approx(
        -float(method.evals['log_lik'](p, c, q['mean'], batch).mean()), rel=1e-6)


def test_a_prior_without_closed_form_costs_the_same_on_average():
    kit = toys.kit()
    prior = parts.standard_normal(3)._replace(closed=False)
    posterior = posteriors.gaussian(kit)
    closed, sampled = parts.model(kit, posterior), parts.model(kit, posterior, prior)
    params, carry = closed.init(jax.random.key(0), None)
    batch = toys.all_of(DATA)
    run = lambda m, k: m.terms(params, carry, batch, k, toys.hp('vae'))[0]
    draws = jax.vmap(lambda k: run(sampled, k).kl.mean())(jax.random.split(jax.random.key(1), 4000))
    want = float(run(closed, jax.random.key(0)).kl.mean())
    assert abs(float(draws.mean()) - want) < 4 * float(draws.std()) / 4000**.5
    assert 'kl' not in sampled.evals and 'log_q' in sampled.evals


@pytest.mark.parametrize('name', ['vae', 'bn_vae', 'wae_mmd', 'ivae'])
def test_evals_permute_with_the_batch(name):
    method, p, c = started(name)
    order = np.random.default_rng(0).permutation(12)
    batch = toys.all_of(DATA)
    other = jax.tree.map(lambda x: x[order], batch)
    z = jax.random.normal(jax.random.key(0), (12, 3))

    def every(batch, z):
        q = method.evals['posterior'](p, c, batch)
        out = [q, method.evals['encode'](p, c, batch), method.evals['log_lik'](p, c, z, batch)]
        if 'kl' in method.evals:
            out += [method.evals['log_q'](p, c, q, z), method.evals['kl'](p, c, q)]
        return out

    toys.close(jax.tree.map(lambda x: x[order], every(batch, z)), every(other, z[order]), rtol=1e-9)


def test_gaussian_evals_agree_with_each_other():
    method, p, c = started('vae')
    q = method.evals['posterior'](p, c, toys.all_of(DATA))
    z = method.evals['sample_q'](p, c, q, jax.random.key(0))
    log_q = method.evals['log_q'](p, c, q, z)
    np.testing.assert_allclose(method.evals['log_q_dims'](p, c, q, z).sum(-1), log_q, rtol=1e-12)
    np.testing.assert_allclose(log_q, distributions.normal_log_prob(z, **q), rtol=1e-12)
    np.testing.assert_allclose(method.evals['log_prior'](p, c, z), distributions.normal_log_prob(z), rtol=1e-12)


def test_select_is_the_true_bound_unless_there_is_none():
    for name, select in {'vae': 'elbo', 'fb': 'elbo', 'bn_vae': 'elbo', 'ae': 'rec', 'wae_mmd': 'rec'}.items():
        assert toys.make(name).phases[0].select == select
    assert autoencoders.vae(toys.kit(), toys.plan()).phases[0].steps == toys.plan().steps
