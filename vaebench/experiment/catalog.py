"""The rows that there are, as data: of text, of images and points, and of maps to the plane.

Numbers are those of the papers, at the size of the papers. A config changes what depends on its
data and on the length of its run: see `rows`.
"""
from vaebench.experiment.rows import (
    Entry,
    Rows,
    among,
    change,
    having,
    hp,
    linear,
    log,
    options,
    overrides,
    row,
    space,
)

RAMP = hp(warmup=10.)                       # epochs in which the weight of the KL term grows
FREE = hp(target=8., warmup=10.)            # nats
MIXTURE = RAMP | options(draws=10, components=50)
FREE_MIXTURE = FREE | options(draws=10, components=50)
DUAL = hp(warmup=10., nu_lr=1e-5) | options(hidden=(512, 512, 512))
LAST = overrides(protocol=dict(keep='last', patience=0))     # neither selects nor decays

TEXT: Rows = {
    'lstm_lm': row('LSTM-LM', 'lstm_lm'),
    'ae': row('AE (stochastic, beta {beta:g})', 'ae'),
    'dae': row('DAE (deterministic)', 'dae'),
    'dae_noise': row('denoising AE ({corrupt:g})', 'denoising_ae'),
    'vae': row('VAE', 'vae'),
    # weight of the KL term
    'anneal': row('VAE + anneal', 'anneal', RAMP),
    'cost_anneal': row('VAE + cost annealing', 'cost_anneal', RAMP),
    'cyclical': row('VAE + cyclical', 'cyclical', hp(period=10., warmup=5.)),
    'beta_05': row('beta-VAE ({beta:g})', 'beta_vae', hp(beta=.5)),
    'beta_04': row('beta-VAE ({beta:g})', 'beta_vae', hp(beta=.4)),
    'beta_02': row('beta-VAE ({beta:g})', 'beta_vae', hp(beta=.2)),
    'beta_01': row('beta-VAE ({beta:g})', 'beta_vae', hp(beta=.1)),
    'capacity_vae': row('capacity VAE ({capacity:g})', 'capacity_vae',
                        hp(capacity=8., capacity_epochs=10.)),
    'control_vae': row('ControlVAE ({target:g})', 'control_vae', hp(target=25., ki=1e-4)),
    'control_vae_high': row('ControlVAE ({target:g})', 'control_vae', hp(target=35., ki=1e-4)),
    # free bits, and a first stage without a KL term
    'fb': row('FB ({target:g})', 'fb', FREE),
    'fb_high': row('FB ({target:g})', 'fb', hp(target=16., warmup=10.)),
    'fb_max': row('FB, classic max form ({target:g})', 'fb_max', FREE),
    'fbp': row('FBP ({target:g})', 'fbp', FREE),
    'pre_ae_fb_6': row('AE + FB ({target:g})', 'pre_ae_fb', hp(target=6., warmup=10.)),
    'pre_ae_fb_8': row('AE + FB ({target:g})', 'pre_ae_fb', hp(target=8., warmup=10.)),
    'pre_ae_fb_9': row('AE + FB ({target:g})', 'pre_ae_fb', hp(target=9., warmup=10.)),
    'pre_ae_cyclical': row('AE + cyclical', 'pre_ae_cyclical', hp(period=20., warmup=10.)),
    'pre_ae_delta': row('AE + delta-VAE ({rate:g})', 'pre_ae_delta', RAMP),
    'pre_ae_vmf': row('AE + vMF-VAE ({kappa:g})', 'pre_ae_vmf', RAMP),
    'pre_ae_bn_06': row('AE + BN-VAE ({gamma:g})', 'pre_ae_bn', RAMP, hp(gamma=.6)),
    'pre_ae_bn_07': row('AE + BN-VAE ({gamma:g})', 'pre_ae_bn', RAMP, hp(gamma=.7)),
    # inference
    # window: updates between two comparisons
    'lagging': row('Lagging (at most {max_inner} inner steps)', 'lagging', RAMP,
                   options(max_inner=99, window=15)),
    'sa_vae': row('SA-VAE ({refine} steps)', 'sa_vae', RAMP, options(refine=10)),
    # structure
    'skip_vae': row('skip-VAE', 'skip_vae', RAMP),
    'bow_vae': row('bow-VAE', 'bow_vae', RAMP),
    # channels: None for as many as the LSTM has units
    'scnn_vae': row('CNN-VAE, small', 'scnn_vae', RAMP, options(channels=None)),
    'mcnn_vae': row('CNN-VAE, medium', 'mcnn_vae', RAMP, options(channels=None)),
    'lcnn_vae': row('CNN-VAE, large', 'lcnn_vae', RAMP, options(channels=None)),
    'delta_vae': row('delta-VAE ({rate:g})', 'delta_vae', RAMP),
    'delta_vae_15': row('delta-VAE ({rate:g})', 'delta_vae', RAMP, options(rate=.15)),
    'bn_05': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=.5)),
    'bn_06': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=.6)),
    'bn_07': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=.7)),
    'bn_09': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=.9)),
    'bn_12': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=1.2)),
    'bn_15': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=1.5)),
    'bn_18': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP, hp(gamma=1.8)),
    'bn_learnable': row('BN-VAE, learnable scale', 'bn_vae_learnable', RAMP),
    'twr': row('TWR-VAE', 'twr'),
    'twr_mean': row('TWR-VAE, mean', 'twr_mean'),
    'twr_sum': row('TWR-VAE, sum', 'twr_sum'),
    'twr_last25': row('TWR-VAE, last {share:.0%}', 'twr', options(share=.25)),
    'twr_last50': row('TWR-VAE, last {share:.0%}', 'twr', options(share=.5)),
    'twr_last75': row('TWR-VAE, last {share:.0%}', 'twr', options(share=.75)),
    # posterior and geometry
    'vmf_vae': row('vMF-VAE ({kappa:g})', 'vmf_vae'),
    'p_vae': row('P-VAE', 'p_vae', RAMP),
    'apo_vae': row('APo-VAE', 'apo_vae', DUAL, LAST),
    'apo_vae_vp': row('APo-VAE + VP', 'apo_vae_vp', DUAL, LAST, options(pseudo=50)),
    # prior
    'flow_prior': row('FlowPrior', 'flow_prior', RAMP, options(draws=10)),
    'flow_prior_fb': row('FlowPrior + FB ({target:g})', 'flow_prior_fb', FREE,
                         options(draws=10)),
    'mog_vae': row('MoG-VAE', 'mog_vae', MIXTURE),
    'mog_vae_fb': row('MoG-VAE + FB ({target:g})', 'mog_vae_fb', FREE_MIXTURE),
    'vamp_vae': row('Vamp-VAE', 'vamp_vae', MIXTURE),
    'vamp_vae_fb': row('Vamp-VAE + FB ({target:g})', 'vamp_vae_fb', FREE_MIXTURE),
    # aggregated posterior; beta and kl_weight of WAE-D and WAE-S are per word: see `text`
    'wae_gan': row('WAE-GAN ({beta:g})', 'wae_gan', hp(beta=10., critic_lr=5e-4)),
    'wae_d_3': row('WAE-D (3 x words)', 'wae_mmd', hp(beta=3.), options(width=2.)),
    'wae_d_10': row('WAE-D (10 x words)', 'wae_mmd', hp(beta=10.), options(width=2.)),
    'wae_s_0': row('WAE-S (0 x words)', 'wae_s', hp(beta=3., kl_weight=0.)),
    'wae_s_001': row('WAE-S (0.01 x words)', 'wae_s', hp(beta=3., kl_weight=.01)),
    'wae_s_01': row('WAE-S (0.1 x words)', 'wae_s', hp(beta=3., kl_weight=.1)),
    'info_vae': row('InfoVAE ({alpha:g}, {mmd:g})', 'info_vae', hp(mmd=10.)),
    'ivae': row('iVAE', 'ivae', DUAL, LAST, options(noise_scale=.1)),
    'ivae_mi': row('iVAE_MI', 'ivae_mi', DUAL, LAST, options(noise_scale=.1)),
    'dg_vae_1': row('DG-VAE (|b| = {chunk})', 'dg_vae', RAMP, options(chunk=1)),
    'dg_vae_4': row('DG-VAE (|b| = {chunk})', 'dg_vae', RAMP, options(chunk=4)),
    'dg_vae_32': row('DG-VAE (|b| = {chunk})', 'dg_vae', RAMP, options(chunk=32)),
    'dg_vmf': row('DG-vMF-VAE', 'dg_vmf', RAMP),
    # discrete
    'gavam': row('GAVAM', 'gavam', RAMP),
    'davam_q': row('DAVAM-q (K = {codes})', 'davam_q', options(codes=512)),
    'davam': row('DAVAM (K = {codes})', 'davam', options(codes=128)),
    'davam_large': row('DAVAM (K = {codes})', 'davam', options(codes=512)),
    # the same methods at further settings that papers print numbers of: of iVAE (annealed beta
    # of 0.5), Li et al. (FBP), BN-VAE and DG-VAE (the others)
    'cyclical_20': row('VAE + cyclical, {period:g} epochs', 'cyclical',
                       hp(period=20., warmup=10.)),
    'beta_05_anneal': row('beta-VAE ({beta:g}) + anneal', 'beta_vae',
                          hp(beta=.5, beta_start=.1, warmup=4.)),
    'beta_04_anneal': row('beta-VAE ({beta:g}) + anneal', 'beta_vae', RAMP, hp(beta=.4)),
    'beta_02_anneal': row('beta-VAE ({beta:g}) + anneal', 'beta_vae', RAMP, hp(beta=.2)),
    'beta_01_anneal': row('beta-VAE ({beta:g}) + anneal', 'beta_vae', RAMP, hp(beta=.1)),
    'fbp_3': row('FBP ({target:g})', 'fbp', hp(target=3., warmup=10.)),
    'fbp_9': row('FBP ({target:g})', 'fbp', hp(target=9., warmup=10.)),
    'pre_ae_fb_4': row('AE + FB ({target:g})', 'pre_ae_fb', hp(target=4., warmup=10.)),
    'skip_vae_0': row('skip-VAE, beta from {beta_start:g}', 'skip_vae', RAMP,
                      hp(beta_start=0.)),
}
FREE_BITS: Rows = {
    'fb_5': row('FB ({target:g})', 'fb', hp(target=5., warmup=10.)),
    'fb_9': row('FB ({target:g})', 'fb', hp(target=9., warmup=10.)),
    'fb_49': row('FB ({target:g})', 'fb', hp(target=49., warmup=10.)),
    'fbp_5': row('FBP ({target:g})', 'fbp', hp(target=5., warmup=10.)),
    'fbp_7': row('FBP ({target:g})', 'fbp', hp(target=7., warmup=10.)),
}
"""Targets of which papers print numbers on one corpus or two: rows of their tables alone."""
SOURCE: Rows = {'source': row('the source itself', 'source', space(lr=None))}
"""The row of a synthetic corpus whose true likelihood is known; it trains nothing."""

