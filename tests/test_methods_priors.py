"""Learnt priors: densities, draws, and the objective of two bounds."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
import sklearn.mixture
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import autoencoders, importance_weighted, models, posteriors, priors
from vaebench.ops import distributions

DATA = toys.images(12)
HP = {
    'beta': 1., 'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0., 'lr': .1,
    'lr_scale': 1., 'target': 2.
}
SMALL = {
    'flow': {'layers': 2, 'hidden': 4}, 'mog': {'components': 3}, 'vamp': {'components': 4}
}
MAKERS = {'flow': priors.flow_prior, 'mog': priors.mog_vae, 'vamp': priors.vamp_vae}


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def started(name, **options):
    """Method, params away from their start, and carry."""
    method = MAKERS[name](toys.kit(), toys.recipe(), **{**SMALL[name], **options})
    params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
    own = jax.tree.map(lambda x: x + .3 * jax.random.normal(jax.random.key(6), x.shape), params)
    return method, {**own, 'enc': params['enc'], 'dec': params['dec']}, carry


@functools.cache
def compiled(name, **options):
    """(params, carry, batch, ctx) -> ((loss, (carry, aux)), gradient)."""
    return toys.jit(
        jax.value_and_grad(started(name, **options)[0].phases[0].players[0].loss, has_aux=True))


def evaluate(name, params=None, batch=None, total=0, numbers=None, **options):
    """Loss, gradient and aux on all data."""
    _, own, carry = started(name, **options)
    ctx = toys.ctx({k: jnp.asarray(v)
                    for k, v in {**HP, **(numbers or {})}.items()}, total=total)
    (loss, (_, aux)), grads = compiled(name, **options)(params or own, carry, batch
                                                        or toys.all_of(DATA), ctx)
    return float(loss), grads, {k: float(v) for k, v in aux.items()}


def density(name, params, z):
    method, _, carry = started(name)
    return method.evals['log_prior'](params, carry, z)


def test_priors_integrate_to_one():
    """On a grid in two dimensions, with parameters away from their start."""
    kit = toys.kit(latent=2)
    axis = jnp.linspace(-15, 15, 301)
    grid = jnp.stack(jnp.meshgrid(axis, axis), -1)
    for name, make in MAKERS.items():
        method = make(kit, toys.recipe(), **SMALL[name])
        params, carry = method.init(jax.random.key(1), toys.all_of(DATA))
        params = jax.tree.map(lambda x: x + .3 * jax.random.normal(jax.random.key(6), x.shape),
                              params)
        mass = jnp.exp(toys.jit(method.evals['log_prior'])(params, carry,
                                                           grid)).sum() * (axis[1] - axis[0])**2
        assert float(mass) == pytest.approx(1, abs=1e-4), name


@pytest.mark.parametrize('name', MAKERS)
def test_draws_follow_the_density(name):
    """E_p[N(z; a, I) / p(z)] = 1 wherever p reaches."""
    method, params, carry = started(name)
    prior = {
        'flow': lambda kit: priors.flow(kit, 2, 4), 'mog': lambda kit: priors.mog(kit, 3),
        'vamp': lambda kit: priors.vamp(kit, posteriors.gaussian(kit), 4)
    }[name](toys.kit())
    z = toys.jit(prior.sample, static_argnums=2)(params, jax.random.key(2), 40000)
    log_p = toys.jit(method.evals['log_prior'])(params, carry, z)
    assert z.shape == (40000, 3)
    ratio = jnp.exp(
        distributions.normal_log_prob(z, z.mean(0), jnp.log(.25 * z.var(0))) - log_p)
    assert float(ratio.mean()) == pytest.approx(1, abs=4 * float(ratio.std()) / 200)
    assert float(ratio.std()) / 200 < .03


@pytest.mark.parametrize('name, own', [('flow', 'flow'), ('mog', 'mog'), ('vamp', 'pseudo')])
def test_everything_learns(name, own):
    _, grads, _ = evaluate(name)
    assert set(grads) == {'enc', 'head', 'dec', own} == set(
        started(name)[0].phases[0].players[0].trains)
    assert all(float(jnp.abs(g).max()) > 1e-5 for g in jax.tree.leaves(grads))
    assert {'posterior', 'sample_q', 'log_q', 'log_prior', 'log_lik', 'sample'} < set(
        started(name)[0].evals)
    assert 'kl' not in started(name)[0].evals


def test_mixture_is_its_formula():
    _, params, _ = started('mog')
    z, p = jax.random.normal(jax.random.key(0), (5, 3)), params['mog']
    each = np.stack([np.exp(distributions.normal_log_prob(z, m, v))
                     for m, v in zip(p['mean'], p['log_var'], strict=True)])
    want = np.log(np.asarray(jax.nn.softmax(p['logits'])) @ each)
    np.testing.assert_allclose(density('mog', params, z), want, rtol=1e-10)


def test_mixture_of_one_standard_normal_is_the_vaes_prior():
    kit, z = toys.kit(), jax.random.normal(jax.random.key(0), (5, 3))
    one = priors.mog(kit, 1, spread=0.)
    params = one.init(jax.random.key(0), None, None)
    plain = models.standard_normal(3)
    np.testing.assert_allclose(one.log_prob(params, z), plain.log_prob({}, z), rtol=1e-12)
    np.testing.assert_allclose(one.sample(params, jax.random.key(1), 9),
                               jax.random.normal(core.derive(jax.random.key(1), 1), (9, 3)),
                               rtol=1e-12)


@functools.cache
def explicit(name):
    """log p(x|z_i) and log q - log p of the loss's own four draws, [4, B] each, one by one."""
    method, params, carry = started(name)
    e = method.evals

    def every(params, batch):
        q = e['posterior'](params, carry, batch)
        z = [
            e['sample_q'](params, carry, q, k)
            for k in jax.random.split(core.derive(jax.random.key(0), 2), 4)
        ]
        return (jnp.stack([e['log_lik'](params, carry, v, batch) for v in z]),
                jnp.stack([
                    e['log_q'](params, carry, q, v) - e['log_prior'](params, carry, v)
                    for v in z
                ]))

    return [np.asarray(x) for x in toys.jit(every)(params, toys.all_of(DATA))]


