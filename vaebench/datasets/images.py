"""Images: MNIST, its binarisations, Fashion-MNIST, Frey Faces, scikit-learn's digits, and what all pictures share."""
import gzip
import hashlib
import io
import lzma
import pathlib
import zlib
from typing import NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets import store
from vaebench.datasets.base import image_dataset, integer, partners, permutation
from vaebench.datasets.text import SPLITS, find, read
from vaebench.errors import UserError

VALID = 10_000   # the last that many of MNIST's training images
BINARISE = 'none', 'threshold', 'dynamic'


class File(NamedTuple):
    """A published file: one column of one split."""
    split: str     # TFDS's name
    column: str
    sha256: str    # of the file; of an .amat, unpacked
    content: str   # sha256 of its pixels or labels as bytes


SOURCES = {
    'mnist': {
        'train-images-idx3-ubyte.gz': File(
            'train', 'image', '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
            '741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757'),
        'train-labels-idx1-ubyte.gz': File(
            'train', 'label', '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
            '1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13'),
        't10k-images-idx3-ubyte.gz': File(
            'test', 'image', '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
            '6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161'),
        't10k-labels-idx1-ubyte.gz': File(
            'test', 'label', 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
            'ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5'),
    },
    'fashion_mnist': {
        'train-images-idx3-ubyte.gz': File(
            'train', 'image', '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
            '2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012'),
        'train-labels-idx1-ubyte.gz': File(
            'train', 'label', 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
            '657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7'),
        't10k-images-idx3-ubyte.gz': File(
            'test', 'image', '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
            'c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a'),
        't10k-labels-idx1-ubyte.gz': File(
            'test', 'label', '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
            '3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9'),
    },
    'binarized_mnist': {
        'binarized_mnist_train.amat': File(
            'train', 'image', 'ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d',
            '43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a'),
        'binarized_mnist_valid.amat': File(
            'validation', 'image', '1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2',
            '069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e'),
        'binarized_mnist_test.amat': File(
            'test', 'image', 'e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c',
            'ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86'),
    },
}
"""TFDS's name of a dataset -> its files as their authors publish them."""
TITLES = {'mnist': 'MNIST', 'fashion_mnist': 'Fashion-MNIST', 'binarized_mnist': "Larochelle's binarised MNIST"}
PACKED = {'': bytes, '.xz': lzma.decompress, '.gz': gzip.decompress}   # what an .amat may be packed with
FREY = '2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78'   # sha256 of the 1,965 frames as bytes
_DAMAGED = OSError, EOFError, ValueError, IndexError, zlib.error, lzma.LZMAError


def cause(e):
    """One line of what a library had to say."""
    return (str(e).splitlines() or [type(e).__name__])[0]


# What all pictures share

def options(examples=None, eval_examples=None, binarise='none', labels=None, label_seed=0):
    """The options of pictures, checked: see `mnist`."""
    if binarise not in BINARISE:
        raise UserError(f'binarise={binarise!r}: it must be one of {", ".join(BINARISE)}')
    return {'examples': integer('examples', examples, 1), 'eval_examples': integer('eval_examples', eval_examples, 1),
            'binarise': binarise, 'labels': integer('labels', labels, 1),
            'label_seed': integer('label_seed', label_seed, 0)}


def finish(name, parts, levels=255, *, examples, eval_examples, binarise, labels, label_seed, **info):
    """A `Dataset` of pictures, cut down, binarised and partly labelled as `options` say.

    Args:
      name: the dataset's; binarising adds to it.
      parts: {split: (x int [N, H, W] or [N, H, W, C] up to `levels`, labels int [N] or None)}.
      levels: of a white pixel.
      **info: 'classes' where there are labels, and their 'names'.
    """
    splits, columns, facts = {}, {}, {}
    if 'classes' in info:
        columns['label'] = schema.label(**info)
    for i, split in enumerate(SPLITS):
        x, label = (None if a is None else a[:examples if split == 'train' else eval_examples] for a in parts[split])
        x = x[..., None] if x.ndim == 3 else x
        if binarise == 'threshold':
            x = x > levels // 2
        elif binarise == 'dynamic' and split != 'train':   # raw uniforms never change; these ones are for good
            x = np.random.default_rng([0, i]).random(x.shape) * levels < x
        grey, x = x.dtype != bool, x.astype(np.float32)
        splits[split] = {'x': x / levels if grey else x}
        if label is not None:
            splits[split]['label'] = label.astype(np.int32)
    if labels is not None:
        if 'classes' not in info:
            raise UserError(f'labels={labels}: {name} has no labels here')
        rows = partners(splits['train']['label'], info['classes'], labels, label_seed)
        splits['train']['partner'], columns['partner'] = schema.Rows(rows), schema.Field('rows', derived=True)
        facts['labelled'] = labels
    if binarise == 'dynamic':
        from vaebench.datasets.transforms import binarize  # here: it imports JAX
    augment = binarize(*({'partner'} & set(columns))) if binarise == 'dynamic' else None
    return image_dataset(name if binarise == 'none' else f'{name}_{binarise}', splits, columns, facts, augment=augment)


