"""Model cards, from the docstrings of the registry's factories, and the BibTeX of the papers behind a table.

A card reads these parts of a docstring: the first line; the paragraphs before the first section; in the one that starts
with 'hp: ' the first sentence, whose clauses, parted by '; ', are a number's name and a word on it, or 'those of `x`';
`Args:`, for the options; `Equation:`, line by line; `Deviations:`, what we do otherwise than the paper or its code.
"""
import functools
import inspect
import re
import sys
import unicodedata
from typing import NamedTuple

import vaebench
from vaebench.errors import UserError

ABOUT = """\
rec is -log p(x|z), summed over words or pixels; KL is that of q(z|x) from the prior p(z), and w_t or beta_t its \
weight. Objectives are in nats per example and averaged over the batch. Networks, sizes, optimiser, batch and number \
of steps are the table's, the same for all of its rows: where they are not the paper's, no card repeats it. Numbers \
and options are the registry's; a row of a table may have others, which its result files tell."""
UNKNOWN = 'This installation does not know the method, or cannot load it: install the package that registers it.'
GAP = 'Not stated.'


class Card(NamedTuple):
    """What is known of one method."""
    method: str                    # its name in the registry
    title: str                     # one line on what it is
    what: tuple[str, ...]          # paragraphs, the title first
    equation: str                  # lines; '' where none is stated
    deviations: str                # from the paper; '' where none is stated
    hp: dict                       # {number: (default, word on it or '')}
    options: dict                  # {static option of this method: (value, word on it or '')}
    paper: str                     # as registered
    key: tuple[str, ...]           # BibTeX keys of its papers
    tracks: tuple[str, ...]        # of 'text', 'image'
    factory: str                   # qualified name, '' for an unknown method


# Docstrings


def sections(doc):
    """The parts of a docstring.

    Args:
      doc: as `inspect.getdoc` gives it.

    Returns:
      (paragraphs, {title: text}): those before the first section, each one line; the sections' lines, less indentation.

    >>> sections('It is.\\n\\nMore of\\nit.\\n\\nEquation:\\n  a = b\\n\\n  c = d\\n\\nArgs:\\n  x: y.')
    (['It is.', 'More of it.'], {'Equation': 'a = b\\n\\nc = d', 'Args': 'x: y.'})
    """
    prose, *rest = re.split(r'^(\w+):$', doc, flags=re.M)
    found = {title: inspect.cleandoc(text) for title, text in zip(rest[::2], rest[1::2], strict=True)}
    return [' '.join(p.split()) for p in prose.split('\n\n') if p.strip()], found


def _numbers(paragraphs):
    """(other paragraphs, {number: word}, names of functions with more words) of a docstring's paragraphs."""
    out, words, others = [], {}, []
    for p in paragraphs:
        if p.startswith('hp: '):
            first, p = re.fullmatch(r'hp: (.*?)(?:\. (?=[A-Z`])(.*)|\.?)', p).groups('')
            for clause in first.split('; '):
                names, word = re.fullmatch(r'((?:`\w+`(?:, (?:and )?| and |$))*)(.*)', clause).groups()
                words |= dict.fromkeys(re.findall(r'`(\w+)`', names), word)
            others += re.findall(r'those of `([\w.]+)`', first)
        out += [p] * bool(p)
    return out, words, others


def _arguments(text):
    """({argument: word}, {argument: name of the function with the word}) of a section `Args`."""
    words, others = {}, {}
    for entry in re.split(r'\n(?=\S)', text):
        names, _, word = ' '.join(entry.split()).partition(': ')
        word = word.rstrip('.')
        more = names.startswith('**')
        other = re.search(r'of `([\w.]+)`' if more else r'^see `([\w.]+)`$', word)
        names = re.findall(r'`(\w+)`', word) if more else names.split(', ')
        (others if other else words).update(dict.fromkeys(names, other[1] if other else word))
    return words, others


