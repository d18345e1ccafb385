"""Seeds and batches over devices: how they are laid out, and that nothing changes but rounding.

Devices are forced before JAX starts, hence other processes: run as a script with four of them, this file checks the
pieces.
"""
import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.engine import placement, seeds
from vaebench.errors import UserError

HERE = pathlib.Path(__file__).parent


def forced(devices):
    """The environment of a process with so many devices, which imports what is tested here."""
    return {**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(HERE.parent),
            'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}'}


@pytest.mark.parametrize('devices', range(1, 9))
@pytest.mark.parametrize('group', (1, 2, 5, 6))
@pytest.mark.parametrize('batch', (3, 64))
def test_auto_takes_the_most_devices_that_divide_and_prefers_seeds(devices, group, batch):
    fits = [(s * d, s, d) for s in range(1, devices + 1) for d in range(1, devices + 1)
            if s * d <= devices and group % s == 0 and batch % d == 0]
    most = max(total for total, _, _ in fits)
    across, share = placement.sizes('auto', devices, group, batch)
    assert group % across == batch % share == 0
    assert across * share == most and across == math.gcd(most, group)


def test_seeds_that_do_not_divide_leave_their_devices_to_the_batch():
    assert placement.sizes('seed:4,data:2', 8, 8, 64) == (4, 2)
    assert placement.sizes('seed:4,data:2', 8, 6, 64) == (2, 4)
    assert placement.sizes('seed:4', 8, 3, 64) == (1, 4)
    assert placement.sizes('', 8, 3, 64) is None


@pytest.mark.parametrize('text, message', [
    ('seed:4,data:4', 'takes 16 devices, and there are 8'), ('data:3', '3 devices would share a batch of 64'),
    *((odd, 'write it like') for odd in ('seed:2,seed:2', 'data', 'data:0', 'model:2'))])
def test_a_mesh_that_cannot_be_is_refused_in_a_line(text, message):
    with pytest.raises(UserError, match=message):
        placement.sizes(text, 8, 4, 64)


def test_one_device_is_no_mesh():
    assert placement.lay('auto', 3, 8, jax.devices()[:1]) is None
    tree = {'x': jnp.arange(3), 'key': jax.random.key(0)}
    assert placement.put(tree, None, placement.SEED) is tree
    assert placement.fetch(tree)['key'] is tree['key']


def values(workdir):
    """Every number of every cell, and of its curves, by (file, name)."""
    found = {}
    for path in sorted(pathlib.Path(workdir, 'results').glob('*.json')):
        cell = json.loads(path.read_text())
        assert cell['status'] == 'done'
        found |= {(path.name, name): metric['value'] for name, metric in cell['metrics'].items()}
    for path in sorted(pathlib.Path(workdir, 'logs').glob('*.jsonl')):
        for line in map(json.loads, path.read_text().splitlines()):
            place = line['phase'], line['epoch']
            found |= {(path.name, *place, part, name): value for part in ('train', 'valid')
                      for name, value in line[part].items()}
    return found


def assert_close(a, b, rtol=2e-4, atol=2e-5):
    """Two workdirs say the same but for rounding."""
    a, b = values(a), values(b)
    assert a.keys() == b.keys() and a
    for place, value in a.items():
        pair = (np.asarray(x, float) for x in (b[place], value))
        np.testing.assert_allclose(*pair, rtol, atol, err_msg=str(place))


def command(config, workdir, *flags):
    return [sys.executable, '-m', 'vaebench', f'--config={HERE / "mesh_config.py"}:{config}', f'--workdir={workdir}',
            *flags]


@pytest.mark.slow
def test_losses_that_couple_a_batch_are_of_all_of_it(tmp_path):
    """BN-VAE, MMD, total correlation, an aggregate of densities, a relativistic GAN."""
    for name, flags in (('one', ()), ('four', ('--mesh=seed:2,data:2',))):
        done = subprocess.run(command('coupled', tmp_path / name, *flags), capture_output=True, text=True,
                              env=forced(4), timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
    assert_close(tmp_path / 'one', tmp_path / 'four')


@pytest.mark.slow
def test_pieces_on_four_devices():
    done = subprocess.run([sys.executable, __file__], env=forced(4), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.split() == list(PIECES), done.stderr[-3000:]


# ---- with four devices -----------------------------------------------------------------------------------------------

def group():
    """Seeds on devices of their own see what they would see alone, whichever way they run there."""
    mesh = placement.lay('seed:2,data:2', 4, 6)
    assert dict(mesh.shape) == {'seed': 2, 'data': 2}

    def one(w, x):                                   # couples the batch
        return jax.lax.fori_loop(0, 3, lambda i, w: w - .1 * jax.grad(lambda w: (x @ w).var() + w @ w)(w), w)

    w, x = (np.random.default_rng(0).normal(size=s).astype(np.float32) for s in ((4, 3), (6, 3)))
    wanted = jax.vmap(one, (0, None))(w, x)
    for how in ('map', 'vmap'):
        over = seeds.over_devices(seeds.over_seeds(one, (0, None), how), (0, None), mesh)
        out = jax.jit(over)(placement.put(w, mesh, 'seed'), placement.put(x, mesh, 'data'))
        np.testing.assert_allclose(out, wanted, 1e-5)
        assert out.sharding.spec[0] == 'seed'


def place():
    """What is put on a mesh comes back, keys too; what does not divide lies whole."""
    mesh = placement.lay('seed:2,data:2', 2, 4)
    tree = {'x': np.arange(8.).reshape(2, 4), 'key': jax.random.split(jax.random.key(3), 2), 'n': np.int32(1)}
    put = placement.put(tree, mesh, 'seed', 'data')
    assert put['x'].sharding.shard_shape((2, 4)) == (1, 2) and put['key'].sharding.shard_shape((2,)) == (1,)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.all(a == b)), placement.fetch(put), tree)))
    assert placement.put(put['x'], mesh) is put['x']
    assert placement.divide(np.zeros((3, 6)), mesh, 1).sharding.shard_shape((3, 6)) == (3, 3)
    assert placement.divide(np.zeros((2, 5)), mesh, 1, ('seed',)).sharding.shard_shape((2, 5)) == (1, 5)


def ahead():
    """What is compiled ahead is what training on a mesh runs."""
    import mesh_config

    from vaebench.engine import loop
    from vaebench.experiment import prepared, table
    config = {**mesh_config.get_config('one').to_dict()['tables']['images'], 'mesh': 'auto', 'seeds': 2}
    row, = table.tables(config)[0].rows
    rows = prepared.Prepared(table.tables(config)[0], pathlib.Path('unused'))
    trainer = rows.trainer(row, 2)
    assert dict(trainer.mesh.shape) == {'seed': 2, 'data': 2}
    trainer.prepare(rows.numbers(row))
    known = set(trainer.programs._made)
    assert {'init', 'block0', 'validate0'} <= known
    state, _ = loop.run(trainer, [0, 1], rows.numbers(row))
    assert set(trainer.programs._made) - known == {'feedback0', 'end0'}
    assert {x.sharding.spec[0] for x in jax.tree.leaves(state)} == {'seed'}


PIECES = {'group': group, 'place': place, 'ahead': ahead}


if __name__ == '__main__':
    assert jax.device_count() == 4
    for name, check in PIECES.items():
        check()
        print(name, flush=True)
