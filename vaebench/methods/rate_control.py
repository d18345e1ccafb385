"""VAEs that hold their rate: at a capacity, at a target, or above a bound."""
import jax.numpy as jnp

from vaebench.core import Criterion, Kit, Method, Recipe
from vaebench.methods import objectives, posteriors, regularizers
from vaebench.methods.autoencoders import autoencoder


def capacity_vae(kit: Kit, recipe: Recipe, *, reduce: str = 'batch') -> Method:
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
      minimize rec + gamma |KL - C_t|, KL the mean of the batch
      C_t = capacity min(t / capacity_epochs, 1)

    Deviations:
      The paper's numbers are for images: gamma 1000, and 25 nats after 100,000 steps. In a few
      thousand steps so large a gamma leaves nothing for the reconstruction: all posteriors move
      away from the prior together. Short runs have 5 to 10 here. No setting for text is
      published; gamma 1 and 8 nats after 10 epochs are this suite's. Parameters are chosen by
      the objective at full capacity, with the mean of all validation data inside the bars.
      Public codes differ in what stands there in training, the batch's mean or every example:
      see `reduce`.

    References:
      Burgess et al., "Understanding disentangling in beta-VAE", 2018, arXiv:1804.03599.
    """
    def filled(hp, valid):
        return valid['rec'] + hp['beta'] * jnp.abs(valid['kl'] - hp['capacity'])

    return autoencoder(kit, recipe, posteriors.gaussian(kit),
                       regularizers.capacity(recipe, reduce),
                       objectives.scheduled_weight(recipe),
                       select=Criterion('rec + beta |kl - capacity|', filled))


def control_vae(kit: Kit, recipe: Recipe) -> Method:
    """VAE whose KL weight is set by a PI controller that tracks a target KL.

    Hyperparameters:
      target, kp, ki, beta_min, beta_max.

    Args:
      kit: the networks.
      recipe: the protocol.

    Returns:
      A `Method`; carry['weight'] is the controller.

    Equation:
      minimize rec + beta_t KL, with e = target - KL of the batch
      u = kp sigmoid(-e) + I + beta_min, beta_t = min(max(u, beta_min), beta_max)
      I grows by -ki e, but where u lay outside the limits and that would push it further out

    Deviations:
      The printed algorithm tests the clipped weight, which always lies within the limits: its
      integral never stops. Here, as in the authors' dialogue code, the test reads u. That code
      holds I outside the limits whatever the error, so that ki target >= kp would keep the
      weight at its lower limit for ever: here a step back inside counts. The weight acts in the
      step whose KL it was computed from; in the authors' language model one step later.
      Parameters are chosen by rec + |KL - target|, since the weight that training ends with is
      not known beforehand; the authors take the last ones.

    References:
      Shao et al., "ControlVAE: Controllable Variational Autoencoder", 2020, arXiv:2004.05988.
    """
    def held(hp, valid):
        return valid['rec'] + jnp.abs(valid['kl'] - hp['target'])

    return autoencoder(kit, recipe, posteriors.gaussian(kit), regularizers.kl,
                       objectives.controlled_weight(),
                       select=Criterion('rec + |kl - target|', held))


def free_bits(kit: Kit, recipe: Recipe, *, scope: str = 'dim', reduce: str = 'example',
              form: str = 'mask', pretrain: bool = False) -> Method:
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
      mask: minimize rec + w_t sum_j KL_j 1[KL_j > target / Z]
      max: minimize rec + w_t sum_j max(KL_j, target / Z)
      the test reads the KL of each example, or the mean of the batch
      scope 'total' tests sum_j KL_j against the target

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
                       objectives.scheduled_weight(recipe), select='elbo',
                       pretrain=pretrain)


def delta_vae(kit: Kit, recipe: Recipe, *, rate: float = .1, pretrain: bool = False) -> Method:
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
      minimize rec + w_t KL(N(mu, sigma^2) || N(0, I)), from a head's outputs m and a:
      sigma = l + (u - l) sigmoid(a)
      mu = sqrt(2 rate + 1 + ln sigma^2 - sigma^2 + relu(m) + 1e-6)
      l^2 < 1 < u^2: the roots s of ln s - s + 2 rate + 1 = 0
      hence KL_j = rate + relu(m) / 2 + 5e-7

    Deviations:
      Independent dimensions and the prior N(0, I), as in the tables of text that compare with
      this method; the paper's own model has an autoregressive prior over a sequence of codes.
      Those tables' code keeps the sigmoid above 1/50; here it may fall to 0.

    References:
      Razavi et al., "Preventing Posterior Collapse with delta-VAEs", 2019, arXiv:1901.03416.
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585 (pretrain).
    """
    return autoencoder(kit, recipe, posteriors.committed(kit, rate), regularizers.kl,
                       objectives.scheduled_weight(recipe), pretrain=pretrain)


def bn_vae(kit: Kit, recipe: Recipe, *, init: str = 'torch', pretrain: bool = False) -> Method:
    """VAE whose posterior means are batch-normalized, which bounds the KL from below.

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
      minimize rec + w_t KL(N(mu', sigma^2) || N(0, I))
      mu' = gamma (mu - m_B) / sqrt(v_B + 1e-5) + shift
      m_B, v_B: the batch's mean and variance

    Deviations:
      A batch of fewer than two examples is normalized by the running statistics; the published
      code skips it.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    return autoencoder(kit, recipe, posteriors.batch_norm(kit, init), regularizers.kl,
                       objectives.scheduled_weight(recipe), encoder_init=init,
                       pretrain=pretrain)


def bn_vae_learnable(kit: Kit, recipe: Recipe, *, tau: float = .5,
                     init: str = 'torch') -> Method:
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
      minimize rec + w_t KL(N(mu', s'^2) || N(0, I))
      mu' = sqrt(tau + (1 - tau) sigmoid(theta)) n(mu)
      s' = sqrt((1 - tau) sigmoid(-theta)) n(s), n: batch-normalized
      hence the batch's mean of mu'^2 + s'^2 is 1 in every dimension

    Deviations:
      The paper prints neither tau nor what is normalized on the side of the noise, and no code
      of this extension is known: tau 0.5, the raw standard deviation s, and one theta per
      dimension are this suite's reading.

    References:
      Zhu et al., "A Batch Normalized Inference Network Keeps the KL Vanishing Away", 2020,
      arXiv:2004.12585.
    """
    return autoencoder(kit, recipe, posteriors.batch_norm_learnable(kit, tau, init),
                       regularizers.kl, objectives.scheduled_weight(recipe), encoder_init=init)
