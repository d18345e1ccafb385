"""What the page's template and script show of a table."""
import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vaebench.experiment import families
from vaebench.report import ranks
from vaebench.report.figures.strips import Strip, Strips
from vaebench.report.formats import grid
from vaebench.report.formats.footnotes import MANY
from vaebench.report.published import SAME, Value
from vaebench.report.tables import GAP, Cell, Column, Row, Run, Table

_MIME = {'png': 'image/png', 'svg': 'image/svg+xml'}

TURNS = 'better', 'worse'
"""Words of a comparison that have a color."""

Quoted = Mapping[str, list[dict[str, Any]]]
"""{row: its published numbers}, see `quoted`."""


class Strings:
    """Texts that recur on the page, each kept once."""

    def __init__(self):
        self.index: dict[str, int] = {}

    def __call__(self, text: str | None) -> int | None:
        """Returns the number of a text, None for None."""
        return None if text is None else self.index.setdefault(text, len(self.index))


def _minus(text):
    return text.replace('-', '−')


# Published numbers.

def _signed(x, digits):
    text = grid.number(abs(x), digits)
    return text if not text.strip('0.') else ('+' if x > 0 else '−') + text


def _ends(sides: Sequence[str], few: bool) -> str:
    """From where to where: of few seeds their range, of more an interval."""
    return ' to '.join(sides) if few else f'[{", ".join(sides)}]'


def _beside(value: Value, verdict: str, row: Row, columns: Mapping[str, Column]
            ) -> tuple[tuple, tuple]:
    """Ours, and ours - published, where both are of one estimator; else gaps.

    Each is (number, text, interval), a gap (None, '—').
    """
    column = columns.get(value.ours or '')
    summary = row.cells[column.name].summary if verdict == SAME and column else None
    if column is None or summary is None:
        return (None, GAP), (None, GAP)
    digits, (center, *_), ends = column.digits, summary, summary.interval
    few = row.cells[column.name].spread == 'range'

    def shown(offset: float, text: Callable[[float, int], str]) -> tuple:
        mean, sides = center - offset, [text(x - offset, digits) for x in ends or ()]
        return mean, text(mean, digits), _ends(sides, few) if sides else ''

    return shown(0., lambda x, d: _minus(grid.number(x, d))), shown(value.value, _signed)


def quoted(table: Table) -> Quoted:
    """Returns the published numbers of each row beside ours, as the template wants them."""
    columns, out = {c.name: c for c in table.columns}, {}
    for row in table.rows:
        for value, verdict, note in row.published:
            ours, difference = _beside(value, verdict, row, columns)
            out.setdefault(row.row, []).append({
                'name': value.name, 'text': value.text, 'value': value.value,
                'unit': value.unit, 'table': value.table, 'verdict': verdict,
                'same': verdict == SAME, 'theirs': value.estimator, 'metric': value.ours,
                'ours': ours, 'difference': difference,
                'delta': '' if ours[0] is None else difference[1],
                'why': table.notes[note - 1].removeprefix('published: ') if note else ''})
    return out


# The template's part.

def panel(table: Table, numbers: Quoted, opens: set[str], strips: Strips | None = None
          ) -> dict[str, Any]:
    """Returns what the template shows of a table.

    Args:
      table: the table.
      numbers: from `quoted`.
      opens: rows that have a model card.
      strips: samples of rows.
    """
    facts, places, images = grid.facts(table), ranks.ranks(table), strips or Strips({})
    compared = any(number['delta'] for own in numbers.values() for number in own)
    return {'tab': table.table, 'title': table.title,
            'columns': [c._asdict() | {'arrow': grid.arrow(c), 'marks': grid.marks(c.notes)}
                        for c in table.columns],
            'rows': [_row(row, table.columns, facts, numbers.get(row.row, ()), row.row in opens)
                     | {'rank': _rank(places.get(row.row)),
                        'strip': _strip(images.rows.get(row.row), row.label)}
                     for row in table.rows],
            'ranked': table.primary if places else '', 'tied': ranks.undecided(table),
            'samples': bool(images.rows), 'real': _strip(images.data, ''),
            'kinds': len({_kin(row) for row in table.rows}),
            'against': table.against, 'lead': _changes(table),
            'facts': [(name, grid.FACT_UNITS[name]) for name in facts],
            'many': not all(c.shown for c in table.columns),
            'published': bool(numbers), 'compared': compared,
            'legend': grid.legend(table, 'Bold with ★', noise=True), 'about': table.about,
            'sources': table.sources, 'notes': table.notes, 'few': MANY}


def _kin(row: Row) -> str:
    """What a row stands under where rows are in families."""
    floor = families.FLOOR in row.remark.split(', ')
    return families.FLOOR if floor else row.family or 'other'


def _rank(ends: tuple[int, int] | None) -> tuple[str | None, str]:
    """(key to sort by, text) of a row's ranks."""
    if ends is None:
        return None, GAP
    return str(ends[0]), '–'.join(map(str, dict.fromkeys(ends)))


def _strip(strip: Strip | None, label: str) -> dict[str, Any] | None:
    """Images beside each other for the template; without a label they are data."""
    if strip is None:
        return None
    what = f'samples of {label}, seed {strip.seed}' if label else 'test data'
    return image('', f'{strip.count} {what}', strip.png, 'png') | strip._asdict()


