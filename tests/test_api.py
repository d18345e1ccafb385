"""Finished cells of every kind of data are loaded, and say what their training says."""
import asyncio
import json
import shutil
import types

import jax
import numpy as np
import pytest

import vaebench
from vaebench import datasets, schema
from vaebench.errors import UserError
from vaebench.experiment import results, table
from vaebench.experiment.rows import row
from vaebench.experiment.runner import Runner

MLP = {'name': 'mlp', 'latent': 2, 'hidden': (6,)}
LSTM = {'name': 'lstm', 'embed': 4, 'hidden': 4, 'latent': 2, 'dropout': .5, 'init_scale': .01}
FEW = {'examples': 40, 'eval_examples': 12}
KINDS = {
    'digits': ({'name': 'digits', **FEW}, MLP),
    'gaussians25': ({'name': 'gaussians25', **FEW}, {**MLP, 'likelihood': 'gaussian_fixed'}),
    'synthetic': ({'name': 'synthetic', 'sentences': 40, 'eval_sentences': 12}, LSTM),
}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    """One small VAE trained on each kind of data."""
    folder = tmp_path_factory.mktemp('cells')
    for name, (data, kit) in KINDS.items():
        config = dict(name=name, title=name, dataset=data, kit=kit, epochs=1, batch=20, seeds=1,
                      metrics=('rec',), evaluation=dict(samples=1, generated=20),
                      table={name: row(name, 'vae')})
        spec, = table.tables(config)
        assert Runner(spec, folder, say=lambda line: None).run() == {
            'busy': [], 'broken': [], 'out': False}
    return folder


def loaded(workdir, name):
    """The model, its data and the arrays that its evaluation kept."""
    path, = (workdir / 'results').glob(f'{name}.*.json')
    options = {k: v for k, v in KINDS[name][0].items() if k != 'name'}
    with np.load(path.with_suffix('.npz')) as kept:
        return vaebench.load(path), datasets.load(name, **options), dict(kept)


def said(data, split):
    """The split's sentences as strings."""
    words, part = data.schema['tokens'].names, data.splits[split]
    return [' '.join(words[i] for i in row[1:n])
            for row, n in zip(part['tokens'], part['length'], strict=True)]


@pytest.mark.parametrize('name', ['digits', 'gaussians25'])
def test_images_and_points(workdir, name):
    model, data, kept = loaded(workdir, name)
    x = data.splits['test']['x']
    z = model.encode(x)
    np.testing.assert_allclose(z, kept['codes'], rtol=1e-4, atol=1e-6)
    shown = model.decode(z)
    assert isinstance(shown, np.ndarray) and shown.shape == x.shape
    np.testing.assert_array_equal(shown, model.decode(z, 'mean', seed=7))
    drawn = model.sample(5, seed=3)
    assert drawn.shape == (5, *x.shape[1:]) and drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, model.sample(5, seed=3))
    assert np.abs(drawn - model.sample(5, seed=4)).max() > 1e-4
    noisy = model.decode(z, 'sample', seed=1)
    if data.schema['x'].bounds:        # a Bernoulli decoder's grey levels, and its bits
        assert 0 < shown.min() < shown.max() < 1 and set(np.unique(noisy)) == {0, 1}
        np.testing.assert_allclose(255 * shown, kept['decoded/x'], atol=.51)
    else:                              # a Gaussian's of deviation 1, on either side of 0
        assert shown.min() < 0 < shown.max() and .5 < (noisy - shown).std() < 1.5
        np.testing.assert_allclose(shown, kept['decoded/x'], rtol=1e-4, atol=1e-6)


def test_sentences(workdir):
    model, data, kept = loaded(workdir, 'synthetic')
    z = model.encode(said(data, 'test'))
    np.testing.assert_allclose(z, kept['codes'], rtol=1e-4, atol=1e-6)
    words = set(data.schema['tokens'].names[3:])
    most = data.schema['length'].size - 1
    for sentences in (model.decode(z[:4]), model.decode(z[:4], 'beam'), model.sample(4, seed=2)):
        assert len(sentences) == 4
        for sentence in sentences:
            assert set(sentence.split()) <= words and len(sentence.split()) <= most
    assert model.sample(4, seed=2) == model.sample(4, seed=2) != model.sample(4, seed=3)


def test_what_cannot_be_loaded_is_one_line(workdir, tmp_path):
    path, = (workdir / 'results').glob('digits.*.json')
    assert repr(vaebench.load(path.with_suffix(''))) == '<digits on digits, seed 0>'
    with pytest.raises(UserError, match=r'no result .*nothing\.json; there are digits\.s0\.'):
        vaebench.load(path.with_name('nothing'))
    with pytest.raises(UserError, match='digits cannot score: it offers decode, encode'):
        vaebench.load(path)._eval('score')
    alone = tmp_path / 'results' / path.name
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    with pytest.raises(UserError, match=f'the parameters of {path.name} are not in '):
        vaebench.load(alone)


