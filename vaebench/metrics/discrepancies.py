"""How far two samples are apart: distances, support, two-sample tests, classes, sharpness."""
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform

from vaebench.ops.kernels import mmd, rbf, rbf_mixture
from vaebench.ops.two_sample import mmd_test

WIDTHS = (.5, 1., 2.)      # multiples of the median distance
MEDIAN = 1000              # rows that tell the median distance
BLOCKS = 10                # disjoint subsets behind the standard error
NEIGHBOR = 3               # whose distance is a ball's radius
PERMUTATIONS = 500
TREES = 100
RIDGE = 1e-6               # what a singular covariance gets on its diagonal


# Distances.

def width(x: np.ndarray) -> float:
    """Computes the median Euclidean distance between different rows of x [N, D], at least
    1e-6."""
    return max(float(np.median(pdist(x))), 1e-6)


@jax.jit
def two_sample(x: jax.Array, y: jax.Array,
               width: jax.Array | float) -> tuple[jax.Array, jax.Array | float]:
    """Computes the unbiased squared MMD and its standard error from disjoint blocks; couples
    the batch.

    The blocks' spread overstates the error where the two laws agree: it falls as 1/n there, not
    1/sqrt(n).

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
    blocks = (a[:n * BLOCKS].reshape(BLOCKS, n, -1) for a in (x, y))
    parts = jax.vmap(lambda a, b: mmd(a, b, kernel))(*blocks)
    return value, parts.std(ddof=1) / BLOCKS**.5


def _single(x, y):
    """x and y in single precision, around y's mean: squared distances cancel less there."""
    return (x - y.mean(0)).astype(np.float32), (y - y.mean(0)).astype(np.float32)


def kernel_discrepancy(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Computes the squared MMD of x and y [N, D] and its standard error; the kernel's width is
    y's median distance.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.
      Binkowski et al., "Demystifying MMD GANs", 2018, arXiv:1801.01401 (blocks in features; its
      kernel is cubic).
    """
    value, stderr = two_sample(*_single(x, y), width(y[:MEDIAN]))
    return float(value), float(stderr)


def bures(mean_x: np.ndarray, cov_x: np.ndarray, mean_y: np.ndarray,
          cov_y: np.ndarray) -> float:
    """Computes the squared Wasserstein-2 distance of two normal laws, |m - n|^2 + tr(A + B - 2
    (A B)^1/2).

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
    total = ((mean_x - mean_y)**2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * cross
    return float(max(total, 0.))


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Computes `bures` of the normal laws fitted to x and y [N, D]: biased upwards, the more
    the fewer rows.

    References:
      Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982.
      Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
      Equilibrium", 2017, arXiv:1706.08500 (in features of a network that is not used here: the
      numbers are not theirs).
    """
    return bures(x.mean(0), np.atleast_2d(np.cov(x.T)), y.mean(0), np.atleast_2d(np.cov(y.T)))


# Support, tests and classes.

def support(x: np.ndarray, y: np.ndarray, k: int = NEIGHBOR) -> float:
    """Measures the share of the rows of x that lie near y: in a ball around a row of y as wide
    as to its k-th neighbour in y.

    Args:
      x: [N, D].
      y: [M, D].
      k: int.

    Returns:
      float. Samples x and data y give precision, the reverse gives recall.

    References:
      Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative
      Models", 2019, arXiv:1904.06991.

    >>> y = np.array([[0.], [1.], [2.], [3.]])
    >>> support(np.array([[.5], [9.]]), y, 1)
    0.5
    """
    k, own = min(k, len(y) - 1), squareform(pdist(y))
    np.fill_diagonal(own, np.inf)
    radius = np.partition(own, k - 1, 1)[:, k - 1]
    return float((cdist(x, y) <= radius).any(1).mean())


def distinct(x: np.ndarray) -> np.ndarray:
    """Returns the rows of x [N, D] that are not met before, in their order.

    >>> distinct(np.array([[2.], [1.], [2.]])).tolist()
    [[2.0], [1.0]]
    """
    return x[np.sort(np.unique(x, axis=0, return_index=True)[1])]


def classifier_test(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Measures the held-out accuracy of a random forest that tells x from y [N, D], and its
    standard error where they are alike.

    It learns from one half of both and is tested on the other: accuracies of equal laws are
    binomial around 1/2. Rows that are met twice count once, and the longer side is cut: a copy
    in the other half would be no held-out row. Differs from the paper: a forest, which needs no
    tuning, in place of neighbours or a network.

    Returns:
      (accuracy, standard error); nan where a side has fewer than 4 distinct rows.

    References:
      Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", 2017, arXiv:1610.06545.
    """
    # here: the import is not every command's cost
    from sklearn.ensemble import RandomForestClassifier

    x, y = distinct(x), distinct(y)
    n = min(len(x), len(y))
    if n < 4:
        return np.nan, np.nan
    x, y, half = x[:n], y[:n], n // 2
    both = [np.concatenate([x[part], y[part]]) for part in (slice(half), slice(half, None))]
    label = [np.repeat([0, 1], len(b) // 2) for b in both]
    forest = RandomForestClassifier(TREES, random_state=0).fit(both[0], label[0])
    return float(forest.score(both[1], label[1])), float(np.sqrt(.25 / len(label[1])))


@jax.jit
def _test(x, y, variance):
    return mmd_test(jax.random.key(0), x, y, lambda a, b: rbf(a, b, variance),
                    PERMUTATIONS).p_value


def permutation_p(x: np.ndarray, y: np.ndarray) -> float:
    """Computes the p value of one law for x and y [N, D] by `ops.two_sample.mmd_test`, with a
    Gaussian kernel of median pooled width.
    """
    x, y = _single(x, y)
    half = MEDIAN // 2
    return float(_test(x, y, width(np.concatenate([x[:half], y[:half]]))**2))


def confidence(log_p: np.ndarray) -> float:
    """Computes exp E KL(p(y|x) || p(y)): high where every example is of one class and all
    classes are met.

    Args:
      log_p: [N, K] log probability of every class.

    Returns:
      float between 1 and K.

    >>> round(confidence(np.log(np.array([[1., 1e-30], [1e-30, 1.]]))), 6)
    2.0
    """
    p = np.exp(log_p)
    return float(np.exp((p * (log_p - np.log(np.maximum(p.mean(0), 1e-300)))).sum(1).mean()))


def label_divergence(log_p: np.ndarray, log_q: np.ndarray) -> float:
    """Computes the KL in nats from the classes met in p to those met in q: inf where p meets
    one that q does not.

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


def sharpness(x: np.ndarray) -> float:
    """Computes the variance of a grey image behind a Laplace filter, mean over images: blurred
    images have little.

    Args:
      x: [N, H, W, C], H and W at least 3.

    Returns:
      float. Differs from the paper's code, which reports the least of the images, an extreme
      that falls with their number.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.

    >>> sharpness(np.ones((1, 4, 4, 1)))
    0.0
    """
    x = np.asarray(x, np.float64).mean(-1)
    edges = (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
             - 4 * x[:, 1:-1, 1:-1])
    return float(edges.reshape(len(x), -1).var(1).mean())
