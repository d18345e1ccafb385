"""What codes tell of labels: a linear classifier on frozen posterior means."""
import functools

import numpy as np

from vaebench.metrics.draws import Columns
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import PERCENT, Estimator, Metric, Value
from vaebench.schema import select

SIZES = 100, 500, 1000, 2000, 10000
DRAWS = 5          # choices of the labelled sentences


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
             test_labels: np.ndarray) -> float:
    """Measures the share of the test labels that a linear classifier of standardised codes gets
    right.

    Args:
      codes: [n, Z], to learn from.
      labels: int [n].
      test_codes: [N, Z].
      test_labels: int [N].

    Returns:
      float; not a number where a code is not finite.

    >>> x = np.array([[-1.], [-2.], [1.], [2.]])
    >>> accuracy(x, x[:, 0] > 0, x, x[:, 0] > 0)
    1.0
    """
    # here: the import is not every command's cost
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if not (np.isfinite(codes).all() and np.isfinite(test_codes).all()):
        return np.nan
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    # fits this small spend their time on waiting for threads
    with threadpool_limits(1):
        fitted = probe.fit(np.asarray(codes, np.float64), labels)
        return float(fitted.score(np.asarray(test_codes, np.float64), test_labels))


def encoded(view: Evaluator, rows: np.ndarray, arrays: Columns) -> np.ndarray:
    """Returns codes [G, R, Z] of training sentences; those that a smaller probe has encoded are
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


def probe(view: Evaluator, n: int) -> Value | None:
    """Measures the accuracy of a linear probe that learns from n labelled training sentences;
    None where there are fewer.

    Differs from BN-VAE's script: logistic regression (L2, C = 1) to its optimum on standardised
    posterior means, rather than steps of Adam with patience; the autoencoder is frozen, as in
    their Table 3. The standard error is over the choices of labels.

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
        [[accuracy(codes[g, at], labels[rows[at]], view.codes[g], test) for at in place]
         for g in range(view.seeds)])
    score *= 100
    estimator = Estimator(
        f'logistic regression on standardised posterior means, {n} balanced labels, mean and '
        f'standard error over {DRAWS} draws of them', f'logistic-{n}:draws-{DRAWS}')
    return Value(score.mean(-1), estimator, view.n, None,
                 score.std(-1, ddof=1) / np.sqrt(DRAWS), warnings(score))


METRICS = {f'probe_{n}': Metric(functools.partial(probe, n=n), (('encode',),), '%', 'higher',
                                ('label', 'train/label'), PERCENT) for n in SIZES}
