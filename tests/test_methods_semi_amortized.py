"""Semi-amortised inference: the recursion in closed form, its derivative, and what evaluation
promises.
"""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from vaebench import core, networks, schema
from vaebench.methods import autoencoders, semi_amortized
from vaebench.ops import divergences

DATA = toys.images(6)
RAMP = {'beta': .7, 'beta_start': .7, 'warmup': 0., 'delay': 0., 'period': 0.}
TEXT = schema.text(tuple('abcdefghi'), 5)


@pytest.fixture(autouse=True)
def double():
    """All of this file runs in float64."""
    with jax.enable_x64(True):
        yield


@functools.cache
def lstm():
    """A kit of sentences with weights large enough to matter, and dropout."""
    return networks.build(
        TEXT, {
            'name': 'lstm', 'latent': 2, 'embed': 3, 'hidden': 4, 'family': 'B',
            'init_scale': .7, 'embed_scale': 1.
        })


def sentences(n=4):
    return {k: v for k, v in toys.sentences(n).items() if k != 'log_p'}


def started(kit=None, data=DATA, make=semi_amortized.semi_amortized, **options):
    """Method, params, carry and the loss of all data: (params, batch) -> loss, (carry, aux)."""
    method = make(kit or toys.kit(), toys.recipe(), **options)
    params, carry = method.init(jax.random.key(5), toys.all_of(data))
    loss = method.phases[0].players[0].loss
    return method, params, carry, lambda params, batch: loss(params, carry, batch, toys.ctx(RAMP
                                                                                            ))


