"""What changed between two sets of results.

Differences are paired by seed, where data, protocol and estimator agree.
"""
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.errors import UserError, unknown
from vaebench.experiment.columns import IDEAL
from vaebench.experiment.config_keys import parameters
from vaebench.experiment.records import ManifestTable, Result
from vaebench.files import canonical, one_line
from vaebench.report import statistics, tables
from vaebench.report.columns import blank

NAMED = 3
"""So many keys that differ are named, the others counted."""
SAME, NONE = 'identical', 'no difference shown'
REFUSED, UNRANKED = 'not comparable', 'not ranked'
_WORDS = {'lower': ('better', 'worse'), 'higher': ('worse', 'better'),
          None: ('lower', 'higher')}
_ABSENT = object()


class _Side(NamedTuple):
    """One result set's part of a table."""
    table: tables.Table
    done: dict[str, list[Result]]      # by row
    rows: dict[str, tables.Row]

    def kinds(self, row: str, metric: str) -> dict[tuple, str]:
        """Lists the estimators of a cell: {identity: its words}."""
        records = [r.metrics[metric] for r in self.done.get(row, ()) if metric in r.metrics]
        return {tables.identity(m): tables.describe(m) for m in records}


def _side(name: str, found: Sequence[tables.Found], plan: ManifestTable | None,
          problems: list[str]) -> _Side:
    kept, _ = tables.one_setting(tables.one_dataset(found, []), [])
    done = defaultdict(list)
    for f in kept:
        if f.result.status == 'done':
            done[f.result.row].append(f.result)
    table = tables.build(name, found, plan, (), problems)
    return _Side(table, done, {r.row: r for r in table.rows})


# ---- what may be compared --------------------------------------------------------------------


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """{'optimizer.lr': value} of nested dicts, without recursion: they may be nested deep."""
    out, stack = {}, [((), config)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict) and value:
            stack += [((*path, k), v) for k, v in value.items()]
        else:
            out['.'.join(path)] = value
    return out


def _same(a: Any, b: Any) -> bool:
    """Whether two values of a config mean the same: 1 and 1.0 do, 1 and true do not."""
    return a is b or isinstance(a, bool) == isinstance(b, bool) and a == b


def _protocol(result: Result) -> dict[str, Any]:
    """What decides the parameters of a result: {dotted key: value}."""
    return _flat({'method': result.method, **parameters(result.config),
                  'parameters evaluated': tables.evaluated(result)})


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Lists the settings in which two flat configs differ.

    Args:
      old, new: {dotted key: value}.

    Returns:
      A phrase for each, sorted by key.

    >>> differing({'epochs': 8, 'lr': 1.0}, {'epochs': 12, 'lr': 1, 'clip': 5.0})
    ['clip: absent -> 5.0', 'epochs: 8 -> 12']
    """
    def shown(value: Any) -> str:
        return 'absent' if value is _ABSENT else one_line(canonical(value), 40)

    keys = sorted(old.keys() | new.keys())
    pairs = [(k, old.get(k, _ABSENT), new.get(k, _ABSENT)) for k in keys]
    return [one_line(f'{k}: {shown(a)} -> {shown(b)}') for k, a, b in pairs if not _same(a, b)]


def _few(items: Sequence[str]) -> str:
    more = f' and {len(items) - NAMED} more' if len(items) > NAMED else ''
    return ', '.join(items[:NAMED]) + more


def _refusal(mine: Sequence[Result], theirs: Sequence[Result]) -> str:
    """Why a row's results may not be compared, or ''."""
    if not mine or not theirs:
        return ''
    ours, other = tables.data_of(mine[0]), tables.data_of(theirs[0])
    if ours != other:
        return f'A has {tables.differing_data(ours, other, "than B")}'
    settings = differing(_protocol(theirs[0]), _protocol(mine[0]))
    return f'the protocol differs (B -> A): {_few(settings)}' if settings else ''


# ---- one cell --------------------------------------------------------------------------------


