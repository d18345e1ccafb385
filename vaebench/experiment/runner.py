"""Works through a table: trains the missing groups, evaluates them, writes their cells."""
import contextlib
import dataclasses
import functools
import re
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import files, judges, metrics, schema
from vaebench.core import FAILED
from vaebench.engine import checkpoint, hosts, loop, placement, profiling
from vaebench.errors import UserError
from vaebench.experiment import (
    evaluate,
    machine,
    outcome,
    pulse,
    results,
    trackers,
    training,
)
from vaebench.experiment.prepared import Prepared, Unusable, refuse

DURATION = re.compile(r'(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?')


def duration(text: str, name: str = 'budget') -> float:
    """Seconds in '90', '90s', '8m' or '1h30m'.

    Args:
      text: what a user wrote.
      name: of what, for the message.

    Raises:
      UserError: anything else.

    >>> duration('1h30m'), duration('90')
    (5400.0, 90.0)
    """
    match = DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise UserError(f'{name}={text} is not a duration; write it like 90s, 8m or 1h30m')
    hours, minutes, seconds = (float(g or 0) for g in match.groups())
    return 3600 * hours + 60 * minutes + seconds


@dataclasses.dataclass
class Runner(Prepared):
    """One run of one table in one folder.

    Args:
      table: a `Table`.
      workdir: where everything is written.
      data_dir, deadline, stop, interruptible, say: see `Prepared`.
      report: called with (row label, done fraction, text) while a group trains.
      finished: called with (text, cells) when a phase or a cell is done, and how many cells it
        completes.
      spent: called with (kind, cells, found) when some 'training' or 'evaluation' is done, of
        how many cells, parts of them counted, and how many more were found done.
      tracker: shows curves and results elsewhere.
      profile: traces some train steps.

    Attributes:
      written: the table as the config has it, before tuning chose any number.
      trials: the run of what tuning tries, None where nothing is tuned; see `tuning`.
      held: names of rows whose turn has not come, since not all is tried of them.
    """
    report: Callable[..., None] = lambda *args: None
    finished: Callable[[str, int], None] = lambda *args: None
    spent: Callable[[str, float, float], None] = lambda *args: None
    tracker: trackers.Tracker = trackers.Tracker()
    profile: profiling.Profile | None = None

    def __post_init__(self):
        super().__post_init__()
        self._judges, self._ahead, self._cancelled = {}, None, threading.Event()
        self.written = self.table
        self.trials: Self | None = None
        self.held: Collection[str] = ()
        self._pulse, self._worked = pulse.Pulse(self.workdir, hosts.leader), False

    # ---- the work ----------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Trains and evaluates what is missing.

        Returns:
          Dict with lists of row names: 'busy' (another process has them), 'broken' (refused,
          or an error), and 'out' (true when time was up before the end).

        Raises:
          UserError: no row of the table can be, the folder is of other data, or the disk is
            full.
        """
        state = {'busy': [], 'broken': [], 'out': False}
        try:
            refuse(self.check().values(), len(self.table.rows))
            self.announce()
            state['broken'] += self.check()
            with self._pulse:
                self._run(state)
        except loop.OutOfTime:
            state['out'] = True
        finally:
            self._cancelled.set()
        return state

    def _run(self, state):
        """Goes through the rows, and again where a process has let go of what it had."""
        while True:
            self._worked, state['busy'] = False, []
            self._pass(state)
            if not (self._worked and state['busy']):
                return

    def _pass(self, state):
        self.check()
        todo = [self.table.rows[i] for i in hosts.led(self._todo, state['broken'])]
        for i, row in enumerate(todo):
            self.check_time()
            try:
                if not self._row(row, todo[i + 1:]):
                    state['busy'].append(row.name)
                self._forget(todo[i + 1:])
            except (loop.OutOfTime, Unusable):
                raise
            # a defect in one row must not cost the others their table
            except (Exception, SystemExit) as error:
                hosts.meet(error)
                if files.is_full(error):
                    raise
                self.tell([row], error)
                state['broken'].append(row.name)

    def _todo(self, broken):
        """Places of the rows that are to be worked on."""
        return [i for i, row in enumerate(self.table.rows)
                if row.name not in {*broken, *self.held} and self.missing(row)[1]]

    def compiling(self) -> bool:
        """Whether a program is still being compiled for a row that will not come; nothing can
        interrupt that.
        """
        return self._ahead is not None and self._ahead.is_alive()

    def _forget(self, later):
        """Lets go of programs that no later row shares: they hold memory."""
        needed = {training.programs_key(row.config) for row in later}
        with self._making:
            self._made = {key: shared for key, shared in self._made.items() if key[0] in needed}

    def _row(self, row, later):
        """Works on what is missing of a row; whether no other process has any of it."""
        free = self._each(row, self.untrained, functools.partial(self._train, later=later))
        free &= self._each(row, self._unfinished, self._evaluate)
        if free:
            hosts.led(self._tidy, row)
        return free

    def _tidy(self, row):
        """Deletes checkpoints of a run that was killed after it had written its models."""
        for seeds, folder in self.checkpoints(row).items():
            if all(self.is_trained(row, s) for s in seeds):
                checkpoint.remove(folder)

    def _each(self, row, left, work):
        """Does some work on the groups that are left; whether no other process has one."""
        free, seen = True, set()
        while groups := [seeds for seeds in hosts.led(left, row) if seeds not in seen]:
            with contextlib.ExitStack() as locks:
                seeds = groups[0]
                mine = hosts.led(self._lock, locks, row, seeds)
                if mine and seeds not in hosts.led(left, row):
                    continue                 # another process was quicker
                seen.add(seeds)
                free &= mine
                if mine:
                    self._worked = True
                    self._pulse.begin(table=self.table.name, row=row.name, seeds=seeds,
                                      hash=row.config_hash, train_hash=row.train_hash)
                    work(row, seeds)
        return free

    def _lock(self, locks, row, seeds):
        """Takes the locks of some cells, as far as they are free; whether all were."""
        return all(locks.enter_context(files.lock(self.lock_path(row, s))) for s in seeds)

    def _unfinished(self, row):
        """Trained groups that are to be evaluated."""
        left, groups = [s for s in self.missing(row)[1] if self.is_trained(row, s)], []
        while left:
            groups.append(self.group_of(row, left[0]))
            left = [s for s in left if s not in groups[-1]]
        return groups

    def _compile_next(self, later):
        # several processes compile the same programs in the same order; of memory_gb the width
        # is found when the row's turn comes
        later = [row for row in later if not row.config['memory_gb']]
        if later and hosts.count() == 1 and not self.compiling():
            self._ahead = threading.Thread(target=self._prepare, args=(later,),
                                           name=machine.AHEAD, daemon=True)
            self._ahead.start()

    def _prepare(self, later):
        """Compiles for the first of some rows that no process is at, and that none prepares."""
        for row in later:
            for seeds in self.untrained(row)[:1]:
                programs = files.config_hash([training.programs_key(row.config), len(seeds)])
                ahead = self.workdir / 'locks' / f'ahead.{programs}.lock'
                with (contextlib.suppress(Exception),      # said when the row's turn comes
                      files.lock(ahead) as mine):
                    if mine and self._is_free(row, seeds):
                        trainer = self.trainer(row, len(seeds))
                        return trainer.prepare(self.numbers(row), self._cancelled.is_set)

    def _is_free(self, row, seeds):
        """Whether no process has a group at this moment."""
        with contextlib.ExitStack() as locks:
            return self._lock(locks, row, seeds)

    def _report(self, label, fraction, text):
        self._pulse.tell(fraction, text)
        self.report(label, fraction, text)

    def _train(self, row, seeds, later):
        shared = self._shared(row, len(seeds))
        self._compile_next(later)
        trainer, (data, _) = shared.trainer, self.dataset(row)
        logs = [self.log_path(row, s) for s in seeds]
        stage = training.stage(row.config, trainer, seeds, data.source.sha256,
                               self.workdir / 'stages')
        watch = training.Watch(training.Hooks(self._report, self.finished, self.spent),
                               row.label, trainer.method, len(seeds))

        def on_epoch(epoch):
            hosts.led(training.log, logs, epoch)
            self.tracker.epoch(self.table.name, row, seeds, epoch)

        with profiling.blocks(self.profile, row.name, trainer, watch) as on_block:
            options = loop.Options(
                row.config['table_seed'], self.group_path(row, seeds), data.source.sha256,
                row.config['save_every'], self.deadline, stage, self.stop, on_block, on_epoch,
                self.say)
            state, record = loop.run(trainer, seeds, self.numbers(row), options)
        hosts.led(self._store, row, seeds, shared, state, record)
        hosts.led(checkpoint.remove, options.folder)
        watch.close(record.seconds)

    def _store(self, row, seeds, shared, state, record):
        """Writes the models of a trained group and their curves."""
        (data, _), trainer = self.dataset(row), shared.trainer
        compiled = trainer.programs.seconds - shared.reported
        shared.reported = trainer.programs.seconds
        sample = jax.tree.map(lambda x: [list(x.shape), str(x.dtype)], trainer.sample)
        for g, seed in enumerate(seeds):
            one = jax.tree.map(lambda x, g=g: x[g], (state.params, state.carry))
            curves = [epoch.of(g) for epoch in record.curves if epoch.ran[g]]
            checkpoint.save(self.model_path(row, seed), one, {
                'sha256': data.source.sha256, 'config': files.plain(row.config),
                'schema': schema.plain(data.schema), 'seeds': list(seeds), 'sample': sample,
                'status': int(state.status[g]), 'reason': record.reasons[g],
                'steps': int(state.total[g]), 'parameters': record.parameters(g),
                'curves': curves, 'train': record.seconds / len(seeds), 'compile': compiled})
            training.write_log(self.log_path(row, seed), curves)

    def _tick(self, row):
        def tick(done, total):
            self._report(row.label, done / total, 'importance samples')
            self.check_time()

        return tick

    def _judged(self, row):
        """The judges of the row's dataset, made once per workdir."""
        data, _ = self.dataset(row)
        if data.source.sha256 not in self._judges:
            self._judges[data.source.sha256] = judges.of(
                data, self.home / 'features', deadline=self.deadline, stop=self.stop,
                on_block=lambda at, fraction, loss: self._report(
                    row.label, fraction, 'classifier behind the features'))
        return self._judges[data.source.sha256]

    def _readable(self, row):
        """What metrics may read of the row's dataset."""
        data, parts = self.dataset(row)
        measured = parts[outcome.measured(row).split]
        return metrics.Data(measured, data.schema, data.splits['train'], data.splits['valid'],
                            data.truth, data.item, data.part, data.decode, data.observe,
                            data.symmetry, self._judged(row), outcome.likelihood(row, data))

    def _evaluate(self, row, seeds):
        self._pulse.tell(0., 'evaluation')
        start, shared = time.perf_counter(), self._shared(row, len(seeds))
        trainer, (data, _) = shared.trainer, self.dataset(row)
        last = len(trainer.method.phases)
        shape = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                             tuple(trainer.shapes(self.numbers(row), last)[:2]))
        models = [hosts.led(self._model, row, seed, shape) for seed in seeds]
        stored = [host for _, host in models]
        good = [i for i, host in enumerate(stored) if host['status'] != FAILED]
        entries, arrays, partial = [], {}, self.partial_path(row, seeds)
        if good:
            params, carry = jax.tree.map(lambda *x: jnp.stack(x), *[models[i][0] for i in good])
            trained = metrics.Trained(trainer.method.evals, params, carry,
                                      evaluate.keys(len(good)), shared.views,
                                      trainer.method.given, trainer.settings.precision,
                                      placement.lay(trainer.settings.mesh, len(good), 0))
            entries, arrays = evaluate.evaluate(
                trained, self._readable(row), row.config['metrics'],
                outcome.measured(row), self._tick(row), partial)
        count = int(sum(np.prod(x.shape) for x in jax.tree.leaves(shape[0])))
        group = outcome.Evaluated(seeds, stored, good, entries, arrays, count,
                                  (time.perf_counter() - start) / len(seeds))
        self.spent('evaluation', len(seeds), 0.)
        for i, seed in enumerate(seeds):
            hosts.led(self._write, row, data, group, i, seed)
            end = 'done' if i in good else 'failed'
            self.finished(f'{row.label}: seed {seed} {end}', int(seed in row.seeds))
        hosts.led(partial.unlink, True)

    def _model(self, row, seed, shape):
        """(parameters and carry, what training stored beside them) of a trained cell."""
        found = checkpoint.restore(self.model_path(row, seed), lambda host: shape)
        if found is None:
            raise UserError(f'{self.model_path(row, seed)} holds no parameters; delete that '
                            'folder to train again')
        self._same_data(row, found[1]['sha256'], self.model_path(row, seed))
        return found

    def _write(self, row, data, group, i, seed):
        own = outcome.own_arrays(group, i)
        text = metrics.qualitative.render(own, outcome.words(data.schema))
        if text:               # sentences to look at, beside the results; they quote the data
            files.write_bytes(self.listing_path(row, seed), text.encode())
        result = outcome.result(self.table, row, data, group, i)
        results.write(self.workdir / 'results', result,
                      {**own, **outcome.curves(group.hosts[i]['curves'])})
        self.tracker.result(self.table.name, row, result)
