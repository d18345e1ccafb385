"""Tables of numbers of one's own: what is read, how it is cut, and what is refused."""
import numpy as np
import pytest

from vaebench import datasets
from vaebench.errors import UserError

ROWS = np.random.default_rng(0).normal(3., 2., (40, 3)).round(4)
CLASSES = np.array(['cat', 'dog'])[np.arange(40) % 2]


def text(separator=',', head='a,b,c,kind', rows=ROWS, words=CLASSES):
    lines = [separator.join([*map(repr, map(float, row)), word])
             for row, word in zip(rows, words, strict=True)]
    return '\n'.join([*([head.replace(',', separator)] if head else []), *lines, ''])


def load(folder, **options):
    return datasets.load('points_file', data_dir=folder, **options)


def every(data, column='x'):
    return np.concatenate([data.splits[s][column] for s in ('train', 'valid', 'test')])


@pytest.mark.parametrize('separator', [',', ';', '\t', ' '])
@pytest.mark.parametrize('head', ['a,b,c,kind', ''])
def test_a_text_is_read_whatever_separates_its_columns(tmp_path, separator, head):
    (tmp_path / 'points.csv').write_bytes(
        text(separator, head).replace('\n', '\r\n').encode('utf-8-sig'))
    data = load(tmp_path, label='kind' if head else -1, standardize=False)
    assert data.source.sizes == {'train': 32, 'valid': 4, 'test': 4}
    assert data.schema['x'].shape == (3,) and data.schema['label'].names == ('cat', 'dog')
    rows = {tuple(row): label for row, label in zip(every(data), every(data, 'label'), strict=True)}
    assert rows == {tuple(row): i % 2 for i, row in enumerate(ROWS.astype(np.float32))}


def test_an_array_is_the_same_data_and_train_is_standardized(tmp_path):
    np.save(tmp_path / 'a.npy', np.column_stack([ROWS, np.arange(40) % 2, np.ones(40)]))
    data = load(tmp_path, file='a.npy', label=3)
    x = data.splits['train']['x']
    assert x.dtype == np.float32 and x.shape == (32, 4)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(0), [1, 1, 1, 0], atol=1e-6)       # the last is constant
    assert data.schema['label'].names == ('0', '1')
    again = load(tmp_path, file='a.npy', label=3)
    assert again.source == data.source != load(tmp_path, file='a.npy').source
    few = load(tmp_path, file='a.npy', examples=5, eval_examples=2)
    assert few.source.sizes == {'train': 5, 'valid': 2, 'test': 2} and 'label' not in few.schema


def test_three_files_are_the_splits(tmp_path):
    for split, n in (('train', 20), ('valid', 5), ('test', 7)):
        (tmp_path / f'own.{split}.txt').write_text(text(rows=ROWS[:n], words=CLASSES[:n]))
    data = load(tmp_path, file='own.{split}.txt', label='kind', standardize=False)
    for split, n in data.source.sizes.items():
        np.testing.assert_array_equal(data.splits[split]['x'], ROWS[:n].astype(np.float32))
    assert data.source.sizes == {'train': 20, 'valid': 5, 'test': 7}
    (tmp_path / 'own.test.txt').write_text('1,cat\n')
    with pytest.raises(UserError, match=r'columns: give them the same'):
        load(tmp_path, file='own.{split}.txt', label=-1)


BAD = {
    'missing file': (None, {}, 'no file .*points.csv: name the folder with --data_dir'),
    'missing column': (text(), {'label': 'sort'}, "no column 'sort' .* there are a, b, c, kind"),
    'column too far': (text(head=''), {'label': 9}, 'no column 9 .* there are 0 to 3'),
    'word': (text(), {}, "row 2, column 4: 'cat' is no finite number"),
    'gap': ('1,2\n3,\n5,6\n', {}, "row 2, column 2: '' is no finite number"),
    'not finite': ('1,2\n3,nan\n5,6\n', {}, "row 2, column 2: 'nan' is no finite number"),
    'too large': ('1,2\n3,1e99\n5,6\n', {}, "'1e99' is no finite number"),
    'short row': ('1,2\n3\n5,6\n', {}, 'cannot read .*row 2'),
    'empty': ('', {}, 'holds an array of shape'),
    'head alone': ('a,b\n', {}, 'holds an array of shape'),
    'too few rows': ('1,2\n3,4\n', {}, '2 rows: at least 3'),
    'labels alone': ('a\nb\nc\nd\n', {'label': 0}, 'no column of numbers'),
    'latin letters': (b'\xe9,b\n1,2\n3,4\n5,6\n', {}, 'cannot read .*utf-8'),
    'count': (text(), {'examples': 0}, 'examples=0'),
}


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('case', BAD)
def test_what_is_no_table_is_one_line(tmp_path, case):
    content, options, said = BAD[case]
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / 'points.csv').write_bytes(data)
    with pytest.raises(UserError, match=said) as caught:
        load(tmp_path, **options)
    assert '\n' not in str(caught.value)


def test_arrays_that_are_no_table_and_no_folder_are_one_line(tmp_path):
    for name, array in (('flat', np.zeros(5)), ('objects', np.array([[1, {}]] * 5, object)),
                        ('words', np.array([['a', 'b']] * 5))):
        np.save(tmp_path / f'{name}.npy', array, allow_pickle=True)
        with pytest.raises(UserError, match=name):
            load(tmp_path, file=f'{name}.npy')
    (tmp_path / 'no.npy').write_bytes(b'no')
    with pytest.raises(UserError, match='cannot read .*no.npy'):
        load(tmp_path, file='no.npy')
    with pytest.raises(UserError, match='name its folder with --data_dir'):
        load(None)
