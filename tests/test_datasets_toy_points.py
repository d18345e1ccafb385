"""Points: their laws against closed forms, scikit-learn's swiss roll and quadrature."""
import numpy as np
import pytest
from scipy import optimize, stats

from vaebench import datasets
from vaebench.datasets import toy_points
from vaebench.errors import UserError

MIXTURES = {'gaussians25': (25, .05 / 2.828), 'gaussians8': (8, .02 / 1.414)}
SHA256 = {
    'gaussians25': '0a945162a3ec429c7094d7effebd2e46293ed77ccadb4995d24309825213d965',
    'gaussians8': 'dbc260973eba0ccb31ff819d07dfe08df5ee502e77142df47537e9f340554994',
    'pinwheel': '0cd54930cbe3d484f4a29f86b675d649721da1f16d22243b1310dd106926926f',
    'swiss_roll': '47c1e3d38211a75db0de1f36cce0b8b0b4e85c6c0e52514bdc03ec64fb09c1bb',
    'swiss_roll_2d': '276266c5ff921b4794bbe094ad2c3c70da5e0198df9e864cbd63cd30de4ede12',
}


@pytest.mark.parametrize('name', SHA256)
def test_points_are_the_same_everywhere(name):
    d = datasets.load(name)
    assert d.name == name and d.schema['x'].kind == 'vector'
    x = d.splits['train']['x']
    assert d.schema['x'].shape == x.shape[1:] and x.dtype == np.float32
    assert d.source.sha256 == SHA256[name]
    short = datasets.load(name, examples=20, eval_examples=10)
    assert short.source.sizes == {'train': 20, 'valid': 10, 'test': 10}
    for split, part in short.splits.items():     # the first of more; splits differ
        for column, a in part.items():
            np.testing.assert_array_equal(a, d.splits[split][column][:len(a)])
    assert len({part['x'][:10].tobytes() for part in short.splits.values()}) == 3
    other = datasets.load(name, examples=20, eval_examples=10, seed=1)
    assert other.source.sha256 != short.source.sha256


@pytest.mark.parametrize('name', MIXTURES)
def test_mixtures(name):
    k, std = MIXTURES[name]
    d = datasets.load(name)
    modes = np.array(d.truth['modes'])
    assert modes.shape == (k, 2) and d.truth['std'] == std and d.schema['label'].size == k
    assert isinstance(d.truth['modes'], tuple) and isinstance(d.truth['modes'][0], tuple)
    np.testing.assert_allclose(modes.mean(0), 0, atol=1e-12)
    train = d.splits['train']
    n = len(train['x'])
    assert train['label'].dtype == np.int32 and train['log_p'].dtype == np.float32
    assert abs(np.bincount(train['label']) - n / k).max() < 4.5 * (n / k) ** .5
    noise = (train['x'] - modes[train['label']]) / std
    for a in (*noise.T, (noise ** 2).sum(1)):
        law = stats.norm if a.min() < 0 else stats.chi2(2)
        assert stats.kstest(a, law.cdf).pvalue > 1e-3
    assert abs(stats.pearsonr(*noise.T).statistic) < 4 / n ** .5
    within = ((noise ** 2).sum(1) < 9).mean()
    assert abs(within - (1 - np.exp(-4.5))) < 4 * (.011 / n) ** .5    # P(chi^2_2 < 9) = 98.9%
    # Far modes do not overlap, so that log p = -log k - log 2 pi s^2 - r^2 / 2, whose mean is
    # the entropy's.
    np.testing.assert_allclose(train['log_p'],
                               -np.log(k) - np.log(2 * np.pi * std**2) - (noise**2).sum(1) / 2,
                               atol=2e-4)
    assert abs(train['log_p'].mean() + np.log(k * 2 * np.pi * std ** 2) + 1) < 4 / n ** .5


def test_centers():
    grid, circle = (
        np.array(datasets.load(name, examples=1, eval_examples=1).truth['modes']) * scale / 2
        for name, scale in (('gaussians25', 2.828), ('gaussians8', 1.414)))
    np.testing.assert_allclose(grid, [[i, j] for i in range(-2, 3) for j in range(-2, 3)],
                               atol=1e-12)
    np.testing.assert_allclose(circle @ [1, 1j], np.exp(2j * np.pi * np.arange(8) / 8),
                               atol=1e-12)


