"""Every text row on a corpus whose exact log p*(x) is known: no honest bound falls below it.

    vaebench --config=synthetic --workdir=runs/synthetic     # half an hour on two CPU cores
    vaebench --config=synthetic --tune=8 --config.rows=vae,beta_05,fb,bn_06,lagging
    vaebench --config=synthetic:small --workdir=runs/synthetic-small   # a quarter of it

`excess` is nll_iw + ln p*(x), paired by sentence: at least zero but for noise. `excess_paper`
is the same of what the paper printed as a bound: where it falls below zero, that was none.
Expect, in nats: LSTM-LM 0.32, VAE 0.33, Lagging 0.34, BN-VAE 0.35 (gamma 0.6) to 0.73 (1.2),
free bits 0.48, iVAE 0.95, plain autoencoder 49. A weight of the KL below one buys KL with
likelihood: beta 0.5 has 2.3 nats of it at 0.37, beta 0.1 has 11 at 3.3.

Gains, targets and inner loops are scaled to the short run. Two rows more than elsewhere,
ivae_slow and apo_vae_slow, keep the papers' learning rate of the dual functions, 1e-5, which in
so short a run hardly moves them.
"""
from vaebench.experiment import catalog, columns
from vaebench.experiment.rows import change, hp, log, options, select, space, without
from vaebench.experiment.sizes import sized


def rows(epochs):
    """Every text row, the source, and the two slow ones."""
    half = epochs / 2
    scaled = change(catalog.text(words=7.5), {
        catalog.ANNEALED: hp(warmup=half),                        # epochs
        'cyclical': hp(period=half, warmup=half / 2),
        'pre_ae_cyclical cyclical_20': hp(period=2 * half, warmup=half),
        'beta_05_anneal': hp(warmup=.4 * half),
        'capacity_vae': hp(capacity=2., capacity_epochs=half),    # nats
        'control_vae': hp(target=3., ki=2e-3),
        'control_vae_high': hp(target=5., ki=2e-3),
        catalog.EIGHT_NATS: hp(target=2.),
        'fb_high': hp(target=4.),
        'pre_ae_fb_6': hp(target=1.5),
        'pre_ae_fb_4': hp(target=1.),
        'pre_ae_fb_9': hp(target=2.25),
        'fbp_3': hp(target=.75),
        'fbp_9': hp(target=2.25),
        'lagging': options(max_inner=10, window=5),
        'sa_vae': options(refine=3),
        catalog.MANY_DRAWS: options(draws=3),
        catalog.MIXTURES: options(components=16),
        catalog.STOCHASTIC_WAE: hp(delay=half / 2, warmup=half / 2),
        'wae_gan': hp(critic_lr=5e-3),
        catalog.DUALS: hp(nu_lr=1e-3) | options(hidden=(128, 128)),
        'apo_vae_vp': options(pseudo=16),
        'ivae ivae_mi': options(noise_scale=.6),
        'davam': options(codes=32),
        'davam_q davam_large': options(codes=128)}, catalog.TEXT_SPACES, {
        # nats: from next to none to what the autoencoder before free bits learns to use
        'fb fb_max fbp pre_ae_fb_8': space(target=log(.5, 8.)),
        'control_vae': space(target=log(.5, 8.)),
        'capacity_vae': space(capacity=log(.5, 8.))})
    slow = "{}, dual functions at the paper's rate"
    added = change(dict(ivae_slow=scaled['ivae'], apo_vae_slow=scaled['apo_vae']), {
        'ivae_slow': dict(label=slow.format('iVAE')) | hp(nu_lr=1e-5),
        'apo_vae_slow': dict(label=slow.format('APo-VAE')) | hp(nu_lr=1e-5)})
    further = select(scaled, catalog.FURTHER)
    return catalog.SOURCE | without(scaled, catalog.FURTHER) | added | further


def table(name, sentences, epochs):
    """The table on so many sentences."""
    return dict(
        name=name, title='Synthetic corpus of known likelihood',
        primary='excess', baseline='vae',
        dataset=dict(name='synthetic', sentences=sentences),
        kit=dict(name='lstm', embed=32, hidden=64, latent=8, dropout=.1, init_scale=.1),
        epochs=epochs, batch=64, seeds=3, optimizer=dict(name='adam', lr=1e-2, clip=5.),
        evaluation=dict(samples=50, chunk=50, batch=128, generated=500, refine=50),
        space=dict(lr=log(1e-3, 3e-2)),      # from Adam's own default to thrice the table's
        metrics=('excess', 'excess_paper', *columns.TEXT, *columns.MORE_TEXT, *columns.PROBES),
        table=rows(epochs))


def get_config(size=''):
    """The table, or `small`."""
    return sized(size, {'': lambda: table('synthetic', sentences=8192, epochs=8),
                        'small': lambda: table('synthetic-small', sentences=2048, epochs=6)})
