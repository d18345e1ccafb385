"""What readers see first: the best rows on top, words for those that say little, no number folded."""
import pathlib
import re

import pytest
from test_report import call, put, row_of, toy
from test_results import fake, metric

from vaebench import report
from vaebench.experiment import columns, families, results
from vaebench.report import cli, formats, tables, verdicts
from vaebench.report.formats import grid

COMMITTED = pathlib.Path(__file__).parent.parent / 'benchmarks' / 'results'


def planned(folder, primary='nll_iw', baseline='vae', **more):
    """The folder with a manifest of its results."""
    made = {}
    for r in reversed(results.read_all(folder)[0]):
        table = made.setdefault(r.table, {'table': r.table, 'title': r.title, 'rows': {},
                                          'primary': primary, 'baseline': baseline, **more})
        table['rows'][r.row] = {'row': r.row, 'label': r.label, 'order': r.order,
                                'hash': r.config_hash}
    results.write_manifest(folder, {'tables': [
        {**table, 'rows': list(table['rows'].values())} for table in made.values()]})
    return folder


def made(folder, rows, **plan):
    """A table of {row: {metric: values by seed, or records}}, and its manifest."""
    for order, (row, own) in enumerate(rows.items()):
        for seed in range(max(map(len, own.values()))):
            records = {m: v[seed] if isinstance(v[seed], dict) else metric(v[seed])
                       for m, v in own.items()}
            put(folder, fake(row, seed, order=order, metrics=records))
    planned(folder, **plan)
    (table,), problems = tables.collect([folder], style='board')
    assert problems == []
    return table


def names(table):
    return [row.row for row in table.rows]


# Order, columns, marks


def test_rows_are_ranked_by_the_primary_metric(tmp_path):
    table = made(tmp_path, {'vae': {'nll_iw': [3.]}, 'lm': {'kl': [1.]}, 'fb': {'nll_iw': [1.]},
                            'bn_vae': {'nll_iw': [2.]}})
    assert names(table) == ['fb', 'bn_vae', 'vae', 'lm']
    assert [c.name for c in table.columns] == ['nll_iw', 'kl']
    assert [row.remark for row in table.rows] == ['', '', 'baseline', '']
    assert [row.family for row in table.rows] == ['free bits', 'posterior', 'plain', '']
    higher = lambda x: [metric(x, better='higher')]
    other = made(tmp_path / 'b', {'vae': {'m': higher(1.)}, 'fb': {'m': higher(2.)}},
                 primary='m')
    assert names(other) == ['fb', 'vae']


def test_what_is_not_ranked_stands_below(tmp_path):
    table = made(tmp_path, {
        'failed': {'nll_iw': [metric(float('nan'))]}, 'warned': {'nll_iw': [metric(.5, warning='odd')]},
        'few': {'nll_iw': [1.], 'ess': [metric(4., samples=500)]}, 'vae': {'nll_iw': [3.]}})
    assert names(table)[0] == 'vae' and set(names(table)[1:3]) == {'warned', 'few'}
    assert [r.remark for r in table.rows if r.row in ('few', 'failed')] == [
        'weights degenerate', 'diverged']


def test_rows_without_a_primary_metric_stay_as_the_config_has_them(tmp_path):
    toy(tmp_path)
    (table,), _ = tables.collect([tmp_path], style='board')
    assert names(table) == ['lm', 'vae', 'fb']


def test_a_board_has_few_columns_and_names_the_others(tmp_path):
    every = ('elbo', 'rec', 'kl', 'mi_full', 'au', 'cu', 'ess', 'nll_iw', 'mse')
    table = made(tmp_path, {'vae': {m: [5.] for m in every}, 'fb': {m: [6.] for m in every}},
                 primary='elbo')
    shown = [c.name for c in table.columns]
    assert shown == ['elbo', 'nll_iw', 'kl', 'mi_full', 'au'] and len(shown) == columns.SHOWN
    assert set(table.more) == set(every) - set(shown)
    text = report.render([tmp_path])[0]
    assert 'More with --columns=all: ' in text and 'steps' not in text
    whole = report.render([tmp_path], metrics=['all'])[0]
    assert all(m in whole for m in (*every, 'steps', 'parameters'))
    named = report.render([tmp_path], 'markdown', metrics=['cu', 'rec'])[0]
    assert '| cu (nats/sentence) ↓ | rec (nats/sentence) ↓ | seeds |' in named


