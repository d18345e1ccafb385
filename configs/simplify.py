"""Sentences made simpler, learned from pairs: word by word, or by maps of codes.

    vaebench --config=simplify --workdir=runs/simplify --data_dir=DIR
    vaebench --config=simplify:grammar --workdir=runs/simplify-grammar        # no data needed

`turk`: TurkCorpus, learned from its small tuning part (26,000 pairs with eight simplifications
of each of 2,000 sentences), so that nothing compares with WikiLarge but the order of rows;
DIR holds simplification/. `grammar`: sentences with clauses that may go and words that have
simpler ones. The papers' time is that of a training epoch; here it is `train (s)`, by which
only rows without the shared first stage can be compared.

First parameters lie within 0.3, as on `two_style`: within 0.1, the papers', the same number of
steps ends on a plateau. On validation, one seed: S2S-Scratch has 2.2 nats on the grammar after
10 epochs and 0.2 after 20 (10.3 within 0.1); the autoencoder of `turk` 53.9 (61.7), where
sentences of at most 15 words are too few for any row, S2S-Scratch having 66.2 nats (66.6).
"""
from vaebench.experiment import columns, style_catalog
from vaebench.experiment.rows import published
from vaebench.experiment.sizes import sized

ROWS = style_catalog.simplification()


def table(name, title, dataset, kit, made, **settings):
    """One table of the rows that learn from pairs."""
    return dict(
        name=name, title=title, primary='sari', baseline='emb2emb', dataset=dataset,
        kit=dict(name='lstm', dropout=.2, init_scale=.3, family='B', **kit), batch=64,
        optimizer=dict(name='adam', lr=3e-3, clip=5.), evaluation=dict(batch=128),
        metrics=(*columns.STYLE, *columns.MORE_STYLE), table=made, **settings)


def turk():
    """Of TurkCorpus, its small part."""
    return table('simplify-turk', 'TurkCorpus, learned from its tuning part',
                 dict(name='turk_mini', max_words=15, vocab=3000),
                 dict(embed=64, hidden=128, latent=64),
                 published(ROWS, style_catalog.SIMPLIFICATION), epochs=8)


def grammar():
    """Of a grammar."""
    return table('simplify-grammar', 'A grammar of simplification',
                 dict(name='simplify', sentences=8192),
                 dict(embed=32, hidden=64, latent=32), ROWS, epochs=20)


def get_config(size=''):
    """Both tables, or `grammar` alone."""
    return sized(size, {
        '': lambda: dict(name='simplify', seeds=2, tables=dict(grammar=grammar(), turk=turk())),
        'grammar': lambda: dict(grammar(), seeds=3)})
