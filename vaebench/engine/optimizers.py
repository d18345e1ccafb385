"""The table's optimizer, from its config."""
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core import RUNNING_MEAN, Hp
from vaebench.errors import UserError

RULES = {
    'sgd': lambda o: optax.trace(o['momentum']) if o.get('momentum') else optax.identity(),
    'adam': lambda o: optax.scale_by_adam(o.get('b1', 0.9), o.get('b2', 0.999),
                                          o.get('eps', 1e-8)),
    'amsgrad': lambda o: optax.scale_by_amsgrad(o.get('b1', 0.9), o.get('b2', 0.999),
                                                o.get('eps', 1e-8)),
    # as PyTorch's: eps is added to the root
    'rmsprop': lambda o: optax.scale_by_rms(o.get('decay', 0.99), o.get('eps', 1e-8),
                                            eps_in_sqrt=False),
}
SHARE = .1
"""What a step takes off a running mean's distance from what was measured."""


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


def running_means(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """Moves running means by a tenth of their gradients, and all else by a rule.

    Args:
      rule: it sees zeros in their place.

    Returns:
      The transformation; its state is the rule's.

    >>> tx = running_means(optax.sgd(1e-3))
    >>> grads = {'running_variance': jnp.float32(3.), 'w': jnp.float32(3.)}
    >>> moved = tx.update(grads, tx.init(grads))[0]
    >>> {k: round(float(v), 4) for k, v in moved.items()}
    {'running_variance': -0.3, 'w': -0.003}
    """
    def update(updates, state, params=None):
        rest = jax.tree_util.tree_map_with_path(
            lambda path, g: jnp.zeros_like(g) if _is_running(path) else g, updates)
        moved, state = rule.update(rest, state, params)
        moved = jax.tree_util.tree_map_with_path(
            lambda path, g, u: -SHARE * g if _is_running(path) else u, updates, moved)
        return moved, state

    return optax.GradientTransformation(rule.init, update)


def _is_running(path):
    return bool(path) and str(getattr(path[-1], 'key', '')).startswith(RUNNING_MEAN)


def optimizer(config: Mapping[str, Any], epoch: int = 1
              ) -> Callable[[Hp], optax.GradientTransformation]:
    """Makes `Recipe.optimizer`: clips the joint norm of a player's gradients, then the rule.

    Parameters that are running means move by themselves: see `running_means`.

    Args:
      config: mapping with 'name' (a key of `RULES`), 'clip' (largest gradient norm; 0 never
        clips), the rule's numbers (momentum; b1, b2, eps; decay) and, where they are wanted,
        'weight_decay' (times the parameters, added to the clipped gradients), 'cycle' (epochs
        of a `cosine_cycle` of the rate) and 'milestones' (epochs of a phase after each of which
        the rate is multiplied by 'drop'). Both count a player's own updates. The rate is
        hp['lr'] * hp['lr_scale'], which are traced: a 'lr' here is not read.
      epoch: updates of a player in an epoch.

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
    drops = {round(at * epoch): options.get('drop', .1) for at in options.get('milestones', ())}

    def tx(hp):
        parts = [RULES[options['name']](options), optax.scale(-hp['lr'] * hp['lr_scale'])]
        if options.get('weight_decay'):
            parts.insert(0, optax.add_decayed_weights(options['weight_decay']))
        if options.get('clip'):
            parts.insert(0, optax.clip_by_global_norm(options['clip']))
        if options.get('cycle'):
            parts.append(optax.scale_by_schedule(cosine_cycle(options['cycle'], epoch)))
        if drops:
            parts.append(optax.scale_by_schedule(optax.piecewise_constant_schedule(1., drops)))
        return running_means(optax.chain(*parts))

    return tx
