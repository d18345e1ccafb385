"""The split rewritten to another style, computed once for all metrics, and means over the
directions.
"""
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vaebench.core import derive
from vaebench.metrics.draws import GENERATED, slots
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.sentences import CHUNK
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import Value
from vaebench.schema import field

REWRITTEN = 5          # tag of the key, after GENERATED


def classes(view: Evaluator) -> int:
    """Returns the number of labels K, at least 2."""
    return max(field(view.schema, 'label').size or 1 + int(view.field('label').max()), 2)


def targets(view: Evaluator) -> np.ndarray:
    """Returns the label [N] that every example is rewritten to: the next, the first after the
    last.
    """
    return (view.field('label') + 1) % classes(view)


def _rewrite(evals, how, params, carry, key, own, batch, i):
    mode, size = how
    out = evals['transfer'](params, carry, batch, (batch['label'] + 1) % size,
                            derive(key, GENERATED, REWRITTEN, i), mode)
    return out['tokens'], out['length']


def transferred(view: Evaluator, mode: str = 'greedy') -> tuple[np.ndarray, np.ndarray]:
    """Rewrites every example of the split to its target, once per view and mode, in dispatches
    of 100.

    Args:
      view: with the eval 'transfer' over sentences with a label.
      mode: 'greedy', 'sample' or 'beam'.

    Returns:
      (tokens [G, N, L], length [G, N]), in the split's order.
    """
    def make():
        rewrite, parts = view.jit(_rewrite, (mode, classes(view))), []
        for columns, index in zip(view.buckets, view.index, strict=True):
            for idx in slots(len(index), min(CHUNK, len(index))):
                view.pause()
                out = rewrite((), view.batch(columns, idx), np.int32(len(parts)))
                parts.append([x[:, :(idx >= 0).sum()] for x in jax.device_get(out)])
        wide = max(tokens.shape[2] for tokens, _ in parts)
        tokens = [np.pad(t, ((0, 0), (0, 0), (0, wide - t.shape[2]))) for t, _ in parts]
        length = [n for _, n in parts]
        return tuple(np.concatenate(x, 1)[:, view.order] for x in (tokens, length))

    return view.cached(('transfer', mode), make)


def references(view: Evaluator, column: str = 'reference') -> tuple[np.ndarray, np.ndarray]:
    """Returns the sentences of a nested column, in the split's order.

    Args:
      view: over data with the column.
      column: its name.

    Returns:
      (tokens [N, ..., L], length [N, ...]).
    """
    parts = [[b[column][k] for b in view.buckets] for k in ('tokens', 'length')]
    wide = max(t.shape[-1] for t in parts[0])
    parts[0] = [np.pad(t, [(0, 0)] * (t.ndim - 1) + [(0, wide - t.shape[-1])])
                for t in parts[0]]
    tokens, length = (np.concatenate(x)[view.order] for x in parts)
    return tokens, length


# Means of directions.

def directions(view: Evaluator) -> dict[str, np.ndarray]:
    """Finds the examples of every direction that the split has.

    Returns:
      'label to next label' -> rows, in the order of the labels.
    """
    label, names = view.field('label'), field(view.schema, 'label').names
    named = lambda k: names[k] if k < len(names) else str(k)
    return {f'{named(k)} to {named((k + 1) % classes(view))}': np.flatnonzero(label == k)
            for k in np.unique(label)}


def of_examples(view: Evaluator, x: Any, estimator: str, told: bool = False) -> Value:
    """Summarizes per-example numbers by the mean of every direction, and these by theirs.

    Args:
      view: the `Evaluator`.
      x: [G, N]; nan where an example does not count.
      estimator: an `Estimator`.
      told: whether the note says what each direction has, mean of the seeds.

    Returns:
      A `Value`; the note counts the examples left out of all seeds.
    """
    x, means, variance = np.asarray(x, np.float64), {}, 0.
    for name, rows in directions(view).items():
        own = np.ma.masked_invalid(x[:, rows])
        means[name] = own.mean(1).filled(np.nan)
        n = own.count(1)
        variance = variance + own.var(1, ddof=1).filled(np.nan) / np.maximum(n, 1)
    every, stderr = np.stack([*means.values()], 1), np.sqrt(variance) / len(means)
    notes = [f'{name} {mean.mean():.3g}' for name, mean in means.items() if told]
    skipped = int(np.isnan(x).sum())
    notes += [f'{skipped} of {x.size} left out'] if skipped else []
    return Value(every.mean(1), estimator, x.shape[-1], None,
                 stderr if np.isfinite(stderr).all() else None, warnings(every),
                 ', '.join(notes) or None)


def of_rows(view: Evaluator, score: Callable[[int, np.ndarray], float],
            estimator: str) -> Value:
    """Summarizes a number of many examples at once, which is computed for every direction, by
    its mean over the directions.

    Args:
      view: the `Evaluator`.
      score: (seed, rows of a direction) -> number.
      estimator: an `Estimator`.

    Returns:
      A `Value`.
    """
    every = np.array([[score(g, rows) for rows in directions(view).values()]
                      for g in range(view.seeds)], np.float64)
    return Value(every.mean(1), estimator, view.n, warning=warnings(every))
