"""Methods as phases of players: the types every layer shares and the one train step.

A method is data: `Method(init, phases, evals)`. `make_step` turns any phase into a pure train
step and `make_block` runs many of them in one dispatch. Nothing here knows text, images or a
method's name.
"""
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.errors import UserError
from vaebench.schema import Rows, Schema, field

Key = jax.Array                       # typed PRNG key, []
Params = Mapping[str, Any]            # one entry per part of the kit, or per free parameter
Carry = Any                           # pytree that no gradient moves
Batch = Mapping[str, jax.Array]       # leaves [B, ...]; 'weight' [B] is 0 for an empty slot
Hp = Mapping[str, jax.Array]          # traced scalars: sweeping them is a vmap
Augment = Callable[[Key, Batch], Batch]   # changes a training batch, drawn anew each time
Decode = Callable[[Batch], Batch]     # stored columns -> those that networks read
RUNNING, DONE, FAILED = 0, 1, 2       # State.status


class Eval(NamedTuple):
    """What one eval takes besides (params, carry), and what it gives.

    Attributes:
      takes: names of its inputs: 'batch', 'q', 'z', 'key', 'label', and the static 'n' and
        'mode'.
      gives: '[B]', '[B, Z]', '[B, K]', or 'q', 'z', 'batch' and 'target' for pytrees with such
        leaves.
      what: a sentence on it, with its unit.
      mean: how validation calls its mean over the data, '-' before it turns the sign; None is
        not measured there.
      host: whether it is NumPy's and takes neither params nor carry.
    """
    takes: tuple[str, ...]
    gives: str
    what: str
    mean: str | None = None
    host: bool = False


EVALS = {
    'posterior': Eval(
        ('batch',), 'q',
        'q(z|x), a pytree with leaves [B, ...], in evaluation mode'), 'sample_q': Eval(
            ('q', 'key'), 'z',
            'one draw of each, leaves [B, ...] of shapes that no batch changes'), 'log_q': Eval(
                ('q', 'z'), '[B]', 'log q(z|x), nats'), 'log_q_dims': Eval(
                    ('q', 'z'), '[B, Z]',
                    'log q of every dimension, nats; factorised posteriors only'),
    'kl': Eval(('q',), '[B]', 'closed-form KL(q || prior), nats', 'kl'), 'log_prior': Eval(
        ('z',), '[B]',
        'log p(z), nats; of a conditional prior the code holds its condition'), 'log_lik': Eval(
            ('z', 'batch'), '[B]', 'log p(x|z) summed over tokens or pixels, nats', '-rec'),
    'log_length': Eval(
        ('batch',), '[B]',
        'log probability of the number of latents, where it tells the length; every '
        'bound on log p(x) adds it, nats', 'log_length'), 'replica': Eval(
            ('batch', 'key'), '([B], [B])',
            'what the paper printed as a bound, nats, and divided by, words'), 'dual_mi': Eval(
                ('batch', 'key'), '[B]',
                "the paper's dual estimate of the mutual information, nats"), 'score': Eval(
                    ('batch',), '[B]', 'exact log p(x) of a model without latents, nats',
                    '-nll'),
    'error': Eval(
        ('batch',), '[B]',
        'what a predictor loses on an example: lower is better', 'error'), 'encode': Eval(
            ('batch',), '[B, Z]', 'posterior means'), 'decode': Eval(
                ('z', 'key', 'mode'), 'batch',
                'what codes say; z may be [B, Z] codes of `encode`'), 'sample_prior': Eval(
                    ('key', 'n'), 'z', 'n draws from the prior, a pytree with leaves [n, ...]'),
    'sample': Eval(
        ('key', 'n', 'mode'), 'batch', 'n examples from the prior'), 'reconstruct': Eval(
            ('batch',), 'batch',
            'by an autoencoder whose codes have no prior, or need the batch'), 'classify': Eval(
                ('batch',), '[B, K]',
                'log probability of every class, of a model that was shown labels'),
    'cluster': Eval(
        ('batch',), '[B, K]',
        'log probability of every cluster, of a model that saw no label'), 'predict': Eval(
            ('batch',), 'target', 'like batch["target"]'), 'transfer': Eval(
                ('batch', 'label', 'key', 'mode'), 'batch',
                'the batch rewritten to labels [B]'), 'respond': Eval(
                    ('batch', 'key', 'mode'), 'batch',
                    'drawn from p(x | the context in the batch)'), 'embed': Eval(
                        ('x', 'seed'), '[N, D]',
                        'a map fitted to all rows of x [N, ...] at once; neither traced nor '
                        'trained', host=True),
}
"""The closed list of what a method may offer to metrics; every eval but a host's takes (params,
carry) first.
"""


