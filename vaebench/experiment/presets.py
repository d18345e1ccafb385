"""What the tables of one kind share: a config file starts from here and says only what is its own."""
from ml_collections import config_dict

from vaebench.experiment.table import merge

COMMON = {
    'rows': '', 'seeds': 2, 'cuts': 1, 'epochs': 10, 'batch': 64, 'block': 10, 'table_seed': 0, 'group': 8,
    'seeds_by': 'auto', 'devices': 1, 'save_every': 60.,
    'optimizer': {'name': 'adam', 'lr': 1e-3, 'clip': 5.},
    'protocol': {'keep': 'best', 'patience': 0, 'first_epoch': 15, 'factor': 0.5, 'decays': 5},
    'columns': (),
}
LSTM = {'name': 'lstm', 'embed': 256, 'hidden': 256, 'latent': 32, 'dropout': 0.5, 'init_scale': 0.01}
EVALUATION = {'samples': 500, 'chunk': 100, 'batch': 32, 'generated': 1000, 'refine': 50}
SMALL_EVALUATION = {'samples': 50, 'chunk': 50, 'batch': 50, 'generated': 500, 'refine': 50}
TEXT_METRICS = ('nll_iw', 'ess', 'ppl_iw', 'elbo', 'ppl_elbo', 'rec', 'kl', 'mi_full', 'au', 'cu')
MORE_TEXT_METRICS = (
    'ppl_rec', 'nll_paper', 'ppl_paper', 'mi_32', 'mi_dual', 'cu_qp', 'prior_ll', 'post_ll', 'bleu',
    'rouge_interpolation', 'dis_1', 'dis_2', 'self_bleu_2', 'self_bleu_3', 'uni_kl', 'entropy', 'avg_len', 'fluency',
    'fluency_reverse')
PROBES = 'probe_100', 'probe_500', 'probe_1000', 'probe_2000', 'probe_10000'
SAMPLES = ('frechet', 'frechet_floor', 'kmmd', 'kmmd_floor', 'precision', 'recall', 'c2st', 'two_sample_p')
LIKELIHOOD_METRICS = ('nll_iw', 'ess', 'elbo', 'rec', 'kl', 'mse', 'mi_full', 'au', 'cu', 'hsic', 'hsic_p')
SAMPLE_METRICS = ('mse', 'rec', 'kl', *SAMPLES, 'class_score', 'class_kl', 'sharpness', 'path_ratio', 'class_error',
                  'cluster_error', 'cluster_error_matched')
IMAGE_METRICS = (*LIKELIHOOD_METRICS, *(m for m in SAMPLE_METRICS if m not in LIKELIHOOD_METRICS))
POINT_METRICS = ('nll_iw', 'elbo', 'rec', 'kl', 'mse', 'w2', 'w2_floor', 'modes', 'modes_any', 'high_quality',
                 'mode_kl', 'kmmd', 'kmmd_floor', 'precision', 'recall', 'c2st', 'two_sample_p')
EMBEDDING_METRICS = 'trust', 'knn_error', 'unroll_arclength', 'unroll_height', 'path_ratio', 'mse', 'kl'


def table(name, title, **settings):
    """A table's config from the common defaults.

    Args:
      name: of the table: its default folder and its name in reports.
      title: shown above it.
      **settings: top-level keys; dicts replace what COMMON holds under that key, entry by entry.

    Returns:
      `ConfigDict`, still to be given `table`, its rows.
    """
    config = config_dict.ConfigDict(COMMON)
    config.name, config.title = name, title
    for key, value in settings.items():
        if isinstance(value, dict) and key in config:
            config[key].update(value)
        else:
            config[key] = value
    return config


def rows(named):
    """A table's `table`: its rows, which keep the order they are written in.

    Args:
      named: dict row name -> row.

    Returns:
      `ConfigDict`.
    """
    return config_dict.ConfigDict({name: {**row, 'order': i} for i, (name, row) in enumerate(named.items())})


def row(label, method, hp=None, **options):
    """A row: what it is called, its method, its numbers and its method's static options."""
    return {'label': label, 'method': method, **({'hp': hp} if hp else {}), **({'options': options} if options else {})}


