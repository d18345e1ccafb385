"""What the code knows of the data: mutual information, active and consistent units."""
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from vaebench.metrics.draws import DUAL, alone, slots
from vaebench.metrics.evaluator import Evaluator, each
from vaebench.metrics.summary import average, warnings
from vaebench.metrics.types import NONNEGATIVE, Estimator, Metric, Value
from vaebench.ops.distributions import normal_log_prob, normal_log_prob_dims

# posterior-point pairs in memory at once, per seed, for codes of WIDTH numbers
PAIRS = 2**16
WIDTH = 32
BATCH = 32             # sentences of `mi_32`
ACTIVE = 0.01          # least variance of an active unit
CONSISTENT = 0.03      # nats: a consistent unit's aggregate is nearer to N(0, 1) than this
REACH = 8.             # the quadrature's interval is [-REACH, REACH]


def _pairs(f, q, z):
    """f of every code with every posterior: q [N, ...], z [M, ...] -> [M, N, ...]."""
    return jax.vmap(lambda z: jax.vmap(lambda q: f(alone(q), alone(z))[0])(q))(z)


def aggregate(f: Callable[[Any, Any], jax.Array], q: Any, points: Any,
              block: int = 1024) -> jax.Array:
    """Computes the log density of the aggregate posterior, ln (1/N) sum_n exp f(q_n, point);
    couples the batch.

    Args:
      f: (q with leaves [1, ...], point with leaves [1, ...]) -> [1, ...] nats.
      q: leaves [N, ...].
      points: [M, Z] or leaves [M, ...].
      block: posteriors at once: bounds the memory.

    Returns:
      [M, ...] nats.

    >>> f = lambda q, z: -0.5 * ((z - q)**2).sum(-1)
    >>> aggregate(f, jnp.zeros((3, 2)), jnp.ones((1, 2))).round(4).tolist()
    [-1.0]
    """
    leaves = jax.tree.leaves(points)
    n, m, width = len(jax.tree.leaves(q)[0]), len(leaves[0]), sum(x[0].size for x in leaves)
    cols = slots(n, min(block, n))
    most = PAIRS * WIDTH // (cols.shape[1] * max(width, WIDTH))
    rows = slots(m, min(m, max(1, most)))
    q = jax.tree.map(lambda x: x[np.maximum(cols, 0)], q)

    def row(z):
        def column(c):
            q, filled = c
            v = _pairs(f, q, z)
            filled = filled.reshape(-1, *[1] * (v.ndim - 2))
            return logsumexp(jnp.where(filled, v, -jnp.inf), axis=1)

        return logsumexp(jax.lax.map(column, (q, cols >= 0)), axis=0) - np.log(n)

    out = jax.lax.map(row, jax.tree.map(lambda x: x[np.maximum(rows, 0)], points))
    return out.reshape(-1, *out.shape[2:])[:m]


def batch_information(log_q: Callable[[Any, Any], jax.Array], q: Any, z: Any) -> jax.Array:
    """Computes the terms of the mutual information inside consecutive batches of 32; couples
    the batch.

    Args:
      log_q: (q leaves [B, ...], z leaves [B, ...]) -> [B] nats.
      q: leaves [N, ...].
      z: leaves [N, ...], one draw of each.

    Returns:
      [N] ln q(z_i|x_i) - ln mean_m q(z_i|x_m), own index included; their mean is at most ln 32.

    References:
      He et al., "Lagging Inference Networks and Posterior Collapse in Variational
      Autoencoders", 2019.
    """
    n = len(jax.tree.leaves(z)[0])
    idx = slots(n, min(BATCH, n))

    def one(c):
        (q, z), filled = c
        pair = jnp.where(filled, _pairs(log_q, q, z), -jnp.inf)
        return jnp.diagonal(pair) - logsumexp(pair, axis=1) + jnp.log(filled.sum())

    terms = jax.lax.map(one, (jax.tree.map(lambda x: x[np.maximum(idx, 0)], (q, z)), idx >= 0))
    return terms.reshape(-1)[:n]


