"""Yelp15 reviews (100,000 texts of 97 words): every text row, at the size of the papers or `:small`.

    vaebench --config=configs/yelp.py --workdir=runs/yelp --data_dir=DIR         # paper size: made for an accelerator
    vaebench --config=configs/yelp.py:small --workdir=runs/yelp-small --data_dir=DIR

DIR holds yelp.train.txt, yelp.valid.txt and yelp.test.txt, lines of label<TAB>text, or a folder with them.

Paper size: embeddings of 512, LSTMs of 1024, 32 latent units; the rest is in `presets.paper`. Expect about 358 nats a
text (perplexity 40). `:small` (`presets.small`) keeps texts of at most 40 words.
"""
from vaebench.experiment import presets

KEYS = {
    'lstm_lm': 'A8/lstm_lm', 'vae': 'A8/vae', 'cyclical': 'A8/cyclical', 'beta_04': 'A3/beta_vae A8/beta_vae',
    'fb': 'A8/fb_4', 'pre_ae_cyclical': 'A8/pre_cyclical', 'pre_ae_delta': 'A8/pre_delta_vae',
    'pre_ae_vmf': 'A8/pre_vmf_vae', 'pre_ae_bn_06': 'A8/pre_bn_vae_06', 'pre_ae_bn_07': 'A8/pre_bn_vae_07',
    'lagging': 'A8/lagging', 'sa_vae': 'A5/sa_vae A8/sa_vae', 'skip_vae': 'A8/skip_vae', 'lcnn_vae': 'A8/cnn_vae',
    'delta_vae': 'A8/delta_vae', 'bn_06': 'A8/bn_vae_06', 'bn_07': 'A8/bn_vae_07', 'twr': 'A10/twr_vae',
    'twr_mean': 'A10/twr_vae_mean', 'twr_sum': 'A10/twr_vae_sum', 'vmf_vae': 'A8/vmf_vae A5/vmf_vae',
    'p_vae': 'A5/p_vae', 'apo_vae': 'A5/apo_vae', 'apo_vae_vp': 'A5/apo_vae_vp',
    'ivae': 'A3/ivae', 'ivae_mi': 'A3/ivae_mi',
}
TITLE = 'Yelp15'
LARGE = {'embed': 512, 'hidden': 1024}
FOUR = {'label': 'FB (4)', 'hp': {'target': 4.}}


def get_config(size=''):
    """The table at paper size, or `small`."""
    paper = lambda: presets.paper('yelp', TITLE, KEYS, LARGE, words=96.6, cuts=12, refine=20, fb=FOUR)
    small = lambda: presets.small('yelp', TITLE, KEYS, words=25., max_words=40)
    return presets.probed(presets.sizes(size, paper=paper, small=small))
