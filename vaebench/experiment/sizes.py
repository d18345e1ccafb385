"""A corpus at its two sizes: what its text rows change at that of the papers, and reduced."""
from collections.abc import Callable, Mapping
from typing import Any

from vaebench.errors import UserError
from vaebench.experiment.catalog import (
    ANNEALED,
    DUALS,
    EIGHT_NATS,
    MANY_DRAWS,
    MIXTURES,
    STOCHASTIC_WAE,
)
from vaebench.experiment.rows import Entry, hp, options, overrides

CONTROLLED = 'cost_anneal control_vae control_vae_high'
FAMILY_B = 'sa_vae skip_vae cyclical ivae ivae_mi'
FROM_A_TENTH = 'sa_vae skip_vae ivae ivae_mi'
NOT_TOLD = 'scnn_vae mcnn_vae lcnn_vae p_vae apo_vae apo_vae_vp gavam davam_q davam davam_large'
TWR = 'twr twr_mean twr_sum twr_last25 twr_last50 twr_last75'
WAE = 'dae wae_d_3 wae_d_10 wae_s_0 wae_s_001 wae_s_01'


def rule(name: str, lr: float, patience: int = 0, decays: int = 5,
         **numbers: float) -> dict[str, Any]:
    """Makes settings: the update rule, and the epochs without improvement before it decays."""
    return dict(optimizer=dict(name=name, lr=lr, **numbers),
                protocol=dict(patience=patience, decays=decays))


PAPER: Mapping[str, Entry] = {
    'pre_ae_cyclical': overrides(**rule('sgd', .5)),
    'lagging lstm_lm': overrides(**rule('sgd', 1., patience=2)),
    'lstm_lm': overrides(protocol=dict(first_epoch=0)),
    'sa_vae skip_vae': overrides(epochs=30, **rule('sgd', 1., patience=1, decays=6)),
    'ivae ivae_mi': overrides(epochs=40, **rule('adam', 1e-3)),
    'cyclical': (overrides(epochs=40, **rule('adam', 1e-3, cycle=10))
                 | hp(beta_start=.1, warmup=4.5)),
    FROM_A_TENTH: hp(warmup=9.),
    FAMILY_B: overrides(kit=dict(family='B', init_scale=.1)),
    CONTROLLED: overrides(epochs=80, **rule('adam', 1e-3)),
    NOT_TOLD: overrides(epochs=40, **rule('adam', 1e-3)),
    'scnn_vae mcnn_vae lcnn_vae': options(channels=512),
    'beta_05_anneal': overrides(                              # as iVAE's authors ran it
        epochs=40, kit=dict(family='B', init_scale=.1), protocol=dict(patience=0),
        optimizer=dict(name='adam', lr=1e-3)),
    TWR: overrides(epochs=1000, batch=64, kit=dict(embed=512, hidden=256),
                   **rule('adam', 1e-4, clip=0., eps=1e-6, weight_decay=1e-5)),
    WAE: overrides(epochs=20, batch=128, kit=dict(latent=100), **rule('adam', 1e-3)),
    'dae_noise wae_gan': overrides(epochs=30, batch=256, **rule('adam', 5e-4, b1=.5, clip=0.)),
    STOCHASTIC_WAE: hp(delay=5., warmup=5.),
}
"""Changes to a table that trains by SGD at 0.5 for at most 100 epochs, with Li's plateau decay.

A row trains as its own paper's code does where that is known: by which rule, at which rate, for
how many epochs, in which batches. He's ramps take the whole of their length; those of SA-VAE,
skip-VAE, iVAE and cyclical annealing rise from 0.1 as if from 0, and reach 1 after nine tenths
of it. The rate of cyclical annealing falls along a cosine in each cycle of the weight.

Where a row differs from its code nevertheless:

  - Its networks are the table's, of family A or B, but for the sizes above. ControlVAE has a
    Transformer for a decoder and 64 dimensions; WAE-D and WAE-S read fixed word vectors with an
    LSTM of 100 units in each direction; Shen's autoencoders have 512 and 1,024 units and 128
    dimensions; TWR-VAE starts from PyTorch's bounds, and drops out the encoder's inputs but not
    the decoder's outputs.
  - iVAE clips encoder and decoder apart, WAE-D and WAE-S every gradient by value:
    here the joint norm.
  - What WAE-S and WAE-GAN with a stochastic code pay for their aggregate waits for five epochs
    and rises over five, for the reason that `methods.aggregate_posterior.wae_s` gives.
  - From the first epoch without improvement after the fifteenth SA-VAE and skip-VAE halve their
    rate in every epoch; here in every such epoch, which also takes the best parameters back.
  - TWR-VAE is validated in every tenth epoch, here in each.

Neither a paper nor a code says how long CNN-VAE, P-VAE, APo-VAE, GAVAM and DAVAM train: they
have 40 epochs of Adam. Nor does any say how FlowPrior, MoG-VAE and Vamp-VAE do."""

LONG: Mapping[str, Entry] = {
    'sa_vae': options(refine=20),
    'ivae ivae_mi': overrides(kit=dict(init_scale=.01, embed_scale=.01),
                              optimizer=dict(lr=8e-4)) | options(noise_scale=.01),
}
"""Further changes for texts of about a hundred words, as in the code of SA-VAE and iVAE."""

SHORT: Mapping[str, Entry] = {
    'control_vae': hp(target=8.),       # nats
    'control_vae_high': hp(target=16.),
}
"""Set points of ControlVAE for sentences: the rates of the two rows of free bits.

Those of the catalog, 25 and 35 nats, are for dialogues (Switchboard): a short sentence may be
worth less in all."""

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
steps; dual functions and codebooks are smaller. On PTB so few steps teach no autoencoder to
reconstruct better than a language model predicts, with a penalty on its codes or without: the
codes of WAE-S and of the stochastic WAE-GAN stay empty at this size."""


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
