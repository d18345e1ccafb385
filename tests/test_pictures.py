"""Pictures of cells and tables: which files there are, what is where in them, and their bytes."""
import io
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from test_results import fake

from vaebench import report
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import clouds, drawing, pictures, sheets


def images(n, h=6, w=6, c=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, h, w, c), dtype=np.uint8)


def curves(n=5):
    t = np.arange(n, dtype=float)
    return {'curve/step': 10 * np.arange(n), 'curve/train/critic/loss': -t,
            'curve/train/critic/updates': np.full(n, 5.), 'curve/train/gen/loss': t**2,
            'curve/train/gen/kl': np.where(t < 2, np.nan, 10.**t), 'curve/valid/kl': t + 1, 'curve/valid/elbo': t}


def autoencoder(z=2, n=40, seed=0):
    """Arrays of an autoencoder with a prior."""
    rng = np.random.default_rng(seed)
    dims = min(z, 10)
    return {'real/x': images(32), 'decoded/x': images(32, seed=1), 'sample/x': images(64, seed=2),
            'interpolation/x': images(80, seed=3).reshape(8, 10, 6, 6, 1), 'codes': np.float32(rng.normal(size=(n, z))),
            'traversal/x': images(11 * dims, seed=4).reshape(dims, 11, 6, 6, 1), 'traversal/dim': np.arange(dims)[::-1],
            'traversal/kl': np.linspace(2, 0, dims), 'label': np.arange(n) % 3, 'nll': np.zeros(n), **curves()}


def points(d=2, n=60, **more):
    rng = np.random.default_rng(0)
    x = np.float32(rng.normal(size=(n, d)))
    return {'real/x': x, 'sample/x': x + 1, **more}


def put(folder, **rows):
    """A table of {row: arrays or None}, one seed each."""
    for order, (row, arrays) in enumerate(rows.items()):
        results.write(folder, fake(row, 0, order=order, metrics={}), arrays)
    return folder


def draw(folder, out):
    cells, problems = pictures.collect([folder])
    assert problems == []
    return {str(p.relative_to(out)): p.read_bytes() for p in pictures.write(cells, out)}


def pixels(fig):
    """What is in the file of a figure: uint8 [height, width, 3]."""
    from matplotlib.image import imread
    return np.uint8(np.round(255 * imread(io.BytesIO(drawing.encoded(fig)), 'png')))[..., :3]


# Grids.

def test_bytes_of_images():
    x = np.array([[[-1., .2, .4], [.25, np.nan, 1.001]]])
    np.testing.assert_array_equal(sheets.rgb(x), [[[0, 51, 102], [64, 0, 255]]])
    grey = images(2, 3, 4)
    np.testing.assert_array_equal(sheets.rgb(grey), grey.repeat(3, -1))
    four = images(2, 3, 4, 4)
    np.testing.assert_array_equal(sheets.rgb(four), four[..., :3])
    two = images(1, 2, 2, 2)
    np.testing.assert_array_equal(sheets.rgb(two), two[..., :1].repeat(3, -1))


def test_grid_pixel_by_pixel():
    tiles = sheets.rgb(images(6, 2, 3)).reshape(2, 3, 2, 3, 3)
    out = sheets.grid(tiles, gap=1, rows=(1,), columns=(1, 2), wide=4)
    assert out.shape == (2 + 4 + 2, 3 + 4 + 3 + 4 + 3, 3)
    assert sheets.starts(3, 3, 1, (1, 2), 4) == [0, 7, 14] and sheets.starts(2, 2, 1, (1,), 4) == [0, 6]
    want = np.full(out.shape, 255)
    want[:2, :3], want[:2, 7:10], want[:2, 14:] = tiles[0]
    want[6:, :3], want[6:, 7:10], want[6:, 14:] = tiles[1]
    np.testing.assert_array_equal(out, want)
    narrow = sheets.grid(tiles, gap=2)
    np.testing.assert_array_equal(narrow[4:, 5:8], tiles[1, 1])
    assert narrow.shape == (6, 13, 3) and (narrow[2:4] == 255).all() and (narrow[:, 3:5] == 255).all()