@pytest.mark.parametrize('name', MAKERS)
def test_objective_is_half_the_sum_of_both_bounds(name):
    log_lik, r = explicit(name)
    for beta in (1., .25):
        w = log_lik - beta * r
        want = -.5 * (np.log(np.exp(w).mean(0)) + w.mean(0)).mean()
        loss, _, aux = evaluate(name, draws=4, numbers={'beta': beta})
        assert loss == pytest.approx(want, rel=1e-10)
        iw = -np.log(np.exp(log_lik - r).mean(0)).mean()
        assert aux == pytest.approx(
            {'rec': -log_lik.mean(), 'kl': r.mean(), 'iw': iw, 'beta': beta}, rel=1e-10)
        assert aux['iw'] < aux['rec'] + aux['kl']


def test_scale_one_is_the_papers_sum():
    loss, grads, aux = evaluate('mog', draws=4)
    whole, twice, same = evaluate('mog', draws=4, scale=1.)
    assert whole == pytest.approx(2 * loss, rel=1e-12) and aux == pytest.approx(same)
    toys.close(twice, jax.tree.map(lambda g: 2 * g, grads), atol=1e-12)


def test_without_the_elbo_one_bound_is_left():
    loss, _, aux = evaluate('mog', draws=4, scale=1., elbo=False)
    assert loss == pytest.approx(aux['iw'], rel=1e-12)


