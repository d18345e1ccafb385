"""Pictures of cells and tables: which there are, what is where in them, and their bytes."""
import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from test_results import fake

from vaebench import report
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import figures
from vaebench.report.figures import (
    canvas,
    factor_code,
    image_grid,
    losses,
    samples,
    style,
)


def images(n, h=6, w=6, c=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, h, w, c), dtype=np.uint8)


def curves(n=5):
    t = np.arange(n, dtype=float)
    return {'curve/step': 10 * np.arange(n), 'curve/train/critic/loss': -t,
            'curve/train/critic/updates': np.full(n, 5.), 'curve/train/gen/loss': t**2,
            'curve/train/gen/kl': np.where(t < 2, np.nan, 10.**t), 'curve/valid/kl': t + 1,
            'curve/valid/elbo': t}


def autoencoder(z=2, n=40, seed=0):
    """Arrays of an autoencoder with a prior."""
    rng = np.random.default_rng(seed)
    dims = min(z, 10)
    return {'real/x': images(32), 'decoded/x': images(32, seed=1),
            'sample/x': images(64, seed=2),
            'interpolation/x': images(80, seed=3).reshape(8, 10, 6, 6, 1),
            'codes': np.float32(rng.normal(size=(n, z))),
            'traversal/x': images(11 * dims, seed=4).reshape(dims, 11, 6, 6, 1),
            'traversal/dim': np.arange(dims)[::-1], 'traversal/kl': np.linspace(2, 0, dims),
            'label': np.arange(n) % 3, 'nll': np.zeros(n), **curves()}


def factors(z=12, f=3, seed=0):
    """What a cell of known factors leaves: dimension 0 carries least, and knows of factor 0."""
    share = np.random.default_rng(seed).uniform(0, .04, (z, f))
    share[0, 0] = .9
    return {'factors/information': share, 'factors/importance': share / share.sum(0), 'factors/kl': np.arange(z) / 2,
            'factors/name': np.array(['shape', 'scale', 'orientation'][:f])}


def points(d=2, n=60, **more):
    x = np.float32(np.random.default_rng(0).normal(size=(n, d)))
    return {'real/x': x, 'sample/x': x + 1, **more}


REAL = points()['real/x']


def gan():
    return {'real/x': images(8), 'sample/x': images(64)}


def put(folder, **rows):
    """A table of {row: arrays or None}, one seed each."""
    for order, (row, arrays) in enumerate(rows.items()):
        results.write(folder, fake(row, 0, order=order, metrics={}), arrays)
    return folder


def draw(folder, out):
    cells, problems = figures.collect_cells([folder])
    assert problems == []
    paths = figures.write_pictures(cells, out)
    return {str(p.relative_to(out)): p.read_bytes() for p in paths}


def pixels(fig):
    """What is in the file of a figure: uint8 [height, width, 3]."""
    from matplotlib.image import imread
    return np.uint8(np.round(255 * imread(io.BytesIO(style.encode(fig)), 'png')))[..., :3]


# Grids.

def test_bytes_of_images():
    x = np.array([[[-1., .2, .4], [.25, np.nan, 1.001]]])
    np.testing.assert_array_equal(image_grid.to_rgb(x), [[[0, 51, 102], [64, 0, 255]]])
    grey = images(2, 3, 4)
    np.testing.assert_array_equal(image_grid.to_rgb(grey), grey.repeat(3, -1))
    four = images(2, 3, 4, 4)
    np.testing.assert_array_equal(image_grid.to_rgb(four), four[..., :3])
    two = images(1, 2, 2, 2)
    np.testing.assert_array_equal(image_grid.to_rgb(two), two[..., :1].repeat(3, -1))


