"""A table's config, resolved into rows: what each trains on, with what, and the hashes that name its cells."""
from collections.abc import Mapping
from typing import Any, NamedTuple

from vaebench import files
from vaebench.errors import UserError, unknown
from vaebench.experiment import results


class Row(NamedTuple):
    """One line of a table, with every setting decided."""
    name: str
    label: str
    order: int
    config: Mapping[str, Any]     # everything that decides its numbers
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
    config: Mapping[str, Any]


def merge(base, over):
    """`base` with the entries of `over` put in, deep.

    >>> merge({'a': {'b': 1, 'c': 2}}, {'a': {'b': 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merge(out[key], value) if both else value
    return out


def _nested(path, value):
    for part in reversed(path.split('.')):
        value = {part: value}
    return value


def _select(text, names):
    """Rows that a filter such as 'vae,bn_vae' names; all for ''."""
    wanted = [n.strip() for n in text.split(',') if n.strip()]
    for name in wanted:
        if name not in names:
            raise unknown('row', name, names)
    return wanted or list(names)


def _ordered(entries):
    """Items by their `order`: a ConfigDict forgets the one they were written in."""
    return sorted(entries.items(), key=lambda item: item[1].get('order', 0))


def tables(config, given=None):
    """The tables of a config file.

    A config is one table, or holds several under `tables`; then its `rows` and `seeds` reach each of them.
    Precedence: table < row < command line.

    Args:
      config: nested dict.
      given: dotted keys that the command line set, with their values.

    Returns:
      List of `Table`.

    Raises:
      UserError: an unknown row or method, or an impossible number of seeds.
    """
    given = given or {}
    if 'tables' not in config:
        return [_table(config, given)]
    found, shared = [], {k: v for k, v in given.items() if not k.startswith('tables.')}
    known = dict.fromkeys(n for _, sub in _ordered(config['tables']) for n, _ in _ordered(sub['table']))
    names = _select(config.get('rows', ''), list(known))
    for key, sub in _ordered(config['tables']):
        own = {k.removeprefix(f'tables.{key}.'): v for k, v in given.items() if k.startswith(f'tables.{key}.')}
        rows = [n for n in sub['table'] if n in names]
        if rows:
            sub = merge(sub, {'rows': ','.join(rows), 'seeds': shared.get('seeds', sub['seeds'])})
            found.append(_table(sub, own))
    return found


COUNTS = ('epochs', 'batch', 'block', 'group', 'devices')


def _check(name, config):
    """Refuses settings that could only fail later."""
    from vaebench.metrics import METRICS
    counts = {k: config[k] for k in COUNTS}
    counts |= {f'{part}.{k}': v for part in ('kit', 'evaluation') for k, v in config[part].items()
               if isinstance(v, int) and not isinstance(v, bool)}
    for key, value in counts.items():
        if value < 1:
            raise UserError(f'{key}={value} in row {name}: give 1 or more')
    if config['seeds_by'] not in ('auto', 'vmap', 'map'):
        raise UserError(f"seeds_by={config['seeds_by']}: give auto, vmap or map")
    if config['protocol']['keep'] not in ('best', 'last'):
        raise UserError(f"protocol.keep={config['protocol']['keep']}: give best or last")
    for metric in config['metrics']:
        if metric not in METRICS:
            raise unknown('metric', metric, METRICS)


def _table(config, given):
    from vaebench import methods
    rows = []
    seeds = config['seeds']
    if not isinstance(seeds, int) or seeds < 1:
        raise UserError(f'seeds={seeds} is not a number of seeds; give 1 or more')
    names = _select(config.get('rows', ''), [name for name, _ in _ordered(config['table'])])
    command = {}
    for key, value in given.items():
        command = merge(command, _nested(key, value))
    for order, (name, row) in enumerate(_ordered(config['table'])):
        if name not in names:
            continue
        entry = methods.find(row['method'])
        full = merge(merge(config, row.get('overrides', {})), {k: v for k, v in command.items() if k != 'table'})
        hp = {**entry.hp, **row.get('hp', {})}
        extra = set(row.get('hp', {})) - set(entry.hp)
        if extra:
            raise unknown(f'hp of row {name}:', extra.pop(), sorted(entry.hp))
        full = {**{k: v for k, v in full.items() if k not in ('table', 'rows', 'seeds', 'name', 'title', 'columns')},
                'method': row['method'], 'hp': hp, 'options': {**entry.options, **row.get('options', {})}}
        train = {k: full[k] for k in results.TRAINING if k in full}
        rows.append(Row(name, row.get('label', name), order, full, tuple(row.get('published', ())),
                        files.config_hash(train), files.config_hash(
                            {**train, 'evaluation': full['evaluation'], 'metrics': full['metrics']})))
    for row in rows:
        _check(row.name, row.config)
    columns = tuple(config.get('columns', ()) or config['metrics'])
    return Table(config['name'], config['title'], tuple(rows), tuple(range(seeds)), columns, config)
