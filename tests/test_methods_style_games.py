"""Sentences moved to a style past critics of states, or past a classifier of words, and the networks for it."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from test_methods_style_transfer import BATCH, KIT, VOCAB, batch, made, of, player, stepped

from vaebench import core
from vaebench.errors import UserError
from vaebench.methods import pivots
from vaebench.networks import convolution, text
from vaebench.ops import sampling

SMALL = {'style': 1, 'widths': (1, 2), 'channels': 3}
FEW = {'embed': 4, 'window': 2, 'channels': 3}


# A decoder along words

@pytest.mark.parametrize('options', [{}, {'skip': True}, {'dilations': (1, 2)}], ids=str)
def test_logits_along_a_sentence_are_those_of_its_likelihood(options):
    dec, z = KIT.decoder(**options), jax.random.normal(jax.random.key(1), (BATCH, 3))
    params, data = dec.init(jax.random.key(0)), batch()
    log_p = jax.nn.log_softmax(toys.jit(dec.forced)(params, z, data).logits)
    words = jnp.take_along_axis(log_p, data['tokens'][:, 1:, None], 2)[..., 0]
    inside = jnp.arange(words.shape[1]) < data['length'][:, None]
    np.testing.assert_allclose((words * inside).sum(1), toys.jit(dec.log_prob)(params, z, data), rtol=1e-5)


@pytest.mark.parametrize('options', [{}, {'skip': True}, {'dilations': (1, 2)}], ids=str)
def test_a_cold_decoder_s_own_words_are_a_sentence_that_it_goes_along(options):
    dec, z = KIT.decoder(**options), jax.random.normal(jax.random.key(1), (4, 3))
    params, key, steps = dec.init(jax.random.key(0)), jax.random.key(2), 5
    own = jax.jit(dec.unroll, static_argnums=2)(params, z, steps, key, 1e-6)
    assert own.logits.shape == (4, steps, VOCAB)
    noise = jnp.stack([jax.random.gumbel(jax.random.fold_in(key, t), (4, VOCAB)) for t in range(steps)], 1)
    words = (own.logits + noise).argmax(-1)
    tokens = jnp.concatenate([jnp.full((4, 1), text.START), words], 1)
    forced = toys.jit(dec.forced)(params, z, {'tokens': tokens, 'length': jnp.full(4, steps)})
    np.testing.assert_allclose(own.states, forced.states, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own.logits, forced.logits, rtol=1e-4, atol=1e-5)


def test_a_cold_gumbel_softmax_is_the_embedding_of_a_draw():
    logits, table = jax.random.normal(jax.random.key(0), (500, 4)), jax.random.normal(jax.random.key(1), (4, 3))
    key = jax.random.key(2)
    best = (logits + jax.random.gumbel(key, logits.shape)).argmax(-1)
    np.testing.assert_allclose(sampling.gumbel_softmax(key, logits, 1e-6) @ table, table[best], rtol=1e-5)
    soft = sampling.gumbel_softmax(key, logits, 1.)
    np.testing.assert_allclose(soft.sum(-1), 1, rtol=1e-5)
    many = sampling.gumbel_softmax(key, jnp.broadcast_to(jnp.log(jnp.array([.2, .8])), (20000, 2)), 1e-6)
    assert abs(float(many[:, 1].mean()) - .8) < .01


def test_gradients_pass_through_a_decoder_s_own_words():
    dec, z = KIT.decoder(), jnp.ones((2, 3))
    params = dec.init(jax.random.key(0))
    last = lambda table: dec.unroll({**params, 'embedding': table}, z, 3, jax.random.key(0), 1.).states[:, -1].sum()
    assert (toys.jit(jax.grad(last))(params['embedding'])[4:] != 0).any()


def test_a_convolution_takes_the_best_window_that_begins_in_the_sentence():
    net = convolution.cnn(2, 3, (1, 3), 4)
    params, x = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (2, 5, 2))
    mask = jnp.arange(5) < jnp.array([[3], [5]])
    got = net.apply(params, x, mask)
    for row, length in ((0, 3), (1, 5)):
        found = []
        for width in (1, 3):
            p, padded = params[f'width{width}'], np.zeros((5 + width, 2))
            padded[:length] = x[row, :length]
            each = [padded[t:t + width].reshape(-1) @ p['kernel'] + p['bias'] for t in range(length)]
            found.append(np.max(jax.nn.leaky_relu(jnp.stack(each)), 0))
        want = np.concatenate(found) @ params['out']['kernel'] + params['out']['bias']
        np.testing.assert_allclose(got[row], want, rtol=1e-4, atol=1e-5)
    longer = net.apply(params, jnp.pad(x, ((0, 0), (0, 2), (0, 0)), constant_values=7.),
                       jnp.pad(mask, ((0, 0), (0, 2))))
    np.testing.assert_allclose(longer, got, rtol=1e-6)
    assert np.isfinite(net.apply(params, x, jnp.zeros((2, 5), bool))).all()


def test_shuffled_words_move_by_at_most_the_reach():
    line = {'tokens': jnp.array([[1, *range(10, 19), 2, 0]]), 'length': jnp.array([10])}
    for reach in (1, 3):
        moves = []
        for i in range(40):
            out = text.shuffle(jax.random.key(i), line, reach)['tokens'][0]
            assert out[0] == 1 and out[10:].tolist() == [2, 0] and sorted(out[1:10].tolist()) == [*range(10, 19)]
            moves.append(np.abs(np.asarray(out[1:10]) - 10 - np.arange(9)).max())
        assert max(moves) == reach


# Cross-alignment

def aligned(**numbers):
    """(first state, state after a step, metrics) with those numbers."""
    method, state, _ = made('cae', numbers=numbers, **SMALL)
    return state, *stepped(method.phases[0], state)


def test_critics_reach_the_autoencoder_only_while_they_tell():
    """Behind a closed gate a step is that of the reconstruction alone."""
    _, alone, _ = aligned(adversarial=0.)
    first, closed, metrics = aligned(gate=1e-3)
    toys.close(closed.params, alone.params, rtol=1e-6, atol=1e-8)
    assert float(metrics['ae/open']) == 0 and {'critic_0', 'critic_1'} <= toys.moved(first.params, closed.params)
    _, opened, metrics = aligned(gate=9.)
    assert float(metrics['ae/open']) == 1
    assert toys.moved(opened.params, alone.params) == {'enc', 'head', 'dec', 'styles'}
    np.testing.assert_allclose(metrics['ae/loss'], metrics['ae/rec'] + metrics['ae/fool'], rtol=1e-6)
    np.testing.assert_allclose(opened.carry['critics'],
                               [metrics['critic_0/loss'], metrics['critic_1/loss']], rtol=1e-6)


def test_a_critic_that_knows_nothing_loses_log_2_for_each_kind():
    method, state, hp = made('cae', **SMALL)
    dumb = {**state.params, 'critic_0': jax.tree.map(jnp.zeros_like, state.params['critic_0'])}
    loss = toys.jit(player(method, 'critic_0').loss)
    for rows, kinds in (([0, 1, 2, 3], 2), ([0, 2, 4, -1], 1), ([1, 3, -1, -1], 1)):
        value = loss(dumb, state.carry, batch(rows), toys.ctx(hp))[0]
        np.testing.assert_allclose(value, kinds * np.log(2), rtol=1e-6)


def test_what_lies_behind_a_sentence_reaches_no_critic():
    method, state, hp = made('cae', **SMALL)
    data = batch()
    junk = jnp.where(jnp.arange(7) > data['length'][:, None], 5, data['tokens'])
    loss = toys.jit(player(method, 'ae').loss)
    for part in ('rec', 'fool'):
        seen, same = (loss(state.params, state.carry, b, toys.ctx(hp))[1][1] for b in (data, {**data, 'tokens': junk}))
        np.testing.assert_allclose(seen[part], same[part], rtol=1e-6)


# Pivots

def test_an_invented_language_merges_words_and_swaps_neighbors():
    turn = pivots.synthetic(KIT)
    out = turn(KIT.codec.read(['a b c d', 'e', 'a b c']), None)
    known = {w: int(turn(KIT.codec.read([w]), None)['tokens'][0, 1]) for w in 'abcde'}
    assert sorted(known.values()) == [4, 4, 5, 5, 6]
    for row, words in zip(np.asarray(out['tokens']), ('badc', 'e', 'bac'), strict=True):
        assert row[:len(words) + 2].tolist() == [1, *(known[w] for w in words), 2]
    assert out['length'].tolist() == [5, 2, 4]


def test_a_sentence_has_one_noisy_pivot_whatever_stands_around_it():
    turn = toys.jit(pivots.denoise(KIT))
    lines = [' '.join(p) for p in itertools.islice(itertools.permutations('abcde', 4), 30)]
    many, alone = turn(KIT.codec.read(lines), None), turn(KIT.codec.read(lines[7:8]), None)
    assert many['tokens'][7].tolist() == alone['tokens'][0].tolist()
    longer = turn({k: jnp.pad(v, ((0, 0), (0, 3))) if v.ndim == 2 else v
                   for k, v in KIT.codec.read(lines).items()}, None)
    np.testing.assert_array_equal(longer['tokens'][:, :6], many['tokens'])
    fresh = turn(KIT.codec.read(lines), jax.random.key(0))
    assert (fresh['length'] != many['length']).any() and len(set(many['length'].tolist())) > 1
    for line, new in zip(lines, KIT.codec.write(many), strict=True):
        assert set(new.split()) <= set(line.split()) and new


def test_soft_words_that_are_sure_are_words_to_the_classifier():
    judge, data = pivots.WordClassifier(KIT, 4, 2, 3), batch()
    params = judge.init(jax.random.key(0))
    sure = jax.nn.one_hot(data['tokens'][:, 1:], VOCAB)
    np.testing.assert_allclose(toys.jit(judge.soft)(params, sure, data), toys.jit(judge.hard)(params, data), rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(toys.jit(judge.hard)(params, data)).sum(1), 1, rtol=1e-5)


def test_without_a_classifier_generators_are_sequence_to_sequence():
    method, state, hp = made('bst_lite', numbers={'classifier': 0.}, **FEW)
    guide = player(method, 'generators').loss
    dec, ctx = state.params['dec'], toys.ctx(hp)

    def guided(dec):
        return guide({**state.params, 'dec': dec}, state.carry, batch(), ctx)[0]

    one, z = KIT.decoder(), of(method, state, 'encode', batch())

    def plain(dec):
        each = jax.vmap(lambda p: one.log_prob(p, z, batch(), core.derive(ctx.key, 2)))(dec)
        return -core.mean(each[batch()['label'], jnp.arange(BATCH)], batch())

    toys.close(toys.jit(jax.value_and_grad(guided))(dec), toys.jit(jax.value_and_grad(plain))(dec),
               rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_phases_freeze_what_was_learned_before_and_guidance_tells():
    method, state, hp = made('bst_lite', tx=optax.adam, lr=.02, numbers={'classifier': 50.}, **FEW)
    own = {'pivot': {'enc', 'head', 'translator'}, 'classifier': {'classifier'}, 'main': {'dec'}}
    for i, phase in enumerate(method.phases):
        first = state = core.enter(phase, state, batch()) if i else state
        seen = []
        for _ in range(30):
            state, metrics = stepped(phase, state)
            seen.append(float(metrics[f'{phase.players[0].name}/loss']))
        assert toys.moved(first.params, state.params) == own[phase.name]
        assert seen[-1] < .8 * seen[0], seen
    wrong = toys.jit(player(method, 'generators').loss)
    before, after = (wrong(p, state.carry, batch(), toys.ctx(hp))[1][1]['wrong'] for p in (first.params, state.params))
    assert after < .5 * before


def test_an_unknown_pivot_is_refused():
    with pytest.raises(UserError, match="unknown pivot 'english'"):
        toys.make('bst_lite', KIT, pivot='english')
