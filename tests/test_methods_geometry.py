"""VAEs whose codes lie on a sphere or in the Poincare ball."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core
from vaebench.errors import UserError
from vaebench.methods import (
    autoencoders,
    geometry,
    models,
    objectives,
    posteriors,
    regularizers,
)
from vaebench.ops import distributions, poincare, vmf

DATA = toys.images(6)
RAMP = {'beta': 1., 'beta_start': 0., 'warmup': 0., 'delay': 0., 'period': 0.}
HP = {k: jnp.asarray(v) for k, v in {**RAMP, 'lr': .1, 'lr_scale': 1.}.items()}


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def started(factory, latent=3, **options):
    """Method, params and carry."""
    method = factory(toys.kit(latent), toys.recipe(), **options)
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@functools.cache
def compiled(factory, **options):
    player = started(factory, **options)[0].phases[0].players[0]
    return toys.jit(jax.value_and_grad(player.loss, has_aux=True))


def evaluate(factory, params=None, **options):
    """Loss, gradient and aux on all data, of the first or of other parameters."""
    _, first, carry = started(factory, **options)
    (loss, (_, aux)), grads = compiled(factory, **options)(params or first, carry,
                                                           toys.all_of(DATA), toys.ctx(HP))
    return loss, grads, aux


def test_vmf_vae_is_its_formula():
    method, p, c = started(geometry.vmf_vae, kappa=4.)
    loss, grads, aux = evaluate(geometry.vmf_vae, kappa=4.)
    q = method.evals['posterior'](p, c, toys.all_of(DATA))
    np.testing.assert_allclose(jnp.linalg.norm(q['mean'], axis=-1), 1, rtol=1e-12)
    z = method.evals['sample_q'](p, c, q, core.derive(jax.random.key(0), 0, 1))
    np.testing.assert_allclose(jnp.linalg.norm(z, axis=-1), 1, rtol=1e-9)
    rec = -method.evals['log_lik'](p, c, z, toys.all_of(DATA)).mean()
    np.testing.assert_allclose(
        [loss, aux['rec'], aux['kl']],
        [rec + vmf.kl(4., 3), rec, vmf.kl(4., 3)], rtol=1e-12)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(grads))


def test_vmf_rate_has_no_gradient():
    """Not nearly: the KL does not depend on the direction."""
    method, p, c = started(geometry.vmf_vae)
    batch = toys.all_of(DATA)

    def kl(p):
        return method.evals['kl'](p, c, method.evals['posterior'](p, c, batch)).sum()

    assert all((g == 0).all() for g in jax.tree.leaves(jax.grad(kl)(p)))
    assert float(kl(p)) == pytest.approx(6 * vmf.kl(13., 3), rel=1e-12)


@pytest.mark.parametrize('latent', [2, 3, 8, 32])
def test_vmf_kl_is_its_monte_carlo_estimate(latent):
    """log q - log p has the KL as its mean, whatever the size."""
    kit, n = toys.kit(latent), 20000
    q, prior = geometry.vmf(kit, 13.), geometry.uniform_sphere(latent)
    mean = {'mean': jnp.broadcast_to(vmf.unit(jnp.arange(1., latent + 1)), (n, latent))}
    z = toys.jit(q.sample)({}, mean, jax.random.key(0))
    gap = np.asarray(q.log_q({}, mean, z) - prior.log_prob({}, z))
    assert abs(gap.mean() - vmf.kl(13., latent)) < 4 * gap.std() / n**.5
    assert q.kl({}, mean)[0] == pytest.approx(vmf.kl(13., latent), rel=1e-12)
    assert q.kl_from == prior.family == 'sphere'
    assert prior.sample({}, jax.random.key(0), 5).shape == (5, latent)


def test_vmf_draws_move_with_their_direction():
    """The path derivative of E f(z) is that of its exact value, E z = A_d(kappa) mu."""
    kit, raw, n = toys.kit(4), jnp.array([.5, -1., .3, .2]), 20000
    posterior = geometry.vmf(kit, 6.)

    def draws(raw):
        mean = jnp.broadcast_to(vmf.unit(raw), (n, 4))
        return posterior.sample({}, {'mean': mean}, jax.random.key(0))[:, 0]

    got = np.asarray(toys.jit(jax.jacfwd(draws))(raw))
    want = vmf.mean_cosine(6., 4) * jax.grad(lambda r: vmf.unit(r)[0])(raw)
    assert (np.abs(got.mean(0) - want) < 4 * got.std(0) / n**.5).all()


def test_small_spheres_and_negative_concentrations_are_refused():
    for kit, kappa in ((toys.kit(1), 1.), (toys.kit(3), -1.)):
        with pytest.raises(UserError, match='at least 2'):
            geometry.vmf(kit, kappa)


def by_hand(c, convention, p):
    """P-VAE's loss on all data, written down."""
    x = toys.flat(DATA['x'])
    u, raw = jnp.split(
        jnp.tanh(x @ p['enc']['w'] + p['enc']['b']) @ p['head']['w'] + p['head']['b'], 2, -1)
    root, unit = np.sqrt(c), {'pvae': 1., 'apo': 2.}[convention]
    s, r = jnp.log1p(jnp.exp(raw)) + geometry.THIN, jnp.linalg.norm(u, axis=-1, keepdims=True)
    r = jnp.where(r == 0, 1., r)                             # a black image
    mean = jnp.tanh(root * r) * u / (root * r)
    noise = s * jax.random.normal(core.derive(jax.random.key(0), 0, 1), u.shape)
    z = poincare.exp_map(mean, unit * noise / poincare.conformal(mean, c), c)
    back = 2 / root * jnp.arctanh(
        root * jnp.linalg.norm(z, axis=-1, keepdims=True)) * z / jnp.linalg.norm(
            z, axis=-1, keepdims=True) / unit  # the prior's noise at z

    def log_prob(noise, s):
        r = root * unit * jnp.linalg.norm(noise, axis=-1)
        return (distributions.normal_log_prob(noise, 0., 2 * jnp.log(s)) - 3 * np.log(unit)
                - 2 * jnp.log(jnp.sinh(r) / r))

    lift = poincare.gyroplane(z, p['dec']['lift']['normal'], p['dec']['lift']['offset'], c)
    logits = lift @ p['dec']['dec']['w'] + p['dec']['dec']['b']
    rec = -(x * logits - jax.nn.softplus(logits)).sum(-1)
    return rec.mean(), (log_prob(noise, s) - log_prob(back, 1.)).mean()


