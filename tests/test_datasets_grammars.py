"""Corpora whose right rewrites are known: what holds of every sentence of them."""
import collections
import json

import numpy as np
import pytest

from vaebench import datasets, schema
from vaebench.datasets import grammars
from vaebench.datasets.text_files import SPECIALS
from vaebench.errors import UserError

NAMES = 'two_style', 'register', 'analogy', 'simplify'
CONTRACT = {
    'two_style': {'tokens', 'length', 'label', 'reference'},
    'register': {'tokens', 'length', 'label', 'reference'},
    'analogy': {'tokens', 'length', 'reference', 'second', 'third'},
    'simplify': {'tokens', 'length', 'label', 'reference'},
}


def load(name, sentences=2000, eval_sentences=300, **options):
    return datasets.load(name, sentences=sentences, eval_sentences=eval_sentences, **options)


def said(columns, vocab):
    """Sentences as words; of references a list each."""
    if columns['tokens'].ndim == 3:
        parts = [{k: v[:, r] for k, v in columns.items()} for r in range(columns['tokens'].shape[1])]
        return [list(row) for row in zip(*(said(p, vocab) for p in parts), strict=True)]
    return [tuple(vocab[i] for i in row[1:n]) for row, n in zip(columns['tokens'], columns['length'], strict=True)]


def words(d, split, name=None):
    columns = d.splits[split]
    return said(columns[name] if name else columns, d.schema['tokens'].names)


# What all have in common

@pytest.mark.parametrize('name', NAMES)
def test_columns_are_as_the_schema_says(name):
    d = load(name)
    assert d.source.sizes == {'train': 2000, 'valid': 300, 'test': 300} and d.item == 'sentence'
    fields = dict(schema.leaves(d.schema))
    for split, columns in d.splits.items():
        wanted = CONTRACT[name] if split != 'train' else {'tokens', 'length'} | {'label', 'target'} & set(columns)
        assert set(columns) == wanted
        for place, values in schema.flat(columns):
            field = fields[place]
            assert values.dtype == np.int32 and len(values) == d.source.sizes[split]
            if field.kind == 'tokens':
                assert values.ndim == 1 + len(field.shape) and values.max() < field.size == len(field.names)
                assert values.shape[1:-1] == field.shape[:-1] and (values[..., 0] == 1).all()
                assert not (values == 3).any()             # every word is known
            if field.kind == 'length':
                assert values.shape[1:] == field.shape and values.max() <= field.size
                tokens = schema.over(lambda x: x, columns)
                for part in place.split('/')[:-1]:
                    tokens = tokens[part]
                ends = np.take_along_axis(tokens['tokens'], values[..., None], -1)
                assert (ends == 2).all()
    json.dumps(d.source.facts)
    # Metrics find what they ask for, and training takes batches of every column.
    assert {'style_words', 'stop_words', 'exact'} <= set(d.truth)
    style, stop = (set(d.truth[k].tolist()) for k in ('style_words', 'stop_words'))
    assert not style & stop and min(style | stop) >= len(SPECIALS) and d.truth['exact'] is (name != 'simplify')
    picked = schema.select(d.splits['test'], [3, 1])
    assert picked['reference']['tokens'].shape[0] == 2


@pytest.mark.parametrize('name', NAMES)
def test_draws(name):
    d, more = load(name, 64, 8), load(name, 128, 16)
    for split, n in (('train', 64), ('valid', 8), ('test', 8)):       # fewer are the beginning of more
        assert words(d, split) == words(more, split)[:n]
    assert load(name, 64, 8).source == d.source
    assert load(name, 64, 8, seed=1).source.sha256 != d.source.sha256
    splits = [words(load(name, 300), s) for s in ('train', 'valid', 'test')]
    for i in range(3):                                 # streams of their own: row by row other sentences
        a, b = splits[i], splits[i - 1]
        assert sum(x == y for x, y in zip(a, b, strict=True)) < 10
    for bad, message in (({'seed': -1}, 'seed=-1'), ({'sentences': 0}, 'sentences=0'),
                         ({'eval_sentences': 0}, 'eval_sentences=0'), ({'sentences': 'x'}, "sentences='x'")):
        with pytest.raises(UserError, match=message):
            datasets.load(name, **bad)


