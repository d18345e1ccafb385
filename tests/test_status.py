"""Where a table stands, read from files; what its processes say of themselves; what it will cost."""
import json
import subprocess
import sys
import time

import pytest
import tiny_config

from vaebench import console, files
from vaebench.engine import cost
from vaebench.errors import UserError
from vaebench.experiment import pulse, runner, work
from vaebench.experiment.runner import Runner
from vaebench.experiment.table import tables
from vaebench.jobs import plan, status

MAPS = {row: {'method': 'pca'} for row in 'abc'}


def own(rows=MAPS, **changes):
    """A table of rows that take no step."""
    config = {**tiny_config.get_config().to_dict(), 'baseline': '', 'seeds': 2, 'metrics': ('trust',), 'columns': (),
              'primary': '', 'table': rows, **changes}
    return tables(config)[0]


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """A finished table, its runner and what it said."""
    made, said = own(), []
    made = Runner(made, tmp_path_factory.mktemp('done'), say=said.append)
    work.run([made], {'tiny': made.table})
    assert made.status() == (6, 0, 0) and not said
    return made


@pytest.fixture
def begun(done, tmp_path):
    """A folder where row a is done but for one damaged cell, b has a checkpoint, of c there is nothing."""
    import shutil
    workdir = tmp_path / 'begun'
    shutil.copytree(done.workdir, workdir)
    made = Runner(done.table, workdir)
    a, b, c = made.table.rows
    for row in (b, c):
        for seed in row.seeds:
            made.result_path(row, seed).unlink()
    failed = json.loads(made.result_path(a, 1).read_text())
    made.result_path(a, 1).write_text(json.dumps({**failed, 'status': 'failed', 'reason': 'x'}))
    made.group_path(b, b.seeds).mkdir(parents=True)
    return made


def beat(made, row, seeds, seen, **more):
    """The file of a process that is at a group."""
    path = made.workdir / 'locks' / 'node3.41.json'
    path.write_text(json.dumps({
        'process': 41, 'host': 'node3', 'seen': seen, 'table': 'tiny', 'row': row.name, 'seeds': seeds,
        'hash': row.config_hash, 'train_hash': row.train_hash, 'fraction': .25, 'text': 'main loss 3.1', **more}))


def test_cells_are_done_failed_running_begun_or_missing(begun):
    a, b, c = begun.table.rows
    beat(begun, c, [0, 1], 990.)
    found = status.cells(begun.workdir, now=1000.)
    assert [(cell.row, cell.seed, cell.state) for cell in found] == [
        ('a', 0, 'done'), ('a', 1, 'failed'), ('b', 0, 'begun'), ('b', 1, 'begun'), ('c', 0, 'running'),
        ('c', 1, 'running')]
    assert found[-1].beat['host'] == 'node3' and found[0].beat is None
    assert {cell.state for cell in status.cells(begun.workdir, now=2000.)[4:]} == {'missing'}
    begun.result_path(a, 0).write_text('{')
    assert status.cells(begun.workdir, now=1000.)[0].state == 'missing'


def test_the_text_says_where_processes_are_and_when_they_were_seen(begun):
    c = begun.table.rows[2]
    beat(begun, c, [0, 1], 990., job='7_4')
    begun.log_path(c, 0).parent.mkdir(exist_ok=True)
    begun.log_path(c, 0).write_text(json.dumps({'phase': 'main', 'epoch': 3, 'step': 28}) + '\n{"pha')
    assert status.text(begun.workdir, now=1000.).splitlines() == [
        'tiny: 1 of 6 cells done, 1 failed, 2 running, 2 begun',
        '  a  done 0; failed 1', '  b  begun 0-1', '  c  running 0-1',
        'process 41 on node3, job 7_4: c 0-1, 25% main loss 3.1, epoch 4 done at step 28; seen 10 s ago']
    gone = status.text(begun.workdir, now=1100.).splitlines()
    assert gone[0].endswith('2 begun, 2 missing') and gone[-1].endswith('seen 2 min ago, so it is gone')


def test_a_folder_without_a_manifest_is_said(tmp_path):
    with pytest.raises(UserError, match='has no table.json'):
        status.cells(tmp_path)


def test_status_is_told_without_jax_or_a_config(done):
    code = ('import sys, vaebench.cli\n'
            f'code = vaebench.cli.main(["vaebench", "--status", "--workdir={done.workdir}"])\n'
            'sys.exit(code or "jax" in sys.modules)')
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[0] == 'tiny: 6 of 6 cells done'


# ---- signs of life -------------------------------------------------------------------------------


def test_a_process_says_that_it_is_alive_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse, 'BEAT', .02)
    monkeypatch.setenv('SLURM_ARRAY_JOB_ID', '7')
    monkeypatch.setenv('SLURM_ARRAY_TASK_ID', '4')
    with pulse.Pulse(tmp_path) as own:
        assert not list(tmp_path.iterdir())
        own.begin(row='a', seeds=(0,))
        first, = pulse.beats(tmp_path)
        assert (first['row'], first['seeds'], first['job'], first['fraction']) == ('a', [0], '7_4', 0.)
        own.tell(.5, 'loss')
        until = time.monotonic() + 20
        while pulse.beats(tmp_path)[0]['fraction'] != .5 and time.monotonic() < until:
            time.sleep(.01)
        second, = pulse.beats(tmp_path)
        assert second['text'] == 'loss' and second['seen'] > first['seen']
    assert not pulse.beats(tmp_path)