def _bare(factory):
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def _function(name, near):
    """The function that a docstring calls `name`: what its module calls so, or a factory of the registry; or None."""
    from vaebench import methods
    first, *rest = name.split('.')
    found = vars(sys.modules.get(near.__module__)).get(first) if near.__module__ in sys.modules else None
    for part in rest:
        found = getattr(found, part, None)
    factories = {_bare(e.factory).__name__: _bare(e.factory) for e in methods.METHODS.values()}
    return found if callable(found) else factories.get(name.split('.')[-1])


def _word(function, name, static, seen=()):
    """What the docstring of a function, or of one it refers to, says about a number or an option; '' for nothing."""
    if function is None or function in seen:
        return ''
    paragraphs, found = sections(inspect.getdoc(function) or '')
    if static:
        words, others = _arguments(found.get('Args', ''))
        others = [others[name]] if name in others else []
    else:
        _, words, others = _numbers(paragraphs)
    if name in words:
        return words[name]
    return next(filter(None, (_word(_function(o, function), name, static, (*seen, function)) for o in others)), '')


def card(method):
    """The card of a method.

    Args:
      method: its name, ours or that of an installed package.

    Returns:
      A `Card`, which says so where this installation does not know the method.
    """
    from vaebench import methods
    try:
        entry = methods.find(method)
    except UserError:
        return Card(method, UNKNOWN, (UNKNOWN,), '', '', {}, {}, '', (), (), '')
    factory = _bare(entry.factory)
    paragraphs, found = sections(inspect.getdoc(factory) or '')
    paragraphs = _numbers(paragraphs)[0] or [GAP]
    hp, options = ({name: (value, _word(factory, name, static)) for name, value in values.items()}
                   for static, values in enumerate((entry.hp, entry.options)))
    return Card(method, paragraphs[0], tuple(paragraphs), found.get('Equation', ''),
                ' '.join(found.get('Deviations', '').split()), hp, options, entry.paper,
                tuple(map(key, papers(entry.paper))), tuple(entry.track),
                f'{factory.__module__}.{factory.__qualname__}')


