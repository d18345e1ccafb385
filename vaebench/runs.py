"""Whole tables, in Python: trains the missing cells of a config and gives its results."""
import dataclasses
import json
import os
import pathlib
import re
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vaebench import api, console, inputs
from vaebench.errors import UserError, unknown
from vaebench.experiment import configs, machine, results, work
from vaebench.experiment.config_keys import filled
from vaebench.experiment.records import Result
from vaebench.experiment.runner import Runner, duration
from vaebench.experiment.table import tables

if TYPE_CHECKING:
    import pandas

LOG = re.compile(r'(?P<row>.+)\.s(?P<seed>\d+)\.(?P<train_hash>[0-9a-f]{10})\.jsonl')


@dataclasses.dataclass(frozen=True)
class Results:
    """What a run has come to. Made by `run`.

    Attributes:
      workdir: the folder of the run.
      tables: names of its tables.
      cells: a `records.Result` of every finished cell, as it stands in its file.
      missing: how many cells are not finished, since time was up or their row is broken or
        another process has it.
      problems: a line on each of these rows.
    """
    workdir: pathlib.Path
    tables: tuple[str, ...]
    cells: tuple[Result, ...]
    missing: int = 0
    problems: tuple[str, ...] = ()

    def __repr__(self):
        failed = sum(cell.status == 'failed' for cell in self.cells)
        done = len(self.cells) - failed
        return (f'<{", ".join(self.tables)} in {self.workdir}: {done} cells '
                f'done, {failed} failed, {self.missing} missing>')

    def __str__(self):
        return self.text()

    def _repr_markdown_(self):
        return self.text('markdown')

    def text(self, form: str = 'terminal') -> str:
        """The tables as text, with intervals, estimators and sources.

        Args:
          form: terminal, markdown, latex, csv, json or html.

        Returns:
          The text, '' where no cell is finished.

        Raises:
          UserError: there is no such form.
        """
        from vaebench.report import cli
        inputs.choice('form', form, tuple(cli.EXTENSIONS))
        if not self.cells:
            return ''
        return cli.render([self.workdir], form, self.tables)[0]

    def to_pandas(self, tidy: bool = False) -> 'pandas.DataFrame':
        """The cells as a data frame.

        Args:
          tidy: whether every number has a line of its own, with its unit and estimator.

        Returns:
          A line a cell with a column a metric; or, tidy, a line a metric of a cell: value,
          stderr, unit, better, estimator, warning. What was not measured is NaN.
        """
        import pandas
        if tidy:
            return pandas.DataFrame(_numbers(self.cells), columns=_TIDY)
        return pandas.DataFrame([{
            **_place(cell), 'status': cell.status, 'steps': cell.steps,
            'parameters': cell.parameter_count, 'train_seconds': cell.times.train,
            **{name: _value(metric.value) for name, metric in cell.metrics.items()}}
            for cell in self.cells])

    def curves(self) -> 'pandas.DataFrame':
        """The curves of these cells: see `curves`."""
        every, own = curves(self.workdir), {(c.row, c.seed, c.train_hash) for c in self.cells}
        places = zip(every['row'], every['seed'], every['train_hash'], strict=True)
        return every.loc[[place in own for place in places]].reset_index(drop=True)

    def model(self, row: str, seed: int = 0, table: str | None = None) -> api.Model:
        """Loads the model of a cell.

        Args:
          row: its row's name.
          seed: its seed.
          table: its table's name, where several have such a row; None is the first.

        Raises:
          UserError: there is no such cell, or its model cannot be loaded.
        """
        cells = [cell for cell in self.cells if table in (None, cell.table)]
        found = [cell for cell in cells if (cell.row, cell.seed) == (row, seed)]
        if not found:
            known = dict.fromkeys(f'{cell.row} with seed {cell.seed}' for cell in cells)
            raise unknown('cell', f'{row} with seed {seed}', known)
        return api.load(self.workdir / 'results' / results.filename(found[0]))


