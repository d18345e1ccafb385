"""Configs are found from anywhere, resolve, and can be built; a text table runs to its end."""
import functools
import json
import pathlib

import pytest
from ml_collections import config_dict

from vaebench import core, datasets, methods, schema
from vaebench.engine.optimizers import optimizer
from vaebench.errors import UserError
from vaebench.experiment import (
    catalog,
    configs,
    dialogue_catalog,
    particles_catalog,
    results,
    runner,
    style_catalog,
    symmetry_catalog,
    table,
)
from vaebench.experiment.rows import change, hp, options, overrides, select, without
from vaebench.methods.build import build
from vaebench.report import published

ROOT = pathlib.Path(__file__).parent.parent
CORPORA = 'ptb', 'yahoo', 'yelp', 'short_yelp', 'snli'
TEXT = [f'{name}{size}' for name in (*CORPORA, 'synthetic') for size in ('', ':small')]


@functools.cache
def tables(text):
    """The tables of a config by name."""
    return {t.name: t for t in table.tables(configs.load(text).to_dict())}


def only_table(text):
    found, = tables(text).values()
    return found


@pytest.mark.parametrize('text', TEXT)
def test_every_text_row_is_on_every_text_table(text):
    assert set(catalog.TEXT) <= {row.name for row in only_table(text).rows}
    assert len(catalog.TEXT) == 86


@pytest.mark.parametrize('name', CORPORA)
def test_published_keys_are_published(name):
    keys = [key for row in only_table(name).rows for key in row.published]
    assert keys and all(published.values(key, name) for key in keys)


COMMITTED = {'quickstart': 'quickstart', 'synthetic': 'synthetic', 'ptb-small': 'ptb:small',
             'images-quick': 'images_quick', 'mnist-small': 'mnist:small',
             'mnist-static': 'mnist:static', 'sprites-small': 'sprites:small',
             'decompositions-small': 'decompositions:small', 'two-style': 'two_style',
             'yelp-resplit-small': 'yelp_resplit:small', 'nbody-small': 'nbody:small',
             'dialog-small': 'dialog:small', 'simplify': 'simplify',
             'rotmnist-small': 'rotmnist:small'}


@pytest.mark.parametrize('folder', COMMITTED)
def test_committed_results_are_of_the_rows_that_the_configs_have_now(folder):
    """What a cell is of may change only together with its number: its name holds the hash."""
    manifest = json.loads((ROOT / 'benchmarks' / 'results' / folder / 'table.json').read_text())
    made, have = set(), set()
    for kept in manifest['tables']:
        now = {row.name: row for row in tables(COMMITTED[folder])[kept['table']].rows}
        for entry in kept['rows']:
            made.add((entry['row'], entry['hash'], entry['label'], entry['order']))
            row = now.get(entry['row'])
            have |= {(row.name, row.config_hash, row.label, row.order)} if row else set()
    assert made == have


@pytest.mark.parametrize('text', ['synthetic', 'ptb', 'ptb:small'])
def test_every_row_can_be_built(text):
    info = datasets.load('synthetic', sentences=8, eval_sentences=4).schema
    for row in only_table(text).rows:
        method = build(row.config, info, core.Recipe(2, 1, 8,
                                                     optimizer(row.config['optimizer'])))
        assert set(method.evals) <= set(core.EVALS), row.name


POINTS = {'gaussians': {'x': schema.vector(2), 'label': schema.label(25)},
          'swiss_roll': {'x': schema.vector(3)}}
BINARY = {'x': schema.image((28, 28, 1))}
LABELLED = {'x': schema.image((8, 8, 1)), 'label': schema.label(10)}


@pytest.mark.parametrize('text', ['quickstart', 'images_quick', 'mnist', 'mnist:small',
                                  'gan_stress', 'gan_stress:small', 'image_dir:labelled'])
def test_every_row_of_an_image_table_can_be_built(text):
    for name, found in tables(text).items():
        info = POINTS.get(name, BINARY if name.endswith('static') else LABELLED)
        for row in found.rows if name != 'text' else ():
            made = build(row.config, info,
                         core.Recipe(2, 1, 8, optimizer(row.config['optimizer'])))
            assert set(made.evals) <= set(core.EVALS), row.name


