"""Text: the corpora of the text-VAE literature, in the files that its authors hand out."""
import hashlib
from typing import NamedTuple

import numpy as np

from vaebench.datasets import store, text
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


def _labelled(raw):
    """Whether the first line with a word is label<TAB>text."""
    for line in raw.splitlines():
        if line.strip():
            return b'\t' in line.strip()
    return False


def differences(name, examples, metadata):
    """How prepared files differ from the published ones.

    Args:
      name: key of CORPORA.
      examples: {split: list of {'ids': int [n], 'label': int}}.
      metadata: with 'vocab' and 'labels'.

    Returns:
      List of texts, empty if nothing differs.

    >>> one = {'ids': np.arange(3), 'label': 0}
    >>> differences('snli', {s: [one] * n for s, n in SIZES.items()}, {'vocab': range(9_990), 'labels': []})
    ['4.000 words per test sentence instead of 10.758']
    """
    known, out = CORPORA[name], []
    for split, size in SIZES.items():
        if len(examples[split]) != size:
            out.append(f'{len(examples[split]):,} sentences in {split} instead of {size:,}')
    if len(metadata['vocab']) != known.vocab:
        out.append(f'a vocabulary of {len(metadata["vocab"]):,} instead of {known.vocab:,}')
    words = np.mean([len(e['ids']) + 1 for e in examples['test']])
    if abs(words - known.words) > known.within:
        out.append(f'{words:.3f} words per test sentence instead of {known.words:.3f}')
    if metadata['labels'] and len(metadata['labels']) != known.labels:
        out.append(f'{len(metadata["labels"])} labels instead of {known.labels}')
    return out


def _load(name, data_dir, cache_dir, check, *cut):
    """The body of every loader here: see `yahoo`."""
    cut = text.options(*cut)
    names = [f'{name}.{s}.txt' for s in text.SPLITS]
    folder = text.find(name, names, data_dir, f'{name}_label_data', f'{name}_data', name)
    files = text.sources(folder, names)
    labelled = CORPORA[name].labels > 0 and _labelled(files['train'][1])
    hashes = [hashlib.sha256(raw).hexdigest() for _, raw in files.values()]
    builder = ''.join(part.capitalize() for part in name.split('_'))
    cache = store.cache_folder(cache_dir) / name / text.cache_key(name, hashes, labelled)
    store.prepared(cache, text.writer(builder, files, labelled))
    examples, metadata = text.stored(cache)
    other = differences(name, examples, metadata)
    if other and check:
        raise UserError(f'{folder} does not hold the published {name}: {", ".join(other)}; check=False takes it as it '
                        'is, and the dataset text_dir takes anybody\'s sentences')
    return text.finish(name, (examples, metadata), labelled, bool(other), **cut)


def yahoo(data_dir=None, cache_dir=None, check=True, max_words=None, sentences=None, eval_sentences=None, vocab=None):
    """Yahoo Answers, 10 topics: 100,000 / 10,000 / 10,000 texts, 20,001 ids, 79.867 words with </s> per test text.

    Ids: <pad>, <s>, </s>, <unk>, then words by first appearance in train; words that train lacks are <unk>, lines
    without a word are dropped. Labels are read where the first line of train is label<TAB>text.

    Args:
      data_dir: folder with yahoo.train.txt, yahoo.valid.txt and yahoo.test.txt, one text a line, or with a folder
        yahoo_label_data, yahoo_data or yahoo of them.
      cache_dir: folder for prepared files, which are keyed by the contents of the sources.
      check: refuse files whose sentences, ids, words per test sentence or labels do not count as published; if false,
        such files are taken, and their results are never compared with published numbers.
      max_words, sentences, eval_sentences, vocab: as in `text.ptb`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.

    References:
      Yang et al., Improved Variational Autoencoders for Text Modeling using Dilated Convolutions, 2017,
      arXiv:1702.08139. He et al., Lagging Inference Networks and Posterior Collapse in Variational Autoencoders, 2019,
      arXiv:1901.05534.
    """
    return _load('yahoo', data_dir, cache_dir, check, max_words, sentences, eval_sentences, vocab)


def yelp(data_dir=None, cache_dir=None, check=True, max_words=None, sentences=None, eval_sentences=None, vocab=None):
    """Yelp15 reviews, 5 stars: 100,000 / 10,000 / 10,000, 19,997 ids, about 96.65 words with </s> per test review.

    Args:
      data_dir: folder with yelp.train.txt, yelp.valid.txt and yelp.test.txt, lines of label<TAB>text, or with a
        folder yelp_data or yelp of them.
      cache_dir, check, max_words, sentences, eval_sentences, vocab: as in `yahoo`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.

    References:
      As for `yahoo`.
    """
    return _load('yelp', data_dir, cache_dir, check, max_words, sentences, eval_sentences, vocab)


def short_yelp(data_dir=None, cache_dir=None, check=True, max_words=None, sentences=None, eval_sentences=None,
               vocab=None):
    """Short Yelp sentences, 2 sentiments: 100,000 / 10,000 / 10,000, 8,411 ids, 10.000 words with </s> per test one.

    Args:
      data_dir: folder with short_yelp.train.txt, short_yelp.valid.txt and short_yelp.test.txt, lines of
        label<TAB>text, or with a folder short_yelp_data or short_yelp of them.
      cache_dir, check, max_words, sentences, eval_sentences, vocab: as in `yahoo`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.

    References:
      Shen et al., Style Transfer from Non-Parallel Text by Cross-Alignment, 2017, arXiv:1705.09655. Li et al., A
      Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019, arXiv:1909.00868.
    """
    return _load('short_yelp', data_dir, cache_dir, check, max_words, sentences, eval_sentences, vocab)


def snli(data_dir=None, cache_dir=None, check=True, max_words=None, sentences=None, eval_sentences=None, vocab=None):
    """SNLI sentences without labels: 100,000 / 10,000 / 10,000, 9,990 ids, 10.758 words with </s> per test sentence.

    Args:
      data_dir: folder with snli.train.txt, snli.valid.txt and snli.test.txt, one sentence a line, or with a folder
        snli_data or snli of them.
      cache_dir, check, max_words, sentences, eval_sentences, vocab: as in `yahoo`.

    Returns:
      A `Dataset`.

    References:
      Bowman et al., A Large Annotated Corpus for Learning Natural Language Inference, 2015, arXiv:1508.05326. Li et
      al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019, arXiv:1909.00868.
    """
    return _load('snli', data_dir, cache_dir, check, max_words, sentences, eval_sentences, vocab)
