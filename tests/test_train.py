"""Rows through the engine: resuming, sharing, failing, and what is refused before it starts."""
import json

import jax
import numpy as np
import pytest
import tiny_config
from test_engine import in_pieces, same

from vaebench import report
from vaebench.engine import loop
from vaebench.engine.trainer import Trainer
from vaebench.errors import UserError
from vaebench.experiment import table
from vaebench.experiment.runner import Runner, duration


def tiny(rows, seeds=2, arg='', **given):
    config = tiny_config.get_config(arg).to_dict()
    return table.tables({**config, 'rows': rows, 'seeds': seeds}, given)[0]


@pytest.mark.slow
def test_rows_with_the_same_autoencoder_train_it_once(tmp_path, monkeypatch):
    config = tiny_config.get_config().to_dict()
    config['metrics'], config['baseline'] = ('elbo',), ''
    config['table'] = {
        'fb': {'method': 'pre_ae_fb'}, 'cyclical': {'method': 'pre_ae_cyclical'},
        'slow': {'method': 'pre_ae_fb', 'overrides': {'optimizer': {'lr': 1e-3}}}}
    found, trained = {}, []
    block = Trainer.block
    monkeypatch.setattr(Trainer, 'block', lambda self, number, *args: (
        trained.append(number), block(self, number, *args))[1])

    def results(folder, rows):
        runner = Runner(table.tables({**config, 'rows': rows, 'seeds': 2})[0], folder)
        assert not any(runner.run().values())
        for path in (folder / 'results').glob('*.json'):
            result = json.loads(path.read_text())
            yield (result['row'], result['seed']), result['metrics']

    for row in config['table']:
        found |= dict(results(tmp_path / row, row))
    blocks = trained.count(0)
    trained.clear()
    assert dict(results(tmp_path / 'all', '')) == found and len(found) == 6
    assert trained.count(0) == blocks * 2 / 3              # cyclical begins where fb ended


def test_a_row_that_chose_nothing_does_not_say_best(tmp_path, capsys):
    config = tiny_config.get_config().to_dict()
    config['table'], config['baseline'] = {'pca': {'method': 'pca'}}, ''
    config['metrics'] = ('trust',)
    runner = Runner(table.tables({**config, 'rows': 'pca', 'seeds': 1})[0], tmp_path)
    assert not any(runner.run().values())
    path, = (tmp_path / 'results').glob('*.json')
    assert json.loads(path.read_text())['parameters'] == []
    report.main(['vaebench-report', f'--results={tmp_path}', '--format=markdown'])
    text = capsys.readouterr().out
    assert 'pca' in text and 'best on validation' not in text


@pytest.mark.parametrize('row', [pytest.param('pre_ae_fb', marks=pytest.mark.slow), 'wgan_gp'])
def test_stopped_and_resumed_is_bit_for_bit_uninterrupted(row, tmp_path):
    runner = Runner(tiny(row), tmp_path)
    spec = runner.table.rows[0]
    trainer, hp = runner.trainer(spec, 2), runner.numbers(spec)
    whole, record = loop.run(trainer, (0, 1), hp)
    state, again, stops = in_pieces(trainer, hp, tmp_path / 'c')
    assert stops >= 3 and same(whole, state)
    for a, b in zip(record.curves, again.curves, strict=True):
        assert a.valid == b.valid and a.steps == b.steps
        for k in a.train:
            np.testing.assert_allclose(a.train[k], b.train[k], rtol=1e-6)


