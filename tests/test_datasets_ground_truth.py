"""Images of known factors: what TFDS prepares, and files of one's own."""
import io
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_datasets_image_base import png, stock

from vaebench import core, datasets, schema
from vaebench.datasets import ground_truth
from vaebench.datasets.ground_truth import Published
from vaebench.errors import UserError
from vaebench.experiment import outcome


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    return lambda name, data_dir=None, **options: datasets.load(name, data_dir, tmp_path / 'cache', **options)


def whole(data, column):
    return np.concatenate([data.splits[s][column] for s in ('train', 'valid', 'test')])


def picture(row, size=8, channels=1, white=255):
    """An image that only this combination has."""
    a = np.random.default_rng([7, *row]).integers(0, 2 if white == 1 else 256, (size, size, channels), np.uint8)
    return a[..., 0] if channels == 1 else a


def prepared(path, name, version, published, size, channels, splits):
    """A folder as TFDS leaves it; `splits` is {split: combinations}."""
    stock(path, name, version,
          lambda f: {'image': f.Image(shape=(size, size, channels)),
                     **{k: f.ClassLabel(num_classes=n) for k, n in published.factors.items()}},
          {s: [{'image': png(picture(row, size, channels, published.white)),
                **dict(zip(published.factors, row, strict=True))} for row in rows]
           for s, rows in splits.items()})


def combinations(published):
    return list(itertools.product(*map(range, published.factors.values())))


# What TFDS prepares

@pytest.mark.parametrize('name, version, channels, white', [
    ('dsprites', '2.0.0', 1, 1), ('shapes3d', '2.0.0', 3, 255)])
def test_a_complete_grid(load, tmp_path, monkeypatch, name, version, channels, white):
    theirs = ground_truth.SETS[name]
    assert (theirs.channels, theirs.white) == (channels, white)
    few = theirs._replace(factors={k: 2 + (i == 1) for i, k in enumerate(list(theirs.factors)[:3])})
    monkeypatch.setitem(ground_truth.SETS, name, few)
    prepared(tmp_path / 'tfds', name, version, few, 8, channels, {'train': combinations(few)})
    data = load(name, tmp_path / 'tfds', size=8)
    assert data.source.sizes == {'train': 10, 'valid': 1, 'test': 1} and data.name == name
    names = tuple(k.removeprefix('label_') for k in few.factors)
    assert data.schema['factors'] == schema.factors((2, 3, 2), names)
    rows, x = whole(data, 'factors'), whole(data, 'x')
    assert sorted(map(tuple, rows.tolist())) == combinations(few) and x.dtype == np.uint8
    want = np.stack([picture(r, 8, channels, white).reshape(8, 8, channels) for r in rows.tolist()]) / white
    np.testing.assert_allclose(data.decode({'x': x})['x'], want, atol=1e-6)
    found = data.observe(rows)                         # the rows that are stored, whatever their split
    np.testing.assert_array_equal(found['x'], x)
    np.testing.assert_array_equal(found['factors'], rows)
    assert found['factors'].dtype == rows.dtype == np.int8
    small = load(name, tmp_path / 'tfds', size=8, examples=4, eval_examples=1)
    np.testing.assert_array_equal(small.splits['train']['x'], data.splits['train']['x'][:4])
    np.testing.assert_array_equal(small.observe(rows)['x'], x)         # of all images, still
    train = jax.tree.map(jnp.asarray, data.splits['train'])
    batch = core.take(train, jnp.array([3]), data.decode)
    np.testing.assert_allclose(batch['x'], want[3:4], atol=1e-6)
    assert load(name, tmp_path / 'tfds', size=4).schema['x'].shape == (4, 4, channels)
    with pytest.raises(UserError, match='size=0'):
        load(name, tmp_path / 'tfds', size=0)


def test_the_published_grids_are_whole():
    sizes = {name: int(np.prod(list(p.factors.values()))) for name, p in ground_truth.SETS.items()}
    assert sizes == {'dsprites': 737_280, 'shapes3d': 480_000, 'smallnorb': 48_600}


def test_toys_of_a_category_are_no_factor(load, tmp_path, monkeypatch):
    few = ground_truth.SETS['smallnorb']._replace(factors={
        'label_category': 2, 'instance': 4, 'label_elevation': 3, 'label_lighting': 2})
    monkeypatch.setitem(ground_truth.SETS, 'smallnorb', few)
    every = combinations(few)
    prepared(tmp_path / 'tfds', 'smallnorb', '2.0.0', few, 8, 1,
             {'train': [r for r in every if r[1] % 2], 'test': [r for r in every if not r[1] % 2]})
    data = load('smallnorb', tmp_path / 'tfds', size=8)
    assert data.schema['factors'] == schema.factors((2, 3, 2), ('category', 'elevation', 'lighting'))
    assert sum(data.source.sizes.values()) == 48 and data.schema['x'].shape == (8, 8, 1)
    asked = np.repeat([[1, 2, 0]], 200, 0)
    found = data.observe(asked)
    toys = [picture((1, toy, 2, 0)) for toy in range(4)]
    drawn = [[np.array_equal(x[..., 0], toy) for toy in toys] for x in found['x']]
    assert (np.sum(drawn, 1) == 1).all() and np.sum(drawn, 0).min() > 25          # of 50 each
    np.testing.assert_array_equal(found['factors'], asked)
    np.testing.assert_array_equal(data.observe(asked)['x'], found['x'])


