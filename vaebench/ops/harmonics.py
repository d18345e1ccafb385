"""Real spherical harmonics, how they turn, and the kernels that commute with rotations.

A feature of degree l is 2 l + 1 numbers that a rotation R of space multiplies by D_l(R). The
bases here are such that degree 1 is (x, y, z) and D_1(R) = R.
"""
import functools
import math
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

HIGHEST = 4
"""The highest degree of harmonics that there is."""


def polynomials(degree: int, x: Any, y: Any, z: Any) -> list[Any]:
    """Computes the 2 l + 1 homogeneous polynomials of a degree, whose squares sum to 1 on the
    sphere.

    Args:
      degree: l, 0 to `HIGHEST`.
      x, y, z: coordinates, arrays of any library.

    >>> polynomials(1, 2., 3., 6.)
    [2.0, 3.0, 6.0]
    """
    xx, yy, zz, root = x * x, y * y, z * z, math.sqrt
    if degree == 0:
        return [x * 0 + 1]
    if degree == 1:
        return [x, y, z]
    if degree == 2:
        return [root(3) * x * y, root(3) * y * z, (2 * zz - xx - yy) / 2, root(3) * x * z,
                root(3) / 2 * (xx - yy)]
    if degree == 3:
        return [root(5 / 8) * y * (3 * xx - yy), root(15) * x * y * z,
                root(3 / 8) * y * (4 * zz - xx - yy), z * (2 * zz - 3 * xx - 3 * yy) / 2,
                root(3 / 8) * x * (4 * zz - xx - yy), root(15) / 2 * z * (xx - yy),
                root(5 / 8) * x * (xx - 3 * yy)]
    around = xx + yy
    return [root(35) / 2 * x * y * (xx - yy), root(35 / 8) * y * z * (3 * xx - yy),
            root(5) / 2 * x * y * (6 * zz - around),
            root(5 / 8) * y * z * (4 * zz - 3 * around),
            (3 * around * around - 24 * around * zz + 8 * zz * zz) / 8,
            root(5 / 8) * x * z * (4 * zz - 3 * around),
            root(5) / 4 * (xx - yy) * (6 * zz - around), root(35 / 8) * x * z * (xx - 3 * yy),
            root(35) / 8 * (xx * xx - 6 * xx * yy + yy * yy)]


def _check_degree(degree):
    if not 0 <= degree <= HIGHEST:
        raise ValueError(f'degree {degree}: harmonics are of degree 0 to {HIGHEST}')


