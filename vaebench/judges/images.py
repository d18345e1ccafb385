"""Where samples and data are compared: a small classifier of the dataset's labels, trained by
the suite itself.
"""
import pathlib
import warnings
from typing import Any

import numpy as np

from vaebench import networks
from vaebench.engine import loop
from vaebench.judges import learned
from vaebench.judges.learned import in_batches
from vaebench.metrics import Estimator, Judge
from vaebench.schema import label, of_kind

SEED = 0
BATCH = 128
EPOCHS = 10            # at most, unless these are few steps
LEAST, MOST = 1500, 4000   # train steps of a small and of a large dataset
SMALL = 16             # pixels a side up to which images are small
COMPONENTS = 64        # principal components of pixels where there are no labels
ROWS = 20_000          # at most, behind them


def judge(data: Any, folder: pathlib.Path | None = None, **run: Any) -> Judge:
    """Makes the judge in whose features samples of a dataset are compared.

    Images with labels are compared in penultimate features of a small convolutional classifier,
    trained once with a fixed seed; images without labels in principal components of their
    training pixels; anything else as it is.

    Args:
      data: a `datasets.Dataset`.
      folder: where what was learned is kept and looked for, for any process; None keeps
        nothing.
      **run: of `loop.Options`, such as `deadline`, `stop` and `on_block`.

    Returns:
      A `metrics.Judge` with `features`: x [N, ...] -> [N, D] and, of a classifier, `classify`:
      features -> [N, K].

    Raises:
      loop.OutOfTime: time was up before the classifier was trained.
    """
    if of_kind(data.schema, 'image') is None:
        return Judge(f'{data.part}s', functions={'features': lambda x: x.reshape(len(x), -1)})
    known = learned.labelled(data)
    learn, made = (_train, _classifier) if known else (_fit, _components)
    config = _config(data) if known else {'components': COMPONENTS, 'rows': ROWS}
    return made(data, config, learned.kept(
        data, config, folder, lambda at: learn(data, config, at, run)))


# The classifier.

def _config(data):
    """What decides the classifier, besides the data."""
    small = max(data.schema['x'].shape[:2]) <= SMALL
    # features: few enough for ten rows each where a table compares 250 or 1,000 images
    channels, hidden = ((32, 64), 24) if small else ((32, 64, 128), 96)
    labels = [part['label'] for part in data.splits.values()]
    classes = int(max(label.max() for label in labels if len(label))) + 1
    epochs = learned.epochs(len(data.splits['train']['label']), BATCH, EPOCHS, LEAST, MOST)
    # it must see what it will judge
    augment = {} if data.augment is None else {'augment': True}
    kit = {'name': 'conv', 'latent': 1, 'channels': channels, 'hidden': hidden}
    return {'kit': kit, 'classes': classes, 'epochs': epochs, 'batch': BATCH, 'lr': 1e-3,
            'seed': SEED, **augment}


def _kit(data, config):
    return networks.build({'x': data.schema['x'], 'label': label(config['classes'])},
                          config['kit'])


def _pixels(data, split):
    """x float32 [N, ...] of a split, decoded."""
    columns = data.splits[split]
    return np.asarray((columns if data.decode is None else data.decode(columns))['x'],
                      np.float32)


def _known(data, split):
    """Rows with a label, as arrays for the engine."""
    label = np.asarray(data.splits[split]['label'], np.int32)
    return {'x': _pixels(data, split)[label >= 0], 'label': label[label >= 0]}


def _train(data, config, folder, run):
    """Leaves of the trained parameters and the accuracy on the test split."""
    parts = [_known(data, s) for s in ('train', 'valid', 'test')]
    options = loop.Options(folder=folder, fingerprint=data.source.sha256, **run)
    return learned.train(_kit(data, config), parts, config, options, data.augment)


def _classifier(data, config, arrays):
    """`Judge` of the classifier whose leaves these are."""
    found = learned.restored(_kit(data, config), config['classes'], arrays)
    features = in_batches(lambda x: found.encoder.apply(found.params['enc'], {'x': x}).last)
    name = Estimator(
        f"features of the suite's classifier {found.digest}, accuracy "
        f'{100 * found.accuracy:.1f}%', f'features-{found.digest}')
    return Judge(name, found.digest, found.accuracy, {
        'features': features,
        'classify': lambda features: np.asarray(learned.log_probs(found, features))})


# Without labels.

def _fit(data, config, folder, run):
    """Mean and principal components of the training pixels."""
    from sklearn.decomposition import PCA

    x = _pixels(data, 'train')
    rows = np.random.default_rng(SEED).permutation(len(x))[:config['rows']]
    x = x[rows].reshape(len(rows), -1)
    constant = not x.std(0).any()          # any components hold all of no variance
    pca = PCA(min(config['components'], *x.shape), svd_solver='randomized', random_state=SEED)
    with warnings.catch_warnings():
        if constant:
            warnings.simplefilter('ignore', RuntimeWarning)
        pca.fit(x)
    return {'mean': pca.mean_, 'components': pca.components_,
            'share': 1. if constant else pca.explained_variance_ratio_.sum()}


def _components(data, config, arrays):
    """`Judge` of these components."""
    mean, components = arrays['mean'], arrays['components']
    k, share = len(components), f"{100 * float(arrays['share']):.1f}"
    name = Estimator(f'{k} principal components of training pixels, {share}% of their variance',
                     f'components-{k}-{share}')
    return Judge(name, functions={
        'features': lambda x: (x.reshape(len(x), -1) - mean) @ components.T})
