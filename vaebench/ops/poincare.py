"""The Poincare ball c |z|^2 < 1 of curvature -c; c = 0 gives every function's Euclidean limit.

Points and tangent vectors are coordinates [..., Z]. Lengths of tangent vectors are Euclidean:
the hyperbolic length of u at x is `conformal(x, c)` |u|, and 2 |u| at the origin. c is a
number, Python or traced.
"""
import chex
import jax
import jax.numpy as jnp

from vaebench.ops import distributions
from vaebench.ops.types import Number

UNIT = {'pvae': 1., 'apo': 2.}
"""Hyperbolic length of one unit of a wrapped normal's noise, by convention.

APo-VAE moves by lambda_0 / lambda_mu v, which is twice as far.
"""


def _assert_points(c, *points):
    """A curvature [], and points or vectors [..., Z] of one space."""
    chex.assert_rank(c, 0)
    chex.assert_shape(points, (..., points[0].shape[-1] if points[0].shape else None))
    chex.assert_type(points, float)


def _margin(dtype):
    """How far from the rim points are kept, as a share of the radius."""
    return 4e-3 if jnp.finfo(dtype).bits <= 32 else 1e-5


def _square(x):
    return (x**2).sum(-1, keepdims=True)


def _root(square):
    """Square root of [...], with gradient 0 at 0."""
    tiny = square < 1e-30
    return jnp.where(tiny, 0., jnp.sqrt(jnp.where(tiny, 1., square)))


def _over(f, series, r, least):
    """f(r) / r, by its series where |r| is below `least`."""
    small = jnp.abs(r) < least
    safe = jnp.where(small, 1., r)
    return jnp.where(small, series(r**2), f(safe) / safe)


def _tanhc(r):
    return _over(jnp.tanh, lambda s: 1 - s / 3 + 2 * s**2 / 15, r, 1e-2)


def _artanhc(r):
    r = jnp.minimum(r, 1 - (1e-5 if jnp.finfo(r.dtype).bits <= 32 else 1e-12))
    return _over(jnp.arctanh, lambda s: 1 + s / 3 + s**2 / 5, r, 1e-2)


def _asinhc(r):
    return _over(jnp.arcsinh, lambda s: 1 - s / 6 + 3 * s**2 / 40, r, 1e-2)


def log_sinhc(r: jax.Array) -> jax.Array:
    """Computes ln(sinh(r) / r) without overflow.

    Args:
      r: [...], not negative.

    Returns:
      [...].

    >>> [round(float(v), 4) for v in log_sinhc(jnp.array([0., 1., 1000.]))]
    [0.0, 0.1614, 992.3991]
    """
    chex.assert_type(r, float)
    small = r < .1
    safe = jnp.where(small, 1., r)
    return jnp.where(small, r**2 / 6 - r**4 / 180 + r**6 / 2835,
                     safe + jnp.log1p(-jnp.exp(-2 * safe)) - jnp.log(2 * safe))


def conformal(x: jax.Array, c: Number) -> jax.Array:
    """Computes lambda_x = 2 / (1 - c |x|^2), the hyperbolic length per Euclidean length at x.

    Args:
      x: [..., Z], in the ball.
      c: [] minus the curvature.

    Returns:
      [..., 1].

    >>> conformal(jnp.array([.5, 0.]), 2.).tolist()
    [4.0]
    """
    _assert_points(c, x)
    return 2 / (1 - c * _square(x))


def clipped(x: jax.Array, c: Number) -> jax.Array:
    """Says whether a point lies on the outermost shell or beyond: where `project` puts points.

    Args:
      x: [..., Z].
      c: [] minus the curvature.

    Returns:
      bool [...].

    >>> clipped(jnp.array([[3., 0.], [.5, 0.]]), 1.).tolist()
    [True, False]
    """
    _assert_points(c, x)
    return (jnp.sqrt(c) * _root(_square(x)) >= (1 - _margin(x.dtype)) * (1 - 1e-6))[..., 0]


def shorten(x: jax.Array, c: Number, most: Number) -> jax.Array:
    """Pulls x back to sqrt(c) |x| <= most.

    Args:
      x: [..., Z].
      c: [] minus the curvature.
      most: [] largest sqrt(c) |x|.

    Returns:
      [..., Z].

    >>> shorten(jnp.array([3., 0.]), 4., 1.).tolist()
    [0.5, 0.0]
    """
    _assert_points(c, x)
    chex.assert_rank(most, 0)
    r = jnp.sqrt(c) * _root(_square(x))
    far = r > most
    return jnp.where(far, x * (most / jnp.where(far, r, 1.)), x)


