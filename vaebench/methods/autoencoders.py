"""Generative autoencoders with one player: posterior x prior x regularizer x weight."""
from typing import Any

import jax
import jax.numpy as jnp

from vaebench.core import Criterion, Kit, Method, Phase, Player, Recipe, coupled, couples, mean
from vaebench.methods import models, objectives, posteriors, priors, regularizers


def autoencoder(kit: Kit, recipe: Recipe, posterior: posteriors.Posterior,
                regularizer: models.Regularizer, weight: objectives.Schedule, *,
                extra: objectives.AuxiliaryLoss | None = None,
                select: str | Criterion = objectives.WEIGHTED_KL, pretrain: bool = False,
                **of_model: Any) -> Method:
    """Builds a method that minimizes rec + weight * regularizer + extra.

    Args:
      kit: the networks; `encoder`, `decoder` and what `posterior` needs are used.
      recipe: the protocol; either phase may take `recipe.steps`.
      posterior: a `posteriors.Posterior`.
      regularizer: one of `regularizers`.
      weight: a `objectives.Schedule`.
      extra: an `objectives.AuxiliaryLoss` or None.
      select: what chooses the parameters on validation: see `core.Phase`.
      pretrain: whether a phase 'ae' comes first: `plain_autoencoder`, whose encoder and head
        are kept (as many columns of the head as the posterior has, the mean's first). All other
        parameters, carry and optimizer start afresh, and so does time for schedules.
      **of_model: `prior`, `encoder_init`, `decoder`, `corrupt` of `models.model`.

    Returns:
      A `Method` whose last phase is 'main'; each phase has one player.

    References:
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868 (pretraining).
    """
    model = models.model(kit, posterior, **of_model)
    trains = model.names + (() if extra is None else extra.names)
    loss = objectives.objective(model, regularizer, weight, extra)
    start = objectives.starter(model, weight, extra)
    if not pretrain:
        player = Player('vae', loss, trains, recipe.optimizer)
        phase = Phase('main', (player,), recipe.steps, select=select)
        return Method(start, (phase,), model.evals)

    def enter(key, params, carry, data):
        fresh, carry = start(key, data)
        head = jax.tree.map(lambda new, old: old[..., :new.shape[-1]], fresh['head'],
                            params['head'])
        return {**fresh, 'enc': params['enc'], 'head': head}, carry

    def renewed(params, carry, batch, ctx):
        return loss(params, carry, batch, ctx._replace(total=ctx.step))

    first = plain_autoencoder(kit, recipe, of_model.get('corrupt', 0.))
    renewed = couples(renewed, coupled(loss))
    second = Phase('main', (Player('vae', renewed, trains, recipe.optimizer),), recipe.steps,
                   enter=enter, select=select)
    return Method(first.init, (*first.phases, second), model.evals)


def plain_autoencoder(kit: Kit, recipe: Recipe, corrupt: float = 0.) -> Method:
    """Builds the stochastic autoencoder that pretrained rows start from, whatever their
    posterior: a Gaussian code, rec alone.

    Args:
      kit: the networks; `encoder`, `head` and `decoder` are used.
      recipe: the protocol.
      corrupt: see `models.model`.

    Returns:
      A `Method` of one phase 'ae', which all rows share and rec chooses.

    References:
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868.
    """
    model, weight = models.model(kit, posteriors.gaussian(kit),
                                 corrupt=corrupt), objectives.constant_weight(0.)
    rec = objectives.objective(model, regularizers.none, weight)
    phase = Phase('ae', (Player('ae', rec, model.names, recipe.optimizer),), recipe.steps,
                  select='rec', evals=model.evals,
                  shared={'stage': 'plain autoencoder', 'corrupt': corrupt})
    return Method(objectives.starter(model, weight), (phase,), model.evals)


