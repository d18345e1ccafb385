"""Model cards and their BibTeX: complete for the registry, and harmless without jax."""
import functools
import inspect
import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt
from pybtex.database import parse_string
from test_report import put
from test_results import fake

from vaebench.methods import METHODS, Entry
from vaebench.methods.build import fitting
from vaebench.methods.hyperparameters import MEANINGS, Hyperparameter
from vaebench.report import cards, references, tables


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
    assert (card.cite, card.note, card.kits) == (entry.cite, entry.note, fitting(entry))
    assert all(map(references.is_known, card.cite)) and (card.cite or len(card.note) > 20)
    assert card.equation and card.deviations.endswith('.')
    assert list(card.hp) == list(entry.hp) and list(card.options) == list(entry.options)
    assert all(h.default == entry.hp[k] and h.meaning for k, h in card.hp.items())
    if 'scikit-learn' not in card.title:       # whose own options are theirs to explain
        assert all(value == entry.options[k] and word
                   for k, (value, word) in card.options.items())


def test_every_number_has_one_meaning_and_no_other_number_has():
    assert MEANINGS.keys() == {k for e in METHODS.values() for k in e.hp}
    for name, entry in METHODS.items():
        assert entry.meanings.keys() <= entry.hp.keys(), name
        assert all(MEANINGS[k] != meaning for k, meaning in entry.meanings.items()), name


def test_factories_name_the_numbers_that_the_registry_gives_them():
    given = {}
    for entry in METHODS.values():
        given.setdefault(entry.factory, set()).update(entry.hp)
    for factory, names in given.items():
        text = cards.sections(inspect.getdoc(factory))[1].get('Hyperparameters', '')
        assert set(re.findall(r'\w+', text)) == names, factory


def test_references_name_the_papers_of_the_registry():
    plain = lambda text: re.sub(r'[^a-z0-9]', '', text.lower().replace('é', 'e'))
    for name, entry in METHODS.items():
        doc = inspect.getdoc(entry.factory)
        for key in entry.cite:
            fields = references.bibliography().entries[key].fields
            assert fields.get('eprint', '') in doc, name
            assert plain(references.title(key)) in plain(doc) or 'registry' in doc, name


# One card


def factory(kit, plan, *, width=3, depth=2):
    """It is a thing.

    It has `code`, a * star and a < sign.

    Hyperparameters:
      a, beta.

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

    Args:
      depth: how deep.
    """


@pytest.fixture
def foreign(monkeypatch):
    """A package's methods: a documented one, and one that says nothing."""
    thing = Entry(
        functools.partial(factory, width=4), {'a': 1., 'beta': .5, 'warmup': 2., 'e': 3.},
        ('burda2016importance', 'Doe, A Thing, 2020'), ('tokens',), {'width': 4, 'depth': 1},
        'in part', {'a': 'first', 'warmup': 'in *days*'})
    bare = Entry(lambda kit, plan: None, {'a': 1.}, (), ())
    monkeypatch.setitem(METHODS, 'thing', thing)
    monkeypatch.setitem(METHODS, 'bare', bare)


def test_what_a_card_reads(foreign):
    card = cards.card('thing')
    assert card.what == ('It is a thing.', 'It has `code`, a * star and a < sign.')
    assert card.hp == {
        'a': Hyperparameter(1., 'first'), 'beta': Hyperparameter(.5, 'weight of the rate'),
        'warmup': Hyperparameter(2., 'in *days*'), 'e': Hyperparameter(3., '')}
    assert card.options == {'width': (4, 'of it, which goes on'), 'depth': (1, 'how deep')}
    assert card.equation == 'a = b\n  + c | d' and card.deviations == 'It differs, and so on.'
    assert card.cite == ('burda2016importance', 'Doe, A Thing, 2020')
    assert card.note == 'in part' and card.factory.endswith('.factory')


def test_markdown(foreign):
    assert cards.markdown(['thing']).split('\n', 4)[4] == r'''## `thing`

It is a thing.

It has `code`, a \* star and a \< sign.

**Equation**

```text
a = b
  + c | d
```

**Deviations.** It differs, and so on.

| method | numbers | options | kits | source |
| --- | --- | --- | --- | --- |
| `thing` | a 1, beta 0.5, warmup 2, e 3 | width 4, depth 1 | lstm | \
burda2016importance, Doe, A Thing, 2020 (in part) |

- `a`: first
- `beta`: weight of the rate
- `warmup`: in \*days\*
- `width`: of it, which goes on
- `depth`: how deep

**References**

- burda2016importance: Yuri Burda, Roger Grosse, and Ruslan Salakhutdinov. \
Importance Weighted Autoencoders. \
In International Conference on Learning Representations (ICLR). 2016. \
[arXiv:1509.00519](https://arxiv.org/abs/1509.00519).
'''.replace('\\\n', '')


