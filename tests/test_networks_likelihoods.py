"""Likelihoods of images against SciPy, and the decoders that have them."""
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from test_networks import Z, draw, image_kit, sigmoid

from vaebench.experiment import configs, results, rows, table
from vaebench.experiment.runner import Runner
from vaebench.networks import likelihoods


def test_likelihoods_are_normalized_densities():
    x, a, lv = draw((3, 2, 2, 1)), draw((3, 2, 2, 1), 1), draw((3, 2, 2, 1), 2)
    want = scipy.stats.norm(a, np.exp(np.asarray(lv) / 2)).logpdf(x).reshape(3, -1).sum(1)
    np.testing.assert_allclose(likelihoods.gaussian(x, a, lv), want, rtol=1e-5)
    scale = np.exp(np.asarray(lv) / 2) / 2**.5
    want = scipy.stats.laplace(a, scale).logpdf(x).reshape(3, -1).sum(1)
    np.testing.assert_allclose(likelihoods.laplace(x, a, lv), want, rtol=1e-5)
    bits = (x > 0).astype(jnp.float32)
    want = scipy.stats.bernoulli(sigmoid(np.asarray(a, np.float64))).logpmf(bits)
    want = want.reshape(3, -1).sum(1)
    np.testing.assert_allclose(likelihoods.bernoulli(bits, a), want, rtol=1e-5)


def test_bernoulli_is_smooth_and_finite():
    """First and second derivative in the logit, at 0 too; no overflow."""
    x, logits = jnp.full((7, 1), .25), jnp.array([-1e4, -3., -.1, 0., .1, 3., 1e4])[:, None]
    f = lambda a: likelihoods.bernoulli(x[0], a).sum()
    s = sigmoid(np.clip(np.asarray(logits, np.float64), -700, 700))
    np.testing.assert_allclose(jax.vmap(jax.grad(f))(logits), .25 - s, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.hessian(f))(logits)[..., 0], -s * (1 - s),
                               atol=1e-6)
    assert likelihoods.bernoulli(x, logits)[-1] == -7500


@pytest.mark.parametrize('likelihood', ['gaussian_fixed', 'gaussian_shared', 'gaussian_full'])
def test_gaussian_decoders(likelihood):
    dec = image_kit(likelihood=likelihood, sigma=.3).decoder()
    params, z = dec.init(jax.random.key(0)), draw((50, Z))
    mean, log_var = jnp.zeros(0), None
    if likelihood == 'gaussian_shared':
        assert params['running_variance'] == 1
        params = {**params, 'running_variance': jnp.float32(math.exp(-1.))}
        log_var = -1.
    elif likelihood == 'gaussian_fixed':
        log_var = 2 * math.log(.3)
    else:                                 # the last layer's bias alone: below the clamp
        body = params['body']['body']
        layer = {k: jnp.zeros_like(v) for k, v in body['layer2'].items()}
        layer['bias'] = jnp.where(jnp.arange(128) % 2 == 1, -20., 0.)
        params = {**params, 'body': {'body': {**body, 'layer2': layer}}}
        log_var = -6.
    mean = dec.generate(params, z, None, 'mean')['x']
    x = draw(mean.shape, 5)
    want = scipy.stats.norm(mean, math.exp(log_var / 2)).logpdf(x).reshape(50, -1).sum(1)
    np.testing.assert_allclose(dec.log_prob(params, z, {'x': x}), want, rtol=1e-5)
    noise = dec.generate(params, z, jax.random.key(1), 'sample')['x'] - mean
    # 3,200 draws: four standard errors are 0.05
    assert abs(float(noise.std()) / math.exp(log_var / 2) - 1) < .06


def test_laplace_decoder():
    dec = image_kit(likelihood='laplace', scale=.1, sigma=7.).decoder()
    params, z = dec.init(jax.random.key(0)), draw((50, Z))
    mean = dec.generate(params, z, None, 'mean')['x']
    assert mean.shape == (50, 8, 8, 1)
    x = mean + .3 * draw(mean.shape, 5)
    want = scipy.stats.laplace(mean, .1).logpdf(x).reshape(50, -1).sum(1)
    np.testing.assert_allclose(dec.log_prob(params, z, {'x': x}), want, rtol=1e-4)
    noise = dec.generate(params, z, jax.random.key(1), 'sample')['x'] - mean
    assert scipy.stats.kstest(np.asarray(noise).ravel(), scipy.stats.laplace(0, .1).cdf).pvalue > 1e-3


def test_bernoulli_decoder_samples_bits_of_its_mean():
    dec = image_kit().decoder()
    params, z = dec.init(jax.random.key(0)), jnp.broadcast_to(draw((1, Z)), (4000, Z))
    mean = dec.generate(params, z, None, 'mean')['x'][0]
    bits = dec.generate(params, z, jax.random.key(1), 'sample')['x']
    assert set(np.unique(bits)) == {0, 1}
    assert (np.abs(bits.mean(0) - mean) < 5 * np.sqrt(mean * (1 - mean) / 4000)).all()


@pytest.mark.slow
@pytest.mark.parametrize('name, part, bound', [
    ('quickstart', 'images', -15.), ('images_quick', 'digits', -15.),
    ('images_quick', 'gaussians', 1.5)])
def test_shared_variance_of_short_runs_is_no_bound_of_the_rate(name, part, bound, tmp_path):
    """On digits the density exceeds 1; of the Gaussians it is not that of their variance, 2.85
    nats.
    """
    config = configs.load(name).to_dict()['tables'][part]
    config.update(table=rows.select(config['table'], 'vae_gaussian'), baseline='', seeds=1,
                  metrics=('nll_iw', 'elbo'))
    assert not any(Runner(table.tables(config)[0], tmp_path, say=lambda line: None).run().values())
    (result,), problems = results.read_all(tmp_path / 'results')
    assert not problems and result.metrics['nll_iw'].value < bound