@pytest.mark.parametrize('size', ['', ':small'])
def test_every_row_of_rotated_digits_can_be_built(size):
    info = {'x': schema.image((28, 28, 1)), 'label': schema.label(10), 'partner': schema.Field('rows')}
    for found in tables(f'rotmnist{size}').values():
        assert found.config['primary'] in found.config['metrics']
        for row in found.rows:
            made = build(row.config, info, core.Recipe(2, 1, 8, optimizer(row.config['optimizer'])))
            assert set(made.evals) <= set(core.EVALS), row.name


@pytest.mark.parametrize('size, sides', [('', (64, 32)), (':small', (16, 8))])
def test_every_row_of_decompositions_can_be_built(size, sides):
    axes, clusters, sparse = tables(f'decompositions{size}').values()
    axis, pixel = ({'x': schema.image((side, side, 1))} for side in sides)
    for found, info in ((axes, axis), (clusters, {'x': schema.vector(2)}), (sparse, pixel)):
        assert found.config['primary'] in found.config['metrics'] and len(found.rows) >= 3
        for row in found.rows:
            made = build(row.config, info,
                         core.Recipe(2, 1, 8, optimizer(row.config['optimizer'])))
            assert set(made.evals) <= set(core.EVALS), row.name
    numbers = [(row.config['hp']['beta'], row.config['hp'].get('alpha')) for row in clusters.rows]
    assert numbers == [(1., None), (1., 0.), (0., 1.)]
    assert {row.config['hp'].get('gamma') for row in sparse.rows} == {None, 0., .8}


@pytest.mark.parametrize('text, data', [
    ('two_style', 'two_style'), ('simplify:grammar', 'simplify'),
    ('yelp_resplit:small', 'two_style'),
    pytest.param('yelp_resplit', 'two_style', marks=pytest.mark.slow)])
def test_every_row_of_rewriting_can_be_built(text, data):
    info = datasets.load(data, sentences=8, eval_sentences=4).schema
    for found in tables(text).values():
        assert found.config['primary'] in found.config['metrics']
        for row in found.rows:
            made = build(row.config, info,
                         core.Recipe(2, 1, 8, optimizer(row.config['optimizer'])))
            assert 'transfer' in made.evals and set(made.evals) <= set(core.EVALS), row.name
            for key in row.published:
                assert published.values(key, data), key


@pytest.mark.parametrize('text', ['dialog:small', pytest.param('dialog', marks=pytest.mark.slow)])
def test_every_row_of_dialogue_can_be_built(text):
    info = datasets.load('dialog', sentences=8, eval_sentences=4).schema
    found = tables(text)
    assert [t.config['dataset']['name'] for t in found.values()] == ['dialog', 'dailydialog']
    for one in found.values():
        assert len(one.rows) == 9 and one.config['primary'] in one.config['metrics']
        for row in one.rows:
            made = build(row.config, info, core.Recipe(2, 1, 8, optimizer(row.config['optimizer'])))
            assert 'respond' in made.evals and set(made.evals) <= set(core.EVALS), row.name
            for key in row.published:
                assert published.values(key, 'dailydialog'), key


@pytest.mark.parametrize('size', ['', ':small'])
def test_every_row_of_particles_can_be_built(size):
    info = datasets.load('nbody', examples=4, eval_examples=2, frames=1).schema
    for found in tables(f'nbody{size}').values():
        assert found.config['primary'] in found.config['metrics'] and found.config['baseline'] in particles_catalog.ROWS
        assert [row.name for row in found.rows] == list(particles_catalog.ROWS)
        for row in found.rows:
            made = build(row.config, info, core.Recipe(2, 1, 8, optimizer(row.config['optimizer'])))
            assert set(made.evals) == {'predict', 'error'}, row.name
            for key in row.published:
                assert published.values(key, 'nbody'), key


@pytest.mark.parametrize('name', sorted(p.stem for p in (ROOT / 'configs').glob('*.py')))
def test_every_config_gives_its_data_options_that_they_have(name):
    sizes = ['', 'small', 'static', 'labelled', 'grammar']
    made = 0
    for size in sizes:
        try:
            found = tables(f'{name}:{size}' if size else name)
        except UserError:
            continue                # no such size
        for one in found.values():
            options = dict(one.config['dataset'])
            datasets.check_options(options.pop('name'), options)
            made += 1
    assert made


