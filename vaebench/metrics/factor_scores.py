"""Scores of codes against the factors that made the data, as closed functions of arrays.

Codes are [n, Z] and factors int [n, F], each counted from 0 and none of a single value: see
`varying`. What is learnt for a score is in `factor_learners`.
"""
import numpy as np

BINS = 20              # of equal width, between the least and the largest code of the sample
NONE = 1e-12           # nats that are rounding
TINY = 1e-11           # added to shares before their entropy
PRUNED = .05           # least standard deviation of a dimension that may win a vote


def varying(*factors: np.ndarray) -> np.ndarray:
    """Says which factors have several values in each of these samples, bool [F].

    Of the others there is nothing to know, and their entropy would be divided by.

    >>> varying(np.array([[0, 1], [0, 2]])).tolist()
    [False, True]
    """
    return np.all([np.ptp(f, axis=0) > 0 for f in factors], axis=0)


def discretized(codes: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Puts every dimension into bins of equal width over the range of this sample.

    One outlier empties most of them: the bins are part of the published scores.

    Returns:
      int [n, Z], from 0; a constant dimension is in one bin.

    >>> discretized(np.array([[0.], [.4], [1.]]), 2).ravel().tolist()
    [0, 0, 1]
    """
    codes = np.asarray(codes, np.float64)
    edges = [np.histogram_bin_edges(z, bins)[:-1] for z in codes.T]
    return np.stack([np.digitize(z, e) for z, e in zip(codes.T, edges, strict=True)], 1) - 1


def information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes the mutual information of every column of a with every column of b.

    Args:
      a: int [n, A], from 0.
      b: int [n, B], from 0.

    Returns:
      [A, B] nats, of the sample's frequencies.

    >>> x = np.array([[0], [0], [1], [1]])
    >>> float(information(x, x)[0, 0]) == float(np.log(2))
    True
    """
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    return np.array([[_information(x, y) for y in b.T] for x in a.T])


def _information(x, y):
    width = y.max() + 1
    joint = np.bincount(x * width + y, minlength=(x.max() + 1) * width).reshape(-1, width)
    joint = joint / len(x)
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    found = float((joint[there] * np.log(joint[there] / apart[there])).sum())
    return found if found > NONE else 0.


def entropy(factors: np.ndarray) -> np.ndarray:
    """Computes the entropy of every factor in the sample, [F] nats."""
    return np.array([_information(f, f) for f in np.asarray(factors, np.int64).T])


def gap(score: np.ndarray) -> np.ndarray:
    """Finds by how much the best dimension for each factor leads the second.

    Args:
      score: [Z, F] with Z > 1.

    Returns:
      [F].

    >>> gap(np.array([[.9, 0.], [.2, 0.], [.5, 1.]])).round(6).tolist()
    [0.4, 1.0]
    """
    best = np.sort(score, 0)
    return best[-1] - best[-2]


def mig(mutual: np.ndarray, entropies: np.ndarray) -> float:
    """Computes the mutual information gap: the mean over factors of `gap` / entropy.

    Args:
      mutual: [Z, F] nats.
      entropies: [F] nats, above 0.

    References:
      Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
      arXiv:1802.04942.

    >>> mig(np.array([[.6, 0.], [.3, .5]]), np.array([.6, 1.]))
    0.5
    """
    return float((gap(mutual) / entropies).mean())


def modularity(mutual: np.ndarray) -> float:
    """Measures whether each dimension tells of one factor alone.

    A dimension that tells of none counts as 0.

    Args:
      mutual: [Z, F] nats, with F > 1.

    References:
      Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
      2018, arXiv:1802.05312.

    >>> modularity(np.array([[1., 0., 0.], [1., 1., 0.], [0., 0., 0.]]))
    0.5
    """
    square = np.square(mutual)
    largest = square.max(1)
    rest = (square.sum(1) - largest) / np.maximum(largest, 1e-300)
    return float(np.where(largest > 0, 1 - rest / (square.shape[1] - 1), 0.).mean())


def concentration(importance: np.ndarray) -> float:
    """Measures whether what is important in each row is in one column: DCI's disentanglement of
    importance [Z, F], its completeness of the transpose.

    Rows count by their share of the whole; all alike where nothing is important.

    Args:
      importance: [R, C], none negative, with C > 1.

    Returns:
      float from 0 to 1.

    References:
      Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled
      Representations", ICLR 2018.

    >>> round(concentration(np.eye(3)), 6), concentration(np.ones((2, 2)))
    (1.0, 0.0)
    """
    share = importance + TINY
    share = share / share.sum(1, keepdims=True)
    rows = 1 + (share * np.log(share)).sum(1) / np.log(importance.shape[1])
    mass = importance.sum(1)
    total = mass.sum()
    mass = mass / total if total > 0 else np.full(len(mass), 1 / len(mass))
    return float(np.clip(mass @ rows, 0, 1))


def squared_correlation(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Computes the squared correlation of every dimension with every factor, [Z, F]; 0 where a
    dimension is constant.

    >>> squared_correlation(np.array([[0., 5.], [1., 5.]]), np.array([[1], [0]])).tolist()
    [[1.0], [0.0]]
    """
    z, f = (_standardized(np.asarray(x, np.float64)) for x in (codes, factors))
    return np.square(z.T @ f / len(z))


def _standardized(x):
    """Columns of mean 0 and variance 1, constant ones 0."""
    moves = np.ptp(x, axis=0) > 0
    return np.where(moves, x - x.mean(0), 0.) / np.where(moves, x.std(0), 1.)


def steadiest(local: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """Finds the dimension that varies least, of its own variance, where one factor is held.

    Args:
      local: [V, Z], variances of every vote's codes.
      overall: [Z], of all codes.

    Returns:
      int [V], the first of equals; -1 where every dimension is pruned: its standard deviation
      is below 0.05.

    >>> steadiest(np.array([[.5, .1, 0.]]), np.array([1., .1, 0.])).tolist()
    [0]
    """
    active = np.sqrt(overall) >= PRUNED
    if not active.any():
        return np.full(len(local), -1)
    ratio = np.where(active, local / np.where(active, overall, 1.), np.inf)
    return ratio.argmin(1)


def majority(winners: np.ndarray, held: np.ndarray, test_winners: np.ndarray,
             test_held: np.ndarray) -> float:
    """Measures how often the factor for which a dimension wins most votes is the one held.

    Args:
      winners: int [V], dimensions, or -1: see `steadiest`.
      held: int [V], the factor that was held.
      test_winners, test_held: of other votes.

    Returns:
      Share of the other votes; 0 where every dimension is pruned.

    References:
      Kim and Mnih, "Disentangling by Factorising", 2018, arXiv:1802.05983.

    >>> majority(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([0, 1]), np.array([1, 1]))
    0.5
    """
    if (winners < 0).any() or (test_winners < 0).any():
        return 0.
    votes = np.zeros((1 + max(winners.max(), test_winners.max()),
                      1 + max(held.max(), test_held.max())), int)
    np.add.at(votes, (winners, held), 1)
    return float((votes.argmax(1)[test_winners] == test_held).mean())
