"""Real-NVP: an invertible map whose every layer leaves half of its input as it is."""
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

BOUND = 2.
"""Limit of a layer's log scale."""


class Flow(NamedTuple):
    """An invertible map of the last axis as pure functions of its parameters."""
    init: Callable[..., Any]           # key -> params
    forward: Callable[..., tuple]      # (params, x [..., Z]) -> (y [..., Z], ln |det dy/dx| [...])
    inverse: Callable[..., tuple]      # (params, y [..., Z]) -> (x [..., Z], ln |det dx/dy| [...])


def bounded(raw):
    """Log scale between -2 and 2, with slope 1 at 0.

    Args:
      raw: [...].

    Returns:
      [...], 2 tanh(raw / 2).

    >>> bounded(jnp.array([0., 1e9])).tolist()
    [0.0, 2.0]
    """
    return BOUND * jnp.tanh(raw / BOUND)


def coupling(size, layers, mlp, hidden=64):
    """Affine coupling layers that copy the first and the second half in turn; the identity at the start.

    A layer maps the half b to b exp(s(a)) + t(a), where a is the half it copies; s and t share their hidden
    layers. The paper has y's index on both sides of its formula; here the right-hand side is the layer's input.

    Args:
      size: Z, at least 2; of an odd Z the second half has one more.
      layers: how many.
      mlp: (sizes, activation) -> net with init(key) -> params and apply(params, x [..., n]) -> [..., m].
      hidden: width of the two hidden layers.

    Returns:
      A `Flow`.

    References:
      Dinh et al., "Density estimation using Real NVP", 2017, arXiv:1605.08803.
      Ding and Gimpel, "FlowPrior: Learning Expressive Priors for Latent Variable Sentence Models", 2021.

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
        return [{'trunk': net.init(k), 'w': jnp.zeros((hidden, 2 * (size - n))), 'b': jnp.zeros(2 * (size - n))}
                for net, n, k in zip(trunks, copied, jax.random.split(key, layers), strict=True)]

    def move(i, params, x, backwards):
        first, second = x[..., :half], x[..., half:]
        a, b = (first, second) if i % 2 == 0 else (second, first)
        features = jnp.tanh(trunks[i].apply(params['trunk'], a))
        raw, shift = jnp.split(features @ params['w'] + params['b'], 2, -1)
        s = bounded(raw)
        b = (b - shift) * jnp.exp(-s) if backwards else b * jnp.exp(s) + shift
        return jnp.concatenate((a, b) if i % 2 == 0 else (b, a), -1), s.sum(-1)

    def forward(params, x):
        log_det = jnp.zeros(x.shape[:-1], x.dtype)
        for i in range(layers):
            x, d = move(i, params[i], x, False)
            log_det += d
        return x, log_det

    def inverse(params, y):
        log_det = jnp.zeros(y.shape[:-1], y.dtype)
        for i in reversed(range(layers)):
            y, d = move(i, params[i], y, True)
            log_det -= d
        return y, log_det

    return Flow(init, forward, inverse)
