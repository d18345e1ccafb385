"""Folders of the user's own images."""
import numpy as np
import pytest
from test_datasets import facts

from vaebench import datasets
from vaebench.datasets import image_folder
from vaebench.datasets.image_base import central_square
from vaebench.errors import UserError


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    cache = tmp_path / 'cache'
    return lambda name, data_dir=None, **more: datasets.load(name, data_dir, cache, **more)


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
    assert d.name == 'image_dir' and d.schema['x'].shape == (4, 4, 3)
    assert 'label' not in d.schema and set(d.splits['train']) == {'x'}
    assert d.source.sizes == {'train': 16, 'valid': 2, 'test': 2}
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid', 'test')])
    order = np.argsort(np.random.default_rng(0).random(20), kind='stable')
    np.testing.assert_allclose(
        every, np.broadcast_to(order[:, None, None, None] * 10 / 255, every.shape), atol=1e-6)
    assert facts(load('image_dir', tmp_path / 'x', size=4)) == facts(d)
    small = load('image_dir', tmp_path / 'x', size=4, examples=3, eval_examples=1)
    assert small.source.sizes == {'train': 3, 'valid': 1, 'test': 1}
    save(tmp_path / 'x' / '00.png', shade(255))
    # never stale
    assert load('image_dir', tmp_path / 'x', size=4).source.sha256 != d.source.sha256
    grey = load('image_dir', tmp_path / 'x', size=8, grey=True)
    assert grey.schema['x'].shape == (8, 8, 1)


def test_image_dir_with_labels_and_splits(load, tmp_path):
    for s, n in (('train', 4), ('valid', 1), ('test', 2)):
        for label in ('2', '10', 'cat'):
            for i in range(n):
                save(tmp_path / 'x' / s / label / f'{i}.jpg',
                     shade({'2': 40, '10': 120, 'cat': 200}[label]))
    d = load('image_dir', tmp_path / 'x', size=8, labels=6)
    assert d.schema['label'].names == ('2', '10', 'cat') and d.schema['label'].size == 3
    assert d.source.sizes == {'train': 12, 'valid': 3, 'test': 6}
    for part in d.splits.values():
        np.testing.assert_allclose(part['x'].mean((1, 2, 3)) * 255,
                                   np.array([40, 120, 200])[part['label']], atol=2)
    rows = np.unique(d.splits['train']['partner'].index)
    assert np.bincount(d.splits['train']['label'][rows]).tolist() == [2, 2, 2]
    # the same folders of labels, split here
    flat = load('image_dir', tmp_path / 'x' / 'train', size=8)
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
    found = {p.name: central_square(image_folder._opened(p), 6) for p in x.iterdir()}
    red, white = np.broadcast_to(np.array([255, 0, 0]), (6, 6, 3)), np.full((6, 6, 3), 255)
    for name, want in (('a.png', red), ('b.bmp', red), ('c.png', white), ('d.png', white),
                       ('e.png', red)):
        np.testing.assert_array_equal(found[name], want, err_msg=name)
    np.testing.assert_allclose(found['f.tif'], red, atol=2)
    half = np.zeros((40, 40), np.uint8)
    half[:, 20:] = 200
    small = central_square(Image.fromarray(half), 4, grey=True)[..., 0]
    np.testing.assert_allclose(small.mean(), 100, atol=2)      # means survive the filter
    assert (small[:, 0] < 20).all() and (small[:, 3] > 180).all()


def test_pictures_that_cannot_be_read(load, tmp_path):
    for i in range(3):
        save(tmp_path / 'x' / f'{i}.png',
             np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8))
    file = tmp_path / 'x' / '1.png'
    raw = file.read_bytes()
    for damaged in (b'', b'not a picture', raw[:len(raw) // 2],
                    raw[:40] + bytes(len(raw) - 40)):
        file.write_bytes(damaged)
        message = r'cannot read .*x/1\.png \(.+\): save it again or remove it'
        with pytest.raises(UserError, match=message) as e:
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
