"""The text kit beyond the plain decoder: other decoders, lost words, pseudo-sentences, sequences."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from test_networks import BATCH, WORDS, E, H, V, Z, draw, image_kit, np_lstm, text_kit

from vaebench import methods, networks, schema
from vaebench.errors import UserError
from vaebench.methods.build import build
from vaebench.networks import common, decoders, generate, text
from vaebench.networks.text import END, START
from vaebench.ops import softmax

PLAIN, SKIP, CONV, ATTEND = {}, {'skip': True}, {'dilations': (1, 2), 'channels': 12}, {'attention': True}
OPTIONS = {'plain': PLAIN, 'skip': SKIP, 'conv': CONV, 'conv_skip': {**CONV, **SKIP}, 'attention': ATTEND}
EVERY = pytest.mark.parametrize('name', OPTIONS)
MEMORY = 4


def modules(name, family='B'):
    """The linen module that the kit's decoder of that name wraps."""
    sizes = V, E, H, Z, .5, family
    return {'plain': lambda: decoders.LstmDecoder(*sizes), 'skip': lambda: decoders.LstmDecoder(*sizes, True),
            'conv': lambda: decoders.ConvDecoder(*sizes, False, (1, 2), 12),
            'conv_skip': lambda: decoders.ConvDecoder(*sizes, True, (1, 2), 12),
            'attention': lambda: decoders.AttentionDecoder(*sizes)}[name]()


def code(name, n=3, seed=0, scale=1.):
    if name != 'attention':
        return scale * draw((n, Z), seed)
    sizes = jnp.array((2, MEMORY, 1))[jnp.arange(n) % 3]
    return {'memory': scale * draw((n, MEMORY, Z), seed), 'mask': jnp.arange(MEMORY) < sizes[:, None]}


@functools.cache
def made(name, scale=.7, family='B', seed=0):
    """(decoder, its params), with dropout .5."""
    dec = text_kit(init_scale=scale, family=family, embed_scale=1.).decoder(**OPTIONS[name])
    return dec, dec.init(jax.random.key(seed))


def all_logits(name, params, z, tokens):
    """Teacher forcing, all steps at once: [B, T, V] of inputs tokens [B, T]."""
    h = modules(name).apply({'params': params}, z, tokens.T, method='features')
    return (h @ params['w_out'] + params.get('b_out', 0)).swapaxes(0, 1)


def stepped(name, params, z, tokens):
    """The same in single steps, as generation takes them."""
    call, out = functools.partial(modules(name).apply, {'params': params}), []
    state, const = call(z, method='first')
    for t in range(tokens.shape[1]):
        state, logits = call(const, state, tokens[:, t], jnp.int32(t), method='step')
        out.append(logits)
    return jnp.stack(out, 1)


