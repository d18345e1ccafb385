"""The configs: what they hold resolves, every row can be built, and a text table runs from corpus to listing."""
import importlib.util
import pathlib

import pytest

from vaebench import core, datasets, methods
from vaebench.engine.optimizers import optimizer
from vaebench.experiment import presets, results, runner, table
from vaebench.methods.build import build
from vaebench.report import published

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
CORPORA = 'ptb', 'yahoo', 'yelp', 'short_yelp', 'snli'
SIZED = [(name, size) for name in (*CORPORA, 'synthetic') for size in ('', 'small')]


def config(name, size=''):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return (module.get_config(size) if size else module.get_config()).to_dict()


def only_table(name, size=''):
    found, = table.tables(config(name, size))
    return found


@pytest.mark.parametrize('name, size', SIZED)
def test_every_text_row_is_on_every_text_table(name, size):
    rows = {row.name for row in only_table(name, size).rows}
    assert set(presets.text_rows()) <= rows
    assert len(presets.text_rows()) == 76


@pytest.mark.parametrize('name', CORPORA)
def test_published_keys_are_published(name):
    keys = [key for row in only_table(name).rows for key in row.published]
    assert keys and all(published.values(key, name) for key in keys)


def test_every_method_of_text_has_a_row():
    used = {row['method'] for row in presets.text_rows().values()}
    text = {name for name, entry in methods.METHODS.items() if 'text' in entry.track}
    assert text - used == {'source'}


@pytest.mark.parametrize('name, size', [('synthetic', ''), ('ptb', ''), ('ptb', 'small')])
def test_every_row_can_be_built(name, size):
    info = datasets.load('synthetic', sentences=8, eval_sentences=4).info
    for row in only_table(name, size).rows:
        plan = core.Plan(2, 1, optimizer(row.config['optimizer']))
        method = build(row.config, info, plan)
        assert set(method.evals) <= set(core.EVALS), row.name


IMAGES = [('quickstart', '', 'images'), ('images_quick', '', 'digits'), ('images_quick', '', 'gaussians'),
          ('images_quick', '', 'swiss_roll'), *[('mnist', size, part) for size in ('', 'small')
                                                for part in ('static', 'grey', 'embedding')]]
INFO = {'gaussians': {'kind': 'points', 'shape': (2,), 'name': 'points', 'classes': 25},
        'swiss_roll': {'kind': 'points', 'shape': (3,), 'name': 'points'},
        'static': {'kind': 'image', 'shape': (28, 28, 1), 'name': 'image'}}
LABELLED = {'kind': 'image', 'shape': (8, 8, 1), 'name': 'image', 'classes': 10}


@pytest.mark.parametrize('name, size, part', IMAGES)
def test_every_row_of_an_image_table_can_be_built(name, size, part):
    found, = table.tables(config(name, size)['tables'][part])
    for row in found.rows:
        plan = core.Plan(2, 1, optimizer(row.config['optimizer']))
        made = build(row.config, INFO.get(part, LABELLED), plan)
        assert set(made.evals) <= set(core.EVALS), row.name


def test_every_method_of_images_has_a_row():
    rows = {**presets.image_rows(), **presets.embedding_rows()}
    image = {name for name, entry in methods.METHODS.items() if entry.track == ('image',)}
    assert image - {row['method'] for row in rows.values()} == {'classifier'}
    named = set(presets.AUTOENCODERS.split()) | set(presets.WASSERSTEIN.split()) | set(presets.GANS.split())
    assert named | set(presets.MOMENTS.split()) == set(presets.image_rows())


@pytest.mark.parametrize('size', ['', 'small'])
def test_every_image_row_is_on_an_mnist_table(size):
    tables = config('mnist', size)['tables']
    assert {row for part in ('static', 'grey') for row in tables[part]['table']} == set(presets.image_rows())
    assert set(config('images_quick')['tables']['digits']['table']) == set(presets.image_rows())


def test_what_a_row_changes_is_merged_deep():
    rows = presets.text_rows(ivae={'overrides': {'optimizer': {'lr': .1}}, 'hp': {'beta': 2.}})
    assert rows['ivae']['overrides'] == {'protocol': {'keep': 'last', 'patience': 0}, 'optimizer': {'lr': .1}}
    assert rows['ivae']['hp']['beta'] == 2. and rows['ivae']['hp']['nu_lr'] == 1e-5
    with pytest.raises(ValueError, match='no row'):
        presets.text_rows(ivea={'hp': {}})


def test_only_known_sizes():
    with pytest.raises(ValueError, match='small'):
        presets.sizes('tiny', paper=dict, small=dict)


@pytest.mark.slow
def test_a_text_table_from_corpus_to_listing(tmp_path):
    """Every metric on a row of each kind of code; no bound below the truth; the replica is none."""
    full = config('synthetic', 'small')
    full |= {'rows': 'vae,davam,dae', 'seeds': 1}
    full['dataset'] |= {'sentences': 1024, 'eval_sentences': 128}
    full['evaluation'] |= {'samples': 10, 'chunk': 10, 'generated': 50, 'refine': 10}
    one, = table.tables(full)
    assert not any(runner.Runner(one, tmp_path, say=lambda text: None).run().values())
    found = {r['row']: r for r in map(results.read, (tmp_path / 'results').glob('*.json'))}
    assert set(found) == {'vae', 'davam', 'dae'}
    for row, result in found.items():
        metric = result['metrics']['excess']
        assert metric['value'] > -3 * metric['stderr'], row
        text = next((tmp_path / 'listings').glob(f'{row}.*.txt')).read_text()
        assert 'Prior samples, greedy decoding' in text
        assert ('Interpolation between posterior means' in text) == (row != 'davam')
    davam = found['davam']['metrics']
    assert davam['nll_paper']['value'] < davam['elbo']['value'] - 3
    assert 'probe_100' in davam and 'bleu' in found['dae']['metrics'] and 'prior_ll' in found['vae']['metrics']
    assert found['dae']['metrics']['nll_iw']['note'].startswith('proposal')
