"""What is done to batches on the device: pure JAX, the one file of datasets that imports it."""
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LEVELS = np.arange(256, dtype=np.float32) / 255


def binarize(*links: str) -> Callable[[jax.Array, Mapping[str, Any]], dict[str, Any]]:
    """The augmentation that draws every pixel anew, one with probability x, else zero.

    Args:
      *links: columns that hold batches of their own, whose pixels are drawn too where a batch
        has them.

    Returns:
      (key, batch) -> batch.

    >>> batch = binarize()(jax.random.key(0), {'x': jnp.array([0., 1.])})
    >>> batch['x'].tolist()
    [0.0, 1.0]
    """
    def drawn(key, tag, x):
        return jax.random.bernoulli(jax.random.fold_in(key, tag), x).astype(jnp.float32)

    def augment(key, batch):
        out = {**batch, 'x': drawn(key, 0, batch['x'])}
        for tag, name in enumerate(links, 1):
            if name in batch:
                out[name] = {**batch[name], 'x': drawn(key, tag, batch[name]['x'])}
        return out

    return augment


def unit_interval(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The decoding of images that are stored as bytes: x / 255, to the bit as NumPy divides.

    >>> unit_interval({'x': jnp.array([0, 255], jnp.uint8)})['x'].tolist()
    [0.0, 1.0]
    """
    # a table: XLA multiplies by 1 / 255 instead, which rounds half of the levels otherwise
    return {**batch, 'x': jnp.asarray(LEVELS)[batch['x']]}
