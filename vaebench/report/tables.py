"""Tables as data, made from result files alone."""
import operator
import pathlib
from collections import Counter, defaultdict
from typing import NamedTuple

from vaebench import files
from vaebench.errors import UserError, unknown
from vaebench.experiment import results
from vaebench.files import one_line
from vaebench.report import published, statistics

GAP = '—'
FACTS = {'steps': ('steps', ''), 'parameters': ('parameter_count', ''), 'train': ('times', 's')}
"""Columns after the metrics: name -> (field of a result, unit)."""


class Cell(NamedTuple):
    """One metric of one row."""
    seeds: dict                             # {seed: value}
    summary: statistics.Summary | None      # None: nothing to show but `text`
    stderr: float | None                    # over the test examples, mean over seeds
    best: bool                              # in the best tie group of its estimator
    text: str                               # '', or why there is no number
    estimator: str                          # with its sample counts, '' where there is no number
    notes: tuple[int, ...]                  # footnotes, from 1
    warned: bool = False                    # of an estimate that is never ranked


class Column(NamedTuple):
    """One metric."""
    name: str
    unit: str
    better: str | None
    estimator: str                          # of most rows, with its sample counts; others have a footnote
    digits: int                             # decimals to show


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
    times: dict                             # {'train', 'evaluate', 'compile'}: seconds or None


class Row(NamedTuple):
    """One method."""
    row: str
    label: str
    order: int
    cells: dict                             # {metric: Cell}
    facts: dict                             # {name of FACTS: mean over seeds or None}
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


class Found(NamedTuple):
    """A result and where it lies."""
    path: pathlib.Path
    result: dict


def gather(folders):
    """Every usable result of some folders.

    Args:
      folders: workdirs (with `results/` and a manifest), or folders of result files.

    Returns:
      (found, plans, problems): list of `Found` by table, order, row and seed, each cell once; {table id: its part of
      the manifests}; a line for each file that was left out, and why.

    Raises:
      UserError: a folder is missing.
    """
    found, plans, problems, cells, seen, empty = [], {}, [], {}, set(), []
    for folder in map(pathlib.Path, folders):
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder; give a workdir of vaebench or a folder of its result files')
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        home = folder
        if folder.name == 'results' and not (folder / results.MANIFEST).exists():
            home = folder.resolve().parent
        files = folder / 'results' if (folder / 'results').is_dir() else folder
        try:
            manifest = results.read_manifest(home)
        except UserError as e:
            manifest = None
            problems.append(str(e))
        wanted = {(t['table'], r['row'], r['hash']): r.get('seeds', t.get('seeds'))
                  for t in (manifest or {'tables': ()})['tables'] for r in t['rows']}
        good, bad = results.read_all(files)
        problems += bad
        empty += [] if good or bad else [f'{folder}: no result files; name a workdir or its results folder']
        for result in good:
            path = files / results.filename(result)
            row = result['table'], result['row'], result['config_hash']
            if manifest and (row not in wanted or result['seed'] not in (wanted[row] or [result['seed']])):
                continue    # of earlier settings: stays on disk
            first = cells.setdefault((*row, result['seed']), path)
            if first is path:
                found.append(Found(path, result))
            else:
                problems.append(f'{path}: the same cell as {first}, which is used; move one away')
        for t in (manifest or {'tables': ()})['tables']:
            old = plans.setdefault(t['table'], {**t, 'rows': []})
            rows = {r['row'] for r in old['rows']}
            old['rows'] += [{**r, 'seeds': r.get('seeds', t.get('seeds'))} for r in t['rows'] if r['row'] not in rows]
    found.sort(key=lambda f: (f.result['table'], f.result['order'], f.result['row'], f.result['seed']))
    problems += empty if found else []      # of nothing but such folders the caller says more
    return found, plans, [p if p.isprintable() else one_line(p) for p in problems]


def data_of(result):
    """What decides whether results were measured on the same data: (sha256, split, sizes)."""
    data = result['dataset']
    return data['sha256'], data['split'], files.canonical(data.get('sizes') or {})


def one_dataset(found, problems):
    """The results on the data that most of them share.

    Args:
      found: list of `Found` of one table.
      problems: list, to which a line for each other result is added.

    Returns:
      List of `Found`.
    """
    keys = [data_of(f.result) for f in found]
    counts = Counter(keys)
    if len(counts) < 2:
        return found
    chosen = max(counts, key=counts.get)    # the first of equals
    witness = found[keys.index(chosen)]
    for f, key in zip(found, keys, strict=True):
        if key != chosen:
            what = differing_data(key, chosen, f'than {witness.path}')
            problems.append(f'{f.path}: {what} in table {f.result["table"]!r}; left out, move one away')
    return [f for f, key in zip(found, keys, strict=True) if key == chosen]


