"""Errors that are the user's to mend."""
import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line that says what to do, which the runner prints before it exits 2."""


class LostError(BaseException):
    """Another process of the run is gone, or takes other steps: nothing here can go on.

    It is no `Exception`, so that what goes on after an error does not go on after this one.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: it gives the nearest that does, or all of them.

    Args:
      what: kind of thing.
      name: as the user wrote it.
      known: names there are.

    Returns:
      A `UserError`, to be raised.

    >>> print(unknown('row', 'bnvae', ['vae', 'bn_vae']))
    unknown row 'bnvae'; did you mean 'bn_vae'?
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    there = ', '.join(known) or 'none'
    hint = f'did you mean {close[0]!r}?' if close else f'there are: {there}'
    return UserError(f'unknown {what} {name!r}; {hint}')
