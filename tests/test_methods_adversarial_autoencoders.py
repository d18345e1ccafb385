"""Adversarial autoencoders: one game in five forms, their special cases and what each player
may see.
"""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
import toys

from vaebench import core, schema
from vaebench.errors import UserError
from vaebench.methods import adversarial_autoencoders as aae
from vaebench.methods import autoencoders, styles

DATA = toys.labelled(12)
HP = {
    'lr': .1, 'lr_scale': 1., 'critic_lr': .05, 'adversarial': 1., 'label_noise': 0., 'eta': 2.,
    'apart': .5
}
K, Z = toys.CLASSES, 3
FORMS = {
    'basic': (aae.aae, {}), 'gaussian': (aae.aae, {'stochastic': True, 'spread': 2.}),
    'told': (aae.aae, {'labels': 'all'}), 'some': (aae.aae, {'labels': 'some'}),
    'supervised': (aae.supervised_aae, {}), 'semi': (aae.categorical_aae, {}),
    'clusters': (aae.categorical_aae, {'clusters': 5, 'labelled': False}),
    'heads': (aae.categorical_aae, {'clusters': 5, 'labelled': False, 'heads': True}),
    'semi_heads': (aae.categorical_aae, {'heads': True, 'stochastic': True}),
}


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def started(form, kit=toys.kit, **options):
    """Method, params and carry."""
    make, own = FORMS[form]
    method = make(kit(), toys.recipe(), **{'hidden': (4,), **own, **options})
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@functools.cache
def compiled(form, **options):
    """Every player's ((loss, (carry, aux)), gradient): (params, carry, batch, ctx) -> name ->
    ...
    """
    players = started(form, **options)[0].phases[0].players
    return toys.jit(lambda *args:
                    {p.name: jax.value_and_grad(p.loss, has_aux=True)(*args)
                     for p in players})


def evaluate(form, params=None, batch=None, numbers=None, **options):
    """Name of a player -> loss, gradient by all parameters, aux."""
    _, own, carry = started(form, **options)
    ctx = toys.ctx({k: jnp.asarray(v) for k, v in {**HP, **(numbers or {})}.items()})
    out = compiled(form, **options)(params or own, carry,
                                    toys.all_of(DATA) if batch is None else batch, ctx)
    return {name: (float(loss), grads, {k: float(v) for k, v in aux.items()})
            for name, ((loss, (_, aux)), grads) in out.items()}


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)] or [np.zeros(0)])


# Who moves.

@pytest.mark.parametrize('form', FORMS)
def test_phases_of_one_step(form):
    method, params, _ = started(form)
    players = method.phases[0].players
    semi = form in ('semi', 'semi_heads')
    assert [p.name for p in players] == [
        'reconstruct', 'critic', 'encoder', *(['classify'] if semi else [])
    ]
    critics = {k for k in params if k.startswith('critic_')}
    classes = {'classes'} & set(params)
    assert critics == {'critic_z', 'critic_y'} if classes else {'critic_z'}
    assert set(players[0].trains) == set(params) - critics and set(players[1].trains) == critics
    assert set(players[2].trains) == {'enc', 'head'} | classes
    if semi:
        assert set(players[3].trains) == {'enc', 'classes'}


@pytest.mark.parametrize('form', ['basic', 'gaussian', 'some', 'supervised', 'semi_heads'])
def test_critics_leave_the_encoder_untouched_and_are_felt_by_it(form):
    out = evaluate(form)
    for name, grads in {'critic': out['critic'][1], 'encoder': out['encoder'][1]}.items():
        for key, g in grads.items():
            moved = float(np.abs(flat(g)).max(initial=0))
            if key.startswith('critic_') or (name == 'encoder'
                                             and key in ('enc', 'head', 'classes')):
                assert moved > 1e-6, (name, key)
            else:
                assert moved < 1e-12, (name, key)
    assert all(
        np.abs(flat(g)).max() > 1e-8 for k, g in out['reconstruct'][1].items()
        if not k.startswith('critic_'))


def blind(params, bias=0.):
    """Critics that say the same of everything."""
    def flatten(critic):
        zero = jax.tree.map(jnp.zeros_like, critic)
        return [*zero[:-1], {**zero[-1], 'b': zero[-1]['b'] + bias}]

    return {k: flatten(v) if k.startswith('critic_') else v for k, v in params.items()}


