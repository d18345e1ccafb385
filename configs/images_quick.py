"""Every image row on embedded data: digits, 25 Gaussians, maps of a swiss roll.

    vaebench --config=images_quick --workdir=runs/images_quick   # ten minutes on two CPU cores
    vaebench-report --results=runs/images_quick --pictures=runs/images_quick/pictures

Expect of the digits Frechet distances of 117 for the VAE, 126 for the GAN and 44 for WGAN-GP;
of the Gaussians a Wasserstein-2 distance of 0.25 for WGAN-GP and 0.34 for the VAE; of the roll
a trustworthiness of 0.97 for PCA and 1.00 for t-SNE.

Learning rates are larger than the papers' because runs are a hundred times shorter. 25
Gaussians: the networks of WGAN-GP's toys at a quarter of their width, for MMD-GAN a layer less:
where samples have no bound, deeper features let it diverge; with
`--config.tables.gaussians.dataset.name=gaussians8` they are 8. The swiss roll has 1,500 points;
scikit-learn's maps are fitted to the test points themselves, the autoencoders have not seen
them.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import change, hp, lr, options, overrides, select

POINTS = ('vae_gaussian wae_mmd aae gan_minmax gan f_gan_kl f_gan_reverse_kl f_gan_pearson '
          'f_gan_hellinger wgan wgan_gp lsgan ebgan ebgan_pt began gmmn '
          'mmd_gan')


def digits():
    """Every image row, and those that are told the label."""
    conv = dict(name='conv', channels=(16, 32), hidden=64, kernel=4)
    rows = change(catalog.IMAGES, {
        'capacity_vae': hp(beta=5., capacity_epochs=15.),
        'decreasing_beta': hp(warmup=15.),
        'vamp_vae mog_vae': options(components=20),
        'wae_gan': hp(beta=.3, critic_lr=1e-3) | options(hidden=(128, 128)),
        catalog.ADVERSARIAL_AES: hp(critic_lr=3e-3) | options(hidden=(128, 128)) | lr(3e-3),
        catalog.GAMES: lr(1e-3),
        'infogan': hp(critic_lr=1e-3),
        'dcgan': overrides(kit=conv),
        'wgan': hp(clip=.05) | lr(1e-3),
        'f_gan_kl': lr(2e-3),
        'ebgan ebgan_pt': options(code=4),
        'ebgan': hp(margin=.03),
        'ebgan_pt': hp(margin=.06, pulling=.01),
        'began': hp(lambda_k=.1, gamma=.9) | options(energy='squared', code=32) | overrides(
            optimizer=dict(b1=.5)),
        'gmmn': lr(3e-3),
        'gmmn_ae': options(hidden=(64, 128)),
        'mmd_gan': hp(clip=.1) | lr(5e-4)})
    return dict(
        name='digits', title='8x8 digits', primary='frechet', baseline='vae',
        dataset=dict(name='digits'),
        kit=dict(name='mlp', latent=8, hidden=(128,), likelihood='bernoulli'),
        epochs=30, batch=64, block=21, optimizer=dict(name='adam', lr=2e-3, clip=0.),
        evaluation=dict(samples=50, chunk=50, batch=250, images=250), metrics=columns.IMAGES,
        table=rows | catalog.CONDITIONAL | catalog.TIGHTER)


def gaussians():
    """Rows whose samples are points."""
    rows = change(select(catalog.IMAGES, POINTS), {
        'vae_gaussian': hp(warmup=2.),
        'wae_mmd': hp(beta=10.),
        'aae': hp(critic_lr=1e-3) | options(hidden=(128, 128)) | lr(1e-3),
        ' '.join(name for name in catalog.GAMES.split() if name in POINTS.split()): lr(1e-3),
        'wgan': hp(clip=.1) | lr(5e-4),
        'wgan_gp': hp(penalty=.1),
        'ebgan ebgan_pt': hp(margin=.2),
        'began': hp(lambda_k=.1, gamma=.7) | options(code=1) | overrides(
            optimizer=dict(lr=3e-4, b1=.5)),
        'gmmn': lr(3e-3),
        'mmd_gan': hp(clip=.3, rec=8.) | overrides(
            optimizer=dict(lr=5e-4), kit=dict(hidden=(128, 128)))})
    return dict(
        name='gaussians', title='25 Gaussians', primary='w2', baseline='vae_gaussian',
        dataset=dict(name='gaussians25', examples=12_800, eval_examples=1000),
        kit=dict(name='mlp', latent=2, hidden=(128, 128, 128), likelihood='gaussian_shared'),
        epochs=20, batch=128, block=50, optimizer=dict(name='adam', lr=1e-3, clip=0.),
        evaluation=dict(samples=50, chunk=50, batch=250, images=500, drawn=2500),
        metrics=columns.POINTS, table=rows)


def swiss_roll():
    """Maps to the plane."""
    return dict(
        name='swiss_roll', title='Swiss roll of 1,500 points, in the plane',
        primary='trust', baseline='vae',
        dataset=dict(name='swiss_roll'),
        kit=dict(name='mlp', latent=2, hidden=(128, 128), likelihood='gaussian_shared'),
        epochs=200, batch=100, block=15, optimizer=dict(name='adam', lr=3e-3, clip=0.),
        evaluation=dict(batch=500), metrics=columns.EMBEDDINGS,
        table=change(catalog.EMBEDDINGS, {'vae': hp(warmup=50.)}))


def get_config():
    """Three tables."""
    return dict(name='images_quick', seeds=3,
                tables=dict(digits=digits(), gaussians=gaussians(), swiss_roll=swiss_roll()))
