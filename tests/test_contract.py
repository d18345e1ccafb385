"""What every method of the registry promises, on the smallest real kits.

Run as a script with two devices it compares sharded with unsharded training of the entries
named.
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

from vaebench import core, networks, schema
from vaebench.methods import METHODS, manifold_learning

LATENT, BATCH, SEEDS, STEPS, VOCAB = 2, 8, 2, 30, 9
FACTORS = schema.Field('factors', (2,))
IMAGE = {'x': schema.image((3, 3, 1)), 'label': schema.label(toys.CLASSES), 'factors': FACTORS}
WORDS = tuple('abcdefghi')
TEXT = {**schema.text(WORDS, 5), 'log_p': schema.Field('real'), 'label': schema.label(toys.STYLES),
        'factors': FACTORS, 'target': schema.Field('rows'),
        'reference': {'tokens': schema.Field('tokens', (2, None), VOCAB, WORDS),
                      'length': schema.Field('length', (2,), 6)},
        'context': {'tokens': schema.Field('tokens', (toys.TURNS, None), VOCAB, WORDS),
                    'length': schema.Field('length', (toys.TURNS,), 6),
                    'speaker': schema.Field('class', (toys.TURNS,), 2),
                    'turns': schema.Field('length', (), toys.TURNS)},
        'topic': schema.label(toys.TOPICS)}
KITS = {
    'se3': (toys.PARTICLES, {'name': 'se3', 'layers': 1, 'channels': 2, 'hidden': 3}),
    'mlp': (IMAGE, {'name': 'mlp', 'latent': LATENT, 'hidden': (6,)}),
    'lstm': (TEXT, {'name': 'lstm', 'latent': LATENT, 'embed': 4, 'hidden': 4, 'family': 'B'})
}
EVERY = {'p4': (IMAGE, {'name': 'p4', 'latent': LATENT, 'channels': (4,), 'pools': (), 'up': (4,)}), **KITS}
SMALL = {'hidden': (6,)}
FEW = {'draws': 3}
OPTIONS = {
    'lagging': {'max_inner': 4, 'window': 2}, 'ivae': SMALL, 'ivae_mi': SMALL,
    'apo_vae': SMALL, 'apo_vae_vp': {**SMALL, 'pseudo': 3}, 'wae_gan': SMALL, 'sa_vae': {
        'refine': 2
    }, 'bow_vae': {'hidden': 6},
    'iwae': FEW,
    **dict.fromkeys(('flow_prior', 'flow_prior_fb'), {'layers': 2, 'hidden': 6, **FEW}),
    **dict.fromkeys(('mog_vae', 'mog_vae_fb', 'vamp_vae', 'vamp_vae_fb'), {
                        'components': 3, **FEW
                    }), **dict.fromkeys(('dg_vae', 'dg_vmf'), {'chunk': 4, **FEW}),
    **dict.fromkeys(('davam', 'davam_q'), {'codes': 6}), 'gmmn_ae': {
        'hidden': (6,), 'noise': 4
    }, **dict.fromkeys(('aae', 'aae_supervised', 'aae_semi'), SMALL),
    **dict.fromkeys(('aae_cluster', 'aae_heads'), {**SMALL, 'clusters': 4}), 'factor_vae': SMALL,
    **dict.fromkeys([n for n in METHODS if n.startswith('john_')] + ['style_embedding'], {'style': 1}),
    **dict.fromkeys(('cvae_bow', 'bn_cvae_learned', 'cvae_fb'), {'hidden': 6}),
    'arae_multi_decoder': {'width': 3, 'hidden': (6,), 'n_critic': 2},
    'cae': {'style': 1, 'widths': (1, 2), 'channels': 3},
    **dict.fromkeys([n for n in METHODS if n.startswith('bst_lite')], {'embed': 4, 'window': 2, 'channels': 3})
}
NUMBERS = {'cvae_fb': {'target': 1e-3}}        # below the first rates: a prior learns of no other
# those to which sentences make a difference
LSTM = ['vae', 'lagging', 'ivae', 'vamp_vae', 'sa_vae',
        'seq2seq', 'cvae', 'bn_cvae', 'bn_cvae_learned', 'cvae_fb']       # told a conversation
LSTM += [
    n for n, entry in METHODS.items()
    if not set(entry.needs) <= set(networks.KITS['mlp'].offers)
    and set(entry.needs) <= set(networks.KITS['lstm'].offers)
]
# their own tests have them
MAPS = {n for n, entry in METHODS.items() if entry.factory is manifold_learning.embedding}
CASES = [
    (n, 'mlp') for n, entry in METHODS.items()
    if set(entry.needs) <= set(networks.KITS['mlp'].offers) and n not in MAPS and n != 'source'
]
CASES += [(n, 'lstm') for n in LSTM]
CASES += [(n, 'se3') for n, entry in METHODS.items() if 'predictor' in entry.needs]
CASES += [(n, 'p4') for n in METHODS if n not in {name for name, _ in CASES} | MAPS | {'source'}]


def firsts(key):
    """The first case of each key(entry, kit)."""
    return list({key(METHODS[n], k): (n, k) for n, k in reversed(CASES)}.values())


# entries that do not only differ in numbers
DISTINCT = firsts(lambda entry, kit: (entry.factory, kit))
# both kits, phases, feedback, two players, labels; the slow run has the rest
QUICK = [('vae', 'mlp'), ('vae', 'lstm'), ('pre_ae_fb', 'mlp'), ('lagging', 'mlp'), ('gan', 'mlp'),
         ('wae_gan', 'mlp'), ('classifier', 'mlp'), ('regressor', 'se3')]


def marked(cases):
    return [pytest.param(*c, marks=[] if c in QUICK else [pytest.mark.slow]) for c in cases]


CASE = pytest.mark.parametrize('name, kit', marked(CASES), ids=lambda v: v)


def data(kit, n=24):
    if kit == 'se3':
        return toys.particles(n)
    if kit != 'lstm':
        return toys.labelled(n, 3)
    return {k: v for k, v in (toys.styled(n, VOCAB) | toys.talks(n, VOCAB)).items() if k != 'log_p'}


@functools.cache
def method(name, kit):
    entry = METHODS[name]
    return entry.factory(networks.build(*EVERY[kit]), toys.recipe(STEPS),
                         **{**entry.options, **OPTIONS.get(name, {})})


@functools.cache
def start(name, kit, seed=0):
    """First state of a seed; SGD, since Adam turns the rounding of a zero gradient into a full
    step.
    """
    return core.init(method(name, kit), jax.random.key(seed),
                     core.take(data(kit), jnp.arange(BATCH)), toys.hp(name, lr=.05, **NUMBERS.get(name, {})))


def entered(state, phases, batch):
    """The state at the beginning of every phase, of the first one's."""
    states = [state]
    for phase in phases[1:]:
        states.append(core.enter(phase, states[-1], batch))
    return states


