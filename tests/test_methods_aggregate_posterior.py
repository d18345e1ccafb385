"""Aggregated posteriors: density gaps, kernels and critics on codes."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import aggregate_posterior, autoencoders, models, regularizers
from vaebench.ops import density_gap, distributions, divergences, kernels

DATA = toys.images(12)
HP = {
    'beta': 1., 'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0., 'lr': .1,
    'lr_scale': 1., 'kl_weight': .5, 'critic_lr': 1e-3, 'alpha': .25, 'mmd': 4.
}


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def started(make, **options):
    """Method, params and carry."""
    method = make(toys.kit(), toys.recipe(), **options)
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@functools.cache
def compiled(make, player=-1, **options):
    """(params, carry, batch, ctx) -> ((loss, (carry, aux)), gradient)."""
    return toys.jit(
        jax.value_and_grad(
            started(make, **options)[0].phases[0].players[player].loss, has_aux=True))


def evaluate(make, numbers=None, params=None, batch=None, player=-1, **options):
    """Loss, gradient and aux on all data."""
    _, own, carry = started(make, **options)
    ctx = toys.ctx({k: jnp.asarray(v) for k, v in {**HP, **(numbers or {})}.items()})
    (loss, (_, aux)), grads = compiled(make, player, **options)(params or own, carry, batch
                                                                or toys.all_of(DATA), ctx)
    return float(loss), grads, {k: float(v) for k, v in aux.items()}


def one_posterior(make, **options):
    """Params whose posterior does not depend on the input."""
    params = started(make, **options)[1]
    return {
        **params, 'enc': jax.tree.map(jnp.zeros_like, params['enc']), 'head': {
            **params['head'], 'b': jax.random.normal(jax.random.key(1),
                                                     params['head']['b'].shape)
        }
    }


# Density gaps.

def test_gap_method_is_reconstruction_plus_the_weighted_gap():
    """The gap has draws of its own; the decoder sees one that is the VAE's."""
    method, params, carry = started(aggregate_posterior.dg_vae, chunk=4, draws=5)
    loss, _, aux = evaluate(aggregate_posterior.dg_vae, {'beta': .5}, chunk=4, draws=5)
    vae = evaluate(autoencoders.vae)[2]
    assert (aux['rec'], aux['kl']) == pytest.approx((vae['rec'], vae['kl']), rel=1e-12)
    assert loss == pytest.approx(aux['rec'] + .5 * aux['gap'], rel=1e-12)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    keys = jax.random.split(core.derive(jax.random.key(0), 1), 5)
    z = jnp.stack([method.evals['sample_q'](params, carry, q, k) for k in keys], 1)
    want = density_gap.density_gap(q, z,
                                   lambda q, z: distributions.normal_log_prob_dims(z, **q),
                                   lambda z: distributions.normal_log_prob_dims(z, 0., 0.),
                                   jnp.ones(12), 4)
    assert aux['gap'] == pytest.approx(float(want.mean()), rel=1e-12)


def test_single_chunks_are_the_vae():
    """Its value and its gradient, within the error of many draws."""
    loss, grads, aux = evaluate(aggregate_posterior.dg_vae, chunk=1, draws=20000)
    want, exact, _ = evaluate(autoencoders.vae)
    assert loss == pytest.approx(want, abs=.01 * aux['kl'])
    assert abs(loss - want) > 1e-9
    for k in ('enc', 'head'):
        for leaf in exact[k]:
            np.testing.assert_allclose(grads[k][leaf], exact[k][leaf],
                                       atol=.02 * float(jnp.abs(exact[k]['w']).max()))


@pytest.mark.slow
def test_larger_chunks_ask_less_of_the_posteriors():
    gaps = [
        evaluate(aggregate_posterior.dg_vae, chunk=b, draws=500)[2]['gap']
        for b in (1, 2, 4, 12)
    ]
    assert all(a > b + .01 for a, b in zip(gaps[:-1], gaps[1:], strict=True))
    kl = evaluate(autoencoders.vae)[2]['kl']
    joint = evaluate(aggregate_posterior.dg_vae, chunk=12, draws=500, joint=True)[2]['gap']
    assert kl - np.log(12) < joint and gaps[-1] < joint < kl
    assert evaluate(aggregate_posterior.dg_vae, chunk=5, draws=500)[2]['gap'] == pytest.approx(
        gaps[-1], rel=1e-12)


