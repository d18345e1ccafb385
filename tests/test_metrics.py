"""Metrics against closed forms, enumeration and quadrature."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.special import logsumexp
from scipy.stats import norm

from vaebench.errors import UserError
from vaebench.metrics import METRICS, Settings, defined, entries, measure, validator
from vaebench.metrics.draws import fold
from vaebench.metrics.importance import importance, log_weights
from vaebench.metrics.latent import aggregate_to_prior, prior_to_aggregate
from vaebench.metrics.likelihood import FLOOR

KEY = jax.random.key(3)
LOG_2PI = float(np.log(2 * np.pi))


@pytest.fixture(autouse=True, scope='module')
def quick():
    """Compilation is the cost of these tests, not speed."""
    before = jax.config.read('jax_disable_most_optimizations')
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', before)


def normal(x, mean, std):
    """log N(x; mean, std^2), elementwise."""
    return -0.5 * ((x - mean) / std)**2 - jnp.log(std) - 0.5 * LOG_2PI


def gaussian(posterior, log_lik, **more):
    """Evals of a model with q = (mean, std), leaves [B, Z], and prior N(0, I)."""
    def sample_q(params, carry, q, key):
        return q[0] + q[1] * jax.random.normal(key, q[0].shape)

    dims = lambda params, carry, q, z: normal(z, *q)
    return {
        'posterior': posterior, 'sample_q': sample_q, 'log_lik': log_lik, 'log_q_dims': dims,
        'log_q': lambda *a: dims(*a).sum(-1),
        'log_prior': lambda params, carry, z: normal(z, 0., 1.).sum(-1),
        'encode': lambda params, carry, batch: posterior(params, carry, batch)[0], **more
    }


def closed(params, carry, q):
    return 0.5 * (q[0]**2 + q[1]**2 - 1 - 2 * jnp.log(q[1])).sum(-1)


def linear(width=1., **more):
    """x = z + noise of std params['s']; q is the exact posterior with its std stretched by
    `width`. Z = 2.
    """
    def posterior(params, carry, batch):
        v = params['s']**2
        return batch['x'] / (1 + v), width * jnp.broadcast_to(jnp.sqrt(v / (1 + v)),
                                                              batch['x'].shape)

    def log_lik(params, carry, z, batch):
        return normal(batch['x'], z, params['s']).sum(-1)

    return gaussian(posterior, log_lik, **more)


S2 = {'s': jnp.array([0.5, 1.])}         # two seeds


def data(n=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


def fixed(means, stds, **more):
    """Posteriors read from the data, whatever the parameters; likelihood 1."""
    bucket = {'mean': np.float32(means), 'std': np.float32(stds)}
    evals = gaussian(lambda params, carry, batch: (batch['mean'], batch['std']),
                     lambda params, carry, z, batch: 0. * z.sum(-1), **more)
    return evals, bucket


def view(evals, buckets, params=S2, key=KEY, **settings):
    return toys.evaluator(evals, params, {}, buckets, key,
                Settings(**{'samples': 20, 'chunk': 8, 'batch': 4, **settings}))


@functools.cache
def base():
    """A view with the default cuts: seven points, q half as wide again as the exact
    posterior."""
    return view(linear(1.5), [{'x': data()}])


def test_exact_posterior_has_no_variance():
    x = data()
    v = view(linear(), [{'x': x}])
    exact = np.stack([-norm.logpdf(x, 0, np.sqrt(1 + s**2)).sum(-1) for s in (0.5, 1.)])
    nll, ess = v.weights
    np.testing.assert_allclose(nll, exact, atol=2e-5)
    np.testing.assert_allclose(ess, 20, rtol=1e-6)
    out = measure(v, ['nll_iw', 'ess', 'elbo'])
    np.testing.assert_allclose(out['nll_iw'].value, exact.mean(-1), atol=2e-5)
    np.testing.assert_allclose(out['nll_iw'].stderr,
                               exact.std(-1, ddof=1) / np.sqrt(7), rtol=1e-5)
    assert out['nll_iw'].estimator == 'importance sampling, S=20'
    assert (out['nll_iw'].n, out['nll_iw'].samples, out['nll_iw'].warning) == (7, 20, None)
    assert (out['elbo'].estimator, out['elbo'].note) == ('1 sample', 'KL at the same sample')
    # also without variance
    np.testing.assert_allclose(out['elbo'].value, exact.mean(-1), atol=2e-5)


def test_closed_kl_keeps_a_spread_at_the_exact_posterior():
    x = np.repeat(data(1), 400, 0)
    v = view(linear(kl=closed), [{'x': x}], batch=100)
    exact = -norm.logpdf(x[0], 0, np.sqrt(1 + 0.25)).sum()
    out = measure(v, ['elbo', 'rec', 'kl'])
    assert (out['elbo'].estimator, out['elbo'].note) == ('1 sample', None)
    assert (out['kl'].estimator, out['kl'].samples) == ('closed form', None)
    assert v.terms['rec'][0].std() > 0.1
    assert abs(out['elbo'].value[0] - exact) < 4 * out['elbo'].stderr[0]
    np.testing.assert_allclose(out['kl'].value[0],
                               closed(0, 0, (x[0] / 1.25, np.sqrt([0.2, 0.2]))), rtol=1e-5)
    np.testing.assert_allclose(out['elbo'].value, out['rec'].value + out['kl'].value,
                               rtol=1e-12)


def test_one_sample_is_the_monte_carlo_bound():
    v = view(linear(1.5), [{'x': data()}], samples=1)
    np.testing.assert_allclose(v.weights[0],
                               np.float64(v.terms['rec']) + v.terms['kl'], atol=2e-6)
    np.testing.assert_allclose(v.weights[1], 1.)


def test_more_samples_lower_the_bound():
    evals, params, x = linear(3.), {'s': 0.5}, np.repeat(data(1), 300, 0)
    q, batch = evals['posterior'](params, {}, {'x': x}), {'x': x}
    log_w = jax.jit(lambda: log_weights(evals, params, {}, q, batch,
                                        fold(KEY, np.arange(300), np.arange(100))))().T
    nll = np.array([importance(log_w[:, :s])[0].mean() for s in (1, 3, 10, 100)])
    assert np.all(np.diff(nll) < -0.02), nll
    assert abs(nll[-1] + norm.logpdf(x[0], 0, np.sqrt(1 + 0.25)).sum()) < 0.05


@pytest.mark.parametrize('settings', [{'batch': 3, 'chunk': 1}, {'batch': 7, 'chunk': 20}])
def test_batch_and_chunk_change_nothing(settings):
    a, b = base(), view(linear(1.5), [{'x': data()}], **settings)
    np.testing.assert_array_equal(a.draws, b.draws)
    for left, right in ((a.terms['rec'], b.terms['rec']), (a.terms['kl'], b.terms['kl']),
                        (a.weights[0], b.weights[0]), (a.weights[1], b.weights[1])):
        # programs differ in rounding alone
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


def test_buckets_and_padding_change_nothing():
    def log_lik(params, carry, z, batch):
        step = jnp.arange(batch['x'].shape[1])
        return jnp.where(step < batch['length'][:, None],
                         normal(batch['x'], z[:, :1], params['s']), 0.).sum(-1)

    def posterior(params, carry, batch):
        return batch['x'][:, :1] / 2, jnp.full_like(batch['x'][:, :1], 0.9)

    evals, rng = gaussian(posterior, log_lik), np.random.default_rng(1)
    length = np.array([2, 4, 1, 4, 3, 2])
    x = np.where(np.arange(4) < length[:, None], rng.normal(size=(6, 4)), 0.).astype(np.float32)
    one = view(evals, [{'x': x, 'length': length}])
    rows = [np.array([3, 1, 4]), np.array([5, 0, 2])]
    two = view(evals, [{'x': x[r][:, :w], 'length': length[r], 'index': r}
                       for r, w in zip(rows, (4, 2), strict=True)])
    wide = view(evals, [{'x': np.pad(x, ((0, 0), (0, 5))), 'length': length}])
    for other in (two, wide):
        np.testing.assert_array_equal(one.draws, other.draws)
        np.testing.assert_allclose(one.terms['rec'], other.terms['rec'], rtol=1e-6)
        np.testing.assert_allclose(one.weights[0], other.weights[0], rtol=1e-6)
        a, b = (measure(v, ['ppl_iw', 'ppl_elbo', 'mi_full', 'au']) for v in (one, other))
        for name in a:
            np.testing.assert_allclose(a[name].value, b[name].value, rtol=1e-5, err_msg=name)
    np.testing.assert_array_equal(two.field('length'), length)
    with pytest.raises(ValueError, match='twice'):
        view(evals, [{'x': x, 'index': np.zeros(6, int)}])


def test_seeds_and_subsets_keep_their_numbers():
    x, evals = data(), linear(1.5)
    both = view(evals, [{'x': x}], key=jnp.stack([KEY, jax.random.key(9)]))
    some = view(evals, [{'x': x[[5, 2]], 'index': np.array([5, 2])}], {'s': S2['s'][1:]},
                jax.random.key(9))
    np.testing.assert_allclose(both.weights[0][1:, [2, 5]], some.weights[0], rtol=1e-6)
    np.testing.assert_array_equal((both.draws - base().draws)[0], 0.)
    assert np.abs((both.draws - base().draws)[1]).min() > 1e-4
    noise = (base().draws - base().codes) / base().states[1]
    # one key: the seeds share their noise
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-5)


def test_enumerable_code():
    # lik[z, x]
    prior, lik = np.array([.5, .3, .2]), np.array([[.7, .2, .1], [.1, .6, .3], [.2, .2, .6]])
    # q[x, z]
    q = np.full((3, 3), 1 / 3) * .5 + .5 * np.eye(3)

    def pick(table, *at):
        return jnp.log(jnp.float32(table))[at]

    code = lambda z: z[:, 0].astype(int)
    evals = {
        'posterior': lambda params, carry, batch: jnp.log(jnp.float32(q))[batch['x']],
        'sample_q': lambda params, carry, q, key: jax.random.categorical(
            key, q)[:, None].astype(jnp.float32),
        'log_q': lambda params, carry, q, z: jnp.take_along_axis(q,
                                                                 code(z)[:, None], 1)[:, 0],
        'log_prior': lambda params, carry, z: pick(prior, code(z)),
        'log_lik': lambda params, carry, z, batch: pick(lik, code(z), batch['x'])
    }
    v = toys.evaluator(evals, {}, {}, [{'x': np.repeat(np.arange(3), 40)}], KEY,
             Settings(samples=2000, chunk=500, batch=120))
    nll = v.weights[0].reshape(3, 40)
    exact = -np.log(prior @ lik)
    assert np.abs(nll - exact[:, None]).max() < 0.1
    np.testing.assert_allclose(nll.mean(-1), exact, atol=0.01)
    w = (prior[:, None] * lik).T / q                                    # [x, z]
    np.testing.assert_allclose(v.weights[1].reshape(3, 40).mean(-1),
                               2000 * (q * w).sum(1)**2 / (q * w**2).sum(1), rtol=0.02)
    # The code's information is known too: sum p(x) q(z|x) ln q(z|x) / q(z).
    mi = measure(v, ['mi_full'])['mi_full']
    truth = (q / 3 * np.log(q / q.mean(0))).sum()
    assert abs(mi.value[0] - truth) < 4 * mi.stderr[0]


def test_effective_sample_size_of_known_weights():
    nll, ess = importance(
        np.log([[1., 1., 1., 1.], [1e-30, 1., 1e-30, 1e-30], [3., 1., 0.5, 0.5]]))
    np.testing.assert_allclose(ess, [4., 1., 25 / 10.5])
    np.testing.assert_allclose(np.exp(-nll), [1., .25, 1.25])
    nll, _ = importance(np.array([-2000., -2000.]))
    assert nll == 2000.
    nll, ess = importance(np.full(3, -np.inf))
    assert nll == np.inf and np.isnan(ess)


def test_degenerate_weights_are_named():
    evals = gaussian(
        lambda params, carry, batch: (batch['x'], jnp.ones_like(batch['x'])),
        lambda params, carry, z, batch: normal(batch['x'] + params['away'], z, .3).sum(-1))
    v = toys.evaluator(evals, {'away': jnp.array([3., 0.])}, {}, [{'x': data()}], KEY,
             Settings(samples=100, chunk=50, batch=7))
    out = measure(v, ['ess', 'nll_iw', 'elbo'])
    median = np.median(v.weights[1], -1)
    assert median[0] < FLOOR < median[1] and out['elbo'].warning is None
    assert out['ess'].warning == out['nll_iw'].warning and out['ess'].warning[1] is None
    assert out['ess'].warning[0].startswith(
        'importance weights degenerate: median effective sample size ')
    assert out['ess'].warning[0].endswith('of 100')


def text(n=6, v=11):
    length = np.random.default_rng(2).integers(2, 9, n).astype(np.int32)
    return {'length': length, 'log_p': np.float32(-1.5 * length - np.arange(n))}, v


def test_uniform_decoder_has_perplexity_v():
    bucket, vocab = text()
    evals = gaussian(
        lambda params, carry, batch: (jnp.zeros((len(batch['length']), 2)),) + (jnp.ones(2),),
        lambda params, carry, z, batch: -batch['length'] * jnp.log(float(vocab)), kl=closed)
    evals['posterior'] = lambda params, carry, batch: (jnp.zeros((len(batch['length']), 2)),
                                                       jnp.ones((len(batch['length']), 2)))
    out = measure(view(evals, [bucket]), ['ppl_iw', 'ppl_elbo', 'kl', 'rec'])
    for name in ('ppl_iw', 'ppl_elbo'):
        np.testing.assert_allclose(out[name].value, vocab, rtol=1e-6)
        np.testing.assert_allclose(out[name].stderr, 0, atol=1e-5)
    np.testing.assert_array_equal(out['kl'].value, 0)


def language_model():
    return {
        'score': lambda params, carry, batch: -params['s'] * batch['length'] - 0.1 * batch[
            'length']**2
    }


def test_exact_language_model():
    bucket, _ = text()
    v, t = view(language_model(), [bucket]), bucket['length'].astype(float)
    out = measure(v, METRICS)
    nll = S2['s'][:, None] * t + 0.1 * t**2
    for name in ('nll_iw', 'elbo'):
        assert (out[name].estimator, out[name].samples) == ('exact', None)
        np.testing.assert_allclose(out[name].value, nll.mean(-1), rtol=1e-6)
    ppl = np.exp(nll.sum(-1) / t.sum())
    np.testing.assert_allclose(out['ppl_iw'].value, ppl, rtol=1e-6)
    pair = np.asarray(nll + bucket['log_p'], float)
    np.testing.assert_allclose(out['excess'].value, pair.mean(-1), rtol=1e-5)
    np.testing.assert_allclose(out['excess'].stderr,
                               pair.std(-1, ddof=1) / np.sqrt(6), rtol=1e-5)
    assert {k
            for k, x in out.items()
            if x is not None} == {'nll_iw', 'elbo', 'ppl_iw', 'ppl_elbo', 'excess'}
    e = entries(out, v, 1)
    assert set(e['nll_iw']) == {
        'value', 'estimator_id', 'estimator', 'n', 'samples', 'unit', 'better', 'least', 'most',
        'stderr', 'warning', 'note'
    }
    assert e['nll_iw']['estimator_id'] == 'exact' and e['ppl_iw']['estimator_id'] == 'ppl:exact'
    assert (e['nll_iw']['unit'], e['nll_iw']['better'], e['nll_iw']['n']) == ('nats/sentence',
                                                                              'lower', 6)
    assert isinstance(e['nll_iw']['value'], float) and 'kl' not in e


def test_perplexity_error_against_a_jackknife():
    rng = np.random.default_rng(4)
    t = rng.integers(3, 30, 400).astype(np.int32)
    nll = np.float32(2. * t + rng.normal(size=400) * np.sqrt(t))
    v = toys.evaluator({'score': lambda params, carry, batch: -batch['nll']}, {}, {},
             [{'length': t, 'nll': nll}], KEY)
    got = measure(v, ['ppl_iw'])['ppl_iw']
    left = np.exp((nll.sum() - nll) / (t.sum() - t))
    np.testing.assert_allclose(got.stderr[0],
                               np.sqrt(399 / 400 * ((left - left.mean())**2).sum()), rtol=0.02)


def test_the_source_has_no_excess():
    bucket, _ = text()
    v = toys.evaluator({'score': lambda params, carry, batch: batch['log_p']}, {}, {}, [bucket], KEY)
    out = measure(v, ['excess'])['excess']
    assert out.value.tolist() == [0.] and out.stderr.tolist() == [0.]


def test_undefined_metrics():
    with pytest.raises(UserError, match='unknown metric'):
        defined('fid', {}, {})
    auto = {k: linear()[k] for k in ('posterior', 'sample_q', 'log_lik')}
    out = measure(view(auto, [{'x': data()}]), METRICS)
    assert {k for k, x in out.items() if x is not None} == {'rec', 'hoyer_drawn'}
    assert {k
            for k, x in measure(view({}, [text()[0]]), METRICS).items()
            if x is not None} == set()


def test_values_that_are_not_finite_are_named():
    bucket, _ = text()
    v = toys.evaluator(
        {'score': lambda params, carry, batch: jnp.where(batch['length'] > 5, jnp.nan, -1.)},
        {}, {}, [bucket], KEY)
    bad = int((bucket['length'] > 5).sum())
    assert bad and measure(v, ['nll_iw'])['nll_iw'].warning == [f'not finite for {bad} of 6']


def test_information_of_equal_and_of_far_posteriors():
    evals, same = fixed(np.full((40, 3), 0.7), np.full((40, 3), 0.5))
    out = measure(view(evals, [same], params={}), ['mi_full', 'mi_32'])
    assert abs(out['mi_full'].value[0]) < 1e-5 and abs(out['mi_32'].value[0]) < 1e-5
    evals, far = fixed(np.arange(40)[:, None] * np.full(3, 100.), np.full((40, 3), 0.5))
    # several column blocks, the last one short
    v = view(evals, [far], params={}, block=16)
    out = measure(v, ['mi_full', 'mi_32'])
    np.testing.assert_allclose(out['mi_full'].value, np.log(40), rtol=1e-5)
    np.testing.assert_allclose(out['mi_32'].value, (32 * np.log(32) + 8 * np.log(8)) / 40,
                               rtol=1e-5)
    assert 'cap ln N = 3.69' in out['mi_full'].estimator


def test_information_against_numpy():
    rng = np.random.default_rng(5)
    evals, bucket = fixed(rng.normal(size=(50, 2)), rng.uniform(.3, 1.5, size=(50, 2)))
    v = view(evals, [bucket], params={}, block=7)
    pair = norm.logpdf(v.draws[0][:, None], bucket['mean'], bucket['std']).sum(-1)
    want = np.diag(pair) - logsumexp(pair, 1) + np.log(50)
    np.testing.assert_allclose(
        measure(v, ['mi_full'])['mi_full'].value[0], want.mean(), rtol=1e-5)
    blocks = [pair[:32, :32], pair[32:, 32:]]
    want = np.concatenate([np.diag(p) - logsumexp(p, 1) + np.log(len(p)) for p in blocks])
    np.testing.assert_allclose(measure(v, ['mi_32'])['mi_32'].value[0], want.mean(), rtol=1e-5)


def test_kl_less_information_is_the_aggregates_kl():
    means, stds = np.array([-1.5, 0.2, 2.]), np.array([.5, .8, .4])
    evals, bucket = fixed(
        np.repeat(means, 700)[:, None],
        np.repeat(stds, 700)[:, None], kl=closed)
    out = measure(view(evals, [bucket], params={}, batch=2100), ['kl', 'mi_full'])
    t = np.linspace(-9, 9, 20001)
    q = norm.pdf(t[:, None], means, stds).mean(1)
    truth = ((q * (np.log(q) - norm.logpdf(t))).sum() * (t[1] - t[0]))
    got = out['kl'].value[0] - out['mi_full'].value[0]
    assert abs(got - truth) < 4 * out['mi_full'].stderr[0] < 0.1


def test_active_and_consistent_units():
    collapsed = fixed(np.zeros((60, 3)), np.ones((60, 3)))
    out = measure(view(collapsed[0], [collapsed[1]], params={}), ['au', 'cu', 'cu_qp'])
    assert [out[k].value[0] for k in ('au', 'cu', 'cu_qp')] == [0., 3., 3.]
    means = np.zeros((60, 3))
    means[:, 1] = np.where(np.arange(60) % 2, 10., -10.)
    split = fixed(means, np.ones((60, 3)))
    out = measure(view(split[0], [split[1]], params={}), ['au', 'cu', 'cu_qp'])
    assert [out[k].value[0] for k in ('au', 'cu', 'cu_qp')] == [1., 2., 2.]


def test_active_means_at_least_the_threshold():
    means = np.zeros((51, 2))
    means[:, 0] = np.linspace(-1, 1, 51)
    means[:, 1] = means[:, 0] * 0.999
    means *= np.sqrt(0.01001 / means[:, 0].var(ddof=1))
    evals, bucket = fixed(means, np.ones((51, 2)))
    assert measure(view(evals, [bucket], params={}), ['au'])['au'].value[0] == 1.


def test_consistency_against_closed_forms():
    # One common posterior N(m, s^2) per unit: KL(p || q) = ln s + (1 + m^2) / (2 s^2) - 1/2,
    # KL(q || p) its mirror.
    m, s = np.array([0., 0., .3, .2, -1., 0.]), np.array([1.2, .84, 1., 1., .5, 1.])
    evals, bucket = fixed(np.tile(m, (3000, 1)), np.tile(s, (3000, 1)))
    v = view(evals, [bucket], params={}, batch=3000)
    pq, qp = np.log(s) + (1 + m**2) / (2 * s**2) - .5, .5 * (m**2 + s**2 - 1) - np.log(s)
    np.testing.assert_allclose(prior_to_aggregate(v)[0], pq, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(aggregate_to_prior(v)[0], qp, atol=0.03)
    assert aggregate_to_prior(v)[0, 5] == pytest.approx(0, abs=1e-6)
    assert measure(v, ['cu'])['cu'].value[0] == (pq < .03).sum() == 3
    # A mixture, against its own quadrature.
    means, stds = np.array([-2., .5, 1.]), np.array([.4, 1., .7])
    evals, bucket = fixed(means[:, None], stds[:, None])
    t = np.linspace(-10, 10, 5001)
    q = norm.pdf(t[:, None], means, stds).mean(1)
    truth = (norm.pdf(t) * (norm.logpdf(t) - np.log(q))).sum() * (t[1] - t[0])
    np.testing.assert_allclose(
        prior_to_aggregate(view(evals, [bucket], params={}))[0, 0], truth, rtol=1e-4)


def images(n=60, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, 2, 2, 1)).astype(np.float32)


def generator(draw):
    return {
        'sample': lambda params, carry, key, n, mode:
        {'x': params['s'] * draw(key, (n, 2, 2, 1))}
    }


def test_squared_error_per_pixel():
    x = images(7)
    evals = {
        'encode': lambda params, carry, batch: batch['x'].reshape(-1, 4), 'decode': lambda
        params, carry, z, key, mode: {'x': params['s'] * z.reshape(-1, 2, 2, 1)}
    }
    out = measure(view(evals, [{'x': x}]), ['mse'])['mse']
    np.testing.assert_allclose(out.value, [(0.25 * x**2).mean(), 0.], rtol=1e-5)
    assert out.n == 7


def test_validation_is_the_views_mean_and_compiles_once():
    traces = []

    def counted(params, carry, batch):
        traces.append(1)
        return linear(1.5)['posterior'](params, carry, batch)

    x = data(75)
    evals = linear(1.5, kl=closed) | {'posterior': counted}
    buckets = [{'x': x[:40], 'index': np.arange(40)}, {'x': x[40:], 'index': np.arange(40, 75)}]
    f = validator(evals, buckets, needs=('mi',), batch=16)
    out = f(S2, {}, KEY)
    count = len(traces)
    f(S2, {}, jax.random.key(8))
    assert len(traces) == count
    v = view(linear(1.5, kl=closed), buckets)
    want = measure(v, ['elbo', 'rec', 'kl', 'mi_32', 'au'])
    assert set(out) == {'elbo', 'rec', 'kl', 'mi', 'au'}
    for ours, theirs in (('elbo', 'elbo'), ('rec', 'rec'), ('kl', 'kl'), ('mi', 'mi_32'),
                         ('au', 'au')):
        np.testing.assert_allclose(out[ours], want[theirs].value, rtol=2e-5, err_msg=ours)


def test_validation_names_what_it_can():
    bucket, _ = text()
    out = validator(language_model(), [bucket])(S2, {}, KEY)
    t = bucket['length'].astype(float)
    np.testing.assert_allclose(out['elbo'], (S2['s'][:, None] * t + .1 * t**2).mean(-1),
                               rtol=1e-6)
    np.testing.assert_array_equal(out['elbo'], out['nll'])
    auto = {k: linear()[k] for k in ('posterior', 'sample_q', 'log_lik')}
    assert set(validator(auto, [{'x': data()}])(S2, {}, KEY)) == {'rec'}
    assert validator(generator(jax.random.uniform), [{'x': images()}])(S2, {}, KEY) == {}
    with pytest.raises(UserError, match="'au' needs the evals encode"):
        validator(auto, [{'x': data()}], needs=('au',))
    with pytest.raises(UserError, match='nll: a phase may need only mi or au'):
        validator(auto, [{'x': data()}], needs=('nll',))
    with pytest.raises(UserError, match='log_q'):
        validator(auto, [{'x': data()}], needs=('mi',))


def test_evaluation_reports_its_progress():
    seen = []
    v = toys.evaluator(linear(), S2, {}, [{'x': data()}], KEY, Settings(samples=20, chunk=8, batch=4),
             tick=lambda done, total: seen.append((done, total)))
    measure(v, ['nll_iw', 'ess'])
    assert list(dict.fromkeys(seen)) == [(0, 1), (1, 2), (2, 2)]


def test_importance_sampling_goes_on_where_it_was_stopped(tmp_path):
    settings = Settings(samples=6, chunk=4, batch=3)
    again = lambda **k: toys.evaluator(linear(), S2, {}, [{'x': data(11)}], KEY, settings, **k)
    whole, path, seen = again().weights, tmp_path / 'c' / 'partial.npz', []

    def tick(done, total):
        if done and done not in seen:
            seen.append(done)
            if done in (1, 3):
                raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            _ = again(tick=tick, partial=path).weights
    last = again(tick=tick, partial=path).weights
    assert seen == [1, 2, 3, 4]
    np.testing.assert_array_equal(whole, last)
    path.write_bytes(b'no')
    np.testing.assert_array_equal(whole, again(partial=path).weights)
    kept, calls = again(partial=path), []
    kept.tick = lambda done, total: calls.append(done)
    # whole files are kept too
    np.testing.assert_array_equal(whole, kept.weights)
    assert 4 not in calls


def test_any_metric_may_be_stopped():
    def tick(done, total):
        raise KeyboardInterrupt

    v = toys.evaluator(linear(), S2, {}, [{'x': data()}], KEY, Settings(batch=4), tick=tick)
    with pytest.raises(KeyboardInterrupt):
        _ = v.terms
    with pytest.raises(KeyboardInterrupt):
        measure(v, ['au'])
