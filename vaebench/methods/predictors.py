"""Methods that answer for an example with numbers: what `batch['target']` is."""
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Phase, Player, Recipe, mean


def squared_error(predicted: Any, target: Any) -> jax.Array:
    """Means the squared differences of all numbers of an example, [B], over nested columns.

    >>> target = {'x': jnp.zeros((1, 2)), 'v': jnp.zeros((1, 2))}
    >>> squared_error({'x': jnp.ones((1, 2)), 'v': jnp.zeros((1, 2))}, target).tolist()
    [0.5]
    """
    gaps = jax.tree.leaves(jax.tree.map(jnp.subtract, predicted, target))
    flat = jnp.concatenate([gap.reshape(len(gap), -1) for gap in gaps], 1)
    return (flat**2).mean(1)


def _evals(predict):
    def error(params, carry, batch):
        return squared_error(predict(params, batch), batch['target'])

    return {'predict': lambda params, carry, batch: predict(params, batch), 'error': error}


def regressor(kit: Kit, recipe: Recipe) -> Method:
    """A network that learns its targets by squared error.

    Args:
      kit: `predictor` is used; the data has a column 'target', which may be nested.
      recipe: the protocol.

    Returns:
      A `Method` that offers 'predict' and 'error', the mean squared error of an example.

    Equation:
      minimize |f(x) - y|^2 / D, D the numbers of a target

    Deviations:
      None: what is compared is the network, which is the kit's.

    References:
      Fuchs, Worrall, Fischer, Welling, "SE(3)-Transformers: 3D Roto-Translation Equivariant
      Attention Networks", 2020, arXiv:2006.10503 (its loss for particles).
    """
    net = kit.predictor()

    def loss(params, carry, batch, ctx):
        said = net.apply(params['net'], batch, key=ctx.key)
        value = mean(squared_error(said, batch['target']), batch)
        return value, (carry, {'error': value})

    player = Player('regression', loss, ('net',), recipe.optimizer)
    return Method(lambda key, data: ({'net': net.init(key)}, {}),
                  (Phase('main', (player,), recipe.steps, select='error'),),
                  _evals(lambda params, batch: net.apply(params['net'], batch)))


def zero(kit: Kit, recipe: Recipe) -> Method:
    """Answers 0 whatever it is asked: the floor of predictors, which learns nothing.

    Args:
      kit: `predictor` is used, for the shapes of its answers alone.
      recipe: unused.

    Returns:
      A `Method` without phases that offers 'predict' and 'error'.

    Equation:
      f(x) = 0

    Deviations:
      None: it is no method of a paper. Where targets are changes, it says that nothing changes.
    """
    net = kit.predictor()

    def predict(params, batch):
        said = jax.eval_shape(lambda: net.apply(net.init(jax.random.key(0)), batch))
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), said)

    return Method(lambda key, data: ({}, {}), (), _evals(predict))
