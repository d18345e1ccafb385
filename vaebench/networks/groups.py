"""The kits of groups: networks that commute with quarter turns and mirror images of pixels."""
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import Features, Kit, Net, couples
from vaebench.errors import UserError, unknown
from vaebench.networks import common
from vaebench.networks.group_games import class_critic, class_generator
from vaebench.networks.group_layers import GroupDecoder, GroupEncoder, GroupHead, from_one
from vaebench.networks.image import corrupt, generator, pseudo, scorer, unit
from vaebench.networks.likelihoods import LIKELIHOODS, observe
from vaebench.ops.groups import GROUPS, Group, filter_bank
from vaebench.schema import Schema, field, of_kind

CODES = 'invariant', 'regular'
SEED = 4       # a class generator's first map has so many times the channels of its seed, in Z2


class Sizes(NamedTuple):
    """The checked sizes of an encoder; widths are those of the plain network."""
    channels: tuple[int, ...]
    kernel: tuple[int, ...]
    pools: tuple[int, ...]
    pad: bool
    left: int                  # pixels a side before the maximum over space


def sizes(side: int, config: Mapping[str, Any]) -> Sizes:
    """Checks the sizes of an encoder, and that every pool is symmetric.

    Args:
      side: pixels a side of the images.
      config: see `kit`.

    Raises:
      UserError: a pool would meet an odd size, an even kernel has zeros on one side only, or no
        pixel is left.

    >>> sizes(28, {'channels': (20,) * 7, 'kernel': (3,) * 6 + (4,), 'pools': (2,)}).left
    1
    """
    channels = tuple(config.get('channels', (20,) * 4))
    kernel = config.get('kernel', 3)
    kernel = (kernel,) * len(channels) if isinstance(kernel, int) else tuple(kernel)
    pools, pad = tuple(config.get('pools', (2,))), bool(config.get('pad', False))
    if len(kernel) != len(channels):
        raise UserError(f'kit.kernel={kernel} and kit.channels={channels}: give one number for '
                        'each layer, or one for all')
    for i, k in enumerate(kernel, 1):
        padded = pad and i < len(kernel)
        if padded and k % 2 == 0:
            raise UserError(f'kit.kernel={kernel} with kit.pad: an even kernel would have more '
                            'zeros on one side than on the other; make it odd')
        side -= 0 if padded else k - 1
        if side < 1:
            raise UserError(f'kit.kernel={kernel}: layer {i} has no pixel left; give fewer '
                            'layers or pools, or smaller kernels')
        if i in pools:
            if side % 2:
                raise UserError(f'kit.pools={pools}: after layer {i} a map has {side}x{side} '
                                'pixels, and a pool of an odd size is not symmetric; move it')
            side //= 2
    return Sizes(channels, kernel, pools, pad, side)


def scaled(channels: Sequence[int], order: int) -> tuple[int, ...]:
    """Widths of a network on a group with as many parameters as the plain one: divided by
    sqrt(|H|).

    >>> scaled((20, 32), 4), scaled((20, 32), 8)
    ((10, 16), (7, 11))
    """
    return tuple(max(1, round(c / math.sqrt(order))) for c in channels)


def rule(path: common.Path, shapes: common.Shapes) -> float:
    """Rule: `image.unit`, and running means start from 0."""
    return 0. if path[-1].startswith('running_') else unit(path, shapes)


def encoder_net(module: GroupEncoder, shape: Sequence[int],
                bounds: tuple[float, float] | None) -> Net:
    """Makes a `Net` (batch, key=None) -> Features(last [B, H]); with a key it trains.

    Args:
      module: of images.
      shape: (H, W, C).
      bounds: see `common.image_encoder`.
    """
    drawn = common.initializer(module, rule, jnp.zeros((1, *shape)))

    def apply(params, batch, key=None):
        x = batch['x'] if bounds is None else jnp.clip(batch['x'], *bounds)
        last: Any = module.apply({'params': params}, x, batch.get('weight'), key)
        return Features(last)

    return Net(lambda key: from_one(drawn(key)), apply)


def moved_filters(group: Group, params: Any) -> jax.Array:
    """Gives the filters of an encoder's first layer as every element of the group moves them.

    Args:
      group: the encoder's.
      params: the encoder's.

    Returns:
      [|H|, K, K, I, C].
    """
    w = params['conv1']['kernel']
    bank = filter_bank(group, w).reshape(*w.shape[:2], w.shape[3], group.order, w.shape[4])
    return jnp.moveaxis(bank, 3, 0)


def _square(schema, config):
    """(shape of 'x', the checked sizes)."""
    shape: tuple[Any, ...] = field(schema, 'x').shape
    if shape[0] != shape[1]:
        raise UserError(f'{shape[0]}x{shape[1]} pixels cannot be turned: choose square images, '
                        "or kit.name='conv'")
    likelihood, codes = config.get('likelihood', 'bernoulli'), config.get('codes', CODES[0])
    if likelihood not in LIKELIHOODS:
        raise unknown('kit.likelihood', likelihood, LIKELIHOODS)
    if codes not in CODES:
        raise unknown('kit.codes', codes, CODES)
    return shape, sizes(shape[0], config)


