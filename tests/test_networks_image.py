"""The image kits: shapes, convolutions against XLA's, the critic."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_networks import Z, draw, image_kit

from vaebench import networks, schema
from vaebench.errors import UserError
from vaebench.networks import common, image_layers


@pytest.mark.parametrize('name', ['mlp', 'conv'])
@pytest.mark.parametrize('shape', [(8, 8, 1), (7, 5, 2)])
def test_image_shapes(name, shape):
    kit = image_kit(name, shape)
    enc, dec, gen, critic = kit.encoder(), kit.decoder(), kit.gen(), kit.critic()
    x, z, key = jnp.full((4, *shape), .5), draw((4, Z)), jax.random.key(0)

    @jax.jit
    def outputs():
        params = critic.init(key)
        pixel = jax.vmap(jax.grad(lambda x: critic.apply(params, x[None])[0]))(x)
        drawn = [dec.generate(dec.init(key), z, key, mode)['x'] for mode in ('mean', 'sample')]
        return (enc.apply(enc.init(key), {'x': x}).last, gen.apply(*gen.init(key), z)[0],
                critic.apply(params, x), pixel, *drawn)

    last, made, score, grads, mean, sample = outputs()
    assert last.shape == (4, kit.features)
    assert mean.shape == sample.shape == made.shape == x.shape
    assert made.min() > 0 and made.max() < 1
    assert score.shape == (4,)
    assert grads.shape == x.shape and np.abs(grads).max() > 0


@pytest.mark.parametrize('side', [2, 3, 4])
@pytest.mark.parametrize('shape', [(8, 8, 2), (7, 5, 1)])
def test_patches_make_a_convolution_and_its_transpose(shape, side):
    x, kernel = draw((2, *shape)), draw((side, side, shape[2], 4), 1)
    border = [(int(side > 2), n % 2 if side == 2 else 1 + (side == 4 and n % 2)) for n in shape[:2]]
    want = jax.lax.conv_general_dilated(x, kernel, (2, 2), border,
                                        dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    got = image_layers.patches(x, side) @ kernel.reshape(-1, 4)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    y = draw(image_layers.patches(x, side).shape, 2)
    np.testing.assert_allclose((image_layers.unpatch(y, shape, side) * x).sum(),
                               (y * image_layers.patches(x, side)).sum(), rtol=1e-4)


def test_only_windows_of_four_cover_every_pixel_equally():
    covered = {}
    for k in (3, 4):
        sums = image_layers.unpatch(jnp.ones((1, 4, 4, k * k)), (8, 8, 1), k)
        covered[k] = np.unique(sums[0, 1:-1, 1:-1])
    assert covered[4].tolist() == [4.] and covered[3].tolist() == [1., 2., 4.]
    with pytest.raises(UserError, match='kernel=5: convolutions have 2, 3 or 4 pixels'):
        image_kit('conv', kernel=5)


def count(params, ends=('kernel', 'bias')):
    return sum(x.size for path, x in jax.tree_util.tree_leaves_with_path(params) if path[-1].key in ends)


def shapes(make):
    """Shapes of a network's parameters; nothing is drawn."""
    return jax.eval_shape(make().init, jax.random.key(0))


