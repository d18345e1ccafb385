"""Ids of estimators, and results of the first schema rewritten into the present one."""
import collections
import json
import re

import msgspec
import pytest
from test_results import COMMITTED, fake, metric

from vaebench.errors import UserError
from vaebench.experiment import convert, estimators, results

# tables that never were of the first schema
NEWER = ('sprites-small', 'decompositions-small', 'two-style', 'yelp-resplit-small', 'nbody-small',
         'dialog-small', 'simplify', 'rotmnist-small')


@pytest.fixture(scope='module')
def committed():
    """Every committed result of the tables that the first schema had."""
    return [r for d in sorted({p.parent for p in COMMITTED.glob('*/*.json')})
            if d.name not in NEWER for r in results.read_all(d)[0]]


def old(result):
    """A result as the first schema has it."""
    raw = json.loads(results.dumped(result))
    wish = 'best' if any(p['kept'] == 'best' for p in raw['parameters']) else 'last'
    for m in raw['metrics'].values():
        for name in ('estimator_id', *LATER):
            m.pop(name, None)
    return {**raw, 'schema': 1, 'parameters': wish}


LATER = 'least', 'most'
"""Fields of a metric that no conversion knows."""


def bare(result):
    """A result without what no conversion knows."""
    raw = json.loads(results.dumped(result))
    for part, names in [*((p, ['by']) for p in raw['parameters']),
                        *((m, LATER) for m in raw['metrics'].values())]:
        for name in names:
            part.pop(name, None)
    return results.checked(raw)


def write(folder, *many):
    """Files of the first schema."""
    folder.mkdir(parents=True, exist_ok=True)
    for raw in many:
        name = f'{raw["row"]}.s{raw["seed"]}.{raw["config_hash"]}.json'
        (folder / name).write_text(json.dumps(raw))
    return folder


# Estimators


def test_committed_ids_are_those_of_their_sentences(committed):
    for m in (m for r in committed for m in r.metrics.values()):
        assert m.estimator_id == estimators.identify(m.estimator)
        assert re.fullmatch(r'[a-z0-9_.-]+(:[a-z0-9_.-]+)*', m.estimator_id), m.estimator_id


def test_ids_set_apart_what_sentences_set_apart(committed):
    """Of every metric the same values rank together by ids as by sentences."""
    by_id, by_sentence = collections.defaultdict(set), collections.defaultdict(set)
    for r in committed:
        for name, m in r.metrics.items():
            rest = m.unit, m.better, m.n, m.samples
            sentence = m.estimator.replace(', mean decoding', '')       # not always said
            by_id[name, m.estimator_id, *rest].add(sentence)
            by_sentence[name, sentence, *rest].add(m.estimator_id)
    assert {len(v) for v in by_id.values()} == {len(v) for v in by_sentence.values()} == {1}


SENTENCES = [
    ('importance sampling, S=5', 'iw'),
    ('exp(sum nll / sum T), T with </s>; nll: importance sampling, S=500', 'ppl:iw'),
    ('1 sample; bernoulli decoder, no normalised likelihood of grey levels',
     'one-sample:bernoulli-grey'),
    ('great circles of posterior means, 10 points, 7 fixed pairs of the split, mean decoding',
     'circles-10:pairs-7'),
    ('corpus BLEU-4, beam decodings of posterior means', 'bleu-4:beam'),
    ('unigrams of beam-search decodings of 20 prior draws, </s> excluded', 'unigrams:beam-20'),
    ("Frechet distance of fitted normal laws, in features of the suite's classifier 0123abcd, "
     'accuracy nan%', 'frechet:features-0123abcd'),
    ('held-out accuracy of a forest of 100 trees, in 64 principal components of training '
     'pixels, 95.1% of their variance', 'forest-100:components-64-95.1'),
    ('Frechet distance of fitted normal laws, in pixels; real against real: validation data',
     'frechet:pixels:valid'),
]


@pytest.mark.parametrize(('sentence', 'name'), SENTENCES)
def test_ids_of_sentences(sentence, name):
    assert estimators.identify(sentence) == name == estimators.known(sentence)


@pytest.mark.parametrize('sentence', [
    '', 'mean', 'exact ', 'importance sampling, S=x', 'paired with exact ln p*(x); nll: guess',
    'frobenius, in pixels', 'Frechet distance of fitted normal laws, in dreams',
    '1 sample; decoder'])
def test_an_unknown_sentence_has_no_id(sentence):
    assert estimators.known(sentence) is None
    with pytest.raises(UserError, match='unknown estimator .*; add a rule'):
        estimators.identify(sentence)


# Results


def test_committed_results_are_converted_as_they_were(committed):
    """A result of every row of every table, back to the first schema and forth again."""
    rows = {(r.table, r.row): r for r in committed}
    some = [r for i, r in enumerate(rows.values()) if i % 8 == 0 or len(r.parameters) != 1]
    assert {r.row for r in some} >= {'source', 'pca', 'lagging', 'ae_gmm', 'davam', 'gmmn_ae'}
    for result in some:
        assert convert.convert(old(result)) == bare(result)


