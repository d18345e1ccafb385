"""MNIST, Larochelle's binarized MNIST and Fashion-MNIST, in the files of their authors."""
import gzip
import hashlib
import lzma
import pathlib
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from vaebench.datasets import cache
from vaebench.datasets.base import SPLITS, Dataset, Folder, permutation
from vaebench.datasets.image_base import ImageOptions, by_tfds, finish, options
from vaebench.datasets.source_files import cause, locate, read
from vaebench.errors import UserError

VALID = 10_000   # the last that many of MNIST's training images
Splits = dict[str, dict[str, np.ndarray]]
"""TFDS's split -> column -> array."""


class File(NamedTuple):
    """A published file: one column of one split."""
    split: str     # TFDS's name
    column: str
    sha256: str    # of the file; of an .amat, unpacked
    content: str   # sha256 of its pixels or labels as bytes


SOURCES = {
    'mnist': {
        'train-images-idx3-ubyte.gz': File(
            'train', 'image',
            '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
            '741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757'),
        'train-labels-idx1-ubyte.gz': File(
            'train', 'label',
            '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
            '1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13'),
        't10k-images-idx3-ubyte.gz': File(
            'test', 'image', '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
            '6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161'),
        't10k-labels-idx1-ubyte.gz': File(
            'test', 'label', 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
            'ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5'),
    }, 'fashion_mnist': {
        'train-images-idx3-ubyte.gz': File(
            'train', 'image',
            '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
            '2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012'),
        'train-labels-idx1-ubyte.gz': File(
            'train', 'label',
            'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
            '657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7'),
        't10k-images-idx3-ubyte.gz': File(
            'test', 'image', '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
            'c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a'),
        't10k-labels-idx1-ubyte.gz': File(
            'test', 'label', '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
            '3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9'),
    }, 'binarized_mnist': {
        'binarized_mnist_train.amat': File(
            'train', 'image',
            'ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d',
            '43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a'),
        'binarized_mnist_valid.amat': File(
            'validation', 'image',
            '1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2',
            '069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e'),
        'binarized_mnist_test.amat': File(
            'test', 'image', 'e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c',
            'ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86'),
    },
}
"""TFDS's name of a dataset -> its files as their authors publish them."""
TITLES = {
    'mnist': 'MNIST',
    'fashion_mnist': 'Fashion-MNIST',
    'binarized_mnist': "Larochelle's binarised MNIST",
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    '': bytes,
    '.xz': lzma.decompress,
    '.gz': gzip.decompress,
}
"""What an .amat may be packed with."""
_DAMAGED = OSError, EOFError, ValueError, IndexError, zlib.error, lzma.LZMAError


# Files

