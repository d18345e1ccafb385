"""Corpora of two styles: reviews, captions, and folders of the user's own."""
import functools
import pathlib
from collections.abc import Mapping, Sequence

from vaebench.datasets.base import SPLITS, Dataset, Folder
from vaebench.datasets.line_files import Lines, Tokens, gather, side_by_side, tokenize, words
from vaebench.datasets.sentiment_words import SENTIMENT_WORDS
from vaebench.datasets.source_files import find, label_order
from vaebench.datasets.styled import Part, corpus, of_styles, without
from vaebench.datasets.text_files import options
from vaebench.errors import UserError
from vaebench.files import user_path

SENTIMENTS = 'negative', 'positive'
SHEN = tuple(f'sentiment.{s}.{k}' for s in ('dev', 'test') for k in (0, 1))
LI_TEST = tuple(f'{s}.{k}' for s in ('sentiment.test', 'reference') for k in (0, 1))
LI = tuple(f'sentiment.{s}.{k}' for s in ('train', 'dev') for k in (0, 1)) + LI_TEST


GBK_COMMA = {b'\xa3\xac': b','}
"""What stands in one line of captions in another encoding."""


def _styles(files: Mapping[str, Lines], stem: str, tokens: Tokens = str.split) -> Part:
    """The sentences of stem.0 and stem.1."""
    return of_styles([words(files[f'{stem}.{k}'], tokens) for k in (0, 1)])


def _rewrites(sentences: Lines, source: Lines) -> Lines:
    """The second column of one of Li's files: its first is the sentence that is rewritten."""
    side_by_side(sentences, source)
    rewrites = []
    for number, (sentence, line) in enumerate(
            zip(sentences.lines, source.lines, strict=True), 1):
        first, *others = line.split('\t')
        if not others:
            raise UserError(f'{source.path}, line {number}: sentence<TAB>reference is wanted')
        if first.split() != sentence.split():
            raise UserError(f'{source.path}, line {number}: it begins with another sentence '
                            f'than that line of {sentences.path}')
        rewrites.append(others[0])
    return Lines(source.path, rewrites)


def _li_test(files: Mapping[str, Lines], tokens: Tokens, raw: Tokens) -> Part:
    """Li's test sentences, each with its reference; `raw` makes words of what people wrote."""
    given = [files[f'sentiment.test.{k}'] for k in (0, 1)]
    rewrites = [_rewrites(given[k], files[f'reference.{k}']) for k in (0, 1)]
    return of_styles([words(lines, tokens) for lines in given],
                   [[[r] for r in words(lines, raw)] for lines in rewrites])


