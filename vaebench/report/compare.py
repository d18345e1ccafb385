"""What changed between two sets of results: differences paired by seed, where data, protocol and estimator agree."""
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from vaebench.errors import UserError, unknown
from vaebench.experiment.config_keys import TRAINING
from vaebench.files import canonical, one_line
from vaebench.report import statistics, tables

NAMED = 3
"""So many keys that differ are named, the others counted."""
SAME, NONE, REFUSED, UNRANKED = 'identical', 'no difference shown', 'not comparable', 'not ranked'
_WORDS = {'lower': ('better', 'worse'), 'higher': ('worse', 'better'), None: ('lower', 'higher')}
_ABSENT = object()


class _Side(NamedTuple):
    """One result set's part of a table."""
    table: tables.Table
    done: dict              # {row: [result]}
    rows: dict              # {row: tables.Row}


def _side(name, found, plan, problems):
    kept, _ = tables.one_setting(tables.one_dataset(found, []), [])
    done = defaultdict(list)
    for f in kept:
        if f.result['status'] == 'done':
            done[f.result['row']].append(f.result)
    table = tables.build(name, found, plan, (), problems)
    return _Side(table, done, {r.row: r for r in table.rows})


def _flat(config):
    """{'optimizer.lr': value} of nested dicts, without recursion: a file may be nested as deep as it likes."""
    out, stack = {}, [((), config)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict) and value:
            stack += [((*path, k), v) for k, v in value.items()]
        else:
            out['.'.join(path)] = value
    return out


def _same(a, b):
    """Whether two values of a config mean the same: 1 and 1.0 do, 1 and true do not."""
    return a is b or isinstance(a, bool) == isinstance(b, bool) and a == b


def _protocol(result):
    """What decides the parameters of a result: {dotted key: value}."""
    config = result['config']
    kept = {k: config[k] for k in TRAINING if k in config}
    return _flat({'method': result['method'], **kept, 'parameters evaluated': result['parameters']})


def differing(old, new):
    """The settings in which two flat configs differ.

    Args:
      old, new: {dotted key: value}.

    Returns:
      List of str, sorted by key.

    >>> differing({'epochs': 8, 'lr': 1.0}, {'epochs': 12, 'lr': 1, 'clip': 5.0})
    ['clip: absent -> 5.0', 'epochs: 8 -> 12']
    """
    def shown(value):
        return 'absent' if value is _ABSENT else one_line(canonical(value), 40)

    pairs = [(k, old.get(k, _ABSENT), new.get(k, _ABSENT)) for k in sorted(old.keys() | new.keys())]
    return [one_line(f'{k}: {shown(a)} -> {shown(b)}') for k, a, b in pairs if not _same(a, b)]


def _few(items):
    more = f' and {len(items) - NAMED} more' if len(items) > NAMED else ''
    return ', '.join(items[:NAMED]) + more


def _refusal(mine, theirs):
    """Why a row's results may not be compared, or ''."""
    data = [tables.data_of(r) for r in (mine[0], theirs[0])]
    if data[0] != data[1]:
        return f'A has {tables.differing_data(*data, "than B")}'
    settings = differing(_protocol(theirs[0]), _protocol(mine[0]))
    return f'the protocol differs (B -> A): {_few(settings)}' if settings else ''


def _identities(results, metric):
    return {tables.identity(r['metrics'][metric]) for r in results if metric in r['metrics']}