def text_rows(target=8., set_points=(25., 35.), ki=1e-4, words=21.9, warmup=10., cycle=10., inner=(99, 15), refine=10,
              draws=10, components=50, codes=(128, 512), critic_lr=5e-4, nu_lr=1e-5, nu=(512, 512, 512), noise=.1,
              channels=None, **also):
    """The rows that every text table has, and what hangs on the size of its run.

    Args:
      target: free bits and the AE-pretrained rows' middle rate, nats.
      set_points: of ControlVAE, nats.
      ki: its integral gain; 1e-4 is the paper's and needs tens of thousands of steps.
      words: predicted words of a sentence: WAE-D and WAE-S weigh a reconstruction per word, ours is their sum.
      warmup: epochs of KL annealing.
      cycle: epochs of a cycle of the cyclical schedule, half of them ramp.
      inner: (most encoder updates per step, updates between two comparisons) of the lagging encoder.
      refine: SA-VAE's steps.
      draws: FlowPrior's draws per sentence.
      components: of mixtures and pseudo-input priors.
      codes: sizes of DAVAM's codebook; DAVAM-q has the last.
      critic_lr: learning rate of WAE-GAN's critic.
      nu_lr, nu: learning rate and widths of the dual functions.
      noise: bound of iVAE's noise weights at the start.
      channels: of the convolutional decoders; None is the LSTM's width.
      **also: row name -> entries that replace or add to the row's.

    Returns:
      Dict row name -> row.
    """
    ramp = {'warmup': warmup}
    dual = {**ramp, 'nu_lr': nu_lr}
    low, high = set_points
    conv, end = {'channels': channels}, {'protocol': {'keep': 'last', 'patience': 0}}
    multi = {'draws': draws, 'components': components}
    free = {'target': target, **ramp}
    named = {
        'lstm_lm': row('LSTM-LM', 'lstm_lm'),
        'ae': row('AE (stochastic, beta 0)', 'ae'),
        'dae': row('DAE (deterministic)', 'dae'),
        'dae_noise': row('denoising AE (0.3)', 'denoising_ae'),
        'vae': row('VAE', 'vae'),
        'anneal': row('VAE + anneal', 'anneal', ramp),
        'cost_anneal': row('VAE + cost annealing', 'cost_anneal', ramp),
        'cyclical': row('VAE + cyclical', 'cyclical', {'period': cycle, 'warmup': cycle / 2}),
        **{f'beta_{b:g}'.replace('.', ''): row(f'beta-VAE ({b:g})', 'beta_vae', {'beta': b}) for b in (.5, .4, .2, .1)},
        'capacity_vae': row(f'capacity VAE ({target:g})', 'capacity_vae',
                            {'capacity': target, 'capacity_epochs': warmup}),
        'control_vae': row(f'ControlVAE ({low:g})', 'control_vae', {'target': low, 'ki': ki}),
        'control_vae_high': row(f'ControlVAE ({high:g})', 'control_vae', {'target': high, 'ki': ki}),
        'fb': row(f'FB ({target:g})', 'fb', free),
        'fb_high': row(f'FB ({2 * target:g})', 'fb', {'target': 2 * target, **ramp}),
        'fb_max': row(f'FB, classic max form ({target:g})', 'fb_max', free),
        'fbp': row(f'FBP ({target:g})', 'fbp', free),
        **{f'pre_ae_fb_{k}': row(f'AE + FB ({target * share:g})', 'pre_ae_fb', {'target': target * share, **ramp})
           for k, share in (('6', .75), ('8', 1.), ('9', 1.125))},
        'pre_ae_cyclical': row('AE + cyclical', 'pre_ae_cyclical', {'period': 2 * cycle, 'warmup': cycle}),
        'pre_ae_delta': row('AE + delta-VAE (0.15)', 'pre_ae_delta', ramp),
        'pre_ae_vmf': row('AE + vMF-VAE (13)', 'pre_ae_vmf', ramp),
        'pre_ae_bn_06': row('AE + BN-VAE (0.6)', 'pre_ae_bn', {'gamma': .6, **ramp}),
        'pre_ae_bn_07': row('AE + BN-VAE (0.7)', 'pre_ae_bn', {'gamma': .7, **ramp}),
        'lagging': row(f'Lagging (at most {inner[0]} inner steps)', 'lagging', ramp, max_inner=inner[0],
                       window=inner[1]),
        'sa_vae': row(f'SA-VAE ({refine} steps)', 'sa_vae', ramp, refine=refine),
        'skip_vae': row('skip-VAE', 'skip_vae', ramp),
        'bow_vae': row('bow-VAE', 'bow_vae', ramp),
        'scnn_vae': row('CNN-VAE, small', 'scnn_vae', ramp, **conv),
        'mcnn_vae': row('CNN-VAE, medium', 'mcnn_vae', ramp, **conv),
        'lcnn_vae': row('CNN-VAE, large', 'lcnn_vae', ramp, **conv),
        'delta_vae': row('delta-VAE (0.1)', 'delta_vae', ramp),
        'delta_vae_15': row('delta-VAE (0.15)', 'delta_vae', ramp, rate=.15),
        **{f'bn_{g:g}'.replace('.', ''): row(f'BN-VAE ({g:g})', 'bn_vae', {'gamma': g, **ramp})
           for g in (.5, .6, .7, .9, 1.2, 1.5, 1.8)},
        'bn_learnable': row('BN-VAE, learnable scale', 'bn_vae_learnable', ramp),
        'twr': row('TWR-VAE', 'twr'),
        'twr_mean': row('TWR-VAE, mean', 'twr_mean'),
        'twr_sum': row('TWR-VAE, sum', 'twr_sum'),
        **{f'twr_last{k}': row(f'TWR-VAE, last {k}%', 'twr', share=k / 100) for k in (25, 50, 75)},
        'vmf_vae': row('vMF-VAE (13)', 'vmf_vae'),
        'p_vae': row('P-VAE', 'p_vae', ramp),
        'apo_vae': row('APo-VAE', 'apo_vae', dual, hidden=nu),
        'apo_vae_vp': row('APo-VAE + VP', 'apo_vae_vp', dual, hidden=nu, pseudo=components),
        'flow_prior': row('FlowPrior', 'flow_prior', ramp, draws=draws),
        'flow_prior_fb': row(f'FlowPrior + FB ({target:g})', 'flow_prior_fb', free, draws=draws),
        'mog_vae': row('MoG-VAE', 'mog_vae', ramp, **multi),
        'mog_vae_fb': row(f'MoG-VAE + FB ({target:g})', 'mog_vae_fb', free, **multi),
        'vamp_vae': row('Vamp-VAE', 'vamp_vae', ramp, **multi),
        'vamp_vae_fb': row(f'Vamp-VAE + FB ({target:g})', 'vamp_vae_fb', free, **multi),
        'wae_gan': row('WAE-GAN (10)', 'wae_gan', {'beta': 10., 'critic_lr': critic_lr}),
        'wae_d_3': row('WAE-D (3 x words)', 'wae_mmd', {'beta': 3. * words}, width=2.),
        'wae_d_10': row('WAE-D (10 x words)', 'wae_mmd', {'beta': 10. * words}, width=2.),
        **{f'wae_s_{k}': row(f'WAE-S ({kl:g} x words)', 'wae_s', {'beta': 3. * words, 'kl_weight': kl * words})
           for k, kl in (('0', 0.), ('001', .01), ('01', .1))},
        'ivae': row('iVAE', 'ivae', dual, hidden=nu, noise_scale=noise),
        'ivae_mi': row('iVAE_MI', 'ivae_mi', dual, hidden=nu, noise_scale=noise),
        **{f'dg_vae_{b}': row(f'DG-VAE (|b| = {b})', 'dg_vae', ramp, chunk=b) for b in (1, 4, 32)},
        'dg_vmf': row('DG-vMF-VAE', 'dg_vmf', ramp),
        'gavam': row('GAVAM', 'gavam', ramp),
        'davam_q': row(f'DAVAM-q (K = {codes[1]})', 'davam_q', codes=codes[1]),
        'davam': row(f'DAVAM (K = {codes[0]})', 'davam', codes=codes[0]),
        'davam_large': row(f'DAVAM (K = {codes[1]})', 'davam', codes=codes[1]),
    }
    for name in ('ivae', 'ivae_mi', 'apo_vae', 'apo_vae_vp'):      # their papers neither decay nor select
        named[name]['overrides'] = end
    return _also(named, also)


