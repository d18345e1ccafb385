"""Rows without latents."""
import jax.numpy as jnp

from vaebench.core import Method, Phase, Player, mean


def language_model(kit, plan):
    """The decoder alone, with no latent: an exact likelihood.

    Args:
      kit: `decoder(latent=0)` is used.
      plan: the protocol.

    Returns:
      A `Method` that offers 'score' and 'sample'.

    References:
      Bowman et al., "Generating Sentences from a Continuous Space", 2016, arXiv:1511.06349 (its baseline).
    """
    dec = kit.decoder(latent=0)

    def loss(params, carry, batch, ctx):
        rec = -mean(dec.log_prob(params['dec'], None, batch, ctx.key), batch)
        return rec, (carry, {'rec': rec})

    evals = {
        'score': lambda params, carry, batch: dec.log_prob(params['dec'], None, batch),
        'sample': lambda params, carry, key, n, mode: dec.generate(params['dec'], jnp.zeros((n, 0)), key, mode),
    }
    player = Player('lm', loss, ('dec',), plan.tx)
    return Method(lambda key, data: ({'dec': dec.init(key)}, {}), (Phase('main', (player,), plan.steps),), evals)


def source(kit, plan):
    """The process that made a synthetic corpus: its exact log probability, and nothing to train.

    Args:
      kit: unused.
      plan: unused.

    Returns:
      A `Method` without phases; batches must hold 'log_p' [B].
    """
    return Method(lambda key, data: ({}, {}), (), {'score': lambda params, carry, batch: batch['log_p']})
