"""What a group needs of memory, and whether its batches may be taken in parts."""
from collections.abc import Mapping

from vaebench.core import Method
from vaebench.engine import cost
from vaebench.engine.stream import AHEAD
from vaebench.engine.trainer import Trainer
from vaebench.errors import UserError

GIB = 2**30


def check_micro(method: Method, batch: int, micro: int) -> None:
    """Refuses parts of a batch that would change what a method learns.

    Args:
      method: a `Method`.
      batch: B.
      micro: examples of a part; 0 takes batches as a whole.

    Raises:
      UserError: parts do not fill a batch, or a loss sees the batch as a whole.

    >>> check_micro(Method(None, (), {}), 64, 24)
    Traceback (most recent call last):
    vaebench.errors.UserError: micro=24 does not divide batch=64: give a divisor of it, or 0
    """
    if micro and batch % micro:
        raise UserError(f'micro={micro} does not divide batch={batch}: give a divisor of it, '
                        'or 0')
    if not 0 < micro < batch:
        return
    for phase in method.phases:
        for player in phase.players:
            if player.couples:
                raise UserError(
                    f'micro={micro}: the loss {player.name!r} of phase {phase.name!r} sees all '
                    f'{batch} examples of a batch at once, so parts would change the method; '
                    'give micro=0 (remat=on and a smaller group need less memory too)')


def need(trainer: Trainer, hp: Mapping[str, float]) -> int:
    """Says how many bytes a group takes at least; compiles what its training runs.

    Args:
      trainer: a `Trainer`.
      hp: name -> number.

    Returns:
      int: the arguments, results and intermediate values of the largest program, as its
      compiler says them, and the slabs that wait beside it where the data are streamed.
    """
    trainer.prepare(hp)
    phases = range(len(trainer.method.phases))
    columns = max((cost.size(trainer.columns(n)) for n in phases), default=0)
    state = max((cost.size(trainer.shapes(hp, n)) for n in phases), default=0)
    waiting = AHEAD * columns if trainer.source.threads else 0
    return waiting + max(state + columns, trainer.programs.bytes())


def narrower(width: int, needed: int, limit: float) -> int:
    """Guesses how many seeds fit, where so many need too much.

    >>> narrower(8, 10 * GIB, 5. * GIB), narrower(8, 9 * GIB, 8.9 * GIB), narrower(2, 9, 1.)
    (4, 7, 1)
    """
    return max(1, min(width - 1, int(width * limit / needed)))
