"""What the suite trains or counts to judge methods by: classifiers, language models, word
vectors.
"""
import functools
from collections.abc import Callable, Mapping

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


def of(data, folder=None, **run) -> Mapping[str, Callable[[], Judge]]:
    """The judges of a dataset, each made once, when first asked for.

    Args:
      data: a `datasets.Dataset`.
      folder: where what they learn is kept, for any process; None keeps nothing.
      **run: of training, such as `deadline`, `stop` and `on_block`.

    Returns:
      name -> () -> `Judge`.
    """
    return {name: functools.cache(functools.partial(make, data, folder, **run))
            for name, (make, kinds) in JUDGES.items() if of_kind(data.schema, *kinds)}
