"""Tables from result files: numbers, marks, formats, and what is left out."""
import pathlib
import re
import subprocess
import sys

import pytest
from test_results import fake, kept, metric

from vaebench import report
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import cli, formats, tables

COMMITTED = pathlib.Path(__file__).parent.parent / 'benchmarks' / 'results'
IW, EXACT = 'importance sampling, S=500', 'exact'


def put(folder, *many):
    for result in many:
        results.write(folder, result)
    return folder


def toy(folder, seeds=2):
    """Three rows: a language model with an exact NLL, a VAE and a better VAE."""
    for order, (row, values) in enumerate(
        {'lm': (101., 102.), 'vae': (100., 101.), 'fb': (98., 99.5)}.items()):
        for seed in range(seeds):
            x = values[seed % 2] + 0.01 * (seed // 2)
            metrics = {
                'nll_iw': metric(x, EXACT if row == 'lm' else IW,
                                 samples=None if row == 'lm' else 500, stderr=0.5)
            }
            if row != 'lm':
                metrics['kl'] = metric(0.25 * order + seed, 'closed form', better=None)
                metrics['au'] = metric(4 * order + seed, 'variance of means', unit='units',
                                       better='higher')
            put(folder, fake(row, seed, order=order, metrics=metrics))
    return folder


GOLDEN = """**Toy table**

| method | family | nll_iw (nats/sentence) ↓ | kl (nats/sentence) | au (units) ↑ |
| --- | --- | ---: | ---: | ---: |
| LM | — | 101.50 <sub>101.00–102.00 [1]</sub> | — | — |
| VAE | plain | 100.50 <sub>100.00–101.00</sub> | 0.75 <sub>0.25–1.25</sub> | \
4.5 <sub>4.0–5.0</sub> |
| FB | free bits | **98.75** <sub>98.00–99.50</sub> | 1.00 <sub>0.50–1.50</sub> | \
**8.5** <sub>8.0–9.0</sub> |

Mean over 2 seeds, their range where they differ. Bold: best of its estimator, or tied with \
it: the interval of the differences, paired by seed, is not wholly worse and, of up to 3 \
seeds, one of them is as good.

Dataset: toy (test), sha256 0123456789ab.

Estimators: nll_iw: importance sampling, S=500 (10 examples, 500 samples); \
kl: closed form (10 examples); \
au: variance of means (10 examples).

- [1] nll_iw: exact (10 examples); ranked apart from the others
"""
PROVENANCE = ('Dataset: toy (test), sha256 0123456789ab. Parameters evaluated: best on '
              'validation. Device: 1 x cpu (Toy CPU). Versions: jax 0.10.2. '
              'Revision: aaaaaaaaaa.')


def test_golden_markdown(tmp_path):
    text, problems = report.render([toy(tmp_path)], 'markdown')
    assert problems == [] and text == GOLDEN
    whole, problems = report.render([tmp_path], 'markdown', metrics=['all'])
    assert problems == [] and f'\n{PROVENANCE}\n' in whole
    assert '| au (units) ↑ | seeds | steps | parameters | train (s) |\n' in whole
    assert '| **8.5** <sub>8.0–9.0</sub> | 2 | 1,000 | 12,345 | 12.5 |\n' in whole


def test_bytes_do_not_depend_on_the_order_of_writing(tmp_path):
    first = toy(tmp_path / 'a', 3)
    many = results.read_all(first)[0]
    second = put(tmp_path / 'b', *reversed(many))
    for form in formats.FORMATS:
        once = report.render([first], form)
        assert once == report.render([first], form) == report.render([second], form) and once[0]


# What is left out, failed or missing


def test_runs_of_a_row(tmp_path):
    git = {'revision': 'b' * 40, 'dirty': True}
    put(tmp_path, fake('a', 1, status='failed', reason='kl\nis nan', metrics={}, git=git),
        fake('a', 0, method='m'))
    (table,), _ = tables.collect([tmp_path])
    own, times = fake('a')['config_hash'], {**fake('a')['times'], 'epoch': None}
    assert table.rows[0].runs == (
        tables.Run(0, 'done', None, f'a.s0.{own}.json', 'm', own, 'a' * 40, '1 x cpu', times),
        tables.Run(1, 'failed', 'kl is nan', f'a.s1.{own}.json', 'a', own, 'b' * 40, '1 x cpu',
                   times))


def parameters(folder):
    """What the one table of a folder says of its parameters."""
    (table,), _ = tables.collect([folder])
    return [line for line in table.about if line.startswith('Parameters')]


def test_parameters_are_those_that_were_kept(tmp_path):
    put(tmp_path, fake('a', parameters=kept('last', 'best')))
    assert parameters(tmp_path) == ['Parameters evaluated: best on validation.']
    put(tmp_path, fake('b', order=1, parameters=[]))
    assert parameters(tmp_path) == [
        'Parameters evaluated: best on validation, of every row that trains.']
    put(tmp_path, fake('c', order=2, parameters=kept('best', 'last')),
        # its second phase took no step
        fake('d', order=3, parameters=kept('best', 'none')),
        fake('e', order=4, parameters=kept('none')),
        fake('f', order=5, parameters=kept('best'), status='failed', reason='nan', metrics={}))
    assert parameters(tmp_path) == [
        'Parameters evaluated: best on validation (A, D); last (C).'
    ]
    put(tmp_path / 'none', fake('b', parameters=[]))
    assert parameters(tmp_path / 'none') == []


def row_of(text, label):
    return next(line for line in text.splitlines() if line.startswith(f'| {label} '))


def test_bad_files_change_no_row(tmp_path):
    clean = report.render([toy(tmp_path)], 'markdown')[0]
    one = next(tmp_path.glob('vae*')).read_text()
    for name, text in {
            'a': one[:200], 'b': '{"x": 1}', 'c': one, 'd': one.replace(
                '"seed": 0', '"seed": "0"')
    }.items():
        (tmp_path / f'{name}.json').write_text(text)
    text, problems = report.render([tmp_path], 'markdown')
    assert text == clean and [p.split(':')[0] for p in problems
                              ] == [str(tmp_path / f'{c}.json') for c in 'abcd']


def test_duplicates_over_folders(tmp_path):
    first, second = toy(tmp_path / 'a'), toy(tmp_path / 'b', 3)
    clean = report.render([second], 'csv')[0]
    assert report.render([second, second], 'csv') == (clean, [])
    text, problems = report.render([second, first], 'csv')
    assert text == clean and len(problems) == 6
    assert all(str(first) in p and str(second) in p and 'move one away' in p for p in problems)


def test_two_settings_of_one_row(tmp_path):
    toy(tmp_path)
    clean = report.render([tmp_path], 'markdown')[0]
    other = fake('fb', order=2, config={'lr': 1}, config_hash='f' * 10)
    put(tmp_path, other)
    text, problems = report.render([tmp_path], 'markdown')
    assert len(problems) == 1 and problems[0].count(
        '.json') == 2 and 'ffffffffff' in problems[0]
    assert row_of(text, 'FB').startswith('| FB | — | two settings | two settings |')
    assert row_of(text, 'LM').startswith('| LM | — | 101.5 <sub>101.0–102.0')
    manifest = {'tables': [{'table': 'toy', 'title': 'Toy table', 'seeds': [0, 1], 'rows': [
        {'row': r, 'label': r.upper(), 'order': i, 'hash': fake(r)['config_hash']}
        for i, r in enumerate(('lm', 'vae', 'fb'))]}]}
    results.write_manifest(tmp_path, manifest)      # says which of the two is meant
    assert report.render([tmp_path], 'markdown') == (clean, [])


def test_other_data_is_refused(tmp_path):
    toy(tmp_path)
    clean = report.render([tmp_path], 'markdown')[0]
    put(tmp_path, fake('extra', order=9, dataset={'sha256': 'f' * 64}))
    text, problems = report.render([tmp_path], 'markdown')
    assert text == clean and len(problems) == 1
    assert all(x in problems[0] for x in ('extra.s0', 'lm.s0', 'ffffffffffff'))


def test_failed_and_missing_cells(tmp_path):
    toy(tmp_path / 'results')
    rows = [{
        'row': r, 'label': r.upper(), 'order': i, 'hash': fake(r)['config_hash'],
        'seeds': [0, 1]
    } for i, r in enumerate(('lm', 'vae', 'fb', 'bad', 'late'))]
    rows[1]['seeds'] = [0, 1, 2, 3]
    results.write_manifest(
        tmp_path, {
            'tables': [{
                'table': 'toy', 'title': 'Planned', 'columns': ['au', 'kl', 'none'],
                'rows': rows
            }]
        })
    put(
        tmp_path / 'results',
        fake('vae', 2, status='failed', reason='non-finite rec\nat step 30', metrics={}),
        *(fake('bad', s, order=3, status='failed', reason='kl is nan', metrics={})
          for s in range(2)))
    text, problems = report.render([tmp_path], 'markdown')
    assert problems == [] and text.startswith(
        '**Planned**\n\n| method | family | au (units) ↑ | kl (nats/sentence) | seeds |')
    assert row_of(text, 'BAD <sub>diverged</sub>').startswith(
        '| BAD <sub>diverged</sub> | — | failed: kl is nan | failed | 0 of 2 [')
    assert row_of(text, 'LATE').startswith('| LATE | — | missing | missing | 0 of 2 [')
    assert '| 2 of 4 [' in row_of(text, 'VAE <sub>diverged</sub>')
    assert '] VAE: seed 2 failed: non-finite rec at step 30; seed 3 missing\n' in text
    assert report.render([tmp_path / 'results'], 'markdown') == (text, [])


def test_estimators_are_ranked_apart(tmp_path):
    put(
        tmp_path,
        *(fake(r, metrics={'m': metric(v, e, samples=s)})
          for r, v, e, s in [('a', 1., EXACT,
                              None), ('b', 2., IW, 500), ('c', 3., IW,
                                                          500), ('d', 0.5, IW,
                                                                 50), ('e', 4., EXACT, None)]))
    table, = tables.collect([tmp_path])[0]
    assert [(r.row, r.cells['m'].best, len(r.cells['m'].notes)) for r in table.rows] == [
        ('a', True, 0), ('b', True, 1), ('c', False, 1), ('d', False, 1), ('e', False, 0)]
    assert table.notes == (
        'm: importance sampling, S=500 (10 examples, 500 samples); ranked apart from the '
        'others',
        'm: importance sampling, S=500 (10 examples, 50 samples); ranked apart from the others')


def test_the_wording_of_an_estimator_sets_nothing_apart(tmp_path):
    rows = ('a', 1., 'importance sampling'), ('b', 2., 'importance weights')
    for row, value, words in rows:
        put(
            tmp_path / 'a',
            *(fake(row, s,
                   metrics={'m': {**metric(value + s, 'iw', samples=50), 'estimator': words}})
              for s in range(2)))
    (table,), _ = tables.collect([tmp_path / 'a'])
    assert table.notes == () and [r.cells['m'].best for r in table.rows] == [True, False]
    assert {r.cells['m'].estimator for r in table.rows} == {
        'importance sampling (10 examples, 50 samples)'}
    put(tmp_path / 'b', *(fake(r, metrics={'m': {**metric(1., own), 'estimator': 'same words'}})
                          for r, own in (('a', 'features-1'), ('b', 'features-2'))))
    (table,), _ = tables.collect([tmp_path / 'b'])
    assert table.notes == (
        'm: same words (10 examples), features-2; ranked apart from the others',)
    assert table.rows[0].cells['m'].estimator != table.rows[1].cells['m'].estimator


def test_seeds_with_different_estimators_are_not_averaged(tmp_path):
    put(tmp_path, fake('a', 0, metrics={'m': metric(1., IW)}),
        fake('a', 1, metrics={'m': metric(1., EXACT)}))
    assert row_of(report.render([tmp_path], 'markdown')[0],
                  'A').startswith('| A | mixed <sub>[1]</sub> |')


def test_lost_values_and_warnings_are_noted(tmp_path):
    put(tmp_path, fake('a', 0, metrics={'m': metric(1.5)}),
        fake('a', 1, metrics={'m': metric(float('nan'))}))
    text = report.render([tmp_path], 'markdown')[0]
    assert row_of(text, 'A').startswith('| A | 1.50† <sub>[1,2]</sub> |')
    assert '- [1] value was nan\n- [2] m of A: 1 of 2 seeds\n' in text


# Command line


def call(capsys, *args):
    code = report.main(['vaebench-report', *map(str, args)])
    return code, *capsys.readouterr()


def test_command_line(tmp_path, capsys):
    folder = toy(tmp_path / 'work' / 'results').parent
    code, out, err = call(capsys, f'--results={folder}', '--format=markdown')
    assert (code, out, err) == (0, GOLDEN, '')
    file = tmp_path / 'out' / 'table.md'
    assert call(capsys, f'--results={folder}', '--format=markdown', f'--out={file}')[0] == 0
    assert file.read_text() == GOLDEN and [p.name
                                           for p in file.parent.iterdir()] == ['table.md']
    (folder / 'results' / 'x.json').write_text('{')
    code, out, err = call(capsys, f'--results={folder}', '--format=markdown', '--columns=kl')
    assert code == 0 and 'nll_iw' not in out and err.count('\n') == 1 and 'x.json' in err
    assert 'nll_iw' in call(capsys, f'--results={folder}')[1]


def test_unusable_input_is_one_line(tmp_path, capsys):
    empty, full = tmp_path / 'empty', toy(tmp_path / 'full')
    empty.mkdir()
    for args, message in [([], 'give --results=DIR'),
                          (['--results=nowhere'], 'nowhere: no such folder'),
                          ([f'--results={empty}'], f'no results in {empty}; run vaebench'),
                          (['--reslts=x'], 'Did you mean: results'),
                          ([f'--results={full}', '--format=htm'], 'format'),
                          ([full], f'did you mean --results={full}'),
                          ([f'--results={full}', '--columns=kll'], "did you mean 'kl'"),
                          (['--check'], '--check goes with --readme=FILE or --cards=FILE'),
                          ([f'--results={full}', '--table=tob'], "did you mean 'toy'"),
                          (['--readme=no.md'], 'no.md: cannot be read')]:
        code, out, err = call(capsys, *args)
        assert code == 2 and out == '' and err.count('\n') == 1 and message in err, (args, err)


README = """# Title
```
<!-- vaebench:table results=nowhere -->
```
<!-- vaebench:table results=data table=toy columns=kl,nll_iw -->
old
<!-- vaebench:end -->
after"""


def test_readme_splice_and_check(tmp_path, capsys):
    readme = tmp_path / 'README.md'
    readme.write_text(README)
    toy(tmp_path / 'data')
    code, _, err = call(capsys, f'--readme={readme}', '--check')
    assert code == 1 and err.count(
        '\n') == 1 and 'tables differ' in err and readme.read_text() == README
    assert call(capsys, f'--readme={readme}')[0] == 0
    text = readme.read_text()
    assert text.startswith(README.split('old')[0] +
                           '\n**Toy table**\n\n| method | family | kl ') and '\nold' not in text
    assert text.endswith('\n\n<!-- vaebench:end -->\nafter') and '| VAE | plain | 0.75 ' in text
    assert call(capsys, f'--readme={readme}', '--check')[0] == 0
    call(capsys, f'--readme={readme}')
    assert readme.read_text() == text
    put(tmp_path / 'data', fake('new', order=9))
    assert call(capsys, f'--readme={readme}', '--check')[0] == 1


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('<!-- vaebench:end -->', '', 'README.md:5: no <!-- vaebench:end --> after this marker'),
    ('table=toy', 'table=tyo', "unknown table 'tyo'; did you mean 'toy'"),
    ('table=toy', 'tabel=toy', 'use table'),
    ('results=data', 'results=dta', 'README.md:5: .*no such folder'),
    ('results=data ', '', 'results=PATH is missing'),
    ('vaebench:table results=data', 'vaebench:tables results=data',
     'README.md:5: not a marker'),
    ('old', '<!-- vaebench:table results=data -->', 'README.md:5: no .* before the next table'),
])
def test_bad_markers_are_named_and_nothing_is_written(tmp_path, capsys, old, new, message):
    toy(tmp_path / 'data')
    readme = tmp_path / 'README.md'
    readme.write_text(README.replace(old, new))
    code, out, err = call(capsys, f'--readme={readme}')
    assert code == 2 and out == '' and err.count('\n') == 1 and re.search(message, err), err
    assert readme.read_text() == README.replace(old, new)


