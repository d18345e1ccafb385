"""Terms that keep a function smooth, per example."""
import jax
import jax.numpy as jnp


def gradient_penalty(score, x):
    """Squared distance of a score's input gradient norm from 1, example by example.

    Args:
      score: [B, ...] -> [B].
      x: [B, ...].

    Returns:
      [B].

    References:
      Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv:1704.00028.

    >>> gradient_penalty(lambda x: 3 * x[:, 0], jnp.zeros((2, 4))).tolist()
    [4.0, 4.0]
    """
    grads = jax.vmap(jax.grad(lambda v: score(v[None])[0]))(x)
    # The constant under the root keeps the second derivative finite where the gradient is zero.
    norms = jnp.sqrt((grads.reshape(len(x), -1)**2).sum(-1) + 1e-12)
    return (norms - 1)**2
