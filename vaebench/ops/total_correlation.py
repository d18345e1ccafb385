"""Estimates of the parts of a mean KL: information, total correlation, dimension-wise KL."""
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


def _mws(filled, own, n, examples):
    return jnp.where(filled, 1 / (examples * n), 0.)[None]


def _mss(filled, own, n, examples):
    others = jnp.maximum(n - 1, 1)
    rank = jnp.cumsum(filled) - 1
    following = filled & (rank == (rank[:, None] + 1) % n.astype(int))
    far = jnp.where(following, (examples - others) / (examples * others), 1 / others)
    return jnp.where(own, 1 / examples, jnp.where(filled, far, 0.))


def _sym(filled, own, n, examples):
    other = (examples - 1) / (examples * jnp.maximum(n - 1, 1))
    return jnp.where(own, 1 / examples, jnp.where(filled, other, 0.))


def _full(filled, own, n, examples):
    return jnp.where(filled, 1 / n, 0.)[None]


KINDS: dict[str, Callable[..., jax.Array]] = {
    'mws': _mws, 'mss': _mss, 'sym': _sym, 'full': _full}
"""Estimator of the aggregate posterior by name -> (filled, own slot, n, N) -> weights."""


def log_weights(kind: str, weight: jax.Array, examples: int) -> jax.Array:
    """Computes the logarithms of the weights that q(z|x_j) has in an estimate of q(z_i).

    q(z) is the mean of q(z|x) over N examples, of which a batch holds n. z_i is drawn from the
    posterior of slot i, which is therefore no fair draw of the N.

      mws: minibatch weighted sampling: 1 / (N n) everywhere. It is biased, and its rows sum to
        1 / N: for a factorized aggregate of d dimensions it makes the total correlation about
        (d - 1) log N. Good for gradients, not to be reported.
      mss: minibatch stratified sampling: with M = n - 1 others, 1 / N for the own slot,
        (N - M) / (N M) for the slot that follows it, 1 / M for the rest.
      sym: the mean of mss over the orders of the batch: 1 / N for the own slot,
        (N - 1) / (N M) for the others.
      full: 1 / n: all examples are there, each in a slot.

    Of mss and sym rows sum to 1, and q(z) is unbiased (its logarithm is not) for batches
    without repetition. Public codes of mss fill two columns, not the diagonal and what follows
    it: one of their rows sums to more than 1, and their estimate is biased.

    Args:
      kind: key of `KINDS`.
      weight: [B], 0 for an empty slot, which has weight 0. Weights that are all zero count as
        all one.
      examples: N; it counts as n where the batch is larger.

    Returns:
      [B, B], or [1, B] where all rows are alike; -inf for an empty slot.

    References:
      Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
      arXiv:1802.04942 (mws, mss).

    >>> jnp.exp(log_weights('mss', jnp.ones(3), 4)).tolist()[0]
    [0.25, 0.25, 0.5]
    """
    chex.assert_rank(weight, 1)
    chex.assert_type(weight, float)
    filled = (weight > 0) | (weight.sum() == 0)
    n = filled.sum().astype(weight.dtype)
    own = jnp.eye(len(weight), dtype=bool) & filled
    return jnp.log(KINDS[kind](filled, own, n, jnp.maximum(n, examples)))


class Parts(NamedTuple):
    """What log q(z|x) - log p(z) is the sum of: mi + tc + dw, nats."""
    mi: jax.Array          # [B] log q(z|x) - log q(z): its mean is the information of z and x
    tc: jax.Array          # [B] log q(z) - sum_l log q(z_l): the total correlation
    dw_dims: jax.Array     # [B, D] log q(z_l) - log p(z_l): the KL of every dimension

    @property
    def dw(self) -> jax.Array:
        """[B] the KLs of all dimensions together."""
        return self.dw_dims.sum(-1)


def decompose(log_q: jax.Array, own: jax.Array, log_weights: jax.Array,
              log_prior: jax.Array) -> Parts:
    """Splits log q(z|x) - log p(z) by an estimate of the aggregate posterior.

    The parts add up exactly, whatever the weights; only their means over draws and examples are
    what they are called.

    Args:
      log_q: [B, M, D], log q(z_i^l | x_j) of draw i, component j and dimension l, nats.
      own: [B, D], log q(z_i^l | x_i), x_i being what z_i was drawn for.
      log_weights: [B, M] or [1, M], of the components: see `log_weights`.
      log_prior: [B, D], log p(z_i^l).

    Returns:
      `Parts`, nats.

    References:
      Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
      arXiv:1802.04942.

    >>> zeros = jnp.zeros((1, 2))
    >>> parts = decompose(zeros[None], zeros - 1, jnp.zeros((1, 1)), zeros - 3)
    >>> parts.mi.tolist(), parts.tc.tolist(), parts.dw_dims.tolist()
    ([-2.0], [0.0], [[3.0, 3.0]])
    """
    chex.assert_rank([log_q, log_weights], [3, 2])
    chex.assert_shape([own, log_prior], (log_q.shape[0], log_q.shape[2]))
    chex.assert_is_broadcastable(log_weights.shape, log_q.shape[:2])
    chex.assert_type([log_q, own, log_weights, log_prior], float)
    joint = jax.nn.logsumexp(log_weights + log_q.sum(-1), 1)
    marginals = jax.nn.logsumexp(log_weights[..., None] + log_q, 1)
    return Parts(own.sum(-1) - joint, joint - marginals.sum(-1), marginals - log_prior)


def gaussian(covariance: jax.Array) -> jax.Array:
    """Computes the total correlation of a normal law.

    Args:
      covariance: [D, D], positive definite.

    Returns:
      [], nats.

    >>> round(float(gaussian(jnp.array([[1., .9], [.9, 1.]]))), 4)
    0.8304
    """
    chex.assert_shape(covariance, (len(covariance), len(covariance)))
    chex.assert_type(covariance, float)
    return .5 * (jnp.log(jnp.diagonal(covariance)).sum() - jnp.linalg.slogdet(covariance)[1])
