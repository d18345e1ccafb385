"""Sentences: Penn Treebank, folders of the user's own, and what every set of sentences
shares."""
import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets import cache
from vaebench.datasets.base import SPLITS, Dataset, Folder, integer, text_dataset
from vaebench.datasets.source_files import find, label_order, read
from vaebench.errors import UserError

SPECIALS = '<pad>', '<s>', '</s>', '<unk>'
PAD, BOS, EOS, UNK = range(4)
Files = Mapping[str, tuple[pathlib.Path, bytes]]
"""Split -> (path, what the file holds)."""
Examples = Sequence[Mapping[str, Any]]
"""{'ids': int [n], 'label': int} of every sentence."""

PTB = {
    'ptb.train.txt': (42_068,
                      'fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf'),
    'ptb.valid.txt': (3_370,
                      'c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2'),
    'ptb.test.txt': (3_761, 'dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0'),
}
"""File -> lines, sha256: Mikolov's preprocessing."""


def decoded(path: pathlib.Path, raw: bytes) -> list[str]:
    """Lines of a file, the one after its last line feed too.

    Args:
      path: for messages.
      raw: bytes, utf-8.

    Raises:
      UserError: they are not utf-8.
    """
    try:
        return raw.decode('utf-8-sig').split('\n')
    except UnicodeDecodeError as e:
        line = raw[:e.start].count(b'\n') + 1
        raise UserError(f'{path}, line {line}: not utf-8; convert the file, for instance with '
                        'iconv') from None


def unframed(path: pathlib.Path, number: int, words: list[str]) -> list[str]:
    """The words of a line, which must hold no mark that is added by itself.

    Raises:
      UserError: they hold one.
    """
    for special in SPECIALS[:UNK]:
        if special in words:
            raise UserError(f'{path}, line {number}: holds {special}, which is added by '
                            'itself; take it out')
    return words


def parse(path: pathlib.Path, raw: bytes,
          labelled: bool = False) -> tuple[list[str | None], list[list[str]]]:
    """Lines of a file as words.

    Args:
      path: for messages.
      raw: bytes, utf-8, one sentence a line; lines without a word are dropped.
      labelled: whether a line is label<TAB>text.

    Returns:
      Labels (None without labels), and the words of every sentence.

    Raises:
      UserError: a line is not what it should be, or there is no sentence.
    """
    labels, sentences = [], []
    for number, line in enumerate(decoded(path, raw), 1):
        if not line.strip():
            continue
        label = None
        if labelled:
            label, tab, line = line.partition('\t')
            label = label.strip()
            if not (tab and label):
                raise UserError(f'{path}, line {number}: label<TAB>text is wanted')
        words = line.split()
        if not words:
            continue
        labels.append(label)
        sentences.append(unframed(path, number, words))
    if not sentences:
        raise UserError(f'{path} holds no sentence')
    return labels, sentences


def vocabulary(sentences: Sequence[Sequence[str]]) -> list[str]:
    """Words by first appearance, after the special ones.

    >>> vocabulary([['b', '<unk>', 'a'], ['b']])
    ['<pad>', '<s>', '</s>', '<unk>', 'b', 'a']
    """
    return list(dict.fromkeys([*SPECIALS, *(w for words in sentences for w in words)]))


def _label_ids(files: Files,
               labels: Mapping[str, Sequence[str]]) -> tuple[dict[str, list[int]], list[str]]:
    """Labels as ids, numbers before words; those of train are all there are."""
    names = sorted(set(labels['train']), key=label_order)
    index = {s: i for i, s in enumerate(names)}
    for split in SPLITS[1:]:
        for label in labels[split]:
            if label not in index:
                raise UserError(f'{files[split][0]}: label {label!r} never occurs in '
                                f'{files["train"][0].name}')
    return {split: [index[s] for s in labels[split]] for split in SPLITS}, names


def writer(builder: str, files: Files,
           labelled: bool = False) -> Callable[[pathlib.Path], None]:
    """The function that fills a cache folder.

    Args:
      builder: name of a class of `builders`.
      files: see `sources`.
      labelled: as for `parse`.
    """
    def write(folder):
        from vaebench.datasets import builders
        parsed = {split: parse(path, raw, labelled) for split, (path, raw) in files.items()}
        vocab = vocabulary(parsed['train'][1])
        index = {w: i for i, w in enumerate(vocab)}
        labels, names = {s: [0] * len(p[0]) for s, p in parsed.items()}, []
        if labelled:
            given = {s: [str(label) for label in p[0]] for s, p in parsed.items()}
            labels, names = _label_ids(files, given)

        def rows(split):
            for label, words in zip(labels[split], parsed[split][1], strict=True):
                ids = np.array([index.get(w, UNK) for w in words], np.int32)
                yield {'ids': ids, 'label': np.int32(label)}

        builders.write(getattr(builders, builder), folder, {s: rows(s) for s in SPLITS},
                       {'vocab': vocab, 'labels': names})
    return write


