"""Groups of quarter turns and mirror images: how they move pixels, filters and feature maps.

An element h = (m, r) turns a picture r times by 90 degrees counterclockwise, then turns it
upside down in a mirror if m is 1; its number is turns * m + r. A feature map of a group is
[B, H, W, |H|, C], a picture [B, H, W, 1, C]. An element k moves a map f by
(k f)[h] = k f[k^-1 h]: it moves the pixels and permutes the group's axis.
"""
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np


class Group(NamedTuple):
    """A group of symmetries of the square.

    Attributes:
      turns: 4 with quarter turns, 1 without.
      mirrors: 2 with mirror images, 1 without.

    >>> [group.order for group in GROUPS.values()]
    [1, 4, 8]
    """
    turns: int
    mirrors: int

    @property
    def order(self) -> int:
        """Number of elements, |H|."""
        return self.turns * self.mirrors

    @property
    def elements(self) -> tuple[tuple[int, int], ...]:
        """(m, r) of every element, by its number."""
        return tuple((m, r) for m in range(self.mirrors) for r in range(self.turns))

    def number(self, m: int, r: int) -> int:
        """Number of an element, of any integers m and r."""
        return self.turns * (m % self.mirrors) + r % self.turns


GROUPS = {'z2': Group(1, 1), 'p4': Group(4, 1), 'p4m': Group(4, 2)}
"""By the name of the group that they make with translations."""


def product(group: Group, a: int, b: int) -> int:
    """Number of the element that does b, then a.

    >>> product(GROUPS['p4m'], 4, 1), product(GROUPS['p4m'], 1, 4)
    (5, 7)
    """
    (m, r), (n, s) = group.elements[a], group.elements[b]
    return group.number(m + n, (-r if n else r) + s)


def inverse(group: Group, h: int) -> int:
    """Number of the element that undoes h; every mirror image undoes itself.

    >>> [inverse(GROUPS['p4m'], h) for h in range(8)]
    [0, 3, 2, 1, 4, 5, 6, 7]
    """
    m, r = group.elements[h]
    return group.number(m, r if m else -r)


@functools.cache
def permutation(group: Group, h: int) -> tuple[int, ...]:
    """Where h takes every place of the group's axis from: the number of h^-1 s for each s.

    >>> permutation(GROUPS['p4'], 1)
    (3, 0, 1, 2)
    """
    return tuple(product(group, inverse(group, h), s) for s in range(group.order))


def move(group: Group, h: int, x: jax.Array, axis: int = 0) -> jax.Array:
    """Moves the pixels of pictures or filters; the group's axis stays.

    Args:
      group: a `Group`.
      h: number of an element.
      x: [..., K, K, ...], square.
      axis: of its rows; its columns are the next.

    Returns:
      The same shape.

    >>> move(GROUPS['p4m'], 1, jnp.array([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    chex.assert_equal(x.shape[axis], x.shape[axis + 1])
    m, r = group.elements[h]
    x = jnp.rot90(x, r, (axis, axis + 1))
    return jnp.flip(x, axis) if m else x


def move_map(group: Group, k: int, f: jax.Array) -> jax.Array:
    """Moves feature maps: (k f)[h] = k f[k^-1 h].

    Args:
      group: a `Group`.
      k: number of an element.
      f: [B, H, H, |H|, C].

    Returns:
      The same shape.
    """
    chex.assert_shape(f, (None, None, None, group.order, None))
    return move(group, k, f, 1)[:, :, :, np.array(permutation(group, k))]


def move_code(group: Group, k: int, z: jax.Array) -> jax.Array:
    """Moves codes that are read as numbers on the group: (k z)[c, h] = z[c, k^-1 h].

    Args:
      group: a `Group`.
      k: number of an element.
      z: [..., C |H|], the group's axis the faster one.

    Returns:
      The same shape.

    >>> move_code(GROUPS['p4'], 1, jnp.array([0, 1, 2, 3])).tolist()
    [3, 0, 1, 2]
    """
    chex.assert_equal(z.shape[-1] % group.order, 0)
    on_group = z.reshape(*z.shape[:-1], -1, group.order)
    return on_group[..., np.array(permutation(group, k))].reshape(z.shape)


def filter_bank(group: Group, w: jax.Array) -> jax.Array:
    """Makes the filters of an ordinary correlation that commutes with the group: h w for every
    h.

    From a picture (lifting) the output h sees h w; from a group's map it sees of the input s
    the filter h w[h^-1 s].

    Args:
      group: a `Group`.
      w: [K, K, S, I, O], S = 1 from a picture, |H| from a group's map.

    Returns:
      [K, K, S I, |H| O].

    References:
      Cohen and Welling, "Group Equivariant Convolutional Networks", 2016, arXiv:1602.07576.
    """
    size, _, s, i, o = w.shape
    chex.assert_shape(w, (size, size, None, None, None))
    chex.assert_type(w, float)
    chex.assert_equal(s in (1, group.order), True)
    bank = [move(group, h, w if s == 1 else w[:, :, np.array(permutation(group, h))])
            for h in range(group.order)]
    return jnp.stack(bank, -2).reshape(size, size, s * i, group.order * o)


def projection_bank(group: Group, w: jax.Array) -> jax.Array:
    """Makes the filters from a group's map to a picture: of the input s it sees s w. There is
    no other linear map that commutes with the group.

    Args:
      group: a `Group`.
      w: [K, K, I, O].

    Returns:
      [K, K, |H| I, O].
    """
    size, _, i, o = w.shape
    chex.assert_shape(w, (size, size, None, None))
    chex.assert_type(w, float)
    bank = jnp.stack([move(group, s, w) for s in range(group.order)], 2)
    return bank.reshape(size, size, group.order * i, o)


def correlate(x: jax.Array, bank: jax.Array) -> jax.Array:
    """Correlates pictures with filters wherever these lie inside.

    It is a linear layer over windows, or windows of one: on a CPU, and for several seeds at
    once, that is many times faster than a convolution operation and its gradients.

    Args:
      x: [B, H, W, I].
      bank: [K, K, I, O].

    Returns:
      [B, H - K + 1, W - K + 1, O].

    >>> correlate(jnp.arange(4.).reshape(1, 2, 2, 1), jnp.ones((2, 2, 1, 1))).tolist()
    [[[[6.0]]]]
    """
    size, _, before, after = bank.shape
    chex.assert_shape(x, (None, None, None, before))
    chex.assert_type([x, bank], float)
    height, width = (n - size + 1 for n in x.shape[1:3])
    at = [(i, j) for i in range(size) for j in range(size)]
    if before <= after:
        windows = [x[:, i:i + height, j:j + width] for i, j in at]
        return jnp.concatenate(windows, -1) @ bank.reshape(-1, after)
    # fewer numbers: first the products, then the sum over the window
    every = x @ bank.transpose(2, 0, 1, 3).reshape(before, -1)
    parts = every.reshape(*x.shape[:3], -1, after)
    cut = [parts[:, i:i + height, j:j + width, n] for n, (i, j) in enumerate(at)]
    return functools.reduce(jnp.add, cut)
