"""The papers' numbers, and whether ours may stand beside them."""
import difflib
import functools
import pathlib
import re
from typing import NamedTuple

from vaebench.errors import UserError

SAME, DIFFERENT = 'same estimator', 'not comparable'
REPLICAS = 'ppl_paper', 'nll_paper'
"""Our metrics that repeat what a paper printed where that is no bound."""

_NUMBER = re.compile(r'(?P<bound>[≤≥]?)→?(?P<number>[-−]?\d+(\.\d+)?)(?P<kilo>K?)[×%†]?'
                     r'( ± (?P<spread>\d+(\.\d+)?)(?P<kilo2>K?))?')
_COLUMN = {'metric', 'name', 'better', 'unit', 'estimator'}


class Value(NamedTuple):
    """One published number."""
    table: str              # 'A4'
    row: str                # 'vae'
    label: str              # as printed
    dataset: str            # 'ptb'
    metric: str             # the paper's: 'ppl'
    name: str               # its header: 'PPL'
    text: str               # as printed: '≤332.1', '8.81 ± 0.05'
    value: float
    spread: float | None    # what follows the ±
    bound: bool             # printed with ≤ or ≥
    better: str | None
    unit: str
    estimator: str          # theirs
    ours: str | None        # our metric of the same estimator
    samples: int | None     # importance samples that ours must have used
    why: str | None         # why no metric of ours has the same estimator
    paper: str
    sizes: dict             # of their dataset: examples by split and 'vocab', as far as known
    deck: str               # the slide decks that show it, '' if none is named


def number(text):
    """The parts of a printed number.

    Args:
      text: such as '101.40', '≤332.1', '6.10K ± 60', '3.7×', '87%', '0.400†' or '→5.65'.

    Returns:
      (value, spread or None, whether it is a bound), or None where it is no number.

    >>> number('6.10K ± 60'), number('≤332.1')
    ((6100.0, 60.0, False), (332.1, None, True))
    """
    m = _NUMBER.fullmatch(text)
    if not m:
        return None
    scale = {'': 1, None: 1, 'K': 1000}
    # Rounded, for 6.27 * 1000 is not 6270.
    value = round(float(m['number'].replace('−', '-')) * scale[m['kilo']], 6)
    spread = None if m['spread'] is None else round(float(m['spread']) * scale[m['kilo2']], 6)
    return value, spread, bool(m['bound'])


def _selects(rule, row, block, metric):
    return all(x in rule.get(k, [x]) for k, x in (('rows', row), ('blocks', block), ('metrics', metric)))


def _verdict(column, rules, row, block):
    """(ours, samples, why) of one cell."""
    source = column
    for rule in rules:
        if _selects(rule, row, block, column['metric']):
            source = rule
    return source.get('ours'), source.get('samples'), source.get('why')


def parse(document):
    """The numbers of a document in the form of `published.yaml`.

    Args:
      document: {'tables': {id: {'paper', 'deck', 'columns', 'except', 'blocks'}}, 'datasets': {name: sizes}}.

    Returns:
      {'A3': {'vae': {'ptb': [Value, ...]}}}: table, row, dataset. A gap has no Value.

    Raises:
      ValueError: the document is malformed; names the place.
    """
    out = {}
    for table, body in document['tables'].items():
        if unknown := body.keys() - {'paper', 'deck', 'columns', 'except', 'blocks'}:
            raise ValueError(f'{table}: unknown field {min(unknown)!r}')
        columns, rules, rows = body['columns'], body.get('except', []), {}
        for column in columns:
            if not column.keys() >= _COLUMN or ('ours' in column) == ('why' in column):
                raise ValueError(f'{table}: column {column.get("metric")!r} needs {sorted(_COLUMN)} and ours or why')
            if column['better'] not in ('lower', 'higher', None):
                raise ValueError(f'{table}: column {column["metric"]!r}: better is {column["better"]!r}')
        for block, text in body['blocks'].items():
            for line in text.strip().splitlines():
                row, label, *cells = (part.strip() for part in line.split(' | '))
                where = f'{table}/{row}/{block}'
                if len(cells) != len(columns):
                    raise ValueError(f'{where}: {len(cells)} values for {len(columns)} columns')
                if block in rows.setdefault(row, {}):
                    raise ValueError(f'{where}: twice')
                rows[row][block] = values = []
                for column, cell in zip(columns, cells, strict=True):
                    if cell == '-':
                        continue
                    if (parsed := number(cell)) is None:
                        raise ValueError(f'{where}: {cell!r} is no number')
                    ours, samples, why = _verdict(column, rules, row, block)
                    values.append(Value(table, row, label, block, column['metric'], column['name'], cell, *parsed,
                                        column['better'], column['unit'], column['estimator'], ours, samples, why,
                                        body['paper'], document.get('datasets', {}).get(block, {}),
                                        body.get('deck', '')))
        for rule in rules:
            known = {'rows': rows, 'blocks': body['blocks'], 'metrics': [c['metric'] for c in columns]}
            if rule.keys() - {*known, 'ours', 'why', 'samples'} or ('ours' in rule) == ('why' in rule):
                raise ValueError(f'{table}: an exception needs ours or why, and no other field than {sorted(known)}')
            for field, names in known.items():
                if lost := [x for x in rule.get(field, []) if x not in names]:
                    raise ValueError(f'{table}: exception for an unknown name {lost[0]!r} in {field}')
        out[table] = rows
    return out


