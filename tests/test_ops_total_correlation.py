"""Parts of a mean KL: they telescope, and minibatch weights are unbiased where they should be, by enumeration."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from vaebench.ops import total_correlation
from vaebench.ops.total_correlation import KINDS, decompose, log_weights

N, B = 7, 4
BATCHES = np.array([*itertools.permutations(range(N), B)])      # every batch without repetition, in every order


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def weights(kind, n=B, examples=N):
    """[n, n] weights of a full batch."""
    return np.broadcast_to(np.exp(log_weights(kind, jnp.ones(n), examples)), (n, n))


def columns(n, examples):
    """The matrix of public codes of stratified sampling: columns instead of the diagonal and its neighbour."""
    m = n - 1
    w = np.full((n, n), 1 / m)
    w[:, 0], w[:, 1] = 1 / examples, (examples - m) / (examples * m)
    w[m, 0] = (examples - m) / (examples * m)
    return w


def estimates(w):
    """[batches, B] estimates of q(z_i) by every batch, and the true values [N]; densities q(z_i|x_j) are random."""
    density = np.exp(np.random.default_rng(0).normal(size=(N, N)))
    batches = density[BATCHES[:, :, None], BATCHES[:, None, :]]
    return np.einsum('bij,ij->bi', batches, w), density.mean(1)


def bias(w):
    """[B, N] of every slot and every example that stands in it."""
    found, true = estimates(w)
    means = np.stack([[found[BATCHES[:, i] == n, i].mean() for n in range(N)] for i in range(B)])
    return means - true


@pytest.mark.parametrize('shape', [(B, B), (1, B)])
def test_parts_add_up_for_any_weights(shape):
    rng = np.random.default_rng(1)
    log_q, log_w, log_p = rng.normal(size=(B, B, 3)), rng.normal(size=shape), rng.normal(size=(B, 3))
    own = log_q[np.arange(B), np.arange(B)]
    parts = decompose(*map(jnp.asarray, (log_q, own, log_w, log_p)))
    np.testing.assert_allclose(parts.mi + parts.tc + parts.dw, (own - log_p).sum(-1), rtol=1e-13)
    w = np.broadcast_to(np.exp(log_w), (B, B))
    joint = np.log((w * np.exp(log_q.sum(-1))).sum(1))
    marginals = np.log((w[..., None] * np.exp(log_q)).sum(1))
    np.testing.assert_allclose(parts.mi, own.sum(-1) - joint, rtol=1e-12)
    np.testing.assert_allclose(parts.tc, joint - marginals.sum(-1), rtol=1e-12)
    np.testing.assert_allclose(parts.dw_dims, marginals - log_p, rtol=1e-12)


@pytest.mark.parametrize('kind, total', [('mws', 1 / N), ('mss', 1), ('sym', 1), ('full', 1)])
def test_sums_of_rows(kind, total):
    np.testing.assert_allclose(weights(kind).sum(1), total, rtol=1e-12)
    assert weights(kind).min() > 0


def test_rows_as_they_are_written():
    np.testing.assert_allclose(weights('mss')[1], [1 / 3, 1 / 7, 4 / 21, 1 / 3])
    np.testing.assert_allclose(weights('mss')[3], [4 / 21, 1 / 3, 1 / 3, 1 / 7])
    np.testing.assert_allclose(weights('sym')[1], [2 / 7, 1 / 7, 2 / 7, 2 / 7])
    np.testing.assert_allclose(weights('mws')[0], np.full(B, 1 / 28))


@pytest.mark.parametrize('kind', ['mss', 'sym'])
def test_unbiased_by_enumeration(kind):
    assert np.abs(bias(weights(kind))).max() < 1e-12


def test_weighted_sampling_is_biased():
    assert np.abs(bias(weights('mws'))).min() > .01


def test_symmetric_weights_are_the_stratified_ones_averaged_over_orders():
    orders = [np.array(p) for p in itertools.permutations(range(B))]
    mean = np.mean([weights('mss')[np.ix_(o, o)] for o in orders], 0)
    np.testing.assert_allclose(mean, weights('sym'), rtol=1e-12)
    spread = lambda w: estimates(w)[0].std()
    assert spread(weights('sym')) < spread(weights('mss'))


def test_public_matrix_is_biased():
    """The reason for the diagonal: a row of the columns' form sums to more than 1, and others miss their own slot."""
    w = columns(B, N)
    np.testing.assert_allclose(w.sum(1), [1, 1, 1, 22 / 21], rtol=1e-12)
    assert np.abs(bias(w)).max() > .1 and np.abs(bias(w)[0]).max() < 1e-12


@pytest.mark.parametrize('kind', KINDS)
def test_empty_slots_are_no_components(kind):
    """A batch with holes has the weights of the batch without them."""
    weight = jnp.array([1., 0., 1., 1., 0., 1.])
    full = np.flatnonzero(weight)
    found = np.broadcast_to(np.exp(log_weights(kind, weight, N)), (6, 6))
    np.testing.assert_allclose(found[np.ix_(full, full)], weights(kind), rtol=1e-12)
    assert not found[:, np.asarray(weight) == 0].any()
    nothing = np.exp(log_weights(kind, 0 * weight, N))
    np.testing.assert_array_equal(np.broadcast_to(nothing, (6, 6)), weights(kind, 6))


def test_batch_larger_than_the_data():
    for kind in 'mss', 'sym':
        np.testing.assert_allclose(weights(kind, 4, 2), weights(kind, 4, 4))
        np.testing.assert_allclose(weights(kind, 1, 1), 1)


def test_total_correlation_of_normal_laws():
    rho = .9
    assert float(total_correlation.gaussian(jnp.array([[1., rho], [rho, 1.]]))) == pytest.approx(.83037, abs=5e-6)
    assert float(total_correlation.gaussian(jnp.diag(jnp.array([1., 4., .1])))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('rho, want', [(.9, .83037), (0., 0.)])
def test_full_estimate_of_a_normal_aggregate(rho, want):
    """Posteriors N(m, s^2 I) whose m are spread as N(0, Sigma - s^2 I) make the aggregate N(0, Sigma)."""
    n, s2, cov = 1024, .05, np.array([[1., rho], [rho, 1.]])
    spread = np.arange(1, n + 1)[:, None] * 1.1673039782614187**-np.arange(1., 5.) % 1   # evenly in four dimensions
    a, e = np.split(special.ndtri(spread), 2, 1)
    m = a @ np.linalg.cholesky(cov - s2 * np.eye(2)).T
    z = m + np.sqrt(s2) * e
    density = lambda z, m, s2: -.5 * (np.log(2 * np.pi * s2) + (z - m)**2 / s2)
    parts = jax.jit(decompose)(density(z[:, None], m, s2), density(z, m, s2),
                               log_weights('full', jnp.ones(n), n), density(z, 0, 1))
    assert float(parts.tc.mean()) == pytest.approx(want, abs=.02)
    assert np.asarray(parts.dw_dims.mean(0)) == pytest.approx([0, 0], abs=.02)
    information = .5 * np.linalg.slogdet(cov)[1] - np.log(s2)
    assert float(parts.mi.mean()) == pytest.approx(information, abs=.03)
