"""What a training objective makes of a rate."""
import chex
import jax
import jax.numpy as jnp

from vaebench.ops.types import Number


def free_bits(kl: jax.Array, rate: jax.Array, target: Number,
              form: str = 'mask') -> jax.Array:
    """Computes a KL that exerts no pull where the rate is below its target.

    The gradient is that of max(target, rate), whatever the form.

    Args:
      kl: [..., Z] nats of each unit.
      rate: [..., Z] or [Z] what is compared with the target: `kl` itself, or its batch mean.
      target: [] free nats of a unit.
      form: 'mask' counts 0 below the target, as the published code; 'max' counts the target.

    Returns:
      [...], nats.

    References:
      Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016,
      arXiv:1606.04934.
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868.

    >>> kl = jnp.array([.5, 3.])
    >>> float(free_bits(kl, kl, 1.)), float(free_bits(kl, kl, 1., 'max'))
    (3.0, 4.0)
    """
    chex.assert_shape([kl, rate], (..., None))
    chex.assert_is_broadcastable(rate.shape, kl.shape)
    chex.assert_rank(target, 0)
    chex.assert_type([kl, rate, target], float)
    below = {'mask': 0., 'max': target}[form]
    return jnp.where(rate > target, kl, below).sum(-1)
