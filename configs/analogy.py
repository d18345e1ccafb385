"""Arithmetic on the codes of sentences, by every autoencoder of sentences.

    vaebench --config=analogy --workdir=runs/analogy         # no data needed

On a grammar of independent factors (subject, number, tense, negation, ...): of s1 - s2 + s3 the
right answer s4 is known, and `analogy_exact` is the share of sums whose greedy sentence is it.
`line_ends` says whether the ends of a line between two codes are the sentences that it joins,
`line_order` whether its sentences come in order; such lines, and how they go on beyond either
end, are in the listings. Read an analogy beside `bleu`: a row that cannot say a sentence again
cannot say a sum.
"""
from vaebench.experiment import catalog, columns, sizes
from vaebench.experiment.rows import change, without
from vaebench.experiment.sizes import sized

METRICS = (*columns.ANALOGIES, *columns.LINES, 'bleu', 'nll_iw', 'elbo', 'rec', 'kl', 'mi_full',
           'au')


def table():
    """Every text row that has codes."""
    rows = change(catalog.text(words=10.), sizes.SMALL)
    return dict(
        name='analogy', title='Sums of the codes of sentences', primary='analogy_exact',
        baseline='vae', dataset=dict(name='analogy', sentences=8192), cuts=2,
        kit=dict(name='lstm', embed=64, hidden=128, latent=16, dropout=.1, init_scale=.1),
        epochs=8, batch=64, seeds=3, optimizer=dict(name='adam', lr=5e-3, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=100, generated=500, refine=50),
        metrics=METRICS, table=without(rows, 'lstm_lm'))


def get_config(size=''):
    """The table."""
    return sized(size, {'': table})
