"""Points made on the spot: mixtures and a pinwheel of known density, and the swiss roll."""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaebench import schema
from vaebench.datasets.base import SPLITS, Dataset, Folder, points_dataset, whole
from vaebench.errors import UserError

GRID = 2.**16
"""Points stand on multiples of 1 / GRID: the last bit of a machine's logarithm has no say."""


def on_grid(a: np.ndarray) -> np.ndarray:
    """Rounds numbers to multiples of 1 / GRID, float32."""
    return (np.round(a * GRID) / GRID).astype(np.float32)


def _number(name: str, value: Any) -> float:
    """Checks that an option is a number of at least 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UserError(f'{name}={value!r}: a number is wanted') from None
    if not 0 <= number < math.inf:
        raise UserError(f'{name}={value!r}: it must be at least 0')
    return number


def normal(u: np.ndarray) -> np.ndarray:
    """Standard normal numbers [N, 2k] of uniform ones, by Box and Muller."""
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, ::2])), 2 * np.pi * u[:, 1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)


def uniform(width: int, examples: int, eval_examples: int,
             seed: int) -> dict[str, np.ndarray]:
    """{split: [N, width]} raw uniform numbers, which NumPy never changes.

    n rows are the first n of more.
    """
    held_out = whole('eval_examples', eval_examples, 1)
    sizes = whole('examples', examples, 1), held_out, held_out
    seed = whole('seed', seed, 0)
    return {s: np.random.default_rng([seed, i]).random((n, width))
            for i, (s, n) in enumerate(zip(SPLITS, sizes, strict=True))}


# Gaussian mixtures

def log_p(x: np.ndarray, modes: Any, std: float) -> np.ndarray:
    """Exact log density of a mixture of equally weighted, round Gaussians.

    Args:
      x: [N, D].
      modes: [K, D] centers.
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


def _mixture(name: str, centers: Sequence[tuple[float, float]], std: float,
             draws: dict[str, np.ndarray]) -> Dataset:
    """A mixture drawn with uniform numbers [N, 3] of every split."""
    modes, splits = np.array(centers), {}
    for split, u in draws.items():
        label = (u[:, 0] * len(modes)).astype(np.int32)
        x = on_grid(modes[label] + std * normal(u[:, 1:]))
        density = log_p(x, modes, std).astype(np.float32)
        splits[split] = {'x': x, 'label': label, 'log_p': density}
    columns = {'label': schema.label(len(modes)), 'log_p': schema.Field('real', derived=True)}
    truth = {'modes': tuple(map(tuple, modes.tolist())), 'std': std}
    return points_dataset(name, splits, columns, truth=truth)


def gaussians25(data_dir: Folder = None, cache_dir: Folder = None, examples: int = 50_000,
                eval_examples: int = 10_000, seed: int = 0) -> Dataset:
    """25 Gaussians on a 5x5 grid: centers 2 {-2..2}^2 and standard deviation .05.

    All is divided by 2.828.

    Args:
      data_dir, cache_dir: not needed.
      examples: of train.
      eval_examples: of valid, and of test.
      seed: of the draw. Splits have streams of their own.

    Returns:
      A `Dataset` of points: x float32 [N, 2], label int32 [N] (the Gaussian), log_p float32 [N]
      (exact log density, nats). truth['modes'] are the centers, truth['std'] their standard
      deviation.

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs,
      2017, arXiv:1704.00028.
    """
    modes = [(2 * i / 2.828, 2 * j / 2.828) for i in range(-2, 3) for j in range(-2, 3)]
    return _mixture('gaussians25', modes, .05 / 2.828,
                    uniform(3, examples, eval_examples, seed))


def gaussians8(data_dir: Folder = None, cache_dir: Folder = None, examples: int = 50_000,
               eval_examples: int = 10_000, seed: int = 0) -> Dataset:
    """8 Gaussians on a circle: radius 2 and standard deviation .02, all divided by 1.414.

    Args:
      data_dir, cache_dir, examples, eval_examples, seed: as in `gaussians25`.

    Returns:
      A `Dataset` of points with the columns of `gaussians25`.

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs,
      2017, arXiv:1704.00028.
    """
    h = math.sqrt(.5)
    circle = ((1., 0.), (h, h), (0., 1.), (-h, h), (-1., 0.), (-h, -h), (0., -1.), (h, -h))
    modes = [(2 * x / 1.414, 2 * y / 1.414) for x, y in circle]
    return _mixture('gaussians8', modes, .02 / 1.414,
                    uniform(3, examples, eval_examples, seed))


