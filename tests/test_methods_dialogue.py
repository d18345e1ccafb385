"""Models of responses: the rate and its bound, what is read and what is not, and the floors."""
import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from test_networks_conversations import TALK

from vaebench import core, networks, schema
from vaebench.core import Context, Features
from vaebench.errors import UserError
from vaebench.methods import METHODS, conditional, copying, dialogue_floors, posteriors
from vaebench.metrics import Settings, measure

N, VOCAB, LATENT = 8, 9, 3
ROWS = 'seq2seq', 'cvae', 'cvae_bow', 'bn_cvae', 'bn_cvae_learned', 'cvae_fb'
LATENTS = ROWS[1:]
PLAIN = {k: v for k, v in TALK.items() if k != 'topic'}
SCHEMA = {**PLAIN, **schema.text(TALK['tokens'].names, 5), 'context': {
    **TALK['context'], 'tokens': schema.Field('tokens', (toys.TURNS, None), VOCAB, TALK['tokens'].names),
    'length': schema.Field('length', (toys.TURNS,), 6)}}
KIT = networks.build(SCHEMA, dict(name='lstm', latent=LATENT, embed=4, hidden=5, family='B', dropout=0.,
                                  init_scale=.9))


def talks(n=N, seed=0):
    said = {k: v for k, v in toys.sentences(n, VOCAB, seed=seed).items() if k != 'log_p'}
    return {**said, **toys.talks(n, VOCAB, seed=seed), 'label': jnp.arange(n, dtype=jnp.int32) % 2}


DATA = toys.all_of(talks())


@functools.cache
def started(name, **options):
    small = {'hidden': 6} if name in ('cvae_bow', 'bn_cvae_learned', 'cvae_fb') else {}
    m = toys.make(name, KIT, toys.recipe(), **{**small, **options})
    return m, *m.init(jax.random.key(0), DATA)


def marked(names, quick):
    return [pytest.param(n, marks=[] if n in quick else [pytest.mark.slow]) for n in names]


# T32: the rate

def told_posterior(width=1):
    """q of a diagonal Gaussian that carries its context, with a KL from what `moments` gives."""
    base = posteriors.gaussian(KIT)
    return lambda moments: conditional.kl_from(conditional.given(base, width), moments)


def test_the_rate_of_two_gaussians():
    moments = lambda params, c: (jnp.array([[0., 1.]]) + 0 * c, jnp.zeros((1, 2)) + 0 * c)
    posterior = told_posterior()(moments)
    own = {'mean': jnp.array([[1., 0.]]), 'log_var': jnp.log(jnp.array([[.25, 4.]]))}
    q = {'q': own, 'context': jnp.zeros((1, 1))}
    assert posterior.kl_from == 'given normal'
    np.testing.assert_allclose(posterior.kl({}, q), [2.125], rtol=1e-6)
    np.testing.assert_allclose(posterior.kl_dims({}, q).sum(), 2.125, rtol=1e-6)
    same = {'mean': jnp.array([[0., 1.]]), 'log_var': jnp.zeros((1, 2))}
    assert float(posterior.kl({}, {**q, 'q': same})[0]) == 0
    for name, change in (('mean', .1), ('log_var', .1), ('log_var', -.1)):          # and only there
        assert float(posterior.kl({}, {**q, 'q': {**same, name: same[name] + change}})[0]) > 0


@pytest.mark.parametrize('name', marked(('cvae', 'bn_cvae', 'bn_cvae_learned'), ('cvae',)))
def test_the_closed_rate_is_the_mean_over_draws(name):
    m, params, carry = started(name)
    q = m.evals['posterior'](params, carry, DATA)

    def sampled(key):
        z = m.evals['sample_q'](params, carry, q, key)
        return m.evals['log_q'](params, carry, q, z) - m.evals['log_prior'](params, carry, z)

    each = toys.jit(jax.vmap(sampled))(jax.random.split(jax.random.key(2), 3000))
    error = each.std(0) / np.sqrt(len(each))
    assert (np.abs(each.mean(0) - m.evals['kl'](params, carry, q)) < 5 * error + 1e-4).all()


# T33, T34: what a loss reads

