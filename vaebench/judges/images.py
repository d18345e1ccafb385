"""Where samples and data are compared: a small classifier of the dataset's labels, trained by the suite itself."""
import functools
import hashlib
import io
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core, files, networks
from vaebench.engine import checkpoint, loop, order
from vaebench.engine.optimizers import optimizer
from vaebench.engine.trainer import Settings, Trainer
from vaebench.errors import unknown
from vaebench.methods import baselines
from vaebench.metrics import Space, validator
from vaebench.metrics.view import slots

SEED = 0
BATCH = 128
VALIDATION = 256       # rows of the validation split at once
EPOCHS = 10            # at most, unless these are few steps
LEAST, MOST = 1500, 4000   # train steps of a small and of a large dataset
SMALL = 16             # pixels a side up to which images are small
COMPONENTS = 64        # principal components of pixels where there are no labels
ROWS = 20_000          # at most, behind them
AT_ONCE = 250          # rows of a dispatch


def binarize(key: core.Key, batch: core.Batch) -> core.Batch:
    """Draws each pixel of a batch, and of its partners, as one with probability x, else zero.

    Args:
      key: [] typed key.
      batch: with 'x' in [0, 1].

    Returns:
      The batch with new 'x'.
    """
    def drawn(tag, x):
        return jax.random.bernoulli(core.derive(key, tag), x).astype(jnp.float32)

    out = {**batch, 'x': drawn(0, batch['x'])}
    if 'partner' in batch:
        out['partner'] = {**batch['partner'], 'x': drawn(1, batch['partner']['x'])}
    return out


AUGMENT = {'binarise': binarize}
"""What training data asks to be done to every batch, by the name in its info."""


def augmentation(name: str | None) -> core.Augment | None:
    """The augmentation that a dataset names.

    Args:
      name: key of `AUGMENT`, or None.

    Returns:
      The function, or None.

    Raises:
      UserError: the name is unknown.
    """
    if name is not None and name not in AUGMENT:
        raise unknown('augmentation', name, AUGMENT)
    return AUGMENT.get(name)


def space(data, folder=None, **run):
    """The `Space` of a dataset's samples.

    Images with labels are compared in penultimate features of a small convolutional classifier, trained once with a
    fixed seed; images without labels in principal components of their training pixels; anything else as it is.

    Args:
      data: a `datasets.Dataset`.
      folder: where what was learned is kept and looked for, for any process; None keeps nothing.
      **run: of `loop.Options`, such as `deadline`, `stop` and `on_block`.

    Returns:
      A `metrics.Space`.

    Raises:
      loop.OutOfTime: time was up before the classifier was trained.
    """
    if data.info['kind'] != 'image':
        return Space(lambda x: x.reshape(len(x), -1), 'coordinates')
    learn, made = (_train, _classifier) if _labelled(data) else (_fit, _components)
    config = _config(data) if _labelled(data) else {'components': COMPONENTS, 'rows': ROWS}
    if folder is None:
        return made(data, config, learn(data, config, None, run))
    path = folder / f"{data.info['sha256'][:16]}.{files.config_hash(config)}.npz"
    arrays = _read(path)
    if arrays is None:
        with files.lock(path.with_suffix('.lock')) as mine:      # who has it not does the same work, and keeps none
            new = learn(data, config, path.with_suffix('') if mine else None, run)
            arrays = _read(path)
            if arrays is None:
                arrays = new
                _write(path, new)
            if mine:
                checkpoint.remove(path.with_suffix(''))
    return made(data, config, arrays)


def _labelled(data):
    return 'label' in data.splits['train'] and len(np.unique(data.splits['train']['label'])) > 1


