"""What the columns of a dataset are.

Networks, codecs and metrics know nothing else of data that they have not seen.
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

import numpy as np

from vaebench.errors import UserError


class Field(NamedTuple):
    """One column of a dataset, of N rows.

    Attributes:
      kind: 'image' [N, H, W, C], 'vector' [N, D], 'vectors' [N, P, 3] of P points of space,
        'tokens' [N, L], 'length' [N], 'class' [N], 'factors' [N, F], 'real' [N, ...] or 'rows',
        numbers of other rows of the same split.
        Packages may add kinds of their own.
      shape: of one row; None is a dimension that differs between rows.
      size: number of words or classes; of 'length' the largest.
      names: of the words, classes or factors, in their order.
      bounds: least and largest value, where there are such.
      derived: whether it was computed of the other columns, so that it does not count as data.
      levels: of 'factors' the number of levels of each: factor k is one of 0 .. levels[k] - 1.
      groups: of 'tokens' (name, ids) of words of a kind: 'stop_words', 'style_words'.
    """
    kind: str
    shape: tuple[int | None, ...] = ()
    size: int | None = None
    names: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    derived: bool = False
    levels: tuple[int, ...] = ()
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()


Schema = Mapping[str, Union[Field, 'Schema']]
"""Column -> its `Field`, or the schema of the columns nested under it."""


class Rows(NamedTuple):
    """A column whose values are rows of the same data: `core.take` follows it to them."""
    index: Any        # int [N]


def image(shape: tuple[int, int, int]) -> Field:
    """A column of images [N, H, W, C] with values in [0, 1]."""
    return Field('image', tuple(shape), bounds=(0., 1.))


def vector(size: int) -> Field:
    """A column of points [N, D] of any range."""
    return Field('vector', (size,))


def vectors(points: int) -> Field:
    """A column of vectors [N, P, 3] of P points of space, which turn with them.

    >>> vectors(5).shape
    (5, 3)
    """
    return Field('vectors', (points, 3))


def label(classes: int, names: tuple[str, ...] = ()) -> Field:
    """A column of classes [N], numbered from 0."""
    return Field('class', (), classes, tuple(names))


def factors(levels: Sequence[int], names: Sequence[str]) -> Field:
    """A column of generative factors [N, F], whole numbers.

    Args:
      levels: of each factor, at least 2: a factor of one level tells nothing, so leave it out.
      names: of the factors.

    >>> factors((3, 6), ('shape', 'scale')).shape
    (2,)
    """
    return Field('factors', (len(levels),), names=tuple(names), levels=tuple(levels))


def text(vocabulary: tuple[str, ...], words: int) -> dict[str, Field]:
    """The two columns of sentences: tokens [N, L] and the number of tokens that are predicted.

    Args:
      vocabulary: words by id.
      words: of the longest sentence, `</s>` not counted.

    Returns:
      'tokens' and 'length'.

    >>> text(('<pad>', '<s>', '</s>', '<unk>', 'a'), 7)['length'].size
    8
    """
    return {'tokens': Field('tokens', (None,), len(vocabulary), tuple(vocabulary)),
            'length': Field('length', (), words + 1)}


def leaves(schema: Schema, path: str = '') -> Iterator[tuple[str, Field]]:
    """Every field with its place, nested ones as 'outer/inner'.

    >>> [name for name, _ in leaves({'x': vector(2), 'context': {'x': vector(2)}})]
    ['x', 'context/x']
    """
    for name, field in schema.items():
        if isinstance(field, Field):
            yield path + name, field
        else:
            yield from leaves(field, f'{path}{name}/')


def of_kind(schema: Schema, *kinds: str) -> str | None:
    """The name of the first column, not nested, of one of these kinds; None without one.

    >>> of_kind({'label': label(3), 'x': vector(2)}, 'image', 'vector')
    'x'
    """
    for name, found in schema.items():
        if isinstance(found, Field) and found.kind in kinds:
            return name
    return None


def field(schema: Schema, name: str) -> Field:
    """A column's field.

    Raises:
      UserError: there is no such column.
    """
    found = schema.get(name)
    if not isinstance(found, Field):
        raise UserError(f'this needs a column {name!r}, which the data has not: it has '
                        f'{", ".join(schema)}; choose other rows with --config.rows, or other '
                        'data')
    return found


def over(f: Callable[..., Any], columns: Any, *others: Any) -> Any:
    """Applies f to every column, nested ones too, as `jax.tree.map` does over dicts alone.

    >>> over(len, {'x': np.zeros(3), 'context': {'x': np.zeros(2)}})
    {'x': 3, 'context': {'x': 2}}
    """
    if isinstance(columns, Mapping):
        return {k: over(f, v, *(o[k] for o in others)) for k, v in columns.items()}
    return f(columns, *others)


def flat(columns: Mapping[str, Any], path: str = '') -> Iterator[tuple[str, np.ndarray]]:
    """Every array of nested columns with its place, such as 'x' or 'context/x'.

    A column of `Rows` gives its numbers.
    """
    for name, value in columns.items():
        if isinstance(value, Mapping):
            yield from flat(value, f'{path}{name}/')
        else:
            yield path + name, value.index if isinstance(value, Rows) else value


def count(columns: Mapping[str, Any]) -> int:
    """Number of rows N.

    >>> count({'partner': Rows(np.zeros(3, int)), 'x': np.zeros((3, 2))})
    3
    """
    return len(next(value for _, value in flat(columns)))


def select(columns: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """Takes rows of every column, nested ones too.

    A column of `Rows` becomes the rows that it names, since its numbers would name others in a
    part.

    >>> columns = {'x': np.array([5, 6, 7]), 'partner': Rows(np.array([2, 0, 0]))}
    >>> part = select(columns, [0, 2])
    >>> part['x'].tolist(), part['partner']['x'].tolist()
    ([5, 7], [7, 5])
    """
    own = {k: v for k, v in columns.items() if not isinstance(v, Rows)}
    links = {k: v for k, v in columns.items() if isinstance(v, Rows)}
    part = over(lambda x: x[rows], own)
    for name, link in links.items():
        part[name] = over(lambda x, at=link.index[rows]: x[at], own)
    return part


def plain(schema: Schema) -> dict[str, Any]:
    """The schema as JSON holds it; `parse` reads it back."""
    return {k: v._asdict() if isinstance(v, Field) else {'columns': plain(v)}
            for k, v in schema.items()}


def parse(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The schema that `plain` wrote.

    >>> parse(plain({'x': image((2, 2, 1))}))['x'] == image((2, 2, 1))
    True
    """
    def one(value):
        if 'columns' in value:
            return parse(value['columns'])
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v
                                for k, v in value.items()}
        return Field(**kept)

    return {k: one(v) for k, v in stored.items()}
