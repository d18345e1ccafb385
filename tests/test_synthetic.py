"""The synthetic corpus: its log p*(x) is exact, and its factors behave as promised."""
import collections
import itertools
import json

import numpy as np
import pytest
from test_datasets import facts

from vaebench import datasets
from vaebench.datasets import synthetic
from vaebench.datasets.text_files import SPECIALS, pack


def tiny(seed=0, factors=2, slots=2, words=3, longest=4):
    """A dense source that can be enumerated."""
    rng = np.random.default_rng(seed)
    def draw(*shape):
        p = rng.random(shape) + .05
        return p / p.sum(-1, keepdims=True)
    onward = draw(longest, slots, slots + 1)
    onward[-1] = [0] * slots + [1]
    emit = np.concatenate([np.zeros((factors, slots, 4)), draw(factors, slots, words)], -1)
    vocab = (*SPECIALS, *'abcdefgh'[:words])
    return synthetic.Source(vocab, draw(factors), draw(slots), onward[..., :-1], onward[..., -1], emit)


def every_sentence(source):
    ids = range(4, len(source.vocab))
    return [np.array(s) for n in range(1, len(source.end) + 1) for s in itertools.product(ids, repeat=n)]


def paths(source, sentence, f):
    """p(f, x) by listing every path of hidden slots."""
    total = 0.
    for path in itertools.product(range(len(source.start)), repeat=len(sentence)):
        p = source.prior[f] * source.start[path[0]]
        for t, (slot, word) in enumerate(zip(path, sentence, strict=True)):
            p *= source.emit[f, slot, word]
            p *= source.move[t, slot, path[t + 1]] if t + 1 < len(path) else source.end[t, slot]
        total += p
    return total


