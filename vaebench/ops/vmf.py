"""The von Mises-Fisher law on the unit sphere of R^d; kappa and d >= 2 are Python numbers."""
import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

REACH = 8.            # standard deviations that the table of angles covers
POINTS = 4097         # of that table


def _log_hyp(b, kappa):
    """ln 0F1(b; kappa^2 / 4): positive terms only, exact where Bessel functions underflow."""
    if kappa == 0:
        return 0.
    k = np.arange(int(kappa) + 100)
    terms = (2 * k * math.log(kappa / 2) - special.gammaln(k + 1) - special.gammaln(b + k)
             + special.gammaln(b))
    total: Any = special.logsumexp(terms)
    return float(total)


def _assert_law(kappa, d):
    """A concentration and a dimension."""
    chex.assert_scalar_non_negative(kappa)
    chex.assert_scalar_positive(d - 1)


def log_area(d: int) -> float:
    """Computes the log of the surface of the unit sphere in R^d.

    >>> round(log_area(2) - math.log(2 * math.pi), 12)
    0.0
    """
    chex.assert_scalar_positive(d - 1)
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


def log_normalizer(kappa: float, d: int) -> float:
    """Computes what `kappa mu.z` lacks to be the log density, in nats; -ln(area) at kappa 0."""
    _assert_law(kappa, d)
    return -log_area(d) - _log_hyp(d / 2, kappa)


def mean_cosine(kappa: float, d: int) -> float:
    """Computes E[z.mu] = I_{d/2}(kappa) / I_{d/2-1}(kappa).

    >>> round(mean_cosine(13., 32), 6)
    0.356931
    """
    _assert_law(kappa, d)
    return kappa / d * math.exp(_log_hyp(d / 2 + 1, kappa) - _log_hyp(d / 2, kappa))


def kl(kappa: float, d: int) -> float:
    """Computes KL(vMF(mu, kappa) || uniform), which does not depend on mu.

    The published implementations print the value of dimension d + 2.

    Args:
      kappa: concentration, at least 0.
      d: dimension of the space, not of the sphere.

    Returns:
      Python float, nats.

    References:
      Xu and Durrett, "Spherical Latent Spaces for Stable Variational Autoencoders", 2018,
      arXiv:1808.10805.

    >>> round(kl(13., 32), 6)
    2.172591
    """
    return kappa * mean_cosine(kappa, d) - _log_hyp(d / 2, kappa)


def log_prob(z: jax.Array, mean: jax.Array, kappa: float) -> jax.Array:
    """Computes the log density with respect to the surface.

    Args:
      z: [..., d], on the sphere.
      mean: [..., d], on the sphere, broadcast against z.
      kappa: concentration.

    Returns:
      [...], nats.

    >>> round(float(log_prob(jnp.array([1., 0.]), jnp.array([0., 1.]), 0.)), 4)
    -1.8379
    """
    chex.assert_shape(z, (..., None))
    chex.assert_equal_shape_suffix([z, mean], 1)
    chex.assert_type([z, mean], float)
    return kappa * (z * mean).sum(-1) + log_normalizer(kappa, z.shape[-1])


def angles(kappa: float, d: int) -> np.ndarray:
    """Tabulates the angle between a draw and the mean by standard normal numbers.

    The angle's density, e^(kappa cos a) sin(a)^(d-2), has no pole at any d >= 2, unlike the
    cosine's. As a function of a normal number its quantiles are smooth, so that a table needs
    no search.

    Args:
      kappa: concentration, at least 0.
      d: dimension of the space.

    Returns:
      float64 [POINTS] angles at equally spaced normal numbers from -REACH to REACH.
    """
    _assert_law(kappa, d)
    grid = math.pi * np.sin(np.linspace(0, math.pi / 2, 2**17 + 1))**2      # dense at the ends

    def log_density(a):
        with np.errstate(divide='ignore'):
            sine = np.abs(np.sin(a)) if d > 2 else np.ones_like(a)
            return kappa * (np.cos(a) - 1) + (d - 2) * np.log(sine)

    ends, middle = log_density(grid), log_density((grid[1:] + grid[:-1]) / 2)
    top = ends.max()
    ends, middle = np.exp(ends - top), np.exp(middle - top)
    cells = (ends[:-1] + 4 * middle + ends[1:]) * np.diff(grid)
    below, above = np.cumsum(cells), np.cumsum(cells[::-1])[::-1]
    below, above = below[:-1] / below[-1], above[1:] / above[0]         # at inner points
    normal = np.where(below < .5, special.ndtri(below), -special.ndtri(above))
    keep = np.flatnonzero(np.isfinite(normal))
    keep = keep[np.r_[True, np.diff(normal[keep]) > 0]]
    return np.interp(np.linspace(-REACH, REACH, POINTS), normal[keep], grid[1:-1][keep])


def sample(key: jax.Array, mean: jax.Array, table: jax.Array | np.ndarray) -> jax.Array:
    """Draws from the law; gradients reach `mean`, the angle has none.

    Args:
      key: [] typed key.
      mean: [..., d], on the sphere.
      table: [POINTS], from `angles`.

    Returns:
      [..., d], on the sphere.

    >>> z = sample(jax.random.key(0), jnp.eye(3), jnp.asarray(angles(5., 3)))
    >>> bool(jnp.allclose((z**2).sum(-1), 1, atol=1e-6))
    True
    """
    chex.assert_rank(key, 0)
    chex.assert_shape([mean, table], [(..., None), (POINTS,)])
    chex.assert_type([mean, table], float)
    noise = jax.random.normal(key, (*mean.shape[:-1], mean.shape[-1] + 1), mean.dtype)
    place = jnp.clip((noise[..., 0] + REACH) / (2 * REACH), 0, 1) * (POINTS - 1)
    low = jnp.minimum(place.astype(int), POINTS - 2)
    table = jnp.asarray(table, mean.dtype)
    angle = table[low] + (place - low) * (table[low + 1] - table[low])
    across = noise[..., 1:]
    across = unit(across - (across * mean).sum(-1, keepdims=True) * mean)
    return jnp.cos(angle)[..., None] * mean + jnp.sin(angle)[..., None] * across


def unit(x: jax.Array) -> jax.Array:
    """Scales x to unit length; where x is zero it gives the first axis.

    Args:
      x: [..., d].

    Returns:
      [..., d], on the sphere.

    >>> np.float64(unit(jnp.array([[3., 4.], [0., 0.]]))).round(4).tolist()
    [[0.6, 0.8], [1.0, 0.0]]
    """
    chex.assert_shape(x, (..., None))
    chex.assert_type(x, float)
    square = (x**2).sum(-1, keepdims=True)
    zero = square < 1e-30
    x = jnp.where(zero, jnp.zeros_like(x).at[..., 0].set(1.), x)
    return x * jax.lax.rsqrt(jnp.where(zero, 1., square))


def uniform(key: jax.Array, n: int, d: int) -> jax.Array:
    """Draws from the uniform law on the sphere.

    Args:
      key: [] typed key.
      n: number of draws.
      d: dimension of the space.

    Returns:
      [n, d].
    """
    chex.assert_rank(key, 0)
    return unit(jax.random.normal(key, (n, d)))
