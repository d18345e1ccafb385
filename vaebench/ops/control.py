"""Feedback control of a weight."""
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


class PI(NamedTuple):
    """State of a PI controller; both numbers start at 0."""
    control: Number     # [] last control above the lower limit, before clipping
    integral: Number    # []


def pi_step(state: PI, error: Number, kp: Number, ki: Number,
            low: Number, high: Number) -> tuple[PI, jax.Array]:
    """Takes one step of a proportional-integral controller with a weight in [low, high].

    The integral is held where the unclipped control of the step before lies outside the limits
    and this step would push it further out. The paper prints the test with the clipped weight,
    for which it can never fire; the authors' dialogue code holds the integral outside the
    limits whatever the error, so that ki * error >= kp in the first step keeps the weight at
    `low` for ever. Since the control is measured from `low`, a state of zeros is the right
    start for every lower limit.

    Args:
      state: `PI`.
      error: [] set point minus measured value.
      kp: [] proportional gain.
      ki: [] integral gain per step.
      low: [] lower limit of the weight.
      high: [] upper limit of the weight.

    Returns:
      The next `PI` and the weight [].

    References:
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.

    >>> state, weight = pi_step(PI(jnp.float32(0), jnp.float32(0)), 0., .01, 1e-4, 0., 1.)
    >>> round(float(weight), 6)
    0.005
    """
    numbers = [*state, error, kp, ki, low, high]
    chex.assert_rank(numbers, 0)
    chex.assert_type(numbers, float)
    step = -ki * error
    outwards = ((state.control < 0) & (step < 0)) | ((state.control > high - low) & (step > 0))
    integral = jnp.where(outwards, state.integral, state.integral + step)
    control = kp * jax.nn.sigmoid(-error) + integral
    return PI(control, integral), jnp.clip(control + low, low, high)
