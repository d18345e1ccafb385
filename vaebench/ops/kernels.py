"""Kernels and the two-sample discrepancy they define; tests built on it are in `two_sample`."""
import jax.numpy as jnp

SCALES = (.1, .2, .5, 1., 2., 5., 10.)
"""Multiples of the base width over which the inverse multiquadratic kernel is summed."""


def squared_distances(x, y):
    """Squared Euclidean distances between the rows of x and of y; in full precision, since large terms cancel.

    Args:
      x: [N, Z].
      y: [M, Z].

    Returns:
      [N, M], never negative.

    >>> squared_distances(jnp.zeros((1, 2)), jnp.ones((2, 2))).tolist()
    [[2.0, 2.0]]
    """
    r2 = (x**2).sum(-1)[:, None] + (y**2).sum(-1)[None] - jnp.matmul(2 * x, y.T, precision='highest')
    return jnp.maximum(r2, 0)


def rbf(x, y, variance):
    """Gaussian kernel exp(-r^2 / (2 variance)).

    Args:
      x: [N, Z].
      y: [M, Z].
      variance: squared width of the kernel.

    Returns:
      [N, M] in (0, 1].

    >>> round(float(rbf(jnp.zeros((1, 2)), jnp.ones((1, 2)), 1.)[0, 0]), 4)
    0.3679
    """
    return jnp.exp(-squared_distances(x, y) / (2 * variance))


def imq(x, y, base, scales=SCALES):
    """Inverse multiquadratic kernel, summed over widths: sum_s s C / (s C + r^2).

    Args:
      x: [N, Z].
      y: [M, Z].
      base: C; 2 Z sigma^2 is the expected squared distance of two draws of N(0, sigma^2 I).
      scales: multiples s of C.

    Returns:
      [N, M] in (0, len(scales)].

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.

    >>> float(imq(jnp.zeros((1, 2)), jnp.zeros((1, 2)), 4.)[0, 0])
    7.0
    """
    r2 = squared_distances(x, y)
    return sum(s * base / (s * base + r2) for s in scales)


def rbf_mixture(x, y, variances, less_one=False, mean=False):
    """Gaussian kernels of several widths, summed: sum_v exp(-r^2 / (2 v)).

    Args:
      x: [N, Z].
      y: [M, Z].
      variances: squared widths v.
      less_one: whether each kernel is lowered by its value at distance 0. No discrepancy notices a constant, and
        points close together keep their digits.
      mean: whether their mean is taken in place of their sum.

    Returns:
      [N, M] in (0, len(variances)], or lower by len(variances); in (0, 1] or (-1, 0] for the mean.

    >>> x = jnp.array([[0.], [1e-5]])
    >>> [f'{float(rbf_mixture(x, x, (1., 2.), less)[0, 1]):.2e}' for less in (False, True)]
    ['2.00e+00', '-7.50e-11']
    """
    r2 = squared_distances(x, y)
    total = sum((jnp.expm1 if less_one else jnp.exp)(-r2 / (2 * v)) for v in variances)
    return total / len(variances) if mean else total


def linear(x, y):
    """Inner products: the discrepancy they define is the squared distance between two means.

    Args:
      x: [N, Z].
      y: [M, Z].

    Returns:
      [N, M].

    >>> linear(jnp.ones((1, 2)), jnp.ones((2, 2))).tolist()
    [[2.0, 2.0]]
    """
    return jnp.matmul(x, y.T, precision='highest')


def polynomial(x, y, degree=3):
    """(x . y / Z + 1)^degree; of degree 3 on features, the kernel of the kernel Inception distance.

    Args:
      x: [N, Z].
      y: [M, Z].
      degree: which moments count: those up to it.

    Returns:
      [N, M].

    References:
      Binkowski et al., "Demystifying MMD GANs", 2018, arXiv:1801.01401.

    >>> float(polynomial(jnp.ones((1, 4)), jnp.ones((1, 4)))[0, 0])
    8.0
    """
    return (linear(x, y) / x.shape[-1] + 1)**degree


def median_distance(x):
    """Median Euclidean distance between different rows: the usual width of a Gaussian kernel.

    Args:
      x: [N, Z], N > 1.

    Returns:
      [] > 0.

    >>> float(median_distance(jnp.array([[0.], [1.], [3.]])))
    2.0
    """
    rows, columns = jnp.triu_indices(len(x), 1)
    return jnp.maximum(jnp.median(jnp.sqrt(squared_distances(x, x)[rows, columns])), 1e-6)


def mmd(x, y, kernel, weight_x=None, weight_y=None, biased=False):
    """Squared maximum mean discrepancy: couples the batch.

    Unbiased, it may be negative. Biased, each row also meets itself: it is never negative, 0 for equal sets, and for
    k(x, x) = 1 too large by (1 - E k(x, x')) / N + (1 - E k(y, y')) / M.

    Args:
      x: [N, Z].
      y: [M, Z].
      kernel: (x, y) -> [N, M].
      weight_x: [N], 0 for a row that does not count; all count by default.
      weight_y: [M].
      biased: V-statistic in place of U-statistic.

    Returns:
      []; a side's own term is 0 where it has no pair.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> x = jnp.array([[0.], [1.]])
    >>> float(mmd(x, x, linear)), float(mmd(x, x, linear, biased=True))
    (-0.5, 0.0)
    """
    wx = jnp.ones(x.shape[0], x.dtype) if weight_x is None else weight_x
    wy = jnp.ones(y.shape[0], y.dtype) if weight_y is None else weight_y

    def within(a, w):
        pairs = w[:, None] * w[None]
        pairs = pairs if biased else pairs * (1 - jnp.eye(len(w), dtype=w.dtype))
        return (kernel(a, a) * pairs).sum() / jnp.maximum(pairs.sum(), 1)

    pairs = wx[:, None] * wy[None]
    across = (kernel(x, y) * pairs).sum() / jnp.maximum(pairs.sum(), 1)
    return within(x, wx) + within(y, wy) - 2 * across
