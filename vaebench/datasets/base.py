"""What every dataset is: named splits of arrays, their hash, and their length classes."""
import hashlib
import operator
from typing import Any, NamedTuple

import numpy as np

from vaebench.errors import UserError

# Not what the data is but what was computed of it: 'log_p' by transcendental functions, whose last bit hangs on the
# machine, 'partner' by an option, so that semi-supervised rows stand beside the others as rows of the same data.
DERIVED = 'log_p', 'partner'


class Dataset(NamedTuple):
    """Named splits of arrays, and what the rest of the package may know of them."""
    name: str
    splits: dict[str, dict[str, np.ndarray]]   # 'train', 'valid', 'test' -> columns with leading N
    info: dict[str, Any]                       # 'name', 'kind', 'sha256', 'sizes' and what the kind adds

    def buckets(self, split, cuts, column='length'):
        """Length classes of a split by name: see `buckets`."""
        return buckets(self.splits[split], cuts, column)


def integer(name, value, least):
    """An option that must be a whole number of at least `least`, or None."""
    if value is None:
        return None
    try:
        number = operator.index(value)
    except TypeError:
        raise UserError(f'{name}={value!r}: a whole number is wanted') from None
    if number < least or isinstance(value, bool):
        raise UserError(f'{name}={value!r}: it must be at least {least}')
    return number


def permutation(n, seed=0):
    """The numbers below n in an order that hangs on the seed alone.

    >>> permutation(5).tolist()
    [3, 2, 1, 0, 4]
    """
    return np.random.default_rng(seed).random(n).argsort(kind='stable')   # raw uniforms never change


def partners(label, classes, labels, seed=0):
    """A labelled row for every row: what semi-supervised methods read beside their unlabelled batch.

    Args:
      label: int [N], below `classes`.
      classes: K.
      labels: how many rows are labelled, as many of every class: a multiple of K.
      seed: of the choice of these rows and of their order.

    Returns:
      int32 [N]: every labelled row stands in it equally often, or once more where N is no multiple of `labels`.

    >>> sorted(partners(np.array([0, 1, 0, 1, 0, 1]), 2, 2).tolist())
    [2, 2, 2, 3, 3, 3]
    """
    each, left = divmod(labels, classes)
    if left:
        raise UserError(f'labels={labels}: as many of every class are wanted, so it must be a multiple of {classes}')
    counts = np.bincount(label, minlength=classes)
    if counts.min() < each:
        raise UserError(f'labels={labels}: train has {counts.min()} examples of class {counts.argmin()}; give at most '
                        f'{counts.min() * classes}')
    order = permutation(len(label), [seed, 0])
    rows = np.stack([order[label[order] == c][:each] for c in range(classes)], 1).ravel()   # the classes in turn
    return np.resize(rows, len(label))[permutation(len(label), [seed, 1])].astype(np.int32)


def fingerprint(splits, vocab=()):
    """Hash of what a dataset says, the same on every machine.

    Args:
      splits: {split: {column: array}}; columns in `DERIVED` are left out.
      vocab: strings.

    Returns:
      sha256 in hex.

    >>> fingerprint({'test': {'x': np.arange(3)}})[:8]
    'f1c50d5f'
    """
    h = hashlib.sha256('\n'.join(vocab).encode())
    for split, columns in sorted(splits.items()):
        for name, a in sorted(columns.items()):
            if name not in DERIVED:
                a = np.ascontiguousarray(a, a.dtype.newbyteorder('<'))
                h.update(f'{split}/{name}/{a.dtype.str}/{a.shape}'.encode())
                h.update(a)
    return h.hexdigest()


def text_dataset(name, splits, vocab, **info):
    """A `Dataset` of kind text, with the counts that reports want."""
    sizes = {s: len(c['length']) for s, c in splits.items()}
    tokens = {s: int(c['length'].sum()) for s, c in splits.items()}
    return Dataset(name, splits, {'name': name, 'kind': 'text', 'sha256': fingerprint(splits, vocab), 'sizes': sizes,
                                  'vocab': tuple(vocab), 'tokens': tokens,
                                  'max_length': max(int(c['length'].max()) for c in splits.values()) - 1, **info})


