"""Games with an autoencoder as critic: energies, margins and the controlled push."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core
from vaebench.errors import UserError
from vaebench.losses import penalties
from vaebench.methods import energy_gans

DATA = toys.images(16)
BATCH = core.take(DATA, jnp.arange(8))
HP = {'lr': .1, 'lr_scale': 1., 'margin': .5, 'pulling': 0., 'gamma': .5, 'lambda_k': .01}


def hp(**numbers):
    return {k: jnp.asarray(v, jnp.float32) for k, v in {**HP, **numbers}.items()}


@functools.cache
def started(factory, **options):
    """Method, params and carry."""
    method = factory(toys.kit(), toys.recipe(), **options)
    return method, *method.init(jax.random.key(0), DATA)


def run(method, params, carry, numbers, player, batch=BATCH):
    """Loss, carry, aux and the gradient by that player's own parameters."""
    player = method.phases[0].players[player]
    own = player.trains[0]
    f = lambda p: player.loss({**params, own: p}, carry, batch, toys.ctx(numbers))
    (loss, (carry, aux)), grads = jax.value_and_grad(f, has_aux=True)(params[own])
    return float(loss), carry, aux, grads


def fakes(method, params, carry):
    """What critic and generator are shown, each made from noise of its own."""
    key = toys.ctx(hp()).key
    return [
        method.evals['sample'](params, carry, k, 8, 'mean')['x']
        for k in (core.derive(key, 0), key)
    ]


def error(method, params, carry, x, power):
    """Error per pixel of every image, by the eval 'reconstruct'."""
    y = method.evals['reconstruct'](params, carry, {'x': x})['x']
    return (np.abs(np.asarray(toys.flat(x - y)))**power).mean(-1)


