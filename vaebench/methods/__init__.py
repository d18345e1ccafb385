"""The registry: every method by name, with its factory, its numbers and its paper."""
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vaebench.errors import UserError, unknown
from vaebench.methods import (
    adversarial_autoencoders,
    aggregate_posterior,
    autoencoders,
    baselines,
    energy_gans,
    gans,
    geometry,
    implicit,
    lagging,
    manifold_learning,
    moment_matching,
    priors,
    semi_amortized,
    text_decoders,
    timestep_posteriors,
    vector_quantized,
)

GROUP = 'vaebench.methods'

# What methods need of a kit: names of networks, of options of its decoders, and of columns it
# reads; see `networks.KitEntry.offers`.
NOTHING = ()
DATA = ('x',)
AUTOENCODER = 'encoder', 'head', 'decoder'
LANGUAGE_MODEL = 'decoder', 'decoder.unconditional'
DENOISING = *AUTOENCODER, 'corrupt'
SKIP = *AUTOENCODER, 'decoder.skip'
DILATED = *AUTOENCODER, 'decoder.dilations', 'decoder.channels'
DUAL, PSEUDO = (*AUTOENCODER, 'mlp'), (*AUTOENCODER, 'pseudo')
PSEUDO_DUAL = *DUAL, 'pseudo'
BAG = *DUAL, 'tokens'
STEPS = *AUTOENCODER, 'encoder.states'
COUNTED_STEPS = *STEPS, 'length'
SEQUENCE = *AUTOENCODER, 'sequence'
ATTENTION = *SEQUENCE, 'encoder.states', 'decoder.attention', 'length'
ADVERSARIAL = *DUAL, 'x'
CLASSIFIER = 'encoder', 'head'
GAN, ENERGY_GAN, GENERATOR = ('gen', 'critic'), ('encoder', 'head', 'gen'), ('gen', 'x')

LI = 'Li et al., A Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, 2019, arXiv:1909.00868'
BOWMAN = 'Bowman et al., Generating Sentences from a Continuous Space, 2016, arXiv:1511.06349'
FU = ('Fu et al., Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing, 2019, '
      'arXiv:1903.10145')
SHAO = 'Shao et al., ControlVAE: Controllable Variational Autoencoder, 2020, arXiv:2004.05988'
ZHU = 'Zhu et al., A Batch Normalized Inference Network Keeps the KL Vanishing Away, 2020, arXiv:2004.12585'
RAZAVI = 'Razavi et al., Preventing Posterior Collapse with delta-VAEs, 2019, arXiv:1901.03416'
XU = 'Xu and Durrett, Spherical Latent Spaces for Stable Variational Autoencoders, 2018, arXiv:1808.10805'
YANG = ('Yang et al., Improved Variational Autoencoders for Text Modeling using Dilated Convolutions, 2017, '
        'arXiv:1702.08139')
TWR = ('Li et al., Improving Variational Autoencoder for Text Modelling with Timestep-Wise Regularisation, 2020, '
       'arXiv:2011.01136')
FANG = 'Fang et al., Implicit Deep Latent Variable Models for Text Generation, 2019, arXiv:1908.11527'
DAI = 'Dai et al., APo-VAE: Text Generation in Hyperbolic Space, 2021, arXiv:2005.00054'
DING = ('Ding and Gimpel, FlowPrior: Learning Expressive Priors for Latent Variable Sentence Models, '
        'NAACL 2021')
TOMCZAK = 'Tomczak and Welling, VAE with a VampPrior, 2018, arXiv:1705.07120'
TOLSTIKHIN = 'Tolstikhin et al., Wasserstein Auto-Encoders, 2018, arXiv:1711.01558'
BAHULEYAN = ('Bahuleyan et al., Stochastic Wasserstein Autoencoder for Probabilistic Sentence Generation, 2019, '
             'arXiv:1806.08462')
SHEN = ('Shen et al., Educating Text Autoencoders: Latent Representation Guidance via Denoising, 2020, '
        'arXiv:1905.12777')
ZHANG = 'Zhang et al., Improving Variational Autoencoders with Density Gap-based Regularization, 2022'
DAVAM = ('Fang et al., Discrete Auto-regressive Variational Attention Models for Text Modeling, 2021, '
         'arXiv:2106.08571')
