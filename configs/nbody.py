"""Charged particles: where will they be? Networks that commute with rotations and that do not.

    vaebench --config=nbody:small --workdir=runs/nbody             # some minutes, CPU
    vaebench --config=nbody --workdir=runs/nbody
    vaebench-report --results=runs/nbody --pictures=runs/nbody/pictures

Two tables. `free`: all directions are alike, as in the paper; what has no symmetry may learn it
from the data, and a rotated test set is of the same law. `flat`: systems start near a plane, so
that a rotated system is one that training has not seen: `mse_position_rotated` says what the
symmetry is worth. Look at the pictures `systems`.

The paper's networks have degrees 0 to 3; ours end at 2, for which Clebsch-Gordan coefficients
are found at once. Its number of examples and the sizes of its other networks are not known to
us. Rates are those of the least validation error after 120 to 240 steps, of 0.003, 0.01, (of
DeepSet and Set Transformer) 0.03, free table.
"""
from vaebench.experiment import columns, particles_catalog
from vaebench.experiment.rows import change, lr
from vaebench.experiment.sizes import sized

SMALL = dict(
    deepset=dict(layers=3, hidden=128), set_transformer=dict(layers=2, hidden=64, heads=4),
    egnn=dict(layers=3, hidden=32), tfn=dict(layers=2, channels=8, degrees=2, hidden=16),
    se3=dict(layers=2, channels=8, degrees=2, heads=2, hidden=16))
LARGE = dict(
    deepset=dict(layers=4, hidden=256), set_transformer=dict(layers=4, hidden=128, heads=4),
    egnn=dict(layers=4, hidden=64), tfn=dict(layers=4, channels=8, degrees=3, hidden=32),
    se3=dict(layers=4, channels=8, degrees=3, heads=2, hidden=32))


def table(name, title, networks, spread, examples, eval_examples, epochs):
    """A table of so many systems."""
    return dict(
        name=name, title=title, primary='mse_position', baseline='se3',
        dataset=dict(name='nbody', spread=spread, examples=examples,
                     eval_examples=eval_examples),
        kit=dict(name='linear'), epochs=epochs, batch=100,
        optimizer=dict(name='adam', lr=1e-2, clip=1., cycle=epochs),
        evaluation=dict(batch=250), metrics=columns.PREDICTIONS,
        table=change(particles_catalog.sized(**networks), {'deepset': lr(3e-3)}))


def both(size, networks, *sizes):
    """Both tables, of so many systems."""
    return dict(name=f'nbody{size}', seeds=3, tables=dict(
        free=table(f'nbody{size}', 'Charged particles', networks, 1., *sizes),
        flat=table(f'nbody{size}-flat', 'Charged particles that start near a plane', networks,
                   (1., 1., .1), *sizes)))


def get_config(size=''):
    """The tables, or `small`."""
    return sized(size, {'': lambda: both('', LARGE, 10_000, 2000, 500),
                        'small': lambda: both('-small', SMALL, 3000, 1000, 100)})