def _information(evals, block, params, carry, key, own):
    q, z = own
    log_q = functools.partial(evals['log_q'], params, carry)
    return log_q(q, z) - aggregate(log_q, q, z, block)


def _batch_information(evals, params, carry, key, own):
    return batch_information(functools.partial(evals['log_q'], params, carry), *own)


def _density(evals, block, params, carry, key, q, z):
    return aggregate(functools.partial(evals['log_q_dims'], params, carry), q, z, block)


def _gap(evals, block, params, carry, key, own):
    q, z = own
    log_q = aggregate(functools.partial(evals['log_q_dims'], params, carry), q, z, block)
    return (log_q + 0.5 * z**2).mean(0) + 0.5 * np.log(2 * np.pi)


def mi_full(view: Evaluator) -> Value | None:
    """Measures the mutual information of sentence and code under q, aggregate over the whole
    split. Of a conditional model it is that of the sentence and what is told, together, and the
    code: a learned prior lets codes tell of the context at no KL, so that it may be above the
    KL. Active units are the same.

    Differs from the papers' scripts: ln q(z|x) at the same draw in place of its closed-form
    mean, so identical posteriors give exactly 0.

    References:
      Hoffman and Johnson, "ELBO surgery: yet another way to carve up the variational evidence
      lower bound", 2016.
    """
    x = jax.device_get(view.jit(_information, view.settings.block)((view.states, view.draws)))
    return average(x, Estimator(
        f'aggregate of all N={view.n}, own index included, 1 sample, '
        f'cap ln N = {np.log(view.n):.2f}', 'aggregate'), 1)


def mi_32(view: Evaluator) -> Value | None:
    """Measures the mutual information inside batches of 32 examples of one bucket,
    size-weighted: never mix with `mi_full`.

    Differs from He et al.'s, whose batches hold sentences of one length: those of a bucket
    differ in length, and codes that tell it have more.
    """
    terms, place, start, parts = view.jit(_batch_information), np.argsort(view.order), 0, []
    for index in view.index:
        at = place[start:start + len(index)]
        own = jax.tree.map(lambda x, at=at: x[:, at], (view.states, view.draws))
        parts.append(jax.device_get(terms(own)))
        start += len(index)
    return average(np.concatenate(parts, 1), Estimator(
        f'batches of {BATCH} of one bucket, 1 sample, cap ln {BATCH} = {np.log(BATCH):.2f}',
        f'batches-{BATCH}'), 1)


def mi_dual(view: Evaluator) -> Value | None:
    """Reports the mutual information as the method's own critics estimate it: without a cap,
    never mix with the others.

    References:
      Fang et al., "Implicit Deep Latent Variable Models for Text Generation", 2019,
      arXiv:1908.11527.
    """
    return average(view.once(each, 'dual_mi', tag=DUAL), Estimator(
        "dual estimate by the method's own critics, no cap", 'critics'))


def au(view: Evaluator) -> Value | None:
    """Counts active units: variance over the split of the posterior mean at least 0.01.

    References:
      Burda et al., "Importance Weighted Autoencoders", 2016.
    """
    codes = np.asarray(view.codes, np.float64)
    active = (codes.var(1, ddof=1) >= ACTIVE).sum(-1) if view.n > 1 else np.zeros(view.seeds)
    estimator = Estimator(f'unbiased variance of posterior means >= {ACTIVE}',
                          f'variance-{ACTIVE}')
    return Value(np.asarray(active, np.float64), estimator, view.n,
                 warning=warnings(codes.reshape(view.seeds, -1)))


def _kl_dims(evals, params, carry, key, own):
    q, z = own
    log_p = normal_log_prob_dims(z, 0., 0.)
    return (evals['log_q_dims'](params, carry, q, z) - log_p).mean(0)


