"""Which folders a report reads, what it says of them, and what becomes of paths and terminals."""
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from test_report import call, put, toy
from test_report_boards import planned
from test_results import fake, metric

from vaebench import report
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.report import folders, formats, pools, tables


def shown(*named):
    found, problems = tables.collect(named, style='board')
    return {t.table: [r.row for r in t.rows] for t in found}, problems


def other(folder, **changes):
    """Results of another table."""
    return put(folder, *(fake('vae', s, table='other', title='Other', config_hash='a' * 10, **changes)
                         for s in range(2)))


def test_a_folder_of_workdirs_shows_what_is_in_each(tmp_path):
    toy(tmp_path / 'runs' / 'a' / 'results')
    planned(other(tmp_path / 'runs' / 'b'))
    (tmp_path / 'runs' / 'notes').mkdir()
    (tmp_path / 'runs' / 'notes.txt').write_text('x')
    both = shown(tmp_path / 'runs')
    assert set(both[0]) == {'toy', 'other'} and both[1] == []
    assert both == shown(tmp_path / 'runs' / 'a', tmp_path / 'runs' / 'b')
    assert both == shown(tmp_path / 'runs', tmp_path / 'runs' / 'a')     # each once
    assert shown(tmp_path / 'runs' / 'a') == shown(tmp_path / 'runs' / 'a' / 'results')


def test_every_table_with_results_is_shown(tmp_path):
    """A manifest that lists the last run's table alone hides no other."""
    planned(toy(tmp_path))
    other(tmp_path)
    found, (problem,) = shown(tmp_path)
    assert set(found) == {'toy', 'other'} and found['other'] == ['vae']
    assert problem.startswith(f"{tmp_path / results.MANIFEST}: does not describe table 'other'")


def test_rows_that_a_manifest_lacks_are_named(tmp_path):
    planned(toy(tmp_path))
    put(tmp_path, fake('late', 0, order=9), fake('late', 1, order=9))
    found, (problem,) = shown(tmp_path)
    assert found == {'toy': ['fb', 'vae', 'lm']}
    assert "table 'toy' has no row late" in problem and 'not shown' in problem
    # of a row that is there, results of earlier settings stay on disk without a word
    put(tmp_path, fake('fb', 0, config={'lr': 1}, config_hash='f' * 10))
    assert shown(tmp_path)[1] == [problem]


def made_by(version):
    return {'jax': '0.10.2', **({'vaebench': version} if version else {})}


def test_another_minor_version_is_not_ranked(tmp_path):
    for row, value, version in (('vae', 3., '0.1.0'), ('lm', 2., '0.1.4'), ('fb', 1., '0.2.0'),
                                ('bn_vae', 4., None)):
        put(tmp_path, *(fake(row, s, value + s / 10, versions=made_by(version),
                             order=int(value)) for s in range(2)))
    planned(tmp_path)
    found, (problem,) = tables.collect([tmp_path], style='board')
    rows = {r.row: r for r in found[0].rows}
    assert list(rows) == ['lm', 'vae', 'bn_vae', 'fb'] and rows['fb'].remark == 'version 0.2'
    assert [r.row for r in found[0].rows if r.cells['nll_iw'].best] == ['lm']
    assert problem == ("table 'toy': fb of vaebench 0.2, the others of 0.1: not ranked with them; "
                       'run these rows again')
    from vaebench.report import aggregates
    twice = [found[0], found[0]._replace(table='again')]
    over = {r.row: r for r in aggregates.overall(twice).rows}
    missing = aggregates.overall(twice).notes
    assert missing == ('toy: made by version 0.2', 'again: made by version 0.2')
    assert over['fb'].cells['iqm'].text == 'missing'
    # results of one version among themselves are ranked, whichever it is
    put(tmp_path / 'b', *(fake(r, s, float(s), versions=made_by('9.9')) for r in ('vae', 'fb')
                          for s in range(2)))
    assert shown(tmp_path / 'b')[1] == []


@pytest.mark.parametrize('version', ['x', '', '1' * 5000 + '.1', '٣.١', '0.1'])
def test_a_version_may_be_any_text(version):
    result = results.checked(fake(versions={'vaebench': version}))
    assert folders.minor(result) == ('0.1' if version == '0.1' else None)


