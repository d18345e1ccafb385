"""Frey Faces: frames of a video of one face."""
import io

import numpy as np

from vaebench.datasets.base import Dataset, Folder, permutation
from vaebench.datasets.cache import array_sha256
from vaebench.datasets.image_base import finish, options
from vaebench.datasets.source_files import cause, locate, read
from vaebench.errors import UserError

FREY = '2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78'
"""sha256 of the 1,965 frames as bytes."""


def frey_faces(data_dir: Folder = None, cache_dir: Folder = None, examples: int | None = None,
               eval_examples: int | None = None) -> Dataset:
    """Frey Faces: 1,965 frames of a video of one face, 28 rows by 20 columns of grey.

    Neighbouring frames are nearly alike. There is no published split: ours is one fixed
    permutation, 1,565 train, 200 valid and 200 test, so that test frames have neighbours in
    train. The frames' sha256 is checked.

    Args:
      data_dir: folder with freyfaces.npz (uint8 'images' [1965, 28, 20]) or with Roweis's
        frey_rawface.mat ('ff' [560, 1965]), or with a folder freyfaces or frey_faces of either.
      cache_dir: not needed.
      examples: the first that many of train.
      eval_examples: the first that many of valid and of test.

    Returns:
      A `Dataset`: x float32 [N, 28, 20, 1] in [0, 1].

    References:
      Roweis, Saul, Nonlinear Dimensionality Reduction by Locally Linear Embedding, 2000.
      Kingma, Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114.
    """
    chosen = options(examples, eval_examples)
    path, = locate('frey_faces', [('freyfaces.npz', 'frey_rawface.mat')], data_dir, 'freyfaces',
                   'frey_faces')
    raw = io.BytesIO(read(path))
    try:
        if path.suffix == '.npz':
            frames = np.load(raw)['images']
        else:
            from scipy.io import loadmat
            frames = loadmat(raw)['ff'].T.reshape(-1, 28, 20)
    except Exception as e:   # NumPy and SciPy raise whatever they like at damaged files
        raise UserError(f'{path} is damaged ({cause(e)}): fetch it again') from e
    actual = array_sha256(frames)
    if actual != FREY:
        raise UserError(f'{path} does not hold the published frames: their sha256 is {actual}, '
                        f'not {FREY}')
    frames = frames.reshape(-1, 28, 20)[permutation(len(frames))]
    parts = {'train': frames[:-400], 'valid': frames[-400:-200], 'test': frames[-200:]}
    return finish('frey_faces', {s: (x, None) for s, x in parts.items()}, chosen)
