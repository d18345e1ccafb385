"""Datasets by name. `load` is the one way in; heavy libraries are imported by what needs
them."""
import importlib.metadata
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from vaebench.datasets import (
    corpora,
    dialog_grammar,
    dialogues,
    digits,
    frey,
    grammars,
    ground_truth,
    image_folder,
    mnist,
    nbody,
    packages,
    points_file,
    rotated,
    simplification,
    sprites,
    styles,
    synthetic,
    text_files,
    tfds_images,
    toy_points,
)
from vaebench.datasets.base import (
    SPLITS,
    Dataset,
    Folder,
    buckets,
    classes,
    cut_points,
    fingerprint,
    image_dataset,
    points_dataset,
    text_dataset,
)
from vaebench.errors import UserError, unknown
from vaebench.files import one_line, user_path

__all__ = ['DATASETS', 'SPLITS', 'Dataset', 'buckets', 'classes', 'cut_points', 'fingerprint',
           'image_dataset', 'load', 'names', 'points_dataset', 'text_dataset']

GROUP = 'vaebench.datasets'

DATASETS: dict[str, Callable[..., Dataset]] = {
    'amazon': styles.amazon,
    'analogy': grammars.analogy,
    'asset_mini': simplification.asset_mini,
    'captions': styles.captions,
    'celeb_a': tfds_images.celeb_a,
    'cifar10': tfds_images.cifar10,
    'dailydialog': dialogues.dailydialog,
    'dialog': dialog_grammar.dialog,
    'dialog_dir': dialogues.dialog_dir,
    'digits': digits.digits,
    'dsprites': ground_truth.dsprites,
    'factors_file': ground_truth.factors_file,
    'fashion_mnist': mnist.fashion_mnist,
    'frey_faces': frey.frey_faces,
    'gaussians25': toy_points.gaussians25,
    'gaussians8': toy_points.gaussians8,
    'image_dir': image_folder.image_dir,
    'mnist': mnist.mnist,
    'mnist_static': mnist.mnist_static,
    'nbody': nbody.nbody,
    'omniglot': tfds_images.omniglot,
    'onestop': simplification.onestop,
    'pinwheel': toy_points.pinwheel,
    'points_file': points_file.points_file,
    'ptb': text_files.ptb,
    'register': grammars.register,
    'rotated_fashion_mnist': rotated.rotated_fashion_mnist,
    'rotated_mnist': rotated.rotated_mnist,
    'shapes3d': ground_truth.shapes3d,
    'short_yelp': corpora.short_yelp,
    'simplify': grammars.simplify,
    'smallnorb': ground_truth.smallnorb,
    'snli': corpora.snli,
    'sprites': sprites.sprites,
    'style_dir': styles.style_dir,
    'switchboard': dialogues.switchboard,
    'swiss_roll': toy_points.swiss_roll,
    'swiss_roll_2d': toy_points.swiss_roll_2d,
    'synthetic': synthetic.synthetic,
    'text_dir': text_files.text_dir,
    'turk_mini': simplification.turk_mini,
    'two_style': grammars.two_style,
    'wikilarge': simplification.wikilarge,
    'yahoo': corpora.yahoo,
    'yelp': corpora.yelp,
    'yelp_resplit': styles.yelp_resplit,
}
"""Name -> loader (data_dir, cache_dir, **options) -> Dataset.

Installed packages add theirs under the entry-point group `vaebench.datasets`; a name of the
package's own cannot be taken over.
"""


def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {e.name: e for e in importlib.metadata.entry_points(group=GROUP)}


def names() -> list[str]:
    """Every name that `load` knows, sorted."""
    return sorted({*DATASETS, *_entry_points()})


def _loader(name: str) -> Callable[..., Dataset]:
    if name in DATASETS:
        return DATASETS[name]
    entry = _entry_points().get(name)
    if entry is None:
        raise unknown('dataset', name, names())
    try:
        return entry.load()
    except (Exception, SystemExit) as e:
        raise UserError(f'dataset {name!r} of an installed package ({entry.value}) cannot be '
                        f'imported: {one_line(str(e), 200)}') from e


def check_options(name: str, options: Iterable[str]) -> Callable[..., Dataset]:
    """Finds the loader of a dataset that has these options.

    Raises:
      UserError: there is no such dataset or option.
    """
    loader = _loader(name)
    parameters = inspect.signature(loader).parameters
    known = [p for p in parameters if p not in ('data_dir', 'cache_dir')]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in options:
            if key not in known:
                raise unknown(f'option of dataset {name!r}:', key, sorted(known))
    return loader


def load(name: str, data_dir: Folder = None, cache_dir: Folder = None,
         **options: Any) -> Dataset:
    """Reads a dataset from the user's files or makes it; it never takes something else instead.

    Args:
      name: see `names`.
      data_dir: folder of the files as their authors publish them.
      cache_dir: folder for prepared files; default $XDG_CACHE_HOME or ~/.cache, then
        vaebench/data.
      **options: the loader's own; None means its default.

    Returns:
      A `Dataset`.

    Raises:
      UserError: there is no such dataset or option, or the files are not what they should be.

    >>> digits = load('digits')
    >>> digits.source.sizes, digits.splits['train']['x'].shape
    ({'train': 1297, 'valid': 250, 'test': 250}, (1297, 8, 8, 1))
    """
    loader = check_options(name, options)
    given = {k: v for k, v in options.items() if v is not None}
    given['data_dir'] = None if data_dir is None else user_path(data_dir)
    if name in DATASETS:
        return loader(cache_dir=cache_dir, **given)
    try:
        made = loader(cache_dir=cache_dir, **given)
    except UserError:
        raise
    except (Exception, SystemExit) as e:
        what = one_line(f'{type(e).__name__}: {e}', 200)
        raise UserError(f'dataset {name!r} of an installed package fails: {what}') from e
    return packages.checked(name, made)
