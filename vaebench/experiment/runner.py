"""Works through a table: trains the missing groups, evaluates them, writes their cells. No
flags here.
"""
import contextlib
import dataclasses
import pathlib
import re
import threading
import time
import traceback
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import datasets, files, judges, metrics, schema
from vaebench.core import FAILED
from vaebench.engine import checkpoint, cost, loop
from vaebench.engine.trainer import Trainer
from vaebench.errors import UserError
from vaebench.experiment import evaluate, results, training
from vaebench.experiment.convert import kept
from vaebench.experiment.table import Row, Table
from vaebench.methods.build import check

DURATION = re.compile(r'(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?')


def duration(text):
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
class Runner:
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
    table: Table
    workdir: pathlib.Path
    data_dir: str | None = None
    deadline: float | None = None
    stop: Callable[[], bool] = lambda: False
    report: Callable[..., None] = lambda *args: None
    say: Callable[[str], None] = print

    def __post_init__(self):
        self.workdir = pathlib.Path(self.workdir)
        self._data, self._made, self._judges, self._making = {}, {}, {}, threading.RLock()
        self._ahead, self._cancelled = None, threading.Event()

    # ---- what a row needs
    # -------------------------------------------------------------------------------------------

    def dataset(self, row):
        """The row's dataset with its splits cut into length classes: (Dataset, {split:
        [buckets]}).
        """
        key = files.canonical([row.config['dataset'], row.config['cuts']])
        with self._making:
            if key not in self._data:
                options = dict(row.config['dataset'])
                data = datasets.load(options.pop('name'), data_dir=self.data_dir, **options)
                cuts = row.config['cuts']
                place = {
                    s: {'index': np.arange(n, dtype=np.int32)}
                    for s, n in data.source.sizes.items()
                }
                parts = {s: datasets.buckets({**data.splits[s], **place[s]}, cuts, data.schema)
                         for s in ('valid', 'test')}
                parts['train'] = [
                    jax.tree.map(jnp.asarray, b) for b in data.buckets('train', cuts)
                ]
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

    def numbers(self, row):
        """The traced numbers of a row."""
        return {**row.config['hp'], 'lr': row.config['optimizer']['lr'], 'lr_scale': 1.}

    # ---- where a cell's files are
    # -----------------------------------------------------------------------------------

    def result_path(self, row, seed):
        """Path of a cell's result file."""
        return self.workdir / 'results' / f'{row.name}.s{seed}.{row.config_hash}.json'

    def model_path(self, row, seed):
        """Folder of a cell's trained parameters."""
        return self.workdir / 'models' / f'{row.name}.s{seed}.{row.train_hash}'

    def _checkpoints(self, row):
        """Interrupted groups of a row: {seeds: folder}."""
        found = {}
        for folder in sorted(
            (self.workdir / 'checkpoints').glob(f'{row.name}.{row.train_hash}.s*')):
            found[tuple(int(s) for s in folder.name.rsplit('.s', 1)[1].split('-'))] = folder
        return found

    def missing(self, row):
        """(seeds to train, seeds to evaluate)."""
        unfinished = [s for s in self.table.seeds if not self.result_path(row, s).exists()]
        untrained = [s for s in unfinished if not checkpoint.numbers(self.model_path(row, s))]
        return untrained, unfinished

    def groups(self, row, seeds):
        """Cuts seeds into groups: interrupted ones as they were, then the rest."""
        seeds, out = set(seeds), []
        for group in self._checkpoints(row):
            if set(group) & seeds:
                out.append(group)
                seeds -= set(group)
        rest = sorted(seeds)
        width = row.config['group']
        return out + [tuple(rest[i:i + width]) for i in range(0, len(rest), width)]

    # ---- the work
    # ---------------------------------------------------------------------------------------------------

    def check_time(self):
        """Raises `loop.OutOfTime` when time is up."""
        if self.stop() or (self.deadline is not None and time.monotonic() + 2. > self.deadline):
            raise loop.OutOfTime

    def run(self):
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
                with files.lock(
                        self.workdir / 'locks' / f'{row.name}.{row.train_hash}.lock') as mine:
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
                self.say(
                    f'{row.name}: {type(error).__name__}: {first} (details in {log}); the other rows go on'
                )
                state['broken'].append(row.name)
        self._cancelled.set()
        return state

    def compiling(self):
        """Whether a program is still being compiled for a row that will not come; nothing can
        interrupt that.
        """
        return self._ahead is not None and self._ahead.is_alive()

    def check_data(self):
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
            raise UserError(
                f'{where} is of other data than the config and --data_dir name; choose another --workdir'
            )

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
            seeds = self._group_of(row, unfinished[0])
            self._evaluate(row, seeds)
            unfinished = [s for s in unfinished if s not in seeds]
        for seeds, folder in self._checkpoints(row).items():
            # killed after writing its models
            if all(checkpoint.numbers(self.model_path(row, s)) for s in seeds):
                checkpoint.remove(folder)

    def _group_of(self, row, seed):
        """The seeds that trained with this one: evaluated together too, because the width
        changes the last bits.
        """
        host = checkpoint.peek(self.model_path(row, seed))
        return tuple(s for s in host['seeds'] if checkpoint.numbers(self.model_path(row, s)))

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
        group = f"{row.name}.{row.train_hash}.s{'-'.join(map(str, seeds))}"
        logs = [self.workdir / 'logs' / f'{row.name}.s{s}.{row.train_hash}.jsonl' for s in seeds]
        options = loop.Options(
            row.config['table_seed'], self.workdir / 'checkpoints' / group, data.source.sha256,
            row.config['save_every'], self.deadline,
            training.stage(row.config, trainer, seeds, data.source.sha256,
                           self.workdir / 'stages'),
            self.stop, training.progress(self.report, row.label, trainer.method),
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
                            _likelihood(row, data))

    def _evaluate(self, row, seeds):
        start, shared = time.perf_counter(), self._shared(row, len(seeds))
        trainer = shared.trainer
        shape = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                             tuple(trainer.shapes(self.numbers(row))[:2]))
        models = [
            checkpoint.restore(self.model_path(row, s), lambda host: shape) for s in seeds
        ]
        hosts = [host for _, host in models]
        for seed, host in zip(seeds, hosts, strict=True):
            self._same_data(row, host['sha256'], self.model_path(row, seed))
        good = [i for i, host in enumerate(hosts) if host['status'] != FAILED]
        data, _ = self.dataset(row)
        entries, arrays = [], {}
        settings = metrics.Settings(**row.config['evaluation'])
        partial = self.workdir / 'checkpoints' / f"{row.name}.{row.config_hash}.e{'-'.join(map(str, seeds))}.npz"
        if good:
            params, carry = jax.tree.map(lambda *x: jnp.stack(x), *[models[i][0] for i in good])
            trained = metrics.Trained(trainer.method.evals, params, carry,
                                      evaluate.keys(len(good)), shared.views,
                                      trainer.method.given)
            entries, arrays = evaluate.evaluate(trained, self._readable(row),
                                                row.config['metrics'], settings,
                                                self._tick(row), partial)
        seconds = (time.perf_counter() - start) / len(seeds)
        for i, (seed, host) in enumerate(zip(seeds, hosts, strict=True)):
            g = good.index(i) if i in good else None
            result = {
                'schema': results.VERSION, 'table': self.table.name, 'title': self.table.title,
                'row': row.name, 'label': row.label, 'order': row.order, 'seed': seed, 'method': row.config['method'],
                'status': 'failed' if g is None else 'done', 'reason': host['reason'],
                'published': list(row.published), 'dataset': _dataset(data), 'config': files.plain(row.config),
                'config_hash': row.config_hash, 'train_hash': row.train_hash,
                'parameters': host['parameters'] if 'parameters' in host else kept(
                    trainer.method, row.config['protocol']['keep']),
                'metrics': {} if g is None else entries[g],
                'times': {'train': host['train'], 'evaluate': seconds, 'compile': host['compile']},
                'group': len(host['seeds']), 'steps': host['steps'],
                'parameter_count': int(sum(np.prod(x.shape) for x in jax.tree.leaves(shape[0]))),
                'peak_memory': evaluate.peak_memory(), **evaluate.provenance()}
            own = {} if g is None else {k: np.asarray(v[g]) for k, v in arrays.items()}
            self._list(row, seed, metrics.qualitative.render(own, _words(data.schema)))
            results.write(self.workdir / 'results', result, {**own, **_curves(host['curves'])})
        partial.unlink(missing_ok=True)

    def _list(self, row, seed, text):
        """Sentences to look at, beside the results; they quote the data."""
        if text:
            path = self.workdir / 'listings' / f'{row.name}.s{seed}.{row.config_hash}.txt'
            files.write_bytes(path, text.encode())

    # ---- what is there
    # ----------------------------------------------------------------------------------------------

    def describe(self, everything):
        """The table's entry in `<workdir>/table.json`: which cells make it up now.

        Args:
          everything: the same `Table` without a filter of rows; those of its rows that have a
            result here belong to the table too, so that jobs which train one row each fill one
            table.
        """
        asked = {row.name for row in self.table.rows}
        rows = [row for row in everything.rows
                if row.name in asked or any(self.result_path(row, s).exists() for s in everything.seeds)]
        read_by = {k: self.table.config[k] for k in ('primary', 'baseline') if self.table.config[k]}
        return {'table': self.table.name, 'title': self.table.title, 'columns': list(self.table.columns),
                'seeds': list(self.table.seeds), **read_by,
                'rows': [{'row': r.name, 'label': r.label, 'order': r.order, 'hash': r.config_hash} for r in rows]}

    def status(self):
        """(done, failed, missing) cells of the table."""
        done = failed = lacking = 0
        for row in self.table.rows:
            for seed in self.table.seeds:
                path = self.result_path(row, seed)
                if not path.exists():
                    lacking += 1
                elif results.read(path).status == 'failed':
                    failed += 1
                else:
                    done += 1
        return done, failed, lacking

    def plan(self):
        """One dict per cell: row, seed, state, seconds still to train and bytes, roughly."""
        speed, cells = None, []
        for row in self.table.rows:
            untrained, unfinished = self.missing(row)
            running = {s for group in self._checkpoints(row) for s in group}
            need = {'seconds': 0., 'bytes': 0}
            if untrained:
                speed = speed or cost.rate()
                need = cost.group(self.trainer(row, 1), self.numbers(row), speed)
            for seed in self.table.seeds:
                state = ('done' if seed not in unfinished else 'trained' if seed
                         not in untrained else 'running' if seed in running else 'missing')
                here = seed in untrained
                cells.append({
                    'row': row.name, 'seed': seed, 'state': state,
                    'seconds': need['seconds'] if here else 0.,
                    'bytes': need['bytes'] if here else 0
                })
        return cells