def named(things):
    """The methods of tables, each once, in the order of their rows.

    Args:
      things: `Table`s, or names of methods.

    Returns:
      List of names. A row that has no result, and hence no method, counts if it is called as a method of the registry.
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


_NAME = r"(?:(?:van|von|der|den|de|la|ter) )*[A-ZÀ-ÖØ-Þ][\w'’.-]*(?: [A-ZÀ-ÖØ-Þ][\w'’.-]*)*"
_PAPER = re.compile(rf'(?P<authors>{_NAME}(?: et al\.|(?:, {_NAME})* and {_NAME})?), '
                    r'(?P<quote>")?(?P<title>.+?)(?(quote)"), '
                    r'(?:(?P<venue>[A-Z][\w ]*) )?(?P<year>\d{4})(?:, arXiv:(?P<arxiv>[\w./-]*\d))?(?: \(.*\))?\.?')
_SMALL = {'a', 'an', 'the', 'on', 'in', 'of', 'towards'}


class Paper(NamedTuple):
    """One paper."""
    authors: tuple[str, ...]       # surnames; 'others' stands for more
    title: str
    year: str
    arxiv: str                     # '1511.06349' or ''
    venue: str                     # 'NAACL' or ''


def papers(text):
    """The papers that a string names.

    Args:
      text: 'Bowman et al., Title, 2016, arXiv:1511.06349', several separated by '; ', with or without quotation marks
        around the title, a venue before the year, and a remark in parentheses at the end.

    Returns:
      List of `Paper`; what does not have this form is not in it.

    >>> papers('Ding and Gimpel, FlowPrior: Learning, NAACL 2021 (its +FB)')
    [Paper(authors=('Ding', 'Gimpel'), title='FlowPrior: Learning', year='2021', arxiv='', venue='NAACL')]
    """
    out = []
    for m in filter(None, map(_PAPER.fullmatch, text.split('; '))):
        authors = re.split(r', | and ', m['authors'].replace(' et al.', ' and others'))
        out.append(Paper(tuple(authors), m['title'], m['year'], m['arxiv'] or '', m['venue'] or ''))
    return out


def _plain(text):
    return re.sub(r'[^a-z0-9]', '', unicodedata.normalize('NFKD', text).lower())


def key(paper):
    """BibTeX key: first author, year, first word of the title.

    >>> key(papers('Higgins et al., beta-VAE: Learning Basic Visual Concepts, 2017')[0])
    'higgins2017betavae'
    """
    words = [w for w in paper.title.split() if w.lower() not in _SMALL] or [paper.title]
    return _plain(paper.authors[0]) + paper.year + _plain(words[0])


_ACCENTS = {'\u0300': '\\`', '\u0301': "\\'", '\u0302': '\\^', '\u0303': '\\~', '\u0308': '\\"', '\u030a': '\\r',
            '\u030c': '\\v', '\u0327': '\\c', '\u0328': '\\k', '\u0304': '\\=', '\u0306': '\\u', '\u030b': '\\H'}
_SIGNS = {'\\': r'{\textbackslash}', '{': r'{\textbraceleft}', '}': r'{\textbraceright}', '~': r'{\textasciitilde}',
          '^': r'{\textasciicircum}', '–': '--', '—': '---', '’': "'", '‘': '`', '“': '``', '”': "''", 'ß': r'{\ss}',
          'ø': r'{\o}', 'Ø': r'{\O}', 'ł': r'{\l}', 'Ł': r'{\L}', 'æ': r'{\ae}', **{c: f'\\{c}' for c in '&%$#_'}}


def _tex(text):
    """ASCII for LaTeX with balanced braces; a sign that has no spelling here becomes a question mark."""
    out = []
    for c in unicodedata.normalize('NFD', text):
        if c in _ACCENTS and out:
            out[-1] = f'{{{_ACCENTS[c]}{{{out[-1]}}}}}'
        else:
            out.append(_SIGNS.get(c, c if c.isascii() else '?'))
    return ''.join(out)


def _entry(name, fields):
    lines = [f'  {field} = {{{value}}}' for field, value in fields.items() if value]
    return f'@misc{{{name},\n' + ',\n'.join(lines) + '\n}\n'


def bibtex(found):
    """BibTeX of some papers, each once, by key.

    Args:
      found: list of `Paper`; of two with one title the one with an arXiv number counts.

    Returns:
      str, ASCII. Titles are in double braces, so that no style changes their capitals. Different papers with one key
      get letters behind it.
    """
    distinct = {}
    for paper in sorted(found, key=lambda p: (not p.arxiv, p)):
        distinct.setdefault(_plain(paper.title), paper)
    by_key = {}
    for paper in sorted(distinct.values()):
        by_key.setdefault(key(paper), []).append(paper)
    out = []
    for name, same in sorted(by_key.items()):
        for i, p in enumerate(same):
            fields = {'author': ' and '.join(map(_tex, p.authors)), 'title': f'{{{_tex(p.title)}}}', 'year': p.year,
                      'howpublished': _tex(p.venue), 'eprint': p.arxiv, 'archivePrefix': 'arXiv' if p.arxiv else ''}
            out.append(_entry(name + ('abcdefghijklmnopqrstuvwxyz'[i] if len(same) > 1 else ''), fields))
    return '\n'.join(out)


def cite(tables):
    """BibTeX of vaebench, of the methods of tables, and of the published numbers beside them.

    Args:
      tables: list of `Table`; names of methods will do.

    Returns:
      str. Sources that are no papers, and methods that this installation does not know, are comments at its end.
    """
    from vaebench import methods
    known = {_plain(p.title): p for e in methods.METHODS.values() for p in papers(e.paper)}
    names = named(tables)
    texts = {name: card(name).paper for name in names}
    sources = {v.paper for t in tables if not isinstance(t, str) for row in t.rows for v, *_ in row.published}
    found = [p for text in (*texts.values(), *sources) for p in papers(text)]
    ours = _entry('vaebench', {
        'author': '{The vaebench contributors}',
        'title': '{vaebench: One benchmark for variational autoencoders and their rivals, in JAX}',
        'note': f'Version {_tex(vaebench.__version__)}'})
    rest = [f'{name}: {text or UNKNOWN}' for name, text in texts.items() if not papers(text)]
    rest += sorted(s for s in sources if not papers(s))
    comments = ''.join(f'% {" ".join(line.split()).replace("@", " at ")}\n' for line in rest)
    comments = comments.encode('ascii', 'replace').decode()
    return '\n'.join(filter(None, (ours, bibtex([known.get(_plain(p.title), p) for p in found]), comments)))


# What a reader sees


def _shown(value):
    return f'{value:g}' if isinstance(value, float) else str(value)


def _values(pairs):
    return ', '.join(f'{name} {_shown(value)}' for name, (value, _) in pairs.items())


def _explained(pairs):
    return '; '.join(f'{name} {_shown(value)}' + f' ({word})' * bool(word) for name, (value, word) in pairs.items())


def _escape(text):
    """Prose as Markdown: everything but code between backticks is literal."""
    parts = re.split(r'(`[^`]*`)', text)
    return ''.join(p if i % 2 else re.sub(r'([\\*_<>|`~#])', r'\\\1', p) for i, p in enumerate(parts))


def _table(group):
    """The methods of one factory, as lines of a Markdown table."""
    lines = ['| method | numbers | options | for | source | BibTeX |', '| --- | --- | --- | --- | --- | --- |']
    for c in group:
        cells = f'`{c.method}`', *map(_escape, (_values(c.hp) or '—', _values(c.options) or '—', ', '.join(c.tracks),
                                                c.paper, ', '.join(c.key) or '—'))
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def markdown(things):
    """The cards of some methods as Markdown, those of one factory together, in the order of the first of them.

    Args:
      things: `Table`s, or names of methods.

    Returns:
      str.
    """
    groups = {}
    for c in map(card, named(things)):
        groups.setdefault(c.factory or c.method, []).append(c)
    out = ['# Methods', '', _escape(ABOUT)]
    for group in groups.values():
        first = group[0]
        out += ['', f'## {", ".join(f"`{c.method}`" for c in group)}']
        for paragraph in first.what:
            out += ['', _escape(paragraph)]
        if not first.factory:
            continue
        out += ['', '**Equation**', '', *(['```text', first.equation, '```'] if first.equation else [GAP])]
        out += ['', f'**Deviations.** {_escape(first.deviations or GAP)}', '', *_table(group)]
        words = {name: word for c in group for name, (_, word) in {**c.hp, **c.options}.items() if word}
        if words:
            out += ['', *(f'- `{name}`: {_escape(word)}' for name, word in words.items())]
    return '\n'.join(out) + '\n'


def blocks(methods):
    """The cards of some methods as plain text, for a page.

    Args:
      methods: names, or `Table`s.

    Returns:
      {method: {'title', 'summary', 'body', 'source', 'cite'}}: its name, one line, paragraphs (an equation keeps its
      lines), the registered source, and the BibTeX of it, each '' or [] where there is nothing to say.
    """
    out = {}
    for c in map(card, named(methods)):
        body = [p.replace('`', '') for p in c.what[1:]]
        if c.factory:
            body += [f'Equation:\n{c.equation or GAP}', f'Deviations: {c.deviations or GAP}'.replace('`', '')]
        body += [f'{name}: {_explained(pairs)}'.replace('`', '')
                 for name, pairs in (('Numbers', c.hp), ('Options', c.options)) if pairs]
        out[c.method] = {'title': c.method, 'summary': c.title.replace('`', ''), 'body': body, 'source': c.paper,
                         'cite': bibtex(papers(c.paper))}
    return out
