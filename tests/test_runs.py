"""Tables from Python: what a run gives, what it leaves behind, and what it refuses."""
import asyncio
import json
import pathlib
import signal
import sys
import threading
import warnings

import jax
import numpy as np
import pytest
from absl import flags
from ml_collections import config_dict

import vaebench
from vaebench import runs
from vaebench.errors import UserError
from vaebench.experiment import configs
from vaebench.experiment.rows import overrides, row
from vaebench.report import cli as report

PLANE = {'name': 'gaussians8', 'examples': 60, 'eval_examples': 20}
CONFIG = {'name': 'points', 'title': 'Points', 'dataset': PLANE, 'seeds': 1, 'epochs': 3, 'batch': 20,
          'block': 1, 'save_every': 1e9, 'metrics': ('rec', 'knn_error'),
          'kit': {'name': 'mlp', 'latent': 2, 'hidden': (4,), 'likelihood': 'gaussian_shared'}}
MAP = {**CONFIG, 'table': {'pca': row('PCA', 'pca')}}
VAE = {**CONFIG, 'table': {'vae': row('VAE', 'vae')}}


@pytest.fixture(autouse=True, scope='module')
def cache(tmp_path_factory):
    """Compiled programs of this module alone, which its runs share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        patch.delenv('VAEBENCH_DATA', raising=False)
        yield


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A VAE and a map, done."""
    workdir = tmp_path_factory.mktemp('trained')
    return vaebench.run({**CONFIG, 'table': {**VAE['table'], **MAP['table']}}, workdir)


def numbers(done):
    """What must not depend on how cells were reached."""
    return [(c.row, c.seed, c.status, c.steps, c.metrics) for c in done.cells]


def test_results_are_those_of_the_files(trained):
    assert trained.tables == ('points',) and not trained.missing and not trained.problems
    vae, pca = trained.cells
    frame = trained.to_pandas()
    assert frame[['table', 'row', 'label', 'seed', 'status']].values.tolist() == [
        ['points', 'vae', 'VAE', 0, 'done'], ['points', 'pca', 'PCA', 0, 'done']]
    assert frame['rec'][0] == vae.metrics['rec'].value and np.isnan(frame['rec'][1])
    assert frame['knn_error'].tolist() == [c.metrics['knn_error'].value for c in (vae, pca)]
    tidy = trained.to_pandas(tidy=True)
    line = tidy[(tidy['row'] == 'vae') & (tidy['metric'] == 'rec')].iloc[0]
    assert (line['value'], line['unit']) == (vae.metrics['rec'].value, 'nats/point')
    assert len(tidy) == 3
    assert str(trained) == report.render([trained.workdir], 'terminal')[0]
    assert trained.text('markdown').startswith('**Points**') and '| VAE |' in trained.text('markdown')
    assert repr(trained) == f'<points in {trained.workdir}: 2 cells done, 0 failed, 0 missing>'
    with pytest.raises(UserError, match="form='word': give one of terminal"):
        trained.text('word')


def test_again_trains_nothing_and_one_row_is_a_part(trained):
    before = {p: p.stat().st_mtime_ns for p in trained.workdir.rglob('*.json')}
    config = {**CONFIG, 'table': {**VAE['table'], **MAP['table']}}
    again = vaebench.run(config, str(trained.workdir), rows=['pca'])
    assert numbers(again) == numbers(trained)[1:]
    assert before == {p: p.stat().st_mtime_ns for p in trained.workdir.rglob('*.json')}


def test_models_of_its_cells(trained):
    assert trained.model('vae').sample(3).shape == (3, 2)
    with pytest.raises(UserError, match="unknown cell 'vae with seed 1'; did you mean 'vae with "
                                        "seed 0'"):
        trained.model('vae', seed=1)


