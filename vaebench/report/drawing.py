"""What every figure shares: colours and marks, where labels go, a page with its legend, and bytes of a file."""
import contextlib
import csv
import io
import math
from typing import NamedTuple

import numpy as np

FENCE = 3.             # spreads beyond the quartiles where a row counts as far outside
SPREAD = 2.            # least spread of the rows, nats
COLOURS = '#000000', '#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#999999'
"""Okabe and Ito's colours, which colour-blind readers tell apart; yellow is grey here, for it fades on white."""
MARKERS = 'o', 's', '^', 'D', 'v', 'P', 'X', '<', '>', 'p'
DPI, PAGE_DPI = 150, 100
FORMS = 'png', 'svg', 'csv'
COLUMN = 3.1           # inches of a column of the legend
LINE = .18             # inches of its lines
SMALL, LARGE = (7.6, 7.), (10.4, 9.4)      # inches of the plot with its axes; the large one from MANY rows on
MANY = 30
LEFT = .85             # inches left of the axes
WIDEST = 44            # letters of a line of the legend
GREY = '#505050'


class Entry(NamedTuple):
    """A line of a legend."""
    number: int | None     # of the row, None for words alone
    text: str
    mark: str = ''         # '' for none, 'full' or 'hollow'


class Drawn(NamedTuple):
    """A figure as files."""
    name: str              # of the files, without the table
    title: str
    alt: str               # what it shows, for who cannot see it
    files: dict            # {'png': bytes, 'svg': bytes, 'csv': bytes}