def _changes(table: Table) -> list[str]:
    """What a comparison comes to, of each metric that is shown."""
    out = []
    for column in table.columns if table.against else ():
        name, end = column.name.removesuffix(' A − B'), column.name.endswith(' A − B')
        if end and column.shown:
            said = Counter(row.cells[column.name].text for row in table.rows)
            del said[GAP]
            parts = [f'{n} {word or "of one seed"}' for word, n in said.most_common()]
            out.append(f'{name}: {", ".join(parts) or "nothing to compare"}')
    return out


def _row(row, columns, facts, numbers, opens):
    """A row for the template."""
    count = row.seeds.partition(' ')[0]
    known = [row.facts.get(name) for name in facts]
    said = grid.join(row.family, f'({grid.said(row)})' if grid.said(row) else '')
    return {'label': row.label, 'opens': opens or bool(row.runs), 'seeds': row.seeds,
            'said': said,
            'count': count, 'published': numbers,
            'cells': [_cell(row.cells[c.name], c, count, numbers) for c in columns],
            'facts': [(None if value is None else repr(value), grid.fact(row, name))
                      for name, value in zip(facts, known, strict=True)]}


def _cell(cell: Cell, column: Column, row_count: str, numbers: Sequence[dict]) -> dict:
    """One metric of a row for the template."""
    piece, summary, digits = grid.piece(cell, column), cell.summary, column.digits
    out = {'main': piece.main, 'marks': piece.marks, 'best': piece.best, 'dagger': piece.dagger,
           'sort': None, 'kind': 'best' if cell.best else '', 'interval': '', 'noise': '',
           'text': '', 'published': ()}
    if summary is None:
        return out | {'kind': 'gap' if cell.text == GAP else 'lost'}
    if cell.text in TURNS:
        out['kind'] = cell.text
    out['interval'] = _minus(grid.spread(cell, digits))
    if cell.stderr is not None:
        out['noise'] = f'se {grid.number(cell.stderr, max(digits, 2))}'
    fewer = f'n={summary.n}' if cell.seeds and str(summary.n) != row_count else ''
    return out | {'sort': repr(summary.mean), 'main': _minus(piece.main),
                  'text': grid.join(cell.text, fewer),
                  'published': [number for number in numbers
                                if number['delta'] and number['metric'] == column.name]}


def image(title: str, alt: str, data: bytes, kind: str) -> dict[str, str]:
    """Returns a figure for the template; `kind` is 'svg' or 'png'."""
    uri = f'data:{_MIME[kind]};base64,{base64.b64encode(data).decode()}'
    return {'title': title, 'alt': alt, 'uri': uri}


def card(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a model card for the template: paragraphs are (first line, the other lines)."""
    body = fields.get('body') or ()
    body = re.split(r'\n\s*\n', body) if isinstance(body, str) else body
    texts = {k: fields.get(k) or '' for k in ('title', 'summary', 'source', 'cite')}
    paragraphs = [text.strip().partition('\n')[::2] for text in body if text.strip()]
    return texts | {'body': paragraphs}


# The script's part.

def details(table: Table, strings: Strings, numbers: Quoted, cards: Mapping[str, int]
            ) -> dict[str, Any]:
    """Returns what the script shows on demand, as JSON: of the columns, then of each row.

    Args:
      table: the table.
      strings: of the page.
      numbers: from `quoted`.
      cards: {row: number of its model card}.
    """
    keys = 'metric', 'name', 'text', 'table', 'verdict', 'delta', 'why'
    columns = [[c.name, c.unit, c.better, strings(c.estimator)] for c in table.columns]
    return {'columns': columns, 'notes': table.notes, 'lead': 3 if ranks.ranks(table) else 2,
            'rows': [{'id': row.row, 'label': row.label, 'family': _kin(row),
                      'cells': [_cell_details(row.cells[c.name], strings)
                                for c in table.columns],
                      'runs': [_run_details(run, strings) for run in row.runs],
                      'card': cards.get(row.row),
                      'published': [[number[k] for k in keys]
                                    for number in numbers.get(row.row, ())]}
                     for row in table.rows]}


def _seven(x):
    """Seven significant digits: enough to read, half the bytes."""
    return None if x is None else float(f'{x:.7g}')


def _cell_details(cell, strings):
    summary = cell.summary
    if summary is None:
        return [cell.text, cell.notes] if cell.notes else cell.text
    seeds = [x for seed, value in sorted(cell.seeds.items()) for x in (seed, _seven(value))]
    return [*map(_seven, summary[:3]), summary.n, _seven(cell.stderr), strings(cell.estimator),
            int(cell.best), cell.notes, seeds]


def _run_details(run: Run, strings: Strings) -> list:
    reason = run.reason if run.status == 'failed' else None
    texts = reason, run.file, run.method, run.config_hash, run.revision, run.device
    times = [run.times.get(part) for part in ('train', 'evaluate', 'compile')]
    times = [None if t is None else round(t, 1) for t in times]
    return [run.seed, *map(strings, texts), *times]
