"""Samples against held-out data, in features of both: distances with their floors, support, two-sample tests."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform

from vaebench.core import derive
from vaebench.metrics.evaluator import GENERATED, Judge, Metric, Value, warnings
from vaebench.ops.kernels import mmd, rbf, rbf_mixture
from vaebench.ops.two_sample import mmd_test

WIDTHS = (.5, 1., 2.)      # multiples of the median distance
MEDIAN = 1000              # rows that tell the median distance
BLOCKS = 10                # disjoint subsets behind the standard error
DRAW = 100                 # samples that a call of `sample` makes, whatever the settings
LEAST = 4                  # rows on a side below which nothing is said
NEIGHBOUR = 3              # whose distance is a ball's radius
PERMUTATIONS = 500
TREES = 100
RIDGE = 1e-6               # what a singular covariance gets on its diagonal
PER_DIMENSION = 10         # rows per feature below which a Frechet distance says so


# What is compared.

def space(view):
    """The judge in whose features samples and data are compared; the values themselves where there is none.

    It offers `features`: x [N, ...] -> [N, D] and, where it knows classes, `classify`: features -> [N, K], log p.
    """
    return view.judge('space') or Judge(f'{view.data.part}s', functions={'features': lambda x: x.reshape(len(x), -1)})


def _drawn(evals, params, carry, key, own, i):
    return evals['sample'](params, carry, derive(key, GENERATED, 0, i), DRAW, 'mean')['x']


def generated(view, n):
    """n examples from the prior, mean decoding, drawn once per view in calls of 100: more begin with the fewer.

    Args:
      view: with the eval 'sample'.
      n: int.

    Returns:
      [G, n, ...].
    """
    parts, draw = view.cached('generated', list), view.jit(_drawn)
    while DRAW * len(parts) < n:
        view.pause()
        parts.append(jax.device_get(draw((), np.int32(len(parts)))))
    return np.concatenate(parts[:-(-n // DRAW)], 1)[:, :n]


def features(view, x):
    """[N, D] float64 features of x [N, ...]; images are first cut to [0, 1] and rounded to 8 bits, on every side."""
    x = np.asarray(x, np.float32)
    x = np.round(np.clip(x, 0, 1) * 255) / 255 if view.schema['x'].bounds else x
    return np.float64(space(view).features(np.float32(x)))


def _real(view):
    """At most `settings.images` rows of the split in a fixed random order, and as many others as there are.

    The others are of the split too where it has enough of them, else of the validation data.
    """
    x, valid = view.field('x'), () if view.data.valid is None else view.decoded(view.data.valid, 'x')
    order, n = np.random.default_rng(0).permutation(len(x)), min(view.settings.images, len(x))
    half = min(n, len(x) // 2)
    if min(n, len(valid)) > half:
        other = np.asarray(valid)[np.random.default_rng(1).permutation(len(valid))[:n]]
        return features(view, x[order[:n]]), features(view, other), 'validation data'
    return features(view, x[order[:n]]), features(view, x[order[half:2 * half]]), 'two halves of the split'


def real(view):
    """Features of held-out data: (real [n, D], other [m, D] with m <= n, where the others come from)."""
    return view.cached('real', lambda: _real(view))


def fake(view):
    """[G, n, D] features of as many samples as `real` has rows."""
    def make():
        x = generated(view, len(real(view)[0]))
        return features(view, x.reshape(-1, *x.shape[2:])).reshape(*x.shape[:2], -1)

    return view.cached('fake', make)


def _value(view, pairs, estimator, n, note=None):
    """`Value` of what each seed gave: a float, or a float with its standard error."""
    pairs = [p if isinstance(p, tuple) else (p, np.nan) for p in pairs]
    value, stderr = (np.broadcast_to(np.float64(x), view.seeds) for x in zip(*pairs, strict=True))
    return Value(value, estimator, n, None, stderr if np.isfinite(stderr).any() else None, warnings(value[:, None]),
                 note)


def against(view, f, estimator, note=None):
    """f(features of samples, of data) of every seed, with as many samples as data.

    Args:
      view: an `Evaluator`.
      f: (fake [n, D], real [n, D]) -> float, or (float, standard error).
      estimator: text; the name of the `Judge` is added.
      note: (value for real against real, real [n, D]) -> text or None.

    Returns:
      A `Value`, None where there are too few examples.
    """
    x, other, _ = real(view)
    if len(other) < LEAST:
        return None
    pairs = []
    for g in range(view.seeds):
        view.pause()
        y = fake(view)[g]
        pairs.append(f(y, x) if np.isfinite(y).all() else np.nan)
    said = None if note is None else note(f(other, x[:len(other)]), x)
    return _value(view, pairs, f'{estimator}, in {space(view).name}', len(x), said)


def floor(view, f, estimator):
    """What `against` gives for data in place of samples: the same for every seed."""
    x, other, source = real(view)
    if len(other) < LEAST:
        return None
    return _value(view, [f(other, x[:len(other)])], f'{estimator}, in {space(view).name}; real against real: {source}',
                  len(other))


# Distances.

def width(x):
    """Median Euclidean distance between different rows of x [N, D], at least 1e-6."""
    return max(float(np.median(pdist(x))), 1e-6)


@jax.jit
def two_sample(x, y, width):
    """Unbiased squared MMD and its standard error from disjoint blocks; couples the batch.

    The blocks' spread overstates the error where the two laws agree: it falls as 1/n there, not 1/sqrt(n).

    Args:
      x, y: [N, D].
      width: the kernel is the mean of Gaussian ones with .5, 1 and 2 times this width.

    Returns:
      [] discrepancy, may be negative; [] standard error, nan below 20 rows.
    """
    def kernel(a, b):
        return rbf_mixture(a, b, [(c * width)**2 for c in WIDTHS]) / len(WIDTHS)

    value, n = mmd(x, y, kernel), len(x) // BLOCKS
    if n < 2:
        return value, jnp.nan
    parts = jax.vmap(lambda a, b: mmd(a, b, kernel))(*(a[:n * BLOCKS].reshape(BLOCKS, n, -1) for a in (x, y)))
    return value, parts.std(ddof=1) / BLOCKS**.5


def _single(x, y):
    """x and y in single precision, around y's mean: squared distances cancel less there."""
    return np.float32(x - y.mean(0)), np.float32(y - y.mean(0))


