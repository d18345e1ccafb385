"""The two parts of codes that hold style and content, in the plane."""
from collections.abc import Mapping
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
from vaebench.report.figures.scatter import embed_in_plane
from vaebench.report.figures.style import color_and_marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = 'style', 'content'
SIDE = 480             # pixels of a panel


def told(numbers: np.ndarray | None) -> str:
    """Says what was measured of a part: probe accuracy in percent, silhouette; '' for nothing.

    >>> told(np.array([98.25, .5])), told(np.array([60., np.nan])), told(None)
    (': probe 98.2%, silhouette 0.50', ': probe 60.0%', '')
    """
    if numbers is None or not np.isfinite(numbers).any():
        return ''
    forms = 'probe {:.1f}%', 'silhouette {:.2f}'
    return ': ' + ', '.join(form.format(x) for form, x in zip(forms, numbers, strict=True)
                            if np.isfinite(x))


def style_and_content(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws t-SNE maps of both parts of a code, colored by label: a picture proves nothing, so
    that what probe and silhouette say stands above each.

    Args:
      arrays: 'spaces/style' [N, S], 'spaces/content' [N, C], or one of them; 'spaces/label'
        [N]; perhaps 'spaces/style_told' and 'spaces/content_told', see `told`.
      title: see `canvas.draw_heading`.
    """
    shown = [part for part in PARTS if f'spaces/{part}' in arrays]
    if not shown or 'spaces/label' not in arrays:
        return None
    label, step = arrays['spaces/label'], SIDE + 60
    fig = pixel_figure(max(step * len(shown), 700) + 2 * EDGE + 40, HEAD + 30 + SIDE + 60)
    mapped = False
    for i, part in enumerate(shown):
        rows, at, of_tsne = embed_in_plane(arrays[f'spaces/{part}'])
        mapped |= of_tsne
        axes = axes_at(fig, (EDGE + 40 + i * step, HEAD + 30, SIDE, SIDE), data_limits(at))
        _draw(axes, at, label[rows])
        text_at(fig, EDGE + 40 + i * step, HEAD + 12,
                f'{part}{told(arrays.get(f"spaces/{part}_told"))}', fontsize=8.5)
    draw_heading(fig, title, f'Parts of {len(label):,} evaluated codes'
                 f'{", mapped by t-SNE" * mapped}, coloured by label')
    return fig


def _draw(axes: 'Axes', at: np.ndarray, label: np.ndarray) -> None:
    for i, kind in enumerate(np.unique(label)):
        color, marker = color_and_marker(i + 1)
        own = label == kind
        axes.plot(*at[own].T, marker, color=color, ms=2.6, mew=0, alpha=.7, ls='none',
                  label=str(kind))
    axes.legend(fontsize=6, loc='best', markerscale=2, frameon=False)
    axes.tick_params(labelsize=6)