def _also(named, also):
    for name, entries in also.items():
        row = named.get(name, {})
        if not row and 'method' not in entries:
            raise ValueError(f'no row {name!r} to change')
        named[name] = {**row, **entries, **{part: {**row.get(part, {}), **entries.get(part, {})}
                                            for part in ('hp', 'options')}}
        named[name]['overrides'] = merge(row.get('overrides', {}), entries.get('overrides', {}))
    return named


def published(named, keys):
    """Rows with the published numbers each answers to.

    Args:
      named: dict row name -> row.
      keys: row name -> keys into published.csv, separated by spaces.

    Returns:
      The same rows with `published`.
    """
    return _also(named, {name: {'published': tuple(k.split())} for name, k in keys.items()})


def _optimiser(lr, name='adam', **protocol):
    return {'overrides': {'optimizer': {'name': name, 'lr': lr}, **({'protocol': protocol} if protocol else {})}}


ADAM = ('cyclical', 'cost_anneal', 'control_vae', 'control_vae_high', 'scnn_vae', 'mcnn_vae', 'lcnn_vae', 'p_vae',
        'apo_vae', 'apo_vae_vp', 'wae_gan', 'wae_d_3', 'wae_d_10', 'wae_s_0', 'wae_s_001', 'wae_s_01', 'ivae',
        'ivae_mi', 'gavam', 'davam_q', 'davam', 'davam_large')
