"""The density of the aggregate posterior beside the prior's, dimension by dimension."""
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    Title,
    axes_at,
    draw_heading,
    pixel_figure,
    text_at,
)
from vaebench.report.figures.style import BLUE, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_DIMS, GRID = 16, 400       # dimensions that are drawn, and points of a density
MEANS = 'only the mean of each posterior, smoothed'


def mixture_density(grid: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Returns the density of an equal mixture of Gaussians in each dimension.

    Args:
      grid: where, [Z, T].
      means: [N, Z].
      scales: standard deviations, [N, Z] or [1, Z].

    Returns:
      [Z, T].

    >>> mixture_density(np.zeros((1, 1)), np.zeros((2, 1)), np.ones((1, 1))).round(6).tolist()
    [[0.398942]]
    """
    out = np.empty(grid.shape)
    for d, z in enumerate(grid):      # a dimension at a time, to hold only [T, N] in memory
        scale = scales[:, d]
        each = np.exp(-.5 * ((z[:, None] - means[:, d]) / scale)**2)
        out[d] = (each / (math.sqrt(2 * math.pi) * scale)).mean(1)
    return out


def posterior_mixture(arrays: Mapping[str, np.ndarray]
                      ) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns the aggregate posterior as a mixture of Gaussians.

    Where only draws or means of the posteriors are known, Scott's rule smooths them.

    Args:
      arrays: 'codes' [N, Z], the posterior means; perhaps 'codes/scale' [N, Z], standard
        deviations of Gaussian posteriors, or 'codes/draw' [N, Z], a draw from each.

    Returns:
      (means [N, Z], scales [N, Z] or [1, Z], what the mixture is in words).

    References:
      Scott, "Multivariate Density Estimation", 1992: bandwidth N^(-1/5) of the standard
      deviation.
    """
    codes = np.asarray(arrays['codes'], np.float64)
    scale, drawn = (arrays.get(f'codes/{k}') for k in ('scale', 'draw'))
    if scale is not None and scale.shape == codes.shape:
        good = np.isfinite(codes).all(1) & np.isfinite(scale).all(1)
        scales = np.maximum(np.asarray(scale[good], np.float64), 1e-3)
        return codes[good], scales, 'mixture of the Gaussian posteriors'
    full = drawn is not None and drawn.shape == codes.shape
    codes = np.asarray(drawn, np.float64) if full else codes
    codes = codes[np.isfinite(codes).all(1)]
    width = np.ones((1, codes.shape[1]))
    if len(codes) > 1:
        width = codes.std(0, ddof=1, keepdims=True) * len(codes)**-.2
    what = 'one draw of each posterior, smoothed' if full else MEANS
    return codes, np.maximum(width, 1e-3), what


def density_grid(means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Returns points [Z, T] that cover the mixture and N(0, 1) in each dimension."""
    low = np.minimum((means - 5 * scales).min(0), -5.)
    high = np.maximum((means + 5 * scales).max(0), 5.)
    return np.linspace(low, high, GRID, axis=1)


def kl_from_prior(grid: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Returns the KL divergence of the mixture from N(0, 1) in each dimension, in nats, [Z].

    It is integrated over the grid, see `mixture_density`.
    """
    q = mixture_density(grid, means, scales)
    log_p = -.5 * grid**2 - .5 * math.log(2 * math.pi)
    gap = q * (np.log(np.maximum(q, 1e-300)) - log_p)
    return np.trapezoid(np.where(q > 0, gap, 0.), grid, axis=1)


def aggregate_posterior(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws the density of the aggregate posterior and of a standard normal prior.

    There is a panel for each dimension, those with the largest KL first.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization",
      2022: its figures.
    """
    codes = arrays.get('codes')
    if codes is None or codes.ndim != 2 or not codes.shape[1]:
        return None
    means, scales, what = posterior_mixture(arrays)
    if not len(means):
        return None
    grid = density_grid(means, scales)
    # A narrower peak would fall between two points of the grid.
    scales = np.maximum(scales, (grid[:, -1] - grid[:, 0]) / GRID)
    kl = kl_from_prior(grid, means, scales)
    order = np.argsort(-kl, kind='stable')[:MAX_DIMS]
    columns = min(4, len(order))
    fig = pixel_figure(max(340 * columns + 2 * EDGE + 20, 830),
                       HEAD + 30 + 225 * -(-len(order) // columns) + 20)
    few = len(order) < codes.shape[1]
    of = f'{len(order)} of {codes.shape[1]}' if few else f'{codes.shape[1]}'
    draw_heading(fig, title, (f'Aggregated posterior in {of} dimensions: {what}', BLUE))
    text_at(fig, EDGE, HEAD, "Dashed: N(0, 1), whatever the row's prior; dimensions by the KL "
            'of the former from it', color=RED)
    reach = max(4., float(np.quantile(np.abs(means[:, order]), .995)) + 1.)
    x = np.linspace(-reach, reach, GRID)
    scales = np.broadcast_to(scales, (len(scales), codes.shape[1]))[:, order]
    shown = mixture_density(np.broadcast_to(x, (len(order), GRID)), means[:, order], scales)
    kind = ' of means' if what == MEANS else ''
    for i, (d, q) in enumerate(zip(order, shown, strict=True)):
        left, top = EDGE + 50 + 340 * (i % columns), HEAD + 30 + 225 * (i // columns)
        axes = _draw_density(fig, (left, top + 20, 290, 150), x, q)
        text_at(fig, left, top + 6, f'z{d + 1}: KL{kind} {kl[d]:.3g} nats')
        if i % columns == 0:
            axes.set_ylabel('density', fontsize=6.5)
    return fig


def _draw_density(fig, box, x, q):
    """Draws a density q [T] and that of N(0, 1) at x [T] into a box of pixels."""
    axes = axes_at(fig, box, [(x[0], x[-1]), (0, max(q.max(), .4) * 1.08)])
    axes.fill_between(x, q, color=BLUE, alpha=.25, lw=0)
    axes.plot(x, q, color=BLUE, lw=1.1)
    axes.plot(x, np.exp(-.5 * x**2) / math.sqrt(2 * math.pi), '--', color=RED, lw=1.1)
    axes.spines[['top', 'right']].set_visible(False)
    return axes
