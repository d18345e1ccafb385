"""Four games on six architectures: which of them train when their networks are not DCGAN's.

    vaebench --config=gan_stress:small --workdir=runs/gan_stress   # digits, two CPU cores
    vaebench --config=gan_stress --workdir=runs/gan_stress --data_dir=DIR    # MNIST

The comparison is that of the paper of WGAN-GP (Gulrajani et al., 2017, arXiv:1704.00028, figure
2) but for its 101-layer residual network, and on smaller images. A method has one setting for
all architectures: that of the paper on MNIST, on digits one that suits the first architecture.
An architecture is data: what it changes in the generator G and the critic D. WGAN-GP's critic
is never normalized. DIR: see the config `mnist`.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.config_keys import merge
from vaebench.experiment.rows import change, hp, lr, options, overrides, select
from vaebench.experiment.sizes import sized

METHODS = 'dcgan lsgan wgan wgan_gp'


def networks(**of):
    """Changes the generator or the critic of a row."""
    return overrides(kit=of)


def architectures(channels):
    """What each changes, by name: (words, change); channels of the baseline, image first."""
    width, twice = channels[0], tuple(2 * c for c in channels)      # a gate takes half of them
    return {
        'base': ('DCGAN G and D', {}),
        'constant': ('G of constant width, not normalized', networks(
            generator=dict(norm=False, channels=(width,) * len(channels)))),
        'mlp': ('G of four layers of 512 ReLU', networks(
            generator=dict(name='mlp', hidden=(512,) * 4, norm=False))),
        'plain': ('neither is normalized', options(norm=False)),
        'gated': ('gated multiplicative units', networks(
            generator=dict(activation='gated', channels=twice),
            critic=dict(activation='gated', channels=twice))),
        'tanh': ('tanh everywhere', networks(
            generator=dict(activation='tanh'), critic=dict(activation='tanh'))),
    }


def suite(methods, channels):
    """The rows: every method on every architecture."""
    return {
        f'{name}_{key}': merge(entry, {**changed, 'label': f'{entry["label"]}: {words}'})
        for key, (words, changed) in architectures(channels).items()
        for name, entry in methods.items()}


def compared():
    """The four methods as the paper's comparison sets them."""
    return change(select(catalog.IMAGES, METHODS), {
        'lsgan': overrides(optimizer=dict(name='rmsprop', lr=1e-4, decay=.99)),
        'lsgan wgan wgan_gp': options(norm=True)})


def table(channels, methods, **settings):
    """The table of some data."""
    return dict(
        primary='frechet', baseline='wgan_gp_base', metrics=columns.SAMPLES,
        optimizer=dict(name='adam', lr=2e-4, clip=0.),
        evaluation=dict(samples=50, chunk=50, batch=250, images=1000),
        table=suite(methods, channels), **settings)


def mnist():
    """MNIST, for an accelerator."""
    channels = 64, 128, 256
    return table(
        channels, compared(), name='gan-stress', seeds=3,
        title='Games on six architectures, MNIST', dataset=dict(name='mnist'), epochs=100,
        batch=64, kit=dict(name='conv', kernel=4, channels=channels, hidden=None, latent=128))


def digits():
    """Digits of 8 x 8 pixels."""
    channels = 16, 32
    methods = change(compared(), {                 # the better of two rates on validation data
        'dcgan wgan_gp': lr(3e-4),
        'lsgan wgan': lr(1e-3),
        'wgan': hp(clip=.05)})
    return table(
        channels, methods, name='gan-stress-small', seeds=3,
        title='Games on six architectures, 8x8 digits', dataset=dict(name='digits'), epochs=60,
        batch=64, block=21,
        kit=dict(name='conv', kernel=4, channels=channels, hidden=None, latent=16))


def get_config(size=''):
    """MNIST, or digits for `small`."""
    return sized(size, {'': mnist, 'small': digits})
