"""Tables as one HTML page that needs nothing beside it: no server, network or other file."""
import base64
import hashlib
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vaebench.report.figures.strips import Strips
from vaebench.report.page import panels
from vaebench.report.published import SAME
from vaebench.report.statistics import FEW
from vaebench.report.tables import Table


def render(tables: Sequence[Table],
           figures: Mapping[str, Sequence[tuple[str, str, bytes, str]]] | None = None,
           cards: Mapping[str, Mapping[str, Any]] | None = None, extra: Sequence[Table] = (),
           title: str = 'vaebench results', strips: Mapping[str, Strips] | None = None,
           changed: Sequence[Table] = (),
           left_out: Mapping[str, Sequence[str]] | None = None) -> str:
    """Renders a page with a tab for each table; style, script and figures are inside of it.

    Args:
      tables: the tables.
      figures: {table id: [(title, what it shows in words, contents, 'svg' or 'png')]}, which
        stand below that table.
      cards: {method, or else row: {'title', 'summary', 'body', 'source', 'cite'}}, plain text;
        any may be missing. The body is a list of paragraphs, or a text with empty lines between
        them. Further lines of a paragraph, such as an equation's, are kept as they are.
      extra: further tables, such as aggregates, in tabs of their own after the others.
      title: of the page.
      strips: {table id: samples of its rows}, in a column of their own.
      changed: tables that compare two sets of results, in tabs of their own at the end.
      left_out: {table id: titles of pictures that the page would have had}.

    Returns:
      HTML, the same for the same arguments.
    """
    strings, taken, shown, views, data = panels.Strings(), set(), {}, [], {}
    methods, figures, cards = _methods_of_rows(tables), figures or {}, cards or {}
    groups = ('', '', tables), ('Overall', '', extra), ('What changed', 'changes-', changed)
    for group, start, members in groups:
        for table in members:
            slug, numbers = _slug(start + table.table, taken), panels.quoted(table)
            own = {row: shown.setdefault(key, len(shown))
                   for row, key in _cards_of_rows(table, methods, cards)}
            data[slug] = panels.details(table, strings, numbers, own)
            drawn = {} if group else {
                'figures': [panels.image(*one) for one in figures.get(table.table, ())],
                'left_out': (left_out or {}).get(table.table, ())}
            images = None if group else (strips or {}).get(table.table)
            views.append({'figures': (), 'left_out': ()} | drawn
                         | panels.panel(table, numbers, set(own), images)
                         | {'id': slug, 'group': group})
    script = _read('js')
    digest = hashlib.sha256(script.encode()).digest()
    runs = [(t.table, run) for t in tables for row in t.rows for run in row.runs]
    return _template().render(
        title=title, panels=views, cards=[panels.card(cards[key]) for key in shown],
        style=_read('css'), script=script, script_hash=base64.b64encode(digest).decode(),
        data={'tables': data, 'strings': list(strings.index), 'few': FEW}, same=SAME,
        files=len({(table, run.file) for table, run in runs}),
        methods=len({run.method for _, run in runs}))


def _read(suffix: str) -> str:
    return (pathlib.Path(__file__).parent / f'page.{suffix}').read_text(encoding='utf-8')


def _template():
    """The page's template."""
    import jinja2
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.policies['json.dumps_kwargs'] = {
        'separators': (',', ':'), 'ensure_ascii': False, 'allow_nan': False}
    return environment.from_string(_read('html.jinja'))


def _slug(text, taken):
    """An id of the page that resembles the text and is not taken yet."""
    slug = first = re.sub(r'[^\w.-]+', '-', text).strip('-') or 'table'
    count = 1
    while slug in taken or slug.startswith('vb-'):
        count += 1
        slug = f'{first.removeprefix("vb-")}-{count}'
    taken.add(slug)
    return slug


def _methods_of_rows(tables: Iterable[Table]) -> dict[str, set[str]]:
    """{row: methods of its runs in any table}."""
    out = {}
    for table in tables:
        for row in table.rows:
            out.setdefault(row.row, set()).update(run.method for run in row.runs)
    return out


def _cards_of_rows(table, methods, cards):
    """(row, key of its model card) of the rows that have one.

    A row without runs, such as an aggregate's, has the method that all tables agree on.
    """
    for row in table.rows:
        names = {run.method for run in row.runs} or methods.get(row.row, ())
        key = next((k for k in (*sorted(names), row.row) if k in cards), None)
        if key is not None and len(names) < 2:
            yield row.row, key
