"""Projective and affine maps of the plane, and images that they move.

A map is 8 numbers (a, b, c, d, e, f, g, h): it takes the column x and the row y of a pixel of
the result to ((a x + b y + c) / w, (d x + e y + f) / w) with w = g x + h y + 1, where the image
is read. An affine map has g = h = 0.
"""
import chex
import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

NUMBERS = 8
SCALES, SHIFT = (.8, 1.2), 1 / 8              # of a projective map; shifts are shares of a side
AFFINE_SCALES, MOVES, SHEAR = (.7, 1.3), 1 / 5, jnp.pi / 6


def apply(t: jax.Array, points: jax.Array) -> jax.Array:
    """Maps points.

    Args:
      t: [8].
      points: [..., 2], x and y.

    Returns:
      [..., 2].

    >>> apply(jnp.array([1., 0., 2., 0., 1., 3., 0., 0.]), jnp.zeros(2)).tolist()
    [2.0, 3.0]
    """
    chex.assert_shape(t, (NUMBERS,))
    chex.assert_shape(points, (..., 2))
    a, b, c, d, e, f, g, h = t
    x, y = points[..., 0], points[..., 1]
    w = g * x + h * y + 1
    return jnp.stack([(a * x + b * y + c) / w, (d * x + e * y + f) / w], -1)


def solve(start: jax.Array, end: jax.Array) -> jax.Array:
    """Finds the projective map that takes four points to four others: 8 linear equations.

    Args:
      start: [4, 2], no three of them on a line.
      end: [4, 2].

    Returns:
      [8].

    >>> square = jnp.array([[0., 0.], [1., 0.], [1., 1.], [0., 1.]])
    >>> identity = jnp.array([1., 0., 0., 0., 1., 0., 0., 0.])
    >>> bool(jnp.allclose(solve(square, square), identity, atol=1e-6))
    True
    """
    chex.assert_shape([start, end], (4, 2))
    chex.assert_type([start, end], float)
    (x, y), (u, v) = start.T, end.T
    one, none = jnp.ones_like(x), jnp.zeros_like(x)
    of_u = jnp.stack([x, y, one, none, none, none, -u * x, -u * y], 1)
    of_v = jnp.stack([none, none, none, x, y, one, -v * x, -v * y], 1)
    return jnp.linalg.solve(jnp.concatenate([of_u, of_v]), jnp.concatenate([u, v]))


def corners(side: int) -> jax.Array:
    """Returns the middles of an image's corner pixels, [4, 2], in a circle from x = y = 0."""
    last = side - 1.
    return jnp.array([[0., 0.], [last, 0.], [last, last], [0., last]])


def draw_projective(key: jax.Array, side: int) -> jax.Array:
    """Draws a projective map: corners shift by up to an eighth of the side, the square grows or
    shrinks by up to a fifth and turns by a multiple of 90 degrees, about its middle.

    Args:
      key: [].
      side: pixels of an image.

    Returns:
      [8].

    References:
      Qi et al., "AVT: Unsupervised Learning of Transformation Equivariant Representations by
      Autoencoding Variational Transformations", 2019, arXiv:1903.10863 (its CIFAR-10).
    """
    shift, scale, turn = jax.random.split(key, 3)
    most = round(SHIFT * side)
    square, middle = corners(side), (side - 1) / 2
    moved = square + jax.random.randint(shift, (4, 2), -most, most + 1)
    low, high = SCALES
    away = (moved - middle) * jax.random.uniform(scale, minval=low, maxval=high)
    quarter = jax.random.randint(turn, (), 0, 4)
    x, y = away.T
    turned = jnp.stack([away, jnp.stack([-y, x], 1), -away, jnp.stack([y, -x], 1)])[quarter]
    return solve(square, turned + middle)


def draw_affine(key: jax.Array, side: int) -> jax.Array:
    """Draws an affine map about the middle: any angle, a shear of up to 30 degrees, a scale
    from 0.7 to 1.3, and a move of up to a fifth of the side in both directions.

    Args:
      key: [].
      side: pixels of an image.

    Returns:
      [8], the last two of them 0.

    References:
      Zhang et al., "AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
      Transformations rather than Data", 2019, arXiv:1901.04596.
    """
    turn, shear, scale, move = jax.random.split(key, 4)
    angle = jax.random.uniform(turn, minval=-jnp.pi, maxval=jnp.pi)
    slope = jnp.tan(jax.random.uniform(shear, minval=-SHEAR, maxval=SHEAR))
    size = jax.random.uniform(scale, minval=AFFINE_SCALES[0], maxval=AFFINE_SCALES[1])
    cos, sin = size * jnp.cos(angle), size * jnp.sin(angle)
    linear = jnp.array([[cos, -sin], [sin, cos]]) @ jnp.array([[1., slope], [0., 1.]])
    middle = jnp.full(2, (side - 1) / 2)
    offset = jax.random.uniform(move, (2,), minval=-MOVES, maxval=MOVES) * side
    c = middle + offset - linear @ middle
    return jnp.concatenate([linear[0], c[:1], linear[1], c[1:], jnp.zeros(2)])


DRAWS = {'projective': (draw_projective, 8), 'affine': (draw_affine, 6)}
"""Form -> (how a map is drawn, how many of its numbers vary)."""


def standardized(t: jax.Array, side: int) -> jax.Array:
    """Brings the numbers of maps to about one scale.

    Args:
      t: [..., 8].
      side: pixels of an image.

    Returns:
      [..., 8]: of translations half the side is taken off; they are divided by 5/8 of the side,
      g and h by 0.48 over the side, as the published code does for 32 pixels.
    """
    chex.assert_shape(t, (..., NUMBERS))
    half, far, near = side / 2, side * 5 / 8, .48 / side
    return (t - jnp.array([0., 0., half, 0., 0., half, 0., 0.])) / jnp.array(
        [1., 1., far, 1., 1., far, near, near])


def warp(x: jax.Array, t: jax.Array) -> jax.Array:
    """Moves an image; it interpolates linearly, and beyond the border is 0.

    Args:
      x: [H, H, C].
      t: [8].

    Returns:
      [H, H, C].

    >>> x = jnp.arange(4.).reshape(2, 2, 1)
    >>> warp(x, jnp.array([1., 0., 1., 0., 1., 0., 0., 0.]))[..., 0].tolist()
    [[1.0, 0.0], [3.0, 0.0]]
    """
    chex.assert_rank(x, 3)
    chex.assert_equal(x.shape[0], x.shape[1])
    chex.assert_type(x, float)
    at = jnp.arange(x.shape[0], dtype=x.dtype)
    columns, rows = jnp.meshgrid(at, at)
    read = apply(t, jnp.stack([columns, rows], -1))
    place = [read[..., 1], read[..., 0]]
    one = lambda channel: map_coordinates(channel, place, 1)
    return jax.vmap(one, 2, 2)(x)
