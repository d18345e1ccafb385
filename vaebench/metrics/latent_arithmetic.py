"""Sums of codes as sentences: analogies s1 - s2 + s3, and the lines between two codes."""
from collections.abc import Callable
from typing import Any

import numpy as np

from vaebench.metrics import sentence_pairs, sentences
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.rewritten import references
from vaebench.metrics.sentences import STEPS, split_sentences
from vaebench.metrics.summary import average
from vaebench.metrics.text import PAIRS
from vaebench.metrics.types import NONNEGATIVE, PERCENT, SHARE, Estimator, Metric, Value
from vaebench.schema import field

SECOND, THIRD = 'second', 'third'


# Analogies.

def _encode(evals, column, params, carry, key, keys, batch):
    return evals['encode'](params, carry, {**batch, **batch[column]})


def analogies(view: Evaluator) -> tuple[np.ndarray, np.ndarray] | None:
    """Says E(s1) - E(s2) + E(s3) of every example, once per view: posterior means, greedy
    decoding.

    Args:
      view: with the evals 'encode' and 'decode', over sentences s1 with the nested columns
        'second' and 'third'.

    Returns:
      (tokens [G, N, L], length [G, N]); None where codes are no real numbers.
    """
    def make():
        second, third = (view.over_examples(_encode, k) for k in (SECOND, THIRD))
        z = view.codes - second + third
        return sentences.decode(view, z, 'greedy') if z.dtype.kind == 'f' else None

    return view.cached('analogies', make)


def _written(view, words):
    """The sentence as a person reads it."""
    names = field(view.schema, 'tokens').names
    return ' '.join(names[i] for i in words)


def _analogy(view, score, estimator):
    """`Value` of score(view, said, reference) of every example, the best over references."""
    said = analogies(view)
    if said is None:
        return None
    meant = [sentence_pairs.words(*r) for r in zip(*references(view), strict=True)]
    third = sentence_pairs.words(*references(view, THIRD))

    def scores(every):
        return [score(view, words, of) for words, of in zip(every, meant, strict=True)]

    value = [scores(sentence_pairs.words(*s)) for s in zip(*said, strict=True)]
    return average(value, Estimator(
        f'{estimator}, s1 - s2 + s3 of posterior means, greedy decoding; saying s3 has '
        f'{np.mean(scores(third)):.3g}', f'{estimator.id}:analogy:greedy'))


def analogy_exact(view: Evaluator) -> Value | None:
    """Measures the share of analogies whose sentence is the right one."""
    return _analogy(view, lambda view, said, of: 100. * (said in of),
                    Estimator('equal to the reference', 'exact'))


def analogy_f1(view: Evaluator) -> Value | None:
    """Measures the F1 of the words that the sentence of an analogy and the right one have in
    common.
    """
    return _analogy(view, lambda view, said, of: max(
        sentence_pairs.token_f1(said, r) for r in of),
        Estimator('F1 of words in common with the reference', 'token-f1'))


def analogy_edits(view: Evaluator) -> Value | None:
    """Measures the edit distance in characters from the sentence of an analogy to the right
    one.
    """
    def least(view, said, of):
        return min(sentence_pairs.edits(_written(view, said), _written(view, r)) for r in of)

    return _analogy(view, least, Estimator('edit distance of characters to the reference',
                                           'edits'))


# Lines.

def _of_lines(view, f, estimator):
    """`Value` of f(tokens [P, 11, L], length [P, 11], pairs [P, 2]) of every seed; None without
    two sentences of one length, or where codes are no real numbers.
    """
    if len(sentences.pairs(view.field('length'), PAIRS)) == 0 or view.codes.dtype.kind != 'f':
        return None
    ends, *said = sentences.split_lines(view, PAIRS)
    value = np.array([f(*s, ends) for s in zip(*said, strict=True)], np.float64)
    estimator = estimator.joined(Estimator(
        f'{STEPS} greedy decodings between posterior means of {len(ends)} pairs of one length',
        f'lines:greedy-{STEPS}'))
    return average(value, estimator) if value.ndim > 1 else Value(value, estimator, len(ends))