def differing_data(one, other, than):
    """How two different `data_of` differ, as a phrase."""
    if one[0] != other[0]:
        return f'other data (sha256 {one_line(one[0])[:12]}) {than} ({one_line(other[0])[:12]})'
    if one[1] != other[1]:
        return f'other split ({one_line(one[1], 40)}) {than} ({one_line(other[1], 40)})'
    return f'other sizes ({one_line(one[2], 80)}) {than} ({one_line(other[2], 80)})'


def one_setting(found, problems):
    """The results of rows that have one config hash.

    Args:
      found: list of `Found` of one table.
      problems: list, to which a line for each other config hash is added.

    Returns:
      (list of `Found`, set of the rows that have several).
    """
    by_row, clash = defaultdict(dict), set()
    for f in found:
        by_row[f.result['row']].setdefault(f.result['config_hash'], f.path)
    for row, paths in by_row.items():
        if len(paths) > 1:
            clash.add(row)
            first, *others = paths.values()
            problems.extend(f'{first} and {other}: two settings of row {row!r}; move one away' for other in others)
    return [f for f in found if f.result['row'] not in clash], clash


identity = operator.itemgetter('estimator', 'unit', 'better', 'n', 'samples')
"""What two values of a metric must share to be compared."""


def describe(identity):
    """An `identity` in words, 'importance sampling (500 examples, 50 samples)'."""
    estimator, _, _, n, samples = identity
    counts = [f'{c} {word}' for c, word in ((n, 'examples'), (samples, 'samples')) if c is not None]
    return one_line(estimator) + (f' ({", ".join(counts)})' if counts else '')


