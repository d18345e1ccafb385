"""Games: who moves, on which data, towards what."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from scipy import stats

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import adversarial_game, energy_gans, gans
from vaebench.ops.fdivergence import DIVERGENCES

DATA = toys.labelled(16)
HP = {
    'lr': .1, 'lr_scale': 1., 'penalty': 10., 'clip': .05, 'info': 1., 'info_continuous': .1,
    'critic_lr': .02, 'margin': .5, 'pulling': .1, 'gamma': .5, 'lambda_k': .01
}
ROWS = {
    'gan': gans.gan, 'minmax': functools.partial(gans.gan, form='minmax'),
    'lsgan': gans.lsgan, 'wgan': gans.wgan, 'wgan_gp': gans.wgan_gp,
    **{f'f_{d}': functools.partial(gans.f_gan, divergence=d) for d in DIVERGENCES},
    'infogan': gans.infogan, 'ebgan': energy_gans.ebgan, 'began': energy_gans.began,
}


def hp(**numbers):
    return {k: jnp.asarray(v, jnp.float32) for k, v in {**HP, **numbers}.items()}


def started(factory, kit=None, recipe=None, numbers=None, **options):
    """Method and its first state."""
    method = factory(kit or toys.kit(), recipe or toys.recipe(), **options)
    return method, core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(8)), numbers
                             or hp())


def losses_of(method, params, carry, numbers=None, batch=None):
    """Loss and aux of the critic and of the generator."""
    batch = core.take(DATA, jnp.arange(8)) if batch is None else batch
    out = [
        p.loss(params, carry, batch, toys.ctx(numbers or hp()))
        for p in method.phases[0].players
    ]
    return [(float(loss), {k: float(v) for k, v in aux.items()}) for loss, (_, aux) in out]


def blind(params, value=0.):
    """A critic whose outputs are all `value`: its last biases are, whatever it sees."""
    critic = jax.tree.map(jnp.zeros_like, params['critic'])
    return {**params, 'critic': {**critic, 'b': critic['b'] + value}}


@pytest.mark.parametrize('name', ROWS)
def test_players_move_their_own_network_only(name):
    method, state = started(ROWS[name])
    phase = method.phases[0]
    assert phase.select == '' and set(state.params) == {'critic', 'gen'}
    idx = jnp.tile(jnp.arange(8), (core.batches_per_step(phase), 1))
    for player, own in zip(phase.players, ('critic', 'gen'), strict=True):
        alone = toys.jit(core.make_step(phase._replace(players=(player,))))
        new, _ = alone(state._replace(opt={player.name: state.opt[player.name]}), DATA, idx)
        assert toys.moved(state.params, new.params) == {own}
    assert not {'elbo', 'log_lik', 'posterior'} & set(method.evals)


@pytest.mark.parametrize('name, critic, gen', [('gan', 2 * np.log(2), np.log(2)),
                                               ('minmax', 2 * np.log(2), -np.log(2)),
                                               ('f_gan', 2 * np.log(2), -np.log(2)),
                                               ('infogan', 2 * np.log(2), np.log(2)),
                                               ('lsgan', .5, .5), ('wgan', 0, 0),
                                               ('wgan_gp', 10, 0),
                                               ('f_kl', np.exp(-1), -np.exp(-1)),
                                               ('f_reverse_kl', 0, 1), ('f_pearson', 0, 0),
                                               ('f_hellinger', 0, 0), ('f_js', 0, 0)])
def test_blind_critic(name, critic, gen):
    method, state = started(ROWS[name], **({'continuous': 0} if name == 'infogan' else {}))
    (a, _), (b, _) = losses_of(method, blind(state.params), state.carry)
    assert a == pytest.approx(critic, rel=1e-5, abs=1e-6) and b == pytest.approx(
        gen, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize('form', ['minmax', 'nonsaturating'])
@pytest.mark.parametrize('divergence, shift', [('gan', 0.), ('js', np.log(2))])
def test_f_gan_of_gan_and_of_jensen_shannon_is_the_gan(divergence, shift, form):
    """Losses differ by a constant and gradients not at all: one row of a table for the three."""
    method, state = started(gans.gan, form=form)
    other = gans.f_gan(toys.kit(), toys.recipe(), divergence=divergence, form=form)
    batch, side = core.take(DATA, jnp.arange(8)), 1 if form == 'minmax' else -1
    for i, gap in enumerate((-2 * shift, side * shift)):
        found = []
        for player in (m.phases[0].players[i] for m in (other, method)):
            f = lambda params, p=player: p.loss(params, state.carry, batch, toys.ctx(hp()))[0]
            found.append(jax.value_and_grad(f)(state.params))
        (a, slopes), (b, want) = found
        assert float(a - b) == pytest.approx(gap, abs=1e-5)
        toys.close({i: slopes[p] for i, p in enumerate(player.trains)},
                   {i: want[p] for i, p in enumerate(player.trains)}, rtol=1e-4, atol=1e-6)


P, Q = stats.norm(.3, .8), stats.norm(-.2, 1.1)
BEST = {'kl': lambda r: 1 + r, 'reverse_kl': lambda r: r, 'pearson': lambda r: 2 * jnp.expm1(r),
        'hellinger': lambda r: r / 2, 'js': lambda r: r, 'gan': lambda r: r}
VALUES = {
    'kl': .186222, 'reverse_kl': .322171, 'pearson': .304613, 'hellinger': .114058,
    'js': .106140, 'gan': -1.280154
}


def normals(name):
    """A kit whose generator is N(m, 1.1^2) and whose critic knows the best output for data from
    N(.3, .8^2).
    """
    def log_ratio(x):
        return -.5 * ((x - .3) / .8)**2 - np.log(.8) + .5 * ((x + .2) / 1.1)**2 + np.log(1.1)

    gen = core.StatNet(lambda key: ({'m': jnp.float32(-.2)}, {}),
                       lambda params, stats, z, *_, train=False: (params['m'] + 1.1 * z, stats))
    critic = core.Net(
        lambda key: {'b': jnp.zeros(1)}, lambda params, x, weight=None: BEST[name]
        (log_ratio(x[:, 0])) + params['b'][0])
    return toys.kit(1).replace(gen=lambda **_: gen, critic=lambda **_: critic)


@pytest.mark.parametrize('name', DIVERGENCES)
def test_f_gan_measures_the_divergence_and_the_generator_descends_it(name):
    """At the best critic the bound is D_f(data || samples) and the generator's gradient that of
    D_f.
    """
    n = 200_000
    method = gans.f_gan(normals(name), toys.recipe(), divergence=name)
    params, carry = method.init(jax.random.key(0), None)
    batch = {
        'x': jnp.asarray(P.ppf((np.arange(n) + .5) / n)[:, None], jnp.float32),
        'weight': jnp.ones(n)
    }
    critic, gen = method.phases[0].players
    bound = critic.loss(params, carry, batch, toys.ctx(hp()))[1][1]['bound']
    assert float(bound) == pytest.approx(VALUES[name], abs=.02)
    slope = jax.grad(
        lambda m: gen.loss({**params, 'gen': {'m': m}}, carry, batch, toys.ctx(hp()))[0])(
            params['gen']['m'])
    grid, d = np.linspace(-9, 9, 5001), DIVERGENCES[name]

    def exact(m):
        q = stats.norm(m, 1.1)
        return np.trapezoid(q.pdf(grid) * np.asarray(d.f(P.pdf(grid) / q.pdf(grid))), grid)

    with jax.enable_x64(True):
        want = (exact(-.2 + 1e-3) - exact(-.2 - 1e-3)) / 2e-3
    assert want < -.05 and float(slope) == pytest.approx(want, abs=.03)


def test_f_gan_minmax_and_practical_pull_samples_the_same_way():
    for name in DIVERGENCES:
        for form in ('minmax', 'nonsaturating'):
            method = gans.f_gan(normals(name), toys.recipe(), divergence=name, form=form)
            params, carry = method.init(jax.random.key(0), None)
            gen, batch = method.phases[0].players[1], {
                'x': jnp.zeros((999, 1)), 'weight': jnp.ones(999)
            }
            slope = jax.grad(lambda m, p=params, g=gen, c=carry, b=batch: g.loss(
                {**p, 'gen': {'m': m}}, c, b, toys.ctx(hp()))[0])(params['gen']['m'])
            assert float(slope) < 0, (name, form)            # data lies to the right


@pytest.mark.parametrize('place', [-3., -.01, .02, 5.])
def test_two_points_are_as_far_as_they_are_for_wasserstein_but_not_for_jensen_shannon(place):
    """Point masses at 0 and `place`: W1 is |place|, twice the Jensen-Shannon divergence 2 log 2
    at any distance.
    """
    gen = core.StatNet(
        lambda key: ({'m': jnp.float32(place)}, {}), lambda params, stats, z, *_, train=False:
        (jnp.full(z.shape, params['m']), stats))

    def value(factory, score, key):
        net = core.Net(lambda key: {}, lambda params, x, weight=None: score(x[:, 0]))
        method = factory(
            toys.kit(1).replace(gen=lambda **_: gen, critic=lambda **_: net), toys.recipe())
        batch = {'x': jnp.zeros((4, 1)), 'weight': jnp.ones(4)}
        return losses_of(method, *method.init(jax.random.key(0), None), batch=batch)[0][1][key]

    slope = -np.sign(place)
    assert value(gans.wgan, lambda x: slope * x, 'wasserstein') == pytest.approx(
        abs(place), rel=1e-6)
    assert value(ROWS['f_js'], lambda x: jnp.where(x == 0, 40., -40.),
                 'bound') == pytest.approx(2 * np.log(2))


def test_wasserstein_estimate_of_the_best_critic_is_the_mean_sorted_difference():
    """Two samples on a line; the critic is the potential whose slope is the sign of the
    difference of their cdfs.
    """
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=50), rng.normal(.4, 2, size=50)
    knots = np.sort(np.concatenate([a, b]))
    gaps = [np.sign((b <= x).mean() - (a <= x).mean()) for x in knots[:-1]]
    height = np.concatenate([[0], np.cumsum(gaps * np.diff(knots))])
    net = core.Net(lambda key: {},
                   lambda params, x, weight=None: jnp.interp(x[:, 0], knots, height))
    gen = core.StatNet(
        lambda key: ({}, {}), lambda params, stats, z, *_, train=False:
        (jnp.asarray(b)[:, None], stats))
    method = gans.wgan(
        toys.kit(1).replace(gen=lambda **_: gen, critic=lambda **_: net), toys.recipe())
    batch = {'x': jnp.asarray(a)[:, None], 'weight': jnp.ones(50)}
    (loss, aux), _ = losses_of(method, *method.init(jax.random.key(0), None), batch=batch)
    want = np.abs(np.sort(a) - np.sort(b)).mean()
    assert want == pytest.approx(stats.wasserstein_distance(a, b))
    assert aux['wasserstein'] == -loss == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize('tx', [optax.sgd, optax.rmsprop])
def test_wgan_keeps_its_critic_in_bounds(tx):
    numbers = hp(lr=10., clip=.03)
    method, state = started(gans.wgan, recipe=toys.recipe(tx=tx, clip=1e9), numbers=numbers)
    phase = method.phases[0]
    assert max(float(jnp.abs(v).max()) for v in jax.tree.leaves(state.params['critic'])) > .1
    new, metrics = toys.jit(core.make_step(phase))(state, DATA, jnp.tile(jnp.arange(8), (5, 1)))
    sizes = [np.abs(v) for v in jax.tree.leaves(new.params['critic'])]
    assert max(s.max() for s in sizes) <= .03 * (1 + 1e-6)
    # and they do press on them
    assert np.isclose(np.concatenate([s.ravel() for s in sizes]), .03).mean() > .5
    assert float(metrics['critic/updates']) == 5
    assert max(float(jnp.abs(v).max()) for v in jax.tree.leaves(new.params['gen'])) > .1
    once, _ = toys.jit(
        core.make_step(phase._replace(players=(phase.players[0]._replace(updates=1),))))(
            state._replace(opt={'critic': state.opt['critic']}), DATA, jnp.arange(8)[None])
    assert max(float(jnp.abs(v).max())
               for v in jax.tree.leaves(once.params['critic'])) <= .03 * (1 + 1e-6)


def test_clipping_leaves_an_update_alone_that_stays_inside():
    params, grads = {'w': jnp.array([.1, -.2, .4])}, {'w': jnp.array([1., 1., -3.])}
    tx = adversarial_game.clip_parameters(optax.sgd(.1), .5)
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(
        optax.apply_updates(params, updates)['w'], [0, -.3, .5], atol=1e-7)


def test_boosted_critic_updates():
    """Seven in the first 25 steps and in every 500th, else two; the generator always moves
    once.
    """
    method, state = started(gans.wgan, n_critic=2, boost=7)
    phase = method.phases[0]
    assert core.batches_per_step(phase) == 7
    step, idx = toys.jit(core.make_step(phase)), jnp.tile(jnp.arange(8), (7, 1))
    for total, updates in ((0, 7), (24, 7), (25, 2), (499, 2), (500, 7), (501, 2)):
        _, metrics = step(state._replace(total=jnp.int32(total)), DATA, idx)
        assert int(metrics['critic/updates']) == updates and int(metrics['gen/updates']) == 1


@pytest.mark.parametrize('norm', [1., 3., 0.])
def test_wgan_gp_of_a_linear_critic(norm):
    """Its penalty is (norm - 1)^2 and its estimate the difference of mean scores."""
    method, state = started(gans.wgan_gp)
    w = norm * jnp.array([[.6], [0.], [.8], [0.]])
    params = {**state.params, 'critic': {'w': w, 'b': jnp.ones(1)}}
    player, batch, ctx = method.phases[0].players[0], core.take(DATA, jnp.arange(8)), toys.ctx(
        state.hp)
    f = jax.value_and_grad(
        lambda p: player.loss({**params, 'critic': p}, state.carry, batch, ctx), has_aux=True)
    (loss, (_, aux)), grads = f(params['critic'])
    assert float(aux['penalty']) == pytest.approx((norm - 1)**2, abs=1e-5)
    fake = method.evals['sample'](params, state.carry, core.derive(ctx.key, 0), 8, 'mean')['x']
    gap = (toys.flat(batch['x']) @ w).mean() - (toys.flat(fake) @ w).mean()
    assert float(aux['wasserstein']) == pytest.approx(float(gap), abs=1e-6)
    assert float(loss) == pytest.approx(10 * (norm - 1)**2 - float(gap), abs=1e-4)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_penalty_is_measured_between_each_image_and_its_own_sample():
    """A critic that is linear in x's square has a gradient that tells where it was taken."""
    square = core.Net(lambda key: {'w': jnp.ones(())},
                      lambda params, x, key=None: params['w'] * (toys.flat(x)**2).sum(-1) / 2)
    method, state = started(gans.wgan_gp,
                            toys.kit().replace(critic=lambda: square), n_critic=1)
    batch, ctx = core.take(DATA, jnp.arange(8)), toys.ctx(state.hp)
    aux = method.phases[0].players[0].loss(state.params, state.carry, batch, ctx)[1][1]
    fake = method.evals['sample'](state.params, state.carry, core.derive(ctx.key, 0), 8,
                                  'mean')['x']
    share = jax.random.uniform(core.derive(ctx.key, 1), (8, 1, 1, 1)).reshape(8, 1)
    between = share * toys.flat(batch['x']) + (1 - share) * toys.flat(fake)
    want = ((np.linalg.norm(between, axis=-1) - 1)**2).mean()
    assert float(aux['penalty']) == pytest.approx(float(want), rel=1e-5)
    assert np.unique(np.asarray(share)).size == 8


