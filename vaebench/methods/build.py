"""Builds the method of a row on its kit."""
from collections.abc import Mapping
from typing import Any

from vaebench import networks
from vaebench.core import Method, Recipe
from vaebench.errors import UserError
from vaebench.methods import Entry, find
from vaebench.networks import adjusted
from vaebench.schema import Schema


def fitting(entry: Entry) -> tuple[str, ...]:
    """Names our kits that have all the networks an entry needs.

    >>> from vaebench.methods import METHODS
    >>> fitting(METHODS['twr'])
    ('lstm',)
    """
    return tuple(
        name for name, kit in networks.KITS.items() if set(entry.needs) <= set(kit.offers))


def check(config: Mapping[str, Any]) -> None:
    """Refuses a row whose kit lacks a network that its method needs; reads no data.

    Args:
      config: the row's resolved config.

    Raises:
      UserError: one line that names what is missing.

    >>> check({'method': 'vae', 'kit': {'name': 'lstm'}})
    """
    entry, kit = find(config['method']), networks.find(config['kit']['name'])
    if missing := sorted(set(entry.needs) - set(kit.offers)):
        raise UserError(
            f"method {config['method']} needs {', '.join(missing)}, which "
            f"kit.name={config['kit']['name']} has not "
            f"({', '.join(fitting(entry)) or 'no kit'} has): choose other rows with "
            '--config.rows')


def build(config: Mapping[str, Any], schema: Schema, recipe: Recipe) -> Method:
    """Builds the `Method` of a row on its kit.

    Args:
      config: the row's resolved config.
      schema: the dataset's.
      recipe: what the table's protocol asks.

    Returns:
      A `Method`.

    Raises:
      UserError: the kit lacks what the method needs, the data what the kit reads, or an option
      is unknown.
    """
    check(config)
    try:
        factory = find(config['method']).factory
        kit = adjusted.to_fit(networks.build(schema, config['kit']), config)
        return factory(kit, recipe, **config['options'])
    except TypeError as error:
        if 'argument' not in str(error):
            raise
        raise UserError(
            f"method {config['method']} or its kit: {error}; mend the row's options") from error
