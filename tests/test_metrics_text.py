"""Metrics of generated sentences against texts whose numbers are known, and one small LSTM."""
import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from sacrebleu.metrics import BLEU

from vaebench import networks, schema
from vaebench.judges import language
from vaebench.methods import autoencoders
from vaebench.metrics import METRICS, Settings, defined, entries, measure, sentences, text
from vaebench.metrics.qualitative import listings, render, triples

V, KEY = 9, jax.random.key(2)
VOCAB = ('<pad>', '<s>', '</s>', '<unk>', *'abcde')
GENERATION = ('dis_1', 'dis_2', 'self_bleu_2', 'self_bleu_3', 'uni_kl', 'entropy', 'avg_len',
              'fluency', 'fluency_reverse')


def framed(lists, width=9):
    tokens = np.zeros((len(lists), width), np.int32)
    for row, words in zip(tokens, lists, strict=True):
        row[:len(words) + 2] = [1, *words, 2]
    return {'tokens': tokens, 'length': np.array([len(words) + 1 for words in lists], np.int32)}


def random_text(n, seed=0, least=1):
    rng = np.random.default_rng(seed)
    return [rng.integers(3, V, rng.integers(least, 7)).tolist() for _ in range(n)]


def speaker(said):
    """Evals whose 'sample' says the sentences params['said'] [G, n, L] in order, whatever the
    mode.
    """
    evals = {'sample': lambda params, carry, key, n, mode: {
        'tokens': params['said'][:n], 'length': (params['said'][:n] != 0).sum(1) - 1}}
    return evals, {'said': jnp.asarray(np.stack([framed(s)['tokens'] for s in said]))}


def spoken(said, test=None, train=None, **settings):
    """A view of seeds that say the lists of sentences `said`."""
    evals, params = speaker(said)
    train = None if train is None else framed(train)
    return toys.evaluator(evals, params, {}, [framed(test or random_text(5))], KEY,
                Settings(**{'generated': len(said[0]), 'unigrams': len(said[0]), **settings}),
                train=train, vocab=VOCAB)


def value(view, name):
    return measure(view, [name])[name].value


def test_training_text_as_samples():
    corpus = random_text(80)
    words = np.concatenate([s for s in corpus if s])
    p = np.array([*collections.Counter(words.tolist()).values()]) / len(words)
    v = spoken([corpus, corpus[::-1]], train=corpus)
    np.testing.assert_allclose(value(v, 'uni_kl'), 0, atol=1e-15)
    np.testing.assert_allclose(value(v, 'entropy'), -(p * np.log(p)).sum(), rtol=1e-14)
    np.testing.assert_allclose(value(v, 'avg_len'), len(words) / 80, rtol=1e-14)
    model = language.fit(*framed(corpus).values(), V)
    own = np.exp(language.word_nll(model, *framed(corpus).values()).sum() / len(words))
    np.testing.assert_allclose(value(v, 'fluency'), own, rtol=1e-12)
    back = spoken([corpus], test=corpus, train=random_text(9, 5))
    # the same model, the same text
    np.testing.assert_allclose(value(back, 'fluency_reverse'), own, rtol=1e-12)


def test_unigrams_by_hand():
    # p = 1/2, 1/4, 1/4; train 1/4, 1/2, 0, 1/4
    v = spoken([[[3, 3, 4], [5]]], train=[[3, 4], [4, 6]])
    # 5 is skipped
    np.testing.assert_allclose(value(v, 'uni_kl'), .5 * np.log(2) + .25 * np.log(.5),
                               rtol=1e-14)
    np.testing.assert_allclose(value(v, 'entropy'), 1.5 * np.log(2), rtol=1e-14)
    out = measure(v, ['avg_len', 'dis_1', 'dis_2', 'fluency'])
    assert (out['avg_len'].value[0], out['avg_len'].stderr[0], out['avg_len'].n) == (2, 1, 2)
    # 33 34 and, across the border, 45
    assert (out['dis_1'].value[0], out['dis_2'].value[0]) == (3, 3)
    assert out['dis_2'].estimator == (
        'number of distinct 2-grams of words in 2 sentences sampled from the prior, in a '
        'row across their borders')
    assert 'greedy decodings of 2 prior draws' in out['fluency'].estimator


