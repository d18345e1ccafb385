"""Yahoo Answers (100,000 texts of 80 words): every text row, at the size of the papers or `:small`.

    vaebench --config=configs/yahoo.py --workdir=runs/yahoo --data_dir=DIR       # paper size: made for an accelerator
    vaebench --config=configs/yahoo.py:small --workdir=runs/yahoo-small --data_dir=DIR

DIR holds yahoo.train.txt, yahoo.valid.txt and yahoo.test.txt, lines of label<TAB>text, or a folder with them.

Paper size: embeddings of 512, LSTMs of 1024, 32 latent units; the rest is in `presets.paper`. Expect about 328 nats a
text (perplexity 60). `:small` (`presets.small`) keeps texts of at most 40 words.
"""
from vaebench.experiment import presets

KEYS = {
    'lstm_lm': 'A1/lstm_lm A9/lstm_lm', 'vae': 'A1/vae A8/vae A13/vae', 'anneal': 'A1/anneal',
    'cyclical': 'A1/cyclical A8/cyclical A13/cyclical', 'beta_04': 'A3/beta_vae A8/beta_vae A13/beta_vae_04',
    'fb': 'A8/fb_4 A13/fb_4', 'fbp': 'A1/fbp_9', 'pre_ae_fb_6': 'A1/pre_ae_fb_6', 'pre_ae_fb_8': 'A1/pre_ae_fb_8',
    'pre_ae_fb_9': 'A1/pre_ae_fb_9', 'pre_ae_cyclical': 'A8/pre_cyclical', 'pre_ae_delta': 'A8/pre_delta_vae',
    'pre_ae_vmf': 'A8/pre_vmf_vae', 'pre_ae_bn_06': 'A8/pre_bn_vae_06', 'pre_ae_bn_07': 'A8/pre_bn_vae_07',
    'lagging': 'A1/lagging A8/lagging', 'sa_vae': 'A3/sa_vae A8/sa_vae', 'skip_vae': 'A8/skip_vae A13/skip_vae',
    'lcnn_vae': 'A8/cnn_vae', 'delta_vae': 'A8/delta_vae', 'bn_06': 'A8/bn_vae_06 A13/bn_vae_06',
    'bn_07': 'A8/bn_vae_07', 'twr': 'A10/twr_vae', 'twr_mean': 'A10/twr_vae_mean', 'twr_sum': 'A10/twr_vae_sum',
    'vmf_vae': 'A8/vmf_vae A5/vmf_vae', 'p_vae': 'A5/p_vae', 'apo_vae': 'A5/apo_vae', 'apo_vae_vp': 'A5/apo_vae_vp',
    'ivae': 'A3/ivae', 'ivae_mi': 'A3/ivae_mi', 'gavam': 'A9/gavam', 'davam_q': 'A9/davam_q',
    'davam': 'A9/davam_128', 'davam_large': 'A9/davam_512',
    'delta_vae_15': 'A13/delta_vae', 'bn_12': 'A13/bn_vae_12', 'bn_18': 'A13/bn_vae_18', 'fb_high': 'A13/fb_16',
    'beta_02': 'A13/beta_vae_02', 'beta_01': 'A13/beta_vae_01', 'dg_vae_1': 'A13/dg_vae_1',
    'dg_vae_4': 'A13/dg_vae_4', 'dg_vae_32': 'A13/dg_vae_32',
}
TITLE = 'Yahoo Answers'
LARGE = {'embed': 512, 'hidden': 1024}
FOUR, SIXTEEN = ({'label': f'FB ({n:g})', 'hp': {'target': n}} for n in (4., 16.))
NINE = {'label': 'FBP (9)', 'hp': {'target': 9.}}


def get_config(size=''):
    """The table at paper size, or `small`."""
    paper = lambda: presets.paper('yahoo', TITLE, KEYS, LARGE, words=79.9, cuts=12, refine=20, fb=FOUR,
                                  fb_high=SIXTEEN, fbp=NINE)
    small = lambda: presets.small('yahoo', TITLE, KEYS, words=25., max_words=40)
    return presets.probed(presets.sizes(size, paper=paper, small=small))
