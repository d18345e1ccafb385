"""SNLI (100,000 sentences of 11 words): every text row, at the size of the papers or `:small`.

    vaebench --config=configs/snli.py --workdir=runs/snli --data_dir=DIR
    vaebench --config=configs/snli.py:small --workdir=runs/snli-small --data_dir=DIR

DIR holds snli.train.txt, snli.valid.txt and snli.test.txt, one sentence a line, or a folder with them.

Paper size: embeddings of 128, LSTMs of 512, 32 latent units; the rest is in `presets.paper`. Expect about 33 nats a
sentence (perplexity 21).
"""
from vaebench.experiment import presets

KEYS = {
    'lstm_lm': 'A9/lstm_lm', 'vae': 'A9/vae', 'anneal': 'A9/anneal', 'cyclical': 'A9/cyclical', 'fbp': 'A9/fbp',
    'pre_ae_fb_8': 'A9/pre_ae_fb', 'lagging': 'A9/lagging', 'gavam': 'A9/gavam', 'davam_q': 'A9/davam_q',
    'davam': 'A9/davam_128', 'davam_large': 'A9/davam_512', 'dae': 'A7/dae', 'wae_d_3': 'A7/wae_d_3',
    'wae_d_10': 'A7/wae_d_10', 'wae_s_0': 'A7/wae_s_0', 'wae_s_001': 'A7/wae_s_001', 'wae_s_01': 'A7/wae_s_01',
}
TITLE = 'SNLI'


def get_config(size=''):
    """The table at paper size, or `small`."""
    kit = {'embed': 128, 'hidden': 512}
    return presets.sizes(size, paper=lambda: presets.paper('snli', TITLE, KEYS, kit, words=10.8, cuts=4),
                         small=lambda: presets.small('snli', TITLE, KEYS, words=10.5))
