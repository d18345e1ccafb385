"""Which losses couple the examples of a batch: what every method says of it is what numbers say.

A batch and its halves draw the same noise, row by row, so that the loss of the batch is the mean of the losses of its
halves exactly where no example sees another.
"""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.extend import random as own
from test_contract import CASES, NUMBERS, begun, data, method

from vaebench.core import micro, take
from vaebench.methods import METHODS
from vaebench.schema import Rows

HALF = 11                # no network of the tests has an axis of so many, or of twice as many
BATCH = 2 * HALF


# what these take of the whole batch bites at the ends of a range only, of a part of the sentences, or they draw
# orders that twins do not have alike
UNSEEN = {('began', 'gen'), ('fb_max', 'vae'), ('control_vae', 'vae'), ('capacity_vae', 'vae'),
          ('emb2emb_supervised', 'critic'), ('emb2emb_supervised', 'map'), ('bst_lite', 'translator')}
# the first entry of every factory and its options: the others differ in numbers
CHOSEN = list({(METHODS[n].factory, repr(METHODS[n].options)): (n, k) for n, k in reversed(CASES)}.values())


def halved(shape):
    return tuple(HALF if n == BATCH else n for n in shape)


def doubled(x, shape):
    """x of `halved(shape)`, twice along every axis that was halved."""
    for axis, n in enumerate(shape):
        x = jnp.concatenate([x, x], axis) if n == BATCH else x
    return x


def bits(key, width, shape):
    return doubled(jax.random.bits(jax.random.wrap_key_data(key), halved(shape), f'uint{width}'), shape)


def split(key, shape):
    return doubled(jax.random.key_data(jax.random.split(jax.random.wrap_key_data(key), halved(shape))), shape)


def fold_in(key, tag):
    return jax.random.key_data(jax.random.fold_in(jax.random.wrap_key_data(key), tag))


@functools.cache
def twins():
    """Threefry whose second half of a batch draws what the first does."""
    return own.define_prng_impl(
        key_shape=(2,), seed=lambda seed: jax.random.key_data(jax.random.key(seed)), split=split,
        random_bits=bits, fold_in=fold_in, name='twins', tag='twn')


def alike(key):
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=twins())


def parts(name, kit):
    """Per player (phase, name, says that it couples, whole, halves): losses, carries, terms and gradients."""
    m, stock = method(name, kit), data(kit)
    if {'target', 'label'} <= set(stock):     # some have a target of their own style, which counts as none
        rows = jnp.arange(24)
        stock['target'] = Rows(jnp.where(rows % 5 == 0, rows ^ 2, rows ^ 1))
    # several empty slots, more in the second half than in the first
    rows = jnp.asarray(np.random.default_rng(0).permutation(24)[:BATCH]).at[jnp.array([3, 15, 18, 21])].set(-1)
    batch = take(stock, rows)
    numbers = toys.hp(name, **NUMBERS.get(name, {}))
    numbers |= {n: jnp.float32(.1) for n in ('target', 'pulling', 'capacity') if n in numbers}
    info = toys.ctx(numbers, total=7)._replace(key=alike(jax.random.key(5)), step_key=alike(jax.random.key(6)))
    for phase, state in zip(m.phases, begun(name, kit), strict=False):
        for player in phase.players:
            given = {**batch, 'other': take(stock, jnp.arange(BATCH))} if player.other_batch else batch

            def of(state, batch, size, player=player):
                trained = {n: state.params[n] for n in player.trains}

                def loss(trained, batch, part):
                    return player.loss({**state.params, **trained}, state.carry, batch, info)

                return micro.value_and_grad(loss, trained, state.carry, batch, size)

            f = toys.jit(lambda state, batch, of=of: (of(state, batch, 0), of(state, batch, HALF)))
            yield phase.name, player.name, player.couples, *f(state, given)


def differ(whole, halves):
    """Whether two trees differ by more than rounding."""
    def scale(x):
        return max(float(np.abs(np.where(np.isfinite(x), x, 0)).max(initial=0.)), 1e-3)

    return any(not np.allclose(a, b, rtol=2e-4, atol=1e-4 * scale(a))
               for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(halves), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize('name, kit', CHOSEN, ids=lambda v: v)
def test_a_loss_couples_the_batch_where_it_says_so(name, kit):
    for phase, player, says, whole, halves in parts(name, kit):
        # terms that are only shown may be no means: a share of variance, a number of clusters
        (value, (carry, _)), slope = whole
        (value_, (carry_, _)), slope_ = halves
        couples = differ((value, carry, slope), (value_, carry_, slope_))
        assert couples == says or (name, player) in UNSEEN, f'{name} {phase}/{player}: couples={says}'
