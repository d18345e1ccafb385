"""What the tables of one kind share: a config file starts from here and says only what is its own."""
from ml_collections import config_dict

COMMON = {
    'rows': '', 'seeds': 2, 'cuts': 1, 'epochs': 10, 'batch': 64, 'block': 10, 'table_seed': 0, 'group': 8,
    'seeds_by': 'auto', 'devices': 1, 'save_every': 60.,
    'optimizer': {'name': 'adam', 'lr': 1e-3, 'clip': 5.},
    'protocol': {'keep': 'best', 'patience': 0, 'first_epoch': 15, 'factor': 0.5, 'decays': 5},
    'columns': (),
}
LSTM = {'name': 'lstm', 'embed': 256, 'hidden': 256, 'latent': 32, 'dropout': 0.5}
EVALUATION = {'samples': 500, 'chunk': 100, 'batch': 32}
TEXT_METRICS = ('nll_iw', 'ess', 'ppl_iw', 'elbo', 'ppl_elbo', 'rec', 'kl', 'mi_full', 'au', 'cu')
IMAGE_METRICS = ('nll_iw', 'ess', 'elbo', 'rec', 'kl', 'mse', 'mi_full', 'au', 'kmmd', 'kmmd_floor')


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


def text_rows(target=8., set_point=3., ki=1e-4, penalty=10., cycle=10., **also):
    """The text rows that every text table has, and what hangs on the size of its run.

    Args:
      target: free bits and the AE-pretrained row's rate, nats.
      set_point: of ControlVAE, nats.
      ki: its integral gain; 1e-4 is the paper's and needs tens of thousands of steps.
      penalty: WAE's lambda for a reconstruction summed over tokens.
      cycle: epochs of a cycle.
      **also: row name -> entries that replace or add to the row's.

    Returns:
      Dict row name -> row.
    """
    named = {
        'lstm_lm': {'label': 'LSTM-LM', 'method': 'lstm_lm'},
        'ae': {'label': 'AE (stochastic, beta 0)', 'method': 'ae'},
        'vae': {'label': 'VAE', 'method': 'vae'},
        'anneal': {'label': 'VAE + anneal', 'method': 'anneal'},
        'cyclical': {'label': 'VAE + cyclical', 'method': 'cyclical', 'hp': {'period': cycle, 'warmup': cycle / 2}},
        'beta_vae': {'label': 'beta-VAE (0.5)', 'method': 'beta_vae', 'hp': {'beta': 0.5}},
        'capacity_vae': {'label': f'capacity VAE ({target:g})', 'method': 'capacity_vae', 'hp': {'capacity': target}},
        'fb': {'label': f'FB ({target:g})', 'method': 'fb', 'hp': {'target': target}},
        'fbp': {'label': f'FBP ({target:g})', 'method': 'fbp', 'hp': {'target': target}},
        'pre_ae_fb': {'label': f'AE + FB ({target:g})', 'method': 'pre_ae_fb', 'hp': {'target': target}},
        'bn_vae': {'label': 'BN-VAE (0.6)', 'method': 'bn_vae', 'hp': {'gamma': 0.6}},
        'control_vae': {'label': f'ControlVAE ({set_point:g})', 'method': 'control_vae',
                        'hp': {'target': set_point, 'ki': ki}},
        'lagging': {'label': 'Lagging', 'method': 'lagging'},
        'ivae': {'label': 'iVAE', 'method': 'ivae'},
        'wae_mmd': {'label': f'WAE-MMD ({penalty:g})', 'method': 'wae_mmd', 'hp': {'beta': penalty}},
    }
    return _also(named, also)


def _also(named, also):
    for name, entries in also.items():
        row = named.get(name, {})
        named[name] = {**row, **entries, 'hp': {**row.get('hp', {}), **entries.get('hp', {})}}
    return named


def image_rows(penalty=100., **also):
    """The image rows that every image table has.

    Args:
      penalty: WAE's lambda for a reconstruction summed over pixels.
      **also: row name -> entries that replace or add to the row's.

    Returns:
      Dict row name -> row.
    """
    gan = {'overrides': {'optimizer': {'lr': 2e-4, 'b1': 0.5}, 'protocol': {'keep': 'last'}}}
    critic = {'overrides': {'optimizer': {'lr': 2e-4, 'b1': 0.5, 'b2': 0.9}, 'protocol': {'keep': 'last'}}}
    gaussian = {'kit': {'likelihood': 'gaussian_shared'}}
    named = {
        'vae': {'label': 'VAE, Bernoulli', 'method': 'vae'},
        'vae_gaussian': {'label': 'VAE, Gaussian', 'method': 'vae', 'overrides': gaussian},
        'beta_vae': {'label': 'beta-VAE (4), Bernoulli', 'method': 'beta_vae', 'hp': {'beta': 4.}},
        'wae_mmd': {'label': f'WAE-MMD ({penalty:g})', 'method': 'wae_mmd', 'hp': {'beta': penalty}},
        'gan': {'label': 'GAN, non-saturating', 'method': 'gan', **gan},
        'gan_minmax': {'label': 'GAN, min-max', 'method': 'gan_minmax', **gan},
        'wgan_gp': {'label': 'WGAN-GP', 'method': 'wgan_gp', **critic},
    }
    return _also(named, also)