def test_grid_pixel_by_pixel():
    tiles = image_grid.to_rgb(images(6, 2, 3)).reshape(2, 3, 2, 3, 3)
    out = image_grid.tile_images(tiles, gap=1, rows=(1,), columns=(1, 2), wide_gap=4)
    assert out.shape == (2 + 4 + 2, 3 + 4 + 3 + 4 + 3, 3)
    assert image_grid.tile_starts(3, 3, 1, (1, 2), 4) == [0, 7, 14]
    assert image_grid.tile_starts(2, 2, 1, (1,), 4) == [0, 6]
    want = np.full(out.shape, 255)
    want[:2, :3], want[:2, 7:10], want[:2, 14:] = tiles[0]
    want[6:, :3], want[6:, 7:10], want[6:, 14:] = tiles[1]
    np.testing.assert_array_equal(out, want)
    narrow = image_grid.tile_images(tiles, gap=2)
    np.testing.assert_array_equal(narrow[4:, 5:8], tiles[1, 1])
    assert narrow.shape == (6, 13, 3)
    assert (narrow[2:4] == 255).all() and (narrow[:, 3:5] == 255).all()


def test_pairs_stand_below_each_other():
    real, decoded = image_grid.to_rgb(images(5)), image_grid.to_rgb(images(5, seed=1))
    out = image_grid.interleave_rows(real, decoded, 3)
    assert out.shape == (4, 3, 6, 6, 3)
    np.testing.assert_array_equal(out[0], real[:3])
    np.testing.assert_array_equal(out[1], decoded[:3])
    np.testing.assert_array_equal(out[2, :2], real[3:])
    np.testing.assert_array_equal(out[3, :2], decoded[3:])
    assert (out[2:, 2] == 255).all()


@pytest.mark.parametrize(('side', 'times'), [(8, 11), (28, 3), (32, 3), (64, 1), (200, 1)])
def test_enlarged_by_a_whole_number(side, times):
    x = image_grid.to_rgb(images(1, side, side))
    out = image_grid.enlarge(x)
    assert out.shape == (1, times * side, times * side, 3)
    np.testing.assert_array_equal(out[:, ::times, ::times], x)


def test_a_figure_shows_the_pixels_themselves():
    picture = image_grid.to_rgb(images(1, 90, 70))[0]
    fig = image_grid.show_pixels(picture, 'A title', 'and a caption', left=40, below=20)
    seen = pixels(fig)
    head, edge = canvas.HEAD, canvas.EDGE
    assert seen.shape == (90 + head + edge + 20, 520 + 2 * edge, 3)
    np.testing.assert_array_equal(seen[head:head + 90, edge + 40:edge + 110], picture)
    assert (seen[head + 90:] == 255).all() and (seen[:head] < 255).any()


def test_what_cells_show_where():
    arrays = autoencoder()
    at = lambda fig, y, x: pixels(fig)[canvas.HEAD + y:, canvas.EDGE + x:]
    big = lambda x, size: image_grid.enlarge(image_grid.to_rgb(x), size)
    tile = big(arrays['sample/x'], 84)
    side = tile.shape[1]
    grid = at(samples.samples(arrays, 'x'), side + 2, 0)
    np.testing.assert_array_equal(grid[:side, :side], tile[8])
    tile, codes = big(arrays['decoded/x'], 63), big(arrays['interpolation/x'], 63)
    real, side = big(arrays['real/x'], 63), tile.shape[1]
    both = at(samples.reconstructions(arrays, 'x'), 0, 0)
    np.testing.assert_array_equal(both[side + 2:2 * side + 2, :side], tile[0])
    second = both[3 * side + 2 + 10 + 2:, side + 2:]
    np.testing.assert_array_equal(second[:side, :side], tile[17])
    lines = at(samples.interpolations(arrays, 'x'), 0, 0)[:side]
    np.testing.assert_array_equal(lines[:, :side], real[0])
    np.testing.assert_array_equal(lines[:, side + 10:2 * side + 10], codes[0, 0])
    last = 10 * (side + 2) + 8
    np.testing.assert_array_equal(lines[:, last:last + side], codes[0, 9])
    np.testing.assert_array_equal(lines[:, last + side + 10:last + 2 * side + 10], real[1])
    drawn = {k: v for k, v in arrays.items() if k != 'codes'}      # draws have no originals
    lines = at(samples.interpolations(drawn, 'x'), 0, 0)[:side]
    np.testing.assert_array_equal(lines[:, :side], codes[0, 0])


