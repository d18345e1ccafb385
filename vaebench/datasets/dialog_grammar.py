"""A grammar of short dialogues, with all the valid responses to each."""
import math
from collections.abc import Mapping, Sequence

import numpy as np

from vaebench import schema
from vaebench.datasets import grammar_words as w
from vaebench.datasets import styled
from vaebench.datasets.base import Dataset, Folder, text_dataset, whole
from vaebench.datasets.exchanges import Exchange, Names, columns, fields
from vaebench.datasets.grammars import Factors, Grammar

ACTS = 'answer', 'question', 'statement'
AFTER = 'asked', 'told'


def _rows(text: str) -> list[list[str]]:
    """Lines of a table as columns between slashes."""
    return [[part.strip() for part in line.split('/')] for line in text.strip().splitlines()]


VALID: Mapping[str, list[list[str]]] = {k: _rows(text) for k, text in w.RESPONSES.items()}
"""What may be said after a last utterance of either kind: rows of (act, form)."""
FORMS = [row for k in AFTER for row in VALID[k]]
COUNT = len(VALID[AFTER[0]])
"""R, the number of valid responses: as many after either kind of utterance."""


class Talk:
    """The grammars of the utterances, over the same slots and factors."""

    def __init__(self) -> None:
        topics, feelings = _rows(w.SUBJECTS_OF_TALK), _rows(w.FEELINGS)
        things = [things.split() for *_, things in topics]
        told = {name: (('feeling',), np.array([row[i] for row in feelings]))
                for i, name in enumerate(('MAY', 'AYE', 'SURE', 'GOOD', 'LIKE'), 1)}
        details = [[f'{before} {word}' for word in words.split()]
                   for words, before in _rows(w.DETAILS)]
        self.topics = tuple(name for name, *_ in topics)
        slots = {
            **told, 'ITEM': (('topic', 'item'), np.array(things)),
            'FEEL': (('feeling', 'verb'), np.array([row[0].split() for row in feelings])),
            'DO': (('topic',), np.array([do for _, do, _ in topics])),
            'MY': (('owner',), np.array(['your', 'my'])),
            'DETAIL': (('kind', 'detail'), np.array(details))}
        self.opening = Grammar(w.OPENINGS, slots)
        self.last = Grammar((*w.ASKED, *w.TOLD), slots)
        self.response = Grammar([form for _, form in FORMS], slots)
        self.filler = Grammar(w.FILLERS, {})
        self.levels = {k: v for k, v in self.opening.levels.items() if k != 'form'}

    @property
    def vocab(self) -> tuple[str, ...]:
        """Words by id."""
        parts = self.opening, self.last, self.response, self.filler
        return tuple(dict.fromkeys(word for part in parts for word in part.vocab))

    def responses(self, factors: Factors, asked: np.ndarray,
                  number: np.ndarray) -> list[list[str]]:
        """The valid response of that number, below `COUNT`, in each of N dialogues.

        Args:
          factors: of the dialogues, int [N] each.
          asked: bool [N], whether the last utterance is a question.
          number: int [N].
        """
        return self.response.say({**factors, 'form': number + COUNT * ~asked})


def _exchanges(talk: Talk, n: int, turns: int, seed: Sequence[int],
               every: bool) -> list[Exchange]:
    """N dialogues; with references where `every`."""
    factors = talk.opening.draw(n, [*seed, 0])
    u = np.random.Generator(np.random.PCG64([*seed, 1])).random((n, 3 + 2 * turns))
    fillers = (u[:, 0] * (turns - 1)).astype(int)
    last, number = (u[:, 1] * len(talk.last.forms)).astype(int), (u[:, 2] * COUNT).astype(int)
    asked = last < len(w.ASKED)
    first = talk.opening.say(factors)
    newest = talk.last.say({**factors, 'form': last})
    between = [talk.filler.say({'form': (u[:, 3 + i] * len(w.FILLERS)).astype(int)})
               for i in range(turns - 2)]
    bits = (u[:, 3 + turns:] < .5).astype(int)
    said = [talk.responses(factors, asked, np.full(n, k)) for k in range(COUNT)]
    rows = []
    for i in range(n):
        context = [first[i], *(f[i] for f in between[:fillers[i]]), newest[i]]
        speaker = [int(factors['owner'][i]), *bits[i, :fillers[i]].tolist(), 0]
        act = FORMS[number[i] + COUNT * (not asked[i])][0]
        rows.append(Exchange(context, speaker, said[number[i]][i], ACTS.index(act),
                             int(factors['topic'][i]), [s[i] for s in said] if every else ()))
    return rows


def dialog(data_dir: Folder = None, cache_dir: Folder = None, sentences: int = 20_000,
           eval_sentences: int = 1000, seed: int = 0, turns: int = 4) -> Dataset:
    """Short dialogues with six valid responses to each, of two or three acts.

    Someone says how they feel about a thing of theirs; some words without content follow; then
    the other asks or says something that has a day, a place or a person in it. A response
    names both: the thing, as mine or yours by who spoke of it, with words that fit the feeling;
    and the detail. Which six forms are valid depends on whether the last utterance asks. So a
    response depends on the newest utterance, on the first one, and on who said it. One of the
    six, drawn uniformly, is the response: given its context it has an entropy of ln 6 nats,
    which no model's `nll_iw` can go below on average. Splits are drawn independently, so a
    context may stand in several.

    Args:
      data_dir, cache_dir: not needed.
      sentences: responses of train, one of each dialogue.
      eval_sentences: of valid, and of test.
      seed: of the draw; the grammar is fixed. Splits have streams of their own.
      turns: most utterances of a context, U, at least 2; as likely to be any number from 2.

    Returns:
      A `Dataset`, see `exchanges`; labels are answer, question and statement. Valid and test
      have 'reference', all six responses in the same order, R = 6; and 'log_p', float32 [N],
      -ln 6, the exact log p(response | context) in nats.

    >>> d = dialog(sentences=2, eval_sentences=1)
    >>> said = lambda row: ' '.join(d.schema['tokens'].names[i] for i in row if i > 2)
    >>> test = d.splits['test']
    >>> [said(row) for row in test['context']['tokens'][0]]
    ['i adore my poem', 'oh really ?', 'they invited us on friday .', '']
    >>> said(test['tokens'][0])
    'on friday people love your poem .'
    """
    held_out = whole('eval_sentences', eval_sentences, 1)
    sizes = {'train': whole('sentences', sentences, 1), 'valid': held_out, 'test': held_out}
    seed, turns, talk = whole('seed', seed, 0), whole('turns', turns, 2), Talk()
    vocab, names = talk.vocab, Names(ACTS, talk.topics)
    index, splits = {word: i for i, word in enumerate(vocab)}, {}
    for i, (split, n) in enumerate(sizes.items()):
        rows = _exchanges(talk, n, turns, [seed, i], split != 'train')
        splits[split] = columns(rows, index, turns, COUNT)
        if split != 'train':
            splits[split]['log_p'] = np.full(n, -math.log(COUNT), np.float32)
    more = {**fields(splits, vocab, names), 'log_p': schema.Field('real', derived=True)}
    made = text_dataset('dialog', splits, vocab, more,
                        source={'seed': seed, 'entropy': math.log(COUNT)})
    neutral = {word for part in (talk.opening, talk.last, talk.response, talk.filler)
               for word in part.fixed}
    return styled.told(made, (), neutral, exact=True)
