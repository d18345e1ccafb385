"""Generators trained against a critic."""
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vaebench.core import Batch, Hp, Method, Phase, Player, StatNet, derive, mean
from vaebench.errors import unknown
from vaebench.losses import adversarial, penalties
from vaebench.ops import fdivergence

NOISE = {
    'normal': jax.random.normal,
    'uniform': lambda key, shape: jax.random.uniform(key, shape, minval=-1.)
}
"""Laws of a generator's input: N(0, I), or uniform on [-1, 1]."""


class Source(NamedTuple):
    """A generator and the law of its input."""
    net: StatNet               # z [B, Z] -> x
    draw: Callable             # (key, n) -> z [n, Z]


class Play(NamedTuple):
    """What a loss of a game sees."""
    # x [B, ...] -> what the critic makes of it, [B] unless it was asked for more
    score: Callable
    fake: jax.Array            # [B, ...] samples
    z: jax.Array               # [B, Z] what they were made from
    batch: Batch
    state: Any                 # the game's own carry
    hp: Hp


def source(kit, noise='normal', norm=False, width=0, codes=None):
    """The kit's generator.

    Args:
      kit: `gen` is used.
      noise: key of `NOISE`; of Z dimensions.
      norm: whether its hidden layers are batch-normalised.
      width: dimensions of its input beside the noise.
      codes: (key, n) -> [n, width], what they are drawn from; None where there are none.

    Returns:
      A `Source`.
    """
    if noise not in NOISE:
        raise unknown('noise', noise, NOISE)

    def plain(key, n):
        return NOISE[noise](key, (n, kit.latent))

    def coded(key, n):
        return jnp.concatenate([plain(derive(key, 0), n), codes(derive(key, 1), n)], -1)

    return Source(kit.gen(latent=kit.latent + width, norm=norm), coded if codes else plain)


def game(recipe, source, net, critic_loss, generator_loss, *, state=(), n_critic=1,
         critic_tx=None, active=None):
    """Two players, 'critic' and then 'gen'; each draws noise of its own.

    Args:
      recipe: the protocol.
      source: a `Source`.
      net: the critic, a `Net`: (params, x, weight) -> anything.
      critic_loss: (play, key) -> (loss [], (state, aux)).
      generator_loss: play -> (loss [], (state, aux)).
      state: the game's own carry at the start; its arrays may be replaced by either loss.
      n_critic: most critic updates per step, each on data of its own.
      critic_tx: hp -> the critic's optimiser; None is the recipe's.
      active: (carry, ctx) -> bool [], the critic's updates go on while true; None always takes
        all.

    Returns:
      A `Method` with 'decode', 'sample_prior' and 'sample'; nothing to select by: the last
      parameters count.
    """
    def init(key, data):
        params, stats = source.net.init(derive(key, 0))
        return {'gen': params, 'critic': net.init(derive(key,
                                                         1))}, {'gen': stats, 'game': state}

    def play(params, carry, batch, ctx, key):
        z = source.draw(key, len(batch['weight']))
        fake, stats = source.net.apply(params['gen'], carry['gen'], z, batch['weight'],
                                       train=True)
        score = lambda x: net.apply(params['critic'], x, batch['weight'])
        return Play(score, fake, z, batch, carry['game'], ctx.hp), stats

    def critic(params, carry, batch, ctx):
        # running statistics are the generator's own
        seen, _ = play(params, carry, batch, ctx, derive(ctx.key, 0))
        loss, (new, aux) = critic_loss(seen._replace(fake=jax.lax.stop_gradient(seen.fake)),
                                       derive(ctx.key, 1))
        return loss, ({**carry, 'game': new}, aux)

    def generator(params, carry, batch, ctx):
        seen, stats = play(params, carry, batch, ctx, ctx.key)
        loss, (new, aux) = generator_loss(seen)
        return loss, ({'gen': stats, 'game': new}, aux)

    def decode(params, carry, z, key, mode):
        return {'x': source.net.apply(params['gen'], carry['gen'], z)[0]}

    def sample_prior(params, carry, key, n):
        return source.draw(key, n)

    def sample(params, carry, key, n, mode):
        return decode(params, carry, source.draw(key, n), key, mode)

    players = (Player('critic', critic, ('critic',), critic_tx or recipe.optimizer, n_critic,
                      n_critic > 1,
                      active), Player('gen', generator, ('gen',), recipe.optimizer))
    return Method(init, (Phase('main', players, recipe.steps, select=''),),
                  {'decode': decode, 'sample_prior': sample_prior, 'sample': sample})


