"""What datasets of known generative factors share: the grid of all their combinations."""
import math
from collections.abc import Sequence

import numpy as np

from vaebench.datasets.base import integer, tenths


def grid(levels: Sequence[int]) -> np.ndarray:
    """All combinations of the factors' levels, the last factor fastest.

    Args:
      levels: of each factor.

    Returns:
      int [prod(levels), F], of the smallest type that holds the levels.

    >>> grid((2, 3)).tolist()
    [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    """
    rows = np.unravel_index(np.arange(math.prod(levels)), tuple(levels))
    return np.stack(rows, 1).astype(np.int8 if max(levels) <= 128 else np.int32)


def row(factors: np.ndarray, levels: Sequence[int]) -> np.ndarray:
    """The rows int [n] of `grid` that hold combinations int [n, F].

    >>> row(np.array([[1, 0], [0, 2]]), (2, 3)).tolist()
    [3, 2]
    """
    return np.asarray(np.ravel_multi_index(tuple(np.asarray(factors).T), tuple(levels)))


def parts(n: int, examples: int | None, eval_examples: int | None,
          seed: int = 0) -> dict[str, np.ndarray]:
    """The rows of every split: `tenths`, of which so many are kept at most.

    >>> {split: len(rows) for split, rows in parts(100, 7, None).items()}
    {'train': 7, 'valid': 10, 'test': 10}
    """
    few = integer('eval_examples', eval_examples, 1)
    most = {'train': integer('examples', examples, 1), 'valid': few, 'test': few}
    return {split: rows[:most[split]] for split, rows in tenths(n, seed).items()}