@pytest.mark.parametrize('name, power', [
    ('squared', 2), pytest.param('absolute', 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize('margin', [.02, .2, 3.])
def test_ebgan_losses(name, power, margin):
    method, params, carry = started(energy_gans.ebgan, energy=name)
    low, high = (error(method, params, carry, x, power)
                 for x in (BATCH['x'], fakes(method, params, carry)[0]))
    loss, _, aux, _ = run(method, params, carry, hp(margin=margin), 0)
    assert loss == pytest.approx((low + np.maximum(margin - high, 0)).mean(), rel=1e-5)
    assert float(aux['real']) == pytest.approx(low.mean(), rel=1e-5)
    assert float(aux['fake']) == pytest.approx(high.mean(), rel=1e-5)
    loss, _, _, _ = run(method, params, carry, hp(margin=margin), 1)
    assert loss == pytest.approx(
        error(method, params, carry,
              fakes(method, params, carry)[1], power).mean(), rel=1e-5)


def plain(method, params):
    """Gradient of the mean error of data alone, squared and absolute."""
    net = energy_gans.autoencoder(toys.kit())
    return [
        jax.grad(lambda p, f=f: f(BATCH['x'],
                                  net.apply(p, BATCH['x'])[0]).mean())(params['critic'])
        for f in (energy_gans.squared, energy_gans.absolute)
    ]


def test_samples_above_the_margin_do_not_move_the_critic():
    method, params, carry = started(energy_gans.ebgan)
    high = error(method, params, carry, fakes(method, params, carry)[0], 2)
    below = run(method, params, carry, hp(margin=.99 * high.min()), 0)[3]
    toys.close(below, plain(method, params)[0], rtol=1e-5, atol=1e-7)
    above = run(method, params, carry, hp(margin=1.01 * high.max()), 0)[3]
    assert max(
        float(jnp.abs(a - b).max())
        for a, b in zip(*map(jax.tree.leaves, (below, above)), strict=True)) > 1e-3


def test_pulling_away_joins_the_generators_loss():
    method, params, carry = started(energy_gans.ebgan, code=2)
    without, with_term = (run(method, params, carry, hp(pulling=w), 1) for w in (0., .1))
    net = energy_gans.autoencoder(toys.kit(), 2)
    codes = net.apply(params['critic'], fakes(method, params, carry)[1])[1]
    assert codes.shape == (8, 2)
    term = float(penalties.pulling_away(codes, jnp.ones(8)))
    assert 0 < term < 1 and float(with_term[2]['pulling']) == pytest.approx(term, rel=1e-5)
    assert with_term[0] == pytest.approx(without[0] + .1 * term, rel=1e-5)


@pytest.mark.parametrize('name, power', [('absolute', 1), ('squared', 2)])
def test_began_without_control_is_an_autoencoder(name, power):
    """k starts at 0, where the critic's loss is the data's error; the generator lowers its
    samples' error.
    """
    method, params, carry = started(energy_gans.began, energy=name)
    assert float(carry['game']['k']) == 0
    loss, after, aux, grads = run(method, params, carry, hp(), 0)
    low = error(method, params, carry, BATCH['x'], power).mean()
    first, second = (error(method, params, carry, x, power).mean()
                     for x in fakes(method, params, carry))
    assert loss == pytest.approx(low, rel=1e-5) and float(aux['fake']) == pytest.approx(
        first, rel=1e-5)
    toys.close(grads, plain(method, params)[power % 2], rtol=1e-5, atol=1e-7)
    assert abs(first - second) > 1e-4                          # noise of their own
    assert float(after['game']['real']) == pytest.approx(low, rel=1e-5) and float(
        after['game']['k']) == 0
    assert run(method, params, after, hp(), 1)[0] == pytest.approx(second, rel=1e-5)
    pushed = {**carry, 'game': {**carry['game'], 'k': jnp.float32(.3)}}
    assert run(method, params, pushed, hp(), 0)[0] == pytest.approx(low - .3 * first, rel=1e-5)


def test_began_in_balance_leaves_k():
    method, params, carry = started(energy_gans.began)
    low = error(method, params, carry, BATCH['x'], 1).mean()
    high = error(method, params, carry, fakes(method, params, carry)[1], 1).mean()
    state = {**carry, 'game': {'k': jnp.float32(.4), 'real': jnp.float32(low)}}
    numbers = hp(gamma=high / low, lambda_k=1.)
    _, after, aux, _ = run(method, params, state, numbers, 1)
    assert float(after['game']['k']) == pytest.approx(.4, abs=1e-6)
    assert float(aux['measure']) == pytest.approx(low, rel=1e-5)
    for gamma, lambda_k in ((2., .1), (.1, .5)):
        _, after, aux, _ = run(method, params, state, hp(gamma=gamma, lambda_k=lambda_k), 1)
        gap = gamma * low - high
        assert float(after['game']['k']) == pytest.approx(np.clip(.4 + lambda_k * gap, 0, 1),
                                                          rel=1e-5)
        assert float(aux['measure']) == pytest.approx(low + abs(gap), rel=1e-5)


def test_began_keeps_k_between_zero_and_one():
    method, _, _ = started(energy_gans.began)
    state = core.init(method, jax.random.key(0), BATCH, hp(lambda_k=20., gamma=1.))
    idx = jnp.asarray(np.random.default_rng(0).integers(0, 16, (200, 1, 8)), jnp.int32)
    state, metrics = toys.jit(core.make_block(method.phases[0]))(state, DATA, idx,
                                                                 jnp.int32(200))
    k = np.asarray(metrics['gen/k'])
    assert k.min() == 0 and k.max() == 1 and ((k > 0) & (k < 1)).any()
    assert float(state.carry['game']['k']) == pytest.approx(k[-1])
    assert int(state.status) == core.RUNNING


def test_began_noise_is_uniform():
    method, params, carry = started(energy_gans.began)
    z = np.asarray(method.evals['sample_prior'](params, carry, jax.random.key(0), 2000))
    assert np.abs(z).max() <= 1 and np.abs(z).max() > .99


def test_empty_slots_and_empty_batches():
    weight = (jnp.arange(8) < 5).astype(jnp.float32)
    other = {**BATCH, 'x': BATCH['x'].at[5:].set(.3)}
    for factory in (energy_gans.ebgan, energy_gans.began):
        method, params, carry = started(factory)
        numbers = hp(pulling=.1)
        for player in (0, 1):
            a, b = (run(method, params, carry, numbers, player, {**x, 'weight': weight})
                    for x in (BATCH, other))
            toys.close(a, b, rtol=1e-5, atol=1e-7)
            none = run(method, params, carry, numbers, player, {**BATCH, 'weight': 0 * weight})
            assert all(np.isfinite(v).all() for v in jax.tree.leaves(none))


def test_reconstructions_are_the_critics_one_by_one():
    for factory in (energy_gans.ebgan, energy_gans.began):
        method, params, carry = started(factory)
        y = method.evals['reconstruct'](params, carry, BATCH)['x']
        assert y.shape == BATCH['x'].shape
        np.testing.assert_allclose(
            method.evals['reconstruct'](params, carry, {'x': BATCH['x'][:1]})['x'], y[:1],
            rtol=1e-5)


def test_an_unknown_energy_is_refused():
    with pytest.raises(UserError, match='energy'):
        energy_gans.ebgan(toys.kit(), toys.recipe(), energy='cubic')