def test_what_tfds_has_not_prepared_whole(load, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="'dsprites' is read as TFDS prepares it, from .*/dsprites/<version>"):
        load('dsprites', tmp_path)
    few = Published({'label_shape': 2, 'label_scale': 3}, 1)
    monkeypatch.setitem(ground_truth.SETS, 'dsprites', few)
    for folder, rows in (('gap', combinations(few)[1:]), ('twice', [*combinations(few), (1, 1)])):
        prepared(tmp_path / folder, 'dsprites', '2.0.0', few, 8, 1, {'train': rows})
        with pytest.raises(UserError, match='does not hold the published set: . of 6 combinations') as caught:
            load('dsprites', tmp_path / folder, size=8)
        assert '\n' not in str(caught.value)
    prepared(tmp_path / 'cut', 'dsprites', '2.0.0', few, 8, 1, {'train': combinations(few)})
    record, = (tmp_path / 'cut').rglob('*array_record*')
    record.write_bytes(record.read_bytes()[:-9])
    with pytest.raises(UserError, match='cannot read .*dsprites/2.0.0.*prepare it again'):
        load('dsprites', tmp_path / 'cut', size=8)
    assert not list((tmp_path / 'cache').rglob('images.npy'))


# Anybody's own

GRID = np.array(list(itertools.product(range(3), range(1), range(4))))
PICTURES = np.stack([picture(r) for r in GRID.tolist()])


def save(folder, name='factors.npz', **arrays):
    np.savez_compressed(folder / name, **arrays)
    return folder


def test_a_file_of_a_complete_grid(load, tmp_path):
    order = np.random.default_rng(0).permutation(12)
    save(tmp_path, images=PICTURES[order], factors=GRID[order].astype(np.uint8), names=['hue', 'none', 'size'])
    data = load('factors_file', tmp_path)
    assert data.schema['factors'] == schema.factors((3, 4), ('hue', 'size'))      # of one level: no factor
    assert data.source.sizes == {'train': 10, 'valid': 1, 'test': 1} and data.schema['x'].shape == (8, 8, 1)
    rows, x = whole(data, 'factors'), whole(data, 'x')
    np.testing.assert_array_equal(x[..., 0], [picture((a, 0, b)) for a, b in rows.tolist()])
    np.testing.assert_array_equal(data.observe(GRID[:, [0, 2]])['x'][..., 0], PICTURES)
    np.testing.assert_allclose(data.decode(data.observe([[2, 3]]))['x'][0, ..., 0], PICTURES[-1] / 255, atol=1e-6)
    few = load('factors_file', tmp_path, examples=3)
    assert few.source.sizes == {'train': 3, 'valid': 1, 'test': 1} and few.source.sha256 != data.source.sha256
    with pytest.raises(ValueError, match='invalid entry'):
        data.observe([[3, 0]])


def test_a_file_without_factors_runs_through_the_grid(load, tmp_path):
    save(tmp_path, 'mpi3d.npz', images=np.stack([PICTURES] * 3, -1))
    data = load('factors_file', tmp_path, file='mpi3d.npz', levels=(3, 1, 4))
    assert data.schema['factors'] == schema.factors((3, 4), ('factor0', 'factor2'))
    assert data.schema['x'].shape == (8, 8, 3)
    np.testing.assert_array_equal(data.observe(GRID[:, [0, 2]])['x'][..., 2], PICTURES)


def test_an_incomplete_grid_cannot_be_observed(load, tmp_path):
    save(tmp_path, images=PICTURES[:-1], factors=GRID[:-1])
    data = load('factors_file', tmp_path)
    assert data.observe is None and data.schema['factors'].levels == (3, 4)
    # every factor's levels are there, and some image twice: of two the first is found
    save(tmp_path, images=np.concatenate([PICTURES, 255 - PICTURES[:1]]), factors=GRID[[*range(12), 0]])
    twice = load('factors_file', tmp_path)
    np.testing.assert_array_equal(twice.observe(GRID[:, [0, 2]])['x'][..., 0], PICTURES)
    save(tmp_path, images=np.concatenate([PICTURES[:-1], PICTURES[:1]]), factors=GRID[[*range(11), 0]])
    assert load('factors_file', tmp_path).observe is None        # as many images, not all combinations


