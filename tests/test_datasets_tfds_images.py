"""Sets of images that TFDS has prepared, brought to one size."""
import jax
import numpy as np
import pytest
from test_datasets_image_base import png, stock

from vaebench import datasets
from vaebench.datasets import tfds_images
from vaebench.errors import UserError


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    return lambda name, data_dir=None, **options: datasets.load(name, data_dir, tmp_path / 'cache', **options)


@pytest.fixture
def sizes(monkeypatch):
    """Makes small fixtures pass for the published sets."""
    return lambda name, **n: monkeypatch.setitem(tfds_images.SIZES, name, n)


def test_cifar10(load, sizes, tmp_path):
    rng = np.random.default_rng(3)
    x = {s: rng.integers(0, 256, (n, 32, 32, 3), np.uint8) for s, n in (('train', 30), ('test', 4))}
    sizes('cifar10', train=30, test=4)
    stock(tmp_path / 'tfds', 'cifar10', '3.0.2',
          lambda f: {'id': f.Text(), 'image': f.Image(shape=(32, 32, 3)), 'label': f.ClassLabel(num_classes=10)},
          {s: [{'id': f'{s}_{i:05}', 'image': png(a), 'label': i % 10} for i, a in enumerate(rows)]
           for s, rows in x.items()})
    d = load('cifar10', tmp_path / 'tfds', labels=10)
    assert d.source.sizes == {'train': 27, 'valid': 3, 'test': 4} and d.schema['x'].shape == (32, 32, 3)
    for split, rows in (('train', x['train'][:27]), ('valid', x['train'][27:]), ('test', x['test'])):
        np.testing.assert_array_equal(d.splits[split]['x'], rows.astype(np.float32) / 255)     # in the files' order
    assert d.splits['valid']['label'].tolist() == [7, 8, 9] and d.schema['label'].size == 10
    rows = np.unique(d.splits['train']['partner'].index)
    assert sorted(d.splits['train']['label'][rows]) == list(range(10))
    small = load('cifar10', tmp_path / 'tfds', examples=5, eval_examples=2)
    assert small.source.sizes == {'train': 5, 'valid': 2, 'test': 2}
    np.testing.assert_array_equal(small.splits['train']['x'], d.splits['train']['x'][:5])

    record, = (tmp_path / 'tfds').rglob('*test.array_record*')
    record.write_bytes(record.read_bytes()[:-9])      # other sources: no cached pictures stand in for them
    with pytest.raises(UserError, match='cannot read .*cifar10/3.0.2.*prepare it again'):
        load('cifar10', tmp_path / 'tfds')


def test_celeb_a(load, sizes, tmp_path):
    names = tfds_images.ATTRIBUTES.split()
    assert len(names) == 40
    n = {'train': 5, 'validation': 2, 'test': 3}
    sizes('celeb_a', **n)
    shades = {s: np.arange(k) * 20 + 10 * i for i, (s, k) in enumerate(n.items())}

    def face(shade):
        a = np.full((218, 178, 3), 255, np.uint8)
        a[39:179, 19:159] = shade, 0, 100      # the central 140x140
        return a

    stock(tmp_path / 'tfds', 'celeb_a', '2.1.0',
          lambda f: {'image': f.Image(shape=(218, 178, 3)), 'attributes': dict.fromkeys(names, np.bool_)},
          {s: [{'image': png(face(v)), 'attributes': {a: (v >> 4) % 2 == 1 if a == 'Young' else a == 'Bald'
                                                      for a in names}} for v in values]
           for s, values in shades.items()}, keep_order=True)
    d = load('celeb_a', tmp_path / 'tfds')
    assert d.schema['x'].shape == (64, 64, 3) and d.source.sizes == {'train': 5, 'valid': 2, 'test': 3}
    assert set(d.splits['train']) == {'x'} and 'label' not in d.schema
    for split, theirs in (('train', 'train'), ('valid', 'validation'), ('test', 'test')):
        want = np.stack([np.full((64, 64), v) for v in shades[theirs]])
        assert isinstance(d.splits[split]['x'], np.memmap)         # it stays on the disk until it is read
        np.testing.assert_allclose(d.decode(d.splits[split])['x'] * 255,    # nothing of the white border is left
                                   np.stack([want, 0 * want, 0 * want + 100], -1), atol=1e-4)
    young = load('celeb_a', tmp_path / 'tfds', attribute='Young')
    assert young.splits['train']['label'].tolist() == [v >> 4 & 1 for v in shades['train']]
    assert load('celeb_a', tmp_path / 'tfds', attribute='Bald').splits['test']['label'].tolist() == [1, 1, 1]
    assert young.schema['label'].size == 2
    assert len([p for p in (tmp_path / 'cache' / 'celeb_a').iterdir() if p.is_dir()]) == 1   # labels share the pictures
    wide = load('celeb_a', tmp_path / 'tfds', size=32, crop=178, examples=1)
    assert wide.splits['train']['x'].shape == (1, 32, 32, 3)
    assert wide.splits['train']['x'][0, 0, 0].tolist() == [255] * 3      # the border is there
    for options, message in (({'attribute': 'young'}, "'young'; did you mean 'Young'"), ({'crop': 200}, 'crop=200'),
                             ({'labels': 2}, 'labels=2: celeb_a has no labels here'), ({'size': 0}, 'size=0')):
        with pytest.raises(UserError, match=message):
            load('celeb_a', tmp_path / 'tfds', **options)