def unpaired(a, b, level=statistics.LEVEL):
    """Welch's interval of the difference of two means, of seeds that have nothing in common.

    Args:
      a, b: lists of numbers.
      level: nominal coverage.

    Returns:
      `statistics.Summary` of mean(a) - mean(b); no interval where one of them has fewer than two values.

    References:
      Welch, "The generalization of 'Student's' problem when several different population variances are involved",
      Biometrika 1947.

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


def _word(summary, better):
    if summary.low is None:
        return ''
    if summary.low == summary.high == 0:
        return SAME
    if summary.low <= 0 <= summary.high:
        return NONE
    return _WORDS[better][summary.mean > 0]


def _blank(text, notes=()):
    return tables.Cell({}, None, None, False, text, '', tuple(notes))


def _only(mine, theirs):
    """The word for a cell that has a number on one side at most."""
    if mine is None or mine.summary is None:
        if theirs is None or theirs.summary is None:
            return tables.GAP
        return f'{mine.text.split(":")[0]} in A' if mine and mine.text != tables.GAP else 'only in B'
    return f'{theirs.text.split(":")[0]} in B' if theirs and theirs.text != tables.GAP else 'only in A'


def _difference(column, label, mine, theirs, identities, reason, notes):
    """The cell of A − B."""
    if reason:
        return _blank(REFUSED, [reason])
    if mine is None or theirs is None or mine.summary is None or theirs.summary is None:
        return _blank(_only(mine, theirs))
    if len(set.union(*identities)) > 1:
        a, b = ('; '.join(map(tables.describe, sorted(i, key=str))) for i in identities)
        why = f'{a} in A, {b} in B' if a != b else 'its unit or direction differs'
        return _blank(REFUSED, [notes(f'{column.name} of {label}: estimators differ: {why}')])
    common = sorted(mine.seeds.keys() & theirs.seeds.keys())
    marks = []
    if common:
        seeds = {s: mine.seeds[s] - theirs.seeds[s] for s in common}
        summary, = statistics.summarise([list(seeds.values())])
        if len(common) < max(len(mine.seeds), len(theirs.seeds)):
            marks.append(notes(f'{column.name} of {label}: A − B of the {len(common)} seeds that both have'))
    else:
        seeds, summary = {}, unpaired(list(mine.seeds.values()), list(theirs.seeds.values()))
        marks.append(notes(f'{column.name} of {label}: no seed in common, so unpaired (Welch)'))
    warned = mine.warned or theirs.warned
    word = UNRANKED if warned else _word(summary, column.better)
    return tables.Cell(seeds, summary, None, False, word, '', tuple(marks), warned)


def _copied(sides, cells, notes):
    """The cells of A and B, their footnotes those of the new table; what both say is said once."""
    texts = [[side.table.notes[i - 1] for i in (cell.notes if cell else ())]
             for side, cell in zip(sides, cells, strict=True)]
    for name, cell, own, other in zip('AB', cells, texts, reversed(texts), strict=True):
        kept = tuple(notes(text if text in other else f'{name}: {text}') for text in own)
        yield cell._replace(best=False, notes=kept) if cell else _blank(tables.GAP)


def _seeds(mine, theirs):
    counts = [{run.seed for run in side.runs if run.status == 'done'} if side else set() for side in (mine, theirs)]
    if counts[0] == counts[1]:
        return str(len(counts[0]))
    return f'A {len(counts[0])}, B {len(counts[1])}, both {len(counts[0] & counts[1])}'


def _runs(name, side):
    return tuple(run._replace(file=f'{name}: {run.file}') for run in side.runs) if side else ()


def _about(a, b, metrics, verdicts, sides):
    lines = ['A is what --results names, B what --against names. A − B: '
             f"[{statistics.LEVEL:.0%} interval, Student's t, of the differences paired by seed]; "
             'better, worse: A than B, by an interval without 0. Each comparison '
             f'stands by itself: of a hundred where nothing differs, about {100 * (1 - statistics.LEVEL):.0f} say '
             'better or worse all the same.']
    for metric in metrics:
        counts = ', '.join(f'{n} {word}' for word, n in sorted(verdicts[metric].items(), key=lambda i: (-i[1], i[0])))
        lines.append(f'{metric}: {counts}.')
    for name, one, other in (('A', a, b), ('B', b, a)):
        if lost := [c.name for c in one.table.columns if c.name not in {x.name for x in other.table.columns}]:
            lines.append(f'Metrics only in {name}: {", ".join(lost)}.')
    lines += _provenance(*sides)
    return tuple(lines)


def _provenance(mine, theirs):
    """A line for each thing that made the two sets and differs."""
    def facts(results):
        out = defaultdict(set)
        for r in results:
            for package, version in r['versions'].items():
                out[f'Version of {one_line(package)}'].add(one_line(version))
            out['Device'].add(tables.device_of(r))
            revision, dirty = one_line(r['git']['revision'] or 'unknown')[:10], bool(r['git']['dirty'])
            out['Revision'].add(revision + ' with local changes' * dirty)
        return out

    a, b = facts(mine), facts(theirs)
    return [f'{key}: {", ".join(sorted(b.get(key, {"none"})))} in B, {", ".join(sorted(a.get(key, {"none"})))} in A.'
            for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)] or ['The same versions, devices and '
                                                                                     'revisions in A and B.']


def _columns(a, b, wanted):
    """[(metric, A's Column, B's Column)]."""
    mine, theirs = ({c.name: c for c in side.table.columns} for side in (a, b))
    common = [n for n in mine if n in theirs]
    if wanted:
        common = [n for n in wanted if n in common]
    else:
        common = [n for n in common if mine[n].better]
    return [(n, mine[n], theirs[n]) for n in common]


def _table(name, a, b, wanted):
    notes = tables.Notes()
    found = _columns(a, b, wanted)
    rows, verdicts, differences = [], {m: defaultdict(int) for m, _, _ in found}, {m: [] for m, _, _ in found}
    order = list(dict.fromkeys([*a.rows, *b.rows]))
    for number, row in enumerate(order):
        mine, theirs = a.rows.get(row), b.rows.get(row)
        label = (mine or theirs).label
        why = _refusal(a.done[row], b.done[row]) if a.done.get(row) and b.done.get(row) else ''
        reason = notes(f'{label}: {why}') if why else None
        cells = {}
        for metric, one, _ in found:
            cell = mine.cells.get(metric) if mine else None
            counter = theirs.cells.get(metric) if theirs else None
            made = _difference(one, label, cell, counter,
                               [_identities(side.done.get(row, ()), metric) for side in (a, b)], reason, notes)
            copies = _copied((a, b), (cell, counter), notes)
            cells |= dict(zip((f'{metric} {side}' for side in ('A', 'B', 'A − B')), (*copies, made), strict=True))
            if made.summary:
                differences[metric].append(made.summary.mean)
            verdicts[metric][{tables.GAP: 'without a number', '': 'one seed'}.get(made.text, made.text)] += 1
        rows.append(tables.Row(row, label, number, cells, dict.fromkeys(tables.FACTS), _seeds(mine, theirs), (),
                               (*_runs('A', mine), *_runs('B', theirs))))
    columns = []
    for metric, one, other in found:
        shown = max(one.digits, other.digits)
        fine = min(max(shown, tables.digits(differences[metric], [0.5])), shown + 2)
        columns += [one._replace(name=f'{metric} A', digits=shown),
                    other._replace(name=f'{metric} B', digits=shown),
                    tables.Column(f'{metric} A − B', one.unit, one.better, '', fine)]
    done = [[r for rs in side.done.values() for r in rs] for side in (a, b)]
    about = _about(a, b, list(verdicts), verdicts, done)
    title = f'{a.table.title}: A against B'
    return tables.Table(name, title, tuple(columns), tuple(rows), about, tuple(notes.texts), ())


def compare(folders, against, metrics=()):
    """What changed between two sets of results.

    Rows whose data (sha256, split, sizes) or protocol (the part of the config that decides the parameters) differ are
    listed with the reason and no difference, cells with other estimators likewise.

    Args:
      folders: those of A, the new results; as for `tables.collect`.
      against: those of B, the old ones.
      metrics: metrics in order; () for all that both have and that have a direction.

    Returns:
      (tables, problems): list of `Table` with the columns 'm A', 'm B' and 'm A − B' for each metric m, one for each
      table that both have; a line for each file or table that was left out.

    Raises:
      UserError: a folder is missing, no table is in both, or no result of both has such a metric.
    """
    (mine, plans, problems), (theirs, others, more) = tables.gather(folders), tables.gather(against)
    problems = [*problems, *more]
    for metric in metrics:
        known = [sorted({m for f in found for m in f.result['metrics']}) for found in (mine, theirs)]
        for names, found in zip(known, (mine, theirs), strict=True):
            if found and metric not in names:
                raise unknown('metric', metric, sorted(set(known[0]) & set(known[1])))
    names = [list(dict.fromkeys(f.result['table'] for f in found)) for found in (mine, theirs)]
    common = [n for n in names[0] if n in names[1]]
    for found, asked, flag in ((mine, folders, '--results'), (theirs, against, '--against')):
        if not found:
            raise UserError(f'no results in {", ".join(map(str, asked))}, named by {flag}')
    if not common:
        raise UserError(f'no table in common: --results has {", ".join(names[0])}, --against has {", ".join(names[1])}')
    for own, other, where in ((names[0], names[1], '--results'), (names[1], names[0], '--against')):
        problems += [f'table {n!r}: only in {where}, so nothing is compared' for n in own if other and n not in other]
    out = []
    for name in common:
        sides = [_side(name, [f for f in found if f.result['table'] == name], plan.get(name), problems)
                 for found, plan in ((mine, plans), (theirs, others))]
        out.append(_table(name, *sides, metrics))
    return out, list(dict.fromkeys(problems))
