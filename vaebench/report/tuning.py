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

BEFORE, AFTER = 'rank before', 'rank after'


class _Line(NamedTuple):
    """A row that was tuned."""
    row: tables.Row
    tuning: Tuning
    ranks: tuple[int | None, int | None]    # before and after; None where there is no value

    @property
    def trials(self) -> tuple[Trial, Trial]:
        """The first, which is as configured, and the winner."""
        return self.tuning.trials[0], self.tuning.trials[self.tuning.choice]


def ranks(trials: Sequence[Trial], metric: str, better: str) -> list[int | None]:
    """Ranks rows by a trial of each, from 1; equal values have the same rank.

    Returns:
      As many; None where a trial has no value, or one with a warning.

    >>> values = 2., None, 1., 2.
    >>> ranks([Trial(setting={}, value=v, why=None) for v in values], 'elbo', 'lower')
    [2, None, 1, 2]
    """
    good = merit(metric, better)
    merits = [None if t.value is None or t.why else good(t.value) for t in trials]
    there = [m for m in merits if m is not None]
    return [None if m is None else 1 + sum(other > m for other in there) for m in merits]


def _number(value: float | None, trial: Trial | None = None) -> Cell:
    """A cell of one number; it has no seeds, so nothing is said of their spread."""
    if value is None:
        return blank(trial.why or GAP if trial else GAP)
    return Cell({}, Summary(float(value), None, None, 0), None, False, '', '', ())


def _columns(metric: str, lines: Sequence[_Line], measured: Column | None) -> list[Column]:
    tuning = lines[0].tuning
    values = [t.value for line in lines for t in line.trials if t.value is not None]
    shown, unit = digits(values, [.5]), measured.unit if measured else ''
    if measured:
        shown = max(shown, measured.digits)
    own = [Column(BEFORE, '', None, '', 0), Column(AFTER, '', None, '', 0),
           *(Column(f'{metric} {when}', unit, tuning.better, '', shown)
             for when in ('before', 'after'))]
    return own + ([measured._replace(name=f'{metric} final', notes=())] if measured else [])


def _row(line: _Line, metric: str) -> tables.Row:
    cells = {BEFORE: _number(line.ranks[0]), AFTER: _number(line.ranks[1])}
    for when, trial in zip(('before', 'after'), line.trials, strict=True):
        cells[f'{metric} {when}'] = _number(trial.value, trial)
    final = line.row.cells.get(metric) or blank(GAP)
    cells[f'{metric} final'] = final._replace(best=False, notes=())
    return line.row._replace(cells=cells, facts=dict.fromkeys(tables.FACTS), published=(),
                             family='', remark='', why='')


def _moved(lines: Sequence[_Line]) -> str:
    """How much of the ranking tuning changed, in words."""
    both = [line for line in lines if None not in line.ranks]
    changed = sum(line.tuning.choice > 0 for line in lines)
    moved = sum(line.ranks[0] != line.ranks[1] for line in both)
    text = (f'Of {len(lines)} rows {changed or "none"} changed their numbers, and '
            f'{moved or "none"} their rank')
    if len(both) > 1:
        from scipy.stats import kendalltau
        test: Any = kendalltau(*zip(*(line.ranks for line in both), strict=True))
        if not math.isnan(test.statistic):
            text += f" (Kendall's tau of the two rankings {test.statistic:.2f})"
    firsts = [[line.row.label for line in lines if line.ranks[at] == 1] for at in (0, 1)]
    named = [' and '.join(first) or 'none' for first in firsts]
    return f'{text}. First before: {named[0]}; first after: {named[1]}.'


def _about(lines: Sequence[_Line], left_out: Sequence[str], measured: bool) -> tuple[str, ...]:
    tuning = lines[0].tuning
    counts = {len(line.tuning.trials) for line in lines}
    final = '; final: the seeds that were trained with it' if measured else ''
    text = [_moved(lines),
            f'{tuned.spelled(counts)} trials of each row, seed {tuning.seed}, chosen and '
            f'ranked on validation by {tuning.metric}. Before: as configured; after: the winner'
            f'{final}.']
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
    metric, better = (getattr(next(iter(records.values())), k) for k in ('metric', 'better'))
    table = tables.build(name, found, plan, (), problems)
    rows = [row for row in table.rows if row.row in records
            and records[row.row].metric == metric]
    lines = [_Line(row, records[row.row], (None, None)) for row in rows]
    placed = [ranks([line.trials[at] for line in lines], metric, better) for at in (0, 1)]
    lines = [line._replace(ranks=r) for line, r in
             zip(lines, zip(*placed, strict=True), strict=True)]
    lines.sort(key=lambda line: (line.ranks[1] or len(lines) + 1, line.row.order))
    measured = next((c for c in table.columns if c.name == metric), None)
    columns = _columns(metric, lines, measured)
    left_out = [row.label for row in table.rows if row not in rows]
    return tables.Table(name, f'{table.title}: what tuning changed', tuple(columns),
                        tuple(_row(line, metric) for line in lines),
                        _about(lines, left_out, measured is not None), (), (), brief=True)


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
