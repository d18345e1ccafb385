"""What is done to batches on the device: pure JAX."""
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


def quarter_turns(turns: jax.Array | int, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The symmetry of square images: turns them by quarters, counterclockwise.

    Args:
      turns: [] whole number, also traced.
      batch: 'x' [B, H, H, C]; other columns stay.

    Returns:
      The batch.

    >>> x = jnp.array([[1., 2.], [3., 4.]])[None, ..., None]
    >>> quarter_turns(1, {'x': x, 'label': 5})['x'][0, ..., 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """
    by = [lambda x, k=k: jnp.rot90(x, k, (1, 2)) for k in range(4)]
    return {**batch, 'x': jax.lax.switch(turns % 4, by, batch['x'])}


def pasted(pictures: np.ndarray, start: np.ndarray, steps: np.ndarray,
           size: int) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The decoding of factors that say which small picture stands where in a larger one.

    A table of pictures makes the pixels the same on every device.

    Args:
      pictures: bool [M, h, w]. Their outermost pixels are continued to the border.
      start: int [3], the number of the picture, its top row and its left column where all
        factors are 0.
      steps: int [F, 3], what one level more of every factor adds to these.
      size: pixels a side.

    Returns:
      Function of a batch with 'factors' int [B, F] -> batch with 'x' float32 [B, size, size, 1]
      too.

    >>> dot = np.zeros((1, 3, 3), bool)
    >>> dot[0, 1, 1] = True
    >>> draw = pasted(dot, np.array([0, -1, 0]), np.array([[0, 1, 0]]), 3)
    >>> draw({'factors': jnp.array([[1]])})['x'][0, :, :, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    @jax.jit
    def draw(factors):
        placed = start + (factors.astype(jnp.int32)[:, :, None] * steps).sum(1)
        number, top, left = placed.T[:, :, None, None]
        row = jnp.clip(jnp.arange(size)[:, None] - top, 0, pictures.shape[1] - 1)
        column = jnp.clip(jnp.arange(size) - left, 0, pictures.shape[2] - 1)
        return jnp.asarray(pictures)[number, row, column].astype(jnp.float32)[..., None]

    return lambda batch: {**batch, 'x': draw(jnp.asarray(batch['factors']))}
