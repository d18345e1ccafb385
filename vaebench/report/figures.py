"""The rate-distortion figure of a table, and its numbers as CSV: from result files, byte for byte the same."""
import contextlib
import csv
import io
import math
import pathlib
from typing import NamedTuple

import numpy as np

from vaebench import results
from vaebench.errors import UserError

FENCE = 3.             # spreads beyond the quartiles where a row counts as far outside
SPREAD = 2.            # nats: least spread of the rows
SLACK = 0.05           # nats by which a row's bound may miss Rec + KL
COLOURS = '#000000', '#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#999999'
"""Okabe and Ito's colours, which colour-blind readers tell apart; yellow is grey here, for it fades on white."""
MARKERS = 'o', 's', '^', 'D', 'v', 'P', 'X', '<', '>', 'p'
DPI = 150
COLUMN = 3.1           # inches of a column of the legend
LINE = .18             # inches of its lines
SMALL, LARGE = (7.6, 7.), (10.4, 9.4)      # inches of the plot with its axes; the large one from MANY rows on
MANY = 30
WIDEST = 44            # letters of a line of the legend
HEADER = ('table', 'number', 'row', 'label', 'seeds', 'kl', 'kl_low', 'kl_high', 'rec', 'rec_low', 'rec_high', 'elbo',
          'place')


class Point(NamedTuple):
    """One row of a table."""
    number: int                 # from 1, in the table's order
    row: str
    label: str
    seeds: int
    kl: object                  # `statistics.Summary` in nats, or None
    rec: object
    elbo: float | None          # the row's own bound, mean over seeds
    place: str                  # 'inside', 'outside' the axes, 'line' (a bound without a rate) or 'missing'

    @property
    def extra(self):
        """Whether the row's bound is not Rec + KL."""
        return bool(self.kl and self.rec and self.elbo is not None
                    and abs(self.elbo - self.kl.mean - self.rec.mean) > SLACK)


def fence(values):
    """The interval that holds all but far outliers: FENCE spreads beyond the quartiles, a spread being at least SPREAD.

    Args:
      values: list of numbers; with fewer than four everything is inside.

    Returns:
      (low, high).

    >>> fence([0., 1., 2., 3., 176.])
    (-5.0, 9.0)
    """
    if len(values) < 4:
        return -math.inf, math.inf
    low, high = np.quantile(values, [.25, .75])
    reach = FENCE * max(high - low, SPREAD)
    return float(low - reach), float(high + reach)


def points(table):
    """The rows of a table as points.

    Args:
      table: a `tables.Table`.

    Returns:
      List of `Point`, one a row, in the table's order.
    """
    found = []
    for number, row in enumerate(table.rows, 1):
        kl, rec, elbo = (row.cells[m].summary if m in row.cells else None for m in ('kl', 'rec', 'elbo'))
        finite = all(s is None or math.isfinite(s.mean) for s in (kl, rec))
        place = 'inside' if kl and rec and finite else 'line' if elbo and not kl and not rec else 'missing'
        seeds = max((s.n for s in (kl, rec, elbo) if s), default=0)
        found.append(Point(number, row.row, row.label, seeds, kl, rec, elbo.mean if elbo else None, place))
    drawn = [p for p in found if p.place == 'inside']
    rates, distortions = fence([p.kl.mean for p in drawn]), fence([p.rec.mean for p in drawn])
    return [p._replace(place='outside') if p.place == 'inside' and not (
        rates[0] <= p.kl.mean <= rates[1] and distortions[0] <= p.rec.mean <= distortions[1]) else p for p in found]


