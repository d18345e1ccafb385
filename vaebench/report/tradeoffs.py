"""Two metrics of every row of a table against each other, as a figure and as numbers."""
import math
from typing import NamedTuple

import numpy as np

from vaebench.report import drawing, statistics
from vaebench.report.drawing import Drawn, Entry

SLACK = 0.05           # nats by which a row's bound may miss the sum of the axes


class Plane(NamedTuple):
    """Which metrics stand against each other."""
    name: str
    x: str
    y: str
    words: tuple[str, str, str]     # of the title, of x and of y
    bound: str = ''                 # metric that is x + y, which gives the plane its lines of equal bound
    spread: float = .5              # least spread of y, see `drawing.fence`


PLANES = (
    Plane('rate-distortion', 'kl', 'rec', ('rate and distortion', 'KL: rate', 'Rec: distortion'), 'elbo', 2.),
    Plane('nll-au', 'au', 'nll_iw', ('likelihood and active units', 'AU: active dimensions of the code', 'NLL')),
    Plane('nll-mi', 'mi_full', 'nll_iw',
          ('likelihood and mutual information', 'MI: information of the code about the example', 'NLL')),
)


class Point(NamedTuple):
    """One row of a table."""
    number: int                 # from 1, in the table's order
    row: str
    label: str
    seeds: int
    x: object                   # `statistics.Summary`, or None
    y: object
    level: float | None         # mean over seeds of the bound, or of y where there is none
    place: str                  # 'inside', 'outside' the axes, 'line' (a level without x) or 'missing'
    extra: bool                 # whether the row's bound is not x + y
    notes: tuple[str, ...]      # the table's footnotes to x and y
    bars: tuple                 # (low, high) or None, of x and of y


def _few(table, plane):
    """Whether no row has so many seeds that an interval over them is shorter than the axes."""
    cells = [row.cells[m] for row in table.rows for m in (plane.x, plane.y) if m in row.cells]
    return max((c.summary.n for c in cells if c.summary), default=0) <= statistics.FEW


def _bar(cell, few):
    """From where to where an error bar goes; None where there is one seed."""
    if not cell or not cell.summary or cell.summary.n < 2:
        return None
    return (min(cell.seeds.values()), max(cell.seeds.values())) if few else cell.summary[1:3]


def points(table, plane):
    """The rows of a table as points.

    Args:
      table: a `tables.Table`.
      plane: a `Plane`.

    Returns:
      List of `Point`, one a row, in the table's order.
    """
    found, few = [], _few(table, plane)
    for number, row in enumerate(table.rows, 1):
        cells = [row.cells.get(m) for m in (plane.x, plane.y, plane.bound or plane.y)]
        x, y, level = (c.summary if c else None for c in cells)
        finite = all(s is None or math.isfinite(s.mean) for s in (x, y))
        alone = level and not x and not (plane.bound and y) and math.isfinite(level.mean)
        place = 'inside' if x and y and finite else 'line' if alone else 'missing'
        extra = bool(plane.bound and x and y and level and abs(level.mean - x.mean - y.mean) > SLACK)
        notes = dict.fromkeys(table.notes[i - 1] for c in cells[:2] if c and c.summary for i in c.notes)
        found.append(Point(number, row.row, row.label, max((s.n for s in (x, y, level) if s), default=0), x, y,
                           level.mean if level else None, place, extra, tuple(notes),
                           tuple(_bar(c, few) for c in cells[:2])))
    drawn = [p for p in found if p.place == 'inside']
    # Active units and information have a ceiling: no row is far outside.
    across = drawing.fence([p.x.mean for p in drawn], plane.spread) if plane.bound else (-math.inf, math.inf)
    up = drawing.fence([p.y.mean for p in drawn], plane.spread)
    return [p._replace(place='outside') if p.place == 'inside' and not (
        across[0] <= p.x.mean <= across[1] and up[0] <= p.y.mean <= up[1]) else p for p in found]


