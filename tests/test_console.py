"""What a run says and hears: progress, signals, JAX's platforms and compiled programs."""
import gc
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench import cli, console, datasets, files
from vaebench.datasets import cache
from vaebench.engine import loop
from vaebench.errors import UserError
from vaebench.experiment import machine, training
from vaebench.experiment.runner import Runner

CONFIG = f'--config={pathlib.Path(__file__).parent / "tiny_config.py"}'
FAST = 'jax_enable_x64', 'jax_platforms'


def call(*flags, code=0):
    """The command in this process."""
    assert cli.main(['vaebench', '--compilation_cache=', *map(str, flags)]) == code


def one_line(capsys):
    line, = capsys.readouterr().err.strip().splitlines()
    return line


# ---- progress --------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self):
        return True


def test_labels_in_a_bar_may_hold_brackets(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    shown = console.Progress()
    shown('VAE [/x] [beta=4]', .5, 'loss [/y]')
    shown.finished('VAE [/x] [beta=4]: trained')
    shown.close()
    assert 'VAE [/x] [beta=4]' in sys.stderr.getvalue()


@pytest.fixture
def clock(monkeypatch):
    """A list whose one number is the time."""
    at = [0.]
    monkeypatch.setattr(console.time, 'monotonic', lambda: at[0])
    return at


def logged(capsys):
    """What lines say behind absl's prefix, which is checked: a level, a date, a time, a place."""
    found = [re.fullmatch(r'I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ console\.py:\d+\] (.*)', line)
             for line in capsys.readouterr().err.splitlines()]
    return [match[1] for match in found]


def test_without_a_terminal_every_phase_and_cell_is_a_log_line(clock, capsys):
    shown = console.Progress()
    shown.expect(4, 4)
    shown('VAE', .1, 'loss 3')
    clock[0] = 60.
    shown.spent('training', 1.)             # half of two seeds
    shown.finished('VAE: phase ae done')
    clock[0] = 120.
    shown.spent('training', 1.)
    shown.finished('VAE: trained')
    clock[0] = 150.
    shown.spent('evaluation', 2)
    shown.finished('VAE: seed 0\ndone', 1)
    shown.finished('VAE: seed 1 done', 1)
    clock[0] = 480.
    shown('VAE', .5, 'loss 1')
    shown.finished('VAE: seed 1 done', 2)
    assert logged(capsys) == [
        'VAE: 10%, loss 3 (0 of 4 cells)',
        'VAE: phase ae done (0 of 4 cells, about 3 min of training left, evaluation not measured '
        'yet)',
        'VAE: trained (0 of 4 cells, about 2 min of training left, evaluation not measured yet)',
        'VAE: seed 0 done (1 of 4 cells, about 2 min left)',
        'VAE: seed 1 done (2 of 4 cells, about 2 min left)',
        'VAE: 50%, loss 1 (2 of 4 cells, about 2 min left)',
        'VAE: seed 1 done (4 of 4 cells)']


def test_what_a_checkpoint_had_is_done_but_no_measure_of_speed(clock, capsys):
    shown = console.Progress()
    shown.expect(8, 10)
    shown.finished('nothing yet')
    clock[0] = 100.
    shown.spent('training', .5, 1.5)        # 200 s a cell, and 6 are left
    clock[0] = 140.
    shown.spent('evaluation', 4)            # 10 s a cell, and 6 are left
    shown.finished('more', 4)
    assert logged(capsys) == ['nothing yet (0 of 10 cells, time left not measured yet)',
                              'more (4 of 10 cells, about 21 min left)']


def test_a_group_tells_its_part_of_the_work_and_where_its_phases_end():
    """Of two seeds: from a checkpoint at 30% on, past the end of the first phase."""
    method = types.SimpleNamespace(phases=(types.SimpleNamespace(name='ae', steps=60),
                                           types.SimpleNamespace(name='main', steps=40)))
    spent, said, shown = [], [], []
    watch = training.Watch(
        training.Hooks(lambda *a: shown.append(a), lambda *a: said.append(a),
                       lambda *a: spent.append(a)), 'VAE', method, 2)
    loss = np.array([1., 2.])
    watch(loop.Position(0, 3, 1, 30), .3, loss)
    watch(loop.Position(0, 3, 2, 60), .6, loss)
    watch(loop.Position(1, 0, 1, 20), .8, loss)
    watch.close(12.)                        # the seeds have stopped before the last step
    assert [kind for kind, *_ in spent] == ['training'] * 4
    np.testing.assert_allclose([s[1:] for s in spent], [(0, .6), (.6, 0), (.4, 0), (.4, 0)])
    assert said == [('VAE: phase ae, 1 of 2, done after 60 steps', 0),
                    ('VAE: trained, 2 seeds, 12.0 s', 0)]
    assert shown[0] == ('VAE', .3, 'ae loss 1.500') and shown[1][2].startswith('ae loss 1.500, ')


def test_a_group_whose_checkpoint_held_the_end_has_measured_nothing():
    for steps, told in ((10, ('training', 0., 3.)), (0, ('training', 3., 0.))):      # or it sums up in no step
        phase, spent = types.SimpleNamespace(name='main', steps=steps), []
        method = types.SimpleNamespace(phases=(phase,))
        training.Watch(training.Hooks(spent=lambda *a, s=spent: s.append(a)), 'VAE', method, 3).close(1.)
        assert spent == [told]


def test_a_group_from_the_start_has_found_nothing():
    method, spent = types.SimpleNamespace(phases=(types.SimpleNamespace(name='main', steps=20),)), []
    watch = training.Watch(training.Hooks(spent=lambda *a: spent.append(a)), 'VAE', method, 4)
    watch(loop.Position(0, 0, 1, 10), .5, np.ones(4))
    watch(loop.Position(0, 1, 0, 20), 1., np.ones(4))
    watch.close(1.)
    assert spent == [('training', 2., 0.), ('training', 2., 0.), ('training', 0., 0.)]


# ---- signals ---------------------------------------------------------------------------------


def test_the_first_signal_is_heard_aloud_and_breaks_off_what_looks_nowhere(capfd):
    with console.signals() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(.01)
        assert stopped == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt), stopped.interruptible():
            raise AssertionError('it goes on')
    assert capfd.readouterr().err == 'vaebench: stopping; once more stops at once\n'
    with console.signals() as stopped, pytest.raises(KeyboardInterrupt), stopped.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert stopped == [signal.SIGTERM]


