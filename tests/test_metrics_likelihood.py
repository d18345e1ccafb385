"""Proposals, replicas, lengths and structured codes: what the evaluator does beside the plain
Gaussian posterior.
"""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.special import logsumexp
from scipy.stats import norm
from test_metrics import KEY, S2, closed, data, gaussian, linear, normal, view
from test_metrics import quick as quick  # the fixture
from test_results import fake, metric

from vaebench.experiment import evaluate, results
from vaebench.metrics import METRICS, Metric, Settings, Trained, Value, defined, entries, measure, proposal, validator
from vaebench.metrics.draws import REPLICA, fold, single
from vaebench.metrics.latent import aggregate
from vaebench.metrics.likelihood import POINT
from vaebench.report import tables

S = np.array([.5, 1.])
BOUNDS = 'nll_iw', 'elbo', 'ppl_iw', 'ppl_elbo', 'excess'


def point(shrink=.5, shift=.4):
    """`linear` with a deterministic code that is not the posterior's mean: no density."""
    posterior = lambda params, carry, batch: (shrink * batch['x'] + shift,)
    return {
        'posterior': posterior, 'encode': lambda *a: posterior(*a)[0],
        'sample_q': lambda params, carry, q, key: q[0],
        **{k: linear()[k]
           for k in ('log_lik', 'log_prior')}
    }


def exact(x):
    """[2, N] -ln p(x) of `linear` at S2."""
    return np.stack([-norm.logpdf(x, 0, np.sqrt(1 + s**2)).sum(-1) for s in S])


@functools.cache
def points(refine):
    return view(point(), [{'x': data(40)}], samples=100, chunk=50, batch=20, refine=refine)


def test_refined_proposal_reaches_the_exact_likelihood():
    truth = exact(data(40))
    rough, fine = points(0), points(100)
    for v, least in ((rough, 10.), (fine, 85.)):
        error, ess = v.weights[0] - truth, v.weights[1]
        assert np.abs(error.mean(
            -1)).max() < 4 * error.std(-1).max() / np.sqrt(40) + .5 / ess.mean(), error
        assert ess.mean() > least
    assert (np.abs(fine.weights[0] - truth).mean(-1)
            < .5 * np.abs(rough.weights[0] - truth).mean(-1)).all()
    assert (fine.weights[1].mean(-1) > 1.3 * rough.weights[1].mean(-1)).all()
    out = measure(fine, ['nll_iw', 'ess', 'elbo', 'kl', 'mi_full'])
    assert out['nll_iw'].estimator == out['ess'].estimator == 'importance sampling, S=100'
    assert out['nll_iw'].note == out['ess'].note == proposal.NOTE.format(100)
    assert out['elbo'] is out['kl'] is out['mi_full'] is None and out['nll_iw'].warning is None


def test_refined_moments_are_the_posteriors():
    x, evals = np.repeat(data(1), 50, 0), point()
    q = jax.tree.map(lambda x: jnp.asarray(x[0]), proposal.start((.5 * x + .4)[None]))
    keys = fold(KEY, np.arange(50), np.arange(1))[0]
    refine = jax.jit(
        lambda q, steps: proposal.refine(evals, {'s': .5}, {}, q, {'x': x}, keys, steps),
        static_argnums=1)
    out = refine(q, 400)
    # an antithetic pair: hardly any noise
    np.testing.assert_allclose(out['mean'].mean(0), x[0] / 1.25, atol=.02)
    np.testing.assert_allclose(np.exp(out['log_std']).mean(0), np.sqrt(.2), rtol=.05)
    jax.tree.map(np.testing.assert_array_equal, refine(q, 0), q)


