"""The compiled programs of one method on one dataset, as the train loop calls them."""
import functools
import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core
from vaebench.core import RUNNING, Augment, Decode, Key, Method, State
from vaebench.engine import placement, plateau, seeds
from vaebench.engine.order import epoch_steps
from vaebench.engine.programs import Programs, shape_of
from vaebench.engine.stream import Resident, Streamed, ahead, cut, most
from vaebench.engine.summary import sum_up
from vaebench.ops.precision import Precision, lowered
from vaebench.schema import count


class Settings(NamedTuple):
    """How a group trains, besides its method."""
    epochs: int                    # of the longest phase
    batch: int                     # B
    block: int = 50                # most train steps per dispatch
    keep: str = 'best'             # parameters evaluated: 'best' on validation, or 'last'
    patience: int = 0              # of `plateau.plateau`, as the next three
    first_epoch: int = 15
    factor: float = 0.5
    decays: int = 5
    seeds_by: str = 'auto'         # 'vmap' or 'map': how a group's seeds run
    mesh: str = ''                 # devices for seeds and batches: see `placement.sizes`
    stream: bool = False           # whether the training data stay on the host
    micro: int = 0                 # examples of a batch at once; 0: all
    precision: Precision = 'f32'      # of networks' products


class Feed(NamedTuple):
    """What a program reads of the training data, where it is read."""
    data: Any              # buckets, leaves [N_b, ...], or slabs of them
    idx: jax.Array         # int32 [G, K, n, B], rows of these
    count: jax.Array       # int32 [], steps that are taken
    which: jax.Array       # int32 [K], the bucket of every step
    steps: int             # `count`, at most K


