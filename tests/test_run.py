"""The command line, as users meet it: processes, signals, bad input.

What trains, is killed or is resumed runs as a process; the rest calls `cli.main`.
"""
import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from absl import flags

from vaebench import cli, console
from vaebench.experiment import machine, results

HERE = pathlib.Path(__file__).parent
CONFIG = f'--config={HERE / "tiny_config.py"}'


def command(*flags):
    return [sys.executable, '-m', 'vaebench', *map(str, flags)]


def start(*flags):
    return subprocess.Popen(command(*flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*flags, code=0, **environ):
    done = subprocess.run(command(*flags), capture_output=True, text=True, timeout=300,
                          env={**os.environ, 'COLUMNS': '100', **environ})    # as in this process
    assert done.returncode == code, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    return done


def call(*flags, code=0):
    """The command in this process."""
    assert cli.main(['vaebench', '--compilation_cache=', *map(str, flags)]) == code


def cells(workdir):
    """Everything in a workdir's results that must not depend on how it was reached."""
    found = {}
    for path in sorted(pathlib.Path(workdir, 'results').glob('*.json')):
        result = json.loads(path.read_text())
        found[path.name] = {k: result[k] for k in ('metrics', 'status', 'steps', 'reason', 'config', 'dataset')}
    return found


TENSORBOARD = """
import json, pathlib
class SummaryWriter:
    def __init__(self, folder):
        self.path = pathlib.Path(folder, 'told')
        self.path.parent.mkdir(parents=True)
    def add_scalar(self, *told):
        with self.path.open('a') as file:
            file.write(json.dumps(told) + chr(10))
    def flush(self): pass
    def close(self): self.path.rename(self.path.with_name('closed'))
"""
"""A module like tensorboardX, which need not be installed."""


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A finished table, and what its run printed."""
    workdir, modules = map(tmp_path_factory.mktemp, ('finished', 'modules'))
    (modules / 'tensorboardX.py').write_text(TENSORBOARD)
    return workdir, run(CONFIG, f'--workdir={workdir}', '--track=tensorboard', '--profile=2:4',
                        PYTHONPATH=os.pathsep.join([str(modules), *sys.path]))


def test_a_run_ends_with_its_table_and_where_everything_is(finished):
    workdir, done = finished
    assert len(cells(workdir)) == 8
    told, again = done.stdout.strip().splitlines()[-2:]
    assert '8 cells done' in told and str(workdir) in told
    assert again == f'  vaebench-report --results={workdir}'
    for label in ('VAE', 'beta-VAE', 'AE + FB', 'WGAN-GP'):
        assert label in done.stdout
    tiny, = results.read_manifest(workdir).tables
    assert (tiny.primary, tiny.baseline) == ('nll_iw', 'vae')


def test_the_log_of_a_run_says_where_it_is(finished):
    lines = [re.sub(r'^I\d{4} [\d:.]+ +\d+ console\.py:\d+\] ', 'log: ', line)
             for line in finished[1].stderr.splitlines()]
    begun = next(line for line in lines if line.startswith('log: '))
    assert re.fullmatch(r'log: VAE: \d+%, main loss [\d.]+(, \d+ steps/s)? \(0 of 8 cells\)', begun)
    assert sum(' done (' in line for line in lines) == 8
    first = next(line for line in lines if 'VAE: trained' in line)
    assert re.fullmatch(r'log: VAE: trained, 2 seeds, [\d.]+ s \(0 of 8 cells, about .* of '
                        r'training left, evaluation not measured yet\)', first)
    assert any(re.fullmatch(r'log: AE \+ FB: phase ae, 1 of 2, done after 28 steps '
                            r'\(4 of 8 cells, about .* left\)', line) for line in lines)
    assert lines[-1] == 'log: WGAN-GP: seed 1 done (8 of 8 cells)'
    traced = [line for line in lines if not line.startswith('log: ')]
    path, = (finished[0] / 'profile' / 'vae.2-4').rglob('perfetto_trace.json.gz')
    assert traced == [f'vaebench: train steps 2 to 4 are traced in {path}: open it in Perfetto']
    assert json.loads(gzip.decompress(path.read_bytes()))['traceEvents']


def test_a_run_tells_tensorboard_every_epoch_and_metric(finished):
    paths = sorted((finished[0] / 'tensorboard').glob('*/closed'))
    kinds = [path.parent.name.rsplit('.', 1)[0] for path in paths]
    assert kinds == [f'{row}.s{s}' for row in ('beta_vae', 'pre_ae_fb', 'vae', 'wgan_gp') for s in (0, 1)]
    told = dict(zip(kinds, ([json.loads(line) for line in p.read_text().splitlines()] for p in paths),
                    strict=True))
    result = json.loads(next((finished[0] / 'results').glob('vae.s1.*')).read_text())
    log = [json.loads(line) for line in next((finished[0] / 'logs').glob('vae.s1.*')).read_text().splitlines()]
    own = told['vae.s1']
    assert [x for x in own if x[0] == 'main/valid/elbo'] == [
        ['main/valid/elbo', epoch['valid']['elbo'], epoch['step']] for epoch in log]
    assert [x for x in own if x[0] == 'metric/elbo'] == [
        ['metric/elbo', result['metrics']['elbo']['value'], 28]]
    assert {name.split('/')[0] for name, *_ in told['pre_ae_fb.s0']} == {'ae', 'main', 'metric'}


def test_again_trains_nothing_and_prints_the_same(finished, capsys, monkeypatch):
    workdir, done = finished
    monkeypatch.setenv('COLUMNS', '100')
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob('*') if p.is_file() and p.name != 'table.json'
              and 'locks' not in p.parts}
    call(CONFIG, f'--workdir={workdir}')
    assert capsys.readouterr().out == done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in before}


@pytest.mark.slow
def test_more_seeds_and_other_samples_train_only_what_is_new(finished, tmp_path):
    import shutil
    workdir = tmp_path / 'copy'
    shutil.copytree(finished[0], workdir)
    models = {p.name for p in (workdir / 'models').iterdir()}
    run(CONFIG, f'--workdir={workdir}', '--config.rows=vae', '--config.seeds=3')
    added = {p.name for p in (workdir / 'models').iterdir()} - models
    assert len(added) == 1 and added.pop().startswith('vae.s2.')
    logs = {p: p.stat().st_mtime_ns for p in (workdir / 'logs').iterdir()}
    run(CONFIG, f'--workdir={workdir}', '--config.rows=vae', '--config.evaluation.samples=3')
    assert logs == {p: p.stat().st_mtime_ns for p in (workdir / 'logs').iterdir()}
    samples = {r['metrics']['nll_iw']['samples'] for n, r in cells(workdir).items() if n.startswith('vae.')}
    assert samples == {8, 3}
    before = cells(workdir)
    run(CONFIG, f'--workdir={workdir}', '--config.rows=vae', '--config.split=valid')
    assert logs == {p: p.stat().st_mtime_ns for p in (workdir / 'logs').iterdir()}
    new = [r for n, r in cells(workdir).items() if n not in before]
    assert [r['dataset']['split'] for r in new] == ['valid', 'valid']
    kept = [min(json.loads(line)['valid'].get('elbo') for line in p.read_text().splitlines())
            for p in sorted((workdir / 'logs').glob('vae.s[01].*'))]
    np.testing.assert_allclose([r['metrics']['elbo']['value'] for r in new], kept, rtol=.02)
    test = next(r['metrics']['elbo']['value'] for n, r in before.items() if n.startswith('vae.s0'))
    assert abs(kept[0] / test - 1) > .001


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_numbers(finished, tmp_path):
    workdir = tmp_path / 'killed'
    files = lambda: {p for part in ('checkpoints', 'models', 'results') for p in (workdir / part).glob('*')}
    for _ in range(5):
        process, before = start(CONFIG, f'--workdir={workdir}'), files()
        while process.poll() is None and files() == before:      # until it has written something new
            time.sleep(.01)
        alive = process.poll() is None
        process.kill()
        process.communicate()
        assert alive, 'it ended before it could be killed'
    assert len(list((workdir / 'results').glob('*.json'))) < 8
    run(CONFIG, f'--workdir={workdir}')
    assert cells(workdir) == cells(finished[0])


@pytest.mark.slow
def test_two_processes_share_the_rows(finished, tmp_path):
    workdir = tmp_path / 'shared'
    pair = [start(CONFIG, f'--workdir={workdir}') for _ in range(2)]
    ends = [p.communicate(timeout=300) for p in pair]
    assert [p.returncode for p in pair] == [0, 0], ends
    run(CONFIG, f'--workdir={workdir}')
    assert cells(workdir) == cells(finished[0])
    for log in (workdir / 'logs').iterdir():
        epochs = [(e['phase'], e['epoch']) for e in map(json.loads, log.read_text().splitlines())]
        assert len(epochs) == len(set(epochs)), f'{log} was trained twice'


@pytest.mark.slow
def test_termination_saves_and_budget_exits_cleanly(finished, tmp_path):
    workdir = tmp_path / 'stopped'
    process = start(CONFIG, f'--workdir={workdir}')
    time.sleep(5)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode in (0, 128 + signal.SIGTERM) and 'Traceback' not in err
    brief = run(CONFIG, f'--workdir={workdir}', '--budget=3s')
    assert 'time is up' in brief.stdout or '8 cells done' in brief.stdout
    run(CONFIG, f'--workdir={workdir}')
    assert cells(workdir) == cells(finished[0])


@pytest.mark.slow
def test_two_devices_share_a_batch_and_change_nothing_but_rounding(finished, tmp_path):
    environment = {**os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}
    done = subprocess.run(command(CONFIG, f'--workdir={tmp_path}', '--mesh=data:2', '--config.rows=vae'),
                          capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    two, one = cells(tmp_path), cells(finished[0])
    for name, cell in two.items():
        for metric, entry in cell['metrics'].items():
            assert entry['value'] == pytest.approx(one[name]['metrics'][metric]['value'], rel=2e-3), metric


def test_dry_run_lists_cells_and_writes_nothing(tmp_path, capsys):
    call(CONFIG, f'--workdir={tmp_path / "none"}', '--dry_run')
    out = capsys.readouterr().out
    assert out.count('missing') == 9 and 'about' in out and not (tmp_path / 'none').exists()


def state():
    """What a call must leave as it was."""
    names = ('jax_debug_nans', 'jax_compilation_cache_dir',
             'jax_persistent_cache_min_compile_time_secs',
             'jax_persistent_cache_min_entry_size_bytes', 'jax_enable_x64',
             'jax_persistent_cache_enable_xla_caches')
    return ([signal.getsignal(number) for number in console.SIGNALS],
            [getattr(jax.config, name) for name in names], sorted(flags.FLAGS), sys.argv[:])


def test_calls_leave_nothing_behind(tmp_path, capsys):
    before = state()
    common = [CONFIG, f'--workdir={tmp_path}', f'--compilation_cache={tmp_path}', '--dry_run']
    one = ['--config.rows=vae', '--config.seeds=1', '--debug']
    two = ['--config.rows', 'vae,beta_vae']
    for given, cells in ((one, 1), (two, 4)):
        call(*common, *given)
        assert len(capsys.readouterr().out.splitlines()) == cells + 1
        assert state() == before
    call(CONFIG, '--config.rows=veo', code=2)
    assert state() == before


def test_signals_and_settings_of_jax_are_set_only_inside(tmp_path):
    before = state()
    with console.signals() as stopped, machine.settings(str(tmp_path), debug=True):
        assert jax.config.jax_debug_nans
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        assert stopped == [signal.SIGTERM]
    assert state() == before


PTB = f'--config={HERE.parent / "configs" / "ptb.py"}'
BAD = {
    'no config': ([], 'quickstart'),
    'config that is not there': (['--config=configs/nothing.py'], 'nothing.py'),
    'unknown name of a config': (['--config=quikstart'], 'or one of analogy, '),
    'config argument': ([f'{PTB}:tiny'], 'small'),
    'typo in an override': ([CONFIG, '--config.optimizer.lrr=1'], 'did you mean lr?'),
    'unknown override': ([CONFIG, '--config.xyz=1'], 'no key xyz'),
    'typo in a flag': ([CONFIG, '--workdr=x'], 'workdir'),
    'flag without dashes': ([CONFIG, 'workdir=x'], 'workdir=x'),
    'unknown row': ([CONFIG, '--config.rows=veo'], 'vae'),
    'no seeds': ([CONFIG, '--config.seeds=0'], 'seeds'),
    'odd budget': ([CONFIG, '--budget=soon'], 'budget'),
    'unknown optimiser': ([CONFIG, '--config.optimizer.name=adm'], 'adam'),
    'unknown kit': ([CONFIG, '--config.kit.name=lstm'], 'mlp'),
    'word for a number': ([CONFIG, '--config.epochs=many'], 'epochs'),
    'number that is too small': ([CONFIG, '--config.epochs=0'], 'epochs=0'),
    'no data folder': ([f'{PTB}:small', '--config.rows=vae', '--data_dir=/nonexistent'],
                       '/nonexistent'),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_one_line_that_says_what_to_do(case, tmp_path, capsys):
    flags, hint = BAD[case]
    call(*flags, f'--workdir={tmp_path / "w"}', code=2)
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1 and hint in lines[0], captured.err


def test_bad_input_of_a_process_is_one_line(tmp_path):
    done = run(CONFIG, '--config.rows=veo', f'--workdir={tmp_path / "w"}', code=2)
    assert not done.stdout
    assert done.stderr == "vaebench: unknown row 'veo'; did you mean 'vae'?\n"


@pytest.mark.slow
def test_damaged_files_are_named_and_cost_nothing_else(finished, tmp_path, capsys):
    import shutil

    def said():
        capsys.readouterr()
        call(CONFIG, f'--workdir={workdir}', code=1)
        captured = capsys.readouterr()
        assert '7 cells done; 1 missing' in captured.out and 'WGAN-GP' in captured.out
        return captured.err.splitlines()[0]

    workdir = tmp_path / 'copy'
    shutil.copytree(finished[0], workdir)
    result = sorted((workdir / 'results').glob('vae.s0.*.json'))[0]
    result.write_text(result.read_text()[:100])
    line = said()
    assert line.startswith('vaebench: vae: ') and result.name in line
    result.unlink()
    model = next((workdir / 'models').glob('vae.s0.*'))
    for path in model.rglob('*'):
        if path.is_file():
            path.write_bytes(b'no')
    line = said()
    assert model.name in line and 'delete' in line
    shutil.rmtree(model)
    run(CONFIG, f'--workdir={workdir}')
    now, then = cells(workdir), cells(finished[0])
    alone = next(name for name in then if name.startswith('vae.s0.'))      # without its sibling: rounding differs
    a, b = now.pop(alone)['metrics'], then.pop(alone)['metrics']
    assert now == then and {k: pytest.approx(v['value'], rel=1e-3) for k, v in b.items()} == {
        k: v['value'] for k, v in a.items()}


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    call(CONFIG, f'--workdir={tmp_path / "file" / "w"}', code=2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_help_answers_without_jax():
    code = ('import sys, vaebench.cli; code = vaebench.cli.main(["vaebench", "--help"]); '
            'sys.exit(code or "jax" in sys.modules or "flax" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0
    assert '--budget' in done.stdout and 'quickstart, ' in done.stdout
    assert '  epochs=10          Epochs of the longest phase.' in done.stdout
