"""Corpora of simplification: complex sentences (label 0) and simple ones (1), in pairs."""
from collections.abc import Sequence

from vaebench.datasets.base import Dataset, Folder, permutation
from vaebench.datasets.line_files import Lines, Tokens, gather, side_by_side, tokenize, words
from vaebench.datasets.source_files import find
from vaebench.datasets.styled import Part, Words, corpus, paired
from vaebench.datasets.text_files import options
from vaebench.errors import UserError

LEVELS = 'complex', 'simple'
Rewrites = Sequence[tuple[Words, Sequence[Words]]]
"""Complex sentences, each with the simple ones that say the same."""


def _train(known: Rewrites, *others: Rewrites) -> tuple[Part, dict[str, int]]:
    """Every pair once, but for those whose complex sentence other splits hold.

    Returns:
      (the pairs, how many were left out: 'repeated' ones, and 'held_out' ones).
    """
    every = [(tuple(a), tuple(b)) for a, simple in known for b in simple]
    pairs = list(dict.fromkeys(every))
    held = {tuple(a) for other in others for a, _ in other}
    kept = [pair for pair in pairs if pair[0] not in held]
    return paired(kept), {'repeated': len(every) - len(pairs),
                          'held_out': len(pairs) - len(kept)}


def _held_out(known: Rewrites) -> Part:
    """Complex sentences and their references."""
    return Part([a for a, _ in known], [0] * len(known), [list(b) for _, b in known])


def _beside(complex_: Lines, simple: Sequence[Lines], tokens: Tokens) -> Rewrites:
    """The rewrites of files that are parallel line by line."""
    side_by_side(complex_, *simple)
    columns = [words(lines, tokens) for lines in simple]
    return list(zip(words(complex_, tokens), zip(*columns, strict=True), strict=True))


def _dataset(name, splits, chosen, other):
    """A `Dataset` of the rewrites of every split."""
    train, dropped = _train(splits['train'], splits['valid'], splits['test'])
    parts = {'train': train, **{s: _held_out(splits[s]) for s in ('valid', 'test')}}
    return corpus(name, parts, chosen, LEVELS, reduced=other, source={'dropped': dropped})


