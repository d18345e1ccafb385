"""What codes tell of labels: a classifier of frozen posterior means, linear or with one hidden
layer.
"""
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from vaebench.metrics.draws import Columns
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import PERCENT, Estimator, Metric, Value
from vaebench.schema import select

SIZES = 100, 500, 1000, 2000, 10000
DRAWS = 5          # choices of the labelled examples
HIDDEN = 100       # units of the probe that is not linear


class Learner(NamedTuple):
    """A classifier of codes."""
    make: Callable[[], Any]        # () -> scikit-learn's, not fitted
    name: str                      # in the estimator's sentence
    id: str                        # and in its id


# scikit-learn is imported in functions: the import is not every command's cost

def logistic() -> Any:
    """Makes a logistic regression: L2, C = 1."""
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression(max_iter=1000)


def network() -> Any:
    """Makes a network of one hidden layer, with the penalty of C = 1: alpha = 1."""
    from sklearn.neural_network import MLPClassifier
    # tanh: with relu L-BFGS finds no optimum in 1000 steps
    return MLPClassifier((HIDDEN,), activation='tanh', solver='lbfgs', alpha=1., max_iter=2000,
                         random_state=0)


LINEAR = Learner(logistic, 'logistic regression', 'logistic')
NETWORK = Learner(network, f'network with {HIDDEN} tanh units', f'network-{HIDDEN}')


def balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Makes a random order of which every beginning is balanced over the classes, as far as
    they last.

    Args:
      labels: int [N].
      rng: numpy `Generator`.

    Returns:
      int [N] permutation.

    >>> order = balanced(np.array([0, 0, 0, 1]), np.random.default_rng(0))
    >>> sorted(np.array([0, 0, 0, 1])[order[:2]].tolist())
    [0, 1]
    """
    order = rng.permutation(len(labels))
    turn = np.empty(len(labels), int)              # how many of one's own class come before
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    return order[np.argsort(turn[order], kind='stable')]


def accuracy(codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray,
             test_labels: np.ndarray, make: Callable[[], Any] = logistic) -> float:
    """Measures the share of the test labels that a classifier of standardised codes gets right.

    Args:
      codes: [n, Z], to learn from.
      labels: int [n].
      test_codes: [N, Z].
      test_labels: int [N].
      make: of a `Learner`.

    Returns:
      float; not a number where a code is not finite.

    >>> x = np.array([[-1.], [-2.], [1.], [2.]])
    >>> accuracy(x, x[:, 0] > 0, x, x[:, 0] > 0)
    1.0
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if not (np.isfinite(codes).all() and np.isfinite(test_codes).all()):
        return np.nan
    probe = make_pipeline(StandardScaler(), make())
    # fits this small spend their time on waiting for threads
    with threadpool_limits(1):
        fitted = probe.fit(np.asarray(codes, np.float64), labels)
        return float(fitted.score(np.asarray(test_codes, np.float64), test_labels))


def encoded(view: Evaluator, rows: np.ndarray, arrays: Columns) -> np.ndarray:
    """Returns codes [G, R, Z] of training examples; those that a smaller probe has encoded are
    taken over.
    """
    known = view.cached('probe', dict)
    new = np.array([i for i, row in enumerate(rows) if row not in known], int)
    if len(new):
        if 'length' in arrays:
            new = new[np.argsort(arrays['length'][new], kind='stable')]
        codes = view.codes_of(select(arrays, new))
        known.update(zip(rows[new].tolist(), np.moveaxis(codes, 0, 1), strict=True))
    return np.stack([known[row] for row in rows.tolist()], 1)


def probe(view: Evaluator, n: int, learner: Learner = LINEAR) -> Value | None:
    """Measures the accuracy of a probe that learns from n labelled training examples; None
    where there are fewer.

    The linear one differs from BN-VAE's script: logistic regression (L2, C = 1) to its optimum
    on standardised posterior means, rather than steps of Adam with patience; the autoencoder is
    frozen, as in their Table 3. The standard error is over the choices of labels.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    labels, test = np.asarray(view.train['label']), view.field('label')
    if len(labels) < n or len(np.unique(labels)) < 2:
        return None
    draws = [balanced(labels, np.random.default_rng(i))[:n] for i in range(DRAWS)]
    rows, place = np.unique(np.concatenate(draws), return_inverse=True)
    arrays = select(view.train, rows)
    codes, place = encoded(view, rows, arrays), place.reshape(DRAWS, n)
    score = np.array(
        [[accuracy(codes[g, at], labels[rows[at]], view.codes[g], test, learner.make)
          for at in place]
         for g in range(view.seeds)])
    score *= 100
    estimator = Estimator(
        f'{learner.name} on standardised posterior means, {n} balanced labels, mean and '
        f'standard error over {DRAWS} draws of them', f'{learner.id}-{n}:draws-{DRAWS}')
    return Value(score.mean(-1), estimator, view.n, None,
                 score.std(-1, ddof=1) / np.sqrt(DRAWS), warnings(score))


METRICS = {
    f'{name}_{n}': Metric(functools.partial(probe, n=n, learner=learner), (('encode',),), '%',
                          'higher', ('label', 'train/label'), PERCENT)
    for name, learner in (('probe', LINEAR), ('probe_mlp', NETWORK)) for n in SIZES}