# The swiss roll

def _roll(u: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [N, 3], t [N] and height [N] of the law of scikit-learn's `make_swiss_roll`.

    u holds uniform numbers [N, 6].
    """
    t, height = 1.5 * np.pi * (1 + 2 * u[:, 0]), 21 * u[:, 1]
    x = np.stack([t * np.cos(t), height, t * np.sin(t)], 1)
    return x + noise * normal(u[:, 2:])[:, :3], t, height


def swiss_roll(data_dir: Folder = None, cache_dir: Folder = None, examples: int = 1500,
               eval_examples: int = 1500, noise: float = 0., seed: int = 0) -> Dataset:
    """The swiss roll in three dimensions, with the two coordinates that unrolling should find.

    Args:
      data_dir, cache_dir: not needed.
      examples: of train.
      eval_examples: of valid, and of test.
      noise: standard deviation of what is added to every coordinate.
      seed: of the draw. Splits have streams of their own.

    Returns:
      A `Dataset` of points: x float32 [N, 3], not scaled; arclength float32 [N] along the
      spiral
      from its center and height float32 [N] across it, both of the point before noise.

    References:
      Tenenbaum, de Silva, Langford, A Global Geometric Framework for Nonlinear Dimensionality
      Reduction, 2000.
    """
    noise, splits = _number('noise', noise), {}
    for split, u in uniform(6, examples, eval_examples, seed).items():
        x, t, height = _roll(u, noise)
        arclength = (t * np.sqrt(1 + t ** 2) + np.arcsinh(t)) / 2
        splits[split] = {'x': on_grid(x), 'arclength': on_grid(arclength),
                         'height': on_grid(height)}
    columns = {'arclength': schema.Field('real'), 'height': schema.Field('real')}
    return points_dataset('swiss_roll', splits, columns)


def swiss_roll_2d(data_dir: Folder = None, cache_dir: Folder = None, examples: int = 50_000,
                  eval_examples: int = 10_000, noise: float = .25, seed: int = 0) -> Dataset:
    """The spiral of the swiss roll: its dimensions 0 and 2, divided by 7.5.

    Args:
      data_dir, cache_dir, examples, eval_examples, seed: as in `gaussians25`.
      noise: standard deviation before the division.

    Returns:
      A `Dataset` of points: x float32 [N, 2].

    References:
      Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs,
      2017, arXiv:1704.00028.
    """
    noise = _number('noise', noise)
    return points_dataset('swiss_roll_2d', {
        split: {'x': on_grid(_roll(u, noise)[0][:, ::2] / 7.5)}
        for split, u in uniform(6, examples, eval_examples, seed).items()})


# The pinwheel

CELLS = 2**17
"""Most parts of a circle in which `pinwheel_log_p` looks for what fell on it."""
TOGETHER = 256
"""Points that it looks for at once."""


def pinwheel_log_p(x: np.ndarray, arms: int, std: np.ndarray | Sequence[float],
                   rate: float) -> np.ndarray:
    """Exact log density of the pinwheel: see `pinwheel`.

    The turn of a depends on its first coordinate, so it keeps the radius r, but no areas: the
    determinant of x in a is 1 - rate a_2 exp(a_1). What falls on x are the points r (cos b, sin
    b) with b + rate exp(r cos b) + 2 pi k / arms the angle of x. They are all looked for on a
    circle of small parts, then found by bisection; two of one arm in one part, where the arm
    is folded, are missed.

    Args:
      x: [N, 2].
      arms, std, rate: see `pinwheel`.

    Returns:
      float64 [N], nats.

    Raises:
      UserError: the arms are wound up too tightly.

    >>> at = pinwheel_log_p(np.array([[1., 0.]]), 1, (1., 1.), 0.)     # no turn: a Gaussian
    >>> float(at[0].round(6))                                          # -log 2 pi
    -1.837877
    """
    z = np.asarray(x, np.float64) @ [1, 1j]
    radius, angle = np.abs(z), np.angle(z)
    total = np.full(len(z), -np.inf)
    for rows in np.array_split(np.argsort(radius), math.ceil(len(z) / TOGETHER)):
        border = _parts(float(radius[rows[-1]]), rate)
        turned = _bent(radius[rows, None], border, rate)
        for k in range(arms):
            missing = angle[rows] - 2 * np.pi * k / arms
            turns = np.floor((turned - missing[:, None]) / (2 * np.pi))
            at, part = np.nonzero(np.diff(turns))
            target = missing[at] + 2 * np.pi * np.maximum(turns[at, part], turns[at, part + 1])
            b = _solved(radius[rows][at], target, border[part], border[part + 1], rate)
            a_1, a_2 = radius[rows][at] * np.cos(b), radius[rows][at] * np.sin(b)
            each = -(((a_1 - 1) / std[0])**2 + (a_2 / std[1])**2) / 2
            each = each - np.log(np.abs(1 - rate * a_2 * np.exp(a_1)))
            np.logaddexp.at(total, rows[at], each)
    return total - math.log(2 * math.pi * std[0] * std[1] * arms)


def _parts(radius: float, rate: float) -> np.ndarray:
    """Borders of parts of a circle that turn by a quarter of 1 at most from end to end."""
    slope = 1 + rate * radius * math.exp(min(radius, 100.))
    if 25 * slope > CELLS:
        raise UserError(f'rate={rate:g}: arms are wound up too tightly where they are '
                        f'{radius:.3g} from the center; lower rate or the standard deviations')
    return np.linspace(-np.pi, np.pi, math.ceil(25 * slope) + 1)


def _bent(radius: np.ndarray, b: np.ndarray, rate: float) -> np.ndarray:
    """Where angles b on circles come to by the turn, arm 0."""
    return b + rate * np.exp(radius * np.cos(b))


def _solved(radius: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray,
            rate: float) -> np.ndarray:
    """The b between low and high with `_bent` of b the target, by bisection."""
    rising = _bent(radius, high, rate) > _bent(radius, low, rate)
    for _ in range(50):
        middle = (low + high) / 2
        below = (_bent(radius, middle, rate) < target) == rising
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def pinwheel(data_dir: Folder = None, cache_dir: Folder = None, arms: int = 4,
             std: Sequence[float] = (.3, .05), rate: float = .25, examples: int = 10_000,
             eval_examples: int = 10_000, seed: int = 0) -> Dataset:
    """A pinwheel: a Gaussian long in one direction, turned into as many bent arms.

    a ~ N((1, 0), diag(std^2)) is turned by 2 pi k / arms + rate exp(a_1), counterclockwise.

    Args:
      data_dir, cache_dir: not needed.
      arms: how many, equally likely.
      std: standard deviations along and across an arm.
      rate: by how much an arm bends; 0 leaves it straight.
      examples, eval_examples: as in `gaussians25`.
      seed: of the draw. Splits have streams of their own.

    Returns:
      A `Dataset` of points: x float32 [N, 2], label int32 [N] (the arm k), log_p float32 [N]
      (exact log density, nats).

    References:
      Johnson, Duvenaud, Wiltschko, Datta, Adams, Composing Graphical Models with Neural
      Networks for Structured Representations and Fast Inference, 2016, arXiv:1603.06277.
      Mathieu, Rainforth, Siddharth, Yee Whye Teh, Disentangling Disentanglement in
      Variational Autoencoders, 2019, arXiv:1812.02833 (as clustered data).
    """
    arms, rate = whole('arms', arms, 1), _number('rate', rate)
    spread = np.array([_number('std', s) for s in np.atleast_1d(std)])
    if spread.shape != (2,) or not spread.all():
        raise UserError(f'std={std!r}: two numbers above 0 are wanted, along and across an arm')
    splits = {}
    for split, u in uniform(3, examples, eval_examples, seed).items():
        label = (u[:, 0] * arms).astype(np.int32)
        a = np.array([1., 0.]) + spread * normal(u[:, 1:])
        z = a @ [1, 1j] * np.exp(1j * (2 * np.pi * label / arms + rate * np.exp(a[:, 0])))
        x = on_grid(np.stack([np.real(z), np.imag(z)], 1))
        density = pinwheel_log_p(x, arms, spread, rate).astype(np.float32)
        splits[split] = {'x': x, 'label': label, 'log_p': density}
    columns = {'label': schema.label(arms), 'log_p': schema.Field('real', derived=True)}
    return points_dataset('pinwheel', splits, columns)