def test_curves_are_those_of_the_logs(trained, tmp_path):
    curves = trained.curves()
    log, = (trained.workdir / 'logs').glob('vae.s0.*.jsonl')
    epochs = [json.loads(line) for line in log.read_text().splitlines()]
    assert curves['epoch'].nunique() == len(epochs) == 3
    assert set(curves['table']) == {'points'} and set(curves['row']) == {'vae'}
    for epoch in epochs:
        for split in ('train', 'valid'):
            mine = curves[(curves['epoch'] == epoch['epoch']) & (curves['split'] == split)]
            assert dict(zip(mine['name'], mine['value'], strict=True)) == epoch[split]
            assert set(mine['step']) == {epoch['step']}
    alone = tmp_path / 'logs' / log.name          # under way: no result, an epoch again, a torn line
    alone.parent.mkdir()
    again = json.dumps({**epochs[0], 'valid': {'elbo': None}})
    alone.write_text('\n'.join([json.dumps(epochs[0]), again, again[:40]]))
    curves = vaebench.curves(tmp_path)
    assert set(curves['table']) == {None} and set(curves['epoch']) == {0}
    assert np.isnan(curves[curves['split'] == 'valid']['value']).tolist() == [True]
    with pytest.raises(UserError, match='has no curves: name the workdir of a run'):
        vaebench.curves(tmp_path / 'logs')


def state():
    """What a call must leave as it was."""
    settings = [getattr(jax.config, name) for name in (
        'jax_debug_nans', 'jax_enable_x64', 'jax_compilation_cache_dir')]
    return ([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], settings,
            flags.FLAGS.is_parsed(), {'config', 'workdir'} & set(flags.FLAGS), sys.argv[:],
            pathlib.Path.cwd(), warnings.showwarning)


def test_an_interrupt_saves_and_the_same_call_goes_on(trained, tmp_path, capfd):
    before, told = state(), []

    def interrupt(*what):
        told.append(what)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        vaebench.run(VAE, tmp_path, on_progress=interrupt)
    assert state() == before
    label, fraction, text = told[0]
    assert len(told) == 1 and label == 'VAE' and 0 < fraction < .5 and 'loss' in text
    assert list((tmp_path / 'checkpoints').iterdir()) and not (tmp_path / 'models').exists()
    rest = []
    done = vaebench.run(VAE, tmp_path, on_progress=lambda *what: rest.append(what[1]))
    assert rest[0] > fraction                       # it went on from there
    assert numbers(done) == numbers(trained)[:1]


def test_a_second_interrupt_does_not_wait(tmp_path):
    before = state()

    def twice(*what):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError('it waited')

    with pytest.raises(KeyboardInterrupt):
        vaebench.run(VAE, tmp_path, on_progress=twice)
    assert state() == before


def test_inside_an_event_loop_and_in_a_thread(tmp_path):
    before, found = state(), []

    async def main():
        handlers = state()[0]                       # asyncio has its own
        done = vaebench.run(MAP, tmp_path)
        assert state()[0] == handlers
        return done

    assert not asyncio.run(main()).missing
    thread = threading.Thread(target=lambda: found.append(vaebench.run(MAP, tmp_path, seeds=2)))
    thread.start()
    thread.join()
    assert len(found[0].cells) == 2 and state() == before


def test_a_row_that_cannot_be_is_a_warning_and_the_others_go_on(tmp_path):
    bad = row('bad', 'pca', overrides(dataset={'name': 'nothing'}))
    with pytest.warns(UserWarning, match="bad: unknown dataset 'nothing'"):
        done = vaebench.run({**MAP, 'table': {'bad': bad, **MAP['table']}}, tmp_path)
    assert [c.row for c in done.cells] == ['pca'] and done.missing == 1
    assert len(done.problems) == 1


def test_without_time_nothing_is_done_and_nothing_is_wrong(tmp_path):
    done = vaebench.run(MAP, tmp_path, budget=0, seeds=3)
    assert done.cells == () and done.missing == 3 and str(done) == ''
    assert done.to_pandas().empty and done.to_pandas(tidy=True).empty


