"""Image datasets: what they hold, whoever prepared them, and what they say to bad input."""
import gzip
import hashlib
import io
import lzma

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_datasets import facts, real

from vaebench import core, datasets, schema
from vaebench.datasets import images
from vaebench.datasets.transforms import binarize
from vaebench.errors import UserError

IDX = 'mnist', 'fashion_mnist'


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    return lambda name, data_dir=None, **options: datasets.load(name, data_dir, tmp_path / 'cache', **options)


def packed(a):
    return gzip.compress(bytes([0, 0, 8, a.ndim]) + np.array(a.shape, '>i4').tobytes() + a.tobytes())


def png(a):
    from PIL import Image
    f = io.BytesIO()
    Image.fromarray(a).save(f, 'png')
    return f.getvalue()


def stock(path, title, version, features, splits, keep_order=False):
    """A dataset as TFDS's own builder leaves it.

    Args:
      path: data_dir.
      title: the builder's name.
      version: text.
      features: function of tfds.features -> dict of features.
      splits: {split: list of examples}, keyed by index.
      keep_order: whether examples are not shuffled by a hash of that key.
    """
    import tensorflow_datasets as tfds

    class Stock(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name, VERSION = title, tfds.core.Version(version)

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, disable_shuffling=keep_order,
                                         features=tfds.features.FeaturesDict(features(tfds.features)))

        def _split_generators(self, dl_manager):
            return {s: self._generate_examples(rows) for s, rows in splits.items()}

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    Stock(data_dir=path, file_format='array_record').download_and_prepare(download_dir=path / 'downloads')


# MNIST and Fashion-MNIST

