"""Counts of words: a Kneser-Ney n-gram model in numpy, the judge of fluency."""
import functools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.metrics import Estimator, Judge
from vaebench.schema import field

ORDER = 5
PAD, START, END = range(3)
FALLBACK = .5, 1., 1.5     # discounts where the counts of counts give none, as in KenLM


class KneserNey(NamedTuple):
    """Interpolated, modified Kneser-Ney: p_k(w|c) = share_k(c w) + back_k(c) p_{k-1}(w|c
    without its first word).

    An n-gram's id is its place among the sorted `keys` of its order: id of all but its last
    word times V plus the last word. The id of a single word is the word.
    """
    unigram: np.ndarray             # [V], 0 for <pad> and <s>
    keys: tuple[np.ndarray, ...]    # of order 2, 3, ...: int64 [n_k], increasing
    # [n_k] what is left of the n-gram's count, over its context's
    share: tuple[np.ndarray, ...]
    # [n_{k-1} + 1] weight of the lower order after each context; last: unknown ones, 1
    back: tuple[np.ndarray, ...]


def discounts(counts: np.ndarray) -> np.ndarray:
    """Computes Chen and Goodman's discounts of an order, from how many n-grams have count 1, 2,
    3 and 4.

    Args:
      counts: [n] adjusted counts.

    Returns:
      [3] discounts of counts 1, 2 and 3 or more, each between 0 and the count; `FALLBACK` where
      the formula has no such numbers.

    >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3])).round(3).tolist()
    [0.5, 1.25, 3.0]
    >>> discounts(np.array([7, 7])).tolist()
    [0.5, 1.0, 1.5]
    """
    n = [(counts == k).sum() for k in range(1, 5)]
    if not all(n[:3]):
        return np.array(FALLBACK)
    y = n[0] / (n[0] + 2 * n[1])
    d = np.array([k - (k + 1) * y * n[k] / n[k - 1] for k in (1, 2, 3)])
    return d if (d >= 0).all() else np.array(FALLBACK)


def _discounted(adjusted, context, size, given):
    """Shares of the n-grams [n], weights of the lower order after each of `size` contexts and
    after an unknown one.
    """
    d = discounts(adjusted) if given is None else np.asarray(given, float)
    off = np.concatenate([[0.], d])[np.minimum(adjusted, 3)]
    total, spare = (np.bincount(context, x, size) for x in (adjusted, off))
    back = np.ones(size + 1)
    np.divide(spare, total, out=back[:-1], where=total > 0)
    return (adjusted - off) / np.maximum(total[context], 1), back


