"""Groups that fit: batches in parts, networks computed anew, products of fewer bits, narrower groups."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_config
import toys
from test_contract import data, method, start

from vaebench import core, networks, schema
from vaebench.core import micro, take
from vaebench.engine import fitting
from vaebench.errors import UserError
from vaebench.experiment import machine, results, table, training
from vaebench.experiment.runner import Runner
from vaebench.networks.adjusted import rematerialized, to_fit
from vaebench.ops import precision, softmax


def tiny(rows='vae', seeds=2, **given):
    config = tiny_config.get_config().to_dict()
    return table.tables({**config, 'rows': rows, 'seeds': seeds, **given})[0]


def loss(w, batch, part):
    """A mean over filled slots, a running mean, a counter and a term."""
    value = core.mean((w * batch['x'] - 1.)**2, batch)
    carry = {'mean': .9 * 2. + .1 * core.mean(batch['x'], batch), 'n': jnp.int32(4), 'still': jnp.float32(.3)}
    return value, (carry, {'x': core.mean(batch['x'], batch)})


@pytest.mark.parametrize('filled', [8, 5, 1, 0])
def test_parts_of_a_batch_are_the_batch(filled):
    batch = take({'x': jnp.arange(8.)**2}, jnp.where(jnp.arange(8) < filled, jnp.arange(8), -1))
    carry, w = {'mean': jnp.float32(2.), 'n': jnp.int32(3), 'still': jnp.float32(.3)}, jnp.float32(.7)
    whole, parts = (micro.value_and_grad(loss, w, carry, batch, n) for n in (0, 2))
    toys.close(whole, parts, rtol=1e-5)
    assert parts[0][1][0]['n'] == 4 and parts[0][1][0]['still'] == jnp.float32(.3)     # exact at rest


def test_a_step_in_parts_is_the_step():
    """An autoencoder without noise; the last batch of an epoch is half empty."""
    m, stock, state = method('dae', 'mlp'), data('mlp'), start('dae', 'mlp')
    idx = jnp.arange(8).at[6:].set(-1)[None]
    whole, parts = (toys.jit(core.make_step(m.phases[0], micro=n))(state, stock, idx) for n in (0, 4))
    toys.close(whole[1], parts[1], rtol=1e-5, atol=1e-6)
    toys.close(whole[0].params, parts[0].params, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('row, given, message', [
    ('vae', {'micro': 12}, 'micro=12 does not divide batch=32: give a divisor of it, or 0'),
    ('wae_mmd', {'micro': 8}, "micro=8: the loss 'vae' of phase 'main' sees all 32 examples of a batch at once"),
    ('vae', {'micro': -1}, 'micro=-1'), ('vae', {'remat': 'yes'}, "remat='yes' in the config: give off or on"),
    ('vae', {'precision': 'f16'}, "precision='f16' in the config: give f32, tf32 or bf16"),
    ('vae', {'stream': 'maybe'}, "stream='maybe' in the config: give auto, on or off"),
    ('vae', {'memory_gb': -1.}, 'memory_gb=-1.0 in the config: give 0 or more')])
def test_what_cannot_be_is_refused_in_a_line(row, given, message, tmp_path):
    config = tiny_config.get_config().to_dict()
    config['table']['vae'] |= {'method': row, 'hp': {}}
    with pytest.raises(UserError) as e:
        runner = Runner(table.tables({**config, 'rows': 'vae', 'seeds': 1, **given})[0], tmp_path)
        runner.trainer(runner.table.rows[0], 1)
    assert message in str(e.value) and '\n' not in str(e.value)


def test_keys_that_came_later_leave_hashes_as_they_were():
    plain, same = tiny().rows[0], tiny(micro=0, precision='f32', memory_gb=3., stream='on', remat='on').rows[0]
    assert (plain.train_hash, plain.config_hash) == (same.train_hash, same.config_hash)
    for given in ({'micro': 8}, {'precision': 'bf16'}):
        assert tiny(**given).rows[0].train_hash != plain.train_hash


def gradients(config, kit=None):
    """Loss and gradient of a small VAE, as the table's programs compute them."""
    plain = networks.build({'x': schema.image((4, 4, 1))}, {'name': 'mlp', 'latent': 2, 'hidden': (6,)})
    kit = to_fit(plain, config)
    m = toys.make('vae', kit)
    stock = {'x': jnp.asarray(np.random.default_rng(0).random((8, 4, 4, 1)), jnp.float32)}
    batch = take(stock, jnp.arange(8))
    state = core.init(m, jax.random.key(0), batch, toys.hp('vae'))

    def f(params):
        return m.phases[0].players[0].loss(params, state.carry, batch, toys.ctx(state.hp))[0]

    program = precision.lowered(jax.value_and_grad(f), config.get('precision', 'f32'))
    return jax.jit(program)(state.params)


