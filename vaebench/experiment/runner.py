"""Works through a table: trains the missing groups, evaluates them, writes their cells."""
import contextlib
import dataclasses
import pathlib
import re
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import datasets, files, judges, metrics, schema
from vaebench.core import FAILED
from vaebench.engine import checkpoint, cost, loop
from vaebench.engine.trainer import Trainer
from vaebench.errors import UserError
from vaebench.experiment import evaluate, outcome, results, training
from vaebench.experiment.cells import Cells
from vaebench.experiment.table import Row
from vaebench.methods.build import check

DURATION = re.compile(r'(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?')


def duration(text: str) -> float:
    """Seconds in '90', '90s', '8m' or '1h30m'.

    Raises:
      UserError: anything else.

    >>> duration('1h30m'), duration('90')
    (5400.0, 90.0)
    """
    match = DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise UserError(f'budget={text} is not a duration; write it like 90s, 8m or 1h30m')
    hours, minutes, seconds = (float(g or 0) for g in match.groups())
    return 3600 * hours + 60 * minutes + seconds


@dataclasses.dataclass
class Runner(Cells):
    """One run of one table in one folder.

    Args:
      table: a `Table`.
      workdir: where everything is written.
      data_dir: where the user's raw data lies, or None.
      deadline: `time.monotonic()` at which to have stopped, or None.
      stop: asked now and then; true ends the run like the deadline.
      report: called with (row label, done fraction, text) while a group trains.
      say: prints one line to the user.
    """
    data_dir: str | None = None
    deadline: float | None = None
    stop: Callable[[], bool] = lambda: False
    report: Callable[..., None] = lambda *args: None
    say: Callable[[str], None] = print

    def __post_init__(self):
        self.workdir = pathlib.Path(self.workdir)
        self._data, self._made, self._judges, self._making = {}, {}, {}, threading.RLock()
        self._ahead, self._cancelled = None, threading.Event()

    # ---- what a row needs --------------------------------------------------------------------

    def dataset(self, row: Row) -> tuple[datasets.Dataset, dict[str, list]]:
        """Loads the row's dataset, and its splits cut into length classes."""
        key = files.canonical([row.config['dataset'], row.config['cuts']])
        with self._making:
            if key not in self._data:
                options = dict(row.config['dataset'])
                data = datasets.load(options.pop('name'), data_dir=self.data_dir, **options)
                cuts = row.config['cuts']
                place = {s: {'index': np.arange(n, dtype=np.int32)}
                         for s, n in data.source.sizes.items()}
                parts = {s: datasets.buckets({**data.splits[s], **place[s]}, cuts, data.schema)
                         for s in ('valid', 'test')}
                parts['train'] = [jax.tree.map(jnp.asarray, b)
                                  for b in data.buckets('train', cuts)]
                self._data[key] = data, parts
            return self._data[key]

    def trainer(self, row: Row, width: int) -> Trainer:
        """The row's `Trainer`, shared with rows that differ in numbers only."""
        return self._shared(row, width).trainer

    def _shared(self, row, width):
        key = training.programs_key(row.config), width
        with self._making:
            if key not in self._made:
                data, parts = self.dataset(row)
                trainer = training.make_trainer(row.config, data, parts, width)
                self._made[key] = training.Shared(trainer)
            return self._made[key]

    def numbers(self, row: Row) -> dict[str, float]:
        """The traced numbers of a row."""
        return {**row.config['hp'], 'lr': row.config['optimizer']['lr'], 'lr_scale': 1.}

    # ---- the work ----------------------------------------------------------------------------

    def check_time(self) -> None:
        """Raises `loop.OutOfTime` when time is up."""
        if self.stop() or (self.deadline is not None and time.monotonic() + 2. > self.deadline):
            raise loop.OutOfTime

    def run(self) -> dict[str, Any]:
        """Trains and evaluates what is missing.

        Returns:
          Dict with lists of row names: 'busy' (another process has them), 'broken' (an
          unexpected error), and 'out' (true when time was up before the end).
        """
        state = {'busy': [], 'broken': [], 'out': False}
        self.check_data()
        todo = [row for row in self.table.rows if self.missing(row)[1]]
        for i, row in enumerate(todo):
            try:
                self.check_time()
                with files.lock(self.lock_path(row)) as mine:
                    if not mine:
                        state['busy'].append(row.name)
                        continue
                    self._row(row, todo[i + 1:])
                    self._forget(todo[i + 1:])
            except loop.OutOfTime:
                state['out'] = True
                break
            except (UserError, OSError, KeyboardInterrupt):
                raise
            # a defect in one row must not cost the others their table
            except Exception as error:
                log = self.workdir / 'logs' / f'{row.name}.{row.train_hash}.error.txt'
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(traceback.format_exc())
                first = (str(error).strip().splitlines() or [''])[0][:160]
                self.say(f'{row.name}: {type(error).__name__}: {first} (details in {log}); the '
                         'other rows go on')
                state['broken'].append(row.name)
        self._cancelled.set()
        return state

    def compiling(self) -> bool:
        """Whether a program is still being compiled for a row that will not come; nothing can
        interrupt that.
        """
        return self._ahead is not None and self._ahead.is_alive()

    def check_data(self) -> None:
        """The data must be there, and the cells that are there must be of it. Nothing is
        written.

        Raises:
          UserError: it is not there, they are of other data, or a result file is damaged.
        """
        for row in self.table.rows:
            check(row.config)                # a row that cannot be, before any data is read
        for row in self.table.rows:
            self.dataset(row)
            for path in (self.result_path(row, seed) for seed in self.table.seeds):
                if path.exists():
                    self._same_data(row, results.read(path).dataset.sha256, path)

    def _same_data(self, row, sha256, where):
        if sha256 != self.dataset(row)[0].source.sha256:
            raise UserError(f'{where} is of other data than the config and --data_dir name; '
                            'choose another --workdir')

    def _forget(self, later):
        """Lets go of programs that no later row shares: they hold memory."""
        needed = {training.programs_key(row.config) for row in later}
        with self._making:
            self._made = {key: shared for key, shared in self._made.items() if key[0] in needed}

    def _row(self, row, later):
        untrained, _ = self.missing(row)
        for seeds in self.groups(row, untrained):
            shared = self._shared(row, len(seeds))
            self._compile_next(later)
            self._train(row, shared, seeds)
        _, unfinished = self.missing(row)
        while unfinished:
            seeds = self.group_of(row, unfinished[0])
            self._evaluate(row, seeds)
            unfinished = [s for s in unfinished if s not in seeds]
        for seeds, folder in self.checkpoints(row).items():
            # killed after writing its models
            if all(self.is_trained(row, s) for s in seeds):
                checkpoint.remove(folder)

    def _compile_next(self, later):
        for row in later:
            untrained, _ = self.missing(row)
            groups = self.groups(row, untrained)
            if groups and not self.compiling():
                self._ahead = threading.Thread(target=self._prepare, args=(row, len(groups[0])),
                                               daemon=True)
                self._ahead.start()
                return

    def _prepare(self, row, width):
        with contextlib.suppress(UserError):       # said when the row's turn comes
            self.trainer(row, width).prepare(self.numbers(row), self._cancelled.is_set)

    def _train(self, row, shared, seeds):
        trainer, (data, _) = shared.trainer, self.dataset(row)
        logs = [self.log_path(row, s) for s in seeds]
        stage = training.stage(row.config, trainer, seeds, data.source.sha256,
                               self.workdir / 'stages')
        options = loop.Options(
            row.config['table_seed'], self.group_path(row, seeds), data.source.sha256,
            row.config['save_every'], self.deadline, stage, self.stop,
            training.progress(self.report, row.label, trainer.method),
            lambda epoch: training.log(logs, epoch))
        state, record = loop.run(trainer, seeds, self.numbers(row), options)
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
            training.write_log(logs[g], curves)
        checkpoint.remove(options.folder)

    def _tick(self, row):
        def tick(done, total):
            self.report(row.label, done / total, 'importance samples')
            self.check_time()

        return tick

    def _judged(self, row):
        """The judges of the row's dataset, made once per workdir."""
        data, _ = self.dataset(row)
        if data.source.sha256 not in self._judges:
            self._judges[data.source.sha256] = judges.of(
                data, self.workdir / 'features', deadline=self.deadline, stop=self.stop,
                on_block=lambda at, fraction, loss: self.report(
                    row.label, fraction, 'classifier behind the features'))
        return self._judges[data.source.sha256]

    def _readable(self, row):
        """What metrics may read of the row's dataset."""
        data, parts = self.dataset(row)
        return metrics.Data(parts['test'], data.schema, data.splits['train'],
                            data.splits['valid'], data.truth, data.item, data.part, data.decode,
                            data.observe, data.symmetry, self._judged(row),
                            outcome.likelihood(row, data))

    def _evaluate(self, row, seeds):
        start, shared = time.perf_counter(), self._shared(row, len(seeds))
        trainer, (data, _) = shared.trainer, self.dataset(row)
        last = len(trainer.method.phases)
        shape = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                             tuple(trainer.shapes(self.numbers(row), last)[:2]))
        models = [self._model(row, seed, shape) for seed in seeds]
        hosts = [host for _, host in models]
        good = [i for i, host in enumerate(hosts) if host['status'] != FAILED]
        entries, arrays, partial = [], {}, self.partial_path(row, seeds)
        if good:
            params, carry = jax.tree.map(lambda *x: jnp.stack(x), *[models[i][0] for i in good])
            trained = metrics.Trained(trainer.method.evals, params, carry,
                                      evaluate.keys(len(good)), shared.views,
                                      trainer.method.given)
            entries, arrays = evaluate.evaluate(
                trained, self._readable(row), row.config['metrics'],
                metrics.Settings(**row.config['evaluation']), self._tick(row), partial)
        count = int(sum(np.prod(x.shape) for x in jax.tree.leaves(shape[0])))
        group = outcome.Evaluated(seeds, hosts, good, entries, arrays, count,
                                  (time.perf_counter() - start) / len(seeds))
        for i, seed in enumerate(seeds):
            self._write(row, data, group, i, seed)
        partial.unlink(missing_ok=True)

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
        results.write(self.workdir / 'results', outcome.result(self.table, row, data, group, i),
                      {**own, **outcome.curves(group.hosts[i]['curves'])})

    # ---- what is there -----------------------------------------------------------------------

    def plan(self) -> list[dict[str, Any]]:
        """One dict per cell: row, seed, state, seconds still to train and bytes, roughly."""
        speed, cells = None, []
        for row in self.table.rows:
            untrained, unfinished = self.missing(row)
            running = {s for group in self.checkpoints(row) for s in group}
            need = {'seconds': 0., 'bytes': 0}
            if untrained:
                speed = speed or cost.rate()
                need = cost.group(self.trainer(row, 1), self.numbers(row), speed)
            for seed in self.table.seeds:
                state = ('done' if seed not in unfinished else
                         'trained' if seed not in untrained else
                         'running' if seed in running else 'missing')
                cost_here = need if seed in untrained else {'seconds': 0., 'bytes': 0}
                cells.append({'row': row.name, 'seed': seed, 'state': state, **cost_here})
        return cells
