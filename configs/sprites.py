"""Disentanglement on sprites of known factors: six methods, six strengths each, many seeds.

    vaebench --config=sprites:small --workdir=runs/sprites-small     # 20 minutes, two cores
    vaebench --config=sprites --workdir=runs/sprites                 # for an accelerator
    vaebench-report --results=runs/sprites-small --sweeps
    vaebench-report --results=runs/sprites-small --figures=runs/sprites-small/figures

The study of Locatello et al. (2019): beta-VAE, AnnealedVAE (controlled capacity), FactorVAE,
beta-TCVAE, DIP-VAE-I and II, each at six strengths, between floors (PCA, an autoencoder) and
a ceiling (an encoder that is told the factors). At full size images of 64 x 64 pixels of the
whole grid of 737,280, the authors' networks, strengths, batches, rate and 300,000 steps.

`:small`: 16 x 16 pixels, a grid of 3,456, one hidden layer; two strengths of each method have
ten seeds. Pixels are a sixteenth as many, so the strengths are smaller: SMALL says which.
`--sweeps` says how much of each score's spread is method, strength and seed.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import change, options, row, seeds, sweep
from vaebench.experiment.sizes import sized

LEVELS = 3, 3, 6, 8, 8
PAPER = dict(
    beta_vae=dict(beta=(1., 2., 4., 6., 8., 16.)),
    capacity_vae=dict(capacity=(5., 10., 25., 50., 75., 100.)),          # nats
    factor_vae=dict(gamma=(10., 20., 30., 40., 50., 100.)),
    beta_tcvae=dict(beta=(1., 2., 4., 6., 8., 10.)),
    dip_vae_i=dict(lambda_od=(1., 2., 5., 10., 20., 50.),
                   lambda_d=(10., 20., 50., 100., 200., 500.)),
    dip_vae_ii=dict(lambda_od=(1., 2., 5., 10., 20., 50.),
                    lambda_d=(1., 2., 5., 10., 20., 50.)))
"""The strengths of Locatello et al., weakest first."""
SMALL = dict(
    PAPER,
    beta_vae=dict(beta=(.5, 1., 2., 3., 4., 6.)),
    capacity_vae=dict(capacity=(2., 3., 4., 5., 6., 8.)),                # nats
    factor_vae=dict(gamma=(1., 2., 4., 6., 8., 16.)))
"""Of PAPER what does not suit small images: their codes hold a few nats in all."""
MANY = '_2', '_5'
"""Strengths that have more seeds."""


def rows(strengths, gamma, warmup):
    """Every row.

    Args:
      strengths: method -> values of its numbers.
      gamma: weight of the capacity's distance.
      warmup: epochs in which the capacity rises.
    """
    made = {
        'pca': row('PCA', 'pca_codes'), 'dae': row('AE (deterministic)', 'dae'),
        'vae': row('VAE', 'vae'), 'told': row('told the factors', 'supervised_codes')}
    fixed = {'capacity_vae': dict(beta=gamma, capacity_epochs=warmup)}
    labels = {'capacity_vae': 'AnnealedVAE ({capacity:g})'}
    for method, numbers in strengths.items():
        entry = catalog.DISENTANGLED[method]
        entry = entry | {'hp': entry.get('hp', {}) | fixed.get(method, {}),
                         'label': labels.get(method, entry['label'])}
        made |= sweep(method, entry, **numbers)
    return made


def full():
    """At the authors' size."""
    conv = dict(name='conv', latent=10, channels=(32, 32, 64, 64), kernel=(4, 4, 2, 2),
                hidden=256, decoder=dict(kernel=4), likelihood='bernoulli')
    return dict(
        name='sprites', title='Sprites, 64x64', seeds=5, primary='mig', baseline='vae',
        dataset=dict(name='sprites', eval_examples=10_000), kit=conv,
        # 737,280 images less 20,000 in batches of 64 are 11,207 steps an epoch
        epochs=27, batch=64, optimizer=dict(name='adam', lr=1e-4, clip=0.),
        evaluation=dict(samples=100, chunk=50, batch=100),
        metrics=(*columns.DISENTANGLEMENT, *columns.DOWNSTREAM, 'nll_iw', 'rec', 'mse'),
        table=rows(PAPER, 1000., 9.))


def small():
    """In an hour on two cores."""
    made = rows(SMALL, 10., 15.)
    return dict(
        name='sprites-small', title='Sprites, 16x16', seeds=3, primary='mig', baseline='vae',
        dataset=dict(name='sprites', size=16, levels=LEVELS),
        kit=dict(name='mlp', latent=8, hidden=(256,), likelihood='bernoulli'),
        epochs=60, batch=64, block=43, group=10, optimizer=dict(name='adam', lr=1e-3, clip=0.),
        evaluation=dict(samples=50, chunk=50, batch=345, factor_train=1000, factor_test=500),
        metrics=(*columns.DISENTANGLEMENT, 'downstream_100', 'downstream_1000', 'nll_iw', 'rec',
                 'mse'),
        table=change(
            made, {name: options(hidden=(128, 128)) for name in made if 'factor_vae' in name},
            {name: seeds(10) for name in made if name.endswith(MANY)}))


def get_config(size=''):
    """The full table, or `small`."""
    return sized(size, {'': full, 'small': small})
