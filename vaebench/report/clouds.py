"""Pictures of points and of codes."""
import math

import numpy as np

from vaebench.report import drawing
from vaebench.report.sheets import EDGE, HEAD, axes_in, canvas, heading, limits_of, write_at

MOST = 1000                    # codes in a t-SNE
BLUE, RED, GREEN = drawing.COLOURS[1:4]
DIMS, FINE = 16, 400           # dimensions of the aggregated posterior, and points of its density
MEANS = 'only the mean of each posterior, smoothed'
LABELS = 'label', 'arclength'  # arrays that may colour codes


# Points.

def projection(x):
    """How points are shown: as they are in two or three dimensions, in more by the data's principal axes.

    Args:
      x: [N, D] data.

    Returns:
      [M, D] -> [M, 2 or 3]; a single dimension gets a second one at random.
    """
    if x.shape[1] == 1:
        return lambda y: np.column_stack([y, np.random.default_rng(0).uniform(-1, 1, len(y))])
    if x.shape[1] <= 3:
        return lambda y: y
    mean = x.mean(0)
    axes = np.linalg.svd(x - mean, full_matrices=False)[2][:2]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]      # their signs are arbitrary
    return lambda y: (y - mean) @ axes.T


def _inside(x, limits):
    return (np.isfinite(x) & (x >= limits[:, 0]) & (x <= limits[:, 1])).all(-1)


def cloud(axes, x, limits, colour, size=3.):
    """Draws the points that the axes hold; says how many do not."""
    inside = _inside(x, limits)
    axes.plot(*x[inside].T, 'o', color=colour, ms=size ** .5, mew=0, alpha=.5, ls='none')
    return int((~inside).sum())


def density(arrays, name):
    """Data, samples and reconstructions of points, side by side with the same axes."""
    real = arrays.get('real/x')
    if real is None or real.ndim != 2:
        return None
    shown = [(k, text, colour) for k, text, colour in (
        ('real/x', 'data', '#000000'), ('sample/x', 'samples', BLUE), ('decoded/x', 'reconstructions', GREEN))
        if k in arrays]
    if len(shown) < 2:
        return None
    view = projection(np.float64(real))
    limits, size = limits_of(view(np.float64(real))), 480
    step = size + 70
    fig = canvas(step * len(shown) + 2 * EDGE, HEAD + 30 + size + 50)
    for i, (key, text, colour) in enumerate(shown):
        axes = axes_in(fig, (EDGE + 50 + i * step, HEAD + 30, size, size), limits)
        lost = cloud(axes, view(np.float64(arrays[key])), limits, colour, 6.)
        text += f' ({len(arrays[key]):,}; {lost:,} of them outside)' if lost else f' ({len(arrays[key]):,})'
        write_at(fig, EDGE + 50 + i * step, HEAD + 12, text, color=colour, fontsize=8.5)
    how = ' by the principal axes of the data' if real.shape[1] > 3 else ''
    heading(fig, name, f'Data and model{how}, same axes')
    return fig


