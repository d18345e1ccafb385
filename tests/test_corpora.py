"""The literature's corpora: small files of the same form, and the counts that full ones must have."""
import numpy as np
import pytest
from test_datasets import facts, real, words

from vaebench import datasets
from vaebench.datasets import cache, corpora
from vaebench.errors import UserError

LABELLED = {
    'yahoo': {'train': '3\thow do i _UNK ?\n10\twhat is it ?\n3\t\n\n1\ti do\n', 'valid': '10\tis it me ?\n',
              'test': '1\thow how how\n3\tq\n'},
    'yelp': {'train': '5\tgood food .\n1\tbad food !\n', 'valid': '5\tgood <unk>\n', 'test': '1\tfood\n'},
    'short_yelp': {'train': '1\tlove it .\n0\ti hate it .\n', 'valid': '0\thate\n', 'test': '1\tlove love\n'},
}
PLAIN = {'train': 'a man sleeps .\na dog runs .\n', 'valid': 'a cat sleeps\n', 'test': 'a dog .\n'}


def place(folder, name, lines):
    """Files of a corpus in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, text in lines.items():
        (folder / f'{name}.{split}.txt').write_text(text)
    return folder


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    return lambda name, data_dir, **options: datasets.load(name, data_dir, tmp_path / 'cache', **options)


@pytest.mark.parametrize('name', LABELLED)
def test_labelled_files(load, tmp_path, name):
    d = load(name, place(tmp_path / 'x', name, LABELLED[name]), check=False)
    train = [line.split('\t') for line in LABELLED[name]['train'].split('\n') if line.split('\t')[-1]]
    assert words(d, 'train') == [f'<s> {text} </s>' for _, text in train]
    assert d.schema['label'].names == tuple(sorted({label for label, _ in train}, key=int))
    assert [d.schema['label'].names[i] for i in d.splits['train']['label']] == [label for label, _ in train]
    assert d.name == name and 'tokens' in d.schema


def test_ids_are_those_of_the_literature(load, tmp_path):
    d = load('yahoo', place(tmp_path / 'x', 'yahoo', LABELLED['yahoo']), check=False)
    assert d.schema['tokens'].names == ('<pad>', '<s>', '</s>', '<unk>', 'how', 'do', 'i',
                                        '_UNK', '?', 'what', 'is', 'it')
    assert d.splits['train']['tokens'].tolist() == [
        [1, 4, 5, 6, 7, 8, 2], [1, 9, 10, 11, 8, 2, 0], [1, 6, 5, 2, 0, 0, 0]]
    assert d.splits['train']['label'].tolist() == [1, 2, 0] and d.schema['label'].names == ('1', '3', '10')
    assert words(d, 'valid') == ['<s> is it <unk> ? </s>']
    assert words(d, 'test') == ['<s> how how how </s>', '<s> <unk> </s>']
    assert d.splits['test']['label'].tolist() == [0, 1]


def test_plain_files(load, tmp_path):
    for name in corpora.CORPORA:
        d = load(name, place(tmp_path / name, name, PLAIN), check=False)
        assert 'label' not in d.splits['train'] and 'label' not in d.schema
        assert words(d, 'train') == ['<s> a man sleeps . </s>', '<s> a dog runs . </s>']
        assert words(d, 'valid') == ['<s> a <unk> sleeps </s>'] and d.source.facts['reduced']
    tabs = {s: ''.join(f'1\t{line}\n' for line in lines.splitlines()) for s, lines in PLAIN.items()}
    d = load('snli', place(tmp_path / 'tabs', 'snli', tabs), check=False)      # has no labels, so a tab is a space
    assert words(d, 'test') == ['<s> 1 a dog . </s>'] and 'label' not in d.splits['test']


@pytest.mark.parametrize('sub', ['', 'yahoo', 'yahoo_data', 'yahoo_label_data'])
def test_folders(load, tmp_path, sub):
    place(tmp_path / 'x' / sub, 'yahoo', LABELLED['yahoo'])
    assert load('yahoo', tmp_path / 'x', check=False).source.sizes == {'train': 3, 'valid': 1, 'test': 2}


def test_labelled_files_before_plain_ones(load, tmp_path):
    place(tmp_path / 'x' / 'yahoo_data', 'yahoo', PLAIN)
    place(tmp_path / 'x' / 'yahoo_label_data', 'yahoo', LABELLED['yahoo'])
    assert 'label' in load('yahoo', tmp_path / 'x', check=False).schema
    assert 'label' not in load('yahoo', tmp_path / 'x' / 'yahoo_data', check=False).schema


def test_missing_files(load, tmp_path):
    with pytest.raises(UserError, match=r'yelp\.train\.txt, yelp\.valid\.txt, yelp\.test\.txt with --data_dir'):
        datasets.load('yelp', cache_dir=tmp_path)
    folder = place(tmp_path / 'x' / 'yelp_data', 'yelp', LABELLED['yelp'])
    (folder / 'yelp.test.txt').unlink()
    with pytest.raises(UserError, match=r"dataset 'yelp' misses yelp\.test\.txt: .*/x/yelp_data/yelp\.test\.txt or "):
        load('yelp', tmp_path / 'x')


def test_mixed_lines(load, tmp_path):
    broken = LABELLED['yelp'] | {'train': '5\tgood .\nno label here\n'}
    with pytest.raises(UserError, match=r'yelp\.train\.txt, line 2: label<TAB>text is wanted'):
        load('yelp', place(tmp_path / 'a', 'yelp', broken), check=False)
    with pytest.raises(UserError, match=r"yelp\.test\.txt: label '4' never occurs in yelp\.train\.txt"):
        load('yelp', place(tmp_path / 'b', 'yelp', LABELLED['yelp'] | {'test': '4\tfood\n'}), check=False)


def test_options_cut(load, tmp_path):
    folder = place(tmp_path / 'x', 'yahoo', LABELLED['yahoo'])
    d = load('yahoo', folder, check=False, max_words=4, sentences=1, eval_sentences=1, vocab=6)
    assert words(d, 'train') == ['<s> what <unk> <unk> ? </s>']      # all tie on what is left; these came first
    assert d.source.sizes == {'train': 1, 'valid': 1, 'test': 1}
    assert d.splits['train']['label'].tolist() == [2] and len(d.schema['tokens'].names) == 6
    with pytest.raises(UserError, match='max_words=0'):
        load('yahoo', folder, max_words=0)
    with pytest.raises(UserError, match="option of dataset 'yahoo': 'labels'"):
        load('yahoo', folder, labels=3)


# Counts

def test_other_files_are_refused(load, tmp_path):
    folder = place(tmp_path / 'x', 'yelp', LABELLED['yelp'])
    with pytest.raises(UserError) as e:
        load('yelp', folder)
    assert str(e.value) == (
        f'{folder} does not hold the published yelp: 2 sentences in train instead of 100,000, 1 sentences in valid '
        'instead of 10,000, 1 sentences in test instead of 10,000, a vocabulary of 9 instead of 19,997, 2.000 words '
        'per test sentence instead of 96.650, 2 labels instead of 5; check=False takes it as it is, and the dataset '
        "text_dir takes anybody's sentences")


@pytest.fixture
def tiny_counts(monkeypatch):
    """Counts that the small files have."""
    monkeypatch.setattr(corpora, 'SIZES', {'train': 2, 'valid': 1, 'test': 1})
    monkeypatch.setattr(corpora, 'CORPORA', {
        'yelp': corpora.Published(9, 2., 1e-3, 2), 'snli': corpora.Published(10, 4., 1e-3, 0)})


def test_files_that_count_as_published(load, tiny_counts, tmp_path):
    folder = place(tmp_path / 'x', 'yelp', LABELLED['yelp'])
    d = load('yelp', folder)
    assert not d.source.facts['reduced'] and facts(load('yelp', folder, check=False)) == facts(d)
    assert load('yelp', folder, sentences=1).source.facts['reduced']
    assert not load('snli', place(tmp_path / 'y', 'snli', PLAIN)).source.facts['reduced']


@pytest.mark.parametrize('change,message', [
    ({'train': '1\tgood food .\n', 'valid': '1\tb\n'}, 'yelp: 1 sentences in train instead of 2, a '),
    ({'valid': '5\tgood\n1\tbad\n'}, '2 sentences in valid instead of 1;'),
    ({'train': '5\tgood food .\n1\tbad food ?!\n5\t\n', 'test': '1\tfood .\n'}, 'yelp: 3.000 words per test sentence '),
    ({'train': '5\tgood food .\n1\tbad food\n'}, 'yelp: a vocabulary of 8 instead of 9;'),
    ({'train': '4\tgood food .\n4\tbad food !\n', 'valid': '4\tb\n', 'test': '4\tb\n'}, 'yelp: 1 labels instead '),
])
def test_every_count_counts(load, tiny_counts, tmp_path, change, message):
    with pytest.raises(UserError) as e:
        load('yelp', place(tmp_path / 'x', 'yelp', LABELLED['yelp'] | change))
    assert message in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('name', corpora.CORPORA)
def test_published_counts(name):
    known = corpora.CORPORA[name]
    total = round(known.words * 10_000)                              # tokens of test with </s>
    lengths = np.full(10_000, total // 10_000 - 1)
    lengths[:total % 10_000] += 1
    examples = {s: [{'ids': np.zeros(n, int)} for n in lengths] * (n // 10_000) for s, n in corpora.SIZES.items()}
    metadata = {'vocab': ['w'] * known.vocab, 'labels': ['l'] * known.labels}
    assert corpora.differences(name, examples, metadata) == []
    assert corpora.differences(name, examples, metadata | {'labels': []}) == []        # handed out without labels too
    slack = round(known.within * 10_000) + 2
    for sign in (1, -1):
        examples['test'][0] = {'ids': np.zeros(lengths[0] + max(sign * slack, -lengths[0]), int)}
        if sign * slack >= -lengths[0]:
            found = corpora.differences(name, examples, metadata)
            assert len(found) == 1 and 'words per test sentence' in found[0]
    assert known.vocab == {'yahoo': 20_001, 'yelp': 19_997, 'snli': 9_990, 'short_yelp': 8_411}[name]


# The cache

def test_cache_is_keyed_by_contents(load, tmp_path):
    folder = place(tmp_path / 'x', 'snli', PLAIN)
    first = load('snli', folder, check=False)
    place(folder, 'snli', PLAIN | {'test': 'a man runs\n'})
    assert words(load('snli', folder, check=False), 'test') == ['<s> a man runs </s>']
    place(folder, 'snli', PLAIN)
    assert facts(load('snli', folder, check=False)) == facts(first)
    assert len([p for p in (cache.cache_folder(tmp_path / 'cache') / 'snli').iterdir() if p.is_dir()]) == 2


# Real sentences

def test_labelled_folder_of_real_sentences(load, tmp_path):
    source = real('yelp_sentiment')
    found = {s: [(source / f'sentiment.{part}.{k}').read_text().splitlines()[:300] for k in (0, 1)]
             for s, part in (('train', 'train30k'), ('valid', 'dev'), ('test', 'test'))}
    (tmp_path / 'own').mkdir()
    for split, pair in found.items():
        (tmp_path / 'own' / f'{split}.txt').write_text(''.join(f'{k}\t{x}\n' for k in (0, 1) for x in pair[k]))
    d = load('text_dir', tmp_path / 'own', labelled=True)
    train = [x for pair in found['train'] for x in pair if x.split()]
    assert d.schema['label'].names == ('0', '1') and d.source.sizes['train'] == len(train)
    assert words(d, 'train') == [f'<s> {" ".join(x.split())} </s>' for x in train]
    assert d.splits['train']['label'].sum() == sum(bool(x.split()) for x in found['train'][1])
    assert (d.splits['test']['tokens'] == 3).sum() > 0               # words that train lacks
