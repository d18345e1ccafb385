"""Losses of players against each other, and penalties, against closed forms and brute force."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench.losses import adversarial, penalties

P, Q = np.array([.1, .5, .3, .1]), np.array([.4, .1, .3, .2])


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def lsgan(scores, a, b):
    real, fake = (adversarial.least_squares(scores, target) for target in (b, a))
    return (P * real + Q * fake).sum()


@pytest.mark.parametrize('a, b', [(0., 1.), (-1., 1.)])
def test_least_squares_optimum_is_the_share_of_data(a, b):
    best = jnp.asarray((b * P + a * Q) / (P + Q))
    if a == 0:
        np.testing.assert_allclose(best, P / (P + Q))
    np.testing.assert_allclose(jax.grad(lsgan)(best, a, b), 0, atol=1e-12)
    for step in np.eye(4) * .1:
        assert lsgan(best + step, a, b) > lsgan(best, a, b)


def test_least_squares_where_the_laws_agree():
    half = jnp.full(4, .5)
    loss = P * (adversarial.least_squares(half, 1.) + adversarial.least_squares(half, 0.))
    assert float(loss.sum()) == pytest.approx(.25)


def test_least_squares_of_minus_one_one_zero_is_a_pearson_divergence():
    """Twice the generator's cost at the best critic: the integral of (p - q)^2 / (p + q)."""
    best = (P - Q) / (P + Q)
    cost = 2 * ((P + Q) * adversarial.least_squares(best, 0.)).sum()
    assert cost == pytest.approx(((2 * Q - (P + Q))**2 / (P + Q)).sum())


@pytest.mark.parametrize('fake, slope', [(.3, -1.), (.999, -1.), (1., 0.), (1.5, 0.), (9., 0.)])
def test_margin_pushes_samples_below_it_only(fake, slope):
    f = jax.value_and_grad(adversarial.margin_loss, (0, 1))
    value, grads = f(jnp.float64(.2), jnp.float64(fake), 1.)
    assert [float(g) for g in grads] == [1., slope]
    assert float(value) == pytest.approx(.2 + max(1 - fake, 0))


def test_code_information_of_perfect_blind_and_wrong_guesses():
    code = jnp.eye(10)[jnp.array([3, 7])]
    information = adversarial.code_information
    assert information(1e3 * code, code).tolist() == pytest.approx([np.log(10)] * 2)
    assert np.log(10) == pytest.approx(2.3026, abs=1e-4)
    assert information(jnp.full((2, 10), 4.), code).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert (information(-5. * code, code) < -1).all()
    logits = jax.random.normal(jax.random.key(0), (500, 10)) * 3
    assert float(information(logits, jnp.eye(10)[jnp.arange(500) % 10]).max()) <= np.log(10)


@pytest.mark.parametrize('codes, want', [
    (np.ones((5, 3)), 1.), (np.arange(1., 6.)[:, None] * np.ones((5, 3)), 1.),
    (np.diag([1., 2., -3.]), 0.),
    (np.array([[1., 2.], [-1., -2.]]), 1.), (np.zeros((4, 2)), 0.), (np.ones((1, 2)), 0.)])
def test_pulling_away_of_parallel_orthogonal_and_opposite_codes(codes, want):
    f = toys.jit(jax.value_and_grad(penalties.pulling_away))
    value, grad = f(codes, jnp.ones(len(codes)))
    assert float(value) == pytest.approx(want, abs=1e-9)
    assert np.isfinite(grad).all()


def test_pulling_away_is_the_sum_over_pairs_that_count():
    codes = np.random.default_rng(0).normal(size=(7, 3))
    weight = np.array([1., 1, 0, 1, 1, 0, 1])
    pairs = itertools.permutations(codes[weight > 0], 2)
    want = np.mean([(a @ b)**2 / (a @ a) / (b @ b) for a, b in pairs])
    assert float(penalties.pulling_away(codes, weight)) == pytest.approx(want, rel=1e-9)
    assert float(penalties.pulling_away(codes, np.zeros(7))) == 0
