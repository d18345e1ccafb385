"""Result files: one JSON and one .npz of artefacts per cell, written once, every field checked when read."""
import contextlib
import io
import json
import math
import os
import pathlib
import re

import numpy as np

from vaebench.errors import UserError
from vaebench.files import finite, one_line, plain, write_bytes

MANIFEST = 'table.json'
VERSION = 1
LARGEST = 1e300
"""A measured number beyond it counts as infinite: sums and differences of such numbers would overflow."""

_NONE = type(None)
_COUNT, _NUMBER = (int, _NONE), (int, float, _NONE)
_METRIC = {
    'value': _NUMBER, 'estimator': str, 'unit': str, 'better': ('lower', 'higher', None),
    'n?': _COUNT, 'samples?': _COUNT, 'stderr?': _NUMBER, 'warning?': (str, _NONE),
    'note?': (str, _NONE),
}
SCHEMA = {
    'schema': int, 'table': str, 'title': str, 'row': str, 'label': str, 'order': int, 'seed': int, 'method': str,
    'status': ('done', 'failed'), 'reason': (str, _NONE), 'published': [str],
    'dataset': {'name': str, 'sha256': str, 'split': str, 'reduced?': (bool, _NONE), 'sizes?': (dict, _NONE)},
    'config': dict, 'config_hash': str, 'train_hash': str,
    'parameters': ('best', 'last', None, list),     # of each phase: {'phase', 'kept'}
    'metrics': {'*': _METRIC}, 'times': {'train': _NUMBER, 'evaluate': _NUMBER, 'compile': _NUMBER},
    'steps': int, 'parameter_count': int, 'peak_memory': _COUNT,
    'git': {'revision': (str, _NONE), 'dirty': (bool, _NONE)}, 'versions': {'*': str},
    'device': {'kind': str, 'count': int, 'platform': str}, 'host': (str, _NONE),
}
"""The fields of a result. 'x?' may be left out, '*' is any key, a tuple lists types or allowed values."""

_OPTIONAL = [field.rstrip('?') for field in _METRIC if field.endswith('?')]
_MANIFEST = {'tables': [{
    'table': str, 'title': str, 'columns?': [str], 'seeds?': [int], 'primary?': str, 'baseline?': str,
    'rows': [{'row': str, 'label': str, 'order': int, 'hash': str, 'seeds?': [int], 'published?': [str]}],
}]}
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_+=,.-]*')
_HASH = re.compile(r'[0-9a-f]{10}')


def filename(result):
    """The name of a cell's file: `<row>.s<seed>.<config_hash>.json`."""
    return f'{result["row"]}.s{result["seed"]}.{result["config_hash"]}.json'


def _shown(value):
    """The beginning of a value, for a message."""
    if isinstance(value, (dict, list)):
        return 'an object' if isinstance(value, dict) else 'a list'
    return one_line(json.dumps(value), 40)


def _names(spec):
    words = {str: 'a string', int: 'a whole number', float: 'a number', bool: 'true or false',
             dict: 'an object', list: 'a list', _NONE: 'null', None: 'null'}
    return ' or '.join(words[s] if s in words else repr(s) for s in spec if not (s is int and float in spec))


def _under(key, wrong):
    path, what = wrong
    return (key + ('.' if path and path[0] != '[' else '') + path, what) if key else wrong