def fool(loss):
    """A generator's loss that reads scores only, one by one.

    Args:
      loss: [B] scores of samples -> [B].

    Returns:
      `generator_loss` of `game`.
    """
    return lambda play: (mean(loss(play.score(play.fake)), play.batch), (play.state, {}))


def duel(kit, recipe, critic_loss, generator_loss, *, estimate='', noise='normal', norm=False,
         **options):
    """A game whose losses read scores only, one by one.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      critic_loss: ([B] scores of data, [B] of samples) -> [B].
      generator_loss: [B] scores of samples -> [B].
      estimate: name in aux of the mean that the critic maximises; '' where it means nothing.
      noise: key of `NOISE`.
      norm: whether generator and critic are batch-normalised, data and samples apart.
      **options: of `game`.

    Returns:
      A `Method`.
    """
    def critic(play, key):
        loss = mean(critic_loss(play.score(play.batch['x']), play.score(play.fake)), play.batch)
        return loss, (play.state, {estimate: -loss} if estimate else {})

    return game(recipe, source(kit, noise, norm), kit.critic(norm=norm), critic,
                fool(generator_loss), **options)


def gan(kit, recipe, *, form='nonsaturating', noise='normal', norm=False):
    """Generative adversarial network; with batch normalisation and uniform noise the recipe
    called DCGAN.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      form: 'nonsaturating' or 'minmax'.
      noise: 'normal' or 'uniform'.
      norm: whether generator and critic are batch-normalised, data and samples apart.

    Returns:
      A `Method`.

    Equation:
      critic: minimise softplus(-D(x)) + softplus(D(G(z)))
      generator: minimise softplus(-D(G(z))) (nonsaturating) or -softplus(D(G(z))) (minmax)

    Deviations:
      Images lie in [0, 1]; DCGAN's paper has a tanh generator of [-1, 1], and weights that
      start from N(0, 0.02^2). Its layers are the table's networks, with batch normalisation.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.
      Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
      Adversarial Networks", 2016, arXiv:1511.06434.
    """
    return duel(kit, recipe, adversarial.critic_loss,
                lambda score: adversarial.generator_loss(score, form), noise=noise, norm=norm)


def f_gan(kit, recipe, *, divergence='kl', form='minmax', noise='normal'):
    """GAN that minimises a lower bound of an f-divergence D_f(data || samples).

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      divergence: key of `ops.fdivergence.DIVERGENCES`.
      form: 'minmax', in which the generator minimises the bound, or 'nonsaturating', in which
        it maximises the activation of its samples' scores: the paper's practical variant.
      noise: 'normal' or 'uniform'.

    Returns:
      A `Method`; aux 'bound' is the critic's estimate of the divergence, nats where that has a
      unit.

    Equation:
      D_f(p || q) = sup_v E_p g(v(x)) - E_q f*(g(v(G(z)))), g onto the domain of the conjugate
      f*
      critic: maximise it; generator: minimise it (minmax), or maximise E_q g(v) (nonsaturating)
      f(u), u = p / q: kl u log u; reverse_kl -log u; pearson (u - 1)^2; hellinger (sqrt u -
      1)^2;
      js u log u - (u + 1) log((u + 1) / 2), twice Jensen-Shannon; gan u log u - (u + 1) log(u +
      1)

    Deviations:
      Players move in turn; the paper moves both at once. Outputs above 10 count as 10 where the
      bound has an exponential or a square of them ('kl', 'hellinger', 'pearson'). f*(g(v)) is
      one formula: in two steps Hellinger's overflows.

    References:
      Nowozin et al., "f-GAN: Training Generative Neural Samplers using Variational Divergence
      Minimization", 2016, arXiv:1606.00709.
    """
    if divergence not in fdivergence.DIVERGENCES:
        raise unknown('divergence', divergence, fdivergence.DIVERGENCES)
    chosen = fdivergence.DIVERGENCES[divergence]
    pulls = {
        'minmax': lambda score: -chosen.composite(jnp.minimum(score, chosen.ceiling)),
        'nonsaturating': lambda score: -chosen.activation(jnp.minimum(score, chosen.ceiling))
    }
    return duel(kit, recipe, lambda real, fake: -fdivergence.bound(chosen, real, fake),
                pulls[form], estimate='bound', noise=noise)


