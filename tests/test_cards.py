"""Model cards and BibTeX: complete for the registry, true to the docstrings, and harmless without jax."""
import ast
import functools
import inspect
import pathlib
import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt
from test_report import put
from test_results import fake

from vaebench.methods import METHODS, Entry
from vaebench.report import cards, tables

FILES = sorted((pathlib.Path(__file__).parent.parent / 'vaebench' / 'methods').glob('*.py'))


def entries(text):
    """{key: {field: value}} of BibTeX, by a reader of its own that counts braces; raises where they do not balance."""
    found, i = {}, 0
    while (i := text.find('@', i)) >= 0:
        start, depth, i = text.index('{', i), 1, text.index('{', i) + 1
        while depth:
            depth += {'{': 1, '}': -1}.get(text[i], 0)
            i += 1
        name, *fields = re.split(r',\n\s*(?=\w+ = )', text[start + 1:i - 1].strip())
        assert re.fullmatch(r'[a-z0-9]+', name) and name not in found
        found[name] = dict(re.fullmatch(r'(\w+) = \{(.*)\}', f, re.S).groups() for f in fields)
    return found


def method(name, **options):
    """A row of a results file that was made by a method."""
    return fake(name.replace(':', '_'), method=name, **options)


def collect(tmp_path, *many):
    return tables.collect([put(tmp_path, *many)])[0]


# The registry


@pytest.mark.parametrize('name', METHODS)
def test_every_card_is_complete(name):
    card, entry = cards.card(name), METHODS[name]
    assert card.method == name and card.title == card.what[0] and card.title.endswith('.')
    assert card.paper == entry.paper and card.tracks == entry.track
    assert card.equation and card.deviations.endswith('.')
    assert list(card.hp) == list(entry.hp) and list(card.options) == list(entry.options)
    assert all(value == entry.hp[k] and word for k, (value, word) in card.hp.items())
    if 'scikit-learn' not in card.title:       # whose own options are theirs to explain
        assert all(value == entry.options[k] and word for k, (value, word) in card.options.items())
    assert len(card.key) == entry.paper.count('; ') + 1 if re.search(r'\d{4}', entry.paper) else not card.key


def test_nothing_is_said_of_numbers_that_do_not_exist():
    known = {k for e in METHODS.values() for k in e.hp}
    for entry in METHODS.values():
        doc = inspect.getdoc(entry.factory)
        assert set(cards._numbers(cards.sections(doc)[0])[1]) <= known, entry.factory


def test_every_reference_has_one_year_and_title():
    """An arXiv number stands for one paper, in the registry and in every docstring of the methods."""
    found = [p for e in METHODS.values() for p in cards.papers(e.paper)]
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(node):
                text = cards.sections(ast.get_docstring(node))[1].get('References', '')
                found += [p for e in re.split(r'\n(?=\S)', re.sub(r'\n(?=\(|arXiv)', ' ', text))
                          for p in cards.papers(' '.join(e.split()))]
    assert len(found) > 120
    for same in (lambda p: p.arxiv, lambda p: cards._plain(p.title)):
        groups = {}
        for p in found:
            groups.setdefault(same(p), set()).add((p.authors[0], cards._plain(p.title), p.year, p.arxiv))
        assert {k: v for k, v in groups.items() if k and len(v) > 1} == {}


def test_references_name_the_papers_of_the_registry():
    for name, entry in METHODS.items():
        doc = ' '.join(inspect.getdoc(entry.factory).split())
        for paper in cards.papers(entry.paper):
            assert paper.arxiv in doc, name
            assert cards._plain(paper.title) in cards._plain(doc) or 'registry' in doc, name


# One card


def factory(kit, plan, *, width=3, depth=2):
    """It is a thing.

    It has `code`, a * star and a < sign.

    hp: `a`, first; `b` and `c`, both, in nats; those of `other`. What follows
    stays. So does this.

    Args:
      kit: the networks.
      width: of it, which
        goes on.
      depth: see `other`.

    Returns:
      A `Method`.

    Equation:
      a = b
        + c | d

    Deviations:
      It differs, and
      so on.

    References:
      Doe, "A Thing", 2020.
    """


def other(kit, plan, *, depth=2):
    """Another.

    hp: `d`, the last; those of `factory`.

    Args:
      depth: how deep.
    """


@pytest.fixture
def foreign(monkeypatch):
    """A package's methods: a documented one, and one that says nothing."""
    entry = Entry(functools.partial(factory, width=4), {'a': 1., 'b': .5, 'd': 2., 'e': 3.},
                  'Doe et al., A Thing, 2020', ('text',), {'width': 4, 'depth': 1})
    monkeypatch.setitem(METHODS, 'thing', entry)
    monkeypatch.setitem(METHODS, 'bare', Entry(lambda kit, plan: None, {'a': 1.}, 'nobody', ('image',)))