def vae(kit: Kit, recipe: Recipe, *, shape: str = 'linear', corrupt: float = 0.,
        pretrain: bool = False, dims: bool = False) -> Method:
    """VAE; with other hp also KL annealing, the cyclical schedule, beta-VAE and, at beta 0, the
    stochastic autoencoder.

    A falling weight (shape 'exponential', beta_start 100, beta 1) makes dimensions carry
    information one after another.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      shape: 'linear', 'sigmoid' or 'exponential' ramp.
      corrupt: share of the words or pixels that the encoder does not see in training; all are
        reconstructed.
      pretrain: whether an autoencoder comes first: see `autoencoder`.
      dims: whether training shows the KL of every dimension.

    Returns:
      A `Method`.

    Equation:
      minimize rec + w_t KL(q(z|x) || N(0, I)), one draw of z, KL in closed form
      w_t = beta_start + (beta - beta_start) r_t, and t, in epochs, starts again every period
      linear: r_t = min(t / warmup, 1)
      sigmoid: r_t = sigmoid((t - warmup / 2) / (warmup / 10)), 1 from t = warmup on
      exponential: w_t = beta_start (beta / beta_start)^min(t / warmup, 1)

    Deviations:
      Parameters are chosen by rec + beta KL, the objective at the end of its ramp. The ramp
      starts at beta_start in the very first step; He's and Li's scripts are one step ahead. Fu
      et al. cut the run into cycles that ramp for half of their length: a period of 10 and a
      warmup of 5 epochs are those of their language script, which starts from 0.1 and lowers
      the learning rate along a cosine in each cycle (`optimizer.cycle` of a config). Higgins et
      al. weigh images' rates above 1; 0.5 is a weight of tables of text. No paper gives numbers
      for a falling weight. Of a pretrained autoencoder encoder and head are kept and the rest
      starts afresh, as in Li et al.'s code.

    References:
      Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, arXiv:1312.6114.
      Bowman et al., "Generating Sentences from a Continuous Space", 2016, arXiv:1511.06349.
      Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
      Framework", 2017.
      Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing",
      2019, arXiv:1903.10145.
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988
      (sigmoid).
      Burgess et al., "Understanding disentangling in beta-VAE", 2018, arXiv:1804.03599 (rising
      capacity, not a falling weight).
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585 (pretrain).
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868 (beta 0).
    """
    shown = objectives.as_auxiliary(regularizers.per_dimension, lambda hp: 1.)
    return autoencoder(kit, recipe, posteriors.gaussian(kit), regularizers.kl,
                       objectives.scheduled_weight(recipe, shape),
                       extra=shown if dims else None, corrupt=corrupt, pretrain=pretrain)


def deterministic_ae(kit: Kit, recipe: Recipe, *, corrupt: float = 0.) -> Method:
    """Autoencoder whose code is a linear map of the features: the rows called DAE, which
    denoise only if `corrupt`.

    Args:
      kit: the networks.
      recipe: the protocol.
      corrupt: share of the words or pixels that the encoder does not see in training; all are
        reconstructed.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    Equation:
      minimize rec(x, z), z = W h(x)
      corrupt: z = W h(c(x)), c(x) with words left out, or pixels set to 0

    Deviations:
      rec is a sum over words or pixels; the text code of the plain autoencoder takes a mean
      over words.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence
      Generation", 2019, arXiv:1806.08462.
      Shen et al., "Educating Text Autoencoders: Latent Representation Guidance via Denoising",
      2020, arXiv:1905.12777 (corrupt).
    """
    return autoencoder(kit, recipe, posteriors.delta(kit), regularizers.none,
                       objectives.constant_weight(0.), select='rec', corrupt=corrupt)


def ae_gmm(kit: Kit, recipe: Recipe, *, components: int = 10, corrupt: float = 0.) -> Method:
    """`deterministic_ae`, then a mixture of Gaussians with full covariances fitted to its
    codes, to sample from.

    Its p(x) is that of the mixture through the decoder, far from what was trained on.

    Hyperparameters:
      mixture_lr.

    Args:
      kit: the networks.
      recipe: the protocol; both phases take `recipe.steps`.
      components: of the mixture.
      corrupt: share of the pixels that the encoder does not see in training.

    Returns:
      A `Method` of phases 'ae' and 'mixture'; nothing chooses among the mixture's parameters:
      the last count.

    Equation:
      first minimize rec(x, z), z = W h(x)
      then minimize -log sum_k pi_k N(z; m_k, S_k), the autoencoder frozen

    Deviations:
      None: it is no method of a paper. Usual is EM on the codes of all data; here the mixture
      climbs its likelihood on batches.
    """
    prior, weight = priors.full_mixture(kit.latent, components), objectives.constant_weight(0.)
    model = models.model(kit, posteriors.delta(kit), prior, corrupt=corrupt)
    encode = model.evals['encode']

    log_prob = prior.log_prob
    assert log_prob is not None

    def fit(params, carry, batch, ctx):
        return -mean(log_prob(params, encode(params, carry, batch)), batch), (carry, {})

    def enter(key, params, carry, data):
        start = priors.full_mixture_start(key, encode(params, carry, data), data['weight'],
                                          components)
        return {**params, 'mixture': start}, carry

    first = Player('ae', objectives.objective(model, regularizers.none, weight),
                   tuple(n for n in model.names if n not in prior.names), recipe.optimizer)
    second = Player('mixture', fit, prior.names,
                    lambda hp: recipe.optimizer({**hp, 'lr': hp['mixture_lr']}))
    phases = (Phase('ae', (first,), recipe.steps, select='rec'),
              Phase('mixture', (second,), recipe.steps, enter=enter, select=''))
    return Method(objectives.starter(model, weight), phases, model.evals)


