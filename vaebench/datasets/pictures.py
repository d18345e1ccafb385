"""Pictures brought to one size: sets that TFDS has prepared, and folders of the user's own."""
import hashlib
import pathlib
import warnings

import numpy as np

from vaebench.datasets import store
from vaebench.datasets.base import integer, permutation
from vaebench.datasets.images import by_tfds, cause, finish, options
from vaebench.datasets.text import SPLITS
from vaebench.errors import UserError, unknown

SIZES = {
    'cifar10': {'train': 50_000, 'test': 10_000},
    'celeb_a': {'train': 162_770, 'validation': 19_867, 'test': 19_962},
    'omniglot': {'train': 19_280, 'test': 13_180},
}
"""TFDS's name -> examples of its splits."""
SUFFIXES = '.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'


def fit(image, size, grey=False, crop=None):
    """A picture's central square in the size that is wanted.

    Args:
      image: PIL image.
      size: pixels a side; reached by Lanczos's filter.
      grey: whether colours go.
      crop: pixels a side of the square; None means all that the picture has.

    Returns:
      uint8 [size, size, 1 or 3].
    """
    from PIL import Image
    image = image.convert('L' if grey else 'RGB')   # first: palettes and single bits cannot be resized well
    side = crop or min(image.size)
    left, top = ((n - side) // 2 for n in image.size)
    image = image.crop((left, top, left + side, top + side))
    if side != size:
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(size, size, -1)


def _key(*what):
    return hashlib.sha256(repr(('1', *what)).encode()).hexdigest()[:16]


def _kept(folder, shape, rows, first):
    """Pictures of a cache folder, which is filled if need be.

    Args:
      folder: path, whose last part names the content.
      shape: (H, W, C).
      rows: function () -> ({split: list of {'image', 'label'}}, names of labels).
      first: {split: at most so many, or None}.

    Returns:
      ({split: (images uint8 [N, H, W, C], labels int [N])}, names of labels).
    """
    from vaebench.datasets import builders
    if not store.intact(folder):
        found, names = rows()
        store.prepared(folder, lambda new: builders.write(builders.Pictures, new, found,
                                                          {'shape': list(shape), 'labels': list(names)}))
    examples, metadata = builders.read(folder, SPLITS, first=first)
    parts = {s: (np.stack([e['image'] for e in rows]), np.array([e['label'] for e in rows]))
             for s, rows in examples.items()}
    return parts, tuple(metadata['labels'])


def _first(cut):
    return {s: cut['examples' if s == 'train' else 'eval_examples'] for s in SPLITS}


# Sets that TFDS has prepared

def _prepared(name, shape, each, names, what, data_dir, cache_dir, first):
    """Pictures of a set that TFDS has prepared, brought to size once and kept in the cache.

    Args:
      name: TFDS's.
      shape: (H, W, C).
      each: function of TFDS's example -> {'image', 'label'} and perhaps 'id', which then orders them.
      names: of labels.
      what: options that decide the pictures.
      data_dir, cache_dir: as the loaders'.
      first: as in `_kept`.
    """
    cache = store.cache_folder(cache_dir)
    source = by_tfds(name, data_dir, cache)
    if source is None:
        where = cache if data_dir is None else pathlib.Path(data_dir).expanduser()
        raise UserError(
            f'dataset {name!r} is read as TFDS prepares it, from {where / name}/<version>, where nothing is in the '
            f'format array_record: with TensorFlow installed, tfds.builder({name!r}, data_dir=DIR, '
            "file_format='array_record').download_and_prepare() makes it; then give --data_dir=DIR")
    sizes = SIZES[name]

    def rows():
        from vaebench.datasets import builders
        try:
            found, _ = builders.read(source, list(sizes), each)
        except Exception as e:   # TFDS, array_record and PIL raise whatever they like at files they cannot read
            raise UserError(f'cannot read {source} ({cause(e)}): remove it and prepare it again') from e
        for split, n in sizes.items():
            if len(found[split]) != n:
                raise UserError(f'{source} does not hold the published {name}: {len(found[split]):,} examples in '
                                f'{split} instead of {n:,}')
            found[split].sort(key=lambda e: e.pop('id', b''))
        train, valid = found['train'], found.get('validation')
        if valid is None:   # the last tenth of train
            train, valid = train[:-(len(train) // 10)], train[-(len(train) // 10):]
        return {'train': train, 'valid': valid, 'test': found['test']}, names

    files = [(p.name, store.sha256(p)) for p in sorted(source.iterdir()) if p.is_file()]
    return _kept(cache / name / _key(name, what, files), shape, rows, first)[0]


def cifar10(data_dir=None, cache_dir=None, examples=None, eval_examples=None, labels=None, label_seed=0):
    """CIFAR-10: 45,000 train, 5,000 valid (the last of the training files), 10,000 test, 32x32 in colour.

    Read as TFDS prepares it, in the format array_record; that takes TensorFlow, reading does not. On any machine with
    both: tfds.builder('cifar10', data_dir=DIR, file_format='array_record').download_and_prepare().

    Args:
      data_dir: folder DIR that holds cifar10/3.0.2.
      cache_dir: folder for prepared files.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`.

    Returns:
      A `Dataset`: x float32 [N, 32, 32, 3] in [0, 1], label int32 [N], partner int32 [N] in train.

    References:
      Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    cut = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    parts = _prepared('cifar10', (32, 32, 3), lambda e: {k: e[k] for k in ('id', 'image', 'label') if k in e}, (), (),
                      data_dir, cache_dir, _first(cut))
    return finish('cifar10', parts, classes=10, **cut)


ATTRIBUTES = (
    '5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair '
    'Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male '
    'Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks '
    'Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace '
    'Wearing_Necktie Young')


def celeb_a(data_dir=None, cache_dir=None, size=64, crop=140, attribute=None, examples=None, eval_examples=None,
            labels=None, label_seed=0):
    """CelebA, aligned and cropped: 162,770 train, 19,867 valid, 19,962 test faces of 178x218 in colour, made small.

    Read as TFDS prepares it, in the format array_record; that takes TensorFlow, reading does not. On any machine with
    both: tfds.builder('celeb_a', data_dir=DIR, file_format='array_record').download_and_prepare(). The first use brings
    all pictures to size, which takes minutes, and keeps them in `cache_dir`; 64x64 in full takes 10 GB of memory.

    Args:
      data_dir: folder DIR that holds celeb_a/2.1.0.
      cache_dir: folder for prepared files.
      size: pixels a side, usually 32 or 64; Lanczos's filter.
      crop: pixels a side of the central square that is kept, 178 at most: 140 as in WAE, 148 or 108 elsewhere.
      attribute: one of the 40, such as Male or Smiling: the column label says whether a face has it. None: no labels.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`, where there is an attribute.

    Returns:
      A `Dataset`: x float32 [N, size, size, 3] in [0, 1], with an attribute label int32 [N].

    References:
      Liu, Luo, Wang, Tang, Deep Learning Face Attributes in the Wild, 2015, arXiv:1411.7766.
      Tolstikhin, Bousquet, Gelly, Schoelkopf, Wasserstein Auto-Encoders, 2018, arXiv:1711.01558 (crop of 140).
    """
    cut = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    size, crop, names = integer('size', size, 1), integer('crop', crop, 1), ATTRIBUTES.split()
    if crop > 178:
        raise UserError(f'crop={crop}: the pictures are 178 pixels wide')
    if attribute is not None and attribute not in names:
        raise unknown('attribute of celeb_a', attribute, names)

    def each(e):   # all attributes in one number: a choice among them needs no pictures of its own
        from PIL import Image
        return {'image': fit(Image.fromarray(e['image']), size, crop=crop),
                'label': np.int64(sum(int(e['attributes'][a]) << i for i, a in enumerate(names)))}

    parts = _prepared('celeb_a', (size, size, 3), each, names, (size, crop), data_dir, cache_dir, _first(cut))
    if attribute is None:
        return finish('celeb_a', {s: (x, None) for s, (x, _) in parts.items()}, **cut)
    bit = names.index(attribute)
    return finish('celeb_a', {s: (x, y >> bit & 1) for s, (x, y) in parts.items()}, classes=2, **cut)


def omniglot(data_dir=None, cache_dir=None, size=28, binarise='none', examples=None, eval_examples=None):
    """Omniglot: drawn characters, ink one on paper zero; train and valid of 30 alphabets, test of 20 others.

    Read as TFDS prepares it, in the format array_record; that takes TensorFlow, reading does not. On any machine with
    both: tfds.builder('omniglot', data_dir=DIR, file_format='array_record').download_and_prepare(). Train and valid are
    nine tenths and one tenth of its train split (17,352 and 1,928), test its test split (13,180); the density-model
    literature uses other files (24,345 and 8,070), so its numbers are of other data. No labels: those of test are not
    those of train.

    Args:
      data_dir: folder DIR that holds omniglot/3.0.0.
      cache_dir: folder for prepared files.
      size: pixels a side, usually 28, 32 or 64; Lanczos's filter, from 105.
      binarise: as in `mnist`; adds to the name.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x float32 [N, size, size, 1] in [0, 1].

    References:
      Lake, Salakhutdinov, Tenenbaum, Human-Level Concept Learning through Probabilistic Program Induction, 2015.
    """
    cut = options(examples, eval_examples, binarise)
    size = integer('size', size, 1)

    def each(e):
        from PIL import Image
        return {'image': 255 - fit(Image.fromarray(e['image']), size, grey=True), 'label': np.int64(0)}

    parts = _prepared('omniglot', (size, size, 1), each, (), size, data_dir, cache_dir, _first(cut))
    return finish('omniglot', {s: (x, None) for s, (x, _) in parts.items()}, **cut)


# Folders of the user's own pictures

def _listed(folder):
    """[(path, name of its sub-folder or None)] of the pictures in a folder, in the order of their names."""
    def inside(place):
        return sorted((p for p in place.iterdir() if not p.name.startswith('.')), key=lambda p: p.name)

    def pictures(place):
        return [p for p in inside(place) if p.suffix.lower() in SUFFIXES and p.is_file()]

    try:
        direct = [(p, None) for p in pictures(folder)]
        nested = [(p, sub.name) for sub in inside(folder) if sub.is_dir() for p in pictures(sub)]
    except OSError as e:
        raise UserError(f'cannot read {e.filename}: {e.strerror}') from e
    if direct and nested:
        raise UserError(f'{folder} holds pictures beside folders of pictures ({nested[0][1]}): put all into such '
                        'folders, which are labels, or none')
    if not direct and not nested:
        raise UserError(f'{folder} holds no picture: they end in {", ".join(SUFFIXES)}, and lie in it or in one folder '
                        'for each label')
    return direct or nested


def _own(data_dir):
    """{split: [(path, label or None)]} of a folder of pictures."""
    if data_dir is None:
        raise UserError("dataset 'image_dir' is read from files: name the folder of pictures with --data_dir")
    folder = pathlib.Path(data_dir).expanduser()
    if not folder.is_dir():
        raise UserError(f'no folder {folder}: --data_dir must hold pictures')
    given = [s for s in SPLITS if (folder / s).is_dir()]
    if given and len(given) < len(SPLITS):
        raise UserError(f'{folder} has a folder {given[0]} but not all of {", ".join(SPLITS)}: make all three or none')
    if given:
        found = {s: _listed(folder / s) for s in SPLITS}
    else:
        every = _listed(folder)
        if len(every) < 3:
            raise UserError(f'{folder} holds {len(every)} pictures: at least 3 are wanted, one for each split')
        order, n = permutation(len(every)), max(1, len(every) // 10)
        parts = {'train': order[:-2 * n], 'valid': order[-2 * n:-n], 'test': order[-n:]}
        found = {s: [every[i] for i in rows] for s, rows in parts.items()}
    labels = {s: {label for _, label in rows} for s, rows in found.items()}
    for split in SPLITS[1:]:
        for label in sorted(labels[split] - labels['train'], key=str):
            raise UserError(f'{folder}: {split} has pictures {f"of label {label}" if label else "without a label"}, '
                            'train has not: give every split the same folders')
    return found


def _opened(path):
    """A picture of the user's as PIL image, upright and on white."""
    from PIL import Image, ImageOps
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')   # of odd metadata, which is not looked at
            image = ImageOps.exif_transpose(Image.open(path))
            if not image.mode.startswith(('I', 'F')) and image.has_transparency_data:
                image = image.convert('RGBA')
                image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    except Exception as e:   # PIL raises whatever it likes at files it cannot read
        raise UserError(f'cannot read {path} ({cause(e)}): save it again or remove it') from e
    if image.mode.startswith(('I', 'F')):
        raise UserError(f'{path} has more than 8 bits a pixel (mode {image.mode}): save it with 256 levels')
    return image


def image_dir(data_dir=None, cache_dir=None, size=32, grey=False, examples=None, eval_examples=None, labels=None,
              label_seed=0):
    """Anybody's pictures: PNG, JPEG and whatever else Pillow reads.

    `data_dir` holds pictures, or one folder of pictures for each label, or folders train, valid and test of either.
    Without these three, one fixed permutation of the sorted names makes a tenth valid and a tenth test. Hidden files,
    files that end otherwise and deeper folders are not looked at; a picture that cannot be read is an error. Of each
    the central square is taken, transparent pixels on white, and brought to size by Lanczos's filter.

    Args:
      data_dir: the folder.
      cache_dir: folder for prepared files, which are keyed by the contents of the sources.
      size: pixels a side; the convolutional nets halve it once for each of their layers.
      grey: whether colours go.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`, where there are labels.

    Returns:
      A `Dataset`: x float32 [N, size, size, 1 or 3] in [0, 1]; with folders for labels label int32 [N], numbers before
      words, and their names in the schema.
    """
    cut = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    size, grey = integer('size', size, 1), bool(grey)
    found = _own(data_dir)
    names = sorted({label for _, label in found['train']} - {None},
                   key=lambda s: (0, int(s), s) if s.isdecimal() else (1, 0, s))

    def rows():
        return {s: [{'image': fit(_opened(path), size, grey),
                     'label': np.int64(0 if label is None else names.index(label))}
                    for path, label in pairs] for s, pairs in found.items()}, names

    def digest(path):
        try:
            return store.sha256(path)
        except OSError as e:
            raise UserError(f'cannot read {path}: {e.strerror}') from e

    hashes = [(s, label, digest(path)) for s, pairs in found.items() for path, label in pairs]
    folder = store.cache_folder(cache_dir) / 'image_dir' / _key(size, grey, hashes)
    parts, names = _kept(folder, (size, size, 1 if grey else 3), rows, _first(cut))
    if not names:
        return finish('image_dir', {s: (x, None) for s, (x, _) in parts.items()}, **cut)
    return finish('image_dir', parts, classes=len(names), names=tuple(names), **cut)
