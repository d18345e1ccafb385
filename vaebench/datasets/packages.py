"""What a dataset of an installed package must be, so that no metric stumbles on it later."""
from typing import Any

import numpy as np

from vaebench.datasets.base import Dataset
from vaebench.errors import UserError
from vaebench.schema import count, flat, leaves


def checked(name: str, made: Any) -> Dataset:
    """Checks what a loader of an installed package gave.

    Args:
      name: the dataset's.
      made: what should be a `Dataset`.

    Returns:
      It.

    Raises:
      UserError: it is none, a column is not in the schema or not as long as others, or a value
        is not finite or out of its bounds.
    """
    if not isinstance(made, Dataset):
        raise UserError(f'dataset {name!r} of an installed package is no Dataset, but '
                        f'{type(made).__name__}')
    fields = dict(leaves(made.schema))
    for split, columns in made.splits.items():
        for column, values in flat(columns):
            where = f'dataset {name!r} of an installed package: {column} in {split}'
            if column not in fields:
                raise UserError(f'{where} is not in its schema')
            if len(values) != count(columns):
                raise UserError(f'{where} has {len(values)} rows, not {count(columns)}')
            if fields[column].kind in ('image', 'vector'):
                decoded = None if made.decode else fields[column].bounds
                _check_values(where, np.asarray(values), decoded)
    return made


def _check_values(where: str, x: np.ndarray, bounds: tuple[float, float] | None) -> None:
    if x.dtype.kind == 'f' and not np.isfinite(x).all():
        raise UserError(f'{where} holds numbers that are not finite')
    if bounds and x.size and not bounds[0] <= x.min() <= x.max() <= bounds[1]:
        raise UserError(f'{where} reaches from {x.min()} to {x.max()}: it should lie in '
                        f'[{bounds[0]:g}, {bounds[1]:g}]')
