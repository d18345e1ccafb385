"""Corpora of dialogues: what is read, what a context is, what bad files say, and a grammar whose valid responses
are all known."""
import collections
import json

import numpy as np
import pytest
from test_datasets import real

from vaebench import datasets, schema
from vaebench.datasets import dialog_grammar, exchanges
from vaebench.datasets import grammar_words as w
from vaebench.errors import UserError


def said(tokens, length, vocab):
    """Sentences as text, for any leading shape; one of length 0 is None."""
    if np.ndim(length):
        return [said(t, n, vocab) for t, n in zip(tokens, length, strict=True)]
    return ' '.join(vocab[i] for i in tokens[1:length]) if length else None


def rows(d, split):
    """(turns as (text, speaker), response, act, topic, references or None) of every row."""
    c, vocab = d.splits[split], d.schema['tokens'].names
    names = lambda k, i: d.schema[k].names[c[k][i]] if k in c else None
    told = c['context']
    turns = said(told['tokens'], told['length'], vocab)
    answers = said(c['reference']['tokens'], c['reference']['length'], vocab) if 'reference' in c else None
    return [([(t, int(s)) for t, s in zip(turns[i][:n], told['speaker'][i], strict=False)], response,
             names('label', i), names('topic', i), answers and answers[i])
            for i, (n, response) in enumerate(zip(told['turns'], said(c['tokens'], c['length'], vocab), strict=True))]


def check_columns(d, turns, wanted):
    """What every dataset of dialogues has, and that padding is zeros."""
    fields = dict(schema.leaves(d.schema))
    for split, columns in d.splits.items():
        n = d.source.sizes[split]
        found = set(columns) - {'reference', 'log_p'}
        assert found == {'tokens', 'length', 'context', *wanted}
        told = columns['context']
        assert set(told) == {'tokens', 'length', 'speaker', 'turns'}
        assert told['tokens'].shape[:2] == told['length'].shape == told['speaker'].shape == (n, turns)
        for place, values in schema.flat(columns):
            assert len(values) == n and place in fields
            if fields[place].kind in ('tokens', 'class'):
                assert values.min() >= 0 and values.max() < fields[place].size == len(fields[place].names)
            if fields[place].kind == 'length':
                assert values.max() <= fields[place].size
        filled = np.arange(turns) < told['turns'][:, None]
        assert told['turns'].min() >= 1 and told['turns'].max() <= turns
        assert ((told['length'] > 0) == filled).all() and not told['speaker'][~filled].any()
        assert not told['tokens'][~filled].any() and set(np.unique(told['speaker'])) <= {0, 1}
        ends = np.take_along_axis(told['tokens'], told['length'][..., None], 2)[..., 0]
        assert (ends[filled] == 2).all() and (told['tokens'][..., 0][filled] == 1).all()
    json.dumps(d.source.facts)
    assert {'style_words', 'stop_words', 'exact'} <= set(d.truth)
    assert len(schema.select(d.splits['test'], [0])['context']['turns']) == 1


# A grammar

@pytest.fixture(scope='module')
def talk():
    return datasets.load('dialog', sentences=4000, eval_sentences=400)


def by_hand(turns):
    """Every valid response to a context, by string surgery of the tables of words."""
    (first, speaker), (last, _) = turns[0], turns[-1]
    table = lambda text: [[part.strip() for part in line.split('/')] for line in text.strip().splitlines()]
    (do, item), = {(do, t) for _, do, things in table(w.SUBJECTS_OF_TALK) for t in things.split() if t in first.split()}
    feeling, = [row for row in table(w.FEELINGS) if set(row[0].split()) & set(first.split())]
    detail, = [f'{at} {word}' for words, at in table(w.DETAILS) for word in words.split()
               if f'{at} {word}' in last]
    asked = last.endswith('?')
    _, may, aye, sure, good, like = feeling
    out = {}
    for act, form in table(w.RESPONSES['asked' if asked else 'told']):
        swap = {'MY': ('your', 'my')[speaker], 'ITEM': item, 'DO': do, 'DETAIL': detail, 'MAY': may, 'AYE': aye,
                'SURE': sure, 'GOOD': good, 'LIKE': like}
        out[' '.join(swap.get(word, word) for word in form.split())] = act
    return out