def test_pairs_stand_below_each_other():
    real, decoded = sheets.rgb(images(5)), sheets.rgb(images(5, seed=1))
    out = sheets.paired(real, decoded, 3)
    assert out.shape == (4, 3, 6, 6, 3)
    np.testing.assert_array_equal(out[0], real[:3])
    np.testing.assert_array_equal(out[1], decoded[:3])
    np.testing.assert_array_equal(out[2, :2], real[3:])
    np.testing.assert_array_equal(out[3, :2], decoded[3:])
    assert (out[2:, 2] == 255).all()


@pytest.mark.parametrize(('side', 'times'), [(8, 11), (28, 3), (32, 3), (64, 1), (200, 1)])
def test_enlarged_by_a_whole_number(side, times):
    x = sheets.rgb(images(1, side, side))
    out = sheets.zoomed(x)
    assert out.shape == (1, times * side, times * side, 3)
    np.testing.assert_array_equal(out[:, ::times, ::times], x)


def test_a_sheet_shows_the_pixels_themselves():
    picture = sheets.rgb(images(1, 90, 70))[0]
    fig = sheets.sheet(picture, 'A title', 'and a caption', left=40, below=20)
    seen = pixels(fig)
    assert seen.shape == (90 + sheets.HEAD + sheets.EDGE + 20, 520 + 2 * sheets.EDGE, 3)
    top, left = sheets.HEAD, sheets.EDGE + 40
    np.testing.assert_array_equal(seen[top:top + 90, left:left + 70], picture)
    assert (seen[top + 90:] == 255).all() and (seen[:sheets.HEAD] < 255).any()


def test_what_cells_show_where():
    arrays = autoencoder()
    at = lambda fig, y, x: pixels(fig)[sheets.HEAD + y:, sheets.EDGE + x:]
    big = lambda x, size: sheets.zoomed(sheets.rgb(x), size)
    tile = big(arrays['sample/x'], 84)
    side = tile.shape[1]
    np.testing.assert_array_equal(at(pictures.samples(arrays, 'x'), side + 2, 0)[:side, :side], tile[8])
    tile, codes = big(arrays['decoded/x'], 63), big(arrays['interpolation/x'], 63)
    side = tile.shape[1]
    both = pictures.reconstructions(arrays, 'x')
    np.testing.assert_array_equal(at(both, side + 2, 0)[:side, :side], tile[0])
    np.testing.assert_array_equal(at(both, 3 * side + 2 + 10 + 2, side + 2)[:side, :side], tile[17])
    lines = at(pictures.interpolations(arrays, 'x'), 0, 0)
    np.testing.assert_array_equal(lines[:side, :side], big(arrays['real/x'], 63)[0])
    np.testing.assert_array_equal(lines[:side, side + 10:2 * side + 10], codes[0, 0])
    last = 10 * (side + 2) + 8
    np.testing.assert_array_equal(lines[:side, last:last + side], codes[0, 9])
    np.testing.assert_array_equal(lines[:side, last + side + 10:last + 2 * side + 10], big(arrays['real/x'], 63)[1])
    drawn = {k: v for k, v in arrays.items() if k != 'codes'}                # between draws there are no originals
    np.testing.assert_array_equal(at(pictures.interpolations(drawn, 'x'), 0, 0)[:side, :side], codes[0, 0])


def words(fig):
    return [t.get_text() for t in fig.texts]


def test_traversals_say_which_dimension():
    fig = pictures.traversals(autoencoder(z=12), ('VAE', ', seed 3'))
    assert words(fig)[0] == 'VAE, seed 3' and words(fig)[2:4] == ['z10: 2 nats', 'z9: 1.78 nats']
    assert words(fig)[12:] == ['−3', '−2.4', '−1.8', '−1.2', '−0.6', '0', '0.6', '1.2', '1.8', '2.4', '3']
    arrays = autoencoder()
    arrays['traversal/variance'] = arrays.pop('traversal/kl')
    fig = pictures.traversals(arrays, 'AE')
    assert 'variance over codes' in words(fig)[1] and words(fig)[2] == 'z2: 2'


