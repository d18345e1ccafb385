"""Codes as a picture of the data: kept neighbourhoods, neighbours' labels, unrolling, and paths between examples."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from vaebench.core import derive
from vaebench.metrics.evaluator import Metric, Value, average, warnings
from vaebench.ops.interpolate import lerp, slerp

MOST = 5000            # examples: distances between all of them are in memory at once
NEIGHBOURS = 10
PAIRS, POINTS = 100, 10    # paths, and points on each with both ends
SAME = 1e-4            # decoded ends nearer than this have no ratio
PATH = 24              # tag of the key
FITTED = 'map fitted to the evaluated examples'
LEARNT = 'posterior means, model learnt from the training split'


def embedding(view):
    """Codes of the split, or of a fixed random choice of 5,000 of it; computed once per view.

    Args:
      view: with the eval 'embed', fitted to these examples once per seed, or 'encode'.

    Returns:
      (rows int [M] in the split's order, codes [G, M, D], what they are).
    """
    def make():
        rows = np.sort(np.random.default_rng(0).permutation(view.n)[:MOST])
        if 'embed' not in view.evals:
            return rows, np.float64(view.codes[:, rows]), _said(view.codes, LEARNT)
        x, codes = view.field('x')[rows], []
        for seed in range(view.seeds):
            view.pause()
            with threadpool_limits(1):     # t-SNE's threads spin: beside other work ten times the time
                codes.append(view.evals['embed'](x, seed))
        return rows, np.stack(codes), _said(codes[0], FITTED)

    return view.cached('embedding', make)


def _said(codes, how):
    return f'{codes.shape[-1]} dimensions, {how}'


def _finite(codes):
    return np.isfinite(codes).all((1, 2))


def _value(view, value, estimator):
    """`Value` of a number [G] per embedding."""
    rows, codes, how = embedding(view)
    return Value(np.float64(value), f'{estimator}; {how}', len(rows), warning=warnings(codes.reshape(len(codes), -1)))


def trust(view):
    """Trustworthiness: whether those who are neighbours in the code are neighbours in the data.

    It does not detect a failure to unroll: PCA of a swiss roll has .98.

    References:
      Venna and Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001.
    """
    from sklearn.manifold import trustworthiness  # here: the import is not every command's cost

    rows, codes, _ = embedding(view)
    if len(rows) <= 2 * NEIGHBOURS:
        return None
    x, score = view.field('x')[rows].reshape(len(rows), -1), []
    for z, fine in zip(codes, _finite(codes), strict=True):
        view.pause()
        score.append(trustworthiness(x, z, n_neighbors=NEIGHBOURS) if fine else np.nan)
    return _value(view, score, f'trustworthiness, {NEIGHBOURS} neighbours')


def neighbours_vote(codes, labels, k=NEIGHBOURS):
    """The commonest label among the k nearest others; of equally common ones the least.

    Args:
      codes: [N, D].
      labels: int [N], at least 0.
      k: below N.

    Returns:
      int [N].

    >>> neighbours_vote(np.array([[0.], [1.], [2.], [9.]]), np.array([1, 1, 1, 0]), 2).tolist()
    [1, 1, 1, 1]
    """
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=k).fit(codes).kneighbors(return_distance=False)      # without oneself
    votes = np.zeros((len(codes), labels.max() + 1), int)
    np.add.at(votes, (np.arange(len(codes))[:, None], labels[near]), 1)
    return votes.argmax(1)


def knn_error(view):
    """Error of classifying every example by the labels of its 10 nearest others in the code."""
    rows, codes, how = embedding(view)
    if len(rows) <= NEIGHBOURS:
        return None
    labels = view.field('label')[rows]
    wrong = [100. * (neighbours_vote(z, labels) != labels) if fine else np.full(len(rows), np.nan)
             for z, fine in zip(codes, _finite(codes), strict=True)]
    return average(np.stack(wrong), f'leave-one-out, {NEIGHBOURS} nearest neighbours; {how}')


def rank_correlation(codes, value):
    """The largest |Spearman correlation| of a column of codes with a value; 0 for what is constant.

    Args:
      codes: [N, D].
      value: [N].

    Returns:
      float.

    >>> round(float(rank_correlation(np.array([[1., 0.], [2., 0.], [9., 0.]]), np.array([3., 2., 1.]))), 6)
    1.0
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.column_stack([value, codes]), axis=0)
    ranks -= ranks.mean(0)
    ranks /= np.maximum(np.sqrt((ranks**2).sum(0)), 1e-12)
    return abs(ranks[:, 0] @ ranks[:, 1:]).max()


def unroll(view, column):
    """Whether one coordinate of the code is, but for its scale, a coordinate of the surface the data lie on."""
    rows, codes, _ = embedding(view)
    value = view.field(column)[rows]
    score = [rank_correlation(z, value) if fine else np.nan for z, fine in zip(codes, _finite(codes), strict=True)]
    return _value(view, score, f'largest |Spearman correlation| of a code dimension with the {column}')


def _lengths(evals, path, params, carry, key, own):
    def say(z):
        x = evals['decode'](params, carry, z, derive(key, PATH), 'mean')['x']
        return x.reshape(len(x), -1)

    x = jax.lax.map(say, path(*own, jnp.linspace(0, 1, POINTS)))
    steps = jnp.sqrt(((x[1:] - x[:-1])**2).sum(-1))
    return steps.sum(0), jnp.sqrt(((x[-1] - x[0])**2).sum(-1))


def path_ratio(view, path, name):
    """Length of the decoded path between two examples over the distance of its ends: 1 is a straight line of images.

    Args:
      view: with the evals 'encode' and 'decode'.
      path: (a, b, t) -> codes on the way, as `ops.interpolate.lerp`.
      name: of the path.
    """
    order = np.random.default_rng(0).permutation(view.n)[:2 * PAIRS]
    half = len(order) // 2
    if not half:
        return None

    ends = view.codes[:, order[:half]], view.codes[:, order[half:2 * half]]
    way, direct = (np.float64(v) for v in jax.device_get(view.jit(_lengths, path)(ends)))
    with np.errstate(divide='ignore', invalid='ignore'):
        ratio = np.where(direct < SAME, np.nan, way / direct)
    return average(ratio, f'{name} of posterior means, {POINTS} points, {half} fixed pairs of the split, mean decoding')


_CODES = (('embed',), ('encode',))
_PATHS = {'path_ratio': (lerp, 'straight lines'), 'path_ratio_slerp': (slerp, 'great circles')}

METRICS = {
    'trust': Metric(trust, _CODES, 'trustworthiness', 'higher', ('x',)),
    'knn_error': Metric(knn_error, _CODES, '%', 'lower', ('x', 'label')),
    **{f'unroll_{c}': Metric(functools.partial(unroll, column=c), _CODES, '|Spearman|', 'higher', ('x', c))
       for c in ('arclength', 'height')},
    **{name: Metric(functools.partial(path_ratio, path=path, name=text), (('encode', 'decode'),), 'ratio', None, ('x',))
       for name, (path, text) in _PATHS.items()},
}
