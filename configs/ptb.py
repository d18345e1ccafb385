"""Penn Treebank: every text row, at the size of the papers or `:small` for two CPU cores.

    vaebench --config=configs/ptb.py --workdir=runs/ptb --data_dir=DIR           # paper size: made for an accelerator
    vaebench --config=configs/ptb.py:small --workdir=runs/ptb-small --data_dir=DIR

DIR holds ptb.train.txt, ptb.valid.txt and ptb.test.txt, or a folder ptb/ with them.

Paper size: embeddings and LSTMs of 256, 32 latent units; the rest is in `presets.paper`. Expect about 100 nats a
sentence (perplexity 95 to 110). `:small`: see `presets.small`; about an hour on two cores.
"""
from vaebench.experiment import presets

KEYS = {
    'lstm_lm': 'A9/lstm_lm', 'vae': 'A4/vae A9/vae', 'anneal': 'A9/anneal', 'cyclical': 'A4/cyclical A9/cyclical',
    'beta_05': 'A3/beta_vae', 'fb': 'A4/fb', 'fbp': 'A9/fbp', 'pre_ae_fb_8': 'A4/pre_ae_fb A9/pre_ae_fb',
    'lagging': 'A4/lagging A9/lagging', 'sa_vae': 'A3/sa_vae A10/sa_vae', 'bn_07': 'A10/bn_vae_07', 'ivae': 'A3/ivae',
    'ivae_mi': 'A3/ivae_mi', 'vmf_vae': 'A5/vmf_vae', 'p_vae': 'A5/p_vae', 'apo_vae': 'A5/apo_vae',
    'apo_vae_vp': 'A5/apo_vae_vp', 'flow_prior': 'A4/flow_prior', 'flow_prior_fb': 'A4/flow_prior_fb',
    'mog_vae': 'A4/mog_vae', 'mog_vae_fb': 'A4/mog_vae_fb', 'vamp_vae': 'A4/vamp_vae', 'vamp_vae_fb': 'A4/vamp_vae_fb',
    'gavam': 'A9/gavam', 'davam_q': 'A9/davam_q', 'davam': 'A9/davam_128', 'davam_large': 'A9/davam_512',
    'twr': 'A10/twr_vae', 'twr_mean': 'A10/twr_vae_mean', 'twr_sum': 'A10/twr_vae_sum',
}
TITLE = 'Penn Treebank'


def get_config(size=''):
    """The table at paper size, or `small`."""
    return presets.sizes(size, paper=lambda: presets.paper('ptb', TITLE, KEYS, {}, words=21.9, cuts=7),
                         small=lambda: presets.small('ptb', TITLE, KEYS, words=13.7))
