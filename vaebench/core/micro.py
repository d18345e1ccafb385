"""Gradients of a batch in parts, so that only a part's activations are held at a time."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core.types import Batch


def value_and_grad(loss: Callable[..., tuple], own: Any, carry: Any, batch: Batch,
                   micro: int = 0) -> tuple:
    """Computes a loss and its gradient, as `jax.value_and_grad` does with `has_aux`.

    In parts, the loss of a batch is the mean of the losses of its parts, weighted by their
    filled slots, and so are the gradient, the terms and what the carry moves by: the same where
    no example of the batch sees another (`Player.couples`). Noise is drawn part by part.

    Args:
      loss: (own, batch, part) -> (loss [], (carry, terms)); part is the number of the part,
        None where there is but one.
      own: what it is differentiated for.
      carry: what the loss begins with.
      batch: leaves [B, ...].
      micro: examples of a part, which divide B; 0 takes the batch as a whole.

    Returns:
      ((loss, (carry, terms)), gradient).
    """
    grad = jax.value_and_grad(loss, has_aux=True)
    if not 0 < micro < len(batch['weight']):
        return grad(own, batch, None)
    n = len(batch['weight']) // micro
    parts = jax.tree.map(lambda x: x.reshape(n, micro, *x.shape[1:]), batch)
    filled = parts['weight'].sum(1)
    share = jnp.where(filled.sum() > 0, filled / jnp.maximum(filled.sum(), 1.), 1. / n)

    def moved(part, batch):                     # the carry by its difference: exact at rest
        (value, (new, terms)), slope = grad(own, batch, part)
        return value, jax.tree.map(_difference, new, carry), terms, slope

    def add(total, each):
        part, batch, share = each
        found = moved(part, batch)
        return jax.tree.map(lambda t, x: t + (share * x).astype(x.dtype), total, found), None

    first = jax.tree.map(lambda x: x[0], parts)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype),
                         jax.eval_shape(moved, jnp.int32(0), first))
    value, by, terms, slope = jax.lax.scan(add, zeros, (jnp.arange(n), parts, share))[0]
    return (value, (jax.tree.map(_moved, carry, by), terms)), slope


def _difference(new, old):
    """What a leaf moves by, as floats; a whole number moves alike in every part."""
    new, old = jnp.asarray(new, jnp.float32), jnp.asarray(old, jnp.float32)
    return jnp.where(new == old, 0., new - old)            # infinity may stay what it is


def _moved(old, by):
    old = jnp.asarray(old)
    whole = not jnp.issubdtype(old.dtype, jnp.floating)
    return (old + (jnp.round(by) if whole else by)).astype(old.dtype)
