"""The code of every page of docs/ runs as it stands there, in one namespace a page."""
import pathlib
import re

import pytest

from vaebench.datasets import DATASETS
from vaebench.experiment.results import read_all
from vaebench.methods import METHODS
from vaebench.metrics import METRICS
from vaebench.networks import KITS

DOCS = pathlib.Path(__file__).parent.parent / 'docs'
BLOCK = re.compile(r'^```python\n(.*?)^```$', re.M | re.S)
PAGES = {'add-a-method': ('VAE', 'waving VAE (2)'), 'add-a-metric': ('VAE',), 'add-a-dataset': ('VAE', 'GAN'),
         'add-a-kit': ('VAE', 'BN-VAE')}


@pytest.fixture
def restored():
    """The registries are as before when a page has registered things of its own."""
    tables = [(table, dict(table)) for table in (METHODS, METRICS, DATASETS, KITS)]
    yield
    for table, before in tables:
        table.clear()
        table.update(before)


def run(page):
    """What the page's code leaves in its namespace."""
    blocks, space = BLOCK.findall((DOCS / f'{page}.md').read_text()), {}
    assert len(blocks) >= 2, page
    for block in blocks:
        exec(compile(block, f'{page}.md', 'exec'), space)
    return space


@pytest.mark.parametrize('page', [
    p if p == 'add-a-metric' else pytest.param(p, marks=pytest.mark.slow) for p in PAGES
])
def test_a_page_adds_what_it_says_and_trains_with_it(page, restored, capsys):
    space = run(page)
    results, problems = read_all(f"{space['workdir']}/results")
    assert not problems and tuple(r.label for r in results) == PAGES[page]
    assert all(r.status == 'done' and r.metrics for r in results)


def test_what_pages_add_is_measured(restored, capsys):
    results, _ = read_all(f"{run('add-a-metric')['workdir']}/results")
    entry = results[0].metrics['max_correlation']
    assert 0 <= entry.value <= 1 and entry.unit == '|r|'


def test_every_page_is_run():
    assert {p.stem for p in DOCS.glob('add-*.md')} == set(PAGES)


def test_the_first_page_is_short():
    lines = (DOCS.parent / 'README.md').read_text().splitlines()
    assert len(lines) <= 120 and sum(len(line.split()) for line in lines) <= 800
    assert [line for line in lines if len(line) > 88 and not line.startswith('<!-- vaebench:')] == []
