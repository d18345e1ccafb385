"""Matching kernel means: of data, of codes, and of features that learn against the
generator."""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import moment_matching
from vaebench.methods.adversarial_game import NOISE
from vaebench.ops import kernels, two_sample

DATA = toys.images(16)
HP = {'gmmn': {}, 'gmmn_ae': {}, 'mmd_gan': {'rank': 16., 'rec': 8., 'clip': .01}}
SMALL = {'gmmn': {}, 'gmmn_ae': {'hidden': (6,), 'noise': 4}, 'mmd_gan': {}}
NAMES = pytest.mark.parametrize('name', HP)


def numbers(name, **changed):
    return {k: jnp.asarray(v, jnp.result_type(float)) for k, v in {
        **HP[name], 'lr': .05, 'lr_scale': 1., **changed}.items()}


def made(name, kit=None, recipe=None, **options):
    return getattr(moment_matching, name)(kit or toys.kit(), recipe or toys.recipe(),
                                          **{**SMALL[name], **options})


def started(name, hp=None, **options):
    method = made(name, **options)
    return method, core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(8)), hp
                             or numbers(name))


def batch_of():
    return core.take(DATA, jnp.arange(8))


def points(kit_latent=2, hidden=(32, 32)):
    """The smallest real kit for points of the plane."""
    return networks.build({'x': schema.vector(2)},
                          {'name': 'mlp', 'latent': kit_latent, 'hidden': hidden})


# discrepancy

def test_discrepancy_is_the_root_of_the_biased_estimate():
    with jax.enable_x64(True):
        x, y = np.random.default_rng(0).normal(size=(2, 6, 2, 2, 1))
        batch = {'weight': jnp.array([1., 1., 0., 1., 1., 0.])}
        value = moment_matching.discrepancy(jnp.asarray(x), jnp.asarray(y), batch, (.7, 3.))
        keep = np.array([0, 1, 3, 4])
        kernel = lambda a, b: kernels.rbf_mixture(a, b, (.7, 3.))
        want = kernels.mmd(toys.flat(x[keep]), toys.flat(y[keep]), kernel, biased=True)**.5
        assert float(value) == pytest.approx(float(want), rel=1e-12)


def test_no_discrepancy_between_equal_multisets_and_a_finite_gradient():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32)
    batch = {'weight': jnp.ones(5)}
    f = jax.jit(
        jax.value_and_grad(
            lambda y: moment_matching.discrepancy(x, y, batch, moment_matching.GMMN)))
    value, grad = f(x[::-1])
    assert float(value) < 1e-3 and np.isfinite(grad).all()
    value, grad = f(x + .1)
    assert float(value) > .01 and jnp.abs(grad).max() > 0


def test_gradient_may_vanish_away_from_equality():
    """Data {-1, 1}, samples {0, 0}: neither can leave, which the loss does not hide."""
    x, batch = jnp.array([[-1.], [1.]]), {'weight': jnp.ones(2)}
    value, grad = jax.value_and_grad(
        lambda y: moment_matching.discrepancy(x, y, batch, (1.,)))(jnp.zeros((2, 1)))
    want = np.sqrt((1 + np.exp(-2)) / 2 + 1 - 2 * np.exp(-.5))
    assert float(value) == pytest.approx(want, rel=1e-6) and jnp.abs(grad).max() < 1e-6


def test_discrepancy_does_not_depend_on_order_or_place():
    x, y = (jnp.asarray(v, jnp.float32)
            for v in np.random.default_rng(2).normal(size=(2, 6, 3)))
    batch, order = {'weight': jnp.ones(6)}, jnp.array([3, 1, 5, 0, 2, 4])
    f = jax.jit(lambda a, b: moment_matching.discrepancy(a, b, batch, (1., 5.)))
    want = float(f(x, y))
    for a, b in ((x[order], y[order]), (x[order], y), (x + 100, y + 100), (y, x)):
        assert float(f(a, b)) == pytest.approx(want, rel=1e-4)


