"""The parts of the mean KL: information, total correlation and the KL of every dimension; and
the information gap of posteriors with known factors.
"""
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.metrics import factor_scores
from vaebench.metrics.draws import alone, slots
from vaebench.metrics.evaluator import Evaluator
from vaebench.metrics.ground_truth import grid, known, sample_rows
from vaebench.metrics.latent import PAIRS, WIDTH
from vaebench.metrics.summary import average, warnings
from vaebench.metrics.types import NONNEGATIVE, SHARE, UNBOUNDED, Estimator, Metric, Value
from vaebench.ops import total_correlation

BATCH = 256            # examples of one estimate of the aggregate posterior in `sym`
CAPPED = .1            # nats below ln N where information counts as at its cap
PART = {'mi': 'mutual information', 'tc': 'total correlation', 'dw': 'dimension-wise KL'}


def _dims(evals, params, carry, q, z):
    """log q(z_i^l | x_j) [m, n, D] of codes z [m] under posteriors q [n]."""
    one = lambda q, z: evals['log_q_dims'](params, carry, alone(q), alone(z)).reshape(-1)
    return jax.vmap(lambda z: jax.vmap(lambda q: one(q, z))(q))(z)


def _take(tree, at):
    return jax.tree.map(lambda x: x[jnp.maximum(at, 0)], tree)


def _split(evals, params, carry, pairs, own, z, log_weights):
    """`mi`, `tc` and `dw` of codes z [m], each [m]; the prior need not factorize."""
    parts = total_correlation.decompose(pairs, own, log_weights, jnp.zeros_like(own))
    return {'mi': parts.mi, 'tc': parts.tc,
            'dw': parts.dw - evals['log_prior'](params, carry, z)}


