"""Judges of sentences: the classifier of style, word vectors and the trigram model."""
import jax
import numpy as np
import pytest
from scipy import sparse

from vaebench import datasets, judges, schema
from vaebench.engine import loop
from vaebench.judges import language, learned, text, words
from vaebench.networks.text_cnn import text_cnn

VOCAB = ('<pad>', '<s>', '</s>', '<unk>', 'good', 'bad', *(f'w{i}' for i in range(14)))
GOOD, BAD = 4, 5
FEW = {'EMBED': 64, 'WIDTHS': (2, 3), 'CHANNELS': 32, 'LEAST': 60}


def framed(lists, width=None):
    """{'tokens', 'length'} of lists of ids."""
    tokens = np.zeros((len(lists), width or max(map(len, lists)) + 2), np.int32)
    for row, ids in zip(tokens, lists, strict=True):
        row[:len(ids) + 2] = [1, *ids, 2]
    return {'tokens': tokens, 'length': np.array([len(ids) + 1 for ids in lists], np.int32)}


def styled(n, seed=0, labels=(0, 1)):
    """Sentences of random words, one of which is good (label 1) or bad (label 0)."""
    rng = np.random.default_rng(seed)
    label = rng.choice(labels, n)
    lists = [rng.integers(6, len(VOCAB), rng.integers(2, 9)).tolist() for _ in range(n)]
    for ids, y in zip(lists, label, strict=True):
        ids[rng.integers(len(ids))] = GOOD if y else BAD
    return framed(lists, 10) | {'label': label.astype(np.int32)}


def corpus(sizes=(300, 60, 60), **parts):
    splits = dict(zip(('train', 'valid', 'test'), map(styled, sizes, range(3)), strict=True))
    return datasets.text_dataset('styled', splits | parts, VOCAB, {'label': schema.label(2)})