def yelp_resplit(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
                 max_words: int | None = None, sentences: int | None = None,
                 eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Sentences of Yelp reviews, negative (0) and positive (1), split anew.

    The published training files are not needed: train is Shen's test files, valid his dev
    files, test Li's 1,000 sentences, each with one reference written by a person. All of Li's
    sentences stand in Shen's dev, and his dev and test share sentences too; so train loses
    every sentence that stands in valid or test, valid every one of test, word by word and
    whatever its style. Numbers are therefore not those of the published split.

    Args:
      data_dir: folder of two folders: yelp_sentiment with Shen's sentiment.dev.0,
        sentiment.dev.1, sentiment.test.0 and sentiment.test.1; li2018/yelp or yelp with Li's
        sentiment.test.0, sentiment.test.1, reference.0 and reference.1.
      cache_dir: not needed.
      check: refuse files that are not the published ones, by their sha256; if false they are
        taken, and results never compared with published numbers.
      max_words, sentences, eval_sentences, vocab: as in `text_files.ptb`; the styles stand in
        turn, so the first sentences are of both.

    Returns:
      A `Dataset`, see `styled`. References are brought to the words of the sentences:
      lower case, "was n't", `_num_` for a number. source.facts['source']['dropped'] counts the
      rows that train and valid lost.

    References:
      Shen et al., Style Transfer from Non-Parallel Text by Cross-Alignment, 2017,
      arXiv:1705.09655.
      Li et al., Delete, Retrieve, Generate: A Simple Approach to Sentiment and Style Transfer,
      2018, arXiv:1804.06437.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    name = 'yelp_resplit'
    shen, changed = gather('yelp_sentiment', find(name, SHEN, data_dir, 'yelp_sentiment'), SHEN,
                           check)
    place = find(name, LI_TEST, data_dir, 'li2018/yelp', 'yelp')
    li, other = gather('li2018/yelp', place, LI_TEST, check)
    test = _li_test(li, str.split, functools.partial(tokenize, number='_num_'))
    valid, few = without(_styles(shen, 'sentiment.dev'), test)
    train, many = without(_styles(shen, 'sentiment.test'), valid, test)
    return corpus(name, {'train': train, 'valid': valid, 'test': test}, chosen, SENTIMENTS,
                  SENTIMENT_WORDS, reduced=changed or other,
                  source={'dropped': {'train': many, 'valid': few}})


def captions(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
             max_words: int | None = None, sentences: int | None = None,
             eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Captions of pictures, humorous (0) and romantic (1): 12,000 / 1,000 / 600 sentences.

    The 300 test captions are neither: they are plain, and stand in test twice, to be rewritten
    to either style. There `label` is the style that a caption is not rewritten to.

    Args:
      data_dir: folder with Li's sentiment.train.0, sentiment.train.1, the same of dev and
        test, reference.0 and reference.1, or with a folder li2018/imagecaption, imagecaption or
        captions of them.
      cache_dir: not needed.
      check, max_words, sentences, eval_sentences, vocab: as in `yelp_resplit`.

    Returns:
      A `Dataset`, see `styled`; every sentence is brought to words in the same way, since
      some have their last full stop attached and others not.

    References:
      Gan et al., StyleNet: Generating Attractive Visual Captions with Styles, 2017.
      Li et al., Delete, Retrieve, Generate: A Simple Approach to Sentiment and Style Transfer,
      2018, arXiv:1804.06437.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    place = find('captions', LI, data_dir, 'li2018/imagecaption', 'imagecaption', 'captions')
    files, other = gather('li2018/imagecaption', place, LI, check, GBK_COMMA)
    parts = {'train': _styles(files, 'sentiment.train', tokenize),
             'valid': _styles(files, 'sentiment.dev', tokenize),
             'test': _li_test(files, tokenize, tokenize)}
    return corpus('captions', parts, chosen, ('humorous', 'romantic'), reduced=other)


def amazon(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
           max_words: int | None = None, sentences: int | None = None,
           eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """Sentences of Amazon reviews, negative (0) and positive (1), in Li's split.

    Valid has 1,015 and 985 sentences, test 500 of either with one reference written by a
    person. The files of train are the user's own affair: they are not checked.

    Args:
      data_dir: folder with Li's sentiment.train.0, sentiment.train.1, the same of dev and
        test, reference.0 and reference.1, or with a folder li2018/amazon or amazon of them.
      cache_dir: not needed.
      check, max_words, sentences, eval_sentences, vocab: as in `yelp_resplit`.

    Returns:
      A `Dataset`, see `styled`. References are brought to the words of the sentences: lower
      case, 'don t', `num_num` for a number.

    References:
      He, McAuley, Ups and Downs: Modeling the Visual Evolution of Fashion Trends with One-Class
      Collaborative Filtering, 2016, arXiv:1602.01585.
      Li et al., Delete, Retrieve, Generate: A Simple Approach to Sentiment and Style Transfer,
      2018, arXiv:1804.06437.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    place = find('amazon', LI, data_dir, 'li2018/amazon', 'amazon')
    files, other = gather('li2018/amazon', place, LI, check)
    raw = functools.partial(tokenize, number='num_num', endings=False)
    parts = {'train': _styles(files, 'sentiment.train'),
             'valid': _styles(files, 'sentiment.dev'),
             'test': _li_test(files, str.split, raw)}
    return corpus('amazon', parts, chosen, SENTIMENTS, SENTIMENT_WORDS, reduced=other)


STYLE_WORDS = 'style_words.txt'


def _stems(folder: pathlib.Path) -> list[str]:
    """The two styles that a folder's training files name."""
    found = sorted((p.name[len('train.'):-len('.txt')] for p in folder.glob('train.*.txt')),
                   key=label_order)
    if len(found) != 2:
        there = ', '.join(f'train.{s}.txt' for s in found) or 'none'
        raise UserError(f'{folder}: two files train.STYLE.txt are wanted, one for each style; '
                        f'there: {there}')
    return found


def _own(files: Mapping[str, Lines], split: str, stems: Sequence[str]) -> Part:
    """One split of a folder: its sentences, and references where both styles have them."""
    given = [files[f'{split}.{s}.txt'] for s in stems]
    paths = [f'{split}.reference.{s}.txt' for s in stems]
    there = [path for path in paths if path in files]
    if not there:
        return of_styles([words(lines, gaps=True) for lines in given])
    if len(there) == 1:
        missing, = set(paths) - set(there)
        raise UserError(f'{given[0].path.parent} has {there[0]} and not {missing}: give both '
                        'or neither')
    several = []
    for sentences, rewrites in zip(given, (files[path] for path in paths), strict=True):
        side_by_side(sentences, rewrites)
        columns = [words(Lines(rewrites.path, list(column)))
                   for column in _columns(rewrites)]
        several.append([list(row) for row in zip(*columns, strict=True)])
    return of_styles([words(lines) for lines in given], several)


def _columns(source: Lines) -> list[tuple[str, ...]]:
    """The columns of a file of several sentences a line, between tabs."""
    rows = [line.split('\t') for line in source.lines]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise UserError(f'{source.path}, line {number}: {len(row)} references, and '
                            f'{len(rows[0])} in line 1; give as many, repeated if need be')
    return list(zip(*rows, strict=True))


def style_dir(data_dir: Folder = None, cache_dir: Folder = None,
              labels: Sequence[str] | None = None, max_words: int | None = None,
              sentences: int | None = None, eval_sentences: int | None = None,
              vocab: int | None = None) -> Dataset:
    """Anybody's sentences in two styles, one per line, words separated by spaces.

    Args:
      data_dir: folder with a file train.STYLE.txt, valid.STYLE.txt and test.STYLE.txt for each
        of two styles, utf-8, such as train.0.txt or train.formal.txt; numbers come before
        words, and the first style is 0. Empty lines are dropped. It may also hold
        valid.reference.STYLE.txt or test.reference.STYLE.txt for both styles: in line n,
        between tabs, sentences that say line n of that split and STYLE in the other style; then
        no line of that split may be empty. And style_words.txt: words that carry style.
      cache_dir: not needed.
      labels: names of the styles; default STYLE of the files.
      max_words, sentences, eval_sentences, vocab: as in `yelp_resplit`.

    Returns:
      A `Dataset`, see `styled`.

    Raises:
      UserError: a file is missing, or files that belong together differ in their number of
        lines.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    if data_dir is None or not user_path(data_dir).is_dir():
        find('style_dir', ['train.STYLE.txt for two styles'], data_dir)
    folder = user_path(data_dir or '')
    stems = _stems(folder)
    if labels is not None and (isinstance(labels, str) or len(labels) != 2):
        raise UserError(f'labels={labels!r}: two names are wanted, of {stems[0]} and '
                        f'{stems[1]}')
    wanted = [f'{split}.{s}.txt' for split in SPLITS for s in stems]
    find('style_dir', wanted, folder)
    more = [f'{split}.reference.{s}.txt' for split in SPLITS[1:] for s in stems] + [STYLE_WORDS]
    files, _ = gather('', folder, wanted + [f for f in more if (folder / f).is_file()], True)
    parts = {split: _own(files, split, stems) for split in SPLITS}
    lexicon = words(files[STYLE_WORDS], gaps=True) if STYLE_WORDS in files else []
    return corpus('style_dir', parts, chosen, tuple(map(str, labels or stems)),
                  [w for line in lexicon for w in line])
