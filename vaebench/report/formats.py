"""Tables as text: terminal, Markdown, LaTeX, CSV and JSON."""
import csv
import functools
import io
import json
import re
from typing import NamedTuple

from vaebench.report import latex as _latex
from vaebench.report.published import Value
from vaebench.report.statistics import FEW, LEVEL, Summary, multiple
from vaebench.report.tables import FACTS, GAP, Cell, Column, Row, Run, Table

ARROWS = {'lower': '↓', 'higher': '↑', None: ''}
_LEFT = ('method', 'published')
_FACT_UNITS = {'steps': '', 'parameters': '', 'train': 's'}


class Piece(NamedTuple):
    """A cell as text, before any format's signs."""
    main: str               # '101.23', or why there is no number
    dagger: bool            # one seed only
    marks: str              # '[1,2]'
    small: str              # '[101.1, 101.4] ±0.5'
    best: bool


def _number(x, digits):
    if abs(x) >= 1e6:
        return f'{x:.3g}'
    text = f'{x:.{digits}f}'
    return text[1:] if text.startswith('-') and not text.strip('-0.') else text     # no -0.00


def _piece(cell, column):
    marks = f'[{",".join(map(str, cell.notes))}]' if cell.notes else ''
    s = cell.summary
    if s is None:
        return Piece(cell.text, False, marks, '', False)
    small = []
    if s.n > 1:
        small.append(f'[{_number(s.low, column.digits)}, {_number(s.high, column.digits)}]')
    if cell.stderr is not None:
        small.append(f'±{_number(cell.stderr, max(column.digits, 2))}')
    if cell.text:
        small.append(cell.text)
    return Piece(_number(s.mean, column.digits), s.n == 1, marks, ' '.join(small), cell.best)


def _fact(row, name):
    value = row.facts.get(name)
    if value is None:
        return GAP
    return f'{value:.1f}' if _FACT_UNITS[name] == 's' else f'{value:,.0f}'


def _facts(table):
    """The facts that any row has: a comparison has none."""
    return [n for n in _FACT_UNITS if any(r.facts.get(n) is not None for r in table.rows)]


def _published(row):
    """'PPL 101.40, Recon 101.28 (A4, same estimator); MI 0.00 (A4, not comparable [2])'."""
    groups = {}
    for value, verdict, note in row.published:
        groups.setdefault((value.table, verdict, note), []).append(f'{value.name} {value.text}')
    return '; '.join(f'{", ".join(v)} ({table}, {verdict}{f" [{note}]" if note else ""})'
                     for (table, verdict, note), v in groups.items())


def _grid(table):
    """(headers, rows) of strings and Pieces; a header is (name, unit, arrow)."""
    headers = [('method', '', '')] + [(c.name, c.unit, ARROWS[c.better]) for c in table.columns]
    facts = _facts(table)
    headers += [('seeds', '', '')] + [(n, _FACT_UNITS[n], '') for n in facts]
    with_published = any(r.published for r in table.rows)
    headers += [('published', '', '')] * with_published
    rows = [[r.label, *(_piece(r.cells[c.name], c) for c in table.columns), r.seeds,
             *(_fact(r, n) for n in facts), *[_published(r) or GAP] * with_published] for r in table.rows]
    return headers, rows


def _legend(table, best):
    """How to read the cells, as far as this table needs it."""
    cells = [c for r in table.rows for c in r.cells.values() if c.summary]
    # Of aggregates there are none: they say what their intervals are.
    fewest = min((len(c.seeds) for c in cells if len(c.seeds) > 1), default=0)
    lines = []
    if fewest:
        few = (f' With {fewest} seeds it reaches {multiple(fewest):.1f} standard errors either side and says little.'
               if fewest <= FEW else '')
        lines.append(f"Mean over seeds, [{LEVEL:.0%} interval over seeds, Student's t].{few}")
    if any(c.summary.n == 1 for c in cells):
        lines.append('†: one seed, no interval.')
    if any(c.stderr is not None for c in cells):
        lines.append('±: standard error over test examples, apart from the seeds.')
    if any(c.best and c.seeds for c in cells):
        lines.append(f'{best}: best of its estimator, and every row whose differences from it, paired by seed, '
                     'have an interval that is not wholly worse'
                     + (f'; with up to {FEW} seeds it must also be at least as good with one of them.'
                        if fewest and fewest <= FEW else '.'))
    elif any(c.best for c in cells):
        lines.append(f'{best}: best, and every row whose difference from it has a bootstrap interval that includes 0 '
                     'and which, of few runs, reaches it in a draw.')
    return ' '.join(lines)


