"""The HTML page: what it holds, that it needs nothing else, that no result can break it."""
import base64
import hashlib
import html.parser
import json
import pathlib
import re

import numpy as np
import pytest
from test_published import PTB, setting_of
from test_report import IW, put, toy
from test_results import fake, metric

from vaebench.experiment import results
from vaebench.report import page, published, statistics, tables

VOID = {'meta', 'link', 'input', 'img'}
TEXT = {'td', 'th', 'script', 'title', 'style', 'article', 'li', 'a', 'dd', 'h2', 'figcaption',
        'p'}


class Tree(html.parser.HTMLParser):
    """The elements of a page as (tag, attributes, text); fails where a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.all = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        node = [tag, dict(attributes), '']
        self.all.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for node in self.open:
            if node[0] in TEXT:
                node[2] += data

    def find(self, tag, start=''):
        return [node for node in self.all
                if node[0] == tag and node[2].strip().startswith(start)]

    def row(self, label, after=0):
        """The cells of a body's row: [(attributes, text)]."""
        cells = [node for node in self.all if node[0] in ('td', 'th')]
        at = [i for i, node in enumerate(cells)
              if node[1].get('scope') == 'row' and node[2].split(': ')[0] == label][after]
        end = next((i for i in range(at + 1, len(cells)) if cells[i][0] == 'th'), len(cells))
        return [tuple(node[1:]) for node in cells[at:end]]

    def data(self):
        return json.loads(self.find('script')[-1][2])


def collect(folder):
    found, problems = tables.collect([folder])
    assert problems == []
    return found


def lab(folder):
    """Tables `toy`, of which a seed failed, a row failed and one is missing, and `ptb`.

    The latter has published numbers.
    """
    toy(folder / 'results', 3)
    rows = {**{r.row: r.config_hash for r in results.read_all(folder / 'results')[0]},
            'bad': fake('bad')['config_hash'], 'gone': '0' * 10}
    failed = {'status': 'failed', 'metrics': {}}
    put(folder / 'results',
        fake('vae', 3, order=1, reason='non-finite rec\nat step 30', **failed),
        fake('bad', 0, order=3, reason='kl is nan', **failed))
    compared = {'rec': metric(102.5), 'kl': metric(0.25, better=None)}
    penn = {'table': 'ptb', 'dataset': PTB, 'published': ['A9/fbp'],
            'config': setting_of('A9/fbp', 'ptb')}
    put(folder / 'results', fake('penn', 0, metrics=compared, **penn),
        fake('penn', 1, metrics=compared | {'rec': metric(103.5)}, **penn))
    results.write_manifest(folder, {'tables': [
        {'table': 'toy', 'title': 'Toy table', 'seeds': [0, 1, 2], 'rows': [
            {'row': r, 'label': r.upper(), 'order': i, 'hash': h,
             **({'seeds': [0, 1, 2, 3]} if r == 'vae' else {})}
            for i, (r, h) in enumerate(rows.items())]},
        {'table': 'ptb', 'title': 'Penn', 'seeds': [0, 1], 'rows': [
            {'row': 'penn', 'label': 'VAE of Penn', 'order': 0,
             'hash': fake('penn')['config_hash'], 'published': ['A9/fbp']}]}]})
    return folder


def large(rows=120, seeds=5, metrics=12):
    """A table of so many result files, made without a disk; one row in ten lacks a number."""
    rng = np.random.default_rng(0)
    found = []
    for r in range(rows):
        for seed in range(seeds):
            values = {f'metric_{m}': metric(float(rng.normal(10 * m + 100, 5)), IW, stderr=0.5,
                                            samples=500,
                                            better=('lower', 'higher', None)[m % 3],
                                            note=f'a note on row {r}' if m == 1 else None)
                      for m in range(metrics) if m or r % 10}
            result = results.checked(
                fake(f'row_{r}', seed, order=r, table='large', metrics=values,
                     label=f'Method {r} (with a label)'))
            found.append(tables.Found(pathlib.Path(results.filename(result)), result))
    return tables.build('large', found)


