"""MNIST: every image row, at full size or `:small` for two CPU cores.

    vaebench --config=mnist --workdir=runs/mnist --data_dir=DIR      # for an accelerator
    vaebench --config=mnist:static --workdir=runs/mnist-static --data_dir=DIR --config.rows=vae
    vaebench --config=mnist:small --workdir=runs/mnist-small --data_dir=DIR

DIR holds the four idx .gz files, or a folder mnist/ with them, and
binarized_mnist_{train,valid,test}.amat (also packed as .xz or .gz), or a folder
binarized_mnist/ with them.

Three tables: `static`, Larochelle's binarisation, with the likelihoods; `grey`, the samples;
`embedding`, maps of test images to the plane. The networks are large and the runs long, but no
paper's own: rows of a table share them. Two rows of `static` are in a published setting and
answer to its number: a VAE of one hidden layer (89.8 nats) and, without its gates, the
VampPrior (85.8 nats). `:small`, half an hour on two cores: 6,000 training images, 1,000 test
images; expect 104 nats for the VAE, Frechet distances of 130 for the VAE and 78 for WGAN-GP, a
trustworthiness of 0.74 for PCA and 0.96 for t-SNE. Learning rates, margins and gains are what
short trials on one seed found to work in so few steps.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import (
    change,
    hp,
    lr,
    options,
    overrides,
    published,
    row,
    select,
    without,
)
from vaebench.experiment.sizes import sized

FEWER = dict(examples=6000, eval_examples=1000)
REDUCED = ', reduced: 6,000 training images'
PATCHES = dict(name='conv', kernel=4, activation='leaky_relu')        # as in DCGAN's critic
PAPER = dict(batch=100, optimizer=dict(name='adam', lr=1e-3, clip=0.))
SMALL = dict(batch=100, optimizer=dict(name='adam', lr=2e-3, clip=0.))


def likelihoods(warmup, components, gamma):
    """The rows of `static`; warmup in epochs, gamma of the capacity."""
    return change(select(catalog.IMAGES, catalog.LIKELIHOODS), {
        'capacity_vae': hp(beta=gamma, capacity=10., capacity_epochs=warmup),     # nats
        'fb': hp(target=24.),
        'decreasing_beta': hp(warmup=warmup),
        'mmd_vae info_vae': hp(mmd=100.),
        'vamp_vae mog_vae': options(components=components)})


def as_published():
    """Rows in the setting of a published number, that of pythae's scripts: batches of 100 of
    the same files, the best parameters on validation data.

    The VampPrior's networks have gates there, and their posteriors bounds; one draw makes its
    objective the ELBO.
    """
    rows = {
        'vae_published': row('VAE, one hidden layer of 400', 'vae', overrides(
            kit=dict(hidden=(400,)), epochs=500,
            optimizer=dict(lr=1e-4, milestones=(200, 350), drop=.1**.2))),
        'vamp_published': row('VampPrior, {kit[hidden]} without gates', 'vamp_vae',
                              hp(warmup=100.), options(components=500, draws=1), overrides(
            kit=dict(hidden=(300, 300)), epochs=2000, optimizer=dict(
                name='rmsprop', lr=1e-4, milestones=(200, 350, 500, 750, 1000), drop=.1**.2)))}
    return published(rows, {'vae_published': 'I1/vae I1/vae_pythae'})


def samplers():
    """The rows of `grey`: all but those of `static`, and a VAE and an MMD-VAE of these."""
    others = without(select(catalog.IMAGES, catalog.LIKELIHOODS), 'vae mmd_vae')
    return change(without(catalog.IMAGES, ' '.join(others)), {
        'mmd_vae': hp(mmd=100.),
        'wae_mmd wae_mmd_rbf': hp(beta=200.)})      # a quarter changes little, five times costs


def static():
    """Likelihoods at paper size."""
    return dict(
        PAPER, name='mnist-static', title='Binarised MNIST, static',
        primary='nll_iw', baseline='vae', dataset=dict(name='mnist_static'),
        kit=dict(name='mlp', latent=40, hidden=(500, 500), likelihood='bernoulli'), epochs=200,
        evaluation=dict(samples=1000, chunk=100, batch=100), metrics=columns.LIKELIHOODS,
        table=likelihoods(warmup=100., components=500, gamma=1000.) | as_published())


def static_small():
    """Likelihoods, reduced."""
    return dict(
        SMALL, name='mnist-small-static', title=f'Binarised MNIST, static{REDUCED}',
        primary='nll_iw', baseline='vae', dataset=dict(name='mnist_static', **FEWER),
        kit=dict(name='mlp', latent=16, hidden=(256,), likelihood='bernoulli'), epochs=40,
        evaluation=dict(samples=1000, chunk=100, batch=100), metrics=columns.LIKELIHOODS,
        table=likelihoods(warmup=20., components=50, gamma=5.))


def grey():
    """Samples at paper size."""
    return dict(
        PAPER, name='mnist-grey', title='MNIST, grey levels', primary='frechet', baseline='vae',
        dataset=dict(name='mnist'),
        kit=dict(name='mlp', latent=8, hidden=(1000, 1000), likelihood='bernoulli'), epochs=100,
        # 96 features: 20 rows each
        evaluation=dict(samples=50, chunk=50, batch=250, images=2000), metrics=columns.SAMPLES,
        table=change(samplers(), {
            f'wae_gan {catalog.ADVERSARIAL_AES}': options(hidden=(1000, 1000)),
            'dcgan': overrides(kit=dict(PATCHES, channels=(64, 128), hidden=1024)),
            'began': options(energy='squared', code=64)}))


def grey_small():
    """Samples, reduced."""
    return dict(
        SMALL, name='mnist-small-grey', title=f'MNIST, grey levels{REDUCED}',
        primary='frechet', baseline='vae', dataset=dict(name='mnist', **FEWER),
        kit=dict(name='mlp', latent=8, hidden=(256,), likelihood='bernoulli'), epochs=40,
        evaluation=dict(samples=50, chunk=50, batch=250, images=1000), metrics=columns.SAMPLES,
        table=change(samplers(), {
            'wae_gan': options(hidden=(256, 256)),
            catalog.ADVERSARIAL_AES: hp(critic_lr=1e-3) | options(hidden=(256, 256)) | lr(1e-3),
            catalog.GAMES: lr(2e-4),
            'dcgan': overrides(optimizer=dict(lr=5e-4),
                               kit=dict(PATCHES, channels=(16, 32), hidden=128)),
            'wgan': hp(clip=.05) | lr(1e-3),
            'wgan_gp': lr(5e-4),
            'ebgan': options(code=4),
            'ebgan ebgan_pt': hp(margin=.05) | lr(1e-3),
            'began': hp(lambda_k=.1, gamma=.9) | options(energy='squared', code=32) | lr(5e-4),
            'gmmn_ae': options(hidden=(64, 256)) | overrides(kit=dict(latent=32)),
            'mmd_gan': hp(clip=.1) | lr(2e-4)}))


def embedding():
    """Maps to the plane at paper size."""
    return dict(
        PAPER, name='mnist-embedding', title='MNIST test images in the plane',
        primary='trust', baseline='vae', dataset=dict(name='mnist', eval_examples=1000),
        kit=dict(name='mlp', latent=2, hidden=(512, 256), likelihood='bernoulli'), epochs=50,
        evaluation=dict(batch=250), metrics=columns.EMBEDDINGS, table=catalog.EMBEDDINGS)


def embedding_small():
    """Maps to the plane, reduced."""
    return dict(
        SMALL, name='mnist-small-embedding', title=f'MNIST test images in the plane{REDUCED}',
        primary='trust', baseline='vae', dataset=dict(name='mnist', **FEWER),
        kit=dict(name='mlp', latent=2, hidden=(256,), likelihood='bernoulli'), epochs=20,
        evaluation=dict(batch=250), metrics=columns.EMBEDDINGS, table=catalog.EMBEDDINGS)


def get_config(size=''):
    """Three tables at paper size, or `small`; or the first of paper size alone, `static`."""
    return sized(size, {
        '': lambda: dict(name='mnist', seeds=2, tables=dict(
            static=static(), grey=grey(), embedding=embedding())),
        'small': lambda: dict(name='mnist-small', seeds=2, tables=dict(
            static=static_small(), grey=grey_small(), embedding=embedding_small())),
        'static': lambda: dict(name='mnist-static', seeds=2, tables=dict(static=static()))})