def test_what_a_killed_process_left_is_swept_and_a_folder_that_cannot_be_written_is_no_matter(tmp_path):
    import os
    old = tmp_path / 'locks' / 'node3.41.json'
    old.parent.mkdir()
    old.write_text('{')
    os.utime(old, (0, 0))
    assert pulse.beats(tmp_path) == []
    with pulse.Pulse(tmp_path) as own:
        own.begin(row='a', seeds=(0,))
        assert not old.exists()
    (tmp_path / 'file').write_text('')
    with pulse.Pulse(tmp_path / 'file') as own:
        own.begin(row='a', seeds=(0,))


def test_a_run_says_what_it_is_at(tmp_path, monkeypatch):
    seen = []

    class Pulse(pulse.Pulse):
        def begin(self, **what):
            super().begin(**what)
            seen.append(status.text(tmp_path).splitlines()[:2])

    monkeypatch.setattr(runner.pulse, 'Pulse', Pulse)
    made = Runner(own({'a': {'method': 'pca'}}), tmp_path, say=print)
    work.run([made], {'tiny': made.table})
    assert seen[0] == ['tiny: 0 of 2 cells done, 2 running', '  a  running 0-1']
    assert not pulse.beats(tmp_path)


# ---- work that is shared -------------------------------------------------------------------------


def test_a_worker_takes_what_another_lets_go_of(tmp_path):
    """It passes the row by, finds the others done, and comes back."""
    made = own()
    one = Runner(made, tmp_path, say=print)
    with files.lock(one.lock_path(made.rows[0], 0)) as mine:
        assert mine
        assert one.run()['busy'] == ['a'] and one.status() == (4, 0, 2)
    two = Runner(made, tmp_path / 'two', say=print)
    held = files.lock(two.lock_path(made.rows[0], 0))
    held.__enter__()
    order = []

    def finished(text, cells):
        order.append(text)
        if len(order) == 2:
            held.__exit__(None, None, None)

    two.finished = finished
    assert two.run() == {'busy': [], 'broken': [], 'out': False} and two.status() == (6, 0, 0)
    assert not order[0].startswith('a') and order[-1].startswith('a: seed 1 done')


def test_totals_count_what_others_finish(done, tmp_path, capsys):
    import shutil
    shown, made = console.Progress(), Runner(done.table, tmp_path)
    shown.expect(*work.ready([made]))
    shown.left = lambda: work.left([made])
    assert shown.total == 6
    (tmp_path / 'results').mkdir()
    paths = sorted((done.workdir / 'results').glob('*.json'))
    for path in paths[:4]:
        shutil.copy(path, tmp_path / 'results')
    shown.finished('b: seed 1 done', 1)
    assert '(4 of 6 cells, ' in capsys.readouterr().err
    shutil.copytree(done.workdir / 'results', tmp_path / 'results', dirs_exist_ok=True)
    shown.finished('c: seed 1 done', 1)
    assert capsys.readouterr().err.endswith('(6 of 6 cells)\n')


def test_programs_are_compiled_ahead_for_a_row_that_nobody_has(tmp_path, monkeypatch):
    made = Runner(own(), tmp_path, say=print)
    prepared = []

    class Fake:
        def __init__(self, row):
            self.row = row

        def prepare(self, hp, cancelled):
            prepared.append(self.row.name)

    monkeypatch.setattr(made, 'trainer', lambda row, width: Fake(row))
    b, c = made.table.rows[1:]
    with files.lock(made.lock_path(b, 1)):
        made._prepare([b, c])
    made._prepare([b, c])
    assert prepared == ['c', 'b']


# ---- what a table will cost ------------------------------------------------------------------------


def test_groups_that_share_programs_are_measured_once_and_done_ones_not_at_all(done, tmp_path, monkeypatch):
    measured = []

    def measure(trainer, seeds, hp):
        measured.append(seeds)
        return cost.Measured(60., 3600., 2**20, 2)

    monkeypatch.setattr(plan.cost, 'measure', measure)
    made = Runner(done.table, tmp_path, say=print)
    found = plan.plan([made], lambda line: None)
    assert measured == [(0, 1)]
    assert [(g.row, g.state, g.hours) for g in found] == [
        ('a', 'missing', 2 * 3660 / 3600), ('b', 'missing', 2.), ('c', 'missing', 2.)]
    lines = plan.text(found).splitlines()
    assert lines[1] == 'b 0-1  missing   train 60 min, 2 device-hours, 1 MiB'
    assert lines[-1].startswith('3 groups: 3 missing; about 6 device-hours of training are left on ')
    assert [g.state for g in plan.plan([Runner(done.table, done.workdir)], print)] == ['done'] * 3
    assert measured == [(0, 1)]


def test_what_a_checkpoint_has_costs_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr(plan.cost, 'measure', lambda *args: cost.Measured(0., 100., None, 1))
    monkeypatch.setattr(plan.checkpoint, 'peek', lambda folder: {'phase': 0, 'steps': 21})
    made = Runner(own({'v': {'method': 'vae'}}, metrics=('elbo',)), tmp_path, say=print)
    steps = made.trainer(made.table.rows[0], 2).method.phases[0].steps
    assert plan.plan([made], lambda line: None)[0].train == pytest.approx(100. * (1 - 21 / steps))


@pytest.mark.parametrize('method', ['vae', pytest.param('pre_ae_fb', marks=pytest.mark.slow)])
def test_a_group_is_measured_without_a_trace(method, tmp_path):
    made = Runner(own({'v': {'method': method}}, metrics=('elbo',)), tmp_path / 'none', say=print)
    group, = plan.plan([made], lambda line: None)
    trainer = made.trainer(made.table.rows[0], 2)
    assert group.state == 'missing' and group.train > 0 and group.compile > 0
    assert group.bytes >= cost.size(trainer.shapes(made.numbers(made.table.rows[0]))) + cost.size(trainer.columns(0))
    assert not (tmp_path / 'none').exists()
