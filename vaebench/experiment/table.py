"""A table's config, resolved into rows: every setting of each, and the hashes of its cells."""
from collections.abc import Mapping
from typing import Any, NamedTuple

from vaebench import files
from vaebench.errors import UserError, unknown
from vaebench.experiment import config_keys
from vaebench.experiment.config_keys import merge


class Row(NamedTuple):
    """One line of a table, with every setting decided."""
    name: str
    label: str
    order: int
    config: Mapping[str, Any]     # how it trains and is measured: the keys of `config_keys.Row`
    published: tuple[str, ...]
    train_hash: str               # of what decides the parameters
    config_hash: str              # of what decides the numbers


class Table(NamedTuple):
    """Rows that are compared with one another."""
    name: str
    title: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    config: Mapping[str, Any]     # the keys of `config_keys.Table`


def _nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split('.')):
        value = {part: value}
    return value


def _select(text: str, names: list[str]) -> list[str]:
    """Rows that a filter such as 'vae,bn_vae' names; all for ''."""
    wanted = [n.strip() for n in text.split(',') if n.strip()]
    for name in wanted:
        if name not in names:
            raise unknown('row', name, names)
    return wanted or list(names)


def tables(config: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> list[Table]:
    """Reads the tables of a config.

    A config is one table, or holds several under `tables`; then its `rows` and `seeds` reach
    each of them. A row's own values go before the table's, the command line's before both.

    Args:
      config: nested mapping with the keys of `config_keys.Table` or `config_keys.Tables`.
      given: dotted keys that the command line set, with their values.

    Returns:
      List of `Table`.

    Raises:
      UserError: an unknown key, row, method or metric, or a value that is none of its key.
    """
    config, given = config_keys.filled(config), given or {}
    if 'tables' not in config:
        return [_table(config, given)]
    config_keys.check(config, config_keys.Tables)
    found, parts = [], config['tables']
    shared = {k: v for k, v in given.items() if not k.startswith('tables.')}
    known = dict.fromkeys(name for sub in parts.values() for name in sub['table'])
    names = _select(config['rows'], list(known))
    for key, sub in parts.items():
        path = f'tables.{key}.'
        own = {k.removeprefix(path): v for k, v in given.items() if k.startswith(path)}
        rows = [name for name in sub['table'] if name in names]
        if rows:
            seeds = shared.get('seeds', sub['seeds'])
            found.append(_table({**sub, 'rows': ','.join(rows), 'seeds': seeds}, own))
    return found


def _table(config: Mapping[str, Any], given: Mapping[str, Any]) -> Table:
    config_keys.check(config, config_keys.Table, 'the config')
    if config['baseline'] and config['baseline'] not in config['table']:
        raise unknown('row for a baseline', config['baseline'], config['table'])
    _check_metrics([*config['columns'], *filter(None, [config['primary']])])
    command: dict[str, Any] = {}
    for key, value in given.items():
        command = merge(command, _nested(key, value))
    names = _select(config['rows'], list(config['table']))
    rows = [_row(name, order, config, command) for order, name in enumerate(config['table'])
            if name in names]
    return Table(config['name'], config['title'], tuple(rows), tuple(range(config['seeds'])),
                 tuple(config['columns'] or config['metrics']), config)


def _row(name: str, order: int, table: Mapping[str, Any], command: Mapping[str, Any]) -> Row:
    """A row with the table's settings, its own and the command line's; `command` is nested."""
    from vaebench import methods
    row, where = table['table'][name], f'row {name}'
    config_keys.check(row, config_keys.Entry, where)
    own, settings = row.get('overrides', {}), config_keys.fields(config_keys.Settings)
    for key in own:
        if key not in settings:
            raise unknown(f'override of {where}:', key, settings)
    entry = methods.find(row['method'])
    hp = row.get('hp', {})
    for key in hp:
        if key not in entry.hp:
            raise unknown(f'hp of {where}:', key, sorted(entry.hp))
    config = {k: v for k, v in merge(merge(table, own), command).items() if k in settings}
    config |= {'method': row['method'], 'hp': {**entry.hp, **hp},
               'options': {**entry.options, **row.get('options', {})}}
    config_keys.check(config, config_keys.Row, where)
    _check_metrics(config['metrics'])
    return Row(name, _label(row.get('label', name), name, config), order, config,
               tuple(row.get('published', ())),
               files.config_hash(config_keys.parameters(config)),
               files.config_hash(config_keys.numbers(config)))


def _label(text: str, name: str, config: Mapping[str, Any]) -> str:
    """A label with its numbers put in, so that it cannot say another than the row has.

    >>> row = {'hp': {'target': 8.}, 'options': {}, 'kit': {'latent': 32}}
    >>> _label('FB ({target:g}), {kit[latent]} units', 'fb', row)
    'FB (8), 32 units'
    """
    try:
        return text.format(**{**config, **config['hp'], **config['options']})
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise UserError(f'label of row {name}: {text!r} asks for what the row does not have '
                        f'({error}); write {{{{ and }}}} for braces') from error


def _check_metrics(names: list[str]) -> None:
    from vaebench.metrics import METRICS
    for name in names:
        if name not in METRICS:
            raise unknown('metric', name, METRICS)
