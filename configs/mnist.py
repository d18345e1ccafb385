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
VampPrior (85.8 nats). `:small`, an hour on two cores: 6,000 training images, 1,000 test
images; expect 104 nats for the VAE, Frechet distances of 116 for the VAE and 41 for WGAN-GP, a
trustworthiness of 0.74 for PCA and 0.96 for t-SNE. Learning rates, margins and gains are what
short trials on one seed found to work in so few steps, on validation data.

Games of `grey` share one generator and one critic, DCGAN's, so that methods are compared. At
full size InfoGAN has its own, and the rates, batches, noise and critic updates of DCGAN, WGAN,
WGAN-GP, BEGAN, InfoGAN, MMD-GAN and the moment-matching networks are those of the released
code, and the first weights of DCGAN and WGAN. What is not: GMMN descends by Adam, BEGAN's rate
is never halved, WGAN-GP's convolutions have 4 pixels a side and not 5, InfoGAN's critic is not
normalized, GMMN + AE drops pixels but no hidden units. The other games answer to no paper's
setting. Rows of papers' figures, at full size: BEGAN at two more ratios, and InfoGAN's codes
where nothing reads them.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.config_keys import merge
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
# DCGAN's generator and critic on 28 x 28 pixels: 14, 7 and 4 a side, no linear layer between
DCGAN = dict(name='conv', kernel=4, channels=(64, 128, 256), hidden=None)
DCGAN_SMALL = dict(DCGAN, channels=(8, 16, 32), latent=16)
NORMALIZED = ('gan_minmax gan f_gan_kl f_gan_reverse_kl f_gan_pearson f_gan_hellinger lsgan '
              'wgan ebgan ebgan_pt infogan mmd_gan')
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


AS_PYTHAE = overrides(kit=dict(hidden=(400,)), epochs=500,
                      optimizer=dict(lr=1e-4, milestones=(200, 350), drop=.1**.2))


def as_published():
    """Rows in the setting of a published number, that of pythae's scripts: batches of 100 of
    the same files, the best parameters on validation data; and other rows in that of the VAE.

    The VampPrior's networks have gates there, and their posteriors bounds; one draw makes its
    objective the ELBO. IWAE's are tanh, and its rates last 1, 3, 9 ... 2187 epochs.
    """
    rows = {
        'vae_published': row('VAE, one hidden layer of 400', 'vae', AS_PYTHAE),
        'vamp_published': row('VampPrior, {kit[hidden]} without gates', 'vamp_vae',
                              hp(warmup=100.), options(components=500, draws=1), overrides(
            kit=dict(hidden=(300, 300)), epochs=2000, optimizer=dict(
                name='rmsprop', lr=1e-4, milestones=(200, 350, 500, 750, 1000), drop=.1**.2))),
        'iwae_published': row('IWAE ({draws} draws), {kit[hidden]}', 'iwae',
                              options(draws=50), overrides(
            kit=dict(hidden=(200, 200), latent=50), batch=20, epochs=3280, optimizer=dict(
                lr=1e-3, milestones=(1, 4, 13, 40, 121, 364, 1093), drop=.1**(1 / 7))))}
    alike = {
        'beta_vae_400': row('beta-VAE ({beta:g}), hidden 400', 'beta_vae', hp(beta=4.),
                            AS_PYTHAE),
        'mog_vae_400': row('MoG prior, hidden 400', 'mog_vae', hp(warmup=0.),
                           options(components=500, draws=1), AS_PYTHAE),
        'flow_prior_400': row('Flow prior, hidden 400', 'flow_prior', hp(warmup=0.),
                              options(draws=1), AS_PYTHAE)}
    return published(rows, {'vae_published': 'I1/vae I1/vae_pythae',
                            'vamp_published': 'I1/vamp I1/vamp_pythae',
                            'iwae_published': 'I1/iwae I1/iwae_pythae'}) | alike


def samplers():
    """The rows of `grey`: all but those of `static`, and a VAE and an MMD-VAE of these."""
    others = without(select(catalog.IMAGES, catalog.LIKELIHOODS), 'vae mmd_vae')
    return change(without(catalog.IMAGES, ' '.join(others)), {
        'mmd_vae': hp(mmd=100.),
        'wae_mmd wae_mmd_rbf': hp(beta=200.),      # a quarter changes little, five times costs
        # min-max, a normalized critic passes its ceiling in three epochs and G stands still
        'f_gan_kl': {'label': 'f-GAN, KL, non-saturating'} | options(form='nonsaturating')})


def static():
    """Likelihoods at paper size."""
    return dict(
        PAPER, name='mnist-static', title='Binarised MNIST, static',
        primary='nll_iw', baseline='vae', dataset=dict(name='mnist_static'),
        kit=dict(name='mlp', latent=40, hidden=(500, 500), likelihood='bernoulli'), epochs=200,
        evaluation=dict(samples=1000, chunk=100, batch=100), metrics=columns.LIKELIHOODS,
        table={**likelihoods(warmup=100., components=500, gamma=1000.), **as_published(),
               **catalog.TIGHTER})


