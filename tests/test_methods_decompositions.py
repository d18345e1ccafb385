"""Priors along axes, clustered and sparse, and divergences of the aggregate posterior from them."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import toys

from vaebench import core, metrics
from vaebench.engine.trainer import Settings, Trainer
from vaebench.errors import UserError
from vaebench.methods import METHODS, autoencoders, decompositions, fixed_priors, models, posteriors
from vaebench.ops import divergences

DATA = toys.images(12)
HP = {'beta': .7, 'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0., 'alpha': 0., 'gamma': .6, 'lr': .1,
      'lr_scale': 1.}


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def prior(name, latent=2, **options):
    """A prior of this suite and params of it."""
    made = decompositions.PRIORS[name].make(toys.kit(latent), **options)
    return made, {'axes': jnp.linspace(-1., 1., latent), 'gamma': jnp.asarray(.6)}


# Densities and draws.

@pytest.mark.parametrize('name', sorted(decompositions.PRIORS))
def test_densities_are_normalized_and_draws_follow_them(name):
    """In the plane: total mass, and the mean, covariance and mean fourth power of every coordinate."""
    made, params = prior(name)
    step = .01 if name == 'sparse' else .05
    line = np.arange(-12, 12, step) + step / 2
    grid = np.stack(np.meshgrid(line, line, indexing='ij'), -1)
    p = np.exp(toys.jit(made.log_prob)(params, jnp.asarray(grid))) * step**2
    assert p.sum() == pytest.approx(1, abs=1e-3 if name == 'student' else 1e-6)
    z = np.asarray(made.sample(params, jax.random.key(0), 40_000))
    assert z.shape == (40_000, 2)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        for power in (1, 2):
            value = lambda a, i=i, j=j, power=power: a[..., i]**power * a[..., j]**power
            want, got = (p * value(grid)).sum(), value(z)
            spread = got.std() / np.sqrt(len(z))
            assert got.mean() == pytest.approx(want, abs=5 * spread + 1e-6), (i, j, power)


def test_densities_are_those_of_scipy():
    z = np.random.default_rng(0).normal(size=(5, 3))
    made, params = prior('principal', 3)
    variance = np.exp(fixed_priors.axes_log_var(params))
    assert variance.sum() == pytest.approx(3, rel=1e-12) and variance[2] / variance[0] == pytest.approx(np.exp(2))
    np.testing.assert_allclose(made.log_prob(params, z), scipy.stats.norm(0, variance**.5).logpdf(z).sum(1),
                               rtol=1e-10)
    np.testing.assert_allclose(prior('student', 3, df=5.)[0].log_prob({}, z), scipy.stats.t(5).logpdf(z).sum(1),
                               rtol=1e-10)
    made, params = prior('sparse', 3, narrow=.2)
    mix = .4 * scipy.stats.norm().pdf(z) + .6 * scipy.stats.norm(0, .2).pdf(z)
    np.testing.assert_allclose(made.log_prob(params, z), np.log(mix).sum(1), rtol=1e-10)


def test_special_cases_are_the_standard_normal():
    z = np.random.default_rng(0).normal(size=(5, 3))
    want = models.standard_normal(3).log_prob({}, z)
    for name, params, options in (('principal', {'axes': jnp.full(3, .4)}, {}),
                                  ('sparse', {'gamma': jnp.zeros(())}, {}),
                                  ('sparse', {'gamma': jnp.asarray(.3)}, {'narrow': 1.}),
                                  ('clusters', {}, {'centers': [[0, 0, 0]], 'variance': 1.}),
                                  ('clusters', {}, {'centers': [[0, 0, 0]] * 4, 'variance': 1.})):
        log_prob = prior(name, 3, **options)[0].log_prob
        density = toys.jit(jax.value_and_grad(lambda z, f=log_prob, p=params: ((v := f(p, z)).sum(), v), has_aux=True))
        (_, got), slope = density(z)
        np.testing.assert_allclose(got, want, rtol=1e-12)
        np.testing.assert_allclose(slope, -z, rtol=1e-10)


def test_clusters_stand_on_the_axes_unless_they_are_given():
    made, _ = prior('clusters')
    corners = np.array([[1., 0.], [0., 1.], [-1., 0.], [0., -1.]])
    own = np.mean([scipy.stats.multivariate_normal(c, .03 * np.eye(2)).pdf(corners) for c in corners], 0)
    np.testing.assert_allclose(made.log_prob({}, corners), np.log(own), rtol=1e-10)
    given, _ = prior('clusters', centers=corners.tolist())
    np.testing.assert_allclose(given.log_prob({}, corners + .1), made.log_prob({}, corners + .1), rtol=1e-12)
    for bad in ([[1., 0., 0.]], [1., 0.], [[1.], [1., 2.]], 'four', []):
        with pytest.raises(UserError, match='2 numbers'):
            prior('clusters', centers=bad)


def test_closed_form_from_axes():
    """It is the KL of two normal laws, dimension by dimension, whatever the scale."""
    _, params = prior('principal', 3)
    q = {'mean': jnp.asarray([[.3, -2., 1.]]), 'log_var': jnp.asarray([[.1, -1., .5]])}
    posterior = fixed_priors.from_axes(posteriors.gaussian(toys.kit(3)))
    s, v = np.exp(fixed_priors.axes_log_var(params)), np.exp(q['log_var'][0])
    want = .5 * (v / s + q['mean'][0]**2 / s - 1 + np.log(s / v))
    np.testing.assert_allclose(posterior.kl_dims(params, q)[0], want, rtol=1e-10)
    np.testing.assert_allclose(posterior.kl(params, q), want.sum(), rtol=1e-10)
    same = {'axes': jnp.zeros(3)}
    np.testing.assert_allclose(posterior.kl(same, q), divergences.normal_kl(**q), rtol=1e-12)


# Divergences of the aggregate.

def regularize(name, made, params, q, z=None, weight=None, key=0):
    """The value of a divergence for posteriors q and codes z."""
    n, posterior = len(q['mean']), posteriors.gaussian(toys.kit(q['mean'].shape[1]))
    terms = models.Terms(None, q['mean'] if z is None else z, None, q, None, None)
    batch = {'weight': jnp.ones(n) if weight is None else jnp.asarray(weight)}
    regularizer = toys.jit(lambda params, terms, batch, key: decompositions.DIVERGENCES[name](made, posterior)(
        params, terms, batch, None, key))
    value, aux = regularizer(params, terms, batch, jax.random.key(key))
    assert aux == {name: value}
    return float(value)


def test_inclusive_of_equal_posteriors_is_the_kl_of_two_normal_laws():
    n = 4000
    mean, log_var = np.array([.5, -1.]), np.array([.4, -.3])
    q = {'mean': jnp.tile(jnp.asarray(mean), (n, 1)), 'log_var': jnp.tile(jnp.asarray(log_var), (n, 1))}
    made, params = prior('principal')
    s, v = np.exp(fixed_priors.axes_log_var(params)), np.exp(log_var)
    want = .5 * (s / v + mean**2 / v - 1 + np.log(v / s)).sum()
    draws = np.asarray(made.sample(params, jax.random.key(0), n))
    each = scipy.stats.norm(0, s**.5).logpdf(draws) - scipy.stats.norm(mean, v**.5).logpdf(draws)
    got = regularize('inclusive', made, params, q)
    assert got == pytest.approx(each.sum(1).mean(), rel=1e-8)
    assert got == pytest.approx(want, abs=4 * each.sum(1).std() / n**.5)


def test_inclusive_is_brute_force_and_empty_slots_do_not_count():
    rng, (made, params) = np.random.default_rng(1), prior('clusters')
    mean, log_var, weight = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.array([1., 1., 1., 1., 0., 0.])
    z = np.asarray(made.sample(params, jax.random.key(0), 6))
    density = [np.mean([scipy.stats.norm(m, np.exp(v / 2)).pdf(x).prod() for m, v in zip(mean[:4], log_var[:4],
                                                                                        strict=True)]) for x in z]
    want = np.mean(np.asarray(made.log_prob(params, z)) - np.log(density))
    junk = mean.copy()
    junk[4:] = 7.
    for m in (mean, junk):
        q = {'mean': jnp.asarray(m), 'log_var': jnp.asarray(log_var)}
        assert regularize('inclusive', made, params, q, weight=weight) == pytest.approx(want, rel=1e-10)


def brute_mmd(x, y):
    """Unbiased squared MMD of two samples of numbers, pair by pair."""
    k = lambda a, b: sum(2 * c / (2 * c + (a - b)**2) for c in (.1, .2, .5, 1., 2., 5.))
    n, m = len(x), len(y)
    within = lambda a: sum(k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j)
    return (within(x) / (n * (n - 1)) + within(y) / (m * (m - 1))
            - 2 * sum(k(a, b) for a in x for b in y) / (n * m))


def test_dimensions_is_the_sum_of_one_dimensional_discrepancies():
    made, params = prior('sparse', 3)
    q = {'mean': jnp.zeros((5, 3)), 'log_var': jnp.zeros((5, 3))}
    z = np.random.default_rng(2).normal(size=(5, 3))
    drawn = np.asarray(made.sample(params, jax.random.key(3), 5))
    each = [brute_mmd(z[:, i], drawn[:, i]) for i in range(3)]
    assert regularize('dimensions', made, params, q, jnp.asarray(z), key=3) == pytest.approx(sum(each), rel=1e-9)
    few = [brute_mmd(z[:4, i], drawn[:4, i]) for i in range(3)]
    got = regularize('dimensions', made, params, q, jnp.asarray(z), [1., 1., 1., 1., 0.], key=3)
    assert got == pytest.approx(sum(few), rel=1e-9)


@pytest.mark.parametrize('name', sorted(decompositions.DIVERGENCES))
def test_divergences_are_least_where_the_aggregate_is_the_prior(name):
    made, params = models.standard_normal(2), {}
    noise = jax.random.normal(jax.random.key(9), (400, 2))
    at = lambda shift, scale: regularize(name, made, params, {
        'mean': shift + scale * noise, 'log_var': jnp.full((400, 2), -3.)})
    assert at(0., 1.) < min(at(1., 1.), at(0., .5), at(0., 2.))


# The method.

@functools.cache
def started(latent=2, **options):
    """Method, params and carry."""
    method = decompositions.alpha_beta(toys.kit(latent), toys.recipe(), **options)
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


def evaluate(method, params, carry, **numbers):
    """Loss, gradient and new carry of its last phase on all data."""
    ctx = toys.ctx({k: jnp.asarray(v) for k, v in {**HP, **numbers}.items()})
    loss = toys.jit(jax.value_and_grad(method.phases[-1].players[0].loss, has_aux=True))
    (value, (carry, aux)), grads = loss(params, carry, toys.all_of(DATA), ctx)
    return float(value), grads, carry, aux


@functools.cache
def beta_vae():
    """Its evals, what it starts from, and what `evaluate` gives there."""
    vae = autoencoders.vae(toys.kit(2), toys.recipe())
    begun = vae.init(jax.random.key(5), toys.all_of(DATA))
    return vae, begun, evaluate(vae, *begun)


@pytest.mark.parametrize('divergence', ['', 'inclusive', 'dimensions'])
def test_without_alpha_it_is_the_beta_vae(divergence):
    vae, start, (value, grads, _, _) = beta_vae()
    method, own, begun = started(divergence=divergence)
    toys.close((own, begun), start, rtol=0)
    got, slopes, _, aux = evaluate(method, own, begun)
    assert got == pytest.approx(value, abs=1e-12)
    toys.close(slopes, grads, atol=1e-12)
    assert set(method.evals) - set(vae.evals) == ({'penalties'} if divergence else set())
    if divergence:
        ctx = toys.ctx({k: jnp.asarray(v) for k, v in {**HP, 'alpha': 3.}.items()})
        more, _ = method.phases[0].players[0].loss(own, begun, toys.all_of(DATA), ctx)
        assert float(more) == pytest.approx(value + 3 * float(aux[divergence]), rel=1e-10)


@pytest.mark.parametrize('name, options', [
    ('principal', {}), ('learned', {}), ('sparse', {'narrow': 1.}),
    ('clusters', {'centers': ((0., 0.),), 'variance': 1.})])
def test_priors_that_are_the_standard_normal_have_its_bound(name, options):
    """In closed form to the last digits, at the same code on average over many draws."""
    vae, (params, carry), (want, _, _, aux) = beta_vae()
    method, own, begun = started(prior=name, **options)
    common = {**own, **{k: params[k] for k in ('enc', 'head', 'dec')}}
    got, _, _, drawn = evaluate(method, common, begun)
    if method.evals.keys() >= {'kl'}:
        assert got == pytest.approx(want, rel=1e-12)
        return
    e, q = method.evals, vae.evals['posterior'](params, carry, toys.all_of(DATA))
    z = vae.evals['sample_q'](params, carry, q, core.derive(core.derive(jax.random.key(0), 0), 1))
    at = vae.evals['log_q'](params, carry, q, z) - vae.evals['log_prior'](params, carry, z)
    np.testing.assert_allclose(e['log_prior'](common, begun, z), vae.evals['log_prior'](params, carry, z), rtol=1e-12)
    assert float(drawn['rec']) == pytest.approx(float(aux['rec']), rel=1e-12)
    assert float(drawn['kl']) == pytest.approx(float(at.mean()), rel=1e-10)


def test_gamma_is_a_number_that_evaluation_keeps():
    method, params, carry = started(prior='sparse')
    assert 'gamma' not in params and carry['gamma'] == 0
    _, grads, after, _ = evaluate(method, params, carry, gamma=.25)
    assert set(grads) == set(params) == set(method.phases[0].players[0].trains)
    z = jnp.zeros((1, 2))
    want = 2 * np.log(.75 * scipy.stats.norm.pdf(0) + .25 * scipy.stats.norm(0, .05).pdf(0))
    assert float(method.evals['log_prior'](params, after, z)[0]) == pytest.approx(want, rel=1e-10)
    assert float(method.evals['log_prior'](params, carry, z)[0]) == pytest.approx(2 * scipy.stats.norm.logpdf(0))


def test_softplus_standard_deviations():
    method, params, carry = started(std='softplus')
    plain = started()[0]
    batch = toys.all_of(DATA)
    q, raw = (m.evals['posterior'](params, carry, batch) for m in (method, plain))
    np.testing.assert_allclose(np.exp(q['log_var'] / 2), np.logaddexp(0, raw['log_var']) + 1e-6, rtol=1e-10)
    np.testing.assert_array_equal(q['mean'], raw['mean'])


def trainer(method, data, batch=5, epochs=2):
    """The engine's, on these columns."""
    return Trainer(method, [data], lambda evals, needs: metrics.validator(evals, [data], needs),
                   Settings(batch, epochs, block=4), 1)


