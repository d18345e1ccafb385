"""What corpora of dialogues share: responses and what was said before them, as words and as
columns.

Columns of such a dataset: 'tokens' and 'length', the response; 'context', {'tokens': int32
[N, U, L], 'length': int32 [N, U], 'speaker': int32 [N, U], 'turns': int32 [N]}: of the U turns
the first 'turns' count, the newest of them last, and speaker is 1 where who responds said them;
the others are padding, of length 0. Where they are known also 'label', the act of the response,
'topic', and 'reference', {'tokens': [N, R, L], 'length': [N, R]}, valid responses, repeated
where there are fewer than R.

`Dataset.truth`: 'stop_words' and 'style_words' as in `styled`; 'exact', whether the references
are all the valid responses that there are.
"""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench import schema
from vaebench.datasets import styled
from vaebench.datasets.base import SPLITS, Dataset, text_dataset, whole
from vaebench.datasets.source_files import label_order
from vaebench.datasets.styled import Index, Words, ids
from vaebench.datasets.text_files import UNK, TextOptions, options, pack, shrink, vocabulary
from vaebench.errors import UserError

SPEAKERS = 'the other', 'who responds'
TURNS = 10             # of a context, as in Zhao et al. (2017)


class Turn(NamedTuple):
    """One utterance.

    Attributes:
      speaker: a name.
      words: at least one.
      act: a name; '' where acts are not annotated.
      others: what could have been said as well, where that is known.
    """
    speaker: str
    words: Words
    act: str = ''
    others: Sequence[Words] = ()


class Dialogue(NamedTuple):
    """Utterances, the first one first; topic is '' where there is none."""
    turns: Sequence[Turn]
    topic: str = ''


class Exchange(NamedTuple):
    """A response and what was said before it.

    Attributes:
      context: one to U utterances, the newest last.
      speaker: of each, 1 where it is who responds, else 0.
      response: words.
      label: its act; None without.
      topic: None without.
      references: valid responses; () where none are known.
    """
    context: Sequence[Words]
    speaker: Sequence[int]
    response: Words
    label: int | None = None
    topic: int | None = None
    references: Sequence[Words] = ()


class Names(NamedTuple):
    """Acts and topics by id; () where there are none."""
    acts: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()


class Options(NamedTuple):
    """Checked options of a set of dialogues."""
    text: TextOptions
    turns: int

    @property
    def given(self) -> bool:
        """Whether they leave something out."""
        return self.turns != TURNS or any(option is not None for option in self.text)


def chosen(max_words: int | None, sentences: int | None, eval_sentences: int | None,
           vocab: int | None, turns: int) -> Options:
    """Checks the options that sets of dialogues share.

    Raises:
      UserError: an option has a value that it cannot have.
    """
    return Options(options(max_words, sentences, eval_sentences, vocab),
                   whole('turns', turns, 1))


def exchanges(dialogue: Dialogue, names: Names, turns: int) -> Iterator[Exchange]:
    """Every utterance but the first as a response to at most `turns` before it.

    >>> talk = Dialogue([Turn('a', ['hi']), Turn('b', ['oh']), Turn('b', ['hi'])])
    >>> [(e.context, e.speaker, e.response) for e in exchanges(talk, Names(), 1)]
    [([['hi']], [0], ['oh']), ([['oh']], [1], ['hi'])]
    """
    said = dialogue.turns
    topic = names.topics.index(dialogue.topic) if names.topics else None
    for i in range(1, len(said)):
        before, turn = said[max(0, i - turns):i], said[i]
        yield Exchange([t.words for t in before],
                       [int(t.speaker == turn.speaker) for t in before], turn.words,
                       names.acts.index(turn.act) if names.acts else None, topic,
                       [turn.words, *turn.others] if turn.others else ())


def names_of(parts: Mapping[str, Sequence[Dialogue]]) -> Names:
    """Acts and topics of train, numbers before words.

    Raises:
      UserError: some utterances have an act and others not, or dialogues a topic; or another
        split has one that train lacks.

    >>> names_of({'train': [Dialogue([Turn('a', ['oh'], '10'), Turn('b', ['oh'], '2')])]})
    Names(acts=('2', '10'), topics=())
    """
    found = {'act': {split: {t.act for d in part for t in d.turns}
                     for split, part in parts.items()},
             'topic': {split: {d.topic for d in part} for split, part in parts.items()}}
    made = []
    for what, of_split in found.items():
        known, every = of_split['train'], set().union(*of_split.values())
        if '' in every and every != {''}:
            raise UserError(f'{what} of some dialogues is given and of others not: give all '
                            'of them one, or none')
        if missing := sorted(every - known):
            raise UserError(f'{what} {missing[0]!r} never occurs in train')
        made.append(tuple(sorted(known - {''}, key=label_order)))
    return Names(*made)


def cut(split: str, rows: Sequence[Exchange], limits: TextOptions) -> list[Exchange]:
    """The rows that options leave; longer utterances of contexts lose their last words.

    Raises:
      UserError: none is left.
    """
    most = limits.max_words
    first = limits.sentences if split == 'train' else limits.eval_sentences
    kept = [row for row in rows if most is None or len(row.response) <= most][:first]
    if not kept:
        raise UserError(f'max_words={most} leaves no response in {split}')
    return [row._replace(context=[words[:most] for words in row.context]) for row in kept]


