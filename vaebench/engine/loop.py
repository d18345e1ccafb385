"""The host loop of one group: blocks, validation, feedback, phases, checkpoints."""
import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vaebench import core
from vaebench.core import FAILED, RUNNING, State, derive
from vaebench.engine import checkpoint, hosts, order
from vaebench.engine.placement import fetch
from vaebench.engine.stages import Stage
from vaebench.engine.trainer import Feed, Trainer
from vaebench.errors import UserError


class OutOfTime(Exception):
    """Time is up or the process was asked to stop; what was reached is saved."""


class Position(NamedTuple):
    """Where a group stands; everything else follows from the seeds."""
    phase: int = 0
    epoch: int = 0
    block: int = 0
    steps: int = 0                 # of this phase, the longest of the group


class Options(NamedTuple):
    """How a run is carried out. Only `table_seed` decides a number."""
    table_seed: int = 0            # orders the steps of all rows alike
    folder: str | os.PathLike | None = None     # of checkpoints; None keeps none
    fingerprint: str = ''          # of the data; a checkpoint of other data is refused
    save_every: float = 60.        # seconds between checkpoints
    deadline: float | None = None  # `time.monotonic()` at which to stop
    stage: Stage | None = None     # the first phases end there, and may begin there
    stop: Callable[[], bool] = lambda: False  # asked after each block; true: stop
    on_block: Callable[[Position, float, np.ndarray], None] | None = None
    #                                after each block: position, done fraction, mean loss [G]
    on_epoch: Callable[['Epoch'], None] | None = None   # after each validation
    say: Callable[[str], None] = lambda line: None      # prints one line to the user


class Epoch(NamedTuple):
    """What the curves say of one epoch of a group."""
    phase: str
    epoch: int
    steps: list[int]               # [G], of all phases
    ran: list[bool]                # [G], whether the seed was still running when it began
    status: list[int]              # [G]
    lr_scale: list                 # [G]
    seconds: float                 # since the run began, without compilation
    train: Mapping[str, list]      # name -> [G], means over its steps; None is not finite
    valid: Mapping[str, list]      # name -> [G]

    def of(self, g: int) -> dict[str, Any]:
        """One seed's part, as plain values."""
        def pick(named):
            return {k: values[g] for k, values in named.items()}

        return {'phase': self.phase, 'epoch': self.epoch, 'step': self.steps[g],
                'status': self.status[g], 'lr_scale': self.lr_scale[g], 'seconds': self.seconds,
                'train': pick(self.train), 'valid': pick(self.valid)}


class Kept(NamedTuple):
    """Which parameters a phase of a group ended with."""
    phase: str
    kept: list[str]                # [G], as `Trainer.kept` says
    by: str = ''                   # what chose the best: `Trainer.criterion`


