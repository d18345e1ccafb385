"""Several processes as one run: how they start, agree, and end when one is gone."""
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest
from test_mesh import assert_close, command, forced, values

from vaebench import cli
from vaebench.engine import hosts
from vaebench.errors import LostError, UserError

NOISE = '[Gloo]'            # what a library below prints when processes meet on CPUs


def port():
    with socket.socket() as probe:
        probe.bind(('localhost', 0))
        return probe.getsockname()[1]


def start(arguments):
    """Two processes with two devices each."""
    place = f'--coordinator=localhost:{port()}', '--processes=2', '--lost_after=20'
    return [subprocess.Popen([*arguments, *place, f'--process={i}'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, env=forced(2)) for i in range(2)]


def end(process, timeout=1200):
    """(exit code, what it printed, what it said)."""
    parts = [[line for line in text.splitlines() if NOISE not in line] for text in process.communicate(timeout=timeout)]
    return process.returncode, *parts


# ---- in one process --------------------------------------------------------------------------------------------------

def test_in_one_process_agreeing_is_a_plain_call():
    assert hosts.led(max, 1, 2) == hosts.together(max, 1, 2) == 2
    assert hosts.either(False, 1) == (False, True) and hosts.leader() and hosts.count() == 1
    hosts.check_same('data', 'data')
    hosts.meet(ValueError('mine'))
    for call in (hosts.led, hosts.together):
        with pytest.raises(ZeroDivisionError):
            call(lambda: 1 / 0)


@pytest.mark.parametrize('how, message', [
    (hosts.Start('maybe'), 'choose one of auto, on, off'), (hosts.Start(processes=2), 'belong together'),
    (hosts.Start('on'), 'give --coordinator'), (hosts.Start('auto', 'here', 2, 5), 'cannot be joined')])
def test_a_start_that_cannot_be_is_refused_in_a_line(how, message):
    with pytest.raises(UserError, match=message):
        hosts.start(how)


def test_alone_where_nothing_is_detected(monkeypatch):
    """A laptop, and a step of SLURM with a single process, whose GPUs it keeps."""
    joined = []
    monkeypatch.setattr(jax.distributed, 'initialize', lambda *args, **more: joined.append(args))
    hosts.start(hosts.Start('off'))
    hosts.start(hosts.Start())
    slurm = {'SLURM_JOB_ID': '7', 'SLURM_STEP_NODELIST': 'node[1-2]', 'SLURM_PROCID': '0', 'SLURM_LOCALID': '0'}
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('SLURM_NTASKS', '1')
    hosts.start(hosts.Start())
    assert not joined
    monkeypatch.setenv('SLURM_NTASKS', '2')
    monkeypatch.setattr(hosts, '_joined', [])
    hosts.start(hosts.Start())
    (address, processes, process, devices), = joined
    assert address.startswith('node1:') and (processes, process, devices) == (2, 0, [0])


def test_an_error_of_a_lost_process_is_told_from_others(monkeypatch):
    monkeypatch.setattr(hosts, 'count', lambda: 2)
    with pytest.raises(LostError):
        hosts.meet(jax.errors.JaxRuntimeError('UNKNOWN: Gloo AllGather failed: Connection closed by peer'))
    hosts.meet(ValueError('Connection: no barrier to wait at, since there is one process'))


def test_the_last_word_of_a_survivor(monkeypatch, capsys):
    """One line, and an exit code of its own."""
    def run(argv, stopped):
        raise LostError from RuntimeError('Connection closed by peer')

    monkeypatch.setattr(cli, '_run', run)
    assert cli.main(['vaebench']) == cli.LOST == 3
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'the same command goes on' in said and 'closed by peer' in said


# ---- in two ----------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path):
    """VAE, BN-VAE, lagging, DAVAM, WGAN-GP and a row of each newer track, two devices in each process."""
    pair = start(command('meshed', tmp_path / 'two'))
    ends = [end(process) for process in pair]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert '18 cells done' in '\n'.join(ends[0][1]) and ends[1][1:] == ([], [])
    subprocess.run(command('', tmp_path / 'one'), capture_output=True, check=True, timeout=1200)
    assert_close(tmp_path / 'one', tmp_path / 'two')


@pytest.mark.slow
@pytest.mark.parametrize('lost', (0, 1))
def test_a_lost_process_ends_the_run_and_the_next_goes_on(tmp_path, lost):
    pair = start(command('meshed,one', tmp_path / 'two'))
    models, checkpoints = tmp_path / 'two' / 'models', tmp_path / 'two' / 'checkpoints'
    deadline = time.monotonic() + 900
    while not list(checkpoints.glob('*/3')) and time.monotonic() < deadline:     # three blocks are saved
        time.sleep(.05)
    pair[lost].send_signal(signal.SIGKILL)
    begun = time.monotonic()
    code, _, said = end(pair[1 - lost], 120)
    assert time.monotonic() - begun < 100 and code not in (0, 1, 2) and not list(models.glob('*'))
    end(pair[lost])
    if lost == 1:                       # else JAX itself may be the first to speak
        assert code == cli.LOST and sum('is lost' in line for line in said) == 1 and 'Traceback' not in '\n'.join(said)
    at = max(int(p.name) for p in checkpoints.glob('*/*') if p.name.isdigit())
    ends = [end(process) for process in start(command('meshed,one', tmp_path / 'two'))]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert at >= 3
    subprocess.run(command('one', tmp_path / 'one'), capture_output=True, check=True, timeout=600)
    assert_close(tmp_path / 'one', tmp_path / 'two')
    assert len({place[0] for place in values(tmp_path / 'two')}) == 4      # two results, two logs


@pytest.mark.slow
def test_agreement_of_two_processes():
    ends = [end(process, 120) for process in start([sys.executable, str(pathlib.Path(__file__).resolve())])]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert ends[0][1] == ends[1][1] == ['agreed']


def agree():
    """Values, errors and flags of one process reach the other."""
    mine = jax.process_index()
    tree = hosts.led(lambda: {'key': jax.random.key(7), 'x': jax.numpy.arange(3), 'of': jax.process_index()})
    assert jax.random.key_data(tree['key']).tolist() == [0, 7]
    assert tree['of'] == 0 and tree['x'].tolist() == [0, 1, 2]
    assert hosts.led(lambda: hosts.led(lambda: hosts.either(True))) == (True,)      # waits for nobody
    assert hosts.either(mine == 1, False) == (True, False)
    assert hosts.together(lambda: mine) == mine
    for call, fails in ((hosts.led, 0), (hosts.together, 1)):
        try:
            call(lambda fails=fails: {}[fails] if mine == fails else None)
            raise AssertionError('nothing was raised')
        except KeyError as error:
            assert error.args == (fails,)
    hosts.check_same(3, 'sizes')
    try:
        hosts.check_same(mine, 'sizes')
        raise AssertionError('nothing was raised')
    except UserError as error:
        assert 'sizes of the processes differ' in str(error)
    hosts.meet(ValueError('of both'))
    print('agreed', flush=True)


if __name__ == '__main__':
    told = dict(flag.removeprefix('--').split('=') for flag in sys.argv[1:])
    hosts.start(hosts.Start('on', told['coordinator'], int(told['processes']), int(told['process']),
                            int(told['lost_after'])))
    agree()
    hosts.stop()
