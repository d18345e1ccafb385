"""Two metrics of every row of a table against each other: rate and distortion, and others."""
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vaebench.report import statistics
from vaebench.report.figures import style
from vaebench.report.figures.labels import boxes_around, label_points
from vaebench.report.figures.style import LegendEntry, RenderedFigure, color_and_marker
from vaebench.report.statistics import Summary
from vaebench.report.tables import Cell, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLACK = 0.05           # nats by which a row's bound may differ from the sum of its axes


class Plane(NamedTuple):
    """Which metrics stand against each other."""
    name: str                       # of the files
    title: str
    x: str                          # metric
    y: str
    x_label: str                    # its part before a colon is the metric's short name
    y_label: str
    bound: str = ''                 # metric that is x + y: the plane has lines of equal bound
    min_spread: float = .5          # of y, see `style.tukey_fences`

    @property
    def short(self) -> tuple[str, str]:
        """Short names of x and y."""
        return self.x_label.split(':')[0], self.y_label.split(':')[0]

    @property
    def level(self) -> str:
        """What `Point.level` is, in words."""
        return f'−{self.bound.upper()}' if self.bound else self.short[1]


PLANES = (
    Plane('rate-distortion', 'rate and distortion', 'kl', 'rec', 'KL: rate', 'Rec: distortion',
          bound='elbo', min_spread=2.),
    Plane('nll-au', 'likelihood and active units', 'au', 'nll_iw',
          'AU: active dimensions of the code', 'NLL'),
    Plane('nll-mi', 'likelihood and mutual information', 'mi_full', 'nll_iw',
          'MI: information of the code about the example', 'NLL'),
    Plane('style-content', 'style and content', 'word_overlap', 'transfer_accuracy',
          'WO: words of the content that are kept', 'TA: rewritten to the style',
          min_spread=100.),
)

Range = tuple[float, float] | None


class Point(NamedTuple):
    """One row of a table."""
    number: int                 # from 1, in the table's order
    row: str
    label: str
    seeds: int
    x: Summary | None
    y: Summary | None
    level: float | None         # mean over seeds of the bound, or of y where there is none
    place: str                  # 'inside' or 'outside' the axes, 'line' (no x), or 'missing'
    extra: bool                 # whether the bound of the row is not x + y
    notes: tuple[str, ...]      # the table's footnotes to x and y
    bars: tuple[Range, Range]   # error bars of x and of y

    @property
    def at(self) -> tuple[float, float]:
        """Means of x and y, of a point that has both."""
        assert self.x and self.y
        return self.x.mean, self.y.mean


# Data.

def points(table: Table, plane: Plane) -> list[Point]:
    """Returns the rows of a table as points, in the table's order."""
    few = _few(table, plane)
    found = [_point(table, plane, number, row, few) for number, row in enumerate(table.rows, 1)]
    drawn = [p for p in found if p.place == 'inside']
    low, high = style.tukey_fences([p.at[1] for p in drawn], plane.min_spread)
    left, right = -math.inf, math.inf
    if plane.bound:     # active units and information have a ceiling: no row is far outside
        left, right = style.tukey_fences([p.at[0] for p in drawn], plane.min_spread)
    return [p._replace(place='outside') if p.place == 'inside' and not (
        left <= p.at[0] <= right and low <= p.at[1] <= high) else p for p in found]


def _few(table: Table, plane: Plane) -> bool:
    """Whether every row has so few seeds that an interval over them is longer than the axes."""
    cells = [row.cells[m] for row in table.rows for m in (plane.x, plane.y) if m in row.cells]
    return max((c.summary.n for c in cells if c.summary), default=0) <= statistics.FEW


def _point(table: Table, plane: Plane, number: int, row: Row, few: bool) -> Point:
    """A row as a `Point`, before outliers are known."""
    cells = [row.cells.get(m) for m in (plane.x, plane.y, plane.bound or plane.y)]
    x, y, level = (cell.summary if cell else None for cell in cells)
    notes = dict.fromkeys(table.notes[i - 1] for c in cells[:2] if c and c.summary
                          for i in c.notes)
    gap = level.mean - x.mean - y.mean if x and y and level else 0.
    extra = bool(plane.bound) and abs(gap) > SLACK
    return Point(number, row.row, row.label, max((s.n for s in (x, y, level) if s), default=0),
                 x, y, level.mean if level else None, _place(plane, x, y, level), extra,
                 tuple(notes), (_bar(cells[0], few), _bar(cells[1], few)))


