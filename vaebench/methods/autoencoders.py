"""Generative autoencoders with one player: posterior x prior x regularizer x weight."""
import jax.numpy as jnp

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.methods import models, objectives, posteriors, priors, regularizers

KEPT = 'enc', 'head'      # what a pretrained row keeps of its autoencoder
GAUSSIAN_AE = {'stage': 'autoencoder', 'posterior': 'gaussian', 'weight': 'scheduled'}
"""`Phase.shared` of a pretraining phase with `posteriors.gaussian`, all else by default."""


def autoencoder(kit, recipe, posterior, regularizer, weight, *, prior=None, decoder=None,
                extra=None, select='elbo', encoder_init=None, corrupt=0., pretrain=False,
                shared=None):
    """A method that minimises rec + weight * regularizer + extra.

    Args:
      kit: the networks; `encoder`, `decoder` and what `posterior` needs are used.
      recipe: the protocol; either phase may take `recipe.steps`.
      posterior: a `posteriors.Posterior`.
      regularizer: one of `regularizers`.
      weight: a `objectives.Schedule`.
      prior: a `models.Prior`; None is N(0, I).
      decoder: a `core.Decoder`; None is the kit's.
      extra: an `objectives.AuxiliaryLoss` or None.
      select: validation quantity that chooses the parameters.
      encoder_init: initialisation of the encoder; None is the kit's.
      corrupt: share of the words or pixels that the encoder does not see in training.
      pretrain: whether a phase 'ae' comes first, which minimises rec alone and is chosen by it.
        Encoder and head are kept; decoder, every other parameter, carry and optimizer start
        afresh, and so does time for schedules.
      shared: of the phase 'ae': see `core.Phase`; None trains it for each row anew.

    Returns:
      A `Method` whose last phase is 'main'; each phase has one player.

    References:
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868 (pretraining).
    """
    model = models.model(kit, posterior, prior, encoder_init, decoder, corrupt)
    trains = model.names + (() if extra is None else extra.names)
    loss, start = objectives.objective(model, regularizer, weight, extra), objectives.starter(
        model, weight, extra)
    if not pretrain:
        return Method(start, (Phase('main', (Player('vae', loss, trains, recipe.optimizer),),
                                    recipe.steps, select=select),), model.evals)

    def reset(key, params, carry, data):
        fresh, carry = start(derive(key, 1), data)
        return {**fresh, **{name: params[name]
                            for name in KEPT}, 'dec': model.reset(key)}, carry

    def renewed(params, carry, batch, ctx):
        return loss(params, carry, batch, ctx._replace(total=ctx.step))

    first = Player(
        'ae', objectives.objective(model, regularizers.none, objectives.constant_weight(0.)),
        model.names, recipe.optimizer)
    second = Player('vae', renewed, trains, recipe.optimizer)
    return Method(start, (Phase('ae', (first,), recipe.steps, select='rec', shared=shared),
                          Phase('main', (second,), recipe.steps, enter=reset, select=select)),
                  model.evals)


def vae(kit, recipe, *, shape='linear', select='elbo', corrupt=0., pretrain=False, dims=False):
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
      select: validation quantity that chooses the parameters.
      corrupt: share of the words or pixels that the encoder does not see in training; all are
        reconstructed.
      pretrain: whether an autoencoder comes first: see `autoencoder`.
      dims: whether training shows the KL of every dimension.

    Returns:
      A `Method`.

    Equation:
      minimise rec + w_t KL(q(z|x) || N(0, I)), one draw of z, KL in closed form
      w_t = beta_start + (beta - beta_start) r_t, and t, in epochs, starts again every period
      linear: r_t = min(t / warmup, 1); sigmoid: r_t = sigmoid((t - warmup / 2) / (warmup /
        10)), 1 from t = warmup on
      exponential: w_t = beta_start (beta / beta_start)^min(t / warmup, 1)

    Deviations:
      The ramp starts at beta_start in the very first step; He's and Li's scripts are one step
      ahead. Fu et al. cut the run into cycles that ramp for half of their length: a period of
      10 and a warmup of 5 epochs are those of their language script, which starts from 0.1.
      Higgins et al. weigh images' rates above 1; 0.5 is a weight of tables of text. No paper
      gives numbers for a falling weight. Of a pretrained autoencoder the encoder is kept and
      the rest starts afresh, as in Li et al.'s code.

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
    return autoencoder(
        kit, recipe, posteriors.gaussian(kit), regularizers.kl,
        objectives.scheduled_weight(recipe, shape), extra=objectives.as_auxiliary(
            regularizers.per_dimension, lambda hp: 1.) if dims else None, select=select,
        corrupt=corrupt, pretrain=pretrain, shared={**GAUSSIAN_AE, 'corrupt': corrupt})


