"""Measures of two sentences beside each other: what a rewriting keeps, deletes and adds."""
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

Words = Sequence[int] | Sequence[str]
"""A sentence, without `<s>` and `</s>`."""
LONGEST = 4            # n-grams of BLEU and SARI
SMOOTH = .1            # what method 1 of Chen and Cherry puts in place of no match


def words(tokens: np.ndarray, length: np.ndarray) -> list[list[int]]:
    """Writes sentences as lists of ids, without `<s>` and `</s>`.

    >>> words(np.array([[1, 4, 2, 0], [1, 4, 5, 2]]), np.array([2, 3]))
    [[4], [4, 5]]
    """
    return [row[1:n].tolist() for row, n in zip(tokens, length, strict=True)]


def corpus_bleu(said: Sequence[str], references: Sequence[Sequence[str]],
                smooth: str = 'exp') -> tuple[float, str]:
    """Computes the corpus BLEU-4, x100, words between spaces.

    Args:
      said: N strings.
      references: R lists of N strings.
      smooth: sacreBLEU's name of what it does where no n-gram matches: 'none', 'exp' or
        'floor', which is method 1 of Chen and Cherry.

    Returns:
      (the score, sacreBLEU's signature).

    References:
      Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002.
      Post, "A Call for Clarity in Reporting BLEU Scores", 2018 (sacreBLEU).

    >>> round(corpus_bleu(['4 5 6 7'], [['4 5 6 7']])[0], 6)
    100.0
    """
    from sacrebleu.metrics.bleu import BLEU  # here: its import is not every command's cost

    bleu = BLEU(tokenize='none', smooth_method=smooth, force=True)
    score = bleu.corpus_score(list(said), [list(r) for r in references]).score
    return score, bleu.get_signature().format()


def _narrowed(same):
    """Whether n + 1 words from there are the same, where same[..., i, j] is whether n are."""
    return same[..., 1:, 1:] & same[..., :-1, :-1]


def sentence_bleu(said: np.ndarray, meant: np.ndarray, longest: int = LONGEST) -> np.ndarray:
    """Computes BLEU-1, ..., BLEU-n of every sentence against every reference alone.

    BLEU-n is the geometric mean of the precisions of 1-grams, ..., n-grams, as far as the
    sentence has such, so that a sentence of two words that is the reference has 1, times
    exp(1 - words of the reference / its own) where it is the shorter. In place of no match
    stands 0.1, method 1 of Chen and Cherry; without a common word it is 0.

    Args:
      said: int [..., N, L] words, -1 behind a sentence's end.
      meant: int [..., R, L'] words, -1 behind a sentence's end.
      longest: n.

    Returns:
      float64 [n, ..., N, R], between 0 and 1.

    References:
      Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002.
      Chen and Cherry, "A Systematic Comparison of Smoothing Techniques for Sentence-Level
      BLEU", 2014 (method 1).

    >>> sentence_bleu(np.array([[4, 5], [5, -1]]), np.array([[4, 5]]), 2)[:, :, 0].round(3)
    array([[1.   , 0.368],
           [1.   , 0.368]])
    """
    there = said >= 0
    own, their = there.sum(-1)[..., :, None], (meant >= 0).sum(-1)[..., None, :]
    same = (said[..., :, None, :, None] == meant[..., None, :, None, :]) & (
        there[..., :, None, :, None])
    again = (said[..., :, None] == said[..., None, :]) & there[..., None]
    total, out, none = 0., [], np.zeros(())
    for n in range(1, longest + 1):
        # the k-th of equal n-grams matches where the reference has k of them
        earlier = np.tril(again, -1).sum(-1)[..., :, None, :]
        matches = (earlier < same.sum(-1)).sum(-1)
        none = matches == 0 if n == 1 else none
        grams = own - n + 1
        share = np.where(matches > 0, matches, SMOOTH) / np.maximum(grams, 1)
        total = total + np.where(grams > 0, np.log(share), 0.)
        short = np.minimum(1 - their / np.maximum(own, 1), 0.)
        score = np.exp(total / np.maximum(np.minimum(n, own), 1) + short)
        out.append(np.where(none, 0., score))
        same, again = _narrowed(same), _narrowed(again)
    return np.stack(out)