def test_a_config_that_names_few_columns_decides(tmp_path):
    every = ('elbo', 'rec', 'kl', 'mi_full', 'au', 'cu', 'ess', 'nll_iw')
    table = made(tmp_path, {'vae': {m: [5.] for m in every}}, columns=['cu', 'ess', 'elbo'])
    assert [c.name for c in table.columns] == ['cu', 'ess', 'elbo']


def test_a_row_of_what_real_data_have(tmp_path):
    row = lambda x: {'frechet': [metric(x)], 'frechet_floor': [metric(8., better=None)]}
    table = made(tmp_path, {'vae': row(30.5), 'gan': row(20.)}, primary='frechet')
    assert names(table) == [tables.DATA, 'gan', 'vae'] and [c.name for c in table.columns] == ['frechet']
    floor, best = table.rows[0], table.rows[1]
    assert floor.remark == 'floor' and floor.cells['frechet'].summary.mean == 8.
    assert not floor.cells['frechet'].best and best.cells['frechet'].best
    text = report.render([tmp_path], 'markdown')[0]
    assert '| real data <sub>floor</sub> | — | 8.00† |' in text
    # A column of floors that is asked for stands for itself.
    named, _ = tables.collect([tmp_path], ['frechet', 'frechet_floor'], 'ranked')
    assert names(named[0]) == ['gan', 'vae']


def test_every_method_has_a_family():
    from vaebench.methods import METHODS
    named = [m for methods in families.FAMILIES.values() for m in methods.split()]
    assert sorted(named) == sorted(METHODS)
    assert max(map(len, families.FAMILIES)) <= 12
    assert families.family('theirs') == ''


def test_telling_columns_are_metrics():
    from vaebench.metrics import METRICS
    assert set(columns.TELLING) | columns.UNRANKED | set(columns.IDEAL) <= set(METRICS)
    assert {s.metric for s in columns.SIGNS} <= set(METRICS)
    for name, m in METRICS.items():
        least, most = m.bounds
        assert name.endswith(columns.FLOOR) <= (name.removesuffix(columns.FLOOR) in METRICS)
        if m.unit in ('%', 'share', 'p value', 'F1', 'BLEU', 'BLEU x 100', '|Spearman|'):
            assert least == 0. and most in (1., 100.), name
        assert name not in columns.IDEAL or least < columns.IDEAL[name] < most


@pytest.mark.parametrize('folder', ['quickstart', 'synthetic', 'ptb-small', 'images-quick',
                                    'mnist-small'])
def test_boards_of_committed_results(folder):
    found, problems = tables.collect([COMMITTED / folder], style='board')
    assert problems == []
    for table in found:
        assert 0 < len(table.columns) <= 6 and table.columns[0].name == table.primary
        assert sum('baseline' in row.remark for row in table.rows) == 1
        for row in table.rows:
            aside = row.why or 'floor' in row.remark
            assert not (aside and any(c.best for c in row.cells.values())), row.row
        own = [(row.remark, row.cells[table.primary]) for row in table.rows]
        means = [cell.summary.mean for remark, cell in own if cell.summary and not cell.warned
                 and remark.split(', ')[-1] not in ('diverged', 'weights degenerate')]
        assert means == sorted(means, reverse=table.columns[0].better == 'higher')


# Words


def judged(primary='nll_iw', **metrics):
    result = results.checked(fake(metrics={k: v if isinstance(v, dict) else metric(v)
                                           for k, v in metrics.items()}))
    return verdicts.verdict([result], primary)