def test_networks_that_are_computed_anew_give_the_same_numbers():
    toys.close(gradients({}), gradients({'remat': 'on'}), rtol=1e-6, atol=1e-7)


def test_a_gradient_that_computes_networks_anew_keeps_less():
    def kept(f):
        w, x = jnp.ones((8, 8)), jnp.ones((8, 8))
        saved = jax.eval_shape(lambda w: jax.vjp(lambda w: f(w, x).sum(), w)[1], w)
        return sum(leaf.size for leaf in jax.tree.leaves(saved))

    def net(w, x, flag='a string stays as it is'):
        for _ in range(5):
            x = jnp.tanh(x @ w)
        return x

    assert kept(rematerialized(net)) <= 2 * 64 < 5 * 64 <= kept(net)


def rounded(x, bits):
    return jax.lax.reduce_precision(x, 8, bits)


@pytest.mark.parametrize('name, bits', [('tf32', 10), ('bf16', 7)])
def test_marked_products_round_their_operands_and_nothing_else(name, bits):
    """In a loop, a branch, a convolution and the gradient; sums of more digits than the operands."""
    key = jax.random.key(0)
    x, w = jax.random.normal(key, (3, 16)), jax.random.normal(jax.random.key(1), (16, 16))

    def looped(x, w):
        y = jax.lax.scan(lambda c, _: (c @ w, None), x, None, length=2)[0]
        return jax.lax.cond(y.sum() < 1e9, lambda y: y @ w, lambda y: y, y)

    want = x
    for _ in range(3):
        want = rounded(want, bits) @ rounded(w, bits)
    got = jax.jit(precision.lowered(precision.network(looped), name))(x, w)
    np.testing.assert_allclose(got, want, rtol=3e-6, atol=1e-5)
    assert not np.allclose(got, looped(x, w), rtol=3e-6, atol=1e-5)
    np.testing.assert_array_equal(precision.lowered(looped, name)(x, w), looped(x, w))      # not marked

    def both(w):
        return precision.network(jnp.dot)(x, w).sum() + (x @ x.T).sum()

    slope = precision.lowered(jax.grad(both), name)(w)
    np.testing.assert_allclose(slope, rounded(x, bits).T @ jnp.ones((3, 16)), rtol=1e-6)
    moved = jax.lax.conv_general_dilated(rounded(x, bits)[:, None], rounded(w, bits)[:1, None, :3], (1,), 'SAME')
    conv = precision.network(lambda x, w: jax.lax.conv_general_dilated(x[:, None], w[:1, None, :3], (1,), 'SAME'))
    np.testing.assert_allclose(precision.lowered(conv, name)(x, w), moved, rtol=1e-6, atol=1e-6)


def test_a_lower_precision_reaches_a_methods_networks():
    exact, coarse = gradients({}), gradients({'precision': 'bf16'})
    gap = abs(float(exact[0] - coarse[0])) / abs(float(exact[0]))
    assert 1e-7 < gap < 1e-2
    toys.close(exact, coarse, rtol=.1, atol=.03)


