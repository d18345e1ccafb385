"""Prior laws of styles, and joins of a style and a class to one code."""
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vaebench.core import Kit, derive
from vaebench.errors import UserError
from vaebench.methods import models, posteriors
from vaebench.ops import distributions


class Style(NamedTuple):
    """A prior law of styles."""
    # (key, labels int [B] from 0 to classes, the last for any) -> [B, Z]
    draw: Callable[..., jax.Array]
    # z [..., Z] -> [...], nats; None where only draws are known
    log_prob: Callable[..., jax.Array] | None


def normal(kit: Kit, classes: int, spread: float = 1.) -> Style:
    """N(0, spread^2 I), whatever the label.

    >>> from collections import namedtuple
    >>> law = normal(namedtuple('Kit', 'latent')(3), 10, spread=5.)
    >>> law.draw(jax.random.key(0), jnp.zeros(2, int)).shape
    (2, 3)
    """
    def draw(key, labels):
        return spread * jax.random.normal(key, (len(labels), kit.latent))

    return Style(draw, lambda z: distributions.normal_log_prob(z, 0., 2 * math.log(spread)))


def ring(kit: Kit, classes: int, spread: float = 1., radius: float = 1.4, along: float = .5,
         across: float = .1) -> Style:
    """One Gaussian per class around the origin of the plane, drawn out along its radius.

    The paper gives no sizes; these are of the scripts that reproduce its figure.

    Args:
      kit: of two latent dimensions.
      classes: how many.
      spread: scale of the whole.
      radius: of the means.
      along, across: standard deviations along the radius and across it.

    Returns:
      A `Style`.
    """
    _plane(kit)
    angles = 2 * np.pi * np.arange(classes) / classes
    # [K, 2], outwards
    axes = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], -1))
    sides = jnp.asarray(np.stack([-np.sin(angles), np.cos(angles)], -1))
    std = spread * np.array([along, across])

    def draw(key, labels):
        k = jnp.where(labels < classes, labels,
                      jax.random.randint(derive(key, 0), labels.shape, 0, classes))
        a, b = (jax.random.normal(derive(key, 1), (len(labels), 2)) * std).T
        return (spread * radius + a)[:, None] * axes[k] + b[:, None] * sides[k]

    def log_prob(z):
        local = jnp.stack([z @ axes.T - spread * radius, z @ sides.T], -1)         # [..., K, 2]
        each = distributions.normal_log_prob(local, 0., jnp.asarray(2 * np.log(std)))
        return jax.nn.logsumexp(each, -1) - math.log(classes)

    return Style(draw, log_prob)


def roll(kit: Kit, classes: int, spread: float = 1., turns: float = 1.5,
         noise: float = .05) -> Style:
    """A swiss roll in the plane, cut into one stretch per class; it has draws only.

    The paper gives no sizes: these are this suite's. Its angle is uniform, so that the middle
    is denser.

    Args:
      kit: of two latent dimensions.
      classes: stretches.
      spread: radius of its end.
      turns: of the spiral.
      noise: standard deviation across it, as a share of spread.

    Returns:
      A `Style`.
    """
    _plane(kit)

    def draw(key, labels):
        at = jax.random.uniform(derive(key, 0), labels.shape)
        at = .1 + .9 * jnp.where(labels < classes, (labels + at) / classes, at)
        angle = 2 * np.pi * turns * at
        curve = at[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        return spread * (curve + noise * jax.random.normal(derive(key, 1), curve.shape))

    return Style(draw, None)


STYLES = {'normal': normal, 'ring': ring, 'roll': roll}
"""Laws of styles by name: (kit, classes, spread) -> `Style`."""


def _plane(kit: Kit) -> None:
    if kit.latent != 2:
        raise UserError(
            f'this prior lies in the plane: choose kit.latent=2 instead of {kit.latent}')


class Join(NamedTuple):
    """How a style z [B, Z] and class weights y [B, K] become the one code that a decoder
    reads."""
    names: tuple[str, ...]                 # keys of its params
    init: Callable[..., Mapping]           # key -> params
    apply: Callable[..., jax.Array]        # (params, z, y) -> code [B, D]
    style: Callable[..., jax.Array]        # (params, code, y) -> z


def concatenate(size: int) -> Join:
    """z, then y: D = Z + K."""
    return Join((), lambda key: {}, lambda params, z, y: jnp.concatenate([z, y], -1),
                lambda params, code, y: code[:, :size])


def add_cluster_heads(size: int, classes: int, spread: float = 1.) -> Join:
    """z + y W: D = Z; W [K, Z], the cluster heads, starts as N(0, spread^2)."""
    def init(key):
        return {'heads': spread * jax.random.normal(key, (classes, size))}

    return Join(('heads',), init, lambda params, z, y: z + y @ params['heads'],
                lambda params, code, y: code - y @ params['heads'])


def with_classes(kit: Kit, base: posteriors.Posterior, classes: int,
                 join: Join) -> posteriors.Posterior:
    """A posterior of styles beside a softmax over classes, joined to one code without density.

    Args:
      kit: `head` is used.
      base: the `posteriors.Posterior` of styles.
      classes: K.
      join: a `Join`.

    Returns:
      A `posteriors.Posterior`; q is {'style': that of base, 'logits': [B, K]}.
    """
    head = kit.head(classes)

    def init(key):
        params, carry = base.init(derive(key, 0))
        return {**params, 'classes': head.init(derive(key, 1)),
                **join.init(derive(key, 2))}, carry

    def apply(params, carry, features, weight=None, hp=None):
        q, carry = base.apply(params, carry, features, weight, hp)
        return {'style': q, 'logits': head.apply(params['classes'], features.last)}, carry

    def code(params, q, z):
        return join.apply(params, z, jax.nn.softmax(q['logits']))

    return posteriors.Posterior(
        (*base.names, 'classes', *join.names), init, apply,
        mean=lambda params, q: code(params, q, base.mean(params, q['style'])),
        sample=lambda params, q, key: code(params, q, base.sample(params, q['style'], key)))


def prior_of(law: Style, classes: int, join: Join | None = None,
             closed: bool = False) -> models.Prior:
    """Builds the `models.Prior` of a law of styles, or of such a style joined to a class that
    is as likely as any other.

    Args:
      law: a `Style`.
      classes: K.
      join: a `Join` or None. A joined code has a density where its style can be told from it
        and a class.
      closed: whether the law is N(0, I).

    Returns:
      A `models.Prior`.
    """
    def sample(params, key, n):
        z = law.draw(derive(key, 0), jnp.full(n, classes))
        if join is None:
            return z
        label = jax.random.randint(derive(key, 1), (n,), 0, classes)
        return join.apply(params, z, jax.nn.one_hot(label, classes))

    def alone(log_prob):
        return lambda params, z: log_prob(z)

    def mixture(log_prob):
        def density(params, code):
            each = log_prob(code[..., None, :] - params['heads'])
            return jax.nn.logsumexp(each, -1) - math.log(classes)

        return density

    if law.log_prob is None or join and not join.names:
        density = None
    else:
        density = (mixture if join else alone)(law.log_prob)
    family = 'normal' if closed and join is None else ''
    return models.Prior((), lambda key, data, params: {}, density, sample, family)
