"""Tables of numbers of the user's own, as points."""
import pathlib
import warnings
from typing import Any

import numpy as np

from vaebench import schema
from vaebench.datasets.base import SPLITS, Dataset, Folder, integer, points_dataset, tenths
from vaebench.datasets.source_files import cause, label_order
from vaebench.errors import UserError

SEPARATORS = ',', ';', '\t', None      # None: spaces


def points_file(data_dir: Folder = None, cache_dir: Folder = None, file: str = 'points.csv',
                label: str | int | None = None, standardize: bool = True,
                examples: int | None = None, eval_examples: int | None = None) -> Dataset:
    """Anybody's table of numbers: a text file with a row a line, or an array of NumPy's.

    A row of a config, and the command that finds the file:

        dataset=dict(name='points_file', file='wine.csv', label='cultivar'),
        kit=dict(name='mlp', latent=2, hidden=(64, 64), likelihood='gaussian_shared'),

        vaebench --config=my_config.py --data_dir=FOLDER

    One fixed permutation makes a tenth of the rows valid and a tenth test, unless `file` is
    three files: 'wine.{split}.csv', with train, valid and test in place of {split}.

    Args:
      data_dir: the folder of the file.
      cache_dir: not needed.
      file: its name. Text ends otherwise than .npy; numbers stand between commas, semicolons,
        tabs or spaces, and the first line may name the columns. An .npy holds [N, columns].
      label: column that is a class and no coordinate: its name, or its number from 0, -1 for
        the last.
      standardize: whether every coordinate is shifted and scaled to mean 0 and standard
        deviation 1 on train.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset` of points: x float32 [N, D]; label int32 [N] where there is one, numbers
      before words, and their names in the schema.

    Raises:
      UserError: there is no such file or column, or the file holds something else.
    """
    most = {'train': integer('examples', examples, 1)}
    most |= dict.fromkeys(SPLITS[1:], integer('eval_examples', eval_examples, 1))
    tables = {split: _table(path, label) for split, path in _paths(data_dir, file).items()}
    parts = tables if len(tables) > 1 else _cut(*tables['train'])
    parts = {split: (x[:most[split]], words[:most[split]])
             for split, (x, words) in parts.items()}
    widths = {x.shape[1] for x, _ in parts.values()}
    if len(widths) > 1:
        raise UserError(f'{file}: train, valid and test have {sorted(widths)} columns: give '
                        'them the same')
    return _dataset(parts, label is not None, standardize)


def _paths(data_dir: Folder, file: str) -> dict[str, pathlib.Path]:
    """The file of every split, or of 'train' alone where there is one file."""
    if data_dir is None:
        raise UserError("dataset 'points_file' is read from a file: name its folder with "
                        '--data_dir')
    folder = pathlib.Path(data_dir).expanduser()
    splits = SPLITS if '{split}' in str(file) else SPLITS[:1]
    paths = {split: folder / str(file).replace('{split}', split) for split in splits}
    for path in paths.values():
        if not path.is_file():
            raise UserError(f'no file {path}: name the folder with --data_dir and the file in '
                            'it with dataset.file')
    return paths


def _table(path: pathlib.Path, label: str | int | None) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [N, D] and labels [N], as text, of a file."""
    try:
        found, names = _array(path) if path.suffix == '.npy' else _text(path)
    except (OSError, ValueError) as e:
        raise UserError(f'cannot read {path}: {cause(e)}') from e
    if not found.size or found.ndim != 2:
        raise UserError(f'{path} holds an array of shape {list(found.shape)}: give rows of '
                        'numbers, one for each point')
    words = np.full(len(found), '')
    if label is not None:
        place = _place(path, label, names, found.shape[1])
        column, found = found[:, place], np.delete(found, place, 1)
        whole = column.dtype.kind == 'f' and (column == column.round()).all()
        words = (column.astype(int) if whole else column).astype(str)
    return _numbers(path, found, 1 + bool(names)), words


def _array(path: pathlib.Path) -> tuple[np.ndarray, list[str]]:
    return np.load(path, allow_pickle=False), []


def _text(path: pathlib.Path) -> tuple[np.ndarray, list[str]]:
    """Fields of a text file, and the names of its columns where it has them."""
    with path.open(encoding='utf-8-sig') as file:
        first = file.readline().strip()
    separator = next((s for s in SEPARATORS if s and s in first), None)
    names = [name.strip(' "') for name in first.split(separator)]
    named = not any(_is_number(name) for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)         # that there is nothing: said later
        found = np.loadtxt(path, str, comments=None, delimiter=separator, skiprows=int(named),
                           encoding='utf-8-sig', quotechar='"', ndmin=2)
    return found, names if named else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _place(path: pathlib.Path, label: str | int, names: list[str], columns: int) -> int:
    """The number of the column of labels."""
    if label in names:
        return names.index(str(label))
    if isinstance(label, int) and -columns <= label < columns:
        return label % columns
    known = ', '.join(names) or f'0 to {columns - 1}'
    raise UserError(f'{path} has no column {label!r} for the label: there are {known}')


def _numbers(path: pathlib.Path, found: np.ndarray, first: int) -> np.ndarray:
    """Coordinates as numbers; `first` is the line of the first row."""
    try:
        with np.errstate(over='ignore'):
            x = found.astype(np.float64)
            bad = ~np.isfinite(x.astype(np.float32))
    except (TypeError, ValueError):
        x, bad = None, np.array([[not _is_number(v) for v in row] for row in found.tolist()])
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(f'{path}, row {row + first}, column {column + 1}: '
                        f'{str(found[row, column])!r} is no finite number; leave the row out '
                        'or fill it in')
    if x is None or not x.shape[1]:
        raise UserError(f'{path} holds no column of numbers')
    return x


def _cut(x: np.ndarray, words: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A table's rows, a tenth of them for valid and a tenth for test."""
    return {split: (x[rows], words[rows]) for split, rows in tenths(len(x)).items()}


def _dataset(parts: dict[str, tuple[Any, Any]], labelled: bool, standardize: bool) -> Dataset:
    train = parts['train'][0]
    mean, std = train.mean(0), train.std(0)
    std = np.where(std > 0, std, 1.)           # a constant stays one
    names = sorted({str(w) for _, words in parts.values() for w in words}, key=label_order)
    splits, columns = {}, {}
    for split, (x, words) in parts.items():
        splits[split] = {'x': ((x - mean) / std if standardize else x).astype(np.float32)}
        if labelled:
            number = {name: i for i, name in enumerate(names)}
            splits[split]['label'] = np.array([number[str(w)] for w in words], np.int32)
    if labelled:
        columns['label'] = schema.label(len(names), tuple(names))
    return points_dataset('points_file', splits, columns)
