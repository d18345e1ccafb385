"""Generative autoencoders: special cases, closed forms and golden steps."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core
from vaebench.methods import (
    autoencoders,
    geometry,
    models,
    posteriors,
    rate_control,
    regularizers,
)
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
    """Loss, carry, aux and gradient of the phase's only player: (params, carry, batch, ctx) ->
    ...
    """
    player = started(name, **options)[0].phases[phase].players[0]
    return toys.jit(jax.value_and_grad(player.loss, has_aux=True))


def evaluate(name, numbers=None, total=0, batch=None, **options):
    """Loss, gradient, carry and aux on all data."""
    _, params, carry = started(name, **options)
    ctx = toys.ctx(toys.hp(name, **numbers or {}), total=total)
    (loss, (carry, aux)), grads = compiled(name, **options)(params, carry, batch
                                                            or toys.all_of(DATA), ctx)
    return loss, grads, carry, aux


def test_vae_is_its_formula():
    """Parameters are simple enough to write the loss down."""
    method, p, c = started('vae')
    loss, _, _, aux = evaluate('vae')
    x = toys.flat(DATA['x'])
    mean, log_var = jnp.split(
        jnp.tanh(x @ p['enc']['w'] + p['enc']['b']) @ p['head']['w'] + p['head']['b'], 2, -1)
    noise = jax.random.normal(core.derive(jax.random.key(0), 0, 1), mean.shape)
    logits = (mean + jnp.exp(log_var / 2) * noise) @ p['dec']['w'] + p['dec']['b']
    rec = -jnp.where(x == 1, jax.nn.log_sigmoid(logits),
                     jax.nn.log_sigmoid(-logits)).sum(-1).mean()
    kl = .5 * (mean**2 + jnp.exp(log_var) - log_var - 1).sum(-1).mean()
    np.testing.assert_allclose([loss, aux['rec'], aux['kl'], aux['beta']],
                               [rec + kl, rec, kl, 1], rtol=1e-6)


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


@pytest.mark.parametrize('name, total, beta', [('vae', 0, 1.), ('anneal', 0, 0.),
                                               ('anneal', 50, .5), ('anneal', 100, 1.),
                                               ('anneal', 999, 1.), ('cyclical', 0, 0.),
                                               ('cyclical', 25, .5), ('cyclical', 50, 1.),
                                               ('cyclical', 99, 1.), ('cyclical', 100, 0.),
                                               ('lagging', 0, .1), ('lagging', 50, .55)])
def test_weights_count_epochs(name, total, beta):
    """The toy's epoch has ten steps."""
    assert float(evaluate(name, total=total)[3]['beta']) == pytest.approx(beta, abs=1e-6)


def test_sigmoid_annealing():
    for total, beta in ((10, 1 / (1 + np.exp(4))), (50, .5), (100, 1.)):
        assert float(evaluate('anneal', total=total,
                              shape='sigmoid')[3]['beta']) == pytest.approx(beta, abs=1e-6)


def test_falling_weight():
    """Geometric over `warmup` epochs; from a weight to itself it is the beta-VAE."""
    fall = {'beta_start': 100., 'beta': 1., 'warmup': 10.}
    for total, beta in ((0, 100.), (50, 10.), (75, 10**.5), (100, 1.), (500, 1.)):
        aux = evaluate('vae', fall, total, shape='exponential', dims=True)[3]
        assert float(aux['beta']) == pytest.approx(beta, rel=1e-6)
        assert float(sum(aux[f'kl{i}'] for i in range(3))) == pytest.approx(
            float(aux['kl']), rel=1e-12)
    level = {'beta_start': 4., 'beta': 4., 'warmup': 10.}
    for total in (0, 37, 200):
        toys.close(evaluate('vae', level, total, shape='exponential', dims=True)[:2],
                   evaluate('beta_vae', {'beta': 4.})[:2], rtol=1e-6)


def test_weighted_kl_is_that_from_a_narrower_prior():
    """Mathieu's first theorem: -beta KL(q||p) = -KL(q||f) + (beta - 1) H(q) + log F, f = N(0, I
    / beta).
    """
    mean, log_var = jax.random.normal(jax.random.key(0), (2, 5, 3))
    entropy = .5 * (log_var + 1 + np.log(2 * np.pi)).sum(-1)
    for beta in (.25, 1., 6.):
        narrow = divergences.normal_kl(np.sqrt(beta) * mean, log_var + np.log(beta))
        log_f = 1.5 * ((1 - beta) * np.log(2 * np.pi) - np.log(beta))
        np.testing.assert_allclose(-beta * divergences.normal_kl(mean, log_var),
                                   -narrow + (beta - 1) * entropy + log_f, atol=1e-12)