def test_a_dry_run_stops_at_once(monkeypatch, capfd, tmp_path):
    def plan(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    monkeypatch.setattr(Runner, 'plan', plan)
    begun = time.monotonic()
    call(CONFIG, f'--workdir={tmp_path}', '--dry_run', code=128 + signal.SIGTERM)
    assert time.monotonic() - begun < 20
    assert capfd.readouterr().err.splitlines() == [
        'vaebench: stopping; once more stops at once',
        'vaebench: stopped: the same command goes on']


def test_a_signal_breaks_off_the_preparation_of_data_and_leaves_nothing(tmp_path, monkeypatch,
                                                                       capfd):
    def write(folder):
        (folder / 'half').write_text('half')
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    monkeypatch.setattr(datasets, 'load', lambda name, **options: cache.prepared(
        tmp_path / 'x' / 'key', write))
    call(CONFIG, f'--workdir={tmp_path / "w"}', code=128 + signal.SIGTERM)
    assert [p.name for p in (tmp_path / 'x').iterdir()] == ['.lock']
    assert not (tmp_path / 'w').exists() and 'Traceback' not in capfd.readouterr().err


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """A run of sentences whose data another process prepares."""
    for split in ('train', 'valid', 'test'):
        (tmp_path / f'{split}.txt').write_text('a b c\n' * 4)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    with files.lock(tmp_path / 'cache' / 'vaebench' / 'data' / 'text_dir' / '.lock'):
        yield ('--config=text_dir', f'--data_dir={tmp_path}', f'--workdir={tmp_path / "w"}')


def test_waiting_for_the_lock_of_data_obeys_the_budget(waiting, capsys):
    begun = time.monotonic()
    call(*waiting, '--budget=4s')
    assert time.monotonic() - begun < 30
    captured = capsys.readouterr()
    assert 'time is up: the same command goes on' in captured.out
    assert captured.err == 'vaebench: waiting for another process that prepares the same data\n'


def test_waiting_for_the_lock_of_data_hears_a_signal(waiting, capfd):
    timer = threading.Timer(2., os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    call(*waiting, code=128 + signal.SIGTERM)
    assert 'stopped: the same command goes on' in capfd.readouterr().err


# ---- JAX and the machine ---------------------------------------------------------------------


def test_platforms_that_jax_does_not_find_are_one_line(monkeypatch, capsys):
    before = [getattr(jax.config, name) for name in FAST]

    def devices():
        if jax.config.jax_platforms:
            raise AssertionError
        return [type('Device', (), {'platform': 'cpu'})]

    monkeypatch.setattr(jax, 'devices', devices)
    try:
        jax.config.update('jax_platforms', 'cuda')
        call(CONFIG, '--dry_run', code=2)
        assert jax.config.jax_platforms == 'cuda'
    finally:
        for name, value in zip(FAST, before, strict=True):
            jax.config.update(name, value)
    line = one_line(capsys)
    assert 'JAX_PLATFORMS=cuda cannot be used here (AssertionError); JAX finds cpu:' in line
    assert 'cuda13' in line


def test_a_process_with_a_wrong_platform_is_one_line(tmp_path):
    done = subprocess.run([sys.executable, '-m', 'vaebench.cli', CONFIG, f'--workdir={tmp_path}'],
                          env={**os.environ, 'JAX_PLATFORMS': 'foo'}, capture_output=True, text=True)
    assert done.returncode == 2 and not done.stdout and not list(tmp_path.iterdir())
    line, = done.stderr.splitlines()
    assert 'JAX_PLATFORMS=foo' in line and 'JAX finds cpu' in line


def test_numbers_have_32_bits_whatever_jax_was_told(monkeypatch, capsys):
    jax.config.update('jax_enable_x64', True)
    try:
        with machine.settings('', debug=False):
            assert jnp.ones(1, float).dtype == jnp.float32
        assert jnp.ones(1, float).dtype == jnp.float64
    finally:
        jax.config.update('jax_enable_x64', False)
    monkeypatch.setenv('JAX_ENABLE_X64', '1')
    call(CONFIG, '--config.dataset.name=none', '--dry_run', code=2)
    first, second = capsys.readouterr().err.splitlines()
    assert 'JAX_ENABLE_X64 is set; vaebench computes in 32 bits' in first
    assert second.startswith("vaebench: unknown dataset 'none'; ")


def test_damaged_programs_are_written_anew_without_a_word(tmp_path, recwarn):
    def compiled():
        jax.clear_caches()
        return jax.jit(lambda x: 3 * x + 1)(jnp.arange(7.))

    with machine.settings(str(tmp_path), debug=False):
        first = compiled()
        kept = {path: path.read_bytes() for path in tmp_path.glob('*-cache')}
        for path, raw in kept.items():
            path.write_bytes(raw[:len(raw) // 2])
        assert (compiled() == first).all()
        healed = {path for path in kept if path.stat().st_size > len(kept[path]) // 2}
    assert kept and healed and not [w for w in recwarn if machine.UNREADABLE in str(w.message)]
    whole = next(iter(healed))
    (tmp_path / 'x-cache').write_bytes(b'')
    assert machine.heal(tmp_path) == 1 and whole.exists()


def test_empty_variables_count_as_none(monkeypatch):
    for value, start in (('', '~/.cache'), ('/x', '/x')):
        monkeypatch.setenv('XDG_CACHE_HOME', value)
        assert machine.cache_folder() == f'{start}/vaebench/jax'


# ---- the end ---------------------------------------------------------------------------------


def test_bad_input_ends_the_process_though_a_program_is_still_compiled():
    code = f'''
import sys, threading, time
from vaebench import cli
from vaebench.experiment import machine, training
threading.Thread(target=time.sleep, args=(60,), name=machine.AHEAD).start()
sys.argv[1:] = [{CONFIG!r}, '--config.rows=veo']
sys.exit(cli.main())
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 2
    assert done.stderr == "vaebench: unknown row 'veo'; did you mean 'vae'?\n"


POINTLESS = '''
from vaebench.experiment.rows import row
def get_config(name='one'):
    return dict(name=name, title='T', dataset=dict(name='digits', examples=50, eval_examples=20),
                kit=dict(name='mlp', latent=2, hidden=(4,)), metrics=('trust',), seeds=1,
                table=dict(pca=row('PCA', 'pca')))
'''


@pytest.mark.parametrize('code, hint', [
    ('def get_config(', 'cannot read the config'),
    ('import nosuchpackage', "No module named 'nosuchpackage'"),
    ('def get_config():\n    return {}', 'no '),
    ('def get_config():\n    return {"title": "T", "seeds": 1}', 'no dataset in the config'),
    (POINTLESS.replace('name=name, ', ''), 'no name in the config'),
    ('def get_config():\n    return {"name": "x", "tables": {}}', 'the config has no table'),
    ('def get_config():\n    return {"name": "x", "tables": {"a": {}}}', 'no '),
    (POINTLESS.replace("name=name, title='T'", "name='a/b', title='T'"), "name='a/b'"),
    (POINTLESS.replace('pca=', '**{"my row": {}}, pca='), "the name 'my row' in table"),
])
def test_a_config_that_cannot_be_is_one_line_and_leaves_nothing(code, hint, tmp_path, monkeypatch,
                                                                capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'own.py').write_text(code)
    call('--config=own.py', code=2)
    assert hint in one_line(capsys)
    assert {p.name for p in tmp_path.iterdir()} <= {'own.py', '__pycache__'}


def test_home_and_spaces_in_paths_and_several_configs_in_a_folder(tmp_path, monkeypatch, capsys):
    import json
    import shlex
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'a:b.py').write_text(POINTLESS)
    call('--config=~/a:b.py', '--workdir=~/sp ace ü')
    last = capsys.readouterr().out.strip().splitlines()[-1]
    command = shlex.split(last.split('; ')[-1])
    assert command[:2] == ['vaebench-report', f'--results={tmp_path}/sp ace ü']
    call('--config=~/a:b.py:two', '--workdir=~/sp ace ü', '--config.epochs=3')
    manifest = json.loads((tmp_path / 'sp ace ü' / 'table.json').read_text())
    assert [t['table'] for t in manifest['tables']] == ['two', 'one']


def test_a_package_that_ends_the_process_is_said(monkeypatch, capsys):
    def find(name):
        sys.exit(3)

    from vaebench import methods
    monkeypatch.setattr(methods, 'find', find)
    call(CONFIG, code=2)
    assert one_line(capsys) == 'vaebench: the config or a package ended the process: sys.exit(3)'


def test_odd_budgets_are_refused_before_anything_is_made(tmp_path):
    call(CONFIG, '--budget=soon', f'--workdir={tmp_path / "w"}', code=2)
    assert not (tmp_path / 'w').exists()
    with pytest.raises(UserError):
        files.user_path('~nobodyhere/x')


def test_a_signal_in_a_callback_of_the_collector_says_nothing(monkeypatch):
    """What cannot be raised there is remembered, and no traceback is printed."""
    def callback(phase, info):
        if phase == 'start' and not stopped:
            signal.raise_signal(signal.SIGTERM)

    said = []
    monkeypatch.setattr(sys, 'unraisablehook', hook := said.append)
    with console.signals() as stopped:
        gc.callbacks.append(callback)
        try:
            with stopped.interruptible():
                gc.collect()
        finally:
            gc.callbacks.remove(callback)
        assert stopped == [signal.SIGTERM]
    assert said == [] and sys.unraisablehook is hook
