"""Corpora of styles: what is read, what is dropped, and what bad files say."""
import hashlib

import numpy as np
import pytest
from test_datasets import real

from vaebench import datasets, schema
from vaebench.datasets import line_files, simplification, styled, styles
from vaebench.datasets.line_files import tokenize
from vaebench.datasets.sentiment_words import NEGATIVE, POSITIVE, SENTIMENT_WORDS
from vaebench.errors import UserError


def put(folder, **files):
    """A folder of files; '_' in a name stands for '.'."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace('_', '.')).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def said(columns, vocab):
    rows = zip(columns['tokens'], columns['length'], strict=True)
    return [' '.join(vocab[i] for i in row[1:n]) if row.ndim == 1
            else [' '.join(vocab[i] for i in one[1:k]) for one, k in zip(row, n, strict=True)] for row, n in rows]


def words(d, split, name=None):
    columns = d.splits[split]
    return said(columns[name] if name else columns, d.schema['tokens'].names)


def labelled(d, split):
    return list(zip(d.splits[split]['label'].tolist(), words(d, split), strict=True))


# Words

@pytest.mark.parametrize('raw,wanted', [
    ("It wasn't good, and they can't cook.", "it was n't good , and they ca n't cook ."),
    ("I've we'd you'll he's I'm they're o'clock", "i 've we 'd you 'll he 's i 'm they 're o'clock"),
    ('(fresh) staff: "free" 20-30% &c; w/', '( fresh ) staff : " free " 20-30 % & c ; w /'),
    ('um...we paid $1,000 at 9:30', 'um ... we paid $ 1,000 at 9:30'),
    ("``well'' said -- twice!!", "`` well '' said -- twice ! !"),
    ('It\u2019s café U.S. 3.5', "it 's café u.s. 3.5"),
    ("it 's gone , is n't it ?", "it 's gone , is n't it ?"),                # words stay words
])
def test_words_of_raw_text(raw, wanted):
    assert ' '.join(tokenize(raw)) == wanted
    assert tokenize(wanted) == wanted.split()


def test_numbers_and_endings():
    assert tokenize('5 of 3.5 at 5-10, 2nd', '_num_') == ['_num_', 'of', '_num_', 'at', '5-10', ',', '2nd']
    assert ' '.join(tokenize("I've 12, it's John's", 'num_num', endings=False)) == 'i ve num_num , it s john s'


def test_sentiment_words():
    positive, negative = POSITIVE.split(), NEGATIVE.split()
    assert len(positive) > 150 and len(negative) > 150 and not set(positive) & set(negative)
    assert len(set(SENTIMENT_WORDS)) == len(SENTIMENT_WORDS) and all(w == w.lower() for w in SENTIMENT_WORDS)


# Yelp, captions, Amazon

SHEN = {'sentiment_test_0': 'bad food .\nslow staff .\nbad place .\nok .\n',
        'sentiment_test_1': 'good food .\nnice staff .\nok .\ngreat menu .\nlovely .\n',
        'sentiment_dev_0': 'bad place .\nsad place .\nrude staff .\n', 'sentiment_dev_1': 'good food .\nkind staff .\n'}
LI = {'sentiment_test_0': 'rude staff .\n', 'sentiment_test_1': 'lovely .\n',
      'reference_0': "rude staff .\tThe staff isn't rude, 5 stars.\n", 'reference_1': 'lovely .\tNot lovely\n'}


def reviews(path, shen=(), li=()):
    put(path / 'yelp_sentiment', **SHEN | dict(shen))
    put(path / 'li2018' / 'yelp', **LI | dict(li))
    return path


def resplit(path, **options):
    return datasets.load('yelp_resplit', path, check=False, **options)


def test_yelp_resplit_drops_what_other_splits_hold(tmp_path):
    d = resplit(reviews(tmp_path))
    # bad place, good food: in dev; lovely: in Li's test. rude staff: of valid, in test.
    assert labelled(d, 'train') == [(0, 'bad food .'), (1, 'nice staff .'), (0, 'slow staff .'), (1, 'ok .'),
                                    (0, 'ok .'), (1, 'great menu .')]
    assert [s for _, s in labelled(d, 'valid')] == ['bad <unk> .', '<unk> food .', '<unk> <unk> .', '<unk> staff .']
    assert d.source.facts['source']['dropped'] == {'train': 3, 'valid': 1} and d.source.facts['reduced'] is True
    assert labelled(d, 'test') == [(0, '<unk> staff .'), (1, '<unk> .')]
    assert words(d, 'test', 'reference') == [["<unk> staff <unk> <unk> <unk> <unk> <unk> <unk> ."], ['<unk> <unk>']]
    assert d.source.facts['source']['unknown'] == {'sentences': 2 / 5, 'reference': 9 / 11}
    assert d.schema['label'].names == ('negative', 'positive') and 'reference' not in d.splits['valid']
    vocab = d.schema['tokens'].names
    assert {vocab[i] for i in d.truth['style_words']} == {'bad', 'slow', 'nice', 'great'}
    assert d.truth['exact'] is False and d.truth['stop_words'].size == 0


def test_references_are_words_like_the_sentences(tmp_path):
    more = {'sentiment_test_0': "the staff is n't rude , _num_ stars .\nnot lovely\n"}
    d = resplit(reviews(tmp_path, more))
    assert words(d, 'test', 'reference') == [["the staff is n't rude , _num_ stars ."], ['not lovely']]
    names = {d.schema['tokens'].names[i] for i in d.truth['stop_words']}
    assert names == {'the', 'is', 'not'}


@pytest.mark.parametrize('options,train', [
    ({'sentences': 2}, ['bad food .', 'nice staff .']),
    ({'max_words': 2}, ['ok .', 'ok .']),
    ({'vocab': 6}, ['<unk> <unk> .', '<unk> staff .', '<unk> staff .', '<unk> .', '<unk> .', '<unk> <unk> .']),
])
def test_options(tmp_path, options, train):
    li = {'sentiment_test_0': 'dull .\n', 'reference_0': 'dull .\tBright.\n'}
    d = resplit(reviews(tmp_path, {'sentiment_dev_0': 'dull .\nsad .\nbad place .\n'}, li), **options)
    assert [' '.join(s.split()) for s in words(d, 'train')] == train and d.source.facts['reduced'] is True


def one_line(load, *args, **options):
    with pytest.raises(UserError) as e:
        load(*args, **options)
    assert '\n' not in str(e.value)
    return str(e.value)


@pytest.mark.parametrize('shen,li,message', [
    ({}, {'reference_0': 'rude staff .\n'}, 'reference.0, line 1: sentence<TAB>reference is wanted'),
    ({}, {'reference_1': 'nice .\tNot nice\n'}, 'reference.1, line 1: it begins with another sentence'),
    ({}, {'reference_1': 'lovely .\ta\nlovely .\tb\n'}, 'reference.1 has 2 lines and'),
    ({}, {'reference_1': 'lovely .\t \n'}, 'reference.1, line 1: a sentence is wanted; the line is empty'),
    ({'sentiment_dev_1': 'a\n\nb\n'}, {}, 'sentiment.dev.1, line 2: a sentence is wanted'),
    ({'sentiment_test_0': b'fine\nna\xefve\n'}, {}, 'sentiment.test.0, line 2: not utf-8'),
    ({'sentiment_test_1': 'a </s>\n'}, {}, 'sentiment.test.1, line 1: holds </s>'),
    ({'sentiment_test_1': ''}, {}, 'sentiment.test.1 holds no sentence'),
    ({'sentiment_test_0': 'lovely .\n', 'sentiment_test_1': 'lovely .\n'}, {}, 'leave no sentence in train'),
])
def test_bad_reviews(tmp_path, shen, li, message):
    assert message in one_line(resplit, reviews(tmp_path, shen, li))


def test_files_are_checked(tmp_path, monkeypatch):
    path = reviews(tmp_path)
    assert 'sentiment.dev.0 is not the published file: its sha256 is' in one_line(datasets.load, 'yelp_resplit', path)
    hashes = {f'{corpus}/{p.name}': hashlib.sha256(p.read_bytes()).hexdigest()
              for corpus in ('yelp_sentiment', 'li2018/yelp') for p in (path / corpus).iterdir()}
    monkeypatch.setattr(line_files, 'published', lambda: hashes)
    d = datasets.load('yelp_resplit', path)
    assert d.source.facts['reduced'] is False
    assert datasets.load('yelp_resplit', path, eval_sentences=2).source.facts['reduced'] is True


def test_every_published_file_has_a_hash():
    known = line_files.published()
    wanted = [f'yelp_sentiment/{f}' for f in styles.SHEN] + [f'li2018/yelp/{f}' for f in styles.LI_TEST]
    wanted += [f'li2018/imagecaption/{f}' for f in styles.LI] + ['onestopenglish/ADV-ELE.txt']
    wanted += [f'turkcorpus/{s}.8turkers.tok.{e}' for s in ('tune', 'test')
               for e in ('norm', *(f'turk.{i}' for i in range(8)))]
    wanted += [f'asset/asset.{s}.{e}' for s in ('valid', 'test') for e in ('orig', *(f'simp.{i}' for i in range(10)))]
    assert set(wanted) <= set(known) and all(len(h) == 64 for h in known.values())


LI_ALL = {f'sentiment_{s}_{k}': f'a {s} of {k}\nb {s} of {k}.\n' for s in ('train', 'dev', 'test') for k in (0, 1)} | {
    f'reference_{k}': f"a test of {k}\tA train isn't\t1\nb test of {k}.\tB train of {k}.\t1\n" for k in (0, 1)}


@pytest.mark.parametrize('name,labels,second,reference', [
    ('captions', ('humorous', 'romantic'), 'b train of 0 .', 'a train <unk> <unk>'),
    ('amazon', ('negative', 'positive'), 'b train of 0.', 'a train <unk> <unk>')])
def test_captions_and_amazon(tmp_path, name, labels, second, reference):
    d = datasets.load(name, put(tmp_path / 'li2018' / styles_folder(name), **LI_ALL).parent.parent, check=False)
    assert labelled(d, 'train') == [(0, 'a train of 0'), (1, 'a train of 1'), (0, second),
                                    (1, second.replace('0', '1'))]
    assert d.schema['label'].names == labels and d.source.sizes == {'train': 4, 'valid': 4, 'test': 4}
    assert words(d, 'test', 'reference')[0] == [reference]
    assert d.splits['test']['label'].tolist() == [0, 1, 0, 1]


def styles_folder(name):
    return {'captions': 'imagecaption'}.get(name, name)


def test_a_comma_in_another_encoding(tmp_path):
    files = LI_ALL | {'sentiment_train_1': b'a track\xa3\xacspeed\n'}
    d = datasets.load('captions', put(tmp_path, **files), check=False)
    assert 'a track , speed' in words(d, 'train')
    files = LI_ALL | {'sentiment_train_1': b'a track\xa3speed\n'}
    assert 'sentiment.train.1, line 1: not utf-8' in one_line(
        datasets.load, 'captions', put(tmp_path, **files), check=False)


def test_missing_training_files(tmp_path):
    folder = put(tmp_path, **{k: v for k, v in LI_ALL.items() if 'train' not in k})
    said = one_line(datasets.load, 'amazon', folder)
    assert "dataset 'amazon' misses sentiment.train.0: it should lie at" in said
    assert said.endswith('and so should sentiment.train.1')
    stem = 'wiki_full_aner_ori'
    folder = put(tmp_path, **{f'{stem}_{s}_{side}': 'a\n' for s in ('valid', 'test') for side in ('src', 'dst')})
    said = one_line(datasets.load, 'wikilarge', folder)
    assert "'wikilarge' misses wiki.full.aner.ori.train.src" in said and said.endswith('wiki.full.aner.ori.train.dst')


# Simplification

def turk(path, tune=30, count=8, **changed):
    """tune sentences and two of test, in files as TurkCorpus has them."""
    files = {'tune_8turkers_tok_norm': ''.join(f'rare s{i} .\n' for i in range(tune)),
             'test_8turkers_tok_norm': 'rare t0 .\nrare t1 .\n'}
    for k in range(count):
        files[f'tune_8turkers_tok_turk_{k}'] = ''.join(f'plain{k // 2} s{i} .\n' for i in range(tune))
        files[f'test_8turkers_tok_turk_{k}'] = f'plain{k} t0 .\nplain{k // 2} t1 .\n'
    return put(path, **files | changed)


def test_turk_mini(tmp_path):
    d = datasets.load('turk_mini', turk(tmp_path / 'turkcorpus').parent, check=False)
    train, valid = d.splits['train'], d.splits['valid']
    assert d.source.sizes == {'train': 27 * 4 * 2, 'valid': 3, 'test': 2}     # 8 simplifications, two of a kind
    assert d.source.facts['source']['dropped'] == {'repeated': 27 * 4, 'held_out': 0}
    target = train['target'].index
    np.testing.assert_array_equal(target[target], np.arange(len(target)))
    every, label = words(d, 'train'), train['label']
    pairs = {(every[i], every[target[i]]) for i in np.flatnonzero(label == 0)}
    assert (label[target] == 1 - label).all() and len(pairs) == 27 * 4
    assert all(a.split()[1:] == b.split()[1:] and a.startswith('rare') and b.startswith('plain') for a, b in pairs)
    held = {f's{i}' for i in range(30)} - {a.split()[1] for a, _ in pairs}
    assert len(held) == 3 and valid['label'].tolist() == [0] * 3
    assert words(d, 'test', 'reference')[1] == [f'plain{k // 2} <unk> .' for k in range(8)]
    assert d.schema['reference']['tokens'].shape == (8, None) and d.schema['label'].names == ('complex', 'simple')
    batch = schema.select(train, [0])
    assert batch['target']['label'].tolist() == [1] and 'reference' not in train


def test_pairs_stay_whole(tmp_path):
    folder = turk(tmp_path, tune_8turkers_tok_turk_0=''.join(f'plain s{i} and more words .\n' for i in range(30)))
    whole = datasets.load('turk_mini', folder, check=False)
    d = datasets.load('turk_mini', folder, check=False, max_words=3, sentences=7, eval_sentences=1)
    target = d.splits['train']['target'].index
    assert d.source.sizes == {'train': 6, 'valid': 1, 'test': 1} and target.tolist() == [1, 0, 3, 2, 5, 4]
    assert max(len(s.split()) for s in words(d, 'train')) == 3 < max(len(s.split()) for s in words(whole, 'train'))
    assert 'leave no sentence in train' in one_line(datasets.load, 'turk_mini', folder, check=False, sentences=1)


def test_sentences_of_test_leave_train(tmp_path):
    norm = ''.join(f'rare {"t0" if i % 2 else f"s{i}"} .\n' for i in range(30))
    d = datasets.load('turk_mini', turk(tmp_path, tune_8turkers_tok_norm=norm), check=False)
    assert 'rare t0 .' not in words(d, 'train') and d.source.facts['source']['dropped']['held_out'] > 0


def test_uneven_files(tmp_path):
    folder = turk(tmp_path, test_8turkers_tok_turk_3='only one .\n')
    assert 'test.8turkers.tok.turk.3 has 1 lines and' in one_line(datasets.load, 'turk_mini', folder, check=False)


def test_asset_mini(tmp_path):
    files = {f'asset_valid_{e}': ''.join(f'A cat, no. {i}, sat.\n' for i in range(12))
             for e in ('orig', *(f'simp_{i}' for i in range(10)))}
    files |= {f'asset_test_{e}': "A dog in the U.S. isn't here.\n" for e in ('orig', *(f'simp_{i}' for i in range(10)))}
    d = datasets.load('asset_mini', put(tmp_path / 'simplification' / 'asset', **files).parent.parent, check=False)
    assert d.source.sizes == {'train': 22, 'valid': 1, 'test': 1}                # a pair may be twice the same
    assert words(d, 'train')[0].startswith('a cat , no . ') and d.splits['test']['reference']['tokens'].shape[1] == 10


def test_wikilarge(tmp_path):
    stem = 'wiki_full_aner_ori_'
    files = {f'{stem}{s}_{side}': f'The {s} -LRB- {side} -RRB- ends .\n' for s in ('train', 'valid', 'test')
             for side in ('src', 'dst')}
    d = datasets.load('wikilarge', put(tmp_path, **files), check=False)
    assert labelled(d, 'train') == [(0, 'the train -lrb- src -rrb- ends .'), (1, 'the train -lrb- dst -rrb- ends .')]
    assert words(d, 'test', 'reference') == [['the <unk> -lrb- dst -rrb- ends .']]


def test_onestop(tmp_path):
    pair = lambda i, simple: f'Hard {i}.\nEasy {simple}.\n*******\n'
    text = ''.join(pair(i, i) for i in range(10)) + pair(3, 3) + pair(3, 99) + pair(9, 8)
    d = datasets.load('onestop', put(tmp_path, **{'ADV-ELE_txt': text}), check=False)
    assert words(d, 'train')[:2] == ['hard 0 .', 'easy 0 .'] and len(words(d, 'train')) == 2 * 9
    assert 'easy 99 .' in words(d, 'train') and d.source.facts['source']['dropped']['repeated'] == 1
    assert d.source.sizes == {'train': 18, 'valid': 1, 'test': 1}
    assert words(d, 'test') == ['hard <unk> .'] and len(words(d, 'test', 'reference')[0]) == 2
    bad = put(tmp_path, **{'ADV-ELE_txt': 'one\ntwo\nthree\n***\n'})
    assert 'line 4: two sentences are wanted before a line of asterisks, not 3' in one_line(
        datasets.load, 'onestop', bad, check=False)
    bad = put(tmp_path, **{'ADV-ELE_txt': pair(1, 1)})
    assert 'at least 3 are wanted' in one_line(datasets.load, 'onestop', bad, check=False)


# Folders of the user's own

OWN = {f'{s}_{k}_txt': f'one {s} {k}\n\ntwo {s} {k}\n' for s in ('train', 'valid', 'test')
       for k in ('formal', 'informal')}
BOTH = [f'test_reference_{k}_txt' for k in ('formal', 'informal')]


def test_style_dir(tmp_path):
    d = datasets.load('style_dir', put(tmp_path, **OWN))
    assert labelled(d, 'train') == [(0, 'one train formal'), (1, 'one train informal'), (0, 'two train formal'),
                                    (1, 'two train informal')]
    assert d.schema['label'].names == ('formal', 'informal') and 'reference' not in d.schema
    assert d.truth['style_words'].size == 0 and d.source.facts['reduced'] is False
    d = datasets.load('style_dir', tmp_path, labels=('stiff', 'loose'))
    assert d.schema['label'].names == ('stiff', 'loose')
    (tmp_path / 'style_words.txt').write_text('formal\nnowhere informal\n')
    d = datasets.load('style_dir', tmp_path)
    assert {d.schema['tokens'].names[i] for i in d.truth['style_words']} == {'formal', 'informal'}


def test_references_of_ones_own(tmp_path):
    files = {f'{s}_{k}_txt': f'one {k}\ntwo {k}\n' for s in ('train', 'valid', 'test') for k in (2, 10)}
    more = {'test_reference_2_txt': 'one 10\ttwo 10\ntwo 10\tone\n', 'test_reference_10_txt': 'one 2\ntwo 2\n'}
    d = datasets.load('style_dir', put(tmp_path, **files | more))
    assert d.schema['label'].names == ('2', '10')                                # numbers in their order
    assert labelled(d, 'test')[:2] == [(0, 'one 2'), (1, 'one 10')]
    assert words(d, 'test', 'reference') == [['one 10', 'two 10'], ['one 2'] * 2, ['two 10', 'one'], ['two 2'] * 2]
    assert set(d.splits['valid']) == {'tokens', 'length', 'label'}


@pytest.mark.parametrize('changed,options,message', [
    ({'train_third_txt': 'x\n'}, {}, 'two files train.STYLE.txt are wanted'),
    ({BOTH[0]: 'a\nb\n'}, {}, 'has test.reference.formal.txt and not test.reference.informal.txt'),
    (dict.fromkeys(BOTH, 'a\nb\n'), {}, 'test.reference.formal.txt has 2 lines'),
    (dict.fromkeys(BOTH, 'a\nb\nc\n'), {}, 'test.formal.txt, line 2: a sentence is wanted'),
    (dict.fromkeys(BOTH, 'a\tb\nb\nc\td\n') | {'test_formal_txt': 'a\nb\nc\n'}, {},
     'line 2: 1 references, and 2'),
    ({}, {'labels': 'ab'}, "labels='ab': two names are wanted, of formal and informal"),
    ({}, {'labels': ('a', 'b', 'c')}, 'two names are wanted'),
    ({}, {'max_words': 1}, 'leave no sentence in train'),
    ({}, {'vocab': 4}, 'vocab=4'),
    ({'valid_formal_txt': b'\xff\n'}, {}, 'valid.formal.txt, line 1: not utf-8'),
    ({'valid_formal_txt': '\n\n'}, {}, 'valid.formal.txt holds no sentence'),
])
def test_bad_folders(tmp_path, changed, options, message):
    assert message in one_line(datasets.load, 'style_dir', put(tmp_path, **OWN | changed), **options)


def test_folders_that_are_not_there(tmp_path):
    assert '--data_dir' in one_line(datasets.load, 'style_dir')
    assert 'no folder' in one_line(datasets.load, 'style_dir', tmp_path / 'nowhere')
    put(tmp_path, train_a_txt='x\n', train_b_txt='x\n', test_a_txt='x\n')
    said = one_line(datasets.load, 'style_dir', tmp_path)
    assert "misses valid.a.txt: it should lie at" in said and said.endswith('valid.b.txt, test.b.txt')


# Real files

def test_real_yelp():
    folder = real('yelp_sentiment').parent
    d = datasets.load('yelp_resplit', folder)
    assert d.source.sizes == {'train': 113_320, 'valid': 62_473, 'test': 1000}
    assert d.source.facts['source']['dropped'] == {'train': 13_350, 'valid': 1010} and not d.source.facts['reduced']
    assert len(d.schema['tokens'].names) == 9_085 and d.truth['style_words'].size > 300
    assert d.splits['test']['reference']['tokens'].shape[:2] == (1000, 1)
    every = {split: [row.tobytes() for row in np.pad(c['tokens'], ((0, 0), (0, 20 - c['tokens'].shape[1])))]
             for split, c in d.splits.items()}
    rows = {s: {r for r, row in zip(rows, d.splits[s]['tokens'], strict=True) if 3 not in row}
            for s, rows in every.items()}                        # as ids; but <unk> hides differences
    assert not rows['train'] & rows['valid'] and not rows['train'] & rows['test']
    assert not rows['valid'] & rows['test']
    assert d.source.facts['source']['unknown']['reference'] < .01
    assert d.splits['test']['label'].sum() == 500 and d.splits['train']['length'].max() == 16


def test_our_words_are_those_of_shen():
    """Sentences whose words are parted already stay as they are, but for odd marks."""
    path = real('yelp_sentiment') / 'sentiment.test.0'
    lines = [line.split() for line in path.read_text().splitlines()[::10]]
    assert np.mean([tokenize(' '.join(s), '_num_') == s for s in lines]) > .99


@pytest.mark.parametrize('name,folder,sizes,vocab,source', [
    ('captions', 'li2018', {'train': 12_000, 'valid': 1000, 'test': 600}, 8_323, {}),
    ('turk_mini', 'simplification', {'train': 25_916, 'valid': 200, 'test': 359}, 12_893,
     {'repeated': 1442, 'held_out': 0}),
    ('asset_mini', 'simplification', {'train': 34_836, 'valid': 200, 'test': 359}, 12_305,
     {'repeated': 582, 'held_out': 0}),
    ('onestop', 'simplification', {'train': 1778, 'valid': 111, 'test': 111}, 5_266,
     {'repeated': 611, 'held_out': 0}),
])
def test_other_real_files(name, folder, sizes, vocab, source):
    d = datasets.load(name, real(folder).parent)
    assert d.source.sizes == sizes and len(d.schema['tokens'].names) == vocab and not d.source.facts['reduced']
    assert d.source.facts['source'].get('dropped', {}) == source
    assert set(d.splits['test']) == {'tokens', 'length', 'label', 'reference'}


def test_captions_of_test_are_plain():
    d = datasets.load('captions', real('li2018').parent)
    c = d.splits['test']
    np.testing.assert_array_equal(c['tokens'][0::2], c['tokens'][1::2])          # each once for either style
    np.testing.assert_array_equal(c['label'], np.arange(600) % 2)


@pytest.mark.parametrize('name', ['amazon', 'wikilarge'])
def test_corpora_without_training_files(name):
    assert f"dataset '{name}' misses" in one_line(datasets.load, name, real('li2018').parent)


def test_without_and_cut_keep_pairs():
    part = styled.paired([(['a'], ['b']), (['c'], ['d']), (['e', 'f'], ['g'])])
    left, dropped = styled.without(part, styled.Part([['d']], [0]))
    assert dropped == 2 and left.sentences == [['a'], ['b'], ['e', 'f'], ['g']] and left.target == [1, 0, 3, 2]
    assert simplification.LEVELS == ('complex', 'simple')
