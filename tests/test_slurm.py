"""A real SLURM of one node: a job array gives the table of one process, whatever happens to its jobs.

`slurm_node.sh` starts it (and says what to install); the tests are skipped where it cannot be started.
"""
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from test_run import CONFIG, HERE, cells, command

NEEDED = 'munged', 'slurmctld', 'slurmd', 'sbatch'
GROUPS = [(row, seed) for row in ('vae', 'beta_vae') for seed in range(6)]
# long enough to be met while they train
TABLE = (CONFIG, '--config.rows=vae,beta_vae', '--config.seeds=6', '--config.group=1', '--config.epochs=12',
         "--config.metrics=('elbo', 'kl')", '--config.primary=elbo')
PATIENCE = 1800.   # seconds, on a machine that does other things too


def run(*flags):
    """What a command printed."""
    done = subprocess.run(command(*flags), capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, 'COLUMNS': '100'})
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stdout + done.stderr
    return done


def pids(folder):
    return [int(path.read_text()) for path in folder.glob('*.pid')]


def alive(pid):
    """Whether a process is there, and no zombie that its parent will not bury."""
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


@pytest.fixture(scope='module')
def node(tmp_path_factory):
    """The folder of a SLURM that runs here; afterwards none of its daemons does."""
    pytest.importorskip('submitit', reason="submitit is not installed: vaebench's extra cluster")
    path = f'{os.environ["PATH"]}:/usr/sbin'
    if lacking := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        pytest.skip(f'no {", ".join(lacking)}: apt-get install slurm-wlm munge')
    if os.getuid():
        pytest.skip('SLURM is started as root here')
    folder = tmp_path_factory.mktemp('slurm')
    script = str(HERE / 'slurm_node.sh')
    started = subprocess.run([script, 'start', str(folder)], capture_output=True, text=True, timeout=300)
    if started.returncode:
        pytest.skip(f'SLURM cannot be started here: {started.stderr.strip()}')
    daemons = pids(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SLURM_CONF', str(folder / 'slurm.conf'))
        yield folder
    subprocess.run([script, 'stop', str(folder)], check=True, timeout=120)
    assert len(daemons) == 3 and not any(map(alive, daemons))


def queue(state='pending,running,completing'):
    """Indices of the array's jobs that are in a state; those that ended stay known for a while."""
    told = subprocess.run(['squeue', '-h', '-r', '-t', state, '-o', '%K'], capture_output=True, text=True, check=True)
    return [int(index) for index in told.stdout.split() if index.isdigit()]


def wait(what, found):
    until = time.monotonic() + PATIENCE
    while not (got := found()):
        assert time.monotonic() < until, f'waited for {what}'
        time.sleep(.2)
    return got


def job(workdir):
    """Number of the newest array."""
    return max(int(path.name.split('_')[0]) for path in (workdir / 'jobs').glob('*_submitted.pkl'))


def under_way(workdir, group):
    """Whether a group has a checkpoint, and no model yet."""
    row, seed = group
    saved = [path for path in workdir.glob(f'checkpoints/{row}.*.s{seed}/*') if path.name.isdigit()]
    return bool(saved) and not list(workdir.glob(f'models/{row}.s{seed}.*'))


@pytest.mark.slow
def test_an_array_survives_what_happens_to_its_jobs_and_gives_the_numbers_of_one_process(node, tmp_path):
    one, workdir = tmp_path / 'one', tmp_path / 'array'
    run(*TABLE, f'--workdir={one}')
    assert len(cells(one)) == 12
    launch = *TABLE, f'--workdir={workdir}', '--launch=slurm', '--time=60m', '--cpus=1'
    assert '12 jobs submitted' in run(*launch).stderr
    number = job(workdir)

    def begun(but=None):
        return next((f'{number}_{i}' for i in queue('running') if i != but and under_way(workdir, GROUPS[i])), None)

    again = wait('a job to requeue', begun)
    subprocess.run(['scontrol', 'requeue', again], check=True)
    ended = wait('a job to cancel', lambda: begun(int(again.split('_')[1])))
    subprocess.run(['scancel', ended], check=True)
    wait('the end of the array', lambda: not queue())
    row, seed = GROUPS[int(ended.split('_')[1])]
    assert not list(workdir.glob(f'results/{row}.s{seed}.*.json'))
    assert len(cells(workdir)) == 11
    told = run('--status', f'--workdir={workdir}').stdout.splitlines()
    assert told[0] == 'tiny: 11 of 12 cells done, 1 begun'
    assert re.match(r'vaebench: job \d+ submitted', run(*launch).stderr)
    wait('the end of the last job', lambda: not subprocess.run(
        ['squeue', '-h'], capture_output=True, text=True, check=True).stdout.strip())
    assert cells(workdir) == cells(one)
    table = lambda out: out.split('\n12 cells done')[0]
    assert table(run(*launch).stdout) == table(run(*TABLE, f'--workdir={one}').stdout)


@pytest.mark.slow
def test_a_job_that_is_warned_of_its_end_saves_and_is_requeued(node, tmp_path):
    """What SLURM does two minutes before the end of --time."""
    workdir = tmp_path / 'warned'
    launch = *TABLE, f'--workdir={workdir}', '--launch=slurm', '--time=60m', '--config.only_seeds=0,1'
    assert '4 jobs submitted' in run(*launch).stderr
    number, groups = job(workdir), [group for group in GROUPS if group[1] < 2]

    def warned():
        """Indices of the jobs that SLURM has sent the signal: now and then it asks to try again."""
        return [i for i in queue('running') if under_way(workdir, groups[i]) and not subprocess.run(
            ['scancel', '--signal=USR2', f'{number}_{i}'], stderr=subprocess.DEVNULL).returncode]

    index = wait('a job to warn', warned)[0]
    log = workdir / 'jobs' / f'{number}_{index}_0_log.out'
    wait('it to be requeued', lambda: 'Requeued job' in log.read_text())
    wait('the end of the array', lambda: not queue())
    assert len(cells(workdir)) == 4 and 'Traceback' not in log.read_text()
    assert log.read_text().count('vaebench: stopping') == 1