@pytest.mark.parametrize('form, games', [('basic', 1), ('some', 1), ('supervised', 1),
                                         ('semi', 2), ('heads', 2)])
def test_blind_critics(form, games):
    params = started(form)[1]
    out = evaluate(form, blind(params), numbers={'adversarial': 3.})
    assert out['critic'][0] == pytest.approx(games * 2 * np.log(2), rel=1e-12)
    assert out['encoder'][0] == pytest.approx(3 * games * np.log(2), rel=1e-12)
    assert np.abs(flat({k: out['encoder'][1][k] for k in ('enc', 'head')})).max() == 0
    sure = evaluate(form, blind(params, 1.5))
    assert sure['critic'][0] == pytest.approx(
        games * (np.log1p(np.exp(-1.5)) + np.log1p(np.exp(1.5))), rel=1e-12)
    assert sure['encoder'][0] == pytest.approx(games * np.log1p(np.exp(-1.5)), rel=1e-12)


def score(params, x):
    return np.asarray(toys.mlp((x.shape[-1], 4, 1)).apply(params, jnp.asarray(x)))[:, 0]


def cross_entropies(params, real, fake):
    return np.log1p(np.exp(-score(params, real))).mean() + np.log1p(np.exp(score(params,
                                                                                 fake))).mean()


@pytest.mark.parametrize('form, spread', [('basic', 1.), ('gaussian', 2.)])
def test_basic_form_is_its_formula(form, spread):
    method, params, carry = started(form)
    e, batch, key, out = method.evals, toys.all_of(DATA), jax.random.key(0), evaluate(form)

    def code(*path):
        q = e['posterior'](params, carry, batch)
        return e['sample_q'](params, carry, q, core.derive(key, *path, 1))

    real = spread * jax.random.normal(core.derive(key, 0, 1, 0, 2), (12, Z))
    assert out['critic'][0] == pytest.approx(
        cross_entropies(params['critic_z'], real, code(0, 0)), rel=1e-10)
    fooled = np.log1p(np.exp(-score(params['critic_z'], code(0, 0)))).mean()
    assert out['encoder'][0] == out['encoder'][2]['z'] == pytest.approx(fooled, rel=1e-10)
    rec = -e['log_lik'](params, carry, code(0), batch).mean()
    assert out['reconstruct'][0] == out['reconstruct'][2]['rec'] == pytest.approx(
        float(rec), rel=1e-10)


def test_each_player_has_an_optimiser_and_the_critic_a_rate_of_its_own():
    method = aae.categorical_aae(toys.kit(),
                                 toys.recipe(clip=1e9, tx=lambda lr: optax.sgd(lr, .9)),
                                 hidden=(4,))
    hp = {k: jnp.asarray(v) for k, v in HP.items()}
    state = core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(12)), hp)
    step = toys.jit(core.make_step(method.phases[0]))
    idx = jnp.arange(12)[None]
    new, slow = (step(s, DATA, idx)[0]
                 for s in (state, state._replace(hp={**hp, 'critic_lr': jnp.asarray(.01)})))
    assert set(new.opt) == {'reconstruct', 'critic', 'encoder', 'classify'}
    traces = [flat(jax.tree.leaves(new.opt[p])).size for p in ('reconstruct', 'encoder')]
    sizes = {k: flat(v).size for k, v in state.params.items()}
    assert traces == [
        sum(sizes[k] for k in keys)
        for keys in (('enc', 'head', 'classes', 'dec'), ('enc', 'head', 'classes'))
    ]
    far, near = (flat(s.params['critic_z']) - flat(state.params['critic_z'])
                 for s in (new, slow))
    # the first step of either
    np.testing.assert_allclose(far, 5 * near, rtol=1e-6, atol=1e-12)
    assert toys.moved(state.params, new.params) == set(state.params)


# Forms as special cases of each other.

