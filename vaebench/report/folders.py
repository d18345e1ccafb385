"""Results and manifests of folders, and which of them may stand in one table."""
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.experiment.records import ManifestTable, Result
from vaebench.files import canonical, one_line


class Found(NamedTuple):
    """A result and where it lies."""
    path: pathlib.Path
    result: Result


def _home(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Where the manifest and where the results of a named folder are."""
    home = folder
    if folder.name == 'results' and not (folder / results.MANIFEST).exists():
        home = folder.resolve().parent
    return home, folder / 'results' if (folder / 'results').is_dir() else folder


def _manifest(home: pathlib.Path, problems: list[str]) -> tuple[ManifestTable, ...] | None:
    """The tables of a folder's manifest, with the seeds of every row; None without one."""
    try:
        manifest = results.read_manifest(home)
    except UserError as e:
        problems.append(str(e))
        return None
    if manifest is None:
        return None
    expected = lambda table, row: table.seeds if row.seeds is None else row.seeds
    return tuple(replace(t, rows=tuple(replace(r, seeds=expected(t, r)) for r in t.rows))
                 for t in manifest.tables)


def _merge(plans: dict[str, ManifestTable], table: ManifestTable) -> None:
    """Puts a manifest's table among the others: of two with one id the rows of both."""
    old = plans.setdefault(table.table, table)
    known = {r.row for r in old.rows}
    plans[table.table] = replace(
        old, rows=old.rows + tuple(r for r in table.rows if r.row not in known),
        primary=old.primary or table.primary, baseline=old.baseline or table.baseline)


def _folders(named: Iterable[str | pathlib.Path]) -> Iterable[pathlib.Path]:
    """Each folder once; UserError for one that is missing."""
    seen = set()
    for folder in map(pathlib.Path, named):
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder; give a workdir of vaebench or a folder '
                            'of its result files')
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder


def gather(folders: Iterable[str | pathlib.Path]) -> tuple[
        list[Found], dict[str, ManifestTable], list[str]]:
    """Reads every usable result of some folders.

    Args:
      folders: workdirs (with `results/` and a manifest), or folders of result files.

    Returns:
      (found, plans, problems): list of `Found` by table, order, row and seed, each cell once;
      {table id: its part of the manifests, where every row has its seeds}; a line for each file
      that was left out, and why.

    Raises:
      UserError: a folder is missing.
    """
    found, plans, problems, cells, empty = [], {}, [], {}, []
    for folder in _folders(folders):
        home, files = _home(folder)
        manifest = _manifest(home, problems)
        wanted = {(t.table, r.row, r.hash): r.seeds for t in manifest or () for r in t.rows}
        good, bad = results.read_all(files)
        problems += bad
        empty += [] if good or bad else [f'{folder}: no result files; name a workdir or its '
                                         'results folder']
        for result in good:
            path = files / results.filename(result)
            row = result.table, result.row, result.config_hash
            if manifest is not None and (
                    row not in wanted or result.seed not in (wanted[row] or [result.seed])):
                continue    # of earlier settings: stays on disk
            first = cells.setdefault((*row, result.seed), path)
            if first is path:
                found.append(Found(path, result))
            else:
                problems.append(f'{path}: the same cell as {first}, which is used; move one '
                                'away')
        for table in manifest or ():
            _merge(plans, table)
    found.sort(key=lambda f: (f.result.table, f.result.order, f.result.row, f.result.seed))
    problems += empty if found else []      # of nothing but such folders the caller says more
    return found, plans, [p if p.isprintable() else one_line(p) for p in problems]


def data_of(result: Result) -> tuple[str, str, str]:
    """Gives what tells the data of results apart: (sha256, split, sizes)."""
    data = result.dataset
    return data.sha256, data.split, canonical(data.sizes or {})


def one_dataset(found: Sequence[Found], problems: list[str]) -> list[Found]:
    """Picks the results on the data that most of them share.

    Args:
      found: results of one table.
      problems: list, to which a line for each other result is added.

    Returns:
      The results that may stand together.
    """
    keys = [data_of(f.result) for f in found]
    counts = Counter(keys)
    if len(counts) < 2:
        return list(found)
    chosen = max(counts, key=lambda key: counts[key])    # the first of equals
    witness = found[keys.index(chosen)]
    for f, key in zip(found, keys, strict=True):
        if key != chosen:
            what = differing_data(key, chosen, f'than {witness.path}')
            problems.append(f'{f.path}: {what} in table {f.result.table!r}; left out, move one '
                            'away')
    return [f for f, key in zip(found, keys, strict=True) if key == chosen]


def differing_data(one: Sequence[str], other: Sequence[str], than: str) -> str:
    """Says how two different `data_of` differ, as a phrase."""
    if one[0] != other[0]:
        return (f'other data (sha256 {one_line(one[0])[:12]}) {than} '
                f'({one_line(other[0])[:12]})')
    if one[1] != other[1]:
        return f'other split ({one_line(one[1], 40)}) {than} ({one_line(other[1], 40)})'
    return f'other sizes ({one_line(one[2], 80)}) {than} ({one_line(other[2], 80)})'


def one_setting(found: Iterable[Found], problems: list[str]) -> tuple[list[Found], set[str]]:
    """Picks the results of rows that have one config hash.

    Args:
      found: results of one table.
      problems: list, to which a line for each other config hash is added.

    Returns:
      (results, ids of the rows that have several hashes).
    """
    by_row, clash = defaultdict(dict), set()
    for f in found:
        by_row[f.result.row].setdefault(f.result.config_hash, f.path)
    for row, paths in by_row.items():
        if len(paths) > 1:
            clash.add(row)
            first, *others = paths.values()
            problems.extend(f'{first} and {other}: two settings of row {row!r}; move one away'
                            for other in others)
    return [f for f in found if f.result.row not in clash], clash
