"""Generators trained against a critic."""
import jax

from vaebench.core import Method, Phase, Player, derive, mean
from vaebench.errors import UserError
from vaebench.losses import adversarial, penalties


def game(kit, plan, critic_loss, generator_loss, n_critic=1):
    """Two players: a critic of images, and a generator from N(0, I).

    Args:
      kit: `gen` and `critic` are used.
      plan: the protocol.
      critic_loss: (score, real, fake, batch, hp, key) -> (loss [], aux); score is [B, ...] -> [B].
      generator_loss: [B] scores of samples -> [B].
      n_critic: critic updates per step, each on data and noise of its own.

    Returns:
      A `Method` that offers 'decode' and 'sample'; nothing to select by, so that the last parameters count.
    """
    if kit.gen is None or kit.critic is None:
        raise UserError('this kit has no generator and critic: choose an image dataset for adversarial rows')
    gen, net = kit.gen(), kit.critic()

    def init(key, data):
        return {'gen': gen.init(derive(key, 0)), 'critic': net.init(derive(key, 1))}, {}

    def fake(params, key, n):
        return gen.apply(params['gen'], jax.random.normal(key, (n, kit.latent)))

    def critic(params, carry, batch, ctx):
        real = batch['x']
        loss, aux = critic_loss(lambda x: net.apply(params['critic'], x), real,
                                fake(params, derive(ctx.key, 0), len(real)), batch, ctx.hp, derive(ctx.key, 1))
        return loss, (carry, aux)

    def generator(params, carry, batch, ctx):
        scores = net.apply(params['critic'], fake(params, ctx.key, len(batch['x'])))
        return mean(generator_loss(scores), batch), (carry, {})

    players = (Player('critic', critic, ('critic',), plan.tx, n_critic, fresh=n_critic > 1),
               Player('gen', generator, ('gen',), plan.tx))
    evals = {'decode': lambda params, carry, z, key, mode: {'x': gen.apply(params['gen'], z)},
             'sample': lambda params, carry, key, n, mode: {'x': fake(params, key, n)}}
    return Method(init, (Phase('main', players, plan.steps, select=''),), evals)


def gan(kit, plan, *, form='nonsaturating'):
    """Generative adversarial network.

    Args:
      kit: `gen` and `critic` are used.
      plan: the protocol.
      form: 'nonsaturating' or 'minmax'.

    Returns:
      A `Method`.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.
    """
    def critic_loss(score, real, fake, batch, hp, key):
        return mean(adversarial.critic_loss(score(real), score(fake)), batch), {}

    return game(kit, plan, critic_loss, lambda scores: adversarial.generator_loss(scores, form))


def wgan_gp(kit, plan, *, n_critic=5):
    """Wasserstein GAN whose critic is kept smooth by a penalty on its input gradient.

    hp: `penalty`, the paper's lambda. The critic must treat examples one by one: no batch normalisation.

    Args:
      kit: `gen` and `critic` are used.
      plan: the protocol.
      n_critic: critic updates per generator update.

    Returns:
      A `Method`; aux 'wasserstein' is the critic's estimate.

    References:
      Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv:1704.00028.
    """
    def critic_loss(score, real, fake, batch, hp, key):
        share = jax.random.uniform(key, (len(real), *[1] * (real.ndim - 1)), real.dtype)
        penalty = mean(penalties.gradient_penalty(score, share * real + (1 - share) * fake), batch)
        wasserstein = mean(score(real) - score(fake), batch)
        return hp['penalty'] * penalty - wasserstein, {'wasserstein': wasserstein, 'penalty': penalty}

    return game(kit, plan, critic_loss, lambda scores: -scores, n_critic)
