"""Errors of predicted vectors, as the data are and moved by their symmetry."""
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.metrics.draws import Columns, Evals
from vaebench.metrics.evaluator import Evaluator, of_batch
from vaebench.metrics.summary import average
from vaebench.metrics.types import NONNEGATIVE, Estimator, Metric, Value
from vaebench.schema import count

SHOWN = 6           # examples to look at


def _squares(evals, name, params, carry, batch):
    """Mean squared error of one part of the target, [B]."""
    gap = evals['predict'](params, carry, batch)[name] - batch['target'][name]
    return (gap.reshape(len(gap), -1)**2).mean(1)


def _still(evals: Evals, name: str, params: Any, carry: Any, key: Any, keys: Any,
           batch: Columns) -> Any:
    return _squares(evals, name, params, carry, batch)


def _moved(evals: Evals, what: tuple[str, Callable[..., Any]], params: Any, carry: Any,
           key: Any, own: Any, element: Any, batch: Columns) -> Any:
    name, symmetry = what
    return _squares(evals, name, params, carry, symmetry(element, batch))


def _has(view: Evaluator, name: str) -> bool:
    """Whether the target has a part of that name."""
    target = view.schema.get('target')
    return isinstance(target, Mapping) and name in target


def target_error(view: Evaluator, name: str) -> Value | None:
    """Measures the squared error of one part of the target, averaged over its numbers.

    Args:
      view: with the eval 'predict'.
      name: of the part, such as 'position'; without it there is no value.
    """
    if not _has(view, name):
        return None
    return average(view.over_examples(_still, name), Estimator(
        f'squared error of the predicted {name}, mean over coordinates', f'target-{name}'))


def moved_target_error(view: Evaluator, name: str) -> Value | None:
    """Measures `target_error` of examples that are moved, inputs and targets, by elements of
    the data's symmetry: example i by element i modulo their number.

    What commutes with the symmetry has the same error there; what learned on data of any pose
    has about the same, though not on each example.

    Args:
      view: with the eval 'predict', of data with a symmetry.
      name: see `target_error`.
    """
    if not _has(view, name):
        return None
    elements = jax.tree.map(np.asarray, view.data.truth['group'])
    many, parts = len(jax.tree.leaves(elements)[0]), []
    group = view.jit(_moved, (name, view.data.symmetry))
    for columns in view.buckets:
        n = count(columns)
        for e in range(min(many, n)):
            view.pause()
            rows = np.arange(e, n, many)
            slots = np.pad(rows, (0, -(-n // many) - len(rows)), constant_values=-1)
            element = jax.tree.map(lambda g, e=e: jnp.asarray(g[e]), elements)
            found = jax.device_get(group((), element, view.batch(columns, slots)))
            parts.append(found[:, :len(rows)])
    return average(np.concatenate(parts, 1), Estimator(
        f'squared error of the predicted {name}, mean over coordinates, of examples moved by '
        f'{many} elements of the symmetry in turn', f'target-{name}:moved-{many}'))


def systems(view: Evaluator) -> dict[str, np.ndarray]:
    """Collects examples of moving points with where they were predicted to go, to be drawn.

    Args:
      view: over any data.

    Returns:
      name -> [G, ...] of the split's first examples: 'systems/position' [G, M, P, 3],
      'systems/charge' [G, M, P], and by how much the position changes, 'systems/target' and
      'systems/predicted' [G, M, P, 3]. {} of other data, and of methods that predict nothing.
    """
    x = view.schema.get('x')
    known = isinstance(x, Mapping) and {'position', 'charge'} <= set(x)
    if not (known and _has(view, 'position') and 'predict' in view.evals):
        return {}
    batch = view.head(SHOWN)
    said = jax.device_get(view.jit(of_batch, 'predict')((), batch))['position']
    every = {'position': batch['x']['position'], 'charge': batch['x']['charge'],
             'target': batch['target']['position']}
    every = {name: np.broadcast_to(a, (view.seeds, *np.shape(a))) for name, a in every.items()}
    return {f'systems/{name}': a for name, a in {**every, 'predicted': said}.items()}


def _metrics(compute: Callable[..., Value | None], end: str,
             fields: tuple[str, ...]) -> dict[str, Metric]:
    return {f'mse_{name}{end}': Metric(functools.partial(compute, name=name), (('predict',),),
                                       'per {part}', 'lower', fields, NONNEGATIVE)
            for name in ('position', 'velocity')}


METRICS = {**_metrics(target_error, '', ('target',)),
           **_metrics(moved_target_error, '_rotated', ('target', 'symmetry', 'truth/group'))}