@pytest.mark.parametrize('name,sha256', [
    ('two_style', '74290b1343551e483d270904cc3cbc2ef871bab65b33cebb649b49c7d8e50d66'),
    ('register', '3572c7b5b13829c94744fa3b09cc1ef2ed9812fc6328e5a99fc4d7f0ec1f3013'),
    ('analogy', '979a5d95c4786c1c23a1323173620cb196c783b480d861027a2d799517e6701a'),
    ('simplify', '759e13a82a3be10757bc64e1f8eb3a8a6340d1001741e981cfcc637645a70a45'),
])
def test_the_same_everywhere(name, sha256):
    assert load(name, 100, 10).source.sha256 == sha256


@pytest.mark.parametrize('make', [grammars._reviews, grammars._remarks, grammars._tales, grammars._reports])
def test_factors_are_uniform(make):
    grammar = make()
    n = 20_000
    factors = grammar.draw(n, [5])
    assert set(factors) == set(grammar.levels) and next(iter(factors)) == 'form'
    for name, levels in grammar.levels.items():
        counts = np.bincount(factors[name], minlength=levels)
        assert len(counts) == levels
        assert ((counts - n / levels) ** 2 / (n / levels)).sum() < levels - 1 + 5 * np.sqrt(2 * levels)


# Two styles

@pytest.fixture(scope='module')
def reviews():
    return load('two_style', 4000, 1000)


def test_a_rewrite_is_an_involution_that_changes_style_words_alone(reviews):
    d, vocab = reviews, reviews.schema['tokens'].names
    swap, style = d.truth['swap'], set(d.truth['style_words'].tolist())
    ids = np.arange(len(vocab))
    np.testing.assert_array_equal(swap[swap], ids)
    assert set(ids[swap != ids].tolist()) == style                        # every style word has a partner
    for split in ('valid', 'test'):
        columns = d.splits[split]
        reference = columns['reference']
        assert reference['tokens'].shape[1] == 1
        np.testing.assert_array_equal(reference['length'][:, 0], columns['length'])
        width = columns['tokens'].shape[1]
        np.testing.assert_array_equal(reference['tokens'][:, 0, :width], swap[columns['tokens']])
        moved = np.isin(columns['tokens'], list(style)).sum(1)
        assert moved.min() >= 1 and moved.max() >= 3                      # no rewrite is the sentence itself


def test_the_gold_rewrite_has_the_other_style(reviews):
    """A style word belongs to one style: no sentence has words of both, in train or in references."""
    d = reviews
    of = {w: {k for s, k in zip(words(d, 'train'), d.splits['train']['label'].tolist(), strict=True) if w in s}
          for w in (d.schema['tokens'].names[i] for i in d.truth['style_words'])}
    assert all(len(k) == 1 for k in of.values()), of
    label = d.splits['test']['label']
    for k, (answer,) in zip(label, words(d, 'test', 'reference'), strict=True):
        assert {min(of[w]) for w in answer if w in of} == {1 - k}


def test_pairs_are_told_by_content(reviews):
    """Without style words a sentence and its place tell the pair: so two styles alone teach it."""
    d = reviews
    vocab, swap = d.schema['tokens'].names, d.truth['swap']
    style = set(d.truth['style_words'].tolist())
    grammar = grammars._reviews()
    assert sum('style' in names for names, _ in grammar.slots.values()) == 3
    for slot in ('ADJ', 'VERB', 'OPENER'):
        names, table = grammar.slots[slot]
        assert len(np.unique(table)) == table.size                        # a word stands in one place
        shown = {n for s, (others, t) in grammar.slots.items() for n in others
                 if 'style' not in others and len(np.unique(t)) == t.size}
        assert set(names) - {'style'} <= shown                            # and what decides it is told
    # Forms that hold a style word hold what tells it.
    tells = {'ADJ': {'NOUN', 'DEGREE'}, 'VERB': {'PERSON'}, 'OPENER': {'TIME'}}
    for form in grammar.forms:
        parts = set(form.split())
        assert parts & set(tells) and all(tells[s] <= parts for s in parts & set(tells))
    # By counting: the rest of a sentence never stands with words of two pairs.
    rest = collections.defaultdict(set)
    for row in d.splits['train']['tokens'].tolist():
        rest[tuple('_' if i in style else vocab[i] for i in row)].add(
            tuple(min(i, int(swap[i])) for i in row if i in style))
    assert len(rest) < 4000 and all(len(pairs) == 1 for pairs in rest.values())


