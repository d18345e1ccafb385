"""DAVAM, DAVAM-q and GAVAM: the rate of codes, the prior's law, and the bound by
enumeration."""
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.methods import sequence_latents, vector_quantized
from vaebench.ops import distributions, quantize

HP = {
    'commit': .25, 'decay': .9, 'beta': 1., 'beta_start': 1., 'warmup': 0., 'delay': 0.,
    'period': 0., 'lr': .02, 'lr_scale': 1.
}
LATENT, CODES = 3, 5
FORMS = {
    'davam': functools.partial(vector_quantized.davam, codes=CODES),
    'davam_q': functools.partial(vector_quantized.davam, codes=CODES, attention=False),
    'gavam': sequence_latents.gavam,
}
FORM = pytest.mark.parametrize('form', FORMS)
QUANTIZED = pytest.mark.parametrize('form', ['davam', 'davam_q'])


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def kit(words='abcdefghi', most=5, hidden=6):
    """The smallest LSTM kit."""
    return networks.build(schema.text(tuple(words), most), {
        'name': 'lstm', 'latent': LATENT, 'embed': 4, 'hidden': hidden, 'family': 'B',
        'dropout': 0.
    })


def data(n=6):
    return toys.all_of({k: v for k, v in toys.sentences(n, 9).items() if k != 'log_p'})


@functools.cache
def started(form):
    """Method, params, carry; the codebook is that of a batch of its own."""
    method = FORMS[form](kit(), toys.recipe())
    return method, *method.init(jax.random.key(3), data(12))


@functools.cache
def compiled(loss):
    return toys.jit(jax.value_and_grad(loss, has_aux=True))


def evaluate(method, params, carry, batch, phase=0, **numbers):
    """Loss, carry, aux and gradient."""
    player = method.phases[phase].players[0]
    return compiled(player.loss)(params, carry, batch, toys.ctx({**HP, **numbers}))


def still(tree):
    return jax.tree.map(jnp.zeros_like, tree)


@QUANTIZED
@pytest.mark.slow
def test_uniform_prior_costs_ln_k_per_code(form):
    method, params, carry = started(form)
    batch, e = data(), method.evals
    q = e['posterior'](params, carry, batch)
    count = batch['length'] if form == 'davam' else jnp.ones(6)
    uniform = {**params, 'prior': still(params['prior'])}
    np.testing.assert_allclose(e['kl'](uniform, carry, q), count * np.log(CODES), rtol=1e-12)
    np.testing.assert_allclose(
        evaluate(method, params, carry, batch)[0][1][1]['kl'],
        count.mean() * np.log(CODES), rtol=1e-12)
    assert ((q >= 0).sum(1) == count).all() and (q[:, 0] >= 0).all()
    assert (e['kl'](params, carry, q) > 0).all()
    toys.close(e['kl'](params, carry, q), -e['log_prior'](params, carry, q))


@QUANTIZED
@pytest.mark.slow
def test_one_code_costs_nothing(form):
    method = vector_quantized.davam(kit(), toys.recipe(), codes=1, attention=form == 'davam')
    params, carry = method.init(jax.random.key(0), data())
    assert not method.evals['kl'](params, carry, method.evals['posterior'](params, carry,
                                                                           data())).any()
    assert float(evaluate(method, params, carry, data(), 1)[0][0]) == 0


@pytest.mark.slow
def test_codes_are_the_nearest_of_every_state():
    method, params, carry = started('davam')
    batch = data()
    f = kit().encoder().apply(params['enc'], batch)
    h = kit().head(LATENT).apply(params['head'], f.states)
    for row, state, n in zip(method.evals['posterior'](params, carry, batch), h,
                             batch['length'].tolist(), strict=True):
        want = np.linalg.norm(
            np.asarray(state)[1:n + 1, None] - np.asarray(carry['codes']), axis=-1).argmin(-1)
        assert row.tolist() == [*want, *[-1] * (6 - n)]
    whole = FORMS['davam_q'](kit(), toys.recipe()).evals['posterior'](params, carry, batch)
    last = kit().head(LATENT).apply(params['head'], f.last)
    assert (whole[:, 0] == quantize.nearest(last, carry['codes'])).all()


