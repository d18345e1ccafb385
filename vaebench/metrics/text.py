"""Sentences made by a model: diversity, likeness to the training text, fluency, reconstruction, interpolation."""
import functools

import jax
import numpy as np

from vaebench.core import derive
from vaebench.metrics.evaluator import GENERATED, Metric, Value, average, deviation, slots, warnings

CHUNK = 100            # most sentences of one dispatch: part of what is drawn, hence no setting
DRAWN, DECODED = 2, 3  # tags of the key, after GENERATED
AMONG = 200            # most sentences of a self-BLEU
PAIRS = 100            # most pairs of sentences that are interpolated
STEPS = 11             # points of an interpolation, both ends included
SMOOTH = .1            # what method 1 puts in place of no match


# Making sentences.

def _draw(evals, size, mode, params, carry, key, own, i):
    out = evals['sample'](params, carry, derive(key, GENERATED, DRAWN, i), size, mode)
    return out['tokens'], out['length']


def _say(evals, mode, params, carry, key, z, i):
    out = evals['decode'](params, carry, z, derive(key, GENERATED, DECODED, i), mode)
    return out['tokens'], out['length']


def drawn_chunk(view, mode, i):
    """The i-th min(100, settings.generated) sentences from the prior; their codes are the same in every mode.

    Args:
      view: with the eval 'sample'.
      mode: 'greedy', 'sample' or 'beam'.
      i: int.

    Returns:
      (tokens [G, n, L], length [G, n]).
    """
    view.pause()
    draw = view.jit(_draw, min(CHUNK, view.settings.generated), mode)
    return view.cached((mode, i), lambda: jax.device_get(draw((), np.int32(i))))


