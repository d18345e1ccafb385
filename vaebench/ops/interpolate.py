"""Paths and grids through a space of codes."""
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri


def lerp(a, b, t):
    """The straight line from a to b.

    Args:
      a, b: [..., Z].
      t: [T]; 0 gives a and 1 gives b.

    Returns:
      [T, ..., Z].

    >>> lerp(jnp.zeros(2), jnp.array([1., 2.]), jnp.array([0., .5])).tolist()
    [[0.0, 0.0], [0.5, 1.0]]
    """
    t = jnp.reshape(jnp.asarray(t), (-1, *[1] * jnp.ndim(a)))
    return (1 - t) * a + t * b


def slerp(a, b, t):
    """The great circle from a to b; codes of one norm keep it. Straight where there is no one circle.

    Differs from the usual arccos of the cosine: by the half-angle's tangent, exact for near codes in float32 too.

    Args:
      a, b: [..., Z]; straight where one is zero or the sine of their angle is below 1e-6.
      t: [T]; 0 gives a and 1 gives b.

    Returns:
      [T, ..., Z].

    References:
      Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985.

    >>> slerp(jnp.array([3., 0.]), jnp.array([0., 3.]), jnp.array([1 / 3])).round(2).tolist()
    [[2.5999999046325684, 1.5]]
    """
    def norm(x):
        return jnp.sqrt(jnp.maximum((x**2).sum(-1, keepdims=True), jnp.finfo(x.dtype).tiny))

    a, b = jnp.asarray(a), jnp.asarray(b)
    u, v = a / norm(a), b / norm(b)
    angle = 2 * jnp.arctan2(norm(u - v), norm(u + v))
    straight = (jnp.sin(angle) < 1e-6) | ~a.any(-1, keepdims=True) | ~b.any(-1, keepdims=True)
    sine = jnp.where(straight, 1, jnp.sin(angle))
    s = jnp.reshape(jnp.asarray(t), (-1, *[1] * a.ndim))
    return jnp.where(straight, lerp(a, b, t), jnp.sin((1 - s) * angle) / sine * a + jnp.sin(s * angle) / sine * b)


def span(n, low=-3., high=3.):
    """n values from low to high; arrays [D], such as the least and the largest code, give [D, n].

    >>> span(3).tolist()
    [-3.0, 0.0, 3.0]
    """
    return jnp.linspace(low, high, n, axis=-1)


def cycle(start, n, mean=0., std=1., least=.001):
    """Values that run through the quantiles of N(mean, std^2): from a start up, down and nearly back, at even steps.

    Args:
      start: [...] first values.
      n: how many.
      mean, std: [...].
      least: quantiles nearer to 0 or 1 are cut off.

    Returns:
      [..., n].

    References:
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations",
      2019, arXiv:1811.12359 (its code's traversals).

    >>> cycle(0., 4).round(2).tolist()
    [0.0, 3.0899999141693115, 0.0, -3.0899999141693115]
    """
    start, mean, std = (jnp.asarray(x, float)[..., None] for x in (start, mean, std))
    at = ndtr((start - mean) / std) + 2 * jnp.arange(n) / n
    at = jnp.where(at <= 1, at, jnp.abs(2 - at))
    return mean + std * ndtri(jnp.clip(at, least, 1 - least))


def aggregate_moments(mean, log_var):
    """Mean and standard deviation [Z] of every dimension of the aggregate posterior; couples the batch.

    Args:
      mean, log_var: [N, Z] of Gaussian posteriors.

    >>> [x.tolist() for x in aggregate_moments(jnp.array([[1.], [-1.]]), jnp.zeros((2, 1)))]
    [[0.0], [1.4142135381698608]]
    """
    return mean.mean(0), jnp.sqrt(jnp.exp(log_var).mean(0) + mean.var(0))


def by_rate(kl):
    """Dimensions [Z] by their mean KL [N, Z], the highest first.

    >>> by_rate(jnp.array([[.1, 2., .5]])).tolist()
    [1, 2, 0]
    """
    return jnp.argsort(-kl.mean(0), stable=True)


def traversal(z, values, dims=None):
    """Codes of which one dimension after the other takes given values, while the others stay as they are.

    Args:
      z: [..., Z] where to start.
      values: [S], or [D, S] for every dimension its own.
      dims: int [D]; None is all of them, in their order.

    Returns:
      [..., D, S, Z].

    >>> traversal(jnp.array([5., 6.]), jnp.array([0., 1.]), jnp.array([1])).tolist()
    [[[5.0, 0.0], [5.0, 1.0]]]
    """
    dims = jnp.arange(z.shape[-1]) if dims is None else jnp.asarray(dims)
    values = jnp.broadcast_to(values, (len(dims), jnp.shape(values)[-1]))
    own = dims[:, None, None] == jnp.arange(z.shape[-1])
    return jnp.where(own, values[..., None], z[..., None, None, :])


def direction(codes, has, others=()):
    """From the mean code without an attribute to the mean code with it.

    Args:
      codes: [N, Z].
      has: bool [N], some of them true and some not.
      others: [K, Z] directions of correlated attributes, to which the answer is made orthogonal.

    Returns:
      [Z]; `codes + s * direction` adds s times the attribute.

    >>> direction(jnp.array([[0., 1.], [2., 1.], [4., 1.]]), jnp.array([False, False, True])).tolist()
    [3.0, 0.0]
    """
    has = jnp.asarray(has, codes.dtype)[:, None]
    v = (has * codes).sum(0) / has.sum() - ((1 - has) * codes).sum(0) / (1 - has).sum()
    if not len(others):
        return v
    q = jnp.linalg.qr(jnp.asarray(others).T)[0]
    return v - q @ (q.T @ v)
