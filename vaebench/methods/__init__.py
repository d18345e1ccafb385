"""The registry: every method by name, with its factory, its numbers and its papers."""
import importlib.metadata

from vaebench.errors import UserError, unknown
from vaebench.methods import (
    adversarial_autoencoders,
    aggregate_posterior,
    autoencoders,
    baselines,
    decompositions,
    dialogue_entries,
    disentangled,
    energy_gans,
    gans,
    geometry,
    implicit,
    importance_weighted,
    lagging,
    manifold_learning,
    map_entries,
    moment_matching,
    priors,
    rate_control,
    semi_amortized,
    sequence_latents,
    style_entries,
    symmetry_entries,
    text_decoders,
    timestep_posteriors,
    vector_quantized,
)
from vaebench.methods.entry import Entry, weight

__all__ = ['GROUP', 'METHODS', 'Entry', 'against', 'find', 'weight']

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

APART = {'alpha': "weight of the aggregate posterior's divergence from the prior"}
MAPS = {
    'pca': 'pearson1901lines', 'kernel_pca': 'schoelkopf1998nonlinear',
    'isomap': 'tenenbaum2000global', 'lle': 'roweis2000nonlinear',
    'laplacian': 'belkin2003laplacian', 'tsne': 'vandermaaten2008visualizing',
}


def against(**hp: float) -> dict[str, float]:
    """hp of `latent_critics.adversarial_autoencoder`."""
    return {'critic_lr': 2e-4, 'adversarial': 1., **hp}


