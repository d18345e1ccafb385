"""A corpus at its two sizes: what its text rows change at that of the papers, and reduced."""
from collections.abc import Callable, Mapping
from typing import Any

from vaebench.errors import UserError
from vaebench.experiment.catalog import ANNEALED, DUALS, EIGHT_NATS, MANY_DRAWS, MIXTURES
from vaebench.experiment.rows import Entry, hp, options, overrides

ADAM = ('cyclical cost_anneal control_vae control_vae_high scnn_vae mcnn_vae lcnn_vae p_vae '
        'apo_vae apo_vae_vp wae_gan wae_d_3 wae_d_10 wae_s_0 wae_s_001 wae_s_01 ivae ivae_mi '
        'gavam davam_q davam davam_large')
FAMILY_B = 'sa_vae skip_vae cyclical ivae ivae_mi'
TWR = 'twr twr_mean twr_sum twr_last25 twr_last50 twr_last75'


def rule(name: str, lr: float, patience: int = 0) -> Entry:
    """Changes the update rule and the epochs without improvement before it decays."""
    return overrides(optimizer=dict(name=name, lr=lr), protocol=dict(patience=patience))


PAPER: Mapping[str, Entry] = {
    ADAM: rule('adam', 1e-3),
    'wae_gan': overrides(optimizer=dict(lr=5e-4, b1=.5)),
    TWR: overrides(batch=64, optimizer=dict(name='adam', lr=1e-4, clip=0.),
                   protocol=dict(patience=0)),
    'pre_ae_cyclical': rule('sgd', .5),
    'lagging sa_vae lstm_lm': rule('sgd', 1., patience=2),
    'lstm_lm': overrides(protocol=dict(first_epoch=0)),
    FAMILY_B: overrides(kit=dict(family='B', init_scale=.1)),
    'scnn_vae mcnn_vae lcnn_vae': options(channels=512),
    'beta_05_anneal': overrides(                              # as iVAE's authors ran it
        epochs=40, kit=dict(family='B', init_scale=.1), protocol=dict(patience=0),
        optimizer=dict(name='adam', lr=1e-3)),
}
"""Changes to a table that trains by SGD at 0.5 with Li's plateau decay.

Lagging, SA-VAE and the language model train at 1.0 with He's patience; by Adam without decay
what its own paper trains by Adam (but TWR-VAE neither with its weight decay nor at its sizes).
The papers of SA-VAE, skip-VAE, cyclical annealing and iVAE have networks of family B. iVAE's
gradients are clipped as all others are (its script clips encoder and decoder apart, and trains
at 8e-4 on the larger corpora)."""

SMALL: Mapping[str, Entry] = {
    ANNEALED: hp(warmup=3.),                                  # epochs
    'cyclical': hp(period=3., warmup=1.5),
    'pre_ae_cyclical cyclical_20': hp(period=6., warmup=3.),
    'beta_05_anneal': hp(warmup=1.2),
    'capacity_vae': hp(capacity=4., capacity_epochs=3.),      # nats
    'control_vae': hp(target=3., ki=1e-3),
    'control_vae_high': hp(target=6., ki=1e-3),
    EIGHT_NATS: hp(target=4.),
    'fb_high': hp(target=8.),
    'pre_ae_fb_6': hp(target=3.),
    'pre_ae_fb_4': hp(target=2.),
    'pre_ae_fb_9': hp(target=4.5),
    'fbp_3': hp(target=1.5),
    'fbp_9': hp(target=4.5),
    'lagging': options(max_inner=10, window=5),
    'sa_vae': options(refine=3),
    MANY_DRAWS: options(draws=3),
    MIXTURES: options(components=16),
    'wae_gan': hp(critic_lr=3e-3),
    DUALS: hp(nu_lr=1e-3) | options(hidden=(128, 128)),
    'apo_vae_vp': options(pseudo=16),
    'ivae ivae_mi': options(noise_scale=.6),
    'davam': options(codes=32),
    'davam_q davam_large': options(codes=128),
}
"""Changes to a table that trains for six epochs of Adam.

Lagging, SA-VAE and FlowPrior have shorter inner loops; targets and gains are scaled to so few
steps; dual functions and codebooks are smaller."""


def reduced(title: str, max_words: int) -> str:
    """Gives a reduced corpus' title."""
    return (f'{title}, reduced: 6,000 sentences of at most {max_words} words, '
            'vocabulary 2,000')


def sized(size: str, makers: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """Makes the config of a size.

    Args:
      size: what stands after the colon of --config; '' for nothing.
      makers: size -> function that makes its config.

    Raises:
      UserError: there is no such size.
    """
    if size not in makers:
        known = ', '.join(name for name in makers if name)
        raise UserError(f'no size {size!r}: choose one of {known}')
    return makers[size]()
