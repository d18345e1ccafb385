"""Scikit-learn's digits: what they hold."""
import numpy as np

from vaebench import datasets


def test_digits():
    from sklearn.datasets import load_digits
    d = datasets.load('digits')
    whole = np.concatenate([p['x'] for p in d.splits.values()])[..., 0]
    labels = np.concatenate([p['label'] for p in d.splits.values()])
    levels = (whole * 16).reshape(len(whole), -1).astype(int)
    data = load_digits()
    theirs = zip(data.data.astype(int).tolist(), data.target.tolist(), strict=True)
    ours = zip(levels.tolist(), labels.tolist(), strict=True)
    assert sorted(ours) == sorted(theirs)      # a permutation
    assert whole.min() == 0 and whole.max() == 1 and whole.dtype == np.float32
    assert d.schema['x'].shape == (8, 8, 1) and d.schema['label'].size == 10
    assert d.source.sha256 == 'c91bd4084e4775ac3d3ed49a3d2d9c422b5d2f679218a107cd7913aaaa632f82'
    small = datasets.load('digits', examples=10, eval_examples=5)
    assert small.source.sizes == {'train': 10, 'valid': 5, 'test': 5}
    np.testing.assert_array_equal(small.splits['test']['x'], d.splits['test']['x'][:5])
