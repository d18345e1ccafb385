"""The Poincare ball c |z|^2 < 1 of curvature -c; at c = 0 every function is its Euclidean limit.

Points and tangent vectors are coordinates [..., Z]. Lengths of tangent vectors are Euclidean: the hyperbolic length of
u at x is `conformal(x, c)` |u|, and 2 |u| at the origin. c is a number, Python or traced.
"""
import jax
import jax.numpy as jnp

from vaebench.ops import distributions

UNIT = {'pvae': 1., 'apo': 2.}
"""Hyperbolic length of one unit of a wrapped normal's noise. APo-VAE moves by lambda_0 / lambda_mu v: twice as far."""


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


def log_sinhc(r):
    """ln(sinh(r) / r) for r >= 0 without overflow.

    >>> [round(float(v), 4) for v in log_sinhc(jnp.array([0., 1., 1000.]))]
    [0.0, 0.1614, 992.3991]
    """
    small = r < .1
    safe = jnp.where(small, 1., r)
    return jnp.where(small, r**2 / 6 - r**4 / 180 + r**6 / 2835,
                     safe + jnp.log1p(-jnp.exp(-2 * safe)) - jnp.log(2 * safe))


def conformal(x, c):
    """lambda_x = 2 / (1 - c |x|^2), [..., 1]: hyperbolic length per Euclidean length at x."""
    return 2 / (1 - c * _square(x))


def clipped(x, c):
    """[...] whether `project` moves x or has moved it: it lies on the outermost shell or beyond."""
    return (jnp.sqrt(c) * _root(_square(x)) >= (1 - _margin(x.dtype)) * (1 - 1e-6))[..., 0]


def shorten(x, c, most):
    """x, pulled back to sqrt(c) |x| <= most.

    >>> shorten(jnp.array([3., 0.]), 4., 1.).tolist()
    [0.5, 0.0]
    """
    r = jnp.sqrt(c) * _root(_square(x))
    far = r > most
    return jnp.where(far, x * (most / jnp.where(far, r, 1.)), x)


def project(x, c):
    """x, pulled back to |x| <= (1 - margin) / sqrt(c); margin 4e-3 in float32, 1e-5 in float64.

    >>> [round(v, 4) for v in project(jnp.array([3., 0.]), 1.).tolist()]
    [0.996, 0.0]
    """
    return shorten(x, c, 1 - _margin(x.dtype))


def mobius_add(x, y, c):
    """x (+) y, which is x + y at c = 0; neither commutative nor associative.

    Args:
      x: [..., Z], in the ball.
      y: [..., Z], in the ball.
      c: minus the curvature.

    Returns:
      [..., Z], in the ball.

    References:
      Ungar, "A Gyrovector Space Approach to Hyperbolic Geometry", 2008.

    >>> [round(v, 4) for v in mobius_add(jnp.array([.5, 0.]), jnp.array([.5, 0.]), 1.).tolist()]
    [0.8, 0.0]
    """
    xy, xx, yy = (x * y).sum(-1, keepdims=True), _square(x), _square(y)
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c**2 * xx * yy)


def exp_map(x, u, c):
    """Where the geodesic that leaves x with velocity u arrives after unit time, kept off the rim.

    Args:
      x: [..., Z], in the ball.
      u: [..., Z], tangent at x.
      c: minus the curvature.

    Returns:
      [..., Z].
    """
    half = conformal(x, c) * u / 2
    return project(mobius_add(x, half * _tanhc(jnp.sqrt(c) * _root(_square(half))), c), c)


def exp0(u, c):
    """`exp_map` from the origin.

    >>> [round(v, 4) for v in exp0(jnp.array([1., 0.]), 1.).tolist()]
    [0.7616, 0.0]
    """
    return project(u * _tanhc(jnp.sqrt(c) * _root(_square(u))), c)


def log_map(x, y, c):
    """The velocity that leads from x to y in unit time: inverse of `exp_map`.

    Args:
      x: [..., Z], in the ball.
      y: [..., Z], in the ball.
      c: minus the curvature.

    Returns:
      [..., Z], tangent at x.
    """
    k = mobius_add(-x, y, c)
    return 2 / conformal(x, c) * k * _artanhc(jnp.sqrt(c) * _root(_square(k)))


def log0(y, c):
    """`log_map` from the origin.

    >>> bool(jnp.allclose(log0(exp0(jnp.array([1., .5]), 1.), 1.), jnp.array([1., .5]), atol=1e-5))
    True
    """
    return y * _artanhc(jnp.sqrt(c) * _root(_square(y)))


