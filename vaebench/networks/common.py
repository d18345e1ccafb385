"""What every kit shares: parameters from one draw, dropout, and stacks of linear layers."""
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Batch, Context, Features, Net
from vaebench.errors import UserError
from vaebench.ops import sampling
from vaebench.schema import Schema, field, of_kind

# values come from `initializer`; modules only declare shapes
zeros = nn.initializers.zeros


def gated(x: jax.Array) -> jax.Array:
    """Multiplies the tanh of half of the units by the sigmoid of the other half.

    Args:
      x: [..., 2 n].

    Returns:
      [..., n]: a layer that is followed by it needs twice the units.

    Raises:
      UserError: the number of units is odd.

    >>> gated(jnp.array([9., 0.])).round(2).tolist()
    [0.5]
    """
    if x.shape[-1] % 2:
        raise UserError(f"activation 'gated' halves a layer: {x.shape[-1]} units are odd")
    signal, gate = jnp.split(x, 2, axis=-1)
    return jnp.tanh(signal) * jax.nn.sigmoid(gate)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    'leaky_relu': lambda x: jax.nn.leaky_relu(x, .2),
    'leaky_relu_01': lambda x: jax.nn.leaky_relu(x, .01),
    'linear': lambda x: x,
    'tanh': jnp.tanh,
    'gated': gated,
}
Path = tuple[str, ...]
"""Where a parameter stands in its tree."""
Shapes = Mapping[Path, tuple[int, ...]]
Rule = Callable[[Path, Shapes], float]
"""(path, shapes of all) -> what the parameter's law, on [-1, 1] or normal, is multiplied by."""
Law = Callable[[jax.Array, tuple[int, ...]], jax.Array]
"""(key, shape) -> draws, before a `Rule` scales them."""


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Law: uniform on [-1, 1]."""
    return jax.random.uniform(key, shape, minval=-1.)


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Finds what follows a layer; all but those of `ACTIVATIONS` are jax.nn's.

    'leaky_relu' has the slope of GANs, 0.2, 'leaky_relu_01' PyTorch's own, 0.01.

    Raises:
      UserError: there is none of that name.
    """
    found: Any = ACTIVATIONS.get(name) or getattr(jax.nn, name, None)
    if found is None:
        raise UserError(f'activation {name!r} is unknown: choose {", ".join(ACTIVATIONS)}, or '
                        "a function of jax.nn such as 'relu'")
    return found


def constant(scale: float) -> Rule:
    """Rule: every parameter is U(-scale, scale)."""
    return lambda path, shapes: scale


def by_name(default: float, **scales: float) -> Rule:
    """Rule: the scale of a parameter's own name, else the default."""
    return lambda path, shapes: scales.get(path[-1], default)


def torch_linear(path: Path, shapes: Shapes) -> float:
    """Rule: PyTorch's default for linear and convolution layers.

    Kernel and bias are U(-b, b), b = 1 / sqrt(fan in).
    """
    return math.prod(shapes[(*path[:-1], 'kernel')][:-1]) ** -.5


def initializer(module: nn.Module, rule: Rule, *args: Any,
                law: Law = uniform) -> Callable[[jax.Array], Any]:
    """Makes parameters of a linen module from one flat draw.

    A dozen draws would cost seconds of compilation.

    Args:
      module: a linen module whose only collection is 'params'.
      rule: see `Rule`.
      *args: inputs that `module` can be traced with; only their shapes matter.
      law: of the draw, which `rule` scales.

    Returns:
      Function key -> params.

    >>> init = initializer(nn.Dense(3), torch_linear, jnp.zeros((1, 4)))
    >>> {k: v.shape for k, v in init(jax.random.key(0)).items()}
    {'bias': (3,), 'kernel': (4, 3)}
    """
    def init(key):
        made: Any = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))
        leaves, treedef = jax.tree_util.tree_flatten_with_path(made['params'])
        shapes = {tuple(k.key for k in path): leaf.shape for path, leaf in leaves}
        draw = law(key, (sum(map(math.prod, shapes.values())),))
        out, start = [], 0
        for path, shape in shapes.items():
            size = math.prod(shape)
            out.append(rule(path, shapes) * draw[start:start + size].reshape(shape))
            start += size
        return treedef.unflatten(out)

    return init