def test_small_features_keep_their_digits():
    """A clipped encoder's features differ by little; double precision says what the loss should
    be.
    """
    rng = np.random.default_rng(3)
    x, y = 1 + 1e-4 * rng.normal(size=(2, 32, 4))
    value = lambda x, y: float(
        moment_matching.discrepancy(jnp.asarray(x), jnp.asarray(y), {'weight': jnp.ones(32)},
                                    moment_matching.MMD_GAN))
    with jax.enable_x64(True):
        exact = value(x, y)
    single = np.float32(x), np.float32(y)
    with jax.enable_x64(True):
        rounded = value(*map(np.float64, single))
    assert value(*single) == pytest.approx(rounded, rel=1e-3) and exact == pytest.approx(
        rounded, rel=1e-2)


def test_variances_follow_the_size_of_the_data():
    assert moment_matching.scaled((2., 80.), jnp.zeros((3, 28, 28, 1)), 784) == (2., 80.)
    assert moment_matching.scaled((2., 80.), jnp.zeros((3, 2)), 784) == pytest.approx(
        (2 * 2 / 784, 80 * 2 / 784))
    assert moment_matching.scaled((.1,), jnp.zeros((3, 2)), 0) == (.1,)


# contracts

@NAMES
def test_players_move_their_own_parts(name):
    hp = numbers(name, **({'clip': 10.} if name == 'mmd_gan' else {}))
    method, state = started(name, hp)
    trained = set()
    for phase in method.phases:
        state = core.enter(phase, state, batch_of())
        idx = jnp.tile(jnp.arange(8), (core.batches_per_step(phase), 1))
        for player in phase.players:
            alone = toys.jit(core.make_step(phase._replace(players=(player,))))
            new, metrics = alone(state._replace(opt={player.name: state.opt[player.name]}),
                                 DATA, idx)
            assert toys.moved(state.params, new.params) == set(player.trains)
            assert all(np.isfinite(v) for v in metrics.values())
            trained |= set(player.trains)
    assert trained == set(state.params)
    assert [p.select for p in method.phases][-1] == ''


@NAMES
def test_empty_slots_do_not_count(name):
    """Whatever lies in a slot of weight 0 changes no loss, gradient, carry or term; nor does
    the sample beside it.
    """
    method, stock = made(name), toys.all_of(toys.images(8))
    weight = (jnp.arange(8) < 5).astype(jnp.float32)
    params, carry = method.init(jax.random.key(0), stock)

    def every(batch):
        return [
            jax.value_and_grad(p.loss, has_aux=True)(params, carry, batch,
                                                     toys.ctx(numbers(name)))
            for phase in method.phases for p in phase.players
        ]

    f = toys.jit(every)
    hidden = {**stock, 'x': stock['x'].at[5:].set(.37)}
    full, other = (f({**batch, 'weight': weight}) for batch in (stock, hidden))
    toys.close(full, other, rtol=1e-5, atol=1e-6)
    assert not any(
        np.isnan(x).any() for x in jax.tree.leaves(f({**stock, 'weight': 0 * weight})))
    assert not np.allclose(full[-1][0][0],
                           f({**stock, 'weight': jnp.ones(8)})[-1][0][0], rtol=1e-4)


@NAMES
def test_evals(name):
    method, state = started(name)
    batch, key, e = batch_of(), jax.random.key(1), method.evals
    want = {
        'gmmn': set(), 'gmmn_ae': {'encode', 'posterior', 'sample_q', 'log_lik'},
        'mmd_gan': {'reconstruct'}
    }
    assert set(e) == want[name] | {'decode', 'sample', 'sample_prior'}
    p, c = state.params, state.carry
    assert e['sample'](p, c, key, 5, 'mean')['x'].shape == (5, 2, 2, 1)
    z = e['sample_prior'](p, c, key, 400)
    assert z.shape == (400, 3) and e['decode'](p, c, z, key,
                                               'mean')['x'].shape == (400, 2, 2, 1)
    for k in {'encode', 'reconstruct'} & set(e):
        whole, one = e[k](p, c, batch), e[k](p, c, {'x': batch['x'][:1]})
        toys.close(jax.tree.map(lambda v: v[:1], whole), one, rtol=1e-5)
    if name == 'gmmn':
        assert -1 <= z.min() < -.95 and .95 < z.max() <= 1 and jnp.abs(z.var(0) -
                                                                       1 / 3).max() < .06
    if name == 'mmd_gan':
        assert jnp.abs(z.var(0) - 1).max() < .3 and e['reconstruct'](
            p, c, batch)['x'].shape == batch['x'].shape
    if name == 'gmmn_ae':
        assert z.min() > 0 and z.max() < 1


