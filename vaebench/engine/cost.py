"""What a group will cost, from its program alone, before anything is compiled."""
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core
from vaebench.engine.trainer import Trainer


def work(jaxpr: Any) -> float:
    """Counts multiplications and additions of the products in a traced program.

    Scans count every turn, `while` loops one.

    Args:
      jaxpr: a `jax.extend.core.ClosedJaxpr` or the jaxpr inside it.

    Returns:
      float, operations.

    >>> work(jax.make_jaxpr(lambda a, b: a @ b)(jnp.ones((2, 3)), jnp.ones((3, 4))))
    48.0
    """
    total = 0.
    for eqn in getattr(jaxpr, 'jaxpr', jaxpr).eqns:
        if eqn.primitive.name == 'dot_general':
            (left, _), _ = eqn.params['dimension_numbers']
            depth = np.prod([eqn.invars[0].aval.shape[i] for i in left])
            total += 2. * float(depth) * float(np.prod(eqn.outvars[0].aval.shape))
        elif eqn.primitive.name == 'conv_general_dilated':
            kernel = eqn.invars[1].aval.shape
            out = eqn.params['dimension_numbers'].rhs_spec[0]
            places = float(np.prod(eqn.outvars[0].aval.shape))
            total += 2. * places * float(np.prod(kernel)) / kernel[out]
        times = eqn.params.get('length', 1) if eqn.primitive.name == 'scan' else 1
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, 'eqns') or hasattr(inner, 'jaxpr'):
                    total += times * work(inner)
    return total


def rate(size: int = 512, seconds: float = 0.1) -> float:
    """Measures the operations per second of this machine in a square product."""
    product = jax.jit(lambda a: a @ a)
    a = jnp.ones((size, size)) / size
    product(a).block_until_ready()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        a = product(a).block_until_ready()
        n += 1
    return n * 2. * size**3 / (time.perf_counter() - start)


def size(tree: Any) -> int:
    """Counts the bytes of all arrays or shapes in a tree.

    >>> size({'a': jnp.zeros((2, 3)), 'key': jax.random.key(0)})
    32
    """
    def width(x):
        return 8 if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype.itemsize

    return int(sum(np.prod(x.shape) * width(x) for x in jax.tree.leaves(tree)))


def group(trainer: Trainer, hp: Mapping[str, float], speed: float,
          efficiency: float = 0.4) -> dict[str, float]:
    """Estimates roughly what training a group costs.

    Args:
      trainer: a `Trainer`.
      hp: name -> number.
      speed: operations per second, from `rate`.
      efficiency: share of `speed` that training reaches; from runs on CPUs.

    Returns:
      Dict with 'seconds' of training without compilation, and 'bytes' of state and data.
    """
    operations = 0.
    for number, phase in enumerate(trainer.method.phases):
        state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                             trainer.shapes(hp, number))
        step = core.make_step(phase, decode=trainer.decode)
        batch, per_epoch = trainer.settings.batch, 0.
        idx = jax.ShapeDtypeStruct((core.batches_per_step(phase), batch), jnp.int32)
        for rows, data in zip(trainer.sizes, trainer.columns(number), strict=True):
            per_epoch += work(jax.make_jaxpr(step)(state, data, idx)) * -(-rows // batch)
        operations += per_epoch / trainer.epoch_steps * phase.steps * trainer.width
    return {'seconds': operations / (speed * efficiency),
            'bytes': size(trainer.shapes(hp)) + size(trainer.columns(0))}