class Net(NamedTuple):
    """A network as two pure functions."""
    init: Callable[[Key], Any]        # key -> params
    # (params, *inputs, key=None) -> output; key=None is evaluation
    apply: Callable[..., Any]


class StatNet(NamedTuple):
    """A network with running statistics, which are carry: {} where it normalises nothing."""
    init: Callable[[Key], tuple]      # key -> (params, stats)
    # (params, stats, *inputs, weight=None, train=False) -> (output, stats)
    apply: Callable[..., tuple]


class Features(NamedTuple):
    """What an encoder sees of a batch."""
    last: jax.Array                   # [B, H]
    states: jax.Array | None = None   # [B, T, H], text only
    mask: jax.Array | None = None     # [B, T], text only


class Decoder(NamedTuple):
    """p(x|z) as pure functions."""
    init: Callable[[Key], Any]        # key -> params
    # (params, z [B, Z] or None, batch, key=None) -> [B], nats
    log_prob: Callable[..., jax.Array]
    # (params, z, key, mode) -> batch; mode 'greedy', 'sample', 'beam' or 'mean'
    generate: Callable[..., Batch]


def _arrays(x):
    return {'x': jnp.asarray(x, jnp.float32), 'weight': jnp.ones(len(x))}


class Context(NamedTuple):
    """What a conditional model is told of an example, as a network."""
    init: Callable[[Key], Any]        # key -> params
    apply: Callable[..., jax.Array]   # (params, batch, key=None) -> [B, C]
    width: int                        # C
    columns: tuple[str, ...]          # of the data, that it is made of
    draw: Callable[..., jax.Array] | None = None   # (key, n) -> [n, C], where contexts have a law


class Codec(NamedTuple):
    """What a person gives to a network and gets from it; the default is arrays of the column
    'x'.
    """
    read: Callable[[Any], Batch] = _arrays                          # values -> batch
    # generated batch -> values
    write: Callable[[Batch], Any] = lambda batch: jax.device_get(batch['x'])
    # of generation: from codes, from the prior
    modes: tuple[str, str] = ('mean', 'mean')


@dataclasses.dataclass(frozen=True)
class Kit:
    """The networks a method may ask for, built for one modality and one size: `kit.encoder()`,
    `kit.head(3)`.

    `nets` holds makers, so that a method takes what it needs and no parameter lies idle. Those
    that all methods know:

      encoder(init=None) -> Net: (params, batch, key=None) -> Features; init 'torch' as for head
      head(n_out, init=None, bias=None) -> Net: ([B, H]) -> [B, n_out], linear
      decoder(latent=Z, **options) -> Decoder; latent=0 makes a language model
      mlp(sizes, activation='relu') -> Net: ([..., sizes[0]]) -> [..., sizes[-1]]
      gen(latent=Z, norm=False) -> StatNet: (z [B, Z]) -> x in the data's range
      critic(n_out=None, norm=False) -> Net: (params, x, weight=None) -> [B] or [B, n_out]; norm
      couples the batch sequence(n_in, n_out) -> Net: ([B, T, n_in]) -> [B, T, n_out], causal
      context() -> Context: (params, batch, key=None) -> [B, C], what a conditional model is told
      corrupt(key, batch, rate) -> batch that has lost words or pixels
      pseudo(params of enc, batch, key, k) -> batch of k inputs, all trainable

    Attributes:
      latent: Z.
      features: H, width of Features.last.
      schema: of the data it was built for.
      nets: maker by name.
      codec: between people's values and batches.
    """
    latent: int
    features: int
    schema: Schema
    nets: Mapping[str, Callable]
    codec: Codec = Codec()

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)
        if name not in self.nets:
            raise UserError(
                f"this needs a network '{name}', which the kit has not: it has {', '.join(self.nets)}; "
                'choose another --config.kit.name or other rows')
        return self.nets[name]

    def size(self, column: str) -> int:
        """Number of words or classes of a column; `UserError` where the data has no such
        column.
        """
        return field(self.schema, column).size

    def replace(self, **nets: Callable) -> 'Kit':
        """The kit with some makers exchanged or added."""
        return dataclasses.replace(self, nets={**self.nets, **nets})


class Recipe(NamedTuple):
    """What the table's protocol asks of a method's training."""
    steps: int                             # train steps of the longest phase
    # of one pass over the data; schedules count in epochs
    steps_per_epoch: int
    examples: int                          # of the training split, N
    # the table's; reads hp['lr'] and hp['lr_scale']
    optimizer: Callable[[Hp], optax.GradientTransformation]