def test_styles_alternate_and_lengths_tell_nothing(reviews):
    for columns in reviews.splits.values():
        np.testing.assert_array_equal(columns['label'], np.arange(len(columns['label'])) % 2)
        assert columns['length'].min() == 6 and columns['length'].max() == 13         # 5 to 12 words and </s>
    columns = reviews.splits['train']
    length = [columns['length'][columns['label'] == k] for k in (0, 1)]
    gap = length[0].mean() - length[1].mean()
    assert abs(gap) < 4 * columns['length'].std() * np.sqrt(2 / len(length[0]))
    assert 150 <= len(reviews.schema['tokens'].names) <= 250


@pytest.mark.parametrize('rho', [0, .3, .8, 1.])
def test_rho_is_the_correlation_of_nouns_and_style(rho):
    n = 8000
    d = load('two_style', n, 500, rho=rho)
    grammar = grammars._reviews()
    table = grammar.slots['NOUN'][1]
    group = {str(w): g for kind in table for g in (0, 1) for w in kind[g]}
    assert len(group) == 48
    for split in ('train', 'test'):
        found = [[group[w] for w in s if w in group] for s in words(d, split)]
        assert all(len(g) == 1 for g in found)
        g, style = np.array(found)[:, 0], d.splits[split]['label']
        count = len(g)
        assert abs(np.corrcoef(g, style)[0, 1] - rho) < 4 * np.sqrt((1 - rho**2) / count) + 1e-9
        agree = (g == style).mean()
        assert agree == pytest.approx(d.source.facts['source']['content_accuracy'], abs=2.1 / np.sqrt(count))
    # References keep the nouns, and with them the group.
    for s, (answer,) in zip(words(d, 'test'), words(d, 'test', 'reference'), strict=True):
        assert [w for w in s if w in group] == [w for w in answer if w in group]


@pytest.mark.parametrize('rho', [-.1, 1.1, 'much', True, float('nan')])
def test_bad_rho(rho):
    with pytest.raises(UserError, match='rho=.*: give a number from 0 to 1'):
        load('two_style', rho=rho)


# Register

def test_register_lists_every_right_answer():
    d = load('register', 3000, 400)
    grammar = grammars._remarks()
    meaning, style = {}, {}
    for slot in grammars.SETS:
        names, table = grammar.slots[slot]
        assert names[1] == 'style'
        for i, k in np.ndindex(table.shape[:2]):
            for w in set(table[i, k].tolist()):
                assert w not in meaning                    # a word has one meaning and one style
                meaning[w], style[w] = (slot, i), k
    known = {d.schema['tokens'].names[i] for i in d.truth['style_words']}
    assert known == set(meaning)
    counts = set()
    for s, k, answers in zip(words(d, 'test'), d.splits['test']['label'], words(d, 'test', 'reference'), strict=True):
        assert {style[w] for w in s if w in style} == {k}
        right = {()}
        for w in s:                                        # by brute force
            choices = [v for v in meaning if meaning[v] == meaning[w] and style[v] == 1 - k] if w in meaning else [w]
            right = {(*r, v) for r in right for v in choices}
        assert len(answers) == 8 and set(answers) == right
        counts.add(len(right))
    assert counts == {1, 2, 4, 8}


def test_meanings_are_told_by_content():
    grammar = grammars._remarks()
    for slot, (_, teller) in grammars.SETS.items():
        told = grammar.slots[teller]
        assert told[0] == (slot, teller) and len(np.unique(told[1])) == told[1].size
        for form in grammar.forms:
            assert slot not in form.split() or teller in form.split()


# Analogies