def test_density_of_a_mixture():
    modes, std = [[0., 0.], [.3, .1], [-.2, .4]], .2
    x = np.random.default_rng(0).normal(size=(50, 2))
    want = np.log(np.mean([stats.multivariate_normal(m, std ** 2).pdf(x) for m in modes], 0))
    np.testing.assert_allclose(toy_points.log_p(x, modes, std), want, rtol=1e-10)
    side = np.linspace(-2, 2, 401)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    np.testing.assert_allclose(
        np.exp(toy_points.log_p(grid, modes, std)).sum() * 1e-4, 1, rtol=1e-8)
    # far off: no -inf
    assert np.isfinite(toy_points.log_p(np.full((1, 2), 1e3), modes, std)).all()


def test_swiss_roll_is_that_of_scikit_learn():
    from sklearn.datasets import make_swiss_roll
    d = datasets.load('swiss_roll')
    theirs, t = make_swiss_roll(1500, random_state=0)
    s = (t * np.sqrt(1 + t ** 2) + np.arcsinh(t)) / 2
    train = d.splits['train']
    for ours, other in ((train['x'][:, 0], theirs[:, 0]), (train['x'][:, 1], theirs[:, 1]),
                        (train['x'][:, 2], theirs[:, 2]), (train['arclength'], s)):
        assert stats.ks_2samp(ours, other).pvalue > 1e-3
    # On the sheet: the distance from the axis is the parameter t, whose arclength is by
    # quadrature the column's.
    radius = np.hypot(train['x'][:, 0], train['x'][:, 2]).astype(np.float64)
    path = np.linspace(0, radius, 2001)                          # [., N]
    np.testing.assert_allclose(train['arclength'],
                               np.trapezoid(np.sqrt(1 + path**2), path, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(train['height'], train['x'][:, 1])
    assert train['arclength'].dtype == train['height'].dtype == np.float32


def test_noise_is_added_to_the_points_alone():
    still, noisy = (datasets.load('swiss_roll', noise=noise).splits['train']
                    for noise in (0, .25))
    np.testing.assert_array_equal(still['arclength'], noisy['arclength'])
    np.testing.assert_array_equal(still['height'], noisy['height'])
    gap = (noisy['x'] - still['x']) / .25
    assert stats.kstest(gap.ravel(), stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(gap.T) - np.eye(3)).max() < 4 / 1500 ** .5


def test_spiral_is_the_roll_without_its_height():
    flat = datasets.load('swiss_roll_2d', noise=0, examples=1500).splits['train']['x']
    roll = datasets.load('swiss_roll').splits['train']['x']
    np.testing.assert_allclose(flat * 7.5, roll[:, [0, 2]], atol=2e-4)
    noisy = datasets.load('swiss_roll_2d', examples=1500).splits['train']['x']
    assert abs((noisy - flat).std() * 7.5 / .25 - 1) < 4 / (2 * 3000) ** .5


def wound(a, label, arms, rate):
    """Points a [N, 2] of arms in their places, by rotation matrices."""
    angle = 2 * np.pi * label / arms + rate * np.exp(a[:, 0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.einsum('ijn,nj->ni', turn, a)


def test_density_of_the_pinwheel_is_the_law_of_its_points():
    d = datasets.load('pinwheel')
    assert d.schema['label'].size == 4 and d.schema['log_p'].derived
    x, log_p = d.splits['train']['x'], d.splits['train']['log_p']
    density = lambda points: np.exp(toy_points.pinwheel_log_p(points, 4, (.3, .05), .25))
    np.testing.assert_allclose(np.exp(log_p), density(x), rtol=1e-5)
    width, side = .1, np.arange(-2.6, 2.6, .02) + .01
    grid = np.stack(np.meshgrid(side, side, indexing='ij'), -1).reshape(-1, 2)
    mass = density(grid).reshape(52, 5, 52, 5).sum((1, 3)) * .02**2
    assert abs(mass.sum() - 1) < 2e-5
    edge = np.linspace(-2.6, 2.6, round(5.2 / width) + 1)
    found = np.histogram2d(*x.T, [edge, edge])[0]
    assert found.sum() == len(x)
    often = mass * len(x) > 8
    seen, wanted = (np.append(a[often], a[~often].sum()) for a in (found, mass * len(x)))
    assert often.sum() > 100 and stats.chisquare(seen, wanted * len(x) / wanted.sum()).pvalue > 1e-3
    assert abs(np.bincount(d.splits['train']['label']) - 2500).max() < 4 * 2500**.5
    arm = d.splits['train']['label'] == 0                # the others are its turns by quarters
    turned = x[~arm] @ [1, 1j] * 1j ** -d.splits['train']['label'][~arm].astype(float)
    for part in (np.real, np.imag):
        assert stats.ks_2samp(part(turned), part(x[arm] @ [1, 1j])).pvalue > 1e-3


def test_density_of_a_folded_pinwheel_counts_every_point_that_falls_on_it():
    """Roots by Brent's method on a fine circle, determinants by differences."""
    arms, radial, tangential, rate = 3, .5, .4, .6
    rng, step = np.random.default_rng(0), 1e-6
    a = [1, 0] + rng.normal(size=(40, 2)) * [radial, tangential]
    x, want, several = wound(a, rng.integers(0, arms, 40), arms, rate), [], 0
    circle = np.linspace(-np.pi, np.pi, 4001)
    for point in x:
        r, terms = np.hypot(*point), []
        for k in range(arms):
            def off(b, k=k, r=r, point=point):
                at = wound(r * np.stack([np.cos(b), np.sin(b)], 1), k, arms, rate) @ [1, 1j]
                return np.angle(at / (point @ [1, 1j]))
            gap = off(circle)
            for i in np.flatnonzero((gap[1:] * gap[:-1] < 0) & (abs(gap[1:] - gap[:-1]) < 1)):
                b = optimize.brentq(lambda b, f=off: f(np.array([b]))[0], *circle[i:i + 2], xtol=1e-14)
                at = r * np.array([np.cos(b), np.sin(b)])
                near = wound(at + step * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]), k, arms, rate)
                slope = np.linalg.det(np.stack([near[0] - near[1], near[2] - near[3]])) / (4 * step**2)
                terms.append(stats.norm([1, 0], [radial, tangential]).pdf(at).prod() / abs(slope) / arms)
        want.append(np.log(sum(terms)))
        several += len(terms) > arms
    assert several > 5
    np.testing.assert_allclose(toy_points.pinwheel_log_p(x, arms, (radial, tangential), rate), want,
                               rtol=1e-4, atol=1e-5)


def test_a_pinwheel_without_a_turn_is_a_mixture_of_gaussians():
    x = np.random.default_rng(0).normal(size=(30, 2))
    want = np.log(np.mean([stats.multivariate_normal(m, .3**2).pdf(x)
                           for m in ([1, 0], [0, 1], [-1, 0], [0, -1])], 0))
    np.testing.assert_allclose(toy_points.pinwheel_log_p(x, 4, (.3, .3), 0.), want, rtol=1e-9)


@pytest.mark.parametrize('name,options,message', [
    ('pinwheel', {'arms': 0}, 'arms=0'),
    ('pinwheel', {'std': (.3, 0)}, r'std=\(0.3, 0\): two numbers above 0'),
    ('pinwheel', {'std': .3}, 'std=0.3: two numbers above 0'),
    ('pinwheel', {'rate': 1e6}, 'rate=1e.06: arms are wound up too tightly'),
    ('gaussians8', {'examples': 0}, 'examples=0'),
    ('gaussians25', {'eval_examples': 'many'}, "eval_examples='many'"),
    ('gaussians25', {'seed': -1}, 'seed=-1'),
    ('swiss_roll', {'noise': -1}, 'noise=-1: it must be at least 0'),
    ('swiss_roll', {'noise': 'much'}, "noise='much': a number is wanted"),
    ('swiss_roll_2d', {'noise': float('nan')}, 'noise=nan'),
    ('swiss_roll', {'n': 5}, "option of dataset 'swiss_roll': 'n'"),
])
def test_bad_options(name, options, message):
    with pytest.raises(UserError, match=message) as e:
        datasets.load(name, **options)
    assert '\n' not in str(e.value)
