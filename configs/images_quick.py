"""Every image row on embedded data, in minutes: 8x8 digits, 25 Gaussians in the plane, and maps of a swiss roll.

    vaebench --config=configs/images_quick.py --workdir=runs/images_quick      # ten minutes on two CPU cores
    vaebench-report --results=runs/images_quick --pictures=runs/images_quick/pictures

Digits: one hidden layer of 128, 8 latent dimensions, 30 epochs; learning rates are larger than the papers' because runs
are a hundred times shorter. 25 Gaussians: the networks of WGAN-GP's toys at a quarter of their width, for MMD-GAN a
layer less: where samples have no bound, deeper features let it diverge. The swiss roll has 1,500 points; scikit-learn's
maps are fitted to the test points themselves, the autoencoders have not seen them.
"""
from ml_collections import config_dict

from vaebench.experiment import presets

POINTS = ('vae_gaussian wae_mmd aae gan_minmax gan f_gan_kl f_gan_reverse_kl f_gan_pearson f_gan_hellinger f_gan_js '
          'f_gan_gan wgan wgan_gp lsgan ebgan ebgan_pt began gmmn mmd_gan')


def digits():
    table = presets.table(
        'digits', '8x8 digits', dataset={'name': 'digits'},
        kit={'name': 'mlp', 'latent': 8, 'hidden': (128,), 'likelihood': 'bernoulli'},
        optimizer={'lr': 2e-3, 'clip': 0.}, epochs=30, block=21,
        evaluation={'samples': 50, 'chunk': 50, 'batch': 250, 'images': 250}, metrics=presets.IMAGE_METRICS)
    table.table = presets.rows(presets.image_rows(
        warmup=15., components=20, aae_lr=3e-3, lr=1e-3, wgan_lr=1e-3, clip=.05, mmd_lr=5e-4, mmd_clip=.1,
        lambda_k=.1, gamma=.9, margin=.03, code=4, critic=(128, 128),
        conv={'name': 'conv', 'channels': (16, 32), 'hidden': 64, 'kernel': 4, 'activation': 'leaky_relu'},
        began={'options': {'energy': 'squared', 'code': 32}}, gmmn={'overrides': {'optimizer': {'lr': 3e-3}}},
        gmmn_ae={'options': {'hidden': (64, 128)}}))
    return table


def gaussians():
    table = presets.table(
        'gaussians', '25 Gaussians', dataset={'name': 'gaussians25', 'examples': 12_800, 'eval_examples': 1000},
        kit={'name': 'mlp', 'latent': 2, 'hidden': (128, 128, 128), 'likelihood': 'gaussian_shared'},
        optimizer={'lr': 1e-3, 'clip': 0.}, epochs=20, batch=128, block=50,
        evaluation={'samples': 50, 'chunk': 50, 'batch': 250, 'images': 500, 'drawn': 2500},
        metrics=presets.POINT_METRICS)
    rows = presets.image_rows(penalty=10., aae_lr=1e-3, lr=1e-3, wgan_lr=5e-4, gp=.1, clip=.1, mmd_lr=5e-4, mmd_clip=.3,
                              lambda_k=1e-2, margin=.2, critic=(128, 128),
                              gmmn={'overrides': {'optimizer': {'lr': 3e-3}}},
                              mmd_gan={'hp': {'rec': 8.}, 'overrides': {'kit': {'hidden': (128, 128)}}})
    table.table = presets.rows(presets.only(rows, POINTS))
    return table


def roll():
    table = presets.table(
        'swiss_roll', 'Swiss roll of 1,500 points, in the plane', dataset={'name': 'swiss_roll'},
        kit={'name': 'mlp', 'latent': 2, 'hidden': (128, 128), 'likelihood': 'gaussian_shared'},
        optimizer={'lr': 3e-3, 'clip': 0.}, epochs=200, batch=100, block=15, evaluation={'batch': 500},
        metrics=presets.EMBEDDING_METRICS)
    table.table = presets.rows(presets.embedding_rows(gamma=.01))
    return table


def get_config():
    """Three tables."""
    tables = {'digits': digits(), 'gaussians': gaussians(), 'swiss_roll': roll()}
    return config_dict.ConfigDict({'name': 'images_quick', 'rows': '', 'seeds': 2, 'tables': presets.rows(tables)})
