"""Result files: a JSON and an .npz of artefacts per cell, written once, checked when read."""
import contextlib
import io
import json
import os
import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from vaebench.errors import UserError
from vaebench.experiment.records import LARGEST, VERSION, Manifest, Record, Result, Tuning
from vaebench.files import finite, one_line, plain, write_bytes

MANIFEST = 'table.json'

_RESULT, _MANIFEST = msgspec.json.Decoder(Result), msgspec.json.Decoder(Manifest)
_PLACE = re.compile(r'(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?', re.DOTALL)
_FIELD = re.compile(r'Object (?P<what>missing required|contains unknown) field `(?P<field>.*)`',
                    re.DOTALL)


def filename(result: Result) -> str:
    """Gives the name of a cell's file: `<row>.s<seed>.<config_hash>.json`."""
    return f'{result.row}.s{result.seed}.{result.config_hash}.json'


# ---- what is wrong with a file ---------------------------------------------------------------


class OtherSchema(UserError):
    """A result file of another schema; `schema` is which, as JSON."""

    def __init__(self, message: str, schema: str):
        super().__init__(message)
        self.schema = schema


def _full_path(path: str, raw: Any, kind: type) -> str:
    """The path of a wrong field with the key of a mapping, which msgspec writes as [...]."""
    head, gap, tail = path.partition('[...]')
    if not gap:
        return path
    *outer, last = head.split('.')
    holder = raw
    for part in outer:
        holder = holder[part]
    for key, value in holder[last].items():
        holder[last] = {key: value}
        try:
            msgspec.convert(raw, kind)
        except msgspec.ValidationError:
            return f'{head}.{key}{tail}'
    return path


def _wrong(error: msgspec.ValidationError, raw: Any, kind: type) -> str:
    """What msgspec found wrong with the JSON value `raw`, as a phrase that names the field."""
    place = _PLACE.fullmatch(str(error))
    assert place      # it matches any text
    what, path = place.group('what', 'path')
    if kind is Result and isinstance(raw, dict):
        if 'schema' not in raw:
            return "field 'schema' is missing, so it is no result file of vaebench"
        if raw['schema'] != VERSION:
            return f'schema {_schema(raw)} is not {VERSION}, the one this version reads'
    path = _full_path(path, raw, kind) if path and raw is not None else path or ''
    if found := _FIELD.fullmatch(what):
        path = f'{path}.{found["field"]}' if path else found['field']
        what = 'is missing' if found['what'].startswith('missing') else 'is unknown'
        return one_line(f"field '{path}' {what}", 200)
    what = what[:1].lower() + what[1:] if what.startswith(('Expected', 'Invalid')) else what
    return one_line(f"field '{path}': {what}" if path else what, 200)


def _schema(raw: Mapping[str, Any]) -> str:
    """The schema that a result file names, as JSON; ours where it names none."""
    return one_line(json.dumps(raw.get('schema', VERSION)), 40)


def _remedy(schema: str, folder: str | os.PathLike) -> str:
    """What to do with a folder of results of another schema."""
    path = pathlib.Path(folder)
    home = path.parent if path.name == 'results' else path
    if schema == '1':
        return f'run python -m vaebench.experiment.convert {shlex.quote(str(home))}'
    return f'move {path} away'


def _malformed(error: Exception, data: bytes) -> str:
    """Why a text is not valid JSON, with the place."""
    place = re.search(r'\(byte (\d+)\)', str(error))
    rest = data[int(place[1]):][:20].decode('utf-8', 'replace') if place else ''
    return one_line(f'{error}' + f': {rest}' * bool(rest), 200)


def _json(data: bytes) -> Any:
    """The value of a text, None where it is not valid JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _decode(path: str | os.PathLike, decoder: msgspec.json.Decoder, advice: str) -> Any:
    """The content of a file.

    Args:
      path: where it is.
      decoder: of its type.
      advice: what to do where a field is wrong.

    Raises:
      UserError: one line that names the file and what is wrong with it.
    """
    data = b''
    try:
        if not os.path.isfile(path) and os.path.exists(path):
            raise UserError(f'{path}: not a file; move it away')
        data = pathlib.Path(path).read_bytes()
        return decoder.decode(data)
    except OSError as e:
        raise UserError(f'{path}: cannot be read ({e.strerror}); check the path and its '
                        'permissions') from None
    except RecursionError:
        raise UserError(f'{path}: not valid JSON (nested too deep); move the file '
                        'away') from None
    except msgspec.ValidationError as e:
        raw = _json(data)
        what = f'{path}: {_wrong(e, raw, decoder.type)}'
        if decoder.type is Result and isinstance(raw, dict) and _schema(raw) != str(VERSION):
            remedy = _remedy(_schema(raw), pathlib.Path(path).parent)
            raise OtherSchema(f'{what}; {remedy}', _schema(raw)) from None
        raise UserError(f'{what}; {advice}') from None
    except ValueError as e:
        raise UserError(f'{path}: not valid JSON ({_malformed(e, data)}); move the file '
                        'away') from None


# ---- reading and writing ---------------------------------------------------------------------


def read(path: str | os.PathLike) -> Result:
    """Reads one result, every field checked.

    Args:
      path: the JSON file.

    Returns:
      The result.

    Raises:
      UserError: one line that names the file and what is wrong with it.
    """
    return _decode(path, _RESULT, 'move the file away')


def read_all(folder: str | os.PathLike) -> tuple[list[Result], list[str]]:
    """Reads every result of a folder, and says a line of every file that is none.

    Args:
      folder: holds `*.json`; a manifest among them is passed over.

    Returns:
      (results, problems): sorted by table, order, row, seed and hash; strings that name the
      file, one for all files of another schema.
    """
    results, problems, others = [], [], {}
    for path in sorted(pathlib.Path(folder).glob('*.json')):
        if path.name == MANIFEST:
            continue
        try:
            result = read(path)
        except OtherSchema as e:
            others.setdefault(e.schema, []).append(str(e))
            continue
        except UserError as e:
            problems.append(str(e))
            continue
        if path.name != filename(result):
            problems.append(f'{path}: holds the cell {filename(result)}, so it is a copy or '
                            'was renamed; give it that name or move it away')
        else:
            results.append(result)
    for schema, said in others.items():
        several = (f'{folder}: {len(said)} files of schema {schema}, not {VERSION}, the one '
                   f'this version reads; {_remedy(schema, folder)}')
        problems.append(several if len(said) > 1 else said[0])
    results.sort(key=lambda r: (r.table, r.order, r.row, r.seed, r.config_hash))
    return results, problems


def _bounded(metric: Any) -> Any:
    """A metric's record with null, and a warning, for what is not finite."""
    if not isinstance(metric, dict):
        return metric
    for field in ('value', 'stderr'):
        x = metric.get(field)
        if isinstance(x, float) and not abs(x) <= LARGEST:
            said = filter(None, [metric.get('warning'), f'{field} was {x}'])
            metric = {**metric, field: None, 'warning': '; '.join(said)}
    return metric


