"""Scores of codes that know no factors: how dimensions depend on one another, and whether
models of other seeds found the same ones.
"""
import functools

import numpy as np

from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.factor_scores import BINS, discretized, information
from vaebench.metrics.ground_truth import CODES, LEAST, draws, split_codes
from vaebench.metrics.latent import rate_of_dimensions
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import NONNEGATIVE, SHARE, Estimator, Metric, Value

INFORMATIVE = .01      # nats, or variance: less is a dead dimension
SHRINKAGE = .1         # weight of the lasso's penalty
OWN = 1000             # tag of the key, and after it one for each model


# ---- of one model's codes [n, Z] -------------------------------------------------------------

def _covariance(codes):
    """[D, D] of the dimensions that are not constant."""
    moving = codes[:, np.ptp(codes, axis=0) > 0]
    return np.atleast_2d(np.cov(moving.T)) if moving.shape[1] else np.zeros((0, 0))


def total_correlation(codes: np.ndarray) -> float:
    """Computes the total correlation of the normal law with the codes' covariance, nats.

    Constant dimensions, which are independent of all, are left out; it is infinite where a
    dimension is a sum of others.

    >>> round(total_correlation(np.array([[1., 0.], [0., 1.], [-1., 0.], [0., -1.]])), 6)
    0.0
    """
    sigma = _covariance(np.asarray(codes, np.float64))
    std = np.sqrt(np.diag(sigma))
    sign, log_det = np.linalg.slogdet(sigma / np.outer(std, std))
    return max(0., float(-log_det / 2)) if sign > 0 else np.inf


def wasserstein_correlation(codes: np.ndarray, normalized: bool) -> float:
    """Computes the squared Wasserstein-2 distance of two normal laws: with the codes'
    covariance S, and with its diagonal D alone: 2 tr S - 2 tr (D S)^(1/2).

    Args:
      codes: [n, Z].
      normalized: whether to divide by tr S.

    References:
      Watters et al., "Spatial Broadcast Decoder", 2019, arXiv:1901.07017.
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
      Disentangled Representations", 2019, arXiv:1811.12359 (as an unsupervised score).

    >>> codes = np.array([[1., 1.], [-1., -1.]])
    >>> round(wasserstein_correlation(codes, True), 6) == round(2 - 2**.5, 6)
    True
    """
    sigma = _covariance(np.asarray(codes, np.float64))
    std = np.sqrt(np.diag(sigma))
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(std[:, None] * sigma * std), 0)).sum()
    total = np.trace(sigma)
    distance = max(0., float(2 * total - 2 * roots))
    return float(distance / total) if normalized and total > 0 else distance


def shared_information(codes: np.ndarray) -> float:
    """Computes the mean mutual information of two binned dimensions, nats."""
    mutual = information(*[discretized(codes)] * 2)
    return float(mutual[~np.eye(len(mutual), dtype=bool)].mean())


# ---- of two models ---------------------------------------------------------------------------

def rank_relation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes the |Spearman correlation| [A, B] of dimensions of two models' codes."""
    from scipy.stats import rankdata

    x, y = (rankdata(codes, axis=0) for codes in (a, b))
    x, y = ((r - r.mean(0)) / np.maximum(r.std(0), 1e-12) for r in (x, y))
    return np.abs(x.T @ y) / len(x)