def test_markdown_renders():
    page = MarkdownIt().enable('table').render(cards.markdown(list(METHODS)))
    groups = {e.factory for e in METHODS.values()}
    for tag in ('table', 'pre', 'h2'):
        assert page.count(f'<{tag}>') == page.count(f'</{tag}>') == len(groups)
    assert page.count('<tr>') == len(groups) + len(METHODS) and '<em>' not in page
    cited = {e.factory for e in METHODS.values() if e.cite}
    assert page.count('<strong>') == 2 * len(groups) + len(cited) and '\\' not in page
    assert page.count('<a href="https://arxiv.org/abs/') == page.count('>arXiv:') > 40


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
    found = collect(tmp_path, *(method(m, order=i, seed=s)
                                for i, m in enumerate(names) for s in (0, 1)))
    assert cards.named(found) == names == cards.named([*found, 'vae'])
    text = cards.markdown(found)
    assert re.findall(r'^## (.*)', text, re.M) == ['`beta_vae`, `vae`', '`fb`']
    assert '| `beta_vae` | beta 0.5,' in text and '| `vae` | beta 1,' in text
    assert text == cards.markdown(names)


def test_a_row_without_results_has_the_card_of_its_name(tmp_path):
    table = collect(tmp_path, method('vae'))[0]
    rows = [table.rows[0]._replace(row=name, runs=()) for name in ('fb', 'my_row')]
    assert cards.named([table._replace(rows=(*table.rows, *rows))]) == ['vae', 'fb']


def test_blocks_of_the_registry_are_plain_text():
    found = cards.blocks(list(METHODS))
    assert list(found) == list(METHODS)
    for block in found.values():
        assert '`' not in block['summary'] + ''.join(block['body'])
        assert any(p.startswith('Deviations: ') for p in block['body'])
    assert 'Options: estimator pca (key of ESTIMATORS)' in found['pca']['body']
    assert found['vae']['cite'] == references.bibtex(METHODS['vae'].cite)
    assert found['vae']['source'] == references.reference('kingma2014autoencoding')
    fix = references.reference('li2019surprisingly')
    assert found['fb']['source'] == f'{fix} (its VAE + FB)'
    assert found['source']['source'] == 'the synthetic corpus itself'
    assert found['source']['cite'] == ''
    assert found['vae']['summary'].startswith('VAE; with other hp')


# BibTeX


def test_bibtex_of_the_registry():
    text = cards.cite(list(METHODS))
    found = parse_string(text, 'bibtex').entries
    assert list(found) == ['vaebench', *sorted(found.keys() - {'vaebench'})] and text.isascii()
    assert set(found) - {'vaebench'} == {key for e in METHODS.values() for key in e.cite}
    assert all(found[key] == references.bibliography().entries[key]
               for key in found if key != 'vaebench')
    assert dict(found['bowman2016generating'].fields) == {
        'title': '{Generating Sentences from a Continuous Space}', 'year': '2016',
        'booktitle': 'SIGNLL Conference on Computational Natural Language Learning (CoNLL)',
        'eprint': '1511.06349', 'archiveprefix': 'arXiv'}
    assert list(map(str, found['bowman2016generating'].persons['author'])) == [
        'Bowman, Samuel R.', 'Vilnis, Luke', 'Vinyals, Oriol', 'Dai, Andrew M.',
        'Jozefowicz, Rafal', 'Bengio, Samy']
    assert '% source: the synthetic corpus itself\n' in text


def test_papers_that_the_bibliography_lacks_are_comments(foreign):
    text = cards.cite(['thing', 'bare', 'vae'])
    assert set(parse_string(text, 'bibtex').entries) == {
        'vaebench', 'burda2016importance', 'kingma2014autoencoding'}
    assert text.endswith('\n% thing: Doe, A Thing, 2020\n% bare: Not stated.\n')


def test_cite_has_rows_and_published_numbers(tmp_path):
    ptb = {'name': 'ptb', 'sizes': {}, 'vocab': 10002}
    found = collect(tmp_path, method('vae', dataset=ptb, published=['A4/vae', 'A3/vae']),
                    method('fb', order=1, dataset=ptb))
    text = cards.cite(found)
    assert set(parse_string(text, 'bibtex').entries) == {
        'vaebench', 'kingma2014autoencoding', 'li2019surprisingly', 'ding2021flowprior',
        'fang2019implicit'}
    assert text == cards.cite(tables.collect([tmp_path])[0])


def test_nothing_heavy_until_a_card_is_asked_for():
    code = ('import sys; from vaebench.report import cards; cards.sections("x"); '
            'assert not {"jax", "pybtex", "pandas"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)