def words(fig):
    return [t.get_text() for t in fig.texts]


def test_factors_and_the_dimensions_that_answer_to_them():
    fig = factor_code.factor_code(factors(), ('VAE', ', seed 3'))
    said = [t.get_text() for t in fig.texts]
    assert said[:2] == ['VAE, seed 3', 'What dimensions of the posterior means tell of factors']
    assert [t for t in said if t.startswith('z')] == [f'z{d + 1}: {d / 2:.3g} nats' for d in range(11, -1, -1)]
    assert said.count('orientation') == 2 and said.count('0.90') == 1              # a panel each
    one, both = (len(factor_code.factor_code(a, 'x').axes) for a in (
        {k: v for k, v in factors().items() if k != 'factors/importance'}, factors()))
    assert (one, both) == (1, 2) and factor_code.factor_code({'codes': np.zeros((3, 2))}, 'x') is None
    assert factor_code.answers(factors()) == ['shape'] + [''] * 11
    order, _ = factor_code.ordered_dims(factors(z=50))
    assert order.tolist() == list(range(49, 17, -1))


def test_traversals_name_what_a_dimension_tells_of():
    arrays = autoencoder(z=12) | factors()
    labels = [t.get_text() for t in samples.traversals(arrays, 'VAE').texts if t.get_text().startswith('z')]
    assert labels[-1] == 'z1: 0 nats' and labels[0].endswith('nats')       # dead, and told nothing
    arrays['traversal/kl'] = arrays['traversal/kl'] + 1
    labels = [t.get_text() for t in samples.traversals(arrays, 'VAE').texts if t.get_text().startswith('z')]
    assert labels[-1] == 'z1: 1 nats, shape' and labels[0].endswith('nats')


def test_traversals_say_which_dimension():
    fig = samples.traversals(autoencoder(z=12), ('VAE', ', seed 3'))
    assert words(fig)[0] == 'VAE, seed 3'
    assert words(fig)[2:4] == ['z10: 2 nats', 'z9: 1.78 nats']
    assert words(fig)[12:] == ['−3', '−2.4', '−1.8', '−1.2', '−0.6', '0', '0.6', '1.2', '1.8',
                               '2.4', '3']
    arrays = autoencoder()
    arrays['traversal/variance'] = arrays.pop('traversal/kl')
    fig = samples.traversals(arrays, 'AE')
    assert 'variance over codes' in words(fig)[1] and words(fig)[2] == 'z2: 2'


# Which pictures there are.

OTHERS = 'spaces', 'filters', 'feature_maps', 'systems'       # of style, groups, particles


@pytest.mark.parametrize(('arrays', 'want'), [
    (autoencoder() | factors(), set(figures.PICTURES) - {'density', 'activation', *OTHERS}),
    (autoencoder(3) | factors(), set(figures.PICTURES) - {'density', 'plane', *OTHERS}),
    ({k: v for k, v in autoencoder().items() if k != 'sample/x'},
     set(figures.PICTURES) - {'density', 'activation', 'samples', 'factor_code', *OTHERS}),
    ({**gan(), **curves()}, {'samples', 'curves'}),
    ({'real/x': images(8), 'decoded/x': images(8)}, {'reconstructions'}),
    ({'real/x': images(8), 'codes': np.zeros((8, 2)), 'label': np.zeros(8, int)},
     {'latent', 'aggregate', 'plane'}),
    (points(**curves()), {'density', 'curves'}),
    (points(**{'interpolation/x': np.zeros((3, 10, 2)), 'traversal/x': np.zeros((2, 11, 2)),
               'traversal/dim': np.arange(2), 'traversal/variance': np.ones(2)}),
     {'density', 'interpolations', 'traversals'}),
    ({'real/x': points()['real/x']}, set()),
    ({f'systems/{k}': np.ones((4, 5, 3)[:2 if k == 'charge' else 3]) * np.arange(5.)[:, None][
        :, 0 if k == 'charge' else slice(None)] for k in ('position', 'charge', 'target', 'predicted')}, {'systems'}),
    ({'codes': np.zeros((8, 2)), **curves()}, {'aggregate', 'curves'}),       # sentences
    ({}, set())])