def test_a_cell_and_what_stands_behind_it(tmp_path):
    tree = Tree(page.render(collect(toy(tmp_path))))
    (_, name), seeds, (attributes, text), *_ = tree.row('FB')
    low, high = 98., 99.5
    assert name == 'FB: free bits' and seeds[1] == '2' and seeds[0]['data-sort'] == '2'
    assert text == f'★best: 98.75{low:.2f}–{high:.2f} se 0.50 '
    assert float(attributes['data-sort']) == 98.75
    assert attributes['class'] == 'best' and tree.row('LM')[3] == ({'class': 'gap'}, '—')
    data = tree.data()
    panel, strings = data['tables']['toy'], data['strings']
    assert panel['columns'][0][:3] == ['nll_iw', 'nats/sentence', 'lower']
    assert strings[panel['columns'][0][3]] == f'{IW} (10 examples, 500 samples)'
    fb = panel['rows'][2]
    mean, a, b, n, stderr, estimator, best, notes, values = fb['cells'][0]
    assert (mean, n, stderr, best, notes, values) == (98.75, 2, 0.5, 1, [], [0, 98., 1, 99.5])
    np.testing.assert_allclose([a, b], [low, high], rtol=1e-6)
    assert strings[estimator] == f'{IW} (10 examples, 500 samples)'
    seed, reason, *texts, train, evaluate, compiled = fb['runs'][1]
    config = fake('fb')['config_hash']
    assert (seed, reason, train, evaluate, compiled) == (1, None, 12.5, 1., 3.)
    assert [strings[i] for i in texts] == [f'fb.s1.{config}.json', 'fb', config, 'a' * 40,
                                           '1 x cpu']
    heads = {node[1]['data-name']: node for node in tree.find('th')
             if node[1].get('scope') == 'col'}
    assert heads['nll_iw'][2] == 'nll_iw ↓ (lower is better)nats/sentence'
    assert heads['kl'][2] == 'klnats/sentence'
    assert heads['au'][1]['data-better'] == 'higher' and '↑' in heads['au'][2]
    assert tree.find('li', '[1] nll_iw: exact (10 examples); ranked apart')
    assert tree.find('p', 'Dataset: toy (test), sha256 0123456789ab')
    assert tree.find('dd', f'{IW} (10 ex')


def test_sort_keys_are_exact(tmp_path):
    put(tmp_path, *(fake(seed=i, value=v) for i, v in enumerate([1 / 3, 1e-9])))
    cell = Tree(page.render(collect(tmp_path))).row('VAE')[2]
    assert float(cell[0]['data-sort']) == np.mean([1 / 3, 1e-9])


def test_failed_and_missing_cells_are_shown_with_their_reason(tmp_path):
    tree = Tree(page.render(collect(lab(tmp_path))))
    assert [c[1] for c in tree.row('BAD')[2:5]] == ['failed: kl is nan', 'failed', 'failed']
    assert [c[1] for c in tree.row('GONE')[2:5]] == ['missing'] * 3
    lost = [cell for name in ('BAD', 'GONE') for cell in tree.row(name)[2:5]]
    assert all('data-sort' not in cell[0] for cell in lost)
    assert tree.row('VAE')[1][1].startswith('3 of 4 [')
    data = tree.data()
    rows = {r['id']: r for r in data['tables']['toy']['rows']}
    reasons = [data['strings'][r[1]] for r in rows['vae']['runs'] if r[1] is not None]
    assert reasons == ['non-finite rec at step 30']
    assert rows['bad']['cells'][0] == 'failed: kl is nan' and rows['gone']['runs'] == []
    assert tree.find('li', '[2] VAE: seed 3 failed: non-finite rec at step 30')