@pytest.mark.parametrize('stochastic', [False, True])
def test_heads_of_zero_leave_the_basic_form(stochastic):
    basic, form = {'stochastic': stochastic}, {'stochastic': stochastic}
    _, params, carry = started('heads', **form)
    method = started('basic', **basic)[0]
    params = {**params, 'heads': jnp.zeros_like(params['heads'])}
    own = {k: params[k] for k in started('basic', **basic)[1]}
    a, b = evaluate('basic', own, **basic), evaluate('heads', params, numbers={'apart': 0.},
                                                     **form)
    assert b['reconstruct'][0] == pytest.approx(a['reconstruct'][0], rel=1e-12)
    for player in ('critic', 'encoder'):
        assert b[player][2]['z'] == pytest.approx(a[player][2]['z'], rel=1e-12)
    toys.close({k: b['reconstruct'][1][k] for k in ('enc', 'head', 'dec')},
               {k: a['reconstruct'][1][k] for k in ('enc', 'head', 'dec')}, atol=1e-12)
    toys.close(b['critic'][1]['critic_z'], a['critic'][1]['critic_z'], atol=1e-12)
    toys.close(b['encoder'][1]['head'], a['encoder'][1]['head'], atol=1e-12)
    e, batch, z = started('heads', **form)[0].evals, toys.all_of(DATA), jax.random.normal(
        jax.random.key(1), (12, Z))
    for name, rest in (('encode', (batch,)), ('log_prior', (z,)), ('log_lik', (z, batch)),
                       ('decode', (z, None, ''))):
        toys.close(e[name](params, carry, *rest), method.evals[name](own, carry, *rest),
                   rtol=1e-10)


def test_clustering_is_the_semi_supervised_form_without_labels():
    one, other = evaluate('semi'), evaluate('semi', labelled=False)
    assert set(one) - set(other) == {'classify'}
    for player in other:
        assert one[player][0] == other[player][0]
        toys.close(one[player][1], other[player][1], rtol=1e-12)
    a, b = (started('semi', **o) for o in ({}, {'labelled': False}))
    assert set(a[0].evals) ^ set(b[0].evals) == {'classify', 'cluster'}
    toys.close(a[0].evals['classify'](a[1], a[2], toys.all_of(DATA)),
               b[0].evals['cluster'](b[1], b[2], toys.all_of(DATA)))


def test_heads_code_is_style_and_class():
    """Its critic sees the style, its prior is a mixture around the heads, and its draws follow
    that.
    """
    method, params, carry = started('heads')
    e, batch = method.evals, toys.all_of(DATA)
    q, code = e['posterior'](params, carry, batch), e['encode'](params, carry, batch)
    y = scipy.special.softmax(q['logits'], -1)
    np.testing.assert_allclose(code, q['style']['mean'] + y @ params['heads'], rtol=1e-10)
    real = jax.random.normal(core.derive(jax.random.key(0), 0, 1, 0, 2), (12, Z))
    want = cross_entropies(params['critic_z'], real, q['style']['mean'])
    assert evaluate('heads')['critic'][2]['z'] == pytest.approx(want, rel=1e-9)
    z = np.asarray(jax.random.normal(jax.random.key(1), (7, Z)))
    laws = [scipy.stats.multivariate_normal(h, np.eye(Z)) for h in np.asarray(params['heads'])]
    want = scipy.special.logsumexp([law.logpdf(z) for law in laws], 0) - np.log(5)
    np.testing.assert_allclose(e['log_prior'](params, carry, z), want, rtol=1e-10)
    far = {**params, 'heads': 50. * params['heads']}
    draws = np.asarray(e['sample_prior'](far, carry, jax.random.key(2), 5000))
    nearest = ((draws[:, None] - far['heads'])**2).sum(-1).argmin(1)
    np.testing.assert_allclose(np.bincount(nearest, minlength=5) / 5000, .2, atol=.025)
    np.testing.assert_allclose((draws - far['heads'][nearest]).std(0), 1., atol=.05)
    assert e['decode'](params, carry, code, None, 'mean')['x'].shape == (12, 2, 2, 1)


