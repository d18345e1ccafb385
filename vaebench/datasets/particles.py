"""Charged particles in empty space: their forces, energy and trajectories, pure JAX."""
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Dynamics(NamedTuple):
    """How trajectories are computed.

    Attributes:
      steps: how many.
      step: length of one, in time.
      largest: of a force between two particles, in norm.
    """
    steps: int = 1000
    step: float = 1e-3
    largest: float = 100.


def _apart(position):
    """x_i - x_j [P, P, 3], and its square [P, P], 1 of a particle and itself."""
    apart = position[:, None] - position
    return apart, (apart**2).sum(-1) + jnp.eye(len(position), dtype=apart.dtype)


def forces(position: jax.Array, charge: jax.Array, largest: float) -> jax.Array:
    """Computes what acts on every particle: like charges repel each other.

    The force of a pair is c_i c_j (x_i - x_j) / |x_i - x_j|^3, and where it would be larger
    than `largest` in norm it is as large as that in the same direction: so it turns with the
    particles, and is as large on one of a pair as on the other.

    Args:
      position: [P, 3].
      charge: [P].
      largest: see `Dynamics`.

    Returns:
      [P, 3]; the masses are 1.

    >>> pair = jnp.array([[0., 0., 0.], [2., 0., 0.]])
    >>> forces(pair, jnp.array([1., -1.]), 100.).tolist()
    [[0.25, 0.0, 0.0], [-0.25, 0.0, 0.0]]
    """
    apart, square = _apart(position)
    size = jnp.minimum(1 / square, largest) / jnp.sqrt(jnp.maximum(square, 1e-24))
    return ((jnp.outer(charge, charge) * size)[..., None] * apart).sum(1)


def energy(position: jax.Array, velocity: jax.Array, charge: jax.Array,
           largest: float) -> jax.Array:
    """Computes the energy that such forces conserve, [].

    The potential of a pair is c_i c_j / r where the force is not capped, and nearer than that
    it grows in proportion to the distance.

    Args:
      position, velocity: [P, 3].
      charge: [P].
      largest: see `Dynamics`.
    """
    _, square = _apart(position)
    r, nearest = jnp.sqrt(square), largest**-.5
    each = jnp.where(r > nearest, 1 / r, 1 / nearest + largest * (nearest - r))
    pairs = jnp.outer(charge, charge) * each * (1 - jnp.eye(len(charge), dtype=each.dtype))
    return pairs.sum() / 2 + (velocity**2).sum() / 2


@functools.partial(jax.jit, static_argnums=3)
def _trajectories(position, velocity, charge, dynamics):
    def one(position, velocity, charge):
        def kick_and_drift(_, state):
            x, v = state
            v = v + dynamics.step * forces(x, charge, dynamics.largest)
            return x + dynamics.step * v, v

        return jax.lax.fori_loop(0, dynamics.steps, kick_and_drift, (position, velocity))

    return jax.vmap(one)(position, velocity, charge)


def simulate(position: np.ndarray, velocity: np.ndarray, charge: np.ndarray,
             dynamics: Dynamics | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Moves systems of particles on, by symplectic Euler steps in double precision.

    Args:
      position, velocity: [N, P, 3] at the start.
      charge: [N, P].
      dynamics: a `Dynamics`; its defaults if None.

    Returns:
      (position, velocity) float64 [N, P, 3] at the end.

    >>> x, v = np.zeros((1, 1, 3)), np.ones((1, 1, 3))              # alone, it goes on
    >>> simulate(x, v, np.ones((1, 1)))[0].round(6).tolist()
    [[[1.0, 1.0, 1.0]]]
    """
    with jax.enable_x64(True):
        start: Any = [np.asarray(a, np.float64) for a in (position, velocity, charge)]
        end = jax.device_get(_trajectories(*start, dynamics or Dynamics()))
    return end