def old(folder, name='my runs'):
    """A workdir with three results of the first schema, and a good one."""
    home = folder / name
    for seed in range(3):
        path = results.write(home / 'results', fake('vae', seed))
        path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
    put(home / 'results', fake('fb', 0))
    return home


def test_results_of_another_schema_are_one_line_a_folder(tmp_path):
    home = old(tmp_path)
    (problem,) = shown(home)[1]
    command = f'python -m vaebench.experiment.convert {shlex.quote(str(home))}'
    assert problem.startswith(f'{home / "results"}: 3 files of schema 1') and problem.endswith(command)
    for path in (home / 'results').glob('vae*'):
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 3'))
    (problem,) = shown(home)[1]
    assert '3 files of schema 3' in problem and problem.endswith(f'move {home / "results"} away')
    with pytest.raises(UserError, match='schema 3 is not 2, the one this version reads; move'):
        results.read(next((home / 'results').glob('vae*')))


def test_the_command_that_a_line_ends_with_can_be_pasted(tmp_path):
    home = old(tmp_path)
    (problem,) = shown(home)[1]
    command = problem.rpartition('run ')[2].split()
    words = shlex.split(problem.rpartition('run ')[2])
    assert words[-1] == str(home) and len(command) > len(words)
    from vaebench.experiment import convert
    with pytest.raises(UserError, match='not a result of schema 1'):      # it reads that folder
        convert.convert_folder(words[-1])


# Overall


def two_kinds(tmp_path):
    """Tables of sentences and of images with the same rows and primary metric, and one by another."""
    for order, row in enumerate(('vae', 'fb')):
        for table, unit, name in (('a', 'nats/sentence', 'nll_iw'), ('b', 'nats/sentence', 'nll_iw'),
                                  ('c', 'nats/image', 'nll_iw'), ('d', 'nats/sentence', 'elbo')):
            put(tmp_path / table, *(fake(row, s, table=table, order=order, metrics={
                name: metric(5. + order + s / 10, unit=unit)}) for s in range(2)))
            planned(tmp_path / table, primary=name)
    return tables.collect([tmp_path])[0]


def test_only_tables_of_one_kind_join(tmp_path):
    found = two_kinds(tmp_path)
    groups = [[t.table for t in group] for group in pools.families(found)]
    assert sorted(groups) == [['a', 'b'], ['c'], ['d']]
    pool = pools.pool(found)
    assert [p.table for p in pool.parts] == ['a', 'b']
    assert pool.left_out == ('c: nll_iw of images, the others nll_iw of sentences',
                             'd: elbo of sentences, the others nll_iw of sentences')
    # what a user asks for by name is still one metric
    assert [p.metric for p in pools.pool(found, ['elbo', 'nll_iw']).parts] == ['nll_iw'] * 2
    page = formats.to_html(found)
    tabs = re.findall(r'role="tab"[^>]*>([^<]*)<', page)
    assert tabs == ['a', 'b', 'c', 'd', 'a + b', 'Methods']


# Paths, terminals, encodings