# Files.

CELL = {'samples', 'reconstructions', 'interpolations', 'traversals', 'latent', 'aggregate', 'curves'}


@pytest.mark.parametrize(('arrays', 'want'), [
    (autoencoder(), CELL),
    ({k: v for k, v in autoencoder().items() if k != 'sample/x'}, CELL - {'samples'}),
    ({'real/x': images(8), 'sample/x': images(64), **curves()}, {'samples', 'curves'}),
    ({'real/x': images(8), 'decoded/x': images(8)}, {'reconstructions'}),
    ({'real/x': images(8), 'codes': np.zeros((8, 2)), 'label': np.zeros(8, int)}, {'latent', 'aggregate'}),
    (points(**curves()), {'density', 'curves'}),
    (points(interpolation=0, **{'interpolation/x': np.zeros((3, 10, 2)), 'traversal/x': np.zeros((2, 11, 2)),
                                'traversal/dim': np.arange(2), 'traversal/variance': np.ones(2)}),
     {'density', 'interpolations', 'traversals'}),
    ({'real/x': points()['real/x']}, set()),
    ({'codes': np.zeros((8, 2)), 'listing/greedy': np.zeros((16, 5), int), **curves()},
     {'aggregate', 'curves'}),                                                        # sentences
    ({'nll': np.zeros(3)}, set())])
def test_files_of_a_cell(tmp_path, arrays, want):
    files = draw(put(tmp_path / 'r', vae=arrays), tmp_path / 'out')
    own = {f'toy/vae.s0.{what}.png' for what in want}
    own |= {f'toy.{name}.{form}' for name in ('elbo-seconds', 'kl-steps') for form in ('png', 'svg', 'csv')
            if 'curves' in want}
    assert set(files) == own | ({'toy.samples.png'} if {'real/x', 'sample/x'} <= set(arrays) else set())
    assert all(data[:4] == b'\x89PNG' for name, data in files.items() if name.endswith('.png'))
    assert {str(p.relative_to(tmp_path / 'out')) for p in (tmp_path / 'out').rglob('*.*')} == set(files)


def test_failed_and_lost_cells(tmp_path):
    put(tmp_path, vae=autoencoder(), lost=None)
    results.write(tmp_path, fake('bad', 0, order=2, status='failed', reason='not finite', metrics={}), curves())
    cells, problems = pictures.collect([tmp_path])
    assert problems == ["table 'toy': 1 of 3 results have no .npz beside them, so no pictures"]
    names = [p.name for p in pictures.write(cells, tmp_path / 'out')]
    assert 'bad.s0.curves.png' in names and not [n for n in names if n.startswith('lost')]


def test_overview_has_the_first_seed_of_every_row(tmp_path):
    rows = [('A', images(64)), ('B', images(5, seed=1))]
    fig = pictures.overview(rows, images(20, seed=2), 'Digits', ['AE', 'PCA'])
    assert words(fig) == ['Digits', 'Samples of the first seed of every row', 'data', 'A', 'B', 'No samples: AE, PCA']
    seen, tile = pixels(fig), sheets.zoomed(sheets.rgb(images(5, seed=1)), 50)
    side = tile.shape[1]
    left, top = sheets.EDGE + 9 * 6 + 20, sheets.HEAD + 2 * (side + 3) + 7
    np.testing.assert_array_equal(seen[top:top + side, left:left + side], tile[0])
    np.testing.assert_array_equal(seen[top:top + side, left + 4 * (side + 3):][:, :side], tile[4])
    assert (seen[top:top + side, left + 5 * (side + 3):] == 255).all()                # five samples and no more
    for seed in (1, 0):
        arrays = {'real/x': images(20), 'sample/x': images(64, seed=seed)}
        results.write(tmp_path, fake('vae', seed, metrics={}), arrays)
    cells, _ = pictures.collect([tmp_path])
    assert [c.result.seed for c in cells['toy']] == [0, 1]
    *_, last = pictures.write(cells, tmp_path / 'out')
    one = pictures.overview([('VAE', images(64, seed=0))], images(20), 'Toy table')
    with drawing.settings():
        assert last.name == 'toy.samples.png' and last.read_bytes() == drawing.encoded(one)


