"""Generators trained against a critic."""
import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Recipe, couples, derive, mean
from vaebench.errors import unknown
from vaebench.losses import adversarial, penalties
from vaebench.methods.adversarial_game import (
    NOISE,
    Critic,
    Source,
    adversarial_game,
    clip_parameters,
    critic_updates,
    generator_objective,
    source,
    two_player_gan,
)
from vaebench.ops import fdivergence


def gan(kit: Kit, recipe: Recipe, *, form: str = 'nonsaturating', noise: str = 'normal',
        norm: bool = False) -> Method:
    """Generative adversarial network; with batch normalization and uniform noise the recipe
    called DCGAN.

    Its two forms are those of the f-GAN of 'gan', term for term, and of 'js', but for log 2.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      form: 'nonsaturating' or 'minmax'.
      noise: 'normal' or 'uniform'.
      norm: whether generator and critic are batch-normalized, data and samples apart.

    Returns:
      A `Method`.

    Equation:
      critic: minimize softplus(-D(x)) + softplus(D(G(z)))
      generator: minimize softplus(-D(G(z))) (nonsaturating) or -softplus(D(G(z))) (minmax)

    Deviations:
      Images lie in [0, 1]; DCGAN's paper has a tanh generator of [-1, 1]. Its layers are the
      table's networks, with batch normalization; its weights start from N(0, 0.02^2) where the
      kit's `generator` and `critic` say so.

    References:
      Goodfellow et al., "Generative Adversarial Networks", 2014, arXiv:1406.2661.
      Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
      Adversarial Networks", 2016, arXiv:1511.06434.
    """
    return two_player_gan(kit, recipe, adversarial.critic_loss,
                          lambda score: adversarial.generator_loss(score, form), noise=noise,
                          norm=norm)


def f_gan(kit: Kit, recipe: Recipe, *, divergence: str = 'kl', form: str = 'minmax',
          noise: str = 'normal', norm: bool = False) -> Method:
    """GAN that minimizes a lower bound of an f-divergence D_f(data || samples).

    Of 'gan' and 'js' both losses are those of the GAN, of either form, but for a constant: they
    train the same networks, and no table shows them beside it.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      divergence: key of `ops.fdivergence.DIVERGENCES`.
      form: 'minmax', in which the generator minimizes the bound, or 'nonsaturating', in which
        it maximizes the activation of its samples' scores: the paper's practical variant.
      noise: 'normal' or 'uniform'.
      norm: whether generator and critic are batch-normalized, data and samples apart.

    Returns:
      A `Method`; aux 'bound' is the critic's estimate of the divergence, nats where that has a
      unit.

    Equation:
      D_f(p || q) = sup_v E_p g(v(x)) - E_q f*(g(v(G(z))))
      f*: the conjugate; g: onto its domain
      critic: maximize it; generator: minimize it (minmax), or maximize E_q g(v) (nonsaturating)
      f(u), u = p / q: kl u log u; reverse_kl -log u; pearson (u - 1)^2;
      hellinger (sqrt u - 1)^2; js u log u - (u + 1) log((u + 1) / 2), twice Jensen-Shannon;
      gan u log u - (u + 1) log(u + 1)

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
    return two_player_gan(kit, recipe,
                          lambda real, fake: -fdivergence.bound(chosen, real, fake),
                          pulls[form], estimate='bound', noise=noise, norm=norm)


def lsgan(kit: Kit, recipe: Recipe, *, targets: tuple[float, float, float] = (0., 1., 1.),
          noise: str = 'normal', norm: bool = False) -> Method:
    """GAN whose critic is a least-squares regression.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      targets: the paper's (a, b, c): scores that the critic gives to samples and to data, and
        that the generator wants; with (-1, 1, 0) it minimizes a Pearson divergence.
      noise: 'normal' or 'uniform'.
      norm: whether generator and critic are batch-normalized, data and samples apart.

    Returns:
      A `Method`.

    Equation:
      critic: minimize (1/2) (D(x) - b)^2 + (1/2) (D(G(z)) - a)^2
      generator: minimize (1/2) (D(G(z)) - c)^2

    Deviations:
      None known.

    References:
      Mao et al., "Least Squares Generative Adversarial Networks", 2017, arXiv:1611.04076.
    """
    a, b, c = targets
    square = adversarial.least_squares
    return two_player_gan(kit, recipe, lambda real, fake: square(real, b) + square(fake, a),
                          lambda score: square(score, c), noise=noise, norm=norm)


def wgan(kit: Kit, recipe: Recipe, *, n_critic: int = 5, boost: int = 0, noise: str = 'normal',
         norm: bool = False) -> Method:
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
      norm: whether generator and critic are batch-normalized, data and samples apart.

    Returns:
      A `Method`; aux 'wasserstein' is the critic's estimate.

    Equation:
      critic: maximize E f(x) - E f(G(z)), every parameter clipped to [-clip, clip]
      generator: maximize E f(G(z))

    Deviations:
      The published script clips before the update instead of after it, minimizes the negative
      of the score that is maximized here, and has 100 critic updates in its first 25 steps and
      in every 500th (`boost`).

    References:
      Arjovsky et al., "Wasserstein GAN", 2017, arXiv:1701.07875.
    """
    return two_player_gan(kit, recipe, lambda real, fake: fake - real, lambda score: -score,
                          estimate='wasserstein', noise=noise, norm=norm,
                          tx=lambda hp: clip_parameters(recipe.optimizer(hp), hp['clip']),
                          **critic_updates(n_critic, boost))