@functools.cache
def published():
    """Every number of `published.yaml`; see `parse`."""
    import yaml
    text = pathlib.Path(__file__).with_name('published.yaml').read_text(encoding='utf-8')
    return parse(yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader)))


def base(dataset):
    """The published dataset that a name refers to: 'ptb-small' and 'ptb:small' are cut from 'ptb'."""
    return re.split(r'[-:/]', dataset)[0]


def values(key, dataset):
    """The numbers that a key of a result stands for.

    Args:
      key: 'A4/vae', or 'A3/vae/ptb' to name the block; without it, the block of the result's own dataset.
      dataset: name of the result's dataset.

    Returns:
      List of `Value`.

    Raises:
      UserError: no such key, or a block must be named.

    >>> [v.text for v in values('A4/vae', 'ptb')]
    ['101.40', '101.28', '0.00', '0', '0.00']
    """
    tables = published()
    table, _, rest = key.partition('/')
    row, _, block = rest.partition('/')
    blocks = tables.get(table, {}).get(row, {})
    if not block:
        block = next(iter(blocks)) if len(blocks) == 1 else base(dataset)
    if block not in blocks:
        known = [f'{t}/{r}{end}' for t, rows in tables.items() for r, bs in rows.items()
                 for end in ('', *(f'/{b}' for b in bs))]
        nearest = [f'{table}/{row}/{b}' for b in blocks] or difflib.get_close_matches(key, known, 1, 0.5)
        hint = f'; use {" or ".join(nearest)}' if nearest else '; see published.yaml'
        raise UserError(f'no published numbers {key!r} for dataset {dataset!r}{hint}')
    return blocks[block]


def compare(value, dataset, metrics):
    """Whether a published number and ours answer the same question.

    Args:
      value: a `Value`.
      dataset: the 'dataset' of a result.
      metrics: {name: record} of the same row.

    Returns:
      (`SAME` or `DIFFERENT`, reason or ''); of a replica the reason names it, for it must not pass for a bound.
    """
    name = dataset['name']
    reduced = dataset.get('reduced') or (name != value.dataset and base(name) == value.dataset)
    ours = {**(dataset.get('sizes') or {}), 'vocab': dataset.get('vocab')}
    if reduced or name == value.dataset and any(ours.get(k) not in (None, n) for k, n in value.sizes.items()):
        return DIFFERENT, 'reduced data'
    if name != value.dataset:
        return DIFFERENT, f'other data: {value.dataset}'
    if dataset['split'] != 'test':
        return DIFFERENT, f'other split: ours is {dataset["split"]}'
    if value.ours is None:
        return DIFFERENT, value.why
    if value.ours not in metrics:
        return DIFFERENT, f'{value.ours} not measured here'
    samples = metrics[value.ours].get('samples')
    if value.samples and samples and samples != value.samples:
        return DIFFERENT, f'{value.samples} importance samples there, {samples} here'
    if value.ours in REPLICAS:
        return SAME, f'answers to {value.ours}, a replica of what was printed and no bound'
    return SAME, ''
