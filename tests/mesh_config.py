"""Tables of every kind of training that a mesh must not change, tiny and under plain SGD.

`meshed` lays their rows out over four devices: seeds and batches over two each, or, for rows whose losses couple a
batch, batches over all four. `one` is a VAE alone.
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
    return {
        'text': table('text', dict(name='synthetic', sentences=96, eval_sentences=32), LSTM, ('nll_iw', 'elbo', 'mi_full'),
                      vae=row('VAE', 'vae'), bn_vae=row('BN-VAE', 'bn_vae'),
                      lagging=row('Lagging', 'lagging', options(max_inner=3, window=2)),
                      davam=row('DAVAM', 'davam', options(codes=8))),
        'images': table('images', dict(name='digits', examples=96, eval_examples=32), dict(name='mlp', latent=2, hidden=(8,)),
                        ('sharpness', 'frechet', 'elbo'),
                        wgan_gp=row('WGAN-GP', 'wgan_gp', overrides(protocol=dict(keep='last'))),
                        vae_p4=row('VAE, p4', 'vae', overrides(kit=dict(name='p4', channels=(2, 2), latent=2)))),
        'factors': table('factors', dict(name='sprites', levels=(2, 2, 3, 3, 3), size=8), dict(name='mlp', latent=3, hidden=(8,)),
                         ('elbo', 'kl', 'mig'), beta_tcvae=row('beta-TCVAE', 'beta_tcvae', hp(beta=4.))),
        'styles': table('styles', dict(name='two_style', sentences=96, eval_sentences=32), {**LSTM, 'family': 'B'},
                        ('token_f1', 'elbo'), john_vae=row('John et al.', 'john_vae')),
        'dialogs': table('dialogs', dict(name='dialog', sentences=96, eval_sentences=32), {**LSTM, 'family': 'B'},
                         ('nll_iw', 'kl'), cvae=row('CVAE', 'cvae')),
        'particles': table('particles', dict(name='nbody', examples=48, eval_examples=16), dict(name='linear'),
                           ('mse_position', 'equivariance_error'),
                           egnn=row('EGNN', 'regressor', overrides(kit=dict(name='egnn', layers=1, hidden=8))))}


def meshed(found):
    """The same tables on four devices."""
    for one in found.values():
        one['mesh'] = 'seed:2,data:2'
        for name in set(COUPLED) & set(one['table']):
            entry = one['table'][name]
            one['table'][name] = {**entry, 'overrides': {**entry.get('overrides', {}), 'mesh': 'data:4'}}
    return found


def get_config(arg=''):
    """All tables; `meshed` on four devices; `one` has a VAE alone."""
    found = tables()
    if 'one' in arg:
        found = {'images': dict(found['images'], metrics=('nll_iw', 'elbo'), table=dict(vae=row('VAE', 'vae')))}
    found = meshed(found) if 'meshed' in arg else found
    return ordered(config_keys.filled(dict(name='mesh', seeds=2, tables=found)))