def dropout(key: jax.Array | None, x: jax.Array, rate: float) -> jax.Array:
    """Drops entries and scales up the rest; nothing is dropped when key is None.

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
    """Linear layers with an activation between them, and after the last if `final`.

    Attributes:
      sizes: outputs of every layer.
      activation: see `activation`.
      bias: whether the layers have biases.
      final: whether the activation also follows the last layer.
    """
    sizes: tuple[int, ...]
    activation: str = 'relu'
    bias: bool = True
    final: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        act = activation(self.activation)
        for i, size in enumerate(self.sizes):
            x = nn.Dense(size, use_bias=self.bias, name=f'layer{i}')(x)
            if self.final or i + 1 < len(self.sizes):
                x = act(x)
        return x


def net(module: nn.Module, rule: Rule, *args: Any) -> Net:
    """Makes a `Net` of one linen module that needs no randomness.

    Args:
      module: a linen module.
      rule: see `Rule`.
      *args: inputs that `module` can be traced with.

    Returns:
      A `Net`; its apply ignores `key`.
    """
    return Net(initializer(module, rule, *args),
               lambda params, *x, key=None: module.apply({'params': params}, *x))


def linear(n_in: int, n_out: int, rule: Rule, bias: bool) -> Net:
    """Makes a linear layer as a `Net`: ([..., n_in]) -> [..., n_out]."""
    return net(nn.Dense(n_out, use_bias=bias), rule, jnp.zeros((1, n_in)))


def mlp(sizes: Sequence[int], activation: str = 'relu', init: str | float = 'torch',
        bias: bool = True, final: bool = False) -> Net:
    """Makes a stack of linear layers as a `Net`.

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
    rule = torch_linear if init == 'torch' else constant(float(init))
    return net(Mlp(tuple(sizes[1:]), activation, bias, final), rule, jnp.zeros((1, sizes[0])))


def random_rows(key: jax.Array, batch: Batch, k: int) -> tuple[jax.Array, jax.Array]:
    """Picks k filled rows in random order; they come again where k exceeds the batch.

    Args:
      key: [].
      batch: leaves [B, ...]; 'weight' [B] may be there.
      k: how many.

    Returns:
      int32 [k], and bool [k]: whether the example was there before.

    >>> rows, again = random_rows(jax.random.key(0), {'x': jnp.zeros((2, 3))}, 3)
    >>> sorted(rows[:2].tolist()), again.tolist()
    ([0, 1], [False, False, True])
    """
    weight = batch.get('weight')
    if weight is None:
        weight = jnp.ones(len(next(iter(batch.values()))))
    return sampling.random_rows(key, weight, k)


def jitter_repeats(key: jax.Array, x: jax.Array, again: jax.Array) -> jax.Array:
    """Adds a little noise to rows that were there before: twins would stay twins for ever.

    Args:
      key: [].
      x: [k, ...].
      again: bool [k].

    Returns:
      [k, ...]; the noise has standard deviation 0.01.
    """
    noise = .01 * jax.random.normal(key, x.shape, x.dtype)
    return jnp.where(again.reshape(-1, *(1,) * (x.ndim - 1)), x + noise, x)


def image_encoder(module: nn.Module, shape: Sequence[int],
                  bounds: tuple[float, float] | None = None) -> Net:
    """Makes a `Net` (batch) -> Features(last [B, H]) of a module that reads images.

    Args:
      module: a linen module.
      shape: (H, W, C).
      bounds: of the data: what is learned as an input may leave them, and is read as the bound.
    """
    def apply(params, batch, key=None):
        x = batch['x'] if bounds is None else jnp.clip(batch['x'], *bounds)
        last: Any = module.apply({'params': params}, x)
        return Features(last)

    return Net(initializer(module, torch_linear, jnp.zeros((1, *shape))), apply)


def contexts(schema: Schema) -> dict[str, Callable[[], Context]]:
    """Makers of what a conditional model is told, by their names in a kit.

    Args:
      schema: of the data.

    Returns:
      {'context': maker, 'label_context': the same} where the data has labels, else {}. The
      maker gives a `Context` of the label, one-hot; to draw one, all classes are as likely.
    """
    name = of_kind(schema, 'class')
    if name is None:
        return {}
    classes: Any = field(schema, name).size

    def apply(params, batch, key=None):
        return jax.nn.one_hot(batch[name], classes)

    def draw(key, n):
        return jax.nn.one_hot(jax.random.randint(key, (n,), 0, classes), classes)

    def label():
        return Context(lambda key: {}, apply, classes, (name,), draw)

    return {'context': label, 'label_context': label}
