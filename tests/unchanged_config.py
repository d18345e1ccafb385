"""Rows of every kind of data whose parameters and metrics must not change when the code around them does.

Every key stands here, so that no default of the package can move a number. One length class: `test_unchanged.py`.
"""
SETTINGS = {
    'rows': '', 'seeds': 2, 'cuts': 1, 'block': 10, 'table_seed': 0, 'group': 8, 'seeds_by': 'auto', 'mesh': '',
    'save_every': 60., 'columns': (), 'epochs': 2, 'batch': 32,
    'optimizer': {'name': 'adam', 'lr': 5e-3, 'clip': 5.},
    'protocol': {'keep': 'best', 'patience': 0, 'first_epoch': 15, 'factor': .5, 'decays': 5},
    'evaluation': {'samples': 8, 'chunk': 8, 'batch': 64, 'generated': 64, 'unigrams': 64, 'refine': 5, 'images': 100},
}
RAMP = {'warmup': 1.}
TEXT = {
    'source': ('source', {}, {}), 'lstm_lm': ('lstm_lm', {}, {}), 'vae': ('vae', {}, {}),
    'cyclical': ('cyclical', {'period': 1., 'warmup': .5}, {}), 'control_vae': ('control_vae', {'ki': 1e-3}, {}),
    'pre_ae_fb': ('pre_ae_fb', {**RAMP, 'target': 2.}, {}), 'pre_ae_bn': ('pre_ae_bn', RAMP, {}),
    'lagging': ('lagging', RAMP, {'max_inner': 4, 'window': 2}), 'twr': ('twr', {}, {}),
    'ivae': ('ivae', {**RAMP, 'nu_lr': 1e-3}, {'hidden': (16,)}), 'wae_gan': ('wae_gan', {'critic_lr': 1e-3}, {}),
    'mog_vae': ('mog_vae', RAMP, {'draws': 3, 'components': 4}), 'davam': ('davam', {}, {'codes': 16}),
    'vmf_vae': ('vmf_vae', {}, {}),
}
IMAGES = {
    'vae': ('vae', {}, {}), 'ae_gmm': ('ae_gmm', {}, {}), 'wae_mmd': ('wae_mmd', {'beta': 10.}, {}),
    'vamp_vae': ('vamp_vae', {}, {'components': 5}), 'capacity_vae': ('capacity_vae', {'capacity': 2.}, {}),
    'aae_semi': ('aae_semi', {}, {'hidden': (16,)}), 'wgan_gp': ('wgan_gp', {}, {}), 'infogan': ('infogan', {}, {}),
    'began': ('began', {}, {}), 'gmmn': ('gmmn', {}, {}), 'classifier': ('classifier', {}, {}), 'pca': ('pca', {}, {}),
}
POINTS = {'vae': ('vae', {}, {}), 'gan': ('gan', {}, {})}
LIKELIHOODS = 'nll_iw', 'ess', 'elbo', 'rec', 'kl', 'mi_full', 'au'


def rows(named):
    return {name: {'label': name, 'method': method, 'hp': hp, 'options': options}
            for name, (method, hp, options) in named.items()}


def get_config():
    """Three tables: text, images and points."""
    text = {**SETTINGS, 'name': 'text', 'title': 'Text',
            'dataset': {'name': 'synthetic', 'sentences': 256, 'eval_sentences': 64},
            'kit': {'name': 'lstm', 'embed': 16, 'hidden': 24, 'latent': 4, 'dropout': .1, 'init_scale': .1},
            'metrics': (*LIKELIHOODS, 'excess', 'cu', 'mi_32', 'mi_dual', 'nll_paper', 'prior_ll', 'bleu', 'dis_1',
                        'entropy', 'avg_len', 'fluency', 'fluency_reverse', 'probe_100'),
            'table': rows(TEXT)}
    images = {**SETTINGS, 'name': 'images', 'title': 'Images',
              'dataset': {'name': 'digits', 'examples': 200, 'eval_examples': 100, 'labels': 20},
              'kit': {'name': 'mlp', 'latent': 4, 'hidden': (32,), 'likelihood': 'gaussian_shared'},
              'metrics': (*LIKELIHOODS, 'mse', 'cu', 'hsic', 'frechet', 'kmmd', 'precision', 'recall', 'c2st',
                          'class_score', 'sharpness', 'path_ratio', 'class_error', 'trust', 'knn_error'),
              'table': rows(IMAGES)}
    points = {**SETTINGS, 'name': 'points', 'title': 'Points',
              'dataset': {'name': 'gaussians25', 'examples': 300, 'eval_examples': 100},
              'kit': {'name': 'mlp', 'latent': 2, 'hidden': (32,), 'likelihood': 'gaussian_fixed'},
              'metrics': (*LIKELIHOODS, 'mse', 'w2', 'modes', 'mode_kl', 'kmmd', 'c2st'), 'table': rows(POINTS)}
    tables = {'text': text, 'images': images, 'points': points}
    return {'name': 'unchanged', 'rows': '', 'seeds': 2, 'tables': tables}
