"""Tables between the markers of a README."""
import difflib
import pathlib
import re

from vaebench import files
from vaebench.errors import UserError
from vaebench.report import formats, tables

_BEGIN = re.compile(r'<!-- vaebench:table(?P<options>( \w+=\S+)*) -->')
_END = '<!-- vaebench:end -->'
_OPTIONS = ('results', 'table', 'columns')


def splice(path, check=False):
    """Writes tables between a README's markers.

    They are `<!-- vaebench:table results=PATH[,PATH] [table=ID,..] [columns=METRIC,..] -->` and
    `<!-- vaebench:end -->`, stand alone on their lines; those in fenced code blocks are text.

    Args:
      path: the README; PATH is relative to its folder.
      check: change nothing.

    Returns:
      (whether the file was up to date, problems).
    """
    path = pathlib.Path(path)
    try:
        old = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f'{path}: cannot be read ({getattr(e, "strerror", None) or "not UTF-8"})') from None
    out, problems, inside, fenced, count = [], [], 0, False, 0
    for number, line in enumerate(old.splitlines(), 1):
        fenced ^= not inside and line.lstrip().startswith('```')
        begin = None if fenced else _BEGIN.fullmatch(line.strip())
        if begin and inside:
            raise UserError(f'{path}:{inside}: no {_END} before the next table')
        if not fenced and not begin and line.strip().startswith('<!-- vaebench:') and line.strip() != _END:
            raise UserError(f'{path}:{number}: not a marker; write <!-- vaebench:table results=PATH table=ID -->')
        if begin:
            text, bad = _render(path, number, begin['options'])
            problems += bad
            out += [line, '', *text.splitlines(), '']
            inside, count = number, count + 1
        elif line.strip() == _END and not fenced:
            if not inside:
                raise UserError(f'{path}:{number}: {_END} without a table marker before it')
            inside = 0
            out.append(line)
        elif not inside:
            out.append(line)
    if inside:
        raise UserError(f'{path}:{inside}: no {_END} after this marker')
    if not count:
        raise UserError(f'{path}: no marker; write <!-- vaebench:table results=PATH table=ID --> and {_END} '
                        'on lines of their own')
    new = '\n'.join(out) + '\n' * old.endswith('\n')
    if new != old and not check:
        files.write_bytes(path, new.encode())
    return new == old, list(dict.fromkeys(problems))


def _render(path, number, text):
    """(Markdown of one marker, problems)."""
    where = f'{path}:{number}'
    options = dict(o.split('=', 1) for o in text.split())
    for option in options:
        if option not in _OPTIONS:
            near = difflib.get_close_matches(option, _OPTIONS, 1)
            raise UserError(f'{where}: unknown option {option!r}; use {near[0] if near else ", ".join(_OPTIONS)}')
    if 'results' not in options:
        raise UserError(f'{where}: results=PATH is missing')
    split = {k: [x for x in options.get(k, '').split(',') if x] for k in _OPTIONS}
    try:
        found, problems = tables.collect([path.parent / p for p in split['results']], split['columns'])
        if not found:
            raise UserError(f'{options["results"]}: no results')
        return formats.to_markdown(tables.select(found, split['table']) if split['table'] else found), problems
    except UserError as e:
        raise UserError(f'{where}: {e}') from None
