"""Text: Penn Treebank, folders of the user's own sentences, and what every set of sentences shares."""
import hashlib
import pathlib

import numpy as np

from vaebench import schema
from vaebench.datasets import store
from vaebench.datasets.base import integer, text_dataset
from vaebench.errors import UserError

SPECIALS = '<pad>', '<s>', '</s>', '<unk>'
PAD, BOS, EOS, UNK = range(4)
SPLITS = 'train', 'valid', 'test'

PTB = {
    'ptb.train.txt': (42_068, 'fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf'),
    'ptb.valid.txt': (3_370, 'c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2'),
    'ptb.test.txt': (3_761, 'dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0'),
}
"""File -> lines, sha256: Mikolov's preprocessing."""


def find(name, files, data_dir, *subs):
    """The folder that holds a dataset's files: `data_dir` or one of its sub-folders.

    Args:
      name: the dataset's, for messages.
      files: names that must all be there.
      data_dir: the user's folder.
      *subs: names of sub-folders that may hold them instead, the most wanted first.

    Returns:
      pathlib.Path; a missing folder or file is a `UserError` that names it.
    """
    if data_dir is None:
        raise UserError(f'dataset {name!r} is read from files: name the folder that holds {", ".join(files)} '
                        'with --data_dir')
    data_dir = pathlib.Path(data_dir).expanduser()
    if not data_dir.is_dir():
        raise UserError(f'no folder {data_dir}: --data_dir must hold {", ".join(files)} for dataset {name!r}')
    places = [data_dir, *(data_dir / sub for sub in subs)]
    folder = max(places, key=lambda p: sum((p / f).is_file() for f in files))
    for f in files:
        if not (folder / f).is_file():
            raise UserError(f'dataset {name!r} misses {f}: it should lie at {" or ".join(str(p / f) for p in places)}')
    return folder


