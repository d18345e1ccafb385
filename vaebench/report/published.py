"""The papers' numbers, and whether ours may stand beside them.

`published.csv` has a line for each number as its paper prints it, with sign of bound (≤),
spread (±) and unit. Its columns, all of them text, '' where there is nothing to say:

  key        '<table>/<row>'; a row of a config answers to it, or to '<table>/<row>/<dataset>'
  dataset    what the number was measured on
  label      the row as printed; in A8 a '*' marks the rows run by BN-VAE's authors
  metric, name, value, better, unit, estimator    theirs; a gap of their table has no line
  ours       our metric of the same estimator, or else
  why        why no metric of ours has it
  samples    importance samples that ours must have used
  source     key of `references.bib`
  place      where in that paper, or what of it
  deck       the slide decks that show it

The setting that it was obtained in is of its row: see `settings`.
"""
from __future__ import annotations

import difflib
import functools
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vaebench.errors import UserError
from vaebench.experiment.records import Dataset, Metric
from vaebench.report import references, settings

if TYPE_CHECKING:
    import pandas

SAME, OTHER, UNKNOWN = 'same setting', 'other setting', 'setting unknown'
DIFFERENT = 'not comparable'
NAMED = 2
"""So many differences of a setting stand in the verdict, all of them in its footnote."""
REPLICAS = 'ppl_paper', 'nll_paper'
"""Our metrics that repeat what a paper printed where that is no bound."""
SIZES = {
    'ptb': {'train': 42_068, 'valid': 3_370, 'test': 3_761, 'vocab': 10_002},
    'yahoo': {'train': 100_000, 'valid': 10_000, 'test': 10_000, 'vocab': 20_001},
    'yelp': {'train': 100_000, 'valid': 10_000, 'test': 10_000, 'vocab': 19_997},
    'short_yelp': {'train': 100_000, 'valid': 10_000, 'test': 10_000, 'vocab': 8_411},
    'snli': {'train': 100_000, 'valid': 10_000, 'test': 10_000, 'vocab': 9_990},
    'mnist_static': {'train': 50_000, 'valid': 10_000, 'test': 10_000},
}
"""Examples by split of the papers' data and, where sure, the vocabulary."""

_NUMBER = re.compile(r'(?P<bound>[≤≥]?)→?(?P<number>[-−]?\d+(\.\d+)?)(?P<kilo>K?)[×%†]?'
                     r'( ± (?P<spread>\d+(\.\d+)?)(?P<kilo2>K?))?')


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
    better: str | None      # 'lower', 'higher'
    unit: str
    estimator: str          # theirs
    ours: str | None        # our metric of the same estimator
    samples: int | None     # importance samples that ours must have used
    why: str | None         # why no metric of ours has the same estimator
    source: str             # key of `references.bib`
    paper: str              # that paper in a few words, and the place there
    sizes: dict[str, int]   # of their dataset: examples by split and 'vocab', as far as known
    deck: str               # the slide decks that show it, '' if none is named
    setting: Mapping[str, str]      # what is known of it: dotted key of a config -> value
    remark: str             # what of the setting was inferred


