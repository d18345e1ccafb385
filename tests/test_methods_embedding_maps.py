"""Maps of a frozen autoencoder's codes, searches among them, and pairs learned word by word."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, metrics, schema
from vaebench.engine import loop
from vaebench.engine.trainer import Settings, Trainer
from vaebench.errors import UserError
from vaebench.methods import METHODS, code_maps
from vaebench.methods import frozen_autoencoders as frozen
from vaebench.ops.gradient_edit import fast_gradient_edit

KIT = dataclasses.replace(toys.kit(), schema={**toys.SCHEMA, 'label': schema.label(2), 'target': schema.Field('rows')})
ROWS = jnp.arange(8, dtype=jnp.int32)
GRAY = np.random.default_rng(1).uniform(.1, .9, (2, 8, 2, 2, 1)).astype(np.float32)
DATA = {'x': jnp.asarray(GRAY[0]), 'label': ROWS % 2, 'target': schema.Rows(ROWS ^ 1)}
BATCH = toys.all_of(DATA)
Z = np.random.default_rng(0).normal(size=(5, 3))


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64, but for the engine."""
    with jax.enable_x64(True):
        yield


def begun(name, **options):
    """(method, state at the start of each phase by its name), untrained."""
    return _begun(name, jax.config.jax_enable_x64, tuple(options.items()))


@functools.cache
def _begun(name, wide, options):
    options = dict(options)
    method = toys.make(name, KIT, **options)
    states = [core.init(method, jax.random.key(0), BATCH, toys.hp(name))]
    for phase in method.phases[1:]:
        states.append(core.enter(phase, states[-1], BATCH))
    return method, {p.name: s for p, s in zip(method.phases, states, strict=True)}


def phase(method, name):
    return next(p for p in method.phases if p.name == name)


def player(method, of, name):
    return next(p for p in phase(method, of).players if p.name == name)


def codes(method, state, batch=BATCH):
    return np.asarray(method.evals['encode'](state.params, state.carry, batch))


# Forms of maps.

def zeroed(tree):
    return jax.tree.map(jnp.zeros_like, tree)


def test_an_offset_net_without_outer_weights_is_the_identity_and_an_mlp_never_is():
    net = code_maps.code_map(KIT, 'offset')
    inner, outer = net.init(jax.random.key(0))
    assert (net.apply([inner, zeroed(outer)], Z) == Z).all()
    assert not np.allclose(net.apply([inner, outer], Z), Z)
    flat = code_maps.code_map(KIT, 'mlp')
    assert (flat.apply(zeroed(flat.init(jax.random.key(0))), Z) == 0).all()


@pytest.mark.parametrize('form', code_maps.FORMS)
def test_maps_are_the_papers_formulas(form):
    net = code_maps.code_map(KIT, form)
    params = jax.tree.map(lambda x: x + .1, net.init(jax.random.key(1)))
    linear = [lambda x, p=p: x @ np.asarray(p[0]['w']) + np.asarray(p[0]['b']) for p in params]
    selu = lambda x: np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * np.expm1(x))
    z = Z
    want = linear[1](selu(linear[0](z)))
    want = want if form == 'mlp' else z + want
    want = linear[2](selu(want)) if form == 'resnet' else want
    np.testing.assert_allclose(net.apply(params, Z), want, rtol=1e-10)


def test_each_target_style_has_a_map_of_its_own():
    net = code_maps.directed(code_maps.code_map(KIT, 'resnet'))
    params, label = net.init(jax.random.key(0)), jnp.array([0, 1, 1, 0, 1])
    one = code_maps.code_map(KIT, 'resnet')
    alone = [one.apply(jax.tree.map(lambda x, y=y: x[y], params), z) for y, z in zip(label, Z, strict=True)]
    np.testing.assert_allclose(net.apply(params, Z, label), jnp.stack(alone), rtol=1e-12)
    grads = jax.grad(lambda p: net.apply(p, Z, jnp.ones(5, int)).sum())(params)
    assert all((x[0] == 0).all() and (x[1] != 0).any() for x in jax.tree.leaves(grads))