def read(path):
    """Bytes of a file of the user's; what hinders is a `UserError`."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise UserError(f'cannot read {path}: {e.strerror}') from e


def parse(path, raw, labelled=False):
    """Lines of a file as words.

    Args:
      path: for messages.
      raw: bytes, utf-8, one sentence a line; lines without a word are dropped.
      labelled: whether a line is label<TAB>text.

    Returns:
      (labels, sentences): lists of strings (None without labels) and of lists of words.
    """
    try:
        lines = raw.decode('utf-8-sig').split('\n')
    except UnicodeDecodeError as e:
        line = raw[:e.start].count(b'\n') + 1
        raise UserError(f'{path}, line {line}: not utf-8; convert the file, for instance with iconv') from None
    labels, sentences = [], []
    for number, line in enumerate(lines, 1):
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
        for special in SPECIALS[:UNK]:
            if special in words:
                raise UserError(f'{path}, line {number}: holds {special}, which is added by itself; take it out')
        labels.append(label)
        sentences.append(words)
    if not sentences:
        raise UserError(f'{path} holds no sentence')
    return labels, sentences


def vocabulary(sentences):
    """Words by first appearance, after the special ones.

    >>> vocabulary([['b', '<unk>', 'a'], ['b']])
    ['<pad>', '<s>', '</s>', '<unk>', 'b', 'a']
    """
    return list(dict.fromkeys([*SPECIALS, *(w for words in sentences for w in words)]))


def _label_ids(files, labels):
    """Labels as ids, numbers before words; those of train are all there are."""
    names = sorted(set(labels['train']), key=lambda s: (0, int(s), s) if s.isdecimal() else (1, 0, s))
    index = {s: i for i, s in enumerate(names)}
    for split in SPLITS[1:]:
        for label in labels[split]:
            if label not in index:
                raise UserError(f'{files[split][0]}: label {label!r} never occurs in {files["train"][0].name}')
    return {split: [index[s] for s in labels[split]] for split in SPLITS}, names


def writer(builder, files, labelled=False):
    """The function that fills a cache folder.

    Args:
      builder: name of a class of `builders`.
      files: {split: (path, bytes)}.
      labelled: as for `parse`.
    """
    def write(folder):
        from vaebench.datasets import builders
        parsed = {split: parse(path, raw, labelled) for split, (path, raw) in files.items()}
        vocab = vocabulary(parsed['train'][1])
        index = {w: i for i, w in enumerate(vocab)}
        labels, names = {s: [0] * len(p[0]) for s, p in parsed.items()}, []
        if labelled:
            labels, names = _label_ids(files, {s: p[0] for s, p in parsed.items()})

        def rows(split):
            for label, words in zip(labels[split], parsed[split][1], strict=True):
                yield {'ids': np.array([index.get(w, UNK) for w in words], np.int32), 'label': np.int32(label)}

        builders.write(getattr(builders, builder), folder, {s: rows(s) for s in SPLITS},
                       {'vocab': vocab, 'labels': names})
    return write


def _select(split, examples, max_words, first):
    """The sentences that options leave."""
    examples = [e for e in examples if max_words is None or len(e['ids']) <= max_words][:first]
    if not examples:
        raise UserError(f'max_words={max_words} leaves no sentence in {split}')
    return examples


def _shrink(train, vocab, size):
    """Map of old ids to new ones, and the vocabulary that keeps its most frequent words.

    The most frequent of the words that `train` holds, ties to the earlier id; ids keep their order.
    """
    counts = np.bincount(np.concatenate([e['ids'] for e in train]), minlength=len(vocab))
    words = np.arange(len(SPECIALS), len(vocab))
    words = words[np.argsort(-counts[words], kind='stable')][:size - len(SPECIALS)]
    keep = np.concatenate([np.arange(len(SPECIALS)), np.sort(words[counts[words] > 0])])
    table = np.full(len(vocab), UNK, np.int32)
    table[keep] = np.arange(len(keep))
    return table, [vocab[i] for i in keep]


def pack(sentences):
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


def finish(name, prepared, labelled=False, reduced=False, *, max_words, sentences, eval_sentences, vocab):
    """A `Dataset` of prepared sentences, cut down as options say.

    Args:
      name: the dataset's.
      prepared: (examples by split, metadata) as `builders.read` gives them.
      labelled: whether their labels mean anything.
      reduced: whether the sources were already other than the published ones.
      max_words, sentences, eval_sentences, vocab: as in `ptb`.

    Returns:
      A `Dataset`; source.facts['reduced'] tells whether numbers on it can be compared with published ones.
    """
    examples, metadata = prepared
    words = list(metadata['vocab'])
    examples = {s: _select(s, e, max_words, sentences if s == 'train' else eval_sentences)
                for s, e in examples.items()}
    table = np.arange(len(words), dtype=np.int32)
    if vocab is not None:
        table, words = _shrink(examples['train'], words, vocab)
    splits = {s: pack([table[e['ids']] for e in rows]) for s, rows in examples.items()}
    reduced = reduced or any(option is not None for option in (max_words, sentences, eval_sentences, vocab))
    if not labelled:
        return text_dataset(name, splits, words, reduced=reduced)
    for s, rows in examples.items():
        splits[s]['label'] = np.array([e['label'] for e in rows], np.int32)
    names = tuple(metadata['labels'])
    return text_dataset(name, splits, words, {'label': schema.label(len(names), names)}, reduced=reduced)


def stored(folder):
    """(examples by split, metadata) of a cache folder."""
    from vaebench.datasets import builders
    return builders.read(folder, SPLITS)


def options(max_words, sentences, eval_sentences, vocab):
    """The options of every set of sentences, checked."""
    return {'max_words': integer('max_words', max_words, 1), 'sentences': integer('sentences', sentences, 1),
            'eval_sentences': integer('eval_sentences', eval_sentences, 1),
            'vocab': integer('vocab', vocab, len(SPECIALS) + 1)}


def cache_key(builder, hashes, *rest):
    """Name of the cache folder for sources of these hashes."""
    return hashlib.sha256(repr(('1', builder, tuple(hashes), rest)).encode()).hexdigest()[:16]


def sources(folder, names):
    """{split: (path, bytes)}: read once, so that what is checked is what is prepared."""
    return {split: (folder / f, read(folder / f)) for split, f in zip(SPLITS, names, strict=True)}


def _check_ptb(path, raw):
    (lines, expected), found = PTB[path.name], raw.count(b'\n')
    if found != lines:
        raise UserError(f'{path} is not the published file: {found:,} lines instead of {lines:,}')
    actual = hashlib.sha256(raw).hexdigest()
    if actual != expected:
        raise UserError(f'{path} is not the published file: its sha256 is {actual}, not {expected}')


def ptb(data_dir=None, cache_dir=None, max_words=None, sentences=None, eval_sentences=None, vocab=None):
    """Penn Treebank in Mikolov's preprocessing, one sentence a line.

    Once prepared it is read from the cache alone, so `data_dir` may then be left out. Ids: <pad>, <s>, </s>, <unk>,
    then words by first appearance in train: 10,002 in all.

    Args:
      data_dir: folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt, or with a folder ptb or ptb_data of them.
      cache_dir: folder for prepared files.
      max_words: longer sentences are dropped, in every split.
      sentences: the first that many of train, after `max_words`.
      eval_sentences: the same for valid and for test.
      vocab: ids at most, special ones included: the most frequent words of what is left of train; others are <unk>.

    Returns:
      A `Dataset`.

    References:
      Marcus, Santorini, Marcinkiewicz, Building a Large Annotated Corpus of English: The Penn Treebank, 1993.
      Mikolov et al., Recurrent Neural Network Based Language Model, 2010.
    """
    cut = options(max_words, sentences, eval_sentences, vocab)
    folder = store.cache_folder(cache_dir) / 'ptb' / cache_key('ptb', (h for _, h in PTB.values()))
    if data_dir is not None or not store.intact(folder):
        source = find('ptb', list(PTB), data_dir, 'ptb', 'ptb_data')
        files = sources(source, PTB)
        for path, raw in files.values():
            _check_ptb(path, raw)
        store.prepared(folder, writer('Ptb', files))
    return finish('ptb', stored(folder), **cut)


def text_dir(data_dir=None, cache_dir=None, labelled=False, max_words=None, sentences=None, eval_sentences=None,
             vocab=None):
    """Anybody's sentences, one per line, words separated by spaces.

    Args:
      data_dir: folder with train.txt, valid.txt and test.txt, utf-8; empty lines are dropped.
      cache_dir: folder for prepared files, which are keyed by the contents of the sources.
      labelled: lines are label<TAB>text; labels get ids in sorted order.
      max_words, sentences, eval_sentences, vocab: as in `ptb`.

    Returns:
      A `Dataset`; labelled ones have a column 'label' whose names the schema has.
    """
    cut = options(max_words, sentences, eval_sentences, vocab)
    names = [f'{s}.txt' for s in SPLITS]
    files = sources(find('text_dir', names, data_dir), names)
    hashes = [hashlib.sha256(raw).hexdigest() for _, raw in files.values()]
    folder = store.cache_folder(cache_dir) / 'text_dir' / cache_key('text_dir', hashes, bool(labelled))
    store.prepared(folder, writer('TextDir', files, labelled))
    return finish('text_dir', stored(folder), labelled, **cut)
