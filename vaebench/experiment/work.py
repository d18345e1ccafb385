"""Works through several tables in one folder, and keeps the manifest of the folder."""
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from vaebench import files
from vaebench.engine import hosts
from vaebench.engine.loop import OutOfTime
from vaebench.errors import UserError
from vaebench.experiment import results
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


def ready(runners: Sequence[Runner]) -> int:
    """Looks at every row of every table before the first step; says which cannot be.

    Returns:
      How many cells are to be made.

    Raises:
      UserError: no row can be, or the folder is of other data. Nothing is written.
      OutOfTime: time was up first.
    """
    errors = [error for runner in runners for error in runner.check().values()]
    refuse(errors, sum(len(runner.table.rows) for runner in runners))
    for runner in runners:
        runner.announce()
    return hosts.led(lambda: sum(
        len(runner.missing(row)[1]) for runner in runners for row in runner.table.rows
        if row.name not in runner.check()))


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
            if len(runner.check()) == len(runner.table.rows):
                ends.append({'busy': [], 'broken': list(runner.check()), 'out': False})
                continue
            ends.append(runner.run())
            if ends[-1]['out']:
                break
        hosts.led(describe, runners, everything)
    except OutOfTime:                  # while another process wrote the manifest
        ends.append(OUT)
    return ends


def describe(runners: Sequence[Runner], everything: Mapping[str, Table]) -> None:
    """Writes the manifest of the folder, if it changes; arguments as for `run`."""
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