def test_networks_of_disentanglement_have_their_papers_sizes():
    """Counted by hand of Locatello et al. (2019): weights of layers, then biases."""
    columns, z = {'x': schema.image((64, 64, 1))}, 10
    kit = networks.build(columns, {
        'name': 'conv', 'latent': z, 'channels': (32, 32, 64, 64), 'kernel': (4, 4, 2, 2), 'hidden': 256,
        'decoder': {'kernel': 4}})
    assert kit.features == 256
    assert count(shapes(kit.encoder)) == (16 * 1 * 32 + 32) + (16 * 32 * 32 + 32) + (4 * 32 * 64 + 64) + (
        4 * 64 * 64 + 64) + (4 * 4 * 64 * 256 + 256) == 304_064
    assert count(shapes(lambda: kit.head(z))) == 2_570
    dec = shapes(kit.decoder)
    assert count(dec, ('kernel',)) == 10 * 256 + 256 * 1024 + 16 * (64 * 64 + 64 * 32 + 32 * 32 + 32 * 1)
    # a bias per pixel of the kernel: 16 for each of theirs
    assert count(dec, ('bias',)) == 256 + 1024 + 16 * (64 + 32 + 32 + 1)
    seen = jax.eval_shape(kit.encoder().apply, shapes(kit.encoder), {'x': jnp.zeros((2, 64, 64, 1))})
    made = jax.eval_shape(kit.decoder().generate, dec, jnp.zeros((2, z)))
    assert seen.last.shape == (2, 256) and made['x'].shape == (2, 64, 64, 1)
    flat = networks.build(columns, {
        'name': 'mlp', 'latent': z, 'hidden': (1200, 1200),
        'decoder': {'hidden': (1200, 1200, 1200), 'activation': 'tanh'}})
    layer = 1200 * 1200 + 1200
    assert count(shapes(flat.encoder)) == 4096 * 1200 + 1200 + layer
    assert count(shapes(flat.decoder)) == 10 * 1200 + 1200 + 2 * layer + 1200 * 4096 + 4096
    assert count(shapes(lambda: flat.mlp((z, *(1000,) * 6, 2), 'leaky_relu'))) == (
        11 * 1000 + 5 * 1001 * 1000 + 1001 * 2) == 5_018_002


def test_a_decoder_may_be_another_network_than_the_encoder():
    kit = image_kit('mlp', decoder={'activation': 'tanh', 'hidden': (7,)})
    params, z = kit.decoder().init(jax.random.key(0)), draw((4, Z))
    first, last = (params['body']['body'][f'layer{i}'] for i in (0, 1))
    want = np.tanh(z @ first['kernel'] + first['bias']) @ last['kernel'] + last['bias']
    made = kit.decoder().generate(params, z)['x']
    np.testing.assert_allclose(made.reshape(4, -1), 1 / (1 + np.exp(-want)), rtol=1e-4)
    assert kit.features == 5 and kit.gen().init(jax.random.key(0))[0]['body']['layer0']['kernel'].shape == (Z, 5)
    seen = image_kit('conv', decoder={'name': 'mlp', 'hidden': (9,)}).decoder().init(jax.random.key(0))
    assert seen['body']['body']['layer0']['kernel'].shape == (Z, 9)


def test_critic_scores_each_image_by_itself():
    critic = image_kit('conv').critic()
    params, x = critic.init(jax.random.key(0)), draw((4, 8, 8, 1))
    np.testing.assert_allclose(critic.apply(params, x)[:2], critic.apply(params, x[:2]),
                               rtol=1e-5)


def sizes(tree):
    """Entries of every weight, largest last."""
    flat = {path[-1].key: [] for path, _ in jax.tree_util.tree_leaves_with_path(tree)}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        flat[path[-1].key].append(np.asarray(leaf).ravel())
    return {name: np.concatenate(parts) for name, parts in flat.items()}


def test_a_generator_and_a_critic_may_be_other_networks_than_the_kits():
    kit = image_kit('conv', generator={'name': 'mlp', 'hidden': (9, 8), 'norm': False},
                    critic={'channels': (4,), 'hidden': None})
    gen, critic = kit.gen(norm=True), kit.critic(norm=True)
    params, stats = gen.init(jax.random.key(0))
    shapes = jax.tree.map(jnp.shape, params['body'])
    # a decoder mirrors: the last width is next to the code
    assert [shapes[f'layer{i}']['kernel'] for i in range(3)] == [(Z, 8), (8, 9), (9, 64)]
    assert stats == {}
    shapes = jax.tree.map(jnp.shape, critic.init(jax.random.key(0)))
    assert shapes == {'conv0': {'kernel': (9, 4), 'bias': (4,)},
                      'out': {'kernel': (4 * 4 * 4, 1), 'bias': (1,)}}
    assert kit.features == 5 and kit.gen(norm=True) is not None
    plain = image_kit('conv').gen(norm=True)
    assert plain.init(jax.random.key(0))[1]                      # those of the kit's own are