def precision_and_recall(likeness: np.ndarray,
                         counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean over sentences of the best likeness to a reference, and the mean over
    references of the best likeness of a sentence.

    With one reference they are mean and largest likeness.

    Args:
      likeness: [..., N, R] of N sentences to R references.
      counted: bool [..., R], which references there are.

    Returns:
      (precision, recall), each [...]; not a number where no reference counts.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.

    >>> x = np.array([[1., 0.], [.5, 0.]])
    >>> [float(v) for v in precision_and_recall(x, np.array([True, True]))]
    [0.75, 0.5]
    """
    known, best = counted.any(-1), likeness.max(-2)
    closest = np.where(counted[..., None, :], likeness, -np.inf).max(-1)
    precision = np.where(known, closest.mean(-1), np.nan)
    recall = np.where(counted, best, 0.).sum(-1) / np.where(known, counted.sum(-1), np.nan)
    return precision, recall


# SARI.

class Sari(NamedTuple):
    """SARI of a sentence and its three parts, x100."""
    keep: float
    delete: float
    add: float
    score: float


def _grams(words, n):
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _f1(precision, recall):
    return 2 * precision * recall / max(precision + recall, 1e-12)


def _operations(source, said, wanted, hugging_face):
    """F1 of keeping, precision of deleting and F1 of adding n-grams; the first two arguments
    are counted as often as there are references.
    """
    def ratio(part, whole):
        return part / whole if whole else float(hugging_face)

    def shares(good, of):
        return sum(good[gram] / of[gram] for gram in good)

    kept, due = source & said, source & wanted
    right = kept & wanted
    recall = (ratio(right.total(), due.total()) if hugging_face
              else ratio(shares(right, due), len(due)))
    gone = source - said
    new, missing = set(said) - set(source), set(wanted) - set(source)
    good = len(new & missing)
    return (_f1(ratio(shares(right, kept), len(kept)), recall),
            ratio(shares(gone - wanted, gone), len(gone)),
            _f1(ratio(good, len(new)), ratio(good, len(missing))))


def sari(source: Words, said: Words, references: Sequence[Words],
         hugging_face: bool = False) -> Sari:
    """Computes SARI, of the words that a simplification keeps, deletes and adds.

    Args:
      source: the sentence.
      said: what it became.
      references: R sentences that it may become.
      hugging_face: whether 0/0 is 1 and the recall of keeping is over all n-grams at once, as
        in the `evaluate` package; else 0/0 is 0 and the recall is a mean over kinds of
        n-grams, as in the authors' script.

    References:
      Xu et al., "Optimizing Statistical Machine Translation for Text Simplification", 2016.

    >>> sari('a b'.split(), 'a c'.split(), ['a c'.split()]).add
    50.0
    """
    many = len(references)
    parts = []
    for n in range(1, LONGEST + 1):
        own, new = ({gram: many * k for gram, k in _grams(x, n).items()}
                    for x in (source, said))
        wanted = sum((_grams(r, n) for r in references), Counter())
        parts.append(_operations(Counter(own), Counter(new), wanted, hugging_face))
    keep, delete, add = 100 * np.mean(parts, 0)
    return Sari(float(keep), float(delete), float(add), float((keep + delete + add) / 3))


# Words in common.

def overlap(a: Words, b: Words, ignored: Collection[int | str] = ()) -> float:
    """Computes the words in common over all words of either, as sets; nan where there are none.

    Args:
      a, b: sentences.
      ignored: words that do not count.

    References:
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339 (word overlap).

    >>> overlap([4, 5, 6], [5, 7], {4})
    0.3333333333333333
    """
    left, right = set(a) - set(ignored), set(b) - set(ignored)
    either = left | right
    return len(left & right) / len(either) if either else np.nan


def token_f1(said: Words, reference: Words) -> float:
    """Computes the F1 of the words in common, counted as often as they stand there; 1 for two
    empty sentences.

    >>> token_f1([4, 5, 5], [5, 4, 6])
    0.6666666666666666
    """
    common = (Counter(said) & Counter(reference)).total()
    total = len(said) + len(reference)
    return 2 * common / total if total else 1.


def edits(a: str, b: str) -> int:
    """Counts the least insertions, deletions and substitutions of characters that make b of a.

    References:
      Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals",
      1966.

    >>> edits('kitten', 'sitting')
    3
    """
    letters, place = np.array(list(b), 'U1'), np.arange(len(b) + 1)
    row = place
    for i, letter in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (letters != letter))
        # insertions one after another: the least of best[k] + (j - k)
        row = np.minimum.accumulate(np.append(i, best) - place) + place
    return int(row[-1])


# Word vectors.

def content(sentences: Iterable[Sequence[int]], vectors: np.ndarray,
            ignored: Collection[int] = ()) -> np.ndarray:
    """Sums up the different words of every sentence by the least, the greatest and the mean of
    each entry of their vectors.

    Args:
      sentences: N lists of ids.
      vectors: [V, D]; words whose vector is zero have none.
      ignored: ids that do not count.

    Returns:
      [N, 3 D]; nan for a sentence without words that count.

    References:
      Fu et al., "Style Transfer in Text: Exploration and Evaluation", 2018, arXiv:1711.06861.
    """
    known = (vectors != 0).any(axis=1)
    known[np.asarray(sorted(ignored), int)] = False
    out = []
    for sentence in sentences:
        ids = np.unique(np.asarray(sentence, int))
        x = vectors[ids[known[ids]]]
        out.append(np.concatenate([x.min(0), x.max(0), x.mean(0)]) if len(x)
                   else np.full(3 * vectors.shape[1], np.nan))
    return np.stack(out)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes the cosines [N] of rows [N, D].

    >>> cosine(np.array([[1., 0.]]), np.array([[3., 4.]])).tolist()
    [0.6]
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def bags(sentences: Iterable[Sequence[int]],
         vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums up the words of every sentence, as often as they stand there, by the mean of their
    vectors and by the extremes: of each entry the value of largest magnitude, with its sign;
    of two as large the positive one.

    Args:
      sentences: N lists of ids.
      vectors: [V, D]; words whose vector is zero have none.

    Returns:
      (means, extremes), each [N, D]; nan for a sentence without words that have vectors.

    References:
      Forgues et al., "Bootstrapping Dialog Systems with Word Embeddings", 2014 (extremes).

    >>> means, extremes = bags([[0, 1]], np.array([[1., -4.], [2., 3.]]))
    >>> means.tolist(), extremes.tolist()
    ([[1.5, -0.5]], [[2.0, -4.0]])
    """
    known = (vectors != 0).any(axis=1)
    means, extremes = [], []
    for sentence in sentences:
        ids = np.asarray(sentence, int)
        x = vectors[ids[known[ids]]]
        if len(x):
            least, most = x.min(0), x.max(0)
            means.append(x.mean(0))
            extremes.append(np.where(most >= -least, most, least))
        else:
            for out in (means, extremes):
                out.append(np.full(vectors.shape[1], np.nan))
    return np.stack(means), np.stack(extremes)