def test_every_method_has_a_row():
    rows = [*catalog.TEXT.values(), *catalog.IMAGES.values(), *catalog.EMBEDDINGS.values(),
            *catalog.TIGHTER.values(), *catalog.CONDITIONAL.values(), *catalog.AXES.values(),
            *catalog.CLUSTERED.values(), *catalog.SPARSE.values(), *catalog.DISENTANGLED.values(),
            *style_catalog.styles().values(), *style_catalog.GOLD.values(),
            *style_catalog.simplification().values(), *symmetry_catalog.CLASSIFIERS.values(),
            *symmetry_catalog.GAMES.values(), *symmetry_catalog.MOVED.values(),
            *particles_catalog.ROWS.values(), *dialogue_catalog.dialogues().values()]
    twins = {'f_gan_js', 'f_gan_gan'}                    # one run with gan_minmax: test_methods_gans
    assert set(methods.METHODS) - {row['method'] for row in rows} == {
        'source', *twins}


GAMES = f'{catalog.GAMES} wgan mmd_gan'


@pytest.mark.parametrize('size', ['', ':small'])
def test_games_of_mnist_differ_in_method_and_not_in_network(size):
    """But InfoGAN at paper size, whose own network it has."""
    rows = {row.name: row.config['kit'] for t in tables(f'mnist{size}').values()
            for row in t.rows if row.name in GAMES.split()}
    assert set(rows) == set(GAMES.split())
    of = {name: (kit['name'], kit['channels'], kit['kernel'], kit['hidden'])
          for name, kit in rows.items() if size or name != 'infogan'}
    assert len(set(of.values())) == 1 and of['dcgan'][0] == 'conv'


@pytest.mark.parametrize('size', ['', ':small'])
def test_stressed_games_have_one_setting_on_every_architecture(size):
    found = only_table(f'gan_stress{size}')
    kits, settings = {}, {}
    for row in found.rows:
        method, name = row.name.rsplit('_', 1)
        config = row.config
        settings.setdefault(method, set()).add(str((
            config['optimizer'], config['hp'], config['epochs'], config['batch'],
            config['kit']['latent'])))
        kits.setdefault(name, set()).add(str((config['kit'], config['options']['norm'])))
    assert len(found.rows) == 24 and len(settings) == 4 and len(kits) == 6
    assert all(len(v) == 1 for v in settings.values())
    assert all(len(v) == 1 for v in kits.values()) and len(set.union(*kits.values())) == 6


@pytest.mark.parametrize('size', ['', ':small'])
def test_every_image_row_is_on_an_mnist_table(size):
    found = tables(f'mnist{size}').items()
    rows = {row.name for name, t in found if 'embedding' not in name for row in t.rows}
    own = {'began_03', 'began_07', 'gan_codes'} if not size else set()          # of figures
    assert {name for name in rows if not name.endswith(('_published', '_400'))} == {
        *catalog.IMAGES, *catalog.TIGHTER, *own}
    assert {r.name for r in tables('images_quick')['digits'].rows} == set(
        catalog.IMAGES | catalog.CONDITIONAL | catalog.TIGHTER)


@pytest.mark.parametrize('text', [*TEXT, 'quickstart', 'images_quick', 'mnist', 'mnist:small',
                                  'text_dir', 'image_dir'])
def test_every_table_says_what_it_is_read_by_and_compared_with(text):
    for found in tables(text).values():
        known = [name for name in ('excess', 'w2', 'trust') if name in found.columns]
        primary, baseline = found.config['primary'], found.config['baseline']
        assert [primary] == known or not known and primary in ('nll_iw', 'frechet')
        assert primary in found.columns
        assert baseline == ('vae_gaussian' if found.name == 'gaussians' else 'vae')


def test_what_a_row_changes_is_merged_deep_and_only_there():
    rows = change(catalog.TEXT, {
        'ivae ivae_mi': hp(beta=2.) | overrides(optimizer=dict(lr=.1)), 'ivae': hp(beta=3.)})
    assert rows['ivae']['overrides'] == {'protocol': {'keep': 'last', 'patience': 0},
                                         'optimizer': {'lr': .1}}
    assert rows['ivae']['hp'] == {'warmup': 10., 'nu_lr': 1e-5, 'beta': 3.}
    assert rows['ivae_mi']['hp'] == {'warmup': 10., 'nu_lr': 1e-5, 'beta': 2.}
    assert 'beta' not in catalog.TEXT['ivae']['hp'] and list(rows) == list(catalog.TEXT)


