"""Maps of codes to codes of the other style: their forms, their losses and their training."""
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Net, Params, Phase, Player, Recipe, couples, derive, mean
from vaebench.errors import unknown
from vaebench.losses import adversarial
from vaebench.methods import frozen_autoencoders as frozen
from vaebench.ops import schedules
from vaebench.schema import field

JUDGE, DROPOUT = (512,), .5        # of Mai et al.: hidden widths, dropout
CRITIC = 300, 300


# Maps.

def code_map(kit: Kit, form: str = 'offset') -> Net:
    """Makes a map of codes to codes, with biases.

    Args:
      kit: `mlp` is used.
      form: 'mlp', W2 selu(W1 z); 'offset', z + V selu(W z); or 'resnet', W2 selu(offset(z)).
        All widths are Z.

    Returns:
      A `Net`: (params, z [..., Z]) -> [..., Z].

    Raises:
      UserError: the form is unknown.

    References:
      Mai et al., "Plug and Play Autoencoders for Conditional Text Generation", 2020,
      arXiv:2010.02983.
    """
    if form not in FORMS:
        raise unknown('form of a map', form, FORMS)
    count, apply = FORMS[form]
    linear = kit.mlp((kit.latent, kit.latent))
    return Net(lambda key: [linear.init(derive(key, i)) for i in range(count)],
               lambda params, z, key=None: apply(linear, params, z))


def _mlp(linear, params, z):
    return linear.apply(params[1], jax.nn.selu(linear.apply(params[0], z)))


def _offset(linear, params, z):
    return z + _mlp(linear, params, z)


def _resnet(linear, params, z):
    return linear.apply(params[2], jax.nn.selu(_offset(linear, params, z)))


FORMS = {'mlp': (2, _mlp), 'offset': (2, _offset), 'resnet': (3, _resnet)}
"""Maps by name: how many linear layers, and (layer, their params, z) -> z'."""


def directed(net: Net, styles: int = frozen.STYLES) -> Net:
    """Makes one map for each target style of one.

    All maps see all codes, and each code keeps its own: styles times the work.

    Args:
      net: (params, z [..., Z]) -> [..., Z].
      styles: K.

    Returns:
      A `Net`: (params with leaves [K, ...], z [B, Z], label [B]) -> [B, Z].
    """
    def apply(params, z, label, key=None):
        every = jax.vmap(net.apply, (0, None))(params, z)
        return jnp.take_along_axis(every, label[None, :, None], 0)[0]

    return Net(lambda key: jax.vmap(net.init)(jax.random.split(key, styles)), apply)


# How far two codes are apart.

def cosine_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes 1 - cos(a, b), as half the squared distance of unit vectors.

    Equal codes thus have a gradient of exactly 0, whose rounding Adam would make a step of
    otherwise. A code of norm 0 counts as orthogonal to all, and has no gradient.

    Args:
      a, b: [..., Z].

    Returns:
      [...] from 0 to 2.

    >>> a = jnp.array([1., 0.])
    >>> cosine_distance(a, jnp.array([[3., 0.], [0., 1.], [-2., 0.]])).tolist()
    [0.0, 1.0, 2.0]
    """
    def unit(x):
        square = (x**2).sum(-1, keepdims=True)
        there = square > 0
        return jnp.where(there, x / jnp.sqrt(jnp.where(there, square, 1.)), 0.), there[..., 0]

    (a, one), (b, other) = unit(a), unit(b)
    return jnp.where(one & other, ((a - b)**2).sum(-1) / 2, 1.)


def squared_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Computes the mean over dimensions of the squared difference of [..., Z]: [...]."""
    return ((a - b)**2).mean(-1)


DISTANCES = {'cosine': cosine_distance, 'squared': squared_distance}
ADVERSARIES = '', 'nonsaturating', 'minmax'
"""Forms of the critic's term; '' for no critic."""


# What a map is trained on.

