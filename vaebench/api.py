"""A finished cell, in Python: encode, decode, sample."""
import functools
import os
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vaebench import core, inputs, networks, schema
from vaebench.engine import checkpoint
from vaebench.engine.optimizers import optimizer
from vaebench.errors import UserError
from vaebench.experiment import machine, results
from vaebench.experiment.records import Result
from vaebench.methods.build import build
from vaebench.networks.generate import UNKNOWN


class Model:
    """A trained model. Made by `load`.

    Bad input raises `UserError`, whose one line says what to give.

    Attributes:
      result: the cell's result, a `records.Result`.
      method: the `core.Method`; its `evals` take the parameters first.
      params, carry: what was trained.
      codec: `core.Codec` between people's values and batches: sentences are strings, images
        arrays in [0, 1].
      columns: what the columns of its data are, see `schema`.
    """

    def __init__(self, result: Result, method: core.Method, trained: tuple[Any, Any],
                 codec: core.Codec, columns: schema.Schema, batch: Mapping[str, Any]):
        self.result, self.method, self.codec, self.columns = result, method, codec, columns
        self.params, self.carry = trained
        self._batch = batch            # shapes of a batch

    def __repr__(self):
        return f'<{self.result.label} on {self.result.dataset.name}, seed {self.result.seed}>'

    def encode(self, x: Any, **given: ArrayLike) -> np.ndarray:
        """Posterior means of sentences, images or points.

        Args:
          x: list of B strings, or array [B, ...].
          **given: further columns [B] that a conditional model is told, such as `label`.

        Returns:
          [B, Z] array.

        Raises:
          UserError: x is not such values, or the model has no encoder.
        """
        self._eval('encode')
        x, told = self._checked(x), self._told(given)
        for name, value in told.items():
            if len(value) != len(x):
                raise UserError(f'{name} has {len(value)} rows, x has {len(x)}: give as many')
        if not len(x):
            return np.zeros((0, *self._code.shape[1:]), self._code.dtype)
        return np.asarray(self._call('encode', {**self._read(x), **told}))

    def decode(self, z: ArrayLike, mode: str | None = None, seed: int = 0) -> Any:
        """What codes say.

        Args:
          z: [B, Z].
          mode: text 'greedy', 'sample' or 'beam', other data 'mean' or 'sample'; the first of
            them if None.
          seed: of the randomness in mode 'sample', from 0 to 2^32 - 1.

        Returns:
          List of B strings, or array [B, ...].

        Raises:
          UserError: z is no array of codes, there is no such mode or seed, or the model has no
            decoder of codes.
        """
        self._eval('decode')
        code, mode = self._code, self._mode(mode, 0)
        z = inputs.rows('z', z, code.shape[1:], code.dtype)
        key = jax.random.key(inputs.whole('seed', seed, inputs.SEEDS))
        if not len(z):
            return self.decode(np.zeros((1, *code.shape[1:]), code.dtype), mode)[:0]
        return self.codec.write(self._call('decode', jnp.asarray(z), key, mode))

    def sample(self, n: int, mode: str | None = None, seed: int = 0) -> Any:
        """Draws from the prior, decoded.

        Args:
          n: how many.
          mode: as in `decode`; text defaults to 'sample'.
          seed: of the randomness, from 0 to 2^32 - 1.

        Returns:
          List of n strings, or array [n, ...].

        Raises:
          UserError: there is no such number, mode or seed, or the model has no prior.
        """
        self._eval('sample')
        n, mode = inputs.whole('n', n, 2**31), self._mode(mode, 1)
        key = jax.random.key(inputs.whole('seed', seed, inputs.SEEDS))
        return self.codec.write(self._call('sample', key, max(n, 1), mode))[:n]

    # ---- what is handed in ----------------------------------------------------------------

    def _checked(self, x):
        """x as its column of the data is; any values where no column stands for it."""
        if (tokens := schema.of_kind(self.columns, 'tokens')) is not None:
            words = schema.field(self.columns, tokens).names
            return inputs.sentences(x, words[:UNKNOWN])
        if 'x' in self.columns:
            return inputs.column('x', x, schema.field(self.columns, 'x'))
        if isinstance(x, str) or not hasattr(x, '__len__'):
            raise UserError('a list of values is wanted, not one')
        return x

    def _told(self, given):
        """The columns that a conditional model is told, and no others."""
        wanted = [name for name in self.method.given if name in self._batch]
        if set(wanted) != set(given):
            told = ', '.join(f'{name}=...' for name in wanted)
            raise UserError(f'{self.result.label} is told {told}: give encode(x, {told})'
                            if wanted else f'{self.result.label} is told nothing but x: leave '
                            f'{", ".join(given)} out')
        return {name: jnp.asarray(inputs.column(name, value, schema.field(self.columns, name)))
                for name, value in given.items()}

    def _read(self, x):
        try:
            return self.codec.read(x)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise UserError(f'{self.result.label} cannot read such values ({error}): give '
                            f'those that {self.result.dataset.name} has') from error

    def _mode(self, mode, place):
        known = self.codec.known
        return inputs.choice('mode', self.codec.modes[place] if mode is None else mode, known)

    # ---- what is asked of the method ------------------------------------------------------

    def _eval(self, name):
        if name not in self.method.evals:
            raise UserError(
                f'{self.result.label} cannot {name}: it offers '
                f"{', '.join(sorted(self.method.evals))}")
        return functools.partial(self.method.evals[name], self.params, self.carry)

    def _call(self, name, *args):
        try:
            return self._eval(name)(*args)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error):
                raise UserError(f'there is not memory enough to {name} so many at once: give '
                                'fewer') from error
            raise

    @functools.cached_property
    def _code(self):
        """Shape and type of codes [B, Z], as `encode` gives and `decode` takes them."""
        if 'encode' in self.method.evals:
            code = jax.eval_shape(self._eval('encode'), self._batch)
        else:
            draw = self._eval('sample_prior')
            code = jax.eval_shape(lambda key: draw(key, 1), jax.random.key(0))
        if not isinstance(code, jax.ShapeDtypeStruct):
            raise UserError(f'codes of {self.result.label} are no arrays: ask its method.evals')
        return code