@pytest.mark.parametrize('name', ['wgan', 'wgan_gp'])
def test_every_critic_update_has_data_of_its_own(name):
    method, state = started(ROWS[name], n_critic=3, numbers=hp(clip=9.))
    critic, gen = method.phases[0].players
    assert (critic.updates, critic.fresh_batches, gen.updates, gen.fresh_batches) == (3, True, 1, False)
    step = toys.jit(core.make_step(method.phases[0]))
    rows = jnp.arange(8)
    a = step(state, DATA, jnp.stack([rows, rows, rows]))[0].params['critic']['w']
    b = step(state, DATA, jnp.stack([rows, rows, rows + 8]))[0].params['critic']['w']
    assert jnp.abs(a - b).max() > 1e-5


def test_gan_finds_the_mean_of_its_data():
    """A linear game on one hidden bit: samples come to share the data's pixel means."""
    method, state = started(gans.gan, numbers=hp(lr=.2))
    idx = jnp.broadcast_to(jnp.arange(16), (600, 1, 16))
    state, _ = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx, jnp.int32(600))
    x = method.evals['sample'](state.params, state.carry, jax.random.key(1), 2000, 'mean')['x']
    np.testing.assert_allclose(x.mean(0), DATA['x'].mean(0), atol=.1)


@pytest.mark.parametrize('law', adversarial_game.NOISE)
def test_noise(law):
    method, state = started(gans.gan, noise=law)
    z = np.asarray(method.evals['sample_prior'](state.params, state.carry, jax.random.key(3),
                                                4000))
    cdf = {'normal': 'norm', 'uniform': stats.uniform(-1, 2).cdf}[law]
    assert z.shape == (4000, 3) and stats.kstest(z.ravel(), cdf).pvalue > 1e-3
    x = method.evals['sample'](state.params, state.carry, jax.random.key(3), 4000, 'mean')['x']
    np.testing.assert_array_equal(
        x, method.evals['decode'](state.params, state.carry, z, None, 'mean')['x'])


