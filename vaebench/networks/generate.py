"""Sentences from any decoder that can take one step: greedy, sampled, or the best of a beam."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.errors import UserError
from vaebench.ops import sampling

PAD, START, END, UNKNOWN = range(4)
MODES = 'greedy', 'sample', 'beam'


def _rule(mode: str, key: Any, width: int) -> Callable[..., tuple[jax.Array, ...]]:
    """How a mode goes on.

    Returns:
      (scores [n, W], done [n, W], logits [n, W, V], legal [V], t) -> (scores, rows, tokens),
      each [n, W].
    """
    def single(pick):
        def choose(scores, done, logits, legal, t):
            token = pick(jnp.where(legal, logits, -jnp.inf), t)
            return scores, jnp.zeros_like(token), jnp.where(done, PAD, token)

        return choose

    def beam(scores, done, logits, legal, t):
        vocab = logits.shape[-1]
        # a finished sentence stays as it is
        kept = jnp.where(jnp.arange(vocab) == PAD, 0., -jnp.inf)
        value = jnp.where(done[..., None], kept,
                          jnp.where(legal, jax.nn.log_softmax(logits), -jnp.inf))
        scores, best = jax.lax.top_k((scores[..., None] + value).reshape(len(scores), -1),
                                     width)
        return scores, best // vocab, best % vocab

    def draw(logits, t):
        return jax.random.categorical(jax.random.fold_in(key, t), logits)

    rules = {'greedy': single(lambda logits, t: jnp.argmax(logits, -1)), 'sample': single(draw),
             'beam': beam}
    return rules[mode]


def sentences(begin: Callable[[Any], tuple[Any, Any]],
              step: Callable[..., tuple[Any, jax.Array]], z: Any, words: int,
              key: jax.Array | None = None, mode: str = 'greedy',
              width: int = 5) -> dict[str, jax.Array]:
    """Generates sentences of at most `words` words, closed by `</s>`.

    `<pad>` and `<s>` are never among the words.

    The loop ends when no open sentence can become the best. A beam's scores are log p(sentence
    | z), without a length penalty; a forced `</s>` counts with its probability.

    Args:
      begin: z with leaves [n, ...] -> (state, const); leaves of state are [n, ...], const
        belongs to z alone.
      step: (const, state, token [n], t) -> (state, logits [n, V]).
      z: pytree with leaves [n, ...].
      words: most words of a sentence.
      key: [] for 'sample'.
      mode: 'greedy', 'sample' or 'beam'.
      width: W, sentences that a beam keeps.

    Returns:
      {'tokens': [n, words + 2], 'length': [n], the index of `</s>`}.

    Raises:
      UserError: there is no such mode.

    >>> always = jnp.array([0., 0., 1., 3.])
    >>> step = lambda const, state, token, t: (state, always + 0 * state)
    >>> out = sentences(lambda z: (z, None), step, jnp.zeros((1, 1)), 2)
    >>> out['tokens'].tolist(), out['length'].tolist()
    ([[1, 3, 3, 2]], [3])
    """
    if mode not in MODES:
        raise UserError(
            f'mode={mode!r} is unknown for sentences: choose one of {", ".join(MODES)}')
    n, width = len(jax.tree.leaves(z)[0]), width if mode == 'beam' else 1
    state, const = begin(jax.tree.map(lambda x: jnp.repeat(x, width, 0), z))
    choose, group = _rule(mode, key, width), lambda x: x.reshape(n, width, *x.shape[1:])

    def going(s):
        t, scores, done = s[:3]
        closed, opened = (jnp.where(group(d), scores, -jnp.inf).max(1) for d in (done, ~done))
        return (t <= words) & (opened > closed).any()

    def body(s):
        t, scores, done, tokens, state = s
        state, logits = step(const, state, tokens[:, t], t)
        ids = jnp.arange(logits.shape[-1])
        legal = (ids != PAD) & (ids != START) & ((t < words) | (ids == END))
        scores, rows, token = choose(scores, group(done), group(logits), legal, t)
        if width > 1:
            rows = (rows + width * jnp.arange(n)[:, None]).reshape(-1)
            done, tokens, state = jax.tree.map(lambda x: x[rows], (done, tokens, state))
        token = token.reshape(-1).astype(jnp.int32)
        return t + 1, scores, done | (token == END), tokens.at[:, t + 1].set(token), state

    tokens = jnp.zeros((n * width, words + 2), jnp.int32).at[:, 0].set(START)
    scores = jnp.broadcast_to(jnp.where(jnp.arange(width) == 0, 0., -jnp.inf), (n, width))
    _, scores, done, tokens, _ = jax.lax.while_loop(
        going, body, (jnp.int32(0), scores, jnp.zeros(n * width, bool), tokens, state))
    best = jnp.argmax(jnp.where(group(done), scores, -jnp.inf), 1)
    tokens = group(tokens)[jnp.arange(n), best]
    return {'tokens': tokens, 'length': (tokens != PAD).sum(1) - 1}


def soft_sentences(begin: Callable[[Any], tuple[Any, Any]],
                   read: Callable[..., tuple[Any, jax.Array, jax.Array]], table: jax.Array,
                   z: Any, steps: int, key: jax.Array,
                   temperature: Any) -> tuple[jax.Array, jax.Array]:
    """Lets a decoder read its own words, each the mean embedding under a Gumbel softmax.

    Gradients pass through the words. Nothing ends a sentence: all are of `steps` words.

    Args:
      begin: z with leaves [n, ...] -> (state, const).
      read: (const, state, x [n, E], t) -> (state, output [n, H], logits [n, V]).
      table: [V, E] embeddings of the words.
      z: pytree with leaves [n, ...].
      steps: T.
      key: [].
      temperature: [] above 0; near 0 every word is the likeliest after noise.

    Returns:
      Outputs [n, T, H] and logits [n, T, V].
    """
    state, const = begin(z)
    x = jnp.broadcast_to(table[START], (len(jax.tree.leaves(z)[0]), table.shape[1]))

    def go(carry, t):
        state, h, logits = read(const, *carry, t)
        words = sampling.gumbel_softmax(jax.random.fold_in(key, t), logits, temperature)
        return (state, words @ table), (h, logits)

    _, (h, logits) = jax.lax.scan(go, (state, x), jnp.arange(steps))
    return h.swapaxes(0, 1), logits.swapaxes(0, 1)
