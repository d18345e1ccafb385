"""Tables between the markers of a README."""
import difflib
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from vaebench import files
from vaebench.errors import UserError
from vaebench.report import formats, tables

_BEGIN = re.compile(r'<!-- vaebench:table(?P<options>( \w+=\S+)*) -->')
_END = '<!-- vaebench:end -->'
_OPTIONS = ('results', 'table', 'columns')
_EXAMPLE = 'write <!-- vaebench:table results=PATH table=ID -->'


class _Span(NamedTuple):
    """Lines of a file: text, or what a marker and the end of its table enclose."""
    number: int                 # of the first line, from 1
    lines: list[str]            # of a table: the two markers
    options: str | None         # of the marker; None for text


def splice(path: str | pathlib.Path, check: bool = False) -> tuple[bool, list[str]]:
    """Writes tables between a README's markers.

    They are `<!-- vaebench:table results=PATH[,PATH] [table=ID,..] [columns=METRIC,..] -->` and
    `<!-- vaebench:end -->`, stand alone on their lines; those in fenced code blocks are text.

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
        old = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as e:
        why = getattr(e, 'strerror', None) or 'not UTF-8'
        raise UserError(f'{path}: cannot be read ({why})') from None
    spans = list(_spans(path, old.splitlines()))
    if all(span.options is None for span in spans):
        raise UserError(f'{path}: no marker; {_EXAMPLE} and {_END} on lines of their own')
    out, problems = [], []
    for span in spans:
        if span.options is None:
            out += span.lines
            continue
        text, bad = _render(path, span)
        problems += bad
        out += [span.lines[0], '', *text.splitlines(), '', span.lines[1]]
    new = '\n'.join(out) + '\n' * old.endswith('\n')
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
            begun = _Span(number, [line], begin['options'])
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


def _render(path: pathlib.Path, span: _Span) -> tuple[str, list[str]]:
    """(Markdown of one marker, problems)."""
    where = f'{path}:{span.number}'
    options = dict(o.split('=', 1) for o in (span.options or '').split())
    for option in options:
        if option not in _OPTIONS:
            near = difflib.get_close_matches(option, _OPTIONS, 1)
            use = near[0] if near else ', '.join(_OPTIONS)
            raise UserError(f'{where}: unknown option {option!r}; use {use}')
    if 'results' not in options:
        raise UserError(f'{where}: results=PATH is missing')
    split = {k: [x for x in options.get(k, '').split(',') if x] for k in _OPTIONS}
    try:
        folders = [path.parent / p for p in split['results']]
        found, problems = tables.collect(folders, split['columns'])
        if not found:
            raise UserError(f'{options["results"]}: no results')
        found = tables.select(found, split['table']) if split['table'] else found
        return formats.to_markdown(found), problems
    except UserError as e:
        raise UserError(f'{where}: {e}') from None
