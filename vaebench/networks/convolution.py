"""Convolutions over sequences of vectors, and their maximum over time."""
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Net
from vaebench.networks import common


class SequenceCnn(nn.Module):
    """Windows of several widths, the maximum of each filter over time, and a linear layer.

    A window begins at every step that counts; what it reads beyond the last of them is zero, so
    that padding reaches nothing.

    Attributes:
      n_out: outputs.
      widths: of the windows.
      channels: filters of each width.
    """
    n_out: int
    widths: tuple[int, ...] = (1, 2, 3, 4, 5)
    channels: int = 128

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Reads x [B, T, D] where mask [B, T] is true: [B, n_out]."""
        steps, x = x.shape[1], jnp.where(mask[..., None], x, 0)
        x = jnp.pad(x, ((0, 0), (0, max(self.widths) - 1), (0, 0)))
        found = []
        for width in self.widths:
            windows = jnp.concatenate([x[:, i:i + steps] for i in range(width)], -1)
            a = nn.leaky_relu(nn.Dense(self.channels, name=f'width{width}')(windows))
            most = jnp.where(mask[..., None], a, -jnp.inf).max(1)
            found.append(jnp.where(mask.any(1)[:, None], most, 0))
        return nn.Dense(self.n_out, name='out')(jnp.concatenate(found, -1))


def cnn(n_in: int, n_out: int, widths: Sequence[int] = (1, 2, 3, 4, 5),
        channels: int = 128) -> Net:
    """Makes a `SequenceCnn` as a `Net`: ([B, T, n_in], mask bool [B, T]) -> [B, n_out].

    Args:
      n_in: width of a step.
      n_out: outputs.
      widths: of the windows.
      channels: filters of each width.

    Returns:
      A `Net`.

    References:
      Kim, "Convolutional Neural Networks for Sentence Classification", 2014, arXiv:1408.5882.

    >>> f = cnn(2, 3, (1, 2), 4)
    >>> f.apply(f.init(jax.random.key(0)), jnp.ones((5, 6, 2)), jnp.ones((5, 6), bool)).shape
    (5, 3)
    """
    module = SequenceCnn(n_out, tuple(widths), channels)
    return common.net(module, common.torch_linear, jnp.zeros((1, 1, n_in)),
                      jnp.ones((1, 1), bool))
