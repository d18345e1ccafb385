"""Methods that pull the aggregate posterior, not each posterior, to the prior."""
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Criterion, Kit, Method, Phase, Player, Recipe, couples, derive, mean
from vaebench.losses import adversarial
from vaebench.methods import geometry, models, objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.methods.models import Regularizer
from vaebench.ops import density_gap, distributions, divergences


def gap_regularizer(log_q: Callable[..., jax.Array], log_p: Callable[[jax.Array], jax.Array],
                    sample: Callable[..., jax.Array], chunk: int | None = None,
                    draws: int = 32) -> Regularizer:
    """Density gap between the aggregate of a chunk of the batch and the prior: see
    `ops.density_gap`.

    Args:
      log_q: (q with leaves [b, ...], z [Z]) -> [b] for the joint gap, [b, Z] for the sum of the
        marginals' gaps.
      log_p: (z [..., Z]) -> [...] or [..., Z], nats.
      sample: (q, key) -> [B, Z].
      chunk: slots of the batch that are aggregated; all where that does not divide the batch,
        or None.
      draws: M draws of every posterior, none of which the decoder sees.

    Returns:
      A regularizer; aux 'gap'.
    """
    def regularizer(params, terms, batch, ctx, key):
        z = jax.vmap(lambda k: sample(terms.q, k), out_axes=1)(jax.random.split(key, draws))
        values = density_gap.density_gap(terms.q, z, log_q, log_p, batch['weight'], chunk)
        value = mean(values, batch)
        return value, {'gap': value}

    return couples(regularizer)


KERNELS = {'imq': lambda size: regularizers.mmd(size, 2.), 'rbf': regularizers.mmd_rbf}
"""Discrepancies of the text paper's code."""


def dg_vae(kit: Kit, recipe: Recipe, *, chunk: int | None = 32, draws: int = 32,
           joint: bool = False) -> Method:
    """VAE whose KL is replaced by the density gap between the aggregate posterior and N(0, I).

    Aux 'kl' stays the mean KL, which the method lets grow; 'gap' is what is trained on, and
    what parameters are chosen by.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      chunk: |b|, sentences whose posteriors are aggregated; 1 is the VAE with a Monte Carlo KL.
        Where it does not divide the batch, the entire batch.
      draws: M draws per sentence.
      joint: compare densities of entire codes; by default the sum over dimensions of their
        marginals.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t G
      G = mean over chunks b of sum_j E_{q_b}[log q_b(z_j) - log N(z_j; 0, 1)]
      q_b(z) = (1 / |b|) sum_{i in b} q(z|x_i)
      joint: densities of entire codes instead of the sum over j

    Deviations:
      Densities are averaged as logarithms; the released code averages before it takes the
      logarithm, which underflows. Means over chunks are over their members: a chunk with empty
      slots counts less.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization",
      2022, arXiv:2211.00321.
    """
    log_q = distributions.normal_log_prob if joint else distributions.normal_log_prob_dims
    posterior = posteriors.gaussian(kit)
    gap = gap_regularizer(lambda q, z: log_q(z, **q), lambda z: log_q(z, 0., 0.),
                          lambda q, key: posterior.sample({}, q, key), chunk, draws)
    return _with_gap(gap, kit, recipe, posterior)


def _with_gap(gap: Regularizer, kit: Kit, recipe: Recipe, posterior: posteriors.Posterior,
              **of_model: Any) -> Method:
    """The method that trains on a gap, and is chosen by it."""
    method = autoencoder(kit, recipe, posterior, gap, objectives.scheduled_weight(recipe),
                         select=objectives.weighted('gap'), **of_model)
    return method._replace(evals={**method.evals, **objectives.penalties(gap)})


def dg_vmf(kit: Kit, recipe: Recipe, *, chunk: int | None = 32, draws: int = 32,
           kappa: float = 13.) -> Method:
    """`dg_vae` on the sphere: von Mises-Fisher posteriors, the uniform prior, densities of
    entire codes.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      chunk: sentences whose posteriors are aggregated.
      draws: M draws per sentence.
      kappa: concentration.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t G, G = mean over chunks b of E_{q_b}[log q_b(z) - log p(z)]
      q_b(z) = (1 / |b|) sum_{i in b} vMF(z; mu(x_i), kappa), p uniform on the sphere

    Deviations:
      Densities are averaged as logarithms; the released code averages before it takes the
      logarithm. A chunk with empty slots counts less.

    References:
      Zhang et al., "Improving Variational Autoencoders with Density Gap-based Regularization",
      2022, arXiv:2211.00321.
    """
    posterior, prior = geometry.vmf(kit, kappa), geometry.uniform_sphere(kit.latent)
    log_q, log_prob = posterior.log_q, prior.log_prob
    assert log_q is not None and log_prob is not None
    gap = gap_regularizer(lambda q, z: log_q({}, q, z), lambda z: log_prob({}, z),
                          lambda q, key: posterior.sample({}, q, key), chunk, draws)
    return _with_gap(gap, kit, recipe, posterior, prior=prior)


