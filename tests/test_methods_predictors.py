"""Predictors: their loss by hand, that they learn, and the floor."""
import jax
import jax.numpy as jnp
import numpy as np
import toys

from vaebench import core, networks
from vaebench.methods import predictors

KIT = networks.build(toys.PARTICLES, {'name': 'linear'})


def batch(weight=(1., 1., 1., 0.)):
    data = toys.particles(4)
    return {**data, 'target': {k: .5 * data['x']['velocity'] for k in data['target']},
            'weight': jnp.array(weight)}


def test_loss_is_the_mean_squared_error_of_filled_slots():
    method, data = toys.make('regressor', KIT), batch()
    params = {'net': {'gain': jnp.array([[1.], [2.]])}}
    player = method.phases[0].players[0]
    value, _ = player.loss(params, {}, data, toys.ctx(toys.hp('regressor')))
    square = (np.asarray(data['x']['velocity'][:3])**2).mean()
    np.testing.assert_allclose(value, (.25 + 2.25) / 2 * square, rtol=1e-6)
    each = method.evals['error'](params, {}, data)
    np.testing.assert_allclose(each[:3].mean(), value, rtol=1e-6)
    assert method.phases[0].select == 'error' and set(method.evals) == {'predict', 'error'}


def test_it_learns():
    method, data = toys.make('regressor', KIT, toys.recipe(60)), batch()
    stock = {k: v for k, v in data.items() if k != 'weight'}
    state = core.init(method, jax.random.key(0), core.take(stock, jnp.arange(4)), toys.hp('regressor', lr=1.))
    block = toys.jit(core.make_block(method.phases[0]))
    state, _ = block(state, stock, jnp.tile(jnp.arange(4), (60, 1, 1)), jnp.int32(60))
    np.testing.assert_allclose(state.params['net']['gain'], .5, atol=1e-3)


def test_zero_says_nothing_changes():
    method, data = toys.make('zero', KIT), batch()
    assert method.phases == ()
    said = method.evals['predict']({}, {}, data)
    assert not any(v.any() for v in said.values())
    toys.close(jax.tree.map(jnp.shape, said), jax.tree.map(jnp.shape, data['target']))
    square = np.mean([(v**2).mean((1, 2)) for v in data['target'].values()], 0)
    np.testing.assert_allclose(method.evals['error']({}, {}, data), square, rtol=1e-6)


def test_squared_error_weighs_numbers_alike():
    target = {'a': jnp.zeros((1, 3)), 'b': jnp.zeros((1, 1))}
    said = {'a': jnp.ones((1, 3)), 'b': 3 * jnp.ones((1, 1))}
    assert predictors.squared_error(said, target).tolist() == [3.]
