"""Do two samples share a law, are two variables independent, which of two models is closer: kernel tests."""
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vaebench.ops import kernels


class Outcome(NamedTuple):
    """Of a permutation test."""
    statistic: jax.Array      # []
    p_value: jax.Array        # [], share of the null, itself included, that is at least as large
    null: jax.Array           # [B], what permuted data give


class Comparison(NamedTuple):
    """Of two models with one sample."""
    difference: jax.Array     # [], negative where the first is closer
    low: jax.Array            # []
    high: jax.Array           # []
    resampled: jax.Array      # [R]


def p_value(statistic, null):
    """(1 + how many of the null are at least the statistic) / (1 + B); never 0.

    Args:
      statistic: [].
      null: [B].

    Returns:
      [].

    >>> float(p_value(2., jnp.array([1., 2., 3.])))
    0.75
    """
    slack = 1e-6 * jnp.abs(null).max()               # rounding parts what is equal
    return (1 + (null >= statistic - slack).sum()) / (1 + len(null))


def median_rbf(x):
    """The Gaussian kernel whose width is the median distance of x [N, Z]: (x, y) -> [N, M]."""
    variance = kernels.median_distance(x)**2
    return lambda a, b: kernels.rbf(a, b, variance)


def hollow(k):
    """k [N, N] with a diagonal of zeros."""
    return k * (1 - jnp.eye(len(k), dtype=k.dtype))


def _product(a, b):
    return jnp.matmul(a, b, precision='highest')


def split_mmd(k, members):
    """Unbiased squared MMD of many ways to cut one pooled sample in two, for one product of matrices.

    Args:
      k: [N, N] kernel of the pooled rows; its diagonal must be 0, see `hollow`.
      members: [B, N], 1 for rows of the first sample and 0 for those of the second.

    Returns:
      [B].

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> k = hollow(kernels.linear(*2 * [jnp.array([[0.], [1.], [0.], [1.]])]))
    >>> split_mmd(k, jnp.array([[1., 1., 0., 0.], [1., 0., 1., 0.]])).tolist()
    [-0.5, 1.0]
    """
    n = members.sum(1)
    m = members.shape[1] - n
    reached = _product(members, k)
    first, any_ = (reached * members).sum(1), reached.sum(1)
    second = k.sum() - 2 * any_ + first
    return first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * (any_ - first) / (n * m)


def mmd_test(key, x, y, kernel=None, permutations=500):
    """Permutation test of equal laws by the unbiased squared MMD.

    The kernel is evaluated once, on the pooled rows, and is the same for all permutations.

    Args:
      key: [].
      x: [N, Z].
      y: [M, Z].
      kernel: (x, y) -> [N, M]; None is Gaussian with the pooled rows' median distance as width.
      permutations: B.

    Returns:
      An `Outcome`.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> x = jnp.arange(20.)[:, None]
    >>> float(mmd_test(jax.random.key(0), x, x + 30, permutations=99).p_value)
    0.009999999776482582
    """
    pooled = jnp.concatenate([x, y])
    kernel = median_rbf(pooled) if kernel is None else kernel
    own = (jnp.arange(len(pooled)) < len(x)).astype(pooled.dtype)
    members = jnp.broadcast_to(own, (permutations, len(pooled)))
    members = jax.random.permutation(key, members, axis=1, independent=True)
    values = split_mmd(hollow(kernel(pooled, pooled)), jnp.concatenate([own[None], members]))
    return Outcome(values[0], p_value(values[0], values[1:]), values[1:])


