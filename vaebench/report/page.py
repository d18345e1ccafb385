"""Tables as one HTML page that needs nothing beside it: no server, no network, no other file."""
import base64
import hashlib
import pathlib
import re

from vaebench.report import formats
from vaebench.report.published import SAME
from vaebench.report.tables import GAP

_MIME = {'png': 'image/png', 'svg': 'image/svg+xml'}


class _Strings:
    """Texts that recur on the page, each kept once."""

    def __init__(self):
        self.index = {}

    def __call__(self, text):
        return None if text is None else self.index.setdefault(text, len(self.index))


def _slug(text, taken):
    """An id of the page that resembles the text and is not taken yet."""
    slug = first = re.sub(r'[^\w.-]+', '-', text).strip('-') or 'table'
    count = 1
    while slug in taken or slug.startswith('vb-'):
        count += 1
        slug = f'{first.removeprefix("vb-")}-{count}'
    taken.add(slug)
    return slug


def _seven(x):
    """Seven significant digits: enough to read, half the bytes."""
    return None if x is None else float(f'{x:.7g}')


def _minus(text):
    return text.replace('-', '−')


def _signed(x, digits):
    text = formats._number(abs(x), digits)
    return text if not text.strip('0.') else ('+' if x > 0 else '−') + text


def _beside(value, verdict, row, columns):
    """(ours, ours - published), each (number, text, interval), where they answer to one estimator; else gaps."""
    s = row.cells[value.ours].summary if verdict == SAME and value.ours in columns else None
    if s is None:
        return (None, GAP), (None, GAP)
    digits = columns[value.ours].digits

    def shown(offset, text):
        ends = [] if s.low is None else [text(x - offset, digits) for x in (s.low, s.high)]
        return s.mean - offset, text(s.mean - offset, digits), f'[{", ".join(ends)}]' if ends else ''

    return shown(0., lambda x, d: _minus(formats._number(x, d))), shown(value.value, _signed)


def _published(table):
    """{row: [published number as the template wants it]}."""
    columns, out = {c.name: c for c in table.columns}, {}
    for row in table.rows:
        for value, verdict, note in row.published:
            ours, difference = _beside(value, verdict, row, columns)
            out.setdefault(row.row, []).append({
                'name': value.name, 'text': value.text, 'value': value.value, 'unit': value.unit, 'table': value.table,
                'verdict': verdict, 'same': verdict == SAME, 'theirs': value.estimator, 'metric': value.ours,
                'ours': ours, 'difference': difference, 'delta': '' if ours[0] is None else difference[1],
                'why': table.notes[note - 1].removeprefix('published: ') if note else ''})
    return out


def _cell(cell, column, row_count, published):
    """One metric of one row for the template."""
    piece, s, digits = formats._piece(cell, column), cell.summary, column.digits
    out = {'main': piece.main, 'marks': piece.marks, 'best': piece.best, 'dagger': piece.dagger, 'sort': None,
           'kind': 'best' if cell.best else '', 'interval': '', 'noise': '', 'text': '', 'published': ()}
    if s is None:
        return out | {'kind': 'gap' if cell.text == GAP else 'lost'}
    if s.low is not None:
        out['interval'] = _minus(f'[{formats._number(s.low, digits)}, {formats._number(s.high, digits)}]')
    if cell.stderr is not None:
        out['noise'] = f'±{formats._number(cell.stderr, max(digits, 2))}'
    fewer = f'n={s.n}' if cell.seeds and str(s.n) != row_count else ''
    return out | {'sort': repr(s.mean), 'main': _minus(piece.main), 'text': ' '.join(filter(None, [cell.text, fewer])),
                  'published': [p for p in published if p['delta'] and p['metric'] == column.name]}


def _details(table, strings, published, cards):
    """What the script shows on demand, as JSON: of the columns, then of each row."""
    def cell(c):
        if c.summary is None:
            return [c.text, c.notes] if c.notes else c.text
        s = c.summary
        return [*map(_seven, (s.mean, s.low, s.high)), s.n, _seven(c.stderr), strings(c.estimator), int(c.best),
                c.notes, [x for seed, value in sorted(c.seeds.items()) for x in (seed, _seven(value))]]

    def run(r):
        times = [None if t is None else round(t, 1) for t in map(r.times.get, ('train', 'evaluate', 'compile'))]
        return [r.seed, *map(strings, (r.reason if r.status == 'failed' else None, r.file, r.method, r.config_hash,
                                       r.revision, r.device)), *times]

    return {'columns': [[c.name, c.unit, c.better, strings(c.estimator)] for c in table.columns], 'notes': table.notes,
            'rows': [{'id': r.row, 'label': r.label, 'cells': [cell(r.cells[c.name]) for c in table.columns],
                      'runs': [run(x) for x in r.runs], 'card': cards.get(r.row),
                      'published': [[p['metric'], p['name'], p['text'], p['table'], p['verdict'], p['delta'],
                                     p['why']] for p in published.get(r.row, ())]}
                     for r in table.rows]}


