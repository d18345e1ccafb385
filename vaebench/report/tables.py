"""Tables as data, made from result files alone."""
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from vaebench.errors import UserError, unknown
from vaebench.experiment import families
from vaebench.experiment.columns import FLOOR
from vaebench.experiment.records import ManifestRow, ManifestTable, Metric, Result, Tuning
from vaebench.files import canonical, one_line
from vaebench.report import boards, provenance, published, tuned, verdicts
from vaebench.report import columns as _columns
from vaebench.report.columns import GAP, Cell, Column, Notes, describe, digits, identity
from vaebench.report.folders import (
    Found,
    data_of,
    differing_data,
    gather,
    one_dataset,
    one_setting,
    other_versions,
)
from vaebench.report.provenance import device_of, evaluated
from vaebench.report.verdicts import Verdict

__all__ = ['FACTS', 'GAP', 'Cell', 'Column', 'Found', 'Notes', 'Row', 'Run', 'Table', 'build',
           'collect', 'data_of', 'describe', 'device_of', 'differing_data', 'digits',
           'evaluated', 'gather', 'identity', 'one_dataset', 'one_setting', 'select']

Style = Literal['all', 'ranked', 'board']
"""all: every metric and row as the config has them. ranked: the best rows on top, and what real
data have. board: of these, the columns that a reader needs."""
BASELINE, DATA = 'baseline', 'real data'
FACTS: Mapping[str, Callable[[Result], float | None]] = {
    'steps': operator.attrgetter('steps'), 'parameters': operator.attrgetter('parameter_count'),
    'train': operator.attrgetter('times.train'), 'epoch': operator.attrgetter('times.epoch')}
"""Columns after the metrics: name -> what it says of a result."""


class Run(NamedTuple):
    """One result file."""
    seed: int
    status: str                             # 'done' or 'failed'
    reason: str | None                      # why it failed
    file: str                               # its name
    method: str                             # in the registry
    config_hash: str
    revision: str | None
    device: str                             # '1 x cpu'
    times: dict[str, float | None]          # {'train', 'evaluate', 'compile'}: seconds


class Row(NamedTuple):
    """One method."""
    row: str
    label: str
    order: int
    cells: dict[str, Cell]                  # {metric: Cell}
    facts: dict[str, float | None]          # {name of FACTS: mean over seeds}
    seeds: str                              # '3', or '1 of 3'
    published: tuple                        # of (Value, verdict, footnote or None)
    runs: tuple[Run, ...]                   # by seed; of a row with two settings none
    family: str = ''                        # of its method
    remark: str = ''                        # 'baseline', 'floor', 'collapsed' ...
    why: str = ''                           # what the last word of the remark means
    version: str = ''                       # of vaebench, where the other rows have another
    method: str = ''                        # in the registry
    options: str = ''                       # static ones of the method, as JSON
    hp: Mapping[str, float] = {}            # its traced numbers
    tuned: str = ''                         # how these were chosen, where any row's were


class Table(NamedTuple):
    """What every format shows."""
    table: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    about: tuple[str, ...]                  # data, parameters, devices, versions
    notes: tuple[str, ...]                  # footnotes; number 1 is the first
    sources: tuple[str, ...]                # papers behind the published numbers
    primary: str | None = None              # the metric that stands for it among other tables
    baseline: str | None = None             # the row that it compares the others with
    brief: bool = False                     # whether it is a board
    more: tuple[str, ...] = ()              # metrics that a board does not show
    against: bool = False                   # whether it compares two sets of results


class _Line(NamedTuple):
    """What a row is made from."""
    row: str
    label: str
    order: int
    expected: tuple[int, ...]               # seeds
    published: tuple[str, ...]              # keys of published numbers
    done: list[Found]
    failed: list[Found]
    clash: bool                             # its results have two settings

    def records(self, metric: str) -> dict[int, Metric]:
        """{seed: record} of a metric."""
        return {f.result.seed: f.result.metrics[metric] for f in self.done
                if metric in f.result.metrics}

    @property
    def tuning(self) -> Tuning | None:
        """How its numbers were chosen."""
        return next((f.result.tuning for f in (*self.done, *self.failed)), None)

    def absent(self) -> str:
        """Why it has no number at all."""
        if self.clash:
            return 'two settings'
        if self.failed:
            reasons = sorted({one_line(f.result.reason or '') for f in self.failed})
            return f'failed: {"; ".join(reasons)}'
        return 'missing'


