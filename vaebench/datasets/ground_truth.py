"""Images of known factors: dSprites, Shapes3D, SmallNORB, and anybody's own in one file."""
import math
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets import cache
from vaebench.datasets.base import Dataset, Folder, make, tenths, whole
from vaebench.datasets.factors import grid, parts, row
from vaebench.datasets.image_base import central_square
from vaebench.datasets.source_files import cause, find
from vaebench.datasets.tfds_images import prepared_source
from vaebench.errors import UserError

IMAGES = 'images.npy'


class Published(NamedTuple):
    """A set that TFDS can prepare: an image for every combination of its factors.

    Attributes:
      factors: TFDS's column -> number of levels.
      channels: of an image.
      splits: of TFDS's, all of which are read.
      white: the largest value of a pixel.
      hidden: columns that are no factor, though images differ in them.
    """
    factors: Mapping[str, int]
    channels: int
    splits: tuple[str, ...] = ('train',)
    white: int = 255
    hidden: tuple[str, ...] = ()


SETS = {
    'dsprites': Published({'label_shape': 3, 'label_scale': 6, 'label_orientation': 40,
                           'label_x_position': 32, 'label_y_position': 32}, 1, white=1),
    'shapes3d': Published({'label_floor_hue': 10, 'label_wall_hue': 10, 'label_object_hue': 10,
                           'label_scale': 8, 'label_shape': 4, 'label_orientation': 15}, 3),
    'smallnorb': Published({'label_category': 5, 'instance': 10, 'label_elevation': 9,
                            'label_azimuth': 18, 'label_lighting': 6}, 1, ('train', 'test'),
                           hidden=('instance',)),
}
"""TFDS's name -> what is published under it."""


# Columns

def _order(n: int) -> np.ndarray:
    """Rows in the order in which images are kept: those of train, of valid, of test."""
    return np.concatenate(list(tenths(n).values()))


def _dataset(name: str, images: np.ndarray, factors: np.ndarray, field: schema.Field,
             observe: Callable | None, examples: int | None,
             eval_examples: int | None) -> Dataset:
    """Images [N, H, W, C] and their factors [N, F], both in `_order`, as a `Dataset`."""
    from vaebench.datasets.transforms import unit_interval  # here: it imports JAX
    splits, start = {}, 0
    few = parts(len(images), examples, eval_examples)
    for (split, rows), kept in zip(tenths(len(images)).items(), few.values(), strict=True):
        taken = slice(start, start + len(kept))             # a view: no image is copied
        splits[split] = {'x': images[taken], 'factors': factors[taken]}
        start += len(rows)
    columns = {'x': schema.image(images.shape[1:]), 'factors': field}
    return make(name, splits, columns, item='image', part='pixel', decode=unit_interval,
                observe=observe)