def project(x: jax.Array, c: Number) -> jax.Array:
    """Pulls x back to |x| <= (1 - margin) / sqrt(c).

    Args:
      x: [..., Z].
      c: [] minus the curvature.

    Returns:
      [..., Z]; the margin is 4e-3 in float32 and 1e-5 in float64.

    >>> [round(v, 4) for v in project(jnp.array([3., 0.]), 1.).tolist()]
    [0.996, 0.0]
    """
    _assert_points(c, x)
    return shorten(x, c, 1 - _margin(x.dtype))


def mobius_add(x: jax.Array, y: jax.Array, c: Number) -> jax.Array:
    """Computes x (+) y, which is x + y at c = 0; neither commutative nor associative.

    Args:
      x: [..., Z], in the ball.
      y: [..., Z], in the ball, broadcast against x.
      c: [] minus the curvature.

    Returns:
      [..., Z], in the ball.

    References:
      Ungar, "A Gyrovector Space Approach to Hyperbolic Geometry", 2008.

    >>> x = jnp.array([.5, 0.])
    >>> [round(v, 4) for v in mobius_add(x, x, 1.).tolist()]
    [0.8, 0.0]
    """
    _assert_points(c, x, y)
    xy, xx, yy = (x * y).sum(-1, keepdims=True), _square(x), _square(y)
    above = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    return above / (1 + 2 * c * xy + c**2 * xx * yy)


def exp_map(x: jax.Array, u: jax.Array, c: Number) -> jax.Array:
    """Follows the geodesic that leaves x with velocity u for unit time, kept off the rim.

    Args:
      x: [..., Z], in the ball.
      u: [..., Z], tangent at x.
      c: [] minus the curvature.

    Returns:
      [..., Z].
    """
    _assert_points(c, x, u)
    half = conformal(x, c) * u / 2
    return project(mobius_add(x, half * _tanhc(jnp.sqrt(c) * _root(_square(half))), c), c)


def exp0(u: jax.Array, c: Number) -> jax.Array:
    """Computes `exp_map` from the origin.

    Args:
      u: [..., Z], tangent at the origin.
      c: [] minus the curvature.

    Returns:
      [..., Z].

    >>> [round(v, 4) for v in exp0(jnp.array([1., 0.]), 1.).tolist()]
    [0.7616, 0.0]
    """
    _assert_points(c, u)
    return project(u * _tanhc(jnp.sqrt(c) * _root(_square(u))), c)


def log_map(x: jax.Array, y: jax.Array, c: Number) -> jax.Array:
    """Finds the velocity that leads from x to y in unit time: the inverse of `exp_map`.

    Args:
      x: [..., Z], in the ball.
      y: [..., Z], in the ball, broadcast against x.
      c: [] minus the curvature.

    Returns:
      [..., Z], tangent at x.
    """
    _assert_points(c, x, y)
    k = mobius_add(-x, y, c)
    return 2 / conformal(x, c) * k * _artanhc(jnp.sqrt(c) * _root(_square(k)))


def log0(y: jax.Array, c: Number) -> jax.Array:
    """Computes `log_map` from the origin.

    Args:
      y: [..., Z], in the ball.
      c: [] minus the curvature.

    Returns:
      [..., Z], tangent at the origin.

    >>> u = jnp.array([1., .5])
    >>> bool(jnp.allclose(log0(exp0(u, 1.), 1.), u, atol=1e-5))
    True
    """
    _assert_points(c, y)
    return y * _artanhc(jnp.sqrt(c) * _root(_square(y)))


def distance(x: jax.Array, y: jax.Array, c: Number) -> jax.Array:
    """Computes the hyperbolic distance, which is 2 |x - y| at c = 0.

    Args:
      x: [..., Z], in the ball.
      y: [..., Z], in the ball, broadcast against x.
      c: [] minus the curvature.

    Returns:
      [...].

    >>> round(float(distance(jnp.zeros(2), jnp.array([.5, 0.]), 1.)), 4)
    1.0986
    """
    _assert_points(c, x, y)
    r = _root(_square(mobius_add(-x, y, c)))
    return (2 * r * _artanhc(jnp.sqrt(c) * r))[..., 0]


