"""Yahoo Answers (100,000 texts of 80 words): every text row, in two sizes.

    vaebench --config=yahoo --workdir=runs/yahoo --data_dir=DIR
    vaebench --config=yahoo:small --workdir=runs/yahoo-small --data_dir=DIR

DIR holds yahoo.train.txt, yahoo.valid.txt and yahoo.test.txt, lines of label<TAB>text, or a
folder with them.

Paper size: made for an accelerator; expect about 328 nats a text (perplexity 60). The set
points of ControlVAE, 25 and 35 nats, were chosen for dialogues; here they are a tenth of what a
text is worth. `:small` keeps texts of at most 40 words.
"""
from vaebench.experiment import catalog, columns, sizes
from vaebench.experiment.rows import change, hp, published, select

METRICS = (*columns.TEXT, *columns.MORE_TEXT, *columns.PROBES)
PUBLISHED = {
    'lstm_lm': 'A1/lstm_lm A9/lstm_lm', 'vae': 'A1/vae',
    'anneal': 'A1/anneal A8/vae A13/vae',
    'cyclical_20': 'A1/cyclical A8/cyclical A13/cyclical',
    'beta_04': 'A3/beta_vae A8/beta_vae', 'beta_04_anneal': 'A13/beta_vae_04',
    'beta_02_anneal': 'A13/beta_vae_02', 'beta_01_anneal': 'A13/beta_vae_01',
    'fb': 'A13/fb_4', 'fbp': 'A8/fb_4', 'fbp_3': 'A1/fbp_3', 'fbp_9': 'A1/fbp_9',
    'pre_ae_fb_4': 'A8/pre_fb_4', 'pre_ae_fb_6': 'A1/pre_ae_fb_6',
    'pre_ae_fb_8': 'A1/pre_ae_fb_8', 'pre_ae_fb_9': 'A1/pre_ae_fb_9',
    'pre_ae_cyclical': 'A8/pre_cyclical', 'pre_ae_delta': 'A8/pre_delta_vae',
    'pre_ae_vmf': 'A8/pre_vmf_vae',
    'pre_ae_bn_06': 'A8/pre_bn_vae_06', 'pre_ae_bn_07': 'A8/pre_bn_vae_07',
    'lagging': 'A1/lagging A8/lagging', 'sa_vae': 'A3/sa_vae A8/sa_vae',
    'skip_vae_0': 'A8/skip_vae A13/skip_vae', 'bow_vae': 'A13/bow_vae',
    'lcnn_vae': 'A8/cnn_vae', 'delta_vae': 'A8/delta_vae',
    'bn_06': 'A8/bn_vae_06 A13/bn_vae_06', 'bn_07': 'A8/bn_vae_07',
    'twr': 'A10/twr_vae', 'twr_mean': 'A10/twr_vae_mean', 'twr_sum': 'A10/twr_vae_sum',
    'vmf_vae': 'A8/vmf_vae A5/vmf_vae', 'p_vae': 'A5/p_vae', 'apo_vae': 'A5/apo_vae',
    'apo_vae_vp': 'A5/apo_vae_vp', 'ivae': 'A3/ivae', 'ivae_mi': 'A3/ivae_mi',
    'gavam': 'A9/gavam', 'davam_q': 'A9/davam_q', 'davam': 'A9/davam_128',
    'davam_large': 'A9/davam_512', 'delta_vae_15': 'A13/delta_vae', 'bn_12': 'A13/bn_vae_12',
    'bn_18': 'A13/bn_vae_18', 'fb_high': 'A13/fb_16', 'dg_vae_1': 'A13/dg_vae_1',
    'dg_vae_4': 'A13/dg_vae_4', 'dg_vae_32': 'A13/dg_vae_32',
}
# of a target of 5, active units tell that the threshold is on the total
TARGETS = {'fbp_5': 'A1/fbp_5 A8/fb_5', 'fbp_7': 'A1/fbp_7', 'fb_49': 'A13/fb_49'}


def paper():
    """At the size of the papers."""
    rows = change(catalog.text(words=79.9), sizes.PAPER, sizes.LONG,
                  {'fb fbp': hp(target=4.)})
    targets = select(catalog.FREE_BITS, ' '.join(TARGETS))
    return dict(
        name='yahoo', title='Yahoo Answers', primary='nll_iw', baseline='vae',
        dataset=dict(name='yahoo'), cuts=12,
        kit=dict(name='lstm', embed=512, hidden=1024, latent=32, dropout=.5, init_scale=.01),
        epochs=100, batch=32, seeds=3, optimizer=dict(name='sgd', lr=.5, clip=5.),
        protocol=dict(patience=5), save_every=120.,
        evaluation=dict(samples=500, chunk=100, batch=32, generated=1000, refine=50),
        metrics=METRICS, table=published(rows | targets, PUBLISHED | TARGETS))


def small():
    """For two CPU cores: no published number is comparable, they are shown beside the rows."""
    rows = change(catalog.text(words=25.), sizes.SMALL)
    return dict(
        name='yahoo-small', title=sizes.reduced('Yahoo Answers', max_words=40),
        primary='nll_iw', baseline='vae',
        dataset=dict(name='yahoo', max_words=40, vocab=2000, sentences=6000,
                     eval_sentences=500),
        kit=dict(name='lstm', embed=64, hidden=128, latent=16, dropout=.3, init_scale=.1),
        cuts=3, epochs=6, batch=64, seeds=3, optimizer=dict(name='adam', lr=5e-3, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=50, generated=500, refine=50),
        metrics=METRICS, table=published(rows, PUBLISHED))


def get_config(size=''):
    """The table at paper size, or `small`."""
    return sizes.sized(size, {'': paper, 'small': small})
