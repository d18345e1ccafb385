"""What changed between two result sets: paired differences, and what may not be compared."""
import numpy as np
import pytest
from scipy import stats
from test_results import fake, kept, metric

from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import compare, formats, statistics, tables

OLD = {'vae': (100., 101., 103.), 'fb': (98., 99., 99.), 'lm': (90., 91., 92.)}


def put(folder, *many):
    for result in many:
        results.write(folder, result)
    return folder


def change(result, **parts):
    """The result with parts of its fields replaced."""
    return {
        **result, **{k: result[k] | v if isinstance(v, dict) else v
                     for k, v in parts.items()}
    }


def write(folder, values, **parts):
    return put(
        folder,
        *(change(fake(row, seed, value, order=i), **parts)
          for i, (row, several) in enumerate(values.items())
          for seed, value in enumerate(several)))


def one(a, b, metrics=()):
    (found,), problems = compare.compare([a], [b], metrics)
    assert problems == []
    return found


def cells(found, name):
    return {r.row: r.cells[name] for r in found.rows}


def test_differences_are_paired(tmp_path):
    new = {'vae': (99., 99.5, 101.6), 'fb': (98.1, 98.7, 99.3), 'lm': OLD['lm']}
    found = one(write(tmp_path / 'a', new), write(tmp_path / 'b', OLD))
    assert [c.name for c in found.columns] == ['nll_iw A', 'nll_iw B', 'nll_iw A − B']
    assert [(c.unit, c.better) for c in found.columns] == [('nats/sentence', 'lower')] * 3
    for row, word in {'vae': 'better', 'fb': compare.NONE, 'lm': compare.SAME}.items():
        a, b, difference = (cells(found, c.name)[row] for c in found.columns)
        assert a.summary == statistics.summarise([new[row]])[0]
        assert b.summary == statistics.summarise([OLD[row]])[0]
        assert difference.text == word
        assert difference.seeds == {
            s: x - y for s, (x, y) in enumerate(zip(new[row], OLD[row], strict=True))}
        test = stats.ttest_rel(new[row], OLD[row])
        if row == 'lm':
            assert difference.summary == (0., 0., 0., 3)
        else:
            interval = test.confidence_interval(statistics.LEVEL)
            np.testing.assert_allclose(difference.summary,
                                       (np.mean(np.subtract(new[row], OLD[row])), *interval, 3))
    back = one(tmp_path / 'b', tmp_path / 'a')
    assert cells(back, 'nll_iw A − B')['vae'].text == 'worse'
    assert any(
        line == 'nll_iw: 1 better, 1 identical, 1 no difference shown.' for line in found.about)


DIRECTIONS = {'up': 'higher', 'down': 'lower', 'none': None}


def test_words_follow_the_direction(tmp_path):
    for side, shift in (('a', 1.), ('b', 0.)):
        put(
            tmp_path / side,
            *(fake(
                'vae', s, metrics={
                    name: metric(s + shift, better=better)
                    for name, better in DIRECTIONS.items()
                }) for s in range(3)))
    found = one(tmp_path / 'a', tmp_path / 'b')
    # those with a direction
    assert [c.name for c in found.columns if '−' in c.name] == ['up A − B', 'down A − B']
    named = one(tmp_path / 'a', tmp_path / 'b', ['none', 'up'])
    assert [c.name for c in named.columns if '−' in c.name] == ['none A − B', 'up A − B']
    words = {k: c.text for f in (found, named) for k, c in f.rows[0].cells.items() if '−' in k}
    assert words == {'up A − B': 'better', 'down A − B': 'worse', 'none A − B': 'higher'}
    with pytest.raises(UserError, match="unknown metric 'dwon'; did you mean 'down'"):
        compare.compare([tmp_path / 'a'], [tmp_path / 'b'], ['dwon'])


@pytest.mark.parametrize(('parts', 'reason'), [
    ({'dataset': {'sha256': 'f' * 64}
      }, 'A has other data (sha256 ffffffffffff) than B (0123456789ab)'),
    ({'dataset': {'split': 'valid'}}, 'A has other split (valid) than B (test)'),
    ({'dataset': {'sizes': {'test': 11}}
      }, 'A has other sizes ({"test":11}) than B ({"test":10})'),
    ({'config': {'epochs': 12}}, 'the protocol differs (B -> A): epochs: absent -> 12'),
    ({'config': {'optimizer': {'lr': 2, 'name': 'sgd'}}},
     'the protocol differs (B -> A): optimizer.lr: 1 -> 2, optimizer.name: "adam" -> "sgd"'),
    ({'config': {'kit': dict.fromkeys('abcde', 1)}},
     'the protocol differs (B -> A): kit.a: absent -> 1, kit.b: absent -> 1, kit.c: absent '
     '-> 1 and 2 more'),
    ({'parameters': kept('last')
      }, 'the protocol differs (B -> A): parameters evaluated: "best" -> "last"'),
    ({'method': 'other'}, 'the protocol differs (B -> A): method: "vae" -> "other"'),
])
def test_other_data_and_protocols_are_refused(tmp_path, parts, reason):
    plain = change(fake('vae'), config={'optimizer': {'lr': 1, 'name': 'adam'}})
    put(tmp_path / 'b', plain, fake('lm', order=1))
    put(tmp_path / 'a', change(plain, **parts),
        change(fake('lm', 0, 99., order=1), dataset=parts.get('dataset', {})))
    found = one(tmp_path / 'a', tmp_path / 'b')
    cell = cells(found, 'nll_iw A − B')['vae']
    assert (cell.text, cell.summary, cell.seeds) == (compare.REFUSED, None, {})
    assert found.notes[cell.notes[0] - 1] == f'VAE: {reason}'
    # shown, not merged
    assert cells(found, 'nll_iw A')['vae'].summary and cells(found, 'nll_iw B')['vae'].summary
    if 'dataset' not in parts:
        assert cells(found, 'nll_iw A − B')['lm'].summary.mean == -1.


