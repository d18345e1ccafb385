"""Finished cells of every kind of data are loaded, and say what their training says."""
import numpy as np
import pytest

import vaebench
from vaebench import datasets, schema
from vaebench.errors import UserError
from vaebench.experiment import presets, results, table
from vaebench.experiment.runner import Runner

MLP = {'name': 'mlp', 'latent': 2, 'hidden': (6,)}
LSTM = {**presets.LSTM, 'embed': 4, 'hidden': 4, 'latent': 2}
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
        config = presets.table(name, name, dataset=data, kit=kit, epochs=1, batch=20, seeds=1,
                               metrics=('rec',), evaluation={'samples': 1, 'generated': 20})
        config.table = presets.rows({name: {'label': name, 'method': 'vae'}})
        spec, = table.tables(config.to_dict())
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
        host = checkpoint.peek(workdir / 'models' / f"{name}.s0.{result['train_hash']}")
        assert schema.parse(host['schema']) == data.schema
        named = result['dataset']
        assert (named['name'], named['sha256'], named['sizes']) == (
            name, data.source.sha256, data.source.sizes)
