"""The engine on one number: protocol, order of data, blocks, folds, stages, checkpoints."""
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench import core, files
from vaebench.engine import checkpoint, loop, order, plateau
from vaebench.engine.optimizers import optimizer
from vaebench.engine.trainer import Settings, Trainer
from vaebench.errors import UserError


def slow_plateau(losses, patience, first_epoch, factor, decays):
    """He's protocol as a loop over numbers; the parameter is the epoch it was at."""
    best, running, count, n, lr, kept, now, out = np.inf, np.inf, 0, 0, 1., None, None, []
    for epoch, loss in enumerate(losses):
        now = epoch
        if loss < best:
            best, kept = loss, epoch
        if loss > running:
            count += 1
            if count >= patience and epoch >= first_epoch:
                running, count, n, lr, now = loss, 0, n + 1, lr * factor, kept
        else:
            count, running = 0, loss
        out.append((lr, now, n >= decays))
        if n >= decays:
            break
    return out


def run_plateau(losses, **options):
    feedback = jax.jit(plateau.plateau(**options))
    hp = {'lr_scale': jnp.float32(1)}
    zero = jnp.int32(0)
    state = core.State({'w': jnp.float32(0)}, (), {}, hp, (), zero, zero, jax.random.key(0),
                       zero)
    state, out = plateau.start(state), []
    for epoch, loss in enumerate(losses):
        state = feedback(state._replace(params={'w': jnp.float32(epoch)}), jnp.float32(loss))
        out.append((float(state.hp['lr_scale']), int(state.params['w']),
                    int(state.status) == core.DONE))
        if out[-1][2]:
            break
    return out, state


def test_plateau_follows_the_protocol():
    rng = np.random.default_rng(0)
    for _ in range(5):
        losses = (10 - np.log1p(np.arange(40)) + rng.normal(0, .5, 40)).astype(np.float32)
        options = dict(patience=2, first_epoch=6, factor=.5, decays=3)
        assert run_plateau(losses, **options)[0] == slow_plateau(losses, **options)


def test_without_patience_only_the_best_is_remembered():
    out, state = run_plateau([3., 1., 2., 5., 4., 6.], patience=0, first_epoch=0)
    assert all(lr == 1 and not done for lr, _, done in out) and int(state.params['w']) == 5
    assert int(plateau.take_best(state).params['w']) == 1


def test_a_non_finite_gradient_of_a_finite_loss_stops_the_run():
    def loss(params, carry, batch, ctx):
        # value 0, gradient inf
        return jnp.where(params['w'] == 0, jnp.sqrt(params['w']), 0.), (carry, {})

    tx = optimizer({'name': 'sgd', 'clip': 0.})
    method = core.Method(lambda key, data: ({'w': jnp.float32(0)}, {}),
                         (core.Phase('main', (core.Player('p', loss, ('w',), tx),), 3),), {})
    data = {'x': jnp.zeros(4)}
    state = plateau.start(core.init(method, jax.random.key(0), core.take(data, jnp.arange(4)),
                                     {'lr': jnp.float32(1.), 'lr_scale': jnp.float32(1.)}))
    state, metrics = core.make_step(method.phases[0])(state, data, jnp.arange(4)[None])
    assert np.isfinite(metrics['p/loss']) and not np.isfinite(state.params['w'])
    healed = plateau.restore_if_nonfinite(state)
    assert int(healed.status) == core.FAILED and float(healed.params['w']) == 0
    fine = plateau.restore_if_nonfinite(state._replace(params={'w': jnp.float32(3)}))
    assert int(fine.status) == core.RUNNING and float(fine.params['w']) == 3


def test_every_row_once_an_epoch_and_seeds_differ_in_content_only():
    a, b = (order.indices(10, 4, 3, (seed, 0, 0, 0)) for seed in (0, 1))
    for idx in (a, b):
        assert idx.shape == (3, 3, 4) and sorted(idx[:, 0].ravel()) == [-1, -1, *range(10)]
        assert idx[:, 1:].min() >= 0 and idx[:, 1:].max() < 10
    assert (a != b).any() and (a == order.indices(10, 4, 3, (0, 0, 0, 0))).all()