def test_the_references_are_exactly_the_valid_responses(talk):
    check_columns(talk, 4, ('label', 'topic'))
    assert talk.truth['exact'] is True and talk.source.sizes == {'train': 4000, 'valid': 400, 'test': 400}
    numbers = []
    for turns, response, act, _, answers in rows(talk, 'test'):
        valid = by_hand(turns)
        assert len(answers) == len(set(answers)) == 6 and set(answers) == set(valid)
        assert valid[response] == act
        numbers.append(answers.index(response))
    counts = np.bincount(numbers, minlength=6)
    assert ((counts - 400 / 6)**2 / (400 / 6)).sum() < 5 + 5 * np.sqrt(10)                 # a uniform draw
    np.testing.assert_allclose(talk.splits['test']['log_p'], -np.log(6), rtol=1e-6)
    assert talk.source.facts['source']['entropy'] == pytest.approx(np.log(6))
    for turns, response, act, topic, answers in rows(talk, 'train'):                       # by counting
        assert by_hand(turns)[response] == act and answers is None and topic in talk.schema['topic'].names


def test_a_response_depends_on_the_last_utterance_and_on_an_earlier_one(talk):
    """Of contexts that differ in one thing alone, no two sets of valid responses are the same."""
    made = dialog_grammar.Talk()
    factors = {k: v[:40] for k, v in made.opening.draw(40, [3]).items()}
    asked = np.arange(40) % 2 == 0

    def valid(changed, asked=asked):
        sets = [made.responses({**factors, **changed}, asked, np.full(40, k)) for k in range(6)]
        return [frozenset(map(tuple, row)) for row in zip(*sets, strict=True)]

    plain = valid({})
    for name in ('item', 'topic', 'feeling', 'owner', 'kind', 'detail'):
        other = (factors[name] + 1) % made.levels[name]
        assert all(a != b for a, b in zip(plain, valid({name: other}), strict=True)), name
    swapped = valid({}, ~asked)
    assert all(len(a & b) == 2 for a, b in zip(plain, swapped, strict=True))               # a question, or not
    assert valid({'verb': (factors['verb'] + 1) % 3}) == plain                             # words of one meaning
    acts = collections.defaultdict(set)
    for turns, _, act, *_ in rows(talk, 'train'):
        acts[turns[-1][0][-1]].add(act)
    assert acts == {'?': {'answer', 'question', 'statement'}, '.': {'question', 'statement'}}


def test_contexts_of_the_grammar(talk):
    """Turns between say nothing and are as likely by either; the last one is by the other."""
    counts, bits = collections.Counter(), []
    for turns, *_ in rows(talk, 'train'):
        counts[len(turns)] += 1
        assert turns[-1][1] == 0 and all(text in w.FILLERS for text, _ in turns[1:-1])
        bits += [s for _, s in turns[:-1]]
    assert set(counts) == {2, 3, 4} and max(counts.values()) - min(counts.values()) < 5 * np.sqrt(4000)
    assert abs(np.mean(bits) - .5) < 5 * .5 / np.sqrt(len(bits))


