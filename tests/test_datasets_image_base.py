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
            found = tfds.features.FeaturesDict(features(tfds.features))
            return tfds.core.DatasetInfo(builder=self, disable_shuffling=keep_order,
                                         features=found)

        def _split_generators(self, dl_manager):
            return {s: self._generate_examples(rows) for s, rows in splits.items()}

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    builder = Stock(data_dir=path, file_format='array_record')
    builder.download_and_prepare(download_dir=path / 'downloads')


def test_dynamic_binarization_draws_training_batches_anew():
    """Frequencies of drawn pixels against their grey levels, those of partners too."""
    d = datasets.load('digits', labels=10)
    augment, train = binarize('partner'), jax.tree.map(jnp.asarray, d.splits['train'])
    batch = core.take(train, jnp.arange(2))
    keys = jax.random.split(jax.random.key(0), 3000)
    drawn = jax.jit(jax.vmap(lambda key: augment(key, batch)))(keys)
    pairs = (drawn['x'], batch['x']), (drawn['partner']['x'], batch['partner']['x'])
    for got, p in pairs:
        assert set(np.unique(got)) == {0, 1} and got.dtype == jnp.float32
        assert (abs(got.mean(0) - p) <= 4.5 * np.sqrt(p * (1 - p) / 3000)).all()
    centred = [np.asarray(got - p) for got, p in pairs]
    # streams of their own
    assert abs((centred[0] * centred[1]).mean(0)).max() < 4.5 * .25 / 3000 ** .5
    assert (drawn['label'] == batch['label']).all() and (drawn['weight'] == 1).all()
    alone = augment(keys[0], {k: v for k, v in batch.items() if k != 'partner'})
    np.testing.assert_array_equal(alone['x'], drawn['x'][0])
    assert set(alone) == {'x', 'label', 'weight'}


@pytest.mark.parametrize('labels', [10, 30, 100, 1000])
def test_partners_are_balanced(labels):
    train = datasets.load('digits', labels=labels).splits['train']
    partner = train['partner'].index
    rows, times = np.unique(partner, return_counts=True)
    assert len(rows) == labels and times.max() - times.min() <= 1
    assert len(partner) == len(train['x'])
    assert (np.bincount(train['label'][rows]) == labels // 10).all()
    seen = np.bincount(train['label'][partner])
    assert seen.max() - seen.min() <= 1         # classes are shown equally often, too
    # shuffled: first and last labels of train's order meet no order
    if labels <= 100:
        first = partner[:len(rows)]
        assert len(np.unique(first)) < len(rows)


@pytest.mark.parametrize('options,message', [
    ({'labels': 15},
     'labels=15: as many of every class are wanted, so it must be a multiple of 10'),
    ({'labels': 0}, 'labels=0: it must be at least 1'),
    ({'labels': 'all'}, "labels='all': a whole number"),
    ({'labels': 10, 'label_seed': -1}, 'label_seed=-1'),
    ({'labels': 2000}, r'labels=2000: train has \d+ examples of class \d; give at most 1\d\d0'),
    ({'labels': 10, 'examples': 5},
     r'labels=10: train has 0 examples of class \d; give at most 0'),
])
def test_bad_labels(options, message):
    with pytest.raises(UserError, match=message) as e:
        datasets.load('digits', **options)
    assert '\n' not in str(e.value)
