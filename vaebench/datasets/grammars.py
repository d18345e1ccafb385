"""Procedural corpora whose right rewrites are known: made from raw uniform numbers alone, which
numpy never changes, and therefore the same on every machine."""
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaebench.datasets import grammar_words as w
from vaebench.datasets.base import Dataset, Folder, text_dataset, whole
from vaebench.datasets.styled import Part, columns, fields, ids, paired, told
from vaebench.datasets.text_files import SPECIALS
from vaebench.errors import UserError

Factors = Mapping[str, np.ndarray]
"""Factor -> its level in every sentence, int [N]."""
Slots = Mapping[str, tuple[tuple[str, ...], np.ndarray]]
"""Slot -> (factors, the text of every combination of their levels: some words, or none)."""


def expand(pattern: str) -> list[str]:
    """A pattern with and without each word in brackets.

    >>> expand('the [MOD] NOUN')
    ['the NOUN', 'the MOD NOUN']
    """
    parts = [('', word[1:-1]) if word.startswith('[') else (word,) for word in pattern.split()]
    return [' '.join(filter(None, choice)) for choice in itertools.product(*parts)]


class Grammar(NamedTuple):
    """Sentences as functions of factors, the first of which is 'form'.

    Attributes:
      forms: words, and names of slots.
      slots: what they hold.
    """
    forms: Sequence[str]
    slots: Slots

    @property
    def levels(self) -> dict[str, int]:
        """Factor -> number of its levels."""
        found = {'form': len(self.forms)}
        for names, texts in self.slots.values():
            found |= dict(zip(names, texts.shape, strict=True))
        return found

    @property
    def fixed(self) -> list[str]:
        """Words that the forms themselves hold."""
        every = ' '.join(self.forms).split()
        return list(dict.fromkeys(word for word in every if word not in self.slots))

    @property
    def vocab(self) -> tuple[str, ...]:
        """Words by id: the special ones, those of forms, those of slots."""
        texts = ' '.join(str(t) for _, table in self.slots.values() for t in table.flat)
        return tuple(dict.fromkeys([*SPECIALS, *self.fixed, *texts.split()]))

    def draw(self, n: int, seed: Sequence[int]) -> dict[str, np.ndarray]:
        """Uniform and independent factors; those of n sentences begin those of more."""
        u = np.random.Generator(np.random.PCG64(seed)).random((n, len(self.levels)))
        levels = enumerate(self.levels.items())
        return {name: (u[:, i] * k).astype(int) for i, (name, k) in levels}

    def say(self, factors: Factors) -> list[list[str]]:
        """The sentences of factors."""
        texts = {slot: table[tuple(factors[name] for name in names)].tolist()
                 for slot, (names, table) in self.slots.items()}
        forms = [form.split() for form in self.forms]
        said = (' '.join(texts[p][i] if p in texts else p for p in forms[f])
                for i, f in enumerate(factors['form'].tolist()))
        return [str(sentence).split() for sentence in said]


def _rows(text: str, separator: str = '\n') -> list[list[list[str]]]:
    """Rows of a table of words: columns between slashes, words between spaces."""
    rows = [row for row in text.split(separator) if row.strip()]
    return [[column.split() for column in row.split('/')] for row in rows]


def _forms(patterns: Sequence[str]) -> list[str]:
    return [form for pattern in patterns for form in expand(pattern)]


def _uniform(**slots: str | Sequence[str]) -> Slots:
    """Slots that nothing else decides: texts, or words between spaces."""
    return {slot: ((slot,), np.array(texts.split() if isinstance(texts, str) else texts))
            for slot, texts in slots.items()}


def _dataset(name: str, grammar: Grammar, parts: Mapping[str, Part], labels: Sequence[str],
             style_words: Iterable[str], exact: bool = True, **source: Any) -> Dataset:
    """A `Dataset` in a grammar's words, see `styled`; `source` is the fact of that name."""
    vocab = grammar.vocab
    index = {word: i for i, word in enumerate(vocab)}
    most = max((len(r) for p in parts.values() for r in p.references), default=1)
    splits = {split: columns(part, index, most) for split, part in parts.items()}
    made = text_dataset(name, splits, vocab, fields(splits, vocab, labels), source=source)
    return told(made, style_words, grammar.fixed, exact)


def _sizes(sentences: int, eval_sentences: int) -> dict[str, int]:
    held_out = whole('eval_sentences', eval_sentences, 1)
    return {'train': whole('sentences', sentences, 1), 'valid': held_out, 'test': held_out}


