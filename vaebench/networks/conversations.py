"""What a model of dialogues is told: the utterances before a response, who said them, and the
topic."""
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Batch, Context
from vaebench.networks import common, decoders
from vaebench.schema import Schema, field

TOPIC = 30             # width of a topic's vector


class Conversation(nn.Module):
    """Reads every utterance in both directions, then utterance after utterance.

    Padding counts for nothing, by the lengths of utterances and the number of turns: whatever
    its tokens and speakers are, no state that is read has seen them.

    Attributes:
      vocab: V.
      embed: E.
      hidden: H, of each direction and of the turns.
      topics: how many there are; 0 for none.
    """
    vocab: int
    embed: int
    hidden: int
    topics: int = 0

    def setup(self) -> None:
        self.embedding = self.param('embedding', common.zeros, (self.vocab, self.embed))
        self.forth = decoders.Lstm(self.embed, self.hidden)
        self.back = decoders.Lstm(self.embed, self.hidden)
        self.turns = decoders.Lstm(2 * self.hidden + 1, self.hidden)
        if self.topics:
            self.topic = self.param('topic', common.zeros, (self.topics, TOPIC))

    def utterances(self, tokens: jax.Array, length: jax.Array) -> jax.Array:
        """The last states [M, 2 H] of both directions over tokens [M, L], which end at
        `length`."""
        place = jnp.arange(tokens.shape[1])
        turned = jnp.take_along_axis(tokens, jnp.maximum(length[:, None] - place, 0), 1)
        last = length, jnp.arange(len(length))
        return jnp.concatenate([self.forth(self.embedding[tokens.T])[last],
                                self.back(self.embedding[turned.T])[last]], -1)

    def __call__(self, batch: Batch) -> jax.Array:
        told: Any = batch['context']
        tokens, count = told['tokens'], told['turns']
        rows, turns, words = tokens.shape
        each = self.utterances(tokens.reshape(-1, words), told['length'].reshape(-1))
        each = each.reshape(rows, turns, -1)
        said = jnp.concatenate([each, told['speaker'][..., None].astype(each.dtype)], -1)
        states = self.turns(said.swapaxes(0, 1))
        context = states[jnp.maximum(count, 1) - 1, jnp.arange(rows)]
        if not self.topics:
            return context
        return jnp.concatenate([context, self.topic[batch['topic']]], -1)


def contexts(schema: Schema, embed: int, hidden: int,
             rule: common.Rule) -> dict[str, Callable[[], Context]]:
    """Makers of what a conditional model of sentences is told, by their names in a kit.

    Args:
      schema: of the data.
      embed: E.
      hidden: H.
      rule: scales of the parameters.

    Returns:
      As `common.contexts`, but that 'context' makes a `Context` of width H, and `TOPIC` more
      where the data has topics, of data whose responses have a context. No law of contexts is
      known: none can be drawn.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.
    """
    told = schema.get('context')
    if not isinstance(told, Mapping):
        return common.contexts(schema)
    topics: Any = field(schema, 'topic').size if 'topic' in schema else 0
    vocab: Any = field(told, 'tokens').size
    module = Conversation(vocab, embed, hidden, topics)
    width, columns = hidden + TOPIC * bool(topics), ('context', 'topic')[:1 + bool(topics)]
    whole = {'tokens': jnp.zeros((1, 1, 2), jnp.int32), 'length': jnp.ones((1, 1), jnp.int32),
             'speaker': jnp.zeros((1, 1), jnp.int32), 'turns': jnp.ones(1, jnp.int32)}
    sample = {'context': whole, 'topic': jnp.zeros(1, jnp.int32)}

    def apply(params: Any, batch: Batch, key: Any = None) -> jax.Array:
        seen: Any = module.apply({'params': params}, batch)
        return seen

    return {**common.contexts(schema), 'context': lambda: Context(
        common.initializer(module, rule, sample), apply, width, columns)}