def test_a_home_folder_is_expanded_in_every_path(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.chdir(tmp_path)
    planned(toy(tmp_path / 'home' / 'runs'))
    (tmp_path / 'home' / 'R.md').write_text('<!-- vaebench:table results=runs -->\n<!-- vaebench:end -->\n')
    for flags in (['--results=~/runs', '--out=~/t.txt'], ['--results=~/runs', '--figures=~/f'],
                  ['--results=~/runs', '--against=~/runs'], ['--results=~/runs', '--cards=~/c.md'],
                  ['--readme=~/R.md']):
        code, _, err = call(capsys, *flags)
        assert code == 0 or 'no row has both metrics' in err, (flags, err)
    assert not (tmp_path / '~').exists() and (tmp_path / 'home' / 't.txt').exists()
    assert (tmp_path / 'home' / 'c.md').exists()


@pytest.mark.parametrize('what', ['workdir', 'results', 'parent'])
def test_a_folder_that_cannot_be_read_is_one_line(tmp_path, capsys, monkeypatch, what):
    home = tmp_path / 'w'
    toy(home / 'results')
    locked = {'workdir': home, 'results': home / 'results', 'parent': tmp_path}[what]
    listed, is_dir = os.listdir, pathlib.Path.is_dir

    def guarded(path):
        if pathlib.Path(path) == locked:
            raise PermissionError(13, 'Permission denied', str(path))
        return listed(path)

    def inside(path):
        if locked in path.parents and what == 'parent':
            raise PermissionError(13, 'Permission denied', str(path))
        return is_dir(path)

    monkeypatch.setattr('os.listdir', guarded)
    monkeypatch.setattr('pathlib.Path.is_dir', inside)
    code, out, err = call(capsys, f'--results={home}')
    assert (code, out) == (2, '') and err.count('\n') == 1 and 'Permission denied' in err


def run(command, **env):
    return subprocess.run([sys.executable, '-m', 'vaebench.report', *command], capture_output=True,
                          env={**os.environ, **env})


def test_a_stream_that_cannot_spell_a_name_ends_no_run(tmp_path):
    toy(tmp_path / 'a')
    done = run([f'--results={tmp_path / "a"}', '--format=markdown', f'--out={tmp_path / "tablé.md"}'],
               PYTHONIOENCODING='ascii', PYTHONUTF8='1')
    assert done.returncode == 0 and b'Traceback' not in done.stderr
    assert (tmp_path / 'tablé.md').exists()


def test_a_hint_can_be_pasted(tmp_path, capsys):
    code, _, err = call(capsys, 'my runs')
    assert code == 2 and "did you mean '--results=my runs'?" in err
    readme = tmp_path / 'my notes.md'
    toy(tmp_path / 'r')
    readme.write_text('<!-- vaebench:table results=r -->\n<!-- vaebench:end -->\n')
    code, _, err = call(capsys, f'--readme={readme}', '--check')
    assert code == 1 and err.rstrip().endswith(shlex.quote(f'--readme={readme}'))


@pytest.mark.parametrize('start', ['=', '+', '-', '@', '\t', '\r'])
def test_no_field_of_a_csv_is_a_formula(tmp_path, start):
    import csv
    import io
    bad = f'{start}cmd|x'
    put(tmp_path, fake('a', label=bad, metrics={'m': metric(-1.5, bad, note=bad, unit=bad),
                                                bad.strip() or 'n': metric(-2.)}),
        fake('b', label=bad, order=1, status='failed', reason=bad, metrics={}))
    text = report.render([tmp_path], 'csv')[0]
    for line in csv.reader(io.StringIO(text)):
        for field in line:
            number = field.removeprefix('-').replace('.', '').isdigit()
            assert number or not field.startswith(('=', '+', '-', '@', '\t', '\r')), field
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {float(r['mean']) for r in rows if r['metric'] == 'm' and r['row'] == 'a'} == {-1.5}


def test_signs_that_a_terminal_obeys_reach_no_picture(tmp_path):
    import numpy as np

    from vaebench.report import figures
    bad = 'a\0b\x1b]0;x\x07 \u202e'
    home = tmp_path / 'w'
    curve = {'curve/step': np.arange(3), 'curve/valid/elbo': np.arange(3.)}
    path = results.write(home / 'results', fake('vae', label=bad, title=bad, metrics={
        'elbo': metric(1., unit=bad)}), curve)
    (home / 'listings').mkdir()
    (home / 'listings' / f'{path.stem}.txt').write_bytes('Samples\n  é \x1b[31m x\0\n  \xff'.encode())
    cells, _ = figures.collect_cells([home])
    made = {p.suffix: p for p in figures.write_pictures(cells, tmp_path / 'out')}
    import xml.etree.ElementTree
    for path in (tmp_path / 'out').rglob('*.*'):
        data = path.read_bytes()
        if path.suffix == '.svg':
            xml.etree.ElementTree.fromstring(data)
        if path.suffix in ('.csv', '.txt', '.md'):
            assert not {0, 7, 27} & set(data), path
    assert {'.txt', '.md'} <= set(made)


def test_listings_are_read_as_utf_8(tmp_path):
    import numpy as np
    path = results.write(tmp_path / 'w' / 'results', fake('vae', metrics={}), {'nll': np.zeros(2)})
    (tmp_path / 'w' / 'listings').mkdir()
    (tmp_path / 'w' / 'listings' / f'{path.stem}.txt').write_bytes('Samples\n  dépôt\n'.encode())
    done = run([f'--results={tmp_path / "w"}', f'--pictures={tmp_path / "p"}'], LC_ALL='C',
               PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    assert done.returncode == 0, done.stderr
    assert 'dépôt' in (tmp_path / 'p' / 'toy.sentences.md').read_bytes().decode()