def test_pictures_of_a_cell(arrays, want):
    assert {what for what, make in figures.PICTURES.items() if make(arrays, 'x')} == want


def test_files_of_a_cell(tmp_path):
    arrays = {'real/x': images(8), 'sample/x': images(4), 'codes': np.zeros((8, 1)),
              'nll': np.zeros(3), 'curve/step': np.arange(2), 'curve/valid/elbo': np.arange(2.)}
    out = tmp_path / 'out'
    files = draw(put(tmp_path / 'r', vae=arrays), out)
    assert list(files) == [
        *(f'toy/vae.s0.{what}.png' for what in ('samples', 'latent', 'aggregate', 'curves')),
        'toy.samples.png', *(f'toy.elbo-seconds.{form}' for form in ('png', 'svg', 'csv'))]
    assert all(data[:4] == b'\x89PNG' for name, data in files.items() if name.endswith('.png'))
    assert {str(p.relative_to(out)) for p in out.rglob('*.*')} == set(files)


def test_only_some_arrays_are_read(tmp_path):
    left_out = {'nll': np.zeros(3), 'ess/x': np.ones(1), 'listing/greedy': np.zeros((2, 2))}
    put(tmp_path, vae={'codes': np.ones(2), 'codes/draw': np.ones(2), **curves(), **left_out})
    (cell,) = figures.collect_cells([tmp_path])[0]['toy']
    assert set(cell.arrays()) == {'codes', 'codes/draw', *curves()}
    assert set(cell.arrays('curve')) == set(curves()) and set(cell.arrays('nll')) == {'nll'}


def test_failed_and_lost_cells(tmp_path):
    put(tmp_path, vae=gan(), lost=None)
    failed = fake('bad', 0, order=2, status='failed', reason='not finite', metrics={})
    results.write(tmp_path, failed, curves())
    cells, problems = figures.collect_cells([tmp_path])
    assert problems == ["table 'toy': 1 of 3 results have no .npz beside them, so no pictures"]
    names = [p.name for p in figures.write_pictures(cells, tmp_path / 'out')]
    assert names == ['vae.s0.samples.png', 'bad.s0.curves.png', 'toy.samples.png']


# The overview of a table.

def test_overview_has_the_first_seed_of_every_row(tmp_path):
    rows = [('A', images(64)), ('B', images(5, seed=1))]
    fig = samples.overview(rows, images(20, seed=2), 'Digits', ['AE', 'PCA'])
    assert words(fig) == ['Digits', 'Samples of the first seed of every row', 'data', 'A', 'B',
                          'No samples: AE, PCA']
    seen = pixels(fig)
    tile = image_grid.enlarge(image_grid.to_rgb(images(5, seed=1)), 50)
    side = tile.shape[1]
    left, top = canvas.EDGE + 9 * 6 + 20, canvas.HEAD + 2 * (side + 3) + 7
    line = seen[top:top + side, left:]
    np.testing.assert_array_equal(line[:, :side], tile[0])
    np.testing.assert_array_equal(line[:, 4 * (side + 3):][:, :side], tile[4])
    assert (line[:, 5 * (side + 3):] == 255).all()                 # five samples and no more
    for seed in (1, 0):
        arrays = {'real/x': images(20), 'sample/x': images(64, seed=seed)}
        results.write(tmp_path, fake('vae', seed, metrics={}), arrays)
    cells, _ = figures.collect_cells([tmp_path])
    assert [c.seed for c in cells['toy']] == [0, 1]
    *_, last = figures.write_pictures(cells, tmp_path / 'out')
    one = samples.overview([('VAE', images(64, seed=0))], images(20), 'Toy table')
    with style.context():
        assert last.name == 'toy.samples.png' and last.read_bytes() == style.encode(one)


