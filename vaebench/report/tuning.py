"""What tuning changed in the ranking of a table's rows, as a table."""
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vaebench.errors import UserError
from vaebench.experiment.columns import merit
from vaebench.experiment.records import ManifestTable, Trial, Tuning
from vaebench.report import tables, tuned
from vaebench.report.columns import GAP, Cell, Column, blank, digits
from vaebench.report.statistics import Summary

STAGES = 'before', 'after', 'final'
"""The row as configured, its winner, and the seeds that were trained with the winner."""


class _Line(NamedTuple):
    """A row that was tuned, stage by stage."""
    row: tables.Row
    tuning: Tuning
    cells: tuple[Cell, ...]
    ranks: tuple[int | None, ...] = ()     # None where there is no value that can be ranked


def ranks(values: Sequence[float | None], metric: str, better: str) -> list[int | None]:
    """Ranks values from 1; equal ones have the same rank.

    Args:
      values: one of each row, None where it has none.
      metric, better: by which.

    Returns:
      As many; None where there is no value.

    >>> ranks([2., None, 1., 2.], 'elbo', 'lower')
    [2, None, 1, 2]
    """
    good = merit(metric, better)
    merits = [None if value is None else good(value) for value in values]
    there = [m for m in merits if m is not None]
    return [None if m is None else 1 + sum(other > m for other in there) for m in merits]


def _number(value: float) -> Cell:
    """A cell of one number; it has no seeds, so nothing is said of their spread."""
    return Cell({}, Summary(float(value), None, None, 0), None, False, '', '', ())


def _trial(trial: Trial) -> Cell:
    if trial.value is None:
        return blank(trial.why or GAP)
    return _number(trial.value)._replace(warned=trial.why is not None)


def _line(row: tables.Row, tuning: Tuning) -> _Line:
    final = row.cells.get(tuning.metric) or blank(GAP)
    return _Line(row, tuning, (
        _trial(tuning.trials[0]), _trial(tuning.trials[tuning.choice]),
        final._replace(best=False, notes=())))


def _ranked(lines: Sequence[_Line], metric: str, better: str) -> list[_Line]:
    """The lines with their ranks of every stage, the best winner first."""
    placed = [ranks([None if cell.summary is None or cell.warned else cell.summary.mean
                     for cell in cells], metric, better)
              for cells in zip(*(line.cells for line in lines), strict=True)]
    lines = [line._replace(ranks=own) for line, own in
             zip(lines, zip(*placed, strict=True), strict=True)]
    return sorted(lines, key=lambda line: (line.ranks[1] or len(lines) + 1, line.row.order))


def _columns(lines: Sequence[_Line], measured: Column | None) -> list[Column]:
    better = lines[0].tuning.better
    values = [c.summary.mean for line in lines for c in line.cells if c.summary]
    column = measured or Column('', '', better, '', digits(values, [.5]))
    return [*(Column(f'rank {stage}', '', None, '', 0) for stage in STAGES),
            *(column._replace(name=stage, notes=(),
                              estimator=column.estimator if stage == STAGES[-1] else '')
              for stage in STAGES)]


def _row(line: _Line) -> tables.Row:
    ranked = {f'rank {stage}': blank(GAP) if rank is None else _number(rank)
              for stage, rank in zip(STAGES, line.ranks, strict=True)}
    return line.row._replace(
        cells=ranked | dict(zip(STAGES, line.cells, strict=True)), published=(),
        facts=dict.fromkeys(tables.FACTS), family='', remark='', why='')


def _moved(lines: Sequence[_Line]) -> str:
    """How much of the ranking tuning changed, in words."""
    both = [line for line in lines if None not in line.ranks[:2]]
    changed = sum(line.tuning.choice > 0 for line in lines)
    moved = sum(line.ranks[0] != line.ranks[1] for line in both)
    text = (f'Of {len(lines)} rows {changed or "none"} changed their numbers, and '
            f'{moved or "none"} their rank')
    if len(both) > 1:
        from scipy.stats import kendalltau
        test: Any = kendalltau(*zip(*(line.ranks[:2] for line in both), strict=True))
        if not math.isnan(test.statistic):
            text += f" (Kendall's tau of the two rankings {test.statistic:.2f})"
    firsts = (' and '.join(line.row.label for line in lines if line.ranks[at] == 1) or 'none'
              for at in range(len(STAGES)))
    named = '; '.join(map(' '.join, zip(STAGES, firsts, strict=True)))
    return f'{text}. First {named}.'


def _about(lines: Sequence[_Line], left_out: Sequence[str], split: str) -> tuple[str, ...]:
    tuning = lines[0].tuning
    counts, seeds = {len(line.tuning.trials) for line in lines}, tuned.spelled(tuning.seeds)
    text = [_moved(lines),
            f'{tuned.spelled(counts)} trials of each row, of seed {seeds}, on validation. '
            'Before: as configured; after: the best trial, which flatters it; final: the seeds '
            f'that were trained with its numbers, on the {split} split.']
    if left_out:
        text.append(f'Untuned, so not ranked: {", ".join(left_out)}.')
    return tuple(text)


def view(name: str, found: Sequence[tables.Found], plan: ManifestTable | None,
         problems: list[str]) -> tables.Table | None:
    """Makes the table of what tuning changed; None where no row was tuned.

    Args:
      name: id of the table.
      found: its results, from `gather`.
      plan: its part of a manifest, or None.
      problems: list, to which a line for each result that was left out is added.

    Returns:
      A table with a row for each that was tuned, the best after tuning on top: its ranks, what
      its first trial and its winner have on validation, and what its final seeds have.
    """
    records: dict[str, Tuning] = {f.result.row: f.result.tuning for f in found
                                  if f.result.tuning}
    if not records:
        return None
    first = next(iter(records.values()))
    table = tables.build(name, found, plan, (), problems)
    rows = [row for row in table.rows if row.row in records
            and records[row.row].metric == first.metric]
    lines = _ranked([_line(row, records[row.row]) for row in rows], first.metric, first.better)
    measured = next((c for c in table.columns if c.name == first.metric), None)
    left_out = [row.label for row in table.rows if row not in rows]
    splits = dict.fromkeys(f.result.dataset.split for f in found)
    return tables.Table(
        name, f'{table.title}: what tuning changed, by {first.metric}',
        tuple(_columns(lines, measured)), tuple(map(_row, lines)),
        _about(lines, left_out, ' and '.join(splits)), (), (), brief=True)


def collect(folders: Iterable[Any],
            names: Sequence[str] = ()) -> tuple[list[tables.Table], list[str]]:
    """Makes the tables of what tuning changed in some folders.

    Args:
      folders: as for `tables.collect`.
      names: ids of tables; () for all.

    Returns:
      (tables, problems): one for each table of which a row was tuned, none where there is no
      result; a line for each file that was left out.

    Raises:
      UserError: there are results, and none of them was tuned.
    """
    found, plans, problems = tables.gather(folders)
    by_table: Mapping[str, list[tables.Found]] = defaultdict(list)
    for f in found:
        by_table[f.result.table].append(f)
    made = [view(name, own, plans.get(name), problems) for name, own in by_table.items()]
    changed = [table for table in made if table]
    if found and not changed:
        raise UserError('no row of these results was tuned; run their config with --tune=8')
    return tables.select(changed, names) if changed and names else changed, problems
