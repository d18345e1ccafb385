"""TWR-VAE: special cases, the law of the code, and the bound by enumeration."""
import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from scipy.special import logsumexp

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import autoencoders, timestep_posteriors
from vaebench.ops import divergences

HP = {
    'beta': 1., 'beta_start': 1., 'warmup': 0., 'delay': 0., 'period': 0., 'lr': .1,
    'lr_scale': 1.
}
READS = pytest.mark.parametrize('reads', ['last', 'mean', 'sum'])


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def kit(latent=2, words='abcdefghi', most=5, hidden=4):
    """The smallest LSTM kit."""
    return networks.build(schema.text(tuple(words), most), {
        'name': 'lstm', 'latent': latent, 'embed': 4, 'hidden': hidden, 'family': 'B',
        'dropout': 0.
    })


def data(n=6, width=7):
    return toys.all_of({k: v for k, v in toys.sentences(n, 9, width).items() if k != 'log_p'})


@functools.cache
def started(reads='last', share=1.):
    method = timestep_posteriors.twr_vae(kit(), toys.recipe(), reads=reads, share=share)
    return method, *method.init(jax.random.key(3), data())


@functools.cache
def compiled(loss):
    return toys.jit(jax.value_and_grad(loss, has_aux=True))


def evaluate(method, params, carry, batch):
    return compiled(method.phases[0].players[0].loss)(params, carry, batch, toys.ctx(HP))


def steps(posterior, m, v, mask, **options):
    """q of given means and log variances [B, L, Z]: the head is the identity, the states are
    they.
    """
    states = jnp.concatenate([m, v], -1)
    features = core.Features(None, states, mask)
    return posterior.apply({'head': {}}, {'lengths': jnp.zeros(9)}, features, **options)


def plain(reads, share=1.):
    toy = toys.kit(2).replace(
        head=lambda n, init=None: core.Net(lambda key: {}, lambda p, x, key=None: x))
    toy = dataclasses.replace(toy, schema={'length': schema.Field('length', (), 9)})
    return timestep_posteriors.stepwise(toy, reads, share)


def moments(shape=(3, 5, 2), seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=shape)), jnp.asarray(rng.normal(size=shape))


