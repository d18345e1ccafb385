"""What every dataset is: named splits of arrays, their hash, and their length classes."""
import hashlib
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.errors import UserError
from vaebench.schema import (
    Field,
    Schema,
    count,
    flat,
    image,
    leaves,
    of_kind,
    select,
    text,
    vector,
)

SPLITS = 'train', 'valid', 'test'
Folder = str | os.PathLike[str] | None
"""A folder of the user's, or None for the default."""
Columns = Mapping[str, Any]
"""Column -> array, or the columns nested under it."""


class Source(NamedTuple):
    """What identifies a dataset, and what results print of it.

    Attributes:
      sha256: `fingerprint` of the data.
      sizes: rows of every split.
      facts: further JSON values by name: 'reduced', 'tokens', 'vocab', 'labelled', a known
        source's entropies.
    """
    sha256: str
    sizes: Mapping[str, int]
    facts: Mapping[str, Any] = {}


class Dataset(NamedTuple):
    """Named splits of columns, and what the rest of the package may know of them.

    Attributes:
      name: in results.
      splits: 'train', 'valid', 'test' -> columns with leading N, which may be nested.
      schema: what the columns are.
      source: its identity.
      truth: what is known of the law the data come from, for metrics, such as a mixture's
        'modes' and 'std', or elements of the 'group' that `symmetry` knows.
      item: what one row is, for units such as nats/image.
      part: what a squared error is counted per, such as a pixel.
      decode: batch -> batch, applied to whatever is read: bytes to floats, factors to images.
        Pure JAX.
      augment: (key, batch) -> batch, drawn anew for every training batch. Pure JAX.
      observe: int factors [n, F] -> columns as they are stored, which `decode` reads like any
        others: ground truth on demand. None where not every combination can be had.
      symmetry: (g, batch) -> batch: a group's element acts on inputs and targets alike, and
        leaves columns that it does not know as they are. `truth['group']` holds the elements
        that metrics average over, leaves [E, ...] without the identity. Pure JAX.
    """
    name: str
    splits: Mapping[str, Columns]
    schema: Schema
    source: Source
    truth: Mapping[str, Any] = {}
    item: str = 'example'
    part: str = 'value'
    decode: Callable | None = None
    augment: Callable | None = None
    observe: Callable | None = None
    symmetry: Callable | None = None

    def buckets(self, split: str, cuts: int | Sequence[int]) -> list[dict[str, Any]]:
        """Length classes of a split by name: see `buckets`."""
        return buckets(self.splits[split], cuts, self.schema)


def make(name: str, splits: Mapping[str, Columns], schema: Schema,
         facts: Mapping[str, Any] | None = None, drawn: Any = None, **more: Any) -> Dataset:
    """A `Dataset` whose identity is computed.

    Args:
      name: in results.
      splits: {split: columns}.
      schema: of every column that some split has, and of those that `decode` makes.
      facts: see `Source`.
      drawn: what decides the columns that `decode` makes beside those it reads, such as the
        size of pictures: part of the identity. None where nothing does.
      **more: further fields of `Dataset`.

    >>> make('dot', {'test': {'x': np.zeros((5, 2))}}, {'x': vector(2)}).source.sizes
    {'test': 5}
    """
    sizes = {split: count(columns) for split, columns in splits.items()}
    digest = fingerprint(splits, schema)
    if drawn is not None:
        digest = hashlib.sha256(f'{digest} {drawn!r}'.encode()).hexdigest()
    source = Source(digest, sizes, facts or {})
    return Dataset(name, splits, schema, source, **more)


