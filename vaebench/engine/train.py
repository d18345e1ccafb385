"""The host loop of one group: blocks, validation, feedback, phases, checkpoints."""
import functools
import threading
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core
from vaebench.core import FAILED, RUNNING, derive
from vaebench.engine import checkpoint, placement, plateau
from vaebench.errors import UserError
from vaebench.metrics import validator
from vaebench.schema import count

SALT = 20190801                    # keeps the order of data apart from every other use of a seed


class Out(Exception):
    """Time is up or the process was asked to stop; what was reached is saved."""


class Settings(NamedTuple):
    """How a group trains, besides its method."""
    epochs: int                    # of the longest phase
    batch: int                     # B
    block: int = 50                # most train steps per dispatch
    keep: str = 'best'             # parameters that are evaluated: 'best' on validation, or 'last'
    patience: int = 0              # of `plateau.plateau`, as the next three
    first_epoch: int = 15
    factor: float = 0.5
    decays: int = 5
    validation_batch: int = 256
    seeds_by: str = 'auto'         # 'vmap' or 'map': how a group's seeds run
    devices: int = 1               # the batch is split over so many


class Trainer:
    """Compiled programs of one method on one dataset, shared by every row that differs in numbers only.

    Args:
      method: a `Method`.
      buckets: training data, one dict of arrays [N_b, ...] per length class.
      valid: validation data, likewise; may be empty.
      settings: `Settings`.
      width: seeds that train together.
      augment: (key, batch) -> batch, drawn anew for every training batch, or None.
      decode: batch -> batch, applied to whatever is read, or None.
    """

    def __init__(self, method, buckets, valid, settings, width, augment=None, decode=None):
        self.method, self.settings, self.width = method, settings, width
        self.augment, self.decode = augment, decode
        self.how = placement.seeds_how(settings.seeds_by)
        self.sizes = [count(b) for b in buckets]
        if settings.devices > len(jax.devices()):
            raise UserError(f'devices={settings.devices}, and there are {len(jax.devices())}: give fewer')
        self.mesh = placement.mesh(jax.devices()[:settings.devices]) if settings.devices > 1 else None
        self.data = [self._whole(jax.tree.map(jnp.asarray, b)) for b in buckets]
        self.valid = valid
        first = int(np.argmax(self.sizes))
        rows = jnp.arange(settings.batch)
        self.sample = core.take(self.data[first], jnp.where(rows < self.sizes[first], rows, -1), decode)
        self.compile_seconds = 0.      # of all programs, wherever they were compiled
        self.waited = 0.               # of them, what the training thread waited for
        self.reported = 0.             # of them, what a result says already
        self._programs, self._locks = {}, {}
        self.views = {}                # compiled functions of this method's evaluation
        self.feedback = plateau.plateau(settings.patience, settings.first_epoch, settings.factor, settings.decays)

    def _whole(self, tree):
        return tree if self.mesh is None else placement.replicate(tree, self.mesh)

    @property
    def epoch_steps(self):
        """Train steps of one pass over the data."""
        return epoch_steps(self.sizes, self.settings.batch)

    def _build(self, name, fn, shapes, donate=()):
        with self._locks.setdefault(name, threading.Lock()):
            if name not in self._programs:
                start = time.perf_counter()
                self._programs[name] = jax.jit(fn, donate_argnums=donate).lower(*shapes).compile()
                self.compile_seconds += time.perf_counter() - start
        return self._programs[name]

    def _run(self, name, fn, *args, donate=()):
        """`fn` on these arguments, compiled once; the time that takes goes to `compile_seconds`."""
        if name not in self._programs:
            start = time.perf_counter()
            self._build(name, fn, jax.tree.map(_shape, args), donate)
            self.waited += time.perf_counter() - start
        return self._programs[name](*args)

    def _init(self):
        def one(key, hp, data):
            return plateau.start(core.init(self.method, key, data, hp))

        return placement.over_seeds(one, (0, 0, None), self.how)

    def _block(self, number):
        steps = core.make_block(self.method.phases[number], self.augment, self.decode)

        def one(state, data, idx, count):
            state, metrics = steps(state, data, idx, count)
            return plateau.heal(state), metrics

        return placement.over_seeds(one, (0, None, 0, None), self.how)

    def _enter(self, number):
        phase = self.method.phases[number]

        def one(state, data):
            if phase.continues:
                return plateau.stay(core.enter(phase, state, data), self.settings.patience, self.settings.decays)
            state = plateau.start(state)          # full learning rate before the optimisers are made
            return plateau.start(core.enter(phase, state, data))

        return placement.over_seeds(one, (0, None), self.how)

    def _start(self, seeds, hp):
        return (jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32)),
                {k: jnp.full(len(seeds), v, jnp.float32) for k, v in hp.items()}, self.sample)

    def shapes(self, hp, phase=0):
        """The state of a group in a phase, as shapes; computes nothing.

        Args:
          hp: name -> number.
          phase: number of the phase.

        Returns:
          `State` of `jax.ShapeDtypeStruct`.
        """
        args = jax.eval_shape(lambda: self._start(list(range(self.width)), hp))
        state = jax.eval_shape(self._init(), *args)
        phase = min(phase, len(self.method.phases) - 1)        # past the last one nothing new begins
        return jax.eval_shape(self._enter(phase), state, self.sample) if phase > 0 else state

    def prepare(self, hp, cancelled=lambda: False):
        """Compiles ahead what training needs; may run in a thread while another group trains.

        Args:
          hp: name -> number; only the names matter.
          cancelled: asked between two programs.
        """
        if self.mesh is not None or cancelled():
            return
        self._build('init', self._init(), jax.tree.map(_shape, self._start(list(range(self.width)), hp)))
        for number, phase in enumerate(self.method.phases):
            state = self.shapes(hp, number)
            idx = jax.ShapeDtypeStruct((self.width, self.settings.block, core.batches_per_step(phase),
                                        self.settings.batch), jnp.int32)
            for bucket, data in enumerate(self.data):
                if cancelled():
                    return
                self._build(f'block{number}.{bucket}', self._block(number),
                            (state, jax.tree.map(_shape, data), idx, jax.ShapeDtypeStruct((), jnp.int32)), (0,))
            v = self.validators[number]
            inputs = v.inputs(self.width, jax.random.key(0))
            if inputs and not cancelled():
                self._build(f'validate{number}', v.function,
                            (state.params, state.carry, *jax.tree.map(_shape, inputs)))

    def init(self, seeds, hp):
        """State of a group at the start.

        Args:
          seeds: list of ints, `width` of them.
          hp: name -> number, shared by the seeds.

        Returns:
          `State` with a leading seed axis.
        """
        return self._whole(self._run('init', self._init(), *self._start(seeds, hp)))

    def enter(self, number, state):
        """The group starts phase `number`."""
        return self._run(f'enter{number}', self._enter(number), state, self.sample, donate=(0,))

    def block(self, number, bucket, state, idx, count):
        """Some train steps of phase `number`: see `core.make_block`; `state` and `idx` have a leading seed axis."""
        if self.mesh is not None:
            idx = placement.place_batches(idx, self.mesh)
        return self._run(f'block{number}.{bucket}', self._block(number), state, self.data[bucket], idx, count,
                         donate=(0,))

    @functools.cached_property
    def validators(self):
        """Per phase, the `metrics.Validator` of its needs."""
        with self._locks.setdefault('validators', threading.Lock()):
            made = {needs: validator(self.method.evals, self.valid, needs, self.settings.validation_batch, self.decode)
                    for needs in {phase.needs for phase in self.method.phases}}
            return [made[phase.needs] for phase in self.method.phases]

    def validate(self, number, state, key):
        """What the validation data says in phase `number`: name -> [G], nats."""
        v = self.validators[number]
        inputs = v.inputs(self.width, key)
        return dict(self._run(f'validate{number}', v.function, state.params, state.carry, *inputs)) if inputs else {}

    def judge(self, number, state, values):
        """The protocol's feedback, then the phase's own."""
        phase = self.method.phases[number]

        def one(state, values):
            loss = values.get(phase.select, values.get('rec')) if phase.select else None
            new = state if loss is None else self.feedback(state, loss)
            new = new if phase.feedback is None else phase.feedback(new, values)
            return jax.tree.map(lambda a, b: jnp.where(state.status == RUNNING, a, b), new, state)

        return self._run(f'judge{number}', placement.over_seeds(one, (0, 0), self.how), state, values, donate=(0,))

    def leave(self, number, state):
        """A phase ends: its best parameters are taken where the table says so, and no later phase continues it."""
        later = self.method.phases[number + 1:number + 2]
        if self.settings.keep != 'best' or (later and later[0].continues):
            return state
        return self._run(f'leave{number}', placement.over_seeds(plateau.best, (0,), self.how), state, donate=(0,))


