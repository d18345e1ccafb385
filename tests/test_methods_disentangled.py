"""VAEs of independent codes: special cases, brute force, and a critic against closed forms."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from scipy import special

from vaebench import core, metrics, networks, schema
from vaebench.datasets import base
from vaebench.engine import loop, trainer
from vaebench.errors import UserError
from vaebench.losses import penalties
from vaebench.methods import disentangled
from vaebench.ops import sampling, total_correlation

DATA = toys.images(12)
RHO = .9
COVARIANCE = np.array([[1., RHO], [RHO, 1.]])
CORRELATION = -.5 * np.log(1 - RHO**2)          # nats


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def started(name, **options):
    """Method, params and carry."""
    method = toys.make(name, **options)
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@functools.cache
def compiled(name, player=0, **options):
    player = started(name, **options)[0].phases[0].players[player]
    return toys.jit(jax.value_and_grad(player.loss, has_aux=True))


def evaluate(name, numbers=None, batch=None, player=0, params=None, **options):
    """Loss, gradient and aux on all data."""
    _, own, carry = started(name, **options)
    ctx = toys.ctx(toys.hp(name, **numbers or {}))
    (loss, (_, aux)), grads = compiled(name, player, **options)(params or own, carry,
                                                                batch or toys.all_of(DATA), ctx)
    return float(loss), grads, {k: float(v) for k, v in aux.items()}


def drawn(name, **options):
    """(q, z) of all data as the player's loss draws them."""
    method, params, carry = started(name, **options)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    return q, method.evals['sample_q'](params, carry, q, core.derive(jax.random.key(0), 0, 1))


def spread(n, dims):
    """[n, dims] standard normal numbers that lie evenly."""
    ratio = {2: 1.324717957244746, 4: 1.1673039782614187}[dims]
    return special.ndtri(np.arange(1, n + 1)[:, None] * ratio**-np.arange(1., dims + 1) % 1)


# The KL in three parts


@pytest.mark.parametrize('weights', ['mws', 'mss', 'sym'])
def test_weights_of_one_make_the_vae(weights):
    loss, grads, aux = evaluate('beta_tcvae', {'beta': 1.}, weights=weights)
    vae = evaluate('vae')
    assert loss == vae[0] == aux['rec'] + aux['kl']
    toys.close(grads, vae[1], rtol=1e-12)


@pytest.mark.parametrize('weights', ['mws', 'mss', 'sym'])
def test_equal_weights_make_the_drawn_kl(weights):
    """The parts telescope: beta KL, the part above 1 as drawn."""
    method, params, carry = started('beta_tcvae', weights=weights)
    (q, z), b = drawn('beta_tcvae', weights=weights), 3.
    loss, _, aux = evaluate('beta_tcvae', {'alpha': b, 'beta': b, 'gamma': b}, weights=weights)
    e = method.evals
    kl = (e['log_q'](params, carry, q, z) - e['log_prior'](params, carry, z)).mean()
    assert loss == pytest.approx(aux['rec'] + aux['kl'] + (b - 1) * float(kl), rel=1e-12)


def test_parts_by_brute_force():
    """Minibatch weighted sampling as it is published: a mean of B densities over N B."""
    q, z = (jax.tree.map(np.asarray, v) for v in drawn('beta_tcvae'))
    n, examples = len(z), toys.recipe().examples
    dense = lambda i, j, k: np.exp(-.5 * (z[i, k] - q['mean'][j, k])**2 / np.exp(q['log_var'][j, k])
                                   ) / np.sqrt(2 * np.pi * np.exp(q['log_var'][j, k]))
    p = np.array([[[dense(i, j, k) for k in range(3)] for j in range(n)] for i in range(n)])
    joint, marginals = p.prod(2).sum(1) / (n * examples), p.sum(1) / (n * examples)
    own = p[range(n), range(n)].prod(1)
    normal = np.exp(-.5 * z**2) / np.sqrt(2 * np.pi)
    loss, _, aux = evaluate('beta_tcvae', {'alpha': .5, 'beta': 6., 'gamma': 2.})
    want = {'index_mi': np.log(own / joint).mean(), 'tc': np.log(joint / marginals.prod(1)).mean(),
            'dw_kl': np.log(marginals / normal).sum(1).mean()}
    assert {k: aux[k] for k in want} == pytest.approx(want, rel=1e-9)
    assert loss == pytest.approx(aux['rec'] + aux['kl'] - .5 * want['index_mi']
                                 + 5 * want['tc'] + want['dw_kl'], rel=1e-9)


def test_estimators_of_the_total_correlation_have_their_own_levels():
    """The weighted one is lower by what N takes off its densities, (Z - 1) log N more or less."""
    found = {w: evaluate('beta_tcvae', weights=w)[2]['tc'] for w in ('mws', 'mss', 'sym')}
    assert found['mws'] - found['sym'] == pytest.approx(2 * np.log(toys.recipe().examples), abs=.2)
    assert abs(found['mss'] - found['sym']) < .1


