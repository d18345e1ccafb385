"""The systems that the papers name, and where each of them has a row.

`systems.csv` has a line for each method, baseline and variant. Its columns, all of them text,
'' where there is nothing to say:

  track      key of `TRACKS`
  system     as the field calls it, with its setting where tables tell settings apart
  paper      key of `references.bib`: the paper that has it, or names it
  config     a config of the track that has the rows, at full size
  rows       their names, separated by spaces; '' where there is none
  printed    keys of `published.csv` under which papers print it, separated by spaces
  note       why there is no row, or how the row differs from the system
"""
import csv
import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from vaebench.errors import UserError
from vaebench.experiment import configs, table
from vaebench.report import references
from vaebench.report.folders import Found

PATH = pathlib.Path(__file__).with_name('systems.csv')
FIRST_DATA = 2         # datasets that a narrow line names
SIZES = '', ':small'
"""Sizes of configs that have tables with names of their own."""


class System(NamedTuple):
    """One line of `systems.csv`."""
    track: str
    system: str
    paper: str
    config: str
    rows: tuple[str, ...]
    printed: tuple[str, ...]
    note: str


class Track(NamedTuple):
    """Systems that are compared with one another."""
    title: str
    configs: tuple[str, ...]        # NAME, or NAME/TABLE for one of its tables
    data: Mapping[str, str]         # kind of column -> names of datasets, separated by spaces


TRACKS: Mapping[str, Track] = {
    'text': Track('Sentences', (
        'synthetic', 'ptb', 'yahoo', 'yelp', 'short_yelp', 'snli', 'analogy', 'text_dir',
        'quickstart/text'), {
            'tokens': 'synthetic ptb yahoo yelp short_yelp snli analogy text_dir'}),
    'style': Track('Rewriting', ('two_style', 'yelp_resplit', 'simplify'), {
        'tokens': 'two_style register yelp_resplit amazon captions style_dir simplify '
                  'turk_mini asset_mini onestop wikilarge'}),
    'dialogue': Track('Responses', ('dialog',), {
        'tokens': 'dialog dailydialog switchboard dialog_dir'}),
    'image': Track('Images and points', (
        'images_quick/digits', 'images_quick/gaussians', 'mnist/static', 'mnist/grey',
        'gan_stress', 'image_dir', 'quickstart/images'), {
            'image': 'digits mnist mnist_static fashion_mnist frey_faces cifar10 celeb_a '
                     'omniglot image_dir',
            'vector': 'gaussians25 gaussians8 swiss_roll_2d points_file'}),
    'maps': Track('Maps to the plane', ('images_quick/swiss_roll', 'mnist/embedding'), {
        'image': 'mnist', 'vector': 'swiss_roll'}),
    'disentanglement': Track('Structure of codes', ('sprites', 'decompositions'), {
        'image': 'sprites dsprites shapes3d smallnorb factors_file fashion_mnist digits',
        'vector': 'pinwheel'}),
    'symmetry': Track('Turned images', ('rotmnist',), {
        'image': 'rotated_mnist fashion_mnist rotated_fashion_mnist'}),
    'particles': Track('Particles', ('nbody',), {'vectors': 'nbody'}),
}
"""Every table of every config belongs to one of them."""


# ---- what is named ---------------------------------------------------------------------------


def _parsed(record: Mapping[str, str]) -> System:
    """The system of a line; ValueError says what is wrong with it."""
    where = f'{record["track"]}/{record["system"]}'
    if record['track'] not in TRACKS:
        raise ValueError(f'{where}: no such track')
    if bool(record['config']) != bool(record['rows']):
        raise ValueError(f'{where}: a config and rows go together')
    if not (record['rows'] or record['note']):
        raise ValueError(f'{where}: neither a row nor why there is none')
    parts = {key: tuple(record[key].split()) for key in ('rows', 'printed')}
    return System(**{**record, **parts})


def read(path: pathlib.Path = PATH) -> tuple[System, ...]:
    """Reads the systems.

    Args:
      path: a file like `systems.csv`.

    Raises:
      ValueError: a line is malformed, or a track has a system twice; names it.

    >>> next(s.rows for s in read() if s.system == 'SA-VAE')
    ('sa_vae',)
    """
    with path.open(newline='', encoding='utf-8') as file:
        found = tuple(map(_parsed, csv.DictReader(file)))
    seen = set()
    for system in found:
        if (key := (system.track, system.system)) in seen:
            raise ValueError(f'{"/".join(key)}: twice')
        seen.add(key)
    return found


# ---- what there is ---------------------------------------------------------------------------


@functools.cache
def _loaded(config: str) -> dict[str, table.Table]:
    """The tables of a config by their keys; of a config with one table the key is ''."""
    made = configs.load(config).to_dict()
    return dict(zip(made.get('tables', ['']), table.tables(made), strict=True))


def of_config(name: str, size: str = '') -> list[table.Table]:
    """Lists the tables of a config.

    Args:
      name: 'NAME', or 'NAME/TABLE' for one of its tables.
      size: one of `SIZES`; a config that does not come in it has no table.
    """
    config, _, key = name.partition('/')
    try:
        found = _loaded(config + size)
    except UserError:
        if size:
            return []
        raise
    return [found[key]] if key else list(found.values())


