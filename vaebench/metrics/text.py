"""Sentences made by a model: diversity, likeness to the training text, fluency, reconstruction,
interpolation.
"""
import functools

import numpy as np

from vaebench.metrics import sentences
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.sentences import STEPS, drawn, split_sentences
from vaebench.metrics.summary import average, deviation, warnings
from vaebench.metrics.types import (
    AT_LEAST_ONE,
    NONNEGATIVE,
    PERCENT,
    SHARE,
    Estimator,
    Metric,
    Value,
)

AMONG = 200            # most sentences of a self-BLEU
PAIRS = 100            # most pairs of sentences that are interpolated

_MADE = {
    'greedy': ('greedy decodings of {} prior draws', 'greedy-{}'),
    'sample': ('{} sentences sampled from the prior', 'sampled-{}'),
    'beam': ('beam-search decodings of {} prior draws', 'beam-{}'),
}
"""How n sentences were made in a mode, and the id of that."""


def _made(mode, n):
    return Estimator(*(part.format(n) for part in _MADE[mode]))


def _of_words(view, mode, n, f, text, name, note=None):
    """`Value` of f(words of n sentences); the text has a place for how these were made."""
    words = (sentences.words_of(*s) for s in zip(*drawn(view, mode, n), strict=True))
    value, said = np.array([f(w) for w in words], np.float64), _made(mode, n)
    return Value(value, Estimator(text.format(said), f'{name}:{said.id}'), n,
                 warning=warnings(value[:, None]), note=note)


def _of_training_text(view, f, n):
    """Says what f gives for the words of n training sentences, drawn with replacement."""
    count = len(view.train['length'])
    rows = np.random.default_rng(0).integers(0, count, n)
    words = sentences.words_of(view.train['tokens'][rows], view.train['length'][rows])
    return f'{n} sentences drawn from the training text itself have {f(words):.3g}'


def dis(view: Evaluator, n: int, mode: str = 'sample') -> Value:
    """Counts distinct n-grams.

    Differs from the source's 10 samples per test context: from the prior; the number grows with
    the sentences.

    References:
      Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models",
      2016, arXiv:1510.03055.
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.
    """
    return _of_words(
        view, mode, view.settings.generated, lambda words: sentences.distinct(words, n),
        f'number of distinct {n}-grams of words in {{}}, in a row across their borders',
        f'distinct-{n}')


def self_bleu(view: Evaluator, order: int, mode: str = 'sample') -> Value | None:
    """Measures the mean BLEU of generated sentences against the others; lower is more diverse.
    None where there are no others.

    The number grows with the sentences: here they are at most 200. ControlVAE's code takes
    1,000, and leaves unknown words out of those that are compared with.
    """
    tokens, length = (x[:, :AMONG] for x in drawn(view, mode))
    n = length.shape[1]
    if n < 2:
        return None
    value = np.array([
        sentences.self_bleu_of([row[1:k] for row, k in zip(*s, strict=True)], order).mean()
        for s in zip(tokens, length, strict=True)])
    said = _made(mode, n)
    return Value(value, Estimator(
        f'BLEU-{order} against all others of {said}, smoothing method 1',
        f'self-bleu-{order}:{said.id}'), n)


def uni_kl(view: Evaluator, mode: str = 'greedy') -> Value:
    """Measures the KL of the generated unigram law from that of the training text, nats; words
    absent from the latter are skipped.

    Of N tokens and K words that occur it lies about (K - 1) / 2N too high, hence so many
    sentences, `settings.unigrams`; the note says what the training text itself would have.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence
      Generation", 2019, arXiv:1806.08462.
    """
    real = sentences.words_of(view.train['tokens'], view.train['length'])

    def gap(words):
        size = max(real.max(initial=0), words.max(initial=0)) + 1
        p, q = (sentences.unigrams(w, size) for w in (words, real))
        return sentences.divergence(p, q)

    n = view.settings.unigrams
    return _of_words(view, mode, n, gap, '{}, </s> excluded; words absent from train skipped',
                     'unigrams-kl', _of_training_text(view, gap, n))


def entropy(view: Evaluator, mode: str = 'greedy') -> Value:
    """Measures the entropy of the generated unigram law, nats: too low by what `uni_kl` is too
    high.
    """
    def spread(words):
        return sentences.entropy_of(sentences.unigrams(words, 1))

    n = view.settings.unigrams
    note = _of_training_text(view, spread, n) if view.train else None
    return _of_words(view, mode, n, spread, 'unigrams of {}, </s> excluded', 'unigrams', note)


def avg_len(view: Evaluator, mode: str = 'greedy') -> Value:
    """Measures the mean number of words of a generated sentence."""
    length = drawn(view, mode)[1]
    said = _made(mode, length.shape[1])
    return average(length - 1, Estimator(f'words without </s>, {said}', f'words:{said.id}'))


def _judge(view):
    judge = view.judge('language')
    assert judge is not None, "'judge/language' stands in the metric's fields"
    return judge


def _per_word(nll, words, estimator):
    """`Value` of exp(sum nll / sum words), both [G, N]; standard error over sentences by the
    delta method.
    """
    n, total = nll.shape[-1], words.sum(-1)
    with np.errstate(invalid='ignore', divide='ignore'):
        rate = nll.sum(-1) / total
        ppl = np.exp(rate)
        stderr = None
        if n > 1:
            stderr = ppl * deviation(nll - rate[:, None] * words) * np.sqrt(n) / total
    return Value(ppl, Estimator(f'exp(-sum ln p / words), </s> excluded: {estimator}',
                                estimator.id), n, None, stderr, warnings(ppl[:, None]))


