"""What all datasets of images share: options, one size, the cache, the last steps of
loaders."""
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets import cache
from vaebench.datasets.base import (
    SPLITS,
    Dataset,
    Folder,
    image_dataset,
    integer,
    partners,
    whole,
)
from vaebench.datasets.source_files import read
from vaebench.errors import UserError

BINARIZATIONS = 'none', 'threshold', 'dynamic'
Images = tuple[np.ndarray, np.ndarray | None]
"""(int [N, H, W] or [N, H, W, C], int [N] labels or None)."""


class ImageOptions(NamedTuple):
    """Checked options of a dataset of images; `mnist` explains them."""
    examples: int | None
    eval_examples: int | None
    binarise: str
    labels: int | None
    label_seed: int
    pad: int = 0

    def first(self, split: str) -> int | None:
        """How many rows of a split are kept at most; None keeps all."""
        return self.examples if split == 'train' else self.eval_examples


def options(examples: int | None = None, eval_examples: int | None = None,
            binarise: str = 'none', labels: int | None = None,
            label_seed: int = 0, pad: int = 0) -> ImageOptions:
    """Checks the options that datasets of images share: see `mnist`.

    Raises:
      UserError: an option has a value that it cannot have.

    >>> options(examples=5).first('train')
    5
    """
    if binarise not in BINARIZATIONS:
        raise UserError(
            f'binarise={binarise!r}: it must be one of {", ".join(BINARIZATIONS)}')
    return ImageOptions(integer('examples', examples, 1),
                        integer('eval_examples', eval_examples, 1), binarise,
                        integer('labels', labels, 1), whole('label_seed', label_seed, 0),
                        whole('pad', pad, 0))


def finish(name: str, parts: Mapping[str, Images], options: ImageOptions, levels: int = 255,
           classes: int | None = None, names: tuple[str, ...] = (),
           stored: bool = False) -> Dataset:
    """A `Dataset` of images, cut down, binarized, padded and labelled as its options say.

    Args:
      name: the dataset's; binarizing and padding add to it.
      parts: {split: `Images` with values up to `levels`}.
      options: see `ImageOptions`.
      levels: the value of a white pixel.
      classes: number of classes, where there are labels.
      names: of the classes.
      stored: whether bytes stay as they are, perhaps on a disk, until a batch is read.

    Raises:
      UserError: labelled rows are asked for, and there are no labels.
    """
    splits, columns, facts = {}, {}, {}
    if classes is not None:
        columns['label'] = schema.label(classes, names)
    for split in SPLITS:
        images, label = parts[split]
        x = _binarized(images[:options.first(split)], split, options.binarise, levels)
        if options.pad:
            x = np.pad(x, [(0, 0), (options.pad,) * 2, (options.pad,) * 2, (0, 0)])
        splits[split] = {'x': x if stored else _floats(x, levels)}
        if label is not None:
            splits[split]['label'] = label[:options.first(split)].astype(np.int32)
    if options.labels is not None:
        if classes is None:
            raise UserError(f'labels={options.labels}: {name} has no labels here')
        rows = partners(splits['train']['label'], classes, options.labels, options.label_seed)
        splits['train']['partner'] = schema.Rows(rows)
        columns['partner'] = schema.Field('rows', derived=True)
        facts['labelled'] = options.labels
    full_name = name if options.binarise == 'none' else f'{name}_{options.binarise}'
    if options.pad:
        full_name += '_{}x{}'.format(*splits['train']['x'].shape[1:3])
    augment = _augmentation(options.binarise, columns)
    return image_dataset(full_name, splits, columns, facts, augment=augment,
                         decode=_decoding() if stored else None)


def _floats(x: np.ndarray, levels: int) -> np.ndarray:
    values = x.astype(np.float32)
    return values if x.dtype == bool else values / levels


def _decoding() -> Any:
    from vaebench.datasets.transforms import unit_interval  # here: it imports JAX
    return unit_interval


def _binarized(x: np.ndarray, split: str, binarise: str, levels: int) -> np.ndarray:
    """x with a channel axis; bool where it is binarized for good."""
    x = x[..., None] if x.ndim == 3 else x
    if binarise == 'threshold':
        return x > levels // 2
    if binarise == 'dynamic' and split != 'train':   # raw uniforms never change
        return np.random.default_rng([0, SPLITS.index(split)]).random(x.shape) * levels < x
    return x


