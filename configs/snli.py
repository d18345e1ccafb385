"""SNLI (100,000 sentences of 11 words): every text row, in two sizes.

    vaebench --config=snli --workdir=runs/snli --data_dir=DIR
    vaebench --config=snli:small --workdir=runs/snli-small --data_dir=DIR

DIR holds snli.train.txt, snli.valid.txt and snli.test.txt, one sentence a line, or a folder
with them.

Paper size: made for an accelerator; expect about 33 nats a sentence (perplexity 21).
ControlVAE is held at the rates of free bits, 8 and 16 nats.
"""
from vaebench.experiment import catalog, columns, sizes
from vaebench.experiment.rows import change, published

METRICS = (*columns.TEXT, *columns.MORE_TEXT)
PUBLISHED = {
    'lstm_lm': 'A9/lstm_lm', 'vae': 'A9/vae', 'anneal': 'A9/anneal',
    'cyclical_20': 'A9/cyclical', 'fbp_9': 'A9/fbp', 'pre_ae_fb_9': 'A9/pre_ae_fb',
    'lagging': 'A9/lagging', 'gavam': 'A9/gavam', 'davam_q': 'A9/davam_q',
    'davam': 'A9/davam_128', 'davam_large': 'A9/davam_512', 'dae': 'A7/dae',
    'wae_d_3': 'A7/wae_d_3', 'wae_d_10': 'A7/wae_d_10', 'wae_s_0': 'A7/wae_s_0',
    'wae_s_001': 'A7/wae_s_001', 'wae_s_01': 'A7/wae_s_01',
}


def paper():
    """At the size of the papers."""
    rows = change(catalog.text(words=10.8), sizes.PAPER, sizes.SHORT)
    return dict(
        name='snli', title='SNLI', primary='nll_iw', baseline='vae',
        dataset=dict(name='snli'), cuts=4,
        kit=dict(name='lstm', embed=128, hidden=512, latent=32, dropout=.5, init_scale=.01),
        epochs=100, batch=32, seeds=3, optimizer=dict(name='sgd', lr=.5, clip=5.),
        protocol=dict(patience=5), save_every=120.,
        evaluation=dict(samples=500, chunk=100, batch=32, generated=1000, refine=50),
        metrics=METRICS, table=published(rows, PUBLISHED))


def small():
    """For two CPU cores: no published number is comparable, they are shown beside the rows."""
    rows = change(catalog.text(words=10.5), sizes.SMALL)
    return dict(
        name='snli-small', title=sizes.reduced('SNLI', max_words=20),
        primary='nll_iw', baseline='vae',
        dataset=dict(name='snli', max_words=20, vocab=2000, sentences=6000, eval_sentences=500),
        kit=dict(name='lstm', embed=64, hidden=128, latent=16, dropout=.3, init_scale=.1),
        cuts=3, epochs=6, batch=64, seeds=3, optimizer=dict(name='adam', lr=5e-3, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=50, generated=500, refine=50),
        metrics=METRICS, table=published(rows, PUBLISHED))


def get_config(size=''):
    """The table at paper size, or `small`."""
    return sizes.sized(size, {'': paper, 'small': small})
