"""The Kneser-Ney model against hand computation and a dictionary's."""
import collections
import itertools

import numpy as np
import pytest

from vaebench.judges.language import END, FALLBACK, START, discounts, fit, flat, log_prob, word_nll


def sentences(lists, width=None):
    """Tokens [N, L] and length [N] of lists of words."""
    width = width or max(map(len, lists)) + 2
    tokens = np.zeros((len(lists), width), np.int32)
    for row, words in zip(tokens, lists, strict=True):
        row[:len(words) + 2] = [START, *words, END]
    return tokens, np.array([len(words) + 1 for words in lists], np.int32)


def corpus(n, size, seed=0, least=0, most=6):
    """Random sentences with repeated phrases."""
    rng = np.random.default_rng(seed)
    return [rng.integers(3, size, rng.integers(least, most)).tolist() for _ in range(n)]


def by_hand(lists, size, order, given=None):
    """p(w | context) straight from the definition, with dictionaries."""
    raw = [collections.Counter() for _ in range(order)]
    for words in lists:
        s = (START, *words, END)
        for k in range(1, order + 1):
            raw[k - 1].update(s[i:i + k] for i in range(len(s) - k + 1) if s[i:i + k] != (START,))
    adjusted = [collections.Counter() for _ in range(order)]
    adjusted[-1] = raw[-1]
    for k in range(order - 1):
        for gram in raw[k + 1]:
            adjusted[k][gram[1:]] += 1
        for gram, n in raw[k].items():
            if gram[0] == START:
                adjusted[k][gram] = n
    d = [discounts(np.array([*a.values()])) if given is None else given for a in adjusted]

    def prob(word, context):
        if context is None:
            return 1 / (size - 2)
        a, off = adjusted[len(context)], d[len(context)]
        lower = prob(word, context[1:] if context else None)
        after = [a[(*context, w)] for w in range(size) if (*context, w) in a]
        if not after:
            return lower
        spare = sum(off[min(n, 3) - 1] for n in after)
        n = a.get((*context, word), 0)
        return ((n - off[min(n, 3) - 1] if n else 0) + spare * lower) / sum(after)

    return prob


def test_bigrams_by_hand():
    # a b; a c: b, c and a follow one word each, </s> two. D = 1/2: p(a) = .5/5 + (4 * .5/5)/4
    a, b, c = 3, 4, 5
    model = fit(*sentences([[a, b], [a, c]]), 6, 2, (.5, .5, .5))
    np.testing.assert_allclose(model.unigram, [0, 0, .4, .2, .2, .2], rtol=1e-14)
    p = np.exp(log_prob(model, *sentences([[a, b], [b, a], [a], [c, c, c]])))
    np.testing.assert_allclose(p[0, :3], [.75 + .25 * .2, .25 + .5 * .2, .5 + .5 * .4], rtol=1e-14)
    np.testing.assert_allclose(p[1, :3], [.25 * .2, .5 * .2, .5 * .4], rtol=1e-14)
    np.testing.assert_allclose(p[2, :2], [.8, .5 * .4], rtol=1e-14)
    np.testing.assert_allclose(p[3, 1:3], [.1, .1], rtol=1e-14)


def test_single_words_count_what_they_follow():
    # 'f' comes often but only after 's'; 'x' rarely but after everything
    s, f, x, o = 3, 4, 5, 6
    lists = [[s, f]] * 9 + [[o, x], [s, x], [x, x]]
    model = fit(*sentences(lists), 7, 2)
    often = fit(*sentences(lists), 7, 1)
    assert model.unigram[f] < model.unigram[x]
    assert often.unigram[f] > often.unigram[x]
    d = FALLBACK                        # counts of counts: f 1, o 1, s 1, x 4, </s> 2, hence n_3 = 0
    spare = (3 * d[0] + d[1] + d[2]) / 9 / 5
    np.testing.assert_allclose(model.unigram[[f, x, END]], np.array([1 - d[0], 4 - d[2], 2 - d[1]]) / 9 + spare,
                               rtol=1e-14)


@pytest.mark.parametrize('given', [None, (.75, .75, .75)])
@pytest.mark.parametrize('order', [1, 2, 3, 5])
def test_any_order_against_dictionaries(order, given):
    size, lists = 7, corpus(60, 7)
    model, prob = fit(*sentences(lists), size, order, given), by_hand(lists, size, order, given)
    other = [*corpus(30, 7, seed=1, most=9), []]
    tokens, length = sentences(other)
    log_p = log_prob(model, tokens, length)
    for row, s in zip(log_p, other, strict=True):
        s = START, *s, END
        want = [np.log(prob(s[i], s[max(i - order + 1, 0):i])) for i in range(1, len(s))]
        np.testing.assert_allclose(row[:len(want)], want, rtol=1e-10)
        assert (row[len(want):] == 0).all()


