"""The main job on embedded data: text rows on a corpus whose true likelihood is known, image rows on 8x8 digits.

    vaebench --config=configs/quickstart.py

Some of the rows only; configs/synthetic.py and configs/images_quick.py have them all.
"""
from ml_collections import config_dict

from vaebench.experiment import presets

IMAGES = 'vae vae_gaussian beta_vae wae_mmd gan gan_minmax wgan_gp'
EPOCHS = 8
ROWS = 'lstm_lm ae vae anneal cyclical beta_05 capacity_vae fb fbp pre_ae_fb_8 bn_06 control_vae lagging ivae wae_d_10'


def text():
    table = presets.table(
        'text', 'Text: synthetic corpus of known likelihood',
        dataset={'name': 'synthetic', 'sentences': 8192},
        kit={**presets.LSTM, 'embed': 32, 'hidden': 64, 'latent': 8, 'dropout': 0.1},
        optimizer={'lr': 1e-2}, epochs=EPOCHS, evaluation={'samples': 50, 'chunk': 50, 'batch': 128},
        metrics=('excess', *presets.TEXT_METRICS))
    rows = presets.text_rows(target=2., set_points=(3., 5.), ki=2e-3, words=7.5, warmup=4., cycle=4., inner=(10, 5),
                             nu_lr=1e-3, nu=(128, 128), noise=.6)
    source = {'source': presets.row('the source itself', 'source')}
    table.table = presets.rows({**source, **presets.only(rows, ROWS)})
    return table


def images():
    table = presets.table(
        'images', 'Images: 8x8 digits',
        dataset={'name': 'digits'}, kit={'name': 'mlp', 'latent': 8, 'hidden': (128,), 'likelihood': 'bernoulli'},
        optimizer={'lr': 1e-3, 'clip': 0.}, epochs=40, block=21,
        evaluation={'samples': 50, 'chunk': 50, 'batch': 250}, metrics=presets.IMAGE_METRICS)
    table.table = presets.rows(presets.only(presets.image_rows(), IMAGES))
    return table


def get_config():
    """Two tables: `text` and `images`."""
    tables = {'text': text(), 'images': images()}
    return config_dict.ConfigDict({'name': 'quickstart', 'rows': '', 'seeds': 2, 'tables': presets.rows(tables)})
