"""The main job on embedded data: text rows on a corpus whose true likelihood is known, image rows on 8x8 digits.

    vaebench --config=configs/quickstart.py
"""
from ml_collections import config_dict

from vaebench import presets

EPOCHS = 15


def text():
    table = presets.table(
        'text', 'Text: synthetic corpus, 2 seeds',
        dataset={'name': 'synthetic'}, kit={**presets.LSTM, 'embed': 32, 'hidden': 64, 'latent': 8, 'dropout': 0.1},
        optimizer={'lr': 1e-2}, epochs=EPOCHS, evaluation={'samples': 50, 'chunk': 50, 'batch': 128},
        metrics=('excess', *presets.TEXT_METRICS))
    table.table = config_dict.ConfigDict({
        'source': {'label': 'the source itself', 'method': 'source'},
        **presets.text_rows(target=2., ki=2e-3, cycle=5., anneal={'hp': {'warmup': 5.}}, fb={'hp': {'warmup': 5.}},
                            fbp={'hp': {'warmup': 5.}}, pre_ae_fb={'hp': {'warmup': 5.}},
                            bn_vae={'hp': {'warmup': 5.}}, lagging={'hp': {'warmup': 5.}},
                            ivae={'hp': {'warmup': 5., 'nu_lr': 1e-3}}),
    })
    return table


def images():
    table = presets.table(
        'images', 'Images: 8x8 digits, 2 seeds',
        dataset={'name': 'digits'}, kit={'name': 'mlp', 'latent': 8, 'hidden': (128,)},
        optimizer={'lr': 1e-3, 'clip': 0.}, epochs=40,
        evaluation={'samples': 50, 'chunk': 50, 'batch': 250}, metrics=presets.IMAGE_METRICS)
    table.table = config_dict.ConfigDict(presets.image_rows())
    return table


def get_config():
    """Two tables: `text` and `images`."""
    return config_dict.ConfigDict({'name': 'quickstart', 'rows': '', 'seeds': 2,
                                   'tables': {'text': text(), 'images': images()}})
