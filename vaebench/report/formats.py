"""Tables as text: terminal, Markdown, LaTeX, CSV and JSON."""
import csv
import io
import json
import re
from typing import NamedTuple

from vaebench.report.statistics import LEVEL
from vaebench.report.tables import GAP

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
    return Piece(_number(s.mean, column.digits), s.n == 1, marks, ' '.join(small), cell.best)


def _fact(row, name):
    value = row.facts[name]
    if value is None:
        return GAP
    return f'{value:.1f}' if _FACT_UNITS[name] == 's' else f'{value:,.0f}'


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
    headers += [('seeds', '', '')] + [(n, u, '') for n, u in _FACT_UNITS.items()]
    with_published = any(r.published for r in table.rows)
    headers += [('published', '', '')] * with_published
    rows = [[r.label, *(_piece(r.cells[c.name], c) for c in table.columns), r.seeds,
             *(_fact(r, n) for n in _FACT_UNITS), *[_published(r) or GAP] * with_published] for r in table.rows]
    return headers, rows


def _legend(table, best):
    """How to read the cells, as far as this table needs it."""
    cells = [c for r in table.rows for c in r.cells.values() if c.summary]
    most = max((c.summary.n for c in cells), default=0)
    lines = []
    if most > 1:
        few = f' With {most} seeds such intervals are too narrow.' if most <= 5 else ''
        lines.append(f'Mean over seeds, [{LEVEL:.0%} percentile bootstrap interval over seeds].{few}')
    if any(c.summary.n == 1 for c in cells):
        lines.append('†: one seed, no interval.')
    if any(c.stderr is not None for c in cells):
        lines.append('±: standard error over test examples, apart from the seeds.')
    if any(c.best for c in cells):
        lines.append(f'{best}: best of its estimator, and every row whose differences from it, paired by seed, '
                     'have an interval that includes 0.')
    return ' '.join(lines)


def _below(table, best):
    """Lines under a table: legend, data, estimators, sources."""
    estimators = '; '.join(f'{c.name}: {c.estimator}' for c in table.columns if c.estimator)
    return [line for line in (_legend(table, best), ' '.join(table.about), estimators and f'Estimators: {estimators}.',
                              table.sources and f'Published: {"; ".join(table.sources)}.') if line]


def _header(name, unit, arrow):
    return name + (f' ({unit})' if unit else '') + (f' {arrow}' if arrow else '')


def _markdown_text(text):
    return re.sub(r'([\\|*<>`])', r'\\\1', ' '.join(text.split()))


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
        lines = [f'**{_markdown_text(table.title)}**', '', *(f'| {" | ".join(line)} |' for line in grid)]
        for line in _below(table, 'Bold'):
            lines += ['', _markdown_text(line)]
        if table.notes:
            lines.append('')
            lines += [f'- [{i}] {_markdown_text(note)}' for i, note in enumerate(table.notes, 1)]
        out.append('\n'.join(lines) + '\n')
    return '\n'.join(out)


_LATEX = {
    '\\': r'\textbackslash{}', '&': r'\&', '%': r'\%', '$': r'\$', '#': r'\#', '_': r'\_', '{': r'\{', '}': r'\}',
    '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}', '>': r'\textgreater{}',
    '|': r'\textbar{}', '↓': r'$\downarrow$', '↑': r'$\uparrow$', '→': r'$\to$', '≤': r'$\le$',
    '≥': r'$\ge$', '±': r'$\pm$', '×': r'$\times$', '−': r'$-$', '—': r'---', '†': r'\textdagger{}', 'α': r'$\alpha$',
    'β': r'$\beta$', 'γ': r'$\gamma$', 'δ': r'$\delta$', 'ε': r'$\epsilon$', 'η': r'$\eta$', 'θ': r'$\theta$',
    'κ': r'$\kappa$', 'λ': r'$\lambda$', 'μ': r'$\mu$', 'σ': r'$\sigma$', 'τ': r'$\tau$', 'φ': r'$\phi$',
    'ψ': r'$\psi$', 'ω': r'$\omega$', '∞': r'$\infty$',
}


def latex_escape(text):
    r"""Text that LaTeX prints as it stands.

    >>> latex_escape('50% of β_1')
    '50\\% of $\\beta$\\_1'
    """
    text = re.sub('"([^"]*)"', r"``\1''", ' '.join(text.split())).replace('`', '\0')
    return ''.join(_LATEX.get(c, c) for c in text).replace('\0', '`')


def _latex_cell(piece):
    if isinstance(piece, str):
        # After a line's end, \\ would read a leading [ or * as its own argument.
        return '{}' * piece.startswith(('[', '*')) + latex_escape(piece)
    main = latex_escape(piece.main)
    main = rf'\textbf{{{main}}}' if piece.best else main
    marks = rf'\textsuperscript{{{piece.marks[1:-1]}}}' if piece.marks else ''
    small = rf' {{\scriptsize {latex_escape(piece.small)}}}' if piece.small else ''
    return main + r'\textdagger{}' * piece.dagger + marks + small


