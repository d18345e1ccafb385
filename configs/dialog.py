"""Responses in dialogues, given what was said before.

    vaebench --config=dialog:small --workdir=runs/dialog-small --data_dir=DIR
    vaebench --config=dialog --workdir=runs/dialog --data_dir=DIR

Two tables. `grammar`: dialogues with six valid responses to each, all of them known and equally
likely, so that a perfect model has an `nll_iw` of ln 6 = 1.79 nats and `excess` is 0; it needs
no data. `dailydialog`: DailyDialog, of which DIR holds dailydialog/. Likelihoods are of
responses given their contexts. The Switchboard table that papers print has other data, words
and tokens: no number of theirs compares.
"""
from vaebench.experiment import columns, dialogue_catalog
from vaebench.experiment.rows import change, hp, options, published
from vaebench.experiment.sizes import sized

METRICS = *columns.DIALOGUE, *columns.MORE_DIALOGUE
# by which a grammar is read: how much of what may be said is said, and how much of the rest
FIRST = ('excess', 'kl', 'valid_recall', 'valid_precision', 'response_dis_2_inter',
         'act_accuracy')
DAILY = dict(metrics=METRICS, columns=columns.DIALOGUE)


def table(name, title, made, dataset, kit, epochs, batch, **settings):
    """A table of responses."""
    return dict(
        name=name, title=title, primary='nll_iw', baseline='cvae', dataset=dataset,
        kit=dict(name='lstm', init_scale=.1, family='B', **kit),
        epochs=epochs, batch=batch, evaluation=dict(batch=128), table=made, **settings)


def grammar(size, sentences, epochs, made):
    """Of a grammar, whose responses hold ln 6 nats: rates are held below that."""
    rows = change(made, {dialogue_catalog.BATCH_NORMALIZED: hp(gamma=.4),   # at least 1.28 nats
                         'cvae_fb': hp(target=1.5)})
    return table(f'dialog{size}', 'Dialogues of a grammar, six valid responses', rows,
                 dict(name='dialog', sentences=sentences),
                 dict(embed=64, hidden=96, latent=16, dropout=0.), epochs, 64,
                 optimizer=dict(name='adam', lr=6e-3, clip=5.),
                 metrics=(*columns.VALID, *METRICS), columns=FIRST)


def small():
    """Both tables, reduced."""
    made = change(dialogue_catalog.dialogues(), {
        dialogue_catalog.ANNEALED: hp(warmup=5.), 'cvae_fb': hp(target=4.),
        dialogue_catalog.CONDITIONAL: options(hidden=96)})
    daily = table('dailydialog-small',
                  'DailyDialog, reduced: 6,000 responses of at most 15 words',
                  published(made, dialogue_catalog.SWITCHBOARD),
                  dict(name='dailydialog', max_words=15, sentences=6000,
                       eval_sentences=600, vocab=2000, turns=4),
                  dict(embed=64, hidden=96, latent=16, dropout=.2), 8, 64,
                  optimizer=dict(name='adam', lr=2e-3, clip=5.), **DAILY)
    return dict(name='dialog-small', seeds=3, tables=dict(
        grammar=grammar('-small', 6144, 24, made), dailydialog=daily))


def full():
    """Both tables, DailyDialog at the sizes of the CVAE's code."""
    made = dialogue_catalog.dialogues()
    rows = change(made, {dialogue_catalog.ANNEALED: hp(warmup=4.),           # 10,000 batches
                         dialogue_catalog.BATCH_NORMALIZED: hp(gamma=.2)})   # at least 4 nats
    daily = table('dailydialog', 'DailyDialog',
                  published(rows, dialogue_catalog.SWITCHBOARD),
                  dict(name='dailydialog', max_words=40, vocab=10_000),
                  dict(embed=200, hidden=400, latent=200, dropout=.2), 60, 30,
                  optimizer=dict(name='adam', lr=1e-3, clip=5.), **DAILY)
    return dict(name='dialog', seeds=3, tables=dict(
        grammar=grammar('', 20_000, 20, made), dailydialog=daily))


def get_config(size=''):
    """The tables, or `small`."""
    return sized(size, {'': full, 'small': small})