def comma_separated(table, found):
    """The figure's numbers: one line a row, in full."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator='\n')
    lines.writerow(HEADER)
    for p in found:
        sides = [x for s in (p.kl, p.rec) for x in ((s.mean, s.low, s.high) if s else (None,) * 3)]
        lines.writerow(['' if x is None else x for x in (table.table, p.number, p.row, p.label, p.seeds, *sides, p.elbo,
                                                         p.place)])
    return out.getvalue()


def _style(number):
    """Colour and marker of a row or a class, from 1."""
    i = number - 1
    return COLOURS[i % len(COLOURS)], MARKERS[i // len(COLOURS) % len(MARKERS)]


def _limits(values):
    """Axis limits with a margin."""
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


def _bounds(axes, xlim, ylim, levels):
    """Grey lines of equal bound, each with its value."""
    reach = (xlim[1] - xlim[0]) / (ylim[1] - ylim[0])
    for level in levels:
        axes.plot(xlim, [level - xlim[0], level - xlim[1]], color='#d0d0d0', lw=.7, zorder=0)
        x = min(xlim[1], level - ylim[0]) - .015 * (xlim[1] - xlim[0])
        y = level - x
        if ylim[0] < y < ylim[1] and x > xlim[0] + .04 * (xlim[1] - xlim[0]):
            angle = -math.degrees(math.atan(reach * axes.bbox.height / axes.bbox.width))
            axes.text(x, y, f'{level:g}', color='#909090', fontsize=6, rotation=angle, rotation_mode='anchor',
                      ha='right', va='bottom', zorder=0)


def _bars(axes, inside):
    """Rectangles of the error bars, [M, 4] pixels."""
    ends = [((s.kl.low, s.rec.mean), (s.kl.high, s.rec.mean)) for s in inside if s.kl.n > 1]
    ends += [((s.kl.mean, s.rec.low), (s.kl.mean, s.rec.high)) for s in inside if s.rec.n > 1]
    return axes.transData.transform(np.array(ends).reshape(-1, 2)).reshape(-1, 4) + (-1, -1, 1, 1)


def _plot(axes, found):
    """Points, error bars, lines of equal bound and numbers; the axes hold what is inside."""
    inside, lines = ([p for p in found if p.place == place] for place in ('inside', 'line'))
    xlim = _limits([p.kl.mean for p in inside])
    ylim = _limits([p.rec.mean for p in inside])
    axes.set_xlim(xlim)
    axes.set_ylim(ylim)
    from matplotlib import patheffects
    from matplotlib.ticker import MaxNLocator
    levels = MaxNLocator(9).tick_values(sum((xlim[0], ylim[0])), sum((xlim[1], ylim[1])))
    _bounds(axes, xlim, ylim, levels)
    signs = []                                        # where the dashed lines have their numbers: near their lower ends
    for p in lines:
        colour, _ = _style(p.number)
        axes.plot(xlim, [p.elbo - xlim[0], p.elbo - xlim[1]], color=colour, lw=.8, ls=(0, (5, 3)), zorder=1)
        x = min(xlim[1], p.elbo - ylim[0]) - .06 * (xlim[1] - xlim[0])
        if x > xlim[0] and p.elbo - x < ylim[1]:
            signs.append((x, p.elbo - x))
            axes.text(x, p.elbo - x, f'{p.number}', fontsize=6.5, color=colour, ha='center', va='center', zorder=1,
                      bbox={'boxstyle': 'square,pad=0.1', 'fc': 'white', 'ec': 'none'})
    for p in inside:
        colour, marker = _style(p.number)
        if p.kl.n > 1:
            axes.plot([p.kl.low, p.kl.high], [p.rec.mean] * 2, color=colour, lw=.8, alpha=.6, zorder=2)
        if p.rec.n > 1:
            axes.plot([p.kl.mean] * 2, [p.rec.low, p.rec.high], color=colour, lw=.8, alpha=.6, zorder=2)
        axes.plot([p.kl.mean], [p.rec.mean], marker, color=colour, ms=5, mec='white', mew=.4, zorder=3)
    anchors = axes.transData.transform([(p.kl.mean, p.rec.mean) for p in inside])
    scale = DPI / 100                                    # `arrange` counts in pixels of 1/100 inch
    anchors = anchors / scale
    sizes = [(5.2 * len(str(p.number)) + 1., 8.) for p in inside]
    box = np.array(axes.bbox.extents) / scale
    signs = axes.transData.transform(np.array(signs).reshape(-1, 2)) / scale
    obstacles = np.concatenate([np.concatenate([anchors - 3.5, anchors + 3.5], -1), _bars(axes, inside) / scale,
                                np.concatenate([signs - 6, signs + 6], -1)])
    for p, anchor, centre in zip(inside, anchors, arrange(anchors, sizes, box, obstacles), strict=True):
        (x, y), (u, v) = axes.transData.inverted().transform([anchor * scale, centre * scale])
        if np.hypot(*(centre - anchor)) > 20:
            axes.plot([x, u], [y, v], color='#b0b0b0', lw=.4, zorder=1.5)
        axes.text(u, v, f'{p.number}', fontsize=6.5, color=_style(p.number)[0], ha='center', va='center', zorder=4,
                  path_effects=[patheffects.withStroke(linewidth=1.6, foreground='white')])


def _legend(found):
    """Lines of the legend: (number or None, text)."""
    def entry(p, values=''):
        end = (' *' if p.extra else '') + values
        room = WIDEST - len(end)
        return p.number, (p.label if len(p.label) <= room else p.label[:room - 1] + '…') + end

    groups = [('', [entry(p) for p in found if p.place == 'inside']),
              ('no rate, −ELBO as a dashed line', [entry(p, f': {p.elbo:.2f}') for p in found if p.place == 'line']),
              ('outside the axes', [entry(p, f': KL {p.kl.mean:.1f}, Rec {p.rec.mean:.1f}') for p in found
                                    if p.place == 'outside']),
              ('no Rec or no KL', [entry(p) for p in found if p.place == 'missing'])]
    out = []
    for title, entries in groups:
        if entries and title:
            out += [(None, ''), (None, title)]
        out += entries
    if any(p.extra for p in found):
        out += [(None, ''), (None, '* −ELBO is not Rec + KL alone')]
    return out


def figure(table, found):
    """The figure of a table.

    Args:
      table: a `tables.Table`.
      found: what `points` made of it; one at least must be 'inside'.

    Returns:
      A matplotlib figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    legend = _legend(found)
    places = {p.number: p.place for p in found}
    plot, height = LARGE if len(found) > MANY else SMALL
    rows = int((height - .9) / LINE)
    columns = -(-len(legend) // rows)
    width = plot + COLUMN * columns
    fig = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(fig)
    axes = fig.add_axes([.7 / width, .6 / height, (plot - .9) / width, (height - 1.15) / height])
    unit = next(c.unit for c in table.columns if c.name == 'kl')
    axes.set_xlabel(f'KL: rate ({unit})', fontsize=9)
    axes.set_ylabel(f'Rec: distortion ({unit})', fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    fig.text(.7 / width, 1 - .28 / height, table.title, fontsize=10, weight='bold', va='center')
    seeds = max(p.seeds for p in found)
    bars = 'bars: 95% interval over seeds; ' if seeds > 1 else ''
    fig.text(.7 / width, 1 - .46 / height, f'Mean over seeds; {bars}grey lines: equal −ELBO = Rec + KL', fontsize=7.5,
             color='#505050', va='center')
    _plot(axes, found)
    beside = fig.add_axes([plot / width, 0, 1 - plot / width, 1])
    beside.set_axis_off()
    beside.set_xlim(0, COLUMN * columns)
    beside.set_ylim(0, height)
    for i, (number, text) in enumerate(legend):
        x, y = COLUMN * (i // rows), height - .55 - LINE * (i % rows)
        if number is None:
            beside.text(x + .05, y, text, fontsize=7, style='italic', color='#505050', va='center')
            continue
        colour, marker = _style(number)
        if places[number] in ('inside', 'outside'):
            beside.plot([x + .38], [y], marker, color=colour, ms=5, mec='white', mew=.4)
        beside.text(x + .28, y, f'{number}', fontsize=7, color=colour, ha='right', va='center')
        beside.text(x + .48, y, text, fontsize=7, va='center')
    return fig


@contextlib.contextmanager
def settings():
    """matplotlib's own settings, whatever the user's: what is drawn inside is the same everywhere."""
    import matplotlib
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({'svg.hashsalt': 'vaebench', 'svg.fonttype': 'path', 'text.parse_math': False})
        yield


def encoded(fig, form='png'):
    """A figure as bytes of a file, 'png' or 'svg', without date and program."""
    out = io.BytesIO()
    metadata = {'png': {'Software': None}, 'svg': {'Date': None, 'Creator': None}}[form]
    fig.savefig(out, format=form, metadata=metadata, dpi=DPI)
    return out.getvalue()


def render(table):
    """Everything that is written of a table.

    Args:
      table: a `tables.Table`.

    Returns:
      {'png': bytes, 'svg': bytes, 'csv': bytes}, or {} where no row has both Rec and KL.
    """
    found = points(table)
    if not any(p.place == 'inside' for p in found):
        return {}
    with settings():
        fig = figure(table, found)
        pictures = {form: encoded(fig, form) for form in ('png', 'svg')}
    return {**pictures, 'csv': comma_separated(table, found).encode()}


def write(tables, folder):
    """Writes the figures of tables to a folder.

    Args:
      tables: list of `tables.Table`.
      folder: where: <table>.rate-distortion.png, .svg and .csv of each.

    Returns:
      List of paths.

    Raises:
      UserError: no table has a row with both Rec and KL.
    """
    paths = []
    for table in tables:
        for form, data in render(table).items():
            path = pathlib.Path(folder) / f'{table.table}.rate-distortion.{form}'
            results.write_bytes(path, data)
            paths.append(path)
    if not paths:
        raise UserError('no row has both rec and kl: there is no rate-distortion figure of these results')
    return paths
