"""Sets of images that TFDS has prepared, brought to one size: CIFAR-10, CelebA, Omniglot."""
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.datasets import cache
from vaebench.datasets.base import Dataset, Folder, whole
from vaebench.datasets.image_base import (
    Found,
    ImageOptions,
    Images,
    by_tfds,
    cached,
    central_square,
    finish,
    mapped,
    options,
)
from vaebench.datasets.source_files import cause
from vaebench.errors import UserError, unknown
from vaebench.files import sha256

SIZES = {
    'cifar10': {'train': 50_000, 'test': 10_000},
    'celeb_a': {'train': 162_770, 'validation': 19_867, 'test': 19_962},
    'omniglot': {'train': 19_280, 'test': 13_180},
}
"""TFDS's name -> examples of its splits."""


class Reading(NamedTuple):
    """How the examples of a set become images of one size.

    Attributes:
      name: TFDS's.
      shape: (H, W, C).
      each: TFDS's example -> {'image', 'label'} and perhaps 'id', which then orders them.
      names: of labels.
      what: the options that decide the images, for the name of the cache folder.
    """
    name: str
    shape: tuple[int, int, int]
    each: Callable[[Mapping[str, Any]], dict[str, Any]]
    names: Sequence[str] = ()
    what: Any = ()


def _found(reading: Reading, source: pathlib.Path) -> Found:
    """What TFDS has prepared in a folder, as train, valid and test."""
    from vaebench.datasets import builders
    sizes = SIZES[reading.name]
    try:
        found, _ = builders.read(source, list(sizes), reading.each)
    except Exception as e:   # TFDS, array_record and PIL raise whatever they like
        raise UserError(
            f'cannot read {source} ({cause(e)}): remove it and prepare it again') from e
    for split, n in sizes.items():
        if len(found[split]) != n:
            raise UserError(f'{source} does not hold the published {reading.name}: '
                            f'{len(found[split]):,} examples in {split} instead of {n:,}')
        found[split].sort(key=lambda e: e.pop('id', b''))
    train, valid = found['train'], found.get('validation')
    if valid is None:   # the last tenth of train
        train, valid = train[:-(len(train) // 10)], train[-(len(train) // 10):]
    return {'train': train, 'valid': valid, 'test': found['test']}, reading.names


def prepared_source(name: str, data_dir: Folder,
                    cache_dir: Folder) -> tuple[pathlib.Path, list[tuple[str, str]]]:
    """The folder of a set that TFDS has prepared, and (name, sha256) of its files.

    Args:
      name: TFDS's.
      data_dir: where it is looked for first.
      cache_dir: where it is looked for then.

    Raises:
      UserError: it is in neither.
    """
    base = cache.cache_folder(cache_dir)
    source = by_tfds(name, data_dir, base)
    if source is None:
        where = base if data_dir is None else pathlib.Path(data_dir).expanduser()
        raise UserError(
            f'dataset {name!r} is read as TFDS prepares it, from {where / name}/<version>, '
            'where nothing is in the format array_record: with TensorFlow installed, '
            f"tfds.builder({name!r}, data_dir=DIR, file_format='array_record')"
            '.download_and_prepare() makes it; then give --data_dir=DIR')
    return source, [(p.name, sha256(p)) for p in sorted(source.iterdir()) if p.is_file()]


def _prepared(reading: Reading, data_dir: Folder, cache_dir: Folder, chosen: ImageOptions,
              kept: Callable[..., Any] = cached) -> dict[str, Images]:
    """Images of a set that TFDS has prepared, brought to size once and kept in the cache, by
    `cached` or `mapped`.
    """
    name = reading.name
    source, files = prepared_source(name, data_dir, cache_dir)
    what = () if kept is cached else (kept.__name__,)
    folder = cache.cache_folder(cache_dir) / name / cache.key(name, reading.what, files, *what)
    return kept(folder, reading.shape, lambda: _found(reading, source), chosen)[0]


def cifar10(data_dir: Folder = None, cache_dir: Folder = None, examples: int | None = None,
            eval_examples: int | None = None, labels: int | None = None,
            label_seed: int = 0) -> Dataset:
    """CIFAR-10: 45,000 train, 5,000 valid (the last of the training files), 10,000 test.

    Images are 32x32 in color. They are read as TFDS prepares them, in the format array_record;
    that takes TensorFlow, reading does not. On any machine with both:
    tfds.builder('cifar10', data_dir=DIR, file_format='array_record').download_and_prepare().

    Args:
      data_dir: folder DIR that holds cifar10/3.0.2.
      cache_dir: folder for prepared files.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`.

    Returns:
      A `Dataset`: x float32 [N, 32, 32, 3] in [0, 1], label int32 [N]; train has a column
      'partner' where some are labelled.

    References:
      Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    chosen = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    reading = Reading('cifar10', (32, 32, 3),
                      lambda e: {k: e[k] for k in ('id', 'image', 'label') if k in e})
    return finish('cifar10', _prepared(reading, data_dir, cache_dir, chosen), chosen,
                  classes=10)


ATTRIBUTES = (
    '5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose '
    'Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses '
    'Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache '
    'Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks '
    'Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick '
    'Wearing_Necklace Wearing_Necktie Young')


def celeb_a(data_dir: Folder = None, cache_dir: Folder = None, size: int = 64, crop: int = 140,
            attribute: str | None = None, examples: int | None = None,
            eval_examples: int | None = None, labels: int | None = None,
            label_seed: int = 0) -> Dataset:
    """CelebA, aligned, cropped and made small: 162,770 train, 19,867 valid, 19,962 test faces.

    The faces are 178x218 in color. They are read as TFDS prepares them, in the format
    array_record; that takes TensorFlow, reading does not. On any machine with both:
    tfds.builder('celeb_a', data_dir=DIR, file_format='array_record').download_and_prepare().
    The first use brings all images to size, which takes minutes and 3 GB of memory at 64x64,
    and keeps them in `cache_dir`, where they stay, as 2.5 GB of bytes, until a batch is read.

    Args:
      data_dir: folder DIR that holds celeb_a/2.1.0.
      cache_dir: folder for prepared files.
      size: pixels a side, usually 32 or 64; Lanczos's filter.
      crop: pixels a side of the central square that is kept, 178 at most: 140 as in WAE, 148 or
        108 elsewhere.
      attribute: one of the 40, such as Male or Smiling: the column label says whether a face
        has it. None: no labels.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`, where there is an attribute.

    Returns:
      A `Dataset`: x uint8 [N, size, size, 3], which `decode` divides by 255, with an attribute
      label int32 [N].

    References:
      Liu, Luo, Wang, Tang, Deep Learning Face Attributes in the Wild, 2015, arXiv:1411.7766.
      Tolstikhin, Bousquet, Gelly, Schoelkopf, Wasserstein Auto-Encoders, 2018, arXiv:1711.01558
      (crop of 140).
    """
    chosen = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    size, crop = whole('size', size, 1), whole('crop', crop, 1)
    names = ATTRIBUTES.split()
    if crop > 178:
        raise UserError(f'crop={crop}: the pictures are 178 pixels wide')
    if attribute is not None and attribute not in names:
        raise unknown('attribute of celeb_a', attribute, names)

    # all attributes in one number: a choice among them needs no images of its own
    def each(e):
        from PIL import Image
        bits = sum(int(e['attributes'][a]) << i for i, a in enumerate(names))
        return {'image': central_square(Image.fromarray(e['image']), size, crop=crop),
                'label': np.int64(bits)}

    reading = Reading('celeb_a', (size, size, 3), each, names, (size, crop))
    parts = _prepared(reading, data_dir, cache_dir, chosen, mapped)
    if attribute is None:
        return finish('celeb_a', {s: (x, None) for s, (x, _) in parts.items()}, chosen,
                      stored=True)
    bit = names.index(attribute)
    labelled = {s: (x, np.asarray(y) >> bit & 1) for s, (x, y) in parts.items()}
    return finish('celeb_a', labelled, chosen, classes=2, stored=True)


def omniglot(data_dir: Folder = None, cache_dir: Folder = None, size: int = 28,
             binarise: str = 'none', examples: int | None = None,
             eval_examples: int | None = None) -> Dataset:
    """Omniglot: drawn characters, ink one on paper zero, of 30 alphabets; test of 20 others.

    They are read as TFDS prepares them, in the format array_record; that takes TensorFlow,
    reading does not. On any machine with both:
    tfds.builder('omniglot', data_dir=DIR, file_format='array_record').download_and_prepare().
    Train and valid are nine tenths and one tenth of its train split (17,352 and 1,928), test
    its test split (13,180); the density-model literature uses other files (24,345 and 8,070),
    so its numbers are of other data. There are no labels: those of test are not those of train.

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
      Lake, Salakhutdinov, Tenenbaum, Human-Level Concept Learning through Probabilistic Program
      Induction, 2015.
    """
    chosen = options(examples, eval_examples, binarise)
    size = whole('size', size, 1)

    def each(e):
        from PIL import Image
        ink = 255 - central_square(Image.fromarray(e['image']), size, grey=True)
        return {'image': ink, 'label': np.int64(0)}

    reading = Reading('omniglot', (size, size, 1), each, (), size)
    parts = _prepared(reading, data_dir, cache_dir, chosen)
    return finish('omniglot', {s: (x, None) for s, (x, _) in parts.items()}, chosen)
