"""The cheap measure that training takes every epoch."""
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import EVALS, derive, take
from vaebench.errors import UserError
from vaebench.metrics.draws import (
    FIRST,
    SAMPLE,
    Columns,
    Evals,
    fold_group,
    group_size,
    over_seeds,
    single,
    slots,
    split_index,
)
from vaebench.metrics.latent import ACTIVE, batch_information

MEANS = tuple(e.mean.removeprefix('-') for e in EVALS.values() if e.mean)
"""What is averaged over the data as far as the evals allow: whatever `core.EVALS` calls a
mean."""
PENALTIES = 7          # tag of their draws
EXTRA = {'mi': ('posterior', 'sample_q', 'log_q'), 'au': ('encode',)}
"""What is measured beside these means -> the evals that it takes."""


class Validator(NamedTuple):
    """A validation as a pure function and what it reads beside the parameters, so that the
    caller may compile it.
    """
    function: Callable[..., dict[str, Any]]      # (params, carry, *inputs) -> dict of [G]
    # (G, key [] or [G]) -> arrays; () where there is nothing to measure
    inputs: Callable[..., tuple[Any, ...]]

    def __call__(self, params: Any, carry: Any, key: jax.Array) -> dict[str, Any]:
        inputs = self.inputs(group_size(params, carry, key), key)
        return jax.jit(self.function)(params, carry, *inputs) if inputs else {}


def _check_needs(needs, evals):
    for name in needs:
        if name not in EXTRA:
            raise UserError(f'validation cannot give {name}: a phase may need only '
                            f'{" or ".join(EXTRA)}')
        if missing := [n for n in EXTRA[name] if n not in evals]:
            raise UserError(
                f'validation of {name!r} needs the evals {", ".join(missing)}, which '
                'the method lacks')


def validator(evals: Evals, buckets: Sequence[Columns], needs: Sequence[str] = (),
              batch: int = 128, decode: Callable[..., Any] | None = None) -> Validator:
    """Makes the one-sample validation of a group of seeds.

    The data goes to the device once. Each example's draw comes from `key` folded with its
    index.

    Args:
      evals: name -> f(params, carry, ...), any of core.EVALS.
      buckets: list of dicts with leaves [N_b, ...], 'index' [N_b] optional.
      needs: quantities beside the bound that must be there.
      batch: examples at once.
      decode: see `core.take`.

    Returns:
      A `Validator`: (params, carry, key [] or [G]) -> dict of [G], means over the split as far
      as the evals allow: in nats 'rec', 'kl' and 'elbo' = rec + kl - log_length, 'nll' and
      'elbo' = nll of a model with an exact 'score', and 'error' of a predictor; the 'penalties'
      of batches by their names; of codes 'mi', the mutual information inside batches of 32 of
      one bucket, and 'au', the number of active units. A model with none of 'nll', 'rec' and
      'error' gets {}.

    >>> evals = {'score': lambda params, carry, batch: params * batch['x']}
    >>> f = validator(evals, [{'x': jnp.array([-1., -3.])}])
    >>> {k: v.tolist() for k, v in f(jnp.ones(2), (), jax.random.key(0)).items()}
    {'elbo': [2.0, 2.0], 'nll': [2.0, 2.0]}
    """
    _check_needs(needs, evals)
    informed, coded = (set(EXTRA[name]) <= set(evals) for name in EXTRA)
    kept = ('q', 'z') * informed + ('code',) * coded
    penalized = {*SAMPLE, 'penalties'} <= set(evals)
    if not ({'score', 'error'} & set(evals) or set(SAMPLE) <= set(evals)):
        return Validator(lambda params, carry: {}, lambda size, key: ())
    data, index = split_index(buckets)
    data = [jax.tree.map(jnp.asarray, b) for b in data]
    total = sum(map(len, index))
    places = [jnp.asarray(slots(len(i), min(batch, len(i)))) for i in index]     # [calls, B]

    def bucket(params, carry, keys, data, places):
        n = len(keys)

        def one(idx):
            own, columns = keys[jnp.maximum(idx, 0)], take(data, idx, decode)
            out = single(evals, params, carry, columns, own)
            sums = {k: jnp.where(idx >= 0, out[k], 0.).sum() for k in MEANS if k in out}
            if penalized:
                means = evals['penalties'](params, carry, columns, out['q'], out['z'],
                                           derive(own[0], PENALTIES))
                sums |= {k: v * (idx >= 0).sum() for k, v in means.items()}
            return sums, {k: out[k] for k in kept}

        sums, all_of = jax.lax.map(one, places)
        sums = {k: v.sum() for k, v in sums.items()}
        all_of = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], all_of)
        if informed:
            log_q = functools.partial(evals['log_q'], params, carry)
            sums['mi'] = batch_information(log_q, all_of['q'], all_of['z']).sum()
        return sums, all_of.get('code')

    def every(params, carry, key, keys, data, places):
        parts = [bucket(params, carry, *own) for own in zip(keys, data, places, strict=True)]
        sums, codes = zip(*parts, strict=True)
        out: dict[str, Any] = {
            k: sum(s[k] for s in sums) / np.float32(total) for k in sums[0]}
        if coded and total > 1:
            active = jnp.concatenate(codes).var(0, ddof=1) >= ACTIVE
            out['au'] = active.sum().astype(np.float32)
        log_length = out.pop('log_length', None)
        if 'nll' in out:
            out['elbo'] = out['nll']
        elif 'rec' in out and 'kl' in out:
            out['elbo'] = out['rec'] + out['kl'] - (0. if log_length is None else log_length)
        return out

    def group(params, carry, key, keys, data, places):
        return over_seeds(every, len(key))(params, carry, key, keys, data, places)

    def inputs(size, key):
        key = jnp.broadcast_to(key, (size,)) if key.ndim == 0 else key
        # a program that models share
        keys = [fold_group(key, i, FIRST)[:, 0] for i in index]
        return key, keys, data, places

    return Validator(group, inputs)
