"""What is done, failed, running and missing in a folder: read from its files, without JAX."""
import collections
import contextlib
import json
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from vaebench.console import duration
from vaebench.errors import UserError
from vaebench.experiment import pulse, results
from vaebench.experiment.spelling import seeds_of, spelled
from vaebench.files import one_line

FOLDER = re.compile(r'(?P<row>.+)\.[0-9a-f]{10}\.s(?P<seeds>\d+(\.\.\d+)?(-\d+(\.\.\d+)?)*)')
"""Name of the folder of a group's checkpoints."""
STATES = 'done', 'failed', 'running', 'begun', 'missing'
"""Of a cell; 'begun' is one that was trained for a while and that no process is at."""


class Cell(NamedTuple):
    """A cell of a table and how it stands."""
    table: str
    row: str
    seed: int
    state: str
    beat: Mapping[str, Any] | None = None      # see `pulse.beats`, of the process that is at it


def cells(workdir: pathlib.Path, now: float | None = None) -> list[Cell]:
    """Says of every cell of a folder how it stands.

    Args:
      workdir: folder of a run, which some process has begun.
      now: seconds since 1970; None reads the clock.

    Returns:
      The cells, by table, row and seed.

    Raises:
      UserError: the folder has no manifest.
    """
    manifest = results.read_manifest(workdir)
    if manifest is None:
        raise UserError(f'{workdir} has no {results.MANIFEST}: name the --workdir of a run '
                        'that has begun')
    now = time.time() if now is None else now
    busy = {(beat['table'], beat['row'], beat['hash'], seed): beat
            for beat in pulse.beats(workdir) if now - beat['seen'] < pulse.SILENT
            for seed in beat['seeds']}
    begun = _begun(workdir)
    found = []
    for table in manifest.tables:
        for row in table.rows:
            for seed in row.seeds or table.seeds or ():
                beat = busy.get((table.table, row.row, row.hash, seed))
                state = _ended(workdir, row, seed) or (
                    'running' if beat else 'begun' if (row.row, seed) in begun else 'missing')
                found.append(Cell(table.table, row.row, seed, state, beat))
    return found


def _ended(workdir, row, seed):
    """'done' or 'failed', or None."""
    path = workdir / 'results' / f'{row.row}.s{seed}.{row.hash}.json'
    with contextlib.suppress(UserError):             # a damaged file is no result
        return results.read(path).status if path.exists() else None


def _begun(workdir):
    """{(row, seed)} of the checkpoints in a folder."""
    names = (FOLDER.fullmatch(path.name) for path in (workdir / 'checkpoints').glob('*'))
    return {(name['row'], seed) for name in names if name for seed in seeds_of(name['seeds'])}


# ---- as text ---------------------------------------------------------------------------------


def text(workdir: pathlib.Path, now: float | None = None) -> str:
    """Tells how the tables of a folder stand: a line a table, a row and a process.

    Args:
      workdir, now: see `cells`.

    Returns:
      The text.

    Raises:
      UserError: see `cells`.
    """
    now = time.time() if now is None else now
    found, lines = cells(workdir, now), []
    for table in dict.fromkeys(cell.table for cell in found):
        own = [cell for cell in found if cell.table == table]
        lines.append(f'{table}: {_counted(own)}')
        wide = max(len(cell.row) for cell in own)
        for row in dict.fromkeys(cell.row for cell in own):
            there = [cell for cell in own if cell.row == row]
            lines.append(f'  {row:{wide}}  {_row(there)}')
    lines += [one_line(_process(workdir, beat, now)) for beat in pulse.beats(workdir)]
    return '\n'.join(lines)


def _counted(found):
    """'3 cells done, 1 failed, 4 missing'."""
    count = collections.Counter(cell.state for cell in found)
    return ', '.join([f'{count["done"]} of {len(found)} cells done',
                      *(f'{count[s]} {s}' for s in STATES[1:] if count[s])])


def _row(found):
    """'done 0..3; missing 4'."""
    seeds = collections.defaultdict(list)
    for cell in found:
        seeds[cell.state].append(cell.seed)
    return '; '.join(f'{s} {spelled(seeds[s])}' for s in STATES if seeds[s])


def _process(workdir, beat, now):
    """Where a process is, and when it last said so."""
    silent = now - beat['seen']
    job = f', job {beat["job"]}' if 'job' in beat else ''
    gone = ', so it is gone' if silent >= pulse.SILENT else ''
    seeds = spelled(beat['seeds'])
    return (f'process {beat["process"]} on {beat["host"]}{job}: {beat["row"]} {seeds}, '
            f'{100 * beat["fraction"]:.0f}% {beat["text"]}{_epoch(workdir, beat)}; seen '
            f'{duration(silent)} ago{gone}')


def _epoch(workdir, beat):
    """The last epoch of the group's first seed, as its log has it."""
    name = f'{beat["row"]}.s{beat["seeds"][0]}.{beat["train_hash"]}.jsonl'
    for line in reversed(_lines(workdir / 'logs' / name)):
        with contextlib.suppress(ValueError):        # the last one may be under way
            epoch = json.loads(line)
            return f", epoch {epoch['epoch'] + 1} done at step {epoch['step']}"
    return ''


def _lines(path):
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