FAMILY_B = 'sa_vae', 'skip_vae', 'cyclical', 'ivae', 'ivae_mi'
TWR = 'twr', 'twr_mean', 'twr_sum', 'twr_last25', 'twr_last50', 'twr_last75'


def paper(name, title, keys, kit, words, cuts, targets=8., **settings):
    """A corpus at the size of the papers.

    Embeddings, LSTMs and latents as given; batch 32, SGD at 0.5 with Li's plateau decay; lagging, SA-VAE and the
    language model at 1.0 with He's patience; Adam at 1e-3 without decay where the method's own paper has Adam (WAE-GAN
    5e-4; TWR-VAE 1e-4, batch 64, but neither its weight decay nor its sizes); the papers of SA-VAE, skip-VAE, cyclical
    annealing and iVAE have networks of family B; convolutions of 512 channels; at most 40 epochs; 500 importance
    samples on all test sentences. Gradients are clipped at a joint norm of 5, iVAE's too (its script: encoder and
    decoder apart, and 8e-4 on the larger corpora).

    Args:
      name, title: of the table; `name` is the dataset's too.
      keys: row name -> keys into published.csv.
      kit: entries that replace those of LSTM.
      words: predicted words of a test sentence.
      cuts: length classes.
      targets: free bits, nats.
      **settings: of `text_rows`.

    Returns:
      `ConfigDict`.
    """
    he = _optimiser(1., 'sgd', patience=2)
    twr = merge(_optimiser(1e-4, patience=0), {'overrides': {'batch': 64, 'optimizer': {'clip': 0.}}})
    changes = {row: _optimiser(1e-3, patience=0) for row in ADAM} | dict.fromkeys(TWR, twr)
    changes['wae_gan'] = merge(_optimiser(5e-4, patience=0), {'overrides': {'optimizer': {'b1': .5}}})
    changes['pre_ae_cyclical'] = _optimiser(.5, 'sgd', patience=0)
    changes |= {'lagging': he, 'sa_vae': he, 'lstm_lm': _optimiser(1., 'sgd', patience=2, first_epoch=0)}
    config = table(name, title, dataset={'name': name}, kit={**LSTM, **kit}, cuts=cuts, epochs=40, batch=32,
                   optimizer={'name': 'sgd', 'lr': 0.5, 'clip': 5.0}, protocol={'patience': 5}, evaluation=EVALUATION,
                   metrics=(*TEXT_METRICS, *MORE_TEXT_METRICS), seeds=3, save_every=120.)
    named = text_rows(target=targets, words=words, **{'channels': 512, **settings}, **changes)
    named = _also(named, dict.fromkeys(FAMILY_B, {'overrides': {'kit': {'family': 'B', 'init_scale': .1}}}))
    config.table = rows(published(named, keys))
    return config