def _below(table, best):
    """Lines under a table: legend, data, estimators, sources."""
    estimators = '; '.join(f'{c.name}: {c.estimator}' for c in table.columns if c.estimator)
    return [line for line in (_legend(table, best), ' '.join(table.about), estimators and f'Estimators: {estimators}.',
                              table.sources and f'Published: {"; ".join(table.sources)}.') if line]


def _header(name, unit, arrow):
    return name + (f' ({unit})' if unit else '') + (f' {arrow}' if arrow else '')


# Signs that begin something in GitHub's Markdown; _ between letters, [ and & alone begin nothing.
_INLINE = re.compile(r'[\\|*<>`~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[:]|&(?=#?\w+;)|://')
_BLOCK = re.compile(r'^(\d*)([#+=.)-])')


def _markdown_text(text):
    return _INLINE.sub(r'\\\g<0>', ' '.join(text.split()))


def _markdown_cell(piece):
    if isinstance(piece, str):
        return _markdown_text(piece)
    main = f'**{piece.main}**' if piece.best else _markdown_text(piece.main)
    small = ' '.join(filter(None, [piece.small, piece.marks]))
    return main + '†' * piece.dagger + (f' <sub>{small}</sub>' if small else '')


def markdown(tables):
    """GitHub's Markdown: bold title, table, notes.

    Args:
      tables: list of `Table`.

    Returns:
      str.
    """
    out = []
    for table in tables:
        headers, rows = _grid(table)
        rule = ['---' if name in _LEFT else '---:' for name, _, _ in headers]
        grid = [[_markdown_text(_header(*h)) for h in headers], rule, *(map(_markdown_cell, row) for row in rows)]
        lines = [f'**{_markdown_text(table.title or table.table)}**', '', *(f'| {" | ".join(line)} |' for line in grid)]
        for line in _below(table, 'Bold'):
            lines += ['', _BLOCK.sub(r'\1\\\2', _markdown_text(line))]
        if table.notes:
            lines.append('')
            lines += [f'- [{i}] {_markdown_text(note)}' for i, note in enumerate(table.notes, 1)]
        out.append('\n'.join(lines) + '\n')
    return '\n'.join(out)


def latex(tables):
    """A `table` environment each; `longtable`s of some columns each where one page is too small.

    Args:
      tables: list of `Table`.

    Returns:
      str; its first line names the packages it needs.
    """
    out = [f'% \\usepackage{{{",".join(_latex.PACKAGES)}}}\n']
    for table in tables:
        notes = [*_below(table, 'Bold'), *(f'[{i}] {n}.' for i, n in enumerate(table.notes, 1))]
        out.append(_latex.table(table.table, table.title, *_grid(table), notes, ('published',)))
    return '\n'.join(out)


_FIELDS = ('table', 'row', 'label', 'metric', 'text', 'mean', 'low', 'high', 'seeds', 'stderr', 'best', 'unit',
           'better', 'estimator', 'notes', 'values')


