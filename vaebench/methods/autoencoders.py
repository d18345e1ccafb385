"""Generative autoencoders with one player: posterior x prior x rate x weight."""
import jax.numpy as jnp

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.methods import parts, posteriors, priors

KEPT = 'enc', 'head'      # what a pretrained row keeps of its autoencoder


def no_rate(terms, batch, ctx, key):
    """The rate of an autoencoder."""
    return 0., {}


def autoencoder(kit, plan, posterior, rate, weight, *, prior=None, decoder=None, extra=None, select='elbo',
                encoder_init=None, corrupt=0., pretrain=False):
    """A method that minimises rec + weight * rate + extra.

    Args:
      kit: the networks; `encoder`, `decoder` and what `posterior` needs are used.
      plan: the protocol; either phase may take `plan.steps`.
      posterior: a `posteriors.Posterior`.
      rate: a rate of `parts`.
      weight: a `parts.Weight`.
      prior: a `parts.Prior`; None is N(0, I).
      decoder: a `core.Decoder`; None is the kit's.
      extra: a `parts.Extra` or None.
      select: validation quantity that chooses the parameters.
      encoder_init: initialisation of the encoder; None is the kit's.
      corrupt: share of the words or pixels that the encoder does not see in training.
      pretrain: whether a phase 'ae' comes first, which minimises rec alone and is chosen by it. Encoder and head
        are kept; decoder, every other parameter, carry and optimiser start afresh, and so does time for schedules.

    Returns:
      A `Method` whose last phase is 'main'; each phase has one player.

    References:
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019, arXiv:1909.00868
      (pretraining).
    """
    model = parts.model(kit, posterior, prior, encoder_init, decoder, corrupt)
    trains = model.parts + (() if extra is None else extra.parts)
    loss, start = parts.objective(model, rate, weight, extra), parts.starter(model, weight, extra)
    if not pretrain:
        return Method(start, (Phase('main', (Player('vae', loss, trains, plan.tx),), plan.steps, select=select),),
                      model.evals)

    def reset(key, params, carry, data):
        fresh, carry = start(derive(key, 1), data)
        return {**fresh, **{name: params[name] for name in KEPT}, 'dec': model.reset(key)}, carry

    def renewed(params, carry, batch, ctx):
        return loss(params, carry, batch, ctx._replace(total=ctx.step))

    first = Player('ae', parts.objective(model, no_rate, parts.constant(0.)), model.parts, plan.tx)
    second = Player('vae', renewed, trains, plan.tx)
    return Method(start, (Phase('ae', (first,), plan.steps, select='rec'),
                          Phase('main', (second,), plan.steps, enter=reset, select=select)), model.evals)


def vae(kit, plan, *, shape='linear', select='elbo', corrupt=0., pretrain=False, dims=False):
    """VAE; with other hp also KL annealing, the cyclical schedule, beta-VAE and, at beta 0, the stochastic autoencoder.

    A falling weight (shape 'exponential', beta_start 100, beta 1) makes dimensions carry information one after another.

    hp: `beta`, `beta_start`, `warmup`, `delay`, `period` (epochs): see `parts.scheduled`. The ramp starts at
    beta_start in the very first step; He's and Li's scripts are one step ahead.

    Args:
      kit: the networks.
      plan: the protocol.
      shape: 'linear', 'sigmoid' or 'exponential' ramp.
      select: validation quantity that chooses the parameters.
      corrupt: share of the words or pixels that the encoder does not see in training; all are reconstructed.
      pretrain: whether an autoencoder comes first: see `autoencoder`.
      dims: whether training shows the KL of every dimension.

    Returns:
      A `Method`.

    References:
      Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, arXiv:1312.6114.
      Bowman et al., "Generating Sentences from a Continuous Space", 2016, arXiv:1511.06349.
      Higgins et al., "beta-VAE", 2017.
      Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing", 2019, arXiv:1903.10145.
    """
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.kl_rate, parts.scheduled(plan, shape),
                       extra=parts.also(parts.dims_rate, lambda hp: 1.) if dims else None, select=select,
                       corrupt=corrupt, pretrain=pretrain)


def deterministic_ae(kit, plan, *, corrupt=0.):
    """Autoencoder whose code is a linear map of the features: the rows called DAE, which denoise only if `corrupt`.

    Args:
      kit: the networks.
      plan: the protocol.
      corrupt: share of the words or pixels that the encoder does not see in training; all are reconstructed.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation", 2019,
      arXiv:1806.08462.
      Shen et al., "Educating Text Autoencoders: Latent Representation Guidance via Denoising", 2020,
      arXiv:1905.12777 (corrupt).
    """
    return autoencoder(kit, plan, posteriors.delta(kit), no_rate, parts.constant(0.), select='rec', corrupt=corrupt)