def test_proposal_density_and_start():
    rng = np.random.default_rng(0)
    q, z = {'mean': rng.normal(size=(5, 3)),
            'log_std': rng.normal(size=(5, 3))}, rng.normal(size=(5, 3))
    want = norm.logpdf(z, q['mean'], np.exp(q['log_std'])).sum(-1)
    np.testing.assert_allclose(proposal.log_prob(q, z), want, rtol=1e-5)
    codes = rng.normal(size=(1, 4000, 3)) * [.1, .8, 3.]
    q = proposal.start(codes)
    np.testing.assert_array_equal(q['mean'], np.float32(codes))
    mixture = np.exp(2 * q['log_std'][0, 0]) + codes[0].var(0)
    # the prior's variance where there is room
    np.testing.assert_allclose(mixture[:2], 1., rtol=1e-5)
    np.testing.assert_allclose(np.exp(2 * q['log_std'][0, :, 2]), proposal.LEAST, rtol=1e-5)


def test_a_bad_gradient_leaves_an_example_where_it_is():
    evals = {
        'log_lik': lambda params, carry, z, batch: jnp.where(batch['x'] > 0, jnp.nan, 0.) *
        z[:, 0], 'log_prior': lambda params, carry, z: normal(z, 0., 1.).sum(-1)
    }
    q = {'mean': jnp.full((2, 1), .5), 'log_std': jnp.zeros((2, 1))}
    out = proposal.refine(evals, {}, {}, q, {'x': jnp.array([0., 1.])},
                          fold(KEY, np.arange(2), np.arange(1))[0], 30)
    assert np.isfinite(out['mean']).all() and out['mean'][1, 0] == .5 and abs(
        out['mean'][0, 0]) < .2


def everything(evals):
    """Evals of every new metric on top of `evals`: noise, weights and the example all enter."""
    def replica(params, carry, batch, key):
        assert len(batch['x']) == 1
        return batch['x'].sum(-1) + jax.random.normal(key, (1,)) * params['s'], 2 + jnp.abs(
            batch['x'][:, 0])

    return {**evals, 'replica': replica, 'dual_mi': lambda *a: replica(*a)[0] * 2,
            'sample_prior': lambda params, carry, key, n: jax.random.normal(key, (n, 2))}


NEW = 'nll_paper', 'ppl_paper', 'excess_paper', 'mi_dual', 'prior_ll', 'post_ll', 'nll_iw', 'ess'


def buckets(cut=None):
    x = data(9)
    whole = {'x': x, 'log_p': np.float32(-x.sum(-1)), 'index': np.arange(9)}
    rows = [np.arange(9)] if cut is None else [
        np.array([4, 8, 1, 0]), np.array([7, 2, 3, 6, 5])
    ]
    return [{k: v[r] for k, v in whole.items()} for r in rows]


@pytest.mark.parametrize('evals', [pytest.param(linear(1.5), marks=pytest.mark.slow), point()],
                         ids=['density', 'point'])
