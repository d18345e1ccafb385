"""Aggressive inference against a plain loop that follows the catalogue's words."""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from vaebench import core
from vaebench.engine import plateau
from vaebench.methods import lagging

DATA = {
    **toys.images(24), 'length': jnp.asarray(
        np.random.default_rng(0).integers(1, 9, 24), jnp.int32)
}
BATCH = 8


def started(max_inner=6, window=3, steps=20, **numbers):
    """Method and its state in the aggressive phase."""
    method = toys.make('lagging', recipe=toys.recipe(steps), max_inner=max_inner, window=window)
    return method, core.init(method, jax.random.key(0), core.take(DATA, jnp.arange(BATCH)),
                             toys.hp('lagging', **numbers))


def indices(method, phase=0, seed=0):
    """Random rows for one step; the last slot of every batch is empty."""
    n = core.batches_per_step(method.phases[phase])
    rows = np.random.default_rng(seed).integers(0, 24, (n, BATCH))
    rows[:, -1] = -1
    return jnp.asarray(rows, jnp.int32)


def loop(method, state, idx, max_inner, window, data=DATA):
    """The inner loop in Python: parameters and updates made."""
    player, params, carry = method.phases[0].players[0], state.params, state.carry
    tx = player.tx(state.hp)
    opt, loss_sum, words, last, n = tx.init(dict(params)), 0., 0, 1e4, 0
    f = toys.jit(jax.value_and_grad(player.loss, has_aux=True))
    while n < max_inner:
        batch = core.take(data, idx[n])
        ctx = core.StepInfo(core.derive(state.key, 2, 0, 1, n), core.derive(state.key, 2, 0, 0),
                       jnp.int32(0), jnp.int32(0), jnp.int32(n), state.hp)
        (value, _), grads = f(params, carry, batch, ctx)
        updates, opt = tx.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        loss_sum += float(value) * float(batch['weight'].sum())
        words += int((batch['length'] * batch['weight']).sum())
        n += 1
        if n % window == 0:
            if loss_sum / words > last:
                break
            last, loss_sum, words = loss_sum / words, 0., 0
    return params, n


@pytest.mark.parametrize('lr, stops', [
    pytest.param(.02, True, marks=pytest.mark.slow), (.3, True), (.02, False)])
