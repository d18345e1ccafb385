"""Seconds that rewriting takes, without compilation."""
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vaebench.core import derive
from vaebench.metrics.draws import GENERATED
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.rewritten import REWRITTEN, classes
from vaebench.metrics.types import NONNEGATIVE, Estimator, Metric, Value

BATCH, TIMES = 100, 5


def _edit(evals, size, params, carry, key, batch, z):
    return evals['edit'](params, carry, z, (batch['label'] + 1) % size)


def _transfer(evals, size, params, carry, key, batch):
    return evals['transfer'](params, carry, batch, (batch['label'] + 1) % size,
                             derive(key, GENERATED, REWRITTEN), 'greedy')


def median_seconds(call: Callable[[], Any]) -> float:
    """Measures the median of 5 calls, each to the end of what it computes, after one that
    compiles.
    """
    def once():
        start = time.perf_counter()
        jax.block_until_ready(call())
        return time.perf_counter() - start

    once()
    return float(np.median([once() for _ in range(TIMES)]))


def _batch(view):
    """The first rows of the largest length class, as a batch, and their places in the split."""
    sizes = [len(index) for index in view.index]
    most = int(np.argmax(sizes))
    rows = np.arange(min(BATCH, sizes[most]))
    return (view.batch(view.buckets[most], rows),
            np.argsort(view.order)[sum(sizes[:most]) + rows])


def _timed(view, f, text, name, codes=False):
    """`Value` of a function of one seed and a batch, and of its codes where these are read."""
    key, (batch, rows) = (f, classes(view), 'one seed'), _batch(view)
    if key not in view.programs:
        view.programs[key] = jax.jit(functools.partial(f, view.evals, classes(view)))
    seconds = []
    for g in range(view.seeds):
        view.pause()
        mine = jax.tree.map(lambda x, g=g: x[g], (view.params, view.carry, view.keys))
        given = jax.device_put((*mine, batch, *((view.codes[g, rows],) if codes else ())))
        seconds.append(median_seconds(functools.partial(view.programs[key], *given)))
    return Value(1000 * np.array(seconds) / len(rows), Estimator(
        f'wall-clock time of {text}, one seed alone, batches of {len(rows)}, median of {TIMES} '
        'after compilation; the machine decides: compare rows of one machine',
        f'wall-clock:{name}:batch-{len(rows)}'), len(rows))


def added_ms(view: Evaluator) -> Value:
    """Measures the time of `edit` alone: what rewriting computes between encoding and decoding.

    References:
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983 (the column of added time).
    """
    return _timed(view, _edit, 'the step between encoding and decoding', 'edit', codes=True)


def transfer_ms(view: Evaluator) -> Value:
    """Measures the time of a whole rewriting, encoding and greedy decoding included."""
    return _timed(view, _transfer, 'a whole greedy rewriting', 'transfer')


_FIELDS = 'tokens', 'length', 'label'

METRICS = {
    'added_ms': Metric(added_ms, (('edit', 'encode'),), 'ms/{item}', 'lower', _FIELDS,
                       NONNEGATIVE),
    'transfer_ms': Metric(transfer_ms, (('transfer',),), 'ms/{item}', 'lower', _FIELDS,
                          NONNEGATIVE),
}
