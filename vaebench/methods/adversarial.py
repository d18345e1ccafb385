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
        params, stats = gen.init(derive(key, 0))
        return {'gen': params, 'critic': net.init(derive(key, 1))}, {'gen': stats}

    def fake(params, carry, key, batch):
        z = jax.random.normal(key, (len(batch['weight']), kit.latent))
        x, stats = gen.apply(params['gen'], carry['gen'], z, batch['weight'], train=True)
        return x, {**carry, 'gen': stats}

    def critic(params, carry, batch, ctx):
        x, _ = fake(params, carry, derive(ctx.key, 0), batch)       # running statistics are the generator's own
        loss, aux = critic_loss(lambda x: net.apply(params['critic'], x, batch['weight']), batch['x'],
                                jax.lax.stop_gradient(x), batch, ctx.hp, derive(ctx.key, 1))
        return loss, (carry, aux)

    def generator(params, carry, batch, ctx):
        x, carry = fake(params, carry, ctx.key, batch)
        return mean(generator_loss(net.apply(params['critic'], x, batch['weight'])), batch), (carry, {})

    def decode(params, carry, z, key, mode):
        return {'x': gen.apply(params['gen'], carry['gen'], z)[0]}

    def sample(params, carry, key, n, mode):
        return decode(params, carry, jax.random.normal(key, (n, kit.latent)), key, mode)

    players = (Player('critic', critic, ('critic',), plan.tx, n_critic, fresh=n_critic > 1),
               Player('gen', generator, ('gen',), plan.tx))
    return Method(init, (Phase('main', players, plan.steps, select=''),), {'decode': decode, 'sample': sample})


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
