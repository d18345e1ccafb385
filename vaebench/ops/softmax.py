"""Cross-entropy of a linear softmax layer, computed from the layer's inputs."""
import chex
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

BLOCK = 2**22          # logits held at once when no gradient is asked for
KEPT = 2**26           # most logits that wait for a gradient; more are computed again


def _forward(h, w, bias, targets):
    """nll [...], and what its gradient needs."""
    logits = h @ w if bias is None else h @ w + bias
    lse = jax.nn.logsumexp(logits, -1)
    return lse - jnp.take_along_axis(logits, targets[..., None], -1)[..., 0], logits, lse


@custom_vmap
def _bounded(h, w, bias, targets):
    """nll without gradient, at most `BLOCK` logits at a time whatever axes vmap has added."""
    if targets.size * w.shape[-1] <= BLOCK:
        return _forward(h, w, bias, targets)[0]
    rows = max(1, BLOCK // w.shape[-1])
    out = jax.lax.map(lambda x: _forward(x[0], w, bias, x[1])[0],
                      (h.reshape(-1, h.shape[-1]), targets.reshape(-1)), batch_size=rows)
    return out.reshape(targets.shape)


@_bounded.def_vmap
def _bounded_vmap(size, batched, h, w, bias, targets):
    """A shared layer only gets more rows; layers of their own take turns."""
    own_bias = bias is not None and batched[2]

    def spread(x, is_batched):
        return x if is_batched or x is None else jnp.broadcast_to(x, (size, *x.shape))

    args = spread(h, batched[0]), w, bias, spread(targets, batched[3])
    if batched[1] or own_bias:
        args = args[0], spread(w, batched[1]), spread(bias, own_bias), args[3]
        return jax.lax.map(lambda x: _bounded(*x), args), True
    return _bounded(*args), True


@jax.custom_vjp
def _nll(h, w, bias, targets):
    return _bounded(h, w, bias, targets)


def _nll_fwd(h, w, bias, targets):
    if targets.size * w.shape[-1] > KEPT:
        return _bounded(h, w, bias, targets), (h, w, bias, targets, None, None)
    nll, logits, lse = _forward(h, w, bias, targets)
    return nll, (h, w, bias, targets, logits, lse)


def _backward(saved, g):
    """The one pass that makes the probabilities subtracts the targets: no scatter, no copy."""
    h, w, bias, targets, logits, lse = saved
    d = jnp.exp(logits - lse[..., None]) - (jnp.arange(w.shape[-1]) == targets[..., None])
    g, axes = g[..., None], tuple(range(targets.ndim))
    dh, dw = g * (d @ w.T), jnp.tensordot(g * h, d, (axes, axes))
    return dh, dw, None if bias is None else jnp.tensordot(g[..., 0], d, (axes, axes)), None


def _nll_bwd(saved, g):
    h, w, bias, targets, logits, _ = saved
    if logits is not None:
        return _backward(saved, g)
    rows = max(1, KEPT // 8 // w.shape[-1])           # logits, and what is made of them
    parts = -(-targets.size // rows)

    def split(x, ndim):                               # empty rows at the end: g is 0 there
        x = x.reshape(-1, *x.shape[ndim:])
        x = jnp.pad(x, [(0, parts * rows - len(x)), *[(0, 0)] * (x.ndim - 1)])
        return x.reshape(parts, rows, *x.shape[1:])

    def add(total, part):
        h, targets, g = part
        found = _backward((h, w, bias, targets, *_forward(h, w, bias, targets)[1:]), g)
        return jax.tree.map(jnp.add, total, found[1:3]), found[0]

    zeros = jnp.zeros_like(w), None if bias is None else jnp.zeros_like(bias)
    (dw, db), dh = jax.lax.scan(
        add, zeros, tuple(split(x, targets.ndim) for x in (h, targets, g)))
    return dh.reshape(-1, h.shape[-1])[:targets.size].reshape(h.shape), dw, db, None


_nll.defvjp(_nll_fwd, _nll_bwd)


def nll(h: jax.Array, w: jax.Array, targets: jax.Array,
        bias: jax.Array | None = None) -> jax.Array:
    """Computes -log softmax(h w + bias)[target], with a gradient of its own.

    Without a gradient at most `BLOCK` logits exist at a time, also under vmap over h: thousands
    of samples of a sentence fit. With one, more than `KEPT` logits are computed in parts, once
    for the value and once for the gradient. The function can be differentiated in reverse any
    number of times; forward mode is not defined.

    Args:
      h: [..., H] inputs of the layer.
      w: [H, V] weights.
      targets: int [...] classes, below V.
      bias: [V] or None.

    Returns:
      [...], nats.

    >>> value = nll(jnp.ones((2, 3)), jnp.zeros((3, 4)), jnp.array([0, 3]))
    >>> [round(float(v), 4) for v in value]
    [1.3863, 1.3863]
    """
    chex.assert_rank(w, 2)
    chex.assert_shape(h, (*targets.shape, len(w)))
    chex.assert_type([h, w, targets], [float, float, int])
    if bias is not None:
        chex.assert_shape(bias, (w.shape[1],))
    return _nll(h, w, bias, targets)