def test_same_meaning_is_no_difference(tmp_path):
    """Other hashes, machines, evaluation settings and 1 for 1.0 change nothing; true for 1
    does.
    """
    config = {
        'epochs': 8, 'kit': {'beta': 1}, 'metrics': ['a'], 'group': 8,
        'evaluation': {'batch': 5}
    }
    put(tmp_path / 'b', change(fake('vae'), config=config))
    other = {
        **config, 'kit': {'beta': 1.0}, 'metrics': [], 'group': 1, 'evaluation': {'batch': 50}
    }
    put(tmp_path / 'a',
        change(fake('vae', config_hash='e' * 10, train_hash='d' * 10), config=other))
    assert cells(one(tmp_path / 'a', tmp_path / 'b'), 'nll_iw A − B')['vae'].summary.mean == 0.
    put(tmp_path / 'c', change(fake('vae'), config={**config, 'kit': {'beta': True}}))
    found = one(tmp_path / 'c', tmp_path / 'b')
    assert found.notes == ('VAE: the protocol differs (B -> A): kit.beta: 1 -> true',)


@pytest.mark.parametrize('changes', [
    {'estimator_id': 'exact', 'estimator': 'exact'}, {'n': 11}, {'samples': 50},
    {'unit': 'bits'}, {'better': 'higher'}])
def test_other_estimators_are_refused_by_cell(tmp_path, changes):
    for side, extra in (('a', changes), ('b', {})):
        put(
            tmp_path / side,
            *(fake('vae', s, metrics={'m': {**metric(1.), **extra}, 'other': metric(s + 1.)})
              for s in range(2)))
    found = one(tmp_path / 'a', tmp_path / 'b')
    cell = found.rows[0].cells['m A − B']
    assert cell.text == compare.REFUSED and cell.summary is None
    assert found.notes[cell.notes[0] - 1].startswith('m of VAE: estimators differ: ')
    assert found.rows[0].cells['other A − B'].summary.mean == 0.


def test_the_wording_of_an_estimator_refuses_nothing(tmp_path):
    for side, words in (('a', 'importance sampling'), ('b', 'importance weights')):
        put(tmp_path / side, *(fake('vae', s, metrics={'m': {**metric(1.), 'estimator': words}})
                               for s in range(2)))
    found = one(tmp_path / 'a', tmp_path / 'b')
    assert cells(found, 'm A − B')['vae'].text == compare.SAME and found.notes == ()


def test_rows_seeds_and_failures_of_one_side(tmp_path):
    put(tmp_path / 'a', fake('new'),
        fake('bad', order=1, status='failed', reason='kl is nan', metrics={}),
        *(fake('few', s, 100. + s, order=2) for s in (0, 1)),
        *(fake('other', s, 1. + s, order=3) for s in (0, 1, 2)))
    put(tmp_path / 'b', fake('old', order=9), fake('bad', order=1),
        *(fake('few', s, 100. + 2 * s, order=2) for s in (1, 2, 3)),
        *(fake('other', s, 2. + s, order=3) for s in (3, 4, 5, 6)))
    found = one(tmp_path / 'a', tmp_path / 'b')
    words = {k: c.text for k, c in cells(found, 'nll_iw A − B').items()}
    assert list(words) == ['new', 'bad', 'few', 'other', 'old']
    assert words['new'] == 'only in A' and words['old'] == 'only in B'
    assert words['bad'] == 'failed in A'
    assert cells(found, 'nll_iw A')['bad'].text == 'failed: kl is nan'
    few, other = cells(found, 'nll_iw A − B')['few'], cells(found, 'nll_iw A − B')['other']
    assert few.seeds == {1: -1.} and few.summary == (-1., None, None, 1)
    assert found.notes[few.notes[0] - 1] == 'nll_iw of FEW: A − B of the 1 seeds that both have'
    assert [r.seeds for r in found.rows] == [
        'A 1, B 0, both 0', 'A 0, B 1, both 0', 'A 2, B 3, both 1', 'A 3, B 4, both 0',
        'A 0, B 1, both 0'
    ]
    a, b = [1., 2., 3.], [5., 6., 7., 8.]
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(statistics.LEVEL)
    assert other.seeds == {} and other.text == 'better'
    np.testing.assert_allclose(other.summary, (-4.5, low, high, 3), rtol=1e-12)
    assert found.notes[other.notes[0] -
                       1] == 'nll_iw of OTHER: no seed in common, so unpaired (Welch)'