def _reviews() -> Grammar:
    """The grammar of `two_style`."""
    kinds, persons, times = _rows(w.KINDS), _rows(w.PERSONS), _rows(w.TIMES)
    one = lambda rows: np.array([row[0][0] for row in rows])
    return Grammar(_forms(w.REVIEWS), {
        'NOUN': (('kind', 'group', 'noun'), np.array([row[:2] for row in kinds])),
        'ADJ': (('kind', 'strength', 'style'), np.array([row[2:] for row in kinds])),
        'DEGREE': (('strength', 'degree'), np.array(w.DEGREES)),
        'PERSON': (('person',), one(persons)),
        'VERB': (('person', 'style'), np.array([row[1] for row in persons])),
        'TIME': (('time',), one(times)),
        'OPENER': (('time', 'style'), np.array([row[1] for row in times])),
        **_uniform(MOD=w.MODIFIERS, PLACE=w.PLACES),
    })


def two_style(data_dir: Folder = None, cache_dir: Folder = None, sentences: int = 20_000,
              eval_sentences: int = 1000, seed: int = 0, rho: float = 0.) -> Dataset:
    """Reviews, good (0) or bad (1), of 5 to 12 words: a rewrite exchanges words in pairs.

    Every style word has one partner (delicious, disgusting), whichever way it is rewritten, and
    nothing else may change. Which pair it is of is told by words that are not of the style: an
    adjective by the kind of its noun and the strength of its adverb, a verb by its pronoun, an
    opening word by the time that is named. So the rewrite can be learnt of the two styles
    alone. Sentences alternate between the styles and follow the same law but for these words.
    Splits are drawn independently, so short sentences may stand in several.

    Args:
      data_dir, cache_dir: not needed.
      sentences: of train.
      eval_sentences: of valid, and of test.
      seed: of the draw; the grammar is fixed. Splits have streams of their own.
      rho: how much content tells of style. Every kind has two groups of nouns; with probability
        rho a sentence's group is its style, otherwise either with probability 1/2. It is the
        correlation of group and style, and the best guess of the style from content alone is
        right with probability (1 + rho) / 2.

    Returns:
      A `Dataset`, see `styled`: valid and test have `reference`, the only right answer. `truth`
      has also 'swap', int32 [V]: every word's partner, or itself.

    >>> d = two_style(sentences=2, eval_sentences=1)
    >>> ' '.join(d.schema['tokens'].names[i] for i in d.splits['test']['tokens'][0])
    '<s> the local chair was rather comfortable </s>'
    """
    grammar, sizes = _reviews(), _sizes(sentences, eval_sentences)
    seed, parts = whole('seed', seed, 0), {}
    if isinstance(rho, bool) or not isinstance(rho, int | float) or not 0 <= rho <= 1:
        raise UserError(f'rho={rho!r}: give a number from 0 to 1')
    for i, (split, n) in enumerate(sizes.items()):
        factors, style = grammar.draw(n, [seed, i]), np.arange(n) % 2
        tied = np.random.Generator(np.random.PCG64([seed, i, 1])).random(n) < rho
        factors |= {'style': style, 'group': np.where(tied, style, factors['group'])}
        other = [[s] for s in grammar.say(factors | {'style': 1 - style})]
        parts[split] = Part(grammar.say(factors), style.tolist(),
                            () if split == 'train' else other)
    pairs = np.concatenate([table.reshape(-1, 2) for names, table in grammar.slots.values()
                            if 'style' in names])
    made = _dataset('two_style', grammar, parts, ('good', 'bad'), pairs.ravel().tolist(),
                    seed=seed, rho=float(rho), content_accuracy=(1 + rho) / 2)
    partner = dict(np.concatenate([pairs, pairs[:, ::-1]]).tolist())
    index = {word: i for i, word in enumerate(grammar.vocab)}
    swap = ids([partner.get(word, word) for word in index], index)
    return made._replace(truth={**made.truth, 'swap': swap})


SETS = {'ADVERB': (w.ADVERBS, 'TIME'), 'PERSON': (w.PEOPLE, 'NAME'),
        'DEED': (w.DEEDS, 'OBJECT'), 'QUALITY': (w.QUALITIES, 'ORIGIN')}
"""Slot of `register` -> its sets of words that mean the same, the slot that tells which set."""


