"""Errors of classes and of clusters, by hand and by enumeration."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import toys

from vaebench.metrics import Settings
from vaebench.metrics.classification import METRICS, MOST, matching, names, outputs, split_outputs

KEY = jax.random.key(0)


def member(params, carry, batch):
    """log softmax of params['scale'] * x: the largest x is the likeliest."""
    return jax.nn.log_softmax(params['scale'] * batch['x'], -1)


def view(name, x, label, train=None, scale=(1.,), batch=4):
    arrays = lambda x, label: {'x': np.float32(x), 'label': np.int32(label)}
    return toys.evaluator({name: member}, {'scale': jnp.array(scale)}, {}, [arrays(x, label)], KEY,
                Settings(batch=batch), train=None if train is None else arrays(*train))


def value(name, view):
    return METRICS[name].compute(view)


def one_hot(k, *rows):
    return np.eye(k)[list(rows)]


def test_class_error_counts():
    v = value('class_error',
              view('classify', one_hot(3, 0, 1, 2, 2, 1), [0, 1, 2, 0, 0], scale=(1., -1., 5.)))
    np.testing.assert_allclose(v.value[[0, 2]], 40.)
    np.testing.assert_allclose(v.stderr[0], 100 * np.sqrt(.4 * .6 / 4))
    assert v.n == 5 and v.estimator == 'likeliest of 3 classes'
    assert v.value[1] == 60.       # turned over: the first of the unlikely ones
    assert METRICS['class_error'].unit == '%' and METRICS['class_error'].fields == ('label',)


def test_no_answer_is_no_error_and_no_success():
    x = one_hot(2, 0, 1, 1)
    x[2, 0] = np.nan
    v = value('class_error', view('classify', x, [0, 1, 1]))
    assert np.isnan(v.value[0]) and v.warning == ['not finite for 1 of 3']


def test_cluster_takes_its_name_from_its_first_member():
    train = np.array([[3., 0., 0.], [9., 0., 0.], [0., 2., 0.], [0., 0., 1.],
                      [0., 0., 2.]]), [7, 4, 5, 6, 4]
    w = view('cluster', one_hot(3, 0, 1, 2, 2), [4, 5, 4, 6], train)
    named, n = names(w)
    assert named.tolist() == [[4, 5, 4]] and n == 5            # two clusters may have one name
    v = value('cluster_error', w)
    np.testing.assert_allclose(v.value, 25.)
    assert v.estimator == '3 clusters, each named after the example that belongs to it most of 5 training examples'
    assert v.n == 4


def test_more_clusters_than_classes():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 6, 300)
    x = one_hot(6, *cluster) + .1 * rng.random((300, 6))
    label = cluster // 2
    w = view('cluster', x[:100], label[:100], (x[100:], label[100:]), batch=32)
    assert value('cluster_error', w).value == 0
    assert value('cluster_error_matched', w) is None           # six clusters of three classes
    swapped = view('cluster', x[:100], (label[:100] + 1) % 3, (x[100:], label[100:]))
    assert value('cluster_error', swapped).value == 100


def test_training_examples_in_any_number():
    n = MOST + 100
    x = np.zeros((n, 2), np.float32)
    x[:, 0] = np.arange(n)
    w = view('cluster', x[:3], [0, 0, 0], (x, np.arange(n)), batch=1000)
    named, used = names(w)
    rows = np.sort(np.random.default_rng(0).permutation(n)[:MOST])
    assert used == MOST and named.shape == (1, 2)
    assert named[0, 1] == rows[0]                              # farthest from cluster 0
    assert n - 10 < rows[-1] and named[0, 0] in rows


def test_matching_is_the_best_permutation():
    rng = np.random.default_rng(0)
    for _ in range(20):
        clusters, labels = rng.integers(0, 4, (2, 30))
        best = max(
            np.mean(np.array(p)[clusters] == labels) for p in itertools.permutations(range(4)))
        said = matching(clusters, labels, 4)
        assert sorted(said) == [0, 1, 2, 3]
        np.testing.assert_allclose(np.mean(said[clusters] == labels), best)


def test_matched_error_does_not_care_for_names():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 4, 200)
    cluster = np.array([2, 0, 3, 1])[label]
    cluster[:20] = (cluster[:20] + 1) % 4                      # a tenth is wrong
    train = np.zeros((2, 4)), [3, 0]
    v = value('cluster_error_matched',
              view('cluster', one_hot(4, *cluster), label, train, batch=64))
    np.testing.assert_allclose(v.value, 10.)
    assert v.n == 200 and '4 clusters, best one-to-one matching' in v.estimator
    one = value('cluster_error_matched',
                view('cluster', one_hot(4, *[0] * 200), label, train, batch=64))
    # all in one cluster
    np.testing.assert_allclose(one.value, 100 - 100 * np.bincount(label).max() / 200)
    some = label < 3                                           # a split without the last class
    kept = value('cluster_error_matched',
                 view('cluster', one_hot(4, *cluster[some]), label[some], train, batch=64))
    assert kept is not None and kept.value[0] < 15


def test_other_data_in_batches_is_the_split_in_batches():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(11, 3))
    w = view('cluster', x, np.zeros(11), (x, np.zeros(11)), scale=(1., 2.))
    inside, outside = split_outputs(w, 'cluster'), outputs(w, 'cluster', {'x': np.float32(x)})
    assert inside.shape == outside.shape == (2, 11, 3)
    np.testing.assert_allclose(inside, outside, rtol=1e-6)
    np.testing.assert_allclose(np.exp(inside).sum(-1), 1, rtol=1e-5)
