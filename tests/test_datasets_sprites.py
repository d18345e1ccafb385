"""Sprites against brute force, their symmetries, and the grid of their factors."""
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench import core, datasets, metrics, networks, schema
from vaebench.datasets import factors
from vaebench.datasets import sprites as module
from vaebench.errors import UserError

SMALL = {'levels': (3, 3, 6, 4, 5), 'size': 16}


def load(**options):
    return datasets.load('sprites', **options)


def drawn(data, rows):
    """Images [n, H, W] of factors [n, F]."""
    return np.asarray(data.decode(data.observe(rows))['x'])[..., 0]


def whole(data):
    return np.concatenate([data.splits[s]['factors'] for s in ('train', 'valid', 'test')])


def brute(row, levels, size):
    """One image from the formulas, pixel by pixel, as a complex plane."""
    shape, scale, turn, *place = row
    radius = .18 * size * (.5 + .5 * scale / (levels[1] - 1))
    step = [int(size * (1 - 2 * 1.425 * .18) / (n - 1)) for n in levels[3:]]
    x, y = (size / 2 + s * (k - (n - 1) / 2) for s, k, n in zip(step, place, levels[3:], strict=True))
    image = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            w = complex(j + .5 - x, y - i - .5) / radius * np.exp(-2j * math.pi * turn / levels[2])
            u, v = w.real, w.imag
            image[i, j] = (max(abs(u), abs(v)) <= 1, u * u + 4 * v * v <= 1,
                           (abs(w)**2 - 1)**3 <= u * u * v**3)[shape]
    return image


@pytest.mark.parametrize('levels, size, n', [((3, 3, 6, 4, 5), 16, 80), ((3, 6, 40, 32, 32), 64, 12)])
def test_images_are_those_of_the_formulas(levels, size, n):
    data = load(levels=levels, size=size, examples=n, eval_examples=1)
    rows = data.splits['train']['factors']
    assert set(rows[:, 0]) == {0, 1, 2}
    np.testing.assert_array_equal(drawn(data, rows), [brute(r, levels, size) for r in rows.tolist()])


