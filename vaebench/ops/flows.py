"""Real-NVP: an invertible map whose every layer leaves half of its input as it is."""
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

BOUND = 2.
"""Limit of a layer's log scale."""
Mapped = tuple[jax.Array, jax.Array]
"""(image [..., Z], log of the absolute determinant of the Jacobian [...])."""


class Flow(NamedTuple):
    """An invertible map of the last axis as pure functions of its parameters."""
    init: Callable[[jax.Array], chex.ArrayTree]             # key -> params
    forward: Callable[[chex.ArrayTree, jax.Array], Mapped]    # (params, x [..., Z]) -> y
    inverse: Callable[[chex.ArrayTree, jax.Array], Mapped]    # (params, y [..., Z]) -> x


def bounded(raw: jax.Array) -> jax.Array:
    """Squashes a number into a log scale between -2 and 2, with slope 1 at 0.

    Args:
      raw: [...].

    Returns:
      [...], 2 tanh(raw / 2).

    >>> bounded(jnp.array([0., 1e9])).tolist()
    [0.0, 2.0]
    """
    chex.assert_type(raw, float)
    return BOUND * jnp.tanh(raw / BOUND)


def coupling(size: int, layers: int, mlp: Callable, hidden: int = 64) -> Flow:
    """Builds affine coupling layers that copy the first and the second half in turn.

    A layer maps the half b to b exp(s(a)) + t(a), where a is the half that it copies; s and t
    share their hidden layers. At the start the flow is the identity. The paper has y's index
    on both sides of its formula; here the right-hand side is the layer's input.

    Args:
      size: Z, at least 2. The second half of an odd Z is the larger one.
      layers: number of layers.
      mlp: maps (sizes, activation) to a net with init(key) -> params and
        apply(params, x [..., n]) -> [..., m].
      hidden: width of the two hidden layers.

    Returns:
      A `Flow`.

    References:
      Dinh et al., "Density estimation using Real NVP", 2017, arXiv:1605.08803.
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence
      Models", 2021.

    >>> from vaebench.networks.common import mlp
    >>> flow = coupling(3, 2, mlp)
    >>> x, log_det = flow.inverse(flow.init(jax.random.key(0)), jnp.arange(3.))
    >>> x.tolist(), float(log_det)
    ([0.0, 1.0, 2.0], 0.0)
    """
    half = size // 2
    copied = [half if i % 2 == 0 else size - half for i in range(layers)]
    trunks = [mlp((n, hidden, hidden), 'tanh') for n in copied]

    def init(key):
        keys = jax.random.split(key, layers)
        return [{'trunk': net.init(k), 'w': jnp.zeros((hidden, 2 * (size - n))),
                 'b': jnp.zeros(2 * (size - n))}
                for net, n, k in zip(trunks, copied, keys, strict=True)]

    def move(i, params, x, backwards):
        first, second = x[..., :half], x[..., half:]
        a, b = (first, second) if i % 2 == 0 else (second, first)
        features = jnp.tanh(trunks[i].apply(params['trunk'], a))
        raw, shift = jnp.split(features @ params['w'] + params['b'], 2, -1)
        s = bounded(raw)
        b = (b - shift) * jnp.exp(-s) if backwards else b * jnp.exp(s) + shift
        return jnp.concatenate((a, b) if i % 2 == 0 else (b, a), -1), s.sum(-1)

    def forward(params, x):
        chex.assert_shape(x, (..., size))
        chex.assert_type(x, float)
        log_det = jnp.zeros(x.shape[:-1], x.dtype)
        for i in range(layers):
            x, d = move(i, params[i], x, False)
            log_det += d
        return x, log_det

    def inverse(params, y):
        chex.assert_shape(y, (..., size))
        chex.assert_type(y, float)
        log_det = jnp.zeros(y.shape[:-1], y.dtype)
        for i in reversed(range(layers)):
            y, d = move(i, params[i], y, True)
            log_det -= d
        return y, log_det

    return Flow(init, forward, inverse)
