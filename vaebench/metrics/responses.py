"""Responses to the contexts of the split, drawn once for all metrics, and what they are to be
compared with.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import derive
from vaebench.metrics.draws import FIRST, alone, first, fold_group
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.rewritten import references
from vaebench.metrics.sentences import ended, split_sentences

SAMPLES = 10           # responses to a context, as in the papers
RESPONDED = 40         # tag of the key
HIDDEN = 'tokens', 'length', 'label', 'reference'
"""What a context does not tell: the response and what was found out of it."""
TURNS = 3              # last turns of a context that are listed
CONTEXTS, SAID, RIGHT = 6, 3, 8
"""Contexts that are listed, responses to each, and valid ones beside them at most."""
THEY, SELF, REFERENCE = range(3)
"""Whose a listed sentence is."""


def _respond(evals, mode, params, carry, key, keys, batch):
    hidden = jax.tree.map(jnp.zeros_like, {k: batch[k] for k in HIDDEN if k in batch})
    told = {**batch, **hidden}

    def one(s):
        answer = lambda example, key: first(
            evals['respond'](params, carry, alone(example), derive(key, s), mode))
        out = jax.vmap(answer)(told, keys)
        return out['tokens'], out['length']

    # of all at once: what is read of a context alone is computed once
    return jax.vmap(one, out_axes=1)(jnp.arange(SAMPLES))


def responses(view: Evaluator, mode: str = 'sample') -> tuple[np.ndarray, np.ndarray]:
    """Draws N = 10 responses to every context of the split, once per view and mode.

    The eval sees a batch without the response: its columns, and what is known of it, are
    zeros.

    Args:
      view: with the eval 'respond' over data with contexts.
      mode: 'greedy', where only the code is drawn, 'sample' or 'beam'.

    Returns:
      (tokens [G, C, 10, L], length [G, C, 10]), in the split's order.
    """
    def make():
        respond, parts = view.jit(_respond, mode), []
        for batch, index, rows in view.batches():
            view.pause()
            keys = fold_group(view.keys, index, FIRST, RESPONDED)[:, 0]
            out = jax.device_get(respond(keys, batch))
            parts.append([x[:, :(rows >= 0).sum()] for x in out])
        wide = max(tokens.shape[-1] for tokens, _ in parts)
        tokens = [np.pad(t, [(0, 0)] * 3 + [(0, wide - t.shape[-1])]) for t, _ in parts]
        length = [n for _, n in parts]
        return tuple(np.concatenate(x, 1)[:, view.order] for x in (tokens, length))

    return view.cached(('responses', mode), make)


class Wanted(NamedTuple):
    """What responses are compared with."""
    words: np.ndarray         # int [C, R, L], -1 behind a sentence's end
    counted: np.ndarray       # bool [C, R]: not empty, and the first of those that are the same
    what: str                 # in words
    id: str


def _distinct(words):
    """Which of the sentences [C, R, L] have words and are the first of their kind."""
    same = (words[:, :, None] == words[:, None]).all(-1)
    return (words >= 0).any(-1) & ~np.tril(same, -1).any(-1)


def wanted(view: Evaluator) -> Wanted:
    """Finds the references of every context: the data's, or else the response that is there.

    Args:
      view: over dialogues.

    Returns:
      A `Wanted`; of references that are the same one counts.
    """
    def make():
        if 'reference' not in view.buckets[0]:
            words = ended(*split_sentences(view))[:, None]
            return Wanted(words, _distinct(words), 'the one response that is there', 'one')
        words = ended(*references(view))
        counted = _distinct(words)
        if view.data.truth.get('exact'):
            what = (f'all valid responses, {counted.sum(1).mean():.3g} to a context')
            return Wanted(words, counted, what, 'all-valid')
        return Wanted(words, counted, f'up to {words.shape[1]} references', 'references')

    return view.cached('wanted', make)


def _cut(x: np.ndarray, n: int) -> np.ndarray:
    """[K, n, ...] the first of x [K, M, ...]; zeros where there are fewer."""
    return np.pad(x[:, :n], [(0, 0), (0, max(n - x.shape[1], 0))] + [(0, 0)] * (x.ndim - 2))


def _column(view: Evaluator, read: Callable[[Any], Any]) -> np.ndarray:
    return np.concatenate([np.asarray(read(b)) for b in view.buckets])[view.order]


def listed(view: Evaluator) -> dict[str, np.ndarray]:
    """Makes responses to look at: the last turns of the first contexts, the valid responses,
    and what is answered.

    Nothing is listed of data whose valid responses are not all known: these are people's
    conversations, whose texts may be licensed, and a listing quotes them.

    Args:
      view: with the eval 'respond' over dialogues.

    Returns:
      'response' [G, K, 3, L] sampled; beside it 'response_of' [G, K, M, L'], empty rows among
      them, and 'response_who' [G, K, M], whose each is; {} of other data.
    """
    if not (view.data.truth.get('exact') and 'reference' in view.buckets[0]):
        return {}
    context, said = references(view, 'context')[0][:CONTEXTS], references(view)[0][:CONTEXTS]
    turns = _column(view, lambda b: b['context']['turns'])[:CONTEXTS]
    speaker = _column(view, lambda b: b['context']['speaker'])[:CONTEXTS]
    at = turns[:, None] - np.arange(TURNS, 0, -1)                    # the last of each
    there, rows = at >= 0, np.arange(len(at))[:, None]
    last = np.where(there[..., None], context[rows, np.maximum(at, 0)], 0)
    who = np.where(speaker[rows, np.maximum(at, 0)] > 0, SELF, THEY)
    right = _cut(np.where(wanted(view).counted[:CONTEXTS, :, None], said, 0), RIGHT)
    wide = max(last.shape[-1], right.shape[-1])
    of = np.concatenate([np.pad(x, ((0, 0), (0, 0), (0, wide - x.shape[-1])))
                         for x in (last, right)], 1)
    who = np.concatenate([who, np.full(right.shape[:2], REFERENCE)], 1)
    every = lambda x: np.repeat(x[None], view.seeds, 0)
    return {'response': responses(view)[0][:, :CONTEXTS, :SAID],
            'response_of': every(of), 'response_who': every(who)}