def idx(path: pathlib.Path | str, raw: bytes) -> np.ndarray:
    """The uint8 array of a gzipped idx file.

    Args:
      path: for messages.
      raw: bytes of the file.

    Raises:
      UserError: the file is damaged.
    """
    try:
        raw = gzip.decompress(raw)
        ndim = raw[3]
        shape = np.frombuffer(raw, '>i4', ndim, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except _DAMAGED as e:
        raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e


def amat(path: pathlib.Path | str, raw: bytes) -> np.ndarray:
    """Images of an .amat file of zeros and ones: a line each, a character between two numbers.

    Args:
      path: for messages.
      raw: bytes of the unpacked file.

    Returns:
      uint8 [N, 28, 28].

    Raises:
      UserError: the file is damaged.
    """
    try:
        digits = np.frombuffer(raw, np.uint8).reshape(-1, 28, 28, 2)[..., 0] - ord('0')
    except _DAMAGED as e:
        raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e
    return digits.astype(np.uint8)


def _check(path: pathlib.Path, raw: bytes, file: File, source: str, dataset: str) -> None:
    """Refuses bytes that are not the published file's."""
    actual = hashlib.sha256(raw).hexdigest()
    if actual == file.sha256:
        return
    for other, table in SOURCES.items():
        if actual in (f.sha256 for f in table.values()):
            raise UserError(
                f"{path} is {TITLES[other]}'s: files of several datasets have one name, so put "
                f'those of {dataset} into a folder {source} of their own')
    raise UserError(f'{path} is not the published file: its sha256 is {actual}, not '
                    f'{file.sha256}')


def _raw(source: str, dataset: str, data_dir: Folder) -> Splits:
    """The arrays of the published files, checked."""
    files = SOURCES[source]
    packings = PACKED if source == 'binarized_mnist' else ('',)
    names = [tuple(f + suffix for suffix in packings) for f in files]
    paths = locate(dataset, names, data_dir, source, dataset)
    out = {}
    for path, (name, file) in zip(paths, files.items(), strict=True):
        raw = read(path)
        try:
            raw = PACKED[path.name.removeprefix(name)](raw)
        except _DAMAGED as e:
            raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e
        _check(path, raw, file, source, dataset)
        parse = amat if name.endswith('.amat') else idx
        out.setdefault(file.split, {})[file.column] = parse(path, raw)
    return out


# The cache

def _write(source: str, arrays: Splits) -> Callable[[pathlib.Path], None]:
    """The function that fills a cache folder."""
    def write(folder):
        from vaebench.datasets import builders

        def rows(columns):
            as_stored = {'image': lambda x: x[..., None], 'label': np.int64}
            for row in zip(*columns.values(), strict=True):
                yield {column: as_stored[column](v)
                       for column, v in zip(columns, row, strict=True)}

        title = ''.join(part.capitalize() for part in source.split('_'))
        builders.write(getattr(builders, title), folder,
                       {s: rows(columns) for s, columns in arrays.items()})
    return write


def _in_file_order(split: str, arrays: Mapping[str, np.ndarray],
                   wanted: Mapping[str, str]) -> dict[str, np.ndarray] | None:
    """Arrays in the published files' order, or None if they are others.

    TFDS's own builder stores examples sorted by a hash of split and index, so the order can be
    undone. The result is compared with the hashes of the published content.
    """
    n = len(arrays['image'])
    keys = [hashlib.md5(f'{split}{i}'.encode(), usedforsecurity=False).digest()
            for i in range(n)]
    by_hash = np.array(sorted(range(n), key=keys.__getitem__))
    for order in (np.arange(n), np.argsort(by_hash)):
        ordered = {column: a[order] for column, a in arrays.items()}
        if {column: cache.array_sha256(a) for column, a in ordered.items()} == wanted:
            return ordered
    return None


def _published(source: str, dataset: str, data_dir: Folder, cache_dir: Folder) -> Splits:
    """The arrays of a dataset whose content is known: from TFDS, the cache or its files."""
    files, base = SOURCES[source], cache.cache_folder(cache_dir)
    folder = by_tfds(source, data_dir, base)
    if folder is None:
        folder = base / source / cache.key(sorted(files.items()))
        if data_dir is not None or not cache.intact(folder):
            cache.prepared(folder, _write(source, _raw(source, dataset, data_dir)))
    wanted: dict[str, dict[str, str]] = {}
    for file in files.values():
        wanted.setdefault(file.split, {})[file.column] = file.content

    from vaebench.datasets import builders
    try:
        examples, _ = builders.read(folder, list(wanted))
    except Exception as e:   # TFDS, array_record and PIL raise whatever they like
        raise UserError(
            f'cannot read {folder} ({cause(e)}): prepare it with file_format=array_record, '
            'or remove it and name the raw files with --data_dir') from e
    out = {}
    for split, columns in wanted.items():
        arrays = {column: np.stack([e[column] for e in examples[split]]) for column in columns}
        out[split] = _in_file_order(split, arrays, columns)
        if out[split] is None:
            raise UserError(
                f"{folder} does not hold {TITLES[source]}'s {split} images: remove it and "
                'prepare it again, each dataset with a download_dir of its own')
    return out


def _like_mnist(name: str, data_dir: Folder, cache_dir: Folder,
                chosen: ImageOptions) -> Dataset:
    """The body of `mnist` and `fashion_mnist`."""
    arrays = _published(name, name, data_dir, cache_dir)
    (x, y), (x_test, y_test) = (arrays[s].values() for s in ('train', 'test'))
    parts = {'train': (x[:-VALID], y[:-VALID]), 'valid': (x[-VALID:], y[-VALID:]),
             'test': (x_test, y_test)}
    return finish(name, parts, chosen, classes=10)


# The datasets

def mnist(data_dir: Folder = None, cache_dir: Folder = None, binarise: str = 'none',
          examples: int | None = None, eval_examples: int | None = None,
          labels: int | None = None, label_seed: int = 0, pad: int = 0) -> Dataset:
    """MNIST: train is the first 50,000 training images, valid the last 10,000, test its test.

    It is read as TFDS prepares it (data_dir/mnist/3.0.1 or the same in cache_dir, in the format
    array_record), else it is prepared from the raw files. Both give the same arrays: their
    content is checked. Once it is prepared, `data_dir` may be left out.

    Args:
      data_dir: folder with the four idx .gz files, or with a folder mnist of them.
      cache_dir: folder for prepared files.
      binarise: 'none'; 'threshold' for x > 1/2; 'dynamic' for pixels that are one with
        probability x, drawn anew for every training batch (`Dataset.augment`; train itself
        holds grey levels), once and for all in valid and test. Each is a dataset of its own:
        mnist_threshold, mnist_dynamic. Larochelle's fixed draw is `mnist_static`.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels: so many training images are labelled, as many of each class; every row of train
        then names one of them in the column 'partner', for semi-supervised methods. None adds
        none.
      label_seed: of the choice of these.
      pad: black pixels that are added at every side: 2 makes 32x32, for networks that halve the
        size often, and a dataset of its own, mnist_32x32.

    Returns:
      A `Dataset`: x float32 [N, 28, 28, 1] in [0, 1] (more with `pad`), label int32 [N]; train
      has a column 'partner' where some are labelled.

    References:
      LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition,
      1998.
      Burda, Grosse, Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv:1509.00519
      (dynamic binarization).
    """
    chosen = options(examples, eval_examples, binarise, labels, label_seed, pad)
    return _like_mnist('mnist', data_dir, cache_dir, chosen)


def fashion_mnist(data_dir: Folder = None, cache_dir: Folder = None, binarise: str = 'none',
                  examples: int | None = None, eval_examples: int | None = None,
                  labels: int | None = None, label_seed: int = 0, pad: int = 0) -> Dataset:
    """Fashion-MNIST: ten kinds of clothes, in every respect read and split like `mnist`.

    Its files have the names of MNIST's: where both lie in one `data_dir`, each needs a folder
    of its own.

    Args:
      data_dir: folder with the four idx .gz files, or with a folder fashion_mnist of them (or
        TFDS's, of 3.0.1).
      cache_dir, binarise, examples, eval_examples, labels, label_seed, pad: as in `mnist`.

    Returns:
      A `Dataset` with the columns of `mnist`.

    References:
      Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
      Learning Algorithms, 2017, arXiv:1708.07747.
    """
    chosen = options(examples, eval_examples, binarise, labels, label_seed, pad)
    return _like_mnist('fashion_mnist', data_dir, cache_dir, chosen)


def mnist_static(data_dir: Folder = None, cache_dir: Folder = None,
                 examples: int | None = None, eval_examples: int | None = None,
                 pad: int = 0) -> Dataset:
    """MNIST binarized once by Larochelle: 50,000 train, 10,000 valid, 10,000 test, no labels.

    Its valid images are others than those of `mnist`. Its test file is sorted by digit: a fixed
    permutation undoes that, so that the first of them are of all digits.

    It is read as TFDS prepares it (data_dir/binarized_mnist/1.0.0, array_record), else from the
    authors' files, whose unpacked content is checked. Once it is prepared, `data_dir` may be
    left out.

    Args:
      data_dir: folder with binarized_mnist_train.amat, binarized_mnist_valid.amat and
        binarized_mnist_test.amat, each as it is or packed (.amat.xz, .amat.gz), or with a
        folder binarized_mnist or mnist_static of them.
      cache_dir: folder for prepared files.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      pad: as in `mnist`.

    Returns:
      A `Dataset`: x float32 [N, 28, 28, 1], zeros and ones.

    References:
      Salakhutdinov, Murray, On the Quantitative Analysis of Deep Belief Networks, 2008.
      Larochelle, Murray, The Neural Autoregressive Distribution Estimator, 2011.
    """
    chosen = options(examples, eval_examples, pad=pad)
    arrays = _published('binarized_mnist', 'mnist_static', data_dir, cache_dir)
    parts = {s: arrays['validation' if s == 'valid' else s]['image'] for s in SPLITS}
    parts['test'] = parts['test'][permutation(len(parts['test']))]
    return finish('mnist_static', {s: (x, None) for s, x in parts.items()}, chosen, levels=1)