def test_equal_posteriors_leave_nothing_to_aggregate():
    params = one_posterior(aggregate_posterior.dg_vae, draws=7)
    values = [
        evaluate(aggregate_posterior.dg_vae, params=params, chunk=b, draws=7)[0]
        for b in (1, 4, 12)
    ]
    assert values == pytest.approx([values[0]] * 3, rel=1e-10)


@pytest.mark.parametrize('make, options', [(aggregate_posterior.dg_vae, {'joint': True}),
                                           (aggregate_posterior.dg_vmf, {})])
def test_joint_gap_and_information_make_up_the_kl(make, options):
    """E KL(q || p) = I + KL(q(z) || p), with I of the chunk at most ln b, on Gaussians and on
    the sphere.
    """
    method, params, carry = started(make, **options, chunk=12, draws=500)
    e, batch = method.evals, toys.all_of(DATA)

    def information(key):
        q = e['posterior'](params, carry, batch)
        z = e['sample_q'](params, carry, q, key)
        pair = jax.vmap(lambda v: e['log_q'](params, carry, q, jnp.broadcast_to(v, z.shape)))(z)
        return (jnp.diagonal(pair) - jax.nn.logsumexp(pair, -1) + np.log(12)).mean()

    draws = toys.jit(jax.vmap(information))(jax.random.split(jax.random.key(3), 500))
    _, grads, aux = evaluate(make, **options, chunk=12, draws=500)
    assert .02 < float(draws.mean()) < np.log(12)
    assert aux['kl'] - aux['gap'] == pytest.approx(float(draws.mean()), abs=.04)
    assert all(float(jnp.abs(g).max()) > 1e-5 for g in jax.tree.leaves(grads))


def test_gap_on_the_sphere_of_single_posteriors_is_the_constant_kl():
    aux = evaluate(aggregate_posterior.dg_vmf, chunk=1, draws=4000)[2]
    assert aux['gap'] == pytest.approx(aux['kl'], rel=.01)
    assert evaluate(aggregate_posterior.dg_vmf, chunk=12, draws=500)[2]['gap'] < aux['kl'] - .02
    z = started(aggregate_posterior.dg_vmf, chunk=1,
                draws=4000)[0].evals['sample_prior'](None, None, jax.random.key(0), 5)
    np.testing.assert_allclose((z**2).sum(-1), 1, rtol=1e-10)


# Kernels.

def test_spread_ignores_the_mean_and_vanishes_only_at_one():
    """lambda_KL times the mean of half the sum of s^2 - ln s^2 - 1."""
    _, params, _ = started(aggregate_posterior.wae_s)
    still = {
        **params, 'head': {
            'w': params['head']['w'].at[:, 3:].set(0.), 'b': params['head']['b'].at[3:].set(0.)
        }
    }
    assert evaluate(aggregate_posterior.wae_s, params=still)[2]['spread'] == 0
    moved = {**still, 'head': {**still['head'], 'b': still['head']['b'].at[:3].set(7.)}}
    assert evaluate(aggregate_posterior.wae_s, params=moved)[2]['spread'] == 0
    log_var = jnp.array([-1., .5, 2.])
    wide = {**still, 'head': {**still['head'], 'b': still['head']['b'].at[3:].set(log_var)}}
    spread = evaluate(aggregate_posterior.wae_s, params=wide)[2]['spread']
    assert spread == pytest.approx(float(.5 * (jnp.exp(log_var) - log_var - 1).sum()),
                                   rel=1e-12)
    assert spread == pytest.approx(float(divergences.normal_kl(jnp.zeros(3), log_var)))


def test_stochastic_wae_is_its_formula():
    loss, _, aux = evaluate(aggregate_posterior.wae_s, {'beta': 3.})
    assert loss == pytest.approx(aux['rec'] + 3 * aux['mmd'] + .5 * aux['spread'], rel=1e-12)
    vae = evaluate(autoencoders.vae)[2]
    assert (aux['rec'], aux['kl']) == pytest.approx((vae['rec'], vae['kl']), rel=1e-12)
    method, params, carry = started(aggregate_posterior.wae_s)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    z = method.evals['sample_q'](params, carry, q, core.derive(jax.random.key(0), 0, 1))
    noise = jax.random.normal(core.derive(jax.random.key(0), 1), z.shape)
    # the text code's base, 4 Z
    want = kernels.mmd(z, noise, lambda x, y: kernels.imq(x, y, 4. * 3))
    assert aux['mmd'] == pytest.approx(float(want), rel=1e-10)