@pytest.mark.parametrize('name', ['gmmn', 'mmd_gan'])
def test_a_kit_without_generator_is_refused(name):
    with pytest.raises(UserError, match="network 'gen', which the kit has not"):
        made(name, toys.without(toys.kit(), 'gen'))


# GMMN

def test_gmmn_loss_is_the_discrepancy_of_its_samples():
    method, state = started('gmmn', variances=(1., 3.), base=8)
    player, ctx, batch = method.phases[0].players[0], toys.ctx(state.hp), batch_of()
    loss = player.loss(state.params, state.carry, batch, ctx)[0]
    fake = method.evals['decode'](state.params, state.carry, NOISE['uniform'](ctx.key, (8, 3)),
                                  None, 'mean')['x']
    assert float(loss) == pytest.approx(
        float(moment_matching.discrepancy(batch['x'], fake, batch, (.5, 1.5))), rel=1e-5)


def test_gmmn_learns_a_law_of_the_plane():
    """The unbiased discrepancy from data that it never saw falls below the permutations' 95 %
    quantile.
    """
    rng = np.random.default_rng(0)
    data = np.float32(rng.normal(size=(2000, 2)) @ [[1., .6], [0., .5]] + [1., -1.])
    stock, fresh = {'x': jnp.asarray(data[:1500])}, jnp.asarray(data[1500:])
    variances = (.05, .3, 2.)
    method = made('gmmn', points(), toys.recipe(tx=optax.adam), variances=variances, base=0)
    state = core.init(method, jax.random.key(0), core.take(stock, jnp.arange(8)),
                      numbers('gmmn', lr=5e-3))
    idx = jnp.asarray(rng.integers(0, 1500, (600, 1, 128)))
    kernel = lambda a, b: kernels.rbf_mixture(a, b, variances)

    @jax.jit
    def test(params):
        drawn = method.evals['sample'](params, state.carry, jax.random.key(2), 250, 'mean')['x']
        return two_sample.mmd_test(jax.random.key(3), drawn, fresh[:250], kernel, 200)

    trained, _ = jax.jit(core.make_block(method.phases[0]))(state, stock, idx, jnp.int32(600))
    before, after = test(state.params), test(trained.params)
    assert before.p_value < .01 and before.statistic > 20 * jnp.quantile(before.null, .95)
    assert after.statistic < jnp.quantile(after.null, .95)


# GMMN on codes

def test_autoencoder_stays_as_it_is_while_codes_are_learnt():
    method, state = started('gmmn_ae')
    assert [(p.name, p.select) for p in method.phases] == [('ae', 'rec'), ('main', '')]
    for phase, moving in zip(method.phases, ({'enc', 'head', 'dec'}, {'gen'}), strict=True):
        state = core.enter(phase, state, batch_of())
        new, _ = toys.jit(core.make_step(phase))(state, DATA, jnp.arange(8)[None])
        assert toys.moved(state.params, new.params) == moving
        state = new


def test_codes_are_compared_with_what_the_generator_makes():
    method, state = started('gmmn_ae', variances=(1.,), base=6)
    batch, ctx, e = batch_of(), toys.ctx(state.hp), method.evals
    loss = method.phases[1].players[0].loss(state.params, state.carry, batch, ctx)[0]
    real = e['encode'](state.params, state.carry, batch)
    fake = e['sample_prior'](state.params, state.carry, ctx.key, 8)
    assert float(loss) == pytest.approx(
        float(moment_matching.discrepancy(real, fake, batch, (.5,))), rel=1e-5)
    out = e['sample'](state.params, state.carry, jax.random.key(3), 4, 'mean')['x']
    z = e['sample_prior'](state.params, state.carry, core.derive(jax.random.key(3), 0), 4)
    toys.close(out, e['decode'](state.params, state.carry, z, None, 'mean')['x'], rtol=1e-6)