def test_overview_of_many_rows_is_in_blocks():
    rows = [(f'row {i}', images(12, seed=i)) for i in range(30)]
    fig = pictures.overview(rows, images(12, seed=99), 'Many')
    seen, tile = pixels(fig), sheets.zoomed(sheets.rgb(images(12, seed=15)), 50)
    side, room = tile.shape[1], 9 * 6 + 20
    width = 12 * (side + 3) - 3
    left, top = sheets.EDGE + width + 2 * room + 40, sheets.HEAD + side + 10
    np.testing.assert_array_equal(seen[top:top + side, left:left + side], tile[0])    # row 15 begins the second block
    assert words(fig).count('data') == 2 and seen.shape[0] < 16 * (side + 3) + sheets.HEAD + sheets.EDGE + 10


def test_overview_of_points():
    fig = pictures.overview([('A', np.float32([[0, 0], [99, 0]])), ('B', points()['real/x'])], points()['real/x'], 'P')
    assert len(fig.axes) == 3 and len({a.get_xlim() for a in fig.axes}) == 1
    assert [len(a.lines[0].get_xdata()) for a in fig.axes] == [60, 1, 60]             # what is outside is not drawn


# Points and codes.

def test_projection():
    x = np.random.default_rng(0).normal(size=(500, 4)) * [1, 9, .1, 3] + 5
    for d in (2, 3):
        np.testing.assert_array_equal(clouds.projection(x[:, :d])(x[:7, :d]), x[:7, :d])
    flat = clouds.projection(x)(x)
    assert flat.shape == (500, 2)
    np.testing.assert_allclose(flat, (x - x.mean(0))[:, [1, 3]], atol=2.)             # along the axes, sign and all
    np.testing.assert_allclose(clouds.projection(x)(x[:3]), flat[:3])
    assert clouds.projection(x[:, :1])(x[:9, :1]).shape == (9, 2)


def test_density_counts_what_is_outside():
    real = np.float32([[0, 0], [1, 1]])
    fig = clouds.density({'real/x': real, 'sample/x': np.float32([[.5, .5], [7, 0], [np.nan, 0]])}, 'x')
    left, right = fig.axes
    assert left.get_xlim() == right.get_xlim() == (-.1, 1.1) and left.get_ylim() == right.get_ylim()
    assert {'data (2)', 'samples (3; 2 of them outside)'} <= set(words(fig))
    np.testing.assert_array_equal(right.lines[0].get_xydata(), [[.5, .5]])


@pytest.mark.parametrize('d', [1, 3, 5])
def test_points_of_other_dimensions(d):
    arrays = points(d, **{'interpolation/x': np.zeros((3, 10, d)), 'codes': np.zeros((60, d))})
    assert len(clouds.density(arrays, 'x').axes) == 2
    assert pictures.interpolations(arrays, 'x').axes[0].name == ('3d' if d == 3 else 'rectilinear')