def test_a_full_covariance_prefers_no_axes():
    """Mathieu's second theorem: codes turned with noise and decoder cost the same."""
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    posterior = posteriors.linear_implicit(toys.kit())
    model = models.model(toys.kit(), posterior)
    params, carry = model.init(jax.random.key(0), None)
    head = {'w': params['head']['w'] @ turn, 'b': params['head']['b'] @ turn}
    turned = {**params, 'head': head, 'noise': params['noise'] @ turn,
              'dec': {**params['dec'], 'w': turn.T @ params['dec']['w']}}
    a, b = (model.terms(p, carry, toys.all_of(DATA), jax.random.key(1), {})[0]
            for p in (params, turned))
    np.testing.assert_allclose(b.z, a.z @ turn, rtol=1e-10)
    np.testing.assert_allclose([b.rec, b.kl], [a.rec, a.kl], rtol=1e-10)


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
    assert [float(evaluate('capacity_vae', total=t)[3]['capacity'])
            for t in (0, 50, 100, 500)] == [0, 4, 8, 8]
    kl = jnp.array([1., 9.])
    terms, batch = models.Terms(kl, kl, None, None, kl, kl[:, None]), {'weight': jnp.ones(2)}
    ctx = toys.ctx({'capacity': 5., 'capacity_epochs': 0.})
    for reduce, value in (('batch', 0.), ('example', 4.)):
        assert float(regularizers.capacity(toys.recipe(), reduce)({}, terms, batch, ctx,
                                                                  None)[0]) == value


@pytest.mark.parametrize('options', [{}, {'scope': 'total'}, {'reduce': 'batch'},
                                     {'form': 'max'}, {'scope': 'total', 'reduce': 'batch'}])
def test_no_free_bits_is_the_vae(options):
    toys.close(
        evaluate('fb', {**RAMP, 'target': 0.}, **options)[:2],
        evaluate('vae')[:2], rtol=1e-6)


def free(kl, target, **options):
    """The rate of given KLs [B, Z]."""
    kl = jnp.asarray(kl)
    terms = models.Terms(kl[:, 0], kl, None, None, kl.sum(-1), kl)
    batch = {'weight': jnp.ones(len(kl))}
    return float(
        regularizers.free_bits(**options)({}, terms, batch, toys.ctx({'target': target}), None)[0])


def test_free_bits_variants():
    # target 2: one nat per dimension; totals 3.2 and 2.4, means .8 and 2
    kl = [[.2, 3.], [1.4, 1.]]
    # strictly above: the last 1. is free
    assert free(kl, 2.) == pytest.approx((3 + 1.4) / 2)
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


def below(target, form='mask', reduce='example'):
    """Rate, its gradient by (mean, log variance) and the KLs, of four sentences with three
    units.
    """
    q = jax.random.normal(jax.random.key(0), (2, 4, 3))
    batch = {'weight': jnp.ones(4)}

    def rate(q):
        kl = divergences.normal_kl_dims(*q)
        terms = models.Terms(kl[:, 0], kl, None, None, kl.sum(-1), kl)
        return regularizers.free_bits('dim', reduce, form)({}, terms, batch,
                                                           toys.ctx({'target': 3 * target}),
                                                           None)[0]

    return *jax.value_and_grad(rate)(q), divergences.normal_kl_dims(*q)


@pytest.mark.parametrize('form', ['mask', 'max'])
def test_free_bits_do_not_pull_at_units_below_their_share(form):
    _, grads, kl = below(.5, form)
    free = np.asarray(kl < .5)
    assert free.any() and not free.all()
    assert (np.asarray(grads)[:, free] == 0).all()
    np.testing.assert_allclose(grads[:, ~free], below(0.)[1][:, ~free], rtol=1e-12)
    assert (np.asarray(grads)[:, ~free] != 0).all()


def test_free_bits_max_is_the_mask_and_the_free_shares():
    mask, _, kl = below(.5)
    assert float(below(.5, 'max')[0]) == pytest.approx(
        float(mask + .5 * (kl < .5).sum(-1).mean()), rel=1e-12)


