"""Config files, found by name or by path from any folder."""
import importlib.util
import inspect
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ml_collections import config_dict

from vaebench.errors import UserError
from vaebench.experiment import config_keys
from vaebench.files import one_line, user_path

HERE = pathlib.Path(__file__).parent.parent
FOLDERS = HERE / 'configs', HERE.parent / 'configs'    # of an installed package, of a checkout


def folder() -> pathlib.Path:
    """Finds the folder of the package's own config files."""
    return next((path for path in FOLDERS if path.is_dir()), FOLDERS[0])


def names() -> list[str]:
    """Lists the configs that the package comes with."""
    return sorted(path.stem for path in folder().glob('[!_]*.py'))


def find(name: str) -> pathlib.Path:
    """Finds the file of a config.

    Args:
      name: one of `names`, such as 'ptb' (or 'configs/ptb.py', from any folder), or a path.

    Returns:
      An existing path.

    Raises:
      UserError: there is none; it names those that there are.

    >>> find('ptb').name
    'ptb.py'
    """
    path = user_path(name)
    if path.is_file():
        return path
    own = path.parts[1:] if path.parts[:1] == ('configs',) else path.parts
    if len(own) == 1 and path.stem in names():
        return folder() / f'{path.stem}.py'
    known = ', '.join(names())
    raise UserError(f'cannot find the config {name}: give a path, or one of {known}')


def load(text: str) -> config_dict.ConfigDict:
    """Loads the config that a command names.

    Args:
      text: NAME or NAME:ARGUMENT, where the argument is handed to the file's `get_config`.

    Returns:
      What `get_config` returns, with the defaults of the keys that it leaves out. It is locked:
      only keys that it has can be set.

    Raises:
      UserError: there is no such file, or something is wrong with what stands in it.

    >>> load('synthetic:small').epochs
    6
    """
    name, argument = _parted(text)
    path = find(name)
    try:
        spec = importlib.util.spec_from_file_location(f'{path.stem}_config', path)
        if spec is None or spec.loader is None:
            raise UserError(f'{path} is no Python file: a config is one, named *.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = _made(module, argument)
        return ordered(config_keys.filled(config)).lock()
    except UserError as error:
        raise UserError(f'{text}: {error}') from error
    except (Exception, SystemExit) as error:   # whatever a file of the user's may do wrong
        reason = one_line(f'{type(error).__name__}: {error}')
        raise UserError(f'cannot read the config {path}: {reason}') from error


def _parted(text: str) -> tuple[str, list[str]]:
    """(name or path, [argument] or []); a colon may stand in the path of a file."""
    parts = text.split(':')
    for i in range(len(parts), 1, -1):
        if user_path(path := ':'.join(parts[:i])).is_file():
            return path, [':'.join(parts[i:])] if parts[i:] else []
    return parts[0], [':'.join(parts[1:])] if parts[1:] else []


def _made(module: ModuleType, argument: list[str]) -> Mapping[str, Any]:
    """What a file's `get_config` gives."""
    function = module.get_config
    if argument and not inspect.signature(function).parameters:
        raise UserError(f'it comes in one size only: leave out :{argument[0]}')
    config = function(*argument)
    if isinstance(config, config_dict.ConfigDict):
        config = config.to_dict(preserve_field_references=True)
    if not isinstance(config, Mapping):
        raise UserError(f'get_config gives {type(config).__name__}: it should be a mapping')
    return config


def ordered(config: Mapping[str, Any]) -> config_dict.ConfigDict:
    """Makes a `ConfigDict` whose keys keep their order, at every depth.

    One placeholder under several keys becomes one for each: they could only be set together, to
    the same value. References that have a value stay shared, as their author wants it.

    >>> list(ordered({'table': {'vae': {}, 'ae': {}}}).table)
    ['vae', 'ae']
    """
    return _ordered(config, set())


def _ordered(config: Mapping[str, Any], seen: set[int]) -> config_dict.ConfigDict:
    out = config_dict.ConfigDict(sort_keys=False)
    for key, value in config.items():
        if isinstance(value, Mapping):
            value = _ordered(value, seen)
        elif isinstance(value, config_dict.FieldReference):
            value = _alone(value) if id(value) in seen else value
            seen.add(id(value))
        out[key] = value
    return out


def _alone(reference: config_dict.FieldReference) -> config_dict.FieldReference:
    """A placeholder of its own; a reference that has a value as it is."""
    try:
        if reference.get() is not None:
            return reference
    except config_dict.RequiredValueError:
        return config_dict.required_placeholder(reference.get_type())
    return config_dict.placeholder(reference.get_type())
