"""Pictures of cells and tables, from the arrays that runs leave beside result files: byte for byte the same."""
import math
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from vaebench import files
from vaebench.errors import UserError, unknown
from vaebench.report import drawing, figures, sentences, tables
from vaebench.report.clouds import BLUE, RED, aggregate, cloud, density, latent, paths, projection
from vaebench.report.drawing import GREY, cut
from vaebench.report.sheets import (
    EDGE,
    HEAD,
    TILE,
    axes_in,
    canvas,
    fold,
    grid,
    heading,
    limits_of,
    paired,
    rgb,
    sheet,
    starts,
    write_at,
    zoomed,
)

SMALL = 50                     # pixels of an image in the overview
SAMPLES, STRIP = 8, 12         # images in a row of samples, and of the overview
ACROSS = 5                     # panels of curves beside each other
TALL = 24                      # rows of the overview in one block


class Cell(NamedTuple):
    """A result and where its arrays lie."""
    result: dict
    path: pathlib.Path | None
    number: int = 1                # of its row in the table, from 1
    listing: pathlib.Path | None = None    # its sentences

    def arrays(self, *kinds):
        """name -> array, {} where there are none; if any kind, the first part of a name, is given, only of these."""
        if self.path is None:
            return {}
        try:
            with np.load(self.path) as kept:
                return {k: kept[k] for k in kept.files if (k.split('/')[0] in kinds if kinds else
                                                           k.split('/')[0] not in ('nll', 'ess', 'listing'))}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            raise UserError(f'{self.path}: not readable as arrays; move it and the .json of that name away, and run '
                            'the table again') from None


def collect(folders, names=()):
    """The cells of every table of some folders.

    Args:
      folders: workdirs, or folders of result files with their arrays.
      names: table ids; () for all.

    Returns:
      (table id -> list of `Cell`, in the table's order; problems, one line for each file that was left out).

    Raises:
      UserError: a folder is missing, there is no such table, or no result has arrays beside it.
    """
    found, plans, problems = tables.gather(folders)
    known = list(dict.fromkeys(f.result.table for f in found))
    for name in names if found else ():
        if name not in known:
            raise unknown('table', name, known)
    out = {}
    for name in names or known:
        own = tables.one_dataset([f for f in found if f.result.table == name], problems)
        listed = plans[name].rows if name in plans else [f.result for f in own]
        order = dict.fromkeys(row for _, row in sorted({(r.order, r.row) for r in listed}))
        number = {row: i for i, row in enumerate(order, 1)}              # as in `tables.Table`
        own, _ = tables.one_setting(own, problems)
        out[name] = [Cell(f.result, _there(f.path.with_suffix('.npz')), number.get(f.result.row, len(number) + 1),
                          _there(f.path.resolve().parent.parent / 'listings' / f'{f.path.stem}.txt')) for f in own]
        lost = sum(c.path is None for c in out[name])
        if 0 < lost < len(own):
            problems.append(f'table {name!r}: {lost} of {len(own)} results have no .npz beside them, so no pictures')
    every = [c for cells in out.values() for c in cells]
    if every and not any(c.path for c in every):
        raise UserError(f'no .npz beside the results of {", ".join(map(str, folders))}: pictures need the workdir of '
                        'the run, not copies of its .json files')
    return out, problems


def _there(path):
    return path if path.exists() else None


# Pictures of a cell.

def _name(result):
    return result.label, f', seed {result.seed}'


def _images(arrays, *keys):
    """Whether these arrays are there and are images."""
    return all(k in arrays and arrays[k].ndim >= 4 for k in keys)


def samples(arrays, name):
    """A grid of samples from the prior."""
    if not _images(arrays, 'sample/x'):
        return None
    return sheet(grid(fold(zoomed(rgb(arrays['sample/x'])), SAMPLES)), name, 'Samples')