@pytest.mark.parametrize('name', ['principal', 'learned'])
def test_variances_are_those_of_the_principal_components_of_all_data(name):
    """The pass over the data sees every example once, empty slots of the last batch not."""
    with jax.enable_x64(False):
        rng = np.random.default_rng(0)
        x = np.float32(rng.normal(size=(23, 2, 2, 1)) * np.array([[3., 1.], [.2, .5]])[..., None] + 4.)
        method = decompositions.alpha_beta(toys.kit(3), toys.recipe(), prior=name)
        assert [(p.name, p.steps) for p in method.phases] == [('principal', 0), ('main', 20)]
        engine = trainer(method, {'x': jnp.asarray(x)})
        numbers = {k: HP[k] for k in ('beta', 'beta_start', 'warmup', 'delay', 'period', 'lr', 'lr_scale')}
        state = engine.enter(1, engine.end_phase(0, engine.init([0], numbers)))
        flat = x.reshape(23, -1).astype(np.float64)
        squared = np.linalg.svd(flat - flat.mean(0), compute_uv=False)[:3]**2
        place = state.params if name == 'learned' else state.carry
        got = np.exp(fixed_priors.axes_log_var({'axes': place['axes'][0]}))
        np.testing.assert_allclose(got, 3 * squared / squared.sum(), rtol=2e-4)
        assert ('axes' in state.params) == (name == 'learned')
        params, carry = (jax.tree.map(lambda v: v[0], t) for t in (state.params, state.carry))
        log_p = method.evals['log_prior'](params, carry, jnp.zeros((1, 3)))
        np.testing.assert_allclose(log_p, -.5 * np.log(2 * np.pi * got).sum(), rtol=1e-4)