def test_class_critic_compares_the_softmax_with_one_hot_vectors():
    method, params, carry = started('semi')
    logits = method.evals['posterior'](params, carry, toys.all_of(DATA))['logits']
    real = np.eye(K)[jax.random.randint(core.derive(jax.random.key(0), 0, 1, 1, 2), (12,), 0,
                                        K)]
    want = cross_entropies(params['critic_y'], real, scipy.special.softmax(logits, -1))
    plain, noisy = evaluate('semi'), evaluate('semi', numbers={'label_noise': .5})
    assert plain['critic'][2]['y'] == pytest.approx(want, rel=1e-10)
    assert plain['critic'][2]['z'] == noisy['critic'][2]['z'] and plain['encoder'][2][
        'z'] == noisy['encoder'][2]['z']
    noise = [
        .5 * np.asarray(jax.random.normal(core.derive(jax.random.key(0), 0, 1, 1, t), (12, K)))
        for t in (0, 1)
    ]
    want = cross_entropies(params['critic_y'], real + noise[0],
                           scipy.special.softmax(logits, -1) + noise[1])
    assert noisy['critic'][2]['y'] == pytest.approx(want, rel=1e-10)


def test_heads_that_are_near_pay():
    heads = np.array([[0., 0., 0.], [1., 0., 0.], [0., 3., 0.], [1., 0., 0.], [9., 9., 9.]])
    params = {**started('heads')[1], 'heads': jnp.asarray(heads)}
    out = evaluate('heads', params, numbers={'eta': 2., 'apart': .5})
    pairs = [np.linalg.norm(heads[i] - heads[j]) for i in range(5) for j in range(i)]
    near = sum(max(0., 2. - d) for d in pairs)
    assert near == pytest.approx(1 + 1 + 2)
    loss, grads, aux = out['reconstruct']
    assert aux['near'] == pytest.approx(near, abs=1e-5) and loss == pytest.approx(
        aux['rec'] + .5 * near, abs=1e-5)
    free = evaluate('heads', params, numbers={'apart': 0.})['reconstruct'][1]['heads']
    push = np.asarray(grads['heads'] - free)
    # twins: no direction, and no NaN
    assert np.isfinite(push).all() and (push[[2, 4]] == 0).all()
    # away from both heads at (1, 0, 0)
    np.testing.assert_allclose(push[0], [2 * .5, 0, 0], atol=1e-9)


# Labels.

def test_semi_supervised_form_reads_the_partners_labels_only():
    batch = toys.all_of(DATA)
    other = {**batch, 'label': (batch['label'] + 1) % K}
    a, b = evaluate('semi'), evaluate('semi', batch=other)
    for player in a:
        assert a[player][0] == b[player][0]
        toys.close(a[player][1], b[player][1], rtol=1e-12)
    moved = {
        **batch, 'partner': {**batch['partner'], 'label': (batch['partner']['label'] + 1) % K}
    }
    c = evaluate('semi', batch=moved)
    assert [p for p in a if a[p][0] != c[p][0]] == ['classify']
    method, params, carry = started('semi')
    log_p = np.asarray(method.evals['classify'](params, carry, batch['partner']))
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, rtol=1e-12)
    label = np.asarray(batch['partner']['label'])
    assert a['classify'][0] == pytest.approx(-log_p[np.arange(12), label].mean(), rel=1e-10)
    assert a['classify'][2]['wrong'] == pytest.approx((log_p.argmax(1) != label).mean())