def _bleu(view, tokens, length, rows):
    """Corpus BLEU-4 of sentences [P, L] against those rows of the split."""
    meant = sentences.lines(*(x[rows] for x in split_sentences(view)))
    return sentence_pairs.corpus_bleu(sentences.lines(tokens, length), [meant])[0]


def line_ends(view: Evaluator) -> Value | None:
    """Measures corpus BLEU-4 of both ends of the lines against the sentences themselves,
    x100.
    """
    def score(tokens, length, ends):
        both = np.s_[:, [0, -1]]
        return _bleu(view, np.concatenate(np.moveaxis(tokens[both], 1, 0)),
                     np.concatenate(length[both].T), ends.T.reshape(-1))

    return _of_lines(view, score, Estimator('corpus BLEU-4 of both ends', 'bleu-4:ends'))


def line_fluency(view: Evaluator) -> Value | None:
    """Measures the mean log10 probability of the sentences along a line, `</s>` included, under
    a trigram model of the training split.
    """
    judge = view.judge('trigram')
    assert judge is not None, "'judge/trigram' stands in the metric's fields"

    def score(tokens, length, ends):
        nll = judge.sentence_nll(tokens.reshape(-1, tokens.shape[-1]), length.reshape(-1))
        return -nll.reshape(length.shape).mean(1) / np.log(10)

    return _of_lines(view, score, Estimator(
        f'log10 p of sentences, </s> included, under {judge.name} of the training split',
        Estimator.of(judge.name).id))


def line_distinct(view: Evaluator) -> Value | None:
    """Measures the share of different sentences among those of a line."""
    def score(tokens, length, ends):
        return [len(set(sentences.lines(*line))) / len(line[1])
                for line in zip(tokens, length, strict=True)]

    return _of_lines(view, score, Estimator('different sentences over all', 'distinct'))


def line_order(view: Evaluator) -> Value | None:
    """Measures whether the sentences along the lines approach the one end and leave the other:
    Spearman's correlation of t with the corpus BLEU-4 against an end, over all lines, mean of
    both ends. It is 0 where BLEU is the same all along.
    """
    def score(tokens, length, ends):
        both = [[_bleu(view, tokens[:, t], length[:, t], end) for t in range(STEPS)]
                for end in ends.T]
        return (_spearman(both[0][::-1]) + _spearman(both[1])) / 2

    return _of_lines(view, score, Estimator(
        "Spearman's correlation of t with corpus BLEU-4 against an end, mean of both ends",
        'spearman:bleu-4'))


def _spearman(values):
    """The correlation of values with their order, 0 of what is constant."""
    from scipy.stats import spearmanr

    if np.ptp(values) == 0:
        return 0.
    correlation: Any = spearmanr(np.arange(len(values)), values)
    return correlation.statistic


_NEEDS, _TEXT = (('encode', 'decode'),), ('tokens', 'length')
_ANALOGY = (*_TEXT, SECOND, THIRD, 'reference')


def _metric(compute: Callable[[Evaluator], Value | None], unit, better, bounds,
            fields=_TEXT) -> Metric:
    return Metric(compute, _NEEDS, unit, better, fields, bounds)


METRICS = {
    'analogy_exact': _metric(analogy_exact, '%', 'higher', PERCENT, _ANALOGY),
    'analogy_f1': _metric(analogy_f1, 'F1', 'higher', SHARE, _ANALOGY),
    'analogy_edits': _metric(analogy_edits, 'characters', 'lower', NONNEGATIVE, _ANALOGY),
    'line_ends': _metric(line_ends, 'BLEU x 100', 'higher', PERCENT),
    'line_fluency': _metric(line_fluency, 'log10 p/{item}', None, (None, 0.),
                            (*_TEXT, 'judge/trigram')),
    'line_distinct': _metric(line_distinct, 'share', None, SHARE),
    'line_order': _metric(line_order, 'Spearman', 'higher', (-1., 1.)),
}