@pytest.mark.parametrize('bias', [False, True])
def test_a_softmax_of_many_words_has_the_same_gradient_in_parts(bias, monkeypatch):
    key = jax.random.key(0)
    h, w, b = (jax.random.normal(jax.random.fold_in(key, i), s) for i, s in enumerate(((3, 9, 4), (4, 11), (11,))))
    targets, given = jnp.arange(27).reshape(3, 9) % 11, b if bias else None

    def f(h, w, b):
        return (jnp.cos(jnp.arange(27.)).reshape(3, 9) * softmax.nll(h, w, targets, b)).sum()

    grad = jax.value_and_grad(f, (0, 1, 2) if bias else (0, 1))
    whole = grad(h, w, given)
    monkeypatch.setattr(softmax, 'BLOCK', 2 * 11)
    monkeypatch.setattr(softmax, 'KEPT', 8 * 2 * 11)             # two rows at a time, the last alone
    assert 'f32[3,9,11]' in str(jax.make_jaxpr(lambda h: h @ w)(h))
    assert 'f32[3,9,11]' not in str(jax.make_jaxpr(grad)(h, w, given))
    toys.close(whole, grad(h, w, given), rtol=1e-5, atol=1e-6)


def test_a_group_that_needs_too_much_is_split_and_says_so(tmp_path, monkeypatch):
    said = []
    runner = Runner(tiny(seeds=5, memory_gb=1.), tmp_path, say=said.append)
    row = runner.table.rows[0]
    monkeypatch.setattr(fitting, 'need', lambda trainer, hp: int(.4 * trainer.width * machine.GIB))
    groups = runner.fitting_groups(row, row.seeds)
    assert groups == [(0, 1), (2, 3), (4,)] == runner.fitting_groups(row, row.seeds)
    assert said == ['vae: 5 seeds at once need 2.00 GiB, and memory_gb=1: 2 at once train']
    runner._widths.clear()
    monkeypatch.setattr(fitting, 'need', lambda trainer, hp: 2 * machine.GIB)
    with pytest.raises(UserError, match='one seed alone needs 2.00 GiB, and memory_gb=1: raise it'):
        runner.fitting_groups(row, row.seeds)
    assert tiny(seeds=5).rows[0].config['memory_gb'] == 0


@pytest.mark.slow
def test_what_a_group_needs_grows_with_its_width_and_its_data(tmp_path):
    runner = Runner(tiny(seeds=4, seeds_by='vmap'), tmp_path)
    row = runner.table.rows[0]
    one, four = (fitting.need(runner.trainer(row, w), runner.numbers(row)) for w in (1, 4))
    assert one < four < 4 * one and one > 200 * 64 * 4         # the data count once


@pytest.mark.slow
def test_fewer_bits_change_no_metric_by_more_than_its_seeds_do(tmp_path):
    """Eight seeds of a small VAE: the means differ by less than half the width of their 95 % interval."""
    found = {}
    for name in ('f32', 'bf16'):
        runner = Runner(tiny(seeds=8, precision=name, epochs=8), tmp_path / name)
        assert not any(runner.run().values())
        cells = [results.read(path).metrics for path in (tmp_path / name / 'results').glob('*.json')]
        found[name] = {m: np.array([cell[m].value for cell in cells], float) for m in cells[0]}
    assert len(found['f32']) >= 5
    for metric, exact in found['f32'].items():
        half = 2.365 * exact.std(ddof=1) / np.sqrt(len(exact))
        assert abs(found['bf16'][metric].mean() - exact.mean()) <= max(half, 1e-6), metric


def test_micro_and_precision_reach_the_trainer(tmp_path):
    runner = Runner(tiny(micro=8, precision='bf16', stream='on'), tmp_path)
    settings = runner.trainer(runner.table.rows[0], 1).settings
    assert (settings.micro, settings.precision, settings.stream) == (8, 'bf16', True)
    assert training.programs_key(tiny().rows[0].config) != training.programs_key(tiny(remat='on').rows[0].config)