def test_unknown_options_are_refused():
    with pytest.raises(UserError, match='mws, mss, sym'):
        toys.make('beta_tcvae', weights='full')
    with pytest.raises(UserError, match="did you mean 'ii'"):
        toys.make('dip_vae_i', form='iii')


# Covariances


def test_whitened_means_cost_nothing():
    x = np.random.default_rng(0).normal(size=(40, 3)) @ np.diag([1., 5., .1]) + 2
    x = x - x.mean(0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    assert penalties.covariance_moments(white, 0., jnp.ones(40)) == pytest.approx([0, 0], abs=1e-20)


def test_moments_are_those_of_the_covariance():
    rng = np.random.default_rng(1)
    mean, variance, weight = rng.normal(size=(9, 3)), rng.random((9, 3)), np.array([1.] * 7 + [0.] * 2)
    c = np.cov(mean[:7].T, bias=True) + np.diag(variance[:7].mean(0))
    found = penalties.covariance_moments(mean, variance, weight)
    want = ((c - np.diag(np.diag(c)))**2).sum(), ((np.diag(c) - 1)**2).sum()
    assert found == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize('name, diagonal', [('dip_vae_i', 3.), ('dip_vae_ii', 0.)])
def test_posteriors_at_the_prior(name, diagonal):
    """mu 0 and log variance 0: the second form is content, the first wants Z variances of 1."""
    params = started(name)[1]
    params = {**params, 'head': jax.tree.map(jnp.zeros_like, params['head'])}
    loss, _, aux = evaluate(name, {'lambda_d': 7.}, params=params)
    assert (aux['kl'], aux['off_diagonal'], aux['diagonal']) == pytest.approx((0, 0, diagonal), abs=1e-12)
    assert loss == pytest.approx(aux['rec'] + 7 * diagonal, rel=1e-12)


@pytest.mark.parametrize('name', ['dip_vae_i', 'dip_vae_ii'])
def test_dip_without_weights_is_the_vae(name):
    toys.close(evaluate(name, {'lambda_od': 0., 'lambda_d': 0.})[:2], evaluate('vae')[:2], rtol=1e-12)


def test_the_second_form_adds_the_variances_of_posteriors():
    q, _ = drawn('dip_vae_i')
    c = np.cov(np.asarray(q['mean']).T, bias=True)
    for name, extra in (('dip_vae_i', 0.), ('dip_vae_ii', np.exp(q['log_var']).mean(0))):
        aux = evaluate(name)[2]
        assert aux['diagonal'] == pytest.approx(((np.diag(c) + extra - 1)**2).sum(), rel=1e-9)
        assert aux['off_diagonal'] == pytest.approx((c**2).sum() - (np.diag(c)**2).sum(), rel=1e-9)


# A critic of the total correlation


def test_permuted_columns_keep_their_values():
    x, weight = jax.random.normal(jax.random.key(0), (50, 3)), jnp.array([1.] * 20 + [0.] * 10 + [1.] * 20)
    y = sampling.permute_columns(jax.random.key(1), x, weight)
    filled = np.asarray(weight) > 0
    np.testing.assert_array_equal(np.sort(y[filled], 0), np.sort(x[filled], 0))
    np.testing.assert_array_equal(y[~filled], x[~filled])
    place = lambda k: [int(np.flatnonzero(x[:, k] == v)[0]) for v in y[:, k]]
    assert place(0) != place(1) != place(2) != place(0)
    rows = jnp.stack([jnp.arange(4.)] * 2, 1)
    many = jax.vmap(lambda k: sampling.permute_columns(k, rows, jnp.ones(4)))(jax.random.split(jax.random.key(2), 4000))
    np.testing.assert_allclose(many.mean(0), 1.5, atol=.08)              # every place is as likely
    assert np.corrcoef(np.asarray(many[:, 0]).T)[0, 1] == pytest.approx(0, abs=.05)


def other_batch():
    return {**toys.all_of(DATA), 'other': toys.all_of(toys.images(12, seed=1))}


def test_a_constant_critic_sees_nothing():
    params = started('factor_vae', hidden=(4,))[1]
    params = {**params, 'critic': jax.tree.map(jnp.zeros_like, params['critic'])}
    loss, _, aux = evaluate('factor_vae', params=params, hidden=(4,))
    assert aux['tc'] == 0 and loss == aux['rec'] + aux['kl']
    critic, grads, _ = evaluate('factor_vae', player=1, batch=other_batch(), params=params, hidden=(4,))
    assert critic == pytest.approx(np.log(2), rel=1e-12)
    assert not any(np.any(g) for k in params if k != 'critic' for g in jax.tree.leaves(grads[k]))


def test_the_vae_moves_first_and_each_moves_its_own():
    vae, critic = started('factor_vae', hidden=(4,))[0].phases[0].players
    assert (vae.name, critic.name, critic.trains) == ('vae', 'critic', ('critic',))
    assert 'critic' not in vae.trains and critic.other_batch and not vae.other_batch
    loss, grads, aux = evaluate('factor_vae', {'gamma': 5.}, hidden=(4,))
    assert loss == pytest.approx(aux['rec'] + aux['kl'] + 5 * aux['tc'], rel=1e-12) and aux['tc'] != 0
    assert any(np.any(g) for g in jax.tree.leaves(grads['enc']))
    vae = evaluate('vae', params=started('factor_vae', hidden=(4,))[1])
    toys.close(vae[2], {k: v for k, v in aux.items() if k != 'tc'}, rtol=1e-12)


def test_the_critic_reads_both_batches():
    full = other_batch()
    base, *changed = (evaluate('factor_vae', player=1, batch=b, hidden=(4,))[0] for b in (
        full, {**full, 'x': 1 - full['x']}, {**full, 'other': {**full['other'], 'x': 1 - full['other']['x']}}))
    assert all(abs(base - c) > 1e-9 for c in changed)


def gap(z):
    """log q(z) - sum_l log q(z_l) of N(0, COVARIANCE): the logit of the best critic."""
    own = jnp.einsum('...i,ij,...j', z, np.linalg.inv(COVARIANCE) - np.eye(2), z)
    return (-.5 * own + CORRELATION)[..., None]


def test_the_best_critic_gives_the_total_correlation():
    assert pytest.approx(.83037, abs=5e-6) == CORRELATION
    net = core.Net(lambda key: {}, lambda params, z, key=None: gap(z))
    method = disentangled.factor_vae(toys.kit(2).replace(mlp=lambda sizes, activation: net), toys.recipe())
    z = jnp.asarray(spread(4000, 2) @ np.linalg.cholesky(COVARIANCE).T)
    found = method.evals['penalties']({'critic': {}}, {}, {'weight': jnp.ones(4000)}, None, z, jax.random.key(0))
    assert float(found['tc']) == pytest.approx(CORRELATION, abs=2e-3)


@pytest.mark.slow
def test_a_trained_critic_approaches_it_from_below():
    """Posteriors N(x, s^2 I) of points x make N(0, COVARIANCE), and the encoder stands still; the estimate by all
    posteriors, without a critic, is there too."""
    n, s2 = 1024, .05
    identity = core.Net(lambda key: {}, lambda params, x, key=None: core.Features(x['x']))
    head = core.Net(lambda key: {}, lambda params, x, key=None: jnp.concatenate([x, jnp.full_like(x, np.log(s2))], 1))
    kit = toys.kit(2).replace(encoder=lambda init=None: identity, head=lambda *a, **k: head)
    kit = kit.replace(decoder=lambda: core.Decoder(lambda key: {}, lambda p, z, batch, key=None: z[:, 0], None))
    method = disentangled.factor_vae(kit, toys.recipe(), hidden=(32, 32))
    data = {'x': jnp.asarray(spread(n, 2) @ np.linalg.cholesky(COVARIANCE - s2 * np.eye(2)).T)}
    batch = toys.all_of(data)
    state = core.init(method, jax.random.key(0), batch, toys.hp('factor_vae', critic_lr=3e-3))
    q = method.evals['posterior'](state.params, state.carry, batch)
    z = method.evals['sample_q'](state.params, state.carry, q, jax.random.key(9))
    estimate = lambda s: float(method.evals['penalties'](s.params, s.carry, batch, q, z, jax.random.key(0))['tc'])
    block, found = jax.jit(core.make_block(method.phases[0])), [estimate(state)]
    rows = np.random.default_rng(0).integers(0, n, (4, 100, 2, 256)).astype(np.int32)
    for part in rows:
        state, _ = block(state, data, jnp.asarray(part), jnp.int32(100))
        found.append(estimate(state))
    log_q = lambda z: method.evals['log_q_dims']({}, {}, q, z)
    weights = total_correlation.log_weights('full', batch['weight'], n)
    full = float(total_correlation.decompose(jax.vmap(log_q)(z), log_q(z), weights, 0 * z).tc.mean())
    assert full == pytest.approx(CORRELATION, abs=.03)
    assert found[0] < found[1] < max(found) < full and min(found[2:]) > .75


# A ceiling


@functools.cache
def made(latent=3):
    """A dataset whose points are its two factors, turned, and a kit for it."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, 4, 300), rng.integers(0, 7, 300)], 1).astype(np.int32)
    x = (factors @ np.array([[.3, .2], [-.1, .4]]) + 1).astype(np.float32)
    split = lambda rows: {'x': x[rows], 'factors': factors[rows]}
    data = base.make('turned', {'train': split(slice(200)), 'valid': split(slice(200, 300))},
                     {'x': schema.vector(2), 'factors': schema.Field('factors', (2,))})
    return data, networks.build(data.schema, {'name': 'mlp', 'latent': latent, 'hidden': (32,)})


def test_codes_are_regressed_on_the_factors():
    data, kit = made()
    method = toys.make('supervised_codes', kit, toys.recipe(tx=optax.adam))
    train, valid = ({k: jnp.asarray(v) for k, v in data.splits[s].items()} for s in ('train', 'valid'))
    state = core.init(method, jax.random.key(0), toys.all_of(train), toys.hp('supervised_codes', lr=.02))
    check = metrics.validator(method.evals, [valid])
    measure = lambda s: {k: float(v[0]) for k, v in check(*jax.tree.map(
        lambda x: x[None], (s.params, s.carry)), jax.random.key(0)).items()}
    before = measure(state)['error']
    rows = np.random.default_rng(1).integers(0, 200, (300, 1, 50)).astype(np.int32)
    state, _ = jax.jit(core.make_block(method.phases[0]))(state, train, jnp.asarray(rows), jnp.int32(300))
    after, batch = measure(state), toys.all_of(valid)
    assert method.phases[0].select == 'error' and after['error'] < .02 < 1 < before
    codes = np.asarray(method.evals['encode'](state.params, state.carry, batch))
    assert codes.shape == (100, 3) and not codes[:, 2].any()
    own = np.asarray(train['factors'], float)
    want = (np.asarray(valid['factors']) - own.mean(0)) / own.std(0)
    error = method.evals['error'](state.params, state.carry, batch)
    np.testing.assert_allclose(error, ((codes[:, :2] - want)**2).sum(1), rtol=1e-5)
    assert np.corrcoef(codes[:, 0], want[:, 0])[0, 1] > .99 < np.corrcoef(codes[:, 1], want[:, 1])[0, 1]


def test_a_factor_that_never_changes_is_no_division_by_zero():
    data, kit = made()
    method = toys.make('supervised_codes', kit)
    batch = {**toys.all_of({k: jnp.asarray(v) for k, v in data.splits['valid'].items()}),
             'factors': jnp.ones((100, 2), jnp.int32)}
    params, carry = method.init(jax.random.key(0), batch)
    assert carry['std'].tolist() == [1, 1]
    assert np.isfinite(method.evals['error'](params, carry, batch)).all()


def test_codes_need_factors_and_room_for_them():
    with pytest.raises(UserError, match='kit.latent to at least 2, it is 1'):
        toys.make('supervised_codes', made(1)[1])
    with pytest.raises(UserError, match="needs a column 'factors'"):
        toys.make('supervised_codes', toys.without(toys.kit(), 'factors'))


# A floor


def test_principal_components_are_those_of_a_library():
    """Through the engine, on a last batch that is not full; rows that were not seen have codes too."""
    from sklearn.decomposition import PCA
    x = np.random.default_rng(0).normal(size=(150, 5)) @ np.random.default_rng(1).normal(size=(5, 5)) + 30
    train, rest = {'x': jnp.asarray(x[:100])}, {'x': jnp.asarray(x[100:])}
    kit = networks.build({'x': schema.vector(5)}, {'name': 'mlp', 'latent': 3, 'hidden': (4,)})
    method = toys.make('pca_codes', kit)
    made = trainer.Trainer(method, [train], lambda evals, needs: metrics.validator(evals, [rest], needs),
                           trainer.Settings(2, 64), 2)
    state, record = loop.run(made, (0, 1), {'lr': 1., 'lr_scale': 1.})
    assert not record.curves and not state.params and state.carry['axes'].shape == (2, 5, 3)
    one, batch = jax.tree.map(lambda v: v[1], state.carry), toys.all_of(rest)
    codes = method.evals['encode']({}, one, batch)
    library = PCA(3, svd_solver='full').fit(x[:100])
    want = library.transform(x[100:])
    signs = np.sign((np.asarray(codes) * want).sum(0))
    np.testing.assert_allclose(codes * signs, want, atol=1e-9)
    again = library.inverse_transform(want)
    np.testing.assert_allclose(method.evals['decode']({}, one, codes, None, 'mean')['x'], again, atol=1e-9)
    np.testing.assert_allclose(method.evals['error']({}, one, batch), ((again - x[100:])**2).sum(1), atol=1e-9)
    assert (np.take_along_axis(np.asarray(one['axes']), np.abs(one['axes']).argmax(0)[None], 0) > 0).all()


def test_no_more_components_than_numbers():
    with pytest.raises(UserError, match='kit.latent to at most 4'):
        toys.make('pca_codes', toys.kit(5))
