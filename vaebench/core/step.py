"""The one train step: keys, batches, players in turn, and blocks of steps."""
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core.method import DONE, FAILED, RUNNING, Method, Phase, State, StepInfo
from vaebench.core.micro import value_and_grad
from vaebench.core.types import Augment, Batch, Decode, Hp, Key
from vaebench.schema import Rows


def derive(key: Key, *tags: Any) -> Key:
    """A key of its own for every path of tags; never also `split` a key that was folded.

    Args:
      key: [] typed key.
      *tags: integers, Python or traced.

    Returns:
      [] typed key.

    >>> a = derive(jax.random.key(0), 1, 2)
    >>> bool(a == jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 1), 2))
    True
    """
    for tag in tags:
        key = jax.random.fold_in(key, tag)
    return key


def take(data: Mapping[str, Any], idx: jax.Array,
         decode: Decode | None = None) -> dict[str, Any]:
    """Rows `idx` of every leaf; a negative index marks an empty slot.

    Args:
      data: leaves [N, ...], nested or not. A column of type `Rows` is followed to the rows that
        it names.
      idx: int32 [B].
      decode: batch -> batch, what turns stored columns into those that networks read; None
        changes nothing.

    Returns:
      Leaves [B, ...] and 'weight' [B], 0 for an empty slot. In place of `Rows` stands the batch
      of the rows it names, such as a labelled example for every example.

    >>> data = {'x': jnp.arange(3.), 'partner': Rows(jnp.array([1, 1, 0]))}
    >>> batch = take(data, jnp.array([2, -1]))
    >>> batch['x'].tolist(), batch['partner']['x'].tolist(), batch['weight'].tolist()
    ([2.0, 0.0], [0.0, 1.0], [1.0, 0.0])
    """
    own = {name: column for name, column in data.items() if not isinstance(column, Rows)}
    rows = jnp.maximum(idx, 0)

    def of_rows(rows):
        batch = jax.tree.map(lambda x: jnp.take(x, rows, axis=0), own)
        return batch if decode is None else decode(batch)

    linked = {
        name: of_rows(jnp.take(column.index, rows))
        for name, column in data.items() if isinstance(column, Rows)
    }
    return {**of_rows(rows), **linked, 'weight': (idx >= 0).astype(jnp.float32)}


def mean(values: jax.Array, batch: Batch) -> jax.Array:
    """Weighted mean over the batch: what a loss makes of its per-example numbers.

    Args:
      values: [B].
      batch: with 'weight' [B].

    Returns:
      [] mean over the filled slots; 0 when there is none.

    >>> float(mean(jnp.array([1., 5.]), {'weight': jnp.array([1., 0.])}))
    1.0
    """
    weight = batch['weight']
    return (values * weight).sum() / jnp.maximum(weight.sum(), 1.)


def init(method: Method, key: Key, data: Batch, hp: Hp, protocol: Any = ()) -> State:
    """State at the start of the first phase.

    Args:
      method: a `Method`.
      key: [] root key of the run.
      data: one batch of training data, with 'weight'.
      hp: traced scalars.
      protocol: the table's own part of the state.

    Returns:
      A `State`.
    """
    params, carry = method.init(derive(key, 0), data)
    zero = jnp.int32(0)
    state = State(params, carry, {}, hp, protocol, zero, zero, key, jnp.int32(RUNNING))
    if not method.phases:
        return state._replace(status=jnp.int32(DONE))
    return enter(method.phases[0], state, data)


def enter(phase: Phase, state: State, data: Batch) -> State:
    """Starts a phase: optional transfer, fresh optimizers, step 0. A failed run stays failed.

    Args:
      phase: the `Phase` to start.
      state: `State` left by the phase before.
      data: one batch of training data.

    Returns:
      A `State`.
    """
    params, carry = state.params, state.carry
    if phase.enter is not None:
        params, carry = phase.enter(derive(state.key, 1, state.total), params, carry, data)
    opt = {p.name: p.tx(state.hp).init({n: params[n] for n in p.trains}) for p in phase.players}
    status = jnp.where(state.status == FAILED, FAILED, _over(phase, state.total))
    return state._replace(params=params, carry=carry, opt=opt, step=jnp.int32(0),
                          status=status.astype(jnp.int32))


def enter_all(method: Method, state: State, data: Batch, number: int | None = None) -> State:
    """Enters phases one after the other, without a step: for the shapes that they begin with.

    Args:
      method: a `Method`.
      state: `State` at the start of the first phase.
      data: one batch of training data.
      number: of the last phase to enter; None: of the method's last.

    Returns:
      A `State`.
    """
    for phase in method.phases[1:] if number is None else method.phases[1:number + 1]:
        state = enter(phase, state, data)
    return state


def _over(phase, total):
    return RUNNING if phase.until is None else jnp.where(total >= phase.until, DONE, RUNNING)


def batches_per_step(phase: Phase) -> int:
    """How many batches a train step of `phase` reads: the n of `idx` [n, B]."""
    return max((_own_batches(p) + p.other_batch for p in phase.players), default=1)


def _own_batches(player):
    return player.updates if player.fresh_batches else 1


def _reader(data, idx, state, augment, decode):
    """j -> batch j of a train step; what is drawn in it, all players see alike."""
    def read(j):
        batch = take(data, idx[j], decode)
        if augment is None:
            return batch
        return augment(derive(state.key, 3, state.total, j), batch)

    return read