def test_classic_free_bits():
    """Kingma's: the greater of the share and the unit's batch mean, summed over units."""
    value, _, kl = below(.5, 'max', 'batch')
    want = np.maximum(.5, np.asarray(kl).mean(0))
    assert (want == .5).any() and (want > .5).any()
    assert float(value) == pytest.approx(want.sum(), rel=1e-12)


def trained(method, numbers, steps=3, phases=None):
    """Losses of some steps of every phase on all data, and the last state."""
    numbers = {
        k: jnp.asarray(v, jnp.float32)
        for k, v in {'lr': .1, 'lr_scale': 1., **numbers}.items()
    }
    batch, losses = toys.all_of(DATA), []
    state = core.init(method, jax.random.key(3), batch, numbers)
    for i, phase in enumerate(method.phases[:phases]):
        state, step = core.enter(phase, state, batch) if i else state, toys.jit(
            core.make_step(phase))
        for _ in range(steps):
            state, metrics = step(state, DATA, jnp.arange(12)[None])
            losses.append(float(metrics[f'{phase.players[0].name}/loss']))
    return losses, state


def test_pretraining_takes_the_steps_it_took():
    method = toys.make('pre_ae_fb', recipe=toys.recipe(tx=optax.adam))
    losses, _ = trained(method, {**RAMP, 'warmup': 10., 'target': 8.})
    np.testing.assert_allclose(losses, [
        3.410491110576899, 3.1599582718059174, 2.43757531977315, 3.811678941435907,
        3.306119600606655, 2.5831341278820896
    ], rtol=1e-6)


PRETRAINED = {
    'cyclical': (autoencoders.vae, {}, set()),
    'delta': (rate_control.delta_vae, {}, set()),
    'bn': (rate_control.bn_vae, {'gamma': .6}, {'shift'}),
    'vmf': (geometry.vmf_vae, {}, set()),
    'fb': (rate_control.free_bits, {'target': 1.}, set()),
}
"""Factory, numbers, and the parameters that the row has beside an autoencoder's."""


@pytest.mark.parametrize('name', PRETRAINED)
def test_pretraining_keeps_encoder_and_head_and_takes_all_else_fresh(name):
    make, numbers, own = PRETRAINED[name]
    numbers = {**RAMP, 'warmup': 1., 'period': 2., **numbers}
    method = make(toys.kit(), toys.recipe(tx=optax.adam), pretrain=True)
    alone = make(toys.kit(), toys.recipe(tx=optax.adam))
    first, main = method.phases
    assert (first.name, first.select, main.name) == ('ae', 'rec', 'main')
    assert main.select == alone.phases[0].select
    losses, state = trained(method, numbers, phases=1)
    assert losses[-1] < losses[0]
    new = core.enter(main, state, toys.all_of(DATA))
    begun = alone.init(jax.random.key(9), toys.all_of(DATA))
    assert set(new.params) == set(begun[0]) == {'enc', 'head', 'dec'} | own
    toys.close(new.params['enc'], state.params['enc'], atol=0)
    mean_half = jax.tree.map(lambda old, new: old[..., :new.shape[-1]], state.params['head'],
                             begun[0]['head'])
    toys.close(new.params['head'], mean_half, atol=0)
    assert toys.moved({'dec': state.params['dec']}, {'dec': new.params['dec']}) == {'dec'}
    assert all((new.params[k] == begun[0][k]).all() for k in own)       # 'shift' starts at 0
    toys.close(new.carry, begun[1], atol=0)
    assert all((x == 0).all() for x in jax.tree.leaves(new.opt))
    step, seen = toys.jit(core.make_step(main)), []
    for _ in range(22):
        new, metrics = step(new, DATA, jnp.arange(12)[None])
        seen.append(float(metrics['vae/beta']))
    # the toy's epoch has ten steps
    t = np.arange(22) % 20 / 10
    # time starts with the phase
    np.testing.assert_allclose(seen, np.minimum(t, 1), atol=1e-6)
    assert int(new.total) == 25


