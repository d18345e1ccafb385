"""What a config may say: keys there are, types, choices, intervals, names."""
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from vaebench.errors import UserError, unknown
from vaebench.experiment.config_keys import fields, schema_of
from vaebench.files import one_line

FORMS: Mapping[str, tuple[str, str]] = {
    'name': ('[A-Za-z0-9][A-Za-z0-9_+=.-]{0,99}',
             'letters, digits and _ + = . -, at most 100, a letter or digit first'),
    'line': ('.*', 'one line of printable text'),
    'mesh': (r'|auto|(seed|data):[1-9]\d*|seed:[1-9]\d*,data:[1-9]\d*',
             "sizes such as seed:2,data:4, or auto for all devices, or '' for one"),
}
"""Form of a text -> (regular expression, the same in words). A name becomes a file's, and may
stand in a list with commas."""


def check(config: Mapping[str, Any], schema: type, where: str = '') -> None:
    """Refuses unknown keys, missing keys, and values that could only fail later.

    Args:
      config: what a config says.
      schema: the class with the keys that it may say, of `config_keys`.
      where: what it is the config of, for the message.

    Raises:
      UserError: one line that names the key and says what to give.

    >>> from vaebench.experiment.config_keys import Optimizer
    >>> check({'name': 'sgd', 'lr': 'x'}, Optimizer)
    Traceback (most recent call last):
    vaebench.errors.UserError: lr='x': give a number
    """
    if not isinstance(config, Mapping):
        raise UserError(f'{where or "the config"} is {_shown(config)}: give a mapping')
    _check(config, schema, '', f' in {where}' if where else '')


def inside(number: float, interval: str) -> bool:
    """Says whether a number lies in an interval, of which a round bracket leaves the end out.

    >>> inside(0., '[0, 1)'), inside(1., '[0, 1)'), inside(float('nan'), '(-inf, inf)')
    (True, False, False)
    """
    low, high = map(float, interval[1:-1].split(','))
    return ((number >= low if interval[0] == '[' else number > low)
            and (number <= high if interval[-1] == ']' else number < high))


def _check(config: Mapping[str, Any], schema: type, path: str, where: str) -> None:
    known = fields(schema)
    for name in config:
        if name not in known and not getattr(schema, 'open', False):
            raise unknown(f'key{where}', f'{path}{name}', [path + k for k in known])
    for name, f in known.items():
        if name in config:
            _check_value(f'{path}{name}', config[name], f, where)
        elif f.default is f.default_factory is dataclasses.MISSING:
            raise UserError(f'no {path}{name}{where}: {f.metadata["help"]}')


def _check_value(name: str, value: Any, f: dataclasses.Field, where: str) -> None:
    _check_type(name, value, f.type, where)
    if (choices := f.metadata['choices']) and value not in choices:
        *most, last = choices
        raise UserError(f'{name}={_shown(value)}{where}: give {", ".join(most)} or {last}')
    if f.metadata['within']:
        _check_numbers(name, value, f, where)
    if f.metadata['form']:
        _check_form(name, value, f.metadata['form'], where)
    if isinstance(value, tuple | list):
        _check_list(name, value, get_args(f.type)[0], where)
    elif schema := schema_of(f):
        _check(value, schema, f'{name}.', where)


def _check_numbers(name: str, value: Any, f: dataclasses.Field, where: str) -> None:
    """Checks a number, or those of a mapping that no schema of its own checks."""
    numbers = {name: value}
    if isinstance(value, Mapping):
        own = fields(schema) if (schema := schema_of(f)) else {}
        numbers = {f'{name}.{k}': v for k, v in value.items() if k not in own}
        if get_args(f.type):
            for part, each in numbers.items():
                _check_type(part, each, get_args(f.type)[1], where)
        else:
            numbers = {part: v for part, each in numbers.items() for v in _whole(each)}
    for part, number in numbers.items():
        if not inside(number, f.metadata['within']):
            wanted = _interval(f.metadata['within'])
            raise UserError(f'{part}={number}{where}: give {wanted}')


def _whole(value: Any) -> Iterable[int]:
    """The least of the whole numbers that an option is or lists, if there is one."""
    numbers = value if isinstance(value, tuple | list) else [value]
    return sorted(x for x in numbers if _is(x, int))[:1]


def _interval(text: str) -> str:
    """An interval in words."""
    low, high = (end.strip() for end in text[1:-1].split(','))
    if high == 'inf':
        more = f'{low} or more' if text[0] == '[' else f'more than {low}'
        return 'a finite number' if low == '-inf' else more
    return f'a number in {text}'


def _check_form(name: str, value: Any, form: str, where: str) -> None:
    pattern, words = FORMS[form]
    named = isinstance(value, Mapping)
    for text in value if named else [value]:
        if not (isinstance(text, str) and text.isprintable() and re.fullmatch(pattern, text)):
            what = f'the name {_shown(text)} in {name}' if named else f'{name}={_shown(text)}'
            raise UserError(f'{what}{where}: give {words}')


def _check_list(name: str, value: Sequence[Any], kind: type, where: str) -> None:
    for i, each in enumerate(value):
        _check_type(f'{name}[{i}]', each, kind, where)
        if each in value[:i]:
            raise UserError(f'{name}{where} names {_shown(each)} twice: name it once')


def _check_type(name: str, value: Any, kind: Any, where: str) -> None:
    if not _is(value, kind):
        of = _PARTS[get_args(kind)[0]] if _origin(kind) is tuple else ''
        raise UserError(f'{name}={_shown(value)}{where}: give {_KINDS[_origin(kind)][1]}{of}')


def _shown(value: Any) -> str:
    return one_line(repr(value), 40)


_PARTS = {str: ' names', float: ' numbers'}
_KINDS = {int: (int, 'a whole number'), float: ((int, float), 'a number'), str: (str, 'a text'),
          tuple: ((tuple, list), 'a list of'), Mapping: (Mapping, 'a mapping')}


def _origin(kind: Any) -> type:
    """The key of `_KINDS` that stands for a type."""
    return Mapping if dataclasses.is_dataclass(kind) else get_origin(kind) or kind


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, _KINDS[_origin(kind)][0]) and not isinstance(value, bool)
