"""AVT and AET: their losses by hand, what validation sees, and what they learn."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import METHODS
from vaebench.ops import homography

KEY, SIDE, Z = jax.random.key(0), 8, 3
COLUMNS = {'x': schema.image((SIDE, SIDE, 1))}
SIZES = {'projective': 8, 'affine': 6}


def kit():
    return networks.build(COLUMNS, {'name': 'mlp', 'latent': Z, 'hidden': (5,)})


def images(n=4):
    return jnp.asarray(np.random.default_rng(0).random((n, SIDE, SIDE, 1)), jnp.float32)


def method(name, **options):
    return METHODS[name].factory(kit(), toys.recipe(), **{**METHODS[name].options, **options})


def started(made):
    return made.init(KEY, {'x': images(), 'weight': jnp.ones(4)})


def fixed(form):
    draw, size = homography.DRAWS[form]
    maps = jax.vmap(lambda k: draw(k, SIDE))(jax.random.split(jax.random.key(0), 4))
    return maps, homography.standardized(maps, SIDE)[:, :size]


@pytest.mark.parametrize('form', SIZES)
def test_error_of_a_constant_answer_is_by_hand(form):
    size, (_, t) = SIZES[form], fixed(form)
    for name in ('avt', 'aet'):
        made = method(name, form=form)
        params, carry = started(made)
        layer = params['told']['layer0']
        assert layer['kernel'].shape == (2 * Z, size * (1 + (name == 'avt')))
        bias = jnp.arange(layer['bias'].size) / 7
        params = {**params, 'told': {'layer0': {'kernel': 0 * layer['kernel'], 'bias': bias}}}
        mean, log_var = bias[:size], bias[size:] if name == 'avt' else jnp.zeros(size)
        wanted = .5 * ((name == 'avt') * log_var + (t - mean)**2 * jnp.exp(-log_var)).sum(-1).mean()
        got = toys.jit(made.evals['error'])(params, carry, {'x': images()})
        np.testing.assert_allclose(got, np.full(4, wanted), rtol=1e-5)


def test_the_best_variance_is_the_squared_error():
    """d/ds of (s + e^2 exp(-s)) / 2 is 0 at exp(s) = e^2."""
    made, (_, t) = method('avt'), fixed('projective')
    params, carry = started(made)
    zero = jnp.zeros_like(params['told']['layer0']['kernel'])

    def error(s):
        bias = jnp.concatenate([jnp.zeros(8), s])
        told = {'layer0': {'kernel': zero, 'bias': bias}}
        return made.evals['error']({**params, 'told': told}, carry, {'x': images(1)})[0]

    best = jnp.log((t**2).mean(0))
    slope = toys.jit(jax.grad(error))
    np.testing.assert_allclose(slope(best), np.zeros(8), atol=1e-5)
    assert (slope(best + 1) > .1).all()


def test_error_is_of_an_example_and_of_no_batch():
    made = method('avt')
    params, carry = started(made)
    error = toys.jit(made.evals['error'])
    whole = error(params, carry, {'x': images()})
    np.testing.assert_allclose(whole[2:], error(params, carry, {'x': images()[2:]}), rtol=1e-5)
    code = made.evals['encode'](params, carry, {'x': images()})
    assert code.shape == (4, Z)


@pytest.mark.parametrize('name', ['avt', 'aet'])
def test_a_step_moves_all_it_trains_and_draws_maps_anew(name):
    made = method(name)
    data = {'x': images(8)}
    hp = toys.hp(name, lr=.01)
    state = core.init(made, KEY, core.take(data, jnp.arange(8)), hp)
    step = toys.jit(core.make_step(made.phases[0]))
    new, first = step(state, data, jnp.arange(8)[None])
    for part in made.phases[0].players[0].trains:
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 0, new.params[part], state.params[part])
        assert all(jax.tree.leaves(moved)), part
    still = state._replace(total=state.total + 1)
    assert step(still, data, jnp.arange(8)[None])[1]['avt/loss'] != first['avt/loss']


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="form 'odd'"):
        method('avt', form='odd')
    wide = networks.build({'x': schema.image((4, 6, 1))}, {'name': 'mlp', 'latent': 2, 'hidden': (3,)})
    with pytest.raises(UserError, match='square images'):
        METHODS['avt'].factory(wide, toys.recipe())