def whole(name: str, value: Any, least: int) -> int:
    """Checks that an option is a whole number.

    Args:
      name: the option's.
      value: what was given.
      least: the smallest number that it may be.

    Raises:
      UserError: it is not.

    >>> whole('size', np.int64(3), 1)
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise UserError(f'{name}={value!r}: a whole number is wanted') from None
    if number < least or isinstance(value, bool):
        raise UserError(f'{name}={value!r}: it must be at least {least}')
    return number


def integer(name: str, value: Any, least: int) -> int | None:
    """Checks that an option is a whole number or None: see `whole`."""
    return None if value is None else whole(name, value, least)


def permutation(n: int, seed: int | Sequence[int] = 0) -> np.ndarray:
    """The numbers below n in an order that depends on the seed alone.

    >>> permutation(5).tolist()
    [3, 2, 1, 0, 4]
    """
    draw = np.random.default_rng(seed).random(n)   # raw uniforms never change
    return draw.argsort(kind='stable')


def tenths(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The rows of every split of n: a tenth is valid and a tenth test, at least one row.

    Raises:
      UserError: there are fewer than 3.

    >>> {split: rows.tolist() for split, rows in tenths(5).items()}
    {'train': [3, 2, 1], 'valid': [0], 'test': [4]}
    """
    if n < 3:
        raise UserError(f'{n} rows: at least 3 are wanted, one for each split')
    order, held_out = permutation(n, seed), max(1, n // 10)
    return {'train': order[:-2 * held_out], 'valid': order[-2 * held_out:-held_out],
            'test': order[-held_out:]}


def partners(label: np.ndarray, classes: int, labels: int, seed: int = 0) -> np.ndarray:
    """A labelled row for every row: what semi-supervised methods read beside their batch.

    Args:
      label: int [N], below `classes`.
      classes: K.
      labels: how many rows are labelled, as many of every class: a multiple of K.
      seed: of the choice of these rows and of their order.

    Returns:
      int32 [N]: every labelled row stands in it equally often, or once more where N is no
      multiple of `labels`.

    Raises:
      UserError: `labels` is no multiple of K, or larger than the smallest class allows.

    >>> sorted(partners(np.array([0, 1, 0, 1, 0, 1]), 2, 2).tolist())
    [2, 2, 2, 3, 3, 3]
    """
    each, left = divmod(labels, classes)
    if left:
        raise UserError(f'labels={labels}: as many of every class are wanted, so it must be a '
                        f'multiple of {classes}')
    counts = np.bincount(label, minlength=classes)
    if counts.min() < each:
        raise UserError(
            f'labels={labels}: train has {counts.min()} examples of class {counts.argmin()}; '
            f'give at most {counts.min() * classes}')
    order = permutation(len(label), [seed, 0])
    rows = np.stack([order[label[order] == c][:each] for c in range(classes)], 1)
    in_turn = np.resize(rows.ravel(), len(label))   # the classes in turn
    return in_turn[permutation(len(label), [seed, 1])].astype(np.int32)


def fingerprint(splits: Mapping[str, Columns], schema: Schema) -> str:
    """Hash of what a dataset says, the same on every machine.

    Derived columns are left out: 'log_p' depends on the last bits of a machine's logarithm, and
    labelled partners on an option, so that semi-supervised rows stand beside the others as rows
    of the same data.

    Args:
      splits: {split: columns}.
      schema: of every column.

    Returns:
      sha256 in hex.

    >>> fingerprint({'test': {'x': np.arange(3)}}, {'x': vector(1)})[:8]
    'f1c50d5f'
    """
    fields = dict(leaves(schema))
    words = [
        word for field in fields.values() if field.kind == 'tokens' for word in field.names
    ]
    h = hashlib.sha256('\n'.join(words).encode())
    for split, columns in sorted(splits.items()):
        for name, a in sorted(flat(columns)):
            if not fields[name].derived:
                a = np.ascontiguousarray(a, a.dtype.newbyteorder('<'))
                h.update(f'{split}/{name}/{a.dtype.str}/{a.shape}'.encode())
                h.update(a.data)
    return h.hexdigest()


def text_dataset(name: str, splits: Mapping[str, Columns], vocab: Sequence[str],
                 columns: Schema | None = None, **facts: Any) -> Dataset:
    """A `Dataset` of sentences, with the counts that reports want.

    Args:
      name: in results.
      splits: {split: columns}, 'tokens' and 'length' among them.
      vocab: words by id.
      columns: fields of further columns.
      **facts: see `Source`.
    """
    tokens = {s: int(c['length'].sum()) for s, c in splits.items()}
    longest = max(int(c['length'].max()) for c in splits.values()) - 1
    schema = {**text(tuple(vocab), longest), **(columns or {})}
    facts = {'tokens': tokens, 'vocab': len(vocab), **facts}
    return make(name, splits, schema, facts, item='sentence', part='token')


def image_dataset(name: str, splits: Mapping[str, Columns], columns: Schema | None = None,
                  facts: Mapping[str, Any] | None = None, **more: Any) -> Dataset:
    """A `Dataset` of images: x is [N, H, W, C] in [0, 1].

    Args:
      name: in results.
      splits: {split: columns}, 'x' among them.
      columns: fields of further columns.
      facts: see `Source`.
      **more: further fields of `Dataset`.
    """
    shape = next(iter(splits.values()))['x'].shape[1:]
    schema = {'x': image(shape), **(columns or {})}
    return make(name, splits, schema, facts, item='image', part='pixel', **more)


def points_dataset(name: str, splits: Mapping[str, Columns], columns: Schema | None = None,
                   facts: Mapping[str, Any] | None = None, **more: Any) -> Dataset:
    """A `Dataset` of points: x is [N, D], in any range; arguments as for `image_dataset`."""
    size = next(iter(splits.values()))['x'].shape[1]
    schema = {'x': vector(size), **(columns or {})}
    return make(name, splits, schema, facts, item='point', part='coordinate', **more)


def cut_points(lengths: Any, n: int) -> list[int]:
    """Upper bounds of the n length classes that pad least.

    Exact, by dynamic programming over the histogram: a class of rows costs rows times its
    longest length.

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
    best = total[1:] * values.astype(float)   # best[j]: least cost of values[..j] in one class
    last = []
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


def classes(lengths: Any, cuts: int | Sequence[int]) -> list[tuple[int, np.ndarray]]:
    """Rows of every length class.

    Args:
      lengths: int [N].
      cuts: number of classes, chosen by `cut_points` (0 and 1 mean one class), or explicit
        upper bounds; where these fall short of the longest length, that length is added.

    Returns:
      List of (upper bound, int [n] rows in their order), without empty classes.

    Raises:
      UserError: `cuts` is negative or holds what is no length.

    >>> [(bound, rows.tolist()) for bound, rows in classes([3, 1, 2, 9], [3, 5])]
    [(3, [0, 1, 2]), (9, [3])]
    """
    lengths = np.asarray(lengths)
    if not len(lengths):
        return []
    if np.ndim(cuts):
        bounds = sorted({whole('cuts', c, 1) for c in np.atleast_1d(cuts)})
        if not bounds or bounds[-1] < lengths.max():
            bounds.append(int(lengths.max()))
    else:
        bounds = cut_points(lengths, max(whole('cuts', cuts, 0), 1))
    of = np.searchsorted(bounds, lengths)
    return [(b, rows) for i, b in enumerate(bounds) if len(rows := np.flatnonzero(of == i))]


def buckets(split: Columns, cuts: int | Sequence[int], schema: Schema) -> list[dict[str, Any]]:
    """Splits columns into length classes and cuts those of kind 'tokens' to each class's width.

    Args:
      split: columns, which may be nested.
      cuts: as in `classes`. The number is applied to this split's own lengths; pass bounds to
        share widths.
      schema: of the columns; data without a column of kind 'length' is one bucket.

    Returns:
      List of columns like `split`; tokens are [n, bound + 1], so that they predict `bound`
      tokens. Where there are several classes, columns of row numbers become the rows that they
      name.

    >>> split = {'tokens': np.array([[1, 4, 2, 0, 0], [1, 4, 5, 6, 2]]),
    ...          'length': np.array([2, 4])}
    >>> [b['tokens'].shape for b in buckets(split, 2, text(tuple('abcdefg'), 3))]
    [(1, 3), (1, 5)]
    """
    column = of_kind(schema, 'length')
    if column is None:
        return [dict(split)]
    found, result = classes(split[column], cuts), []
    kinds = {name: f.kind for name, f in schema.items() if isinstance(f, Field)}
    for bound, rows in found:
        part = select(split, rows) if len(found) > 1 else dict(split)
        for name in [name for name, kind in kinds.items() if kind == 'tokens' and name in part]:
            tokens = part[name][:, :bound + 1]
            part[name] = np.pad(tokens, ((0, 0), (0, bound + 1 - tokens.shape[1])))
        result.append(part)
    return result