def _place(plane: Plane, x: Summary | None, y: Summary | None,
           level: Summary | None) -> str:
    """'inside', 'line' or 'missing', from summaries that may be None."""
    if x and y and math.isfinite(x.mean) and math.isfinite(y.mean):
        return 'inside'
    alone = not x and not (plane.bound and y)
    return 'line' if level and alone and math.isfinite(level.mean) else 'missing'


def _bar(cell: Cell | None, few: bool) -> Range:
    """From where to where an error bar goes: of few seeds their range; None of one seed."""
    if not cell or not cell.summary or cell.summary.n < 2:
        return None
    values = cell.seeds.values()
    return (min(values), max(values)) if few else cell.summary.interval


def numbers(table: Table, plane: Plane, found: Sequence[Point]) -> tuple[tuple, list[tuple]]:
    """Returns the header and the lines of the figure's numbers, a line for each row."""
    sides = [f'{m}{end}' for m in (plane.x, plane.y) for end in ('', '_low', '_high')]
    bound = [plane.bound] if plane.bound else []
    header = 'table', 'number', 'row', 'label', 'seeds', *sides, *bound, 'place', 'footnotes'

    def line(p: Point) -> tuple:
        summaries = [s[:3] if s else (None,) * 3 for s in (p.x, p.y)]
        return (table.table, p.number, p.row, p.label, p.seeds, *summaries[0], *summaries[1],
                *([p.level] if bound else []), p.place, '; '.join(p.notes))

    return header, [line(p) for p in found]


# Words.

def legend(plane: Plane, found: Sequence[Point]) -> list[LegendEntry]:
    """Returns an entry for every row of the table, and what marks mean."""
    def entry(p: Point, values: str = '') -> LegendEntry:
        text = style.shorten(p.label, style.LEGEND_WIDTH, (' *' if p.extra else '') + values)
        mark = '' if p.place in ('line', 'missing') else 'hollow' if p.notes else 'full'
        return LegendEntry(p.number, text, mark)

    def outlier(p: Point) -> LegendEntry:
        return entry(p, f': {x} {p.at[0]:.1f}, {y} {p.at[1]:.1f}')

    (x, y), level = plane.short, plane.level
    of = lambda place: [p for p in found if p.place == place]
    foot = []
    if any(p.extra for p in found):
        foot.append(LegendEntry(None, f'* {level} is not {y} + {x} alone'))
    if any(p.notes for p in of('inside') + of('outside')):
        foot.append(LegendEntry(None, 'hollow: with a footnote in the table'))
    return style.grouped_legend([
        ('', [entry(p) for p in of('inside')]),
        (f'no {"rate" if plane.bound else x}, {level} as a dashed line',
         [entry(p, f': {p.level:.2f}') for p in of('line')]),
        ('outside the axes', [outlier(p) for p in of('outside')]),
        (f'no {y} or no {x}', [entry(p) for p in of('missing')]),
    ]) + ([LegendEntry(None, ''), *foot] if foot else [])


def _caption(table, plane, found):
    """What the bars and the grey lines of the figure are."""
    texts = ['Mean over seeds']
    if max(p.seeds for p in found) > 1:
        texts.append('bars: from the lowest to the highest seed' if _few(table, plane) else
                     f'bars: {statistics.LEVEL:.0%} interval over seeds')
    if plane.bound:
        texts.append(f'grey lines: equal {plane.level} = Rec + KL')
    return '; '.join(texts)


def _alt(table, plane, found):
    """The figure in words."""
    unit = {c.name: c.unit for c in table.columns}
    drawn = [p for p in found if p.place == 'inside']
    text = (f'{table.title}. {plane.y_label} ({unit[plane.y]}) against {plane.x_label} '
            f'({unit[plane.x]}), a point for each of {len(drawn)} of {len(found)} rows.')
    clean = [p for p in drawn if not p.notes and p.level is not None]
    if clean:
        best = min(clean, key=lambda p: p.level or 0.)
        text += (f' Of those without a footnote {best.label} has the lowest {plane.level}, '
                 f'{best.level:.2f} {unit[plane.bound or plane.y]}.')
    return text


# Figures.