def ae_gmm(kit, plan, *, components=10, corrupt=0.):
    """`deterministic_ae`, then a mixture of Gaussians with full covariances fitted to its codes, to sample from.

    hp: `mixture_lr`. The mixture climbs its likelihood on the batches' codes; usual is EM on all of them. The
    autoencoder is frozen meanwhile. p(x) is that of the mixture through the decoder, far from what was trained on.

    Args:
      kit: the networks.
      plan: the protocol; both phases take `plan.steps`.
      components: of the mixture.
      corrupt: share of the pixels that the encoder does not see in training.

    Returns:
      A `Method` of phases 'ae' and 'mixture'; nothing chooses among the mixture's parameters: the last count.
    """
    prior, weight = priors.full_mixture(kit.latent, components), parts.constant(0.)
    model = parts.model(kit, posteriors.delta(kit), prior, corrupt=corrupt)
    encode = model.evals['encode']

    def fit(params, carry, batch, ctx):
        return -mean(prior.log_prob(params, encode(params, carry, batch)), batch), (carry, {})

    def enter(key, params, carry, data):
        return {**params, 'mixture': priors.full_mixture_start(key, encode(params, carry, data), data['weight'],
                                                               components)}, carry

    first = Player('ae', parts.objective(model, no_rate, weight),
                   tuple(n for n in model.parts if n not in prior.parts), plan.tx)
    second = Player('mixture', fit, prior.parts, lambda hp: plan.tx({**hp, 'lr': hp['mixture_lr']}))
    return Method(parts.starter(model, weight), (
        Phase('ae', (first,), plan.steps, select='rec'),
        Phase('mixture', (second,), plan.steps, enter=enter, select='')), model.evals)


def info_vae(kit, plan, *, kernel='imq', width=1., select='rec'):
    """InfoVAE: rec + (1 - alpha) KL + (alpha + lambda - 1) MMD^2; at alpha 1 the MMD-VAE, at alpha 0, lambda 1 the VAE.

    hp: `alpha`, and `mmd`, the paper's lambda, for a reconstruction summed over pixels: the paper's 1 is next to
    nothing. A weight of the MMD below 0 is no objective: such a run fails in its first step. At alpha 1 nothing
    keeps the posteriors' variances from falling.

    Args:
      kit: the networks.
      plan: the protocol.
      kernel: 'imq', 'rbf' with the median's width, or 'tutorial', exp(-r^2 / Z^2): see `parts.DISCREPANCIES`.
      width: multiple of the kernel's own.
      select: validation quantity that chooses the parameters; with most of the KL gone the bound chooses the first.

    Returns:
      A `Method`; aux 'mmd' is unbiased and may be negative.

    References:
      Zhao et al., "InfoVAE: Information Maximizing Variational Autoencoders", 2017, arXiv:1706.02262.
    """
    def pull(hp):
        value = hp['alpha'] + hp['mmd'] - 1
        return jnp.where(value >= -1e-6, jnp.maximum(value, 0.), jnp.nan)       # rounding is no fault

    weight = parts.Weight(lambda: {}, lambda carry, kl, ctx: (1 - ctx.hp['alpha'], carry))
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.kl_rate, weight,
                       extra=parts.also(parts.discrepancy(kernel, kit.latent, width), pull), select=select)


def capacity_vae(kit, plan, *, reduce='batch'):
    """VAE whose KL is held at a capacity that grows: rec + beta |KL - C(t)|.

    hp: those of `vae`, where beta is the paper's gamma; `capacity` in nats, `capacity_epochs`. No text setting is
    published: the default is this suite's.

    Args:
      kit: the networks.
      plan: the protocol.
      reduce: 'batch' or 'example': see `parts.capacity_rate`.

    Returns:
      A `Method`.

    References:
      Burgess et al., "Understanding disentangling in beta-VAE", 2018, arXiv:1804.03599.
    """
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.capacity_rate(plan, reduce), parts.scheduled(plan))


