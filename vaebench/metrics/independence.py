"""Whether the dimensions of codes depend on one another, by kernels."""
import numpy as np

from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import NONNEGATIVE, SHARE, Estimator, Metric, Value
from vaebench.ops import two_sample

ROWS = 200             # codes behind the estimate: every pair of dimensions costs ROWS^2
DIMENSIONS = 32        # at most, those of largest variance
PERMUTATIONS = 199


def grams(codes: np.ndarray) -> np.ndarray:
    """Computes Gaussian kernel matrices of every dimension, as wide as its median distance,
    with zeros on the diagonal.

    Args:
      codes: [n, Z].

    Returns:
      float32 [Z, n, n].
    """
    x = np.asarray(codes, np.float64).T
    r = np.abs(x[:, :, None] - x[:, None])
    n = x.shape[1]
    above = r[:, *np.triu_indices(n, 1)]
    width = np.maximum(np.median(above, 1), 1e-12)
    kernels = np.exp(-(r / width[:, None, None])**2 / 2)
    kernels[:, np.arange(n), np.arange(n)] = 0
    return kernels.astype(np.float32)


def dependence(codes: np.ndarray, permutations: int = PERMUTATIONS,
               seed: int = 0) -> tuple[float, float]:
    """Computes the mean HSIC over the pairs of dimensions, and the p value of the largest.

    The p value is that of all dimensions' independence: every dimension is permuted on its own,
    and the largest HSIC of all pairs is compared with the largest then, so that many pairs make
    no false alarm.

    Args:
      codes: [n, Z] with Z > 1.
      permutations: how many.
      seed: of the permutations.

    Returns:
      (float, float at least 1 / (1 + permutations)).

    References:
      Gretton et al., "A Kernel Statistical Test of Independence", 2007.
    """
    kernels, rng = grams(codes), np.random.default_rng(seed)
    z, n, _ = kernels.shape
    pairs = np.triu_indices(z, 1)
    values = two_sample.hsic(kernels)[pairs]
    above = 0
    for _ in range(permutations):
        order = [rng.permutation(n) for _ in range(z)]
        moved = np.stack(
            [k.take(o, 0).take(o, 1) for k, o in zip(kernels, order, strict=True)])
        above += two_sample.hsic(moved)[pairs].max() >= values.max()
    return float(values.mean()), float((1 + above) / (1 + permutations))


def _codes(view):
    """Per seed, (mean HSIC, p value) of a fixed random choice of codes; None where there are no
    pairs or few codes.
    """
    codes = view.codes
    if codes.ndim != 3 or codes.shape[2] < 2 or view.n < 20:
        return None
    rows = np.random.default_rng(0).permutation(view.n)[:ROWS]
    out = []
    for own in codes:
        view.pause()
        some = np.sort(np.argsort(-own.var(0), kind='stable')[:DIMENSIONS])
        finite = np.isfinite(own).all()
        out.append(dependence(own[rows][:, some]) if finite else (np.nan, np.nan))
    return np.array(out)


def _value(view, which, what, name):
    values = view.cached('hsic', lambda: _codes(view))
    if values is None:
        return None
    more, of = '', 'means'
    if view.codes.shape[2] > DIMENSIONS:
        more, of = f', the {DIMENSIONS} of largest variance', f'means-{DIMENSIONS}'
    estimator = Estimator(f'{what}, pairs of dimensions of the posterior means{more}',
                          f'{name}:{of}')
    return Value(values[:, which], estimator, min(ROWS, view.n), None, None,
                 warnings(values[:, which:which + 1]))


def hsic(view: Evaluator) -> Value | None:
    """Measures the mean HSIC of two dimensions of the codes: 0 where they are independent."""
    return _value(view, 0, 'unbiased HSIC, Gaussian kernels of median width, mean', 'hsic')


def hsic_p(view: Evaluator) -> Value | None:
    """Computes the p value of the hypothesis that the dimensions of the codes are independent:
    see `dependence`.
    """
    return _value(view, 1, f'largest HSIC, {PERMUTATIONS} permutations of every dimension',
                  f'hsic-permuted-{PERMUTATIONS}')


METRICS = {
    'hsic': Metric(hsic, (('encode',),), 'HSIC', None, bounds=NONNEGATIVE),
    'hsic_p': Metric(hsic_p, (('encode',),), 'p value', None, bounds=SHARE),
}