def test_another_batch_stands_beside_those_that_a_player_reads():
    """It comes after them, is the same in all updates of the step, and only who asks gets it."""
    def player(name, **options):
        def loss(params, carry, batch, ctx):
            seen = jnp.stack([batch['x'][0], batch.get('other', {'x': jnp.full(1, -1.)})['x'][0]])
            return params[name] * 0., ({**carry, name: carry[name].at[ctx.inner].set(seen)}, {})
        return core.Player(name, loss, (name,), optimizer({'name': 'sgd', 'clip': 0.}), **options)

    players = (player('plain'), player('one', other_batch=True),
               player('fresh', updates=2, fresh_batches=True, other_batch=True))
    phase = core.Phase('main', players, 3)
    start = {p.name: jnp.zeros((2, 2)) for p in players}
    method = core.Method(lambda key, data: ({p.name: jnp.zeros(()) for p in players}, start), (phase,), {})
    data, hp = {'x': jnp.arange(9.)}, {'lr': jnp.float32(1.), 'lr_scale': jnp.float32(1.)}
    state = plateau.start(core.init(method, jax.random.key(0), core.take(data, jnp.arange(4)), hp))
    assert core.batches_per_step(phase) == 3
    assert core.batches_per_step(core.Phase('two', players[:2], 3)) == 2
    carry = core.make_step(phase)(state, data, jnp.array([[5, 0], [6, 0], [7, 0]]))[0].carry
    assert carry['plain'][0].tolist() == [5, -1] and carry['one'][0].tolist() == [5, 6]
    assert carry['fresh'].tolist() == [[5, 7], [6, 7]]


