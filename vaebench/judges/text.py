"""The judge of style: a classifier of sentences by their labels, trained by the suite itself.
"""
import pathlib
from collections import Counter
from typing import Any

import numpy as np

from vaebench.engine import loop
from vaebench.judges import learned
from vaebench.metrics import Estimator, Judge
from vaebench.networks.text_cnn import text_cnn
from vaebench.schema import field, label, select

SEED = 8191            # its own: no row trains with it
BATCH = 128
EPOCHS = 5             # at most, unless these are few steps
LEAST, MOST = 200, 2000    # train steps of a small and of a large dataset
EMBED, WIDTHS, CHANNELS = 128, (3, 4, 5), 128
DROPOUT = .5
TENTH = 10             # one of so many training sentences is held out where that is needed
STEP = 8               # widths that are read are multiples of it: few programs


def judge(data: Any, folder: pathlib.Path | None = None, **run: Any) -> Judge:
    """Makes the judge of whether a sentence has a label: a convolutional classifier of the
    training split's sentences.

    It is another network than any that guides a row, with a seed of its own. Validation data
    choose its parameters. A split cannot serve that lacks a label of the training split, or
    half of whose sentences stand under several labels: neutral sentences that are to be
    rewritten to every style. In place of such validation data stands a tenth of the training
    split, which is not learned from. The accuracy is that on the test split or, where this
    cannot serve, on the data that chose the parameters.

    Args:
      data: a `datasets.Dataset` of sentences with more than one label in the training split.
      folder: where what was learned is kept and looked for, for any process; None keeps
        nothing.
      **run: of `loop.Options`, such as `deadline`, `stop` and `on_block`.

    Returns:
      A `metrics.Judge` with `log_probs`: tokens [N, L], length [N] -> [N, K].

    Raises:
      loop.OutOfTime: time was up before the classifier was trained.

    References:
      Kim, "Convolutional Neural Networks for Sentence Classification", 2014, arXiv:1408.5882.
      John et al., "Disentangled Representation Learning for Non-Parallel Text Style Transfer",
      2019, arXiv:1808.04339 (a classifier of this kind as the judge of transfer).
    """
    config, (_, place) = _config(data), _parts(data)
    kit = _kit(data, config)
    arrays = learned.kept(data, config, folder,
                          lambda at: _train(data, config, at, run))
    found = learned.restored(kit, config['classes'], arrays)
    classify = learned.in_batches(lambda batch: learned.log_probs(
        found, found.encoder.apply(found.params['enc'], batch).last))

    def log_probs(tokens, length):
        short = -np.shape(tokens)[1] % STEP
        return classify({'tokens': np.pad(tokens, ((0, 0), (0, short))),
                         'length': np.asarray(length, np.int32)})

    name = Estimator(f"the suite's convolutional classifier {found.digest}, accuracy "
                     f'{100 * found.accuracy:.1f}% on {place}', f'text-cnn-{found.digest}')
    return Judge(name, found.digest, found.accuracy, {'log_probs': log_probs})


def _config(data):
    """What decides the classifier, besides the data."""
    learn = _parts(data)[0][0]
    classes = field(data.schema, 'label').size or int(learn['label'].max()) + 1
    size = len(learn['label'])
    return {'embed': EMBED, 'widths': WIDTHS, 'channels': CHANNELS, 'dropout': DROPOUT,
            'classes': classes, 'batch': BATCH, 'lr': 1e-3, 'seed': SEED,
            'epochs': learned.epochs(size, BATCH, EPOCHS, LEAST, MOST), 'examples': size}


def _kit(data, config):
    return text_cnn({'tokens': data.schema['tokens'], 'label': label(config['classes'])},
                    config)


def _known(data, split):
    """Sentences with a label, as arrays for the engine; {} where the split has no labels."""
    columns = data.splits.get(split, {})
    if 'label' not in columns:
        return {}
    rows = np.flatnonzero(np.asarray(columns['label']) >= 0)
    return {k: np.asarray(columns[k])[rows] for k in ('tokens', 'length', 'label')}


def _told(part):
    """The share of sentences that stand under one label alone."""
    words = [tuple(row[1:n])
             for row, n in zip(part['tokens'].tolist(), part['length'], strict=True)]
    labels = Counter(s for s, _ in {*zip(words, part['label'].tolist(), strict=True)})
    return np.mean([labels[s] == 1 for s in words])


def _parts(data):
    """Columns to learn from, to choose by and to test on, and what the last are."""
    learn, valid, test = (_known(data, split) for split in ('train', 'valid', 'test'))

    def whole(part):
        return not set(learn['label']) - set(part.get('label', ())) and _told(part) > .5

    place = 'the validation split, which chose its parameters'
    if not whole(valid):
        order = np.random.default_rng(SEED).permutation(len(learn['label']))
        most = max(1, len(order) // TENTH)
        learn, valid = select(learn, np.sort(order[most:])), select(learn, order[:most])
        place = 'a tenth of the training split, which chose its parameters'
    return (learn, valid, test if whole(test) else valid), (
        'the test split' if whole(test) else place)


def _train(data, config, folder, run):
    """Leaves of the trained parameters and the accuracy."""
    parts, _ = _parts(data)
    fingerprint = '' if folder is None else data.source.sha256     # of checkpoints
    options = loop.Options(folder=folder, fingerprint=fingerprint, **run)
    return learned.train(_kit(data, config), parts, config, options)
