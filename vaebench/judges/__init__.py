"""What the suite trains or counts to judge methods by: classifiers, language models, word
vectors.
"""
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from vaebench.judges import images, language
from vaebench.metrics import Judge
from vaebench.schema import of_kind

JUDGES = {
    'space': (images.judge, ('image', 'vector')),
    'language': (language.judge, ('tokens',)),
}
"""Name -> (maker, the kinds of column it judges). A maker takes (dataset, folder, **run) and
gives a `Judge`.
"""


def of(data: Any, folder: pathlib.Path | None = None,
       **run: Any) -> Mapping[str, Callable[[], Judge]]:
    """Prepares the judges of a dataset, each of which is made once, when first asked for.

    Args:
      data: a `datasets.Dataset`.
      folder: where what they learn is kept, for any process; None keeps nothing.
      **run: of training, such as `deadline`, `stop` and `on_block`.

    Returns:
      name -> () -> `Judge`.
    """
    return {name: functools.cache(functools.partial(make, data, folder, **run))
            for name, (make, kinds) in JUDGES.items() if of_kind(data.schema, *kinds)}