def padded(batch):
    """The same with wider sentences and contexts, more turns, and other tokens in all that is padding."""
    told, place = batch['context'], jnp.arange(batch['context']['tokens'].shape[2] + 3)
    spare = jnp.pad(told['tokens'], ((0, 0), (0, 2), (0, 3)), constant_values=6)
    length = jnp.pad(told['length'], ((0, 0), (0, 2)), constant_values=4)
    filled = jnp.arange(length.shape[1]) < told['turns'][:, None]
    context = {'tokens': jnp.where(filled[..., None] & (place <= length[..., None]), spare, 5),
               'length': jnp.where(filled, length, 3), 'turns': told['turns'],
               'speaker': jnp.where(filled, jnp.pad(told['speaker'], ((0, 0), (0, 2))), 1)}
    return {**batch, 'tokens': jnp.pad(batch['tokens'], ((0, 0), (0, 4))), 'context': context}


@pytest.mark.parametrize('name', marked(ROWS, ('seq2seq', 'cvae_bow')))
def test_padding_changes_no_loss(name):
    m, params, carry = started(name)
    loss = toys.jit(lambda batch: m.phases[0].players[0].loss(params, carry, batch,
                                                              toys.ctx(toys.hp(name), total=1000))[0])
    plain, other = float(loss(DATA)), float(loss(padded(DATA)))
    assert plain > 1 and other == pytest.approx(plain, rel=1e-5)


def test_a_bag_has_no_order():
    order = np.asarray(DATA['tokens']).copy()
    for row, n in zip(order, DATA['length'], strict=True):
        row[1:n] = row[1:n][::-1]
    m, params, carry = started('cvae_bow')
    # whatever the recognition network makes of the order: its weights are 0
    blind = {**params, 'enc': jax.tree.map(jnp.zeros_like, params['enc'])}
    bag = toys.jit(lambda tokens: m.phases[0].players[0].loss(
        blind, carry, {**DATA, 'tokens': tokens}, toys.ctx(toys.hp('cvae_bow')))[1][1])
    a, b = bag(DATA['tokens']), bag(order)
    assert float(a['bow']) == pytest.approx(float(b['bow']), rel=1e-6) and abs(a['rec'] - b['rec']) > 1e-3


def test_the_bag_is_told_the_context():
    _, params, _ = started('cvae_bow')
    width = KIT.latent + KIT.context().width
    assert params['bow']['layer0']['kernel'].shape == (width, 6)


# T35, T36: batch normalization and its bound

GAMMA = .7


def rate(name, params, batch=DATA):
    """The batch's mean KL as training sees it."""
    m, _, carry = started(name)
    out = m.phases[0].players[0].loss(params, carry, batch, toys.ctx(toys.hp(name, gamma=GAMMA)))
    return float(out[1][1]['kl'])


@pytest.mark.parametrize('seed', range(3))
def test_the_bound_holds_for_a_standard_prior(seed):
    m, params, carry = started('bn_cvae')
    beta = jax.random.normal(jax.random.key(seed), (LATENT,))
    params = {**params, 'shift': beta}
    params['head'] = jax.tree.map(lambda x: x * (1 + seed), params['head'])
    bound = float((GAMMA**2 + beta**2).sum()) / 2
    assert rate('bn_cvae', params) >= bound * (1 - 1e-2)
    # and what it is made of: the batch's mean of mu'^2 is gamma^2 v / (v + eps) + beta^2 in each dimension
    features = Features(jax.random.normal(jax.random.key(seed), (N, 5)))
    law = posteriors.batch_norm(KIT)
    own = law.init(jax.random.key(seed))[0] | {'shift': beta}
    zero = law.init(jax.random.key(0))[1]
    raw = posteriors.gaussian(KIT).apply(own, {}, features)[0]['mean']
    mean = law.apply(own, zero, features, jnp.ones(N), {'gamma': GAMMA})[0]['mean']
    v = raw.var(0)
    np.testing.assert_allclose((mean**2).mean(0), GAMMA**2 * v / (v + posteriors.EPSILON) + beta**2, rtol=1e-4)