def wgan_gp(kit: Kit, recipe: Recipe, *, n_critic: int = 5, noise: str = 'normal',
            norm: bool = False) -> Method:
    """Wasserstein GAN whose critic is kept smooth by a penalty on its input gradient.

    The critic treats examples one by one: it is never batch-normalized.

    Hyperparameters:
      penalty.

    Args:
      kit: `gen` and `critic` are used.
      recipe: the protocol.
      n_critic: critic updates per generator update.
      noise: 'normal' or 'uniform'.
      norm: whether the generator is batch-normalized.

    Returns:
      A `Method`; aux 'wasserstein' is the critic's estimate.

    Equation:
      critic: minimize E f(G(z)) - E f(x) + lambda E (|grad f(y)| - 1)^2
      y = u x + (1 - u) G(z), u ~ U[0, 1] per example
      generator: maximize E f(G(z))

    Deviations:
      None known for images; for points in the plane the published code has a lambda of 0.1.

    References:
      Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, arXiv:1704.00028.
    """
    def critic(turn, key):
        real, fake, score = turn.batch['x'], turn.fake, turn.score
        share = jax.random.uniform(key, (len(real), *[1] * (real.ndim - 1)), real.dtype)
        penalty = mean(penalties.gradient_penalty(score, share * real + (1 - share) * fake),
                       turn.batch)
        wasserstein = mean(score(real) - score(fake), turn.batch)
        aux = {'wasserstein': wasserstein, 'penalty': penalty}
        return turn.hp['penalty'] * penalty - wasserstein, (turn.state, aux)

    return adversarial_game(recipe, source(kit, noise, norm),
                            Critic(kit.critic(), critic, updates=n_critic),
                            generator_objective(lambda score: -score))


