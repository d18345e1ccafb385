"""The table's protocol: plateau decay with reload of the best, and which parameters are kept.

One pure feedback serves every method: it lives in `State.protocol` and
`State.hp['lr_scale']`, so each seed of a group decays and reloads at its own time.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.core import DONE, FAILED, RUNNING, State


class Plateau(NamedTuple):
    """What the protocol remembers of a run."""
    params: Any             # at the lowest validation loss so far
    carry: Any
    best: jax.Array         # [] that loss, nats
    running: jax.Array      # [] the loss that a new one is compared with; a decay resets it
    count: jax.Array        # int32 [] validations in a row without improvement
    decays: jax.Array       # int32 []
    epoch: jax.Array        # int32 [] validations of this phase


def _where(condition, new, old):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def start(state: State) -> State:
    """Begins a phase: nothing is seen yet, the learning rate is full.

    Args:
      state: a `State`.

    Returns:
      The `State` with a fresh `protocol` and lr_scale 1.
    """
    infinity, zero = jnp.float32(jnp.inf), jnp.int32(0)
    fresh = Plateau(state.params, state.carry, infinity, infinity, zero, zero, zero)
    return state._replace(protocol=fresh, hp={**state.hp, 'lr_scale': jnp.float32(1)})


def continue_(state: State, patience: int, decays: int) -> State:
    """Begins a phase that continues the protocol: a run whose decays are used up stays done.

    Args:
      state: a `State`.
      patience, decays: as for `plateau`.

    Returns:
      A `State`.
    """
    spent = (state.status == RUNNING) & (patience > 0) & (state.protocol.decays >= decays)
    return state._replace(status=jnp.where(spent, DONE, state.status).astype(jnp.int32))


def plateau(patience: int = 0, first_epoch: int = 15, factor: float = 0.5,
            decays: int = 5) -> Callable[[State, jax.Array], State]:
    """Feedback of He et al. and Li et al.: decays on a plateau, reloads the best, then stops.

    The counter rises when the loss exceeds the running best. When it reaches `patience` and the
    epoch (counted from 0) is at least `first_epoch`, the learning rate is multiplied by
    `factor`, the best parameters and carry are reloaded, the counter is zero and the running
    best is the current loss. The optimizer's moments are kept.

    Args:
      patience: validations without improvement before a decay; 0 never decays and only
        remembers the best.
      first_epoch: no decay before this epoch of the phase.
      factor: of the learning rate.
      decays: the run is done after so many.

    Returns:
      Pure function (state, loss []) -> state; a run that is not RUNNING stays as it is.

    References:
      He et al., "Lagging Inference Networks and Posterior Collapse in Variational
      Autoencoders", ICLR 2019.
    """

    def feedback(state, loss):
        p = state.protocol
        better = loss < p.best
        params = _where(better, state.params, p.params)
        carry = _where(better, state.carry, p.carry)
        worse = ~(loss <= p.running)
        count = jnp.where(worse, p.count + 1, 0)
        decay = (patience > 0) & worse & (count >= patience) & (p.epoch >= first_epoch)
        number = p.decays + decay
        done = (patience > 0) & (number >= decays)
        new = state._replace(
            params=_where(decay, params, state.params), carry=_where(decay, carry, state.carry),
            hp={**state.hp, 'lr_scale': state.hp['lr_scale'] * jnp.where(decay, factor, 1.)},
            protocol=Plateau(
                params, carry, best=jnp.where(better, loss, p.best),
                running=jnp.where(worse & ~decay, p.running, loss),
                count=jnp.where(decay, 0, count), decays=number, epoch=p.epoch + 1),
            status=jnp.where(done, DONE, state.status).astype(jnp.int32))
        return _where(state.status == RUNNING, new, state)

    return feedback


def restore_if_nonfinite(state: State) -> State:
    """Fails a run whose parameters are not finite, and restores the best ones that it had.

    A gradient can be non-finite where the loss is not; testing it in every step would cost a
    tenth of a small network's time.

    Args:
      state: a `State` under `plateau`.

    Returns:
      A `State`.
    """
    good = jnp.isfinite(optax.tree.norm(state.params))
    status = jnp.where(good | (state.status != RUNNING), state.status, FAILED).astype(jnp.int32)
    return state._replace(params=_where(good, state.params, state.protocol.params),
                          carry=_where(good, state.carry, state.protocol.carry), status=status)


def take_best(state: State) -> State:
    """Takes parameters and carry of the lowest validation loss, if there was any.

    Args:
      state: a `State` under `plateau`.

    Returns:
      A `State`.
    """
    p, seen = state.protocol, jnp.isfinite(state.protocol.best)
    return state._replace(params=_where(seen, p.params, state.params),
                          carry=_where(seen, p.carry, state.carry))
