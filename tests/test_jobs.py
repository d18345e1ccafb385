"""Many processes on one table: shards, workers of one machine, jobs of a cluster, flags that do not fit."""
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
import tiny_config
from test_run import CONFIG, call, cells, finished, run, start  # noqa: F401

from vaebench import console
from vaebench.errors import UserError
from vaebench.experiment.cells import Cells, cut
from vaebench.experiment.table import tables
from vaebench.jobs import local, shards, slurm


def plan(seeds=5, group=2, **rows):
    """Two tables of maps: the first has three rows, the last of which has seeds of its own."""
    made = {}
    for batch, (name, entries) in enumerate({'one': ('a', 'b', 'c'), 'two': ('a',)}.items(), 1):
        made[name] = {**tiny_config.get_config().to_dict(), 'name': name, 'baseline': '', 'columns': (),
                      'primary': '', 'metrics': ('trust',), 'seeds': seeds, 'group': group, 'batch': batch,
                      'table': {row: {'method': 'pca', **({'seeds': 3} if row == 'c' else {})} for row in entries}}
    return tables({'name': 'both', 'tables': made})


# ---- shards ------------------------------------------------------------------------------------


def test_shards_have_every_group_once_whatever_their_number():
    every = plan()
    whole = [(g.table, g.row.name, g.seeds) for g in shards.groups(every)]
    assert len(whole) == 3 + 3 + 2 + 3 and whole[1] == (0, 'a', (2, 3)) and whole[7] == (0, 'c', (2,))
    for n in (1, 2, 3, 5, 11, 40):
        met = []
        for k in range(1, n + 1):
            own = shards.share(every, shards.Shard(k, n))
            assert [[row.name for row in t.rows] for t in own] == [['a', 'b', 'c'], ['a']]
            met += [(g.table, g.row.name, g.seeds) for g in shards.groups(own)]
        assert sorted(met) == sorted(whole), n


def test_a_shard_is_the_same_whatever_is_done(tmp_path):
    every = plan()
    before = shards.share(every, shards.Shard(2, 3))
    made = Cells(every[0], tmp_path)
    made.result_path(every[0].rows[0], 2).parent.mkdir()
    made.result_path(every[0].rows[0], 2).write_text('{}')
    assert shards.share(every, shards.Shard(2, 3)) == before
    assert [row.seeds for row in before[0].rows] == [(2, 3), (2, 3), (2,)]


def test_groups_of_a_shard_are_those_of_the_whole_row(tmp_path):
    every = plan()
    own = shards.share(every, shards.Shard(1, 2))
    made = Cells(own[0], tmp_path)
    for row in own[0].rows:
        whole = cut(every[0].rows[row.order].seeds, 2)
        assert set(made.groups(row, made.missing(row)[0])) < set(whole)


@pytest.mark.parametrize('text', ['0/3', '4/3', '3', '1/0', 'a/b', '-1/3', '1/3/5'])
def test_what_is_no_shard_is_said(text):
    with pytest.raises(UserError, match='write k/n'):
        shards.shard(text)


def test_a_shard_beyond_the_groups_has_nothing_to_do(tmp_path, capsys):
    call(CONFIG, '--config.rows=vae', '--shard=2/2', '--dry_run', f'--workdir={tmp_path}')
    assert capsys.readouterr().out.startswith('; about 0 min')


# ---- flags -------------------------------------------------------------------------------------

BAD = {
    'unknown launcher': (['--launch=slrum'], "did you mean 'slurm'?"),
    'how many workers': (['--launch=local'], '--workers=N'),
    'no workers': (['--launch=local', '--workers=-1'], 'workers=-1: give a number above 0'),
    'too many workers': (['--launch=local', '--workers=9999'], 'give no more workers'),
    'workers of nobody': (['--workers=2'], '--launch=local'),
    'how long a job may take': (['--launch=slurm'], '--time=8h'),
    'odd time': (['--launch=slurm', '--time=long'], 'time=long'),
    'short time': (['--launch=slurm', '--time=90s'], 'give at least 5m'),
    'cluster alone': (['--launch=local', '--workers=1', '--partition=gpu'], '--partition needs --launch=slurm'),
    'gpus of nobody': (['--gpus=1'], '--gpus needs --launch=slurm'),
    'odd memory': (['--launch=slurm', '--time=1h', '--memory=-1'], 'memory=-1: give a number above 0'),
    'odd shard': (['--shard=0/4'], 'shard=0/4'),
    'shard and launcher': (['--shard=1/4', '--launch=local', '--workers=1'], 'do not go together'),
    'plan and dry run': (['--plan', '--dry_run'], 'do not go together'),
    'status of nothing': (['--status'], 'table.json'),
}


@pytest.mark.parametrize('case', BAD)
def test_flags_that_do_not_fit_are_one_line(case, tmp_path, capsys):
    flags, hint = BAD[case]
    call(CONFIG, *flags, f'--workdir={tmp_path / "w"}', code=2)
    captured = capsys.readouterr()
    line, = captured.err.strip().splitlines()
    assert hint in line and not captured.out and not (tmp_path / 'w').exists()