def _lines(listed: Mapping[str, ManifestRow | Result], found: Iterable[Found],
           clash: Iterable[str]) -> list[_Line]:
    """The rows of a table in order."""
    done, failed = defaultdict(list), defaultdict(list)
    for f in found:
        (done if f.result.status == 'done' else failed)[f.result.row].append(f)
    expected = lambda r: (r.seeds or ()) if isinstance(r, ManifestRow) else ()
    lines = [_Line(row, one_line(r.label), r.order, expected(r), r.published, done[row],
                   failed[row], row in clash) for row, r in listed.items()]
    return sorted(lines, key=lambda line: (line.order, line.row))


def _metrics(lines: Iterable[_Line], plan: ManifestTable | None,
             wanted: Sequence[str]) -> list[str]:
    """The metrics to show: those wanted, else all, the manifest's first."""
    present = dict.fromkeys(m for line in lines for f in line.done for m in f.result.metrics)
    planned = plan.columns if plan else ()
    return [m for m in wanted or dict.fromkeys((*planned, *present)) if m in present]


def _mean(numbers: Iterable[float | None]) -> float | None:
    numbers = [x for x in numbers if x is not None]
    if not numbers:
        return None
    return numbers[0] if len(set(numbers)) == 1 else sum(numbers) / len(numbers)


def _compare(line: _Line, notes: Notes, problems: list[str], table: str) -> tuple:
    """The published numbers of a row, each with its verdict."""
    out = []
    if not line.done:
        return ()
    result = line.done[0].result
    for key in line.published or result.published:
        try:
            values = published.values(key, result.dataset.name)
        except UserError as e:
            problems.append(one_line(f'table {table!r}, row {line.row!r}: {e}'))
            continue
        for value in values:
            verdict, why = published.compare(value, result.dataset, result.metrics,
                                             result.config)
            out.append((value, verdict, notes(f'published: {why}') if why else None))
    return tuple(out)


def _run(found: Found) -> Run:
    r = found.result
    return Run(r.seed, r.status, r.reason and one_line(r.reason), found.path.name,
               one_line(r.method), r.config_hash, r.git.revision and one_line(r.git.revision),
               one_line(f'{r.device.count} x {r.device.kind}'), msgspec.structs.asdict(r.times))


def _seeds(line: _Line, notes: Notes) -> str:
    """The text of the seeds column: how many count, of how many."""
    have = {f.result.seed for f in line.done}
    lost = {f.result.seed: f'failed: {one_line(f.result.reason or "")}' for f in line.failed}
    total = len(have | set(lost) | set(line.expected))
    if total == len(have):
        return str(total)
    lost |= {s: 'missing' for s in set(line.expected) - have - set(lost)}
    said = '; '.join(f'seed {s} {t}' for s, t in sorted(lost.items()))
    note = notes(f'{line.label}: {said}')
    return f'{len(have)} of {total} [{note}]'


def _row(line: _Line, cells: Mapping[str, Cell], notes: Notes, problems: list[str],
         table: str) -> Row:
    if not line.done:
        text, first = line.absent(), next(iter(cells), None)
        cells = {m: _columns.blank(text if m == first else text.split(':')[0]) for m in cells}
    facts = {name: _mean(fact(f.result) for f in line.done) for name, fact in FACTS.items()}
    runs = sorted(line.done + line.failed, key=lambda f: f.result.seed)
    return Row(line.row, line.label, line.order, dict(cells), facts, _seeds(line, notes),
               _compare(line, notes, problems, table), tuple(map(_run, runs)),
               **_setting(line))