def test_published_numbers_and_the_difference(tmp_path):
    tree = Tree(page.render(collect(lab(tmp_path))))
    values, comparable = published.values('A9/fbp', 'ptb'), 0
    for i, value in enumerate(values):
        _, name, theirs, ours, difference, source, verdict = tree.row('VAE of Penn', 1 + i)
        assert name[1] == f'{value.name}{value.unit}; {value.estimator}'
        assert source[1] == value.table == 'A9'
        assert theirs[1] == value.text and float(theirs[0]['data-sort']) == value.value
        if value.ours == 'rec':
            comparable += 1
            low, high = 102.5, 103.5
            gap, signed = 103. - value.value, lambda x: f'{x:+.2f}'.replace('-', '−')
            assert verdict[1] == f'✓ same setting{value.remark}' and value.remark
            assert ours[1] == f'103.00{low:.2f} to {high:.2f}'
            assert float(difference[0]['data-sort']) == pytest.approx(gap, abs=1e-12)
            ends = f'{signed(low - value.value)} to {signed(high - value.value)}'
            assert difference[1] == f'+{gap:.2f}{ends}'
            cell = tree.row('VAE of Penn')[2][1]
            assert cell.startswith('103.00102.50–103.50')
            assert cell.endswith(f'A9: {value.text}, Δ +{gap:.2f}')
        elif value.ours == 'kl':
            assert ours[1].startswith('0.25') and difference[1].startswith('−2.70')
            assert 'same' in verdict[1]
        else:
            assert verdict[1].startswith('✗ not comparable') and ours[1] == difference[1] == '—'
            assert verdict[1].endswith(value.why or f'{value.ours} not measured here')
    assert comparable == 1 and len(values) == 3 and tree.find('li', 'A9: Fang et al.')
    row = tree.data()['tables']['ptb']['rows'][0]['published']
    assert row[0] == ['rec', 'Rec', '98.52', 'A9', 'same setting', '+4.48', values[0].remark]


EVIL = '</script><script>alert("1")</script> & \'x\' <img src=http://a.b/c onerror=x>'


def test_no_text_of_a_result_becomes_markup(tmp_path):
    result = fake(label=f'L {EVIL}', title=f'T {EVIL}', metrics={
        'm': metric(1., f'E {EVIL}', unit=f'U {EVIL}', note=f'N {EVIL}'), 'n<b>"': metric(2.)})
    failed = {'status': 'failed', 'reason': f'R {EVIL}', 'metrics': {}}
    put(tmp_path, result, fake('bad', 1, order=1, **failed))
    cards = {'vae': {'title': f'C {EVIL}', 'summary': EVIL, 'body': EVIL, 'source': EVIL,
                     'cite': EVIL}}
    figures = {'toy': [(f'F {EVIL}', f'"{EVIL}', b'x', 'png')]}
    text = page.render(collect(tmp_path), figures, cards, title=EVIL)
    tree = Tree(text)
    assert len(tree.find('script')) == 2 and text.count('<script') == 2
    assert text.count('<img') == 1
    assert tree.find('title')[0][2] == EVIL and tree.find('h2', 'T ')[0][2] == f'T {EVIL}'
    assert tree.find('figcaption')[0][2] == f'F {EVIL}'
    row = tree.data()['tables']['toy']['rows'][0]
    assert row['label'] == f'L {EVIL}' and tree.row(f'L {EVIL}')
    assert not [a for _, attributes, _ in tree.all for a in attributes if a.startswith('on')]


def test_nothing_is_fetched(tmp_path):
    png, svg = b'\x89PNG...', b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    figures = {'toy': [('One', 'a line', png, 'png'), ('Two', 'a plane', svg, 'svg')],
               'other': []}
    cards = {'vae': {'title': 'VAE', 'cite': 'https://a.b'}}
    tree = Tree(page.render(collect(lab(tmp_path)), figures, cards))
    for tag, attributes, _ in tree.all:
        assert not attributes.keys() & {'srcset', 'action', 'data', 'poster', 'background',
                                        'style'}
        for name in attributes.keys() & {'src', 'href'}:
            start = '#' if tag == 'a' else 'data:'
            assert attributes[name].startswith(start), (tag, attributes)
    images = tree.find('img')
    assert [base64.b64decode(i[1]['src'].split(',')[1]) for i in images] == [png, svg]
    kinds = [i[1]['src'].split(';')[0] for i in images]
    assert kinds == ['data:image/png', 'data:image/svg+xml']
    assert [i[1]['alt'] for i in images] == ['a line', 'a plane']
    style, script = tree.find('style')[0][2], tree.find('script')[0][2]
    assert not re.search(r'url\(|@import|@font-face', style)
    assert not re.search(r'fetch\(|XMLHttp|import\b|WebSocket|sendBeacon|https?:', script)
    assert not re.search(r'innerHTML|eval\(', script)
    policy = next(a['content'] for t, a, _ in tree.all
                  if t == 'meta' and 'content' in a and 'http-equiv' in a)
    assert policy.startswith("default-src 'none';")
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_every_control_names_something_that_exists_once(tmp_path):
    found = collect(lab(tmp_path))
    odd = [found[0]._replace(table=name)
           for name in ('toy', 'a b/c', 'vb-data', 'vb-methods', 'vb-data')]
    tree = Tree(page.render(odd, cards={'vae': {'title': 'VAE'}}, extra=found[1:]))
    ids = [a['id'] for _, a, _ in tree.all if 'id' in a]
    assert len(ids) == len(set(ids)) and not any(re.search(r'\s', i) for i in ids)
    for _, attributes, _ in tree.all:
        for name in attributes.keys() & {'aria-controls', 'aria-labelledby'}:
            assert attributes[name] in ids
    tabs = [a for t, a, _ in tree.all if a.get('role') == 'tab']
    assert [a['href'][1:] for a in tabs] == [a['aria-controls'] for a in tabs]
    assert len(tabs) == 7 == sum(a.get('role') == 'tabpanel' for _, a, _ in tree.all)
    assert list(tree.data()['tables']) == [a['aria-controls'] for a in tabs[:-1]]