# rows of TEXT that are changed together
ANNEALED = having(TEXT, 'warmup')
EIGHT_NATS = 'fb fb_max fbp pre_ae_fb_8 flow_prior_fb mog_vae_fb vamp_vae_fb'
MANY_DRAWS = 'flow_prior flow_prior_fb mog_vae mog_vae_fb vamp_vae vamp_vae_fb'
MIXTURES = 'mog_vae mog_vae_fb vamp_vae vamp_vae_fb'
DUALS = having(TEXT, 'nu_lr')
FURTHER = ('cyclical_20 beta_05_anneal beta_04_anneal beta_02_anneal beta_01_anneal '
           'fbp_3 fbp_9 pre_ae_fb_4 skip_vae_0')
PER_WORD = 'wae_d_3 wae_d_10 wae_s_0 wae_s_001 wae_s_01'
STOCHASTIC_WAE = 'wae_gan wae_s_0 wae_s_001 wae_s_01'


TEXT_SPACES: Rows = {
    # of Li et al. .4 and .5, of DG-VAE .1 to .8; 1 is the VAE
    'beta_05': space(beta=log(.1, 1.)),
    'lagging': space(max_inner=among(5, 10, 20)),         # of the paper at most 99
    'delta_vae': space(rate=among(.05, .1, .15, .2)),     # of BN-VAE's comparison .1 and .15
    # of BN-VAE .5 to .7, of DG-VAE .5 to 1.8
    'bn_06 pre_ae_bn_06': space(gamma=linear(.3, 1.8)),
    'vmf_vae': space(kappa=among(6.5, 13., 25., 50.)),    # of BN-VAE's comparison 13
    'info_vae': space(mmd=log(1., 100.)),                 # ours 10
}
"""What tuning tries of TEXT's rows where it depends on no corpus, one row a method: others of
the method have fixed numbers to be compared at."""