@pytest.mark.parametrize('wrong', [
    lambda: change(catalog.TEXT, {'ivea': hp(beta=1.)}),
    lambda: select(catalog.TEXT, 'vae ivea'),
    lambda: without(catalog.TEXT, 'ivea')])
def test_a_row_that_there_is_not_is_named(wrong):
    with pytest.raises(UserError, match="unknown row 'ivea'; did you mean 'ivae'"):
        wrong()


LENGTHS = {'vae fb pre_ae_bn_06 lagging lstm_lm dg_vae_32 bow_vae': (100, 32),
           'control_vae cost_anneal': (80, 32), 'sa_vae skip_vae': (30, 32),
           'ivae cyclical': (40, 32), 'twr twr_sum': (1000, 64),
           'dae wae_d_3 wae_s_01': (20, 128), 'dae_noise wae_gan': (30, 256)}
"""Epochs and batches of the papers' code."""


@pytest.mark.parametrize('name', CORPORA)
def test_rows_of_paper_size_train_as_their_papers_do(name):
    rows = {row.name: row.config for row in only_table(name).rows}
    for names, sizes in LENGTHS.items():
        for row in names.split():
            assert (rows[row]['epochs'], rows[row]['batch']) == sizes, row
    cyclical, ivae = rows['cyclical'], rows['ivae']
    assert cyclical['optimizer']['cycle'] == cyclical['hp']['period'] == 10
    assert cyclical['hp']['beta_start'] == ivae['hp']['beta_start'] == .1
    wide = .01 if name in ('yahoo', 'yelp') else .1         # of every parameter at the start
    kit = ivae['kit']
    assert (kit['init_scale'], kit.get('embed_scale', .1)) == (wide, wide)
    assert ivae['options']['noise_scale'] == wide
    assert rows['dae']['optimizer'] == rows['wae_d_3']['optimizer']
    assert rows['dae']['kit'] == rows['wae_s_0']['kit']


def test_labels_say_the_numbers_that_rows_have():
    rows = change(select(catalog.TEXT, 'fb lagging delta_vae'), {
        'fb': hp(target=2.5), 'lagging': options(max_inner=3)})
    config = configs.load('synthetic').to_dict() | {'table': rows, 'baseline': ''}
    labels = [row.label for row in table.tables(config)[0].rows]
    assert labels == ['FB (2.5)', 'Lagging (at most 3 inner steps)', 'delta-VAE (0.1)']
    config['table'] = {'vae': {'label': 'VAE ({gamma})', 'method': 'vae'}}
    with pytest.raises(UserError, match='label of row vae.*gamma'):
        table.tables(config)


def test_weights_per_word_are_of_the_sum_over_a_sentence():
    rows = catalog.text(words=20.)
    assert rows['wae_s_01']['hp'] == {'beta': 60., 'kl_weight': 2.}
    assert rows['vae'] is catalog.TEXT['vae']


def test_configs_are_found_by_name_and_by_path_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = ROOT / 'configs' / 'ptb.py'
    for name in ('ptb', 'ptb.py', 'configs/ptb.py', str(own)):
        assert configs.find(name) == own
    for name in ('ptbb', 'configs/ptbb.py', 'elsewhere/ptb.py'):
        with pytest.raises(UserError, match=f'config {name}: give a path, or one of .*ptb, '):
            configs.find(name)


def test_a_config_of_the_users_own_is_filled_in_and_locked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code = 'def get_config(name="one"):\n    return dict(name=name, table={}, epochs=2)\n'
    (tmp_path / 'mine.py').write_text(code)
    mine = configs.load('mine.py:two')
    assert (mine.name, mine.epochs, mine.batch) == ('two', 2, 64) and mine.is_locked
    assert configs.load('mine.py').name == 'one'


