"""The order of the data: which rows a seed reads in which step of an epoch."""
from collections.abc import Sequence

import numpy as np

SALT = 20190801            # keeps the order of data apart from every other use of a seed


def epoch_steps(sizes: Sequence[int], batch: int) -> int:
    """Counts the train steps of one pass over buckets of these sizes.

    >>> epoch_steps([10, 3], 2)
    7
    """
    return sum(-(-n // batch) for n in sizes)


def epoch_blocks(sizes: Sequence[int], batch: int, block: int) -> list[tuple[int, int, int]]:
    """Cuts an epoch into blocks, each inside one bucket.

    Args:
      sizes: rows per bucket.
      batch: B.
      block: most steps per block.

    Returns:
      List of (bucket, first step, steps).

    >>> epoch_blocks([10, 3], 2, 3)
    [(0, 0, 3), (0, 3, 2), (1, 0, 2)]
    """
    steps = [-(-n // batch) for n in sizes]
    return [(b, at, min(block, n - at))
            for b, n in enumerate(steps) for at in range(0, n, block)]


def order(blocks: Sequence, table_seed: int, phase: int, epoch: int) -> list:
    """Puts an epoch's blocks into the table's order, the same for every seed."""
    rng = np.random.default_rng([SALT, table_seed, phase, epoch])
    return [blocks[i] for i in rng.permutation(len(blocks))]


def indices(size: int, batch: int, n: int, tags: Sequence[int]) -> np.ndarray:
    """Draws one seed's rows for all steps of a bucket in an epoch.

    Batch 0 of each step runs through a permutation, so that every row is met once an epoch; the
    others, which only players with `fresh` inner batches read, are drawn uniformly from the
    bucket (catalogue: from the whole corpus).

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