def run(config: str | os.PathLike | Mapping[str, Any], workdir: str | os.PathLike | None = None,
        *, data_dir: str | os.PathLike | None = None, rows: str | Sequence[str] = (),
        seeds: int | None = None, budget: str | float | None = None,
        overrides: Mapping[str, Any] | None = None,
        on_progress: Callable[[str, float, str], None] | None = None) -> Results:
    """Trains and evaluates the missing cells of a table, as the command line does.

    The same call goes on where it stopped. An interrupt (Ctrl-C, or the button of a notebook)
    saves what was reached first; a second one does not wait. Nothing is left behind but the
    folder: no handler of a signal, no flag, no setting of JAX.

    Args:
      config: name of a config such as 'quickstart' or 'ptb:small', path of a config file, what
        its `get_config` returns, or a dict with such keys (see `config_keys.Table`).
      workdir: folder that owns the run; None is runs/<name of the config>.
      data_dir: folder with the raw data that the config names; None is $VAEBENCH_DATA.
      rows: names of the rows to train, as a list or 'a,b'; all of them if there is none.
      seeds: seeds of every row; None is what the config says.
      budget: stop, with everything saved, before so many seconds, or '8m' or '1h30m'.
      overrides: further keys of the config with their values, nested ones as 'kit.latent'.
      on_progress: called with (row, done fraction, text) now and then.

    Returns:
      `Results` of the cells that are finished; a warning says which rows are not, and why.

    Raises:
      UserError: bad input, said in one line.
      KeyboardInterrupt: the run was interrupted; the same call goes on.

    >>> import tempfile
    >>> from vaebench.experiment.rows import row
    >>> config = dict(
    ...     name='points', title='Points', dataset=dict(name='gaussians8', examples=50),
    ...     kit=dict(name='mlp', latent=2, hidden=(4,)), metrics=('knn_error',),
    ...     table={'pca': row('PCA', 'pca')})
    >>> done = run(config, tempfile.mkdtemp(), seeds=1, overrides={'batch': 20})
    >>> done.missing, done.to_pandas()[['row', 'seed', 'status', 'knn_error']].values.tolist()
    (0, [['pca', 0, 'done', 0.0]])
    """
    begun = time.monotonic()
    given = _given(rows, seeds, overrides)
    settings = _settings(config, given)
    deadline = None if budget is None else begun + duration(str(budget))
    found = tables(settings, given)
    folder = inputs.path('workdir', workdir or pathlib.Path('runs', settings['name']))
    place = data_dir or os.environ.get('VAEBENCH_DATA')
    place = str(inputs.path('data_dir', place)) if place else None
    report = _ignored if on_progress is None else on_progress
    if not callable(report):
        raise UserError(f'on_progress={report!r}: give a function of (row, fraction, text)')
    machine.check_devices()
    said: list[str] = []
    with (console.signals([signal.SIGINT], _interrupt) as stopped,
          machine.settings(machine.cache_folder(), debug=False)):
        runners = [Runner(table, folder, place, deadline, stop=lambda: bool(stopped),
                          interruptible=stopped.interruptible, say=said.append, report=report)
                   for table in found]
        busy = _work(runners, work.everything(settings, given))
    if stopped:
        raise KeyboardInterrupt
    said += [f'another process has {", ".join(busy)}'] if busy else []
    for line in said:
        warnings.warn(line, stacklevel=2)
    return _gathered(runners, folder, said)


def _work(runners, everything):
    """Trains and evaluates what is missing; the rows that another process has."""
    try:
        work.ready(runners)
        ends = work.run(runners, everything)
    except work.OutOfTime:
        return []
    except OSError as error:
        where = f'{error.filename}: ' if error.filename else ''
        raise UserError(f'{where}{error.strerror or error}') from error
    return [name for end in ends for name in end['busy']]


# ---- what is asked for -----------------------------------------------------------------------

def _ignored(row: str, fraction: float, text: str) -> None:
    pass


def _interrupt(number):
    raise KeyboardInterrupt


def _given(rows, seeds, overrides):
    """Dotted keys of the config with the values that the caller sets."""
    if not isinstance(overrides or {}, Mapping):
        raise UserError(f"overrides={overrides!r}: give a dict such as {{'kit.latent': 8}}")
    given = dict(overrides or {})
    if isinstance(rows, str):
        rows = [rows] if rows else []
    if not isinstance(rows, Sequence) or not all(isinstance(name, str) for name in rows):
        raise UserError(f'rows={rows!r}: give a list of names of rows')
    given |= {'rows': ','.join(rows)} if rows else {}
    return given | ({} if seeds is None else {'seeds': seeds})


def _settings(config, given):
    """The config as a dict, with what the caller sets."""
    try:
        chosen = _loaded(config)
        for key, value in given.items():
            _set(chosen, key, value)
        return chosen.to_dict()
    except UserError:
        raise
    except Exception as error:            # whatever may be wrong with a config of the user's
        said = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(f'cannot read the config: {said}') from error


