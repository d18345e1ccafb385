"""Corpora of dialogues: DailyDialog, Switchboard, and folders of the user's own."""
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vaebench.datasets.base import SPLITS, Dataset, Folder
from vaebench.datasets.exchanges import TURNS, Dialogue, Turn, chosen, corpus
from vaebench.datasets.line_files import Lines, gather, side_by_side, tokenize
from vaebench.datasets.source_files import find
from vaebench.datasets.text_files import unframed
from vaebench.errors import UserError

DAILY_SPLITS = {'train': 'train', 'valid': 'validation', 'test': 'test'}
DAILY_ACTS = {'1': 'inform', '2': 'question', '3': 'directive', '4': 'commissive'}
UNEVEN = {('dialogues_train.txt', 7852)}
"""The published line whose acts are one fewer than its utterances: it is left out."""
END = '__eou__'


def _daily(said: Lines, acts: Lines) -> list[Dialogue]:
    """Dialogues of two files that are parallel line by line; two people speak in turn."""
    side_by_side(said, acts)
    found = []
    for number, (line, marks) in enumerate(zip(said.lines, acts.lines, strict=True), 1):
        *utterances, rest = line.split(END)
        if rest.strip() or not utterances:
            raise UserError(f'{said.path}, line {number}: utterances are wanted, each followed '
                            f'by {END}')
        words = [unframed(said.path, number, tokenize(u)) for u in utterances]
        if not all(words):
            raise UserError(f'{said.path}, line {number}: an utterance is empty')
        given = marks.split()
        if wrong := [a for a in given if a not in DAILY_ACTS]:
            raise UserError(f'{acts.path}, line {number}: {wrong[0]!r} is no act; they are '
                            f'{", ".join(DAILY_ACTS)}')
        if len(given) == len(words):
            found.append(Dialogue([Turn('ab'[i % 2], turn, DAILY_ACTS[act]) for i, (turn, act)
                                   in enumerate(zip(words, given, strict=True))]))
        elif (said.path.name, number) not in UNEVEN:
            raise UserError(f'{acts.path}, line {number}: {len(given)} acts, and '
                            f'{len(words)} utterances in {said.path.name}')
    return found


def dailydialog(data_dir: Folder = None, cache_dir: Folder = None, check: bool = True,
                max_words: int | None = None, sentences: int | None = None,
                eval_sentences: int | None = None, vocab: int | None = None,
                turns: int = TURNS) -> Dataset:
    """DailyDialog: dialogues of learners' textbooks, two people in turn, with dialogue acts.

    The splits are the published ones, of 11,118 / 1,000 / 1,000 dialogues, and so is what they
    share: source.facts['source']['overlap'] says how many dialogues of valid and test stand in
    train word by word, and how many train repeats. None is removed. One dialogue of train, with
    fewer acts than utterances, is left out, see 'dropped' there. The files have no topics.
    Licence: CC BY-NC-SA 4.0, so not for commercial use.

    Args:
      data_dir: folder with dialogues_train.txt, dialogues_act_train.txt and the same of
        validation and test, or with a folder dailydialog of them.
      cache_dir: not needed.
      check: refuse files that are not the published ones, by their sha256; if false they are
        taken, and results never compared with published numbers.
      max_words: longer responses are dropped, in every split, and longer utterances of
        contexts cut.
      sentences: the first that many responses of train, after `max_words`.
      eval_sentences: the same for valid and for test.
      vocab: ids at most, special ones included; others are <unk>.
      turns: most utterances of a context, U.

    Returns:
      A `Dataset`, see `exchanges`; labels are inform, question, directive, commissive. Words
      are lower case, with marks and endings as words of their own.

    References:
      Li et al., DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset, 2017,
      arXiv:1710.03957.
    """
    limits = chosen(max_words, sentences, eval_sentences, vocab, turns)
    stems = {split: [f'dialogues_{s}.txt', f'dialogues_act_{s}.txt']
             for split, s in DAILY_SPLITS.items()}
    names = [name for pair in stems.values() for name in pair]
    files, other = gather('dailydialog', find('dailydialog', names, data_dir, 'dailydialog'),
                          names, check)
    parts = {split: _daily(*(files[n] for n in pair)) for split, pair in stems.items()}
    dropped = {s: len(files[stems[s][0]].lines) - len(parts[s]) for s in SPLITS}
    return corpus('dailydialog', parts, limits, {'dropped': dropped}, other)


def _spoken(path: pathlib.Path, number: int, line: Any) -> tuple[str, str, str]:
    """(speaker, text, act) of one of Switchboard's utterances."""
    shaped = isinstance(line, list) and len(line) in (2, 3) and all(
        isinstance(part, str) for part in line[:2])
    act = line[2] if shaped and len(line) == 3 else ''
    act = act[0] if isinstance(act, list) and act else act
    if not shaped or not isinstance(act, str):
        raise UserError(f'{path}, line {number}: an utterance is [speaker, text, [act, ...]], '
                        f'not {json.dumps(line)[:80]}')
    return line[0], line[1], act


def _switchboard(source: Lines) -> tuple[list[Dialogue], int]:
    """(dialogues, how many utterances without a word were left out)."""
    found, empty = [], 0
    for number, line in enumerate(source.lines, 1):
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            told = None
        said = told.get('utts') if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(said, list):
            raise UserError(f'{source.path}, line {number}: a dialogue as JSON is wanted, '
                            '{"topic": ..., "utts": [[speaker, text, [act, ...]], ...]}')
        spoken = [_spoken(source.path, number, u) for u in said]
        turns = [Turn(who, unframed(source.path, number, words), act) for who, text, act
                 in spoken if (words := re.findall(r'\w+|[^\w\s]+', text.lower()))]
        empty += len(said) - len(turns)
        found.append(Dialogue(turns, str(told.get('topic') or '').strip().strip('"')))
    return found, empty