def test_supervised_form_keeps_the_style_in_the_code():
    method, params, carry = started('supervised')
    e, batch = method.evals, toys.all_of(DATA)
    other = {**batch, 'label': (batch['label'] + 1) % K}
    assert (e['encode'](params, carry, batch) == e['encode'](params, carry, other)).all()
    z = e['encode'](params, carry, batch)
    want = jax.nn.sigmoid(z @ params['dec']['w'][:Z] + params['dec']['w'][Z + batch['label']] +
                          params['dec']['b'])
    np.testing.assert_allclose(toys.flat(e['reconstruct'](params, carry, batch)['x']), want,
                               rtol=1e-10)
    x = toys.flat(batch['x'])
    log_lik = (x * np.log(want) + (1 - x) * np.log1p(-want)).sum(-1)
    np.testing.assert_allclose(e['log_lik'](params, carry, z, batch), log_lik, rtol=1e-10)
    assert evaluate('supervised')['reconstruct'][0] == pytest.approx(
        -float(log_lik.mean()), rel=1e-10)
    assert (e['log_lik'](params, carry, z, other) != e['log_lik'](params, carry, z,
                                                                  batch)).all()
    deaf = {**params, 'dec': {**params['dec'], 'w': params['dec']['w'].at[:Z].set(0.)}}
    drawn = toys.flat(e['sample'](deaf, carry, jax.random.key(0), 3000, 'mean')['x'])
    faces = jax.nn.sigmoid(deaf['dec']['w'][Z:] + deaf['dec']['b'])
    which = np.abs(np.asarray(drawn)[:, None] - faces).max(-1)
    # one label each, all equally likely
    np.testing.assert_allclose(which.min(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.bincount(which.argmin(1)) / 3000, 1 / K, atol=.04)
    assert not {'decode', 'log_prior', 'sample_prior'} & set(e)


@functools.cache
def linear_critic(labels, style='ring'):
    """The basic form in the plane with a critic that is linear in code and label."""
    kit = toys.kit(latent=2).replace(mlp=lambda sizes: toys.linear(sizes[0], 1))
    method = aae.aae(kit, toys.recipe(), style=style, labels=labels, hidden=())
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@pytest.mark.parametrize('labels', ['all', 'some'])
def test_critic_is_told_labels_and_sees_their_part_of_the_prior(labels):
    method, params, carry = linear_critic(labels)
    batch, key = toys.all_of(DATA), jax.random.key(0)
    w, b = params['critic_z']['w'][:, 0], params['critic_z']['b'][0]
    assert w.shape == (2 + K + 1,)
    encode = method.evals['encode']
    streams = {
        'all': [(batch, batch['label'])],
        'some': [(batch, jnp.full(12, K)), (batch['partner'], batch['partner']['label'])]
    }[labels]
    losses = []
    for i, (part, label) in enumerate(streams):
        real = styles.ring(toys.kit(2), K).draw(core.derive(key, i, 1, 0, 2), label)
        fake = encode(params, carry, part)
        a, c = (z @ w[:2] + w[2 + label] + b for z in (real, fake))
        losses.append(float((jnp.log1p(jnp.exp(-a)) + jnp.log1p(jnp.exp(c))).mean()))
    loss = method.phases[0].players[1].loss(params, carry, batch, toys.ctx({**HP}))[0]
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-10)


# Laws of styles.

def test_ring_is_a_mixture_of_ten_petals():
    kit = toys.kit(latent=2)
    law = styles.ring(kit, 10, 2.)
    angles = 2 * np.pi * np.arange(10) / 10
    turn = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    laws = [
        scipy.stats.multivariate_normal(2 * 1.4 * t[:, 0], t @ np.diag([1., .04]) @ t.T)
        for t in turn
    ]
    z = np.random.default_rng(0).normal(size=(9, 2)) * 2
    want = scipy.special.logsumexp([p.logpdf(z) for p in laws], 0) - np.log(10)
    np.testing.assert_allclose(law.log_prob(z), want, rtol=1e-9)
    draws = np.asarray(law.draw(jax.random.key(0), jnp.full(4000, 3)))
    np.testing.assert_allclose(draws.mean(0), laws[3].mean, atol=.06)
    np.testing.assert_allclose(np.cov(draws.T), laws[3].cov, atol=.08)
    every = np.asarray(law.draw(jax.random.key(1), jnp.full(4000, 10)))
    own = np.array([p.logpdf(every) for p in laws]).argmax(0)
    counts = np.bincount(own, minlength=10)
    assert counts.min() > 300 and counts.max() < 500
    assert np.asarray(law.log_prob(every)).mean() == pytest.approx(
        np.asarray(law.log_prob(laws_draws(laws))).mean(), abs=.1)


def laws_draws(laws):
    return np.concatenate([p.rvs(400, random_state=i) for i, p in enumerate(laws)])