def test_learned_variances_move_and_keep_their_sum():
    with jax.enable_x64(False):
        method = decompositions.alpha_beta(toys.kit(3), toys.recipe(), prior='learned')
        numbers = {k: jnp.float32(v) for k, v in HP.items()}
        state = core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(12)), numbers)
        state = core.enter(method.phases[1], state, core.take(DATA, jnp.arange(12)))
        before = fixed_priors.axes_log_var(state.params)
        block = toys.jit(core.make_block(method.phases[1]))
        new, _ = block(state, DATA, jnp.tile(jnp.arange(12), (20, 1, 1)).astype(jnp.int32), jnp.int32(20))
        after = fixed_priors.axes_log_var(new.params)
        assert float(jnp.abs(after - before).max()) > 1e-3
        assert float(jnp.exp(after).sum()) == pytest.approx(3, rel=1e-5)


def test_parameters_are_chosen_by_what_is_trained_on():
    for options, formula in (({}, 'rec + beta kl'),
                             ({'divergence': 'inclusive'}, 'rec + beta kl + alpha inclusive')):
        select = started(**options)[0].phases[-1].select
        assert select.formula == formula
        valid = {'rec': 10., 'kl': 4., 'inclusive': 3.}
        want = 10 + .5 * 4 + (2 * 3 if options else 0)
        assert select.value({'beta': .5, 'alpha': 2.}, valid) == want