def test_status_without_a_folder_or_with_a_typo_is_one_line(capsys):
    for flags, hint in ((['--status'], '--workdir=DIR'), (['--status', 'x'], 'unknown argument x')):
        call(*flags, code=2)
        line, = capsys.readouterr().err.strip().splitlines()
        assert hint in line


# ---- workers of one machine ----------------------------------------------------------------------


@pytest.mark.parametrize('workers', range(1, 9))
def test_workers_have_disjoint_cores_and_threads_of_one_core_stay_together(workers, tmp_path, monkeypatch):
    """Eight threads of four cores on two sockets, numbered as Linux does: 0 and 4 are of one core."""
    for thread in range(8):
        folder = tmp_path / f'cpu{thread}' / 'topology'
        folder.mkdir(parents=True)
        (folder / 'physical_package_id').write_text(f'{thread % 4 // 2}\n')
        (folder / 'core_id').write_text(f'{thread % 2}\n')
    monkeypatch.setattr(local, 'TOPOLOGY', tmp_path)
    monkeypatch.setattr(local.os, 'sched_getaffinity', lambda process: set(range(8)))
    found = local.cores(workers)
    assert sorted(itertools.chain(*found)) == list(range(8))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    if workers in (2, 4):
        assert all({core ^ 4 for core in own} == own for own in found)
    with pytest.raises(UserError, match='may use 8 cores'):
        local.cores(9)


