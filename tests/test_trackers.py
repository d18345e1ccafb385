"""What TensorBoard and Weights & Biases are told."""
import sys
import types

import pytest

from vaebench.engine import loop
from vaebench.errors import UserError
from vaebench.experiment import trackers


class Memory(trackers.Writer):
    """Keeps what it is told."""

    def __init__(self, told, cell):
        self.told, self.cell = told, cell.name.rsplit('.', 1)[0]

    def write(self, numbers, step):
        self.told.append((self.cell, step, dict(numbers)))

    def finish(self, metrics, step):
        self.told.append((self.cell, step, dict(metrics)))
        self.close()

    def close(self):
        self.told.append((self.cell, 'closed'))


def row(name='vae'):
    return types.SimpleNamespace(name=name, label='VAE', train_hash='0123456789', config={'epochs': 2})


EPOCH = loop.Epoch('ae', 1, [20, 15], [True, False], [0, 1], [1., 1.], 2., {'vae/loss': [3., 4.]},
                   {'rec': [None, 2.]})
RESULT = {'seed': 0, 'steps': 40, 'metrics': {'elbo': {'value': 2.5}, 'fid': {'value': None}}}


def test_every_seed_that_ran_is_told_and_a_result_ends_its_run():
    told, writers = [], None
    writers = trackers.Writers(lambda cell: Memory(told, cell))
    writers.epoch('tiny', row(), (0, 1), EPOCH)
    writers.epoch('tiny', row(), (0, 1), EPOCH._replace(ran=[True, True], epoch=2))
    writers.result('tiny', row(), RESULT)
    writers.close()
    assert told == [
        ('vae.s0', 20, {'ae/train/vae/loss': 3.}), ('vae.s0', 20, {'ae/train/vae/loss': 3.}),
        ('vae.s1', 15, {'ae/train/vae/loss': 4., 'ae/valid/rec': 2.}),
        ('vae.s0', 40, {'metric/elbo': 2.5}), ('vae.s0', 'closed'), ('vae.s1', 'closed')]


def test_what_fails_is_said_once_and_ends_the_tracking_alone():
    said = []

    def make(cell):
        raise OSError('no\nroute')

    writers = trackers.Writers(make, said.append)
    writers.epoch('tiny', row(), (0, 1), EPOCH)
    writers.result('tiny', row(), RESULT)
    writers.close()
    assert said == ['no more tracking in this run, which goes on: OSError: no route']


def test_names_that_there_are_not_and_packages_that_lack_are_a_line(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        trackers.make('tensorbord', tmp_path)
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    with pytest.raises(UserError) as caught:
        trackers.make('tensorboard', tmp_path)
    assert str(caught.value) == ("--track=tensorboard needs the package tensorboardX: pip install "
                                 "'vaebench[tensorboard]'")


def test_of_several_processes_the_first_alone_tells(monkeypatch, tmp_path):
    made = []
    monkeypatch.setitem(sys.modules, 'wandb', types.SimpleNamespace(init=lambda **k: made.append(k)))
    monkeypatch.setattr(trackers.jax, 'process_index', lambda: 1)
    trackers.make('wandb', tmp_path).epoch('tiny', row(), (0, 1), EPOCH)
    assert made == []


class Runs(types.SimpleNamespace):
    """A module like wandb."""

    def __init__(self):
        super().__init__(runs={}, Settings=dict)

    def init(self, **given):
        run = types.SimpleNamespace(given=given, logged=[], summary={}, finished=False)
        run.log = lambda numbers, step: run.logged.append((step, numbers))
        run.finish = lambda: setattr(run, 'finished', True)
        self.runs[given['name']] = run
        return run


def test_weights_and_biases_has_a_run_a_cell_with_an_id_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'wandb', wandb := Runs())
    first = trackers.make('wandb', tmp_path)
    first.epoch('tiny', row(), (0, 1), EPOCH._replace(ran=[True, True]))
    first.result('tiny', row(), RESULT)
    run, other = wandb.runs.values()
    assert run.logged == [(20, {'ae/train/vae/loss': 3.})] and run.summary == {'metric/elbo': 2.5}
    assert run.finished and not other.finished
    given = run.given
    assert given['project'] == 'tiny' and given['config'] == {'label': 'VAE', 'seed': 0, 'epochs': 2}
    assert given['dir'] == str(tmp_path) and given['resume'] == 'allow'
    first.close()
    assert other.finished
    trackers.make('wandb', tmp_path).epoch('tiny', row(), (0,), EPOCH)
    trackers.make('wandb', tmp_path / 'b').epoch('tiny', row('b'), (0,), EPOCH)
    assert wandb.runs[given['name']].given['id'] == given['id']      # goes on
    assert len({r.given['id'] for r in wandb.runs.values()}) == 3


@pytest.mark.slow
def test_tensorboard_and_weights_and_biases_without_a_network(monkeypatch, tmp_path):
    """The packages themselves."""
    tensorboardx, wandb = pytest.importorskip('tensorboardX'), pytest.importorskip('wandb')
    assert tensorboardx and wandb
    monkeypatch.setenv('WANDB_MODE', 'offline')
    said = []
    tracker = trackers.make('tensorboard,wandb', tmp_path, said.append)
    tracker.epoch('tiny', row(), (0, 1), EPOCH)
    tracker.result('tiny', row(), RESULT)
    tracker.close()
    assert said == []
    assert list((tmp_path / 'tensorboard').rglob('events.out.tfevents.*'))
    assert list((tmp_path / 'wandb').glob('offline-run-*/run-*.wandb'))