def rate_of(rate, z, key=None):
    batch, key = {'weight': jnp.ones(len(z))}, jax.random.key(0) if key is None else key
    return rate({}, models.Terms(None, z, None, None, None, None), batch, None, key)[0]


RATES = {
    'imq': aggregate_posterior.KERNELS['imq'](3), 'rbf': aggregate_posterior.KERNELS['rbf'](3)
}


@pytest.mark.parametrize('name', RATES)
def test_discrepancy_of_the_prior_is_zero_on_average(name):
    """Unbiased: it may be negative, and is where the sets are the same; no order counts."""
    keys = jax.random.split(jax.random.key(0), (2, 400))
    values = toys.jit(
        jax.vmap(lambda a, b: rate_of(RATES[name], jax.random.normal(a, (16, 3)), b)))(*keys)
    assert abs(float(values.mean())) < 3 * float(values.std()) / 20 and float(values.min()) < 0
    # the rate's own prior draws
    z = jax.random.normal(jax.random.key(0), (16, 3))
    assert float(rate_of(RATES[name], z)) < 0
    shuffled = z[np.random.default_rng(0).permutation(16)]
    np.testing.assert_allclose(rate_of(RATES[name], shuffled + 1), rate_of(RATES[name], z + 1),
                               rtol=1e-10)
    assert float(rate_of(RATES[name], z + 2)) > .3


def test_gaussian_kernels_width_is_the_sum_of_two_medians():
    z, noise = jax.random.normal(jax.random.key(1), (5, 3)) + 1, jax.random.normal(
        jax.random.key(0), (5, 3))
    r2 = lambda x, y: ((x[:, None] - y)**2).sum(-1)
    variance = np.sort(r2(noise, noise)[~np.eye(5, dtype=bool)])[10] + np.sort(
        r2(z, noise).ravel())[12]
    k = lambda x, y: np.exp(-r2(x, y) / (2 * variance))
    off = lambda a: (a.sum() - np.trace(a)) / 20
    want = off(k(z, z)) + off(k(noise, noise)) - 2 * k(z, noise).mean()
    assert float(rate_of(RATES['rbf'], z)) == pytest.approx(float(want), rel=1e-10)
    loss, _, aux = evaluate(aggregate_posterior.wae_s, kernel='rbf')
    assert loss == pytest.approx(aux['rec'] + aux['mmd'] + .5 * aux['spread'], rel=1e-12)
    assert aux['mmd'] != evaluate(aggregate_posterior.wae_s)[2]['mmd']


def test_no_spread_is_no_further_term():
    """With both weights 0 it is the stochastic autoencoder."""
    loss, grads, _ = evaluate(aggregate_posterior.wae_s, {'beta': 0., 'kl_weight': 0.})
    want, exact, _ = evaluate(autoencoders.vae, {'beta': 0.})
    assert loss == pytest.approx(want, rel=1e-12)
    toys.close(grads, exact, atol=1e-12)


# InfoVAE, and the kernels of image rows.

@pytest.mark.parametrize('kernel', regularizers.DISCREPANCIES)
def test_info_vae_is_its_formula(kernel):
    """(1 - alpha) KL + (alpha + lambda - 1) MMD^2, from the VAE's draws; the decoder feels the
    reconstruction only.
    """
    loss, grads, aux = evaluate(autoencoders.info_vae, kernel=kernel)
    assert loss == pytest.approx(aux['rec'] + .75 * aux['kl'] + 3.25 * aux['mmd'], rel=1e-12)
    vae, want = evaluate(autoencoders.vae)[2], evaluate(autoencoders.vae, {'beta': 0.})[1]
    assert (aux['rec'], aux['kl']) == pytest.approx((vae['rec'], vae['kl']), rel=1e-12)
    toys.close(grads['dec'], want['dec'], atol=1e-12)
    method, params, carry = started(autoencoders.info_vae, kernel=kernel)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    z = np.asarray(method.evals['sample_q'](params, carry, q,
                                            core.derive(jax.random.key(0), 0, 1)))
    noise = np.asarray(jax.random.normal(core.derive(jax.random.key(0), 2), z.shape))
    r2 = lambda x, y: ((x[:, None] - y)**2).sum(-1)
    width = 2 * (np.sort(r2(z, z)[~np.eye(12, dtype=bool)])[66] +
                 np.sort(r2(z, noise).ravel())[72])
    k = {
        'imq': lambda x, y: sum(s * 6 / (s * 6 + r2(x, y))
                                for s in (.1, .2, .5, 1., 2., 5., 10.)),
        'rbf': lambda x, y: np.exp(-r2(x, y) / width),
        'tutorial': lambda x, y: np.exp(-r2(x, y) / 9)
    }[kernel]
    off = lambda a: (a.sum() - np.trace(a)) / 132
    assert aux['mmd'] == pytest.approx(
        off(k(z, z)) + off(k(noise, noise)) - 2 * k(z, noise).mean(), rel=1e-9)


