"""MNIST and Fashion-MNIST whose images each lie at an angle of their own."""
from collections.abc import Callable
from typing import Any

import numpy as np

from vaebench.datasets import mnist
from vaebench.datasets.base import Dataset, Folder, permutation
from vaebench.datasets.image_base import Images, finish, options

SIZES = {'train': 10_000, 'valid': 2000, 'test': 50_000}
"""Images of every split, as many as the published rotated digits have."""
ORDER, ANGLES = [2007, 0], [2007, 1]
"""Seeds of the images' order and of their angles, which are of the image and of no split."""


def turned(image: np.ndarray, angle: float) -> np.ndarray:
    """Turns an image about its middle, counterclockwise; beyond its border is black.

    Between four pixels it interpolates linearly in both directions.

    Args:
      image: uint8 [H, H].
      angle: in radians.

    Returns:
      uint8 [H, H].

    >>> turned(np.array([[0, 90], [0, 0]], np.uint8), np.pi / 2).tolist()
    [[90, 0], [0, 0]]
    """
    from scipy import ndimage  # here: the import is not every command's cost
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]])       # from rows and columns of the result
    middle = (np.array(image.shape) - 1) / 2
    # a trillionth keeps quarter turns inside the border
    at: Any = np.round(middle - matrix @ middle, 12)
    values = ndimage.affine_transform(np.float64(image), np.round(matrix, 12), at, order=1)
    return np.round(values).astype(np.uint8)


def _rotated(name: str, read: Callable[..., Dataset], data_dir: Folder, cache_dir: Folder,
             **more: Any) -> Dataset:
    """The body of `rotated_mnist` and `rotated_fashion_mnist`."""
    from vaebench.datasets.transforms import quarter_turns  # here: it imports JAX
    chosen, whole = options(**more), read(data_dir, cache_dir)
    every = [whole.splits[split] for split in ('train', 'valid', 'test')]
    x = np.concatenate([np.uint8(np.round(255 * part['x'][..., 0])) for part in every])
    label = np.concatenate([part['label'] for part in every])
    angles = 2 * np.pi * np.random.default_rng(ANGLES).random(len(x))
    order, start, parts = permutation(len(x), ORDER), 0, dict[str, Images]()
    for split, n in SIZES.items():
        rows = order[start:start + n][:chosen.first(split)]
        parts[split] = (np.stack([turned(x[i], float(angles[i])) for i in rows]), label[rows])
        start += n
    made = finish(name, parts, chosen, classes=10)
    return made._replace(symmetry=quarter_turns, truth={'group': np.arange(1, 4)})


def rotated_mnist(data_dir: Folder = None, cache_dir: Folder = None, binarise: str = 'none',
                  examples: int | None = None, eval_examples: int | None = None,
                  labels: int | None = None, label_seed: int = 0, pad: int = 0) -> Dataset:
    """Rotated MNIST: digits at angles uniform on the circle; 10,000 train, 2,000 valid, 50,000
    test.

    All 70,000 images of MNIST are put in one random order, the splits are its beginning, and
    each image is turned about its middle by an angle of its own, by linear interpolation, which
    is rounded to bytes: the seeds are 2007. The sizes are those of the digits that Larochelle
    et al. made of MNIST; images and angles are others, so that numbers are near but not the
    same.

    Its `symmetry` are quarter turns, of which no pixel needs interpolation; its law does not
    change with them.

    Args:
      data_dir, cache_dir, binarise, examples, eval_examples, labels, label_seed, pad: as in
        `mnist`.

    Returns:
      A `Dataset` with the columns of `mnist`.

    References:
      Larochelle et al., An Empirical Evaluation of Deep Architectures on Problems with Many
      Factors of Variation, 2007.
      Cohen, Welling, Group Equivariant Convolutional Networks, 2016, arXiv:1602.07576.
    """
    return _rotated('rotated_mnist', mnist.mnist, data_dir, cache_dir, binarise=binarise,
                    examples=examples, eval_examples=eval_examples, labels=labels,
                    label_seed=label_seed, pad=pad)


def rotated_fashion_mnist(data_dir: Folder = None, cache_dir: Folder = None,
                          binarise: str = 'none', examples: int | None = None,
                          eval_examples: int | None = None, labels: int | None = None,
                          label_seed: int = 0, pad: int = 0) -> Dataset:
    """Fashion-MNIST, turned and split as `rotated_mnist` is; corners of large pictures are
    lost.

    Args:
      data_dir, cache_dir, binarise, examples, eval_examples, labels, label_seed, pad: as in
        `fashion_mnist`.

    Returns:
      A `Dataset` with the columns of `mnist`.

    References:
      Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
      Learning Algorithms, 2017, arXiv:1708.07747.
    """
    return _rotated('rotated_fashion_mnist', mnist.fashion_mnist, data_dir, cache_dir,
                    binarise=binarise, examples=examples, eval_examples=eval_examples,
                    labels=labels, label_seed=label_seed, pad=pad)