@pytest.mark.parametrize('code, message', [
    ('def get_config(', 'cannot read the config own.py: SyntaxError'),
    ('', 'cannot read the config own.py: AttributeError'),
    ('def get_config():\n    return 1 / 0', 'own.py: ZeroDivisionError: division by zero'),
    ('def get_config():\n    return None', 'own.py: get_config gives NoneType'),
    ('import nosuchpackage', 'cannot read the config own.py: ModuleNotFoundError'),
    ('a = "\0"', 'cannot read the config own.py: (ValueError|SyntaxError)'),
    ('raise ValueError("a\\nb")', 'own.py: ValueError: a b'),
    ('import sys; sys.exit(3)', 'own.py: SystemExit: 3'),
])
def test_a_config_file_that_fails_is_one_line(code, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own.py').write_text(code)
    with pytest.raises(UserError, match=message) as raised:
        configs.load('own.py')
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('text', ['quickstart:small', 'images_quick:small', 'text_dir:small'])
def test_a_config_of_one_size_says_so(text):
    with pytest.raises(UserError, match=f'{text}: it comes in one size only: leave out :small'):
        configs.load(text)


def test_own_pictures_have_their_options_as_keys():
    config = configs.load('image_dir')
    assert {'size', 'grey', 'examples', 'eval_examples', 'labels'} < set(config.dataset)
    found, = tables('image_dir').values()
    assert {'aae_supervised', 'aae_semi', 'cvae'}.isdisjoint(row.name for row in found.rows)


SHARED = """
from ml_collections import config_dict
def get_config():
    none, one = config_dict.placeholder(int), config_dict.FieldReference(5)
    return CONFIG(dict(name='x', dataset=dict(name='text_dir', a=none, b=none), c=none,
                       kit=dict(latent=one, hidden=one, more=one + 1), required=[]))
"""


@pytest.mark.parametrize('kind', ['dict', 'config_dict.ConfigDict'])
def test_placeholders_are_set_alone_and_references_together(kind, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own.py').write_text(SHARED.replace('CONFIG', kind))
    config = configs.load('own.py')
    config.dataset.a = 7
    assert (config.dataset.b, config.c) == (None, None)
    with pytest.raises(TypeError):
        config.c = 'seven'
    config.kit.latent = 9
    assert config.kit.hidden == 9
    assert kind != 'dict' or config.kit.more == 10     # ml_collections computes the other's once


def test_no_config_shares_a_placeholder():
    def unset(config):
        for value in config.values():
            if isinstance(value, dict):
                yield from unset(value)
            elif isinstance(value, config_dict.FieldReference) and value.get() is None:
                yield value

    found = {name: list(unset(configs.load(name).to_dict(preserve_field_references=True)))
             for name in configs.names()}
    assert len(found['text_dir']) == 4 and len(found['image_dir']) == 3
    for name, every in found.items():
        assert len({id(value) for value in every}) == len(every), name


def test_only_known_sizes():
    with pytest.raises(UserError, match="ptb:tiny: no size 'tiny': choose one of small"):
        configs.load('ptb:tiny')


def test_keys_of_a_config_keep_their_order_and_are_set_alone():
    config = configs.load('text_dir')
    assert list(config.table) == list(config.to_dict()['table']) == list(catalog.TEXT)
    config.dataset.max_words = 40
    config.table.anneal.hp.warmup = 3.
    assert config.dataset.vocab is None
    assert config.table.fb.hp.warmup == config.table.p_vae.hp.warmup == 10.


@pytest.mark.slow
def test_a_text_table_from_corpus_to_listing(tmp_path):
    """Metrics on a row of each kind of code; no bound below the truth; the replica is none."""
    full = configs.load('synthetic:small').to_dict()
    full |= {'rows': 'vae,davam,dae', 'seeds': 1}
    full['dataset'] |= {'sentences': 1024, 'eval_sentences': 128}
    full['evaluation'] |= {'samples': 10, 'chunk': 10, 'generated': 50, 'unigrams': 50,
                           'refine': 10}
    one, = table.tables(full)
    assert not any(runner.Runner(one, tmp_path, say=lambda text: None).run().values())
    found = {r.row: r for r in map(results.read, (tmp_path / 'results').glob('*.json'))}
    assert set(found) == {'vae', 'davam', 'dae'}
    for row, result in found.items():
        metric = result.metrics['excess']
        assert metric.value > -3 * metric.stderr, row
        text = next((tmp_path / 'listings').glob(f'{row}.*.txt')).read_text()
        assert 'Prior samples, greedy decoding' in text
        assert ('Interpolation between posterior means' in text) == (row != 'davam')
    davam = found['davam'].metrics
    assert davam['nll_paper'].value < davam['elbo'].value - 3
    assert 'probe_100' in davam and 'bleu' in found['dae'].metrics and 'prior_ll' in found[
        'vae'].metrics
    assert found['dae'].metrics['nll_iw'].note.startswith('proposal')
