"""What metrics see of a trained group: per-example quantities, computed once and shared."""
import functools
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.engine.placement import SEED, divide, put, sharding
from vaebench.engine.seeds import over_devices
from vaebench.metrics.draws import (
    DRAWS,
    FIRST,
    Columns,
    Evals,
    alone,
    first,
    fold_group,
    group_size,
    over_seeds,
    single,
    slots,
    split_index,
)
from vaebench.metrics.importance import ImportanceSampler
from vaebench.metrics.types import Data, Judge, Settings, Trained
from vaebench.ops.precision import Precision, lowered
from vaebench.schema import Rows, Schema, count, over, select


def of_batch(evals: Evals, name: str, params: Any, carry: Any, key: Any, own: Any,
             batch: Columns) -> Any:
    """Applies an eval to a batch, in the form that `Evaluator.jit` and `over_examples` take."""
    return evals[name](params, carry, batch)


def each(evals: Evals, name: str, params: Any, carry: Any, key: Any, keys: jax.Array,
         batch: Columns) -> Any:
    """Applies an eval (batch, key) to every example alone, with a key of its own, for
    `Evaluator.over_examples`.
    """
    one = lambda example, key: first(evals[name](params, carry, alone(example), key))
    return jax.vmap(one)(batch, keys)


def _single(evals, params, carry, key, keys, batch):
    return single(evals, params, carry, batch, keys)


