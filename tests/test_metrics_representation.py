"""How well codes keep neighbourhoods, labels and surfaces, against codes that are known to."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.methods.manifold_learning import fit_transform
from vaebench.metrics import Settings
from vaebench.metrics.representation import FITTED, LEARNT, METRICS, MOST, embedding, neighbors_vote, rank_correlation

KEYS = jax.random.split(jax.random.key(0), 2)


def learnt(data, codes, **evals):
    """A view whose method has learnt codes [G, N, D]: it looks an example up by its place."""
    size = len(next(iter(data.values())))
    encode = lambda params, carry, batch: params['codes'][batch['place']]
    return toys.evaluator({'encode': encode, **evals}, {'codes': jnp.float32(codes)}, {},
                [{**data, 'place': np.arange(size)}], jax.random.key(0), Settings(batch=64))


def fitted(data, embed, seeds=2):
    return toys.evaluator({'embed': embed}, {}, {}, [data], KEYS[:seeds], Settings(batch=64))


def value(name, view):
    return METRICS[name].compute(view)


def cloud(n=200, size=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)


def test_trust_of_identical_and_of_random_codes():
    x = cloud()
    codes = np.stack([x, 5 * x[:, ::-1], np.random.default_rng(1).permutation(x)])
    v = value('trust', learnt({'x': x}, codes))
    np.testing.assert_allclose(v.value[:2], 1, atol=1e-12)         # distances, not axes
    assert abs(v.value[2] - .5) < .03
    assert v.n == 200 and v.stderr is None and v.estimator == f'trustworthiness, 10 neighbours; 3 dimensions, {LEARNT}'
    assert value('trust', learnt({'x': x[:20]}, codes[:, :20])) is None
    flat = value('trust', learnt({'x': x.reshape(200, 3, 1, 1)}, codes))
    np.testing.assert_array_equal(flat.value, v.value)


def test_trust_by_its_formula():
    x, z, k = cloud(60), cloud(60, 2, 1), 10
    dx, dz = (np.linalg.norm(a[:, None] - a[None], axis=-1)
              for a in (np.float64(x), np.float64(z)))
    rank = np.argsort(np.argsort(dx, 1), 1)                        # of oneself 0
    near = np.argsort(dz, 1)[:, 1:k + 1]
    penalty = np.maximum(np.take_along_axis(rank, near, 1) - k, 0).sum()
    want = 1 - 2 * penalty / (60 * k * (2 * 60 - 3 * k - 1))
    np.testing.assert_allclose(
        value('trust', learnt({'x': x}, z[None])).value, want, rtol=1e-12)


def test_embedding_is_fitted_once_per_seed():
    x, asked = cloud(30), []

    def embed(x, seed):
        asked.append((x.shape, seed))
        return x[:, :2] + seed

    view = fitted({'x': x, 'label': np.zeros(30, np.int32)}, embed)
    v = [value(n, view) for n in ('trust', 'knn_error')]
    assert asked == [((30, 3), 0), ((30, 3), 1)]
    assert v[0].estimator.endswith(f'; 2 dimensions, {FITTED}') and v[1].estimator.endswith(
        FITTED)
    np.testing.assert_array_equal(embedding(view)[1][1], x[:, :2] + 1)
    assert v[1].value.tolist() == [0., 0.]


def test_more_examples_than_distances_fit_into_memory():
    x = np.zeros((MOST + 50, 1), np.float32)
    x[:, 0] = np.arange(len(x))
    rows, codes, _ = embedding(fitted({'x': x}, lambda x, seed: x))
    assert codes.shape == (2, MOST, 1) and len(set(rows.tolist())) == MOST and (np.diff(rows)
                                                                                > 0).all()
    np.testing.assert_array_equal(codes[0, :, 0], rows)
    # not merely the first
    assert rows[-1] > MOST - 50 and not np.array_equal(rows, np.arange(MOST))


def test_knn_error_by_hand():
    codes = np.array([0., 1., 2., 10., 11., 12.])[:, None]
    assert neighbors_vote(codes, np.array([0, 0, 0, 1, 1, 1]),
                           2).tolist() == [0, 0, 0, 1, 1, 1]
    assert neighbors_vote(codes, np.array([0, 0, 1, 1, 1, 1]),
                           2).tolist() == [0, 0, 0, 1, 1, 1]
    # the same place
    assert neighbors_vote(np.zeros((5, 1)), np.array([3, 3, 3, 3, 0]), 4).tolist() == [3] * 5


def test_knn_error_of_clear_and_of_random_codes():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 400).astype(np.int32)
    clear = np.eye(4)[label] + .1 * rng.normal(size=(400, 4))
    v = value(
        'knn_error',
        learnt({'x': cloud(400), 'label': label}, np.stack([clear,
                                                            rng.normal(size=(400, 4))])))
    assert v.value[0] == 0 and abs(v.value[1] - 75) < 4 * 100 * np.sqrt(.75 * .25 / 400)
    assert v.n == 400 and v.stderr[0] == 0 and 1 < v.stderr[1] < 3
    assert value('knn_error', learnt({'x': cloud(10), 'label': label[:10]},
                                     clear[None, :10])) is None


def test_unrolled_is_what_keeps_the_order():
    t, h = np.random.default_rng(0).random((2, 300))
    data = {'x': cloud(300), 'arclength': t, 'height': h}
    turned = np.stack([t + h, t - h], 1)
    codes = np.stack([np.stack([h, -np.exp(3 * t)], 1), turned, np.zeros((300, 2))])
    arc, height = (value(f'unroll_{c}', learnt(data, codes)) for c in ('arclength', 'height'))
    # any rising or falling map; a collapse is 0
    np.testing.assert_allclose(arc.value[[0, 2]], [1, 0], atol=1e-12)
    np.testing.assert_allclose(height.value[[0, 2]], [1, 0], atol=1e-6)
    # a turn by 45 degrees is no unrolling
    assert .6 < arc.value[1] < .8 and .6 < height.value[1] < .8
    assert arc.estimator == (
        'largest |Spearman correlation| of a code dimension with the arclength; 2 dimensions, '
        f'{LEARNT}')
    from scipy.stats import spearmanr
    np.testing.assert_allclose(
        arc.value[1], max(abs(spearmanr(np.float32(turned[:, i]), t)[0]) for i in (0, 1)),
        rtol=1e-9)
    ties = np.array([[1.], [1.], [2.], [3.]])
    np.testing.assert_allclose(rank_correlation(ties, np.arange(4.)),
                               spearmanr(ties[:, 0], np.arange(4))[0])


@pytest.mark.parametrize('name', ['trust', 'knn_error', 'unroll_height'])
def test_codes_that_are_not_finite(name):
    x = cloud(40)
    bad = x.copy()
    bad[3, 1] = np.nan
    data = {'x': x, 'label': np.zeros(40, np.int32), 'height': np.arange(40.)}
    v = value(name, learnt(data, np.stack([x, bad])))
    assert np.isfinite(v.value[0]) and np.isnan(v.value[1])
    assert v.warning[0] is None and 'not finite for' in v.warning[1]


def roll(noise=0., n=1500):
    """scikit-learn's roll with the two coordinates of its surface."""
    from sklearn.datasets import make_swiss_roll
    x, t = make_swiss_roll(n, noise=noise, random_state=0)
    return {
        'x': x, 'arclength': .5 * (t * np.sqrt(1 + t * t) + np.arcsinh(t)), 'height': x[:, 1]
    }


