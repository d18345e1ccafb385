"""Tables in each format: numbers, escapes, what a reader of the format makes of them."""
import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from test_report import COMMITTED, put, toy
from test_results import fake, metric

from vaebench import report
from vaebench.experiment import results
from vaebench.report import formats, latex, statistics, tables
from vaebench.report.formats import grid as layout


def test_csv_round_trip(tmp_path):
    found = tables.collect([toy(tmp_path, 5)])[0]
    lines = list(csv.DictReader(io.StringIO(formats.to_csv(found))))
    assert len(lines) == 3 * (3 + 3)
    by = {(line['row'], line['metric']): line for line in lines}
    for row in found[0].rows:
        for name, cell in row.cells.items():
            line = by[row.row, name]
            if cell.summary is None:
                assert line['text'] == '—'
                assert line['mean'] == line['low'] == line['seeds'] == ''
                continue
            assert tuple(
                float(line[k]) for k in ('mean', 'low', 'high', 'seeds')) == cell.summary
            assert line['best'] == ('*' if cell.best else
                                    '') and line['unit'] in ('nats/sentence', 'units')
    assert by['lm', 'nll_iw']['estimator'] == 'exact (10 examples)'


def test_few_seeds_are_said_of_the_row_that_has_fewest(tmp_path):
    put(tmp_path, *(fake('vae', s, metrics={'nll_iw': metric(100. + s)}) for s in range(6)),
        *(fake('fb', s, order=1, metrics={'nll_iw': metric(99.5 + 2 * s)}) for s in range(2)),
        fake('lucky', order=2, metrics={'nll_iw': metric(1.)}))
    text = report.render([tmp_path], 'markdown')[0]
    assert 'Mean over seeds, the range of up to 3 seeds where they differ; ± half' in text
    # one seed that is left is not the best of many
    assert '| 1.00† |' in text and '**100.50** <sub>99.50–101.50</sub>' in text
    half = statistics.multiple(6) * np.std(range(6), ddof=1) / 6**.5
    assert f'| **102.50** <sub>±{half:.2f}</sub> | 6 |' in text


def test_an_outlier_does_not_hide_decimals(tmp_path):
    put(
        tmp_path,
        *(fake(f'r{i}', order=i, metrics={'ppl': metric(x)})
          for i, x in enumerate((4.81, 4.92, 5e4))))
    text = report.render([tmp_path], 'markdown')[0]
    assert '| **4.81**† |' in text and '50000.00†' in text
    assert tables.digits([3e3, 5e3, 7e3], [.5]) == 1 and tables.digits([.01, .02], [.5]) == 4


def everything(folder):
    """Tables with all that one can hold: committed results and rows that failed, are missing or
    have two settings.
    """
    toy(folder / 'toy', 3)
    put(
        folder / 'toy', fake('two', order=5),
        fake('two', order=5, config={'lr': 1}, config_hash='f' * 10),
        fake('lost', order=6, status='failed', reason='kl is nan', metrics={}),
        fake('warned', order=7,
             metrics={'kl': metric(1 / 3, warning='odd'), 'au': metric(float('nan'))}))
    return tables.collect([folder / 'toy', COMMITTED / 'ptb-small',
                           COMMITTED / 'quickstart'])[0]


def test_csv_loses_no_number(tmp_path):
    found = everything(tmp_path)
    lines = iter(csv.DictReader(io.StringIO(formats.to_csv(found))))
    for table in found:
        for row in table.rows:
            for c in table.columns:
                cell, line = row.cells[c.name], next(lines)
                assert (line['table'], line['row'], line['metric']) == (table.table, row.row,
                                                                        c.name)
                number = lambda key: float(line[key]) if line[key] else None     # noqa: B023
                summary = tuple(number(k) for k in ('mean', 'low', 'high', 'seeds'))
                assert summary == (cell.summary or (None,) * 4) and number('stderr') == (
                    cell.stderr if cell.summary else None)
                pairs = [p.split(':') for p in line['values'].split(';') if p]
                assert {int(k): float(v) for k, v in pairs} == cell.seeds
            assert [float(next(lines)['mean'] or 'nan') for _ in layout.facts(table)] == pytest.approx(
                [np.nan if row.facts[n] is None else row.facts[n] for n in layout.facts(table)], abs=0,
                rel=0, nan_ok=True)
            assert [next(lines)['text']
                    for _ in row.published] == [v.text for v, _, _ in row.published]
    assert next(lines, None) is None


def test_json_reads_back_as_it_was(tmp_path):
    found = everything(tmp_path)
    back = formats.read_json(formats.to_json(found))
    assert back == found and formats.to_json(back) == formats.to_json(found)
    assert [type(x) for t in back for x in (t, t.columns[0], *t.rows)] == [
        type(x) for t in found for x in (t, t.columns[0], *t.rows)]
    for form, function in formats.FORMATS.items():
        assert function(back) == function(found), form