def test_omniglot(load, sizes, tmp_path):
    sizes('omniglot', train=10, test=2)
    a = np.full((105, 105, 3), 255, np.uint8)
    a[:, :52] = 0                               # ink on the left
    stock(tmp_path / 'tfds', 'omniglot', '3.0.0', lambda f: {'image': f.Image(shape=(105, 105, 3)), 'label': np.int64},
          {s: [{'image': png(a), 'label': 7}] * n for s, n in (('train', 10), ('test', 2), ('small1', 1))})
    d = load('omniglot', tmp_path / 'tfds')
    assert d.source.sizes == {'train': 9, 'valid': 1, 'test': 2} and d.schema['x'].shape == (28, 28, 1)
    assert set(d.splits['train']) == {'x'}
    x = d.splits['test']['x'][0, ..., 0]
    assert (x[:, :11] > .99).all() and (x[:, 17:] < .01).all() and x.min() >= 0 and x.max() <= 1
    binary = load('omniglot', tmp_path / 'tfds', size=32, binarise='dynamic')
    assert binary.name == 'omniglot_dynamic'
    drawn = np.asarray(binary.augment(jax.random.key(0), binary.splits['train'])['x'])
    grey = binary.splits['train']['x']
    assert set(np.unique(drawn)) == {0, 1} and (drawn[grey == 0] == 0).all() and (drawn[grey == 1] == 1).all()
    assert set(np.unique(binary.splits['valid']['x'])) == {0, 1} and binary.schema['x'].shape == (32, 32, 1)


@pytest.mark.parametrize('name', tfds_images.SIZES)
def test_what_tfds_has_not_prepared(load, sizes, tmp_path, name):
    with pytest.raises(UserError, match=f"'{name}' is read as TFDS prepares it, from .*cache/{name}/<version>") as e:
        load(name)
    assert f"tfds.builder('{name}', data_dir=DIR, file_format='array_record')" in str(e.value)
    assert '\n' not in str(e.value)
    folder = tmp_path / 'tfds' / name / '1.0.0'
    folder.mkdir(parents=True)
    (folder / 'dataset_info.json').write_text('{"fileFormat": "tfrecord"}')
    with pytest.raises(UserError, match=f'from {tmp_path}/tfds/{name}/<version>, where nothing is in the format'):
        load(name, tmp_path / 'tfds')


def test_prepared_sets_must_be_whole(load, sizes, tmp_path):
    stock(tmp_path / 'tfds', 'cifar10', '3.0.2', lambda f: {'image': f.Image(shape=(32, 32, 3)), 'label': np.int64},
          {s: [{'image': png(np.zeros((32, 32, 3), np.uint8)), 'label': 0}] for s in ('train', 'test')})
    with pytest.raises(UserError, match='does not hold the published cifar10: 1 examples in train instead of 50,000'):
        load('cifar10', tmp_path / 'tfds')
