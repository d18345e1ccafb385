"""How few dimensions of codes are on: of every class, and by what a row asks of its prior."""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaebench.report.figures import style
from vaebench.report.figures.canvas import (
    EDGE,
    HEAD,
    Title,
    axes_at,
    draw_heading,
    pixel_figure,
)
from vaebench.report.figures.cells import Cell
from vaebench.report.figures.class_density import class_labels
from vaebench.report.figures.style import LegendEntry, RenderedFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS = 64        # most that are drawn, those with the largest codes
TALL, WIDE = 30, 16    # pixels of a class and of a dimension
NUMBERS = 'gamma', 'alpha'
"""Share of the dimensions that the prior has off, and the weight of the aggregate's
divergence."""


def activation(arrays: Mapping[str, np.ndarray], title: Title) -> 'Figure | None':
    """Draws the mean size of posterior means, |z|, for every class and dimension.

    References:
      Mathieu et al., "Disentangling Disentanglement in Variational Autoencoders", 2019,
      arXiv:1812.02833: its figure of latent magnitudes.
    """
    label = class_labels(arrays)
    if label is None or arrays['codes'].shape[1] < 3:
        return None
    size, kinds = np.abs(np.asarray(arrays['codes'], np.float64)), np.unique(label)
    kept = np.sort(np.argsort(-size.mean(0), kind='stable')[:DIMENSIONS])
    means = np.stack([size[label == kind][:, kept].mean(0) for kind in kinds])
    width, height = max(WIDE * len(kept), 480), TALL * len(kinds)
    fig = pixel_figure(width + 2 * EDGE + 170, HEAD + height + 80)
    axes = axes_at(fig, (EDGE + 60, HEAD, width, height))
    marks = axes.imshow(means, cmap='Blues', vmin=0, vmax=max(means.max(), 1e-6), aspect='auto',
                        interpolation='nearest')
    step = -(-len(kept) // 16)
    axes.set_xticks(range(0, len(kept), step), [f'{d + 1}' for d in kept[::step]])
    axes.set_yticks(range(len(kinds)), [f'{kind}' for kind in kinds])
    axes.set_xlabel('dimension of the code', fontsize=7.5, labelpad=2)
    axes.set_ylabel('label', fontsize=7.5, labelpad=2)
    beside = axes_at(fig, (EDGE + 60 + width + 20, HEAD, 20, height))
    fig.colorbar(marks, cax=beside)
    beside.tick_params(labelsize=6)
    of = arrays['codes'].shape[1]
    few = f', the {DIMENSIONS} largest of {of} dimensions' if of > DIMENSIONS else ''
    draw_heading(fig, title, f'Mean |z| of posterior means, by label{few}')
    return fig


def render(cells: Sequence[Cell]) -> RenderedFigure | None:
    """Renders the sparsity of rows that say how sparse their prior is, a point for each seed.

    Returns:
      A `RenderedFigure`, or None where fewer than two such rows have their sparsity measured.
    """
    found = sorted((*(float(cell.hp[n]) for n in NUMBERS), cell.values['hoyer'], cell.row,
                    cell.seed) for cell in cells
                   if set(NUMBERS) <= set(cell.hp) and 'hoyer' in cell.values)
    if len({point[:2] for point in found}) < 2:
        return None
    title = f'{cells[0].title} – sparsity of the codes'
    shares = sorted({gamma for gamma, *_ in found})
    legend = [LegendEntry(i, f'{gamma:g} of the dimensions off in the prior', 'full')
              for i, gamma in enumerate(shares, 1)]
    with style.context():
        fig, axes = style.page_with_legend(
            title, 'A point for each seed, lines through their means', legend, False,
            ("alpha: weight of the aggregate's divergence from the prior",
             'Hoyer sparsity of posterior means'))
        for number, gamma in enumerate(shares, 1):
            own = np.array([(alpha, y) for g, alpha, y, *_ in found if g == gamma])
            at = np.unique(own[:, 0])
            axes.plot(at, [own[own[:, 0] == a, 1].mean() for a in at], lw=1.,
                      color=style.color_and_marker(number)[0])
            for alpha, y in own:
                style.draw_marker(axes, alpha, y, number)
        files = style.encode_all(fig, (*NUMBERS, 'hoyer', 'row', 'seed'), found)
    low, high = (f(y for *_, y, _, _ in found) for f in (min, max))
    alt = (f'{cells[0].title}. Hoyer sparsity of posterior means against alpha, a line for '
           f'each of {len(shares)} shares of dimensions that are off; from {low:.2f} to '
           f'{high:.2f}.')
    return RenderedFigure('sparsity', title, alt, files)
