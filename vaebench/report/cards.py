"""Model cards, from the registry and its factories' docstrings, and the BibTeX of tables.

A card reads these parts of a docstring: the first line; the paragraphs before the first
section; `Args:`, for the options; `Equation:`, line by line; `Deviations:`, what we do
otherwise than the paper or its code. The rest is the registry's.
"""
from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import vaebench
from vaebench.errors import UserError
from vaebench.report import references

if TYPE_CHECKING:
    from vaebench.methods.hyperparameters import Hyperparameter
    from vaebench.report.tables import Table

ABOUT = """\
rec is -log p(x|z), summed over words or pixels; KL is that of q(z|x) from the prior p(z), and \
w_t or beta_t its weight. Objectives are in nats per example and averaged over the batch. \
Networks, sizes, optimiser, batch and number of steps are the table's, the same for all of its \
rows: where they are not the paper's, no card repeats it. Numbers and options are the \
registry's; a row of a table may have others, which its result files tell."""
UNKNOWN = ('This installation does not know the method, or cannot load it: install the package '
           'that registers it.')
GAP = 'Not stated.'


class Card(NamedTuple):
    """What is known of one method."""
    method: str                                # its name in the registry
    title: str                                 # one line on what it is
    what: tuple[str, ...]                      # paragraphs, the title first
    equation: str                              # lines; '' where none is stated
    deviations: str                            # from the paper; '' where none is stated
    hp: Mapping[str, Hyperparameter]           # by name
    options: Mapping[str, tuple[Any, str]]     # static option -> (value, word on it or '')
    cite: tuple[str, ...]                      # keys of its papers
    note: str                                  # what it is in them, or instead of them
    kits: tuple[str, ...]                      # that have all the networks it needs
    factory: str                               # qualified name, '' for an unknown method


# Docstrings


def sections(doc: str) -> tuple[list[str], dict[str, str]]:
    """Splits a docstring into its parts.

    Args:
      doc: as `inspect.getdoc` gives it.

    Returns:
      (paragraphs, {title: text}): those before the first section, each one line; the sections'
      lines, less indentation.

    >>> sections('It is.\\n\\nMore of\\nit.\\n\\nEquation:\\n  a = b\\n\\n  c = d\\n')
    (['It is.', 'More of it.'], {'Equation': 'a = b\\n\\nc = d'})
    """
    prose, *rest = re.split(r'^(\w+):$', doc, flags=re.M)
    found = {title: inspect.cleandoc(text)
             for title, text in zip(rest[::2], rest[1::2], strict=True)}
    return [' '.join(p.split()) for p in prose.split('\n\n') if p.strip()], found


