"""What a table says of tuning: the numbers that were chosen, and what they were chosen of."""
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from vaebench.experiment.records import Result, Tuning
from vaebench.files import one_line
from vaebench.report.settings import text

UNTUNED = 'untuned'
"""What stands beside a row without a space where other rows were tuned."""


def values(setting: Mapping[str, Any]) -> str:
    """Writes what a trial had.

    >>> values({'lr': 0.026, 'kit.latent': 16})
    'lr 0.026, kit.latent 16'
    """
    return ', '.join(f'{one_line(name, 40)} {"default" if value is None else text(value)}'
                     for name, value in setting.items())


def words(tuning: Tuning | None, tuned: bool) -> str:
    """Says how a row's numbers were chosen.

    Args:
      tuning: of its results, None where the config alone says them.
      tuned: whether any row of its table was tuned.

    Returns:
      'tuned: lr 0.026' and the like; '' in a table of which no row was.
    """
    if tuning is None:
        return UNTUNED if tuned else ''
    chosen = tuning.trials[tuning.choice]
    if chosen.value is None:
        return f'tuned: as configured, no trial has a {one_line(tuning.metric, 40)}'
    kept = ' as configured' * (tuning.choice == 0)
    return f'tuned:{kept} {values(chosen.setting)}'


def about(results: Iterable[Result]) -> tuple[str, ...]:
    """Says the budget of tuning, in a line; none where no row was tuned."""
    found = {}
    for result in results:
        if tuning := result.tuning:
            key = tuning.metric, len(tuning.seeds)
            found.setdefault(key, set()).add(len(tuning.trials))
    of = lambda seeds: f' of {seeds} seeds' if seeds > 1 else ''
    return tuple(f'Tuned rows: the best of {spelled(n)} trials each{of(seeds)} by '
                 f'{one_line(metric)}, on validation data alone; one of the trials is as '
                 'configured.' for (metric, seeds), n in found.items())


def spelled(counts: Collection[int]) -> str:
    """Spells the ends of some numbers: '8', or '4–8' where they differ."""
    return '–'.join(map(str, sorted({min(counts), max(counts)})))
