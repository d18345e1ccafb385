"""The equivariance error: by hand, by enumeration, and the same for images and for moving points."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.metrics import METRICS, Settings, defined
from vaebench.metrics.equivariance import errors

KEY = jax.random.key(0)
X = np.float32([[1., 2., 3.], [0., 0., 4.], [2., 2., 2.], [5., 0., 1.], [1., 1., 0.]])


def roll(g, batch):
    """The cyclic group of three on x, a target and whatever is nested in it."""
    moved = {k: jax.tree.map(lambda v: jnp.roll(v, g, 1), batch[k]) for k in ('x', 'target') if k in batch}
    return {**batch, **moved}


def view(evals, scale=(1.,), elements=(1, 2), symmetry=roll, x=X, size=2):
    evals = {name: lambda params, carry, *rest, f=f: f(params['scale'], *rest) for name, f in evals.items()}
    return toys.evaluator(evals, {'scale': jnp.array(scale)}, {}, [{'x': x}], KEY, Settings(batch=size),
                          symmetry=symmetry, truth={'group': jnp.array(elements)})


def value(name, view):
    return METRICS[name].compute(view)


def test_a_prediction_that_moves_with_its_input_has_no_error():
    v = value('equivariance_error', view({'predict': lambda s, batch: s * batch['x']**2}, (1., -2.)))
    assert v.value.tolist() == [0., 0.] and v.n == 5


@pytest.mark.parametrize('size', (2, 5))
def test_errors_are_those_of_enumeration(size):
    w = np.float32([1., 0., -2.])
    v = view({'predict': lambda s, batch: {'v': s * batch['x'] * w, 'c': batch['x'][:, :1] * jnp.ones((1, 3))}},
             (1., 3.), size=size)
    for scale, found in zip((1., 3.), errors(v)[0], strict=True):
        said = lambda x, scale=scale: np.stack([scale * x * w, x[:, :1] * np.ones((1, 3))])
        wanted = [np.linalg.norm(said(np.roll(X, g, 1)) - np.roll(said(X), g, 2)) / np.linalg.norm(said(X))
                  for g in (1, 2)]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(value('equivariance_error', v).value, errors(v)[0].mean(1))
    np.testing.assert_allclose(value('equivariance_error_max', v).value, errors(v)[0].max(1))


def test_classes_are_to_stay_and_reconstructions_to_move():
    total = lambda s, batch: jax.nn.log_softmax(s * jnp.stack([batch['x'].sum(1), 0 * batch['x'][:, 0]], 1))
    place = lambda s, batch: jax.nn.log_softmax(batch['x'])
    assert value('equivariance_error', view({'classify': total})).value < 1e-6
    assert value('equivariance_error', view({'classify': place})).value > .1
    again = {'encode': lambda s, batch: batch['x'] / 2, 'decode': lambda s, z, key, mode: {'x': 2 * z}}
    assert value('equivariance_error', view(again)).value < 1e-6
    still = {**again, 'decode': lambda s, z, key, mode: {'x': 0 * z + jnp.array([0., 3., 4.])}}
    # |moved constant - constant| / |constant|
    np.testing.assert_allclose(errors(view(still))[0][0], [np.sqrt(26) / 5, np.sqrt(26) / 5], rtol=1e-6)


def test_elements_may_be_rotations():
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.normal(size=(4, 3, 3)))[0]
    q *= np.linalg.det(q)[:, None, None]
    turn = lambda g, batch: {**batch, **{k: batch[k] @ g.T for k in ('x', 'target') if k in batch}}
    far = view({'predict': lambda s, batch: batch['x'] + s}, (0., 1.), q.astype(np.float32), turn)
    even, odd = value('equivariance_error', far).value
    assert even < 1e-6 and odd > .1 and value('equivariance_error_max', far).value[1] > odd
    assert 'largest of 4' in value('equivariance_error_max', far).estimator


def test_needs_a_symmetry_and_an_answer():
    data = {'x', 'symmetry', 'truth/group'}
    assert defined('equivariance_error', {'predict'}, data)
    assert defined('equivariance_error', {'encode', 'decode'}, data)
    assert not defined('equivariance_error', {'encode'}, data)
    assert not defined('equivariance_error', {'predict'}, {'x'})


def test_what_is_no_number_is_no_error():
    v = value('equivariance_error', view({'predict': lambda s, batch: s * batch['x']}, (jnp.nan, 0.)))
    assert np.isnan(v.value).all() and v.warning == ['not finite for 2 of 2'] * 2
