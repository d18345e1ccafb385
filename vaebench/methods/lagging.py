"""Methods that train the encoder harder than the decoder."""
from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.core import DONE, RUNNING, Kit, Method, Phase, Player, Recipe, couples
from vaebench.methods import models, objectives, posteriors, regularizers


def move_only(tx: optax.GradientTransformation,
              names: Collection[str]) -> optax.GradientTransformation:
    """Wraps a transformation so that it sees every gradient but moves only some entries.

    Clipping in `tx` is thus that of the joint norm, as in He et al.'s script.

    Args:
      tx: transformation of a dict of parameters.
      names: keys that move.

    Returns:
      An optax transformation.

    >>> tx = move_only(optax.chain(optax.clip_by_global_norm(1.), optax.sgd(1.)), ('a',))
    >>> grads = {'a': jnp.float32(3.), 'b': jnp.float32(4.)}
    >>> updates, _ = tx.update(grads, tx.init(grads), grads)
    >>> {k: round(float(v), 4) for k, v in updates.items()}
    {'a': -0.6, 'b': 0.0}
    """
    def still(tree):
        return {name: name not in names for name in tree}

    return optax.chain(tx, optax.masked(optax.set_to_zero(), still))


class Memory(NamedTuple):
    """What a reload of the best parameters does not take back."""
    mi: jax.Array       # [] mutual information in the epoch before, nats


def remember(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """Adds a `Memory` to a transformation: its state is (that of `tx`, `Memory`)."""
    def init(params):
        return tx.init(params), Memory(jnp.zeros(()))

    def update(updates, state, params=None):
        updates, inner = tx.update(updates, state[0], params)
        return updates, (inner, state[1])

    return optax.GradientTransformation(init, update)


def lagging(kit: Kit, recipe: Recipe, *, max_inner: int = 99, window: int = 15) -> Method:
    """VAE whose encoder is trained until it stops improving before every step of the decoder.

    The schedule counts outer steps over both phases. Aggressive phase: encoder updates on the
    outer batch, then on fresh ones, until the mean loss per word of `window` updates exceeds
    that of the window before; then one update of the decoder. It ends for good when the
    validation's mutual information falls.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol; the two phases together take `recipe.steps`.
      max_inner: most encoder updates per step of the decoder.
      window: encoder updates between two comparisons.

    Returns:
      A `Method` of two phases, 'aggressive' and 'joint'.

    Equation:
      aggressive: encoder steps on rec + w_t KL until the mean loss per word of 15 of them
        exceeds that of the 15 before (at most 99 steps), then one decoder step on it
      joint, once the mutual information of the validation split has fallen:
        steps on rec + w_t KL

    Deviations:
      Fresh batches come from the step's length class, in the published code from all of the
      training split. The mutual information that ends the first phase is of batches of one
      length class, theirs of one length: it is larger where codes tell the length. Images count
      one word each.

    References:
      He et al., "Lagging Inference Networks and Posterior Collapse in Variational
      Autoencoders", 2019, arXiv:1901.05534.
    """
    model = models.model(kit, posteriors.gaussian(kit))
    weight = objectives.scheduled_weight(recipe)
    plain = objectives.objective(model, regularizers.kl, weight)
    start = objectives.starter(model, weight)

    def init(key, data):
        params, carry = start(key, data)
        zero = jnp.zeros(())
        chase = {'loss': zero, 'words': zero, 'previous': zero + jnp.inf, 'on': jnp.bool_(True)}
        return params, {**carry, 'chase': chase}

    @couples                    # whether it goes on is asked of the entire batch
    def encoder(params, carry, batch, ctx):
        value, (carry, aux) = plain(params, carry, batch, ctx)
        first, edge = ctx.inner == 0, (ctx.inner + 1) % window == 0
        c, count = carry['chase'], batch['weight']
        words = (count * batch['length'] if 'length' in batch else count).sum()
        loss = jnp.where(first, 0., c['loss']) + jax.lax.stop_gradient(value) * count.sum()
        words = jnp.where(first, 0., c['words']) + words
        previous = jnp.where(first, jnp.inf, c['previous'])
        rate = loss / jnp.maximum(words, 1)
        chase = {'loss': jnp.where(edge, 0., loss), 'words': jnp.where(edge, 0., words),
                 'previous': jnp.where(edge, rate, previous), 'on': ~edge | (rate <= previous)}
        return value, ({**carry, 'chase': chase}, aux)

    def going(carry, ctx):
        return carry['chase']['on'] | (ctx.inner == 0)

    def fallen(state, seen):
        (inner, (last,)), running = state.opt['encoder'], state.status == RUNNING
        over = running & (seen['mi'] < last)
        mi = jnp.where(running, seen['mi'], last).astype(last.dtype)
        return state._replace(opt={**state.opt, 'encoder': (inner, Memory(mi))},
                              status=jnp.where(over, DONE, state.status))

    inference = [name for name in model.names if name != 'dec']
    aggressive = (
        Player('encoder', encoder, model.names,
               lambda hp: remember(move_only(recipe.optimizer(hp), inference)), max_inner, True,
               going),
        Player('decoder', plain, model.names,
               lambda hp: move_only(recipe.optimizer(hp), ('dec',))))
    joint = (Player('vae', plain, model.names, recipe.optimizer),)
    phases = (Phase('aggressive', aggressive, recipe.steps, feedback=fallen, needs=('mi',)),
              Phase('joint', joint, recipe.steps, until=recipe.steps, continues=True))
    return Method(init, phases, model.evals)
