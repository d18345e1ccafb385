"""What is learnt of factors from codes: linear classifiers, trees, and what these lean on.

Codes are [n, Z] and factors int [n, F], as in `factor_scores`. A level that the training labels
lack is never said, and counts as wrong. Every fit has one thread: so small ones spend their
time on waiting for others.
"""
import warnings
from typing import Any, NamedTuple

import numpy as np

ROUNDS, DEPTH = 100, 3     # of boosting: those of scikit-learn's GradientBoostingClassifier
SVM_COST = .01


class Linear(NamedTuple):
    """What linear classifiers of the factors came to."""
    accuracy: np.ndarray       # [F], share of the test examples
    auc: np.ndarray            # [F], mean over the levels of one against the rest


def linear(codes: np.ndarray, factors: np.ndarray, test_codes: np.ndarray,
           test_factors: np.ndarray) -> Linear:
    """Fits a logistic regression of standardized codes to every factor.

    Levels that are missing among the training or the test examples have no area under a curve.

    References:
      Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
      2018, arXiv:1802.05312 (the area).

    >>> z, f = np.array([[0.], [1.], [0.], [1.]]), np.array([[0], [1], [0], [1]])
    >>> linear(z, f, z, f)
    Linear(accuracy=array([1.]), auc=array([1.]))
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    accuracy, auc = [], []
    for y, test in zip(factors.T, test_factors.T, strict=True):
        if np.ptp(y) == 0:
            accuracy.append((test == y[0]).mean())
            auc.append(.5)
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        with threadpool_limits(1):
            model.fit(np.asarray(codes, np.float64), y)
            said = model.predict_proba(np.asarray(test_codes, np.float64))
        accuracy.append((model.classes_[said.argmax(1)] == test).mean())
        auc.append(_area(said, model.classes_[:, None] == test))
    return Linear(np.array(accuracy), np.array(auc))


def _area(said, true):
    """Mean area under the curve of scores [n, K] of which true [K, n] says the right ones."""
    from scipy.stats import rankdata

    some = true.any(1) & ~true.all(1)
    ranks, true = rankdata(said[:, some], axis=0).T, true[some]
    good = true.sum(1)
    over = (ranks * true).sum(1) - good * (good + 1) / 2
    return (over / (good * (true.shape[1] - good))).mean()


class Trees(NamedTuple):
    """What boosted trees of the factors came to."""
    accuracy: np.ndarray       # [F], share of the test examples
    importance: np.ndarray     # [Z, F], columns of sum 1, or 0 where nothing was learnt


def trees(codes: np.ndarray, factors: np.ndarray, test_codes: np.ndarray,
          test_factors: np.ndarray) -> Trees:
    """Fits boosted trees to every factor, and sums what every dimension gained in their splits.

    Histogram gradient boosting with the number of rounds, the depth and the rate of
    scikit-learn's GradientBoostingClassifier, which the public code of DCI uses: thirty times
    as fast at 10,000 examples. Dimensions that order the examples alike, forwards or backwards,
    are one to a tree: they share its gain equally.

    Returns:
      `Trees`.

    References:
      Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled
      Representations", ICLR 2018 (importance; they used forests).
      Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", 2017.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    first, of = _distinct(codes)
    accuracy, importance = [], []
    for y, test in zip(factors.T, test_factors.T, strict=True):
        options: dict[str, Any] = {'early_stopping': False, 'random_state': 0}
        model = HistGradientBoostingClassifier(max_iter=ROUNDS, max_depth=DEPTH,
                                               min_samples_leaf=1, **options)
        if np.ptp(y) == 0:
            accuracy.append((test == y[0]).mean())
            importance.append(np.zeros(len(first)))
            continue
        with threadpool_limits(1):
            model.fit(codes[:, first], y)
            accuracy.append((model.predict(test_codes[:, first]) == test).mean())
        importance.append(_gains(model, len(first)))
    shared = np.stack(importance, 1)[of] / np.bincount(of)[of, None]
    return Trees(np.array(accuracy), shared)


def _distinct(codes):
    """Dimensions [D] that order the examples differently, and of which each of all [Z] is."""
    from scipy.stats import rankdata

    ranks = rankdata(codes, 'dense', axis=0).astype(int)
    ranks = 2 * ranks - ranks.max(0) - 1            # backwards they change their sign alone
    sign = np.take_along_axis(ranks, (ranks != 0).argmax(0)[None], 0)
    ranks = np.where(sign < 0, -ranks, ranks)
    _, first, of = np.unique(ranks, axis=1, return_index=True, return_inverse=True)
    return first, of.ravel()


def _gains(model, size):
    """[size] gain of all splits by dimension, of sum 1, or 0."""
    gains = np.zeros(size)
    for stage in model._predictors:      # of each round, a tree for each class
        for tree in stage:
            split = tree.nodes[tree.nodes['is_leaf'] == 0]
            np.add.at(gains, split['feature_idx'], split['gain'])
    total = gains.sum()
    return gains / total if total > 0 else gains


def svm_accuracy(codes: np.ndarray, factors: np.ndarray, test_codes: np.ndarray,
                 test_factors: np.ndarray) -> np.ndarray:
    """Measures how well a linear support vector machine says each factor by each dimension
    alone.

    It weighs levels by their rarity and does not scale codes, as in the public protocol. Of a
    factor with many levels, a line of one dimension can tell few: an ideal code has no score of
    1.

    Returns:
      [Z, F], share of the test examples.

    References:
      Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
      Observations", 2018, arXiv:1711.00848.
    """
    from sklearn.svm import LinearSVC
    from threadpoolctl import threadpool_limits

    out = np.empty((codes.shape[1], factors.shape[1]))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter('ignore')        # of large codes that do not converge
        for i, z in enumerate(codes.T[:, :, None]):
            for k, y in enumerate(factors.T):
                model = LinearSVC(C=SVM_COST, class_weight='balanced', random_state=0)
                model.fit(np.asarray(z, np.float64), y)
                out[i, k] = model.score(test_codes[:, i:i + 1], test_factors[:, k])
    return out


def told_apart(features: np.ndarray, held: np.ndarray, test_features: np.ndarray,
               test_held: np.ndarray) -> float:
    """Measures how well a linear classifier says which factor two examples have in common.

    Args:
      features: [V, Z], mean absolute differences of the codes of pairs.
      held: int [V], the factor in common.
      test_features, test_held: of other votes.

    Returns:
      Share of the other votes.

    References:
      Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
      Framework", ICLR 2017.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter('ignore')        # of large codes that do not converge
        model = LogisticRegression(max_iter=1000).fit(np.float64(features), held)
        return float(model.score(np.float64(test_features), test_held))
