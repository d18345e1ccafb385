"""Scikit-learn's handwritten digits."""
from typing import Any

from vaebench.datasets.base import Dataset, Folder, permutation
from vaebench.datasets.image_base import finish, options


def digits(data_dir: Folder = None, cache_dir: Folder = None, examples: int | None = None,
           eval_examples: int | None = None, labels: int | None = None,
           label_seed: int = 0) -> Dataset:
    """Scikit-learn's handwritten digits, 8x8 with 17 grey levels, which come with the package.

    One fixed permutation splits them: 1,297 train, 250 valid, 250 test.

    Args:
      data_dir, cache_dir: not needed.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.
      labels, label_seed: as in `mnist`.

    Returns:
      A `Dataset`: x float32 [N, 8, 8, 1] in [0, 1], label int32 [N]; where some are labelled,
      train names them in a column 'partner'.

    References:
      Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
      Repository, 1998.
    """
    chosen = options(examples, eval_examples, labels=labels, label_seed=label_seed)
    from sklearn.datasets import load_digits
    data: Any = load_digits()
    order = permutation(len(data.target))
    x, y = data.images[order], data.target[order]
    parts = {'train': slice(None, 1297), 'valid': slice(1297, 1547), 'test': slice(1547, None)}
    return finish('digits', {s: (x[part], y[part]) for s, part in parts.items()}, chosen,
                  levels=16, classes=10)