def test_draws_of_the_grammar():
    d, more = (datasets.load('dialog', sentences=n, eval_sentences=n // 8, turns=3) for n in (64, 128))
    for split in d.splits:
        assert rows(d, split) == rows(more, split)[:len(rows(d, split))]
    assert d.source == datasets.load('dialog', sentences=64, eval_sentences=8, turns=3).source
    assert d.source.sha256 != datasets.load('dialog', sentences=64, eval_sentences=8, turns=3, seed=1).source.sha256
    a, b = rows(d, 'valid'), rows(d, 'test')
    assert not any(x == y for x, y in zip(a, b, strict=True))
    for bad, message in (({'turns': 1}, 'turns=1'), ({'seed': -1}, 'seed=-1'), ({'sentences': 0}, 'sentences=0')):
        with pytest.raises(UserError, match=message):
            datasets.load('dialog', **bad)
    assert datasets.load('dialog', sentences=100, eval_sentences=10).source.sha256 == (
        '150a224408aec059b3afe0b599da1f4177c3990b5d95da55a69b757250e4f21f')


# Contexts

def test_exchanges_of_a_dialogue():
    turn = lambda who, words, act='': exchanges.Turn(who, words.split(), act)
    dialogue = exchanges.Dialogue([turn('a', 'one'), turn('b', 'two'), turn('b', 'three'), turn('a', 'four')])
    found = list(exchanges.exchanges(dialogue, exchanges.Names(), 2))
    assert [(' '.join(e.response), [' '.join(c) for c in e.context], e.speaker) for e in found] == [
        ('two', ['one'], [0]), ('three', ['one', 'two'], [0, 1]), ('four', ['two', 'three'], [0, 0])]


def put(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


# Users' own dialogues

OWN = '''# music
anna\task\tdo you play ?
ben\tsay\tyes , the flute
anna\tsay\tso do i

# food
ben\tsay\ti cook
anna\task\twhat do you cook ?
'''
HELD_OUT = '''# food
carl\task\tdo you cook ?
ben\tsay\tyes
|\tno , never
|\tthe flute
carl\tsay\toh no
'''


def own(path, train=OWN, valid=HELD_OUT, test=HELD_OUT, **options):
    put(path, **{'train.txt': train, 'valid.txt': valid, 'test.txt': test})
    return datasets.load('dialog_dir', path, **options)


def test_users_own_dialogues(tmp_path):
    d = own(tmp_path)
    check_columns(d, 10, ('label', 'topic'))
    assert d.schema['label'].names == ('ask', 'say') and d.schema['topic'].names == ('food', 'music')
    assert rows(d, 'train') == [
        ([('do you play ?', 0)], 'yes , the flute', 'say', 'music', None),
        ([('do you play ?', 1), ('yes , the flute', 0)], 'so do i', 'say', 'music', None),
        ([('i cook', 0)], 'what do you cook ?', 'ask', 'food', None)]
    assert rows(d, 'test') == [
        ([('do you cook ?', 0)], 'yes', 'say', 'food', ['yes', '<unk> , <unk>', 'the flute']),
        ([('do you cook ?', 1), ('yes', 0)], '<unk> <unk>', 'say', 'food', ['<unk> <unk>'] * 3)]
    assert d.truth['exact'] is False and not d.source.facts['reduced']
    facts = d.source.facts['source']
    assert facts['overlap'] == {'train': 0, 'valid': 0, 'test': 0} and facts['unknown']['sentences'] == 2 / 3
    plain = own(tmp_path, *['a\thi you\nb\thi\n\n\n\nb\tyou\nb\thi\n'] * 3)
    check_columns(plain, 10, ())
    assert rows(plain, 'test')[1] == ([('you', 1)], 'hi', None, None, None)
    assert plain.source.facts['source']['overlap'] == {'train': 0, 'valid': 2, 'test': 2}


def test_options(tmp_path):
    d = own(tmp_path, turns=1, max_words=4)
    assert d.splits['train']['context']['tokens'].shape[1] == 1 and d.source.facts['reduced']
    # what is too long is dropped as a response, and cut in a context
    assert rows(d, 'train') == [([('do you play ?', 0)], 'yes , the flute', 'say', 'music', None),
                                ([('yes , the flute', 0)], 'so do i', 'say', 'music', None)]
    short = own(tmp_path, max_words=3, sentences=1, eval_sentences=1)
    assert rows(short, 'train') == [([('do you play', 1), ('yes , the', 0)], 'so do i', 'say', 'music', None)]
    few = own(tmp_path, vocab=7)
    # the most frequent words of responses and the utterances before them, earlier ones first
    assert few.schema['tokens'].names == ('<pad>', '<s>', '</s>', '<unk>', 'do', 'you', '?')
    for bad, message in (({'turns': 0}, 'turns=0'), ({'max_words': 0}, 'max_words=0'),
                         ({'turn': 1}, "unknown option of dataset 'dialog_dir': 'turn'")):
        with pytest.raises(UserError, match=message):
            own(tmp_path, **bad)
    with pytest.raises(UserError, match='max_words=1 leaves no response in train'):
        own(tmp_path, max_words=1)


@pytest.mark.parametrize('files, message', [
    ({'train': 'a\thi\nwell\n'}, r'train.txt, line 2: speaker<TAB>words is wanted, or speaker<TAB>act<TAB>words'),
    ({'train': 'a\thi\nb\t\n'}, r'train.txt, line 2: speaker<TAB>words is wanted'),
    ({'train': 'a\thi\nb\t</s>\n'}, r'train.txt, line 2: holds </s>'),
    ({'train': 'a\thi\n# food\nb\thi\n'}, r'train.txt, line 2: a topic, # and its name, stands at the head'),
    ({'train': 'a\thi\nb\thi\n|\tho\n'}, r'train.txt, line 3: \|<TAB>words is what could have been said'),
    ({'test': 'a\thi\n|\tho\nb\thi\n'}, r'test.txt, line 2: \|<TAB>words is what could have been said'),
    ({'train': OWN + '\na\thi\nb\thi\n'}, 'act of some dialogues is given and of others not'),
    ({'train': OWN.replace('# food\n', '')}, 'topic of some dialogues is given and of others not'),
    ({'test': HELD_OUT.replace('carl\tsay', 'carl\tshout')}, "act 'shout' never occurs in train"),
    ({'train': 'a\thi\n\nb\tho\n', 'valid': 'a\thi\nb\thi\n', 'test': 'a\thi\nb\thi\n'},
     'dialog_dir: no dialogue of train has a second utterance'),
])
def test_faults_of_users_own_dialogues(tmp_path, files, message):
    with pytest.raises(UserError, match=message) as caught:
        own(tmp_path, **files)
    assert '\n' not in str(caught.value)


def test_a_missing_file(tmp_path):
    put(tmp_path, **{'train.txt': OWN})
    with pytest.raises(UserError, match="dataset 'dialog_dir' misses valid.txt"):
        datasets.load('dialog_dir', tmp_path)


# DailyDialog

DAILY = {'dialogues': "Say , Jim , isn't it late ? __eou__ It is.Let's go . __eou__ All right ! __eou__\n",
         'dialogues_act': '2 1 4 \n'}


def daily(path, **changed):
    files = {f'{stem}_{s}.txt': text for stem, text in (DAILY | changed).items()
             for s in ('train', 'validation', 'test')}
    put(path / 'dailydialog', **files)
    return datasets.load('dailydialog', path, check=False)


def test_files_of_dailydialog(tmp_path):
    d = daily(tmp_path)
    check_columns(d, 10, ('label',))
    assert rows(d, 'test') == [
        ([("say , jim , is n't it late ?", 0)], "it is . let 's go .", 'inform', None, None),
        ([("say , jim , is n't it late ?", 1), ("it is . let 's go .", 0)], 'all right !', 'commissive', None, None)]
    assert d.source.facts['reduced'] and d.source.facts['source']['overlap'] == {'train': 0, 'valid': 1, 'test': 1}
    with pytest.raises(UserError, match='dialogues_train.txt is not the published file: its sha256 is'):
        datasets.load('dailydialog', tmp_path)


@pytest.mark.parametrize('changed, message', [
    ({'dialogues_act': '2 1\n'}, 'dialogues_act_train.txt, line 1: 2 acts, and 3 utterances in dialogues_train.txt'),
    ({'dialogues_act': '2 1 5\n'}, "dialogues_act_train.txt, line 1: '5' is no act"),
    ({'dialogues_act': '2 1 4\n2 1\n'}, 'dialogues_act_train.txt has 2 lines and .* 1'),
    ({'dialogues': 'hi __eou__ ho\n', 'dialogues_act': '1 1\n'}, 'line 1: utterances are wanted, each followed by'),
    ({'dialogues': 'hi __eou__  __eou__\n', 'dialogues_act': '1 1\n'}, 'line 1: an utterance is empty'),
])
def test_faults_of_dailydialog(tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        daily(tmp_path, **changed)


@pytest.mark.slow
def test_the_published_dailydialog():
    d = datasets.load('dailydialog', real('dailydialog'), max_words=15, turns=4)
    check_columns(d, 4, ('label',))
    facts = d.source.facts['source']
    assert facts['dropped'] == {'train': 1, 'valid': 0, 'test': 0}
    assert facts['overlap'] == {'train': 691, 'valid': 88, 'test': 119}
    assert d.source.sizes == {'train': 51_137, 'valid': 4821, 'test': 4487}


# Switchboard

CALL = {'A': {'age': 47}, 'topic': '"MUSIC"', 'utts': [
    ['A', "You like it don't you", ['question', [0., 1.]]], ['A', '', ['statement', []]],
    ['B', 'uh-huh', ['backchannel', []]], ['A', 'Yeah', ['statement', []]]]}


def calls(path, train):
    other = json.dumps(CALL)
    put(path, **{'train.jsonl': train, 'valid.jsonl': other, 'test.jsonl': other})
    return datasets.load('switchboard', path)


def test_files_of_switchboard(tmp_path):
    d = calls(tmp_path, '\n'.join([json.dumps(CALL), json.dumps({**CALL, 'topic': 'PETS'})]) + '\n')
    check_columns(d, 10, ('label', 'topic'))
    assert d.schema['label'].names == ('backchannel', 'question', 'statement')
    assert d.schema['topic'].names == ('MUSIC', 'PETS')
    assert rows(d, 'train')[2:] == [
        ([("you like it don ' t you", 0)], 'uh - huh', 'backchannel', 'PETS', None),
        ([("you like it don ' t you", 1), ('uh - huh', 0)], 'yeah', 'statement', 'PETS', None)]
    assert d.source.facts['source']['empty'] == {'train': 2, 'valid': 1, 'test': 1}


@pytest.mark.parametrize('line, message', [
    ('(dp0', r'train.jsonl, line 1: a dialogue as JSON is wanted'),
    ('[1, 2]', r'train.jsonl, line 1: a dialogue as JSON is wanted'),
    ('{"topic": "PETS"}', r'train.jsonl, line 1: a dialogue as JSON is wanted'),
    ('{"utts": [["A", 3]]}', r'train.jsonl, line 1: an utterance is \[speaker, text, \[act, ...\]\], not \["A", 3\]'),
    ('{"utts": [["A", "hi", [3]]]}', r'train.jsonl, line 1: an utterance is'),
])
def test_faults_of_switchboard(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        calls(tmp_path, line)