def test_process(tmp_path):
    """The module runs by itself, imports nothing heavy for --help, and a closed pipe is no
    error.
    """
    code = (
        'import sys; from vaebench import report; code = report.main(["x", "--help"])\n'
        'heavy = {"jax", "pandas", "rich", "scipy", "numpy", "yaml"}\n'
        'print(code, sorted(heavy & set(sys.modules)))')
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                         check=True).stdout
    assert '--results' in out and out.endswith('0 []\n')
    toy(tmp_path)
    run = subprocess.run(
        f'"{sys.executable}" -m vaebench.report --results="{tmp_path}" --format=csv | true; '
        'echo ${PIPESTATUS[0]}', shell=True, executable='/bin/bash', capture_output=True,
        text=True)
    assert run.stdout == '0\n' and run.stderr == ''


def test_report_imports_no_jax(tmp_path):
    toy(tmp_path)
    code = ('import sys; from vaebench import report\n'
            'from vaebench.report.formats import FORMATS\n'
            f'for form in FORMATS: report.render([{str(tmp_path)!r}], form)\n'
            'assert "jax" not in sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True)


def test_names_of_the_formats_agree():
    assert set(cli.EXTENSIONS) == {*formats.FORMATS, 'html'}


def test_missing_folder():
    with pytest.raises(UserError, match='no such folder'):
        report.render(['nowhere'])
