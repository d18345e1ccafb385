"""Paths and grids of codes: ends, norms, and what must not change."""
import jax
import numpy as np
import pytest

from vaebench.ops import interpolate


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def ends(seed=0, shape=(7, 4)):
    return np.random.default_rng(seed).normal(size=(2, *shape))


T = np.linspace(0, 1, 10)


@pytest.mark.parametrize('path, ulps', [(interpolate.lerp, 0), (interpolate.slerp, 2)])
def test_paths_begin_and_end_where_they_should(path, ulps):
    for dtype in (np.float32, np.float64):
        a, b = ends().astype(dtype)
        way = np.asarray(path(a, b, T.astype(dtype)))
        assert way.shape == (10, 7, 4) and way.dtype == dtype
        tolerance = ulps * np.finfo(dtype).eps
        np.testing.assert_allclose(way[[0, -1]], np.stack([a, b]), rtol=tolerance)
        back = path(b, a, T[::-1].astype(dtype))
        np.testing.assert_allclose(back, way, rtol=2e-5, atol=1e-6)


def test_lerp_has_even_steps():
    a, b = ends()
    steps, want = np.diff(interpolate.lerp(a, b, T), axis=0), np.tile((b - a) / 9, (9, 1, 1))
    np.testing.assert_allclose(steps, want, rtol=1e-9, atol=1e-12)


def test_slerp_keeps_the_norm_and_turns_evenly():
    a, b = ends()
    a, b = (3 * x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    way = np.asarray(interpolate.slerp(a, b, T))
    np.testing.assert_allclose(np.linalg.norm(way, axis=-1), 3, rtol=1e-12)
    angle = np.arccos((a * b).sum(-1) / 9)
    turns = np.arccos((way[1:] * way[:-1]).sum(-1) / 9)
    np.testing.assert_allclose(turns, np.tile(angle / 9, (9, 1)), rtol=1e-6)
    chord = interpolate.lerp(a, b, T)
    assert (np.linalg.norm(chord, axis=-1)[1:-1] < 3).all()
    unequal = interpolate.slerp(np.array([2., 0.]), np.array([0., 1.]), np.array([.5]))
    np.testing.assert_allclose(unequal, [[np.sqrt(2), np.sqrt(.5)]], rtol=1e-12)   # Shoemake's


def test_slerp_is_straight_where_there_is_no_one_circle():
    a = np.array([[1., 2.], [1., 2.], [0., 0.], [1., 0.]])
    b = np.array([[-1., -2.], [3., 6.], [1., 1.], [0., 0.]])
    # opposite, along the same ray, from zero, and to zero
    way, line = interpolate.slerp(a, b, T), interpolate.lerp(a, b, T)
    np.testing.assert_allclose(way, line, rtol=1e-12, atol=1e-12)


def test_slerp_of_near_codes_in_single_precision():
    a = np.float32([1., 0.])
    b = np.float32([np.cos(1e-4), np.sin(1e-4)])      # the cosine of that is 1 in float32
    way = np.asarray(interpolate.slerp(a, b, np.float32([.25, .5])))
    np.testing.assert_allclose(way[:, 1], [.25e-4, .5e-4], rtol=1e-4)


def test_traversal_leaves_the_other_coordinates():
    z = np.random.default_rng(1).normal(size=(3, 4))
    grid = np.asarray(interpolate.traversal(z, interpolate.span(5)))
    assert grid.shape == (3, 4, 5, 4)
    for d in range(4):
        np.testing.assert_array_equal(grid[:, d, :, d], np.tile([-3, -1.5, 0, 1.5, 3], (3, 1)))
        others = np.arange(4) != d
        want = np.tile(z[:, None, others], (1, 5, 1))
        np.testing.assert_array_equal(grid[:, d][..., others], want)
    some = interpolate.traversal(z[0], interpolate.span(5), np.array([2, 0]))
    np.testing.assert_array_equal(some, grid[0, [2, 0]])


def test_traversal_by_values_of_each_dimension():
    codes = np.random.default_rng(2).normal(size=(50, 3))
    values = interpolate.span(4, codes.min(0), codes.max(0))
    assert values.shape == (3, 4)
    grid = np.asarray(interpolate.traversal(codes[0], values))
    ends = codes[:, 1].min(), codes[:, 1].max()
    np.testing.assert_allclose(grid[1, [0, -1], 1], ends, rtol=1e-12)
    np.testing.assert_allclose([grid[d, :, d] for d in range(3)], values)
