"""A generator and a critic as two players: their inputs, what their losses see and their
updates.
"""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.core import (
    Batch,
    Hp,
    Kit,
    Method,
    Net,
    Phase,
    Player,
    Recipe,
    StatNet,
    coupled,
    couples,
    derive,
    mean,
)
from vaebench.errors import unknown

NOISE = {
    'normal': jax.random.normal,
    'uniform': lambda key, shape: jax.random.uniform(key, shape, minval=-1.)
}
"""Laws of a generator's input: N(0, I), or uniform on [-1, 1]."""
EARLY, EVERY = 25, 500     # generator updates, of the published script


class Source(NamedTuple):
    """A generator and the law of its input."""
    net: StatNet               # z [B, Z] -> x
    draw: Callable             # (key, n) -> z [n, Z]


class Turn(NamedTuple):
    """What the loss of a player sees in its turn."""
    # x [B, ...] -> what the critic makes of it, [B] unless it was asked for more
    score: Callable
    fake: jax.Array            # [B, ...] samples
    z: jax.Array               # [B, Z] what they were made from
    batch: Batch
    state: Any                 # the game's own carry
    hp: Hp


Outcome = tuple[jax.Array, tuple[Any, Mapping]]
"""What the loss of a player returns: (loss [], (the game's carry, aux))."""


class Critic(NamedTuple):
    """The first player of a game.

    Args:
      net: (params, x, weight) -> anything.
      loss: (turn, key) -> `Outcome`.
      tx: hp -> its optimizer; None is the recipe's.
      updates: most updates per step, each on data of its own if there are several.
      active: (carry, ctx) -> bool [], its updates go on while true; None always takes all.
    """
    net: Net
    loss: Callable[..., Outcome]
    tx: Callable[[Hp], optax.GradientTransformation] | None = None
    updates: int = 1
    active: Callable[..., jax.Array] | None = None


def source(kit: Kit, noise: str = 'normal', norm: bool = False, width: int = 0,
           codes: Callable[..., jax.Array] | None = None) -> Source:
    """Builds the kit's generator and the law of its input.

    Args:
      kit: `gen` is used.
      noise: key of `NOISE`; of Z dimensions.
      norm: whether its hidden layers are batch-normalized.
      width: dimensions of its input beside the noise.
      codes: (key, n) -> [n, width], what they are drawn from; None where there are none.

    Returns:
      A `Source`.
    """
    if noise not in NOISE:
        raise unknown('noise', noise, NOISE)

    def plain(key, n):
        return NOISE[noise](key, (n, kit.latent))

    def coded(codes):
        return lambda key, n: jnp.concatenate(
            [plain(derive(key, 0), n), codes(derive(key, 1), n)], -1)

    return Source(kit.gen(latent=kit.latent + width, norm=norm),
                  coded(codes) if codes else plain)


def adversarial_game(recipe: Recipe, origin: Source, critic: Critic,
                     generator_loss: Callable[[Turn], Outcome], state: Any = ()) -> Method:
    """Lets two players learn, 'critic' and then 'gen'; each draws noise of its own.

    Args:
      recipe: the protocol.
      origin: the generator.
      critic: the critic.
      generator_loss: turn -> `Outcome`.
      state: the game's own carry at the start; its arrays may be replaced by either loss.

    Returns:
      A `Method` with 'decode', 'sample_prior' and 'sample'; nothing to select by: the last
      parameters count.
    """
    def init(key, data):
        params, stats = origin.net.init(derive(key, 0))
        return ({'gen': params, 'critic': critic.net.init(derive(key, 1))},
                {'gen': stats, 'game': state})

    def turn(params, carry, batch, ctx, key):
        z = origin.draw(key, len(batch['weight']))
        fake, stats = origin.net.apply(params['gen'], carry['gen'], z, batch['weight'],
                                       train=True)

        def score(x):
            return critic.net.apply(params['critic'], x, batch['weight'])

        return Turn(score, fake, z, batch, carry['game'], ctx.hp), stats

    def critic_loss(params, carry, batch, ctx):
        # running statistics are the generator's own
        seen, _ = turn(params, carry, batch, ctx, derive(ctx.key, 0))
        loss, (new, aux) = critic.loss(seen._replace(fake=jax.lax.stop_gradient(seen.fake)),
                                       derive(ctx.key, 1))
        return loss, ({**carry, 'game': new}, aux)

    def generator(params, carry, batch, ctx):
        seen, stats = turn(params, carry, batch, ctx, ctx.key)
        loss, (new, aux) = generator_loss(seen)
        return loss, ({'gen': stats, 'game': new}, aux)

    nets = origin.net.apply, critic.net.apply
    critic_loss = couples(critic_loss, coupled(*nets, critic.loss))
    generator = couples(generator, coupled(*nets, generator_loss))
    players = (Player('critic', critic_loss, ('critic',), critic.tx or recipe.optimizer,
                      critic.updates, critic.updates > 1, critic.active),
               Player('gen', generator, ('gen',), recipe.optimizer))
    return Method(init, (Phase('main', players, recipe.steps, select=''),),
                  generator_evals(origin))


