"""Pictures brought to one size: sets that TFDS has prepared, and folders of the user's own."""
import jax
import numpy as np
import pytest
from test_datasets import facts
from test_datasets_images import png, stock

from vaebench import datasets
from vaebench.datasets import pictures
from vaebench.errors import UserError


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    return lambda name, data_dir=None, **options: datasets.load(name, data_dir, tmp_path / 'cache', **options)


# Sets that TFDS has prepared

@pytest.fixture
def sizes(monkeypatch):
    """Makes small fixtures pass for the published sets."""
    return lambda name, **n: monkeypatch.setitem(pictures.SIZES, name, n)


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
    assert sorted(d.splits['train']['label'][np.unique(d.splits['train']['partner'])]) == list(range(10))
    small = load('cifar10', tmp_path / 'tfds', examples=5, eval_examples=2)
    assert small.source.sizes == {'train': 5, 'valid': 2, 'test': 2}
    np.testing.assert_array_equal(small.splits['train']['x'], d.splits['train']['x'][:5])

    record, = (tmp_path / 'tfds').rglob('*test.array_record*')
    record.write_bytes(record.read_bytes()[:-9])      # other sources: no cached pictures stand in for them
    with pytest.raises(UserError, match='cannot read .*cifar10/3.0.2.*prepare it again'):
        load('cifar10', tmp_path / 'tfds')


def test_celeb_a(load, sizes, tmp_path):
    names = pictures.ATTRIBUTES.split()
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
        np.testing.assert_allclose(d.splits[split]['x'] * 255,     # nothing of the white border is left
                                   np.stack([want, 0 * want, 0 * want + 100], -1), atol=1e-4)
    young = load('celeb_a', tmp_path / 'tfds', attribute='Young')
    assert young.splits['train']['label'].tolist() == [v >> 4 & 1 for v in shades['train']]
    assert load('celeb_a', tmp_path / 'tfds', attribute='Bald').splits['test']['label'].tolist() == [1, 1, 1]
    assert young.schema['label'].size == 2
    assert len([p for p in (tmp_path / 'cache' / 'celeb_a').iterdir() if p.is_dir()]) == 1   # labels share the pictures
    wide = load('celeb_a', tmp_path / 'tfds', size=32, crop=178, examples=1)
    assert wide.splits['train']['x'].shape == (1, 32, 32, 3)
    assert wide.splits['train']['x'][0, 0, 0].tolist() == [1, 1, 1]      # the border is there
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


@pytest.mark.parametrize('name', pictures.SIZES)
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


# Folders of pictures

def save(path, a, **options):
    from PIL import Image
    path.parent.mkdir(parents=True, exist_ok=True)
    (a if isinstance(a, Image.Image) else Image.fromarray(a)).save(path, **options)


def shade(v, shape=(8, 8, 3)):
    return np.full(shape, v, np.uint8)


def test_image_dir(load, tmp_path):
    for i in range(20):
        save(tmp_path / 'x' / f'{i:02}.png', shade(10 * i))
    (tmp_path / 'x' / 'notes.txt').write_text('not a picture')
    (tmp_path / 'x' / '.hidden.png').write_text('not a picture')
    d = load('image_dir', tmp_path / 'x', size=4)
    assert d.name == 'image_dir' and d.schema['x'].shape == (4, 4, 3) and 'label' not in d.schema
    assert d.source.sizes == {'train': 16, 'valid': 2, 'test': 2} and set(d.splits['train']) == {'x'}
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid', 'test')])
    order = np.argsort(np.random.default_rng(0).random(20), kind='stable')
    np.testing.assert_allclose(every, np.broadcast_to(order[:, None, None, None] * 10 / 255, every.shape), atol=1e-6)
    assert facts(load('image_dir', tmp_path / 'x', size=4)) == facts(d)
    small = load('image_dir', tmp_path / 'x', size=4, examples=3, eval_examples=1)
    assert small.source.sizes == {'train': 3, 'valid': 1, 'test': 1}
    save(tmp_path / 'x' / '00.png', shade(255))
    assert load('image_dir', tmp_path / 'x', size=4).source.sha256 != d.source.sha256    # never stale
    grey = load('image_dir', tmp_path / 'x', size=8, grey=True)
    assert grey.schema['x'].shape == (8, 8, 1)