@pytest.mark.slow
def test_loss_is_its_formula():
    """rec of the codes plus commit times the sum over positions of the squared distances."""
    method, params, carry = started('davam')
    batch, e = data(), method.evals
    (loss, (_, aux)), grads = evaluate(method, params, carry, batch)
    q = e['posterior'](params, carry, batch)
    h = kit().head(LATENT).apply(params['head'],
                                 kit().encoder().apply(params['enc'], batch).states)[:, 1:]
    far = (((h - carry['codes'][jnp.maximum(q, 0)])**2).sum(-1) * (q >= 0)).sum(1).mean()
    rec = -e['log_lik'](params, carry, q, batch).mean()
    np.testing.assert_allclose([loss, aux['rec'], aux['commit']], [rec + .25 * far, rec, far],
                               rtol=1e-10)
    free = evaluate(method, params, carry, batch, commit=0.)[1]
    assert all(
        np.abs(x).max() > 0 for x in jax.tree.leaves(free['head'])), 'rec reaches the encoder'
    assert not any(np.any(x) for x in jax.tree.leaves((grads['prior'], grads['embed'])))


@pytest.mark.slow
def test_prior_is_a_law_of_codes():
    """Probabilities of all sequences of one length sum to one."""
    method, params, carry = started('davam')
    params = {**params, 'prior': jax.tree.map(lambda x: 20 * x, params['prior'])}
    for n in (1, 3):
        z = jnp.array(list(itertools.product(range(CODES), repeat=n)), jnp.int32)
        p = jnp.exp(method.evals['log_prior'](params, carry, sequence_latents.fit(z, 6, -1)))
        assert float(p.sum()) == pytest.approx(1, rel=1e-10) and float(p.max() / p.min()) > 2


@pytest.mark.slow
def test_prior_draws_follow_the_prior():
    method, params, carry = started('davam_q')
    params = {**params, 'prior': jax.tree.map(lambda x: 20 * x, params['prior'])}
    z = method.evals['sample_prior'](params, carry, jax.random.key(0), 20000)
    p = jnp.exp(method.evals['log_prior'](params, carry, jnp.arange(CODES)[:, None]))
    np.testing.assert_allclose(
        np.bincount(z[:, 0], minlength=CODES) / 20000, p, atol=4 * .5 / 20000**.5)


def test_ancestral_draws_read_the_left():
    key, zero = jax.random.key(0), jnp.zeros((3, 4))
    assert sequence_latents.ancestral(key, lambda key, z, t: z[:, t - 1] + z[:, t] + t + 1,
                                      zero).tolist() == [[1, 3, 6, 10]] * 3
    draws = sequence_latents.ancestral(
        key, lambda key, z, t: jax.random.normal(key, z[:, t].shape), zero)
    assert len(np.unique(np.asarray(draws))) == 12


@pytest.mark.slow
def test_gaussian_prior_and_posterior_are_their_densities():
    """Position by position, each seeing only what is left of it."""
    method, params, carry = started('gavam')
    batch, e = data(), method.evals
    params = {**params, 'prior': jax.tree.map(lambda x: 20 * x, params['prior'])}
    q = e['posterior'](params, carry, batch)
    z = e['sample_q'](params, carry, q, jax.random.key(0))
    net, log_prior, log_q = kit().sequence(LATENT, 2 * LATENT), np.zeros(6), np.zeros(6)
    for i, n in enumerate(batch['length'].tolist()):
        assert z['mask'][i].tolist() == [True] * n + [False] * (6 - n)
        for t in range(n):
            left = jnp.concatenate([jnp.zeros((1, 1, LATENT)), z['memory'][i:i + 1, :t]], 1)
            m, v = jnp.split(net.apply(params['prior'], left)[0, -1], 2)
            log_prior[i] += distributions.normal_log_prob(z['memory'][i, t], m, v)
            log_q[i] += distributions.normal_log_prob(z['memory'][i, t], q['mean'][i, t],
                                                      q['log_var'][i, t])
    np.testing.assert_allclose(e['log_prior'](params, carry, z), log_prior, rtol=1e-10)
    np.testing.assert_allclose(e['log_q'](params, carry, q, z), log_q, rtol=1e-10)


