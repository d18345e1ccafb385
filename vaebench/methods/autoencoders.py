"""Generative autoencoders with one player: posterior x prior x rate x weight."""
from vaebench.core import Method, Phase, Player
from vaebench.methods import parts, posteriors


def autoencoder(kit, plan, posterior, rate, weight, *, prior=None, decoder=None, extra=None, select='elbo',
                encoder_init=None, corrupt=0.):
    """A method that minimises rec + weight * rate + extra.

    Args:
      kit: the networks; `encoder`, `decoder` and what `posterior` needs are used.
      plan: the protocol.
      posterior: a `posteriors.Posterior`.
      rate: a rate of `parts`.
      weight: a `parts.Weight`.
      prior: a `parts.Prior`; None is N(0, I).
      decoder: a `core.Decoder`; None is the kit's.
      extra: a `parts.Extra` or None.
      select: validation quantity that chooses the parameters.
      encoder_init: initialisation of the encoder; None is the kit's.
      corrupt: share of the words or pixels that the encoder does not see in training.

    Returns:
      A `Method` of one phase with one player.
    """
    model = parts.model(kit, posterior, prior, encoder_init, decoder, corrupt)
    trains = model.parts + (() if extra is None else extra.parts)
    player = Player('vae', parts.objective(model, rate, weight, extra), trains, plan.tx)
    return Method(parts.starter(model, weight, extra), (Phase('main', (player,), plan.steps, select=select),), model.evals)


def vae(kit, plan, *, shape='linear', select='elbo'):
    """VAE; with other hp also KL annealing, the cyclical schedule, beta-VAE and, at beta 0, the stochastic autoencoder.

    hp: `beta`, `beta_start`, `warmup`, `delay`, `period` (epochs): see `parts.scheduled`. The ramp starts at
    beta_start in the very first step; He's and Li's scripts are one step ahead.

    Args:
      kit: the networks.
      plan: the protocol.
      shape: 'linear' or 'sigmoid' ramp.
      select: validation quantity that chooses the parameters.

    Returns:
      A `Method`.

    References:
      Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, arXiv:1312.6114.
      Bowman et al., "Generating Sentences from a Continuous Space", 2016, arXiv:1511.06349.
      Higgins et al., "beta-VAE", 2017.
      Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing", 2019, arXiv:1903.10145.
    """
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.kl_rate, parts.scheduled(plan, shape),
                       select=select)


def deterministic_ae(kit, plan):
    """Autoencoder whose code is a linear map of the features: the rows called DAE, which do not denoise.

    Args:
      kit: the networks.
      plan: the protocol.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    References:
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation", 2019,
      arXiv:1806.08462.
    """
    return autoencoder(kit, plan, posteriors.delta(kit), lambda terms, batch, ctx, key: (0., {}),
                       parts.constant(0.), select='rec')


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


def free_bits(kit, plan, *, scope='dim', reduce='example', form='mask'):
    """VAE whose KL is free up to a target rate.

    hp: those of `vae`; `target` in nats. Parameters are chosen by the true bound.

    Args:
      kit: the networks.
      plan: the protocol.
      scope: 'dim' or 'total'.
      reduce: 'example' or 'batch'.
      form: 'mask' or 'max': see `parts.free_bits_rate`.

    Returns:
      A `Method`.

    References:
      Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016, arXiv:1606.04934.
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019, arXiv:1909.00868.
    """
    return autoencoder(kit, plan, posteriors.gaussian(kit), parts.free_bits_rate(scope, reduce, form),
                       parts.scheduled(plan))


def pretrained_free_bits(kit, plan, *, scope='dim', reduce='example', form='mask'):
    """Autoencoder first, then free bits with its encoder, a fresh decoder and a fresh optimiser.

    hp: those of `free_bits`; the weight's schedule counts the second phase's own steps.

    Args:
      kit: the networks.
      plan: the protocol; either phase may take `plan.steps`.
      scope: 'dim' or 'total'.
      reduce: 'example' or 'batch'.
      form: 'mask' or 'max': see `parts.free_bits_rate`.

    Returns:
      A `Method` of two phases: 'ae', chosen by validation rec, and 'main'.

    References:
      Li et al., "A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text", 2019, arXiv:1909.00868.
    """
    model = parts.model(kit, posteriors.gaussian(kit))
    weight = parts.scheduled(plan, clock='step')
    rate = parts.free_bits_rate(scope, reduce, form)

    def reset(key, params, carry, data):
        return {**params, 'dec': model.reset(key)}, carry

    first = Player('ae', parts.objective(model, parts.kl_rate, parts.constant(0.)), model.parts, plan.tx)
    second = Player('vae', parts.objective(model, rate, weight), model.parts, plan.tx)
    return Method(parts.starter(model, weight),
                  (Phase('ae', (first,), plan.steps, select='rec'),
                   Phase('main', (second,), plan.steps, enter=reset)), model.evals)


def bn_vae(kit, plan, *, init='torch'):
    """VAE whose posterior means are batch-normalised, which bounds the KL from below.

    hp: those of `vae`; `gamma`, the fixed scale. In train mode the batch's mean KL is at least Z gamma^2 / 2
    (times v / (v + 1e-5) for batch variance v). Evaluation uses running statistics, for which it may fall short.

    Args:
      kit: the networks.
      plan: the protocol.
      init: of encoder and head; the published code keeps PyTorch's. From the LSTM family's bounds the features start
        so small that their variance falls below 1e-5, where the bound means nothing.

    Returns:
      A `Method`; its params add 'shift', its carry the running statistics.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020, arXiv:2004.12585.
    """
    return autoencoder(kit, plan, posteriors.batch_norm(kit, init), parts.kl_rate, parts.scheduled(plan),
                       encoder_init=init)


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


def wae_mmd(kit, plan, *, width=1., select='rec'):
    """Wasserstein autoencoder with a deterministic code and a kernel penalty on its aggregate.

    hp: those of `vae`, where beta is the paper's lambda. rec is a sum over tokens or pixels in nats: the text
    paper's lambdas, meant for means over tokens, grow by the sentence length (about 10.6), and the image code,
    which multiplies its cost by 0.05, by 20.

    Args:
      kit: the networks.
      plan: the protocol.
      width: multiple of the kernel's base; the text paper's code has 2.
      select: validation quantity that chooses the parameters.

    Returns:
      A `Method`; it has no density of codes, hence no KL.

    References:
      Tolstikhin et al., "Wasserstein Auto-Encoders", 2018, arXiv:1711.01558.
      Bahuleyan et al., "Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation", 2019,
      arXiv:1806.08462.
    """
    return autoencoder(kit, plan, posteriors.delta(kit), parts.mmd_rate(kit.latent, width), parts.scheduled(plan),
                       select=select)