class Trainer:
    """Compiled programs of one method on one dataset, for all rows that differ in numbers only.

    Args:
      method: a `Method`.
      buckets: training data, one dict of arrays [N_b, ...] per length class.
      validator: (evals, needs of a phase) -> its validation, which has `function`, a pure
        function (params, carry, *inputs) -> dict of [G], and `inputs`, a function (G, key) ->
        arrays that gives () where there is nothing to measure. Phases with the same evals and
        needs share one.
      settings: `Settings`.
      width: G, seeds that train together.
      augment: changes every training batch; None changes none.
      decode: see `core.take`.

    Raises:
      UserError: the settings ask for a mesh that cannot be laid out.
    """

    def __init__(self, method: Method, buckets: Sequence[Mapping[str, Any]],
                 validator: Callable[..., Any], settings: Settings, width: int,
                 augment: Augment | None = None, decode: Decode | None = None):
        for phase, later in itertools.pairwise(method.phases):
            if later.continues and phase.summary is not None:
                raise ValueError(f'phase {phase.name}: {later.name} continues it, and may lose '
                                 'its summary with the parameters that it takes back')
        self.method, self.settings, self.width = method, settings, width
        self.augment, self.decode = augment, decode
        self.how = seeds.resolve(settings.seeds_by)
        self.mesh = placement.lay(settings.mesh, width, settings.batch)
        self.sizes = [count(b) for b in buckets]
        self.source = (Streamed if settings.stream else Resident)(buckets, self.place)
        self.programs = Programs(lambda fn: lowered(fn, settings.precision))
        self.sample = self.place(self._sample(buckets))
        self._validator, self._valid = validator, {}
        self._feedback = plateau.plateau(settings.patience, settings.first_epoch,
                                         settings.factor, settings.decays)

    def columns(self, number: int) -> list:
        """Shapes of what the programs of phase `number` hold of the training data."""
        batches = core.batches_per_step(self.method.phases[number]) if self.method.phases else 1
        shapes = self.source.shapes(
            self.width * self.settings.block * batches * self.settings.batch)
        if self.mesh is None:
            return shapes
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype,
                                                           sharding=self._whole), shapes)

    def _sample(self, buckets):
        """One batch of the largest bucket."""
        largest = buckets[int(np.argmax(self.sizes))]
        rows = np.arange(self.settings.batch, dtype=np.int32)
        rows = np.where(rows < count(largest), rows, -1)
        slab = cut(jax.tree.map(np.asarray, dict(largest)), rows, most(largest, rows.size))
        return core.take(jax.tree.map(jnp.asarray, slab.columns), jnp.asarray(slab.idx),
                         self.decode)

    def place(self, tree: Any) -> Any:
        """Puts arrays that all seeds share where the group trains."""
        return placement.put(tree, self.mesh)

    def spread(self, tree: Any) -> Any:
        """Puts arrays [G, ...] of the group where its seeds train."""
        return placement.put(tree, self.mesh, placement.SEED)

    @property
    def own(self) -> jax.sharding.Sharding | None:
        """The sharding of a group's arrays; None where there is no mesh."""
        return None if self.mesh is None else placement.sharding(self.mesh, placement.SEED)

    @property
    def _both(self):
        """Those of a state and of what the host reads of a block."""
        return None if self.mesh is None else (self.own, self._whole)

    @property
    def _whole(self):
        """The sharding of what the host reads; None where there is no mesh."""
        return None if self.mesh is None else placement.sharding(self.mesh)

    @property
    def epoch_steps(self) -> int:
        """Train steps of one pass over the data."""
        return epoch_steps(self.sizes, self.settings.batch)

    # ---- what is compiled ------------------------------------------------------------------

    def over_seeds(self, fn: Callable, in_axes: Sequence[int | None]) -> Callable:
        """Makes `fn` of one seed a function of the group: see `seeds.over_seeds`."""
        local = seeds.over_seeds(fn, in_axes, self.how)
        return seeds.over_devices(local, in_axes, self.mesh)

    def _init(self):
        def one(key, hp, data):
            return plateau.start(core.init(self.method, key, data, hp))

        return self.over_seeds(one, (0, 0, None))

    def _enter(self, number):
        phase, settings = self.method.phases[number], self.settings

        def one(state, data):
            if phase.continues:
                state = core.enter(phase, state, data)
                return plateau.continue_(state, settings.patience, settings.decays)
            state = plateau.start(state)      # full learning rate before optimizers are made
            return plateau.start(core.enter(phase, state, data))

        return self.over_seeds(one, (0, None))

    def _block(self, number):
        steps = core.make_block(self.method.phases[number], self.augment, self.decode,
                                self.settings.micro)

        def one(state, data, idx, count, which):
            state, metrics = steps(state, data, idx, count, which)
            return plateau.restore_if_nonfinite(state), metrics

        return self.over_seeds(one, (0, None, 0, None, None))

    def _begun(self, group, hp):
        """What `_init` takes."""
        return (jax.vmap(jax.random.key)(jnp.array(group, jnp.uint32)),
                {k: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (len(group),))
                 for k, v in hp.items()}, self.sample)

    def _args(self, group, hp):
        """What `_init` takes, where it is to lie."""
        keys, hp, sample = self._begun(group, hp)
        return *self.spread((keys, hp)), sample

    def shapes(self, hp: Mapping[str, float], phase: int = 0) -> State:
        """Shapes of a group's state in a phase; computes nothing.

        Args:
          hp: name -> number.
          phase: number of the phase; past the last one nothing changes.

        Returns:
          `State` of `jax.ShapeDtypeStruct`.
        """
        args = jax.eval_shape(lambda: self._begun(list(range(self.width)), hp))
        state = jax.eval_shape(self._init(), *args)
        for number in range(1, len(self.method.phases))[:phase]:
            state = jax.eval_shape(self._enter(number), state, self.sample)
        if self.mesh is None:
            return state
        return jax.tree.map(lambda x: x.update(sharding=self.own), state)

    def prepare(self, hp: Mapping[str, float],
                cancelled: Callable[[], bool] = lambda: False) -> None:
        """Compiles ahead what training needs; may run in a thread while another group trains.

        Args:
          hp: name -> number; only the names matter.
          cancelled: asked between two programs.
        """
        if cancelled():
            return
        begun = jax.tree.map(shape_of, self._args(list(range(self.width)), hp))
        self.programs.build('init', self._init(), begun, brief=True, out=self.own)
        for number in range(len(self.method.phases)):
            self._prepare_phase(number, hp, cancelled)

    def _prepare_phase(self, number, hp, cancelled):
        state, settings = self.shapes(hp, number), self.settings
        if cancelled():
            return
        shape = self.width, settings.block, core.batches_per_step(self.method.phases[number])
        steps = self._steps(np.zeros((*shape, settings.batch), np.int32), 0,
                            np.zeros(settings.block, np.int32))
        self.programs.build(f'block{number}', self._block(number), (
            state, self.columns(number), *jax.tree.map(shape_of, steps)), (0,), out=self._both)
        inputs = self._inputs(number, jax.random.key(0))
        if inputs and not cancelled():
            self.programs.build(
                f'validate{number}', self._validation(number),
                (state.params, state.carry, *jax.tree.map(shape_of, inputs)), out=self._whole)

    @functools.cached_property
    def validators(self) -> list:
        """The validation of every phase."""
        made, out = {}, []
        with self.programs.lock('validators'):
            for phase in self.method.phases:
                evals = self.method.evals if phase.evals is None else phase.evals
                name = id(evals), phase.needs
                if name not in made:
                    made[name] = self._validator(evals, phase.needs)
                out.append(made[name])
        return out

    # ---- what the loop calls ---------------------------------------------------------------

    def init(self, group: Sequence[int], hp: Mapping[str, float]) -> State:
        """Makes the state of a group at the start.

        Args:
          group: the seeds, `width` of them.
          hp: name -> number, shared by the seeds, or [G], one for each: a sweep is a group.

        Returns:
          `State` with a leading seed axis.
        """
        return self.programs.run('init', self._init(), *self._args(group, hp), brief=True,
                                 out=self.own)

    def enter(self, number: int, state: State) -> State:
        """The group starts phase `number`."""
        return self.programs.run(f'enter{number}', self._enter(number), state, self.sample,
                                 brief=True, out=self.own)

    def feed(self, buckets: np.ndarray, rows: np.ndarray) -> Feed:
        """Puts what some train steps read where they run; threads may do so ahead.

        Args:
          buckets: int32 [k] that the steps read, k <= K, the settings' block.
          rows: int32 [G, k, n, B] of these buckets.

        Returns:
          A `Feed` of K steps, of which k count.
        """
        steps = len(buckets)
        which = np.zeros(self.settings.block, np.int32)
        which[:steps] = buckets
        idx = np.full((len(rows), len(which), *rows.shape[2:]), -1, np.int32)
        idx[:, :steps] = rows
        data, idx = self.source.block(which, idx)
        idx, taken, which = self._steps(idx, steps, which)
        return Feed(data, idx, taken, which, steps)

    def feeds(self, make: Callable[[int], Feed], size: int) -> Generator[Feed, None, None]:
        """Yields make(0), make(1), ...: ahead where the data are streamed."""
        return ahead(make, size, self.source.threads)

    def block(self, number: int, state: State,
              feed: Feed) -> tuple[State, dict[str, np.ndarray]]:
        """Takes some train steps of phase `number`: see `core.make_block`.

        Args:
          number: of the phase.
          state: `State` with a leading seed axis.
          feed: what they read.

        Returns:
          (state, metrics [G, k]).
        """
        state, metrics = self.programs.run(
            f'block{number}', self._block(number), state, *feed[:-1], donate=(0,),
            out=self._both)
        return state, {k: np.asarray(v)[:, :feed.steps] for k, v in metrics.items()}

    def _steps(self, idx, count, which):
        """What a block takes besides the state and the data, where it is to lie."""
        if self.mesh is None:
            return jnp.asarray(idx), jnp.int32(count), jnp.asarray(which)
        idx = placement.put(idx, self.mesh, placement.SEED, None, None, placement.DATA)
        return idx, *self.place((np.int32(count), which))

    def _inputs(self, number, key):
        """What a validation reads besides the parameters, where it is to lie."""
        inputs = self.validators[number].inputs(self.width, key)
        if not inputs or self.mesh is None:
            return inputs
        key, keys, data, places = inputs
        if id(data) not in self._valid:             # phases with one validation share its data
            shared = [placement.divide(x, self.mesh, 1) for x in places]
            self._valid[id(data)] = self.place(data), shared
        return *self.spread((key, keys)), *self._valid[id(data)]

    def _validation(self, number):
        in_axes = (0, 0, 0, 0, None, None)          # params, carry, key, keys, data and places
        return seeds.over_devices(self.validators[number].function, in_axes, self.mesh)

    def validate(self, number: int, state: State, key: Key) -> dict[str, jax.Array]:
        """Measures phase `number` on the validation data: name -> [G], nats; a criterion's
        value is 'objective'.
        """
        select = self.method.phases[number].select
        inputs = self._inputs(number, key)
        if not inputs:
            return {}
        values = placement.fetch(dict(self.programs.run(
            f'validate{number}', self._validation(number), state.params, state.carry, *inputs,
            out=self._whole)))
        if isinstance(select, core.Criterion):
            values['objective'] = select.value(placement.fetch(state.hp), values)
        return values

    def apply_feedback(self, number: int, state: State,
                       values: Mapping[str, jax.Array]) -> State:
        """Applies the protocol's feedback to what `validate` gave, then the phase's own."""
        phase = self.method.phases[number]
        name = phase.select if isinstance(phase.select, str) else 'objective'

        def one(state, values):
            new = self._feedback(state, values[name]) if name and values else state
            new = new if phase.feedback is None else phase.feedback(new, values)
            running = state.status == RUNNING
            return jax.tree.map(lambda a, b: jnp.where(running, a, b), new, state)

        return self.programs.run(f'feedback{number}', self.over_seeds(one, (0, 0)), state,
                                 self.spread(dict(values)), donate=(0,), brief=True,
                                 out=self.own)

    def _keeps_best(self, number):
        """Whether a phase ends with its best parameters: no later phase goes on with them."""
        later = self.method.phases[number + 1:number + 2]
        return self.settings.keep == 'best' and not (later and later[0].continues)

    def criterion(self, number: int) -> str:
        """Says what chooses a phase's parameters: a validation quantity or a formula of some;
        '' where nothing does.
        """
        select = self.method.phases[number].select
        return select if isinstance(select, str) else select.formula

    def kept(self, number: int, state: State) -> list[str]:
        """Says which parameters `end_phase` keeps of this state, per seed.

        Args:
          number: of the phase.
          state: `State` after the phase's last step.

        Returns:
          G words: 'best' where a validation quantity chose them, 'last' where none did, 'none'
          where the phase took no step either.
        """
        best, step = placement.fetch((state.protocol.best, state.step))
        chosen, moved = np.isfinite(best) & self._keeps_best(number), np.asarray(step) > 0
        return ['best' if c else 'last' if m else 'none'
                for c, m in zip(chosen, moved, strict=True)]

    def end_phase(self, number: int, state: State) -> State:
        """Ends a phase: takes its best parameters where the table says so, then sums up."""
        if self._keeps_best(number):
            best = self.over_seeds(plateau.take_best, (0,))
            state = self.programs.run(f'end{number}', best, state, donate=(0,), brief=True,
                                      out=self.own)
        if self.method.phases[number].summary is not None:
            state = sum_up(self, number, state)
        return state
