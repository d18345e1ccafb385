"""What each flag of `vaebench-report` gives, and which do not go together."""
import json
import pathlib

import pytest
from test_report import put, toy
from test_results import fake, metric

from vaebench import report
from vaebench.experiment import results
from vaebench.report import cli, formats, tables


@pytest.fixture
def run(capsys):
    def called(*args):
        code = report.main(['vaebench-report', *map(str, args)])
        said = capsys.readouterr()
        return code, said.out, said.err
    return called


def two(folder):
    """Two tables that share their rows."""
    toy(folder, 3)
    for order, (row, x) in enumerate({'vae': 50., 'fb': 49.}.items()):
        put(
            folder,
            *(fake(
                row, s, table='other', title='Other', order=order, config_hash='a' * 10,
                metrics={
                    'nll_iw': metric(x + s / 10), 'kl': metric(order + s / 10.),
                    'rec': metric(x - order)
                }) for s in range(3)))
    return described(folder)


def described(folder):
    """The folder with a manifest of its results: their primary metric and their baseline."""
    made = {}
    for r in reversed(results.read_all(folder)[0]):
        table = made.setdefault(r.table, {'table': r.table, 'title': r.title, 'rows': {},
                                          'primary': 'nll_iw', 'baseline': 'vae'})
        table['rows'][r.row] = {'row': r.row, 'label': r.label, 'order': r.order,
                                'hash': r.config_hash}
    results.write_manifest(folder, {'tables': [
        {**table, 'rows': list(table['rows'].values())} for table in made.values()]})
    return folder


def test_all_formats_at_once_are_those_of_each(tmp_path, run):
    source, out = two(tmp_path / 'a'), tmp_path / 'out'
    code, said, _ = run(f'--results={source}', '--format=all', f'--out={out}')
    assert code == 0 and len(said.splitlines()) == len(
        cli.EXTENSIONS) == len(formats.FORMATS) + 1
    assert {p.name for p in out.iterdir()} == {f'tables.{x}' for x in cli.EXTENSIONS.values()}
    for form, extension in cli.EXTENSIONS.items():
        assert (out / f'tables.{extension}').read_text() == report.render([source],
                                                                          form)[0], form
    assert run(f'--results={source}', '--format=all')[::2] == (
        2, 'vaebench-report: --format=all needs a folder: give --out=FOLDER\n')


def test_page_has_tables_figures_cards_and_the_overall_table(tmp_path):
    page = report.render([two(tmp_path)], 'html')[0]
    assert page.count('role="tabpanel"') >= 3 and 'data:image/png;base64,' in page
    assert 'Other' in page and 'borda' in page and 'Auto-Encoding Variational Bayes' in page
    assert page == report.render([tmp_path], 'html')[0]
    alone = report.render([tmp_path], 'html', ['other'])[0]
    put(tmp_path / 'b',
        fake('gan', table='third', config_hash='b' * 10, metrics={'nll_iw': metric(1.)}))
    assert 'third' in (more := report.render([tmp_path, tmp_path / 'b'], 'html')[0])
    assert more.count('>Overall:<') == page.count(
        '>Overall:<') == 1 and 'All tables: toy, other<' in more
    assert 'borda' not in alone and 'data:image/png;base64,' in alone


def test_aggregate_is_the_one_of_the_tables(tmp_path, run):
    source = two(tmp_path)
    found = tables.collect([source])[0]
    code, out, _ = run(f'--results={source}', '--aggregate', '--format=json')
    (table,) = json.loads(out)['tables']
    rows = {r['row']: r['metrics'] for r in table['rows']}
    want = {
        row: [(t_best - c.mean) / t_best * 100
              for t_best, c in ((base(t), t_row.cells['nll_iw'].summary) for t in found
                                for t_row in t.rows if t_row.row == row)]
        for row in ('vae', 'fb')
    }
    assert code == 0 and rows['vae']['iqm']['mean'] == pytest.approx(0, abs=.5)
    assert min(want['fb']) - .5 < rows['fb']['iqm']['mean'] < max(want['fb']) + .5
    code, _, err = run(f'--results={source}', '--aggregate', '--baseline=fbb')
    assert code == 2 and 'fbb' in err and err.count('\n') == 1
    code, out, _ = run(f'--results={source}', '--aggregate', f'--figures={tmp_path / "f"}')
    assert code == 0 and {pathlib.Path(line.split()[-1]).suffix
                          for line in out.splitlines()} == {'.png', '.svg', '.csv'}