def flat(tokens: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Puts all sentences in a row, `<s>` and `</s>` included, with each token's place in its
    sentence.

    Args:
      tokens: int [N, L], <s> w1..wn </s> and anything after.
      length: int [N] = n + 1.

    Returns:
      int64 [M] tokens, int64 [M] places.

    >>> [x.tolist() for x in flat(np.array([[1, 4, 2, 0], [1, 4, 5, 2]]), np.array([2, 3]))]
    [[1, 4, 2, 1, 4, 5, 2], [0, 1, 2, 0, 1, 2, 3]]
    """
    place = np.arange(tokens.shape[1])
    mask = place <= np.asarray(length)[:, None]
    return np.asarray(tokens)[mask].astype(np.int64), np.broadcast_to(place, mask.shape)[mask]


def fit(tokens: np.ndarray, length: np.ndarray, size: int, order: int = 5,
        given: Sequence[float] | None = None) -> KneserNey:
    """Counts a corpus.

    Sentences are independent: one `<s>` before each, `</s>` is an event. Below the highest
    order an n-gram counts the different words it follows; one that starts with `<s>` follows
    none and keeps its own count, as in KenLM. Words never seen share what the single words
    leave, uniformly over all ids but `<pad>` and `<s>`.

    Args:
      tokens: int [N, L], <s> w1..wn </s> and anything after.
      length: int [N] = n + 1.
      size: V, number of ids.
      order: longest n-gram.
      given: [3] discounts of every order; those of `discounts` if None.

    Returns:
      A `KneserNey`.

    References:
      Kneser and Ney, "Improved backing-off for M-gram language modeling", 1995.
      Chen and Goodman, "An empirical study of smoothing techniques for language modeling",
      1999.

    >>> model = fit(np.array([[1, 3, 2]]), np.array([2]), 5, 2)
    >>> model.unigram.tolist()
    [0.0, 0.0, 0.41666666666666663, 0.41666666666666663, 0.16666666666666666]
    """
    token, place = flat(tokens, length)
    ids, below = token, size
    raw, begins = np.bincount(token[place > 0], minlength=size), np.zeros(size, bool)
    adjusted, keys, context = [], [], []
    for k in range(1, order):                        # grams of k + 1 words, which end at `at`
        at = np.flatnonzero(place >= k)
        key, ids_at, count = np.unique(ids[at - 1] * size + token[at], return_inverse=True,
                                       return_counts=True)
        suffix, first = np.zeros(len(key), np.int64), np.zeros(len(key), bool)
        suffix[ids_at], first[ids_at] = ids[at], place[at] == k
        adjusted.append(np.where(begins, raw, np.bincount(suffix, minlength=below)))
        keys.append(key)
        context.append(key // size)
        ids = np.full(len(token), -1)
        ids[at] = ids_at
        below, raw, begins = len(key), count, first
    adjusted.append(raw)

    share, spare = _discounted(adjusted[0], np.zeros(size, int), 1, given)
    unigram = share + spare[0] / (size - 2)
    unigram[[PAD, START]] = 0
    sizes = [size, *map(len, keys)]
    higher = [
        _discounted(*parts, given)
        for parts in zip(adjusted[1:], context, sizes[:-1], strict=True)
    ]
    return KneserNey(unigram, tuple(keys), *(tuple(h[i] for h in higher) for i in range(2)))


def log_prob(model: KneserNey, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Computes ln p of every token of sentences after those before it.

    Args:
      model: a `KneserNey`.
      tokens: int [N, L], <s> w1..wn </s> and anything after.
      length: int [N] = n + 1.

    Returns:
      float64 [N, L - 1], of tokens 1, 2, ...; 0 after `</s>`. Its sum is ln p(sentences).

    >>> model = fit(np.array([[1, 3, 2]]), np.array([2]), 5, 1)
    >>> np.exp(log_prob(model, np.array([[1, 4, 2]]), np.array([2]))).round(4).tolist()
    [[0.1667, 0.4167]]
    """
    token, place = flat(tokens, length)
    size, ids, p = len(model.unigram), token, model.unigram[token]
    for key, share, back in zip(model.keys, model.share, model.back, strict=True):
        before = np.where(place > 0, np.roll(ids, 1), -1)
        wanted = before * size + token
        near = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        found = (before >= 0) & (key[near] == wanted) if len(key) else np.zeros(
            len(token), bool)
        p = back[before] * p                         # -1, an unknown context, is the last
        p[found] += share[near[found]]
        ids = np.where(found, near, -1)
    out = np.zeros(tokens.shape)
    with np.errstate(divide='ignore'):
        out[np.arange(tokens.shape[1]) <= np.asarray(length)[:, None]] = np.where(
            place > 0, np.log(p), 0.)
    return out[:, 1:]


def word_nll(model: KneserNey, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Computes -ln p [N] of the sentences' words after those before them, `</s>` left out; the
    arguments are those of `log_prob`.
    """
    log_p = log_prob(model, tokens, length)
    return -np.where(np.arange(1, log_p.shape[1] + 1) < np.asarray(length)[:, None], log_p,
                     0.).sum(-1)


def sentence_nll(model: KneserNey, tokens: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Computes -ln p [N] of the sentences, `</s>` included; the arguments are those of
    `log_prob`.
    """
    return -log_prob(model, tokens, length).sum(-1)


def judge(data: Any, folder: pathlib.Path | None = None, order: int = ORDER,
          **run: Any) -> Judge:
    """Counts the n-gram model of the training split.

    Args:
      data: a `datasets.Dataset` with sentences.
      folder, **run: not needed: it is counted in a second.
      order: longest n-gram.

    Returns:
      A `metrics.Judge` with `word_nll(tokens, length)`, `sentence_nll(tokens, length)` and
      `fit(tokens, length)`, the same judge of other sentences.
    """
    size, train = field(data.schema, 'tokens').size or 0, data.splits['train']

    def of(tokens, length):
        model = fit(tokens, length, size, order)
        name = Estimator(f'a Kneser-Ney {order}-gram model', f'kneser-ney-{order}')
        return Judge(name, functions={
            'word_nll': functools.partial(word_nll, model),
            'sentence_nll': functools.partial(sentence_nll, model), 'fit': of})

    return of(train['tokens'], train['length'])
