"""Games: who moves, on which data, towards what."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core
from vaebench.errors import UserError

DATA = toys.images(16)


def started(name, **options):
    """Method and its first state."""
    method = toys.make(name, **options)
    return method, core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(8)), toys.hp(name))


@pytest.mark.parametrize('name', ['gan', 'gan_minmax', 'wgan_gp'])
def test_players_move_their_own_network_only(name):
    method, state = started(name)
    phase = method.phases[0]
    idx = jnp.tile(jnp.arange(8), (core.batches_per_step(phase), 1))
    for player, own in zip(phase.players, ('critic', 'gen'), strict=True):
        alone = core.make_step(phase._replace(players=(player,)))
        new, _ = alone(state._replace(opt={player.name: state.opt[player.name]}), DATA, idx)
        assert toys.moved(state.params, new.params) == {own}
    assert not {'elbo', 'log_lik', 'posterior'} & set(method.evals)


@pytest.mark.parametrize('name, loss', [('gan', np.log(2)), ('gan_minmax', -np.log(2))])
def test_blind_critic(name, loss):
    method, state = started(name)
    params = {**state.params, 'critic': jax.tree.map(jnp.zeros_like, state.params['critic'])}
    critic, gen = method.phases[0].players
    batch, ctx = core.take(DATA, jnp.arange(8)), toys.ctx(state.hp)
    assert float(critic.loss(params, {'gen': {}}, batch, ctx)[0]) == pytest.approx(2 * np.log(2), rel=1e-6)
    assert float(gen.loss(params, {'gen': {}}, batch, ctx)[0]) == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize('norm', [1., 3., 0.])
def test_wgan_gp_of_a_linear_critic(norm):
    """Its penalty is (norm - 1)^2 and its estimate the difference of mean scores."""
    method, state = started('wgan_gp')
    w = norm * jnp.array([[.6], [0.], [.8], [0.]])
    params = {**state.params, 'critic': {'w': w, 'b': jnp.ones(1)}}
    player, batch, ctx = method.phases[0].players[0], core.take(DATA, jnp.arange(8)), toys.ctx(state.hp)
    f = jax.value_and_grad(lambda p: player.loss({**params, 'critic': p}, {'gen': {}}, batch, ctx), has_aux=True)
    (loss, (_, aux)), grads = f(params['critic'])
    assert float(aux['penalty']) == pytest.approx((norm - 1)**2, abs=1e-5)
    fake = method.evals['sample'](params, {'gen': {}}, core.derive(ctx.key, 0), 8, 'mean')['x']
    gap = (toys.flat(batch['x']) @ w).mean() - (toys.flat(fake) @ w).mean()
    assert float(aux['wasserstein']) == pytest.approx(float(gap), abs=1e-6)
    assert float(loss) == pytest.approx(10 * (norm - 1)**2 - float(gap), abs=1e-4)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_penalty_is_measured_between_each_image_and_its_own_sample():
    """A critic that is linear in x's square has a gradient that tells where it was taken."""
    method, state = started('wgan_gp', n_critic=1)
    square = core.Net(lambda key: {'w': jnp.ones(())},
                      lambda params, x, key=None: params['w'] * (toys.flat(x)**2).sum(-1) / 2)
    kit = toys.kit()._replace(critic=lambda: square)
    method = toys.make('wgan_gp', kit)
    params, _ = method.init(jax.random.key(0), None)
    batch, ctx = core.take(DATA, jnp.arange(8)), toys.ctx(state.hp)
    aux = method.phases[0].players[0].loss(params, {'gen': {}}, batch, ctx)[1][1]
    fake = toys.flat(method.evals['sample'](params, {'gen': {}}, core.derive(ctx.key, 0), 8, 'mean')['x'])
    share = jax.random.uniform(core.derive(ctx.key, 1), (8, 1, 1, 1)).reshape(8, 1)
    between = share * toys.flat(batch['x']) + (1 - share) * fake
    want = ((np.linalg.norm(between, axis=-1) - 1)**2).mean()
    assert float(aux['penalty']) == pytest.approx(float(want), rel=1e-5)
    assert np.unique(np.asarray(share)).size == 8


def test_every_critic_update_has_data_of_its_own():
    method, state = started('wgan_gp', n_critic=3)
    critic, gen = method.phases[0].players
    assert (critic.inner, critic.fresh, gen.inner, gen.fresh) == (3, True, 1, False)
    step = toys.jit(core.make_step(method.phases[0]))
    rows = jnp.arange(8)
    a = step(state, DATA, jnp.stack([rows, rows, rows]))[0].params['critic']['w']
    b = step(state, DATA, jnp.stack([rows, rows, rows + 8]))[0].params['critic']['w']
    assert jnp.abs(a - b).max() > 1e-5


def test_gan_finds_the_mean_of_its_data():
    """A linear game on one hidden bit: samples come to share the data's pixel means."""
    method, state = started('gan')
    state = state._replace(hp=toys.hp('gan', lr=.2))
    idx = jnp.broadcast_to(jnp.arange(16), (600, 1, 16))
    state, _ = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx, jnp.int32(600))
    x = method.evals['sample'](state.params, {}, jax.random.key(1), 2000, 'mean')['x']
    np.testing.assert_allclose(x.mean(0), DATA['x'].mean(0), atol=.1)


def test_a_kit_without_generator_is_refused():
    with pytest.raises(UserError, match='image'):
        toys.make('gan', toys.kit()._replace(gen=None))