@functools.cache
def tables(track: str, config: str = '') -> tuple[table.Table, ...]:
    """Lists the tables of a track at full size.

    Args:
      track: key of `TRACKS`.
      config: name of one of its configs; '' for all.
    """
    return tuple(found for name in TRACKS[track].configs
                 if config in ('', name.partition('/')[0]) for found in of_config(name))


def rows(system: System) -> dict[str, table.Row]:
    """Finds the rows of a system by name; one that its config lacks is not among them."""
    return {row.name: row for found in tables(system.track, system.config)
            for row in found.rows if row.name in system.rows}


@functools.cache
def _names(track: str) -> frozenset[str]:
    """Names of a track's tables, of every size."""
    return frozenset(found.name for name in TRACKS[track].configs for size in SIZES
                     for found in of_config(name, size))


def measured(track: str, results: Iterable[Found]) -> dict[str, set[str]]:
    """Says which rows of a track have results.

    Args:
      track: key of `TRACKS`.
      results: such as `folders.gather` finds.

    Returns:
      {table: names of rows}, in the order of the results.
    """
    out: dict[str, set[str]] = {}
    for _, result in results:
        if result.table in _names(track) and result.status == 'done':
            out.setdefault(result.table, set()).add(result.row)
    return out


# ---- Markdown --------------------------------------------------------------------------------


def _lines(header: str, cells: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table: the names of its columns, separated by bars, and its cells."""
    yield f'| {header} |'
    yield f'|{" --- |" * (header.count("|") + 1)}'
    for line in cells:
        yield f'| {" | ".join(line)} |'


def _code(names: Iterable[str]) -> str:
    return ', '.join(f'`{name}`' for name in names)


def _cited(key: str) -> str:
    """A paper by author and year, '—' for none."""
    if not key:
        return '—'
    names = references.surnames(key)
    who = f'{names[0]} et al.' if len(names) > 2 else ' and '.join(names)
    return f'{who}, {references.bibliography().entries[key].fields["year"]}'


def _data(track: Track) -> str:
    return '; '.join(f'{kind}: {_code(names.split())}' for kind, names in track.data.items())


class _Counts(NamedTuple):
    """A track in numbers."""
    systems: int                    # that papers name
    having: int                     # of these, with a row
    done: int                       # of these, with committed results
    rows: int                       # all rows of its tables
    there: Mapping[str, set[str]]   # see `measured`


def _count(key: str, every: Iterable[System], results: Iterable[Found]) -> _Counts:
    systems = [s for s in every if s.track == key]
    having, there = [s for s in systems if s.rows], measured(key, results)
    done = [s for s in having if any(set(s.rows) & names for names in there.values())]
    names = {row.name for found in tables(key) for row in found.rows}
    return _Counts(len(systems), len(having), len(done), len(names), there)


def overview(results: Iterable[Found]) -> str:
    """Writes a line for each track: systems, rows, data, configs, and how many systems have
    committed results, in which tables.

    Args:
      results: those that are committed.

    Returns:
      Markdown.
    """
    results, every, lines = list(results), read(), []
    for key, track in TRACKS.items():
        n = _count(key, every, results)
        lines.append((
            track.title, f'{n.systems}, {n.having} with a row', str(n.rows),
            _data(track), _code(dict.fromkeys(c.partition('/')[0] for c in track.configs)),
            f'{n.done}: {_code(n.there)}' if n.there else 'none yet'))
    return '\n'.join(_lines('track | systems of the papers | rows | data | configs | '
                            'with committed results', lines)) + '\n'


def brief(results: Iterable[Found]) -> str:
    """Writes what `overview` does in narrow lines: a track's data are its first.

    Args:
      results: those that are committed.

    Returns:
      Markdown.
    """
    results, every, lines = list(results), read(), []
    for key, track in TRACKS.items():
        n, data = _count(key, every, results), ' '.join(track.data.values()).split()
        shown = _code(data[:FIRST_DATA]) + ' ...' * (len(data) > FIRST_DATA)
        lines.append((track.title, shown, str(n.rows), f'{n.systems}: {n.having}, {n.done}'))
    return '\n'.join(_lines('track | data | rows | systems: with a row, measured',
                            lines)) + '\n'


def _described(system: System, there: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The cells of a system."""
    found = rows(system)
    where = '; '.join(f'`{name}` {references.literal(found[name].label)}'
                      for name in system.rows)
    done = [name for name, known in there.items() if set(system.rows) & known]
    return (references.literal(system.system), _cited(system.paper),
            f'`{system.config}`: {where}' if system.rows else 'none',
            _code(done) or '—', references.literal(system.note) or '—')


def listing(results: Iterable[Found]) -> str:
    """Writes every system of every track: its paper, its rows, what is committed, what to know.

    Args:
      results: those that are committed.

    Returns:
      Markdown.
    """
    results, every, out = list(results), read(), []
    for key, track in TRACKS.items():
        systems = [s for s in every if s.track == key]
        there = measured(key, results)
        out += [f'## {track.title}', '',
                f'{len(systems)} systems, {sum(bool(s.rows) for s in systems)} with a row.', '',
                *_lines('system | paper | rows | committed | note',
                        (_described(s, there) for s in systems)), '']
    papers = sorted({s.paper for s in every if s.paper})
    out += ['## Papers', '', *(f'- {references.reference(key, markdown=True)}'
                               for key in papers)]
    return '\n'.join(out) + '\n'