class StepInfo(NamedTuple):
    """What a loss may know of its place in the run."""
    key: Key            # unique to (step, player, inner)
    step_key: Key       # shared by every player of this step
    step: jax.Array     # int32 [], steps taken in this phase
    total: jax.Array    # int32 [], steps taken in all phases: schedules read this one
    inner: jax.Array    # int32 [], index inside this player's inner loop
    hp: Hp


class Player(NamedTuple):
    """One loss and the parameters it moves."""
    name: str
    loss: Callable[[Params, Carry, Batch, StepInfo], tuple[jax.Array, tuple[Carry, Mapping]]]
    trains: tuple[str, ...]           # keys of params it may move
    tx: Callable[[Hp], optax.GradientTransformation]
    inner: int = 1                    # most updates per train step
    fresh: bool = False               # inner step j reads batch j, not batch 0
    active: Callable[[Carry, StepInfo], jax.Array] | None = None   # bool []: goes on while true


class Fold(NamedTuple):
    """One pass over the training data, parameters at rest: what it finds becomes carry."""
    init: Callable[[], Any]                            # () -> s
    update: Callable[[Any, Params, Carry, Batch], Any]  # (s, params, carry, batch) -> s
    finish: Callable[[Any, Params, Carry], Carry]      # (s, params, carry) -> carry, same tree


class Phase(NamedTuple):
    """Players that learn together for a while."""
    name: str
    players: tuple[Player, ...]       # run in order, each sees the latest params
    steps: int                        # at most; `feedback` may end it earlier
    enter: Callable[..., tuple[Params, Carry]] | None = None  # (key, params, carry, data)
    feedback: Callable[['State', Mapping], 'State'] | None = None  # pure; after each validation
    # validation quantity whose minimum keeps the best parameters
    select: str = 'elbo'
    # further validation quantities that `feedback` reads, such as 'mi'
    needs: tuple[str, ...] = ()
    # the phase is over when the steps of all phases reach this
    until: int | None = None
    # goes on with the protocol of the phase before: its rate, counters and best
    continues: bool = False
    # made at its end, of the parameters that it keeps
    summary: Fold | None = None
    # names it, with all that decides its numbers besides data, kit, seeds, protocol and learning
    # rate: of phases with equal `shared` one is trained for all rows
    shared: Mapping[str, Any] | None = None


class Method(NamedTuple):
    """How parameters learn, and what can be asked of them afterwards."""
    init: Callable[[Key, Batch], tuple[Params, Carry]]        # (key, one batch of data)
    phases: tuple[Phase, ...]         # may be empty: nothing to train
    evals: Mapping[str, Callable]     # keys out of EVALS
    given: tuple[str, ...] = ()       # columns that it is told: likelihoods are of the rest given these


class State(NamedTuple):
    """Everything a run is. A group of seeds is the same with a leading axis."""
    params: Params
    carry: Carry
    opt: Mapping[str, optax.OptState]  # by player name
    hp: Hp
    protocol: Any                      # the table's: best (params, carry), counters
    step: jax.Array                    # int32 []
    total: jax.Array                   # int32 []
    key: Key                           # root: only ever folded, with a tag of its own per use
    status: jax.Array                  # int32 []


def derive(key, *tags):
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


def take(data, idx, decode=None):
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

    >>> batch = take({'x': jnp.arange(3.), 'partner': Rows(jnp.array([1, 1, 0]))}, jnp.array([2, -1]))
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


def mean(values, batch):
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


def _over(phase, total):
    return RUNNING if phase.until is None else jnp.where(total >= phase.until, DONE, RUNNING)


def batches_per_step(phase):
    """How many batches a train step of `phase` reads: the n of `idx` [n, B]."""
    return max(p.inner if p.fresh else 1 for p in phase.players)


def _reader(data, idx, state, augment, decode):
    """j -> batch j of a train step; what is drawn in it, all players see alike."""
    def read(j):
        batch = take(data, idx[j], decode)
        if augment is None:
            return batch
        return augment(derive(state.key, 3, state.total, j), batch)

    return read