@pytest.mark.parametrize(('metrics', 'word'), [
    ({'kl': .01}, 'collapsed'), ({'kl': .2}, ''), ({'au': 0.}, 'collapsed'), ({'au': 1.}, ''),
    ({'kl': 5., 'au': 0.}, 'collapsed'), ({'recall': 0.}, 'collapsed'), ({'recall': .2}, ''),
    ({'modes_any': 1.}, 'collapsed'), ({'modes_any': 3.}, ''), ({'class_score': 1.001}, 'collapsed'),
    ({'ess': metric(4., samples=500)}, 'weights degenerate'),
    ({'ess': metric(40., samples=500)}, ''), ({'ess': metric(4., samples=10)}, ''),
    ({'ess': metric(40., samples=500, warning='degenerate')}, 'weights degenerate'),
    ({'nll_iw': float('nan'), 'kl': 3.}, 'diverged'), ({'nll_iw': 3.}, ''), ({}, ''),
    # a number that the table is not read by may be undefined
    ({'path_ratio': float('nan'), 'nll_iw': 3.}, '')])
def test_the_word_of_a_row_follows_from_its_metrics(metrics, word):
    said = judged(**metrics)
    assert said.word == word and bool(said.why) == bool(word)


def test_weights_say_nothing_of_what_they_do_not_estimate():
    few = metric(2., samples=50)
    assert judged('frechet', ess=few).word == '' and judged(None, ess=few).word != ''


def test_a_row_with_a_word_is_never_bold(tmp_path):
    rows = {'vae': {'nll_iw': [1., 1.1], 'kl': [0., .01]}, 'fb': {'nll_iw': [2., 2.1], 'kl': [3., 3.]},
            'bn_vae': {'nll_iw': [5., 5.1], 'kl': [3., 3.]}}
    table = made(tmp_path, rows)
    assert names(table) == ['vae', 'fb', 'bn_vae']            # it keeps its place ...
    assert [r.cells['nll_iw'].best for r in table.rows] == [False, True, False]
    assert table.rows[0].remark == 'baseline, collapsed'
    text = report.render([tmp_path], 'markdown')[0]
    assert 'Collapsed: KL at most 0.05 nats.' in text and '**1.05**' not in text


def test_a_failed_seed_is_said_beside_the_row(tmp_path):
    put(tmp_path, fake('vae', 0), fake('vae', 1, status='failed', reason='kl is nan', metrics={}),
        fake('fb', 0, 101., order=1), fake('fb', 1, 101., order=1), fake('lm', 0, 102., order=2),
        fake('lm', 1, 102., order=2))
    table, = tables.collect([planned(tmp_path)], style='board')[0]
    assert names(table) == ['fb', 'lm', 'vae'] and table.rows[2].remark == 'baseline, diverged'
    assert [r.cells['nll_iw'].best for r in table.rows] == [True, False, False]


def test_good_samples_alone_make_no_best_row(tmp_path):
    better = lambda x: [metric(x, better='higher')] * 2
    table = made(tmp_path, {
        'vae': {'precision': better(1.), 'recall': better(.1), 'high_quality': better(100.)},
        'gan': {'precision': better(.5), 'recall': better(.6), 'high_quality': better(20.)}},
        primary='recall')
    best = {(r.row, m) for r in table.rows for m, c in r.cells.items() if c.best}
    assert best == {('gan', 'recall')}


def test_the_nearest_to_the_ideal_is_the_best(tmp_path):
    table = made(tmp_path, {'vae': {'c2st': [.45, .46]}, 'gan': {'c2st': [.52, .51]},
                            'began': {'c2st': [.9, .91]}}, primary='c2st')
    assert names(table) == ['gan', 'vae', 'began']
    assert [r.cells['c2st'].best for r in table.rows] == [True, False, False]
    assert grid.arrow(table.columns[0]) == '→ 0.5'