def test_the_first_phase_of_pretraining_is_one_plain_autoencoder_for_all_rows():
    seen, shared = [], []
    for make, numbers, _ in PRETRAINED.values():
        method = make(toys.kit(), toys.recipe(), pretrain=True)
        params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
        loss, (_, aux) = method.phases[0].players[0].loss(
            params, carry, toys.all_of(DATA), toys.ctx({**RAMP, **numbers}, total=99))
        assert float(loss) == float(aux['rec']) and float(aux['beta']) == 0 < float(aux['kl'])
        seen.append((float(loss), float(aux['kl'])))
        shared.append(method.phases[0].shared)
    assert len(set(seen)) == 1 and shared[0] and all(s == shared[0] for s in shared)


@pytest.mark.parametrize('filled', [0, 1])
def test_bn_of_a_single_slot_uses_and_leaves_the_running_statistics(filled):
    batch = {**toys.all_of(DATA), 'weight': (jnp.arange(12) < filled).astype(jnp.float64)}
    before = started('bn_vae')[2]
    loss, grads, carry, _ = evaluate('bn_vae', batch=batch)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((loss, grads)))
    for name in ('mean', 'var'):
        np.testing.assert_array_equal(carry['posterior'][name], before['posterior'][name])
    assert (float(loss) > 0) == bool(filled)


def test_control_vae_follows_its_controller():
    method, data = toys.make('control_vae'), DATA
    state = core.init(method, jax.random.key(0), toys.all_of(DATA),
                      toys.hp('control_vae', target=1., ki=1e-2))
    step, pi = toys.jit(core.make_step(method.phases[0])), control.PI(0., 0.)
    for _ in range(6):
        state, m = step(state, data, jnp.arange(12)[None])
        pi, beta = control.pi_step(pi, 1. - m['vae/kl'], .01, 1e-2, 0., 1.)
        assert float(m['vae/beta']) == pytest.approx(float(beta), rel=1e-5)
        assert float(m['vae/loss']) == pytest.approx(float(m['vae/rec'] + beta * m['vae/kl']),
                                                     rel=1e-5)


def test_control_vae_does_not_differentiate_its_controller():
    _, grads, _, aux = evaluate('control_vae', {'target': 0., 'kp': .8})
    assert .3 < float(aux['beta']) < 1
    toys.close(grads,
               evaluate('beta_vae', {'beta': float(aux['beta'])})[1], rtol=1e-5, atol=1e-8)


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
    np.testing.assert_allclose([aux['rec'], aux['mmd'], loss], [rec, mmd, rec + 7 * mmd],
                               rtol=1e-5)
    wide = evaluate('wae_mmd', {'beta': 7.}, width=2.)[3]['mmd']
    assert float(wide) == pytest.approx(
        float(kernels.mmd(z, noise, lambda a, b: kernels.imq(a, b, 12.))), rel=1e-5)
    assert 'kl' not in aux and not {'kl', 'log_q'} & set(method.evals)


def test_deterministic_autoencoder_has_no_noise():
    method, p, c = started('dae')
    batch = toys.all_of(DATA)
    q = method.evals['posterior'](p, c, batch)
    np.testing.assert_array_equal(method.evals['sample_q'](p, c, q, jax.random.key(0)),
                                  q['mean'])
    loss, _, _, aux = evaluate('dae')
    assert float(loss) == float(aux['rec']) == pytest.approx(
        -float(method.evals['log_lik'](p, c, q['mean'], batch).mean()), rel=1e-6)


def test_denoising_reconstructs_what_it_did_not_see():
    """Only the encoder's input is corrupted, and only in training."""
    kit, batch = toys.kit(), toys.all_of(DATA)
    ctx = toys.ctx({})
    for method in (autoencoders.deterministic_ae(kit, toys.recipe(), corrupt=.3),
                   autoencoders.vae(kit, toys.recipe(), corrupt=.3)):
        params, carry = method.init(jax.random.key(5), batch)
        aux = method.phases[0].players[0].loss(params, carry, batch,
                                               ctx._replace(hp=RAMP))[1][1]
        seen = kit.corrupt(core.derive(ctx.key, 0, 3), batch, .3)
        assert 0 < float((seen['x'] != batch['x']).mean()) < .3
        q = method.evals['posterior'](params, carry, seen)
        z = method.evals['sample_q'](params, carry, q, core.derive(ctx.key, 0, 1))
        rec = -method.evals['log_lik'](params, carry, z, batch).mean()
        assert float(aux['rec']) == pytest.approx(float(rec), rel=1e-6)
        if 'kl' in aux:
            kl = method.evals['kl'](params, carry, q).mean()
            assert float(aux['kl']) == pytest.approx(float(kl), rel=1e-6)


