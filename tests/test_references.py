"""`references.bib`: complete, in one form, the papers that docstrings and tables cite."""
import ast
import functools
import pathlib
import re
import unicodedata

import pytest

import vaebench
from vaebench.methods import METHODS
from vaebench.report import cards, published, references

ROOT = pathlib.Path(vaebench.__file__).parent
ENTRIES = references.bibliography().entries
YEAR = re.compile(r'(?<![:.])\b((?:1[89]|20)\d\d)\b(?!\.\d)(?:, arXiv:([\d.]+\d))?')


def plain(text):
    """Letters and digits of a text, without accents."""
    return re.sub(r'[^a-z0-9]', '', unicodedata.normalize('NFKD', text).lower())


def citations(text):
    """(words up to a year, year, arXiv number or None) of every citation in `References`."""
    text = ' '.join(text.partition('>>>')[0].split())
    end = 0
    for match in YEAR.finditer(text):
        yield text[end:match.start()], match[1], match[2]
        end = match.end()


@functools.cache
def forms():
    """(key, title, title up to its colon, first author, year) of all entries, long titles first."""
    every = [(key, plain(references.title(key)), plain(references.title(key).partition(':')[0]),
              plain(references.surnames(key)[0]), entry.fields['year'])
             for key, entry in ENTRIES.items()]
    return sorted(every, key=lambda form: -len(form[1]))


def cited(words, year):
    """The key of a citation, or None.

    Title, alone or up to its colon, year and first author must be the entry's; of titles
    without quotes the longest counts, as one can hold another."""
    quoted, words = re.search(r'"(.*)"', words), plain(words)
    for key, title, head, author, published_in in forms():
        same = plain(quoted[1]) in (title, head) if quoted else title in words
        if same and author in words and year == published_in:
            return key
    return None


@functools.cache
def sections():
    """(where, text) of every section `References` of the package's docstrings."""
    found = []
    for path in sorted(ROOT.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                text = cards.sections(ast.get_docstring(node) or '')[1].get('References')
                found += [(f'{path.name}: {getattr(node, "name", "")}', text)] * bool(text)
    return found


@functools.cache
def found():
    """(where, words, key or None, arXiv number or None) of every citation in a docstring."""
    return [(where, words, cited(words, year), number) for where, text in sections()
            for words, year, number in citations(text)]


def test_docstrings_cite_what_the_bibliography_has():
    assert len(found()) > 150
    assert [(where, words) for where, words, key, _ in found() if key is None] == []


@pytest.mark.parametrize(('words', 'year', 'key'), [
    ('Kim et al., "Semi-Amortized Variational Autoencoders", ', '2018', 'kim2018semiamortized'),
    ('Chen et al., "InfoGAN", ', '2016', 'chen2016infogan'),
    ('Burda, Grosse, Salakhutdinov, Importance weighted autoencoders, ', '2016',
     'burda2016importance'),
    ('Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, Improved Training of Wasserstein GANs, ',
     '2017', 'gulrajani2017improved'),
    ('Kim et al., "Semi-Amortised Variational Autoencoders", ', '2018', None),
    ('Kim et al., "Semi-Amortized Variational Autoencoders", ', '2019', None),
    ('Kin et al., "Semi-Amortized Variational Autoencoders", ', '2018', None),
    ('Chen et al., "Info", ', '2016', None),
])
def test_what_counts_as_a_citation(words, year, key):
    assert cited(words, year) == key


def test_docstrings_have_the_arxiv_numbers_of_the_bibliography():
    numbered = [(where, key, number) for where, _, key, number in found() if number]
    assert len(numbered) == sum(text.count('arXiv:') for _, text in sections()) > 100
    assert [(where, key, number) for where, key, number in numbered
            if ENTRIES[key].fields.get('eprint') != number] == []


def test_the_bibliography_has_nothing_that_nobody_cites():
    keys = {key for _, _, key, _ in found()} | {key for e in METHODS.values() for key in e.cite}
    keys |= {v.source for rows in published.published().values() for datasets in rows.values()
             for values in datasets.values() for v in values}
    assert keys - {None} == set(ENTRIES)


@pytest.mark.parametrize('key', ENTRIES)
def test_entries_are_complete(key):
    entry = ENTRIES[key]
    names = references.surnames(key)
    assert names and 'others' not in names and re.fullmatch(r'\d{4}', entry.fields['year'])
    assert entry.fields['title'].startswith('{') and entry.fields['title'].endswith('}')
    assert set(entry.fields) & {'booktitle', 'journal', 'publisher', 'institution',
                                'howpublished', 'eprint'}
    if 'eprint' in entry.fields:
        assert re.fullmatch(r'\d{4}\.\d{4,5}', entry.fields['eprint'])
        assert entry.fields['archiveprefix'] == 'arXiv'
    surname = plain(names[0].replace('ö', 'oe'))
    assert key.startswith(surname + entry.fields['year'])
    word = key.removeprefix(surname + entry.fields['year'])
    assert word in map(plain, references.title(key).split())


def test_the_file_is_ascii_sorted_and_says_everything_once():
    text = references.PATH.read_text(encoding='ascii')
    keys = re.findall(r'^@\w+\{(\w+),$', text, re.M)
    in_order = sorted(keys, key=lambda k: re.match(r'([a-z]+)(\d+)(.*)', k).groups())
    assert keys == list(ENTRIES) == in_order
    titles = [plain(references.title(key)) for key in ENTRIES]
    numbers = [e.fields['eprint'] for e in ENTRIES.values() if 'eprint' in e.fields]
    assert len(set(titles)) == len(titles) and len(set(numbers)) == len(numbers) >= 60


@pytest.mark.parametrize(('key', 'text'), [
    ('pearson1901lines',
     'Pearson, "On Lines and Planes of Closest Fit to Systems of Points in Space", 1901'),
    ('vandermaaten2008visualizing',
     'van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008'),
    ('binkowski2018demystifying', 'Bińkowski et al., "Demystifying MMD GANs", 2018'),
    ('chadebec2022pythae',
     'Chadebec et al., "Pythae: Unifying Generative Autoencoders in Python", 2022'),
])
def test_short(key, text):
    assert references.short(key) == text


def test_references_as_readers_see_them():
    key = 'mathieu2019continuous'
    text = ('Emile Mathieu, Charline Le Lan, Chris J. Maddison, Ryota Tomioka, and '
            'Yee Whye Teh. Continuous Hierarchical Representations with Poincaré Variational '
            'Auto-Encoders. In Advances in Neural Information Processing Systems 32 (NeurIPS). '
            '2019. ')
    assert references.reference(key) == f'{text}arXiv:1901.06033.'
    assert references.reference(key, markdown=True) == (
        f'{text}[arXiv:1901.06033](https://arxiv.org/abs/1901.06033).')


def test_written_entries_are_read_again():
    from pybtex.database import parse_string
    text = references.bibtex([*ENTRIES, *ENTRIES])
    assert text.isascii() and parse_string(text, 'bibtex').entries == ENTRIES
