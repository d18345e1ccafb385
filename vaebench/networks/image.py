"""The image kits: fully connected and convolutional networks for images and points."""
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Batch, Kit, Net, StatNet, derive
from vaebench.errors import UserError
from vaebench.networks import common
from vaebench.networks.image_layers import ConvDecoder, ConvEncoder, MlpDecoder, MlpEncoder
from vaebench.networks.likelihoods import LIKELIHOODS, observe
from vaebench.schema import Schema, field


def unit(path: common.Path, shapes: common.Shapes) -> float:
    """Rule: `common.torch_linear`, but a `Norm` starts as plain normalization."""
    return 0. if path[-1] in ('gain', 'shift') else common.torch_linear(path, shapes)


def corrupt(key: jax.Array, batch: Batch, rate: float | jax.Array) -> dict[str, Any]:
    """Sets a share of the pixels, all channels of them, to zero.

    Args:
      key: [].
      batch: 'x' [B, H, W, C].
      rate: probability, also traced.

    Returns:
      The batch.

    >>> white = {'x': jnp.ones((1, 200, 200, 1))}
    >>> abs(corrupt(jax.random.key(0), white, .25)['x'].mean() - .75).item() < .01
    True
    """
    keep = jax.random.uniform(key, (*batch['x'].shape[:-1], 1)) >= rate
    return {**batch, 'x': jnp.where(keep, batch['x'], 0)}


def pseudo(params: Any, batch: Batch, key: jax.Array, k: int) -> dict[str, jax.Array]:
    """Takes k images of the batch, as inputs that can be trained.

    Args:
      params: not needed.
      batch: 'x' [B, H, W, C].
      key: [].
      k: how many; more than B take images again, see `common.jitter_repeats`.

    Returns:
      {'x': [k, H, W, C]}.
    """
    rows, again = common.random_rows(derive(key, 0), batch, k)
    return {'x': common.jitter_repeats(derive(key, 1), batch['x'][rows], again)}


def generator(make: Callable[[bool], nn.Module], latent: int, bounded: bool) -> StatNet:
    """Makes a `StatNet` (z [B, Z]) -> x.

    Args:
      make: (train) -> linen module of latents.
      latent: Z.
      bounded: whether x lies in [0, 1], or anywhere.

    Returns:
      A `StatNet`; its stats are {} where nothing is normalized.
    """
    init = common.initializer(make(False), unit, jnp.zeros((1, latent)))

    def start(key):
        z = jnp.zeros((1, latent))
        shapes: Any = jax.eval_shape(lambda: make(False).init(jax.random.key(0), z))
        stats = shapes.get('stats', {})
        full = jax.tree_util.tree_map_with_path(
            lambda path, x: jnp.full(x.shape, float(path[-1].key == 'var'), x.dtype), stats)
        return init(key), full

    def apply(params, stats, z, weight=None, train=False):
        made: Any = make(train).apply({'params': params, 'stats': stats}, z, weight,
                                      mutable=['stats'])
        x, new = made
        return (jax.nn.sigmoid(x) if bounded else x), (new.get('stats', {}) if train else stats)

    return StatNet(start, apply)


def scorer(module: nn.Module, blank: jax.Array, flat: bool) -> Net:
    """Makes a critic `Net` (x [B, ...], weight=None) -> [B] if `flat`, else [B, n_out].

    It normalizes by the moments of the batch.

    Args:
      module: linen module of images.
      blank: [1, ...] for its shapes.
      flat: whether its one output is a number.
    """
    def apply(params, x, weight=None, key=None):
        made: Any = module.apply({'params': params}, x, weight, mutable=['stats'])
        return made[0][..., 0] if flat else made[0]

    return Net(common.initializer(module, unit, blank), apply)


def image_kit(schema: Schema, config: Mapping[str, Any], down: Callable[..., nn.Module],
              up: Callable[..., nn.Module], features: int) -> Kit:
    """Makes a kit of an encoder and a decoder.

    Args:
      schema: 'x' is a `Field` of shape (H, W, C), or (D,) of points.
      config: latent (Z), likelihood 'bernoulli', sigma 1: see `likelihoods.observe`.
      down: (activation, n_out, norm=False) -> linen module of images.
      up: (shape, norm=False, train=False) -> linen module of latents.
      features: H, width of `down` with n_out=0.

    Returns:
      A `Kit`; every layer has PyTorch's default for linear layers unless a head asks otherwise.

    Raises:
      UserError: there is no such likelihood.
    """
    x, latent = field(schema, 'x'), config['latent']
    shape: tuple[Any, ...] = x.shape
    likelihood = config.get('likelihood', 'bernoulli')
    if likelihood not in LIKELIHOODS:
        raise UserError(
            f'kit.likelihood={likelihood!r} is unknown: choose one of {", ".join(LIKELIHOODS)}')
    blank = jnp.zeros((1, *shape))

    def decoder(latent=latent):
        wide = (*shape[:-1], shape[-1] * LIKELIHOODS[likelihood])
        return observe(up(wide), likelihood, config.get('sigma', 1.), latent)

    def gen(latent=latent, norm=False):
        return generator(lambda train: up(shape, norm=norm, train=train), latent,
                         x.bounds is not None)

    def critic(n_out=None, norm=False):
        return scorer(down('leaky_relu', n_out or 1, norm=norm), blank, n_out is None)

    def head(n_out, init=None, bias=None):
        rule = common.torch_linear if init in (None, 'torch') else common.constant(init)
        return common.linear(features, n_out, rule, bias is None or bias)

    def encoder(init=None):          # these keep PyTorch's law anyway
        return common.image_encoder(down(config.get('activation', 'relu'), 0), shape, x.bounds)

    nets = {'encoder': encoder, 'head': head, 'decoder': decoder, 'mlp': common.mlp,
            'gen': gen, 'critic': critic, 'corrupt': corrupt, 'pseudo': pseudo,
            **common.contexts(schema)}
    return Kit(latent, features, schema, nets)


def mlp(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the fully connected kit; the decoder mirrors the encoder.

    Args:
      schema: see `image_kit`.
      config: latent (Z), hidden, the encoder's widths; activation 'relu', likelihood, sigma:
        see `image_kit`.

    Returns:
      A `Kit`.
    """
    hidden, act = tuple(config['hidden']), config.get('activation', 'relu')

    def down(act, n_out, **norm):
        return MlpEncoder(hidden, act, n_out, **norm)

    def up(shape, **norm):
        return MlpDecoder(hidden[::-1], act, shape, **norm)

    return image_kit(schema, config, down, up, hidden[-1])


def conv(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the small convolutional kit: every stage halves the size, rounding up.

    Args:
      schema: see `image_kit`.
      config: latent (Z), channels (32, 64), one stage each; kernel 3 or 4, pixels a side: of 4
        the transposed convolution has no checkerboard, from which a critic would know it;
        hidden 128, the linear layer's width; activation 'relu', likelihood, sigma: see
        `image_kit`.

    Returns:
      A `Kit`.

    Raises:
      UserError: `kernel` is neither 3 nor 4.
    """
    channels, kernel = tuple(config.get('channels', (32, 64))), config.get('kernel', 3)
    hidden, act = config.get('hidden', 128), config.get('activation', 'relu')
    if kernel not in (3, 4):
        raise UserError(f'kernel={kernel}: convolutions have 3 or 4 pixels a side')

    def down(act, n_out, **norm):
        return ConvEncoder(channels, kernel, hidden, act, n_out, **norm)

    def up(shape, **norm):
        return ConvDecoder(channels, kernel, hidden, act, shape, **norm)

    return image_kit(schema, config, down, up, hidden)
