"""Sentences rewritten to another style: whether they have it, what they keep, how they read.

Every number is a mean over examples of each direction (label 0 to 1, 1 to 0) first, then over
the directions.
"""
import functools

import numpy as np

from vaebench.metrics import sentence_pairs as pairs
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.rewritten import (
    of_examples,
    of_rows,
    references,
    targets,
    transferred,
)
from vaebench.metrics.sentences import lines, split_sentences
from vaebench.metrics.types import (
    AT_LEAST_ONE,
    NONNEGATIVE,
    PERCENT,
    SHARE,
    Estimator,
    Judge,
    Metric,
    Value,
)

RANDOM = 0             # seed of the pairing that gives the floor of the cosine
HOW = Estimator('greedy rewriting to the next label, mean of directions', 'greedy')


def _judge(view: Evaluator, name: str) -> Judge:
    judge = view.judge(name)
    assert judge is not None, f"'judge/{name}' stands in the metric's fields"
    return judge


def _seeds(view):
    """(tokens [N, L], length [N]) of every seed's rewritten sentences."""
    return zip(*transferred(view), strict=True)


def _sources(view, x):
    """What the sources have, x [N], as a sentence says it: it is the same for every row."""
    return f'{of_examples(view, np.asarray(x)[None], "").value[0]:.3g}'


# Style.

def transfer_accuracy(view: Evaluator) -> Value:
    """Measures the share of rewritten sentences that a classifier of the suite's, which guides
    no row, finds to have the target label. An empty sentence has none.

    References:
      Hu et al., "Toward Controlled Generation of Text", 2017, arXiv:1703.00955.
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339.
    """
    judge, target = _judge(view, 'style'), targets(view)

    def right(tokens, length):
        return 100. * ((judge.log_probs(tokens, length).argmax(1) == target) & (length > 1))

    copied = _sources(view, right(*split_sentences(view)))
    return of_examples(view, np.stack([right(*s) for s in _seeds(view)]), Estimator(
        f'share with the target label by {judge.name}; copying the source has {copied}',
        Estimator.of(judge.name).id).joined(HOW), told=True)


# Content.

def _ignored(view, *names):
    """Ids of the words of these truths."""
    return {int(i) for name in names for i in view.data.truth[f'{name}_words']}


def _content(view):
    """Contents of the sources [N, D] and of every seed's sentences [G, N, D], and the judge."""
    def make():
        judge, style = _judge(view, 'words'), _ignored(view, 'style')
        of = lambda s: pairs.content(pairs.words(*s), judge.vectors(), style)
        return of(split_sentences(view)), np.stack([of(s) for s in _seeds(view)]), judge

    return view.cached('content', make)


def _cosine(how, judge):
    return Estimator(
        f'{how} between [least; greatest; mean] of the vectors of different words without style'
        f' words; {judge.name}', f'content:{Estimator.of(judge.name).id}')


def content_cosine(view: Evaluator) -> Value:
    """Measures the cosine between what the words of source and rewritten sentence are about.

    Differs from the papers: word vectors of the training split in place of GloVe, so that
    numbers are not theirs; it is high for any two sentences, see `content_cosine_floor`.

    References:
      Fu et al., "Style Transfer in Text: Exploration and Evaluation", 2018, arXiv:1711.06861.
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339 (without style words).
    """
    source, said, judge = _content(view)
    return of_examples(view, np.stack([pairs.cosine(source, s) for s in said]),
                       _cosine('cosine', judge).joined(HOW))


def _floor(view):
    """Cosines [N] of the sources with one another at random."""
    source, _, _ = _content(view)
    order = np.random.default_rng(RANDOM).permutation(len(source))
    return pairs.cosine(source[order], source[np.roll(order, 1)])[np.argsort(order)]


def content_cosine_floor(view: Evaluator) -> Value | None:
    """Measures the cosine of random pairs of sources: what `content_cosine` has without any
    likeness of content. None where there is one example.
    """
    if view.n < 2:
        return None
    cosine = np.broadcast_to(_floor(view), (view.seeds, view.n))
    return of_examples(view, cosine, _cosine('cosine of random pairs of sources',
                                             _content(view)[2]))


def content_cosine_rescaled(view: Evaluator) -> Value | None:
    """Measures (c - r) / (1 - r), c the `content_cosine` and r its floor: 0 for random pairs, 1
    for a copy. None where there is one example.
    """
    floor = content_cosine_floor(view)
    if floor is None:
        return None
    r, raw, judge = floor.value[0], content_cosine(view), _content(view)[2]
    stderr = None if raw.stderr is None else raw.stderr / (1 - r)
    return raw._replace(
        value=(raw.value - r) / (1 - r), stderr=stderr,
        estimator=_cosine(f'(c - r) / (1 - r), c the cosine and r = {r:.3g} that of random '
                          'pairs of sources,', judge).joined(HOW))


