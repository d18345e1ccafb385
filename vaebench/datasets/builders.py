"""TFDS builders and readers that need no TensorFlow.

The import is slow: only what prepares or reads imports this.
"""
import contextlib
import io
import logging
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

FORMAT = 'array_record'   # the one format that TFDS writes rightly without TensorFlow
CHUNK = 1024              # examples read at once


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does nothing: no statistics are published, and the search leaves folders in /tmp."""


class Prepared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Rows that the caller has read already, in their order. A subclass says its
    `_features`."""
    VERSION = tfds.core.Version('1.0.0')

    def __init__(self, *, rows: Mapping[str, Iterable[Mapping[str, Any]]],
                 metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Takes the rows of every split, JSON values to keep, and TFDS's own arguments."""
        self._rows, self._metadata = rows, metadata or {}
        super().__init__(**kwargs)

    def _features(self) -> dict[str, Any]:
        raise NotImplementedError

    def _info(self):
        metadata = tfds.core.MetadataDict(self._metadata) if self._metadata else None
        features = tfds.features.FeaturesDict(self._features())
        return _Info(builder=self, features=features, metadata=metadata, disable_shuffling=True)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(rows) for split, rows in self._rows.items()}

    def _generate_examples(self, rows):
        yield from enumerate(rows)


def _number(dtype: Any) -> Any:
    return tfds.features.Tensor(shape=(), dtype=dtype)


class Sentences(Prepared, skip_registration=True):
    """Token ids without <s> and </s>, and a label; the vocabulary is metadata."""

    def _features(self):
        return {'ids': tfds.features.Tensor(shape=(None,), dtype=np.int32),
                'label': _number(np.int32)}


class Ptb(Sentences, skip_registration=True):
    """Penn Treebank."""


class Yahoo(Sentences, skip_registration=True):
    """Yahoo Answers."""


class Yelp(Sentences, skip_registration=True):
    """Yelp15 reviews."""


class ShortYelp(Sentences, skip_registration=True):
    """Short Yelp sentences."""


class Snli(Sentences, skip_registration=True):
    """SNLI sentences."""


class TextDir(Sentences, skip_registration=True):
    """A folder of the user's own sentences."""


def _levels(*shape: int) -> Any:
    return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding='zlib')


class Mnist(Prepared, skip_registration=True):
    """MNIST from its raw files; TFDS's builder of that name needs TensorFlow to prepare."""

    def _features(self):
        return {'image': _levels(28, 28, 1), 'label': _number(np.int64)}


class FashionMnist(Mnist, skip_registration=True):
    """Fashion-MNIST."""


class BinarizedMnist(Prepared, skip_registration=True):
    """Larochelle's binarization of MNIST."""

    def _features(self):
        return {'image': _levels(28, 28, 1)}


class Pictures(Prepared, skip_registration=True):
    """Images brought to one size, and a number each; the size is metadata."""

    def _features(self):
        return {'image': _levels(*self._metadata['shape']), 'label': _number(np.int64)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences TFDS, which announces its work on stdout, by progress bars and through absl."""
    logger = logging.getLogger('absl')
    level, bars = logger.level, tqdm_utils._active
    logger.setLevel(logging.ERROR)
    tfds.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
        tfds.display_progress_bar(bars)


def write(builder: type[Prepared], folder: pathlib.Path,
          rows: Mapping[str, Iterable[Mapping[str, Any]]],
          metadata: Mapping[str, Any] | None = None) -> None:
    """Prepares a builder's rows.

    Args:
      builder: subclass of `Prepared`.
      folder: where; the files go to folder/<builder's name>/<its version>.
      rows: {split: iterable of examples}.
      metadata: JSON values kept beside them.
    """
    config = tfds.download.DownloadConfig(
        try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP)
    with _quiet(), tempfile.TemporaryDirectory(dir=folder) as downloads:   # stays empty
        b = builder(rows=rows, metadata=metadata, data_dir=folder, file_format=FORMAT)
        b.download_and_prepare(download_dir=downloads, download_config=config)


def read(folder: pathlib.Path, splits: Sequence[str],
         each: Callable[[Mapping[str, Any]], Any] | None = None,
         first: Mapping[str, int | None] | None = None) -> tuple[dict[str, list], Any]:
    """Everything of a prepared dataset.

    Args:
      folder: the one with dataset_info.json, or any above it that holds no other.
      splits: names.
      each: function of an example, applied as they are read; None keeps them.
      first: {split: at most so many examples}.

    Returns:
      ({split: list of examples}, metadata).
    """
    folder, = (p.parent for p in folder.rglob('dataset_info.json'))
    out = {}
    with _quiet():
        b: Any = tfds.builder_from_directory(folder)
        for split in splits:
            source = b.as_data_source(split=split)
            n = min(len(source), (first or {}).get(split) or len(source))
            chunks = (source.__getitems__(range(i, min(i + CHUNK, n)))
                      for i in range(0, n, CHUNK))
            out[split] = [each(e) if each else e for chunk in chunks for e in chunk]
        return out, b.info.metadata
