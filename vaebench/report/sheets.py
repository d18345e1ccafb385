"""What pictures are made of: images as arrays, and figures laid out in pixels."""
import numpy as np

from vaebench.report.drawing import DPI, GREY, cut

TILE = 84              # pixels that the longer side of an image should have
EDGE, HEAD = 30, 84    # pixels around a picture, and above it for its title


# Images as arrays.

def rgb(x):
    """Images as bytes in red, green and blue.

    Args:
      x: [..., H, W, C] uint8, or floats of which [0, 1] is black to white; grey where C is neither 3 nor 4.

    Returns:
      uint8 [..., H, W, 3].

    >>> rgb(np.array([[[0.], [.5], [2.]]]))[..., 0].tolist()
    [[0, 128, 255]]
    """
    if x.dtype != np.uint8:
        x = np.uint8(np.round(255 * np.clip(np.nan_to_num(np.float64(x)), 0, 1)))
    return x[..., :3] if x.shape[-1] in (3, 4) else np.repeat(x[..., :1], 3, -1)


def grid(tiles, gap=2, rows=(), columns=(), wide=10):
    """One picture of rows and columns of tiles, with white between them.

    Args:
      tiles: uint8 [R, K, H, W, 3].
      gap: pixels between tiles.
      rows, columns: numbers of rows and columns before which the gap is wide.
      wide: pixels of it.

    Returns:
      uint8 [height, width, 3].

    >>> grid(np.zeros((1, 3, 1, 1, 3), np.uint8), 1, columns=(2,), wide=2)[..., 0].tolist()
    [[0, 255, 0, 255, 255, 0]]
    """
    r, k, h, w, _ = tiles.shape
    top, left = starts(r, h, gap, rows, wide), starts(k, w, gap, columns, wide)
    out = np.full((top[-1] + h, left[-1] + w, 3), 255, np.uint8)
    for i, y in enumerate(top):
        for j, x in enumerate(left):
            out[y:y + h, x:x + w] = tiles[i, j]
    return out


def starts(n, size, gap=2, before=(), wide=10):
    """First pixels of n tiles in a line.

    >>> starts(3, 5, 1, (2,), 4)
    [0, 6, 15]
    """
    return [i * (size + gap) + (wide - gap) * sum(b <= i for b in before) for i in range(n)]


def fold(x, columns):
    """Tiles [N, H, W, 3] in rows of `columns`, the last one filled with white: [R, columns, H, W, 3].

    >>> fold(np.zeros((3, 1, 1, 3), np.uint8), 2)[..., 0, 0, 0].tolist()
    [[0, 0], [0, 255]]
    """
    rows = -(-len(x) // columns)
    blank = np.full((rows * columns - len(x), *x.shape[1:]), 255, np.uint8)
    return np.concatenate([x, blank]).reshape(rows, columns, *x.shape[1:])


def paired(real, decoded, columns=16):
    """Rows of originals, each above the row of their reconstructions.

    Args:
      real, decoded: uint8 [N, H, W, 3].
      columns: tiles in a row.

    Returns:
      uint8 [2 R, columns, H, W, 3].

    >>> tile = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 3), np.uint8)
    >>> paired(tile, 9 - tile, 2)[..., 0, 0, 0].tolist()
    [[0, 1], [9, 8], [2, 255], [7, 255]]
    """
    both = np.stack([fold(real, columns), fold(decoded, columns)], 1)
    return both.reshape(-1, *both.shape[2:])


def zoomed(x, size=TILE):
    """Images [..., H, W, 3] enlarged by a whole number so that the longer side comes near to `size` pixels.

    >>> zoomed(np.zeros((8, 6, 3), np.uint8), 20).shape
    (24, 18, 3)
    """
    times = max(1, int(size / max(x.shape[-3:-1]) + .5))
    return x.repeat(times, -3).repeat(times, -2)


# Figures.

def canvas(width, height):
    """An empty matplotlib figure of so many pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    fig = Figure(figsize=((width + .01) / DPI, (height + .01) / DPI), dpi=DPI)
    FigureCanvasAgg(fig)
    return fig


def heading(fig, title, *captions):
    """A title, and below it texts beside each other.

    Args:
      fig: what `canvas` made.
      title: text, or (text, what must stand behind it however much of the text is cut off).
      *captions: texts, or (text, colour).
    """
    width, height = fig.bbox.width, fig.bbox.height
    room, (text, tail) = width - EDGE, (title, '') if isinstance(title, str) else title
    fig.text(EDGE / width, 1 - 30 / height, cut(text, int(room / 14) - len(tail)) + tail, fontsize=10, weight='bold',
             va='center')
    for i, caption in enumerate(captions):
        text, colour = (caption, GREY) if isinstance(caption, str) else caption
        fig.text((EDGE + 330 * i) / width, 1 - 60 / height, cut(text, int(room / 8.8)), fontsize=7.5, color=colour,
                 va='center')


def write_at(fig, x, y, text, **more):
    """Text at pixels from the upper left."""
    fig.text(x / fig.bbox.width, 1 - y / fig.bbox.height, text, **{'fontsize': 7.5, 'va': 'center', **more})


def sheet(picture, title, caption, left=0, below=0, least=520):
    """A figure that shows an array of pixels as they are, at (left + EDGE, HEAD) from the upper left.

    Args:
      picture: uint8 [height, width, 3].
      title, caption: see `heading`.
      left, below: pixels kept free for labels.
      least: pixels that the titles want.

    Returns:
      A matplotlib figure.
    """
    height, width = picture.shape[:2]
    fig = canvas(max(width + left, least) + 2 * EDGE, height + HEAD + EDGE + below)
    fig.figimage(picture, left + EDGE, EDGE + below, origin='upper')
    heading(fig, title, caption)
    return fig


def limits_of(x):
    """[D, 2] limits of axes that hold data [N, D], with a tenth of their width to spare on each side.

    >>> limits_of(np.array([[0., 5.], [10., 5.]])).round(3).tolist()
    [[-1.0, 11.0], [4.999, 5.001]]
    """
    low, high = x.min(0), x.max(0)
    margin = np.where(high > low, .1 * (high - low), 1e-3)
    return np.stack([low - margin, high + margin], 1)


def axes_in(fig, box, limits=(), ticks=True):
    """Axes in a box of pixels.

    Args:
      fig: what `canvas` made.
      box: (left, top, width, height), from the figure's upper left.
      limits: (low, high) of two axes, or of three for a view in space; () leaves them to matplotlib.
      ticks: whether there are numbers at the axes.

    Returns:
      matplotlib axes.
    """
    left, top, width, height = box
    w, h = fig.bbox.width, fig.bbox.height
    rect = [left / w, 1 - (top + height) / h, width / w, height / h]
    axes = fig.add_axes(rect, **({'projection': '3d'} if len(limits) == 3 else {}))
    for which, limit in zip('xyz', limits, strict=False):
        axes.set(**{f'{which}lim': limit, **({} if ticks else {f'{which}ticks': []})})
    axes.tick_params(labelsize=6, pad=0 if len(limits) == 3 else 3)
    if len(limits) == 3:
        axes.view_init(12, -75)
        axes.set_box_aspect(None, zoom=1.25)
    return axes
