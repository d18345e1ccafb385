"""What every method of the registry promises, on the smallest real kits.

Run as a script with two devices it compares sharded with unsharded training of the entries named.
"""
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, networks
from vaebench.methods import METHODS, embeddings

LATENT, BATCH, SEEDS, STEPS, VOCAB = 2, 8, 2, 30, 9
IMAGE = {'kind': 'image', 'shape': (3, 3, 1), 'classes': toys.CLASSES}
TEXT = {'kind': 'text', 'vocab': tuple('abcdefghi'), 'max_length': 5}
KITS = {'mlp': (IMAGE, {'name': 'mlp', 'latent': LATENT, 'hidden': (6,)}),
        'lstm': (TEXT, {'name': 'lstm', 'latent': LATENT, 'embed': 4, 'hidden': 4, 'family': 'B'})}
SMALL = {'hidden': (6,)}
FEW = {'draws': 3}
OPTIONS = {'lagging': {'max_inner': 4, 'window': 2}, 'ivae': SMALL, 'ivae_mi': SMALL, 'apo_vae': SMALL,
           'apo_vae_vp': {**SMALL, 'pseudo': 3}, 'wae_gan': SMALL, 'sa_vae': {'refine': 2}, 'bow_vae': {'hidden': 6},
           **dict.fromkeys(('flow_prior', 'flow_prior_fb'), {'layers': 2, 'hidden': 6, **FEW}),
           **dict.fromkeys(('mog_vae', 'mog_vae_fb', 'vamp_vae', 'vamp_vae_fb'), {'components': 3, **FEW}),
           **dict.fromkeys(('dg_vae', 'dg_vmf'), {'chunk': 4, **FEW}),
           **dict.fromkeys(('davam', 'davam_q'), {'codes': 6}), 'gmmn_ae': {'hidden': (6,), 'noise': 4},
           **dict.fromkeys(('aae', 'aae_supervised', 'aae_semi'), SMALL),
           **dict.fromkeys(('aae_cluster', 'aae_heads'), {**SMALL, 'clusters': 4})}
LSTM = ['vae', 'lagging', 'ivae', 'vamp_vae', 'sa_vae']      # those to which sentences make a difference
LSTM += [n for n, entry in METHODS.items() if entry.track == ('text',) and n != 'source']
MAPS = {n for n, entry in METHODS.items() if entry.factory is embeddings.embedding}     # their own tests have them
CASES = [(n, 'mlp') for n, entry in METHODS.items() if 'image' in entry.track and n not in MAPS]
CASES += [(n, 'lstm') for n in LSTM]


def firsts(key):
    """The first case of each kit and kind of entry."""
    return list({(key(METHODS[n]), k): (n, k) for n, k in reversed(CASES)}.values())


DISTINCT = firsts(lambda entry: entry.factory)                      # entries that do not only differ in numbers
QUICK = firsts(lambda entry: entry.factory.__module__)              # of every family one; the slow run has the rest


def marked(cases):
    return [pytest.param(*c, marks=[] if c in QUICK else [pytest.mark.slow]) for c in cases]


CASE = pytest.mark.parametrize('name, kit', marked(CASES), ids=lambda v: v)


def data(kit, n=24):
    return toys.labelled(n, 3) if kit == 'mlp' else {k: v for k, v in toys.sentences(n, VOCAB).items() if k != 'log_p'}


@functools.cache
def method(name, kit):
    entry = METHODS[name]
    return entry.factory(networks.build(*KITS[kit]), toys.plan(STEPS), **{**entry.options, **OPTIONS.get(name, {})})


@functools.cache
def start(name, kit, seed=0):
    """First state of a seed; SGD, since Adam turns the rounding of a zero gradient into a full step."""
    return core.init(method(name, kit), jax.random.key(seed), core.take(data(kit), jnp.arange(BATCH)),
                     toys.hp(name, lr=.05))