def test_cosine_distance_knows_directions_only():
    a, b = jnp.asarray(Z[:2]), jnp.asarray(Z[2:4])
    want = 1 - (a * b).sum(-1) / jnp.linalg.norm(a, axis=-1) / jnp.linalg.norm(b, axis=-1)
    np.testing.assert_allclose(code_maps.cosine_distance(a, b), want, rtol=1e-12)
    np.testing.assert_allclose(code_maps.cosine_distance(3 * a, .01 * b), want, rtol=1e-12)
    np.testing.assert_allclose(code_maps.cosine_distance(a, 7 * a), 0, atol=1e-15)
    np.testing.assert_allclose(code_maps.cosine_distance(a, -2 * a), 2, rtol=1e-12)
    zero = jnp.zeros((1, 3))
    assert code_maps.cosine_distance(zero, b[:1]) == 1
    assert all((g == 0).all() for g in jax.grad(
        lambda a, b: code_maps.cosine_distance(a, b).sum(), (0, 1))(zero, b[:1]))


# The map's training.

@pytest.mark.parametrize('distance', code_maps.DISTANCES)
@pytest.mark.parametrize('wide', [False, True])
def test_without_style_and_critic_the_identity_has_no_gradient(distance, wide):
    with jax.enable_x64(wide):
        method, states = begun('emb2emb', distance=distance)
        state = states['map']
        inner, outer = state.params['map']
        params = {**state.params, 'map': [inner, zeroed(outer)]}
        hp = {**state.hp, 'style': jnp.zeros(()), 'adversarial': jnp.zeros(())}
        learn = player(method, 'map', 'map').loss
        value, grads = toys.jit(jax.value_and_grad(lambda m: learn({**params, 'map': m}, state.carry, BATCH, toys.ctx(
            hp, step=99))[0]))(params['map'])
        assert value == 0 and all((g == 0).all() for g in jax.tree.leaves(grads))
        z = method.evals['encode'](params, state.carry, BATCH)
        assert (method.evals['edit'](params, state.carry, z, BATCH['label']) == z).all()


@pytest.mark.parametrize('adversary', code_maps.ADVERSARIES)
def test_the_map_of_no_pairs_minimizes_the_papers_objective(adversary):
    method, states = begun('emb2emb', adversary=adversary)
    state = states['map']
    p, carry, hp = state.params, state.carry, {**state.hp, 'style': .75, 'adversarial': .25, 'warmup': 2.}
    z = codes(method, state)
    label = 1 - np.asarray(BATCH['label'])
    moved = np.asarray(method.evals['edit'](p, carry, z, label))
    judge = frozen.layers(KIT, code_maps.JUDGE).apply(p['judge'], moved)
    wrong = np.logaddexp(0, np.where(label == 1, -judge, judge))        # -log c
    cosine = (moved * z).sum(1) / np.linalg.norm(moved, axis=1) / np.linalg.norm(z, axis=1)
    fool = 0.
    if adversary:
        score = frozen.layers(KIT, code_maps.CRITIC).apply(p['critic'], moved)
        fool = {'nonsaturating': np.logaddexp(0, -score), 'minmax': -np.logaddexp(0, score)}[adversary].mean()
    assert ('critic' in p) == bool(adversary)
    for step, ramp in ((0, 0.), (10, .5), (99, 1.)):      # the toy's epoch has ten steps
        share = .75 * ramp
        value, (after, _) = player(method, 'map', 'map').loss(p, carry, BATCH, toys.ctx(hp, step=step))
        want = (share * wrong + (1 - share) * (1 - cosine)).mean() + .25 * fool
        assert float(value) == pytest.approx(want, rel=1e-9)
    error = phase(method, 'map').evals['error'](p, after, BATCH)
    np.testing.assert_allclose(error, .75 * wrong + .25 * (1 - cosine), rtol=1e-9)
    assert phase(method, 'map').select == 'error'


