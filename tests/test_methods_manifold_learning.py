"""scikit-learn's maps as rows: shapes, options, and what a linear autoencoder shares with
PCA."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.linalg import subspace_angles

from vaebench import core, methods
from vaebench.errors import UserError
from vaebench.experiment import runner
from vaebench.methods import Entry, autoencoders, manifold_learning
from vaebench.methods.manifold_learning import ESTIMATORS, embedding

ROWS = [(name, {}) for name in ESTIMATORS] + [('lle', {'method': 'modified'})]


def points(n=60, seed=0):
    """[n, 5] points with falling variances around a mean that is not zero."""
    return np.random.default_rng(seed).normal(size=(n, 5)) * [3., 2., .5, .3, .2] + np.arange(5)


def embed(estimator, **options):
    return embedding(None, None, estimator=estimator, **options).evals['embed']


def test_kernel_pca_is_of_the_data_s_own_width():
    """The unit of the data changes nothing, and the map is not that of PCA."""
    x = points()
    codes = embed('kernel_pca')(x, 0)
    np.testing.assert_allclose(embed('kernel_pca')(1000 * x, 0), codes, rtol=1e-6, atol=1e-9)
    m = np.median([np.linalg.norm(a - b) for i, a in enumerate(x) for b in x[:i]])
    np.testing.assert_allclose(codes, embed('kernel_pca', gamma=1 / (2 * m**2))(x, 0))
    r = np.corrcoef(codes[:, 0], embed('pca')(x, 0)[:, 0])[0, 1]
    assert abs(r) < .999


def test_pca_is_the_singular_value_decomposition():
    x = points()
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    codes = embed('pca')(x, 0)
    np.testing.assert_allclose(abs(codes), abs(u[:, :2] * s[:2]), rtol=1e-9)
    # images are their pixels
    np.testing.assert_array_equal(codes, embed('pca')(x.reshape(60, 5, 1, 1), 3))


@pytest.mark.parametrize('estimator, options', ROWS)
def test_codes_have_their_shape_and_are_reproducible(estimator, options):
    options = {**options, **({'perplexity': 10} if estimator == 'tsne' else {})}
    x = np.float32(points())
    codes = embed(estimator, **options)(x, 1)
    assert codes.shape == (60, 2) and np.isfinite(codes).all() and (codes.std(0) > 0).all()
    np.testing.assert_array_equal(codes, embed(estimator, **options)(x, 1))
    one = embed(estimator, **options, size=1)(x, 1)
    assert one.shape == (60, 1)


@pytest.mark.slow
def test_the_seed_draws():
    x = points()
    draws = [embed('tsne', init='random', perplexity=10)(x, seed) for seed in (0, 1, 1)]
    assert abs(draws[0] - draws[1]).max() > 1
    np.testing.assert_array_equal(draws[1], draws[2])


def test_options_reach_the_estimator():
    x = points()
    r2 = ((x[:, None] - x[None])**2).sum(-1)
    centre = np.eye(60) - 1 / 60
    values, vectors = np.linalg.eigh(centre @ np.exp(-.03 * r2) @ centre)
    want = vectors[:, [-1, -2]] * np.sqrt(values[[-1, -2]])
    np.testing.assert_allclose(abs(embed('kernel_pca', gamma=.03)(x, 0)), abs(want), rtol=1e-6,
                               atol=1e-8)
    flat = np.random.default_rng(0).random((300, 2)) * [2., 1.]
    near = embed('isomap', n_neighbors=20)(
        flat @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0][:2], 0)
    path, straight = (np.linalg.norm(z[:, None] - z[None], axis=-1) for z in (near, flat))
    # a flat sheet: all distances are kept
    assert np.corrcoef(path.ravel(), straight.ravel())[0, 1] > .995


def test_bad_options_are_refused_before_anything_runs():
    with pytest.raises(UserError, match="unknown estimator 'iso'; did you mean 'isomap'"):
        embedding(None, None, estimator='iso')
    with pytest.raises(UserError, match='size=0: give a whole number'):
        embedding(None, None, estimator='pca', size=0)
    with pytest.raises(TypeError, match='argument'):               # the runner says which row
        embedding(None, None, estimator='pca', gamma=1.)


def test_nothing_is_trained():
    method = embedding(None, None, estimator='pca')
    batch = toys.all_of(toys.labelled(9))
    state = core.init(method, jax.random.key(0), batch, {})
    assert int(state.status
               ) == core.DONE and not method.phases and not state.params and not state.carry
    assert set(method.evals) == {'embed'} <= set(core.EVALS)


def test_row_through_the_runner(tmp_path, monkeypatch):
    """A method without parameters trains, is kept, and is evaluated as any other."""
    from vaebench import metrics
    from vaebench.experiment import results
    from vaebench.experiment.table import tables
    from vaebench.metrics import representation

    monkeypatch.setitem(methods.METHODS, 'pca', Entry(manifold_learning.embedding, {}, (), ('x',),
                                                      {'estimator': 'pca'}))
    for name in ('trust', 'knn_error'):
        monkeypatch.setitem(metrics.METRICS, name, representation.METRICS[name])
    config = {'name': 'tiny', 'title': 'Tiny', 'dataset': {'name': 'digits', 'examples': 100, 'eval_examples': 60},
              'kit': {'name': 'mlp', 'latent': 2, 'hidden': (8,)}, 'epochs': 1, 'batch': 50,
              'evaluation': {'samples': 2, 'chunk': 2, 'batch': 30}, 'metrics': ('trust', 'knn_error', 'elbo'),
              'table': {'pca': {'label': 'PCA', 'method': 'pca'}}}
    work = runner.Runner(tables(config)[0], tmp_path, say=print)
    assert work.run() == {'busy': [], 'broken': [], 'out': False}
    found = [results.read(path) for path in sorted((tmp_path / 'results').glob('*.json'))]
    assert [r.seed for r in found] == [0, 1] and all(r.status == 'done' for r in found)
    got = found[0].metrics
    assert set(got) == {'trust', 'knn_error'} and got['trust'].n == 60
    assert .7 < got['trust'].value < 1 and 0 < got['knn_error'].value < 90
    assert found[0].parameter_count == 0 and found[0].steps == 0 and found[0].parameters == ()
    assert work.run() == {'busy': [], 'broken': [], 'out': False}      # and it is known to be done


def test_linear_autoencoder_spans_the_principal_subspace():
    """Catalogue, section 1: no hidden layer, squared error, centred data; it does not recover
    the axes.
    """
    x = points()
    x = np.float32(x - x.mean(0))
    identity = core.Net(lambda key: {},
                        lambda params, batch, key=None: core.Features(batch['x']))
    out = toys.linear(2, 5)
    error = lambda params, z, batch: ((batch['x'] - out.apply(params, z))**2).sum(-1)
    decoder = core.Decoder(out.init,
                           lambda params, z, batch, key=None: -error(params, z, batch) / 2,
                           lambda params, z, key, mode: {'x': out.apply(params, z)})
    head = lambda n, init=None, bias=None: toys.linear(5, n)
    kit = dataclasses.replace(toys.kit(2), features=5).replace(
        encoder=lambda init=None: identity, head=head, decoder=lambda latent=2: decoder)
    method = autoencoders.deterministic_ae(kit, toys.recipe(steps=3000, clip=1e9))
    data = {'x': jnp.asarray(x)}
    batch = {**data, 'weight': jnp.ones(60)}
    state = core.init(method, jax.random.key(0), batch,
                      {'lr': jnp.float32(.02), 'lr_scale': jnp.float32(1.)})
    idx = jnp.broadcast_to(jnp.arange(60), (3000, 1, 60))
    state, _ = toys.jit(core.make_block(method.phases[0]))(state, data, idx, jnp.int32(3000))
    z = method.evals['encode'](state.params, state.carry, batch)
    y = method.evals['decode'](state.params, state.carry, z, jax.random.key(0), 'mean')['x']
    _, s, v = np.linalg.svd(x)
    np.testing.assert_allclose(((x - y)**2).sum(), (s[2:]**2).sum(), rtol=1e-4)
    w = jax.tree.leaves(state.params['dec'])
    w = next(p for p in w if p.ndim == 2)
    assert subspace_angles(np.float64(w).T, v[:2].T).max() < 1e-3
    assert abs(np.corrcoef(z.T)[0, 1]) > .02       # the axes inside that plane are any