def lsgan(kit, recipe, *, targets=(0., 1., 1.), noise='normal', norm=False):
    """GAN whose critic is a least-squares regression.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      targets: the paper's (a, b, c): scores that the critic gives to samples and to data, and
        that the generator wants; with (-1, 1, 0) it minimises a Pearson divergence.
      noise: 'normal' or 'uniform'.
      norm: whether generator and critic are batch-normalised, data and samples apart.

    Returns:
      A `Method`.

    Equation:
      critic: minimise (1/2) (D(x) - b)^2 + (1/2) (D(G(z)) - a)^2; generator: minimise (1/2)
        (D(G(z)) - c)^2

    Deviations:
      None known.

    References:
      Mao et al., "Least Squares Generative Adversarial Networks", 2017, arXiv:1611.04076.
    """
    a, b, c = targets
    square = adversarial.least_squares
    return duel(kit, recipe, lambda real, fake: square(real, b) + square(fake, a),
                lambda score: square(score, c), noise=noise, norm=norm)


def clipped(tx, limit):
    """An optimiser after every update of which all parameters lie in [-limit, limit], but for
    rounding.

    Args:
      tx: optax transformation.
      limit: number > 0, also traced.

    Returns:
      An optax transformation, which must be given the parameters.

    >>> tx = clipped(optax.sgd(1.), .5)
    >>> float(tx.update(jnp.float32(-3.), tx.init(jnp.float32(0.)), jnp.float32(0.))[0])
    0.5
    """
    def update(updates, state, params):
        return jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params,
                            updates), state

    return optax.chain(tx,
                       optax.GradientTransformation(lambda params: optax.EmptyState(), update))


EARLY, EVERY = 25, 500     # generator updates, of the published script


def updates(n_critic, boost):
    """`n_critic` and `active` of a game whose critic has `boost` updates in the first 25 steps
    and in every 500th.

    >>> updates(5, 0)
    {'n_critic': 5, 'active': None}
    """
    def active(carry, ctx):
        return ctx.inner < jnp.where((ctx.total < EARLY) | (ctx.total % EVERY == 0), boost,
                                     n_critic)

    return {'n_critic': max(n_critic, boost), 'active': active if boost else None}


def wgan(kit, recipe, *, n_critic=5, boost=0, noise='normal', norm=False):
    """Wasserstein GAN whose critic's parameters, biases included, are clipped after each of its
    updates.

    Clipping bounds the critic's slope by an unknown K: the estimate is K times the distance at
    best, and says nothing across critics.

    Hyperparameters:
      clip.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      n_critic: critic updates per generator update.
      boost: critic updates in the first 25 steps and in every 500th, 100 in the published
        script; 0 never.
      noise: 'normal' or 'uniform'.
      norm: whether generator and critic are batch-normalised, data and samples apart.

    Returns:
      A `Method`; aux 'wasserstein' is the critic's estimate.

    Equation:
      critic: maximise E f(x) - E f(G(z)), every parameter clipped to [-clip, clip]; generator:
        maximise E f(G(z))

    Deviations:
      The published script clips before the update instead of after it, minimises the negative
      of the score that is maximised here, and has 100 critic updates in its first 25 steps and
      in every 500th (`boost`).

    References:
      Arjovsky et al., "Wasserstein GAN", 2017, arXiv:1701.07875.
    """
    return duel(kit, recipe, lambda real, fake: fake - real, lambda score: -score,
                estimate='wasserstein', noise=noise, norm=norm,
                critic_tx=lambda hp: clipped(recipe.optimizer(hp), hp['clip']),
                **updates(n_critic, boost))