def test_codes_in_the_plane(monkeypatch):
    codes = np.float32(np.random.default_rng(0).normal(size=(50, 2)))
    codes[7] = np.nan
    rows, at, embedded = clouds.flattened(codes)
    assert not embedded and 7 not in rows and len(rows) == 49
    np.testing.assert_array_equal(at, np.float64(codes[rows]))
    assert clouds.flattened(codes[:, :1])[1].shape == (49, 2)
    assert not clouds.flattened(np.ones((50, 5)))[2]                                  # nothing to embed
    assert len(clouds.flattened(np.full((5, 3), np.nan))[0]) == 0
    monkeypatch.setattr(clouds, 'MOST', 40)
    two = np.repeat([0., 30.], 30)[:, None] + np.random.default_rng(0).normal(size=(60, 5))
    rows, at, embedded = clouds.flattened(two)
    assert embedded and len(rows) == 40 and (np.diff(rows) > 0).all()
    far = np.linalg.norm(at[rows < 30].mean(0) - at[rows >= 30].mean(0))
    assert far > 2 * np.linalg.norm(at[rows < 30] - at[rows < 30].mean(0), axis=1).mean()
    again = clouds.flattened(two)
    np.testing.assert_array_equal(again[0], rows)
    np.testing.assert_array_equal(again[1], at)


def test_codes_are_coloured():
    fig = clouds.latent(autoencoder(n=40), 'x')
    (axes,) = fig.axes
    assert sorted(t.get_text() for t in axes.texts) == ['0', '1', '2'] and len(axes.lines) == 3
    assert sum(len(line.get_xdata()) for line in axes.lines) == 40
    arrays = {'real/x': points()['real/x'], 'codes': points()['real/x'], 'arclength': np.linspace(0, 1, 60)}
    fig = clouds.latent(arrays, 'x')
    assert len(fig.axes) == 2 and 'coloured by arclength' in words(fig)[1]
    del arrays['arclength']
    assert not clouds.latent(arrays, 'x').axes[0].texts
    assert clouds.latent({**arrays, 'codes': np.full((60, 2), np.nan)}, 'x') is None


def test_density_of_the_aggregated_posterior():
    rng = np.random.default_rng(0)
    grid, codes, scale = np.stack([np.linspace(-3, 3, 7)] * 2), rng.normal(size=(30, 2)), rng.uniform(.1, 2, (30, 2))
    want = [[stats.norm.pdf(z, codes[:, d], scale[:, d]).mean() for z in line] for d, line in enumerate(grid)]
    np.testing.assert_allclose(clouds.aggregated(grid, codes, scale), want)
    kernel = stats.gaussian_kde(codes[:, 0])                                          # Scott's rule is its default
    centres, width, what = clouds.posterior({'codes': codes})
    assert what == clouds.MEANS and width.shape == (1, 2)
    np.testing.assert_allclose(clouds.aggregated(grid, centres, width)[0], kernel(grid[0]))
    centres, width, what = clouds.posterior({'codes': codes, 'codes/draw': codes + 1})
    assert what.startswith('one draw') and centres.mean() == pytest.approx(codes.mean() + 1)
    codes[3] = np.nan
    centres, width, what = clouds.posterior({'codes': codes, 'codes/scale': scale, 'codes/draw': codes})
    assert what.startswith('mixture') and len(centres) == len(width) == 29
    np.testing.assert_array_equal(width[:3], scale[:3])


def test_aggregate_orders_dimensions_by_their_gap():
    scale = np.ones((50, 20)) * np.linspace(1, 2, 20)
    fig = clouds.aggregate({'codes': np.zeros((50, 20)), 'codes/scale': scale}, 'x')
    assert len(fig.axes) == 16 and '16 of 20 dimensions: mixture of the Gaussian posteriors' in words(fig)[1]
    gap = lambda s: (s * s - 1) / 2 - np.log(s)                                       # KL of N(0, s^2) from N(0, 1)
    assert words(fig)[3] == f'z20: KL {gap(2):.3g} nats' and words(fig)[4] == f'z19: KL {gap(scale[0, -2]):.3g} nats'
    prior = fig.axes[0].lines[1]
    np.testing.assert_allclose(prior.get_ydata(), stats.norm.pdf(prior.get_xdata()))
    shifted = clouds.aggregate({'codes': np.full((50, 1), 2.), 'codes/scale': np.ones((50, 1))}, 'x')
    assert words(shifted)[3] == 'z1: KL 2 nats'
    assert 'KL of means' in words(clouds.aggregate({'codes': np.zeros((50, 1))}, 'x'))[3]
    assert clouds.aggregate({'codes': np.full((5, 2), np.nan)}, 'x') is None


