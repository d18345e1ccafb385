"""Data that stay on the host: the rows a program gets, and that nothing else changes."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_config
import toys
from test_contract import KITS, NUMBERS, data, method
from test_engine import HP, in_pieces, number, same

from vaebench import core, datasets, metrics
from vaebench.datasets.transforms import binarize
from vaebench.engine import loop, stream
from vaebench.engine.trainer import Settings, Trainer
from vaebench.errors import UserError
from vaebench.experiment import machine, table
from vaebench.experiment.runner import Runner
from vaebench.schema import Rows, count


def test_a_slab_gives_what_the_bucket_gives():
    rng = np.random.default_rng(0)
    columns = {'x': rng.normal(size=(50, 3)), 'context': {'turns': rng.integers(0, 9, 50)},
               'partner': Rows(rng.permutation(50)), 'target': Rows(np.arange(50) // 10)}
    for reads in (1, 40):
        idx = rng.integers(-1, 50, (2, reads))
        size = stream.most(columns, idx.size)
        slab = stream.cut(columns, idx, size)
        assert count(slab.columns) == size <= 50 and slab.idx.shape == idx.shape
        for own, place in zip(idx, slab.idx, strict=True):
            whole, part = core.take(columns, jnp.asarray(own)), core.take(slab.columns, jnp.asarray(place))
            assert same(whole, part)                            # empty slots too


def test_a_slab_copies_what_it_reads_of_a_file_and_no_more(tmp_path):
    np.save(tmp_path / 'x.npy', np.arange(4000.).reshape(1000, 4))
    source = stream.Streamed([{'x': np.load(tmp_path / 'x.npy', mmap_mode='r')}], lambda tree: tree)
    kept = source.buckets[0]['x']
    assert isinstance(kept.base, np.memmap) or isinstance(kept, np.memmap)
    (slab,), idx = source.block(np.zeros(1, int), np.array([[[[999, 3, -1]]]]))
    assert slab['x'].shape == (4, 4) and slab['x'][idx[0, 0, 0, 0]].tolist() == [3996, 3997, 3998, 3999]
    assert jax.tree.map(jnp.shape, source.shapes(3)) == [{'x': (4, 4)}]


def test_what_is_made_ahead_comes_in_order_and_an_error_comes_through():
    assert list(stream.ahead(lambda i: i * i, 7)) == [i * i for i in range(7)]
    with pytest.raises(UserError, match='broken'):
        list(stream.ahead(lambda i: (_ for _ in ()).throw(UserError('broken')), 3))


def test_streamed_is_resident_bit_for_bit_and_goes_on_in_mid_epoch(tmp_path):
    """Buckets, and a fold over the data; an epoch has four blocks."""
    def update(s, params, carry, batch):
        return s[0] + (batch['weight'] * batch['x']).sum(), s[1] + batch['weight'].sum()

    fold = core.Fold(lambda: (0., 0.), update, lambda s, params, carry: {'mean': s[0] / s[1], 'w': params['w']})
    main = core.Phase('main', (), 16, summary=fold)
    made = {on: number(main, rows=(9, 6, 5), group=2, stream=on) for on in (False, True)}
    (state, record), (streamed, again) = (loop.run(t, (0, 1), HP) for t in made.values())
    assert same(state, streamed) and float(state.carry['mean'][0]) == pytest.approx(221 / 20, rel=1e-6)
    assert [e._replace(seconds=0) for e in record.curves] == [e._replace(seconds=0) for e in again.curves]
    pieces, _, stops = in_pieces(made[True], HP, tmp_path)
    assert stops >= 2 and same(state, pieces)


def trained(name, kit, on, augment=None, cuts=1, seeds=(0, 1)):
    stock, numbers = jax.tree.map(np.asarray, data(kit)), {**toys.hp(name, lr=.05, **NUMBERS.get(name, {}))}
    buckets = datasets.buckets(stock, cuts, KITS[kit][0])
    valid = [{**b, 'index': np.arange(24)[i::len(buckets)][:count(b)] + 100 * i} for i, b in enumerate(buckets)]
    settings = Settings(epochs=2, batch=5, block=2, stream=on)
    trainer = Trainer(method(name, kit), buckets, lambda evals, needs: metrics.validator(evals, valid, needs),
                      settings, len(seeds), augment)
    return loop.run(trainer, seeds, numbers)


@pytest.mark.slow
@pytest.mark.parametrize('name, kit, options', [
    ('vae', 'mlp', {}), ('vae', 'mlp', {'augment': binarize('partner')}), ('lagging', 'mlp', {}),
    ('factor_vae', 'mlp', {}), ('wgan_gp', 'mlp', {}), ('vae', 'lstm', {'cuts': 3}), ('aae_semi', 'mlp', {})],
    ids=lambda v: str(v)[:12])
def test_methods_train_alike_on_streamed_data(name, kit, options):
    """Further batches of a step, linked rows, length classes, augmentation: the same curves, bit for bit."""
    (state, record), (streamed, again) = (trained(name, kit, on, **options) for on in (False, True))
    assert same(state, streamed)
    assert [e._replace(seconds=0) for e in record.curves] == [e._replace(seconds=0) for e in again.curves]


def tiny(**given):
    config = tiny_config.get_config().to_dict()
    return table.tables({**config, 'rows': 'vae', 'seeds': 1, **given})[0]


@pytest.mark.parametrize('asked, free, streams', [
    ('auto', 2**40, False), ('auto', 2**16, True), ('auto', None, False), ('on', 2**40, True), ('off', 1, False)])
def test_large_data_stay_on_the_host(asked, free, streams, tmp_path, monkeypatch):
    runner = Runner(tiny(stream=asked), tmp_path, say=lambda line: None)
    runner.dataset(runner.table.rows[0])
    monkeypatch.setattr(machine, 'free_memory', lambda: free)
    trainer = runner.trainer(runner.table.rows[0], 1)
    assert trainer.settings.stream == streams == isinstance(trainer.source, stream.Streamed)
    kinds = {type(x) for x in jax.tree.leaves(trainer.source.buckets)}
    assert all(issubclass(k, np.ndarray) == streams for k in kinds)