def _checker(spec):
    """A function that says what is wrong with a value: (path of the field, phrase), or None.

    Made once for each schema, for a report checks every field of thousands of files.
    """
    if isinstance(spec, dict):
        each = _checker(spec['*']) if '*' in spec else None
        fields = [(k.rstrip('?'), k.endswith('?'), _checker(s)) for k, s in spec.items() if k != '*']

        def check(value):
            if not isinstance(value, dict):
                return '', 'is not an object'
            for key, optional, inner in fields:
                if key not in value:
                    if not optional:
                        return key, 'is missing'
                elif wrong := inner(value[key]):
                    return _under(key, wrong)
            if each:
                for key, inside in value.items():
                    if wrong := each(inside):
                        return _under(key, wrong)
            return None
    elif isinstance(spec, list):
        item = _checker(spec[0])

        def check(value):
            if not isinstance(value, list):
                return '', 'is not a list'
            return next((_under(f'[{i}]', w) for i, v in enumerate(value) if (w := item(v))), None)
    else:
        spec = spec if isinstance(spec, tuple) else (spec,)
        kinds = tuple(s for s in spec if isinstance(s, type))
        exact, words = frozenset(kinds), [s for s in spec if not isinstance(s, type)]

        def check(value):
            if type(value) in exact or isinstance(value, kinds) and not isinstance(value, bool):
                return None
            if any(w == value and type(w) is type(value) for w in words):
                return None
            return '', f'is {_shown(value)}, not {_names(spec)}'
    return check


def _check(value, checker):
    """What is wrong with `value`, or None."""
    if not (wrong := checker(value)):
        return None
    path, what = wrong
    return one_line(f"field '{path}' {what}" if path else f'it {what}', 200)


_check_result, _check_manifest = _checker(SCHEMA), _checker(_MANIFEST)


def validate(result):
    """Checks a result field by field.

    Args:
      result: the dict of one result file.

    Returns:
      None, or one phrase that says what is wrong.
    """
    if isinstance(result, dict) and 'schema' not in result:
        return "field 'schema' is missing, so it is no result file of vaebench"
    if isinstance(result, dict) and result['schema'] != VERSION:
        return f'schema {_shown(result["schema"])} is not {VERSION}, the one this version reads'
    if wrong := _check(result, _check_result):
        return wrong
    for field in ('row', 'table'):
        if not _NAME.fullmatch(result[field]):
            return f"field '{field}' is {one_line(repr(result[field]), 60)}: use letters, digits and _+=,.- only"
    for field in ('config_hash', 'train_hash'):
        if not _HASH.fullmatch(result[field]):
            return f"field '{field}' is {one_line(repr(result[field]), 60)}, not ten hex digits"
    for metric in result['metrics']:
        if not metric.strip() or not metric.isprintable():
            return f"field 'metrics' has the name {_shown(metric)}: a metric's name can be printed"
    if result['seed'] < 0:
        return "field 'seed' is negative"
    if result['status'] == 'failed' and not result['reason']:
        return "field 'reason' is empty though the status is failed"
    return None


def _load(path):
    """The JSON value of a file; numbers that no float or index can hold are refused, bare NaN and Infinity too."""
    def refuse(name):
        raise ValueError(f'it holds a bare {name}')

    def real(text):
        if not math.isfinite(x := float(text)):
            raise ValueError(f'it holds the number {one_line(text, 40)}, too large')
        return x

    def whole(text):
        if len(text) > 19:
            raise ValueError(f'it holds the number {one_line(text, 40)}, too large')
        return int(text)

    try:
        if not os.path.isfile(path) and os.path.exists(path):
            raise UserError(f'{path}: not a file; move it away')
        text = pathlib.Path(path).read_text(encoding='utf-8')
        value = json.loads(text, parse_constant=refuse, parse_float=real, parse_int=whole)
        if '\\' in text:    # where half a character may hide, which no other file could hold
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise UserError(f'{path}: not valid JSON (half a character, \\ud800 to \\udfff); move the file away') from None
    except OSError as e:
        raise UserError(f'{path}: cannot be read ({e.strerror}); check the path and its permissions') from None
    except RecursionError:
        raise UserError(f'{path}: not valid JSON (nested too deep); move the file away') from None
    except ValueError as e:
        raise UserError(f'{path}: not valid JSON ({one_line(str(e), 200)}); move the file away') from None


