"""A finished cell, in Python: encode, decode, sample."""
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from vaebench import core
from vaebench.engine import checkpoint
from vaebench.engine.optimizers import optimizer
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.methods.build import build

PAD, BOS, EOS, UNK = 0, 1, 2, 3


class Model:
    """A trained model with its vocabulary. Made by `load`.

    Attributes:
      result: the cell's result, a dict.
      method: the `core.Method`; `evals` gives every eval bound to the parameters.
      params, carry: what was trained.
    """

    def __init__(self, result, method, params, carry, info):
        self.result, self.method, self.params, self.carry, self.info = result, method, params, carry, info
        self._ids = {w: i for i, w in enumerate(info.get('vocab', ()))}

    def __repr__(self):
        return f"<{self.result['label']} on {self.result['dataset']['name']}, seed {self.result['seed']}>"

    def _eval(self, name):
        if name not in self.method.evals:
            raise UserError(f"{self.result['label']} cannot {name}: it offers {', '.join(sorted(self.method.evals))}")
        return lambda *args: self.method.evals[name](self.params, self.carry, *args)

    def batch(self, x):
        """Sentences (strings) or images [B, H, W, C] as the batch that networks read."""
        if self.info['kind'] == 'image':
            x = jnp.asarray(x, jnp.float32)
            return {'x': x, 'weight': jnp.ones(len(x))}
        ids = [[BOS, *(self._ids.get(w, UNK) for w in s.split()), EOS] for s in x]
        tokens = np.full((len(ids), max(map(len, ids))), PAD, np.int32)
        for row, sentence in zip(tokens, ids, strict=True):
            row[:len(sentence)] = sentence
        length = np.array([len(s) - 1 for s in ids], np.int32)
        return {'tokens': jnp.asarray(tokens), 'length': jnp.asarray(length), 'weight': jnp.ones(len(ids))}

    def readable(self, batch):
        """A generated batch as a list of sentences, or as an array of images."""
        if self.info['kind'] == 'image':
            return np.asarray(batch['x'])
        vocab = self.info['vocab']
        rows = zip(np.asarray(batch['tokens']), np.asarray(batch['length']), strict=True)
        return [' '.join(vocab[i] for i in row[1:n + 1] if i > EOS) for row, n in rows]

    def encode(self, x):
        """Posterior means of sentences or images.

        Args:
          x: list of B strings, or [B, H, W, C] in [0, 1].

        Returns:
          [B, Z] array.
        """
        return np.asarray(self._eval('encode')(self.batch(x)))

    def decode(self, z, mode=None, seed=0):
        """What codes say.

        Args:
          z: [B, Z].
          mode: text 'greedy' or 'sample', images 'mean' or 'sample'; the first of them if None.
          seed: of the randomness in mode 'sample'.

        Returns:
          List of B strings, or [B, H, W, C] array.
        """
        return self.readable(self._eval('decode')(jnp.asarray(z), jax.random.key(seed), mode or self._mode()))

    def sample(self, n, mode=None, seed=0):
        """Draws from the prior, decoded.

        Args:
          n: how many.
          mode: as in `decode`; text defaults to 'sample'.
          seed: of the randomness.

        Returns:
          List of n strings, or [n, H, W, C] array.
        """
        mode = mode or ('sample' if self.info['kind'] == 'text' else 'mean')
        return self.readable(self._eval('sample')(jax.random.key(seed), n, mode))

    def _mode(self):
        return 'greedy' if self.info['kind'] == 'text' else 'mean'


def load(cell):
    """Loads the model of a finished cell.

    Args:
      cell: path of its result, with or without '.json'.

    Returns:
      A `Model`.

    Raises:
      UserError: there is no such cell, or its files are damaged.
    """
    path = pathlib.Path(cell)
    path = path if path.name.endswith('.json') else path.with_name(path.name + '.json')
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob('*.json')) if path.parent.is_dir() else []
        hint = f'there are {", ".join(near[:5])}' if near else f'results lie in <workdir>/results, not {path.parent}'
        raise UserError(f'no result {path}; {hint}')
    result = results.read(path)
    folder = path.parent.parent / 'models' / f"{result['row']}.s{result['seed']}.{result['train_hash']}"
    made = {}

    def like(host):
        info = {k: tuple(v) if isinstance(v, list) else v for k, v in host['info'].items()}
        plan = core.Plan(1, 1, optimizer(host['config']['optimizer']))
        made['method'], made['info'] = build(host['config'], info, plan), info
        sample = {k: jax.ShapeDtypeStruct(shape, dtype) for k, (shape, dtype) in host['sample'].items()}
        return jax.eval_shape(made['method'].init, jax.random.key(0), sample)

    found = checkpoint.restore(folder, like)
    if found is None:
        raise UserError(f'the parameters of {path.name} are not in {folder}; run its table again to train them')
    (params, carry), _ = found
    return Model(result, made['method'], params, carry, made['info'])