@pytest.mark.slow
def test_a_group_is_its_seeds_alone(tmp_path):
    runner = Runner(tiny('vae'), tmp_path)
    spec = runner.table.rows[0]
    hp = runner.numbers(spec)
    both, _ = loop.run(runner.trainer(spec, 2), (0, 1), hp)
    alone, _ = loop.run(runner.trainer(spec, 1), (1,), hp)
    for a, b in zip(jax.tree.leaves(both.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a[1], b[0], rtol=1e-4, atol=1e-5)


def test_rows_that_differ_in_numbers_share_their_programs(tmp_path):
    runner = Runner(tiny('vae,beta_vae'), tmp_path)
    a, b = (runner.trainer(row, 2) for row in runner.table.rows)
    assert a is b


@pytest.mark.slow
def test_a_diverged_seed_stops_with_its_term_named_and_the_others_go_on(tmp_path):
    runner = Runner(tiny('vae,wild', arg='bad', metrics=('elbo',), save_every=60.), tmp_path)
    end = runner.run()
    assert not end['broken'] and runner.status() == (2, 2, 0)
    wild = [json.loads(path.read_text())
            for path in sorted((tmp_path / 'results').glob('wild.*.json'))]
    assert [w['status'] for w in wild] == ['failed', 'failed']
    for seed, w in enumerate(wild):
        assert f'of seed {seed}' in w['reason'] and 'vae/' in w['reason'] and w['metrics'] == {}


@pytest.mark.parametrize('text', ['', 'soon', '8 minutes', '-3m'])
def test_odd_durations_are_refused(text):
    with pytest.raises(UserError, match='not a duration'):
        duration(text)


def test_unknown_row_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'beta_vae'"):
        tiny('betavae')


def test_a_method_of_the_wrong_modality_is_refused(tmp_path):
    config = tiny_config.get_config().to_dict()
    config['table']['vae']['method'] = 'lstm_lm'
    spec = table.tables({**config, 'rows': 'vae', 'seeds': 1})[0]
    with pytest.raises(UserError, match='lstm_lm needs .*, which kit.name=mlp has not'):
        Runner(spec, tmp_path).run()


def test_methods_of_an_installed_package_are_found(monkeypatch):
    import importlib.metadata as metadata

    from vaebench import methods
    point = metadata.EntryPoint('mine', 'vaebench.methods:METHODS', methods.GROUP)
    monkeypatch.setattr(metadata, 'entry_points',
                        lambda group: [point] if group == methods.GROUP else [])
    assert methods.find('mine') is methods.METHODS
    with pytest.raises(UserError, match="did you mean 'mine'"):
        methods.find('mines')


@pytest.mark.slow
def test_a_phase_that_continues_keeps_the_protocol(tmp_path):
    config = tiny_config.get_config().to_dict()
    config['table']['vae'] |= {'method': 'lagging', 'options': {'max_inner': 2, 'window': 1}}
    spec = table.tables({**config, 'rows': 'vae', 'seeds': 3})[0]
    runner = Runner(spec, tmp_path)
    assert not runner.run()['broken']
    for path in (tmp_path / 'results').glob('*.json'):
        # no step is taken or counted past the end
        assert json.loads(path.read_text())['steps'] == 28
    for path in (tmp_path / 'logs').glob('*.jsonl'):
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        steps = [e['step'] for e in entries]
        # a seed that waits writes nothing
        assert steps == sorted(set(steps)) and steps[-1] == 28


@pytest.mark.slow
def test_cells_of_other_data_are_refused(tmp_path):
    for name, words in (('a', 'one two three'), ('b', 'three two one')):
        for split in ('train', 'valid', 'test'):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f'{split}.txt').write_text(f'{words}\n' * 8)
    kit = {'name': 'lstm', 'embed': 4, 'hidden': 4, 'latent': 2, 'dropout': .5,
           'init_scale': .01}
    spec = table.tables({
        'name': 'own', 'title': 'Own',
        'dataset': {'name': 'text_dir', 'cache_dir': str(tmp_path / 'cache')}, 'epochs': 1,
        'batch': 8, 'kit': kit, 'metrics': ('elbo',), 'evaluation': {'samples': 1},
        'table': {'lm': {'method': 'lstm_lm'}}})[0]
    assert Runner(spec, tmp_path / 'w', str(tmp_path / 'a')).run() == {
        'busy': [], 'broken': [], 'out': False}
    with pytest.raises(UserError, match='of other data'):
        Runner(spec, tmp_path / 'w', str(tmp_path / 'b')).run()
    for result in (tmp_path / 'w' / 'results').iterdir():
        result.unlink()
    with pytest.raises(UserError, match='of other data'):
        Runner(spec, tmp_path / 'w', str(tmp_path / 'b')).run()


@pytest.mark.parametrize('change,message', [
    ({'epochs': 0}, 'epochs=0'), ({'group': 0}, 'group=0'), ({'mesh': 'data:0'}, 'mesh=.data:0'),
    ({'seeds_by': 'foo'}, 'auto, vmap or map'),
    ({'metrics': ('nll',)}, "did you mean 'nll_iw'"),
    ({'kit': {'name': 'mlp', 'latent': 0, 'hidden': (16,)}}, 'kit.latent=0'),
    ({'evaluation': {'samples': 0}}, 'evaluation.samples=0'), ({'seeds': 0}, 'seeds=0'),
])
def test_impossible_settings_are_refused_before_anything_runs(change, message):
    config = tiny_config.get_config().to_dict()
    with pytest.raises(UserError, match=message):
        table.tables({**config, **change})


def test_more_devices_than_there_are(tmp_path):
    config = tiny_config.get_config().to_dict()
    with pytest.raises(UserError, match='mesh=data:64 takes 64 devices'):
        Runner(table.tables({**config, 'rows': 'vae', 'mesh': 'data:64'})[0], tmp_path).run()
