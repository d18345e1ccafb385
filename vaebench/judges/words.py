"""Vectors of words, counted from the training text: the judge of content."""
import pathlib
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from vaebench.judges.language import flat
from vaebench.metrics import Estimator, Judge
from vaebench.schema import field

WINDOW = 5             # words to either side
LEAST = 5              # times that a word must occur
SMOOTH = .75           # power of the counts of contexts
DIMENSIONS = 100       # at most


def neighbors(tokens: np.ndarray, length: np.ndarray, size: int) -> sparse.csr_matrix:
    """Counts how often two words stand at most 5 places apart in a sentence.

    Args:
      tokens: int [N, L], `<s>` w1..wn `</s>` and anything after.
      length: int [N] = n + 1.
      size: V, number of ids.

    Returns:
      Sparse [V, V], symmetric. `<s>`, `</s>` and words that occur fewer than 5 times have no
      counts, but take up their places.

    >>> text = np.array([[1, 3, 4, 2]] * 5)
    >>> neighbors(text, np.full(5, 3), 5).toarray()[3:, 3:].tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    token, place = flat(tokens, length)
    last = np.append(place[1:] == 0, True)
    words = (place > 0) & ~last
    often = np.bincount(token[words], minlength=size) >= LEAST
    kept = words & often[token]
    total = sparse.csr_matrix((size, size))
    for gap in range(1, WINDOW + 1):
        # in one sentence: places grow by the gap
        near = kept[:-gap] & kept[gap:] & (place[gap:] == place[:-gap] + gap)
        pair = token[:-gap][near], token[gap:][near]
        total = total + sparse.csr_matrix((np.ones(len(pair[0])), pair), (size, size))
    return (total + total.T).tocsr()


def information(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Computes the positive pointwise mutual information of words and contexts, whose counts
    are raised to .75.

    Args:
      counts: sparse [V, V].

    Returns:
      Sparse [V, V], nats: max(0, ln p(w, c) / (p(w) p'(c))).

    >>> even = sparse.csr_matrix(np.ones((3, 3)))
    >>> information(even).nnz
    0
    """
    of_word, context = (np.asarray(counts.sum(axis), float).ravel() for axis in (1, 0))
    pairs = counts.tocoo()
    smoothed = context**SMOOTH / max((context**SMOOTH).sum(), 1.)
    value = np.log(pairs.data / (of_word[pairs.row] * smoothed[pairs.col]))
    more = value > 0
    return sparse.csr_matrix((value[more], (pairs.row[more], pairs.col[more])), counts.shape)


def vectors(tokens: np.ndarray, length: np.ndarray, size: int) -> np.ndarray:
    """Makes a vector of every word: rows of U sqrt(S) of the truncated singular value
    decomposition of `information`.

    Args:
      tokens, length, size: as for `neighbors`.

    Returns:
      float64 [V, D], D = 100 or one less than the words that have neighbors; zeros for words
      without. The largest entry of every column of U is positive, so that the signs are those
      of the data.

    References:
      Levy et al., "Improving Distributional Similarity with Lessons Learned from Word
      Embeddings", 2015 (context smoothing, rows of U sqrt(S)).
    """
    matrix = information(neighbors(tokens, length, size))
    rows, columns = (np.flatnonzero(matrix.getnnz(axis)) for axis in (1, 0))
    k = min(DIMENSIONS, len(rows) - 1, len(columns) - 1)
    if k < 1:
        return np.zeros((size, 1))
    small = matrix[rows][:, columns]
    u: Any
    u, s, _ = svds(small, k, v0=np.ones(min(small.shape)))
    order = np.argsort(-s, kind='stable')
    u, s = u[:, order], np.maximum(s[order], 0.)
    sign = np.sign(np.take_along_axis(u, np.abs(u).argmax(0)[None], 0))
    out = np.zeros((size, k))
    out[rows] = sign * u * np.sqrt(s)
    return out


def judge(data: Any, folder: pathlib.Path | None = None, **run: Any) -> Judge:
    """Counts word vectors of the training split.

    Args:
      data: a `datasets.Dataset` with sentences.
      folder, **run: not needed: they are counted in seconds.

    Returns:
      A `metrics.Judge` with `vectors`: () -> [V, D]; words without a vector have zeros.
    """
    size, train = field(data.schema, 'tokens').size or 0, data.splits['train']
    found = vectors(train['tokens'], train['length'], size)
    k = found.shape[1]
    name = Estimator(f'{k}-dimensional word vectors of the training split (positive pointwise '
                     f'mutual information, window {WINDOW})', f'ppmi-{k}')
    return Judge(name, functions={'vectors': lambda: found})