def _remarks() -> Grammar:
    """The grammar of `register`: of two words of a set 'SLOT word' chooses."""
    slots = {}
    for slot, (text, teller) in SETS.items():
        rows = _rows(text)
        slots[teller] = (slot, teller), np.array([row[2] for row in rows])
        twice = [[(words * 2)[:2] for words in row[:2]] for row in rows]
        slots[slot] = (slot, 'style', f'{slot} word'), np.array(twice)
    return Grammar(_forms(w.REMARKS), slots)


def _answers(grammar: Grammar, factors: Factors) -> list[list[tuple[str, ...]]]:
    """Every remark in the other style that means the same, for each of N."""
    every = []
    for chosen in itertools.product((0, 1), repeat=len(SETS)):
        which = {f'{slot} word': np.full_like(factors['form'], k)
                 for slot, k in zip(SETS, chosen, strict=True)}
        every.append(grammar.say({**factors, 'style': 1 - factors['style'], **which}))
    return [list(dict.fromkeys(map(tuple, row))) for row in zip(*every, strict=True)]


def register(data_dir: Folder = None, cache_dir: Folder = None, sentences: int = 20_000,
             eval_sentences: int = 1000, seed: int = 0) -> Dataset:
    """Remarks, formal (0) or informal (1): a rewrite takes words of the same meaning.

    A meaning has one or two words in either style (purchased, acquired; bought, got), so that a
    sentence of k such words has up to 2^k right rewrites, k = 2 or 3. Which meaning it is of is
    told by a word beside it, a verb's by its object for instance, so that the rewrite can be
    learnt of the two styles alone. A map that puts all words of a meaning together loses the
    style and no content. Sentences alternate between the styles.

    Args:
      data_dir, cache_dir, sentences, eval_sentences, seed: as in `two_style`.

    Returns:
      A `Dataset`, see `styled`: `reference` of valid and test holds every right answer, R = 8.
    """
    grammar, sizes = _remarks(), _sizes(sentences, eval_sentences)
    seed, parts = whole('seed', seed, 0), {}
    for i, (split, n) in enumerate(sizes.items()):
        style = np.arange(n) % 2
        factors = grammar.draw(n, [seed, i]) | {'style': style}
        parts[split] = Part(grammar.say(factors), style.tolist(),
                            () if split == 'train' else _answers(grammar, factors))
    words = [str(word) for slot in SETS for word in grammar.slots[slot][1].flat]
    return _dataset('register', grammar, parts, ('formal', 'informal'), words, seed=seed)


def _tales() -> Grammar:
    """The grammar of `analogy`: every level of every factor shows."""
    subjects = [row[0] for row in _rows(w.SUBJECTS, ',')]
    verbs = [row[0] for row in _rows(w.ACTIONS, ',')]
    actions = [[[[past, f'did not {verb}'] if tense else [present, f'{do} not {verb}']
                 for tense in (0, 1)] for present, do in ((one, 'does'), (verb, 'do'))]
               for verb, one, past in verbs]
    return Grammar(w.TALES, {
        'SUBJECT': (('subject', 'number'), np.array(subjects)),
        'ACTION': (('action', 'number', 'tense', 'negation'), np.array(actions)),
        **_uniform(STATE=w.STATES, THING=w.THINGS, EVENT=w.EVENTS),
    })


def _quadruples(grammar: Grammar, n: int, seed: Sequence[int]) -> list[Factors]:
    """Factors of s1, s2, s3 and s4: s2 differs from s1 in one factor, and s4 from s3 likewise.

    The other factors of s3 are drawn anew, and one of them always differs from s1.
    """
    first, third = grammar.draw(n, [*seed, 1]), grammar.draw(n, [*seed, 2])
    names = list(first)
    u = np.random.Generator(np.random.PCG64([*seed, 3])).random((n, 3))
    one = (u[:, 0] * len(names)).astype(int)
    two = (one + 1 + (u[:, 1] * (len(names) - 1)).astype(int)) % len(names)
    for i, name in enumerate(names):
        levels = grammar.levels[name]
        another = (first[name] + 1 + (u[:, 2] * (levels - 1)).astype(int)) % levels
        third[name] = np.where((one == i) | (two == i), another, third[name])
    mixed = lambda a, b: {k: np.where(one == i, b[k], a[k]) for i, k in enumerate(names)}
    return [first, mixed(first, third), third, mixed(third, first)]