def _shape(x):
    return jax.ShapeDtypeStruct(jnp.shape(x), jax.dtypes.canonicalize_dtype(jnp.result_type(x)) if not hasattr(
        x, 'dtype') else x.dtype, sharding=getattr(x, 'sharding', None) if getattr(x, '_committed', False) else None)


def epoch_steps(sizes, batch):
    """Train steps of one pass over buckets of these sizes."""
    return sum(-(-n // batch) for n in sizes)


def epoch_blocks(sizes, batch, block):
    """Cuts an epoch into blocks, each inside one bucket.

    Args:
      sizes: rows per bucket.
      batch: B.
      block: most steps per block.

    Returns:
      List of (bucket, first step, steps).

    >>> epoch_blocks([10, 3], 2, 3)
    [(0, 0, 3), (0, 3, 2), (1, 0, 2)]
    """
    steps = [-(-n // batch) for n in sizes]
    return [(b, at, min(block, n - at)) for b, n in enumerate(steps) for at in range(0, n, block)]


def order(blocks, table_seed, phase, epoch):
    """The epoch's blocks in the table's order, the same for every seed."""
    rng = np.random.default_rng([SALT, table_seed, phase, epoch])
    return [blocks[i] for i in rng.permutation(len(blocks))]


def indices(size, batch, n, seed, phase, epoch, bucket):
    """One seed's rows for all steps of a bucket in an epoch.

    Batch 0 of each step runs through a permutation, so that every row is met once an epoch; the others, which only
    players with `fresh` inner batches read, are drawn uniformly from the bucket (catalogue: from the whole corpus).

    Args:
      size: rows of the bucket.
      batch: B.
      n: batches per step.
      seed, phase, epoch, bucket: make the stream.

    Returns:
      int32 [steps, n, B]; -1 fills the last batch.
    """
    rng = np.random.default_rng([SALT, seed, phase, epoch, bucket])
    steps = -(-size // batch)
    first = np.full(steps * batch, -1, np.int32)
    first[:size] = rng.permutation(size)
    rest = rng.integers(0, size, (steps, n - 1, batch), dtype=np.int32)
    return np.concatenate([first.reshape(steps, 1, batch), rest], 1)


class Progress(NamedTuple):
    """Where a group stands; everything else follows from the seeds."""
    phase: int = 0
    epoch: int = 0
    block: int = 0
    steps: int = 0                 # of this phase, the longest of the group


def _failure(metrics, done):
    """The first non-finite term of a seed's block: (term, step in block), or None."""
    bad = {k: ~np.isfinite(v[:done]) for k, v in metrics.items()}
    first = min((int(np.argmax(v)) for v in bad.values() if v.any()), default=None)
    if first is None:
        return None
    terms = [k for k, v in bad.items() if v[first]]
    specific = [k for k in terms if not k.endswith('/loss')]
    return (specific or terms)[0], first


def run(trainer, seeds, hp, table_seed=0, folder=None, deadline=None, save_every=60., on_block=None, on_epoch=None,
        stop=lambda: False, fingerprint=''):
    """Trains a group to its end, or until time is up.

    Args:
      trainer: a `Trainer` of width len(seeds).
      seeds: ints.
      hp: name -> number.
      table_seed: orders the blocks of all rows alike.
      folder: where checkpoints go and are looked for; None keeps none.
      deadline: `time.monotonic()` at which to stop, or None.
      save_every: seconds between checkpoints.
      on_block: called with (Progress, done fraction, mean loss [G]) after each block.
      on_epoch: called with the curves' newest entry after each validation.
      stop: asked after each block; true stops like a deadline.
      fingerprint: of the data; a checkpoint of other data is refused.

    Returns:
      (state, record): the final `State` [G, ...] and a dict with curves, reasons of failed seeds and seconds.

    Raises:
      Out: stopped early; the checkpoint holds everything.
      UserError: the checkpoint is damaged, or the disk is full.
    """
    settings, method = trainer.settings, trainer.method
    state = trainer.init(seeds, hp)
    at, record = Progress(), {'curves': [], 'reasons': [None] * len(seeds), 'seconds': 0., 'pending': {},
                            'ran': [True] * len(seeds)}
    saved = checkpoint.restore(folder, lambda host: trainer.shapes(hp, host['phase'])) if folder else None
    if saved is not None:
        state, host = trainer._whole(saved[0]), saved[1]
        if host['seeds'] != list(seeds):
            raise UserError(f'checkpoint {folder} is of seeds {host["seeds"]}; delete that folder to train again')
        if host['fingerprint'] != fingerprint:
            raise UserError(f'checkpoint {folder} is of other data; choose another --workdir')
        at, record = Progress(host['phase'], host['epoch'], host['block'], host['steps']), host['record']
    clock = last_save = time.monotonic()
    waited, last_check, slowest = trainer.waited, clock, 0.
    blocks = epoch_blocks(trainer.sizes, settings.batch, settings.block)
    total = sum(p.steps for p in method.phases)

    def seconds():
        return record['seconds'] + time.monotonic() - clock - (trainer.waited - waited)

    def save():
        nonlocal last_save
        if folder:
            checkpoint.save(folder, state, {**at._asdict(), 'seeds': list(seeds), 'fingerprint': fingerprint,
                                            'record': {**record, 'seconds': seconds()}})
        last_save = time.monotonic()

    def check():
        nonlocal last_check, slowest
        slowest, last_check = max(slowest, time.monotonic() - last_check), time.monotonic()
        if stop() or (deadline is not None and time.monotonic() + slowest + 2. > deadline):
            save()
            raise Out
        if time.monotonic() - last_save > save_every:
            save()

    while at.phase < len(method.phases):
        phase = method.phases[at.phase]
        n = core.batches_per_step(phase)
        while at.steps < phase.steps and bool((np.asarray(state.status) == RUNNING).any()):
            plan = order(blocks, table_seed, at.phase, at.epoch)
            if at.block == 0:
                record['ran'] = (np.asarray(state.status) == RUNNING).tolist()      # the others only wait
            ran = record['ran']
            streams = [[indices(size, settings.batch, n, seed, at.phase, at.epoch, b) for seed in seeds]
                       for b, size in enumerate(trainer.sizes)]
            while at.block < len(plan) and at.steps < phase.steps:
                bucket, first, count = plan[at.block]
                count = min(count, phase.steps - at.steps)
                idx = np.full((len(seeds), settings.block, n, settings.batch), -1, np.int32)
                for g, stream in enumerate(streams[bucket]):
                    idx[g, :count] = stream[first:first + count]
                before = np.asarray(state.status)
                state, metrics = trainer.block(at.phase, bucket, state, jnp.asarray(idx), jnp.int32(count))
                metrics = {k: np.asarray(v)[:, :count] for k, v in metrics.items()}
                steps = np.asarray(state.total)
                for g in np.flatnonzero((np.asarray(state.status) == FAILED) & (before != FAILED)):
                    found = _failure({k: v[g] for k, v in metrics.items()}, count)
                    record['reasons'][g] = (
                        f'{found[0]} was not finite at step {int(steps[g]) + 1} of seed {seeds[g]}; the parameters '
                        'before it are kept' if found else
                        f'the gradient was not finite by step {int(steps[g])} of seed {seeds[g]}; the best parameters '
                        'before it are kept')
                _add(record['pending'], metrics)
                at = at._replace(block=at.block + 1, steps=at.steps + count)
                if on_block is not None:
                    loss = next(v for k, v in metrics.items() if k.endswith('/loss'))
                    gone = sum(p.steps for p in method.phases[:at.phase]) + at.steps
                    on_block(at, gone / total, loss.mean(1))
                if at.block < len(plan) and at.steps < phase.steps:
                    check()
            values = trainer.validate(at.phase, state, derive(jax.random.key(SALT), at.phase, at.epoch))
            state = trainer.judge(at.phase, state, values)
            entry = {'phase': phase.name, 'epoch': at.epoch, 'steps': np.asarray(state.total).tolist(), 'ran': ran,
                     'status': np.asarray(state.status).tolist(),
                     'lr_scale': _plain(state.hp['lr_scale']), 'seconds': round(seconds(), 3),
                     'train': {k: _plain(np.divide(*v)) for k, v in record['pending'].items()},
                     'valid': {k: _plain(v) for k, v in values.items()}}
            record['curves'].append(entry)
            record['pending'] = {}
            if on_epoch is not None:
                on_epoch(entry)
            at = at._replace(epoch=at.epoch + 1, block=0)
            check()
        state = trainer.leave(at.phase, state)
        at = Progress(at.phase + 1)
        if at.phase < len(method.phases):
            state = trainer.enter(at.phase, state)
            check()
    save()               # until every seed's model is written, a killed run finds the whole group here
    return state, {**record, 'seconds': seconds()}


def _add(pending, metrics):
    """Adds a block to the epoch's means; non-finite steps do not count."""
    for k, v in metrics.items():
        good = np.isfinite(v)
        total, count = pending.get(k, (0., 1e-30))
        pending[k] = ((total + np.where(good, v, 0.).sum(1, dtype=np.float64)).tolist(),
                      (count + good.sum(1)).tolist())


def _plain(x):
    return [float(v) if np.isfinite(v) else None for v in np.asarray(x)]
