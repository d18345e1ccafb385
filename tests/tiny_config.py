"""A table that trains in a second: the runner's tests use it, and none of its numbers."""
from vaebench.experiment import presets


def get_config(arg=''):
    """Four rows on a few digits; `bad` adds a row whose rate is absurd."""
    table = presets.table(
        'tiny', 'Tiny', dataset={'name': 'digits', 'examples': 200, 'eval_examples': 60},
        kit={'name': 'mlp', 'latent': 2, 'hidden': (16,)}, epochs=4, batch=32, block=3,
        optimizer={'lr': 1e-2, 'clip': 0.}, evaluation={'samples': 8, 'chunk': 4, 'batch': 30},
        metrics=('nll_iw', 'elbo', 'rec', 'kl', 'mi_full', 'au'), save_every=0.)
    rows = {'vae': {'label': 'VAE', 'method': 'vae'},
            'beta_vae': {'label': 'beta-VAE', 'method': 'beta_vae', 'hp': {'beta': 4.}},
            'pre_ae_fb': {'label': 'AE + FB', 'method': 'pre_ae_fb', 'hp': {'target': 1., 'warmup': 1.}},
            'wgan_gp': {'label': 'WGAN-GP', 'method': 'wgan_gp', 'overrides': {'protocol': {'keep': 'last'}}}}
    if arg == 'bad':
        rows['wild'] = {'label': 'wild', 'method': 'vae', 'overrides': {'optimizer': {'name': 'sgd', 'lr': 1e30}}}
    table.table = presets.rows(rows)
    return table