@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Folder of idx files that pass for those of MNIST and of Fashion-MNIST, and their arrays by dataset."""
    rng, every = np.random.default_rng(0), {}
    for name in IDX:
        every[name] = [rng.integers(0, 256, (30, 28, 28), np.uint8),
                       rng.permutation(np.arange(30, dtype=np.uint8) % 10),
                       rng.integers(0, 256, (5, 28, 28), np.uint8), rng.integers(0, 10, 5, np.uint8)]
        (tmp_path / 'raw' / name).mkdir(parents=True)
        table = {}
        for (file, known), a in zip(images.SOURCES[name].items(), every[name], strict=True):
            raw = packed(a)
            (tmp_path / 'raw' / name / file).write_bytes(raw)
            table[file] = known._replace(sha256=hashlib.sha256(raw).hexdigest(),
                                         content=hashlib.sha256(a.tobytes()).hexdigest())
        monkeypatch.setitem(images.SOURCES, name, table)
    monkeypatch.setattr(images, 'VALID', 10)
    return tmp_path / 'raw', every


@pytest.mark.parametrize('name', IDX)
def test_idx_files(load, tiny, name):
    path, every = tiny
    x, y, x_test, y_test = every[name]
    d = load(name, path)
    assert d.name == name and d.schema['x'].kind == 'image' and d.schema['label'].size == 10
    assert d.source.sizes == {'train': 20, 'valid': 10, 'test': 5} and d.schema['x'].shape == (28, 28, 1)
    assert d.augment is None
    for split, a, b in (('train', x[:20], y[:20]), ('valid', x[20:], y[20:]), ('test', x_test, y_test)):
        part = d.splits[split]
        assert part['x'].dtype == np.float32 and part['label'].dtype == np.int32 and set(part) == {'x', 'label'}
        np.testing.assert_array_equal(part['x'][..., 0], a.astype(np.float32) / 255)
        np.testing.assert_array_equal(part['label'], b)
    assert facts(load(name)) == facts(d)      # of the cache alone

    binary = load(name, path / name, binarise='threshold', examples=7, eval_examples=3)
    assert binary.name == f'{name}_threshold'
    assert binary.source.sizes == {'train': 7, 'valid': 3, 'test': 3}
    np.testing.assert_array_equal(binary.splits['valid']['x'], d.splits['valid']['x'][:3] > .5)


def test_dynamic_binarisation(load, tiny):
    path, _ = tiny
    grey, d = load('mnist', path), load('mnist', path, binarise='dynamic')
    assert d.name == 'mnist_dynamic'
    np.testing.assert_array_equal(d.splits['train']['x'], grey.splits['train']['x'])
    x, drawn = grey.splits['train']['x'], np.asarray(d.augment(jax.random.key(0), d.splits['train'])['x'])
    assert set(np.unique(drawn)) == {0, 1} and (drawn[x == 0] == 0).all() and (drawn[x == 1] == 1).all()
    assert abs(drawn.mean(dtype=np.float64) - x.mean(dtype=np.float64)) < 4 * (.25 / x.size) ** .5
    for split in ('valid', 'test'):
        x, p = d.splits[split]['x'], grey.splits[split]['x'].astype(np.float64)
        assert x.dtype == np.float32 and set(np.unique(x)) == {0, 1}
        assert (x[p == 0] == 0).all() and (x[p == 1] == 1).all()
        spread = (p * (1 - p)).sum() ** .5
        assert abs((x - p).sum()) < 4 * spread and abs(((x - p) * (p > .5)).sum()) < 4 * spread
    again = load('mnist', path, binarise='dynamic', eval_examples=3)
    np.testing.assert_array_equal(again.splits['test']['x'], d.splits['test']['x'][:3])   # one draw, for good
    assert facts(load('mnist', path, binarise='dynamic')) == facts(d)
    assert not np.array_equal(d.splits['valid']['x'][:5], d.splits['test']['x'])


def test_dynamic_binarisation_draws_training_batches_anew():
    """Frequencies of the drawn pixels against their grey levels; partners are drawn too, where a batch has them."""
    d = datasets.load('digits', labels=10)
    augment, batch = binarize('partner'), core.take(jax.tree.map(jnp.asarray, d.splits['train']), jnp.arange(2))
    keys = jax.random.split(jax.random.key(0), 3000)
    drawn = jax.jit(jax.vmap(lambda key: augment(key, batch)))(keys)
    pairs = (drawn['x'], batch['x']), (drawn['partner']['x'], batch['partner']['x'])
    for got, p in pairs:
        assert set(np.unique(got)) == {0, 1} and got.dtype == jnp.float32
        assert (abs(got.mean(0) - p) <= 4.5 * np.sqrt(p * (1 - p) / 3000)).all()
    centred = [np.asarray(got - p) for got, p in pairs]
    assert abs((centred[0] * centred[1]).mean(0)).max() < 4.5 * .25 / 3000 ** .5      # streams of their own
    assert (drawn['label'] == batch['label']).all() and (drawn['weight'] == 1).all()
    alone = augment(keys[0], {k: v for k, v in batch.items() if k != 'partner'})
    np.testing.assert_array_equal(alone['x'], drawn['x'][0])
    assert set(alone) == {'x', 'label', 'weight'}


def test_the_sets_share_names_of_files_and_are_told_apart(load, tiny, tmp_path):
    path, every = tiny
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is MNIST's: .* folder fashion_mnist of their own"):
        load('fashion_mnist', path / 'mnist')
    with pytest.raises(UserError, match="is Fashion-MNIST's: "):
        load('mnist', path / 'fashion_mnist')
    for file in (path / 'mnist').iterdir():       # MNIST's beside a folder of Fashion-MNIST's
        (path / file.name).write_bytes(file.read_bytes())
    d = load('fashion_mnist', path)
    np.testing.assert_array_equal(d.splits['test']['label'], every['fashion_mnist'][3])


def mnist_by_tfds(path, arrays, keep_order=False, name='mnist'):
    rows = [[{'image': png(a), 'label': int(b)} for a, b in zip(*pair, strict=True)]
            for pair in (arrays[:2], arrays[2:])]
    stock(path, name, '3.0.1', lambda f: {'image': f.Image(shape=(28, 28, 1)), 'label': f.ClassLabel(num_classes=10)},
          dict(zip(('train', 'test'), rows, strict=True)), keep_order)


@pytest.mark.parametrize('name,keep_order', [('mnist', False), ('mnist', True), ('fashion_mnist', False)])
def test_idx_sets_as_tfds_prepares_them_are_the_same(load, tiny, tmp_path, name, keep_order):
    path, every = tiny
    mnist_by_tfds(tmp_path / 'tfds', every[name], keep_order, name)
    d = load(name, tmp_path / 'tfds')
    assert not (tmp_path / 'cache').exists()
    assert facts(d) == facts(load(name, path))

    record, = (tmp_path / 'tfds').rglob('*train.array_record*')
    record.write_bytes(record.read_bytes()[:-9])
    with pytest.raises(UserError, match=f'cannot read .*{name}/3.0.1'):
        load(name, tmp_path / 'tfds')


def test_other_images_under_a_known_name(load, tiny, tmp_path):
    _, every = tiny
    x, *rest = every['mnist']
    mnist_by_tfds(tmp_path / 'tfds', [x[::-1], *rest])
    with pytest.raises(UserError, match="does not hold MNIST's train images"):
        load('mnist', tmp_path / 'tfds')
    mnist_by_tfds(tmp_path / 'mixed', every['mnist'], name='fashion_mnist')   # what a shared download_dir once did
    with pytest.raises(UserError, match="does not hold Fashion-MNIST's train images.*download_dir of its own"):
        load('fashion_mnist', tmp_path / 'mixed')


def test_bad_idx_files(load, tiny):
    path, _ = tiny
    with pytest.raises(UserError, match="binarise='static': it must be one of none, threshold, dynamic"):
        load('mnist', path, binarise='static')
    with pytest.raises(UserError, match='examples=0'):
        load('mnist', path, examples=0)
    with pytest.raises(UserError, match='--data_dir'):
        load('mnist')
    name = 't10k-images-idx3-ubyte.gz'
    file = path / 'mnist' / name
    raw = file.read_bytes()
    scrambled = raw[:60] + bytes(len(raw) - 60)
    for damaged in (raw[:-100], b'', packed(np.zeros((5, 28, 28), np.uint8))[:40], gzip.compress(b''), scrambled):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=f'{name} is not the published file'):
            load('mnist', path)
        with pytest.raises(UserError, match=f'{name} is damaged'):
            images.idx(file, damaged)
    file.unlink()
    with pytest.raises(UserError, match=f'misses {name}: it should lie at .*raw/{name} or .*raw/mnist/{name}'):
        load('mnist', path)


# Labelled examples

def test_partners(load, tiny):
    path, _ = tiny
    d = load('mnist', path, labels=10)
    train = d.splits['train']
    assert set(train) == {'x', 'label', 'partner'} and train['partner'].index.dtype == np.int32
    partner = train['partner'].index
    rows, times = np.unique(partner, return_counts=True)
    assert (times == 2).all() and sorted(train['label'][rows]) == list(range(10))
    assert 'partner' not in d.splits['valid'] and 'partner' not in d.splits['test'] and d.source.facts['labelled'] == 10
    plain = load('mnist', path)
    np.testing.assert_array_equal(plain.splits['train']['x'], train['x'])
    assert d.source == plain.source._replace(facts={'labelled': 10})   # the same data: rows stand beside the others
    assert d.schema == {**plain.schema, 'partner': schema.Field('rows', derived=True)}
    np.testing.assert_array_equal(load('mnist', path, labels=10).splits['train']['partner'].index, partner)
    batch = core.take(jax.tree.map(jnp.asarray, train), jnp.array([3, 0, -1]))
    np.testing.assert_array_equal(batch['partner']['x'][:2], train['x'][partner[[3, 0]]])
    other = load('mnist', path, labels=10, label_seed=1).splits['train']['partner'].index
    assert not np.array_equal(np.unique(other), rows)


@pytest.mark.parametrize('labels', [10, 30, 100, 1000])
def test_partners_are_balanced(labels):
    train = datasets.load('digits', labels=labels).splits['train']
    partner = train['partner'].index
    rows, times = np.unique(partner, return_counts=True)
    assert len(rows) == labels and times.max() - times.min() <= 1 and len(partner) == len(train['x'])
    assert (np.bincount(train['label'][rows]) == labels // 10).all()
    seen = np.bincount(train['label'][partner])
    assert seen.max() - seen.min() <= 1         # classes are shown equally often, too
    if labels <= 100:                           # shuffled: first and last labels of train's order meet no order
        first = partner[:len(rows)]
        assert len(np.unique(first)) < len(rows)


@pytest.mark.parametrize('name,options,message', [
    ('digits', {'labels': 15}, 'labels=15: as many of every class are wanted, so it must be a multiple of 10'),
    ('digits', {'labels': 0}, 'labels=0: it must be at least 1'),
    ('digits', {'labels': 'all'}, "labels='all': a whole number"),
    ('digits', {'labels': 10, 'label_seed': -1}, 'label_seed=-1'),
    ('digits', {'labels': 2000}, r'labels=2000: train has \d+ examples of class \d; give at most 1\d\d0'),
    ('digits', {'labels': 10, 'examples': 5}, r'labels=10: train has 0 examples of class \d; give at most 0'),
])
def test_bad_labels(name, options, message):
    with pytest.raises(UserError, match=message) as e:
        datasets.load(name, **options)
    assert '\n' not in str(e.value)


# Larochelle's binarisation

@pytest.fixture
def tiny_static(monkeypatch, tmp_path):
    """Folder of .amat files, each packed otherwise, that pass for Larochelle's, and their images."""
    rng, table, arrays = np.random.default_rng(1), {}, []
    (tmp_path / 'raw').mkdir()
    for (file, known), n, suffix in zip(images.SOURCES['binarized_mnist'].items(), (6, 3, 4), images.PACKED,
                                        strict=True):
        a = rng.integers(0, 2, (n, 28, 28), np.uint8)
        raw = ''.join(' '.join(map(str, row.ravel())) + '\n' for row in a).encode()
        pack = {'': bytes, '.xz': lzma.compress, '.gz': gzip.compress}[suffix]
        (tmp_path / 'raw' / (file + suffix)).write_bytes(pack(raw))
        table[file] = known._replace(sha256=hashlib.sha256(raw).hexdigest(),
                                     content=hashlib.sha256(a.tobytes()).hexdigest())
        arrays.append(a)
    monkeypatch.setitem(images.SOURCES, 'binarized_mnist', table)
    return tmp_path / 'raw', arrays


