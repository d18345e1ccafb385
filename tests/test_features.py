"""The suite's classifier, and where samples are compared without one."""
import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_config
import toys

from vaebench import core, datasets, files, networks, schema
from vaebench.datasets.transforms import binarize
from vaebench.engine import loop
from vaebench.errors import UserError
from vaebench.experiment import results, table
from vaebench.experiment.runner import Runner
from vaebench.judges import images, learned
from vaebench.methods import baselines


@pytest.fixture(autouse=True, scope='module')
def short():
    """Little training: the tests ask what the classifier is, not how good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, 'LEAST', 80)
        patch.setattr(images, 'EPOCHS', 2)
        yield


@pytest.fixture(scope='module')
def trained(short, tmp_path_factory):
    """(data, folder, the `Judge` that was made in it); training compiles for seconds."""
    folder = tmp_path_factory.mktemp('features')
    return digits(), folder, images.judge(digits(), folder)


@pytest.fixture
def never(monkeypatch):
    """Training is an error."""
    def fail(*args, **kwargs):
        raise AssertionError('trained again')

    monkeypatch.setattr(loop, 'run', fail)


def digits(**more):
    return datasets.load('digits', **{'examples': 300, 'eval_examples': 100, **more})


def unlabelled(data):
    splits = {s: {'x': part['x']} for s, part in data.splits.items()}
    return datasets.image_dataset('bare', splits)


def test_classifier_learns_labels():
    method = baselines.classifier(toys.kit(), toys.recipe())
    data = toys.labelled(24)
    # one pixel tells the class
    data['x'] = data['x'].at[:, 0, 0, 0].set(data['label'] / 2.)
    batch, hp = toys.all_of(data), {'lr': jnp.float32(1.), 'lr_scale': jnp.float32(1.)}
    state = core.init(method, jax.random.key(0), batch, hp)
    log_p = method.evals['classify'](state.params, state.carry, batch)
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, rtol=1e-5)
    step, losses = toys.jit(core.make_step(method.phases[0])), []
    for i in range(150):
        state, m = step(state, data, jnp.arange(24)[None])
        losses.append(float(m['classifier/cross_entropy']))
        if not i:
            own = -log_p[np.arange(24), data['label']].mean()
            np.testing.assert_allclose(losses[0], own, rtol=1e-5)
    assert losses[-1] < .3 and float(m['classifier/accuracy']) == 1 and toys.moved(
        core.init(method, jax.random.key(0), batch, hp).params, state.params) == {'enc', 'head'}
    unlabelled = dataclasses.replace(toys.kit(), schema={'x': toys.SCHEMA['x']})
    with pytest.raises(UserError, match="column 'label', which the data has not: it has x;"):
        baselines.classifier(unlabelled, toys.recipe())


def test_empty_slots_do_not_teach():
    method = baselines.classifier(toys.kit(), toys.recipe())
    batch = toys.all_of(toys.labelled(6))
    params, carry = method.init(jax.random.key(0), batch)
    loss = method.phases[0].players[0].loss
    half = {**batch, 'weight': jnp.array([1., 1., 1., 0., 0., 0.])}
    few = jax.tree.map(lambda x: x[:3], batch)
    ctx = toys.ctx({})
    np.testing.assert_allclose(
        loss(params, carry, half, ctx)[0],
        loss(params, carry, few, ctx)[0], rtol=1e-6)
    assert float(loss(params, carry, {**batch, 'weight': jnp.zeros(6)}, ctx)[0]) == 0


def test_the_space_of_a_classifier(trained):
    data, _, space = trained
    x, label = data.splits['test']['x'], data.splits['test']['label']
    assert "features of the suite's classifier " in space.name
    accuracy = float(space.name.split('accuracy ')[1].rstrip('%'))
    assert f'classifier {space.digest}, ' in space.name and len(space.digest) == 8
    assert 100 * space.accuracy == pytest.approx(accuracy, abs=.05)
    # 10 classes, 300 examples
    assert 50 < accuracy <= 100
    f = space.features(x)
    assert f.shape == (100, 24) and f.min() >= 0
    np.testing.assert_allclose(f[:7], space.features(x[:7]), rtol=1e-5, atol=1e-6)
    log_p = space.classify(f)
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, rtol=1e-5)
    assert 100 * (log_p.argmax(1) == label).mean() == pytest.approx(accuracy, abs=.05)


@pytest.mark.slow
def test_a_stopped_classifier_goes_on_and_is_the_same_again(trained, tmp_path):
    data, calls = digits(), []
    with pytest.raises(loop.OutOfTime):
        images.judge(data, tmp_path, stop=lambda: calls.append(1) or len(calls) > 3)
    # its checkpoint and its lock
    assert not list(tmp_path.glob('*.npz')) and len(list(tmp_path.iterdir())) == 2
    assert images.judge(data, tmp_path).name == trained[2].name
    assert sorted(p.suffix for p in tmp_path.iterdir()) == ['.lock', '.npz']


def test_a_kept_classifier_is_not_trained_again(trained, never, monkeypatch):
    data, folder, space = trained
    again, x = images.judge(data, folder), data.splits['test']['x']
    assert again.name == space.name
    np.testing.assert_array_equal(again.features(x), space.features(x))
    # other data, other classifier
    with pytest.raises(AssertionError, match='again'):
        images.judge(digits(examples=299), folder)
    monkeypatch.setattr(images, 'BATCH', 64)
    with pytest.raises(AssertionError, match='again'):                  # other settings
        images.judge(data, folder)


def test_a_damaged_file_is_made_again_and_a_busy_one_is_not_waited_for(
        trained, tmp_path, never, monkeypatch):
    data, folder, space = trained
    whole, = folder.glob('*.npz')
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(AssertionError, match='again'):
        images.judge(data, tmp_path)
    monkeypatch.setattr(images, '_train', lambda *args: learned.read(whole))
    with files.lock(path.with_suffix('.lock')) as mine:
        # as from a second process
        assert mine and images.judge(data, tmp_path).name == space.name
    assert learned.read(path).keys() == learned.read(whole).keys() and len(
        list(tmp_path.iterdir())) == 2


def test_principal_components_without_labels(tmp_path):
    data = unlabelled(digits())
    space = images.judge(data, tmp_path)
    assert 'classify' not in space.functions and space.name.startswith(
        '64 principal components of training pixels, 100.0%')
    x = data.splits['train']['x']
    f = space.features(x)
    assert f.shape == (300, 64)
    np.testing.assert_allclose(f.mean(0), 0, atol=1e-4)
    flat = x.reshape(300, -1)
    np.testing.assert_allclose(
        ((f[:9, None] - f[None, :9])**2).sum(-1),
        ((flat[:9, None] - flat[None, :9])**2).sum(-1),
        # all 64 of 64 pixels: distances are the pixels'
        atol=1e-4)
    covariance = np.cov(f.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    same = images.judge(data, tmp_path)
    np.testing.assert_array_equal(same.features(x), f)
    one_class = datasets.image_dataset(
        'one',
        {s: {**p, 'label': np.zeros(len(p['x']), np.int32)}
         for s, p in data.splits.items()}, {'label': schema.label(1)})
    assert 'classify' not in images.judge(one_class).functions


def test_points_are_compared_as_they_are():
    data = datasets.points_dataset('p', {'train': {'x': np.zeros((4, 2), np.float32)}})
    space = images.judge(data)
    x = np.arange(6.).reshape(3, 2)
    assert space.name == 'coordinates' and 'classify' not in space.functions
    np.testing.assert_array_equal(space.features(x), x)


def test_sizes_follow_the_images():
    small = digits()
    large = small._replace(schema={**small.schema, 'x': schema.image((28, 28, 1))})
    a, b = images._config(small), images._config(large)
    assert a['kit']['hidden'] == 24 and b['kit'] == {
        'name': 'conv', 'latent': 1, 'channels': (32, 64, 128), 'hidden': 96
    }
    kit = networks.build(large.schema, b['kit'])
    assert kit.features == 96 and a['classes'] == 10 and a['epochs'] * 3 >= 80 > (a['epochs'] -
                                                                                   1) * 3


def test_a_table_finds_its_classifier(trained, never, tmp_path, monkeypatch):
    _, folder, space = trained
    config = tiny_config.get_config().to_dict()
    config['dataset'] = {'name': 'digits', 'examples': 300, 'eval_examples': 100}
    config.update(rows='vae', seeds=1,
                  metrics=('frechet', 'frechet_floor', 'class_score', 'mse'))
    run = Runner(table.tables(config)[0], tmp_path, say=lambda line: None)
    shutil.copytree(folder, tmp_path / 'features')
    row, = run.table.rows
    trainer = run.trainer(row, 1)
    state = trainer.init([0], run.numbers(row))
    record = loop.Record([None], [True])
    # as it begins
    monkeypatch.setattr(loop, 'run', lambda *args: (state, record))
    assert not any(run.run().values())
    (result,), problems = results.read_all(tmp_path / 'results')
    got = result.metrics
    assert not problems and got['mse'].unit == 'per pixel'
    assert got['frechet'].n == got['frechet_floor'].n == 100                  # validation data is as long
    assert got['frechet'].value > got['frechet_floor'].value > 0 and 1 <= got['class_score'].value <= 10
    assert space.name in got['frechet'].estimator and 'validation data' in got['frechet_floor'].estimator


def test_classifier_trains_on_what_it_will_judge(monkeypatch, tmp_path):
    class Seen(Exception):
        pass

    def trainer(*args):
        raise Seen(args[-1])

    monkeypatch.setattr(learned, 'Trainer', trainer)
    grey = digits()
    dynamic = grey._replace(augment=binarize())
    for data in (grey, dynamic):
        with pytest.raises(Seen) as seen:
            images.judge(data, tmp_path)
        assert seen.value.args == (data.augment,)
    # and is kept in a file of its own
    assert images._config(grey) != images._config(dynamic)


@pytest.mark.parametrize('examples', [1, 30])
@pytest.mark.filterwarnings('error')
def test_of_constant_pictures_components_hold_all_of_no_variance(examples):
    black = {'x': np.zeros((examples, 4, 4, 1), np.float32)}
    data = datasets.image_dataset('black', dict.fromkeys(('train', 'valid', 'test'), black))
    space = images.judge(data)
    count = min(examples, 16)
    assert space.name == f'{count} principal components of training pixels, 100.0% of their variance'
    np.testing.assert_allclose(space.features(black['x']), 0, atol=1e-6)