def test_info_vae_without_information_is_the_vae():
    a, b = evaluate(autoencoders.info_vae, {'alpha': 0., 'mmd': 1.}), evaluate(autoencoders.vae)
    assert a[0] == pytest.approx(b[0], rel=1e-12)
    toys.close(a[1], b[1], atol=1e-12)
    loss, _, aux = evaluate(autoencoders.info_vae, {'alpha': 1., 'mmd': 100.})
    assert loss == pytest.approx(aux['rec'] + 100 * aux['mmd'], rel=1e-12) and aux['beta'] == 0
    rounded = evaluate(autoencoders.info_vae,
                       {'alpha': np.float32(.9), 'mmd': np.float32(.1) - 1e-7})
    assert rounded[0] == pytest.approx(rounded[2]['rec'] + .1 * rounded[2]['kl'], rel=1e-6)


def test_info_vae_of_sentences_is_its_formula():
    columns = schema.text(tuple('abcdefghi'), 5)
    kit = networks.build(columns, {'name': 'lstm', 'latent': 2, 'embed': 4, 'hidden': 4,
                                   'init_scale': 1.})
    method, batch = toys.make('info_vae', kit), toys.all_of(toys.sentences(6))
    params, carry = method.init(jax.random.key(0), batch)
    ctx = toys.ctx(toys.hp('info_vae', alpha=.25, mmd=4.))
    loss, (_, aux) = toys.jit(method.phases[0].players[0].loss)(params, carry, batch, ctx)
    assert float(aux['kl']) > .01 and abs(float(aux['mmd'])) > .01
    assert float(loss) == pytest.approx(
        float(aux['rec'] + .75 * aux['kl'] + 3.25 * aux['mmd']), rel=1e-6)


def test_info_vae_of_negative_weight_fails_at_once():
    method = autoencoders.info_vae(toys.kit(), toys.recipe())
    hp = {k: jnp.asarray(v) for k, v in {**HP, 'alpha': 0., 'mmd': 1e-3}.items()}
    state = core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(12)), hp)
    new, _ = toys.jit(core.make_step(method.phases[0]))(state, DATA, jnp.arange(12)[None])
    assert int(new.status) == core.FAILED and not toys.moved(state.params, new.params)


@pytest.mark.parametrize('kernel', regularizers.DISCREPANCIES)
def test_order_of_the_prior_draws_changes_nothing(kernel, monkeypatch):
    rate, z = regularizers.discrepancy(kernel, 3), jax.random.normal(jax.random.key(1),
                                                                     (9, 3)) + 1
    want, draw = rate_of(rate, z), jax.random.normal
    monkeypatch.setattr(jax.random, 'normal',
                        lambda *a: draw(*a)[jnp.array([4, 2, 8, 0, 1, 7, 3, 6, 5])])
    assert float(rate_of(rate, z)) == pytest.approx(float(want), rel=1e-10)
    assert float(rate_of(rate, z[::-1])) == pytest.approx(float(want), rel=1e-10)
    assert float(rate_of(regularizers.discrepancy(kernel, 3, 2.), z)) != pytest.approx(
        float(want), rel=1e-3)


def test_wae_reaches_every_kernel():
    for kernel in regularizers.DISCREPANCIES:
        loss, _, aux = evaluate(autoencoders.wae_mmd, {'beta': 7.}, kernel=kernel)
        method, params, carry = started(autoencoders.wae_mmd, kernel=kernel)
        z = method.evals['encode'](params, carry, toys.all_of(DATA))
        want = rate_of(regularizers.discrepancy(kernel, 3), z, core.derive(
            jax.random.key(0), 1))
        assert aux['mmd'] == pytest.approx(float(want), rel=1e-10)
        assert loss == pytest.approx(aux['rec'] + 7 * aux['mmd'], rel=1e-12)
    with pytest.raises(UserError, match='unknown kernel'):
        autoencoders.wae_mmd(toys.kit(), toys.recipe(), kernel='laplace')


