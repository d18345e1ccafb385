"""What all datasets of images share: labelled partners and pixels drawn anew."""
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench import core, datasets
from vaebench.datasets.transforms import binarize
from vaebench.errors import UserError


def png(a):
    from PIL import Image
    f = io.BytesIO()
    Image.fromarray(a).save(f, 'png')
    return f.getvalue()


def stock(path, title, version, features, splits, keep_order=False):
    """A dataset as TFDS's own builder leaves it.

    Args:
      path: data_dir.
      title: the builder's name.
      version: text.
      features: function of tfds.features -> dict of features.
      splits: {split: list of examples}, keyed by index.
      keep_order: whether examples are not shuffled by a hash of that key.
    """
    import tensorflow_datasets as tfds

    class Stock(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name, VERSION = title, tfds.core.Version(version)

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, disable_shuffling=keep_order,
                                         features=tfds.features.FeaturesDict(features(tfds.features)))

        def _split_generators(self, dl_manager):
            return {s: self._generate_examples(rows) for s, rows in splits.items()}

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    Stock(data_dir=path, file_format='array_record').download_and_prepare(download_dir=path / 'downloads')


def test_dynamic_binarization_draws_training_batches_anew():
    """Frequencies of the drawn pixels against their grey levels; partners are drawn too, where a batch has them."""
    d = datasets.load('digits', labels=10)
    augment, batch = binarize('partner'), core.take(jax.tree.map(jnp.asarray, d.splits['train']), jnp.arange(2))
    keys = jax.random.split(jax.random.key(0), 3000)
    drawn = jax.jit(jax.vmap(lambda key: augment(key, batch)))(keys)
    pairs = (drawn['x'], batch['x']), (drawn['partner']['x'], batch['partner']['x'])
    for got, p in pairs:
        assert set(np.unique(got)) == {0, 1} and got.dtype == jnp.float32
        assert (abs(got.mean(0) - p) <= 4.5 * np.sqrt(p * (1 - p) / 3000)).all()
    centred = [np.asarray(got - p) for got, p in pairs]
    assert abs((centred[0] * centred[1]).mean(0)).max() < 4.5 * .25 / 3000 ** .5      # streams of their own
    assert (drawn['label'] == batch['label']).all() and (drawn['weight'] == 1).all()
    alone = augment(keys[0], {k: v for k, v in batch.items() if k != 'partner'})
    np.testing.assert_array_equal(alone['x'], drawn['x'][0])
    assert set(alone) == {'x', 'label', 'weight'}


@pytest.mark.parametrize('labels', [10, 30, 100, 1000])
def test_partners_are_balanced(labels):
    train = datasets.load('digits', labels=labels).splits['train']
    partner = train['partner'].index
    rows, times = np.unique(partner, return_counts=True)
    assert len(rows) == labels and times.max() - times.min() <= 1 and len(partner) == len(train['x'])
    assert (np.bincount(train['label'][rows]) == labels // 10).all()
    seen = np.bincount(train['label'][partner])
    assert seen.max() - seen.min() <= 1         # classes are shown equally often, too
    if labels <= 100:                           # shuffled: first and last labels of train's order meet no order
        first = partner[:len(rows)]
        assert len(np.unique(first)) < len(rows)


@pytest.mark.parametrize('name,options,message', [
    ('digits', {'labels': 15}, 'labels=15: as many of every class are wanted, so it must be a multiple of 10'),
    ('digits', {'labels': 0}, 'labels=0: it must be at least 1'),
    ('digits', {'labels': 'all'}, "labels='all': a whole number"),
    ('digits', {'labels': 10, 'label_seed': -1}, 'label_seed=-1'),
    ('digits', {'labels': 2000}, r'labels=2000: train has \d+ examples of class \d; give at most 1\d\d0'),
    ('digits', {'labels': 10, 'examples': 5}, r'labels=10: train has 0 examples of class \d; give at most 0'),
])
def test_bad_labels(name, options, message):
    with pytest.raises(UserError, match=message) as e:
        datasets.load(name, **options)
    assert '\n' not in str(e.value)