def test_results_name_their_data_and_models_its_schema(workdir):
    from vaebench.engine import checkpoint
    for name in KINDS:
        _, data, _ = loaded(workdir, name)
        path, = (workdir / 'results').glob(f'{name}.*.json')
        result = results.read(path)
        host = checkpoint.peek(workdir / 'models' / f"{name}.s0.{result.train_hash}")
        assert schema.parse(host['schema']) == data.schema
        named = result.dataset
        assert (named.name, named.sha256, named.sizes) == (
            name, data.source.sha256, data.source.sizes)


IMAGE, POINT, CODE = np.zeros((2, 8, 8, 1)), np.zeros((2, 2)), np.zeros((2, 2))
BAD_X = {
    'digits': [
        (IMAGE[0], r'x has the shape \[8, 8, 1\]: give \[N, 8, 8, 1\]'),
        (IMAGE[..., 0], r'x has the shape \[2, 8, 8\]: give \[N, 8, 8, 1\]'),
        (IMAGE.reshape(2, 64), r'x has the shape \[2, 64\]'),
        (np.zeros((0, 3)), r'x has the shape \[0, 3\]'),
        (IMAGE + 1.5, 'x goes from 1.5 to 1.5: give numbers from 0 to 1'),
        (np.uint8(255 * (IMAGE + 1)), 'x goes from 255 to 255.*: divide bytes by 255'),
        (IMAGE - 1, 'x goes from -1 to -1: give numbers from 0 to 1$'),
        (IMAGE + np.nan, 'x holds numbers that are not finite'),
        (IMAGE + 1j, 'x holds 1j, which is no number'),
        ([IMAGE[0], IMAGE[0, 0]], 'x is no array'),
        ('a picture', "x holds .*'a picture'.*, which is no number"), (None, 'x holds None'),
        ({'x': IMAGE}, 'which is no number')],
    'gaussians25': [
        (POINT[0], r'x has the shape \[2\]: give \[N, 2\]'), (np.zeros((2, 3)), r'\[2, 3\]'),
        (POINT + 1e39, 'x holds numbers that are not finite'), (3., r'shape \[\]')],
    'synthetic': [
        ('the cat sees', r"a list of sentences is wanted, not one: give \['the cat sees'\]"),
        ([3], 'sentence 0 is 3: give a string'), (['a', None], 'sentence 1 is None'),
        ([['a', 'b']], r"sentence 0 is \['a', 'b'\]"), (b'a b', 'not bytes'), (5, 'not int'),
        ([b'a'], "sentence 0 is b'a'"), (['a </s> b'], 'sentence 0 holds </s>, which is no word')],
}


@pytest.mark.parametrize('name', KINDS)
def test_encode_refuses_what_is_no_example_in_one_line(workdir, name):
    model, _, _ = loaded(workdir, name)
    for x, said in BAD_X[name]:
        with pytest.raises(UserError, match=said) as caught:
            model.encode(x)
        assert '\n' not in str(caught.value)
    with pytest.raises(UserError, match='is told nothing but x: leave label out'):
        model.encode([], label=[])


@pytest.mark.parametrize('name', KINDS)
def test_decode_and_sample_refuse_in_one_line(workdir, name):
    model, _, _ = loaded(workdir, name)
    for z, said in [(CODE[0], r'z has the shape \[2\]: give \[N, 2\]'),
                    (np.zeros((2, 3)), r'z has the shape \[2, 3\]'), (CODE + np.inf, 'not finite'),
                    ('z', 'no number'), ([[1.], [2., 3.]], 'z is no array')]:
        with pytest.raises(UserError, match=said):
            model.decode(z)
    for n in (-1, 1.5, '3', None, True, 2**31):
        with pytest.raises(UserError, match='n=.*: give a whole number from 0 to 2147483647'):
            model.sample(n)
    for seed in (-1, 2**32, 2**64, .5, 'x', None, False):
        for ask in (lambda seed: model.sample(1, seed=seed),
                    lambda seed: model.decode(CODE, seed=seed)):
            with pytest.raises(UserError, match='seed=.*: give a whole number from 0 to 4294967295'):
                ask(seed)
    other = 'mean' if name == 'synthetic' else 'greedy'
    for mode in (other, '', 3):
        for ask in (lambda mode: model.sample(1, mode), lambda mode: model.decode(CODE, mode)):
            with pytest.raises(UserError, match='mode=.*: give one of '):
                ask(mode)