def lasso_relation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes the |coefficients| [A, B] by which a lasso predicts each dimension of b from
    those of a, both standardized.

    A dimension that is there in b alone, or its mirror image, has a coefficient of 1 less
    `SHRINKAGE`.
    """
    from sklearn.linear_model import Lasso
    from threadpoolctl import threadpool_limits

    x, y = ((z - z.mean(0)) / np.maximum(z.std(0), 1e-12) for z in (a, b))
    with threadpool_limits(1):
        model = Lasso(alpha=SHRINKAGE).fit(x, y)
    return np.abs(np.reshape(model.coef_, (y.shape[1], x.shape[1]))).T


def agreement(relation: np.ndarray) -> float:
    """Measures whether every dimension of one model is one dimension of the other.

    Args:
      relation: [A, B], none negative, of the informative dimensions.

    Returns:
      float: mean over dimensions of largest^2 / sum, both ways; 0 where a model has none.

    References:
      Duan et al., "Unsupervised Model Selection for Variational Disentangled Representation
      Learning", ICLR 2020, arXiv:1905.12614.

    >>> agreement(np.array([[0., 1.], [1., 0.]])), agreement(np.ones((2, 2)))
    (1.0, 0.5)
    """
    if not relation.size:
        return 0.
    strength = lambda r: (r.max(0)**2 / np.maximum(r.sum(0), 1e-300)).mean()
    return float((strength(relation) + strength(relation.T)) / 2)


RELATIONS = {'spearman': rank_relation, 'lasso': lasso_relation}


# ---- metrics ---------------------------------------------------------------------------------

def _codes(view, codes):
    """Codes [G, N, Z] of the split; None where there are few or they have one dimension."""
    found = split_codes(view, codes) if view.n >= LEAST else None
    return None if found is None or found.shape[2] < 2 else np.asarray(found, np.float64)


def alone(view: Evaluator, codes: str, score: str) -> Value | None:
    """Gives a score of each model's own codes. None is better high or low: codes that tell
    nothing are independent.

    Args:
      view: the `Evaluator`.
      codes: 'mean' or 'sampled'.
      score: key of `ALONE`.
    """
    found = _codes(view, codes)
    if found is None:
        return None
    f, said, *_ = ALONE[score]
    value = np.array([f(z) if np.isfinite(z).all() else np.nan for z in found])
    return Value(value, said.joined(CODES[codes].said), view.n, CODES[codes].samples,
                 None, warnings(value[:, None]))


ALONE = {
    'tc_gaussian': (total_correlation, Estimator(
        'total correlation of a normal law with their covariance', 'tc-normal'), 'nats',
        NONNEGATIVE),
    'wasserstein': (functools.partial(wasserstein_correlation, normalized=False), Estimator(
        'squared Wasserstein-2 distance of normal laws with and without covariance',
        'w2-normal'), 'distance^2', NONNEGATIVE),
    'wasserstein_normalized': (functools.partial(wasserstein_correlation, normalized=True),
                               Estimator('squared Wasserstein-2 distance of normal laws with '
                                         'and without covariance / variance',
                                         'w2-normal-normalized'), 'ratio', (0., 2.)),
    'code_mi': (shared_information, Estimator(
        f'mean mutual information of two dimensions, {BINS} equal bins', f'pairs-{BINS}'),
        'nats', NONNEGATIVE),
}
"""Name -> (function of codes [n, Z], estimator, unit, bounds)."""


def own_draws(view: Evaluator) -> np.ndarray:
    """Draws codes [G, N, Z] of the split that share no noise between models.

    Elsewhere all models draw with common random numbers, by which dimensions of noise alone
    would agree.
    """
    return view.cached('own draws', lambda: draws(view, view.states,
                                                  OWN + np.arange(view.seeds)))


def relations(view: Evaluator, codes: str, relation: str) -> np.ndarray:
    """Computes the `agreement` of every two models of a group, [G, G]; nan on the diagonal and
    of models whose codes are not finite.

    Dead dimensions, whose KL is at most 0.01 nats, or without a KL their variance, are left
    out.
    """
    z = np.asarray(view.codes if codes == 'mean' else own_draws(view), np.float64)
    _, rate = rate_of_dimensions(view)
    size, f = view.seeds, RELATIONS[relation]
    own = [x[:, r > INFORMATIVE] for x, r in zip(z, rate, strict=True)]
    out = np.full((size, size), np.nan)
    for i in range(size):
        for j in range(size):
            if i != j and np.isfinite(z[i]).all() and np.isfinite(z[j]).all():
                view.pause()
                some = own[i].shape[1] and own[j].shape[1]
                out[i, j] = agreement(f(own[i], own[j])) if some else 0.
    return out


def udr(view: Evaluator, codes: str, relation: str) -> Value | None:
    """Measures whether the models that trained together found the same dimensions: the median
    over each one's partners.

    It needs no factors, but several seeds; with one there is no number. Partners are the models
    that trained in one group, so that numbers of groups of other sizes are other estimates: a
    table whose seeds are one group compares all. Two models of no informative dimension agree
    by 0.

    References:
      Duan et al., "Unsupervised Model Selection for Variational Disentangled Representation
      Learning", ICLR 2020, arXiv:1905.12614.
    """
    if view.seeds < 2 or _codes(view, codes) is None:
        return None
    of = relations(view, codes, relation)
    value = np.array([np.median(r[np.isfinite(r)]) if np.isfinite(r).any() else np.nan
                      for r in of])
    what, _ = rate_of_dimensions(view)
    least = f'{what} above {INFORMATIVE}'
    said = Estimator(
        f'unsupervised disentanglement ranking by {relation}, dimensions of {least}, median '
        f'over partners among {view.seeds} models that trained together',
        f'udr-{relation}-{what}-{INFORMATIVE}:models-{view.seeds}')
    return Value(value, said.joined(CODES[codes].said), view.n, CODES[codes].samples,
                 None, warnings(value[:, None]))


METRICS = {
    **{f'{name}{k.end}': Metric(functools.partial(alone, codes=codes, score=name), (k.needs,),
                                unit, None, (), bounds)
       for name, (_, _, unit, bounds) in ALONE.items() for codes, k in CODES.items()},
    **{f'{name}{k.end}': Metric(functools.partial(udr, codes=codes, relation=relation),
                                (tuple({*k.needs, 'encode'}),), 'UDR', 'higher', (), SHARE)
       for name, relation in (('udr', 'spearman'), ('udr_lasso', 'lasso'))
       for codes, k in CODES.items()},
}
