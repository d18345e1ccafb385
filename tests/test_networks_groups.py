"""The kits of groups: equal numbers of parameters, classes and likelihoods that stay, pictures that move."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import METHODS
from vaebench.networks import group_layers
from vaebench.ops import groups
from vaebench.ops.groups import GROUPS

KEY = jax.random.key(0)
SIDE = 12
SCHEMA = {'x': schema.image((SIDE, SIDE, 1)), 'label': schema.label(10)}
CLASSES = dict(latent=2, channels=(8, 8, 8), pools=(1,))
CODES = dict(latent=8, channels=(8, 8, 16), kernel=(3, 3, 3), pools=(1, 2), pad=True, codes='regular', hidden=16,
             up=(8, 8))
# the networks of the rotated digits: see configs/rotmnist.py
P4CNN = dict(latent=2, channels=(20,) * 7, kernel=(3,) * 6 + (4,), pools=(2,))


def kit(name, config, schema=SCHEMA):
    return networks.build(schema, {'name': name, **config})


def images(n=3, side=SIDE, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random((n, side, side, 1)), jnp.float32)


def turn(x, r):
    return jnp.rot90(x, r, (1, 2))


def size(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@functools.cache
def started(method, name, config):
    """(evals, params, carry) of a method that starts on a kit."""
    config = {'classes': CLASSES, 'codes': CODES}[config]
    made = METHODS[method].factory(kit(name, config), toys.recipe())
    batch = {'x': images(4), 'label': jnp.arange(4), 'weight': jnp.ones(4)}
    params, carry = made.init(KEY, batch)
    said = {'classify', 'posterior', 'sample_q', 'encode', 'log_lik', 'log_prior'} & set(made.evals)
    evals = {k: toys.jit(made.evals[k]) for k in said}
    if 'decode' in made.evals:
        evals['decode'] = toys.jit(lambda params, carry, z: made.evals['decode'](params, carry, z, KEY, 'mean')['x'])
    return evals, params, carry


def test_kits_have_as_many_parameters():
    digits = {'x': schema.image((28, 28, 1)), 'label': schema.label(10)}
    count = {}
    for name in GROUPS:
        made = kit(name, P4CNN, digits)
        count[name] = size((made.encoder().init(KEY), made.head(10).init(KEY)))
    pooling = kit('p4', {**P4CNN, 'rotation_pooling': True}, digits)
    count['pooling'] = size((pooling.encoder().init(KEY), pooling.head(10).init(KEY)))
    assert count == {'z2': 24930, 'p4': 24670, 'p4m': 24104, 'pooling': 24930}


def test_kits_of_games_have_about_as_many_parameters():
    """A seed is no map of the group: its channels are those of the plain network."""
    digits = {'x': schema.image((28, 28, 1)), 'label': schema.label(10)}
    small = dict(latent=16, channels=(8, 16, 32), pools=(1, 2), up=(32, 16, 8), pad=True)
    count, seeds = {}, set()
    for name in GROUPS:
        made = kit(name, small, digits)
        gen, _ = jax.eval_shape(made.class_gen().init, KEY)
        seeds.add(gen['seed']['kernel'].shape)
        count[name] = size((gen, jax.eval_shape(made.class_critic().init, KEY)))
    assert seeds == {(32, 7 * 7 * 8)}
    assert .75 < count['p4'] / count['z2'] < 1 and .7 < count['p4m'] / count['z2'] < 1, count


@pytest.mark.parametrize('name', GROUPS)
def test_a_layer_of_the_group_has_its_number_of_parameters(name):
    layer = group_layers.GroupConv(GROUPS[name], 5, 3)
    order = GROUPS[name].order
    params = layer.init(KEY, jnp.zeros((1, 6, 6, order, 2)))['params']
    assert params['kernel'].size == order * 2 * 5 * 9 and params['bias'].shape == (5,)


@pytest.mark.parametrize('h', range(8))
def test_classes_of_a_moved_image_stay_and_those_of_the_plain_network_change(h):
    x, far = images(), {}
    moved = groups.move(GROUPS['p4m'], h, x, 1)
    for name in GROUPS:
        evals, params, carry = started('classifier', name, 'classes')
        told = [evals['classify'](params, carry, {'x': v}) for v in (x, moved)]
        far[name] = float(jnp.abs(told[0] - told[1]).max())
    assert far['p4m'] < 1e-5 and (far['p4'] < 1e-5) == (h < 4) and (far['z2'] < 1e-5) == (h == 0)


def test_rotation_pooling_makes_classes_that_stay():
    made = kit('p4', {**CLASSES, 'rotation_pooling': True})
    encoder = made.encoder()
    params = encoder.init(KEY)
    last = [toys.jit(encoder.apply)(params, {'x': turn(images(), r)}).last for r in range(4)]
    np.testing.assert_allclose(last[1:], np.stack([last[0]] * 3), atol=1e-5)
    assert params['conv2']['kernel'].shape == (3, 3, 1, 8, 8)      # from a picture again, of undivided width


@pytest.mark.parametrize('name', ['p4', 'p4m'])
def test_a_vae_gives_moved_images_their_likelihood_and_codes_that_change_places(name):
    evals, params, carry = started('vae', name, 'codes')
    group, x = GROUPS[name], images()
    q, key = evals['posterior'](params, carry, {'x': x}), jax.random.key(1)
    z = evals['sample_q'](params, carry, q, key)
    for h in range(group.order):
        moved = groups.move(group, h, x, 1)
        again = evals['posterior'](params, carry, {'x': moved})
        for k in ('mean', 'log_var'):
            np.testing.assert_allclose(again[k], groups.move_code(group, h, q[k]), atol=1e-5)
        code = groups.move_code(group, h, z)
        picture = [evals['decode'](params, carry, v) for v in (z, code)]
        np.testing.assert_allclose(picture[1], groups.move(group, h, picture[0], 1), atol=1e-5)
        for f in (lambda z, x: evals['log_lik'](params, carry, z, {'x': x}),
                  lambda z, x: evals['log_prior'](params, carry, z)):
            np.testing.assert_allclose(f(code, moved), f(z, x), rtol=1e-5)
    assert np.abs(groups.move_code(group, 1, z) - z).max() > .1
    assert np.ptp(picture[0]) > 1e-3


def test_the_plain_vae_moves_nothing():
    evals, params, carry = started('vae', 'z2', 'codes')
    decoded = lambda x: evals['decode'](params, carry, evals['encode'](params, carry, {'x': x}))
    assert np.abs(decoded(turn(images(), 1)) - turn(decoded(images()), 1)).max() > 1e-3


@pytest.mark.parametrize('name', ['z2', 'p4', 'p4m'])
def test_scores_of_a_critic_stay_and_a_generator_draws(name):
    made = kit(name, {**CLASSES, 'up': (8, 8)})
    critic, gen = made.critic(), made.gen(norm=True)
    params, score = critic.init(KEY), toys.jit(critic.apply)
    scores = [score(params, turn(images(), r)) for r in range(4)]
    assert (np.ptp(scores, axis=0).max() < 1e-5) == (name != 'z2')
    params, stats = gen.init(KEY)
    x, new = toys.jit(lambda z: gen.apply(params, stats, z, train=True))(jax.random.normal(KEY, (3, 2)))
    assert x.shape == (3, SIDE, SIDE, 1) and jax.tree.structure(new) == jax.tree.structure(stats)
    assert scores[0].shape == (3,)


def test_running_moments_move_to_those_of_the_batch():
    made = kit('p4', {**CLASSES, 'norm': True})
    encoder = made.encoder()
    params = encoder.init(KEY)
    batch = {'x': images(6), 'weight': jnp.array([1., 1., 1., 1., 0., 0.])}
    last = lambda p, batch: encoder.apply(p, batch, KEY).last
    grads = toys.jit(jax.grad(lambda p: 1e-3 * last(p, batch).sum()))(params)
    bank = groups.filter_bank(GROUPS['p4'], params['conv1']['kernel'])
    y = groups.correlate(batch['x'][:4], bank).reshape(4, 10, 10, 4, -1) + params['conv1']['bias']
    np.testing.assert_allclose(grads['norm1']['running_mean'], -y.mean((0, 1, 2, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(grads['norm1']['running_variance'], 1 - y.var((0, 1, 2, 3)), rtol=1e-4)
    # empty slots count for nothing
    cut = {k: v[:4] for k, v in batch.items()}
    np.testing.assert_allclose(toys.jit(last)(params, batch)[:4], toys.jit(last)(params, cut), atol=1e-5)


def test_evaluation_reads_running_moments():
    made = kit('z2', {**CLASSES, 'norm': True})
    encoder = made.encoder()
    params, x = encoder.init(KEY), images(5)
    last = toys.jit(lambda params, x: encoder.apply(params, {'x': x}).last)
    alone = jnp.concatenate([last(params, x[i:i + 1]) for i in range(5)])
    np.testing.assert_allclose(last(params, x), alone, atol=1e-6)
    params['norm1']['running_mean'] = params['norm1']['running_mean'] + 1.
    assert np.abs(last(params, x) - alone).max() > 1e-3


@pytest.mark.parametrize('name, config, says', [
    ('p4', dict(CLASSES, pools=(1, 2, 3)), 'odd size'),
    ('p4', dict(CLASSES, kernel=(3, 3)), 'one number for each layer'),
    ('p4', dict(CLASSES, kernel=(2, 3, 3), pad=True), 'even kernel'),
    ('p4', dict(CLASSES, kernel=5), 'no pixel left'),
    ('p4', dict(CLASSES, codes='odd'), 'kit.codes'),
    ('p4', dict(CLASSES, likelihood='odd'), 'kit.likelihood'),
    ('p4', dict(CODES, rotation_pooling=True), 'rotation_pooling')])
def test_what_does_not_fit_is_said(name, config, says):
    with pytest.raises(UserError, match=says):
        kit(name, config)


def test_codes_that_do_not_fit_are_said():
    with pytest.raises(UserError, match='multiple of 8'):
        kit('p4m', dict(CODES, latent=6)).decoder()
    with pytest.raises(UserError, match='multiple of 4'):
        kit('p4', CODES).head(10)
    with pytest.raises(UserError, match="codes='regular'"):
        kit('p4', CLASSES).decoder()
    with pytest.raises(UserError, match='halved'):
        kit('p4', dict(CODES, up=(8, 8, 8))).decoder()
    with pytest.raises(UserError, match='28x20'):
        kit('p4', CLASSES, {'x': schema.image((28, 20, 1))})


def test_members_of_a_group_commute_in_double_precision():
    with jax.enable_x64(True):
        made = kit('p4m', CLASSES)
        encoder = made.encoder()
        params = jax.tree.map(lambda v: v.astype('float64'), encoder.init(KEY))
        x, last = images().astype('float64'), toys.jit(lambda x: encoder.apply(params, {'x': x}).last)
        first = last(x)
        for h in range(8):
            again = last(groups.move(GROUPS['p4m'], h, x, 1))
            np.testing.assert_allclose(again, first, rtol=0, atol=1e-10)
            assert again.dtype == 'float64' and isinstance(made, core.Kit)