class Loss(NamedTuple):
    """What a moved code loses, term by term.

    Attributes:
      distance: (z', goal) -> [...].
      judge: of codes, or None where pairs are known; its params are 'judge'.
      critic: of moved codes, or None; its params are 'critic'.
      form: of the critic's term, see `adversarial.generator_loss`.
    """
    distance: Callable[[jax.Array, jax.Array], jax.Array]
    judge: Net | None
    critic: Net | None
    form: str

    def task(self, params: Params, style: Any, z: jax.Array, goal: jax.Array,
             label: jax.Array) -> jax.Array:
        """All but the critic's term: [..., B].

        Args:
          params: of the step.
          style: [], share of the judge.
          z: [..., B, Z] moved codes.
          goal: [B, Z] where they should be near.
          label: [B] the style wanted.
        """
        apart = self.distance(z, goal)
        if self.judge is None:
            return apart
        wrong = frozen.style_loss(self.judge.apply(params['judge'], z), label)
        return style * wrong + (1 - style) * apart

    def fooling(self, params: Params, z: jax.Array) -> jax.Array:
        """The critic's term, [..., B]."""
        if self.critic is None:
            return jnp.zeros(z.shape[:-1])
        return adversarial.generator_loss(self.critic.apply(params['critic'], z), self.form)

    def trained_on(self, params: Params, carry: Any, z: jax.Array, goal: jax.Array,
                   label: jax.Array) -> jax.Array:
        """All of it with the weights at the end of their ramp: [..., B]."""
        numbers = carry['numbers']
        return (self.task(params, numbers['style'], z, goal, label)
                + numbers['adversarial'] * self.fooling(params, z))


def map_loss(kit: Kit, supervised: bool, distance: str, adversary: str) -> Loss:
    """Builds the `Loss` of a row.

    Args:
      kit: `mlp` is used.
      supervised, distance, adversary: of `emb2emb`.

    Raises:
      UserError: an option is unknown.
    """
    if distance not in DISTANCES:
        raise unknown('distance', distance, DISTANCES)
    if adversary not in ADVERSARIES:
        raise unknown('adversary', adversary, ADVERSARIES)
    judge = None if supervised else frozen.layers(kit, JUDGE, dropout=DROPOUT)
    critic = frozen.layers(kit, CRITIC) if adversary else None
    return Loss(DISTANCES[distance], judge, critic, adversary)


class Codes(NamedTuple):
    """What a batch gives a map to learn from."""
    z: jax.Array           # [B, Z]
    goal: jax.Array        # [B, Z]
    label: jax.Array       # [B], the style wanted
    weight: jax.Array      # [B]


def codes_of(encode: Callable[..., jax.Array], supervised: bool,
             source: int | None) -> Callable[..., Codes]:
    """Builds (params, carry, batch) -> `Codes`, none of which has a gradient.

    Args:
      encode: (params, carry, batch) -> [B, Z].
      supervised, source: of `emb2emb`.
    """
    def read(params, carry, batch):
        z, weight = encode(params, carry, batch), batch['weight']
        goal = z
        if supervised:
            other, weight = frozen.paired(batch)
            goal = encode(params, carry, other)
        weight = frozen.from_style(batch, weight, source)
        z, goal = jax.lax.stop_gradient((z, goal))
        return Codes(z, goal, 1 - batch['label'], weight)

    return read


def _critic_player(loss, net, read, encode, tx, partial):
    """The critic: codes that exist are real, moved ones are not. `partial` says that not all
    examples of a batch count.
    """
    supervised = loss.judge is None

    def tell_apart(params, carry, batch, ctx):
        own = read(params, carry, batch)
        real, weight = own.goal, own.weight
        if not supervised:
            other = batch['other']
            real = jax.lax.stop_gradient(encode(params, carry, other))
            weight = other['weight']
        fake = jax.lax.stop_gradient(net.apply(params['map'], own.z, own.label))
        real, fake = (loss.critic.apply(params['critic'], z) for z in (real, fake))
        value = (mean(jax.nn.softplus(-real), {'weight': weight})
                 + mean(jax.nn.softplus(fake), {'weight': own.weight}))
        return value, (carry, {})

    couples(tell_apart, partial)
    return Player('critic', tell_apart, ('critic',), tx, other_batch=not supervised)