def _of_arrays(kind, name, splits, info):
    sizes = {s: len(c['x']) for s, c in splits.items()}
    shape = next(iter(splits.values()))['x'].shape[1:]
    return Dataset(name, splits, {'name': name, 'kind': kind, 'sha256': fingerprint(splits), 'sizes': sizes,
                                  'shape': tuple(shape), **info})


def image_dataset(name, splits, **info):
    """A `Dataset` of kind image: x is [N, H, W, C] in [0, 1]."""
    return _of_arrays('image', name, splits, info)


def points_dataset(name, splits, **info):
    """A `Dataset` of kind points: x is [N, D], in any range.

    >>> points_dataset('dot', {'test': {'x': np.zeros((5, 2), np.float32)}}).info['shape']
    (2,)
    """
    return _of_arrays('points', name, splits, info)


def cut_points(lengths, n):
    """Upper bounds of the n length classes that pad least.

    Exact, by dynamic programming over the histogram: a class of rows costs rows times its longest length.

    Args:
      lengths: int [N].
      n: classes wanted; as many as there are distinct lengths at most.

    Returns:
      Increasing list of ints; the last is the longest length.

    >>> cut_points([1, 1, 2, 9, 10], 2)
    [2, 10]
    """
    values, counts = np.unique(lengths, return_counts=True)
    total = np.concatenate([[0], np.cumsum(counts)])
    best, last = total[1:] * values.astype(float), []   # best[j]: least cost of values[..j] in one class
    for _ in range(min(n, len(values)) - 1):
        # One more class, values[i+1..j], on top of the best way to hold values[..i].
        cost = best[:, None] + (total[None, 1:] - total[1:, None]) * values[None]
        cost = np.where(np.tri(len(values), dtype=bool), np.inf, cost)
        last.append(cost.argmin(0))
        best = cost.min(0)
    cuts, j = [], len(values) - 1
    for back in reversed(last):
        cuts.append(int(values[j]))
        j = back[j]
    return [int(values[j]), *reversed(cuts)]


def classes(lengths, cuts):
    """Rows of every length class.

    Args:
      lengths: int [N].
      cuts: number of classes, chosen by `cut_points` (0 and 1 mean one class), or explicit upper bounds; where
        these fall short of the longest length, that length is added. Empty classes are left out.

    Returns:
      List of (upper bound, int [n] rows in their order).

    >>> [(bound, rows.tolist()) for bound, rows in classes([3, 1, 2, 9], [3, 5])]
    [(3, [0, 1, 2]), (9, [3])]
    """
    lengths = np.asarray(lengths)
    if not len(lengths):
        return []
    if np.ndim(cuts):
        bounds = sorted({integer('cuts', c, 1) for c in cuts})
        if not bounds or bounds[-1] < lengths.max():
            bounds.append(int(lengths.max()))
    else:
        bounds = cut_points(lengths, max(integer('cuts', cuts, 0), 1))
    of = np.searchsorted(bounds, lengths)
    return [(b, rows) for i, b in enumerate(bounds) if len(rows := np.flatnonzero(of == i))]


def buckets(split, cuts, column='length'):
    """Splits columns into length classes and cuts 'tokens' to each class's width.

    Args:
      split: {column: array [N, ...]}.
      cuts: as in `classes`. The number is applied to this split's own lengths; pass bounds to share widths.
      column: the lengths; a split without it (images) is one bucket.

    Returns:
      List of dicts like `split`; 'tokens' is [n, bound + 1], so that it predicts `bound` tokens.

    >>> split = {'tokens': np.array([[1, 4, 2, 0, 0], [1, 4, 5, 6, 2]]), 'length': np.array([2, 4])}
    >>> [b['tokens'].shape for b in buckets(split, 2)]
    [(1, 3), (1, 5)]
    """
    if column not in split:
        return [split]
    result = []
    for bound, rows in classes(split[column], cuts):
        part = {k: v[rows] for k, v in split.items()}
        if 'tokens' in part:
            tokens = part['tokens'][:, :bound + 1]
            part['tokens'] = np.pad(tokens, ((0, 0), (0, bound + 1 - tokens.shape[1])))
        result.append(part)
    return result