def test_roll_is_cut_into_stretches():
    kit = toys.kit(latent=2)
    law = styles.roll(kit, 4, 3., noise=0.)
    for k in range(4):
        radius = np.linalg.norm(law.draw(jax.random.key(k), jnp.full(500, k)), axis=-1) / 3
        assert .1 + .9 * k / 4 <= radius.min() < radius.max() <= .1 + .9 * (k + 1) / 4
    z = np.asarray(law.draw(jax.random.key(9), jnp.full(500, 4))) / 3
    radius = np.linalg.norm(z, axis=-1)
    assert radius.min() < .15 and radius.max() > .95
    np.testing.assert_allclose(np.exp(1j * 3 * np.pi * radius),
                               (z[:, 0] + 1j * z[:, 1]) / radius, atol=1e-6)
    method, params, carry = linear_critic('', 'roll')
    assert 'log_prior' not in method.evals
    assert method.evals['sample'](params, carry, jax.random.key(0), 5,
                                  'mean')['x'].shape == (5, 2, 2, 1)


def test_scaled_normal_has_its_density():
    method, params, carry = started('gaussian')
    z = np.random.default_rng(0).normal(size=(7, Z))
    want = scipy.stats.norm(0, 2).logpdf(z).sum(-1)
    np.testing.assert_allclose(method.evals['log_prior'](params, carry, z), want, rtol=1e-10)
    draws = method.evals['sample_prior'](params, carry, jax.random.key(0), 20000)
    np.testing.assert_allclose(draws.std(0), 2., atol=.05)
    # the closed form is that from N(0, I)
    assert 'kl' not in method.evals
    unit = started('gaussian', spread=1.)
    vae = autoencoders.vae(toys.kit(), toys.recipe()).evals
    q = unit[0].evals['posterior'](unit[1], unit[2], toys.all_of(DATA))
    np.testing.assert_allclose(unit[0].evals['kl'](unit[1], unit[2], q), vae['kl'](unit[1],
                                                                                   unit[2], q))


# Training.

def run(method, data, steps, **numbers):
    hp = {k: jnp.asarray(v) for k, v in {**HP, **numbers}.items()}
    n = len(data['x'])
    state = core.init(method, jax.random.key(0), core.take(data, jnp.arange(n)), hp)
    idx = jnp.broadcast_to(jnp.arange(n, dtype=jnp.int32), (steps, 1, n))
    return toys.jit(core.make_block(method.phases[0]))(state, data, idx, jnp.int32(steps))


def test_codes_move_to_the_prior():
    """From codes at 3 the critic pulls the mean towards 0, and the reconstruction stays."""
    method = aae.aae(toys.kit(), toys.recipe(), hidden=(6,))
    params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
    params['head']['b'] = params['head']['b'] + 3.
    method = method._replace(init=lambda key, data: (params, carry))
    state, metrics = run(method, DATA, 400, critic_lr=.05, lr=.02)
    far, near = (np.abs(method.evals['encode'](p, carry, toys.all_of(DATA)).mean(0)).max()
                 for p in (params, state.params))
    assert far > 2.5 and near < .6 * far
    assert float(metrics['reconstruct/rec'][-1]) < float(metrics['reconstruct/rec'][0])
    assert np.isfinite(metrics['critic/loss']).all()


@pytest.mark.slow
def test_three_labels_teach_the_semi_supervised_form():
    """Three kinds of images, one labelled example of each: the rest is classified."""
    rng = np.random.default_rng(0)
    kinds = np.array([[1., 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]])
    label = np.arange(60) % 3
    x = np.clip(kinds[label] + .1 * rng.normal(size=(60, 4)), 0, 1).reshape(60, 2, 2, 1)
    data = {
        'x': jnp.asarray(x), 'label': jnp.asarray(label),
        'partner': schema.Rows(jnp.asarray(rng.integers(0, 3, 60)))
    }
    method = aae.categorical_aae(toys.kit(2), toys.recipe(), hidden=(6,))
    state, metrics = run(method, data, 300, label_noise=.3)
    log_p = method.evals['classify'](state.params, state.carry, {'x': data['x']})
    assert (np.asarray(log_p).argmax(1) == label).mean() > .95
    assert np.isfinite(flat(metrics)).all()