def kit(schema: Schema, config: Mapping[str, Any], group: str) -> Kit:
    """Makes the kit of a group: correlations that commute with it, for square images.

    Widths are those of the plain network, 'z2': on a larger group H they are divided by
    sqrt(|H|), so that layers have as many parameters. Layers between pictures and maps of the
    group, and biases, have fewer.

    Codes 'invariant' do not move with the image: an encoder for labels. Codes 'regular' are
    numbers on the group, Z / |H| for each element: if an image is moved, they change places,
    and decoders move their image when they do. As N(0, I) does not change with places, a VAE of
    these gives a moved image the same likelihood, exactly, and the mean decoding of its code
    moves along; Z must be a multiple of |H|. A generator's smallest map is a picture, which any
    linear layer makes of the noise: it commutes with the group from there. One that is told a
    class has a seed of `up[0] / 4` channels on every group, Dey et al.'s 128 for 512.

    Args:
      schema: 'x' is a `Field` of shape (H, H, C).
      config: latent (Z); channels (20, 20, 20, 20), a width for each layer; kernel 3, pixels a
        side, one for each or one for all; pools (2,), after which layers 2x2 pixels become
        one; pad False, whether zeros keep the size in all layers but the last; activation
        'relu'; codes 'invariant'; norm False, whether the encoder is batch-normalized; dropout
        0., of the encoder; rotation_pooling False, whether every layer of the encoder takes the
        maximum over the group: widths are not divided then; up, the decoder's and generator's
        widths, the smallest map first, as many as the size is halved; hidden, width of the
        layer between codes and that map; likelihood, sigma, scale: see `image.image_kit`.
      group: key of `ops.groups.GROUPS`.

    Returns:
      A `Kit`.

    Raises:
      UserError: images are not square, or sizes do not fit: see `sizes`.

    References:
      Cohen and Welling, "Group Equivariant Convolutional Networks", 2016, arXiv:1602.07576.
      Dey et al., "Group Equivariant Generative Adversarial Networks", 2021, arXiv:2005.01683.
    """
    shape, plain = _square(schema, config)
    bounds, latent = field(schema, 'x').bounds, config['latent']
    acts, likelihood = GROUPS[group], config.get('likelihood', 'bernoulli')
    regular, planar = config.get('codes') == 'regular', bool(config.get('rotation_pooling'))
    act, blank = config.get('activation', 'relu'), jnp.zeros((1, *shape))
    if planar and regular:
        raise UserError("kit.rotation_pooling leaves no numbers on the group for kit.codes="
                        "'regular': choose one of the two")
    channels = plain.channels if planar else scaled(plain.channels, acts.order)
    features = channels[-1] * (acts.order if regular else 1)
    down = functools.partial(
        GroupEncoder, acts, channels, plain.kernel, plain.pools, plain.pad,
        rotation_pooling=planar)

    def up(shape, norm=False, train=False, on_group=regular):
        widths = scaled(config.get('up', (16, 8)), acts.order)
        if shape[0] % 2**len(widths):
            raise UserError(f'kit.up of {len(widths)} widths: {shape[0]} pixels cannot be '
                            'halved as often; give fewer')
        hidden = scaled((config.get('hidden', 64),), acts.order)[0] if on_group else None
        return GroupDecoder(acts, widths, hidden, shape, 3, act, norm, train)

    def encoder(init=None):
        module = down(act, norm='running' * bool(config.get('norm')), invariant=not regular,
                      dropout=config.get('dropout', 0.))
        net = encoder_net(module, shape, bounds)
        return net._replace(apply=couples(net.apply, bool(config.get('norm'))))

    def head(n_out, init=None, bias=None):
        law = common.torch_linear if init in (None, 'torch') else common.constant(init)
        if not regular:
            return common.linear(features, n_out, law, bias is None or bias)
        _multiple(n_out, acts.order)
        return common.net(GroupHead(acts, n_out), law, jnp.zeros((1, features)))

    def decoder(latent=latent):
        if not regular:
            raise UserError("kit.codes='invariant' forgets how an image lies: a decoder needs "
                            "kit.codes='regular'")
        _multiple(latent, acts.order)
        wide = (*shape[:-1], shape[-1] * LIKELIHOODS[likelihood])
        spread = config.get('scale' if likelihood == 'laplace' else 'sigma', 1.)
        return observe(up(wide), likelihood, spread, latent)

    def gen(latent=latent, norm=False):
        net = generator(lambda train: up(shape, norm, train, False), latent,
                        bounds is not None)
        return net._replace(apply=couples(net.apply, norm))

    def critic(n_out=None, norm=False):
        module = down('leaky_relu', norm='batch' * norm, n_out=n_out or 1)
        net = scorer(module, blank, n_out is None)
        return net._replace(apply=couples(net.apply, norm))

    nets = {'encoder': encoder, 'head': head, 'decoder': decoder, 'mlp': common.mlp, 'gen': gen,
            'critic': critic, 'corrupt': corrupt, 'pseudo': pseudo,
            'filters': functools.partial(moved_filters, acts), **common.contexts(schema)}
    if known := of_kind(schema, 'class'):
        told = shape, field(schema, known).size or 0
        up_to = config.get('up', (16, 8))
        widths, seed = scaled(up_to, acts.order), max(1, up_to[0] // SEED)
        nets |= {'class_gen': lambda: class_generator(acts, widths, seed, *told, latent),
                 'class_critic': lambda: class_critic(acts, channels, *told)}
    return Kit(latent, features, schema, nets)


def _multiple(size, order):
    if size % order:
        raise UserError(f'{size} numbers cannot be laid on a group of {order} elements: set '
                        f'--config.kit.latent to a multiple of {order}')
