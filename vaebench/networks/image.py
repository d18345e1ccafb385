"""The image kits: fully connected and convolutional networks for images and points."""
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vaebench.core import Batch, Kit, Net, StatNet, couples, derive
from vaebench.errors import UserError, unknown
from vaebench.networks import common
from vaebench.networks.image_layers import ConvDecoder, ConvEncoder, MlpDecoder, MlpEncoder
from vaebench.networks.likelihoods import LIKELIHOODS, observe
from vaebench.schema import Schema, field


def unit(path: common.Path, shapes: common.Shapes) -> float:
    """Rule: `common.torch_linear`, but a `Norm` starts as plain normalization."""
    return 0. if path[-1] in ('gain', 'shift') else common.torch_linear(path, shapes)


def start(module: nn.Module, std: float | None, *args: Any) -> Callable[[jax.Array], Any]:
    """Makes the parameters of a generator or a critic.

    Args:
      module: a linen module.
      std: standard deviation of weights and gains, biases start from 0; None for `unit`.
      *args: inputs that `module` can be traced with.

    Returns:
      Function key -> params.
    """
    if std is None:
        return common.initializer(module, unit, *args)
    return common.initializer(module, common.by_name(0., kernel=std, gain=std), *args,
                              law=jax.random.normal)


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


def generator(make: Callable[[bool], nn.Module], latent: int, bounded: bool,
              std: float | None = None) -> StatNet:
    """Makes a `StatNet` (z [B, Z]) -> x.

    Args:
      make: (train) -> linen module of latents.
      latent: Z.
      bounded: whether x lies in [0, 1], or anywhere.
      std: see `start`.

    Returns:
      A `StatNet`; its stats are {} where nothing is normalized.
    """
    z = jnp.zeros((1, latent))
    first = start(make(False), std, z)

    def init(key):
        shapes: Any = jax.eval_shape(lambda: make(False).init(jax.random.key(0), z))
        stats = shapes.get('stats', {})
        full = jax.tree_util.tree_map_with_path(
            lambda path, x: jnp.full(x.shape, float(path[-1].key == 'var'), x.dtype), stats)
        return first(key), full

    def apply(params, stats, z, weight=None, train=False):
        made: Any = make(train).apply({'params': params, 'stats': stats}, z, weight,
                                      mutable=['stats'])
        x, new = made
        return (jax.nn.sigmoid(x) if bounded else x), (new.get('stats', {}) if train else stats)

    return StatNet(init, apply)


def scorer(module: nn.Module, blank: jax.Array, flat: bool, std: float | None = None) -> Net:
    """Makes a critic `Net` (x [B, ...], weight=None) -> [B] if `flat`, else [B, n_out].

    It normalizes by the moments of the batch.

    Args:
      module: linen module of images.
      blank: [1, ...] for its shapes.
      flat: whether its one output is a number.
      std: see `start`.
    """
    def apply(params, x, weight=None, key=None):
        made: Any = module.apply({'params': params}, x, weight, mutable=['stats'])
        return made[0][..., 0] if flat else made[0]

    return Net(start(module, std, blank), apply)


class Layers(NamedTuple):
    """The modules of one sort of network."""
    down: Callable[..., nn.Module]     # (n_out, norm=False) -> of images
    up: Callable[..., nn.Module]       # (shape, norm=False, train=False) -> of latents


def mlp_layers(config: Mapping[str, Any]) -> Layers:
    """Fully connected `Layers`: config has hidden, from the image inwards, and activation.

    Raises:
      UserError: there is no `hidden`.
    """
    if 'hidden' not in config:
        raise UserError('an mlp has no default widths: give hidden, such as (256,)')
    hidden, act = tuple(config['hidden']), config.get('activation', 'relu')
    return Layers(functools.partial(MlpEncoder, hidden, act),
                  functools.partial(MlpDecoder, hidden[::-1], act))


def conv_layers(config: Mapping[str, Any]) -> Layers:
    """Convolutional `Layers`: config has channels, kernel, hidden and activation, see `conv`.

    Raises:
      UserError: a `kernel` is none of 2, 3 and 4, or there is not one for each layer.
    """
    channels, kernel = tuple(config.get('channels', (32, 64))), config.get('kernel', 3)
    hidden, act = config.get('hidden', 128), config.get('activation', 'relu')
    kernel = tuple(kernel) if isinstance(kernel, Sequence) else (kernel,) * len(channels)
    if not set(kernel) <= {2, 3, 4}:
        raise UserError(f'kernel={config["kernel"]}: convolutions have 2, 3 or 4 pixels a side')
    if len(kernel) != len(channels):
        raise UserError(f'kernel={kernel}: {len(channels)} layers have channels; give one '
                        'number for each, or one for all')
    return Layers(functools.partial(ConvEncoder, channels, kernel, hidden, act),
                  functools.partial(ConvDecoder, channels, kernel, hidden, act))


LAYERS = {'mlp': (mlp_layers, (1, 3)), 'conv': (conv_layers, (3,))}
"""Sort of network -> what makes its layers, and how many axes an example may have."""
SIZES = 'name', 'channels', 'kernel', 'hidden', 'activation'
OF_PART = {'decoder': SIZES, 'generator': (*SIZES, 'norm', 'std'),
           'critic': (*SIZES, 'norm', 'std')}
"""What a part of a kit may have otherwise than the rest."""