@pytest.fixture(autouse=True, scope='module')
def small():
    """Small networks: the tests ask what the judge is, not how good."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in FEW.items():
            patch.setattr(text, name, value)
        yield


@pytest.fixture(scope='module')
def trained(small, tmp_path_factory):
    """(data, folder, judge)."""
    folder = tmp_path_factory.mktemp('features')
    return corpus(), folder, text.judge(corpus(), folder)


# Style.

def test_the_classifier_learns_and_says_its_accuracy(trained):
    data, _, judge = trained
    test = data.splits['test']
    log_p = judge.log_probs(test['tokens'], test['length'])
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, rtol=1e-5)
    right = (log_p.argmax(1) == test['label']).mean()
    assert judge.accuracy == pytest.approx(right) and right > .9
    assert str(judge.name) == (f"the suite's convolutional classifier {judge.digest}, accuracy "
                               f'{100 * right:.1f}% on the test split')
    assert judge.name.id == f'text-cnn-{judge.digest}' and len(judge.digest) == 8


def test_padding_and_company_change_no_answer(trained):
    data, _, judge = trained
    test = data.splits['test']
    log_p = judge.log_probs(test['tokens'], test['length'])
    wide = np.pad(test['tokens'], ((0, 0), (0, 9)), constant_values=GOOD)   # after </s>
    np.testing.assert_allclose(judge.log_probs(wide, test['length']), log_p, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(judge.log_probs(test['tokens'][:3], test['length'][:3]),
                               log_p[:3], rtol=1e-5, atol=1e-6)
    some = judge.log_probs(**framed([[], [6], [6, 7]]))          # shorter than any window
    assert some.shape == (3, 2) and np.isfinite(some).all()


def test_a_kept_judge_is_not_trained_again(trained, monkeypatch):
    data, folder, judge = trained

    def fail(*args, **kwargs):
        raise AssertionError('trained again')

    monkeypatch.setattr(loop, 'run', fail)
    again, x = text.judge(data, folder), data.splits['test']
    assert again.name == judge.name
    np.testing.assert_array_equal(again.log_probs(x['tokens'], x['length']),
                                  judge.log_probs(x['tokens'], x['length']))
    monkeypatch.setattr(text, 'SEED', 1)                         # another seed, another judge
    with pytest.raises(AssertionError, match='again'):
        text.judge(data, folder)


def test_where_a_split_lacks_a_label_others_take_its_place():
    one = styled(40, 5, labels=(0,))
    both, no_test, no_valid = corpus(), corpus(test=one), corpus(valid=one)
    # neutral sentences, to be rewritten to either style
    neutral = {k: np.concatenate([v, v]) for k, v in styled(20, 6).items()}
    neutral['label'] = np.repeat(np.int32([0, 1]), 20)
    for data, sizes, place in (
            (corpus(test=neutral), [300, 60, 60],
             'the validation split, which chose its parameters'),
            (corpus(valid=neutral), [270, 30, 60], 'the test split'),
            (both, [300, 60, 60], 'the test split'),
            (no_test, [300, 60, 60], 'the validation split, which chose its parameters'),
            (no_valid, [270, 30, 60], 'the test split'),
            (corpus(valid=one, test=one), [270, 30, 30],
             'a tenth of the training split, which chose its parameters')):
        parts, said = text._parts(data)
        assert ([len(p['label']) for p in parts], said) == (sizes, place)
        assert all(len(set(p['label'])) == 2 for p in parts)
    (learn, valid, test), _ = text._parts(no_valid)
    held = np.sort(np.concatenate([learn['length'], valid['length']]))
    np.testing.assert_array_equal(held, np.sort(both.splits['train']['length']))


def test_rows_without_a_label_are_not_learned_from():
    train = styled(50)
    train['label'][::5] = -1
    assert len(text._parts(corpus(train=train))[0][0]['label']) == 40


def test_judges_that_data_have():
    bare = {s: {k: c[k] for k in ('tokens', 'length')} for s, c in corpus().splits.items()}
    kinds = {'language', 'trigram', 'words'}
    assert set(judges.of(corpus())) == kinds | {'style'}
    assert set(judges.of(datasets.text_dataset('bare', bare, VOCAB))) == kinds
    one = {s: styled(9, labels=(1,)) for s in ('train', 'valid', 'test')}
    assert set(judges.of(corpus(**one))) == kinds


def test_features_of_a_sentence_against_a_loop():
    kit = text_cnn(corpus().schema, dict(embed=3, widths=(2, 3), channels=4, dropout=.5))
    enc = kit.encoder()
    params = enc.init(jax.random.key(0))
    lists = [[4, 9, 6, 6], [7], [5, 8]]
    seen = enc.apply(params, framed(lists)).last
    for ids, row in zip(lists, np.asarray(seen), strict=True):
        want = []
        for width in (2, 3):
            layer, zero = params[f'width{width}'], np.zeros((width - 1, 3))
            x = np.concatenate([zero, np.asarray(params['embedding'])[ids], zero])
            windows = [np.einsum('we,wec->c', x[i:i + width], layer['kernel']) + layer['bias']
                       for i in range(len(x) - width + 1)]
            want += np.maximum(windows, 0).max(0).tolist()
        np.testing.assert_allclose(row, want, rtol=1e-5, atol=1e-6)
    dropped = enc.apply(params, framed(lists), jax.random.key(1)).last
    assert 0 < (np.asarray(dropped) == 0).mean() < 1 and kit.features == 8


def test_epochs_are_enough_steps_and_not_too_many():
    assert learned.epochs(1280, 128, 5, 200, 2000) == 20         # 10 steps an epoch
    assert learned.epochs(128 * 100, 128, 5, 200, 2000) == 5
    assert learned.epochs(128 * 1000, 128, 5, 200, 2000) == 2
    assert learned.epochs(128 * 9000, 128, 5, 200, 2000) == 1


# Words.

def test_neighbors_against_a_loop():
    rng = np.random.default_rng(0)
    lists = [rng.integers(3, 12, rng.integers(0, 12)).tolist() for _ in range(40)]
    lists += [[13], [13, 4]]                                     # twice: too rare
    want, count = np.zeros((14, 14)), np.bincount(np.concatenate(lists).astype(int))
    for ids in lists:
        for i, a in enumerate(ids):
            for j, b in enumerate(ids):
                want[a, b] += i != j and abs(i - j) <= 5 and min(count[a], count[b]) >= 5
    assert want[3].any() and not want[13].any()
    np.testing.assert_array_equal(words.neighbors(*framed(lists).values(), 14).toarray(), want)


def test_information_against_the_definition():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 5, (6, 6)).astype(float)
    counts += counts.T
    joint = counts / counts.sum()
    context = counts.sum(0)**.75 / (counts.sum(0)**.75).sum()
    with np.errstate(divide='ignore'):
        pmi = np.log(joint / (joint.sum(1)[:, None] * context))
    np.testing.assert_allclose(words.information(sparse.csr_matrix(counts)).toarray(),
                               np.maximum(pmi, 0), atol=1e-12)


def test_vectors_are_the_truncated_decomposition():
    rng = np.random.default_rng(2)
    lists = [rng.integers(3, 3 + 5 + i % 9, 8).tolist() for i in range(60)]
    said = *framed(lists).values(), 18
    found = words.vectors(*said)
    np.testing.assert_array_equal(found, words.vectors(*said))
    matrix = words.information(words.neighbors(*said)).toarray()
    u, s, _ = np.linalg.svd(matrix)
    k = found.shape[1]
    np.testing.assert_allclose(found @ found.T, (u[:, :k] * s[:k]) @ u[:, :k].T, atol=1e-8)
    np.testing.assert_allclose((found**2).sum(0), s[:k], rtol=1e-8)     # the largest first
    top = np.abs(found).argmax(0)
    assert k == np.any(matrix, 1).sum() - 1 and (found[top, range(k)] > 0).all()
    assert not found[:3].any()


def test_words_that_share_company_are_alike():
    rng = np.random.default_rng(3)
    lists = []
    for i in range(300):                    # 4 and 5 stand among 6 to 9, 10 and 11 among others
        a = i % 2
        group = rng.integers(6, 10, 3) if a else rng.integers(12, 16, 3)
        lists.append([(4 + i // 2 % 2) if a else (10 + i // 2 % 2), *group])
    v = words.vectors(*framed(lists).values(), 16)
    v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)
    assert v[4] @ v[5] > .6 > .2 > v[4] @ v[10]


def test_few_words_have_few_dimensions():
    judge = words.judge(datasets.text_dataset('w', {'train': framed([[4, 5]] * 9)}, VOCAB))
    assert judge.vectors().shape[0] == len(VOCAB) and judge.name.id.startswith('ppmi-')
    none = words.vectors(*framed([[4]]).values(), 6)
    assert none.shape == (6, 1) and not none.any()


# Fluency.

LINES = 'the food is good', 'the food is bad', 'the service is good', 'i love the food'
WORDS = ('<pad>', '<s>', '</s>', '<unk>', *['the', 'food', 'is', 'good', 'bad', 'service', 'i', 'love'])


def spelled(*lines):
    return framed([[WORDS.index(w) if w in WORDS else 3 for w in s.split()] for s in lines], 8)


def test_trigram_model_has_the_numbers_of_kenlm():
    data = datasets.text_dataset('lines', {'train': spelled(*LINES)}, WORDS)
    judge = judges.of(data)['trigram']()
    said = spelled('the food is good', 'the service is bad', 'food the good is',
                   'i love the zebra', '')
    log10 = -judge.sentence_nll(**said) / np.log(10)
    np.testing.assert_allclose(log10, [-2.024830, -2.976532, -5.757458, -4.018468, -1.201645],
                               rtol=0, atol=5e-7)
    assert (judge.name, judge.name.id) == ('a Kneser-Ney 3-gram model', 'kneser-ney-3')
    assert judges.of(data)['language']().name.id == 'kneser-ney-5'


@pytest.mark.parametrize('context', ['the food', 'the zebra', 'good service', 'i', ''])
def test_probabilities_of_the_next_word_sum_to_one(context):
    model = language.fit(*spelled(*LINES).values(), len(WORDS), 3)
    at = len(context.split())
    every = spelled(*(f'{context} {w}' for w in WORDS[3:]), context)
    p = np.exp(language.log_prob(model, *every.values())[:, at])
    assert (p > 0).all() and len(p) == 10
    np.testing.assert_allclose(p.sum(), 1, rtol=0, atol=1e-9)