def reconstructions(arrays, name):
    """Test images above their reconstructions."""
    if not _images(arrays, 'real/x', 'decoded/x'):
        return None
    tiles = paired(*(zoomed(rgb(arrays[k]), .75 * TILE) for k in ('real/x', 'decoded/x')))
    return sheet(grid(tiles, rows=range(2, len(tiles), 2)), name, 'Test images, and below each its reconstruction')


def interpolations(arrays, name):
    """Straight lines between codes, with the images at their ends where these are of images."""
    x = arrays.get('interpolation/x')
    if x is None:
        return None
    coded = 'codes' in arrays
    between = 'codes of test examples' if coded else 'draws from the prior'
    if not _images(arrays, 'interpolation/x'):
        return paths(arrays, x, name, f'Decoded straight lines between {between}')
    tiles = rgb(x)
    if coded and len(arrays.get('real/x', ())) >= 2 * len(x):
        ends = rgb(arrays['real/x'])[:2 * len(x)]
        tiles = np.concatenate([ends[0::2, None], tiles, ends[1::2, None]], 1)
        between += ', whose originals are outside'
    tiles = zoomed(tiles, .75 * TILE)
    wide = (1, tiles.shape[1] - 1) if tiles.shape[1] > x.shape[1] else ()
    return sheet(grid(tiles, columns=wide), name, f'Straight lines between {between}')


def traversals(arrays, name):
    """One dimension of a code after the other from -3 to 3, ordered by what it carries."""
    x = arrays.get('traversal/x')
    if x is None:
        return None
    kind, unit, text = (('kl', ' nats', 'mean KL') if 'traversal/kl' in arrays else
                        ('variance', '', 'variance over codes'))
    each = zip(arrays['traversal/dim'], arrays[f'traversal/{kind}'], strict=True)
    labels = [f'z{d + 1}: {rate:.3g}{unit}' for d, rate in each]
    caption = f'Dimensions of one code from −3 to 3, by their {text}'
    if not _images(arrays, 'traversal/x'):
        return paths(arrays, x, name, caption, labels)
    tiles, left, below = zoomed(rgb(x), .75 * TILE), 11 * max(map(len, labels)) + 10, 34
    picture = grid(tiles)
    fig = sheet(picture, name, caption, left, below)
    for label, y in zip(labels, starts(len(tiles), tiles.shape[2]), strict=True):
        write_at(fig, EDGE, HEAD + y + tiles.shape[2] / 2, label)
    values = np.linspace(-3, 3, tiles.shape[1])
    for value, at in zip(values, starts(tiles.shape[1], tiles.shape[3]), strict=True):
        write_at(fig, EDGE + left + at + tiles.shape[3] / 2, HEAD + len(picture) + 18,
                 f'{value:.1f}'.replace('-', '−').removesuffix('.0'), ha='center', fontsize=6.5)
    return fig


# Curves.

def panels(arrays):
    """What curves there are, a line of panels for each player and one for what only validation measures.

    Args:
      arrays: with 'curve/train/<player>/<term>', 'curve/valid/<quantity>' [epochs]; a player's number of updates is
        left out where it never changes.

    Returns:
      List of (player or 'validation', [(term, training values or None, validation values or None)]).
    """
    train, valid = {}, {k.split('/', 2)[2]: v for k, v in sorted(arrays.items()) if k.startswith('curve/valid/')}
    for key, v in sorted(arrays.items()):
        if key.startswith('curve/train/'):
            player, term = key.removeprefix('curve/train/').split('/', 1)
            if term != 'updates' or len(np.unique(v[np.isfinite(v)])) > 1:
                train.setdefault(player, []).append((term, v, valid.get(term)))
    met = {term for terms in train.values() for term, _, _ in terms}
    rest = [(term, None, v) for term, v in valid.items() if term not in met]
    return [*({p: sorted(t, key=lambda x: x[0] != 'loss') for p, t in train.items()}.items()),
            *([('validation', rest)] if rest else [])]