def test_what_a_card_reads(foreign):
    card = cards.card('thing')
    assert card.what == ('It is a thing.', 'It has `code`, a * star and a < sign.', 'What follows stays. So does this.')
    assert card.hp == {'a': (1., 'first'), 'b': (.5, 'both, in nats'), 'd': (2., 'the last'), 'e': (3., '')}
    assert card.options == {'width': (4, 'of it, which goes on'), 'depth': (1, 'how deep')}
    assert card.equation == 'a = b\n  + c | d' and card.deviations == 'It differs, and so on.'
    assert card.key == ('doe2020thing',) and card.factory.endswith('.factory')


def test_markdown(foreign):
    assert cards.markdown(['thing']).split('\n', 4)[4] == r'''## `thing`

It is a thing.

It has `code`, a \* star and a \< sign.

What follows stays. So does this.

**Equation**

```text
a = b
  + c | d
```

**Deviations.** It differs, and so on.

| method | numbers | options | for | source | BibTeX |
| --- | --- | --- | --- | --- | --- |
| `thing` | a 1, b 0.5, d 2, e 3 | width 4, depth 1 | text | Doe et al., A Thing, 2020 | doe2020thing |

- `a`: first
- `b`: both, in nats
- `d`: the last
- `width`: of it, which goes on
- `depth`: how deep
'''


def test_markdown_renders():
    page = MarkdownIt().enable('table').render(cards.markdown(list(METHODS)))
    groups = {e.factory for e in METHODS.values()}
    for tag in ('table', 'pre', 'h2'):
        assert page.count(f'<{tag}>') == page.count(f'</{tag}>') == len(groups)
    assert page.count('<tr>') == len(groups) + len(METHODS) and '<em>' not in page
    assert page.count('<strong>') == 2 * len(groups) and '\\' not in page


def test_an_undocumented_method_says_so(foreign):
    text = cards.markdown(['bare'])
    assert text.count('Not stated.') == 3 and '`bare` | a 1 |' in text
    assert cards.blocks(['bare'])['bare']['body'] == [
        'Equation:\nNot stated.', 'Deviations: Not stated.', 'Numbers: a 1']


def test_an_unknown_method_says_so(tmp_path):
    found = collect(tmp_path, method('vae'), method('theirs', order=1))
    assert cards.card('theirs').what == (cards.UNKNOWN,)
    text = cards.markdown(found)
    assert text.endswith(f'## `theirs`\n\n{cards.UNKNOWN}\n') and '## `vae`' in text
    assert f'% theirs: {cards.UNKNOWN}' in cards.cite(found)
    assert cards.blocks(['theirs'])['theirs'] == {
        'title': 'theirs', 'summary': cards.UNKNOWN, 'body': [], 'source': '', 'cite': ''}


def test_rows_of_a_factory_stand_together_once(tmp_path):
    names = ['beta_vae', 'fb', 'vae']
    found = collect(tmp_path, *(method(m, order=i, seed=s) for i, m in enumerate(names) for s in (0, 1)))
    assert cards.named(found) == names == cards.named([*found, 'vae'])
    text = cards.markdown(found)
    assert re.findall(r'^## (.*)', text, re.M) == ['`beta_vae`, `vae`', '`fb`']
    assert '| `beta_vae` | beta 0.5,' in text and '| `vae` | beta 1,' in text
    assert text == cards.markdown(names)


def test_a_row_without_results_has_the_card_of_its_name(tmp_path):
    table = collect(tmp_path, method('vae'))[0]
    rows = [r._replace(row=name, runs=()) for r, name in zip(table.rows * 2, ('fb', 'my_row'), strict=True)]
    assert cards.named([table._replace(rows=(*table.rows, *rows))]) == ['vae', 'fb']


def test_blocks_of_the_registry_are_plain_text():
    found = cards.blocks(list(METHODS))
    assert list(found) == list(METHODS)
    for block in found.values():
        assert '`' not in block['summary'] + ''.join(block['body'])
        assert any(p.startswith('Deviations: ') for p in block['body'])
    assert 'Options: estimator pca (key of ESTIMATORS)' in found['pca']['body']
    assert found['vae']['cite'] == cards.bibtex(cards.papers(METHODS['vae'].paper))
    assert found['vae']['summary'].startswith('VAE; with other hp')


# BibTeX