def fluency(view: Evaluator, mode: str = 'greedy') -> Value:
    """Measures the perplexity of generated sentences under an n-gram model of the training
    split.

    The papers do not say which external model; a low value is also what a few stock sentences
    get.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527 (forward PPL).
    """
    judge, said = _judge(view), drawn(view, mode)
    nll = np.stack([judge.word_nll(*s) for s in zip(*said, strict=True)])
    made, model = _made(mode, nll.shape[1]), Estimator.of(judge.name)
    return _per_word(nll, said[1] - 1, Estimator(
        f'{made} under {model} of the training split', f'{model.id}:{made.id}'))


def fluency_reverse(view: Evaluator, mode: str = 'sample') -> Value:
    """Measures the perplexity of the split under an n-gram model of generated sentences: high
    where these miss its words.
    """
    judge, real = _judge(view), split_sentences(view)
    nll = np.stack(
        [judge.fit(*s).word_nll(*real) for s in zip(*drawn(view, mode), strict=True)])
    made, model = _made(mode, view.settings.generated), Estimator.of(judge.name)
    return _per_word(nll, np.broadcast_to(real[1] - 1, nll.shape), Estimator(
        f'the split under {model} of {made}', f'{model.id}:reverse:{made.id}'))


def bleu(view: Evaluator, mode: str = 'greedy') -> Value:
    """Measures corpus BLEU-4 of what the posterior means say against the sentences themselves,
    x100.
    """
    said = sentences.decode(view, view.codes, mode)
    meant = sentences.lines(*split_sentences(view))
    value = np.array([sentences.corpus_bleu(sentences.lines(*s), meant)
                      for s in zip(*said, strict=True)])
    return Value(value, Estimator(f'corpus BLEU-4, {mode} decodings of posterior means',
                                  f'bleu-4:{mode}'), view.n)


def rouge_of_lines(view: Evaluator) -> np.ndarray:
    """Scores interpolations: 1/2 [F(x_a, x_l) + F(x_b, x_l)], l = 0, .1, ..., 1.

    Args:
      view: with the evals 'encode' and 'decode'.

    Returns:
      [G, P, 11] for P pairs of neighbors of one length, at most 100.
    """
    ends, *said = sentences.split_lines(view, PAIRS)
    said, meant = sentences.ended(*said), sentences.ended(*split_sentences(view))
    flat = lambda x: x.reshape(-1, x.shape[-1])

    def score(rows):
        end = np.broadcast_to(meant[rows][:, None], (*said.shape[:-1], meant.shape[1]))
        return sentences.rouge_l(flat(said), flat(end))

    return (score(ends[:, 0]) + score(ends[:, 1])).reshape(said.shape[:-1]) / 2


def rouge_interpolation(view: Evaluator) -> Value | None:
    """Measures the mean Rouge-L F1 of interpolations with both of their ends; None without two
    sentences of one length.

    Differs from the slide: between posterior means, as in the code, rather than samples.
    """
    if len(sentences.pairs(view.field('length'), PAIRS)) == 0:
        return None
    score = rouge_of_lines(view)
    return average(score.mean(-1), Estimator(
        f'F1 with both ends, {STEPS} greedy decodings between posterior means of '
        f'{score.shape[1]} pairs of one length', f'rouge-l:greedy-{STEPS}'))


_TEXT, _TRAIN = ('tokens', 'length'), ('train/tokens', 'train/length')
_PRIOR, _RECONSTRUCT = (('sample',),), (('encode', 'decode'),)

METRICS = {
    **{f'dis_{n}': Metric(functools.partial(dis, n=n), _PRIOR, f'{n}-grams', 'higher', _TEXT,
                         NONNEGATIVE)
       for n in (1, 2)},
    **{f'self_bleu_{n}': Metric(functools.partial(self_bleu, order=n), _PRIOR, 'BLEU', 'lower',
                                _TEXT, SHARE)
       for n in (2, 3)},
    'uni_kl': Metric(uni_kl, _PRIOR, 'nats/token', 'lower', _TEXT + _TRAIN, NONNEGATIVE),
    'entropy': Metric(entropy, _PRIOR, 'nats/token', None, _TEXT, NONNEGATIVE),
    'avg_len': Metric(avg_len, _PRIOR, 'words', None, _TEXT, NONNEGATIVE),
    'fluency': Metric(fluency, _PRIOR, 'per word', None, (*_TEXT, *_TRAIN, 'judge/language'),
                      AT_LEAST_ONE),
    'fluency_reverse': Metric(fluency_reverse, _PRIOR, 'per word', 'lower',
                              (*_TEXT, 'judge/language'), AT_LEAST_ONE),
    'bleu': Metric(bleu, _RECONSTRUCT, 'BLEU x 100', 'higher', _TEXT, PERCENT),
    'bleu_beam': Metric(functools.partial(bleu, mode='beam'), _RECONSTRUCT, 'BLEU x 100',
                        'higher', _TEXT, PERCENT),
    'rouge_interpolation': Metric(rouge_interpolation, _RECONSTRUCT, 'F1', 'higher', _TEXT,
                                  SHARE),
}