def small(name, title, keys, words, max_words=20, **settings):
    """A corpus reduced for two CPU cores: no published number is comparable.

    The first 6,000 sentences of at most `max_words` words, vocabulary 2,000, embeddings of 64, LSTMs of 128, parameters
    from U(-0.1, 0.1), 16 latent units, batch 64, 6 epochs of Adam at 5e-3, dropout 0.3; 50 importance samples on the
    first 500 test sentences of that length. Lagging, SA-VAE and FlowPrior with shortened inner loops, codebooks of 32
    and 128.

    Args:
      name, title: of the dataset.
      keys: row name -> keys into published.csv, shown beside the rows.
      words: predicted words of such a sentence.
      max_words: longer sentences are left out.
      **settings: of `text_rows`.

    Returns:
      `ConfigDict`.
    """
    config = table(
        f'{name}-small', f'{title}, reduced: 6,000 sentences of at most {max_words} words, vocabulary 2,000',
        dataset={'name': name, 'max_words': max_words, 'sentences': 6000, 'eval_sentences': 500, 'vocab': 2000},
        kit={**LSTM, 'embed': 64, 'hidden': 128, 'latent': 16, 'dropout': 0.3, 'init_scale': 0.1}, cuts=3, epochs=6,
        batch=64, optimizer={'name': 'adam', 'lr': 5e-3, 'clip': 5.0}, evaluation=SMALL_EVALUATION,
        metrics=(*TEXT_METRICS, *MORE_TEXT_METRICS))
    scaled = {'target': 4., 'set_points': (3., 6.), 'ki': 1e-3, 'words': words, 'warmup': 3., 'cycle': 3.,
              'inner': (10, 5), 'refine': 3, 'draws': 3, 'components': 16, 'codes': (32, 128), 'critic_lr': 3e-3,
              'nu_lr': 1e-3, 'nu': (128, 128), 'noise': .6}
    config.table = rows(published(text_rows(**{**scaled, **settings}), keys))
    return config


def probed(config):
    """The config with the probes of a labelled corpus among its columns."""
    config.metrics = (*config.metrics, *PROBES)
    return config


def sizes(size, **makers):
    """The table of a config's argument: '' or a name in `makers`.

    Args:
      size: what stands after the colon of --config.
      **makers: name -> () -> `ConfigDict`; `paper` answers to ''.

    Returns:
      `ConfigDict`.
    """
    makers = {'': makers['paper'], **makers}
    if size not in makers:
        raise ValueError(f'no size {size!r}: choose one of {", ".join(m for m in makers if m)}')
    return makers[size]()


def only(named, names):
    """Some of the rows, in the order they stand.

    Args:
      named: dict row name -> row.
      names: separated by spaces.

    Returns:
      Dict row name -> row.
    """
    return {name: row for name, row in named.items() if name in names.split()}


AUTOENCODERS = ('ae ae_gmm vae vae_fixed vae_gaussian vae_full beta_vae capacity_vae decreasing_beta mmd_vae info_vae '
                'vamp_vae mog_vae flow_prior bn_vae fb vmf_vae p_vae')
WASSERSTEIN = 'wae_mmd wae_mmd_rbf wae_gan aae aae_supervised aae_semi aae_cluster aae_heads'
GANS = ('gan_minmax gan dcgan f_gan_kl f_gan_reverse_kl f_gan_pearson f_gan_hellinger f_gan_js f_gan_gan wgan wgan_gp '
        'lsgan ebgan ebgan_pt began infogan')
MOMENTS = 'gmmn gmmn_ae mmd_gan'


