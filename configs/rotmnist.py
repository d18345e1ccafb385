"""Rotated MNIST: networks that commute with quarter turns beside those that do not.

    vaebench --config=rotmnist --workdir=runs/rotmnist --data_dir=DIR      # for an accelerator
    vaebench --config=rotmnist:small --workdir=runs/rotmnist-small --data_dir=DIR

DIR holds folders mnist/ and fashion_mnist/ with four idx .gz files each; with
`--config.tables.classes.dataset.name=rotated_fashion_mnist` a table is of clothes.

Four tables. `classes`: the error of classifiers with all labels, a tenth and a hundredth of
them. `codes`: VAEs whose encoder and decoder commute with the group, and their twins; their
`nll_iw` is that of any other row. `games`: GANs that are told the class, GE-GAN and the same in
Z2. `moved`: AVT and AET on Fashion-MNIST as it lies, by what a line, a network and neighbors
read in their codes, beside an encoder that learnt nothing and classifiers of as many labels.
Networks on a group have as many parameters as the plain one, and `equivariance_error` is zero
but for rounding where the network is built to commute. It says nothing of how good a row is:
what always answers alike is invariant too.

`:small` has smaller networks and 500 to 2,000 steps. Rates were chosen by what the baseline of
each table came to on validation images in trials on one seed, out of two or three; compared
rows share them. There Z2CNN had an error of 14.8% and P4CNN of 11.7%, of 1,000 labels 36.9% and
17.2%, of 100 labels 66.8% and 56.0%. Narrow decoders of relus may begin dead: one of three
seeds of the p4 VAE never learned, at two rates, and the plain one ended at 159 to 173 nats.
With leaky ones all seeds learn, to 142.6 to 143.8 nats and, on p4, 134.7 to 135.4. The GANs'
Frechet distances, 348 in Z2 and 360 on p4, are too near
for one seed to tell them apart. A linear classifier of 1,000 labels read 75.0% of the classes
in codes of AVT, 71.0% in those of AET and 68.4% in those of the untrained encoder; a network
77.8%, 72.7% and 71.7%.

At paper size networks, batches and rate are those of Cohen and Welling's rotated digits. What
is not: the last of seven layers has as many channels as the others and a linear layer follows
it, no image is turned anew in training, and only the plain network drops numbers.
"""
from vaebench.experiment import columns, symmetry_catalog
from vaebench.experiment.rows import change, hp, lr, overrides, select, without
from vaebench.experiment.sizes import sized

CLASSES = ('class_error', 'equivariance_error', 'equivariance_error_max')
CODES = (*columns.LIKELIHOODS, 'equivariance_error', 'equivariance_error_max')
SAMPLES = ('frechet', 'frechet_floor', 'kmmd', 'kmmd_floor', 'precision', 'recall', 'c2st',
           'class_score', 'class_kl')
MOVED = ('probe_100', 'probe_1000', 'probe_mlp_100', 'probe_mlp_1000', 'knn_error', 'trust',
         'class_error')
# 28 pixels, 26, 24 and 12, 10, 8, 6, 4, 1
COHEN = dict(name='z2', latent=2, channels=(20,) * 7, kernel=(3,) * 6 + (4,), pools=(2,),
             norm=True)


def few_labels(rows, *counts):
    """Classifiers with all labels, and with so many."""
    return {**rows, **{name: entry for n in counts
                       for name, entry in symmetry_catalog.labelled(rows, n).items()}}


def moves():
    """Codes of moved images, and classifiers told as many labels as their readouts are."""
    rows = symmetry_catalog.MOVED
    return {**rows, **few_labels(select(rows, 'supervised'), 1000, 100)}


def classes():
    """Classifiers at paper size."""
    rows = change(symmetry_catalog.CLASSIFIERS, {'z2cnn': overrides(kit=dict(dropout=.3))})
    return dict(
        name='rotmnist-classes', title='Rotated MNIST, classes', primary='class_error',
        baseline='z2cnn', dataset=dict(name='rotated_mnist'), kit=COHEN, epochs=100, batch=128,
        optimizer=dict(name='adam', lr=1e-3, clip=0.), evaluation=dict(batch=250),
        metrics=CLASSES, table=few_labels(rows, 1000, 100))


def classes_small():
    """Classifiers, reduced."""
    return dict(
        name='rotmnist-small-classes', title='Rotated MNIST, classes, reduced: 5 epochs',
        primary='class_error', baseline='z2cnn',
        dataset=dict(name='rotated_mnist', eval_examples=1000),
        # 28 pixels, 26 and 13, 11, 9, 7
        kit=dict(name='z2', latent=2, channels=(12, 12, 16, 16), pools=(1,), norm=True),
        epochs=5, batch=50, optimizer=dict(name='adam', lr=1e-2, clip=0.),
        evaluation=dict(batch=250), metrics=CLASSES,
        table=few_labels(symmetry_catalog.CLASSIFIERS, 1000, 100))


