"""The papers of `references.bib`: as BibTeX, as readers see them, and in a few words.

Read by pybtex, which is imported on first use.
"""
from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import vaebench

if TYPE_CHECKING:
    from pybtex.database import BibliographyData, Entry

PATH = pathlib.Path(vaebench.__file__).with_name('references.bib')


@functools.cache
def bibliography() -> BibliographyData:
    """Reads every entry of `references.bib`, by key."""
    from pybtex.database import parse_file
    return parse_file(str(PATH), 'bibtex')


def is_known(key: str) -> bool:
    """Says whether `references.bib` has an entry of this key."""
    return key in bibliography().entries


def _plain(tex: str) -> str:
    """BibTeX's own spelling as Unicode."""
    from pybtex.richtext import Text
    return str(Text.from_latex(tex))


@functools.cache
def title(key: str) -> str:
    """Gives the title of an entry, without TeX.

    >>> title('mathieu2019continuous')
    'Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders'
    """
    return _plain(bibliography().entries[key].fields['title'])


@functools.cache
def surnames(key: str) -> tuple[str, ...]:
    """Gives the authors' surnames, in the order of the paper.

    >>> surnames('tenenbaum2000global')
    ('Tenenbaum', 'de Silva', 'Langford')
    """
    persons = bibliography().entries[key].persons['author']
    return tuple(_plain(' '.join(p.prelast_names + p.last_names)) for p in persons)


@functools.cache
def short(key: str) -> str:
    """Cites an entry in a few words: surnames (of more than two the first), title and year.

    >>> short('ding2021flowprior')[:16], short('kingma2014autoencoding')[-47:]
    ('Ding and Gimpel,', 'elling, "Auto-Encoding Variational Bayes", 2014')
    """
    fields, names = bibliography().entries[key].fields, surnames(key)
    who = f'{names[0]} et al.' if len(names) > 2 else ' and '.join(names)
    return f'{who}, "{_plain(fields.get("shorttitle", fields["title"]))}", {fields["year"]}'


def literal(text: str) -> str:
    """Escapes a text, so that Markdown prints it as it stands.

    >>> literal('a*b')
    'a\\\\*b'
    """
    return re.sub(r'([\\*_<>|`~#])', r'\\\1', text)


@functools.cache
def reference(key: str, markdown: bool = False) -> str:
    """Writes an entry as a list of references has it: all authors, title, venue, year and link.

    Args:
      key: of `references.bib`.
      markdown: whether links are Markdown's, and everything else is escaped for it.

    Returns:
      str, one line.

    >>> reference('kingma2014autoencoding')[:62]
    'Diederik P. Kingma and Max Welling. Auto-Encoding Variational '
    """
    from pybtex.backends import plaintext
    from pybtex.style.formatting.unsrt import Style

    class Markdown(plaintext.Backend):
        def format_str(self, str_: str) -> str:
            return literal(str_)

        def format_href(self, url: str, text: str, external: bool = False) -> str:
            return f'[{text}]({url})'

    entry, = Style().format_entries([bibliography().entries[key]])
    return ' '.join(entry.text.render((Markdown if markdown else plaintext.Backend)()).split())


def bibtex(keys: Iterable[str]) -> str:
    """Writes BibTeX of some entries, each once, by key: ASCII, as `references.bib` has it.

    >>> bibtex([])
    ''
    """
    return '\n'.join(written(key, bibliography().entries[key]) for key in sorted(set(keys)))


def written(key: str, entry: Entry) -> str:
    """Writes one entry as BibTeX, a line for each field."""
    from pybtex.database import BibliographyData
    return BibliographyData({key: entry}).to_string('bibtex')
