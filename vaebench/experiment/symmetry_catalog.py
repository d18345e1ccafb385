"""The rows of data with a symmetry, as data: see `catalog`.

Rows of one method differ in their network: the kits 'z2', 'p4' and 'p4m' have about as many
parameters each.
"""
from vaebench.experiment.catalog import RAMP, last
from vaebench.experiment.config_keys import merge
from vaebench.experiment.rows import Rows, hp, options, overrides, row

Z2, P4, P4M = (overrides(kit=dict(name=name)) for name in ('z2', 'p4', 'p4m'))
CLASS_GAME = hp(penalty=.1, critic_lr=3e-4) | last(lr=1e-4, b1=0., b2=.9)

CLASSIFIERS: Rows = {
    'z2cnn': row('Z2CNN', 'classifier', Z2),
    'p4cnn': row('P4CNN', 'classifier', P4),
    'p4mcnn': row('P4MCNN', 'classifier', P4M),
    'p4cnn_pooling': row('P4CNN, rotation pooling', 'classifier',
                         overrides(kit=dict(name='p4', rotation_pooling=True))),
}
"""Told every label."""

VAES: Rows = {
    'ae_z2': row('AE, Z2', 'dae', Z2),
    'ae_p4': row('AE, p4', 'dae', P4),
    'vae_z2': row('VAE, Z2', 'vae', RAMP, Z2),
    'vae_p4': row('VAE, p4', 'vae', RAMP, P4),
    'vae_p4m': row('VAE, p4m', 'vae', RAMP, P4M),
    'beta_vae_z2': row('beta-VAE ({beta:g}), Z2', 'beta_vae', RAMP, hp(beta=4.), Z2),
    'beta_vae_p4': row('beta-VAE ({beta:g}), p4', 'beta_vae', RAMP, hp(beta=4.), P4),
}
"""Their codes are numbers on the group: equivariant encoders and decoders, and their twins."""

GAMES: Rows = {
    'ge_gan_z2': row('class GAN, Z2', 'ge_gan', Z2, CLASS_GAME),
    'ge_gan_p4': row('GE-GAN, p4', 'ge_gan', P4, CLASS_GAME),
    'ge_gan_p4m': row('GE-GAN, p4m', 'ge_gan', P4M, CLASS_GAME),
}
"""Told the label: their samples are of classes in equal parts."""

MOVED: Rows = {
    'avt_projective': row('AVT, projective', 'avt', options(form='projective')),
    'avt_affine': row('AVT, affine', 'avt', options(form='affine')),
    'aet_projective': row('AET, projective', 'aet', options(form='projective')),
    'aet_affine': row('AET, affine', 'aet', options(form='affine')),
    # no rate can be 0; this one moves no weight
    'untrained': row('untrained encoder', 'aet', overrides(epochs=1, optimizer=dict(lr=1e-12))),
    'supervised': row('supervised', 'classifier'),
}
"""Codes that tell how an image was moved, those of an encoder that learnt nothing, and a
network that was told its class.
"""


def labelled(rows: Rows, labels: int) -> dict[str, dict]:
    """Rows of the same data of which so many examples are labelled: `NAME_LABELS`.

    >>> labelled(CLASSIFIERS, 100)['p4cnn_100']['label']
    'P4CNN, {dataset[labels]} labels'
    """
    fewer = options(partners=True) | overrides(dataset=dict(labels=labels))
    return {f'{name}_{labels}': merge(entry, {
        'label': f'{entry["label"]}, {{dataset[labels]}} labels', **fewer})
        for name, entry in rows.items()}