def test_splits_are_the_whole_grid_once():
    data = load(**SMALL)
    rows, n = whole(data), math.prod(SMALL['levels'])
    assert data.source.sizes == {'train': n - 2 * (n // 10), 'valid': n // 10, 'test': n // 10}
    assert rows.shape == (n, 5) and set(data.splits['train']) == {'factors'} and rows.dtype == np.int8
    assert sorted(factors.row(rows, SMALL['levels'])) == list(range(n))
    np.testing.assert_array_equal(factors.grid(SMALL['levels'])[factors.row(rows, SMALL['levels'])], rows)
    few, other = load(**SMALL, examples=7, eval_examples=3), load(**SMALL, seed=1)
    for split, k in {'train': 7, 'valid': 3, 'test': 3}.items():
        np.testing.assert_array_equal(few.splits[split]['factors'], data.splits[split]['factors'][:k])
    assert (other.splits['train']['factors'] != data.splits['train']['factors']).any()
    assert len({d.source.sha256 for d in (data, few, other, load(levels=SMALL['levels'], size=20))}) == 4
    assert load(levels=(2, 2, 200, 2, 2), size=16).splits['train']['factors'].dtype == np.int32


def test_what_is_observed_is_what_training_reads():
    data = load(**SMALL)
    train = jax.tree.map(jnp.asarray, data.splits['train'])
    batch = jax.jit(lambda idx: core.take(train, idx, data.decode))(jnp.array([5, 0, 17]))
    np.testing.assert_array_equal(batch['x'][..., 0], drawn(data, train['factors'][np.array([5, 0, 17])]))
    assert batch['x'].dtype == jnp.float32 and batch['x'].shape[1:] == data.schema['x'].shape == (16, 16, 1)
    assert data.schema['factors'] == schema.factors(SMALL['levels'], module.NAMES)
    assert set(np.unique(batch['x'])) == {0, 1}
    for kit in ({'name': 'mlp', 'hidden': (4,)}, {'name': 'conv', 'channels': (2,)}):
        net = networks.build(data.schema, {'latent': 2, **kit}).encoder()
        assert net.apply(net.init(jax.random.key(0)), batch).last.shape[0] == 3


def test_metrics_see_any_combination_of_factors():
    data = load(**SMALL)

    def encode(params, carry, batch):
        return params['scale'] * batch['x'].reshape(len(batch['x']), -1)[:, ::5]

    trained = metrics.Trained({'encode': encode}, {'scale': jnp.array([1., 2.])}, {}, jax.random.key(0))
    view = metrics.Evaluator(trained, metrics.Data([data.splits['test']], data.schema, decode=data.decode,
                                                   observe=data.observe), metrics.Settings(batch=7))
    assert {'factors', 'x', 'observe'} <= view.data.names
    rows = np.random.default_rng(0).integers(0, SMALL['levels'], (20, 5))
    codes = drawn(data, rows).reshape(20, -1)[:, ::5]
    np.testing.assert_array_equal(view.codes_of(data.observe(rows)), [codes, 2 * codes])
    np.testing.assert_array_equal(view.field('x')[..., 0], drawn(data, view.field('factors')))


def test_turns_by_a_period_change_no_pixel():
    levels = (3, 2, 8, 2, 2)
    data = load(levels=levels, size=32)
    x = drawn(data, factors.grid(levels)).reshape(*levels, 32, 32)
    for shape, name in enumerate(module.SHAPES):
        turns = round(module.period(name) / (2 * np.pi / 8))
        np.testing.assert_array_equal(x[shape], np.roll(x[shape], turns, axis=1))
        for less in range(1, turns):           # and no smaller turn does, whatever the scale
            assert (x[shape] != np.roll(x[shape], less, axis=1)).any((0, 2, 3, 4, 5)).all()
    heart = x[2, 1, 0, 0, 0]
    assert (heart.sum(1) > 0).sum() > 5 and (heart[::-1] != np.roll(heart, 1, 0)).any()
    cut = heart[np.ix_(heart.any(1), heart.any(0))]
    np.testing.assert_array_equal(cut, cut[:, ::-1])         # upright, it has a left like its right
    assert (cut != cut[::-1]).any() and cut[-1].sum() < cut[0].sum() + cut[1].sum()


def test_no_shape_leaves_the_image_and_moves_are_shifts():
    levels = (3, 3, 5, 4, 3)
    data = load(levels=levels, size=16)
    x = drawn(data, factors.grid(levels)).reshape(*levels, 16, 16)
    area = x.sum((-1, -2))
    np.testing.assert_array_equal(area, np.broadcast_to(area[..., 1:2, 1:2], area.shape))
    step_x, step_y = 2, 3                                    # 7.8 free pixels in three steps, in two
    np.testing.assert_array_equal(x[..., 1:, :, :, :], np.roll(x, step_x, -1)[..., :-1, :, :, :])
    np.testing.assert_array_equal(x[..., 1:, :, :], np.roll(x, step_y, -2)[..., :-1, :, :])


def test_areas_are_those_of_the_shapes():
    levels = (3, 6, 3, 2, 2)
    data = load(levels=levels, size=128)
    area = drawn(data, factors.grid(levels)).reshape(*levels, -1).sum(-1)[..., 0, 0]
    assert (np.diff(area, axis=1) > 0).all()
    radius = .18 * 128 * np.linspace(.5, 1, 6)
    # the heart's width at height v from quadrature: (u^2 + v^2 - 1)^3 = u^2 v^3
    u, v = np.meshgrid(np.linspace(-1.5, 1.5, 1501), np.linspace(-1.5, 1.5, 1501))
    heart = ((u**2 + v**2 - 1)**3 <= u**2 * v**3).mean() * 9
    for got, one in zip(area, (4, np.pi / 2, heart), strict=True):
        # turned: upright, a whole side of the square is in or out at once
        np.testing.assert_allclose(got[:, 1:], np.stack([one * radius**2] * 2, 1), rtol=.03)
    np.testing.assert_array_equal(area[0, :, 0], (2 * np.round(radius))**2)
    reach = np.hypot(u, v)[(u**2 + v**2 - 1)**3 <= u**2 * v**3].max()
    assert 2**.5 < reach < module.REACH < reach + 3e-3


def test_a_factor_of_one_level_is_no_factor():
    data = load(levels=(2, 1, 4, 1, 3), size=24)
    assert data.schema['factors'] == schema.factors((2, 4, 3), ('shape', 'orientation', 'y'))
    assert whole(data).shape == (24, 3)
    full = load(levels=(2, 2, 4, 3, 3), size=24)              # the largest scale, in the middle
    rows = [[0, 1, 0], [1, 3, 2], [1, 2, 1]]
    np.testing.assert_array_equal(drawn(data, rows), drawn(full, [[s, 1, o, 1, y] for s, o, y in rows]))


@pytest.mark.parametrize('options, message', [
    ({'levels': (3, 6)}, 'five numbers are wanted'),
    ({'levels': 3}, 'levels=3: five numbers'),
    ({'levels': (4, 1, 1, 1, 1)}, 'levels of shape=4: there are square, ellipse, heart'),
    ({'levels': (1, 1, 1, 1, 1)}, 'some factor must have more than one level'),
    ({'levels': (3, 0, 4, 2, 2)}, 'levels of scale=0: it must be at least 1'),
    ({'levels': (3, 2, 2.5, 2, 2)}, 'levels of orientation=2.5: a whole number'),
    ({'size': 16}, 'levels of x=32: in 16 pixels there is room for 8 places .* fewer levels or a larger size'),
    ({'levels': (2, 1, 1, 1, 1)}, '2 rows: at least 3 are wanted'),
    ({'size': 0}, 'size=0'), ({'seed': -1}, 'seed=-1'), ({'examples': 0}, 'examples=0'),
    ({'colour': 1}, "option of dataset 'sprites': 'colour'"),
])
def test_options_that_cannot_be_are_one_line(options, message):
    with pytest.raises(UserError, match=message) as caught:
        load(**options)
    assert '\n' not in str(caught.value)