def test_the_map_of_pairs_goes_to_the_code_of_the_other_sentence():
    method, states = begun('emb2emb_supervised', adversary='', distance='squared')
    assert [p.name for p in method.phases] == ['ae', 'map']
    state = states['map']
    z = codes(method, state)
    goal = z[np.asarray(ROWS ^ 1)]
    moved = method.evals['edit'](state.params, state.carry, z, 1 - BATCH['label'])
    apart = ((moved - goal)**2).mean(1)
    learn = player(method, 'map', 'map').loss
    value = learn(state.params, state.carry, BATCH, toys.ctx(state.hp))[0]
    assert float(value) == pytest.approx(float(apart.mean()), rel=1e-9)
    # a target of the sentence's own style is no pair, and validation may have references instead
    own = {**BATCH, 'target': {**BATCH['target'], 'label': BATCH['target']['label'].at[3].set(1)}}
    value = learn(state.params, state.carry, own, toys.ctx(state.hp))[0]
    assert float(value) == pytest.approx(float(np.delete(np.asarray(apart), 3).mean()), rel=1e-9)
    rest = {k: v for k, v in BATCH.items() if k != 'target'}
    told = {**rest, 'reference': {'x': jnp.stack([BATCH['target']['x'], BATCH['x']], 1)}}
    error = phase(method, 'map').evals['error']
    np.testing.assert_allclose(error(state.params, state.carry, told), apart, rtol=1e-9)
    with pytest.raises(UserError, match="neither a column 'target' nor 'reference'"):
        error(state.params, state.carry, rest)


@pytest.mark.parametrize('name, of', [('emb2emb', 'map'), ('emb2emb_supervised', 'map'), ('s2s_mlp', 'pairs')])
def test_only_sentences_of_the_source_style_are_learned(name, of):
    method, states = begun(name, source=0)
    state = states[of]
    learn = phase(method, of).players[-1].loss
    alone = {**BATCH, 'weight': (BATCH['label'] == 0).astype(float)}
    grads = [jax.grad(lambda m, b=b: learn({**state.params, 'map': m}, state.carry, b, toys.ctx(state.hp))[0])(
        state.params['map']) for b in (BATCH, alone)]
    toys.close(*grads, rtol=1e-12)
    assert all((x[0] == 0).all() for x in jax.tree.leaves(grads[0]))     # the map to style 0


@pytest.mark.parametrize('name', ['emb2emb', 'emb2emb_supervised'])
def test_the_critic_learns_of_codes_and_gives_the_map_no_gradient(name):
    method, states = begun(name)
    state = states['map']
    assert [p.name for p in phase(method, 'map').players] == ['critic', 'map']
    other = toys.all_of({'x': jnp.asarray(GRAY[1]), 'label': ROWS % 2})
    batch = {**BATCH, 'other': {**other, 'weight': other['weight'].at[5:].set(0)}}
    tell_apart = player(method, 'map', 'critic').loss
    f = lambda p: tell_apart(p, state.carry, batch, toys.ctx(state.hp))[0]
    value, grads = jax.value_and_grad(f)(state.params)
    assert all((g == 0).all() for k, g in grads.items() if k != 'critic' for g in jax.tree.leaves(g))
    assert any((g != 0).any() for g in jax.tree.leaves(grads['critic']))
    score = lambda z: np.asarray(frozen.layers(KIT, code_maps.CRITIC).apply(state.params['critic'], z))
    z = codes(method, state)
    real = codes(method, state, other)[:5] if name == 'emb2emb' else z[np.asarray(ROWS ^ 1)]
    moved = method.evals['edit'](state.params, state.carry, z, 1 - BATCH['label'])
    want = np.log1p(np.exp(-score(real))).mean() + np.log1p(np.exp(score(moved))).mean()
    assert float(value) == pytest.approx(want, rel=1e-9)


def test_the_judge_is_trained_on_codes_with_dropout_and_chosen_without():
    method, states = begun('emb2emb')
    state, judge = states['judge'], player(method, 'judge', 'judge')
    p, ctx = state.params, toys.ctx(state.hp)
    logit = frozen.layers(KIT, code_maps.JUDGE).apply(p['judge'], codes(method, state))
    want = np.log1p(np.exp(np.where(BATCH['label'] == 1, -logit, logit)))
    np.testing.assert_allclose(phase(method, 'judge').evals['error'](p, state.carry, BATCH), want, rtol=1e-9)
    grads = jax.grad(lambda p: judge.loss(p, state.carry, BATCH, ctx)[0])(p)
    assert all((g == 0).all() for k in ('enc', 'head') for g in jax.tree.leaves(grads[k]))
    drops = [float(judge.loss(p, state.carry, BATCH, toys.ctx(state.hp, key=k))[0]) for k in range(400)]
    assert np.std(drops) > 0
    plain, = (p for p in toys.make('fgim', KIT).phases[1].players)
    again = {**p, 'judge': frozen.layers(KIT, (100, 50)).init(jax.random.key(0))}
    assert len({float(plain.loss(again, state.carry, BATCH, toys.ctx(state.hp, key=k))[0]) for k in range(3)}) == 1