def test_the_law_of_words_is_of_many_sentences_and_beside_that_of_the_training_text():
    train, said = random_text(50, 1), random_text(4, 2)
    v = spoken([said], train=train, unigrams=400)
    out = measure(v, ['uni_kl', 'entropy', 'avg_len'])
    few = measure(spoken([said], train=train), ['uni_kl', 'entropy'])
    words = sum(map(len, train)) / 50 * 400
    for name in few:              # this speaker says the same again
        np.testing.assert_allclose(out[name].value, few[name].value, rtol=1e-12)
        assert (out[name].n, few[name].n, out['avg_len'].n) == (400, 4, 4)
        assert out[name].estimator.id.endswith('greedy-400')
        assert out[name].note.startswith('400 sentences drawn from the training text itself')
    floor, own = (float(out[name].note.split()[-1]) for name in ('uni_kl', 'entropy'))
    kinds = len({w for s in train for w in s})
    assert 0 < floor < 3 * (kinds - 1) / (2 * words)      # its mean is a third of that
    p = np.bincount([w for s in train for w in s]) / sum(map(len, train))
    assert own == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum(), rel=.02)
    assert measure(spoken([said]), ['entropy'])['entropy'].note is None


def test_distinct_against_sets():
    words = np.random.default_rng(0).integers(3, 9, 200)
    for n in (1, 2, 3, 4):
        grams = {tuple(words[i:i + n]) for i in range(len(words) - n + 1)}
        assert sentences.distinct(words, n) == len(grams)
        assert sentences.distinct(words[:0], n) == 0
    assert sentences.distinct(words[:1], 2) == 0


def test_fluency_error_is_that_of_sentences():
    train, n = random_text(200, 1), 100
    out = measure(spoken([random_text(n, s) for s in range(2, 42)], train=train),
                  ['fluency'])['fluency']
    assert .7 < out.value.std(ddof=1) / out.stderr.mean() < 1.4


def test_self_bleu():
    same = [np.array([3, 4, 5, 6])] * 5
    apart = [np.array([3, 4, 5]), np.array([6, 7, 8]), np.array([9, 10, 11])]
    for order in (2, 3):
        np.testing.assert_allclose(sentences.self_bleu_of(same, order), 1, rtol=1e-14)
        assert (sentences.self_bleu_of(apart, order) == 0).all()
    # by hand: one word, no pair
    one = sentences.self_bleu_of([np.array([3, 4, 5]), np.array([5, 7, 8, 9])], 2)
    np.testing.assert_allclose(
        one, [np.exp(-1 / 3) * (1 / 3 * .1 / 2)**.5, (1 / 4 * .1 / 3)**.5], rtol=1e-14)


@pytest.mark.parametrize('order', [1, 2, 3, 4])
def test_self_bleu_against_sacrebleu(order):
    said = [np.array(s) for s in random_text(40, least=4)]
    strings = [' '.join(map(str, s)) for s in said]
    bleu = BLEU(tokenize='none', smooth_method='floor', smooth_value=.1, max_ngram_order=order)
    want = [
        bleu.sentence_score(s, strings[:i] + strings[i + 1:]).score / 100
        for i, s in enumerate(strings)
    ]
    np.testing.assert_allclose(sentences.self_bleu_of(said, order), want, rtol=1e-10)