def draw(axes: 'Axes', plane: Plane, found: Sequence[Point]) -> None:
    """Draws points with error bars and numbers, and lines of what has no x.

    The axes hold the points that are inside, and the lines near them.
    """
    inside, lines = ([p for p in found if p.place == place] for place in ('inside', 'line'))
    low, high = style.tukey_fences([p.at[1] for p in inside], plane.min_spread)
    near = [] if plane.bound else [p.level for p in lines
                                   if p.level is not None and low <= p.level <= high]
    axes.set_xlim(style.axis_limits([p.at[0] for p in inside]))
    axes.set_ylim(style.axis_limits([p.at[1] for p in inside] + near))
    if plane.bound:
        _draw_equal_bounds(axes)
    signs = [at for p in lines if (at := _draw_level(axes, p, bool(plane.bound)))]
    bars = []
    for p in inside:
        bars += _draw_point(axes, p)
    label_points(axes, [p.number for p in inside], [p.at for p in inside], [
        boxes_around(axes, np.reshape(bars, (-1, 2, 2)), 1),
        boxes_around(axes, np.reshape(signs, (-1, 2)), 6)])


def _draw_point(axes, p):
    """Draws a point and its error bars, and returns the ends of each bar."""
    (x, y), (wide, tall), color = p.at, p.bars, color_and_marker(p.number)[0]
    bars = [[(v, y) for v in wide]] if wide else []
    bars += [[(x, v) for v in tall]] if tall else []
    for start, end in bars:
        axes.plot(*zip(start, end, strict=True), color=color, lw=.8, alpha=.6, zorder=2)
    style.draw_marker(axes, x, y, p.number, bool(p.notes))
    return bars


def _draw_equal_bounds(axes):
    """Draws grey lines of equal bound x + y, each with its value near the lower right."""
    from matplotlib.ticker import MaxNLocator
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = right - left, top - bottom
    slope = width * axes.bbox.height / (height * axes.bbox.width)    # on the screen
    angle = -math.degrees(math.atan(slope))
    for level in MaxNLocator(9).tick_values(left + bottom, right + top):
        axes.plot((left, right), (level - left, level - right), color='#d0d0d0', lw=.7,
                  zorder=0)
        x = min(right, level - bottom) - .015 * width
        y = level - x
        if bottom < y < top and x > left + .04 * width:
            axes.text(x, y, f'{level:g}', color='#909090', fontsize=6, rotation=angle,
                      rotation_mode='anchor', ha='right', va='bottom', zorder=0)


def _draw_level(axes: 'Axes', p: Point, sloped: bool) -> tuple[float, float] | None:
    """Draws a dashed line for a row without x.

    Returns:
      Where its number stands, near the lower right; None if that is outside of the axes.
    """
    assert p.level is not None
    bound, (color, _) = p.level, color_and_marker(p.number)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    level = (lambda x: bound - x) if sloped else (lambda x: bound)
    axes.plot((left, right), (level(left), level(right)), color=color, lw=.8, ls=(0, (5, 3)),
              zorder=1)
    x = (min(right, bound - bottom) if sloped else right) - .06 * (right - left)
    y = level(x)
    if not (left < x and bottom < y < top):
        return None
    axes.text(x, y, f'{p.number}', fontsize=6.5, color=color, ha='center', va='center',
              zorder=1, bbox=style.WHITE_BOX)
    return x, y


def figure(table: Table, plane: Plane, found: Sequence[Point]) -> 'Figure':
    """Returns the figure of a table.

    Args:
      table: the table.
      plane: one of `PLANES`.
      found: its `points`, at least one of them 'inside'.
    """
    columns = {c.name: c for c in table.columns}
    metrics = columns[plane.x], columns[plane.y]
    labels = [f'{text} ({metric.unit})'
              for text, metric in zip((plane.x_label, plane.y_label), metrics, strict=True)]
    fig, axes = style.page_with_legend(
        f'{table.title} – {plane.title}', _caption(table, plane, found), legend(plane, found),
        len(found) > style.MANY, labels, [metric.estimator for metric in metrics])
    draw(axes, plane, found)
    return fig


def render(table: Table, plane: Plane, forms: Sequence[str] = style.FILE_FORMATS
           ) -> RenderedFigure | None:
    """Renders a table in a plane.

    Args:
      table: the table.
      plane: one of `PLANES`.
      forms: see `style.encode_all`.

    Returns:
      A `RenderedFigure`, or None where no row has both metrics.
    """
    found = points(table, plane)
    if not any(p.place == 'inside' for p in found):
        return None
    with style.context():
        files = style.encode_all(figure(table, plane, found), *numbers(table, plane, found),
                                 forms)
    return RenderedFigure(plane.name, f'{table.title} – {plane.title}',
                          _alt(table, plane, found), files)
