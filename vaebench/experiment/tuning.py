"""Fair tuning: every row that has a space gets as many trials, and validation chooses.

A trial is a row like any other, of a table of trials in a folder of its own: a `Runner` works
on it, so that locks, checkpoints, budgets and several processes are no affair of this module.
The first trial has the numbers as the config has them, so that no row ends below these on
validation. The table's primary metric chooses, measured on validation; nothing here reads a
test metric.
"""
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from vaebench import files, metrics
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.experiment.cells import Cells
from vaebench.experiment.columns import merit
from vaebench.experiment.records import Result, Trial, Tuning
from vaebench.experiment.spaces import Axis, axes, changed, points
from vaebench.experiment.table import Row, Table, has_space, with_config

FOLDER = 'tuning'
"""Where trials lie in a workdir."""
FIRST = 1000
"""The first seed of trials, which no row has: what a winner owes to its seeds stays behind."""


def seeds(table: Table) -> tuple[int, ...]:
    """Gives the seeds of every trial."""
    return tuple(range(FIRST, FIRST + table.config['tune_seeds']))


def space(table: Table, row: Row) -> tuple[Axis, ...]:
    """Gives what is tried of a row: what the table says of all, and what the row says.

    Raises:
      UserError: a name that the row does not have, or no interval and no list of choices.
    """
    own = table.config['table'][row.name].get('space', {})
    return axes({**table.config['space'], **own}, row.config, f'space of row {row.name}')


def settings(table: Table, row: Row) -> list[dict[str, Any]]:
    """Gives what the trials of a row have of its space; [] where it has none.

    Rows whose spaces begin with the same names try the same places of these.
    """
    found = space(table, row)
    if not found:
        return []
    more = points(found, table.config['tune'] - 1, row.config['table_seed'])
    return [{axis.name: axis.of(row.config) for axis in found}, *more]


def trials(table: Table) -> Table | None:
    """Makes the table of all trials; None where nothing is to be tuned.

    Raises:
      UserError: the table has no metric to choose by, or a space is wrong.
    """
    if not table.config['tune'] or not has_space(table):
        return None
    primary = table.config['primary']
    if not primary or metrics.METRICS[primary].better is None:
        odd = (f'primary={primary} has no better end' if primary else
               'it names no primary metric')
        raise UserError(f'tune={table.config["tune"]}: nothing to choose by in table '
                        f'{table.name}, {odd}; name one with --config.primary')
    rows = [trial for row in table.rows for trial in _trials(table, row)]
    if not rows:
        return None
    config = {**table.config, 'baseline': '', 'tune': 0}
    return Table(table.name, f'{table.title}: trials', tuple(
        row._replace(order=order) for order, row in enumerate(rows)), seeds(table), (primary,),
        config)


def _trials(table: Table, row: Row) -> list[Row]:
    """The trials of a row, as rows."""
    found, label, out = space(table, row), _label(table, row), []
    own = {'metrics': (table.config['primary'],),
           'evaluation': {**row.config['evaluation'], 'split': 'valid'}}
    for number, values in enumerate(settings(table, row)):
        config = changed(row.config, found, values if number else {})
        bare = row._replace(name=f'{row.name}.t{number}', seeds=seeds(table), published=())
        out.append(with_config(bare, {**config, **own}, f'{label}, trial {number}'))
    return out


def _label(table: Table, row: Row) -> str:
    return table.config['table'][row.name].get('label', row.name)


def row_of(trial: str) -> str:
    """Gives the name of a trial's row.

    >>> row_of('vae.t3')
    'vae'
    """
    return trial.rpartition('.t')[0]


# ---- the choice ------------------------------------------------------------------------------


def chosen(table: Table, workdir: pathlib.Path) -> tuple[Table, set[str]]:
    """Gives each row the numbers of its best trial.

    Args:
      table: as the config has it.
      workdir: of the run.

    Returns:
      (the table, names of rows whose trials are not all there: they are as they were).

    Raises:
      UserError: the result of a trial is damaged.
    """
    if trials(table) is None:
        return table, set()
    rows, waiting = [], set()
    for row in table.rows:
        tried = _trials(table, row)
        found = _found(table, tried, workdir)
        if found is None:
            waiting.add(row.name)
        rows.append(_winner(table, row, found) if found else row)
    return table._replace(rows=tuple(rows)), waiting


def _found(table: Table, tried: Sequence[Row],
           workdir: pathlib.Path) -> list[list[Result]] | None:
    """The results of all trials of a row, of every seed; None where one is missing."""
    cells = Cells(table, workdir / FOLDER)
    paths = [[cells.result_path(trial, seed) for seed in trial.seeds] for trial in tried]
    there = all(path.exists() for own in paths for path in own)
    return [[results.read(path) for path in own] for own in paths] if there else None


def _winner(table: Table, row: Row, found: Sequence[Sequence[Result]]) -> Row:
    """A row with the numbers of its best trial, and how they were chosen."""
    own, values = space(table, row), settings(table, row)
    metric = table.config['primary']
    tried = [_trial(each, metric, value) for each, value in zip(found, values, strict=True)]
    better = metrics.METRICS[metric].better
    choice = best(tried, metric, better)
    tuning = {'metric': metric, 'better': better, 'split': 'valid', 'seeds': seeds(table),
              'space': {axis.name: axis.plain() for axis in own},
              'trials': [msgspec.structs.asdict(trial) for trial in tried], 'choice': choice}
    config = changed(row.config, own, values[choice] if choice else {})
    return with_config(row, config, _label(table, row))._replace(tuning=files.plain(tuning))


def _trial(found: Sequence[Result], metric: str, setting: Mapping[str, Any]) -> Trial:
    """What the results of its seeds say of a trial."""
    values, why = [], {}
    for result in found:
        record = result.metrics.get(metric)
        values.append(record.value if record else None)
        why[result.reason if result.status == 'failed' else f'no {metric}' if record is None
            else record.warning] = None
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known) if len(known) == len(values) else None
    return Trial(setting=dict(setting), value=mean, values=tuple(values),
                 why='; '.join(filter(None, why)) or None)


def best(tried: Sequence[Trial], metric: str, better: str | None) -> int:
    """Chooses a trial: of those without a warning the best, else of the others.

    Args:
      tried: the trials.
      metric: by which.
      better: 'lower' or 'higher'.

    Returns:
      Its number: of equals the first, and the first of all where none has a value.

    >>> tried = [Trial(setting={}, value=v, values=(v,), why=None) for v in (3., 2., 2.)]
    >>> best(tried, 'elbo', 'lower')
    1
    """
    good = merit(metric, better or 'higher')

    def place(number: int) -> tuple[int, float, int]:
        trial = tried[number]
        if trial.value is None:
            return 2, 0., number
        return int(trial.why is not None), -good(trial.value), number

    return min(range(len(tried)), key=place)


def record(row: Row) -> Tuning | None:
    """Gives how a row's numbers were chosen, as its results say it."""
    return None if row.tuning is None else msgspec.convert(row.tuning, Tuning)