def offset_log_prob(t: jax.Array, scale: Number, c: Number) -> jax.Array:
    """Computes the log density of a wrapped normal from the noise that leads to the point.

    Args:
      t: [..., Z] noise in hyperbolic length, lambda_mu log_mu(z); |t| is the distance from the
        mean.
      scale: broadcast against t; standard deviations in hyperbolic length.
      c: [] minus the curvature.

    Returns:
      [...], nats, with respect to the hyperbolic volume.
    """
    _assert_points(c, t)
    chex.assert_type(scale, float)
    normal = distributions.normal_log_prob(t, 0., 2 * jnp.log(scale))
    return normal - (t.shape[-1] - 1) * log_sinhc(jnp.sqrt(c) * _root(_square(t)))[..., 0]


def wrapped_log_prob(z: jax.Array, mean: jax.Array, scale: Number, c: Number,
                     convention: str = 'pvae') -> jax.Array:
    """Computes the log density of the wrapped normal of `wrapped_sample`.

    Points beyond the rim are projected first.

    Args:
      z: [..., Z].
      mean: [..., Z], broadcast against z, in the ball.
      scale: broadcast against z.
      c: [] minus the curvature.
      convention: 'pvae' or 'apo'.

    Returns:
      [...], nats, with respect to the hyperbolic volume lambda_z^Z dz.

    References:
      Mathieu et al., "Continuous Hierarchical Representations with Poincare Variational
      Auto-Encoders", 2019, arXiv:1901.06033.
      Dai et al., "APo-VAE: Text Generation in Hyperbolic Space", 2021, arXiv:2005.00054.

    >>> round(float(wrapped_log_prob(jnp.zeros(2), jnp.zeros(2), jnp.ones(2), 1.)), 4)
    -1.8379
    """
    _assert_points(c, z, mean)
    t = conformal(mean, c) * log_map(mean, project(z, c), c)
    return offset_log_prob(t, UNIT[convention] * scale, c)


def wrapped_sample(key: jax.Array, mean: jax.Array, scale: Number, c: Number,
                   convention: str = 'pvae') -> jax.Array:
    """Moves noise e ~ N(0, diag scale^2) to the mean and wraps it around the ball.

    Args:
      key: [] typed key.
      mean: [..., Z], in the ball.
      scale: broadcast against mean.
      c: [] minus the curvature.
      convention: 'pvae' lands at distance |e| from the mean, 'apo' at 2 |e|.

    Returns:
      [..., Z], kept off the rim.

    References:
      See `wrapped_log_prob`.

    >>> wrapped_sample(jax.random.key(0), jnp.full(2, .5), jnp.zeros(2), 1.).tolist()
    [0.5, 0.5]
    """
    _assert_points(c, mean)
    chex.assert_rank(key, 0)
    chex.assert_type(scale, float)
    noise = UNIT[convention] * scale * jax.random.normal(key, mean.shape, mean.dtype)
    return exp_map(mean, noise / conformal(mean, c), c)


def gyroplane(z: jax.Array, normal: jax.Array, offset: jax.Array,
              c: Number) -> jax.Array:
    """Computes signed hyperbolic distances from K hyperplanes, times their normals' lengths.

    It is 4 <normal, z - offset> at c = 0. It differs from the published layers in its
    parameters alone: both are tangent at the origin, hence Euclidean. The plane passes through
    exp_0(offset), and the normal is transported there.

    Args:
      z: [..., Z], in the ball.
      normal: [K, Z].
      offset: [K, Z].
      c: [] minus the curvature.

    Returns:
      [..., K].

    References:
      Ganea et al., "Hyperbolic Neural Networks", 2018, arXiv:1805.09112.

    >>> z, normal = jnp.array([.5, 0.]), jnp.array([[1., 0.]])
    >>> round(float(gyroplane(z, normal, jnp.zeros((1, 2)), 1.)[0]), 4)
    2.1972
    """
    _assert_points(c, z, normal)
    chex.assert_rank(normal, 2)
    chex.assert_equal_shape([normal, offset])
    b, length = exp0(offset, c), _root(_square(normal))[..., 0]
    bb, zz = _square(b)[..., 0], _square(z)
    # <k, a> and 1 - c |k|^2 of k = (-b) (+) z share a denominator, which cancels: two products
    # and no [..., K, Z]
    inner = ((1 - c * bb) * (z @ normal.T)
             - (1 - 2 * c * (z @ b.T) + c * zz) * (b * normal).sum(-1))
    y = 2 * inner / ((1 - c * bb) * (1 - c * zz))
    safe = jnp.where(length > 0, length, 1.)
    return 2 * y * _asinhc(jnp.sqrt(c) * y / safe)
