"""Pictures of points and codes: what is where, colors, densities, and labels apart."""
import numpy as np
import pytest
from scipy import stats
from test_pictures import REAL, autoencoder, images, points, words

from vaebench.report.figures import (
    aggregate_posterior,
    losses,
    samples,
    scatter,
    style,
)


def test_projector():
    x = np.random.default_rng(0).normal(size=(500, 4)) * [1, 9, .1, 3] + 5
    for d in (2, 3):
        np.testing.assert_array_equal(scatter.projector(x[:, :d])(x[:7, :d]), x[:7, :d])
    flat = scatter.projector(x)(x)
    assert flat.shape == (500, 2)
    np.testing.assert_allclose(flat, (x - x.mean(0))[:, [1, 3]], atol=2.)      # sign and all
    np.testing.assert_allclose(scatter.projector(x)(x[:3]), flat[:3])
    assert scatter.projector(x[:, :1])(x[:9, :1]).shape == (9, 2)


def test_samples_outside_are_counted():
    arrays = {'real/x': np.float32([[0, 0], [1, 1]]),
              'sample/x': np.float32([[.5, .5], [7, 0], [np.nan, 0]])}
    fig = scatter.data_and_samples(arrays, 'x')
    left, right = fig.axes
    assert left.get_xlim() == right.get_xlim() == (-.1, 1.1)
    assert left.get_ylim() == right.get_ylim()
    assert {'data (2)', 'samples (3; 2 of them outside)'} <= set(words(fig))
    np.testing.assert_array_equal(right.lines[0].get_xydata(), [[.5, .5]])


@pytest.mark.parametrize('d', [1, 3, 5])
def test_points_of_other_dimensions(d):
    arrays = points(d, **{'interpolation/x': np.zeros((3, 10, d)), 'codes': np.zeros((60, d))})
    assert len(scatter.data_and_samples(arrays, 'x').axes) == 2
    axes = samples.interpolations(arrays, 'x').axes[0]
    assert axes.name == ('3d' if d == 3 else 'rectilinear')


def test_codes_in_the_plane(monkeypatch):
    codes = np.float32(np.random.default_rng(0).normal(size=(50, 2)))
    codes[7] = np.nan
    rows, at, embedded = scatter.embed_in_plane(codes)
    assert not embedded and 7 not in rows and len(rows) == 49
    np.testing.assert_array_equal(at, np.float64(codes[rows]))
    assert scatter.embed_in_plane(codes[:, :1])[1].shape == (49, 2)
    assert not scatter.embed_in_plane(np.ones((50, 5)))[2]             # nothing to embed
    assert len(scatter.embed_in_plane(np.full((5, 3), np.nan))[0]) == 0
    monkeypatch.setattr(scatter, 'MAX_EMBEDDED', 40)
    two = np.repeat([0., 30.], 30)[:, None] + np.random.default_rng(0).normal(size=(60, 5))
    rows, at, embedded = scatter.embed_in_plane(two)
    assert embedded and len(rows) == 40 and (np.diff(rows) > 0).all()
    near, far = at[rows < 30], at[rows >= 30]
    between = np.linalg.norm(near.mean(0) - far.mean(0))
    assert between > 2 * np.linalg.norm(near - near.mean(0), axis=1).mean()
    again = scatter.embed_in_plane(two)
    np.testing.assert_array_equal(again[0], rows)
    np.testing.assert_array_equal(again[1], at)


def test_codes_are_colored():
    fig = scatter.latent_codes(autoencoder(n=40), 'x')
    (axes,) = fig.axes
    assert sorted(t.get_text() for t in axes.texts) == ['0', '1', '2'] and len(axes.lines) == 3
    assert sum(len(line.get_xdata()) for line in axes.lines) == 40
    arrays = {'real/x': points()['real/x'], 'codes': points()['real/x'],
              'arclength': np.linspace(0, 1, 60)}
    fig = scatter.latent_codes(arrays, 'x')
    assert len(fig.axes) == 2 and 'coloured by arclength' in words(fig)[1]
    del arrays['arclength']
    assert not scatter.latent_codes(arrays, 'x').axes[0].texts
    assert scatter.latent_codes({**arrays, 'codes': np.full((60, 2), np.nan)}, 'x') is None


def test_density_of_the_aggregate_posterior():
    rng, density = np.random.default_rng(0), aggregate_posterior.mixture_density
    grid, codes = np.stack([np.linspace(-3, 3, 7)] * 2), rng.normal(size=(30, 2))
    scale = rng.uniform(.1, 2, (30, 2))
    want = [[stats.norm.pdf(z, codes[:, d], scale[:, d]).mean() for z in line]
            for d, line in enumerate(grid)]
    np.testing.assert_allclose(density(grid, codes, scale), want)
    kernel = stats.gaussian_kde(codes[:, 0])                       # Scott's rule is its default
    means, width, what = aggregate_posterior.posterior_mixture({'codes': codes})
    assert what == aggregate_posterior.MEANS and width.shape == (1, 2)
    np.testing.assert_allclose(density(grid, means, width)[0], kernel(grid[0]))
    arrays = {'codes': codes, 'codes/draw': codes + 1}
    means, width, what = aggregate_posterior.posterior_mixture(arrays)
    assert what.startswith('one draw') and means.mean() == pytest.approx(codes.mean() + 1)
    codes[3] = np.nan
    arrays = {'codes': codes, 'codes/scale': scale, 'codes/draw': codes}
    means, width, what = aggregate_posterior.posterior_mixture(arrays)
    assert what.startswith('mixture') and len(means) == len(width) == 29
    np.testing.assert_array_equal(width[:3], scale[:3])