def test_batches_chunks_and_buckets_change_nothing(evals):
    evals = everything(evals)
    one, two = view(evals, buckets(), batch=9, chunk=20), view(evals, buckets(1), batch=2,
                                                               chunk=3)
    a, b = measure(one, NEW), measure(two, NEW)
    assert {k
            for k, x in a.items()
            if x is None} == (set() if 'log_q' in evals else {'prior_ll', 'post_ll'})
    for name in NEW:
        if a[name] is not None:
            np.testing.assert_allclose(a[name].value, b[name].value, rtol=2e-5, atol=2e-5,
                                       err_msg=name)
            np.testing.assert_allclose(a[name].stderr, b[name].stderr, rtol=1e-4, atol=1e-4,
                                       err_msg=name)
    np.testing.assert_allclose(one.weights[0], two.weights[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.codes_of({'x': data(9)}), two.codes, rtol=1e-6)


def test_replica_is_the_papers_number_with_the_papers_count():
    v = view(everything(linear()), buckets())
    out = measure(v, ['nll_paper', 'ppl_paper', 'excess_paper', 'mi_dual'])
    x = np.float64(data(9))
    # kept: one pass for three metrics
    nats, words = v.once(None, tag=REPLICA)
    noise = nats - x.sum(-1)
    np.testing.assert_allclose(noise[0] / noise[1], .5, rtol=1e-3)      # seeds share noise
    assert len(np.unique(noise[1].round(4))) == 9 and np.abs(noise[1]).mean() > .2
    np.testing.assert_allclose(words, np.tile(2 + np.abs(x[:, 0]), (2, 1)), rtol=1e-6)
    np.testing.assert_allclose(out['nll_paper'].value, nats.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(out['ppl_paper'].value, np.exp(nats.sum(-1) / words.sum(-1)),
                               rtol=1e-5)
    np.testing.assert_allclose(out['excess_paper'].value, (nats - x.sum(-1)).mean(-1),
                               atol=1e-6)
    # a key of its own
    assert np.abs(out['mi_dual'].value / 2 - out['nll_paper'].value).min() > 1e-3
    assert all('not a bound' in out[k].estimator for k in ('nll_paper', 'ppl_paper'))
    assert METRICS['nll_paper'].better is METRICS['ppl_paper'].better is METRICS[
        'excess_paper'].better is None
    assert not defined('excess_paper', {'replica'}, {'x'})
    rate = out['ppl_paper'].value
    left = np.exp((nats.sum(-1, keepdims=True) - nats) / (words.sum(-1, keepdims=True) - words))
    jackknife = np.sqrt(8 / 9 * ((left - left.mean(-1, keepdims=True))**2).sum(-1))
    np.testing.assert_allclose(out['ppl_paper'].stderr, jackknife, rtol=.2)
    assert (rate > 0).all()


def words(n=6):
    """Sentences whose likelihood is `linear`'s of x."""
    length = np.array([3, 5, 2, 4, 6, 3], np.int32)[:n]
    return {'x': data(n), 'length': length, 'log_p': np.float32(-length)}


def test_length_enters_every_bound_once():
    evals, bucket = linear(1.5, kl=closed), words()
    log_length = lambda params, carry, batch: -.25 * batch['length'] - params['s']
    plain, leaky = (view(e, [bucket]) for e in (evals, {**evals, 'log_length': log_length}))
    a, b = (measure(v, [*BOUNDS, 'rec', 'kl', 'ppl_rec', 'ess']) for v in (plain, leaky))
    cost = (.25 * bucket['length'] + S[:, None])
    for name in ('nll_iw', 'elbo', 'excess'):
        np.testing.assert_allclose(b[name].value - a[name].value, cost.mean(-1), rtol=1e-5,
                                   err_msg=name)
    rate = cost.sum(-1) / bucket['length'].sum()
    for name in ('ppl_iw', 'ppl_elbo'):
        np.testing.assert_allclose(b[name].value / a[name].value, np.exp(rate), rtol=1e-5)
    for name in ('rec', 'kl', 'ppl_rec', 'ess'):
        np.testing.assert_allclose(b[name].value, a[name].value, rtol=1e-6, err_msg=name)
    refined = view({**point(), 'log_length': log_length}, [bucket], refine=5)
    np.testing.assert_allclose(
        refined.weights[0] - view(point(), [bucket], refine=5).weights[0], cost, rtol=1e-4)
    found = [
        validator(e, [bucket])(S2, {}, KEY)
        for e in (evals, {**evals, 'log_length': log_length})
    ]
    assert set(found[0]) == set(found[1]) == {'rec', 'kl', 'elbo', 'mi', 'au'}
    np.testing.assert_allclose(found[1]['elbo'] - found[0]['elbo'], cost.mean(-1), rtol=1e-5)
    np.testing.assert_array_equal(found[1]['rec'], found[0]['rec'])
    leaky = view({**everything(evals), 'log_length': log_length}, [bucket])
    assert measure(leaky, ['prior_ll', 'post_ll']) == {'prior_ll': None, 'post_ll': None}


def test_perplexity_of_the_reconstruction():
    v, bucket = view(linear(1.5), [words()]), words()
    out = measure(v, ['ppl_rec', 'rec'])
    np.testing.assert_allclose(out['ppl_rec'].value,
                               np.exp(out['rec'].value * 6 / bucket['length'].sum()), rtol=1e-6)
    assert METRICS['ppl_rec'].better is None and 'KL left out' in out['ppl_rec'].estimator


def test_collapsed_model_has_one_likelihood():
    evals = everything(
        gaussian(
            lambda params, carry, batch:
            (jnp.zeros_like(batch['x']), jnp.ones_like(batch['x'])),
            lambda params, carry, z, batch: normal(batch['x'], 0., params['s']).sum(-1)))
    out = measure(view(evals, [{'x': data()}]), ['prior_ll', 'post_ll', 'nll_iw'])
    for name in ('prior_ll', 'post_ll'):
        np.testing.assert_allclose(out[name].value, -out['nll_iw'].value, rtol=1e-5)
        assert out[name].samples == 16
    # the latter is no bound
    assert (METRICS['prior_ll'].better, METRICS['post_ll'].better) == ('higher', None)


def test_prior_and_posterior_likelihood_in_closed_form():
    x = np.repeat(data(4), 500, 0)
    v = view(everything(linear()), [{'x': x}], batch=500)
    out = measure(v, ['prior_ll', 'post_ll'])
    assert (np.abs(out['prior_ll'].value + exact(x).mean(-1)) < [.02, .02]).all()
    want = []
    for s in S:
        want.append(
            norm.logpdf(x, x / (1 + s**2), np.sqrt(s**2 + s**2 / (1 + s**2))).sum(-1).mean())
    np.testing.assert_allclose(out['post_ll'].value, want, atol=.04)
    assert (out['post_ll'].value > out['prior_ll'].value).all()


def test_prior_likelihood_against_numpy():
    evals, x = everything(linear(1.2)), data(3)
    draws = {}

    def log_lik(params, carry, z, batch):
        jax.debug.callback(lambda z, s: draws.setdefault(float(s), []).append(np.array(z)), z,
                           params['s'])
        return linear()['log_lik'](params, carry, z, batch)

    v = toys.evaluator({**evals, 'log_lik': log_lik}, {'s': S2['s'][:1]}, {}, [{'x': x}], KEY,
             Settings(batch=3))
    got = measure(v, ['prior_ll', 'post_ll'])
    jax.effects_barrier()
    z = np.stack(draws[.5]).reshape(-1, 3, 2)
    assert z.shape == (16, 3, 2)
    mean, std = x / 1.25, 1.2 * np.sqrt(.2)
    p, q = norm.logpdf(z).sum(-1), norm.logpdf(z, mean, std).sum(-1)
    rest = norm.logpdf(x, z, .5).sum(-1) - np.logaddexp(p, q) + np.log(2)
    for name, source in (('prior_ll', p), ('post_ll', q)):
        np.testing.assert_allclose(got[name].value,
                                   (logsumexp(rest + source, 0) - np.log(16)).mean(), rtol=1e-5)


def split(evals):
    """The same model with a code of two leaves."""
    both = lambda z: jnp.concatenate([z['a'], z['b']], -1)
    out = {
        **evals, 'sample_q': lambda *a: dict(
            zip('ab', jnp.split(evals['sample_q'](*a), 2, -1), strict=True))
    }
    out['log_q'] = lambda params, carry, q, z: evals['log_q'](params, carry, q, both(z))
    out['log_prior'] = lambda params, carry, z: evals['log_prior'](params, carry, both(z))
    out['log_lik'] = lambda params, carry, z, batch: evals['log_lik'](params, carry, both(z),
                                                                      batch)
    out['sample_prior'] = lambda *a: dict(
        zip('ab', jnp.split(evals['sample_prior'](*a), 2, -1), strict=True))
    return {k: f for k, f in out.items() if k != 'log_q_dims'}


@pytest.mark.slow
def test_a_code_may_be_a_tree():
    names = [
        'nll_iw', 'elbo', 'rec', 'kl', 'ess', 'mi_full', 'mi_32', 'au', 'prior_ll', 'post_ll'
    ]
    flat, tree = everything(linear(1.5)), split(everything(linear(1.5)))
    a, b = (view(e, [{'x': data(40)}], batch=40) for e in (flat, tree))
    assert jax.tree.map(np.shape, b.draws) == {'a': (2, 40, 1), 'b': (2, 40, 1)}
    one, two = measure(a, names), measure(b, names)
    for name in names:
        np.testing.assert_allclose(two[name].value, one[name].value, rtol=1e-5, atol=1e-6,
                                   err_msg=name)
    x, y = (validator(e, [{'x': data(40)}], needs=('mi',), batch=16)(S2, {}, KEY)
            for e in (flat, tree))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), x, y)
    without = {k: f for k, f in tree.items() if k != 'log_q'}
    assert measure(view(without, [{'x': data()}]),
                   ['nll_iw', 'ess']) == {'nll_iw': None, 'ess': None}