def test_image_dir_with_labels_and_splits(load, tmp_path):
    for s, n in (('train', 4), ('valid', 1), ('test', 2)):
        for label in ('2', '10', 'cat'):
            for i in range(n):
                save(tmp_path / 'x' / s / label / f'{i}.jpg', shade({'2': 40, '10': 120, 'cat': 200}[label]))
    d = load('image_dir', tmp_path / 'x', size=8, labels=6)
    assert d.schema['label'].names == ('2', '10', 'cat') and d.schema['label'].size == 3
    assert d.source.sizes == {'train': 12, 'valid': 3, 'test': 6}
    for part in d.splits.values():
        np.testing.assert_allclose(part['x'].mean((1, 2, 3)) * 255, np.array([40, 120, 200])[part['label']], atol=2)
    rows = np.unique(d.splits['train']['partner'])
    assert np.bincount(d.splits['train']['label'][rows]).tolist() == [2, 2, 2]
    flat = load('image_dir', tmp_path / 'x' / 'train', size=8)       # the same folders of labels, split here
    assert flat.source.sizes == {'train': 10, 'valid': 1, 'test': 1}
    assert flat.schema['label'].names == ('2', '10', 'cat')


def test_pictures_of_every_kind(load, tmp_path):
    from PIL import Image
    x, wide = tmp_path / 'x', np.zeros((6, 10, 3), np.uint8)
    wide[:, 2:8] = 255, 0, 0                     # the central square is red
    save(x / 'a.png', wide)
    save(x / 'b.bmp', Image.fromarray(wide).convert('P', palette=Image.Palette.ADAPTIVE))
    clear = np.dstack([wide, shade(0, (6, 10))])
    save(x / 'c.png', clear)
    save(x / 'd.png', shade(1, (6, 10)).astype(bool))
    tall = Image.fromarray(np.swapaxes(wide, 0, 1))
    exif = Image.Exif()
    exif[0x0112] = 6                             # to be turned
    save(x / 'e.png', tall, exif=exif)
    save(x / 'f.tif', Image.fromarray(wide).convert('CMYK'))
    found = {p.name: pictures.fit(pictures._opened(p), 6) for p in x.iterdir()}
    red, white = np.broadcast_to(np.array([255, 0, 0]), (6, 6, 3)), np.full((6, 6, 3), 255)
    for name, want in (('a.png', red), ('b.bmp', red), ('c.png', white), ('d.png', white), ('e.png', red)):
        np.testing.assert_array_equal(found[name], want, err_msg=name)
    np.testing.assert_allclose(found['f.tif'], red, atol=2)
    half = np.zeros((40, 40), np.uint8)
    half[:, 20:] = 200
    small = pictures.fit(Image.fromarray(half), 4, grey=True)[..., 0]
    np.testing.assert_allclose(small.mean(), 100, atol=2)      # means survive the filter
    assert (small[:, 0] < 20).all() and (small[:, 3] > 180).all()


def test_pictures_that_cannot_be_read(load, tmp_path):
    for i in range(3):
        save(tmp_path / 'x' / f'{i}.png', np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8))
    file = tmp_path / 'x' / '1.png'
    raw = file.read_bytes()
    for damaged in (b'', b'not a picture', raw[:len(raw) // 2], raw[:40] + bytes(len(raw) - 40)):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r'cannot read .*x/1\.png \(.+\): save it again or remove it') as e:
            load('image_dir', tmp_path / 'x')
        assert '\n' not in str(e.value)
    save(file, np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)
    with pytest.raises(UserError, match=r'1\.png has more than 8 bits a pixel \(mode I;16\)'):
        load('image_dir', tmp_path / 'x')


def test_bad_folders_of_pictures(load, tmp_path):
    def bad(message, data_dir=tmp_path / 'x', **options):
        with pytest.raises(UserError, match=message) as e:
            load('image_dir', data_dir, **options)
        assert '\n' not in str(e.value)

    bad('name the folder of pictures with --data_dir', None)
    bad('no folder .*nowhere', tmp_path / 'nowhere')
    (tmp_path / 'x' / 'empty').mkdir(parents=True)
    bad('x holds no picture: they end in .bmp')
    save(tmp_path / 'x' / 'a.png', shade(1))
    bad('holds 1 pictures: at least 3')
    save(tmp_path / 'x' / 'cat' / 'a.png', shade(1))
    bad('holds pictures beside folders of pictures .cat.')
    bad('size=0', size=0)
    y = tmp_path / 'y'
    save(y / 'train' / 'cat' / 'a.png', shade(1))
    bad('has a folder train but not all of train, valid, test', y)
    for s in ('valid', 'test'):
        save(y / s / 'dog' / 'a.png', shade(1))
    bad('valid has pictures of label dog, train has not', y)
    for s in ('train', 'valid', 'test'):
        save(tmp_path / 'z' / s / 'a.png', shade(1))
    bad('labels=2: image_dir has no labels', tmp_path / 'z', labels=2)
    save(tmp_path / 'z' / 'train' / 'b.png', shade(1))
    assert load('image_dir', tmp_path / 'z').source.sizes == {'train': 2, 'valid': 1, 'test': 1}