def _lookup(images: np.ndarray, place: np.ndarray, levels: Sequence[int],
            hidden: Sequence[int] = ()) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The function of factors [n, F] that finds their images.

    Args:
      images: [N, H, W, C].
      place: int [prod(levels)], the image of every row of the grid.
      levels: of all factors, the hidden ones too.
      hidden: places of factors that stand in no column. Their levels are drawn evenly, by a
        fixed stream.
    """
    seen = [i for i in range(len(levels)) if i not in hidden]

    def observe(factors):
        factors = np.asarray(factors)
        full = np.zeros((len(factors), len(levels)), int)
        full[:, seen], rng = factors, np.random.default_rng(0)
        for i in hidden:
            full[:, i] = rng.random(len(full)) * levels[i]
        return {'x': images[place[row(full, levels)]],
                'factors': factors.astype(grid([levels[i] for i in seen]).dtype)}

    return observe


# What TFDS prepares

def _write(published: Published, source: pathlib.Path,
           size: int) -> Callable[[pathlib.Path], None]:
    """The function that fills a cache folder with the images, in `_order`."""
    def write(folder):
        from PIL import Image

        from vaebench.datasets import builders
        levels = tuple(published.factors.values())
        n = math.prod(levels)
        images = np.zeros((n, size, size, published.channels), np.uint8)
        seen, place = np.zeros(n, bool), np.argsort(_order(n))

        def each(e):
            at = np.ravel_multi_index([int(e[k]) for k in published.factors], levels)
            pixels = e['image'] * np.uint8(255 // published.white)
            grey = published.channels == 1
            images[place[at]] = central_square(
                Image.fromarray(pixels[..., 0] if grey else pixels), size, grey)
            seen[at] = True

        try:
            found, _ = builders.read(source, published.splits, each)
        except Exception as e:   # TFDS, array_record and PIL raise whatever they like
            raise UserError(
                f'cannot read {source} ({cause(e)}): remove it and prepare it again') from e
        if not seen.all() or sum(map(len, found.values())) != n:
            raise UserError(f'{source} does not hold the published set: {seen.sum():,} of '
                            f'{n:,} combinations of factors, one image for each are wanted')
        np.save(folder / IMAGES, images)

    return write


def _published(name: str, data_dir: Folder, cache_dir: Folder, size: int,
               examples: int | None, eval_examples: int | None) -> Dataset:
    """One of `SETS`, brought to size once and then read from the cache."""
    published, size = SETS[name], whole('size', size, 1)
    source, hashes = prepared_source(name, data_dir, cache_dir)
    folder = cache.cache_folder(cache_dir) / name / cache.key(name, size, hashes)
    cache.prepared(folder, _write(published, source, size))
    images = np.load(folder / IMAGES, mmap_mode='r')
    levels = tuple(published.factors.values())
    hidden = [i for i, k in enumerate(published.factors) if k in published.hidden]
    names = [k.removeprefix('label_') for k in published.factors if k not in published.hidden]
    order = _order(len(images))
    field = schema.factors([n for i, n in enumerate(levels) if i not in hidden], names)
    factors = np.delete(grid(levels)[order], hidden, 1)
    observe = _lookup(images, np.argsort(order), levels, hidden)
    return _dataset(name, images, factors, field, observe, examples, eval_examples)


def dsprites(data_dir: Folder = None, cache_dir: Folder = None, size: int = 64,
             examples: int | None = None, eval_examples: int | None = None) -> Dataset:
    """dSprites: 737,280 binary images of shape, scale, orientation, x_position and y_position.

    It is read as TFDS prepares it, in the format array_record; that takes TensorFlow, reading
    does not. On any machine with both: tfds.builder('dsprites', data_dir=DIR,
    file_format='array_record').download_and_prepare(). The first use keeps all images in
    `cache_dir`: 3 GB there, and of memory.

    One fixed permutation makes a tenth valid and a tenth test: there is no published split. The
    color, of one level, is left out. Squares and ellipses have the symmetries of `sprites`.

    Args:
      data_dir: folder DIR that holds dsprites/2.0.0.
      cache_dir: folder for prepared files.
      size: pixels a side; Lanczos's filter, from 64, makes grey levels.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x uint8 [N, size, size, 1], which `decode` brings to [0, 1]; factors int8 [N,
      5]; `observe` finds the image of any combination.

    References:
      Matthey, Higgins, Hassabis, Lerchner, dSprites: Disentanglement Testing Sprites Dataset,
      2017.
    """
    return _published('dsprites', data_dir, cache_dir, size, examples, eval_examples)


def shapes3d(data_dir: Folder = None, cache_dir: Folder = None, size: int = 64,
             examples: int | None = None, eval_examples: int | None = None) -> Dataset:
    """Shapes3D: 480,000 color images of floor_hue, wall_hue, object_hue, scale, shape and
    orientation.

    It is prepared, read and split like `dsprites`; all images take 6 GB.

    Args:
      data_dir: folder DIR that holds shapes3d/2.0.0.
      cache_dir: folder for prepared files.
      size: pixels a side; Lanczos's filter, from 64.
      examples, eval_examples: as in `dsprites`.

    Returns:
      A `Dataset` with the columns of `dsprites`: x uint8 [N, size, size, 3], factors int8 [N,
      6].

    References:
      Burgess, Kim, 3D Shapes Dataset, 2018.
    """
    return _published('shapes3d', data_dir, cache_dir, size, examples, eval_examples)


def smallnorb(data_dir: Folder = None, cache_dir: Folder = None, size: int = 64,
              examples: int | None = None, eval_examples: int | None = None) -> Dataset:
    """SmallNORB: 48,600 grey images of category, elevation, azimuth and lighting.

    It is prepared, read and split like `dsprites`: the published split, by toys, is undone, as
    it is where disentanglement is measured. The ten toys of a category are no factor, since
    the third car has nothing in common with the third animal: `observe` draws one for every
    image it is asked for, by a fixed stream. Of the two cameras the first is read.

    Args:
      data_dir: folder DIR that holds smallnorb/2.0.0.
      cache_dir: folder for prepared files.
      size: pixels a side; Lanczos's filter, from 96.
      examples, eval_examples: as in `dsprites`.

    Returns:
      A `Dataset` with the columns of `dsprites`: x uint8 [N, size, size, 1], factors int8 [N,
      4].

    References:
      LeCun, Huang, Bottou, Learning Methods for Generic Object Recognition with Invariance to
      Pose and Lighting, 2004.
    """
    return _published('smallnorb', data_dir, cache_dir, size, examples, eval_examples)


# Anybody's own

def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz that are looked at."""
    if not zipfile.is_zipfile(path):
        raise UserError(f'{path} is no .npz file, or not a whole one: write it with '
                        'numpy.savez_compressed')
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {k: file[k] for k in ('images', 'factors', 'names') if k in file.files}
            there = ', '.join(file.files) or 'nothing'
    except Exception as e:   # NumPy and zipfile raise whatever they like at damaged files
        raise UserError(f'cannot read {path}: {cause(e)}') from e
    if 'images' not in found:
        raise UserError(f"{path} has no array 'images': it holds {there}")
    return found