def test_a_config_is_a_name_a_path_a_dict_or_what_get_config_gives(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f'def get_config():\n    return {MAP!r}')
    filled = configs.load(str(path)).to_dict()
    given = config_dict.ConfigDict(MAP, sort_keys=False)
    for config in (path, str(path), MAP, given):
        assert runs._settings(config, {}) == filled
    assert runs._settings('ptb:small', {}) == configs.load('ptb:small').to_dict()
    changed = runs._settings(MAP, {'kit.latent': 3, 'optimizer.lr': 1, 'metrics': ['rec'],
                                   'seeds': np.int64(2)})
    assert (changed['kit']['latent'], changed['optimizer']['lr'], changed['seeds']) == (3, 1., 2)
    assert MAP['kit']['latent'] == 2


def test_home_folders_and_the_default_workdir(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert vaebench.run(MAP, '~/here', budget=0).workdir == tmp_path / 'here'
    assert vaebench.run(MAP, budget=0).workdir == pathlib.Path('runs/points')
    assert not (tmp_path / '~').exists()


BAD = {
    'name': ({'config': 'nothing'}, 'cannot find the config nothing'),
    'size': ({'config': 'ptb:tiny'}, 'ptb:tiny: .*small'),
    'number': ({'config': 5}, 'a config is the name of one, a path or a dict, not 5'),
    'none': ({'config': None}, 'not None'),
    'empty': ({'config': {}}, 'no dataset'),
    'no tables': ({'config': {'name': 'x', 'tables': {}}}, 'no table'),
    'tables': ({'config': {'name': 'x', 'tables': 5}}, 'tables'),
    'table': ({'config': {**MAP, 'table': 5}}, 'table=5'),
    'method': ({'config': {**MAP, 'table': {'a': row('A', 'pcaa')}}}, "did you mean 'pca'"),
    'unknown row': ({'rows': 'pcaa'}, "unknown row 'pcaa'"),
    'rows': ({'rows': 5}, 'rows=5: give a list of names'),
    'words': ({'rows': ['pca', 3]}, 'give a list of names'),
    'no seeds': ({'seeds': 0}, 'seeds=0'),
    'word for seeds': ({'seeds': 'two'}, "seeds='two'"),
    'budget': ({'budget': 'soon'}, 'budget=soon is not a duration'),
    'negative budget': ({'budget': -1}, 'budget=-1'),
    'unknown key': ({'overrides': {'epoch': 1}}, "did you mean 'epochs'"),
    'nested key': ({'overrides': {'kit.latnt': 1}}, "did you mean 'kit.latent'"),
    'type': ({'overrides': {'epochs': 'many'}}, "epochs='many': give 3 or another int"),
    'no dict': ({'overrides': [1]}, 'give a dict such as'),
    'key that is no text': ({'overrides': {3: 1}}, "unknown key of the config '3'"),
    'workdir': ({'workdir': 3}, 'workdir=3: give a path'),
    'workdir in a file': ({'workdir': __file__ + '/x'}, 'Not a directory'),
    'pattern': ({'workdir': 'a[b]'}, 'the path holds'),
    'data_dir': ({'data_dir': 3}, 'data_dir=3: give a path'),
    'function': ({'on_progress': 3}, 'on_progress=3: give a function'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_line(case, tmp_path):
    given, said = BAD[case]
    before = state()
    with pytest.raises(UserError, match=said) as caught:
        vaebench.run(**{'config': MAP, 'workdir': tmp_path / 'w', **given})
    assert '\n' not in str(caught.value) and state() == before and not list(tmp_path.iterdir())


def test_a_missing_device_is_one_line(tmp_path, monkeypatch):
    def fails():
        raise AssertionError

    monkeypatch.setattr(jax, 'devices', fails)
    with pytest.raises(UserError, match='JAX finds no device|cannot be used here'):
        vaebench.run(MAP, tmp_path / 'w')
    assert not list(tmp_path.iterdir())
    (tmp_path / 'cell.json').write_text('{}')
    with pytest.raises(UserError, match='JAX finds no device|cannot be used here'):
        vaebench.load(tmp_path / 'cell')