def load(cell: str | os.PathLike) -> Model:
    """Loads the model of a finished cell.

    Args:
      cell: path of its result, with or without '.json'.

    Returns:
      A `Model`. Of a cell that failed it has the parameters before the failure, and a warning
      says so.

    Raises:
      UserError: there is no such cell, its files are damaged, or what it was made with is
        missing here.

    >>> load('runs/none/results/vae.s0.0123456789')
    Traceback (most recent call last):
    vaebench.errors.UserError: no result runs/none/results/vae.s0.0123456789.json; results lie \
in <workdir>/results, not runs/none/results
    """
    path = _path(cell)
    machine.check_devices()
    result = results.read(path)
    folder = path.parent.parent / 'models' / f'{result.row}.s{result.seed}.{result.train_hash}'
    made = {}

    def like(host):
        if 'schema' not in host:
            raise UserError(
                f'{folder} was written by an earlier version; run its table again to train it')
        config, made['columns'] = host['config'], schema.parse(host['schema'])
        examples = (result.dataset.sizes or {}).get('train', 1)
        recipe = core.Recipe(1, 1, examples, optimizer(config['optimizer']))
        made['method'] = build(config, made['columns'], recipe)
        made['codec'] = networks.build(made['columns'], config['kit']).codec
        made['batch'] = _shapes(host['sample'])
        numbers = {**config['hp'], 'lr': config['optimizer']['lr'], 'lr_scale': 1.}

        def ended(data):
            begun = core.init(made['method'], jax.random.key(0), data, numbers)
            return tuple(core.enter_all(made['method'], begun, data)[:2])

        return jax.eval_shape(ended, made['batch'])

    said = []
    found = checkpoint.restore(folder, like, said.append)
    if found is None:
        raise UserError(f'the parameters of {path.name} are not in {folder}; '
                        'run its table again to train them')
    if result.status == 'failed':
        said.append(f'{path.name} failed: {result.reason}')
    for line in said:
        warnings.warn(line, stacklevel=2)
    return Model(result, trained=found[0], **made)


def _path(cell):
    """The result file of a cell."""
    path = inputs.path('cell', cell)
    path = path if path.name.endswith('.json') else path.parent / f'{path.name}.json'
    try:
        if path.exists():
            return path
        near = sorted(p.name for p in path.parent.glob('*.json'))
    except OSError as error:
        raise UserError(f'cannot read {error.filename}: {error.strerror}') from error
    hint = (f'there are {", ".join(near[:5])}' if near else
            f'results lie in <workdir>/results, not {path.parent}')
    raise UserError(f'no result {path}; {hint}')


def _shapes(stored):
    """Shapes of a batch, as the runner stores them: nested dicts of [shape, dtype]."""
    return {
        k: _shapes(v) if isinstance(v, dict) else jax.ShapeDtypeStruct(*v)
        for k, v in stored.items()
    }
