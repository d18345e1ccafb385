"""The order of the data: which rows a seed reads in which step of an epoch."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SALT = 20190801            # keeps the order of data apart from every other use of a seed


def epoch_steps(sizes: Sequence[int], batch: int) -> int:
    """Counts the train steps of one pass over buckets of these sizes.

    >>> epoch_steps([10, 3], 2)
    7
    """
    return sum(-(-n // batch) for n in sizes)


class Block(NamedTuple):
    """Consecutive train steps of an epoch, taken in one dispatch."""
    buckets: np.ndarray        # int32 [K], that each step reads
    turns: np.ndarray          # int32 [K], which of its bucket's steps it is


def epoch_blocks(sizes: Sequence[int], batch: int, block: int,
                 tags: Sequence[int]) -> list[Block]:
    """Orders the steps of an epoch, the same for every seed, and cuts them into blocks.

    Every step draws its bucket independently of its neighbors: blocks of one length class each
    would pull the parameters back and forth, the more the larger the learning rate.

    Args:
      sizes: rows per bucket.
      batch: B.
      block: most steps per block.
      tags: (table seed, phase, epoch), which make the order.

    Returns:
      The blocks; together they hold every step of every bucket once.

    >>> [(b.buckets.tolist(), b.turns.tolist()) for b in epoch_blocks([10, 3], 2, 4, (0, 0, 0))]
    [([1, 0, 0], [1, 3, 4]), ([0, 0, 0, 1], [0, 1, 2, 0])]
    """
    rng = np.random.default_rng([SALT, *tags])
    steps = [-(-n // batch) for n in sizes]
    starts = np.arange(0, sum(steps), block)
    starts = starts[rng.permutation(len(starts))]
    buckets = rng.permutation(np.repeat(np.arange(len(steps), dtype=np.int32), steps))
    turns = np.empty_like(buckets)
    for bucket, n in enumerate(steps):
        turns[buckets == bucket] = np.arange(n)
    return [Block(buckets[at:at + block], turns[at:at + block]) for at in starts]


def first_steps(blocks: Sequence[Block], steps: int) -> list[Block]:
    """Cuts a sequence of blocks off after so many steps.

    >>> block = Block(np.zeros(3, int), np.arange(3))
    >>> [b.turns.tolist() for b in first_steps([block, block, block], 5)]
    [[0, 1, 2], [0, 1]]
    """
    before = np.cumsum([0, *(len(block.turns) for block in blocks)])
    return [Block(*(x[:steps - n] for x in block))
            for n, block in zip(before, blocks, strict=False) if n < steps]


def indices(size: int, batch: int, n: int, tags: Sequence[int]) -> np.ndarray:
    """Draws one seed's rows for all steps of a bucket in an epoch.

    Batch 0 of each step runs through a permutation, so that every row is met once an epoch; the
    others, which only players with `fresh_batches` read, are drawn uniformly from the bucket
    (the papers draw them from the entire corpus).

    Args:
      size: rows of the bucket.
      batch: B.
      n: batches per step.
      tags: (seed, phase, epoch, bucket), which make the stream.

    Returns:
      int32 [steps, n, B]; -1 fills the last batch.
    """
    rng = np.random.default_rng([SALT, *tags])
    steps = -(-size // batch)
    first = np.full(steps * batch, -1, np.int32)
    first[:size] = rng.permutation(size)
    rest = rng.integers(0, size, (steps, n - 1, batch), dtype=np.int32)
    return np.concatenate([first.reshape(steps, 1, batch), rest], 1)