def number(text: str) -> tuple[float, float | None, bool] | None:
    """Parses a printed number.

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


def _value(record: Any, lines: settings.Lines) -> Value:
    """The number of one line of `published.csv`; ValueError names a line that is malformed."""
    where = f'{record.key}/{record.dataset}/{record.metric}'
    if (parsed := number(record.value)) is None:
        raise ValueError(f'{where}: {record.value!r} is no number')
    if bool(record.ours) == bool(record.why):
        raise ValueError(f'{where}: needs ours or why')
    if record.better not in ('lower', 'higher', ''):
        raise ValueError(f'{where}: better is {record.better!r}')
    table, row = record.key.split('/')
    setting = settings.resolve(lines, record.key, record.dataset)
    return Value(
        table, row, record.label, record.dataset, record.metric, record.name, record.value,
        *parsed, record.better or None, record.unit, record.estimator, record.ours or None,
        int(record.samples) if record.samples else None, record.why or None, record.source,
        references.short(record.source) + f' ({record.place})' * bool(record.place),
        SIZES.get(record.dataset, {}), record.deck, setting.fields, setting.note)


def parse(frame: pandas.DataFrame, lines: settings.Lines | None = None
          ) -> dict[str, dict[str, dict[str, list[Value]]]]:
    """Reads the numbers of a frame with the columns of `published.csv`.

    Args:
      frame: all of its columns hold text.
      lines: from `settings.parse`; None: no setting is known.

    Returns:
      {'A3': {'vae': {'ptb': [Value, ...]}}}: table, row, dataset.

    Raises:
      ValueError: a line is malformed, or is there twice; names it.
    """
    out: dict = {}
    records: Iterable[Any] = frame.itertuples()
    for record in records:
        value = _value(record, lines or {})
        rows = out.setdefault(value.table, {})
        values = rows.setdefault(value.row, {}).setdefault(value.dataset, [])
        if any(v.metric == value.metric for v in values):
            raise ValueError(f'{record.key}/{record.dataset}/{record.metric}: twice')
        values.append(value)
    return out


@functools.cache
def published() -> dict[str, dict[str, dict[str, list[Value]]]]:
    """Reads every number of `published.csv`; see `parse`."""
    import pandas
    path = pathlib.Path(__file__).with_name('published.csv')
    return parse(pandas.read_csv(path, dtype=str, keep_default_na=False), settings.known())


def base(dataset: str) -> str:
    """Names the published dataset behind a name: 'ptb' of 'ptb-small' and 'ptb:small'."""
    return re.split(r'[-:/]', dataset)[0]


def values(key: str, dataset: str) -> list[Value]:
    """Finds the numbers that a key of a result stands for.

    Args:
      key: 'A4/vae', or 'A3/vae/ptb' to name the dataset; without it, the result's own counts
        where the row has several.
      dataset: name of the result's dataset.

    Returns:
      List of `Value`.

    Raises:
      UserError: no such key, or a dataset must be named.

    >>> [v.text for v in values('A4/vae', 'ptb')]
    ['101.40', '101.28', '0.00', '0', '0.00']
    """
    tables = published()
    table, _, rest = key.partition('/')
    row, _, name = rest.partition('/')
    found = tables.get(table, {}).get(row, {})
    if not name:
        name = next(iter(found)) if len(found) == 1 else base(dataset)
    if name not in found:
        known = [f'{t}/{r}{end}' for t, rows in tables.items() for r, measured in rows.items()
                 for end in ('', *(f'/{d}' for d in measured))]
        nearest = ([f'{table}/{row}/{d}' for d in found]
                   or difflib.get_close_matches(key, known, 1, 0.5))
        hint = f'; use {" or ".join(nearest)}' if nearest else '; see published.csv'
        raise UserError(f'no published numbers {key!r} for dataset {dataset!r}{hint}')
    return found[name]


def _incomparable(value: Value, dataset: Dataset, metrics: Mapping[str, Metric]) -> str:
    """Says why a number and ours are not of one quantity, '' where they are."""
    name = dataset.name
    reduced = dataset.reduced or (name != value.dataset and base(name) == value.dataset)
    ours = {**(dataset.sizes or {}), 'vocab': dataset.vocab}
    if reduced or name == value.dataset and any(
            ours.get(k) not in (None, n) for k, n in value.sizes.items()):
        return 'reduced data'
    if name != value.dataset:
        return f'other data: {value.dataset}' + (f'; {value.why}' if value.why else '')
    if dataset.split != 'test':
        return f'other split: ours is {dataset.split}'
    if value.ours is None:
        return value.why or 'no metric of ours answers to it'
    if value.ours not in metrics:
        return f'{value.ours} not measured here'
    samples = metrics[value.ours].samples
    if value.samples and samples and samples < value.samples:
        return f'{value.samples} importance samples there, {samples} here'
    return ''


def _remarks(value: Value, metrics: Mapping[str, Metric]) -> list[str]:
    """Lists what a reader should know of a number that ours may stand beside."""
    ours = value.ours or ''
    out = [f'answers to {ours}, a replica of what was printed and no bound'
           ] if ours in REPLICAS else []
    samples = metrics[ours].samples
    if value.samples and samples and samples > value.samples:
        out.append(f'{value.samples} importance samples there, {samples} here, which lowers '
                   'ours on average')
    return out + [value.remark] * bool(value.remark)


def compare(value: Value, dataset: Dataset, metrics: Mapping[str, Metric],
            config: Mapping[str, Any]) -> tuple[str, str]:
    """Says whether a published number and ours answer the same question, in the same setting.

    Args:
      value: a `Value`.
      dataset: that of a result.
      metrics: {name: record} of the same row.
      config: the row's, resolved.

    Returns:
      (verdict, remarks or ''). `DIFFERENT`: of other data, of another split or by another
      estimator. `OTHER`, with the first differences: only the setting differs. `UNKNOWN`: what
      is known of the setting is the same, but not all of it is known. Else `SAME`. Of a replica
      the remarks name it, for it must not pass for a bound.
    """
    if why := _incomparable(value, dataset, metrics):
        return DIFFERENT, why
    found = settings.differences(value.setting, config)
    lost = settings.unknown(value.setting, config)
    remarks = [f'not known of it: {", ".join(lost)}'] * bool(lost) + _remarks(value, metrics)
    if found:
        more = len(found) - NAMED
        named = [*found[:NAMED], *[f'{more} more'] * (more > 0)]
        remarks = ['; '.join(found)] * (more > 0) + remarks
        return f'{OTHER}: {"; ".join(named)}', '; '.join(remarks)
    return UNKNOWN if lost else SAME, '; '.join(remarks)