def test_kl_of_the_aggregate_posterior_from_the_prior():
    for mean, scale in ((0., 2.), (2., 1.), (-1., .1), (30., .5)):
        means, scales = np.full((50, 1), mean), np.full((50, 1), scale)
        grid = aggregate_posterior.density_grid(means, scales)
        kl = aggregate_posterior.kl_from_prior(grid, means, scales)
        want = (scale**2 + mean**2 - 1) / 2 - np.log(scale)
        np.testing.assert_allclose(kl, [want], rtol=1e-3)


def test_dimensions_are_in_the_order_of_their_kl():
    scale = np.ones((50, 20)) * np.linspace(1, 2, 20)
    arrays = {'codes': np.zeros((50, 20)), 'codes/scale': scale}
    fig = aggregate_posterior.aggregate_posterior(arrays, 'x')
    assert len(fig.axes) == 16
    assert '16 of 20 dimensions: mixture of the Gaussian posteriors' in words(fig)[1]
    kl = lambda s: (s * s - 1) / 2 - np.log(s)                     # of N(0, s^2) from N(0, 1)
    assert words(fig)[3] == f'z20: KL {kl(2):.3g} nats'
    assert words(fig)[4] == f'z19: KL {kl(scale[0, -2]):.3g} nats'
    prior = fig.axes[0].lines[1]
    np.testing.assert_allclose(prior.get_ydata(), stats.norm.pdf(prior.get_xdata()))
    alone = aggregate_posterior.aggregate_posterior({'codes': np.zeros((50, 1))}, 'x')
    assert 'KL of means' in words(alone)[3]
    nothing = {'codes': np.full((5, 2), np.nan)}
    assert aggregate_posterior.aggregate_posterior(nothing, 'x') is None


def overlap(boxes):
    """How many pairs of boxes share more than a pixel each way."""
    a, b = boxes[:, None], boxes[None]
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.triu((shared > 1).all(-1), 1).sum()


def test_class_numbers_are_apart_even_where_codes_collapse():
    codes = np.random.default_rng(0).normal(size=(500, 2))
    arrays = {'real/x': images(8), 'codes': codes, 'label': np.arange(500) % 25}
    fig = scatter.latent_codes(arrays, 'x')
    fig.draw_without_rendering()
    boxes = np.array([t.get_window_extent().extents for t in fig.axes[0].texts])
    assert len(boxes) == 25 and overlap(boxes + (2, 5, -2, -5)) == 0


NAME = 'A method with quite a long name (at most 99 inner steps)', ', seed 12'


@pytest.mark.parametrize(('make', 'args'), [
    *((make, (autoencoder(z=12), NAME)) for make in (
        samples.samples, samples.reconstructions, samples.interpolations, samples.traversals,
        losses.losses)),
    (scatter.latent_codes, (autoencoder(), NAME)),
    (aggregate_posterior.aggregate_posterior, (autoencoder(), NAME)),
    (aggregate_posterior.aggregate_posterior,
     ({'codes': np.random.default_rng(0).normal(size=(9, 17))}, NAME)),
    (scatter.data_and_samples, (points(), NAME)),
    (scatter.data_and_samples, ({**points(), 'sample/x': np.full((2000, 2), 99.)}, NAME)),
    (samples.overview, ([(NAME[0], images(12)), ('AE', images(12))], images(12), NAME[0],
                        ['PCA'] * 90)),
    (samples.overview, ([(NAME[0], REAL)] * 7, REAL, NAME[0], ['PCA'] * 90))])
def test_texts_are_inside_and_apart(make, args):
    with style.context():
        fig = make(*args)
        fig.draw_without_rendering()
        ticks = [t.label1 for a in fig.axes for axis in (a.xaxis, a.yaxis)
                 for low, high in [sorted(axis.get_view_interval())]
                 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        boxes = np.array([t.get_window_extent().extents for t in (*fig.texts, *ticks)
                          if t.get_text()])
    assert (boxes >= 0).all() and (boxes[:, 2] <= fig.bbox.width).all()
    assert (boxes[:, 3] <= fig.bbox.height).all()
    boxes = boxes[(boxes[:, 2] > boxes[:, 0])] + (0, 3, 0, -3)     # letters are less tall
    assert overlap(boxes) == 0
