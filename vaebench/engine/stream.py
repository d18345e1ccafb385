"""Training data that stay on the host: a program gets the rows that it reads, and no others.

The order of the data is drawn as ever (`engine.order`); only the rows of a block of train steps
go to the device, as a slab of a size that the block alone decides, so that every block runs the
same program. Slabs are made in threads while the blocks before them train.
"""
import contextlib
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.engine.programs import shape_of
from vaebench.errors import UserError
from vaebench.schema import Rows, count

T = TypeVar('T')
SHARE = .25            # of the free memory that training data may take, where `stream` is auto
THREADS, AHEAD = 2, 2  # that make slabs; slabs that wait for their turn


class Slab(NamedTuple):
    """Some rows of a bucket under numbers of their own."""
    columns: dict[str, Any]    # leaves [M, ...], a column of `Rows` among them
    idx: np.ndarray            # int32, the rows that were asked for, as numbers below M


def cut(columns: Mapping[str, Any], idx: np.ndarray, size: int) -> Slab:
    """Copies the rows that an index array names, and those that they link to.

    Args:
      columns: of a bucket, leaves [N, ...]; they may lie on a disk.
      idx: int array of rows; a negative number marks an empty slot and stays.
      size: M; `most` says how many are enough.

    Returns:
      A `Slab`. `core.take` finds in it what it finds in the bucket: an empty slot holds the
      bucket's first row in both.

    >>> columns = {'x': np.arange(0, 90, 10), 'partner': Rows(np.arange(9)[::-1])}
    >>> slab = cut(columns, np.array([7, -1]), 4)
    >>> slab.columns['x'].tolist(), slab.columns['partner'].index.tolist(), slab.idx.tolist()
    ([0, 10, 70, 80], [3, 2, 1, 0], [2, -1])
    """
    read = np.unique(np.append(np.maximum(idx, 0), 0))
    links = {k: v.index for k, v in columns.items() if isinstance(v, Rows)}
    rows = np.unique(np.concatenate([read, *(index[read] for index in links.values())]))

    def column(x):
        out = np.zeros((size, *x.shape[1:]), x.dtype)
        out[:len(rows)] = x[rows]
        return out

    def link(index):             # rows that are only linked to are not followed further
        named = index[rows]
        place = np.searchsorted(rows, named).clip(max=len(rows) - 1)
        out = np.zeros(size, index.dtype)
        out[:len(rows)] = np.where(rows[place] == named, place, 0)
        return Rows(out)

    own = {k: jax.tree.map(column, v) for k, v in columns.items() if k not in links}
    place = np.where(idx < 0, -1, np.searchsorted(rows, idx)).astype(np.int32)
    return Slab({**own, **{k: link(index) for k, index in links.items()}}, place)


def most(columns: Mapping[str, Any], reads: int) -> int:
    """Counts the rows of a slab that so many reads of a bucket need at most.

    >>> most({'x': np.zeros(100)}, 10), most({'x': np.zeros(8)}, 10)
    (11, 8)
    """
    links = sum(isinstance(column, Rows) for column in columns.values())
    return min(count(columns), (reads + 1) * (1 + links))


def large(size: int, free: int | None) -> bool:
    """Says whether training data are too large for the device: more than `SHARE` of what is
    free.

    Args:
      size: bytes of the data.
      free: bytes; None where the machine does not say.

    >>> large(3, 8), large(1, 8), large(3, None)
    (True, False, False)
    """
    return free is not None and size > SHARE * free


Place = Callable[[Any], Any]
"""Puts a tree of arrays where programs run."""


class Resident:
    """Training data on the device: programs hold all of them.

    Args:
      buckets: one dict of arrays [N_b, ...] per length class.
      place: see `Place`.
    """
    threads = 0

    def __init__(self, buckets: Sequence[Mapping[str, Any]], place: Place):
        self.buckets = [place(jax.tree.map(jnp.asarray, dict(b))) for b in buckets]

    def shapes(self, reads: int) -> list[dict[str, Any]]:
        """Shapes, one tree per bucket, of what programs hold that read so many rows at most."""
        return jax.tree.map(shape_of, self.buckets)

    def block(self, which: np.ndarray, idx: np.ndarray) -> tuple[list, np.ndarray]:
        """Gives the columns that a block of train steps reads, and where they stand in these.

        Args:
          which: int [K], the bucket of every step.
          idx: int32 [G, K, n, B], rows of these buckets; -1 is an empty slot.

        Returns:
          (buckets, idx).
        """
        return self.buckets, idx

    def rows(self, bucket: int, idx: np.ndarray) -> tuple[Any, np.ndarray]:
        """Gives the columns of one bucket that rows idx are read of, and idx in these."""
        return self.buckets[bucket], idx


class Streamed(Resident):
    """Training data on the host, of which programs get slabs; arguments as for `Resident`."""
    threads = THREADS

    def __init__(self, buckets: Sequence[Mapping[str, Any]], place: Place):
        self.buckets, self._place = [jax.tree.map(np.asarray, dict(b)) for b in buckets], place

    def shapes(self, reads: int) -> list[dict[str, Any]]:
        def shape(x, size):
            dtype = jax.dtypes.canonicalize_dtype(x.dtype)
            return jax.ShapeDtypeStruct((size, *x.shape[1:]), dtype)

        return [jax.tree.map(functools.partial(shape, size=most(b, reads)), b)
                for b in self.buckets]

    def block(self, which: np.ndarray, idx: np.ndarray) -> tuple[list, np.ndarray]:
        made, place = [], np.full_like(idx, -1)
        for number, columns in enumerate(self.buckets):
            steps = which == number
            slab = cut(columns, idx[:, steps], most(columns, idx.size))
            place[:, steps] = slab.idx
            made.append(slab.columns)
        return self._place(jax.tree.map(jnp.asarray, made)), place

    def rows(self, bucket: int, idx: np.ndarray) -> tuple[Any, np.ndarray]:
        slab = cut(self.buckets[bucket], idx, most(self.buckets[bucket], idx.size))
        return self._place(jax.tree.map(jnp.asarray, slab.columns)), slab.idx


class _Made(Sequence):
    """What a function of 0, 1, ... gives, as grain wants it: a sequence."""

    def __init__(self, make, size):
        self.make, self.size = make, size

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        return self.make(i)


def ahead(make: Callable[[int], T], size: int,
          threads: int = THREADS) -> Generator[T, None, None]:
    """Yields make(0), make(1), ... in this order, each made while its predecessors are used.

    Args:
      make: a function that threads may call.
      size: how many there are.
      threads: that make them, at most `AHEAD` too many; 0 makes each when it is asked for.

    Raises:
      UserError: there are threads, and the package grain is not installed.

    >>> list(ahead(lambda i: i * i, 3, threads=0))
    [0, 1, 4]
    """
    if not threads:
        yield from map(make, range(size))
        return
    try:
        import grain
    except ImportError as error:
        raise UserError('data that are streamed need the package grain: pip install grain, or '
                        'give --config.stream=off') from error
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD)
    found = iter(grain.MapDataset.source(_Made(make, size)).to_iter_dataset(options))
    with contextlib.closing(found):
        yield from found
