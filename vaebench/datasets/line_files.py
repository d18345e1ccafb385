"""Files whose lines belong together: read and checked whole, and brought to words."""
import csv
import functools
import hashlib
import pathlib
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vaebench.datasets.source_files import read
from vaebench.datasets.text_files import decoded, line_feeds, unframed
from vaebench.errors import UserError

Tokens = Callable[[str], list[str]]
"""What makes words of a line."""


class Lines(NamedTuple):
    """The lines of a file, line 1 first."""
    path: pathlib.Path
    lines: list[str]


@functools.cache
def published() -> Mapping[str, str]:
    """'corpus/file' -> sha256 of the file as its authors hand it out."""
    path = pathlib.Path(__file__).with_name('published.csv')
    with path.open(encoding='utf-8', newline='') as file:
        return {row['file']: row['sha256'] for row in csv.DictReader(file)}


def gather(corpus: str, folder: pathlib.Path, names: Sequence[str], check: bool,
           mended: Mapping[bytes, bytes] = types.MappingProxyType({})
           ) -> tuple[dict[str, Lines], bool]:
    """Reads files.

    Args:
      corpus: under which `published` knows them.
      folder: where they lie.
      names: of the files.
      check: refuse a file that is not the published one; those that are not known pass.
      mended: bytes that are no utf-8 in published files, and what they stand for.

    Returns:
      ({name: its lines}, whether a file is other than the published one).

    Raises:
      UserError: a file cannot be read, is not utf-8, or was refused.
    """
    found, other = {}, False
    for name in names:
        path = folder / name
        raw = read(path)
        actual = hashlib.sha256(raw).hexdigest()
        expected = published().get(f'{corpus}/{name}', actual)
        if check and actual != expected:
            raise UserError(f'{path} is not the published file: its sha256 is {actual}, not '
                            f'{expected}; check=False takes it as it is')
        other |= actual != expected
        for wrong, right in mended.items():
            raw = raw.replace(wrong, right)
        lines = [line.rstrip('\r') for line in decoded(path, line_feeds(raw))]
        found[name] = Lines(path, lines[:-1] if not lines[-1].strip() else lines)
    return found, other


def words(source: Lines, tokens: Tokens = str.split, gaps: bool = False) -> list[list[str]]:
    """The words of every line.

    Args:
      source: lines.
      tokens: what makes words of one.
      gaps: drop lines without a word instead of refusing them.

    Raises:
      UserError: a line holds no word, or a mark that is added by itself; or there is no line.
    """
    found = []
    for number, line in enumerate(source.lines, 1):
        found.append(unframed(source.path, number, tokens(line)))
        if not found[-1] and not gaps:
            raise UserError(f'{source.path}, line {number}: a sentence is wanted; the line is '
                            'empty')
    if not any(found):
        raise UserError(f'{source.path} holds no sentence')
    return [line for line in found if line]


def side_by_side(*sources: Lines) -> None:
    """Checks that files have as many lines.

    Raises:
      UserError: they have not.
    """
    first = sources[0]
    for other in sources[1:]:
        if len(other.lines) != len(first.lines):
            raise UserError(f'{other.path} has {len(other.lines):,} lines and {first.path} '
                            f'{len(first.lines):,}: line by line they should be the same '
                            'sentences')


CLITIC = re.compile(r"(?<=\w)(?:n't|'(?:s|m|re|ve|ll|d))\b")
WORD = re.compile(r"""n't\b | '(?:s|m|re|ve|ll|d)\b     # endings, cut off already
                      | (?:[a-z]\.){2,}                 # u.s.
                      | \w+(?:[-/']\w+ | [.,:]\d+)*     # well-known, 1,000, 9:30
                      | \.\.+ | --+ | `` | ''
                      | [^\w\s]""", re.VERBOSE)
NUMBER = re.compile(r'\d+(?:\.\d+)?')


def tokenize(text: str, number: str | None = None, endings: bool = True) -> list[str]:
    """The words of a raw English text, in lower case, as corpora of sentences have them.

    Args:
      text: one line.
      number: what stands for a number; None leaves it.
      endings: whether "n't", "'s" and their like become words of their own; if false an
        apostrophe parts words and is left out.

    >>> ' '.join(tokenize("It's good, isn't it? 5 well-known U.S. stars...", '_num_'))
    "it 's good , is n't it ? _num_ well-known u.s. stars ..."
    >>> tokenize("I can't", endings=False)
    ['i', 'can', 't']
    """
    text = text.lower().replace('\u2019', "'")
    text = CLITIC.sub(r' \g<0>', text) if endings else text.replace("'", ' ')
    found = WORD.findall(text)
    return [number if number and NUMBER.fullmatch(w) else w for w in found]