def test_every_step_draws_its_bucket_independently_of_its_neighbors():
    sizes, batch, block = [4000, 3000, 990], 10, 10
    blocks = order.epoch_blocks(sizes, batch, block, (0, 0, 3))
    assert sorted(map(len, (b.turns for b in blocks)))[0] == 9      # 799 steps
    steps = [(b, t) for one in blocks for b, t in zip(*one, strict=True)]
    assert len(steps) == order.epoch_steps(sizes, batch) == 799
    assert sorted(steps) == [(b, t) for b, n in enumerate(sizes) for t in range(n // batch)]
    of = np.array([b for b, _ in steps])
    share = np.bincount(of) / len(of)
    alike = (of[1:] == of[:-1]).mean()
    assert abs(alike - (share**2).sum()) < 3 * .5 / np.sqrt(len(of))        # not 9 in 10
    again, other = (order.epoch_blocks(sizes, batch, block, (0, 0, epoch)) for epoch in (3, 4))
    assert all((a.buckets == b.buckets).all() for a, b in zip(blocks, again, strict=True))
    assert [b.buckets.tolist() for b in other] != [b.buckets.tolist() for b in blocks]


def test_one_bucket_keeps_the_blocks_that_it_always_had():
    rng = np.random.default_rng([order.SALT, 5, 1, 2])
    old = [(at, min(4, 11 - at)) for at in range(0, 11, 4)]
    old = [old[i] for i in rng.permutation(len(old))]
    blocks = order.epoch_blocks([22], 2, 4, (5, 1, 2))
    assert [(b.turns[0], len(b.turns)) for b in blocks] == old
    assert all((np.diff(b.turns) == 1).all() and not b.buckets.any() for b in blocks)


class Validation(NamedTuple):
    """A loss for `number`, as a `metrics.Validator` is one: the first epoch is the best."""
    function = staticmethod(lambda params, carry, x: {'elbo': -params['w'] * x})
    inputs = staticmethod(lambda size, key: (jnp.ones(size),))


def number(*phases, rows=(8,), group=1, aux=lambda w: {}, **settings):
    """A `Trainer` of phases that all move one number down the mean of the data."""
    def loss(params, carry, batch, ctx):
        return params['w'] * core.mean(batch['x'], batch), (carry, aux(params['w']))

    tx = optimizer({'name': 'sgd', 'clip': 0.})
    phases = tuple(p._replace(players=(core.Player('p', loss, ('w',), tx),)) for p in phases)
    zero = jnp.float32(0)
    method = core.Method(lambda key, data: ({'w': zero}, {'mean': zero, 'w': zero}), phases, {})
    buckets = [{'x': jnp.arange(n, dtype=jnp.float32) + 10 * i} for i, n in enumerate(rows)]
    settings = Settings(**{'epochs': 2, 'batch': 4, 'block': 2, **settings})
    return Trainer(method, buckets, lambda evals, needs: Validation(), settings, group)


HP = {'lr': .1, 'lr_scale': 1.}


def in_pieces(trainer, hp, folder, blocks=3, **options):
    """Trains seeds 0 and 1, stopped after every few blocks: (state, record, stops)."""
    for stops in range(50):
        budget = iter(range(blocks))
        given = loop.Options(folder=folder, save_every=1e9, **options,
                             stop=lambda budget=budget: next(budget, None) is None)
        try:
            return *loop.run(trainer, (0, 1), hp, given), stops
        except loop.OutOfTime:
            continue
    raise AssertionError('it never ends')


def same(a, b):
    """Whether two trees are equal bit for bit."""
    def data(x):
        key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if key else x

    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(data(x), data(y)) for x, y in pairs)


@pytest.mark.parametrize('how', ['vmap', 'map'])
def test_a_block_of_several_buckets_is_its_steps_one_by_one(how):
    trainer = number(core.Phase('main', (), 9), rows=(9, 6), group=2, block=5, seeds_by=how)
    state, buckets = trainer.init((0, 1), HP), np.array([1, 0, 0, 1])
    rows = np.random.default_rng(0).integers(-1, 6, (2, 4, 1, 4), dtype=np.int32)
    program = jax.make_jaxpr(trainer._block(0))(
        state, trainer.source.buckets, np.zeros((2, 5, 1, 4), int), 4, np.zeros(5, int))
    assert str(program).count('cond[') == 1          # one branch runs, not both and a choice
    state, metrics = trainer.block(0, state, trainer.feed(buckets, rows))
    for g in range(2):
        w = [0.]
        for bucket, (row,) in zip(buckets, rows[g], strict=True):
            x = 10 * bucket + row[row >= 0]
            w.append(w[-1] - .1 * x.mean())
        assert float(state.params['w'][g]) == pytest.approx(w[-1], rel=1e-5)
        assert metrics['p/updates'][g].tolist() == [1] * 4 and int(state.total[g]) == 4


def test_a_term_that_is_not_finite_fails_no_run_and_is_a_gap_in_the_curve():
    aux = lambda w: {'never': jnp.log(w), 'once': jnp.where(w == 0, 3., jnp.nan)}
    state, record = loop.run(number(core.Phase('main', (), 4), aux=aux), (0,), HP)
    assert int(state.total[0]) == 4 and record.reasons == [None]
    first, second = (e.train for e in record.curves)
    assert first['p/never'] == second['p/never'] == second['p/once'] == [None]
    assert first['p/once'] == [3.] and None not in second['p/loss']


def test_a_loss_that_is_not_finite_names_the_terms_of_its_own_step():
    bad = {'p/loss': np.array([1., 1., np.nan]), 'p/shown': np.array([np.inf, 1., 1.]),
           'p/rec': np.array([1., 1., np.inf])}
    assert loop._nonfinite(bad) == 'p/rec'
    assert loop._nonfinite({**bad, 'p/loss': np.ones(3)}) is None


def test_the_rate_falls_along_a_cosine_within_every_cycle():
    """Fu et al.'s script: half a cosine of the epochs since the restart."""
    tx = optimizer({'name': 'sgd', 'clip': 0., 'cycle': 10}, epoch=3)({'lr': 2., 'lr_scale': .5})
    opt, rates = tx.init(jnp.float32(0)), []
    for _ in range(66):
        step, opt = tx.update(jnp.float32(1), opt)
        rates.append(-float(step))
    want = [.5 * (1 + np.cos(np.pi * (t // 3 % 10) / 10)) for t in range(66)]
    np.testing.assert_allclose(rates, want, rtol=1e-5)
    assert rates[0] == rates[30] == rates[60] == 1


def test_weight_decay_is_added_to_the_clipped_gradient():
    config = {'name': 'sgd', 'clip': 1., 'weight_decay': .1}
    tx = optimizer(config)({'lr': 1., 'lr_scale': 1.})
    w, grad = jnp.float32(20), jnp.float32(5)
    assert float(tx.update(grad, tx.init(w), w)[0]) == pytest.approx(-(1 + .1 * 20))


def test_seeds_of_a_group_may_have_numbers_of_their_own():
    trainer = number(core.Phase('main', (), 5), group=3)       # ends amid an epoch
    hp = {'lr': np.array([.1, .2, .1]), 'lr_scale': 1.}
    _, record = loop.run(trainer, (0, 0, 1), hp)
    w = np.array(record.curves[-1].valid['elbo'])
    np.testing.assert_allclose(w[1], 2 * w[0], rtol=1e-6)     # same data, twice the rate
    assert w[2] != w[0]


def test_every_phase_says_which_parameters_it_kept():
    chosen, last = core.Phase('chosen', (), 4), core.Phase('last', (), 2, select='')
    state, record = loop.run(number(chosen, last, group=2), (0, 1), HP)
    assert record.kept == [('chosen', ['best'] * 2, 'elbo'), ('last', ['last'] * 2, '')]
    assert record.parameters(1) == [{'phase': 'chosen', 'kept': 'best', 'by': 'elbo'},
                                    {'phase': 'last', 'kept': 'last', 'by': ''}]
    later = core.Phase('later', (), 9, continues=True)
    best = state.protocol._replace(best=jnp.array([1., jnp.inf]))     # seed 1 saw no number
    state = state._replace(protocol=best)
    still = state._replace(step=jnp.zeros(2))
    assert number(chosen).kept(0, state) == ['best', 'last']
    assert number(chosen).kept(0, still) == ['best', 'none']
    assert number(chosen, keep='last').kept(0, state) == ['last'] * 2
    assert number(chosen, later).kept(0, state) == ['last'] * 2  # `later` ends with the best


@pytest.mark.parametrize('how', ['vmap', 'map'])
def test_a_fold_sums_up_the_data_with_the_parameters_that_are_kept(how, tmp_path):
    def update(s, params, carry, batch):
        return s[0] + (batch['weight'] * batch['x']).sum(), s[1] + batch['weight'].sum()

    fold = core.Fold(lambda: (0., 0.), update,
                     lambda s, params, carry: {'mean': s[0] / s[1], 'w': params['w']})
    main = core.Phase('main', (), 14, summary=fold)
    trainer = number(main, core.Phase('next', (), 2), rows=(9, 6, 5), group=2, seeds_by=how)
    state, record = loop.run(trainer, (0, 1), HP)
    x = np.concatenate([b['x'] for b in trainer.source.buckets])
    np.testing.assert_allclose(state.carry['mean'], [x.mean()] * 2, rtol=1e-6)
    kept = [e.valid['elbo'] for e in record.curves if e.phase == 'main']
    assert len(kept) == 2 and (np.array(kept[0]) < kept[1]).all()
    np.testing.assert_allclose(-state.carry['w'], kept[0], rtol=1e-6)      # not of the last
    again, _, stops = in_pieces(trainer, HP, tmp_path)
    assert stops >= 2 and same(again, state)


def test_a_shared_stage_is_trained_once_and_changes_no_number(tmp_path, monkeypatch):
    first = core.Phase('first', (), 6, shared={'stage': 'a'})
    one, two = (number(first, core.Phase('rest', (), n), group=2) for n in (2, 4))
    alone = {t: loop.run(t, (0, 1), HP) for t in (one, two)}
    blocks = []
    for t in (one, two):
        block = t.block
        monkeypatch.setattr(t, 'block', lambda number, *args, block=block: (
            blocks.append(number), block(number, *args))[1])
    stage = loop.Stage(1, tmp_path / 'a')
    with files.lock(tmp_path / 'a.lock'):              # another process is at it: no waiting
        state, _ = loop.run(one, (0, 1), HP, loop.Options(stage=stage))
    assert same(state, alone[one][0]) and blocks == [0] * 3 + [1]
    assert not (tmp_path / 'a').exists()
    state, _, stops = in_pieces(one, HP, tmp_path / 'c', stage=stage)
    assert stops and same(state, alone[one][0]) and blocks == 2 * ([0] * 3 + [1])
    blocks.clear()
    state, record, stops = in_pieces(two, HP, tmp_path / 'd', blocks=1, stage=stage)
    assert stops and same(state, alone[two][0]) and blocks == [1] * 2
    for a, b in zip(record.curves, alone[two][1].curves, strict=True):
        assert a._replace(seconds=0) == b._replace(seconds=0)
    assert record.kept == alone[two][1].kept
    for path in (tmp_path / 'a').rglob('*'):
        if path.is_file():
            path.write_bytes(b'')                      # damaged: trained again, without a word
    state, _ = loop.run(two, (0, 1), HP, loop.Options(stage=stage))
    assert same(state, alone[two][0]) and blocks == [1] * 2 + [0] * 3 + [1] * 2


def test_checkpoint_falls_back_to_the_one_before_and_else_says_what_to_do(tmp_path):
    for n in (1, 2):
        checkpoint.save(tmp_path / 'c', {'a': jnp.full(3, float(n))}, {'n': n})
    like = lambda host: {'a': jax.ShapeDtypeStruct((3,), jnp.float32)}
    for path in (tmp_path / 'c' / '2').rglob('*'):
        if path.is_file():
            path.write_bytes(b'\0' * 7)
    tree, host = checkpoint.restore(tmp_path / 'c', like)
    assert host['n'] == 1 and tree['a'].tolist() == [1., 1., 1.]
    for path in (tmp_path / 'c').rglob('*'):
        if path.is_file():
            path.write_bytes(b'\0' * 7)
    with pytest.raises(UserError, match='delete that folder'):
        checkpoint.restore(tmp_path / 'c', like)
    assert checkpoint.restore(tmp_path / 'none', like) is None


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise ValueError('RESOURCE_EXHAUSTED: Error writing: No space left on device\nmore')

    import orbax.checkpoint as ocp
    monkeypatch.setattr(ocp.Checkpointer, 'save', full)
    with pytest.raises(UserError, match='No space left on device; free some space'):
        checkpoint.save(tmp_path / 'c', {'a': jnp.zeros(3)}, {})