def numbers(table, plane, found):
    """(header, lines) of the figure's numbers, a line for each row."""
    sides = [f'{m}{end}' for m in (plane.x, plane.y) for end in ('', '_low', '_high')]
    header = ('table', 'number', 'row', 'label', 'seeds', *sides, *([plane.bound] if plane.bound else []), 'place',
              'footnotes')
    return header, [(table.table, p.number, p.row, p.label, p.seeds,
                     *(v for s in (p.x, p.y) for v in ((s.mean, s.low, s.high) if s else (None,) * 3)),
                     *([p.level] if plane.bound else []), p.place, '; '.join(p.notes)) for p in found]


def _equal(axes, xlim, ylim):
    """Grey lines of equal bound, each with its value."""
    from matplotlib.ticker import MaxNLocator
    reach = (xlim[1] - xlim[0]) / (ylim[1] - ylim[0])
    for level in MaxNLocator(9).tick_values(xlim[0] + ylim[0], xlim[1] + ylim[1]):
        axes.plot(xlim, [level - xlim[0], level - xlim[1]], color='#d0d0d0', lw=.7, zorder=0)
        x = min(xlim[1], level - ylim[0]) - .015 * (xlim[1] - xlim[0])
        y = level - x
        if ylim[0] < y < ylim[1] and x > xlim[0] + .04 * (xlim[1] - xlim[0]):
            angle = -math.degrees(math.atan(reach * axes.bbox.height / axes.bbox.width))
            axes.text(x, y, f'{level:g}', color='#909090', fontsize=6, rotation=angle, rotation_mode='anchor',
                      ha='right', va='bottom', zorder=0)


def _level(axes, p, xlim, ylim, sloped):
    """A dashed line for a row without x, and where its number stands, near the lower end; None outside the axes."""
    colour, _ = drawing.style(p.number)
    fall = np.array(xlim) if sloped else np.zeros(2)
    axes.plot(xlim, p.level - fall, color=colour, lw=.8, ls=(0, (5, 3)), zorder=1)
    right = min(xlim[1], p.level - ylim[0]) if sloped else xlim[1]
    x = right - .06 * (xlim[1] - xlim[0])
    y = p.level - x if sloped else p.level
    if not (xlim[0] < x and ylim[0] < y < ylim[1]):
        return None
    axes.text(x, y, f'{p.number}', fontsize=6.5, color=colour, ha='center', va='center', zorder=1,
              bbox={'boxstyle': 'square,pad=0.1', 'fc': 'white', 'ec': 'none'})
    return x, y


def _plot(axes, plane, found):
    """Points, error bars, lines and numbers; the axes hold what is inside, and levels near it."""
    inside, lines = ([p for p in found if p.place == place] for place in ('inside', 'line'))
    low, high = drawing.fence([p.y.mean for p in inside], plane.spread)
    near = [] if plane.bound else [p.level for p in lines if low <= p.level <= high]
    xlim = drawing.limits([p.x.mean for p in inside])
    ylim = drawing.limits([p.y.mean for p in inside] + near)
    axes.set_xlim(xlim)
    axes.set_ylim(ylim)
    if plane.bound:
        _equal(axes, xlim, ylim)
    signs = [s for p in lines if (s := _level(axes, p, xlim, ylim, bool(plane.bound)))]
    bars = []
    for p in inside:
        (x, y), colour = (p.x.mean, p.y.mean), drawing.style(p.number)[0]
        wide, tall = p.bars
        own = [[(v, y) for v in wide]] if wide else []
        own += [[(x, v) for v in tall]] if tall else []
        for start, end in own:
            axes.plot(*zip(start, end, strict=True), color=colour, lw=.8, alpha=.6, zorder=2)
        drawing.mark(axes, x, y, p.number, bool(p.notes))
        bars += own
    drawing.number_points(axes, [p.number for p in inside], [(p.x.mean, p.y.mean) for p in inside], [
        drawing.rectangles(axes, np.reshape(bars, (-1, 2, 2)), 1),
        drawing.rectangles(axes, np.reshape(signs, (-1, 2)), 6)])