def part(config: Mapping[str, Any], role: str, name: str, axes: int,
         **default: Any) -> tuple[Layers, dict[str, Any]]:
    """Makes the layers of a part of a kit.

    Args:
      config: the kit's; config[role] says what the part has otherwise. One of another sort than
        the kit has none of the kit's sizes.
      role: 'decoder', 'generator' or 'critic'.
      name: the kit's own sort of network.
      axes: of an example.
      **default: goes before the kit's keys.

    Returns:
      (`Layers`, the merged config).

    Raises:
      UserError: an unknown key or sort of network, or one for other data.
    """
    own = {'name': name, **(config.get(role) or {})}
    for key in own:
        if key not in OF_PART[role]:
            raise unknown(f'key of kit.{role}', key, OF_PART[role])
    if own['name'] not in LAYERS:
        raise unknown(f'kit.{role}.name', own['name'], LAYERS)
    make, fit = LAYERS[own['name']]
    if axes not in fit:
        raise UserError(f"kit.{role}.name={own['name']!r} is for images, and the data has none")
    full = {**(config if own['name'] == name else {}), **default, **own}
    return make(full), full


def image_kit(schema: Schema, config: Mapping[str, Any], name: str) -> Kit:
    """Makes a kit of an encoder and a decoder, a generator and a critic.

    Args:
      schema: 'x' is a `Field` of shape (H, W, C), or (D,) of points.
      config: latent (Z), likelihood 'bernoulli', sigma 1, scale 1 (see `likelihoods.observe`);
        the sizes of its `Layers`; decoder, generator and critic, mappings of what these have
        otherwise: any of `OF_PART`. A critic's activation is 'leaky_relu' unless it says so.
        `norm=False` normalizes none of its layers, whatever a method asks; `std` starts weights
        from N(0, std^2) and gains from N(1, std^2), biases from 0.
      name: the kit's own sort of network, a key of `LAYERS`.

    Returns:
      A `Kit`; every layer has PyTorch's default for linear layers unless a head or `std` asks
      otherwise.

    Raises:
      UserError: there is no such likelihood, or as of `part`.
    """
    x, latent = field(schema, 'x'), config['latent']
    shape: tuple[Any, ...] = x.shape
    likelihood = config.get('likelihood', 'bernoulli')
    if likelihood not in LIKELIHOODS:
        raise UserError(
            f'kit.likelihood={likelihood!r} is unknown: choose one of {", ".join(LIKELIHOODS)}')
    blank, own = jnp.zeros((1, *shape)), LAYERS[name][0](config)
    seen, _ = jax.eval_shape(own.down(0).init_with_output, jax.random.key(0), blank)
    features = seen.shape[-1]

    def decoder(latent=latent):
        wide = (*shape[:-1], shape[-1] * LIKELIHOODS[likelihood])
        spread = config.get('scale' if likelihood == 'laplace' else 'sigma', 1.)
        layers, _ = part(config, 'decoder', name, len(shape))
        return observe(layers.up(wide), likelihood, spread, latent)

    def gen(latent=latent, norm=False):
        layers, told = part(config, 'generator', name, len(shape))
        norm = norm and told.get('norm', True)
        net = generator(lambda train: layers.up(shape, norm=norm, train=train), latent,
                        x.bounds is not None, told.get('std'))
        return net._replace(apply=couples(net.apply, norm))

    def critic(n_out=None, norm=False):
        layers, told = part(config, 'critic', name, len(shape), activation='leaky_relu')
        norm = norm and told.get('norm', True)
        net = scorer(layers.down(n_out or 1, norm=norm), blank, n_out is None, told.get('std'))
        return net._replace(apply=couples(net.apply, norm))

    def head(n_out, init=None, bias=None):
        rule = common.torch_linear if init in (None, 'torch') else common.constant(init)
        return common.linear(features, n_out, rule, bias is None or bias)

    def encoder(init=None):          # these keep PyTorch's law anyway
        return common.image_encoder(own.down(0), shape, x.bounds)

    nets = {'encoder': encoder, 'head': head, 'decoder': decoder, 'mlp': common.mlp,
            'gen': gen, 'critic': critic, 'corrupt': corrupt, 'pseudo': pseudo,
            **common.contexts(schema)}
    return Kit(latent, features, schema, nets)


def mlp(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the fully connected kit; the decoder mirrors the encoder.

    Args:
      schema: see `image_kit`.
      config: latent (Z), hidden, the encoder's widths; activation 'relu'; likelihood, sigma,
        scale, decoder, generator, critic: see `image_kit`. Widths of every part start at the
        image. The network of beta-VAE's authors is hidden=(1200, 1200) with decoder={'hidden':
        (1200, 1200, 1200), 'activation': 'tanh'}.

    Returns:
      A `Kit`.
    """
    return image_kit(schema, config, 'mlp')


def conv(schema: Schema, config: Mapping[str, Any]) -> Kit:
    """Makes the small convolutional kit: every stage halves the size, rounding up.

    Args:
      schema: see `image_kit`.
      config: latent (Z), channels (32, 64), one stage each; kernel 2, 3 or 4, pixels a side, or
        one of these per stage: of 4 the transposed convolution has no checkerboard, from which
        a critic would know it; hidden 128, the linear layer's width, None for no such layer;
        activation 'relu'; likelihood, sigma, scale, decoder, generator, critic: see
        `image_kit`. The network of Locatello et al. (2019), arXiv:1811.12359, for 64x64 is
        channels=(32, 32, 64, 64), kernel=(4, 4, 2, 2), hidden=256 with decoder={'kernel': 4};
        our transposed convolutions have a bias per pixel of the kernel.

    Returns:
      A `Kit`.

    Raises:
      UserError: a `kernel` is none of 2, 3 and 4, or there is not one for each stage.
    """
    return image_kit(schema, config, 'conv')