def _play(player, i, now, state, read):
    """Player i's updates in a train step: `now` = (params, carry, opt) -> (now, metrics)."""
    tx, first = player.tx(state.hp), read(0)

    def ctx(j):
        own, shared = (derive(state.key, 2, state.total, *tags) for tags in ((1 + i, j), (0,)))
        return StepInfo(own, shared, state.step, state.total, j, state.hp)

    def update(now, j):
        params, carry, opt = now
        batch = read(j) if player.fresh else first
        own = {n: params[n] for n in player.trains}

        def loss(own):
            return player.loss({**params, **own}, carry, batch, ctx(j))

        (value, (carry, aux)), grads = jax.value_and_grad(loss, has_aux=True)(own)
        updates, opt = tx.update(grads, opt, own)
        params = {**params, **optax.apply_updates(own, updates)}
        return (params, carry, opt), {'loss': value, **aux}

    if player.active is None and player.inner == 1:
        now, metrics = update(now, jnp.int32(0))
        return now, {**metrics, 'updates': jnp.float32(1)}
    if player.active is None:
        now, metrics = jax.lax.scan(update, now, jnp.arange(player.inner, dtype=jnp.int32))
        metrics = {k: v.mean(0) for k, v in metrics.items()}
        return now, {**metrics, 'updates': jnp.float32(player.inner)}

    shape = jax.eval_shape(update, now, jnp.int32(0))[1]
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)

    def going(s):
        wanted = player.active(s[1][1], ctx(s[0]))
        return (s[0] < player.inner) & (state.status == RUNNING) & wanted

    def body(s):
        now, metrics = update(s[1], s[0])
        return s[0] + 1, now, jax.tree.map(jnp.add, s[2], metrics)

    n, now, metrics = jax.lax.while_loop(going, body, (jnp.int32(0), now, zeros))
    metrics = {k: v / jnp.maximum(n, 1) for k, v in metrics.items()}
    return now, {**metrics, 'updates': jnp.float32(n)}


def make_step(phase: Phase, augment: Augment | None = None,
              decode: Decode | None = None) -> Callable[..., tuple]:
    """The train step of a phase, for any method.

    Args:
      phase: a `Phase`.
      augment: (key, batch) -> batch, drawn anew for every batch of a step; None changes none.
      decode: see `take`.

    Returns:
      Pure function (state, data, idx) -> (state, metrics): data has leaves [N, ...], idx is
      int32 [n, B] with n = `batches_per_step(phase)`, metrics are scalars named 'player/term'.
      A non-finite metric leaves the state as it was and sets its status to FAILED.
    """

    def step(state, data, idx):
        params, carry, opt, metrics = state.params, state.carry, dict(state.opt), {}
        read = _reader(data, idx, state, augment, decode)
        for i, p in enumerate(phase.players):
            now, m = _play(p, i, (params, carry, opt[p.name]), state, read)
            params, carry, opt[p.name] = now
            metrics |= {f'{p.name}/{k}': v for k, v in m.items()}
        new = state._replace(params=params, carry=carry, opt=opt, step=state.step + 1,
                             total=state.total + 1)
        ok = jnp.all(jnp.stack([jnp.isfinite(v) for v in metrics.values()]))
        keep = (state.status != RUNNING) | ~ok
        new = jax.tree.map(lambda a, b: a if a is b else jnp.where(keep, a, b), state, new)
        over = jnp.where(ok, _over(phase, new.total), FAILED)
        status = jnp.where(state.status == RUNNING, over, state.status).astype(jnp.int32)
        return new._replace(status=status), metrics

    return step


def make_block(phase: Phase, augment: Augment | None = None,
               decode: Decode | None = None) -> Callable[..., tuple]:
    """Many train steps in one dispatch.

    The number of steps is traced, so that a shorter block needs no program of its own. Where
    the data is cut into buckets of different shapes, each step names the one that it reads: a
    `lax.switch` runs the step of that bucket alone, also under a vmap over seeds that share
    `which`.

    Args:
      phase: a `Phase`.
      augment, decode: see `make_step`.

    Returns:
      Pure function (state, data, idx int32 [K, n, B], count int32 [], which=None) -> (state,
      metrics): the first `count` of the K steps are taken; metrics are [K], zero beyond
      `count`. With `which`, int32 [K], data is a sequence of buckets and step k reads
      data[which[k]].
    """
    step = make_step(phase, augment, decode)

    def block(state, data, idx, count, which=None):
        buckets = (data,) if which is None else data
        steps = [lambda state, idx, data=data: step(state, data, idx) for data in buckets]
        shape = jax.eval_shape(steps[0], state, idx[0])[1]
        zeros = jax.tree.map(lambda s: jnp.zeros((idx.shape[0], *s.shape), s.dtype), shape)

        def body(i, c):
            if len(steps) == 1:
                state, m = steps[0](c[0], idx[i])
            else:
                state, m = jax.lax.switch(which[i], steps, c[0], idx[i])
            return state, jax.tree.map(lambda buffer, v: buffer.at[i].set(v), c[1], m)

        return jax.lax.fori_loop(0, count, body, (state, zeros))

    return block