@FORM
def test_codes_of_other_lengths_have_no_density(form):
    method, params, carry = started(form)
    e, batch = method.evals, data()
    q = e['posterior'](params, carry, batch)
    z = e['sample_q'](params, carry, q, jax.random.key(0))
    longer = (batch['length'][:, None] != batch['length']).argmax(1)
    other = jax.tree.map(lambda x: x[longer], z)
    assert np.isfinite(e['log_q'](params, carry, q, z)).all()
    if form != 'davam_q':
        assert (e['log_q'](params, carry, q, other) == -np.inf).all()
    else:
        assert (jnp.exp(e['log_q'](params, carry, q, other)) == (q == other)[:, 0]).all()


@FORM
@pytest.mark.slow
def test_padding_changes_nothing(form):
    method, params, carry = started(form)
    batch, e = data(), method.evals
    wide = {**batch, 'tokens': jnp.pad(batch['tokens'], ((0, 0), (0, 4)))}

    def terms(batch):
        q = e['posterior'](params, carry, batch)
        z = e['sample_q'](params, carry, q, jax.random.key(0))
        return q, z, e['log_lik'](params, carry, z, batch), e['log_prior'](
            params, carry, z), e['encode'](params, carry, batch)

    toys.close(*(terms(x) for x in (batch, wide)), rtol=1e-9, atol=1e-12)
    # whose noise is drawn in the batch's width
    if form != 'gavam':
        for phase in range(2):
            (a, b), (c, d) = (evaluate(method, params, carry, x, phase) for x in (batch, wide))
            toys.close((a, b), (c, d), rtol=1e-8, atol=1e-10)


@FORM
def test_empty_slots_do_not_count(form):
    method, params, carry = started(form)
    batch = {**data(), 'weight': jnp.array([1., 1., 1., 0., 0., 0.])}
    other = {**batch, **{k: batch[k].at[3:].set(batch[k][:3]) for k in ('tokens', 'length')}}
    for phase in range(len(method.phases)):
        toys.close(evaluate(method, params, carry, batch, phase),
                   evaluate(method, params, carry, other, phase), rtol=1e-9, atol=1e-12)


def test_phases_move_what_they_say():
    """The codebook follows the encoder, then stands still; the prior learns last, and is chosen
    by the bound.
    """
    method, params, carry = started('davam')
    first, second = method.phases
    assert [p.select
            for p in method.phases] == ['rec', 'elbo'] and first.steps == second.steps == 20
    assert set(first.players[0].trains) | set(second.players[0].trains) == set(params)
    assert not set(first.players[0].trains) & set(second.players[0].trains)
    (_, (after, _)), _ = evaluate(method, params, carry, data())
    assert not (after['codes'] == carry['codes']).all() and not after['lengths'].any()
    assert float(summed(first, params, after, data())['lengths'].sum()) == 6
    (_, (frozen, aux)), _ = evaluate(method, params, after, data(), 1)
    toys.close(frozen, after)
    q = method.evals['posterior'](params, after, data())
    np.testing.assert_allclose([aux['rec'], aux['kl']],
                               [-method.evals['log_lik'](params, after, q, data()).mean(),
                                method.evals['kl'](params, after, q).mean()], rtol=1e-10)


def test_replica_is_the_mean_over_positions():
    for form in FORMS:
        method, params, carry = started(form)
        e, batch, key = method.evals, data(), jax.random.key(0)
        z = e['sample_q'](params, carry, e['posterior'](params, carry, batch), key)
        q = e['posterior'](params, carry, batch)
        kl = e['log_q'](params, carry, q, z) - e['log_prior'](params, carry, z)
        nats, words = e['replica'](params, carry, batch, key)
        np.testing.assert_allclose(
            nats, kl / batch['length'] - e['log_lik'](params, carry, z, batch), rtol=1e-10)
        assert (words == batch['length']).all()


def everything(words=2, most=3):
    """Every sentence of at most so many words."""
    rows = [
        row for n in range(most + 1) for row in itertools.product(range(3, 3 + words), repeat=n)
    ]
    tokens = np.zeros((len(rows), most + 2), np.int32)
    for out, row in zip(tokens, rows, strict=True):
        out[:len(row) + 2] = 1, *row, 2
    return toys.all_of({
        'tokens': jnp.asarray(tokens), 'length': jnp.asarray([len(r) + 1 for r in rows],
                                                             jnp.int32)
    })


def summed(phase, params, carry, batch):
    """The carry after the phase's summary of one batch, all its data."""
    if phase.summary is None:
        return carry
    counts = phase.summary.update(phase.summary.init(), params, carry, batch)
    return phase.summary.finish(counts, params, carry)


