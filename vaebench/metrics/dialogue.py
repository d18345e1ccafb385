"""Responses to a context: how near they come to what may be said there, how much of that they
cover, and how they differ from one another.

N = 10 responses are drawn to every context; of greedy ones the codes alone are. Of likenesses d
between response and reference in [0, 1] the precision is the mean over responses of the best d
to a reference, the recall the mean over references of the best d of a response; both are means
over contexts. With the one reference that a corpus has these are mean and maximum over the
responses. The papers differ in what d is, so that no number here is theirs: every description
says which it is.
"""
import functools
from collections.abc import Callable

import numpy as np

from vaebench.metrics import sentence_pairs as pairs
from vaebench.metrics import sentences
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.responses import SAMPLES, Wanted, responses, wanted
from vaebench.metrics.sentences import ended, split_sentences
from vaebench.metrics.summary import average
from vaebench.metrics.types import (
    NONNEGATIVE,
    PERCENT,
    SHARE,
    Estimator,
    Judge,
    Metric,
    Value,
)

PARTS = 'precision', 'recall'
CELLS = 2**24          # pairs of words that are compared at once
BAGS = {'a_bow': 'mean', 'e_bow': 'extremes'}
_MADE = {
    'sample': ('{} sampled responses', 'sampled-{}'),
    'greedy': ('{} greedy responses (codes alone are drawn)', 'greedy-{}'),
}
_OF = {
    'precision': 'mean over {} of the best to a reference',
    'recall': 'mean over references of the best of {}',
}


def _made(mode):
    """How the responses to a context were made, and the id of that."""
    return Estimator(*(part.format(SAMPLES) for part in _MADE[mode]))


def _part(part, mode, likeness, meant):
    """The estimator of a precision or recall of a likeness."""
    made, what = _made(mode), Estimator.of(likeness)
    return Estimator(f'{likeness}: {_OF[part].format(made)}; against {meant.what}',
                     f'{what.id}:{part}:{made.id}:{meant.id}')


def _over_contexts(x, estimator, why):
    """`Value` of x [G, C] over the contexts that have a number; None where none has."""
    there = ~np.isnan(x).all(0)
    if not there.any():
        return None
    gone = int((~there).sum())
    return average(x[:, there], estimator, SAMPLES,
                   note=f'{gone} of {len(there)} contexts left out, {why}' if gone else None)


# Words in common.