def test_json_round_trip(tmp_path):
    found = tables.collect([toy(tmp_path, 5)])[0]
    table, = json.loads(formats.to_json(found))['tables']
    written = {(r.row, r.seed): r for r in results.read_all(tmp_path)[0]}
    for row in table['rows']:
        assert (row['steps'], row['parameters'], row['train']) == (1000, 12345, 12.5)
        for name, cell in row['metrics'].items():
            assert cell['seeds'] == {
                str(s): r.metrics[name].value for (k, s), r in written.items()
                if k == row['row'] and name in r.metrics}
            if cell['seeds']:
                assert cell['mean'] == pytest.approx(np.mean(list(cell['seeds'].values())),
                                                     abs=1e-12)


def test_latex_is_balanced_and_escaped(tmp_path):
    put(
        tmp_path,
        fake('a', label='50% & β_1 #2 {x} ~^\\ $', title='100% "sure"',
             metrics={'f_1': metric(1.)}), fake('b', label='[0] *', order=1, metrics={}),
        fake('c', order=2, status='failed', reason='a_b'))
    text, _ = report.render([tmp_path], 'latex')
    label = (r'50\% \& \ensuremath{\beta}\_1 \#2 \{x\} '
             r'{\textasciitilde}{\textasciicircum}{\textbackslash} \$')
    assert f'{label} &' in text
    assert r'\caption{100\% {\textquotedblleft}sure{\textquotedblright}}' in text
    assert r'f\_1 (nats/sentence) \ensuremath{\downarrow}' in text
    assert '\n{}[0] * & {\\textemdash} &' in text and r'failed: a\_b' in text
    assert text.startswith('% \\usepackage{')
    bare = re.sub(r'\\.', '', text)
    assert bare.count('{') == bare.count('}') and bare.count('$') % 2 == 0
    depth = 0
    for c in bare:
        depth += (c == '{') - (c == '}')
        assert depth >= 0
    assert re.findall(r'\\begin\{(\w+)\}', text) == re.findall(
        r'\\end\{(\w+)\}', text)[::-1] == ['table', 'tabular']
    assert len({
        len(re.findall(r'(?<!\\)&', line))
        for line in text.splitlines() if line.endswith(r' \\')
    }) == 1
    assert text.isascii()


def test_latex_of_any_text_is_ascii_and_balanced():
    text = 'β Ω ς ο Α é ñ Ő ş ij ² ₁ 中 🙂 ½ ﬁ -- \'\' ,, ?` "a" \\ ← ⌊x⌋ \u200b ё'
    escaped = latex.escape(text)
    assert escaped.isascii() and escaped.count('$') % 2 == 0 and escaped.count(
        '{') == escaped.count('}')
    for part in (
            r'\ensuremath{\beta} \ensuremath{\Omega} \ensuremath{\varsigma} o A',
            r"\'e \~n \H{O} \c{s} ij \ensuremath{^2} \ensuremath{_1} \texttt{U+4E2D}",
            r'\texttt{U+4E2D} \texttt{U+1F642} 1/2',
            "fi -{}- '{}' ,{}, ?{}` {\\textquotedblleft}a{\\textquotedblright} "
            '{\\textbackslash}',
            r'\ensuremath{\leftarrow} \ensuremath{\lfloor}x\ensuremath{\rfloor} \texttt{U+200B}'
    ):
        assert part in escaped


def test_latex_means_what_the_text_said():
    from pylatexenc.latex2text import LatexNodes2Text
    text = (
        'β Ω é ñ Ő Ű ş ø Łukasz naïve – — … † · ± ≤ ≥ ≠ ≈ ∞ ∈ ∑ ∂ ⌊x⌋ ℓ ↑ → × § £ 50% & #2 a_1 '
        '{b} ~ $ < >')
    for word in text.split():
        assert LatexNodes2Text().latex_to_text(latex.escape(word)) == word


def compiled(folder, text):
    """The log of pdflatex, which must not stop."""
    if not shutil.which('pdflatex'):
        pytest.skip(
            'no pdflatex: install TeX, on Debian with apt-get install texlive-latex-base')
    head = '\\documentclass{article}\n' + text.splitlines()[0].removeprefix('% ')
    (folder / 'x.tex').write_text(f'{head}\n\\begin{{document}}\n{text}\\end{{document}}\n')
    for _ in range(2):
        run = subprocess.run(
            ['pdflatex', '-interaction=nonstopmode', '-halt-on-error', 'x.tex'], cwd=folder,
            capture_output=True, text=True, errors='replace')
        assert run.returncode == 0, run.stdout[-2000:]
    return (folder / 'x.log').read_text(errors='replace')