def _setting(line: _Line) -> dict[str, Any]:
    """The method of a row, its options and its numbers, as its first result has them."""
    result = next((f.result for f in line.done), None)
    if result is None:
        return {}
    options, hp = (result.config.get(k) or {} for k in ('options', 'hp'))
    return {'method': one_line(result.method), 'options': one_line(canonical(options)),
            'hp': {one_line(k): float(v) for k, v in hp.items()
                   if isinstance(v, int | float) and math.isfinite(v)}}


def _verdict(line: _Line, primary: str | None, versions: Mapping[str, str]) -> Verdict:
    """What is to be said of a row."""
    if line.row in versions:
        return Verdict(f'version {versions[line.row]}', False, 'another version of vaebench')
    return verdicts.verdict([f.result for f in (*line.done, *line.failed)], primary)


def _remark(line: _Line, family: str, said: Verdict, baseline: str | None) -> str:
    """What stands beside a row's name."""
    parts = (BASELINE if line.row == baseline else '',
             families.FLOOR if family == families.FLOOR else '', said.word)
    return ', '.join(filter(None, parts))


def _family(line: _Line) -> str:
    return next((families.family(f.result.method) for f in (*line.done, *line.failed)), '')


def _floor(lines: Sequence[_Line], columns: Sequence[Column]) -> list[Row]:
    """A row of what real data have of the metrics shown, where that was measured."""
    shown = {c.name for c in columns}
    records = [(c, _records(lines, c.name + FLOOR)) for c in columns
               if c.name + FLOOR not in shown]
    cells = boards.floors([(c, r) for c, r in records if any(own for _, own in r.values())])
    if not cells:
        return []
    blanks = {c.name: _columns.blank(GAP) for c in columns}
    return [Row(DATA, DATA, -1, {**blanks, **cells}, dict.fromkeys(FACTS), '', (), (),
                '', families.FLOOR)]


def _records(lines: Iterable[_Line], metric: str) -> boards.Records:
    return {line.row: (line.label, line.records(metric)) for line in lines}