def test_overview_of_many_rows_is_in_blocks():
    rows = [(f'row {i}', images(12, seed=i)) for i in range(30)]
    fig = samples.overview(rows, images(12, seed=99), 'Many')
    seen = pixels(fig)
    tile = image_grid.enlarge(image_grid.to_rgb(images(12, seed=15)), 50)
    side, room = tile.shape[1], 9 * 6 + 20
    width = 12 * (side + 3) - 3
    left, top = canvas.EDGE + width + 2 * room + 40, canvas.HEAD + side + 10
    second = seen[top:top + side, left:left + side]             # row 15 begins the second block
    np.testing.assert_array_equal(second, tile[0])
    assert words(fig).count('data') == 2
    assert seen.shape[0] < 16 * (side + 3) + canvas.HEAD + canvas.EDGE + 10


def test_overview_of_points():
    real = points()['real/x']
    fig = samples.overview([('A', np.float32([[0, 0], [99, 0]])), ('B', real)], real, 'P')
    assert len(fig.axes) == 3 and len({a.get_xlim() for a in fig.axes}) == 1
    drawn = [len(a.lines[0].get_xdata()) for a in fig.axes]
    assert drawn == [60, 1, 60]                                   # what is outside is not drawn


# Losses.

def test_terms_by_player():
    lines = dict(losses.terms_by_player(curves()))
    names = {player: [term[0] for term in terms] for player, terms in lines.items()}
    assert names == {'critic': ['loss'], 'gen': ['loss', 'kl'], 'validation': ['elbo']}
    _, train, valid = lines['gen'][1]
    np.testing.assert_array_equal(train, curves()['curve/train/gen/kl'])
    np.testing.assert_array_equal(valid, curves()['curve/valid/kl'])
    assert lines['validation'][0][1] is None
    varied = {**curves(), 'curve/train/critic/updates': np.arange(5.)}
    critic = dict(losses.terms_by_player(varied))['critic']
    assert [term[0] for term in critic] == ['loss', 'updates']
    nothing = np.full(3, np.nan)
    nothing = {'curve/train/gen/updates': nothing, 'curve/train/gen/loss': nothing}
    assert [term[0] for term in dict(losses.terms_by_player(nothing))['gen']] == ['loss']


def test_losses():
    fig = losses.losses(curves(), 'x')
    texts = {'critic', 'gen', 'validation', 'loss', 'kl', 'elbo', 'train steps'}
    assert texts <= set(words(fig))
    kl = next(a for a in fig.axes if len(a.lines) == 2)
    assert kl.get_yscale() == 'log' and kl.lines[1].get_linestyle() == '--'
    np.testing.assert_array_equal(kl.lines[0].get_xdata(), curves()['curve/step'])
    wide = {'curve/step': np.arange(3),
            **{f'curve/train/vae/term{i}': np.arange(3.) for i in range(7)}}
    fig = losses.losses(wide, 'x')
    assert len({round(a.get_position().y0, 6) for a in fig.axes}) == 2
    assert 'validation (dashed)' not in words(fig)
    assert losses.losses({'curve/step': np.arange(3)}, 'x') is None


# Bytes and the command.

