"""Sparsity of codes by Hoyer's measure."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.metrics import Settings, defined, measure
from vaebench.metrics.sparsity import hoyer_sparsity, scaled_sparsity


def measured(codes, names=('hoyer', 'hoyer_drawn'), noise=0., **evals):
    """Sparsity of codes [G, N, Z]; draws are `noise` away from them."""
    encode = lambda params, carry, batch: params['codes'][batch['place']]
    evals = {'encode': encode, 'posterior': encode, 'sample_q': lambda params, carry, q, key: q + noise, **evals}
    view = toys.evaluator(evals, {'codes': jnp.float32(codes)}, {}, [{'place': np.arange(np.shape(codes)[1])}],
                          jax.random.split(jax.random.key(0), len(codes)), Settings(batch=64))
    return measure(view, names)


def test_ends_formula_and_scale():
    assert hoyer_sparsity(np.eye(5) * -3).tolist() == pytest.approx([1.] * 5)
    assert hoyer_sparsity(np.array([[2., -2., 2.], [-1., 1., 1.]])).tolist() == pytest.approx([0., 0.])
    y = np.random.default_rng(0).normal(size=(7, 4))
    want = [(2 - sum(map(abs, v)) / sum(x * x for x in v)**.5) / (2 - 1) for v in y]
    np.testing.assert_allclose(hoyer_sparsity(y), want, rtol=1e-12)
    assert (np.array(want) > 0).all() and (np.array(want) < 1).all()
    np.testing.assert_allclose(hoyer_sparsity(y * np.arange(1., 8.)[:, None]), want, rtol=1e-12)
    assert np.isnan(hoyer_sparsity(np.zeros(3)))


def test_no_scale_of_a_dimension_changes_it():
    z = np.random.default_rng(0).normal(size=(50, 6))
    scaled = scaled_sparsity(z * 10.**np.arange(-3, 3))
    np.testing.assert_allclose(scaled, scaled_sparsity(z), rtol=1e-9)
    dead = np.concatenate([z, np.full((50, 2), 3.)], 1)
    np.testing.assert_allclose(scaled_sparsity(dead), scaled_sparsity(z), rtol=1e-12)
    assert np.isnan(scaled_sparsity(dead[:, 5:])).all()


def test_of_means_and_of_draws():
    rng = np.random.default_rng(0)
    off = rng.random((400, 8)) < .8
    codes = np.stack([rng.normal(size=(400, 8)), np.where(off, .01, 1.) * rng.normal(size=(400, 8))])
    found = measured(codes, noise=5.)
    want = np.stack([scaled_sparsity(np.float32(z)) for z in codes])
    np.testing.assert_allclose(found['hoyer'].value, want.mean(1), rtol=1e-5)
    np.testing.assert_allclose(found['hoyer'].stderr, want.std(1, ddof=1) / 20, rtol=1e-4)
    assert found['hoyer'].value[1] > found['hoyer'].value[0] + .2
    away = np.stack([scaled_sparsity(np.float32(z) + 5) for z in codes])
    np.testing.assert_allclose(found['hoyer_drawn'].value, away.mean(1), rtol=1e-4)
    assert found['hoyer'].estimator.id == 'hoyer:means' and found['hoyer_drawn'].estimator.id == 'hoyer:draws'
    assert (found['hoyer'].samples, found['hoyer_drawn'].samples) == (None, 1)


def test_where_it_is_not_defined():
    assert measured(np.zeros((1, 9, 1)))['hoyer'] is None
    flat = measured(np.zeros((1, 9, 3)))['hoyer']
    assert np.isnan(flat.value).all() and flat.warning == ['not finite for 9 of 9']
    assert not defined('hoyer', {'score'}, ()) and not defined('hoyer_drawn', {'encode'}, ())
