"""The settings that published numbers were obtained in, and in what a row of ours differs.

`published_settings.csv` has a line for each row of a published table of whose setting anything
is known. Its columns, all of them text, '' where there is nothing to say:

  key        '<table>/<row>' of `published.csv`, or a name that other lines refer to
  dataset    where the line is of one dataset alone; it goes over the line of all of them
  like       keys whose settings this one takes over, separated by spaces
  setting    what is known besides, as dotted keys of a row's config: 'hp.warmup=10 batch=32'
  note       what of it was inferred and from what, what no key of a config can say, or, of a
             line that others refer to, where it stands

What is not known is left out and never compared. Facts are of the papers and of their released
code.
"""
from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vaebench.files import canonical, one_line

if TYPE_CHECKING:
    import pandas

ESSENTIAL = ('hp.beta_start', 'hp.warmup', 'hp.period', 'hp.target', 'optimizer.name',
             'optimizer.lr', 'kit.family')
"""Where a row of ours has one of these and theirs is not known, the settings may differ."""
DEFAULTS = {'kit.family': 'A'}
"""What a config means that leaves a key out; any other key is then 'unset'."""

Lines = Mapping[tuple[str, str], 'Line']
"""{(key, dataset or ''): its line}."""


class Line(NamedTuple):
    """One line of `published_settings.csv`."""
    like: tuple[str, ...]
    fields: Mapping[str, str]       # dotted key of a config -> value
    note: str


class Setting(NamedTuple):
    """What is known of the setting of a published number."""
    fields: Mapping[str, str]       # dotted key of a config -> value; its own keys come first
    note: str                       # what was inferred


def text(value: Any) -> str:
    """Writes a value of a config, or of `published_settings.csv`, so that equal ones are equal.

    >>> text(1e-3), text('.0010'), text([500, 500]), text('sgd')
    ('0.001', '0.001', '500-500', 'sgd')
    """
    parts = value if isinstance(value, list | tuple) else [value]
    return one_line('-'.join(map(_scalar, parts)), 40)


def _scalar(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return canonical(value)
    try:
        return f'{float(value):g}'
    except ValueError:
        return str(value)


def parse(frame: pandas.DataFrame) -> dict[tuple[str, str], Line]:
    """Reads a frame with the columns of `published_settings.csv`.

    Args:
      frame: all of its columns hold text.

    Raises:
      ValueError: a line is malformed, is there twice, or refers to a key that is not there;
        names it.
    """
    out: dict[tuple[str, str], Line] = {}
    records: Iterable[Any] = frame.itertuples()
    for record in records:
        where = f'{record.key}/{record.dataset}' if record.dataset else record.key
        pairs = [part.partition('=') for part in record.setting.split()]
        if wrong := [key + sep + value for key, sep, value in pairs if not (key and value)]:
            raise ValueError(f'{where}: {wrong[0]!r} is no key=value')
        if (record.key, record.dataset) in out:
            raise ValueError(f'{where}: twice')
        fields = {key: text(value) for key, _, value in pairs}
        out[record.key, record.dataset] = Line(tuple(record.like.split()), fields, record.note)
    known = {key for key, _ in out}
    for (key, _), line in out.items():
        if lost := [name for name in line.like if name not in known]:
            raise ValueError(f'{key}: like {lost[0]}, which is not there')
    return out


def resolve(lines: Lines, key: str, dataset: str) -> Setting:
    """Gives what is known of a setting, with what its lines take over from others.

    Args:
      lines: from `parse`.
      key: the first column of a line.
      dataset: what the number was measured on.

    Returns:
      Its own fields, then those taken over; with notes only of lines of its own. Empty where
      nothing is known.

    >>> lines = {('sgd', ''): Line((), {'lr': '1', 'batch': '32'}, ''),
    ...          ('A1/vae', ''): Line(('sgd',), {'lr': '0.5'}, 'inferred')}
    >>> resolve(lines, 'A1/vae', 'ptb')
    Setting(fields={'lr': '0.5', 'batch': '32'}, note='inferred')
    """
    own = [lines[k] for k in ((key, dataset), (key, '')) if k in lines]
    fields: dict[str, str] = {}
    for line in own:
        inherited = [resolve(lines, name, dataset).fields for name in reversed(line.like)]
        for found in (line.fields, *inherited):
            fields |= {k: v for k, v in found.items() if k not in fields}
    return Setting(fields, '; '.join(line.note for line in own if line.note))


@functools.cache
def known() -> Lines:
    """Reads every line of `published_settings.csv`; see `parse`."""
    import pandas
    path = pathlib.Path(__file__).with_name('published_settings.csv')
    return parse(pandas.read_csv(path, dtype=str, keep_default_na=False))


def short(key: str) -> str:
    """Names a key of a config in a word.

    >>> short('hp.warmup'), short('optimizer.name'), short('batch')
    ('warmup', 'optimizer', 'batch')
    """
    head, _, last = key.rpartition('.')
    return head if last == 'name' else last


def _at(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where a config leaves it out."""
    value: Any = config
    for part in key.split('.'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def differences(fields: Mapping[str, str], config: Mapping[str, Any]) -> list[str]:
    """Lists in what the setting of a row differs from what is known of a published one.

    Args:
      fields: of a `Setting`.
      config: a row's, resolved: what its result holds.

    Returns:
      A phrase for each key that differs.

    >>> differences({'hp.warmup': '10', 'batch': '32'}, {'hp': {'warmup': 0.}, 'batch': 32})
    ['warmup 10, here 0']
    """
    ours = {key: _at(config, key) for key in fields}
    shown = {key: DEFAULTS.get(key, 'unset') if value is None else text(value)
             for key, value in ours.items()}
    return [f'{short(key)} {value}, here {shown[key]}' for key, value in fields.items()
            if shown[key] != value]


def unknown(fields: Mapping[str, str], config: Mapping[str, Any]) -> list[str]:
    """Names what a row has, of the essential keys, and nobody knows of a published number.

    >>> unknown({'hp.warmup': '10'}, {'hp': {'warmup': 10.}, 'optimizer': {'lr': .5}})
    ['lr']
    """
    return [short(key) for key in ESSENTIAL
            if key not in fields and _at(config, key) is not None]
