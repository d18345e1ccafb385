"""Scatter plots of points, and of codes in the plane."""
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    Title,
    axes_at,
    data_limits,
    draw_heading,
    pixel_figure,
    text_at,
)
from vaebench.report.figures.labels import PIXELS, place_labels, to_pixels
from vaebench.report.figures.style import BLACK, BLUE, GREEN, color_and_marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arrays = Mapping[str, np.ndarray]

MAX_EMBEDDED = 1000            # codes in a t-SNE
LABELS = 'label', 'arclength'  # arrays that may color codes


# Points.

def projector(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Returns how points are shown.

    Two and three dimensions are shown as they are, more by the principal axes of the data, and
    a single one beside a second that is drawn at random.

    Args:
      x: the data, [N, D].

    Returns:
      A function [M, D] -> [M, 2 or 3].
    """
    if x.shape[1] == 1:
        return lambda y: np.column_stack(
            [y, np.random.default_rng(0).uniform(-1, 1, len(y))])
    if x.shape[1] <= 3:
        return lambda y: y
    mean = x.mean(0)
    axes = np.linalg.svd(x - mean, full_matrices=False)[2][:2]
    # The signs of principal axes are arbitrary.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    return lambda y: (y - mean) @ axes.T


def draw_points(axes: 'Axes', x: np.ndarray, limits: np.ndarray, color: str,
                size: float = 3.) -> int:
    """Draws the points [N, D] inside of limits [D, 2], and returns how many are outside."""
    inside = (np.isfinite(x) & (x >= limits[:, 0]) & (x <= limits[:, 1])).all(-1)
    axes.plot(*x[inside].T, 'o', color=color, ms=size ** .5, mew=0, alpha=.5, ls='none')
    return int((~inside).sum())


def data_and_samples(arrays: Arrays, title: Title) -> 'Figure | None':
    """Draws data, samples and reconstructions of points beside each other on equal axes."""
    real = arrays.get('real/x')
    if real is None or real.ndim != 2:
        return None
    shown = [(k, text, color) for k, text, color in (
        ('real/x', 'data', BLACK), ('sample/x', 'samples', BLUE),
        ('decoded/x', 'reconstructions', GREEN)) if k in arrays]
    if len(shown) < 2:
        return None
    view = projector(np.asarray(real, np.float64))
    limits, size = data_limits(view(np.asarray(real, np.float64))), 480
    step = size + 70
    fig = pixel_figure(step * len(shown) + 2 * EDGE, HEAD + 30 + size + 50)
    for i, (key, text, color) in enumerate(shown):
        axes = axes_at(fig, (EDGE + 50 + i * step, HEAD + 30, size, size), limits)
        lost = draw_points(axes, view(np.asarray(arrays[key], np.float64)), limits, color, 6.)
        outside = f'; {lost:,} of them outside' if lost else ''
        text_at(fig, EDGE + 50 + i * step, HEAD + 12, f'{text} ({len(arrays[key]):,}{outside})',
                color=color, fontsize=8.5)
    how = ' by the principal axes of the data' if real.shape[1] > 3 else ''
    draw_heading(fig, title, f'Data and model{how}, same axes')
    return fig


def decoded_lines(arrays: Arrays, x: np.ndarray, title: Title, caption: str,
                  labels: Sequence[str] = ()) -> 'Figure | None':
    """Draws lines of decoded codes over the data, where the data are points.

    Args:
      arrays: of a run, with 'real/x'.
      x: P lines of T points, [P, T, D].
      title, caption: see `canvas.draw_heading`.
      labels: of the lines, or ().
    """
    real = arrays.get('real/x')
    if real is None or real.ndim != 2:
        return None
    view, size = projector(np.asarray(real, np.float64)), 600
    data = view(np.asarray(real, np.float64))
    flat = view(np.asarray(x, np.float64).reshape(-1, x.shape[-1]))
    limits = data_limits(np.concatenate([data, flat[np.isfinite(flat).all(-1)]]))
    fig = pixel_figure(size + 2 * EDGE + 50 + (220 if labels else 0), HEAD + size + 50)
    axes = axes_at(fig, (EDGE + 50, HEAD, size, size), limits)
    draw_points(axes, data, limits, '#c0c0c0')
    for i, line in enumerate(flat.reshape(*x.shape[:2], -1)):
        color, marker = color_and_marker(i + 2)
        axes.plot(*line.T, color=color, lw=1.2, marker='o', ms=2)
        axes.plot(*line[:1].T, color=color, marker=marker, ms=5)
        if labels:
            text_at(fig, size + EDGE + 70, HEAD + 20 + 26 * i, labels[i], color=color)
    draw_heading(fig, title, caption)
    return fig


# Codes.

def embed_in_plane(codes: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, bool]:
    """Maps codes to the plane: as they are, or by t-SNE of at most 1,000 of them.

    Args:
      codes: [N, Z]. Those that are not finite are left out.
      seed: of the choice of codes and of t-SNE.

    Returns:
      (numbers of the codes [M], points [M, 2], whether they are of t-SNE).
    """
    rows = np.flatnonzero(np.isfinite(codes).all(1))
    codes = np.asarray(codes, np.float64)
    if codes.shape[1] == 1:
        heights = np.random.default_rng(seed).uniform(-1, 1, len(rows))
        return rows, np.column_stack([codes[rows], heights]), False
    if codes.shape[1] == 2 or len(rows) < 8 or not np.ptp(codes[rows], 0).any():
        return rows, codes[rows][:, :2], False
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_EMBEDDED])
    with threadpool_limits(1):      # so that sums are in one order
        model = TSNE(init='pca', random_state=seed, perplexity=min(30., (len(rows) - 1) / 3))
        return rows, np.asarray(model.fit_transform(codes[rows]), np.float64), True


def latent_codes(arrays: Arrays, title: Title) -> 'Figure | None':
    """Draws evaluated codes, colored by their labels.

    Codes of sentences are drawn only where they have labels.
    """
    codes = arrays.get('codes')
    if codes is None or codes.ndim != 2 or not {'real/x', 'label'} & set(arrays):
        return None
    rows, at, embedded = embed_in_plane(codes)
    if not len(rows):
        return None
    key = next((k for k in LABELS if k in arrays and len(arrays[k]) == len(codes)), None)
    label = arrays[key][rows] if key else np.zeros(len(rows), int)
    discrete = label.dtype.kind != 'f'
    size = 640
    fig = pixel_figure(size + 2 * EDGE + 60 + 110 * (not discrete), HEAD + size + 70)
    axes = axes_at(fig, (EDGE + 60, HEAD, size, size), data_limits(at))
    if discrete:
        _draw_classes(axes, at, label, named=key is not None)
    else:
        marks = axes.scatter(*at.T, c=label, s=6, cmap='viridis', linewidths=0)
        beside = axes_at(fig, (EDGE + 60 + size + 20, HEAD, 20, size))
        fig.colorbar(marks, cax=beside)
        beside.tick_params(labelsize=6)
    width = codes.shape[1]
    names = (('t-SNE 1', 't-SNE 2') if embedded else
             ('z1', 'at random') if width == 1 else ('z1', 'z2'))
    axes.set_xlabel(names[0], fontsize=7.5, labelpad=2)
    axes.set_ylabel(names[1], fontsize=7.5, labelpad=2)
    how = f'{"t-SNE of " * embedded}{len(rows):,} evaluated codes'
    how += '' if embedded or width < 3 else f', two of {width} dimensions'
    how += f', coloured by {key}' if key else ''
    draw_heading(fig, title, how)
    return fig


def _draw_classes(axes, at, label, named):
    """Draws the codes of every class, and its number near their middle."""
    from matplotlib import patheffects
    kinds = np.unique(label)
    for i, kind in enumerate(kinds):
        color, marker = color_and_marker(i + 1)
        axes.plot(*at[label == kind].T, marker, color=color, ms=2.6 if len(at) > 300 else 4.,
                  mew=0, alpha=.7, ls='none')
    if not named:
        return
    middle = to_pixels(axes, [np.median(at[label == kind], 0) for kind in kinds])
    sizes = [(8. * len(str(kind)) + 2., 12.) for kind in kinds]
    box = np.array(axes.bbox.extents) / PIXELS
    centers = place_labels(middle, sizes, box, np.zeros((0, 4)))
    for i, (kind, center) in enumerate(zip(kinds, centers, strict=True)):
        place = axes.transData.inverted().transform(center * PIXELS)
        axes.text(*place, f'{kind}', fontsize=9, weight='bold', ha='center', va='center',
                  color=color_and_marker(i + 1)[0],
                  path_effects=[patheffects.withStroke(linewidth=2.5, foreground='white')])
