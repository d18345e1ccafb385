"""What corpora of styles share: sentences that are rewritten, as words and as columns.

Columns of such a dataset: 'tokens', 'length' and 'label', the style; where rewritten sentences
are known also 'reference', {'tokens': [N, R, L], 'length': [N, R]}, R right answers, in the
other style, repeated where there are fewer; and 'target', the row of the same split that is the
sentence in the other style, as `schema.Rows`. A corpus of analogies has 'second' and 'third'
instead of styles, sentences of their own.

`Dataset.truth`: 'style_words', ids of words that carry style, none where no list is known;
'stop_words', ids of words that carry no content; 'exact', whether the references are all the
right answers that there are.
"""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets.base import SPLITS, Dataset, text_dataset
from vaebench.datasets.text_files import UNK, TextOptions, pack, shrink, vocabulary
from vaebench.errors import UserError

Words = Sequence[str]
Index = Mapping[str, int]
"""Word -> id."""


class Part(NamedTuple):
    """A split as words.

    Attributes:
      sentences: N sentences.
      labels: N styles; () where there are none.
      references: N lists of sentences in the other style, one at least; () without.
      target: N rows, each the sentence in the other style, mutually; () where no pairs are
        known.
      second, third: N sentences of an analogy each; () without.
    """
    sentences: Sequence[Words]
    labels: Sequence[int]
    references: Sequence[Sequence[Words]] = ()
    target: Sequence[int] = ()
    second: Sequence[Words] = ()
    third: Sequence[Words] = ()


def take(part: Part, rows: Sequence[int]) -> Part:
    """Rows of a part, which must not tear pairs apart.

    >>> part = take(Part(['a', 'b', 'c', 'd'], [0, 1, 0, 1], target=[1, 0, 3, 2]), [2, 3])
    >>> part.sentences, part.labels, part.target
    (['c', 'd'], [0, 1], [1, 0])
    """
    kept = {k: [column[i] for i in rows] for k, column in part._asdict().items() if len(column)}
    place = {row: i for i, row in enumerate(rows)}
    return Part(**kept)._replace(target=[place[row] for row in kept.get('target', ())])


def of_styles(sentences: Sequence[Sequence[Words]],
              several: Sequence[Sequence[Sequence[Words]]] = ()) -> Part:
    """The sentences of style 0, then those of style 1.

    Args:
      sentences: of every style.
      several: the references of every style; () without.

    >>> of_styles([['a', 'b'], ['x']])[:2]
    (['a', 'b', 'x'], [0, 0, 1])
    """
    return Part([s for style in sentences for s in style],
                [k for k, style in enumerate(sentences) for _ in style],
                [many for style in several for many in style])


def paired(pairs: Sequence[tuple[Words, Words]]) -> Part:
    """Pairs of a sentence of style 0 and the same in style 1, one after the other.

    >>> part = paired([('a', 'x'), ('b', 'y')])
    >>> part.sentences, part.labels, part.target
    (['a', 'x', 'b', 'y'], [0, 1, 0, 1], [1, 0, 3, 2])
    """
    rows = range(2 * len(pairs))
    return Part([s for pair in pairs for s in pair], [i % 2 for i in rows], (),
                [i ^ 1 for i in rows])


def without(part: Part, *others: Part) -> tuple[Part, int]:
    """Drops the sentences that other parts hold word by word, with their partners.

    Args:
      part: what is cut down.
      *others: splits whose sentences it must not hold.

    Returns:
      (what is left, number of rows that were dropped).

    >>> part, dropped = without(Part([['a'], ['b'], ['a']], [0, 1, 1]), Part([['a']], [0]))
    >>> part.sentences, part.labels, dropped
    ([['b']], [1], 2)
    """
    held = {tuple(s) for other in others for s in other.sentences}
    fresh = np.array([tuple(s) not in held for s in part.sentences], bool)
    if len(part.target):
        fresh &= fresh[np.asarray(part.target)]
    return take(part, np.flatnonzero(fresh).tolist()), int((~fresh).sum())