def _checked_images(path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] of an array that may lack the channels."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        raise UserError(f"{path}: 'images' is {images.dtype} of shape {list(images.shape)}; "
                        'give uint8 [N, H, W] or [N, H, W, C]')
    if images.max() <= 1:
        raise UserError(f"{path}: 'images' reach to {images.max()}, and 255 is white: multiply "
                        'them by 255')
    return images if images.ndim == 4 else images[..., None]


def _checked_factors(path: pathlib.Path, factors: np.ndarray, n: int) -> None:
    """Refuses what are no factors of n images."""
    if factors.dtype.kind not in 'iu' or factors.ndim != 2 or len(factors) != n:
        raise UserError(f"{path}: 'factors' is {factors.dtype} of shape {list(factors.shape)}; "
                        f'give whole numbers [{n}, F], a row for each image')
    for k, column in enumerate(factors.T):
        values = np.unique(column)
        if not np.array_equal(values, np.arange(len(values))):
            raise UserError(f"{path}: column {k} of 'factors' has {len(values)} values from "
                            f'{values[0]} to {values[-1]}: number its levels from 0, without '
                            'a gap')
    if not factors.size or factors.max() < 1:
        raise UserError(f"{path}: no column of 'factors' has more than one level")


def _names(path: pathlib.Path, names: np.ndarray | None, count: int) -> list[str]:
    """The names of the factors, given or made up."""
    if names is None:
        return [f'factor{k}' for k in range(count)]
    found = list(map(str, names.ravel()))
    if names.dtype.kind != 'U' or names.shape != (count,) or len(set(found)) < count:
        raise UserError(f"{path}: 'names' is {names.dtype} of shape {list(names.shape)}; give "
                        f'{count} different words, one for each factor')
    return found


def _of_grid(path: pathlib.Path, levels: Any, n: int) -> np.ndarray:
    """The factors of n images that run through a whole grid."""
    if not isinstance(levels, Sequence) or isinstance(levels, str) or not len(levels):
        raise UserError(f'levels={levels!r}: the number of levels of every factor is wanted')
    counts = [whole('levels', count, 1) for count in levels]
    if math.prod(counts) != n:
        raise UserError(f'levels={tuple(counts)}: these are {math.prod(counts):,} '
                        f'combinations, and {path} holds {n:,} images')
    return grid(counts)


def factors_file(data_dir: Folder = None, cache_dir: Folder = None, file: str = 'factors.npz',
                 levels: Sequence[int] | None = None, examples: int | None = None,
                 eval_examples: int | None = None) -> Dataset:
    """Anybody's images of known factors, MPI3D or Cars3D for instance, in one .npz file.

    Made by numpy.savez_compressed('factors.npz', images=..., factors=..., names=...):

    - images: uint8 [N, H, W] or [N, H, W, C], 255 is white.
    - factors: whole numbers [N, F]; each is 0 .. its number of levels - 1.
    - names: of the factors, which may be left out.

    A file without factors holds an image for every combination, the last factor fastest, and
    `levels` says how many each factor has: MPI3D's is such a file, of (6, 6, 2, 3, 3, 40, 40)
    for its toys. Cars3D (183 cars, 24 azimuths, 4 elevations) is in no TFDS.

    One fixed permutation makes a tenth of the images valid and a tenth test. A factor of one
    level is in no column. Where some combination has no image there is no `observe`: metrics
    that ask for images of chosen factors have no value then.

    Args:
      data_dir: the folder of the file.
      cache_dir: not needed.
      file: its name.
      levels: of every factor, where the file does not say the factors.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x uint8 [N, H, W, C], which `decode` brings to [0, 1]; factors int8 or int32
      [N, F], levels and names in the schema. Of several images of one combination `observe`
      finds the first.

    Raises:
      UserError: there is no such file, or it holds something else.
    """
    path = find('factors_file', [file], data_dir) / file
    found = _arrays(path)
    images = _checked_images(path, found.pop('images'))
    factors = found.get('factors')
    if (factors is None) == (levels is None):
        raise UserError(f"{path} has {'no' if factors is None else 'an'} array 'factors': give "
                        'either it or dataset.levels')
    factors = _of_grid(path, levels, len(images)) if factors is None else factors
    _checked_factors(path, factors, len(images))
    names = _names(path, found.get('names'), factors.shape[1])
    counts = factors.max(0).astype(int) + 1
    kept = np.flatnonzero(counts > 1)
    field = schema.factors(counts[kept].tolist(), [names[k] for k in kept])
    order = _order(len(images))
    small = factors[:, kept][order].astype(np.int8 if counts.max() <= 128 else np.int32)
    images, observe, cells = images[order], None, math.prod(field.levels)
    if cells <= len(images):
        place, later_first = np.full(cells, -1), np.argsort(-order)
        place[row(small[later_first], field.levels)] = later_first     # the last one stays
        observe = _lookup(images, place, field.levels) if place.min() >= 0 else None
    return _dataset('factors_file', images, small, field, observe, examples, eval_examples)