def codes():
    """Autoencoders at paper size."""
    return dict(
        name='rotmnist-codes', title='Rotated MNIST, codes', primary='nll_iw',
        baseline='vae_z2', dataset=dict(name='rotated_mnist', binarise='dynamic'),
        kit=dict(name='z2', latent=32, codes='regular', pad=True, channels=(32, 64, 256),
                 kernel=(3, 3, 7), pools=(1, 2), hidden=256, up=(64, 32)),
        epochs=200, batch=128, optimizer=dict(name='adam', lr=1e-3, clip=0.),
        evaluation=dict(samples=1000, chunk=50, batch=50), metrics=CODES,
        table=symmetry_catalog.VAES)


def codes_small():
    """Autoencoders, reduced; ranked by the bound, since of the weights few count."""
    return dict(
        name='rotmnist-small-codes', title='Rotated MNIST, codes, reduced: 2,500 images',
        primary='elbo', baseline='vae_z2',
        dataset=dict(name='rotated_mnist', binarise='dynamic', examples=2500,
                     eval_examples=200),
        kit=dict(name='z2', latent=16, codes='regular', pad=True, channels=(8, 16, 64),
                 kernel=(3, 3, 7), pools=(1, 2), hidden=64, up=(16, 8),
                 activation='leaky_relu'),
        epochs=16, batch=50, optimizer=dict(name='adam', lr=2e-3, clip=0.),
        evaluation=dict(samples=100, chunk=50, batch=50), metrics=CODES,
        table=change(symmetry_catalog.VAES, {
            'vae_z2 vae_p4 vae_p4m beta_vae_z2 beta_vae_p4': hp(warmup=5.)}))


def games():
    """GANs that are told the class, at paper size."""
    return dict(
        name='rotmnist-games', title='Rotated MNIST, samples of classes', primary='frechet',
        baseline='ge_gan_z2', dataset=dict(name='rotated_mnist'),
        kit=dict(name='z2', latent=128, pad=True, channels=(128, 256, 512), pools=(1, 2),
                 up=(512, 256, 128)),
        epochs=200, batch=64, optimizer=dict(name='adam', lr=1e-4, clip=0.),
        evaluation=dict(batch=250, images=2000), metrics=SAMPLES,
        table=symmetry_catalog.GAMES)


def games_small():
    """GANs, reduced, without the slowest; rates are larger because runs are shorter."""
    return dict(
        name='rotmnist-small-games',
        title='Rotated MNIST, samples of classes, reduced: 2,500 images', primary='frechet',
        baseline='ge_gan_z2',
        dataset=dict(name='rotated_mnist', examples=2500, eval_examples=1000),
        kit=dict(name='z2', latent=16, pad=True, channels=(8, 16, 32), pools=(1, 2),
                 up=(32, 16, 8)),
        epochs=10, batch=50, optimizer=dict(name='adam', lr=3e-3, clip=0.),
        evaluation=dict(batch=250, images=1000), metrics=SAMPLES,
        table=change(without(symmetry_catalog.GAMES, 'ge_gan_p4m'), {
            'ge_gan_z2 ge_gan_p4': hp(critic_lr=3e-3) | lr(3e-3)}))


def moved():
    """Codes that tell how an image was moved, at paper size."""
    return dict(
        name='rotmnist-moved', title='Fashion-MNIST, codes of moved images',
        primary='probe_1000',
        baseline='aet_projective', dataset=dict(name='fashion_mnist'),
        kit=dict(name='conv', latent=64, channels=(64, 128), hidden=256), epochs=100, batch=128,
        optimizer=dict(name='adam', lr=1e-3, clip=0.), evaluation=dict(batch=250),
        metrics=MOVED, table=moves())


def moved_small():
    """Codes that tell how an image was moved, reduced."""
    return dict(
        name='rotmnist-small-moved',
        title='Fashion-MNIST, codes of moved images, reduced: 10,000 images',
        primary='probe_1000', baseline='aet_projective',
        dataset=dict(name='fashion_mnist', examples=10_000, eval_examples=1000),
        kit=dict(name='conv', latent=32, channels=(16, 32), hidden=128), epochs=10, batch=50,
        optimizer=dict(name='adam', lr=5e-4, clip=0.), evaluation=dict(batch=250),
        metrics=MOVED, table=moves())


def get_config(size=''):
    """Four tables at paper size, or `small`."""
    return sized(size, {
        '': lambda: dict(name='rotmnist', seeds=3, tables=dict(
            classes=classes(), codes=codes(), games=games(), moved=moved())),
        'small': lambda: dict(name='rotmnist-small', seeds=3, tables=dict(
            classes=classes_small(), codes=codes_small(), games=games_small(),
            moved=moved_small()))})