def in_turn(labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """The order of rows in which styles take turns as long as they last.

    >>> in_turn([0, 0, 0, 1]).tolist()
    [0, 3, 1, 2]
    """
    label, rank = np.asarray(labels), np.zeros(len(labels), int)
    for k in np.unique(label):
        rank[label == k] = np.arange((label == k).sum())
    return np.lexsort((label, rank))


def cut(split: str, part: Part, chosen: TextOptions) -> Part:
    """The sentences that options leave, styles in turn; pairs stay whole and as they are.

    Raises:
      UserError: none is left.
    """
    most = chosen.max_words
    first = chosen.sentences if split == 'train' else chosen.eval_sentences
    keep = np.array([most is None or len(s) <= most for s in part.sentences], bool)
    if len(part.target):
        target = np.asarray(part.target)
        rows = np.flatnonzero(keep & keep[target])[:first]
        rows = rows[np.isin(target[rows], rows)]
    else:
        rows = np.flatnonzero(keep)
        rows = rows[in_turn(np.asarray(part.labels)[rows])][:first]
    if not len(rows):
        raise UserError(f'max_words={most}, {"eval_" * (split != "train")}sentences={first} '
                        f'leave no sentence in {split}')
    return take(part, rows.tolist())


def ids(words: Words, index: Index) -> np.ndarray:
    """int32 [n]; a word that the index lacks is <unk>."""
    return np.array([index.get(w, UNK) for w in words], np.int32)


def known(words: Iterable[str], index: Index) -> np.ndarray:
    """int32 ids, sorted, of those words that the index has.

    >>> known(['b', 'zebra', 'a'], {'a': 4, 'b': 5}).tolist()
    [4, 5]
    """
    return np.array(sorted({index[w] for w in words if w in index}), np.int32)


def references(several: Sequence[Sequence[Words]], index: Index,
               most: int) -> dict[str, np.ndarray]:
    """The column 'reference' of N sentences.

    Args:
      several: N lists of sentences, 1 to R each; they are repeated in turn up to R.
      index: word -> id.
      most: R.

    Returns:
      {'tokens': int32 [N, R, L], 'length': int32 [N, R]}.

    >>> references([['a', 'b'], ['b']], {'a': 4, 'b': 5}, 2)['tokens'][..., 1].tolist()
    [[4, 5], [5, 5]]
    """
    packed = pack([ids(every[r % len(every)], index) for every in several for r in range(most)])
    return {k: v.reshape(len(several), most, *v.shape[1:]) for k, v in packed.items()}


def columns(part: Part, index: Index, most: int = 1) -> dict[str, Any]:
    """A split's columns; `most` is R, see `references`."""
    out: dict[str, Any] = pack([ids(s, index) for s in part.sentences])
    if len(part.labels):
        out['label'] = np.array(part.labels, np.int32)
    if part.references:
        out['reference'] = references(part.references, index, most)
    if len(part.target):
        out['target'] = schema.Rows(np.array(part.target, np.int32))
    others = {'second': part.second, 'third': part.third}
    return out | {k: pack([ids(s, index) for s in said]) for k, said in others.items() if said}


def fields(splits: Mapping[str, Mapping[str, Any]], vocab: Sequence[str],
           labels: Sequence[str]) -> dict[str, Any]:
    """The fields of the columns beside 'tokens' and 'length'."""
    out: dict[str, Any] = {}
    if labels:
        out['label'] = schema.label(len(labels), tuple(labels))
    rewritten = [c['reference'] for c in splits.values() if 'reference' in c]
    if rewritten:
        most = rewritten[0]['tokens'].shape[1]
        longest = max(int(r['length'].max()) for r in rewritten)
        tokens = schema.Field('tokens', (most, None), len(vocab), tuple(vocab))
        length = schema.Field('length', (most,), longest)
        out['reference'] = {'tokens': tokens, 'length': length}
    if any('target' in c for c in splits.values()):
        out['target'] = schema.Field('rows')
    for name in ('second', 'third'):
        longest = [int(c[name]['length'].max()) for c in splits.values() if name in c]
        if longest:
            out[name] = schema.text(tuple(vocab), max(longest) - 1)
    return out


def stop_words() -> Sequence[str]:
    """scikit-learn's 318 English words that carry no content, sorted."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    return sorted(ENGLISH_STOP_WORDS)


def told(made: Dataset, style_words: Iterable[str], neutral: Iterable[str],
         exact: bool) -> Dataset:
    """A `Dataset` of sentences that says which of its words carry style, and which no content:
    to metrics by its truth, to networks by the groups of its words.

    Args:
      made: the dataset.
      style_words, neutral: words, of which it need not have all.
      exact: whether references are the only right answers.
    """
    tokens: Any = made.schema['tokens']
    index = {word: i for i, word in enumerate(tokens.names)}
    groups = {'style_words': known(style_words, index), 'stop_words': known(neutral, index)}
    marked = tokens._replace(groups=tuple((k, tuple(v.tolist())) for k, v in groups.items()))
    return made._replace(schema={**made.schema, 'tokens': marked},
                         truth={**groups, 'exact': exact})


def _unknown(split):
    """Shares of words that are <unk>, in sentences and in references."""
    groups = {'sentences': split} | {k: split[k] for k in ('reference',) if k in split}
    return {k: float((c['tokens'] == UNK).sum() / (c['length'] - 1).sum())
            for k, c in groups.items()}


def corpus(name: str, parts: Mapping[str, Part], chosen: TextOptions, labels: Sequence[str],
           style_words: Sequence[str] = (), **facts: Any) -> Dataset:
    """A `Dataset` of English sentences, cut down as options say.

    Ids: <pad>, <s>, </s>, <unk>, then words by first appearance in train's files; words that
    train lacks are <unk>, in references too. facts['source']['unknown'] is the share of such
    words in the test split's 'sentences' and 'reference'.

    Args:
      name: the dataset's.
      parts: train, valid and test.
      chosen: what is cut down.
      labels: names of the styles.
      style_words: words that carry style, for `truth`.
      **facts: see `Source`; 'reduced' becomes true where an option was given.

    Returns:
      A `Dataset`, see the module.

    Raises:
      UserError: nothing is left of a split.
    """
    words = vocabulary(parts['train'].sentences)
    parts = {split: cut(split, parts[split], chosen) for split in SPLITS}
    if chosen.vocab is not None:
        index = {w: i for i, w in enumerate(words)}
        train = [{'ids': ids(s, index)} for s in parts['train'].sentences]
        words = shrink(train, words, chosen.vocab)[1]
    index = {w: i for i, w in enumerate(words)}
    most = max((len(r) for p in parts.values() for r in p.references), default=1)
    splits = {split: columns(part, index, most) for split, part in parts.items()}
    facts['source'] = {**facts.get('source', {}), 'unknown': _unknown(splits['test'])}
    facts['reduced'] = bool(facts.get('reduced')) or any(o is not None for o in chosen)
    made = text_dataset(name, splits, words, fields(splits, words, labels), **facts)
    return told(made, style_words, stop_words(), exact=False)
