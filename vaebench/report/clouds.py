"""Pictures of points and of codes."""
import numpy as np

from vaebench.report import figures
from vaebench.report.sheets import EDGE, HEAD, axes_in, canvas, heading, limits_of, write_at

MOST = 1000                    # codes in a t-SNE
BLUE, GREEN = figures.COLOURS[1], figures.COLOURS[3]
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
        colour, marker = figures._style(i + 2)
        axes.plot(*line.T, color=colour, lw=1.2, marker='o', ms=2)
        axes.plot(*line[:1].T, color=colour, marker=marker, ms=5)
        if labels:
            write_at(fig, size + EDGE + 70, HEAD + 20 + 26 * i, labels[i], color=colour)
    heading(fig, name, caption)
    return fig


# Codes.

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
    """Codes of the test split, coloured by their labels."""
    codes = arrays.get('codes')
    if codes is None or codes.ndim != 2 or 'real/x' not in arrays:
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
    kinds, scale = np.unique(label), figures.DPI / 100
    for i, kind in enumerate(kinds):
        colour, marker = figures._style(i + 1)
        size = 2.6 if len(at) > 300 else 4.
        axes.plot(*at[label == kind].T, marker, color=colour, ms=size, mew=0, alpha=.7, ls='none')
    if not named:
        return
    middle = axes.transData.transform([np.median(at[label == kind], 0) for kind in kinds]) / scale
    sizes = [(8. * len(str(kind)) + 2., 12.) for kind in kinds]
    box = np.array(axes.bbox.extents) / scale
    for i, (kind, centre) in enumerate(zip(kinds, figures.arrange(middle, sizes, box, np.zeros((0, 4))), strict=True)):
        place = axes.transData.inverted().transform(centre * scale)
        axes.text(*place, f'{kind}', fontsize=9, weight='bold', color=figures._style(i + 1)[0], ha='center',
                  va='center', path_effects=[patheffects.withStroke(linewidth=2.5, foreground='white')])
