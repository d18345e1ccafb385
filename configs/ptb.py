"""Penn Treebank: every text row, in two sizes.

    vaebench --config=ptb --workdir=runs/ptb --data_dir=DIR
    vaebench --config=ptb:small --workdir=runs/ptb-small --data_dir=DIR

DIR holds ptb.train.txt, ptb.valid.txt and ptb.test.txt, or a folder ptb/ with them.

Paper size: up to three hours per row and seed on two cores (TWR-VAE: a day), made for an
accelerator; expect about 100 nats a sentence (perplexity 95 to 110). The set points of
ControlVAE are 2 nats, that of its own script for this corpus, and 8, that of free bits.
`:small`: an hour or two on two cores; expect 63.8 nats for BN-VAE (0.6) and the VAE, 63.9 for
the LSTM-LM, 64.3 for free bits, 81 for the plain autoencoder.
"""
from vaebench.experiment import catalog, columns, sizes
from vaebench.experiment.rows import change, hp, published

METRICS = (*columns.TEXT, *columns.MORE_TEXT)
PUBLISHED = {
    'lstm_lm': 'A9/lstm_lm', 'vae': 'A9/vae', 'anneal': 'A4/vae A9/anneal',
    'cyclical': 'A3/cyclical', 'cyclical_20': 'A4/cyclical A9/cyclical',
    'beta_05_anneal': 'A3/beta_vae', 'fb': 'A4/fb', 'fbp_3': 'A9/fbp',
    'pre_ae_fb_4': 'A4/pre_ae_fb A9/pre_ae_fb', 'lagging': 'A4/lagging A9/lagging',
    'sa_vae': 'A3/sa_vae A10/sa_vae', 'bn_07': 'A10/bn_vae_07', 'ivae': 'A3/ivae',
    'ivae_mi': 'A3/ivae_mi', 'vmf_vae': 'A5/vmf_vae', 'p_vae': 'A5/p_vae',
    'apo_vae': 'A5/apo_vae', 'apo_vae_vp': 'A5/apo_vae_vp', 'flow_prior': 'A4/flow_prior',
    'flow_prior_fb': 'A4/flow_prior_fb', 'mog_vae': 'A4/mog_vae', 'mog_vae_fb': 'A4/mog_vae_fb',
    'vamp_vae': 'A4/vamp_vae', 'vamp_vae_fb': 'A4/vamp_vae_fb', 'gavam': 'A9/gavam',
    'davam_q': 'A9/davam_q', 'davam': 'A9/davam_128', 'davam_large': 'A9/davam_512',
    'twr': 'A10/twr_vae', 'twr_mean': 'A10/twr_vae_mean', 'twr_sum': 'A10/twr_vae_sum',
}


def paper():
    """At the size of the papers."""
    rows = change(catalog.text(words=21.9), sizes.PAPER, {
        'fb': hp(target=4.), 'control_vae': hp(target=2.), 'control_vae_high': hp(target=8.)})
    return dict(
        name='ptb', title='Penn Treebank', primary='nll_iw', baseline='vae',
        dataset=dict(name='ptb'), cuts=7,
        kit=dict(name='lstm', embed=256, hidden=256, latent=32, dropout=.5, init_scale=.01),
        epochs=100, batch=32, seeds=3, optimizer=dict(name='sgd', lr=.5, clip=5.),
        protocol=dict(patience=5), save_every=120.,
        evaluation=dict(samples=500, chunk=100, batch=32, generated=1000, refine=50),
        metrics=METRICS, table=published(rows, PUBLISHED))


def small():
    """For two CPU cores: no published number is comparable, they are shown beside the rows."""
    rows = change(catalog.text(words=13.7), sizes.SMALL)
    return dict(
        name='ptb-small', title=sizes.reduced('Penn Treebank', max_words=20),
        primary='nll_iw', baseline='vae',
        dataset=dict(name='ptb', max_words=20, vocab=2000, sentences=6000, eval_sentences=500),
        kit=dict(name='lstm', embed=64, hidden=128, latent=16, dropout=.3, init_scale=.1),
        cuts=3, epochs=6, batch=64, seeds=3, optimizer=dict(name='adam', lr=5e-3, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=50, generated=500, refine=50),
        metrics=METRICS, table=published(rows, PUBLISHED))


def get_config(size=''):
    """The table at paper size, or `small`."""
    return sizes.sized(size, {'': paper, 'small': small})
