"""Codes as a picture of the data: kept neighbourhoods, neighbours' labels, unrolling, and paths
between examples.
"""
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from vaebench.core import derive
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import average, warnings
from vaebench.metrics.types import NONNEGATIVE, PERCENT, SHARE, Estimator, Metric, Value
from vaebench.ops.interpolate import lerp, slerp

MOST = 5000            # examples: distances between all of them are in memory at once
NEIGHBORS = 10
PAIRS, POINTS = 100, 10    # paths, and points on each with both ends
SAME = 1e-4            # decoded ends nearer than this have no ratio
PATH = 24              # tag of the key
FITTED = Estimator('map fitted to the evaluated examples', 'fitted')
LEARNT = Estimator('posterior means, model learnt from the training split', 'learnt')


def embedding(view: Evaluator) -> tuple[np.ndarray, np.ndarray, Estimator]:
    """Returns the codes of the split, or of a fixed random choice of 5,000 of it, computed once
    per view.

    Args:
      view: with the eval 'embed', fitted to these examples once per seed, or 'encode'.

    Returns:
      (rows int [M] in the split's order, codes [G, M, D], what they are).
    """
    def make():
        rows = np.sort(np.random.default_rng(0).permutation(view.n)[:MOST])
        if 'embed' not in view.evals:
            codes = np.asarray(view.codes[:, rows], np.float64)
            return rows, codes, _said(codes, LEARNT)
        x, codes = view.field('x')[rows], []
        for seed in range(view.seeds):
            view.pause()
            # t-SNE's threads spin: beside other work ten times the time
            with threadpool_limits(1):
                codes.append(view.evals['embed'](x, seed))
        return rows, np.stack(codes), _said(codes[0], FITTED)

    return view.cached('embedding', make)


def _said(codes, how):
    size = codes.shape[-1]
    return Estimator(f'{size} dimensions, {how}', f'{how.id}-{size}')


def _finite(codes):
    return np.isfinite(codes).all((1, 2))


def _value(view, value, estimator):
    """`Value` of a number [G] per embedding."""
    rows, codes, how = embedding(view)
    return Value(np.asarray(value, np.float64), estimator.joined(how), len(rows),
                 warning=warnings(codes.reshape(len(codes), -1)))


def trustworthiness(view: Evaluator) -> Value | None:
    """Measures whether those who are neighbors in the code are neighbors in the data.

    It does not detect a failure to unroll: PCA of a swiss roll has .98.

    References:
      Venna and Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001.
    """
    from sklearn import manifold  # here: the import is not every command's cost

    rows, codes, _ = embedding(view)
    if len(rows) <= 2 * NEIGHBORS:
        return None
    x, score = view.field('x')[rows].reshape(len(rows), -1), []
    for z, fine in zip(codes, _finite(codes), strict=True):
        view.pause()
        score.append(
            manifold.trustworthiness(x, z, n_neighbors=NEIGHBORS) if fine else np.nan)
    return _value(view, score, Estimator(f'trustworthiness, {NEIGHBORS} neighbours',
                                         f'trustworthiness-{NEIGHBORS}'))


