"""Rotated digits: angles, splits, labels, and the symmetry that they have."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_datasets_mnist import load, tiny  # noqa: F401  fixtures

from vaebench import core
from vaebench.datasets import rotated
from vaebench.datasets.rotated import turned
from vaebench.datasets.transforms import quarter_turns


@pytest.mark.parametrize('side', [27, 28])
@pytest.mark.parametrize('turns', range(4))
def test_quarter_turns_are_exact(side, turns):
    image = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    np.testing.assert_array_equal(turned(image, turns * np.pi / 2), np.rot90(image, turns))


def test_turning_by_an_angle_and_a_quarter_is_turning_twice():
    image = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    once = turned(image, .7)
    assert np.abs(np.int32(turned(image, .7 + np.pi / 2)) - np.rot90(once)).max() <= 1     # rounding
    assert once[0, 0] == 0 and np.abs(np.int32(once) - image).max() > 50


def test_a_bar_lies_at_its_angle():
    bar = np.zeros((29, 29), np.uint8)
    bar[14] = 255
    rows, columns = np.nonzero(turned(bar, np.pi / 6) > 127)
    slope = np.polyfit(columns, -rows, 1)[0]                 # rows count downwards
    np.testing.assert_allclose(slope, np.tan(np.pi / 6), rtol=.02)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(rotated, 'SIZES', {'train': 12, 'valid': 6, 'test': 15})


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist'])
def test_splits_are_parts_of_one_order_and_smaller_ones_their_beginnings(load, tiny, small, name):      # noqa: F811
    path, every = tiny
    x, label, x_test, label_test = every[name]
    d = load(f'rotated_{name}', path)
    assert d.name == f'rotated_{name}' and d.source.sizes == {'train': 12, 'valid': 6, 'test': 15}
    source, labels = np.concatenate([x, x_test]), np.concatenate([label, label_test])
    angles = 2 * np.pi * np.random.default_rng([2007, 1]).random(35)
    order = np.random.default_rng([2007, 0]).random(35).argsort(kind='stable')
    start = 0
    for split, n in d.source.sizes.items():
        rows = order[start:start + n]
        own = d.splits[split]
        assert own['label'].tolist() == labels[rows].tolist()
        wanted = np.stack([turned(source[i], angles[i]) for i in rows])
        np.testing.assert_array_equal(np.round(255 * own['x'][..., 0]), wanted)
        start += n
    less = load(f'rotated_{name}', path, examples=5, eval_examples=3)
    assert less.source.sizes == {'train': 5, 'valid': 3, 'test': 3}
    np.testing.assert_array_equal(less.splits['test']['x'], d.splits['test']['x'][:3])


def test_few_labels_are_data_of_the_same_identity(load, tiny, small, monkeypatch):       # noqa: F811
    monkeypatch.setattr(rotated, 'SIZES', {'train': 33, 'valid': 1, 'test': 1})
    whole, few = (load('rotated_mnist', tiny[0], labels=n) for n in (None, 10))
    assert whole.source.sha256 == few.source.sha256
    batch = core.take(few.splits['train'], jnp.arange(33))
    assert len(np.unique(np.asarray(batch['partner']['x']), axis=0)) == 10


def test_symmetry_turns_images_and_leaves_the_rest(load, tiny, small):      # noqa: F811
    d = load('rotated_mnist', tiny[0])
    assert d.symmetry is quarter_turns and d.truth['group'].tolist() == [1, 2, 3]
    batch = {**d.splits['test'], 'weight': np.ones(15)}
    for g in d.truth['group']:
        moved = jax.jit(d.symmetry)(jnp.int32(g), batch)
        np.testing.assert_array_equal(moved['x'], np.rot90(batch['x'], g, (1, 2)))
        np.testing.assert_array_equal(moved['label'], batch['label'])