def _augmentation(binarise: str, columns: Mapping[str, Any]) -> Any:
    """What draws training batches anew, or None."""
    if binarise != 'dynamic':
        return None
    from vaebench.datasets.transforms import binarize  # here: it imports JAX
    return binarize(*({'partner'} & set(columns)))


def by_tfds(name: str, *folders: Folder) -> pathlib.Path | None:
    """The folder of a dataset that TFDS itself prepared in a format that can be read here.

    Args:
      name: TFDS's.
      *folders: where to look, the first first.

    Returns:
      The folder of the newest version, or None.
    """
    for base in folders:
        if base is not None:
            place = pathlib.Path(base).expanduser() / name
            found = sorted(place.glob('*.*.*/dataset_info.json'))
            found = [p for p in found if b'"array_record"' in read(p)]
            if found:
                return found[-1].parent
    return None


def central_square(image: Any, size: int, grey: bool = False,
                   crop: int | None = None) -> np.ndarray:
    """An image's central square in the size that is wanted.

    Args:
      image: PIL image.
      size: pixels a side, reached by Lanczos's filter.
      grey: whether colors go.
      crop: pixels a side of the square; None means all that the image has.

    Returns:
      uint8 [size, size, 1 or 3].
    """
    from PIL import Image
    # first: palettes and single bits cannot be resized well
    image = image.convert('L' if grey else 'RGB')
    side = crop or min(image.size)
    left, top = ((n - side) // 2 for n in image.size)
    image = image.crop((left, top, left + side, top + side))
    if side != size:
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(size, size, -1)


Found = tuple[Mapping[str, list[dict[str, Any]]], Sequence[str]]
"""({split: list of {'image', 'label'}}, names of labels)."""


def cached(folder: pathlib.Path, shape: tuple[int, int, int], find: Callable[[], Found],
           options: ImageOptions) -> tuple[dict[str, Images], tuple[str, ...]]:
    """Images of a cache folder, which is filled if need be.

    Args:
      folder: path, whose last part names the content.
      shape: (H, W, C).
      find: gives what the folder is filled with.
      options: say how many rows of a split are read.

    Returns:
      ({split: (images uint8 [N, H, W, C], labels int [N])}, names of labels).
    """
    from vaebench.datasets import builders
    if not cache.intact(folder):
        found, names = find()
        metadata = {'shape': list(shape), 'labels': list(names)}
        cache.prepared(folder, lambda new: builders.write(builders.Pictures, new, found,
                                                          metadata))
    first = {split: options.first(split) for split in SPLITS}
    examples, metadata = builders.read(folder, SPLITS, first=first)
    parts = {}
    for split, rows in examples.items():
        parts[split] = (np.stack([e['image'] for e in rows]),
                        np.array([e['label'] for e in rows]))
    return parts, tuple(metadata['labels'])


def mapped(folder: pathlib.Path, shape: tuple[int, int, int], find: Callable[[], Found],
           options: ImageOptions) -> tuple[dict[str, Images], tuple[str, ...]]:
    """`cached` for images that memory may not hold: they are read from the disk row by row.

    Args:
      folder, shape, find, options: see `cached`.

    Returns:
      As `cached`; the arrays are memory-mapped.
    """
    def write(new):
        found, names = find()
        for split in SPLITS:
            images = np.lib.format.open_memmap(new / f'{split}.npy', 'w+', np.uint8,
                                               (len(found[split]), *shape))
            for i, example in enumerate(found[split]):
                images[i] = example['image']
            images.flush()
            np.save(new / f'{split}.label.npy', np.array([e['label'] for e in found[split]]))
        (new / 'labels.json').write_text(json.dumps(list(names)))

    cache.prepared(folder, write)

    def column(split, kind=''):
        rows = np.load(folder / f'{split}{kind}.npy', mmap_mode='r')
        return rows[:options.first(split)]

    parts: dict[str, Images] = {split: (column(split), np.array(column(split, '.label')))
                                for split in SPLITS}
    return parts, tuple(json.loads((folder / 'labels.json').read_text()))