IMAGES = {'x': schema.image((2, 2, 1)), 'label': schema.label(toys.CLASSES)}


def test_dcgan_normalises_both_networks_and_only_the_generators_turn_moves_its_statistics():
    kit = networks.build(IMAGES, {'name': 'mlp', 'latent': 3, 'hidden': (6, 5)})
    method, state = started(gans.gan, kit, noise='uniform', norm=True)
    batch, (critic, gen) = core.take(DATA, jnp.arange(8)), method.phases[0].players
    assert state.carry['gen'] and 'norm1' in state.params['critic']
    after = {
        p.name: p.loss(state.params, state.carry, batch, toys.ctx(state.hp))[1][0]
        for p in (critic, gen)
    }
    toys.close(after['critic'], state.carry, rtol=0, atol=0)
    assert all(
        bool((a != b).any())
        for a, b in zip(*map(jax.tree.leaves, (after['gen'], state.carry)), strict=True))
    many, few = (method.evals['decode'](state.params, after['gen'], jnp.ones((n, 3)), None,
                                        'mean')['x'] for n in (5, 1))
    np.testing.assert_allclose(many[:1], few, rtol=1e-6)


def test_lsgan_targets():
    method, state = started(gans.lsgan, targets=(-1., 1., 0.))
    (critic, _), (gen, _) = losses_of(method, blind(state.params, .5), state.carry)
    assert critic == pytest.approx(.5 * .25 + .5 * 2.25) and gen == pytest.approx(.5 * .25)
    method, state = started(gans.lsgan)
    (critic, _), (gen, _) = losses_of(method, blind(state.params, .5), state.carry)
    assert critic == pytest.approx(.25) and gen == pytest.approx(.125)


