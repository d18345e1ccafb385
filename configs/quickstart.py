"""The main job on embedded data: text rows on a corpus whose true likelihood is known, image rows on 8x8 digits.

    vaebench --config=configs/quickstart.py
"""
from ml_collections import config_dict

from vaebench import presets

EPOCHS = 8


def text():
    table = presets.table(
        'text', 'Text: synthetic corpus of known likelihood',
        dataset={'name': 'synthetic', 'sentences': 8192},
        kit={**presets.LSTM, 'embed': 32, 'hidden': 64, 'latent': 8, 'dropout': 0.1},
        optimizer={'lr': 1e-2}, epochs=EPOCHS, evaluation={'samples': 50, 'chunk': 50, 'batch': 128},
        metrics=('excess', *presets.TEXT_METRICS))
    warmup = {'hp': {'warmup': 4.}}
    rows = presets.text_rows(
        target=2., ki=2e-3, cycle=4., anneal=warmup, fb=warmup, fbp=warmup, pre_ae_fb=warmup, bn_vae=warmup,
        lagging={'label': 'Lagging (at most 10 inner steps)', 'options': {'max_inner': 10, 'window': 5}, **warmup},
        ivae={'hp': {'warmup': 4., 'nu_lr': 1e-3}, 'options': {'hidden': (128, 128), 'noise_scale': 0.6}})
    table.table = presets.rows({'source': {'label': 'the source itself', 'method': 'source'}, **rows})
    return table


def images():
    table = presets.table(
        'images', 'Images: 8x8 digits',
        dataset={'name': 'digits'}, kit={'name': 'mlp', 'latent': 8, 'hidden': (128,), 'likelihood': 'bernoulli'},
        optimizer={'lr': 1e-3, 'clip': 0.}, epochs=40, block=21,
        evaluation={'samples': 50, 'chunk': 50, 'batch': 250}, metrics=presets.IMAGE_METRICS)
    table.table = presets.rows(presets.image_rows())
    return table


def get_config():
    """Two tables: `text` and `images`."""
    tables = {'text': text(), 'images': images()}
    return config_dict.ConfigDict({'name': 'quickstart', 'rows': '', 'seeds': 2, 'tables': presets.rows(tables)})