def test_denoising_without_noise_is_the_autoencoder():
    plain, clean, noisy = (trained(
        autoencoders.deterministic_ae(toys.kit(), toys.recipe(), corrupt=c), {})[0]
                           for c in (0., 1e-12, .3))
    assert plain == pytest.approx(clean, rel=1e-12) and noisy != pytest.approx(plain, rel=1e-3)


def test_stochastic_autoencoder_leaves_its_variance_alone_where_there_is_no_noise(monkeypatch):
    """dz/dlog_var = noise * std / 2: nothing pulls at the variance but what the noise costs."""
    method, params, carry = started('ae')
    loss = jax.grad(method.phases[0].players[0].loss, has_aux=True)
    numbers = toys.hp('ae')
    assert (loss(params, carry, toys.all_of(DATA), toys.ctx(numbers))[0]['head']['w'][:, 3:]
            != 0).all()
    monkeypatch.setattr(jax.random, 'normal',
                        lambda key, shape, dtype=float: jnp.zeros(shape, dtype))
    grads = loss(params, carry, toys.all_of(DATA), toys.ctx(numbers))[0]['head']
    assert (grads['w'][:, 3:] == 0).all() and (grads['b'][3:] == 0).all()
    assert (grads['w'][:, :3] != 0).all()


def test_delta_vae_is_a_vae_that_pays_its_rate():
    method = rate_control.delta_vae(toys.kit(), toys.recipe(), rate=.15)
    params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
    batch = toys.all_of(DATA)
    loss, (_, aux) = method.phases[0].players[0].loss(params, carry, batch, toys.ctx(RAMP))
    assert float(loss) == pytest.approx(float(aux['rec'] + aux['kl']), rel=1e-12)
    kl = method.evals['kl'](params, carry, method.evals['posterior'](params, carry, batch))
    assert (kl >= 3 * .15).all() and float(kl.mean()) == pytest.approx(
        float(aux['kl']), rel=1e-12)


def test_learnable_bn_vae_learns_its_share_and_evaluates_with_running_statistics():
    method = rate_control.bn_vae_learnable(toys.kit(), toys.recipe(tx=optax.adam), tau=.3)
    losses, state = trained(method, RAMP, steps=20)
    assert losses[-1] < losses[0] and np.isfinite(losses).all()
    assert (state.params['theta'] != 0).all() and set(
        state.params) == {'enc', 'head', 'theta', 'dec'}
    batch = toys.all_of(DATA)
    q = method.evals['posterior'](state.params, state.carry, batch)
    one = method.evals['posterior'](state.params, state.carry,
                                    jax.tree.map(lambda x: x[:1], batch))
    toys.close(jax.tree.map(lambda x: x[:1], q), one, rtol=1e-9)


def test_a_prior_without_closed_form_costs_the_same_on_average():
    kit = toys.kit()
    prior = models.standard_normal(3)._replace(family='')
    posterior = posteriors.gaussian(kit)
    closed, sampled = models.model(kit, posterior), models.model(kit, posterior, prior)
    params, carry = closed.init(jax.random.key(0), None)
    batch = toys.all_of(DATA)
    run = lambda m, k: m.terms(params, carry, batch, k, toys.hp('vae'))[0]
    draws = jax.vmap(lambda k: run(sampled, k).kl.mean())(jax.random.split(
        jax.random.key(1), 4000))
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

    toys.close(jax.tree.map(lambda x: x[order], every(batch, z)), every(other, z[order]),
               rtol=1e-9)


def test_gaussian_evals_agree_with_each_other():
    method, p, c = started('vae')
    q = method.evals['posterior'](p, c, toys.all_of(DATA))
    z = method.evals['sample_q'](p, c, q, jax.random.key(0))
    log_q = method.evals['log_q'](p, c, q, z)
    np.testing.assert_allclose(method.evals['log_q_dims'](p, c, q, z).sum(-1), log_q,
                               rtol=1e-12)
    np.testing.assert_allclose(log_q, distributions.normal_log_prob(z, **q), rtol=1e-12)
    np.testing.assert_allclose(method.evals['log_prior'](p, c, z),
                               distributions.normal_log_prob(z), rtol=1e-12)


def test_a_method_trains_for_the_recipes_steps():
    assert autoencoders.vae(toys.kit(), toys.recipe()).phases[0].steps == toys.recipe().steps