def switchboard(data_dir: Folder = None, cache_dir: Folder = None, max_words: int | None = None,
                sentences: int | None = None, eval_sentences: int | None = None,
                vocab: int | None = None, turns: int = TURNS) -> Dataset:
    """Switchboard's telephone conversations, with topics and acts, in the form in which the
    authors of kgCVAE hand them out as text.

    Their other form is a pickle, which can run any code and is never opened here: whoever has
    that alone opens it where they trust it, and writes each of its dialogues as a line
    `json.dumps(dialogue)`. The conversations themselves are licensed by the LDC.

    Args:
      data_dir: folder with train.jsonl, valid.jsonl and test.jsonl, or with a folder
        switchboard or json_data of them: a dialogue in each line, {"topic": ..., "utts":
        [[speaker, text, [act, ...]], ...]}; further keys are not read.
      cache_dir: not needed.
      max_words, sentences, eval_sentences, vocab, turns: as in `dailydialog`.

    Returns:
      A `Dataset`, see `exchanges`. Words are as the authors' code makes them: lower case, runs
      of letters and runs of signs. Utterances without a word are left out, and counted in
      source.facts['source']['empty']. The first utterance of a dialogue is a response to
      nothing and no row; in the authors' code it answers a mark.

    References:
      Godfrey, Holliman, McDaniel, SWITCHBOARD: Telephone Speech Corpus for Research and
      Development, 1992.
      Zhao et al., Learning Discourse-level Diversity for Neural Dialog Models using Conditional
      Variational Autoencoders, 2017, arXiv:1703.10960.
    """
    limits = chosen(max_words, sentences, eval_sentences, vocab, turns)
    names = [f'{split}.jsonl' for split in SPLITS]
    folder = find('switchboard', names, data_dir, 'switchboard', 'json_data')
    files, _ = gather('', folder, names, False)
    read = {split: _switchboard(files[f'{split}.jsonl']) for split in SPLITS}
    return corpus('switchboard', {s: part for s, (part, _) in read.items()}, limits,
                  {'empty': {s: empty for s, (_, empty) in read.items()}})


OTHER, TOPIC = '|', '#'
"""Begin the lines of another valid response, and of a topic."""


def _blocks(source: Lines) -> list[list[tuple[int, str]]]:
    """The lines of each dialogue with their numbers; empty lines stand between dialogues."""
    found: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(source.lines, 1):
        if line.strip():
            found[-1].append((number, line))
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


def _turn(path: pathlib.Path, number: int, line: str) -> Turn:
    """The utterance of a line: speaker<TAB>words or speaker<TAB>act<TAB>words."""
    parts = [part.strip() for part in line.split('\t')]
    if len(parts) not in (2, 3) or not all(parts):
        raise UserError(f'{path}, line {number}: speaker<TAB>words is wanted, or '
                        'speaker<TAB>act<TAB>words')
    speaker, *act, words = parts
    return Turn(speaker, unframed(path, number, words.split()), *act)


def _talk(source: Lines, block: Sequence[tuple[int, str]], alternatives: bool) -> Dialogue:
    """The dialogue of some lines."""
    topic, turns = '', []
    for place, (number, line) in enumerate(block):
        if line.startswith(TOPIC) and '\t' not in line:
            topic = line[1:].strip()
            if place or not topic:
                raise UserError(f'{source.path}, line {number}: a topic, {TOPIC} and its name, '
                                'stands at the head of a dialogue')
            continue
        turn = _turn(source.path, number, line)
        if turn.speaker != OTHER:
            turns.append(turn)
        elif not alternatives or len(turns) < 2 or turn.act:
            raise UserError(f'{source.path}, line {number}: {OTHER}<TAB>words is what could '
                            'have been said as well as the line before it: in valid and test '
                            "alone, and never a dialogue's first utterance")
        else:
            turns[-1] = turns[-1]._replace(others=[*turns[-1].others, turn.words])
    return Dialogue(turns, topic)


def dialog_dir(data_dir: Folder = None, cache_dir: Folder = None, max_words: int | None = None,
               sentences: int | None = None, eval_sentences: int | None = None,
               vocab: int | None = None, turns: int = TURNS) -> Dataset:
    """Anybody's dialogues: one utterance a line, an empty line between dialogues.

    Args:
      data_dir: folder with train.txt, valid.txt and test.txt, utf-8. A line is
        speaker<TAB>words, or speaker<TAB>act<TAB>words in every file; words stand between
        spaces, and any number of people may speak. A line `# NAME` at the head of every
        dialogue names its topic. In valid and test, lines |<TAB>words after an utterance say
        what else would have been right in its place.
      cache_dir: not needed.
      max_words, sentences, eval_sentences, vocab, turns: as in `dailydialog`.

    Returns:
      A `Dataset`, see `exchanges`, with 'label', 'topic' and 'reference' where the files have
      them: the references of a response are itself and the others.

    Raises:
      UserError: a file is missing, or a line is not what it should be.
    """
    limits = chosen(max_words, sentences, eval_sentences, vocab, turns)
    names = {split: f'{split}.txt' for split in SPLITS}
    folder = find('dialog_dir', list(names.values()), data_dir)
    files, _ = gather('', folder, list(names.values()), False)
    parts: Mapping[str, list[Dialogue]] = {
        split: [_talk(files[name], block, split != 'train') for block in _blocks(files[name])]
        for split, name in names.items()}
    return corpus('dialog_dir', parts, limits)
