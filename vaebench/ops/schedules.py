"""Weights as functions of time; every number may be traced, so one program serves them all."""
import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


def _clock(t, delay, period):
    """Time since the delay, restarted every period; a period of 0 never restarts."""
    t = t - delay
    safe = jnp.where(period > 0, period, 1.)
    return jnp.where((period > 0) & (t >= 0), t - safe * jnp.floor(t / safe), t)


def ramp(t: Number, start: Number, end: Number, delay: Number = 0.,
         length: Number = 0., period: Number = 0.) -> jax.Array:
    """Rises linearly from start to end and then stays there.

    Constant, warm-up and cyclical weights are special cases.

    Args:
      t: [...] time; delay, length and period have its unit.
      start: [] value until the delay is over and at each restart.
      end: [] value from delay + length on.
      delay: [] time before the ramp.
      length: [] time of the ramp; 0 is a jump.
      period: [] time between restarts; 0 never restarts.

    Returns:
      [...] values between start and end.

    References:
      Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing",
      2019, arXiv:1903.10145.

    >>> t = jnp.array([0., 5., 10., 15., 20.])
    >>> ramp(t, 0., 1., length=10.).tolist()
    [0.0, 0.5, 1.0, 1.0, 1.0]
    >>> ramp(t, 0., 1., length=5., period=10.).tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0]
    """
    chex.assert_rank([start, end, delay, length, period], 0)
    length = jnp.asarray(length)
    t = _clock(jnp.asarray(t), delay, jnp.asarray(period))
    part = jnp.where(length > 0, t / jnp.where(length > 0, length, 1.),
                     jnp.where(t >= 0, 1., 0.))
    return start + (end - start) * jnp.clip(part, 0, 1)


def sigmoid_ramp(t: Number, start: Number, end: Number,
                 delay: Number = 0., length: Number = 0.,
                 period: Number = 0.) -> jax.Array:
    """Rises from start to end as a sigmoid, and is at end once the length is over.

    The sigmoid is centered half-way, and its width is a tenth of the length.

    Args:
      t: [...] time; the other arguments are those of `ramp`.

    Returns:
      [...] values between start and end.

    References:
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988
      ("cost annealing").

    >>> sigmoid_ramp(jnp.array([5., 10.]), 0., 1., length=10.).tolist()
    [0.5, 1.0]
    """
    chex.assert_rank([start, end, delay, length, period], 0)
    length = jnp.asarray(length)
    t = _clock(jnp.asarray(t), delay, jnp.asarray(period))
    safe = jnp.where(length > 0, length, 1.)
    part = jnp.where(t < length, jax.nn.sigmoid((t - safe / 2) / (safe / 10)), 1.)
    return start + (end - start) * part


def exponential_ramp(t: Number, start: Number, end: Number,
                     delay: Number = 0., length: Number = 0.,
                     period: Number = 0.) -> jax.Array:
    """Goes geometrically from start to end and then stays there.

    The value is start (end / start)^part, where part goes from 0 to 1 as a `ramp`.

    Args:
      t: [...] time; the other arguments are those of `ramp`, but start and end must be above 0.

    Returns:
      [...] values between start and end; not finite where start is 0.

    >>> t = jnp.array([0., 5., 10., 15.])
    >>> [round(x) for x in exponential_ramp(t, 100., 1., length=10.).tolist()]
    [100, 10, 1, 1]
    """
    chex.assert_rank([start, end, delay, length, period], 0)
    part = ramp(t, 0., 1., delay, length, period)
    return start * (end / start)**part
