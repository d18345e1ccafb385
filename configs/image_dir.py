"""Your own pictures: a folder of them, or one folder for each label, or train, valid and test.

    vaebench --config=image_dir --workdir=runs/mine --data_dir=DIR
    vaebench --config=image_dir:labelled --workdir=runs/mine --data_dir=DIR

`labelled`, for folders that are labels, adds the rows that are told it. Of every picture the
central square is taken and brought to --config.dataset.size=32 pixels a side;
--config.dataset.grey=True drops the colors. The networks halve the size once for each of their
--config.kit.channels. Change what you like: --config.rows=vae,wgan_gp, --config.epochs=20,
--config.kit.latent=64.

Numbers are those of `mnist` at paper size, made for an accelerator; nobody has tuned them for
your pictures.
"""
from ml_collections import config_dict

from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import change, hp, options, overrides, without
from vaebench.experiment.sizes import sized

TOLD = 'aae_supervised aae_semi'           # rows of `catalog.IMAGES` that need labels


def table(rows):
    """Image rows on a folder of pictures."""
    counts = {name: config_dict.placeholder(int)      # None until the command line sets it
              for name in ('examples', 'eval_examples', 'labels')}
    return dict(
        name='image_dir', title='Own pictures', primary='frechet', baseline='vae',
        dataset=dict(name='image_dir', size=32, grey=False, **counts),
        kit=dict(name='conv', latent=32, channels=(32, 64, 128), hidden=256,
                 likelihood='bernoulli'),
        epochs=100, batch=100, seeds=3, optimizer=dict(name='adam', lr=1e-3, clip=0.),
        save_every=120.,
        evaluation=dict(samples=50, chunk=50, batch=250, images=1000), metrics=columns.IMAGES,
        table=change(rows, {
            'mmd_vae': hp(mmd=100.),
            'wae_mmd wae_mmd_rbf': hp(beta=200.),
            'dcgan': overrides(kit=dict(kernel=4, activation='leaky_relu')),
            'began': options(energy='squared', code=64)}))


def get_config(size=''):
    """Rows that need no label, or `labelled`: every image row."""
    return sized(size, {'': lambda: table(without(catalog.IMAGES, TOLD)),
                        'labelled': lambda: table(catalog.IMAGES | catalog.CONDITIONAL)})
