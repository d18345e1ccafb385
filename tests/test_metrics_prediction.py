"""Errors of predicted vectors, by hand, and of what is moved."""
import jax
import numpy as np
import pytest
import toys

from vaebench.datasets import nbody
from vaebench.metrics import METRICS, Settings, defined
from vaebench.metrics.prediction import systems

KEY, N, EVERY = jax.random.key(0), 7, ('position', 'velocity')


def evaluator(predict, gain=(1., -2.), size=3, **more):
    data = jax.tree.map(np.asarray, toys.particles(N))
    f = lambda params, carry, batch: predict(params['gain'], batch['x'])
    more = {'symmetry': nbody.move, 'truth': {'group': nbody.motions(5)}, **more}
    return data, toys.evaluator({'predict': f}, {'gain': np.float32(gain)}, {}, [data], KEY,
                                Settings(batch=size), **more)


def straight(gain, x):
    """Commutes with rotations."""
    return {name: gain * x['velocity'] for name in EVERY}


def along_z(gain, x):
    return {name: gain * x['velocity'] * np.float32([0., 0., 1.]) for name in EVERY}


@pytest.mark.parametrize('size', (3, 7))
def test_errors_are_those_of_numpy(size):
    data, view = evaluator(straight, size=size)
    for name in EVERY:
        found = METRICS[f'mse_{name}'].compute(view)
        wanted = [((g * data['x']['velocity'] - data['target'][name])**2).mean() for g in (1., -2.)]
        np.testing.assert_allclose(found.value, wanted, rtol=1e-5)
        assert found.n == N and found.stderr.shape == (2,)


def test_what_commutes_has_the_same_error_where_all_is_moved():
    _, view = evaluator(straight)
    for name in EVERY:
        still, moved = (METRICS[f'mse_{name}{end}'].compute(view) for end in ('', '_rotated'))
        np.testing.assert_allclose(moved.value, still.value, rtol=1e-5)
        assert moved.n == N and still.estimator.id != moved.estimator.id


def test_moved_errors_are_those_of_moving_each_by_hand():
    data, view = evaluator(along_z)
    group, wanted = nbody.motions(5), []
    for i in range(N):
        g = {name: value[i % 5] for name, value in group.items()}
        one = nbody.move(g, jax.tree.map(lambda a, i=i: a[i:i + 1], data))
        said = along_z(1., one['x'])['position']
        wanted.append(((said - one['target']['position'])**2).mean())
    found = METRICS['mse_position_rotated'].compute(view).value[0]
    np.testing.assert_allclose(found, np.mean(wanted), rtol=1e-5)
    assert abs(found - METRICS['mse_position'].compute(view).value[0]) > 1e-3


def test_needs_vectors_and_a_symmetry():
    data = {'x', 'target'}
    assert defined('mse_position', {'predict'}, data)
    assert not defined('mse_position', {'classify'}, data)
    assert not defined('mse_position_rotated', {'predict'}, data)
    _, view = evaluator(straight)
    other = toys.evaluator(view.evals, {'gain': np.ones(1)}, {}, [{'x': np.ones((4, 2)), 'target': np.ones((4, 2))}],
                           KEY)
    assert METRICS['mse_position'].compute(other) is None and systems(other) == {}


def test_systems_to_look_at():
    data, view = evaluator(straight)
    found = systems(view)
    assert {name: a.shape for name, a in found.items()} == {
        f'systems/{name}': (2, 6, 4, 3)[:3 if name == 'charge' else 4]
        for name in ('position', 'charge', 'target', 'predicted')}
    np.testing.assert_allclose(found['systems/predicted'][1], -2 * data['x']['velocity'][:6], rtol=1e-6)
    np.testing.assert_array_equal(found['systems/target'][0], data['target']['position'][:6])
