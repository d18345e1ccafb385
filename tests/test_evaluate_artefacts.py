"""What an evaluation leaves for pictures: numbers of every array, and which evals give which."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from test_metrics import KEY, S2, closed, data, gaussian, linear, view
from test_metrics import quick as quick  # the fixture

from vaebench.core import derive
from vaebench.experiment import evaluate
from vaebench.metrics import representation, samples

N = 40
MATRIX = np.float32([[1., 2.], [-1., .5]])


def decode(params, carry, z, key, mode):
    """x = z A + s, whose s tells the seeds apart."""
    assert mode == 'mean'
    return {'x': z @ MATRIX[:z.shape[-1]] + params['s']}


def sample(params, carry, key, n, mode):
    assert mode == 'sample'           # points, whose noise is part of their law
    return decode(params, carry, sample_prior(params, carry, key, n), key, 'mean')


def sample_prior(params, carry, key, n):
    return jax.random.normal(key, (n, 2))


def arrays_of(evals, bucket=None, **settings):
    v = view(evals, [bucket or {'x': data(N), 'label': np.arange(N, dtype=np.int32) % 3}], **settings)
    return evaluate.artefacts(v, {}), v


FULL = linear(decode=decode, sample=sample, sample_prior=sample_prior)


@pytest.fixture(scope='module')
def full():
    return arrays_of(FULL)


def said(z):
    """[2, ..., 2] decoded codes [2, ..., 2]."""
    return z @ MATRIX + np.float32(S2['s']).reshape(2, *[1] * (z.ndim - 1))


def test_names_and_shapes(full):
    arrays, v = full
    assert {k: x.shape for k, x in arrays.items()} == {
        'codes': (2, N, 2), 'codes/draw': (2, N, 2), 'real/x': (2, N, 2), 'decoded/x': (2, N, 2),
        'sample/x': (2, 2000, 2), 'interpolation/x': (2, 8, 10, 2),
        'traversal/x': (2, 2, 11, 2), 'traversal/dim': (2, 2),
        'traversal/variance': (2, 2), 'label': (2, N)}
    assert {k for k, x in arrays.items() if x.dtype != np.float32} == {'label', 'traversal/dim'}
    for g in range(2):
        np.testing.assert_array_equal(arrays['real/x'][g], data(N))
        np.testing.assert_array_equal(arrays['label'][g], np.arange(N) % 3)
    np.testing.assert_array_equal(arrays['codes'], v.codes)
    np.testing.assert_array_equal(arrays['codes/draw'], v.draws)


def test_scales_of_gaussian_posteriors():
    def posterior(params, carry, batch):
        v = params['s']**2
        return {'mean': batch['x'] / (1 + v), 'log_var': jnp.broadcast_to(jnp.log(v / (1 + v)), batch['x'].shape)}

    more = {'posterior': posterior, 'encode': lambda *a: posterior(*a)['mean'],
            'sample_q': lambda params, carry, q, key: q['mean'] + 0 * q['log_var']}
    drop = {k: f for k, f in FULL.items() if k not in ('log_q', 'log_q_dims', 'log_lik')}
    arrays, v = arrays_of(drop | more)
    variance = np.float32(S2['s'])**2
    np.testing.assert_allclose(arrays['codes/scale'], np.broadcast_to(
        np.sqrt(variance / (1 + variance))[:, None, None], (2, N, 2)), rtol=1e-5)
    moved = lambda *a: 2 * posterior(*a)['mean']        # codes that are no means of these Gaussians
    assert 'codes/scale' not in arrays_of(drop | more | {'encode': moved})[0]
    assert not any('/' in k and k.startswith('codes') for k in arrays_of(
        {k: f for k, f in FULL.items() if k not in ('sample_q', 'log_q')})[0])


def test_reconstructions_are_of_the_first_examples(full):
    arrays, v = full
    np.testing.assert_allclose(arrays['decoded/x'], said(v.codes), rtol=1e-5, atol=1e-6)


def test_samples_are_the_ones_that_metrics_compare(full):
    arrays, v = full
    np.testing.assert_array_equal(arrays['sample/x'][:, :150], samples.generated(v, 150))
    np.testing.assert_allclose(arrays['sample/x'].mean(1), np.float32(S2['s'])[:, None] * [1, 1], atol=.2)


def test_interpolation_goes_from_one_reconstruction_to_the_next(full):
    arrays, v = full
    x, ends = arrays['interpolation/x'], arrays['decoded/x'][:, :16]
    np.testing.assert_allclose(x[:, :, 0], ends[:, 0::2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x[:, :, -1], ends[:, 1::2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.diff(x, axis=2), np.diff(x, axis=2)[:, :, :1].repeat(9, 2), atol=1e-5)


def test_traversal_moves_one_dimension(full):
    arrays, v = full
    dims = arrays['traversal/dim']
    z = (arrays['traversal/x'] - np.float32(S2['s']).reshape(2, 1, 1, 1)) @ np.linalg.inv(MATRIX)
    for g in range(2):
        assert sorted(dims[g]) == [0, 1]
        for row, d in zip(z[g], dims[g], strict=True):
            np.testing.assert_allclose(row[:, d], np.linspace(-3, 3, 11), atol=1e-5)
            np.testing.assert_allclose(row[:, 1 - d], v.codes[g, 0, 1 - d], atol=1e-5)
        variance = v.codes[g].var(0)
        np.testing.assert_allclose(arrays['traversal/variance'][g], variance[dims[g]], rtol=1e-5)
        assert (np.diff(variance[dims[g]]) <= 0).all()


def wide(z, n=400):
    """A Gaussian autoencoder of z dimensions whose KL falls away from dimension 3; codes vary alike."""
    std = np.exp(-2. / (1 + np.abs(np.arange(z) - 3.)))
    mean = np.random.default_rng(0).normal(size=(n, z))
    bucket = {'x': np.zeros((n, 2), np.float32), 'mean': np.float32(mean), 'std': np.float32(np.tile(std, (n, 1)))}
    evals = gaussian(lambda params, carry, batch: (batch['mean'], batch['std']),
                     lambda params, carry, z, batch: 0. * z.sum(-1), kl=closed,
                     decode=lambda params, carry, z, key, mode: {'x': z[:, :2]})
    return evals, bucket, (.5 * (mean**2 + std**2 - 1) - np.log(std)).mean(0)


def test_traversal_takes_the_ten_dimensions_of_largest_kl_first():
    evals, bucket, kl = wide(13)
    arrays, _ = arrays_of(evals, bucket, batch=200)
    dims, rate = arrays['traversal/dim'][0], arrays['traversal/kl'][0]
    assert dims.shape == (10,) and dims[0] == 3 and set(dims[1:3]) == {2, 4} and 'traversal/variance' not in arrays
    assert (np.diff(rate) <= 0).all()
    np.testing.assert_allclose(rate, kl[dims], atol=4 / np.sqrt(400))         # one draw: its variance is below 1
    assert np.abs(rate - kl[dims]).max() > 1e-4
    assert arrays['interpolation/x'].shape == (2, 8, 10, 2) and arrays['traversal/x'].shape == (2, 10, 11, 2)


def test_traversal_has_no_kl_from_a_prior_that_is_not_the_standard_normal():
    """A method may have a KL in closed form from another."""
    evals, bucket, _ = wide(3)
    log_prior = lambda params, carry, z: -.5 * (z**2 / 4 + jnp.log(8 * jnp.pi)).sum(-1)
    arrays, _ = arrays_of({**evals, 'log_prior': log_prior}, bucket, batch=200)
    assert 'traversal/kl' not in arrays
    order = np.argsort(-bucket['mean'].var(0))
    np.testing.assert_array_equal(arrays['traversal/dim'], [order, order])


def test_few_examples():
    arrays, _ = arrays_of(FULL, {'x': data(5)})
    assert arrays['interpolation/x'].shape == (2, 2, 10, 2) and arrays['decoded/x'].shape == (2, 5, 2)
    assert 'interpolation/x' not in arrays_of(FULL, {'x': data(1)})[0]


@pytest.mark.parametrize(('evals', 'want'), [
    ({}, set()), ({'sample': sample}, {'sample/x'}),
    ({'sample': sample, 'decode': decode, 'sample_prior': sample_prior}, {'sample/x', 'interpolation/x'}),
    ({'decode': decode}, set()), ({'encode': FULL['encode']}, {'codes'}),
    ({'reconstruct': lambda params, carry, batch: {'x': 2 * batch['x']}}, {'decoded/x'})])
def test_what_which_evals_give(evals, want):
    arrays, _ = arrays_of(evals)
    assert set(arrays) == want | {'real/x', 'label'}
    if 'reconstruct' in evals:
        np.testing.assert_array_equal(arrays['decoded/x'], 2 * arrays['real/x'])


def test_lines_between_draws_from_the_prior():
    arrays, v = arrays_of({'decode': decode, 'sample_prior': sample_prior})
    z = np.asarray(sample_prior(None, None, derive(KEY, 2), 16))
    ends = said(np.stack([z, z]))
    np.testing.assert_allclose(arrays['interpolation/x'][:, :, 0], ends[:, 0::2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(arrays['interpolation/x'][:, :, 9], ends[:, 1::2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('prior', [
    lambda params, carry, key, n: {'word': jnp.zeros((n, 2)), 'length': jnp.zeros(n)},
    lambda params, carry, key, n: jnp.zeros((n, 2), jnp.int32), lambda params, carry, key, n: jnp.zeros((n, 3, 2))])
def test_no_lines_between_codes_that_have_none(prior):
    assert set(arrays_of({'decode': decode, 'sample_prior': prior})[0]) == {'real/x', 'label'}


def test_codes_fitted_to_the_split(monkeypatch):
    monkeypatch.setattr(representation, 'MOST', 25)
    bucket = {'x': data(N), 'label': np.arange(N, dtype=np.int32), 'arclength': np.linspace(0, 1, N, dtype=np.float32)}
    arrays, v = arrays_of({'embed': lambda x, seed: np.float64(x) + seed}, bucket)
    assert arrays['codes'].shape == (2, 25, 2) and arrays['label'].shape == arrays['arclength'].shape == (2, 25)
    rows = arrays['label'][0]
    np.testing.assert_allclose(arrays['codes'][1], data(N)[rows] + 1, rtol=1e-6)
    np.testing.assert_array_equal(arrays['arclength'][0], bucket['arclength'][rows])


def test_images_are_bytes():
    method = toys.make('vae')
    batch = {**toys.images(80), 'weight': jnp.ones(80)}
    params, carry = method.init(KEY, batch)
    stack = lambda tree: jax.tree.map(lambda x: jnp.stack([x, x]), tree)
    x = np.asarray(batch['x'])
    trained = evaluate.metrics.Trained(method.evals, stack(params), stack(carry), evaluate.keys(2))
    settings = evaluate.metrics.Settings()
    _, arrays = evaluate.evaluate(trained, toys.readable([{'x': x}]), (), settings)
    pictures = {k: v for k, v in arrays.items() if k.endswith('/x')}
    assert {k: v.shape[1:] for k, v in pictures.items()} == {
        'real/x': (64, 2, 2, 1), 'decoded/x': (64, 2, 2, 1), 'sample/x': (64, 2, 2, 1),
        'interpolation/x': (8, 10, 2, 2, 1), 'traversal/x': (3, 11, 2, 2, 1)}
    assert all(v.dtype == np.uint8 and len(v) == 2 for v in pictures.values())
    np.testing.assert_array_equal(arrays['real/x'][0], 255 * x[:64])
    z = method.evals['encode'](params, carry, batch)
    want = 255 * method.evals['decode'](params, carry, z, KEY, 'mean')['x'][:64]
    np.testing.assert_allclose(arrays['decoded/x'][1], want, atol=.51)
    assert arrays['codes'].dtype == arrays['traversal/kl'].dtype == np.float32
    np.testing.assert_array_equal(evaluate._bytes(np.array([np.nan, -1., .5, 2., np.inf])), [0, 0, 128, 255, 255])


def test_sentences_have_no_pictures():
    tokens = {k: np.asarray(v) for k, v in toys.sentences(6).items()}
    v = view({'encode': lambda params, carry, batch: jnp.ones((len(batch['length']), 2)) * params['s']}, [tokens])
    assert set(evaluate.artefacts(v, {})) == {'codes'}
