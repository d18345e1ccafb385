"""Your own sentences: a folder with train.txt, valid.txt and test.txt, one sentence a line, words separated by spaces.

    vaebench --config=configs/text_dir.py --workdir=runs/mine --data_dir=DIR

LSTMs of 256, 32 latent units, batch 32, 20 epochs of Adam at 1e-3. Change what you like: --config.kit.hidden=128,
--config.dataset.vocab=10000 (most frequent words; the others are <unk>), --config.dataset.max_words=40,
--config.rows=vae,bn_06. Ten thousand sentences of 20 words take about ten minutes a row on two CPU cores. The WAE rows'
lambdas are those of sentences of 20 words.
"""
from ml_collections import config_dict

from vaebench.experiment import presets


def get_config():
    """All text rows on a folder of sentences."""
    size = config_dict.placeholder(int)
    table = presets.table(
        'text_dir', 'Own sentences', kit=presets.LSTM, cuts=5, epochs=20, batch=32, evaluation=presets.EVALUATION,
        metrics=(*presets.TEXT_METRICS, *presets.MORE_TEXT_METRICS),
        dataset={'name': 'text_dir', 'labelled': False, 'max_words': size, 'vocab': size, 'sentences': size,
                 'eval_sentences': size})
    table.table = presets.rows(presets.text_rows(ki=1e-3, words=20.))
    return table