def test_static_binarisation(load, tiny_static, tmp_path):
    path, arrays = tiny_static
    d = load('mnist_static', path)
    assert d.name == 'mnist_static' and 'label' not in d.schema and d.augment is None
    shuffled = arrays[2][np.argsort(np.random.default_rng(0).random(4), kind='stable')]
    for split, a in zip(('train', 'valid', 'test'), (*arrays[:2], shuffled), strict=True):
        assert set(d.splits[split]) == {'x'} and d.splits[split]['x'].dtype == np.float32
        np.testing.assert_array_equal(d.splits[split]['x'][..., 0], a)
    assert facts(load('mnist_static')) == facts(d)
    assert load('mnist_static', examples=2, eval_examples=1).source.sizes == {'train': 2, 'valid': 1, 'test': 1}
    rows = {s: [{'image': png(x)} for x in a] for s, a in zip(('train', 'validation', 'test'), arrays, strict=True)}
    stock(tmp_path / 'tfds', 'binarized_mnist', '1.0.0', lambda f: {'image': f.Image(shape=(28, 28, 1))}, rows)
    assert facts(load('mnist_static', tmp_path / 'tfds')) == facts(d)


def test_bad_static_binarisation(load, tiny_static):
    path, _ = tiny_static
    file = path / 'binarized_mnist_valid.amat.xz'
    raw = file.read_bytes()
    file.write_bytes(raw[:-20])
    with pytest.raises(UserError, match='binarized_mnist_valid.amat.xz is damaged'):
        load('mnist_static', path)
    file.write_bytes(lzma.compress(b'0 ' * 784))
    with pytest.raises(UserError, match='binarized_mnist_valid.amat.xz is not the published file: its sha256'):
        load('mnist_static', path)
    with pytest.raises(UserError, match='x.amat is damaged'):
        images.amat('x.amat', b'0 1\n')
    file.unlink()
    with pytest.raises(UserError, match='misses binarized_mnist_valid.amat: it should lie at .*/raw/binarized_mnist_'
                                        'valid.amat or .*/raw/binarized_mnist/binarized_mnist_valid.amat'):
        load('mnist_static', path)
    with pytest.raises(UserError, match='binarized_mnist_train.amat.* with --data_dir'):
        load('mnist_static')


