"""Generators trained against an autoencoder, whose error is the critic's energy."""
import jax
import jax.numpy as jnp

from vaebench.core import Kit, Method, Net, Recipe, couples, derive, mean
from vaebench.errors import unknown
from vaebench.losses import adversarial, penalties
from vaebench.methods.adversarial_game import Critic, adversarial_game, source


def autoencoder(kit: Kit, code: int | None = None) -> Net:
    """A critic that reconstructs.

    Args:
      kit: `encoder`, `head` and `gen` are used.
      code: width of its code; None is Z.

    Returns:
      A `Net`: (params, x [B, ...], weight=None) -> (reconstruction [B, ...], codes [B, code]).
    """
    width = code or kit.latent
    enc, head, dec = kit.encoder(), kit.head(width), kit.gen(latent=width)

    def init(key):
        parts = enc.init(derive(key, 0)), head.init(derive(key, 1)), dec.init(derive(key, 2))[0]
        return dict(zip(('enc', 'head', 'dec'), parts, strict=True))

    def apply(params, x, weight=None, key=None):
        codes = head.apply(params['head'], enc.apply(params['enc'], {'x': x}).last)
        # nothing in it is normalized
        return dec.apply(params['dec'], {}, codes)[0], codes

    return Net(init, apply)


def per_pixel(values: jax.Array) -> jax.Array:
    """Mean over all but the first axis: [B, ...] -> [B]."""
    return values.reshape(len(values), -1).mean(-1)


def squared(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean squared difference per pixel, [B]."""
    return per_pixel((x - y)**2)


def absolute(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean absolute difference per pixel, [B]."""
    return per_pixel(jnp.abs(x - y))


ENERGIES = {'squared': squared, 'absolute': absolute}


def with_reconstruct(method: Method, net: Net) -> Method:
    """The method with its critic's reconstructions among its evals."""
    def reconstruct(params, carry, batch):
        return {'x': net.apply(params['critic'], batch['x'])[0]}

    return method._replace(evals={**method.evals, 'reconstruct': reconstruct})


def ebgan(kit: Kit, recipe: Recipe, *, code: int | None = None, energy: str = 'squared',
          noise: str = 'normal', norm: bool = False) -> Method:
    """Energy-based GAN: the critic is an autoencoder, which should fail on samples.

    At an equilibrium the data's energy is at most the margin. In a short run the critic has not
    come so far, and a margin above its error makes the game unstable: try it on validation
    data, and the weight of the pulling-away term, whose unit the energy does not share.

    Hyperparameters:
      margin, pulling.

    Args:
      kit: `encoder`, `head` and `gen` are used.
      recipe: the protocol.
      code: width of the critic's code; None is Z.
      energy: 'squared' or 'absolute', the error per pixel.
      noise: 'normal' or 'uniform'.
      norm: whether the generator is batch-normalized; the critic is not.

    Returns:
      A `Method`; aux 'real' and 'fake' are mean energies, 'pulling' the pulling-away term.

    Equation:
      D(x) = |x - Dec(Enc(x))|^2 per pixel
      critic: minimize D(x) + max(0, margin - D(G(z)))
      generator: minimize D(G(z)) + pulling sum_{i != j} cos^2(s_i, s_j) / (B (B - 1))
      s_i = Enc(G(z_i))

    Deviations:
      The energy is a mean over pixels of [0, 1], a quarter of that over [-1, 1] and P times
      smaller than the sum over P pixels: the paper's margins do not carry over, 0.1 is this
      suite's. A public reproduction leaves out the square of the cosine.

    References:
      Zhao et al., "Energy-based Generative Adversarial Network", 2017, arXiv:1609.03126.
    """
    if energy not in ENERGIES:
        raise unknown('energy', energy, ENERGIES)
    origin, net, error = source(kit, noise, norm), autoencoder(kit, code), ENERGIES[energy]

    def critic(turn, key):
        real, fake = (error(x, turn.score(x)[0]) for x in (turn.batch['x'], turn.fake))
        loss = adversarial.margin_loss(real, fake, turn.hp['margin'])
        aux = {'real': mean(real, turn.batch), 'fake': mean(fake, turn.batch)}
        return mean(loss, turn.batch), (turn.state, aux)

    @couples
    def generator(turn):
        copy, codes = turn.score(turn.fake)
        pulling = penalties.pulling_away(codes, turn.batch['weight'])
        loss = mean(error(turn.fake, copy), turn.batch) + turn.hp['pulling'] * pulling
        return loss, (turn.state, {'pulling': pulling})

    game = adversarial_game(recipe, origin, Critic(net, critic), generator)
    return with_reconstruct(game, net)


def began(kit: Kit, recipe: Recipe, *, code: int | None = None, energy: str = 'absolute',
          noise: str = 'uniform') -> Method:
    """Boundary equilibrium GAN: an autoencoder as a critic, whose push against samples is
    controlled.

    It matches errors, not samples: a single sample of the right error is an equilibrium too.

    Hyperparameters:
      gamma, lambda_k.

    Args:
      kit: `encoder`, `head` and `gen` are used.
      recipe: the protocol.
      code: width of the critic's code; None is Z, as in the paper. It must be a bottleneck: of
        as many dimensions as the data, every error goes to 0, k stays there, and samples are
        one point.
      energy: 'absolute', the error per pixel, or 'squared', the paper's other choice: where
        most pixels are black, an autoencoder of small absolute error may leave the strokes out.
      noise: 'normal' or 'uniform'.

    Returns:
      A `Method`; carry['game'] holds 'k', in [0, 1], and the last 'real', the mean error of
      data; aux 'k' and 'measure', the paper's measure of convergence M, in units of a pixel.

    Equation:
      L(v) = |v - D(v)| or (v - D(v))^2 per pixel
      critic: minimize L(x) - k_t L(G(z)); generator: minimize L(G(z'))
      k_{t+1} = min(max(k_t + lambda_k (gamma L(x) - L(G(z'))), 0), 1), k_0 = 0
      M = L(x) + |gamma L(x) - L(G(z'))|

    Deviations:
      Both players draw noise of their own, as in the paper (the published code: the same), so
      that the generator's error, but not the data's, is that after the critic's update.

    References:
      Berthelot et al., "BEGAN: Boundary Equilibrium Generative Adversarial Networks", 2017,
      arXiv:1703.10717.
    """
    if energy not in ENERGIES:
        raise unknown('energy', energy, ENERGIES)
    origin, net, distance = source(kit, noise), autoencoder(kit, code), ENERGIES[energy]

    def error(turn, x):
        return mean(distance(x, turn.score(x)[0]), turn.batch)

    def critic(turn, key):
        real, fake = error(turn, turn.batch['x']), error(turn, turn.fake)
        aux = {'real': real, 'fake': fake}
        return real - turn.state['k'] * fake, ({**turn.state, 'real': real}, aux)

    @couples                    # k is clipped after the mean
    def generator(turn):
        fake, state, hp = error(turn, turn.fake), turn.state, turn.hp
        gap = hp['gamma'] * state['real'] - fake
        k = jnp.clip(state['k'] + hp['lambda_k'] * gap, 0, 1)
        return fake, ({**state, 'k': k}, {'k': k, 'measure': state['real'] + jnp.abs(gap)})

    start = {'k': jnp.zeros(()), 'real': jnp.zeros(())}
    game = adversarial_game(recipe, origin, Critic(net, critic), generator, start)
    return with_reconstruct(game, net)
