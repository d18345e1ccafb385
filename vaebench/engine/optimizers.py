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


def optimizer(config: Mapping[str, Any]) -> Callable[[Hp], optax.GradientTransformation]:
    """Makes `Recipe.optimizer`: clips the joint norm of a player's gradients, then the rule.

    Args:
      config: mapping with 'name' (sgd, adam, rmsprop), 'clip' (largest gradient norm; 0 never
        clips) and the rule's numbers (momentum; b1, b2, eps; decay). The rate is
        hp['lr'] * hp['lr_scale'], which are traced: a 'lr' here is not read.

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
        clip = [optax.clip_by_global_norm(options['clip'])] if options.get('clip') else []
        rate = optax.scale(-hp['lr'] * hp['lr_scale'])
        return optax.chain(*clip, RULES[options['name']](options), rate)

    return tx
