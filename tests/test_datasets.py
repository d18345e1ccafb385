"""Datasets: what they hold, how they are cached, and what they say to bad input."""
import hashlib
import itertools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from vaebench import datasets, schema
from vaebench.datasets import cache, text_files
from vaebench.errors import UserError

LINES = {'train': 'b a b\n\n  \nc b <unk> b\nd a\ne\n', 'valid': 'a z\nb b b b b b\n', 'test': 'c\n'}


def folder(path, **changed):
    """A folder of train.txt, valid.txt and test.txt."""
    path.mkdir(parents=True, exist_ok=True)
    for split, lines in (LINES | changed).items():
        (path / f'{split}.txt').write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    return path


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a data folder and a cache of its own."""
    def load(name='text_dir', data_dir=None, **options):
        data_dir = folder(tmp_path / 'data') if data_dir is None else data_dir
        return datasets.load(name, data_dir=data_dir, cache_dir=tmp_path / 'cache', **options)
    return load


def facts(dataset):
    """What a dataset says of itself."""
    return dataset._replace(splits=None, decode=None, augment=None, observe=None, symmetry=None)


def words(dataset, split):
    vocab, part = dataset.schema['tokens'].names, dataset.splits[split]
    return [' '.join(vocab[i] for i in row[:n + 1]) for row, n in zip(part['tokens'], part['length'], strict=True)]


def real(name):
    path = os.environ.get('VAEBENCH_DATA')
    if not path:
        pytest.skip('VAEBENCH_DATA is not set: no real data here')
    return pathlib.Path(path) / name


# Folders of text

def test_text_dir(load):
    d = load()
    assert d.schema['tokens'].names == ('<pad>', '<s>', '</s>', '<unk>', 'b', 'a', 'c', 'd', 'e')
    assert words(d, 'train') == ['<s> b a b </s>', '<s> c b <unk> b </s>', '<s> d a </s>', '<s> e </s>']
    assert words(d, 'valid') == ['<s> a <unk> </s>', '<s> b b b b b b </s>']
    assert d.splits['train']['tokens'].tolist()[2] == [1, 7, 5, 2, 0, 0]
    assert d.splits['train']['tokens'].dtype == d.splits['train']['length'].dtype == np.int32
    assert 'tokens' in d.schema and d.name == 'text_dir'
    assert d.source.sizes == {'train': 4, 'valid': 2, 'test': 1}
    assert d.source.facts['tokens'] == {'train': 14, 'valid': 10, 'test': 2}
    assert 'label' not in d.splits['train']


def test_dos_lines_and_byte_order_mark(load, tmp_path):
    raw = b'\xef\xbb\xbf' + LINES['train'].replace('\n', '\r\n').encode()
    assert load(data_dir=folder(tmp_path / 'dos', train=raw)).source.sha256 == load().source.sha256


def test_lines_that_end_in_carriage_returns_alone(load, tmp_path):
    raw = LINES['train'].replace('\n', '\r').encode()
    old = load(data_dir=folder(tmp_path / 'old', train=raw))
    assert old.source.sha256 == load().source.sha256
    with pytest.raises(UserError, match='train.txt, line 2: not utf-8'):
        load(data_dir=folder(tmp_path / 'bad', train=b'fine\rna\xefve\r'))
    mixed = load(data_dir=folder(tmp_path / 'mixed', train='b\ra\nc\n'))       # a mark inside a line stays
    assert words(mixed, 'train') == ['<s> b a </s>', '<s> c </s>']


@pytest.mark.parametrize('options,train,valid', [
    ({'max_words': 3}, ['b a b', 'd a', 'e'], ['a <unk>']),
    ({'max_words': 2, 'sentences': 1, 'eval_sentences': 1}, ['d a'], ['a <unk>']),
    ({'sentences': 2}, ['b a b', 'c b <unk> b'], ['a <unk>', 'b b b b b b']),
    ({'vocab': 6}, ['b a b', '<unk> b <unk> b', '<unk> a', '<unk>'], ['a <unk>', 'b b b b b b']),
    ({'vocab': 7}, ['b a b', 'c b <unk> b', '<unk> a', '<unk>'], ['a <unk>', 'b b b b b b']),   # c, d, e tie
    ({'vocab': 99, 'sentences': 1}, ['b a b'], ['a <unk>', 'b b b b b b']),
    ({'vocab': 5, 'max_words': 2}, ['<unk> a', '<unk>'], ['a <unk>']),   # on what is left d, a, e tie; a came first
])
def test_text_options(load, options, train, valid):
    d = load(**options)
    assert words(d, 'train') == [f'<s> {s} </s>' for s in train]
    assert words(d, 'valid') == [f'<s> {s} </s>' for s in valid]


def test_vocabulary_is_counted_on_the_remaining_sentences(load, tmp_path):
    d = load(data_dir=folder(tmp_path / 'd', train='x y z z z z\ny x\nx\n'), max_words=2, vocab=5)
    assert d.schema['tokens'].names == ('<pad>', '<s>', '</s>', '<unk>', 'x')
    d = load(data_dir=folder(tmp_path / 'd', train='x y z z z z\ny x\nx\n'), max_words=2, vocab=99)
    assert d.schema['tokens'].names == ('<pad>', '<s>', '</s>', '<unk>', 'x', 'y')   # z is not left


def test_labels(load, tmp_path):
    d = load(data_dir=folder(tmp_path / 'l', train='10\ta b\n2\tb\n\n2\tc\n', valid='2\ta\n', test='10\tb b\n'),
             labelled=True)
    assert d.schema['label'].names == ('2', '10')
    assert [d.splits[s]['label'].tolist() for s in ('train', 'valid', 'test')] == [[1, 0, 0], [0], [1]]
    assert words(d, 'train')[0] == '<s> a b </s>'


@pytest.mark.parametrize('changed,options,message', [
    ({'valid': ''}, {}, 'valid.txt holds no sentence'),
    ({'test': ' \n\n'}, {}, 'test.txt holds no sentence'),
    ({'train': b'fine\nna\xefve\n'}, {}, 'train.txt, line 2: not utf-8'),
    ({'train': 'a\nb </s>\n'}, {}, 'train.txt, line 2: holds </s>'),
    ({}, {'labelled': True}, 'train.txt, line 1: label<TAB>text'),
    ({'train': 'x\ta\n', 'valid': 'y\ta\n', 'test': 'x\ta\n'}, {'labelled': True}, "label 'y' never occurs"),
    ({}, {'vocab': 3}, 'vocab=3: it must be at least 5'),
    ({}, {'vocab': 'many'}, "vocab='many': a whole number"),
    ({}, {'max_words': 0}, 'max_words=0'),
    ({}, {'sentences': -1}, 'sentences=-1'),
    ({}, {'sentences': True}, 'sentences=True'),
    ({'test': 'a b c\n'}, {'max_words': 2}, 'max_words=2 leaves no sentence in test'),
    ({}, {'max_word': 2}, "option of dataset 'text_dir': 'max_word'; did you mean 'max_words'"),
])
def test_bad_text(load, tmp_path, changed, options, message):
    with pytest.raises(UserError) as e:
        load(data_dir=folder(tmp_path / 'bad', **changed), **options)
    assert message in str(e.value) and '\n' not in str(e.value)


def test_missing_text(load, tmp_path):
    with pytest.raises(UserError, match='name the folder .* --data_dir'):
        datasets.load('text_dir', cache_dir=tmp_path)
    with pytest.raises(UserError, match='no folder .*nowhere'):
        load(data_dir=tmp_path / 'nowhere')
    path = folder(tmp_path / 'gap')
    (path / 'valid.txt').unlink()
    with pytest.raises(UserError, match=f'misses valid.txt: it should lie at {path}/valid.txt'):
        load(data_dir=path)


# Penn Treebank

@pytest.fixture
def tiny_ptb(monkeypatch, tmp_path):
    """A folder of files that pass for the treebank."""
    path = tmp_path / 'treebank'
    (path / 'ptb').mkdir(parents=True)
    table = {}
    for split, lines in LINES.items():
        raw = lines.encode()
        (path / 'ptb' / f'ptb.{split}.txt').write_bytes(raw)
        table[f'ptb.{split}.txt'] = lines.count('\n'), hashlib.sha256(raw).hexdigest()
    monkeypatch.setattr(text_files, 'PTB', table)
    return path


def test_ptb_reads_either_folder_and_then_the_cache_alone(load, tiny_ptb, tmp_path):
    d = load('ptb', tiny_ptb / 'ptb')
    assert words(d, 'train') == words(load(), 'train') and d.name == 'ptb'
    assert facts(load('ptb', tiny_ptb)) == facts(d)
    assert facts(datasets.load('ptb', cache_dir=tmp_path / 'cache')) == facts(d)
    (tiny_ptb / 'ptb' / 'ptb.test.txt').unlink()
    with pytest.raises(UserError, match='misses ptb.test.txt'):   # a folder that is named must be whole
        load('ptb', tiny_ptb)


def test_ptb_is_checked(load, tiny_ptb, tmp_path):
    with pytest.raises(UserError, match='--data_dir'):
        datasets.load('ptb', cache_dir=tmp_path / 'none')
    path = tiny_ptb / 'ptb' / 'ptb.valid.txt'
    path.write_text(LINES['valid'].replace('z', 'y'))
    with pytest.raises(UserError, match=r'ptb\.valid\.txt is not the published file: its sha256'):
        load('ptb', tiny_ptb)
    path.write_text('a\n')
    with pytest.raises(UserError, match=r'ptb\.valid\.txt .*: 1 lines instead of 2'):
        load('ptb', tiny_ptb)
    path.unlink()
    with pytest.raises(UserError, match=f'misses ptb.valid.txt: it should lie at {tiny_ptb}/ptb.valid.txt or {path}'):
        load('ptb', tiny_ptb)


@pytest.mark.slow
def test_real_ptb(tmp_path):
    d = datasets.load('ptb', data_dir=real('ptb').parent, cache_dir=tmp_path)
    assert d.source.sizes == {'train': 42_068, 'valid': 3_370, 'test': 3_761}
    assert d.source.facts['tokens'] == {'train': 929_589, 'valid': 73_760, 'test': 82_430}   # words and one </s> a line
    assert len(d.schema['tokens'].names) == 10_002
    tokens, length = d.splits['train']['tokens'], d.splits['train']['length']
    assert (tokens == text_files.UNK).sum() == 45_020
    # By another road: the file's words, looked up one by one, are the flattened array.
    flat = real('ptb').joinpath('ptb.train.txt').read_text().split()
    inside = (np.arange(tokens.shape[1]) >= 1) & (np.arange(tokens.shape[1]) < length[:, None])
    same = [d.schema['tokens'].names[i] for i in tokens[inside]] == flat
    assert same, 'the treebank read back differs from its file'   # no text of it in a report
    assert tokens.max() == 10_001 and (tokens[~inside] < 3).all()
    padded = {k: sum(b['tokens'][:, 1:].size for b in d.buckets('train', k)) / length.sum() for k in (1, 3, 7)}
    assert padded[1] > 3.7 and padded[3] < 1.45 and padded[7] < 1.16

    small = datasets.load('ptb', cache_dir=tmp_path, max_words=20, sentences=10_000, eval_sentences=500, vocab=2000)
    assert small.source.sizes == {'train': 10_000, 'valid': 500, 'test': 500}
    assert len(small.schema['tokens'].names) == 2000
    assert small.splits['train']['length'].max() == 21 and small.splits['train']['tokens'].max() == 1999


# The cache

def test_changed_sources_are_never_stale(load, tmp_path):
    first = load()
    changed = load(data_dir=folder(tmp_path / 'data', test='d\n'))
    assert words(changed, 'test') == ['<s> d </s>'] and changed.source.sha256 != first.source.sha256
    assert facts(load(data_dir=folder(tmp_path / 'data'))) == facts(first)
    labelled = {s: ''.join(f'1\t{line}\n' for line in lines.split('\n') if line.strip()) for s, lines in LINES.items()}
    path = folder(tmp_path / 'tabs', **labelled)
    assert words(load(data_dir=path, labelled=True), 'train') == words(first, 'train')
    assert words(load(data_dir=path), 'test') == ['<s> 1 c </s>']


def test_damaged_cache_is_made_anew(load, tmp_path):
    first = load()
    record, = (tmp_path / 'cache').rglob('*train.array_record*')
    raw = record.read_bytes()
    for damage in (raw[:-1], raw[:-40] + bytes(40), b''):
        record.write_bytes(damage)
        assert facts(load()) == facts(first)
    next((tmp_path / 'cache').rglob(cache.MANIFEST)).write_text('{')
    assert facts(load()) == facts(first)
    metadata, = (tmp_path / 'cache').rglob('metadata.json')
    metadata.write_text(metadata.read_text().replace('"b"', '"q"'))
    assert facts(load()) == facts(first)
    metadata.unlink()
    assert facts(load()) == facts(first)


def test_leftovers_of_a_dead_process_go(load, tmp_path):
    left = tmp_path / 'cache' / 'text_dir' / '.new-1'
    left.mkdir(parents=True)
    (left / 'half').write_text('half')
    load()
    assert sorted(p.name for p in left.parent.glob('.*')) == ['.lock']


def test_failed_preparation_leaves_nothing(tmp_path):
    def write(new):
        (new / 'half').write_text('half')
        raise RuntimeError('write() failed: no space\nmore')
    with pytest.raises(UserError, match=r'cannot prepare data .*no space\): make room'):
        cache.prepared(tmp_path / 'x' / 'key', write)
    assert [p.name for p in (tmp_path / 'x').iterdir()] == ['.lock']


def test_cache_that_cannot_be(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='cannot prepare data .* set XDG_CACHE_HOME'):
        datasets.load('text_dir', data_dir=folder(tmp_path / 'data'), cache_dir=tmp_path / 'file')


def test_cache_folder(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/x')
    assert cache.cache_folder() == pathlib.Path('/x/vaebench/data')
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert cache.cache_folder() == pathlib.Path.home() / '.cache/vaebench/data'
    assert cache.cache_folder('/y') == pathlib.Path('/y')


def test_two_processes_at_once_quietly_and_without_tensorflow(tmp_path):
    code = f'''
import sys
from vaebench import datasets
assert not {{'tensorflow_datasets', 'sklearn'}} & set(sys.modules), 'heavy imports are for those who load'
d = datasets.load('text_dir', data_dir={str(folder(tmp_path / 'data'))!r}, cache_dir={str(tmp_path / 'cache')!r})
assert 'tensorflow' not in sys.modules
print(d.source.sha256)
'''
    runs = [subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]
    outs = [p.communicate(timeout=120) for p in runs]
    expected = datasets.load('text_dir', data_dir=tmp_path / 'data', cache_dir=tmp_path / 'own').source.sha256
    assert outs == [(expected + '\n', '')] * 2
    assert len([p for p in (tmp_path / 'cache' / 'text_dir').iterdir() if p.is_dir()]) == 1


# Length classes

def cost(lengths, cuts):
    return sum(min(c for c in cuts if c >= n) for n in lengths)


@pytest.mark.parametrize('n', [1, 2, 3, 4, 9])
def test_cuts_pad_least(n):
    rng = np.random.default_rng(n)
    for _ in range(5):
        lengths = rng.integers(1, 12, 30) ** 2
        values = sorted(set(lengths.tolist()))
        cuts = datasets.cut_points(lengths, n)
        assert cuts == sorted(set(cuts)) and cuts[-1] == values[-1] and len(cuts) == min(n, len(values))
        best = min(cost(lengths, (*c, values[-1])) for c in itertools.combinations(values[:-1], len(cuts) - 1))
        assert cost(lengths, cuts) == best


def test_buckets_keep_every_row(load):
    d = load()
    split, columns = d.splits['train'], d.schema
    for cuts in (0, 1, 2, 3, 99, [3], [2, 9]):
        buckets = datasets.buckets(split, cuts, columns)
        rows = [tuple(row[:n + 1].tolist()) for b in buckets for row, n in zip(b['tokens'], b['length'], strict=True)]
        assert sorted(rows) == sorted(tuple(r[:n + 1].tolist()) for r, n in zip(*split.values(), strict=True))
        for b in buckets:
            assert b['tokens'].shape[1] - 1 >= b['length'].max()
            beyond = np.arange(b['tokens'].shape[1]) > b['length'][:, None]
            assert (b['tokens'][beyond] == 0).all()
    assert len(datasets.buckets(split, 0, columns)) == len(datasets.buckets(split, 1, columns)) == 1
    # Bounds of one split give another the same widths, and one more where it is longer.
    assert [b['tokens'].shape for b in datasets.buckets(split, [3, 9, 20], columns)] == [(2, 4), (2, 10)]
    assert [b['tokens'].shape for b in load().buckets('valid', [3])] == [(1, 4), (1, 8)]
    with pytest.raises(UserError, match='cuts=-1'):
        datasets.buckets(split, -1, columns)


def test_images_are_one_bucket():
    d = datasets.load('digits', examples=10)
    bucket, = d.buckets('train', 7)
    np.testing.assert_array_equal(bucket['x'], d.splits['train']['x'])


# The registry

def test_unknown_names():
    with pytest.raises(UserError, match="unknown dataset 'ptbb'; did you mean 'ptb'"):
        datasets.load('ptbb')
    with pytest.raises(UserError, match="unknown dataset 'qqqqq'; there are: amazon, analogy, asset_mini, captions"):
        datasets.load('qqqqq')
    with pytest.raises(UserError, match="'digits': 'vocab'; there are: eval_examples, examples, label_seed, labels"):
        datasets.load('digits', vocab=9)


def test_installed_packages_add_datasets(tmp_path, monkeypatch):
    (tmp_path / 'toys_for_vaebench.py').write_text('''
import numpy as np
from vaebench.datasets import image_dataset
def toy(data_dir=None, cache_dir=None, n=2):
    return image_dataset('toy', {'test': {'x': np.zeros((n, 1, 1, 1), np.float32)}})
def digits(data_dir=None, cache_dir=None):
    raise AssertionError('a name of ours was taken over')
''')
    info = tmp_path / 'toys_for_vaebench-1.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: toys-for-vaebench\nVersion: 1\n')
    (info / 'entry_points.txt').write_text('[vaebench.datasets]\ntoy = toys_for_vaebench:toy\n'
                                           'digits = toys_for_vaebench:digits\nbroken = toys_for_vaebench:nothing\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert datasets.load('toy', n=3).source.sizes == {'test': 3}
    assert 'toy' in datasets.names() and datasets.load('digits').name == 'digits'
    with pytest.raises(UserError, match="unknown dataset 'toyy'; did you mean 'toy'"):
        datasets.load('toyy')
    with pytest.raises(UserError, match="'m'; there are: n"):
        datasets.load('toy', m=1)
    with pytest.raises(UserError, match="dataset 'broken' of an installed package .* cannot be imported"):
        datasets.load('broken')


@pytest.mark.parametrize('change, message', [
    (lambda x, made: None, 'is no Dataset, but NoneType'),
    (lambda x, made: 1 / 0, 'fails: ZeroDivisionError: division by zero'),
    (lambda x, made: sys.exit(3), 'fails: SystemExit: 3'),
    (lambda x, made: made(x * np.nan), 'x in test holds numbers that are not finite'),
    (lambda x, made: made(300 * x + 300), r'x in test reaches from 300.0 to 300.0: it should lie in \[0, 1\]'),
    (lambda x, made: made(x)._replace(schema={}), 'x in test is not in its schema'),
    (lambda x, made: made(x, label=np.zeros(3, int)), 'label in test has 3 rows, not 2'),
])
def test_datasets_of_packages_are_looked_at(change, message, monkeypatch):
    def made(x, **columns):
        fields = {name: schema.label(2) for name in columns}
        return datasets.image_dataset('toy', {'test': {'x': x, **columns}}, fields)

    def toy(data_dir=None, cache_dir=None):
        return change(np.zeros((2, 1, 1, 1), np.float32), made)

    monkeypatch.setattr(datasets, '_loader', lambda name: toy)
    with pytest.raises(UserError, match=f"dataset 'toy' of an installed package.*{message}"):
        datasets.load('toy')


def test_points_may_lie_anywhere_and_bytes_are_decoded_first(monkeypatch):
    for loaded in (datasets.points_dataset('toy', {'test': {'x': np.full((2, 3), 300.)}}),
                   datasets.image_dataset('toy', {'test': {'x': np.full((2, 1, 1, 1), 255, np.uint8)}},
                                          decode=lambda batch: batch)):
        monkeypatch.setattr(datasets, '_loader',
                            lambda name, loaded=loaded: lambda data_dir=None, cache_dir=None: loaded)
        assert datasets.load('toy') is loaded


def test_fingerprint_sees_every_column_but_the_derived():
    def of(words='ab', **columns):
        fields = {'tokens': schema.Field('tokens', size=2, names=tuple(words)),
                  'log_p': schema.Field('real', derived=True), 'partner': schema.Field('rows', derived=True),
                  'context': {'x': schema.vector(1), 'log_p': schema.Field('real', derived=True)}}
        return datasets.fingerprint({'test': {'tokens': np.arange(6).reshape(2, 3), **columns}}, fields)

    first = of(log_p=np.zeros(2))
    assert of(log_p=np.ones(2), partner=schema.Rows(np.zeros(2, np.int32))) == first
    assert of('ac') != first
    others = [np.arange(6).reshape(3, 2), np.arange(1, 7).reshape(2, 3), np.arange(6).reshape(2, 3).astype(np.int32)]
    assert len({first, *(of(tokens=a) for a in others)}) == 4
    # Nested columns count like others, by their place; of their derived ones none does.
    nested = of(context={'x': np.zeros(2), 'log_p': np.zeros(2)})
    assert nested == of(context={'x': np.zeros(2), 'log_p': np.ones(2)}) == of(context={'x': np.zeros(2)})
    assert len({first, nested, of(context={'x': np.ones(2)})}) == 3


def test_buckets_keep_nested_columns_and_partners_beside_their_rows():
    """A conditional corpus: sentences of 2, 4, 1 and 3 words, each told by another."""
    n, own = 4, np.array([2, 4, 1, 3]) + 1
    context = {'tokens': np.arange(n * 6).reshape(n, 6), 'length': np.array([5, 1, 3, 2])}
    split = {'tokens': np.arange(n)[:, None] + np.zeros((n, 6), int), 'length': own, 'context': context,
             'partner': schema.Rows(np.array([1, 0, 0, 2]))}
    columns = {**schema.text(tuple('abcd'), 4), 'context': schema.text(tuple('abcdefghijklmnopqrstuvwx'), 4),
               'partner': schema.Field('rows', derived=True)}
    short, long = datasets.buckets(split, [3, 5], columns)
    for bucket, rows, width in ((short, [0, 2], 4), (long, [1, 3], 6)):
        assert bucket['tokens'].tolist() == [[r] * width for r in rows]      # cut to the class by their own length
        for name in ('tokens', 'length'):                                   # the context is as wide as before
            np.testing.assert_array_equal(bucket['context'][name], context[name][rows])
        partners = split['partner'].index[rows]                             # by value: their rows are elsewhere
        assert bucket['partner']['tokens'][:, 0].tolist() == partners.tolist()
        np.testing.assert_array_equal(bucket['partner']['context']['length'], context['length'][partners])
    whole, = datasets.buckets(split, 1, columns)
    np.testing.assert_array_equal(whole['partner'].index, split['partner'].index)
    np.testing.assert_array_equal(whole['context']['tokens'], context['tokens'])
