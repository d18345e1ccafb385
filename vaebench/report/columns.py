"""One metric of many rows: means over seeds, the best of each estimator, footnotes."""
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from vaebench.experiment.columns import UNRANKED, merit
from vaebench.experiment.records import Metric
from vaebench.files import one_line
from vaebench.report import statistics

GAP = '—'
Spread = Literal['range', 'half', 'interval']
"""What a cell shows of its seeds: their range, half an interval, or both ends of one."""


class Cell(NamedTuple):
    """One metric of one row."""
    seeds: dict[int, float]                 # {seed: value}
    summary: statistics.Summary | None      # None: nothing to show but `text`
    stderr: float | None                    # over the test examples, mean over seeds
    best: bool                              # in the best tie group of its estimator
    text: str                               # '', or why there is no number
    estimator: str                          # with its sample counts, '' without a number
    notes: tuple[int, ...]                  # footnotes, from 1
    warned: bool = False                    # of an estimate that is never ranked
    spread: Spread = 'interval'              # what low and high of the summary are


class Column(NamedTuple):
    """One metric."""
    name: str
    unit: str
    better: str | None
    estimator: str                          # of most rows, with its sample counts
    digits: int                             # decimals to show
    shown: bool = True                      # where nobody asks for columns
    notes: tuple[int, ...] = ()             # footnotes of all its cells


