"""Charged particles: what their motion conserves, and that it turns with them."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench import datasets
from vaebench.datasets import nbody, particles
from vaebench.errors import UserError

SMALL = dict(examples=12, eval_examples=4, frames=2)


@pytest.fixture(scope='module')
def data():
    return datasets.load('nbody', **SMALL)


def ends(data, split='train'):
    """Position, velocity and charge at the start, and the former two at the end."""
    x, target = data.splits[split]['x'], data.splits[split]['target']
    return *(x[k] for k in ('position', 'velocity', 'charge')), *(
        x[k] + target[k] for k in ('position', 'velocity'))


def test_columns(data):
    position, velocity, charge, _, _ = ends(data)
    assert position.shape == velocity.shape == (12, 5, 3) and charge.shape == (12, 5)
    assert set(np.unique(charge)) == {-1., 1.}
    np.testing.assert_allclose(np.linalg.norm(velocity, axis=-1), .5, atol=1e-4)
    assert (data.item, data.part, data.source.sizes) == ('system', 'coordinate', {
        'train': 12, 'valid': 4, 'test': 4})
    more = datasets.load('nbody', examples=14, eval_examples=4, frames=1)
    np.testing.assert_array_equal(more.splits['train']['x']['position'][:12], position)
    assert more.source.sha256 != datasets.load('nbody', **SMALL | {'frames': 1}).source.sha256
    assert data.source.sha256 != datasets.load('nbody', **SMALL | {'frames': 1}).source.sha256
    assert data.source.sha256 == datasets.load('nbody', **SMALL).source.sha256


def test_momentum_and_energy_are_conserved():
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(2, 40, 5, 3))
    c = rng.choice([-1., 1.], (40, 5))
    dynamics = particles.Dynamics(300)
    y, w = particles.simulate(x, v, c, dynamics)
    assert np.abs(y - x).max() > .1
    np.testing.assert_allclose(w.sum(1), v.sum(1), atol=1e-11)
    np.testing.assert_allclose((y - x).sum(1), .3 * v.sum(1), atol=1e-11)
    with jax.enable_x64(True):
        energy = jax.vmap(lambda *s: particles.energy(*s, dynamics.largest))
        before, after = (np.asarray(energy(*map(jnp.asarray, (*s, c)))) for s in ((x, v), (y, w)))
    drift = np.abs(after - before)
    assert np.median(drift) < 2e-3 and drift.max() < .2       # of about 8


def test_trajectories_turn_and_shift_with_the_start():
    rng = np.random.default_rng(4)
    x, v = rng.normal(size=(2, 6, 5, 3))
    x[:, 1] = x[:, 0] + .02                       # nearer than the cap
    c = rng.choice([-1., 1.], (6, 5))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    shift, dynamics = rng.normal(size=3), particles.Dynamics(100)
    y, w = particles.simulate(x, v, c, dynamics)
    turned, spun = particles.simulate(x @ turn.T + shift, v @ turn.T, c, dynamics)
    np.testing.assert_allclose(turned, y @ turn.T + shift, atol=1e-9)
    np.testing.assert_allclose(spun, w @ turn.T, atol=1e-8)


def test_forces_are_coulombs_and_capped_in_norm():
    rng = np.random.default_rng(5)
    direction = rng.normal(size=(20, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    for distance, size in ((2., .25), (.2, 25.), (.1, 100.), (.05, 100.), (1e-4, 100.)):
        for d in direction[:5]:
            pair = jnp.asarray(np.stack([0 * d, distance * d]))
            like = particles.forces(pair, jnp.ones(2), 100.)
            np.testing.assert_allclose(like, size * np.stack([-d, d]), rtol=2e-3)
            np.testing.assert_allclose(particles.forces(pair, jnp.array([1., -1.]), 100.), -like)
    assert np.isfinite(particles.forces(jnp.zeros((3, 3)), jnp.ones(3), 100.)).all()


def test_the_force_is_the_slope_of_the_energy():
    rng = np.random.default_rng(6)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(4, 3))).at[1].set(.03).at[0].set(0.)
        c, still = jnp.array([1., -1., 1., 1.]), jnp.zeros((4, 3))
        slope = jax.grad(lambda x: particles.energy(x, still, c, 100.))(x)
        np.testing.assert_allclose(particles.forces(x, c, 100.), -slope, rtol=1e-9, atol=1e-9)


def test_symmetry_acts_on_inputs_and_targets_alike(data):
    """The end of a moved start is the moved end."""
    group = data.truth['group']
    assert group['rotation'].shape == (32, 3, 3) and group['translation'].shape == (32, 3)
    turns = np.float64(group['rotation'])
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(3), (32, 3, 3)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-6)
    g = {name: value[3] for name, value in group.items()}
    train = data.splits['train']
    moved = data.symmetry(g, {**train, 'index': np.arange(12)})
    start = [moved['x'][k] for k in ('position', 'velocity', 'charge')]
    x, v = particles.simulate(*start, particles.Dynamics(200))
    np.testing.assert_allclose(x - start[0], moved['target']['position'], atol=1e-3)
    np.testing.assert_allclose(v - start[1], moved['target']['velocity'], atol=5e-3)
    np.testing.assert_array_equal(moved['x']['charge'], train['x']['charge'])
    assert moved['index'].tolist() == list(range(12))
    assert set(data.symmetry(g, {'target': train['target']})) == {'target'}


def test_flat_systems():
    flat = datasets.load('nbody', **SMALL | {'frames': 1}, spread=(1., 1., 0.))
    assert not flat.splits['test']['x']['position'][..., 2].any()
    assert flat.splits['test']['x']['velocity'][..., 2].any()


@pytest.mark.parametrize('options', [
    dict(spread='wide'), dict(spread=-1.), dict(spread=0.), dict(spread=(1., 2.)),
    dict(spread=float('nan')), dict(particles=1), dict(frames=0), dict(particles=2.5)])
def test_bad_options(options):
    with pytest.raises(UserError, match=next(iter(options))):
        nbody.nbody(**SMALL | options)