REFERENCE = {  # arclength, height, trust: catalogue, section 1
    'pca': ({}, .21, .17, .98), 'kernel_pca': ({'gamma': .01}, .15, .14, .86),
    'isomap': ({}, 1., 1., 1.), 'lle': ({}, 1., .75, 1.), 'laplacian': ({}, 1., .05, .90)
}


def scores(estimator, **options):
    view = fitted(roll(), lambda x, seed: fit_transform(estimator, x, seed, **options), 1)
    return [
        value(name, view).value[0] for name in ('unroll_arclength', 'unroll_height', 'trust')
    ]


@pytest.mark.parametrize('name', REFERENCE)
def test_swiss_roll_has_the_reference_values(name):
    options, *want = REFERENCE[name]
    np.testing.assert_allclose(scores(name, **options), want, atol=.0051)


@pytest.mark.slow
def test_swiss_roll_has_the_reference_values_of_the_slow():
    np.testing.assert_allclose(scores('lle', method='modified'), [1., 1., 1.], atol=.0051)
    # a descent: the last digits vary
    np.testing.assert_allclose(scores('tsne'), [.84, .34, 1.], atol=.02)


def decoded(codes, f):
    """A view of points whose codes are given and decoded by f."""
    say = lambda params, carry, z, key, mode: {'x': f(z)}
    return learnt({'x': np.zeros((codes.shape[1], 2), np.float32)}, codes, decode=say)


