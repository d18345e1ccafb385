"""The aggregate posterior of codes in the plane, colored by class."""
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.aggregate_posterior import posterior_mixture
from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    Title,
    axes_at,
    draw_heading,
    pixel_figure,
    text_at,
)
from vaebench.report.figures.style import color_and_marker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 640             # pixels of the plane
CLASSES = 20           # most that are drawn


def class_labels(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Returns the labels [N] of finite codes [N, Z], None where these have none, or too many
    kinds.
    """
    codes, label = arrays.get('codes'), arrays.get('label')
    if codes is None or label is None or codes.ndim != 2 or len(label) != len(codes):
        return None
    few = label.dtype.kind in 'iu' and 0 < len(np.unique(label)) <= CLASSES
    return label if few and np.isfinite(codes).all() else None


def shares(grid: np.ndarray, means: np.ndarray, scales: np.ndarray,
           label: np.ndarray) -> np.ndarray:
    """Returns the part of every class in the density of a mixture in the plane.

    Args:
      grid: places on both axes, [2, T].
      means, scales: of the equally weighted Gaussians, [N, 2].
      label: [N].

    Returns:
      [K, T, T], the first axis after the class that of z2; their sum is the density.

    >>> one = np.zeros((1, 2)), np.ones((1, 2)), np.zeros(1, int)
    >>> shares(np.zeros((2, 1)), *one).round(6).ravel().tolist()
    [0.159155]
    """
    def along(d, own):
        scale = scales[own, d, None]
        return np.exp(-.5 * ((grid[d] - means[own, d, None]) / scale)**2) / scale

    every = (label == kind for kind in np.unique(label))
    out = np.stack([along(1, own).T @ along(0, own) for own in every])
    return out / (2 * np.pi * len(means))


def class_density(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws the density of the aggregate posterior of two dimensions, and whose it is.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833: its figure of clustered priors.
    """
    from matplotlib.colors import to_rgb
    label = class_labels(arrays)
    if label is None or arrays['codes'].shape[1] != 2:
        return None
    means, scales, what = posterior_mixture(arrays)
    if len(means) != len(label):
        return None
    reach = 3 * np.median(scales, 0)
    limits = np.stack([np.quantile(means, .005, axis=0) - reach,
                       np.quantile(means, .995, axis=0) + reach], 1)
    grid = np.linspace(limits[:, 0], limits[:, 1], SIZE // 2, axis=1)
    # a narrower peak would fall between two pixels
    scales = np.maximum(np.broadcast_to(scales, means.shape), grid[:, 1] - grid[:, 0])
    each = shares(grid, means, scales, label)
    total = each.sum(0)
    # half of the mass is where it is densest, in full color
    ranked = np.sort(total, axis=None)
    full = ranked[np.searchsorted(np.cumsum(ranked), ranked.sum() / 2)]
    shade = each / np.maximum(total, 1e-300) * np.sqrt(np.minimum(total / full, 1))
    colors = [color_and_marker(i + 1)[0] for i in range(len(each))]
    missing = 1 - np.array([to_rgb(color) for color in colors])
    fig = pixel_figure(SIZE + 2 * EDGE + 160, HEAD + SIZE + 70)
    axes = axes_at(fig, (EDGE + 60, HEAD, SIZE, SIZE), limits)
    axes.imshow(np.clip(1 - np.einsum('kyx,kc->yxc', shade, missing), 0, 1), origin='lower',
                extent=(*limits[0], *limits[1]), aspect='auto')
    axes.set_xlabel('z1', fontsize=7.5, labelpad=2)
    axes.set_ylabel('z2', fontsize=7.5, labelpad=2)
    for i, (kind, color) in enumerate(zip(np.unique(label), colors, strict=True)):
        text_at(fig, EDGE + SIZE + 76, HEAD + 14 + 26 * i, f'{kind}', color=color,
                weight='bold')
    draw_heading(fig, title, f'Aggregated posterior, coloured by label: {what}')
    return fig