# Cells


@pytest.mark.parametrize(('values', 'bounds', 'text'), [
    ([1.5, 2.], (None, None), '1.50–2.00'), ([-1.5, 7.], (None, None), '-1.50 to 7.00'),
    ([.5, .5004], (None, None), ''), ([2.], (None, None), ''),
    ([1., 1.1, 1.2, 1.3], (0., None), '±0.21'), ([.9, .99, 1., 1.], (0., 1.), '[0.895, 1.000]'),
    ([0., 0., 0., 5.5], (0., None), '[0.00, 5.75]')])
def test_what_stands_beside_a_mean(tmp_path, values, bounds, text):
    records = [metric(v, least=bounds[0], most=bounds[1]) for v in values]
    table = made(tmp_path, {'vae': {'m': records}, 'fb': {'m': records}}, primary='m')
    column, cell = table.columns[0], table.rows[0].cells['m']
    assert grid.piece(cell, column).small == text
    for form in formats.FORMATS.values():
        assert form([table])


def test_a_shared_footnote_stands_at_the_column(tmp_path):
    noted = [metric(1., note='few rows')]
    table = made(tmp_path, {'vae': {'m': noted}, 'fb': {'m': noted, 'n': [metric(1., note='b')]}},
                 primary='m')
    assert table.notes == ('few rows', 'b') and table.columns[0].notes == (1,)
    assert all(r.cells['m'].notes == () for r in table.rows)
    assert '| m (nats/sentence) ↓ [1] |' in formats.to_markdown([table])


def test_footnotes_are_numbered_as_they_are_met(tmp_path):
    table = made(tmp_path, {'vae': {'m': [metric(9., note='a')]}, 'fb': {'m': [metric(1., note='b')]}},
                 primary='m')
    assert table.notes == ('b', 'a') and [r.cells['m'].notes for r in table.rows] == [(1,), (2,)]


# The screen


@pytest.mark.parametrize('width', [60, 80, 100, 140])
@pytest.mark.parametrize('metrics', [(), ('all',)])
def test_a_table_fits_its_screen_and_folds_no_number(width, metrics):
    found, _ = cli.collect([COMMITTED / 'quickstart'], metrics=metrics, form='terminal')
    text = formats.to_terminal(found, width=width)
    assert max(map(len, text.splitlines())) <= width
    for table in found:
        for column in table.columns:
            for row in table.rows:
                main = grid.piece(row.cells[column.name], column).main
                assert re.search(rf'(?<![\d.]){re.escape(main)}(?![\d.])', text), (row.row, main)
    if width >= 100:
        assert '0.34–0.40' in text and 'free bits' in text


def test_what_a_narrow_screen_leaves_out_is_said():
    found, _ = cli.collect([COMMITTED / 'quickstart'], ['text'], form='terminal')
    wide, narrow = (formats.to_terminal(found, width=w) for w in (120, 70))
    assert 'Means alone' in narrow and 'Means alone' not in wide
    assert '0.34–0.40' in wide and '0.34–0.40' not in narrow


def test_wide_letters_keep_columns_in_line(tmp_path):
    put(tmp_path, fake('a', label='变分自编码器', value=1.5), fake('b', label='VAE', order=1, value=2.5))
    from rich.cells import cell_len
    lines = report.render([tmp_path], width=60)[0].splitlines()
    ends = {cell_len(line) for line in lines if re.search(r'\d\.\d0†$', line)}
    assert len(ends) == 1


@pytest.mark.parametrize(('name', 'value', 'bold'), [
    ('TERM', 'xterm', True), ('TERM', 'dumb', False), ('NO_COLOR', '1', False)])
def test_bold_only_where_the_screen_wants_it(tmp_path, capsys, monkeypatch, name, value, bold):
    monkeypatch.delenv('NO_COLOR', raising=False)
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv(name, value)
    monkeypatch.setattr('sys.stdout.isatty', lambda: True)
    assert ('\x1b[1m' in call(capsys, f'--results={toy(tmp_path)}')[1]) == bold


