"""Compiled functions by name, and the time that compiling takes."""
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

BRIEF: Any = {'xla_backend_optimization_level': 0}      # halves compilation


class Programs:
    """Functions that are compiled once each, in whichever thread asks first.

    Args:
      change: function -> function, made of each before it is compiled.
    """

    def __init__(self, change: Callable[[Callable], Callable] = lambda fn: fn):
        self.change = change
        self.seconds = 0.              # of all compilation, wherever it was done
        self.waited = 0.               # of it, what callers of `run` waited for
        self._made, self._locks = {}, {}

    def lock(self, name: str) -> threading.Lock:
        """The lock of whoever makes `name`."""
        return self._locks.setdefault(name, threading.Lock())

    def build(self, name: str, fn: Callable, shapes: tuple, donate: tuple = (),
              brief: bool = False, out: Any = None) -> Callable:
        """Compiles `fn` for arguments of these shapes, unless `name` is there.

        Args:
          name: of the program.
          fn: a pure function.
          shapes: its arguments, as trees of `jax.ShapeDtypeStruct`.
          donate: numbers of the arguments whose memory the results may take.
          brief: whether it runs so seldom and so shortly that, on a CPU, optimizing it costs
            more than it saves.
          out: shardings of what it gives, a prefix of its tree; None leaves them open.

        Returns:
          The compiled function.
        """
        options = BRIEF if brief and jax.default_backend() == 'cpu' else None
        with self.lock(name):
            if name not in self._made:
                start = time.perf_counter()
                placed = {} if out is None else {'out_shardings': out}
                lowered = jax.jit(self.change(fn), donate_argnums=donate,
                                  **placed).lower(*shapes)
                self._made[name] = lowered.compile(options)
                self.seconds += time.perf_counter() - start
        return self._made[name]

    def run(self, name: str, fn: Callable, *args: Any, donate: tuple = (),
            brief: bool = False, out: Any = None) -> Any:
        """What `fn` gives for these arguments; it is compiled the first time: see `build`."""
        if name not in self._made:
            start = time.perf_counter()
            self.build(name, fn, jax.tree.map(shape_of, args), donate, brief, out)
            self.waited += time.perf_counter() - start
        return self._made[name](*args)

    def memory(self, name: str) -> int | None:
        """Reads how many bytes a compiled program takes at once, arguments and results among
        them; None where the backend does not say.
        """
        said = self._made[name].memory_analysis()
        if said is None:
            return None
        return int(said.argument_size_in_bytes + said.output_size_in_bytes
                   - said.alias_size_in_bytes + said.temp_size_in_bytes)

    def bytes(self) -> int:
        """Says what the largest program takes, as `memory` does; 0 where nobody says."""
        return max((self.memory(name) or 0 for name in list(self._made)), default=0)


def shape_of(x: Any) -> jax.ShapeDtypeStruct:
    """Shape, type and, where it was chosen, placement of an array, a shape or a number.

    >>> shape_of(np.zeros((2, 3), np.float32))
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """
    dtype = getattr(x, 'dtype', None)
    if dtype is None:
        dtype = jax.dtypes.canonicalize_dtype(jnp.result_type(x))
    sharding = getattr(x, 'sharding', None) if getattr(x, '_committed', False) else None
    return jax.ShapeDtypeStruct(jnp.shape(x), dtype, sharding=sharding)