def test_activations_are_of_each_network():
    x, z = draw((4, 8, 8, 1)), draw((4, Z))
    usual, other = image_kit('mlp'), image_kit('mlp', generator={'activation': 'tanh'},
                                               critic={'activation': 'tanh'})
    key = jax.random.key(0)
    for name, value in (('gen', z), ('critic', x)):
        made = []
        for kit in (usual, other):
            net = kit.nets[name]()
            params = net.init(key)[0] if name == 'gen' else net.init(key)
            made.append(net.apply(*((params, {}) if name == 'gen' else (params,)), value)[0])
        assert np.abs(np.asarray(made[0]) - np.asarray(made[1])).max() > 1e-3
    same = [k.encoder().apply(k.encoder().init(key), {'x': x}).last for k in (usual, other)]
    np.testing.assert_array_equal(*same)


def test_normal_weights_have_their_standard_deviation():
    kit = image_kit('mlp', hidden=(80, 60), generator={'std': .02}, critic={'std': .3})
    found = sizes(kit.gen(norm=True).init(jax.random.key(0))[0])
    assert found['kernel'].std() == pytest.approx(.02, rel=.05)
    assert np.abs(found['kernel']).max() > .05                   # beyond any uniform law of it
    assert found['gain'].std() == pytest.approx(.02, rel=.2)     # about 1: `Norm` adds it
    assert not found['bias'].any() and not found['shift'].any()
    found = sizes(kit.critic().init(jax.random.key(0)))
    assert found['kernel'].std() == pytest.approx(.3, rel=.05)


@pytest.mark.parametrize('name', ['mlp', 'conv'])
def test_gated_units_halve_every_layer(name):
    wide = {'hidden': (12, 10)} if name == 'mlp' else {'channels': (4, 6), 'hidden': 10}
    kit = image_kit(name, **wide, activation='gated', critic={'activation': 'gated'})
    key, x = jax.random.key(0), draw((4, 8, 8, 1))
    assert kit.features == 5
    enc, gen, critic = kit.encoder(), kit.gen(norm=True), kit.critic(norm=True)
    assert enc.apply(enc.init(key), {'x': x}).last.shape == (4, 5)
    params, stats = gen.init(key)
    assert gen.apply(params, stats, draw((4, Z)), train=True)[0].shape == x.shape
    assert critic.apply(critic.init(key), x).shape == (4,)
    value = jnp.concatenate([jnp.full((3, 2), .7), jnp.zeros((3, 2))], -1)
    np.testing.assert_allclose(common.gated(value), np.full((3, 2), np.tanh(.7) / 2), rtol=1e-6)


@pytest.mark.parametrize('options, message', [
    ({'kernel': (4, 4, 2)}, r'kernel=\(4, 4, 2\): 2 layers have channels; give one number for each'),
    ({'kernel': (4, 1)}, r'kernel=\(4, 1\): convolutions have 2, 3 or 4 pixels'),
    ({'decoder': {'std': .02}}, "unknown key of kit.decoder 'std'"),
    ({'decoder': {'kernel': 6}}, 'kernel=6'),
])
def test_convolutions_that_cannot_be_are_one_line(options, message):
    with pytest.raises(UserError, match=message) as raised:
        image_kit('conv', **options).decoder()
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('options, message', [
    ({'generator': {'widths': (3,)}}, "unknown key of kit.generator 'widths'"),
    ({'critic': {'name': 'lstm'}}, "unknown kit.critic.name 'lstm'"),
    ({'generator': {'name': 'conv', 'kernel': 5}}, 'kernel=5'),
    ({'generator': {'activation': 'rellu'}}, "activation 'rellu' is unknown"),
    ({'critic': {'activation': 'gated'}}, "5 units are odd"),
])
def test_a_network_that_cannot_be_is_one_line(options, message):
    kit = image_kit('mlp', **options)
    with pytest.raises(UserError, match=message) as raised:
        jax.eval_shape(lambda: (kit.gen().init(jax.random.key(0)),
                                kit.critic().init(jax.random.key(0))))
    assert '\n' not in str(raised.value)


def test_no_convolutions_of_points():
    kit = networks.build({'x': schema.vector(2)}, {
        'name': 'mlp', 'latent': 2, 'hidden': (4,), 'generator': {'name': 'conv'}})
    with pytest.raises(UserError, match="kit.generator.name='conv' is for images"):
        kit.gen()
    bare = networks.build({'x': schema.image((8, 8, 1))}, {
        'name': 'conv', 'latent': 2, 'critic': {'name': 'mlp'}})
    with pytest.raises(UserError, match='give hidden'):
        bare.critic()