def test_probabilities_of_all_sentences_sum_to_one():
    source = tiny()
    sentences = pack(every_sentence(source))
    assert len(sentences['tokens']) == 3 + 9 + 27 + 81   # no longer ones: the tail's mass is 0
    assert np.exp(source.log_p(**sentences)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize('seed', [1, 2])
def test_log_p_by_listing_factors_and_paths(seed):
    source = tiny(seed, factors=3)
    sentences = every_sentence(source)[::5]
    joint = np.array([[paths(source, s, f) for f in range(3)] for s in sentences])
    packed = pack(sentences)
    np.testing.assert_allclose(np.exp(source.log_joint(**packed)), joint, rtol=1e-12)
    np.testing.assert_allclose(source.log_p(**packed), np.log(joint.sum(-1)), rtol=1e-12)
    posterior = joint / joint.sum(-1, keepdims=True)
    np.testing.assert_allclose(source.entropy_left(**packed), -(posterior * np.log(posterior)).sum(-1), rtol=1e-9)


def test_entropy_left_after_some_words():
    source = tiny(3)
    sentences = every_sentence(source)
    joint = np.array([[paths(source, s, f) for f in range(2)] for s in sentences])
    sentence = next(s for s in sentences if len(s) == 4)
    for k in (1, 2):   # p(f, first words) is the mass of all sentences that begin so
        begins = [len(s) >= k and (s[:k] == sentence[:k]).all() for s in sentences]
        p = joint[begins].sum(0) / joint[begins].sum()
        packed = pack([sentence])
        assert source.entropy_left(**packed, words=k)[0] == pytest.approx(-(p * np.log(p)).sum(), rel=1e-9)


def test_samples_follow_log_p():
    source, n = tiny(4), 20_000
    words, factors = source.sample(n, 0)
    counts = collections.Counter(tuple(w.tolist()) for w in words)
    sentences = every_sentence(source)
    p = np.exp(source.log_p(**pack(sentences)))
    for i in np.argsort(-p)[:20]:
        se = np.sqrt(p[i] * (1 - p[i]) / n)
        assert abs(counts[tuple(sentences[i].tolist())] / n - p[i]) < 4 * se
    rate = np.bincount(factors, minlength=2) / n
    assert (abs(rate - source.prior) < 4 * np.sqrt(source.prior * (1 - source.prior) / n)).all()
    # Samples and their factors belong together: p(f|x) is calibrated.
    joint = np.exp(source.log_joint(**pack(words)))
    posterior = joint / joint.sum(-1, keepdims=True)
    z = ((factors == 1) - posterior[:, 1]).sum() / np.sqrt((posterior[:, 1] * posterior[:, 0]).sum())
    assert abs(z) < 4


def test_frequent_sentences_of_the_real_source():
    source, n = synthetic.source(), 20_000
    words, _ = source.sample(n, 0)
    counts = collections.Counter(tuple(w.tolist()) for w in words)
    likely = np.argsort([-c for c in counts.values()])[:10]
    held_out = collections.Counter(tuple(w.tolist()) for w in source.sample(n, 1)[0])   # not the draw that chose them
    for i in likely:
        sentence = list(counts)[i]
        p = np.exp(source.log_p(**pack([np.array(sentence)])))[0]
        assert abs(held_out[sentence] / n - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_what_the_source_never_says():
    source = tiny()
    good = [1, 4, 5, 2, 0]
    bad = [([2, 4, 5, 2, 0], 3), ([1, 4, 5, 0, 0], 3), ([1, 4, 3, 2, 0], 3), ([1, 4, 0, 2, 0], 3),
           ([1, 4, 99, 2, 0], 3), ([1, 4, -1, 2, 0], 3), ([1, 2, 0, 0, 0], 1), ([1, 4, 5, 4, 5], 5),
           ([1, 4, 5, 4, 5], 4), ([1, 4, 2, 2, 0], 3)]
    values = source.log_p(np.array([good, *(t for t, _ in bad)]), np.array([3, *(n for _, n in bad)]))
    assert np.isfinite(values[0]) and (values[1:] == -np.inf).all()
    # What follows </s> is nobody's business, nor is the array's width.
    assert source.log_p(np.array([[1, 4, 5, 2, 7, 7]]), np.array([3]))[0] == values[0]
    assert source.log_p(np.array([[1, 4, 5, 2]]), np.array([3]))[0] == values[0]
    long = np.array([[1, 4, 4, 4, 4, 4, 2]])
    assert source.log_p(long, np.array([6]))[0] == -np.inf   # five words, four at most


def test_tables_are_distributions():
    source = synthetic.source()
    assert 40 <= len(source.vocab) <= 60 and len(set(source.vocab)) == len(source.vocab)
    np.testing.assert_allclose(source.emit.sum(-1), 1, atol=1e-12)
    assert (source.emit[..., :4] == 0).all() and source.emit[..., 4:].any((0, 1)).all()
    total = source.move.sum(-1) + source.end
    reached = source.start
    for t in range(synthetic.LONGEST):   # every slot that can be reached goes somewhere
        np.testing.assert_allclose(total[t][reached > 0], 1, atol=1e-12)
        assert t + 1 >= synthetic.SHORTEST or not source.end[t].any()
        reached = reached @ source.move[t]
    assert not reached.any()


def test_corpus():
    d = datasets.load('synthetic')
    assert d.source.sizes == {'train': 4096, 'valid': 512, 'test': 512}
    assert d.source.sha256 == '0c068d05e6d9ea624bdcfcd39b609609642b431e963205bf55320d6406eb4bc1'
    known = d.source.facts['source']
    json.dumps(known)
    assert known['factor_entropy'] == pytest.approx(np.log(24))
    assert known['posterior_entropy'] < .06 and known['information'] == pytest.approx(
        known['factor_entropy'] - known['posterior_entropy'])
    left = known['posterior_entropy_after']
    assert left[0] > left[1] > left[2] > known['posterior_entropy'] and left[2] < .5   # most is out by word three
    test = d.splits['test']
    assert known['entropy'] == pytest.approx(-test['log_p'].mean(), abs=1e-5)
    np.testing.assert_allclose(synthetic.log_p(test['tokens'], test['length']), test['log_p'], rtol=1e-6)
    for part in d.splits.values():
        assert part['length'].min() == 5 and part['length'].max() == 13
        assert part['log_p'].dtype == np.float32 and np.isfinite(part['log_p']).all()
        assert part['label'].dtype == np.int32 and set(part['label'].tolist()) == set(range(24))
    # A second sample of the source has the same entropy, as far as its size tells.
    other = datasets.load('synthetic', seed=1).splits['train']['log_p']
    gap = other.mean() - d.splits['train']['log_p'].mean()
    assert abs(gap) < 4 * other.std() * np.sqrt(2 / len(other))


def test_length_tells_nothing_of_the_factors():
    d = datasets.load('synthetic')
    label, length = d.splits['train']['label'], d.splits['train']['length']
    table = np.zeros((24, 14))
    np.add.at(table, (label, length), 1)
    table = table[:, table.any(0)]
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    chi2, dof = ((table - expected) ** 2 / expected).sum(), (table.shape[0] - 1) * (table.shape[1] - 1)
    assert abs(chi2 - dof) < 4 * np.sqrt(2 * dof)


def test_sizes_and_seeds():
    d = datasets.load('synthetic', sentences=64, eval_sentences=8)
    whole = datasets.load('synthetic', sentences=128, eval_sentences=16)
    for split, n in (('train', 64), ('valid', 8), ('test', 8)):   # a shorter one is the beginning of a longer one
        for column in ('length', 'log_p', 'label'):
            np.testing.assert_array_equal(d.splits[split][column], whole.splits[split][column][:n])
    assert facts(datasets.load('synthetic', sentences=64, eval_sentences=8)) == facts(d)
    assert datasets.load('synthetic', sentences=64, eval_sentences=8, seed=1).source.sha256 != d.source.sha256
    with pytest.raises(datasets.UserError, match='seed=-1'):
        datasets.load('synthetic', seed=-1)
