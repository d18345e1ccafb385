"""The generators of the documentation: nothing that is registered is left out, no link is dead."""
import doctest
import importlib
import pathlib
import re
import sys

import pytest

from vaebench.datasets import DATASETS
from vaebench.experiment import config_keys
from vaebench.methods import METHODS
from vaebench.metrics import METRICS

DOCS = pathlib.Path(__file__).parent.parent / 'docs'
MODULES = 'text', 'docstrings', 'catalogs', 'reference', 'generate'
pytest.importorskip('griffe', reason="needs the documentation's tools: pip install -e '.[docs]'")


@pytest.fixture(scope='module')
def scripts():
    """The generators' modules by name; as if never imported afterwards."""
    path = list(sys.path)
    sys.path.insert(0, str(DOCS / 'scripts'))
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path[:] = path
    for name in MODULES:
        del sys.modules[name]


@pytest.mark.parametrize('name', MODULES)
def test_doctests(scripts, name):
    failed, _ = doctest.testmod(scripts[name])
    assert not failed


def anchors(pages):
    return [found for text in pages.values() for found in re.findall(r'<a id="(\w+)"></a>', text)]


def test_every_method_stands_on_the_page_of_its_family(scripts):
    pages = scripts['catalogs'].methods()
    assert sorted(anchors(pages)) == sorted(METHODS)
    assert '**Equation**' in pages['methods/free-bits.md']


def test_every_metric_is_in_the_glossary_with_its_facts(scripts):
    page = scripts['catalogs'].metrics()['metrics.md']
    assert sorted(anchors({'': page})) == sorted(METRICS)
    assert '| `nll_iw` | nats/{item} | lower | — |' in page and 'importance sampling, S=50' in page
    assert '| `ess` | samples | — | from 0 |' in page
    for name, metric in METRICS.items():
        assert f'| `{name}` |' in page and (metric.better or '—') in page


def test_every_dataset_has_its_options(scripts):
    catalogs = scripts['catalogs']
    places = catalogs.by_track()
    assert sorted(n for names in places.values() for n in names) == sorted(DATASETS)
    text = catalogs._dataset('gaussians25', 'images-and-points.md')
    assert 'none are needed' in text and '| `examples` | `50000` | of train. |' in text
    assert '| `log_p` | real |' in text
    moved = catalogs._dataset('fashion_mnist', 'images-and-points.md')
    assert 'as in [`mnist`](#mnist)' in moved and '**Columns**' not in moved


def test_keys_of_configs_have_their_facts(scripts):
    page = scripts['reference'].facts()['reference/config-keys.md']
    for name in config_keys.fields(config_keys.Row):
        assert f'| `{name}` |' in page
    assert '| `batch` | `64` | parameters | [1, inf) |' in page


def test_results_are_cut_at_their_headings(scripts):
    pages = scripts['generate'].results()
    titles = re.findall(r'^## (.+)$', (DOCS.parent / 'RESULTS.md').read_text(), flags=re.M)
    assert len(pages) == len(titles) + 1
    assert all(title in pages['results/index.md'] for title in titles)
    pictures = {found for text in pages.values() for found in re.findall(r'\]\((/figures/.+?)\)', text)}
    assert pictures and pictures <= {f'/{path}' for path in scripts['generate'].documents()}
    assert not any('](benchmarks/' in text for text in pages.values())


def test_navigation_takes_in_what_is_there(scripts, monkeypatch, tmp_path):
    generate = scripts['generate']
    (tmp_path / 'nav.txt').write_text('Guides\n    First: one.md\n    gone.md\n    *\nMade\n    made/*\n')
    for name in 'one', 'two':
        (tmp_path / f'{name}.md').write_text(f'# Page {name}\n')
    monkeypatch.setattr(generate, 'DOCS', tmp_path)
    assert generate.navigation({'made/b.md': '# B', 'made/a.md': '::: x.a'}) == (
        '- Guides\n    - [First](one.md)\n    - [Page two](two.md)\n- Made\n'
        '    - [B](made/b.md)\n    - [a](made/a.md)\n')