@pytest.mark.parametrize(('table', 'row', 'wish', 'kept'), [
    ('text', 'source', 'best', []), ('text', 'vae', 'best', [('main', 'best')]),
    ('text', 'vae', 'last', [('main', 'last')]),
    ('synthetic', 'lagging', 'best', [('aggressive', 'last'), ('joint', 'best')]),
    ('synthetic', 'pre_ae_fb_8', 'best', [('ae', 'best'), ('main', 'best')]),
    ('text', 'lstm_lm', 'best', [('main', 'best')]),
    ('images', 'gan', 'best', [('main', 'last')]),              # nothing to choose by
    ('digits', 'ae_gmm', 'best', [('ae', 'best'), ('mixture', 'last')]),
    ('swiss_roll', 'tsne', 'best', [])])
def test_what_was_kept(committed, table, row, wish, kept):
    result = next(r for r in committed if (r.table, r.row) == (table, row))
    new = convert.convert({**old(result), 'parameters': wish})
    assert [(p.phase, p.kept) for p in new.parameters] == kept


def test_a_method_of_a_package_that_is_not_there_keeps_what_was_asked_for(committed):
    raw = old(next(r for r in committed if r.row == 'vae'))
    raw['config']['method'] = raw['method'] = 'theirs'
    assert [p.kept for p in convert.convert(raw).parameters] == ['best']


def test_a_folder_is_converted_once(tmp_path, committed, capsys):
    mine = [r for r in committed if r.table == 'text' and r.row in ('vae', 'source', 'fb')]
    write(tmp_path / 'work' / 'results', *map(old, mine))
    rows = [{'row': r.row, 'label': r.label, 'order': r.order, 'hash': r.config_hash}
            for r in mine[::2]]
    results.write_manifest(tmp_path / 'work', {'tables': [
        {'table': 'text', 'title': 'T', 'rows': rows}]})
    assert results.read_all(tmp_path / 'work' / 'results')[0] == []
    assert convert.main([str(tmp_path / 'work')]) == 0
    said = capsys.readouterr().out
    assert said == f'{tmp_path / "work"}: {len(mine) + 1} files written anew\n'
    assert results.read_all(tmp_path / 'work' / 'results') == (list(map(bare, mine)), [])
    table, = results.read_manifest(tmp_path / 'work').tables
    assert (table.primary, table.baseline) == ('nll_iw', 'vae') and len(table.rows) == len(rows)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.json')}
    assert convert.convert_folder(tmp_path / 'work') == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.json')} == before


def test_what_cannot_be_converted_is_named_and_nothing_is_written(tmp_path, committed, capsys):
    good = old(next(r for r in committed if r.row == 'source'))
    folder = write(tmp_path / 'a', good)
    name = next(folder.iterdir()).name
    guess = {k: v for k, v in metric(1., 'guess').items() if k != 'estimator_id'}
    for i, (wrong, message) in enumerate([
            ({'metrics': {'m': guess}}, "unknown estimator 'guess'"),
            ({'steps': 1.5}, "field 'steps': expected `int`"),
            ({'metrics': 3}, 'not a result of schema 1'),
            ({'colour': 'red'}, "field 'colour' is unknown"),
            ({'schema': 7}, 'schema 7 is not 2')]):
        write(folder, {**good, **wrong, 'row': f'z{i}'})
        bad = next(folder.glob(f'z{i}.*'))
        assert convert.main([str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f'convert: {bad}: ') and message in said
        assert said.count('\n') == 1
        assert json.loads((folder / name).read_text())['schema'] == 1
        bad.unlink()
    (folder / 'junk.json').write_text('{')
    assert convert.main([str(folder)]) == 2 and 'not valid JSON' in capsys.readouterr().err
    assert convert.main([str(tmp_path / 'nowhere')]) == 2
    assert 'no such folder' in capsys.readouterr().err


def test_primary_is_what_most_rows_have():
    def table(*rows):
        made = [results.checked(fake(row, order=i, metrics=m))
                for i, (row, m) in enumerate(rows)]
        plan = {'table': 'toy', 'title': 'T', 'rows': [
            {'row': r.row, 'label': 'x', 'order': 0, 'hash': r.config_hash} for r in made]}
        return convert.primary(msgspec.convert(plan, convert.ManifestTable), made)

    nll, mse, exact = metric(1., 'iw'), metric(1., 'decoded'), metric(1., 'exact')
    assert table(('vae', {'nll_iw': nll, 'mse': mse}), ('b', {'nll_iw': nll})) == 'nll_iw'
    assert table(('vae', {'nll_iw': nll, 'mse': mse}), ('b', {'mse': mse})) == 'mse'
    # Another estimator's do not count.
    assert table(('vae', {'nll_iw': nll, 'mse': mse}), ('b', {'nll_iw': exact, 'mse': mse}),
                 ('c', {'nll_iw': exact})) == 'mse'
    warned = {**nll, 'warning': 'degenerate'}
    assert table(('vae', {'nll_iw': warned, 'mse': mse}), ('b', {'nll_iw': warned})) == 'mse'
    # Without the baseline, those of any one estimator do.
    assert table(('b', {'w2': mse}), ('c', {'w2': mse}), ('d', {'nll_iw': nll})) == 'w2'
    assert table(('vae', {'kl': mse})) is None
