"""Linear networks, where autoencoders and their bounds have closed forms."""
import dataclasses

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
import toys

from vaebench import core
from vaebench.engine.optimizers import optimizer
from vaebench.methods import autoencoders
from vaebench.metrics import Settings, measure
from vaebench.networks import image_layers, likelihoods
from vaebench.ops import divergences

DATA = toys.images(12)


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def linear(latent, sigma=1., likelihood='gaussian_fixed'):
    """A kit without nonlinearity: features are the pixels, the decoder is z W + b."""
    def decoder(latent=latent):
        return likelihoods.observe(image_layers.MlpDecoder((), 'relu', (2, 2, 1)), likelihood, sigma, latent)

    identity = core.Net(lambda key: {},
                        lambda params, batch, key=None: core.Features(toys.flat(batch['x'])))
    kit = toys.kit(latent).replace(
        encoder=lambda init=None: identity, decoder=decoder,
        head=lambda n_out, init=None, bias=None: toys.linear(4, n_out))
    return dataclasses.replace(kit, features=4)


def decoding(params, w, b):
    """The params with that linear decoder."""
    return {
        **params, 'dec': {
            **params['dec'], 'body': {'body': {'layer0': {'kernel': w, 'bias': b}}}
        }
    }


def test_linear_autoencoder_is_pca():
    """It reaches PCA's error and spans its subspace; codes as wide as the image cost
    nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)) @ np.diag([3., 2., 1., .5]) @ np.linalg.qr(
        rng.normal(size=(4, 4)))[0]
    x -= x.mean(0)
    batch = {'x': jnp.asarray(x.reshape(60, 2, 2, 1)), 'weight': jnp.ones(60)}
    method = autoencoders.deterministic_ae(linear(2), toys.recipe())
    params, carry = method.init(jax.random.key(0), batch)
    flat, restore = jax.flatten_util.ravel_pytree(params)
    loss = toys.jit(
        jax.value_and_grad(lambda v: method.phases[0].players[0].loss(
            restore(v), carry, batch, toys.ctx({}))[0]))
    found = scipy.optimize.minimize(lambda v: tuple(map(np.asarray, loss(v))), flat, jac=True,
                                    method='BFGS', options={'gtol': 1e-9})
    values, axes = np.linalg.eigh(x.T @ x / 60)
    constant = 2 * np.log(2 * np.pi)
    assert 2 * (found.fun - constant) == pytest.approx(values[:2].sum(), rel=1e-8)
    kernel = restore(found.x)['dec']['body']['body']['layer0']['kernel']
    assert scipy.linalg.subspace_angles(np.asarray(kernel).T, axes[:, 2:]).max() < 1e-4
    whole = autoencoders.deterministic_ae(linear(4), toys.recipe())
    params, carry = whole.init(jax.random.key(0), batch)
    params = decoding({**params, 'head': {'w': jnp.eye(4), 'b': jnp.zeros(4)}}, jnp.eye(4),
                      jnp.zeros(4))
    value, (_, aux) = whole.phases[0].players[0].loss(params, carry, batch, toys.ctx({}))
    assert float(value) == pytest.approx(constant, rel=1e-12) and set(aux) == {'rec', 'beta'}


@pytest.mark.parametrize('sigma', [.5, 2.])
def test_linear_gaussian_vae_is_exact(sigma):
    """ELBO = log p(x) - KL(q || posterior); at the posterior importance weights have no
    variance.
    """
    rng = np.random.default_rng(1)
    # orthogonal: a diagonal posterior
    w = np.diag([1.5, .7]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0][:2]
    b, x = rng.normal(size=4), rng.normal(size=(7, 4))
    method = autoencoders.vae(linear(2, sigma), toys.recipe())
    batch = {'x': jnp.asarray(x.reshape(7, 2, 2, 1)), 'weight': jnp.ones(7)}
    params, carry = method.init(jax.random.key(0), batch)
    params = decoding(params, jnp.asarray(w), jnp.asarray(b))
    log_p = scipy.stats.multivariate_normal(b, w.T @ w + sigma**2 * np.eye(4)).logpdf(x)
    var = 1 / (1 + np.diag(w @ w.T) / sigma**2)
    # posterior mean (x - b) gain
    gain = w.T * var / sigma**2
    head = {
        'w': jnp.asarray(np.hstack([gain, np.zeros((4, 2))])),
        'b': jnp.asarray(np.r_[-b @ gain, np.log(var)])
    }
    e, exact = method.evals, {**params, 'head': head}
    for p in (params, exact):
        q = e['posterior'](p, carry, batch)
        std = jnp.exp(q['log_var'] / 2)
        lik = lambda z, p=p: e['log_lik'](p, carry, z, batch)
        rec = lik(q['mean']) + sum(.5 *
                                   (lik(q['mean'] + d) + lik(q['mean'] - d)) - lik(q['mean'])
                                   # exact: it is quadratic
                                   for d in (std * jnp.eye(2)[0], std * jnp.eye(2)[1]))
        z = (q['mean'] - (x - b) @ gain) / np.sqrt(var)
        # KL(q || posterior), in its units
        gap = divergences.normal_kl(z, q['log_var'] - np.log(var))
        np.testing.assert_allclose(rec - e['kl'](p, carry, q), log_p - gap, rtol=1e-9)
    out = measure(
        toys.evaluator(e, jax.tree.map(lambda v: jnp.float32(v)[None], exact),
             jax.tree.map(lambda v: v[None], carry), [{'x': np.float32(batch['x'])}],
             jax.random.key(0), Settings(samples=20, chunk=10, batch=4)), ['nll_iw', 'ess'])
    np.testing.assert_allclose(out['nll_iw'].value, -log_p.mean(), rtol=1e-5)
    np.testing.assert_allclose(out['ess'].value, 20, rtol=1e-5)


def test_shared_variance_is_best_at_the_mean_squared_error():
    """There the likelihood is largest, and there the gradient of the mean is zero: it is the
    distance to that error, whatever the number of pixels.
    """
    dec = linear(2, likelihood='gaussian_shared').decoder()
    params, z = dec.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (12, 2))
    error = float(((dec.generate(params, z)['x'] - DATA['x'])**2).mean())
    nll = lambda v: -dec.log_prob({**params, 'running_variance': v}, z, DATA).mean()
    assert nll(jnp.float64(error)) < min(nll(jnp.float64(c * error)) for c in (.9, 1.1))
    for v in (error, .5, 2.):
        assert float(jax.grad(nll)(jnp.float64(v))) == pytest.approx(v - error, abs=1e-9)


@pytest.mark.parametrize('rate', [1e-4, 1e-2])
def test_shared_variance_follows_the_error_whatever_the_learning_rate(rate):
    """From 1 to that of the data, which is far from it, and on as the network learns."""
    method = autoencoders.vae(linear(2, likelihood='gaussian_shared'), toys.recipe()._replace(
        optimizer=optimizer({'name': 'adam', 'clip': 1.})))
    data = toys.all_of({'x': toys.images(300)['x'] * .05})
    state = core.init(method, jax.random.key(0), data,
                      {**toys.hp('vae'), 'lr': jnp.float32(rate)})
    block = toys.jit(core.make_block(method.phases[0]))
    state, _ = block(state, {'x': data['x']}, jnp.tile(jnp.arange(300), (200, 1, 1)), 200)
    evals, params = method.evals, state.params
    q = evals['posterior'](params, state.carry, data)

    def error(key):
        z = evals['sample_q'](params, state.carry, q, key)
        return ((evals['decode'](params, state.carry, z, None, 'mean')['x'] - data['x'])**2).mean()

    errors = jax.vmap(error)(jax.random.split(jax.random.key(1), 200))
    assert abs(np.log(params['dec']['running_variance']) - np.log(errors.mean())) < .1