def ge_gan(kit: Kit, recipe: Recipe, *, n_critic: int = 2, noise: str = 'normal') -> Method:
    """GAN that is told the class, of networks that may commute with a group: on the kits 'p4'
    and 'p4m' its critic scores a turned image as it scores the image.

    Scores count against the average of the other side, and the critic's slope at data costs.
    The kit has the rest: weights of spectral norm, and maps that noise and class scale.

    Hyperparameters:
      penalty, critic_lr.

    Args:
      kit: `class_gen` and `class_critic` are used; the data has labels.
      recipe: the protocol.
      n_critic: critic updates per generator update.
      noise: 'normal' or 'uniform'.

    Returns:
      A `Method` that offers 'sample'; aux 'penalty' is the critic's mean squared slope at data.

    Equation:
      a = D(x, y) - E D(G(z, y'), y'), b = D(G(z, y'), y') - E D(x, y)
      critic: minimize softplus(-a) + softplus(b) + (penalty / 2) E |grad_x D(x, y)|^2
      generator: minimize softplus(a) + softplus(-b)

    Deviations:
      Classes of samples are uniform, not those of the batch. Images lie in [0, 1]. The vectors
      of spectral norm are running means, see `networks.group_layers.spectral_norm`. A third
      pool, of 7 x 7 pixels, is left out: it is not symmetric.

    References:
      Dey et al., "Group Equivariant Generative Adversarial Networks", 2021, arXiv:2005.01683.
      Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard
      GAN", 2019, arXiv:1807.00734.
    """
    k, net = kit.size('label'), kit.class_critic()

    def draw(key, n):
        label = jax.nn.one_hot(jax.random.randint(derive(key, 1), (n,), 0, k), k)
        return jnp.concatenate([NOISE[noise](derive(key, 0), (n, kit.latent)), label], -1)

    def of_data(turn, x):
        return turn.score({'x': x, 'label': jax.nn.one_hot(turn.batch['label'], k)})

    def of_samples(turn):
        return turn.score({'x': turn.fake, 'label': turn.z[:, kit.latent:]})

    @couples
    def critic(turn, key):
        x, weight = turn.batch['x'], turn.batch['weight']
        slope = penalties.squared_slope(lambda x: of_data(turn, x), x)
        loss = adversarial.relativistic_loss(of_data(turn, x), of_samples(turn), weight)
        total = mean(loss + turn.hp['penalty'] / 2 * slope, turn.batch)
        return total, (turn.state, {'penalty': mean(slope, turn.batch)})

    @couples
    def generator(turn):
        loss = adversarial.relativistic_loss(
            of_samples(turn), of_data(turn, turn.batch['x']), turn.batch['weight'])
        return mean(loss, turn.batch), (turn.state, {})

    def critic_tx(hp):
        return recipe.optimizer({**hp, 'lr': hp['critic_lr']})

    method = adversarial_game(recipe, Source(kit.class_gen(), draw),
                              Critic(net, critic, critic_tx, n_critic), generator)
    # its codes hold a class: they are of no metric of codes
    return method._replace(evals={'sample': method.evals['sample']})


def infogan(kit: Kit, recipe: Recipe, *, categories: int | None = None, continuous: int = 2,
            noise: str = 'uniform', norm: bool = False) -> Method:
    """GAN whose samples tell a part of what they were made from: a category, and numbers
    uniform on [-1, 1].

    In a short run the weight of the information buys clusters at the cost of diversity: samples
    of a category become alike long before the critic objects.

    Hyperparameters:
      info, info_continuous, critic_lr.

    Args:
      kit: `gen` and `critic` are used; Z counts the noise only.
      recipe: the protocol.
      categories: K; None is the data's number of classes.
      continuous: how many numbers.
      noise: 'normal' or 'uniform'.
      norm: whether the generator is batch-normalized.

    Returns:
      A `Method` that offers 'sample' and 'cluster'; aux 'info' is the categorical information,
      nats, at most log K; 'code_error' half the squared error of the numbers, summed.

    Equation:
      critic: minimize the GAN's loss - info L_I + info_continuous e
      generator: its own loss with the same two terms
      L_I = log K + E log q(c | G(z, c, r)), at most log K
      e = (1/2) |r - r'|^2, r' read from G(z, c, r)

    Deviations:
      The recognition network is the critic's own, with more outputs; the paper's has a layer
      more. As in the published code it learns from the critic's loss, and both losses have both
      terms. The numbers have a squared error in place of their information, from which it
      differs by a constant and a scale. The critic is not batch-normalized, so that 'cluster'
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

    def informed(turn, out, loss):
        code = turn.z[:, kit.latent:]
        told = mean(adversarial.code_information(out[:, 1:1 + k], code[:, :k]), turn.batch)
        error = mean(adversarial.least_squares(out[:, 1 + k:], code[:, k:]).sum(-1), turn.batch)
        total = (mean(loss, turn.batch) - turn.hp['info'] * told
                 + turn.hp['info_continuous'] * error)
        return total, (turn.state, {'info': told, 'code_error': error})

    def critic(turn, key):
        out = turn.score(turn.fake)
        loss = adversarial.critic_loss(turn.score(turn.batch['x'])[:, 0], out[:, 0])
        return informed(turn, out, loss)

    def generator(turn):
        out = turn.score(turn.fake)
        return informed(turn, out, adversarial.generator_loss(out[:, 0]))

    def critic_tx(hp):
        return recipe.optimizer({**hp, 'lr': hp['critic_lr']})

    told = k + continuous
    origin, net = source(kit, noise, norm, told, codes), kit.critic(n_out=1 + told)
    method = adversarial_game(recipe, origin, Critic(net, critic, critic_tx), generator)

    def cluster(params, carry, batch):
        return jax.nn.log_softmax(net.apply(params['critic'], batch['x'])[:, 1:1 + k])

    return method._replace(evals={'sample': method.evals['sample'], 'cluster': cluster})