def map_phase(recipe: Recipe, encode: Callable[..., jax.Array], net: Net, loss: Loss,
              source: int | None) -> Phase:
    """Makes the phase 'map': in every step the critic, where there is one, then the map.

    Args:
      recipe: the protocol.
      encode: (params, carry, batch) -> [B, Z], of the frozen autoencoder.
      net: see `directed`; its params are 'map'.
      loss: a `Loss`.
      source: of `emb2emb`.

    Returns:
      A `Phase`; the loss on validation data without the critic's term chooses the parameters.
    """
    supervised = loss.judge is None
    read = codes_of(encode, supervised, source)

    def learn(params, carry, batch, ctx):
        own, hp = read(params, carry, batch), ctx.hp
        numbers = {'adversarial': hp['adversarial'], 'style': jnp.zeros(())}
        ramp = 1.
        if not supervised:
            numbers['style'] = hp['style']
            ramp = schedules.ramp(ctx.step / recipe.steps_per_epoch, 0., 1.,
                                  length=hp['warmup'])
        moved, seen = net.apply(params['map'], own.z, own.label), {'weight': own.weight}
        task = mean(loss.task(params, ramp * numbers['style'], moved, own.goal, own.label),
                    seen)
        fool = mean(loss.fooling(params, moved), seen)
        value = task + numbers['adversarial'] * fool
        return value, ({**carry, 'numbers': numbers}, {'task': task, 'fool': fool})

    def error(params, carry, batch):
        own = read(params, carry, batch)
        moved = net.apply(params['map'], own.z, own.label)
        task = loss.task(params, carry['numbers']['style'], moved, own.goal, own.label)
        return jnp.where(own.weight > 0, task, 0.)

    def enter(key, params, carry, data):
        new = {'map': net.init(derive(key, 0))}
        if loss.critic is not None:
            new['critic'] = loss.critic.init(derive(key, 1))
        numbers = {'adversarial': jnp.zeros(()), 'style': jnp.zeros(())}
        return {**params, **new}, {**carry, 'numbers': numbers}

    def tx(name):
        return lambda hp: recipe.optimizer({**hp, 'lr': hp[name]})

    partial = supervised or source is not None
    players = [Player('map', couples(learn, partial), ('map',), tx('map_lr'))]
    if loss.critic is not None:
        players.insert(0, _critic_player(loss, net, read, encode, tx('critic_lr'),
                                         partial))
    return Phase('map', tuple(players), recipe.steps, enter=enter, select='error',
                 evals={'error': error})


class Learned(NamedTuple):
    """A map that is learned, and what it was learned with."""
    method: Method
    move: Callable[..., jax.Array]     # (params, carry, z [B, Z], label [B]) -> [B, Z]
    loss: Loss


def learned(kit: Kit, recipe: Recipe, *, form: str, distance: str, adversary: str,
            supervised: bool, corrupt: float, source: int | None) -> Learned:
    """Builds the phases that end with a map of codes.

    Args:
      kit, recipe, form, distance, adversary, supervised, corrupt, source: of
        `embedding_maps.emb2emb`.

    Returns:
      `Learned`; the method's evals are those of its autoencoder.
    """
    if supervised:
        field(kit.schema, 'target')            # one clear line
    base, loss = frozen.denoising(kit, recipe, corrupt), map_loss(
        kit, supervised, distance, adversary)
    net, encode = directed(code_map(kit, form)), base.evals['encode']
    judge = () if loss.judge is None else (frozen.judge_phase(recipe, encode, loss.judge),)
    phases = *base.phases, *judge, map_phase(recipe, encode, net, loss, source)

    def move(params, carry, z, label):
        return net.apply(params['map'], z, label)

    return Learned(base._replace(phases=phases), move, loss)