def test_wide_codes_go_through_in_smaller_blocks():
    rng = np.random.default_rng(3)
    mean, z = rng.normal(size=(20, 3000)), rng.normal(size=(20, 3000))
    f = lambda q, z: normal(z['a'], q, 1.).sum((-2, -1))
    shape = lambda x: jnp.float32(x.reshape(20, 100, 30) / 30)
    got = jax.jit(lambda q, z: aggregate(f, q, {'a': z}, 16))(shape(mean), shape(z))
    pair = norm.logpdf(np.float64(shape(z))[:, None], shape(mean)).sum((-2, -1))
    np.testing.assert_allclose(got, logsumexp(pair, 1) - np.log(20), rtol=1e-5)


def codes(x):
    """Evals of a model whose q is the one code sequence in the data; a uniform prior over 4^3
    sequences.
    """
    same = lambda q, z: jnp.where((q == z).all(-1), 0., -jnp.inf)
    return {
        'posterior': lambda params, carry, batch: batch['code'],
        'sample_q': lambda params, carry, q, key: q,
        'log_q': lambda params, carry, q, z: same(q, z),
        'log_prior': lambda params, carry, z: jnp.full(len(z), -3 * np.log(4.)),
        'log_lik': lambda params, carry, z, batch: -params['s'] * z.sum(-1),
        'sample_prior': lambda params, carry, key, n: jax.random.randint(key, (n, 3), 0, 4)
    }


