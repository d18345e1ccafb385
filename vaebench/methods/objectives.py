"""rec + weight * regularizer + auxiliary loss: schedules of the weight, and the loss of a
player.
"""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import Criterion, Hp, Key, Recipe, StepInfo, coupled, couples, derive, mean
from vaebench.methods.models import Model, Regularizer, Terms
from vaebench.ops import control, schedules


class Schedule(NamedTuple):
    """What multiplies the regularizer."""
    init: Callable[[], Any]            # () -> carry
    apply: Callable[..., tuple]        # (carry, kl [], ctx) -> (weight [], carry)


RAMPS = {'linear': schedules.ramp, 'sigmoid': schedules.sigmoid_ramp,
         'exponential': schedules.exponential_ramp}
"""Shapes of a scheduled weight."""


def scheduled_weight(recipe: Recipe, shape: str = 'linear') -> Schedule:
    """Weight from hp: beta_start to `beta` over `warmup` epochs after `delay`, again every
    `period`.

    With warmup 0 the weight is beta from the start; with period 0 nothing restarts.

    Args:
      recipe: `steps_per_epoch` is used.
      shape: 'linear', 'sigmoid' or 'exponential', which needs a beta_start above 0.

    Returns:
      A `Schedule`.
    """
    ramp = RAMPS[shape]

    def apply(carry, kl, ctx):
        hp, t = ctx.hp, ctx.total / recipe.steps_per_epoch
        return ramp(t, hp['beta_start'], hp['beta'], hp['delay'], hp['warmup'],
                    hp['period']), carry

    return Schedule(lambda: {}, apply)


def constant_weight(value: float) -> Schedule:
    """A weight that is always `value`."""
    return Schedule(lambda: {}, lambda carry, kl, ctx: (jnp.asarray(value, float), carry))


def controlled_weight() -> Schedule:
    """Weight from a PI controller that steers the batch's KL to hp['target']: see
    `ops.control.pi_step`.
    """
    @couples
    def apply(carry, kl, ctx):
        hp = ctx.hp
        carry, beta = control.pi_step(carry, hp['target'] - jax.lax.stop_gradient(kl), hp['kp'],
                                      hp['ki'], hp['beta_min'], hp['beta_max'])
        return beta, carry

    return Schedule(lambda: control.PI(jnp.zeros(()), jnp.zeros(())), apply)


def weighted(name: str) -> Criterion:
    """Criterion rec + beta `name`: a scheduled objective at the end of its ramp.

    Args:
      name: validated quantity that hp['beta'] weighs, such as 'kl'.

    Returns:
      A `Criterion`.

    >>> float(weighted('kl').value({'beta': .5}, {'rec': 10., 'kl': 4.}))
    12.0
    """
    return Criterion(f'rec + beta {name}',
                     lambda hp, valid: valid['rec'] + hp['beta'] * valid[name])


WEIGHTED_KL = weighted('kl')


def penalties(*regularizers: Regularizer) -> dict[str, Callable]:
    """Makes the eval 'penalties' of regularizers whose aux is their value.

    Args:
      *regularizers: they read codes, posteriors and weights only.

    Returns:
      {'penalties': the eval}, to be added to a method's.
    """
    unknown: Any = None

    def measure(params, carry, batch, q, z, key):
        terms, out = Terms(unknown, z, unknown, q, None, None), {}
        for tag, regularizer in enumerate(regularizers):
            out |= regularizer(params, terms, batch, unknown, derive(key, tag))[1]
        return out

    return {'penalties': measure}


class AuxiliaryLoss(NamedTuple):
    """A further term of an objective, with parameters of its own."""
    names: tuple[str, ...]             # keys of its params
    init: Callable[..., Mapping]       # key -> params
    apply: Callable[..., tuple]        # (params, terms, batch, ctx) -> ([], aux)


def as_auxiliary(regularizer: Regularizer, weight: Callable[[Hp], Any],
                 tag: int = 2) -> AuxiliaryLoss:
    """Makes an `AuxiliaryLoss` of a regularizer: weight(hp) times it, with a key of its own.

    Args:
      regularizer: see `objective`.
      weight: hp -> [].
      tag: of its key; 0 and 1 are taken.

    Returns:
      An `AuxiliaryLoss`.
    """
    def apply(params, terms, batch, ctx):
        value, aux = regularizer(params, terms, batch, ctx, derive(ctx.key, tag))
        return weight(ctx.hp) * value, aux

    return AuxiliaryLoss((), lambda key: {}, couples(apply, coupled(regularizer)))


def objective(model: Model, regularizer: Regularizer, weight: Schedule,
              extra: AuxiliaryLoss | None = None,
              draws: Callable[[StepInfo], Key] = lambda ctx: derive(ctx.key, 0)
              ) -> Callable[..., tuple]:
    """Builds the loss rec + weight * regularizer + extra of a player.

    Args:
      model: a `Model`.
      regularizer: (params, terms, batch, ctx, key) -> ([], aux); params are all of the step's.
      weight: a `Schedule`.
      extra: an `AuxiliaryLoss` or None.
      draws: ctx -> key of the codes' draw, for players that share it.

    Returns:
      Function (params, carry, batch, ctx) -> (loss, (carry, aux)); aux holds 'rec', 'beta' and,
      where q has a density, 'kl': true batch means in nats, whatever is trained on.
    """
    def loss(params, carry, batch, ctx):
        terms, posterior = model.terms(params, carry['posterior'], batch, draws(ctx), ctx.hp)
        rec = mean(terms.rec, batch)
        kl = None if terms.kl is None else mean(terms.kl, batch)
        value, aux = regularizer(params, terms, batch, ctx, derive(ctx.key, 1))
        beta, state = weight.apply(carry['weight'], kl, ctx)
        more, shown = (0., {}) if extra is None else extra.apply(params, terms, batch, ctx)
        aux = {'rec': rec, 'beta': beta, **({} if kl is None else {'kl': kl}), **aux, **shown}
        carry = {**carry, 'posterior': posterior, 'weight': state}
        return rec + beta * value + more, (carry, aux)

    more = None if extra is None else extra.apply
    return couples(loss, coupled(model.terms, regularizer, weight.apply, more))


def starter(model: Model, weight: Schedule,
            extra: AuxiliaryLoss | None = None) -> Callable[..., tuple]:
    """Builds `Method.init` of a model whose objective has that weight and extra: (key, data) ->
    (params, carry).
    """
    def init(key, data):
        params, carry = model.init(key, data)
        params = params if extra is None else {**params, **extra.init(derive(key, 4))}
        return params, {'posterior': carry, 'weight': weight.init()}

    return init