def curves(arrays, name):
    """Every loss and term of every player over the train steps, and validation beside."""
    lines, step = panels(arrays), arrays.get('curve/step')
    if step is None or not lines:
        return None
    from matplotlib.ticker import FuncFormatter, MaxNLocator
    columns = min(ACROSS, max(len(terms) for _, terms in lines))
    placed, row = [], 0                               # a line wraps after `columns` panels
    for player, terms in lines:
        placed += [(row + i // columns, i % columns, player if i == 0 else '', *t) for i, t in enumerate(terms)]
        row += -(-len(terms) // columns)
    width, height, across, down = 290, 170, 390, 265
    fig = canvas(max(across * columns + 2 * EDGE, 720), HEAD + down * row + 40)
    for i, j, player, term, train, valid in placed:
        left, top = EDGE + 75 + across * j, HEAD + 60 + down * i
        axes = axes_in(fig, (left, top, width, height))
        for v, colour, style in ((train, BLUE, '-'), (valid, RED, '--')):
            if v is not None:
                axes.plot(step, v, style, color=colour, lw=1., marker='.' if len(step) <= 50 else '', ms=3)
        both = np.concatenate([v[np.isfinite(v)] for v in (train, valid) if v is not None])
        if len(both) and both.min() > 0 and both.max() > 1000 * both.min():
            axes.set_yscale('log')
            axes.yaxis.set_minor_formatter(FuncFormatter(lambda y, _: ''))
        else:
            axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:.5g}'.replace('-', '−')))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{x:,.0f}'))
        axes.grid(color='#e4e4e4', lw=.5)
        for side in ('top', 'right'):
            axes.spines[side].set_visible(False)
        if player:
            write_at(fig, EDGE, top - 36, player, fontsize=8.5, weight='bold')
        write_at(fig, left, top - 10, term)
    write_at(fig, EDGE + 75, HEAD + down * row + 15, 'train steps', color=GREY)
    shown = ('training, mean of an epoch', BLUE), ('validation (dashed)', RED)
    heading(fig, name, *shown[:1 + any(line[-1] is not None for line in placed)])
    return fig


PICTURES = {'samples': samples, 'reconstructions': reconstructions, 'interpolations': interpolations,
            'traversals': traversals, 'density': density, 'latent': latent, 'aggregate': aggregate, 'curves': curves}
"""(arrays of a cell, its name) -> figure, or None where the cell has nothing of the kind."""


# A table at a glance.

def overview(rows, real, title, without=()):
    """Samples of every row of a table below each other, under the data.

    Args:
      rows: list of (label, samples [N, H, W, C] or [N, D]).
      real: [N, H, W, C] or [N, D] test data.
      title: of the table.
      without: labels of rows that have no samples.

    Returns:
      A matplotlib figure.
    """
    note = f'No samples: {", ".join(without)}' if without else ''
    return (_strips if real.ndim == 4 else _clouds)(rows, real, title, note)