@pytest.mark.slow
def test_bytes_are_the_same_whatever_the_settings(tmp_path):
    import matplotlib
    put(tmp_path / 'r', vae=autoencoder(z=5), gan={**gan(), **curves()})
    first = draw(tmp_path / 'r', tmp_path / 'a')
    with matplotlib.rc_context({'font.size': 20, 'axes.facecolor': 'red'}):
        assert draw(tmp_path / 'r', tmp_path / 'b') == first
    for word in (b'Software', b'Creation', b'tEXt', b'tIME'):
        assert not any(word in data for data in first.values())
    command = [sys.executable, '-m', 'vaebench.report', f'--results={tmp_path / "r"}',
               f'--pictures={tmp_path / "c"}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == ''.join(f'written to {tmp_path / "c" / name}\n' for name in first)
    assert {name: (tmp_path / 'c' / name).read_bytes() for name in first} == first


def test_command(tmp_path, capsys):
    put(tmp_path / 'r', vae=gan())
    two = fake('vae', 0, table='two', config_hash='1' * 10, metrics={})
    results.write(tmp_path / 'r', two, {'real/x': REAL, 'sample/x': REAL})
    out = tmp_path / 'p'
    call = lambda *more: report.main(['x', f'--pictures={out}', *more])
    written = lambda: {str(p.relative_to(out)) for p in out.rglob('*.png')}
    names = {'two/vae.s0.density.png', 'two.samples.png'}
    assert call(f'--results={tmp_path / "r"}', '--table=two') == 0 and written() == names
    assert call(f'--results={tmp_path / "r"}') == 0             # rows of one name in two tables
    assert written() == names | {'toy/vae.s0.samples.png', 'toy.samples.png'}
    put(tmp_path / 'bare', vae=None, gan=None)
    put(tmp_path / 'broken', vae=gan())
    next((tmp_path / 'broken').glob('*.npz')).write_bytes(b'PK no archive')
    capsys.readouterr()
    for arguments, message in [
            ([f'--results={tmp_path / "bare"}'], f'no .npz beside the results of '
             f'{tmp_path / "bare"}: pictures need the workdir of the run'),
            ([f'--results={tmp_path / "r"}', '--table=tow'], "did you mean 'two'"),
            ([f'--results={out}'], f'no results in {out}'), ([], 'no results named')]:
        assert call(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith('vaebench-report: ') and err.count('\n') == 1 and message in err


@pytest.mark.parametrize('damage', ['archive', 'deflate', 'shape', 'strings', 'header'])
def test_damaged_arrays_are_named_and_the_others_drawn(tmp_path, capsys, damage):
    put(tmp_path / 'r', vae=gan(), gan=gan())
    broken = next((tmp_path / 'r').glob('vae*.npz'))
    if damage == 'archive':
        broken.write_bytes(b'PK no archive')
    elif damage == 'deflate':
        data = bytearray(broken.read_bytes())
        data[len(data) // 2] ^= 0x55
        broken.write_bytes(data)
    elif damage == 'header':        # of an array as large as a disk
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {
            'descr': '<f8', 'fortran_order': False, 'shape': (20, 10**12)})
        with zipfile.ZipFile(broken, 'w') as archive:
            archive.writestr('real/x.npy', header.getvalue() + b'0' * 100)
    else:
        odd = np.zeros(()) if damage == 'shape' else np.full((3, 8, 8, 1), 'x')
        np.savez_compressed(broken, **{'real/x': odd, 'sample/x': odd})
    assert report.main(['x', f'--results={tmp_path / "r"}', f'--pictures={tmp_path / "p"}']) == 0
    err = capsys.readouterr().err
    assert err.count('\n') == 1 and err.startswith(f'{broken}: ') and 'Traceback' not in err
    made = {str(p.relative_to(tmp_path / 'p')) for p in (tmp_path / 'p').rglob('*')}
    assert {'toy/gan.s0.samples.png', 'toy.samples.png'} <= made


def test_two_settings_of_a_row_are_left_out(tmp_path):
    put(tmp_path, vae=gan())
    results.write(tmp_path, fake('vae', 1, config_hash='1' * 10, metrics={}), curves())
    cells, problems = figures.collect_cells([tmp_path])
    assert cells == {'toy': []} and 'two settings of row' in problems[0]
    with pytest.raises(UserError, match='no such folder'):
        figures.collect_cells([tmp_path / 'none'])