K = 4


def telling(sharpness, offset=0.):
    """A kit whose generator shows what it was given, noise first, and whose critic reads it out
    of that.
    """
    gen = core.StatNet(lambda key: ({'w': jnp.ones(())}, {}),
                       lambda params, stats, z, *_, train=False: (params['w'] * z, stats))
    critic = core.Net(
        lambda key: {'s': jnp.float32(sharpness)},
        lambda params, x, weight=None: jnp.concatenate(
            [jnp.zeros((len(x), 1)), params['s'] * x[:, 3:3 + K], x[:, 3 + K:] + offset], -1))
    made = {}

    def make(latent, norm=False):
        made['latent'] = latent
        return gen

    return toys.kit().replace(gen=make, critic=lambda n_out, **_: critic), made


@pytest.mark.parametrize('sharpness, info', [(1e3, np.log(K)), (0., 0.)])
def test_infogan_of_a_perfect_and_of_a_blind_reader(sharpness, info):
    kit, made = telling(sharpness, offset=.5)
    method = gans.infogan(kit, toys.recipe(), categories=K, continuous=2)
    params, carry = method.init(jax.random.key(0), None)
    assert made['latent'] == 3 + K + 2
    batch = {'x': jnp.zeros((8, 3 + K + 2)), 'weight': jnp.ones(8)}
    numbers = hp(info=.7, info_continuous=.1)
    for (loss, aux), plain in zip(losses_of(method, params, carry, numbers, batch), (2, 1),
                                  strict=True):
        assert aux['info'] == pytest.approx(info, abs=1e-6)
        assert aux['code_error'] == pytest.approx(2 * .5 * .25, rel=1e-5)
        assert loss == pytest.approx(plain * np.log(2) - .7 * info + .1 * .25, rel=1e-5)


