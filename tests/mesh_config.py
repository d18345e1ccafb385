"""Tables of every kind of training that a mesh must not change, tiny and under plain SGD.

`meshed` lays their rows out over four devices: seeds and batches over two each, or, for some rows whose losses couple a
batch, batches over all four. `coupled` has more of these, `one` a VAE alone.
"""
from vaebench.experiment import config_keys
from vaebench.experiment.configs import ordered
from vaebench.experiment.rows import hp, options, overrides, row

SHARED = dict(epochs=2, batch=16, block=4, optimizer=dict(name='sgd', lr=1e-2, clip=5.), save_every=1e9,
              evaluation=dict(samples=8, chunk=4, batch=16, generated=16))
LSTM = dict(name='lstm', embed=8, hidden=12, latent=4, dropout=0., init_scale=.1)
COUPLED = 'bn_vae', 'wgan_gp', 'beta_tcvae'


def table(name, dataset, kit, metrics, **rows):
    return dict(SHARED, name=name, title=name, dataset=dataset, kit=kit, metrics=metrics, table=rows)


def tables():
    """The methods that the foundation names, and a row of each newer track."""
    sentences, conditional = dict(sentences=96, eval_sentences=32), {**LSTM, 'family': 'B'}
    return {
        'text': table('text', dict(name='synthetic', **sentences), LSTM, ('elbo',), vae=row('VAE', 'vae'),
                      bn_vae=row('BN-VAE', 'bn_vae'), davam=row('DAVAM', 'davam', options(codes=8)),
                      lagging=row('Lagging', 'lagging', options(max_inner=3, window=2))),
        'images': table('images', dict(name='digits', examples=96, eval_examples=32),
                        dict(name='mlp', latent=2, hidden=(8,)), ('sharpness',),
                        wgan_gp=row('WGAN-GP', 'wgan_gp', overrides(protocol=dict(keep='last')))),
        'factors': table('factors', dict(name='sprites', levels=(2, 2, 3, 3, 3), size=8),
                         dict(name='mlp', latent=3, hidden=(8,)), ('elbo', 'kl', 'mig'),
                         beta_tcvae=row('beta-TCVAE', 'beta_tcvae', hp(beta=4.))),
        'styles': table('styles', dict(name='two_style', **sentences), conditional, ('token_f1', 'elbo'),
                        john_vae=row('John et al.', 'john_vae', options(style=2))),
        'dialogs': table('dialogs', dict(name='dialog', **sentences), conditional, ('nll_iw', 'kl'),
                         cvae=row('CVAE', 'cvae')),
        'particles': table('particles', dict(name='nbody', examples=48, eval_examples=16), dict(name='linear'),
                           ('mse_position', 'equivariance_error'),
                           egnn=row('EGNN', 'regressor', overrides(kit=dict(name='egnn', layers=1, hidden=8))))}


def coupled():
    """Rows of images whose losses couple the examples of a batch: what they say is of all of it."""
    game = overrides(kit=dict(name='z2', latent=4, pad=True, channels=(4, 4), pools=(1,), up=(8, 4), hidden=8),
                     protocol=dict(keep='last'))
    return {'images': table('images', dict(name='digits', examples=96, eval_examples=32),
                            dict(name='mlp', latent=2, hidden=(8,)), ('elbo', 'rec', 'sharpness'),
                            bn_vae=row('BN-VAE', 'bn_vae'), wae_mmd=row('WAE-MMD', 'wae_mmd'),
                            beta_tcvae=row('beta-TCVAE', 'beta_tcvae'), dg_vae=row('DG-VAE', 'dg_vae'),
                            ge_gan=row('relativistic GAN', 'ge_gan', game))}


def meshed(found):
    """The same tables on four devices."""
    for one in found.values():
        one['mesh'] = 'seed:2,data:2'
        for name in set(COUPLED) & set(one['table']):
            entry = one['table'][name]
            one['table'][name] = {**entry, 'overrides': {**entry.get('overrides', {}), 'mesh': 'data:4'}}
    return found


def get_config(arg=''):
    """All tables, `coupled` ones or `one`; `meshed` on four devices."""
    found = coupled() if 'coupled' in arg else tables()
    if 'one' in arg:
        found = {'images': dict(found['images'], metrics=('nll_iw', 'elbo'), save_every=0., epochs=8,
                                table=dict(vae=row('VAE', 'vae')))}
    found = meshed(found) if 'meshed' in arg else found
    return ordered(config_keys.filled(dict(name='mesh', seeds=2, tables=found)))