# Frey Faces

def test_frey_faces(load, tmp_path, monkeypatch):
    from scipy.io import savemat
    frames = np.random.default_rng(2).integers(0, 256, (1965, 28, 20), np.uint8)
    monkeypatch.setattr(images, 'FREY', hashlib.sha256(frames.tobytes()).hexdigest())
    (tmp_path / 'npz' / 'freyfaces').mkdir(parents=True)
    (tmp_path / 'mat').mkdir()
    np.savez_compressed(tmp_path / 'npz' / 'freyfaces' / 'freyfaces.npz', images=frames)
    savemat(tmp_path / 'mat' / 'frey_rawface.mat', {'ff': frames.reshape(1965, 560).T})
    d = load('frey_faces', tmp_path / 'npz')
    assert facts(d) == facts(load('frey_faces', tmp_path / 'mat'))
    assert d.source.sizes == {'train': 1565, 'valid': 200, 'test': 200} and d.schema['x'].shape == (28, 20, 1)
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid', 'test')])[..., 0] * 255
    order = np.argsort(np.random.default_rng(0).random(1965), kind='stable')
    np.testing.assert_array_equal(np.round(every), frames[order])
    small = load('frey_faces', tmp_path / 'mat', examples=3, eval_examples=2)
    np.testing.assert_array_equal(small.splits['test']['x'], d.splits['test']['x'][:2])

    path = tmp_path / 'mat' / 'frey_rawface.mat'
    savemat(path, {'ff': frames.reshape(1965, 560).T + 1})
    with pytest.raises(UserError, match='frey_rawface.mat does not hold the published frames: their sha256 is'):
        load('frey_faces', tmp_path / 'mat')
    for damaged in (b'', b'not a matrix'):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match='frey_rawface.mat is damaged'):
            load('frey_faces', tmp_path / 'mat')
    np.savez(tmp_path / 'npz' / 'freyfaces' / 'freyfaces.npz', faces=frames)
    with pytest.raises(UserError, match='freyfaces.npz is damaged .*images'):
        load('frey_faces', tmp_path / 'npz')
    with pytest.raises(UserError, match='misses freyfaces.npz: it should lie at'):
        load('frey_faces', tmp_path)


