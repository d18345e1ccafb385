"""Pictures of filters and of maps of a turned image: what is where in them."""
import jax
import jax.numpy as jnp
import numpy as np
import toys
from test_pictures import draw, images, pixels, put

from vaebench import networks, schema
from vaebench.datasets.transforms import quarter_turns
from vaebench.methods import METHODS
from vaebench.metrics import equivariance
from vaebench.report.figures import canvas, image_grid, symmetry

SIDE = 8
KEY = jax.random.key(0)


def view(kit):
    """A classifier that starts on a kit."""
    columns = {'x': schema.image((SIDE, SIDE, 1)), 'label': schema.label(3)}
    made = METHODS['classifier'].factory(
        networks.build(columns, {'name': kit, 'latent': 2, 'channels': (8, 8), 'pools': ()}), toys.recipe())
    x = np.random.default_rng(0).random((3, SIDE, SIDE, 1)).astype(np.float32)
    params, carry = jax.vmap(lambda k: made.init(k, {}))(jax.random.split(KEY))
    return toys.evaluator(made.evals, params, carry, [{'x': x}], KEY, symmetry=quarter_turns,
                          truth={'group': np.arange(1, 4)}), x


def test_views_of_a_network_on_quarter_turns():
    found, x = view('p4')
    arrays = equivariance.views(found)
    assert {k: v.shape for k, v in arrays.items()} == {
        'symmetry/x': (2, 4, SIDE, SIDE, 1), 'symmetry/filter': (2, 4, 3, 3, 4), 'symmetry/map': (2, 4, 6, 6, 4)}
    for g in range(4):
        turn = lambda a, g=g: np.rot90(a, g, (1, 2))
        np.testing.assert_array_equal(arrays['symmetry/x'][:, g], turn(np.stack([x[0]] * 2)))
        np.testing.assert_array_equal(arrays['symmetry/filter'][:, g], turn(arrays['symmetry/filter'][:, 0]))
        # maps of a turned image are turned, and change places
        moved = np.roll(turn(arrays['symmetry/map'][:, 0]), g, -1)
        np.testing.assert_allclose(arrays['symmetry/map'][:, g], moved, atol=1e-5)


def test_a_plain_network_has_one_view_and_other_methods_none():
    found, _ = view('z2')
    assert equivariance.views(found)['symmetry/filter'].shape == (2, 1, 3, 3, 8)
    del found.evals['filters']
    assert equivariance.views(found) == {}
    found, _ = view('p4')
    found.data = found.data._replace(symmetry=None)
    assert equivariance.views(found) == {}


def cell(size=4, channels=3):
    rng = np.random.default_rng(0)
    return {'symmetry/x': images(4, 8, 8), 'symmetry/filter': rng.normal(size=(size, 3, 3, channels)),
            'symmetry/map': rng.normal(size=(4, 6, 6, size))}


def test_filters_stand_in_rows_of_one_scale_each():
    arrays = cell()
    got = pixels(symmetry.filters(arrays, 'p4'))
    side = symmetry.SMALL // 3 + (symmetry.SMALL % 3 > 1)
    step = 3 * side + symmetry.GAP
    tile = lambda row, column: got[canvas.HEAD + row * step:, canvas.EDGE + column * step:][
        :3 * side:side, :3 * side:side, 0]
    for channel in range(3):
        w = arrays['symmetry/filter'][..., channel]
        for h in range(4):
            wanted = np.round(255 * (.5 + w[h] / (2 * np.abs(w).max())))
            np.testing.assert_allclose(tile(channel, h), wanted, atol=1)


def test_maps_stand_beside_their_image():
    arrays = cell()
    got = pixels(symmetry.feature_maps(arrays, 'p4'))
    times = image_grid.TILE // 8 + (image_grid.TILE % 8 > 3)
    size = 8 * times
    image = got[canvas.HEAD + size + 2:, canvas.EDGE:][:size:times, :size:times]
    np.testing.assert_array_equal(image, image_grid.to_rgb(arrays['symmetry/x'][1]))
    left = canvas.EDGE + size + 10
    first = got[canvas.HEAD:, left:][:size:times, :size:times, 0]
    assert (first[0] == 255).all() and (first[:, -1] == 255).all()         # no map at the border
    scale = np.abs(arrays['symmetry/map']).max()
    np.testing.assert_allclose(first[1:7, 1:7], np.round(255 * (.5 + arrays['symmetry/map'][0, ..., 0] / 2 / scale)),
                               atol=1)


def test_cells_without_a_symmetry_have_no_such_picture(tmp_path):
    assert symmetry.filters({'real/x': images(3)}, '') is None
    assert symmetry.feature_maps({'real/x': images(3)}, '') is None
    found = draw(put(tmp_path, p4=cell()), tmp_path / 'out')
    assert {name.split('.')[-2] for name in found} >= {'filters', 'feature_maps'}


def test_nothing_to_see_is_grey():
    assert (symmetry.signed(np.zeros((2, 3, 3))) == 128).all()
    assert (symmetry.signed(np.full((1, 2, 2), np.nan)) == 128).all()
    assert jnp.isfinite(symmetry.signed(np.ones((1, 1, 1)))).all()