def _legend(plane, found):
    """Every row of the table, and what its mark means."""
    def entry(p, values=''):
        end = (' *' if p.extra else '') + values
        form = 'hollow' if p.notes else 'full'
        return Entry(p.number, drawing.cut(p.label, drawing.WIDEST - len(end)) + end,
                     form if p.place in ('inside', 'outside') else '')

    x, y = ((w.split(':')[0]) for w in plane.words[1:])
    of = lambda place: [p for p in found if p.place == place]
    level = f'−{plane.bound.upper()}' if plane.bound else y
    foot = [Entry(None, text) for there, text in (
        (any(p.extra for p in found), f'* −{plane.bound.upper()} is not {y} + {x} alone'),
        (any(p.notes and p.place in ('inside', 'outside') for p in found), 'hollow: with a footnote in the table'))
        if there]
    return drawing.grouped([
        ('', [entry(p) for p in of('inside')]),
        (f'no {"rate" if plane.bound else x}, {level} as a dashed line', [
            entry(p, f': {p.level:.2f}') for p in of('line')]),
        ('outside the axes', [entry(p, f': {x} {p.x.mean:.1f}, {y} {p.y.mean:.1f}') for p in of('outside')]),
        (f'no {y} or no {x}', [entry(p) for p in of('missing')]),
    ]) + ([Entry(None, ''), *foot] if foot else [])


def figure(table, plane, found):
    """The figure of a table.

    Args:
      table: a `tables.Table`.
      plane: a `Plane`.
      found: what `points` made of it; one at least must be 'inside'.

    Returns:
      A matplotlib figure.
    """
    columns = {c.name: c for c in table.columns}
    bars = ('bars: from the lowest to the highest seed' if _few(table, plane) else
            f'bars: {statistics.LEVEL:.0%} interval over seeds')
    texts = ['Mean over seeds'] + [bars] * (max(p.seeds for p in found) > 1)
    texts += [f'grey lines: equal −{plane.bound.upper()} = Rec + KL'] * bool(plane.bound)
    labels = [f'{w} ({columns[m].unit})' for w, m in zip(plane.words[1:], (plane.x, plane.y), strict=True)]
    fig, axes = drawing.page(f'{table.title} – {plane.words[0]}', '; '.join(texts), _legend(plane, found),
                             len(found) > drawing.MANY, labels, [columns[m].estimator for m in (plane.x, plane.y)])
    _plot(axes, plane, found)
    return fig


def _alt(table, plane, found):
    unit = {c.name: c.unit for c in table.columns}
    drawn = [p for p in found if p.place == 'inside']
    of = plane.bound and f'−{plane.bound.upper()}' or plane.words[2].split(':')[0]
    level = {p.number: p.level for p in drawn if not p.notes and p.level is not None}
    best = min(level, key=level.get, default=None)
    value = '' if best is None else (f' Of those without a footnote {found[best - 1].label} has the lowest {of}, '
                                     f'{level[best]:.2f} {unit[plane.bound or plane.y]}.')
    return (f'{table.title}. {plane.words[2]} ({unit[plane.y]}) against {plane.words[1]} ({unit[plane.x]}), a point '
            f'for each of {len(drawn)} of {len(found)} rows.{value}')


def render(table, plane, forms=drawing.FORMS):
    """Everything that is written of a table in a plane.

    Args:
      table: a `tables.Table`.
      plane: a `Plane`.
      forms: of its files.

    Returns:
      A `drawing.Drawn`, or None where no row has both metrics.
    """
    found = points(table, plane)
    if not any(p.place == 'inside' for p in found):
        return None
    with drawing.settings():
        written = drawing.files(figure(table, plane, found), *numbers(table, plane, found), forms)
    return Drawn(plane.name, f'{table.title} – {plane.words[0]}', _alt(table, plane, found), written)
