"""Methods that pull the aggregate posterior, not each posterior, to the prior."""
import jax
import jax.numpy as jnp
import optax

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.losses import adversarial
from vaebench.methods import manifolds, parts, posteriors
from vaebench.methods.autoencoders import autoencoder
from vaebench.ops import density_gap, distributions, divergences

# Rates: (terms, batch, ctx, key) -> (nats [], aux).

def gap_rate(log_q, log_p, sample, chunk=None, draws=32):
    """Density gap between the aggregate of a chunk of the batch and the prior: see `ops.density_gap`.

    Args:
      log_q: (q with leaves [b, ...], z [Z]) -> [b] for the joint gap, [b, Z] for the sum of the marginals' gaps.
      log_p: (z [..., Z]) -> [...] or [..., Z], nats.
      sample: (q, key) -> [B, Z].
      chunk: slots of the batch that are aggregated; all where that does not divide the batch, or None.
      draws: M draws of every posterior, none of which the decoder sees.

    Returns:
      A rate; aux 'gap'.
    """
    def rate(terms, batch, ctx, key):
        z = jax.vmap(lambda k: sample(terms.q, k), out_axes=1)(jax.random.split(key, draws))
        values = density_gap.density_gap(terms.q, z, log_q, log_p, batch['weight'], chunk)
        value = mean(values, batch)
        return value, {'gap': value}

    return rate


KERNELS = {'imq': lambda size: parts.mmd_rate(size, 2.), 'rbf': parts.mmd_rbf_rate}
"""Discrepancies of the text paper's code."""


def dg_vae(kit, plan, *, chunk=32, draws=32, joint=False):
    """VAE whose KL is replaced by the density gap between the aggregate posterior and N(0, I).

    hp: those of `vae`. Aux 'kl' stays the mean KL, which the method lets grow; 'gap' is what is trained on. Parameters
    are chosen by validation rec: the bound would choose the first ones (the released code: rec + gap). Means over
    chunks are over their members: a chunk with empty slots counts less.

    Args:
      kit: the networks.
      plan: the protocol.
      chunk: |b|, sentences whose posteriors are aggregated; 1 is the VAE with a Monte Carlo KL. Where it does not
        divide the batch, the entire batch.
      draws: M draws per sentence.
      joint: compare densities of entire codes; by default the sum over dimensions of their marginals.

    Returns:
      A `Method`.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization", 2022.
    """
    log_q = distributions.normal_log_prob if joint else distributions.normal_log_prob_dims
    posterior = posteriors.gaussian(kit)
    rate = gap_rate(lambda q, z: log_q(z, **q), lambda z: log_q(z, 0., 0.),
                    lambda q, key: posterior.sample({}, q, key), chunk, draws)
    return autoencoder(kit, plan, posterior, rate, parts.scheduled(plan), select='rec')


def dg_vmf(kit, plan, *, chunk=32, draws=32, kappa=13.):
    """`dg_vae` on the sphere: von Mises-Fisher posteriors, the uniform prior, densities of entire codes.

    hp: those of `vae`.

    Args:
      kit: the networks.
      plan: the protocol.
      chunk: sentences whose posteriors are aggregated.
      draws: M draws per sentence.
      kappa: concentration.

    Returns:
      A `Method`.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization", 2022.
    """
    posterior, prior = manifolds.vmf(kit, kappa), manifolds.uniform_sphere(kit.latent)
    rate = gap_rate(lambda q, z: posterior.log_q({}, q, z), lambda z: prior.log_prob({}, z),
                    lambda q, key: posterior.sample({}, q, key), chunk, draws)
    return autoencoder(kit, plan, posterior, rate, parts.scheduled(plan), prior=prior)


def wae_s(kit, plan, *, kernel='imq', select='rec'):
    """Wasserstein autoencoder with a stochastic code, whose variance a further KL keeps from vanishing.

    hp: those of `vae`, where beta is the paper's lambda_WAE; `kl_weight`, its lambda_KL, of KL(N(mu, s^2) ||
    N(mu, I)) in nats. rec is a sum over tokens: both grow by the sentence length (about 10.6) against the paper.

    Args:
      kit: the networks.
      plan: the protocol.
      kernel: 'imq', summed over widths, or 'rbf', with the median's width.
      select: validation quantity that chooses the parameters.

    Returns:
      A `Method`; aux 'spread' is the further KL, 'kl' that from the prior, which is not trained on.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation", 2019,
      arXiv:1806.08462.
    """
    def apply(params, terms, batch, ctx):
        log_var = terms.q['log_var']
        spread = mean(divergences.normal_kl(jnp.zeros_like(log_var), log_var), batch)
        return ctx.hp['kl_weight'] * spread, {'spread': spread}

    return autoencoder(kit, plan, posteriors.gaussian(kit), KERNELS[kernel](kit.latent), parts.scheduled(plan),
                       extra=parts.Extra((), lambda key: {}, apply), select=select)


def wae_gan(kit, plan, *, stochastic=True, hidden=(512,), select='rec', d_first=True, p_trick=False):
    """Wasserstein autoencoder whose aggregate posterior a critic compares with N(0, I).

    hp: those of `vae`, where beta is the paper's lambda; `critic_lr`, of the critic's Adam (0.5, 0.999), which no
    decay touches. The critic's loss is not multiplied by lambda: under Adam that changes nothing. Both players see
    the same codes.

    Args:
      kit: the networks; `mlp` makes the critic.
      plan: the protocol, which the encoder and the decoder follow.
      stochastic: whether the code is drawn from a Gaussian posterior, or a function of the input.
      hidden: widths of the critic.
      select: validation quantity that chooses the parameters.
      d_first: whether the critic moves first in a step, as in the paper, or last, as in its code.
      p_trick: whether the critic's logit has log p(z) added, the part of the best critic that is known.

    Returns:
      A `Method` of two players; without `stochastic` it has no density of codes, hence no KL.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
      Shen et al., "Educating Text Autoencoders: Latent Representation Guidance via Denoising", 2020,
      arXiv:1905.12777.
    """
    model = parts.model(kit, (posteriors.gaussian if stochastic else posteriors.delta)(kit))
    weight, net = parts.scheduled(plan), kit.mlp((kit.latent, *hidden, 1))
    start = parts.starter(model, weight)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {**params, 'critic': net.init(derive(key, 1))}, carry

    def score(params, z):
        logit = net.apply(params['critic'], z)[..., 0]
        return logit + distributions.normal_log_prob(z) if p_trick else logit

    def critic(params, carry, batch, ctx):
        z = jax.lax.stop_gradient(model.draw(params, carry['posterior'], batch, derive(ctx.step_key, 0), ctx.hp)[1])
        prior = jax.random.normal(ctx.key, z.shape, z.dtype)
        return mean(adversarial.critic_loss(score(params, prior), score(params, z)), batch), (carry, {})

    def vae(params, carry, batch, ctx):
        def rate(terms, batch, ctx, key):
            value = mean(adversarial.generator_loss(score(params, terms.z)), batch)
            return value, {'fool': value}

        return parts.objective(model, rate, weight)(params, carry, batch, ctx._replace(key=ctx.step_key))

    players = (Player('critic', critic, ('critic',), lambda hp: optax.adam(hp['critic_lr'], b1=.5)),
               Player('vae', vae, model.parts, plan.tx))
    players = players if d_first else players[::-1]
    return Method(init, (Phase('main', players, plan.steps, select=select),), model.evals)