def free_bits(kit, plan, *, scope='dim', reduce='example', form='mask', pretrain=False):
    """VAE whose KL is free up to a target rate.

    hp: those of `vae`; `target` in nats. Parameters are chosen by the true bound.

    Args:
      kit: the networks.
      plan: the protocol.
      scope: 'dim' or 'total'.
      reduce: 'example' or 'batch'.
      form: 'mask' or 'max': see `parts.free_bits_rate`. Kingma's own is 'max' of the 'batch', Li's 'mask'.
      pretrain: whether an autoencoder comes first: see `autoencoder`.

    Returns:
      A `Method`.

    References:
      Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016, arXiv:1606.04934.
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019, arXiv:1909.00868.
    """
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.free_bits_rate(scope, reduce, form),
                       parts.scheduled(plan), pretrain=pretrain)


def delta_vae(kit, plan, *, rate=.1, pretrain=False):
    """VAE with a committed rate: no posterior it can express costs less than `rate` nats per dimension.

    hp: those of `vae`. A posterior that ignores its input meets the bound: the rate does not make information.

    Args:
      kit: the networks.
      plan: the protocol.
      rate: nats per dimension; the text tables have 0.1 and 0.15 with 32 dimensions.
      pretrain: whether an autoencoder comes first: see `autoencoder`.

    Returns:
      A `Method`.

    References:
      Razavi et al., "Preventing Posterior Collapse with delta-VAEs", 2019, arXiv:1901.03416.
    """
    return autoencoder(kit, plan, posteriors.committed(kit, rate), parts.kl_rate, parts.scheduled(plan),
                       pretrain=pretrain)


def bn_vae(kit, plan, *, init='torch', pretrain=False):
    """VAE whose posterior means are batch-normalised, which bounds the KL from below.

    hp: those of `vae`; `gamma`, the fixed scale. In train mode the batch's mean KL is at least Z gamma^2 / 2
    (times v / (v + 1e-5) for batch variance v). Evaluation uses running statistics, for which it may fall short.

    Args:
      kit: the networks.
      plan: the protocol.
      init: of encoder and head; the published code keeps PyTorch's. From the LSTM family's bounds the features start
        so small that their variance falls below 1e-5, where the bound means nothing.
      pretrain: whether an autoencoder comes first: see `autoencoder`.

    Returns:
      A `Method`; its params add 'shift', its carry the running statistics.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020, arXiv:2004.12585.
    """
    return autoencoder(kit, plan, posteriors.batch_norm(kit, init), parts.kl_rate, parts.scheduled(plan),
                       encoder_init=init, pretrain=pretrain)


def bn_vae_learnable(kit, plan, *, tau=.5, init='torch'):
    """BN-VAE that learns, per dimension, how much of unit second moment is the means' and how much the noise's.

    hp: those of `vae`. What is normalised, and how, is in `posteriors.batch_norm_learnable`.

    Args:
      kit: the networks.
      plan: the protocol.
      tau: least share of the means, between 0 and 1; unpublished.
      init: of encoder and head: see `bn_vae`.

    Returns:
      A `Method`; its params add 'theta', its carry the running statistics.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020, arXiv:2004.12585.
    """
    return autoencoder(kit, plan, posteriors.batch_norm_learnable(kit, tau, init), parts.kl_rate,
                       parts.scheduled(plan), encoder_init=init)


def control_vae(kit, plan):
    """VAE whose KL weight is set by a PI controller that tracks a target KL.

    hp: `target` in nats per example; gains `kp`, `ki`; limits `beta_min`, `beta_max`. The controller reads the KL
    of the current batch and acts in the same step (the authors' language model: one step later). ki is per step:
    a run of few steps needs a larger one.

    Args:
      kit: the networks.
      plan: the protocol.

    Returns:
      A `Method`; carry['weight'] is the controller.

    References:
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.
    """
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.kl_rate, parts.controlled())


def wae_mmd(kit, plan, *, width=1., select='rec', kernel='imq'):
    """Wasserstein autoencoder with a deterministic code and a kernel penalty on its aggregate.

    hp: those of `vae`, where beta is the paper's lambda. rec is a sum over tokens or pixels in nats: the text
    paper's lambdas, meant for means over tokens, grow by the sentence length (about 10.6), and the image code,
    which multiplies its cost by 0.05, by 20.

    Args:
      kit: the networks.
      plan: the protocol.
      width: multiple of the kernel's base; the text paper's code has 2.
      select: validation quantity that chooses the parameters.
      kernel: 'imq', summed over widths, or 'rbf', whose width is the batch's median: see `parts.DISCREPANCIES`.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation", 2019,
      arXiv:1806.08462.
    """
    return autoencoder(kit, plan, posteriors.delta(kit), parts.discrepancy(kernel, kit.latent, width),
                       parts.scheduled(plan), select=select)
