"""Config files, found by name or by path from any folder."""
import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from vaebench.errors import UserError
from vaebench.experiment import config_keys

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
    path = pathlib.Path(name)
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
    name, *argument = text.split(':', 1)
    path = find(name)
    try:
        spec = importlib.util.spec_from_file_location(f'{path.stem}_config', path)
        if spec is None or spec.loader is None:
            raise UserError(f'{path} is no Python file: a config is one, named *.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config(*argument)
        if isinstance(config, config_dict.ConfigDict):
            config = config.to_dict(preserve_field_references=True)
        return ordered(config_keys.filled(config)).lock()
    except UserError as error:
        raise UserError(f'{text}: {error}') from error
    except Exception as error:                 # whatever a file of the user's may do wrong
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(f'cannot read the config {path}: {reason}') from error


def ordered(config: Mapping[str, Any]) -> config_dict.ConfigDict:
    """Makes a `ConfigDict` whose keys keep their order, at every depth.

    >>> list(ordered({'table': {'vae': {}, 'ae': {}}}).table)
    ['vae', 'ae']
    """
    out = config_dict.ConfigDict(sort_keys=False)
    for key, value in config.items():
        out[key] = ordered(value) if isinstance(value, Mapping) else value
    return out