def unpaired(a: Sequence[float], b: Sequence[float],
             level: float = statistics.LEVEL) -> statistics.Summary:
    """Gives Welch's interval of the difference of two means, of seeds with nothing in common.

    Args:
      a, b: numbers.
      level: nominal coverage.

    Returns:
      Summary of mean(a) - mean(b); no interval where one of them has fewer than two values.

    References:
      Welch, "The generalization of 'Student's' problem when several different population
      variances are involved", Biometrika 1947.

    >>> [round(x, 2) for x in unpaired([3., 4., 5.], [1., 2., 3., 4.])]
    [1.5, -0.73, 3.73, 3]
    """
    mean, n = float(np.mean(a) - np.mean(b)), min(len(a), len(b))
    if n < 2:
        return statistics.Summary(mean, None, None, 1)
    if np.ptp(a) == np.ptp(b) == 0:
        return statistics.Summary(mean, mean, mean, n)
    from scipy.stats import ttest_ind
    low, high = ttest_ind(a, b, equal_var=False).confidence_interval(level)
    return statistics.Summary(mean, float(low), float(high), n)


def _word(summary: statistics.Summary | None, better: str | None) -> str:
    if summary is None or summary.interval is None:
        return ''
    low, high = summary.interval
    if low == high == 0:
        return SAME
    if low <= 0 <= high:
        return NONE
    return _WORDS[better][summary.mean > 0]


def _only(mine: tables.Cell | None, theirs: tables.Cell | None) -> str:
    """The word for a cell that has a number on one side at most."""
    def missing(cell: tables.Cell | None, side: str, other: str) -> str:
        if cell and cell.text != tables.GAP:
            return f'{cell.text.split(":")[0]} in {side}'
        return f'only in {other}'

    if mine is None or mine.summary is None:
        if theirs is None or theirs.summary is None:
            return tables.GAP
        return missing(mine, 'A', 'B')
    return missing(theirs, 'B', 'A')


def _difference(column: tables.Column, label: str, cells: Sequence[tables.Cell | None],
                kinds: Sequence[Mapping[tuple, str]], notes: tables.Notes) -> tables.Cell:
    """The cell of A − B, from those of A and of B and their estimators."""
    mine, theirs = cells
    if mine is None or theirs is None or mine.summary is None or theirs.summary is None:
        return blank(_only(mine, theirs))
    if len(kinds[0].keys() | kinds[1].keys()) > 1:
        a, b = ('; '.join(sorted(k.values())) for k in kinds)
        why = f'{a} in A, {b} in B' if a != b else 'its unit or direction differs'
        return blank(REFUSED, [notes(f'{column.name} of {label}: estimators differ: {why}')])
    common = sorted(mine.seeds.keys() & theirs.seeds.keys())
    marks = []
    if common:
        seeds = {s: mine.seeds[s] - theirs.seeds[s] for s in common}
        summary, = statistics.student([list(seeds.values())])
        if len(common) < max(len(mine.seeds), len(theirs.seeds)):
            marks.append(notes(f'{column.name} of {label}: A − B of the {len(common)} seeds '
                               'that both have'))
    else:
        seeds = {}
        summary = unpaired(list(mine.seeds.values()), list(theirs.seeds.values()))
        marks.append(notes(f'{column.name} of {label}: no seed in common, so unpaired (Welch)'))
    warned = mine.warned or theirs.warned
    # Of what should be near a value between its ends, lower is not better.
    better = None if column.name in IDEAL else column.better
    word = UNRANKED if warned else _word(summary, better)
    return tables.Cell(seeds, summary, None, False, word, '', tuple(marks), warned)


def _copied(sides: Sequence[_Side], cells: Sequence[tables.Cell | None],
            notes: tables.Notes) -> Iterator[tables.Cell]:
    """The cells of A and B, with footnotes of the new table; what both say is said once."""
    texts = [[side.table.notes[i - 1] for i in (cell.notes if cell else ())]
             for side, cell in zip(sides, cells, strict=True)]
    for name, cell, own, other in zip('AB', cells, texts, reversed(texts), strict=True):
        kept = tuple(notes(text if text in other else f'{name}: {text}') for text in own)
        yield cell._replace(best=False, notes=kept) if cell else blank(tables.GAP)