def base(table):
    return next(r for r in table.rows if r.row == 'vae').cells['nll_iw'].summary.mean


def test_against_itself_nothing_differs(tmp_path, run):
    source = two(tmp_path / 'a')
    code, out, _ = run(f'--results={source}', f'--against={source}', '--columns=nll_iw',
                       '--format=csv')
    assert code == 0 and 'identical' in out and 'better' not in out.replace(',better,', ',')
    page = report.render([source], 'html', against=[source])[0]
    assert page.count('What changed:') == 1 and 'nll_iw: 3 identical' in page
    for flag in ('--aggregate', f'--figures={tmp_path}', f'--pictures={tmp_path}', '--cite',
                 '--cards=x'):
        code, _, err = run(f'--results={source}', f'--against={source}', flag)
        assert code == 2 and err.startswith('vaebench-report: --against goes with a table')


def test_cards_and_citations(tmp_path, run):
    source = two(tmp_path / 'a')
    code, out, _ = run(f'--results={source}', '--table=other',
                       f'--cards={tmp_path / "cards.md"}')
    assert code == 0 and out == f'written to {tmp_path / "cards.md"}\n'
    assert 'Equation' in (tmp_path / 'cards.md').read_text()
    same = [
        f'--results={source}', '--table=other', f'--cards={tmp_path / "cards.md"}', '--check'
    ]
    assert run(*same)[::2] == (0, '')
    (tmp_path / 'cards.md').write_text('typed')
    code, _, err = run(*same)
    assert code == 1 and 'write it anew' in err and (tmp_path /
                                                     'cards.md').read_text() == 'typed'
    code, out, _ = run(f'--results={source}', '--cite')
    assert code == 0 and '@misc{' in out and 'eprint' in out
    run(f'--results={source}', '--cite', f'--out={tmp_path / "x.bib"}')
    assert (tmp_path / 'x.bib').read_text() == out


def test_flags_that_do_not_go_together_say_so(tmp_path, run):
    source, out = two(tmp_path / 'a'), tmp_path / 'x'
    for flags, message in (((f'--figures={out}', '--format=html'),
                            '--format goes with a table'),
                           ((f'--cards={out}', f'--out={out}'),
                            '--out goes with a table, with --sweeps or with --cite'),
                           (('--figures=',), '--figures= names nothing'),
                           (('--out=.',), 'a folder; name a file in it'),
                           ((f'--readme={out}',), 'leave --results out')):
        code, _, err = run(f'--results={source}', *flags)
        assert code == 2 and message in err and err.count('\n') == 1, flags
    assert not out.exists()


def test_what_was_left_out_is_said_in_every_mode(tmp_path, run):
    source, empty = two(tmp_path / 'a'), tmp_path / 'b'
    empty.mkdir()
    (source / 'junk.json').write_text('{')
    for flags in ((), ('--aggregate',), ('--aggregate', f'--figures={tmp_path / "f"}'),
                  ('--cite',)):
        code, _, err = run(f'--results={source}', f'--results={empty}', *flags)
        assert code == 0 and 'junk.json' in err and f'{empty}: no result files' in err, flags
    for flags in ((f'--results={source}', f'--against={empty}'), (f'--results={empty}',
                                                                  f'--against={source}')):
        code, _, err = run(*flags)
        assert code == 2 and f'no results in {empty}' in err.splitlines()[-1]