def _bleu(view, mode):
    """[2, 4, G, C] precision and recall of BLEU-1, ..., BLEU-4."""
    def make():
        said, meant = ended(*responses(view, mode)), wanted(view)
        cells = np.prod(said.shape[2:]) * np.prod(meant.words.shape[1:])
        step = max(1, int(CELLS // max(cells, 1)))

        def some(own, at):
            rows = slice(at, at + step)
            return pairs.precision_and_recall(
                pairs.sentence_bleu(own[rows], meant.words[rows]), meant.counted[rows])

        every = [np.concatenate([some(own, at) for at in range(0, len(own), step)], -1)
                 for own in said]
        return np.stack(every, 2)

    return view.cached(('response bleu', mode), make)


def bleu(view: Evaluator, n: int, part: str, mode: str = 'sample') -> Value | None:
    """Measures the precision or recall of responses by sentence BLEU-n, x100.

    Differs from the papers, whose code takes BLEU-3 for what tables call BLEU-4, with a
    smoothing (method 7) that gives a sentence against itself 0.33 where it has one word and
    1.15 where it has eight: here that is 1, see `sentence_pairs.sentence_bleu`.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.
      Gu et al., "DialogWAE: Multimodal Response Generation with Conditional Wasserstein
      Auto-Encoder", 2019, arXiv:1805.12352.
    """
    likeness = Estimator(
        f'sentence BLEU-{n} x100, of the orders that a response has, {pairs.SMOOTH:g} for no '
        'match (method 1)', f'bleu-{n}:method-1')
    return _over_contexts(100 * _bleu(view, mode)[PARTS.index(part), n - 1],
                          _part(part, mode, likeness, wanted(view)), 'without a reference')


# Word vectors.

def _judge(view: Evaluator, name: str) -> Judge:
    judge = view.judge(name)
    assert judge is not None, f"'judge/{name}' stands in the metric's fields"
    return judge


def _units(words, vectors):
    """Directions of the bags of sentences [..., L]: name -> [..., D], nan without any."""
    listed = [row[row >= 0].tolist() for row in words.reshape(-1, words.shape[-1])]
    with np.errstate(invalid='ignore', divide='ignore'):
        return {name: (x / np.linalg.norm(x, axis=-1, keepdims=True)).reshape(
            *words.shape[:-1], -1) for name, x in zip(BAGS, pairs.bags(listed, vectors),
                                                      strict=True)}


def _bows(view, mode):
    """Bag -> [2, G, C] precision and recall of its cosine."""
    def make():
        vectors, meant = _judge(view, 'words').vectors(), wanted(view)
        theirs, out = _units(meant.words, vectors), {name: [] for name in BAGS}
        for own in ended(*responses(view, mode)):
            for name, unit in _units(own, vectors).items():
                cosine = np.einsum('cnd,crd->cnr', unit, theirs[name])
                known = meant.counted & np.isfinite(theirs[name]).all(-1)
                out[name].append(pairs.precision_and_recall(
                    np.clip(np.nan_to_num(cosine), 0, 1), known))
        return {name: np.stack(x, 1) for name, x in out.items()}

    return view.cached(('response bags', mode), make)


def bow(view: Evaluator, bag: str, part: str, mode: str = 'sample') -> Value | None:
    """Measures the precision or recall of responses by the cosine of their bags of words.

    The cosine is raw, 0 where it is below; a response without known words has 0, a reference
    without does not count. It is high for any two sentences: read it beside the row of random
    responses. Differs from the papers: word vectors of the training split in place of GloVe.
    Of code that is public some takes (cosine + 1) / 2, some the largest value in place of that
    of largest magnitude, and some of both parts the maximum alone.

    Args:
      view: the `Evaluator`.
      bag: 'a_bow', the mean of the words' vectors, or 'e_bow', their extremes.
      part: 'precision' or 'recall'.
      mode: of decoding.

    References:
      Zhao et al., "Learning Discourse-level Diversity for Neural Dialog Models using
      Conditional Variational Autoencoders", 2017, arXiv:1703.10960.
      Forgues et al., "Bootstrapping Dialog Systems with Word Embeddings", 2014.
    """
    judge, what = _judge(view, 'words'), BAGS[bag]
    text = 'their value of largest magnitude' if what == 'extremes' else 'their mean'
    likeness = Estimator(f'raw cosine, at least 0, between vectors of all words, {text}; '
                         f'{judge.name}', f'{what}:{Estimator.of(judge.name).id}')
    return _over_contexts(_bows(view, mode)[bag][PARTS.index(part)],
                          _part(part, mode, likeness, wanted(view)),
                          'no reference has a known word')


# Sets of valid responses.

def _equal(said, meant: Wanted):
    """Which of the responses [C, N, L] is which reference: [C, N, R]."""
    wide = max(said.shape[-1], meant.words.shape[-1])
    wider = lambda x: np.pad(x, [(0, 0)] * 2 + [(0, wide - x.shape[-1])], constant_values=-1)
    return (wider(said)[:, :, None] == wider(meant.words)[:, None]).all(-1)


def _by_chance(meant):
    """What draws from the valid responses, each as likely as the others, would hit of them."""
    count = meant.counted.sum(1)[meant.counted.any(1)]
    return 100 * np.mean(1 - (1 - 1 / count)**SAMPLES)


def valid(view: Evaluator, part: str, mode: str = 'sample') -> Value | None:
    """Measures the share of responses that are valid (precision), or the share of the valid
    responses that are among those given (recall). None where not all valid ones are known.

    Args:
      view: over data with references.
      part: 'precision' or 'recall'.
      mode: of decoding.
    """
    if not view.data.truth['exact']:
        return None
    meant = wanted(view)
    share = np.stack([pairs.precision_and_recall(1. * _equal(own, meant), meant.counted)
                      for own in ended(*responses(view, mode))], 1)
    made = _made(mode)
    text = (f'share of {made} that are valid' if part == 'precision' else
            f'share of {meant.what}, among {made}; as many uniform draws of them have '
            f'{_by_chance(meant):.3g}')
    return _over_contexts(100 * share[PARTS.index(part)],
                          Estimator(text, f'valid:{part}:{made.id}'), 'nothing is valid')


# Acts.

def act_accuracy(view: Evaluator, mode: str = 'sample') -> Value | None:
    """Measures the share of responses that a classifier of the suite's finds to be of the
    dialogue act of the response that is there.

    It says whether a question is answered where it was and asked back where it was, and
    nothing of what is said: any sentence of the act has it. Where several acts are apt, less
    than all is right. Responses without words have no act; contexts whose act is not known are
    left out. The description has the classifier's accuracy, and what the responses that are
    there have by it.
    """
    judge, label = _judge(view, 'style'), view.field('label')

    def right(tokens, length):
        log_p = judge.log_probs(tokens.reshape(-1, tokens.shape[-1]), length.reshape(-1))
        act = log_p.argmax(1).reshape(length.shape)
        due = label.reshape(-1, *[1] * (length.ndim - 1))
        return np.where(due >= 0, 100. * ((act == due) & (length > 1)), np.nan)

    share = [right(*own).mean(-1) for own in zip(*responses(view, mode), strict=True)]
    there = np.ma.masked_invalid(right(*split_sentences(view))).mean()
    made = _made(mode)
    return _over_contexts(np.stack(share), Estimator(
        f'share of {made} whose act is that of the response that is there, by {judge.name}; '
        f'the responses that are there have {float(there):.3g}',
        f'act:{Estimator.of(judge.name).id}:{made.id}'), 'whose act is not known')


# Diversity and length.

def distinct(view: Evaluator, n: int, mode: str = 'sample') -> Value:
    """Counts distinct n-grams in all responses; the number grows with the contexts.

    References:
      Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models",
      2016, arXiv:1510.03055.
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.
    """
    tokens, length = responses(view, mode)
    flat = lambda x, *more: x.reshape(view.seeds, -1, *more)
    value = np.array([
        sentences.distinct(sentences.words_of(*own), n) for own in
        zip(flat(tokens, tokens.shape[-1]), flat(length), strict=True)], np.float64)
    made = _made(mode)
    return Value(value, Estimator(
        f'number of distinct {n}-grams of words in {made} to each context, in a row across '
        'their borders', f'distinct-{n}:{made.id}'), view.n, SAMPLES)


def _share(of, n):
    """Distinct n-grams of some sentences over all of theirs; nan where there are none."""
    grams = [gram for s in of for gram in zip(*(s[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else np.nan


def _alone(of, n):
    """The mean of the shares of the sentences that have n words."""
    shares = [_share([s], n) for s in of if len(s) >= n]
    return np.mean(shares) if shares else np.nan


_AMONG = {'intra': (_alone, 'a response, mean over'), 'inter': (_share, 'all')}


def distinct_share(view: Evaluator, n: int, among: str, mode: str = 'sample') -> Value | None:
    """Measures the share of distinct n-grams among all n-grams, of each response alone or of
    the responses to a context together. A context without any counts 0.

    Random sentences have most of it.

    Args:
      view: the `Evaluator`.
      n: of n-grams.
      among: 'intra' (each response) or 'inter' (all to a context).
      mode: of decoding.

    References:
      Gu et al., "DialogWAE: Multimodal Response Generation with Conditional Wasserstein
      Auto-Encoder", 2019, arXiv:1805.12352.
    """
    score, text = _AMONG[among]
    x = np.nan_to_num([[score([s[s >= 0].tolist() for s in own], n) for own in said]
                       for said in ended(*responses(view, mode))])
    made = _made(mode)
    return average(x, Estimator(
        f'distinct {n}-grams over {n}-grams of {text} {made} to a context',
        f'distinct-{n}:{among}:{made.id}'), SAMPLES)


def response_length(view: Evaluator, mode: str = 'sample') -> Value:
    """Measures the mean number of words of a response."""
    length, made = responses(view, mode)[1] - 1, _made(mode)
    there = (view.field('length') - 1).mean()
    return average(length.mean(-1), Estimator(
        f'words without </s>, {made}; the responses that are there have {there:.3g}',
        f'words:{made.id}'), SAMPLES)


_NEEDS, _BASE = (('respond',),), ('tokens', 'length', 'context')
_SET = (*_BASE, 'reference', 'truth/exact')


def _metric(compute: Callable[..., Value | None], unit, better, bounds, fields=_BASE,
            **options) -> Metric:
    return Metric(functools.partial(compute, **options), _NEEDS, unit, better, fields, bounds)


def _both(mode):
    """The metrics that every way of decoding has, without their endings."""
    return {
        **{f'bleu_{n}_{part}': _metric(bleu, 'BLEU x 100', 'higher', PERCENT, n=n, part=part,
                                       mode=mode) for n in range(1, 5) for part in PARTS},
        **{f'{bag}_{part}': _metric(bow, 'cosine', 'higher', SHARE, (*_BASE, 'judge/words'),
                                    bag=bag, part=part, mode=mode)
           for bag in BAGS for part in PARTS},
        **{f'valid_{part}': _metric(valid, '%', 'higher', PERCENT, _SET, part=part, mode=mode)
           for part in PARTS},
        'act_accuracy': _metric(act_accuracy, '%', 'higher', PERCENT,
                                (*_BASE, 'label', 'judge/style'), mode=mode),
        **{f'response_dis_{n}': _metric(distinct, f'{n}-grams', 'higher', NONNEGATIVE, n=n,
                                        mode=mode) for n in (1, 2)},
        **{f'response_dis_{n}_{among}': _metric(distinct_share, 'share', 'higher', SHARE, n=n,
                                                among=among, mode=mode)
           for among in _AMONG for n in (1, 2)},
        'response_length': _metric(response_length, 'words', None, NONNEGATIVE, mode=mode),
    }


METRICS = {**_both('sample'), **{f'{k}_greedy': m for k, m in _both('greedy').items()}}
