"""Folders of the user's own images."""
import pathlib
import warnings
from typing import Any

import numpy as np

from vaebench import files
from vaebench.datasets import cache
from vaebench.datasets.base import SPLITS, Dataset, Folder, tenths, whole
from vaebench.datasets.image_base import cached, central_square, finish, options
from vaebench.datasets.source_files import cause, label_order
from vaebench.errors import UserError
from vaebench.files import user_path

SUFFIXES = '.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'
Listed = list[tuple[pathlib.Path, str | None]]
"""(path, name of its sub-folder or None) of every image."""


def _listed(folder: pathlib.Path) -> Listed:
    """The images in a folder, in the order of their names."""
    def inside(place):
        return sorted((p for p in place.iterdir() if not p.name.startswith('.')),
                      key=lambda p: p.name)

    def images(place):
        return [p for p in inside(place) if p.suffix.lower() in SUFFIXES and p.is_file()]

    try:
        direct = [(p, None) for p in images(folder)]
        nested = [(p, sub.name) for sub in inside(folder) if sub.is_dir() for p in images(sub)]
    except OSError as e:
        raise UserError(f'cannot read {e.filename}: {e.strerror}') from e
    if direct and nested:
        raise UserError(f'{folder} holds pictures beside folders of pictures ({nested[0][1]}): '
                        'put all into such folders, which are labels, or none')
    if not direct and not nested:
        raise UserError(
            f'{folder} holds no picture: they end in {", ".join(SUFFIXES)}, and lie '
            'in it or in one folder for each label')
    return [*direct, *nested]


def _own(data_dir: Folder) -> dict[str, Listed]:
    """The images of every split."""
    if data_dir is None:
        raise UserError("dataset 'image_dir' is read from files: name the folder of pictures "
                        'with --data_dir')
    folder = user_path(data_dir)
    if not folder.is_dir():
        raise UserError(f'no folder {folder}: --data_dir must hold pictures')
    given = [s for s in SPLITS if (folder / s).is_dir()]
    if given and len(given) < len(SPLITS):
        raise UserError(f'{folder} has a folder {given[0]} but not all of '
                        f'{", ".join(SPLITS)}: make all three or none')
    found = {s: _listed(folder / s) for s in SPLITS} if given else _split(folder)
    labels = {s: {label for _, label in rows} for s, rows in found.items()}
    for split in SPLITS[1:]:
        for label in sorted(labels[split] - labels['train'], key=str):
            what = f'of label {label}' if label else 'without a label'
            raise UserError(f'{folder}: {split} has pictures {what}, train has not: give every '
                            'split the same folders')
    return found


def _split(folder: pathlib.Path) -> dict[str, Listed]:
    """A folder's images, a tenth of them for valid and a tenth for test."""
    every = _listed(folder)
    if len(every) < 3:
        raise UserError(f'{folder} holds {len(every)} pictures: at least 3 are wanted, one for '
                        'each split')
    return {s: [every[i] for i in rows] for s, rows in tenths(len(every)).items()}


def _opened(path: pathlib.Path) -> Any:
    """An image of the user's as PIL image, upright and on white."""
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
        raise UserError(
            f'{path} has more than 8 bits a pixel (mode {image.mode}): save it with '
            '256 levels')
    return image


def _digest(path: pathlib.Path) -> str:
    try:
        return files.sha256(path)
    except OSError as e:
        raise UserError(f'cannot read {path}: {e.strerror}') from e


def image_dir(data_dir: Folder = None, cache_dir: Folder = None, size: int = 32,
              grey: bool = False, examples: int | None = None, eval_examples: int | None = None,
              labels: int | None = None, label_seed: int = 0) -> Dataset:
    """Anybody's images: PNG, JPEG and whatever else Pillow reads.

    `data_dir` holds images, or one folder of images for each label, or folders train, valid and
    test of either. Without these three, one fixed permutation of the sorted names makes a tenth
    valid and a tenth test. Hidden files, files that end otherwise and deeper folders are not
    looked at; an image that cannot be read is an error. Of each the central square is taken,
    transparent pixels on white, and brought to size by Lanczos's filter.

    Args:
      data_dir: the folder.
      cache_dir: folder for prepared files, which are keyed by the contents of the sources.
      size: pixels a side; the convolutional nets halve it once for each of their layers.
      grey: whether colors go.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`, where there are labels.

    Returns:
      A `Dataset`: x float32 [N, size, size, 1 or 3] in [0, 1]; with folders for labels label
      int32 [N], numbers before words, and their names in the schema.
    """
    chosen = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    size, grey = whole('size', size, 1), bool(grey)
    listed = _own(data_dir)
    names = sorted({label for _, label in listed['train'] if label is not None},
                   key=label_order)

    def find():
        def row(path, label):
            number = 0 if label is None else names.index(label)
            return {'image': central_square(_opened(path), size, grey),
                    'label': np.int64(number)}

        return {s: [row(*pair) for pair in pairs] for s, pairs in listed.items()}, names

    hashes = [(s, label, _digest(path)) for s, pairs in listed.items() for path, label in pairs]
    folder = cache.cache_folder(cache_dir) / 'image_dir' / cache.key(size, grey, hashes)
    parts, stored = cached(folder, (size, size, 1 if grey else 3), find, chosen)
    if not stored:
        return finish('image_dir', {s: (x, None) for s, (x, _) in parts.items()}, chosen)
    return finish('image_dir', parts, chosen, classes=len(stored), names=stored)