# ---- one table -------------------------------------------------------------------------------


def _seeds(rows: Iterable[tables.Row | None]) -> str:
    counts = [{run.seed for run in row.runs if run.status == 'done'} if row else set()
              for row in rows]
    if counts[0] == counts[1]:
        return str(len(counts[0]))
    return f'A {len(counts[0])}, B {len(counts[1])}, both {len(counts[0] & counts[1])}'


def _runs(name: str, side: tables.Row | None) -> tuple[tables.Run, ...]:
    return tuple(run._replace(file=f'{name}: {run.file}') for run in side.runs) if side else ()


def _about(sides: Sequence[_Side],
           verdicts: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    lines = ['A is what --results names, B what --against names. A − B: '
             f"[{statistics.LEVEL:.0%} interval, Student's t, of the differences paired by "
             'seed]; better, worse: A than B, by an interval without 0. Each comparison stands '
             'by itself: of a hundred where nothing differs, about '
             f'{100 * (1 - statistics.LEVEL):.0f} say better or worse all the same.']
    for metric, counted in verdicts.items():
        counts = ', '.join(f'{n} {word}' for word, n in sorted(
            counted.items(), key=lambda i: (-i[1], i[0])))
        lines.append(f'{metric}: {counts}.')
    for name, one, other in (('A', *sides), ('B', *reversed(sides))):
        theirs = {c.name for c in other.table.columns}
        if lost := [c.name for c in one.table.columns if c.name not in theirs]:
            lines.append(f'Metrics only in {name}: {", ".join(lost)}.')
    lines += _provenance(*([r for rs in side.done.values() for r in rs] for side in sides))
    return tuple(lines)


def _provenance(mine: Iterable[Result], theirs: Iterable[Result]) -> list[str]:
    """A line for each thing that made the two sets and differs."""
    def facts(results: Iterable[Result]) -> dict[str, set[str]]:
        out = defaultdict(set)
        for r in results:
            for package, version in r.versions.items():
                out[f'Version of {one_line(package)}'].add(one_line(version))
            out['Device'].add(tables.device_of(r))
            revision, dirty = one_line(r.git.revision or 'unknown')[:10], bool(r.git.dirty)
            out['Revision'].add(revision + ' with local changes' * dirty)
        return out

    a, b = facts(mine), facts(theirs)
    told = lambda found, key: ', '.join(sorted(found.get(key, {'none'})))
    return [f'{key}: {told(b, key)} in B, {told(a, key)} in A.'
            for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)] or [
                'The same versions, devices and revisions in A and B.']


def _columns(sides: Iterable[_Side],
             wanted: Sequence[str]) -> list[tuple[str, tables.Column, tables.Column]]:
    """[(metric, A's Column, B's Column)]."""
    mine, theirs = ({c.name: c for c in side.table.columns} for side in sides)
    common = [n for n in mine if n in theirs]
    if wanted:
        common = [n for n in wanted if n in common]
    else:
        common = [n for n in common if mine[n].better]
    return [(n, mine[n], theirs[n]) for n in common]


def _cells(row: str, sides: Sequence[_Side], column: tables.Column, reason: int | None,
           notes: tables.Notes) -> tuple[tables.Cell, ...]:
    """The cells of A, of B and of A − B; `reason` is the footnote on why there is none."""
    rows = [side.rows.get(row) for side in sides]
    cells = [own.cells.get(column.name) if own else None for own in rows]
    kinds = [side.kinds(row, column.name) for side in sides]
    label = next(own.label for own in rows if own)
    if reason:
        made = blank(REFUSED, [reason])
    else:
        made = _difference(column, label, cells, kinds, notes)
    return (*_copied(sides, cells, notes), made)


def _row(number: int, row: str, sides: Sequence[_Side], columns: Iterable[tables.Column],
         notes: tables.Notes) -> tables.Row:
    rows = [side.rows.get(row) for side in sides]
    label = next(own.label for own in rows if own)
    why = _refusal(*(side.done.get(row, ()) for side in sides))
    reason = notes(f'{label}: {why}') if why else None
    cells = {}
    for column in columns:
        names = (f'{column.name} {side}' for side in ('A', 'B', 'A − B'))
        cells |= dict(zip(names, _cells(row, sides, column, reason, notes), strict=True))
    return tables.Row(row, label, number, cells, dict.fromkeys(tables.FACTS), _seeds(rows), (),
                      (*_runs('A', rows[0]), *_runs('B', rows[1])))