def drawn(view, mode):
    """`settings.generated` sentences from the prior, drawn once per view and mode, shared by all metrics.

    Args:
      view: with the eval 'sample'.
      mode: 'greedy', 'sample' or 'beam'.

    Returns:
      (tokens [G, n, L], length [G, n]).
    """
    n = view.settings.generated
    parts = [drawn_chunk(view, mode, i) for i in range(-(-n // min(CHUNK, n)))]
    return tuple(np.concatenate(x, 1)[:, :n] for x in zip(*parts, strict=True))


def decode(view, z, mode):
    """Sentences that codes say, in dispatches of 100.

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
    return tuple(np.concatenate(x, 1)[:, :n] for x in zip(*parts, strict=True))


def split_sentences(view):
    """The split's tokens [N, L], as wide as its widest bucket, and lengths [N], in the split's order."""
    width = max(b['tokens'].shape[1] for b in view.buckets)
    tokens = [np.pad(b['tokens'], ((0, 0), (0, width - b['tokens'].shape[1]))) for b in view.buckets]
    return np.concatenate(tokens)[view.order], view.field('length')


def lines(tokens, length):
    """Sentences as strings of ids, without `<s>` and `</s>`.

    >>> lines(np.array([[1, 4, 2, 0], [1, 4, 5, 2]]), np.array([2, 3]))
    ['4', '4 5']
    """
    return [' '.join(map(str, row[1:n].tolist())) for row, n in zip(tokens, length, strict=True)]


# Measures of sentences.

def words_of(tokens, length):
    """All words of the sentences in a row, without `<s>` and `</s>`: int64 [M].

    Args:
      tokens: int [N, L], `<s>` w1..wn `</s>` and anything after.
      length: int [N] = n + 1.

    >>> words_of(np.array([[1, 4, 2, 0], [1, 4, 5, 2]]), np.array([2, 3])).tolist()
    [4, 4, 5]
    """
    place = np.arange(tokens.shape[1])
    mask = (place > 0) & (place < np.asarray(length)[:, None])
    return np.asarray(tokens)[mask].astype(np.int64)


def distinct(words, n):
    """Number of different n-grams in a row of words [M].

    >>> distinct(np.array([4, 5, 4, 5]), 2)
    2
    """
    ids, base = words, words.max(initial=0) + 1
    for _ in range(n - 1):
        ids = np.unique(ids[:-1] * base + words[len(words) - len(ids) + 1:], return_inverse=True)[1]
    return len(np.unique(ids))


def unigrams(words, size):
    """Relative frequencies [size] of words [M]; not a number without words."""
    with np.errstate(invalid='ignore'):
        return np.bincount(words, minlength=size) / np.float64(len(words))


def entropy_of(p):
    """-sum p ln p, nats.

    >>> round(float(entropy_of(np.array([.5, .5, 0.]))), 4)
    0.6931
    """
    return -(p * np.log(np.where(p > 0, p, 1.))).sum()


def divergence(p, q):
    """sum p ln(p / q) over the words that q has, nats: below zero where p lies beside q.

    >>> float(divergence(np.array([.5, .5]), np.array([.5, .5])))
    0.0
    """
    return (p * np.log(np.where((p > 0) & (q > 0), p, 1.) / np.where((p > 0) & (q > 0), q, 1.))).sum()


def self_bleu_of(sentences, order):
    """BLEU of every sentence against all others, weights 1/n, smoothing method 1 (0.1 in place of no match).

    Args:
      sentences: list of S > 1 int arrays of words.
      order: longest n-gram.

    Returns:
      [S] between 0 and 1; 0 where no word matches.

    References:
      Zhu et al., "Texygen: A Benchmarking Platform for Text Generation Models", 2018, arXiv:1802.01886.
      Chen and Cherry, "A Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU", 2014 (method 1).

    >>> self_bleu_of([np.array([4, 5]), np.array([4, 5])], 2).tolist()
    [1.0, 1.0]
    """
    count = np.array([len(s) for s in sentences])
    row, words = np.repeat(np.arange(len(count)), count), np.concatenate(sentences).astype(np.int64)
    place, base = np.arange(len(words)) - np.repeat(count.cumsum() - count, count), words.max(initial=0) + 1
    ids, score, alone = np.zeros(len(words), np.int64), 0., None
    for n in range(1, order + 1):
        ids, at = np.roll(ids, 1) * base + words, place >= n - 1      # ids before that place are nobody's
        kinds, ids = (x.reshape(-1) for x in np.unique(ids, return_inverse=True))
        table = np.zeros((len(count), len(kinds)), np.int64)
        np.add.at(table, (row[at], ids[at]), 1)
        most = np.sort(table, 0)[-2:]                       # of the others: the second where one's own is the first
        matches = np.minimum(table, np.where(table == most[1], most[0], most[1])).sum(1)
        alone = matches == 0 if alone is None else alone
        score = score + np.log(np.where(matches > 0, matches, SMOOTH) / np.maximum(table.sum(1), 1)) / order
    gap = np.abs(count[:, None] - count) + np.where(np.eye(len(count), dtype=bool), np.inf, 0.)
    nearest = np.where(gap == gap.min(1, keepdims=True), count, np.iinfo(int).max).min(1)     # the shorter of two
    short = np.minimum(1 - nearest / np.maximum(count, 1), 0.)
    return np.where(alone, 0., np.exp(score + short))


def corpus_bleu(said, meant):
    """Corpus BLEU-4 of one reference each, x100, unsmoothed.

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
    from sacrebleu.metrics import BLEU  # here: its import is not every command's cost

    return BLEU(tokenize='none', smooth_method='none', force=True).corpus_score(said, [meant]).score


def lcs(a, b):
    """Length of the longest common subsequence.

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


def rouge_l(said, meant):
    """Rouge-L F1 = 2 P R / (P + R) with P = LCS / |said|, R = LCS / |meant|.

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


def _ended(tokens, length):
    """Words [..., L - 1], -1 from `</s>` on."""
    return np.where(np.arange(1, tokens.shape[-1]) < np.asarray(length)[..., None], tokens[..., 1:], -1)


def pairs(length, most):
    """Neighbours of one length: first and second of it, third and fourth, and so on; a fixed choice of `most`.

    >>> pairs(np.array([3, 4, 3, 4, 3]), 9).tolist()
    [[0, 2], [1, 3]]
    """
    found = []
    for n in np.unique(length):
        rows = np.flatnonzero(length == n)
        found.append(rows[:len(rows) // 2 * 2].reshape(-1, 2))
    found = np.concatenate(found)
    return found[np.sort(np.random.default_rng(0).permutation(len(found))[:most])]


def between(a, b, steps=STEPS):
    """(1 - l) a + l b for l = 0, ..., 1: leaves [...] -> [steps, ...]; exchanging a and b reverses it to the bit.

    >>> between(np.zeros(1), np.ones(1), 3)[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    l = np.arange(steps, dtype=np.float32) / np.float32(steps - 1)
    weigh = lambda w, x: w.reshape(-1, *[1] * np.ndim(x)) * x
    return jax.tree.map(lambda a, b: weigh(l[::-1], a) + weigh(l, b), a, b)


def say_between(view, a, b, mode='greedy'):
    """Sentences on the straight lines between codes.

    Args:
      view: with the eval 'decode'.
      a, b: leaves [G, P, ...].
      mode: 'greedy', 'sample' or 'beam'.

    Returns:
      (tokens [G, P, 11, L], length [G, P, 11]).
    """
    z = jax.tree.map(lambda x: np.moveaxis(x, 0, 2), between(a, b))
    g, p, s = jax.tree.leaves(z)[0].shape[:3]
    said = decode(view, jax.tree.map(lambda x: x.reshape(g, p * s, *x.shape[3:]), z), mode)
    return tuple(x.reshape(g, p, s, *x.shape[2:]) for x in said)


# Metrics.

_HOW = {'greedy': 'greedy decodings of {} prior draws', 'sample': '{} sentences sampled from the prior',
        'beam': 'beam-search decodings of {} prior draws'}


def _of_each(view, mode, f):
    """[G] f(words of all sentences of a seed)."""
    return np.array([f(words_of(*s)) for s in zip(*drawn(view, mode), strict=True)], np.float64)


def _made(view, value, mode, estimator):
    n = view.settings.generated
    return Value(value, estimator.format(_HOW[mode].format(n)), n, warning=warnings(value[:, None]))


def dis(view, n, mode='sample'):
    """Number of distinct n-grams.

    Differs from the source's 10 samples per test context: from the prior; the number grows with the sentences.

    References:
      Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", 2016, arXiv:1510.03055.
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.
    """
    value = _of_each(view, mode, lambda words: distinct(words, n))
    return _made(view, value, mode, f'number of distinct {n}-grams of words in {{}}, in a row across their borders')


def self_bleu(view, order, mode='sample'):
    """Mean BLEU of generated sentences against the others; None where there are none: lower is more diverse."""
    tokens, length = (x[:, :AMONG] for x in drawn(view, mode))
    n = length.shape[1]
    if n < 2:
        return None
    value = np.array([self_bleu_of([row[1:k] for row, k in zip(*s, strict=True)], order).mean()
                      for s in zip(tokens, length, strict=True)])
    return Value(value, f'BLEU-{order} against all others of {_HOW[mode].format(n)}, smoothing method 1', n)


def uni_kl(view, mode='greedy'):
    """KL of the generated unigram law from that of the training text, nats; words absent from the latter are skipped.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation", 2019,
      arXiv:1806.08462.
    """
    real = words_of(view.data.train['tokens'], view.data.train['length'])

    def gap(words):
        size = max(real.max(initial=0), words.max(initial=0)) + 1
        return divergence(unigrams(words, size), unigrams(real, size))

    return _made(view, _of_each(view, mode, gap), mode, '{}, </s> excluded; words absent from train skipped')


def entropy(view, mode='greedy'):
    """Entropy of the generated unigram law, nats."""
    value = _of_each(view, mode, lambda words: entropy_of(unigrams(words, 1)))
    return _made(view, value, mode, 'unigrams of {}, </s> excluded')


def avg_len(view, mode='greedy'):
    """Mean number of words of a generated sentence."""
    length = drawn(view, mode)[1]
    return average(length - 1, f'words without </s>, {_HOW[mode].format(length.shape[1])}')


def _per_word(nll, words, estimator):
    """`Value` of exp(sum nll / sum words), both [G, N]; standard error over sentences by the delta method."""
    n, total = nll.shape[-1], words.sum(-1)
    with np.errstate(invalid='ignore', divide='ignore'):
        rate = nll.sum(-1) / total
        ppl = np.exp(rate)
        stderr = ppl * deviation(nll - rate[:, None] * words) * np.sqrt(n) / total if n > 1 else None
    return Value(ppl, f'exp(-sum ln p / words), </s> excluded: {estimator}', n, None, stderr, warnings(ppl[:, None]))


def fluency(view, mode='greedy'):
    """Perplexity of generated sentences under an n-gram model of the training split.

    The papers do not say which external model; a low value is also what a few stock sentences get.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019, arXiv:1908.11527 (forward PPL).
    """
    judge, said = view.judge('language'), drawn(view, mode)
    nll = np.stack([judge.word_nll(*s) for s in zip(*said, strict=True)])
    return _per_word(nll, said[1] - 1,
                     f'{_HOW[mode].format(nll.shape[1])} under {judge.name} of the training split')


def fluency_reverse(view, mode='sample'):
    """Perplexity of the split under an n-gram model of generated sentences: high where these miss its words."""
    judge, real = view.judge('language'), split_sentences(view)
    nll = np.stack([judge.fit(*s).word_nll(*real) for s in zip(*drawn(view, mode), strict=True)])
    return _per_word(nll, np.broadcast_to(real[1] - 1, nll.shape),
                     f'the split under {judge.name} of {_HOW[mode].format(view.settings.generated)}')


def bleu(view, mode='greedy'):
    """Corpus BLEU-4 of what the posterior means say against the sentences themselves, x100."""
    said, meant = decode(view, view.codes, mode), lines(*split_sentences(view))
    value = np.array([corpus_bleu(lines(*s), meant) for s in zip(*said, strict=True)])
    return Value(value, f'corpus BLEU-4, {mode} decodings of posterior means', view.n)


def rouge_of_lines(view):
    """Scores along interpolations: 1/2 [F(x_a, x_l) + F(x_b, x_l)], l = 0, .1, ..., 1.

    Args:
      view: with the evals 'encode' and 'decode'.

    Returns:
      [G, P, 11] for P pairs of neighbours of one length, at most 100.
    """
    tokens, length = split_sentences(view)
    a, b = pairs(length, PAIRS).T
    said = _ended(*say_between(view, view.codes[:, a], view.codes[:, b]))
    meant = _ended(tokens, length)
    flat = lambda x: x.reshape(-1, x.shape[-1])
    f = [rouge_l(flat(said), flat(np.broadcast_to(meant[i][:, None], (*said.shape[:-1], meant.shape[1]))))
         for i in (a, b)]
    return (f[0] + f[1]).reshape(said.shape[:-1]) / 2


def rouge_interpolation(view):
    """Mean Rouge-L F1 of interpolations with both of their ends; None without two sentences of one length.

    Differs from the slide: between posterior means, as in the code, rather than samples.
    """
    if len(pairs(view.field('length'), PAIRS)) == 0:
        return None
    score = rouge_of_lines(view)
    return average(score.mean(-1), f'F1 with both ends, {STEPS} greedy decodings between posterior means of '
                                   f'{score.shape[1]} pairs of one length')


_TEXT, _TRAIN = ('tokens', 'length'), ('train/tokens', 'train/length')
_PRIOR, _RECONSTRUCT = (('sample',),), (('encode', 'decode'),)

METRICS = {
    **{f'dis_{n}': Metric(functools.partial(dis, n=n), _PRIOR, f'{n}-grams', 'higher', _TEXT) for n in (1, 2)},
    **{f'self_bleu_{n}': Metric(functools.partial(self_bleu, order=n), _PRIOR, 'BLEU', 'lower', _TEXT)
       for n in (2, 3)},
    'uni_kl': Metric(uni_kl, _PRIOR, 'nats/token', 'lower', _TEXT + _TRAIN),
    'entropy': Metric(entropy, _PRIOR, 'nats/token', None, _TEXT),
    'avg_len': Metric(avg_len, _PRIOR, 'words', None, _TEXT),
    'fluency': Metric(fluency, _PRIOR, 'per word', None, (*_TEXT, *_TRAIN, 'judge/language')),
    'fluency_reverse': Metric(fluency_reverse, _PRIOR, 'per word', 'lower', (*_TEXT, 'judge/language')),
    'bleu': Metric(bleu, _RECONSTRUCT, 'BLEU x 100', 'higher', _TEXT),
    'bleu_beam': Metric(functools.partial(bleu, mode='beam'), _RECONSTRUCT, 'BLEU x 100', 'higher', _TEXT),
    'rouge_interpolation': Metric(rouge_interpolation, _RECONSTRUCT, 'F1', 'higher', _TEXT),
}