def test_latex_compiles(tmp_path):
    signs = ''.join((*latex._SIGNS, *latex._PLAIN, *map(chr, range(0xA1, 0x250)),
                     *map(chr, range(0x391, 0x3CA))))
    put(
        tmp_path / 'a',
        fake('a', label='50% & β_1 #2 {x} ~^\\ $', title='100% "sure"',
             metrics={'f_1': metric(1.)}), fake('b', label='[0] *', order=1, metrics={}),
        fake('z', label=signs, order=2, metrics={}),
        fake('c', order=2, status='failed', reason='a_b ' * 40))
    log = compiled(tmp_path, report.render([tmp_path / 'a'], 'latex')[0])
    assert 'Missing character' not in log and 'Overfull' not in log


def test_long_and_wide_tables_break_across_pages(tmp_path):
    names = [f'metric_{i}' for i in range(9)]
    put(
        tmp_path / 'a',
        *(fake(f'r{i}', s, label=f'method & number {i:02}', order=i,
               metrics={m: metric(100. + i + s, stderr=.5)
                        for m in names}) for i in range(60) for s in range(2)))
    text = report.render([tmp_path / 'a'], 'latex', metrics=['all'])[0]
    parts = re.findall(r'\\begin\{longtable\}.*?\\end\{longtable\}', text, re.S)
    assert len(parts) > 2 and '{table}' not in text
    for part in parts:
        assert part.count('method \\& number ') == 60
    assert [
        n for n in names for part in parts if latex.escape(n) in part.split(r'\endfirsthead')[0]
    ] == names
    log = compiled(tmp_path, text)
    assert 'Missing character' not in log and 'Overfull \\hbox' not in log
    pages = int(re.search(r'\((\d+) pages', log)[1])
    assert pages >= 2 * len(parts)


def rendered(text):
    """(paragraphs, tables as rows of cells) of Markdown as GitHub shows it, without
    emphasis."""
    markdown_it = pytest.importorskip('markdown_it')
    tokens = markdown_it.MarkdownIt('commonmark').enable('table').parse(text)
    plain = lambda t: re.sub('</?sub>', '', ''.join(c.content for c in t.children))
    lines, grids, cell = [], [], False
    for token in tokens:
        if token.type == 'table_open':
            grids.append([])
        elif token.type == 'tr_open':
            grids[-1].append([])
        elif token.type in ('th_open', 'td_open', 'th_close', 'td_close'):
            cell = token.type.endswith('open')
        elif token.type == 'inline':
            (grids[-1][-1] if cell else lines).append(plain(token))
    return lines, grids


def test_markdown_renders(tmp_path):
    found = everything(tmp_path)
    put(
        tmp_path / 'odd',
        fake('a', label='x|y <b> *z* _u_ ~~v~~ `w` &amp; [p](q) \\',
             title='1. #2 *t* <!-- [r]: s',
             metrics={'f_1 | _g_ ^': metric(-1.5, note='- a <i> note_')}))
    found += tables.collect([tmp_path / 'odd'])[0]
    lines, grids = rendered(formats.to_markdown(found))
    assert len(grids) == len(found)
    for table, grid in zip(found, grids, strict=True):
        headers, rows = layout.grid(table)
        assert grid[0] == [str(h) for h in headers]
        for cells, row in zip(grid[1:], rows, strict=True):
            assert cells == [
                p if isinstance(p, str) else p.main + '†' * p.dagger +
                ' ' * bool(p.small or p.marks) + ' '.join(filter(None, [p.small, p.marks]))
                for p in row
            ]
        assert {table.title, *layout.below(table, 'Bold')} <= set(lines)
        assert {f'[{i}] {note}' for i, note in enumerate(table.notes, 1)} <= set(lines)


def test_markdown_cells_stay_cells(tmp_path):
    put(tmp_path, fake('a', label='x|y <b> *z*\n2', value=100.5))
    line = next(line for line in report.render([tmp_path], 'markdown')[0].splitlines()
                if 'x' in line and 'y' in line)
    assert line.startswith(r'| x\|y \<b\> \*z\* 2 | 100.50† |')


def test_terminal(tmp_path):
    text = report.render([toy(tmp_path)], 'terminal')[0]
    assert '98.75*' in text and '98.00–99.50' in text and '\x1b' not in text
    assert '*: best of its estimator' in text and not any(line != line.rstrip()
                                                          for line in text.splitlines())
    assert 'se 0.50' not in text
    assert '98.00–99.50 se 0.50' in report.render([tmp_path], 'terminal', noise=True)[0]
    assert re.search(r'\x1b\[1m *98.75\*', report.render([tmp_path], 'terminal', color=True)[0])


@pytest.mark.parametrize(('value', 'shown'), [(4e66, '4e+66'), (1234.56, '1234.6'),
                                              (101.234, '101.23'), (0.5, '0.500'),
                                              (0.00012345, '0.000123'), (-0.0001, '-0.000100'),
                                              (0., '0'), (32, '32')])
def test_digits(tmp_path, value, shown):
    put(tmp_path, fake(metrics={'m': metric(value)}))
    assert f'| {shown}† |' in report.render([tmp_path], 'markdown')[0]