def _on_mesh(bound, seeds, mesh, precision):
    """The function of a group whose seeds lie on devices of their own; every device has all of
    what it gives.
    """
    local = lowered(over_seeds(bound, seeds // mesh.shape[SEED]), precision)

    def group(*args):
        in_axes = (0, 0, 0, 0, *(None for _ in args[4:]))
        return over_devices(local, in_axes, mesh)(*args)

    compiled = jax.jit(group, out_shardings=sharding(mesh))

    def call(params, carry, keys, own, *shared):
        return compiled(params, carry, keys, put(own, mesh, SEED), *put(shared, mesh))

    return call


class Evaluator:
    """A trained group of seeds over one split. Every quantity is computed when first asked for,
    then kept.

    An example's randomness comes from the key folded with its index and the sample's number:
    the order and size of batches, buckets and chunks, and padding, leave every draw as it is.

    Args:
      trained: a `Trained`.
      data: a `Data`.
      settings: a `Settings`; its defaults if None.
      tick: called as tick(done, total) after every batch of importance sampling.
      partial: path of an .npz that keeps what importance sampling has done when `tick` raises;
        None keeps nothing.
    """

    def __init__(self, trained: Trained, data: Data, settings: Settings | None = None,
                 tick: Callable[[int, int], None] | None = None, partial: Any = None):
        self.evals, self.params, self.carry = trained.evals, trained.params, trained.carry
        self.programs = {} if trained.programs is None else trained.programs
        self.seeds = group_size(trained.params, trained.carry, trained.key)
        self.given, key = trained.given, trained.key
        self.precision: Precision = trained.precision
        self.keys = jnp.broadcast_to(key, (self.seeds,)) if key.ndim == 0 else key
        self.settings, self.partial = settings or Settings(), partial
        self.mesh = trained.mesh
        self._group = put((self.params, self.carry, self.keys), self.mesh, SEED)
        columns, self.index = split_index(data.buckets)
        self.buckets = [jax.tree.map(np.asarray, b) for b in columns]
        self.data = data._replace(buckets=self.buckets)
        self.order = np.argsort(np.concatenate(self.index), kind='stable')
        self.n = len(self.order)
        self.tick, self._told = tick or (lambda done, total: None), (0, 1)
        self._cached = {}                    # what metrics share

    @property
    def schema(self) -> Schema:
        """Of the data's columns."""
        return self.data.schema

    @property
    def train(self) -> Columns:
        """Columns of the training split; {} where no metric may read them."""
        return self.data.train or {}

    def cached(self, name: Any, make: Callable[[], Any]) -> Any:
        """Returns make(), computed once per evaluator and name."""
        if name not in self._cached:
            self._cached[name] = make()
        return self._cached[name]

    def judge(self, name: str) -> Judge | None:
        """Returns the judge of that name, made when first asked for; None where the data has
        none.
        """
        make = self.data.judges.get(name)
        return None if make is None else self.cached(('judge', name), make)

    def pause(self, told: tuple[int, int] | None = None) -> None:
        """Lets `tick` stop the evaluation: it raises if it is to be stopped.

        Args:
          told: (done, total) batches of importance sampling from now on; None leaves them.
        """
        self._told = told or self._told
        self.tick(*self._told)

    def field(self, name: str) -> np.ndarray:
        """Returns one column [N, ...] of the split, decoded, in the split's order."""
        return np.concatenate([self.decoded(b, name) for b in self.buckets])[self.order]

    def decoded(self, columns: Columns, name: str) -> np.ndarray:
        """Returns one of the columns [N, ...] as networks read it; `()` where there is none."""
        read = self.data.decode
        return np.asarray((columns if read is None else read(columns)).get(name, ()))

    def head(self, n: int) -> dict[str, Any]:
        """Returns the split's first n examples in its order, as one batch."""
        every = [self.batch(b, np.arange(len(i)))
                 for b, i in zip(self.buckets, self.index, strict=True)]
        return over(lambda *x: np.concatenate(x)[self.order[:n]], *every)

    def jit(self, f: Callable[..., Any], *static: Any) -> Callable[..., Any]:
        """Makes F(own, *shared) of the group from f(evals, *static, params, carry, key, own,
        *shared) of one seed.

        It is compiled once per f, static values and number of seeds, for every group that
        shares `Trained.programs`.

        Args:
          f: a function of a module, which closes over nothing.
          *static: hashable values.

        Returns:
          Compiled function of own, leaves [G, ...], and of arrays that the seeds share.
        """
        name = f, static, self.seeds, self.mesh
        if name not in self.programs:
            bound = functools.partial(f, self.evals, *static)
            self.programs[name] = (
                jax.jit(lowered(over_seeds(bound, self.seeds), self.precision))
                if self.mesh is None else
                _on_mesh(bound, self.seeds, self.mesh, self.precision))
        return functools.partial(self.programs[name], *self._group)

    def batches(self) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
        """Yields (batch with leaves [B, ...], index [B], rows [B]); rows are places in bucket
        order, -1 if empty.
        """
        start = 0
        for columns, index in zip(self.buckets, self.index, strict=True):
            n = len(index)
            for idx in slots(n, min(self.settings.batch, n)):
                rows = np.where(idx < 0, -1, start + idx)
                yield self.batch(columns, idx), index[np.maximum(idx, 0)], rows
            start += n

    def batch(self, columns: Columns, idx: np.ndarray) -> dict[str, Any]:
        """Returns the rows idx [B] of columns, decoded, as networks read them; -1 is an empty
        slot.
        """
        batch = select(columns, np.maximum(idx, 0))
        if self.data.decode is not None:         # as in `core.take`: linked rows too
            links = [k for k, v in columns.items() if isinstance(v, Rows)]
            linked = {k: self.data.decode(batch.pop(k)) for k in links}
            batch = {**self.data.decode(batch), **linked}
        return {**batch, 'weight': (idx >= 0).astype(np.float32)}

    def over_examples(self, f: Callable[..., Any], *static: Any, tag: int = DRAWS) -> Any:
        """Applies f(evals, *static, params, carry, key, keys [B], batch) -> leaves [B, ...]
        batch by batch to the split.

        Returns:
          Leaves [G, N, ...], in the split's order.
        """
        group, parts = self.jit(f, *static), []
        for batch, index, rows in self.batches():
            self.pause()
            filled, keys = (rows >= 0).sum(), fold_group(self.keys, index, FIRST, tag)[:, 0]
            out = jax.device_get(group(divide(keys, self.mesh, 1, (SEED,)),
                                       divide(batch, self.mesh, 0)))
            parts.append(jax.tree.map(lambda x, m=filled: x[:, :m], out))
        return jax.tree.map(lambda *x: np.concatenate(x, 1)[:, self.order], *parts)

    @cached_property
    def terms(self) -> dict[str, Any]:
        """`single` of every example: leaves [G, N, ...]."""
        return self.over_examples(_single)

    @property
    def states(self) -> Any:
        """Posteriors, leaves [G, N, ...]."""
        return self.terms['q']

    @property
    def draws(self) -> Any:
        """One code per example, [G, N, Z] or leaves [G, N, ...]."""
        return self.terms['z']

    @property
    def codes(self) -> np.ndarray:
        """[G, N, Z] posterior means."""
        return self.terms['code']

    def codes_of(self, arrays: Columns) -> np.ndarray:
        """Returns the posterior means [G, N, Z] of other data than the split: see
        `of_arrays`."""
        return self.of_arrays(arrays, 'encode')

    def of_arrays(self, arrays: Columns, name: str) -> np.ndarray:
        """Returns what an eval of a batch gives for other data than the split, [G, N, ...].

        Args:
          arrays: name -> [N, ...] as in the buckets; N of any size, one program per shape of an
            example.
          name: of the eval.
        """
        return self.over_arrays(of_batch, arrays, name)

    def over_arrays(self, f: Callable[..., Any], arrays: Columns, *static: Any) -> Any:
        """Applies f(evals, *static, params, carry, key, (), batch) -> leaves [B, ...] batch by
        batch to other data than the split: see `of_arrays`.

        Returns:
          Leaves [G, N, ...].
        """
        group, parts, n = self.jit(f, *static), [], count(arrays)
        arrays = jax.tree.map(np.asarray, arrays)
        for idx in slots(n, self.settings.batch):
            self.pause()
            batch = divide(self.batch(arrays, idx), self.mesh, 0)
            parts.append(jax.device_get(group((), batch)))
        return jax.tree.map(lambda *x: np.concatenate(x, 1)[:, :n], *parts)

    def once(self, f: Callable[..., Any], *static: Any, tag: int) -> Any:
        """Keeps what `over_examples` gives for f with that tag; the tag names the quantity."""
        return self.cached(('once', tag), lambda: self.over_examples(f, *static, tag=tag))

    @property
    def refines(self) -> bool:
        """Whether importance sampling needs a proposal of ours, which stands for codes [B, Z]
        alone.
        """
        return 'log_q' not in self.evals

    @property
    def vectors(self) -> bool:
        """Whether codes are vectors: draws are arrays [G, N, Z], as `codes` are."""
        return getattr(self.draws, 'shape', None) == self.codes.shape

    @property
    def weighable(self) -> bool:
        """Whether there is a proposal: a density of q, or codes that are vectors."""
        return not self.refines or self.vectors

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Importance sampling from q or, where it has no density, from `proposal`'s: (nll [G,
        N] nats, ess [G, N]).
        """
        return ImportanceSampler(self, self.partial).run()
