"""Rows drawn from a batch with empty slots."""
import jax
import jax.numpy as jnp
import pytest

from vaebench.ops import sampling


def test_rows_are_filled_and_different_while_they_last():
    weight, filled = jnp.array([1., 0., 1., 1., 0., 1., 1., 0.]), {0, 2, 3, 5, 6}
    pick = lambda seed, k: sampling.random_rows(jax.random.key(seed), weight, k)[0].tolist()
    seen = [pick(seed, 5) for seed in range(20)]
    assert all(set(s) == filled for s in seen) and len(set(map(tuple, seen))) > 5
    more = pick(0, 12)
    assert set(more) == filled and more[:5] == more[5:10]
    assert set(pick(0, 2)) < filled


@pytest.mark.parametrize('k,again', [(2, [False] * 2), (5, [False] * 3 + [True] * 2)])
def test_repeats_are_told(k, again):
    weight = jnp.array([0., 1., 1., 0., 1.])
    assert sampling.random_rows(jax.random.key(0), weight, k)[1].tolist() == again


def test_an_empty_batch_gives_rows_all_the_same():
    rows, again = sampling.random_rows(jax.random.key(0), jnp.zeros(4), 3)
    assert len(set(rows.tolist())) == 1 and again.tolist() == [False, True, True]