def f64(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


@EVERY
def test_steps_are_the_sentence(name):
    """Single steps give teacher forcing's logits, and log_prob is their log-softmax at the next words."""
    dec, params = made(name)
    z, tokens, length = code(name), BATCH['tokens'], np.asarray(BATCH['length'])
    logits = toys.jit(functools.partial(stepped, name))(params, z, tokens[:, :-1])
    np.testing.assert_allclose(logits, all_logits(name, params, z, tokens[:, :-1]), rtol=1e-4, atol=1e-5)
    logp = np.asarray(jax.nn.log_softmax(logits))
    want = [sum(logp[b, t, tokens[b, t + 1]] for t in range(length[b])) for b in range(3)]
    np.testing.assert_allclose(dec.log_prob(params, z, BATCH), want, rtol=1e-5)


@pytest.mark.parametrize('family', ['A', 'B'])
def test_skip_without_its_columns_is_the_plain_decoder(family):
    skip, plain = (text_kit(family=family).decoder(**o) for o in (SKIP, PLAIN))
    params, z = skip.init(jax.random.key(0)), draw((3, Z))
    assert params['w_out'].shape == (H + Z, V)
    want = plain.log_prob({**params, 'w_out': params['w_out'][:H]}, z, BATCH)
    none = {**params, 'w_out': params['w_out'].at[H:].set(0)}
    np.testing.assert_allclose(skip.log_prob(none, z, BATCH), want, rtol=1e-6)
    assert (np.abs(skip.log_prob(params, z, BATCH) - want) > 1e-3).all()


@pytest.mark.parametrize('name', ['skip', 'conv_skip'])
def test_skip_logits_are_linear_in_z_with_h_frozen(name):
    params = made(name)[1]
    if name == 'skip':                                     # h no longer knows z
        params = {**params, 'start': jax.tree.map(jnp.zeros_like, params['start']),
                  'lstm': {**params['lstm'], 'w_x': params['lstm']['w_x'].at[E:].set(0)}}
    else:
        params = {**params, 'codes': jax.tree.map(jnp.zeros_like, params['codes'])}
    z, tokens = draw((3, Z)), BATCH['tokens'][:, :-1]
    gap = all_logits(name, params, z, tokens) - all_logits(name, params, 0 * z, tokens)
    np.testing.assert_allclose(gap, jnp.broadcast_to((z @ params['w_out'][-Z:])[:, None], gap.shape), atol=1e-5)


def np_conv(p, z, tokens, dilations):
    """The convolutional decoder from its formulas, one step at a time: logits [T, V]."""
    relu, lin = lambda x: np.maximum(x, 0), lambda n, x: x @ p[n]['kernel'] + p[n].get('bias', 0)
    x = np.array([lin('words', p['embedding'][t]) + lin('codes', z) for t in tokens])
    for i, d in enumerate(dilations):
        a = relu_a = lin(f'narrow_{i}', relu(x))
        w = p[f'conv_{i}']['kernel'].reshape(3, a.shape[1], -1)
        out = np.zeros((len(a), w.shape[2]))
        for t in range(len(a)):
            out[t] = p[f'conv_{i}']['bias']
            for tap in range(3):
                past = t - (2 - tap) * d
                if past >= 0:
                    out[t] += relu(relu_a[past]) @ w[tap]
        x = x + lin(f'widen_{i}', relu(out))
    return x @ p['w_out'] + p.get('b_out', 0)


def test_convolution_is_the_formulas():
    params, z = made('conv')[1], draw((1, Z))
    tokens = np.random.default_rng(0).integers(3, V, (1, 9))
    want = np_conv(f64(params), np.asarray(z[0], np.float64), tokens[0], CONV['dilations'])
    np.testing.assert_allclose(all_logits('conv', params, z, jnp.asarray(tokens))[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dilations, field', [((1, 2), 7), ((1, 2, 4), 15), ((1, 2, 4, 8, 16), 63)])
def test_receptive_field_and_causality(dilations, field):
    """A word moves the logits of its own step and the field's further ones: none before, none after."""
    module, place, width = decoders.ConvDecoder(V, 8, 32, Z, 0., 'B', False, dilations), 5, field + 12
    tokens = np.random.default_rng(1).integers(3, V, (width, 64))
    init = common.initializer(module, common.by_name(.6, embedding=2.), jnp.zeros((1, Z)), BATCH)
    other, params, z = tokens.copy(), init(jax.random.key(0)), draw((64, Z))
    other[place] = 3 + (tokens[place] - 2) % (V - 3)
    one, two = (module.apply({'params': params}, z, jnp.asarray(t), method='features') for t in (tokens, other))
    moved = np.flatnonzero((np.asarray(one) != np.asarray(two)).any((1, 2)))
    assert moved.tolist() == list(range(place, place + field))


def test_convolution_reads_the_step_latents():
    dec, params = made('conv')
    z = draw((3, Z))
    steps = jnp.broadcast_to(z[:, None], (3, WORDS + 1, Z))            # padded to the kit's length
    np.testing.assert_allclose(dec.log_prob(params, steps, BATCH), dec.log_prob(params, z, BATCH), rtol=1e-5)
    late = dec.log_prob(params, steps.at[:, 3:].add(1.), BATCH) - dec.log_prob(params, z, BATCH)
    assert (np.abs(late) > 1e-4).tolist() == [False, True, False]


def np_attention(p, memory, tokens):
    """The attending decoder's logits [T, V] from its formulas; family B."""
    start = memory.mean(0) @ p['start']['kernel'] + p['start']['bias']
    out = []
    for h in np_lstm(p['lstm'], p['embedding'][tokens], start, np.zeros(H)):
        score = memory @ (h @ p['query']['kernel']) / np.sqrt(Z)
        weight = np.exp(score) / np.exp(score).sum()
        out.append(np.concatenate([h, weight @ memory]))
    return np.array(out) @ p['w_out'] + p['b_out']


def test_attention_is_the_formulas():
    params, z = made('attention')[1], code('attention')
    got = all_logits('attention', params, z, BATCH['tokens'][:, :-1])
    for b in range(3):
        memory = np.asarray(z['memory'][b], np.float64)[np.asarray(z['mask'][b])]
        np.testing.assert_allclose(got[b], np_attention(f64(params), memory, np.asarray(BATCH['tokens'][b, :-1])),
                                   rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_attention_sees_only_the_mask():
    """Memory beyond the mask changes nothing and gets no gradient; its order means nothing; its absence is finite."""
    dec, params = made('attention')
    z = code('attention')
    on = z['mask'][..., None]
    junk = {**z, 'memory': jnp.where(on, z['memory'], 7.)}
    wide = {'memory': jnp.pad(z['memory'], ((0, 0), (2, 3), (0, 0)), constant_values=-5.),
            'mask': jnp.pad(z['mask'], ((0, 0), (2, 3))).astype(jnp.float32)}
    f = lambda z: dec.log_prob(params, z, BATCH)
    for other in junk, wide, jax.tree.map(lambda x: x[:, ::-1], z):
        np.testing.assert_allclose(f(other), f(z), rtol=1e-5)
    assert (np.abs(f({**z, 'memory': z['memory'] * 2}) - f(z)) > 1e-3).all()
    grad = jax.grad(lambda m: f({**z, 'memory': m}).sum())(z['memory'])
    assert (np.abs(grad).sum(-1) > 0).tolist() == z['mask'].tolist()
    for mode in generate.MODES:
        one, two = (dec.generate(params, x, jax.random.key(0), mode)['tokens'] for x in (z, junk))
        assert (one == two).all()
    value, grad = jax.value_and_grad(lambda m: f({'memory': m, 'mask': 0 * z['mask']}).sum())(z['memory'])
    assert np.isfinite(value) and not np.asarray(grad).any()


@EVERY
def test_padding_and_dropout(name):
    """Wider batches change nothing; without a key nothing is dropped."""
    dec, params = made(name)
    z, wide = code(name), {**BATCH, 'tokens': jnp.pad(BATCH['tokens'], ((0, 0), (0, 4)), constant_values=7)}
    f = toys.jit(dec.log_prob)
    np.testing.assert_allclose(f(params, z, wide), f(params, z, BATCH), rtol=1e-5)
    one, two, three = (f(params, z, BATCH, jax.random.key(k)) for k in (0, 1, 0))
    assert (one != two)[:2].all() and (one == three).all()


@EVERY
@pytest.mark.slow
def test_vmap_over_seeds_and_samples_equals_loop(name):
    dec = made(name)[0]
    params = jax.vmap(dec.init)(jax.random.split(jax.random.key(0)))
    z = jax.tree.map(lambda *x: jnp.stack(x).reshape(2, 2, *x[0].shape), *(code(name, seed=s) for s in range(4)))
    got = toys.jit(jax.vmap(jax.vmap(lambda p, z: dec.log_prob(p, z, BATCH), (None, 0))))(params, z)
    run = toys.jit(jax.vmap(lambda p, z, k: [dec.generate(p, z, k, m)['tokens'] for m in generate.MODES]))
    keys = jax.random.split(jax.random.key(5))
    many = run(params, jax.tree.map(lambda x: x[:, 0], z), keys)
    for i in range(2):
        p = jax.tree.map(lambda x, i=i: x[i], params)
        for s in range(2):
            np.testing.assert_allclose(got[i, s], dec.log_prob(p, jax.tree.map(lambda x, i=i, s=s: x[i, s], z), BATCH),
                                       rtol=1e-4)
        for m, mode in enumerate(generate.MODES):
            own = dec.generate(p, jax.tree.map(lambda x, i=i: x[i, 0], z), keys[i], mode)['tokens']
            assert (many[m][i] == own).all(), mode


@EVERY
def test_second_derivative(name):
    """The gradient of a squared gradient, in z and in the parameters, against finite differences."""
    dec, params = made(name)
    with jax.enable_x64(True):
        double = lambda t: jax.tree.map(lambda x: jnp.array(x, jnp.float64) if x.dtype == jnp.float32 else x, t)
        z = double(code(name))
        z, mask = (z['memory'], {'mask': z['mask']}) if name == 'attention' else (z, None)
        both, rng = (double(params), z), np.random.default_rng(0)
        v = jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape)), both)

        def log_prob(both):
            return dec.log_prob(both[0], both[1] if mask is None else {'memory': both[1], **mask}, BATCH).sum()

        @toys.jit
        def numbers(both):
            f = lambda both: sum((g**2).sum() for g in jax.tree.leaves(jax.grad(log_prob)(both)))
            return f(both), jax.grad(f)(both)

        at = lambda e: numbers(jax.tree.map(lambda x, d: x + e * d, both, v))[0]
        want, grad = (at(1e-5) - at(-1e-5)) / 2e-5, numbers(both)[1]
        got = sum((g * d).sum() for g, d in zip(jax.tree.leaves(grad), jax.tree.leaves(v), strict=True))
        np.testing.assert_allclose(got, want, rtol=1e-5)


@EVERY
def test_memory_is_bounded_under_vmap(name):
    """200 samples of 8 sentences of 24 words: the logits alone would be 768 MB."""
    columns = schema.text(tuple(map(str, range(5000))), 30)
    dec = networks.build(columns, {'name': 'lstm', 'latent': 2, 'embed': 4, 'hidden': 4}).decoder(**OPTIONS[name])
    shape = lambda *s: jax.ShapeDtypeStruct(s, jnp.float32)
    z = {'memory': shape(200, 8, 4, 2), 'mask': shape(200, 8, 4)} if name == 'attention' else shape(200, 8, 2)
    batch = {'tokens': jax.ShapeDtypeStruct((8, 25), jnp.int32), 'length': jax.ShapeDtypeStruct((8,), jnp.int32)}
    f = toys.jit(jax.vmap(dec.log_prob, (None, 0, None)))
    used = f.lower(jax.eval_shape(dec.init, jax.random.key(0)), z, batch).compile().memory_analysis()
    assert used.temp_size_in_bytes < 8 * 4 * softmax.BLOCK


@EVERY
@pytest.mark.parametrize('family', ['A', 'B'])
def test_initialization(name, family):
    kit = networks.build(schema.text(tuple(map(str, range(40))), WORDS),
                         {'name': 'lstm', 'latent': 8, 'embed': 16, 'hidden': 32, 'family': family})
    params = kit.decoder(**OPTIONS[name]).init(jax.random.key(0))
    for path, x in jax.tree_util.tree_leaves_with_path(params):
        limit = .1 if path[-1].key == 'embedding' or family == 'B' else .01
        assert .5 * limit < np.abs(x).max() <= limit, path
    assert ('b_out' in params) == ('bias' in params.get('start', {'bias'} if family == 'B' else {})) == (family == 'B')


WORDY = {'tokens': jnp.array([[1, 5, 6, 7, 8, 9, 2, 0], [1, 4, 2, 0, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0, 0, 0]]),
         'length': jnp.array([6, 2, 1])}


def test_lost_words():
    """Sentences keep their ends, their order and one word; each word goes with the rate."""
    kit, n = text_kit(), 3000
    run = toys.jit(jax.vmap(kit.corrupt, (0, None, None)))
    keys = jax.random.split(jax.random.key(0), n)
    batch = {**WORDY, 'weight': jnp.arange(3.)}
    same, out, bare = (jax.tree.map(np.asarray, run(keys, batch, r)) for r in (0., .3, 1.))
    assert (same['tokens'] == WORDY['tokens']).all() and (same['length'] == WORDY['length']).all()
    assert (out['weight'] == np.arange(3.)).all() and out['length'].dtype == np.int32
    assert (bare['length'] == [2, 2, 1]).all()
    assert (np.abs((bare['tokens'][:, 0, 1] == np.arange(5, 10)[:, None]).mean(1) - .2) < .03).all()   # 4 s.e.
    assert (out['tokens'][:, 1:] == WORDY['tokens'][1:]).all()         # one word or none: nothing to lose
    kept = []
    for row, length in zip(out['tokens'][:, 0], out['length'][:, 0], strict=True):
        words = row[1:length].tolist()
        assert row[0] == START and row[length] == END and not row[length + 1:].any()
        assert words == sorted(set(words)) and len(words) >= 1 and set(words) <= set(range(5, 10))
        kept.append([w in words for w in range(5, 10)])
    assert (np.abs(np.mean(kept, 0) - .7 - .3**5 / 5) < 4 * np.sqrt(.21 / n)).all()


def test_lost_pixels():
    kit, x = image_kit(shape=(20, 20, 2)), jnp.ones((8, 20, 20, 2))
    out = toys.jit(kit.corrupt)(jax.random.key(0), {'x': x, 'weight': jnp.ones(8)}, .25)
    assert set(out) == {'x', 'weight'} and set(np.unique(out['x'])) == {0, 1}
    assert (out['x'][..., 0] == out['x'][..., 1]).all()    # a pixel goes with all its channels
    assert abs(float(out['x'].mean()) - .75) < 4 * (.1875 / 3200)**.5
    assert (kit.corrupt(jax.random.key(0), {'x': x}, 0.)['x'] == x).all()


@pytest.mark.slow
def test_pseudo_sentences():
    """Embeddings of the batch's sentences; behind the end its words; empty slots give none; all can be trained."""
    kit = text_kit()
    enc = kit.encoder()
    params, key = enc.init(jax.random.key(0)), jax.random.key(2)
    batch = {**WORDY, 'weight': jnp.array([1., 1., 0.])}
    got = toys.jit(kit.pseudo, static_argnums=3)(params, batch, key, 2)
    assert got['embedded'].shape == (2, 8, E)
    ids = np.asarray(jnp.abs(got['embedded'][:, :, None] - params['embedding']).sum(-1).argmin(-1))
    np.testing.assert_array_equal(params['embedding'][ids], got['embedded'])
    ids = ids[np.argsort(ids[:, 1])]                       # sentence 1 starts with 4, sentence 0 with 5
    assert ids[0, :3].tolist() == [1, 4, 2] and ids[1, :7].tolist() == [1, 5, 6, 7, 8, 9, 2]
    assert set(ids[0, 3:]) | set(ids[1, 7:]) <= {4, 5, 6, 7, 8, 9}
    many = kit.pseudo(params, batch, key, 7)['embedded']
    assert len({bytes(np.asarray(row)) for row in many}) == 7          # the same sentence, but no twins
    assert np.abs(many[2:4, :3] - many[:2, :3]).max() < .06
    grad = jax.grad(lambda e: enc.apply(params, {'embedded': e}).last.sum())(got['embedded'])
    assert (np.abs(grad).sum(-1) > 0).all()


def test_encoder_reads_embedded_sentences():
    """A sentence without padding gives the features of its tokens."""
    enc = text_kit().encoder()
    params = enc.init(jax.random.key(0))
    batch = {'tokens': BATCH['tokens'][1:2], 'length': BATCH['length'][1:2]}
    toys_close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(toys_close, enc.apply(params, {'embedded': params['embedding'][batch['tokens']]}),
                 enc.apply(params, batch))


@pytest.mark.parametrize('name', ['mlp', 'conv'])
def test_pseudo_images(name):
    kit, x = image_kit(name), draw((4, 8, 8, 1))
    batch = {'x': x, 'weight': jnp.array([1., 0., 1., 1.])}
    got = toys.jit(lambda key: kit.pseudo(None, batch, key, 5))(jax.random.key(0))['x']
    rows = [int(jnp.abs(x - g).sum((1, 2, 3)).argmin()) for g in got]
    assert sorted(rows[:3]) == [0, 2, 3] and rows[3:] == rows[:2]
    assert (got[:3] == x[jnp.array(rows[:3])]).all()
    assert 0 < np.abs(got[3:] - got[:2]).max() < .06       # copies can part
    for column in ('tokens', 'length'):
        with pytest.raises(UserError, match=f"needs a column '{column}', which the data has not: it has x"):
            kit.size(column)
    with pytest.raises(UserError, match="needs a network 'sequence', which the kit has not: it has encoder, head"):
        kit.sequence(2, 3)


def test_sequence_is_a_causal_lstm():
    kit = text_kit()
    net = kit.sequence(2, 3)
    params, x = net.init(jax.random.key(0)), draw((4, 6, 2))
    got = net.apply(params, x)
    p = f64(params)
    for b in range(4):
        h = np_lstm(p['lstm'], np.asarray(x[b], np.float64), np.zeros(H), np.zeros(H))
        np.testing.assert_allclose(got[b], h @ p['out']['kernel'] + p['out']['bias'], rtol=1e-4, atol=1e-6)
    moved = net.apply(params, x.at[:, 3].add(1.)) != got
    assert not moved[:, :3].any() and moved[:, 3:].any(-1).all()
    assert (kit.size('tokens'), kit.size('length')) == (V, WORDS + 1)


@pytest.mark.slow
def test_language_model_of_convolutions():
    dec = text_kit().decoder(latent=0, dilations=(1, 2))
    params = dec.init(jax.random.key(0))
    assert 'codes' not in params
    for mode in generate.MODES:
        batch = dec.generate(params, jnp.zeros((3, 0)), jax.random.key(0), mode)
        assert np.isfinite(dec.log_prob(params, None, batch)).all()
    uniform = jax.tree.map(jnp.zeros_like, params)
    np.testing.assert_allclose(dec.log_prob(uniform, None, BATCH), -BATCH['length'] * np.log(V), rtol=1e-6)


def test_what_does_not_fit_is_a_one_line_error(monkeypatch):
    kit = text_kit()
    with pytest.raises(UserError, match='attention'):
        kit.decoder(attention=True, dilations=(1,))
    with pytest.raises(UserError, match='latent > 0'):
        kit.decoder(latent=0, attention=True)
    mlp = {'name': 'mlp', 'latent': 2, 'hidden': (3,)}
    for name, lacks in (('skip_vae', 'decoder.skip'), ('twr', 'encoder.states')):
        with pytest.raises(UserError, match=f'{name} needs {lacks}, which kit.name=mlp has not .lstm'):
            build({'method': name, 'kit': mlp, 'options': {}}, {}, toys.recipe())   # before any data is read
    undeclared = methods.METHODS['skip_vae']._replace(needs=())      # such as an installed package's
    monkeypatch.setitem(methods.METHODS, 'undeclared', undeclared)
    with pytest.raises(UserError, match="undeclared or its kit: .* keyword argument 'skip'; mend"):
        build({'method': 'undeclared', 'kit': mlp, 'options': {}}, toys.SCHEMA, toys.recipe())
    dec, params = made('plain')
    with pytest.raises(UserError, match='beam'):
        dec.generate(params, draw((2, Z)), None, 'mean')
    assert text.START == generate.START