# A critic on codes.

GAN = functools.partial(evaluate, aggregate_posterior.wae_gan, hidden=(6,))


def blind(params, bias=0.):
    """A critic that says the same of every code."""
    critic = jax.tree.map(jnp.zeros_like, params['critic'])
    return {**params, 'critic': [*critic[:-1], {**critic[-1], 'b': critic[-1]['b'] + bias}]}


def test_players_of_the_game():
    method, params, _ = started(aggregate_posterior.wae_gan, hidden=(6,))
    critic, vae = method.phases[0].players
    assert critic.trains == ('critic',) and set(vae.trains) == {'enc', 'head', 'dec'
                                                                 } == set(params) - {'critic'}
    grads = GAN(player=0)[1]
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(grads['critic']))
    assert not any(jnp.abs(g).max() for k in vae.trains for g in jax.tree.leaves(grads[k]))
    assert 'kl' in method.evals and 'kl' not in started(aggregate_posterior.wae_gan,
                                                        hidden=(6,), stochastic=False)[0].evals
    assert set(GAN(stochastic=False)[2]) == {'rec', 'beta', 'fool'}


def test_blind_critic_gives_two_log_two_and_pulls_no_code():
    params = blind(started(aggregate_posterior.wae_gan, hidden=(6,))[1])
    assert GAN(params=params, player=0)[0] == pytest.approx(2 * np.log(2), rel=1e-12)
    loss, grads, aux = GAN({'beta': 10.}, params)
    assert loss == pytest.approx(aux['rec'] + 10 * np.log(2), rel=1e-12)
    rec = GAN({'beta': 0.}, params)[1]
    toys.close({k: grads[k]
                for k in ('enc', 'head', 'dec')}, {k: rec[k]
                                                   for k in ('enc', 'head', 'dec')}, atol=1e-12)
    seeing = GAN({'beta': 10.})[1]
    assert float(jnp.abs(seeing['enc']['w'] - GAN({'beta': 0.})[1]['enc']['w']).max()) > 1e-3


def test_constant_critic_is_the_closed_form():
    params = blind(started(aggregate_posterior.wae_gan, hidden=(6,))[1], 1.5)
    want = np.log1p(np.exp(-1.5)) + np.log1p(np.exp(1.5))
    assert GAN(params=params, player=0)[0] == pytest.approx(want, rel=1e-10)
    assert GAN(params=params)[2]['fool'] == pytest.approx(np.log1p(np.exp(-1.5)), rel=1e-10)


def test_known_part_of_the_best_critic():
    """A network that says nothing leaves log p(z)."""
    params = blind(started(aggregate_posterior.wae_gan, hidden=(6,))[1])
    method, _, carry = started(aggregate_posterior.wae_gan, hidden=(6,), p_trick=True)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    z = method.evals['sample_q'](params, carry, q, core.derive(jax.random.key(1), 0, 1))
    logit = lambda z: np.asarray(distributions.normal_log_prob(z))
    prior = jax.random.normal(jax.random.key(0), z.shape)
    want = np.log1p(np.exp(-logit(prior))).mean() + np.log1p(np.exp(logit(z))).mean()
    assert GAN(params=params, player=0, p_trick=True)[0] == pytest.approx(want, rel=1e-10)
    assert GAN(params=params, p_trick=True)[2]['fool'] == pytest.approx(
        np.log1p(np.exp(-logit(z))).mean(), rel=1e-10)


def test_the_critic_may_move_last():
    """Then it sees the codes that the autoencoder has just made."""
    hp = {k: jnp.asarray(v) for k, v in HP.items()}
    for first, order in ((True, ['critic', 'vae']), (False, ['vae', 'critic'])):
        method = aggregate_posterior.wae_gan(toys.kit(), toys.recipe(), hidden=(6,),
                                             stochastic=False, d_first=first)
        phase = method.phases[0]
        assert [p.name for p in phase.players] == order
        state = core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(12)), hp)
        new, metrics = toys.jit(core.make_step(phase))(state, DATA, jnp.arange(12)[None])
        code = method.evals['encode'](state.params if first else new.params, state.carry,
                                      toys.all_of(DATA))
        key = core.derive(state.key, 2, 0, 1 + order.index('critic'), 0)
        score = lambda z, p=state.params: np.asarray(toys.mlp((3, 6, 1)).apply(p['critic'], z))
        want = np.log1p(np.exp(-score(jax.random.normal(key, code.shape)))) + np.log1p(
            np.exp(score(code)))
        assert float(metrics['critic/loss']) == pytest.approx(float(want.mean()), rel=1e-6)