class Notes:
    """Footnotes, each text once."""

    def __init__(self):
        self.texts: list[str] = []

    def __call__(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


identity = operator.attrgetter('estimator_id', 'unit', 'better', 'n', 'samples')
"""What two records of a metric must share to be compared."""


def describe(record: Metric) -> str:
    """Says in words what tells estimators apart, 'importance sampling (500 examples)'."""
    pairs = (record.n, 'examples'), (record.samples, 'samples')
    counts = [f'{count} {word}' for count, word in pairs if count is not None]
    return one_line(record.estimator) + (f' ({", ".join(counts)})' if counts else '')


def digits(means: Sequence[float], values: Sequence[float]) -> int:
    """Chooses the decimals to show: 0 for counts, 2 from 1 up, else three significant ones.

    Args:
      means: of the rows.
      values: of all seeds.

    Returns:
      How many.
    """
    means = [abs(m) for m in means if abs(m) < 1e6]
    if all(float(v).is_integer() for v in values):
        return 0 if all(float(m).is_integer() for m in means) else 1
    largest = max(means, default=0)
    if largest >= 1000:                     # an outlier must not hide what others differ in
        largest = sorted(means)[len(means) // 2]
    if largest >= 1000:
        return 1
    if largest >= 1 or largest == 0:
        return 2
    return min(8, next(d for d in range(3, 330) if largest * 10 ** (d - 2) >= 1))


class _Sample(NamedTuple):
    """The records of one row, put together."""
    label: str
    kinds: dict[tuple, Metric]              # {identity: its first record}; several: no mean
    values: dict[int, float]                # {seed: value}, {} where there are several kinds
    stderr: float | None                    # mean over the seeds that have a value
    warnings: list[str]                     # each once, sorted
    notes: list[str]
    count: int                              # of records

    @property
    def mixed(self) -> bool:
        return len(self.kinds) > 1

    @property
    def kind(self) -> tuple | None:
        """The identity of all records, None where there is none or several."""
        return next(iter(self.kinds)) if len(self.kinds) == 1 else None


def _sample(label: str, records: Mapping[int, Metric]) -> _Sample:
    kinds: dict[tuple, Metric] = {}
    for m in records.values():
        kinds.setdefault(identity(m), m)
    one = len(kinds) == 1
    values = {s: m.value for s, m in records.items() if one and m.value is not None}
    errors = [m.stderr for s, m in records.items() if s in values and m.stderr is not None]
    return _Sample(label, kinds, values,
                   sum(errors) / len(errors) if errors else None,
                   sorted({m.warning for m in records.values() if m.warning}),
                   sorted({m.note for m in records.values() if m.note}), len(records))


def _words(samples: Iterable[_Sample]) -> dict[tuple, str]:
    """{identity: what its first record says}; to what another id has said, the id is added."""
    words: dict[tuple, str] = {}
    for sample in samples:
        for kind, record in sample.kinds.items():
            if kind in words:
                continue
            text = describe(record)
            taken = any(t == text and k[0] != kind[0] for k, t in words.items())
            words[kind] = f'{text}, {one_line(kind[0])}' if taken else text
    return words


def _remarks(name: str, sample: _Sample, main: tuple | None,
             words: Mapping[tuple, str]) -> list[str]:
    """The footnotes of one cell."""
    texts = []
    if sample.mixed:
        texts.append(f'{name} of {sample.label}: its seeds have different estimators: '
                     + '; '.join(words[kind] for kind in sample.kinds))
    elif sample.kind and main and sample.kind != main:
        own, theirs = sample.kind[1], main[1]
        unit = f', in {one_line(own)}' if own != theirs else ''
        texts.append(f'{name}: {words[sample.kind]}{unit}; ranked apart from the others')
    if sample.warnings:
        texts.append(one_line('; '.join(sample.warnings)))
    texts += map(one_line, sample.notes)
    if 0 < len(sample.values) < sample.count:
        texts.append(f'{name} of {sample.label}: {len(sample.values)} of {sample.count} seeds')
    return texts


def _best(name: str, groups: Mapping[tuple, Sequence[str]], samples: Mapping[str, _Sample],
          unranked: Collection[str]) -> set[str]:
    """The rows that are best of their estimator, or tie with the best."""
    out = set()
    if name in UNRANKED:
        return out
    for (_, _, better, _, _), members in groups.items():
        filled = [r for r in members if r not in unranked and samples[r].values
                  and not samples[r].warnings]
        # One seed shows nothing beside several.
        filled = [r for r in filled if len(samples[r].values) > 1] or filled
        if better and len(filled) > 1:
            good = merit(name, better)
            merits = [{s: good(v) for s, v in samples[r].values.items()} for r in filled]
            tied = statistics.ties(merits, 'higher')
            out.update(r for r, t in zip(filled, tied, strict=True) if t)
    return out


def column(name: str, rows: Mapping[str, tuple[str, Mapping[int, Metric]]],
           notes: Notes, unranked: Collection[str] = ()) -> tuple[Column, dict[str, Cell]]:
    """Puts one metric of all rows together.

    Args:
      name: of the metric.
      rows: {row: (label, {seed: record})}.
      notes: takes the footnotes.
      unranked: rows that cannot be the best.

    Returns:
      (column, {row: cell}). Only rows of one estimator are compared with one another; an
      estimator is told by its `identity`, and described by the first record that has it.
    """
    samples = {row: _sample(*own) for row, own in rows.items()}
    words = _words(samples.values())
    groups: dict[tuple, list[str]] = {}
    for row, sample in samples.items():
        if sample.kind:
            groups.setdefault(sample.kind, []).append(row)
    main = max(groups, key=lambda g: len(groups[g]), default=None)
    marks = {row: tuple(map(notes, _remarks(name, sample, main, words)))
             for row, sample in samples.items()}
    best = _best(name, groups, samples, unranked)
    values = [list(s.values.values()) for s in samples.values()]
    bounds = _bounds(samples.values())
    summaries = statistics.summarise(values, bounds)
    halves = summaries if bounds == (None, None) else statistics.summarise(values)
    cells = {}
    for (row, sample), summary, half in zip(samples.items(), summaries, halves, strict=True):
        text = '' if summary else 'mixed' if sample.mixed else GAP
        cells[row] = Cell(sample.values, summary, sample.stderr, row in best, text,
                          words[sample.kind] if summary and sample.kind else '', marks[row],
                          bool(sample.warnings), _spread(summary, half))
    shown = digits([s.mean for s in summaries if s],
                   [v for sample in samples.values() for v in sample.values.values()])
    unit, better = (main[1], main[2]) if main else ('', None)
    return Column(name, one_line(unit), better, words[main] if main else '', shown), cells


def _bounds(samples: Iterable[_Sample]) -> statistics.Bounds:
    """What the quantity can be, as its records say; open where they say nothing."""
    said = [(m.least, m.most) for sample in samples for m in sample.kinds.values()]
    return next((b for b in said if b != (None, None)), (None, None))


def _spread(summary: statistics.Summary | None, whole: statistics.Summary | None) -> Spread:
    """How a summary is shown; `whole` is what it would be if the quantity had no ends."""
    if summary and summary.n <= statistics.FEW:
        return 'range'
    return 'half' if summary == whole else 'interval'


def blank(text: str, notes: Sequence[int] = ()) -> Cell:
    """Makes a cell that holds no number but a text."""
    return Cell({}, None, None, False, text, '', tuple(notes))