GOODFELLOW = 'Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661'
NOWOZIN = ('Nowozin et al., f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization, '
           '2016, arXiv:1606.00709')
ENERGY = 'Zhao et al., Energy-based Generative Adversarial Network, 2017, arXiv:1609.03126'
MAKHZANI = 'Makhzani et al., Adversarial Autoencoders, 2016, arXiv:1511.05644'
MOMENTS = 'Li et al., Generative Moment Matching Networks, 2015, arXiv:1502.02761'
INFO = 'Zhao et al., InfoVAE: Information Maximizing Variational Autoencoders, 2017, arXiv:1706.02262'
BURGESS = 'Burgess et al., Understanding disentangling in beta-VAE, 2018, arXiv:1804.03599'
MAPS = {
    'pca': ('Pearson, On Lines and Planes of Closest Fit to Systems of Points in Space, 1901', {}),
    'kernel_pca': ('Schoelkopf, Smola and Mueller, Nonlinear Component Analysis as a Kernel Eigenvalue Problem, 1998',
                   {}),
    'isomap': ('Tenenbaum, de Silva and Langford, A Global Geometric Framework for Nonlinear Dimensionality '
               'Reduction, 2000', {}),
    'lle': ('Roweis and Saul, Nonlinear Dimensionality Reduction by Locally Linear Embedding, 2000', {}),
    'laplacian': ('Belkin and Niyogi, Laplacian Eigenmaps for Dimensionality Reduction and Data Representation, 2003',
                  {}),
    'tsne': ('van der Maaten and Hinton, Visualizing Data using t-SNE, 2008', {}),
}


class Entry(NamedTuple):
    """One method of the registry."""
    factory: Callable                  # (kit, recipe, **options) -> Method
    hp: Mapping[str, float]            # defaults of the traced numbers; 'lr' and 'lr_scale' are the table's
    paper: str
    needs: tuple[str, ...]             # of a kit: see `networks.KitEntry.offers`
    options: Mapping[str, Any] = {}    # defaults of the factory's static options that make this row


def against(**hp):
    """hp of `adversarial_autoencoders.play`."""
    return {'critic_lr': 2e-4, 'adversarial': 1., **hp}


def weight(beta=1., warmup=0., period=0., start=0.):
    """hp of `objectives.scheduled_weight`."""
    return {'beta': beta, 'beta_start': start, 'warmup': warmup, 'delay': 0., 'period': period}