def test_workers_have_gpus_of_their_own(monkeypatch):
    monkeypatch.delenv('JAX_PLATFORMS', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,GPU-ab')
    assert local.environments(2) == [{'CUDA_VISIBLE_DEVICES': '3'}, {'CUDA_VISIBLE_DEVICES': 'GPU-ab'}]
    with pytest.raises(UserError, match='there are 2 GPUs'):
        local.environments(3)
    monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
    assert local.environments(3) == [{}, {}, {}]


def script(text):
    return [sys.executable, '-c', f'import os, signal, sys, time\n{text}']


def test_workers_are_bound_and_what_they_say_comes_in_whole_lines():
    said, tell = [], ('print("vaebench: alike", file=sys.stderr)\n'
                      'print("vaebench:", sorted(os.sched_getaffinity(0)), file=sys.stderr)')
    workers = min(2, len(os.sched_getaffinity(0)))
    assert local.run([script(tell)] * workers, console.Stopped(), said.append) == [0] * workers
    assert sum('alike' in line for line in said) == 1
    own = [line for line in said if 'alike' not in line]
    assert sorted(own) == sorted(f'worker {i}: {sorted(c)}' for i, c in enumerate(local.cores(workers), 1))


def test_codes_of_workers_are_kept_and_one_that_was_killed_is_named():
    said = []
    ends = [local.run([script(text)], console.Stopped(), said.append)
            for text in ('sys.exit(1)', 'os.kill(os.getpid(), signal.SIGKILL)')]
    assert ends == [[1], [128 + signal.SIGKILL]] and len(said) == 1 and 'SIGKILL' in said[0]


def test_a_signal_of_the_terminal_reaches_a_worker_once(tmp_path):
    worker = ('def heard(n, frame):\n'
              f'    open({str(tmp_path)!r} + f"/{{os.getpid()}}", "a").write(f"{{n}} ")\n'
              '    time.sleep(.3)\n'
              '    sys.exit(128 + n)\n'
              'signal.signal(signal.SIGTERM, heard)\n'
              f'open({str(tmp_path)!r} + f"/{{os.getpid()}}", "a").write("")\n'
              'time.sleep(60)')
    launcher = ('from vaebench import console\nfrom vaebench.jobs import local\n'
                f'stopped = console.Stopped()\ncodes = local.run([{script(worker)!r}], stopped, print)\n'
                'print(codes, [int(n) for n in stopped])')
    process = subprocess.Popen([sys.executable, '-c', launcher], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.iterdir()):
        time.sleep(.05)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert out.strip() == f'[{128 + signal.SIGTERM}] [{int(signal.SIGTERM)}]', err
    assert [path.read_text() for path in tmp_path.iterdir()] == [f'{int(signal.SIGTERM)} ']


@pytest.mark.slow
def test_workers_give_the_cells_and_the_table_of_one_process(finished, tmp_path):  # noqa: F811
    workers = min(2, len(os.sched_getaffinity(0)))
    flags = CONFIG, f'--workdir={tmp_path}', '--launch=local', f'--workers={workers}'
    done = run(*flags)
    assert cells(tmp_path) == cells(finished[0])
    table = lambda out: out.split('\n8 cells done')[0]
    assert table(done.stdout) == table(finished[1].stdout)
    lines = done.stderr.splitlines()
    assert all(line.startswith('vaebench: worker ') for line in lines)
    assert sum('(8 of 8 cells)' in line for line in lines) == 1
    assert run(*flags).stdout == done.stdout


@pytest.mark.slow
def test_workers_that_are_stopped_go_on(finished, tmp_path):  # noqa: F811
    workers = min(2, len(os.sched_getaffinity(0)))
    flags = CONFIG, f'--workdir={tmp_path}', '--launch=local', f'--workers={workers}'
    process = start(*flags)
    while not list(tmp_path.glob('checkpoints/*')) and process.poll() is None:
        time.sleep(.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM and 'Traceback' not in err
    assert 'stopped: the same command goes on' in out
    run(*flags)
    assert cells(tmp_path) == cells(finished[0])


# ---- jobs of a cluster ---------------------------------------------------------------------------


def test_jobs_are_for_what_is_missing(tmp_path):
    every = plan()
    made = [Cells(table, tmp_path) for table in every]
    assert slurm.missing(made) == [shards.Shard(k, 11) for k in range(1, 12)]
    for seed in (0, 1):
        path = made[0].result_path(every[0].rows[1], seed)
        path.parent.mkdir(exist_ok=True)
        path.write_text('{}')
    assert [part.k for part in slurm.missing(made)] == [1, 2, 3, *range(5, 12)]
    assert [part.k for part in slurm.missing(made, 4)] == [1, 2, 3, 4]
    assert slurm.missing(made, 100) == slurm.missing(made)


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A cluster that takes every script, and puts it beside itself."""
    pytest.importorskip('submitit', reason="submitit is not installed: vaebench's extra cluster")
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in (('srun', ''), ('sbatch', f'cp "$1" {folder}/script; echo Submitted batch job 7')):
        (folder / name).write_text(f'#!/bin/sh\n{text}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    return folder


def test_an_array_has_a_job_a_group_and_what_it_may_take(sbatch, tmp_path, capsys):
    call(CONFIG, '--launch=slurm', '--time=90m', '--memory=3.5', '--gpus=1', '--cpus=2', '--partition=short',
         f'--workdir={tmp_path / "w"}', '--config.group=1', '--config.seeds=3')
    captured = capsys.readouterr()
    assert captured.err == (f'vaebench: 12 jobs submitted, 7_0 to 7_11; what they say is in '
                            f'{tmp_path / "w" / "jobs"}\n')
    assert '--status' in captured.out
    lines = (sbatch / 'script').read_text().splitlines()
    for flag in ('array=0-11%12', 'time=90', 'mem=3584M', 'gpus-per-node=1', 'cpus-per-task=2', 'partition=short',
                 'signal=USR2@120'):
        assert f'#SBATCH --{flag}' in lines
    import pickle
    job = pickle.loads((tmp_path / 'w' / 'jobs' / '7_4_submitted.pkl').read_bytes()).function
    assert job.command[-1] == '--shard=5/12' and '--launch=' in job.command


def test_a_cluster_that_refuses_is_one_line(sbatch, tmp_path, capsys):
    (sbatch / 'sbatch').write_text('#!/bin/sh\necho sbatch: error: invalid partition specified: nope >&2\nexit 1\n')
    call(CONFIG, '--launch=slurm', '--time=1h', '--partition=nope', f'--workdir={tmp_path / "w"}', code=2)
    line, = capsys.readouterr().err.strip().splitlines()
    assert 'invalid partition specified: nope' in line and not (tmp_path / 'w').exists()


def test_what_a_cluster_needs_is_said(tmp_path, monkeypatch, capsys):
    flags = CONFIG, '--launch=slurm', '--time=1h', f'--workdir={tmp_path}'
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'submitit', None)
        call(*flags, code=2)
    assert 'vaebench[cluster]' in capsys.readouterr().err
    pytest.importorskip('submitit', reason="submitit is not installed: vaebench's extra cluster")
    monkeypatch.setenv('PATH', str(tmp_path))
    call(*flags, code=2)
    line, = capsys.readouterr().err.strip().splitlines()
    assert 'finds no srun' in line


def test_a_job_lets_its_command_save_before_it_is_requeued(tmp_path):
    """As submitit has it: `checkpoint` is called in a handler, while the job waits for its command."""
    pytest.importorskip('submitit', reason="submitit is not installed: vaebench's extra cluster")
    from vaebench.jobs.child import Job
    job = Job(script('signal.signal(signal.SIGTERM, lambda n, f: (time.sleep(.2), open('
                     f'{str(tmp_path / "saved")!r}, "w").close(), os._exit(128 + n)))\n'
                     f'open({str(tmp_path / "began")!r}, "w").close()\n'
                     'time.sleep(60)'))
    again = []

    def warned(number, frame):
        again.append(job.checkpoint().function)
        assert (tmp_path / 'saved').exists()

    def late(number, frame):
        if not (tmp_path / 'began').exists():
            signal.setitimer(signal.ITIMER_REAL, .05)
            return
        warned(number, frame)

    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, .05)
        with pytest.raises(SystemExit) as ended:
            job()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended.value.code == 128 + signal.SIGTERM
    assert [new.command for new in again] == [job.command]
    assert Job(script('')) () == 0


def test_warnings_of_a_scheduler_stop_and_what_follows_them_does_not_end_at_once():
    again = []
    with console.signals(again=again.append) as stopped:
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(.01)
        assert stopped == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGTERM] and not again
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(.01)
    assert again == [signal.SIGTERM]
