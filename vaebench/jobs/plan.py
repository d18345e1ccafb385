"""What a table will cost, from measured steps, before anything is spent on it."""
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax

from vaebench.console import duration
from vaebench.engine import checkpoint, cost
from vaebench.engine.loop import OutOfTime
from vaebench.experiment import training
from vaebench.experiment.prepared import Unusable
from vaebench.experiment.runner import Runner
from vaebench.experiment.spelling import spelled
from vaebench.experiment.table import Row
from vaebench.jobs.shards import groups

Known = dict[tuple[str, int], cost.Measured]


class Planned(NamedTuple):
    """A group and what is left to do of it."""
    table: str
    row: str
    seeds: tuple[int, ...]
    state: str                     # done, trained, begun, missing or broken
    train: float = 0.              # seconds that are left, without compilation
    compile: float = 0.            # seconds; 0. where a group before it has the same programs
    bytes: int | None = None
    devices: int = 1

    @property
    def hours(self) -> float:
        """Device-hours that are left."""
        return (self.train + self.compile) * self.devices / 3600


def plan(runners: Sequence[Runner], say: Callable[[str], None]) -> list[Planned]:
    """Measures what is left of every group: see `cost.measure`.

    Groups that share their programs are measured once.

    Args:
      runners: of one folder, which are `ready`.
      say: is told in a line what is measured.

    Returns:
      The groups, by table, row and seeds.
    """
    known: Known = {}
    out = []
    for number, row, seeds in groups([runner.table for runner in runners]):
        runner = runners[number]
        runner.check_time()
        state = _state(runner, row, seeds)
        place = runner.table.name, row.name, seeds
        if state in ('missing', 'begun'):
            try:
                out.append(Planned(*place, state, *_needs(runner, row, seeds, known, say)))
                continue
            except (OutOfTime, Unusable):
                raise
            except Exception as error:
                runner.tell([row], error)
                state = 'broken'
        out.append(Planned(*place, state))
    return out


def _state(runner: Runner, row: Row, seeds: Sequence[int]) -> str:
    untrained, unfinished = (set(found) & set(seeds) for found in runner.missing(row))
    if not unfinished:
        return 'done'
    if row.name in runner.check():
        return 'broken'
    if not untrained:
        return 'trained'
    return 'begun' if tuple(seeds) in runner.checkpoints(row) else 'missing'


def _needs(runner, row, seeds, known, say):
    """(train, compile, bytes, devices) of what is left of a group."""
    key, new = (training.programs_key(row.config), len(seeds)), 0.
    trainer = runner.trainer(row, len(seeds))
    if key not in known:
        say(f'{row.name}, {len(seeds)} seeds: measuring a few steps')
        known[key] = cost.measure(trainer, seeds, runner.numbers(row))
        new = known[key].compile
    found = known[key]
    return (found.train * (1 - _gone(runner, row, seeds, trainer)), new, found.bytes,
            found.devices)


def _gone(runner, row, seeds, trainer):
    """The share of a group's steps that its checkpoint has."""
    host = checkpoint.peek(runner.group_path(row, seeds))
    if host is None:
        return 0.
    steps = [phase.steps for phase in trainer.method.phases]
    return (sum(steps[:host['phase']]) + host['steps']) / max(1, sum(steps))


# ---- as text ---------------------------------------------------------------------------------


def text(planned: Sequence[Planned]) -> str:
    """Lists groups with what is left of each, then the sum.

    Args:
      planned: see `plan`.

    Returns:
      The text, a line a group.
    """
    names = [f'{group.row} {spelled(group.seeds)}' for group in planned]
    wide = max(map(len, names), default=0)
    lines = [f'{name:{wide}}  {group.state:8}{_costs(group)}'
             for name, group in zip(names, planned, strict=True)]
    count: Mapping[str, int] = {state: sum(group.state == state for group in planned)
                                for state in ('done', 'trained', 'begun', 'missing', 'broken')}
    most = _memory(max((group.bytes or 0 for group in planned), default=0))
    hours = sum(group.hours for group in planned)
    told = ', '.join(f'{n} {state}' for state, n in count.items() if n)
    return '\n'.join([*lines, (
        f'{len(planned)} groups: {told}; about {hours:.2g} device-hours of training are left '
        f'on {jax.devices()[0].device_kind}, of runs that do not stop early, at most {most} '
        'at once; evaluation not counted')])


def _memory(size):
    """'0.4 MiB'."""
    return f'{size / 2**20:.3g} MiB'


def _costs(group):
    if group.state not in ('missing', 'begun'):
        return ''
    memory = '' if group.bytes is None else f', {_memory(group.bytes)}'
    new = f' + {duration(group.compile)} to compile' if group.compile else ''
    return f'  train {duration(group.train)}{new}, {group.hours:.2g} device-hours{memory}'


def tell(runners: Sequence[Runner], say: Callable[[str], None]) -> None:
    """Prints the plan of some tables; arguments as for `plan`."""
    print(text(plan(runners, say)))
