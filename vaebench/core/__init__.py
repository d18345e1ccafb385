"""Methods as phases of players: the types every layer shares and the one train step.

A method is data: `Method(init, phases, evals)`. `make_step` turns any phase into a pure train
step and `make_block` runs many of them in one dispatch. Nothing here knows text, images or a
method's name.
"""
from vaebench.core.evals import EVALS, Eval
from vaebench.core.kit import Codec, Context, Decoder, Features, Kit, Net, StatNet, Unrolled
from vaebench.core.method import (
    DONE,
    FAILED,
    RUNNING,
    Criterion,
    Fold,
    Method,
    Phase,
    Player,
    Recipe,
    State,
    StepInfo,
    coupled,
    couples,
)
from vaebench.core.step import (
    batches_per_step,
    derive,
    enter,
    enter_all,
    init,
    make_block,
    make_step,
    mean,
    take,
)
from vaebench.core.types import RUNNING_MEAN, Augment, Batch, Carry, Decode, Hp, Key, Params
from vaebench.schema import Rows

__all__ = [
    'DONE', 'EVALS', 'FAILED', 'RUNNING', 'RUNNING_MEAN', 'Augment', 'Batch', 'Carry', 'Codec',
    'Context', 'Criterion', 'Decode', 'Decoder', 'Eval', 'Features', 'Fold', 'Hp', 'Key', 'Kit',
    'Method', 'Net', 'Params', 'Phase', 'Player', 'Recipe', 'Rows', 'StatNet', 'State',
    'StepInfo', 'Unrolled', 'batches_per_step', 'coupled', 'couples', 'derive', 'enter',
    'enter_all', 'init',
    'make_block', 'make_step', 'mean', 'take',
]
