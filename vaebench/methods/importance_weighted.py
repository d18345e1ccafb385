"""Autoencoders trained on the bound that importance sampling gives."""
import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Recipe, mean
from vaebench.methods import models, posteriors, priors


def iwae(kit: Kit, recipe: Recipe, *, draws: int = 50) -> Method:
    """IWAE: the importance-weighted bound in place of the ELBO.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      draws: N, of q for every example, in training and in what validation chooses by.

    Returns:
      A `Method`.

    Equation:
      maximize log (1/N) sum_i w_i, over N draws z_i of q
      log w_i = log p(x|z_i) - beta_t [log q(z_i|x) - log p(z_i)], p = N(0, I)

    Deviations:
      Networks are the table's, without the paper's tanh. Parameters are chosen by the bound on
      validation data; the paper takes the last.

    References:
      Burda et al., "Importance Weighted Autoencoders", 2016, arXiv:1509.00519.
    """
    method = priors.two_bounds(kit, recipe, posteriors.gaussian(kit),
                               models.standard_normal(kit.latent), draws=draws, scale=1.,
                               elbo=False)
    evals, (phase,) = method.evals, method.phases

    def bound(params, carry, batch, q, z, key):
        def log_weight(key):
            z = evals['sample_q'](params, carry, q, key)
            log_q = evals['log_q'](params, carry, q, z)
            return (evals['log_lik'](params, carry, z, batch)
                    + evals['log_prior'](params, carry, z) - log_q)

        log_w = jax.vmap(log_weight)(jax.random.split(key, draws))           # [N, B]
        return {'iw': -mean(jax.nn.logsumexp(log_w, 0) - jnp.log(draws), batch)}

    return method._replace(phases=(phase._replace(select='iw'),),
                           evals={**evals, 'penalties': bound})