def latex(tables):
    """One `table` environment each; needs the packages booktabs and graphicx.

    Args:
      tables: list of `Table`.

    Returns:
      str.
    """
    out = []
    for table in tables:
        headers, rows = _grid(table)
        align = ''.join({'method': 'l', 'published': 'p{7cm}'}.get(name, 'r') for name, _, _ in headers)
        notes = [*_below(table, 'Bold'), *(f'[{i}] {n}.' for i, n in enumerate(table.notes, 1))]
        out.append('\n'.join([
            r'\begin{table}', r'\centering', rf'\caption{{{latex_escape(table.title)}}}',
            rf'\label{{tab:{table.table}}}',
            r'\resizebox{\textwidth}{!}{%', rf'\begin{{tabular}}{{{align}}}', r'\toprule',
            ' & '.join(latex_escape(_header(*h)) for h in headers) + r' \\', r'\midrule',
            *(' & '.join(map(_latex_cell, row)) + r' \\' for row in rows), r'\bottomrule', r'\end{tabular}}', '',
            r'\smallskip\raggedright\footnotesize', *(latex_escape(n) + r'\par' for n in notes),
            r'\end{table}']) + '\n')
    return '\n'.join(out)


_FIELDS = ('table', 'row', 'label', 'metric', 'text', 'mean', 'low', 'high', 'seeds', 'stderr', 'best', 'unit',
           'better', 'estimator', 'notes')


def comma_separated(tables):
    """One line per row and metric, numbers in full; facts and published numbers are lines too.

    Args:
      tables: list of `Table`.

    Returns:
      str with the header `table,row,label,metric,text,mean,low,high,seeds,stderr,best,unit,better,estimator,notes`.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _FIELDS, lineterminator='\n')
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            head = {'table': table.table, 'row': row.row, 'label': row.label}
            for c in table.columns:
                cell = row.cells[c.name]
                piece, s = _piece(cell, c), cell.summary
                text = ' '.join(filter(None, [piece.main + '†' * piece.dagger, piece.small]))
                line = {'metric': c.name, 'text': text, 'best': '*' * cell.best, 'unit': c.unit, 'better': c.better,
                        'estimator': cell.estimator,
                        'notes': '; '.join(table.notes[i - 1] for i in cell.notes)}
                if s:
                    line |= {'mean': s.mean, 'low': s.low, 'high': s.high, 'seeds': s.n, 'stderr': cell.stderr}
                writer.writerow(head | line)
            for name, unit in _FACT_UNITS.items():
                writer.writerow(head | {'metric': name, 'text': _fact(row, name), 'mean': row.facts[name],
                                        'unit': unit})
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
        return {'seeds': {str(k): v for k, v in sorted(c.seeds.items())}, **(c.summary._asdict() if c.summary else {}),
                'stderr': c.stderr, 'best': c.best, 'text': c.text, 'estimator': c.estimator, 'notes': list(c.notes)}

    def row(r, columns):
        return {'row': r.row, 'label': r.label, 'order': r.order, 'seeds': r.seeds, **r.facts,
                'metrics': {c.name: cell(r.cells[c.name]) for c in columns},
                'published': [{**v._asdict(), 'verdict': verdict, 'note': note} for v, verdict, note in r.published]}

    tables = [{**t._asdict(), 'columns': [c._asdict() for c in t.columns], 'rows': [row(r, t.columns) for r in t.rows]}
              for t in tables]
    return json.dumps({'tables': tables}, indent=1, ensure_ascii=False, allow_nan=False) + '\n'


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

    def text(piece):
        if isinstance(piece, str):
            return Text(piece)
        main = Text(piece.main + '*' * piece.best + '†' * piece.dagger, style='bold' if piece.best else '')
        small = ' '.join(filter(None, [piece.small, piece.marks]))
        return main + Text(f'\n{small}', style='dim') if small else main

    out = io.StringIO()
    console = Console(file=out, force_terminal=colour, color_system='standard' if colour else None,
                      width=width or 10_000, highlight=False, markup=False, emoji=False, legacy_windows=False)
    for i, table in enumerate(tables):
        headers, rows = _grid(table)
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
        for name, unit, arrow in headers:
            left = name in _LEFT
            grid.add_column(Text(f'{name} {arrow}'.rstrip() + (f'\n{unit}' if unit else '')), overflow='fold',
                            justify='left' if left else 'right', max_width=44 if left else None)
        for row in rows:
            grid.add_row(*map(text, row))
        console.print('\n' * (i > 0) + table.title)
        console.print(grid)
        for line in [*_below(table, '*'), *(f'[{n}] {note}' for n, note in enumerate(table.notes, 1))]:
            console.print(line)
    return ''.join(line.rstrip() + '\n' for line in out.getvalue().splitlines())


FORMATS = {'terminal': terminal, 'markdown': markdown, 'latex': latex, 'csv': comma_separated, 'json': as_json}
"""Name on the command line -> function of a list of tables."""
