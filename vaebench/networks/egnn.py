"""The E(n)-equivariant graph network: messages of invariants move points along their
differences.
"""
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.networks.se3 import others


class Silu(nn.Module):
    """Two linear layers with SiLU between them, and after the last if `final`.

    Attributes:
      hidden, n_out: widths.
      final: whether the activation follows the last layer too.
      bias: whether the last layer has a bias.
    """
    hidden: int
    n_out: int
    final: bool = False
    bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jax.nn.silu(nn.Dense(self.hidden, name='layer0')(x))
        x = nn.Dense(self.n_out, use_bias=self.bias, name='layer1')(x)
        return jax.nn.silu(x) if self.final else x


class Egnn(nn.Module):
    """Two vectors for every particle, from positions, velocities and charges.

    Each layer sends messages of two particles' features, their squared distance and the product
    of their charges; moves every particle by a multiple of its velocity and by multiples of its
    differences from the others; and changes its features. The first vector is by how much a
    particle has moved in the end, the second has multiples of its own.

    Attributes:
      layers: how many.
      hidden: width of features and messages.

    References:
      Satorras, Hoogeboom, Welling, "E(n) Equivariant Graph Neural Networks", 2021,
      arXiv:2102.09844 (with velocities, its section 3.2).
    """
    layers: int
    hidden: int

    @nn.compact
    def __call__(self, x: Mapping[str, jax.Array]) -> jax.Array:
        """[B, P, 2, 3]."""
        position, velocity, charge = x['position'], x['velocity'], x['charge']
        product = (charge[:, :, None] * charge[:, None])[..., None]
        mask = others(charge.shape[1])[..., None] / (charge.shape[1] - 1)
        mask = jnp.asarray(mask, position.dtype)
        speed = (velocity**2).sum(-1, keepdims=True)
        h, at = nn.Dense(self.hidden, name='first')(speed), position
        change = jnp.zeros_like(position)
        for i in range(self.layers):
            apart = at[:, :, None] - at[:, None]                    # [b, i, j] is x_i - x_j
            square = (apart**2).sum(-1, keepdims=True)
            shape = (*square.shape[:3], self.hidden)
            seen = [jnp.broadcast_to(h[:, :, None], shape), jnp.broadcast_to(h[:, None], shape),
                    square, product]
            message = Silu(self.hidden, self.hidden, True, name=f'message{i}')(
                jnp.concatenate(seen, -1))
            pull = Silu(self.hidden, 2, name=f'pull{i}')(message) * mask
            own = Silu(self.hidden, 2, name=f'own{i}')(h)
            moved = [(apart * pull[..., k:k + 1]).sum(2) + own[..., k:k + 1] * velocity
                     for k in range(2)]
            at, change = at + moved[0], change + moved[1]
            if i + 1 == self.layers:
                break
            gathered = (message * mask).sum(2)
            h = h + Silu(self.hidden, self.hidden, name=f'feature{i}')(
                jnp.concatenate([h, gathered], -1))
        return jnp.stack([at - position, change], 2)
