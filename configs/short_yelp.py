"""Short-Yelp (100,000 reviews of 10 words, two sentiments): every text row, at paper size or `:small`.

    vaebench --config=configs/short_yelp.py --workdir=runs/short_yelp --data_dir=DIR
    vaebench --config=configs/short_yelp.py:small --workdir=runs/short_yelp-small --data_dir=DIR

DIR holds short_yelp.train.txt, short_yelp.valid.txt and short_yelp.test.txt, lines of label<TAB>text, or a folder with
them. The columns probe_100 to probe_10000 are the accuracy of a linear classifier of the codes.

Paper size: embeddings of 128, LSTMs of 512, 32 latent units; the rest is in `presets.paper`.
"""
from vaebench.experiment import presets

KEYS = {
    'ae': 'A11a/ae', 'vae': 'A11a/vae', 'delta_vae': 'A11a/delta_vae', 'lagging': 'A11a/lagging',
    'cyclical': 'A11a/cyclical', 'pre_ae_fb_6': 'A11a/pre_ae_fb_6', 'bn_07': 'A11a/bn_vae_07',
}
TITLE = 'Short-Yelp'


def get_config(size=''):
    """The table at paper size, or `small`."""
    kit = {'embed': 128, 'hidden': 512}
    paper = lambda: presets.paper('short_yelp', TITLE, KEYS, kit, words=10., cuts=4)
    small = lambda: presets.small('short_yelp', TITLE, KEYS, words=10.)
    return presets.probed(presets.sizes(size, paper=paper, small=small))
