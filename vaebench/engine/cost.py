"""What a group will cost: roughly, from its program alone, or from a few measured steps."""
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core
from vaebench.engine import order
from vaebench.engine.trainer import Trainer


def total(jaxpr: Any, of: Callable[[Any], float]) -> float:
    """Adds up what the equations of a traced program cost.

    Scans count every turn, `while` loops one.

    Args:
      jaxpr: a `jax.extend.core.ClosedJaxpr` or the jaxpr inside it.
      of: the cost of one equation, without those inside it.

    Returns:
      float.
    """
    found = 0.
    for eqn in getattr(jaxpr, 'jaxpr', jaxpr).eqns:
        found += of(eqn)
        times = eqn.params.get('length', 1) if eqn.primitive.name == 'scan' else 1
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, 'eqns') or hasattr(inner, 'jaxpr'):
                    found += times * total(inner, of)
    return found


def operations(eqn: Any) -> float:
    """Counts multiplications and additions of an equation that is a product; 0 for others."""
    if eqn.primitive.name == 'dot_general':
        (left, _), _ = eqn.params['dimension_numbers']
        depth = np.prod([eqn.invars[0].aval.shape[i] for i in left])
        return 2. * float(depth) * float(np.prod(eqn.outvars[0].aval.shape))
    if eqn.primitive.name == 'conv_general_dilated':
        kernel = eqn.invars[1].aval.shape
        out = eqn.params['dimension_numbers'].rhs_spec[0]
        places = float(np.prod(eqn.outvars[0].aval.shape))
        return 2. * places * float(np.prod(kernel)) / kernel[out]
    return 0.


def work(jaxpr: Any) -> float:
    """Counts multiplications and additions of the products in a traced program.

    Args:
      jaxpr: as for `total`.

    Returns:
      float, operations.

    >>> work(jax.make_jaxpr(lambda a, b: a @ b)(jnp.ones((2, 3)), jnp.ones((3, 4))))
    48.0
    """
    return total(jaxpr, operations)


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


def step(trainer: Trainer, hp: Mapping[str, float], number: int, data: Any) -> Any:
    """Traces a train step of one seed.

    Args:
      trainer: a `Trainer`.
      hp: name -> number.
      number: of the phase.
      data: the bucket that it reads.

    Returns:
      A `jax.extend.core.ClosedJaxpr`.
    """
    phase = trainer.method.phases[number]
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                         trainer.shapes(hp, number))
    idx = jax.ShapeDtypeStruct((core.batches_per_step(phase), trainer.settings.batch),
                               jnp.int32)
    return jax.make_jaxpr(core.make_step(phase, decode=trainer.decode))(state, data, idx)


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
    needed = 0.
    for number, phase in enumerate(trainer.method.phases):
        batch, per_epoch = trainer.settings.batch, 0.
        for rows, data in zip(trainer.sizes, trainer.columns(number), strict=True):
            per_epoch += work(step(trainer, hp, number, data)) * -(-rows // batch)
        needed += per_epoch / trainer.epoch_steps * phase.steps * trainer.width
    return {'seconds': needed / (speed * efficiency),
            'bytes': size(trainer.shapes(hp)) + size(trainer.columns(0))}


class Measured(NamedTuple):
    """What training a group costs on this machine."""
    compile: float                 # seconds, where no program is kept
    train: float                   # seconds of all steps and validations, without compilation
    bytes: int | None              # of the largest program; None where nobody says
    devices: int


def measure(trainer: Trainer, seeds: Sequence[int], hp: Mapping[str, float],
            blocks: int = 3) -> Measured:
    """Measures what training a group costs: compiles its programs, and times a few blocks and a
    validation of every phase.

    Args:
      trainer: a `Trainer` of width len(seeds).
      seeds: of the group.
      hp: name -> number.
      blocks: how many are timed.

    Returns:
      `Measured`; a run that stops early takes less.
    """
    state, train, sizes = trainer.init(seeds, hp), 0., []
    for number, phase in enumerate(trainer.method.phases):
        state = trainer.enter(number, state) if number else state
        if not phase.steps:
            continue
        state, step = _step(trainer, number, state, seeds, blocks)
        sizes.append(trainer.programs.memory(f'block{number}'))
        epochs = -(-phase.steps // trainer.epoch_steps)
        train += step * phase.steps + _validation(trainer, number, state) * epochs
    known = [size for size in sizes if size is not None]
    return Measured(trainer.programs.seconds, train, max(known, default=None),
                    1 if trainer.mesh is None else trainer.mesh.size)


def _step(trainer, number, state, seeds, blocks):
    """(state, seconds of a step): the first block, which compiles, does not count."""
    sizes, settings = trainer.sizes, trainer.settings
    n = core.batches_per_step(trainer.method.phases[number])
    epoch = order.epoch_blocks(sizes, settings.batch, settings.block, (0, number, 0))
    rows = [[order.indices(size, settings.batch, n, (seed, number, 0, bucket))
             for bucket, size in enumerate(sizes)] for seed in seeds]
    steps, seconds = 0, 0.
    for turn in range(blocks + 1):
        buckets, turns = epoch[turn % len(epoch)]
        idx = np.stack([[own[b][t] for b, t in zip(buckets, turns, strict=True)]
                        for own in rows])
        start = time.perf_counter()
        state, _ = trainer.block(number, state, trainer.feed(buckets, idx))
        if turn:
            steps, seconds = steps + len(buckets), seconds + time.perf_counter() - start
    return state, seconds / steps


def _validation(trainer, number, state):
    """Seconds of a validation."""
    key, seconds = jax.random.key(order.SALT), 0.
    for _ in range(2):                 # the first compiles
        start = time.perf_counter()
        jax.block_until_ready(trainer.validate(number, state, key))
        seconds = time.perf_counter() - start
    return seconds
