"""Text: the corpora of the text-VAE literature, in the files that its authors hand out."""
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vaebench.datasets import cache, text_files
from vaebench.datasets.base import SPLITS, Dataset, Folder
from vaebench.datasets.source_files import find
from vaebench.datasets.text_files import TextOptions, options
from vaebench.errors import UserError

SIZES = {'train': 100_000, 'valid': 10_000, 'test': 10_000}


class Published(NamedTuple):
    """What the literature counts in a corpus."""
    vocab: int         # ids, the four special ones included
    words: float       # of a test sentence on average, </s> included
    within: float      # how exactly that average is known
    labels: int        # 0: no labels were handed out


CORPORA = {
    'yahoo': Published(20_001, 79.867, 1e-3, 10),
    'yelp': Published(19_997, 96.65, .05, 5),
    'short_yelp': Published(8_411, 10.000, 1e-3, 2),
    'snli': Published(9_990, 10.758, 1e-3, 0),
}


def _labelled(raw: bytes) -> bool:
    """Whether the first line with a word is label<TAB>text."""
    for line in raw.splitlines():
        if line.strip():
            return b'\t' in line.strip()
    return False


def differences(name: str, examples: Mapping[str, Any],
                metadata: Mapping[str, Any]) -> list[str]:
    """How prepared files differ from the published ones.

    Args:
      name: key of CORPORA.
      examples: {split: list of {'ids': int [n], 'label': int}}.
      metadata: with 'vocab' and 'labels'.

    Returns:
      List of texts, empty if nothing differs.

    >>> one = {'ids': np.arange(3), 'label': 0}
    >>> examples = {s: [one] * n for s, n in SIZES.items()}
    >>> differences('snli', examples, {'vocab': range(9_990), 'labels': []})
    ['4.000 words per test sentence instead of 10.758']
    """
    known, out = CORPORA[name], []
    for split, size in SIZES.items():
        if len(examples[split]) != size:
            out.append(f'{len(examples[split]):,} sentences in {split} instead of {size:,}')
    if len(metadata['vocab']) != known.vocab:
        ids = len(metadata['vocab'])
        out.append(f'a vocabulary of {ids:,} instead of {known.vocab:,}')
    words = np.mean([len(e['ids']) + 1 for e in examples['test']])
    if abs(words - known.words) > known.within:
        out.append(f'{words:.3f} words per test sentence instead of {known.words:.3f}')
    if metadata['labels'] and len(metadata['labels']) != known.labels:
        out.append(f'{len(metadata["labels"])} labels instead of {known.labels}')
    return out


def _load(name: str, data_dir: Folder, cache_dir: Folder, check: bool,
          chosen: TextOptions) -> Dataset:
    """The body of every loader here: see `yahoo`."""
    names = [f'{name}.{s}.txt' for s in SPLITS]
    folder = find(name, names, data_dir, f'{name}_label_data', f'{name}_data', name)
    files = text_files.sources(folder, names)
    labelled = CORPORA[name].labels > 0 and _labelled(files['train'][1])
    hashes = [hashlib.sha256(raw).hexdigest() for _, raw in files.values()]
    builder = ''.join(part.capitalize() for part in name.split('_'))
    key = cache.key(name, tuple(hashes), (labelled,))
    prepared = cache.prepared(cache.cache_folder(cache_dir) / name / key,
                              text_files.writer(builder, files, labelled))
    examples, metadata = text_files.stored(prepared)
    other = differences(name, examples, metadata)
    if other and check:
        raise UserError(
            f'{folder} does not hold the published {name}: {", ".join(other)}; check=False '
            "takes it as it is, and the dataset text_dir takes anybody's sentences")
    return text_files.finish(name, (examples, metadata), chosen, labelled, bool(other))


def yahoo(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
          max_words: int | None = None, sentences: int | None = None,
          eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Yahoo Answers, 10 topics: 100,000 / 10,000 / 10,000 texts and 20,001 ids.

    A test text has 79.867 words on average, </s> included. Ids: <pad>, <s>, </s>, <unk>, then
    words by first appearance in train; words that train lacks are <unk>, lines without a word
    are dropped. Labels are read where the first line of train is label<TAB>text.

    Args:
      data_dir: folder with yahoo.train.txt, yahoo.valid.txt and yahoo.test.txt, one text a
        line, or with a folder yahoo_label_data, yahoo_data or yahoo of them.
      cache_dir: folder for prepared files, which are keyed by the contents of the sources.
      check: refuse files whose sentences, ids, words per test sentence or labels do not count
        as published; if false, such files are taken, and their results are never compared with
        published numbers.
      max_words, sentences, eval_sentences, vocab: as in `text_files.ptb`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.

    References:
      Yang et al., Improved Variational Autoencoders for Text Modeling using Dilated
      Convolutions, 2017, arXiv:1702.08139.
      He et al., Lagging Inference Networks and Posterior Collapse in Variational Autoencoders,
      2019, arXiv:1901.05534.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    return _load('yahoo', data_dir, cache_dir, check, chosen)


def yelp(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
         max_words: int | None = None, sentences: int | None = None,
         eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Yelp15 reviews, 5 stars: 100,000 / 10,000 / 10,000 reviews and 19,997 ids.

    A test review has about 96.65 words on average, </s> included.

    Args:
      data_dir: folder with yelp.train.txt, yelp.valid.txt and yelp.test.txt, lines of
        label<TAB>text, or with a folder yelp_data or yelp of them.
      cache_dir, check, max_words, sentences, eval_sentences, vocab: as in `yahoo`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.

    References:
      As for `yahoo`.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    return _load('yelp', data_dir, cache_dir, check, chosen)


def short_yelp(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
               max_words: int | None = None, sentences: int | None = None,
               eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Short Yelp sentences, 2 sentiments: 100,000 / 10,000 / 10,000 sentences and 8,411 ids.

    A test sentence has 10.000 words on average, </s> included.

    Args:
      data_dir: folder with short_yelp.train.txt, short_yelp.valid.txt and short_yelp.test.txt,
        lines of label<TAB>text, or with a folder short_yelp_data or short_yelp of them.
      cache_dir, check, max_words, sentences, eval_sentences, vocab: as in `yahoo`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.

    References:
      Shen et al., Style Transfer from Non-Parallel Text by Cross-Alignment, 2017,
      arXiv:1705.09655.
      Li et al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019,
      arXiv:1909.00868.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    return _load('short_yelp', data_dir, cache_dir, check, chosen)


def snli(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
         max_words: int | None = None, sentences: int | None = None,
         eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """SNLI sentences without labels: 100,000 / 10,000 / 10,000 sentences and 9,990 ids.

    A test sentence has 10.758 words on average, </s> included.

    Args:
      data_dir: folder with snli.train.txt, snli.valid.txt and snli.test.txt, one sentence a
        line, or with a folder snli_data or snli of them.
      cache_dir, check, max_words, sentences, eval_sentences, vocab: as in `yahoo`.

    Returns:
      A `Dataset`.

    References:
      Bowman et al., A Large Annotated Corpus for Learning Natural Language Inference, 2015,
      arXiv:1508.05326.
      Li et al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019,
      arXiv:1909.00868.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    return _load('snli', data_dir, cache_dir, check, chosen)
