"""Structure of codes by their prior: along axes, in clusters, sparse (Mathieu et al., 2019).

    vaebench --config=decompositions:small --workdir=runs/decompositions   # some minutes, CPU
    vaebench --config=decompositions --workdir=runs/decompositions --data_dir=DIR
    vaebench-report --results=runs/decompositions --pictures=runs/decompositions/pictures

Three tables, as in the paper: `axes`, a normal prior that is round, follows the data's
principal components or learns its variances, and Student's t; `clusters`, a prior of four
clusters for points in the plane, charged to every posterior (beta 1) or to their aggregate
(alpha 1); `sparse`, a prior that has a share gamma of the dimensions off, without and with a
penalty on every dimension's aggregate. Look at the pictures `plane` and `activation`, and at
the figure `sparsity`.

Weights, rates, batches, epochs and networks are those of the authors' code. What is not:
sprites are not dSprites, but have its factors (`--config.tables.axes.dataset.name=dsprites`
where they are at hand); decoders of points have a least standard deviation of 0.05; layers of
`sparse` are not normalized. DIR holds Fashion-MNIST. `:small` differs in `axes` and `sparse`:
small sprites for large ones and scikit-learn's digits for clothes, smaller networks, fewer
epochs and faster rates; a digit has a sixteenth of the pixels, and alpha is that much less.
"""
from vaebench.experiment import catalog
from vaebench.experiment.rows import change, hp, row
from vaebench.experiment.sizes import sized

VAE = {'vae': row('VAE, prior N(0, I)', 'vae')}
CODES = 'nll_iw', 'ess', 'elbo', 'rec', 'kl', 'mse', 'mi_full', 'au', 'hsic', 'hsic_p'
CLUSTERS = ('nll_iw', 'excess', 'elbo', 'rec', 'kl', 'mse', 'w2', 'w2_floor', 'mi_full',
            'knn_error')
FACTORS = 'factor_vae_score', 'mig', 'dci_disentanglement'
SPARSITY = 'hoyer', 'hoyer_drawn'
AMSGRAD = dict(name='amsgrad', clip=0.)


def axes(size, dataset, kit, **settings):
    """Priors along the axes of the code."""
    return dict(
        name=f'decompositions{size}-axes', title='Priors along axes', primary='nll_iw',
        baseline='vae', dataset=dataset, kit=kit,
        metrics=(*CODES, *FACTORS),
        table=VAE | catalog.AXES, **settings)


def clusters(size, **settings):
    """A prior of four clusters, 400 points of four arms: an epoch is one update, as there."""
    return dict(
        name=f'decompositions{size}-clusters', title='Clustered priors, points in the plane',
        primary='nll_iw', baseline='vae', dataset=dict(
            name='pinwheel', arms=4, std=(.3, .1), rate=.25, examples=400,
            eval_examples=2000),
        kit=dict(name='mlp', latent=2, hidden=(100,), likelihood='gaussian_full'), epochs=500,
        batch=400, block=1, optimizer=AMSGRAD | dict(lr=1e-3), metrics=CLUSTERS,
        table=VAE | catalog.CLUSTERED, **settings)


def sparse(size, dataset, kit, alpha, **settings):
    """Priors that have dimensions off."""
    rows = change(catalog.SPARSE, {'dense_penalty sparse_penalty': hp(alpha=alpha)})
    return dict(
        name=f'decompositions{size}-sparse', title='Sparse priors', primary='nll_iw',
        baseline='vae', dataset=dataset, kit=kit | dict(likelihood='laplace', scale=.1),
        metrics=(*SPARSITY, *CODES), table=VAE | rows, **settings)


def paper():
    """Networks, rates and epochs of the paper's code."""
    evaluation = dict(samples=500, chunk=50, batch=100)
    conv = dict(name='conv', kernel=4)
    return dict(
        axes=axes(
            '', dict(name='sprites', eval_examples=10_000), conv | dict(
                latent=10, channels=(32, 32, 64, 64), hidden=128, likelihood='bernoulli'),
            epochs=20, batch=64, optimizer=AMSGRAD | dict(lr=5e-4), evaluation=evaluation),
        clusters=clusters('', evaluation=evaluation),
        sparse=sparse(
            '', dict(name='fashion_mnist', pad=2), conv | dict(
                latent=50, channels=(32, 64, 128), hidden=None), alpha=100.,
            epochs=80, batch=500, optimizer=AMSGRAD | dict(lr=5e-4), evaluation=evaluation))


def small():
    """Small sprites, points and digits, in some minutes."""
    evaluation = dict(samples=100, chunk=50, batch=250)
    mlp = dict(name='mlp', hidden=(128,))
    return dict(
        axes=axes(
            '-small', dict(name='sprites', levels=(3, 3, 8, 8, 8), size=16),
            mlp | dict(latent=10, likelihood='bernoulli'), epochs=40, batch=64, block=50,
            optimizer=AMSGRAD | dict(lr=1e-3),
            evaluation=evaluation | dict(factor_train=1000, factor_test=500)),
        clusters=clusters('-small', evaluation=evaluation),
        sparse=sparse('-small', dict(name='digits'), mlp | dict(latent=16), alpha=6.,
                      epochs=100, batch=128, block=11, optimizer=AMSGRAD | dict(lr=2e-3),
                      evaluation=evaluation))


def get_config(size=''):
    """Three tables at paper size, or `small`."""
    return sized(size, {
        '': lambda: dict(name='decompositions', seeds=3, tables=paper()),
        'small': lambda: dict(name='decompositions-small', seeds=3, tables=small())})
