"""Tables, and what their sweeps say, between the markers of a README."""
import difflib
import pathlib
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vaebench import files
from vaebench.errors import UserError, unknown
from vaebench.report import folders, formats, sweeps, systems, tables

_BEGIN = re.compile(r'<!-- vaebench:(?P<kind>table|sweeps|tracks|systems)'
                    r'(?P<options>( \w+=("[^"]*"|\S+))*) -->')
_END = '<!-- vaebench:end -->'
_OPTIONS = 'results', 'table', 'columns', 'rows', 'notes', 'form'
_CHOICES = {'notes': ('yes', 'no'), 'form': ('full', 'compact')}
_SYSTEMS = {'tracks': {'full': systems.overview, 'compact': systems.brief},
            'systems': {'full': systems.listing}}
"""Markers of what the papers name -> forms, and what writes them."""
_EXAMPLE = 'write <!-- vaebench:table results=PATH table=ID -->'


class _Span(NamedTuple):
    """Lines of a file: text, or what a marker and the end of its table enclose."""
    number: int                 # of the first line, from 1
    lines: list[str]            # of a table: the two markers
    options: str | None         # of the marker; None for text
    kind: str = ''              # of the marker: 'table', 'sweeps', 'tracks' or 'systems'


def splice(path: str | pathlib.Path, check: bool = False) -> tuple[bool, list[str]]:
    """Writes tables between a README's markers; every other byte stays as it is.

    They are `<!-- vaebench:table results=PATH[,PATH] [table=ID,..] [columns=METRIC,..]
    [rows=ROW,..] [notes=no] [form=compact] -->` and `<!-- vaebench:end -->`, stand alone on
    their lines; those in fenced code blocks are text. A value with spaces stands in double
    quotes. Without columns a table has those that a reader needs, with columns=all every one;
    notes=no leaves out the data, the estimators, footnotes, steps, parameters and times;
    form=compact has methods, means and seconds alone. `vaebench:sweeps` instead of
    `vaebench:table` writes what `sweeps.markdown` says of them; `vaebench:tracks` and
    `vaebench:systems` write what `systems.overview` (compact: `systems.brief`) and
    `systems.listing` say, and take results= and form= alone.

    Args:
      path: the README; PATH is relative to its folder.
      check: change nothing.

    Returns:
      (whether the file was up to date, problems: a line for each file that was left out).

    Raises:
      UserError: the file cannot be read, or a marker is wrong.
    """
    path = pathlib.Path(path)
    try:
        old = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as e:
        why = getattr(e, 'strerror', None) or 'not UTF-8'
        raise UserError(f'{path}: cannot be read ({why})') from None
    spans = list(_spans(path, old.split('\n')))
    if all(span.options is None for span in spans):
        raise UserError(f'{path}: no marker; {_EXAMPLE} and {_END} on lines of their own')
    out, problems = [], []
    for span in spans:
        if span.options is None:
            out += span.lines
            continue
        text, bad = _render(path, span)
        problems += bad
        end = '\r' * span.lines[0].endswith('\r')        # of lines, as the marker has it
        inside = ['', *text.splitlines(), '']
        out += [span.lines[0], *(line + end for line in inside), span.lines[1]]
    new = '\n'.join(out)
    if new != old and not check:
        files.write_bytes(path, new.encode())
    return new == old, list(dict.fromkeys(problems))


def _spans(path: pathlib.Path, lines: list[str]) -> Iterator[_Span]:
    """Cuts a file at its markers; UserError for one that is wrong."""
    begun, fenced = None, False
    for number, line in enumerate(lines, 1):
        fenced ^= begun is None and line.lstrip().startswith('```')
        mark = '' if fenced else line.strip()
        begin = _BEGIN.fullmatch(mark)
        if begin and begun:
            raise UserError(f'{path}:{begun.number}: no {_END} before the next table')
        if begin:
            begun = _Span(number, [line], begin['options'], begin['kind'])
        elif mark == _END:
            if not begun:
                raise UserError(f'{path}:{number}: {_END} without a table marker before it')
            yield begun._replace(lines=[*begun.lines, line])
            begun = None
        elif mark.startswith('<!-- vaebench:'):
            raise UserError(f'{path}:{number}: not a marker; {_EXAMPLE}')
        elif not begun:
            yield _Span(number, [line], None)
    if begun:
        raise UserError(f'{path}:{begun.number}: no {_END} after this marker')


def _options(where: str, text: str, known: Sequence[str]) -> dict[str, list[str]]:
    """What a marker says: {option: values}; UserError for an option that there is not."""
    given = dict(part.split('=', 1) for part in shlex.split(text))
    for option in given:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            use = near[0] if near else ', '.join(known)
            raise UserError(f'{where}: unknown option {option!r}; use {use}')
    if 'results' not in given:
        raise UserError(f'{where}: results=PATH is missing')
    for option, choices in _CHOICES.items():
        if given.get(option, choices[0]) not in choices:
            raise UserError(f'{where}: {option}={given[option]}; give {" or ".join(choices)}')
    return {k: [x for x in given.get(k, '').split(',') if x] for k in _OPTIONS}


def _chosen(found: Sequence[tables.Table], options: dict[str, list[str]]
            ) -> list[tables.Table]:
    """The tables, rows and facts that a marker asks for."""
    found = tables.select(found, options['table']) if options['table'] else found
    names = [row.row for table in found for row in table.rows]
    for name in options['rows']:
        if name not in names:
            raise unknown('row', name, list(dict.fromkeys(names)))
    out = []
    for table in found:
        rows = [row for row in table.rows if not options['rows'] or row.row in options['rows']]
        if options['notes'] == ['no']:
            rows = [row._replace(facts=dict.fromkeys(tables.FACTS), published=())
                    for row in rows]
            table = table._replace(brief=True)
        out.append(table._replace(rows=tuple(rows)))
    return out


def _render(path: pathlib.Path, span: _Span) -> tuple[str, list[str]]:
    """(Markdown of one marker, problems)."""
    where = f'{path}:{span.number}'
    known = ('results', 'form') if span.kind in _SYSTEMS else _OPTIONS
    options = _options(where, span.options or '', known)
    form = ''.join(options['form']) or 'full'
    columns = [] if options['columns'] == ['all'] else options['columns']
    style = 'ranked' if options['columns'] else 'board'
    try:
        paths = [path.parent / p for p in options['results']]
        if span.kind in _SYSTEMS:
            committed, _, problems = folders.gather(paths)
            forms = _SYSTEMS[span.kind]
            return forms.get(form, forms['full'])(committed), problems
        found, problems = tables.collect(paths, columns, style)
        if not found:
            raise UserError(f'{", ".join(options["results"])}: no results')
        if span.kind == 'sweeps':
            chosen = tables.select(found, options['table']) if options['table'] else found
            return '\n'.join(sweeps.markdown(t, columns) for t in chosen), problems
        if form == 'compact':
            return formats.to_compact(_chosen(found, options)), problems
        return formats.to_markdown(_chosen(found, options),
                                   notes=options['notes'] != ['no']), problems
    except UserError as e:
        raise UserError(f'{where}: {e}') from None
