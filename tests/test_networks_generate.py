"""Generation from every decoder: greedy, sampled and by beam search."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from test_networks import WORDS, E, H, V, Z, draw
from test_networks_text import EVERY, OPTIONS, all_logits, code, made

from vaebench import networks, schema
from vaebench.networks import generate
from vaebench.networks.text import END, PAD, START


@pytest.mark.parametrize('mode', generate.MODES)
@EVERY
def test_generated_sentences_are_well_formed(name, mode):
    dec, params = made(name, 1.)
    z = code(name, 24, scale=3.)
    batch = toys.jit(dec.generate, static_argnums=3)(params, z, jax.random.key(1), mode)
    tokens, length = np.asarray(batch['tokens']), np.asarray(batch['length'])
    assert tokens.shape == (24, WORDS + 2) and tokens.dtype == length.dtype == np.int32
    assert (tokens[:, 0] == START).all() and (tokens[np.arange(24), length] == END).all()
    for row, n in zip(tokens, length, strict=True):
        assert not np.isin(row[1:n], (PAD, START, END)).any() and (row[n + 1:] == PAD).all()
    assert len(set(map(bytes, tokens))) > 3                # z matters
    assert length.min() < WORDS + 1                        # some end by themselves


@pytest.mark.parametrize('name', ['plain', 'conv', 'attention'])
def test_greedy_takes_the_likeliest_token(name):
    dec, params = made(name, 1.)
    z = code(name, 24, scale=3.)
    batch = dec.generate(params, z, None, 'greedy')
    logits = np.array(all_logits(name, params, z, batch['tokens'][:, :-1]))
    logits[..., [PAD, START]] = -np.inf
    for row, best, n in zip(np.asarray(batch['tokens']), logits.argmax(-1), np.asarray(batch['length']), strict=True):
        free = min(n, WORDS)                               # the last </s> of a full sentence is forced
        assert best[:free].tolist() == row[1:free + 1].tolist()


@pytest.mark.slow
def test_samples_of_two_words_follow_the_model():
    """Frequencies of whole sentences, with a decoder whose steps depend on each other."""
    kit = networks.build(schema.text(tuple('abcde'), 1),
                         {'name': 'lstm', 'latent': Z, 'embed': E, 'hidden': H, 'init_scale': 1.})
    dec, n = kit.decoder(dilations=(1,)), 4000
    params, z = dec.init(jax.random.key(0)), jnp.broadcast_to(draw((1, Z)), (n, Z))
    logits = stepped_one(dec, params, z[:1])
    p = np.exp(logits[[END, 3, 4]] - logits[[END, 3, 4]].max())
    p = p / p.sum()
    first = np.asarray(dec.generate(params, z, jax.random.key(1), 'sample')['tokens'][:, 1])
    share = np.array([(first == w).mean() for w in (END, 3, 4)])
    assert (np.abs(share - p) <= 4 * np.sqrt(p * (1 - p) / n)).all()


def stepped_one(dec, params, z):
    """First logits up to a constant, from log_prob of one word: [V]."""
    out = []
    for w in range(5):
        out.append(float(dec.log_prob(params, z, {'tokens': jnp.array([[START, w]]), 'length': jnp.array([1])})[0]))
    return np.array(out)


TINY, FEW = 5, 3             # <pad> <s> </s> and two words; sentences of at most three


def tiny(name, width, seed):
    columns = schema.text(tuple('abcde'[:TINY]), FEW)
    kit = networks.build(columns, {'name': 'lstm', 'latent': Z, 'embed': E, 'hidden': H,
                                   'init_scale': 1.2, 'family': 'B', 'beam': width})
    dec = kit.decoder(**OPTIONS[name])
    return dec, dec.init(jax.random.key(seed))


def every_sentence():
    """All 15 sentences as a batch."""
    rows = [(START, *w, END) for n in range(FEW + 1) for w in itertools.product((3, 4), repeat=n)]
    return {'tokens': jnp.array([r + (PAD,) * (FEW + 2 - len(r)) for r in rows]),
            'length': jnp.array([len(r) - 1 for r in rows])}


def np_beam(score, width):
    """Beam search over prefixes; score is log p of a prefix, a finished sentence being one that ends."""
    beam = [(START,)]
    for t in range(FEW + 1):
        words = (END, 3, 4) if t < FEW else (END,)
        grown = [p if p[-1] == END else (*p, w) for p in beam for w in (words if p[-1] != END else (None,))]
        beam = sorted(grown, key=score, reverse=True)[:width]
    return beam[0]


@EVERY
@pytest.mark.slow
def test_beam_search_against_brute_force(name):
    """Every sentence kept: the likeliest of all. Fewer: an independent search. One: greedy."""
    z, sentences = code(name, 6, scale=2.), every_sentence()
    prefixes = [(START, *w) for n in range(1, FEW + 2) for w in itertools.product((END, 3, 4), repeat=n)
                if END not in w[:-1]]
    table = {'tokens': jnp.array([p + (PAD,) * (FEW + 2 - len(p)) for p in prefixes]),
             'length': jnp.array([len(p) - 1 for p in prefixes])}
    dec, params = tiny(name, 1, 1)

    @toys.jit
    @jax.vmap
    def log_prob(z):
        """Of all prefixes and of all sentences."""
        many = lambda batch: dec.log_prob(params, jax.tree.map(
            lambda x: jnp.broadcast_to(x, (len(batch['length']), *x.shape)), z), batch)
        return many(table), many(sentences)

    part, whole = log_prob(z)
    best, greedy = sentences['tokens'][whole.argmax(1)], dec.generate(params, z, None, 'greedy')['tokens']
    for width in (1, 2, 3, 40):
        got = toys.jit(tiny(name, width, 1)[0].generate, static_argnums=3)(params, z, None, 'beam')
        if width == 40:
            assert (got['tokens'] == best).all()
            np.testing.assert_allclose(dec.log_prob(params, z, got), whole.max(1), rtol=1e-5)
        if width == 1:
            assert (got['tokens'] == greedy).all() and (greedy != best).any()      # searching is worth it
        for b in range(6):
            want = np_beam(dict(zip(prefixes, part[b].tolist(), strict=True)).get, width)
            assert got['tokens'][b].tolist() == [*want, *(PAD,) * (FEW + 2 - len(want))], width


def test_the_loop_ends_with_the_last_open_sentence():
    """A decoder that says </s> at once takes one step."""
    steps = []

    def step(const, state, token, t):
        jax.debug.callback(lambda t: steps.append(int(t)), t)
        return state, jnp.zeros((len(token), V)).at[:, END].set(9.)

    for mode in generate.MODES:
        steps.clear()
        out = generate.sentences(lambda z: (z, None), step, jnp.zeros((3, 1)), 50, jax.random.key(0), mode)
        jax.effects_barrier()
        assert out['tokens'].shape == (3, 52)
        assert len(steps) == out['length'].max() <= 3 and (mode == 'sample' or len(steps) == 1)


@pytest.mark.parametrize('name', ['plain', 'skip', 'conv', 'conv_skip'])
def test_generation_reads_the_step_latents(name):
    """Latents per step that are all alike generate what the one latent does; a change matters from its step on."""
    dec, params = made(name, 1.)
    z = 2 * draw((12, Z))
    steps = jnp.broadcast_to(z[:, None], (12, WORDS + 1, Z))
    run = toys.jit(lambda z: dec.generate(params, z, None, 'greedy')['tokens'])
    one, two, late = run(z), run(steps), run(steps.at[:, 3:].multiply(-3.))
    assert (one == two).all()
    assert (one[:, :4] == late[:, :4]).all() and (one != late).any()