def checked(result: Result | Mapping[str, Any]) -> Result:
    """Checks a result field by field, and makes of it what will stand in its file.

    Args:
      result: a `Result`, or the fields of one as a file holds them. NumPy's scalars are
        welcome. Of metrics a number that is not finite becomes null with a warning, in the
        config a string, elsewhere null.

    Returns:
      The result with Python's numbers.

    Raises:
      ValueError: one phrase that names the field that is wrong.
    """
    raw = msgspec.to_builtins(result, enc_hook=plain)
    if isinstance(raw.get('metrics'), dict):
        raw['metrics'] = {k: _bounded(m) for k, m in raw['metrics'].items()}
    if 'config' in raw:
        raw['config'] = finite(plain(raw['config']), str)
    raw = finite(raw, lambda x: None)
    try:
        return msgspec.convert(raw, Result)
    except msgspec.ValidationError as e:
        raise ValueError(f'not a result: {_wrong(e, raw, Result)}') from None


def write(folder: str | os.PathLike, result: Result | Mapping[str, Any],
          arrays: Mapping[str, np.ndarray] | None = None) -> pathlib.Path:
    """Writes one cell, the artefacts first; a valid file of the same name is left as it is.

    Args:
      folder: the results folder.
      result: see `checked`.
      arrays: {name: array} for the .npz beside it, or None.

    Returns:
      Path of the JSON file.

    Raises:
      ValueError: a field is wrong.
      UserError: the files cannot be written.
    """
    result = checked(result)
    path = pathlib.Path(folder) / filename(result)
    if path.exists():
        with contextlib.suppress(UserError):
            read(path)
            return path
    if arrays is not None:
        buffer = io.BytesIO()
        named: dict[str, Any] = dict(arrays)
        np.savez_compressed(buffer, **named)
        write_bytes(path.with_suffix('.npz'), buffer.getvalue())
    write_bytes(path, dumped(result))
    return path


def amend(path: pathlib.Path, tuning: Tuning) -> None:
    """Writes how a cell's numbers were chosen into a result that says something else, or
    nothing; nothing else of it changes.

    Raises:
      UserError: the file is damaged, or cannot be written.
    """
    result = read(path)
    if result.tuning != tuning:
        write_bytes(path, dumped(msgspec.structs.replace(result, tuning=tuning)))


def dumped(record: Record) -> bytes:
    """Gives the text of a file, a field a line, so that two of them can be compared by line."""
    value = msgspec.to_builtins(record)
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + '\n').encode()


def manifest(fields: Manifest | Mapping[str, Any]) -> Manifest:
    """Makes a manifest of its fields, every one checked.

    Raises:
      ValueError: a field is wrong.
    """
    raw = msgspec.to_builtins(fields, enc_hook=plain)
    try:
        return msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as e:
        raise ValueError(f'not a manifest: {_wrong(e, raw, Manifest)}') from None


def write_manifest(workdir: str | os.PathLike,
                   fields: Manifest | Mapping[str, Any]) -> pathlib.Path:
    """Writes `<workdir>/table.json`: which cells belong to the tables as now configured.

    Args:
      workdir: the folder.
      fields: a `Manifest`, or the fields of one.

    Returns:
      Path of the file.

    Raises:
      ValueError: a field is wrong.
      UserError: the file cannot be written.
    """
    path = pathlib.Path(workdir) / MANIFEST
    write_bytes(path, dumped(manifest(fields)))
    return path


def read_manifest(workdir: str | os.PathLike) -> Manifest | None:
    """Reads the manifest of a folder.

    Args:
      workdir: the folder.

    Returns:
      The manifest, None where there is none.

    Raises:
      UserError: it is malformed.
    """
    path = pathlib.Path(workdir) / MANIFEST
    if not path.exists():
        return None
    return _decode(path, _MANIFEST, 'run the table again to write a new one')
