"""What a conversation is read as: padding is never seen, and everything else counts."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import networks, schema
from vaebench.networks import common, conversations

WORDS, TURNS, WIDTH, HIDDEN = tuple('abcdefghi'), 3, 6, 5
TALK = {**schema.text(WORDS, 4), 'label': schema.label(2), 'topic': schema.label(toys.TOPICS), 'context': {
    'tokens': schema.Field('tokens', (TURNS, None), 9, WORDS), 'length': schema.Field('length', (TURNS,), 5),
    'speaker': schema.Field('class', (TURNS,), 2), 'turns': schema.Field('length', (), TURNS)}}
SAID = [[[4, 5, 6], [7]], [[8, 4]], [[5], [6, 6], [7, 8, 4]]]           # words of every turn of three contexts
BITS = [[0, 1], [1], [0, 0, 1]]


def made(rows, bits, turns=TURNS, width=WIDTH, fill=0):
    """A batch of contexts; `fill` stands wherever nothing does."""
    told = {'tokens': np.full((len(rows), turns, width), fill), 'length': np.full((len(rows), turns), min(fill, 2)),
            'speaker': np.full((len(rows), turns), min(fill, 1)), 'turns': np.array([len(r) for r in rows])}
    for i, (row, own) in enumerate(zip(rows, bits, strict=True)):
        for j, (words, bit) in enumerate(zip(row, own, strict=True)):
            told['tokens'][i, j, :len(words) + 2] = [1, *words, 2]
            told['length'][i, j], told['speaker'][i, j] = len(words) + 1, bit
    return {'context': {k: jnp.asarray(v, jnp.int32) for k, v in told.items()},
            'topic': jnp.arange(len(rows), dtype=jnp.int32)}


@pytest.fixture(scope='module')
def reader():
    """(batch) -> contexts, of parameters that are far from 0."""
    told = conversations.contexts(TALK, 4, HIDDEN, common.constant(.8))['context']()
    params = told.init(jax.random.key(0))
    assert told.width == HIDDEN + conversations.TOPIC and told.columns == ('context', 'topic') and told.draw is None
    return toys.jit(lambda batch: told.apply(params, batch))


def test_padding_is_never_seen(reader):
    plain = reader(made(SAID, BITS))
    assert plain.shape == (3, HIDDEN + conversations.TOPIC)
    for fill in (0, 7):                                        # more turns and tokens, and what stands there
        other = made(SAID, BITS, TURNS + 2, WIDTH + 3, fill)
        np.testing.assert_allclose(reader(other), plain, rtol=1e-5, atol=1e-6)
    for i in range(3):                                         # nor is the rest of the batch
        rows, bits = ([x[i]] * 3 for x in (SAID, BITS))
        np.testing.assert_allclose(reader(made(rows, bits))[i], plain[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('rows, bits, changed', [
    ([[[4, 5, 7], [7]], *SAID[1:]], BITS, 0),                  # the last word of the first turn
    ([[[3, 5, 6], [7]], *SAID[1:]], BITS, 0),                  # its first word
    ([[[7], [4, 5, 6]], *SAID[1:]], BITS, 0),                  # the order of turns
    ([*SAID[:2], [[5], [6, 6], [8, 7, 4]]], BITS, 2),          # the order of words
    (SAID, [[1, 1], *BITS[1:]], 0),                            # who said it
    ([SAID[0], [[8, 4], [8, 4]], SAID[2]], [BITS[0], [1, 1], BITS[2]], 1),     # how often
])
def test_what_is_said_counts(reader, rows, bits, changed):
    gap = np.abs(reader(made(rows, bits)) - reader(made(SAID, BITS)))[:, :HIDDEN].max(1)
    assert gap[changed] > 1e-4 and np.delete(gap, changed).max() < 1e-6


def test_both_directions_end_where_the_utterance_does():
    module = conversations.Conversation(9, 4, HIDDEN)
    batch = made(SAID, BITS)
    params = common.initializer(module, common.constant(.8), batch)(jax.random.key(1))
    tokens, length = jnp.array([[1, 4, 5, 2, 7, 7]]), jnp.array([3])
    read = toys.jit(lambda params, tokens: module.apply({'params': params}, tokens, length, method='utterances'))
    both = read(params, tokens)
    assert both.shape == (1, 2 * HIDDEN)
    swapped = {**params, 'forth': params['back'], 'back': params['forth']}
    turned = read(swapped, jnp.array([[2, 5, 4, 1, 0, 0]]))
    np.testing.assert_allclose(both, jnp.roll(turned, HIDDEN, 1), rtol=1e-5, atol=1e-6)


def test_the_topic_is_told_where_there_is_one():
    plain = {k: v for k, v in TALK.items() if k != 'topic'}
    kits = [networks.build(s, dict(name='lstm', latent=2, embed=4, hidden=HIDDEN)) for s in (TALK, plain)]
    told, untold = (kit.context() for kit in kits)
    assert told.width - untold.width == conversations.TOPIC and untold.columns == ('context',)
    batch = made(SAID, BITS)
    params = told.init(jax.random.key(0))
    other = {**batch, 'topic': (batch['topic'] + 1) % toys.TOPICS}
    read = toys.jit(told.apply)
    a, b = (read(params, x) for x in (batch, other))
    np.testing.assert_array_equal(a[:, :HIDDEN], b[:, :HIDDEN])
    assert (np.abs(a - b)[:, HIDDEN:].max(1) > 0).all()
    assert jax.eval_shape(lambda: untold.apply(untold.init(jax.random.key(0)), batch)).shape == (3, HIDDEN)
    # the label is another network, and no part of the context
    label = kits[0].label_context()
    assert label.apply({}, {'label': jnp.array([1])}).tolist() == [[0., 1.]] and 'label' not in told.columns
