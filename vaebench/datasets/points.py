"""Points made on the spot: Gaussian mixtures of known density and the swiss roll."""
import math

import numpy as np

from vaebench import schema
from vaebench.datasets.base import integer, points_dataset
from vaebench.datasets.text import SPLITS
from vaebench.errors import UserError

GRID = 2.**16   # points stand on multiples of 1 / GRID, so that the last bit of a machine's logarithm does not tell


def _settle(a):
    return (np.round(a * GRID) / GRID).astype(np.float32)


def _number(name, value):
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UserError(f'{name}={value!r}: a number is wanted') from None
    if not 0 <= number < math.inf:
        raise UserError(f'{name}={value!r}: it must be at least 0')
    return number


def _normal(u):
    """Standard normal numbers [N, 2k] of uniform ones, by Box and Muller."""
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, ::2])), 2 * np.pi * u[:, 1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _uniform(width, examples, eval_examples, seed):
    """{split: [N, width]} raw uniform numbers, which NumPy never changes; n rows are the first n of more."""
    sizes = integer('examples', examples, 1), *(integer('eval_examples', eval_examples, 1),) * 2
    seed = integer('seed', seed, 0)
    return {s: np.random.default_rng([seed, i]).random((n, width))
            for i, (s, n) in enumerate(zip(SPLITS, sizes, strict=True))}


# Gaussian mixtures

def log_p(x, modes, std):
    """Exact log density of a mixture of equally weighted, round Gaussians.

    Args:
      x: [N, D].
      modes: [K, D] centres.
      std: their standard deviation.

    Returns:
      float64 [N], nats.

    >>> float(log_p(np.zeros((1, 2)), [[0, 0]], 1).round(6)[0])   # -log 2 pi
    -1.837877
    """
    x, modes = np.asarray(x, np.float64), np.asarray(modes, np.float64)
    distance = ((x[:, None] - modes) ** 2).sum(-1)
    each = -distance / (2 * std ** 2) - x.shape[1] / 2 * math.log(2 * math.pi * std ** 2)
    return np.logaddexp.reduce(each, 1) - math.log(len(modes))


def _mixture(name, modes, std, examples, eval_examples, seed):
    modes, splits = np.array(modes), {}
    for split, u in _uniform(3, examples, eval_examples, seed).items():
        label = (u[:, 0] * len(modes)).astype(np.int32)
        x = _settle(modes[label] + std * _normal(u[:, 1:]))
        splits[split] = {'x': x, 'label': label, 'log_p': log_p(x, modes, std).astype(np.float32)}
    columns = {'label': schema.label(len(modes)), 'log_p': schema.Field('real', derived=True)}
    truth = {'modes': tuple(map(tuple, modes.tolist())), 'std': std}
    return points_dataset(name, splits, columns, truth=truth)


def gaussians25(data_dir=None, cache_dir=None, examples=50_000, eval_examples=10_000, seed=0):
    """25 Gaussians on a 5x5 grid: centres 2 {-2..2}^2 and standard deviation .05, all divided by 2.828.

    Args:
      data_dir, cache_dir: not needed.
      examples: of train.
      eval_examples: of valid, and of test.
      seed: of the draw. Splits have streams of their own.

    Returns:
      A `Dataset` of points: x float32 [N, 2], label int32 [N] (the Gaussian), log_p float32 [N] (exact log density,
      nats). truth['modes'] are the centres, truth['std'] their standard deviation.

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028.
    """
    modes = [(2 * i / 2.828, 2 * j / 2.828) for i in range(-2, 3) for j in range(-2, 3)]
    return _mixture('gaussians25', modes, .05 / 2.828, examples, eval_examples, seed)


def gaussians8(data_dir=None, cache_dir=None, examples=50_000, eval_examples=10_000, seed=0):
    """8 Gaussians on a circle: radius 2 and standard deviation .02, all divided by 1.414.

    Args:
      data_dir, cache_dir, examples, eval_examples, seed: as in `gaussians25`.

    Returns:
      A `Dataset` of points with the columns of `gaussians25`.

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028.
    """
    h = math.sqrt(.5)
    circle = (1., 0.), (h, h), (0., 1.), (-h, h), (-1., 0.), (-h, -h), (0., -1.), (h, -h)
    modes = [(2 * x / 1.414, 2 * y / 1.414) for x, y in circle]
    return _mixture('gaussians8', modes, .02 / 1.414, examples, eval_examples, seed)


# The swiss roll

def _roll(u, noise):
    """(x [N, 3], t [N], height [N]) of scikit-learn's `make_swiss_roll` law, from uniform numbers [N, 6]."""
    t, height = 1.5 * np.pi * (1 + 2 * u[:, 0]), 21 * u[:, 1]
    x = np.stack([t * np.cos(t), height, t * np.sin(t)], 1)
    return x + noise * _normal(u[:, 2:])[:, :3], t, height


def swiss_roll(data_dir=None, cache_dir=None, examples=1500, eval_examples=1500, noise=0., seed=0):
    """The swiss roll in three dimensions, not scaled, with the two coordinates that unrolling should find.

    Args:
      data_dir, cache_dir: not needed.
      examples: of train.
      eval_examples: of valid, and of test.
      noise: standard deviation of what is added to every coordinate.
      seed: of the draw. Splits have streams of their own.

    Returns:
      A `Dataset` of points: x float32 [N, 3], arclength float32 [N] along the spiral from its centre, height float32
      [N] across it; both are those of the point before noise.

    References:
      Tenenbaum, de Silva, Langford, A Global Geometric Framework for Nonlinear Dimensionality Reduction, 2000.
    """
    noise, splits = _number('noise', noise), {}
    for split, u in _uniform(6, examples, eval_examples, seed).items():
        x, t, height = _roll(u, noise)
        arclength = (t * np.sqrt(1 + t ** 2) + np.arcsinh(t)) / 2
        splits[split] = {'x': _settle(x), 'arclength': _settle(arclength), 'height': _settle(height)}
    return points_dataset('swiss_roll', splits, {'arclength': schema.Field('real'), 'height': schema.Field('real')})


def swiss_roll_2d(data_dir=None, cache_dir=None, examples=50_000, eval_examples=10_000, noise=.25, seed=0):
    """The spiral of the swiss roll: its dimensions 0 and 2, divided by 7.5.

    Args:
      data_dir, cache_dir, examples, eval_examples, seed: as in `gaussians25`.
      noise: standard deviation before the division.

    Returns:
      A `Dataset` of points: x float32 [N, 2].

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028.
    """
    noise = _number('noise', noise)
    return points_dataset('swiss_roll_2d', {
        split: {'x': _settle(_roll(u, noise)[0][:, ::2] / 7.5)}
        for split, u in _uniform(6, examples, eval_examples, seed).items()})
