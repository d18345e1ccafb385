"""The groups of the square: their tables, how they move what, and correlations that commute with them."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.ops import groups
from vaebench.ops.groups import GROUPS

P4M = GROUPS['p4m']
ELEMENTS = [(name, h) for name, group in GROUPS.items() for h in range(group.order)]


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def test_numbers_and_permutations():
    assert groups.permutation(P4M, 1) == (3, 0, 1, 2, 5, 6, 7, 4)
    assert groups.permutation(P4M, 4) == (4, 5, 6, 7, 0, 1, 2, 3)
    assert groups.permutation(P4M, 5) == (5, 6, 7, 4, 3, 0, 1, 2)
    assert P4M.elements[5] == (1, 1) and P4M.number(1, -3) == 5


@pytest.mark.parametrize('name', GROUPS)
def test_products_are_the_moves_one_after_the_other(name):
    group, x = GROUPS[name], normal(3, 3)
    for a in range(group.order):
        for b in range(group.order):
            twice = groups.move(group, a, groups.move(group, b, x))
            np.testing.assert_array_equal(groups.move(group, groups.product(group, a, b), x), twice)
        assert groups.product(group, a, groups.inverse(group, a)) == 0
    assert len({tuple(np.ravel(groups.move(group, h, x))) for h in range(group.order)}) == group.order


def bank_of(group, w):
    return lambda x: groups.correlate(x.reshape(*x.shape[:3], -1), groups.filter_bank(group, w)).reshape(
        *(n - w.shape[0] * (i in (1, 2)) + (i in (1, 2)) for i, n in enumerate(x.shape[:3])), group.order, -1)


def two_layers(group, dtype):
    lift, on = normal(3, 3, 1, 2, 3, seed=1), normal(3, 3, group.order, 3, 2, seed=2)
    first, second = bank_of(group, lift.astype(dtype)), bank_of(group, on.astype(dtype))
    return lambda x: second(jnp.tanh(first(x)))


@pytest.mark.parametrize('name, h', ELEMENTS)
@pytest.mark.parametrize('dtype, most', [('float64', 1e-10), ('float32', 1e-4)])
def test_lifting_and_group_correlations_commute_with_every_element(name, h, dtype, most):
    group = GROUPS[name]
    f, x = two_layers(group, dtype), normal(2, 8, 8, 1, 2).astype(dtype)
    moved = groups.move_map(group, h, f(x))
    assert moved.dtype == dtype
    np.testing.assert_allclose(f(groups.move(group, h, x, 1)), moved, rtol=0, atol=most)
    pooled = lambda x: f(x).max((1, 2, 3))
    np.testing.assert_allclose(pooled(groups.move(group, h, x, 1)), pooled(x), rtol=0, atol=most)


def test_elements_that_the_group_lacks_do_not_commute():
    f, x = two_layers(GROUPS['p4'], 'float64'), normal(2, 8, 8, 1, 2)
    mirrored = f(groups.move(P4M, 4, x, 1)).max((1, 2, 3))
    assert np.abs(mirrored - f(x).max((1, 2, 3))).max() > .1


@pytest.mark.parametrize('h', range(8))
def test_projection_to_a_picture_commutes(h):
    f, w = normal(2, 5, 5, 8, 3), normal(3, 3, 3, 2, seed=3)
    project = lambda f: groups.correlate(f.reshape(2, 5, 5, -1), groups.projection_bank(P4M, w))
    np.testing.assert_allclose(project(groups.move_map(P4M, h, f)), groups.move(P4M, h, project(f), 1), atol=1e-12)


def test_a_bank_takes_codes_on_the_group_to_maps():
    bank = groups.filter_bank(P4M, normal(4, 4, 8, 3, 2))
    to_map = lambda z: jnp.einsum('bi,uvio->buvo', z.reshape(2, 3, 8).swapaxes(1, 2).reshape(2, -1),
                                  bank).reshape(2, 4, 4, 8, 2)
    z = normal(2, 24, seed=4)
    for h in range(8):
        np.testing.assert_allclose(to_map(groups.move_code(P4M, h, z)), groups.move_map(P4M, h, to_map(z)), atol=1e-12)


def test_the_group_of_one_element_correlates_as_ever():
    x, w = normal(2, 6, 7, 3), normal(3, 3, 1, 3, 4, seed=5)
    plain = jax.lax.conv_general_dilated(x, w[:, :, 0], (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    np.testing.assert_allclose(groups.correlate(x, groups.filter_bank(GROUPS['z2'], w)), plain, atol=1e-12)
    np.testing.assert_array_equal(groups.projection_bank(GROUPS['z2'], w[:, :, 0]), w[:, :, 0])


@pytest.mark.parametrize('call', [
    lambda: groups.filter_bank(P4M, normal(3, 3, 2, 1, 1)),          # neither a picture nor its own map
    lambda: groups.filter_bank(P4M, normal(3, 2, 8, 1, 1)),          # not square
    lambda: groups.move_map(P4M, 1, normal(1, 4, 4, 4, 1)),
    lambda: groups.move_code(P4M, 1, normal(2, 12)),
    lambda: groups.correlate(normal(1, 4, 4, 2), normal(3, 3, 1, 1))])
def test_shapes_are_asserted(call):
    with pytest.raises(AssertionError):
        call()
