"""Sentiment of Yelp sentences rewritten, on a split that everybody can make: see the dataset.

    vaebench --config=yelp_resplit --workdir=runs/yelp --data_dir=DIR          # accelerator
    vaebench --config=yelp_resplit:small --workdir=runs/yelp-small --data_dir=DIR

DIR holds Shen et al.'s sentences (yelp_sentiment) and Li et al.'s test with human references
(li2018). Every row that needs no gold, with published numbers beside it: those are of other
data, and of other judges. At full size John et al.'s sizes, batches and rate, 20 epochs;
`:small` learns from 10,000 sentences of at most 10 words, with the weights of critics of
`two_style`. `geometric_mean` is that of accuracy, overlap and fluency: copies and random
sentences lose one of the three. First parameters within 0.1 have larger means on validation
(John et al.'s VAE 0.32, an offset 0.24) than those within 0.3 (0.29 and 0.22). Maps of codes
are held near the code itself, not only to its direction: the cosine leaves a code's length
free, and in runs this short, at rates this large, codes grow until what is read from them is
no sentence (on validation 0.05 with the cosine, 0.15 at a tenth of the map's rate, 0.24 with
the square).
"""
from vaebench.experiment import columns, style_catalog
from vaebench.experiment.rows import change, hp, options, published
from vaebench.experiment.sizes import sized


def table(size, epochs, dataset, kit, seeds, made, **settings):
    """The table at a size."""
    return dict(
        name=f'yelp-resplit{size}', title=f'Yelp sentiment, resplit{" (reduced)" * bool(size)}',
        primary='geometric_mean', baseline='john_vae', seeds=seeds,
        dataset=dict(name='yelp_resplit', **dataset),
        kit=dict(name='lstm', dropout=.2, init_scale=.1, family='B', **kit), epochs=epochs,
        evaluation=dict(batch=128), metrics=(*columns.STYLE, *columns.MORE_STYLE),
        table=change(published(style_catalog.styles(), style_catalog.YELP),
                     {style_catalog.RAMPED: hp(warmup=epochs / 2)}, made), **settings)


def paper():
    """At John et al.'s size."""
    return table('', 20, {}, dict(embed=300, hidden=256, latent=136), 5, {}, batch=128,
                 optimizer=dict(name='adam', lr=1e-3, clip=5.))


def small():
    """For two cores."""
    return table('-small', 8, dict(sentences=10_000, eval_sentences=600, max_words=10,
                                   vocab=3000),
                 dict(embed=64, hidden=96, latent=40), 2,
                 {**style_catalog.FEW_SENTENCES,
                  style_catalog.EMB2EMB: options(distance='squared')}, batch=64,
                 optimizer=dict(name='adam', lr=3e-3, clip=5.))


def get_config(size=''):
    """The table, or `small`."""
    return sized(size, {'': paper, 'small': small})