def test_dropout_keeps_the_mean_of_hidden_units():
    net = frozen.layers(KIT, (4000,), dropout=.5)
    params = net.init(jax.random.key(0))
    params = [params[0], [{'w': jnp.ones((4000, 1)), 'b': jnp.zeros(1)}]]
    z = jnp.ones((1, 3))
    full, some = net.apply(params, z)[0], net.apply(params, z, jax.random.key(1))[0]
    assert float(some) == pytest.approx(float(full), rel=.1) and float(some) != float(full)


# Searches.

def test_fgim_edits_by_the_gradient_of_its_judge():
    method, states = begun('fgim', weights=(.2, 1.), threshold=.1, steps=6)
    state = states['judge']
    net, z, label = frozen.layers(KIT, (100, 50), 'leaky_relu'), jnp.asarray(codes(method, state)), 1 - BATCH['label']
    sign = 2. * label - 1
    logit = lambda x: sign * net.apply(state.params['judge'], x)
    want = fast_gradient_edit(lambda x: jax.nn.softplus(-logit(x)), lambda x: jax.nn.sigmoid(-logit(x)), z, (.2, 1.),
                              decay=.9, threshold=.1, steps=6)
    np.testing.assert_allclose(method.evals['edit'](state.params, state.carry, z, label), want.z, rtol=1e-9)
    assert int(want.gradients.sum()) > 0 and want.converged.any()


def test_emb2emb_fgim_starts_at_the_map_and_descends_what_it_was_trained_on():
    method, states = begun('emb2emb_fgim', weights=(.5,), threshold=0., steps=1)
    alone, _ = begun('emb2emb')
    state = states['map']
    assert [p.name for p in method.phases] == [p.name for p in alone.phases] == ['ae', 'judge', 'map']
    p, z, label = state.params, jnp.asarray(codes(method, state)), 1 - BATCH['label']
    carry = {**state.carry, 'numbers': {'style': jnp.asarray(.6), 'adversarial': jnp.asarray(.2)}}
    moved = alone.evals['edit'](p, carry, z, label)
    judge, critic = frozen.layers(KIT, code_maps.JUDGE), frozen.layers(KIT, code_maps.CRITIC)

    def loss(x):
        wrong = jax.nn.softplus(-(2. * label - 1) * judge.apply(p['judge'], x))
        cosine = (x * z).sum(1) / jnp.linalg.norm(x, axis=1) / jnp.linalg.norm(z, axis=1)
        return (.6 * wrong + .4 * (1 - cosine) + .2 * jax.nn.softplus(-critic.apply(p['critic'], x))).sum()

    want = moved - .5 * jax.grad(loss)(moved)
    np.testing.assert_allclose(method.evals['edit'](p, carry, z, label), want, rtol=1e-8)
    content, _ = begun('emb2emb_fgim', threshold=1.)
    assert (content.evals['edit'](p, carry, z, label) == moved).all()
    with pytest.raises(UserError, match='at least one of each'):
        toys.make('fgim', KIT, weights=())


# Pairs, and what is frozen.

@pytest.mark.parametrize('name, phases, trained', [
    ('fgim', ['ae', 'judge'], {'judge'}), ('emb2emb', ['ae', 'judge', 'map'], {'judge', 'map', 'critic'}),
    ('emb2emb_supervised', ['ae', 'map'], {'map', 'critic'}), ('s2s_freeze', ['ae', 'pairs'], {'map'}),
    ('s2s_mlp', ['ae', 'pairs'], {'enc', 'head', 'dec', 'map'}),
    ('s2s_pretrain', ['ae', 'pairs'], {'enc', 'head', 'dec'}), ('s2s_scratch', ['pairs'], {'enc', 'head', 'dec'})])
def test_what_is_frozen_stays_to_the_last_bit(name, phases, trained):
    method, states = begun(name)
    assert [p.name for p in method.phases] == phases
    before, after = states[phases[0]].params, states[phases[0]]
    for i, part in enumerate(method.phases):
        if part.name == 'ae':
            continue
        if i:
            after = core.enter(part, after, BATCH)
        before = {**after.params, **before}
        step = toys.jit(core.make_step(part))
        for _ in range(2):
            after, _ = step(after, DATA, jnp.broadcast_to(ROWS, (core.batches_per_step(part), 8)))
    assert toys.moved(before, after.params) == trained