def static_small():
    """Likelihoods, reduced."""
    return dict(
        SMALL, name='mnist-small-static', title=f'Binarised MNIST, static{REDUCED}',
        primary='nll_iw', baseline='vae', dataset=dict(name='mnist_static', **FEWER),
        kit=dict(name='mlp', latent=16, hidden=(256,), likelihood='bernoulli'), epochs=40,
        evaluation=dict(samples=1000, chunk=100, batch=100), metrics=columns.LIKELIHOODS,
        table=likelihoods(warmup=20., components=50, gamma=5.) | catalog.TIGHTER)


def of_figures(rows):
    """Rows of figures: BEGAN's other ratios, and InfoGAN's codes where nothing reads them."""
    ratio = {'label': 'BEGAN ({gamma:g})'}
    return {'began_03': merge(rows['began'], ratio | hp(gamma=.3)),
            'began_07': merge(rows['began'], ratio | hp(gamma=.7)),
            'gan_codes': merge(rows['infogan'], {'label': "GAN with InfoGAN's codes"}
                               | hp(info=0., info_continuous=0.))}


def grey():
    """Samples at paper size."""
    rows = change(samplers(), {
        f'wae_gan {catalog.ADVERSARIAL_AES}': options(hidden=(1000, 1000))}, games())
    return dict(
        PAPER, name='mnist-grey', title='MNIST, grey levels', primary='frechet', baseline='vae',
        dataset=dict(name='mnist'),
        kit=dict(name='mlp', latent=8, hidden=(1000, 1000), likelihood='bernoulli'), epochs=100,
        # 96 features: 20 rows each
        evaluation=dict(samples=50, chunk=50, batch=250, images=2000), metrics=columns.SAMPLES,
        table=rows | of_figures(rows))


def games():
    """What games and moments change at paper size: numbers of the papers' released code."""
    start = dict(std=.02)                                        # weights ~ N(0, 0.02^2)
    return {
        f'{catalog.GAMES} wgan mmd_gan': overrides(kit=dict(DCGAN, latent=100)),
        NORMALIZED: options(norm=True),
        'dcgan': overrides(batch=128, kit=dict(generator=start, critic=start)),
        'wgan': options(boost=100) | overrides(
            batch=64, kit=dict(generator=start, critic=start)),
        'wgan_gp': overrides(batch=50, epochs=200, kit=dict(latent=128)),    # 200,000 updates
        'ebgan ebgan_pt': options(code=32),
        'began': options(energy='absolute', code=64) | overrides(batch=16, kit=dict(latent=64)),
        'infogan': overrides(batch=128, kit=dict(latent=62, channels=(64, 128), hidden=1024)),
        'gmmn': overrides(batch=1000, epochs=800, kit=dict(            # 40,000 updates
            latent=10, generator=dict(hidden=(1024, 256, 256, 64)))),
        'gmmn_ae': options(corrupt=.2) | overrides(
            batch=1000, epochs=800, kit=dict(latent=32, hidden=(1024,))),
        'mmd_gan': options(size=10, boost=100) | overrides(batch=64, kit=dict(latent=10)),
    }


def grey_small():
    """Samples, reduced.

    InfoGAN's critic is not normalized: a normalized generator collapses against it, and a plain
    one stops unless it learns faster than the critic.
    """
    return dict(
        SMALL, name='mnist-small-grey', title=f'MNIST, grey levels{REDUCED}',
        primary='frechet', baseline='vae', dataset=dict(name='mnist', **FEWER),
        kit=dict(name='mlp', latent=8, hidden=(256,), likelihood='bernoulli'), epochs=40,
        evaluation=dict(samples=50, chunk=50, batch=250, images=1000), metrics=columns.SAMPLES,
        table=change(samplers(), {
            'wae_gan': options(hidden=(256, 256)),
            catalog.ADVERSARIAL_AES: hp(critic_lr=1e-3) | options(hidden=(256, 256)) | lr(1e-3),
            f'{catalog.GAMES} wgan mmd_gan': overrides(
                kit=DCGAN_SMALL, optimizer=dict(lr=1e-3)),
            f'{NORMALIZED} wgan_gp': options(norm=True),
            'infogan': options(norm=False) | hp(critic_lr=5e-4) | lr(2e-3),
            'wgan': hp(clip=.05),
            'ebgan ebgan_pt': hp(margin=.05) | options(code=8),
            'ebgan_pt': hp(pulling=.01),
            'began': hp(lambda_k=.1, gamma=1.) | options(energy='squared', code=32) | overrides(
                optimizer=dict(b1=.5)),
            'gmmn_ae': options(hidden=(64, 256)) | overrides(kit=dict(latent=32)),
            'mmd_gan': hp(clip=.1) | lr(5e-4)}))


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
        '': lambda: dict(name='mnist', seeds=3, tables=dict(
            static=static(), grey=grey(), embedding=embedding())),
        'small': lambda: dict(name='mnist-small', seeds=3, tables=dict(
            static=static_small(), grey=grey_small(), embedding=embedding_small())),
        'static': lambda: dict(name='mnist-static', seeds=3, tables=dict(static=static()))})
