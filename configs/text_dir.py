"""Your own sentences: a folder with train.txt, valid.txt and test.txt.

    vaebench --config=text_dir --workdir=runs/mine --data_dir=DIR

One sentence a line, words separated by spaces; where a language writes none, put one between
characters first. Change what you like: --config.kit.hidden=128,
--config.dataset.vocab=10000 (most frequent words; the others are <unk>),
--config.dataset.max_words=40, --config.rows=vae,bn_06. Ten thousand sentences of 20 words take
about ten minutes a row on two CPU cores.

ControlVAE is held at the rates of free bits, 8 and 16 nats, since nothing is known of what your
sentences are worth: --config.table.control_vae.hp.target=3 suits short ones. Its gain is ten
times the paper's, for a run of so few steps.
"""
from ml_collections import config_dict

from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import change, hp
from vaebench.experiment.sizes import SHORT


def get_config():
    """All text rows on a folder of sentences."""
    sizes = {name: config_dict.placeholder(int)      # None until the command line sets it
             for name in ('max_words', 'vocab', 'sentences', 'eval_sentences')}
    return dict(
        name='text_dir', title='Own sentences', primary='nll_iw', baseline='vae',
        dataset=dict(name='text_dir', labelled=False, **sizes), cuts=5,
        kit=dict(name='lstm', embed=256, hidden=256, latent=32, dropout=.5, init_scale=.01),
        epochs=20, batch=32, seeds=3, optimizer=dict(name='adam', lr=1e-3, clip=5.),
        evaluation=dict(samples=500, chunk=100, batch=32, generated=1000, refine=50),
        metrics=(*columns.TEXT, *columns.MORE_TEXT),
        table=change(catalog.text(words=20.), SHORT, {     # predicted words of a sentence
            'control_vae control_vae_high': hp(ki=1e-3),
            catalog.STOCHASTIC_WAE: hp(delay=5., warmup=5.)}))      # epochs
