"""MNIST and its kin: what they hold, whoever prepared them, and what they say to bad input."""
import gzip
import hashlib
import lzma

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_datasets import facts, real
from test_datasets_image_base import png, stock

from vaebench import core, datasets, schema
from vaebench.datasets import mnist
from vaebench.errors import UserError

IDX = 'mnist', 'fashion_mnist'


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    return lambda name, data_dir=None, **options: datasets.load(name, data_dir, tmp_path / 'cache', **options)


def packed(a):
    return gzip.compress(bytes([0, 0, 8, a.ndim]) + np.array(a.shape, '>i4').tobytes() + a.tobytes())


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
        for (file, known), a in zip(mnist.SOURCES[name].items(), every[name], strict=True):
            raw = packed(a)
            (tmp_path / 'raw' / name / file).write_bytes(raw)
            table[file] = known._replace(sha256=hashlib.sha256(raw).hexdigest(),
                                         content=hashlib.sha256(a.tobytes()).hexdigest())
        monkeypatch.setitem(mnist.SOURCES, name, table)
    monkeypatch.setattr(mnist, 'VALID', 10)
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


@pytest.mark.parametrize('binarise', ['none', 'threshold', 'dynamic'])
def test_padding_adds_a_black_border_and_nothing_else(load, tiny, binarise):
    path, _ = tiny
    plain, padded = (load('fashion_mnist', path, binarise=binarise, pad=pad) for pad in (0, 2))
    assert padded.name == f'{plain.name}_32x32' and padded.schema['x'].shape == (32, 32, 1)
    assert padded.source.sha256 != plain.source.sha256
    for split, part in padded.splits.items():
        np.testing.assert_array_equal(part['x'][:, 2:-2, 2:-2], plain.splits[split]['x'])
        assert np.count_nonzero(part['x']) == np.count_nonzero(plain.splits[split]['x'])
    with pytest.raises(UserError, match='pad=-1: it must be at least 0'):
        load('fashion_mnist', path, pad=-1)


def test_dynamic_binarization(load, tiny):
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
            mnist.idx(file, damaged)
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


# Larochelle's binarization

@pytest.fixture
def tiny_static(monkeypatch, tmp_path):
    """Folder of .amat files, each packed otherwise, that pass for Larochelle's, and their images."""
    rng, table, arrays = np.random.default_rng(1), {}, []
    (tmp_path / 'raw').mkdir()
    for (file, known), n, suffix in zip(mnist.SOURCES['binarized_mnist'].items(), (6, 3, 4), mnist.PACKED,
                                        strict=True):
        a = rng.integers(0, 2, (n, 28, 28), np.uint8)
        raw = ''.join(' '.join(map(str, row.ravel())) + '\n' for row in a).encode()
        pack = {'': bytes, '.xz': lzma.compress, '.gz': gzip.compress}[suffix]
        (tmp_path / 'raw' / (file + suffix)).write_bytes(pack(raw))
        table[file] = known._replace(sha256=hashlib.sha256(raw).hexdigest(),
                                     content=hashlib.sha256(a.tobytes()).hexdigest())
        arrays.append(a)
    monkeypatch.setitem(mnist.SOURCES, 'binarized_mnist', table)
    return tmp_path / 'raw', arrays


def test_static_binarization(load, tiny_static, tmp_path):
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


def test_bad_static_binarization(load, tiny_static):
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
        mnist.amat('x.amat', b'0 1\n')
    file.unlink()
    with pytest.raises(UserError, match='misses binarized_mnist_valid.amat: it should lie at .*/raw/binarized_mnist_'
                                        'valid.amat or .*/raw/binarized_mnist/binarized_mnist_valid.amat'):
        load('mnist_static', path)
    with pytest.raises(UserError, match='binarized_mnist_train.amat.* with --data_dir'):
        load('mnist_static')


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