# Digits

def test_digits():
    from sklearn.datasets import load_digits
    d = datasets.load('digits')
    whole = np.concatenate([p['x'] for p in d.splits.values()])[..., 0]
    labels = np.concatenate([p['label'] for p in d.splits.values()])
    ours = sorted(zip((whole * 16).reshape(len(whole), -1).astype(int).tolist(), labels.tolist(), strict=True))
    data = load_digits()
    assert ours == sorted(zip(data.data.astype(int).tolist(), data.target.tolist(), strict=True))   # a permutation
    assert whole.min() == 0 and whole.max() == 1 and whole.dtype == np.float32
    assert d.schema['x'].shape == (8, 8, 1) and d.schema['label'].size == 10
    assert d.source.sha256 == 'c91bd4084e4775ac3d3ed49a3d2d9c422b5d2f679218a107cd7913aaaa632f82'
    small = datasets.load('digits', examples=10, eval_examples=5)
    assert small.source.sizes == {'train': 10, 'valid': 5, 'test': 5}
    np.testing.assert_array_equal(small.splits['test']['x'], d.splits['test']['x'][:5])


# The real files

@pytest.mark.slow
def test_real_mnist(tmp_path):
    d = datasets.load('mnist', data_dir=real('mnist'), cache_dir=tmp_path)
    assert d.source.sizes == {'train': 50_000, 'valid': 10_000, 'test': 10_000}
    assert d.splits['train']['label'][:5].tolist() == [5, 0, 4, 1, 9]
    assert d.splits['test']['label'][:5].tolist() == [7, 2, 1, 0, 4]
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid')])
    assert abs(every.mean(dtype=np.float64) - .1306604) < 1e-6   # the well-known mean of the 60,000

    labelled = datasets.load('mnist', cache_dir=tmp_path, binarise='dynamic', labels=100)
    assert labelled.source.facts['labelled'] == 100
    assert (np.unique(labelled.splits['train']['partner'].index, return_counts=True)[1] == 500).all()
    x, p = (s.splits['test']['x'].mean(dtype=np.float64) for s in (labelled, d))
    assert abs(x - p) < 4 * (.25 / 7.84e6) ** .5


@pytest.mark.slow            # the code of MNIST's, on other files
def test_real_fashion_mnist(tmp_path):
    d = datasets.load('fashion_mnist', data_dir=real('.'), cache_dir=tmp_path)
    assert d.source.sizes == {'train': 50_000, 'valid': 10_000, 'test': 10_000}
    assert d.splits['train']['label'][:5].tolist() == [9, 0, 0, 3, 0]
    assert (np.bincount(d.splits['test']['label']) == 1000).all()
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid')])
    assert abs(every.mean(dtype=np.float64) - .2860406) < 1e-6   # the well-known mean of the 60,000


@pytest.mark.slow
def test_real_mnist_static(tmp_path):
    d = datasets.load('mnist_static', data_dir=real('.'), cache_dir=tmp_path)
    assert d.source.sizes == {'train': 50_000, 'valid': 10_000, 'test': 10_000}
    assert all(set(np.unique(part['x'])) == {0, 1} for part in d.splits.values())
    # Drawn with probability x, so the means are those of MNIST's two halves; which images are valid is another choice.
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid')])
    assert abs(every.mean(dtype=np.float64) - .1306604) < 1e-4
    assert abs(d.splits['test']['x'].mean(dtype=np.float64) - .1325145) < 2e-4
    for part in d.splits.values():      # any 1,000 in turn are of all digits: sorted, their means run from .08 to .17
        few = part['x'].reshape(-1, 1000 * 784).mean(1, dtype=np.float64)
        assert few.max() - few.min() < .015


def test_real_frey_faces(tmp_path):
    d = datasets.load('frey_faces', data_dir=real('.'))
    assert d.source.sizes == {'train': 1565, 'valid': 200, 'test': 200}
    test, train = (d.splits[s]['x'].reshape(-1, 560) for s in ('test', 'train'))
    gap = (test ** 2).sum(1)[:, None] + (train ** 2).sum(1) - 2 * test @ train.T
    assert np.median(gap.min(1)) < .2 * np.median(gap)    # frames of a film: most have a near neighbour