def rate_of_dimensions(view: Evaluator) -> tuple[str, np.ndarray]:
    """Finds what orders dimensions.

    Returns:
      ('kl', [G, Z] nats from N(0, 1), mean over examples at one draw), or, where that is not
      known, ('variance', [G, Z] of codes).
    """
    known = {'kl', 'log_q_dims', 'posterior', 'sample_q'} <= set(view.evals)
    if not known or not view.vectors or not _from_standard(view):
        return 'variance', view.codes.var(1)
    return 'kl', view.cached('rate', lambda: jax.device_get(
        view.jit(_kl_dims)((view.states, view.draws))))


def _from_standard(view):
    """Whether the prior is N(0, I), as far as the draws tell."""
    log_p = view.terms.get('log_prior')
    return log_p is None or np.allclose(
        log_p, normal_log_prob(view.draws), rtol=1e-3, atol=1e-3, equal_nan=True)


def _consistent(view, divergence, estimator, samples=None):
    near = np.asarray((divergence < CONSISTENT).sum(-1), np.float64)
    return Value(near, estimator, view.n, samples, warning=warnings(divergence))


def prior_to_aggregate(view: Evaluator) -> np.ndarray:
    """Computes KL(N(0, 1) || aggregate posterior) of every unit, [G, Z] nats, by the trapezoid
    rule.
    """
    t = np.linspace(-REACH, REACH, view.settings.points)
    p = np.exp(-t**2 / 2)
    p /= p.sum()
    z = np.float32(np.repeat(t[:, None], view.draws.shape[-1], 1))

    density = view.jit(_density, view.settings.block)
    log_q = np.asarray(jax.device_get(density(view.states, z)), np.float64)
    log_p = -0.5 * t**2 - 0.5 * np.log(2 * np.pi)
    return np.einsum('p,gpz->gz', p, log_p[:, None] - log_q)


def aggregate_to_prior(view: Evaluator) -> np.ndarray:
    """Computes KL(aggregate posterior || N(0, 1)) of every unit, [G, Z] nats, at one draw per
    example, own index included.
    """
    gap = view.jit(_gap, view.settings.block)((view.states, view.draws))
    return np.asarray(jax.device_get(gap), np.float64)


def cu(view: Evaluator) -> Value | None:
    """Counts consistent units: the aggregate posterior of the unit is near N(0, 1), KL(p || q)
    < 0.03 nats.

    Differs from the authors' code: KL(p || q), the direction of their code rather than of their
    text, but by quadrature in place of 128 000 draws from the prior: the unit's density is
    one-dimensional. Undefined where codes are no vectors: a conditional model's hold what it is
    told.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization",
      2022.
    """
    if not view.vectors:
        return None
    points = view.settings.points
    return _consistent(view, prior_to_aggregate(view), Estimator(
        f'KL(N(0,1) || aggregate) < {CONSISTENT}, quadrature with {points} points',
        f'kl-prior-aggregate-{CONSISTENT}:points-{points}'))


def cu_qp(view: Evaluator) -> Value | None:
    """Counts consistent units by the other direction, KL(q || p) < 0.03 nats."""
    if not view.vectors:
        return None
    return _consistent(view, aggregate_to_prior(view), Estimator(
        f'KL(aggregate || N(0,1)) < {CONSISTENT}, 1 sample per example',
        f'kl-aggregate-prior-{CONSISTENT}'), 1)


_PAIR = (('posterior', 'sample_q', 'log_q'),)
_DIMS = (('posterior', 'sample_q', 'log_q_dims'),)

METRICS = {
    'mi_full': Metric(mi_full, _PAIR, 'nats/{item}', None, bounds=NONNEGATIVE),
    'mi_32': Metric(mi_32, _PAIR, 'nats/{item}', None, bounds=NONNEGATIVE),
    'mi_dual': Metric(mi_dual, (('dual_mi',),), 'nats/{item}', None, bounds=NONNEGATIVE),
    'au': Metric(au, (('encode',),), 'units', None, bounds=NONNEGATIVE),
    'cu': Metric(cu, _DIMS, 'units', None, bounds=NONNEGATIVE),
    'cu_qp': Metric(cu_qp, _DIMS, 'units', None, bounds=NONNEGATIVE),
}
