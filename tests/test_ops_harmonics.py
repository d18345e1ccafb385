"""Spherical harmonics, how they turn, and kernels that commute with rotations."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from vaebench.ops import harmonics

PAIRS = [(out, into) for out in range(3) for into in range(3)]
TURNS = Rotation.from_quat(np.random.default_rng(7).normal(size=(4, 4))).as_matrix()


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def directions(n, seed=1):
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def basis(out, into, x):
    return np.asarray(harmonics.kernel_bases([(1, 1), (out, into)], jnp.asarray(x))[out, into])


def real_harmonics(degree, x):
    """SciPy's, real, of norm 1 and in the order -l .. l; of degree 1 that is (y, z, x)."""
    theta, phi = np.arccos(x[:, 2]), np.arctan2(x[:, 1], x[:, 0])
    out = []
    for m in range(-degree, degree + 1):
        y = np.sqrt(4 * np.pi / (2 * degree + 1)) * sph_harm_y(degree, abs(m), theta, phi)
        part = y.real if m >= 0 else y.imag
        out.append((-1.) ** m * part * (np.sqrt(2) if m else 1.))
    return np.stack(out, 1)


@pytest.mark.parametrize('degree', range(harmonics.HIGHEST + 1))
def test_harmonics_are_scipys(degree, x64):
    x = directions(50)
    found = np.asarray(harmonics.spherical_harmonics(degree, jnp.asarray(x)))
    wanted = real_harmonics(degree, x)
    order = [2, 0, 1] if degree == 1 else range(2 * degree + 1)
    np.testing.assert_allclose(found, wanted[:, order], atol=1e-12)
    np.testing.assert_allclose((found**2).sum(1), 1, atol=1e-13)


def test_harmonics_are_orthogonal_over_the_sphere(x64):
    """By a rule that is exact for their products: Gauss and Legendre in z, even steps around it."""
    z, weight = np.polynomial.legendre.leggauss(6)
    angle = 2 * np.pi * np.arange(12) / 12
    around = np.sqrt(1 - z**2)[:, None]
    x = np.stack([around * np.cos(angle), around * np.sin(angle), z[:, None] + 0 * angle], -1)
    share = np.broadcast_to(weight[:, None] / 24, x.shape[:2]).ravel()
    every = np.concatenate([harmonics.spherical_harmonics(l, jnp.asarray(x.reshape(-1, 3)))
                            for l in range(5)], 1)
    lengths = np.repeat([1 / (2 * l + 1) for l in range(5)], [2 * l + 1 for l in range(5)])
    np.testing.assert_allclose((every * share[:, None]).T @ every, np.diag(lengths), atol=1e-13)


@pytest.mark.parametrize('degree', range(harmonics.HIGHEST + 1))
def test_wigner_matrices_are_a_representation(degree, x64):
    first, second = (harmonics.wigner_d(degree, r) for r in TURNS[:2])
    np.testing.assert_allclose(first @ second, harmonics.wigner_d(degree, TURNS[0] @ TURNS[1]),
                               atol=1e-12)
    np.testing.assert_allclose(first @ first.T, np.eye(2 * degree + 1), atol=1e-12)
    x = directions(20)
    turned = harmonics.spherical_harmonics(degree, jnp.asarray(x @ TURNS[0].T))
    still = np.asarray(harmonics.spherical_harmonics(degree, jnp.asarray(x)))
    np.testing.assert_allclose(turned, still @ first.T, atol=1e-12)
    if degree == 1:
        np.testing.assert_allclose(first, TURNS[0], atol=1e-13)


@pytest.mark.parametrize('out, into', PAIRS)
def test_coefficients_are_unique(out, into):
    for degree in harmonics.couplings(out, into):
        values = np.linalg.eigvalsh(harmonics._constraints(out, into, degree))
        assert abs(values[0]) < 1e-12
        assert len(values) == 1 or values[1] > .1


@pytest.mark.parametrize('out, into', PAIRS)
def test_kernels_commute_with_rotations(out, into, x64):
    x = directions(10)
    still = basis(out, into, x)
    assert still.shape == (10, 2 * out + 1, 2 * into + 1, 2 * min(out, into) + 1)
    np.testing.assert_allclose((still**2).sum((1, 2)), 2 * out + 1, atol=1e-12)
    flat = np.moveaxis(still, -1, 1).reshape(10, still.shape[-1], -1)      # a basis: independent
    assert all(np.linalg.matrix_rank(k) == still.shape[-1] for k in flat)
    for turn in TURNS:
        turned = basis(out, into, x @ turn.T)
        d_out, d_into = (harmonics.wigner_d(l, turn) for l in (out, into))
        np.testing.assert_allclose(turned, np.einsum('pr,nrsJ,qs->npqJ', d_out, still, d_into),
                                   atol=1e-12)


def test_kernels_between_vectors_are_the_three_known_ones(x64):
    x = directions(6)
    same, cross, outer = np.moveaxis(basis(1, 1, x), -1, 0)
    np.testing.assert_allclose(same, np.broadcast_to(np.eye(3), same.shape), atol=1e-12)
    v = np.array([.3, -1., 2.])
    np.testing.assert_allclose(cross @ v, np.sqrt(1.5) * np.cross(x, v), atol=1e-12)
    wanted = np.einsum('np,nq->npq', x, x) - np.eye(3) / 3
    np.testing.assert_allclose(outer, np.sqrt(4.5) * wanted, atol=1e-12)
    np.testing.assert_allclose(basis(1, 0, x)[..., 0, 0],
                               np.sqrt(3) * x, atol=1e-12)


def test_harmonics_and_coefficients_are_e3nns(x64):
    e3nn = pytest.importorskip('e3nn_jax')
    x = jnp.asarray(directions(40))
    for degree in range(harmonics.HIGHEST + 1):
        theirs = np.asarray(e3nn.spherical_harmonics(
            f'{degree}{"eo"[degree % 2]}', e3nn.IrrepsArray('1o', x), True, normalization='norm').array)
        ours = np.asarray(harmonics.spherical_harmonics(degree, x))
        change = np.linalg.lstsq(ours, theirs)[0]        # of the basis: orthogonal
        np.testing.assert_allclose(ours @ change, theirs, atol=1e-6)
        np.testing.assert_allclose(change @ change.T, np.eye(2 * degree + 1), atol=1e-6)
    theirs = np.asarray(e3nn.clebsch_gordan(1, 1, 2))    # vectors are (x, y, z) there too
    ours = harmonics.clebsch_gordan(1, 1, 2)
    gram = np.einsum('pqm,pqn->mn', ours, ours)
    np.testing.assert_allclose(gram, gram[0, 0] * np.eye(5), atol=1e-12)
    span = lambda q: np.linalg.qr(q.reshape(9, 5))[0]
    np.testing.assert_allclose(np.linalg.svd(span(ours).T @ span(theirs))[1], 1, atol=1e-6)


@pytest.mark.parametrize('call', [
    lambda: harmonics.spherical_harmonics(5, jnp.ones(3)), lambda: harmonics.wigner_d(-1, np.eye(3)),
    lambda: harmonics.clebsch_gordan(1, 1, 3)])
def test_degrees_that_there_are_not(call):
    with pytest.raises(ValueError, match='degree'):
        call()
