"""Rows of a table as plain data, and the few functions with which a config changes them.

A row is a dict with the keys of `config_keys.Entry`; a change is such a dict with some of them.
`catalog` has the rows that there are, with the numbers of their papers; a config merges in what
its data and the length of its run ask for:

    rows = change(catalog.text(words=21.9), {
        'fb fbp': hp(target=4.),                                     # nats
        'lagging': options(max_inner=10),
        'wae_gan': hp(critic_lr=3e-3) | overrides(optimizer=dict(name='adam', lr=5e-4)),
    })
"""
from collections.abc import Mapping, Sequence
from typing import Any

from vaebench.errors import unknown
from vaebench.experiment.config_keys import merge

Entry = dict[str, Any]
"""A row as a config writes it, or a change of one: the keys of `config_keys.Entry`."""
Rows = Mapping[str, Entry]
"""Rows by name, in the order of the table."""


def hp(**numbers: float) -> Entry:
    """Changes a method's traced numbers.

    >>> hp(beta=4.) | options(rate=.1)
    {'hp': {'beta': 4.0}, 'options': {'rate': 0.1}}
    """
    return {'hp': numbers}


def options(**values: Any) -> Entry:
    """Changes a method's static options."""
    return {'options': values}


def overrides(**settings: Any) -> Entry:
    """Changes the table's settings for one row: keys of `config_keys.Settings`."""
    return {'overrides': settings}


def lr(rate: float) -> Entry:
    """Changes a row's learning rate."""
    return overrides(optimizer=dict(lr=rate))


def seeds(count: int) -> Entry:
    """Gives a row so many seeds, whatever the table has; `--config.seeds` goes before."""
    return {'seeds': count}


def space(**names: Any) -> Entry:
    """Says what tuning tries of a row, besides what the table says of all its rows.

    Args:
      **names: a traced number of the method, one of its options, `lr`, or a setting, nested as
        in `overrides` -> what `log`, `linear` and `among` make; None leaves out what the table
        says. Where an interval is from belongs beside it.

    >>> space(beta=log(.1, 10.), kit=dict(latent=among(8, 16)))['space']
    {'beta': ('log', 0.1, 10.0), 'kit': {'latent': ('among', 8, 16)}}
    """
    return {'space': names}


def log(low: float, high: float) -> tuple[Any, ...]:
    """An interval of a traced number, of which every factor is tried as often."""
    return 'log', low, high


def linear(low: float, high: float) -> tuple[Any, ...]:
    """An interval of a traced number, of which every part is tried as often."""
    return 'linear', low, high


def among(*choices: Any) -> tuple[Any, ...]:
    """Choices; of what is no traced number each is compiled by itself."""
    return 'among', *choices


def row(label: str, method: str, *changes: Entry) -> Entry:
    """Makes a row.

    Args:
      label: what the table calls it; {NAME} stands for a number, an option or a setting.
      method: its name in the registry.
      *changes: what differs from the method's numbers and options and the table's settings.

    >>> row('FB ({target:g})', 'fb', hp(target=8.))
    {'label': 'FB ({target:g})', 'method': 'fb', 'hp': {'target': 8.0}}
    """
    entry: Entry = {'label': label, 'method': method}
    for changed in changes:
        entry = merge(entry, changed)
    return entry


def sweep(name: str, entry: Entry, **numbers: Sequence[float]) -> dict[str, Entry]:
    """Makes rows of one method that differ in its numbers: `name_1`, `name_2` and so on.

    Args:
      name: of the rows, before their places.
      entry: what they share; its label has the number in braces.
      **numbers: values of every traced number that differs, in the order of the rows.

    >>> found = sweep('beta_vae', row('beta-VAE ({beta:g})', 'beta_vae'), beta=(1., 4.))
    >>> {name: entry['hp'] for name, entry in found.items()}
    {'beta_vae_1': {'beta': 1.0}, 'beta_vae_2': {'beta': 4.0}}
    """
    settings = [dict(zip(numbers, values, strict=True))
                for values in zip(*numbers.values(), strict=True)]
    return {f'{name}_{i}': merge(entry, hp(**own)) for i, own in enumerate(settings, 1)}


def change(rows: Rows, *changes: Mapping[str, Entry]) -> dict[str, Entry]:
    """Rows with changes merged in, deep; a later change goes over an earlier one.

    Args:
      rows: the rows by name.
      *changes: each names of rows, separated by spaces -> what changes in each of them.

    Returns:
      A new dict; the rows that are not named are as they were.

    Raises:
      UserError: a name that is not a row's.

    >>> rows = {'fb': row('FB', 'fb'), 'fbp': row('FBP', 'fbp')}
    >>> change(rows, {'fb fbp': hp(target=4.), 'fbp': hp(target=8.)})['fbp']['hp']
    {'target': 8.0}
    """
    out = dict(rows)
    for names, changed in ((n, c) for group in changes for n, c in group.items()):
        for name in names.split():
            if name not in out:
                raise unknown('row', name, out)
            out[name] = merge(out[name], changed)
    return out


def select(rows: Rows, names: str) -> dict[str, Entry]:
    """Picks the rows that are named, separated by spaces, in the order of `rows`.

    Raises:
      UserError: a name that is not a row's.
    """
    change(rows, {names: {}})
    return {name: entry for name, entry in rows.items() if name in names.split()}


def without(rows: Rows, names: str) -> dict[str, Entry]:
    """Picks the rows but for those that are named, separated by spaces."""
    return {name: entry for name, entry in rows.items() if name not in select(rows, names)}


def having(rows: Rows, number: str) -> str:
    """Names of the rows that set a number of their method, separated by spaces.

    >>> having({'fb': row('FB', 'fb', hp(target=8.)), 'vae': row('VAE', 'vae')}, 'target')
    'fb'
    """
    return ' '.join(name for name, entry in rows.items() if number in entry.get('hp', {}))


def published(rows: Rows, keys: Mapping[str, str]) -> dict[str, Entry]:
    """Rows with the published numbers that each answers to.

    Args:
      rows: the rows by name.
      keys: row name -> keys of published results, separated by spaces.
    """
    return change(rows, {name: {'published': tuple(k.split())} for name, k in keys.items()})
