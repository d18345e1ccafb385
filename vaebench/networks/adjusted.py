"""A kit's networks with another precision of their products, or with less kept for gradients.

It is done here, to whatever a kit makes, so that no network and no method knows of it.
"""
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from vaebench.core import Context, Decoder, Kit, Net, StatNet
from vaebench.ops import precision

FUNCTIONS = {Net: ('apply',), StatNet: ('apply',), Context: ('apply',),
             Decoder: ('log_prob', 'generate', 'forced', 'unroll')}
"""What a kit makes -> its functions of parameters."""


def rematerialized(f: Callable) -> Callable:
    """Makes a function whose gradient keeps its inputs alone and computes the rest anew.

    Args:
      f: of arrays, and of values that are none, such as a flag.
    """
    @functools.wraps(f)
    def g(*args: Any, **named: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, named))
        arrays = [isinstance(x, jax.Array | np.ndarray) for x in leaves]

        def of_arrays(given):
            given = iter(given)
            every = [next(given) if a else x for a, x in zip(arrays, leaves, strict=True)]
            args, named = jax.tree.unflatten(tree, every)
            return f(*args, **named)

        return jax.checkpoint(of_arrays)([x for a, x in zip(arrays, leaves, strict=True) if a])

    return g


def adjusted(kit: Kit, change: Callable[[Callable], Callable]) -> Kit:
    """Makes a kit whose networks' functions are changed.

    Args:
      kit: a `Kit`.
      change: function -> function of the same arguments.
    """
    def changed(made):
        names = FUNCTIONS.get(type(made), ())
        return made._replace(**{name: change(getattr(made, name)) for name in names
                                if getattr(made, name) is not None}) if names else made

    def maker(make):
        return functools.wraps(make)(lambda *args, **named: changed(make(*args, **named)))

    return kit.replace(**{name: maker(make) for name, make in kit.nets.items()})


def to_fit(kit: Kit, config: Mapping[str, Any]) -> Kit:
    """Makes a kit's networks fit as a row's config asks.

    Args:
      kit: a `Kit`.
      config: its 'remat' is 'on' where gradients compute networks anew, its 'precision' is
        another than 'f32' where products are to be marked for `ops.precision.lowered`.
    """
    if config.get('remat') == 'on':
        kit = adjusted(kit, rematerialized)
    return kit if config.get('precision', 'f32') == 'f32' else adjusted(kit, precision.network)
