"""What the command line asks for beside the table: who works on it, and on which part."""
from collections.abc import Mapping
from typing import Any, NamedTuple

from vaebench.errors import UserError, unknown
from vaebench.experiment.runner import duration
from vaebench.jobs.shards import Shard, shard

LAUNCHERS = 'local', 'slurm'
SLURM = 'partition', 'time', 'memory', 'gpus', 'cpus'
"""Flags that only a cluster reads."""
SHORTEST = 5       # minutes that a job may take at least
ONLY = 'shard', 'dry_run', 'plan', 'status'
"""Flags that go neither with one another nor with `launch`, but for shards that are listed."""


class Request(NamedTuple):
    """Checked flags; None and 0 are what was left out."""
    launch: str | None = None
    workers: int | None = None
    shard: Shard | None = None
    partition: str | None = None
    minutes: int | None = None     # that a job may take
    memory: float | None = None    # GiB of a job
    gpus: int | None = None        # of a job
    cpus: int | None = None        # of a job


def request(flags: Mapping[str, Any]) -> Request:
    """Checks flags against one another.

    Args:
      flags: name -> value, None where it was left out.

    Returns:
      The `Request`.

    Raises:
      UserError: one does not fit.
    """
    launch, part = flags['launch'], flags['shard'] and shard(flags['shard'])
    if launch == '':                   # of a process that a launcher started
        return Request(shard=part)
    if launch and launch not in LAUNCHERS:
        raise unknown('launcher', launch, LAUNCHERS)
    _together(launch, flags)
    if launch == 'local' and not flags['workers']:
        raise UserError('--launch=local needs --workers=N: how many processes share the table')
    if launch == 'slurm' and not flags['time']:
        raise UserError('--launch=slurm needs --time=8h or another time: what a job may take '
                        'before it is requeued')
    given = {name: flags[name] for name in ('workers', 'partition', 'memory', 'gpus', 'cpus')}
    for name, value in given.items():
        if isinstance(value, int | float) and not value > 0:
            raise UserError(f'{name}={value:g}: give a number above 0, or leave it out')
    if flags['time']:
        given['minutes'] = int(duration(flags['time'], 'time') / 60)
        if given['minutes'] < SHORTEST:
            raise UserError(f'time={flags["time"]}: give at least {SHORTEST}m, since a job is '
                            'warned two minutes before its end')
    return Request(launch, shard=part, **given)


def _together(launch, flags):
    """Refuses flags that do not go together."""
    only = [name for name in ONLY if flags[name]]
    if launch and only:
        raise UserError(f'--launch={launch} and --{only[0]} do not go together: give one')
    if len(set(only) - {'shard'}) > 1 or {'shard', 'status'} <= set(only):
        raise UserError(f'--{only[0]} and --{only[1]} do not go together: give one')
    if flags['workers'] is not None and not launch:
        raise UserError('--workers needs --launch=local or --launch=slurm; --shard=k/n takes a '
                        'part of a table')
    for name in SLURM:
        if flags[name] is not None and launch != 'slurm':
            raise UserError(f'--{name} needs --launch=slurm: it is of jobs of a cluster')