class TextOptions(NamedTuple):
    """Checked options of a set of sentences; `ptb` explains them."""
    max_words: int | None
    sentences: int | None
    eval_sentences: int | None
    vocab: int | None


def options(max_words: int | None, sentences: int | None, eval_sentences: int | None,
            vocab: int | None) -> TextOptions:
    """Checks the options that sets of sentences share: see `ptb`.

    Raises:
      UserError: an option has a value that it cannot have.
    """
    return TextOptions(integer('max_words', max_words, 1), integer('sentences', sentences, 1),
                       integer('eval_sentences', eval_sentences, 1),
                       integer('vocab', vocab, len(SPECIALS) + 1))


def _select(split: str, examples: Examples, chosen: TextOptions) -> Examples:
    """The sentences that options leave."""
    most = chosen.max_words
    first = chosen.sentences if split == 'train' else chosen.eval_sentences
    examples = [e for e in examples if most is None or len(e['ids']) <= most][:first]
    if not examples:
        raise UserError(f'max_words={most} leaves no sentence in {split}')
    return examples


def shrink(train: Examples, vocab: Sequence[str], size: int) -> tuple[np.ndarray, list[str]]:
    """Map of old ids to new ones, and the vocabulary that keeps its most frequent words.

    These are the most frequent of the words that `train` holds, ties to the earlier id; ids
    keep their order.

    Args:
      train: sentences.
      vocab: words by id.
      size: ids that are kept at most, the special ones included.

    Returns:
      (int32 [V] new ids by old ones, words by new id).
    """
    counts = np.bincount(np.concatenate([e['ids'] for e in train]), minlength=len(vocab))
    words = np.arange(len(SPECIALS), len(vocab))
    words = words[np.argsort(-counts[words], kind='stable')][:size - len(SPECIALS)]
    keep = np.concatenate([np.arange(len(SPECIALS)), np.sort(words[counts[words] > 0])])
    table = np.full(len(vocab), UNK, np.int32)
    table[keep] = np.arange(len(keep))
    return table, [vocab[int(i)] for i in keep]


def pack(sentences: Sequence[Any]) -> dict[str, np.ndarray]:
    """Sentences as one padded array.

    Args:
      sentences: list of int arrays [n], without <s> and </s>.

    Returns:
      {'tokens': int32 [N, max n + 2], 'length': int32 [N] = n + 1}.

    >>> pack([[7, 8], [9]])['tokens'].tolist()
    [[1, 7, 8, 2], [1, 9, 2, 0]]
    """
    words = np.array([len(s) for s in sentences])
    tokens = np.full((len(words), words.max() + 2), PAD, np.int32)
    tokens[:, 0] = BOS
    place = np.arange(tokens.shape[1]) - 1
    tokens[(place >= 0) & (place < words[:, None])] = np.concatenate(sentences)
    tokens[np.arange(len(words)), words + 1] = EOS
    return {'tokens': tokens, 'length': (words + 1).astype(np.int32)}


def finish(name: str, prepared: tuple[Mapping[str, Examples], Mapping[str, Any]],
           chosen: TextOptions, labelled: bool = False, reduced: bool = False) -> Dataset:
    """A `Dataset` of prepared sentences, cut down as options say.

    Args:
      name: the dataset's.
      prepared: (examples by split, metadata) as `stored` gives them.
      chosen: what is cut down.
      labelled: whether their labels mean anything.
      reduced: whether the sources were already other than the published ones.

    Returns:
      A `Dataset`; source.facts['reduced'] tells whether numbers on it cannot be compared with
      published ones.

    Raises:
      UserError: nothing is left of a split.
    """
    every, metadata = prepared
    words = list(metadata['vocab'])
    examples = {s: _select(s, e, chosen) for s, e in every.items()}
    table = np.arange(len(words), dtype=np.int32)
    if chosen.vocab is not None:
        table, words = shrink(examples['train'], words, chosen.vocab)
    splits = {s: pack([table[e['ids']] for e in rows]) for s, rows in examples.items()}
    reduced = reduced or any(option is not None for option in chosen)
    if not labelled:
        return text_dataset(name, splits, words, reduced=reduced)
    for s, rows in examples.items():
        splits[s]['label'] = np.array([e['label'] for e in rows], np.int32)
    names = tuple(metadata['labels'])
    columns = {'label': schema.label(len(names), names)}
    return text_dataset(name, splits, words, columns, reduced=reduced)