@pytest.mark.parametrize('draws', [1, 20])
def test_iwae_trains_and_selects_on_the_same_bound(draws):
    """With one draw it is the VAE's; validation's draws are its own."""
    method = importance_weighted.iwae(toys.kit(), toys.recipe(), draws=draws)
    params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
    batch, e = toys.all_of(DATA), method.evals
    ctx = toys.ctx({k: jnp.asarray(v) for k, v in HP.items()})
    loss, (_, aux) = toys.jit(method.phases[0].players[0].loss)(params, carry, batch, ctx)
    q = e['posterior'](params, carry, batch)
    means = [e['penalties'](params, carry, batch, q, None, jax.random.key(i))['iw']
             for i in range(300 // draws)]
    spread = np.std(means) * (1 + len(means)**-.5)
    assert loss == pytest.approx(aux['iw'])
    assert abs(loss - np.mean(means)) < 4 * spread and method.phases[0].select == 'iw'
    if draws == 1:
        assert loss == pytest.approx(aux['rec'] + aux['kl'])
    else:
        assert loss < aux['rec'] + aux['kl'] - .01


def test_one_draw_of_an_identity_flow_is_the_vaes_bound():
    """The paper's sum is then twice the ELBO's sample, so that half of it is the VAE's,
    gradient and all.
    """
    method, _, carry = started('flow', draws=1)
    params, _ = method.init(jax.random.key(5), toys.all_of(DATA))
    loss, grads, aux = evaluate('flow', params, draws=1)
    assert loss == pytest.approx(aux['rec'] + aux['kl'], rel=1e-12) == pytest.approx(aux['iw'])
    e, kit = method.evals, toys.kit()
    batch = toys.all_of(DATA)
    noise_key = jax.random.split(core.derive(jax.random.key(0), 2), 1)[0]
    vae = autoencoders.vae(kit, toys.recipe())

    def bound(p):
        p = {**params, **p}
        q = vae.evals['posterior'](p, carry, batch)
        z = vae.evals['sample_q'](p, carry, q, noise_key)
        return -(vae.evals['log_lik'](p, carry, z, batch) + vae.evals['log_prior'](p, carry, z)
                 - vae.evals['log_q'](p, carry, q, z)).mean()

    value, want = toys.jit(
        jax.value_and_grad(bound))({k: params[k]
                                    for k in ('enc', 'head', 'dec')})
    assert float(value) == pytest.approx(loss, rel=1e-12)
    toys.close({k: grads[k] for k in want}, want, atol=1e-12)
    assert set(e) == set(vae.evals) - {'kl'}


def test_many_draws_tighten_the_importance_weighted_bound():
    one, many = evaluate('mog', draws=1)[2], evaluate('mog', draws=200)[2]
    assert many['iw'] < one['iw'] - .01 and many['iw'] < many['rec'] + many['kl'] - .05


def test_weight_follows_its_schedule():
    """The toy's epoch has ten steps."""
    for total, beta in ((0, 0.), (50, .5), (100, 1.)):
        assert evaluate('mog', total=total,
                        numbers={'warmup': 10.})[2]['beta'] == pytest.approx(beta)


@pytest.mark.parametrize('free, bounds', [('elbo', 1), ('both', 2)])
def test_free_bits(free, bounds):
    """Each bound that has free bits counts the target where the mean KL is below it."""
    _, r = explicit('mog')
    plain, grads, aux = evaluate('mog', draws=4)
    target = float(np.median(r.mean(0)))
    loss, _, same = evaluate('mog', draws=4, free=free, numbers={'target': target})
    below = np.maximum(target - r.mean(0), 0)
    assert 0 < (below > 0).sum() < len(below)
    assert loss == pytest.approx(plain + .5 * bounds * below.mean(), rel=1e-10)
    assert same == pytest.approx(aux)
    toys.close(
        evaluate('mog', draws=4, free=free, numbers={'target': -50.})[1], grads, atol=1e-12)


def test_free_bits_of_both_bounds_leave_the_kl_no_pull():
    """With one draw a free KL has no gradient at all; free in the ELBO only, half of it is
    left.
    """
    numbers = {'target': 1e3}
    rec = evaluate('mog', draws=1, numbers={'beta': 0.})[1]
    whole = evaluate('mog', draws=1)[1]
    toys.close(evaluate('mog', draws=1, free='both', numbers=numbers)[1], rec, atol=1e-12)
    half = jax.tree.map(lambda a, b: (a + b) / 2, rec, whole)
    toys.close(evaluate('mog', draws=1, free='elbo', numbers=numbers)[1], half, atol=1e-12)
    assert float(jnp.abs(whole['mog']['mean']).max()) > 1e-3


def test_vamp_of_all_data_is_the_aggregate_posterior():
    """Its mean KL is then the mutual information between the code and the place in the data."""
    method, params, carry = started('vamp', components=12)
    params, batch = {**params, 'pseudo': {'x': DATA['x']}}, toys.all_of(DATA)
    e = method.evals
    q = e['posterior'](params, carry, batch)
    noise = jax.vmap(lambda k: e['sample_q'](params, carry, q, k))(jax.random.split(
        jax.random.key(0), 50))
    mean, var = np.asarray(q['mean']), np.exp(np.asarray(q['log_var']))
    # [S, B, B]
    pair = -.5 * (np.log(2 * np.pi * var) +
                  (np.asarray(noise)[:, :, None] - mean)**2 / var).sum(-1)
    aggregate = np.log(np.exp(pair).mean(-1))
    log_prior = jax.vmap(lambda z: e['log_prior'](params, carry, z))(noise)
    np.testing.assert_allclose(log_prior, aggregate, rtol=1e-10)
    own = np.einsum('sbb->sb', pair)
    kl = jax.vmap(lambda z: e['log_q'](params, carry, q, z))(noise) - log_prior
    np.testing.assert_allclose(kl, own - aggregate, rtol=1e-8, atol=1e-10)
    assert 0 < float(kl.mean()) < np.log(12) and float(kl.max()) <= np.log(12) + 1e-12


def test_vamp_starts_at_data_and_moves_the_encoder():
    method = priors.vamp_vae(toys.kit(), toys.recipe(), components=4)
    params, carry = method.init(jax.random.key(5), toys.all_of(DATA))
    np.testing.assert_array_equal(params['pseudo']['x'], DATA['x'][:4])
    z = jax.random.normal(jax.random.key(0), (5, 3))
    grads = toys.jit(jax.grad(lambda p: method.evals['log_prior'](p, carry, z).sum()))(params)
    assert all(
        float(jnp.abs(jax.tree.leaves(grads[k])[0]).max()) > 1e-4
        for k in ('enc', 'head', 'pseudo'))
    assert not any(g.any() for g in jax.tree.leaves(grads['dec']))


def test_bad_input_is_refused():
    kit, recipe = toys.kit(), toys.recipe()
    with pytest.raises(UserError, match='at least 2'):
        priors.flow(toys.kit(latent=1))
    with pytest.raises(UserError, match="network 'pseudo', which the kit has not"):
        priors.vamp_vae(toys.without(kit, 'pseudo'), recipe)
    with pytest.raises(UserError, match='did you mean'):
        priors.mog_vae(kit, recipe, free='boths')


@pytest.mark.slow
def test_pseudo_images_stay_within_the_data():
    """What lies beyond 0 and 1 counts as the bound, and no gradient reaches it."""
    kit = networks.build({'x': toys.SCHEMA['x']},
                         {'name': 'mlp', 'latent': 2, 'hidden': (4,)})
    posterior = posteriors.gaussian(kit)
    prior = priors.vamp(kit, posterior, 2)
    assert prior.log_prob is not None
    key = jax.random.key(0)
    params = {'enc': kit.encoder().init(key), **posterior.init(key)[0]}
    at = lambda low, high: {'x': jnp.array([low, .5, .5, high] * 2).reshape(2, 2, 2, 1)}
    density = jax.value_and_grad(
        lambda pseudo: prior.log_prob({**params, 'pseudo': pseudo}, jnp.ones((1, 2)))[0])
    beyond, slope = density(at(-3., 2.))
    assert float(beyond) == float(density(at(0., 1.))[0]) != float(density(at(.1, 1.))[0])
    slope = slope['x'].reshape(2, 4)
    assert (slope[:, [0, 3]] == 0).all() and (slope[:, 1:3] != 0).all()


@pytest.mark.slow
def test_pseudo_sentences():
    """On the LSTM kit pseudo-inputs stand in the embeddings' place, all are trained, and the
    loss falls.
    """
    with jax.enable_x64(False):
        kit = networks.build(
            schema.text(tuple('abcdefghi'), 5),
            {'name': 'lstm', 'latent': 2, 'embed': 4, 'hidden': 4, 'family': 'B'})
        data = {k: v for k, v in toys.sentences(24).items() if k != 'log_p'}
        method = priors.vamp_vae(kit, toys.recipe(), components=3, draws=3)
        state = core.init(method, jax.random.key(0), core.take(data, jnp.arange(8)),
                          {k: jnp.float32(v) for k, v in HP.items()})
        idx = jnp.tile(jnp.arange(24), (40, 1, 1)).astype(jnp.int32)
        new, metrics = toys.jit(core.make_block(method.phases[0]))(state, data, idx,
                                                                   jnp.int32(40))
        before, after = (s.params['pseudo']['embedded'] for s in (state, new))
        assert after.shape[0] == 3 and after.shape[2] == 4 and (before != after).all()
        losses = np.asarray(metrics['vae/loss'])
        assert np.isfinite(losses).all() and losses[-5:].mean() < losses[:5].mean() - .5


def correlated(n, seed=0):
    """Draws [n, 2] of two Gaussians with opposite correlations, far from each other, and their
    mean log density.
    """
    rng = np.random.default_rng(seed)
    laws = [
        scipy.stats.multivariate_normal(m, [[1., r], [r, 1.]])
        for m, r in (([-4., 2.], .8), ([3., -1.], -.8))
    ]
    z = np.concatenate([law.rvs(n // 2, random_state=rng) for law in laws])
    return z, np.logaddexp(*[law.logpdf(z) for law in laws]).mean() - np.log(2)


@pytest.mark.slow
def test_full_mixture_is_its_formula_and_draws_follow_it():
    prior, rng = priors.full_mixture(3, 2), np.random.default_rng(0)
    p = {
        'mean': rng.normal(size=(2, 3)), 'log_std': .3 * rng.normal(size=(2, 3)),
        'logits': np.array([.3, -.4]), 'below': rng.normal(size=(2, 3, 3))
    }
    factor = [np.diag(np.exp(s)) @ np.linalg.inv(np.eye(3) + np.tril(n, -1))
              for s, n in zip(p['log_std'], p['below'], strict=True)]
    laws = [
        scipy.stats.multivariate_normal(m, f @ f.T)
        for m, f in zip(p['mean'], factor, strict=True)
    ]
    z, params = rng.normal(size=(5, 3)), {'mixture': jax.tree.map(jnp.asarray, p)}
    shares = scipy.special.softmax(p['logits'])
    want = np.log(sum(w * law.pdf(z) for w, law in zip(shares, laws, strict=True)))
    np.testing.assert_allclose(prior.log_prob(params, z), want, rtol=1e-9)
    np.testing.assert_allclose(
        prior.log_prob(params, z.reshape(5, 1, 3))[:, 0], want, rtol=1e-9)
    draws = np.asarray(prior.sample(params, jax.random.key(0), 40000))
    mean = shares @ p['mean']
    cov = sum(w * (f @ f.T + np.outer(m - mean, m - mean))
              for w, f, m in zip(shares, factor, p['mean'], strict=True))
    np.testing.assert_allclose(draws.mean(0), mean,
                               atol=5 * np.sqrt(np.diag(cov).max() / 40000))
    np.testing.assert_allclose(np.cov(draws.T), cov, atol=.03 * np.diag(cov).max())
    ratio = scipy.stats.multivariate_normal(mean, .3 * cov).pdf(draws) / np.exp(
        prior.log_prob(params, draws))
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / 200)


def test_full_mixture_of_one_starts_at_the_batch():
    z, _ = correlated(50)
    weight = (np.arange(50) % 5 > 0).astype(float)
    junk = np.where(weight[:, None] > 0, z, 1e3)
    a, b = (priors.full_mixture_start(jax.random.key(0), jnp.asarray(x), jnp.asarray(weight), 1)
            for x in (z, junk))
    toys.close(a, b, rtol=1e-12)
    cov = np.cov(z[weight > 0].T, bias=True)
    ridge = (1e-3 * np.diag(cov).mean() + 1e-6) * np.eye(2)
    at = np.asarray(a['mean'][0])
    want = scipy.stats.multivariate_normal(at, cov + ridge).logpdf(z)
    np.testing.assert_allclose(
        priors.full_mixture(2, 1).log_prob({'mixture': a}, z), want, rtol=1e-8)
    many = priors.full_mixture_start(jax.random.key(0), jnp.asarray(z[:3]), jnp.ones(3), 7)
    # no twins
    assert len(np.unique(np.asarray(many['mean']), axis=0)) == 7


@pytest.mark.slow
def test_mixture_phase_finds_the_law_of_the_codes():
    """The autoencoder stays as it is; gradients come within 0.05 nats of the truth and of
    EM."""
    z, truth = correlated(400)
    kit = toys.kit(latent=2)
    kit = kit.replace(
        encoder=lambda init=None: core.Net(
            lambda key: {}, lambda params, batch, key=None: core.Features(
                toys.flat(batch['x'])[:, :2])),
        head=lambda n_out, init=None, bias=None: toys.linear(2, n_out))
    data = {'x': jnp.asarray(np.concatenate([z, z], -1).reshape(400, 2, 2, 1))}
    method = autoencoders.ae_gmm(kit, toys.recipe(tx=optax.adam), components=2)
    assert [(p.name, p.select) for p in method.phases] == [('ae', 'rec'), ('mixture', '')]
    hp = {k: jnp.asarray(v) for k, v in {'lr': .01, 'lr_scale': 1., 'mixture_lr': .03}.items()}
    state = core.init(method, jax.random.key(3), core.take(data, jnp.arange(64)), hp)
    params = {**state.params, 'head': {'w': jnp.eye(2), 'b': jnp.zeros(2)}}
    state = core.enter(method.phases[1], state._replace(params=params),
                       core.take(data, jnp.arange(399, 335, -6)))
    assert toys.moved(params, state.params) == {'mixture'}
    idx = jnp.asarray(np.random.default_rng(0).integers(0, 400, (600, 1, 64)))
    new, metrics = toys.jit(core.make_block(method.phases[1]))(state, data, idx, jnp.int32(600))
    assert toys.moved(state.params, new.params) == {'mixture'}
    found = np.asarray(method.evals['log_prior'](new.params, new.carry, z)).mean()
    em = sklearn.mixture.GaussianMixture(2, random_state=0).fit(z).score(z)
    assert found == pytest.approx(em, abs=.05) and found == pytest.approx(truth, abs=.05)
    assert -metrics['mixture/loss'][0] < found - .3
    e = method.evals
    assert {'sample', 'sample_prior', 'encode', 'decode', 'log_prior', 'log_lik'} < set(e)
    # a point has no density
    assert not {'kl', 'log_q', 'log_q_dims'} & set(e)
    drawn = e['sample'](new.params, new.carry, jax.random.key(0), 9, 'mean')['x']
    codes = e['sample_prior'](new.params, new.carry, core.derive(jax.random.key(0), 0), 9)
    toys.close(drawn, e['decode'](new.params, new.carry, codes, None, 'mean')['x'])


def test_autoencoder_phase_of_the_mixture_is_the_autoencoder():
    kit, batch, ctx = toys.kit(), toys.all_of(DATA), toys.ctx({})
    both, plain = (make(kit, toys.recipe())
                   for make in (autoencoders.ae_gmm, autoencoders.deterministic_ae))
    params, carry = both.init(jax.random.key(5), batch)
    player = both.phases[0].players[0]
    assert set(player.trains) == set(params) - {'mixture'} == {'enc', 'head', 'dec'}
    want = plain.phases[0].players[0].loss({k: params[k]
                                            for k in player.trains}, carry, batch, ctx)
    toys.close(player.loss(params, carry, batch, ctx), want)
