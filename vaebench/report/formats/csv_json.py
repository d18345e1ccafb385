"""Tables as CSV and as JSON, with numbers in full."""
import csv
import functools
import io
import json
from collections.abc import Iterator, Sequence

from vaebench.report.formats.grid import FACT_UNITS, fact, facts, join, piece
from vaebench.report.published import Value
from vaebench.report.statistics import Summary
from vaebench.report.tables import FACTS, Cell, Column, Row, Run, Table

FIELDS = (
    'table', 'row', 'label', 'family', 'remark', 'tuned', 'metric', 'text', 'mean', 'low',
    'high', 'spread', 'seeds', 'stderr', 'best', 'unit', 'better', 'estimator', 'notes',
    'values')


# CSV.

def to_csv(tables: Sequence[Table]) -> str:
    """Writes a line for each row and metric; facts and published numbers are lines too.

    Returns:
      CSV with the header `FIELDS`. The last field has the value of each seed, such as
      '0:1.5;1:1.625'. Each number reads back as the same float. `spread` says what low and high
      are: the range of few seeds, or the 95% interval. A text that a spreadsheet would take for
      a formula has an apostrophe before it.
    """
    out = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(out, FIELDS, lineterminator='\n')
    writer.writeheader()
    for table in tables:
        names = facts(table)
        for row in table.rows:
            head = {'table': table.table, 'row': row.row, 'label': row.label,
                    'family': row.family, 'remark': row.remark, 'tuned': row.tuned}
            writer.writerows({k: _safe(v) for k, v in (head | line).items()}
                             for line in _lines(table, row, names))
    return out.getvalue()


def _safe(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    if not isinstance(value, str) or not value.startswith(('=', '+', '-', '@', '\t', '\r')):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _lines(table: Table, row: Row, names: Sequence[str]) -> Iterator[dict]:
    """The lines of a row: its metrics, its facts of these names, published numbers."""
    for column in table.columns:
        yield _metric(table, column, row.cells[column.name])
    for name in names:
        yield {'metric': name, 'text': fact(row, name), 'mean': row.facts.get(name),
               'unit': FACT_UNITS[name]}
    for value, verdict, note in row.published:
        yield {'metric': f'published {value.table} {value.name}', 'text': value.text,
               'mean': value.value, 'unit': value.unit, 'better': value.better,
               'estimator': value.estimator,
               'notes': verdict + (f': {table.notes[note - 1]}' if note else '')}


def _metric(table, column, cell):
    """The line of one metric of a row."""
    text, summary = piece(cell, column), cell.summary
    line = {'metric': column.name, 'text': join(text.main + '†' * text.dagger, text.small),
            'best': '*' * cell.best, 'unit': column.unit, 'better': column.better,
            'estimator': cell.estimator,
            'notes': '; '.join(table.notes[i - 1] for i in cell.notes),
            'values': ';'.join(f'{k}:{v!r}' for k, v in sorted(cell.seeds.items()))}
    if summary:
        line |= {'mean': summary.mean, 'low': summary.low, 'high': summary.high,
                 'seeds': summary.n, 'stderr': cell.stderr,
                 'spread': 'range' if cell.spread == 'range' else 'interval'}
    return line


# JSON.

_dumps = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)


def to_json(tables: Sequence[Table]) -> str:
    """Writes everything that tables hold.

    Returns:
      {"tables": [{"table", "title", "about", "columns", "rows", "notes", "sources", "primary",
      "baseline", "brief", "more", "against"}]}, which `read_json` reads.
    """
    return f'{{"tables": [{", ".join(map(_table_json, tables))}]}}\n'


def _table_json(table):
    # An item a line: as readable as an indented file, half its size, and encoded quickly.
    listed = lambda items: '[' + ',\n  '.join(map(_dumps, items)) + ']'
    rows = [_row_record(row, table.columns) for row in table.rows]
    fields = {**table._asdict(), 'columns': [c._asdict() for c in table.columns], 'rows': rows}
    lines = [f' "{k}": {listed(v) if k in ("columns", "rows", "notes") else _dumps(v)}'
             for k, v in fields.items()]
    return '{\n' + ',\n'.join(lines) + '}'


def _row_record(row, columns):
    return {'row': row.row, 'label': row.label, 'family': row.family, 'remark': row.remark,
            'why': row.why, 'version': row.version, 'order': row.order, 'seeds': row.seeds,
            'method': row.method, 'options': row.options, 'hp': row.hp, 'tuned': row.tuned,
            **row.facts,
            'metrics': {c.name: _cell_record(row.cells[c.name]) for c in columns},
            'published': [{**value._asdict(), 'verdict': verdict, 'note': note}
                          for value, verdict, note in row.published],
            'runs': [run._asdict() for run in row.runs]}


def _cell_record(cell):
    record = cell._asdict()
    seeds, summary = record.pop('seeds'), record.pop('summary')
    return {'seeds': {str(k): v for k, v in sorted(seeds.items())},
            **(summary._asdict() if summary else {}), **record}


def read_json(text: str) -> list[Table]:
    """Reads the tables that `to_json` wrote; every number is the same."""
    return [Table(t['table'], t['title'], tuple(map(_column, t['columns'])),
                  tuple(map(_row, t['rows'])), tuple(t['about']), tuple(t['notes']),
                  tuple(t['sources']), t['primary'], t['baseline'], t['brief'],
                  tuple(t['more']), t.get('against', False))
            for t in json.loads(text)['tables']]


def _column(record):
    return Column(**record | {'notes': tuple(record['notes'])})


def _row(record):
    quoted = tuple((Value(**{k: v[k] for k in Value._fields}), v['verdict'], v['note'])
                   for v in record['published'])
    cells = {name: _cell(c) for name, c in record['metrics'].items()}
    return Row(record['row'], record['label'], record['order'], cells,
               {k: record[k] for k in FACTS if k in record}, record['seeds'], quoted,
               tuple(Run(**run) for run in record['runs']), record['family'], record['remark'],
               record['why'], record['version'], record['method'], record['options'],
               record['hp'], record['tuned'])


def _cell(record):
    summary = Summary(*(record[k] for k in Summary._fields)) if 'mean' in record else None
    rest = {k: v for k, v in record.items() if k not in Summary._fields}
    return Cell(**rest | {'seeds': {int(k): v for k, v in record['seeds'].items()},
                          'summary': summary, 'notes': tuple(record['notes'])})