def wgan_gp(kit, recipe, *, n_critic=5, noise='normal', norm=False):
    """Wasserstein GAN whose critic is kept smooth by a penalty on its input gradient.

    The critic treats examples one by one: it is never batch-normalised.

    Hyperparameters:
      penalty.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      n_critic: critic updates per generator update.
      noise: 'normal' or 'uniform'.
      norm: whether the generator is batch-normalised.

    Returns:
      A `Method`; aux 'wasserstein' is the critic's estimate.

    Equation:
      critic: minimise E f(G(z)) - E f(x) + lambda E (|grad f(y)| - 1)^2
      y = u x + (1 - u) G(z), u ~ U[0, 1] per example
      generator: maximise E f(G(z))

    Deviations:
      None known for images; for points in the plane the published code has a lambda of 0.1.

    References:
      Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv:1704.00028.
    """
    def critic(play, key):
        real, fake, score = play.batch['x'], play.fake, play.score
        share = jax.random.uniform(key, (len(real), *[1] * (real.ndim - 1)), real.dtype)
        penalty = mean(penalties.gradient_penalty(score, share * real + (1 - share) * fake),
                       play.batch)
        wasserstein = mean(score(real) - score(fake), play.batch)
        aux = {'wasserstein': wasserstein, 'penalty': penalty}
        return play.hp['penalty'] * penalty - wasserstein, (play.state, aux)

    return game(recipe, source(kit, noise, norm), kit.critic(), critic,
                fool(lambda score: -score), n_critic=n_critic)


def infogan(kit, recipe, *, categories=None, continuous=2, noise='uniform', norm=False):
    """GAN whose samples tell a part of what they were made from: a category, and numbers
    uniform on [-1, 1].

    Hyperparameters:
      info, info_continuous, critic_lr.

    Args:
      kit: `gen` and `critic` are used; Z counts the noise only.
      recipe: the protocol.
      categories: K; None is the data's number of classes.
      continuous: how many numbers.
      noise: 'normal' or 'uniform'.
      norm: whether the generator is batch-normalised.

    Returns:
      A `Method` that offers 'sample' and 'cluster'; aux 'info' is the categorical information,
      nats, at most log K; 'code_error' half the squared error of the numbers, summed.

    Equation:
      critic: minimise the GAN's loss - info L_I + info_continuous e; generator: its own loss
        with the same two terms
      L_I = log K + E log q(c | G(z, c, r)), at most log K; e = (1/2) |r - r'|^2, r' read from
      G(z, c, r)

    Deviations:
      The recognition network is the critic's own, with more outputs; the paper's has a layer
      more. As in the published code it learns from the critic's loss, and both losses have both
      terms. The numbers have a squared error in place of their information, from which it
      differs by a constant and a scale. The critic is not batch-normalised, so that 'cluster'
      treats images one by one.

    References:
      Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing
      Generative Adversarial Nets", 2016, arXiv:1606.03657.
    """
    k = categories or kit.size('label')

    def codes(key, n):
        category = jax.nn.one_hot(jax.random.randint(derive(key, 0), (n,), 0, k), k)
        return jnp.concatenate([category, NOISE['uniform'](derive(key, 1), (n, continuous))],
                               -1)

    def informed(play, out, loss):
        code = play.z[:, kit.latent:]
        info = mean(adversarial.code_information(out[:, 1:1 + k], code[:, :k]), play.batch)
        error = mean(adversarial.least_squares(out[:, 1 + k:], code[:, k:]).sum(-1), play.batch)
        total = mean(loss,
                     play.batch) - play.hp['info'] * info + play.hp['info_continuous'] * error
        return total, (play.state, {'info': info, 'code_error': error})

    def critic(play, key):
        out = play.score(play.fake)
        return informed(play, out,
                        adversarial.critic_loss(play.score(play.batch['x'])[:, 0], out[:, 0]))

    def generator(play):
        out = play.score(play.fake)
        return informed(play, out, adversarial.generator_loss(out[:, 0]))

    origin, net = source(kit, noise, norm, k + continuous,
                         codes), kit.critic(n_out=1 + k + continuous)
    method = game(recipe, origin, net, critic, generator,
                  critic_tx=lambda hp: recipe.optimizer({**hp, 'lr': hp['critic_lr']}))

    def cluster(params, carry, batch):
        return jax.nn.log_softmax(net.apply(params['critic'], batch['x'])[:, 1:1 + k])

    return method._replace(evals={'sample': method.evals['sample'], 'cluster': cluster})
