"""VAEs that keep the dimensions of their codes independent."""
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vaebench.core import (
    Criterion,
    Kit,
    Method,
    Phase,
    Player,
    Recipe,
    coupled,
    couples,
    derive,
    mean,
)
from vaebench.errors import unknown
from vaebench.losses import adversarial, penalties
from vaebench.methods import models, objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder
from vaebench.methods.models import Regularizer
from vaebench.ops import distributions, sampling, total_correlation

SPREADS = {'i': lambda q: 0., 'ii': lambda q: jnp.exp(q['log_var'])}
"""What is added to the variances of the means, by the form of DIP-VAE: q -> [B, Z] or 0."""


def kl_parts(log_q_dims: Callable[..., jax.Array], weights: str, examples: int) -> Regularizer:
    """Adds nothing and shows the parts of the KL from N(0, I), of the codes that the decoder
    sees: see `ops.total_correlation`; couples the batch.

    Args:
      log_q_dims: (params, q, z) -> [B, Z], nats.
      weights: of the batch's posteriors in the aggregate's, 'mws', 'mss' or 'sym'.
      examples: N of the training data.

    Returns:
      A regularizer; aux 'index_mi', 'tc' and 'dw_kl'.
    """
    def regularizer(params, terms, batch, ctx, key):
        log_w = total_correlation.log_weights(weights, batch['weight'], examples)
        parts = total_correlation.decompose(
            jax.vmap(lambda z: log_q_dims(params, terms.q, z))(terms.z),
            log_q_dims(params, terms.q, terms.z), log_w,
            distributions.normal_log_prob_dims(terms.z, 0., 0.))
        return 0., {'index_mi': mean(parts.mi, batch), 'tc': mean(parts.tc, batch),
                    'dw_kl': mean(parts.dw, batch)}

    return couples(regularizer)


def _constrained(kit: Kit, recipe: Recipe, posterior: posteriors.Posterior,
                 shows: Regularizer, weigh: Callable[..., Any], formula: str) -> Method:
    """VAE trained on, and chosen by, rec + kl + weigh(hp, aux of the regularizer `shows`)."""
    def apply(params, terms, batch, ctx):
        shown = shows(params, terms, batch, ctx, derive(ctx.key, 2))[1]
        return weigh(ctx.hp, shown), shown

    def trained_on(hp, valid):
        return valid['rec'] + valid['kl'] + weigh(hp, valid)

    method = autoencoder(
        kit, recipe, posterior, regularizers.kl, objectives.constant_weight(1.),
        extra=objectives.AuxiliaryLoss((), lambda key: {}, couples(apply, coupled(shows))),
        select=Criterion(f'rec + kl + {formula}', trained_on))
    return method._replace(evals={**method.evals, **objectives.penalties(shows)})


def beta_tcvae(kit: Kit, recipe: Recipe, *, weights: str = 'mws') -> Method:
    """VAE whose KL is split in three, each with a weight: information, total correlation and
    the dimensions' own KLs.

    With alpha and gamma 1, as published, only the total correlation weighs otherwise than in
    the VAE. What validation shows of the parts are estimates from a batch, by the weights that
    training uses: 'mws' adds about (Z - 1) log N to the total correlation.

    Hyperparameters:
      alpha, beta, gamma.

    Args:
      kit: the networks.
      recipe: the protocol; its number of examples is N.
      weights: of a batch's posteriors in the estimate of the aggregate: 'mws', 'mss' or 'sym',
        see `ops.total_correlation.log_weights`.

    Returns:
      A `Method`; aux 'index_mi', 'tc' and 'dw_kl' are the parts before their weights.

    Equation:
      minimize rec + KL + (alpha - 1) MI + (beta - 1) TC + (gamma - 1) DW
      MI = E log q(z|x) / q(z), TC = E log q(z) / prod_l q(z_l)
      DW = E sum_l log q(z_l) / p(z_l)
      q(z) = sum_j w_ij q(z|x_j) for a draw of q(z|x_i), over the batch; w = 1 / (N B) is mws
      E KL = MI + TC + DW: in expectation rec + alpha MI + beta TC + gamma DW

    Deviations:
      The KL stands in closed form, as in Locatello et al.'s code, so that beta 1 is the VAE
      exactly; the authors draw all three parts. Their own code has beta 6, batches of 2048 and
      Adam at 1e-3; Locatello et al. beta 1, 2, 4, 6, 8 or 10 and batches of 64. 'mss' is the
      diagonal form, which is unbiased for q(z): the released one is not. Parameters are chosen
      by the objective on batches of validation data, with N of the training data.

    References:
      Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
      arXiv:1802.04942.
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
      Disentangled Representations", 2019, arXiv:1811.12359.
    """
    known = [name for name in total_correlation.KINDS if name != 'full']
    if weights not in known:
        raise unknown('kind of weights', weights, known)
    posterior = posteriors.gaussian(kit)
    log_q_dims = posterior.log_q_dims
    assert log_q_dims is not None

    def weigh(hp, parts):
        return ((hp['alpha'] - 1) * parts['index_mi'] + (hp['beta'] - 1) * parts['tc']
                + (hp['gamma'] - 1) * parts['dw_kl'])

    return _constrained(kit, recipe, posterior, kl_parts(log_q_dims, weights, recipe.examples),
                        weigh, '(alpha - 1) index_mi + (beta - 1) tc + (gamma - 1) dw_kl')