def _mini(name, data_dir, check, chosen, stems, tokens):
    """A corpus of several references and no training part: a tenth of its first part is valid.

    Args:
      stems: (folders that may hold it, the first its own name; what the complex files of its
        two parts are called; what their simple files are, with {} for the number; how many).
    """
    folders, originals, rewritten, count = stems
    simple = [[stem.format(i) for i in range(count)] for stem in rewritten]
    names = [*originals, *simple[0], *simple[1]]
    files, other = gather(folders[0], find(name, names, data_dir, *folders), names, check)
    tune, test = (_beside(files[first], [files[f] for f in others], tokens)
                  for first, others in zip(originals, simple, strict=True))
    held = set(permutation(len(tune))[:max(1, len(tune) // 10)].tolist())
    splits = {'train': [r for i, r in enumerate(tune) if i not in held],
              'valid': [r for i, r in enumerate(tune) if i in held], 'test': test}
    return _dataset(name, splits, chosen, other)


def turk_mini(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
              max_words: int | None = None, sentences: int | None = None,
              eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """TurkCorpus alone: pairs of its tune part to train on, which is not what papers do.

    A tenth of tune's 2,000 sentences, drawn by a fixed permutation, is valid, with 8 references
    each; every pair of the others and one of their 8 simplifications is in train once, both
    sentences as rows and `target` each other. Test is the 359 test sentences with 8 references.
    A simplification may be the sentence itself.

    Args:
      data_dir: folder with test.8turkers.tok.norm, test.8turkers.tok.turk.0 to .7 and the same
        of tune, or with a folder turkcorpus or simplification/turkcorpus of them.
      cache_dir: not needed.
      check, vocab: as in `styles.yelp_resplit`.
      max_words: pairs with a longer sentence are dropped, and longer sentences of valid and
        test; references are never too long.
      sentences: the first that many of train, complex ones and simple ones, pairs whole.
      eval_sentences: the first that many of valid and of test.

    Returns:
      A `Dataset`, see `styled`. source.facts['source']['dropped'] counts the pairs of train
      that were repeated, and those whose complex sentence valid or test holds.

    References:
      Xu et al., Optimizing Statistical Machine Translation for Text Simplification, 2016.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    stems = (('turkcorpus', 'simplification/turkcorpus'),
             [f'{s}.8turkers.tok.norm' for s in ('tune', 'test')],
             [f'{s}.8turkers.tok.turk.{{}}' for s in ('tune', 'test')], 8)
    return _mini('turk_mini', data_dir, check, chosen, stems, str.split)


def asset_mini(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
               max_words: int | None = None, sentences: int | None = None,
               eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """ASSET alone: pairs of its validation part to train on, which is not what papers do.

    Split as `turk_mini`, whose sentences these are, with 10 simplifications each that also
    split and reorder. Brought to words in lower case.

    Args:
      data_dir: folder with asset.test.orig, asset.test.simp.0 to .9 and the same of valid, or
        with a folder asset or simplification/asset of them.
      cache_dir: not needed.
      check, max_words, sentences, eval_sentences, vocab: as in `turk_mini`.

    Returns:
      A `Dataset`, as `turk_mini`.

    References:
      Alva-Manchego et al., ASSET: A Dataset for Tuning and Evaluation of Sentence
      Simplification Models with Multiple Rewriting Transformations, 2020, arXiv:2005.00481.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    stems = (('asset', 'simplification/asset'),
             [f'asset.{s}.orig' for s in ('valid', 'test')],
             [f'asset.{s}.simp.{{}}' for s in ('valid', 'test')], 10)
    return _mini('asset_mini', data_dir, check, chosen, stems, tokenize)


def _lower(line: str) -> list[str]:
    return line.lower().split()


def wikilarge(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
              max_words: int | None = None, sentences: int | None = None,
              eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """WikiLarge, in lower case: pairs of Wikipedia and Simple English Wikipedia.

    Valid has 992 sentences and test TurkCorpus's 359, with one reference each; the files of
    train are the user's own affair: they are not checked. Papers compare with the 8 references
    of `turk_mini`.

    Args:
      data_dir: folder with wiki.full.aner.ori.train.src, wiki.full.aner.ori.train.dst and the
        same of valid and test, or with a folder wikilarge, wikilarge_valtest or
        simplification/wikilarge_valtest of them.
      cache_dir: not needed.
      check, max_words, sentences, eval_sentences, vocab: as in `turk_mini`.

    Returns:
      A `Dataset`, as `turk_mini`.

    References:
      Zhang, Lapata, Sentence Simplification with Deep Reinforcement Learning, 2017,
      arXiv:1703.10931.
    """
    chosen = options(max_words, sentences, eval_sentences, vocab)
    stem = 'wiki.full.aner.ori.'
    names = [f'{stem}{s}.{side}' for s in ('train', 'valid', 'test') for side in ('src', 'dst')]
    folder = find('wikilarge', names, data_dir, 'wikilarge', 'wikilarge_valtest',
                  'simplification/wikilarge_valtest')
    files, other = gather('wikilarge', folder, names, check)
    splits = {s: _beside(files[f'{stem}{s}.src'], [files[f'{stem}{s}.dst']], _lower)
              for s in ('train', 'valid', 'test')}
    return _dataset('wikilarge', splits, chosen, other)


def _blocks(source: Lines) -> list[tuple[Words, Words]]:
    """Pairs of lines, each followed by a line of asterisks."""
    found, block = [], []
    for number, line in enumerate([*source.lines, '*'], 1):
        if line.strip('* \t') or not line.strip():
            block.append(line)
            continue
        if block and len(block) != 2:
            raise UserError(f'{source.path}, line {number}: two sentences are wanted before a '
                            f'line of asterisks, not {len(block)}')
        found += [block] if block else []
        block = []
    flat = words(Lines(source.path, [line for pair in found for line in pair]), tokenize)
    return list(zip(flat[::2], flat[1::2], strict=True))


def onestop(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
            max_words: int | None = None, sentences: int | None = None,
            eval_sentences: int | None = None, vocab: int | None = None) -> Dataset:
    """OneStopEnglish: sentences of news as advanced readers and as beginners get them.

    The file holds 2,166 pairs of which 1,111 differ, since half of them stand in it three
    times; each counts once. In the order of the file, which is nearly that of articles, the
    last tenth of the complex sentences is test and the tenth before it valid. Brought to words
    in lower case.

    Args:
      data_dir: folder with ADV-ELE.txt, or with a folder onestopenglish or
        simplification/onestopenglish of it: two lines, the complex sentence and the simple one,
        and a line of asterisks, again and again.
      cache_dir: not needed.
      check, max_words, sentences, eval_sentences, vocab: as in `turk_mini`.

    Returns:
      A `Dataset`, as `turk_mini`.

    References:
      Vajjala, Lučić, OneStopEnglish Corpus: A New Corpus for Automatic Readability Assessment
      and Text Simplification, 2018.
    """
    chosen, file = options(max_words, sentences, eval_sentences, vocab), 'ADV-ELE.txt'
    folder = find('onestop', [file], data_dir, 'onestopenglish',
                  'simplification/onestopenglish')
    files, other = gather('onestopenglish', folder, [file], check)
    known: dict[Words, list[Words]] = {}
    for a, b in _blocks(files[file]):
        known.setdefault(tuple(a), []).append(tuple(b))
    every, held = list(known.items()), max(1, len(known) // 10)
    if len(every) < 3:
        raise UserError(f'{files[file].path}: {len(every)} complex sentences; at least 3 are '
                        'wanted, one for each split')
    once = [(a, list(dict.fromkeys(b))) for a, b in every]
    splits = {'train': every[:-2 * held], 'valid': once[-2 * held:-held], 'test': once[-held:]}
    return _dataset('onestop', splits, chosen, other)
