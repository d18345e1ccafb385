"""Maps of the plane: their equations, what is drawn, and how images move."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.ops import homography

IDENTITY = np.array([1., 0., 0., 0., 1., 0., 0., 0.])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def keys(n):
    return jax.random.split(jax.random.key(0), n)


@pytest.mark.parametrize('seed', range(5))
def test_corners_go_where_they_are_sent(seed):
    start = homography.corners(32)
    end = start + np.random.default_rng(seed).uniform(-6, 6, (4, 2))
    np.testing.assert_allclose(homography.apply(homography.solve(start, end), start), end, atol=1e-10)


def test_the_identity_is_eight_numbers():
    square = homography.corners(32)
    np.testing.assert_allclose(homography.solve(square, square), IDENTITY, atol=1e-12)
    x = jnp.asarray(np.random.default_rng(0).random((7, 7, 2)))
    np.testing.assert_allclose(homography.warp(x, jnp.asarray(IDENTITY)), x, atol=1e-12)


def test_a_line_stays_a_line():
    t = homography.solve(homography.corners(9), homography.corners(9) + np.array([[1., 2], [0, -1], [-2, 1], [2, 0]]))
    a, b, c = homography.apply(t, jnp.array([[1., 1.], [3., 4.], [5., 7.]]))
    (ax, ay), (bx, by) = b - a, c - a
    np.testing.assert_allclose(ax * by - ay * bx, 0, atol=1e-9)


@pytest.mark.parametrize('r', range(4))
def test_quarter_turns_of_the_corners_turn_the_image(r):
    square = homography.corners(6)
    t = homography.solve(square, jnp.roll(square, -r, 0))       # a pixel is read at the next corner
    x = jnp.asarray(np.random.default_rng(0).random((6, 6, 1)))
    np.testing.assert_allclose(homography.warp(x, t), np.rot90(x, r), atol=1e-9)


def test_beyond_the_border_is_nothing():
    x = jnp.ones((5, 5, 1))
    moved = homography.warp(x, jnp.array([1., 0., 2., 0., 1., 0., 0., 0.]))[..., 0]
    np.testing.assert_allclose(moved, np.repeat([[1., 1., 1., 0., 0.]], 5, 0), atol=1e-12)


def test_projective_maps_are_of_their_ranges():
    side = 32
    maps = jax.vmap(lambda k: homography.draw_projective(k, side))(keys(300))
    square, middle = homography.corners(side), (side - 1) / 2
    ends = jax.vmap(lambda t: homography.apply(t, square))(maps) - middle
    # 15.5 with shifts of up to 4, times 0.8 to 1.2
    assert np.abs(ends).max() <= 1.2 * 19.5 + 1e-9 and np.abs(ends).min() >= .8 * 11.5 - 1e-9
    # where the first corner goes tells the turn: each is as likely
    quarter = np.stack([ends[:, 0, 0] > 0, ends[:, 0, 1] > 0], 1)
    _, count = np.unique(quarter, axis=0, return_counts=True)
    assert len(count) == 4 and count.min() > 45


def test_affine_maps_are_of_their_ranges():
    side = 32
    maps = np.asarray(jax.vmap(lambda k: homography.draw_affine(k, side))(keys(300)))
    assert (maps[:, 6:] == 0).all()
    linear = maps[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
    scale = np.sqrt(np.linalg.det(linear))                     # a shear keeps areas
    assert .7 <= scale.min() < .75 and 1.25 < scale.max() <= 1.3
    middle = np.full(2, (side - 1) / 2)
    away = linear @ middle + maps[:, [2, 5]] - middle
    assert np.abs(away).max() <= side / 5 + 1e-9 and np.abs(away).max() > .15 * side
    angle = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])       # the first axis is not sheared
    assert angle.min() < -3 and angle.max() > 3


def test_numbers_of_about_one_scale():
    maps = jax.vmap(lambda k: homography.draw_projective(k, 32))(keys(500))
    spread = np.asarray(homography.standardized(maps, 32)).std(0)
    assert spread.min() > .2 and spread.max() < 2
    np.testing.assert_allclose(homography.standardized(jnp.array([0., 0., 16., 0., 0., 36., 0., .015]), 32),
                               [0, 0, 0, 0, 0, 1, 0, 1], atol=1e-12)


@pytest.mark.parametrize('call', [
    lambda: homography.apply(jnp.zeros(6), jnp.zeros((4, 2))),
    lambda: homography.solve(jnp.zeros((3, 2)), jnp.zeros((3, 2))),
    lambda: homography.warp(jnp.zeros((4, 5, 1)), jnp.zeros(8))])
def test_shapes_are_asserted(call):
    with pytest.raises(AssertionError):
        call()