def neighbors_vote(codes: np.ndarray, labels: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """Finds the commonest label among the k nearest others; of equally common ones the least.

    Args:
      codes: [N, D].
      labels: int [N].
      k: below N.

    Returns:
      int [N].

    >>> x, labels = np.array([[0.], [1.], [2.], [9.]]), np.array([1, 1, 1, 0])
    >>> neighbors_vote(x, labels, 2).tolist()
    [1, 1, 1, 1]
    """
    from sklearn.neighbors import KNeighborsClassifier

    # None: every row of the data, without itself
    return KNeighborsClassifier(n_neighbors=k).fit(codes, labels).predict(None)


def knn_error(view: Evaluator) -> Value | None:
    """Measures the error of classifying every example by the labels of its 10 nearest others in
    the code.
    """
    rows, codes, how = embedding(view)
    if len(rows) <= NEIGHBORS:
        return None
    labels = view.field('label')[rows]
    none = np.full(len(rows), np.nan)
    wrong = [100. * (neighbors_vote(z, labels) != labels) if fine else none
             for z, fine in zip(codes, _finite(codes), strict=True)]
    estimator = Estimator(f'leave-one-out, {NEIGHBORS} nearest neighbours',
                          f'neighbours-{NEIGHBORS}')
    return average(np.stack(wrong), estimator.joined(how))


def rank_correlation(codes: np.ndarray, value: np.ndarray) -> float:
    """Finds the largest |Spearman correlation| of a column of codes with a value; it is 0 for
    what is constant.

    Args:
      codes: [N, D].
      value: [N].

    Returns:
      float.

    >>> codes = np.array([[1., 0.], [2., 0.], [9., 0.]])
    >>> round(float(rank_correlation(codes, np.array([3., 2., 1.]))), 6)
    1.0
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.column_stack([value, codes]), axis=0)
    ranks -= ranks.mean(0)
    ranks /= np.maximum(np.sqrt((ranks**2).sum(0)), 1e-12)
    return abs(ranks[:, 0] @ ranks[:, 1:]).max()


def unroll(view: Evaluator, column: str) -> Value:
    """Measures whether one coordinate of the code is, but for its scale, a coordinate of the
    surface that the data lie on.
    """
    rows, codes, _ = embedding(view)
    value = view.field(column)[rows]
    score = [rank_correlation(z, value) if fine else np.nan
             for z, fine in zip(codes, _finite(codes), strict=True)]
    return _value(view, score, Estimator(
        f'largest |Spearman correlation| of a code dimension with the {column}',
        f'spearman:{column}'))


def _lengths(evals, path, params, carry, key, own):
    def say(z):
        x = evals['decode'](params, carry, z, derive(key, PATH), 'mean')['x']
        return x.reshape(len(x), -1)

    x = jax.lax.map(say, path(*own, jnp.linspace(0, 1, POINTS)))
    steps = jnp.sqrt(((x[1:] - x[:-1])**2).sum(-1))
    return steps.sum(0), jnp.sqrt(((x[-1] - x[0])**2).sum(-1))


def path_ratio(view: Evaluator, path: Callable[..., jax.Array], name: str) -> Value | None:
    """Divides the length of the decoded path between two examples by the distance of its ends:
    1 is a straight line of images.

    Args:
      view: with the evals 'encode' and 'decode'.
      path: (a, b, t) -> codes on the way, as `ops.interpolate.lerp`.
      name: of the path, 'straight lines'; its last word is part of the estimator's id.
    """
    order = np.random.default_rng(0).permutation(view.n)[:2 * PAIRS]
    half = len(order) // 2
    if not half:
        return None

    ends = view.codes[:, order[:half]], view.codes[:, order[half:2 * half]]
    way, direct = (np.asarray(v, np.float64)
                   for v in jax.device_get(view.jit(_lengths, path)(ends)))
    with np.errstate(divide='ignore', invalid='ignore'):
        ratio = np.where(direct < SAME, np.nan, way / direct)
    return average(ratio, Estimator(
        f'{name} of posterior means, {POINTS} points, {half} fixed pairs of the split, mean '
        'decoding', f'{name.split()[-1]}-{POINTS}:pairs-{half}'))


_CODES = (('embed',), ('encode',))
_PATHS = {'path_ratio': (lerp, 'straight lines'), 'path_ratio_slerp': (slerp, 'great circles')}

_UNROLLED = 'arclength', 'height'

METRICS = {
    'trust': Metric(trustworthiness, _CODES, 'trustworthiness', 'higher', ('x',), SHARE),
    'knn_error': Metric(knn_error, _CODES, '%', 'lower', ('x', 'label'), PERCENT),
    **{f'unroll_{c}': Metric(functools.partial(unroll, column=c), _CODES, '|Spearman|',
                             'higher', ('x', c), SHARE) for c in _UNROLLED},
    **{name: Metric(functools.partial(path_ratio, path=path, name=text),
                    (('encode', 'decode'),), 'ratio', None, ('x',), NONNEGATIVE)
       for name, (path, text) in _PATHS.items()},
}