def test_noise_is_on_the_encoders_input_in_training():
    clean, noisy = evaluate('basic'), evaluate('basic', noise=.6)
    assert clean['reconstruct'][0] != noisy['reconstruct'][0] and clean['encoder'][0] != noisy[
        'encoder'][0]
    method, params, carry = started('basic', noise=.6)
    batch = toys.all_of(DATA)
    x = batch['x']
    seen = {
        **batch, 'x': x +
        .6 * jax.random.normal(core.derive(jax.random.key(0), 0, 3), x.shape, x.dtype)
    }
    z = method.evals['encode'](params, carry, seen)
    rec = -method.evals['log_lik'](params, carry, z, batch).mean()          # of the clean image
    assert noisy['reconstruct'][0] == pytest.approx(float(rec), rel=1e-6)
    toys.close(method.evals['encode'](params, carry, batch),
               started('basic')[0].evals['encode'](params, carry, batch))


# Promises.

@pytest.mark.parametrize('form', FORMS)
def test_empty_slots_do_not_count(form):
    weight = (jnp.arange(12) < 7).astype(float)
    batch = toys.all_of(DATA)
    part = {k: v for k, v in batch['partner'].items() if k != 'weight'}
    full = {**batch, 'weight': weight}
    junk = {**full, 'x': batch['x'].at[7:].set(.37), 'label': batch['label'].at[7:].set(0),
            'partner': {'x': part['x'].at[7:].set(.2), 'label': part['label'].at[7:].set(0)}}
    full['partner'] = part
    a, b = evaluate(form, batch=full), evaluate(form, batch=junk)
    toys.close(a, b, rtol=1e-9, atol=1e-12)
    none = evaluate(form, batch={**full, 'weight': 0 * weight})
    assert not any(np.isnan(x).any() for x in jax.tree.leaves(none))


@pytest.mark.parametrize('form', FORMS)
def test_what_is_offered(form):
    method, params, carry = started(form)
    e, batch = method.evals, toys.all_of(DATA)
    assert set(e) <= set(core.EVALS)
    assert {'encode', 'sample', 'posterior', 'sample_q', 'log_lik'} <= set(e)
    assert ('classify' in e, 'cluster' in e) == (form in ('semi', 'semi_heads'), form
                                                 in ('clusters', 'heads'))
    assert ('decode' in e) != ('reconstruct' in e)
    z = e['encode'](params, carry, {'x': batch['x']})                        # no label needed
    assert z.shape == (12, Z)
    assert e['sample'](params, carry, jax.random.key(0), 5, 'mean')['x'].shape == (5, 2, 2, 1)
    rebuilt = e['reconstruct'](params, carry, batch) if 'reconstruct' in e else e['decode'](
        params, carry, z, None, '')
    assert rebuilt['x'].shape == batch['x'].shape
    if 'reconstruct' in e:
        code = e['sample_q'](params, carry, e['posterior'](params, carry, batch),
                             jax.random.key(0))
        # a point code: what log_lik judges
        p, x = toys.flat(rebuilt['x']), toys.flat(batch['x'])
        np.testing.assert_allclose(e['log_lik'](params, carry, code, batch),
                                   (x * np.log(p) + (1 - x) * np.log1p(-p)).sum(-1), rtol=1e-8)


def test_bad_input_is_refused():
    kit, recipe = toys.kit(), toys.recipe()
    unlabelled = "needs a column 'label', which the data has not"
    with pytest.raises(UserError, match=unlabelled):
        aae.supervised_aae(toys.without(kit, 'label'), recipe)
    with pytest.raises(UserError, match=unlabelled):
        aae.aae(toys.without(kit, 'label'), recipe, labels='all')
    with pytest.raises(UserError, match='cannot be named'):
        aae.categorical_aae(kit, recipe, clusters=7)
    with pytest.raises(UserError, match='latent=2 instead of 3'):
        aae.aae(kit, recipe, style='ring')
    with pytest.raises(UserError, match='did you mean'):
        aae.aae(kit, recipe, style='rings')
    with pytest.raises(UserError, match='unknown kind of labels'):
        aae.aae(kit, recipe, labels='few')
    method, params, carry = started('semi')
    batch = {k: v for k, v in toys.all_of(DATA).items() if k != 'partner'}
    with pytest.raises(UserError, match='labelled examples'):
        method.phases[0].players[3].loss(params, carry, batch, toys.ctx(HP))
    # ten petals
    plane = toys.without(toys.kit(latent=2), 'label')
    assert len(aae.aae(plane, recipe, style='ring').evals) > 5
