"""The style of every figure: colors and marks, a page with a legend, the bytes of a file."""
import contextlib
import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ('#000000', '#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9',
          '#999999')
"""The colors of Okabe and Ito, which color-blind readers can tell apart.

Grey stands in for their yellow, which is too pale on white.
"""
BLACK, BLUE, RED, GREEN = COLORS[:4]
GREY = '#505050'
WHITE_BOX = {'boxstyle': 'square,pad=0.1', 'fc': 'white', 'ec': 'none'}
MARKERS = 'o', 's', '^', 'D', 'v', 'P', 'X', '<', '>', 'p'
DPI, PAGE_DPI = 150, 100
FILE_FORMATS = 'png', 'svg', 'csv'

FENCE = 3.                         # interquartile ranges between a quartile and its fence
MIN_SPREAD = 2.                    # least interquartile range, in nats
SMALL, LARGE = (7.6, 7.), (10.4, 9.4)   # inches of a plot with its axes
MANY = 30                          # more rows than this get the large plot
LEFT = .85                         # inches to the left of the axes
COLUMN, LINE = 3.1, .18            # inches of a column and of a line of the legend
LEGEND_WIDTH = 44                  # characters in a line of the legend


class LegendEntry(NamedTuple):
    """A line of a legend."""
    number: int | None     # of the row; None for a heading
    text: str
    mark: str = ''         # 'full', 'hollow', or '' for none


class RenderedFigure(NamedTuple):
    """A figure as the contents of files."""
    name: str              # of the files, without the table's
    title: str
    alt: str               # describes the figure to readers who cannot see it
    files: dict[str, bytes]    # by format: 'png', 'svg', 'csv' or 'page'


