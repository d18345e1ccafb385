"""Rows whose numbers say little: each in one plain word, computed from its own metrics."""
from collections.abc import Sequence
from typing import NamedTuple

from vaebench.experiment import columns
from vaebench.experiment.columns import Sign
from vaebench.experiment.records import Metric, Result


class Verdict(NamedTuple):
    """What is to be said of a row."""
    word: str = ''              # '' where there is nothing to say
    ranked: bool = True         # whether the row has its place among the others
    why: str = ''               # the rule that gave the word


def verdict(results: Sequence[Result], primary: str | None) -> Verdict:
    """Gives the word of a row.

    Args:
      results: of the row, of all its seeds, those that failed too.
      primary: the metric that its table is read by, None for none.

    Returns:
      'diverged' where a seed failed or its primary metric was not finite; else that of the
      first of `columns.SIGNS` that holds.
    """
    read_by = [r.metrics[primary] for r in results if primary in r.metrics]
    if any(r.status == 'failed' for r in results) or any(m.value is None for m in read_by):
        return Verdict(columns.DIVERGED, False, columns.DIVERGED_WHY)
    for sign in columns.SIGNS:
        records = [r.metrics[sign.metric] for r in results if sign.metric in r.metrics]
        if records and _counts(sign, primary) and _holds(sign, records):
            return Verdict(sign.word, sign.ranked, sign.why)
    return Verdict()


def _counts(sign: Sign, primary: str | None) -> bool:
    """Whether a sign says something of a table that is read by this metric."""
    return not sign.of or primary is None or primary in sign.of


def _holds(sign: Sign, records: Sequence[Metric]) -> bool:
    if sign.warned and any(m.warning for m in records):
        return True
    values = [m.value for m in records if m.value is not None]
    most = min([sign.most, *(sign.share * m.samples for m in records if m.samples)])
    return bool(values) and sum(values) / len(values) <= most