def digits(means, values):
    """Decimals to show: 0 for counts, 2 from 1 upwards, three significant ones below."""
    means = [abs(m) for m in means if abs(m) < 1e6]
    if all(float(v).is_integer() for v in values):
        return 0 if all(float(m).is_integer() for m in means) else 1
    largest = max(means, default=0)
    if largest >= 1000:                     # one outlier must not hide what the others differ in
        largest = sorted(means)[len(means) // 2]
    if largest >= 1000:
        return 1
    if largest >= 1 or largest == 0:
        return 2
    return min(8, next(d for d in range(3, 330) if largest * 10 ** (d - 2) >= 1))


class Notes:
    """Footnotes, each text once."""

    def __init__(self):
        self.texts = []

    def __call__(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def _column(name, rows, notes):
    """(Column, {row: Cell}) of one metric; `rows` is {row: (label, {seed: metric record})}."""
    groups, marks, values, used, warned = {}, {}, {}, {}, {}
    for row, (_, records) in rows.items():
        used[row] = list(dict.fromkeys(identity(m) for m in records.values()))
        mixed = len(used[row]) > 1
        warned[row] = any(m['warning'] for m in records.values())
        values[row] = {s: m['value'] for s, m in records.items() if m['value'] is not None and not mixed}
        if len(used[row]) == 1:
            groups.setdefault(used[row][0], []).append(row)
    main = max(groups, key=lambda g: len(groups[g]), default=('', '', None, None, None))
    for row, (label, records) in rows.items():
        texts = []
        if len(used[row]) > 1:
            texts.append(f'{name} of {label}: its seeds have different estimators: '
                         + '; '.join(map(describe, used[row])))
        elif used[row] and used[row][0] != main:
            unit = f', in {one_line(used[row][0][1])}' if used[row][0][1] != main[1] else ''
            texts.append(f'{name}: {describe(used[row][0])}{unit}; ranked apart from the others')
        if warnings := sorted({m['warning'] for m in records.values() if m['warning']}):
            texts.append(f'{name}: {one_line("; ".join(warnings))}')
        texts += [f'{name}: {one_line(note)}' for note in sorted({m['note'] for m in records.values() if m['note']})]
        if 0 < len(values[row]) < len(records):
            texts.append(f'{name} of {label}: {len(values[row])} of {len(records)} seeds')
        marks[row] = tuple(map(notes, texts))
    best = set()
    for group, members in groups.items():
        filled = [r for r in members if values[r] and not warned[r]]
        filled = [r for r in filled if len(values[r]) > 1] or filled     # one seed shows nothing beside several
        if group[2] and len(filled) > 1:
            tied = statistics.ties([values[r] for r in filled], group[2])
            best.update(r for r, t in zip(filled, tied, strict=True) if t)
    summaries = dict(zip(rows, statistics.summarise([list(values[r].values()) for r in rows]), strict=True))
    cells = {}
    for row, (_, records) in rows.items():
        errors = [records[s]['stderr'] for s in values[row] if records[s]['stderr'] is not None]
        text = '' if summaries[row] else 'mixed' if len(used[row]) > 1 else GAP
        cells[row] = Cell(values[row], summaries[row], sum(errors) / len(errors) if errors else None, row in best, text,
                          describe(used[row][0]) if summaries[row] else '', marks[row], warned[row])
    shown = digits([s.mean for s in summaries.values() if s], [v for r in values.values() for v in r.values()])
    return Column(name, one_line(main[1]), main[2], describe(main), shown), cells


def _absent(row, clash, failed):
    """Why a row has no number at all."""
    if row in clash:
        return 'two settings'
    if failed:
        return 'failed: ' + '; '.join(sorted({one_line(f.result['reason']) for f in failed}))
    return 'missing'


def _mean(numbers):
    numbers = [x for x in numbers if x is not None]
    if not numbers:
        return None
    return numbers[0] if len(set(numbers)) == 1 else sum(numbers) / len(numbers)


def _fact(result, name):
    value = result[FACTS[name][0]]
    return value['train'] if name == 'train' else value


def _compare(keys, done, notes, problems, where):
    """The published numbers of a row, each with its verdict."""
    out = []
    if not done:
        return ()
    result = done[0].result
    for key in keys:
        try:
            values = published.values(key, result['dataset']['name'])
        except UserError as e:
            problems.append(one_line(f'{where}: {e}'))
            continue
        for value in values:
            verdict, why = published.compare(value, result['dataset'], result['metrics'])
            out.append((value, verdict, notes(f'published: {why}') if why else None))
    return tuple(out)


def _run(found):
    r = found.result
    return Run(r['seed'], r['status'], r['reason'] and one_line(r['reason']), found.path.name, one_line(r['method']),
               r['config_hash'], r['git']['revision'] and one_line(r['git']['revision']),
               one_line(f'{r["device"]["count"]} x {r["device"]["kind"]}'), r['times'])


def device_of(result):
    """'1 x cpu (its model)' of a result; an accelerator's kind is its model."""
    device = result['device']
    model = f' ({result["host"]})' if device['platform'] == 'cpu' and result['host'] else ''
    return one_line(f'{device["count"]} x {device["kind"]}{model}')


def _list(items):
    return ', '.join(dict.fromkeys(map(one_line, items)))


def _kept(parameters):
    """'best', 'last' or None: what the last phase that trained anything ended with."""
    if not isinstance(parameters, list):
        return parameters
    return next((p['kept'] for p in reversed(parameters) if p['kept'] != 'none'), None)


def _about(found):
    """What the numbers rest on, a line each."""
    if not found:
        return ()
    rs = [f.result for f in found]
    data = rs[0]['dataset']
    lines = [f'Dataset: {_list(r["dataset"]["name"] for r in rs)} ({_list(r["dataset"]["split"] for r in rs)}), '
             f'sha256 {one_line(data["sha256"])[:12]}.']
    by = defaultdict(list)
    for r in rs:
        if r['status'] == 'done' and (kept := _kept(r['parameters'])):
            by[kept].append(r['label'])
    meaning = {'best': 'best on validation', 'last': 'last'}
    if len(by) == 1:
        lines.append(f'Parameters evaluated: {meaning[next(iter(by))]}.')
    elif by:
        kinds = '; '.join(f'{meaning[k]} ({_list(v)})' for k, v in sorted(by.items()))
        lines.append(f'Parameters evaluated: {kinds}.')
    device = _list(map(device_of, rs))
    versions = defaultdict(list)
    for r in rs:
        for name, version in r['versions'].items():
            versions[name].append(version)
    packages = _list(f'{n} {"/".join(sorted(set(v)))}' for n, v in sorted(versions.items()))
    code = _list(r['git']['revision'][:10] + (' with local changes' if r['git']['dirty'] else '')
                 for r in rs if r['git']['revision'])
    lines.append(f'Device: {device}. Versions: {packages}.' + (f' Revision: {code}.' if code else ''))
    return tuple(lines)


def _seeds(done, failed, expected, label, notes):
    """The text of the seeds column: how many count, of how many."""
    have = {f.result['seed'] for f in done}
    total = len(have | {f.result['seed'] for f in failed} | set(expected))
    if total == len(have):
        return str(total)
    lost = {f.result['seed']: f'failed: {one_line(f.result["reason"])}' for f in failed}
    lost |= {s: 'missing' for s in set(expected) - have - set(lost)}
    note = notes(f'{label}: ' + '; '.join(f'seed {s} {t}' for s, t in sorted(lost.items())))
    return f'{len(have)} of {total} [{note}]'


def build(name, found, plan=None, wanted=(), problems=None):
    """The `Table` of one id.

    Args:
      name: the id.
      found: its results, from `gather`.
      plan: its part of a manifest, or None.
      wanted: metrics to show; () for all.
      problems: list, to which a line for each result that was left out is added.

    Returns:
      A `Table`.
    """
    problems = [] if problems is None else problems
    notes = Notes()
    found = one_dataset(found, problems)
    if plan is None:
        listed = {f.result['row']: f.result for f in reversed(found)}
    else:
        listed = {r['row']: r for r in plan['rows']}
    found, clash = one_setting(found, problems)
    done, failed = defaultdict(list), defaultdict(list)
    for f in found:
        (done if f.result['status'] == 'done' else failed)[f.result['row']].append(f)
    names = sorted(listed, key=lambda r: (listed[r]['order'], r))
    labels = {r: one_line(listed[r]['label']) for r in names}
    metrics = list(dict.fromkeys((plan or {}).get('columns') or ()))
    present = dict.fromkeys(m for row in names for f in done[row] for m in f.result['metrics'])
    metrics = [m for m in wanted or (*metrics, *(m for m in present if m not in metrics)) if m in present]
    columns, by_metric = [], {}
    for metric in metrics:
        records = {row: (labels[row], {f.result['seed']: f.result['metrics'][metric] for f in done[row]
                                                if metric in f.result['metrics']}) for row in names}
        column, by_metric[metric] = _column(metric, records, notes)
        columns.append(column)
    rows = []
    for row in names:
        cells = {m: by_metric[m][row] for m in metrics}
        expected = listed[row].get('seeds') or ()
        if not done[row]:
            text = _absent(row, clash, failed[row])
            short = text.split(':')[0]
            cells = {m: Cell({}, None, None, False, text if m == metrics[0] else short, '', ()) for m in metrics}
        keys = done[row][0].result['published'] if done[row] else ()
        rows.append(Row(row, labels[row], listed[row]['order'], cells,
                        {n: _mean([_fact(f.result, n) for f in done[row]]) for n in FACTS},
                        _seeds(done[row], failed[row], expected, labels[row], notes),
                        _compare(keys, done[row], notes, problems, f'table {name!r}, row {row!r}'),
                        tuple(map(_run, sorted(done[row] + failed[row], key=lambda f: f.result['seed'])))))
    title = one_line(plan['title'] if plan else found[0].result['title'] if found else name)
    sources = dict.fromkeys(f'{v.table}: {v.paper}' for r in rows for v, _, _ in r.published)
    return Table(name, title, tuple(columns), tuple(rows), _about(found), tuple(notes.texts), tuple(sources))


def collect(folders, metrics=()):
    """Every table of some folders.

    Args:
      folders: workdirs (with `results/` and a manifest), or folders of result files.
      metrics: the metric columns wanted, in order; () for all.

    Returns:
      (tables, problems): list of `Table` in the manifests' order, then sorted by id, empty where there is no result;
      a line for each file that was left out, and why.

    Raises:
      UserError: a folder is missing, or no result has such a metric.
    """
    found, plans, problems = gather(folders)
    known = sorted({m for f in found for m in f.result['metrics']})
    for metric in metrics if found else ():
        if metric not in known:
            raise unknown('metric', metric, known)
    names = dict.fromkeys([*plans, *sorted({f.result['table'] for f in found})]) if found else ()
    return [build(name, [f for f in found if f.result['table'] == name], plans.get(name), metrics, problems)
            for name in names], problems


def select(tables, names):
    """The tables of some ids; UserError for an unknown one."""
    known = [t.table for t in tables]
    for name in names:
        if name not in known:
            raise unknown('table', name, known)
    return [t for t in tables if t.table in names]