def stored(folder: pathlib.Path) -> tuple[dict[str, list[dict[str, Any]]], Mapping[str, Any]]:
    """(examples by split, metadata) of a cache folder."""
    from vaebench.datasets import builders
    return builders.read(folder, SPLITS)


def line_feeds(raw: bytes) -> bytes:
    """The bytes of a text; lines that end in carriage returns alone end in line feeds."""
    return raw if b'\n' in raw else raw.replace(b'\r', b'\n')


def sources(folder: pathlib.Path, names: Sequence[str]) -> Files:
    """The files of train, valid and test, by split.

    They are read once, so that what is checked is what is prepared. A file whose lines end in
    carriage returns alone is read as if they were line feeds.
    """
    return {split: (folder / f, line_feeds(read(folder / f)))
            for split, f in zip(SPLITS, names, strict=True)}


def _check_ptb(path: pathlib.Path, raw: bytes) -> None:
    (lines, expected), found = PTB[path.name], raw.count(b'\n')
    if found != lines:
        raise UserError(f'{path} is not the published file: {found:,} lines instead of '
                        f'{lines:,}')
    actual = hashlib.sha256(raw).hexdigest()
    if actual != expected:
        raise UserError(f'{path} is not the published file: its sha256 is {actual}, not '
                        f'{expected}')


def ptb(data_dir: Folder = None, cache_dir: Folder = None, max_words: int | None = None,
        sentences: int | None = None, eval_sentences: int | None = None,
        vocab: int | None = None) -> Dataset:
    """Penn Treebank in Mikolov's preprocessing, one sentence a line.

    Once it is prepared it is read from the cache alone, so `data_dir` may then be left out.
    Ids: <pad>, <s>, </s>, <unk>, then words by first appearance in train: 10,002 in all.

    Args:
      data_dir: folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt, or with a folder ptb
        or ptb_data of them.
      cache_dir: folder for prepared files.
      max_words: longer sentences are dropped, in every split.
      sentences: the first that many of train, after `max_words`.
      eval_sentences: the same for valid and for test.
      vocab: ids at most, special ones included: the most frequent words of what is left of
        train; others are <unk>.

    Returns:
      A `Dataset`.

    References:
      Marcus, Santorini, Marcinkiewicz, Building a Large Annotated Corpus of English: The Penn
      Treebank, 1993.
      Mikolov et al., Recurrent Neural Network Based Language Model, 2010.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    hashes = tuple(h for _, h in PTB.values())
    folder = cache.cache_folder(cache_dir) / 'ptb' / cache.key('ptb', hashes, ())
    if data_dir is not None or not cache.intact(folder):
        files = sources(find('ptb', list(PTB), data_dir, 'ptb', 'ptb_data'), list(PTB))
        for path, raw in files.values():
            _check_ptb(path, raw)
        cache.prepared(folder, writer('Ptb', files))
    return finish('ptb', stored(folder), chosen)


def text_dir(data_dir: Folder = None, cache_dir: Folder = None, labelled: bool = False,
             max_words: int | None = None, sentences: int | None = None,
             eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Anybody's sentences, one per line, words separated by spaces.

    Where a language writes none, put a space between words or characters first.

    Args:
      data_dir: folder with train.txt, valid.txt and test.txt, utf-8; empty lines are dropped.
      cache_dir: folder for prepared files, which are keyed by the contents of the sources.
      labelled: whether lines are label<TAB>text; labels get ids in sorted order.
      max_words, sentences, eval_sentences, vocab: as in `ptb`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    names = [f'{s}.txt' for s in SPLITS]
    files = sources(find('text_dir', names, data_dir), names)
    hashes = tuple(hashlib.sha256(raw).hexdigest() for _, raw in files.values())
    key = cache.key('text_dir', hashes, (bool(labelled),))
    folder = cache.prepared(cache.cache_folder(cache_dir) / 'text_dir' / key,
                            writer('TextDir', files, labelled))
    return finish('text_dir', stored(folder), chosen, labelled)