def _arguments(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """({argument: word}, {argument: function that has the word}) of a section `Args`."""
    words, others = {}, {}
    for entry in re.split(r'\n(?=\S)', text):
        names, _, word = ' '.join(entry.split()).partition(': ')
        word = word.rstrip('.')
        more = names.startswith('**')
        other = re.search(r'of `([\w.]+)`' if more else r'^see `([\w.]+)`$', word)
        names = re.findall(r'`(\w+)`', word) if more else names.split(', ')
        (others if other else words).update(dict.fromkeys(names, other[1] if other else word))
    return words, others


def _bare(factory: Callable) -> Callable:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def _function(name: str, near: Callable) -> Callable | None:
    """The function that a docstring calls `name`: its module's, or a factory."""
    from vaebench import methods
    first, *rest = name.split('.')
    module = sys.modules.get(near.__module__)
    found = vars(module).get(first) if module else None
    for part in rest:
        found = getattr(found, part, None)
    factories = {_bare(e.factory).__name__: _bare(e.factory) for e in methods.METHODS.values()}
    return found if callable(found) else factories.get(name.split('.')[-1])


def _word(function: Callable | None, option: str, seen: tuple[Callable, ...] = ()) -> str:
    """What the docstring of a function, or of one it refers to, says about an option, or ''."""
    if function is None or function in seen:
        return ''
    _, found = sections(inspect.getdoc(function) or '')
    words, others = _arguments(found.get('Args', ''))
    if option in words:
        return words[option]
    if option not in others:
        return ''
    return _word(_function(others[option], function), option, (*seen, function))


def card(method: str) -> Card:
    """Makes the card of a method.

    Args:
      method: its name, ours or that of an installed package.

    Returns:
      A `Card`, which says so where this installation does not know the method.
    """
    from vaebench import methods
    from vaebench.methods import hyperparameters
    from vaebench.methods.build import fitting
    try:
        entry = methods.find(method)
    except UserError:
        return Card(method, UNKNOWN, (UNKNOWN,), '', '', {}, {}, (), '', (), '')
    factory = _bare(entry.factory)
    paragraphs, found = sections(inspect.getdoc(factory) or '')
    paragraphs = paragraphs or [GAP]
    options = {name: (value, _word(factory, name)) for name, value in entry.options.items()}
    return Card(
        method, paragraphs[0], tuple(paragraphs), found.get('Equation', ''),
        ' '.join(found.get('Deviations', '').split()),
        hyperparameters.described(entry.hp, entry.meanings), options, tuple(entry.cite),
        entry.note, fitting(entry), f'{factory.__module__}.{factory.__qualname__}')


def named(things: Iterable[Table | str]) -> list[str]:
    """Lists the methods of tables, each once, in the order of their rows.

    Args:
      things: `Table`s, or names of methods.

    Returns:
      List of names. A row that has no result, and hence no method, counts if it is called as a
      method of the registry.
    """
    from vaebench import methods
    out = []
    for thing in things:
        if isinstance(thing, str):
            out.append(thing)
            continue
        for row in thing.rows:
            out += [run.method for run in row.runs] or [row.row] * (row.row in methods.METHODS)
    return list(dict.fromkeys(out))


# Papers


def _ours() -> str:
    """BibTeX of vaebench."""
    from pybtex.database import Entry, Person
    return references.written('vaebench', Entry('misc', {
        'title': '{vaebench: One benchmark for variational autoencoders and their rivals, '
                 'in JAX}',
        'note': f'Version {vaebench.__version__}',
    }, {'author': [Person('{The vaebench contributors}')]}))


def _papers(c: Card) -> tuple[list[str], str]:
    """(known keys of a card's papers, in words what has none)."""
    known = [key for key in c.cite if references.is_known(key)]
    rest = '; '.join(key for key in c.cite if key not in known)
    return known, rest or ('' if known else c.note or (GAP if c.factory else UNKNOWN))


def cite(tables: Iterable[Table | str]) -> str:
    """Writes BibTeX of vaebench, of tables' methods and of the published numbers beside them.

    Args:
      tables: `Table`s; names of methods will do.

    Returns:
      str. Sources that `references.bib` lacks, and methods that this installation does not
      know, are comments at its end.
    """
    tables = list(tables)
    found = {c.method: _papers(c) for c in map(card, named(tables))}
    keys = [key for known, _ in found.values() for key in known]
    keys += [v.source for t in tables if not isinstance(t, str) for row in t.rows
             for v, *_ in row.published]
    comments = ''.join(f'% {method}: {" ".join(rest.split()).replace("@", " at ")}\n'
                       for method, (_, rest) in found.items() if rest)
    comments = comments.encode('ascii', 'replace').decode()
    return '\n'.join(filter(None, (_ours(), references.bibtex(keys), comments)))


# What a reader sees


def _shown(value: Any) -> str:
    return f'{value:g}' if isinstance(value, float) else str(value)


def _values(pairs: Mapping[str, tuple[Any, str]]) -> str:
    return ', '.join(f'{name} {_shown(value)}' for name, (value, _) in pairs.items())


def _explained(pairs: Mapping[str, tuple[Any, str]]) -> str:
    return '; '.join(f'{name} {_shown(value)}' + f' ({word})' * bool(word)
                     for name, (value, word) in pairs.items())


def _escape(text: str) -> str:
    """Prose as Markdown: everything but code between backticks is literal."""
    parts = re.split(r'(`[^`]*`)', text)
    return ''.join(p if i % 2 else references.literal(p) for i, p in enumerate(parts))


def _source(c: Card) -> str:
    """The keys of a card's papers, with the note."""
    note = f'({c.note})' if c.cite and c.note else c.note
    return ' '.join(filter(None, (', '.join(c.cite), note)))


def _table(group: Iterable[Card]) -> list[str]:
    """The methods of one factory, as lines of a Markdown table."""
    lines = ['| method | numbers | options | kits | source |',
             '| --- | --- | --- | --- | --- |']
    for c in group:
        cells = f'`{c.method}`', *map(_escape, (
            _values(c.hp) or '—', _values(c.options) or '—', ', '.join(c.kits), _source(c)))
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def _section(group: list[Card]) -> list[str]:
    """The cards of one factory, as lines of Markdown."""
    first = group[0]
    out = ['', f'## {", ".join(f"`{c.method}`" for c in group)}']
    for paragraph in first.what:
        out += ['', _escape(paragraph)]
    if not first.factory:
        return out
    out += ['', '**Equation**', '',
            *(['```text', first.equation, '```'] if first.equation else [GAP])]
    out += ['', f'**Deviations.** {_escape(first.deviations or GAP)}', '', *_table(group)]
    words = {name: word for c in group for name, (_, word) in {**c.hp, **c.options}.items()}
    if any(words.values()):
        out += ['', *(f'- `{name}`: {_escape(word)}' for name, word in words.items() if word)]
    papers = dict.fromkeys(key for c in group for key in _papers(c)[0])
    if papers:
        out += ['', '**References**', '',
                *(f'- {key}: {references.reference(key, markdown=True)}' for key in papers)]
    return out


def markdown(things: Iterable[Table | str], title: str = 'Methods', about: str = ABOUT) -> str:
    """Writes the cards of some methods, one factory's together, in the order of their first.

    Args:
      things: `Table`s, or names of methods.
      title: the first heading.
      about: what stands under it; '' for nothing.

    Returns:
      str, Markdown.
    """
    groups: dict[str, list[Card]] = {}
    for c in map(card, named(things)):
        groups.setdefault(c.factory or c.method, []).append(c)
    out = [f'# {title}', *(['', _escape(about)] if about else [])]
    for group in groups.values():
        out += _section(group)
    return '\n'.join(out) + '\n'


def _block(c: Card) -> dict[str, Any]:
    body = [p.replace('`', '') for p in c.what[1:]]
    if c.factory:
        body += [f'Equation:\n{c.equation or GAP}',
                 f'Deviations: {c.deviations or GAP}'.replace('`', '')]
    body += [f'{name}: {_explained(pairs)}'.replace('`', '')
             for name, pairs in (('Numbers', c.hp), ('Options', c.options)) if pairs]
    known, rest = _papers(c)
    source = [*map(references.reference, known), rest * bool(c.factory),
              f'({c.note})' * bool(known and c.note)]
    return {'title': c.method, 'summary': c.title.replace('`', ''), 'body': body,
            'source': ' '.join(filter(None, source)), 'cite': references.bibtex(known)}


def blocks(things: Iterable[Table | str]) -> dict[str, dict[str, Any]]:
    """Gives the cards of some methods as plain text, for a page.

    Args:
      things: names of methods, or `Table`s.

    Returns:
      {method: {'title', 'summary', 'body', 'source', 'cite'}}: its name, one line, paragraphs
      (an equation keeps its lines), its papers or what it is instead, and their BibTeX, each ''
      or [] where there is nothing to say.
    """
    return {c.method: _block(c) for c in map(card, named(things))}
