"""Markdown, piece by piece."""
import re
from collections.abc import Iterable
from typing import Any


def slug(name: str) -> str:
    """The name of a page.

    >>> slug('Penn Treebank, reduced')
    'penn-treebank-reduced'
    """
    return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')


def grid(header: str, lines: Iterable[Iterable[Any]]) -> str:
    """A table; `header` names its columns, separated by bars.

    >>> print(grid('a | b', [(1, 'x|y')]))
    | a | b |
    | --- | --- |
    | 1 | x&#124;y |
    """
    names = [name.strip() for name in header.split('|')]
    cells = [[' '.join(str(cell).replace('|', '&#124;').split()) for cell in line]
             for line in lines]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (names, ['---'] * len(names), *cells))


def joined(*parts: str) -> str:
    """Parts of a page, those that there are, with an empty line between two.

    >>> joined('a', '', 'b')
    'a\\n\\nb\\n'
    """
    return '\n\n'.join(filter(None, (part.strip('\n') for part in parts))) + '\n'


def code(names: Iterable[str], between: str = ', ') -> str:
    """Names as code.

    >>> code(['a', 'b'], ' + ')
    '`a` + `b`'
    """
    return between.join(f'`{name}`' for name in names)


def anchor(name: str) -> str:
    """A place that links may name."""
    return f'<a id="{name}"></a>'
