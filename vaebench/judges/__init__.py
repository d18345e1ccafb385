"""What the suite trains or counts to judge methods by: classifiers, language models, word
vectors.
"""
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from vaebench.judges import images, language, learned, text, words
from vaebench.metrics import Judge
from vaebench.schema import of_kind


def _comparable(data):
    return of_kind(data.schema, 'image', 'vector') is not None


def _sentences(data):
    return of_kind(data.schema, 'tokens') is not None


def _styled(data):
    return _sentences(data) and 'label' in data.schema and learned.labelled(data)


JUDGES = {
    'space': (images.judge, _comparable),
    'language': (language.judge, _sentences),
    'trigram': (functools.partial(language.judge, order=3), _sentences),
    'words': (words.judge, _sentences),
    'style': (text.judge, _styled),
}
"""Name -> (maker, whether it can judge a dataset). A maker takes (dataset, folder, **run) and
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
            for name, (make, can) in JUDGES.items() if can(data)}