def kernel_discrepancy(x, y):
    """Squared MMD of x and y [N, D] and its standard error; the kernel's width is y's median distance.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.
      Binkowski et al., "Demystifying MMD GANs", 2018, arXiv:1801.01401 (blocks in features; its kernel is cubic).
    """
    return tuple(map(float, two_sample(*_single(x, y), width(y[:MEDIAN]))))


def bures(mean_x, cov_x, mean_y, cov_y):
    """Squared Wasserstein-2 distance of two normal laws, |m - n|^2 + tr(A + B - 2 (A B)^1/2).

    A singular covariance is given 1e-6 on its diagonal, and the other one too.

    Args:
      mean_x, mean_y: [D].
      cov_x, cov_y: [D, D].

    Returns:
      float >= 0.

    >>> round(bures(np.zeros(2), np.diag([1., 4.]), np.ones(2), np.diag([4., 9.])), 6)
    4.0
    """
    bounds = [np.linalg.eigvalsh(c)[[0, -1]] for c in (cov_x, cov_y)]
    if any(low <= 1e-12 * max(high, 1e-300) for low, high in bounds):
        cov_x, cov_y = (c + RIDGE * np.eye(len(c)) for c in (cov_x, cov_y))
    w, v = np.linalg.eigh(cov_x)
    root = (v * np.sqrt(np.clip(w, 0, None))) @ v.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_y @ root), 0, None)).sum()
    return float(max(((mean_x - mean_y)**2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * cross, 0.))


def frechet(x, y):
    """`bures` of the normal laws fitted to x and y [N, D]: biased upwards, the more the fewer rows.

    References:
      Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982.
      Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017,
      arXiv:1706.08500 (in features of a network that is not used here: the numbers are not theirs).
    """
    return bures(x.mean(0), np.atleast_2d(np.cov(x.T)), y.mean(0), np.atleast_2d(np.cov(y.T)))


def _few(reference, x):
    """Says of a Frechet distance that it has few rows per dimension."""
    n, size = x.shape
    return f'{n / size:.1f} rows per dimension: biased upwards, as its floor is' if n < PER_DIMENSION * size else None


# Support, tests and classes.

def support(x, y, k=NEIGHBOUR):
    """Share of the rows of x that lie near y: in a ball around a row of y as wide as to its k-th neighbour in y.

    Args:
      x: [N, D].
      y: [M, D].
      k: int.

    Returns:
      float. Samples x and data y give precision, the reverse gives recall.

    References:
      Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", 2019,
      arXiv:1904.06991.

    >>> y = np.array([[0.], [1.], [2.], [3.]])
    >>> support(np.array([[.5], [9.]]), y, 1)
    0.5
    """
    k, own = min(k, len(y) - 1), squareform(pdist(y))
    np.fill_diagonal(own, np.inf)
    radius = np.partition(own, k - 1, 1)[:, k - 1]
    return float((cdist(x, y) <= radius).any(1).mean())


def classifier_test(x, y):
    """Held-out accuracy of a random forest that tells x from y [N, D], and its standard error where they are alike.

    It learns from one half of both and is tested on the other: accuracies of equal laws are binomial around 1/2.
    Differs from the paper: a forest, which needs no tuning, in place of neighbours or a network.

    References:
      Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", 2017, arXiv:1610.06545.
    """
    from sklearn.ensemble import RandomForestClassifier  # here: the import is not every command's cost

    half = len(x) // 2
    both = [np.concatenate([x[part], y[part]]) for part in (slice(half), slice(half, None))]
    label = [np.repeat([0, 1], len(b) // 2) for b in both]
    forest = RandomForestClassifier(TREES, random_state=0).fit(both[0], label[0])
    return float(forest.score(both[1], label[1])), float(np.sqrt(.25 / len(label[1])))


@jax.jit
def _test(x, y, variance):
    return mmd_test(jax.random.key(0), x, y, lambda a, b: rbf(a, b, variance), PERMUTATIONS).p_value


def permutation_p(x, y):
    """p value of one law for x and y [N, D]: see `ops.two_sample.mmd_test`; Gaussian kernel of median pooled width."""
    x, y = _single(x, y)
    half = MEDIAN // 2
    return float(_test(x, y, width(np.concatenate([x[:half], y[:half]]))**2))


def confidence(log_p):
    """exp E KL(p(y|x) || p(y)): high where every example is of one class and all classes are met.

    Args:
      log_p: [N, K] log probability of every class.

    Returns:
      float between 1 and K.

    >>> round(confidence(np.log(np.array([[1., 1e-30], [1e-30, 1.]]))), 6)
    2.0
    """
    p = np.exp(log_p)
    return float(np.exp((p * (log_p - np.log(np.maximum(p.mean(0), 1e-300)))).sum(1).mean()))


def label_divergence(log_p, log_q):
    """KL in nats from the classes met in p to those met in q: inf where p meets one that q does not.

    Args:
      log_p: [N, K] log probability of every class; an example's class is the most probable.
      log_q: [M, K].

    Returns:
      float.

    >>> round(label_divergence(np.array([[0., -9.]]), np.array([[0., -9.], [-9., 0.]])), 4)
    0.6931
    """
    p, q = (np.bincount(x.argmax(1), minlength=x.shape[1]) / len(x) for x in (log_p, log_q))
    with np.errstate(divide='ignore'):
        return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


def sharpness(x):
    """Variance of a grey image behind a Laplace filter, mean over images: blurred images have little.

    Args:
      x: [N, H, W, C], H and W at least 3.

    Returns:
      float.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.

    >>> sharpness(np.ones((1, 4, 4, 1)))
    0.0
    """
    x = np.float64(x).mean(-1)
    edges = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
    return float(edges.reshape(len(x), -1).var(1).mean())


# Metrics.

def class_score(view):
    """`confidence` of the classifier in the samples; None where the features are of no classifier."""
    classify = space(view).functions.get('classify')
    return classify and against(view, lambda fake, real: confidence(classify(fake)),
                                'exp E KL(p(y|x) || p(y))', _held_out)


def class_kl(view):
    """`label_divergence` from samples to data; None where the features are of no classifier."""
    classify = space(view).functions.get('classify')
    return classify and against(view, lambda fake, real: label_divergence(classify(fake), classify(real)),
                                'KL(classes of samples || classes of data)', _held_out)


def sample_sharpness(view):
    """`sharpness` of the samples, cut to [0, 1]; None where they are no images or too small."""
    if len(view.schema['x'].shape) != 3 or min(view.schema['x'].shape[:2]) < 3:
        return None
    n = min(view.settings.images, view.n)
    values = [sharpness(np.clip(x, 0, 1)) for x in generated(view, n)]
    return _value(view, values, 'variance behind a Laplace filter, mean over samples', n,
                  f'the data has {sharpness(view.field("x")):.4g}')


def _held_out(reference, x):
    """Says what real data scores."""
    return f'other held-out data: {reference[0] if isinstance(reference, tuple) else reference:.4g}'


def _z(reference, x):
    return f'z = (accuracy - .5) / standard error; {_held_out(reference, x)}'


KMMD = 'unbiased MMD^2, RBF widths {.5, 1, 2} x median distance of the data'
FRECHET = 'Frechet distance of fitted normal laws'
BALLS = f'balls of radius to neighbour {NEIGHBOUR}'


def metric(f, estimator, unit, better, note=None):
    """`Metric` of f(fake, real), see `against`."""
    return Metric(functools.partial(against, f=f, estimator=estimator, note=note), (('sample',),), unit, better, ('x',))


def floor_metric(f, estimator, unit):
    """`Metric` of f(other, real), see `floor`."""
    return Metric(functools.partial(floor, f=f, estimator=estimator), ((),), unit, None, ('x',))


METRICS = {
    'frechet': metric(frechet, FRECHET, 'squared distance', 'lower', _few),
    'frechet_floor': floor_metric(frechet, FRECHET, 'squared distance'),
    'kmmd': metric(kernel_discrepancy, KMMD, 'squared MMD', 'lower'),
    'kmmd_floor': floor_metric(kernel_discrepancy, KMMD, 'squared MMD'),
    'precision': metric(support, f'share of samples near data, {BALLS}', 'share', 'higher', _held_out),
    'recall': metric(lambda fake, real: support(real, fake), f'share of data near samples, {BALLS}', 'share', 'higher',
                     _held_out),
    'c2st': metric(classifier_test, f'held-out accuracy of a forest of {TREES} trees', 'share', 'lower', _z),
    'two_sample_p': metric(permutation_p, f'MMD^2, Gaussian kernel of median pooled width, {PERMUTATIONS} permutations',
                           'p value', None),
    'class_score': Metric(class_score, (('sample',),), 'classes', 'higher', ('x',)),
    'class_kl': Metric(class_kl, (('sample',),), 'nats', 'lower', ('x',)),
    'sharpness': Metric(sample_sharpness, (('sample',),), 'variance', None, ('x',)),
}
