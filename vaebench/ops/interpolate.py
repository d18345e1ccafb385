"""Paths and grids through a space of codes."""
import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


def lerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Interpolates linearly from a to b.

    Args:
      a: [..., Z].
      b: [..., Z].
      t: [T]; 0 gives a and 1 gives b.

    Returns:
      [T, ..., Z].

    >>> lerp(jnp.zeros(2), jnp.array([1., 2.]), jnp.array([0., .5])).tolist()
    [[0.0, 0.0], [0.5, 1.0]]
    """
    chex.assert_equal_shape([a, b])
    chex.assert_rank(t, 1)
    chex.assert_type([a, b, t], float)
    t = jnp.reshape(jnp.asarray(t), (-1, *[1] * jnp.ndim(a)))
    return (1 - t) * a + t * b


def slerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """Interpolates along the great circle from a to b; codes of one norm keep it.

    The path is straight where no single circle passes through both: where one of them is zero
    or the sine of their angle is below 1e-6. The angle comes from its half's tangent, not from
    the usual arccos of the cosine, and so is exact for near codes in float32 too.

    Args:
      a: [..., Z].
      b: [..., Z].
      t: [T]; 0 gives a and 1 gives b.

    Returns:
      [T, ..., Z].

    References:
      Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.

    >>> slerp(jnp.array([3., 0.]), jnp.array([0., 3.]), jnp.array([1 / 3])).round(2).tolist()
    [[2.5999999046325684, 1.5]]
    """
    chex.assert_equal_shape([a, b])
    chex.assert_shape([a, b], (..., None))
    chex.assert_rank(t, 1)
    chex.assert_type([a, b, t], float)

    def norm(x):
        square = (x**2).sum(-1, keepdims=True)
        return jnp.sqrt(jnp.maximum(square, jnp.finfo(x.dtype).tiny))

    a, b = jnp.asarray(a), jnp.asarray(b)
    u, v = a / norm(a), b / norm(b)
    angle = 2 * jnp.arctan2(norm(u - v), norm(u + v))
    straight = ((jnp.sin(angle) < 1e-6)
                | ~a.any(-1, keepdims=True) | ~b.any(-1, keepdims=True))
    sine = jnp.where(straight, 1, jnp.sin(angle))
    s = jnp.reshape(jnp.asarray(t), (-1, *[1] * a.ndim))
    return jnp.where(straight, lerp(a, b, t),
                     jnp.sin((1 - s) * angle) / sine * a + jnp.sin(s * angle) / sine * b)


def span(n: int, low: Number = -3., high: Number = 3.) -> jax.Array:
    """Spaces n values evenly from low to high.

    Args:
      n: number of values.
      low: [] or [D], such as the least code of each dimension.
      high: [] or [D].

    Returns:
      [n] or [D, n].

    >>> span(3).tolist()
    [-3.0, 0.0, 3.0]
    """
    chex.assert_rank([low, high], {0, 1})
    return jnp.linspace(low, high, n, axis=-1)


def traversal(z: jax.Array, values: jax.Array, dims: jax.Array | None = None) -> jax.Array:
    """Sets one dimension after another to given values, while the others stay as they are.

    Args:
      z: [..., Z] codes to start from.
      values: [S], or [D, S] for every dimension its own.
      dims: int [D] dimensions to traverse; None is all of them, in their order.

    Returns:
      [..., D, S, Z].

    >>> traversal(jnp.array([5., 6.]), jnp.array([0., 1.]), jnp.array([1])).tolist()
    [[[5.0, 0.0], [5.0, 1.0]]]
    """
    chex.assert_shape(z, (..., None))
    chex.assert_rank(values, {1, 2})
    chex.assert_type([z, values], float)
    dims = jnp.arange(z.shape[-1]) if dims is None else jnp.asarray(dims)
    chex.assert_rank(dims, 1)
    chex.assert_type(dims, int)
    values = jnp.broadcast_to(values, (len(dims), jnp.shape(values)[-1]))
    own = dims[:, None, None] == jnp.arange(z.shape[-1])
    return jnp.where(own, values[..., None], z[..., None, None, :])
