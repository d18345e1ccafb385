"""Rows of sentences that differ in the decoder, and the bag of words."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.errors import UserError
from vaebench.methods import autoencoders, text_decoders

RAMP = {'beta': .5, 'beta_start': .5, 'warmup': 0., 'delay': 0., 'period': 0., 'bow': 1.}
TEXT = schema.text(tuple('abcdefghi'), 5)
DATA = {k: v for k, v in toys.sentences(6).items() if k != 'log_p'}
LATENT, HIDDEN = 2, 4


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def kit():
    return networks.build(
        TEXT, {
            'name': 'lstm', 'latent': LATENT, 'embed': 3, 'hidden': HIDDEN, 'family': 'B',
            'init_scale': .7, 'embed_scale': 1.
        })


@functools.cache
def started(make, **options):
    """Method, params and carry."""
    method = make(kit(), toys.recipe(), **options)
    return method, *method.init(jax.random.key(5), toys.all_of(DATA))


@functools.cache
def compiled(make, **options):
    return toys.jit(started(make, **options)[0].phases[0].players[0].loss)


def evaluate(make, params=None, batch=None, numbers=None, **options):
    """Loss and aux on a batch."""
    _, own, carry = started(make, **options)
    loss, (_, aux) = compiled(make, **options)(params or own, carry, batch or toys.all_of(DATA),
                                               toys.ctx({**RAMP, **(numbers or {})}))
    return float(loss), {k: float(v) for k, v in aux.items()}


def test_skip_vae_without_its_second_path_is_the_vae():
    """The softmax reads [h; z]: with zeros in z's rows it reads h."""
    _, params, _ = started(text_decoders.skip_vae)
    w = params['dec']['w_out']
    assert w.shape == (HIDDEN + LATENT, 9)
    shut = {**params, 'dec': {**params['dec'], 'w_out': w.at[HIDDEN:].set(0)}}
    plain = {**params, 'dec': {**params['dec'], 'w_out': w[:HIDDEN]}}
    assert jax.tree.map(jnp.shape, plain) == jax.tree.map(jnp.shape,
                                                          started(autoencoders.vae)[1])
    want = evaluate(autoencoders.vae, plain)
    toys.close(evaluate(text_decoders.skip_vae, shut), want, rtol=1e-12)
    assert abs(evaluate(text_decoders.skip_vae)[0] - want[0]) > 1e-3


def test_skip_vae_has_a_linear_path_to_every_word():
    """With the LSTM deaf to z, log odds of two last words are linear in z."""
    method, params, carry = started(text_decoders.skip_vae)
    lstm = params['dec']['lstm']
    deaf = {
        **params, 'dec': {
            **params['dec'], 'lstm': {**lstm, 'w_x': lstm['w_x'].at[3:].set(0)},
            'start': jax.tree.map(jnp.zeros_like, params['dec']['start'])
        }
    }
    z = jax.random.normal(jax.random.key(0), (1, LATENT))

    def odds(z):
        """ln p(... 4 | z) - ln p(... 7 | z): the last predicted token alone differs."""
        both = [
            method.evals['log_lik'](
                deaf, carry, z, {'tokens': jnp.array([[1, 3, 5, w]]), 'length': jnp.array([3])})
            for w in (4, 7)
        ]
        return float(both[0][0] - both[1][0])

    steps = [odds(t * z) for t in (0., 1., 2., 5.)]
    np.testing.assert_allclose(
        np.diff(steps) / np.diff([0., 1., 2., 5.]), steps[1] - steps[0], rtol=1e-9)
    want = z[0] @ (params['dec']['w_out'][HIDDEN:, 4] - params['dec']['w_out'][HIDDEN:, 7])
    assert steps[1] - steps[0] == pytest.approx(float(want), rel=1e-9)


def bag(tokens, length, reduce='sum'):
    """Mean of the term over the batch, one word after the other."""
    method, params, carry = started(text_decoders.bow_vae, hidden=5)
    q = method.evals['posterior'](params, carry, toys.all_of(DATA))
    z = np.asarray(method.evals['sample_q'](params, carry, q,
                                            core.derive(jax.random.key(0), 0, 1)))
    net = [(np.asarray(x['kernel']), np.asarray(x['bias']))
           for _, x in sorted(params['bow'].items())]
    total = []
    for i, code in enumerate(z):
        logits = np.tanh(code @ net[0][0] + net[0][1]) @ net[1][0] + net[1][1]
        nats = -np.asarray(
            [logits[w] - np.log(np.exp(logits).sum()) for w in tokens[i][1:length[i] + 1]])
        total.append(getattr(nats, reduce)())
    return np.mean(total)


@pytest.mark.parametrize('reduce', ['sum', 'mean'])
def test_bag_of_words_is_its_formula(reduce):
    want = bag(np.asarray(DATA['tokens']), np.asarray(DATA['length']), reduce)
    loss, aux = evaluate(text_decoders.bow_vae, hidden=5, reduce=reduce)
    assert aux['bow'] == pytest.approx(want, rel=1e-9)
    assert loss == pytest.approx(aux['rec'] + .5 * aux['kl'] + want, rel=1e-9)
    heavy, same = evaluate(text_decoders.bow_vae, hidden=5, reduce=reduce, numbers={'bow': 3.})
    assert heavy - loss == pytest.approx(2 * want, rel=1e-9) and same == aux