# Files

def idx(path, raw):
    """Array of a gzipped idx file of bytes."""
    try:
        raw = gzip.decompress(raw)
        ndim = raw[3]
        shape = np.frombuffer(raw, '>i4', ndim, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except _DAMAGED as e:
        raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e


def amat(path, raw):
    """Images of an unpacked .amat of 28x28 zeros and ones: a line each, a character between two numbers."""
    try:
        digits = np.frombuffer(raw, np.uint8).reshape(-1, 28, 28, 2)[..., 0] - ord('0')
    except _DAMAGED as e:
        raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e
    return digits.astype(np.uint8)


def _digest(a):
    return hashlib.sha256(np.ascontiguousarray(a, np.uint8)).hexdigest()


def locate(name, files, data_dir, *subs):
    """Paths of a dataset's files. A sub-folder that has them all comes before the folder itself.

    Args:
      name: the dataset's, for messages.
      files: tuples of names that a file may have.
      data_dir: the user's folder.
      *subs: names of sub-folders.

    Returns:
      List of pathlib.Path; a missing folder or file is a `UserError` that names it.
    """
    if data_dir is None:
        find(name, [names[0] for names in files], None)
    base = pathlib.Path(data_dir).expanduser()
    places = [*(base / sub for sub in subs), base]
    for place in places:
        paths = [next((place / f for f in names if (place / f).is_file()), None) for names in files]
        if None not in paths:
            return paths
    wanted = [next((f for f in names if any((p / f).is_file() for p in places)), names[0]) for names in files]
    folder = find(name, wanted, data_dir, *subs)
    return [folder / f for f in wanted]


def _raw(source, dataset, data_dir):
    """{split: {column: array}} of the published files, checked."""
    files = SOURCES[source]
    packings = PACKED if source == 'binarized_mnist' else ('',)
    paths = locate(dataset, [tuple(f + suffix for suffix in packings) for f in files], data_dir, source, dataset)
    out = {}
    for path, (name, file) in zip(paths, files.items(), strict=True):
        raw = read(path)
        try:
            raw = PACKED[path.name.removeprefix(name)](raw)
        except _DAMAGED as e:
            raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e
        actual = hashlib.sha256(raw).hexdigest()
        if actual != file.sha256:
            others = [TITLES[s] for s, table in SOURCES.items() if actual in (f.sha256 for f in table.values())]
            if others:
                raise UserError(f"{path} is {others[0]}'s: files of several datasets have one name, so put those of "
                                f'{dataset} into a folder {source} of their own')
            raise UserError(f'{path} is not the published file: its sha256 is {actual}, not {file.sha256}')
        out.setdefault(file.split, {})[file.column] = (amat if name.endswith('.amat') else idx)(path, raw)
    return out


def _write(source, arrays):
    """The function that fills a cache folder."""
    def write(folder):
        from vaebench.datasets import builders

        def rows(columns):
            as_stored = {'image': lambda x: x[..., None], 'label': np.int64}
            for row in zip(*columns.values(), strict=True):
                yield {column: as_stored[column](v) for column, v in zip(columns, row, strict=True)}

        builder = getattr(builders, ''.join(part.capitalize() for part in source.split('_')))
        builders.write(builder, folder, {s: rows(columns) for s, columns in arrays.items()})
    return write


def by_tfds(name, *folders):
    """Folder of a dataset that TFDS itself prepared in a format that can be read, in one of `folders`; or None."""
    for base in folders:
        if base is not None:
            found = sorted((pathlib.Path(base).expanduser() / name).glob('*.*.*/dataset_info.json'))
            found = [p for p in found if b'"array_record"' in read(p)]
            if found:
                return found[-1].parent
    return None


def _in_file_order(split, arrays, wanted):
    """Arrays in the published files' order, whoever prepared them, or None if they are others.

    TFDS's own builder stores examples sorted by a hash of split and index, so the order can be undone; the result is
    compared with the published content.
    """
    n = len(arrays['image'])
    keys = [hashlib.md5(f'{split}{i}'.encode(), usedforsecurity=False).digest() for i in range(n)]
    for order in (np.arange(n), np.argsort(np.array(sorted(range(n), key=keys.__getitem__)))):
        ordered = {column: a[order] for column, a in arrays.items()}
        if {column: _digest(a) for column, a in ordered.items()} == wanted:
            return ordered
    return None


def _published(source, dataset, data_dir, cache_dir):
    """{split: {column: array}} of a dataset whose content is known: from TFDS, the cache or its files."""
    files, cache = SOURCES[source], store.cache_folder(cache_dir)
    folder = by_tfds(source, data_dir, cache)
    if folder is None:
        folder = cache / source / hashlib.sha256(repr(('1', sorted(files.items()))).encode()).hexdigest()[:16]
        if data_dir is not None or not store.intact(folder):
            store.prepared(folder, _write(source, _raw(source, dataset, data_dir)))
    wanted = {}
    for file in files.values():
        wanted.setdefault(file.split, {})[file.column] = file.content

    from vaebench.datasets import builders
    try:
        examples, _ = builders.read(folder, list(wanted))
    except Exception as e:   # TFDS, array_record and PIL raise whatever they like at files they cannot read
        raise UserError(f'cannot read {folder} ({cause(e)}): prepare it with file_format=array_record, '
                        'or remove it and name the raw files with --data_dir') from e
    out = {}
    for split, columns in wanted.items():
        arrays = {column: np.stack([e[column] for e in examples[split]]) for column in columns}
        out[split] = _in_file_order(split, arrays, columns)
        if out[split] is None:
            raise UserError(f"{folder} does not hold {TITLES[source]}'s {split} images: remove it and prepare it again"
                            ", each dataset with a download_dir of its own")
    return out


def _like_mnist(name, data_dir, cache_dir, **given):
    """The body of `mnist` and `fashion_mnist`."""
    cut = options(**given)
    whole = _published(name, name, data_dir, cache_dir)
    (x, y), test = whole['train'].values(), tuple(whole['test'].values())
    parts = {'train': (x[:-VALID], y[:-VALID]), 'valid': (x[-VALID:], y[-VALID:]), 'test': test}
    return finish(name, parts, classes=10, **cut)


# The datasets

def mnist(data_dir=None, cache_dir=None, binarise='none', examples=None, eval_examples=None, labels=None,
          label_seed=0):
    """MNIST: train is the first 50,000 training images, valid the last 10,000, test the 10,000 test images.

    Read as TFDS prepares it (data_dir/mnist/3.0.1 or the same in cache_dir, in the format array_record), else prepared
    from the raw files. Both give the same arrays: their content is checked. Once prepared, `data_dir` may be left out.

    Args:
      data_dir: folder with the four idx .gz files, or with a folder mnist of them.
      cache_dir: folder for prepared files.
      binarise: 'none'; 'threshold' for x > 1/2; 'dynamic' for pixels that are one with probability x, drawn anew for
        every training batch (`Dataset.augment`; train itself holds grey levels), once and for all in valid and test.
        Each is a dataset of its own: mnist_threshold, mnist_dynamic. Larochelle's fixed draw is `mnist_static`.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels: so many training images are labelled, as many of each class; every row of train then names one of them
        in the column 'partner', for semi-supervised methods. None adds none.
      label_seed: of the choice of these.

    Returns:
      A `Dataset`: x float32 [N, 28, 28, 1] in [0, 1], label int32 [N], partner int32 [N] in train.

    References:
      LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, 1998.
      Burda, Grosse, Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv:1509.00519 (dynamic binarisation).
    """
    return _like_mnist('mnist', data_dir, cache_dir, binarise=binarise, examples=examples,
                       eval_examples=eval_examples, labels=labels, label_seed=label_seed)


def fashion_mnist(data_dir=None, cache_dir=None, binarise='none', examples=None, eval_examples=None, labels=None,
                  label_seed=0):
    """Fashion-MNIST: ten kinds of clothes, in every respect read and split like `mnist`.

    Its files have the names of MNIST's: where both lie in one `data_dir`, each needs a folder of its own.

    Args:
      data_dir: folder with the four idx .gz files, or with a folder fashion_mnist of them (or TFDS's, of 3.0.1).
      cache_dir, binarise, examples, eval_examples, labels, label_seed: as in `mnist`.

    Returns:
      A `Dataset`: x float32 [N, 28, 28, 1] in [0, 1], label int32 [N], partner int32 [N] in train.

    References:
      Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017,
      arXiv:1708.07747.
    """
    return _like_mnist('fashion_mnist', data_dir, cache_dir, binarise=binarise, examples=examples,
                       eval_examples=eval_examples, labels=labels, label_seed=label_seed)


def mnist_static(data_dir=None, cache_dir=None, examples=None, eval_examples=None):
    """MNIST binarised once by Larochelle: 50,000 train, 10,000 valid, 10,000 test, without labels.

    Its valid images are others than those of `mnist`. Its test file is sorted by digit: a fixed permutation undoes
    that, so that the first of them are of all digits.

    Read as TFDS prepares it (data_dir/binarized_mnist/1.0.0, array_record), else from the authors' files, whose
    unpacked content is checked. Once prepared, `data_dir` may be left out.

    Args:
      data_dir: folder with binarized_mnist_train.amat, binarized_mnist_valid.amat and binarized_mnist_test.amat, each
        as it is or packed (.amat.xz, .amat.gz), or with a folder binarized_mnist or mnist_static of them.
      cache_dir: folder for prepared files.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x float32 [N, 28, 28, 1], zeros and ones.

    References:
      Salakhutdinov, Murray, On the Quantitative Analysis of Deep Belief Networks, 2008.
      Larochelle, Murray, The Neural Autoregressive Distribution Estimator, 2011.
    """
    cut = options(examples, eval_examples)
    whole = _published('binarized_mnist', 'mnist_static', data_dir, cache_dir)
    parts = {s: whole['validation' if s == 'valid' else s]['image'] for s in SPLITS}
    parts['test'] = parts['test'][permutation(len(parts['test']))]
    return finish('mnist_static', {s: (x, None) for s, x in parts.items()}, levels=1, **cut)


def frey_faces(data_dir=None, cache_dir=None, examples=None, eval_examples=None):
    """Frey Faces: 1,965 frames of a video of one face, 28 rows by 20 columns of grey.

    Neighbouring frames are nearly alike, and there is no published split: ours is one fixed permutation, 1,565 train,
    200 valid, 200 test, so that test frames have neighbours in train. The frames' sha256 is checked.

    Args:
      data_dir: folder with freyfaces.npz (uint8 'images' [1965, 28, 20]) or with Roweis's frey_rawface.mat ('ff'
        [560, 1965]), or with a folder freyfaces or frey_faces of either.
      cache_dir: not needed.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x float32 [N, 28, 20, 1] in [0, 1].

    References:
      Roweis, Saul, Nonlinear Dimensionality Reduction by Locally Linear Embedding, 2000.
      Kingma, Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114.
    """
    cut = options(examples, eval_examples)
    path, = locate('frey_faces', [('freyfaces.npz', 'frey_rawface.mat')], data_dir, 'freyfaces', 'frey_faces')
    raw = io.BytesIO(read(path))
    try:
        if path.suffix == '.npz':
            frames = np.load(raw)['images']
        else:
            from scipy.io import loadmat
            frames = loadmat(raw)['ff'].T.reshape(-1, 28, 20)
    except Exception as e:   # NumPy and SciPy raise whatever they like at damaged files
        raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e
    if _digest(frames) != FREY:
        raise UserError(f'{path} does not hold the published frames: their sha256 is {_digest(frames)}, not {FREY}')
    frames = frames.reshape(-1, 28, 20)[permutation(len(frames))]
    return finish('frey_faces', {'train': (frames[:-400], None), 'valid': (frames[-400:-200], None),
                                 'test': (frames[-200:], None)}, **cut)


def digits(data_dir=None, cache_dir=None, examples=None, eval_examples=None, labels=None, label_seed=0):
    """Scikit-learn's handwritten digits, 8x8 with 17 grey levels, embedded.

    Split by one fixed permutation: 1,297 train, 250 valid, 250 test.

    Args:
      data_dir, cache_dir: not needed.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`.

    Returns:
      A `Dataset`: x float32 [N, 8, 8, 1] in [0, 1], label int32 [N], partner int32 [N] in train.

    References:
      Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    cut = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    from sklearn.datasets import load_digits
    data = load_digits()
    order = permutation(len(data.target))
    x, y = data.images[order], data.target[order]
    parts = {'train': slice(None, 1297), 'valid': slice(1297, 1547), 'test': slice(1547, None)}
    return finish('digits', {s: (x[part], y[part]) for s, part in parts.items()}, levels=16, classes=10, **cut)