def test_corruption_is_of_the_first_phase_only():
    batch = batch_of()
    plain, method = made('gmmn_ae'), made('gmmn_ae', corrupt=.9)
    params, carry = method.init(jax.random.key(0), batch)
    losses = [[
        p.players[0].loss(params, carry, batch, toys.ctx(numbers('gmmn_ae')))[0]
        for p in m.phases
    ] for m in (plain, method)]
    assert abs(losses[0][0] - losses[1][0]) > 1e-3 and losses[0][1] == losses[1][1]


# MMD-GAN

def game(shift=0., **options):
    """An MMD-GAN whose features are the pixels and whose samples are all alike, `shift` above
    the batch's mean.
    """
    plain = core.Net(lambda key: {'w': jnp.ones(())},
                     lambda params, x, weight=None, key=None: params['w'] * toys.flat(x))
    level = DATA['x'][:8].mean() + shift
    flat = core.StatNet(
        lambda key: ({'b': jnp.zeros(
            ())}, {}), lambda params, stats, z, weight=None, train=False:
        (jnp.broadcast_to(level + params['b'], (len(z), 2, 2, 1)), stats))
    kit = toys.kit().replace(critic=lambda n_out: plain, gen=lambda latent=3, norm=False: flat)
    method = moment_matching.mmd_gan(kit, toys.recipe(), **options)
    return method, *method.init(jax.random.key(0), None)


def test_with_plain_features_it_is_gmmn():
    method, params, carry = game(size=4, variances=(1., 2.))
    critic, gen = method.phases[0].players
    batch, ctx = batch_of(), toys.ctx(numbers('mmd_gan', rank=0., rec=0.))
    fake = method.evals['sample'](params, carry, ctx.key, 8, 'mean')['x']
    want = float(moment_matching.discrepancy(batch['x'], fake, batch, (1., 2.)))
    assert float(gen.loss(params, carry, batch, ctx)[0]) == pytest.approx(want, rel=1e-6)
    assert float(critic.loss(params, carry, batch, ctx)[0]) == pytest.approx(-want, rel=1e-6)


def test_both_losses_are_their_sums():
    method, params, carry = game(.3, size=4)
    critic, gen = method.phases[0].players
    batch, ctx = batch_of(), toys.ctx(numbers('mmd_gan'))
    fake = method.evals['sample'](params, carry, ctx.key, 8, 'mean')['x']
    value = moment_matching.discrepancy(batch['x'], fake, batch, moment_matching.MMD_GAN)
    rank = jnp.minimum(batch['x'].mean(0) - fake.mean(0), 0.).mean()
    again = method.evals['reconstruct'](params, carry, batch)['x']
    rec = ((batch['x'] - again)**2).mean() + ((fake - again[:1])**2).mean()
    loss, (_, aux) = critic.loss(params, carry, batch, ctx)
    assert float(loss) == pytest.approx(float(-value - 16 * rank + 8 * rec), rel=1e-5)
    assert [float(aux[k]) for k in ('mmd', 'rank', 'rec')] == pytest.approx(
        [*map(float, (value, rank, rec))], rel=1e-5)
    assert float(gen.loss(params, carry, batch, ctx)[0]) == pytest.approx(
        float(value + 16 * rank), rel=1e-5)
    assert float(rank) < 0


