"""MNIST: every image row, at the size of the papers or `:small` for two CPU cores.

    vaebench --config=configs/mnist.py --workdir=runs/mnist --data_dir=DIR          # paper size: for an accelerator
    vaebench --config=configs/mnist.py:static --workdir=runs/mnist-static --data_dir=DIR --config.rows=vae
    vaebench --config=configs/mnist.py:small --workdir=runs/mnist-small --data_dir=DIR

DIR holds the four idx .gz files, or a folder mnist/ with them, and binarized_mnist_{train,valid,test}.amat (also packed
as .xz or .gz), or a folder binarized_mnist/ with them.

Three tables: `static`, Larochelle's binarisation, with the likelihoods; `grey`, the samples; `embedding`, maps of test
images to the plane. Paper size: two layers of 500 and 40 latent dimensions for the likelihoods, 8 latent dimensions and
critics of 1000 for the rest; a VAE there should come near the published 89.9 nats.
`:small`: 6,000 training images, networks of 256, 16 and 8 latent dimensions, 40 epochs (20 in the plane), 1,000
test images; learning rates, margins and gains are what short trials on one seed found to work in so few steps.
"""
from ml_collections import config_dict

from vaebench.experiment import presets

STATIC = ('vae beta_vae capacity_vae decreasing_beta mmd_vae info_vae vamp_vae mog_vae flow_prior bn_vae fb vmf_vae '
          'p_vae')


def static(name, kit, examples, **settings):
    table = presets.table(
        f'{name}-static', f'Binarised MNIST, static{_size(examples)}',
        dataset={'name': 'mnist_static', **examples}, kit={**kit, 'likelihood': 'bernoulli'}, batch=100,
        evaluation={'samples': 1000, 'chunk': 100, 'batch': 100}, metrics=presets.LIKELIHOOD_METRICS, **settings)
    warmup = settings['epochs'] / 2
    rows = presets.image_rows(target=10., mmd=100., warmup=warmup, components=50 if examples else 500)
    table.table = presets.rows(presets.published(presets.only(rows, STATIC), {'vae': 'I1/vae I1/vae_pythae'}))
    return table


def grey(name, kit, examples, rows, **settings):
    table = presets.table(
        f'{name}-grey', f'MNIST, grey levels{_size(examples)}', dataset={'name': 'mnist', **examples},
        kit={**kit, 'likelihood': 'bernoulli'}, batch=100,
        evaluation={'samples': 50, 'chunk': 50, 'batch': 250, 'images': 1000}, metrics=presets.SAMPLE_METRICS,
        **settings)
    likelihoods = set(STATIC.split()) - {'vae', 'mmd_vae'}
    table.table = presets.rows({k: v for k, v in presets.image_rows(target=10., **rows).items()
                                if k not in likelihoods})
    return table


def embedding(name, kit, examples, **settings):
    table = presets.table(
        f'{name}-embedding', f'MNIST test images in the plane{_size(examples)}',
        dataset={'name': 'mnist', 'eval_examples': 1000, **examples},
        kit={**kit, 'latent': 2, 'likelihood': 'bernoulli'}, batch=100, evaluation={'batch': 250},
        metrics=presets.EMBEDDING_METRICS, **settings)
    table.table = presets.rows(presets.embedding_rows())
    return table


def _size(examples):
    return f", reduced: {examples['examples']:,} training images" if examples else ''


def get_config(size=''):
    """Three tables at paper size, or `small`; or the first of paper size alone, `static`."""
    small = {'examples': 6000, 'eval_examples': 1000}
    patches = {'kernel': 4, 'activation': 'leaky_relu'}        # as in DCGAN's critic
    rate = lambda lr: {'overrides': {'optimizer': {'lr': lr}}}
    makers = {
        'static': lambda: [static('mnist', {'name': 'mlp', 'latent': 40, 'hidden': (500, 500)}, {}, epochs=200,
                                  optimizer={'lr': 1e-3, 'clip': 0.})],
        'paper': lambda: [
            *makers['static'](),
            grey('mnist', {'name': 'mlp', 'latent': 8, 'hidden': (1000, 1000)}, {},
                 {'penalty': 200., 'mmd': 100., 'critic': (1000, 1000), 'warmup': 50.,
                  'began': {'options': {'energy': 'squared', 'code': 64}},
                  'conv': {'name': 'conv', 'channels': (64, 128), 'hidden': 1024, **patches}}, epochs=100,
                 optimizer={'lr': 1e-3, 'clip': 0.}),
            embedding('mnist', {'name': 'mlp', 'hidden': (512, 256)}, {}, epochs=50,
                      optimizer={'lr': 1e-3, 'clip': 0.})],
        'small': lambda: [
            static('mnist-small', {'name': 'mlp', 'latent': 16, 'hidden': (256,)}, small, epochs=40,
                   optimizer={'lr': 2e-3, 'clip': 0.}),
            grey('mnist-small', {'name': 'mlp', 'latent': 8, 'hidden': (256,)}, small,
                 {'penalty': 200., 'mmd': 100., 'warmup': 20., 'components': 20, 'aae_lr': 1e-3, 'lr': 2e-4,
                  'wgan_lr': 1e-3, 'clip': .05, 'mmd_lr': 2e-4, 'mmd_clip': .1, 'lambda_k': .1, 'gamma': .9,
                  'margin': .05, 'code': 4, 'critic': (256, 256), 'wgan_gp': rate(5e-4), 'dcgan': rate(5e-4),
                  'ebgan': rate(1e-3), 'ebgan_pt': rate(1e-3),
                  'began': {'options': {'energy': 'squared', 'code': 32}, **rate(5e-4)},
                  'gmmn_ae': {'options': {'hidden': (64, 256)}, 'overrides': {'kit': {'latent': 32}}},
                  'conv': {'name': 'conv', 'channels': (16, 32), 'hidden': 128, **patches}}, epochs=40,
                 optimizer={'lr': 2e-3, 'clip': 0.}),
            embedding('mnist-small', {'name': 'mlp', 'hidden': (256,)}, small, epochs=20,
                      optimizer={'lr': 2e-3, 'clip': 0.})]}

    def tables(made):
        named = dict(zip(('static', 'grey', 'embedding'), made, strict=False))
        name = 'mnist' if size == '' else f'mnist-{size}'
        return config_dict.ConfigDict({'name': name, 'rows': '', 'seeds': 2, 'tables': presets.rows(named)})

    return presets.sizes(size, **{k: lambda make=make: tables(make()) for k, make in makers.items()})
