"""Networks as pure functions, and the kit that a method is handed."""
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core.types import Batch, Key
from vaebench.errors import UserError
from vaebench.schema import Schema, field


class Net(NamedTuple):
    """A network as two pure functions."""
    init: Callable[[Key], Any]        # key -> params
    # (params, *inputs, key=None) -> output; key=None is evaluation
    apply: Callable[..., Any]


class StatNet(NamedTuple):
    """A network with running statistics, which are carry: {} where it normalises nothing."""
    init: Callable[[Key], tuple]      # key -> (params, stats)
    # (params, stats, *inputs, weight=None, train=False) -> (output, stats)
    apply: Callable[..., tuple]


class Features(NamedTuple):
    """What an encoder sees of a batch."""
    last: jax.Array                   # [B, H]
    states: jax.Array | None = None   # [B, T, H], text only
    mask: jax.Array | None = None     # [B, T], text only


class Unrolled(NamedTuple):
    """A decoder's way through sentences: step t is before word t + 1."""
    states: jax.Array                 # [B, T, H]
    logits: jax.Array                 # [B, T, V], of the next word


class Decoder(NamedTuple):
    """p(x|z) as pure functions; the last two are of sentences only."""
    init: Callable[[Key], Any]        # key -> params
    # (params, z [B, Z] or None, batch, key=None) -> [B], nats
    log_prob: Callable[..., jax.Array]
    # (params, z, key, mode) -> batch; mode 'greedy', 'sample', 'beam' or 'mean'
    generate: Callable[..., Batch]
    # (params, z, batch) -> Unrolled along the batch's words, without dropout
    forced: Callable[..., Unrolled] | None = None
    # (params, z, steps, key, temperature) -> Unrolled along its own words, each the mean
    # embedding under a Gumbel softmax, so that gradients pass through them
    unroll: Callable[..., Unrolled] | None = None


def _arrays(x):
    return {'x': jnp.asarray(x, jnp.float32), 'weight': jnp.ones(len(x))}


class Context(NamedTuple):
    """What a conditional model is told of an example, as a network."""
    init: Callable[[Key], Any]        # key -> params
    apply: Callable[..., jax.Array]   # (params, batch, key=None) -> [B, C]
    width: int                        # C
    columns: tuple[str, ...]          # of the data, that it is made of
    # (key, n) -> [n, C], where contexts have a law
    draw: Callable[..., jax.Array] | None = None


class Codec(NamedTuple):
    """What a person gives to a network and gets from it; the default is arrays of the column
    'x'.
    """
    read: Callable[[Any], Batch] = _arrays                          # values -> batch
    # generated batch -> values
    write: Callable[[Batch], Any] = lambda batch: jax.device_get(batch['x'])
    # of generation: from codes, from the prior
    modes: tuple[str, str] = ('mean', 'mean')
    # of generation: all that there are
    known: tuple[str, ...] = ('mean', 'sample')


@dataclasses.dataclass(frozen=True)
class Kit:
    """The networks a method may ask for, built for one modality and one size: `kit.encoder()`,
    `kit.head(3)`.

    `nets` holds makers, so that a method takes what it needs and no parameter lies idle. Those
    that all methods know:

      encoder(init=None) -> Net: (params, batch, key=None) -> Features; init 'torch' as for head
      head(n_out, init=None, bias=None) -> Net: ([B, H]) -> [B, n_out], linear
      decoder(latent=Z, **options) -> Decoder; latent=0 makes a language model
      mlp(sizes, activation='relu') -> Net: ([..., sizes[0]]) -> [..., sizes[-1]]
      gen(latent=Z, norm=False) -> StatNet: (z [B, Z]) -> x in the data's range
      critic(n_out=None, norm=False) -> Net: (params, x, weight=None) -> [B] or [B, n_out]; norm
      couples the batch sequence(n_in, n_out) -> Net: ([B, T, n_in]) -> [B, T, n_out], causal
      context() -> Context: (params, batch, key=None) -> [B, C], what a conditional model is
      told: the conversation before a response where the data has one, else the label
      label_context() -> Context: of the label, one-hot
      predictor() -> Net: (params, batch, key=None) -> what batch['target'] is
      cnn(n_in, n_out, widths, channels) -> Net: ([B, T, n_in], mask [B, T]) -> [B, n_out]
      corrupt(key, batch, rate) -> batch that has lost words or pixels
      shuffle(key, batch, reach) -> batch whose words have moved by at most so many places
      pseudo(params of enc, batch, key, k) -> batch of k inputs, all trainable
      class_gen() -> StatNet: (noise and a class, one-hot [B, Z + K]) -> x
      class_critic() -> Net: (params, {'x', 'label' one-hot}, weight=None) -> [B]
      filters(params of enc) -> [S, K, K, I, C] of its first layer, as a group moves them

    Attributes:
      latent: Z.
      features: H, width of Features.last.
      schema: of the data it was built for.
      nets: maker by name.
      codec: between people's values and batches.
    """
    latent: int
    features: int
    schema: Schema
    nets: Mapping[str, Callable]
    codec: Codec = Codec()

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__') or name == 'nets':     # not yet there when a copy is made
            raise AttributeError(name)
        if name not in self.nets:
            raise UserError(f"this needs a network '{name}', which the kit has not: it has "
                            f"{', '.join(self.nets)}; choose another --config.kit.name or "
                            'other rows')
        return self.nets[name]

    def size(self, column: str) -> int:
        """Number of words or classes of a column; `UserError` where the data has no such
        column.
        """
        size = field(self.schema, column).size
        if size is None:
            raise UserError(f'column {column!r} has no number of words or classes: give its '
                            'field a size')
        return size

    def replace(self, **nets: Callable) -> 'Kit':
        """The kit with some makers exchanged or added."""
        return dataclasses.replace(self, nets={**self.nets, **nets})