def test_path_ratio_of_straight_and_of_round_decoders():
    angle = np.random.default_rng(0).uniform(0, 3, (1, 40, 1))
    straight = value('path_ratio', decoded(angle, lambda z: jnp.concatenate([2 * z, z], -1)))
    np.testing.assert_allclose(straight.value, 1, rtol=1e-4)
    assert straight.n == 20 and 'straight lines of posterior means, 10 points, 20 fixed pairs' in straight.estimator
    circle = value('path_ratio',
                   decoded(angle, lambda z: jnp.concatenate([jnp.cos(z), jnp.sin(z)], -1)))
    order = np.random.default_rng(0).permutation(40)
    gap = abs(angle[0, order[:20], 0] - angle[0, order[20:], 0])
    want = 9 * np.sin(gap / 18) / np.sin(gap / 2)                  # nine chords over one
    np.testing.assert_allclose(circle.value, want.mean(), rtol=1e-4)
    np.testing.assert_allclose(circle.stderr, want.std(ddof=1) / np.sqrt(20), rtol=1e-3)


def test_path_ratio_along_great_circles():
    codes = np.random.default_rng(1).normal(size=(2, 30, 3))
    codes /= np.linalg.norm(codes, axis=-1, keepdims=True)
    view = decoded(codes, lambda z: z)
    chord, arc = value('path_ratio', view), value('path_ratio_slerp', view)
    np.testing.assert_allclose(chord.value, 1, rtol=1e-4)
    order = np.random.default_rng(0).permutation(30)
    angle = np.arccos((codes[:, order[:15]] * codes[:, order[15:]]).sum(-1))
    np.testing.assert_allclose(arc.value, (9 * np.sin(angle / 18) / np.sin(angle / 2)).mean(-1),
                               rtol=1e-4)
    assert arc.estimator.startswith('great circles')


def test_path_ratio_of_a_decoder_that_says_one_thing():
    codes = np.random.default_rng(0).normal(size=(1, 30, 3))
    v = value('path_ratio', decoded(codes, lambda z: jnp.zeros((len(z), 2))))
    assert np.isnan(v.value[0]) and v.warning == ['not finite for 15 of 15']
    assert value('path_ratio', decoded(codes[:, :1], lambda z: z[:, :2])) is None


def test_images_are_points_with_a_shape():
    x = np.random.default_rng(0).random((40, 2, 2, 1)).astype(np.float32)
    evals = {
        'encode': lambda params, carry, batch: batch['x'].reshape(len(batch['x']), -1) * params[
            'scale'], 'decode': lambda params, carry, z, key, mode:
        {'x': z.reshape(-1, 2, 2, 1) / params['scale']}
    }
    view = toys.evaluator(evals, {'scale': jnp.array([1., 2.])}, {}, [{'x': x[:25]}, {'x': x[25:]}],
                jax.random.key(0), Settings(batch=16))
    np.testing.assert_allclose(value('path_ratio', view).value, 1, rtol=1e-4)
    np.testing.assert_allclose(value('trust', view).value, 1, atol=1e-9)
