"""The table's optimizer, from its config."""
from collections.abc import Callable, Mapping
from typing import Any

import optax

from vaebench.core import Hp
from vaebench.errors import UserError

RULES = {
    'sgd': lambda o: optax.trace(o['momentum']) if o.get('momentum') else optax.identity(),
    'adam': lambda o: optax.scale_by_adam(o.get('b1', 0.9), o.get('b2', 0.999),
                                          o.get('eps', 1e-8)),
    'rmsprop': lambda o: optax.scale_by_rms(o.get('decay', 0.9), o.get('eps', 1e-8)),
}


def cosine_cycle(period: int, epoch: int) -> optax.Schedule:
    """Makes a factor of the rate that falls along half a cosine wave, anew in every cycle.

    It is constant within an epoch, and 1 in the first one of a cycle.

    Args:
      period: epochs of a cycle.
      epoch: updates in an epoch.

    Returns:
      Function of the number of updates [] -> factor [].

    References:
      Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing",
      2019, arXiv:1903.10145 (its language model's script).

    >>> factor = cosine_cycle(period=2, epoch=3)
    >>> [round(float(factor(t)), 2) for t in (0, 2, 3, 5, 6)]
    [1.0, 1.0, 0.5, 0.5, 1.0]
    """
    falling = optax.cosine_decay_schedule(1., period)

    def factor(count: Any):
        return falling(count // epoch % period)

    return factor


def optimizer(config: Mapping[str, Any],
              epoch: int = 1) -> Callable[[Hp], optax.GradientTransformation]:
    """Makes `Recipe.optimizer`: clips the joint norm of a player's gradients, then the rule.

    Args:
      config: mapping with 'name' (sgd, adam, rmsprop), 'clip' (largest gradient norm; 0 never
        clips), the rule's numbers (momentum; b1, b2, eps; decay) and, where they are wanted,
        'weight_decay' (times the parameters, added to the clipped gradients) and 'cycle'
        (epochs of a `cosine_cycle` of the rate, which counts a player's own updates). The rate
        is hp['lr'] * hp['lr_scale'], which are traced: a 'lr' here is not read.
      epoch: train steps in an epoch.

    Returns:
      Function hp -> optax transformation.

    Raises:
      UserError: the rule is unknown.

    >>> tx = optimizer({'name': 'sgd', 'clip': 0.})({'lr': 0.5, 'lr_scale': 1.})
    >>> float(tx.update(jnp.float32(2.), tx.init(jnp.float32(0.)))[0])
    -1.0
    """
    if config['name'] not in RULES:
        raise UserError(f"optimizer.name={config['name']} is unknown; choose one of "
                        f"{', '.join(RULES)}")
    options = dict(config)

    def tx(hp):
        parts = [RULES[options['name']](options), optax.scale(-hp['lr'] * hp['lr_scale'])]
        if options.get('weight_decay'):
            parts.insert(0, optax.add_decayed_weights(options['weight_decay']))
        if options.get('clip'):
            parts.insert(0, optax.clip_by_global_norm(options['clip']))
        if options.get('cycle'):
            parts.append(optax.scale_by_schedule(cosine_cycle(options['cycle'], epoch)))
        return optax.chain(*parts)

    return tx
