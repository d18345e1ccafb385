"""What is handed to a trained model, checked: one line says what is wrong and what to give."""
import math
import operator
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaebench.errors import UserError
from vaebench.files import one_line
from vaebench.schema import Field

SEEDS = 2**32       # JAX's keys hold so many: larger numbers would stand for smaller ones


def whole(name: str, value: Any, below: int) -> int:
    """Checks a count or a seed: a whole number from 0 to `below`, which it cannot be.

    Args:
      name: of the number, for the message.
      value: what was given.
      below: the least number that is too large.

    Returns:
      The number.

    Raises:
      UserError: it is none, or out of range.

    >>> whole('n', np.int64(3), 10)
    3
    >>> whole('seed', -1, SEEDS)
    Traceback (most recent call last):
    vaebench.errors.UserError: seed=-1: give a whole number from 0 to 4294967295
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool | np.bool_) or not 0 <= number < below:
        raise UserError(f'{name}={_shown(value)}: give a whole number from 0 to {below - 1}')
    return number


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Checks that a word is one of those that there are.

    Raises:
      UserError: it is not.

    >>> choice('mode', 'beam', ('mean', 'sample'))
    Traceback (most recent call last):
    vaebench.errors.UserError: mode='beam': give one of mean, sample
    """
    if not isinstance(value, str) or value not in known:
        raise UserError(f'{name}={_shown(value)}: give one of {", ".join(known)}')
    return value


def sentences(values: Any, reserved: Sequence[str] = ()) -> list[str]:
    """Checks sentences.

    Args:
      values: list, tuple or array of strings.
      reserved: words that stand for no word, such as the end of a sentence.

    Returns:
      The list.

    Raises:
      UserError: it is one string, holds what is none, or holds a reserved word.

    >>> sentences('the cat sees')
    Traceback (most recent call last):
    vaebench.errors.UserError: a list of sentences is wanted, not one: give ['the cat sees']
    """
    if isinstance(values, str):
        raise UserError(f'a list of sentences is wanted, not one: give [{_shown(values)}]')
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, bytes):
        raise UserError(f'a list of sentences is wanted, not {type(values).__name__}')
    for i, sentence in enumerate(values):
        if not isinstance(sentence, str):
            raise UserError(f'sentence {i} is {_shown(sentence)}: give a string')
        if odd := set(sentence.split()) & set(reserved):
            raise UserError(f'sentence {i} holds {min(odd)}, which is no word: leave it '
                            'out')
    return list(values)


def rows(name: str, values: Any, shape: Sequence[int | None], dtype: Any = np.float32,
         bounds: tuple[float, float] | None = None) -> np.ndarray:
    """Checks an array of examples or codes.

    Args:
      name: of the array, for the message.
      values: what can be made an array of [N, *shape].
      shape: of one row; None is any size.
      dtype: of the result; where it is of whole numbers, so must the values be.
      bounds: least and largest value, None for any.

    Returns:
      The array; [] gives no rows.

    Raises:
      UserError: its shape is another, or a value is no number, not finite or out of bounds.

    >>> rows('z', [[1, 2]], (2,)).dtype
    dtype('float32')
    >>> rows('z', [1, 2], (2,))
    Traceback (most recent call last):
    vaebench.errors.UserError: z has the shape [2]: give [N, 2]
    """
    wanted = f'[N, {", ".join("any" if s is None else str(s) for s in shape)}]'
    wanted = wanted.replace(', ]', ']')
    try:
        found = np.asarray(values)
    except ValueError as error:          # rows of different lengths
        raise UserError(f'{name} is no array: give {wanted}') from error
    if found.shape == (0,):
        return np.zeros((0, *(s or 0 for s in shape)), dtype)
    if found.dtype.kind not in 'biuf':
        first, = found.ravel()[:1].tolist() or [values]
        raise UserError(f'{name} holds {_shown(first)}, which is no number: give {wanted}')
    fits = found.ndim == len(shape) + 1 and all(
        want in (None, have) for have, want in zip(found.shape[1:], shape, strict=True))
    if not fits:
        raise UserError(f'{name} has the shape {list(found.shape)}: give {wanted}')
    return _within(name, found, np.dtype(dtype), bounds)


def _within(name, found, dtype, bounds):
    """The array in its type, if its values can be in it."""
    with np.errstate(over='ignore', invalid='ignore'):
        cast = found.astype(dtype)
    if not np.isfinite(found).all() or not np.isfinite(cast).all():
        raise UserError(f'{name} holds numbers that are not finite: leave those rows out')
    if dtype.kind in 'iu' and (cast != found).any():
        raise UserError(f'{name} holds numbers that are not whole: give whole ones')
    low, high = bounds or (-math.inf, math.inf)
    least, most = (found.min(), found.max()) if found.size else (low, high)
    if least < low or most > high:
        hint = ': divide bytes by 255' if high == 1 and least >= 0 and most <= 255 else ''
        raise UserError(f'{name} goes from {least:g} to {most:g}: give numbers from {low:g} to '
                        f'{high:g}{hint}')
    return cast


def column(name: str, values: Any, field: Field) -> np.ndarray:
    """Checks a column of examples against its field.

    Raises:
      UserError: see `rows`.

    >>> from vaebench.schema import label
    >>> column('label', [3], label(3))
    Traceback (most recent call last):
    vaebench.errors.UserError: label goes from 3 to 3: give numbers from 0 to 2
    """
    if field.kind == 'class' and field.size is not None:
        return rows(name, values, field.shape, np.int32, (0, field.size - 1))
    return rows(name, values, field.shape, np.float32, field.bounds)


def path(name: str, value: Any) -> pathlib.Path:
    """Checks a path and puts the home folder in place of '~'.

    Raises:
      UserError: it is no path.

    >>> path('workdir', 'runs/ptb').name
    'ptb'
    """
    try:
        found = pathlib.Path(value).expanduser()
    except (RuntimeError, TypeError) as error:       # no such user, no such type
        raise UserError(f'{name}={_shown(value)}: give a path') from error
    if '\0' in str(found):
        raise UserError(f'{name}={_shown(value)}: give a path')
    return found


def _shown(value: Any) -> str:
    return one_line(repr(value), 60)
