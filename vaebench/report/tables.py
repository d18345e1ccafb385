"""Tables as data, made from result files alone."""
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from vaebench.errors import UserError, unknown
from vaebench.experiment.records import ManifestRow, ManifestTable, Metric, Result
from vaebench.files import one_line
from vaebench.report import columns as _columns
from vaebench.report import published
from vaebench.report.columns import GAP, Cell, Column, Notes, describe, digits, identity
from vaebench.report.folders import (
    Found,
    data_of,
    differing_data,
    gather,
    one_dataset,
    one_setting,
)

__all__ = ['FACTS', 'GAP', 'Cell', 'Column', 'Found', 'Notes', 'Row', 'Run', 'Table', 'build',
           'collect', 'data_of', 'describe', 'device_of', 'differing_data', 'digits',
           'evaluated', 'gather', 'identity', 'one_dataset', 'one_setting', 'select']

FACTS: Mapping[str, Callable[[Result], float | None]] = {
    'steps': operator.attrgetter('steps'), 'parameters': operator.attrgetter('parameter_count'),
    'train': operator.attrgetter('times.train')}
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
               _compare(line, notes, problems, table), tuple(map(_run, runs)))


def device_of(result: Result) -> str:
    """Says '1 x cpu (its model)' of a result; an accelerator's kind is its model."""
    device = result.device
    model = f' ({result.host})' if device.platform == 'cpu' and result.host else ''
    return one_line(f'{device.count} x {device.kind}{model}')


def evaluated(result: Result) -> str | None:
    """Says which parameters the metrics of a result are of.

    Returns:
      'best' on validation or 'last', as the last phase that trained anything left them; None
      where nothing was trained.
    """
    return next((p.kept for p in reversed(result.parameters) if p.kept != 'none'), None)


def _list(items: Iterable[str]) -> str:
    return ', '.join(dict.fromkeys(map(one_line, items)))


def _parameters(rs: Iterable[Result]) -> str:
    """Which parameters were evaluated; '' where none were trained."""
    meaning = {'best': 'best on validation', 'last': 'last'}
    by, done = defaultdict(list), [r for r in rs if r.status == 'done']
    for r in done:
        by[evaluated(r)].append(r.label)
    untrained = by.pop(None, [])
    if not by:
        return ''
    if len(by) == 1:
        of = ', of every row that trains' if untrained else ''
        return f'Parameters evaluated: {meaning[next(iter(by))]}{of}.'
    kinds = '; '.join(f'{meaning[k]} ({_list(v)})' for k, v in sorted(by.items()))
    return f'Parameters evaluated: {kinds}.'


def _about(found: Sequence[Found]) -> tuple[str, ...]:
    """What the numbers rest on, a line each."""
    if not found:
        return ()
    rs = [f.result for f in found]
    names, splits = _list(r.dataset.name for r in rs), _list(r.dataset.split for r in rs)
    data = f'Dataset: {names} ({splits}), sha256 {one_line(rs[0].dataset.sha256)[:12]}.'
    versions = defaultdict(set)
    for r in rs:
        for name, version in r.versions.items():
            versions[name].add(version)
    packages = _list(f'{n} {"/".join(sorted(v))}' for n, v in sorted(versions.items()))
    code = _list(r.git.revision[:10] + (' with local changes' if r.git.dirty else '')
                 for r in rs if r.git.revision)
    machine = f'Device: {_list(map(device_of, rs))}. Versions: {packages}.'
    return tuple(filter(None, (data, _parameters(rs),
                               machine + (f' Revision: {code}.' if code else ''))))


def build(name: str, found: Sequence[Found], plan: ManifestTable | None = None,
          wanted: Sequence[str] = (), problems: list[str] | None = None) -> Table:
    """Makes the table of one id.

    Args:
      name: the id.
      found: its results, from `gather`.
      plan: its part of a manifest, or None.
      wanted: metrics to show; () for all.
      problems: list, to which a line for each result that was left out is added.

    Returns:
      The table.
    """
    problems = [] if problems is None else problems
    notes = Notes()
    found = one_dataset(found, problems)
    listed = {f.result.row: f.result for f in reversed(found)} if plan is None else {
        r.row: r for r in plan.rows}
    found, clash = one_setting(found, problems)
    lines = _lines(listed, found, clash)
    columns, cells = [], {line.row: {} for line in lines}
    for metric in _metrics(lines, plan, wanted):
        records = {line.row: (line.label, line.records(metric)) for line in lines}
        column, own = _columns.column(metric, records, notes)
        columns.append(column)
        for row, cell in own.items():
            cells[row][metric] = cell
    rows = tuple(_row(line, cells[line.row], notes, problems, name) for line in lines)
    title = plan.title if plan else found[0].result.title if found else name
    sources = dict.fromkeys(f'{v.table}: {v.paper}' for r in rows for v, _, _ in r.published)
    return Table(name, one_line(title), tuple(columns), rows, _about(found), tuple(notes.texts),
                 tuple(sources), plan and plan.primary, plan and plan.baseline)


def collect(folders: Iterable[Any],
            metrics: Sequence[str] = ()) -> tuple[list[Table], list[str]]:
    """Makes every table of some folders.

    Args:
      folders: workdirs (with `results/` and a manifest), or folders of result files.
      metrics: the metric columns wanted, in order; () for all.

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
    return [build(name, by_table[name], plans.get(name), metrics, problems)
            for name in names], problems


def select(tables: Iterable[Table], names: Sequence[str]) -> list[Table]:
    """Picks the tables of some ids; UserError for an unknown one."""
    known = [t.table for t in tables]
    for name in names:
        if name not in known:
            raise unknown('table', name, known)
    return [t for t in tables if t.table in names]
