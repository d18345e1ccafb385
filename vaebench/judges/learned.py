"""What judges learn with the suite's own engine: classifiers, trained once and kept in a
folder.
"""
import contextlib
import hashlib
import io
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core, files
from vaebench.engine import checkpoint, hosts, loop, order
from vaebench.engine.optimizers import optimizer
from vaebench.engine.trainer import Settings, Trainer
from vaebench.methods import baselines
from vaebench.metrics import validator
from vaebench.metrics.draws import slots
from vaebench.schema import count

VALIDATION = 256       # rows of the validation split at once
AT_ONCE = 250          # rows of a dispatch

Arrays = Mapping[str, np.ndarray]
"""What was learned, as a file holds it."""


# Files.

def kept(data: Any, config: Mapping[str, Any], folder: pathlib.Path | None,
         learn: Callable[[pathlib.Path | None], Arrays]) -> Arrays:
    """Gives what was learned from data, which is learned first where no file holds it.

    Args:
      data: a `datasets.Dataset`.
      config: what else decides the arrays.
      folder: of the files; None keeps nothing.
      learn: folder of checkpoints, None to keep none -> arrays.
    """
    if folder is None:
        return learn(None)
    path = folder / f'{data.source.sha256[:16]}.{files.config_hash(config)}.npz'
    arrays = hosts.led(read, path)
    if arrays is not None:
        return arrays
    # a process without the lock does the same work, and keeps no checkpoints
    with contextlib.ExitStack() as locks:
        mine = hosts.led(lambda: locks.enter_context(files.lock(path.with_suffix('.lock'))))
        new = learn(path.with_suffix('') if mine else None)
        return hosts.led(_settled, path, new, mine)


def _settled(path, new, mine):
    """The arrays that stand in a file, which are `new` unless another process was quicker."""
    arrays = read(path)
    if arrays is None:
        arrays = new
        _write(path, new)
    if mine:
        checkpoint.remove(path.with_suffix(''))
    return arrays


def read(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """Gives the arrays of a file that is whole, else None."""
    try:
        with open(path, 'rb') as file, np.load(file) as found:
            return {k: found[k] for k in found.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile):
        return None


def _write(path, arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files.write_bytes(path, buffer.getvalue())


# Rows.

def labelled(data: Any) -> bool:
    """Says whether the training split has more than one label to learn."""
    train = data.splits['train']
    return 'label' in train and len(np.unique(train['label'])) > 1


def in_batches(f: Callable[[Any], jax.Array]) -> Callable[[Any], np.ndarray]:
    """Applies f to rows x, leaves [N, ...], as one program, in dispatches of 250, whatever N.

    >>> in_batches(lambda x: 2 * x)(np.arange(3.)).tolist()
    [0.0, 2.0, 4.0]
    """
    @jax.jit
    def exact(x):
        with jax.default_matmul_precision('highest'):
            return f(x)

    def every(x):
        n = len(jax.tree.leaves(x)[0])
        parts = [jax.device_get(exact(jax.tree.map(lambda a, at=at: a[np.maximum(at, 0)], x)))
                 for at in slots(n, AT_ONCE)]
        return np.concatenate(parts)[:n]

    return every


def epochs(examples: int, batch: int, limit: int, least: int, most: int) -> int:
    """Counts the epochs of a judge: at most `limit` or `most` steps, but `least` steps.

    >>> epochs(1000, 100, 5, 20, 1000), epochs(100, 100, 5, 20, 1000)
    (5, 20)
    """
    steps = order.epoch_steps([examples], batch)
    return max(-(-least // steps), min(limit, max(1, most // steps)))


# The classifier.

def train(kit: core.Kit, parts: Sequence[Mapping[str, Any]], config: Mapping[str, Any],
          options: loop.Options, augment: Callable[..., Any] | None = None) -> Arrays:
    """Trains a classifier of labels; the validation data choose its parameters.

    Args:
      kit: `encoder` and `head` are used.
      parts: columns to learn from, to choose by and to test on, 'label' among them; the last
        two may have no rows.
      config: 'epochs', 'batch', 'lr' and 'seed'.
      options: how the run is carried out.
      augment: see `datasets.Dataset`.

    Returns:
      Leaves of the parameters, and 'accuracy' on the data to test on.
    """
    learn, valid, test = parts
    examples = count(learn)
    epoch = order.epoch_steps([examples], config['batch'])
    recipe = core.Recipe(config['epochs'] * epoch, epoch, examples, optimizer({'name': 'adam'}))
    method = baselines.classifier(kit, recipe)
    numbers = {'lr': config['lr'], 'lr_scale': 1.}
    trainer = _trainer(method, config, learn, valid, augment)
    state, _ = loop.run(trainer, [config['seed']], numbers, options)
    params = jax.tree.map(lambda x: x[0], jax.device_get(state.params))
    leaves = {f'{i:03d}': x for i, x in enumerate(jax.tree.leaves(params))}
    return {**leaves, 'accuracy': np.asarray(_accuracy(method, params, test), np.float64)}


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
    told = {k: v for k, v in test.items() if k != 'label'}
    log_p = in_batches(lambda x: classify(params, {}, x))(told)
    return (log_p.argmax(1) == test['label']).mean()


class Classifier(NamedTuple):
    """A trained classifier."""
    encoder: core.Net
    head: core.Net
    params: Mapping[str, Any]      # 'enc' and 'head'
    digest: str                    # of the parameters
    accuracy: float                # nan where there was nothing to test on


def restored(kit: core.Kit, classes: int, arrays: Arrays) -> Classifier:
    """Makes the classifier of the arrays that `train` gave.

    Args:
      kit: that it was trained with.
      classes: K.
      arrays: leaves of the parameters, and 'accuracy'.
    """
    enc, head = kit.encoder(), kit.head(classes)
    tree = jax.eval_shape(
        lambda: {'enc': enc.init(jax.random.key(0)), 'head': head.init(jax.random.key(0))})
    leaves = [arrays[k] for k in sorted(arrays) if k != 'accuracy']
    digest = hashlib.sha256(b''.join(
        np.ascontiguousarray(x, '<f4').tobytes() for x in leaves)).hexdigest()[:8]
    params = jax.tree.unflatten(jax.tree.structure(tree), leaves)
    return Classifier(enc, head, params, digest, float(arrays['accuracy']))


def log_probs(classifier: Classifier, features: Any) -> jax.Array:
    """Computes the log probabilities [N, K] of features [N, H]."""
    return jax.nn.log_softmax(
        classifier.head.apply(classifier.params['head'], jnp.float32(features)))