def text(words: float) -> dict[str, Entry]:
    """Fits TEXT's rows to a corpus: papers weigh a reconstruction per word, ours is summed.

    Args:
      words: predicted words of a sentence, on average.

    >>> text(words=20.)['wae_d_3']['hp']
    {'beta': 60.0}
    """
    def scaled(name: str) -> Entry:
        return hp(**{k: weight * words for k, weight in TEXT[name]['hp'].items()})

    return change(TEXT, {name: scaled(name) for name in PER_WORD.split()})


def last(**optimizer: float | str) -> Entry:
    """Changes rows without a bound to select by, so that they keep their last parameters."""
    return overrides(optimizer=dict(clip=0., **optimizer), protocol=dict(keep='last'))


GAME = last(lr=2e-4, b1=.5)
CODE_GAME = hp(critic_lr=2e-4) | options(hidden=(512, 512)) | GAME       # hidden: of the critic

# rows whose KL has a weight raise it in the same epochs, so that they are on equal terms
IMAGES: Rows = {
    'ae': row('AE', 'dae'),
    'ae_gmm': row('AE + GMM', 'ae_gmm'),
    'vae': row('VAE, Bernoulli', 'vae', RAMP),
    'vae_fixed': row('VAE, Gaussian, variance 1', 'vae', RAMP,
                     overrides(kit=dict(likelihood='gaussian_fixed'))),
    'vae_gaussian': row('VAE, Gaussian, shared variance', 'vae', RAMP,
                        overrides(kit=dict(likelihood='gaussian_shared'))),
    'vae_full': row('VAE, Gaussian, variance per pixel', 'vae', RAMP,
                    overrides(kit=dict(likelihood='gaussian_full'))),
    'beta_vae': row('beta-VAE ({beta:g})', 'beta_vae', RAMP, hp(beta=4.)),
    # beta: the paper's gamma; short runs have less
    'capacity_vae': row('capacity VAE ({capacity:g})', 'capacity_vae',
                        hp(beta=1000., capacity=2., capacity_epochs=10.)),
    'decreasing_beta': row('VAE, beta from {beta_start:g} to {beta:g}', 'decreasing_beta',
                           RAMP),
    'mmd_vae': row('MMD-VAE ({mmd:g})', 'mmd_vae', hp(mmd=10.)),
    'info_vae': row('InfoVAE ({alpha:g}, {mmd:g})', 'info_vae', hp(mmd=10.)),
    'vamp_vae': row('VampPrior', 'vamp_vae', RAMP, options(components=50)),
    'mog_vae': row('MoG prior', 'mog_vae', RAMP, options(components=50)),
    'flow_prior': row('Real-NVP prior', 'flow_prior', RAMP),
    'bn_vae': row('BN-VAE ({gamma:g})', 'bn_vae', RAMP),
    'fb': row('free bits ({target:g})', 'fb', RAMP, hp(target=2.)),
    'vmf_vae': row('vMF-VAE ({kappa:g})', 'vmf_vae'),
    'p_vae': row('P-VAE', 'p_vae', RAMP),
    # aggregated posterior; beta weighs against nats summed over pixels: tables choose theirs
    'wae_mmd': row('WAE-MMD ({beta:g})', 'wae_mmd', hp(beta=100.)),
    'wae_mmd_rbf': row('WAE-MMD, RBF ({beta:g})', 'wae_mmd', hp(beta=100.),
                       options(kernel='rbf')),
    'wae_gan': row('WAE-GAN ({beta:g})', 'wae_gan', hp(beta=10., critic_lr=2e-4),
                   options(stochastic=False, hidden=(512, 512))),
    'aae': row('AAE', 'aae', CODE_GAME),
    'aae_supervised': row('AAE, supervised', 'aae_supervised', CODE_GAME),
    'aae_semi': row('AAE, {dataset[labels]} labels', 'aae_semi', CODE_GAME,
                    overrides(dataset=dict(labels=100))),
    'aae_cluster': row('AAE, {clusters} clusters', 'aae_cluster', CODE_GAME,
                       options(clusters=16)),
    # short runs leave codes between heads, and heads that no image has: its samples mean little
    'aae_heads': row('AAE, {clusters} cluster heads, {kit[latent]}-D', 'aae_heads', CODE_GAME,
                     options(clusters=16), overrides(kit=dict(latent=2))),
    # games
    'gan_minmax': row('GAN, min-max (f-GAN, JS)', 'gan_minmax', GAME),
    'gan': row('GAN, non-saturating', 'gan', GAME),
    'dcgan': row('DCGAN', 'dcgan', GAME),
    'f_gan_kl': row('f-GAN, KL', 'f_gan_kl', GAME),
    'f_gan_reverse_kl': row('f-GAN, reverse KL', 'f_gan_reverse_kl', GAME),
    'f_gan_pearson': row('f-GAN, Pearson', 'f_gan_pearson', GAME),
    'f_gan_hellinger': row('f-GAN, squared Hellinger', 'f_gan_hellinger', GAME),
    'wgan': row('WGAN (clipping)', 'wgan', hp(clip=.01),
                last(name='rmsprop', lr=5e-5, decay=.99)),
    'wgan_gp': row('WGAN-GP', 'wgan_gp', hp(penalty=10.), last(lr=1e-4, b1=.5, b2=.9)),
    'lsgan': row('LSGAN', 'lsgan', GAME),
    'ebgan': row('EBGAN', 'ebgan', hp(margin=.1), GAME),      # mean squared error per pixel
    'ebgan_pt': row('EBGAN + pulling away', 'ebgan_pt', hp(margin=.1), GAME),
    'began': row('BEGAN', 'began', hp(lambda_k=1e-3, gamma=.5), last(lr=8e-5)),
    'infogan': row('InfoGAN', 'infogan', hp(critic_lr=2e-4), last(lr=1e-3, b1=.5)),
    # moments
    'gmmn': row('GMMN', 'gmmn', last()),
    'gmmn_ae': row('GMMN + AE', 'gmmn_ae', last()),
    'mmd_gan': row('MMD-GAN', 'mmd_gan', hp(clip=.01, rec=32.), options(size=16),
                   last(name='rmsprop', lr=5e-5, decay=.99)),
}

