"""Short-Yelp (100,000 reviews of 10 words, two sentiments): every text row, in two sizes.

    vaebench --config=short_yelp --workdir=runs/short_yelp --data_dir=DIR
    vaebench --config=short_yelp:small --workdir=runs/short_yelp-small --data_dir=DIR

DIR holds short_yelp.train.txt, short_yelp.valid.txt and short_yelp.test.txt, lines of
label<TAB>text, or a folder with them. The columns probe_100 to probe_10000 are the accuracy of
a linear classifier of the codes.

Paper size: made for an accelerator. ControlVAE is held at the rates of free bits, 8 and 16
nats.
"""
from vaebench.experiment import catalog, columns, sizes
from vaebench.experiment.rows import change, published, select

METRICS = (*columns.TEXT, *columns.MORE_TEXT, *columns.PROBES)
PUBLISHED = {
    'ae': 'A11a/ae', 'vae': 'A11a/vae', 'delta_vae': 'A11a/delta_vae',
    'lagging': 'A11a/lagging', 'cyclical_20': 'A11a/cyclical',
    'pre_ae_fb_6': 'A11a/pre_ae_fb_6', 'bn_07': 'A11a/bn_vae_07',
}
TARGETS = {'fb_9': 'A11a/fb_9'}


def paper():
    """At the size of the papers."""
    rows = change(catalog.text(words=10.), sizes.PAPER, sizes.SHORT)
    targets = select(catalog.FREE_BITS, ' '.join(TARGETS))
    return dict(
        name='short_yelp', title='Short-Yelp', primary='nll_iw', baseline='vae',
        dataset=dict(name='short_yelp'), cuts=4,
        kit=dict(name='lstm', embed=128, hidden=512, latent=32, dropout=.5, init_scale=.01),
        epochs=100, batch=32, seeds=3, optimizer=dict(name='sgd', lr=.5, clip=5.),
        protocol=dict(patience=5), save_every=120.,
        evaluation=dict(samples=500, chunk=100, batch=32, generated=1000, refine=50),
        metrics=METRICS, table=published(rows | targets, PUBLISHED | TARGETS))


def small():
    """For two CPU cores: no published number is comparable, they are shown beside the rows."""
    rows = change(catalog.text(words=10.), sizes.SMALL)
    return dict(
        name='short_yelp-small', title=sizes.reduced('Short-Yelp', max_words=20),
        primary='nll_iw', baseline='vae',
        dataset=dict(name='short_yelp', max_words=20, vocab=2000, sentences=6000,
                     eval_sentences=500),
        kit=dict(name='lstm', embed=64, hidden=128, latent=16, dropout=.3, init_scale=.1),
        cuts=3, epochs=6, batch=64, seeds=3, optimizer=dict(name='adam', lr=5e-3, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=50, generated=500, refine=50),
        metrics=METRICS, table=published(rows, PUBLISHED))


def get_config(size=''):
    """The table at paper size, or `small`."""
    return sizes.sized(size, {'': paper, 'small': small})