def word_overlap(view: Evaluator) -> Value:
    """Measures the words that source and rewritten sentence have in common over those of
    either, as sets without words of style and stop words.

    References:
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339.
    """
    source, ignored = pairs.words(*split_sentences(view)), _ignored(view, 'style', 'stop')
    shared = [[pairs.overlap(*both, ignored)
               for both in zip(source, pairs.words(*s), strict=True)] for s in _seeds(view)]
    return of_examples(view, shared, Estimator(
        'words in common over words of either, without style and stop words',
        'overlap').joined(HOW))


def self_bleu_src(view: Evaluator) -> Value:
    """Measures corpus BLEU-4 of the rewritten sentences against their sources, x100."""
    return _bleu(view, split_sentences(view), 'the source', 'source')


# Fluency.

def _model(view, text):
    judge = _judge(view, 'trigram')
    return Estimator(f'{text} under {judge.name} of the training split',
                     Estimator.of(judge.name).id).joined(HOW)


def lf(view: Evaluator) -> Value:
    """Measures the mean log10 probability of a rewritten sentence, `</s>` included, under a
    trigram model of the training split.

    It is a sum over words: shorter sentences look more fluent, see `transfer_length` and
    `lf_ppl`, and a stock sentence looks most fluent of all, so that no row is the best by it.

    References:
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339 (language fluency).
    """
    of = lambda s: -_judge(view, 'trigram').sentence_nll(*s) / np.log(10)
    source = _sources(view, of(split_sentences(view)))
    return of_examples(view, np.stack([of(s) for s in _seeds(view)]), _model(
        view, f'log10 p, </s> included (of the sources {source}),'))


def lf_ppl(view: Evaluator) -> Value:
    """Measures the perplexity per token of rewritten sentences, `</s>` included, under a
    trigram model of the training split.
    """
    every = [(_judge(view, 'trigram').sentence_nll(*s), s[1]) for s in _seeds(view)]

    def score(g, rows):
        nll, length = every[g]
        with np.errstate(invalid='ignore'):        # nothing is said at all
            return np.exp(nll[rows].sum() / length[rows].sum())

    return of_rows(view, score, _model(view, 'exp(-sum ln p / tokens), </s> included,'))


def transfer_length(view: Evaluator) -> Value:
    """Measures the mean number of words of a rewritten sentence."""
    source = _sources(view, split_sentences(view)[1] - 1)
    return of_examples(view, transferred(view)[1] - 1, Estimator(
        f'words without </s>; the sources have {source}', 'words').joined(HOW))


def geometric_mean(view: Evaluator) -> Value:
    """Measures (accuracy x word overlap / perplexity)^(1/3).

    Differs from the paper: perplexity under a trigram model, where it does not say which.

    References:
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339 (the version of ACL).
    """
    accuracy, overlap, ppl = (f(view) for f in (transfer_accuracy, word_overlap, lf_ppl))
    value = (accuracy.value / 100 * overlap.value / ppl.value)**(1 / 3)
    style, model = (_judge(view, name).name for name in ('style', 'trigram'))
    estimator = Estimator(
        f'(accuracy x overlap / perplexity per token)^(1/3), accuracy by {style}, perplexity '
        f'under {model} of the training split',
        f'cube-root:{Estimator.of(style).id}:{Estimator.of(model).id}')
    return Value(value, estimator.joined(HOW), view.n)


# References.

def _bleu(view, meant, text, name, smooth='exp'):
    """`Value` of corpus BLEU-4 against sentences [N, L] or [N, R, L]."""
    tokens, length = (x if len(x.shape) == n else x[:, None]
                      for x, n in zip(meant, (3, 2), strict=True))
    of = [lines(tokens[:, r], length[:, r]) for r in range(length.shape[1])]
    said = [lines(*s) for s in _seeds(view)]
    _, signature = pairs.corpus_bleu(said[0], of, smooth)

    def score(g, rows):
        pick = lambda strings: [strings[i] for i in rows]
        return pairs.corpus_bleu(pick(said[g]), [*map(pick, of)], smooth)[0]

    return of_rows(view, score, Estimator(
        f'corpus BLEU-4 against {text}, sacreBLEU {signature}',
        f'bleu-4:{name}:{smooth}').joined(HOW))


def ref_bleu(view: Evaluator, smooth: str = 'exp') -> Value:
    """Measures corpus BLEU-4 of the rewritten sentences against all references, x100.

    Args:
      view: over data with references.
      smooth: see `sentence_pairs.corpus_bleu`.
    """
    meant = references(view)
    return _bleu(view, meant, f'{meant[1].shape[1]} references', 'references', smooth)


