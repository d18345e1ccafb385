"""Compiled functions by name, and the time that compiling takes."""
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


class Programs:
    """Functions that are compiled once each, in whichever thread asks first."""

    def __init__(self):
        self.seconds = 0.              # of all compilation, wherever it was done
        self.waited = 0.               # of it, what callers of `run` waited for
        self._made, self._locks = {}, {}

    def lock(self, name: str) -> threading.Lock:
        """The lock of whoever makes `name`."""
        return self._locks.setdefault(name, threading.Lock())

    def build(self, name: str, fn: Callable, shapes: tuple, donate: tuple = ()) -> Callable:
        """Compiles `fn` for arguments of these shapes, unless `name` is there.

        Args:
          name: of the program.
          fn: a pure function.
          shapes: its arguments, as trees of `jax.ShapeDtypeStruct`.
          donate: numbers of the arguments whose memory the results may take.

        Returns:
          The compiled function.
        """
        with self.lock(name):
            if name not in self._made:
                start = time.perf_counter()
                self._made[name] = jax.jit(fn, donate_argnums=donate).lower(*shapes).compile()
                self.seconds += time.perf_counter() - start
        return self._made[name]

    def run(self, name: str, fn: Callable, *args: Any, donate: tuple = ()) -> Any:
        """What `fn` gives for these arguments; it is compiled the first time."""
        if name not in self._made:
            start = time.perf_counter()
            self.build(name, fn, jax.tree.map(shape_of, args), donate)
            self.waited += time.perf_counter() - start
        return self._made[name](*args)


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