def test_self_bleu_of_empty_sentences():
    out = sentences.self_bleu_of([np.array([], int), np.array([], int), np.array([3])], 2)
    assert (out == 0).all()
    v = spoken([[[]] * 4], train=[[3]])
    out = measure(v, GENERATION)
    assert out['avg_len'].value == out['self_bleu_2'].value == out['dis_1'].value == 0
    assert out['fluency'].warning == out['entropy'].warning == ['not finite for 1 of 1']
    assert measure(spoken([[[3]]]), ['self_bleu_2'])['self_bleu_2'] is None
    assert entries(measure(spoken([[[3]]]), ['self_bleu_2']), v, 0) == {}


def test_what_the_data_must_hold():
    corpus = random_text(9)
    v = spoken([corpus])
    assert not any(
        defined(n, v.evals, v.data.names)
        for n in ('uni_kl', 'fluency', 'bleu', 'rouge_interpolation'))
    assert defined('fluency_reverse', v.evals, v.data.names) and defined('dis_1', v.evals, v.data.names)
    assert not any(
        defined(n, {'sample', 'encode', 'decode'}, {'x', 'label'}) for n in text.METRICS)
    assert all(
        set(text.METRICS[n].fields) <= set(spoken([corpus], train=corpus).data.names)
        for n in text.METRICS)


# Autoencoders that know their sentences by heart.

def reciter(lists):
    """A perfect autoencoder: code [place], and says the sentence whose place is next; [G =
    1]."""
    data = framed(lists) | {'place': np.arange(len(lists), dtype=np.float32)[:, None]}
    evals = {'encode': lambda params, carry, batch: batch['place'],
             'decode': lambda params, carry, z, key, mode: {
                 k: params[k][jnp.clip(jnp.round(z[:, 0]), 0, len(lists) - 1).astype(int)]
                 for k in ('tokens', 'length')}}
    params = {k: jnp.asarray(data[k])[None] for k in ('tokens', 'length')}
    return evals, params, data


def recited(lists, rows=None, **settings):
    evals, params, data = reciter(lists)
    cut = lambda rows: {k: v[rows] for k, v in data.items()} | {'index': np.asarray(rows)}
    buckets = [cut(r) for r in rows or [np.arange(len(lists))]]
    for b in buckets:
        b['tokens'] = b['tokens'][:, :b['length'].max() + 1]
    return toys.evaluator(evals, params, {}, buckets, KEY, Settings(batch=4, **settings))