def overlap(boxes):
    wide = np.minimum(boxes[:, None, 2], boxes[:, 2]) - np.maximum(boxes[:, None, 0], boxes[:, 0])
    tall = np.minimum(boxes[:, None, 3], boxes[:, 3]) - np.maximum(boxes[:, None, 1], boxes[:, 1])
    return np.triu((wide > 1) & (tall > 1), 1).sum()


def test_class_numbers_are_apart_even_where_codes_collapse():
    codes = np.random.default_rng(0).normal(size=(500, 2))
    arrays = {'real/x': images(8), 'codes': codes, 'label': np.arange(500) % 25}
    fig = clouds.latent(arrays, 'x')
    fig.canvas.draw()
    boxes = np.array([t.get_window_extent().extents for t in fig.axes[0].texts]) + (2, 5, -2, -5)
    assert len(boxes) == 25 and overlap(boxes) == 0


NAME = 'A method with quite a long name (at most 99 inner steps)', ', seed 12'


@pytest.mark.parametrize('make', [
    *[lambda f=f: f(autoencoder(z=12), NAME) for f in (
        pictures.samples, pictures.reconstructions, pictures.interpolations, pictures.traversals, pictures.curves)],
    lambda: clouds.latent(autoencoder(), NAME), lambda: clouds.aggregate(autoencoder(), NAME),
    lambda: clouds.aggregate({'codes': np.random.default_rng(0).normal(size=(9, 17))}, NAME),
    lambda: clouds.density(points(), NAME),
    lambda: clouds.density({**points(), 'sample/x': np.full((2000, 2), 99.)}, NAME),
    lambda: pictures.overview([(NAME[0], images(12)), ('AE', images(12))], images(12), NAME[0], ['PCA'] * 90),
    lambda: pictures.overview([(NAME[0], points()['real/x'])] * 7, points()['real/x'], NAME[0], ['PCA'] * 90)])
def test_texts_are_inside_and_apart(make):
    with drawing.settings():
        fig = make()
        fig.canvas.draw()
        ticks = [t.label1 for a in fig.axes for axis in (a.xaxis, a.yaxis) for t in axis.get_major_ticks()
                 if min(axis.get_view_interval()) <= t.get_loc() <= max(axis.get_view_interval())]
        boxes = np.array([t.get_window_extent().extents for t in (*fig.texts, *ticks) if t.get_text()])
    assert (boxes >= 0).all() and (boxes[:, 2] <= fig.bbox.width).all() and (boxes[:, 3] <= fig.bbox.height).all()
    boxes = boxes[(boxes[:, 2] > boxes[:, 0])] + (0, 3, 0, -3)                        # letters are less tall than lines
    assert overlap(boxes) == 0


# Curves.

def test_panels():
    lines = dict(pictures.panels(curves()))
    assert list(lines) == ['critic', 'gen', 'validation']
    assert [t[0] for t in lines['critic']] == ['loss'] and [t[0] for t in lines['gen']] == ['loss', 'kl']
    term, train, valid = lines['gen'][1]
    np.testing.assert_array_equal(train, curves()['curve/train/gen/kl'])
    np.testing.assert_array_equal(valid, curves()['curve/valid/kl'])
    assert [t[0] for t in lines['validation']] == ['elbo'] and lines['validation'][0][1] is None
    varied = {**curves(), 'curve/train/critic/updates': np.arange(5.)}
    assert [t[0] for t in dict(pictures.panels(varied))['critic']] == ['loss', 'updates']
    nothing = {'curve/train/gen/updates': np.full(3, np.nan), 'curve/train/gen/loss': np.full(3, np.nan)}
    assert [t[0] for t in dict(pictures.panels(nothing))['gen']] == ['loss']