# told the label: their likelihoods are of log p(x | label), never ranked with the others'
CONDITIONAL: Rows = {
    'cvae': row('CVAE, learned prior', 'cvae', RAMP),
    'cvae_standard': row('CVAE, prior N(0, I)', 'cvae_standard', RAMP),
}

# a row for each structure of the prior, with the paper's weights of the KL, beta, and of the
# aggregate's divergence, alpha
AXES: Rows = {
    'axes_principal': row('axes by principal components', 'axis_vae',
                          options(prior='principal')),
    'axes_learned': row('axes learned from there', 'axis_vae', options(prior='learned')),
    'axes_student': row("Student's t, {df:g}", 'axis_vae', options(prior='student', df=9.)),
}
CLUSTERED: Rows = {
    'clusters_kl': row('clusters, KL ({beta:g}, {alpha:g})', 'clustered_vae',
                       hp(beta=1., alpha=0.)),
    'clusters_aggregate': row('clusters, aggregate ({beta:g}, {alpha:g})', 'clustered_vae',
                              hp(beta=0., alpha=1.)),
}
SPARSE: Rows = {
    'dense': row('{gamma:g} off, alpha {alpha:g}', 'sparse_vae', hp(gamma=0., alpha=0.)),
    'dense_penalty': row('{gamma:g} off, alpha {alpha:g}', 'sparse_vae',
                         hp(gamma=0., alpha=100.)),
    'sparse': row('{gamma:g} off, alpha {alpha:g}', 'sparse_vae', hp(gamma=.8, alpha=0.)),
    'sparse_penalty': row('{gamma:g} off, alpha {alpha:g}', 'sparse_vae',
                          hp(gamma=.8, alpha=100.)),
}

