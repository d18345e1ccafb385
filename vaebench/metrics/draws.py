"""Draws that no batching changes: keys, and what one draw per example says."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vaebench.core import derive
from vaebench.schema import count

Evals = Mapping[str, Callable[..., Any]]
Columns = Mapping[str, Any]

SAMPLE = ('posterior', 'sample_q', 'log_lik')                 # evals of one draw per example
WEIGHTS = (*SAMPLE, 'log_q', 'log_prior')                     # evals of an importance weight
REFINED = (*SAMPLE, 'encode', 'log_prior')       # of one whose proposal is that of `proposal`
# Tags of the key. A caller's own: 2 and 3 in evaluate, from 8 on in other files of metrics.
DRAWS, GENERATED, REPLICA, DUAL, PRIOR, REFINE = 0, 1, 4, 5, 6, 7
FIRST = np.zeros(1, np.int32)
@jax.jit
def fold(key: jax.Array, index: Any, sample: Any, tag: int = DRAWS) -> jax.Array:
    """Makes a key for every draw of every example, so that no batching changes a draw.

    Args:
      key: [] typed key.
      index: int32 [B], the examples' places in their split.
      sample: int32 [S], numbers of the draws.
      tag: what the draws are for, one of the tags above.

    Returns:
      [S, B] typed keys.

    >>> fold(jax.random.key(0), jnp.arange(3), jnp.arange(2)).shape
    (2, 3)
    """
    key = derive(key, tag)
    return jax.vmap(lambda s: jax.vmap(lambda i: derive(key, i, s))(index))(sample)


@jax.jit
def fold_group(keys: jax.Array, index: Any, sample: Any, tag: int = DRAWS) -> jax.Array:
    """Applies `fold` to every seed: keys [G] -> [G, S, B]. It is a program of its own, which
    every model shares."""
    return jax.vmap(lambda key: fold(key, index, sample, tag))(keys)


def alone(x: Any) -> Any:
    """Makes a batch of one example: leaves [...] -> [1, ...]."""
    return jax.tree.map(lambda x: x[None], x)


def first(x: Any) -> Any:
    """Returns the first example of a batch: leaves [B, ...] -> [...]."""
    return jax.tree.map(lambda x: x[0], x)


def draw(evals: Evals, params: Any, carry: Any, q: Any, keys: jax.Array) -> Any:
    """Draws one code per example, each from a key of its own.

    Args:
      evals: with 'sample_q'.
      params, carry: of one seed.
      q: posterior, leaves [B, ...].
      keys: [B] typed keys.

    Returns:
      Codes, [B, Z] or leaves [B, ...].
    """
    def one(q, key):
        return first(evals['sample_q'](params, carry, alone(q), key))

    return jax.vmap(one)(q, keys)


def single(evals: Evals, params: Any, carry: Any, batch: Columns,
           keys: jax.Array) -> dict[str, Any]:
    """Computes what one draw per example says, as far as `evals` allow.

    Args:
      evals: name -> function, any of core.EVALS.
      params, carry: of one seed.
      batch: leaves [B, ...].
      keys: [B] typed keys.

    Returns:
      Some of 'nll' (exact), 'error' (of a predictor), 'rec', 'kl', 'log_q', 'log_prior',
      'log_length' [B], nats; 'code' [B, Z]; 'q', 'z' leaves [B, ...].
    """
    def has(*names):
        return all(n in evals for n in names)

    def call(name, *args):
        return evals[name](params, carry, *args)

    out = {}
    if has('score'):
        out['nll'] = -call('score', batch)
    if has('error'):
        out['error'] = call('error', batch)
    if has('encode'):
        out['code'] = call('encode', batch)
    if has('log_length'):
        out['log_length'] = call('log_length', batch)
    if has('posterior'):
        q = out['q'] = call('posterior', batch)
        if has('sample_q'):
            z = out['z'] = draw(evals, params, carry, q, keys)
            if has('log_lik'):
                out['rec'] = -call('log_lik', z, batch)
            if has('log_q'):
                out['log_q'] = call('log_q', q, z)
            if has('log_prior'):
                out['log_prior'] = call('log_prior', z)
        if has('kl'):
            out['kl'] = call('kl', q)
        elif 'log_q' in out and 'log_prior' in out:
            out['kl'] = out['log_q'] - out['log_prior']
    return out


def slots(n: int, size: int) -> np.ndarray:
    """Puts places 0..n-1 into rows of `size`; the rest of the last row is -1.

    >>> slots(3, 2).tolist()
    [[0, 1], [2, -1]]
    """
    out = np.full(-(-n // size) * size, -1, np.int32)
    out[:n] = np.arange(n)
    return out.reshape(-1, size)


def split_index(buckets: Sequence[Columns]) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Parts filled buckets from the index of their examples: their own or the running number.

    Args:
      buckets: list of columns with leading N_b.

    Returns:
      The list of columns, and a list of int32 [N_b].

    Raises:
      ValueError: there is no example, or the index holds one twice.
    """
    data, index, start = [], [], 0
    for b in buckets:
        n = count(b)
        if n == 0:
            continue
        index.append(np.asarray(b.get('index', np.arange(start, start + n)), np.int32))
        data.append({k: v for k, v in b.items() if k not in ('index', 'weight')})
        start += n
    if not data:
        raise ValueError('no example to evaluate')
    every = np.concatenate(index)
    if len(np.unique(every)) != len(every):
        raise ValueError("the buckets' 'index' holds an example twice")
    return data, index


def group_size(params: Any, carry: Any, key: jax.Array) -> int:
    """Returns the number of seeds G in the leading axis; 1 if there is nothing to lead."""
    leaves = jax.tree.leaves((params, carry))
    return leaves[0].shape[0] if leaves else (key.shape[0] if key.ndim else 1)


def over_seeds(f: Callable[..., Any], size: int) -> Callable[..., Any]:
    """Maps f(params, carry, key, own, *shared) over its first four arguments, leaves [G, ...].

    >>> f = over_seeds(lambda params, carry, key, own, x: params * x, 2)
    >>> f(jnp.array([1., 2.]), (), jax.random.split(jax.random.key(0)), (), 3.).tolist()
    [3.0, 6.0]
    """
    def mapped(params, carry, key, own, *shared):
        return jax.vmap(lambda *seed: f(*seed, *shared), axis_size=size)(params, carry, key,
                                                                         own)

    return mapped