def test_bad_input_is_refused():
    kit, recipe = toys.kit(2), toys.recipe()
    for options, match in (({'prior': 'sparce'}, 'did you mean'), ({'divergence': 'inclusiv'}, 'did you mean'),
                           ({'std': 'expo'}, 'did you mean'), ({'prior': 'student', 'df': 0.}, 'above 0'),
                           ({'prior': 'sparse', 'narrow': -1.}, 'above 0'),
                           ({'prior': 'clusters', 'variance': 0.}, 'above 0')):
        with pytest.raises(UserError, match=match):
            decompositions.alpha_beta(kit, recipe, **options)
    with pytest.raises(UserError, match='at most 4'):
        decompositions.alpha_beta(toys.kit(5), recipe, prior='principal')
    for options, number in (({'prior': 'sparse'}, 'gamma'), ({'divergence': 'inclusive'}, 'alpha')):
        method, params, carry = started(**options)
        hp = {k: v for k, v in HP.items() if k != number}
        with pytest.raises(UserError, match=f'a number {number}, which the method lacks'):
            method.phases[0].players[0].loss(params, carry, toys.all_of(DATA), toys.ctx(hp))
    names = {n for n, e in METHODS.items() if e.factory is decompositions.alpha_beta}
    assert names == {'axis_vae', 'clustered_vae', 'sparse_vae'}