def generator_evals(origin: Source) -> dict[str, Callable]:
    """'decode', 'sample_prior' and 'sample' of the generator params['gen'], carry['gen']."""
    def decode(params, carry, z, key, mode):
        return {'x': origin.net.apply(params['gen'], carry['gen'], z)[0]}

    def sample_prior(params, carry, key, n):
        return origin.draw(key, n)

    def sample(params, carry, key, n, mode):
        return decode(params, carry, origin.draw(key, n), key, mode)

    return {'decode': decode, 'sample_prior': sample_prior, 'sample': sample}


def generator_objective(loss: Callable[[jax.Array], jax.Array]) -> Callable[[Turn], Outcome]:
    """Turns a function of scores, one by one, into the loss of a generator.

    Args:
      loss: [B] scores of samples -> [B].

    Returns:
      `generator_loss` of `adversarial_game`.
    """
    return lambda turn: (mean(loss(turn.score(turn.fake)), turn.batch), (turn.state, {}))


def two_player_gan(kit: Kit, recipe: Recipe, critic_loss: Callable[..., jax.Array],
                   generator_loss: Callable[[jax.Array], jax.Array], *, estimate: str = '',
                   noise: str = 'normal', norm: bool = False, **of_critic: Any) -> Method:
    """Builds a game whose losses read scores only, one by one.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      critic_loss: ([B] scores of data, [B] of samples) -> [B].
      generator_loss: [B] scores of samples -> [B].
      estimate: name in aux of the mean that the critic maximizes; '' where it means nothing.
      noise: key of `NOISE`.
      norm: whether generator and critic are batch-normalized, data and samples apart.
      **of_critic: `tx`, `updates`, `active` of `Critic`.

    Returns:
      A `Method`.
    """
    def loss(turn, key):
        real, fake = turn.score(turn.batch['x']), turn.score(turn.fake)
        value = mean(critic_loss(real, fake), turn.batch)
        return value, (turn.state, {estimate: -value} if estimate else {})

    origin, critic = source(kit, noise, norm), Critic(kit.critic(norm=norm), loss, **of_critic)
    return adversarial_game(recipe, origin, critic, generator_objective(generator_loss))


def clip_parameters(tx: optax.GradientTransformation,
                    limit: jax.Array | float) -> optax.GradientTransformation:
    """Wraps an optimizer so that all parameters lie in [-limit, limit] after every update, but
    for rounding.

    Args:
      tx: optax transformation.
      limit: number > 0, also traced.

    Returns:
      An optax transformation, which must be given the parameters.

    >>> tx = clip_parameters(optax.sgd(1.), .5)
    >>> float(tx.update(jnp.float32(-3.), tx.init(jnp.float32(0.)), jnp.float32(0.))[0])
    0.5
    """
    def clip(updates, params):
        return jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)

    return optax.chain(tx, optax.stateless(clip))


def critic_updates(n_critic: int, boost: int) -> dict[str, Any]:
    """Gives `updates` and `active` of a critic that takes `boost` updates in the first 25 steps
    and in every 500th.

    >>> critic_updates(5, 0)
    {'updates': 5, 'active': None}
    """
    def active(carry, ctx):
        return ctx.inner < jnp.where((ctx.total < EARLY) | (ctx.total % EVERY == 0), boost,
                                     n_critic)

    return {'updates': max(n_critic, boost), 'active': active if boost else None}