@pytest.mark.parametrize('shift', [-.7, .7])
def test_sign_of_the_order(shift):
    """R is 0 where data have the larger features. Elsewhere the encoder mends it and the
    generator deepens it.
    """
    method, params, carry = game(shift, size=4)
    critic, gen = method.phases[0].players
    batch, ctx = batch_of(), toys.ctx(numbers('mmd_gan', rec=0.))

    def order(params):
        return gen.loss(params, carry, batch, ctx)[1][1]['rank']

    rank = float(order(params))
    grads = {
        p.name: jax.grad(lambda q, p=p: p.loss(q, carry, batch, ctx)[0])(params)
        for p in (critic, gen)
    }
    own = {
        name: jax.grad(lambda q, p=p: p.loss(
            q, carry, batch, ctx._replace(hp={**ctx.hp, 'rank': 0.}))[0])(params)
        for name, p in (('critic', critic), ('gen', gen))
    }
    # of R alone
    share = {n: jax.tree.map(lambda a, b: a - b, grads[n][n], own[n][n]) for n in own}
    if shift < 0:
        assert rank == 0 and all(float(v) == 0 for v in jax.tree.leaves(share))
    else:
        down = lambda n: {
            **params, n: jax.tree.map(lambda p, g: p - .01 * g, params[n], share[n])
        }
        assert float(order(down('critic'))) > rank > float(order(down('gen'))) and rank < 0


@pytest.mark.parametrize('clip', [.01, .3])
def test_encoder_alone_stays_in_its_box(clip):
    hp = numbers('mmd_gan', clip=clip, lr=1.)
    method, state = started('mmd_gan', hp)
    phase = method.phases[0]
    step, idx = toys.jit(core.make_step(phase)), jnp.tile(jnp.arange(8),
                                                          (core.batches_per_step(phase), 1))
    largest = lambda tree: max(float(jnp.abs(x).max()) for x in jax.tree.leaves(tree))
    assert largest(state.params['critic']['enc']) > clip
    for _ in range(3):
        state, _ = step(state, DATA, idx)
        params, edge = state.params, clip * (1 + 1e-6)
        assert .99 * clip < largest(params['critic']['enc']) < edge
        assert largest(params['critic']['dec']) > edge and largest(params['gen']) > edge


def test_every_update_of_the_encoder_has_data_of_its_own():
    method, state = started('mmd_gan', n_critic=3)
    critic, gen = method.phases[0].players
    assert (critic.updates, critic.fresh_batches, critic.while_, gen.updates) == (3, True, None, 1)
    step, rows = toys.jit(core.make_step(method.phases[0])), jnp.arange(8)
    a, b = (step(state, DATA, jnp.stack([rows, rows, last]))[0].params['critic']
            for last in (rows, rows + 8))
    assert max(
        float(jnp.abs(x - y).max())
        for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)) > 1e-6


def test_more_updates_early_and_now_and_then():
    method, state = started('mmd_gan', n_critic=2, boost=4)
    step, idx = toys.jit(core.make_step(method.phases[0])), jnp.tile(jnp.arange(8), (4, 1))
    for at, want in ((0, 4), (24, 4), (25, 2), (499, 2), (500, 4), (501, 2)):
        _, metrics = step(state._replace(total=jnp.int32(at)), DATA, idx)
        assert int(metrics['critic/updates']) == want and int(metrics['gen/updates']) == 1


def test_normalised_generator():
    """Its statistics are moved by its own player; the critic treats images one by one whatever
    the generator does.
    """
    kit = networks.build({'x': schema.image((3, 3, 1))},
                         {'name': 'mlp', 'latent': 2, 'hidden': (6,)})
    method, data = moment_matching.mmd_gan(kit, toys.recipe(), norm=True, n_critic=1,
                                           size=5), toys.images(16, 3)
    batch = core.take(data, jnp.arange(8))
    state = core.init(method, jax.random.key(0), batch, numbers('mmd_gan'))
    carries = [
        toys.jit(
            lambda params, p=p: p.loss(params, state.carry, batch, toys.ctx(state.hp))[1][0])(
                state.params) for p in method.phases[0].players
    ]
    assert [toys.moved({'gen': state.carry['gen']}, {'gen': c['gen']})
            for c in carries] == [set(), {'gen'}]
    whole, part = (method.evals['reconstruct'](state.params, state.carry,
                                               {'x': batch['x'][:n]})['x'] for n in (8, 2))
    toys.close(whole[:2], part, rtol=1e-5)