def test_unpaired_covers_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    inside = [
        (s.low <= 0 <= s.high)
        for s in (compare.unpaired(list(rng.normal(size=4)), list(rng.normal(scale=3., size=7)))
                  for _ in range(600))
    ]
    assert 0.93 < np.mean(inside) < 0.97


def test_warned_estimates_are_not_ranked(tmp_path):
    for side, shift in (('a', 5.), ('b', 0.)):
        put(
            tmp_path / side,
            *(fake('vae', s, metrics={'m': metric(s + shift, warning='weights degenerate')})
              for s in range(3)))
    cell = one(tmp_path / 'a', tmp_path / 'b').rows[0].cells['m A − B']
    assert cell.text == compare.UNRANKED and cell.warned and cell.summary.mean == 5.


def test_provenance_that_differs_is_named(tmp_path):
    git = {'revision': 'b' * 40, 'dirty': True}
    put(tmp_path / 'a', fake('vae', versions={'jax': '0.10.2', 'numpy': '2'}, git=git))
    put(
        tmp_path / 'b',
        fake('vae', device={'kind': 'H100', 'count': 2, 'platform': 'gpu'},
             versions={'jax': '0.9'}))
    about = one(tmp_path / 'a', tmp_path / 'b').about
    assert about[-4:] == (
        'Device: 2 x H100 in B, 1 x cpu (Toy CPU) in A.',
        'Revision: aaaaaaaaaa in B, bbbbbbbbbb with local changes in A.',
        'Version of jax: 0.9 in B, 0.10.2 in A.', 'Version of numpy: none in B, 2 in A.')
    assert one(
        tmp_path / 'a',
        tmp_path / 'a').about[-1] == 'The same versions, devices and revisions in A and B.'


def test_tables_of_one_side_and_left_out_files_are_named(tmp_path):
    put(tmp_path / 'a', fake('vae'), fake('x', table='mine'))
    put(tmp_path / 'b', fake('vae'), fake('y', table='theirs'))
    (tmp_path / 'b' / 'junk.json').write_text('{')
    found, problems = compare.compare([tmp_path / 'a'], [tmp_path / 'b'])
    assert [t.table for t in found] == ['toy'] and len(problems) == 3
    assert str(tmp_path / 'b' / 'junk.json') in problems[0]
    assert problems[1:] == ["table 'mine': only in --results, so nothing is compared",
                            "table 'theirs': only in --against, so nothing is compared"]
    put(tmp_path / 'c', fake('y', table='theirs'))
    with pytest.raises(
            UserError,
            match='no table in common: --results has mine, toy, --against has theirs'):
        compare.compare([tmp_path / 'a'], [tmp_path / 'c'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='no results in .*empty, named by --against'):
        compare.compare([tmp_path / 'a'], [tmp_path / 'empty'])


def test_every_format_shows_it(tmp_path):
    new = {'vae': (99., 99.5, 101.6), 'fb': (98.1, 98.7, 99.3), 'late': (1.,)}
    found = [one(write(tmp_path / 'a', new), write(tmp_path / 'b', OLD))]
    assert formats.read_json(formats.to_json(found)) == found
    for form, function in formats.FORMATS.items():
        text = function(found)
        assert 'better' in text and 'only in A' in text, form
        assert 'steps' not in text.replace('"steps": null', ''), form
    assert '| -1.30 <sub>[-1.96, -0.64] better</sub> |' in formats.to_markdown(found)


def test_a_config_nested_deep_is_compared(tmp_path):
    deep = {}
    for _ in range(400):
        deep = {'x': deep}
    put(tmp_path / 'a', change(fake('vae'), config={'kit': deep}))
    put(tmp_path / 'b', fake('vae'))
    assert one(
        tmp_path / 'a',
        tmp_path / 'b').notes[0].startswith('VAE: the protocol differs (B -> A): kit.x.x.x')


def test_two_settings_are_not_compared(tmp_path):
    put(tmp_path / 'a', fake('vae'), fake('vae', config={'lr': 1}, config_hash='f' * 10))
    put(tmp_path / 'b', fake('vae'))
    (found,), problems = compare.compare([tmp_path / 'a'], [tmp_path / 'b'])
    assert len(problems) == 1 and 'two settings' in problems[0]
    assert found.columns == () and isinstance(found, tables.Table)
