"""Sentences that a model makes, from its prior and from codes, and measures of sentences."""
from typing import Any

import jax
import numpy as np
from scipy.special import entr, rel_entr

from vaebench.core import derive
from vaebench.metrics import sentence_pairs
from vaebench.metrics.draws import GENERATED, slots
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.sentence_pairs import SMOOTH

CHUNK = 100            # most sentences of one dispatch: part of what is drawn, hence no setting
DRAWN, DECODED = 2, 3  # tags of the key, after GENERATED
STEPS = 11             # points of an interpolation, both ends included


# Making sentences.

def _draw(evals, size, mode, params, carry, key, own, i):
    out = evals['sample'](params, carry, derive(key, GENERATED, DRAWN, i), size, mode)
    return out['tokens'], out['length']


def _say(evals, mode, params, carry, key, z, i):
    out = evals['decode'](params, carry, z, derive(key, GENERATED, DECODED, i), mode)
    return out['tokens'], out['length']


def drawn_chunk(view: Evaluator, mode: str, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws the i-th min(100, settings.generated) sentences from the prior; their codes are the
    same in every mode.

    Args:
      view: with the eval 'sample'.
      mode: 'greedy', 'sample' or 'beam'.
      i: int.

    Returns:
      (tokens [G, n, L], length [G, n]).
    """
    def make():
        draw = view.jit(_draw, min(CHUNK, view.settings.generated), mode)
        return jax.device_get(draw((), np.int32(i)))

    view.pause()
    return view.cached((mode, i), make)


def drawn(view: Evaluator, mode: str, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draws sentences from the prior, once per view and mode for all metrics.

    Args:
      view: with the eval 'sample'.
      mode: 'greedy', 'sample' or 'beam'.
      n: how many; None for `settings.generated`. The first ones are the same for every n.

    Returns:
      (tokens [G, n, L], length [G, n]).
    """
    n, size = n or view.settings.generated, min(CHUNK, view.settings.generated)
    parts = [drawn_chunk(view, mode, i) for i in range(-(-n // size))]
    tokens, length = (np.concatenate(x, 1)[:, :n] for x in zip(*parts, strict=True))
    return tokens, length


def decode(view: Evaluator, z: Any, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Decodes codes into sentences, in dispatches of 100.

    Args:
      view: with the eval 'decode'.
      z: leaves [G, M, ...].
      mode: 'greedy', 'sample' or 'beam'.

    Returns:
      (tokens [G, M, L], length [G, M]).
    """
    n, parts, say = jax.tree.leaves(z)[0].shape[1], [], view.jit(_say, mode)
    for i, idx in enumerate(slots(n, min(CHUNK, n))):
        view.pause()
        some = jax.tree.map(lambda x, at=idx: x[:, np.maximum(at, 0)], z)
        parts.append(jax.device_get(say(some, np.int32(i))))
    tokens, length = (np.concatenate(x, 1)[:, :n] for x in zip(*parts, strict=True))
    return tokens, length


def split_sentences(view: Evaluator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the split's tokens [N, L], as wide as its widest bucket, and lengths [N], in the
    split's order.
    """
    width = max(b['tokens'].shape[1] for b in view.buckets)
    tokens = [b['tokens'] for b in view.buckets]
    wide = [np.pad(t, ((0, 0), (0, width - t.shape[1]))) for t in tokens]
    return np.concatenate(wide)[view.order], view.field('length')


def lines(tokens: np.ndarray, length: np.ndarray) -> list[str]:
    """Writes sentences as strings of ids, without `<s>` and `</s>`.

    >>> lines(np.array([[1, 4, 2, 0], [1, 4, 5, 2]]), np.array([2, 3]))
    ['4', '4 5']
    """
    return [
        ' '.join(map(str, row[1:n].tolist())) for row, n in zip(tokens, length, strict=True)
    ]


# Measures of sentences.

def words_of(tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Puts all words of the sentences in a row, without `<s>` and `</s>`: int64 [M].

    Args:
      tokens: int [N, L], `<s>` w1..wn `</s>` and anything after.
      length: int [N] = n + 1.

    >>> words_of(np.array([[1, 4, 2, 0], [1, 4, 5, 2]]), np.array([2, 3])).tolist()
    [4, 4, 5]
    """
    place = np.arange(tokens.shape[1])
    mask = (place > 0) & (place < np.asarray(length)[:, None])
    return np.asarray(tokens)[mask].astype(np.int64)


def distinct(words: np.ndarray, n: int) -> int:
    """Counts the different n-grams in a row of words [M].

    >>> distinct(np.array([4, 5, 4, 5]), 2)
    2
    """
    ids, base = words, words.max(initial=0) + 1
    for _ in range(n - 1):
        pairs = ids[:-1] * base + words[len(words) - len(ids) + 1:]
        ids = np.unique(pairs, return_inverse=True)[1]
    return len(np.unique(ids))


def unigrams(words: np.ndarray, size: int) -> np.ndarray:
    """Computes the relative frequencies [size] of words [M]; not a number without words."""
    with np.errstate(invalid='ignore'):
        return np.bincount(words, minlength=size) / np.float64(len(words))


def entropy_of(p: np.ndarray) -> float:
    """Computes -sum p ln p, nats.

    >>> round(entropy_of(np.array([.5, .5, 0.])), 4)
    0.6931
    """
    return float(entr(p).sum())


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Computes sum p ln(p / q) over the words that q has, nats: below zero where p lies beside
    q.

    >>> divergence(np.array([.5, .5]), np.array([.5, .5]))
    0.0
    """
    return float(np.where(q > 0, rel_entr(p, q), 0.).sum())


def self_bleu_of(sentences: list[np.ndarray], order: int) -> np.ndarray:
    """Computes the BLEU of every sentence against all others, with weights 1/n and smoothing
    method 1 (0.1 in place of no match).

    Args:
      sentences: list of S > 1 int arrays of words.
      order: longest n-gram.

    Returns:
      [S] between 0 and 1; 0 where no word matches.

    References:
      Zhu et al., "Texygen: A Benchmarking Platform for Text Generation Models", 2018,
      arXiv:1802.01886.
      Chen and Cherry, "A Systematic Comparison of Smoothing Techniques for Sentence-Level
      BLEU", 2014 (method 1).

    >>> self_bleu_of([np.array([4, 5]), np.array([4, 5])], 2).tolist()
    [1.0, 1.0]
    """
    count = np.array([len(s) for s in sentences])
    row = np.repeat(np.arange(len(count)), count)
    words = np.concatenate(sentences).astype(np.int64)
    place = np.arange(len(words)) - np.repeat(count.cumsum() - count, count)
    base, ids = words.max(initial=0) + 1, np.zeros(len(words), np.int64)
    score, alone = np.zeros(len(count)), np.zeros(len(count), bool)
    for n in range(1, order + 1):
        # ids before that place are nobody's
        ids, at = np.roll(ids, 1) * base + words, place >= n - 1
        kinds, ids = (x.reshape(-1) for x in np.unique(ids, return_inverse=True))
        table = np.zeros((len(count), len(kinds)), np.int64)
        np.add.at(table, (row[at], ids[at]), 1)
        # of the others: the second where one's own is the first
        most = np.sort(table, 0)[-2:]
        matches = np.minimum(table, np.where(table == most[1], most[0], most[1])).sum(1)
        alone = matches == 0 if n == 1 else alone
        share = np.where(matches > 0, matches, SMOOTH) / np.maximum(table.sum(1), 1)
        score = score + np.log(share) / order
    gap = np.abs(count[:, None] - count) + np.where(np.eye(len(count), dtype=bool), np.inf, 0.)
    # of two that are as near, the shorter
    nearest = np.where(gap == gap.min(1, keepdims=True), count, np.iinfo(int).max).min(1)
    short = np.minimum(1 - nearest / np.maximum(count, 1), 0.)
    return np.where(alone, 0., np.exp(score + short))


def corpus_bleu(said: list[str], meant: list[str]) -> float:
    """Computes the corpus BLEU-4 of one reference each, x100, unsmoothed.

    Args:
      said, meant: lists of strings, words between spaces.

    Returns:
      float.

    References:
      Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002.
      Post, "A Call for Clarity in Reporting BLEU Scores", 2018 (sacrebleu; tokenize none).

    >>> round(corpus_bleu(['4 5 6 7'], ['4 5 6 7']), 6)
    100.0
    """
    return sentence_pairs.corpus_bleu(said, [meant], 'none')[0]


def lcs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes the length of the longest common subsequence.

    Args:
      a: int [P, La], -1 behind a sentence's end.
      b: int [P, Lb], likewise.

    Returns:
      int [P].

    >>> lcs(np.array([[4, 5, 6, -1]]), np.array([[5, 9, 6]])).tolist()
    [2]
    """
    row = np.zeros((len(b), b.shape[1] + 1), np.int32)
    for word in a.T:
        step = row[:, :-1] + ((word[:, None] == b) & (b >= 0))
        row[:, 1:] = np.maximum.accumulate(np.maximum(row[:, 1:], step), 1)
    return row[:, -1]


def rouge_l(said: np.ndarray, meant: np.ndarray) -> np.ndarray:
    """Computes Rouge-L F1 = 2 P R / (P + R) with P = LCS / |said|, R = LCS / |meant|.

    Args:
      said: int [P, La], -1 behind a sentence's end.
      meant: int [P, Lb], likewise.

    Returns:
      [P]; 1 for two empty sentences.

    References:
      Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.

    >>> rouge_l(np.array([[4, 5]]), np.array([[5, 6]])).tolist()
    [0.5]
    """
    total = (said >= 0).sum(1) + (meant >= 0).sum(1)
    return np.where(total > 0, 2 * lcs(said, meant) / np.maximum(total, 1), 1.)


def ended(tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Returns words [..., L - 1], which are -1 from `</s>` on."""
    inside = np.arange(1, tokens.shape[-1]) < np.asarray(length)[..., None]
    return np.where(inside, tokens[..., 1:], -1)


def pairs(length: np.ndarray, most: int) -> np.ndarray:
    """Pairs neighbors of one length, first and second of it, third and fourth, and so on; of
    these it takes a fixed choice of `most`.

    >>> pairs(np.array([3, 4, 3, 4, 3]), 9).tolist()
    [[0, 2], [1, 3]]
    """
    found = []
    for n in np.unique(length):
        rows = np.flatnonzero(length == n)
        found.append(rows[:len(rows) // 2 * 2].reshape(-1, 2))
    found = np.concatenate(found)
    return found[np.sort(np.random.default_rng(0).permutation(len(found))[:most])]


def between(a: Any, b: Any, steps: int = STEPS) -> Any:
    """Computes (1 - l) a + l b for l = 0, ..., 1: leaves [...] -> [steps, ...]; exchanging a
    and b reverses it to the bit.

    >>> between(np.zeros(1), np.ones(1), 3)[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    l = np.arange(steps, dtype=np.float32) / np.float32(steps - 1)
    weigh = lambda w, x: w.reshape(-1, *[1] * np.ndim(x)) * x
    return jax.tree.map(lambda a, b: weigh(l[::-1], a) + weigh(l, b), a, b)


def say_between(view: Evaluator, a: Any, b: Any,
                mode: str = 'greedy') -> tuple[np.ndarray, np.ndarray]:
    """Decodes sentences on the straight lines between codes.

    Args:
      view: with the eval 'decode'.
      a, b: leaves [G, P, ...].
      mode: 'greedy', 'sample' or 'beam'.

    Returns:
      (tokens [G, P, 11, L], length [G, P, 11]).
    """
    z = jax.tree.map(lambda x: np.moveaxis(x, 0, 2), between(a, b))
    g, p, s = jax.tree.leaves(z)[0].shape[:3]
    flat = jax.tree.map(lambda x: x.reshape(g, p * s, *x.shape[3:]), z)
    tokens, length = (x.reshape(g, p, s, *x.shape[2:]) for x in decode(view, flat, mode))
    return tokens, length


def split_lines(view: Evaluator, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decodes the lines between posterior means of neighbors of one length, once per view.

    Args:
      view: with the evals 'encode' and 'decode'.
      most: pairs at most.

    Returns:
      (pairs int [P, 2] of the split, tokens [G, P, 11, L], length [G, P, 11]).
    """
    def make():
        ends = pairs(view.field('length'), most)
        return ends, *say_between(view, view.codes[:, ends[:, 0]], view.codes[:, ends[:, 1]])

    return view.cached(('lines', most), make)