@dataclasses.dataclass
class Record:
    """What a run tells besides its state."""
    reasons: list[str | None]      # [G], why a seed failed
    ran: list[bool]                # [G], of the epoch under way
    curves: list[Epoch] = dataclasses.field(default_factory=list)
    kept: list[Kept] = dataclasses.field(default_factory=list)      # one a phase
    pending: dict[str, tuple] = dataclasses.field(default_factory=dict)
    #                                the epoch under way: name -> (sums [G], counts [G])
    seconds: float = 0.            # of training, without compilation

    def parameters(self, g: int) -> list[dict[str, str]]:
        """Which parameters each phase of one seed ended with: [{'phase', 'kept', 'by'}]."""
        return [{'phase': k.phase, 'kept': k.kept[g],
                 'by': k.by if k.kept[g] == 'best' else ''} for k in self.kept]

    def plain(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return {**vars(self), 'curves': [e._asdict() for e in self.curves],
                'kept': [k._asdict() for k in self.kept]}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> 'Record':
        """The record that `plain` wrote."""
        return cls(**{**plain, 'curves': [Epoch(**e) for e in plain['curves']],
                      'kept': [Kept(**k) for k in plain.get('kept', ())]})

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Adds a block's metrics [G, K] to the epoch's means; non-finite steps do not count."""
        for k, v in metrics.items():
            good = np.isfinite(v)
            total, count = self.pending.get(k, (0., 0.))
            total = total + np.where(good, v, 0.).sum(1, dtype=np.float64)
            self.pending[k] = total.tolist(), (count + good.sum(1)).tolist()


def run(trainer: Trainer, seeds: Sequence[int], hp: Mapping[str, float],
        options: Options | None = None) -> tuple[State, Record]:
    """Trains a group to its end, or until time is up.

    Args:
      trainer: a `Trainer` of width len(seeds).
      seeds: ints.
      hp: name -> number, or [G], one for each seed.
      options: how it is carried out.

    Returns:
      (state, record): the final `State` [G, ...] and its `Record`.

    Raises:
      OutOfTime: stopped early; the checkpoint holds everything.
      UserError: the checkpoint is damaged or of other data, or the disk is full.
    """
    return Run(trainer, seeds, hp, options or Options()).train()


class Run:
    """One group on its way through the phases of its method; arguments as for `run`."""

    def __init__(self, trainer: Trainer, seeds: Sequence[int], hp: Mapping[str, float],
                 options: Options):
        self.trainer, self.seeds, self.hp, self.options = trainer, list(seeds), hp, options
        self.phases = trainer.method.phases
        self.steps = sum(phase.steps for phase in self.phases)
        found = self._restored() or self._shared()
        if found is None:
            record = Record([None] * len(self.seeds), [True] * len(self.seeds))
            found = trainer.init(self.seeds, hp), Position(), record
        self.state, self.at, self.record = found
        self._begun = self._saved = self._checked = time.monotonic()
        self._waited, self._slowest = trainer.programs.waited, 0.

    # ---- the phases ------------------------------------------------------------------------

    def train(self) -> tuple[State, Record]:
        """Goes on to the end of the last phase."""
        while self.at.phase < len(self.phases):
            while self.at.steps < self.phase.steps and self.running.any():
                self.epoch()
            self.end_phase()
        self.save()          # until all models are written, a killed run finds the group here
        return fetch(self.state), dataclasses.replace(self.record, seconds=self.seconds)

    @property
    def phase(self) -> core.Phase:
        """The phase under way."""
        return self.phases[self.at.phase]

    @property
    def running(self) -> np.ndarray:
        """bool [G], seeds that still train in this phase; the others wait."""
        return np.asarray(fetch(self.state.status)) == RUNNING

    def epoch(self) -> None:
        """Goes on to the end of the epoch under way, then validates."""
        at, settings, sizes = self.at, self.trainer.settings, self.trainer.sizes
        blocks = order.epoch_blocks(sizes, settings.batch, settings.block,
                                    (self.options.table_seed, at.phase, at.epoch))
        n = core.batches_per_step(self.phase)
        rows = [[order.indices(size, settings.batch, n, (seed, at.phase, at.epoch, bucket))
                 for bucket, size in enumerate(sizes)] for seed in self.seeds]
        if at.block == 0:
            self.record.ran = self.running.tolist()
        left, read = blocks[at.block:], functools.partial(self._read, rows)
        taken = order.first_steps(left, self.phase.steps - at.steps)
        feeds = self.trainer.feeds(lambda i: self.trainer.feed(*read(taken[i])), len(taken))
        with contextlib.closing(feeds):
            for i, feed in enumerate(feeds, 1):
                self.block(feed)
                if i < len(taken):
                    self.check()
        self.validate()
        self.at = self.at._replace(epoch=self.at.epoch + 1, block=0)
        self.check()

    def _read(self, rows, block):
        """(buckets [k], rows [G, k, n, B]) of a block; `rows` holds per seed and bucket what
        `order.indices` gives.
        """
        return block.buckets, np.stack(
            [[own[b][t] for b, t in zip(*block, strict=True)] for own in rows])

    def block(self, feed: Feed) -> None:
        """Takes the steps of one block."""
        at, before = self.at, np.asarray(fetch(self.state.status))
        self.state, metrics = self.trainer.block(at.phase, self.state, feed)
        self._diagnose(before, metrics)
        self.record.add(metrics)
        self.at = at._replace(block=at.block + 1, steps=at.steps + feed.steps)
        if self.options.on_block is not None:
            loss = next(v for k, v in metrics.items() if k.endswith('/loss'))
            gone = sum(phase.steps for phase in self.phases[:at.phase]) + self.at.steps
            self.options.on_block(self.at, gone / self.steps, loss.mean(1))

    def _diagnose(self, before, metrics):
        """Says of the seeds that failed in a block [G, K], and had not `before`, why."""
        steps, status = map(np.asarray, fetch((self.state.total, self.state.status)))
        for g in np.flatnonzero((status == FAILED) & (before != FAILED)):
            term, seed = _nonfinite({k: v[g] for k, v in metrics.items()}), self.seeds[g]
            self.record.reasons[g] = (
                f'{term} was not finite at step {int(steps[g]) + 1} of seed {seed}; the '
                'parameters before it are kept' if term else
                f'the gradient was not finite by step {int(steps[g])} of seed {seed}; the best '
                'parameters before it are kept')

    def validate(self) -> None:
        """Validates, applies the feedback and adds to the curves."""
        at, trainer, record = self.at, self.trainer, self.record
        key = derive(jax.random.key(order.SALT), at.phase, at.epoch)
        values = trainer.validate(at.phase, self.state, key)
        self.state = state = trainer.apply_feedback(at.phase, self.state, values)
        total, status, lr_scale = map(
            np.asarray, fetch((state.total, state.status, state.hp['lr_scale'])))
        entry = Epoch(
            self.phase.name, at.epoch, total.tolist(), record.ran, status.tolist(),
            _plain(lr_scale),
            round(self.seconds, 3),
            {k: _plain(_mean(*v)) for k, v in record.pending.items()},
            {k: _plain(v) for k, v in values.items()})
        record.curves.append(entry)
        record.pending = {}
        if self.options.on_epoch is not None:
            self.options.on_epoch(entry)

    def end_phase(self) -> None:
        """Ends the phase under way and enters the next."""
        number = self.at.phase
        self.record.kept.append(Kept(self.phase.name, self.trainer.kept(number, self.state),
                                     self.trainer.criterion(number)))
        self.state = self.trainer.end_phase(number, self.state)
        self.at = Position(number + 1)
        if self.options.stage is not None and self.options.stage.phases == self.at.phase:
            hosts.led(self.options.stage.store, fetch(_left(self.state)), self._told())
        if self.at.phase < len(self.phases):
            self.state = self.trainer.enter(self.at.phase, self.state)
            self.check()

    # ---- time and checkpoints --------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Seconds of training so far, without compilation, over all processes."""
        compiled = self.trainer.programs.waited - self._waited
        return self.record.seconds + time.monotonic() - self._begun - compiled

    def check(self) -> None:
        """Saves now and then.

        Raises:
          OutOfTime: it is time to stop.
        """
        now, options = time.monotonic(), self.options
        self._slowest, self._checked = max(self._slowest, now - self._checked), now
        late = options.deadline is not None and now + self._slowest + 2. > options.deadline
        stop, due = hosts.either(options.stop() or late, now - self._saved > options.save_every)
        if stop or due:
            self.save()
        if stop:
            raise OutOfTime

    def save(self) -> None:
        """Writes a checkpoint, if the run keeps any."""
        if self.options.folder:
            hosts.led(checkpoint.save, self.options.folder, fetch(self.state), {
                **self.at._asdict(), 'seeds': self.seeds, **self._told(),
                'fingerprint': self.options.fingerprint})
        self._saved = time.monotonic()

    def _told(self):
        return {'record': {**self.record.plain(), 'seconds': self.seconds}}

    def _restored(self):
        """(state, position, record) of the newest checkpoint, or None."""
        folder, trainer = self.options.folder, self.trainer
        if folder is None:
            return None
        saved = hosts.led(
            checkpoint.restore, folder, lambda host: trainer.shapes(self.hp, host['phase']),
            self.options.say)
        if saved is None:
            return None
        state, host = saved
        if host['seeds'] != self.seeds:
            raise UserError(f'checkpoint {folder} is of seeds {host["seeds"]}; delete that '
                            'folder to train again')
        if host['fingerprint'] != self.options.fingerprint:
            raise UserError(f'checkpoint {folder} is of other data; choose another --workdir')
        at = Position(*(host[field] for field in Position._fields))
        return trainer.spread(state), at, Record.of(host['record'])

    def _shared(self):
        """(state, position, record) at the end of the stage that another run left, or None."""
        stage, trainer = self.options.stage, self.trainer
        if stage is None:
            return None
        found = hosts.led(stage.load, _left(trainer.shapes(self.hp, stage.phases - 1)))
        if found is None:
            return None
        left, host = found
        state = trainer.init(self.seeds, self.hp)
        state = state._replace(**trainer.spread(left))
        if stage.phases < len(self.phases):
            state = trainer.enter(stage.phases, state)
        return state, Position(stage.phases), Record.of(host['record'])


def _left(state):
    """What the next phase takes over of a state."""
    return {name: getattr(state, name) for name in ('params', 'carry', 'total', 'status')}


def _nonfinite(metrics):
    """The term of a seed's block [K] that was not finite in the first step without a loss, or
    None.
    """
    bad = {k: ~np.isfinite(v) for k, v in metrics.items()}
    losses = [v for k, v in bad.items() if k.endswith('/loss')]
    first = min((int(np.argmax(v)) for v in losses if v.any()), default=None)
    if first is None:
        return None
    terms = [k for k, v in bad.items() if v[first]]
    specific = [k for k in terms if not k.endswith('/loss')]
    return (specific or terms)[0]


def _mean(total, count):
    """[G], not a number where nothing was counted: a gap in the curve."""
    with np.errstate(invalid='ignore'):
        return np.divide(total, count)


def _plain(x):
    return [float(v) if np.isfinite(v) else None for v in np.asarray(x)]