@pytest.mark.parametrize('kind', ['image', 'text'])
@pytest.mark.slow
def test_no_step_is_the_vae(kind):
    kit, data = (toys.kit(), DATA) if kind == 'image' else (lstm(), sentences())
    both = []
    for make, options in ((semi_amortized.semi_amortized, {'refine': 0}), (autoencoders.vae,
                                                                           {})):
        method, params, carry, loss = started(kit, data, make, **options)
        both.append([
            toys.jit(jax.value_and_grad(loss, has_aux=True))(params, toys.all_of(data)),
            method.evals['posterior'](params, carry, toys.all_of(data))
        ])
    toys.close(*both, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize('step', [1., .3])
@pytest.mark.parametrize('count', [1, 5])
def test_quadratic_recursion(step, count):
    """x' = x + s v', v' = v/2 - a (x - c): a linear map, whose power is the state and its
    derivative.
    """
    curve, centre = jnp.array([.2, 1.1, 3.]), jnp.array([1., -2., .5])
    noise = jnp.zeros(count)

    def search(start):
        return semi_amortized.refined(lambda q, _: 16 * (curve * (q - centre)**2).sum(-1),
                                      start, noise, step, None)

    start = jnp.array([[0., 4., -1.], [2., 2., 2.]])
    (end, losses), slopes = search(start), jax.jacobian(lambda x: search(x[None])[0][0])(
        start[0])
    for j, a in enumerate(np.asarray(curve)):
        power = np.linalg.matrix_power(np.array([[1 - step * a, .5 * step], [-a, .5]]), count)
        np.testing.assert_allclose(end[:, j] - centre[j],
                                   power[0, 0] * (start[:, j] - centre[j]), rtol=1e-10)
        np.testing.assert_allclose(slopes[j], power[0, 0] * np.eye(3)[j], rtol=1e-10,
                                   atol=1e-14)
    assert losses.shape == (count, 2)
    np.testing.assert_allclose(losses[0], 16 * (curve * (start - centre)**2).sum(-1),
                               rtol=1e-12)


def directional(f, params, eps=1e-5):
    """Derivative of f along a random direction of each part, and its central difference."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(11), len(leaves))
    ways = tree.unflatten(
        [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)])
    grads, f = toys.jit(jax.grad(f))(params), toys.jit(f)
    for name in params:
        moved = lambda t, name=name: {
            **params, name: jax.tree.map(lambda x, d: x + t * d, params[name], ways[name])
        }
        exact = sum(
            jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), grads[name], ways[name])))
        yield name, float(exact), float((f(moved(eps)) - f(moved(-eps))) / (2 * eps))


@pytest.mark.parametrize('kind, options', [('image', {'refine': 3, 'clip': None, 'step': 4.}),
                                           ('image', {'refine': 3, 'clip': .01, 'step': 4.}),
                                           ('text', {'refine': 2, 'clip': None, 'step': 4.})])
@pytest.mark.slow
def test_gradient_is_the_total_derivative(kind, options):
    """Through every step, also where it is clipped, with respect to each part; steps are long
    enough to matter.
    """
    kit, data = (toys.kit(), DATA) if kind == 'image' else (lstm(), sentences())
    _, params, carry, loss = started(kit, data, **options)
    batch = toys.all_of(data)
    for name, exact, numeric in directional(lambda p: loss(p, batch)[0], params):
        assert abs(exact - numeric) <= 1e-5 * max(abs(numeric), 1e-2), name


def test_steps_are_differentiated_through():
    """Without the steps' own derivative the gradient would be another."""
    _, params, _, loss = started(refine=3, step=8., clip=None)
    batch = toys.all_of(DATA)
    exact = toys.jit(jax.grad(lambda p: loss(p, batch)[0]))(params)
    frozen = lambda f: lambda *a, **k: jax.lax.stop_gradient(f(*a, **k))
    whole = semi_amortized.clip_rows
    try:
        semi_amortized.clip_rows = frozen(whole)
        cut = toys.jit(jax.grad(lambda p: loss(p, batch)[0]))(params)
    finally:
        semi_amortized.clip_rows = whole
    assert abs(exact['head']['w'] - cut['head']['w']).max() > 1e-3
    assert abs(exact['dec']['w'] - cut['dec']['w']).max() > 1e-3


def inner(method, params, carry, batch, noise):
    """The loss that evaluation descends, of q: rec + KL, without dropout."""
    def loss(q, e):
        z = q['mean'] + jnp.exp(.5 * q['log_var']) * e
        return divergences.normal_kl(**q) - method.evals['log_lik'](params, carry, z, batch)

    return loss


@pytest.mark.parametrize('kind', ['image', 'text'])
def test_inner_loss_does_not_rise_for_small_steps(kind):
    kit, data = (toys.kit(), DATA) if kind == 'image' else (lstm(), sentences())
    method, params, carry, _ = started(kit, data, refine=0)
    batch = toys.all_of(data)
    q = method.evals['posterior'](params, carry, batch)
    noise = jnp.broadcast_to(jax.random.normal(jax.random.key(1), (kit.latent,)),
                             (30, kit.latent))
    loss = inner(method, params, carry, batch, noise)
    _, losses = toys.jit(lambda q: semi_amortized.refined(loss, q, noise, 1.))(q)
    assert (jnp.diff(losses, axis=0) < 0).all()
    assert (losses[-1] < losses[0] - .01).all()


def test_evaluation_is_its_formula():
    """The same fixed noise for every example, beta 1, steps of a 32nd of its own gradient."""
    method, params, carry, _ = started(refine=4)
    batch = toys.all_of(DATA)
    q = started(refine=0)[0].evals['posterior'](params, carry, batch)
    e = jax.random.normal(jax.random.key(0), (4, 3))
    loss, v = inner(method, params, carry, batch, e), jax.tree.map(jnp.zeros_like, q)
    for k in range(4):
        g = jax.grad(lambda q, k=k: loss(q, e[k]).sum())(q)
        # clipping is idle
        assert max(jnp.linalg.norm(x, axis=-1).max() for x in g.values()) / 32 < 5 / 32**.5
        v = jax.tree.map(lambda v, g: .5 * v - g / 32, v, g)
        q = jax.tree.map(jnp.add, q, v)
    toys.close(method.evals['posterior'](params, carry, batch), q, rtol=1e-9)
    np.testing.assert_allclose(method.evals['encode'](params, carry, batch), q['mean'],
                               rtol=1e-9)


def test_evaluation_knows_no_neighbour_and_no_noise_of_its_own():
    method, params, carry, _ = started(lstm(), sentences(), refine=3)
    infer, batch = toys.jit(lambda batch: method.evals['posterior']
                            (params, carry, batch)), toys.all_of(sentences())
    q = infer(batch)
    for i in range(4):
        toys.close(infer(jax.tree.map(lambda x, i=i: x[i:i + 1], batch)),
                   jax.tree.map(lambda x, i=i: x[i:i + 1], q), rtol=1e-9)
    twice = infer(jax.tree.map(lambda x: jnp.repeat(x[:1], 4, 0), batch))
    toys.close(*(jax.tree.map(lambda x, i=i: x[i], twice) for i in (0, 3)), rtol=1e-12)


def test_training_draws_for_each_example_and_step():
    """Equal examples part at once: their losses are not equal with sampling noise alone taken
    away.
    """
    twins = {'x': jnp.repeat(DATA['x'][:1], 2, 0)}
    _, params, carry, loss = started(refine=1, step=20.)
    each = [loss(params, {**twins, 'weight': jnp.eye(2)[i]})[1][1] for i in range(2)]
    assert abs(float(each[0]['kl'] - each[1]['kl'])) > 1e-3
    plain = started(refine=0)[3]
    each = [plain(params, {**twins, 'weight': jnp.eye(2)[i]})[1][1] for i in range(2)]
    assert float(each[0]['kl']) == pytest.approx(float(each[1]['kl']), rel=1e-12)


def test_losses_of_training_are_the_refined_posteriors():
    """aux holds the true terms at the end of the search, the loss weighs them."""
    value, (_, aux) = started(refine=5)[3](started()[1], toys.all_of(DATA))
    assert float(value) == pytest.approx(float(aux['rec'] + aux['beta'] * aux['kl']), rel=1e-12)
    assert float(aux['beta']) == pytest.approx(.7, rel=1e-6)
    start = started(refine=0)[3](started()[1], toys.all_of(DATA))[1][1]
    assert float(aux['kl']) != pytest.approx(float(start['kl']), rel=1e-3)


def test_clipping_a_sentence_is_clipping_the_batch_where_sentences_are_alike():
    g = 32 * jnp.tile(jnp.array([[3., -4., 1.]]), (32, 1))
    # Frobenius norm over the batch
    whole = g / 32 * 5 / jnp.linalg.norm(g / 32)
    np.testing.assert_allclose(semi_amortized.clip_rows(g / 32, semi_amortized.CLIP), whole,
                               rtol=1e-12)
    assert semi_amortized.clip_rows(g, None) is g
    small = jnp.array([[.1, .2]])
    np.testing.assert_array_equal(semi_amortized.clip_rows(small, semi_amortized.CLIP), small)


def test_clipping_can_be_differentiated_at_zero():
    assert np.isfinite(
        jax.grad(lambda g: semi_amortized.clip_rows(g, 1.).sum())(jnp.zeros((2, 3)))).all()


def test_search_tightens_the_bound():
    """More steps, a better bound, under noise that no step has seen."""
    bounds = []
    for refine in (0, 5, 40):
        method, params, carry, _ = started(refine=refine)
        batch = toys.all_of(DATA)
        q = method.evals['posterior'](params, carry, batch)
        draws = jax.vmap(lambda k, m=method, q=q, p=params, c=carry, b=batch: m.evals['log_lik']
                         (p, c, m.evals['sample_q'](p, c, q, k), b))(jax.random.split(
                             jax.random.key(2), 2000))
        bounds.append(float((draws.mean(0) - method.evals['kl'](params, carry, q)).mean()))
    assert bounds[0] < bounds[1] < bounds[2]


def test_one_program_for_all_weights():
    method = semi_amortized.semi_amortized(toys.kit(), toys.recipe(), refine=2)
    step = toys.jit(core.make_step(method.phases[0]))

    def program(beta):
        numbers = {
            k: jnp.asarray(v, jnp.float32)
            for k, v in {**RAMP, 'beta': beta, 'lr': .1, 'lr_scale': 1.}.items()
        }
        state = core.init(method, jax.random.key(0), toys.all_of(DATA), numbers)
        return step.lower(state, DATA, jnp.zeros((1, 4), jnp.int32)).as_text()

    assert program(1.) == program(.2)