@READS
def test_one_step_is_the_vae(reads):
    m, v = moments((3, 1, 2))
    q, _ = steps(plain(reads), m, v, jnp.ones((3, 1), bool))
    toys.close((q['mean'], q['log_var']), (m[:, 0], v[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(q['rate'], divergences.normal_kl(m[:, 0], v[:, 0]), rtol=1e-12)


@pytest.mark.slow
def test_rate_of_the_last_step_is_the_vaes_loss():
    method, params, carry = started('last', 0.)
    vae = autoencoders.vae(kit(), toys.recipe())
    toys.close(vae.init(jax.random.key(3), data())[0], params)
    (loss, (_, aux)), grads = evaluate(method, params, carry, data())
    (want, (_, other)), slopes = evaluate(vae, params, carry, data())
    toys.close((loss, aux['rec'], aux['kl'], aux['rate']),
               (want, other['rec'], other['kl'], other['kl']), rtol=1e-10)
    toys.close(grads, slopes, rtol=1e-8, atol=1e-10)


def test_constant_posteriors_have_the_rate_of_one():
    m, v = (jnp.broadcast_to(x[:, :1], x.shape) for x in moments())
    mask = jnp.arange(5) < jnp.array([[2], [5], [3]])
    for share in (0., .25, .5, .75, 1.):
        q, _ = steps(plain('last', share), m, v, mask)
        np.testing.assert_allclose(q['rate'], divergences.normal_kl(m[:, 0], v[:, 0]),
                                   rtol=1e-12)
        np.testing.assert_allclose(q['mean'], m[:, 0], rtol=1e-12)


@pytest.mark.parametrize('share, used', [(0., (1, 1, 1)), (.25, (1, 1, 1)), (.5, (1, 2, 2)),
                                         (.75, (2, 4, 2)), (1., (2, 5, 3))])
def test_rate_averages_the_last_steps(share, used):
    """As the code counts them, Python's round; the first ones and padding do not count."""
    assert used == tuple(max(round(share * n), 1) for n in (2, 5, 3))
    m, v = moments()
    length = np.array([2, 5, 3])
    q, _ = steps(plain('last', share), m, v, jnp.arange(5) < length[:, None])
    kl = np.asarray(divergences.normal_kl(m, v))
    np.testing.assert_allclose(
        q['rate'],
        [kl[i, n - k:n].mean()
         for i, (n, k) in enumerate(zip(length, used, strict=True))], rtol=1e-12)
    np.testing.assert_allclose(q['mean'], [m[i, n - 1] for i, n in enumerate(length)],
                               rtol=1e-12)


def test_mean_and_sum_have_the_law_of_all_steps():
    """Closed moments of u = sum z / sqrt(T) against draws of every step."""
    m, v = moments()
    length = np.array([2, 5, 3])
    mask = jnp.arange(5) < length[:, None]
    (q, carry), (r, _) = (steps(plain(reads), m, v, mask, weight=jnp.ones(3), hp={})
                          for reads in ('mean', 'sum'))
    toys.close(q, r, rtol=1e-12)
    # one predicted token less than steps
    assert carry['lengths'].tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 0]
    n = 200_000
    z = np.asarray(m) + np.exp(
        np.asarray(v) / 2) * np.random.default_rng(1).normal(size=(n, *m.shape))
    u = (z * np.asarray(mask)[..., None]).sum(2) / np.sqrt(length)[:, None]
    assert (np.abs(u.mean(0) - q['mean']) < 4 * u.std(0) / n**.5).all()
    np.testing.assert_allclose(np.log(u.var(0)), q['log_var'], atol=4 * (2 / n)**.5)


@READS
def test_decoder_reads_the_last_the_mean_or_the_sum(reads):
    method, params, carry = started(reads)
    batch, dec = data(), kit().decoder()
    z = jax.random.normal(jax.random.key(0), (6, 2))
    count = (batch['length'] + 1)[:, None]                      # <s> and </s> are steps
    read = {'last': z, 'mean': z / count**.5, 'sum': z * count**.5}[reads]
    np.testing.assert_allclose(method.evals['log_lik'](params, carry, z, batch),
                               dec.log_prob(params['dec'], read, batch), rtol=1e-12)


@READS
def test_codes_reconstruct(reads):
    """What decode makes of encode is what the decoder makes of the mean it would read."""
    method, params, carry = started(reads)
    states = kit().encoder().apply(params['enc'], data())
    m = jnp.split(kit().head(4).apply(params['head'], states.states), 2, -1)[0]
    mask = states.mask[..., None]
    read = {'last': jnp.split(kit().head(4).apply(params['head'], states.last), 2, -1)[0],
            'mean': (m * mask).sum(1) / mask.sum(1), 'sum': (m * mask).sum(1)}[reads]
    key = jax.random.key(0)
    got = method.evals['decode'](params, carry, method.evals['encode'](params, carry, data()),
                                 key, 'sample')
    toys.close(got, kit().decoder().generate(params['dec'], read, key, 'sample'))


@pytest.mark.slow
@READS
def test_padding_changes_nothing(reads):
    method, params, carry = started(reads)
    batch = data()
    wide = {**batch, 'tokens': jnp.pad(batch['tokens'], ((0, 0), (0, 4)))}
    a, b = (evaluate(method, params, carry, x) for x in (batch, wide))
    toys.close(a, b, rtol=1e-9, atol=1e-12)
    q = [method.evals['posterior'](params, carry, x) for x in (batch, wide)]
    toys.close(q[0], q[1], rtol=1e-12)


@READS
def test_empty_slots_do_not_count(reads):
    method, params, carry = started(reads)
    batch = {**data(), 'weight': jnp.array([1., 1., 1., 0., 0., 0.])}
    other = {**batch, **{k: batch[k].at[3:].set(batch[k][:3]) for k in ('tokens', 'length')}}
    toys.close(evaluate(method, params, carry, batch), evaluate(method, params, carry, other),
               rtol=1e-10)


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


@functools.cache
def fitted(reads, steps=400):
    """A model of one latent dimension after some training on all sentences of a tiny
    language."""
    tiny = kit(1, 'abcde', 3, 8)
    method = timestep_posteriors.twr_vae(tiny, toys.recipe(tx=optax.adam), reads=reads)
    batch = everything()
    hp = {k: jnp.float64(v) for k, v in {**HP, 'beta': .3, 'lr': .02}.items()}
    state = core.init(method, jax.random.key(0), batch, hp)
    idx = jnp.broadcast_to(jnp.arange(15), (steps, 1, 15))
    state, _ = jax.jit(core.make_block(method.phases[0]))(state, batch, idx, jnp.int32(steps))
    return method, state.params, state.carry, batch


def over_nodes(method, params, carry, batch, mean, log_var, n=60):
    """ln p(x|z) at Gauss-Hermite nodes of Gaussians [B, 1]: [n, B], and the nodes' weights
    [n]."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    z = mean + jnp.exp(log_var / 2) * jnp.asarray(x)[:, None, None]
    return np.asarray(
        jax.vmap(lambda z: method.evals['log_lik'](params, carry, z, batch))(z)), w / w.sum()


@READS
@pytest.mark.slow
def test_bound_is_one_on_log_p(reads):
    """ELBO <= ln p(x) for every sentence, and the probabilities of all sentences sum to at most
    one.
    """
    method, params, carry, batch = fitted(reads)
    e = method.evals
    law = e['log_length'](params, carry, batch) if 'log_length' in e else jnp.zeros(15)
    q, zero = e['posterior'](params, carry, batch), jnp.zeros((15, 1))
    lik, w = over_nodes(method, params, carry, batch, zero, zero, 120)
    # by quadrature over the prior
    log_p = logsumexp(lik, 0, b=w[:, None]) + law
    lik, w = over_nodes(method, params, carry, batch, q['mean'], q['log_var'])
    elbo = w @ lik - e['kl'](params, carry, q) + law
    assert (elbo <= log_p + 1e-4).all() and (elbo > log_p - 30).all()
    assert .3 < np.exp(log_p).sum() <= 1 + 1e-6
    # the leak: its scale tells the decoder T
    assert (np.exp(log_p - law).sum() > 1) == (reads != 'last')
    assert np.exp(elbo).sum() < 1
    printed, words = jax.vmap(lambda x: jax.tree.map(lambda y: y[0], e['replica'](
        params, carry, jax.tree.map(lambda y: y[None], x), jax.random.key(0))))(batch)
    np.testing.assert_allclose(
        printed, q['rate'] - e['log_lik'](params, carry, q['mean'], batch), rtol=1e-10)
    assert (words == batch['length'] + 1).all()


@pytest.mark.parametrize('reads', ['last', 'sum'])
@pytest.mark.slow
def test_replica_is_no_bound(reads):
    """What the released code prints promises more probability than there is."""
    method, params, carry, batch = fitted(reads)
    assert float(
        jnp.exp(-method.evals['replica']
                (params, carry, batch, jax.random.key(0))[0]).sum()) > 1.2


@pytest.mark.slow
def test_length_law_is_that_of_the_training_sentences():
    """Counted step by step; +1 smoothing over all lengths."""
    method, _, carry, batch = fitted('mean')
    counts = np.array([1, 2, 4, 8]) * 400 + 1
    got = method.evals['log_length']({}, carry, batch)
    np.testing.assert_allclose(
        jnp.exp(got), (counts / counts.sum())[np.asarray(batch['length']) - 1], rtol=1e-6)
    assert 'log_length' not in fitted('last')[0].evals


@pytest.mark.slow
def test_samples_are_sentences():
    method, params, carry, _ = fitted('sum')
    out = method.evals['sample'](params, carry, jax.random.key(0), 50, 'sample')
    assert out['tokens'].shape == (50, 5) and len(np.unique(np.asarray(out['length']))) > 1
    assert (jnp.take_along_axis(out['tokens'], out['length'][:, None], 1) == 2).all()


def test_unknown_reading_is_told():
    with pytest.raises(UserError, match='choose one of last, mean, sum'):
        timestep_posteriors.twr_vae(kit(), toys.recipe(), reads='first')
