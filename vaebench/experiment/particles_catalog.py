"""The rows of moving particles, as data: one method, a network each."""
from typing import Any

from vaebench.experiment.rows import Entry, Rows, change, overrides, published, row


def network(label: str, kit: str) -> Entry:
    """Makes the row of a network by the name of its kit."""
    return row(label, 'regressor', overrides(kit=dict(name=kit)))


ROWS: Rows = {
    'zero': row('zero', 'zero'),
    'linear': network('linear', 'linear'),
    'deepset': network('DeepSet', 'deepset'),
    'set_transformer': network('Set Transformer', 'set_transformer'),
    'tfn': network('TFN', 'tfn'),
    'egnn': network('EGNN', 'egnn'),
    'se3': network('SE(3)-Transformer', 'se3'),
}
"""From what knows nothing, by what knows no rotations, to what commutes with them."""

PUBLISHED = {name: f'I2/{name}' for name in
             ('linear', 'deepset', 'set_transformer', 'tfn', 'se3')}
"""Row -> the published numbers that it answers to."""


def sized(**sizes: dict[str, Any]) -> dict[str, Entry]:
    """Gives the rows the sizes of their networks.

    Args:
      **sizes: row -> keys of its kit.

    >>> sized(deepset=dict(layers=4))['deepset']['overrides']
    {'kit': {'name': 'deepset', 'layers': 4}}
    """
    return change(published(ROWS, PUBLISHED),
                  {name: overrides(kit=kit) for name, kit in sizes.items()})