def rows(phase, n, seed=0):
    """int32 [n, batches, B]: random rows, the last batch half empty."""
    out = np.random.default_rng(seed).integers(0, 24, (n, core.batches_per_step(phase), BATCH))
    out[-1, :, BATCH // 2:] = -1
    return jnp.asarray(out, jnp.int32)


@pytest.mark.parametrize('name', METHODS)
def test_entry_names_its_paper_and_track(name):
    entry = METHODS[name]
    assert len(entry.paper) > 20 and set(entry.track) <= {'text', 'image'} and entry.track
    assert not {'lr', 'lr_scale'} & set(entry.hp)
    assert all(isinstance(v, float) for v in entry.hp.values())
    kit = toys.kit() if 'image' in entry.track else networks.build(*KITS['lstm'])
    made = METHODS[name].factory(kit, toys.plan(), **entry.options)
    assert isinstance(made, core.Method) and set(made.evals) <= set(core.EVALS)
    assert all(p.trains and len(set(p.trains)) == len(p.trains) for phase in made.phases for p in phase.players)


@CASE
def test_training(name, kit):
    """Two seeds under vmap: one trace, finite, each as if alone, and exactly the declared parameters move."""
    m, stock, trained = method(name, kit), data(kit), set()
    states = [start(name, kit, seed) for seed in range(SEEDS)]
    for i, phase in enumerate(m.phases):
        if i:
            states = [core.enter(phase, s, core.take(stock, jnp.arange(BATCH))) for s in states]
        group, alone, traces = jax.tree.map(lambda *x: jnp.stack(x), *states), states[1], []

        plain = core.make_step(phase)

        def counted(state, stock, idx, plain=plain, traces=traces):
            traces.append(1)
            return plain(state, stock, idx)

        step, single = toys.jit(jax.vmap(counted, (0, None, None))), toys.jit(plain)
        idx, before = rows(phase, STEPS // len(m.phases)), group.params
        for n, k in enumerate(idx):
            group, metrics = step(group, stock, k)
            if n < 3 and kit == 'mlp':
                alone, own = single(alone, stock, k)
                toys.close(jax.tree.map(lambda x: x[1], (metrics, group.params)), (own, alone.params),
                           rtol=1e-4, atol=1e-5)
        assert len(traces) == 1
        over = phase.until is not None and int(group.total[0]) >= phase.until
        assert group.status.tolist() == [core.DONE if over else core.RUNNING] * SEEDS
        assert all(np.isfinite(v).all() for v in jax.tree.leaves((group.params, metrics)))
        allowed = {n for p in phase.players for n in p.trains}
        assert toys.moved(before, group.params) == allowed
        trained |= allowed
        states = [jax.tree.map(lambda x, j=j: x[j], group) for j in range(SEEDS)]
    assert trained == set(states[0].params)


def shapes(name, m, state, batch):
    """Every declared eval's output, with the shape it should have."""
    e, p, c, key, n, out = m.evals, state.params, state.carry, jax.random.key(0), len(batch['weight']), {}
    q = e['posterior'](p, c, batch) if 'posterior' in e else None
    z = e['sample_q'](p, c, q, key) if 'sample_q' in e else jax.random.normal(key, (n, LATENT))
    calls = {'posterior': lambda: q, 'sample_q': lambda: e['sample_q'](p, c, q, key),
             'log_q': lambda: e['log_q'](p, c, q, z), 'log_q_dims': lambda: e['log_q_dims'](p, c, q, z),
             'kl': lambda: e['kl'](p, c, q), 'log_prior': lambda: e['log_prior'](p, c, z),
             'log_lik': lambda: e['log_lik'](p, c, z, batch), 'log_length': lambda: e['log_length'](p, c, batch),
             'replica': lambda: e['replica'](p, c, batch, key), 'dual_mi': lambda: e['dual_mi'](p, c, batch, key),
             'score': lambda: e['score'](p, c, batch),
             'encode': lambda: e['encode'](p, c, batch),
             'decode': lambda: e['decode'](p, c, z, key, 'sample'),
             'sample_prior': lambda: e['sample_prior'](p, c, key, 5),
             'sample': lambda: e['sample'](p, c, key, 5, 'sample'),
             **{k: lambda k=k: e[k](p, c, batch) for k in ('reconstruct', 'classify', 'cluster')}}
    want = dict.fromkeys(('log_q', 'kl', 'log_prior', 'log_lik', 'log_length', 'dual_mi', 'score'), (n,))
    want |= {'log_q_dims': (n, LATENT), 'encode': (n, LATENT)}
    assert set(calls) | {'embed'} == set(core.EVALS)
    for k in m.evals:
        out[k] = calls[k]()
        leaves = [x.shape for x in jax.tree.leaves(out[k])]
        assert leaves
        if k in want:
            assert leaves == [want[k]], k
        else:
            assert {s[0] for s in leaves} == {5 if k in ('sample', 'sample_prior') else n}, k
        if k in ('decode', 'sample', 'reconstruct'):
            like = {x: batch[x].shape[1:] for x in ('x', 'tokens') if x in batch}
            assert {x: v.shape[1:] for x, v in out[k].items() if x != 'length'} == like
    return out


@CASE
def test_evals(name, kit):
    """Every declared eval has its declared shape, jits and is finite; examples do not see each other."""
    m, stock, state = method(name, kit), data(kit), start(name, kit)
    alone = [k for k in ('posterior', 'encode', 'score', 'reconstruct', 'classify', 'cluster') if k in m.evals]

    def every(params, carry, batch):
        one = jax.tree.map(lambda x: x[:1], {k: v for k, v in batch.items() if k != 'weight'})
        s = state._replace(params=params, carry=carry)
        return shapes(name, m, s, batch), {k: m.evals[k](params, carry, one) for k in alone}

    out, own = toys.jit(every)(state.params, state.carry, core.take(stock, jnp.arange(6)))
    assert set(out) == set(m.evals) and out
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(out))
    toys.close(jax.tree.map(lambda x: x[:1], {k: out[k] for k in alone}), own, rtol=1e-5, atol=1e-6)
    for k in {'classify', 'cluster'} & set(out):
        np.testing.assert_allclose(np.exp(out[k]).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize('name', [pytest.param(n, marks=[] if (n, kit) in QUICK else [pytest.mark.slow])
                                  for n, kit in CASES if kit == 'mlp'])
def test_empty_slots_do_not_count(name):
    """Whatever lies in a slot of weight 0 changes no loss, gradient, carry or term."""
    m = toys.make(name, **OPTIONS.get(name, {}))
    stock = toys.all_of(toys.labelled(BATCH))
    weight = (jnp.arange(BATCH) < 5).astype(jnp.float32)
    params, carry = m.init(jax.random.key(0), stock)
    numbers = toys.hp(name, **{'target': .1} if 'target' in METHODS[name].hp else {})

    def every(batch):
        return [jax.value_and_grad(p.loss, has_aux=True)(params, carry, batch, toys.ctx(numbers, total=1000))
                for phase in m.phases for p in phase.players]

    f = toys.jit(every)
    hidden = {**stock, 'x': stock['x'].at[5:].set(.37), 'label': stock['label'].at[5:].set(0)}
    hidden['partner'] = {k: v.at[5:].set(0) for k, v in stock['partner'].items()}
    full, other = (f({**batch, 'weight': weight}) for batch in (stock, hidden))
    toys.close(full, other, rtol=1e-5, atol=1e-6)
    assert not any(np.isnan(x).any() for x in jax.tree.leaves(f({**stock, 'weight': 0 * weight})))


@pytest.mark.slow
@pytest.mark.parametrize('name, kit', DISTINCT, ids=lambda v: v)
def test_block_is_the_loop(name, kit):
    m, stock = method(name, kit), data(kit)
    for phase in m.phases:
        state = core.enter(phase, start(name, kit, 0), core.take(stock, jnp.arange(BATCH)))
        idx, step = rows(phase, 5), toys.jit(core.make_step(phase))
        block, seen = toys.jit(core.make_block(phase))(state, stock, idx, jnp.int32(4))
        for i in range(4):
            state, metrics = step(state, stock, idx[i])
            toys.close(jax.tree.map(lambda x, i=i: x[i], seen), metrics, rtol=1e-5, atol=1e-6)
        toys.close(block.params, state.params, rtol=1e-5, atol=1e-6)
        assert int(block.total) == 4


def shard(name, kit):
    """Training on two devices is training on one."""
    m, stock = method(name, kit), data(kit)
    mesh = jax.make_mesh((2,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, 'batch'))
    same = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    for phase in m.phases:
        state = core.enter(phase, start(name, kit, 0), core.take(stock, jnp.arange(BATCH)))
        many, step = jax.device_put(state, same), toys.jit(core.make_step(phase))
        for k in rows(phase, 3):
            state, a = step(state, stock, k)
            many, b = step(many, jax.device_put(stock, same), jax.device_put(k, split))
            assert len(many.status.sharding.device_set) == 2
            toys.close(a, b, rtol=1e-4, atol=1e-5)
        toys.close(state.params, many.params, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('part', range(8))
def test_sharded_is_unsharded(part):
    """The devices are forced before JAX starts, hence another process."""
    cases = [f'{name}:{kit}' for name, kit in DISTINCT[part::8]]
    env = {**os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=2', 'JAX_PLATFORMS': 'cpu'}
    done = subprocess.run([sys.executable, __file__, *cases], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == cases


if __name__ == '__main__':
    assert jax.device_count() == 2
    for case in sys.argv[1:]:
        shard(*case.split(':'))
        print(case, flush=True)
