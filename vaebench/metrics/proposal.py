"""What importance sampling draws from where a method's q(z|x) has no density: a Gaussian per
example.

It stands for codes in R^Z whose `log_prior` is a density there; codes on a manifold bring their
own 'log_q'.
"""
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import derive
from vaebench.metrics.draws import Columns, Evals

Gaussians = Mapping[str, Any]
"""'mean' and 'log_std', one Gaussian per example."""

LEAST = .01            # least variance a unit starts with
# Adam's first step size, in units of z and of ln std; falls linearly to 0
RATE = .1
DECAYS = .9, .99       # of Adam's moments: few steps need a short memory
NOTE = 'proposal: a Gaussian per example at the code, refined in {} steps'


def _noise(keys, size):
    return jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys)


def sample(q: Gaussians, key: jax.Array) -> jax.Array:
    """Makes a draw from each of one or more Gaussians, [B, Z]."""
    return q['mean'] + jnp.exp(q['log_std']) * jax.random.normal(key, q['mean'].shape)


def log_prob(q: Gaussians, z: jax.Array) -> jax.Array:
    """Computes ln N(z; mean, std^2).

    Args:
      q: {'mean': [B, Z], 'log_std': [B, Z]}.
      z: [B, Z].

    Returns:
      [B] nats.

    >>> q = {'mean': jnp.zeros((1, 2)), 'log_std': jnp.zeros((1, 2))}
    >>> round(float(log_prob(q, jnp.ones((1, 2)))[0]), 4)
    -2.8379
    """
    e = (z - q['mean']) * jnp.exp(-q['log_std'])
    return -(.5 * e**2 + q['log_std']).sum(-1) - .5 * z.shape[-1] * np.log(2 * np.pi)


EVALS = {
    'sample_q': lambda params, carry, q, key: sample(q, key),
    'log_q': lambda params, carry, q, z: log_prob(q, z),
}
"""What takes the place of the method's own evals."""


def start(codes: np.ndarray) -> dict[str, np.ndarray]:
    """Puts Gaussians at the codes whose mixture has a prior's unit variance, per unit and as
    far as the codes leave room.

    Args:
      codes: [G, N, Z] of the whole split.

    Returns:
      {'mean', 'log_std'}: [G, N, Z]; variance 1 - Var(code), at least 0.01: couples the split.

    >>> q = start(np.array([[[-.6, 3.], [.6, 9.]]]))
    >>> [round(float(np.exp(x)), 4) for x in q['log_std'][0, 0]]
    [0.8, 0.1]
    """
    variance = np.maximum(1 - np.asarray(codes, np.float64).var(1, keepdims=True), LEAST)
    log_std = (.5 * np.log(variance)).astype(np.float32)
    return {'mean': np.asarray(codes, np.float32),
            'log_std': np.broadcast_to(log_std, codes.shape)}


def refine(evals: Evals, params: Any, carry: Any, q: Gaussians, batch: Columns,
           keys: jax.Array, steps: int) -> Gaussians:
    """Ascends each example's own bound E_q[ln p(x|z) + ln p(z)] + H(q) with Adam.

    A step sees one antithetic pair of draws. The draws are others than those of importance
    sampling, whose estimate therefore stays what it is for any fixed proposal.

    Args:
      evals: with 'log_lik' and 'log_prior'.
      params, carry: of one seed.
      q: {'mean': [B, Z], 'log_std': [B, Z]}.
      batch: leaves [B, ...].
      keys: [B] typed keys.
      steps: number of steps; 0 leaves q as it is.

    Returns:
      q after the steps.

    References:
      Kim et al., "Semi-Amortized Variational Autoencoders", 2018, arXiv:1802.02550 (a posterior
      refined per example).
    """
    def loss(q, keys):
        offset = jnp.exp(q['log_std']) * _noise(keys, q['mean'].shape[-1])
        joint = [
            evals['log_lik'](params, carry, z, batch) + evals['log_prior'](params, carry, z)
            for z in (q['mean'] + offset, q['mean'] - offset)
        ]
        # examples do not see each other
        return -(.5 * (joint[0] + joint[1])).sum() - q['log_std'].sum()

    def step(c, t):
        q, first, second = c
        grads = jax.grad(loss)(q, jax.vmap(lambda key: derive(key, t))(keys))
        grads = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.), grads)
        a, b = DECAYS
        first = jax.tree.map(lambda m, g: a * m + (1 - a) * g, first, grads)
        second = jax.tree.map(lambda v, g: b * v + (1 - b) * g**2, second, grads)
        rate = RATE * (1 - t / steps) / (1 - a**(t + 1))
        moved = lambda x, m, v: x - rate * m / (jnp.sqrt(v / (1 - b**(t + 1))) + 1e-8)
        return (jax.tree.map(moved, q, first, second), first, second), None

    zeros = jax.tree.map(jnp.zeros_like, q)
    return jax.lax.scan(step, (q, zeros, zeros), jnp.arange(steps))[0][0]
