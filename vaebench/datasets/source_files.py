"""The files of the user: where they lie, and what reading them may say."""
import pathlib
from collections.abc import Sequence

from vaebench.datasets.base import Folder
from vaebench.errors import UserError
from vaebench.files import user_path


def find(name: str, files: Sequence[str], data_dir: Folder, *subs: str) -> pathlib.Path:
    """The folder that holds a dataset's files: `data_dir` or one of its sub-folders.

    Args:
      name: the dataset's, for messages.
      files: names that must all be there.
      data_dir: the user's folder.
      *subs: names of sub-folders that may hold them instead, the most wanted first.

    Returns:
      The folder.

    Raises:
      UserError: no folder is given, or the folder or a file is missing.
    """
    if data_dir is None:
        raise UserError(f'dataset {name!r} is read from files: name the folder that holds '
                        f'{", ".join(files)} with --data_dir')
    base = user_path(data_dir)
    if not base.is_dir():
        raise UserError(
            f'no folder {base}: --data_dir must hold {", ".join(files)} for dataset '
            f'{name!r}')
    places = [base, *(base / sub for sub in subs)]
    folder = max(places, key=lambda p: sum((p / f).is_file() for f in files))
    missing = [f for f in files if not (folder / f).is_file()]
    if missing:
        first, *others = missing
        more = f', and so should {", ".join(others)}' if others else ''
        raise UserError(f'dataset {name!r} misses {first}: it should lie at '
                        f'{" or ".join(str(p / first) for p in places)}{more}')
    return folder


def locate(name: str, files: Sequence[tuple[str, ...]], data_dir: Folder,
           *subs: str) -> list[pathlib.Path]:
    """Paths of a dataset's files. A sub-folder that has all of them comes before the folder.

    Args:
      name: the dataset's, for messages.
      files: for every file the names that it may have.
      data_dir: the user's folder.
      *subs: names of sub-folders.

    Returns:
      One path for every file.

    Raises:
      UserError: see `find`.
    """
    if data_dir is None:
        return [find(name, [names[0] for names in files], None)]
    base = user_path(data_dir)
    places = [*(base / sub for sub in subs), base]
    for place in places:
        there = [[place / f for f in names if (place / f).is_file()] for names in files]
        if all(there):
            return [paths[0] for paths in there]
    wanted = [next((f for f in names if any((p / f).is_file() for p in places)), names[0])
              for names in files]
    folder = find(name, wanted, data_dir, *subs)
    return [folder / f for f in wanted]


def read(path: pathlib.Path) -> bytes:
    """Bytes of a file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as e:
        raise UserError(f'cannot read {path}: {e.strerror}') from e


def cause(error: BaseException) -> str:
    """The first line of what a library had to say.

    >>> cause(ValueError('wrong shape\\nfurther lines'))
    'wrong shape'
    """
    return (str(error).splitlines() or [type(error).__name__])[0]


def label_order(name: str) -> tuple[int, int, str]:
    """A sort key that puts numbers before words.

    >>> sorted(['cat', '10', '2'], key=label_order)
    ['2', '10', 'cat']
    """
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
