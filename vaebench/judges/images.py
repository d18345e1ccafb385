"""Where samples and data are compared: a small classifier of the dataset's labels, trained by
the suite itself.
"""
import hashlib
import io
import pathlib
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core, files, networks
from vaebench.engine import checkpoint, loop, order
from vaebench.engine.optimizers import optimizer
from vaebench.engine.trainer import Settings, Trainer
from vaebench.methods import baselines
from vaebench.metrics import Estimator, Judge, validator
from vaebench.metrics.draws import slots
from vaebench.schema import label, of_kind

SEED = 0
BATCH = 128
VALIDATION = 256       # rows of the validation split at once
EPOCHS = 10            # at most, unless these are few steps
LEAST, MOST = 1500, 4000   # train steps of a small and of a large dataset
SMALL = 16             # pixels a side up to which images are small
COMPONENTS = 64        # principal components of pixels where there are no labels
ROWS = 20_000          # at most, behind them
AT_ONCE = 250          # rows of a dispatch


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
    learn, made = (_train, _classifier) if _labelled(data) else (_fit, _components)
    config = _config(data) if _labelled(data) else {'components': COMPONENTS, 'rows': ROWS}
    if folder is None:
        return made(data, config, learn(data, config, None, run))
    path = folder / f'{data.source.sha256[:16]}.{files.config_hash(config)}.npz'
    return made(data, config, _kept(path, lambda at: learn(data, config, at, run)))


def _kept(path, learn):
    """The arrays of a file, which are learned and written first where there is none."""
    arrays = _read(path)
    if arrays is not None:
        return arrays
    # a process without the lock does the same work, and keeps no checkpoints
    with files.lock(path.with_suffix('.lock')) as mine:
        new = learn(path.with_suffix('') if mine else None)
        arrays = _read(path)
        if arrays is None:
            arrays = new
            _write(path, new)
        if mine:
            checkpoint.remove(path.with_suffix(''))
    return arrays


def _labelled(data):
    train = data.splits['train']
    return 'label' in train and len(np.unique(train['label'])) > 1


def _read(path):
    """Arrays of a file that is whole, else None."""
    try:
        with open(path, 'rb') as file, np.load(file) as found:
            return {k: found[k] for k in found.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile):
        return None


def _write(path, arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files.write_bytes(path, buffer.getvalue())


def in_batches(f: Callable[[Any], jax.Array]) -> Callable[[np.ndarray], np.ndarray]:
    """Applies f to rows x [N, ...] as one program, in dispatches of 250, whatever N.

    >>> in_batches(lambda x: 2 * x)(np.arange(3.)).tolist()
    [0.0, 2.0, 4.0]
    """
    @jax.jit
    def exact(x):
        with jax.default_matmul_precision('highest'):
            return f(x)

    def every(x):
        parts = [jax.device_get(exact(x[np.maximum(at, 0)])) for at in slots(len(x), AT_ONCE)]
        return np.concatenate(parts)[:len(x)]

    return every


# The classifier.

def _config(data):
    """What decides the classifier, besides the data."""
    small = max(data.schema['x'].shape[:2]) <= SMALL
    # features: few enough for ten rows each where a table compares 250 or 1,000 images
    channels, hidden = ((32, 64), 24) if small else ((32, 64, 128), 96)
    labels = [part['label'] for part in data.splits.values()]
    classes = int(max(label.max() for label in labels if len(label))) + 1
    steps = order.epoch_steps([len(data.splits['train']['label'])], BATCH)
    epochs = max(-(-LEAST // steps), min(EPOCHS, max(1, MOST // steps)))
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
    learn, valid, test = (_known(data, s) for s in ('train', 'valid', 'test'))
    examples = len(learn['label'])
    epoch = order.epoch_steps([examples], config['batch'])
    recipe = core.Recipe(config['epochs'] * epoch, epoch, examples, optimizer({'name': 'adam'}))
    method = baselines.classifier(_kit(data, config), recipe)
    options = loop.Options(folder=folder, fingerprint=data.source.sha256, **run)
    numbers = {'lr': config['lr'], 'lr_scale': 1.}
    trainer = _trainer(method, config, learn, valid, data.augment)
    state, _ = loop.run(trainer, [config['seed']], numbers, options)
    params = jax.tree.map(lambda x: x[0], jax.device_get(state.params))
    leaves = {f'{i:03d}': x for i, x in enumerate(jax.tree.leaves(params))}
    return {**leaves, 'accuracy': np.float64(_accuracy(method, params, test))}


def _trainer(method, config, learn, valid, augment):
    """The classifier's trainer; without validation data the last parameters are kept."""
    held = len(valid['label']) > 0
    settings = Settings(config['epochs'], config['batch'], keep='best' if held else 'last')

    def validation(evals, needs):
        return validator(evals if held else {}, [valid], needs, VALIDATION)

    return Trainer(method, [learn], validation, settings, 1, augment)


def _accuracy(method, params, test):
    """The share of right classes, nan without test data."""
    if not len(test['label']):
        return np.nan
    classify = method.evals['classify']
    log_p = in_batches(lambda x: classify(params, {}, {'x': x}))(test['x'])
    return (log_p.argmax(1) == test['label']).mean()


def _classifier(data, config, arrays):
    """`Judge` of the classifier whose leaves these are."""
    kit = _kit(data, config)
    enc, head = kit.encoder(), kit.head(config['classes'])
    tree = jax.eval_shape(
        lambda: {'enc': enc.init(jax.random.key(0)), 'head': head.init(jax.random.key(0))})
    leaves = [arrays[k] for k in sorted(arrays) if k != 'accuracy']
    params = jax.tree.unflatten(jax.tree.structure(tree), leaves)
    digest = hashlib.sha256(b''.join(
        np.ascontiguousarray(x, '<f4').tobytes() for x in leaves)).hexdigest()[:8]
    accuracy = float(arrays['accuracy'])

    def classify(features):
        return np.asarray(jax.nn.log_softmax(head.apply(params['head'], jnp.float32(features))))

    features = in_batches(lambda x: enc.apply(params['enc'], {'x': x}).last)
    name = Estimator(
        f"features of the suite's classifier {digest}, accuracy {100 * accuracy:.1f}%",
        f'features-{digest}')
    return Judge(name, digest, accuracy, {'features': features, 'classify': classify})


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
