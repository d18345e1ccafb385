"""From an evaluated group to result files."""
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import files, metrics, schema
from vaebench.datasets import Dataset
from vaebench.experiment import evaluate, results
from vaebench.experiment.table import Row, Table


class Evaluated(NamedTuple):
    """What a group of seeds came to."""
    seeds: Sequence[int]
    hosts: Sequence[Mapping[str, Any]]        # what training stored beside the parameters
    good: Sequence[int]                       # places of the seeds that did not fail
    entries: Sequence[Mapping[str, Any]]      # of the good ones: metric -> record
    arrays: Mapping[str, np.ndarray]          # of the good ones, leaves [good, ...]
    parameter_count: int
    seconds: float                            # of evaluation, a seed


def result(table: Table, row: Row, data: Dataset, group: Evaluated, i: int) -> dict[str, Any]:
    """Gives the fields of a cell's result.

    Args:
      table: its table.
      row: its row.
      data: its dataset.
      group: what the seeds that trained together came to.
      i: its place among them.

    Returns:
      The fields of a `records.Result`.
    """
    host, good = group.hosts[i], i in group.good
    return {
        'schema': results.VERSION, 'table': table.name, 'title': table.title, 'row': row.name,
        'label': row.label, 'order': row.order, 'seed': group.seeds[i],
        'method': row.config['method'], 'status': 'done' if good else 'failed',
        'reason': host['reason'], 'published': list(row.published),
        'dataset': _dataset(row, data),
        'config': files.plain(row.config), 'config_hash': row.config_hash,
        'train_hash': row.train_hash, 'parameters': host['parameters'],
        'metrics': group.entries[group.good.index(i)] if good else {},
        'times': {'train': host['train'], 'evaluate': group.seconds, 'compile': host['compile'],
                  'epoch': epoch_seconds(host['curves'], len(host['seeds']))},
        'group': len(host['seeds']), 'steps': host['steps'],
        'parameter_count': group.parameter_count, 'peak_memory': evaluate.peak_memory(),
        **evaluate.provenance(), **({} if row.tuning is None else {'tuning': row.tuning})}


def own_arrays(group: Evaluated, i: int) -> dict[str, np.ndarray]:
    """Gives the arrays of the i-th seed; {} where it failed."""
    if i not in group.good:
        return {}
    g = group.good.index(i)
    return {k: np.asarray(v[g]) for k, v in group.arrays.items()}


def curves(entries: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Gives curves as arrays [epochs]; NaN where a phase has no such number."""
    if not entries:
        return {}
    names = sorted({(part, k) for e in entries for part in ('train', 'valid') for k in e[part]})

    def number(x):
        return np.nan if x is None else x

    out = {f'curve/{part}/{k}': np.array([number(e[part].get(k)) for e in entries])
           for part, k in names}
    return {**out, 'curve/step': np.array([e['step'] for e in entries])}


def epoch_seconds(curves: Sequence[Mapping[str, Any]], seeds: int) -> float | None:
    """Gives the median time of an epoch of the last phase, a group's divided by its seeds; None
    where that phase has fewer than two.

    >>> epoch_seconds([{'phase': 'ae', 'seconds': 9.}, {'phase': 'map', 'seconds': 10.},
    ...                {'phase': 'map', 'seconds': 16.}], 2)
    3.0
    """
    own = [e['seconds'] for e in curves if e['phase'] == curves[-1]['phase']]
    return float(np.median(np.diff(own))) / seeds if len(own) > 1 else None


def words(columns: schema.Schema) -> tuple[str, ...] | None:
    """Gives the words of the first column of tokens; None where there is none."""
    name = schema.of_kind(columns, 'tokens')
    return None if name is None else schema.field(columns, name).names


def measured(row: Row) -> metrics.Settings:
    """Gives what the row's evaluation measures."""
    return metrics.Settings(**row.config['evaluation'])


def likelihood(row: Row, data: Dataset) -> metrics.Estimator | None:
    """Says what the decoder's nats are of, for kits that have a choice; None for the others."""
    name = row.config['kit'].get('likelihood')
    if name is None:
        return None
    if name == 'bernoulli' and _grey(data, measured(row).split):
        return metrics.Estimator(f'{name} decoder, no normalised likelihood of grey levels',
                                 f'{name}-grey')
    return metrics.Estimator(f'{name} decoder', name)


def _grey(data, split, rows=1024):
    """Whether a split's column 'x', as networks read it, holds more than 0 and 1."""
    for start in range(0, data.source.sizes[split], rows):
        part = schema.select(data.splits[split], slice(start, start + rows))
        x = (part if data.decode is None else data.decode(part)).get('x')
        if x is not None and bool(((x > 0) & (x < 1)).any()):
            return True
    return False


def _dataset(row, data):
    return files.plain({'name': data.name, 'sha256': data.source.sha256,
                        'split': measured(row).split, 'sizes': data.source.sizes,
                        **data.source.facts})