def _strips(rows, real, title, note):
    blocks = -(-len(rows) // TALL)
    each = -(-len(rows) // blocks)
    tile = lambda x: zoomed(rgb(x[:STRIP]), SMALL)
    room = 9 * min(drawing.WIDEST, max(6, *(len(label) for label, _ in rows))) + 20
    parts, lines = [], []
    for b in range(blocks):
        own = [('data', real), *rows[b * each:(b + 1) * each]]
        blank = np.full((each + 1 - len(own), min(STRIP, len(real)), *tile(real).shape[1:]), 255, np.uint8)
        strips = [fold(tile(x), min(STRIP, len(real)))[0] for _, x in own]
        parts.append(grid(np.concatenate([np.stack(strips), blank]), rows=(1,), gap=3))
        lines += [(b, i, label) for i, (label, _) in enumerate(own)]
    height, width = parts[0].shape[:2]
    gap = np.full((height, room + 40, 3), 255, np.uint8)
    picture = np.concatenate([x for p in parts for x in (gap, p)][1:], 1)
    fig = sheet(picture, title, 'Samples of the first seed of every row', room, 30 if note else 0)
    size = tile(real).shape[1]
    top = starts(each + 1, size, 3, (1,))
    for b, i, label in lines:
        write_at(fig, EDGE + b * (width + room + 40) + room - 12, HEAD + top[i] + size / 2,
                 cut(label, drawing.WIDEST), ha='right', weight='bold' if i == 0 else 'normal')
    write_at(fig, EDGE, HEAD + height + 30, cut(note, int(fig.bbox.width / 9)), color=GREY)
    return fig


def _clouds(rows, real, title, note):
    view, size, step, down = projection(np.float64(real)), 250, 270, 300
    limits = limits_of(view(np.float64(real)))
    columns = min(6, max(3, math.ceil(math.sqrt(len(rows) + 1))))
    lines = -(-(len(rows) + 1) // columns)
    fig = canvas(step * columns + 2 * EDGE, HEAD + down * lines + 50)
    for i, (label, x) in enumerate([('data', real), *rows]):
        left, top = EDGE + step * (i % columns), HEAD + down * (i // columns)
        axes = axes_in(fig, (left, top + 28, size, size), limits, ticks=False)
        cloud(axes, view(np.float64(x)), limits, BLUE if i else '#000000')
        write_at(fig, left, top + 12, cut(label, 26), weight='normal' if i else 'bold')
    heading(fig, title, 'Samples of the first seed of every row, axes of the data')
    write_at(fig, EDGE, HEAD + down * lines + 20, cut(note, int(fig.bbox.width / 9)), color=GREY)
    return fig


def _overview(cells, kept):
    """The overview of a table's cells, or None; `kept` is {(row, seed): (samples, data)}."""
    order = list(dict.fromkeys(c.result.row for c in cells))
    labels = {c.result.row: c.result.label for c in reversed(cells)}
    first = {}
    for (row, _), arrays in sorted(kept.items(), key=lambda x: x[0][1]):
        first.setdefault(row, arrays)
    rows = [(labels[r], first[r][0]) for r in order if r in first]
    if not rows:
        return None
    real = next(iter(first.values()))[1]
    return overview(rows, real, cells[0].result.title, [labels[r] for r in order if r not in first])


def write(cells, folder):
    """Writes pictures of cells, `<folder>/<table>/<row>.s<seed>.<what>.png`, and of tables, `<folder>/<table>.<what>`.

    Of a table: samples.png; the figures of `figures.of_cells`; of sentences sentences.md, and of its cells .txt files.

    Args:
      cells: what `collect` gave.
      folder: where.

    Yields:
      Path of every file, once it is written.

    Raises:
      UserError: a file of arrays is damaged.
    """
    for table, own in cells.items():
        kept = {}
        for cell in own:
            arrays, result = cell.arrays(), cell.result
            if 'real/x' in arrays and 'sample/x' in arrays:
                kept[result.row, result.seed] = arrays['sample/x'], arrays['real/x']
            for what, make in PICTURES.items():
                path = pathlib.Path(folder) / table / f'{result.row}.s{result.seed}.{what}.png'
                yield from _file(path, make, arrays, _name(result))
            if cell.listing:
                path = path.with_name(f'{result.row}.s{result.seed}.sentences.txt')
                yield _text(path, cell.listing.read_text())
        yield from _file(pathlib.Path(folder) / f'{table}.samples.png', _overview, own, kept)
        if text := sentences.overview(own):
            yield _text(pathlib.Path(folder) / f'{table}.sentences.md', text)
        yield from figures.save(table, figures.of_cells(own), folder)


def _text(path, text):
    files.write_bytes(path, text.encode())
    return path


def _file(path, make, *args):
    with drawing.settings():
        fig = make(*args)
        data = None if fig is None else drawing.encoded(fig)
    if data is not None:
        files.write_bytes(path, data)
        yield path
