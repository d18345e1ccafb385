"""f-divergences D_f(p || q) = E_q f(p / q) and their variational bounds."""
import math
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

LOG2 = math.log(2)
Elementwise = Callable[[jax.Array], jax.Array]


class FDivergence(NamedTuple):
    """Functions that define one divergence; the critic's output v is any real number."""
    f: Elementwise              # u = p / q > 0 -> f(u), convex; f(1) = 0 but for 'gan'
    slope: Elementwise          # u -> f'(u), the best dual function T* where the ratio is u
    activation: Elementwise     # v -> g(v), increasing, onto the domain of the conjugate
    conjugate: Elementwise      # t -> f*(t) = sup_u (u t - f(u)); Pearson's over all real u
    composite: Elementwise      # v -> f*(g(v)), which by way of g would become inf - inf
    threshold: float            # f'(1): the best dual function where p = q
    ceiling: float = math.inf   # larger v count as this one: beyond it the composite explodes


def _js(u):
    return u * jnp.log(u) - (u + 1) * jnp.log((1 + u) / 2)


DIVERGENCES = {
    'kl': FDivergence(
        lambda u: u * jnp.log(u), lambda u: 1 + jnp.log(u),
        lambda v: v, lambda t: jnp.exp(t - 1), lambda v: jnp.exp(v - 1), 1., 10.),
    'reverse_kl': FDivergence(
        lambda u: -jnp.log(u), lambda u: -1 / u,
        lambda v: -jnp.exp(-v), lambda t: -1 - jnp.log(-t), lambda v: v - 1, -1.),
    'pearson': FDivergence(
        lambda u: (u - 1)**2, lambda u: 2 * (u - 1),
        lambda v: v, lambda t: t**2 / 4 + t, lambda v: v**2 / 4 + v, 0., 10.),
    'hellinger': FDivergence(
        lambda u: (jnp.sqrt(u) - 1)**2, lambda u: 1 - 1 / jnp.sqrt(u),
        lambda v: 1 - jnp.exp(-v), lambda t: t / (1 - t), lambda v: jnp.exp(v) - 1, 0., 10.),
    'js': FDivergence(
        _js, lambda u: jnp.log(2 * u / (1 + u)),
        lambda v: LOG2 - jax.nn.softplus(-v), lambda t: -jnp.log(2 - jnp.exp(t)),
        lambda v: jax.nn.softplus(v) - LOG2, 0.),
    'gan': FDivergence(
        lambda u: u * jnp.log(u) - (u + 1) * jnp.log(u + 1), lambda u: jnp.log(u / (1 + u)),
        lambda v: -jax.nn.softplus(-v), lambda t: -jnp.log(1 - jnp.exp(t)),
        jax.nn.softplus, -LOG2),
}
"""KL(p || q); KL(q || p); the integral of (p - q)^2 / q; the integral of (sqrt p - sqrt q)^2;
twice the Jensen-Shannon divergence; the same less log 4.

References:
  Nowozin et al., "f-GAN: Training Generative Neural Samplers using Variational Divergence
  Minimization", 2016, arXiv:1606.00709.
"""


def bound(divergence: FDivergence, data: jax.Array, samples: jax.Array) -> jax.Array:
    """Computes a variational lower bound of D_f(p || q).

    Its mean is at most the divergence for any critic, and equals it where g(v) = f'(p / q).

    Args:
      divergence: an `FDivergence`.
      data: [...] outputs v of the critic at draws of p.
      samples: [...] outputs at draws of q.

    Returns:
      [...] g(v) of the data less f*(g(v)) of the samples. Outputs above the ceiling count as
      the ceiling.

    >>> round(float(bound(DIVERGENCES['gan'], jnp.zeros(()), jnp.zeros(()))), 4)
    -1.3863
    """
    chex.assert_equal_shape([data, samples])
    chex.assert_type([data, samples], float)
    data, samples = (jnp.minimum(v, divergence.ceiling) for v in (data, samples))
    return divergence.activation(data) - divergence.composite(samples)
