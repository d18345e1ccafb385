"""Datasets by name. `load` is the one way in; heavy libraries are imported by what needs them."""
import importlib.metadata
import inspect

from vaebench.datasets import corpora, images, pictures, points, synthetic, text
from vaebench.datasets.base import (
    Dataset,
    buckets,
    classes,
    cut_points,
    fingerprint,
    image_dataset,
    points_dataset,
    text_dataset,
)
from vaebench.errors import UserError, unknown

__all__ = ['DATASETS', 'Dataset', 'buckets', 'classes', 'cut_points', 'fingerprint', 'image_dataset', 'load', 'names',
           'points_dataset', 'text_dataset']

GROUP = 'vaebench.datasets'

DATASETS = {
    'celeb_a': pictures.celeb_a,
    'cifar10': pictures.cifar10,
    'digits': images.digits,
    'fashion_mnist': images.fashion_mnist,
    'frey_faces': images.frey_faces,
    'gaussians25': points.gaussians25,
    'gaussians8': points.gaussians8,
    'image_dir': pictures.image_dir,
    'mnist': images.mnist,
    'mnist_static': images.mnist_static,
    'omniglot': pictures.omniglot,
    'ptb': text.ptb,
    'short_yelp': corpora.short_yelp,
    'snli': corpora.snli,
    'swiss_roll': points.swiss_roll,
    'swiss_roll_2d': points.swiss_roll_2d,
    'synthetic': synthetic.synthetic,
    'text_dir': text.text_dir,
    'yahoo': corpora.yahoo,
    'yelp': corpora.yelp,
}
"""Name -> loader (data_dir, cache_dir, **options) -> Dataset. Installed packages add theirs under the entry-point
group `vaebench.datasets`; a name of the package's own cannot be taken over."""


def _entry_points():
    return {e.name: e for e in importlib.metadata.entry_points(group=GROUP)}


def names():
    """Every name that `load` knows, sorted."""
    return sorted({*DATASETS, *_entry_points()})


def _loader(name):
    if name in DATASETS:
        return DATASETS[name]
    entry = _entry_points().get(name)
    if entry is None:
        raise unknown('dataset', name, names())
    try:
        return entry.load()
    except Exception as e:
        raise UserError(f'dataset {name!r} of an installed package ({entry.value}) cannot be imported: {e}') from e


def load(name, data_dir=None, cache_dir=None, **options):
    """A dataset, read from the user's files or made on the spot; never something else in their stead.

    Args:
      name: see `names`.
      data_dir: folder of the files as their authors publish them.
      cache_dir: folder for prepared files; default $XDG_CACHE_HOME or ~/.cache, then vaebench/data.
      **options: the loader's own; None means its default.

    Returns:
      A `Dataset`.

    >>> digits = load('digits')
    >>> digits.source.sizes, digits.splits['train']['x'].shape
    ({'train': 1297, 'valid': 250, 'test': 250}, (1297, 8, 8, 1))
    """
    loader = _loader(name)
    parameters = inspect.signature(loader).parameters
    known = [p for p in parameters if p not in ('data_dir', 'cache_dir')]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in options:
            if key not in known:
                raise unknown(f'option of dataset {name!r}:', key, sorted(known))
    return loader(data_dir=data_dir, cache_dir=cache_dir, **{k: v for k, v in options.items() if v is not None})