def spherical_harmonics(degree: int, x: jax.Array) -> jax.Array:
    """Computes real spherical harmonics of one degree, normalized so that |Y_l| = 1.

    Args:
      degree: l, 0 to `HIGHEST`.
      x: [..., 3] unit vectors; of others the harmonics are |x|^l as long.

    Returns:
      [..., 2 l + 1]; degree 1 is x itself.

    Raises:
      ValueError: there is no such degree here.

    >>> spherical_harmonics(2, jnp.array([0., 0., 1.])).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    _check_degree(degree)
    chex.assert_axis_dimension(x, -1, 3)
    return jnp.stack(polynomials(degree, *jnp.moveaxis(x, -1, 0)), -1)


def _points(degree: int) -> np.ndarray:
    """More unit vectors [M, 3] than harmonics of a degree, the same ones each time."""
    normal = np.random.default_rng(0).normal(size=(4 * (2 * degree + 1), 3))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _on_points(degree: int, points: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*polynomials(degree, *np.moveaxis(points, -1, 0))), -1)


def wigner_d(degree: int, rotation: np.ndarray) -> np.ndarray:
    """Finds the matrix D_l(R) with Y_l(R x) = D_l(R) Y_l(x), by least squares over points.

    Args:
      degree: l.
      rotation: [3, 3] R, orthogonal.

    Returns:
      float64 [2 l + 1, 2 l + 1], orthogonal.

    Raises:
      ValueError: there is no such degree here.

    >>> turn = np.array([[0., -1., 0.], [1., 0., 0.], [0., 0., 1.]])
    >>> bool(np.allclose(wigner_d(1, turn), turn))
    True
    """
    _check_degree(degree)
    points = _points(degree)
    before, after = (_on_points(degree, p) for p in (points, points @ np.asarray(rotation).T))
    return np.linalg.lstsq(before, after)[0].T


def _constraints(out: int, into: int, degree: int) -> np.ndarray:
    """The Gram matrix [M, M] of what Q is to fulfil at five rotations, M its entries."""
    total, size = 0., (2 * out + 1) * (2 * into + 1)
    draw = np.random.default_rng(0).normal(size=(5, 4))
    for rotation in Rotation.from_quat(draw).as_matrix():
        d_out, d_into, d = (wigner_d(l, rotation) for l in (out, into, degree))
        both = np.kron(np.kron(d_out, d_into), np.eye(2 * degree + 1))
        gap = both - np.kron(np.eye(size), d.T)
        total = total + gap.T @ gap
    return np.asarray(total)


@functools.cache
def clebsch_gordan(out: int, into: int, degree: int) -> np.ndarray:
    """Finds the coefficients Q with D_l Q(y) D_k^T = Q(D_J y), where Q(y) = sum_m Q_m y_m.

    They are unique but for a factor: the one null vector of the constraints at five rotations.
    The factor is such that the kernel sum_m Q_m Y_J,m(x) has a squared Frobenius norm of
    2 l + 1 for every unit vector x, so that it keeps the variance of features, and that its
    last entry that is not zero is positive for x = (0, 0, 1). Hence degrees (1, 1, 0) give the
    identity.

    Args:
      out: degree l of what a kernel makes.
      into: degree k of what it reads.
      degree: J, |k - l| to k + l.

    Returns:
      float64 [2 l + 1, 2 k + 1, 2 J + 1].

    Raises:
      ValueError: J is out of its range, or above `HIGHEST`.

    References:
      Fuchs, Worrall, Fischer, Welling, "SE(3)-Transformers: 3D Roto-Translation Equivariant
      Attention Networks", 2020, arXiv:2006.10503.

    >>> bool(np.allclose(clebsch_gordan(1, 1, 0)[..., 0], np.eye(3)))
    True
    """
    if not abs(out - into) <= degree <= out + into:
        raise ValueError(f'degrees {out} and {into} do not couple to {degree}')
    null = np.linalg.eigh(_constraints(out, into, degree))[1][:, 0]
    q: np.ndarray = null.reshape(2 * out + 1, 2 * into + 1, 2 * degree + 1)
    upwards = q @ _on_points(degree, np.array([0., 0., 1.]))
    told = upwards[np.abs(upwards) > 1e-6 * np.abs(upwards).max()][-1]
    return q * np.sign(told) * math.sqrt(2 * out + 1) / np.linalg.norm(upwards)


def couplings(out: int, into: int) -> range:
    """Gives the degrees J of the harmonics that couple two degrees.

    >>> list(couplings(1, 2))
    [1, 2, 3]
    """
    return range(abs(out - into), out + into + 1)


def _coefficients(pairs: Sequence[tuple[int, int]]) -> tuple[np.ndarray, list[int]]:
    """The bases of `kernel_bases` as a matrix [M, K] that harmonics of all degrees are
    multiplied by, and these degrees.
    """
    degrees = sorted({j for pair in pairs for j in couplings(*pair)})
    starts = np.cumsum([0, *(2 * j + 1 for j in degrees)])
    parts = []
    for out, into in pairs:
        basis = np.zeros((starts[-1], 2 * out + 1, 2 * into + 1, len(couplings(out, into))))
        for place, j in enumerate(couplings(out, into)):
            start = starts[degrees.index(j)]
            q = np.moveaxis(clebsch_gordan(out, into, j), -1, 0)
            basis[start:start + 2 * j + 1, ..., place] = q
        parts.append(basis.reshape(starts[-1], -1))
    return np.concatenate(parts, 1), degrees


def kernel_bases(pairs: Sequence[tuple[int, int]],
                 x: jax.Array) -> dict[tuple[int, int], jax.Array]:
    """Computes every kernel between two degrees that commutes with rotations, as a basis.

    For each kernel K(R x) = D_l(R) K(x) D_k(R)^T.

    Args:
      pairs: (degree l of what a kernel makes, degree k of what it reads), whose sums are at
        most `HIGHEST`.
      x: [..., 3] unit vectors.

    Returns:
      Pair -> [..., 2 l + 1, 2 k + 1, 2 min(k, l) + 1], one kernel for each J of `couplings`.

    >>> x = jnp.array([0., 0., 1.])
    >>> basis = kernel_bases([(1, 0)], x)[1, 0]
    >>> basis.shape, bool(jnp.allclose(basis[:, 0, 0], jnp.sqrt(3) * x, atol=1e-6))
    ((3, 1, 1), True)
    """
    matrix, degrees = _coefficients(pairs)
    seen = jnp.concatenate([spherical_harmonics(j, x) for j in degrees], -1)
    flat, out, start = seen @ jnp.asarray(matrix, x.dtype), {}, 0
    for l, k in pairs:
        shape = 2 * l + 1, 2 * k + 1, len(couplings(l, k))
        part = flat[..., start:start + math.prod(shape)]
        out[l, k] = part.reshape(*x.shape[:-1], *shape)
        start += math.prod(shape)
    return out
