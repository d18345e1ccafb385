"""Samples against data: kernel two-sample discrepancy in pixel space."""
import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import derive
from vaebench.metrics.view import GENERATED, Metric, Value, warnings
from vaebench.ops.kernels import mmd, rbf

WIDTHS = (.5, 1., 2.)      # multiples of the median distance
BLOCKS = 10                # disjoint subsets behind the standard error
DRAW = 100                 # images a call of `sample` makes, whatever the settings
_ESTIMATOR = 'unbiased MMD^2 in pixel space, RBF widths {.5, 1, 2} x median distance of the data, '


def median_distance(x):
    """Median Euclidean distance between different rows.

    Args:
      x: [N, D].

    Returns:
      float > 0.

    >>> median_distance(np.array([[0.], [1.], [3.]]))
    2.0
    """
    x = np.asarray(x, np.float64)
    square = (x**2).sum(-1)
    r2 = square[:, None] + square[None] - 2 * x @ x.T
    return float(max(np.sqrt(max(np.median(r2[np.triu_indices(len(x), 1)]), 0.)), 1e-6))


def mixture(width):
    """Mean of RBF kernels with standard deviations .5, 1 and 2 times `width`: (x [N, D], y [M, D]) -> [N, M]."""
    return lambda x, y: sum(rbf(x, y, (c * width)**2) for c in WIDTHS) / len(WIDTHS)


def two_sample(x, y, width):
    """Unbiased squared MMD and its standard error from disjoint blocks; couples the batch.

    The blocks' spread overstates the error where the two laws agree: it falls as 1/n there, not 1/sqrt(n).

    Args:
      x, y: [N, D].
      width: kernel width.

    Returns:
      [] discrepancy, may be negative; [] standard error, nan below 20 rows.
    """
    kernel, n = mixture(width), len(x) // BLOCKS
    with jax.default_matmul_precision('highest'):          # squared distances cancel
        value = mmd(x, y, kernel)
        if n < 2:
            return value, jnp.nan
        parts = jax.vmap(lambda a, b: mmd(a, b, kernel))(
            *(a[:n * BLOCKS].reshape(BLOCKS, n, -1) for a in (x, y)))
    return value, parts.std(ddof=1) / BLOCKS**.5


def _real(view, most):
    """At most `most` images of the split in a fixed random order, [n, D], and their kernel width."""
    x = view.field('x')
    x = np.float32(x.reshape(len(x), -1)[np.random.default_rng(0).permutation(len(x))[:most]])
    return x, median_distance(x[:1000])


def _value(view, value, stderr, n, estimator):
    value, stderr = (np.broadcast_to(np.float64(x), view.seeds) for x in (value, stderr))
    return Value(value, _ESTIMATOR + estimator, n, None, stderr if np.isfinite(stderr).all() else None,
                 warnings(value[:, None]))


def kmmd(view):
    """Kernel discrepancy between images from the prior (mean decoding) and as many of the split.

    References:
      Gretton et al., "A Kernel Two-Sample Test", JMLR 2012.
      Binkowski et al., "Demystifying MMD GANs", 2018 (the subsets; features there, pixels here).
    """
    real, width = _real(view, view.settings.images)
    n = len(real)

    def discrepancy(params, carry, key, own, real):
        keys = [derive(key, GENERATED, 0, i) for i in range(-(-n // DRAW))]
        draw = lambda k: view.evals['sample'](params, carry, k, min(DRAW, n), 'mean')['x']
        fake = jax.lax.map(draw, jnp.stack(keys))
        return two_sample(fake.reshape(-1, real.shape[-1])[:n], real, width)

    return _value(view, *jax.device_get(view.jit(discrepancy)((), real)), n,
                  'as many prior samples; floor: kmmd_floor')


def kmmd_floor(view):
    """What `kmmd` gives for real images: one half of the split against the other."""
    real, width = _real(view, 2 * view.settings.images)
    n = len(real) // 2
    value = jax.jit(two_sample, static_argnums=2)(real[:n], real[n:2 * n], width)
    return _value(view, *jax.device_get(value), n, 'real against real: two halves of the split')


METRICS = {
    'kmmd': Metric(kmmd, (('sample',),), 'squared MMD', 'lower', ('x',)),
    'kmmd_floor': Metric(kmmd_floor, ((),), 'squared MMD', None, ('x',)),
}