def image_rows(target=2., penalty=100., mmd=10., warmup=10., components=50, labels=100, clusters=16, aae_lr=2e-4,
               lr=2e-4, wgan_lr=5e-5, gp=10., clip=.01, mmd_lr=5e-5, mmd_clip=.01, lambda_k=1e-3, gamma=.5, margin=.1,
               code=None, critic=(512, 512), conv=None, **also):
    """The rows that image tables choose from, and what hangs on the size of their run.

    Args:
      target: free bits and the capacity's end, nats.
      penalty: WAE's lambda for a reconstruction summed over pixels.
      mmd: InfoVAE's and MMD-VAE's lambda; with small batches of small images 100 keeps them collapsed.
      warmup: epochs in which the capacity and the decreasing beta reach their ends.
      components: of mixtures and pseudo-input priors.
      labels: labelled examples of the semi-supervised row.
      clusters: of the clustering rows.
      aae_lr: of adversarial autoencoders and their critics, Adam with b1 0.5.
      lr: of GANs and of WAE-GAN's critic, the same.
      wgan_lr, clip: WGAN's rate, RMSProp, and the bound of its critic's parameters.
      gp: WGAN-GP's penalty.
      mmd_lr, mmd_clip: as WGAN's, of MMD-GAN.
      lambda_k, gamma: gain and ratio of BEGAN's control.
      margin: of EBGAN, mean squared error per pixel.
      code: width of plain EBGAN's critic's code; None is Z.
      critic: widths of critics of codes.
      conv: kit of the DCGAN row; None is the table's.
      **also: row name -> entries that replace or add to the row's.

    Returns:
      Dict row name -> row.
    """
    def last(**optimizer):
        return {'overrides': {'optimizer': {'clip': 0., **optimizer}, 'protocol': {'keep': 'last'}}}

    def decoder(likelihood):
        return {'overrides': {'kit': {'likelihood': likelihood}}}

    gan = last(lr=lr, b1=.5)
    codes, game = {'critic_lr': aae_lr}, last(lr=aae_lr, b1=.5)
    fewer, plane = ({'overrides': merge(game['overrides'], x)} for x in (
        {'dataset': {'labels': labels}}, {'kit': {'latent': 2}}))
    named = {
        'ae': row('AE', 'dae'),
        'ae_gmm': row('AE + GMM', 'ae_gmm'),
        'vae': row('VAE, Bernoulli', 'vae'),
        'vae_fixed': {**row('VAE, Gaussian, variance 1', 'vae'), **decoder('gaussian_fixed')},
        'vae_gaussian': {**row('VAE, Gaussian, shared variance', 'vae'), **decoder('gaussian_shared')},
        'vae_full': {**row('VAE, Gaussian, variance per pixel', 'vae'), **decoder('gaussian_full')},
        'beta_vae': row('beta-VAE (4)', 'beta_vae', {'beta': 4.}),
        'capacity_vae': row(f'capacity VAE ({target:g})', 'capacity_vae',
                            {'beta': 100., 'capacity': target, 'capacity_epochs': warmup}),
        'decreasing_beta': row('VAE, beta from 100 to 1', 'decreasing_beta', {'warmup': warmup}),
        'mmd_vae': row(f'MMD-VAE ({mmd:g})', 'mmd_vae', {'mmd': mmd}),
        'info_vae': row(f'InfoVAE (0.5, {mmd:g})', 'info_vae', {'mmd': mmd}),
        'vamp_vae': row('VampPrior', 'vamp_vae', components=components),
        'mog_vae': row('MoG prior', 'mog_vae', components=components),
        'flow_prior': row('Real-NVP prior', 'flow_prior'),
        'bn_vae': row('BN-VAE (0.6)', 'bn_vae'),
        'fb': row(f'free bits ({target:g})', 'fb', {'target': target}),
        'vmf_vae': row('vMF-VAE (13)', 'vmf_vae'),
        'p_vae': row('P-VAE', 'p_vae'),
        'wae_mmd': row(f'WAE-MMD ({penalty:g})', 'wae_mmd', {'beta': penalty}),
        'wae_mmd_rbf': row(f'WAE-MMD, RBF ({penalty:g})', 'wae_mmd', {'beta': penalty}, kernel='rbf'),
        'wae_gan': row('WAE-GAN (10)', 'wae_gan', {'beta': 10., 'critic_lr': lr}, stochastic=False, hidden=critic),
        'aae': {**row('AAE', 'aae', codes, hidden=critic), **game},
        'aae_supervised': {**row('AAE, supervised', 'aae_supervised', codes, hidden=critic), **game},
        'aae_semi': {**row(f'AAE, {labels} labels', 'aae_semi', codes, hidden=critic), **fewer},
        'aae_cluster': {**row(f'AAE, {clusters} clusters', 'aae_cluster', codes, hidden=critic, clusters=clusters),
                        **game},
        'aae_heads': {**row(f'AAE, {clusters} cluster heads, 2-D', 'aae_heads', codes, hidden=critic,
                            clusters=clusters), **plane},
        'gan_minmax': {**row('GAN, min-max', 'gan_minmax'), **gan},
        'gan': {**row('GAN, non-saturating', 'gan'), **gan},
        'dcgan': {**row('DCGAN', 'dcgan'), 'overrides': merge(gan['overrides'], {'kit': conv} if conv else {})},
        **{f'f_gan_{k}': {**row(f'f-GAN, {label}', f'f_gan_{k}'), **gan} for k, label in (
            ('kl', 'KL'), ('reverse_kl', 'reverse KL'), ('pearson', 'Pearson'), ('hellinger', 'squared Hellinger'),
            ('js', 'Jensen-Shannon'), ('gan', 'GAN'))},
        'wgan': {**row('WGAN (clipping)', 'wgan', {'clip': clip}), **last(name='rmsprop', lr=wgan_lr)},
        'wgan_gp': {**row('WGAN-GP', 'wgan_gp', {'penalty': gp}), **last(lr=lr, b1=.5, b2=.9)},
        'lsgan': {**row('LSGAN', 'lsgan'), **gan},
        'ebgan': {**row('EBGAN', 'ebgan', {'margin': margin}, **({'code': code} if code else {})), **gan},
        'ebgan_pt': {**row('EBGAN + pulling away', 'ebgan_pt', {'margin': margin}), **gan},
        'began': {**row('BEGAN', 'began', {'lambda_k': lambda_k, 'gamma': gamma}), **gan},
        'infogan': {**row('InfoGAN', 'infogan', {'critic_lr': lr}), **gan},
        'gmmn': {**row('GMMN', 'gmmn'), **last()},
        'gmmn_ae': {**row('GMMN + AE', 'gmmn_ae'), **last()},
        'mmd_gan': {**row('MMD-GAN', 'mmd_gan', {'clip': mmd_clip, 'rec': 32.}, size=16),
                    **last(name='rmsprop', lr=mmd_lr, decay=.99)},
    }
    return _also(named, also)