def _loaded(config):
    """The locked `ConfigDict` of a config."""
    if isinstance(config, str | os.PathLike):
        return configs.load(os.fspath(config))
    if hasattr(config, 'to_dict'):        # a ConfigDict, some of whose values may be to come
        config = config.to_dict(preserve_field_references=True)
    if not isinstance(config, Mapping):
        raise UserError(f'a config is the name of one, a path or a dict, not {config!r}: '
                        f'there are {", ".join(configs.names())}')
    return configs.ordered(filled(config)).lock()


def _set(config, key, value):
    """Sets a key that the config has."""
    known = list(_keys(config))
    if key not in known:
        raise unknown('key of the config', str(key), known)
    *outer, last = key.split('.')
    for part in outer:
        config = config[part]
    try:
        config[last] = value.tolist() if hasattr(value, 'tolist') else value    # of NumPy
    except TypeError as error:            # another type than the config's value has
        raise UserError(f'{key}={value!r}: give {config[last]!r} or another '
                        f'{type(config[last]).__name__}') from error


def _keys(config: Any, path: str = '') -> Iterator[str]:
    """The keys of nested `ConfigDict`s, such as 'kit' and 'kit.latent'."""
    for name, value in config.items():
        yield f'{path}{name}'
        if hasattr(value, 'items'):
            yield from _keys(value, f'{path}{name}.')


# ---- what has come of it ---------------------------------------------------------------------

def _gathered(runners, folder, said):
    """The `Results` of some runners."""
    paths = [runner.result_path(row, seed) for runner in runners for row in runner.table.rows
             for seed in row.seeds]
    cells = tuple(results.read(path) for path in paths if path.exists())
    return Results(folder, tuple(runner.table.name for runner in runners), cells,
                   len(paths) - len(cells), tuple(said))


def _place(cell):
    return {'table': cell.table, 'row': cell.row, 'label': cell.label, 'seed': cell.seed}


def _value(number):
    return np.nan if number is None else number


_TIDY = ('table', 'row', 'label', 'seed', 'metric', 'value', 'stderr', 'unit', 'better',
         'estimator', 'warning')


def _numbers(cells: Iterable[Result]) -> Iterator[dict[str, Any]]:
    for cell in cells:
        for name, metric in cell.metrics.items():
            yield {**_place(cell), 'metric': name, 'value': _value(metric.value),
                   'stderr': _value(metric.stderr), 'unit': metric.unit,
                   'better': metric.better, 'estimator': metric.estimator,
                   'warning': metric.warning}


def curves(workdir: str | os.PathLike) -> 'pandas.DataFrame':
    """The curves of every cell of a run, those still training too, as a tidy data frame.

    `curves(workdir).to_csv('curves.csv', index=False)` makes a file that any plotting tool
    reads.

    Args:
      workdir: the folder of a run.

    Returns:
      A line a number: table (None until its cell is finished), row, seed, train_hash, phase,
      epoch, step (of all phases), seconds (of training), split ('train', the mean of an epoch,
      or 'valid'), name, value. What was not finite is NaN.

    Raises:
      UserError: the folder has no curves.
    """
    import pandas
    folder = inputs.path('workdir', workdir)
    logs = {path: found for path in sorted((folder / 'logs').glob('*.jsonl'))
            if (found := LOG.fullmatch(path.name))}
    if not logs:
        raise UserError(f'{folder} has no curves: name the workdir of a run')
    done = {(r.row, r.seed, r.train_hash): r.table
            for r in results.read_all(folder / 'results')[0]}
    lines = []
    for path, found in logs.items():
        place = {**found.groupdict(), 'seed': int(found['seed'])}
        table = done.get((place['row'], place['seed'], place['train_hash']))
        lines += [{'table': table, **place, **line} for line in _epochs(path)]
    return pandas.DataFrame(lines, columns=_CURVES)


_CURVES = ('table', 'row', 'seed', 'train_hash', 'phase', 'epoch', 'step', 'seconds', 'split',
           'name', 'value')


def _epochs(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The numbers of a log; of an epoch that a killed run did again, those of its last time."""
    epochs = {}
    for line in path.read_text().splitlines():
        try:
            epoch = json.loads(line)
        except ValueError:               # the last line of a run that is at it, or was killed
            continue
        epochs[epoch['phase'], epoch['epoch']] = epoch
    for epoch in epochs.values():
        place = {k: epoch[k] for k in ('phase', 'epoch', 'step', 'seconds')}
        for split in ('train', 'valid'):
            for name, value in epoch[split].items():
                yield {**place, 'split': split, 'name': name, 'value': _value(value)}