METHODS = {
    # baselines
    'source': Entry(baselines.source, {}, (), NOTHING, note='the synthetic corpus itself'),
    'lstm_lm': Entry(baselines.language_model, {}, ('bowman2016generating',), LANGUAGE_MODEL,
                     note='its baseline'),
    'ae': Entry(autoencoders.vae, weight(0.), ('li2019surprisingly',), AUTOENCODER,
                note='its first stage: beta 0, stochastic code'),
    'dae': Entry(autoencoders.deterministic_ae, {}, ('bahuleyan2019stochastic',), AUTOENCODER,
                 note='its DAE: a deterministic code'),
    'denoising_ae': Entry(autoencoders.deterministic_ae, {}, ('shen2020educating',), DENOISING,
                          {'corrupt': .3}),
    # weight of the rate
    'vae': Entry(autoencoders.vae, weight(), ('kingma2014autoencoding',), AUTOENCODER),
    'anneal': Entry(autoencoders.vae, weight(warmup=10.), ('bowman2016generating',),
                    AUTOENCODER),
    'cost_anneal': Entry(autoencoders.vae, weight(warmup=10.), ('shao2020controlvae',),
                         AUTOENCODER, {'shape': 'sigmoid'}, note='its cost annealing'),
    'cyclical': Entry(autoencoders.vae, weight(warmup=5., period=10.), ('fu2019cyclical',),
                      AUTOENCODER),
    'beta_vae': Entry(autoencoders.vae, weight(.5), ('higgins2017betavae',), AUTOENCODER),
    'capacity_vae': Entry(rate_control.capacity_vae,
                          {**weight(), 'capacity': 8., 'capacity_epochs': 10.},
                          ('burgess2018understanding',), AUTOENCODER),
    'control_vae': Entry(rate_control.control_vae,
                         {'target': 3., 'kp': .01, 'ki': 1e-4, 'beta_min': 0., 'beta_max': 1.},
                         ('shao2020controlvae',), AUTOENCODER,
                         meanings={'target': 'KL to be held, nats per example'}),
    # free bits and pretraining
    'fb': Entry(rate_control.free_bits, {**weight(warmup=10.), 'target': 8.},
                ('li2019surprisingly',), AUTOENCODER, note='its VAE + FB'),
    'fb_max': Entry(rate_control.free_bits, {**weight(warmup=10.), 'target': 8.},
                    ('kingma2016improving',), AUTOENCODER, {'reduce': 'batch', 'form': 'max'}),
    'fbp': Entry(rate_control.free_bits, {**weight(warmup=10.), 'target': 8.},
                 ('li2019surprisingly',), AUTOENCODER, {'scope': 'total'},
                 note='its baseline: one threshold on the total'),
    'pre_ae_fb': Entry(rate_control.free_bits, {**weight(warmup=10.), 'target': 8.},
                       ('li2019surprisingly',), AUTOENCODER, {'pretrain': True}),
    'pre_ae_cyclical': Entry(autoencoders.vae, weight(warmup=5., period=10.),
                             ('zhu2020batch',), AUTOENCODER, {'pretrain': True},
                             note='its comparison'),
    'pre_ae_delta': Entry(rate_control.delta_vae, weight(warmup=10.), ('zhu2020batch',),
                          AUTOENCODER, {'rate': .15, 'pretrain': True}, note='its comparison'),
    'pre_ae_vmf': Entry(geometry.vmf_vae, weight(), ('zhu2020batch',), AUTOENCODER,
                        {'kappa': 13., 'pretrain': True}, note='its comparison'),
    'pre_ae_bn': Entry(rate_control.bn_vae, {**weight(warmup=10.), 'gamma': .6},
                       ('zhu2020batch',), AUTOENCODER, {'pretrain': True}),
    # inference
    'lagging': Entry(lagging.lagging, weight(warmup=10., start=.1), ('he2019lagging',),
                     AUTOENCODER),
    'sa_vae': Entry(semi_amortized.semi_amortized, weight(warmup=10., start=.1),
                    ('kim2018semiamortized',), AUTOENCODER),
    # structure
    'skip_vae': Entry(text_decoders.skip_vae, weight(warmup=10., start=.1),
                      ('dieng2019avoiding',), SKIP),
    'bow_vae': Entry(text_decoders.bow_vae, {**weight(warmup=10.), 'bow': 1.},
                     ('zhao2017learning',), BAG),
    'scnn_vae': Entry(text_decoders.cnn_vae, weight(warmup=10.), ('yang2017improved',),
                      DILATED, {'dilations': (1, 2, 4)}),
    'mcnn_vae': Entry(text_decoders.cnn_vae, weight(warmup=10.), ('yang2017improved',),
                      DILATED, {'dilations': (1, 2, 4, 8, 16)}),
    'lcnn_vae': Entry(text_decoders.cnn_vae, weight(warmup=10.), ('yang2017improved',),
                      DILATED, {'dilations': (1, 2, 4, 8, 16) * 2}),
    'delta_vae': Entry(rate_control.delta_vae, weight(warmup=10.), ('razavi2019preventing',),
                       AUTOENCODER, {'rate': .1}),
    'bn_vae': Entry(rate_control.bn_vae, {**weight(warmup=10.), 'gamma': .6},
                    ('zhu2020batch',), AUTOENCODER),
    'bn_vae_learnable': Entry(rate_control.bn_vae_learnable, weight(warmup=10.),
                              ('zhu2020batch',), AUTOENCODER, note='its extension'),
    'twr': Entry(timestep_posteriors.twr_vae, weight(), ('li2020improving',), STEPS),
    'twr_mean': Entry(timestep_posteriors.twr_vae, weight(), ('li2020improving',),
                      COUNTED_STEPS, {'reads': 'mean'}),
    'twr_sum': Entry(timestep_posteriors.twr_vae, weight(), ('li2020improving',),
                     COUNTED_STEPS, {'reads': 'sum'}),
    # posterior and geometry
    'vmf_vae': Entry(geometry.vmf_vae, weight(), ('xu2018spherical',), AUTOENCODER,
                     {'kappa': 13.}),
    'p_vae': Entry(geometry.p_vae, weight(warmup=10.), ('mathieu2019continuous',), AUTOENCODER,
                   {'c': .1}),
    'apo_vae': Entry(implicit.apo_vae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5},
                     ('dai2021apovae',), DUAL, {'c': .1}),
    'apo_vae_vp': Entry(implicit.apo_vae,
                        {**weight(warmup=10., start=.1), 'nu_lr': 1e-5, 'prior_lr': 1e-3},
                        ('dai2021apovae',), PSEUDO_DUAL, {'c': .1, 'pseudo': 50},
                        note='its +VP'),
    'iwae': Entry(importance_weighted.iwae, weight(), ('burda2016importance',), AUTOENCODER),
    # prior
    'flow_prior': Entry(priors.flow_prior, weight(warmup=10.), ('ding2021flowprior',), DUAL),
    'flow_prior_fb': Entry(priors.flow_prior, {**weight(warmup=10.), 'target': 8.},
                           ('ding2021flowprior',), DUAL, {'free': 'both'}, note='its +FB'),
    'mog_vae': Entry(priors.mog_vae, weight(warmup=10.), ('ding2021flowprior',), AUTOENCODER,
                     note='its MoG-VAE'),
    'mog_vae_fb': Entry(priors.mog_vae, {**weight(warmup=10.), 'target': 8.},
                        ('ding2021flowprior',), AUTOENCODER, {'free': 'both'},
                        note='its MoG-VAE + FB'),
    'vamp_vae': Entry(priors.vamp_vae, weight(warmup=10.),
                      ('tomczak2018vae', 'ding2021flowprior'), PSEUDO),
    'vamp_vae_fb': Entry(priors.vamp_vae, {**weight(warmup=10.), 'target': 8.},
                         ('tomczak2018vae', 'ding2021flowprior'), PSEUDO, {'free': 'both'},
                         note='its Vamp-VAE + FB'),
    # aggregated posterior
    'wae_gan': Entry(aggregate_posterior.wae_gan, {**weight(10.), 'critic_lr': 5e-4},
                     ('tolstikhin2018wasserstein', 'shen2020educating'), DUAL),
    'wae_mmd': Entry(autoencoders.wae_mmd, weight(100.),
                     ('tolstikhin2018wasserstein', 'bahuleyan2019stochastic'), AUTOENCODER),
    'wae_s': Entry(aggregate_posterior.wae_s, {**weight(32.), 'kl_weight': .106},
                   ('bahuleyan2019stochastic',), AUTOENCODER, note='its WAE-S'),
    'ivae': Entry(implicit.ivae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5},
                  ('fang2019implicit',), DUAL),
    'ivae_mi': Entry(implicit.ivae, {**weight(warmup=10., start=.1), 'nu_lr': 1e-5},
                     ('fang2019implicit',), DUAL, {'marginal': True}),
    'dg_vae': Entry(aggregate_posterior.dg_vae, weight(warmup=10.), ('zhang2022improving',),
                    AUTOENCODER, {'chunk': 32}),
    'dg_vmf': Entry(aggregate_posterior.dg_vmf, weight(warmup=10.), ('zhang2022improving',),
                    AUTOENCODER, {'chunk': 32, 'kappa': 13.}, note='its DG-vMF-VAE'),
    # decompositions
    'axis_vae': Entry(decompositions.alpha_beta, weight(), ('mathieu2019disentangling',),
                      (*AUTOENCODER, 'x'), {'prior': 'principal'},
                      note='its priors along axes: principal, learned, student, isotropic'),
    'clustered_vae': Entry(decompositions.alpha_beta, {**weight(0.), 'alpha': 1.},
                           ('mathieu2019disentangling',), AUTOENCODER,
                           {'prior': 'clusters', 'divergence': 'inclusive', 'std': 'softplus'},
                           note='its clustered prior', meanings=APART),
    'sparse_vae': Entry(decompositions.alpha_beta, {**weight(), 'alpha': 100., 'gamma': .8},
                        ('mathieu2019disentangling',), AUTOENCODER,
                        {'prior': 'sparse', 'divergence': 'dimensions', 'std': 'softplus'},
                        note='its sparse prior',
                        meanings={**APART, 'gamma': 'share of the dimensions that the prior '
                                                    'has off'}),
    # discrete
    'gavam': Entry(sequence_latents.gavam, weight(), ('fang2021discrete',), ATTENTION,
                   note='its Gaussian baseline'),
    'davam': Entry(vector_quantized.davam, {'commit': .25, 'decay': .99},
                   ('fang2021discrete',), ATTENTION, {'codes': 512}),
    'davam_q': Entry(vector_quantized.davam, {'commit': .25, 'decay': .99},
                     ('fang2021discrete',), SEQUENCE, {'codes': 512, 'attention': False},
                     note='without attention: one code'),
    # autoencoders of images
    'ae_gmm': Entry(autoencoders.ae_gmm, {'mixture_lr': 1e-2}, (), AUTOENCODER,
                    note='an autoencoder, and a mixture fitted to its codes'),
    'decreasing_beta': Entry(autoencoders.vae, weight(start=100., warmup=10.),
                             ('burgess2018understanding',), AUTOENCODER,
                             {'shape': 'exponential'}, note='a falling weight instead'),
    'info_vae': Entry(autoencoders.info_vae, {'alpha': .5, 'mmd': 10.}, ('zhao2017infovae',),
                      AUTOENCODER),
    'mmd_vae': Entry(autoencoders.info_vae, {'alpha': 1., 'mmd': 10.}, ('zhao2017infovae',),
                     AUTOENCODER, note='alpha 1'),
    'aae': Entry(adversarial_autoencoders.aae, against(), ('makhzani2016adversarial',),
                 ADVERSARIAL),
    'aae_supervised': Entry(adversarial_autoencoders.supervised_aae, against(),
                            ('makhzani2016adversarial',), ADVERSARIAL),
    'aae_semi': Entry(adversarial_autoencoders.categorical_aae, against(label_noise=.3),
                      ('makhzani2016adversarial',), ADVERSARIAL),
    'aae_cluster': Entry(adversarial_autoencoders.categorical_aae, against(label_noise=.3),
                         ('makhzani2016adversarial',), ADVERSARIAL,
                         {'clusters': 16, 'labelled': False}),
    'aae_heads': Entry(adversarial_autoencoders.categorical_aae,
                       against(label_noise=.3, eta=4., apart=1.), ('makhzani2016adversarial',),
                       ADVERSARIAL, {'clusters': 20, 'labelled': False, 'heads': True}),
    'classifier': Entry(baselines.classifier, {}, (), CLASSIFIER,
                        note='supervised reference: cross-entropy on every label'),
    # independent codes; Locatello et al.'s grids, with batches of 64 and Adam at 1e-4: beta_vae
    # 1, 2, 4, 6, 8, 16; capacity_vae 5, 10, 25, 50, 75, 100 nats at beta 1000; beta_tcvae 1, 2,
    # 4, 6, 8, 10; factor_vae 10, 20, 30, 40, 50, 100; lambda_od 1, 2, 5, 10, 20, 50
    'beta_tcvae': Entry(disentangled.beta_tcvae, {'alpha': 1., 'beta': 6., 'gamma': 1.},
                        ('chen2018isolating', 'locatello2019challenging'), AUTOENCODER,
                        {'weights': 'mws'}, note='minibatch weighted sampling',
                        meanings={'alpha': 'weight of the information',
                                  'beta': 'weight of the total correlation',
                                  'gamma': "weight of the dimensions' own KLs"}),
    'factor_vae': Entry(disentangled.factor_vae, {'gamma': 10., 'critic_lr': 1e-4},
                        ('kim2018disentangling', 'locatello2019challenging'), DUAL,
                        meanings={'gamma': "weight of the critic's total correlation"}),
    'dip_vae_i': Entry(disentangled.dip_vae, {'lambda_od': 10., 'lambda_d': 100.},
                       ('kumar2018variational', 'locatello2019challenging'), AUTOENCODER,
                       {'form': 'i'}, note='its DIP-VAE-I'),
    'dip_vae_ii': Entry(disentangled.dip_vae, {'lambda_od': 10., 'lambda_d': 10.},
                        ('kumar2018variational', 'locatello2019challenging'), AUTOENCODER,
                        {'form': 'ii'}, note='its DIP-VAE-II'),
    'supervised_codes': Entry(baselines.supervised_codes, {}, (), CLASSIFIER,
                              note='supervised reference: codes regressed on the factors'),
    'pca_codes': Entry(baselines.pca_codes, {}, ('pearson1901lines',), DATA,
                       note='as an encoder: the linear floor of representations'),
    # games
    'gan': Entry(gans.gan, {}, ('goodfellow2014generative',), GAN),
    'gan_minmax': Entry(gans.gan, {}, ('goodfellow2014generative',), GAN, {'form': 'minmax'}),
    'dcgan': Entry(gans.gan, {}, ('radford2016unsupervised',), GAN,
                   {'noise': 'uniform', 'norm': True}),
    **{
        f'f_gan_{name}': Entry(gans.f_gan, {}, ('nowozin2016fgan',), GAN, {'divergence': name})
        for name in ('kl', 'reverse_kl', 'pearson', 'hellinger')
    },
    **{
        f'f_gan_{name}': Entry(gans.f_gan, {}, ('nowozin2016fgan',), GAN, {'divergence': name},
                               note='gan_minmax but for a constant: no table shows both')
        for name in ('js', 'gan')
    },
    'wgan': Entry(gans.wgan, {'clip': .01}, ('arjovsky2017wasserstein',), GAN),
    'wgan_gp': Entry(gans.wgan_gp, {'penalty': 10.}, ('gulrajani2017improved',), GAN),
    'lsgan': Entry(gans.lsgan, {}, ('mao2017least',), GAN),
    'ebgan': Entry(energy_gans.ebgan, {'margin': .1, 'pulling': 0.}, ('zhao2017energybased',),
                   ENERGY_GAN),
    'ebgan_pt': Entry(energy_gans.ebgan, {'margin': .1, 'pulling': .1},
                      ('zhao2017energybased',), ENERGY_GAN, note='its EBGAN-PT'),
    'began': Entry(energy_gans.began, {'gamma': .5, 'lambda_k': 1e-3},
                   ('berthelot2017began',), ENERGY_GAN,
                   meanings={'gamma': "ratio of the samples' error to the data's that is held: "
                                      'low for quality, high for diversity'}),
    'infogan': Entry(gans.infogan, {'info': 1., 'info_continuous': .1, 'critic_lr': 2e-4},
                     ('chen2016infogan',), GAN),
    # moments
    'gmmn': Entry(moment_matching.gmmn, {}, ('li2015generative',), GENERATOR),
    'gmmn_ae': Entry(moment_matching.gmmn_ae, {}, ('li2015generative',), DUAL,
                     note='its GMMN+AE'),
    'mmd_gan': Entry(moment_matching.mmd_gan, {'rank': 16., 'rec': 8., 'clip': .01},
                     ('li2017mmd',), GAN,
                     meanings={'clip': "bound of the encoder's parameters"}),
    # maps of scikit-learn's
    **{
        name: Entry(manifold_learning.embedding, {}, (paper,), DATA, {'estimator': name})
        for name, paper in MAPS.items()
    },
    'mlle': Entry(manifold_learning.embedding, {}, ('zhang2007mlle',), DATA,
                  {'estimator': 'lle', 'method': 'modified'}),
    # sentences rewritten to another style
    **style_entries.METHODS,
    **map_entries.METHODS,
    # what is told: a label, or a conversation
    **dialogue_entries.METHODS,
    # networks that may commute with a group
    **symmetry_entries.METHODS,
}
"""Methods by name. A row of a table may override any number in `hp` and any of `options`."""


def find(name: str) -> Entry:
    """The entry of a method, ours or of an installed package (entry points `vaebench.methods`).

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
        raise UserError(f'method {name!r} of an installed package ({others[name].value}) '
                        f'cannot be imported: {error}') from error