def info_vae(kit: Kit, recipe: Recipe, *, kernel: str = 'imq', width: float = 1.) -> Method:
    """InfoVAE: rec + (1 - alpha) KL + (alpha + lambda - 1) MMD^2; at alpha 1 the MMD-VAE, at
    alpha 0, lambda 1 the VAE.

    A weight of the MMD below 0 is no objective: such a run fails in its first step. At alpha 1
    nothing keeps the posteriors' variances from falling.

    Hyperparameters:
      alpha, mmd.

    Args:
      kit: the networks.
      recipe: the protocol.
      kernel: 'imq', 'rbf' with the median's width, or 'tutorial', exp(-r^2 / Z^2): see
        `regularizers.DISCREPANCIES`.
      width: multiple of the kernel's own.

    Returns:
      A `Method`; aux 'mmd' is unbiased and may be negative.

    Equation:
      minimize rec + (1 - alpha) KL + (alpha + lambda - 1) MMD^2(q(z), N(0, I))
      MMD^2: unbiased, between the codes of the batch and as many draws of the prior

    Deviations:
      The reconstruction is summed over pixels, so that the paper's lambda of 1 is next to
      nothing: here it is 10. The kernel is the sum of inverse multiquadratics that Wasserstein
      autoencoders have; that of the authors' tutorial, exp(-r^2 / Z^2), is kernel='tutorial'.

    References:
      Zhao et al., "InfoVAE: Information Maximizing Variational Autoencoders", 2017,
      arXiv:1706.02262.
    """
    def pull(hp):
        value = hp['alpha'] + hp['mmd'] - 1
        # rounding is no fault
        return jnp.where(value >= -1e-6, jnp.maximum(value, 0.), jnp.nan)

    def rest(carry, kl, ctx):
        return 1 - ctx.hp['alpha'], carry

    def trained_on(hp, valid):
        return (valid['rec'] + (1 - hp['alpha']) * valid['kl'] + pull(hp) * valid['mmd'])

    discrepancy = regularizers.discrepancy(kernel, kit.latent, width)
    method = autoencoder(
        kit, recipe, posteriors.gaussian(kit), regularizers.kl,
        objectives.Schedule(lambda: {}, rest), extra=objectives.as_auxiliary(discrepancy, pull),
        select=Criterion('rec + (1 - alpha) kl + (alpha + mmd weight - 1) mmd', trained_on))
    return method._replace(evals={**method.evals, **objectives.penalties(discrepancy)})


def wae_mmd(kit: Kit, recipe: Recipe, *, width: float = 1., kernel: str = 'imq') -> Method:
    """Wasserstein autoencoder with a deterministic code and a kernel penalty on its aggregate.

    The paper's lambda is beta.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      width: multiple of the kernel's base; the text paper's code has 2.
      kernel: 'imq', summed over widths, or 'rbf', whose width is the batch's median: see
        `regularizers.DISCREPANCIES`.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    Equation:
      minimize rec + lambda MMD^2(q(z), N(0, I)), z = W h(x), MMD^2 unbiased over the batch
      k(x, y) = sum_c C_c / (C_c + |x - y|^2), C_c = 2 Z c, c = .1, .2, .5, 1, 2, 5, 10

    Deviations:
      The cost is the decoder's negative log-likelihood, summed over words or pixels; the
      papers' are a squared distance and a mean over words. The text paper's lambdas thus grow
      by the sentence length (about 10.6), and those of the image code, which multiplies its
      cost by 0.05, by 20. The text code doubles C; its batches hold 128 sentences and its codes
      have 100 dimensions, on both of which the noise of MMD depends. The median of 'rbf' is
      a constant for gradients; in the published code it is not.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence
      Generation", 2019, arXiv:1806.08462.
    """
    discrepancy = regularizers.discrepancy(kernel, kit.latent, width)
    method = autoencoder(kit, recipe, posteriors.delta(kit), discrepancy,
                         objectives.scheduled_weight(recipe), select=objectives.weighted('mmd'))
    return method._replace(evals={**method.evals, **objectives.penalties(discrepancy)})