def analogy(data_dir: Folder = None, cache_dir: Folder = None, sentences: int = 20_000,
            eval_sentences: int = 1000, seed: int = 0) -> Dataset:
    """Sentences of independent factors, and analogies s1 - s2 + s3 = s4 between them.

    s1 and s2 differ in one factor (subject, number, tense, negation, ...), s3 shares s2's level
    of it, s4 is s3 with the level of s1. In everything else s3 differs from s1 at random, in
    one factor at least. Where the number changes the verb changes with it.

    Args:
      data_dir, cache_dir, sentences, eval_sentences, seed: as in `two_style`.

    Returns:
      A `Dataset` without labels. Train has 'tokens' and 'length' alone. In valid and test
      these are s1, and there are also 'second' and 'third', nested {'tokens': int32 [N, L],
      'length': int32 [N]}, and 'reference' {'tokens': int32 [N, 1, L], 'length': int32 [N, 1]},
      s4, the only right answer. `truth` as in `styled`, without style words.
    """
    grammar, sizes = _tales(), _sizes(sentences, eval_sentences)
    seed, parts = whole('seed', seed, 0), {}
    for i, (split, n) in enumerate(sizes.items()):
        if split == 'train':
            parts[split] = Part(grammar.say(grammar.draw(n, [seed, i])), ())
            continue
        one, two, three, four = (grammar.say(f) for f in _quadruples(grammar, n, [seed, i]))
        parts[split] = Part(one, (), [[s] for s in four], second=two, third=three)
    return _dataset('analogy', grammar, parts, (), (), seed=seed)


LEXICAL = {'TRAIT': w.TRAITS, 'WORK': w.WORKS, 'LINK': w.LINKS}
"""Slot of `simplify` -> what it says, complex and simple."""
WAYS = 'complex', 'dropped', 'split', 'kept'
"""What becomes of a clause: the simple ways are the references, in this order."""


def _reports() -> Grammar:
    """The grammar of `simplify`; half of the sentences have no clause."""
    lexical = {}
    for slot, text in LEXICAL.items():
        pairs = [[' '.join(words) for words in row] for row in _rows(text, ',')]
        lexical[slot] = (slot, 'way'), np.array([[a, b, b, b] for a, b in pairs])
    clauses = [*w.CLAUSES, *[''] * len(w.CLAUSES)]
    relative = [[f', who {c} ,' * (way in ('complex', 'kept')) if c else '' for way in WAYS]
                for c in clauses]
    after = [[[f'the {trade} {c} .' if c and way == 'split' else '' for way in WAYS]
              for c in clauses] for trade in w.TRADES.split()]
    return Grammar(_forms(w.REPORTS), {
        **lexical, **_uniform(TRADE=w.TRADES, GOODS=w.GOODS, OCCASION=w.OCCASIONS),
        'RELATIVE': (('clause', 'way'), np.array(relative)),
        'AFTERWARDS': (('TRADE', 'clause', 'way'), np.array(after)),
    })


def simplify(data_dir: Folder = None, cache_dir: Folder = None, sentences: int = 20_000,
             eval_sentences: int = 1000, seed: int = 0) -> Dataset:
    """Reports, complex (0) or simple (1), in pairs: rare words become plain, clauses go.

    Every rare word has one plain one. Half of the sentences have a relative clause, which a
    simple sentence leaves out, says in a sentence of its own, or keeps.

    Args:
      data_dir, cache_dir, eval_sentences, seed: as in `two_style`.
      sentences: of train, an even number: a complex one and the simple one without its clause,
        in turn, each the `target` of the other.

    Returns:
      A `Dataset`, see `styled`. Valid and test are complex, and `reference` says the three ways
      in this order, R = 3; without a clause they are the same. `truth` has 'exact' false, for
      an answer may be right otherwise.
    """
    grammar, sizes = _reports(), _sizes(sentences, eval_sentences)
    seed, parts = whole('seed', seed, 0), {}
    if sizes['train'] % 2:
        raise UserError(f'sentences={sentences}: an even number is wanted, for complex and '
                        'simple ones stand in pairs')
    for i, (split, n) in enumerate(sizes.items()):
        n = n // 2 if split == 'train' else n
        factors = grammar.draw(n, [seed, i])
        complex_, *simple = (grammar.say(factors | {'way': np.full(n, way)})
                             for way in range(len(WAYS)))
        parts[split] = (paired(list(zip(complex_, simple[0], strict=True))) if split == 'train'
                        else Part(complex_, [0] * n, list(zip(*simple, strict=True))))
    words = {word for slot in LEXICAL for text in grammar.slots[slot][1].flat
             for word in text.split()}
    return _dataset('simplify', grammar, parts, ('complex', 'simple'),
                    words - set(grammar.fixed), exact=False, seed=seed)
