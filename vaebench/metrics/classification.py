"""Errors of models that say a class, or a cluster that has yet to be named."""
import numpy as np
from scipy.optimize import linear_sum_assignment

from vaebench.metrics.draws import Columns
from vaebench.metrics.evaluator import Evaluator, of_batch
from vaebench.metrics.summary import average
from vaebench.metrics.types import PERCENT, Estimator, Metric, Value

MOST = 5000            # training examples that a cluster may take its name from


def split_outputs(view: Evaluator, name: str) -> np.ndarray:
    """Returns the log probabilities [G, N, K] that an eval gives for the split, computed once
    per view.
    """
    return view.cached(name, lambda: view.over_examples(of_batch, name))


def outputs(view: Evaluator, name: str, arrays: Columns) -> np.ndarray:
    """Returns the log probabilities [G, M, K] that an eval gives for other data than the split.

    Args:
      view: with the eval `name`.
      name: 'classify' or 'cluster'.
      arrays: name -> [M, ...] as in the buckets.
    """
    return view.of_arrays(arrays, name)


def _error(view, told, said, estimator):
    """`Value` in percent of answers [G, N]; those of examples whose log probabilities `told`
    hold a nan are none.
    """
    wrong = 100. * (said != view.field('label'))
    return average(np.where(np.isnan(told).any(-1), np.nan, wrong), estimator)


def class_error(view: Evaluator) -> Value | None:
    """Measures the share of examples whose likeliest class is not the label."""
    told = split_outputs(view, 'classify')
    return _error(view, told, told.argmax(-1), Estimator(
        f'likeliest of {told.shape[-1]} classes', f'likeliest-{told.shape[-1]}'))


def names(view: Evaluator) -> tuple[np.ndarray, int]:
    """Names clusters [G, K] by the label of the training example that belongs most to each, and
    counts these examples.
    """
    train = {k: np.asarray(view.train[k]) for k in ('x', 'label')}
    rows = np.sort(np.random.default_rng(0).permutation(len(train['label']))[:MOST])
    member = outputs(view, 'cluster', {'x': train['x'][rows]})
    return train['label'][rows][member.argmax(1)], len(rows)


def cluster_error(view: Evaluator) -> Value | None:
    """Measures the error of naming every cluster after one labelled example, the one that
    belongs to it most.

    Differs from the paper: that example is one of at most 5,000 of the training split, not of a
    validation split.

    References:
      Makhzani et al., "Adversarial Autoencoders", 2016, arXiv:1511.05644 (section 6).
    """
    told = split_outputs(view, 'cluster')
    named, n = names(view)
    said = np.take_along_axis(named, told.argmax(-1), 1)
    k = told.shape[-1]
    return _error(view, told, said, Estimator(
        f'{k} clusters, each named after the example that belongs to it most of {n} training '
        'examples', f'clusters-{k}:named-{n}'))


def matching(clusters: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Finds one class for every cluster, no class twice, so that as many examples as possible
    are right.

    Args:
      clusters, labels: int [N], below k.
      k: number of both.

    Returns:
      int [k], the class of each cluster.

    >>> matching(np.array([0, 0, 1, 1]), np.array([1, 1, 1, 0]), 2).tolist()
    [1, 0]
    """
    count = np.zeros((k, k), int)
    np.add.at(count, (clusters, labels), 1)
    return linear_sum_assignment(count, maximize=True)[1]


def cluster_error_matched(view: Evaluator) -> Value | None:
    """Measures the error under the best one-to-one matching of clusters and classes; None where
    there are not as many.

    The matching is made on the evaluated examples themselves: it flatters where they are few.

    References:
      Kuhn, "The Hungarian method for the assignment problem", 1955.
    """
    told, labels = split_outputs(view, 'cluster'), view.field('label')
    k = told.shape[-1]
    if k != 1 + max(labels.max(), np.max(view.train['label'])):
        return None
    clusters = told.argmax(-1)
    said = np.stack([matching(c, labels, k)[c] for c in clusters])
    return _error(view, told, said, Estimator(
        f'{k} clusters, best one-to-one matching with the classes of the same examples',
        f'clusters-{k}:matched'))


_TRAIN = 'label', 'train/x', 'train/label'

METRICS = {
    'class_error': Metric(class_error, (('classify',),), '%', 'lower', ('label',), PERCENT),
    'cluster_error': Metric(cluster_error, (('cluster',),), '%', 'lower', _TRAIN, PERCENT),
    'cluster_error_matched': Metric(cluster_error_matched, (('cluster',),), '%', 'lower',
                                    ('label', 'train/label'), PERCENT),
}
