"""A phase's summary: its fold over the training data, in pieces that fit."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core
from vaebench.core import State, derive
from vaebench.engine.stream import ahead

if TYPE_CHECKING:
    from vaebench.engine.trainer import Trainer


def sum_up(trainer: Trainer, number: int, state: State) -> State:
    """Folds phase `number` over the training data in their order; what it finds becomes carry.

    Args:
      trainer: of the group.
      number: of a phase with a summary.
      state: `State` with a leading seed axis; its memory is taken.

    Returns:
      `State`.
    """
    fold, run = trainer.method.phases[number].summary, trainer.programs.run
    assert fold is not None
    found = run(f'summary{number}', trainer.over_seeds(lambda state: fold.init(), (0,)), state,
                brief=True, out=trainer.own)
    update = trainer.over_seeds(_update(trainer, fold), (0, 0, *[None] * 5))
    for bucket, size in enumerate(trainer.sizes):
        steps = -(-size // trainer.settings.batch)
        each = trainer.settings.block if trainer.source.threads else steps
        starts = range(0, steps, each)
        pieces = ahead(_piece(trainer, bucket, each), len(starts), trainer.source.threads)
        for first, (columns, idx) in zip(starts, pieces, strict=True):
            whole = trainer.place((idx, jnp.int32(min(each, steps - first)),
                                   jnp.int32(bucket), jnp.int32(first)))
            found = run(f'summary{number}.{bucket}', update, state, found, columns, *whole,
                        donate=(1,), out=trainer.own)

    def finish(state, found):
        return state._replace(carry=fold.finish(found, state.params, state.carry))

    return run(f'summed{number}', trainer.over_seeds(finish, (0, 0)), state, found,
               donate=(0,), brief=True, out=trainer.own)


def _update(trainer: Trainer, fold: core.Fold) -> Callable:
    """(state, found, columns, idx [K, B], count, bucket, first) -> found: with the first
    `count` batches, which are the bucket's from batch `first` on.
    """
    def update(state, found, columns, idx, count, bucket, first):
        def one(i, found):
            seen = core.take(columns, idx[i], trainer.decode)
            if trainer.augment is not None:      # what is seen is what was trained on
                seen = trainer.augment(
                    derive(state.key, 4, state.total, bucket, first + i), seen)
            return fold.update(found, state.params, state.carry, seen)

        return jax.lax.fori_loop(0, count, one, found)

    return update


def _piece(trainer: Trainer, bucket: int, each: int) -> Callable:
    """i -> (columns, idx [each, B]): the i-th so many batches of a bucket in its order."""
    def piece(i):
        rows = np.arange(i * each * trainer.settings.batch,
                         (i + 1) * each * trainer.settings.batch, dtype=np.int32)
        rows = np.where(rows < trainer.sizes[bucket], rows, -1).reshape(each, -1)
        columns, idx = trainer.source.rows(bucket, rows)
        return columns, jnp.asarray(idx)

    return piece
