"""The table's training protocol: plateau decay with reload of the best, and which parameters are kept.

One pure feedback serves every method: it lives in `State.protocol` and `State.hp['lr_scale']`, so each seed of a
group decays and reloads at its own time.
"""
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.core import DONE, FAILED, RUNNING


class Plateau(NamedTuple):
    """What the protocol remembers of a run."""
    params: Any             # at the lowest validation loss so far
    carry: Any
    best: jax.Array         # [] that loss, nats
    running: jax.Array      # [] the loss that a new one is compared with; a decay resets it
    count: jax.Array        # int32 [] validations in a row without improvement
    decays: jax.Array       # int32 []
    epoch: jax.Array        # int32 [] validations of this phase


def start(state):
    """A phase begins: nothing seen yet, full learning rate.

    Args:
      state: a `State`.

    Returns:
      The `State` with a fresh `protocol` and lr_scale 1.
    """
    infinity, zero = jnp.float32(jnp.inf), jnp.int32(0)
    fresh = Plateau(state.params, state.carry, infinity, infinity, zero, zero, zero)
    return state._replace(protocol=fresh, hp={**state.hp, 'lr_scale': jnp.float32(1)})


def stay(state, patience, decays):
    """A phase begins that continues the protocol: a run whose decays are used up stays done.

    Args:
      state: a `State`.
      patience, decays: as for `plateau`.

    Returns:
      A `State`.
    """
    spent = (state.status == RUNNING) & (patience > 0) & (state.protocol.decays >= decays)
    return state._replace(status=jnp.where(spent, DONE, state.status).astype(jnp.int32))


def plateau(patience=0, first_epoch=15, factor=0.5, decays=5):
    """Feedback of He et al. and Li et al.: decay on a plateau, reload the best, stop after some decays.

    The counter rises when the loss exceeds the running best. When it reaches `patience` and the epoch (counted
    from 0) is at least `first_epoch`: learning rate times `factor`, the best parameters and carry are reloaded, the
    counter is zero and the running best is the current loss. Optimiser moments are kept.

    Args:
      patience: validations without improvement before a decay; 0 never decays and only remembers the best.
      first_epoch: no decay before this epoch of the phase.
      factor: of the learning rate.
      decays: the run is done after so many.

    Returns:
      Pure function (state, loss []) -> state; a run that is not RUNNING stays as it is.

    References:
      He et al., "Lagging Inference Networks and Posterior Collapse in Variational Autoencoders", ICLR 2019.
    """

    def feedback(state, loss):
        p = state.protocol
        better = loss < p.best
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)
        params, carry = keep(state.params, p.params), keep(state.carry, p.carry)
        worse = ~(loss <= p.running)
        count = jnp.where(worse, p.count + 1, 0)
        decay = (patience > 0) & worse & (count >= patience) & (p.epoch >= first_epoch)
        reload = lambda best, now: jax.tree.map(lambda a, b: jnp.where(decay, a, b), best, now)
        number = p.decays + decay
        new = state._replace(
            params=reload(params, state.params), carry=reload(carry, state.carry),
            hp={**state.hp, 'lr_scale': state.hp['lr_scale'] * jnp.where(decay, factor, 1.)},
            protocol=Plateau(params, carry, jnp.where(better, loss, p.best), jnp.where(worse & ~decay, p.running, loss),
                             jnp.where(decay, 0, count), number, p.epoch + 1),
            status=jnp.where((patience > 0) & (number >= decays), DONE, state.status).astype(jnp.int32))
        return jax.tree.map(lambda a, b: jnp.where(state.status == RUNNING, a, b), new, state)

    return feedback


def heal(state):
    """Fails a run whose parameters are no longer finite, and gives it back the best ones it had.

    A gradient can be non-finite where the loss is not; testing every step's would cost a tenth of a small net's.

    Args:
      state: a `State` under `plateau`.

    Returns:
      A `State`.
    """
    good = jnp.isfinite(optax.tree.norm(state.params))
    pick = lambda now, then: jax.tree.map(lambda a, b: jnp.where(good, a, b), now, then)
    status = jnp.where(good | (state.status != RUNNING), state.status, FAILED).astype(jnp.int32)
    return state._replace(params=pick(state.params, state.protocol.params),
                          carry=pick(state.carry, state.protocol.carry), status=status)


def best(state):
    """The state with the parameters and carry of the lowest validation loss; unchanged if there was none.

    Args:
      state: a `State` under `plateau`.

    Returns:
      A `State`.
    """
    p = state.protocol
    seen = jnp.isfinite(p.best)
    pick = lambda new, old: jax.tree.map(lambda a, b: jnp.where(seen, a, b), new, old)
    return state._replace(params=pick(p.params, state.params), carry=pick(p.carry, state.carry))