def test_infogan_codes_are_uniform():
    method = gans.infogan(telling(1.)[0], toys.recipe(), categories=K, noise='normal')
    params, carry = method.init(jax.random.key(0), None)
    z = np.asarray(method.evals['sample'](params, carry, jax.random.key(1), 4000, 'mean')['x'])
    noise, category, numbers = np.split(z, [3, 3 + K], 1)
    assert stats.kstest(noise.ravel(), 'norm').pvalue > 1e-3
    assert stats.kstest(numbers.ravel(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert (np.sort(category, 1) == np.eye(K)[-1]).all() and stats.chisquare(
        category.sum(0)).pvalue > 1e-3
    # independent of noise
    assert np.abs(np.corrcoef(z.T) - np.corrcoef(z.T) * np.eye(len(z.T)))[:3].max() < .08


def test_infogan_clusters_by_what_its_critic_reads():
    method, state = started(gans.infogan)
    batch = core.take(DATA, jnp.arange(8))
    assert set(method.evals) == {'sample', 'cluster'}
    out = np.asarray(method.evals['cluster'](state.params, state.carry, batch))
    critic = state.params['critic']
    logits = (toys.flat(batch['x']) @ critic['w'] + critic['b'])[:, 1:1 + toys.CLASSES]
    assert critic['b'].shape == (1 + toys.CLASSES + 2,)
    np.testing.assert_allclose(out, jax.nn.log_softmax(logits), rtol=1e-5)


def test_infogan_critic_has_a_rate_of_its_own():
    moves = []
    for rate in (.02, .04):
        method, state = started(gans.infogan, recipe=toys.recipe(clip=1e9),
                                numbers=hp(critic_lr=rate))
        new, _ = toys.jit(core.make_step(method.phases[0]))(state, DATA, jnp.arange(8)[None])
        moves.append(np.asarray(new.params['critic']['w'] - state.params['critic']['w']))
    np.testing.assert_allclose(moves[1], 2 * moves[0], rtol=1e-4, atol=1e-7)


def test_infogan_information_falls_to_the_critic_and_the_generator():
    """Trained together on the information alone they come to agree about the category."""
    numbers = hp(lr=.5, critic_lr=.5, info=5.)
    method, state = started(gans.infogan, numbers=numbers, continuous=0, categories=3)
    idx = jnp.broadcast_to(jnp.arange(16), (300, 1, 16))
    _, metrics = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx, jnp.int32(300))
    info = np.asarray(metrics['gen/info'])
    assert info[-50:].mean() > .8 * np.log(3) > 2 * info[:5].mean() and info.max() <= np.log(3)


@pytest.mark.parametrize(
    'call, message',
    [(lambda: gans.gan(toys.without(toys.kit(), 'gen'), toys.recipe()), "network 'gen'"),
     (lambda: energy_gans.began(toys.without(toys.kit(), 'gen'), toys.recipe()),
      "network 'gen'"),
     (lambda: gans.gan(toys.kit(), toys.recipe(), noise='gauss'), 'noise'),
     (lambda: gans.f_gan(toys.kit(), toys.recipe(), divergence='hellingr'), "'hellinger'"),
     (lambda: gans.infogan(toys.without(toys.kit(), 'label'), toys.recipe()),
      "column 'label'")])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