def embedding_rows(gamma=None, **also):
    """Maps to the plane: scikit-learn's, fitted to the evaluated split itself, beside an AE and a VAE, which are not.

    What is parametric and what convex is as a deck has it; PCA, kernel PCA, Isomap and LLE do map new points.

    Args:
      gamma: of kernel PCA; None is 1 / pixels.
      **also: row name -> entries that replace or add to the row's.

    Returns:
      Dict row name -> row.
    """
    last = {'overrides': {'protocol': {'keep': 'last'}}}
    named = {
        'ae': {**row('AE (parametric, not convex)', 'dae'), **last},
        'vae': row('VAE (parametric, not convex)', 'vae'),
        'pca': row('PCA (convex)', 'pca'),
        'kernel_pca': row('kernel PCA (convex)', 'kernel_pca', **({} if gamma is None else {'gamma': gamma})),
        'isomap': row('Isomap, 10 neighbours (convex)', 'isomap'),
        'lle': row('LLE, 12 neighbours (convex)', 'lle'),
        'mlle': row('modified LLE, 10 neighbours (convex)', 'mlle', n_neighbors=10),
        'laplacian': row('Laplacian eigenmaps, 10 neighbours (convex)', 'laplacian'),
        'tsne': row('t-SNE, perplexity 30 (neither)', 'tsne'),
    }
    return _also(named, also)