def test_what_is_printed_fits_where_there_is_no_screen(capsys, monkeypatch):
    monkeypatch.delenv('COLUMNS', raising=False)
    _, out, err = call(capsys, f'--results={COMMITTED / "quickstart"}')
    assert err == '' and max(map(len, out.splitlines())) <= 100
    monkeypatch.setenv('COLUMNS', '72')
    assert max(map(len, call(capsys, f'--results={COMMITTED / "quickstart"}')[1].splitlines())) <= 72


# README


def test_a_small_table_for_a_readme(tmp_path, capsys):
    readme, folder = tmp_path / 'README.md', toy(tmp_path / 'my results' / 'a')
    mark = '<!-- vaebench:table results="my results/a" columns=nll_iw,kl rows=vae,fb notes=no -->'
    readme.write_bytes(f'a\x0cb\r\n{mark}\r\n<!-- vaebench:end -->\r\n\u2028tail'.encode())
    planned(folder)
    assert call(capsys, f'--readme={readme}')[0] == 0
    head, body, tail = re.split(r'<!-- .* -->', readme.read_bytes().decode())
    assert (head, tail) == ('a\x0cb\r\n', '\r\n\u2028tail')      # byte for byte
    assert '\n' not in body.replace('\r\n', '') and '[1]' not in body
    lines = body.replace('\r\n', '\n').split('\n')
    assert lines[4:7] == ['| method | family | nll_iw (nats/sentence) ↓ | kl (nats/sentence) |',
                          '| --- | --- | ---: | ---: |',
                          '| FB | free bits | **98.75** <sub>98.00–99.50</sub> | 1.00 '
                          '<sub>0.50–1.50</sub> |']
    assert 'Estimators' not in body and 'Dataset' not in body and 'Mean over 2 seeds' in body
    assert call(capsys, f'--readme={readme}', '--check')[0] == 0
    before = readme.read_bytes()
    readme.write_bytes(before.replace(b'rows=vae,fb', b'rows=vae,fbb'))
    code, _, err = call(capsys, f'--readme={readme}')
    assert code == 2 and "unknown row 'fbb'; did you mean 'fb'" in err


def test_a_compact_table_has_means_and_seconds_alone(tmp_path, capsys):
    readme, folder = tmp_path / 'README.md', toy(tmp_path / 'a')
    mark = '<!-- vaebench:table results=a columns=nll_iw,kl rows=vae,fb form=compact -->'
    readme.write_text(f'{mark}\n<!-- vaebench:end -->\n')
    planned(folder)
    assert call(capsys, f'--readme={readme}')[0] == 0
    lines = readme.read_text().split('\n')
    assert lines[2:4] == ['| method | nll_iw ↓ | kl | seconds |', '| --- | ---: | ---: | ---: |']
    assert lines[4].startswith('| FB | **98.75 ± 0.75** | 1.00 ± 0.50 | ') and lines[6] == ''
    readme.write_text(readme.read_text().replace('form=compact', 'form=small'))
    code, _, err = call(capsys, f'--readme={readme}')
    assert code == 2 and 'form=small; give full or compact' in err


def test_a_board_in_a_readme_and_all_columns(tmp_path):
    from vaebench.report import splice
    planned(toy(tmp_path / 'data'))
    for options, steps in (('', False), (' columns=all', True), (' columns=kl', True),
                           (' columns=kl notes=no', False)):
        path = tmp_path / 'R.md'
        path.write_text(f'<!-- vaebench:table results=data{options} -->\n<!-- vaebench:end -->\n')
        assert splice.splice(path) == (False, []) and splice.splice(path) == (True, [])
        assert ('| steps |' in path.read_text()) == steps, options
        assert row_of(path.read_text(), 'VAE <sub>baseline</sub>')
