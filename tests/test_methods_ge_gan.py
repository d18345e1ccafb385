"""The GAN that is told the class: its losses, who moves, and what commutes with quarter turns."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.engine.optimizers import running_means
from vaebench.losses import adversarial, penalties
from vaebench.methods import METHODS
from vaebench.networks import group_games, group_layers
from vaebench.ops import groups
from vaebench.ops.groups import GROUPS

KEY, SIDE, CLASSES = jax.random.key(0), 8, 3
COLUMNS = {'x': schema.image((SIDE, SIDE, 1)), 'label': schema.label(CLASSES)}


@functools.cache
def kit(name='p4'):
    return networks.build(COLUMNS, {'name': name, 'latent': 2, 'channels': (4, 4), 'pools': (), 'up': (4, 4)})


def images(n=4, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random((n, SIDE, SIDE, 1)), jnp.float32)


def label(n=4):
    return jax.nn.one_hot(jnp.arange(n) % CLASSES, CLASSES)


def test_relativistic_loss_by_hand():
    more, less, weight = np.array([1., 4., 9.]), np.array([0., -2., 5.]), np.array([1., 1., 0.])
    soft = lambda x: np.log1p(np.exp(x))
    wanted = soft(-1. - more) + soft(less - 2.5)
    got = adversarial.relativistic_loss(*map(jnp.float32, (more, less, weight)))
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_slope_of_each_example_alone():
    w = jnp.float32([1., 2., 2.])
    slope = penalties.squared_slope(lambda x: (x**2) @ w, jnp.float32([[1., 0., 0.], [1., 1., 0.]]))
    np.testing.assert_allclose(slope, [4., 20.])


def test_spectral_norm_is_that_of_linear_algebra():
    rng = np.random.default_rng(0)
    w, u = jnp.float32(rng.normal(size=(3, 3, 4, 2, 5)) * [3., 1., 1., 1., 1.]), jnp.ones(5)
    tx = running_means(optax.sgd(0.))
    grad = toys.jit(jax.grad(lambda p: group_layers.spectral_norm(w, p['running_u']).sum()))
    for _ in range(60):
        step, _ = tx.update(grad({'running_u': u}), tx.init({'running_u': u}))
        u = u + step['running_u']
    largest = np.linalg.svd(np.reshape(w, (-1, 5)), compute_uv=False)[0]
    np.testing.assert_allclose(group_layers.spectral_norm(w, u), w / largest, rtol=1e-4)


@pytest.mark.parametrize('name', GROUPS)
def test_scores_of_turned_images_stay_on_a_group(name):
    critic = kit(name).class_critic()
    params, score = critic.init(KEY), toys.jit(critic.apply)
    scores = [score(params, {'x': jnp.rot90(images(), r, (1, 2)), 'label': label()}) for r in range(4)]
    assert (np.ptp(scores, axis=0).max() < 1e-4) == (name != 'z2')
    other = score(params, {'x': images(), 'label': jnp.roll(label(), 1, 1)})
    assert np.abs(other - scores[0]).max() > 1e-4                # the class counts


def test_an_odd_map_is_not_pooled():
    critic = group_games.class_critic(GROUPS['p4'], (2, 2, 2), (14, 14, 1), CLASSES)     # 14, 7, 7
    params = critic.init(KEY)
    x = jnp.asarray(np.random.default_rng(0).random((2, 14, 14, 1)), jnp.float32)
    scores = [critic.apply(params, {'x': jnp.rot90(x, r, (1, 2)), 'label': label(2)}) for r in (0, 1)]
    np.testing.assert_allclose(*scores, atol=1e-4)


@pytest.mark.parametrize('name', ['p4', 'z2'])
def test_a_generator_commutes_from_its_smallest_map_on(name):
    """A turned seed makes a turned picture: its linear layer's outputs are moved."""
    gen = kit(name).class_gen()
    params, stats = gen.init(KEY)
    z = jnp.concatenate([jax.random.normal(KEY, (5, 2)), label(5)], -1)
    x, new = gen.apply(params, stats, z, train=True)
    assert x.shape == (5, SIDE, SIDE, 1) and jax.tree.structure(new) == jax.tree.structure(stats)

    def turned(leaf):
        seed = leaf.reshape(*leaf.shape[:-1], SIDE // 2, SIDE // 2, -1)
        return groups.move(GROUPS['p4'], 1, seed, leaf.ndim - 1).reshape(leaf.shape)

    params = {**params, 'seed': jax.tree.map(turned, params['seed'])}
    again = jnp.rot90(gen.apply(params, stats, z, train=True)[0], -1, (1, 2))
    assert (np.abs(again - x).max() < 1e-4) == (name == 'p4')


@pytest.mark.slow
def test_players_move_their_own_network_and_losses_are_the_equations():
    made = METHODS['ge_gan'].factory(kit(), toys.recipe())
    data = {'x': images(8), 'label': jnp.arange(8) % CLASSES}
    hp = toys.hp('ge_gan', lr=.01)
    batch = core.take(data, jnp.arange(8))
    state = core.init(made, KEY, batch, hp)
    step = toys.jit(core.make_step(made.phases[0]))
    new, metrics = step(state, data, jnp.arange(8).reshape(2, 4))
    assert set(metrics) >= {'critic/loss', 'critic/penalty', 'gen/loss'} and int(new.status) == core.RUNNING
    critic, gen = made.phases[0].players
    assert (critic.trains, critic.updates, gen.trains) == (('critic',), 2, ('gen',))
    for name in ('gen', 'critic'):
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 0, new.params[name], state.params[name])
        assert any(jax.tree.leaves(moved)), name
    x = made.evals['sample'](new.params, new.carry, KEY, 4, 'mean')['x']
    assert x.shape == (4, SIDE, SIDE, 1) and set(made.evals) == {'sample'}

    info = core.StepInfo(KEY, KEY, jnp.int32(0), jnp.int32(0), jnp.int32(0), hp)
    (value, _), z = toys.jit(gen.loss)(state.params, state.carry, batch, info), drawn(info.key, 8)
    score = lambda x, y: kit().class_critic().apply(state.params['critic'], {'x': x, 'label': y})
    fake, _ = kit().class_gen().apply(state.params['gen'], state.carry['gen'], z, train=True)
    real, fake = score(batch['x'], label(8)), score(fake, z[:, 2:])
    a, b = real - fake.mean(), fake - real.mean()
    np.testing.assert_allclose(value, (jax.nn.softplus(a) + jax.nn.softplus(-b)).mean(), rtol=1e-4)


def drawn(key, n):
    """Noise and classes, as the game draws them."""
    own = jax.random.randint(core.derive(key, 1), (n,), 0, CLASSES)
    return jnp.concatenate([jax.random.normal(core.derive(key, 0), (n, 2)), jax.nn.one_hot(own, CLASSES)], -1)
