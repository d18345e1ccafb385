"""The main job on embedded data: text rows on a synthetic corpus, image rows on digits.

    vaebench --config=quickstart            # two minutes on two CPU cores

Some of the rows only; `synthetic` and `images_quick` have them all. Expect, in nats above the
entropy of the source (`excess`): VAE and LSTM-LM 0.38, BN-VAE 0.47, free bits 0.58, plain
autoencoder 66. Of the digits, Frechet distances of 134 for the VAE and 48 for WGAN-GP.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import change, hp, lr, select

TEXT_ROWS = 'lstm_lm ae vae beta_05 fb bn_06 wae_d_10'
IMAGE_ROWS = 'vae vae_gaussian beta_vae wae_mmd gan wgan_gp'


def text():
    """Seven text rows, and the source."""
    rows = change(catalog.text(words=7.5), {
        catalog.ANNEALED: hp(warmup=3.),                            # epochs
        catalog.EIGHT_NATS: hp(target=2.)})                         # nats
    return dict(
        name='text', title='Text: synthetic corpus of known likelihood',
        primary='excess', baseline='vae',
        dataset=dict(name='synthetic', sentences=8192),
        kit=dict(name='lstm', embed=32, hidden=64, latent=8, dropout=.1, init_scale=.01),
        epochs=6, batch=64, optimizer=dict(name='adam', lr=1e-2, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=128), metrics=('excess', *columns.TEXT),
        table=catalog.SOURCE | select(rows, TEXT_ROWS))


def images():
    """Six image rows."""
    return dict(
        name='images', title='Images: 8x8 digits', primary='frechet', baseline='vae',
        dataset=dict(name='digits'),
        kit=dict(name='mlp', latent=8, hidden=(128,), likelihood='bernoulli'),
        epochs=40, batch=64, block=21, optimizer=dict(name='adam', lr=1e-3, clip=0.),
        evaluation=dict(samples=50, chunk=50, batch=250), metrics=columns.IMAGES,
        table=change(select(catalog.IMAGES, IMAGE_ROWS), {'gan wgan_gp': lr(1e-3)}))


def get_config():
    """Two tables: `text` and `images`."""
    return dict(name='quickstart', seeds=3, tables=dict(text=text(), images=images()))