def _rows(n, width):
    """How many codes go with n posteriors at once, of so many numbers each."""
    return max(1, min(n, PAIRS * WIDTH // (n * width)))


def _full(evals, params, carry, key, own):
    q, z = own
    leaves = jax.tree.leaves(z)
    n = len(leaves[0])
    weights = total_correlation.log_weights('full', jnp.ones(n), n)

    def block(at):
        some = _take(z, at)
        pairs = _dims(evals, params, carry, q, some)
        mine = jnp.take_along_axis(pairs, jnp.maximum(at, 0)[:, None, None], 1)[:, 0]
        return _split(evals, params, carry, pairs, mine, some, weights)

    at = slots(n, _rows(n, sum(x[0].size for x in leaves)))
    return jax.tree.map(lambda x: x.reshape(-1)[:n], jax.lax.map(block, jnp.asarray(at)))


def _sym(evals, order, params, carry, key, own):
    q, z = own
    n = len(order)

    def block(at):
        some, filled = _take(z, at), (at >= 0).astype(jnp.float32)
        pairs = _dims(evals, params, carry, _take(q, at), some)
        mine = jnp.diagonal(pairs).T
        return _split(evals, params, carry, pairs, mine, some,
                      total_correlation.log_weights('sym', filled, n))

    at = slots(n, min(BATCH, n))
    at = np.where(at < 0, -1, np.asarray(order)[np.maximum(at, 0)])
    return jax.tree.map(lambda x: x.reshape(-1)[:n], jax.lax.map(block, jnp.asarray(at)))


def _shuffled(evals, n, *rest):
    """`_sym` of batches that a fixed order makes, so that none is of neighbors in the split."""
    return _sym(evals, np.random.default_rng(0).permutation(n), *rest)


def _value(view, parts, part, estimator):
    """The mean of a part, with a warning where the total correlation holds what the information
    cannot.
    """
    cap = np.log(view.n)
    at_cap = np.asarray(parts['mi']).mean(1) > cap - CAPPED
    said = f'information is at its cap ln N = {cap:.2f}, the rest is in the total correlation'
    return average(parts[part], estimator, 1,
                   [said if capped and part != 'dw' else None for capped in at_cap])


def full(view: Evaluator, part: str) -> Value | None:
    """Measures a part of the mean KL, the aggregate posterior being that of the whole split.

    At one draw of every example, the part 'mi' (`latent.mi_full`), 'tc' and 'dw' add up to the
    mean of log q(z|x) - log p(z). The first is at most ln N: of narrow posteriors in many
    dimensions the second holds the rest, by far too much where examples are few.

    Args:
      view: the `Evaluator`.
      part: key of `PART`.

    References:
      Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
      arXiv:1802.04942.
    """
    parts = view.cached('full parts', lambda: jax.device_get(
        view.jit(_full)((view.states, view.draws))))
    return _value(view, parts, part, Estimator(
        f'{PART[part]}, aggregate of all N={view.n}, own index included, 1 sample',
        f'{part}-aggregate'))


def sym(view: Evaluator, part: str) -> Value | None:
    """Measures a part of the mean KL from batches of 256 examples, own posterior weighed 1 / N.

    The batches' densities are unbiased, their logarithms are not: where `full` can be had it is
    nearer to the truth.

    Args:
      view: the `Evaluator`.
      part: key of `PART`.
    """
    parts = view.cached('sym parts', lambda: jax.device_get(
        view.jit(_shuffled, view.n)((view.states, view.draws))))
    batch = min(BATCH, view.n)
    return _value(view, parts, part, Estimator(
        f'{PART[part]}, batches of {batch}, own posterior 1/N, others alike, N={view.n}, '
        '1 sample', f'{part}-symmetric-{batch}'))


# ---- information of posteriors with factors --------------------------------------------------

def _told(evals, params, carry, key, own, levels, member):
    """log q(z_l | level of factor k) - log q(z_l) of every code: [n, D, F], nats.

    Args:
      own: (posteriors, one code of each), leaves [n, ...].
      levels: bool [n, K], which level of which factor an example is of.
      member: int [n, F], the column of its own level.
    """
    q, z = own
    leaves = jax.tree.leaves(z)
    n = len(leaves[0])
    ones = levels.astype(jnp.float32)
    ones = jnp.concatenate([ones, jnp.ones((n, 1))], 1)
    log_count = jnp.log(ones.sum(0))

    def block(at):
        pairs = jnp.swapaxes(_dims(evals, params, carry, q, _take(z, at)), 1, 2)  # [m, D, n]
        top = pairs.max(2, keepdims=True)
        density = jnp.log(jnp.exp(pairs - top) @ ones) - log_count
        own = jnp.take_along_axis(density, member[jnp.maximum(at, 0)][:, None], 2)
        return own - density[:, :, -1:]

    at = slots(n, _rows(n, sum(x[0].size for x in leaves)))
    out = jax.lax.map(block, jnp.asarray(at))
    return out.reshape(-1, *out.shape[2:])[:n].mean(0)


def posterior_information(view: Evaluator, q: Any, z: Any, factors: np.ndarray) -> np.ndarray:
    """Computes the mutual information [G, Z, F] of dimensions with factors under q, nats.

    Args:
      view: with the eval 'log_q_dims'.
      q: posteriors of the examples, leaves [G, n, ...].
      z: one draw of each, leaves [G, n, ...].
      factors: int [n, F] of the examples.
    """
    columns = [np.unique(f, return_inverse=True) for f in factors.T]
    starts = np.cumsum([0, *(len(values) for values, _ in columns)])
    member = np.stack([at + start for (_, at), start in zip(columns, starts, strict=False)], 1)
    levels = np.zeros((len(factors), starts[-1]), bool)
    np.put_along_axis(levels, member, True, 1)
    told = view.jit(_told)((q, z), levels, np.int32(member))
    return np.asarray(jax.device_get(told), np.float64)


def mig_q(view: Evaluator) -> Value | None:
    """Measures the information gap of the posteriors themselves, rather than of binned codes.

    H(z_l) - H(z_l | v_k) is estimated at one draw of each example, with the density q(z_l) of
    all the examples and q(z_l | v_k) of those with the same level; the gap of the two best
    dimensions, by the factor's entropy, is averaged over factors. Never mix with `mig`.

    References:
      Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
      arXiv:1802.04942.
    """
    found = known(view, 'sampled')
    if found is None:
        return None
    rows, part = sample_rows(view)[0], found.train
    q = grid(view).posteriors(rows) if found.drawn else jax.tree.map(
        lambda x: x[:, rows], view.states)
    mutual = posterior_information(view, q, np.float32(part.codes), part.factors)
    entropy = factor_scores.entropy(part.factors)
    value = np.array([factor_scores.mig(np.maximum(m, 0), entropy) if np.isfinite(m).all()
                      else np.nan for m in mutual])
    n, how = len(part.factors), 'drawn' if found.drawn else 'rows'
    size = len(found.names)
    said = {'drawn': 'combinations drawn uniformly', 'rows': 'rows of the split'}[how]
    return Value(value, Estimator(
        f'gap of mutual information / entropy, densities q(z|x) of N={n}, {size} factors, '
        f'{said}', f'mig-densities:factors-{size}-{how}'), n, 1, None,
        warnings(value[:, None]))


_DIMS = (('posterior', 'sample_q', 'log_q_dims', 'log_prior'),)


def _metric(f, part):
    bounds = UNBOUNDED if f is sym else NONNEGATIVE
    return Metric(functools.partial(f, part=part), _DIMS, 'nats/{item}', None, bounds=bounds)


METRICS = {
    'tc_full': _metric(full, 'tc'), 'dw_full': _metric(full, 'dw'),
    **{f'{part}_sym': _metric(sym, part) for part in PART},
    'mig_q': Metric(mig_q, (('posterior', 'sample_q', 'log_q_dims'),), 'MIG', 'higher',
                    ('factors',), SHARE),
}
