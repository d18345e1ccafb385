"""One LSTM layer over time."""
import chex
import jax
import jax.numpy as jnp


def cell(gates: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Takes one LSTM step from its pre-activations.

    Args:
      gates: [..., 4H] pre-activations in PyTorch's order: input, forget, cell, output.
      c: [..., H] cell state.

    Returns:
      h [..., H] and c [..., H].

    >>> h, c = cell(jnp.zeros(4), jnp.ones(1))
    >>> float(c[0]), round(float(h[0]), 4)
    (0.5, 0.2311)
    """
    chex.assert_shape(c, (..., None))
    chex.assert_shape(gates, (..., 4 * c.shape[-1]))
    chex.assert_type([gates, c], float)
    i, f, g, o = _gates(gates)
    c = f * c + i * g
    return o * jnp.tanh(c), c


def _gates(a):
    """Activations of pre-activations [..., 4H]: input, forget, cell, output."""
    i, f, g, o = jnp.split(a, 4, -1)
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _fwd(x, const, w, h0, c0):
    def step(s, x):
        h, c = s
        i, f, g, o = gates = _gates(x + const + h @ w)
        new = f * c + i * g
        tanh = jnp.tanh(new)
        return (o * tanh, new), (o * tanh, (gates, tanh, c))

    h, saved = jax.lax.scan(step, (h0, c0), x)[1]
    return h, (h, saved, w, h0)


def _bwd(saved, grad):
    """The loop carries dh and dc only; the weights' gradient is one product after it."""
    h, steps, w, h0 = saved

    def step(s, x):
        dh, dc = s
        grad, ((i, f, g, o), tanh, c) = x
        dh = dh + grad
        dc = dc + dh * o * (1 - tanh * tanh)
        d = jnp.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f),
                             dc * i * (1 - g * g), dh * tanh * o * (1 - o)], -1)
        return (d @ w.T, dc * f), d

    zero = jnp.zeros_like(h0)
    (dh, dc), d = jax.lax.scan(step, (zero, zero), (grad, steps), reverse=True)
    before = jnp.concatenate([h0[None], h[:-1]])
    return d, d.sum(0), jnp.tensordot(before, d, ((0, 1), (0, 1))), dh, dc


@jax.custom_vjp
def _lstm(x, const, w, h0, c0):
    def step(s, x):
        h, c = cell(x + const + s[0] @ w, s[1])
        return (h, c), h

    return jax.lax.scan(step, (h0, c0), x)[1]


_lstm.defvjp(_fwd, _bwd)


def lstm(x: jax.Array, const: jax.Array, w: jax.Array, h0: jax.Array,
         c0: jax.Array) -> jax.Array:
    """Computes the hidden states of an LSTM layer, with a gradient of its own.

    All products but the recurrent one are the caller's, over all steps at once, and so is what
    they cost under vmap: samples of a latent variable that enters by `const` share x. The layer
    can be differentiated in reverse any number of times.

    Args:
      x: [T, B, 4H] the inputs' part of the pre-activations, gates as in `cell`.
      const: [B, 4H] or [4H], the part that is the same at every step.
      w: [H, 4H] recurrent weights.
      h0: [B, H] first hidden state.
      c0: [B, H] first cell state.

    Returns:
      [T, B, H].

    References:
      Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997.

    >>> zero = jnp.zeros((2, 3))
    >>> lstm(jnp.zeros((5, 2, 12)), jnp.zeros(12), jnp.zeros((3, 12)), zero, zero).shape
    (5, 2, 3)
    """
    chex.assert_rank([x, const, w, h0], [3, {1, 2}, 2, 2])
    chex.assert_equal_shape([h0, c0])
    chex.assert_shape(w, (h0.shape[1], 4 * h0.shape[1]))
    chex.assert_shape(x, (None, len(h0), w.shape[1]))
    chex.assert_shape(const, (len(h0), w.shape[1])[-const.ndim:])
    chex.assert_type([x, const, w, h0, c0], float)
    return _lstm(x, jnp.broadcast_to(const, x.shape[1:]), w, h0, c0)