def read(path):
    """One result, every field checked.

    Args:
      path: the JSON file.

    Returns:
      The result, a dict with the fields of `SCHEMA`.

    Raises:
      UserError: one line that names the file and what is wrong with it.
    """
    result = _load(path)
    if wrong := validate(result):
        raise UserError(f'{path}: {wrong}; move the file away')
    for name, metric in result['metrics'].items():
        for field in _OPTIONAL:
            if field not in metric:
                metric[field] = None
        for field in ('value', 'stderr'):
            if metric[field] is not None and abs(metric[field]) > LARGEST:
                raise UserError(f"{path}: field 'metrics.{name}.{field}' is {metric[field]}, too large; move the file "
                                'away')
    for field, seconds in result['times'].items():
        if isinstance(seconds, float) and abs(seconds) > LARGEST:
            raise UserError(f"{path}: field 'times.{one_line(field, 40)}' is {seconds}, too large; move the file away")
    return result


def read_all(folder):
    """Every result of a folder, and a line for every file that is none.

    Args:
      folder: holds `*.json`; a manifest among them is passed over.

    Returns:
      (results, problems): dicts sorted by table, order, row, seed and hash; strings that name the file.
    """
    results, problems = [], []
    for path in sorted(pathlib.Path(folder).glob('*.json')):
        if path.name == MANIFEST:
            continue
        try:
            result = read(path)
        except UserError as e:
            problems.append(str(e))
            continue
        if path.name != filename(result):
            problems.append(f'{path}: holds the cell {filename(result)}, so it is a copy or was renamed; '
                            'give it that name or move it away')
        else:
            results.append(result)
    results.sort(key=lambda r: (r['table'], r['order'], r['row'], r['seed'], r['config_hash']))
    return results, problems


def _prepare(result):
    """A plain, valid `result` as it will stand in the file: null, with a warning, for a non-finite value."""
    for metric in result['metrics'].values():
        for field in _OPTIONAL:
            metric.setdefault(field, None)
        for field in ('value', 'stderr'):
            x = metric[field]
            if isinstance(x, float) and not abs(x) <= LARGEST:
                metric[field] = None
                metric['warning'] = '; '.join(filter(None, [metric['warning'], f'{field} was {x}']))
    result['config'] = finite(result['config'], str)
    return finite(result, lambda x: None)


def write(folder, result, arrays=None):
    """Writes one cell, the artefacts first; a valid file of the same name is left as it is.

    Args:
      folder: the results folder.
      result: dict with the fields of `SCHEMA`; numpy scalars are welcome, non-finite metrics become null
        with a warning.
      arrays: {name: array} for the .npz beside it, or None.

    Returns:
      Path of the JSON file.
    """
    result = plain(result)
    if wrong := validate(result):
        raise ValueError(f'not a result: {wrong}')
    result = _prepare(result)
    path = pathlib.Path(folder) / filename(result)
    if path.exists():
        with contextlib.suppress(UserError):
            read(path)
            return path
    if arrays is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_bytes(path.with_suffix('.npz'), buffer.getvalue())
    write_bytes(path, _dump(result))
    return path


def _dump(value):
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + '\n').encode()


def write_manifest(workdir, manifest):
    """Writes `<workdir>/table.json`: which cells belong to the tables as now configured.

    Args:
      workdir: folder.
      manifest: {'tables': [{'table', 'title', 'rows': [{'row', 'label', 'order', 'hash'}]}]}; a table may have
        'columns' (metrics in order), 'seeds' (expected), 'primary' (the metric it is read by) and 'baseline' (the row
        that others are compared with), a row 'seeds' of its own and 'published' keys.

    Returns:
      Path of the file.
    """
    manifest = plain(manifest)
    if wrong := _check(manifest, _check_manifest):
        raise ValueError(f'not a manifest: {wrong}')
    path = pathlib.Path(workdir) / MANIFEST
    write_bytes(path, _dump(manifest))
    return path


def read_manifest(workdir):
    """The manifest of a folder, or None where there is none; UserError where it is malformed."""
    path = pathlib.Path(workdir) / MANIFEST
    if not path.exists():
        return None
    manifest = _load(path)
    if wrong := _check(manifest, _check_manifest):
        raise UserError(f'{path}: {wrong}; run the table again to write a new one')
    return manifest