# rows of tables that came later: at their end, since results keep the place of their row
TIGHTER: Rows = {'iwae': row('IWAE ({draws} draws)', 'iwae', options(draws=50))}

# rows of IMAGES that are changed together
ADVERSARIAL_AES = 'aae aae_supervised aae_semi aae_cluster aae_heads'
GAMES = ('gan_minmax gan dcgan f_gan_kl f_gan_reverse_kl f_gan_pearson f_gan_hellinger '
         'wgan_gp lsgan ebgan ebgan_pt began infogan')
LIKELIHOODS = ('vae beta_vae capacity_vae decreasing_beta mmd_vae info_vae vamp_vae mog_vae '
               'flow_prior bn_vae fb vmf_vae p_vae')

# one strength each of the methods that Locatello et al. compare, between a map that is told
# nothing and an encoder that is told the factors
DISENTANGLED: Rows = {
    'pca': row('PCA', 'pca_codes'),
    'vae': row('VAE', 'vae'),
    'beta_vae': row('beta-VAE ({beta:g})', 'beta_vae', hp(beta=4.)),
    'capacity_vae': row('capacity VAE ({capacity:g})', 'capacity_vae',
                        hp(beta=1000., capacity=25., capacity_epochs=10.)),
    'beta_tcvae': row('beta-TCVAE ({beta:g})', 'beta_tcvae', hp(beta=4.)),
    'factor_vae': row('FactorVAE ({gamma:g})', 'factor_vae', hp(gamma=30.)),
    'dip_vae_i': row('DIP-VAE-I ({lambda_od:g})', 'dip_vae_i'),
    'dip_vae_ii': row('DIP-VAE-II ({lambda_od:g})', 'dip_vae_ii'),
    'supervised_codes': row('told the factors', 'supervised_codes'),
}

# maps of the evaluated split itself, beside an AE and a VAE that have not seen it;
# only networks are called parametric, though PCA, kernel PCA, Isomap and LLE do map new points
EMBEDDINGS: Rows = {
    'ae': row('AE (parametric, not convex)', 'dae', overrides(protocol=dict(keep='last'))),
    'vae': row('VAE (parametric, not convex)', 'vae'),
    'pca': row('PCA (convex)', 'pca'),
    'kernel_pca': row('kernel PCA (convex)', 'kernel_pca'),
    'isomap': row('Isomap, 10 neighbours (convex)', 'isomap'),
    'lle': row('LLE, 12 neighbours (convex)', 'lle'),
    'mlle': row('modified LLE, {n_neighbors} neighbours (convex)', 'mlle',
                options(n_neighbors=10)),
    'laplacian': row('Laplacian eigenmaps, 10 neighbours (convex)', 'laplacian'),
    'tsne': row('t-SNE, perplexity 30 (neither)', 'tsne'),
}
