"""Ranks, what cannot be told apart in words, and footnotes that would drown a table."""
import pathlib

import pytest
from test_report import put
from test_report_boards import made, planned
from test_results import fake, metric

from vaebench import report
from vaebench.report import formats, ranks, statistics, tables
from vaebench.report.formats import footnotes

COMMITTED = pathlib.Path(__file__).parent.parent / 'benchmarks' / 'results'
THREE = {'vae': {'nll_iw': [1., 2., 3.]}, 'fb': {'nll_iw': [1.5, 1.9, 3.2]},
         'bn_vae': {'nll_iw': [9., 9.1, 9.2]}, 'lm': {'nll_iw': [9.1, 9., 9.3]},
         'iwae': {'nll_iw': [20., 20.1, 20.2]}}


def test_rows_that_cannot_be_told_apart_share_a_rank(tmp_path):
    table = made(tmp_path, THREE)
    assert ranks.ranks(table) == {'vae': (1, 2), 'fb': (1, 2), 'bn_vae': (3, 4), 'lm': (3, 4),
                                  'iwae': (5, 5)}


def test_ranks_by_brute_force():
    """Every group is the tie group of the best that is left; ranks are counted without a gap."""
    found, _ = tables.collect([COMMITTED / 'quickstart'], style='ranked')
    for table in found:
        places, name = ranks.ranks(table), table.primary
        column = next(c for c in table.columns if c.name == name)
        assert len(places) > 3 and column.better in ('lower', 'higher')
        cells = {row.row: row.cells[name] for row in table.rows if row.row in places}
        groups = [[row for row in cells if places[row] == ends]
                  for ends in sorted(set(places.values()))]
        assert [place for ends in sorted(set(places.values()))
                for place in range(ends[0], ends[1] + 1)] == list(range(1, len(cells) + 1))
        left = [row for group in groups for row in group]
        for group in groups:
            tied = statistics.ties([cells[row].seeds for row in left], column.better)
            assert [row for row, same in zip(left, tied, strict=True) if same] == group
            left = left[len(group):]
        assert [row for row in cells if cells[row].best] == groups[0]      # bold
        for row in table.rows:
            aside = row.why or 'floor' in row.remark or row.cells[name].warned
            assert not (aside and row.row in places), row.row


def test_what_is_never_best_has_no_rank(tmp_path):
    other = {'nll_iw': [metric(1., 'exact'), metric(1.1, 'exact'), metric(1., 'exact')]}
    table = made(tmp_path, {
        **THREE, 'collapsed': {'nll_iw': [.1, .1, .1], 'kl': [0., 0., 0.]},
        'once': {'nll_iw': [.5]}, 'exact': other,
        'warned': {'nll_iw': [metric(.1, warning='odd')] * 3}})
    assert set(ranks.ranks(table)) == set(THREE)
    assert min(ranks.ranks(table).values()) == (1, 2)


@pytest.mark.parametrize('primary', [None, 'precision', 'kl'])
def test_without_a_metric_that_ranks_there_are_no_ranks(tmp_path, primary):
    rows = {r: {'precision': [metric(x, better='higher')] * 2,
                'kl': [metric(x, better=None)] * 2} for r, x in (('vae', 1.), ('fb', 1.))}
    table = made(tmp_path, rows, primary=primary)
    assert ranks.ranks(table) == {} and ranks.undecided(table) == ''
    assert 'told apart' not in report.render([tmp_path])[0]


def test_the_top_in_words(tmp_path):
    table = made(tmp_path, THREE)
    said = ('By nll_iw the best 2 of the 5 ranked rows cannot be told apart with 3 seeds: '
            'VAE and FB.')
    assert ranks.undecided(table) == said
    assert said in report.render([tmp_path], width=200)[0].split('\n')
    for form in 'markdown', 'latex':
        plain = report.render([tmp_path], form)[0].replace('\\_', '_')
        assert said in plain.replace('\\allowbreak{}', ''), form
    assert max(map(len, report.render([tmp_path], width=60)[0].split('\n'))) <= 60
    assert said in formats.to_compact([table]).split('\n')
    # the first of the best is not among the rows, or the metric not among the columns
    assert ranks.undecided(table._replace(rows=table.rows[1:])) == ''
    assert ranks.undecided(tables.collect([tmp_path], ['kl'], 'board')[0][0]
                           if 'kl' in table.more else table._replace(primary='kl')) == ''


def test_a_clear_winner_needs_no_words(tmp_path):
    table = made(tmp_path, {'vae': {'nll_iw': [1., 1.1, 1.2]}, 'fb': {'nll_iw': [2., 2.1, 2.2]}})
    assert ranks.ranks(table) == {'vae': (1, 1), 'fb': (2, 2)} and ranks.undecided(table) == ''


def test_many_ties_are_counted_and_seeds_may_differ(tmp_path):
    rows = {f'r{i}': {'nll_iw': [1., 2., 3.][:2 + (i > 0)]} for i in range(9)}
    for order, (row, own) in enumerate(rows.items()):
        put(tmp_path, *(fake(row, s, v, order=order) for s, v in enumerate(own['nll_iw'])))
    (table,), _ = tables.collect([planned(tmp_path)], style='board')
    assert ranks.undecided(table._replace(rows=table.rows)).startswith('By nll_iw the best ')
    said = ranks.undecided(table)
    assert 'with 2 to 3 seeds: ' in said and said.endswith(' and 4 more.')


# Footnotes


def noted(folder, count, text='right {} of {}.5e-3, wrong -{}'):
    """A table of rows whose cells have a note of one wording, the last also one of its own."""
    rows = {f'r{i}': {'m': [metric(float(i), note=text.format(i, i, i))],
                      'n': [metric(1., note=f'about row {"abcdefghijklmnopqrst"[i]}')]}
            for i in range(count)}
    return made(folder, rows, primary='m')


def test_footnotes_that_differ_in_numbers_alone_are_left_out(tmp_path):
    count = footnotes.MANY + 1
    table = noted(tmp_path, count)
    thin, (line,) = footnotes.thinned(table)
    assert line.startswith(f'm: {count} notes that differ in numbers alone, such as "right 0 of 0')
    assert thin.notes == tuple(note for note in table.notes if note.startswith('about'))
    assert all(row.cells['m'].notes == () for row in thin.rows)
    for row in thin.rows:                     # what is left refers to the same words as before
        old = next(r for r in table.rows if r.row == row.row)
        assert {thin.notes[i - 1] for i in row.cells['n'].notes} == {
            table.notes[i - 1] for i in old.cells['n'].notes}
    for form in 'terminal', 'markdown', 'latex':
        text = report.render([tmp_path], form)[0].replace('{}', '')
        assert 'right 1 of' not in text and '--format=json' in text and 'about row c' in text
    assert report.render([tmp_path], 'json')[0].count('wrong -') == count


def test_a_dozen_footnotes_stay(tmp_path):
    table = noted(tmp_path, footnotes.MANY)
    assert footnotes.thinned(table) == (table, [])


def test_footnotes_of_a_committed_table_are_fewer():
    found, _ = tables.collect([COMMITTED / 'two-style'], style='board')
    for table in found:
        text = formats.to_terminal([table], width=100)
        assert max(map(len, text.splitlines())) <= 100
        thin, lines = footnotes.thinned(table)
        assert sum(line[:1] == '[' for line in text.splitlines()) <= len(thin.notes)
        assert (len(thin.notes) < len(table.notes)) == bool(lines)
    assert any(footnotes.thinned(table)[1] for table in found)
