"""Fast gradient iterative modification: codes that descend a loss until a judge is content."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class Edited(NamedTuple):
    """Codes after a search, and what it took."""
    z: jax.Array           # [B, Z]
    chosen: jax.Array      # int32 [B], the number of the weight that the code is of
    converged: jax.Array   # bool [B]
    gradients: jax.Array   # int32 [B], how many the search of this code evaluated


def fast_gradient_edit(loss: Callable[[jax.Array], jax.Array],
                       gap: Callable[[jax.Array], jax.Array], z: jax.Array,
                       weights: Sequence[float], *, decay: float = .9, threshold: float = .001,
                       steps: int = 30) -> Edited:
    """Moves codes down the gradient of a loss, with several step sizes side by side, until one
    of them arrives.

    A code that arrives with any weight is done, whatever else is in the batch: its result is
    what it would be alone. Of several weights that arrive in the same step the first counts. A
    code that is content from the start is returned to the last bit. A step to a number that is
    not finite is not taken.

    Args:
      loss: z [..., B, Z] -> [..., B], of every code by itself.
      gap: z [..., B, Z] -> [..., B] in [0, 1]: how far the judge's probability is from 1.
      z: [B, Z], where all weights start.
      weights: K step sizes, the smallest first.
      decay: what each further step is multiplied by.
      threshold: largest gap of a code that has arrived.
      steps: most steps.

    Returns:
      `Edited`; where no weight arrives, `z` is the code of the least gap.

    References:
      Wang et al., "Controllable Unsupervised Text Attribute Transfer via Editing Entangled
      Latent Representation", 2019, arXiv:1905.12926, algorithm 2.

    >>> def gap(z):
    ...     return jax.nn.sigmoid(-z[..., 0])
    >>> def loss(z):
    ...     return jax.nn.softplus(-z[..., 0])
    >>> found = fast_gradient_edit(loss, gap, jnp.array([[-1.], [5.]]), (1., 9.), threshold=.1)
    >>> found.chosen.tolist(), found.converged.tolist(), found.gradients.tolist()
    ([1, 0], [True, True], [2, 0])
    """
    chex.assert_rank(z, 2)
    chex.assert_type(z, float)
    sizes = jnp.asarray(weights, z.dtype)[:, None, None]
    descent = jax.grad(lambda x: loss(x).sum())

    def going(s):
        n, _, arrived, _ = s
        return (n < steps) & ~arrived.any(0).all()

    def body(s):
        n, x, arrived, taken = s
        opened = ~arrived.any(0)
        new = x - sizes * decay**n.astype(z.dtype) * descent(x)
        moves = opened[:, None] & jnp.isfinite(new).all(-1, keepdims=True)
        x = jnp.where(moves, new, x)
        arrived |= opened & (gap(x) <= threshold)
        return n + 1, x, arrived, taken + opened * len(weights)

    x = jnp.broadcast_to(z, (len(weights), *z.shape))
    start = jnp.int32(0), x, gap(x) <= threshold, jnp.zeros(len(z), jnp.int32)
    _, x, arrived, taken = jax.lax.while_loop(going, body, start)
    converged = arrived.any(0)
    apart = gap(x)
    nearest = jnp.where(jnp.isnan(apart), jnp.inf, apart).argmin(0)
    chosen = jnp.where(converged, arrived.argmax(0), nearest).astype(jnp.int32)
    picked = jnp.take_along_axis(x, chosen[None, :, None], 0)[0]
    return Edited(picked, chosen, converged, taken.astype(jnp.int32))
