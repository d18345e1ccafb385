"""What every kit shares: parameters from one draw, dropout, and plain stacks of linear
layers."""
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Context, Features, Net
from vaebench.schema import of_kind

# values come from `initialiser`; modules only declare shapes
zeros = nn.initializers.zeros
ACTIVATIONS = {
    'leaky_relu': lambda x: jax.nn.leaky_relu(x, .2), 'linear': lambda x: x, 'tanh': jnp.tanh
}


def activation(name):
    """The elementwise function of that name: 'leaky_relu' has slope 0.2, the rest is
    jax.nn's."""
    return ACTIVATIONS.get(name) or getattr(jax.nn, name)


def constant(scale):
    """Rule: every parameter is U(-scale, scale)."""
    return lambda path, shapes: scale


def by_name(default, **scales):
    """Rule: the scale of a parameter's own name, else the default."""
    return lambda path, shapes: scales.get(path[-1], default)


def torch_linear(path, shapes):
    """Rule: PyTorch's default for linear and convolution layers, kernel and bias U(+-1/sqrt(fan
    in)).
    """
    return math.prod(shapes[(*path[:-1], 'kernel')][:-1]) ** -.5


def initialiser(module, rule, *args):
    """Parameters of a linen module from one flat uniform draw: a dozen draws would cost seconds
    of compilation.

    Args:
      module: a linen module whose only collection is 'params'.
      rule: (path, {path: shape}) -> bound of the parameter's uniform law; a path is a tuple of
        names.
      *args: inputs that `module` can be traced with; only their shapes matter.

    Returns:
      Function key -> params.

    >>> init = initialiser(nn.Dense(3), torch_linear, jnp.zeros((1, 4)))
    >>> {k: v.shape for k, v in init(jax.random.key(0)).items()}
    {'bias': (3,), 'kernel': (4, 3)}
    """
    def init(key):
        tree = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))['params']
        leaves, treedef = jax.tree_util.tree_flatten_with_path(tree)
        shapes = {tuple(k.key for k in path): leaf.shape for path, leaf in leaves}
        draw = jax.random.uniform(key, (sum(map(math.prod, shapes.values())),), minval=-1.)
        out, start = [], 0
        for path, shape in shapes.items():
            size = math.prod(shape)
            out.append(rule(path, shapes) * draw[start:start + size].reshape(shape))
            start += size
        return treedef.unflatten(out)

    return init


def dropout(key, x, rate):
    """Inverted dropout; nothing is dropped when key is None.

    Args:
      key: [] or None.
      x: [...].
      rate: probability that an entry is zeroed.

    Returns:
      [...] with the same mean.

    >>> float(dropout(jax.random.key(0), jnp.ones(1000), .5).max())
    2.0
    """
    if key is None or rate == 0:
        return x
    if (256 * rate).is_integer():        # a quarter of the random bits
        keep = jax.random.bits(key, x.shape, jnp.uint8) >= int(256 * rate)
    else:
        keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


class Mlp(nn.Module):
    """Linear layers with an activation between them, and after the last if `final`."""
    sizes: tuple                         # outputs of every layer
    activation: str = 'relu'
    bias: bool = True
    final: bool = False

    @nn.compact
    def __call__(self, x):
        act = activation(self.activation)
        for i, size in enumerate(self.sizes):
            x = nn.Dense(size, use_bias=self.bias, name=f'layer{i}')(x)
            if self.final or i + 1 < len(self.sizes):
                x = act(x)
        return x


def net(module, rule, *args):
    """A `Net` of one linen module that needs no randomness.

    Args:
      module: a linen module.
      rule: see `initialiser`.
      *args: inputs that `module` can be traced with.

    Returns:
      A `Net`; its apply ignores `key`.
    """
    return Net(initialiser(module, rule, *args),
               lambda params, *x, key=None: module.apply({'params': params}, *x))


def linear(n_in, n_out, rule, bias):
    """A linear layer as a `Net`: ([..., n_in]) -> [..., n_out]."""
    return net(nn.Dense(n_out, use_bias=bias), rule, jnp.zeros((1, n_in)))


def mlp(sizes, activation='relu', init='torch', bias=True, final=False):
    """A stack of linear layers as a `Net`.

    Args:
      sizes: widths, input first.
      activation: between the layers, see `activation`.
      init: 'torch' for PyTorch's default, or the bound of a uniform law.
      bias: whether the layers have biases.
      final: whether the activation also follows the last layer.

    Returns:
      A `Net`: ([..., sizes[0]]) -> [..., sizes[-1]].

    >>> f = mlp((2, 8, 1), 'leaky_relu')
    >>> f.apply(f.init(jax.random.key(0)), jnp.ones((5, 2))).shape
    (5, 1)
    """
    rule = torch_linear if init == 'torch' else constant(init)
    return net(Mlp(tuple(sizes[1:]), activation, bias, final), rule, jnp.zeros((1, sizes[0])))


def rows(key, batch, k):
    """Rows of k examples in random order, empty slots left out; when k exceeds the batch they
    come again.

    Args:
      key: [].
      batch: leaves [B, ...]; 'weight' [B] may be there.
      k: how many.

    Returns:
      int32 [k], and bool [k]: whether the example was there before.

    >>> chosen, again = rows(jax.random.key(0), {'weight': jnp.array([1., 0., 1., 1.])}, 5)
    >>> sorted(chosen[:3].tolist()), again.tolist()
    ([0, 2, 3], [False, False, False, True, True])
    """
    weight = batch.get('weight')
    filled = jnp.ones(len(next(iter(batch.values()))), bool) if weight is None else weight > 0
    order = jnp.argsort(jnp.where(filled, jax.random.uniform(key, filled.shape), 2.))
    count = jnp.maximum(filled.sum(), 1)
    return order[jnp.arange(k) % count], jnp.arange(k) >= count


def apart(key, x, again):
    """x [k, ...] with a little noise (standard deviation 0.01) where `again` [k]: twins would
    stay twins for ever.
    """
    noise = .01 * jax.random.normal(key, x.shape, x.dtype)
    return jnp.where(again.reshape(-1, *(1,) * (x.ndim - 1)), x + noise, x)


def image_encoder(module, shape):
    """A `Net` (params, batch, key=None) -> Features(last [B, H]) of a module that reads
    images."""
    init = initialiser(module, torch_linear, jnp.zeros((1, *shape)))
    return Net(
        init,
        lambda params, batch, key=None: Features(module.apply({'params': params}, batch['x'])))


def contexts(schema):
    """Makers of what a conditional model is told: {'context': ...} where the data has labels, else {}.

    The maker gives a `Context` of the label, one-hot; to draw one, all classes are as likely.
    """
    name = of_kind(schema, 'class')
    if name is None:
        return {}
    classes = schema[name].size

    def context():
        return Context(
            lambda key: {},
            lambda params, batch, key=None: jax.nn.one_hot(batch[name], classes), classes,
            (name,),
            lambda key, n: jax.nn.one_hot(jax.random.randint(key, (n,), 0, classes), classes))

    return {'context': context}
