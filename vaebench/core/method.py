"""A method as data: phases of players, and the state that they move."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

from vaebench.core.types import Batch, Carry, Hp, Key, Params

RUNNING, DONE, FAILED = 0, 1, 2       # State.status


class Recipe(NamedTuple):
    """What the table's protocol asks of a method's training."""
    steps: int                             # train steps of the longest phase
    # of one pass over the data; schedules count in epochs
    steps_per_epoch: int
    examples: int                          # of the training split, N
    # the table's; reads hp['lr'] and hp['lr_scale']
    optimizer: Callable[[Hp], optax.GradientTransformation]


class StepInfo(NamedTuple):
    """What a loss may know of its place in the run."""
    key: Key            # unique to (step, player, inner)
    step_key: Key       # shared by every player of this step
    step: jax.Array     # int32 [], steps taken in this phase
    total: jax.Array    # int32 [], steps taken in all phases: schedules read this one
    inner: jax.Array    # int32 [], index among this player's updates of the step
    hp: Hp


def couples(f: Callable, when: bool = True) -> Callable:
    """Says of a function that the examples of a batch see each other in it.

    The loss of a batch is then no mean over the losses of its parts, and neither are what is
    built on the function, which must say so too.

    Args:
      f: a function of a batch.
      when: whether it does; False changes nothing.

    Returns:
      f.

    >>> coupled(couples(lambda x: x - x.mean())), coupled(couples(lambda x: x, when=False))
    (True, False)
    """
    if when:
        f.couples = True          # type: ignore[attr-defined]
    return f


def coupled(*functions: Callable | None) -> bool:
    """Whether one of these functions says that it `couples` a batch."""
    return any(getattr(f, 'couples', False) for f in functions)


class Player(NamedTuple):
    """One loss and the parameters it moves."""
    name: str
    loss: Callable[[Params, Carry, Batch, StepInfo], tuple[jax.Array, tuple[Carry, Mapping]]]
    trains: tuple[str, ...]           # keys of params it may move
    tx: Callable[[Hp], optax.GradientTransformation]
    updates: int = 1                  # most of them per train step
    fresh_batches: bool = False       # update j reads batch j, not batch 0
    while_: Callable[[Carry, StepInfo], jax.Array] | None = None   # bool []: goes on while true
    # its batch holds another as 'other', drawn independently of all that it reads itself
    other_batch: bool = False

    @property
    def couples(self) -> bool:
        """Whether its loss says that examples of a batch see each other: see `couples`."""
        return coupled(self.loss)


class Fold(NamedTuple):
    """One pass over the training data, parameters at rest: what it finds becomes carry."""
    init: Callable[[], Any]                            # () -> s
    update: Callable[[Any, Params, Carry, Batch], Any]  # (s, params, carry, batch) -> s
    finish: Callable[[Any, Params, Carry], Carry]      # (s, params, carry) -> carry, same tree


class Criterion(NamedTuple):
    """What validation chooses parameters by: the least value wins."""
    formula: str              # in names of hp and of validated quantities, as a result says it
    value: Callable[[Hp, Mapping[str, jax.Array]], jax.Array]   # (hp, validated) -> nats


class Phase(NamedTuple):
    """Players that learn together for a while."""
    name: str
    # run in order, each sees the latest params; none where only a summary is made
    players: tuple[Player, ...]
    steps: int                        # at most; `feedback` may end it earlier
    enter: Callable[..., tuple[Params, Carry]] | None = None  # (key, params, carry, data)
    feedback: Callable[['State', Mapping], 'State'] | None = None  # pure; after each validation
    # the validation quantity whose minimum keeps the best parameters, or a criterion; '' keeps
    # the last
    select: str | Criterion = 'elbo'
    # further validation quantities that `feedback` reads, such as 'mi'
    needs: tuple[str, ...] = ()
    # what validation measures while it lasts; None: the method's
    evals: Mapping[str, Callable] | None = None
    # the phase is over when the steps of all phases reach this
    until: int | None = None
    # goes on with the protocol of the phase before: its rate, counters and best
    continues: bool = False
    # made at its end, of the parameters that it keeps
    summary: Fold | None = None
    # names it, with all that decides its numbers besides data, kit, seeds, protocol and
    # learning rate: of phases with equal `shared` one is trained for all rows
    shared: Mapping[str, Any] | None = None


class Method(NamedTuple):
    """How parameters learn, and what can be asked of them afterwards."""
    init: Callable[[Key, Batch], tuple[Params, Carry]]        # (key, one batch of data)
    phases: tuple[Phase, ...]         # may be empty: nothing to train
    evals: Mapping[str, Callable]     # keys out of EVALS
    # columns that it is told: its likelihoods are of the rest given these
    given: tuple[str, ...] = ()


class State(NamedTuple):
    """Everything a run is. A group of seeds is the same with a leading axis."""
    params: Params
    carry: Carry
    opt: Mapping[str, optax.OptState]  # by player name
    hp: Hp
    protocol: Any                      # the table's: best (params, carry), counters
    step: jax.Array                    # int32 []
    total: jax.Array                   # int32 []
    key: Key                           # root: only ever folded, with a tag of its own per use
    status: jax.Array                  # int32 []