def deterministic_ae(kit, recipe, *, corrupt=0.):
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
      minimise rec(x, z), z = W h(x)
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


def ae_gmm(kit, recipe, *, components=10, corrupt=0.):
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
      first minimise rec(x, z), z = W h(x)
      then minimise -log sum_k pi_k N(z; m_k, S_k), the autoencoder frozen

    Deviations:
      None: it is no method of a paper. Usual is EM on the codes of all data; here the mixture
      climbs its likelihood on batches.
    """
    prior, weight = priors.full_mixture(kit.latent, components), objectives.constant_weight(0.)
    model = models.model(kit, posteriors.delta(kit), prior, corrupt=corrupt)
    encode = model.evals['encode']

    def fit(params, carry, batch, ctx):
        return -mean(prior.log_prob(params, encode(params, carry, batch)), batch), (carry, {})

    def enter(key, params, carry, data):
        return {
            **params, 'mixture': priors.full_mixture_start(key, encode(params, carry, data),
                                                           data['weight'], components)
        }, carry

    first = Player('ae', objectives.objective(model, regularizers.none, weight),
                   tuple(n for n in model.names if n not in prior.names), recipe.optimizer)
    second = Player('mixture', fit, prior.names,
                    lambda hp: recipe.optimizer({**hp, 'lr': hp['mixture_lr']}))
    return Method(objectives.starter(model, weight), (
        Phase('ae', (first,), recipe.steps, select='rec'),
        Phase('mixture', (second,), recipe.steps, enter=enter, select='')), model.evals)


def info_vae(kit, recipe, *, kernel='imq', width=1., select='rec'):
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
      select: validation quantity that chooses the parameters; with most of the KL gone the
        bound chooses the first.

    Returns:
      A `Method`; aux 'mmd' is unbiased and may be negative.

    Equation:
      minimise rec + (1 - alpha) KL + (alpha + lambda - 1) MMD^2(q(z), N(0, I))
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

    weight = objectives.Schedule(lambda: {}, lambda carry, kl, ctx:
                                 (1 - ctx.hp['alpha'], carry))
    return autoencoder(
        kit, recipe, posteriors.gaussian(kit), regularizers.kl,
        weight, extra=objectives.as_auxiliary(
            regularizers.discrepancy(kernel, kit.latent, width), pull), select=select)


def capacity_vae(kit, recipe, *, reduce='batch'):
    """VAE whose KL is held at a capacity that grows: rec + beta |KL - C(t)|.

    The paper's gamma is beta.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, capacity, capacity_epochs.

    Args:
      kit: the networks.
      recipe: the protocol.
      reduce: 'batch' or 'example': see `regularizers.capacity`.

    Returns:
      A `Method`.

    Equation:
      minimise rec + gamma |KL - C_t|, KL the mean of the batch
      C_t = capacity min(t / capacity_epochs, 1)

    Deviations:
      The paper's numbers are for images: gamma 1000, and 25 nats after 100,000 steps. No
      setting for text is published; gamma 1 and 8 nats after 10 epochs are this suite's. Public
      codes differ in what stands inside the bars, the batch's mean or every example: see
      `reduce`.

    References:
      Burgess et al., "Understanding disentangling in beta-VAE", 2018, arXiv:1804.03599.
    """
    return autoencoder(kit, recipe, posteriors.gaussian(kit),
                       regularizers.capacity(recipe, reduce),
                       objectives.scheduled_weight(recipe))


def free_bits(kit, recipe, *, scope='dim', reduce='example', form='mask', pretrain=False):
    """VAE whose KL is free up to a target rate.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, target.

    Args:
      kit: the networks.
      recipe: the protocol.
      scope: 'dim' or 'total'.
      reduce: 'example' or 'batch'.
      form: 'mask' or 'max': see `regularizers.free_bits`. Kingma's own is 'max' of the 'batch',
        Li's 'mask'.
      pretrain: whether an autoencoder comes first: see `autoencoder`.

    Returns:
      A `Method`.

    Equation:
      mask: minimise rec + w_t sum_j KL_j 1[KL_j > target / Z]
      max: minimise rec + w_t sum_j max(KL_j, target / Z)
      the test reads the KL of each example, or the mean of the batch; scope 'total' tests sum_j
      KL_j against the target

    Deviations:
      Mask and maximum have the same gradient and different values; parameters are chosen by
      neither, but by the true bound. The weight warms up with either, as in Li et al.'s code.
      It is not known whether their rows with a threshold on the total test every sentence or
      the batch: here every sentence.

    References:
      Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016,
      arXiv:1606.04934.
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019,
      arXiv:1909.00868.
    """
    return autoencoder(kit, recipe, posteriors.gaussian(kit),
                       regularizers.free_bits(scope, reduce, form),
                       objectives.scheduled_weight(recipe), pretrain=pretrain,
                       shared={**GAUSSIAN_AE, 'corrupt': 0.})


def delta_vae(kit, recipe, *, rate=.1, pretrain=False):
    """VAE with a committed rate: no posterior it can express costs less than `rate` nats per
    dimension.

    A posterior that ignores its input meets the bound: the rate does not make information.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      rate: nats per dimension; the text tables have 0.1 and 0.15 with 32 dimensions.
      pretrain: whether an autoencoder comes first: see `autoencoder`.

    Returns:
      A `Method`.

    Equation:
      minimise rec + w_t KL(N(mu, sigma^2) || N(0, I)), from a head's outputs m and a:
      sigma = l + (u - l) sigmoid(a), mu = sqrt(2 rate + 1 + ln sigma^2 - sigma^2 + relu(m) +
      1e-6)
      l^2 < 1 < u^2: the roots s of ln s - s + 2 rate + 1 = 0; hence KL_j = rate + relu(m) / 2 +
      5e-7

    Deviations:
      Independent dimensions and the prior N(0, I), as in the tables of text that compare with
      this method; the paper's own model has an autoregressive prior over a sequence of codes.

    References:
      Razavi et al., "Preventing Posterior Collapse with delta-VAEs", 2019, arXiv:1901.03416.
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585 (pretrain).
    """
    return autoencoder(kit, recipe, posteriors.committed(kit, rate), regularizers.kl,
                       objectives.scheduled_weight(recipe), pretrain=pretrain)


def bn_vae(kit, recipe, *, init='torch', pretrain=False):
    """VAE whose posterior means are batch-normalised, which bounds the KL from below.

    In train mode the batch's mean KL is at least Z gamma^2 / 2 (times v / (v + 1e-5) for batch
    variance v). Evaluation uses running statistics, for which it may fall short.

    Hyperparameters:
      beta, beta_start, warmup, delay, period, gamma.

    Args:
      kit: the networks.
      recipe: the protocol.
      init: of encoder and head; the published code keeps PyTorch's. From the LSTM family's
        bounds the features start so small that their variance falls below 1e-5, where the bound
        means nothing.
      pretrain: whether an autoencoder comes first: see `autoencoder`.

    Returns:
      A `Method`; its params add 'shift', its carry the running statistics.

    Equation:
      minimise rec + w_t KL(N(mu', sigma^2) || N(0, I))
      mu' = gamma (mu - m_B) / sqrt(v_B + 1e-5) + shift, with the batch's mean m_B and variance
      v_B

    Deviations:
      A batch of fewer than two examples is normalised by the running statistics; the published
      code skips it.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    return autoencoder(kit, recipe, posteriors.batch_norm(kit, init), regularizers.kl,
                       objectives.scheduled_weight(recipe), encoder_init=init,
                       pretrain=pretrain)


def bn_vae_learnable(kit, recipe, *, tau=.5, init='torch'):
    """BN-VAE that learns, per dimension, how much of unit second moment is the means' and how
    much the noise's.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      tau: least share of the means, between 0 and 1; unpublished.
      init: of encoder and head: see `bn_vae`.

    Returns:
      A `Method`; its params add 'theta', its carry the running statistics.

    Equation:
      minimise rec + w_t KL(N(mu', s'^2) || N(0, I))
      mu' = sqrt(tau + (1 - tau) sigmoid(theta)) n(mu), s' = sqrt((1 - tau) sigmoid(-theta))
      n(s), n: batch-normalised hence the batch's mean of mu'^2 + s'^2 is 1 in every dimension

    Deviations:
      The paper prints neither tau nor what is normalised on the side of the noise, and no code
      of this extension is
      known: tau 0.5, the raw standard deviation s, and one theta per dimension are this suite's
        reading.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    return autoencoder(kit, recipe, posteriors.batch_norm_learnable(kit, tau, init),
                       regularizers.kl, objectives.scheduled_weight(recipe), encoder_init=init)


def control_vae(kit, recipe):
    """VAE whose KL weight is set by a PI controller that tracks a target KL.

    Hyperparameters:
      target, kp, ki, beta_min, beta_max.

    Args:
      kit: the networks.
      recipe: the protocol.

    Returns:
      A `Method`; carry['weight'] is the controller.

    Equation:
      minimise rec + beta_t KL, with e = target - KL of the batch
      u = kp sigmoid(-e) + I + beta_min, beta_t = min(max(u, beta_min), beta_max)
      I grows by -ki e in each step before which u lay within the limits

    Deviations:
      The printed algorithm tests the clipped weight, which always lies within the limits: its
      integral never stops. Here, as in the authors' dialogue code, the test reads u. The weight
      acts in the step whose KL it was computed from; in the authors' language model one step
      later.

    References:
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.
    """
    return autoencoder(kit, recipe, posteriors.gaussian(kit), regularizers.kl,
                       objectives.controlled_weight())


def wae_mmd(kit, recipe, *, width=1., select='rec', kernel='imq'):
    """Wasserstein autoencoder with a deterministic code and a kernel penalty on its aggregate.

    The paper's lambda is beta.

    Hyperparameters:
      beta, beta_start, warmup, delay, period.

    Args:
      kit: the networks.
      recipe: the protocol.
      width: multiple of the kernel's base; the text paper's code has 2.
      select: validation quantity that chooses the parameters.
      kernel: 'imq', summed over widths, or 'rbf', whose width is the batch's median: see
        `regularizers.DISCREPANCIES`.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    Equation:
      minimise rec + lambda MMD^2(q(z), N(0, I)), z = W h(x), MMD^2 unbiased over the batch
      k(x, y) = sum_c C_c / (C_c + |x - y|^2), C_c = 2 Z c, c = .1, .2, .5, 1, 2, 5, 10

    Deviations:
      The cost is the decoder's negative log-likelihood, summed over words or pixels; the
      papers' are a squared distance and a mean over words. The text paper's lambdas thus grow
      by the sentence length (about 10.6), and those of the image code, which multiplies its
      cost by 0.05, by 20. The text code doubles C. The median of 'rbf' is a constant for
      gradients; in the published code it is not.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence
      Generation", 2019, arXiv:1806.08462.
    """
    return autoencoder(kit, recipe, posteriors.delta(kit),
                       regularizers.discrepancy(kernel, kit.latent, width),
                       objectives.scheduled_weight(recipe), select=select)
