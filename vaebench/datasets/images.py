"""Images: MNIST and scikit-learn's digits."""
import gzip
import hashlib
import pathlib

import numpy as np

from vaebench.datasets import store
from vaebench.datasets.base import image_dataset, integer
from vaebench.datasets.text import find, read
from vaebench.errors import UserError

MNIST = {
    'train-images-idx3-ubyte.gz': ('440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
                                   '741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757'),
    'train-labels-idx1-ubyte.gz': ('3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
                                   '1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13'),
    't10k-images-idx3-ubyte.gz': ('8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
                                  '6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161'),
    't10k-labels-idx1-ubyte.gz': ('f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
                                  'ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5'),
}
"""File -> sha256 of the file, sha256 of its pixels or labels."""
VALID = 10_000   # the last that many of MNIST's training images
BINARISE = 'none', 'threshold'


def idx(path, raw):
    """Array of a gzipped idx file of bytes."""
    try:
        raw = gzip.decompress(raw)
        ndim = raw[3]
        shape = np.frombuffer(raw, '>i4', ndim, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as e:
        raise UserError(f'{path} is damaged ({e}): fetch it again') from e


def _digest(a):
    return hashlib.sha256(np.ascontiguousarray(a, np.uint8)).hexdigest()


def _raw(source):
    """Arrays of the raw files, checked."""
    arrays = []
    for f, (expected, _) in MNIST.items():
        raw = read(source / f)
        actual = hashlib.sha256(raw).hexdigest()
        if actual != expected:
            raise UserError(f'{source / f} is not the published file: its sha256 is {actual}, not {expected}')
        arrays.append(idx(source / f, raw))
    return arrays


def _write(arrays):
    """The function that fills a cache folder."""
    def write(folder):
        from vaebench.datasets import builders

        def rows(images, labels):
            for x, y in zip(images, labels, strict=True):
                yield {'image': x[..., None], 'label': np.int64(y)}

        builders.write(builders.Mnist, folder, {'train': rows(*arrays[:2]), 'test': rows(*arrays[2:])})
    return write


def _by_tfds(data_dir, cache_dir):
    """Folder of an MNIST that TFDS itself prepared in a format that can be read, or None."""
    for base in (data_dir, cache_dir):
        if base is not None:
            found = sorted((pathlib.Path(base).expanduser() / 'mnist').glob('*.*.*/dataset_info.json'))
            found = [p for p in found if b'"array_record"' in read(p)]
            if found:
                return found[-1].parent
    return None


def _in_file_order(split, examples, folder):
    """Images and labels in the raw files' order, whoever prepared them.

    TFDS's own builder stores examples sorted by a hash of split and index, so the order can be undone; the result is
    compared with the published content.
    """
    stem = {'train': 'train', 'test': 't10k'}[split]
    wanted = [MNIST[f'{stem}-images-idx3-ubyte.gz'][1], MNIST[f'{stem}-labels-idx1-ubyte.gz'][1]]
    images = np.stack([e['image'] for e in examples])
    labels = np.array([e['label'] for e in examples])
    if [_digest(images), _digest(labels)] == wanted:
        return images, labels
    keys = [hashlib.md5(f'{split}{i}'.encode(), usedforsecurity=False).digest() for i in range(len(labels))]
    order = np.argsort(np.array(sorted(range(len(keys)), key=keys.__getitem__)))
    images, labels = images[order], labels[order]
    if [_digest(images), _digest(labels)] != wanted:
        raise UserError(f"{folder} does not hold MNIST's {split} images: remove it and prepare it again")
    return images, labels


def _mnist_folder(data_dir, cache_dir):
    cache = store.cache_folder(cache_dir)
    folder = cache / 'mnist' / hashlib.sha256(repr(('1', sorted(MNIST.items()))).encode()).hexdigest()[:16]
    by_tfds = _by_tfds(data_dir, cache)
    if by_tfds is not None:
        return by_tfds
    if data_dir is not None or not store.intact(folder):
        source = find('mnist', list(MNIST), data_dir, 'mnist')
        store.prepared(folder, _write(_raw(source)))
    return folder


def mnist(data_dir=None, cache_dir=None, binarise='none', examples=None, eval_examples=None):
    """MNIST: train is the first 50,000 training images, valid the last 10,000, test the 10,000 test images.

    Read as TFDS prepares it (data_dir/mnist/3.0.1 or the same in cache_dir, in the format array_record), else prepared
    from the raw files. Both give the same arrays: their content is checked. Once prepared, `data_dir` may be left out.

    Args:
      data_dir: folder with the four idx .gz files, or with a folder mnist of them.
      cache_dir: folder for prepared files.
      binarise: 'none', or 'threshold' for x > 1/2; the latter is another dataset, named mnist_threshold.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x float32 [N, 28, 28, 1] in [0, 1], label int32 [N].

    References:
      LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, 1998.
    """
    if binarise not in BINARISE:
        raise UserError(f'binarise={binarise!r}: it must be one of {", ".join(BINARISE)}')
    n = {'train': integer('examples', examples, 1)}
    n['valid'] = n['test'] = integer('eval_examples', eval_examples, 1)
    folder = _mnist_folder(data_dir, cache_dir)

    from vaebench.datasets import builders
    try:
        rows, _ = builders.read(folder, ('train', 'test'))
    except Exception as e:   # TFDS, array_record and PIL raise whatever they like at files they cannot read
        raise UserError(f'cannot read {folder} ({str(e).splitlines()[0]}): prepare it with file_format=array_record, '
                        'or remove it and name the raw files with --data_dir') from e
    images, labels = _in_file_order('train', rows['train'], folder)
    parts = {'train': (images[:-VALID], labels[:-VALID]), 'valid': (images[-VALID:], labels[-VALID:]),
             'test': _in_file_order('test', rows['test'], folder)}
    splits = {}
    for split, (x, y) in parts.items():
        x = x[:n[split]]
        x = x.astype(np.float32) / 255 if binarise == 'none' else (x > 127).astype(np.float32)
        splits[split] = {'x': x, 'label': y[:n[split]].astype(np.int32)}
    return image_dataset('mnist' if binarise == 'none' else f'mnist_{binarise}', splits)


def digits(data_dir=None, cache_dir=None, examples=None, eval_examples=None):
    """Scikit-learn's handwritten digits, 8x8 with 17 grey levels, embedded.

    Split by one fixed permutation: 1,297 train, 250 valid, 250 test.

    Args:
      data_dir, cache_dir: not needed.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x float32 [N, 8, 8, 1] in [0, 1], label int32 [N].

    References:
      Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits
    n, m = integer('examples', examples, 1), integer('eval_examples', eval_examples, 1)
    data = load_digits()
    order = np.random.default_rng(0).random(len(data.target)).argsort(kind='stable')   # raw uniforms never change
    x, y = data.images[order].astype(np.float32)[..., None] / 16, data.target[order].astype(np.int32)
    parts = {'train': slice(None, 1297), 'valid': slice(1297, 1547), 'test': slice(1547, None)}
    keep = {'train': n, 'valid': m, 'test': m}
    return image_dataset('digits', {s: {'x': x[part][:keep[s]], 'label': y[part][:keep[s]]}
                                    for s, part in parts.items()})