@functools.cache
def fitted(form, steps=300):
    """A model after some training on all sentences of a tiny language."""
    method = FORMS[form](kit('abcde', 3, 8), toys.recipe(tx=optax.adam))
    batch, hp = everything(), {k: jnp.float64(v) for k, v in HP.items()}
    idx = jnp.broadcast_to(jnp.arange(15), (steps, 1, 15))
    state = core.init(method, jax.random.key(0), batch, hp)
    for i, phase in enumerate(method.phases):
        state = core.enter(phase, state, batch) if i else state
        state, _ = jax.jit(core.make_block(phase))(state, batch, idx, jnp.int32(steps))
        state = state._replace(carry=summed(phase, state.params, state.carry, batch))
    return method, state.params, state.carry, batch


@pytest.mark.slow
@FORM
def test_bound_is_one_on_log_p(form):
    """What all sentences are promised sums to at most one: with the total KL and the length's
    probability only.
    """
    method, params, carry, batch = fitted(form)
    e, draws = method.evals, 200

    def terms(key):
        q = e['posterior'](params, carry, batch)
        z = e['sample_q'](params, carry, q, key)
        kl = e['log_q'](params, carry, q, z) - e['log_prior'](params, carry, z)
        return -e['log_lik'](params, carry, z, batch), kl, e['replica'](params, carry, batch,
                                                                        key)[0]

    rec, kl, printed = (np.asarray(x).mean(0)
                        for x in jax.lax.map(terms, jax.random.split(jax.random.key(0), draws)))
    law = np.asarray(e['log_length'](params, carry,
                                     batch)) if 'log_length' in e else np.zeros(15)
    assert np.exp(-(rec + kl - law)).sum() <= 1
    assert ('log_length' in e) == (form != 'davam_q')
    if form == 'davam':
        p = (np.array([1, 2, 4, 8]) + 1) / 19
        np.testing.assert_allclose(np.exp(law), p[np.asarray(batch['length']) - 1], rtol=1e-6)
        assert np.exp(-printed).sum() > 1.5, 'the replica is no bound'
    elif form == 'davam_q':
        assert kl.mean() <= np.log(CODES), 'one code'


@pytest.mark.slow
def test_prior_finds_the_entropy_of_single_codes():
    """T = 1: fitted, the cross-entropy is that of the codes' frequencies."""
    method, params, carry, batch = fitted('davam_q')
    z = np.asarray(method.evals['posterior'](params, carry, batch))[:, 0]
    p = np.bincount(z, minlength=CODES) / 15
    entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
    kl = float(method.evals['kl'](params, carry, jnp.asarray(z)[:, None]).mean())
    assert entropy > .5 and entropy <= kl + 1e-9 and kl < entropy + .02


@pytest.mark.slow
def test_gaussians_collapse_to_their_prior():
    """Less is told than by codes, which cannot collapse."""
    method, params, carry, batch = fitted('gavam')
    e = method.evals
    q = e['posterior'](params, carry, batch)
    z = e['sample_q'](params, carry, q, jax.random.key(0))
    kl = e['log_q'](params, carry, q, z) - e['log_prior'](params, carry, z)
    assert np.isfinite(kl).all()
    p = fitted('davam')
    assert float(kl.mean()) < float(p[0].evals['kl'](p[1], p[2], p[0].evals['posterior'](
        p[1], p[2], batch)).mean())


@pytest.mark.slow
@FORM
def test_samples_are_sentences(form):
    method, params, carry, _ = fitted(form)
    out = method.evals['sample'](params, carry, jax.random.key(0), 40, 'sample')
    assert out['tokens'].shape == (40, 5) and len(np.unique(np.asarray(out['length']))) > 1
    assert (jnp.take_along_axis(out['tokens'], out['length'][:, None], 1) == 2).all()


def test_single_codes_decode():
    """DAVAM-q: codes and their vectors are the same to the decoder."""
    method, params, carry = started('davam_q')
    e, batch = method.evals, data()
    z, key = e['posterior'](params, carry, batch), jax.random.key(0)
    toys.close(e['decode'](params, carry, z, key, 'greedy'),
               e['decode'](params, carry, e['encode'](params, carry, batch), key, 'greedy'))
    assert 'decode' not in started('davam')[0].evals and 'decode' not in started(
        'gavam')[0].evals
