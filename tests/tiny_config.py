"""A table that trains in a second: the runner's tests use it, and none of its numbers."""
from vaebench.experiment import config_keys
from vaebench.experiment.configs import ordered
from vaebench.experiment.rows import change, hp, log, overrides, row, space


def get_config(arg=''):
    """Four rows on a few digits; `bad` adds a row whose rate is absurd, `spaces` tunes two."""
    rows = {'vae': row('VAE', 'vae'),
            'beta_vae': row('beta-VAE', 'beta_vae', hp(beta=4.)),
            'pre_ae_fb': row('AE + FB', 'pre_ae_fb', hp(target=1., warmup=1.)),
            'wgan_gp': row('WGAN-GP', 'wgan_gp', overrides(protocol=dict(keep='last')))}
    if arg == 'spaces':
        lr = log(1e-3, 1e-1)
        rows = change(rows, {'vae': space(lr=lr), 'beta_vae': space(lr=lr, beta=log(.1, 10.))})
    if arg == 'bad':
        rows['wild'] = row('wild', 'vae', overrides(optimizer=dict(name='sgd', lr=1e30)))
    return ordered(config_keys.filled(dict(
        name='tiny', title='Tiny', primary='nll_iw', baseline='vae',
        dataset=dict(name='digits', examples=200, eval_examples=60),
        kit=dict(name='mlp', latent=2, hidden=(16,)),
        epochs=4, batch=32, block=3, optimizer=dict(name='adam', lr=1e-2, clip=0.),
        save_every=0.,
        evaluation=dict(samples=8, chunk=4, batch=30),
        metrics=('nll_iw', 'elbo', 'rec', 'kl', 'mi_full', 'au'), table=rows)))
