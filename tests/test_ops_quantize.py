"""Codebooks and the law of lengths against brute force."""
import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.ops import lengths, quantize


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def test_nearest_is_brute_force():
    x, codes = normal(5, 40, 3), normal(17, 3, seed=1)
    want = np.linalg.norm(np.asarray(x)[..., None, :] - np.asarray(codes), axis=-1).argmin(-1)
    assert (np.asarray(quantize.nearest(x, codes)) == want).all()
    assert len(np.unique(want)) > 10
    assert quantize.nearest(codes, codes).tolist() == list(range(17))
    assert quantize.nearest(codes[:1], codes[jnp.array([4, 0, 0])]).tolist() == [1]


def test_gradient_goes_straight_through():
    """d f(quantized) / dx is d f / d e, and the codes get none."""
    x, codes, a = normal(4, 3), normal(6, 3, seed=1), normal(4, 3, seed=2)

    def f(x, codes):
        e = codes[quantize.nearest(x, codes)]
        return (jnp.sin(quantize.straight_through(x, e)) * a).sum()

    e = codes[quantize.nearest(x, codes)]
    dx, dcodes = jax.grad(f, (0, 1))(x, codes)
    np.testing.assert_allclose(dx, jnp.cos(e) * a, rtol=1e-12)
    assert not dcodes.any()
    assert (quantize.straight_through(x, e) == e).all()


def test_commitment_moves_only_what_is_quantized():
    x, e = normal(4, 3), normal(4, 3, seed=1)
    np.testing.assert_allclose(quantize.commitment(x, e), ((x - e)**2).sum(-1), rtol=1e-12)
    dx, de = jax.grad(lambda x, e: quantize.commitment(x, e).sum(), (0, 1))(x, e)
    np.testing.assert_allclose(dx, 2 * (x - e), rtol=1e-12)
    assert not de.any()


def test_running_means_reach_the_means_of_their_cells():
    rng = np.random.default_rng(0)
    centres = jnp.array([[-3., 0.], [3., 0.], [0., 5.]])
    x = jnp.asarray(np.repeat(centres, 50, 0) + .3 * rng.normal(size=(150, 2)))
    codes, counts = centres + 1., jnp.ones(3)
    index = quantize.nearest(x, codes)
    assert (index == jnp.repeat(jnp.arange(3), 50)).all()
    for _ in range(400):
        codes, counts = quantize.learn(codes, counts, x, index, jnp.ones(150), .95)
    np.testing.assert_allclose(codes, x.reshape(3, 50, 2).mean(1), rtol=1e-6)
    np.testing.assert_allclose(counts, 50, rtol=1e-6)


def test_running_means_keep_their_sums():
    """codes * counts is a running mean of sums: what the paper carries."""
    x = normal(20, 3)
    weight = jnp.asarray(np.random.default_rng(1).integers(0, 2, 20), float)
    codes, counts = normal(4, 3, seed=2), jnp.array([1., 2., .5, 3.])
    index = quantize.nearest(x, codes)
    new, n = quantize.learn(codes, counts, x, index, weight, .9)
    own = np.asarray(weight)[:, None] * (np.asarray(index)[:, None] == np.arange(4))
    np.testing.assert_allclose(n, .9 * counts + .1 * own.sum(0), rtol=1e-12)
    sums = .9 * codes * counts[:, None] + .1 * own.T @ np.asarray(x)
    np.testing.assert_allclose(new * n[:, None], sums, rtol=1e-10)


def test_empty_rows_change_nothing():
    x, codes, counts = normal(6, 3), normal(4, 3, seed=1), jnp.array([1., 0., 2., 3.])
    index, weight = quantize.nearest(x, codes), jnp.array([1., 1., 1., 1., 0., 0.])
    key, other = jax.random.key(0), x.at[4:].set(99.)

    def both(x, weight):
        return (quantize.codebook(key, x, weight, 5),
                quantize.learn(codes, counts, x, index, weight, .9),
                quantize.revive(key, codes, counts, x, weight))

    chex.assert_trees_all_equal(both(x, weight), both(other, weight))
    for new, n in both(x, 0 * weight)[1:]:
        np.testing.assert_array_equal(new, codes)
        np.testing.assert_array_equal(n, counts)


def test_only_dead_codes_start_anew():
    x, codes, counts = 10 + normal(6, 3), normal(4, 3, seed=1), jnp.array([4., .02, 4., 0.])
    new, n = quantize.revive(jax.random.key(0), codes, counts, x, jnp.ones(6), share=.03)
    assert (new[jnp.array([0, 2])] == codes[jnp.array([0, 2])]).all()
    assert all((x == new[i]).all(1).any() for i in (1, 3))
    assert not (new[1] == new[3]).all()
    np.testing.assert_allclose(n, [4, 2.005, 4, 2.005], rtol=1e-12)


def test_codebook_stands_for_the_batch():
    x = normal(30, 3)
    codes, counts = quantize.codebook(jax.random.key(0), x, jnp.ones(30), 8)
    assert len(np.unique(np.asarray(codes), axis=0)) == 8
    assert float(counts.sum()) == pytest.approx(30)


def test_lengths_are_a_smoothed_histogram():
    counts = jnp.zeros(5)
    for length in ([1, 1, 3], [3, 3, 9]):
        counts = lengths.count(counts, jnp.array(length), jnp.array([1., 1., 1.]))
    counts = lengths.count(counts, jnp.array([5, 5]), jnp.zeros(2))
    assert counts.tolist() == [2, 0, 3, 0, 1]
    p = np.array([3, 1, 4, 1, 2]) / 11
    log_p = lengths.log_prob(counts, jnp.arange(1, 6))
    np.testing.assert_allclose(jnp.exp(log_p), p, rtol=1e-12)
    assert float(lengths.mean(counts)) == pytest.approx((p * np.arange(1, 6)).sum())
    draws = np.asarray(lengths.sample(jax.random.key(0), counts, 20000))
    shares = np.bincount(draws, minlength=6)[1:] / 20000
    np.testing.assert_allclose(shares, p, atol=4 * .5 / 20000**.5)