@pytest.mark.parametrize('name', KINDS)
def test_nothing_gives_nothing(workdir, name):
    model, data, _ = loaded(workdir, name)
    shape = () if name == 'synthetic' else data.splits['test']['x'].shape[1:]
    for nothing in ([], np.zeros((0, *shape))):
        z = model.encode(nothing)
        assert z.shape == (0, 2) and z.dtype == np.float32
    for found in (model.decode([]), model.decode(np.zeros((0, 2))), model.sample(0)):
        assert found == [] if name == 'synthetic' else found.shape == (0, *shape)


def test_largest_seeds_are_seeds_of_their_own(workdir):
    model, _, _ = loaded(workdir, 'digits')
    drawn = [model.sample(4, seed=seed) for seed in (0, 1, 2**31, 2**32 - 1)]
    for i, a in enumerate(drawn):
        assert all(np.abs(a - b).max() > 1e-4 for b in drawn[:i])


def test_a_conditional_model_asks_for_what_it_is_told():
    from vaebench import core, networks
    from vaebench.api import Model
    from vaebench.engine.optimizers import optimizer
    from vaebench.methods.build import build
    columns = {'x': schema.image((4, 4, 1)), 'label': schema.label(3)}
    config = {'method': 'cvae', 'options': {}, 'hp': {}, 'kit': {**MLP, 'likelihood': 'bernoulli'}}
    method = build(config, columns, core.Recipe(1, 1, 1, optimizer({'name': 'adam'})))
    batch = {'x': np.zeros((5, 4, 4, 1), np.float32), 'label': np.zeros(5, np.int32),
             'weight': np.ones(5, np.float32)}
    params, carry = method.init(jax.random.key(0), batch)
    result = types.SimpleNamespace(label='CVAE', dataset=types.SimpleNamespace(name='toy'), seed=0)
    model = Model(result, method, (params, carry), networks.build(columns, config['kit']).codec,
                  columns, batch)
    x = np.full((2, 4, 4, 1), .5)
    z = model.encode(x, label=[0, 2])
    assert z.shape == (2, 2) and np.abs(z - model.encode(x, label=[0, 0]))[1].max() > 1e-6
    assert model.encode([], label=[]).shape == (0, 2)
    for given, said in [({}, r'CVAE is told label=...: give encode\(x, label=...\)'),
                        ({'label': [0, 3]}, 'label goes from 0 to 3: give numbers from 0 to 2'),
                        ({'label': [0, .5]}, 'label holds numbers that are not whole'),
                        ({'label': [0]}, 'label has 1 rows, x has 2'),
                        ({'label': [0, 1], 'y': [0, 1]}, 'CVAE is told label=')]:
        with pytest.raises(UserError, match=said):
            model.encode(x, **given)
    with pytest.raises(UserError, match='CVAE cannot decode'):
        model.decode(z)


def test_a_failed_cell_warns(workdir, tmp_path):
    path, = (workdir / 'results').glob('digits.*.json')
    shutil.copytree(workdir, tmp_path / 'w')
    copy = tmp_path / 'w' / 'results' / path.name
    cell = json.loads(path.read_text())
    copy.write_text(json.dumps({**cell, 'status': 'failed', 'reason': 'loss was not finite'}))
    with pytest.warns(UserWarning, match=r'digits\.s0\..* failed: loss was not finite'):
        assert vaebench.load(copy).encode([]).shape == (0, 2)


@pytest.mark.parametrize('cell', [5, None, '', 'a\0b', '~nobody-of-this-name/x', 'x' * 300])
def test_a_cell_is_a_path(cell):
    with pytest.raises(UserError):
        vaebench.load(cell)


def test_a_damaged_model_is_no_model_and_a_missing_device_is_no_damage(workdir, tmp_path, monkeypatch):
    path, = (workdir / 'results').glob('digits.*.json')
    shutil.copytree(workdir, tmp_path / 'w')
    copy = tmp_path / 'w' / 'results' / path.name
    with monkeypatch.context() as patch:
        def missing(*args):
            raise RuntimeError('no device')

        patch.setattr('vaebench.api.build', missing)
        with pytest.raises(UserError, match='RuntimeError: no device') as caught:
            vaebench.load(copy)
        assert 'delete' not in str(caught.value)
    model, = (tmp_path / 'w' / 'models').glob('digits.*')
    largest = max((p for p in model.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(UserError, match='is damaged .* delete that folder to train it again'):
        vaebench.load(copy)


def test_inside_a_running_event_loop(workdir):
    async def loads():
        return loaded(workdir, 'digits')[0].sample(2)

    assert asyncio.run(loads()).shape == (2, 8, 8, 1)