def test_quadruples_are_gold_by_construction():
    grammar = grammars._tales()
    first, second, third, fourth = grammars._quadruples(grammar, 2000, [0, 9])
    names = list(first)
    table = [np.stack([f[k] for k in names], 1) for f in (first, second, third, fourth)]
    one = table[0] != table[1]
    assert (one.sum(1) == 1).all()                                        # s1 and s2 differ in one factor
    np.testing.assert_array_equal(one, table[2] != table[3])              # s3 and s4 in the same one
    np.testing.assert_array_equal(table[1][one], table[2][one])           # in which s2 and s3 agree
    np.testing.assert_array_equal(table[0][one], table[3][one])           # and s1 and s4
    assert ((table[0] != table[3]).sum(1) >= 1).all()                     # the rest of s3 is never that of s1
    counts = one.sum(0)
    assert (counts > 0).all() and abs(counts - 2000 / len(names)).max() < 5 * np.sqrt(2000 / len(names))
    for k, name in enumerate(names):
        assert max(t[:, k].max() for t in table) < grammar.levels[name]


def test_sentences_of_analogies():
    d = load('analogy')
    one, two, three = (words(d, 'test', name) for name in (None, 'second', 'third'))
    four = [answer for answer, in words(d, 'test', 'reference')]
    for s1, s2, s3, s4 in zip(one, two, three, four, strict=True):
        assert len({s1, s2}) == len({s3, s4}) == len({s1, s4}) == 2
    # Where a word that the verb does not depend on is exchanged, s4 is s3 with that exchange.
    slots = grammars._tales().slots
    plain = {str(w) for slot in ('STATE', 'THING') for w in slots[slot][1]}
    seen = 0
    for s1, s2, s3, s4 in zip(one, two, three, four, strict=True):
        changed = [(x, y) for x, y in zip(s1, s2, strict=False) if x != y]
        if len(s1) == len(s2) and len(changed) == 1 and set(changed[0]) <= plain:
            seen += 1
            assert s4 == tuple(changed[0][0] if w == changed[0][1] else w for w in s3)
    assert seen > 30


def test_every_factor_of_a_tale_shows():
    grammar = grammars._tales()
    factors = grammar.draw(5000, [3])
    rows = np.stack(list(factors.values()), 1)
    assert len(np.unique(rows, axis=0)) == len(set(map(tuple, grammar.say(factors))))


# Simplification

def test_pairs_and_references_of_reports():
    d = load('simplify')
    train = d.splits['train']
    assert d.schema['target'].kind == 'rows' and isinstance(train['target'], schema.Rows)
    target = train['target'].index
    np.testing.assert_array_equal(target[target], np.arange(2000))                    # mutual
    np.testing.assert_array_equal(train['label'][target], 1 - train['label'])
    plain = {}
    for slot in grammars.LEXICAL:
        for a, *simple in grammars._reports().slots[slot][1].tolist():
            assert len(set(simple)) == 1
            plain[a] = simple[0]

    def simpler(text):
        for rare, easy in plain.items():
            text = f' {text} '.replace(f' {rare} ', f' {easy} ').strip()
        return text

    def by_hand(sentence):
        """The three ways, by string surgery of the complex sentence."""
        text = simpler(' '.join(sentence))
        if ', who ' not in text:
            return [text] * 3
        before, clause = text.split(' , who ')
        clause, after = clause.split(' , ', 1)
        who = before.split()[-1]
        return [f'{before} {after}', f'{before} {after} the {who} {clause} .', text]

    every = words(d, 'train')
    for i in np.flatnonzero(train['label'] == 0):
        assert ' '.join(every[target[i]]) == by_hand(every[i])[0]
    assert (d.splits['test']['label'] == 0).all() and d.splits['test']['reference']['tokens'].shape[1] == 3
    clauses = 0
    for s, answers in zip(words(d, 'test'), words(d, 'test', 'reference'), strict=True):
        assert [' '.join(a) for a in answers] == by_hand(s) and s not in answers
        clauses += 'who' in s
    assert abs(clauses / 300 - .5) < 4 * .5 / np.sqrt(300)
    batch = schema.select(train, [0, 5])
    np.testing.assert_array_equal(batch['target']['label'], [1, 0])                   # what a method reads


def test_odd_pairs():
    with pytest.raises(UserError, match='sentences=7: an even number'):
        load('simplify', sentences=7)