def _play(player, i, now, state, read, micro):
    """Player i's updates in a train step: `now` = (params, carry, opt) -> (now, metrics)."""
    tx, first = player.tx(state.hp), read(0)
    other = {'other': read(_own_batches(player))} if player.other_batch else {}

    def ctx(j, *part):
        own, shared = (derive(state.key, 2, state.total, *tags, *part)
                       for tags in ((1 + i, j), (0,)))
        return StepInfo(own, shared, state.step, state.total, j, state.hp)

    def update(now, j):
        params, carry, opt = now
        batch = {**(read(j) if player.fresh_batches else first), **other}
        own = {n: params[n] for n in player.trains}

        def loss(own, batch, part):
            info = ctx(j) if part is None else ctx(j, part)
            return player.loss({**params, **own}, carry, batch, info)

        (value, (carry, aux)), grads = value_and_grad(loss, own, carry, batch, micro)
        updates, opt = tx.update(grads, opt, own)
        new: Any = optax.apply_updates(own, updates)
        params = {**params, **new}
        return (params, carry, opt), {'loss': value, **aux}

    if player.while_ is None and player.updates == 1:
        now, metrics = update(now, jnp.int32(0))
        return now, {**metrics, 'updates': jnp.float32(1)}
    if player.while_ is None:
        now, metrics = jax.lax.scan(update, now, jnp.arange(player.updates, dtype=jnp.int32))
        metrics = {k: v.mean(0) for k, v in metrics.items()}
        return now, {**metrics, 'updates': jnp.float32(player.updates)}

    shape = jax.eval_shape(update, now, jnp.int32(0))[1]
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)

    def going(s):
        wanted = player.while_(s[1][1], ctx(s[0]))
        return (s[0] < player.updates) & (state.status == RUNNING) & wanted

    def body(s):
        now, metrics = update(s[1], s[0])
        return s[0] + 1, now, jax.tree.map(jnp.add, s[2], metrics)

    n, now, metrics = jax.lax.while_loop(going, body, (jnp.int32(0), now, zeros))
    metrics = {k: v / jnp.maximum(n, 1) for k, v in metrics.items()}
    return now, {**metrics, 'updates': jnp.float32(n)}


def make_step(phase: Phase, augment: Augment | None = None,
              decode: Decode | None = None, micro: int = 0) -> Callable[..., tuple]:
    """The train step of a phase, for any method.

    Args:
      phase: a `Phase`.
      augment: (key, batch) -> batch, drawn anew for every batch of a step; None changes none.
      decode: see `take`.
      micro: examples of a batch whose gradient is computed at once, which divide it; 0 is all.

    Returns:
      Pure function (state, data, idx) -> (state, metrics): data has leaves [N, ...], idx is
      int32 [n, B] with n = `batches_per_step(phase)`, metrics are scalars named 'player/term'.
      A non-finite loss leaves the state as it was and sets its status to FAILED; any other term
      that is not finite is only shown.
    """

    def step(state, data, idx):
        params, carry, opt, metrics = state.params, state.carry, dict(state.opt), {}
        read = _reader(data, idx, state, augment, decode)
        for i, p in enumerate(phase.players):
            now, m = _play(p, i, (params, carry, opt[p.name]), state, read, micro)
            params, carry, opt[p.name] = now
            metrics |= {f'{p.name}/{k}': v for k, v in m.items()}
        new = state._replace(params=params, carry=carry, opt=opt, step=state.step + 1,
                             total=state.total + 1)
        losses = [metrics[f'{p.name}/loss'] for p in phase.players]
        ok = jnp.all(jnp.isfinite(jnp.stack(losses))) if losses else jnp.bool_(True)
        keep = (state.status != RUNNING) | ~ok
        new = jax.tree.map(lambda a, b: a if a is b else jnp.where(keep, a, b), state, new)
        over = jnp.where(ok, _over(phase, new.total), FAILED)
        status = jnp.where(state.status == RUNNING, over, state.status).astype(jnp.int32)
        return new._replace(status=status), metrics

    return step


def make_block(phase: Phase, augment: Augment | None = None,
               decode: Decode | None = None, micro: int = 0) -> Callable[..., tuple]:
    """Many train steps in one dispatch.

    The number of steps is traced, so that a shorter block needs no program of its own. Where
    the data is cut into buckets of different shapes, each step names the one that it reads: a
    `lax.switch` runs the step of that bucket alone, also under a vmap over seeds that share
    `which`.

    Args:
      phase: a `Phase`.
      augment, decode, micro: see `make_step`.

    Returns:
      Pure function (state, data, idx int32 [K, n, B], count int32 [], which=None) -> (state,
      metrics): the first `count` of the K steps are taken; metrics are [K], zero beyond
      `count`. With `which`, int32 [K], data is a sequence of buckets and step k reads
      data[which[k]].
    """
    step = make_step(phase, augment, decode, micro)

    def block(state, data, idx, count, which=None):
        buckets = (data,) if which is None else data
        steps = [lambda state, idx, data=data: step(state, data, idx) for data in buckets]
        shape = jax.eval_shape(steps[0], state, idx[0])[1]
        zeros = jax.tree.map(lambda s: jnp.zeros((idx.shape[0], *s.shape), s.dtype), shape)

        def body(i, c):
            if which is None:
                state, m = steps[0](c[0], idx[i])
            else:
                state, m = jax.lax.switch(which[i], steps, c[0], idx[i])
            return state, jax.tree.map(lambda buffer, v: buffer.at[i].set(v), c[1], m)

        return jax.lax.fori_loop(0, count, body, (state, zeros))

    return block