def color_and_marker(number: int) -> tuple[str, str]:
    """Returns the color and the marker of a row or a class; numbers start at 1."""
    i = number - 1
    return COLORS[i % len(COLORS)], MARKERS[i // len(COLORS) % len(MARKERS)]


def shorten(text: str, length: int, end: str = '') -> str:
    """Shortens a text to at most `length` characters, of which the last are `end`.

    >>> shorten('a long name', 6), shorten('a long name', 9, ': 3')
    ('a lon…', 'a lon…: 3')
    """
    room = length - len(end)
    return (text if len(text) <= room else text[:max(room - 1, 1)] + '…') + end


def tukey_fences(values: Sequence[float], min_spread: float = MIN_SPREAD
                 ) -> tuple[float, float]:
    """Returns the interval outside of which a value is a far outlier.

    The fences lie `FENCE` interquartile ranges beyond the quartiles.

    Args:
      values: the numbers. Fewer than four of them have no outlier.
      min_spread: the interquartile range counts as at least this, in the unit of the values.

    Returns:
      (low, high).

    References:
      Tukey, "Exploratory Data Analysis", 1977: outer fences.

    >>> tukey_fences([0., 1., 2., 3., 176.])
    (-5.0, 9.0)
    """
    if len(values) < 4:
        return -math.inf, math.inf
    low, high = np.quantile(values, [.25, .75])
    reach = FENCE * max(high - low, min_spread)
    return float(low - reach), float(high + reach)


def axis_limits(values: Sequence[float]) -> tuple[float, float]:
    """Returns limits of an axis that leave a margin around the values.

    >>> axis_limits([0., 1.]), axis_limits([3., 3.])
    ((-0.06, 1.06), (2.75, 3.25))
    """
    low, high = min(values), max(values)
    margin = .06 * (high - low) if high - low > .5 else .25
    return low - margin, high + margin


def grouped_legend(groups: Iterable[tuple[str, list[LegendEntry]]]) -> list[LegendEntry]:
    """Joins groups of legend entries, with a heading above each.

    Args:
      groups: (heading or '', entries). A group without entries is left out.

    Returns:
      The entries and the headings, without an empty line at the top.
    """
    out = []
    for title, entries in groups:
        if entries and title:
            out += [LegendEntry(None, '')] * bool(out) + [LegendEntry(None, title)]
        out += entries
    return out


def draw_marker(axes: 'Axes', x: float, y: float, number: int, hollow: bool = False) -> None:
    """Draws the marker of a row at a point."""
    color, marker = color_and_marker(number)
    edge = {'mfc': 'white', 'mew': 1.} if hollow else {'mec': 'white', 'mew': .4}
    axes.plot([x], [y], marker, ms=5, zorder=3, color=color, **edge)


def new_figure(width: float, height: float) -> 'Figure':
    """Returns an empty matplotlib figure of some inches, which no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    fig = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(fig)
    return fig


def page_with_legend(title: str, caption: str, legend: Sequence[LegendEntry], large: bool,
                     labels: Sequence[str], notes: Sequence[str] = ('', '')
                     ) -> tuple['Figure', 'Axes']:
    """Lays out a page with one plot and a legend on its right.

    Args:
      title: bold text above the plot.
      caption: smaller text below the title.
      legend: its entries, in columns from top to bottom.
      large: whether many rows share the plot.
      labels: of the x axis and the y axis, with units.
      notes: small text beside each label.

    Returns:
      (the figure, the axes of the plot).
    """
    plot, height = LARGE if large else SMALL
    rows = int((height - .9) / LINE)
    columns = -(-len(legend) // rows)
    width = plot + COLUMN * columns
    fig = new_figure(width, height)
    axes = fig.add_axes((LEFT / width, .7 / height, (plot - LEFT - .2) / width,
                         (height - 1.25) / height))
    axes.set_xlabel(labels[0], fontsize=9)
    axes.set_ylabel(labels[1], fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[['top', 'right']].set_visible(False)

    def write(x: float, y: float, text: str, length: float,
              **more: Any) -> None:
        fig.text(x / width, y, shorten(text, int(length)), va='center', **more)

    small = {'fontsize': 6, 'color': GREY, 'ha': 'center'}
    write((LEFT + plot - .2) / 2, .13 / height, notes[0], (plot - 1.) * 20, **small)
    write(.13, (.15 + height) / 2 / height, notes[1], (height - 1.) * 20, rotation=90, **small)
    write(LEFT, 1 - .28 / height, title, width * 10, fontsize=10, weight='bold')
    write(LEFT, 1 - .46 / height, caption, plot * 17, fontsize=7.5, color=GREY)
    beside = fig.add_axes((plot / width, 0, 1 - plot / width, 1))
    beside.set_axis_off()
    beside.set(xlim=(0, COLUMN * max(columns, 1)), ylim=(0, height))
    for i, entry in enumerate(legend):
        _draw_entry(beside, COLUMN * (i // rows), height - .55 - LINE * (i % rows), entry)
    return fig, axes


def _draw_entry(axes, x, y, entry):
    """Draws a legend entry whose upper left corner is (x, y), in inches."""
    small = {'fontsize': 7, 'va': 'center'}
    if entry.number is None:
        axes.text(x + .05, y, entry.text, style='italic', color=GREY, **small)
        return
    if entry.mark:
        draw_marker(axes, x + .38, y, entry.number, entry.mark == 'hollow')
    color = color_and_marker(entry.number)[0]
    axes.text(x + .28, y, f'{entry.number}', color=color, ha='right', **small)
    axes.text(x + .48, y, shorten(entry.text, LEGEND_WIDTH), **small)


@contextlib.contextmanager
def context() -> Iterator[None]:
    """Sets aside the user's matplotlib settings, so that figures look the same everywhere."""
    import matplotlib
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({'svg.hashsalt': 'vaebench', 'svg.fonttype': 'path',
                                    'text.parse_math': False})
        yield


def encode(fig: 'Figure', form: str = 'png') -> bytes:
    """Encodes a figure as a file that names no date and no program.

    Args:
      fig: a matplotlib figure.
      form: 'png', 'svg', or 'page': a PNG of fewer pixels and 64 colors, a fifth of the size.
    """
    out = io.BytesIO()
    if form == 'page':
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image
        fig.set_dpi(PAGE_DPI)
        fig.canvas.draw()
        assert isinstance(fig.canvas, FigureCanvasAgg)      # see `new_figure`
        picture = Image.fromarray(np.asarray(fig.canvas.buffer_rgba())).convert('RGB')
        picture.quantize(64, dither=Image.Dither.NONE).save(out, 'PNG', optimize=True)
        return out.getvalue()
    metadata = {'Date': None, 'Creator': None} if form == 'svg' else {'Software': None}
    fig.savefig(out, format=form, metadata=metadata, dpi=DPI)
    return out.getvalue()


def encode_table(header: Sequence[str], lines: Iterable[Sequence]) -> bytes:
    """Encodes the numbers of a figure as CSV; None becomes an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(header)
    writer.writerows(['' if x is None else x for x in line] for line in lines)
    return out.getvalue().encode()


def encode_all(fig: 'Figure', header: Sequence[str], lines: Iterable[Sequence],
               forms: Sequence[str] = FILE_FORMATS) -> dict[str, bytes]:
    """Encodes a figure and its numbers.

    Args:
      fig: a matplotlib figure.
      header, lines: of its numbers, see `encode_table`.
      forms: of 'png', 'svg', 'csv' and 'page'.

    Returns:
      {form: contents of a file}.
    """
    return {form: encode_table(header, lines) if form == 'csv' else encode(fig, form)
            for form in forms}
