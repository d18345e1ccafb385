"""Networks of particles: what each commutes with, and the attention layer by hand."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy.spatial.transform import Rotation

from vaebench import networks
from vaebench.errors import UserError
from vaebench.networks import common, se3, sets
from vaebench.ops import harmonics

SIZES = {'linear': {}, 'deepset': dict(layers=2, hidden=8), 'set_transformer': dict(layers=1, hidden=8, heads=2),
         'egnn': dict(layers=2, hidden=8), 'tfn': dict(layers=2, channels=2, degrees=3, hidden=6),
         'se3': dict(layers=2, channels=4, degrees=3, heads=2, hidden=6)}
COMMUTE = 'linear', 'egnn', 'tfn', 'se3'
TURN = Rotation.from_quat([.3, -.5, .2, .8]).as_matrix()
ORDER = np.array([2, 0, 3, 1])


def predictor(name, **sizes):
    return networks.build(toys.PARTICLES, {'name': name, **SIZES[name], **sizes}).predictor()


def started(net):
    """Parameters none of which is 0."""
    params = net.init(jax.random.key(3))
    return jax.tree.map(lambda p: p + .1 * jax.random.normal(jax.random.key(4), p.shape), params)


def views(x):
    """The same systems as they are, turned, shifted, in another order and mirrored, as one batch."""
    turned = {'position': x['position'] @ TURN.T, 'velocity': x['velocity'] @ TURN.T, 'charge': x['charge']}
    shifted = {**x, 'position': x['position'] + np.array([3., -1., 2.])}
    mirrored = {k: v * np.array([1., 1., -1.]) if v.ndim == 3 else v for k, v in x.items()}
    every = x, turned, shifted, {k: v[:, ORDER] for k, v in x.items()}, mirrored
    return jax.tree.map(lambda *v: jnp.concatenate(v), *every)


@pytest.fixture(params=[False, True], ids=['float32', 'float64'])
def tolerance(request):
    with jax.enable_x64(request.param):
        yield 1e-10 if request.param else 1e-4


@pytest.mark.parametrize('name', SIZES)
def test_what_networks_commute_with(name, tolerance):
    net, batch = predictor(name), {'x': views(toys.particles(2)['x'])}
    said = toys.jit(lambda batch: net.apply(started(net), batch))(batch)
    for value in said.values():
        assert value.shape == (10, 4, 3) and value.dtype == jnp.result_type(float)
        still, turned, shifted, ordered, mirrored = np.split(np.asarray(value), 5)
        near = lambda a, b, still=still: np.abs(a - b).max() / np.abs(still).max() < tolerance
        assert near(shifted, still) and near(ordered, still[:, ORDER])
        assert near(turned, still @ TURN.T) == (name in COMMUTE)
        if name not in COMMUTE:
            assert np.abs(turned - still @ TURN.T).max() > .05 * np.abs(still).max()
        # kernels of odd J turn like pseudovectors
        assert near(mirrored, still * np.array([1., 1., -1.])) == (name in ('linear', 'egnn'))


@pytest.mark.parametrize('name', SIZES)
def test_gradients_are_finite_where_points_coincide(name):
    net, data = predictor(name, degrees=2), toys.particles(3)
    x = {**data['x'], 'position': data['x']['position'].at[0, 1].set(data['x']['position'][0, 0]),
         'velocity': data['x']['velocity'].at[1].set(0.)}

    def loss(params, position):
        said = net.apply(params, {'x': {**x, 'position': position}})
        return sum((v**2).sum() for v in said.values())

    value, slopes = toys.jit(jax.value_and_grad(loss, (0, 1)))(started(net), x['position'])
    assert np.isfinite(value) and all(np.isfinite(s).all() for s in jax.tree.leaves(slopes))
    assert all(np.abs(s).max() > 0 for s in jax.tree.leaves(slopes[0]))      # no parameter lies idle


# The layer by hand.

def radial(p, x):
    """One edge's scalars [E] -> numbers."""
    for i in range(2):
        x = x @ p[f'layer{i}']['kernel'] + p[f'layer{i}']['bias']
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * (1 + p[f'gain{i}']) + p[f'shift{i}']
        x = np.maximum(x, 0)
    return x @ p['last']['kernel'] + p['last']['bias']


def kernel(out, into, x):
    return np.stack([harmonics.clebsch_gordan(out, into, j) @ harmonics._on_points(j, x)
                     for j in harmonics.couplings(out, into)])