def _read(path):
    """Arrays of a file that is whole, else None."""
    try:
        with open(path, 'rb') as file, np.load(file) as found:
            return {k: found[k] for k in found.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def _write(path, arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files.write_bytes(path, buffer.getvalue())


def in_batches(f):
    """f of rows x [N, ...] as one program, in dispatches of 250, whatever N.

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
    small = max(data.info['shape'][:2]) <= SMALL
    sizes = {'channels': (32, 64), 'hidden': 32} if small else {'channels': (32, 64, 128), 'hidden': 128}
    classes = int(max(part['label'].max() for part in data.splits.values() if len(part['label']))) + 1
    steps = order.epoch_steps([len(data.splits['train']['label'])], BATCH)
    epochs = max(-(-LEAST // steps), min(EPOCHS, max(1, MOST // steps)))
    augment = {k: v for k, v in data.info.items() if k == 'augment' and v}     # it must see what it will judge
    return {'kit': {'name': 'conv', 'latent': 1, **sizes}, 'classes': classes, 'epochs': epochs, 'batch': BATCH,
            'lr': 1e-3, 'seed': SEED, **augment}


def _kit(data, config):
    return networks.build({**data.info, 'classes': config['classes']}, config['kit'])


def _known(part):
    """Rows with a label, as arrays for the engine."""
    label = np.asarray(part['label'], np.int32)
    return {'x': np.asarray(part['x'], np.float32)[label >= 0], 'label': label[label >= 0]}


def _train(data, config, folder, run):
    """Leaves of the trained parameters and the accuracy on the test split."""
    learn, valid, test = (_known(data.splits[s]) for s in ('train', 'valid', 'test'))
    epoch = order.epoch_steps([len(learn['label'])], config['batch'])
    plan = core.Plan(config['epochs'] * epoch, epoch, optimizer({'name': 'adam'}))
    method = baselines.classifier(_kit(data, config), plan)
    classify = method.evals['classify']

    def score(params, carry, batch):           # what the validation, which knows likelihoods, takes the best of
        return jnp.take_along_axis(classify(params, carry, batch), batch['label'][:, None], 1)[:, 0]

    held = len(valid['label']) > 0
    method = method._replace(evals={'score': score} if held else {})
    settings = Settings(config['epochs'], config['batch'], keep='best' if held else 'last')
    validators = functools.partial(validator, method.evals, [valid], batch=VALIDATION)
    trainer = Trainer(method, [learn], validators, settings, 1,
                      augmentation(config.get('augment')))
    options = loop.Options(folder=folder, fingerprint=data.info['sha256'], **run)
    numbers = {'lr': config['lr'], 'lr_scale': 1.}
    state, _ = loop.run(trainer, [config['seed']], numbers, options)
    params = jax.tree.map(lambda x: x[0], jax.device_get(state.params))
    right = np.nan
    if len(test['label']):
        log_p = in_batches(lambda x: classify(params, {}, {'x': x}))(test['x'])
        right = (log_p.argmax(1) == test['label']).mean()
    return {**{f'{i:03d}': x for i, x in enumerate(jax.tree.leaves(params))}, 'accuracy': np.float64(right)}


def _classifier(data, config, arrays):
    """`Space` of the classifier whose leaves these are."""
    kit = _kit(data, config)
    enc, head = kit.encoder(), kit.head(config['classes'])
    tree = jax.eval_shape(lambda: {'enc': enc.init(jax.random.key(0)), 'head': head.init(jax.random.key(0))})
    leaves = [arrays[k] for k in sorted(arrays) if k != 'accuracy']
    params = jax.tree.unflatten(jax.tree.structure(tree), leaves)
    digest = hashlib.sha256(b''.join(np.ascontiguousarray(x, '<f4').tobytes() for x in leaves)).hexdigest()[:8]

    def classify(features):
        return np.asarray(jax.nn.log_softmax(head.apply(params['head'], jnp.float32(features))))

    accuracy = f"accuracy {100 * float(arrays['accuracy']):.1f}%"
    return Space(in_batches(lambda x: enc.apply(params['enc'], {'x': x}).last),
                 f"features of the suite's classifier {digest}, {accuracy}", classify)


# Without labels.

def _fit(data, config, folder, run):
    """Mean and principal components of the training pixels."""
    from sklearn.decomposition import PCA

    x = np.asarray(data.splits['train']['x'], np.float32)
    x = x[np.random.default_rng(SEED).permutation(len(x))[:config['rows']]].reshape(min(len(x), config['rows']), -1)
    pca = PCA(min(config['components'], *x.shape), svd_solver='randomized', random_state=SEED).fit(x)
    return {'mean': pca.mean_, 'components': pca.components_, 'share': pca.explained_variance_ratio_.sum()}


def _components(data, config, arrays):
    """`Space` of these components."""
    mean, components = arrays['mean'], arrays['components']
    return Space(lambda x: (x.reshape(len(x), -1) - mean) @ components.T,
                 f"{len(components)} principal components of training pixels, {100 * float(arrays['share']):.1f}% of "
                 'their variance')
