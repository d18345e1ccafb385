"""Results and manifests of folders, and which of them may stand in one table."""
import os
import pathlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


# ---- which folders ---------------------------------------------------------------------------


def _names(folder: pathlib.Path) -> list[str]:
    """What lies in a folder; UserError where that cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError as e:
        raise UserError(f'{folder}: cannot be read ({e.strerror}); check the path and its '
                        'permissions') from None


def _is_home(folder: pathlib.Path) -> bool:
    """Whether a folder is a workdir, or holds result files."""
    names = _names(folder)
    return (results.MANIFEST in names or (folder / 'results').is_dir()
            or any(re.search(r'\.s\d+\.[0-9a-f]{10}\.json$', name) for name in names))


def _expanded(named: Iterable[str | os.PathLike]) -> Iterator[pathlib.Path]:
    """The folders, and of one that only holds workdirs these."""
    for folder in map(pathlib.Path, named):
        try:
            there = folder.is_dir()
        except OSError as e:
            raise UserError(f'{folder}: cannot be read ({e.strerror}); check the path and its '
                            'permissions') from None
        if not there:
            raise UserError(f'{folder}: no such folder; give a workdir of vaebench, a folder '
                            'of workdirs or one of result files')
        names = _names(folder)
        inside = [] if _is_home(folder) or any(n.endswith('.json') for n in names) else [
            inner for name in names if not name.startswith('.')
            and (inner := folder / name).is_dir() and _is_home(inner)]
        yield from inside or [folder]


def _folders(named: Iterable[str | os.PathLike]) -> Iterator[pathlib.Path]:
    """Each folder once; UserError for one that is missing or cannot be read."""
    seen = set()
    for folder in _expanded(named):
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder


def _home(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Where the manifest and where the results of a named folder are."""
    home = folder
    if folder.name == 'results' and not (folder / results.MANIFEST).exists():
        home = folder.resolve().parent
    return home, folder / 'results' if (folder / 'results').is_dir() else folder


def homes(named: Iterable[str | os.PathLike]) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Lists where the manifest and where the results of each folder are.

    Args:
      named: folders, as for `gather`.

    Returns:
      [(folder of the manifest, folder of the results)], each folder once.

    Raises:
      UserError: a folder is missing, or cannot be read.
    """
    return [_home(folder) for folder in _folders(named)]


# ---- what their manifests say ----------------------------------------------------------------


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


class _Plan:
    """Which results of a folder its manifest describes; all of them where it has none."""

    def __init__(self, home: pathlib.Path, manifest: tuple[ManifestTable, ...] | None):
        self.home, self.tables = home, manifest or ()
        self._known = None if manifest is None else {t.table: t for t in manifest}
        self._wanted = {(t.table, r.row, r.hash): r.seeds for t in self.tables for r in t.rows}
        self._undescribed: dict[str, None] = {}
        self._unlisted: dict[str, dict[str, None]] = defaultdict(dict)

    def admits(self, result: Result) -> bool:
        """Whether a result is shown; those of earlier settings are not."""
        if self._known is None:
            return True
        if result.table not in self._known:
            self._undescribed[result.table] = None
            return True
        row = result.table, result.row, result.config_hash
        if row in self._wanted:
            return result.seed in (self._wanted[row] or [result.seed])
        if result.row not in {r.row for r in self._known[result.table].rows}:
            self._unlisted[result.table][result.row] = None
        return False

    def problems(self) -> Iterator[str]:
        """A line for what the manifest does not describe."""
        path = self.home / results.MANIFEST
        for table in self._undescribed:
            yield (f'{path}: does not describe table {table!r}, which is shown as its results '
                   'are, in no order of merit; run its config again with this --workdir')
        for table, rows in self._unlisted.items():
            yield (f'{path}: table {table!r} has no row {", ".join(rows)}, of which there are '
                   'results: not shown; run its config again, or move them away')


# ---- all results -----------------------------------------------------------------------------


def gather(folders: Iterable[str | os.PathLike]) -> tuple[
        list[Found], dict[str, ManifestTable], list[str]]:
    """Reads every usable result of some folders.

    Args:
      folders: workdirs (with `results/` and a manifest), folders of workdirs, or folders of
        result files.

    Returns:
      (found, plans, problems): list of `Found` by table, order, row and seed, each cell once;
      {table id: its part of the manifests, where every row has its seeds}; a line for each file
      that was left out, and why, and for each table that no manifest describes.

    Raises:
      UserError: a folder is missing, or cannot be read.
    """
    found, plans, problems, cells, empty = [], {}, [], {}, []
    for folder in _folders(folders):
        home, files = _home(folder)
        plan = _Plan(home, _manifest(home, problems))
        _names(files)
        good, bad = results.read_all(files)
        problems += bad
        empty += [] if good or bad else [f'{folder}: no result files; name a workdir or its '
                                         'results folder']
        for result in good:
            if not plan.admits(result):
                continue    # of earlier settings: stays on disk
            path = files / results.filename(result)
            cell = result.table, result.row, result.config_hash, result.seed
            first = cells.setdefault(cell, path)
            if first is path:
                found.append(Found(path, result))
            else:
                problems.append(f'{path}: the same cell as {first}, which is used; move one '
                                'away')
        problems += plan.problems()
        for table in plan.tables:
            _merge(plans, table)
    found.sort(key=lambda f: (f.result.table, f.result.order, f.result.row, f.result.seed))
    problems += empty if found else []      # of nothing but such folders the caller says more
    return found, plans, [p if p.isprintable() else one_line(p) for p in problems]


# ---- what may stand in one table -------------------------------------------------------------


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


def minor(result: Result) -> str | None:
    """Gives the Major.Minor of the vaebench that made a result, None where it does not say."""
    said = re.match(r'(\d{1,9})\.(\d{1,9})', result.versions.get('vaebench', ''), re.ASCII)
    return said and f'{int(said[1])}.{int(said[2])}'


def other_versions(found: Iterable[Found], problems: list[str]) -> Mapping[str, str]:
    """Finds the rows that were made by another minor version than most results of a table.

    Args:
      found: results of one table.
      problems: list, to which a line for each other version is added.

    Returns:
      {row: version}. Numbers of two minor versions are not comparable.
    """
    made = [(f, version) for f in found if (version := minor(f.result))]
    counts = Counter(version for _, version in made)
    if len(counts) < 2:
        return {}
    chosen = max(counts, key=lambda v: counts[v])
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    for f, version in made:
        if version != chosen:
            rows[version][f.result.row] = None
    for version, own in rows.items():
        table = next(f.result.table for f, v in made if v == version)
        problems.append(f'table {table!r}: {", ".join(own)} of vaebench {version}, the others '
                        f'of {chosen}: not ranked with them; run these rows again')
    return {row: version for version, own in rows.items() for row in own}