def begun(name, kit):
    """`entered` of a kit's data."""
    batch = core.take(data(kit), jnp.arange(BATCH))
    return entered(start(name, kit), method(name, kit).phases, batch)


def rows(phase, n, seed=0):
    """int32 [n, batches, B]: random rows, the last batch half empty."""
    out = np.random.default_rng(seed).integers(0, 24, (n, core.batches_per_step(phase), BATCH))
    out[-1, :, BATCH // 2:] = -1
    return jnp.asarray(out, jnp.int32)


@pytest.mark.parametrize('name', METHODS)
def test_entry_names_its_paper_and_what_it_needs(name):
    entry = METHODS[name]
    fit = [kit for kit in EVERY if set(entry.needs) <= set(networks.KITS[kit].offers)]
    assert (entry.cite or len(entry.note) > 20) and fit
    assert not {'lr', 'lr_scale'} & set(entry.hp)
    assert all(isinstance(v, float) for v in entry.hp.values())
    made = METHODS[name].factory(networks.build(*EVERY[fit[-1]]), toys.recipe(),
                                 **{**entry.options, **OPTIONS.get(name, {})})
    assert isinstance(made, core.Method) and set(made.evals) <= set(core.EVALS)
    assert all(p.trains and len(set(p.trains)) == len(p.trains) for phase in made.phases
               for p in phase.players)


@CASE
def test_training(name, kit):
    """Two seeds under vmap: one trace, finite, each as if alone, and exactly the declared
    parameters move.
    """
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
                toys.close(jax.tree.map(lambda x: x[1], (metrics, group.params)),
                           (own, alone.params), rtol=1e-4, atol=1e-5)
        assert len(traces) == 1
        over = phase.until is not None and int(group.total[0]) >= phase.until
        assert group.status.tolist() == [core.DONE if over else core.RUNNING] * SEEDS
        assert all(np.isfinite(v).all() for v in jax.tree.leaves((group.params, metrics)))
        allowed = {n for p in phase.players for n in p.trains}
        assert toys.moved(before, group.params) == allowed
        trained |= allowed
        states = [jax.tree.map(lambda x, j=j: x[j], group) for j in range(SEEDS)]
    assert trained == set(states[0].params)


def given(m, state, batch):
    """What evals take, by name: q and z come from the method where it has them."""
    e, p, c, key, n = m.evals, state.params, state.carry, jax.random.key(0), len(
        batch['weight'])
    q = e['posterior'](p, c, batch) if 'posterior' in e else None
    z = e['sample_q'](p, c, q, key) if 'sample_q' in e else jax.random.normal(key, (n, LATENT))
    return {
        'batch': batch, 'q': q, 'z': z, 'key': key, 'n': 5, 'mode': 'sample',
        'label': jnp.zeros(n, jnp.int32)
    }


def shapes(m, state, batch):
    """Every declared eval's output, with the shape that `core.EVALS` declares."""
    out, inputs = {}, given(m, state, batch)
    like = {x: batch[x].shape[1:] for x in ('x', 'tokens') if hasattr(batch.get(x), 'shape')}
    for k, f in m.evals.items():
        out[k] = f(state.params, state.carry, *(inputs[name] for name in core.EVALS[k].takes))
        leaves = [x.shape for x in jax.tree.leaves(out[k])]
        if core.EVALS[k].gives == 'means':
            assert isinstance(out[k], dict) and set(leaves) == {()}, k
            continue
        n = 5 if 'n' in core.EVALS[k].takes else len(batch['weight'])
        assert leaves and {s[0] for s in leaves} == {n}, k
        declared = {'[B]': [(n,)], '([B], [B])': [(n,), (n,)],
                    '[B, Z]': [(n, LATENT)]}.get(core.EVALS[k].gives)
        assert declared is None or leaves == declared, k
        if core.EVALS[k].gives == 'batch':
            assert {x: v.shape[1:] for x, v in out[k].items() if x != 'length'} == like, k
    return out


@CASE
def test_evals(name, kit):
    """Every declared eval has its declared shape, jits and is finite; examples do not see each
    other.
    """
    m, stock = method(name, kit), data(kit)
    state = begun(name, kit)[-1]
    alone = [
        k for k in ('posterior', 'encode', 'score', 'reconstruct', 'classify', 'cluster', 'predict')
        if k in m.evals
    ]

    def every(params, carry, batch):
        one = jax.tree.map(lambda x: x[:1], {k: v for k, v in batch.items() if k != 'weight'})
        s = state._replace(params=params, carry=carry)
        return shapes(m, s, batch), {k: m.evals[k](params, carry, one) for k in alone}

    out, own = toys.jit(every)(state.params, state.carry, core.take(stock, jnp.arange(6)))
    assert set(out) == set(m.evals) and out
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(out))
    toys.close(jax.tree.map(lambda x: x[:1], {k: out[k]
                                              for k in alone}), own, rtol=1e-5, atol=1e-6)
    for k in {'classify', 'cluster'} & set(out):
        np.testing.assert_allclose(np.exp(out[k]).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize('name', [
    pytest.param(n, marks=[] if (n, kit) in QUICK else [pytest.mark.slow])
    for n, kit in CASES if kit == 'mlp'
])
def test_empty_slots_do_not_count(name):
    """Whatever lies in a slot of weight 0 changes no loss, gradient, carry or term."""
    m = toys.make(name, **OPTIONS.get(name, {}))
    stock = toys.all_of(toys.labelled(BATCH))
    weight = (jnp.arange(BATCH) < 5).astype(jnp.float32)
    numbers = toys.hp(name, **{'target': .1} if 'target' in METHODS[name].hp else {})
    states = entered(core.init(m, jax.random.key(0), stock, numbers), m.phases, stock)

    def every(batch):
        return [jax.value_and_grad(p.loss, has_aux=True)(
                    state.params, state.carry, batch, toys.ctx(numbers, total=1000))
                for phase, state in zip(m.phases, states, strict=False) for p in phase.players]

    f = toys.jit(every)
    hidden = {**stock, 'x': stock['x'].at[5:].set(.37), 'label': stock['label'].at[5:].set(0),
              'factors': stock['factors'].at[5:].set(9)}
    hidden['partner'] = jax.tree.map(lambda v: v.at[5:].set(0), stock['partner'])
    stock, hidden = ({**batch, 'weight': weight} for batch in (stock, hidden))
    full, other = (f({**batch, 'other': batch}) for batch in (stock, hidden))
    toys.close(full, other, rtol=1e-5, atol=1e-6)
    nothing = {**stock, 'weight': 0 * weight}
    assert not any(
        np.isnan(x).any() for x in jax.tree.leaves(f({**nothing, 'other': nothing})))


@pytest.mark.slow
@pytest.mark.parametrize('name, kit', DISTINCT, ids=lambda v: v)
def test_block_is_the_loop(name, kit):
    m, stock = method(name, kit), data(kit)
    for phase, state in zip(m.phases, begun(name, kit), strict=False):
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
    for phase, state in zip(m.phases, begun(name, kit), strict=False):
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
    env = {
        **os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=2',
        'JAX_PLATFORMS': 'cpu'
    }
    done = subprocess.run([sys.executable, __file__, *cases], env=env, capture_output=True,
                          text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == cases


if __name__ == '__main__':
    assert jax.device_count() == 2
    for case in sys.argv[1:]:
        shard(*case.split(':'))
        print(case, flush=True)
