"""Pictures of clustered and of sparse codes: whose density is where, what is on, and by which numbers."""
import csv
import io

import numpy as np
import pytest
from scipy import stats
from test_pictures import autoencoder, words
from test_results import fake, metric

from vaebench import files
from vaebench.experiment import results
from vaebench.report import figures
from vaebench.report.figures import class_density, sparsity, style


@pytest.fixture(autouse=True)
def context():
    with style.context():
        yield


def test_shares_are_the_classes_parts_of_the_density():
    rng = np.random.default_rng(0)
    means, scales, label = rng.normal(size=(6, 2)), .5 + rng.random((6, 2)), np.array([0, 0, 0, 0, 4, 4])
    grid = np.stack([np.linspace(-2, 2, 5), np.linspace(-1, 3, 5)])
    got = class_density.shares(grid, means, scales, label)
    at = [[[x, y] for x in grid[0]] for y in grid[1]]
    for part, own in zip(got, (slice(0, 4), slice(4, 6)), strict=True):
        each = [stats.norm(m, s).pdf(at).prod(-1) for m, s in zip(means[own], scales[own], strict=True)]
        np.testing.assert_allclose(part, np.sum(each, 0) / 6, rtol=1e-12)


def test_the_plane_has_the_colors_of_its_classes():
    """Two round clusters: each is its class's color in the middle, and all else is white."""
    codes = np.repeat([[-1., 0.], [1., 0.]], 50, 0)
    codes = codes + .001 * np.random.default_rng(0).normal(size=codes.shape)
    arrays = {'codes': codes, 'codes/scale': np.full((100, 2), .1), 'label': np.repeat([3, 7], 50)}
    fig = class_density.class_density(arrays, 'VAE')
    assert {'3', '7', 'VAE'} <= set(words(fig)) and 'Gaussian posteriors' in words(fig)[-1]
    axes, = fig.axes
    picture, (left, right, low, high) = axes.images[0].get_array(), axes.images[0].get_extent()
    side = len(picture)
    at = lambda x, y: picture[int((y - low) / (high - low) * side), int((x - left) / (right - left) * side)]
    np.testing.assert_allclose(at(-1, 0), [0, 0, 0], atol=.05)                          # the first color is black
    np.testing.assert_allclose(at(1, 0), np.array([0, 0x72, 0xb2]) / 255, atol=.05)
    np.testing.assert_allclose(at(0, 0), 1, atol=1e-3)


@pytest.mark.parametrize('change', [{'label': np.zeros(39, int)}, {'label': np.linspace(0, 1, 40)},
                                    {'label': np.arange(40)}, {'codes': np.full((40, 2), np.nan)}])
def test_no_picture_of_classes_without_them(change):
    arrays = {**autoencoder(), **change}
    assert class_density.class_density(arrays, 'x') is None is sparsity.activation({**autoencoder(4), **change}, 'x')


def test_activation_is_the_mean_size_of_codes_by_class():
    rng = np.random.default_rng(0)
    codes, label = rng.normal(size=(90, 70)), np.arange(90) % 3
    codes[:, 5] = .001
    codes[label == 1, 8] = -4
    axes = sparsity.activation({'codes': codes, 'label': label}, 'VAE').axes[0]
    got = np.asarray(axes.images[0].get_array())
    assert got.shape == (3, 64)
    small = set(np.argsort(-np.abs(codes).mean(0))[64:])
    kept = [d for d in range(70) if d not in small]
    assert 5 in small and 8 in kept
    want = np.stack([np.abs(codes[label == k]).mean(0) for k in range(3)])[:, kept]
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert got[1, kept.index(8)] == 4
    assert [t.get_text() for t in axes.get_yticklabels()] == ['0', '1', '2']


def put(folder, rows):
    """Results of {row: (hp, its sparsity in two seeds)}."""
    for order, (row, (hp, values)) in enumerate(rows.items()):
        for seed, value in enumerate(values):
            config = {'row': row, 'hp': hp}
            results.write(folder, fake(row, seed, order=order, config=config, config_hash=files.config_hash(config),
                                       metrics={'hoyer': metric(value)}), {'codes': np.zeros((3, 2))})
    return figures.collect_cells([folder])[0]['toy']


def test_sparsity_by_the_numbers_of_the_prior(tmp_path):
    rows = {f'{g}_{a}': ({'gamma': g, 'alpha': a, 'beta': 1.}, (g + a / 1000, g + a / 1000 + .01))
            for g in (0., .8) for a in (0., 100.)}
    cells = put(tmp_path / 'a', {**rows, 'vae': ({'beta': 1.}, (.3, .3))})
    drawn = sparsity.render(cells)
    assert drawn.name == 'sparsity' and '2 shares' in drawn.alt and 'from 0.00 to 0.91' in drawn.alt
    read = list(csv.DictReader(io.StringIO(drawn.files['csv'].decode())))
    assert [(float(r['gamma']), float(r['alpha']), float(r['hoyer']), int(r['seed'])) for r in read] == [
        (g, a, pytest.approx(g + a / 1000 + .01 * s), s) for g in (0., .8) for a in (0., 100.) for s in (0, 1)]
    assert figures.of_cells(cells)[-1].files == drawn.files
    assert sparsity.render(put(tmp_path / 'b', {'vae': rows['0.0_0.0'], 'other': ({}, (.1,))})) is None
    assert sparsity.render([]) is None