def context(rows: Sequence[Exchange], index: Index, turns: int) -> dict[str, np.ndarray]:
    """The column 'context' of N rows, see the module.

    Args:
      rows: N.
      index: word -> id.
      turns: U.
    """
    count = np.array([len(row.context) for row in rows], np.int32)
    filled = np.arange(turns) < count[:, None]
    packed = pack([ids(words, index) for row in rows for words in row.context])
    packed['speaker'] = np.array([s for row in rows for s in row.speaker], np.int32)
    out = {}
    for name, values in packed.items():
        out[name] = np.zeros((*filled.shape, *values.shape[1:]), np.int32)
        out[name][filled] = values
    return {**out, 'turns': count}


def columns(rows: Sequence[Exchange], index: Index, turns: int, most: int) -> dict[str, Any]:
    """A split's columns.

    Args:
      rows: N.
      index: word -> id.
      turns: U.
      most: R, see `styled.references`.
    """
    out: dict[str, Any] = pack([ids(row.response, index) for row in rows])
    out['context'] = context(rows, index, turns)
    for name in 'label', 'topic':
        if getattr(rows[0], name) is not None:
            out[name] = np.array([getattr(row, name) for row in rows], np.int32)
    if any(row.references for row in rows):
        every = [row.references or [row.response] for row in rows]
        out['reference'] = styled.references(every, index, most)
    return out


def fields(splits: Mapping[str, Mapping[str, Any]], vocab: Sequence[str],
           names: Names) -> dict[str, Any]:
    """The fields of the columns beside 'tokens' and 'length'."""
    told = [c['context'] for c in splits.values()]
    turns, longest = told[0]['tokens'].shape[1], max(int(c['length'].max()) for c in told)
    topic = {'topic': schema.label(len(names.topics), names.topics)} if names.topics else {}
    return {**styled.fields(splits, vocab, names.acts), **topic, 'context': {
        'tokens': schema.Field('tokens', (turns, None), len(vocab), tuple(vocab)),
        'length': schema.Field('length', (turns,), longest),
        'speaker': schema.Field('class', (turns,), 2, SPEAKERS),
        'turns': schema.Field('length', (), turns)}}


def widest(parts: Mapping[str, Sequence[Exchange]]) -> int:
    """R, the most references of a row; 1 where there are none."""
    return max((len(row.references) for rows in parts.values() for row in rows), default=1) or 1


def _newest(rows: Sequence[Exchange]) -> list[Words]:
    """Responses and the utterances right before them."""
    return [words for row in rows for words in (row.context[-1], row.response)]


def _unknown(columns: Mapping[str, Any]) -> dict[str, float]:
    """Shares of words that are <unk>, in responses, contexts and references."""
    groups = {'sentences': columns} | {k: columns[k] for k in ('context', 'reference')
                                       if k in columns}
    return {k: float((c['tokens'] == UNK).sum() / np.maximum(c['length'] - 1, 0).sum())
            for k, c in groups.items()}


def _overlap(parts: Mapping[str, Sequence[Dialogue]]) -> dict[str, int]:
    """How many dialogues of a split stand in train, or in train before, word by word."""
    key = lambda d: tuple(tuple(t.words) for t in d.turns)
    train = {key(d) for d in parts['train']}
    return {'train': len(parts['train']) - len(train),
            **{s: sum(key(d) in train for d in parts[s]) for s in SPLITS[1:]}}


def corpus(name: str, parts: Mapping[str, Sequence[Dialogue]], limits: Options,
           source: Mapping[str, Any] | None = None, reduced: bool = False) -> Dataset:
    """A `Dataset` of dialogues, cut down as options say.

    Ids: <pad>, <s>, </s>, <unk>, then words by first appearance in train; words that train
    lacks are <unk>, in contexts and references too.

    Args:
      name: the dataset's.
      parts: train, valid and test.
      limits: what is cut down. The vocabulary is the most frequent words of train's responses
        and the utterances right before them.
      source: what is known of the files.
      reduced: whether they are other than the published ones.

    Returns:
      A `Dataset`, see the module. source.facts['source'] has, beside `source`, 'overlap': how
      many dialogues of valid and test stand in train, and how many train repeats, all left
      where they are; and 'unknown', the share of <unk> in the test split. 'reduced' is true
      where an option was given.

    Raises:
      UserError: nothing is left of a split; or acts or topics are not what they should be.
    """
    names = names_of(parts)
    rows = {split: [e for d in parts[split] for e in exchanges(d, names, limits.turns)]
            for split in SPLITS}
    for split in SPLITS:
        if not rows[split]:
            raise UserError(f'{name}: no dialogue of {split} has a second utterance')
    words = vocabulary([t.words for d in parts['train'] for t in d.turns])
    rows = {split: cut(split, rows[split], limits.text) for split in SPLITS}
    if limits.text.vocab is not None:
        index = {w: i for i, w in enumerate(words)}
        train = [{'ids': ids(said, index)} for said in _newest(rows['train'])]
        words = shrink(train, words, limits.text.vocab)[1]
    index, most = {w: i for i, w in enumerate(words)}, widest(rows)
    splits = {split: columns(rows[split], index, limits.turns, most) for split in SPLITS}
    facts = {**(source or {}), 'overlap': _overlap(parts), 'unknown': _unknown(splits['test'])}
    made = text_dataset(name, splits, words, fields(splits, words, names),
                        reduced=reduced or limits.given, source=facts)
    return styled.told(made, (), styled.stop_words(), exact=False)