def transport0(x, v, c):
    """Parallel transport of v from the origin to x: (lambda_0 / lambda_x) v.

    Args:
      x: [..., Z], in the ball.
      v: [..., Z], tangent at the origin.
      c: minus the curvature.

    Returns:
      [..., Z], tangent at x.

    >>> transport0(jnp.array([.5, 0.]), jnp.ones(2), 1.).tolist()
    [0.75, 0.75]
    """
    return 2 / conformal(x, c) * v


def distance(x, y, c):
    """Hyperbolic distance; 2 |x - y| at c = 0.

    Args:
      x: [..., Z], in the ball.
      y: [..., Z], in the ball.
      c: minus the curvature.

    Returns:
      [...].

    >>> round(float(distance(jnp.zeros(2), jnp.array([.5, 0.]), 1.)), 4)
    1.0986
    """
    r = _root(_square(mobius_add(-x, y, c)))
    return (2 * r * _artanhc(jnp.sqrt(c) * r))[..., 0]


def offset_log_prob(t, scale, c):
    """Log density of a wrapped normal where its noise, in hyperbolic length, is t = lambda_mu log_mu(z).

    Args:
      t: [..., Z]; |t| is the distance from the mean.
      scale: broadcast against t; standard deviations in hyperbolic length.
      c: minus the curvature.

    Returns:
      [...], nats, with respect to the hyperbolic volume.
    """
    normal = distributions.normal_log_prob(t, 0., 2 * jnp.log(scale))
    return normal - (t.shape[-1] - 1) * log_sinhc(jnp.sqrt(c) * _root(_square(t)))[..., 0]


def wrapped_log_prob(z, mean, scale, c, convention='pvae'):
    """Log density of the wrapped normal of `wrapped_sample`; points beyond the rim are projected first.

    Args:
      z: [..., Z].
      mean: broadcast against z, in the ball.
      scale: broadcast against z.
      c: minus the curvature.
      convention: 'pvae' or 'apo'.

    Returns:
      [...], nats, with respect to the hyperbolic volume lambda_z^Z dz.

    References:
      Mathieu et al., "Continuous Hierarchical Representations with Poincare Variational Auto-Encoders", 2019,
      arXiv:1901.06033.
      Dai et al., "APo-VAE: Text Generation in Hyperbolic Space", 2021, arXiv:2005.00054.

    >>> round(float(wrapped_log_prob(jnp.zeros(2), jnp.zeros(2), jnp.ones(2), 1.)), 4)
    -1.8379
    """
    t = conformal(mean, c) * log_map(mean, project(z, c), c)
    return offset_log_prob(t, UNIT[convention] * scale, c)


def wrapped_sample(key, mean, scale, c, convention='pvae'):
    """Noise e ~ N(0, diag scale^2) moved to the mean and wrapped around the ball.

    Args:
      key: typed key.
      mean: [..., Z], in the ball.
      scale: broadcast against mean.
      c: minus the curvature.
      convention: 'pvae' lands at distance |e| from the mean, 'apo' at 2 |e|.

    Returns:
      [..., Z], kept off the rim.

    References:
      See `wrapped_log_prob`.

    >>> wrapped_sample(jax.random.key(0), jnp.full(2, .5), jnp.zeros(2), 1.).tolist()
    [0.5, 0.5]
    """
    noise = UNIT[convention] * scale * jax.random.normal(key, mean.shape, mean.dtype)
    return exp_map(mean, noise / conformal(mean, c), c)


def gyroplane(z, normal, offset, c):
    """Signed hyperbolic distance of z from K hyperplanes, times the length of their normals; 4 <a, z - b> at c = 0.

    Differs from the published layers in its parameters alone: both are tangent at the origin, hence Euclidean. The
    plane passes through exp_0(offset), and the normal is transported there.

    Args:
      z: [..., Z], in the ball.
      normal: [K, Z].
      offset: [K, Z].
      c: minus the curvature.

    Returns:
      [..., K].

    References:
      Ganea et al., "Hyperbolic Neural Networks", 2018, arXiv:1805.09112.

    >>> round(float(gyroplane(jnp.array([.5, 0.]), jnp.array([[1., 0.]]), jnp.zeros((1, 2)), 1.)[0]), 4)
    2.1972
    """
    b, length = exp0(offset, c), _root(_square(normal))[..., 0]
    bb, zz = _square(b)[..., 0], _square(z)
    # <k, a> and 1 - c |k|^2 of k = (-b) (+) z share a denominator, which cancels: two products, no [..., K, Z]
    inner = (1 - c * bb) * (z @ normal.T) - (1 - 2 * c * (z @ b.T) + c * zz) * (b * normal).sum(-1)
    y = 2 * inner / ((1 - c * bb) * (1 - c * zz))
    safe = jnp.where(length > 0, length, 1.)
    return 2 * y * _asinhc(jnp.sqrt(c) * y / safe)