def test_no_bound_holds_for_a_learned_prior():
    """A posterior that reads the context alone, and a prior that says the same: normalized, and without a rate."""
    width, small = KIT.context().width, 1e-2
    m, params, carry = started('bn_cvae_learned', hidden=width)
    blind = {'own': jax.tree.map(jnp.zeros_like, params['head']['own']), 'context': params['head']['context']}
    layer = blind['context']['layer0']
    c = KIT.context().apply(params['enc']['context'], DATA)
    raw = (c @ layer['kernel'] + layer['bias'])[:, :LATENT]
    scale = GAMMA / jnp.sqrt(raw.var(0) + posteriors.EPSILON)
    beta = jnp.array([.5, -1., 0.])
    # tanh(small c) / small is nearly c, so that the prior's one hidden layer is an affine map of c
    kernel = jnp.concatenate([layer['kernel'][:, :LATENT] * scale, layer['kernel'][:, LATENT:]], 1)
    bias = jnp.concatenate([(layer['bias'][:LATENT] - raw.mean(0)) * scale + beta, layer['bias'][LATENT:]])
    prior = {'layer0': {'kernel': small * jnp.eye(width), 'bias': jnp.zeros(width)},
             'layer1': {'kernel': kernel / small, 'bias': bias}}
    made = {**params, 'head': blind, 'shift': beta, 'prior': prior}
    out = m.phases[0].players[0].loss(made, carry, DATA, toys.ctx(toys.hp('bn_cvae_learned', gamma=GAMMA)))
    bound = float((GAMMA**2 + beta**2).sum()) / 2
    assert bound > 1 and abs(float(out[1][1]['kl'])) < 1e-3


# What a response is made of

@pytest.mark.parametrize('name, mode', [
    ('seq2seq', 'greedy'), ('cvae', 'sample'), *(pytest.param(n, 'greedy', marks=pytest.mark.slow) for n in LATENTS)])
def test_a_response_never_reads_the_response(name, mode):
    m, params, carry = started(name)
    params = {**params, 'dec': jax.tree.map(lambda x: 4 * x, params['dec'])}       # words that codes decide
    respond = toys.jit(lambda batch: m.evals['respond'](params, carry, batch, jax.random.key(3), mode))
    other = talks(seed=5)
    plain = respond(DATA)
    changed = respond({**DATA, **{k: other[k] for k in ('tokens', 'length')}, 'label': 1 - DATA['label']})
    toys.close(plain, changed)
    elsewhere = respond({**DATA, 'context': other['context']})
    assert (plain['tokens'] != elsewhere['tokens']).any()
    assert plain['tokens'].shape == (N, 7) and (plain['length'] <= 6).all()
    toys.close(plain, respond(padded(DATA)))                    # nor padding


@pytest.mark.parametrize('prior', ['learned', 'standard'])
def test_a_response_is_drawn_from_the_prior(prior):
    """The codes that a decoder is handed: the context, and draws of p(z | c)."""
    context, hidden = KIT.context(), 6
    law, moments = conditional.PRIORS[prior](KIT, context, hidden)
    params = {'enc': {'context': context.init(jax.random.key(0))}, 'dec': {},
              **jax.tree.map(lambda x: 3 * x, law.init(jax.random.key(1), None, {}))}
    heard = KIT.decoder()._replace(generate=lambda params, z, key, mode: z)
    respond = conditional.responder(KIT, heard, context, moments)
    draw = toys.jit(jax.vmap(lambda key: respond(params, {}, DATA, key, 'greedy')))
    codes = draw(jax.random.split(jax.random.key(9), 4000))
    c = context.apply(params['enc']['context'], DATA)
    np.testing.assert_allclose(codes['context'][7], c, rtol=1e-5, atol=1e-6)
    mean, std = jnp.zeros((N, LATENT)), jnp.ones((N, LATENT))
    if prior == 'learned':
        first, second = params['prior']['layer0'], params['prior']['layer1']
        out = jnp.tanh(c @ first['kernel'] + first['bias']) @ second['kernel'] + second['bias']
        mean, std = out[:, :LATENT], jnp.exp(out[:, LATENT:] / 2)
        assert np.abs(mean).max() > .1
    assert (np.abs(codes['z'].mean(0) - mean) < 5 * std / np.sqrt(4000)).all()
    np.testing.assert_allclose(codes['z'].std(0), std, rtol=.06)


def test_evaluation_needs_nothing_new():
    """Bounds, importance sampling, information and active units of responses given their context."""
    rows = {k: v for k, v in schema.over(np.asarray, talks(12)).items()}
    for name in ('seq2seq', 'cvae', 'bn_cvae'):
        m, params, carry = started(name)
        view = toys.evaluator(m.evals, *jax.tree.map(lambda x: x[None], (params, carry)), [rows],
                              jax.random.key(1), Settings(samples=200, chunk=100), given=m.given,
                              vocab=TALK['tokens'].names)
        out = measure(view, ['nll_iw', 'ppl_iw', 'elbo', 'rec', 'kl', 'mi_full', 'au', 'ess'])
        assert 'given the context' in str(out['nll_iw'].estimator)
        if name == 'seq2seq':
            exact = -float(np.mean(m.evals['score'](params, carry, toys.all_of(rows))))
            assert out['nll_iw'].value[0] == pytest.approx(exact, rel=1e-5) and out['kl'] is None
            continue
        assert all(out.values()) and out['elbo'].value[0] > out['nll_iw'].value[0] - .05
        assert out['elbo'].value[0] == pytest.approx(out['rec'].value[0] + out['kl'].value[0], rel=1e-5)