@pytest.mark.parametrize(('text', 'paper'), [
    ('Bowman et al., Generating Sentences, 2016, arXiv:1511.06349',
     (('Bowman', 'others'), 'Generating Sentences', '2016', '1511.06349', '')),
    ('Li et al., "A, B and C", 2019', (('Li', 'others'), 'A, B and C', '2019', '', '')),
    ('Pearson, On Lines and Planes, 1901', (('Pearson',), 'On Lines and Planes', '1901', '', '')),
    ('Tenenbaum, de Silva and Langford, A Global, Flat Map, 2000',
     (('Tenenbaum', 'de Silva', 'Langford'), 'A Global, Flat Map', '2000', '', '')),
    ('van der Maaten and Hinton, Visualizing Data, 2008 (its t-SNE, 1)',
     (('van der Maaten', 'Hinton'), 'Visualizing Data', '2008', '', '')),
    ('Ding and Gimpel, FlowPrior, NAACL 2021 (its +FB)', (('Ding', 'Gimpel'), 'FlowPrior', '2021', '', 'NAACL')),
])
def test_papers(text, paper):
    assert cards.papers(text) == [cards.Paper(*paper)]
    assert cards.papers(f'{text}; {text}') == [cards.Paper(*paper)] * 2


@pytest.mark.parametrize('text', ['', 'the synthetic corpus itself', 'a Title, 2020', 'Doe, 2020', 'Doe, Title'])
def test_no_papers(text):
    assert cards.papers(text) == []


def test_bibtex_of_the_registry(tmp_path):
    text = cards.cite(list(METHODS))
    found = entries(text)
    assert list(found) == ['vaebench', *sorted(found.keys() - {'vaebench'})] and text.isascii()
    assert set(found) - {'vaebench'} == {k for m in METHODS for k in cards.card(m).key}
    assert found['bowman2016generating'] == {
        'author': 'Bowman and others', 'title': '{Generating Sentences from a Continuous Space}', 'year': '2016',
        'eprint': '1511.06349', 'archivePrefix': 'arXiv'}
    assert found['tenenbaum2000global']['author'] == 'Tenenbaum and de Silva and Langford'
    assert found['ding2021flowprior']['howpublished'] == 'NAACL'
    assert '% source: the synthetic corpus itself\n' in text


def test_an_independent_reader_agrees():
    pybtex = pytest.importorskip('pybtex.database', reason='pip install pybtex to have another reader of BibTeX')
    text = cards.cite(list(METHODS))
    theirs = pybtex.parse_string(text, 'bibtex').entries
    ours = entries(text)
    assert list(theirs) == list(ours)
    for key, entry in theirs.items():
        assert entry.type == 'misc'
        assert dict(entry.fields.items()) == {k: v for k, v in ours[key].items() if k != 'author'}
        assert ' and '.join(map(str, entry.persons['author'])) == ours[key]['author']
    silva = theirs['tenenbaum2000global'].persons['author'][1]
    assert (silva.prelast_names, silva.last_names) == (['de'], ['Silva'])


def test_signs_of_bibtex():
    paper = cards.Paper(('Müller', "O'Neil"), 'A {50% & C#} of $x_i$ – naïve~α \\', '2020', '', '')
    found = entries(cards.bibtex([paper]))['muller202050']
    assert found['author'] == 'M{\\"{u}}ller and O\'Neil'
    assert found['title'] == (r'{A {\textbraceleft}50\% \& C\#{\textbraceright} of \$x\_i\$ -- na{\"{i}}ve'
                              r'{\textasciitilde}? {\textbackslash}}')


def test_one_title_once_and_one_key_for_each():
    a = cards.Paper(('Li',), 'Deep Nets', '2020', '', '')
    b = a._replace(title='Deep nets', arxiv='2001.00001')
    c = cards.Paper(('Li', 'Wu'), 'Deep Sets', '2020', '', '')
    found = entries(cards.bibtex([a, c, b, a]))
    assert {k: v['title'] for k, v in found.items()} == {'li2020deepa': '{Deep nets}', 'li2020deepb': '{Deep Sets}'}
    assert found['li2020deepa']['eprint'] == '2001.00001'
    assert cards.bibtex([b, c]) == cards.bibtex([c, a, b]) and cards.bibtex([]) == ''


def test_cite_has_rows_and_published_numbers(tmp_path):
    ptb = {'name': 'ptb', 'sizes': {}, 'vocab': 10002}
    found = collect(tmp_path, method('vae', dataset=ptb, published=['A4/vae', 'A3/vae']),
                    method('fb', order=1, dataset=ptb))
    assert set(entries(cards.cite(found))) == {'vaebench', 'kingma2014autoencoding', 'li2019surprisingly',
                                               'ding2021flowprior', 'fang2019implicit'}
    # the published list has no arXiv numbers: they are the registry's
    assert entries(cards.cite(found))['fang2019implicit']['eprint'] == '1908.11527'
    assert cards.cite(found) == cards.cite(tables.collect([tmp_path])[0])


def test_every_published_source_is_a_paper():
    from vaebench.report import published
    sources = {v.paper for rows in published.published().values() for blocks in rows.values() for vs in blocks.values()
               for v in vs}
    assert len(sources) > 12
    for source in sources:
        assert len(cards.papers(source)) == 1, source


def test_no_jax_until_a_card_is_asked_for():
    code = ('import sys; from vaebench.report import cards; cards.papers("Doe, A, 2020"); '
            'assert "jax" not in sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True)