def test_both_players_see_the_same_codes():
    """A critic linear in z tells the mean of the codes it saw."""
    kit = toys.kit().replace(mlp=lambda sizes: toys.linear(sizes[0], 1, False))
    method = aggregate_posterior.wae_gan(kit, toys.recipe(), hidden=())
    params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
    params = {**params, 'critic': {'w': jnp.zeros((3, 1))}}
    ctx = toys.ctx({k: jnp.asarray(v) for k, v in HP.items()})
    critic, vae = method.phases[0].players

    def pull(player, aux):
        f = lambda w: player.loss({**params, 'critic': {'w': w}}, carry, toys.all_of(DATA), ctx)
        return jax.grad(lambda w: f(w)[1][1]['fool'] if aux else f(w)[0])(
            params['critic']['w'])[:, 0]

    codes = -2 * pull(vae, True)
    prior = jax.random.normal(ctx.key, (12, 3)).mean(0)
    np.testing.assert_allclose(2 * pull(critic, False) + prior, codes, atol=1e-10)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    want = method.evals['sample_q'](params, carry, q, core.derive(ctx.step_key, 0, 1)).mean(0)
    np.testing.assert_allclose(codes, want, atol=1e-10)


def test_critic_learns_by_its_own_adam():
    method, params, _ = started(aggregate_posterior.wae_gan, hidden=(6,))
    tx = method.phases[0].players[0].tx({k: jnp.asarray(v)
                                         for k, v in HP.items()}
                                        | {'lr_scale': jnp.float64(.1)})
    grads = {'critic': jax.tree.map(jnp.ones_like, params['critic'])}
    steps, state = [], tx.init(grads)
    for sign in (1., -1.):
        update, state = tx.update(jax.tree.map(lambda g, s=sign: s * g, grads), state)
        steps.append(float(update['critic'][0]['b'][0]))
    adam, state = optax.adam(1e-3, .5, .999), None
    state = adam.init(jnp.ones(1))
    want = []
    for sign in (1., -1.):
        update, state = adam.update(sign * jnp.ones(1), state)
        want.append(float(update[0]))
    assert steps == pytest.approx(want, rel=1e-6) and steps[0] == pytest.approx(-1e-3, rel=1e-4)


def test_the_game_moves_the_aggregate_to_the_prior():
    """From codes at 3 the critic pulls the mean towards 0."""
    method = aggregate_posterior.wae_gan(toys.kit(), toys.recipe(), hidden=(6,))
    hp = {k: jnp.asarray(v) for k, v in {**HP, 'beta': 5., 'critic_lr': .02, 'lr': .02}.items()}
    state = core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(12)), hp)
    head = {
        **state.params['head'], 'b': state.params['head']['b'].at[:3].set(3.).at[3:].set(-1.)
    }
    state = state._replace(params={**state.params, 'head': head})
    idx = jnp.broadcast_to(jnp.arange(12, dtype=jnp.int32), (300, 1, 12))
    new, metrics = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx, jnp.int32(300))
    far, near = (np.abs(method.evals['encode'](s.params, s.carry,
                                               toys.all_of(DATA)).mean(0)).max()
                 for s in (state, new))
    assert far > 2 and near < .6 * far
    assert np.isfinite(metrics['critic/loss']).all()


@pytest.mark.parametrize(
    'make, options', [(aggregate_posterior.wae_s, {'kernel': 'rbf'}),
                      (aggregate_posterior.dg_vae, {'joint': True, 'chunk': 4, 'draws': 3}),
                      (aggregate_posterior.wae_gan, {'stochastic': False, 'hidden': (6,)})])
def test_empty_slots_do_not_count_in_variants(make, options):
    weight = (jnp.arange(12) < 7).astype(float)
    full, other = (evaluate(make, batch={'x': x, 'weight': weight}, **options)
                   for x in (DATA['x'], DATA['x'].at[7:].set(.37)))
    toys.close(full, other, rtol=1e-9, atol=1e-12)
    none = evaluate(make, batch={'x': DATA['x'], 'weight': 0 * weight}, **options)
    assert not any(np.isnan(x).any() for x in jax.tree.leaves(none))