def test_inner_loop_is_the_plain_one(lr, stops):
    max_inner, window = (40, 3) if stops else (4, 3)
    method, state = started(max_inner, window, lr=lr)
    idx = indices(method)
    want, n = loop(method, state, idx, max_inner, window)
    assert (n < max_inner) == stops and n >= window
    new, metrics = toys.jit(core.make_step(method.phases[0]))(state, DATA, idx)
    assert float(metrics['encoder/updates']) == n
    for name in ('enc', 'head'):
        toys.close(new.params[name], want[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('lr, seed', [
    (.05, 1), pytest.param(.1, 2, marks=pytest.mark.slow)])
def test_windows_are_compared_per_word(lr, seed):
    """Here the rule stops elsewhere than one that counts sentences."""
    method, state = started(40, 3, lr=lr)
    idx = indices(method, seed=seed)
    n, other = (loop(method, state, idx, 40, 3, d)[1]
                for d in (DATA, {**DATA, 'length': jnp.ones(24, jnp.int32)}))
    step = toys.jit(core.make_step(method.phases[0]))
    assert float(step(state, DATA, idx)[1]['encoder/updates']) == n != other
    images = {'x': DATA['x']}
    assert float(step(state, images, idx)[1]['encoder/updates']) == other


def test_the_first_inner_batch_is_the_outer_one():
    method, _ = started(7)
    assert method.phases[0].players[0].fresh_batches and not method.phases[0].players[1].fresh_batches
    assert core.batches_per_step(method.phases[0]) == 7 and core.batches_per_step(
        method.phases[1]) == 1
    assert core.batches_per_step(toys.make('lagging').phases[0]) == 99


def test_inner_loop_moves_the_encoder_and_the_outer_step_the_decoder():
    method, state = started()
    phase, idx = method.phases[0], indices(method)
    for i, moved in ((0, {'enc', 'head'}), (1, {'dec'})):
        alone = phase._replace(players=(phase.players[i],))
        new, _ = core.make_step(alone)(state._replace(
            opt={k: v
                 for k, v in state.opt.items() if k == phase.players[i].name}), DATA, idx)
        assert toys.moved(state.params, new.params) == moved


def test_joint_phase_is_the_vae():
    method, state = started(1)
    vae = toys.make('vae')
    twin = core.init(vae, jax.random.key(0), core.take(DATA, jnp.arange(BATCH)), state.hp)
    twin = twin._replace(params=state.params)
    idx = indices(method, 1)
    joint = core.enter(method.phases[1], state, core.take(DATA, jnp.arange(BATCH)))
    a, m = toys.jit(core.make_step(method.phases[1]))(joint, DATA, idx)
    b, n = toys.jit(core.make_step(vae.phases[0]))(twin, DATA, idx)
    toys.close(a.params, b.params, rtol=1e-6, atol=1e-7)
    assert float(m['vae/loss']) == pytest.approx(float(n['vae/loss']), rel=1e-6)


def test_one_inner_update_then_the_decoder():
    """With a cap of one the encoder takes the VAE's step on the outer batch."""
    method, state = started(1)
    idx = indices(method)
    new, metrics = toys.jit(core.make_step(method.phases[0]))(state, DATA, idx)
    loss = method.phases[1].players[0].loss
    ctx = core.StepInfo(core.derive(state.key, 2, 0, 1, 0), core.derive(state.key, 2, 0, 0),
                        *[jnp.int32(0)] * 3, state.hp)
    grads = jax.grad(loss, has_aux=True)(state.params, state.carry, core.take(DATA, idx[0]),
                                         ctx)[0]
    tx = toys.recipe().optimizer(state.hp)
    want = optax.apply_updates(state.params, tx.update(grads, tx.init(state.params))[0])
    assert float(metrics['encoder/updates']) == 1
    for name in ('enc', 'head'):
        toys.close(new.params[name], want[name], rtol=1e-6, atol=1e-7)


def test_clipping_is_that_of_the_joint_norm():
    grads = {'enc': jnp.array([3., 0.]), 'dec': jnp.array([4.])}
    tx = lagging.move_only(optax.chain(optax.clip_by_global_norm(1.), optax.sgd(1.)), ('enc',))
    updates, _ = tx.update(grads, tx.init(grads), grads)
    toys.close(updates, {'enc': jnp.array([-.6, 0.]), 'dec': jnp.zeros(1)}, rtol=1e-6)
    own = {'enc': grads['enc']}
    short = optax.clip_by_global_norm(1.)
    assert float(jnp.abs(short.update(own, short.init(own))[0]['enc']).sum()) == 1


def test_aggression_ends_when_mutual_information_falls_and_never_returns():
    method, state = started()
    feedback = method.phases[0].feedback
    assert method.phases[0].needs == ('mi',)
    seen = []
    for mi in (.5, .7, .7, .6, .9):
        state = feedback(state, {'mi': jnp.float32(mi)})
        seen.append(int(state.status))
    assert seen == [core.RUNNING] * 3 + [core.DONE] * 2
    assert all(p.name != 'encoder' for p in method.phases[1].players)
    failed = feedback(state._replace(status=jnp.int32(core.FAILED)), {'mi': jnp.float32(-1)})
    assert int(failed.status) == core.FAILED


def test_a_reload_of_the_best_does_not_take_the_mutual_information_back():
    """As in He et al.'s script, which compares with the epoch before, whatever was reloaded."""
    method, state = started()
    state, decay = plateau.start(state), plateau.plateau(patience=1, first_epoch=0)
    seen = []
    for loss, mi in ((3., .5), (4., .9), (5., .7)):          # two decays
        state = decay(state, jnp.float32(loss))
        state = method.phases[0].feedback(state, {'mi': jnp.float32(mi)})
        seen.append(int(state.status))
    assert int(state.protocol.decays) == 2
    assert seen == [core.RUNNING, core.RUNNING, core.DONE]


def test_feedback_is_per_seed():
    method, state = started()
    many = jax.tree.map(lambda x: jnp.stack([x, x]), state)
    feedback = jax.vmap(method.phases[0].feedback)
    many = feedback(many, {'mi': jnp.array([1., 1.])})
    many = feedback(many, {'mi': jnp.array([2., .5])})
    assert many.status.tolist() == [core.RUNNING, core.DONE]


def test_phases_together_take_the_plans_steps():
    method, state = started(steps=5)
    joint = core.enter(method.phases[1], state._replace(total=jnp.int32(4)),
                       core.take(DATA, jnp.arange(BATCH)))
    step, idx = toys.jit(core.make_step(method.phases[1])), indices(method, 1)
    assert int(joint.status) == core.RUNNING
    one, _ = step(joint, DATA, idx)
    assert toys.moved(joint.params, one.params) == {'enc', 'head', 'dec'} and int(
        one.status) == core.DONE
    two, _ = step(one, DATA, idx)
    assert not toys.moved(one.params, two.params) and int(two.total) == int(one.total) == 5
    late = core.enter(method.phases[1], state._replace(total=jnp.int32(5)),
                      core.take(DATA, jnp.arange(BATCH)))
    assert int(late.status) == core.DONE


def test_schedule_runs_on_across_the_phases():
    method, state = started()
    joint = core.enter(method.phases[1], state._replace(total=jnp.int32(50)),
                       core.take(DATA, jnp.arange(BATCH)))
    joint = joint._replace(step=jnp.int32(0))
    wide = toys.make('lagging', recipe=toys.recipe(100))
    m = toys.jit(core.make_step(wide.phases[1]))(joint, DATA, indices(method, 1))[1]
    assert float(m['vae/beta']) == pytest.approx(.55)


@pytest.mark.slow
def test_every_seed_stops_its_inner_loop_at_its_own_time():
    method, a = started(40, 3, lr=.02)
    _, b = started(40, 3, lr=.3)
    idx = indices(method)
    step = core.make_step(method.phases[0])
    group = jax.tree.map(lambda x, y: jnp.stack([x, y]), a, b)
    _, m = toys.jit(jax.vmap(step, (0, None, None)))(group, DATA, idx)
    alone = [float(toys.jit(step)(s, DATA, idx)[1]['encoder/updates']) for s in (a, b)]
    assert m['encoder/updates'].tolist() == alone