def test_cards_of_methods_and_of_rows(tmp_path):
    cards = {'fb': {'title': 'Free bits', 'body': 'One.\n\nEquation:\n  a = b\n  c'},
             'own': {'title': 'Own'}, 'third': {'title': 'Of a row'},
             'unused': {'title': 'Nobody'}}
    put(toy(tmp_path), fake('other', order=5, method='own'),
        fake('unused', order=6, method='own'), fake('third', order=7, method='nameless'))
    (found,) = collect(tmp_path)
    bare = found._replace(table='overall', rows=tuple(r._replace(runs=()) for r in found.rows))
    tree = Tree(page.render([found], cards=cards, extra=[bare]))
    articles = [' '.join(node[2].split()) for node in tree.find('article')]
    assert articles == ['Free bits One. Equation: a = b c', 'Own', 'Of a row']
    # A row that is named as a method that it is not has that method's card nowhere.
    for table in ('toy', 'overall'):
        rows = {r['id']: r['card'] for r in tree.data()['tables'][table]['rows']}
        assert rows == {'lm': None, 'vae': None, 'fb': 0, 'other': 1, 'unused': 1, 'third': 2}


def test_tables_without_runs_or_facts(tmp_path):
    """As aggregates are: numbers without seeds, with and without an interval, beside words."""
    column = tables.Column('score', '%', 'higher', 'points', 1)
    summary = lambda *values: statistics.Summary(*values)
    cells = [tables.Cell({}, summary(50., 40., 60., 6), None, True, '', 'points', ()),
             tables.Cell({}, summary(-7., None, None, 0), None, False, 'of two', 'points',
                         (1,)),
             tables.Cell({}, None, None, False, 'missing', '', ())]
    facts = dict.fromkeys(tables.FACTS)
    rows = tuple(tables.Row(f'r{i}', f'R{i}', i, {'score': c}, facts, '6', (), ())
                 for i, c in enumerate(cells))
    overall = tables.Table('overall', 'All tables', (column,), rows, (), ('a note',), ())
    tree = Tree(page.render(collect(toy(tmp_path)), extra=[overall]))
    texts = [tree.row(f'R{i}')[2][1] for i in range(3)]
    assert texts == ['★best: 50.0[40.0, 60.0] ', '−7.0of two [1]', 'missing']
    assert [len(tree.row(f'R{i}')) for i in range(3)] == [3] * 3 and len(tree.row('FB')) == 8
    assert tree.find('a')[-1][2] == 'overall'
    assert tree.data()['tables']['overall']['rows'][0]['runs'] == []
    assert Tree(page.render([], extra=[overall])).row('R0')


def test_bytes_are_reproducible(tmp_path):
    first = lab(tmp_path / 'a')
    once = page.render(collect(first))
    second = tmp_path / 'b'
    put(second / 'results', *reversed(results.read_all(first / 'results')[0]))
    results.write_manifest(second, results.read_manifest(first))
    assert once == page.render(collect(first)) == page.render(collect(second))
    assert str(tmp_path) not in once and '/home' not in once


def test_a_large_table_stays_small():
    text = page.render([large()])
    assert 3e5 < len(text.encode()) < 1.5e6
    rows = Tree(text).data()['tables']['large']['rows']
    assert len(rows) == 120 and all(len(r['runs']) == 5 for r in rows)
    numbers = [c for r in rows for c in r['cells'] if isinstance(c, list) and len(c) > 2]
    assert len(numbers) == 120 * 12 - 12