def comma_separated(tables):
    """One line per row and metric, numbers in full; facts and published numbers are lines too.

    Args:
      tables: list of `Table`.

    Returns:
      str with the header `table,row,label,metric,text,mean,low,high,seeds,stderr,best,unit,better,estimator,notes,
      values`; the last is the value of each seed, '0:1.5;1:1.625'. Each number reads back as the same float.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _FIELDS, lineterminator='\n')
    writer.writeheader()
    for table in tables:
        facts = _facts(table)
        for row in table.rows:
            head = {'table': table.table, 'row': row.row, 'label': row.label}
            for c in table.columns:
                cell = row.cells[c.name]
                piece, s = _piece(cell, c), cell.summary
                text = ' '.join(filter(None, [piece.main + '†' * piece.dagger, piece.small]))
                line = {'metric': c.name, 'text': text, 'best': '*' * cell.best, 'unit': c.unit, 'better': c.better,
                        'estimator': cell.estimator,
                        'notes': '; '.join(table.notes[i - 1] for i in cell.notes),
                        'values': ';'.join(f'{k}:{v!r}' for k, v in sorted(cell.seeds.items()))}
                if s:
                    line |= {'mean': s.mean, 'low': s.low, 'high': s.high, 'seeds': s.n, 'stderr': cell.stderr}
                writer.writerow(head | line)
            for name in facts:
                writer.writerow(head | {'metric': name, 'text': _fact(row, name), 'mean': row.facts.get(name),
                                        'unit': _FACT_UNITS[name]})
            for value, verdict, note in row.published:
                writer.writerow(head | {
                    'metric': f'published {value.table} {value.name}', 'text': value.text, 'mean': value.value,
                    'unit': value.unit, 'better': value.better, 'estimator': value.estimator,
                    'notes': verdict + (f': {table.notes[note - 1]}' if note else '')})
    return out.getvalue()


def as_json(tables):
    """Everything a table holds, numbers in full.

    Args:
      tables: list of `Table`.

    Returns:
      str: {"tables": [{"table", "title", "about", "columns", "rows", "notes", "sources"}]}.
    """
    def cell(c):
        record = c._asdict()
        return {'seeds': {str(k): v for k, v in sorted(record.pop('seeds').items())},
                **(s._asdict() if (s := record.pop('summary')) else {}), **record}

    def row(r, columns):
        return {'row': r.row, 'label': r.label, 'order': r.order, 'seeds': r.seeds, **r.facts,
                'metrics': {c.name: cell(r.cells[c.name]) for c in columns},
                'published': [{**v._asdict(), 'verdict': verdict, 'note': note} for v, verdict, note in r.published],
                'runs': [run._asdict() for run in r.runs]}

    def table(t):
        columns, rows = [c._asdict() for c in t.columns], [row(r, t.columns) for r in t.rows]
        fields = {**t._asdict(), 'columns': columns, 'rows': rows}
        return '{\n' + ',\n'.join(f' "{k}": {listed(v) if k in ("columns", "rows", "notes") else dumps(v)}'
                                  for k, v in fields.items()) + '}'

    # An item a line: as readable as an indented file, half its size, and written by the fast encoder.
    dumps = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)
    listed = lambda items: '[' + ',\n  '.join(map(dumps, items)) + ']'
    return f'{{"tables": [{", ".join(map(table, tables))}]}}\n'


def read_json(text):
    """The tables that `as_json` wrote, every number the same.

    Args:
      text: str.

    Returns:
      List of `Table`.
    """
    def cell(c):
        summary = Summary(*(c[k] for k in Summary._fields)) if 'mean' in c else None
        rest = {k: v for k, v in c.items() if k not in Summary._fields}
        return Cell(**rest | {'seeds': {int(k): v for k, v in c['seeds'].items()}, 'summary': summary,
                              'notes': tuple(c['notes'])})

    def quoted(v):
        return Value(**{k: v[k] for k in Value._fields}), v['verdict'], v['note']

    def row(r):
        return Row(r['row'], r['label'], r['order'], {k: cell(c) for k, c in r['metrics'].items()},
                   {k: r[k] for k in FACTS if k in r}, r['seeds'], tuple(map(quoted, r['published'])),
                   tuple(Run(**run) for run in r['runs']))

    return [Table(t['table'], t['title'], tuple(Column(**c) for c in t['columns']), tuple(map(row, t['rows'])),
                  tuple(t['about']), tuple(t['notes']), tuple(t['sources']), t['primary'], t['baseline'])
            for t in json.loads(text)['tables']]


def terminal(tables, colour=False, width=None):
    """For a screen, by rich.

    Args:
      tables: list of `Table`.
      colour: whether to use the terminal's attributes.
      width: columns to wrap at; None: as wide as the table is.

    Returns:
      str.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    # A space before what is justified to the right takes half the time of rich's own padding.
    def text(piece, name):
        if isinstance(piece, str):
            return Text(piece if name in _LEFT else f' {piece}')
        main = Text(f' {piece.main}' + '*' * piece.best + '†' * piece.dagger, style='bold' if piece.best else '')
        small = ' '.join(filter(None, [piece.small, piece.marks]))
        return main + Text(f'\n {small}', style='dim') if small else main

    out = io.StringIO()
    console = Console(file=out, force_terminal=colour, color_system='standard' if colour else None,
                      width=width or 10_000, highlight=False, markup=False, emoji=False, legacy_windows=False)
    for i, table in enumerate(tables):
        headers, rows = _grid(table)
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
        for name, unit, arrow in headers:
            left = name in _LEFT
            head = [f'{name} {arrow}'.rstrip(), *filter(None, [unit])]
            grid.add_column(Text('\n'.join(head if left else [f' {h}' for h in head])), overflow='fold', max_width=44,
                            justify='left' if left else 'right')
        for row in rows:
            grid.add_row(*(text(piece, name) for piece, (name, _, _) in zip(row, headers, strict=True)))
        console.print('\n' * (i > 0) + table.title)
        console.print(grid)
        for line in [*_below(table, '*'), *(f'[{n}] {note}' for n, note in enumerate(table.notes, 1))]:
            console.print(line)
    return ''.join(line.rstrip() + '\n' for line in out.getvalue().splitlines())


FORMATS = {'terminal': terminal, 'markdown': markdown, 'latex': latex, 'csv': comma_separated, 'json': as_json}
"""Name on the command line -> function of a list of tables."""