# Floors

def gathered(name, stock, size):
    """A floor's evals and carry, after its pass over the data in batches of 5."""
    m = METHODS[name].factory(KIT, core.Recipe(1, 1, size, lambda hp: None))
    params, carry = m.init(jax.random.key(0), DATA)
    fold = m.phases[0].summary
    s, update = fold.init(), toys.jit(fold.update)
    for i in range(0, size, 5):
        idx = jnp.where(jnp.arange(i, i + 5) < size, jnp.arange(i, i + 5), -1)
        s = update(s, params, carry, core.take(stock, idx))
    done = toys.jit(fold.finish)(s, params, carry)
    assert jax.tree.structure(done) == jax.tree.structure(carry)
    assert [x.shape for x in jax.tree.leaves(done)] == [x.shape for x in jax.tree.leaves(carry)]
    return m, done


def words(batch, row):
    told = batch['context']
    return [int(w) for u in range(int(told['turns'][row]))
            for w in told['tokens'][row, u, 1:told['length'][row, u]]]


def test_retrieval_finds_the_nearest_context():
    stock, asked = talks(23, 1), toys.all_of(talks(9, 2))
    m, carry = gathered('retrieval', stock, 23)
    respond = toys.jit(lambda batch: m.evals['respond']({}, carry, batch, jax.random.key(0), 'greedy'))
    out = respond(asked)
    every = [collections.Counter(words(stock, i)) for i in range(23)]
    idf = {w: 1 + np.log(24 / (1 + sum(w in d for d in every))) for w in range(VOCAB)}
    vector = lambda d: np.array([d[w] * idf[w] for w in range(VOCAB)])
    unit = lambda v: v / np.linalg.norm(v)
    for i in range(9):
        own = unit(vector(collections.Counter(words(asked, i))))
        cosines = [own @ unit(vector(d)) for d in every]
        found = [r for r in range(23) if out['tokens'][i].tolist() == stock['tokens'][r].tolist()]
        assert max(cosines[r] for r in found) == pytest.approx(max(cosines), abs=1e-6)
    # A context that train holds gets its own response back, whatever the response that is asked for.
    again = respond({'context': stock['context']})
    assert (again['tokens'] == stock['tokens']).all(1).mean() > .9


def test_random_responses_are_training_responses():
    stock = talks(11, 1)
    m, carry = gathered('random_response', stock, 11)
    batch = {'weight': jnp.ones(2200)}
    out = m.evals['respond']({}, carry, batch, jax.random.key(0), 'greedy')
    counts = collections.Counter(map(tuple, np.asarray(out['tokens']).tolist()))
    known = collections.Counter(map(tuple, np.asarray(stock['tokens']).tolist()))
    assert set(counts) == set(known)
    assert all(abs(n / known[row] - 200) < 5 * np.sqrt(200) for row, n in counts.items())
    other = m.evals['respond']({}, carry, batch, jax.random.key(1), 'greedy')
    assert (out['tokens'] != other['tokens']).any()


def test_a_history_is_its_words():
    batch, read = toys.all_of(talks(20, 3)), toys.jit(dialogue_floors.history)
    out = read(batch)
    for i in range(20):
        own = words(batch, i)
        assert int(out['length'][i]) == len(own) + 1
        assert out['tokens'][i, :len(own) + 2].tolist() == [1, *own, 2] and not out['tokens'][i, len(own) + 2:].any()
    wide = read(padded(batch))
    toys.close({**wide, 'tokens': wide['tokens'][:, :out['tokens'].shape[1]]}, out)


def test_data_without_a_context_is_refused_in_one_line():
    blind = toys.without(KIT, 'context')
    with pytest.raises(UserError, match="needs a column 'context', which the data has not"):
        dialogue_floors.retrieval(blind, toys.recipe())
    with pytest.raises(UserError, match="needs a network 'context'"):
        toys.make('seq2seq', blind)
    assert copying.width(KIT) == 7 and isinstance(KIT.context(), Context)