def sari(view: Evaluator, hugging_face: bool = False) -> Value:
    """Measures mean SARI against all references, x100; a copy of the source does not have 0.

    Args:
      view: over data with references.
      hugging_face: see `sentence_pairs.sari`.

    References:
      Xu et al., "Optimizing Statistical Machine Translation for Text Simplification", 2016.
    """
    source = pairs.words(*split_sentences(view))
    meant = [pairs.words(*r) for r in zip(*references(view), strict=True)]

    def scores(said):
        return [pairs.sari(*three, hugging_face).score
                for three in zip(source, said, meant, strict=True)]

    copied = _sources(view, scores(source))
    text, name = (('0/0 = 1, recall of keeping over all n-grams', 'zero-one') if hugging_face
                  else ('0/0 = 0, as in the authors\' script', 'zero-zero'))
    return of_examples(view, [scores(pairs.words(*s)) for s in _seeds(view)], Estimator(
        f'sentence SARI, {text}, {len(meant[0])} references; copying the source has {copied}',
        f'sari:{name}').joined(HOW))


def _best(view, score, text, name, scale=1.):
    """`Value` of the best score against a reference; None where others are right too."""
    if not view.data.truth['exact']:
        return None
    meant = [pairs.words(*r) for r in zip(*references(view), strict=True)]
    best = [[scale * max(score(said, r) for r in every)
             for said, every in zip(pairs.words(*s), meant, strict=True)] for s in _seeds(view)]
    return of_examples(view, best, Estimator(text, name).joined(HOW))


def exact_match(view: Evaluator) -> Value | None:
    """Measures the share of rewritten sentences that are the reference; None where that is not
    the only right answer.
    """
    return _best(view, lambda said, r: said == r, 'equal to the reference', 'exact', 100.)


def token_f1(view: Evaluator) -> Value | None:
    """Measures the F1 of the words in common with the reference; None where that is not the
    only right answer.
    """
    return _best(view, pairs.token_f1, 'F1 of words in common with the reference', 'token-f1')


_NEEDS, _BASE = (('transfer',),), ('tokens', 'length', 'label')
_STYLE, _STOP = 'truth/style_words', 'truth/stop_words'
_GOLD = (*_BASE, 'reference')
_CONTENT = (*_BASE, _STYLE, 'judge/words')
_TRIGRAM = (*_BASE, 'judge/trigram')


def _metric(compute, unit, better, fields, bounds, **options):
    return Metric(functools.partial(compute, **options), _NEEDS, unit, better, fields, bounds)


METRICS = {
    'transfer_accuracy': _metric(transfer_accuracy, '%', 'higher', (*_BASE, 'judge/style'),
                                 PERCENT),
    'content_cosine': _metric(content_cosine, 'cosine', 'higher', _CONTENT, (-1., 1.)),
    'content_cosine_floor': _metric(content_cosine_floor, 'cosine', None, _CONTENT, (-1., 1.)),
    'content_cosine_rescaled': _metric(content_cosine_rescaled, 'cosine', 'higher', _CONTENT,
                                       (None, 1.)),
    'word_overlap': _metric(word_overlap, 'share', 'higher', (*_BASE, _STYLE, _STOP), SHARE),
    'self_bleu_src': _metric(self_bleu_src, 'BLEU x 100', 'higher', _BASE, PERCENT),
    'lf': _metric(lf, 'log10 p/{item}', None, _TRIGRAM, (None, 0.)),
    'lf_ppl': _metric(lf_ppl, 'per {part}', None, _TRIGRAM, AT_LEAST_ONE),
    'transfer_length': _metric(transfer_length, 'words', None, _BASE, NONNEGATIVE),
    'geometric_mean': _metric(
        geometric_mean, 'geometric mean', 'higher',
        (*_TRIGRAM, _STYLE, _STOP, 'judge/style'), SHARE),
    'ref_bleu': _metric(ref_bleu, 'BLEU x 100', 'higher', _GOLD, PERCENT),
    'ref_bleu_method1': _metric(ref_bleu, 'BLEU x 100', 'higher', _GOLD, PERCENT,
                                smooth='floor'),
    'sari': _metric(sari, 'SARI', 'higher', _GOLD, PERCENT),
    'sari_hf': _metric(sari, 'SARI', 'higher', _GOLD, PERCENT, hugging_face=True),
    'exact_match': _metric(exact_match, '%', 'higher', (*_GOLD, 'truth/exact'), PERCENT),
    'token_f1': _metric(token_f1, 'F1', 'higher', (*_GOLD, 'truth/exact'), SHARE),
}
