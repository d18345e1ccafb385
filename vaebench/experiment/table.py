"""A table's config, resolved into rows: every setting of each, and the hashes of its cells."""
from collections.abc import Mapping
from typing import Any, NamedTuple

from vaebench import files
from vaebench.errors import UserError, unknown
from vaebench.experiment import config_keys, records
from vaebench.experiment.config_check import check
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
    seeds: tuple[int, ...]        # that this run trains
    tuning: Mapping[str, Any] | None = None     # how its numbers were chosen: `records.Tuning`


class Table(NamedTuple):
    """Rows that are compared with one another."""
    name: str
    title: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]        # that this run trains of rows that say nothing else
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


def _counts(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, int]:
    """How many seeds each row has: as many as the command line says, the row or the table."""
    every = int(config['seeds'])
    if 'seeds' in given:
        return dict.fromkeys(config['table'], every)
    return {name: int(entry.get('seeds', every)) for name, entry in config['table'].items()}


def _seeds(text: str, there: int) -> set[int]:
    """Which of so many seeds a filter such as '3,7' names; all for ''."""
    wanted = [word.strip() for word in text.split(',') if word.strip()]
    for word in wanted:
        if not word.isdecimal() or int(word) >= there:
            raise UserError(f'only_seeds={text}: give some of the seeds 0 to {there - 1}, such '
                            f'as 0,{there - 1}; seeds={there} says how many there are')
    return {int(word) for word in wanted} or set(range(there))