METHODS = {
    # baselines
    'source': Entry(baselines.source, {}, 'the synthetic corpus itself', NOTHING),
    'lstm_lm': Entry(baselines.language_model, {}, f'{BOWMAN} (its baseline)', LANGUAGE_MODEL),
    'ae': Entry(autoencoders.vae, weight(0.), f'{LI} (its first stage: beta 0, stochastic code)', AUTOENCODER,
                {'select': 'rec'}),
    'dae': Entry(autoencoders.deterministic_ae, {}, f'{BAHULEYAN} (its DAE: a deterministic code)', AUTOENCODER),
    'denoising_ae': Entry(autoencoders.deterministic_ae, {}, SHEN, DENOISING, {'corrupt': .3}),
    # weight of the rate
    'vae': Entry(
        autoencoders.vae, weight(),
        'Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114', AUTOENCODER),
    'anneal': Entry(autoencoders.vae, weight(warmup=10.), BOWMAN, AUTOENCODER),
    'cost_anneal': Entry(autoencoders.vae, weight(warmup=10.), f'{SHAO} (its cost annealing)', AUTOENCODER,
                         {'shape': 'sigmoid'}),
    'cyclical': Entry(autoencoders.vae, weight(warmup=5., period=10.), FU, AUTOENCODER),
    'beta_vae': Entry(
        autoencoders.vae, weight(.5),
        'Higgins et al., beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework, 2017',
        AUTOENCODER),
    'capacity_vae': Entry(
        autoencoders.capacity_vae, {**weight(), 'capacity': 8., 'capacity_epochs': 10.},
        BURGESS, AUTOENCODER),
    'control_vae': Entry(
        autoencoders.control_vae,
        {'target': 3., 'kp': .01, 'ki': 1e-4, 'beta_min': 0., 'beta_max': 1.}, SHAO, AUTOENCODER),
    # free bits and pretraining
    'fb': Entry(autoencoders.free_bits, {**weight(warmup=10.), 'target': 8.}, f'{LI} (its VAE + FB)', AUTOENCODER),
    'fb_max': Entry(
        autoencoders.free_bits, {**weight(warmup=10.), 'target': 8.},
        'Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow, 2016, arXiv:1606.04934',
        AUTOENCODER, {'reduce': 'batch', 'form': 'max'}),
    'fbp': Entry(autoencoders.free_bits, {**weight(warmup=10.), 'target': 8.},
                 f'{LI} (its baseline: one threshold on the total)', AUTOENCODER, {'scope': 'total'}),
    'pre_ae_fb': Entry(autoencoders.free_bits, {**weight(warmup=10.), 'target': 8.}, LI,
                       AUTOENCODER, {'pretrain': True}),
    'pre_ae_cyclical': Entry(autoencoders.vae, weight(warmup=5., period=10.), f'{ZHU} (its comparison)', AUTOENCODER,
                             {'pretrain': True}),
    'pre_ae_delta': Entry(autoencoders.delta_vae, weight(warmup=10.), f'{ZHU} (its comparison)', AUTOENCODER,
                          {'rate': .15, 'pretrain': True}),
    'pre_ae_vmf': Entry(geometry.vmf_vae, weight(), f'{ZHU} (its comparison)', AUTOENCODER,
                        {'kappa': 13., 'pretrain': True}),
    'pre_ae_bn': Entry(autoencoders.bn_vae, {**weight(warmup=10.), 'gamma': .6}, ZHU, AUTOENCODER, {'pretrain': True}),
    # inference
    'lagging': Entry(
        lagging.lagging, weight(warmup=10., start=.1),
        'He et al., Lagging Inference Networks and Posterior Collapse in Variational Autoencoders, 2019, '
        'arXiv:1901.05534', AUTOENCODER),
    'sa_vae': Entry(
        semi_amortized.semi_amortised, weight(warmup=10., start=.1),
        'Kim et al., Semi-Amortized Variational Autoencoders, 2018, arXiv:1802.02550', AUTOENCODER),
    # structure
    'skip_vae': Entry(
        text_decoders.skip_vae, weight(warmup=10., start=.1),
        'Dieng et al., Avoiding Latent Variable Collapse With Generative Skip Models, 2019, arXiv:1807.04863', SKIP),
    'bow_vae': Entry(
        text_decoders.bow_vae, {**weight(warmup=10.), 'bow': 1.},
        'Zhao et al., Learning Discourse-level Diversity for Neural Dialog Models using Conditional Variational '
        'Autoencoders, 2017, arXiv:1703.10960', BAG),
    'scnn_vae': Entry(text_decoders.cnn_vae, weight(warmup=10.), YANG, DILATED, {'dilations': (1, 2, 4)}),
    'mcnn_vae': Entry(text_decoders.cnn_vae, weight(warmup=10.), YANG, DILATED, {'dilations': (1, 2, 4, 8, 16)}),
    'lcnn_vae': Entry(text_decoders.cnn_vae, weight(warmup=10.), YANG, DILATED, {'dilations': (1, 2, 4, 8, 16) * 2}),
    'delta_vae': Entry(autoencoders.delta_vae, weight(warmup=10.), RAZAVI, AUTOENCODER, {'rate': .1}),
    'bn_vae': Entry(autoencoders.bn_vae, {**weight(warmup=10.), 'gamma': .6}, ZHU, AUTOENCODER),
    'bn_vae_learnable': Entry(autoencoders.bn_vae_learnable, weight(warmup=10.), f'{ZHU} (its extension)', AUTOENCODER),
    'twr': Entry(timestep_posteriors.twr_vae, weight(), TWR, STEPS),
    'twr_mean': Entry(timestep_posteriors.twr_vae, weight(), TWR, COUNTED_STEPS, {'reads': 'mean'}),
    'twr_sum': Entry(timestep_posteriors.twr_vae, weight(), TWR, COUNTED_STEPS, {'reads': 'sum'}),
    # posterior and geometry
    'vmf_vae': Entry(geometry.vmf_vae, weight(), XU, AUTOENCODER, {'kappa': 13.}),
    'p_vae': Entry(
        geometry.p_vae, weight(warmup=10.),
        'Mathieu et al., Continuous Hierarchical Representations with Poincare Variational Auto-Encoders, 2019, '
        'arXiv:1901.06033', AUTOENCODER, {'c': .1}),
    'apo_vae': Entry(implicit.apo_vae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5}, DAI, DUAL, {'c': .1}),
    'apo_vae_vp': Entry(implicit.apo_vae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5, 'prior_lr': 1e-3},
                        f'{DAI} (its +VP)', PSEUDO_DUAL, {'c': .1, 'pseudo': 50}),
    # prior
    'flow_prior': Entry(priors.flow_prior, weight(warmup=10.), DING, DUAL),
    'flow_prior_fb': Entry(priors.flow_prior, {**weight(warmup=10.), 'target': 8.}, f'{DING} (its +FB)', DUAL,
                           {'free': 'both'}),
    'mog_vae': Entry(priors.mog_vae, weight(warmup=10.), f'{DING} (its MoG-VAE)', AUTOENCODER),
    'mog_vae_fb': Entry(priors.mog_vae, {**weight(warmup=10.), 'target': 8.}, f'{DING} (its MoG-VAE + FB)', AUTOENCODER,
                        {'free': 'both'}),
    'vamp_vae': Entry(priors.vamp_vae, weight(warmup=10.), f'{TOMCZAK}; {DING}', PSEUDO),
    'vamp_vae_fb': Entry(priors.vamp_vae, {**weight(warmup=10.), 'target': 8.},
                         f'{TOMCZAK}; {DING} (its Vamp-VAE + FB)', PSEUDO, {'free': 'both'}),
    # aggregated posterior
    'wae_gan': Entry(aggregate_posterior.wae_gan, {**weight(10.), 'critic_lr': 5e-4}, f'{TOLSTIKHIN}; {SHEN}', DUAL),
    'wae_mmd': Entry(autoencoders.wae_mmd, weight(100.), f'{TOLSTIKHIN}; {BAHULEYAN}', AUTOENCODER),
    'wae_s': Entry(aggregate_posterior.wae_s, {**weight(32.), 'kl_weight': .106},
                   f'{BAHULEYAN} (its WAE-S)', AUTOENCODER),
    'ivae': Entry(implicit.ivae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5}, FANG, DUAL),
    'ivae_mi': Entry(implicit.ivae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5}, FANG, DUAL, {'marginal': True}),
    'dg_vae': Entry(aggregate_posterior.dg_vae, weight(warmup=10.), ZHANG, AUTOENCODER, {'chunk': 32}),
    'dg_vmf': Entry(aggregate_posterior.dg_vmf, weight(warmup=10.), f'{ZHANG} (its DG-vMF-VAE)', AUTOENCODER,
                    {'chunk': 32, 'kappa': 13.}),
    # discrete
    'gavam': Entry(vector_quantized.gavam, weight(), f'{DAVAM} (its Gaussian baseline)', ATTENTION),
    'davam': Entry(vector_quantized.davam, {'commit': .25, 'decay': .99}, DAVAM, ATTENTION, {'codes': 512}),
    'davam_q': Entry(vector_quantized.davam, {'commit': .25, 'decay': .99},
                     f'{DAVAM} (without attention: one code)', SEQUENCE,
                     {'codes': 512, 'attention': False}),
    # autoencoders of images
    'ae_gmm': Entry(autoencoders.ae_gmm, {'mixture_lr': 1e-2}, 'an autoencoder, and a mixture fitted to its codes',
                    AUTOENCODER),
    'decreasing_beta': Entry(autoencoders.vae, weight(start=100., warmup=10.), f'{BURGESS} (a falling weight instead)',
                             AUTOENCODER, {'shape': 'exponential'}),
    'info_vae': Entry(autoencoders.info_vae, {'alpha': .5, 'mmd': 10.}, INFO, AUTOENCODER),
    'mmd_vae': Entry(autoencoders.info_vae, {'alpha': 1., 'mmd': 10.}, f'{INFO} (alpha 1)', AUTOENCODER),
    'aae': Entry(adversarial_autoencoders.aae, against(), MAKHZANI, ADVERSARIAL),
    'aae_supervised': Entry(adversarial_autoencoders.supervised_aae, against(), MAKHZANI, ADVERSARIAL),
    'aae_semi': Entry(adversarial_autoencoders.categorical_aae, against(label_noise=.3), MAKHZANI, ADVERSARIAL),
    'aae_cluster': Entry(adversarial_autoencoders.categorical_aae, against(label_noise=.3), MAKHZANI, ADVERSARIAL,
                         {'clusters': 16, 'labelled': False}),
    'aae_heads': Entry(adversarial_autoencoders.categorical_aae, against(label_noise=.3, eta=4., apart=1.), MAKHZANI,
                       ADVERSARIAL, {'clusters': 20, 'labelled': False, 'heads': True}),
    'classifier': Entry(baselines.classifier, {}, 'supervised reference: cross-entropy on every label', CLASSIFIER),
    # games
    'gan': Entry(gans.gan, {}, GOODFELLOW, GAN),
    'gan_minmax': Entry(gans.gan, {}, GOODFELLOW, GAN, {'form': 'minmax'}),
    'dcgan': Entry(
        gans.gan, {}, 'Radford et al., Unsupervised Representation Learning with Deep Convolutional Generative '
        'Adversarial Networks, 2016, arXiv:1511.06434', GAN, {'noise': 'uniform', 'norm': True}),
    **{f'f_gan_{name}': Entry(gans.f_gan, {}, NOWOZIN, GAN, {'divergence': name})
       for name in ('kl', 'reverse_kl', 'pearson', 'hellinger', 'js', 'gan')},
    'wgan': Entry(gans.wgan, {'clip': .01}, 'Arjovsky et al., Wasserstein GAN, 2017, arXiv:1701.07875', GAN),
    'wgan_gp': Entry(
        gans.wgan_gp, {'penalty': 10.},
        'Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028', GAN),
    'lsgan': Entry(gans.lsgan, {},
                   'Mao et al., Least Squares Generative Adversarial Networks, 2017, arXiv:1611.04076', GAN),
    'ebgan': Entry(energy_gans.ebgan, {'margin': .1, 'pulling': 0.}, ENERGY, ENERGY_GAN),
    'ebgan_pt': Entry(energy_gans.ebgan, {'margin': .1, 'pulling': .1}, f'{ENERGY} (its EBGAN-PT)',
                      ENERGY_GAN),
    'began': Entry(
        energy_gans.began, {'gamma': .5, 'lambda_k': 1e-3},
        'Berthelot et al., BEGAN: Boundary Equilibrium Generative Adversarial Networks, 2017, '
        'arXiv:1703.10717', ENERGY_GAN),
    'infogan': Entry(
        gans.infogan, {'info': 1., 'info_continuous': .1, 'critic_lr': 2e-4},
        'Chen et al., InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial '
        'Nets, 2016, arXiv:1606.03657', GAN),
    # moments
    'gmmn': Entry(moment_matching.gmmn, {}, MOMENTS, GENERATOR),
    'gmmn_ae': Entry(moment_matching.gmmn_ae, {}, f'{MOMENTS} (its GMMN+AE)', DUAL),
    'mmd_gan': Entry(
        moment_matching.mmd_gan, {'rank': 16., 'rec': 8., 'clip': .01},
        'Li et al., MMD GAN: Towards Deeper Understanding of Moment Matching Network, 2017, arXiv:1705.08584', GAN),
    # maps of scikit-learn's
    **{name: Entry(manifold_learning.embedding, {}, paper, DATA, {'estimator': name, **options})
       for name, (paper, options) in MAPS.items()},
    'mlle': Entry(manifold_learning.embedding, {},
                  'Zhang and Wang, MLLE: Modified Locally Linear Embedding Using Multiple '
                  'Weights, 2007', DATA, {'estimator': 'lle', 'method': 'modified'}),
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