def test_bag_of_words_leaves_what_is_reported():
    """Of the same parameters and noise, rec and KL are the VAE's, whatever the weight."""
    _, params, _ = started(text_decoders.bow_vae, hidden=5)
    rest = {k: v for k, v in params.items() if k != 'bow'}
    plain = evaluate(autoencoders.vae, rest)
    for weight in (0., 1., 7.):
        loss, aux = evaluate(text_decoders.bow_vae, hidden=5, numbers={'bow': weight})
        assert {k: aux[k] for k in ('rec', 'kl', 'beta')} == pytest.approx(plain[1], rel=1e-12)
        assert weight or loss == pytest.approx(plain[0], rel=1e-12)


def test_bag_of_words_knows_no_order():
    """The codes are given, so that only the term sees the words move."""
    extra = text_decoders.bag_of_words(kit(), 5)
    params, batch = extra.init(jax.random.key(0)), toys.all_of(DATA)
    terms = type('Terms', (), {'z': jax.random.normal(jax.random.key(1), (6, LATENT))})
    tokens = np.array(DATA['tokens'])
    rng = np.random.default_rng(0)
    for row, n in zip(tokens, np.asarray(DATA['length']), strict=True):
        row[1:n + 1] = rng.permutation(row[1:n + 1])
        # what lies beyond the end is not told
        row[n + 1:] = 8
    assert (tokens != DATA['tokens']).any()
    value, again = (extra.apply(params, terms, {**batch, 'tokens': t}, toys.ctx(RAMP))[0]
                    for t in (batch['tokens'], jnp.asarray(tokens)))
    assert float(value) == pytest.approx(float(again), rel=1e-12)


@pytest.mark.parametrize('reduce, value', [('sum', 3.5 * np.log(9)), ('mean', np.log(9))])
def test_bag_of_words_of_a_uniform_softmax(reduce, value):
    extra = text_decoders.bag_of_words(kit(), 5, reduce=reduce)
    params = jax.tree.map(jnp.zeros_like, extra.init(jax.random.key(0)))
    terms = type('Terms', (), {'z': jnp.ones((3, LATENT))})
    batch = {'tokens': jnp.tile(jnp.arange(7), (3, 1)), 'length': jnp.array([2, 5, 4]),
             'weight': jnp.array([1., 1., 0.])}
    assert float(extra.apply(params, terms, batch, toys.ctx(RAMP))[0]) == pytest.approx(
        value, rel=1e-12)


def test_bag_of_words_needs_words():
    images = networks.build({'x': schema.image((3, 3, 1))},
                            {'name': 'mlp', 'latent': 2, 'hidden': (6,)})
    with pytest.raises(UserError, match="needs a column 'tokens', which the data has not"):
        text_decoders.bow_vae(images, toys.recipe())


def told(method, params, carry, tokens, z):
    """ln p of each predicted token [T]: the difference of what two lengths tell."""
    n = tokens.shape[1]
    many = {'tokens': jnp.broadcast_to(tokens, (n, n)), 'length': jnp.arange(n)}
    return jnp.diff(method.evals['log_lik'](params, carry, jnp.broadcast_to(z, (n, z.shape[1])),
                                            many))


@pytest.mark.parametrize('dilations, field', [((1,), 3), ((1, 2), 7)])
def test_convolutions_see_so_many_words_and_none_to_come(dilations, field):
    """Of twenty draws of the weights, since so few channels may all be shut."""
    method, _, carry = started(text_decoders.cnn_vae, dilations=dilations)
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, 9, (1, 13)),
                         jnp.int32).at[0, 0].set(1)
    z, at = jax.random.normal(jax.random.key(0), (1, LATENT)), 4
    draws = jax.vmap(lambda k: method.init(k, toys.all_of(DATA))[0])(jax.random.split(
        jax.random.key(1), 20))
    f = toys.jit(
        jax.vmap(lambda params, tokens: told(method, params, carry, tokens, z), (0, None)))
    moved = f(draws, tokens) - f(draws, tokens.at[0, at].set(3 + (tokens[0, at] - 2) % 6))
    seen = np.flatnonzero((np.abs(moved) > 1e-12).any(0))
    # the word is the target of step 3, an input from step 4 on, and last of step 4 + field - 1
    np.testing.assert_array_equal(seen, np.arange(at - 1, at + field))


def test_convolutions_read_the_code_at_every_step():
    method, params, carry = started(text_decoders.cnn_vae, dilations=(1,))
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, 9, (1, 7)),
                         jnp.int32).at[0, 0].set(1)
    a, b = (told(method, params, carry, tokens, jnp.full((1, LATENT), v)) for v in (0., 1.))
    assert (abs(a - b) > 1e-6).all()


@pytest.mark.parametrize('make, options', [(text_decoders.skip_vae, {}),
                                           (text_decoders.cnn_vae, {}),
                                           (text_decoders.bow_vae, {'hidden': 5})])
def test_text_rows_are_vaes(make, options):
    """rec + beta KL of the same posterior as the VAE's; the decoder of evaluation is that of
    training.
    """
    method, params, carry = started(make, **options)
    batch = toys.all_of(DATA)
    _, aux = evaluate(make, **options, numbers={'bow': 0.})
    q = method.evals['posterior'](params, carry, batch)
    toys.close(q,
               started(autoencoders.vae)[0].evals['posterior'](params, carry, batch),
               rtol=1e-12)
    assert aux['kl'] == pytest.approx(float(method.evals['kl'](params, carry, q).mean()),
                                      rel=1e-9)
    out = method.evals['sample'](params, carry, jax.random.key(0), 3, 'greedy')
    assert out['tokens'].shape == (3, 7) and (out['tokens'][:, 0] == 1).all()