def f1(a, b):
    """Rouge-L F1 by the textbook's table."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1,
                  j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    return 2 * table[-1, -1] / (len(a) + len(b))


def test_rouge_l_against_the_table():
    said, meant = random_text(60, 1), random_text(60, 2)
    out = sentences.rouge_l(*(sentences.ended(**framed(s)) for s in (said, meant)))
    np.testing.assert_allclose(out, [f1(a, b) for a, b in zip(said, meant, strict=True)],
                               rtol=1e-14)
    np.testing.assert_array_equal(
        sentences.rouge_l(*(sentences.ended(**framed(s)) for s in (meant, said))), out)
    empty = sentences.ended(**framed([[], [3]]))
    assert sentences.rouge_l(empty, empty[::-1]).tolist() == [0, 0] and sentences.rouge_l(
        empty, empty).tolist() == [1, 1]


def test_perfect_autoencoder_at_the_ends():
    lists = random_text(30, least=3)
    v = recited(lists, [np.arange(0, 30, 2), np.arange(1, 30, 2)])
    score = text.rouge_of_lines(v)
    ends = sentences.pairs(np.array([len(s) + 1 for s in lists]), text.PAIRS)
    assert score.shape == (1, len(ends), 11) and len(ends) > 5
    want = [(1 + f1(lists[b], lists[a])) / 2 for a, b in ends]
    np.testing.assert_allclose(score[0, :, 0], want, rtol=1e-14)
    np.testing.assert_allclose(score[0, :, -1], want, rtol=1e-14)
    whole = recited(lists)
    # whatever the buckets
    np.testing.assert_array_equal(text.rouge_of_lines(whole), score)
    out = measure(v, ['rouge_interpolation', 'bleu', 'bleu_beam'])
    np.testing.assert_allclose(out['rouge_interpolation'].value, score.mean(), rtol=1e-12)
    assert out['rouge_interpolation'].n == len(ends)
    np.testing.assert_allclose([out['bleu'].value, out['bleu_beam'].value], 100, rtol=1e-12)
    assert out['bleu_beam'].estimator == 'corpus BLEU-4, beam decodings of posterior means'


def test_interpolation_is_symmetric():
    v = recited(random_text(30))
    a, b = np.arange(5.)[None, :, None].astype(np.float32), np.array(
        [[[9.], [3.], [20.], [7.], [4.]]], np.float32)
    there, back = sentences.say_between(v, a, b), sentences.say_between(v, b, a)
    for x, y in zip(there, back, strict=True):
        np.testing.assert_array_equal(x, y[:, :, ::-1])
    assert np.abs(np.diff(there[0], axis=2)).max() > 0
    z = sentences.between({'x': a[0], 'y': np.ones(3, np.float32)},
                     {'x': b[0], 'y': np.zeros(3, np.float32)})
    np.testing.assert_array_equal(z['x'][[0, -1]], [a[0], b[0]])
    np.testing.assert_allclose(z['y'][:, 0], 1 - np.arange(11) / 10, atol=1e-7)


def test_pairs_are_neighbours_of_one_length():
    length = np.random.default_rng(0).integers(1, 9, 500)
    every = sentences.pairs(length, 1000)
    assert (length[every[:, 0]] == length[every[:, 1]]).all() and len(
        np.unique(every)) == every.size
    for a, b in every:
        assert not (length[a + 1:b] == length[a]).any()
    some = sentences.pairs(length, 20)
    assert len(some) == 20 and {*map(tuple, some)} < {*map(tuple, every)}
    # not the shortest alone
    assert len(np.unique(length[some[:, 0]])) > 3
    assert sentences.pairs(np.arange(4), 9).shape == (0, 2)
    assert measure(recited([[3], [3, 4]]),
                   ['rouge_interpolation'])['rouge_interpolation'] is None


def test_bleu_of_another_text():
    meant = random_text(40, 2, 4)
    said = [s[:5] + [3 + i % 6] for i, s in enumerate(meant)]
    evals, params, data = reciter(said)
    v = toys.evaluator(evals, params, {}, [framed(meant) | {'place': data['place']}], KEY)
    strings = [[' '.join(map(str, s)) for s in x] for x in (said, meant)]
    want = BLEU(tokenize='none', smooth_method='none').corpus_score(strings[0],
                                                                    [strings[1]]).score
    np.testing.assert_allclose(value(v, 'bleu'), want, rtol=1e-12)
    assert 20 < want < 90
    empty = toys.evaluator(evals, {k: 0 * x + (k == 'length') for k, x in params.items()}, {},
                 [framed(meant) | {'place': data['place']}], KEY)
    assert value(empty, 'bleu') == 0


def test_modes_reach_the_decoder():
    lists = random_text(12, least=4)
    evals, params, data = reciter(lists)
    say = evals['decode']
    evals['decode'] = lambda params, carry, z, key, mode: say(params, carry, z +
                                                              (mode == 'beam'), key, mode)
    out = measure(toys.evaluator(evals, params, {}, [data], KEY), ['bleu', 'bleu_beam'])
    assert out['bleu'].value > 99.9 and out['bleu_beam'].value < 50


# A real model.

PROGRAMS = {}
COLUMNS = schema.text(VOCAB, 7)


@functools.cache
def model(seeds=2):
    kit = networks.build(
        COLUMNS,
        {'name': 'lstm', 'latent': 3, 'embed': 4, 'hidden': 5, 'init_scale': 1., 'dropout': 0.})
    method = autoencoders.vae(kit, toys.recipe())
    batch = toys.all_of(toys.sentences(4, V))
    params, carry = jax.vmap(lambda key: method.init(key, batch))(jax.random.split(KEY, seeds))
    return method, params, carry


@functools.cache
def real(seed=None, generated=130):
    method, params, carry = model()
    if seed is not None:
        params, carry = jax.tree.map(lambda x: x[seed:seed + 1], (params, carry))
    train, test = framed(random_text(60, 3)), framed(random_text(20, 4))
    label = {'label': np.arange(20) % 2}
    return toys.evaluator(method.evals, params, carry, [test | label], KEY,
                Settings(generated=generated, unigrams=150), programs=PROGRAMS, train=train,
                vocab=VOCAB)


def test_sentences_are_drawn_once(monkeypatch):
    v, calls = real(), []
    jit = v.jit
    monkeypatch.setattr(v, 'jit', lambda f, *static: calls.append(f) or jit(f, *static))
    out = measure(v, GENERATION)
    assert len(calls) <= 4                                  # two modes, two chunks each
    again = measure(v, GENERATION)
    assert len(calls) <= 4
    for name in GENERATION:
        assert np.isfinite(out[name].value).all() and out[name].value.shape == (2,)
        np.testing.assert_array_equal(out[name].value, again[name].value)
    sampled, greedy = sentences.drawn(v, 'sample'), sentences.drawn(v, 'greedy')
    for tokens, length in (sampled, greedy):
        assert tokens.shape[:2] == length.shape == (2, 130)
        assert (np.take_along_axis(tokens, length[..., None], 2) == 2).all()
        assert len(np.unique(tokens[0], axis=0)) > 5
    # the modes have programs of their own
    assert (sampled[0] != greedy[0]).any()
    assert (sentences.drawn(v, 'sample')[0][:, :100] != sampled[0][:, 30:]).any()


def test_seeds_and_numbers_keep_their_sentences():
    both, alone, fewer = real(), real(1), real(generated=110)
    np.testing.assert_array_equal(
        sentences.drawn(both, 'sample')[0][1],
        sentences.drawn(alone, 'sample')[0][0])
    np.testing.assert_array_equal(
        sentences.drawn(both, 'greedy')[0][:, :110],
        sentences.drawn(fewer, 'greedy')[0])
    a, b = (measure(v, ('bleu', 'rouge_interpolation')) for v in (both, alone))
    for name in a:
        np.testing.assert_array_equal(a[name].value[1:], b[name].value)


def test_greedy_sentences_are_those_of_the_prior_draws():
    v, (method, params, carry) = real(), model()
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, 1), 2), 0)
    one = jax.tree.map(lambda x: x[0], (params, carry))
    want = method.evals['sample'](*one, key, 100, 'greedy')
    np.testing.assert_array_equal(sentences.drawn(v, 'greedy')[0][0, :100], want['tokens'])
    said = sentences.decode(v, v.codes, 'greedy')
    want = method.evals['decode'](*one, v.codes[0], key, 'greedy')
    np.testing.assert_array_equal(said[0][0], want['tokens'])
    np.testing.assert_array_equal(said[1][0], want['length'])


def test_a_language_model_has_samples():
    kit = networks.build(
        COLUMNS, {'name': 'lstm', 'latent': 3, 'embed': 4, 'hidden': 5, 'init_scale': 1.})
    method = toys.make('lstm_lm', kit)
    params, carry = jax.vmap(lambda key: method.init(key, toys.all_of(toys.sentences(4, V))))(
        jax.random.split(KEY, 1))
    v = toys.evaluator(method.evals, params, carry, [framed(random_text(9))], KEY,
             Settings(generated=40, unigrams=40), train=framed(random_text(60, 3)), vocab=VOCAB)
    out = measure(v, (*GENERATION, 'bleu'))
    assert out['bleu'] is None and all(np.isfinite(out[n].value).all() for n in GENERATION)
    assert len(np.unique(sentences.drawn(v, 'greedy')[0][0], axis=0)) == 1
    assert set(listings(v, ('greedy', 'sample'))) == {'listing/greedy', 'listing/sample'}


def test_listings():
    v = real()
    out = listings(v, ('greedy', 'sample'))
    shapes = {k.removeprefix('listing/'): x.shape[:-1] for k, x in out.items()}
    assert shapes == {
        'greedy': (2, 16), 'sample': (2, 16), 'homotopy': (2, 4, 11),
        'interpolation': (2, 4, 11), 'interpolation_of': (2, 4, 2), 'extrapolation': (2, 4, 11),
        'extrapolation_of': (2, 4, 2), 'analogy': (2, 5), 'analogy_of': (2, 5, 3)
    }
    np.testing.assert_array_equal(out['listing/greedy'], sentences.drawn(v, 'greedy')[0][:, :16])
    tokens, label = v.field('tokens'), v.field('label')
    rows = triples(v)
    assert (label[rows[:, 0]] == label[rows[:, 1]]).all() and (label[rows[:, 0]]
                                                               != label[rows[:, 2]]).all()
    np.testing.assert_array_equal(out['listing/analogy_of'][1], tokens[rows])
    z = v.codes[:, rows[:, 0]] - v.codes[:, rows[:, 1]] + v.codes[:, rows[:, 2]]
    np.testing.assert_array_equal(out['listing/analogy'], sentences.decode(v, z, 'greedy')[0])
    page = render({k: x[0] for k, x in out.items()} | {'codes': v.codes[0]}, VOCAB)
    words = {w for line in page.splitlines() if line.startswith('  ') for w in line.split()}
    assert words <= {
        *VOCAB[3:], *(f'{i / 10:.1f}' for i in range(11)),
        *(f'{i / 2 - 2:.1f}' for i in range(11)), 'from', 'to', 's1', 's2', 's3', 'say'
    }
    lines = page.splitlines()
    assert lines[0] == 'Prior samples, greedy decoding' and lines[1:17] == [
        '  ' + ' '.join(VOCAB[t] for t in s if t > 2) for s in out['listing/greedy'][0]]
    assert lines.index('Interpolation between posterior means') < lines.index(
        'Analogies: s1 - s2 + s3')
    assert render({'codes': v.codes}, VOCAB) == ''


def test_a_perfect_autoencoder_lists_its_text():
    lists = random_text(30, least=3)
    out = listings(recited(lists))                          # no prior: lines and sums alone
    assert set(out) == {
        f'listing/{k}'
        for k in ('interpolation', 'interpolation_of', 'extrapolation', 'extrapolation_of',
                  'analogy', 'analogy_of')
    }
    width = out['listing/interpolation_of'].shape[-1]
    np.testing.assert_array_equal(out['listing/interpolation'][..., [0, -1], :width],
                                  out['listing/interpolation_of'])
    # -2, -1.5, ..., 3: the fifth is 0 and the seventh 1
    np.testing.assert_array_equal(out['listing/extrapolation'][..., [4, 6], :width],
                                  out['listing/extrapolation_of'])
    page = render({k: x[0] for k, x in out.items()}, VOCAB).split('\n')
    assert page[1].removeprefix('  from  ') == page[2].removeprefix('  0.0   ')
    assert page[12].removeprefix('  1.0   ') == page[13].removeprefix('  to    ')
    np.testing.assert_array_equal(triples(recited(lists)), np.arange(18).reshape(6, 3))
    image = toys.evaluator({'encode': 1}, {}, {}, [{'x': np.zeros((2, 2))}], KEY)
    assert listings(image) == {}


def test_units():
    assert {METRICS[n].better
            for n in ('self_bleu_2', 'uni_kl', 'fluency_reverse')} == {'lower'}
    assert METRICS['fluency'].better is None                      # one stock sentence is fluent
    assert {METRICS[n].better
            for n in ('dis_1', 'bleu', 'rouge_interpolation', 'probe_100')} == {'higher'}