def _table(name: str, sides: Sequence[_Side], wanted: Sequence[str]) -> tables.Table:
    notes, found = tables.Notes(), _columns(sides, wanted)
    order = list(dict.fromkeys([*sides[0].rows, *sides[1].rows]))
    rows = [_row(number, row, sides, [one for _, one, _ in found], notes)
            for number, row in enumerate(order)]
    columns, verdicts = [], {}
    for metric, one, other in found:
        made = [row.cells[f'{metric} A − B'] for row in rows]
        verdicts[metric] = defaultdict(int)
        for cell in made:
            said = {tables.GAP: 'without a number', '': 'one seed'}.get(cell.text, cell.text)
            verdicts[metric][said] += 1
        means = [cell.summary.mean for cell in made if cell.summary]
        shown = max(one.digits, other.digits)
        fine = min(max(shown, tables.digits(means, [0.5])), shown + 2)
        columns += [one._replace(name=f'{metric} A', digits=shown),
                    other._replace(name=f'{metric} B', digits=shown),
                    tables.Column(f'{metric} A − B', one.unit, one.better, '', fine)]
    title = f'{sides[0].table.title}: A against B'
    return tables.Table(name, title, tuple(columns), tuple(rows), _about(sides, verdicts),
                        tuple(notes.texts), (), against=True)


def _check(found: Sequence[Sequence[tables.Found]], folders: Sequence[Sequence[Any]],
           metrics: Iterable[str]) -> tuple[list[str], list[str]]:
    """The tables that both sides have, and a line for each that only one has."""
    known = [sorted({m for f in side for m in f.result.metrics}) for side in found]
    for metric in metrics:
        for own, side in zip(known, found, strict=True):
            if side and metric not in own:
                raise unknown('metric', metric, sorted(set(known[0]) & set(known[1])))
    flags = '--results', '--against'
    for side, asked, flag in zip(found, folders, flags, strict=True):
        if not side:
            raise UserError(f'no results in {", ".join(map(str, asked))}, named by {flag}')
    mine, theirs = (list(dict.fromkeys(f.result.table for f in side)) for side in found)
    common = [n for n in mine if n in theirs]
    if not common:
        raise UserError(f'no table in common: --results has {", ".join(mine)}, --against has '
                        f'{", ".join(theirs)}')
    return common, [f'table {n!r}: only in {where}, so nothing is compared'
                    for own, where in zip((mine, theirs), flags, strict=True)
                    for n in own if n not in common]


def compare(folders: Sequence[Any], against: Sequence[Any],
            metrics: Sequence[str] = ()) -> tuple[list[tables.Table], list[str]]:
    """Compares two sets of results.

    Rows whose data (sha256, split, sizes) or protocol (the part of the config that decides the
    parameters) differ are listed with the reason and no difference, cells with other estimators
    likewise.

    Args:
      folders: those of A, the new results; as for `tables.collect`.
      against: those of B, the old ones.
      metrics: metrics in order; () for all that both have and that have a direction.

    Returns:
      (tables, problems): tables with the columns 'm A', 'm B' and 'm A − B' for each metric m,
      one for each table that both have; a line for each file or table that was left out.

    Raises:
      UserError: a folder is missing, no table is in both, or no result of both has such a
        metric.
    """
    (mine, plans, problems), (theirs, others, more) = map(tables.gather, (folders, against))
    names, lines = _check((mine, theirs), (folders, against), metrics)
    problems = [*problems, *more, *lines]
    out = []
    for name in names:
        sides = [_side(name, [f for f in found if f.result.table == name], plan.get(name),
                       problems) for found, plan in ((mine, plans), (theirs, others))]
        out.append(_table(name, sides, metrics))
    return out, list(dict.fromkeys(problems))
