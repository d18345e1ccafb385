"""Penn Treebank: every text row, at the size of the papers or `:small` for two CPU cores.

    vaebench --config=configs/ptb.py --workdir=runs/ptb --data_dir=DIR           # paper size: made for an accelerator
    vaebench --config=configs/ptb.py:small --workdir=runs/ptb-small --data_dir=DIR

DIR holds ptb.train.txt, ptb.valid.txt and ptb.test.txt, or a folder ptb/ with them.

Paper size: embeddings and LSTMs of 256, 32 latent units, batch 32, SGD at 0.5 with Li's plateau decay (lagging and
the language model: 1.0, with He's patience), at most 40 epochs, 500 importance samples on all 3,761 test sentences.
Expect about 100 nats a sentence (perplexity 95 to 110).

`:small`: the first 10,000 sentences of at most 20 words, vocabulary 2,000, LSTMs of 128, 16 latent units, batch 64,
10 epochs of Adam at 3e-3, dropout 0.3, 50 importance samples on the first 500 test sentences of that length; lagging
with at most 20 inner steps. About 35 minutes on two cores. Not comparable with any paper.
"""
from vaebench import presets

PUBLISHED = {
    'lstm_lm': ('A9/lstm_lm',), 'vae': ('A4/vae', 'A9/vae'), 'anneal': ('A9/anneal',),
    'cyclical': ('A4/cyclical', 'A9/cyclical'), 'beta_vae': ('A3/beta_vae',), 'fb': ('A4/fb',), 'fbp': ('A9/fbp',),
    'pre_ae_fb': ('A4/pre_ae_fb', 'A9/pre_ae_fb'), 'bn_vae': ('A10/bn_vae_07',),
    'lagging': ('A4/lagging', 'A9/lagging'), 'ivae': ('A3/ivae',),
}


def rows(**settings):
    """The text rows, each with the published numbers it answers to."""
    found = presets.text_rows(**settings)
    for name, keys in PUBLISHED.items():
        found[name]['published'] = keys
    return presets.rows(found)


def paper():
    table = presets.table(
        'ptb', 'Penn Treebank', dataset={'name': 'ptb'}, kit=presets.LSTM, cuts=7, epochs=40, batch=32,
        optimizer={'name': 'sgd', 'lr': 0.5, 'clip': 5.0}, protocol={'patience': 5}, evaluation=presets.EVALUATION,
        metrics=presets.TEXT_METRICS, seeds=3, save_every=120.)
    he = {'overrides': {'protocol': {'patience': 2}, 'optimizer': {'lr': 1.0}}}
    language_model = {'overrides': {'protocol': {'patience': 2, 'first_epoch': 0}, 'optimizer': {'lr': 1.0}}}
    adam = {'overrides': {'optimizer': {'name': 'adam', 'lr': 1e-3}}}
    table.table = rows(bn_vae={'label': 'BN-VAE (0.7)', 'hp': {'gamma': 0.7}}, lagging=he, ivae=adam, cyclical=adam,
                       control_vae=adam, lstm_lm=language_model)
    return table


def small():
    table = presets.table(
        'ptb-small', 'Penn Treebank, reduced: 10,000 sentences of at most 20 words, vocabulary 2,000',
        dataset={'name': 'ptb', 'max_words': 20, 'sentences': 10_000, 'eval_sentences': 500, 'vocab': 2000},
        kit={**presets.LSTM, 'embed': 64, 'hidden': 128, 'latent': 16, 'dropout': 0.3}, cuts=3, epochs=10, batch=64,
        optimizer={'name': 'adam', 'lr': 3e-3, 'clip': 5.0},
        evaluation={'samples': 50, 'chunk': 50, 'batch': 50}, metrics=presets.TEXT_METRICS)
    warmup = {'hp': {'warmup': 5.}}
    table.table = rows(target=4., ki=1e-3, cycle=5., anneal=warmup, fb=warmup, fbp=warmup, pre_ae_fb=warmup,
                       bn_vae=warmup, ivae=warmup,
                       lagging={'label': 'Lagging (at most 20 inner steps)', 'hp': {'warmup': 5.},
                                'options': {'max_inner': 20, 'window': 5}})
    return table


def get_config(size=''):
    """The table at paper size, or `small`."""
    sizes = {'': paper, 'small': small}
    if size not in sizes:
        raise ValueError(f'no size {size!r}; write configs/ptb.py or configs/ptb.py:small')
    return sizes[size]()