def paths(arrays, x, name, caption, labels=()):
    """Lines [P, T, D] of decoded codes over the data."""
    real = arrays.get('real/x')
    if real is None or real.ndim != 2:
        return None
    view, size = projection(np.float64(real)), 600
    data, lines = view(np.float64(real)), view(np.float64(x).reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
    finite = lines.reshape(-1, lines.shape[-1])
    limits = limits_of(np.concatenate([data, finite[np.isfinite(finite).all(-1)]]))
    fig = canvas(size + 2 * EDGE + 50 + (220 if labels else 0), HEAD + size + 50)
    axes = axes_in(fig, (EDGE + 50, HEAD, size, size), limits)
    cloud(axes, data, limits, '#c0c0c0')
    for i, line in enumerate(lines):
        colour, marker = drawing.style(i + 2)
        axes.plot(*line.T, color=colour, lw=1.2, marker='o', ms=2)
        axes.plot(*line[:1].T, color=colour, marker=marker, ms=5)
        if labels:
            write_at(fig, size + EDGE + 70, HEAD + 20 + 26 * i, labels[i], color=colour)
    heading(fig, name, caption)
    return fig


# Codes.

def aggregated(grid, centres, scales):
    """Density of a mixture of Gaussians with equal weights, dimension by dimension.

    Args:
      grid: [Z, T] where.
      centres: [N, Z] means.
      scales: [N, Z] or [1, Z] standard deviations.

    Returns:
      [Z, T].

    >>> aggregated(np.zeros((1, 1)), np.zeros((2, 1)), np.ones((1, 1))).round(6).tolist()
    [[0.398942]]
    """
    out = np.empty(grid.shape)
    for d, z in enumerate(grid):                      # a dimension at a time: [T, N] at most
        scale = scales[:, d]
        out[d] = (np.exp(-.5 * ((z[:, None] - centres[:, d]) / scale)**2) / (math.sqrt(2 * math.pi) * scale)).mean(1)
    return out


def posterior(arrays):
    """The aggregated posterior as a mixture of Gaussians, as well as the arrays tell it.

    Args:
      arrays: with 'codes' [N, Z], the posterior means; 'codes/scale' [N, Z], standard deviations of Gaussian
        posteriors, or 'codes/draw' [N, Z], one draw of each.

    Returns:
      (centres [N, Z], scales [N, Z] or [1, Z], what it is); draws and means alone are smoothed by Scott's rule.

    References:
      Scott, "Multivariate Density Estimation", 1992: bandwidth N^(-1/5) of the standard deviation.
    """
    codes = np.float64(arrays['codes'])
    scale, drawn = (arrays.get(f'codes/{k}') for k in ('scale', 'draw'))
    if scale is not None and scale.shape == codes.shape:
        good = np.isfinite(codes).all(1) & np.isfinite(scale).all(1)
        return codes[good], np.maximum(np.float64(scale[good]), 1e-3), 'mixture of the Gaussian posteriors'
    full = drawn is not None and drawn.shape == codes.shape
    codes = np.float64(drawn) if full else codes
    codes = codes[np.isfinite(codes).all(1)]
    width = np.ones((1, codes.shape[1]))
    if len(codes) > 1:
        width = codes.std(0, ddof=1, keepdims=True) * len(codes)**-.2
    return codes, np.maximum(width, 1e-3), 'one draw of each posterior, smoothed' if full else MEANS


def aggregate(arrays, name):
    """Density of the aggregated posterior and of a standard normal prior in every dimension, by their KL.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization", 2022: its figures.
    """
    codes = arrays.get('codes')
    if codes is None or codes.ndim != 2 or not codes.shape[1]:
        return None
    centres, scales, what = posterior(arrays)
    if not len(centres):
        return None
    low = np.minimum((centres - 5 * scales).min(0), -5.)
    high = np.maximum((centres + 5 * scales).max(0), 5.)
    scales = np.maximum(scales, (high - low) / FINE)  # a peak between two points of the grid would be lost
    grid = np.linspace(low, high, FINE, axis=1)
    q = aggregated(grid, centres, scales)
    log_p = -.5 * grid**2 - .5 * math.log(2 * math.pi)
    gap = np.trapezoid(np.where(q > 0, q * (np.log(np.maximum(q, 1e-300)) - log_p), 0.), grid, axis=1)
    order = np.argsort(-gap, kind='stable')[:DIMS]
    columns, kind = min(4, len(order)), ' of means' if what == MEANS else ''
    width, height, across, down = 290, 150, 340, 225
    reach = max(4., float(np.quantile(np.abs(centres[:, order]), .995)) + 1.)
    fig = canvas(max(across * columns + 2 * EDGE + 20, 830), HEAD + 30 + down * -(-len(order) // columns) + 20)
    x = np.linspace(-reach, reach, FINE)
    shown = aggregated(np.broadcast_to(x, (len(order), FINE)), centres[:, order],
                       np.broadcast_to(scales, (len(scales), codes.shape[1]))[:, order])
    of = f'{len(order)} of {codes.shape[1]}' if len(order) < codes.shape[1] else f'{codes.shape[1]}'
    heading(fig, name, (f'Aggregated posterior in {of} dimensions: {what}', BLUE))
    write_at(fig, EDGE, HEAD, "Dashed: N(0, 1), whatever the row's prior; dimensions by the KL of the former from it",
             color=RED)
    for i, (d, line) in enumerate(zip(order, shown, strict=True)):
        left, top = EDGE + 50 + across * (i % columns), HEAD + 30 + down * (i // columns)
        axes = axes_in(fig, (left, top + 20, width, height), [(-reach, reach), (0, max(line.max(), .4) * 1.08)])
        axes.fill_between(x, line, color=BLUE, alpha=.25, lw=0)
        axes.plot(x, line, color=BLUE, lw=1.1)
        axes.plot(x, np.exp(-.5 * x**2) / math.sqrt(2 * math.pi), '--', color=RED, lw=1.1)
        for side in ('top', 'right'):
            axes.spines[side].set_visible(False)
        write_at(fig, left, top + 6, f'z{d + 1}: KL{kind} {gap[d]:.3g} nats')
        if i % columns == 0:
            axes.set_ylabel('density', fontsize=6.5)
    return fig


def flattened(codes, seed=0):
    """Codes in the plane: as they are, or by t-SNE of at most 1,000 of them.

    Args:
      codes: [N, Z].
      seed: of the choice and of t-SNE.

    Returns:
      (rows int [M], [M, 2], whether it is t-SNE); codes that are not finite are left out.
    """
    rows = np.flatnonzero(np.isfinite(codes).all(1))
    codes = np.float64(codes)
    if codes.shape[1] == 1:
        return rows, np.column_stack([codes[rows], np.random.default_rng(seed).uniform(-1, 1, len(rows))]), False
    if codes.shape[1] == 2 or len(rows) < 8 or not np.ptp(codes[rows], 0).any():
        return rows, codes[rows][:, :2], False
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    with threadpool_limits(1):                        # sums in one order
        model = TSNE(init='pca', random_state=seed, perplexity=min(30., (len(rows) - 1) / 3))
        return rows, np.float64(model.fit_transform(codes[rows])), True


def latent(arrays, name):
    """Codes of the test split, coloured by their labels; of sentences only where they have labels."""
    codes = arrays.get('codes')
    if codes is None or codes.ndim != 2 or not {'real/x', 'label'} & set(arrays):
        return None
    rows, at, embedded = flattened(codes)
    if not len(rows):
        return None
    key = next((k for k in LABELS if k in arrays and len(arrays[k]) == len(codes)), None)
    label = arrays[key][rows] if key else np.zeros(len(rows), int)
    discrete = label.dtype.kind != 'f'
    size, limits = 640, limits_of(at)
    fig = canvas(size + 2 * EDGE + 60 + 110 * (not discrete), HEAD + size + 70)
    axes = axes_in(fig, (EDGE + 60, HEAD, size, size), limits)
    if discrete:
        _classes(axes, at, label, named=key is not None)
    else:
        marks = axes.scatter(*at.T, c=label, s=6, cmap='viridis', linewidths=0)
        beside = axes_in(fig, (EDGE + 60 + size + 20, HEAD, 20, size))
        fig.colorbar(marks, cax=beside)
        beside.tick_params(labelsize=6)
    width = codes.shape[1]
    names = ('t-SNE 1', 't-SNE 2') if embedded else ('z1', 'at random') if width == 1 else ('z1', 'z2')
    axes.set_xlabel(names[0], fontsize=7.5, labelpad=2)
    axes.set_ylabel(names[1], fontsize=7.5, labelpad=2)
    how = f't-SNE of {len(rows):,} codes' if embedded else f'{len(rows):,} codes'
    how += '' if embedded or width < 3 else f', two of {width} dimensions'
    heading(fig, name, f'{how} of the test split' + (f', coloured by {key}' if key else ''))
    return fig


def _classes(axes, at, label, named):
    """Marks of every class, and its number near the middle of its codes."""
    from matplotlib import patheffects
    kinds, scale = np.unique(label), drawing.DPI / 100
    for i, kind in enumerate(kinds):
        colour, marker = drawing.style(i + 1)
        size = 2.6 if len(at) > 300 else 4.
        axes.plot(*at[label == kind].T, marker, color=colour, ms=size, mew=0, alpha=.7, ls='none')
    if not named:
        return
    middle = axes.transData.transform([np.median(at[label == kind], 0) for kind in kinds]) / scale
    sizes = [(8. * len(str(kind)) + 2., 12.) for kind in kinds]
    box = np.array(axes.bbox.extents) / scale
    for i, (kind, centre) in enumerate(zip(kinds, drawing.arrange(middle, sizes, box, np.zeros((0, 4))), strict=True)):
        place = axes.transData.inverted().transform(centre * scale)
        axes.text(*place, f'{kind}', fontsize=9, weight='bold', color=drawing.style(i + 1)[0], ha='center',
                  va='center', path_effects=[patheffects.withStroke(linewidth=2.5, foreground='white')])
