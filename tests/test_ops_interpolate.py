"""Paths and grids of codes: ends, norms, and what must not change."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

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
        np.testing.assert_allclose(way[[0, -1]], np.stack([a, b]), rtol=ulps * np.finfo(dtype).eps)
        np.testing.assert_allclose(path(b, a, T[::-1].astype(dtype)), way, rtol=2e-5, atol=1e-6)


def test_lerp_has_even_steps():
    a, b = ends()
    np.testing.assert_allclose(np.diff(interpolate.lerp(a, b, T), axis=0), np.broadcast_to((b - a) / 9, (9, 7, 4)),
                               rtol=1e-9, atol=1e-12)


def test_slerp_keeps_the_norm_and_turns_evenly():
    a, b = ends()
    a, b = (3 * x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    way = np.asarray(interpolate.slerp(a, b, T))
    np.testing.assert_allclose(np.linalg.norm(way, axis=-1), 3, rtol=1e-12)
    angle = np.arccos((a * b).sum(-1) / 9)
    np.testing.assert_allclose(np.arccos((way[1:] * way[:-1]).sum(-1) / 9), np.broadcast_to(angle / 9, (9, 7)),
                               rtol=1e-6)
    assert (np.linalg.norm(interpolate.lerp(a, b, T), axis=-1)[1:-1] < 3).all()      # the chord does not
    unequal = interpolate.slerp(np.array([2., 0.]), np.array([0., 1.]), [.5])
    np.testing.assert_allclose(unequal, [[np.sqrt(2), np.sqrt(.5)]], rtol=1e-12)     # Shoemake's form


def test_slerp_is_straight_where_there_is_no_one_circle():
    a = np.array([[1., 2.], [1., 2.], [0., 0.], [1., 0.]])
    b = np.array([[-1., -2.], [3., 6.], [1., 1.], [0., 0.]])       # opposite, along the same ray, from and to zero
    np.testing.assert_allclose(interpolate.slerp(a, b, T), interpolate.lerp(a, b, T), rtol=1e-12, atol=1e-12)


def test_slerp_of_near_codes_in_single_precision():
    a = np.float32([1., 0.])
    b = np.float32([np.cos(1e-4), np.sin(1e-4)])                   # the cosine of that is 1 in float32
    way = np.asarray(interpolate.slerp(a, b, np.float32([.25, .5])))
    np.testing.assert_allclose(way[:, 1], [.25e-4, .5e-4], rtol=1e-4)


def test_traversal_leaves_the_other_coordinates():
    z = np.random.default_rng(1).normal(size=(3, 4))
    grid = np.asarray(interpolate.traversal(z, interpolate.span(5)))
    assert grid.shape == (3, 4, 5, 4)
    for d in range(4):
        np.testing.assert_array_equal(grid[:, d, :, d], np.broadcast_to([-3, -1.5, 0, 1.5, 3], (3, 5)))
        others = np.arange(4) != d
        np.testing.assert_array_equal(grid[:, d][..., others], np.broadcast_to(z[:, None, others], (3, 5, 3)))
    some = interpolate.traversal(z[0], interpolate.span(5), np.array([2, 0]))
    np.testing.assert_array_equal(some, grid[0, [2, 0]])


def test_traversal_by_values_of_each_dimension():
    codes = np.random.default_rng(2).normal(size=(50, 3))
    values = interpolate.span(4, codes.min(0), codes.max(0))
    assert values.shape == (3, 4)
    grid = np.asarray(interpolate.traversal(codes[0], values))
    np.testing.assert_allclose(grid[1, [0, -1], 1], [codes[:, 1].min(), codes[:, 1].max()], rtol=1e-12)
    np.testing.assert_allclose([grid[d, :, d] for d in range(3)], values)


def test_cycle_goes_once_around_the_quantiles():
    start, n = np.array([.3, -1.]), 200
    values = np.asarray(interpolate.cycle(start, n, 1., 2.))
    assert values.shape == (2, n)
    np.testing.assert_allclose(values[:, 0], start, rtol=1e-9)
    at = stats.norm(1., 2.).cdf(values)
    step = np.abs(np.diff(at, axis=1))
    inner = (at[:, 1:] > .012) & (at[:, 1:] < .988) & (at[:, :-1] > .012) & (at[:, :-1] < .988)
    np.testing.assert_allclose(step[inner], 2 / n, rtol=1e-6)      # evenly, but for the turns
    assert (np.diff(at[:, :20], axis=1) > 0).all() and (np.diff(at[:, -10:], axis=1) > 0).all()
    np.testing.assert_allclose([at.min(), at.max()], [.001, .999], rtol=1e-3, atol=1e-3)


def test_aggregate_moments_are_those_of_draws():
    rng = np.random.default_rng(3)
    mean, log_var = rng.normal(size=(2, 40, 2))
    m, s = interpolate.aggregate_moments(jnp.asarray(mean), jnp.asarray(log_var))
    draws = mean + np.exp(log_var / 2) * rng.normal(size=(20000, 40, 2))
    np.testing.assert_allclose(m, draws.mean((0, 1)), atol=.01)
    np.testing.assert_allclose(s, draws.reshape(-1, 2).std(0), rtol=.01)


def test_dimensions_by_rate():
    kl = np.array([[.1, 3., .2, 3.], [.3, 1., .4, 1.]])
    assert interpolate.by_rate(kl).tolist() == [1, 3, 2, 0]


def test_direction_moves_the_attribute_and_nothing_correlated():
    rng = np.random.default_rng(4)
    has, other = rng.random((2, 4000)) < .5
    has = has | (other & (rng.random(4000) < .5))                  # correlated
    v, w = np.array([1., 0., 2.]), np.array([0., 3., 0.])
    codes = jnp.asarray(has[:, None] * v + other[:, None] * w + .01 * rng.normal(size=(4000, 3)))
    plain = np.asarray(interpolate.direction(codes, has))
    np.testing.assert_allclose(plain, codes[has].mean(0) - codes[~has].mean(0), rtol=1e-9)
    assert abs(plain[1]) > .3                                      # drags the other attribute along
    clean = np.asarray(interpolate.direction(codes, has, w[None]))
    np.testing.assert_allclose(clean, v, atol=.01)
    both = interpolate.direction(codes, has, np.stack([w, w + v]))
    np.testing.assert_allclose(np.stack([w, w + v]) @ both, 0, atol=1e-9)
