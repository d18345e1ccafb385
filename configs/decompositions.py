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

Weights, rates, batches, epochs and networks are those of the authors' code where it says so.
What is not: their sparse codes are of images of 32 x 32 pixels by normalized layers. `:small`
has scikit-learn's digits for their images, fewer epochs and faster rates, and in `sparse` a
tenth of the dimensions and a hidden layer. DIR holds what datasets of the paper's size need.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import row
from vaebench.experiment.sizes import sized

VAE = {'vae': row('VAE, prior N(0, I)', 'vae')}
SPARSITY = 'hoyer', 'hoyer_drawn'
AMSGRAD = dict(name='amsgrad', clip=0.)
DIGITS = dict(name='digits')
POINTS = dict(name='gaussians8')


def axes(size, dataset, kit, **settings):
    """Priors along the axes of the code."""
    return dict(
        name=f'decompositions{size}-axes', title='Priors along axes', primary='nll_iw',
        baseline='vae', dataset=dataset, kit=kit, metrics=(*columns.LIKELIHOODS, 'probe_100'),
        table=VAE | catalog.AXES, **settings)


def clusters(size, **settings):
    """A prior of four clusters: one hidden layer of 100, as many examples as in the paper."""
    return dict(
        name=f'decompositions{size}-clusters', title='Clustered priors, points in the plane',
        primary='nll_iw', baseline='vae', dataset=POINTS | dict(examples=400 * 10),
        kit=dict(name='mlp', latent=2, hidden=(100,), likelihood='gaussian_full'), batch=400,
        metrics=(*columns.POINTS, 'mi_full', 'knn_error'), table=VAE | catalog.CLUSTERED,
        **settings)


def sparse(size, dataset, kit, **settings):
    """Priors that have dimensions off."""
    return dict(
        name=f'decompositions{size}-sparse', title='Sparse priors', primary='nll_iw',
        baseline='vae', dataset=dataset, kit=kit | dict(likelihood='laplace', scale=.1),
        metrics=(*SPARSITY, *columns.LIKELIHOODS), table=VAE | catalog.SPARSE, **settings)


def paper():
    """Networks, rates and epochs of the paper's code."""
    evaluation = dict(samples=500, chunk=50, batch=100)
    return dict(
        axes=axes(
            '', DIGITS, dict(name='conv', latent=10, channels=(32, 32, 64, 64), kernel=4,
                             hidden=128, likelihood='bernoulli'),
            epochs=20, batch=64, optimizer=AMSGRAD | dict(lr=5e-4), evaluation=evaluation),
        clusters=clusters('', epochs=500, optimizer=AMSGRAD | dict(lr=1e-3),
                          evaluation=evaluation),
        sparse=sparse(
            '', dict(name='fashion_mnist'),
            dict(name='conv', latent=50, channels=(32, 64, 128), kernel=4, hidden=None),
            epochs=80, batch=500, optimizer=AMSGRAD | dict(lr=5e-4), evaluation=evaluation))


def small():
    """Digits and points, in some minutes."""
    evaluation = dict(samples=100, chunk=50, batch=250)
    digits = dict(name='mlp', hidden=(128,))
    return dict(
        axes=axes(
            '-small', DIGITS, digits | dict(latent=10, likelihood='bernoulli'), epochs=60,
            batch=64, block=21, optimizer=AMSGRAD | dict(lr=2e-3), evaluation=evaluation),
        clusters=clusters('-small', epochs=150, block=10, optimizer=AMSGRAD | dict(lr=3e-3),
                          evaluation=evaluation),
        sparse=sparse('-small', DIGITS, digits | dict(latent=16), epochs=100, batch=128,
                      block=10, optimizer=AMSGRAD | dict(lr=2e-3), evaluation=evaluation))


def get_config(size=''):
    """Three tables at paper size, or `small`."""
    return sized(size, {
        '': lambda: dict(name='decompositions', seeds=3, tables=paper()),
        'small': lambda: dict(name='decompositions-small', seeds=3, tables=small())})
