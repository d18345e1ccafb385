"""Frey Faces: what they hold, and what they say to bad files."""
import hashlib

import numpy as np
import pytest
from test_datasets import facts, real

from vaebench import datasets
from vaebench.datasets import frey
from vaebench.errors import UserError


@pytest.fixture
def load(tmp_path):
    """`datasets.load` with a cache of its own."""
    cache = tmp_path / 'cache'
    return lambda name, data_dir=None, **more: datasets.load(name, data_dir, cache, **more)


def test_frey_faces(load, tmp_path, monkeypatch):
    from scipy.io import savemat
    frames = np.random.default_rng(2).integers(0, 256, (1965, 28, 20), np.uint8)
    monkeypatch.setattr(frey, 'FREY', hashlib.sha256(frames.tobytes()).hexdigest())
    (tmp_path / 'npz' / 'freyfaces').mkdir(parents=True)
    (tmp_path / 'mat').mkdir()
    np.savez_compressed(tmp_path / 'npz' / 'freyfaces' / 'freyfaces.npz', images=frames)
    savemat(tmp_path / 'mat' / 'frey_rawface.mat', {'ff': frames.reshape(1965, 560).T})
    d = load('frey_faces', tmp_path / 'npz')
    assert facts(d) == facts(load('frey_faces', tmp_path / 'mat'))
    assert d.source.sizes == {'train': 1565, 'valid': 200, 'test': 200}
    assert d.schema['x'].shape == (28, 20, 1)
    every = np.concatenate([d.splits[s]['x'] for s in ('train', 'valid', 'test')])[..., 0] * 255
    order = np.argsort(np.random.default_rng(0).random(1965), kind='stable')
    np.testing.assert_array_equal(np.round(every), frames[order])
    small = load('frey_faces', tmp_path / 'mat', examples=3, eval_examples=2)
    np.testing.assert_array_equal(small.splits['test']['x'], d.splits['test']['x'][:2])

    path = tmp_path / 'mat' / 'frey_rawface.mat'
    savemat(path, {'ff': frames.reshape(1965, 560).T + 1})
    message = 'frey_rawface.mat does not hold the published frames: their sha256 is'
    with pytest.raises(UserError, match=message):
        load('frey_faces', tmp_path / 'mat')
    for damaged in (b'', b'not a matrix'):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match='frey_rawface.mat is damaged'):
            load('frey_faces', tmp_path / 'mat')
    np.savez(tmp_path / 'npz' / 'freyfaces' / 'freyfaces.npz', faces=frames)
    with pytest.raises(UserError, match='freyfaces.npz is damaged .*images'):
        load('frey_faces', tmp_path / 'npz')
    with pytest.raises(UserError, match='misses freyfaces.npz: it should lie at'):
        load('frey_faces', tmp_path)


def test_real_frey_faces(tmp_path):
    d = datasets.load('frey_faces', data_dir=real('.'))
    assert d.source.sizes == {'train': 1565, 'valid': 200, 'test': 200}
    test, train = (d.splits[s]['x'].reshape(-1, 560) for s in ('test', 'train'))
    gap = (test ** 2).sum(1)[:, None] + (train ** 2).sum(1) - 2 * test @ train.T
    # frames of a film: most have a near neighbour
    assert np.median(gap.min(1)) < .2 * np.median(gap)