def dip_vae(kit: Kit, recipe: Recipe, *, form: str = 'i') -> Method:
    """VAE whose codes' covariance is pulled to the identity: DIP-VAE-I and DIP-VAE-II.

    Hyperparameters:
      lambda_od, lambda_d.

    Args:
      kit: the networks.
      recipe: the protocol.
      form: 'i' for the covariance of the posteriors' means, 'ii' for that of their draws.

    Returns:
      A `Method`; aux 'off_diagonal' and 'diagonal' are the penalties before their weights.

    Equation:
      minimize rec + KL + lambda_od sum_{k != l} C_kl^2 + lambda_d sum_k (C_kk - 1)^2
      i: C = Cov mu(x), over the batch; ii: C = Cov mu(x) + E diag sigma^2(x)

    Deviations:
      The covariance is the batch's, divided by its size. Locatello et al. have lambda_od 1, 2,
      5, 10, 20 or 50, lambda_d ten times that of DIP-VAE-I and equal to it of DIP-VAE-II, in
      batches of 64. Parameters are chosen by the objective on batches of validation data.

    References:
      Kumar et al., "Variational Inference of Disentangled Latent Concepts from Unlabeled
      Observations", 2018, arXiv:1711.00848.
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
      Disentangled Representations", 2019, arXiv:1811.12359.
    """
    if form not in SPREADS:
        raise unknown('form of DIP-VAE', form, SPREADS)

    @couples
    def moments(params, terms, batch, ctx, key):
        found = penalties.covariance_moments(terms.q['mean'], SPREADS[form](terms.q),
                                             batch['weight'])
        return 0., found._asdict()

    def weigh(hp, shown):
        return hp['lambda_od'] * shown['off_diagonal'] + hp['lambda_d'] * shown['diagonal']

    return _constrained(kit, recipe, posteriors.gaussian(kit), moments, weigh,
                        'lambda_od off_diagonal + lambda_d diagonal')


def factor_vae(kit: Kit, recipe: Recipe, *, hidden: Sequence[int] = (1000,) * 6) -> Method:
    """VAE with a penalty on the total correlation of its codes, as a critic estimates it.

    The critic D tells codes from codes whose dimensions are shuffled over a batch, each by
    itself; where it is the best critic its logit is log q(z) / prod_l q(z_l). Its Adam (0.5,
    0.9) has a learning rate of its own, which no decay touches.

    Hyperparameters:
      gamma, critic_lr.

    Args:
      kit: the networks; `mlp` makes the critic.
      recipe: the protocol, which the encoder and the decoder follow.
      hidden: widths of the critic.

    Returns:
      A `Method` of two players, 'vae' and 'critic'; aux 'tc' is the critic's estimate.

    Equation:
      vae: minimize rec + KL + gamma E D(z), z ~ q(z|x), D fixed
      critic: minimize (softplus(-D(z)) + softplus(D(z~))) / 2
      z~: codes of a second batch, every dimension in an order of its own

    Deviations:
      The authors' two logits, softmax of joint and permuted, are one here, their difference.
      The critic moves second in a step and sees codes that are drawn anew from the encoder that
      has moved; in the paper it sees those that the encoder was trained on. The second batch is
      drawn independently, as in the paper; Locatello et al. permute the same one. Both have six
      layers of 1000 in the critic and its rate at 1e-4, Locatello et al. gamma 10, 20, 30, 40,
      50 or 100 and batches of 64. Nothing chooses among the parameters: the last count, as in
      the papers. The critic's estimate is a bound that moves with it: on digits (six
      dimensions, three layers of 256) it stayed within 0.03 of 0 while that of all training
      data was 0.1 to 0.2, and between epochs its noise times a gamma of 35 was more than all
      that the reconstruction gained.

    References:
      Kim and Mnih, "Disentangling by Factorising", 2018, arXiv:1802.05983.
      Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
      Disentangled Representations", 2019, arXiv:1811.12359.
    """
    model, weight = models.model(kit, posteriors.gaussian(kit)), objectives.constant_weight(1.)
    net = kit.mlp((kit.latent, *hidden, 1), activation='leaky_relu')
    start = objectives.starter(model, weight)

    def init(key, data):
        params, carry = start(derive(key, 0), data)
        return {**params, 'critic': net.init(derive(key, 1))}, carry

    def score(params, z):
        return net.apply(params['critic'], z)[..., 0]

    def correlation(params, terms, batch, ctx, key):
        value = mean(score(params, terms.z), batch)
        return value, {'tc': value}

    @couples
    def tell_apart(params, carry, batch, ctx):
        other = batch['other']
        z, apart = (jax.lax.stop_gradient(model.draw(
            params, carry['posterior'], part, derive(ctx.key, tag), ctx.hp)[1])
            for tag, part in enumerate((batch, other)))
        permuted = sampling.permute_columns(derive(ctx.key, 2), apart, other['weight'])
        filled = {'weight': batch['weight'] * other['weight']}
        values = adversarial.critic_loss(score(params, z), score(params, permuted))
        return mean(values, filled) / 2, (carry, {})

    vae = objectives.objective(
        model, regularizers.kl, weight,
        objectives.as_auxiliary(correlation, lambda hp: hp['gamma']))
    players = (Player('vae', vae, model.names, recipe.optimizer),
               Player('critic', tell_apart, ('critic',),
                      lambda hp: optax.adam(hp['critic_lr'], b1=.5, b2=.9), other_batch=True))
    return Method(init, (Phase('main', players, recipe.steps, select=''),),
                  {**model.evals, **objectives.penalties(correlation)})
