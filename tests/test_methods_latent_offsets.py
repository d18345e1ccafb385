"""Codes moved by the difference of two styles' means."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, schema
from vaebench.errors import UserError
from vaebench.methods import METHODS, latent_offsets
from vaebench.methods.aggregate_posterior import wae_gan

KIT = dataclasses.replace(toys.kit(), schema={**toys.SCHEMA, 'label': schema.label(2)})
SMALL = {'hidden': (6,)}


def columns(n, seed=0):
    """Images whose style is not half and half."""
    return {**toys.images(n, seed=seed), 'label': jnp.arange(n, dtype=jnp.int32) % 3 // 2}


BUCKETS = [columns(7), columns(10, 1)]
BATCH = toys.all_of(columns(6, 2))


def state_of(k):
    """(method, params, carry) after the one step and the pass over the data, the autoencoder untrained."""
    method = toys.make('vector_offset', KIT)
    phase, start = method.phases[1], core.init(method, jax.random.key(0), BATCH, toys.hp('vector_offset', k=k))
    state, _ = toys.jit(core.make_step(phase))(core.enter(phase, start, BATCH), BUCKETS[0],
                                               jnp.arange(4, dtype=jnp.int32)[None])
    found = phase.summary.init()
    for bucket in BUCKETS:
        for first in range(0, len(bucket['label']), 4):      # the last batch half empty
            rows = first + jnp.arange(4, dtype=jnp.int32)
            batch = core.take(bucket, jnp.where(rows < len(bucket['label']), rows, -1))
            found = phase.summary.update(found, state.params, state.carry, batch)
    return method, state.params, phase.summary.finish(found, state.params, state.carry)


@pytest.mark.parametrize('k', [0., 1., 2.5])
def test_offset_is_k_times_the_difference_of_mean_codes(k):
    method, params, carry = state_of(k)
    assert float(params['k']) == k
    codes = {0: [], 1: []}
    for bucket in BUCKETS:
        z = method.evals['encode'](params, carry, toys.all_of(bucket))
        for row, label in zip(np.asarray(z, np.float64), bucket['label'].tolist(), strict=True):
            codes[label].append(row)
    assert {len(v) for v in codes.values()} == {12, 5}
    mean = np.stack([np.mean(codes[y], 0) for y in (0, 1)])
    np.testing.assert_allclose(carry['centroids'], mean, rtol=1e-5, atol=1e-6)
    z = method.evals['encode'](params, carry, BATCH)
    zero, one = jnp.zeros(6, int), jnp.ones(6, int)
    there, back = (method.evals['edit'](params, carry, z, y) - z for y in (one, zero))
    np.testing.assert_allclose(there, np.tile(k * (mean[1] - mean[0]), (6, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(back, -there, atol=1e-6)
    moved = method.evals['transfer'](params, carry, BATCH, one, None, 'mean')
    want = method.evals['decode'](params, carry, z + k * (mean[1] - mean[0]), None, 'mean')
    toys.close(moved, want, rtol=1e-5)
    if k == 0:
        toys.close(moved, method.evals['decode'](params, carry, z, None, 'mean'), atol=0)


NUMBERS = {k: jnp.float32(v) for k, v in {**latent_offsets.CONSTANT, 'beta': 10., 'critic_lr': 5e-4}.items()}


@pytest.mark.parametrize('name', ['aae_offset', 'daae_offset', 'laae_offset'])
def test_adversarial_autoencoders_are_those_of_shen_et_al(name):
    """The players are the Wasserstein autoencoder's with the paper's numbers, whatever hp holds."""
    options = METHODS[name].options
    method = toys.make(name, KIT, **SMALL)
    plain = wae_gan(KIT, toys.recipe(), d_first=False, **SMALL)
    params, carry = method.init(jax.random.key(0), BATCH)
    assert [p.name for p in method.phases[0].players] == ['vae', 'critic']
    hp = {'k': jnp.float32(1), 'lr': jnp.float32(.1), 'lr_scale': jnp.float32(1), 'beta': jnp.float32(77)}
    ctx = toys.ctx(hp, total=3)
    value, (_, aux) = method.phases[0].players[0].loss(params, carry, BATCH, ctx)
    want, (_, other) = plain.phases[0].players[0].loss(params, carry, BATCH, ctx._replace(hp={**hp, **NUMBERS}))
    q = method.evals['posterior'](params, carry, BATCH)
    noisy = options.get('log_var', 0.) * float(jnp.abs(q['log_var']).sum(-1).mean())
    assert float(value) == pytest.approx(float(aux['rec'] + 10 * aux['fool']) + noisy, rel=1e-5)
    assert (noisy > 0) == (name == 'laae_offset') and ('log_var' in aux) == (name == 'laae_offset')
    corrupted = float(aux['rec']) != float(other['rec'])
    assert corrupted == (name == 'daae_offset')
    if name == 'aae_offset':
        assert float(value) == float(want)
    select = method.phases[0].select.value(hp, {'rec': 5., 'fool': 2.})
    assert float(select) == 25. and method.phases[0].shared['corrupt'] == options['corrupt']


def test_autoencoders_that_differ_are_not_shared():
    shared = [toys.make(name, KIT, **SMALL).phases[0].shared for name in ('aae_offset', 'daae_offset', 'laae_offset')]
    shared += [toys.make('vector_offset', KIT, corrupt=c).phases[0].shared for c in (.1, .2)]
    assert all(a != b for i, a in enumerate(shared) for b in shared[:i])


@pytest.mark.parametrize('name', ['vector_offset', 'aae_offset'])
def test_more_than_two_styles_are_refused_in_one_line(name):
    with pytest.raises(UserError, match='2 styles into each other, and the data has 3') as error:
        toys.make(name)
    assert '\n' not in str(error.value)
    with pytest.raises(UserError, match="needs a column 'label'"):
        toys.make(name, toys.without(toys.kit(), 'label'))


def test_the_steps_that_take_k_over_move_nothing_else():
    method = toys.make('vector_offset', KIT)
    start = core.init(method, jax.random.key(0), BATCH, toys.hp('vector_offset', k=1.5))
    state = core.enter(method.phases[1], start, BATCH)
    data, step = columns(6), toys.jit(core.make_step(method.phases[1]))
    for _ in range(3):      # one step does
        new, _ = step(state, data, jnp.arange(6, dtype=jnp.int32)[None])
        assert toys.moved(state.params, new.params) <= {'k'} and float(new.params['k']) == 1.5
        state = new