def tables(config: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> list[Table]:
    """Reads the tables of a config.

    A config is one table, or holds several under `tables`; then its `rows`, `seeds`,
    `only_seeds` and `split` reach each of them. A row's own values go before the table's, the
    command line's before both; so do numbers of seeds.

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
        return _tunable([_table(config, given)])
    check(config, config_keys.Tables)
    found, parts = [], config['tables']
    _check_parts(parts)
    shared = {k: v for k, v in given.items() if not k.startswith('tables.')}
    known = dict.fromkeys(name for sub in parts.values() for name in sub['table'])
    names = _select(config['rows'], list(known))
    for key, sub in parts.items():
        path = f'tables.{key}.'
        own = {k.removeprefix(path): v for k, v in given.items() if k.startswith(path)}
        rows = [name for name in sub['table'] if name in names]
        if rows:
            said = {k: shared[k] for k in ('seeds',) if k in shared}
            found.append(_table({**sub, 'rows': ','.join(rows), **said,
                                 'only_seeds': config['only_seeds'],
                                 'split': _other(config['split'], sub['split']),
                                 **_tuned(config, sub)},
                                {**own, **said}))
    _check_cells(found)
    return _tunable(found)


def has_space(table: Table) -> bool:
    """Says whether any row of a table's config has a space, asked for or not."""
    own = [entry.get('space') or {} for entry in table.config['table'].values()]
    return any(tried is not None for space in (table.config['space'], *own)
               for tried in space.values())


def _tunable(found: list[Table]) -> list[Table]:
    """Refuses to tune where no table says what to try."""
    if any(t.config['tune'] for t in found) and not any(map(has_space, found)):
        names = ', '.join(t.name for t in found)
        raise UserError(f'tune={found[0].config["tune"]}: no row of {names} declares a space; '
                        'give one to the table or its rows, or leave --tune out')
    return found


def _other(ours: str, own: str) -> str:
    """The split that all tables measure if it is not the usual one, else a table's own."""
    return own if ours == 'test' else ours


def _tuned(ours: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """How all tables are tuned if that is said of all, else a table's own."""
    said = ours if ours['tune'] else own
    return {'tune': said['tune'], 'tune_seeds': said['tune_seeds']}


def _check_parts(parts: Mapping[str, Any]) -> None:
    """Refuses no tables, tables without rows, and two of one name."""
    if not parts:
        raise UserError('the config has no table: name one under tables')
    for key, sub in parts.items():
        check(sub, config_keys.Table, f'tables.{key}')
    names = [sub['name'] for sub in parts.values()]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f'two tables have the name {name}: give each its own')


def _check_cells(found: list[Table]) -> None:
    """Refuses rows that two tables have alike: they would share one result file."""
    owner = {}
    for table in found:
        for row in table.rows:
            first = owner.setdefault((row.name, row.config_hash), table.name)
            if first != table.name:
                raise UserError(f'row {row.name} is the same in the tables {first} and '
                                f'{table.name}: leave it out of one')


def _table(config: Mapping[str, Any], given: Mapping[str, Any]) -> Table:
    check(config, config_keys.Table, 'the config')
    if not config['table']:
        raise UserError(f'table {config["name"]} has no row: name one under table')
    if config['baseline'] and config['baseline'] not in config['table']:
        raise unknown('row for a baseline', config['baseline'], config['table'])
    _check_metrics([*config['columns'], *filter(None, [config['primary']])])
    command: dict[str, Any] = {}
    for key, value in given.items():
        command = merge(command, _nested(key, value))
    names = _select(config['rows'], list(config['table']))
    for name in names:
        check(config['table'][name], config_keys.Entry, f'row {name}')
    counts = _counts(config, given)
    wanted = _seeds(config['only_seeds'], max(config['seeds'], *counts.values()))
    of = lambda there: tuple(sorted(wanted & set(range(there))))
    rows = [_row(name, order, config, command, of(counts[name]))
            for order, name in enumerate(config['table']) if name in names]
    return Table(config['name'], config['title'], tuple(rows), of(config['seeds']),
                 tuple(config['columns'] or config['metrics']), config)


def _row(name: str, order: int, table: Mapping[str, Any], command: Mapping[str, Any],
         seeds: tuple[int, ...]) -> Row:
    """A row with the table's settings, its own and the command line's; `command` is nested."""
    from vaebench import methods
    row, where = table['table'][name], f'row {name}'
    own, settings = row.get('overrides', {}), config_keys.fields(config_keys.Settings)
    for key in own:
        if key not in settings:
            raise unknown(f'override of {where}:', key, settings)
    entry = methods.find(row['method'])
    if not isinstance(entry, methods.Entry):
        raise UserError(f'method {row["method"]} of an installed package is no methods.Entry, '
                        f'but {type(entry).__name__}; choose other rows with --config.rows')
    hp = row.get('hp', {})
    for key in hp:
        if key not in entry.hp:
            raise unknown(f'hp of {where}:', key, sorted(entry.hp))
    config = {k: v for k, v in merge(merge(table, own), command).items() if k in settings}
    config |= {'method': row['method'], 'hp': {**entry.hp, **hp},
               'options': {**entry.options, **row.get('options', {})}}
    if table['split'] != 'test':       # only then, so that cells of before keep their hashes
        config['evaluation'] = {'split': table['split'], **config['evaluation']}
    bare = Row(name, '', order, {}, tuple(row.get('published', ())), '', '', seeds)
    found = with_config(bare, config, row.get('label', name))
    _check_metrics(config['metrics'])
    return found


def with_config(row: Row, config: Mapping[str, Any], label: str) -> Row:
    """Gives a row with other settings, and the hashes and the label that go with them.

    Args:
      row: of a table.
      config: its settings: the keys of `config_keys.Row`.
      label: as a config writes it, with its numbers in braces.

    Raises:
      UserError: a setting is none, or the label asks for what is not there.
    """
    where = f'row {row.name}'
    check(config, config_keys.Row, where)
    trained, measured = _hashes(config, where)
    return row._replace(label=_label(label, row.name, config), config=config,
                        train_hash=trained, config_hash=measured)


def _hashes(config: Mapping[str, Any], where: str) -> tuple[str, str]:
    """(train_hash, config_hash) of a row, whose every value a result file can hold."""
    try:
        if (large := records.too_large(files.plain(config))) is not None:
            raise ValueError(f'{str(large)[:20]}... is too large')
        return (files.config_hash(config_keys.parameters(config)),
                files.config_hash(config_keys.numbers(config)))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f'{where}: {error}; give numbers, texts and lists of them') from error


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