def _words(columns):
    """The words of the first column of tokens; None where there is none."""
    name = schema.of_kind(columns, 'tokens')
    return name and columns[name].names


def _dataset(data):
    return files.plain({
        'name': data.name, 'sha256': data.source.sha256, 'split': 'test',
        'sizes': data.source.sizes, **data.source.facts
    })


def _likelihood(row, data):
    """What the decoder's nats are of, for kits that have a choice; None for the others."""
    name = row.config['kit'].get('likelihood')
    if name is None:
        return None
    x = data.splits['test'].get('x')
    if name == 'bernoulli' and x is not None and bool(((x > 0) & (x < 1)).any()):
        return metrics.Estimator(f'{name} decoder, no normalised likelihood of grey levels',
                                 f'{name}-grey')
    return metrics.Estimator(f'{name} decoder', name)


def _curves(entries):
    """Curves as arrays [epochs]; NaN where a phase has no such number."""
    names = sorted({(part, k) for e in entries for part in ('train', 'valid') for k in e[part]})
    number = lambda x: np.nan if x is None else x
    out = {
        f'curve/{part}/{k}': np.array([number(e[part].get(k)) for e in entries])
        for part, k in names
    }
    return {**out, 'curve/step': np.array([e['step'] for e in entries])} if entries else {}