def style(number):
    """Colour and marker of a row or a class, from 1."""
    i = number - 1
    return COLOURS[i % len(COLOURS)], MARKERS[i // len(COLOURS) % len(MARKERS)]


def cut(text, letters):
    """The text, shortened to so many letters.

    >>> cut('a long name', 6)
    'a lon…'
    """
    return text if len(text) <= letters else text[:max(letters - 1, 1)] + '…'


def fence(values, least=SPREAD):
    """The interval that holds all but far outliers: FENCE spreads beyond the quartiles.

    Args:
      values: list of numbers; with fewer than four everything is inside.
      least: the least spread, in the values' unit.

    Returns:
      (low, high).

    >>> fence([0., 1., 2., 3., 176.])
    (-5.0, 9.0)
    """
    if len(values) < 4:
        return -math.inf, math.inf
    low, high = np.quantile(values, [.25, .75])
    reach = FENCE * max(high - low, least)
    return float(low - reach), float(high + reach)


def limits(values):
    """Limits of an axis, with a margin."""
    a, b = min(values), max(values)
    margin = max(.06 * (b - a), .25)
    return a - margin, b + margin


def arrange(anchors, sizes, box, obstacles):
    """Where labels go, so that few overlap: each at the free place nearest to its anchor, tried in a fixed order.

    Args:
      anchors: [N, 2] points in pixels.
      sizes: list of N (width, height) in pixels.
      box: (left, bottom, right, top) that labels should stay in.
      obstacles: [M, 4] rectangles (left, bottom, right, top) to keep clear of.

    Returns:
      [N, 2] centres of the labels.

    >>> arrange(np.array([[50., 50.]]), [(10., 10.)], (0, 0, 100, 100), np.zeros((0, 4))).round().tolist()
    [[60.0, 56.0]]
    """
    angles = np.deg2rad(np.array([30, 150, 330, 210, 90, 270, 0, 180, 60, 120, 300, 240]))
    around = np.stack([np.cos(angles), np.sin(angles)], -1).round(9)
    radii = np.array([6., 10., 15., 21., 28., 36., 46., 58., 72., 88., 106.])[:, None, None]
    taken, centres = [tuple(o) for o in obstacles], []
    for anchor, (w, h) in zip(anchors, sizes, strict=True):
        # The label's near edge keeps its distance, however wide it is.
        offset = (radii * around + around * (w / 2, h / 2)).reshape(-1, 2)
        middle = anchor + offset
        rect = np.concatenate([middle - (w / 2, h / 2), middle + (w / 2, h / 2)], -1)
        cost = .05 * np.repeat(radii, len(around))        # in square pixels of overlap
        if taken:
            t = np.array(taken)
            wide = np.minimum(rect[:, None, 2], t[:, 2]) - np.maximum(rect[:, None, 0], t[:, 0])
            tall = np.minimum(rect[:, None, 3], t[:, 3]) - np.maximum(rect[:, None, 1], t[:, 1])
            cost = cost + (np.maximum(wide, 0) * np.maximum(tall, 0)).sum(1)
        out = np.maximum(box[:2] - rect[:, :2], 0) + np.maximum(rect[:, 2:] - box[2:], 0)
        best = int(np.argmin(cost + 10 * out.sum(1)))
        taken.append(tuple(rect[best]))
        centres.append(middle[best])
    return np.array(centres).reshape(-1, 2)


def rectangles(axes, ends, by):
    """Boxes around lines or points of some axes, [M, 4] in the pixels of `arrange`.

    Args:
      axes: matplotlib axes.
      ends: [M, 2, 2] from and to, or [M, 2] points, in the axes' numbers.
      by: pixels that a box reaches beyond.
    """
    at = axes.transData.transform(np.reshape(ends, (-1, 2))) * 100 / DPI
    at = at.reshape(-1, 2, 2) if np.ndim(ends) == 3 else np.stack([at, at], 1)
    return np.concatenate([at.min(1) - by, at.max(1) + by], -1)


def number_points(axes, numbers, at, obstacles=()):
    """Writes numbers of rows beside their points, with a thin line where one is far off.

    Args:
      axes: matplotlib axes whose limits are final.
      numbers: list of N.
      at: [N, 2] points in the axes' numbers.
      obstacles: arrays [M, 4] that `rectangles` made.
    """
    from matplotlib import patheffects
    scale = DPI / 100                                    # `arrange` counts in pixels of 1/100 inch
    anchors = axes.transData.transform(np.reshape(at, (-1, 2))) / scale
    sizes = [(5.2 * len(str(n)) + 1., 8.) for n in numbers]
    blocked = np.concatenate([rectangles(axes, np.reshape(at, (-1, 2)), 3.5), *obstacles])
    for number, point, anchor, centre in zip(
            numbers, at, anchors, arrange(anchors, sizes, np.array(axes.bbox.extents) / scale, blocked), strict=True):
        u, v = axes.transData.inverted().transform(centre * scale)
        if np.hypot(*(centre - anchor)) > 20:
            axes.plot([point[0], u], [point[1], v], color='#b0b0b0', lw=.4, zorder=1.5)
        axes.text(u, v, f'{number}', fontsize=6.5, color=style(number)[0], ha='center', va='center', zorder=4,
                  path_effects=[patheffects.withStroke(linewidth=1.6, foreground='white')])


def grouped(groups):
    """A legend of groups.

    Args:
      groups: list of (heading or '', list of `Entry`); an empty one is left out.

    Returns:
      List of `Entry`.
    """
    out = []
    for title, entries in groups:
        if entries and title:
            out += [Entry(None, ''), Entry(None, title)]
        out += entries
    return out


def mark(axes, x, y, number, hollow=False):
    """The mark of a row at a point."""
    colour, marker = style(number)
    axes.plot([x], [y], marker, ms=5, zorder=3, color=colour, **(
        {'mfc': 'white', 'mew': 1.} if hollow else {'mec': 'white', 'mew': .4}))


def page(title, caption, legend, large, labels, notes=('', '')):
    """A page with one plot and its legend at the side.

    Args:
      title, caption: the lines above the plot.
      legend: list of `Entry`.
      large: whether many rows share the plot.
      labels: of the axes, with units.
      notes: in small letters beside the labels.

    Returns:
      (matplotlib figure, the axes of the plot).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    plot, height = LARGE if large else SMALL
    rows = int((height - .9) / LINE)
    columns = -(-len(legend) // rows)
    width = plot + COLUMN * columns
    fig = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(fig)
    axes = fig.add_axes([LEFT / width, .7 / height, (plot - LEFT - .2) / width, (height - 1.25) / height])
    axes.set_xlabel(labels[0], fontsize=9)
    axes.set_ylabel(labels[1], fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    small = {'fontsize': 6, 'color': GREY, 'ha': 'center', 'va': 'center'}
    fig.text((LEFT + plot - .2) / 2 / width, .13 / height, cut(notes[0], int((plot - 1.) * 20)), **small)
    fig.text(.13 / width, (.15 + height) / 2 / height, cut(notes[1], int((height - 1.) * 20)), rotation=90, **small)
    fig.text(LEFT / width, 1 - .28 / height, cut(title, int(width * 10)), fontsize=10, weight='bold', va='center')
    fig.text(LEFT / width, 1 - .46 / height, cut(caption, int(plot * 17)), fontsize=7.5, color=GREY, va='center')
    beside = fig.add_axes([plot / width, 0, 1 - plot / width, 1])
    beside.set_axis_off()
    beside.set_xlim(0, COLUMN * max(columns, 1))
    beside.set_ylim(0, height)
    for i, entry in enumerate(legend):
        x, y = COLUMN * (i // rows), height - .55 - LINE * (i % rows)
        if entry.number is None:
            beside.text(x + .05, y, entry.text, fontsize=7, style='italic', color=GREY, va='center')
            continue
        if entry.mark:
            mark(beside, x + .38, y, entry.number, entry.mark == 'hollow')
        beside.text(x + .28, y, f'{entry.number}', fontsize=7, color=style(entry.number)[0], ha='right', va='center')
        beside.text(x + .48, y, cut(entry.text, WIDEST), fontsize=7, va='center')
    return fig, axes


@contextlib.contextmanager
def settings():
    """matplotlib's own settings, whatever the user's: what is drawn inside is the same everywhere."""
    import matplotlib
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({'svg.hashsalt': 'vaebench', 'svg.fonttype': 'path', 'text.parse_math': False})
        yield


def encoded(fig, form='png'):
    """A figure as bytes of a file, without date and program.

    Args:
      fig: matplotlib's.
      form: 'png', 'svg', or 'page': a PNG of fewer pixels and 64 colours, a fifth of the size.
    """
    out = io.BytesIO()
    if form == 'page':
        from PIL import Image
        fig.set_dpi(PAGE_DPI)
        fig.canvas.draw()
        picture = Image.fromarray(np.asarray(fig.canvas.buffer_rgba())).convert('RGB')
        picture.quantize(64, dither=Image.Dither.NONE).save(out, 'PNG', optimize=True)
        return out.getvalue()
    metadata = {'Date': None, 'Creator': None} if form == 'svg' else {'Software': None}
    fig.savefig(out, format=form, metadata=metadata, dpi=DPI)
    return out.getvalue()


def files(fig, header, lines, forms=FORMS):
    """A figure and its numbers as bytes: the `forms` of {'png', 'svg', 'csv'}; None is written as nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(header)
    writer.writerows(['' if x is None else x for x in line] for line in lines)
    return {form: out.getvalue().encode() if form == 'csv' else encoded(fig, form) for form in forms}
