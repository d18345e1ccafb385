"""Kernels and the two-sample discrepancy they define."""
import jax.numpy as jnp

SCALES = (.1, .2, .5, 1., 2., 5., 10.)
"""Multiples of the base width over which the inverse multiquadratic kernel is summed."""


def squared_distances(x, y):
    """Squared Euclidean distances between the rows of x and of y.

    Args:
      x: [N, Z].
      y: [M, Z].

    Returns:
      [N, M], never negative.

    >>> squared_distances(jnp.zeros((1, 2)), jnp.ones((2, 2))).tolist()
    [[2.0, 2.0]]
    """
    r2 = (x**2).sum(-1)[:, None] + (y**2).sum(-1)[None] - 2 * x @ y.T
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


def mmd(x, y, kernel, weight_x=None, weight_y=None):
    """Squared maximum mean discrepancy, unbiased: couples the batch, and may be negative.

    Args:
      x: [N, Z].
      y: [M, Z].
      kernel: (x, y) -> [N, M].
      weight_x: [N], 0 for a row that does not count; all count by default.
      weight_y: [M].

    Returns:
      []; with fewer than two rows on a side that side's own term is 0.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.

    >>> x = jnp.array([[0.], [1.]])
    >>> float(mmd(x, x, lambda a, b: a @ b.T))
    -0.5
    """
    wx = jnp.ones(x.shape[0], x.dtype) if weight_x is None else weight_x
    wy = jnp.ones(y.shape[0], y.dtype) if weight_y is None else weight_y

    def within(a, w):
        pairs = w[:, None] * w[None] * (1 - jnp.eye(len(w), dtype=w.dtype))
        return (kernel(a, a) * pairs).sum() / jnp.maximum(pairs.sum(), 1)

    pairs = wx[:, None] * wy[None]
    across = (kernel(x, y) * pairs).sum() / jnp.maximum(pairs.sum(), 1)
    return within(x, wx) + within(y, wy) - 2 * across
