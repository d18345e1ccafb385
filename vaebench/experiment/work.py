"""Works through several tables in one folder, and keeps the manifest of the folder."""
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vaebench import files
from vaebench.engine import hosts
from vaebench.engine.loop import OutOfTime
from vaebench.errors import UserError
from vaebench.experiment import results, tuning
from vaebench.experiment.cells import manifest
from vaebench.experiment.prepared import refuse
from vaebench.experiment.runner import Runner
from vaebench.experiment.table import Table, tables

End = dict[str, Any]
"""How a table ended: see `Runner.run`."""
OUT: End = {'busy': [], 'broken': [], 'out': True}


FILTERS = 'rows', 'only_seeds'
"""Keys that say what of the tables to train now."""


def everything(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Table]:
    """Reads the tables of a config without a filter.

    Args:
      config, given: see `table.tables`.

    Returns:
      {name: table}.
    """
    given = {k: v for k, v in given.items() if k not in FILTERS}
    return {t.name: t for t in tables({**config, **dict.fromkeys(FILTERS, '')}, given)}


def ready(runners: Sequence[Runner]) -> tuple[int, int]:
    """Looks at every row of every table before the first step; says which cannot be.

    Returns:
      How many cells are to be trained, and how many evaluated: these are to be made.

    Raises:
      UserError: no row can be, or the folder is of other data. Nothing is written.
      OutOfTime: time was up first.
    """
    for runner in runners:
        sound = [row for row in runner.table.rows if row.name not in runner.check()]
        tried = tuning.trials(runner.table._replace(rows=tuple(sound)))
        runner.trials = tried and runner.beside(tried, tuning.FOLDER)
        _choose(runner)
    every = [*runners, *trials(runners)]
    errors = [error for runner in every for error in runner.check().values()]
    refuse(errors, sum(len(runner.table.rows) for runner in every))
    for runner in every:
        runner.announce()
    return hosts.led(_missing, every)


def _missing(every):
    """(cells to train, cells to evaluate)."""
    missing = [runner.missing(row) for runner in every for row in runner.table.rows
               if row.name not in runner.check()]
    return sum(len(cells) for cells, _ in missing), sum(len(cells) for _, cells in missing)


def trials(runners: Sequence[Runner]) -> list[Runner]:
    """Gives the runs of what tuning tries, of those that tune."""
    return [runner.trials for runner in runners if runner.trials]


def _choose(runner: Runner) -> None:
    """Gives rows the numbers of their best trials; the others wait."""
    table, waiting = hosts.led(tuning.chosen, runner.written, runner.workdir)
    runner.use(table)
    runner.held = waiting - set(runner.check())


def _amend(runner: Runner) -> None:
    """Lets results that were made untuned, or after fewer trials, say how they were chosen."""
    for row in runner.table.rows:
        if record := tuning.record(row):
            for path in (runner.result_path(row, seed) for seed in row.seeds):
                if path.exists():
                    results.amend(path, record)


def left(runners: Sequence[Runner]) -> int:
    """Counts the cells that no process has made yet, of rows that can be, trials among them.

    Args:
      runners: of one folder, which are `ready`.
    """
    return sum(map(_left, (*runners, *trials(runners))))


def _left(runner: Runner) -> int:
    folder = runner.workdir / 'results'
    there = set(os.listdir(folder)) if folder.is_dir() else set()
    return sum(runner.result_path(row, seed).name not in there
               for row in runner.table.rows if row.name not in runner.check()
               for seed in row.seeds)


def run(runners: Sequence[Runner], everything: Mapping[str, Table]) -> list[End]:
    """Trains and evaluates what is missing.

    Args:
      runners: of one folder, which are `ready`.
      everything: see `cells.manifest`.

    Returns:
      How each ended whose turn came.

    Raises:
      UserError: the folder is of other data, or the disk is full.
    """
    ends: list[End] = []
    try:
        hosts.led(describe, runners, everything)
        for runner in runners:
            ends.append(_tune(runner, lambda: hosts.led(describe, runners, everything))
                        if runner.trials else _work(runner))
            if ends[-1]['out']:
                break
        hosts.led(describe, runners, everything)
    except OutOfTime:                  # while another process wrote the manifest
        ends.append(OUT)
    return ends


def _work(runner: Runner) -> End:
    """Runs a table, unless none of its rows can be."""
    if len(runner.check()) == len(runner.table.rows):
        return {'busy': [], 'broken': list(runner.check()), 'out': False}
    return runner.run()


def _tune(runner: Runner, describe: Callable[[], None]) -> End:
    """Runs the trials of a table, then its rows with the numbers of the winners.

    Args:
      runner: of the table.
      describe: writes the manifests, which name the numbers of the winners.

    Returns:
      How it ended; a row is broken where a trial is, and busy where another process has one.
    """
    assert runner.trials is not None
    while True:
        waiting, tried = set(runner.held), _work(runner.trials)
        _choose(runner)
        hosts.led(_amend, runner)
        describe()
        end = _work(runner)
        broken = set(map(tuning.row_of, tried['broken'])) & set(runner.held)
        busy = set(map(tuning.row_of, tried['busy'])) & set(runner.held)
        out = tried['out'] or end['out']
        # what another process had to try may be there by now
        if out or not busy or waiting == set(runner.held):
            return {'busy': [*end['busy'], *sorted(busy)], 'out': out,
                    'broken': [*end['broken'], *sorted(broken)]}


def _trials_of(everything: Mapping[str, Table]) -> dict[str, Table]:
    """The tables of trials of all tables that tune."""
    found = {name: tuning.trials(table) for name, table in everything.items()}
    return {name: table for name, table in found.items() if table}


def describe(runners: Sequence[Runner], everything: Mapping[str, Table]) -> None:
    """Writes the manifest of the folder and that of its trials, if they change; arguments as
    for `run`.
    """
    workdir = runners[0].workdir
    _describe(runners, {name: tuning.chosen(table, workdir)[0]
                        for name, table in everything.items()})
    if tried := trials(runners):
        _describe(tried, _trials_of(everything))


def _describe(runners: Sequence[Runner], everything: Mapping[str, Table]) -> None:
    """Writes one manifest."""
    workdir = runners[0].workdir

    def change():
        """The manifest to write, None where it stands there."""
        before = None
        with contextlib.suppress(UserError):       # a damaged one is written anew
            before = results.read_manifest(workdir)
        new = results.manifest(manifest(runners, everything, before))
        return None if new == before else new

    if change() is not None:
        with (files.patience(runners[0].check_time),
              files.lock(workdir / 'locks' / f'{results.MANIFEST}.lock', wait=True)):
            if (new := change()) is not None:
                results.write_manifest(workdir, new)