@pytest.mark.parametrize('start', ['scratch', 'pretrained', 'mlp', 'freeze'])
def test_pairs_are_learned_word_by_word(start):
    name = {'pretrained': 's2s_pretrain'}.get(start, f's2s_{start}')
    method, states = begun(name)
    state = states['pairs']
    p, dec = state.params, KIT.decoder()
    z = method.evals['edit'](p, state.carry, jnp.asarray(codes(method, state)), 1 - BATCH['label'])
    assert ('map' in p) == (start in ('mlp', 'freeze')) != bool((z == codes(method, state)).all())
    want = -dec.log_prob(p['dec'], z, BATCH['target'])
    value = player(method, 'pairs', 'pairs').loss(p, state.carry, BATCH, toys.ctx(state.hp))[0]
    assert float(value) == pytest.approx(float(want.mean()), rel=1e-9)
    np.testing.assert_allclose(phase(method, 'pairs').evals['error'](p, state.carry, BATCH), want, rtol=1e-9)


@pytest.mark.parametrize('name, options, message', [
    ('emb2emb', {'form': 'mpl'}, "unknown form of a map 'mpl'; did you mean 'mlp'"),
    ('emb2emb', {'distance': 'cos'}, "unknown distance 'cos'; did you mean 'cosine'"),
    ('emb2emb', {'adversary': 'minimax'}, "unknown adversary 'minimax'; did you mean 'minmax'"),
    ('s2s_mlp', {'start': 'frozen'}, "unknown start 'frozen'; did you mean 'freeze'")])
def test_unknown_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        toys.make(name, KIT, **options)


@pytest.mark.parametrize('name', [n for n in METHODS if n.startswith(('emb2emb', 's2s', 'fgim'))])
def test_data_that_does_not_fit_is_refused_in_one_line(name):
    with pytest.raises(UserError, match='2 styles into each other, and the data has 3'):
        toys.make(name, dataclasses.replace(KIT, schema={**KIT.schema, 'label': schema.label(3)}))
    paired = name.startswith('s2s') or METHODS[name].options.get('supervised')
    if paired:
        with pytest.raises(UserError, match="needs a column 'target'"):
            toys.make(name, toys.without(KIT, 'target'))
    else:
        toys.make(name, toys.without(KIT, 'target'))


def test_all_rows_declare_one_and_the_same_autoencoder():
    seen = []
    for name in ('vector_offset', 'fgim', 'emb2emb', 'emb2emb_fgim', 'emb2emb_supervised', 's2s_pretrain', 's2s_mlp',
                 's2s_freeze'):
        first, *rest = (method := toys.make(name, KIT)).phases
        params, carry = method.init(jax.random.key(2), BATCH)
        value = first.players[0].loss(params, carry, BATCH, toys.ctx({}))[0]
        seen.append((first.shared, float(value), first.select, jax.tree.structure((params, carry))))
        assert first.shared and not any(p.shared for p in rest)
    assert all(other == seen[0] for other in seen)


@pytest.mark.slow
def test_one_autoencoder_serves_all_rows(tmp_path, monkeypatch):
    """Offsets of two sizes, a search, a map: the first trains the stage, the others begin at its end."""
    with jax.enable_x64(False):
        blocks, left = [], []
        for name, numbers in (('vector_offset', {'k': 1.}), ('vector_offset', {'k': 2.}), ('fgim', {}),
                              ('s2s_freeze', {})):
            method = toys.make(name, KIT, toys.recipe(4))
            engine = Trainer(method, [DATA], lambda evals, needs: metrics.validator(evals, [DATA], needs),
                             Settings(2, 4), 1)
            block = engine.block
            monkeypatch.setattr(engine, 'block', lambda number, *args, block=block: (
                blocks.append(number), block(number, *args))[1])
            hp = {**METHODS[name].hp, **numbers, 'lr': .1, 'lr_scale': 1.}
            state, record = loop.run(engine, [0], hp, loop.Options(stage=loop.Stage(1, tmp_path / 'stage')))
            left.append({k: state.params[k] for k in ('enc', 'head', 'dec')})
            assert blocks.count(0) == 2, name        # two epochs of one block each, of the first row
            if name == 'vector_offset':
                assert float(state.params['k'][0]) == numbers['k']
        for other in left[1:]:
            assert not toys.moved(left[0], other)