@pytest.mark.parametrize('c, convention', [
    pytest.param(.1, 'pvae', marks=pytest.mark.slow), (.05, 'apo')])
def test_p_vae_is_its_formula(c, convention):
    """Densities from the noise, here, and from the codes, there, are the same."""
    loss, grads, aux = evaluate(geometry.p_vae, c=c, convention=convention)
    rec, kl = by_hand(c, convention, started(geometry.p_vae, c=c, convention=convention)[1])
    np.testing.assert_allclose([aux['rec'], aux['kl'], loss], [rec, kl, rec + kl], rtol=1e-9)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(grads)) and aux['clipped'] == 0


def euclidean(kit, recipe, convention='pvae'):
    """What P-VAE is where nothing is curved: z = mean + scale e / 2, prior N(0, I / 4), a
    linear layer before all.
    """
    width = poincare.UNIT[convention] / 2
    base = posteriors.gaussian(kit)

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features)
        return {
            **q, 'log_var': 2 * jnp.log(width * (jax.nn.softplus(q['log_var']) + geometry.THIN))
        }, carry

    flat = {'mean': 0., 'log_var': 2 * np.log(width)}
    prior = models.Prior((), lambda key, data, params: {},
                         lambda p, z: distributions.normal_log_prob(z, **flat),
                         lambda p, key, n: width * jax.random.normal(key, (n, kit.latent)))
    linear = core.Net(geometry.gyroplanes(3, 3).init, lambda p, z: 4 * (z @ p['normal'].T - (
        p['normal'] * p['offset']).sum(-1)))
    return autoencoders.autoencoder(kit, recipe,
                                    base._replace(apply=apply, kl=None,
                                                  kl_dims=None), regularizers.kl,
                                    objectives.scheduled_weight(recipe), prior=prior,
                                    decoder=geometry.with_input_layer(kit.decoder(), linear))


@pytest.mark.parametrize('convention', ['pvae', 'apo'])
@pytest.mark.slow
def test_without_curvature_it_is_a_gaussian_vae(convention):
    """Loss and gradients of the same draws; covariance s^2 / 4 in pvae's convention."""
    params = started(geometry.p_vae, c=.1)[1]
    want = evaluate(euclidean, params, convention=convention)
    for c, off in ((0., 1e-9), (1e-7, 1e-4)):
        loss, grads, aux = evaluate(geometry.p_vae, params, c=c, convention=convention)
        toys.close((loss, grads, aux['kl']), (*want[:2], want[2]['kl']), atol=off)