def wae_s(kit: Kit, recipe: Recipe, *, kernel: str = 'imq') -> Method:
    """Wasserstein autoencoder with a stochastic code, whose variance a further KL keeps from
    vanishing.

    The paper's lambda_WAE is beta.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, kl_weight.

    Args:
      kit: the networks.
      recipe: the protocol.
      kernel: 'imq', summed over widths, or 'rbf', with the median's width.

    Returns:
      A `Method`; aux 'spread' is the further KL, 'kl' that from the prior, which is not trained
      on.

    Equation:
      minimize rec + lambda_WAE MMD^2(q(z), N(0, I)) + lambda_KL KL(N(mu, s^2) || N(mu, I))
      the last term: (1/2) sum_j (s_j^2 - ln s_j^2 - 1)

    Deviations:
      rec is a sum over words, the paper's a mean: both weights grow by the sentence length
      (about 10.6), so that 32 and 0.106 stand for the paper's 3 and 0.01. The kernel is as wide
      as in the paper's code, twice that of `wae_mmd`. In the tables MMD waits for some epochs,
      then rises: posteriors that start at N(0, I) meet it already, and their codes stay empty
      (synthetic corpus: validation rec 11.7 nats, as without a code, in 8 or 32 epochs, in
      batches of 64 or 256, at rates from 0.001 to 0.01, with PyTorch's bounds or from
      deviations of 0.1); after two epochs of rec alone it is 9.0 to 9.2 at lambda_KL 0.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence
      Generation", 2019, arXiv:1806.08462.
    """
    def spread(params, terms, batch, ctx, key):
        log_var = terms.q['log_var']
        value = mean(divergences.normal_kl(jnp.zeros_like(log_var), log_var), batch)
        return value, {'spread': value}

    def trained_on(hp, valid):
        return (valid['rec'] + hp['beta'] * valid['mmd'] + hp['kl_weight'] * valid['spread'])

    mmd = KERNELS[kernel](kit.latent)
    method = autoencoder(
        kit, recipe, posteriors.gaussian(kit), mmd, objectives.scheduled_weight(recipe),
        extra=objectives.as_auxiliary(spread, lambda hp: hp['kl_weight']),
        select=Criterion('rec + beta mmd + kl_weight spread', trained_on))
    return method._replace(evals={**method.evals, **objectives.penalties(mmd, spread)})


def wae_gan(kit: Kit, recipe: Recipe, *, stochastic: bool = True,
            hidden: Sequence[int] = (512,), d_first: bool = True, p_trick: bool = False,
            corrupt: float = 0., log_var: float = 0.) -> Method:
    """Wasserstein autoencoder whose aggregate posterior a critic compares with N(0, I).

    The critic's Adam (0.5, 0.999) has a learning rate of its own, which no decay touches. The
    paper's lambda is beta.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, critic_lr.

    Args:
      kit: the networks; `mlp` makes the critic.
      recipe: the protocol, which the encoder and the decoder follow.
      stochastic: whether the code is drawn from a Gaussian posterior, or a function of the
        input.
      hidden: widths of the critic.
      d_first: whether the critic moves first in a step, as in the paper, or last, as in its
        code.
      p_trick: whether the critic's logit has log p(z) added, the part of the best critic that
        is known.
      corrupt: see `models.model`.
      log_var: weight of sum_j |ln s_j^2|, s the posterior's standard deviations, which keeps
        stochastic codes noisy.

    Returns:
      A `Method` of two players; without `stochastic` it has no density of codes, hence no KL.

    Equation:
      critic: minimize softplus(-D(z')) + softplus(D(z)), z' ~ N(0, I), z ~ q(z|x)
      encoder and decoder: minimize rec + lambda softplus(-D(z)) [+ log_var sum_j |ln s_j^2|]

    Deviations:
      rec is the decoder's negative log-likelihood in nats, summed over words or pixels, and
      lambda a weight against these nats. The image code multiplies a summed squared distance by
      0.05 and has lambda 10, which is 200 against the distance itself; against nats it is no
      known number, and each table chooses its own on validation data. The critic's loss is not
      multiplied by lambda: under Adam that changes nothing. Both players see the same codes.
      The encoder is stochastic; the image paper's is usually deterministic (stochastic=False).
      In the tables of text the penalty waits for some epochs, for the reason that `wae_s`
      gives. The image code moves the critic last (d_first=False). Parameters are chosen by
      rec + lambda softplus(-D(z)), as in Shen et al.'s code: D is that of the moment.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
      Shen et al., "Educating Text Autoencoders: Latent Representation Guidance via Denoising",
      2020, arXiv:1905.12777.
    """
    model = models.model(kit, (posteriors.gaussian if stochastic else posteriors.delta)(kit),
                         corrupt=corrupt)
    weight, net = objectives.scheduled_weight(recipe), kit.mlp((kit.latent, *hidden, 1))
    start = objectives.starter(model, weight)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {**params, 'critic': net.init(derive(key, 1))}, carry

    def score(params, z):
        logit = net.apply(params['critic'], z)[..., 0]
        return logit + distributions.normal_log_prob(z) if p_trick else logit

    def critic(params, carry, batch, ctx):
        z = jax.lax.stop_gradient(
            model.draw(params, carry['posterior'], batch, derive(ctx.step_key, 0), ctx.hp)[1])
        prior = jax.random.normal(ctx.key, z.shape, z.dtype)
        values = adversarial.critic_loss(score(params, prior), score(params, z))
        return mean(values, batch), (carry, {})

    def fooling(params, terms, batch, ctx, key):
        value = mean(adversarial.generator_loss(score(params, terms.z)), batch)
        return value, {'fool': value}

    def quiet(params, terms, batch, ctx, key):
        value = mean(jnp.abs(terms.q['log_var']).sum(-1), batch)
        return value, {'log_var': value}

    noisy = objectives.as_auxiliary(quiet, lambda hp: log_var) if log_var else None
    vae = objectives.objective(model, fooling, weight, noisy,
                               draws=lambda ctx: derive(ctx.step_key, 0))

    players = (Player('critic', critic, ('critic',),
                      lambda hp: optax.adam(hp['critic_lr'], b1=.5)),
               Player('vae', vae, model.names, recipe.optimizer))
    players = players if d_first else players[::-1]
    phase = Phase('main', players, recipe.steps, select=objectives.weighted('fool'))
    return Method(init, (phase,), {**model.evals, **objectives.penalties(fooling)})
