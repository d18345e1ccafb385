"""The registry: every method by name, with its factory, its numbers and its paper."""
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vaebench.errors import UserError, unknown
from vaebench.methods import adversarial, autoencoders, baselines, implicit, lagging

GROUP = 'vaebench.methods'

BOTH = ('text', 'image')


class Entry(NamedTuple):
    """One method of the registry."""
    factory: Callable                  # (kit, plan, **options) -> Method
    hp: Mapping[str, float]            # defaults of the traced numbers; 'lr' and 'lr_scale' are the table's
    paper: str
    track: tuple[str, ...]
    options: Mapping[str, Any] = {}    # defaults of the factory's static options that make this row


def weight(beta=1., warmup=0., period=0., start=0.):
    """hp of `parts.scheduled`."""
    return {'beta': beta, 'beta_start': start, 'warmup': warmup, 'delay': 0., 'period': period}


METHODS = {
    'source': Entry(
        baselines.source, {}, 'the synthetic corpus itself', ('text',)),
    'lstm_lm': Entry(
        baselines.language_model, {},
        'Bowman et al., Generating Sentences from a Continuous Space, 2016, arXiv:1511.06349 (its baseline)',
        ('text',)),
    'ae': Entry(
        autoencoders.vae, weight(0.),
        'Li et al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019, arXiv:1909.00868 '
        '(its first stage: beta 0, stochastic code)', BOTH, {'select': 'rec'}),
    'dae': Entry(
        autoencoders.deterministic_ae, {},
        'Bahuleyan et al., Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation, 2019, '
        'arXiv:1806.08462 (its DAE: a deterministic code)', BOTH),
    'vae': Entry(
        autoencoders.vae, weight(),
        'Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114', BOTH),
    'anneal': Entry(
        autoencoders.vae, weight(warmup=10.),
        'Bowman et al., Generating Sentences from a Continuous Space, 2016, arXiv:1511.06349', BOTH),
    'cyclical': Entry(
        autoencoders.vae, weight(warmup=5., period=10.),
        'Fu et al., Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing, 2019, '
        'arXiv:1903.10145', BOTH),
    'beta_vae': Entry(
        autoencoders.vae, weight(.5),
        'Higgins et al., beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, 2017',
        BOTH),
    'capacity_vae': Entry(
        autoencoders.capacity_vae, {**weight(), 'capacity': 8., 'capacity_epochs': 10.},
        'Burgess et al., Understanding disentangling in beta-VAE, 2018, arXiv:1804.03599', BOTH),
    'fb': Entry(
        autoencoders.free_bits, {**weight(warmup=10.), 'target': 8.},
        'Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow, 2016, arXiv:1606.04934',
        BOTH),
    'fbp': Entry(
        autoencoders.free_bits, {**weight(warmup=10.), 'target': 8.},
        'Li et al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019, arXiv:1909.00868 '
        '(its baseline: one threshold on the total)', BOTH, {'scope': 'total'}),
    'pre_ae_fb': Entry(
        autoencoders.pretrained_free_bits, {**weight(warmup=10.), 'target': 8.},
        'Li et al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019, arXiv:1909.00868',
        BOTH),
    'bn_vae': Entry(
        autoencoders.bn_vae, {**weight(warmup=10.), 'gamma': .6},
        'Zhu et al., A Batch Normalized Inference Network Keeps the KL Vanishing Away, 2020, arXiv:2004.12585', BOTH),
    'control_vae': Entry(
        autoencoders.control_vae, {'target': 3., 'kp': .01, 'ki': 1e-4, 'beta_min': 0., 'beta_max': 1.},
        'Shao et al., ControlVAE: Controllable Variational Autoencoder, 2020, arXiv:2004.05988', BOTH),
    'lagging': Entry(
        lagging.lagging, weight(warmup=10., start=.1),
        'He et al., Lagging Inference Networks and Posterior Collapse in Variational Autoencoders, 2019, '
        'arXiv:1901.05534', BOTH),
    'ivae': Entry(
        implicit.ivae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5},
        'Fang et al., Implicit Deep Latent Variable Models for Text Generation, 2019, arXiv:1908.11527', BOTH),
    'ivae_mi': Entry(
        implicit.ivae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5},
        'Fang et al., Implicit Deep Latent Variable Models for Text Generation, 2019, arXiv:1908.11527', BOTH,
        {'marginal': True}),
    'wae_mmd': Entry(
        autoencoders.wae_mmd, weight(100.),
        'Tolstikhin et al., Wasserstein Auto-Encoders, 2018, arXiv:1711.01558; Bahuleyan et al., Stochastic '
        'Wasserstein Autoencoder for Probabilistic Sentence Generation, 2019, arXiv:1806.08462', BOTH),
    'gan': Entry(
        adversarial.gan, {}, 'Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661', ('image',)),
    'gan_minmax': Entry(
        adversarial.gan, {}, 'Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661', ('image',),
        {'form': 'minmax'}),
    'wgan_gp': Entry(
        adversarial.wgan_gp, {'penalty': 10.},
        'Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028', ('image',)),
}
"""Methods by name. A row of a table may override any number in `hp` and any of `options`."""


def find(name):
    """The entry of a method, ours or that of an installed package (entry points of the group `vaebench.methods`).

    Args:
      name: of the method; a name of our own cannot be taken over.

    Returns:
      An `Entry`.

    Raises:
      UserError: there is no such method, or its package cannot be imported.

    >>> find('beta_vae').hp['beta']
    0.5
    """
    if name in METHODS:
        return METHODS[name]
    others = {e.name: e for e in importlib.metadata.entry_points(group=GROUP)}
    if name not in others:
        raise unknown('method', name, [*METHODS, *others])
    try:
        return others[name].load()
    except Exception as error:
        raise UserError(f'method {name!r} of an installed package ({others[name].value}) cannot be imported: '
                        f'{error}') from error
