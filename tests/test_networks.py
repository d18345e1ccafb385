"""Kits: the sentence decoder against NumPy, padding, initialization, generation."""
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench import networks, schema
from vaebench.errors import UserError
from vaebench.networks import common
from vaebench.networks.text import END, PAD, START

V, E, H, Z, WORDS = 11, 4, 5, 3, 6
BATCH = {'tokens': jnp.array([[1, 5, 6, 2, 0], [1, 7, 8, 9, 2], [1, 2, 0, 0, 0]]), 'length': jnp.array([3, 4, 1])}


def text_kit(**options):
    columns = schema.text(tuple(map(str, range(V))), WORDS)
    return networks.build(columns, {'name': 'lstm', 'latent': Z, 'embed': E, 'hidden': H, 'init_scale': .5, **options})


def image_kit(name='mlp', shape=(8, 8, 1), **options):
    sizes = {'hidden': (6, 5)} if name == 'mlp' else {'channels': (2, 3), 'hidden': 5}
    return networks.build({'x': schema.image(shape)}, {'name': name, 'latent': Z, **sizes, **options})


def draw(shape, seed=0):
    return jnp.array(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def np_lstm(p, xs, h, c):
    """PyTorch's LSTM from its formulas: gates input, forget, cell, output; two biases."""
    out = []
    for x in xs:
        i, f, g, o = np.split(x @ p['w_x'] + p['b_x'] + h @ p['w_h'] + p['b_h'], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.array(out)


def np_logits(p, z, tokens, family):
    """The decoder's logits of one sentence, [T, V]; z [Z] or None."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), p)
    h = c = np.zeros(H)
    xs = [p['embedding'][t] for t in tokens]
    if z is not None:
        xs = [np.concatenate([x, z]) for x in xs]
        first = z @ p['start']['kernel'] + p['start'].get('bias', 0)
        h, c = (first, c) if family == 'B' else (np.tanh(first), first)
    return np_lstm(p['lstm'], xs, h, c) @ p['w_out'] + p.get('b_out', 0)


def np_log_prob(p, z, tokens, length, family):
    logits = np_logits(p, z, tokens[:length], family)
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return sum(logp[t, tokens[t + 1]] for t in range(length))


@pytest.mark.parametrize('family', ['A', 'B'])
@pytest.mark.parametrize('latent', [Z, 0])
def test_decoder_is_the_formulas(family, latent):
    dec = text_kit(family=family).decoder(latent=latent)
    params = dec.init(jax.random.key(0))
    z = np.asarray(draw((3, Z))) if latent else [None] * 3
    want = [np_log_prob(params, z[b], np.asarray(BATCH['tokens'][b]), int(BATCH['length'][b]), family)
            for b in range(3)]
    got = dec.log_prob(params, z if latent else None, BATCH)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert ('bias' in params.get('start', {})) == (family == 'B' and latent > 0)
    assert ('b_out' in params) == (family == 'B')


def test_encoder_is_the_formulas():
    enc = text_kit().encoder()
    params = enc.init(jax.random.key(0))
    p = jax.tree.map(np.asarray, params)
    got = enc.apply(params, BATCH)
    for b in range(3):
        n = int(BATCH['length'][b]) + 1                    # <s> and </s> are both read
        want = np_lstm(p['lstm'], p['embedding'][np.asarray(BATCH['tokens'][b])][:n], np.zeros(H), np.zeros(H))
        np.testing.assert_allclose(got.last[b], want[-1], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got.states[b, :n], want, rtol=1e-5, atol=1e-7)
    assert got.mask.sum(1).tolist() == (BATCH['length'] + 1).tolist()


def test_padding_changes_no_number():
    kit = text_kit()
    enc, dec = kit.encoder(), kit.decoder()
    pe, pd, z = enc.init(jax.random.key(0)), dec.init(jax.random.key(1)), draw((3, Z))
    wide = {**BATCH, 'tokens': jnp.pad(BATCH['tokens'], ((0, 0), (0, 4)))}

    @jax.jit
    def numbers(batch):
        grad = jax.grad(lambda pe, pd: (enc.apply(pe, batch).last**2).sum() + dec.log_prob(pd, z, batch).sum(), (0, 1))
        return enc.apply(pe, batch).last, dec.log_prob(pd, z, batch), grad(pe, pd)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), numbers(BATCH), numbers(wide))
    junk = {**wide, 'tokens': jnp.where(jnp.arange(9) > wide['length'][:, None], 7, wide['tokens'])}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), numbers(BATCH), numbers(junk))


def test_language_model_with_uniform_logits():
    dec = text_kit(family='B').decoder(latent=0)
    params = jax.tree.map(jnp.zeros_like, dec.init(jax.random.key(0)))
    np.testing.assert_allclose(dec.log_prob(params, None, BATCH), -BATCH['length'] * math.log(V), rtol=1e-6)


def test_constant_latents_per_step_are_the_sentence_latent():
    dec = text_kit().decoder()
    params, z = dec.init(jax.random.key(0)), draw((3, Z))
    steps = jnp.broadcast_to(z[:, None], (3, 4, Z))
    np.testing.assert_allclose(dec.log_prob(params, steps, BATCH), dec.log_prob(params, z, BATCH), rtol=1e-5)
    late = steps.at[:, 3].add(1.)                          # step 3 is beyond the end of sentences 0 and 2
    moved = np.abs(dec.log_prob(params, late, BATCH) - dec.log_prob(params, steps, BATCH)) > 1e-4
    assert moved.tolist() == [False, True, False]


def test_vmap_over_samples_and_seeds_equals_loop():
    dec = text_kit().decoder()
    params = jax.vmap(dec.init)(jax.random.split(jax.random.key(0)))
    z = draw((2, 4, 3, Z))
    over_samples = jax.vmap(lambda p, z: dec.log_prob(p, z, BATCH), (None, 0))
    got = jax.jit(jax.vmap(over_samples))(params, z)
    for i in range(2):
        p = jax.tree.map(lambda x, i=i: x[i], params)
        for s in range(4):
            np.testing.assert_allclose(got[i, s], dec.log_prob(p, z[i, s], BATCH), rtol=1e-5)


def test_second_derivative_of_the_decoder():
    """The gradient of a gradient step in z against finite differences."""
    dec = text_kit().decoder()
    params, z = dec.init(jax.random.key(0)), draw((3, Z))
    with jax.enable_x64(True):
        params, z, v = (jax.tree.map(lambda x: jnp.array(x, jnp.float64), t) for t in (params, z, draw((3, Z), 1)))
        f = jax.jit(lambda z: (jax.grad(lambda z: dec.log_prob(params, z, BATCH).sum())(z)**2).sum())
        want = (f(z + 1e-5 * v) - f(z - 1e-5 * v)) / 2e-5
        np.testing.assert_allclose((jax.grad(f)(z) * v).sum(), want, rtol=1e-6)


def test_dropout_needs_a_key_and_keeps_the_mean():
    dec = text_kit().decoder()
    params, z = dec.init(jax.random.key(0)), draw((3, Z))
    assert (dec.log_prob(params, z, BATCH) == dec.log_prob(params, z, BATCH)).all()
    one, two = (dec.log_prob(params, z, BATCH, jax.random.key(k)) for k in (0, 1))
    assert (one != two).any()
    for rate in (.5, .3):
        kept = np.asarray(common.dropout(jax.random.key(0), jnp.ones(20_000), rate))
        np.testing.assert_allclose(np.unique(kept), [0, 1 / (1 - rate)], rtol=1e-6)
        assert abs(kept.mean() - 1) < 4 * math.sqrt(rate / (1 - rate) / kept.size)
    assert (common.dropout(jax.random.key(0), jnp.ones(9), 0) == 1).all()


@pytest.mark.parametrize('mode', ['greedy', 'sample'])
def test_generated_sentences_are_well_formed(mode):
    dec = text_kit(init_scale=2., family='B').decoder()
    params, z = dec.init(jax.random.key(3)), 3 * draw((40, Z))
    batch = jax.jit(dec.generate, static_argnums=3)(params, z, jax.random.key(1), mode)
    tokens, length = np.asarray(batch['tokens']), np.asarray(batch['length'])
    assert tokens.shape == (40, WORDS + 2)
    assert (tokens[:, 0] == START).all()
    assert (tokens[np.arange(40), length] == END).all()
    for row, n in zip(tokens, length, strict=True):
        assert not np.isin(row[1:n], (PAD, START, END)).any()
        assert (row[n + 1:] == PAD).all()
    assert length.min() < WORDS + 1                        # some end by themselves
    assert np.isfinite(dec.log_prob(params, z, batch)).all()


def test_greedy_takes_the_likeliest_token():
    dec = text_kit(init_scale=2., family='B').decoder()
    params, z = dec.init(jax.random.key(3)), 3 * draw((40, Z))
    batch = dec.generate(params, z, None, 'greedy')
    for b in range(40):
        tokens, n = np.asarray(batch['tokens'][b]), int(batch['length'][b])
        logits = np_logits(params, np.asarray(z[b]), tokens[:n], 'B')
        logits[:, [PAD, START]] = -np.inf
        free = min(n, WORDS)                               # the last </s> of a full sentence is forced
        assert logits.argmax(1)[:free].tolist() == tokens[1:free + 1].tolist()


def test_samples_follow_the_model():
    """Frequencies of the first word against its softmax."""
    dec = text_kit().decoder(latent=0)
    params = dec.init(jax.random.key(0))
    n = 4000
    first = np.asarray(dec.generate(params, jnp.zeros((n, 0)), jax.random.key(1), 'sample')['tokens'][:, 1])
    p = np.exp(np_logits(params, None, [START], 'A')[0])
    p[[PAD, START]] = 0
    p = p / p.sum()
    count = np.bincount(first, minlength=V)
    assert (np.abs(count / n - p) <= 4 * np.sqrt(p * (1 - p) / n)).all()


@pytest.mark.parametrize('family,bound', [('A', .01), ('B', .1)])
def test_text_initialization(family, bound):
    columns = schema.text(tuple(map(str, range(40))), WORDS)
    kit = networks.build(columns, {'name': 'lstm', 'latent': 8, 'embed': 16, 'hidden': 32, 'family': family})
    parts = kit.encoder(), kit.decoder(), kit.head(16)
    params = [part.init(key) for part, key in zip(parts, jax.random.split(jax.random.key(0), 3), strict=True)]
    for path, x in jax.tree_util.tree_leaves_with_path(params):
        name, x = path[-1].key, np.asarray(x)
        limit = .1 if name == 'embedding' else bound
        assert np.abs(x).max() <= limit
        if x.size > 100:                                   # fills its range, evenly
            assert np.abs(x).max() > .95 * limit
            assert abs(x.std() / (limit / math.sqrt(3)) - 1) < .2
    assert params[0]['lstm']['b_x'].shape == params[0]['lstm']['b_h'].shape == (128,)
    assert (params[0]['lstm']['b_x'] != params[0]['lstm']['b_h']).all()
    assert ('bias' in params[2]) == (family == 'B')


def test_both_biases_learn():
    enc = text_kit().encoder()
    grad = jax.grad(lambda p: enc.apply(p, BATCH).last.sum())(enc.init(jax.random.key(0)))['lstm']
    np.testing.assert_allclose(grad['b_x'], grad['b_h'])
    assert np.abs(grad['b_x']).max() > 0


def test_head_initialization_can_be_chosen():
    kit = text_kit(init_scale=.01)
    small, torch = (kit.head(200, init).init(jax.random.key(0))['kernel'] for init in (None, 'torch'))
    assert .0095 < np.abs(small).max() <= .01
    assert .98 * H**-.5 < np.abs(torch).max() <= H**-.5
    assert 'bias' in kit.head(2, 'torch', bias=True).init(jax.random.key(0))


def test_mlp_initialization_and_layers():
    f = common.mlp((50, 40, 30), 'tanh')
    params = f.init(jax.random.key(0))
    for name, fan in ('layer0', 50), ('layer1', 40):
        for x in params[name].values():
            assert .9 * fan**-.5 < np.abs(x).max() <= fan**-.5
    x = draw((2, 50))
    hidden = np.tanh(x @ params['layer0']['kernel'] + params['layer0']['bias'])
    np.testing.assert_allclose(f.apply(params, x), hidden @ params['layer1']['kernel'] + params['layer1']['bias'],
                               rtol=1e-4, atol=1e-5)
    assert set(common.mlp((2, 3), bias=False).init(jax.random.key(0))['layer0']) == {'kernel'}
    assert float(common.activation('leaky_relu')(-1.)) == pytest.approx(-.2)
    assert float(common.activation('leaky_relu_01')(-1.)) == pytest.approx(-.01)


def test_init_is_one_draw():
    kit = text_kit()
    text = str(jax.make_jaxpr(kit.decoder().init)(jax.random.key(0)))
    assert text.count('random_bits[') == 1


def test_one_trace():
    dec, traces = text_kit().decoder(), []

    @jax.jit
    def f(params, z):
        traces.append(1)
        return dec.log_prob(params, z, BATCH)

    for seed in range(3):
        f(dec.init(jax.random.key(seed)), draw((3, Z), seed))
    assert len(traces) == 1


def test_unknown_names_are_one_line_errors():
    with pytest.raises(UserError, match='lstm'):
        networks.build(schema.text(('a',), 2), {'name': 'mlp', 'latent': 2})
    with pytest.raises(UserError, match='gaussian_full'):
        image_kit(likelihood='gauss')


def test_encoder_initialization_can_be_chosen():
    params = text_kit().encoder(init='torch').init(jax.random.key(0))
    hidden = params['lstm']['w_h'].shape[0]
    for name, leaf in params['lstm'].items():
        assert .8 * hidden**-.5 < float(jnp.abs(leaf).max()) <= hidden**-.5, name
    assert float(params['embedding'].std()) == pytest.approx(1, abs=.1)