def test_one_hot_posteriors():
    code = np.array([[0, 1, 2]] * 3 + [[3, 3, 3]] * 2 + [[1, 1, 1]], np.int32)
    v = view(codes(code), [{'code': code}])
    out = measure(v, ['nll_iw', 'elbo', 'ess', 'kl', 'mi_full', 'mi_32', 'prior_ll', 'post_ll'])
    np.testing.assert_allclose(out['nll_iw'].value, out['elbo'].value, rtol=1e-6)
    np.testing.assert_allclose(out['kl'].value, 3 * np.log(4), rtol=1e-6)
    np.testing.assert_allclose(out['ess'].value, 20)
    assert out['nll_iw'].note == POINT and out['elbo'].note == 'KL at the same sample'
    share = np.array([3, 3, 3, 2, 2, 1]) / 6
    for name in ('mi_full', 'mi_32'):
        np.testing.assert_allclose(out[name].value, -np.log(share).mean(), rtol=1e-5)
    np.testing.assert_allclose(out['post_ll'].value, -S * code.sum(-1).mean(), rtol=.2)
    assert all(np.isfinite(x.value).all() and x.warning is None for x in out.values())


def scaled(evals, n, mode, params, carry, key, own):
    return params['s'] * n * len(mode)


def test_programs_that_differ_in_a_number_do_not_collide():
    v = view(linear(), [{'x': data()}])
    for n in (2, 3, np.int64(6), 4.5, np.float32(5)):
        np.testing.assert_allclose(v.jit(scaled, n, 'a')(()), S * float(n))
    np.testing.assert_allclose(v.jit(scaled, 1, 'beam')(()), S * 4)
    np.testing.assert_allclose(v.jit(scaled, 1, ('a', 2))(()), S * 2)
    assert len(v.programs) == 7
    np.testing.assert_allclose(v.jit(scaled, 2, 'a')(()), S * 2)
    assert len(v.programs) == 7


