"""How far a network is from commuting with a symmetry of the data: one definition for images
and particles.
"""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.metrics.draws import Columns, Evals
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.summary import warnings
from vaebench.metrics.types import NONNEGATIVE, Estimator, Metric, Value

# What f(x) is, under the column that the symmetry moves; it leaves those that it does not know.

def _predicted(evals, params, carry, batch):
    return {'target': evals['predict'](params, carry, batch)}


def _classified(evals, params, carry, batch):
    return {'log_p': evals['classify'](params, carry, batch)}


def _reconstructed(evals, params, carry, batch):
    code = evals['encode'](params, carry, batch)
    return {'x': evals['decode'](params, carry, code, jax.random.key(0), 'mean')['x']}


ANSWERS: dict[tuple[str, ...], tuple[Callable[..., Any], Estimator]] = {
    ('predict',): (_predicted, Estimator('the prediction', 'prediction')),
    ('classify',): (_classified, Estimator('the log probabilities of the classes', 'classes')),
    ('encode', 'decode'): (_reconstructed,
                           Estimator('the mean decoding of the code', 'reconstruction')),
}
"""Evals -> (what they make of a batch, what it is); the first that a method offers counts."""


def squares(columns: Any) -> jax.Array:
    """Sums the squares of all numbers of an example, [B], over nested columns.

    >>> squares({'x': jnp.ones((2, 3)), 'v': {'w': jnp.ones((2, 1, 1))}}).tolist()
    [4.0, 4.0]
    """
    parts = [(leaf.reshape(len(leaf), -1)**2).sum(-1) for leaf in jax.tree.leaves(columns)]
    return jnp.stack(parts).sum(0)


def _gaps(evals: Evals, answer_and_symmetry: tuple[Callable[..., Any], Callable[..., Any]],
          params: Any, carry: Any, key: Any, own: Any, elements: Any, batch: Columns) -> Any:
    """Sums over the filled slots: |f(g x) - g f(x)|^2 of every element [E], and |f(x)|^2 []."""
    answer, symmetry = answer_and_symmetry
    said = answer(evals, params, carry, batch)

    def gap(g):
        again = answer(evals, params, carry, symmetry(g, batch))
        moved = symmetry(g, {**batch, **said})
        apart = jax.tree.map(jnp.subtract, again, {name: moved[name] for name in said})
        return (squares(apart) * batch['weight']).sum()

    return jax.lax.map(gap, elements), (squares(said) * batch['weight']).sum()


def errors(view: Evaluator) -> tuple[np.ndarray, Estimator]:
    """Computes |f(g x) - g f(x)| / |f(x)| of every element g, computed once per view.

    The norms are over all examples and all numbers of an output, so that no example whose
    output is near 0 decides. The elements are `truth['group']`, leaves [E, ...] without the
    identity; g acts on an output as `Dataset.symmetry` acts on the column of that kind: on a
    prediction as on 'target', on a reconstruction as on 'x', on probabilities of classes not at
    all.

    Args:
      view: with the evals of one of `ANSWERS`.

    Returns:
      ([G, E], what f is).
    """
    def make():
        answer, what = next(found for needs, found in ANSWERS.items()
                            if set(needs) <= set(view.evals))
        elements = jax.tree.map(jnp.asarray, view.data.truth['group'])
        group, apart, size = view.jit(_gaps, (answer, view.data.symmetry)), 0., 0.
        for batch, _, _ in view.batches():
            view.pause()
            gap, norm = jax.device_get(group((), elements, batch))
            apart, size = apart + np.float64(gap), size + np.float64(norm)
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.sqrt(apart / np.expand_dims(size, -1)), what

    return view.cached('equivariance', make)


def _value(view, name, reduce):
    error, what = errors(view)
    n = error.shape[-1]
    return Value(reduce(error, -1), Estimator(
        f'|f(g x) - g f(x)| / |f(x)|, norms over all examples, f {what}; {name} of {n} '
        'elements g', f'equivariance-{what.id}:{name}-{n}'), view.n, warning=warnings(error))


def equivariance_error(view: Evaluator) -> Value:
    """Measures how far a network is from commuting with the data's symmetry, on average over
    elements of the group.

    References:
      Fuchs et al., "SE(3)-Transformers: 3D Roto-Translation Equivariant Attention Networks",
      2020, arXiv:2006.10503 (section 4.1), for particles.
    """
    return _value(view, 'mean', np.mean)


def equivariance_error_max(view: Evaluator) -> Value:
    """Measures it for the element of the group for which it is largest."""
    return _value(view, 'largest', np.max)


_FIELDS = 'symmetry', 'truth/group'

METRICS = {
    name: Metric(compute, tuple(ANSWERS), 'ratio', 'lower', _FIELDS, NONNEGATIVE)
    for name, compute in (('equivariance_error', equivariance_error),
                          ('equivariance_error_max', equivariance_error_max))
}
