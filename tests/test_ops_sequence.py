"""The LSTM layer and the softmax layer: their gradients against autodiff of plain forms."""
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vaebench.ops import recurrent, softmax

T, B, H, V = 4, 3, 5, 7


@pytest.fixture(autouse=True)
def double():
    """Everything here is checked in float64."""
    with jax.enable_x64(True):
        yield


def lstm_inputs(seed=0):
    rng = np.random.default_rng(seed)
    shapes = (T, B, 4 * H), (B, 4 * H), (H, 4 * H), (B, H), (B, H)
    return tuple(jnp.array(rng.normal(size=s)) for s in shapes)


def softmax_inputs(seed=0):
    rng = np.random.default_rng(seed)
    h, w, bias = (jnp.array(rng.normal(size=s)) for s in ((T, B, H), (H, V), (V,)))
    return h, w, bias, jnp.array(rng.integers(0, V, (T, B)))


def plain_lstm(x, const, w, h, c):
    out = []
    for t in range(len(x)):
        i, f, g, o = jnp.split(x[t] + const + h @ w, 4, -1)
        c = c / (1 + jnp.exp(-f)) + jnp.tanh(g) / (1 + jnp.exp(-i))
        h = jnp.tanh(c) / (1 + jnp.exp(-o))
        out.append(h)
    return jnp.stack(out)


def plain_nll(h, w, bias, targets):
    p = jnp.exp(h @ w + bias)
    return -jnp.log((p * jax.nn.one_hot(targets, V)).sum(-1) / p.sum(-1))


close = functools.partial(chex.assert_trees_all_close, rtol=1e-10, atol=1e-10)


def gradients(f, args, n):
    """Value, gradient, and gradient of its squared norm, in the first n arguments."""
    def first(*args):
        return jax.grad(lambda *a: jnp.sin(f(*a)).sum(), tuple(range(n)))(*args)

    def norm(*args):
        return sum((g**2).sum() for g in first(*args))

    return jax.jit(lambda *a: (f(*a), first(*a), jax.grad(norm, tuple(range(n)))(*a)))(*args)


def test_lstm_gradients():
    close(gradients(recurrent.lstm, lstm_inputs(), 5), gradients(plain_lstm, lstm_inputs(), 5))


def test_nll_gradients():
    f = lambda h, w, bias, t: softmax.nll(h, w, t, bias)
    close(gradients(f, softmax_inputs(), 3), gradients(plain_nll, softmax_inputs(), 3))


def test_nll_without_bias():
    h, w, bias, t = softmax_inputs()
    close(gradients(lambda h, w, t: softmax.nll(h, w, t), (h, w, t), 2),
          gradients(lambda h, w, t: plain_nll(h, w, 0 * bias, t), (h, w, t), 2))


def test_lstm_const_shared_by_the_batch():
    x, const, w, h0, c0 = lstm_inputs()
    close(recurrent.lstm(x, const[0], w, h0, c0), plain_lstm(x, const[0], w, h0, c0))


def test_cell_is_one_step():
    x, const, w, h0, c0 = lstm_inputs()
    close(recurrent.cell(x[0] + const + h0 @ w, c0)[0], recurrent.lstm(x, const, w, h0, c0)[0])


def batches(inputs, axes):
    """Arguments with a leading axis of three draws where `axes` has 0, else the first draw."""
    runs = zip(*(inputs(s) for s in range(3)), strict=True)
    return [jnp.stack(r) if a == 0 else r[0] for r, a in zip(runs, axes, strict=True)]


@pytest.mark.parametrize('axes', [
    (None, 0, None, 0, 0), (0, 0, 0, 0, 0), (None, None, 0, None, None)])
def test_lstm_vmap_equals_loop(axes):
    args = batches(lstm_inputs, axes)
    f = jax.grad(lambda *a: jnp.sin(recurrent.lstm(*a)).sum(), (1, 2))
    got = jax.jit(jax.vmap(f, axes))(*args)
    for s in range(3):
        row = (x[s] if a == 0 else x for x, a in zip(args, axes, strict=True))
        close(jax.tree.map(lambda x, s=s: x[s], got), f(*row))


@pytest.mark.parametrize('axes', [
    (0, None, None, None), (None, 0, 0, None), (0, 0, None, 0), (None, None, 0, None)])
@pytest.mark.parametrize('block', [softmax.BLOCK, 5 * V])
def test_nll_vmap_equals_loop(axes, block, monkeypatch):
    monkeypatch.setattr(softmax, 'BLOCK', block)       # 5 rows of 12 at a time: some remain
    args = batches(softmax_inputs, axes)
    f = lambda h, w, bias, t: softmax.nll(h, w, t, bias)
    g = jax.grad(lambda *a: jnp.sin(f(*a)).sum(), (0, 1, 2))
    got = jax.jit(jax.vmap(lambda *a: (f(*a), g(*a)), axes))(*args)
    for s in range(3):
        row = tuple(x[s] if a == 0 else x for x, a in zip(args, axes, strict=True))
        close(jax.tree.map(lambda x, s=s: x[s], got), (plain_nll(*row), g(*row)))


def test_nll_memory_is_bounded_under_vmap():
    """500 samples of 40 positions: the logits alone would be 400 MB, a block is 16."""
    h = jax.ShapeDtypeStruct((500, 40, 8), jnp.float32)
    w, t = jax.ShapeDtypeStruct((8, 5000), jnp.float32), jax.ShapeDtypeStruct((40,), jnp.int32)
    program = jax.jit(jax.vmap(softmax.nll, (0, None, None))).lower(h, w, t).compile()
    assert program.memory_analysis().temp_size_in_bytes < 6 * 4 * softmax.BLOCK


def test_nll_of_large_logits_is_finite():
    w, target = jnp.array([[1e4, -1e4]]), jnp.array([1])
    f = lambda h: softmax.nll(h, w, target).sum()
    value, grad = jax.value_and_grad(f)(jnp.ones((1, 1)))
    assert value == 2e4
    assert grad[0, 0] == 2e4