def test_probabilities_sum_to_one_after_every_context():
    size, lists = 8, corpus(80, 7)                      # word 7 is never seen
    model = fit(*sentences(lists), size)
    contexts = [list(c) for n in range(3) for c in itertools.product(range(3, size), repeat=n)]
    contexts += [s for s in lists if len(s) > 2][:20] + corpus(20, size, seed=2, least=4, most=9)
    for context in contexts:
        lists = [[*context, w] for w in range(3, size)] + [context]
        log_p = log_prob(model, *sentences(lists, len(context) + 3))
        p = np.exp([log_p[i, len(context)] for i in range(len(lists))])
        assert (p > 0).all()
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(model.unigram.sum(), 1, rtol=1e-12)


def test_sentences_are_events():
    # over all sentences, p sums to one: what is missing is the mass of the long ones
    model = fit(*sentences([[3], [3, 4], [4]]), 5, 3)
    mass = [np.exp(log_prob(model, *sentences([list(s) for s in itertools.product((3, 4), repeat=n)])).sum(1)).sum()
            for n in range(9)]
    assert .95 < sum(mass) < 1 and np.all(np.diff(mass[1:]) < 0)


def test_uniform_corpora():
    k, n = 6, 40
    words = np.arange(3, 3 + k).tolist()
    same = sentences([words] * n)                       # every word and </s> as often: exactly uniform
    nll = word_nll(fit(*same, 3 + k, 1), *same)
    np.testing.assert_allclose(np.exp(nll.sum() / (n * k)), k + 1, rtol=1e-12)
    rng = np.random.default_rng(0)
    train, test = (sentences(rng.integers(3, 3 + k, (m, 5)).tolist()) for m in (4000, 500))
    for order, far in ((1, .05), (2, .05), (5, .2)):    # no model knows more: six words share 5/6 with </s>
        ppl = np.exp(word_nll(fit(*train, 3 + k, order), *test).sum() / 2500)
        assert abs(ppl - 7.2) < far, (order, ppl)


def test_order_of_words_tells_fluent_text():
    rng = np.random.default_rng(0)
    runs = [(3 + (rng.integers(6) + np.arange(rng.integers(3, 8))) % 6).tolist() for _ in range(300)]   # 3 4 5 ... 8 3
    model = fit(*sentences(runs[:250]), 9)
    mixed = [rng.permutation(s).tolist() for s in runs]
    ppl = [np.exp(word_nll(model, *sentences(x[250:])).sum() / sum(map(len, x[250:]))) for x in (runs, mixed)]
    assert ppl[0] < 2.2 and ppl[1] > 10, ppl


def test_padding_and_order_change_nothing():
    lists = corpus(50, 9)
    tokens, length = sentences(lists, 20)
    tokens[np.arange(20) > length[:, None]] = 5         # anything may stand after </s>
    a, b = fit(*sentences(lists), 9), fit(tokens[::-1], length[::-1], 9)
    for x, y in zip([a.unigram, *a.keys, *a.share, *a.back], [b.unigram, *b.keys, *b.share, *b.back], strict=True):
        np.testing.assert_array_equal(x, y)
    narrow = log_prob(a, *sentences(lists))
    np.testing.assert_array_equal(log_prob(a, tokens, length)[:, :narrow.shape[1]], narrow)


def test_end_is_left_out_of_word_nll():
    model = fit(*sentences(corpus(50, 9)), 9)
    tokens, length = sentences([[3, 4, 5], [], [6]])
    log_p = log_prob(model, tokens, length)
    np.testing.assert_allclose(word_nll(model, tokens, length), [-log_p[0, :3].sum(), 0, -log_p[2, 0]], rtol=1e-14)


def test_short_corpora():
    model = fit(*sentences([[]] * 3), 5)                # nothing but </s>: the higher orders are empty
    assert len(model.keys[0]) == 1 and not any(map(len, model.keys[1:]))
    assert np.isfinite(log_prob(model, *sentences([[3, 4]]))).all()
    assert [x.tolist() for x in flat(*sentences([[]]))] == [[START, END], [0, 1]]


def test_discounts():
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 5])
    y = 8 / 16
    np.testing.assert_allclose(discounts(counts), [1 - 2 * y * .5, 2 - 3 * y * .5, 3 - 4 * y * .5], rtol=1e-14)
    assert discounts(np.repeat([1, 2, 3], [1, 4, 40])).tolist() == list(FALLBACK)     # the formula gives D_2 < 0
    assert discounts(np.repeat([1, 3], 5)).tolist() == list(FALLBACK)