def _rows(table, published, facts):
    out = []
    for row in table.rows:
        count, mine = row.seeds.partition(' ')[0], published.get(row.row, ())
        out.append({'label': row.label, 'opens': bool(row.runs), 'seeds': row.seeds, 'count': count,
                    'cells': [_cell(row.cells[c.name], c, count, mine) for c in table.columns],
                    'facts': [(None if row.facts.get(f) is None else repr(row.facts[f]), formats._fact(row, f))
                              for f in facts], 'published': mine})
    return out


def _image(figure):
    title, alt, data, kind = figure
    return {'title': title, 'alt': alt, 'uri': f'data:{_MIME[kind]};base64,{base64.b64encode(data).decode()}'}


def _card(card):
    body = card.get('body') or ()
    body = re.split(r'\n\s*\n', body) if isinstance(body, str) else body
    return {k: card.get(k) or '' for k in ('title', 'summary', 'source', 'cite')} | {
        'body': [text.strip().partition('\n')[::2] for text in body if text.strip()]}


def render(tables, figures=None, cards=None, extra=(), title='vaebench results'):
    """One self-contained page: a tab for each table, style, script and figures inlined, nothing fetched.

    Args:
      tables: list of `Table`.
      figures: {table id: [(title, what it shows in words, bytes, 'svg' or 'png')]}, below that table.
      cards: {method, or else row id: {'title', 'summary', 'body', 'source', 'cite'}}, plain text, any may be missing;
        `body` is a list of paragraphs, or one text with empty lines between them; a paragraph's further lines, such as
        an equation's, are kept as they are.
      extra: further `Table`s, such as aggregates, in tabs of their own after the others.
      title: of the page.

    Returns:
      str, the same for the same arguments.
    """
    import jinja2
    here = pathlib.Path(__file__).parent
    read = lambda suffix: (here / f'page.{suffix}').read_text(encoding='utf-8')
    strings, taken, panels, details, shown = _Strings(), set(), [], {}, {}
    by_row = {}             # of rows without runs, such as an aggregate's, where all tables agree on the method
    for row in (row for t in tables for row in t.rows):
        by_row.setdefault(row.row, set()).update(r.method for r in row.runs)
    for group, members in (('', tables), ('Overall', extra)):
        for table in members:
            slug = _slug(table.table, taken)
            used = {}
            for row in table.rows:
                names = {r.method for r in row.runs} or by_row.get(row.row, ())
                key = next((k for k in (*sorted(names), row.row) if k in (cards or {})), None)
                if key is not None and len(names) < 2:
                    used[row.row] = shown.setdefault(key, len(shown))
            facts = formats._facts(table)
            published = _published(table)
            rows = _rows(table, published, facts)
            for row, view in zip(table.rows, rows, strict=True):
                view['opens'] |= row.row in used
            details[slug] = _details(table, strings, published, used)
            panels.append({
                'id': slug, 'group': group, 'tab': table.table, 'title': table.title, 'rows': rows,
                'columns': [c._asdict() | {'arrow': formats.ARROWS[c.better]} for c in table.columns],
                'facts': [(f, formats._FACT_UNITS[f]) for f in facts], 'published': bool(published),
                'compared': any(p['delta'] for mine in published.values() for p in mine),
                'figures': [_image(f) for f in (figures or {}).get(table.table, ())],
                'legend': formats._legend(table, 'Bold with ★'), 'about': table.about, 'sources': table.sources,
                'notes': table.notes})
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.policies['json.dumps_kwargs'] = {'separators': (',', ':'), 'ensure_ascii': False, 'allow_nan': False}
    script = read('js')
    files = len({(t.table, r.file) for t in tables for row in t.rows for r in row.runs})
    return environment.from_string(read('html.jinja')).render(
        title=title, panels=panels, cards=[_card(cards[k]) for k in shown], style=read('css'), script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data={'tables': details, 'strings': list(strings.index)}, same=SAME, files=files,
        methods=len({r.method for t in tables for row in t.rows for r in row.runs}))
