"""Shares of a table's groups, for processes that any scheduler starts."""
import collections
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vaebench.errors import UserError
from vaebench.experiment.cells import cut
from vaebench.experiment.table import Row, Table

FORM = re.compile(r'(\d{1,9})/(\d{1,9})')


class Shard(NamedTuple):
    """The groups k, k + n, k + 2 n, ... of a table, of which 1 is the first."""
    k: int
    n: int


def shard(text: str) -> Shard:
    """Reads a shard as a user writes it.

    Raises:
      UserError: it is none.

    >>> shard('3/40')
    Shard(k=3, n=40)
    """
    found = FORM.fullmatch(text.strip())
    k, n = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= k <= n:
        raise UserError(f'shard={text}: write k/n with k from 1 to n, such as 3/40')
    return Shard(k, n)


class Group(NamedTuple):
    """Seeds of a row that train together."""
    table: int                     # its place among the tables
    row: Row
    seeds: tuple[int, ...]


def groups(tables: Sequence[Table]) -> list[Group]:
    """Lists the groups of some tables, as if nothing of them were done.

    Args:
      tables: all tables of the command, in order.

    Returns:
      The groups, by table, row and seeds.
    """
    return list(_groups(tables))


def _groups(tables: Sequence[Table]) -> Iterator[Group]:
    for number, table in enumerate(tables):
        for row in table.rows:
            for seeds in cut(row.seeds, row.config['group']):
                yield Group(number, row, seeds)


def share(tables: Sequence[Table], part: Shard) -> list[Table]:
    """Keeps the groups of a shard.

    Which they are does not depend on what is done, so that the shards of one command, started
    whenever, have every group once.

    Args:
      tables: all tables of the command.
      part: the `Shard`.

    Returns:
      The tables, where rows have the seeds of the shard alone: many have none. The rows stay,
      so that each process writes the same manifest.
    """
    own: dict[tuple[int, str], tuple[int, ...]] = collections.defaultdict(tuple)
    for table, row, seeds in groups(tables)[part.k - 1::part.n]:
        own[table, row.name] += seeds
    return [table._replace(rows=tuple(row._replace(seeds=own[number, row.name])
                                      for row in table.rows))
            for number, table in enumerate(tables)]