def test_training_split_and_truth_reach_metrics(monkeypatch):
    seen = {}

    def compute(v):
        seen.update(train=v.data.train, truth=v.data.truth, codes=v.codes_of(v.data.train))
        return Value(np.zeros(v.seeds), 'e', v.n)

    monkeypatch.setitem(METRICS, 'seen',
                        Metric(compute, ((),), 'u', None, ('x', 'train/label', 'truth/modes')))
    train = {'x': data(37, 1), 'label': np.arange(37) % 2}
    trained, settings = Trained(linear(), S2, {}, evaluate.keys(2)), Settings(batch=8)

    def entries_of(**more):
        return evaluate.evaluate(trained, toys.readable([{'x': data()}], **more), ['seen'], settings)[0]

    assert entries_of() == entries_of(train=train) == entries_of(truth={'modes': 3}) == [{}, {}]
    entry = entries_of(train=train, truth={'modes': 3})[0]['seen']
    assert entry['note'] is None and seen['truth'] == {'modes': 3} and seen['train'] is train
    np.testing.assert_allclose(seen['codes'], train['x'] / (1 + S[:, None, None]**2), rtol=1e-6)


@pytest.mark.parametrize(('name', 'metrics'), [('vae', {'nll_iw', 'prior_ll', 'post_ll'}),
                                               ('dae', {'nll_iw'})])
def test_registered_methods_against_quadrature(name, metrics):
    method, x = toys.make(name, toys.kit()), toys.images(12)
    model = method.init(jax.random.key(0), toys.all_of(x))
    v = toys.evaluator(method.evals, *jax.tree.map(lambda x: x[None], model), [x], KEY,
             Settings(samples=30, refine=20))
    out = measure(v, ['nll_iw', 'prior_ll', 'post_ll'])
    assert {k for k, value in out.items() if value is not None} == metrics
    t, w = np.polynomial.hermite_e.hermegauss(20)                       # all 3 latents
    z = np.float32(np.stack(np.meshgrid(t, t, t), -1).reshape(-1, 3))
    weight = np.log((w[:, None, None] * w[:, None] * w).reshape(-1) / w.sum()**3)
    log_lik = jax.vmap(lambda z: method.evals['log_lik']
                       (*model, jnp.broadcast_to(z, (12, 3)), x))(z)
    truth = -logsumexp(np.asarray(log_lik) + weight[:, None], 0)
    assert abs((v.weights[0][0] - truth).mean()) < .1
    if out['prior_ll']:
        assert abs(out['prior_ll'].value[0] + truth.mean()) < .2


def test_notes_are_footnotes_and_rank_together(tmp_path):
    for row, value, note in (('vae', 3., None), ('dae', 2., 'proposal: other')):
        for seed in range(2):
            record = {'nll_iw': metric(value + seed, stderr=.1, note=note)}
            results.write(tmp_path, fake(row, seed, order=len(row), metrics=record))
    (table,), problems = tables.collect([tmp_path])
    assert not problems and table.notes == ('proposal: other',)
    cells = {r.row: r.cells['nll_iw'] for r in table.rows}
    assert cells['dae'].best and not cells['vae'].best
    assert cells['dae'].notes == (1,) and cells['vae'].notes == ()
    with pytest.raises(ValueError, match='metrics.a.note'):
        results.checked(fake(metrics={'a': {**metric(1.), 'note': 3}}))


def test_entries_carry_the_note():
    out = measure(points(0), ['nll_iw'])
    assert entries(out, points(0), 0)['nll_iw']['note'] == proposal.NOTE.format(0)


def test_single_names_the_length():
    out = single({'log_length': lambda params, carry, batch: -batch['length']}, {}, {},
                 {'length': jnp.ones(2)}, None)
    assert out['log_length'].tolist() == [-1., -1.]