class _Draft(NamedTuple):
    """A table before its rows are in order."""
    lines: list[_Line]
    said: dict[str, Verdict]
    versions: Mapping[str, str]             # of rows of another version
    plan: ManifestTable | None
    columns: list[Column]
    cells: dict[str, dict[str, Cell]]       # {row: {metric: cell}}

    @property
    def primary(self) -> str | None:
        return self.plan.primary if self.plan else None

    @property
    def baseline(self) -> str | None:
        return self.plan.baseline if self.plan else None

    def ordered(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, the best by the primary metric first."""
        if self.primary is None:
            return list(rows)
        unranked = {row for row, said in self.said.items() if not said.ranked}
        column, cells = _columns.column(self.primary, _records(self.lines, self.primary),
                                        Notes())
        own = {row.row: row.cells[self.primary] for row in rows if self.primary in row.cells}
        return boards.ranked(rows, self.primary, column.better, cells | own, unranked)


def _draft(lines: list[_Line], plan: ManifestTable | None, versions: Mapping[str, str],
           metrics: Iterable[str], notes: Notes) -> _Draft:
    primary = plan.primary if plan else None
    said = {line.row: _verdict(line, primary, versions) for line in lines}
    columns, cells = [], {line.row: {} for line in lines}
    flagged = {line.row for line in lines
               if said[line.row].word or _family(line) == families.FLOOR}
    for metric in metrics:
        column, own = _columns.column(metric, _records(lines, metric), notes, flagged)
        columns.append(column)
        for row, cell in own.items():
            cells[row][metric] = cell
    return _Draft(lines, said, versions, plan, columns, cells)


def _rows(draft: _Draft, notes: Notes, problems: list[str], table: str,
          style: Style) -> list[Row]:
    brief, rows = style == 'board', []
    any_tuned = any(line.tuning for line in draft.lines)
    for line in draft.lines:
        family = _family(line)
        row = _row(line, draft.cells[line.row], notes, problems, table)
        rows.append(row._replace(
            facts=dict.fromkeys(FACTS) if brief else row.facts,
            family='' if family == families.FLOOR else family,
            remark=_remark(line, family, draft.said[line.row], draft.baseline),
            why=draft.said[line.row].why, version=draft.versions.get(line.row, ''),
            tuned=tuned.words(line.tuning, any_tuned) if line.done else ''))
    return rows if style == 'all' else draft.ordered(rows + _floor(draft.lines, draft.columns))


def build(name: str, found: Sequence[Found], plan: ManifestTable | None = None,
          wanted: Sequence[str] = (), problems: list[str] | None = None,
          style: Style = 'all') -> Table:
    """Makes the table of one id.

    Args:
      name: the id.
      found: its results, from `gather`.
      plan: its part of a manifest, or None.
      wanted: metrics to show; () for all, or of a board for those that a reader needs.
      problems: list, to which a line for each result that was left out is added.
      style: see `Style`.

    Returns:
      The table.
    """
    problems, notes, brief = [] if problems is None else problems, Notes(), style == 'board'
    found = one_dataset(found, problems)
    versions = other_versions(found, problems)
    listed = {f.result.row: f.result for f in reversed(found)} if plan is None else {
        r.row: r for r in plan.rows}
    found, clash = one_setting(found, problems)
    lines = _lines(listed, found, clash)
    primary = plan.primary if plan else None
    present = _metrics(lines, plan, wanted)
    told = boards.telling(present, plan.columns if plan else (), primary)
    if style != 'all' and not wanted:       # of floors there is a row
        present = [*told, *(m for m in present if m not in told and not m.endswith(FLOOR))]
    draft = _draft(lines, plan, versions, told if brief and not wanted else present, notes)
    rows = _rows(draft, notes, problems, name, style)
    columns, texts = draft.columns, notes.texts
    if style != 'all':
        columns = [c._replace(shown=c.name in told or bool(wanted)) for c in columns]
        columns, rows, texts = boards.renumbered(*boards.lifted(columns, rows), texts)
    title = plan.title if plan else found[0].result.title if found else name
    sources = dict.fromkeys(f'{v.table}: {v.paper}' for r in rows for v, _, _ in r.published)
    shown = {c.name for c in columns}
    return Table(name, one_line(title), tuple(columns), tuple(rows),
                 (*provenance.about(found)[:1 if brief else None],
                  *tuned.about(f.result for f in found)), tuple(texts),
                 tuple(sources), primary, draft.baseline, brief,
                 tuple(m for m in present if m not in shown) if brief else ())


def collect(folders: Iterable[Any], metrics: Sequence[str] = (),
            style: Style = 'all') -> tuple[list[Table], list[str]]:
    """Makes every table of some folders.

    Args:
      folders: workdirs (with `results/` and a manifest), folders of workdirs, or folders of
        result files.
      metrics: the metric columns wanted, in order; () for all, or of a board for those that a
        reader needs.
      style: see `Style`.

    Returns:
      (tables, problems): tables in the manifests' order, then sorted by id, none where there is
      no result; a line for each file that was left out, and why.

    Raises:
      UserError: a folder is missing, or no result has such a metric.
    """
    found, plans, problems = gather(folders)
    known = sorted({m for f in found for m in f.result.metrics})
    for metric in metrics if found else ():
        if metric not in known:
            raise unknown('metric', metric, known)
    by_table = defaultdict(list)
    for f in found:
        by_table[f.result.table].append(f)
    names = dict.fromkeys([*plans, *sorted(by_table)]) if found else ()
    return [build(name, by_table[name], plans.get(name), metrics, problems, style)
            for name in names], problems


def select(tables: Iterable[Table], names: Sequence[str]) -> list[Table]:
    """Picks the tables of some ids; UserError for an unknown one."""
    known = [t.table for t in tables]
    for name in names:
        if name not in known:
            raise unknown('table', name, known)
    return [t for t in tables if t.table in names]