def test_p_vae_kl_in_the_limit_is_the_closed_form():
    """KL(N(mu, s^2 / 4) || N(0, 1 / 4)) by the mean over draws."""
    posterior, prior = (f(v, 1e-8) for f, v in ((geometry.wrapped_normal, toys.kit()),
                                                (geometry.wrapped_prior, 3)))
    mean, scale, n = jnp.array([.3, -.2, .5]), jnp.array([.5, 1., 1.5]), 20000
    q = {'mean': jnp.broadcast_to(mean, (n, 3)), 'scale': jnp.broadcast_to(scale, (n, 3))}
    z = posterior.sample({}, q, jax.random.key(0))
    gap = np.asarray(posterior.log_q({}, q, z) - prior.log_prob({}, z))
    want = .5 * (scale**2 + 4 * mean**2 - 1 - 2 * jnp.log(scale)).sum()
    assert abs(gap.mean() - want) < 4 * gap.std() / n**.5


def test_a_code_outside_the_ball_has_finite_densities():
    method, p, c = started(geometry.p_vae)
    z = jnp.array([[9., -9., 0.]] * 6)
    q = method.evals['posterior'](p, c, toys.all_of(DATA))
    for value in (method.evals['log_q'](p,
                                        c, q, z), method.evals['log_lik'](p, c, z,
                                                                          toys.all_of(DATA))):
        assert np.isfinite(value).all()
    assert (method.evals['log_prior'](p, c, z) == -np.inf).all()      # it has no share of p(x)
    np.testing.assert_allclose(method.evals['log_prior'](p, c, z),
                               method.evals['log_prior'](p, c, 2 * z), rtol=1e-9)


def test_importance_weights_give_the_models_likelihood():
    """-log p(x) with the posterior and with the prior as proposals agree: densities and draws
    fit together.
    """
    method, p, c = started(geometry.p_vae, latent=2, c=.7)
    # wide: good proposals
    p = {**p, 'head': {'w': .3 * p['head']['w'], 'b': jnp.array([0., 0., .8, .8])}}
    batch = {k: v[:2] for k, v in toys.all_of(DATA).items()}
    q = method.evals['posterior'](p, c, batch)

    @toys.jit
    def weights(key):
        def one(z, log_q):
            return jnp.exp(method.evals['log_lik'](p, c, z, batch) +
                           method.evals['log_prior'](p, c, z) - log_q)

        z = method.evals['sample_q'](p, c, q, key)
        other = method.evals['sample_prior'](p, c, key, 2)
        return one(z, method.evals['log_q'](p, c, q, z)), one(
            other, method.evals['log_prior'](p, c, other))

    a, b = map(np.asarray, jax.vmap(weights)(jax.random.split(jax.random.key(0), 8000)))
    assert (np.abs(a.mean(0) - b.mean(0)) < 4 * np.sqrt((a.var(0) + b.var(0)) / 8000)).all()


@pytest.mark.slow
def test_clipped_codes_are_counted():
    """By weight: an empty slot does not count."""
    z = poincare.project(jnp.array([[9., 0.], [.1, 0.], [0., 9.], [0., 9.]]), .1)
    terms = models.Terms(None, z, None, None, None, None)
    shown = geometry.boundary_share(.1)(terms, {'weight': jnp.array([1., 1., 1., 0.])})
    assert float(shown['clipped']) == pytest.approx(2 / 3)
    far = started(geometry.p_vae)[1]
    far = {**far, 'head': jax.tree.map(lambda x: 1e3 * x, far['head'])}
    loss, grads, aux = evaluate(geometry.p_vae, far)
    assert aux['clipped'] > .5 and all(
        np.isfinite(x).all() for x in jax.tree.leaves((loss, grads)))


def test_lifted_decoder_is_the_decoder_of_the_lift():
    kit = toys.kit()
    double = core.Net(lambda key: {'a': jnp.asarray(2.)}, lambda p, z: p['a'] * z)
    dec, plain = geometry.with_input_layer(kit.decoder(), double), kit.decoder()
    p, z, batch = dec.init(jax.random.key(0)), jnp.ones((6, 3)), toys.all_of(DATA)
    assert set(p) == {'lift', 'dec'}
    np.testing.assert_array_equal(dec.log_prob(p, z, batch),
                                  plain.log_prob(p['dec'], 2 * z, batch))
    toys.close(dec.generate(p, z, None, 'mean'), plain.generate(p['dec'], 2 * z, None, 'mean'))


def test_unknown_conventions_and_positive_curvature_are_refused():
    with pytest.raises(UserError, match='pvae'):
        geometry.wrapped_normal(toys.kit(), convention='geoopt')
    with pytest.raises(UserError, match='at least 0'):
        geometry.wrapped_prior(3, -1.)
