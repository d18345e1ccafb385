"""What a group will cost, from its program alone: work, memory and time before anything is compiled."""
import time

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core


def work(jaxpr):
    """Multiplications and additions of the products in a traced program; scans count every turn, `while` loops one.

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
            total += 2. * float(np.prod(eqn.outvars[0].aval.shape)) * float(np.prod(kernel)) / kernel[out]
        times = eqn.params.get('length', 1) if eqn.primitive.name == 'scan' else 1
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, 'eqns') or hasattr(inner, 'jaxpr'):
                    total += times * work(inner)
    return total


def rate(size=512, seconds=0.1):
    """Operations per second of this machine in a square product, measured now."""
    product = jax.jit(lambda a: a @ a)
    a = jnp.ones((size, size)) / size
    product(a).block_until_ready()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        a = product(a).block_until_ready()
        n += 1
    return n * 2. * size**3 / (time.perf_counter() - start)


def size(tree):
    """Bytes of all arrays or shapes in a tree."""
    return int(sum(np.prod(x.shape) * (8 if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype.itemsize)
                   for x in jax.tree.leaves(tree)))


def group(trainer, hp, speed, efficiency=0.4):
    """Rough cost of training a group.

    Args:
      trainer: a `train.Trainer`.
      hp: name -> number.
      speed: operations per second, from `rate`.
      efficiency: share of `speed` that training reaches; from runs on CPUs.

    Returns:
      Dict with 'seconds' of training without compilation, and 'bytes' of state and data.
    """
    operations = 0.
    for number, phase in enumerate(trainer.method.phases):
        state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), trainer.shapes(hp, number))
        step = core.make_step(phase)
        per_epoch = 0.
        for rows, data in zip(trainer.sizes, trainer.data, strict=True):
            idx = jax.ShapeDtypeStruct((core.batches_per_step(phase), trainer.settings.batch), jnp.int32)
            per_epoch += work(jax.make_jaxpr(step)(state, data, idx)) * -(-rows // trainer.settings.batch)
        operations += per_epoch / trainer.epoch_steps * phase.steps * trainer.width
    return {'seconds': operations / (speed * efficiency), 'bytes': size(trainer.shapes(hp)) + size(trainer.data)}