def hsic(k, l, biased=False):
    """Hilbert-Schmidt independence criterion: the squared MMD between a joint law and the product of its marginals.

    Args:
      k: [N, N] kernel of one variable; N > 3 unless biased.
      l: [N, N] kernel of the other, in the same order.
      biased: tr(K H L H) / N^2, never negative; otherwise the U-statistic, whose mean is the law's own value.

    Returns:
      [].

    References:
      Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", 2005.
      Song et al., "Feature Selection via Dependence Maximization", JMLR 2012 (unbiased).

    >>> k = kernels.linear(*2 * [jnp.array([[-1.], [1.], [-1.], [1.]])])
    >>> float(hsic(k, k, biased=True)), round(float(hsic(k, k)), 4)
    (1.0, 2.6667)
    """
    n = len(k)
    if biased:
        k = k - k.mean(0) - k.mean(1, keepdims=True) + k.mean()
        return (k * l).mean()
    k, l = hollow(k), hollow(l)
    apart = k.sum() * l.sum() / ((n - 1) * (n - 2))
    return ((k * l).sum() + apart - 2 / (n - 2) * (k.sum(0) * l.sum(0)).sum()) / (n * (n - 3))


def hsic_test(key, x, y, kernel_x=None, kernel_y=None, permutations=500, biased=False):
    """Permutation test of independence: the rows of y are paired anew with those of x.

    Args:
      key: [].
      x: [N, Z].
      y: [N, Y].
      kernel_x, kernel_y: (x, y) -> [N, M]; None is Gaussian with the median distance as width.
      permutations: B; each costs N^2.
      biased: see `hsic`.

    Returns:
      An `Outcome`.

    References:
      Gretton et al., "A Kernel Statistical Test of Independence", 2007.

    >>> x = jnp.linspace(-1, 1, 30)[:, None]
    >>> float(hsic_test(jax.random.key(0), x, x**2, permutations=99).p_value)
    0.009999999776482582
    """
    k, l = ((median_rbf(v) if kernel is None else kernel)(v, v) for v, kernel in ((x, kernel_x), (y, kernel_y)))

    def shuffled(key):
        rows = jax.random.permutation(key, len(x))
        return hsic(k, l[rows][:, rows], biased)

    null = jax.lax.map(shuffled, jax.random.split(key, permutations))      # all at once would not fit
    statistic = hsic(k, l, biased)
    return Outcome(statistic, p_value(statistic, null), null)


def compare(key, first, second, data, kernel=None, resamples=1000, level=.95):
    """Which of two models is closer to the data: MMD^2(first, data) - MMD^2(second, data), with a bootstrap interval.

    Each sample is resampled on its own, by counting its rows; a row never meets itself, so that repeated rows do not
    raise the discrepancy. Where both models share the data's law the interval is not calibrated.

    Args:
      key: [].
      first: [N, Z].
      second: [M, Z].
      data: [K, Z].
      kernel: (x, y) -> [N, M]; None is Gaussian with the data's median distance as width.
      resamples: R.
      level: of the interval.

    Returns:
      A `Comparison`.

    References:
      Bounliphone et al., "A Test of Relative Similarity For Model Selection in Generative Models", 2016,
      arXiv:1511.04581 (the difference; its interval is asymptotic).

    >>> x = jnp.linspace(-1, 1, 40)[:, None]
    >>> out = compare(jax.random.key(0), x + .1, x + 2., x, resamples=9)
    >>> bool(out.low < out.difference), bool(out.high < 0)
    (True, True)
    """
    kernel = median_rbf(data) if kernel is None else kernel

    def counts(key, x):
        drawn = jax.random.randint(key, (resamples, len(x)), 0, len(x))
        again = jax.vmap(lambda rows: jnp.bincount(rows, length=len(x)))(drawn)
        return jnp.concatenate([jnp.ones((1, len(x))), again]).astype(x.dtype)

    a, b, c = (counts(k, x) for k, x in zip(jax.random.split(key, 3), (first, second, data), strict=True))

    def within(w, x):
        pairs = w.sum(1)**2 - (w**2).sum(1)
        return (_product(w, hollow(kernel(x, x))) * w).sum(1) / pairs

    def across(w, x):
        return (_product(w, kernel(x, data)) * c).sum(1) / (w.sum(1) * c.sum(1))

    values = within(a, first) - within(b, second) - 2 * (across(a, first) - across(b, second))
    low, high = jnp.quantile(values[1:], jnp.array([(1 - level) / 2, (1 + level) / 2]))
    return Comparison(values[0], low, high, values[1:])