def test_bytes_between_black_and_white_are_grey_to_a_likelihood(load, tmp_path):
    save(tmp_path, images=PICTURES, factors=GRID)
    grey = load('factors_file', tmp_path)
    save(tmp_path, images=(PICTURES > 127) * np.uint8(255), factors=GRID)
    binary = load('factors_file', tmp_path)

    class Row:
        config = {'kit': {'likelihood': 'bernoulli'}, 'evaluation': {}}

    assert outcome.likelihood(Row, grey).id == 'bernoulli-grey'
    assert outcome.likelihood(Row, binary).id == 'bernoulli'
    assert outcome.likelihood(Row, datasets.load('sprites', levels=(3, 1, 4, 2, 2), size=8)).id == 'bernoulli'
    assert outcome.likelihood(Row, datasets.load('digits')).id == 'bernoulli-grey'


GOOD = {'images': PICTURES, 'factors': GRID}
BAD = {
    'no images': ({'pictures': PICTURES}, {}, "has no array 'images': it holds pictures"),
    'floats': ({**GOOD, 'images': PICTURES / 255}, {}, "'images' is float64 of shape .* give uint8"),
    'flat': ({**GOOD, 'images': PICTURES.reshape(12, -1)}, {}, r"'images' is uint8 of shape \[12, 64\]"),
    'empty': ({'images': PICTURES[:0], 'factors': GRID[:0]}, {}, r"'images' is uint8 of shape \[0, 8, 8\]"),
    'bits': ({**GOOD, 'images': PICTURES % 2}, {}, "'images' reach to 1, and 255 is white: multiply"),
    'no factors': ({'images': PICTURES}, {}, "has no array 'factors': give either it or dataset.levels"),
    'both': (GOOD, {'levels': (3, 1, 4)}, "has an array 'factors': give either"),
    'real factors': ({**GOOD, 'factors': GRID * 1.}, {}, "'factors' is float64"),
    'other count': ({**GOOD, 'factors': GRID[1:]}, {}, r"'factors' is int64 of shape \[11, 3\].*\[12, F\]"),
    'a column': ({**GOOD, 'factors': GRID[:, 0]}, {}, r"'factors' is int64 of shape \[12\]"),
    'negative': ({**GOOD, 'factors': GRID - 1}, {}, "column 0 of 'factors' has 3 values from -1 to 1: number"),
    'gap': ({**GOOD, 'factors': GRID * 2}, {}, "column 0 of 'factors' has 3 values from 0 to 4: number"),
    'one level': ({**GOOD, 'factors': GRID[:, 1:2]}, {}, 'no column .* more than one level'),
    'no column': ({**GOOD, 'factors': GRID[:, :0]}, {}, 'no column .* more than one level'),
    'few names': ({**GOOD, 'names': ['hue']}, {}, "'names' is .* give 3 different words"),
    'same names': ({**GOOD, 'names': ['a', 'a', 'b']}, {}, 'give 3 different words'),
    'numbers for names': ({**GOOD, 'names': [1, 2, 3]}, {}, "'names' is int64"),
    'objects': ({**GOOD, 'factors': GRID.astype(object)}, {}, 'cannot read .*allow_pickle=False'),
    'two rows': ({'images': PICTURES[:2], 'factors': [[0], [1]]}, {}, '2 rows: at least 3'),
    'other levels': ({'images': PICTURES}, {'levels': (3, 3)}, r'levels=\(3, 3\): these are 9 combinations, and'),
    'no levels': ({'images': PICTURES}, {'levels': 12}, 'levels=12: the number of levels of every factor'),
    'zero levels': ({'images': PICTURES}, {'levels': (12, 0)}, 'levels=0: it must be at least 1'),
    'count': (GOOD, {'examples': 0}, 'examples=0'),
}


@pytest.mark.parametrize('case', BAD)
def test_what_is_no_such_file_is_one_line(load, tmp_path, case):
    arrays, options, message = BAD[case]
    save(tmp_path, **arrays)
    with pytest.raises(UserError, match=message) as caught:
        load('factors_file', tmp_path, **options)
    assert '\n' not in str(caught.value)


def test_damaged_and_missing_files_are_one_line(load, tmp_path):
    with pytest.raises(UserError, match='name the folder that holds factors.npz with --data_dir'):
        load('factors_file')
    with pytest.raises(UserError, match="'factors_file' misses own.npz"):
        load('factors_file', tmp_path, file='own.npz')
    file = io.BytesIO()
    np.savez(file, **GOOD)
    raw = file.getvalue()
    flipped = bytearray(raw)
    flipped[400] ^= 255
    for content, message in ((b'no', 'is no .npz file'), (b'', 'is no .npz file'), (raw[:-50], 'not a whole one'),
                             (bytes(flipped), 'cannot read .*CRC')):
        (tmp_path / 'factors.npz').write_bytes(content)
        with pytest.raises(UserError, match=message) as caught:
            load('factors_file', tmp_path)
        assert '\n' not in str(caught.value)