def test_curves():
    fig = pictures.curves(curves(), 'x')
    titles = words(fig)
    assert {'critic', 'gen', 'validation', 'loss', 'kl', 'elbo', 'train steps'} <= set(titles)
    kl = next(a for a in fig.axes if len(a.lines) == 2)
    assert kl.get_yscale() == 'log' and kl.lines[1].get_linestyle() == '--'
    np.testing.assert_array_equal(kl.lines[0].get_xdata(), curves()['curve/step'])
    wide = {'curve/step': np.arange(3), **{f'curve/train/vae/term{i}': np.arange(3.) for i in range(7)}}
    fig = pictures.curves(wide, 'x')
    assert len({round(a.get_position().y0, 6) for a in fig.axes}) == 2 and 'validation (dashed)' not in words(fig)
    assert pictures.curves({'curve/step': np.arange(3)}, 'x') is None


# Bytes and the command.

@pytest.mark.slow
def test_bytes_are_the_same_whatever_the_settings(tmp_path):
    import matplotlib
    put(tmp_path / 'r', vae=autoencoder(z=5), gan={'real/x': images(8), 'sample/x': images(64), **curves()})
    first = draw(tmp_path / 'r', tmp_path / 'a')
    with matplotlib.rc_context({'font.size': 20, 'axes.facecolor': 'red'}):
        assert draw(tmp_path / 'r', tmp_path / 'b') == first
    for word in (b'Software', b'Creation', b'tEXt', b'tIME'):
        assert not any(word in data for data in first.values())
    command = [sys.executable, '-m', 'vaebench.report', f'--results={tmp_path / "r"}', f'--pictures={tmp_path / "c"}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == ''.join(f'written to {tmp_path / "c" / name}\n' for name in first)
    assert {name: (tmp_path / 'c' / name).read_bytes() for name in first} == first


def test_command(tmp_path, capsys):
    put(tmp_path / 'r', vae=autoencoder())
    results.write(tmp_path / 'r', fake('vae', 0, table='two', config_hash='1' * 10, metrics={}), curves())
    call = lambda *more: report.main(['x', f'--pictures={tmp_path / "p"}', *more])
    assert call(f'--results={tmp_path / "r"}', '--table=two') == 0
    assert {str(p.relative_to(tmp_path / 'p')) for p in (tmp_path / 'p').rglob('*.png')} == {
        'two/vae.s0.curves.png', 'two.elbo-seconds.png', 'two.kl-steps.png'}
    assert call(f'--results={tmp_path / "r"}') == 0                   # rows of one name in two tables
    assert {p.parent.name for p in (tmp_path / 'p').rglob('vae.s0.curves.png')} == {'toy', 'two'}
    put(tmp_path / 'bare', vae=None, gan=None)
    put(tmp_path / 'broken', vae=autoencoder())
    next((tmp_path / 'broken').glob('*.npz')).write_bytes(b'PK no archive')
    capsys.readouterr()
    for arguments, message in [
            ([f'--results={tmp_path / "bare"}'],
             f'no .npz beside the results of {tmp_path / "bare"}: pictures need the workdir of the run'),
            ([f'--results={tmp_path / "r"}', '--table=tow'], "did you mean 'two'"),
            ([f'--results={tmp_path / "broken"}'], 'not readable as arrays'),
            ([f'--results={tmp_path}'], f'no results in {tmp_path}'), ([], 'no results named')]:
        assert call(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith('vaebench-report: ') and err.count('\n') == 1 and message in err


def test_two_settings_of_a_row_are_left_out(tmp_path):
    put(tmp_path, vae=autoencoder())
    results.write(tmp_path, fake('vae', 1, config_hash='1' * 10, metrics={}), curves())
    cells, problems = pictures.collect([tmp_path])
    assert cells == {'toy': []} and 'two settings of row' in problems[0]
    with pytest.raises(UserError, match='no such folder'):
        pictures.collect([tmp_path / 'none'])


def test_matplotlib_is_for_drawing_only():
    code = ('import sys, vaebench.report.pictures; '
            'assert not {"matplotlib", "jax", "sklearn"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
