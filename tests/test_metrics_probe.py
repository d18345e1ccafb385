"""The probes on codes whose classes are known."""
import jax
import numpy as np
import pytest
import toys

from vaebench.metrics import Settings, defined, entries, measure
from vaebench.metrics.probe import DRAWS, SIZES, accuracy, balanced, network

KEY = jax.random.key(0)
EVALS = {'encode': lambda params, carry, batch: batch['x'] * params['scale']}


def toy(n, classes=2, shift=4., seed=0):
    """Codes N(shift * class, 1) in the first of three directions, and labels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n).astype(np.int32)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    x[:, 0] += shift * label
    return {'x': x, 'label': label}


def view(train, test, scale=(1., -3.)):
    return toys.evaluator(EVALS, {'scale': np.float32(scale)}, {}, [test], KEY, Settings(batch=64), train=train)


def test_separable_and_noise():
    clear = measure(view(toy(700), toy(400, seed=1)), ['probe_100', 'probe_500', 'probe_1000'])
    assert (clear['probe_100'].value > 95).all() and (clear['probe_500'].value > 96).all()
    assert clear['probe_1000'] is None                                        # there are but 700
    noise = measure(view(toy(700, shift=0.), toy(400, shift=0., seed=1)), ['probe_500'])['probe_500']
    assert (abs(noise.value - 50) < 4 * 50 / np.sqrt(400)).all()
    np.testing.assert_allclose(clear['probe_100'].value[0], clear['probe_100'].value[1], atol=1e-6)    # standardised
    out = entries(clear, view(toy(9), toy(9)), 0)
    assert set(out) == {'probe_100', 'probe_500'}
    assert out['probe_100']['n'] == 400 and out['probe_100']['unit'] == '%'
    assert out['probe_100']['estimator'] == ('logistic regression on standardised posterior means, 100 balanced '
                                             'labels, mean and standard error over 5 draws of them')


def quadrants(n, seed):
    """Codes uniform on the square around 0, and whether they lie in its first or third quarter."""
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 2)).astype(np.float32)
    return {'x': x, 'label': (x[:, 0] * x[:, 1] > 0).astype(np.int32)}


def test_a_network_reads_what_no_line_divides():
    names = ['probe_500', 'probe_mlp_500']
    line, net = (measure(view(quadrants(500, 0), quadrants(300, 1), (1.,)), names)[n] for n in names)
    assert abs(line.value[0] - 50) < 12 and net.value[0] > 94
    assert net.estimator.id == 'network-100-500:draws-5' and net.estimator.startswith('network with 100 tanh')
    train, test = quadrants(500, 0), quadrants(300, 1)
    scores = [100 * accuracy(train['x'][at], train['label'][at], test['x'], test['label'], network) for at in (
        balanced(train['label'], np.random.default_rng(i)) for i in range(DRAWS))]
    np.testing.assert_allclose(net.value[0], np.mean(scores), rtol=1e-9)         # the same network every time


def test_mean_and_error_over_draws():
    train, test = toy(300, 3, 1.), toy(200, 3, 1., 1)
    v = measure(view(train, test, (1.,)), ['probe_100'])['probe_100']
    score = []
    for i in range(DRAWS):
        at = balanced(train['label'], np.random.default_rng(i))[:100]
        score.append(100 * accuracy(train['x'][at], train['label'][at], test['x'], test['label']))
    np.testing.assert_allclose(v.value[0], np.mean(score), rtol=1e-12)
    np.testing.assert_allclose(v.stderr[0], np.std(score, ddof=1) / np.sqrt(5), rtol=1e-9)
    assert v.stderr[0] > 0 and 100 / 3 < v.value[0] < 90
    more = measure(view(toy(3000, 3, 1.), test, (1.,)), ['probe_100', 'probe_2000'])
    alone = measure(view(toy(3000, 3, 1.), test, (1.,)), ['probe_2000'])
    np.testing.assert_allclose(more['probe_2000'].value, alone['probe_2000'].value, rtol=1e-12)      # codes are shared
    assert more['probe_2000'].stderr < more['probe_100'].stderr               # more labels, nearer draws


def test_draws_are_balanced():
    label = np.repeat([0, 1, 2], [500, 300, 20])
    a, b = (balanced(label, np.random.default_rng(i)) for i in (0, 1))
    assert sorted(a) == list(range(820)) and (a != b).any()
    assert np.bincount(label[a[:30]]).tolist() == [10, 10, 10]
    assert np.bincount(label[a[:31]]).max() == 11
    assert np.bincount(label[a[:120]]).tolist() == [50, 50, 20]               # the last class has no more
    within = [np.flatnonzero(label == 0)[0] in balanced(label, np.random.default_rng(i))[:300] for i in range(40)]
    assert 0 < sum(within) < 40                                               # chosen by chance inside a class


def test_codes_that_say_nothing():
    test = toy(50, seed=1)
    v = measure(view(toy(150), test, (0., np.nan)), ['probe_100'])['probe_100']
    assert abs(v.value[0] - 50) < 20 and np.isnan(v.value[1])                 # one class for all
    assert v.warning == [None, 'not finite for 5 of 5']


@pytest.mark.parametrize('name', [f'{kind}_{n}' for kind in ('probe', 'probe_mlp') for n in SIZES])
def test_needs_labels_on_both_sides(name):
    assert defined(name, {'encode'}, {'x', 'label', 'train/label'})
    assert not defined(name, {'encode'}, {'x', 'label'}) and not defined(name, {'encode'}, {'x', 'train/label'})
    assert not defined(name, {'score'}, {'x', 'label', 'train/label'})
    train = toy(150) | {'label': np.zeros(150, int)}
    assert measure(view(train, toy(9)), ['probe_100'])['probe_100'] is None   # one class teaches nothing