def by_hand(p, fiber, position, product, features, count, heads, attention):
    """One system; fiber[l] is [P, m, 2 l + 1]."""
    points, out = len(position), {l: [] for l in features}
    keys = dict.fromkeys(fiber, count) if attention else {}
    degrees = sorted({*features, *keys})
    for i in range(points):
        key, value = {l: {} for l in degrees}, {l: {} for l in degrees}
        for j in set(range(points)) - {i}:
            d = position[j] - position[i]
            away = np.sqrt(d @ d + 1e-12)
            numbers = radial(p['messages']['radial'], np.array([away, product[i, j]]))
            sent = {}
            for l in degrees:
                total, width = np.zeros((features.get(l, 0) + keys.get(l, 0), 2 * l + 1)), 0
                for k, f in fiber.items():
                    basis = kernel(l, k, d / away)
                    size = len(total) * f.shape[1] * len(basis)
                    weight, numbers = numbers[:size].reshape(len(total), f.shape[1], -1), numbers[size:]
                    width += f.shape[1] * len(basis)
                    for a in range(len(total)):
                        for c in range(f.shape[1]):
                            total[a] += np.tensordot(weight[a, c], basis, 1) @ f[j, c]
                sent[l] = total / np.sqrt(width)
            for l in degrees:
                key[l][j], value[l][j] = np.split(sent[l], [keys.get(l, 0)])
        if attention:
            query = {l: np.einsum('cp,cd->dp', fiber[l][i], p['query'][f'kernel_{l}']) for l in keys}
            size = sum(n // heads * (2 * l + 1) for l, n in keys.items())
            logits = {j: np.array([sum((np.split(query[l], heads)[h] * np.split(key[l][j], heads)[h]).sum()
                                       for l in keys) / np.sqrt(size) for h in range(heads)]) for j in value[0]}
            exp = {j: np.exp(v) for j, v in logits.items()}
            weight = {j: v / sum(exp.values()) for j, v in exp.items()}
        else:
            weight = {j: np.full(heads, 1 / (points - 1)) for j in value[0]}
        for l in features:
            each = [np.concatenate([w * v for w, v in zip(weight[j], np.split(value[l][j], heads), strict=True)])
                    for j in value[l]]
            joined = np.concatenate([sum(each), *([fiber[l][i]] if l in fiber else [])])
            out[l].append(np.einsum('cp,cd->dp', joined, p['own'][f'kernel_{l}']))
    return {l: np.stack(rows) for l, rows in out.items()}


@pytest.mark.parametrize('attention, heads', [(True, 2), (False, 1)])
def test_layer_is_what_its_loops_say(attention, heads):
    rng, features = np.random.default_rng(0), {0: 2, 1: 4}
    with jax.enable_x64(True):
        position = rng.normal(size=(1, 3, 3))
        fiber = {0: rng.normal(size=(1, 3, 1, 1)), 1: rng.normal(size=(1, 3, 2, 3)), 2: rng.normal(size=(1, 3, 1, 5))}
        product = rng.normal(size=(1, 3, 3, 1))
        layer = se3.Layer(features, 4, heads, 5, attention)

        def run(fiber):
            pairs = se3.edges(jnp.asarray(position), jnp.asarray(product), 3, 3)
            params = common.initializer(layer, sets.law, fiber, pairs)(jax.random.key(1))
            return params, layer.apply({'params': params}, fiber, pairs)

        params, found = jax.device_get(toys.jit(run)(jax.tree.map(jnp.asarray, fiber)))
    wanted = by_hand(params, {l: f[0] for l, f in fiber.items()}, position[0], product[0, ..., 0], features, 4,
                     heads, attention)
    for l in features:
        np.testing.assert_allclose(found[l][0], wanted[l], rtol=1e-9, atol=1e-10)


def test_norm_nonlinearity_changes_lengths_alone():
    f = {1: jnp.array([3., 4., 0.]).reshape(1, 1, 1, 3)}
    module = se3.NormNonlinearity()
    for shift, wanted in ((0., 5.), (-2., 3.), (-6., 0.), (1., 6.)):
        out = module.apply({'params': {'shift_1': jnp.full((1, 1), shift)}}, f)[1].ravel()
        np.testing.assert_allclose(out, wanted * np.array([.6, .8, 0.]), rtol=1e-6)


@pytest.mark.parametrize('config, message', [
    (dict(name='se3', heads=3), 'kit.heads=3 does not divide kit.channels=8'),
    (dict(name='tfn', degrees=4), 'kit.degrees=4: give 2 to 3'),
    (dict(name='set_transformer', hidden=6), 'kit.heads=4 does not divide kit.hidden=6')])
def test_sizes_that_do_not_fit(config, message):
    with pytest.raises(UserError, match=message):
        networks.build(toys.PARTICLES, config)


def test_other_data():
    only = {'x': {'position': toys.PARTICLES['x']['position']}}
    with pytest.raises(UserError, match="need the column 'x/velocity'"):
        networks.build(only, {'name': 'egnn'})
    with pytest.raises(UserError, match='reads columns of kind vectors, which the data has not'):
        networks.build(toys.SCHEMA, {'name': 'egnn'})
    kit = networks.build(toys.PARTICLES, {'name': 'linear'})
    assert kit.codec.read(toys.particles(2)['x'])['weight'].tolist() == [1., 1.]
