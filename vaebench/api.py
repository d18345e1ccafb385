"""A finished cell, in Python: encode, decode, sample."""
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vaebench import core, networks, schema
from vaebench.engine import checkpoint
from vaebench.engine.optimizers import optimizer
from vaebench.errors import UserError
from vaebench.experiment import results
from vaebench.methods.build import build


class Model:
    """A trained model. Made by `load`.

    Attributes:
      result: the cell's result, a `records.Result`.
      method: the `core.Method`; its `evals` take the parameters first.
      params, carry: what was trained.
      codec: `core.Codec` between people's values and batches: sentences are strings, images
        arrays in [0, 1].
    """

    def __init__(self, result, method, params, carry, codec):
        self.result, self.method, self.codec = result, method, codec
        self.params, self.carry = params, carry

    def __repr__(self):
        return f'<{self.result.label} on {self.result.dataset.name}, seed {self.result.seed}>'

    def _eval(self, name):
        if name not in self.method.evals:
            raise UserError(
                f'{self.result.label} cannot {name}: it offers '
                f"{', '.join(sorted(self.method.evals))}")
        return lambda *args: self.method.evals[name](self.params, self.carry, *args)

    def encode(self, x: Any) -> np.ndarray:
        """Posterior means of sentences, images or points.

        Args:
          x: list of B strings, or array [B, ...].

        Returns:
          [B, Z] array.
        """
        return np.asarray(self._eval('encode')(self.codec.read(x)))

    def decode(self, z: ArrayLike, mode: str | None = None, seed: int = 0) -> Any:
        """What codes say.

        Args:
          z: [B, Z].
          mode: text 'greedy', 'sample' or 'beam', other data 'mean' or 'sample'; the first of
            them if None.
          seed: of the randomness in mode 'sample'.

        Returns:
          List of B strings, or array [B, ...].
        """
        mode = mode or self.codec.modes[0]
        return self.codec.write(
            self._eval('decode')(jnp.asarray(z), jax.random.key(seed), mode))

    def sample(self, n: int, mode: str | None = None, seed: int = 0) -> Any:
        """Draws from the prior, decoded.

        Args:
          n: how many.
          mode: as in `decode`; text defaults to 'sample'.
          seed: of the randomness.

        Returns:
          List of n strings, or array [n, ...].
        """
        return self.codec.write(
            self._eval('sample')(jax.random.key(seed), n, mode or self.codec.modes[1]))


def load(cell: str | os.PathLike) -> Model:
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
        near = sorted(p.name for p in path.parent.glob('*.json'))
        hint = (f'there are {", ".join(near[:5])}' if near else
                f'results lie in <workdir>/results, not {path.parent}')
        raise UserError(f'no result {path}; {hint}')
    result = results.read(path)
    folder = path.parent.parent / 'models' / f'{result.row}.s{result.seed}.{result.train_hash}'
    made = {}

    def like(host):
        if 'schema' not in host:
            raise UserError(
                f'{folder} was written by an earlier version; run its table again to train it')
        config, columns = host['config'], schema.parse(host['schema'])
        examples = (result.dataset.sizes or {}).get('train', 1)
        recipe = core.Recipe(1, 1, examples, optimizer(config['optimizer']))
        made['method'] = build(config, columns, recipe)
        made['codec'] = networks.build(columns, config['kit']).codec
        numbers = {**config['hp'], 'lr': config['optimizer']['lr'], 'lr_scale': 1.}

        def ended(data):
            begun = core.init(made['method'], jax.random.key(0), data, numbers)
            return tuple(core.enter_all(made['method'], begun, data)[:2])

        return jax.eval_shape(ended, _sample(host['sample']))

    found = checkpoint.restore(folder, like)
    if found is None:
        raise UserError(f'the parameters of {path.name} are not in {folder}; '
                        'run its table again to train them')
    (params, carry), _ = found
    return Model(result, made['method'], params, carry, made['codec'])


def _sample(stored):
    """Shapes of a batch, as the runner stores them: nested dicts of [shape, dtype]."""
    return {
        k: _sample(v) if isinstance(v, dict) else jax.ShapeDtypeStruct(*v)
        for k, v in stored.items()
    }
